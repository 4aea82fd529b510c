import Numerical

/// Lloyd's iterations on a sample of the rows, so that few are left to do on all of them.
///
/// The path from a seeding to a local minimum is much the same on a sample, and four thousand rows a
/// cluster place a centroid within a sixtieth of the cluster's width: what all rows still have to
/// say costs a few iterations instead of tens. Where there are more clusters than the data has,
/// their slow walk is not shortened. Source: P. Bradley and U. Fayyad, "Refining initial points for
/// k-means clustering", ICML 1998, with one sample in place of several.
enum SampleStart {
    /// Whether a sample is small beside all rows, and large beside the clusters.
    static func isWorthwhile(
        rowCount: Int, clusterCount: Int, limits: KMeansSeeding.Limits
    ) -> Bool {
        rowCount >= limits.leastSampleMultiple * limits.sampleRowCount
            && rowCount <= limits.wholeRowCount
            && clusterCount * limits.leastSampleRowsPerCluster <= limits.sampleRowCount
    }

    /// Moves centroids to where a sample's iterations end.
    ///
    /// A centroid that no row of the sample is nearest to stays: its rows are too rare for the
    /// sample, not for the clustering.
    /// - Parameter start: `[clusterCount × featureCount]`, of a seeding on all rows.
    /// - Throws: `unreadable` from the source.
    static func centroids(
        from start: [Float], of points: any PointSource, _ parameters: KMeans.Parameters,
        limits: KMeansSeeding.Limits, random: inout SeededRandom, kernels: KernelTable
    ) throws(ModelError) -> [Float] {
        let d = points.featureCount
        let size = FeatureMatrix.blockRowCount
        let blocks = BlockReader.distinctBlocks(
            limits.sampleRowCount / size, of: points.rowCount / size, &random)
        let sample = try BlockReader(points: points, threadCount: parameters.threadCount)
            .read(blocks)
        let met = metClusters(of: sample, start, threadCount: parameters.threadCount, kernels)
        var part = parameters
        part.clusterCount = met.count
        let moments = try Moments(sample, threadCount: parameters.threadCount, kernels: kernels)
        var run = LloydRun(points: sample, parameters: part, moments: moments, kernels: kernels)
        let fitted: FittedKMeans
        do throws(ModelError) {
            fitted = try run.iterate(from: met.flatMap { start[$0 * d..<($0 + 1) * d] })
        } catch .tooFewDistinctRows {
            // The sample is too uniform; all rows may not be.
            return start
        }
        var centroids = start
        for (i, cluster) in met.enumerated() {
            for j in 0..<d { centroids[cluster * d + j] = fitted.centroids[i * d + j] }
        }
        return centroids
    }

    /// The clusters that any row is nearest to, ascending.
    private static func metClusters(
        of sample: FeatureMatrix, _ centroids: [Float], threadCount: Int, _ kernels: KernelTable
    ) -> [Int] {
        let clusterCount = centroids.count / sample.featureCount
        let vectors = VectorGroups(
            rowMajor: centroids.span, count: clusterCount, featureCount: sample.featureCount)
        let found = parallelMap(
            count: sample.rowCount, chunkSize: 64 * FeatureMatrix.blockRowCount,
            threadCount: threadCount
        ) { _, rows in
            var labels = [Int32](repeating: 0, count: rows.count)
            var scores = [Float](repeating: 0, count: rows.count)
            var labelSpan = labels.mutableSpan
            var scoreSpan = scores.mutableSpan
            kernels.assign(sample, rows: rows, to: vectors, labels: &labelSpan, scores: &scoreSpan)
            return Set(labels)
        }
        return found.reduce(into: Set<Int32>()) { $0.formUnion($1) }.map { Int($0) }.sorted()
    }
}
