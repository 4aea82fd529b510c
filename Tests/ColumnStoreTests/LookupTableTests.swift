import ByteCoding
import ColumnStore
import Numerical
import Testing

private func index(_ ids: IDColumn, _ folder: TemporaryFolder) throws -> IDIndex {
    var writer = ArrayFileWriter(kind: "test")
    try IDIndex.add(ids, to: &writer)
    try writer.write(to: folder.file("index"))
    return try IDIndex(reading: try ArrayFile(path: folder.file("index")))
}

private func found(_ ids: [Int64], in index: IDIndex) -> [UInt32] {
    var rows = [UInt32](repeating: 7, count: ids.count)
    var span = rows.mutableSpan
    index.find(integers: ids.span, rows: &span)
    return rows
}

private func found(_ ids: TextArray, in index: IDIndex) -> [UInt32] {
    var rows = [UInt32](repeating: 7, count: ids.count)
    var span = rows.mutableSpan
    index.find(texts: ids, rows: &span)
    return rows
}

/// An index of given slots.
private func index(
    _ slots: [(UInt64, UInt64)], key: UInt64, _ ids: IDColumn, _ folder: TemporaryFolder
) throws -> IDIndex {
    var writer = ArrayFileWriter(kind: "test")
    writer.add("index.key", [key])
    writer.add("index.entries", slots.flatMap { [$0.0, $0.1] }, shape: [slots.count, 2])
    switch ids {
    case .integers(let values): writer.add("index.ids", values)
    case .texts(let texts):
        writer.add("index.idOffsets", texts.offsets.map { UInt64($0) })
        writer.add("index.idBytes", texts.bytes)
    }
    try writer.write(to: folder.file("slots"))
    return try IDIndex(reading: try ArrayFile(path: folder.file("slots")))
}

private let empty = (UInt64.max, UInt64.max)

@Suite struct LookupTableTests {
    /// Around the distance of the pipeline's steps, each half of the ids unknown.
    @Test(arguments: [
        0, 1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 96, 127, 128, 129, 256, 1_000,
    ])
    func batchesOfEverySize(count: Int) throws {
        let folder = try TemporaryFolder()
        let ids = (0..<5_000).map { StableHash.hash(Int64($0)) }.map(Int64.init(bitPattern:))
        var random = SeededRandom(seed: 3, stream: UInt64(count))
        let asked = (0..<count).map { _ in random.below(10_000) }
        let expected = asked.map { $0 < 5_000 ? UInt32($0) : IDIndex.absent }
        let wanted = asked.map { Int64(bitPattern: StableHash.hash(Int64($0))) }
        let integers = try index(.integers(ids), folder)
        #expect(found(wanted, in: integers) == expected)
        #expect(wanted.map { integers.find(integer: $0).map(UInt32.init) ?? .max } == expected)
        let texts = try index(.texts(TextArray(ids.map { "c\($0)" })), folder)
        let wantedTexts = TextArray(wanted.map { "c\($0)" })
        #expect(found(wantedTexts, in: texts) == expected)
        #expect(found(wantedTexts, in: integers) == expected.map { _ in IDIndex.absent })
        #expect(found(wanted, in: texts) == expected.map { _ in IDIndex.absent })
    }

    /// Every length up to three words, with and without its last byte changed.
    @Test func textsOfEveryLength() throws {
        let folder = try TemporaryFolder()
        let known = (0...50).map { String(repeating: "x", count: $0) }
        let texts = try index(.texts(TextArray(known)), folder)
        let others: [String] = known.dropFirst().map { String($0.dropLast()) + "y" }
        #expect(found(TextArray(known), in: texts) == known.indices.map { UInt32($0) })
        #expect(found(TextArray(others), in: texts) == others.map { _ in IDIndex.absent })
        for (row, text) in known.enumerated() { #expect(texts.find(.text(text)) == row) }
        #expect(others.allSatisfy { texts.find(.text($0)) == nil })
    }

    /// Texts whose slots say that they have the hash of another: only the ids tell them apart.
    @Test func textsOfOneTag() throws {
        let folder = try TemporaryFolder()
        let ids = TextArray(["b", "a", "aa", "c"])
        let hash = KeyedHash(key: 9).hash(Array("a".utf8).span.bytes)
        let home = Int(hash.multipliedFullWidth(by: 7).high)
        var slots = [(UInt64, UInt64)](repeating: empty, count: 7)
        for (way, row) in [0, 2, 3, 1].enumerated() {
            let place = UInt64(ids.offsets[row]) << 25 | UInt64(ids.utf8(row).count)
            slots[(home + way) % 7] = (hash << 32 | UInt64(row), place)
        }
        let index = try index(slots, key: 9, .texts(ids), folder)
        #expect(index.find(.text("a")) == 1)
        #expect(found(TextArray(["a", "x", "a"]), in: index) == [1, IDIndex.absent, 1])
    }

    /// Integers that all belong in the last slot: the search goes on at the first one.
    @Test func integersOfOneSlot() throws {
        let folder = try TemporaryFolder()
        let hash = KeyedHash(key: 5)
        let ids = (0..<30_000).map { Int64($0) }
            .filter { hash.hash($0).multipliedFullWidth(by: 81).high == 80 }
        try #require(ids.count > 60)
        let known = Array(ids.prefix(40))
        var slots = [(UInt64, UInt64)](repeating: empty, count: 81)
        for (row, id) in known.enumerated() {
            slots[(80 + row) % 81] = (UInt64(bitPattern: id), UInt64(row))
        }
        let index = try index(slots, key: 5, .integers(known), folder)
        let expected = ids.indices.map { $0 < 40 ? UInt32($0) : IDIndex.absent }
        #expect(found(ids, in: index) == expected)
        #expect(ids.map { index.find(integer: $0).map(UInt32.init) ?? .max } == expected)
    }

    /// The same ids in the same order give the same file; other ids another key.
    @Test func keysFollowFromTheIDs() throws {
        func key(_ ids: IDColumn) throws -> UInt64 {
            let folder = try TemporaryFolder()
            _ = try index(ids, folder)
            return try ArrayFile(path: folder.file("index")).array("index.key", of: UInt64.self)[0]
        }
        #expect(try key(.integers([1, 2])) == key(.integers([1, 2])))
        let keys = try [
            IDColumn.integers([]), .integers([1]), .integers([2]), .texts(TextArray(["a"])),
            .texts(TextArray(["b"])),
        ].map(key)
        #expect(Set(keys).count == 5)
    }

    /// Tables that no writer makes: rows and places that lead outside, no empty slot.
    @Test func hostileTables() throws {
        let folder = try TemporaryFolder()
        var random = SeededRandom(seed: 5)
        let hash = KeyedHash(key: 3)
        for round in 0..<60 {
            let slotCount = 9 << (round % 3)
            func row() -> UInt64 {
                random.below(8) == 0 ? random.next() : UInt64(random.below(9))
            }
            var slots: [(UInt64, UInt64)] = []
            for _ in 0..<slotCount {
                let tag = hash.hash(Array("t\(random.below(12))".utf8).span.bytes) << 32
                let place = random.next() >> UInt64(random.below(64))
                slots.append(
                    random.below(8) == 0
                        ? empty
                        : (
                            tag | row() & 0xFFFF_FFFF,
                            random.below(2) == 0 ? place : UInt64(random.below(8)) << 25 | 2
                        ))
            }
            let texts = try index(
                slots, key: 3, .texts(TextArray(["t1", "t2", "t3", "t4", "", "t"])), folder)
            let rows = found(TextArray((0..<40).map { "t\($0 % 12)" }), in: texts)
            #expect(rows.allSatisfy { $0 < 6 || $0 == IDIndex.absent })
            let numbers = slots.map { _ in (UInt64(random.below(12)), row()) }
            let integers = try index(numbers, key: 3, .integers((0..<6).map(Int64.init)), folder)
            let found = found((0..<40).map { Int64($0 % 12) }, in: integers)
            #expect(found.allSatisfy { $0 < 6 || $0 == IDIndex.absent })
        }
    }
}

@Suite struct GatheredFieldsTests {
    /// Columns of every type and more than one validity word, beside the fields read one by one.
    @Test(
        arguments: [0, 1, 2, 3, 4, 5, 15, 16, 17, 18, 63, 64, 65, 127, 129, 300],
        [4, 8, 17, 33, 64, 70])
    func fieldsOfManyRows(count: Int, fieldCount: Int) throws {
        let folder = try TemporaryFolder()
        let rowCount = 200
        let rows = 0..<rowCount
        var columns: [StripColumn] = []
        for field in 0..<fieldCount {
            let values: StripColumn.Values =
                switch field % 4 {
                case 0: .float32(rows.map { Float($0 * 100 + field) })
                case 1: .float64(rows.map { Double($0 * 100 - field) })
                case 2: .int32(rows.map { Int32($0 * 100 - field) })
                default: .int64(rows.map { Int64.min + Int64($0 * 100 + field) })
                }
            let valid = rows.map { ($0 + field) % 5 != 0 }
            columns.append(
                StripColumn(
                    id: UInt16(field), name: "f\(field)", unit: "1", values: values,
                    validity: field % 3 == 0 ? valid : nil))
        }
        var writer = ArrayFileWriter(kind: "lookup")
        try RowStrip.add(
            status: rows.map { UInt8($0 % 7) }, columns: columns, to: &writer)
        try writer.write(to: folder.file("strip"))
        let strip = try RowStrip(reading: try ArrayFile(path: folder.file("strip")))
        var gathered = GatheredFields()
        let everyField = Array(0..<fieldCount)
        for (fields, hasAbsent) in [
            (everyField, false), ([fieldCount - 1, 3, 1], true), (everyField.reversed(), true),
            ([1, 2], false),
        ] {
            let wanted = (0..<count).map {
                hasAbsent && $0 % 7 == 3 ? IDIndex.absent : UInt32($0 * 37 % rowCount)
            }
            gathered.gather(fields, rows: wanted.span, of: strip)
            #expect(gathered.count == fields.count && gathered.rowCount == count)
            let statuses = gathered.withStatusWords { words in
                (0..<count).map { words.integer(at: $0 * 8, as: UInt8.self) }
            }
            #expect(statuses == wanted.map { $0 == IDIndex.absent ? 0 : UInt8($0 % 7) })
            for (position, field) in fields.enumerated() {
                expectSame(gathered, position, strip, field, wanted)
            }
        }
    }

    private func expectSame(
        _ gathered: GatheredFields, _ position: Int, _ strip: RowStrip, _ field: Int,
        _ rows: [UInt32]
    ) {
        let isWide = strip.schema.fields[field].type.byteCount == 8
        let bits = rows.map {
            $0 == IDIndex.absent ? 0 : strip.bits(field: field, row: Int($0))
        }
        let lanes = gathered.withLanes(position) { lanes -> [UInt64]? in
            isWide
                ? lanes.lanes(at: 0, count: rows.count)
                : lanes.lanes(at: 0, count: rows.count, as: UInt32.self)?.map(UInt64.init)
        }
        #expect(lanes == bits, "field \(field) of \(rows.count) rows")
        let valid = rows.map {
            $0 != IDIndex.absent && strip.isValid(field: field, row: Int($0))
        }
        var bitmap = [UInt8](repeating: 0, count: (rows.count + 7) / 8)
        for (row, isValid) in valid.enumerated() where isValid {
            bitmap[row / 8] |= 1 << UInt8(row % 8)
        }
        let stored = gathered.withValidity(position) { validity -> [UInt8]? in
            guard let validity else { return nil }
            return validity.lanes(at: 0, count: validity.byteCount)
        }
        #expect(stored == (valid.contains(false) ? bitmap : nil), "field \(field)")
    }
}
