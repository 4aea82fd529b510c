package import ByteCoding
package import ColumnStore

/// An erasure that the log has.
package struct RecordedErasure: Sendable, Equatable {
    /// The number of its record: it is about the records before.
    package let sequence: Int
    /// In the log ascending, none twice.
    package let customerIDs: IDColumn
    /// UTC seconds since 1970 at which it was asked for.
    package let time: Int64

    package init(sequence: Int, customerIDs: IDColumn, time: Int64) {
        (self.sequence, self.customerIDs, self.time) = (sequence, customerIDs, time)
    }

    init(_ record: LogRecord) throws(StoreError) {
        let erasure = try record.erasure()
        self.init(
            sequence: record.sequence, customerIDs: erasure.customerIDs, time: erasure.time)
    }

    var mark: ErasureMark {
        ErasureMark(LoggedErasure(customerIDs: customerIDs, time: time))
    }

    /// The number of the last file of a workspace's log and its bytes, which change with whatever is
    /// appended; empty where there is none.
    package static func end(ofLogOf workspace: String) -> [Int] {
        LogFormat.end(of: Workspace.liveFolder(workspace))
    }

    /// Those that a workspace's log has from a place on, in their order, while another process may append
    /// more.
    /// - Parameters:
    ///   - start: where records are not known; the first record that is left where that is later.
    ///   - syncs: makes what is read durable first.
    /// - Returns: also up to where the log was read.
    package static func read(
        workspace: String, from start: LogPosition, syncs: Bool = false
    ) throws(EngineError) -> (erasures: [RecordedErasure], end: LogPosition) {
        let folder = Workspace.liveFolder(workspace)
        return try mapErrors(EngineError.store) { () throws(StoreError) in
            var from = start
            if let first = try LogFormat.firstPosition(in: folder), first.sequence > from.sequence {
                from = first
            }
            var cursor = LogCursor(folder: folder, from: from, syncs: syncs)
            var erasures: [RecordedErasure] = []
            while let record = try cursor.next() {
                if record.kind == .erasure { erasures.append(try RecordedErasure(record)) }
            }
            return (erasures, cursor.position)
        }
    }
}

/// What of an erasure its key stands for.
struct ErasureMark: Sendable {
    let time: Int64
    let hash: UInt64

    init(_ erasure: LoggedErasure) { (time, hash) = (erasure.time, erasure.hash) }
}
