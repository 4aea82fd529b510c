import Numerical

/// One data set and its state by shard, used by all restarts of a fit.
///
/// Kept from pass to pass: a label and, once bounds are in use, a margin a row (8 bytes), and the
/// centroid sums of each shard. Everything else belongs to a thread, or to one chunk.
struct LloydRun {
    /// Most assignments spent on filling clusters that are empty after the last iteration.
    private static let maximumRefillRounds = 16
    /// Every so many passes the sums are taken anew. Between them rows come and go: each change
    /// rounds by at most 2^-53 of a sum, so if all of a shard's rows changed in every pass, 2 × 64
    /// roundings a row are still less than the single precision of a centroid for shards of up to
    /// two million rows, and far less where, as always, few rows change.
    private static let recountPasses = 64
    /// Centroid sums of all shards together hold at most so many values (128 MiB), but for
    /// eight shards at least.
    private static let mostSums = 16 << 20

    let points: any PointSource
    let parameters: KMeans.Parameters
    let kernels: KernelTable
    let chunkRows: Int
    var shards: [ClusterShard]
    var scratches: [ShardScratch]
    private let moments: Moments
    private var schedule: BoundSchedule
    private var bounds: CentroidBounds?

    init(
        points: any PointSource, parameters: KMeans.Parameters, moments: Moments,
        kernels: KernelTable
    ) {
        self.points = points
        self.parameters = parameters
        self.moments = moments
        self.kernels = kernels
        let (k, d) = (parameters.clusterCount, points.featureCount)
        chunkRows = chunkRowCount(rowCount: points.rowCount, featureCount: d)
        schedule = BoundSchedule(parameters.algorithm, clusterCount: k, featureCount: d)
        shards = Models.shards(
            rowCount: points.rowCount, chunkRows: chunkRows,
            most: min(max(Self.mostSums / (k * d), 8), 64)
        ).map { ClusterShard(rows: $0, clusterCount: k, featureCount: d) }
        scratches = (0..<parameters.threadCount).map { [chunkRows] _ in
            ShardScratch(chunkRows: chunkRows, featureCount: d)
        }
    }

    /// Lloyd's iterations from `[clusterCount × featureCount]` centroids.
    /// - Throws: `tooFewDistinctRows` where a cluster stays empty whatever row it is moved to: single
    ///   precision cannot tell as many rows apart; what the source throws.
    mutating func iterate(from start: [Float]) throws(ModelError) -> FittedKMeans {
        var centroids = start
        var inertias: [Double] = []
        var converged = false
        var passCount = 0
        /// The sums of `centroids`, where no assignment changed in the last pass.
        var settled: ClusterSums?
        bounds = nil
        schedule = BoundSchedule(
            parameters.algorithm, clusterCount: parameters.clusterCount,
            featureCount: points.featureCount)
        for i in shards.indices { shards[i].forget() }
        while inertias.count < parameters.maximumIterations && !converged {
            let (sums, changeCount) = try assign(to: centroids, passCount)
            passCount += 1
            inertias.append(inertia(of: sums, centroids))
            if changeCount == 0 {
                converged = true
                settled = sums
                break
            }
            let moved = try movedCentroids(from: centroids, sums)
            var shift = 0.0
            for i in moved.indices {
                let difference = Double(moved[i]) - Double(centroids[i])
                shift += difference * difference
            }
            centroids = moved
            converged =
                parameters.tolerance > 0 && shift <= parameters.tolerance * moments.meanVariance
        }
        // The last movement may have changed assignments: what is returned belongs to `centroids`.
        // It may have emptied a cluster too, which then moves like any other empty one. All empty
        // ones move to different rows at once, so a few rounds fill them wherever rows differ.
        var rounds = 0
        // A pass that recounts may round its sums otherwise than those it would repeat.
        if passCount % Self.recountPasses == 0 { settled = nil }
        while true {
            let sums: ClusterSums
            if let known = settled.take() {
                sums = known
            } else {
                sums = try assign(to: centroids, passCount).sums
            }
            passCount += 1
            let occupied = sums.counts.count { $0 > 0 }
            if occupied == parameters.clusterCount {
                return FittedKMeans(
                    clusterCount: parameters.clusterCount, featureCount: points.featureCount,
                    centroids: centroids, assignments: shards.flatMap(\.labels),
                    sizes: sums.counts.map { Int($0) },
                    inertia: try finalInertia(of: sums, centroids),
                    inertiaPerIteration: inertias, converged: converged, origin: nil)
            }
            guard rounds < Self.maximumRefillRounds else {
                throw .tooFewDistinctRows(
                    model: "k-means", actual: occupied, needed: parameters.clusterCount)
            }
            rounds += 1
            centroids = try movedCentroids(from: centroids, sums)
        }
    }

    /// Σ|x - c|² of the rows and the centroids they are assigned to, from the clusters' sums.
    private func inertia(of sums: ClusterSums, _ centroids: [Float]) -> Double {
        var inertia = moments.squareSum
        let d = sums.featureCount
        for cluster in 0..<sums.clusterCount {
            let count = Double(sums.counts[cluster])
            if count == 0 { continue }
            for i in cluster * d..<(cluster + 1) * d {
                let coordinate = Double(centroids[i])
                inertia += coordinate * (count * coordinate - 2 * sums.values[i])
            }
        }
        return max(0, inertia)
    }

    /// The inertia of the result. The sums give it to about 1e-12 of Σ|x|²; where the rows lie so
    /// close to their centroids that this is not enough, one more pass adds up the differences.
    private mutating func finalInertia(
        of sums: ClusterSums, _ centroids: [Float]
    ) throws(ModelError) -> Double {
        let inertia = inertia(of: sums, centroids)
        if inertia >= 1e-3 * moments.squareSum { return inertia }
        return try distances(to: centroids).reduce(0) { $0 + $1.distanceSum }
    }

    // MARK: - Passes

    /// Assigns all rows.
    /// - Returns: the clusters' sums, and the rows whose cluster changed.
    private mutating func assign(
        to centroids: [Float], _ passCount: Int
    ) throws(ModelError) -> (sums: ClusterSums, changeCount: Int) {
        let recount = passCount % Self.recountPasses == 0
        let (k, d) = (parameters.clusterCount, points.featureCount)
        switch schedule.next {
        case .lloyd:
            bounds = nil
            let vectors = VectorGroups(rowMajor: centroids.span, count: k, featureCount: d)
            try forEachShard { [kernels] shard, scratch, context throws(ModelError) in
                try shard.assign(context, vectors, recount, kernels, &scratch)
            }
        case .bounded:
            var (tables, isFirst) = movedBounds(to: centroids)
            let current = tables
            try forEachShard { [kernels, isFirst] shard, scratch, context throws(ModelError) in
                try shard.assign(context, current, isFirst, recount, kernels, &scratch)
            }
            tables.took(
                longest: shards.reduce(into: [Float](repeating: 0, count: k)) { most, shard in
                    for i in most.indices { most[i] = max(most[i], shard.longest[i]) }
                })
            bounds = tables
        }
        let changeCount = shards.reduce(0) { $0 + $1.changeCount }
        schedule.took(
            evaluatedCount: shards.reduce(0) { $0 + $1.evaluatedCount }, changeCount: changeCount,
            rowCount: points.rowCount)
        var sums = ClusterSums(clusterCount: k, featureCount: d)
        for shard in shards { sums.add(shard.sums) }
        return (sums, changeCount)
    }

    /// The bounds of the last pass brought to new centroids, or bounds to begin with.
    private mutating func movedBounds(
        to centroids: [Float]
    ) -> (bounds: CentroidBounds, isFirst: Bool) {
        let threadCount = parameters.threadCount
        if var moved = bounds.take() {
            moved.move(to: centroids, threadCount: threadCount, kernels: kernels)
            return (moved, false)
        }
        let started = CentroidBounds(
            centroids: centroids, featureCount: points.featureCount, threadCount: threadCount,
            kernels: kernels)
        return (started, true)
    }

    /// Runs `body` for every shard; the first failure in shard order is thrown.
    mutating func forEachShard(
        _ body:
            @Sendable (
                inout ClusterShard, inout ShardScratch, ShardContext
            ) throws(ModelError) -> Void
    ) throws(ModelError) {
        let context = ShardContext(points: points, chunkRows: chunkRows)
        parallelFor(&shards, scratches: &scratches) { shard, scratch in
            do throws(ModelError) {
                try body(&shard, &scratch, context)
            } catch {
                shard.failure = error
            }
        }
        for shard in shards { if let failure = shard.failure { throw failure } }
    }

    /// Squared distances of all rows to the centroids of their labels.
    /// - Parameter count: at least so many of each shard's farthest rows are listed, where it has
    ///   as many.
    mutating func distances(
        to centroids: [Float], farthestCount count: Int = 0
    ) throws(ModelError) -> [ShardDistances] {
        try forEachShard { [kernels] shard, scratch, context throws(ModelError) in
            try shard.measure(context, centroids, count, kernels, &scratch)
        }
        return shards.map(\.distances)
    }
}

/// Which pass comes next. Reads counts, never a clock: a run is repeatable, and its result is the
/// same whatever is chosen.
struct BoundSchedule {
    enum Pass { case bounded, lloyd }

    private let algorithm: KMeans.Algorithm
    private(set) var next: Pass
    /// Passes to go before bounds are tried again.
    private var pause = 0
    private var nextPause = 8

    /// Share of the rows that may be evaluated before bounds cost more than they spare: a row with
    /// bounds costs about as much as `overhead` products and a few a feature, without them k d.
    private let worthwhileShare: Double
    /// Rows change their cluster this many times more rarely than their bounds allow it.
    private static let evaluatedPerChange = 8.0
    private var badPasses = 0

    init(_ algorithm: KMeans.Algorithm, clusterCount: Int, featureCount: Int) {
        self.algorithm = algorithm
        let full = Double(clusterCount * featureCount + 12 * featureCount)
        // Few products: an iteration waits for the rows' memory, of which bounds spare little.
        let isLight = clusterCount * featureCount < 512
        worthwhileShare = isLight ? 0 : min(full / Double(3000 + 120 * featureCount), 0.9)
        next = algorithm == .bounded ? .bounded : .lloyd
    }

    mutating func took(evaluatedCount: Int, changeCount: Int, rowCount: Int) {
        guard algorithm == .auto else { return }
        switch next {
        case .lloyd:
            pause -= 1
            let expected = Self.evaluatedPerChange * Double(changeCount)
            if pause <= 0, expected < worthwhileShare * Double(rowCount) {
                next = .bounded
                badPasses = -1
            }
        case .bounded:
            let isBad = Double(evaluatedCount) > worthwhileShare * Double(rowCount)
            badPasses = isBad ? badPasses + 1 : 0
            if badPasses >= 2 {
                next = .lloyd
                pause = nextPause
                nextPause *= 2
            }
        }
    }
}
