import Numerical

/// A start for more rows than are worth seeding as a whole: greedy k-means++ on a sample, then
/// mini-batch iterations over random blocks of all rows, each centroid moving by a learning rate of
/// its own, 1 / (rows it has been given so far).
///
/// Samples and batches are made of random blocks of 64 neighbouring rows: a source reads those at
/// once.
/// Source: D. Sculley, "Web-scale k-means clustering", WWW 2010, algorithm 1.
package enum MiniBatchStart {
    package struct Sizes: Sendable, Equatable {
        /// Rows that are seeded on, for up to 4,096 clusters; 64 a cluster above.
        package var sampleRowCount = 1 << 18
        /// Rows of a batch, for up to 2,048 clusters; 16 a cluster above.
        package var batchRowCount = 1 << 15
        /// Batches. With 64, all batches together are 2 million rows.
        package var iterationCount = 64

        package init() {}
    }

    /// Rows of a batch that a thread takes at a time.
    private static let chunkRows = 32 * FeatureMatrix.blockRowCount

    /// - Parameter points: at least `clusterCount` rows.
    /// - Returns: `[clusterCount × featureCount]` row-major.
    /// - Throws: `tooFewDistinctRows` where all rows together are too few that differ; `unreadable`
    ///   from the source.
    static func centroids(
        of points: any PointSource, clusterCount: Int, sizes: Sizes = Sizes(),
        random: inout SeededRandom, threadCount: Int, kernels: KernelTable
    ) throws(ModelError) -> [Float] {
        let blockCount = points.rowCount / FeatureMatrix.blockRowCount
        let reader = BlockReader(points: points, threadCount: threadCount)
        let wanted = max(sizes.sampleRowCount, 64 * clusterCount) / FeatureMatrix.blockRowCount
        guard wanted < blockCount else {
            return try GreedySeeding.centroids(
                of: points, clusterCount: clusterCount, random: &random,
                threadCount: threadCount, kernels: kernels)
        }
        let sample = try reader.read(BlockReader.distinctBlocks(wanted, of: blockCount, &random))
        var centroids: [Float]
        do throws(ModelError) {
            centroids = try GreedySeeding.centroids(
                of: sample, clusterCount: clusterCount, random: &random,
                threadCount: threadCount, kernels: kernels)
        } catch .tooFewDistinctRows {
            // The sample is too uniform; all rows may not be.
            return try ParallelSeeding.centroids(
                of: points, clusterCount: clusterCount, random: &random,
                threadCount: threadCount, kernels: kernels)
        }
        let batchBlocks = max(sizes.batchRowCount, 16 * clusterCount) / FeatureMatrix.blockRowCount
        var seen = [Int](repeating: 0, count: clusterCount)
        for _ in 0..<sizes.iterationCount {
            let blocks = (0..<batchBlocks).map { _ in random.below(blockCount) }
            let batch = try reader.read(blocks.sorted())
            move(&centroids, &seen, by: batch, threadCount: threadCount, kernels: kernels)
        }
        return centroids
    }

    /// One mini-batch step. With fixed assignments, moving by 1 / count for one row after the other
    /// ends at the mean of all rows seen: the batch is added to that mean at once.
    private static func move(
        _ centroids: inout [Float], _ seen: inout [Int], by batch: FeatureMatrix,
        threadCount: Int, kernels: KernelTable
    ) {
        let d = batch.featureCount
        let vectors = VectorGroups(
            rowMajor: centroids.span, count: seen.count, featureCount: d)
        let partials = parallelMap(
            count: batch.rowCount, chunkSize: chunkRows, threadCount: threadCount
        ) { [count = seen.count] _, rows in
            var labels = [Int32](repeating: 0, count: rows.count)
            var scores = [Float](repeating: 0, count: rows.count)
            var labelSpan = labels.mutableSpan
            var scoreSpan = scores.mutableSpan
            kernels.assign(batch, rows: rows, to: vectors, labels: &labelSpan, scores: &scoreSpan)
            return Sums(batch, rows, labels, count)
        }
        var total = Sums(clusterCount: seen.count, featureCount: d)
        for partial in partials { total.add(partial) }
        for cluster in seen.indices where total.counts[cluster] > 0 {
            let count = Double(total.counts[cluster])
            seen[cluster] += total.counts[cluster]
            for j in cluster * d..<(cluster + 1) * d {
                let centre = Double(centroids[j])
                centroids[j] = Float(
                    centre + (total.values[j] - count * centre) / Double(seen[cluster]))
            }
        }
    }

    /// Sums of the rows of each cluster.
    private struct Sums: Sendable {
        /// `[clusterCount × featureCount]`.
        var values: [Double]
        var counts: [Int]

        init(clusterCount: Int, featureCount: Int) {
            values = [Double](repeating: 0, count: clusterCount * featureCount)
            counts = [Int](repeating: 0, count: clusterCount)
        }

        init(_ points: FeatureMatrix, _ rows: Range<Int>, _ labels: [Int32], _ count: Int) {
            let d = points.featureCount
            self.init(clusterCount: count, featureCount: d)
            let source = points.storage.span
            for row in rows {
                let cluster = Int(labels[row - rows.lowerBound])
                counts[cluster] += 1
                let first = FeatureMatrix.position(row, 0, d)
                for j in 0..<d {
                    values[cluster * d + j] += Double(
                        source[first + j * FeatureMatrix.blockRowCount])
                }
            }
        }

        mutating func add(_ other: Sums) {
            for i in values.indices { values[i] += other.values[i] }
            for i in counts.indices { counts[i] += other.counts[i] }
        }
    }
}
