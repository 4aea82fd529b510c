package import Numerical

/// k-prototypes: k-means for rows of numbers and categories. A cluster's prototype is the mean of
/// its rows' numbers and the most frequent category of each column; a row is as far from it as the
/// squared differences of the numbers add up to, plus `gamma` for every category that is not the
/// prototype's. Without numbers this is k-modes, without categories k-means.
///
/// A missing category (code below 0) adds nothing to any distance, so that it neither attracts nor
/// repels; give it a code of its own where that it is missing says something. A category that no
/// prototype has, for one that the fit never saw, is a mismatch with all of them. Ties go to the
/// lowest cluster, among categories of a cluster to the lowest code.
///
/// Bit-equal for any thread count: a shard of fixed size owns its rows' labels and sums, sums are
/// added in row order and merged in shard order, and categories are counted in whole numbers.
/// Distances are in single precision, so that rows that are equally near to two prototypes but for
/// rounding may go to another one at another instruction-set level.
///
/// Source: Z. Huang, "Extensions to the k-means algorithm for clustering large data sets with
/// categorical values", Data Mining and Knowledge Discovery 2, 1998, sections 3 and 4, with all
/// rows reassigned before the prototypes move (Lloyd's way, in place of MacQueen's).
package enum KPrototypes {
    /// More than this no mismatch costs, found from the data or given: a thousand columns of it,
    /// each a million times as heavy, stay within the range of single precision.
    package static let largestGamma = 1e15

    package struct Parameters: Sendable, Equatable, Codable {
        /// At least 1. More clusters: lower cost, smaller segments.
        package var clusterCount = 5
        /// What a mismatch of categories costs, above 0, at most `largestGamma`; more: categories
        /// weigh more. nil: found from the data, see `CategoryWeights.gamma`.
        package var gamma: Double?
        /// `[categoryCount]`, at least 0: a factor of `gamma` for each column; empty: all 1.
        package var categoryWeights: [Double] = []
        package var seed: UInt64 = 1
        /// Fits from different seedings, at least 1; the one of lowest cost is kept.
        package var restarts = 4
        /// Iterations of one fit, at least 1.
        package var maximumIterations = 100
        /// 0 ..< 1. A fit ends when an iteration lowers the cost by at most this share of it; 0: when
        /// no row changes its cluster.
        package var tolerance = 1e-5
        /// At least 1; does not change the result.
        package var threadCount = 1

        /// Without the thread count: it changes no result, so it may change no file.
        private enum CodingKeys: String, CodingKey {
            case clusterCount, gamma, categoryWeights, seed, restarts, maximumIterations, tolerance
        }

        package init(
            clusterCount: Int = 5, gamma: Double? = nil, categoryWeights: [Double] = [],
            seed: UInt64 = 1, restarts: Int = 4, maximumIterations: Int = 100,
            tolerance: Double = 1e-5, threadCount: Int = 1
        ) {
            self.clusterCount = clusterCount
            self.gamma = gamma
            self.categoryWeights = categoryWeights
            self.seed = seed
            self.restarts = restarts
            self.maximumIterations = maximumIterations
            self.tolerance = tolerance
            self.threadCount = threadCount
        }

        func check(categoryCount: Int) throws(ModelError) {
            try ClusterFits.check(
                clusterCount: clusterCount, restarts: restarts,
                maximumIterations: maximumIterations, threadCount: threadCount)
            guard tolerance >= 0 && tolerance < 1 else {
                throw .outOfRange(what: "tolerance", actual: tolerance, allowed: "0 ..< 1")
            }
            if let gamma, !(gamma > 0 && gamma <= KPrototypes.largestGamma) {
                throw .outOfRange(what: "gamma", actual: gamma, allowed: "above 0, at most 1e15")
            }
            guard categoryWeights.isEmpty || categoryWeights.count == categoryCount else {
                throw .countMismatch(
                    what: "categoryWeights", actual: categoryWeights.count,
                    expected: categoryCount)
            }
            if let bad = categoryWeights.first(where: { !($0 >= 0 && $0 <= 1e6) }) {
                throw .outOfRange(what: "a category weight", actual: bad, allowed: "0 ... 1e6")
            }
        }
    }

    /// Fits clusters.
    ///
    /// Kept from pass to pass are 8 bytes a row (label and distance), the sums of at most 64 shards,
    /// and for the categories either counts (4 bytes a category, cluster and thread) or, where
    /// categories × clusters are more than `PrototypeRun.mostCounts`, the rows in the order of their
    /// codes (4 bytes a row).
    /// - Parameter rows: numbers finite, on comparable scales, at most 1e16 from 0.
    /// - Throws: `noRows`; `tooFewRows` for fewer rows than clusters; `tooFewDistinctRows` where
    ///   fewer than `clusterCount` rows differ; `nonFiniteValue`; `outOfRange`; `countMismatch`. No
    ///   cluster of a fit is empty.
    /// - Complexity: O(rows × columns × clusters) an iteration; the seeding costs as much as
    ///   2 + ln(clusters) iterations.
    package static func fit(
        _ rows: MixedRows, _ parameters: Parameters, kernels: KernelTable = .current
    ) throws(ModelError) -> FittedKPrototypes {
        try parameters.check(categoryCount: rows.categoryCount)
        try rows.check(model: "k-prototypes", threadCount: parameters.threadCount)
        guard rows.rowCount >= parameters.clusterCount else {
            throw .tooFewRows(
                model: "k-prototypes", actual: rows.rowCount, needed: parameters.clusterCount)
        }
        var run = PrototypeRun(rows, parameters, kernels: kernels)
        return try ClusterFits.best(ofRestarts: parameters.restarts, cost: \.cost) {
            (restart) throws(ModelError) in
            var random = SeededRandom(seed: parameters.seed, stream: UInt64(restart))
            return try run.iterate(from: try run.seed(&random))
        }
    }
}
