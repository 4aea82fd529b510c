package import Numerical

/// k-means: Lloyd's iterations after greedy k-means++ seeding, the best of several restarts.
///
/// Bit-equal for any thread count: chunks have a fixed size, centroid sums are in double precision
/// and merged in chunk order. Different instruction-set levels may differ in the last bits.
/// Source: S. Lloyd, "Least squares quantization in PCM", 1982; D. Arthur and S. Vassilvitskii,
/// "k-means++: the advantages of careful seeding", 2007.
package enum KMeans {
    package struct Parameters: Sendable, Equatable, Codable {
        /// At least 1. More clusters: lower inertia, smaller segments.
        package var clusterCount: Int = 5
        package var seed: UInt64 = 1
        /// Fits from different seedings, at least 1; the one of lowest inertia is kept.
        package var restarts: Int = 1
        /// Lloyd iterations of one fit, at least 1.
        package var maximumIterations: Int = 100
        /// At least 0. A fit ends when the centroids' squared movement is at most `tolerance` times
        /// the features' mean variance; 0: when no row changes its cluster.
        package var tolerance: Double = 1e-4
        /// At least 1; does not change the result.
        package var threadCount: Int = 1

        /// Without the thread count: it changes no result, so it may change no file.
        private enum CodingKeys: String, CodingKey {
            case clusterCount, seed, restarts, maximumIterations, tolerance
        }

        package init(
            clusterCount: Int = 5, seed: UInt64 = 1, restarts: Int = 1,
            maximumIterations: Int = 100, tolerance: Double = 1e-4, threadCount: Int = 1
        ) {
            self.clusterCount = clusterCount
            self.seed = seed
            self.restarts = restarts
            self.maximumIterations = maximumIterations
            self.tolerance = tolerance
            self.threadCount = threadCount
        }

        func check() throws(ModelError) {
            func require(_ name: String, _ value: Int) throws(ModelError) {
                guard value >= 1 else {
                    throw .outOfRange(what: name, actual: Double(value), allowed: "at least 1")
                }
            }
            try require("clusterCount", clusterCount)
            try require("restarts", restarts)
            try require("maximumIterations", maximumIterations)
            try require("threadCount", threadCount)
            guard tolerance >= 0 && tolerance.isFinite else {
                throw .outOfRange(what: "tolerance", actual: tolerance, allowed: "at least 0")
            }
        }
    }

    /// Fits clusters.
    /// - Parameters:
    ///   - points: `[rowCount × featureCount]`, finite, on comparable scales.
    ///   - initialCentroids: `[clusterCount × featureCount]` row-major to start from instead of a
    ///     seeding (then one restart).
    /// - Throws: `noRows`; `tooFewRows` for fewer rows than clusters; `tooFewDistinctRows` where
    ///   fewer than `clusterCount` rows differ in single precision; `nonFiniteValue`; `outOfRange`.
    ///   No cluster of a fit is empty.
    /// - Complexity: O(rows × features × clusters) an iteration; the seeding costs about
    ///   2 + ln(clusters) iterations.
    package static func fit(
        _ points: FeatureMatrix, _ parameters: Parameters, initialCentroids: [Float]? = nil,
        kernels: KernelTable = .current
    ) throws(ModelError) -> FittedKMeans {
        try parameters.check()
        guard points.rowCount > 0, points.featureCount > 0 else { throw .noRows(model: "k-means") }
        guard points.rowCount >= parameters.clusterCount else {
            throw .tooFewRows(
                model: "k-means", actual: points.rowCount, needed: parameters.clusterCount)
        }
        let raw = Moments(points, threadCount: parameters.threadCount)
        // A double holds the sum of squares of any finite features, so a NaN or infinite one shows.
        if !raw.squareSum.isFinite, let bad = points.firstNonFinite() {
            throw .nonFiniteValue(what: "k-means", row: bad.row, column: bad.feature)
        }
        guard raw.squareSum <= 1e36 else {
            throw .outOfRange(
                what: "the sum of squares of all features", actual: raw.squareSum,
                allowed: "at most 1e36, or single precision overflows; scale the features")
        }
        let origin = raw.isFarFromOrigin ? raw.means : nil
        let centred = origin.map { points.subtracting($0, threadCount: parameters.threadCount) }
        let moments = centred.map { Moments($0, threadCount: parameters.threadCount) } ?? raw
        let meanSquare = moments.squareSum / Double(points.rowCount)
        guard meanSquare == 0 || meanSquare >= 1e-30 else {
            throw .outOfRange(
                what: "the mean square of the features", actual: meanSquare,
                allowed: "at least 1e-30, or single precision underflows; scale the features")
        }
        var run = LloydRun(
            points: centred ?? points, parameters: parameters, moments: moments, kernels: kernels)
        if let initialCentroids {
            let expected = parameters.clusterCount * points.featureCount
            guard initialCentroids.count == expected else {
                throw .countMismatch(
                    what: "initial centroids", actual: initialCentroids.count, expected: expected)
            }
            if let bad = initialCentroids.firstIndex(where: { !$0.isFinite }) {
                throw .nonFiniteValue(
                    what: "initial centroids", row: bad / points.featureCount,
                    column: bad % points.featureCount)
            }
            guard let largest = initialCentroids.map(abs).max(), largest <= 1e15 else {
                throw .outOfRange(
                    what: "initial centroids", actual: Double(initialCentroids.map(abs).max() ?? 0),
                    allowed: "at most 1e15, or single precision overflows")
            }
            let start = origin.map { shift(initialCentroids, by: $0, sign: -1) }
            return try run.iterate(from: start ?? initialCentroids).shifted(to: origin)
        }
        var best: FittedKMeans?
        var failure = ModelError.noRows(model: "k-means")
        for restart in 0..<parameters.restarts {
            var random = SeededRandom(seed: parameters.seed, stream: UInt64(restart))
            do {
                let fitted = try run.iterate(from: try run.seed(&random))
                if fitted.inertia < best?.inertia ?? .infinity { best = fitted }
            } catch {
                // Another start may still find as many clusters.
                failure = error
            }
        }
        guard let best else { throw failure }
        return best.shifted(to: origin)
    }

    static func shift(_ rows: [Float], by origin: [Float], sign: Float) -> [Float] {
        rows.indices.map { rows[$0] + sign * origin[$0 % origin.count] }
    }
}

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
    /// The sum of squared distances of the rows to their centroids, in double precision.
    package let inertia: Double
    /// The inertia of each iteration's assignment, before its centroid update.
    package let inertiaPerIteration: [Double]
    /// Whether the fit ended before `maximumIterations`.
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
        let centred = origin.map { points.subtracting($0, threadCount: threadCount) } ?? points
        let near = origin.map { KMeans.shift(centroids, by: $0, sign: -1) } ?? centroids
        let vectors = VectorGroups(
            rowMajor: near.span, count: clusterCount, featureCount: featureCount)
        var labels = [Int32](repeating: 0, count: points.rowCount)
        parallelFill(&labels, chunkRows: LloydRun.chunkRows, threadCount: threadCount) {
            rows, slice in
            var scores = [Float](repeating: 0, count: rows.count)
            var scoreSpan = scores.mutableSpan
            kernels.assign(centred, rows: rows, to: vectors, labels: &slice, scores: &scoreSpan)
        }
        return labels
    }

    /// The distance (not squared) of each row to its assigned centroid.
    package func distances(
        _ points: FeatureMatrix, assignments: [Int32], threadCount: Int
    ) -> [Float] {
        precondition(points.featureCount == featureCount && assignments.count == points.rowCount)
        var distances = [Float](repeating: 0, count: points.rowCount)
        let centroids = centroids
        parallelFill(&distances, chunkRows: LloydRun.chunkRows, threadCount: threadCount) {
            rows, slice in
            for row in rows {
                let sum = squaredDistance(points, row, centroids, Int(assignments[row]))
                slice[row - rows.lowerBound] = Float(sum.squareRoot())
            }
        }
        return distances
    }

    func shifted(to origin: [Float]?) -> FittedKMeans {
        guard let origin else { return self }
        return FittedKMeans(
            clusterCount: clusterCount, featureCount: featureCount,
            centroids: KMeans.shift(centroids, by: origin, sign: 1), assignments: assignments,
            sizes: sizes, inertia: inertia, inertiaPerIteration: inertiaPerIteration,
            converged: converged, origin: origin)
    }
}

/// Squared distance of a row to a row-major centroid, in double precision.
func squaredDistance(
    _ points: FeatureMatrix, _ row: Int, _ centroids: [Float], _ index: Int
) -> Double {
    let values = points.storage.span
    let centroid = centroids.span
    var sum = 0.0
    var position = FeatureMatrix.position(row, 0, points.featureCount)
    for j in 0..<points.featureCount {
        let difference =
            Double(values[position]) - Double(centroid[index * points.featureCount + j])
        sum += difference * difference
        position += FeatureMatrix.blockRowCount
    }
    return sum
}

/// Means and variances of the features.
struct Moments {
    let means: [Float]
    let meanVariance: Double
    /// Of all values; NaN or infinite where one of them is.
    let squareSum: Double
    /// Whether the distance from the origin would cost the comparison `x·c - |c|²/2` its digits.
    let isFarFromOrigin: Bool
    /// Squared distance of the mean from the origin, in variances, that counts as far: two more
    /// bits of every product are then lost.
    static let farRatio = 16.0

    init(_ points: FeatureMatrix, threadCount: Int) {
        let d = points.featureCount
        let partials = parallelMap(
            count: points.rowCount, chunkSize: LloydRun.chunkRows, threadCount: threadCount
        ) { _, rows in
            var sums = [Double](repeating: 0, count: 2 * d)
            let values = points.storage.span
            for first in stride(
                from: rows.lowerBound, to: rows.upperBound, by: FeatureMatrix.blockRowCount)
            {
                let count = min(FeatureMatrix.blockRowCount, rows.upperBound - first)
                for j in 0..<d {
                    let position = FeatureMatrix.position(first, j, d)
                    for i in position..<position + count {
                        let value = Double(values[i])
                        sums[j] += value
                        sums[d + j] += value * value
                    }
                }
            }
            return sums
        }
        var sums = [Double](repeating: 0, count: 2 * d)
        for partial in partials { for i in sums.indices { sums[i] += partial[i] } }
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
