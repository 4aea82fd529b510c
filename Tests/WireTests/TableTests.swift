import ByteCoding
import Numerical
import Testing
import Wire

struct TableTests {
    static let sizes = [0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1_000]

    static func values(_ type: ColumnType, _ count: Int, _ random: inout SeededRandom) -> WireValues
    {
        switch type {
        case .int32: .int32((0..<count).map { _ in Int32(truncatingIfNeeded: random.next()) })
        case .int64: .int64((0..<count).map { _ in Int64(bitPattern: random.next()) })
        case .float32: .float32((0..<count).map { _ in Float(random.uniform()) - 0.5 })
        case .float64: .float64((0..<count).map { _ in random.uniform() * 1e300 })
        case .text:
            .text(TextArray((0..<count).map { _ in MessagesTests.text(&random, 9) }))
        }
    }

    static func cleared(_ values: WireValues, _ validity: ValidityBitmap) -> WireValues {
        func clear<T>(_ lanes: [T], _ zero: T) -> [T] {
            lanes.indices.map { validity[$0] ? lanes[$0] : zero }
        }
        return switch values {
        case .int32(let lanes): .int32(clear(lanes, 0))
        case .int64(let lanes): .int64(clear(lanes, 0))
        case .float32(let lanes): .float32(clear(lanes, 0))
        case .float64(let lanes): .float64(clear(lanes, 0))
        case .text(let texts): .text(TextArray(clear(texts.strings, "")))
        }
    }

    static func decode(_ bytes: [UInt8], limits: WireLimits = .standard) throws(WireError) -> Table
    {
        try Table(decoding: bytes.span.bytes, from: 0, limits: limits)
    }

    static func encode(_ table: Table) -> [UInt8] {
        var writer = ByteWriter()
        table.encode(bodyStart: 0, into: &writer)
        return writer.bytes
    }

    @Test(arguments: sizes) func tablesSurviveTheRoundTrip(rowCount: Int) throws {
        var random = SeededRandom(seed: 3, stream: UInt64(rowCount))
        var columns: [WireColumn] = []
        for (index, type) in ColumnType.allCases.enumerated() {
            let full = Self.values(type, rowCount, &random)
            columns.append(WireColumn(ColumnID(rawValue: UInt16(index * 3 + 1)), full))
            let validity = ValidityBitmap((0..<rowCount).map { _ in random.below(3) > 0 })
            columns.append(
                WireColumn(
                    ColumnID(rawValue: UInt16(index * 3 + 2)), Self.cleared(full, validity),
                    validity: validity.validCount == rowCount ? nil : validity))
            columns.append(
                WireColumn(
                    ColumnID(rawValue: UInt16(index * 3 + 3)),
                    Self.cleared(full, ValidityBitmap(missing: rowCount)),
                    validity: rowCount == 0 ? nil : ValidityBitmap(missing: rowCount)))
        }
        let table = Table(rowCount: rowCount, subjectStatus: .onlyReturns, columns: columns)
        #expect(try Self.decode(Self.encode(table)) == table)
    }

    @Test func bodiesMayStartAnywhereInTheBuffer() throws {
        var writer = ByteWriter()
        writer.append(contentsOf: [1, 2, 3, 4, 5])
        let start = writer.count
        Samples.manyRows.encode(bodyStart: start, into: &writer)
        #expect(Array(writer.bytes[start...]) == Self.encode(Samples.manyRows))
    }

    @Test func oneRowTakesThirtyTwoBytesAColumn() {
        #expect(Self.encode(Samples.oneRow).count == 16 + 5 * 32)
    }

    @Test func missingLanesAreWrittenAsZero() throws {
        let dirty = WireColumn(
            .score, .float32([1, .nan, 3]), validity: ValidityBitmap([true, false, true]))
        let table = try Self.decode(Self.encode(Table(rowCount: 3, columns: [dirty])))
        #expect(table.columns[0].values == .float32([1, 0, 3]))
        #expect(table.columns[0].number(1) == nil)
        #expect(table.columns[0].number(2) == 3)
    }

    @Test func negativeZeroIsNotTheSameConstantAsZero() throws {
        let table = Table(rowCount: 2, columns: [WireColumn(.score, .float64([0, -0.0]))])
        let decoded = try Self.decode(Self.encode(table))
        #expect(decoded.columns[0].text(1) == "-0.0")
    }

    @Test func notFiniteIsRefusedOnlyWhereARowHasAValue() {
        for bad in [Double.nan, .infinity, -.infinity] {
            let table = Table(rowCount: 2, columns: [WireColumn(.score, .float64([1, bad]))])
            let error = #expect(throws: WireError.self) {
                _ = try Self.decode(Self.encode(table))
            }
            #expect(error?.status == .notFinite)
        }
    }

    @Test func theBudgetIsChargedBeforeAllocation() throws {
        var limits = WireLimits()
        limits.decodedBytes = 8 * 100 - 1
        let bytes = Self.encode(
            Table(
                rowCount: 100,
                columns: [WireColumn(.score, .int64([Int64](repeating: 1, count: 100)))]
            ))
        let error = #expect(throws: WireError.self) { _ = try Self.decode(bytes, limits: limits) }
        #expect(error?.status == .overBudget)
        limits.decodedBytes += 1
        #expect(try Self.decode(bytes, limits: limits).rowCount == 100)
        limits.rows = 99
        let rows = #expect(throws: WireError.self) { _ = try Self.decode(bytes, limits: limits) }
        #expect(rows?.status == .tooManyItems)
    }

    @Test func columnsAreFoundByNumber() throws {
        let table = Samples.segments
        #expect(table[.segmentName]?.text(1) == "rest")
        #expect(table[.segmentID]?.number(1) == 1)
        #expect(table[.valueTier] == nil)
        #expect(Samples.topProducts[.entityID]?.ids?[0] == .text("85123A"))
        #expect(Samples.topCustomers[.entityID]?.ids?[1] == .integer(12_583))
        #expect(Samples.manyRows[.firstOfSnapshot]?.ids == nil)
    }

    /// Lanes as bytes become the same table as an array: whole, with missing rows, constant, empty.
    @Test(arguments: sizes) func lanesAtHand(rowCount: Int) throws {
        var random = SeededRandom(seed: 4, stream: UInt64(rowCount))
        var columns: [WireColumn] = []
        for type in ColumnType.allCases where type != .text {
            let validity = ValidityBitmap((0..<rowCount).map { _ in random.below(3) > 0 })
            let values = Self.cleared(Self.values(type, rowCount, &random), validity)
            let id = ColumnID(rawValue: UInt16(columns.count + 1))
            columns.append(WireColumn(id, values))
            columns.append(WireColumn(id, values, validity: validity))
            let nothing = ValidityBitmap(missing: rowCount)
            let zeros = Self.cleared(values, nothing)
            columns.append(WireColumn(id, zeros))
            columns.append(WireColumn(id, zeros, validity: nothing))
        }
        var (arrays, lanes) = (ByteWriter(), ByteWriter())
        var table = TableWriter(
            rowCount: rowCount, columnCount: columns.count, bodyStart: 0, into: &arrays)
        var other = TableWriter(
            rowCount: rowCount, columnCount: columns.count, bodyStart: 0, into: &lanes)
        for column in columns {
            table.add(column, into: &arrays)
            var writer = ByteWriter()
            switch column.values {
            case .int32(let values): writer.append(lanes: values)
            case .int64(let values): writer.append(lanes: values)
            case .float32(let values): writer.append(lanes: values)
            case .float64(let values): writer.append(lanes: values)
            case .text: break
            }
            let bytes = writer.bytes
            let (id, type) = (column.id, column.values.type)
            if let bits = column.validity?.bytes {
                other.add(
                    id, type, lanes: bytes.span.bytes, validity: bits.span.bytes, into: &lanes)
            } else {
                other.add(id, type, lanes: bytes.span.bytes, validity: nil, into: &lanes)
            }
        }
        #expect(arrays.bytes == lanes.bytes)
    }
}
