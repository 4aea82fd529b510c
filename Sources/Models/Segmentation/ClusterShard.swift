import Numerical

/// What all shards of a pass read.
struct ShardContext: Sendable {
    let points: any PointSource
    let chunkRows: Int
}

/// What a thread keeps between shards.
struct ShardScratch: Sendable {
    /// Where a source decodes to; taken out while it is in use.
    var rows: FeatureMatrix?
    var block = BlockScratch()
    var bounds: BoundScratch?
    var distances: [Double]

    init(chunkRows: Int, featureCount: Int) {
        rows = FeatureMatrix(rowCount: chunkRows, featureCount: featureCount)
        distances = [Double](repeating: 0, count: chunkRows)
    }
}

/// A row far from its centroid.
struct FarRow: Sendable {
    let distance: Double
    let row: Int
    let label: Int
    let values: [Float]

    /// Farthest first, ties to the lowest row.
    static func precedes(_ left: FarRow, _ right: FarRow) -> Bool {
        left.distance != right.distance ? left.distance > right.distance : left.row < right.row
    }
}

/// What `ClusterShard.measure` finds.
struct ShardDistances: Sendable {
    var distanceSum = 0.0
    /// Farthest first.
    var farthest: [FarRow] = []
    /// Whether rows off their centroids were left out of `farthest`.
    var isCut = false

    mutating func keepFarthest(_ count: Int) {
        farthest.sort(by: FarRow.precedes)
        if farthest.count <= count { return }
        farthest.removeLast(farthest.count - count)
        isCut = true
    }
}

/// A contiguous part of the rows, whose state and sums belong to it: what is added in row order
/// within a shard and merged in shard order is the same on any number of threads.
struct ClusterShard: Sendable {
    let rows: Range<Int>
    /// `[rows.count]`; -1 before the first pass.
    private(set) var labels: [Int32]
    /// `[rows.count]` once bounds are in use: see `CentroidBounds`.
    private var margins: [Float] = []
    private(set) var sums: ClusterSums
    /// `[clusterCount]`: at least the distances to their centroids of the rows evaluated with bounds.
    private(set) var longest: [Float]
    /// Of the last pass: rows whose label changed, rows compared with any centroid.
    private(set) var changeCount = 0
    private(set) var evaluatedCount = 0
    private(set) var distances = ShardDistances()
    var failure: ModelError?

    init(rows: Range<Int>, clusterCount: Int, featureCount: Int) {
        self.rows = rows
        labels = [Int32](repeating: -1, count: rows.count)
        sums = ClusterSums(clusterCount: clusterCount, featureCount: featureCount)
        longest = [Float](repeating: 0, count: clusterCount)
    }

    /// Before the first pass of a restart.
    mutating func forget() {
        for i in labels.indices { labels[i] = -1 }
        failure = nil
    }

    /// Every row against every centroid.
    mutating func assign(
        _ context: ShardContext, _ vectors: VectorGroups, _ recount: Bool, _ kernels: KernelTable,
        _ scratch: inout ShardScratch
    ) throws(ModelError) {
        if recount { sums.clear() }
        (changeCount, evaluatedCount) = (0, rows.count)
        guard var decoded = scratch.rows.take() else { preconditionFailure("in use") }
        defer { scratch.rows = decoded }
        try context.points.forEachChunk(
            of: rows, chunkRows: context.chunkRows, scratch: &decoded
        ) { (matrix, place, first) throws(ModelError) in
            changeCount += kernels.assignAndMove(
                matrix, rows: place, to: vectors, labels: &labels, at: first - rows.lowerBound,
                recount: recount, sums: &sums, scratch: &scratch.block)
        }
    }

    /// Rows only where their bounds ask for it.
    /// - Parameter isFirst: there are no bounds yet, so all rows are evaluated.
    mutating func assign(
        _ context: ShardContext, _ bounds: CentroidBounds, _ isFirst: Bool, _ recount: Bool,
        _ kernels: KernelTable, _ scratch: inout ShardScratch
    ) throws(ModelError) {
        if margins.isEmpty { margins = [Float](repeating: 0, count: rows.count) }
        for i in longest.indices { longest[i] = 0 }
        if recount { sums.clear() }
        (changeCount, evaluatedCount) = (0, 0)
        var state =
            scratch.bounds.take()
            ?? BoundScratch(
                chunkRows: context.chunkRows, clusterCount: sums.clusterCount,
                featureCount: sums.featureCount)
        guard var decoded = scratch.rows.take() else { preconditionFailure("in use") }
        defer { (scratch.rows, scratch.bounds) = (decoded, state) }
        for start in stride(from: 0, to: rows.count, by: context.chunkRows) {
            let part = start..<min(start + context.chunkRows, rows.count)
            let failingCount =
                isFirst
                ? part.count
                : kernels.findFailing(labels, margins, rows: part, bounds, scratch: &state)
            evaluatedCount += failingCount
            // Where no row may change, the features are not even read.
            if failingCount == 0 && !recount { continue }
            let source = part.lowerBound + rows.lowerBound..<part.upperBound + rows.lowerBound
            try context.points.withRows(source, scratch: &decoded) { matrix, place in
                changeCount += kernels.refine(
                    matrix, rows: place, failingCount: isFirst ? nil : failingCount,
                    labels: &labels, margins: &margins, at: start, bounds, recount: recount,
                    sums: &sums, longest: &longest, scratch: &state)
            }
        }
    }

    /// Squared distances to the centroids of the labels, and the farthest rows.
    mutating func measure(
        _ context: ShardContext, _ centroids: [Float], _ farthestCount: Int,
        _ kernels: KernelTable, _ scratch: inout ShardScratch
    ) throws(ModelError) {
        guard var decoded = scratch.rows.take() else { preconditionFailure("in use") }
        defer { scratch.rows = decoded }
        distances = ShardDistances()
        var least = 0.0
        try context.points.forEachChunk(
            of: rows, chunkRows: context.chunkRows, scratch: &decoded
        ) { (matrix, place, first) throws(ModelError) in
            kernels.assignedDistances(
                matrix, rows: place, labels: labels, at: first - rows.lowerBound,
                centroids: centroids, distances: &scratch.distances)
            let values = scratch.distances.span
            for i in 0..<place.count { distances.distanceSum += values[i] }
            if farthestCount == 0 { return }
            for i in 0..<place.count where values[i] > 0 {
                // A row as far as the last one of a full list comes after it: its number is higher.
                if values[i] <= least {
                    distances.isCut = true
                    continue
                }
                distances.farthest.append(
                    FarRow(
                        distance: values[i], row: first + i,
                        label: Int(labels[first + i - rows.lowerBound]),
                        values: matrix.row(place.lowerBound + i)))
                if distances.farthest.count < 4 * farthestCount { continue }
                distances.keepFarthest(farthestCount)
                least = distances.farthest[farthestCount - 1].distance
            }
        }
        distances.keepFarthest(farthestCount)
    }
}
