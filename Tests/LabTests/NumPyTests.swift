import ColumnStore
import Foundation
import Lab
import TestSupport
import Testing

/// A .npy file byte by byte: the magic, the version, the text padded to a multiple of 64, the rest.
func numPyBytes(
    _ text: String, version: (UInt8, UInt8) = (1, 0), data: [UInt8] = [], padding: Bool = true
) -> [UInt8] {
    var text = text
    let start = version.0 == 1 ? 10 : 12
    if padding {
        text += String(repeating: " ", count: 63 - (start + text.utf8.count) % 64) + "\n"
    }
    let count = text.utf8.count
    var bytes: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, version.0, version.1]
    for shift in version.0 == 1 ? [0, 8] : [0, 8, 16, 24] {
        bytes.append(UInt8(truncatingIfNeeded: count >> shift))
    }
    return bytes + Array(text.utf8) + data
}

func littleEndian(_ values: [Float]) -> [UInt8] {
    values.flatMap { value in
        [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: value.bitPattern >> $0) }
    }
}

extension URL {
    /// Writes a file into the folder and returns its path.
    func write(_ bytes: [UInt8], as name: String) throws -> String {
        let url = appendingPathComponent(name)
        try Data(bytes).write(to: url)
        return url.path
    }

    func sub(_ name: String) -> String { appendingPathComponent(name).path }

    /// Writes an array and returns its path.
    func save(_ values: [Float], _ shape: [Int], as name: String) throws -> String {
        let path = sub(name)
        try NumPyOutput(path).write(values, shape: shape)
        return path
    }

    func save(_ values: [Int32], as name: String) throws -> String {
        let path = sub(name)
        try NumPyOutput(path).write(values, shape: [values.count])
        return path
    }
}

@Suite struct NumPyTests {
    /// What numpy.save(…, numpy.array([[1, 2], [3, 4], [5, 6]], '<f4')) writes, by NumPy 1.26.
    @Test func aFileOfNumPy() throws {
        let bytes = numPyBytes(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }",
            data: littleEndian([1, 2, 3, 4, 5, 6]))
        #expect(bytes.count == 128 + 24)
        #expect(Array(bytes[8..<10]) == [0x76, 0x00])
        try withTemporaryFolder { folder in
            let file = try NumPyFile(try folder.write(bytes, as: "a.npy"))
            #expect(file.shape == [3, 2])
            #expect(file.header.element == .float32)
            #expect(file.header.dataOffset == 128)
            #expect(try file.floats() == [1, 2, 3, 4, 5, 6])
            // Ours are the same bytes.
            let path = try folder.save([1, 2, 3, 4, 5, 6], [3, 2], as: "b.npy")
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(bytes))
        }
    }

    @Test(arguments: [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
        "{ 'shape' : ( 2 , ) ,'fortran_order':False,\"descr\":\"<f4\"}",
        "{'shape': (2L,), 'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2, 1), }",
    ])
    func spellings(text: String) throws {
        try withTemporaryFolder { folder in
            for version: (UInt8, UInt8) in [(1, 0), (2, 0), (3, 0)] {
                for padding in [true, false] {
                    let bytes = numPyBytes(
                        text, version: version, data: littleEndian([0.5, -2]), padding: padding)
                    let file = try NumPyFile(try folder.write(bytes, as: "a.npy"))
                    #expect(try file.floats() == [0.5, -2])
                }
            }
        }
    }

    @Test func roundTrips() throws {
        try withTemporaryFolder { folder in
            let path = folder.sub("a.npy")
            for count in [0, 1, 2, 15, 16, 17, 1_000] {
                let numbers = (0..<count).map { $0 * 7 - 3 }
                try NumPyOutput(path).write(numbers.map(Float.init), shape: [count])
                #expect(try NumPyFile(path).floats() == numbers.map(Float.init))
                try NumPyOutput(path).write(numbers.map(Int32.init), shape: [1, count])
                #expect(try NumPyFile(path).integers() == numbers)
                try NumPyOutput(path).write(numbers.map(Int64.init), shape: [count, 1])
                #expect(try NumPyFile(path).shortIntegers() == numbers.map(Int32.init))
                #expect(try NumPyFile(path).exactFloats() == numbers.map(Float.init))
                #expect(try NumPyFile(path).header.dataOffset % 64 == 0)
            }
            // An array without axes holds one element.
            let scalar = numPyBytes(
                "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", data: littleEndian([3]))
            #expect(try NumPyFile(try folder.write(scalar, as: "s.npy")).floats() == [3])
        }
    }

    struct Damage: Sendable, CustomTestStringConvertible {
        var name: String
        var bytes: [UInt8]
        var offset: Int
        var words: [String]
        var testDescription: String { name }
    }

    static let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
    static let data = littleEndian([1, 2, 3, 4, 5, 6])

    static let damages: [Damage] = {
        /// The good header with one part replaced.
        func changed(
            _ name: String, _ from: String, _ to: String, offset: Int, _ words: String...
        ) -> Damage {
            Damage(
                name: name, bytes: numPyBytes(good.replacing(from, with: to), data: data),
                offset: offset, words: words)
        }
        var text = Array("customer,amount".utf8)
        text += [UInt8](repeating: 0x20, count: 100)
        return [
            Damage(name: "text", bytes: text, offset: 0, words: ["0x63", "numpy.save"]),
            Damage(name: "empty", bytes: [], offset: 0, words: ["the end of the file"]),
            Damage(
                name: "version", bytes: numPyBytes(good, version: (4, 0), data: data), offset: 6,
                words: ["version 4.0"]),
            changed("big-endian", "<f4", ">f4", offset: 20, "'>f4'", "big-endian", "astype('<f4')"),
            changed("half precision", "<f4", "<f2", offset: 20, "'<f2'", "'<f8'"),
            changed(
                "structured", "'<f4'", "[('x', '<f4')]", offset: 20, "structured", "array['field']"),
            changed("Fortran order", "False", "True", offset: 44, "Fortran", "ascontiguousarray"),
            changed("neither", "False", "Perhaps", offset: 44, "'P'", "True or False"),
            changed("negative", "(2, 3)", "(-2, 3)", offset: 61, "'-'", "size"),
            changed("open", "3), }", "3, ", offset: 128, "the end of the header", "size"),
            changed("twice", "'shape'", "'descr'", offset: 51, "'descr'", "once each"),
            changed("unknown key", "'shape'", "'sharp'", offset: 51, "'sharp'"),
            changed("no shape", "'shape': (2, 3), ", "", offset: 10, "no key 'shape'"),
            changed("something follows", "}", "}x", offset: 69, "'x'", "spaces"),
            changed(
                "overflow", "(2, 3)", "(4611686018427387904, 4)", offset: 60, "4611686018427387904"),
            changed(
                "no such number", "(2, 3)", "(99999999999999999999,)", offset: 61, "less than 2^63"),
            changed(
                "lies: too many", "(2, 3)", "(3, 3)", offset: 152, "24 bytes", "36", "cut short"),
            changed("lies: too few", "(2, 3)", "(1, 3)", offset: 140, "24 bytes", "12", "follows"),
            Damage(
                name: "long header",
                bytes: [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 2, 0, 0xFF, 0xFF, 0xFF, 0x7F]
                    + [UInt8](repeating: 0x20, count: 64),
                offset: 8, words: ["2147483647", "at most 65535"]),
        ]
    }()

    @Test(arguments: damages)
    func damagedFiles(damage: Damage) throws {
        try withTemporaryFolder { folder in
            let path = try folder.write(damage.bytes, as: "a.npy")
            let error = #expect(throws: LabError.self) { try NumPyFile(path) }
            guard case .badArray(path, damage.offset, _, _, _)? = error else {
                Issue.record("\(damage.name): \(error.map { "\($0)" } ?? "nothing")")
                return
            }
            let message = error?.description ?? ""
            for word in damage.words { #expect(message.contains(word), "\(message)") }
        }
    }

    @Test func everyTruncationIsFound() throws {
        let bytes = numPyBytes(Self.good, data: Self.data)
        try withTemporaryFolder { folder in
            for count in 0..<bytes.count {
                let path = try folder.write(Array(bytes[..<count]), as: "a.npy")
                let error = #expect(throws: LabError.self) { try NumPyFile(path) }
                guard case .badArray(path, let offset, _, _, _)? = error else {
                    Issue.record("\(count) bytes: \(error.map { "\($0)" } ?? "nothing")")
                    continue
                }
                #expect(offset <= count)
            }
            _ = try NumPyFile(try folder.write(bytes, as: "a.npy"))
        }
    }

    /// Whatever the bytes are, an error or an array comes out, never a crash.
    @Test func flippedBits() throws {
        let bytes = numPyBytes(Self.good, data: Self.data)
        try withTemporaryFolder { folder in
            for index in 0..<128 {
                for bit in 0..<8 {
                    var damaged = bytes
                    damaged[index] ^= 1 << bit
                    let path = try folder.write(damaged, as: "a.npy")
                    do throws(LabError) {
                        let file = try NumPyFile(path)
                        #expect(file.count * file.header.element.byteCount == 24)
                    } catch {
                        #expect(error.description.hasPrefix(path))
                    }
                }
            }
        }
    }

    @Test func typesAreNotRounded() throws {
        try withTemporaryFolder { folder in
            let path = folder.sub("a.npy")
            try NumPyOutput(path).write([1.5, 2.5] as [Double], shape: [2])
            var file = try NumPyFile(path)
            #expect(throws: LabError.self) { try file.floats() }
            #expect(throws: LabError.self) { try file.exactFloats() }
            #expect(throws: LabError.self) { try file.integers() }
            let error = #expect(throws: LabError.self) { try file.floats() }
            #expect(error?.description.contains("astype('<f4')") ?? false)

            try NumPyOutput(path).write([1, 1 << 24, (1 << 24) + 1] as [Int64], shape: [3])
            file = try NumPyFile(path)
            let rounded = #expect(throws: LabError.self) { try file.exactFloats() }
            #expect(rounded?.description.contains("element 2 (byte 144) is 16777217") ?? false)

            try NumPyOutput(path).write([7, 1 << 31, 1, 2] as [Int64], shape: [2, 2])
            let wide = #expect(throws: LabError.self) { try NumPyFile(path).shortIntegers() }
            #expect(wide?.description.contains("row 0, column 1") ?? false)
        }
    }

    @Test func axesAndFiles() throws {
        try withTemporaryFolder { folder in
            let path = try folder.save([1, 2, 3], [3], as: "a.npy")
            let error = #expect(throws: LabError.self) {
                try NumPyFile(path).requireAxes(2, "rows and features")
            }
            #expect(error?.description.contains("rows and features") ?? false)
            for name in ["none.npy", "."] {
                let error = #expect(throws: LabError.self) { try NumPyFile(folder.sub(name)) }
                guard case .store? = error else {
                    Issue.record("\(name): \(error.map { "\($0)" } ?? "nothing")")
                    continue
                }
            }
        }
    }

    @Test func outputsAppearWholeOrNotAtAll() throws {
        try withTemporaryFolder { folder in
            #expect(throws: LabError.self) { try NumPyOutput(folder.sub("none/a.npy")) }
            // Opened and not written: nothing is left.
            do { _ = try NumPyOutput(folder.sub("a.npy")) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
            _ = try folder.save([1], [1], as: "a.npy")
            do { _ = try NumPyOutput(folder.sub("a.npy")) }
            #expect(try NumPyFile(folder.sub("a.npy")).floats() == [1])
        }
    }

    /// Source: the test vectors of the FNV authors (fnv64a).
    @Test func hashes() {
        var hash = ResultHash()
        #expect(hash.text == "cbf29ce484222325")
        hash.add(Array("a".utf8))
        #expect(hash.text == "af63dc4c8601ec8c")
        var second = ResultHash()
        second.add(Array("foo".utf8))
        second.add(Array("bar".utf8))
        #expect(second.text == "85944171f73967e8")
    }
}
