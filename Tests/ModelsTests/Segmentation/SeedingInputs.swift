import Models
import Numerical

/// Rows around planted centres, in turns: row `i` belongs to cloud `i % centres`.
struct PlantedClouds {
    let rows: [Float]
    let featureCount: Int
    var rowCount: Int { rows.count / featureCount }

    var matrix: FeatureMatrix {
        FeatureMatrix(rowMajor: rows, rowCount: rowCount, featureCount: featureCount)
    }

    /// - Parameters:
    ///   - spread: standard deviation of the centres' coordinates, beside 1 of the rows around
    ///     them.
    init(rowCount: Int, cloudCount: Int, featureCount: Int, spread: Float, seed: UInt64) {
        var random = SeededRandom(seed: seed, stream: 77)
        let centres = (0..<cloudCount * featureCount).map { _ in spread * Float(random.normal()) }
        var rows: [Float] = []
        rows.reserveCapacity(rowCount * featureCount)
        for row in 0..<rowCount {
            let first = row % cloudCount * featureCount
            for j in first..<first + featureCount {
                rows.append(centres[j] + Float(random.normal()))
            }
        }
        self.rows = rows
        self.featureCount = featureCount
    }
}

/// Sum of squared distances to the nearest centroid.
func inertia(_ points: FeatureMatrix, _ centroids: [Float]) -> Double {
    let (n, d) = (points.rowCount, points.featureCount)
    let groups = VectorGroups(
        rowMajor: centroids.span, count: centroids.count / d, featureCount: d)
    var distances = [Float](repeating: 0, count: groups.groupCount * 4 * 64)
    var sum = 0.0
    for block in 0..<points.blockCount {
        var span = distances.mutableSpan
        KernelTable.current.squaredDistances(points, block: block, to: groups, distances: &span)
        for row in 0..<min(64, n - block * 64) {
            var least = Float.infinity
            for c in 0..<groups.count { least = min(least, distances[c * 64 + row]) }
            sum += Double(least)
        }
    }
    return sum
}

/// Rows that are decoded into the scratch memory, one row of padding of a block ahead; reading from
/// `failingRow` on fails.
struct DecodedPoints: PointSource {
    let points: FeatureMatrix
    var failingRow = Int.max
    var rowCount: Int { points.rowCount }
    var featureCount: Int { points.featureCount }

    func withRows<Result>(
        _ rows: Range<Int>, scratch: inout FeatureMatrix,
        _ body: (FeatureMatrix, Range<Int>) throws(ModelError) -> Result
    ) throws(ModelError) -> Result {
        precondition(rows.lowerBound % 64 == 0 && !rows.isEmpty)
        if rows.upperBound > failingRow {
            throw .unreadable(what: "block \(failingRow / 64)", reason: "damaged")
        }
        if scratch.rowCount < rows.count + 64 || scratch.featureCount != featureCount {
            scratch = FeatureMatrix(rowCount: rows.count + 64, featureCount: featureCount)
        }
        for row in rows {
            for j in 0..<featureCount { scratch[64 + row - rows.lowerBound, j] = points[row, j] }
        }
        return try body(scratch, 64..<64 + rows.count)
    }
}
