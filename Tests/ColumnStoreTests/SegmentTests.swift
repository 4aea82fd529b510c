import ByteCoding
import ColumnStore
import Numerical
import Testing

/// One column written and read back.
private func roundTrip(_ data: ColumnData, validity: [Bool]? = nil) throws -> SegmentReader {
    let folder = try TemporaryFolder()
    let path = folder.file("c.seg")
    let writer = try SegmentWriter(
        path: path, schema: [ColumnSchema(name: "c", type: data.type, unit: "1")])
    try writer.append([Column(name: "c", data: data, validity: validity)])
    #expect(!folder.names.contains("c.seg"))
    let summary = try writer.finish()
    #expect(summary.rowCount == data.count)
    let reader = try SegmentReader(path: path)
    #expect(reader.rowCount == data.count && reader.version == .latest)
    #expect(reader.byteCount == summary.byteCount)
    try reader.verify()
    return reader
}

private func patterns(_ data: ColumnData) -> [UInt64] {
    switch data {
    case .int64(let values): values.map { UInt64(bitPattern: $0) }
    case .float32(let values): values.map { UInt64($0.bitPattern) }
    case .float64(let values): values.map(\.bitPattern)
    case .coded, .text: []
    }
}

private let sizes = [0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 16_383, 16_384, 16_385]
private let fewSizes = [1, 2, 3, 8, 63, 64, 65, 16_385]

@Suite struct SegmentTests {
    /// Integers that make each encoding the smallest.
    static let integerShapes: [(Encoding, @Sendable (Int) -> Int64)] = [
        (.constant, { _ in 42 }),
        (.runEnds, { Int64($0 / 1_000) &* 0x1234_5678_9ABC }),
        (.packed, { 1_000_000 + Int64($0) &* 7919 % 1_000 }),
        (.packedDelta, { Int64.max &+ Int64($0) &* 86_400 &+ Int64($0 % 3) }),
        (.packedDictionary, { [Int64.min, 0, Int64.max, -1, 77][$0 &* 7919 % 5] }),
        (.raw, { Int64(bitPattern: StableHash.hash(Int64($0))) }),
    ]

    @Test(arguments: integerShapes.indices) func integerEncodings(shape: Int) throws {
        let (encoding, value) = Self.integerShapes[shape]
        for size in sizes {
            let values = (0..<size).map(value)
            let reader = try roundTrip(.int64(values))
            #expect(try reader.integers(named: "c") == values)
            if size >= 16_384 {
                #expect(reader.encoding(column: 0, block: 0).encoding == encoding)
                #expect(
                    try reader.block(1 % reader.blockCount, column: 0).data
                        == .int64(Array(values[reader.rows(ofBlock: 1 % reader.blockCount)])))
            }
        }
    }

    @Test func extremeIntegers() throws {
        let extremes: [Int64] = [.min, .max, 0, -1, 1, .min + 1, .max - 1]
        for size in [1, 2, 3, 7, 100] {
            var random = SeededRandom(seed: 5, stream: UInt64(size))
            let values = (0..<size).map { _ in extremes[Int(random.next() % 7)] }
            #expect(try roundTrip(.int64(values)).integers(named: "c") == values)
        }
        let alternating = (0..<20_000).map { $0 % 2 == 0 ? Int64.min : Int64.max }
        #expect(try roundTrip(.int64(alternating)).integers(named: "c") == alternating)
    }

    /// Every bit width, both ends of the range present.
    @Test func everyWidth() throws {
        var random = SeededRandom(seed: 6, stream: 0)
        for width in 1...64 {
            let mask = UInt64.max >> UInt64(64 - width)
            var values = (0..<777).map { _ in
                Int64(bitPattern: random.next() & mask) &- 12_345
            }
            values[3] = -12_345
            values[700] = Int64(bitPattern: mask) &- 12_345
            #expect(try roundTrip(.int64(values)).integers(named: "c") == values, "width \(width)")
        }
    }

    @Test func floatsKeepEveryBit() throws {
        let patterns64: [UInt64] = [
            0, 0x8000_0000_0000_0000, 0x7FF8_0000_0000_1234, 0x7FF0_0000_0000_0001,
            0xFFF0_0000_0000_0000, 1, 0x000F_FFFF_FFFF_FFFF, 0x3FF0_0000_0000_0000,
        ]
        for size in fewSizes {
            let doubles = (0..<size).map { Double(bitPattern: patterns64[$0 &* 5 % 8]) }
            let read = try roundTrip(.float64(doubles)).column(named: "c").data
            #expect(patterns(read) == doubles.map(\.bitPattern))
            let floats = (0..<size).map {
                Float(bitPattern: UInt32(truncatingIfNeeded: patterns64[$0 &* 3 % 8] >> 32))
            }
            let readFloats = try roundTrip(.float32(floats)).column(named: "c").data
            #expect(patterns(readFloats) == floats.map { UInt64($0.bitPattern) })
        }
        var random = SeededRandom(seed: 7, stream: 0)
        let anything = (0..<20_000).map { _ in Double(bitPattern: random.next()) }
        let read = try roundTrip(.float64(anything)).column(named: "c").data
        #expect(patterns(read) == anything.map(\.bitPattern))
        let runs = (0..<20_000).map { Float($0 / 777) }
        let reader = try roundTrip(.float32(runs))
        #expect(reader.encoding(column: 0, block: 0).encoding == .runEnds)
        #expect(try reader.column(named: "c").data == .float32(runs))
    }

    @Test func textsOfEveryKind() throws {
        let huge = String(repeating: "Größe ", count: 20_000)
        for size in [0] + fewSizes {
            let few = TextArray((0..<size).map { ["", "a", "Ärger", "日本"][$0 &* 7 % 4] })
            let many = TextArray((0..<size).map { "order \($0 &* 7919)" })
            #expect(try roundTrip(.text(few)).column(named: "c").data == .text(few))
            #expect(try roundTrip(.text(many)).column(named: "c").data == .text(many))
            let coded = try roundTrip(.text(few)).coded(named: "c")
            #expect((0..<size).allSatisfy { coded[$0] == few[$0] })
        }
        let mixed = TextArray(["", huge, "x", huge, "", "y"])
        let reader = try roundTrip(.text(mixed))
        #expect(try reader.column(named: "c").data == .text(mixed))
        #expect(reader.encoding(column: 0, block: 0).isCompressed)
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0) }
        var binary = TextArray()
        for count in [0, 1, 7, 8, 9, 300] { binary.append(utf8: bytes.prefix(count)) }
        #expect(try roundTrip(.text(binary)).column(named: "c").data == .text(binary))
    }

    @Test func codedTextsWithMissingRows() throws {
        for size in [0] + fewSizes {
            let codes: [UInt32] = (0..<size).map { row in
                if row % 5 == 4 { return CodedText.missing }
                return UInt32(row &* 7 % 3)
            }
            let values = TextArray(["red", "green", "blue"])
            let column = CodedText(codes: codes, values: values)
            let reader = try roundTrip(.coded(column))
            let read = try reader.coded(named: "c")
            #expect((0..<size).allSatisfy { read[$0] == column[$0] })
            let texts = try reader.column(named: "c")
            #expect(texts.validity == (size > 4 ? codes.map { $0 != CodedText.missing } : nil))
            if case .text(let array) = texts.data {
                #expect((0..<size).allSatisfy { array[$0] == column[$0] ?? "" })
            }
        }
    }

    @Test func rowsWithoutValue() throws {
        for size in fewSizes {
            for modulus in size > 100 ? [3] : [1, 2, 3, 64] {
                let validity = (0..<size).map { $0 % modulus != 0 }
                let values = (0..<size).map { Int64($0) &* 1_000_003 }
                let masked = zip(values, validity).map { $1 ? $0 : 0 }
                let reader = try roundTrip(.int64(values), validity: validity)
                let column = try reader.column(named: "c")
                #expect(column.data == .int64(masked))
                #expect(column.validity == validity)
                let doubles = try roundTrip(
                    .float64(values.map(Double.init)), validity: validity)
                #expect(
                    try doubles.column(named: "c").data == .float64(masked.map(Double.init)))
                let texts = TextArray(values.map(String.init))
                let read = try roundTrip(.text(texts), validity: validity).column(named: "c")
                #expect(
                    read.data
                        == .text(TextArray(zip(values, validity).map { $1 ? String($0) : "" })))
            }
        }
    }

    /// Any cut into batches gives the same bytes.
    @Test(arguments: [1, 2, 3] as [UInt64]) func batchesDoNotMatter(seed: UInt64) throws {
        var random = SeededRandom(seed: seed, stream: 1)
        let folder = try TemporaryFolder()
        let rowCount = 20_000 + Int(random.next() % 20_000)
        let scale = Int64(1) << Int64(random.next() % 60)
        let ids = (0..<rowCount).map { _ in Int64(bitPattern: random.next()) / scale }
        let texts = ids.map { "t\($0 % 50)" }
        let validity = ids.map { $0 % 7 != 0 }
        let schema = [
            ColumnSchema(name: "id", type: .int64), ColumnSchema(name: "text", type: .text),
            ColumnSchema(name: "value", type: .float32, unit: "GBP"),
        ]
        func columns(_ rows: Range<Int>) -> [Column] {
            [
                Column(name: "id", data: .int64(Array(ids[rows]))),
                Column(
                    name: "text", data: .text(TextArray(texts[rows])),
                    validity: Array(validity[rows])),
                Column(name: "value", data: .float32(ids[rows].map { Float($0 % 1_000) })),
            ]
        }
        let whole = try SegmentWriter(path: folder.file("whole"), schema: schema)
        try whole.append(columns(0..<rowCount))
        _ = try whole.finish()
        let cut = try SegmentWriter(path: folder.file("cut"), schema: schema)
        var start = 0
        while start < rowCount {
            let end = min(rowCount, start + Int(random.next() % 9_000))
            try cut.append(columns(start..<end))
            start = end
        }
        let summary = try cut.finish()
        #expect(try folder.bytes("whole") == folder.bytes("cut"), "seed \(seed)")
        #expect(try summary.checksum == CRC32C.checksum(folder.bytes("cut")))
        let reader = try SegmentReader(path: folder.file("cut"))
        #expect(try reader.integers(named: "id") == ids, "seed \(seed)")
        let coded = try reader.coded(named: "text")
        #expect(ids.indices.allSatisfy { coded[$0] == (validity[$0] ? texts[$0] : nil) })
    }

    /// Ranges that start, end and lie anywhere in blocks, with neighbours that touch.
    @Test(arguments: [1, 2, 3] as [UInt64]) func someRows(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let count = 3 * Limits.blockRowCount + random.below(500)
        let validity = seed == 2 ? (0..<count).map { $0 % 5 != 0 } : nil
        let numbers = (0..<count).map { Int64($0 * 7 % 1_000) }
        let folder = try TemporaryFolder()
        let writer = try SegmentWriter(
            path: folder.file("a.seg"),
            schema: [
                ColumnSchema(name: "i", type: .int64), ColumnSchema(name: "f", type: .float32),
            ])
        try writer.append([
            Column(name: "i", data: .int64(numbers), validity: validity),
            Column(name: "f", data: .float32(numbers.map { Float($0) / 2 }), validity: validity),
        ])
        _ = try writer.finish()
        let reader = try SegmentReader(path: folder.file("a.seg"))
        for blocks in [0..<4, 1..<3, 2..<2, 3..<4] {
            let first = blocks.lowerBound * Limits.blockRowCount
            let end = min(count, blocks.upperBound * Limits.blockRowCount) - first
            var rows: [Range<Int>] = []
            var place = random.below(2) * random.below(20_000)
            while place < end {
                let next = min(end, place + 1 + random.below(random.below(3) == 0 ? 20_000 : 40))
                rows.append(place..<next)
                place = next + random.below(2) * random.below(9_000)
            }
            for rows in [rows, [], [0..<max(0, end)]] {
                let wanted = rows.joined().map { row -> Int64 in
                    validity?[first + row] ?? true ? numbers[first + row] : 0
                }
                #expect(try reader.integers(0, blocks: blocks, rows: rows) == wanted)
                #expect(
                    try reader.floats(1, blocks: blocks, rows: rows)
                        == wanted.map { Float($0) / 2 })
            }
        }
    }

    @Test func zoneMaps() throws {
        let values = (0..<40_000).map { Int64($0) - 20_000 }
        let reader = try roundTrip(.int64(values), validity: values.map { $0 % 2 == 0 })
        #expect(
            reader.zoneMap(column: 0, block: 1)
                == ZoneMap(
                    rowCount: 16_384, nullCount: 8_192,
                    bounds: .int64(minimum: -3_616, maximum: 12_766)))
        let floats = try roundTrip(.float64([.nan, 0.0, -0.0, .infinity, .nan]))
        guard case .float64(let minimum, let maximum) = floats.zoneMap(column: 0, block: 0).bounds
        else {
            Issue.record("no bounds")
            return
        }
        #expect(minimum.sign == .minus && minimum == 0 && maximum == .infinity)
        #expect(try roundTrip(.float32([.nan])).zoneMap(column: 0, block: 0).bounds == nil)
        let texts = try roundTrip(.text(TextArray(["b", "abcdefghij", "é"])))
        #expect(
            texts.zoneMap(column: 0, block: 0).bounds
                == .textPrefix(minimum: 0x6162_6364_6566_6768, maximum: 0xC3A9_0000_0000_0000))
    }

    @Test func refusedInput() throws {
        let folder = try TemporaryFolder()
        let schema = [ColumnSchema(name: "a", type: .int64), ColumnSchema(name: "b", type: .text)]
        let writer = try SegmentWriter(path: folder.file("x"), schema: schema)
        let a = Column(name: "a", data: .int64([1, 2]))
        let b = Column(name: "b", data: .text(TextArray(["x", "y"])))
        try writer.append([a, b])
        for columns in [
            [], [a], [b, a], [a, Column(name: "b", data: .text(TextArray(["x"])))],
            [a, Column(name: "b", data: .int64([1, 2]))],
            [Column(name: "a", data: .int64([1, 2]), validity: [true]), b],
            [
                a,
                Column(
                    name: "b", data: .coded(CodedText(codes: [0, 1], values: TextArray(["x"])))),
            ],
        ] {
            #expect(throws: StoreError.self) { try writer.append(columns) }
        }
        #expect(writer.rowCount == 2)
        writer.abandon()
        #expect(folder.names == [])
        #expect(throws: StoreError.self) { try writer.finish() }
        #expect(throws: StoreError.self) {
            try SegmentWriter(path: folder.file("x"), schema: [schema[0], schema[0]])
        }
        #expect(throws: StoreError.self) { try SegmentWriter(path: folder.file("x"), schema: []) }
        #expect(throws: StoreError.self) {
            try SegmentWriter(path: folder.file("no/x"), schema: schema)
        }
        #expect(folder.names == [])
    }

    @Test func tooLongTextAbandonsTheWriter() throws {
        let folder = try TemporaryFolder()
        let schema = [ColumnSchema(name: "a", type: .int64), ColumnSchema(name: "b", type: .text)]
        let writer = try SegmentWriter(path: folder.file("x"), schema: schema)
        var texts = TextArray()
        texts.append(utf8: [UInt8](repeating: 65, count: Limits.textByteCount + 1))
        let columns = [
            Column(name: "a", data: .int64([1])), Column(name: "b", data: .text(texts)),
        ]
        #expect {
            try writer.append(columns)
        } throws: { error in
            guard case StoreError.limitExceeded = error else { return false }
            return true
        }
        #expect(throws: StoreError.self) { try writer.finish() }
        #expect(folder.names == [])
    }

    @Test func unknownColumn() throws {
        let reader = try roundTrip(.int64([1]))
        #expect(throws: StoreError.missingPart(path: reader.path, part: "column \"d\"")) {
            try reader.column(named: "d")
        }
        #expect(throws: StoreError.self) { try reader.coded(named: "c") }
    }
}
