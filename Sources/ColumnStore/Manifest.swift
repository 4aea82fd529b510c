import ByteCoding

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Everything that a workspace consists of: the one file whose replacement makes a change real.
///
/// `MANIFEST` is text: the line `patron-manifest 1 crc32c=xxxxxxxx` (the checksum of all bytes
/// after its newline), then JSON with sorted keys. A file that is not named here is garbage that
/// `prune` may remove. Keys that this release does not know are refused rather than preserved: a
/// newer release that adds one also raises the version, and an older one must not publish over
/// state that it does not understand.
package struct Manifest: Codable, Sendable, Equatable {
    package static let fileName = "MANIFEST"
    package static let version = 1

    /// A segment file of the workspace; paths are relative to its folder.
    package struct Segment: Codable, Sendable, Equatable {
        package var file: String
        package var rowCount: Int
        package var byteCount: Int
        /// CRC-32C of the whole file.
        package var checksum: UInt32
        /// UTC seconds of the first and last purchase line; nil for customers and products.
        package var firstTime: Int64?
        package var lastTime: Int64?
        /// That of the last of those it was merged of; nil for a segment that is one delivery.
        package var end: DeliveryMark?

        package init(
            file: String, rowCount: Int, byteCount: Int, checksum: UInt32,
            firstTime: Int64? = nil, lastTime: Int64? = nil, end: DeliveryMark? = nil
        ) {
            self.file = file
            self.rowCount = rowCount
            self.byteCount = byteCount
            self.checksum = checksum
            self.firstTime = firstTime
            self.lastTime = lastTime
            self.end = end
        }
    }

    /// All purchase lines up to the end of a delivery, whichever segments they are in: merging
    /// changes no mark.
    package struct DeliveryMark: Codable, Sendable, Hashable {
        /// Deliveries up to there.
        package var count: Int
        /// Of the segments that they came as, in order.
        package var hash: UInt64

        package static let start = DeliveryMark(count: 0, hash: 0)

        package init(count: Int, hash: UInt64) {
            self.count = count
            self.hash = hash
        }

        /// The same of segments from which customers were erased: what was kept of the lines of before
        /// is of no use any more.
        /// - Parameter record: the last of the log's records that were applied.
        package func erased(through record: Int) -> DeliveryMark {
            DeliveryMark(count: count, hash: StableHash.hash("\(hash) erased \(record)".utf8))
        }

        fileprivate func followed(by segment: Segment) -> DeliveryMark {
            let text = "\(hash) \(segment.file) \(segment.rowCount) \(segment.checksum)"
            return DeliveryMark(count: count + 1, hash: StableHash.hash(text.utf8))
        }
    }

    /// A file that was ingested.
    package struct Source: Codable, Sendable, Equatable {
        /// `purchases`, `customers` or `products`.
        package var kind: String
        package var name: String
        package var contentHash: UInt64
        package var byteCount: Int
        package var lineCount: Int
        package var acceptedCount: Int

        package init(
            kind: String, name: String, contentHash: UInt64, byteCount: Int, lineCount: Int,
            acceptedCount: Int
        ) {
            self.kind = kind
            self.name = name
            self.contentHash = contentHash
            self.byteCount = byteCount
            self.lineCount = lineCount
            self.acceptedCount = acceptedCount
        }
    }

    /// A fitted model's file.
    package struct Model: Codable, Sendable, Equatable {
        package var name: String
        package var version: Int
        package var file: String
        package var byteCount: Int
        package var checksum: UInt32

        package init(name: String, version: Int, file: String, byteCount: Int, checksum: UInt32) {
            self.name = name
            self.version = version
            self.file = file
            self.byteCount = byteCount
            self.checksum = checksum
        }
    }

    /// A published snapshot's folder.
    package struct Generation: Codable, Sendable, Equatable {
        package var number: Int
        package var folder: String

        package init(number: Int, folder: String) {
            self.number = number
            self.folder = folder
        }
    }

    /// When customers were in the segments of a segmentation, by the as-of days of what was published.
    package struct Ledger: Codable, Sendable, Equatable {
        /// `yyyy-MM-dd`, ascending.
        package var days: [String]
        /// The stays that go on.
        package var open: Segment
        /// Those that ended before the last day, in files of falling size.
        package var ended: [Segment]
        /// Those that ended on the last day; nil for none.
        package var last: Segment?

        package init(days: [String], open: Segment, ended: [Segment], last: Segment?) {
            self.days = days
            self.open = open
            self.ended = ended
            self.last = last
        }
    }

    /// What an ingest has erased, in numbers: never who.
    package struct Erasure: Codable, Sendable, Equatable {
        /// Of the manifest that the ingest committed.
        package var revision: Int
        /// Numbers of the log's records that asked for it, ascending.
        package var records: [Int]
        /// Who was asked for; one who was asked for twice counts once.
        package var customerCount: Int
        /// Purchase lines that were taken before and are gone.
        package var lineCount: Int
        /// Rows of tables of customers.
        package var rowCount: Int
        /// Stays in segments.
        package var stayCount: Int
        /// By name, the latest version of every model then: up to these the customers are in them.
        package var models: [String: Int]

        package init(
            revision: Int, records: [Int], customerCount: Int, lineCount: Int, rowCount: Int,
            stayCount: Int, models: [String: Int]
        ) {
            self.revision = revision
            self.records = records
            self.customerCount = customerCount
            self.lineCount = lineCount
            self.rowCount = rowCount
            self.stayCount = stayCount
            self.models = models
        }
    }

    /// Rises by one with every commit of a change; never falls.
    package var revision: Int
    /// The number that the next file name may use; never reused.
    package var nextFileNumber: Int
    package var purchaseSegments: [Segment]
    package var customerSegments: [Segment]
    package var productSegments: [Segment]
    package var sources: [Source]
    package var models: [Model]
    package var generations: [Generation]
    /// The generation that is served; nil before the first publish.
    package var currentGeneration: Int?
    /// The column id of every segmentation that was ever scored, by name, 64…65,535; nil before
    /// the first. No id ever gets another name.
    package var segmentationColumns: [String: Int]?
    /// By segmentation; nil before the first publish that had one.
    package var ledgers: [String: Ledger]?
    /// Where the live purchases go on that the segments do not have yet; nil before the first.
    package var live: LogPosition?
    /// By ingest; nil before the first that erased customers.
    package var erasures: [Erasure]?

    /// The files of all ledgers.
    package var ledgerSegments: [Segment] {
        (ledgers ?? [:]).sorted { $0.key < $1.key }.flatMap { _, ledger in
            [ledger.open] + ledger.ended + (ledger.last.map { [$0] } ?? [])
        }
    }

    /// The files and folders that belong to this state, relative to the workspace.
    package var fileNames: [String] {
        (purchaseSegments + customerSegments + productSegments).map(\.file)
            + models.map(\.file) + generations.map(\.folder) + ledgerSegments.map(\.file)
    }

    /// Where each segment of purchase lines ends.
    package var purchaseEnds: [DeliveryMark] {
        var end = DeliveryMark.start
        return purchaseSegments.map { segment in
            end = segment.end ?? end.followed(by: segment)
            return end
        }
    }

    /// An empty workspace's.
    package init() {
        revision = 0
        nextFileNumber = 1
        purchaseSegments = []
        customerSegments = []
        productSegments = []
        sources = []
        models = []
        generations = []
    }

    /// Reads the manifest of a folder; nil where there is none yet.
    package static func load(from folder: String) throws(StoreError) -> Manifest? {
        let path = folder + "/" + fileName
        let file: MappedFile
        do throws(StoreError) {
            file = try MappedFile(path: path)
        } catch .system(let error) where error.isMissingFile {
            return nil
        }
        guard file.byteCount <= Limits.manifestByteCount else {
            throw .limitExceeded(
                path: path, byteOffset: 0, what: "the manifest's byte count",
                actual: file.byteCount, limit: Limits.manifestByteCount)
        }
        return try Manifest(parsing: try file.bytes(at: 0, count: file.byteCount), path: path)
    }

    /// Replaces the folder's manifest atomically; `revision` is written as it is.
    /// - Parameter settling: paths of provisional files that this manifest names.
    package func commit(to folder: String, settling: [String] = []) throws(StoreError) {
        let path = folder + "/" + Self.fileName
        guard let bytes = encoded() else {
            throw .invalidInput(path: path, reason: "the manifest cannot be written as JSON")
        }
        try AtomicFile.write(bytes, to: path, settling: settling)
    }

    /// The whole file's bytes.
    package func encoded() -> [UInt8]? {
        guard let body = encodedBody() else { return nil }
        let digits = String(CRC32C.checksum(body), radix: 16)
        let checksum = String(repeating: "0", count: 8 - digits.count) + digits
        return Array("patron-manifest \(Self.version) crc32c=\(checksum)\n".utf8) + body
    }

    /// What stands behind the first line.
    private func encodedBody() -> [UInt8]? {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else { return nil }
        return Array(data) + [10]
    }

    /// Parses a whole file's bytes.
    package init(parsing bytes: [UInt8], path: String) throws(StoreError) {
        guard bytes.starts(with: Array("patron-manifest ".utf8)) else {
            throw .notAStoreFile(path: path, expected: "a workspace manifest")
        }
        guard let lineEnd = bytes.prefix(64).firstIndex(of: 10) else {
            throw .corrupt(path: path, byteOffset: 0, reason: "the first line does not end")
        }
        let words = String(decoding: bytes[..<lineEnd], as: UTF8.self)
            .split(separator: " ", omittingEmptySubsequences: false)
        guard words.count >= 2, let version = Int(words[1]) else {
            throw .corrupt(path: path, byteOffset: 0, reason: "the first line has no version")
        }
        guard version == Self.version else {
            throw .unsupportedVersion(path: path, actual: version, expected: Self.version)
        }
        guard words.count == 3, words[2].hasPrefix("crc32c="), words[2].utf8.count == 15,
            let expected = UInt32(words[2].dropFirst(7), radix: 16),
            words[2].utf8.allSatisfy({ !(65...90).contains($0) && $0 != 43 })
        else {
            throw .corrupt(path: path, byteOffset: 0, reason: "the first line has no checksum")
        }
        let body = Array(bytes[(lineEnd + 1)...])
        let actual = CRC32C.checksum(body)
        guard actual == expected else {
            throw .checksumMismatch(
                path: path, byteOffset: lineEnd + 1, part: "the manifest", actual: actual,
                expected: expected)
        }
        self = try Self.decode(body, path: path, byteOffset: lineEnd + 1)
    }

    private static func decode(
        _ body: [UInt8], path: String, byteOffset: Int
    ) throws(StoreError) -> Manifest {
        let manifest: Manifest
        let keys: KeyTree
        let knownKeys: KeyTree
        do {
            manifest = try JSONDecoder().decode(Manifest.self, from: Data(body))
            // What this release wrote has no key that it does not know.
            if manifest.encodedBody() == body { return manifest }
            keys = try JSONDecoder().decode(KeyTree.self, from: Data(body))
            knownKeys = try JSONDecoder().decode(
                KeyTree.self, from: try JSONEncoder().encode(manifest))
        } catch {
            throw .corrupt(
                path: path, byteOffset: byteOffset, reason: "not the expected JSON: \(error)")
        }
        if let key = keys.firstKey(missingIn: knownKeys) {
            throw .unknownField(path: path, field: key)
        }
        return manifest
    }
}

/// The keys of a JSON value, to find those that a decoded type did not take.
private indirect enum KeyTree: Decodable {
    case array([KeyTree])
    case object([String: KeyTree])
    case value

    init(from decoder: any Decoder) throws {
        if let items = try? [String: KeyTree](from: decoder) {
            self = .object(items)
        } else if let items = try? [KeyTree](from: decoder) {
            self = .array(items)
        } else {
            self = .value
        }
    }

    func firstKey(missingIn other: KeyTree) -> String? {
        switch (self, other) {
        case (.object(let items), .object(let known)):
            for (key, item) in items.sorted(by: { $0.key < $1.key }) {
                guard let counterpart = known[key] else { return key }
                if let inner = item.firstKey(missingIn: counterpart) { return "\(key).\(inner)" }
            }
            return nil
        case (.array(let items), .array(let known)):
            for (index, pair) in zip(items, known).enumerated() {
                if let inner = pair.0.firstKey(missingIn: pair.1) { return "\(index).\(inner)" }
            }
            return nil
        default:
            return nil
        }
    }
}
