package import ByteCoding
package import ColumnStore
import Ingest

/// The receipt of an erasure without a server.
package struct ErasureReceipt: Sendable, Equatable {
    package var receipt: LiveReceipt
    /// Of each customer as sent, whether the current generation has a row, and whether there are live
    /// purchases since.
    package var found: [(snapshot: Bool, live: Bool)]

    package static func == (a: ErasureReceipt, b: ErasureReceipt) -> Bool {
        a.receipt == b.receipt && a.found.elementsEqual(b.found, by: ==)
    }
}

extension Workspace {
    /// Whether the ids of customers are texts: those that there are, or as the plan has them.
    package func customerIDsAreTexts() throws(EngineError) -> Bool {
        let files = [
            (manifest.purchaseSegments.first?.file, "customer"),
            (manifest.customerSegments.first?.file, "id"),
        ]
        for case (let file?, let column) in files {
            let path = "\(folder)/\(file)"
            let type = try mapErrors(EngineError.store) { () throws(StoreError) in
                try SegmentReader(path: path).schema.first { $0.name == column }?.type
            }
            if let type { return type == .text }
        }
        if let mapping = plan.sources.purchases?.mapping { return mapping.customerID.kind == .text }
        return plan.sources.customers?.mapping.id?.kind == .text
    }

    /// - Throws: `.unknownCustomer` for one of whom the files have something that the next ingest takes
    ///   out.
    func requireNotErased(_ id: String) throws(EngineError) {
        let erasures = try RecordedErasure.read(workspace: folder, from: livePosition).erasures
        let last = erasures.last { erasure in
            (0..<erasure.customerIDs.count).contains { row in
                switch erasure.customerIDs[row] {
                case .integer(let value): Int64(id) == value
                case .text(let text): text.utf8.elementsEqual(id.utf8)
                }
            }
        }
        if let last {
            throw .unknownCustomer(
                id: id, reason: "was erased; `patron ingest` takes record \(last.sequence) over")
        }
    }

    /// Has customers erased by the next ingest, where no server takes purchases of the workspace. The
    /// erasure is durable when it returns.
    /// - Parameters:
    ///   - key: nobody else's.
    ///   - time: now, UTC seconds since 1970.
    /// - Throws: `.store(.locked)` where a server takes purchases: ask that one.
    package static func erase(
        _ customers: IDColumn, key: LogKey, time: Int64, in folder: String
    ) throws(EngineError) -> ErasureReceipt {
        // Before a folder is made: it may be none of ours.
        let workspace = try Workspace(folder: folder, access: .reading)
        let log = try LiveLog(workspace: folder)
        var snapshot: ServingSnapshot?
        if let location = try currentSnapshot(folder) { snapshot = try ServingSnapshot(location) }
        let live = try LiveCustomers(
            workspace: folder,
            since: snapshot?.descriptor.history?.live ?? workspace.livePosition)
        let receipt = try log.append(LoggedErasure(customerIDs: customers, time: time), key: key)
        // Its thread lets go of it too: the lock is free when this returns.
        log.drain()
        return ErasureReceipt(
            receipt: receipt,
            found: (0..<customers.count).map { row in
                (snapshot?.row(of: customers[row]) != nil, live.hasLines(of: customers[row]))
            })
    }
}
