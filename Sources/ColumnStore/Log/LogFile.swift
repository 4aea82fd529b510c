import ByteCoding

/// A log file as it was at one moment, read record by record.
///
/// The last file of a log may end with a record that its writer did not finish: it is the last one,
/// and reaches beyond the end of the file or ends with zeros that the file system put in place of
/// bytes that a power cut lost. Anything else that is no record is damage. A record is never taken
/// for unfinished where a later one was written after it had become durable.
struct LogFile {
    let path: String
    let number: Int
    let firstSequence: Int
    /// Of its layout: which kinds of records it may have.
    let version: UInt32
    private let bytes: [UInt8]
    private let isLast: Bool
    /// Where the next record starts.
    private(set) var byteOffset: Int
    private(set) var sequence: Int

    /// - Parameters:
    ///   - isLast: whether an unfinished record may be at the end.
    ///   - syncs: makes what is read durable first.
    init(folder: String, number: Int, isLast: Bool, syncs: Bool) throws(StoreError) {
        path = "\(folder)/\(LogFormat.fileName(number))"
        self.number = number
        self.isLast = isLast
        bytes = try copyOfFile(path, syncs: syncs, limit: Limits.logFileByteCount)
        let header = try LogFormat.header(bytes, number: number, path: path)
        (firstSequence, version) = (header.firstSequence, header.version)
        sequence = firstSequence
        byteOffset = LogFormat.fileHeaderByteCount
    }

    var byteCount: Int { bytes.count }

    /// Goes on at a place that was read up to before.
    mutating func skip(to position: LogPosition) throws(StoreError) {
        guard position.byteOffset >= LogFormat.fileHeaderByteCount,
            position.byteOffset <= bytes.count, position.sequence >= firstSequence
        else {
            throw .corrupt(
                path: path, byteOffset: min(position.byteOffset, bytes.count),
                reason: "the log ends at byte \(bytes.count), but was read up to byte "
                    + "\(position.byteOffset), record \(position.sequence), before")
        }
        (byteOffset, sequence) = (position.byteOffset, position.sequence)
    }

    /// The next record; nil at the end, or where only one follows that is not finished.
    mutating func next() throws(StoreError) -> LogRecord? {
        if byteOffset == bytes.count { return nil }
        let found = record(at: byteOffset)
        guard let record = found.record else {
            if isUnfinished(found) { return nil }
            throw .corrupt(path: path, byteOffset: byteOffset, reason: found.flaw)
        }
        guard record.sequence == sequence else {
            throw .corrupt(
                path: path, byteOffset: byteOffset,
                reason: "record \(record.sequence) is where record \(sequence) should be")
        }
        byteOffset = found.end
        sequence += 1
        return record
    }

    private struct Found {
        var record: LogRecord?
        /// Why there is none.
        var flaw = ""
        /// Where it ends, or would; 0 where its header does not say.
        var end = 0
        var durable = 0
        var isBeyondEnd = false
    }

    private func record(at start: Int) -> Found {
        var found = Found()
        let raw = bytes.span.bytes
        guard bytes.count - start >= LogFormat.recordHeaderByteCount else {
            found.flaw = "\(bytes.count - start) bytes are no record"
            found.isBeyondEnd = true
            return found
        }
        func word(_ offset: Int) -> UInt64 { raw.integer(at: start + offset) ?? 0 }
        func half(_ offset: Int) -> UInt32 { raw.integer(at: start + offset) ?? 0 }
        let header = Array(bytes[start..<start + LogFormat.recordHeaderByteCount])
        guard half(0) == LogFormat.recordMagic, half(4) == headerChecksum(header, fieldAt: 4) else {
            found.flaw = "the header of a record is damaged"
            return found
        }
        let bodyByteCount = Int(half(40))
        guard bodyByteCount <= Limits.logBodyByteCount,
            let kind = LogRecordKind(rawValue: half(52)),
            kind == .lines || version == LogFormat.versionWithErasures, word(56) == 0,
            word(8) <= UInt64(Limits.logSequence), word(32) <= UInt64(start),
            half(48) <= UInt32(Limits.logRowCount)
        else {
            found.flaw = "the header of a record holds what no record has"
            return found
        }
        found.durable = Int(word(32))
        found.end = start + LogFormat.recordByteCount(body: bodyByteCount)
        guard found.end <= bytes.count else {
            found.flaw = "a record ends behind the file"
            found.isBeyondEnd = true
            return found
        }
        let first = start + LogFormat.recordHeaderByteCount
        let mark = found.end - LogFormat.endByteCount
        let isWhole =
            CRC32C.checksum(raw.extracting(first..<first + bodyByteCount)) == half(44)
            && bytes[(first + bodyByteCount)..<mark].allSatisfy { $0 == 0 }
            && raw.integer(at: mark, as: UInt32.self) == UInt32(found.end - start)
            && raw.integer(at: mark + 4, as: UInt32.self) == LogFormat.endMagic
        guard isWhole else {
            found.flaw = "a record is not what was written"
            return found
        }
        found.record = LogRecord(
            sequence: Int(word(8)), key: LogKey(first: word(16), second: word(24)),
            kind: kind, rowCount: Int(half(48)), body: Array(bytes[first..<first + bodyByteCount]),
            path: path,
            byteOffset: start)
        return found
    }

    /// Whether what is at `byteOffset` may be the remains of a record that was never acknowledged.
    private func isUnfinished(_ found: Found) -> Bool {
        guard isLast, found.isBeyondEnd || bytes[bytes.count - 1] == 0 else { return false }
        // A record whose header is sound behind it, which was written later than this was durable.
        var place = byteOffset + 8
        while bytes.count - place >= LogFormat.recordHeaderByteCount {
            if bytes.span.bytes.integer(at: place, as: UInt32.self) == LogFormat.recordMagic,
                record(at: place).durable > byteOffset
            {
                return false
            }
            place += 8
        }
        return true
    }
}

extension LogFormat {
    /// Where the first record is that a folder's log still has; nil for a log of no files.
    package static func firstPosition(in folder: String) throws(StoreError) -> LogPosition? {
        guard let number = fileNumbers(in: folder).first else { return nil }
        let path = "\(folder)/\(fileName(number))"
        let header = try prefixOfFile(path, byteCount: fileHeaderByteCount)
        return LogPosition(
            file: number, byteOffset: fileHeaderByteCount,
            sequence: try self.header(header, number: number, path: path).firstSequence)
    }
}

/// Reads the records of a log from a position on, in order, while another process may append more.
package struct LogCursor {
    private let folder: String
    private let syncs: Bool
    /// Numbers of the files that are left to read, but for `file`.
    private var rest: ArraySlice<Int>
    private var file: LogFile?
    /// Behind the last record read.
    package private(set) var position: LogPosition

    /// - Parameters:
    ///   - folder: of the log; one that is not there has no records.
    ///   - start: where to begin; one that `position` was.
    ///   - syncs: makes what is read durable before it is handed out.
    package init(folder: String, from start: LogPosition, syncs: Bool = false) {
        self.folder = folder
        self.syncs = syncs
        position = start
        rest = LogFormat.fileNumbers(in: folder).filter { $0 >= start.file }[...]
    }

    /// The next record; nil at the end, or before one that its writer has not finished.
    /// - Throws: `corrupt` where the log is damaged or files of it are missing.
    package mutating func next() throws(StoreError) -> LogRecord? {
        while true {
            if var current = file {
                // Not held twice: a copy of the file's bytes would be made.
                file = nil
                let record = try current.next()
                position = LogPosition(
                    file: current.number, byteOffset: current.byteOffset,
                    sequence: current.sequence)
                if record != nil || rest.isEmpty {
                    file = current
                    return record
                }
            }
            guard let number = rest.popFirst() else { return nil }
            file = try open(number)
        }
    }

    private func open(_ number: Int) throws(StoreError) -> LogFile {
        var next = try LogFile(
            folder: folder, number: number, isLast: rest.isEmpty, syncs: syncs)
        if number == position.file {
            try next.skip(to: position)
        } else if next.firstSequence != position.sequence {
            throw .corrupt(
                path: next.path, byteOffset: 24,
                reason: "it begins with record \(next.firstSequence), but record "
                    + "\(position.sequence) is the next: log files are missing")
        }
        return next
    }
}
