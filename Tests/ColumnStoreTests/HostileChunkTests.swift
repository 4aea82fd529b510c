import ByteCoding
import ColumnStore
import Numerical
import Testing

/// A segment file whose parts can be changed and whose checksums are then made right again.
private struct Forgery {
    private let original: [UInt8]
    let columnCount: Int
    /// By chunk, where the heads of its parts start within it: its own, that of the encoding behind
    /// the bitmap and the zones, that of what a sparse chunk holds and the ends of runs.
    let heads: [[Int]]
    /// By chunk.
    let encodings: [Encoding]
    private let footer: Int
    private let trailer: Int

    /// - Parameter bytes: a file of one block, whose LZ4 chunks have no other heads than their own.
    init(_ bytes: [UInt8], _ reader: SegmentReader) {
        original = bytes
        columnCount = reader.schema.count
        let bitmap = (reader.rowCount + 63) / 64 * 8
        let vectorCount = (reader.rowCount + 1_023) / 1_024
        encodings = reader.schema.indices.map {
            reader.encoding(column: $0, block: 0).encoding
        }
        heads = reader.schema.indices.map { column in
            let entry = reader.encoding(column: column, block: 0)
            if entry.isCompressed { return [0] }
            let size = reader.schema[column].type == .float32 ? 4 : 8
            var head = 0
            if reader.zoneMap(column: column, block: 0).nullCount > 0 { head += bitmap }
            if entry.hasZones { head += vectorCount * 2 * size }
            switch entry.encoding {
            case .sparse:
                return [0, head, head + 16 + bitmap + (vectorCount * 2 + 7) / 8 * 8]
            case .runEnds:
                let start = Self.chunk(column, reader.schema.count, bytes).lowerBound
                let runCount = bytes.span.bytes.integer(at: start + head, as: UInt32.self) ?? 0
                return [0, head, head + 8 + Int(runCount) * size]
            default:
                return [0, head]
            }
        }
        trailer = bytes.count - 32
        footer = Int(bytes.span.bytes.integer(at: trailer, as: UInt64.self) ?? 0)
    }

    private static func entryOffset(_ entry: Int, _ columnCount: Int, _ bytes: [UInt8]) -> Int {
        bytes.count - 32 - (columnCount - entry) * 48
    }

    private static func chunk(_ entry: Int, _ columnCount: Int, _ bytes: [UInt8]) -> Range<Int> {
        let span = bytes.span.bytes
        let place = entryOffset(entry, columnCount, bytes)
        let start = Int(span.integer(at: place, as: UInt64.self) ?? 0)
        let count = Int(span.integer(at: place + 8, as: UInt32.self) ?? 0)
        return start..<start + count
    }

    func chunk(_ entry: Int) -> Range<Int> { Self.chunk(entry, columnCount, original) }

    /// - Parameters:
    ///   - changes: bytes of the file by offset.
    ///   - fields: bytes of the entry by offset within it.
    func bytes(
        entry: Int, changes: [(Int, UInt8)], fields: [(Int, UInt8)] = []
    ) -> [UInt8] {
        var writer = ByteWriter()
        writer.append(contentsOf: original)
        for (offset, value) in changes { writer.overwrite(value, at: offset) }
        let place = Self.entryOffset(entry, columnCount, original)
        writer.overwrite(writer.checksum(of: chunk(entry)), at: place + 16)
        for (offset, value) in fields { writer.overwrite(value, at: place + offset) }
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
            schema: columns.indices.map {
                // Runs and a constant after a bitmap, which are not put under LZ4 then.
                ColumnSchema(
                    name: names[$0], type: columns[$0].0.type, isHot: $0 == 4 || $0 == 6)
            })
        try writer.append(
            zip(names, columns).map { Column(name: $0, data: $1.0, validity: $1.1) })
        _ = try writer.finish()
        let reader = try SegmentReader(path: folder.file("a"))
        // Where they can be reached behind a bitmap and zones, and not under LZ4.
        let plain = reader.schema.indices.map { reader.encoding(column: $0, block: 0) }
            .filter { !$0.isCompressed }
        #expect(
            Set(plain.map(\.encoding)).isSuperset(of: [
                .constant, .raw, .packed, .packedDelta, .packedDictionary, .runEnds, .decimal,
                .sparse,
            ]))
        return Forgery(try folder.bytes("a"), reader)
    }

    /// Reads one column in every way there is.
    private static func read(_ path: String, _ column: Int) throws {
        let reader = try SegmentReader(path: path)
        let schema = reader.schema[column]
        _ = try reader.column(column, blocks: 0..<reader.blockCount)
        if schema.type == .text { return }
        let encoded = try EncodedColumn(reader, column: schema.name)
        let memory = DecodeMemory()
        var selection = Selection()
        let predicate: Predicate = schema.type == .int64 ? .integers(0...300) : .numbers(0...30)
        for vector in 0..<encoded.vectorCount {
            encoded.select(predicate, vector: vector, into: &selection, memory)
        }
        for row in stride(from: 0, to: reader.rowCount, by: 97) { _ = encoded.pattern(row: row) }
        _ = encoded.pattern(row: reader.rowCount - 1)
        _ = encoded.sum(where: [(encoded, predicate)], threadCount: 1)
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func randomContents(seed: UInt64) throws {
        let folder = try TemporaryFolder(isInMemory: true)
        let forgery = try Self.specimen(folder)
        var random = SeededRandom(seed: seed)
        var acceptedCount = 0
        var reasons: Set<String> = []
        // Those refused for a change behind the bitmap and the zones alone.
        var refused: Set<Encoding> = []
        for round in 0..<520 {
            let entry = round % forgery.columnCount
            let chunk = forgery.chunk(entry)
            // The heads of chunks and of their parts decide the most.
            let heads = forgery.heads[entry]
            let place = random.below(heads.count)
            let head = chunk.lowerBound + heads[place]
            let isHead = random.below(4) > 0
            let reach = isHead ? head..<min(head + 24, chunk.upperBound) : chunk
            let changes = (0..<1 + random.below(6)).map { _ -> (Int, UInt8) in
                let value = [0, 1, 0x3F, 0x7F, 0x80, 0xFF, UInt8(random.below(256))]
                return (reach.lowerBound + random.below(reach.count), value[random.below(7)])
            }
            // Sometimes another encoding, bitmap, null count, zones or LZ4 is claimed.
            let fields: [(Int, UInt8)] =
                switch random.below(4) {
                case 0: [(20, UInt8(1 + random.below(12)))]
                case 1: [(21 + random.below(8), UInt8(random.below(3)))]
                default: []
                }
            try folder.write(forgery.bytes(entry: entry, changes: changes, fields: fields), "x")
            do {
                try Self.read(folder.file("x"), entry)
                acceptedCount += 1
            } catch StoreError.corrupt(_, _, let reason) {
                reasons.insert(reason)
                if isHead, place > 0, fields.isEmpty { refused.insert(forgery.encodings[entry]) }
            } catch is StoreError {
                continue
            }
        }
        // Some changes only alter values: were none accepted, the contents would not be reached.
        #expect((10...500).contains(acceptedCount), "seed \(seed): \(acceptedCount) accepted")
        // Any byte of the others means some value.
        #expect(
            refused.isSuperset(of: [
                .packed, .packedDelta, .packedDictionary, .runEnds, .decimal, .sparse,
            ]), "seed \(seed): \(refused)")
        // What the heads of bitmaps, zones, encodings and the others of a sparse chunk are refused for.
        for part in [
            "the validity bitmap does not match", "the zones of a chunk do not span",
            "values or runs in 2100 rows", "a width of", "the rows of exceptions do not ascend",
            "a decimal's reference or exponent",
            "the others of a sparse chunk are of no valid encoding",
            "the ranks of a sparse chunk do not count", "reserved bytes or padding",
        ] {
            #expect(reasons.contains { $0.contains(part) }, "seed \(seed): none of \(part)")
        }
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
