package import Numerical

/// The result of a k-means fit.
package struct FittedKMeans: Sendable, Equatable {
    package let clusterCount: Int
    package let featureCount: Int
    /// `[clusterCount × featureCount]`, row-major.
    package let centroids: [Float]
    /// `[rowCount]`: the nearest centroid of each row, ties to the lowest index.
    package let assignments: [Int32]
    /// `[clusterCount]`: rows of each cluster.
    package let sizes: [Int]
    /// The sum of squared distances of the rows to their centroids, in double precision: relative
    /// error below 1e-8. Where the rows lie far from the origin it belongs to the centroids before
    /// the origin was added back to them in single precision.
    package let inertia: Double
    /// The inertia of each iteration's assignment, before its centroid update: from the clusters'
    /// sums, Σ|x|² + Σ (n |c|² - 2 c·Σx), so it needs no distance and is off by a few
    /// 2^-53 Σ|x|².
    package let inertiaPerIteration: [Double]
    /// Whether no row changed its cluster any more, or the tolerance was met.
    package let converged: Bool
    /// What is subtracted from rows and centroids before they are compared; nil: nothing.
    let origin: [Float]?

    package var iterations: Int { inertiaPerIteration.count }

    /// The nearest centroid of each row; the fit's own points give its own assignments, but for rows
    /// whose distances to two centroids differ by less than the rounding of the coordinates.
    /// - Precondition: `points` has the fit's feature count and is finite.
    package func assign(
        _ points: FeatureMatrix, threadCount: Int, kernels: KernelTable = .current
    ) -> [Int32] {
        precondition(points.featureCount == featureCount)
        let near = origin.map { KMeans.shift(centroids, by: $0, sign: -1) } ?? centroids
        let vectors = VectorGroups(
            rowMajor: near.span, count: clusterCount, featureCount: featureCount)
        var labels = [Int32](repeating: 0, count: points.rowCount)
        parallelFill(&labels, chunkRows: Self.chunkRows, threadCount: threadCount) {
            [origin, featureCount] rows, slice in
            var scores = [Float](repeating: 0, count: rows.count)
            var scoreSpan = scores.mutableSpan
            guard let origin else {
                kernels.assign(points, rows: rows, to: vectors, labels: &slice, scores: &scoreSpan)
                return
            }
            var centred = FeatureMatrix(rowCount: rows.count, featureCount: featureCount)
            centred.setDifference(of: points, rows: rows, origin: origin)
            kernels.assign(
                centred, rows: 0..<rows.count, to: vectors, labels: &slice, scores: &scoreSpan)
        }
        return labels
    }

    /// The distance (not squared) of each row to its assigned centroid.
    package func distances(
        _ points: FeatureMatrix, assignments: [Int32], threadCount: Int,
        kernels: KernelTable = .current
    ) -> [Float] {
        precondition(points.featureCount == featureCount && assignments.count == points.rowCount)
        var distances = [Float](repeating: 0, count: points.rowCount)
        let centroids = centroids
        parallelFill(&distances, chunkRows: Self.chunkRows, threadCount: threadCount) {
            rows, slice in
            var squares = [Double](repeating: 0, count: rows.count)
            kernels.assignedDistances(
                points, rows: rows, labels: assignments, at: rows.lowerBound,
                centroids: centroids, distances: &squares)
            for i in squares.indices { slice[i] = Float(squares[i].squareRoot()) }
        }
        return distances
    }

    func shifted(to origin: [Float]) -> FittedKMeans {
        FittedKMeans(
            clusterCount: clusterCount, featureCount: featureCount,
            centroids: KMeans.shift(centroids, by: origin, sign: 1), assignments: assignments,
            sizes: sizes, inertia: inertia, inertiaPerIteration: inertiaPerIteration,
            converged: converged, origin: origin)
    }

    /// Rows of a chunk of `assign`: its scores stay in the first-level cache.
    private static let chunkRows = 64 * FeatureMatrix.blockRowCount
}
