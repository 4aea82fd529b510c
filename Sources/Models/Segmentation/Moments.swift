import Numerical

/// Means and variances of the features.
struct Moments: Sendable {
    let means: [Float]
    let meanVariance: Double
    /// Of all values.
    let squareSum: Double
    /// Whether the distance from the origin would cost the comparison `x·c - |c|²/2` its digits.
    let isFarFromOrigin: Bool
    /// Squared distance of the mean from the origin, in variances, that counts as far: two more
    /// bits of every product are then lost.
    static let farRatio = 16.0

    private struct Part: Sendable {
        let rows: Range<Int>
        var sums: [Double]
        var failure: ModelError?
    }

    /// One pass over the rows.
    /// - Throws: `nonFiniteValue` with the first bad row and column; what `points` throws.
    init(
        _ points: any PointSource, threadCount: Int, kernels: KernelTable
    ) throws(ModelError) {
        let d = points.featureCount
        let chunkRows = chunkRowCount(rowCount: points.rowCount, featureCount: d)
        var parts = shards(rowCount: points.rowCount, chunkRows: chunkRows, most: 64).map {
            Part(rows: $0, sums: [Double](repeating: 0, count: 2 * d))
        }
        var scratches = (0..<threadCount).map { _ in
            FeatureMatrix(rowCount: chunkRows, featureCount: d)
        }
        parallelFor(&parts, scratches: &scratches) { part, scratch in
            do throws(ModelError) {
                try points.forEachChunk(of: part.rows, chunkRows: chunkRows, scratch: &scratch) {
                    (matrix, place, first) throws(ModelError) in
                    kernels.addMoments(matrix, rows: place, &part.sums)
                    // A double holds the square of any finite feature, so a NaN or infinite one
                    // shows.
                    for j in d..<2 * d where !part.sums[j].isFinite {
                        try refuseNonFinite(matrix, place, first)
                    }
                }
            } catch {
                part.failure = error
            }
        }
        var sums = [Double](repeating: 0, count: 2 * d)
        for part in parts {
            if let failure = part.failure { throw failure }
            for i in sums.indices { sums[i] += part.sums[i] }
        }
        let n = Double(points.rowCount)
        var squaredMean = 0.0
        var variance = 0.0
        for j in 0..<d {
            let mean = sums[j] / n
            squaredMean += mean * mean
            variance += max(0, sums[d + j] / n - mean * mean)
        }
        means = (0..<d).map { Float(sums[$0] / n) }
        meanVariance = variance / Double(d)
        squareSum = sums[d...].reduce(0, +)
        isFarFromOrigin = squaredMean > Self.farRatio * variance
    }
}

/// - Parameters:
///   - place: where in the matrix the rows are.
///   - first: the number of the first of them.
private func refuseNonFinite(
    _ matrix: FeatureMatrix, _ place: Range<Int>, _ first: Int
) throws(ModelError) {
    for row in place {
        for feature in 0..<matrix.featureCount where !matrix[row, feature].isFinite {
            throw .nonFiniteValue(
                what: "k-means", row: first + row - place.lowerBound, column: feature)
        }
    }
}
