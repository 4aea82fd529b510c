import ByteCoding
import ColumnStore
import Numerical
import Testing

/// A segment's bytes depend on its rows alone; files that nothing names yet go with their writer.
@Suite struct SegmentWriterTests {
    private static let schema = [
        ColumnSchema(name: "id", type: .int64), ColumnSchema(name: "value", type: .float64),
        ColumnSchema(name: "small", type: .float32), ColumnSchema(name: "name", type: .text),
        ColumnSchema(name: "code", type: .text),
    ]

    private func columns(_ rows: Range<Int>) -> [Column] {
        func draw(_ row: Int, _ column: UInt64, below limit: Int) -> Int {
            var random = SeededRandom(seed: UInt64(row), stream: column)
            return random.below(limit)
        }
        let valid = rows.map { $0 / 40_000 == 1 && $0 % 7 == 0 ? false : true }
        return [
            Column(name: "id", data: .int64(rows.map { Int64($0 / 3) })),
            Column(
                name: "value", data: .float64(rows.map { Double(draw($0, 1, below: 9_999)) / 100 }),
                validity: valid),
            Column(name: "small", data: .float32(rows.map { Float(draw($0, 2, below: 5)) })),
            Column(name: "name", data: .text(TextArray(rows.map { "name \($0 / 2)" }))),
            Column(
                name: "code",
                data: .coded(
                    CodedText(
                        codes: rows.map { row in
                            row % 11 == 0 && row > 50_000
                                ? CodedText.missing : UInt32(draw(row, 3, below: 30_000))
                        }, values: TextArray((0..<30_000).map { "text \($0)" })))),
        ]
    }

    @Test func bytesDependOnRowsAlone() throws {
        let folder = try TemporaryFolder()
        let rowCount = 6 * 16_384 + 77
        let whole = try SegmentWriter(path: folder.file("whole"), schema: Self.schema)
        try whole.append(columns(0..<rowCount))
        _ = try whole.finish()
        let expected = try folder.bytes("whole")
        for (threadCount, size) in [(3, rowCount), (2, 16_384), (1, 50_000), (4, 23_457)] {
            let writer = try SegmentWriter(
                path: folder.file("part"), schema: Self.schema, threadCount: threadCount)
            for start in stride(from: 0, to: rowCount, by: size) {
                try writer.append(columns(start..<min(rowCount, start + size)))
                #expect(writer.rowCount == min(rowCount, start + size))
            }
            let summary = try writer.finish()
            #expect(try folder.bytes("part") == expected, "\(threadCount) threads, \(size) rows")
            #expect(summary.byteCount == expected.count && summary.rowCount == rowCount)
            #expect(summary.checksum == CRC32C.checksum(expected))
        }
        let reader = try SegmentReader(path: folder.file("part"))
        for (index, column) in columns(0..<rowCount).enumerated() where index < 3 {
            let read = try reader.column(index, blocks: 0..<reader.blockCount)
            #expect(read.validity == column.validity)
            if column.validity == nil { #expect(read.data == column.data) }
        }
    }

    @Test func temporaryFilesGoWithTheirWriter() throws {
        let folder = try TemporaryFolder()
        do {
            let writer = try SegmentWriter(path: folder.file("a"), schema: Self.schema)
            try writer.append(columns(0..<20_000))
            let summary = try writer.finish(.temporary)
            #expect(summary.path != folder.file("a"))
            #expect(folder.names.count == 1)
            #expect(try SegmentReader(path: summary.path).rowCount == 20_000)
            #expect(throws: StoreError.self) { try writer.append(columns(0..<1)) }
            withExtendedLifetime(writer) {}
        }
        #expect(folder.names == [])
    }

    @Test func provisionalFilesStayUntilRemovedOrSettled() throws {
        let folder = try TemporaryFolder()
        for name in ["a", "b"] {
            let writer = try SegmentWriter(path: folder.file(name), schema: Self.schema)
            try writer.append(columns(0..<10))
            #expect(try writer.finish(.provisional).path == folder.file(name))
        }
        try AtomicFile.write([1], to: folder.file("names b"), settling: [folder.file("b")])
        PendingFiles.remove(folder.file("a"))
        #expect(folder.names.sorted() == ["b", "names b"])
    }
}
