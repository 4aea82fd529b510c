import ByteCoding
import ColumnStore
import Numerical
import Testing

/// One column, its values as written.
private struct Sample {
    let data: ColumnData
    let validity: [Bool]?
    let reader: SegmentReader
    let column: EncodedColumn

    init(_ data: ColumnData, validity: [Bool]? = nil, isHot: Bool = false) throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.seg")
        let writer = try SegmentWriter(
            path: path, schema: [ColumnSchema(name: "c", type: data.type, isHot: isHot)])
        try writer.append([Column(name: "c", data: data, validity: validity)])
        _ = try writer.finish()
        self.data = data
        self.validity = validity
        reader = try SegmentReader(path: path)
        column = try EncodedColumn(reader, column: "c")
    }

    /// How the first block is stored.
    var encoding: Encoding { reader.encoding(column: 0, block: 0).encoding }

    /// Bit patterns, nil where there is no value.
    var patterns: [UInt64?] {
        let all: [UInt64] =
            switch data {
            case .int64(let values): values.map { UInt64(bitPattern: $0) }
            case .float32(let values): values.map { UInt64($0.bitPattern) }
            case .float64(let values): values.map(\.bitPattern)
            case .coded, .text: []
            }
        return all.indices.map { validity?[$0] ?? true ? all[$0] : nil }
    }
}

private func noise(_ row: Int) -> UInt64 { StableHash.hash(Int64(row)) }

@Suite struct EncodedColumnTests {
    static let integers: [(Encoding, @Sendable (Int) -> Int64)] = [
        (.constant, { _ in 42 }),
        (.packed, { 1_000_000 + Int64(noise($0) % 1_000) }),
        (.packed, { $0 % 999 == 7 ? .min : Int64(noise($0) % 1_000) }),
        (.packed, { Int64(bitPattern: noise($0)) >> 11 }),
        (.packedDelta, { Int64.max &+ Int64($0) &* 86_400 &+ Int64(noise($0) % 3) }),
        (.packedDictionary, { [Int64.min, 0, Int64.max, -1, 77][Int(noise($0) % 5)] }),
        (.runEnds, { Int64($0 / 1_000) &* 0x1234_5678_9ABC }),
        (.sparse, { noise($0) % 4 == 0 ? Int64(noise($0) % 65_536) : 3 }),
        (.raw, { Int64(bitPattern: noise($0)) }),
    ]

    static let floats: [(Encoding, @Sendable (Int) -> Double)] = [
        (.constant, { _ in -0.0 }),
        (.decimal, { Double(noise($0) % 100_000) / 100 }),
        (.decimal, { Double(Int64(noise($0) % 1_000)) - 500 }),
        (
            .decimal,
            { $0 % 97 == 0 ? [-0.0, .nan, .infinity][$0 % 3] : Double(noise($0) % 9_999) / 1_000 }
        ),
        (.packedDictionary, { Double(noise($0) % 7).squareRoot() }),
        (.runEnds, { Double($0 / 700).squareRoot() }),
        (.sparse, { noise($0) % 5 < 3 ? 0 : Double(noise($0) % 1_001) / 1_000 }),
        (.sparse, { noise($0) % 5 < 3 ? .nan : Double(noise($0)).squareRoot() }),
        (.raw, { Double(noise($0)).squareRoot() }),
    ]

    private static let sizes = [
        1, 2, 15, 16, 17, 511, 512, 513, 1_023, 1_024, 1_025, 16_385, 34_000,
    ]

    private func check(_ sample: Sample, _ encoding: Encoding, size: Int, shape: Int) throws {
        let expected = sample.patterns
        if size >= 16_385 {
            #expect(sample.encoding == encoding, "shape \(shape)")
        }
        let step = size > 2_000 ? 17 : 1
        let rows = stride(from: 0, to: size, by: step)
        #expect(
            rows.allSatisfy { sample.column.pattern(row: $0) == expected[$0] },
            "shape \(shape), \(size) rows")
        #expect(sample.column.pattern(row: size - 1) == expected[size - 1])
        let decoded = try Sample(sample.reader.column(named: "c").data).patterns
        #expect(decoded == expected.map { $0 ?? 0 }, "shape \(shape), \(size) rows")
    }

    @Test(arguments: integers.indices) func integerEncodings(shape: Int) throws {
        let (encoding, value) = Self.integers[shape]
        for size in Self.sizes {
            try check(
                Sample(.int64((0..<size).map(value))), encoding, size: size, shape: shape)
        }
    }

    @Test(arguments: floats.indices) func floatEncodings(shape: Int) throws {
        let (encoding, value) = Self.floats[shape]
        for size in Self.sizes {
            let doubles = (0..<size).map(value)
            try check(Sample(.float64(doubles)), encoding, size: size, shape: shape)
            let floats = Sample.init(_:validity:isHot:)
            try check(
                floats(.float32(doubles.map { Float($0) }), nil, false), encoding, size: size,
                shape: shape)
        }
    }

    /// Every width from 1 to 64 bits, both ends present: as a writer stores it, and packed in any
    /// case, which no writer chooses for 64 bits.
    @Test func everyWidth() throws {
        let memory = DecodeMemory()
        for width in 1...64 {
            let mask = UInt64.max >> UInt64(64 - width)
            var values = (0..<1_100).map { Int64(bitPattern: noise($0 + width) & mask) &- 12_345 }
            values[3] = -12_345
            values[700] = Int64(bitPattern: mask) &- 12_345
            let sample = try Sample(.int64(values))
            let expected = sample.patterns
            #expect(values.indices.allSatisfy { sample.column.pattern(row: $0) == expected[$0] })
            for encoding in [Encoding.packed, .packedDelta] {
                let blocks = try #require(EncodedBlocks(.int64(values), as: encoding, memory))
                #expect(blocks.isExact(.int64(values), memory), "\(encoding), width \(width)")
            }
            if width < 64 { continue }
            // Two groups of 512 and five rows of lanes, in two halves; a head, no exceptions.
            let packed = try #require(EncodedBlocks(.int64(values), as: .packed, memory))
            #expect(sample.encoding == .raw && packed.byteCount == 16 + 1_024 * 8 + 2 * 5 * 64)
        }
    }

    @Test func hotColumnsStayReadable() throws {
        let steps = (0..<20_000).map { Int64($0) * 86_400 + Int64(noise($0) % 3) }
        let cold = try Sample(.int64(steps))
        let hot = try Sample(.int64(steps), isHot: true)
        #expect(cold.encoding == .packedDelta)
        #expect(hot.encoding == .packed && hot.reader.schema[0].isHot)
        let waves = (0..<20_000).map { Double($0 % 150).squareRoot() + Double($0 / 4_000) / 7 }
        for isHot in [false, true] {
            let sample = try Sample(.float64(waves), isHot: isHot)
            #expect(!(isHot && sample.reader.encoding(column: 0, block: 0).isCompressed))
            #expect(sample.column.pattern(row: 12_345) == waves[12_345].bitPattern)
        }
        let repeated = try Sample(.float64((0..<16_384).map { Double($0 % 5_000).squareRoot() }))
        #expect(repeated.reader.encoding(column: 0, block: 0).isCompressed)
        #expect(
            repeated.column.pattern(row: 16_000) == Double(1_000).squareRoot().bitPattern)
    }

    @Test func rowsWithoutValue() throws {
        for size in [1, 64, 65, 1_025, 17_000] {
            let validity = (0..<size).map { $0 % 3 != 1 }
            for (_, value) in Self.integers {
                let sample = try Sample(.int64((0..<size).map(value)), validity: validity)
                let expected = sample.patterns
                #expect((0..<size).allSatisfy { sample.column.pattern(row: $0) == expected[$0] })
            }
        }
    }

    /// Vectors of a few columns side by side in the order of `FeatureMatrix`.
    @Test func tiles() throws {
        for size in [64, 1_024, 2_000, 16_500] {
            var matrix = FeatureMatrix(rowCount: size, featureCount: Self.floats.count)
            for (feature, shape) in Self.floats.enumerated() {
                let values = (0..<size).map { Float(shape.1($0)) }
                let validity = feature == 2 ? (0..<size).map { $0 % 5 != 0 } : nil
                let sample = try Sample(.float32(values), validity: validity)
                matrix.fillColumn(feature, from: sample.column)
                for row in 0..<size {
                    let expected = validity?[row] ?? true ? values[row] : 0
                    #expect(matrix[row, feature].bitPattern == expected.bitPattern)
                }
            }
        }
    }

    @Test(arguments: GoldenVectorTests.versionOne) func versionOneIsReadToo(name: String) throws {
        let reader = try SegmentReader(path: GoldenVectorTests.folder + "/" + name)
        for schema in reader.schema where schema.type != .text {
            let whole = try reader.column(named: schema.name)
            let values: [UInt64] =
                switch whole.data {
                case .int64(let values): values.map { UInt64(bitPattern: $0) }
                case .float32(let values): values.map { UInt64($0.bitPattern) }
                case .float64(let values): values.map(\.bitPattern)
                case .coded, .text: []
                }
            let column = try EncodedColumn(reader, column: schema.name)
            #expect(column.rowCount == values.count)
            for row in values.indices {
                let expected = whole.validity?[row] ?? true ? values[row] : nil
                #expect(column.pattern(row: row) == expected, "\(schema.name), row \(row)")
            }
        }
    }
}

extension FeatureMatrix {
    fileprivate mutating func fillColumn(_ feature: Int, from column: EncodedColumn) {
        let stride = 64 * featureCount
        let memory = DecodeMemory()
        for vector in 0..<column.vectorCount {
            var tile = [Float](repeating: -1, count: 15 * 64 + 64 + 15 * 8)
            var span = tile.mutableSpan
            column.decode(vectors: vector..<vector + 1, into: &span, runStride: 72, memory)
            for row in column.rows(ofVector: vector) {
                let i = row % 1_024
                self[row, feature] = tile[i / 64 * 72 + i % 64]
            }
        }
        precondition(stride >= 64)
    }
}

@Suite struct EncodedRowsTests {
    private func expectSame(_ samples: [Sample], _ rows: [Int], _ note: String) {
        let all = EncodedRows(samples.map(\.column))
        var patterns = [UInt64](repeating: 7, count: samples.count)
        var isValid = [Bool](repeating: true, count: samples.count)
        let expected = samples.map(\.patterns)
        for row in rows {
            var targets = patterns.mutableSpan
            var valid = isValid.mutableSpan
            all.read(row: row, into: &targets, isValid: &valid)
            let wanted = expected.map { $0[row] }
            guard patterns == wanted.map({ $0 ?? 0 }), isValid == wanted.map({ $0 != nil }) else {
                Issue.record("row \(row), \(note): \(patterns) \(isValid), not \(wanted)")
                return
            }
        }
    }

    /// Every encoding, of all types, as several columns of one segment at once, every row.
    @Test(arguments: [1, 17, 513, 1_025, 16_385, 34_000]) func everyEncoding(size: Int) throws {
        let rows = 0..<size
        var samples: [Sample] = []
        for shape in EncodedColumnTests.integers {
            samples.append(try Sample(.int64(rows.map { shape.1($0) })))
        }
        for (index, shape) in EncodedColumnTests.floats.enumerated() {
            let values = rows.map { shape.1($0) }
            let valid = rows.map { (($0 + index) % 5 != 2) }
            samples.append(try Sample(.float32(values.map { Float($0) })))
            samples.append(try Sample(.float64(values)))
            samples.append(try Sample(.float32(values.map { Float($0) }), validity: valid))
        }
        #expect(size < 16_385 || Set(samples.map { $0.encoding }).count == 8)
        expectSame(samples, Array(rows), "\(size) rows")
        // A column alone waits for no other.
        for sample in samples { expectSame([sample], [0, size / 2, size - 1], "alone") }
    }

    /// Exceptions beside numbers that are 0 in their own right, also among the others of a sparse
    /// column.
    @Test func exceptionsAndZeros() throws {
        let rows = 0..<20_000
        let counts = rows.map { row -> Float in
            noise(row) % 50 == 0 ? Float(noise(row) % 10_000_000) : Float(noise(row) % 3)
        }
        let sparse = rows.map { row -> Double in
            if noise(row) % 3 > 0 { return 0 }
            return noise(row) % 61 == 0 ? 1e300 : Double(noise(row) % 500) / 100
        }
        expectSame(
            [try Sample(.float32(counts)), try Sample(.float64(sparse))], Array(rows), "zeros")
    }

    @Test func noColumns() {
        #expect(EncodedRows([]).rowCount == 0 && EncodedRows([]).columnCount == 0)
    }
}

@Suite struct ColumnScanTests {
    private func matches(_ predicate: Predicate, _ sample: Sample) -> [Bool] {
        sample.patterns.map { pattern in
            guard let pattern else { return false }
            switch (predicate, sample.data.type) {
            case (.integers(let range), _): return range.contains(Int64(bitPattern: pattern))
            case (.numbers(let range), .float32):
                return range.contains(
                    Double(Float(bitPattern: UInt32(truncatingIfNeeded: pattern))))
            case (.numbers(let range), _): return range.contains(Double(bitPattern: pattern))
            }
        }
    }

    private func check(_ sample: Sample, _ predicate: Predicate, _ note: String) {
        let expected = matches(predicate, sample)
        let memory = DecodeMemory()
        var selection = Selection()
        for vector in 0..<sample.column.vectorCount {
            sample.column.select(predicate, vector: vector, into: &selection, memory)
            let rows = sample.column.rows(ofVector: vector)
            let found = (0..<1_024).map { selection[$0] }
            #expect(
                found == (0..<1_024).map { $0 < rows.count && expected[rows.lowerBound + $0] },
                "\(note)")
            #expect(selection.rows.count == selection.count)
        }
        var total = ColumnTotal()
        for (row, pattern) in sample.patterns.enumerated() where expected[row] {
            total.count += 1
            if sample.data.type == .int64, let pattern {
                total.integer += Int128(Int64(bitPattern: pattern))
            }
        }
        let one = sample.column.sum(where: [(sample.column, predicate)], threadCount: 1)
        let two = sample.column.sum(where: [(sample.column, predicate)], threadCount: 2)
        #expect(one == two || one.number.isNaN)
        #expect(one.count == total.count && one.integer == total.integer, "\(note)")
    }

    @Test func everyEncodingAndPredicate() throws {
        let predicates: [Predicate] = [
            .integers(0...500), .integers(.min ... .max), .integers(.min ... -1),
            .integers(77...77), .integers(1_000_100...1_000_200),
        ]
        for (shape, (_, value)) in EncodedColumnTests.integers.enumerated() {
            for size in [1, 513, 1_025, 18_000] {
                for modulus in [0, 4] {
                    let sample = try Sample(
                        .int64((0..<size).map(value)),
                        validity: modulus == 0 ? nil : (0..<size).map { $0 % modulus != 1 })
                    for predicate in predicates {
                        check(sample, predicate, "shape \(shape), \(size), \(predicate)")
                    }
                }
            }
        }
        let ranges: [ClosedRange<Double>] = [
            0...0, -0.0...0.5, -.infinity ... .infinity, 1...2, 0.1...0.1, 1e300...1e301,
        ]
        for (shape, (_, value)) in EncodedColumnTests.floats.enumerated() {
            for size in [1, 513, 18_000] {
                let doubles = (0..<size).map(value)
                for range in ranges {
                    check(
                        try Sample(.float64(doubles)), .numbers(range), "shape \(shape), \(range)")
                    check(
                        try Sample(.float32(doubles.map { Float($0) })), .numbers(range),
                        "shape \(shape), \(range)")
                }
            }
        }
    }

    @Test func zonesOfSortedRows() throws {
        let sorted = (0..<40_000).map { Int64($0 * 3) }
        let sample = try Sample(.int64(sorted), validity: sorted.map { $0 % 5 != 0 })
        check(sample, .integers(30_000...30_010), "sorted")
        check(sample, .integers(0...200_000), "sorted")
        check(sample, .integers(-5 ... -1), "sorted")
        let floats = (0..<40_000).map { Float($0 / 2) }
        check(try Sample(.float32(floats)), .numbers(100...3_000), "sorted")
        check(
            try Sample(.float64(floats.map { $0 == 77 ? .nan : Double($0) })), .numbers(0...3_000),
            "sorted")
    }

    @Test func sumsOfOtherColumns() throws {
        let keys = try Sample(.int64((0..<50_000).map { Int64(noise($0) % 100) }))
        let prices = (0..<50_000).map { Double(noise($0 + 9) % 10_000) / 100 }
        let validity = prices.map { $0 >= 1 }
        let values = try Sample(.float64(prices), validity: validity)
        let total = values.column.sum(where: [(keys.column, .integers(10...19))], threadCount: 2)
        var expected = (count: 0, sum: 0.0)
        for row in 0..<50_000 where noise(row) % 100 / 10 == 1 && validity[row] {
            expected = (expected.count + 1, expected.sum + prices[row])
        }
        #expect(total.count == expected.count)
        #expect(abs(total.number - expected.sum) < 1e-6 * expected.sum)
        let all = values.column.sum(where: [], threadCount: 1)
        #expect(all.count == validity.count { $0 })
    }
}
