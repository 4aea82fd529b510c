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
        #expect(texts.find(texts: wantedTexts) == expected)
        #expect(integers.find(texts: wantedTexts) == expected.map { _ in IDIndex.absent })
    }

    /// Different texts of the same 64-bit hash, found by lattice reduction: FNV-1a multiplies by one
    /// number, so a difference of two texts that cancels out is a short vector of a lattice.
    @Test func textsOfOneHash() throws {
        let pairs = [
            ("MaewMpLGZKKf", "N4Kq_LMM7kLk"), ("y-039s-4CQMt", "x365Qk-6SBDg"),
            ("AS6S73_5QCH6", "hu178k08P869"), ("OL2Q45Gz5kvS", "D-20h9VoIf8W"),
            ("UPJBHxEjDq2R", "zUDMO-U4H6kY"), ("Z_N6BAPNlKfp", "UC5ZqZKOW2ew"),
        ]
        for (a, b) in pairs { #expect(StableHash.hash(a.utf8) == StableHash.hash(b.utf8)) }
        let folder = try TemporaryFolder()
        // Of the last pair the second text stays out: unknown though its hash and slot are taken.
        let known = pairs.flatMap { [$0.0, $0.1] }.dropLast() + ["MaewMpLGZKKf+", "N4Kq_LMM7kLk+"]
        let both = try index(.texts(TextArray(known)), folder)
        for (row, text) in known.enumerated() { #expect(both.find(.text(text)) == row) }
        #expect(both.find(.text(pairs[5].1)) == nil)
        let asked = TextArray(known + [pairs[5].1, ""])
        #expect(
            both.find(texts: asked)
                == known.indices.map { UInt32($0) } + [IDIndex.absent, IDIndex.absent])
        #expect(throws: StoreError.self) {
            _ = try index(.texts(TextArray(known + [pairs[0].1])), folder)
        }
    }

    /// Integers whose hashes agree in the slot and in the stored half: only the ids tell them apart.
    @Test func integersOfOneSlotAndTag() throws {
        let ids = (0..<200).map { row -> Int64 in
            // 512 slots for 200 ids; bits 9 to 31 are neither in the slot nor in the tag.
            let hash = 0xABCD_1234_0000_0005 | UInt64(row) << 12
            return Int64(bitPattern: unhash(hash))
        }
        #expect(Set(ids.map { StableHash.hash($0) & 0xFFFF_FFFF_0000_01FF }).count == 1)
        let folder = try TemporaryFolder()
        let known = Array(ids.dropLast(50))
        let index = try index(.integers(known), folder)
        let expected = ids.indices.map { $0 < 150 ? UInt32($0) : IDIndex.absent }
        #expect(found(ids, in: index) == expected)
        #expect(ids.map { index.find(integer: $0).map(UInt32.init) ?? .max } == expected)
    }

    /// Tables that no writer makes: rows and offsets that lead outside, no empty slot.
    @Test func hostileTables() throws {
        let folder = try TemporaryFolder()
        var random = SeededRandom(seed: 5)
        for round in 0..<60 {
            let slotCount = 8 << (round % 3)
            let slots = (0..<slotCount).map { _ -> UInt64 in
                let id = Int64(random.below(12))
                let tag = StableHash.hash("t\(id)".utf8) & 0xFFFF_FFFF_0000_0000
                return random.below(8) == 0 ? .max : tag | UInt64(random.below(9))
            }
            var writer = ArrayFileWriter(kind: "k")
            writer.add("index.slots", slots)
            writer.add(
                "index.idOffsets", (0..<7).map { _ in random.next() >> UInt64(random.below(64)) })
            writer.add("index.idBytes", Array("t1t2t3t4".utf8))
            try writer.write(to: folder.file("a"))
            let texts = try IDIndex(reading: try ArrayFile(path: folder.file("a")))
            let asked = TextArray((0..<40).map { "t\($0 % 12)" })
            let rows = texts.find(texts: asked)
            #expect(rows.allSatisfy { $0 < 6 || $0 == IDIndex.absent })
            var other = ArrayFileWriter(kind: "k")
            other.add("index.slots", slots)
            other.add("index.ids", (0..<6).map { Int64($0) })
            try other.write(to: folder.file("b"))
            let integers = try IDIndex(reading: try ArrayFile(path: folder.file("b")))
            let found = found((0..<40).map { Int64($0 % 12) }, in: integers)
            #expect(found.allSatisfy { $0 < 6 || $0 == IDIndex.absent })
        }
    }

    @Test func recordsOfManyRows() throws {
        let folder = try TemporaryFolder()
        let rowCount = 500
        var writer = ArrayFileWriter(kind: "lookup")
        try RowStrip.add(
            status: [UInt8](repeating: 1, count: rowCount),
            columns: (0..<40).map { field in
                StripColumn(
                    id: UInt16(field), name: "f\(field)", unit: "1",
                    values: .float32((0..<rowCount).map { Float($0 * 100 + field) }))
            }, to: &writer)
        try writer.write(to: folder.file("strip"))
        let strip = try RowStrip(reading: try ArrayFile(path: folder.file("strip")))
        let rows = (0..<300).map { $0 % 7 == 3 ? IDIndex.absent : UInt32($0 * 37 % rowCount) }
        strip.prefetch(rows: rows.span)
        strip.prefetch(rows: [UInt32]().span)
        for field in [0, 13, 39] {
            var values = [Float](repeating: -1, count: rows.count)
            var lanes = values.mutableSpan
            strip.copy(field: field, rows: rows.span, into: &lanes)
            #expect(
                values
                    == rows.map { $0 == IDIndex.absent ? 0 : Float(Int($0) * 100 + field) })
        }
    }
}

/// The integer of a hash: each step of `StableHash.hash` turned back, the last one first.
private func unhash(_ hash: UInt64) -> UInt64 {
    /// The factor that undoes an odd one modulo 2^64, by Newton's steps.
    func inverse(_ factor: UInt64) -> UInt64 {
        var x = factor
        for _ in 0..<6 { x = x &* (2 &- factor &* x) }
        return x
    }
    var h = hash
    h ^= h >> 33
    h = h &* inverse(0xC4CE_B9FE_1A85_EC53)
    h ^= h >> 33
    h = h &* inverse(0xFF51_AFD7_ED55_8CCD)
    return h ^ (h >> 33)
}
