package import Numerical

/// k-means: Lloyd's iterations after a k-means++ seeding, the best of several restarts.
///
/// Bit-equal for any thread count and any `algorithm`: rows are cut into shards of a fixed size, a
/// shard's centroid sums are in double precision, change in row order and are merged in shard
/// order. Different instruction-set levels may differ in the last bits.
/// Source: S. Lloyd, "Least squares quantization in PCM", 1982; D. Arthur and S. Vassilvitskii,
/// "k-means++: the advantages of careful seeding", 2007.
package enum KMeans {
    /// How an iteration finds the nearest centroids. All find the same ones.
    package enum Algorithm: String, Sendable, Equatable, Codable, CaseIterable {
        /// Every row against every centroid.
        case lloyd
        /// A row only where its bounds allow a change, against the centroids in reach.
        case bounded
        /// `lloyd` while many rows move, then `bounded` while it spares work.
        case auto
    }

    package struct Parameters: Sendable, Equatable, Codable {
        /// At least 1. More clusters: lower inertia, smaller segments.
        package var clusterCount: Int = 5
        package var seed: UInt64 = 1
        /// Where the first centroids come from.
        package var seeding: Seeding = .auto
        /// Fits from different seedings, at least 1; the one of lowest inertia is kept.
        package var restarts: Int = 1
        /// Lloyd iterations of one fit, at least 1.
        package var maximumIterations: Int = 100
        /// At least 0. A fit ends when the centroids' squared movement is at most `tolerance` times
        /// the features' mean variance; 0: when no row changes its cluster.
        package var tolerance: Double = 1e-4
        /// Does not change the result.
        package var algorithm: Algorithm = .auto
        /// At least 1; does not change the result.
        package var threadCount: Int = 1

        /// Without the algorithm and the thread count: they change no result, so they may change
        /// no file.
        private enum CodingKeys: String, CodingKey {
            case clusterCount, seed, seeding, restarts, maximumIterations, tolerance
        }

        package init(
            clusterCount: Int = 5, seed: UInt64 = 1, seeding: Seeding = .auto, restarts: Int = 1,
            maximumIterations: Int = 100, tolerance: Double = 1e-4, algorithm: Algorithm = .auto,
            threadCount: Int = 1
        ) {
            self.clusterCount = clusterCount
            self.seed = seed
            self.seeding = seeding
            self.restarts = restarts
            self.maximumIterations = maximumIterations
            self.tolerance = tolerance
            self.algorithm = algorithm
            self.threadCount = threadCount
        }

        /// A model that was written before there was a choice of seedings was seeded greedily.
        package init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: CodingKeys.self)
            self.init(
                clusterCount: try values.decode(Int.self, forKey: .clusterCount),
                seed: try values.decode(UInt64.self, forKey: .seed),
                seeding: try values.decodeIfPresent(Seeding.self, forKey: .seeding) ?? .greedy,
                restarts: try values.decode(Int.self, forKey: .restarts),
                maximumIterations: try values.decode(Int.self, forKey: .maximumIterations),
                tolerance: try values.decode(Double.self, forKey: .tolerance))
        }

        func check() throws(ModelError) {
            func require(_ name: String, _ value: Int) throws(ModelError) {
                guard value >= 1 else {
                    throw .outOfRange(what: name, actual: Double(value), allowed: "at least 1")
                }
            }
            try require("clusterCount", clusterCount)
            try require("restarts", restarts)
            try require("maximumIterations", maximumIterations)
            try require("threadCount", threadCount)
            guard tolerance >= 0 && tolerance.isFinite else {
                throw .outOfRange(what: "tolerance", actual: tolerance, allowed: "at least 0")
            }
        }
    }

    /// Fits clusters.
    ///
    /// A pass holds one chunk of rows a thread. Kept from pass to pass are 8 bytes a row (label and
    /// bound) and the centroid sums of at most 64 shards.
    /// - Parameters:
    ///   - points: `[rowCount × featureCount]`, finite, on comparable scales.
    ///   - initialCentroids: `[clusterCount × featureCount]` row-major to start from instead of a
    ///     seeding (then one restart).
    /// - Throws: `noRows`; `tooFewRows` for fewer rows than clusters; `tooFewDistinctRows` where
    ///   fewer than `clusterCount` rows differ in single precision; `nonFiniteValue`; `outOfRange`;
    ///   what `points` throws where it cannot be read. No cluster of a fit is empty.
    /// - Complexity: O(rows × features × clusters) an iteration; the seeding costs about
    ///   2 + ln(clusters) iterations.
    package static func fit(
        _ points: any PointSource, _ parameters: Parameters, initialCentroids: [Float]? = nil,
        kernels: KernelTable = .current, limits: KMeansSeeding.Limits = KMeansSeeding.Limits()
    ) throws(ModelError) -> FittedKMeans {
        try parameters.check()
        guard points.rowCount > 0, points.featureCount > 0 else { throw .noRows(model: "k-means") }
        guard points.rowCount >= parameters.clusterCount else {
            throw .tooFewRows(
                model: "k-means", actual: points.rowCount, needed: parameters.clusterCount)
        }
        let raw = try Moments(points, threadCount: parameters.threadCount, kernels: kernels)
        guard raw.squareSum <= 1e36 else {
            throw .outOfRange(
                what: "the sum of squares of all features", actual: raw.squareSum,
                allowed: "at most 1e36, or single precision overflows; scale the features")
        }
        let start = try initialCentroids.map { (centroids) throws(ModelError) in
            try checked(centroids, parameters.clusterCount, points.featureCount)
        }
        guard raw.isFarFromOrigin else {
            return try fit(points, raw, parameters, start: start, kernels, limits)
        }
        let near = CentredPoints(points, origin: raw.means, threadCount: parameters.threadCount)
        let moments = try Moments(near, threadCount: parameters.threadCount, kernels: kernels)
        let fitted = try fit(
            near, moments, parameters, start: start.map { shift($0, by: raw.means, sign: -1) },
            kernels, limits)
        return fitted.shifted(to: raw.means)
    }

    /// The fit of checked points near the origin.
    private static func fit(
        _ points: any PointSource, _ moments: Moments, _ parameters: Parameters,
        start: [Float]?, _ kernels: KernelTable, _ limits: KMeansSeeding.Limits
    ) throws(ModelError) -> FittedKMeans {
        let meanSquare = moments.squareSum / Double(points.rowCount)
        guard meanSquare == 0 || meanSquare >= 1e-30 else {
            throw .outOfRange(
                what: "the mean square of the features", actual: meanSquare,
                allowed: "at least 1e-30, or single precision underflows; scale the features")
        }
        var run = LloydRun(
            points: points, parameters: parameters, moments: moments, kernels: kernels)
        if let start { return try run.iterate(from: start) }
        var best: FittedKMeans?
        var failure = ModelError.noRows(model: "k-means")
        for restart in 0..<parameters.restarts {
            do {
                let centroids = try self.start(
                    of: points, parameters, restart: restart, kernels: kernels, limits: limits)
                let fitted = try run.iterate(from: centroids)
                if fitted.inertia < best?.inertia ?? .infinity { best = fitted }
            } catch {
                // Another start may still find as many clusters; a file that cannot be read stays so.
                if case .unreadable = error { throw error }
                failure = error
            }
        }
        guard let best else { throw failure }
        return best
    }

    /// The centroids that a fit starts from: its seeding and, where that is worth it, where a
    /// sample's iterations lead from there.
    /// - Parameters:
    ///   - points: checked, near the origin.
    ///   - restart: 0 ..< restarts.
    /// - Returns: `[clusterCount × featureCount]` row-major.
    /// - Throws: as `KMeansSeeding.centroids`.
    package static func start(
        of points: any PointSource, _ parameters: Parameters, restart: Int = 0,
        kernels: KernelTable, limits: KMeansSeeding.Limits = KMeansSeeding.Limits()
    ) throws(ModelError) -> [Float] {
        var random = SeededRandom(seed: parameters.seed, stream: UInt64(restart))
        let centroids = try KMeansSeeding.centroids(
            of: points, clusterCount: parameters.clusterCount, method: parameters.seeding,
            random: &random, threadCount: parameters.threadCount, kernels: kernels, limits: limits)
        guard
            parameters.seeding == .auto,
            SampleStart.isWorthwhile(
                rowCount: points.rowCount, clusterCount: parameters.clusterCount, limits: limits)
        else { return centroids }
        return try SampleStart.centroids(
            from: centroids, of: points, parameters, limits: limits, random: &random,
            kernels: kernels)
    }

    /// Initial centroids that single precision can work with.
    private static func checked(
        _ centroids: [Float], _ clusterCount: Int, _ featureCount: Int
    ) throws(ModelError) -> [Float] {
        guard centroids.count == clusterCount * featureCount else {
            throw .countMismatch(
                what: "initial centroids", actual: centroids.count,
                expected: clusterCount * featureCount)
        }
        if let bad = centroids.firstIndex(where: { !$0.isFinite }) {
            throw .nonFiniteValue(
                what: "initial centroids", row: bad / featureCount, column: bad % featureCount)
        }
        // Rows that `fit` accepts pass: centroids that were seeded are among them.
        let squareSum = centroids.reduce(0.0) { $0 + Double($1) * Double($1) }
        guard squareSum <= 1e36 else {
            throw .outOfRange(
                what: "the sum of squares of the initial centroids", actual: squareSum,
                allowed: "at most 1e36, or single precision overflows; scale the features")
        }
        return centroids
    }

    static func shift(_ rows: [Float], by origin: [Float], sign: Float) -> [Float] {
        rows.indices.map { rows[$0] + sign * origin[$0 % origin.count] }
    }
}
