import Models
import Numerical
import Testing

@Suite struct SampleStartTests {
    /// A sample of 2,048 rows for fits of at least 16,384, of at most 16 clusters.
    private var small: KMeansSeeding.Limits {
        var limits = KMeansSeeding.Limits()
        limits.sampleRowCount = 2_048
        limits.leastSampleRowsPerCluster = 128
        return limits
    }

    /// The same seeding, no iterations on a sample.
    private var none: KMeansSeeding.Limits {
        var limits = small
        limits.leastSampleRowsPerCluster = Int.max >> 8
        return limits
    }

    private let overlapping = PlantedClouds(
        rowCount: 30_011, cloudCount: 10, featureCount: 4, spread: 1, seed: 21)

    @Test func fewIterationsAreLeftAndTheResultIsAsGood() throws {
        // Fewer clusters than clouds, as where segments are few and wide.
        let points = PlantedClouds(
            rowCount: 30_011, cloudCount: 25, featureCount: 4, spread: 3, seed: 23
        ).matrix
        var (sampled, plain) = (Paths(), Paths())
        for seed in 1...6 as ClosedRange<UInt64> {
            let parameters = KMeans.Parameters(clusterCount: 6, seed: seed, threadCount: 2)
            sampled.add(try KMeans.fit(points, parameters, limits: small))
            plain.add(try KMeans.fit(points, parameters, limits: none))
        }
        #expect(10 * sampled.excess < plain.excess, "\(sampled), \(plain)")
        #expect(sampled.iterationCount < plain.iterationCount, "\(sampled), \(plain)")
        #expect(sampled.inertia < 1.02 * plain.inertia, "\(sampled), \(plain)")
    }

    /// What is left to do over all rows, summed over fits.
    private struct Paths {
        var iterationCount = 0
        var inertia = 0.0
        /// By how much the inertia before the first iteration is above the last one's, as a share.
        var excess = 0.0

        mutating func add(_ fitted: FittedKMeans) {
            iterationCount += fitted.inertiaPerIteration.count
            inertia += fitted.inertia
            excess += (fitted.inertiaPerIteration.first ?? .infinity) / fitted.inertia - 1
        }
    }

    @Test func sameForAnyThreadCountAlgorithmAndSource() throws {
        let points = overlapping.matrix
        var parameters = KMeans.Parameters(clusterCount: 9, seed: 3)
        let one = try KMeans.fit(points, parameters, limits: small)
        #expect(try KMeans.fit(points, parameters, limits: none).centroids != one.centroids)
        for (threadCount, algorithm) in [(2, KMeans.Algorithm.lloyd), (3, .bounded), (8, .auto)] {
            parameters.threadCount = threadCount
            parameters.algorithm = algorithm
            let other = try KMeans.fit(points, parameters, limits: small)
            #expect(other.centroids == one.centroids)
            #expect(other.assignments == one.assignments)
            let decoded = try KMeans.fit(
                DecodedPoints(points: points), parameters, limits: small)
            #expect(decoded.centroids == one.centroids)
        }
    }

    /// Three rows of 20,000 far from everything: the seeding meets them, the sample rarely does.
    @Test func clustersTooRareForTheSampleStay() throws {
        var values = PlantedClouds(
            rowCount: 20_000, cloudCount: 2, featureCount: 2, spread: 5, seed: 22
        ).rows
        for row in [501, 9_000, 19_999] { (values[2 * row], values[2 * row + 1]) = (4_000, 4_000) }
        let points = FeatureMatrix(rowMajor: values, rowCount: 20_000, featureCount: 2)
        for seed in 1...8 as ClosedRange<UInt64> {
            let fitted = try KMeans.fit(
                points, .init(clusterCount: 3, seed: seed, threadCount: 2), limits: small)
            #expect(fitted.sizes.contains(3), "seed \(seed)")
        }
    }

    /// All rows alike but a few: the sample has fewer different rows than clusters.
    @Test func aUniformSampleLeavesTheSeeding() throws {
        let n = 20_000
        let values = (0..<n).map { row in row % 4_000 == 17 ? Float(row) : 5 }
        let points = FeatureMatrix(rowMajor: values, rowCount: n, featureCount: 1)
        let fitted = try KMeans.fit(points, .init(clusterCount: 6, threadCount: 2), limits: small)
        #expect(fitted.sizes.sorted() == [1, 1, 1, 1, 1, n - 5])
        #expect(fitted.inertia == 0)
    }

    @Test func anUnreadableSourceIsAnError() throws {
        let source = DecodedPoints(points: overlapping.matrix, failingRow: 29_952)
        #expect(throws: ModelError.unreadable(what: "block 468", reason: "damaged")) {
            try KMeans.fit(source, .init(clusterCount: 4, threadCount: 2), limits: small)
        }
    }
}
