import ByteCoding
import ColumnStore
import Testing

/// Small files of both formats with every kind of part, and what reads all of their bytes.
private struct Specimen {
    let name: String
    let bytes: [UInt8]
    var columnCount = 4
    let read: (String) throws -> Void

    static func segment(_ version: SegmentVersion) throws -> Specimen {
        let folder = try TemporaryFolder(isInMemory: true)
        let writer = try SegmentWriter(
            path: folder.file("a"),
            schema: [
                ColumnSchema(name: "id", type: .int64),
                ColumnSchema(name: "value", type: .float64, unit: "GBP"),
                ColumnSchema(name: "text", type: .text),
                ColumnSchema(name: "share", type: .float32, unit: "1"),
            ], version: version)
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
        return Specimen(name: "segment \(version)", bytes: try folder.bytes("a")) { path in
            try readEverything(path)
        }
    }

    /// A file of version 2 with a column for each encoding: decodes, looks up and scans.
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
            schema: columns.map { ColumnSchema(name: $0.0, type: $0.1.type) }, version: .two)
        try writer.append(columns.map { Column(name: $0.0, data: $0.1, validity: $0.2) })
        _ = try writer.finish()
        return Specimen(name: "lanes", bytes: try folder.bytes("a"), columnCount: 6) { path in
            try readEverything(path)
        }
    }

    /// A file of version 2 with zones, whose second vector is short.
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
        [
            try segment(.one), try segment(.two), try lanes(), try zones(), try arrayFile(),
            try manifest(),
        ]
    }
}

/// Decodes every column, opens it for look-ups, reads single values and scans.
private func readEverything(_ path: String) throws {
    let reader = try SegmentReader(path: path)
    try reader.verify()
    let memory = DecodeMemory()
    var selection = Selection()
    for schema in reader.schema where schema.type != .text {
        let column = try EncodedColumn(reader, column: schema.name)
        if reader.rowCount == 0 { continue }
        for row in 0..<reader.rowCount { _ = column.pattern(row: row) }
        let predicate: Predicate =
            schema.type == .int64 ? .integers(0...20) : .numbers(0...20)
        column.select(predicate, vector: 0, into: &selection, memory)
        _ = column.sum(where: [(column, predicate)], threadCount: 1)
    }
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
        for specimen in [
            try Specimen.segment(.one), try Specimen.segment(.two), try Specimen.lanes(),
        ] {
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
        for specimen in [
            try Specimen.segment(.one), try Specimen.segment(.two), try Specimen.lanes(),
            try Specimen.zones(),
        ] {
            let bytes = specimen.bytes
            let span = bytes.span.bytes
            let trailer = bytes.count - 32
            let footer = Int(span.integer(at: trailer, as: UInt64.self) ?? 0)
            for column in 0..<specimen.columnCount {
                let entry = trailer - (specimen.columnCount - column) * 48
                let start = Int(span.integer(at: entry, as: UInt64.self) ?? 0)
                let count = Int(span.integer(at: entry + 8, as: UInt32.self) ?? 0)
                for index in start..<start + count {
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
                        try? specimen.read(folder.file("x"))
                    }
                }
            }
        }
    }

    @Test func wrongFormatAndVersion() throws {
        let folder = try TemporaryFolder(isInMemory: true)
        let path = folder.file("x")
        var bytes = try Specimen.segment(.two).bytes
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
