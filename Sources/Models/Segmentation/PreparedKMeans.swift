package import Numerical

/// Points that k-means can work on: checked, and moved to their mean where they lie far from the
/// origin. A fit is a start and the iterations from there; both can be asked for apart, to time them.
package struct PreparedKMeans: Sendable {
    private let parameters: KMeans.Parameters
    private let kernels: KernelTable
    private let limits: KMeansSeeding.Limits
    /// Near the origin.
    private let points: any PointSource
    private let moments: Moments
    /// What was subtracted from the rows; nil: nothing.
    private let origin: [Float]?

    /// Reads the points once, twice where they lie far from the origin.
    /// - Parameter points: `[rowCount × featureCount]`, finite, on comparable scales.
    /// - Throws: `noRows`; `tooFewRows` for fewer rows than clusters; `nonFiniteValue`;
    ///   `outOfRange` for parameters and for points on which single precision overflows or
    ///   underflows; what `points` throws.
    package init(
        _ points: any PointSource, _ parameters: KMeans.Parameters,
        kernels: KernelTable = .current, limits: KMeansSeeding.Limits = KMeansSeeding.Limits()
    ) throws(ModelError) {
        try parameters.check()
        guard points.rowCount > 0, points.featureCount > 0 else { throw .noRows(model: "k-means") }
        guard points.rowCount >= parameters.clusterCount else {
            throw .tooFewRows(
                model: "k-means", actual: points.rowCount, needed: parameters.clusterCount)
        }
        let threadCount = parameters.threadCount
        let raw = try Moments(points, threadCount: threadCount, kernels: kernels)
        guard raw.squareSum <= 1e36 else {
            throw .outOfRange(
                what: "the sum of squares of all features", actual: raw.squareSum,
                allowed: "at most 1e36, or single precision overflows; scale the features")
        }
        if raw.isFarFromOrigin {
            let near = CentredPoints(points, origin: raw.means, threadCount: threadCount)
            self.points = near
            moments = try Moments(near, threadCount: threadCount, kernels: kernels)
            origin = raw.means
        } else {
            self.points = points
            moments = raw
            origin = nil
        }
        let meanSquare = moments.squareSum / Double(points.rowCount)
        guard meanSquare == 0 || meanSquare >= 1e-30 else {
            throw .outOfRange(
                what: "the mean square of the features", actual: meanSquare,
                allowed: "at least 1e-30, or single precision underflows; scale the features")
        }
        self.parameters = parameters
        self.kernels = kernels
        self.limits = limits
    }

    /// Centroids to start from, relative to the mean of points that were moved there.
    package struct Start: Sendable {
        /// `[clusterCount × featureCount]`, row-major.
        fileprivate let centroids: [Float]
    }

    /// Where the fit of a restart starts: its seeding and, where that is worth it, where a sample's
    /// iterations lead from there.
    /// - Parameter restart: 0 ..< restarts.
    /// - Throws: as `KMeansSeeding.centroids`.
    package func start(restart: Int = 0) throws(ModelError) -> Start {
        var random = SeededRandom(seed: parameters.seed, stream: UInt64(restart))
        let centroids = try KMeansSeeding.centroids(
            of: points, clusterCount: parameters.clusterCount, method: parameters.seeding,
            random: &random, threadCount: parameters.threadCount, kernels: kernels, limits: limits)
        guard
            parameters.seeding == .auto,
            SampleStart.isWorthwhile(
                rowCount: points.rowCount, clusterCount: parameters.clusterCount, limits: limits)
        else { return Start(centroids: centroids) }
        return Start(
            centroids: try SampleStart.centroids(
                from: centroids, of: points, parameters, limits: limits, random: &random,
                kernels: kernels))
    }

    /// Given centroids that single precision can work with.
    /// - Parameter centroids: `[clusterCount × featureCount]`, row-major, as the points lay.
    /// - Throws: `countMismatch`, `nonFiniteValue`, `outOfRange`.
    package func start(from centroids: [Float]) throws(ModelError) -> Start {
        let featureCount = points.featureCount
        guard centroids.count == parameters.clusterCount * featureCount else {
            throw .countMismatch(
                what: "initial centroids", actual: centroids.count,
                expected: parameters.clusterCount * featureCount)
        }
        if let bad = centroids.firstIndex(where: { !$0.isFinite }) {
            throw .nonFiniteValue(
                what: "initial centroids", row: bad / featureCount, column: bad % featureCount)
        }
        // Rows that are accepted pass: centroids that were seeded are among them.
        let squareSum = centroids.reduce(0.0) { $0 + Double($1) * Double($1) }
        guard squareSum <= 1e36 else {
            throw .outOfRange(
                what: "the sum of squares of the initial centroids", actual: squareSum,
                allowed: "at most 1e36, or single precision overflows; scale the features")
        }
        guard let origin else { return Start(centroids: centroids) }
        return Start(centroids: KMeans.shift(centroids, by: origin, sign: -1))
    }

    /// Lloyd's iterations from a start.
    /// - Throws: `tooFewDistinctRows`; what the points throw.
    package func fit(from start: Start) throws(ModelError) -> FittedKMeans {
        var run = self.run
        return shifted(try run.iterate(from: start.centroids))
    }

    /// The fit of lowest inertia of all restarts.
    /// - Throws: as `start` and `fit(from:)`, where no restart can be fitted.
    package func fit() throws(ModelError) -> FittedKMeans {
        var run = self.run
        let best = try ClusterFits.best(ofRestarts: parameters.restarts, cost: \.inertia) {
            (restart) throws(ModelError) in
            try run.iterate(from: try start(restart: restart).centroids)
        }
        return shifted(best)
    }

    private var run: LloydRun {
        LloydRun(points: points, parameters: parameters, moments: moments, kernels: kernels)
    }

    private func shifted(_ fitted: FittedKMeans) -> FittedKMeans {
        origin.map { fitted.shifted(to: $0) } ?? fitted
    }
}
