import ByteCoding
import ColumnStore
import Foundation
import Testing

/// The files of protocol/vectors/v1/store: written once (PATRON_WRITE_VECTORS=1 writes those that
/// are missing), never edited; of version 1 of segment files only read, because nothing writes it
/// any more. `tools/decode_store.py --check` reads the same files.
@Suite struct GoldenVectorTests {
    static let folder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("protocol/vectors/v1/store").path

    @Test(arguments: Vectors.all.map(\.name)) func vector(name: String) throws {
        let vector = try #require(Vectors.all.first { $0.name == name })
        let written = try TemporaryFolder()
        try vector.write(written.file(name))
        let golden = Self.folder + "/" + name
        if ProcessInfo.processInfo.environment["PATRON_WRITE_VECTORS"] != nil,
            !FileManager.default.fileExists(atPath: golden)
        {
            try AtomicFile.write(written.bytes(name), to: golden)
            try AtomicFile.write(
                VectorText.describe(written.file(name)), to: golden + ".json")
        }
        if vector.holdsLZ4, try written.bytes(name) != Self.bytes(name) {
            // The compressor's choices belong to the installed liblz4, the meaning does not.
            print("\(name): another liblz4 compresses it differently; only the meaning is checked")
        } else {
            #expect(try written.bytes(name) == Self.bytes(name))
        }
        #expect(try VectorText.describe(golden) == Self.bytes(name + ".json"))
    }

    /// Segment files of version 1.
    static let versionOne = [
        "tiny.seg", "empty.seg", "encodings.seg", "nulls.seg", "blocks.seg", "lz4.seg",
    ]

    @Test(arguments: versionOne) func versionOneIsRead(name: String) throws {
        let path = Self.folder + "/" + name
        #expect(try SegmentReader(path: path).version == .one)
        #expect(try VectorText.describe(path) == Self.bytes(name + ".json"))
    }

    static func bytes(_ name: String) throws -> [UInt8] {
        try Array(Data(contentsOf: URL(fileURLWithPath: folder + "/" + name)))
    }

    @Test(arguments: [("index-integers.arr", "index"), ("index-texts.arr", "customers")])
    func indexesOfVersionOneAreRefused(name: String, prefix: String) throws {
        let path = Self.folder + "/" + name
        #expect(throws: StoreError.unsupportedVersion(path: path, actual: 1, expected: 2)) {
            _ = try IDIndex(reading: try ArrayFile(path: path), prefix: prefix)
        }
    }
}

private struct Vector {
    let name: String
    var holdsLZ4 = false
    let write: @Sendable (String) throws -> Void
}

private enum Vectors {
    static var all: [Vector] {
        [
            Vector(name: "tiny-2.seg", write: writeTinyLanes),
            Vector(name: "lanes.seg", holdsLZ4: true, write: writeLanes),
            Vector(name: "zones.seg", write: writeZones),
            Vector(name: "each.seg", holdsLZ4: true, write: writeEach),
            Vector(name: "nulls-2.seg", holdsLZ4: true, write: writeNullsLanes),
            Vector(name: "tiny.arr", write: writeTinyArrays),
            Vector(name: "types.arr", write: writeTypes),
            Vector(name: "index-integers-2.arr") { path in
                var writer = ArrayFileWriter(kind: "index")
                try IDIndex.add(
                    .integers([17_850, -1, 0, .max, .min, 12_345, 12_346]), to: &writer)
                try writer.write(to: path)
            },
            Vector(name: "index-texts-2.arr") { path in
                var writer = ArrayFileWriter(kind: "index")
                try IDIndex.add(
                    .texts(TextArray(["", "a", "customer 1", "Größe", "日本"])), to: &writer,
                    prefix: "customers")
                try writer.write(to: path)
            },
            Vector(name: "strip.arr", write: writeStrip),
            Vector(name: "00000001.log", write: writeLog),
            Vector(name: "00000002.log", write: writeErasures),
            Vector(name: "sample.manifest") { path in
                try AtomicFile.write(try #require(ManifestTests.sample().encoded()), to: path)
            },
        ]
    }

    private static func segment(
        _ path: String, _ columns: [(Column, String)], hot: Set<String> = []
    ) throws {
        let writer = try SegmentWriter(
            path: path,
            schema: columns.map {
                ColumnSchema(
                    name: $0.0.name, type: $0.0.data.type, unit: $0.1,
                    isHot: hot.contains($0.0.name))
            })
        try writer.append(columns.map(\.0))
        _ = try writer.finish()
    }

    @Sendable private static func writeTinyLanes(_ path: String) throws {
        let rows = 0..<40
        try segment(
            path,
            [
                (
                    Column(
                        name: "number",
                        data: .int64(rows.map { $0 == 9 ? .max : 100 + Int64($0 * 7 % 32) })), "1"
                ),
                (
                    Column(
                        name: "price",
                        data: .float32(rows.map { $0 == 3 ? -0.0 : Float($0 * 31 % 128) / 100 })),
                    "GBP"
                ),
            ], hot: ["price"])
    }

    /// The chunks that protocol/STORE.md works through: 530 rows, a whole group and a short one.
    @Sendable private static func writeEach(_ path: String) throws {
        let rows = 0..<530
        func integers(_ name: String, _ value: (Int) -> Int64) -> (Column, String) {
            (Column(name: name, data: .int64(rows.map(value))), "1")
        }
        try segment(
            path,
            [
                integers("constant") { _ in -7 },
                integers("delta") { Int64(1_000 * $0 + $0 % 2) },
                integers("dictionary") { [.min, -1, .max][$0 % 3] },
                (
                    Column(
                        name: "runs", data: .float32(rows.map { $0 < 300 ? 3.1415927 : 2.7182817 })),
                    "1"
                ),
                integers("sparse") { $0 % 20 == 0 ? Int64(100 + $0 / 20) : 5 },
                (
                    Column(
                        name: "text", data: .text(TextArray(rows.map { $0 % 2 == 0 ? "a" : "bc" }))),
                    ""
                ),
            ], hot: ["constant", "dictionary", "runs", "sparse", "text"])
    }

    /// A column for each encoding of version 2, with exceptions, nulls, wide numbers and every
    /// special float.
    @Sendable private static func writeLanes(_ path: String) throws {
        let rows = 0..<1_300
        func noise(_ row: Int) -> UInt64 { StableHash.hash(Int64(row)) }
        func integers(_ name: String, _ value: (Int) -> Int64) -> (Column, String) {
            (Column(name: name, data: .int64(rows.map(value))), "1")
        }
        let special: [Double] = [
            -0.0, .infinity, -.infinity, Double(bitPattern: 0x7FF8_0000_0000_1234), 1e300,
        ]
        try segment(
            path,
            [
                integers("constant") { _ in -7 },
                integers("packed") { Int64(noise($0) % 37) - 9 },
                integers("patched") { $0 % 433 == 5 ? .min : Int64(noise($0) % 500) },
                integers("wide") { Int64(bitPattern: noise($0)) >> 20 },
                integers("raw") { Int64(bitPattern: noise($0)) },
                integers("delta") { 1_700_000_000 + Int64($0) * 86_400 + Int64(noise($0) % 60) },
                integers("dictionary") { [.min, -1, .max][Int(noise($0) % 3)] },
                integers("runs") { Int64($0 / 211) &* 0x1234_5678_9ABC },
                integers("sparse") { $0 % 9 == 0 ? Int64(noise($0) % 1_000) : 5 },
                (
                    Column(
                        name: "cents",
                        data: .float32(
                            rows.map {
                                $0 % 300 == 7 ? Float.nan : Float(noise($0) % 100_000) / 100
                            })), "GBP"
                ),
                (
                    Column(
                        name: "shares",
                        data: .float32(
                            rows.map {
                                noise($0) % 5 < 3 ? 0 : Float(noise($0) % 1_009) / 1_000
                            })), "1"
                ),
                (
                    Column(
                        name: "prices",
                        data: .float64(
                            rows.map {
                                $0 % 250 == 3
                                    ? special[$0 / 250 % 5] : Double(noise($0) % 9_999_999) / 1_000
                            }),
                        validity: rows.map { $0 % 11 != 0 }), "GBP"
                ),
                (
                    Column(
                        name: "doubles",
                        data: .float64(rows.map { Double(bitPattern: noise($0)) })), "1"
                ),
                (
                    Column(
                        name: "text",
                        data: .text(
                            TextArray(rows.map { ["", "web", "Größe"][Int(noise($0) % 3)] })),
                        validity: rows.map { $0 != 700 }), ""
                ),
            ])
    }

    @Sendable private static func writeZones(_ path: String) throws {
        let rows = 0..<17_000
        try segment(
            path,
            [
                (Column(name: "row", data: .int64(rows.map { Int64($0 / 3) })), "1"),
                (
                    Column(
                        name: "half", data: .float32(rows.map { Float($0) / 2 }),
                        validity: rows.map { $0 / 1_024 != 2 }), "1"
                ),
                (
                    Column(
                        name: "level", data: .float64(rows.map { $0 < 9_000 ? -0.0 : 2.5 })), "1"
                ),
            ])
    }

    /// Version 2 where values are missing, all of them in some columns, and what `lanes.seg` leaves
    /// out: raw texts, a sparse chunk over each encoding that it may hold, one value of each float.
    @Sendable private static func writeNullsLanes(_ path: String) throws {
        let rows = 0..<1_100
        func noise(_ row: Int) -> UInt64 { StableHash.hash(Int64(row)) }
        let some = rows.map { $0 % 7 != 2 && $0 >= 3 }
        let none = rows.map { _ in false }
        func column(_ name: String, _ data: ColumnData, _ validity: [Bool]?) -> (Column, String) {
            (Column(name: name, data: data, validity: validity), "1")
        }
        func sparse<T>(_ others: (UInt64) -> T, _ frequent: T) -> [T] {
            rows.map { $0 % 4 == 1 ? others(noise($0)) : frequent }
        }
        try segment(
            path,
            [
                column("noIntegers", .int64(rows.map(Int64.init)), none),
                column("noFloats", .float32(rows.map(Float.init)), none),
                column("noDoubles", .float64(rows.map(Double.init)), none),
                column("noTexts", .text(TextArray(rows.map { "t\($0)" })), none),
                column("someIntegers", .int64(rows.map { Int64(noise($0) % 1_000) }), some),
                column("someTexts", .text(TextArray(rows.map { "text \(noise($0))" })), some),
                column("constant", .float32(rows.map { _ in -0.0 }), some),
                column("constantDouble", .float64(rows.map { _ in .infinity }), nil),
                column("sparseRaw", .int64(sparse({ Int64(bitPattern: $0) }, 0)), nil),
                column(
                    "sparseDictionary",
                    .float64(sparse({ Double(bitPattern: StableHash.hash(Int64($0 % 5))) }, 1)),
                    some
                ),
                column("sparseDecimal", .float64(sparse({ Double($0 % 99_999) / 100 }, 0)), nil),
            ])
    }

    @Sendable private static func writeTinyArrays(_ path: String) throws {
        var writer = ArrayFileWriter(kind: "demo", card: Array(#"{"k":1}"#.utf8))
        writer.add("x", [1.5, -2] as [Float], shape: [1, 2])
        try writer.write(to: path)
    }

    @Sendable private static func writeTypes(_ path: String) throws {
        var writer = ArrayFileWriter(kind: "types")
        writer.add("u8", [0, 1, 255] as [UInt8])
        writer.add("i32", [.min, 0, .max] as [Int32])
        writer.add("u32", [0, .max] as [UInt32])
        writer.add("i64", [.min, .max] as [Int64])
        writer.add("u64", [.max] as [UInt64])
        writer.add(
            "f32", [0, -0.0, .nan, .infinity, .leastNonzeroMagnitude, 0.1] as [Float],
            shape: [2, 3])
        writer.add(
            "f64", [0, -0.0, .nan, .infinity, .leastNonzeroMagnitude, 0.1] as [Double],
            shape: [3, 1, 2])
        writer.add("none", [Double](), shape: [0, 4])
        try writer.write(to: path)
    }

    /// The record that protocol/STORE.md works through, and one with every column.
    @Sendable private static func writeLog(_ path: String) throws {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        let writer = try LogWriter(folder: folder)
        let none = [CodedText?](repeating: nil, count: LoggedLines.textColumnCount)
        var bare = LoggedLines(
            customerIDs: .integers([17_850]), times: [1_291_191_960], amounts: [153_000],
            texts: none)
        bare.texts[1] = CodedText(codes: [0], values: TextArray(["85123A"]))
        let entries = [
            try LogEntry(bare, key: LogKey(first: 1, second: 2)),
            try LogEntry(LogTests.lines(4, isOfTexts: true)),
        ]
        for entry in entries {
            if let failure = writer.append([entry]).failure { throw failure }
        }
    }

    /// The second file of a log: an erasure makes one of version 2, of which it is the last record but for
    /// those written together with it.
    @Sendable private static func writeErasures(_ path: String) throws {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        let writer = try LogWriter(folder: folder)
        let lines = try LogEntry(LogTests.lines(1))
        if let failure = writer.append([lines]).failure { throw failure }
        let erasures = [
            try LogEntry(
                LoggedErasure(customerIDs: .integers([17_850, 13_047]), time: 1_797_441_600),
                key: LogKey(first: 3, second: 4)),
            lines,
            try LogEntry(
                LoggedErasure(
                    customerIDs: .texts(TextArray(["größe", "", "c1"])), time: 1_797_441_601),
                key: LogKey(first: 5, second: 6)),
        ]
        if let failure = writer.append(erasures).failure { throw failure }
    }

    @Sendable private static func writeStrip(_ path: String) throws {
        var writer = ArrayFileWriter(kind: "lookup")
        try RowStrip.add(
            status: [0, 2, 5],
            columns: [
                StripColumn(
                    id: 1, name: "tier", unit: "", values: .int32([3, 0, -1]),
                    validity: [true, false, true]),
                StripColumn(
                    id: 2, name: "value", unit: "GBP", values: .float64([0.1, 1e300, -5]),
                    validity: [true, true, false]),
                StripColumn(id: 7, name: "alive", unit: "1", values: .float32([0.5, 0.25, 1])),
                StripColumn(id: 9, name: "last", unit: "s", values: .int64([.min, 0, .max])),
            ], to: &writer)
        try writer.write(to: path)
    }
}

/// The meaning of a file as JSON with sorted keys on one line; floats as the hexadecimal digits of
/// their bits, so that every bit is compared.
private enum VectorText {
    static func describe(_ path: String) throws -> [UInt8] {
        let value: [String: Any] =
            if path.hasSuffix(".seg") {
                try segment(path)
            } else if path.hasSuffix(".log") {
                try log(path)
            } else if path.hasSuffix(".manifest") {
                try manifest(path)
            } else {
                try arrays(path)
            }
        return Array(
            try JSONSerialization.data(
                withJSONObject: value, options: [.sortedKeys, .withoutEscapingSlashes])) + [10]
    }

    private static func hex<T: FixedWidthInteger>(_ bits: T) -> String {
        let digits = String(bits, radix: 16)
        return String(repeating: "0", count: T.bitWidth / 4 - digits.count) + digits
    }

    private static func segment(_ path: String) throws -> [String: Any] {
        let reader = try SegmentReader(path: path)
        var columns: [[String: Any]] = []
        for (index, schema) in reader.schema.enumerated() {
            let column = try reader.column(named: schema.name)
            let values: [Any] =
                switch column.data {
                case .int64(let values): values
                case .float32(let values): values.map { hex($0.bitPattern) }
                case .float64(let values): values.map { hex($0.bitPattern) }
                case .text(let texts): texts.strings
                case .coded: []
                }
            var part: [String: Any] = [
                "name": schema.name, "unit": schema.unit, "type": "\(schema.type)",
                "values": values.enumerated().map { row, value in
                    column.validity?[row] ?? true ? value : NSNull()
                },
                "blocks": (0..<reader.blockCount).map { block in
                    let chunk = reader.encoding(column: index, block: block)
                    let zone = reader.zoneMap(column: index, block: block)
                    var part: [String: Any] = [
                        "encoding": "\(chunk.encoding)", "isCompressed": chunk.isCompressed,
                        "rowCount": zone.rowCount, "nullCount": zone.nullCount,
                        "bounds": bounds(zone.bounds),
                    ]
                    if chunk.hasZones { part["hasZones"] = true }
                    return part
                },
            ]
            if schema.isHot { part["isHot"] = true }
            columns.append(part)
        }
        return ["format": "segment", "rowCount": reader.rowCount, "columns": columns]
    }

    private static func log(_ path: String) throws -> [String: Any] {
        // Alone: a log goes on with its next file.
        let folder = try TemporaryFolder()
        let url = URL(fileURLWithPath: path)
        try folder.write(Array(Data(contentsOf: url)), url.lastPathComponent)
        let start = try #require(try LogFormat.firstPosition(in: folder.path))
        var cursor = LogCursor(folder: folder.path, from: start)
        var records: [[String: Any]] = []
        while let record = try cursor.next() {
            let words = [record.key.first, record.key.second].map { hex($0.byteSwapped) }
            if record.kind == .erasure {
                let erasure = try record.erasure()
                let customers: [Any] =
                    switch erasure.customerIDs {
                    case .integers(let ids): ids
                    case .texts(let ids): ids.strings
                    }
                records.append([
                    "sequence": record.sequence, "key": words.joined(),
                    "erasure": ["customers": customers, "time": erasure.time],
                ])
                continue
            }
            let lines = try record.lines()
            var part: [String: Any] = ["times": lines.times, "amounts": lines.amounts]
            switch lines.customerIDs {
            case .integers(let ids): part["customers"] = ids
            case .texts(let ids): part["customers"] = ids.strings
            }
            if let margins = lines.margins { part["margins"] = margins }
            if let quantities = lines.quantities {
                part["quantities"] = quantities.map { hex($0.bitPattern) }
            }
            let names = ["orders", "products", "categories", "promotions", "channels"]
            for (name, text) in zip(names, lines.texts) {
                guard let text else { continue }
                part[name] = (0..<text.count).map { text[$0].map { $0 as Any } ?? NSNull() }
            }
            records.append([
                "sequence": record.sequence, "key": words.joined(), "lines": part,
            ])
        }
        return [
            "format": "log", "number": cursor.position.file, "firstSequence": start.sequence,
            "records": records,
        ]
    }

    private static func manifest(_ path: String) throws -> [String: Any] {
        let bytes = try Array(Data(contentsOf: URL(fileURLWithPath: path)))
        _ = try Manifest(parsing: bytes, path: path)
        let body = bytes.drop { $0 != 10 }
        return [
            "format": "manifest", "manifest": try JSONSerialization.jsonObject(with: Data(body)),
        ]
    }

    private static func bounds(_ bounds: ZoneMap.Bounds?) -> Any {
        switch bounds {
        case nil: NSNull()
        case .int64(let minimum, let maximum): [minimum, maximum]
        case .float64(let minimum, let maximum): [hex(minimum.bitPattern), hex(maximum.bitPattern)]
        case .textPrefix(let minimum, let maximum): [hex(minimum), hex(maximum)]
        }
    }

    private static func arrays(_ path: String) throws -> [String: Any] {
        let file = try ArrayFile(path: path)
        var result: [String: Any] = [
            "format": "arrays", "kind": file.kind,
            "card": String(decoding: file.card, as: UTF8.self),
        ]
        result["arrays"] = try file.entries.map { entry in
            let values: [Any] =
                switch entry.type {
                case .uint8: try file.array(entry.name, of: UInt8.self).toArray()
                case .int32: try file.array(entry.name, of: Int32.self).toArray()
                case .uint32: try file.array(entry.name, of: UInt32.self).toArray()
                case .int64: try file.array(entry.name, of: Int64.self).toArray()
                case .uint64: try file.array(entry.name, of: UInt64.self).toArray()
                case .float32:
                    try file.array(entry.name, of: Float.self).toArray().map { hex($0.bitPattern) }
                case .float64:
                    try file.array(entry.name, of: Double.self).toArray().map {
                        hex($0.bitPattern)
                    }
                }
            return [
                "name": entry.name, "type": "\(entry.type)", "shape": entry.shape,
                "values": values,
            ] as [String: Any]
        }
        for name in file.names {
            if name.hasSuffix(".entries") {
                let index = try IDIndex(reading: file, prefix: String(name.dropLast(8)))
                let ids = (0..<index.count).map { index[$0] }
                #expect(ids.indices.allSatisfy { index.find(ids[$0]) == $0 })
                result["ids"] = ids.map { id -> Any in
                    switch id {
                    case .integer(let value): value
                    case .text(let value): value
                    }
                }
            }
            if name.hasSuffix(".schema") {
                result["rows"] = rows(
                    try RowStrip(reading: file, prefix: String(name.dropLast(7))))
            }
        }
        return result
    }

    private static func rows(_ strip: RowStrip) -> [Any] {
        (0..<strip.rowCount).map { row in
            var values: [String: Any] = ["status": strip.status(row: row)]
            for (index, field) in strip.schema.fields.enumerated() {
                let bits = strip.bits(field: index, row: row)
                let value: Any =
                    switch field.type {
                    case .float32: hex(UInt32(truncatingIfNeeded: bits))
                    case .float64: hex(bits)
                    case .int32: Int32(truncatingIfNeeded: bits)
                    case .int64: Int64(bitPattern: bits)
                    }
                values[field.name] = strip.isValid(field: index, row: row) ? value : NSNull()
            }
            return values
        }
    }
}
