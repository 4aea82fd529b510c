import ByteCoding
import ColumnStore
import Foundation

/// Which generations of a workspace have a label: the file `LABELS`, absent where none has.
///
/// ```
/// patron-labels 1 crc32c=1a2b3c4d        format, CRC-32C of what follows
/// canary 12                              a label and its generation, by label
/// ```
/// Not in the manifest, because a label is moved by servers at any time, and the manifest's lock is
/// held for as long as an ingest or a training takes. Replaced whole by a rename, by one writer at
/// a time (`change`).
package struct GenerationLabels: Sendable, Equatable {
    package static let fileName = "LABELS"
    /// The label of the current generation, which the manifest names.
    package static let current = "stable"
    /// Labels of one workspace: a server holds a snapshot open for each.
    package static let limit = 8
    package static let nameByteCount = 64
    /// The file of the lock.
    package static let lockName = "LABELS.lock"
    /// Milliseconds.
    private static let lockPatience = 5_000
    private static let magic = "patron-labels"
    private static let largestByteCount = 4_096

    package private(set) var generations: [String: Int] = [:]

    package static let none = GenerationLabels()

    private init() {}

    /// Whether it can be given to a generation: letters, digits, `.`, `_`, `-`, and not `stable`.
    package static func isName(_ text: String) -> Bool {
        (1...nameByteCount).contains(text.utf8.count) && text != current
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."),
                    UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    /// - Precondition: `isName(label)`.
    package mutating func set(_ label: String, to generation: Int) {
        precondition(Self.isName(label), "a label has letters, digits, '.', '_' and '-'")
        generations[label] = generation
    }

    package mutating func remove(_ label: String) { generations[label] = nil }

    /// Those of a workspace.
    package static func load(_ folder: String) throws(EngineError) -> GenerationLabels {
        let path = "\(folder)/\(fileName)"
        do throws(StoreError) {
            let file = try MappedFile(path: path)
            guard file.byteCount <= largestByteCount else {
                throw .limitExceeded(
                    path: path, byteOffset: 0, what: "the byte count of the labels",
                    actual: file.byteCount, limit: largestByteCount)
            }
            return try GenerationLabels(
                parsing: file.withBytes { $0.lanes(at: 0, count: $0.byteCount) ?? [] }, path)
        } catch .system(let error) where error.isMissingFile {
            return .none
        } catch {
            throw .store(error)
        }
    }

    private init(parsing bytes: [UInt8], _ path: String) throws(StoreError) {
        guard let end = bytes.firstIndex(of: 10) else {
            throw .corrupt(path: path, byteOffset: 0, reason: "the first line does not end")
        }
        let words = String(decoding: bytes[..<end], as: UTF8.self).split(separator: " ")
        guard words.first ?? "" == Self.magic, words.count == 3 else {
            throw .notAStoreFile(path: path, expected: "labels of generations")
        }
        guard words[1] == "1" else {
            throw .unsupportedVersion(path: path, actual: Int(words[1]) ?? 0, expected: 1)
        }
        let body = Array(bytes[(end + 1)...])
        guard words[2] == "crc32c=\(Self.hexadecimal(CRC32C.checksum(body)))" else {
            throw .corrupt(
                path: path, byteOffset: end + 1, reason: "its checksum is not the stored one")
        }
        for line in String(decoding: body, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: " ", omittingEmptySubsequences: false)
            guard fields.count == 2, Self.isName(String(fields[0])),
                let generation = Int(fields[1]), generation >= 1,
                generations.updateValue(generation, forKey: String(fields[0])) == nil
            else {
                throw .corrupt(
                    path: path, byteOffset: end + 1, reason: "no label and generation: '\(line)'")
            }
        }
    }

    /// The right to change labels, and to remove generations that have none. Held for milliseconds,
    /// with a lock of its own: the workspace's may be held by a training for hours.
    private static func lock(_ folder: String) throws(EngineError) -> FolderLock {
        try mapErrors(EngineError.store) { () throws(StoreError) in
            try FolderLock(folder: folder, name: lockName, patience: lockPatience)
        }
    }

    /// Changes those of a workspace. Writers come one after the other, in whatever process and
    /// thread they are, and each begins with what the one before has left: none is lost.
    /// - Parameter change: is called once; where it throws, or changes nothing, the file stays.
    /// - Returns: what `change` does.
    /// - Throws: `.store(.locked)` where another holds them for seconds.
    package static func change<Result>(
        _ folder: String,
        _ change: (inout GenerationLabels) throws(EngineError) -> Result
    ) throws(EngineError) -> Result {
        let held = try lock(folder)
        defer { withExtendedLifetime(held) {} }
        let before = try load(folder)
        var labels = before
        let result = try change(&labels)
        if labels != before { try labels.save(folder) }
        return result
    }

    /// Replaces those of a workspace, whatever they were; durable when it returns.
    package func save(_ folder: String) throws(EngineError) {
        let body = Array(
            generations.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)\n" }.joined().utf8)
        let head = "\(Self.magic) 1 crc32c=\(Self.hexadecimal(CRC32C.checksum(body)))\n"
        try mapErrors(EngineError.store) { () throws(StoreError) in
            try AtomicFile.write(Array(head.utf8) + body, to: "\(folder)/\(Self.fileName)")
        }
    }

    private static func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
