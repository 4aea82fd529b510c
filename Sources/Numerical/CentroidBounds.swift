/// The tables that tell which rows may change their cluster after the centroids moved.
///
/// A row keeps one number, its margin: how much nearer its own centroid is than any other,
///
///     m = l - u - g,    u >= |x - a|,    l <= |x - c| for every other centroid c
///
/// plus the threshold of its label at that time. A label's threshold T is the path length of its
/// own centroid so far plus the sum over the iterations of the longest step of any other centroid.
/// By the triangle inequality u grows and l falls by no more than T grows, so a row whose margin
/// still exceeds T is nearer to its own centroid than to any other, by more than g.
/// Only centroids near a count for its T: with r at least |x - a| for every row of the label, one
/// farther than N = 2.5 r from a is farther than N - r from each, so it leaves a margin of
/// N - 2r - g whatever its step was. Once T has grown by that much, all rows of the label are
/// evaluated and r is taken anew.
/// Source: G. Hamerly, "Making k-means even faster", 2010, with both bounds in one number.
///
/// A row that fails is compared with the centroids in reach only: x is at |x - a| = u from its own
/// one, whose nearest neighbour is at s; a centroid farther than 2u + s from a is farther than
/// u + s from x, so it is neither the nearest nor the second nearest.
/// Source: J. Newling and F. Fleuret, "Fast k-means with accurate bounds", 2016 (exponion).
///
/// **Rounding.** Lloyd's iterations compare scores x·c - |c|²/2 in single precision, so a row may
/// be skipped only where the computed scores, too, have one winner. With X = |x| and D = |x - c|,
/// |c| <= X + D. A computed score differs from the exact one by at most
///
///     e(c) = γ (X |c| + |c|²/2)  <=  γ (3/2 X² + 2 X D + D²/2)
///
/// where γ = (d + 8) 2^-23: at most 2 d + 4 roundings of partial sums, each at most half of 2^-23
/// of X |c| + |c|²/2, and as much again to spare. Scores are half of squared distances apart, so c
/// loses to a for certain where D² - u² > 2 e(c) + 2 e(a), that is, with s = D + u, where
///
///     D - u > γ (6 X² / s + 4 X + s)                                                     (1)
///
/// Its left side less its right side grows with D and falls with u, so it holds for all if it does
/// for l and u. While m exceeds what T grew by, l + u stays within 2u and 2l of the time when the
/// margin was taken, and l + u > l - u >= g. So g = γ (6 X² / max(2u, √(6γ) X) + 4 X + 2 l) makes
/// (1) true: in the second case g >= √(6γ) X, thus s > √(6γ) X.
///
/// u and l themselves come from scores: u² = X² - 2 score is off by at most 8γX² + 5γXu + 2γu²
/// (the score's 2 e, the norm's γ X² and the roundings of the difference), which gives
///
///     u <= (1 + 3γ) (2.5 γ X + √(u² + 9γX²)),    l >= (1 - 2γ) (√(l² - 8γX²) - 2.5 γ X)
///
/// The same (1), with D >= R - u, holds for the centroids out of reach where
/// R = 2u + s + 2γ (6 X² / max(2u, √(6γ) X) + 4 X + 2u + s). What underflows is at most d + 8
/// times 2^-124 in a score: every length has the root of four times that to spare. Paths are in
/// double precision; a threshold is rounded up where it is compared and down where it is added.
package struct CentroidBounds: Sendable {
    let clusterCount: Int
    let featureCount: Int
    /// `[clusterCount × featureCount]`, row-major.
    private(set) var centroids: [Float]
    private(set) var vectors: VectorGroups
    /// `[groupCount × 4]`: 0, 1, 2, …
    let indices: [Int32]
    /// `[clusterCount]`, rounded up: what a margin is compared with.
    private(set) var thresholds: [Float]
    /// `[clusterCount]`, rounded down: what is added to a margin.
    private(set) var bases: [Float]
    private(set) var largestThreshold: Float = 0
    /// Squared distances between centroids, `[centroid blocks × groupCount × 4 × 64]`.
    private(set) var distances: AlignedFloats
    /// `[clusterCount]`: distance to the nearest other centroid; infinity where there is none.
    private(set) var nearest: [Float]
    /// γ of the proof, and the length that underflow may cost.
    let share: Float
    let floor: Float
    private var paths: [Double]
    /// `[clusterCount]`: at least the distance of any of the label's rows to the centroid.
    private var radii: [Float]
    /// `[clusterCount]`: the path at which the room to the centroids not near is used up.
    private var caps: [Double]
    /// `[clusterCount]`: how far the centroid went since the radius was taken, and the share of the
    /// radius from which on it is taken anew, because it would reach too many centroids.
    private var growths: [Double]
    private static let staleShare = 0.25
    /// `[clusterCount]`: whether all rows of the label are to be evaluated.
    private var isExpired: [Bool]
    /// Centroids within so many radii of one are near it.
    private static let nearRadii: Float = 2.5
    private var matrix: FeatureMatrix

    /// Bounds for rows that are all evaluated with these centroids.
    /// - Parameter centroids: `[clusterCount × featureCount]`, row-major.
    package init(centroids: [Float], featureCount: Int, threadCount: Int, kernels: KernelTable) {
        clusterCount = centroids.count / featureCount
        self.featureCount = featureCount
        self.centroids = centroids
        vectors = VectorGroups(
            rowMajor: centroids.span, count: clusterCount, featureCount: featureCount)
        indices = (0..<Int32(vectors.groupCount * VectorGroups.width)).map { $0 }
        thresholds = [Float](repeating: 0, count: clusterCount)
        bases = thresholds
        paths = [Double](repeating: 0, count: clusterCount)
        radii = thresholds
        growths = paths
        caps = [Double](repeating: .infinity, count: clusterCount)
        isExpired = [Bool](repeating: true, count: clusterCount)
        nearest = [Float](repeating: .infinity, count: clusterCount)
        matrix = FeatureMatrix(rowCount: clusterCount, featureCount: featureCount)
        distances = AlignedFloats(
            count: matrix.blockCount * vectors.groupCount * VectorGroups.width
                * FeatureMatrix.blockRowCount)
        share = Float(featureCount + 8) * 0x1p-23
        floor = (Float(featureCount + 8) * 0x1p-122).squareRoot()
        measure(threadCount: threadCount, kernels: kernels)
    }

    /// The centroids have moved.
    package mutating func move(to moved: [Float], threadCount: Int, kernels: KernelTable) {
        precondition(moved.count == centroids.count)
        var steps = [Double](repeating: 0, count: clusterCount)
        for cluster in 0..<clusterCount {
            var sum = 0.0
            for j in cluster * featureCount..<(cluster + 1) * featureCount {
                let step = Double(moved[j]) - Double(centroids[j])
                sum += step * step
            }
            steps[cluster] = sum.squareRoot()
        }
        centroids = moved
        vectors = VectorGroups(
            rowMajor: moved.span, count: clusterCount, featureCount: featureCount)
        measure(threadCount: threadCount, kernels: kernels)
        lengthen(by: steps)
    }

    /// What a pass found: `[clusterCount]`, at least the distance of each row that it evaluated to
    /// its centroid.
    package mutating func took(longest found: [Float]) {
        precondition(found.count == clusterCount)
        for cluster in 0..<clusterCount {
            if isExpired[cluster] {
                // Every row of the label was evaluated.
                (isExpired[cluster], radii[cluster]) = (false, found[cluster])
                (caps[cluster], growths[cluster]) = (.infinity, 0)
            } else {
                radii[cluster] = max(radii[cluster], found[cluster])
            }
        }
    }

    /// The thresholds after the centroids' steps.
    private mutating func lengthen(by steps: [Double]) {
        let longest = steps.indices.max { steps[$0] < steps[$1] } ?? 0
        var second = 0.0
        for cluster in steps.indices where cluster != longest {
            second = max(second, steps[cluster])
        }
        largestThreshold = 0
        for cluster in steps.indices {
            radii[cluster] = (radii[cluster] + Float(steps[cluster])) * (1 + 0x1p-20)
            var other = cluster == longest ? second : steps[longest]
            var room = Double.infinity
            if let local = localStep(cluster, steps), local.step < other {
                (other, room) = local
            }
            paths[cluster] = (paths[cluster] + steps[cluster] + other) * (1 + 0x1p-40)
            caps[cluster] = min(caps[cluster], paths[cluster] + room)
            growths[cluster] += steps[cluster]
            isExpired[cluster] =
                caps[cluster] <= paths[cluster] * (1 + 0x1p-20)
                || growths[cluster] > Self.staleShare * Double(radii[cluster])
            thresholds[cluster] =
                isExpired[cluster] ? .infinity : Float(paths[cluster] * (1 + 0x1p-22))
            bases[cluster] = Float(paths[cluster] * (1 - 0x1p-22))
            largestThreshold = max(largestThreshold, thresholds[cluster])
        }
    }

    /// The longest step of the centroids near one, and the room that all others leave its rows.
    private func localStep(_ cluster: Int, _ steps: [Double]) -> (step: Double, room: Double)? {
        let radius = radii[cluster]
        if radius == 0 { return nil }
        var norm = 0.0
        for j in cluster * featureCount..<(cluster + 1) * featureCount {
            norm += Double(centroids[j]) * Double(centroids[j])
        }
        let length = Float(norm.squareRoot()) * (1 + 0x1p-20) + radius
        let near = Self.nearRadii * radius
        let spare = share * (6 * length * length / radius + 4 * length + 2 * near) + 4 * floor
        let room = (near - 2 * radius - spare) * (1 - 0x1p-20)
        guard room > 0, near < 1e18 else { return nil }
        let size = FeatureMatrix.blockRowCount
        let width = vectors.groupCount * VectorGroups.width * size
        let limit = near * near * (1 + 8 * share)
        let values = distances.span
        var step = 0.0
        for other in 0..<clusterCount where other != cluster {
            let squared = values[other / size * width + cluster * size + other % size]
            if squared <= limit { step = max(step, steps[other]) }
        }
        return (step, Double(room))
    }

    /// Distances between the centroids: k² d products, k / n of an iteration.
    private mutating func measure(threadCount: Int, kernels: KernelTable) {
        let size = FeatureMatrix.blockRowCount
        for cluster in 0..<clusterCount {
            for j in 0..<featureCount {
                matrix[cluster, j] = centroids[cluster * featureCount + j]
            }
        }
        let width = vectors.groupCount * VectorGroups.width * size
        let (matrix, vectors) = (matrix, vectors)
        parallelFill(&distances, rowWidth: width, chunkRows: 1, threadCount: threadCount) {
            blocks, slice in
            kernels.squaredDistances(
                matrix, block: blocks.lowerBound, to: vectors, distances: &slice)
        }
        nearest = Self.nearestDistances(distances, width: width, clusterCount, share)
    }

    private static func nearestDistances(
        _ distances: AlignedFloats, width: Int, _ clusterCount: Int, _ share: Float
    ) -> [Float] {
        let size = FeatureMatrix.blockRowCount
        let values = distances.span
        var nearest = [Float](repeating: .infinity, count: clusterCount)
        for cluster in 0..<clusterCount {
            var least = Float.infinity
            for other in 0..<clusterCount where other != cluster {
                least = min(least, values[other / size * width + cluster * size + other % size])
            }
            nearest[cluster] = least.squareRoot() * (1 + share)
        }
        return nearest
    }
}
