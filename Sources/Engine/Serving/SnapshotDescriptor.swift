import ByteCoding
package import ColumnStore
import Foundation
package import Units

/// What the file `SNAPSHOT` of a generation folder says: which files belong to it and what they
/// hold. It is written last, so a folder without a sound one is no snapshot.
///
/// ```
/// patron-snapshot 1 crc32c 1a2b3c4d bytes 1234       format, CRC-32C and size of what follows
/// { "asOf": "1997-09-30", "currency": "GBP", ... }   JSON, sorted keys, UTF-8
/// ```
/// The format is 2 where there is an `affinity-changed.arr`: whoever knows format 1 alone would take
/// the rows of an earlier generation for the customers'.
package struct SnapshotDescriptor: Sendable, Equatable, Codable {
    package static let fileName = "SNAPSHOT"
    private static let magic = "patron-snapshot"
    private static let versions = ["1", "2"]
    /// Refused above this before anything is read.
    static let maximumByteCount = 16 << 20

    package var generation: Int
    package var asOfDay: CalendarDay {
        get { CalendarDay(parsing: asOf) ?? CalendarDay(daysSince1970: 0) }
        set { asOf = newValue.description }
    }
    /// `yyyy-MM-dd`.
    package private(set) var asOf: String
    package var currency: String
    package var customerCount: Int
    package var productCount: Int
    package var models: [ModelReference]
    /// What the columns mean, in the order of the strip's fields.
    package var columnDescriptions: [String]
    package var files: [File]
    /// Which purchases the scores have seen; nil in snapshots of earlier releases.
    package var history: Coverage?

    /// What the scores of a snapshot have seen of the purchases.
    package struct Coverage: Sendable, Equatable, Codable {
        /// Live purchases before it are among them, others are not.
        package var live: LogPosition
        /// Whether the segments of purchases had no lines after the as-of day, which the scores have
        /// not seen although they come before `live`.
        package var isWhole: Bool
        /// Lines of the segments, those after the as-of day included; nil in snapshots of earlier
        /// releases.
        package var lineCount: Int?

        package init(live: LogPosition, isWhole: Bool, lineCount: Int? = nil) {
            (self.live, self.isWhole, self.lineCount) = (live, isWhole, lineCount)
        }
    }

    package struct File: Sendable, Equatable, Codable {
        /// Relative to the generation folder; no slash.
        package var name: String
        package var byteCount: Int
        /// CRC-32C of the whole file.
        package var checksum: UInt32

        package init(name: String, byteCount: Int, checksum: UInt32) {
            self.name = name
            self.byteCount = byteCount
            self.checksum = checksum
        }
    }

    package init(
        generation: Int, asOf: CalendarDay, currency: String, customerCount: Int,
        productCount: Int, models: [ModelReference], columnDescriptions: [String], files: [File]
    ) {
        self.generation = generation
        self.asOf = asOf.description
        self.currency = currency
        self.customerCount = customerCount
        self.productCount = productCount
        self.models = models
        self.columnDescriptions = columnDescriptions
        self.files = files
    }

    /// Reads that of a generation's folder.
    init(folder: String) throws(EngineError) {
        let path = "\(folder)/\(Self.fileName)"
        try self.init(decoding: Self.bytes(of: path), path: path)
    }

    /// The bytes of a JSON file of a generation's folder.
    static func bytes(
        of path: String, limit maximumByteCount: Int = maximumByteCount
    ) throws(EngineError) -> [UInt8] {
        let file = try mapErrors(EngineError.store) { () throws(StoreError) in
            try MappedFile(path: path)
        }
        guard file.byteCount <= maximumByteCount else {
            throw .damagedSnapshot(
                path: path, byteOffset: maximumByteCount,
                reason: "\(file.byteCount) bytes, at most \(maximumByteCount)")
        }
        return file.withBytes { $0.lanes(at: 0, count: $0.byteCount) ?? [] }
    }

    /// The file's bytes.
    func encoded() throws(StoreError) -> [UInt8] {
        let body = try Self.json(self)
        let checksum = Self.hexadecimal(CRC32C.checksum(body))
        let version = Self.versions[files.contains { $0.name == AffinityFile.changedName } ? 1 : 0]
        let line = "\(Self.magic) \(version) crc32c \(checksum) bytes \(body.count)\n"
        return Array(line.utf8) + body
    }

    /// - Parameter path: for the error only.
    init(decoding bytes: [UInt8], path: String) throws(EngineError) {
        func damaged(_ offset: Int, _ reason: String) -> EngineError {
            .damagedSnapshot(path: path, byteOffset: offset, reason: reason)
        }
        guard let end = bytes.prefix(128).firstIndex(of: UInt8(ascii: "\n")) else {
            throw damaged(min(bytes.count, 128), "no first line")
        }
        let words = String(decoding: bytes[..<end], as: UTF8.self).split(
            separator: " ", omittingEmptySubsequences: false)
        guard words.count == 6, words[0] == Self.magic, words[2] == "crc32c", words[4] == "bytes"
        else { throw damaged(0, "not a snapshot descriptor") }
        guard Self.versions.contains(String(words[1])) else {
            throw damaged(0, "unknown version \(words[1])")
        }
        let body = Array(bytes[(end + 1)...])
        guard String(body.count) == words[5] else {
            throw damaged(bytes.count, "\(body.count) bytes after the first line, not \(words[5])")
        }
        let checksum = Self.hexadecimal(CRC32C.checksum(body))
        guard checksum == words[3] else {
            throw damaged(end + 1, "checksum \(checksum) is not the stored \(words[3])")
        }
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(body))
        } catch {
            throw damaged(end + 1, "unreadable: \(error)")
        }
        guard CalendarDay(parsing: asOf) != nil, generation >= 1, customerCount >= 0,
            productCount >= 0
        else { throw damaged(end + 1, "a value is out of range") }
    }

    /// JSON with sorted keys, so that equal values give equal bytes.
    static func json(_ value: some Encodable) throws(StoreError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            return [UInt8](try encoder.encode(value))
        } catch {
            throw .invalidInput(path: fileName, reason: "\(error)")
        }
    }

    private static func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
