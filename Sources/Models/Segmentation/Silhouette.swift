package import Numerical

/// Mean silhouette width of some rows: how much nearer a row is to its own cluster than to the next
/// one, (b - a) / max(a, b), with a the mean distance to the other rows of its cluster and b the
/// least mean distance to the rows of another cluster. 1: far apart; 0: no border; below: misplaced.
/// A row alone in its cluster counts 0, as in the source.
///
/// Source: P. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of
/// cluster analysis", J. Comput. Appl. Math. 20, 1987, section 2.
package enum Silhouette {
    /// Queries compared with all rows at a time: 16 groups stay in the first-level cache.
    private static let queryChunk = 64

    /// - Parameters:
    ///   - rows: `[n × featureCount]` row-major, finite.
    ///   - labels: `[n]`, in `0 ..< clusterCount`.
    /// - Returns: nil where fewer than two clusters have a row.
    /// - Complexity: O(n² × features). Bit-equal for any thread count.
    package static func mean(
        rows: [Float], featureCount: Int, labels: [Int32], clusterCount: Int, threadCount: Int,
        kernels: KernelTable
    ) -> Double? {
        let layout = Layout(rows, featureCount, labels, clusterCount)
        guard layout.counts.count(where: { $0 > 0 }) >= 2 else { return nil }
        let partials = parallelMap(
            count: labels.count, chunkSize: queryChunk, threadCount: threadCount
        ) { _, queries in
            let vectors = VectorGroups(
                rowMajor: rows.span.extracting(
                    queries.lowerBound * featureCount..<queries.upperBound * featureCount),
                count: queries.count, featureCount: featureCount)
            var sums: [[Double]] = []
            for cluster in 0..<clusterCount {
                var distances = [Double](
                    repeating: 0, count: vectors.groupCount * VectorGroups.width)
                var span = distances.mutableSpan
                kernels.addDistances(
                    layout.matrix, rows: layout.ranges[cluster],
                    weights: layout.weights.span.extracting(layout.ranges[cluster]),
                    queries: vectors, sums: &span)
                sums.append(distances)
            }
            return queries.reduce(0.0) { total, row in
                let own = Int(labels[row])
                let query = row - queries.lowerBound
                if layout.counts[own] == 1 { return total }
                let a = sums[own][query] / Double(layout.counts[own] - 1)
                var b = Double.infinity
                for cluster in 0..<clusterCount
                where cluster != own && layout.counts[cluster] > 0 {
                    b = min(b, sums[cluster][query] / Double(layout.counts[cluster]))
                }
                let larger = max(a, b)
                return larger > 0 ? total + (b - a) / larger : total
            }
        }
        return partials.reduce(0, +) / Double(labels.count)
    }

    /// The rows of each cluster in whole blocks.
    private struct Layout {
        let matrix: FeatureMatrix
        /// 1 for a row, 0 for what fills a block up.
        let weights: [Float]
        /// Whole blocks of each cluster.
        let ranges: [Range<Int>]
        /// Rows of each cluster.
        let counts: [Int]

        init(_ rows: [Float], _ featureCount: Int, _ labels: [Int32], _ clusterCount: Int) {
            let size = FeatureMatrix.blockRowCount
            var counts = [Int](repeating: 0, count: clusterCount)
            for label in labels { counts[Int(label)] += 1 }
            var ranges: [Range<Int>] = []
            for count in counts {
                let first = ranges.last?.upperBound ?? 0
                ranges.append(first..<first + (count + size - 1) / size * size)
            }
            let total = ranges.last?.upperBound ?? 0
            var matrix = FeatureMatrix(rowCount: total, featureCount: featureCount)
            var weights = [Float](repeating: 0, count: total)
            var next = ranges.map(\.lowerBound)
            for (row, label) in labels.enumerated() {
                let target = next[Int(label)]
                next[Int(label)] += 1
                weights[target] = 1
                for j in 0..<featureCount { matrix[target, j] = rows[row * featureCount + j] }
            }
            self.matrix = matrix
            self.weights = weights
            self.ranges = ranges
            self.counts = counts
        }
    }
}
