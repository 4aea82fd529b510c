import ByteCoding
import ColumnStore
import Testing

/// Small files of both formats with every kind of part, and what reads all of their bytes.
private struct Specimen {
    let name: String
    let bytes: [UInt8]
    var columnCount = 4
    let read: (String) throws -> Void

    /// Files of version 1: every encoding, missing values, LZ4.
    static func versionOne() throws -> [Specimen] {
        try [("tiny.seg", 2), ("nulls.seg", 6), ("encodings.seg", 14)].map { name, columnCount in
            Specimen(
                name: name, bytes: try GoldenVectorTests.bytes(name), columnCount: columnCount
            ) { path in try readEverything(path) }
        }
    }

    static func segment() throws -> Specimen {
        let folder = try TemporaryFolder(isInMemory: true)
        let writer = try SegmentWriter(
            path: folder.file("a"),
            schema: [
                ColumnSchema(name: "id", type: .int64),
                ColumnSchema(name: "value", type: .float64, unit: "GBP"),
                ColumnSchema(name: "text", type: .text),
                ColumnSchema(name: "share", type: .float32, unit: "1"),
            ])
        let repeated = String(repeating: "abc", count: 60)
        try writer.append([
            Column(name: "id", data: .int64((0..<21).map { $0 &* $0 &* 31 })),
            Column(
                name: "value", data: .float64((0..<21).map { Double($0 / 5) }),
                validity: (0..<21).map { $0 != 3 }),
            Column(name: "text", data: .text(TextArray((0..<21).map { "\(repeated)\($0)" }))),
            Column(name: "share", data: .float32((0..<21).map { Float($0 % 2) })),
        ])
        _ = try writer.finish()
        #expect(
            try SegmentReader(path: folder.file("a")).encoding(column: 2, block: 0).isCompressed)
        return Specimen(name: "segment", bytes: try folder.bytes("a")) { path in
            try readEverything(path)
        }
    }

    /// A column for each encoding: decodes, looks up and scans.
    static func lanes() throws -> Specimen {
        let folder = try TemporaryFolder(isInMemory: true)
        let rows = 0..<40
        let columns: [(String, ColumnData, [Bool]?)] = [
            ("packed", .int64(rows.map { $0 == 3 ? .min : Int64($0 * 7 % 32) }), nil),
            ("delta", .int64(rows.map { 1 << 40 + Int64($0 * 1_000 + $0 % 3) }), nil),
            ("dictionary", .int64(rows.map { [.min, 0, .max][$0 * 7 % 3] }), nil),
            ("runs", .int64(rows.map { Int64($0 / 20) << 50 }), nil),
            ("cents", .float32(rows.map { $0 == 9 ? .nan : Float($0 * 31) / 100 }), nil),
            (
                "sparse", .float64(rows.map { $0 % 8 == 0 ? Double($0) / 10 : 7 }),
                rows.map { $0 != 4 }
            ),
        ]
        let writer = try SegmentWriter(
            path: folder.file("a"),
            schema: columns.map { ColumnSchema(name: $0.0, type: $0.1.type) })
        try writer.append(columns.map { Column(name: $0.0, data: $0.1, validity: $0.2) })
        _ = try writer.finish()
        return Specimen(name: "lanes", bytes: try folder.bytes("a"), columnCount: 6) { path in
            try readEverything(path)
        }
    }

    /// Columns with zones, whose second vector is short.
    static func zones() throws -> Specimen {
        let folder = try TemporaryFolder(isInMemory: true)
        let rows = 0..<1_060
        let writer = try SegmentWriter(
            path: folder.file("a"),
            schema: [
                ColumnSchema(name: "row", type: .int64), ColumnSchema(name: "half", type: .float32),
            ])
        try writer.append([
            Column(name: "row", data: .int64(rows.map { Int64($0 / 530) })),
            Column(
                name: "half", data: .float32(rows.map { $0 < 1_024 ? 0.5 : 2 }),
                validity: rows.map { $0 != 1_050 }),
        ])
        _ = try writer.finish()
        let reader = try SegmentReader(path: folder.file("a"))
        #expect(reader.encoding(column: 0, block: 0).hasZones)
        #expect(reader.encoding(column: 1, block: 0).hasZones)
        return Specimen(name: "zones", bytes: try folder.bytes("a"), columnCount: 2) { path in
            try readEverything(path)
        }
    }

    static func arrayFile() throws -> Specimen {
        let folder = try TemporaryFolder(isInMemory: true)
        var writer = ArrayFileWriter(kind: "test", card: Array(#"{"a":1}"#.utf8))
        writer.add("x", [Float](repeating: 1.5, count: 5))
        try IDIndex.add(.texts(TextArray(["a", "bc", ""])), to: &writer)
        try RowStrip.add(
            status: [0, 1, 2],
            columns: [StripColumn(id: 1, name: "n", unit: "1", values: .int32([1, 2, 3]))],
            to: &writer)
        try writer.write(to: folder.file("a"))
        return Specimen(name: "array file", bytes: try folder.bytes("a")) { path in
            let file = try ArrayFile(path: path)
            _ = try IDIndex(reading: file)
            _ = try RowStrip(reading: file)
        }
    }

    static func manifest() throws -> Specimen {
        var manifest = Manifest()
        manifest.models = [
            Model(name: "value", version: 3, file: "models/value-3.arr", byteCount: 9, checksum: 7)
        ]
        let folder = try TemporaryFolder(isInMemory: true)
        try manifest.commit(to: folder.path)
        let path = folder.file("MANIFEST")
        return Specimen(name: "manifest", bytes: try folder.bytes("MANIFEST")) { damaged in
            let bytes = try MappedFile(path: damaged).withBytes { span in
                (0..<span.byteCount).compactMap { span.integer(at: $0, as: UInt8.self) }
            }
            _ = try Manifest(parsing: bytes, path: path)
        }
    }

    private typealias Model = Manifest.Model

    static func all() throws -> [Specimen] {
        try versionOne() + [segment(), lanes(), zones(), arrayFile(), manifest()]
    }
}

/// Decodes every column, opens it for look-ups, reads single values and scans.
private func readEverything(_ path: String) throws {
    let reader = try SegmentReader(path: path)
    for column in reader.schema.indices { try readColumn(column, of: reader) }
}

private func readColumn(_ index: Int, of reader: SegmentReader) throws {
    for block in 0..<reader.blockCount { _ = try reader.block(block, column: index) }
    let schema = reader.schema[index]
    if schema.type == .text || reader.rowCount == 0 { return }
    let memory = DecodeMemory()
    var selection = Selection()
    let column = try EncodedColumn(reader, column: schema.name)
    for row in 0..<reader.rowCount { _ = column.pattern(row: row) }
    let predicate: Predicate = schema.type == .int64 ? .integers(0...20) : .numbers(0...20)
    column.select(predicate, vector: 0, into: &selection, memory)
    _ = column.sum(where: [(column, predicate)], threadCount: 1)
}

@Suite struct DamageTests {
    @Test func truncationAtEveryByteThrows() throws {
        let folder = try TemporaryFolder(isInMemory: true)
        for specimen in try Specimen.all() {
            try folder.write(specimen.bytes, "x")
            try specimen.read(folder.file("x"))
            for count in 0..<specimen.bytes.count {
                try folder.write(Array(specimen.bytes.prefix(count)), "x")
                #expect(throws: StoreError.self, "\(specimen.name) cut to \(count)") {
                    try specimen.read(folder.file("x"))
                }
            }
            try folder.write(specimen.bytes + [0], "x")
            #expect(throws: StoreError.self, "\(specimen.name) with a byte too many") {
                try specimen.read(folder.file("x"))
            }
        }
    }

    @Test func bitFlipsAtEveryByteThrow() throws {
        let folder = try TemporaryFolder(isInMemory: true)
        for specimen in try Specimen.all() {
            for index in specimen.bytes.indices {
                var bytes = specimen.bytes
                bytes[index] ^= 1 << UInt8(index * 5 % 8)
                try folder.write(bytes, "x")
                #expect(throws: StoreError.self, "\(specimen.name), byte \(index)") {
                    try specimen.read(folder.file("x"))
                }
            }
        }
    }

    /// With checksums made right again the structure itself is tested: nothing may crash.
    @Test func consistentNonsenseDoesNotCrash() throws {
        let folder = try TemporaryFolder(isInMemory: true)
        for specimen in try Specimen.versionOne() + [Specimen.segment(), Specimen.lanes()] {
            let bytes = specimen.bytes
            let trailer = bytes.count - 32
            let footer = Int(bytes.span.bytes.integer(at: trailer, as: UInt64.self) ?? 0)
            for index in footer..<trailer {
                for value in [0, 1, 0x7F, 0xFF] as [UInt8] {
                    var damaged = bytes
                    damaged[index] = value
                    var writer = ByteWriter()
                    writer.append(contentsOf: damaged)
                    let checksum = CRC32C.checksum(Array(damaged[footer..<trailer]))
                    writer.overwrite(checksum, at: trailer + 16)
                    writer.overwrite(UInt32(0), at: trailer + 20)
                    writer.overwrite(
                        CRC32C.checksum(Array(writer.bytes[trailer...])), at: trailer + 20)
                    try folder.write(writer.bytes, "x")
                    try? specimen.read(folder.file("x"))
                }
            }
        }
    }

    /// Every byte of every chunk takes many values, with the chunk's checksum made right.
    @Test func consistentNonsenseInChunksDoesNotCrash() throws {
        let folder = try TemporaryFolder(isInMemory: true)
        for specimen in try Specimen.versionOne()
            + [Specimen.segment(), Specimen.lanes(), Specimen.zones()]
        {
            let bytes = specimen.bytes
            let span = bytes.span.bytes
            let trailer = bytes.count - 32
            let footer = Int(span.integer(at: trailer, as: UInt64.self) ?? 0)
            for column in 0..<specimen.columnCount {
                let entry = trailer - (specimen.columnCount - column) * 48
                let start = Int(span.integer(at: entry, as: UInt64.self) ?? 0)
                let count = Int(span.integer(at: entry + 8, as: UInt32.self) ?? 0)
                // Of long chunks, such as raw ones of version 1, the parts that say what follows.
                for index in start..<start + count
                where count < 400 || index < start + 64 || index >= start + count - 16 {
                    for value in [0, 1, 0x0F, 0x80, 0xFF] as [UInt8] {
                        var writer = ByteWriter()
                        writer.append(contentsOf: bytes)
                        writer.overwrite(value, at: index)
                        let chunk = Array(writer.bytes[start..<start + count])
                        writer.overwrite(CRC32C.checksum(chunk), at: entry + 16)
                        let footerBytes = Array(writer.bytes[footer..<trailer])
                        writer.overwrite(CRC32C.checksum(footerBytes), at: trailer + 16)
                        writer.overwrite(UInt32(0), at: trailer + 20)
                        writer.overwrite(
                            CRC32C.checksum(Array(writer.bytes[trailer...])), at: trailer + 20)
                        try folder.write(writer.bytes, "x")
                        try? readColumn(column, of: SegmentReader(path: folder.file("x")))
                    }
                }
            }
        }
    }

    /// Rows without bytes for them are found before there is memory for all: 32 GiB here.
    @Test func claimedRowsTakeNoMemory() throws {
        let folder = try TemporaryFolder(isInMemory: true)
        let writer = try SegmentWriter(
            path: folder.file("a"), schema: [ColumnSchema(name: "c", type: .int64)])
        try writer.append([Column(name: "c", data: .int64([Int64](repeating: 5, count: 16_384)))])
        _ = try writer.finish()
        let bytes = try folder.bytes("a")
        let span = bytes.span.bytes
        let trailer = bytes.count - 32
        let footer = Int(span.integer(at: trailer, as: UInt64.self) ?? 0)
        let (schema, entry) = (bytes[footer + 16..<trailer - 48], bytes[(trailer - 48)..<trailer])
        let blockCount = 1 << 18
        var forged = ByteWriter()
        forged.append(contentsOf: bytes[..<64])
        // One value a block, and of another one than the checksums say.
        for _ in 0..<blockCount { forged.append(Int64(6)) }
        let start = forged.count
        forged.append(UInt64(blockCount * 16_384))
        forged.append(UInt32(blockCount))
        forged.append(UInt32(1))
        forged.append(contentsOf: schema)
        for block in 0..<blockCount {
            forged.append(UInt64(64 + 8 * block))
            forged.append(contentsOf: entry.dropFirst(8))
        }
        let end = forged.count
        forged.append(UInt64(start))
        forged.append(UInt64(end - start))
        forged.append(forged.checksum(of: start..<end))
        forged.append(UInt32(0))
        forged.append(contentsOf: bytes.suffix(8))
        forged.overwrite(forged.checksum(of: end..<end + 32), at: end + 20)
        try folder.write(forged.bytes, "x")
        let reader = try SegmentReader(path: folder.file("x"))
        #expect(reader.rowCount == 1 << 32)
        let error = #expect(throws: StoreError.self) { try reader.integers(named: "c") }
        guard case .checksumMismatch = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func wrongFormatAndVersion() throws {
        let folder = try TemporaryFolder(isInMemory: true)
        let path = folder.file("x")
        var bytes = try Specimen.segment().bytes
        #expect(throws: StoreError.notAStoreFile(path: path, expected: "an array file")) {
            try folder.write(bytes, "x")
            _ = try ArrayFile(path: path)
        }
        bytes[8] = 9
        try folder.write(bytes, "x")
        #expect(throws: StoreError.unsupportedVersion(path: path, actual: 9, expected: 2)) {
            try SegmentReader(path: path)
        }
        try folder.write(Array("customer,date,amount\n".utf8), "x")
        #expect(throws: StoreError.notAStoreFile(path: path, expected: "a segment file")) {
            try SegmentReader(path: path)
        }
        try folder.write([], "x")
        #expect(throws: StoreError.self) { try SegmentReader(path: path) }
        #expect(throws: StoreError.self) { try ArrayFile(path: path) }
    }
}
