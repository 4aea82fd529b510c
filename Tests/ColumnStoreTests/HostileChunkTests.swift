import ByteCoding
import ColumnStore
import Numerical
import Testing

/// A segment file whose parts can be changed and whose checksums are then made right again.
private struct Forgery {
    private let original: [UInt8]
    let columnCount: Int
    let blockCount: Int
    private let footer: Int
    private let trailer: Int

    init(_ bytes: [UInt8], columnCount: Int, blockCount: Int) {
        original = bytes
        self.columnCount = columnCount
        self.blockCount = blockCount
        trailer = bytes.count - 32
        footer = Int(bytes.span.bytes.integer(at: trailer, as: UInt64.self) ?? 0)
    }

    private func entryOffset(_ entry: Int) -> Int {
        trailer - (columnCount * blockCount - entry) * 48
    }

    func chunk(_ entry: Int) -> Range<Int> {
        let span = original.span.bytes
        let start = Int(span.integer(at: entryOffset(entry), as: UInt64.self) ?? 0)
        let count = Int(span.integer(at: entryOffset(entry) + 8, as: UInt32.self) ?? 0)
        return start..<start + count
    }

    /// - Parameters:
    ///   - changes: bytes of the file by offset.
    ///   - fields: bytes of the entry by offset within it.
    func bytes(
        entry: Int, changes: [(Int, UInt8)], fields: [(Int, UInt8)] = []
    ) -> [UInt8] {
        var writer = ByteWriter()
        writer.append(contentsOf: original)
        for (offset, value) in changes { writer.overwrite(value, at: offset) }
        let chunk = chunk(entry)
        writer.overwrite(writer.checksum(of: chunk), at: entryOffset(entry) + 16)
        for (offset, value) in fields { writer.overwrite(value, at: entryOffset(entry) + offset) }
        writer.overwrite(writer.checksum(of: footer..<trailer), at: trailer + 16)
        writer.overwrite(UInt32(0), at: trailer + 20)
        writer.overwrite(writer.checksum(of: trailer..<original.count), at: trailer + 20)
        return writer.bytes
    }
}

/// Chunks with right checksums and wrong contents, as a hostile or faulty writer makes them: they
/// are refused or mean something, and nothing crashes or reads outside.
@Suite struct HostileChunkTests {
    private static func noise(_ row: Int) -> UInt64 { StableHash.hash(Int64(row)) }

    /// Every encoding of version 2 with zones, exceptions, nulls, several vectors and a short last
    /// one.
    private static func specimen(_ folder: TemporaryFolder) throws -> Forgery {
        let rows = 0..<2_100
        func noise(_ row: Int) -> UInt64 { Self.noise(row) }
        let columns: [(ColumnData, [Bool]?)] = [
            (.int64(rows.map { $0 % 433 == 5 ? .min : Int64(noise($0) % 500) }), nil),
            (.int64(rows.map { Int64(bitPattern: noise($0)) >> 20 }), nil),
            (.int64(rows.map { Int64($0 * 900) + Int64(noise($0) % 60) }), nil),
            (.int64(rows.map { [.min, -1, .max][Int(noise($0) % 3)] }), nil),
            (.int64(rows.map { Int64($0 / 211) &* 0x1234_5678_9ABC }), rows.map { $0 % 3 != 0 }),
            (.int64(rows.map { $0 % 9 == 0 ? Int64(noise($0) % 1_000) : 5 }), nil),
            (.int64(rows.map { _ in 3 }), rows.map { _ in false }),
            (
                .float32(
                    rows.map { $0 % 300 == 7 ? .nan : Float(noise($0) % 100_000) / 100 }), nil
            ),
            (
                .float32(rows.map { noise($0) % 5 < 3 ? 0 : Float(noise($0) % 1_009) / 1_000 }),
                rows.map { $0 % 8 != 1 }
            ),
            (.float64(rows.map { Double($0) / 4 }), nil),
            (.float64(rows.map { Double(bitPattern: noise($0)) }), nil),
            (
                .text(TextArray(rows.map { ["", "web", "Größe"][Int(noise($0) % 3)] })),
                rows.map { $0 % 70 != 7 }
            ),
            (.text(TextArray(rows.map { "\(noise($0))" })), nil),
        ]
        let names = columns.indices.map { "c\($0)" }
        let writer = try SegmentWriter(
            path: folder.file("a"),
            schema: zip(names, columns).map { ColumnSchema(name: $0, type: $1.0.type) })
        try writer.append(
            zip(names, columns).map { Column(name: $0, data: $1.0, validity: $1.1) })
        _ = try writer.finish()
        return Forgery(try folder.bytes("a"), columnCount: columns.count, blockCount: 1)
    }

    /// Reads one column in every way there is.
    private static func read(_ path: String, _ column: Int) throws -> Bool {
        let reader = try SegmentReader(path: path)
        let schema = reader.schema[column]
        _ = try reader.column(column, blocks: 0..<reader.blockCount)
        if schema.type == .text { return true }
        let encoded = try EncodedColumn(reader, column: schema.name)
        let memory = DecodeMemory()
        var selection = Selection()
        let predicates: [Predicate] =
            schema.type == .int64
            ? [.integers(0...300), .anyOf([5, 7])] : [.numbers(0...30)]
        for vector in 0..<encoded.vectorCount {
            for predicate in predicates {
                encoded.select(predicate, vector: vector, into: &selection, memory)
            }
        }
        for row in stride(from: 0, to: reader.rowCount, by: 97) { _ = encoded.pattern(row: row) }
        _ = encoded.pattern(row: reader.rowCount - 1)
        _ = encoded.sum(where: [(encoded, predicates[0])], threadCount: 1)
        return true
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func randomContents(seed: UInt64) throws {
        let folder = try TemporaryFolder(isInMemory: true)
        let forgery = try Self.specimen(folder)
        var random = SeededRandom(seed: seed)
        var acceptedCount = 0
        for round in 0..<260 {
            let entry = round % (forgery.columnCount * forgery.blockCount)
            let chunk = forgery.chunk(entry)
            // The heads of chunks and of their parts decide the most.
            let reach = random.below(2) == 0 ? min(24, chunk.count) : chunk.count
            let changes = (0..<1 + random.below(6)).map { _ -> (Int, UInt8) in
                let value = [0, 1, 0x3F, 0x7F, 0x80, 0xFF, UInt8(random.below(256))]
                return (chunk.lowerBound + random.below(reach), value[random.below(7)])
            }
            // Sometimes another encoding, bitmap, null count, zones or LZ4 is claimed.
            let fields: [(Int, UInt8)] =
                switch random.below(4) {
                case 0: [(20, UInt8(1 + random.below(12)))]
                case 1: [(21 + random.below(8), UInt8(random.below(3)))]
                default: []
                }
            try folder.write(forgery.bytes(entry: entry, changes: changes, fields: fields), "x")
            let isAccepted = try? Self.read(folder.file("x"), entry % forgery.columnCount)
            acceptedCount += isAccepted == true ? 1 : 0
        }
        // Some changes only alter values: were none accepted, the contents would not be reached.
        #expect((5...250).contains(acceptedCount), "seed \(seed): \(acceptedCount) accepted")
    }
}

@Suite struct MissingValueTests {
    /// Blocks without a single value beside others, for every type of column.
    @Test func blocksOfNothing() throws {
        let folder = try TemporaryFolder()
        let rows = 0..<(3 * 16_384 + 5)
        // The second and the last block have no value.
        let validity = rows.map { $0 / 16_384 % 2 == 0 }
        let columns: [(String, ColumnData)] = [
            ("integer", .int64(rows.map { Int64($0 * 7) })),
            ("double", .float64(rows.map { Double($0) / 3 })),
            ("float", .float32(rows.map { Float($0 % 900) / 100 })),
            ("text", .text(TextArray(rows.map { "t\($0 % 90)" }))),
            (
                "coded",
                .coded(
                    CodedText(
                        codes: rows.map { UInt32($0 % 2) }, values: TextArray(["a", "b"])))
            ),
        ]
        let writer = try SegmentWriter(
            path: folder.file("a"),
            schema: columns.map { ColumnSchema(name: $0.0, type: $0.1.type) })
        try writer.append(columns.map { Column(name: $0.0, data: $0.1, validity: validity) })
        _ = try writer.finish()
        let reader = try SegmentReader(path: folder.file("a"))
        try reader.verify()
        for (name, data) in columns {
            let column = try reader.column(named: name)
            #expect(column.validity == validity, "\(name)")
            if data.type == .text { continue }
            let encoded = try EncodedColumn(reader, column: name)
            for row in [0, 16_383, 16_384, 20_000, 32_767, 32_768, rows.count - 1] {
                #expect((encoded.pattern(row: row) != nil) == validity[row], "\(name), \(row)")
            }
            let predicate: Predicate =
                data.type == .int64 ? .integers(.min ... .max) : .numbers(-1e9...1e9)
            let total = encoded.sum(where: [(encoded, predicate)], threadCount: 2)
            #expect(total.count == 2 * 16_384, "\(name)")
            #expect(encoded.sum(where: [], threadCount: 1).count == 2 * 16_384, "\(name)")
        }
    }
}
