import Numerical

extension KMeans {
    /// Bytes that a fit takes beside the rows themselves, about and rather too many: what is kept of
    /// every row, a few chunks of rows a thread, and some dozens of copies of the centroids. Chunks
    /// are whole blocks of 64 rows, so a few very wide rows take many times their own size.
    package static func memoryByteCount(
        rowCount: Int, featureCount: Int, _ parameters: Parameters
    ) -> Double {
        func padded(_ count: Int) -> Double { (Double(count) / 64).rounded(.up) * 64 }
        let rowBytes = 4 * Double(featureCount)
        let k = Double(parameters.clusterCount)
        // Labels, bounds and, while seeding, distances and candidates.
        let state = 16 * padded(rowCount)
        // Of each thread: a chunk of a pass, of the moments, of rows moved to their mean; and one of
        // the seeding, 512 rows or half a megabyte.
        let chunkRows = Double(chunkRowCount(rowCount: rowCount, featureCount: featureCount))
        let seedingRows = min(max(512, Double(512 << 10) / max(1, rowBytes)), padded(rowCount))
        let chunks = Double(parameters.threadCount) * (3 * chunkRows + seedingRows) * rowBytes
        // Centroid sums of the shards, in double precision, and of a pass.
        let shardCount = min(
            max(Double(16 << 20) / max(1, k * Double(featureCount)), 8), 64,
            (Double(rowCount) / max(1, chunkRows)).rounded(.up))
        let sums = (shardCount + 2) * 2 * k * rowBytes
        // Centroids row by row, in groups, in blocks and moved; distances between all of them.
        let centroids = (padded(parameters.clusterCount) + 8 * k) * rowBytes + 8 * k * k
        let limits = KMeansSeeding.Limits()
        var candidates = Double(GreedySeeding.candidateCount(parameters.clusterCount)) * 3
        var sampleRows = 0.0
        let isParallel =
            rowCount > limits.greedyRowCount
            && parameters.clusterCount > limits.greedyClusterCount
        if parameters.seeding == .parallel || parameters.seeding == .auto && isParallel {
            let drawn = limits.parallel.oversampling * limits.parallel.roundCount
            candidates = min(Double(drawn) * k, Double(rowCount)) * 4
        }
        if parameters.seeding == .miniBatch || rowCount > limits.wholeRowCount {
            sampleRows = max(Double(limits.miniBatch.sampleRowCount), 64 * k)
        } else if rowCount >= limits.leastSampleMultiple * limits.sampleRowCount {
            sampleRows = Double(limits.sampleRowCount)
        }
        let seeding = (candidates + min(sampleRows, Double(rowCount))) * rowBytes
        return state + chunks + sums + centroids + seeding
    }
}
