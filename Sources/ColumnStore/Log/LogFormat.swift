import ByteCoding

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

// How a log lies on disk: protocol/STORE.md, section 11, which has a worked hex example.
//
//     live/00000001.log     header of 64 bytes, then records end to end
//     record                header of 64 bytes, body, zeros up to a multiple of 8, end mark of 8

/// Where a log is read on: everything before it is known, nothing from there on is.
package struct LogPosition: Codable, Sendable, Hashable {
    /// The number of the file; 0 before the first.
    package var file: Int
    /// In bytes from its start, where a record starts or the file ends.
    package var byteOffset: Int
    /// The number of the record there, from 0: as many as come before it.
    package var sequence: Int

    package init(file: Int, byteOffset: Int, sequence: Int) {
        (self.file, self.byteOffset, self.sequence) = (file, byteOffset, sequence)
    }

    /// Before the first record of all.
    package static let start = LogPosition(file: 0, byteOffset: 0, sequence: 0)
}

/// What a batch is known by when it is sent again: 16 bytes, of which not all are zero.
package struct LogKey: Sendable, Hashable {
    package let first: UInt64
    package let second: UInt64

    /// Of a record without a key.
    package static let none = LogKey(first: 0, second: 0)

    /// The bytes are those of the two words, little-endian.
    package init(first: UInt64, second: UInt64) { (self.first, self.second) = (first, second) }

    package var isNone: Bool { first | second == 0 }
}

/// What a record of a log is; the raw value is what its header holds.
package enum LogRecordKind: UInt32, Sendable {
    /// Purchase lines.
    case lines = 1
    /// Customers who are to be erased; in files of version 2 alone.
    case erasure = 2
}

/// What a record holds.
package enum LogContents: Sendable, Equatable {
    case lines(LoggedLines)
    case erasure(LoggedErasure)
}

/// A record of a log.
package struct LogRecord: Sendable {
    /// Its place among all records that the log ever had, from 0.
    package var sequence: Int
    package var key: LogKey
    package var kind: LogRecordKind
    /// Lines of its body, or customers.
    package var rowCount: Int
    package var body: [UInt8]
    /// The file that it is in, and its offset there, for errors about its body.
    package var path: String
    package var byteOffset: Int

    /// What its body says.
    /// - Throws: `corrupt` for a body that is not of its kind.
    package func contents() throws(StoreError) -> LogContents {
        switch kind {
        case .lines: .lines(try lines())
        case .erasure: .erasure(try erasure())
        }
    }

    /// The lines.
    /// - Throws: `corrupt` for a body that holds none.
    package func lines() throws(StoreError) -> LoggedLines {
        try require(.lines)
        let lines = try LoggedLines(
            decoding: body, path: path, base: byteOffset + LogFormat.recordHeaderByteCount)
        try require(rowCount: lines.count, "lines")
        return lines
    }

    /// The customers to erase.
    /// - Throws: `corrupt` for a body that holds none.
    package func erasure() throws(StoreError) -> LoggedErasure {
        try require(.erasure)
        let erasure = try LoggedErasure(
            decoding: body, path: path, base: byteOffset + LogFormat.recordHeaderByteCount)
        try require(rowCount: erasure.count, "customers")
        return erasure
    }

    private func require(_ wanted: LogRecordKind) throws(StoreError) {
        guard kind == wanted else {
            throw .corrupt(
                path: path, byteOffset: byteOffset,
                reason: "record \(sequence) is of kind \(kind.rawValue), not \(wanted.rawValue)")
        }
    }

    private func require(rowCount actual: Int, _ what: String) throws(StoreError) {
        guard actual == rowCount else {
            throw .corrupt(
                path: path, byteOffset: byteOffset,
                reason: "the record has \(actual) \(what), its header says \(rowCount)")
        }
    }
}

/// The layout of log files.
package enum LogFormat {
    static let fileMagic = Array("PATRNLOG".utf8)
    /// Of files without erasures, which releases of before erasures read as well.
    static let version: UInt32 = 1
    /// Of files that may have some: who does not know them refuses the file by its number.
    static let versionWithErasures: UInt32 = 2
    package static let fileHeaderByteCount = 64
    /// `PREC`.
    static let recordMagic: UInt32 = 0x4345_5250
    package static let recordHeaderByteCount = 64
    /// `END` and a line feed: the last byte of a whole record is never zero.
    static let endMagic: UInt32 = 0x0A44_4E45
    static let endByteCount = 8

    /// What the header of a file says.
    struct FileHeader {
        var version: UInt32
        /// The number of the first record that the file may have.
        var firstSequence: Int
    }

    /// Bytes of a record with a body of so many.
    package static func recordByteCount(body: Int) -> Int {
        recordHeaderByteCount + body.roundedUp(to: 8) + endByteCount
    }

    /// `00000042.log`.
    package static func fileName(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits + ".log"
    }

    /// The numbers of a folder's log files, ascending; none where there is no such folder.
    package static func fileNumbers(in folder: String) -> [Int] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.compactMap { name in
            guard name.hasSuffix(".log"), let number = Int(name.dropLast(4)),
                number > 0, fileName(number) == name
            else { return nil }
            return number
        }.sorted()
    }

    /// The number of a folder's last log file and its bytes, which change with whatever is appended;
    /// empty where there is none.
    package static func end(of folder: String) -> [Int] {
        guard let number = fileNumbers(in: folder).last else { return [] }
        let path = "\(folder)/\(fileName(number))"
        let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
        return [number, size ?? 0]
    }

    static func fileHeader(number: Int, firstSequence: Int, version: UInt32) -> [UInt8] {
        var writer = ByteWriter()
        writer.append(contentsOf: fileMagic)
        writer.append(version)
        writer.append(UInt32(0))
        writer.append(UInt64(number))
        writer.append(UInt64(firstSequence))
        writer.appendZeros(fileHeaderByteCount - writer.count)
        writer.overwrite(headerChecksum(writer.bytes, fieldAt: 12), at: 12)
        return writer.bytes
    }

    static func header(
        _ bytes: [UInt8], number: Int, path: String
    ) throws(StoreError) -> FileHeader {
        guard bytes.starts(with: fileMagic.prefix(bytes.count)), !bytes.isEmpty else {
            throw .notAStoreFile(path: path, expected: "a log of live purchases")
        }
        guard bytes.count >= fileHeaderByteCount else {
            throw .truncated(
                path: path, byteOffset: 0, actual: bytes.count, expected: fileHeaderByteCount)
        }
        let header = Array(bytes[..<fileHeaderByteCount])
        var cursor = ByteCursor(path: path, bytes: header, base: 0)
        _ = try cursor.slice(fileMagic.count)
        let version = try cursor.integer(UInt32.self)
        guard version == Self.version || version == versionWithErasures else {
            throw .unsupportedVersion(
                path: path, actual: Int(version), expected: Int(versionWithErasures))
        }
        let expected = try cursor.integer(UInt32.self)
        let actual = headerChecksum(header, fieldAt: 12)
        guard actual == expected else {
            throw .checksumMismatch(
                path: path, byteOffset: 0, part: "the header", actual: actual, expected: expected)
        }
        let stored = try cursor.count("the file's number", limit: Limits.logSequence)
        guard stored == number else {
            throw .corrupt(
                path: path, byteOffset: 16, reason: "it is log file \(stored), renamed")
        }
        let first = try cursor.count("the first record's number", limit: Limits.logSequence)
        try cursor.reserved(fileHeaderByteCount - 32)
        return FileHeader(version: version, firstSequence: first)
    }

    /// Appends a record to `writer`.
    /// - Parameter durable: the file's bytes that were durable before the records were written that
    ///   are written together with this one.
    static func append(
        _ entry: LogEntry, sequence: Int, durable: Int, to writer: inout ByteWriter
    ) {
        let start = writer.count
        writer.append(recordMagic)
        writer.append(UInt32(0))
        writer.append(UInt64(sequence))
        writer.append(entry.key.first)
        writer.append(entry.key.second)
        writer.append(UInt64(durable))
        writer.append(UInt32(entry.body.count))
        writer.append(CRC32C.checksum(entry.body))
        writer.append(UInt32(entry.rowCount))
        writer.append(entry.kind.rawValue)
        writer.appendZeros(recordHeaderByteCount - (writer.count - start))
        writer.overwrite(writer.checksum(of: start..<writer.count), at: start + 4)
        writer.append(contentsOf: entry.body)
        writer.appendZeros(entry.body.count.roundedUp(to: 8) - entry.body.count)
        writer.append(UInt32(recordByteCount(body: entry.body.count)))
        writer.append(endMagic)
    }
}

/// What is to become a record.
package struct LogEntry: Sendable {
    package var key: LogKey
    package let kind: LogRecordKind
    package var rowCount: Int
    /// At most `Limits.logBodyByteCount`.
    package var body: [UInt8]

    /// - Throws: `limitExceeded` for ids that take too many bytes.
    package init(_ erasure: LoggedErasure, key: LogKey = .none) throws(StoreError) {
        self.key = key
        kind = .erasure
        rowCount = erasure.count
        body = try erasure.encoded()
    }

    /// - Throws: `limitExceeded` for lines that take too many bytes, `invalidInput` for columns that
    ///   do not fit together.
    package init(_ lines: LoggedLines, key: LogKey = .none) throws(StoreError) {
        self.key = key
        kind = .lines
        rowCount = lines.count
        body = try lines.encoded()
        guard body.count <= Limits.logBodyByteCount else {
            throw .limitExceeded(
                path: "a batch of purchase lines", byteOffset: 0, what: "its byte count",
                actual: body.count, limit: Limits.logBodyByteCount)
        }
    }
}
