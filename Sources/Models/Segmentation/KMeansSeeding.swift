package import Numerical

extension KMeans {
    /// How the centroids that a fit starts from are found.
    package enum Seeding: String, Codable, Sendable, CaseIterable {
        /// Greedy k-means++: one pass over the rows a centroid.
        case greedy
        /// k-means||: a few passes whatever the number of clusters, then greedy k-means++ among the
        /// candidates.
        case parallel
        /// Greedy k-means++ on a sample, moved by mini-batches; see `MiniBatchStart`.
        case miniBatch
        /// By the numbers of rows and clusters; a fit of many rows then starts with iterations on
        /// a sample. See `KMeansSeeding.Limits`.
        case auto
    }
}

/// Starting centroids for k-means.
///
/// Rows are read chunk by chunk from wherever they lie; what is kept is one float a row (with
/// `parallel` two) and a chunk of rows a thread. Bit-equal for any thread count.
package enum KMeansSeeding {
    /// Where `auto` changes its way.
    package struct Limits: Sendable, Equatable {
        /// Most rows for which `auto` seeds greedily whatever the number of clusters.
        package var greedyRowCount = 1 << 18
        /// Most clusters for which it does so whatever the number of rows: one pass a centroid is
        /// then no more work than k-means||.
        package var greedyClusterCount = 16
        /// Most rows that are seeded as a whole; above, `MiniBatchStart` works on samples.
        package var wholeRowCount = 20_000_000
        /// Rows of the sample that `SampleStart` iterates on: a multiple of 64.
        package var sampleRowCount = 1 << 16
        /// It does so from so many times as many rows on, and with at least so many rows a cluster.
        package var leastSampleMultiple = 8
        package var leastSampleRowsPerCluster = 1 << 12
        package var miniBatch = MiniBatchStart.Sizes()
        package var parallel = ParallelSeeding.Sizes()

        package init() {}
    }

    /// Finds starting centroids.
    /// - Parameters:
    ///   - points: finite, on comparable scales; at least `clusterCount` rows.
    ///   - clusterCount: at least 1.
    ///   - random: moves on by what is drawn.
    /// - Returns: `[clusterCount × featureCount]` row-major: different rows of `points`, or, from
    ///   `MiniBatchStart`, means of rows.
    /// - Throws: `tooFewDistinctRows` where fewer than `clusterCount` rows differ in single
    ///   precision; `noRows`, `tooFewRows`; `unreadable` from the source.
    /// - Complexity: `greedy` reads all rows `clusterCount` times and takes rows × features ×
    ///   clusters × (3 + ln clusters) multiply-adds; `parallel` reads them `roundCount + 1` times
    ///   and takes rows × features × clusters × `roundCount × oversampling`.
    package static func centroids(
        of points: any PointSource, clusterCount: Int, method: KMeans.Seeding,
        random: inout SeededRandom, threadCount: Int, kernels: KernelTable,
        limits: Limits = Limits()
    ) throws(ModelError) -> [Float] {
        precondition(clusterCount >= 1 && threadCount >= 1)
        guard points.rowCount > 0, points.featureCount > 0 else { throw .noRows(model: "k-means") }
        guard points.rowCount >= clusterCount else {
            throw .tooFewRows(model: "k-means", actual: points.rowCount, needed: clusterCount)
        }
        switch method {
        case .greedy:
            return try GreedySeeding.centroids(
                of: points, clusterCount: clusterCount, random: &random, threadCount: threadCount,
                kernels: kernels)
        case .parallel:
            return try ParallelSeeding.centroids(
                of: points, clusterCount: clusterCount, sizes: limits.parallel, random: &random,
                threadCount: threadCount, kernels: kernels)
        case .miniBatch:
            return try MiniBatchStart.centroids(
                of: points, clusterCount: clusterCount, sizes: limits.miniBatch,
                random: &random, threadCount: threadCount, kernels: kernels)
        case .auto:
            if points.rowCount > limits.wholeRowCount {
                return try centroids(
                    of: points, clusterCount: clusterCount, method: .miniBatch, random: &random,
                    threadCount: threadCount, kernels: kernels, limits: limits)
            }
            let greedy =
                points.rowCount <= limits.greedyRowCount
                || clusterCount <= limits.greedyClusterCount
            return try centroids(
                of: points, clusterCount: clusterCount, method: greedy ? .greedy : .parallel,
                random: &random, threadCount: threadCount, kernels: kernels, limits: limits)
        }
    }
}

/// Greedy k-means++: each further centroid is the best of 2 + ln(k) rows that are drawn with a
/// probability proportional to the squared distance to the centroids so far.
///
/// Source: D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007,
/// section 2.2; the greedy choice as in their implementation and in scikit-learn.
enum GreedySeeding {
    /// Rows drawn for a centroid.
    static func candidateCount(_ clusterCount: Int) -> Int {
        // 0.7 is ln 2 rounded up a little, so that 256 clusters give 7.
        2 + (Int.bitWidth - 1 - clusterCount.leadingZeroBitCount) * 7 / 10
    }

    /// - Parameter weights: `[rowCount]`, in 0...1, not all 0: how often a row counts, as a share of
    ///   the most frequent one's; empty: all once.
    /// - Throws: `tooFewDistinctRows`; `unreadable` from the source.
    static func centroids(
        of points: any PointSource, weights: [Float] = [], clusterCount: Int,
        random: inout SeededRandom, threadCount: Int, kernels: KernelTable
    ) throws(ModelError) -> [Float] {
        let d = points.featureCount
        var passes = SeedingPasses(
            points, weights: weights, threadCount: threadCount, kernels: kernels)
        var chosen = try passes.row(
            weights.isEmpty
                ? random.below(points.rowCount) : draw(weights, at: random.uniform()))
        var centroids = chosen
        if clusterCount == 1 { return centroids }
        // The first pass sums what the first centroid leaves, by taking it for the candidate too.
        var potentials = try passes.lower(
            to: chosen, candidates: VectorGroups(rowMajor: chosen.span, count: 1, featureCount: d))
        var best = 0
        for have in 1..<clusterCount {
            let sums = passes.stripeSums(ofCandidate: best)
            guard sums.total > 0 else {
                throw .tooFewDistinctRows(model: "k-means", actual: have, needed: clusterCount)
            }
            var candidates: [Float] = []
            let count = candidateCount(clusterCount)
            for _ in 0..<count {
                let place = sums.place(of: random.uniform() * sums.total)
                candidates += try passes.rowValues(at: place, loweredTo: chosen)
            }
            potentials = try passes.lower(
                to: chosen,
                candidates: VectorGroups(
                    rowMajor: candidates.span, count: count, featureCount: d))
            best = 0
            for candidate in 1..<count where potentials[candidate] < potentials[best] {
                best = candidate
            }
            chosen = Array(candidates[best * d..<(best + 1) * d])
            centroids += chosen
        }
        return centroids
    }

    /// The row at which the running sum of the weights passes a share of their sum.
    private static func draw(_ weights: [Float], at share: Double) -> Int {
        var rest = share * weights.reduce(0) { $0 + Double($1) }
        var last = 0
        for row in weights.indices where weights[row] > 0 {
            last = row
            rest -= Double(weights[row])
            if rest < 0 { return row }
        }
        return last
    }
}
