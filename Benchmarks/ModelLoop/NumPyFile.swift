import Foundation

/// The little of NumPy's .npy format that the side-by-side runs need: version 1.0, little-endian,
/// C order. Source: numpy/lib/format.py, "Format Version 1.0".
struct NumPyFile {
    /// As many as the array has axes.
    let shape: [Int]
    private let kind: String
    private let bytes: Data

    init(_ path: String) throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        guard data.count > 10, data.starts(with: [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0]) else {
            throw LoopError.badFile("\(path) is not a version 1.0 .npy file")
        }
        let headerCount = Int(data[8]) | Int(data[9]) << 8
        let header = String(decoding: data.dropFirst(10).prefix(headerCount), as: UTF8.self)
        func text(after key: String, from open: Character, to close: Character) -> Substring? {
            guard let place = header.range(of: "'\(key)':"),
                let start = header[place.upperBound...].firstIndex(of: open),
                let end = header[header.index(after: start)...].firstIndex(of: close)
            else { return nil }
            return header[header.index(after: start)..<end]
        }
        guard header.contains("'fortran_order': False"),
            let kind = text(after: "descr", from: "'", to: "'"),
            let sizes = text(after: "shape", from: "(", to: ")")
        else { throw LoopError.badFile("\(path) has no C-order header") }
        self.kind = String(kind)
        shape = sizes.split(separator: ",").compactMap {
            Int($0.trimmingCharacters(in: .whitespaces))
        }
        bytes = data.dropFirst(10 + headerCount)
    }

    /// The elements in file order.
    /// - Throws: `badFile` where the array holds another type or is too short.
    func values<Element: BitwiseCopyable>(_: Element.Type, kind expected: String) throws
        -> [Element]
    {
        let count = shape.reduce(1, *)
        guard kind == expected, bytes.count >= count * MemoryLayout<Element>.stride else {
            throw LoopError.badFile("expected \(count) elements of \(expected), got \(kind)")
        }
        return bytes.withUnsafeBytes { buffer in
            (0..<count).map {
                buffer.loadUnaligned(
                    fromByteOffset: $0 * MemoryLayout<Element>.stride, as: Element.self)
            }
        }
    }

    static func write<Element: BitwiseCopyable>(
        _ values: [Element], shape: [Int], kind: String, to path: String
    ) throws {
        let sizes = shape.map { "\($0)," }.joined(separator: " ")
        var header = "{'descr': '\(kind)', 'fortran_order': False, 'shape': (\(sizes)), }"
        // The data start at a multiple of 64.
        header += String(repeating: " ", count: 63 - (10 + header.utf8.count) % 64) + "\n"
        var data = Data([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0])
        data.append(UInt8(header.utf8.count & 0xFF))
        data.append(UInt8(header.utf8.count >> 8))
        data.append(Data(header.utf8))
        values.withUnsafeBytes { data.append(contentsOf: $0) }
        try data.write(to: URL(fileURLWithPath: path))
    }
}

enum LoopError: Error, CustomStringConvertible {
    case badFile(String)
    case usage

    var description: String {
        switch self {
        case .badFile(let reason): reason
        case .usage: ModelLoop.usage
        }
    }
}
