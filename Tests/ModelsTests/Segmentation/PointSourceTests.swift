import Models
import Numerical
import Synchronization
import Testing

/// A source that decodes into the caller's memory, and may fail.
private final class CountingSource: PointSource {
    let points: FeatureMatrix
    let badRow: Int?
    let readRows = Atomic<Int>(0)
    let mostRows = Atomic<Int>(0)

    var rowCount: Int { points.rowCount }
    var featureCount: Int { points.featureCount }

    init(_ points: FeatureMatrix, badRow: Int? = nil) {
        self.points = points
        self.badRow = badRow
    }

    func withRows<Result>(
        _ rows: Range<Int>, scratch: inout FeatureMatrix,
        _ body: (FeatureMatrix, Range<Int>) throws(ModelError) -> Result
    ) throws(ModelError) -> Result {
        precondition(rows.lowerBound % 64 == 0 && rows.upperBound <= rowCount)
        if let badRow, rows.contains(badRow) {
            throw .unreadable(what: "block \(badRow / 64)", reason: "checksum")
        }
        readRows.wrappingAdd(rows.count, ordering: .relaxed)
        mostRows.max(rows.count, ordering: .relaxed)
        scratch.setDifference(
            of: points, rows: rows, origin: [Float](repeating: 0, count: featureCount))
        return try body(scratch, 0..<rows.count)
    }
}

@Suite struct PointSourceTests {
    private func planted(_ rowCount: Int, offset: Float = 0) -> FeatureMatrix {
        var random = SeededRandom(seed: 15)
        let columns = (0..<6).map { j in
            (0..<rowCount).map { row in
                offset + Float((row % 7) >> (j % 3) & 1) * 9 + Float(random.normal())
            }
        }
        return FeatureMatrix(columns: columns)
    }

    @Test(arguments: [Float(0), 5e4]) func aDecodingSourceGivesTheSameFit(offset: Float) throws {
        let points = planted(20_001, offset: offset)
        var parameters = KMeans.Parameters(clusterCount: 9, seed: 3, restarts: 2)
        let expected = try KMeans.fit(points, parameters)
        for threads in [1, 3] {
            parameters.threadCount = threads
            let source = CountingSource(points)
            #expect(try KMeans.fit(source, parameters) == expected)
            #expect(source.mostRows.load(ordering: .relaxed) <= 8192)
        }
    }

    /// Where no row may change its cluster, the features are not read.
    @Test func settledRowsAreNotRead() throws {
        let points = planted(50_000)
        // From the means that an earlier fit found, the second pass changes nothing.
        let means = try KMeans.fit(
            points, .init(clusterCount: 7, tolerance: 0),
            initialCentroids: (0..<7).flatMap { points.row($0) }
        ).centroids
        func readRows(_ algorithm: KMeans.Algorithm) throws -> (Int, FittedKMeans) {
            let source = CountingSource(points)
            let fitted = try KMeans.fit(
                source,
                .init(
                    clusterCount: 7, seed: 3, maximumIterations: 20, tolerance: 0,
                    algorithm: algorithm),
                initialCentroids: means)
            return (source.readRows.load(ordering: .relaxed), fitted)
        }
        let (lloyd, expected) = try readRows(.lloyd)
        let (bounded, fitted) = try readRows(.bounded)
        #expect(fitted == expected && fitted.converged)
        #expect(bounded < lloyd)
    }

    /// A fit that ends because no row changes its cluster has its result: it reads the rows as often
    /// as one that is stopped an iteration before, which still has to assign them.
    @Test(arguments: [Float(0), 5e4]) func theLastPassIsNotRepeated(offset: Float) throws {
        let points = planted(20_000, offset: offset)
        let start = (0..<7).flatMap { points.row($0) }
        func fit(_ iterations: Int) throws -> (readRows: Int, FittedKMeans) {
            let source = CountingSource(points)
            let fitted = try KMeans.fit(
                source,
                .init(
                    clusterCount: 7, seed: 3, maximumIterations: iterations, tolerance: 0,
                    algorithm: .lloyd), initialCentroids: start)
            return (source.readRows.load(ordering: .relaxed), fitted)
        }
        let (readRows, whole) = try fit(200)
        let count = whole.inertiaPerIteration.count
        #expect(whole.converged && count % 64 != 0)
        let (readBefore, before) = try fit(count - 1)
        #expect(!before.converged)
        #expect(readRows == readBefore)
        #expect(before.centroids == whole.centroids && before.assignments == whole.assignments)
        #expect(before.inertia == whole.inertia && before.sizes == whole.sizes)
    }

    @Test func aFailingSourceEndsTheFit() {
        let points = planted(30_000)
        for badRow in [0, 12_345, 29_999] {
            let error = ModelError.unreadable(what: "block \(badRow / 64)", reason: "checksum")
            for threads in [1, 3] {
                #expect(throws: error) {
                    try KMeans.fit(
                        CountingSource(points, badRow: badRow),
                        .init(clusterCount: 4, restarts: 2, threadCount: threads))
                }
            }
        }
    }

    @Test func theFirstBadValueIsNamed() {
        var points = planted(30_000)
        points[29_000, 1] = .infinity
        points[20_000, 4] = .nan
        for source in [points as any PointSource, CountingSource(points)] {
            #expect(throws: ModelError.nonFiniteValue(what: "k-means", row: 20_000, column: 4)) {
                try KMeans.fit(source, .init(clusterCount: 4, threadCount: 2))
            }
        }
    }
}
