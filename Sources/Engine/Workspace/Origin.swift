import ByteCoding
import ColumnStore

/// The folder that the plan's relative file names start from: the plan's own, when the workspace
/// was made.
///
/// `ORIGIN` is text: the line `patron-origin 1 crc32c=xxxxxxxx` (the checksum of all bytes after
/// its line feed), then the path without a line feed. See protocol/STORE.md, section 8.
struct Origin {
    static let fileName = "ORIGIN"
    let path: String

    func write(into folder: String) throws(StoreError) {
        let bytes = Array(path.utf8)
        try AtomicFile.write(
            Array("\(Self.firstLine(bytes))\n".utf8) + bytes, to: "\(folder)/\(Self.fileName)")
    }

    init(path: String) { self.path = path }

    /// Reads and checks the file of a workspace.
    init(folder: String) throws(EngineError) {
        let file = "\(folder)/\(Self.fileName)"
        let bytes = Array(try readText(file).utf8)
        guard let lineEnd = bytes.firstIndex(of: 10) else {
            throw .store(
                .notAStoreFile(path: file, expected: "the name of the folder of the plan"))
        }
        let path = Array(bytes[(lineEnd + 1)...])
        guard bytes[..<lineEnd].elementsEqual(Self.firstLine(path).utf8) else {
            throw .store(
                .corrupt(
                    path: file, byteOffset: 0,
                    reason: "its first line is not \"\(Self.firstLine(path))\""))
        }
        self.path = String(decoding: path, as: UTF8.self)
    }

    private static func firstLine(_ path: [UInt8]) -> String {
        let digits = String(CRC32C.checksum(path), radix: 16)
        return "patron-origin 1 crc32c=\(String(repeating: "0", count: 8 - digits.count))\(digits)"
    }
}
