import Numerical

/// k-means||: a few rounds that each draw many rows by the squared distance to the candidates so far,
/// then greedy k-means++ among the candidates, each weighted by the rows nearest to it.
///
/// A round draws exactly `oversampling × clusterCount` rows, with repetition, from the distribution
/// that the paper draws each row from independently.
/// Source: B. Bahmani, B. Moseley, A. Vattani, R. Kumar, S. Vassilvitskii, "Scalable k-means++",
/// VLDB 2012, algorithm 2.
package enum ParallelSeeding {
    package struct Sizes: Sendable, Equatable {
        /// Rounds of drawing, at least 1. More find what lies far from everything else; with 2 the
        /// inertia after seeding is that of greedy k-means++ on planted mixtures, with 3 below it,
        /// and the paper sees no gain above 5.
        package var roundCount = 3
        /// Rows drawn in a round, in clusters; the rounds together should give more than twice as
        /// many candidates as clusters.
        package var oversampling = 2

        package init() {}
    }

    /// - Throws: `tooFewDistinctRows`; `unreadable` from the source.
    static func centroids(
        of points: any PointSource, clusterCount: Int, sizes: Sizes = Sizes(),
        random: inout SeededRandom, threadCount: Int, kernels: KernelTable
    ) throws(ModelError) -> [Float] {
        let d = points.featureCount
        var passes = SeedingPasses(points, threadCount: threadCount, kernels: kernels)
        var candidates = try passes.row(random.below(points.rowCount))
        try passes.lower(toNearestOf: candidates, firstIndex: 0)
        var isExhausted = false
        for _ in 0..<sizes.roundCount {
            let sums = passes.stripeSums()
            isExhausted = sums.total <= 0
            if isExhausted { break }
            var rows: Set<Int> = []
            for _ in 0..<sizes.oversampling * clusterCount {
                rows.insert(
                    try passes.row(at: sums.place(of: random.uniform() * sums.total)))
            }
            var drawn: [Float] = []
            for row in rows.sorted() { drawn += try passes.row(row) }
            try passes.lower(toNearestOf: drawn, firstIndex: candidates.count / d)
            candidates += drawn
        }
        // Padding repeats the last vector of a round, and ties go to the lowest index: no row has
        // the index of padding.
        var counts = [Int](repeating: 0, count: candidates.count / d)
        for chunk in passes.chunks {
            for i in 0..<chunk.rows.count { counts[Int(chunk.labels[i])] += 1 }
        }
        // A candidate that no row is nearest to equals an earlier one.
        let kept = counts.indices.filter { counts[$0] > 0 }
        guard kept.count >= clusterCount else {
            if isExhausted {
                throw .tooFewDistinctRows(
                    model: "k-means", actual: kept.count, needed: clusterCount)
            }
            // Nearly all rows are alike: the draws keep meeting the same few others.
            return try GreedySeeding.centroids(
                of: points, clusterCount: clusterCount, random: &random,
                threadCount: threadCount, kernels: kernels)
        }
        let largest = Double(counts.max() ?? 1)
        let matrix = FeatureMatrix(
            rowMajor: kept.flatMap { candidates[$0 * d..<($0 + 1) * d] }, rowCount: kept.count,
            featureCount: d)
        return try GreedySeeding.centroids(
            of: matrix, weights: kept.map { Float(Double(counts[$0]) / largest) },
            clusterCount: clusterCount, random: &random, threadCount: threadCount,
            kernels: kernels)
    }
}
