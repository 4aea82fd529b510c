import ByteCoding
import ColumnStore
import Engine
import Foundation
import Models
import Numerical
import TestSupport
import Testing

/// Features read from encoded blocks are the features of the arrays that were written.
@Suite struct SegmentPointsTests {
    private let rowCount = 2 * Limits.blockRowCount + 1_000
    private let names = ["orders", "spend", "share"]

    private func columns() -> [Column] {
        var random = SeededRandom(seed: 5, stream: 0)
        let centres = (0..<rowCount).map { _ in random.below(4) }
        return [
            Column(name: "orders", data: .int64(centres.map { Int64($0 * 3 + random.below(2)) })),
            Column(
                name: "spend", data: .float64(centres.map { Double($0) * 2 + random.uniform() })),
            Column(name: "share", data: .float32(centres.map { _ in Float(random.uniform()) })),
            Column(name: "name", data: .text(TextArray(centres.map { "c\($0)" }))),
        ]
    }

    private func write(_ columns: [Column], to path: String) throws {
        let writer = try SegmentWriter(
            path: path,
            schema: columns.map { ColumnSchema(name: $0.name, type: $0.data.type) })
        try writer.append(columns)
        _ = try writer.finish()
    }

    private func inMemory(_ columns: [Column]) -> FeatureMatrix {
        FeatureMatrix(
            columns: columns.prefix(3).map { column in
                switch column.data {
                case .int64(let values): values.map(Float.init)
                case .float64(let values): values.map(Float.init)
                case .float32(let values): values
                default: []
                }
            })
    }

    @Test func fitsAsTheArraysDo() throws {
        try withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("features.seg").path
            let columns = columns()
            try write(columns, to: path)
            let parameters = KMeans.Parameters(clusterCount: 4, threadCount: 2)
            let points = try SegmentPoints(
                SegmentReader(path: path), columns: names, threadCount: 2)
            let fitted = try KMeans.fit(points, parameters)
            #expect(fitted == (try KMeans.fit(inMemory(columns), parameters)))
            #expect(fitted.sizes.reduce(0, +) == rowCount)
        }
    }

    /// Chunks inside a block, over its end and at the end of the file.
    @Test func everyChunkHasItsRows() throws {
        try withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("features.seg").path
            let columns = columns()
            try write(columns, to: path)
            let points = try SegmentPoints(
                SegmentReader(path: path), columns: names, threadCount: 1)
            let expected = inMemory(columns)
            var scratch = FeatureMatrix(rowCount: 0, featureCount: 3)
            for rows in [0..<64, 16_320..<16_448, 16_384..<32_768, 32_768..<rowCount, 64..<33_000] {
                let same = try points.withRows(rows, scratch: &scratch) {
                    (matrix, place) throws(ModelError) in
                    place.count == rows.count && place.lowerBound % 64 == 0
                        && zip(rows, place).allSatisfy { expected.row($0) == matrix.row($1) }
                }
                #expect(same, "\(rows)")
            }
        }
    }

    @Test func saysWhatCannotBeRead() throws {
        try withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("features.seg").path
            var columns = columns()
            columns[1].validity = (0..<rowCount).map { $0 != 20_000 }
            try write(columns, to: path)
            let reader = try SegmentReader(path: path)
            #expect(throws: StoreError.self) {
                try SegmentPoints(reader, columns: ["orders", "name"], threadCount: 1)
            }
            #expect(throws: StoreError.self) {
                try SegmentPoints(reader, columns: ["absent"], threadCount: 1)
            }
            let points = try SegmentPoints(reader, columns: names, threadCount: 1)
            #expect(
                throws: ModelError.nonFiniteValue(
                    what: "column \"spend\"", row: 20_000, column: 1)
            ) { try KMeans.fit(points, KMeans.Parameters(clusterCount: 2)) }

            // One flipped bit in a block of numbers.
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            bytes[200] ^= 1
            try bytes.write(to: URL(fileURLWithPath: path))
            let damaged = try SegmentPoints(
                SegmentReader(path: path), columns: names, threadCount: 1)
            #expect {
                try KMeans.fit(damaged, KMeans.Parameters(clusterCount: 2))
            } throws: { error in
                guard case .unreadable = error as? ModelError else { return false }
                return true
            }
        }
    }
}
