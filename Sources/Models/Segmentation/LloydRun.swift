import Numerical

/// One data set and its per-chunk state, used by all restarts of a fit.
struct LloydRun {
    /// Rows of a chunk: 128 blocks. Large enough that merging the chunks' centroid sums is small
    /// beside the assignment, small enough to balance 100k rows over a few threads.
    static let chunkRows = 128 * FeatureMatrix.blockRowCount
    /// Most assignments spent on filling clusters that are empty after the last iteration.
    private static let maximumRefillRounds = 16

    /// What a chunk owns.
    fileprivate struct Chunk: Sendable {
        let rows: Range<Int>
        var labels: [Int32]
        /// The buffer that the next assignment writes.
        var spareLabels: [Int32]
        var scores: [Float]
        /// Seeding: squared distance to the nearest centroid chosen so far.
        var closest: [Float] = []
        /// Seeding: the potential with each candidate added.
        var potentials: [Double] = []
        /// `[featureCount × clusterCount]`.
        var sums: [Double]
        var counts: [Int64]
        var scoreSum = 0.0
        var changeCount = 0
    }

    private let points: FeatureMatrix
    private let parameters: KMeans.Parameters
    private let meanVariance: Double
    private let kernels: KernelTable
    private var chunks: [Chunk]
    private let squaredNormSum: Double

    init(
        points: FeatureMatrix, parameters: KMeans.Parameters, moments: Moments,
        kernels: KernelTable
    ) {
        self.points = points
        self.parameters = parameters
        meanVariance = moments.meanVariance
        squaredNormSum = moments.squareSum
        self.kernels = kernels
        let k = parameters.clusterCount
        chunks = stride(from: 0, to: points.rowCount, by: Self.chunkRows).map { first in
            let rows = first..<min(points.rowCount, first + Self.chunkRows)
            return Chunk(
                rows: rows, labels: [Int32](repeating: -1, count: rows.count),
                spareLabels: [Int32](repeating: -1, count: rows.count),
                scores: [Float](repeating: 0, count: rows.count),
                sums: [Double](repeating: 0, count: k * points.featureCount),
                counts: [Int64](repeating: 0, count: k))
        }
    }

    /// Lloyd's iterations from `[clusterCount × featureCount]` centroids.
    /// - Throws: `tooFewDistinctRows` where a cluster stays empty whatever row it is moved to: single
    ///   precision cannot tell as many rows apart.
    mutating func iterate(from start: [Float]) throws(ModelError) -> FittedKMeans {
        var centroids = start
        var inertias: [Double] = []
        var converged = false
        forEachChunk { chunk in
            for i in chunk.labels.indices { chunk.labels[i] = -1 }
        }
        while inertias.count < parameters.maximumIterations && !converged {
            let changeCount = assign(to: centroids)
            inertias.append(chunks.reduce(squaredNormSum) { $0 - 2 * $1.scoreSum })
            if changeCount == 0 {
                converged = true
                break
            }
            let moved = movedCentroids(from: centroids)
            var shift = 0.0
            for i in moved.indices {
                let difference = Double(moved[i]) - Double(centroids[i])
                shift += difference * difference
            }
            centroids = moved
            converged = parameters.tolerance > 0 && shift <= parameters.tolerance * meanVariance
        }
        // The last movement may have changed assignments: what is returned belongs to `centroids`.
        // It may have emptied a cluster too, which then moves like any other empty one. All empty
        // ones move to different rows at once, so a few rounds fill them wherever rows differ.
        var rounds = 0
        while true {
            _ = assign(to: centroids)
            let occupied = occupiedClusterCount()
            if occupied == parameters.clusterCount { break }
            guard rounds < Self.maximumRefillRounds else {
                throw .tooFewDistinctRows(
                    model: "k-means", actual: occupied, needed: parameters.clusterCount)
            }
            rounds += 1
            centroids = movedCentroids(from: centroids)
        }
        return fitted(centroids, inertias, converged)
    }

    /// Clusters with at least one row, after an assignment.
    private func occupiedClusterCount() -> Int {
        (0..<parameters.clusterCount).count { cluster in
            chunks.contains { $0.counts[cluster] > 0 }
        }
    }

    /// Greedy k-means++: each further centroid is the best of 2 + ln(k) rows that are drawn with a
    /// probability proportional to the squared distance to the centroids so far.
    mutating func seed(_ random: inout SeededRandom) throws(ModelError) -> [Float] {
        let k = parameters.clusterCount
        let candidateCount = 2 + Int(log2Floor(k) * 7 / 10)
        var centroids = points.row(random.below(points.rowCount))
        let first = VectorGroups(
            rowMajor: centroids.span, count: 1, featureCount: points.featureCount)
        forEachChunk { [points, kernels] chunk in
            chunk.closest = [Float](repeating: .infinity, count: chunk.rows.count)
            chunk.takeClosest(points, first, kernels)
        }
        for chosen in 1..<max(1, k) {
            let potential = chunks.reduce(0) { $0 + $1.potentials[0] }
            guard potential > 0 else {
                throw .tooFewDistinctRows(model: "k-means", actual: chosen, needed: k)
            }
            var candidates: [Float] = []
            for _ in 0..<candidateCount {
                candidates += points.row(draw(random.uniform() * potential))
            }
            let groups = VectorGroups(
                rowMajor: candidates.span, count: candidateCount,
                featureCount: points.featureCount)
            forEachChunk { [points, kernels] in $0.findPotentials(points, groups, kernels) }
            var best = 0
            var bestPotential = Double.infinity
            for candidate in 0..<candidateCount {
                let sum = chunks.reduce(0) { $0 + $1.potentials[candidate] }
                if sum < bestPotential { (best, bestPotential) = (candidate, sum) }
            }
            let d = points.featureCount
            let row = Array(candidates[best * d..<(best + 1) * d])
            let vector = VectorGroups(rowMajor: row.span, count: 1, featureCount: d)
            forEachChunk { [points, kernels] in $0.takeClosest(points, vector, kernels) }
            centroids += row
        }
        return centroids
    }

    // MARK: - Passes

    private mutating func forEachChunk(_ body: @Sendable (inout Chunk) -> Void) {
        parallelFill(&chunks, chunkRows: 1, threadCount: parameters.threadCount) { _, slice in
            body(&slice[0])
        }
    }

    /// - Returns: the rows whose cluster changed.
    private mutating func assign(to centroids: [Float]) -> Int {
        let vectors = VectorGroups(
            rowMajor: centroids.span, count: parameters.clusterCount,
            featureCount: points.featureCount)
        forEachChunk { [points, kernels] in $0.assign(points, vectors, kernels) }
        return chunks.reduce(0) { $0 + $1.changeCount }
    }

    /// The means of the clusters' rows. A cluster without rows moves to the row that is farthest
    /// from its own centroid (ties to the lowest row) and takes it from its cluster.
    private mutating func movedCentroids(from centroids: [Float]) -> [Float] {
        let k = parameters.clusterCount
        let d = points.featureCount
        var sums = [Double](repeating: 0, count: k * d)
        var counts = [Int64](repeating: 0, count: k)
        for chunk in chunks {
            for i in sums.indices { sums[i] += chunk.sums[i] }
            for i in counts.indices { counts[i] += chunk.counts[i] }
        }
        let empty = counts.indices.filter { counts[$0] == 0 }
        if !empty.isEmpty {
            for (cluster, row) in zip(empty, farthestRows(centroids, counts, empty.count)) {
                let donor = Int(label(of: row))
                for j in 0..<d {
                    let value = Double(points[row, j])
                    sums[j * k + donor] -= value
                    sums[j * k + cluster] = value
                }
                counts[donor] -= 1
                counts[cluster] = 1
            }
        }
        var moved = centroids
        for cluster in 0..<k where counts[cluster] > 0 {
            for j in 0..<d {
                moved[cluster * d + j] = Float(sums[j * k + cluster] / Double(counts[cluster]))
            }
        }
        return moved
    }

    /// The rows farthest from their centroids: no two alike, none that lies on its centroid (nothing
    /// would be gained), never the last one of a cluster. Fewer than `count` where there are not
    /// as many.
    private func farthestRows(_ centroids: [Float], _ counts: [Int64], _ count: Int) -> [Int] {
        var rows: [(distance: Double, row: Int)] = []
        for chunk in chunks {
            for row in chunk.rows {
                let label = Int(chunk.labels[row - chunk.rows.lowerBound])
                let distance = squaredDistance(points, row, centroids, label)
                if distance > 0 { rows.append((distance, row)) }
            }
        }
        rows.sort { $0.distance != $1.distance ? $0.distance > $1.distance : $0.row < $1.row }
        var left = counts
        var farthest: [Int] = []
        var chosen: Set<[Float]> = []
        for (_, row) in rows {
            if farthest.count == count { break }
            let donor = Int(label(of: row))
            if left[donor] <= 1 { continue }
            let values = points.row(row)
            if chosen.contains(values) { continue }
            left[donor] -= 1
            farthest.append(row)
            chosen.insert(values)
        }
        return farthest
    }

    private func label(of row: Int) -> Int32 {
        chunks[row / Self.chunkRows].labels[row % Self.chunkRows]
    }

    /// The row at which the running sum of the closest squared distances passes `target`.
    private func draw(_ target: Double) -> Int {
        var rest = target
        var last = 0
        // Rounding must not carry the search past the last row that can be drawn.
        let lastChunk = chunks.lastIndex { $0.potentials[0] > 0 }
        for (index, chunk) in chunks.enumerated() {
            if rest >= chunk.potentials[0] && index != lastChunk {
                rest -= chunk.potentials[0]
                continue
            }
            for i in chunk.closest.indices where chunk.closest[i] > 0 {
                last = chunk.rows.lowerBound + i
                rest -= Double(chunk.closest[i])
                if rest < 0 { return last }
            }
        }
        return last
    }

    private func fitted(
        _ centroids: [Float], _ inertias: [Double], _ converged: Bool
    ) -> FittedKMeans {
        let points = points
        let chunks = chunks
        let partials = parallelMap(
            count: points.rowCount, chunkSize: Self.chunkRows, threadCount: parameters.threadCount
        ) { index, rows in
            var sum = 0.0
            for row in rows {
                let label = Int(chunks[index].labels[row - rows.lowerBound])
                sum += squaredDistance(points, row, centroids, label)
            }
            return sum
        }
        var sizes = [Int](repeating: 0, count: parameters.clusterCount)
        for chunk in chunks { for i in sizes.indices { sizes[i] += Int(chunk.counts[i]) } }
        return FittedKMeans(
            clusterCount: parameters.clusterCount, featureCount: points.featureCount,
            centroids: centroids, assignments: chunks.flatMap(\.labels), sizes: sizes,
            inertia: partials.reduce(0, +), inertiaPerIteration: inertias, converged: converged,
            origin: nil)
    }
}

extension LloydRun.Chunk {
    fileprivate mutating func assign(
        _ points: FeatureMatrix, _ vectors: VectorGroups, _ kernels: KernelTable
    ) {
        // The buffers are moved out and back in, so that each is written without being copied.
        var current = spareLabels
        let previous = labels
        var values = scores
        var (newSums, newCounts) = (sums, counts)
        (spareLabels, labels, scores, sums, counts) = ([], [], [], [], [])
        var labelSpan = current.mutableSpan
        var scoreSpan = values.mutableSpan
        kernels.assign(points, rows: rows, to: vectors, labels: &labelSpan, scores: &scoreSpan)
        for i in newSums.indices { newSums[i] = 0 }
        for i in newCounts.indices { newCounts[i] = 0 }
        kernels.accumulate(
            points, rows: rows, labels: current.span, sums: &newSums, counts: &newCounts)
        var sum = 0.0
        var changes = 0
        let (old, new, score) = (previous.span, current.span, values.span)
        for i in new.indices {
            sum += Double(score[i])
            changes += old[i] == new[i] ? 0 : 1
        }
        (scoreSum, changeCount) = (sum, changes)
        (spareLabels, labels, scores, sums, counts) =
            (previous, current, values, newSums, newCounts)
    }

    /// Lowers `closest` to the distance to one vector where that is nearer.
    fileprivate mutating func takeClosest(
        _ points: FeatureMatrix, _ vector: VectorGroups, _ kernels: KernelTable
    ) {
        let size = FeatureMatrix.blockRowCount
        var distances = [Float](repeating: 0, count: vector.groupCount * 4 * size)
        var sum = 0.0
        for first in stride(from: 0, to: rows.count, by: size) {
            kernels.squaredDistances(
                points, block: (rows.lowerBound + first) / size, to: vector, distances: &distances)
            for i in first..<min(rows.count, first + size) {
                if distances[i - first] < closest[i] { closest[i] = distances[i - first] }
                sum += Double(closest[i])
            }
        }
        potentials = [sum]
    }

    /// The sums of the closest distances if each candidate became a centroid.
    fileprivate mutating func findPotentials(
        _ points: FeatureMatrix, _ candidates: VectorGroups, _ kernels: KernelTable
    ) {
        let size = FeatureMatrix.blockRowCount
        var distances = [Float](repeating: 0, count: candidates.groupCount * 4 * size)
        var sums = [Double](repeating: 0, count: candidates.count)
        for first in stride(from: 0, to: rows.count, by: size) {
            kernels.squaredDistances(
                points, block: (rows.lowerBound + first) / size, to: candidates,
                distances: &distances)
            let count = min(rows.count - first, size)
            for candidate in 0..<candidates.count {
                var sum: Float = 0
                for i in 0..<count {
                    sum += min(closest[first + i], distances[candidate * size + i])
                }
                sums[candidate] += Double(sum)
            }
        }
        potentials = sums
    }
}

/// Floor of the binary logarithm of a positive number.
private func log2Floor(_ value: Int) -> Int {
    Int.bitWidth - 1 - value.leadingZeroBitCount
}
