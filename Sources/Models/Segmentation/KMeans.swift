package import Numerical

/// k-means: Lloyd's iterations after a k-means++ seeding, the best of several restarts.
///
/// Bit-equal for any thread count and any `algorithm`: rows are cut into shards of a fixed size, a
/// shard's centroid sums are in double precision, change in row order and are merged in shard
/// order.
///
/// A row x is compared with the centroids c by x·c - |c|²/2 in single precision. Where its two
/// nearest centroids differ by less than about (d + 8) 2^-22 |x| |c| in that, d being the features,
/// it may go to either: the same one for every algorithm and thread count, but maybe another one at
/// another instruction-set level, where products are summed in another order. Iterations go on from
/// there, so between levels such rows, and what follows from them, may differ.
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
            try ClusterFits.check(
                clusterCount: clusterCount, restarts: restarts,
                maximumIterations: maximumIterations, threadCount: threadCount)
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
        let prepared = try PreparedKMeans(points, parameters, kernels: kernels, limits: limits)
        guard let initialCentroids else { return try prepared.fit() }
        return try prepared.fit(from: try prepared.start(from: initialCentroids))
    }

    static func shift(_ rows: [Float], by origin: [Float], sign: Float) -> [Float] {
        rows.indices.map { rows[$0] + sign * origin[$0 % origin.count] }
    }
}
