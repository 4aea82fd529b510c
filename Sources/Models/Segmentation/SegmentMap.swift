package import Numerical

/// Where the segments lie beside each other, for a picture: their centroids on the first two
/// principal axes of the scaled features. For display only: no segment is chosen by it, and two that
/// lie close here may be far apart along the axes that are left out.
///
/// Source: K. Pearson, "On lines and planes of closest fit to systems of points in space",
/// Philosophical Magazine 2, 1901.
package struct SegmentMap: Sendable, Equatable, Codable {
    /// Of the variance of the scaled features, by the two axes; 0 ... 1, the first not below the
    /// second.
    package let varianceShares: [Double]
    /// `[segmentCount][2]`: along the two axes, from the mean of all rows, in scaled units.
    package let positions: [[Double]]
    /// `[2][featureCount]`: what a unit of each scaled feature adds to a position.
    package let loadings: [[Double]]

    /// So many rows at most, evenly spaced among all, tell the axes.
    package static let mostRows = 1 << 16

    /// The axes' signs are such that the largest loading, the first of equal ones, is positive.
    /// - Parameters:
    ///   - points: `[rowCount × featureCount]`, finite.
    ///   - centroids: `[segmentCount × featureCount]`, row-major.
    /// - Returns: nil where no feature varies, or squares are beyond what a double holds.
    /// - Complexity: O(rows · features² + features³).
    package init?(
        points: FeatureMatrix, centroids: [Float], threadCount: Int,
        kernels: KernelTable = .current
    ) {
        let d = points.featureCount
        guard d > 0, points.rowCount > 0, centroids.count % d == 0 else { return nil }
        let stride = (points.rowCount + Self.mostRows - 1) / Self.mostRows
        let rowCount = (points.rowCount + stride - 1) / stride
        let sums = parallelMap(count: rowCount, chunkSize: 4096, threadCount: threadCount) {
            _, range in
            var sums = [Double](repeating: 0, count: d)
            for i in range {
                for j in 0..<d { sums[j] += Double(points[i * stride, j]) }
            }
            return sums
        }
        let means = (0..<d).map { j in sums.reduce(0) { $0 + $1[j] } / Double(rowCount) }
        let products = parallelMap(count: rowCount, chunkSize: 4096, threadCount: threadCount) {
            _, range in
            var products = [Double](repeating: 0, count: d * d)
            var row = [Double](repeating: 0, count: d)
            for i in range {
                for j in 0..<d { row[j] = Double(points[i * stride, j]) - means[j] }
                for j in 0..<d {
                    for l in j..<d { products[j * d + l] += row[j] * row[l] }
                }
            }
            return products
        }
        let covariance = (0..<d * d).map { i in products.reduce(0) { $0 + $1[i] } }
        guard let eigen = kernels.symmetricEigen(covariance, size: d) else { return nil }
        let total = eigen.values.reduce(0) { $0 + max(0, $1) }
        guard total > 0, total.isFinite else { return nil }
        let order = eigen.values.indices.sorted {
            eigen.values[$0] == eigen.values[$1] ? $0 < $1 : eigen.values[$0] > eigen.values[$1]
        }
        var loadings: [[Double]] = []
        for axis in 0..<2 {
            guard axis < d else {
                loadings.append([Double](repeating: 0, count: d))
                continue
            }
            let vector = Array(eigen.vectors[order[axis] * d..<(order[axis] + 1) * d])
            var largest = 0
            for j in 0..<d where abs(vector[j]) > abs(vector[largest]) + 1e-9 { largest = j }
            loadings.append(vector[largest] < 0 ? vector.map { -$0 } : vector)
        }
        self.loadings = loadings
        varianceShares = (0..<2).map { $0 < d ? max(0, eigen.values[order[$0]]) / total : 0 }
        positions = (0..<centroids.count / d).map { segment in
            loadings.map { loading in
                (0..<d).reduce(0.0) {
                    $0 + loading[$1] * (Double(centroids[segment * d + $1]) - means[$1])
                }
            }
        }
    }
}
