import ByteCoding
import ColumnStore
import Engine
import Foundation
import Testing

/// The arrays of an array file, to be changed: a file with right checksums and wrong contents, as a
/// faulty program could leave it.
struct ForgedArrays {
    var uint8: [String: [UInt8]] = [:]
    var int32: [String: [Int32]] = [:]
    var int64: [String: [Int64]] = [:]
    var float32: [String: [Float]] = [:]

    /// Writes a file anew with other elements, or other counts of rows, in some arrays.
    /// - Returns: the file as it was and as it is.
    @discardableResult
    static func rewrite(
        _ path: String, replacingInCard texts: [(old: String, new: String)] = [],
        _ change: (inout ForgedArrays) -> Void = { _ in }
    ) throws -> (before: ArrayFile, after: ArrayFile) {
        let file = try ArrayFile(path: path)
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        var arrays = ForgedArrays()
        for name in file.names {
            switch file.entry(name)?.type {
            case .uint8: arrays.uint8[name] = try file.array(name, of: UInt8.self).toArray()
            case .int32: arrays.int32[name] = try file.array(name, of: Int32.self).toArray()
            case .int64: arrays.int64[name] = try file.array(name, of: Int64.self).toArray()
            case .float32: arrays.float32[name] = try file.array(name, of: Float.self).toArray()
            default: break
            }
        }
        change(&arrays)
        var card = String(decoding: file.card, as: UTF8.self)
        for (old, new) in texts { card = card.replacingOccurrences(of: old, with: new) }
        var writer = ArrayFileWriter(kind: file.kind, card: Array(card.utf8))
        for entry in file.entries {
            let width = entry.shape.dropFirst().reduce(1, *)
            func shape(_ count: Int) -> [Int] { [count / width] + entry.shape.dropFirst() }
            if let values = arrays.uint8.removeValue(forKey: entry.name) {
                writer.add(entry.name, values, shape: shape(values.count))
            } else if let values = arrays.int32.removeValue(forKey: entry.name) {
                writer.add(entry.name, values, shape: shape(values.count))
            } else if let values = arrays.int64.removeValue(forKey: entry.name) {
                writer.add(entry.name, values, shape: shape(values.count))
            } else if let values = arrays.float32.removeValue(forKey: entry.name) {
                writer.add(entry.name, values, shape: shape(values.count))
            } else if [.uint32, .uint64, .float64].contains(entry.type) {
                let end = entry.byteOffset + entry.byteCount
                writer.add(
                    entry.name, bytes: Array(bytes[entry.byteOffset..<end]), of: entry.type,
                    shape: entry.shape)
            }
        }
        for (name, values) in arrays.uint8 { writer.add(name, values) }
        for (name, values) in arrays.int64 { writer.add(name, values) }
        _ = try writer.write(to: path)
        return (file, try ArrayFile(path: path))
    }

    /// Writes a model file without arrays anew with another model, its card as it was.
    static func rewriteModel(
        _ path: String, _ change: (inout [String: Any]) throws -> Void
    ) throws {
        let file = try ArrayFile(path: path)
        var card = try #require(
            try JSONSerialization.jsonObject(with: Data(file.card)) as? [String: Any])
        var model = try #require(card["model"] as? [String: Any])
        try change(&model)
        card["model"] = model
        let writer = ArrayFileWriter(
            kind: file.kind, card: [UInt8](try JSONSerialization.data(withJSONObject: card)))
        _ = try writer.write(to: path)
    }

    /// Writes an affinity file of a generation anew, and what the generation and the cache say of it.
    static func rewriteAffinity(
        _ name: String, of generation: Int, in workspace: URL,
        _ change: (inout ForgedArrays) -> Void
    ) throws {
        let folder = workspace.appendingPathComponent(
            "snapshots/\(SnapshotWriter.folderName(generation: generation))")
        let (before, after) = try rewrite(folder.sub(name), change)
        try replace("\(before.checksum)", "\(after.checksum)", inSnapshot: folder)
        try rewrite(
            workspace.sub("cache/affinity.arr"),
            replacingInCard: [("\(before.contentChecksum)", "\(after.contentChecksum)")])
    }

    /// Changes a text in the descriptor of a generation.
    static func replace(_ old: String, _ new: String, inSnapshot folder: URL) throws {
        let path = folder.sub(SnapshotDescriptor.fileName)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        guard let end = text.firstIndex(of: "\n") else { return }
        let version = text[..<end].split(separator: " ")[1]
        let body = Array(
            text[text.index(after: end)...].replacingOccurrences(of: old, with: new).utf8)
        let digits = String(CRC32C.checksum(body), radix: 16)
        let checksum = String(repeating: "0", count: 8 - digits.count) + digits
        let line = "patron-snapshot \(version) crc32c \(checksum) bytes \(body.count)\n"
        try Data(Array(line.utf8) + body).write(to: URL(fileURLWithPath: path))
    }
}
