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

    @Test func sortedRowsMakeTheBytesOfTheirColumns() throws {
        let folder = try TemporaryFolder()
        var random = SeededRandom(seed: 8)
        let rowCount = 3 * 16_384 + 5_000
        // In order, as the columns are to be.
        let ids = (0..<rowCount).map { Int64($0 / 9) }
        let times = (0..<rowCount).map { Int64($0 % 9 * 1_000) }
        let values = (0..<rowCount).map { _ in Int64(random.below(1_000)) * 100 }
        let items = (0..<rowCount).map { _ in Float(random.below(6)) }
        let codes = (0..<rowCount).map { _ in
            random.below(40) == 0 ? CodedText.missing : UInt32(random.below(50_000))
        }
        let texts = TextArray((0..<50_000).map { "text \($0 % 100_000 * 7)" })
        let names = TextArray((0...rowCount / 9).map { "name \($0)" })
        let schema = [
            ColumnSchema(name: "name", type: .text), ColumnSchema(name: "time", type: .int64),
            ColumnSchema(name: "value", type: .int64), ColumnSchema(name: "items", type: .float32),
            ColumnSchema(name: "code", type: .text),
        ]
        let whole = try SegmentWriter(path: folder.file("whole"), schema: schema)
        try whole.append([
            Column(
                name: "name", data: .coded(CodedText(codes: ids.map { UInt32($0) }, values: names))),
            Column(name: "time", data: .int64(times)), Column(name: "value", data: .int64(values)),
            Column(name: "items", data: .float32(items)),
            Column(name: "code", data: .coded(CodedText(codes: codes, values: texts))),
        ])
        _ = try whole.finish()
        // A first batch that ends within a block: its texts are met again by the next.
        for (threadCount, cut) in [(1, rowCount), (3, rowCount), (2, 20_000)] {
            let writer = try SegmentWriter(
                path: folder.file("sorted"), schema: schema, threadCount: threadCount)
            for part in [0..<cut, cut..<rowCount] {
                // The rows come in any order; no two have one id and one time.
                var rows = Array(part)
                for last in rows.indices.dropFirst().reversed() {
                    rows.swapAt(last, random.below(last + 1))
                }
                let values: [RowValues] = [
                    .words(rows.map { values[$0] }), .floats(rows.map { items[$0] }),
                    .halves(rows.map { codes[$0] }),
                ]
                let (first, second) = (rows.map { ids[$0] }, rows.map { times[$0] })
                var collector = RowCollector(
                    like: first, second, values, capacity: rows.count, threadCount: threadCount)
                let isAdded = collector.add(first, second, values, threadCount: threadCount)
                #expect(isAdded)
                let sorted = collector.sorted(threadCount: threadCount)
                try writer.append(
                    sorted,
                    [
                        SortedColumn(.first, texts: names), SortedColumn(.second),
                        SortedColumn(.value(0)), SortedColumn(.value(1)),
                        SortedColumn(.value(2), texts: texts),
                    ])
            }
            _ = try writer.finish()
            #expect(try folder.bytes("sorted") == folder.bytes("whole"), "\(threadCount), \(cut)")
        }
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
