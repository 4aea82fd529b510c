import Models
import Numerical
import Testing

/// The bounded passes must find what Lloyd's find, to the byte: labels, centroids, inertia.
@Suite struct KMeansBoundsTests {
    /// Data on which a bound without slack, or ties resolved another way, would show.
    enum Shape: String, CaseIterable, Sendable {
        case clouds, noise, lattice, duplicates, tinyDifferences, farOff, outliers, mixedScales
        case constant, wide
    }

    private func points(_ shape: Shape, _ n: Int) -> FeatureMatrix {
        var random = SeededRandom(seed: 21)
        let d = shape == .wide ? 130 : shape == .lattice ? 2 : 5
        var values: [Float] = []
        values.reserveCapacity(n * d)
        for row in 0..<n {
            let cloud = random.below(12)
            for j in 0..<d {
                let normal = Float(random.normal())
                let corner = Float((cloud >> (j % 4) & 1) * 8)
                let value: Float =
                    switch shape {
                    case .clouds, .wide: corner + normal
                    case .noise: normal
                    case .lattice: Float(random.below(12))
                    case .duplicates: Float((row % 17) * (j + 1) % 7)
                    case .tinyDifferences: 1 + Float(random.below(9)) * 0x1p-22
                    case .farOff: 30_000 + corner + normal
                    case .outliers: row % 500 == 0 ? normal * 1e6 : corner + normal
                    case .mixedScales: normal * (j == 0 ? 1e5 : 1e-3)
                    case .constant: j == 0 ? corner : 3
                    }
                values.append(value)
            }
        }
        return FeatureMatrix(rowMajor: values, rowCount: n, featureCount: d)
    }

    @Test(arguments: Shape.allCases) func sameAsLloyd(shape: Shape) throws {
        let n = shape == .wide ? 1500 : 6000
        let points = points(shape, n)
        var random = SeededRandom(seed: 4)
        for k in [1, 2, 7, 40] {
            // Rows that are drawn, with repetition: some clusters start empty or equal.
            let start = (0..<k).flatMap { _ in points.row(random.below(n)) }
            var parameters = KMeans.Parameters(
                clusterCount: k, maximumIterations: 80, tolerance: 0, algorithm: .lloyd)
            func fit(_ level: ISALevel) -> Result<FittedKMeans, ModelError> {
                Result { () throws(ModelError) in
                    try KMeans.fit(
                        points, parameters, initialCentroids: start, kernels: KernelTable(level))
                }
            }
            for level in ISALevel.available where level != .scalar || shape != .wide {
                parameters.algorithm = .lloyd
                let expected = fit(level)
                for algorithm in [KMeans.Algorithm.bounded, .auto] {
                    parameters.algorithm = algorithm
                    #expect(fit(level) == expected, "\(shape) \(k) \(level) \(algorithm)")
                }
            }
        }
    }

    /// Centroids about as far apart as single precision can square.
    @Test(arguments: ISALevel.available) func sameAsLloydAtTheLargestDistances(level: ISALevel)
        throws
    {
        let points = FeatureMatrix(columns: [[7e17, -4e17]])
        var parameters = KMeans.Parameters(clusterCount: 2, algorithm: .lloyd)
        let expected = try KMeans.fit(
            points, parameters, initialCentroids: [0, 0], kernels: KernelTable(level))
        parameters.algorithm = .bounded
        let bounded = try KMeans.fit(
            points, parameters, initialCentroids: [0, 0], kernels: KernelTable(level))
        #expect(bounded == expected && expected.sizes == [1, 1])
        // Centroids among the rows, as a seeding finds them.
        #expect(
            try KMeans.fit(
                points, parameters, initialCentroids: [7e17, -4e17], kernels: KernelTable(level)
            ).inertia == 0)
    }

    @Test func sameForAnyThreadCountAndRestart() throws {
        let points = points(.clouds, 30_000)
        var parameters = KMeans.Parameters(
            clusterCount: 19, seed: 2, restarts: 2, tolerance: 0, algorithm: .lloyd)
        let expected = try KMeans.fit(points, parameters)
        #expect(expected.iterations > 4)
        for threads in [1, 2, 5] {
            for algorithm in KMeans.Algorithm.allCases {
                parameters.threadCount = threads
                parameters.algorithm = algorithm
                #expect(try KMeans.fit(points, parameters) == expected)
            }
        }
    }
}
