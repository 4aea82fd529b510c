import ByteCoding
import ColumnStore
import Numerical
import Testing

@Suite struct ArrayFileTests {
    @Test func everyTypeAndShape() throws {
        let folder = try TemporaryFolder()
        let card = Array(#"{"model":"value"}"#.utf8)
        var writer = ArrayFileWriter(kind: "model", card: card)
        writer.add("u8", [UInt8](0..<7))
        writer.add("i32", [Int32.min, 0, .max])
        writer.add("u32", [UInt32.max])
        writer.add("i64", [Int64.min, .max])
        writer.add("u64", [UInt64]())
        writer.add("f32", (0..<24).map(Float.init), shape: [2, 3, 4])
        writer.add("f64", [-0.0, .infinity, .leastNonzeroMagnitude])
        writer.add("raw", bytes: [1, 0, 0, 0, 2, 0, 0, 0], of: .int32, shape: [1, 2])
        let written = try writer.write(to: folder.file("a"))
        #expect(try written.checksum == CRC32C.checksum(folder.bytes("a")))
        let file = try ArrayFile(path: folder.file("a"))
        #expect(file.kind == "model" && file.card == card && file.byteCount == written.byteCount)
        #expect(file.names == ["u8", "i32", "u32", "i64", "u64", "f32", "f64", "raw"])
        #expect(file.entries.allSatisfy { $0.byteOffset % 64 == 0 })
        #expect(try file.array("u8", of: UInt8.self).toArray() == [0, 1, 2, 3, 4, 5, 6])
        #expect(try file.array("i32", of: Int32.self).toArray() == [.min, 0, .max])
        #expect(try file.array("u32", of: UInt32.self)[0] == .max)
        #expect(try file.array("i64", of: Int64.self).toArray() == [.min, .max])
        #expect(try file.array("u64", of: UInt64.self).isEmpty)
        let f32 = try file.array("f32", of: Float.self, shape: [2, -1, 4])
        #expect(f32.shape == [2, 3, 4] && f32.withRow(1) { $0[0] } == 12)
        #expect(try file.withSpan("f64", of: Double.self) { $0[0].sign } == .minus)
        #expect(try file.array("raw", of: Int32.self, shape: [1, 2]).toArray() == [1, 2])
        #expect(throws: StoreError.self) { try file.array("f32", of: Double.self) }
        #expect(throws: StoreError.self) { try file.array("f32", of: Float.self, shape: [24]) }
        #expect(throws: StoreError.self) { try file.array("none", of: Float.self) }
    }

    @Test func emptyFile() throws {
        let folder = try TemporaryFolder()
        try ArrayFileWriter(kind: "k").write(to: folder.file("a"))
        let file = try ArrayFile(path: folder.file("a"))
        #expect(file.entries.isEmpty && file.card.isEmpty && file.byteCount == 128)
    }

    /// An array outlives the file value that it came from.
    @Test func arraysKeepTheMapping() throws {
        let folder = try TemporaryFolder()
        var writer = ArrayFileWriter(kind: "k")
        writer.add("x", (0..<100_000).map(Int64.init))
        try writer.write(to: folder.file("a"))
        let array = try ArrayFile(path: folder.file("a")).array("x", of: Int64.self)
        #expect(array[99_999] == 99_999)
    }

    @Test func bodyChecksumIsOptional() throws {
        let folder = try TemporaryFolder()
        var writer = ArrayFileWriter(kind: "k")
        writer.add("x", [1, 2, 3] as [Int64])
        try writer.write(to: folder.file("a"))
        var bytes = try folder.bytes("a")
        bytes[192] ^= 1
        try folder.write(bytes, "a")
        let file = try ArrayFile(path: folder.file("a"), verifiesArrays: false)
        #expect(throws: StoreError.self) { try file.verify() }
        #expect(throws: StoreError.self) { try ArrayFile(path: folder.file("a")) }
    }

    @Test func refusedArrays() throws {
        let folder = try TemporaryFolder()
        func expectRefusal(_ fill: (inout ArrayFileWriter) -> Void, kind: String = "k") {
            var writer = ArrayFileWriter(kind: kind)
            fill(&writer)
            #expect(throws: StoreError.self) { try writer.write(to: folder.file("a")) }
        }
        expectRefusal({ $0.add("x", [1, 2] as [Int64], shape: [3]) })
        expectRefusal({ $0.add("x", [1, 2] as [Int64], shape: []) })
        expectRefusal({ $0.add("x", [1, 2] as [Int64], shape: [1, 1, 1, 1, 2]) })
        expectRefusal({ $0.add("x", [1, 2] as [Int64], shape: [-1, -2]) })
        expectRefusal({ writer in
            writer.add("x", [1] as [Int64])
            writer.add("x", [1] as [Int64])
        })
        expectRefusal({ $0.add("", [1] as [Int64]) })
        expectRefusal({ _ in }, kind: "")
        #expect(folder.names == [])
    }
}

@Suite struct IDIndexTests {
    static func index(_ ids: IDColumn, _ folder: TemporaryFolder) throws -> IDIndex {
        var writer = ArrayFileWriter(kind: "index")
        try IDIndex.add(ids, to: &writer)
        try writer.write(to: folder.file("index"))
        return try IDIndex(reading: try ArrayFile(path: folder.file("index")))
    }

    @Test(arguments: [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 1_000, 20_000])
    func findsAllAndRejectsAbsent(count: Int) throws {
        let folder = try TemporaryFolder()
        var random = SeededRandom(seed: 11, stream: UInt64(count))
        var set: Set<Int64> = []
        while set.count < count { set.insert(Int64(bitPattern: random.next() >> 40) * 2) }
        let ids = set.sorted()
        let integers = try Self.index(.integers(ids), folder)
        #expect(integers.count == count && !integers.holdsTexts)
        #expect(ids.indices.allSatisfy { integers.find(integer: ids[$0]) == $0 })
        #expect(ids.allSatisfy { integers.find(integer: $0 + 1) == nil })
        #expect(integers.find(.text("1")) == nil)
        let queries = ids.flatMap { [$0, $0 + 1] }
        var rows = [UInt32](repeating: 0, count: queries.count)
        var span = rows.mutableSpan
        integers.find(integers: queries.span, rows: &span)
        #expect(rows == queries.indices.map { $0 % 2 == 0 ? UInt32($0 / 2) : IDIndex.absent })
        let texts = TextArray(ids.map { "customer \($0)" })
        let index = try Self.index(.texts(texts), folder)
        #expect((0..<count).allSatisfy { index.find(.text(texts[$0])) == $0 })
        #expect((0..<count).allSatisfy { index[$0] == .text(texts[$0]) })
        #expect(ids.allSatisfy { index.find(.text("customer \($0 + 1)")) == nil })
        rows = [UInt32](repeating: 0, count: count)
        var textRows = rows.mutableSpan
        index.find(texts: texts, rows: &textRows)
        #expect(rows == (0..<count).map { UInt32($0) })
        #expect(index.find(integer: 0) == nil)
    }

    @Test func emptyTextIsAnID() throws {
        let folder = try TemporaryFolder()
        let index = try Self.index(.texts(TextArray(["b", "", "a"])), folder)
        #expect(index.find(.text("")) == 1)
        #expect(index.find(.text("c")) == nil)
    }

    @Test func repeatedIDsAreRefused() {
        var writer = ArrayFileWriter(kind: "k")
        #expect(throws: StoreError.self) { try IDIndex.add(.integers([1, 2, 1]), to: &writer) }
        #expect(throws: StoreError.self) {
            try IDIndex.add(.texts(TextArray(["a", "a"])), to: &writer)
        }
    }

    /// A table without an empty slot and with rows outside: no hit, no endless search, no crash.
    @Test func hostileTable() throws {
        let folder = try TemporaryFolder()
        var writer = ArrayFileWriter(kind: "k")
        writer.add("index.key", [1] as [UInt64])
        writer.add("index.entries", [UInt64](repeating: 0xFFFF_FFFE, count: 8), shape: [4, 2])
        writer.add("index.idOffsets", [5, 3] as [UInt64])
        writer.add("index.idBytes", [1] as [UInt8])
        try writer.write(to: folder.file("a"))
        let index = try IDIndex(reading: try ArrayFile(path: folder.file("a")))
        #expect(index.find(.text("a")) == nil)
        #expect(index[0] == .text(""))
        var small = ArrayFileWriter(kind: "k")
        small.add("index.key", [1] as [UInt64])
        small.add("index.entries", [UInt64](repeating: 0, count: 2), shape: [1, 2])
        small.add("index.ids", [1] as [Int64])
        try small.write(to: folder.file("b"))
        #expect(throws: StoreError.self) {
            try IDIndex(reading: try ArrayFile(path: folder.file("b")))
        }
    }
}

@Suite struct RowStripTests {
    @Test(arguments: [0, 1, 7, 1_023, 1_024, 1_025]) func roundTrip(rowCount: Int) throws {
        let folder = try TemporaryFolder()
        let rows = 0..<rowCount
        let columns = [
            StripColumn(id: 3, name: "tier", unit: "", values: .int32(rows.map { Int32(-$0) })),
            StripColumn(
                id: 9, name: "value", unit: "GBP",
                values: .float64(rows.map { $0 % 3 == 0 ? .nan : Double($0) / 7 }),
                validity: rows.map { $0 % 3 != 0 }),
            StripColumn(
                id: 4, name: "alive", unit: "1", values: .float32(rows.map { Float($0) / 3 })),
            StripColumn(
                id: 5, name: "last", unit: "s", values: .int64(rows.map { Int64.min + Int64($0) })),
        ]
        var writer = ArrayFileWriter(kind: "lookup")
        let schema = try RowStrip.add(
            status: rows.map { UInt8($0 % 6) }, columns: columns, to: &writer)
        try writer.write(to: folder.file("a"))
        let strip = try RowStrip(reading: try ArrayFile(path: folder.file("a")))
        #expect(strip.schema == schema && strip.rowCount == rowCount && schema.stride == 64)
        #expect(schema.fields.map(\.offset) == [32, 16, 36, 24])
        #expect(schema.index(ofID: 9) == 1 && schema.index(named: "alive") == 2)
        for row in rows {
            #expect(strip.status(row: row) == UInt8(row % 6))
            #expect(strip.value(field: 0, row: row) == Double(-row))
            #expect(strip.value(field: 1, row: row) == (row % 3 == 0 ? nil : Double(row) / 7))
            #expect(strip.value(field: 2, row: row) == Double(Float(row) / 3))
            #expect(strip.bits(field: 3, row: row) == UInt64(bitPattern: .min + Int64(row)))
            #expect(strip.isValid(field: 1, row: row) == (row % 3 != 0))
        }
    }

    @Test func strideFitsCacheLines() throws {
        for (count, stride) in [(0, 16), (2, 32), (4, 32), (5, 64), (12, 64), (13, 128), (70, 320)]
        {
            var writer = ArrayFileWriter(kind: "k")
            let columns = (0..<count).map {
                StripColumn(id: UInt16($0), name: "f\($0)", unit: "1", values: .int32([Int32($0)]))
            }
            let schema = try RowStrip.add(status: [0], columns: columns, to: &writer)
            #expect(schema.stride == stride)
            let folder = try TemporaryFolder()
            try writer.write(to: folder.file("a"))
            let strip = try RowStrip(reading: try ArrayFile(path: folder.file("a")))
            #expect((0..<count).allSatisfy { strip.value(field: $0, row: 0) == Double($0) })
        }
    }

    @Test func refusedColumns() throws {
        let folder = try TemporaryFolder()
        func column(_ id: UInt16, _ name: String, _ values: [Double]) -> StripColumn {
            StripColumn(id: id, name: name, unit: "1", values: .float64(values))
        }
        for columns in [
            [column(1, "a", [.nan])], [column(1, "a", [.infinity])], [column(1, "a", [1, 2])],
            [column(1, "a", [1]), column(1, "b", [1])], [column(1, "a", [1]), column(2, "a", [1])],
        ] {
            #expect(throws: StoreError.self) {
                var writer = ArrayFileWriter(kind: "k")
                try RowStrip.add(status: [0], columns: columns, to: &writer)
                try writer.write(to: folder.file("a"))
            }
            #expect(folder.names == [])
        }
    }
}
