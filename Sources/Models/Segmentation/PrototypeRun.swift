import Numerical

/// Means and categories that rows are compared with.
struct Prototypes: Sendable, Equatable {
    /// `[clusterCount × numericCount]`, row-major.
    var means: [Float]
    /// `[clusterCount × categoryCount]`, row-major; -1: none.
    var modes: [Int32]
}

/// A contiguous part of the rows, whose state and sums belong to it: what is added in row order
/// within a shard and merged in shard order is the same on any number of threads.
private struct PrototypeShard: Sendable {
    let rows: Range<Int>
    /// `[rows.count]`; -1 before the first pass.
    var labels: [Int32]
    /// `[rows.count]`: the squared distance to the nearest of some prototypes.
    var nearest: [Float]
    var sums: ClusterSums
    /// Of the last pass.
    var changeCount = 0
    var cost = 0.0
    var potentials: [Double] = []

    init(rows: Range<Int>, clusterCount: Int, numericCount: Int) {
        self.rows = rows
        labels = [Int32](repeating: -1, count: rows.count)
        nearest = [Float](repeating: .infinity, count: rows.count)
        sums = ClusterSums(clusterCount: clusterCount, featureCount: numericCount)
    }

    /// The row farthest from its nearest prototype, ties to the lowest.
    var farthest: (row: Int, distance: Float) {
        var best = 0
        for i in nearest.indices where nearest[i] > nearest[best] { best = i }
        return (rows.lowerBound + best, nearest[best])
    }
}

/// One data set and its state by shard, used by all restarts of a fit.
struct PrototypeRun {
    /// Most counts of a column's categories over all clusters; a column with more is counted by
    /// walking along its rows in the order of their codes, see `CodeOrder`.
    static let mostCounts = 1 << 17
    /// Most rounds of filling clusters that are empty after the last iteration.
    private static let maximumRefillRounds = 16
    /// Every so many passes the sums are taken anew, as in `LloydRun`.
    private static let recountPasses = 64
    /// Sums of all shards together hold at most so many values, but for eight shards at least.
    private static let mostSums = 16 << 20

    let rows: MixedRows
    let parameters: KPrototypes.Parameters
    let kernels: KernelTable
    let gamma: Double
    let costs: [Float]
    private let slots: CategorySlots
    /// `[categoryCount]`: nil where the column's categories are counted.
    private let orders: [CodeOrder?]
    private var shards: [PrototypeShard]
    private var scratches: [MixedScratch]
    /// `[clusterCount × slots.width]`.
    private var counts: [Int32]

    /// - Parameter rows: checked.
    init(_ rows: MixedRows, _ parameters: KPrototypes.Parameters, kernels: KernelTable) {
        self.rows = rows
        self.parameters = parameters
        self.kernels = kernels
        let k = parameters.clusterCount
        let categories = rows.categories
        let isCounted = categories.codeCounts.map { $0 + 1 <= max(256, Self.mostCounts / k) }
        orders = parallelMap(
            count: categories.columnCount, chunkSize: 1, threadCount: parameters.threadCount
        ) { column, _ in
            isCounted[column] ? nil : CodeOrder(categories, column: column)
        }
        let gamma =
            parameters.gamma
            ?? CategoryWeights.gamma(rows, orders, threadCount: parameters.threadCount)
        self.gamma = gamma
        costs = (0..<categories.columnCount).map {
            Float(gamma * (parameters.categoryWeights.isEmpty ? 1 : parameters.categoryWeights[$0]))
        }
        let slots = CategorySlots(codeCounts: categories.codeCounts, isCounted: isCounted)
        self.slots = slots
        counts = [Int32](repeating: 0, count: k * slots.width)
        let d = rows.numericCount
        shards = Models.shards(
            rowCount: rows.rowCount, chunkRows: 16 * FeatureMatrix.blockRowCount,
            most: min(max(Self.mostSums / (k * max(1, d)), 8), 64)
        ).map { PrototypeShard(rows: $0, clusterCount: k, numericCount: d) }
        scratches = (0..<parameters.threadCount).map { _ in
            MixedScratch(categoryCount: categories.columnCount, countCount: k * slots.width)
        }
    }

    // MARK: - Seeding

    /// Greedy k-means++ with the distance of the mixed rows, see `GreedySeeding`; prototypes are
    /// rows.
    /// - Throws: `tooFewDistinctRows`.
    mutating func seed(_ random: inout SeededRandom) throws(ModelError) -> Prototypes {
        let k = parameters.clusterCount
        forgetDistances()
        var chosen = random.below(rows.rowCount)
        var prototypes = Prototypes(means: [], modes: [])
        append(chosen, to: &prototypes)
        for have in 1..<max(1, k) {
            let sums = lower(to: [chosen])
            guard sums.reduce(0, +) > 0 else {
                throw .tooFewDistinctRows(model: "k-prototypes", actual: have, needed: k)
            }
            let candidates = (0..<GreedySeeding.candidateCount(k)).map { _ in
                row(at: random.uniform(), sums)
            }
            let remaining = potentials(of: candidates)
            var best = 0
            for i in candidates.indices where remaining[i] < remaining[best] { best = i }
            chosen = candidates[best]
            append(chosen, to: &prototypes)
        }
        return prototypes
    }

    private func append(_ row: Int, to prototypes: inout Prototypes) {
        prototypes.means += rows.numeric.row(row)
        prototypes.modes += rows.categories.row(row)
    }

    private func groups(_ prototypes: Prototypes, count: Int) -> PrototypeGroups {
        PrototypeGroups(
            means: prototypes.means, modes: prototypes.modes, costs: costs, count: count)
    }

    private func groups(ofRows chosen: [Int]) -> PrototypeGroups {
        var prototypes = Prototypes(means: [], modes: [])
        for row in chosen { append(row, to: &prototypes) }
        return groups(prototypes, count: chosen.count)
    }

    private mutating func forgetDistances() {
        for i in shards.indices {
            for j in shards[i].nearest.indices { shards[i].nearest[j] = .infinity }
        }
    }

    /// Lowers all rows' distances to those to some rows.
    /// - Returns: the distances' sum of each shard.
    private mutating func lower(to chosen: [Int]) -> [Double] {
        lower(to: groups(ofRows: chosen))
    }

    private mutating func lower(to prototypes: PrototypeGroups) -> [Double] {
        let (rows, kernels) = (rows, kernels)
        parallelFor(&shards, scratches: &scratches) { shard, scratch in
            shard.cost = kernels.lower(
                rows.numeric, rows.categories, rows: shard.rows, to: prototypes,
                nearest: &shard.nearest, at: 0, scratch: &scratch)
        }
        return shards.map(\.cost)
    }

    private mutating func potentials(of candidates: [Int]) -> [Double] {
        let (rows, kernels) = (rows, kernels)
        let prototypes = groups(ofRows: candidates)
        parallelFor(&shards, scratches: &scratches) { shard, scratch in
            shard.potentials = [Double](repeating: 0, count: prototypes.count)
            kernels.addPotentials(
                rows.numeric, rows.categories, rows: shard.rows, of: prototypes,
                nearest: shard.nearest, at: 0, sums: &shard.potentials, scratch: &scratch)
        }
        return candidates.indices.map { i in shards.reduce(0) { $0 + $1.potentials[i] } }
    }

    /// The row at which the running sum of the distances passes a share of their sum.
    private func row(at share: Double, _ sums: [Double]) -> Int {
        var rest = share * sums.reduce(0, +)
        var last = 0
        for (shard, sum) in zip(shards, sums) where sum > 0 {
            if rest >= sum {
                rest -= sum
                // Rounding may carry the search past the end: then the last shard's last row.
                last = shard.rows.lowerBound + (shard.nearest.lastIndex { $0 > 0 } ?? 0)
                continue
            }
            for i in shard.nearest.indices where shard.nearest[i] > 0 {
                last = shard.rows.lowerBound + i
                rest -= Double(shard.nearest[i])
                if rest < 0 { return last }
            }
            return last
        }
        return last
    }

    // MARK: - Iterations

    /// Assignments and movements in turn.
    /// - Throws: `tooFewDistinctRows` where a cluster stays empty.
    mutating func iterate(from start: Prototypes) throws(ModelError) -> FittedKPrototypes {
        var prototypes = start
        var costs: [Double] = []
        var converged = false
        var passCount = 0
        /// The sums of the last pass, where it changed nothing.
        var settled: ClusterSums?
        for i in shards.indices {
            for j in shards[i].labels.indices { shards[i].labels[j] = -1 }
        }
        while costs.count < parameters.maximumIterations && !converged {
            let pass = assign(to: prototypes, passCount)
            passCount += 1
            costs.append(pass.cost)
            if pass.changeCount == 0 {
                converged = true
                settled = pass.sums
                break
            }
            if parameters.tolerance > 0, costs.count > 1 {
                let before = costs[costs.count - 2]
                converged = before - pass.cost <= parameters.tolerance * before
            }
            prototypes = moved(from: prototypes, pass.sums)
        }
        // The last movement may have changed assignments, or emptied a cluster: what is returned
        // belongs to the prototypes.
        var rounds = 0
        if passCount % Self.recountPasses == 0 { settled = nil }
        while true {
            let sums: ClusterSums
            if let known = settled.take() {
                sums = known
            } else {
                sums = assign(to: prototypes, passCount).sums
            }
            passCount += 1
            let occupied = sums.counts.count { $0 > 0 }
            if occupied == parameters.clusterCount {
                return fitted(prototypes, sums, costs, converged)
            }
            guard rounds < Self.maximumRefillRounds else {
                throw .tooFewDistinctRows(
                    model: "k-prototypes", actual: occupied, needed: parameters.clusterCount)
            }
            rounds += 1
            prototypes = moved(from: prototypes, sums)
        }
    }

    private mutating func assign(
        to prototypes: Prototypes, _ passCount: Int
    ) -> (sums: ClusterSums, changeCount: Int, cost: Double) {
        let recount = passCount % Self.recountPasses == 0
        let (rows, kernels, slots) = (rows, kernels, slots)
        let vectors = groups(prototypes, count: parameters.clusterCount)
        for i in scratches.indices { scratches[i].clearCounts() }
        parallelFor(&shards, scratches: &scratches) { shard, scratch in
            if recount { shard.sums.clear() }
            (shard.changeCount, shard.cost) = kernels.assignAndMove(
                rows.numeric, rows.categories, rows: shard.rows, to: vectors,
                labels: &shard.labels, at: 0, recount: recount, sums: &shard.sums, slots: slots,
                scratch: &scratch)
        }
        if recount {
            for i in counts.indices { counts[i] = 0 }
        }
        for scratch in scratches {
            for i in counts.indices { counts[i] += scratch.counts[i] }
        }
        var sums = ClusterSums(
            clusterCount: parameters.clusterCount, featureCount: rows.numericCount)
        for shard in shards { sums.add(shard.sums) }
        return (
            sums, shards.reduce(0) { $0 + $1.changeCount }, shards.reduce(0) { $0 + $1.cost }
        )
    }

    /// Means and modes of the clusters' rows. A cluster without rows moves to the row that is
    /// farthest from all prototypes, ties to the lowest row; no two move to equal rows.
    private mutating func moved(from prototypes: Prototypes, _ sums: ClusterSums) -> Prototypes {
        var moved = prototypes
        let (d, c) = (rows.numericCount, rows.categoryCount)
        for cluster in sums.counts.indices where sums.counts[cluster] > 0 {
            let count = Double(sums.counts[cluster])
            for i in cluster * d..<(cluster + 1) * d {
                moved.means[i] = Float(sums.values[i] / count)
            }
            for column in 0..<c where slots.offsets[column] >= 0 {
                moved.modes[cluster * c + column] = mode(cluster, column)
            }
        }
        let labels = orders.contains { $0 != nil } ? shards.flatMap(\.labels) : []
        for (column, order) in orders.enumerated() {
            guard let order else { continue }
            let modes = order.modes(
                labels: labels, clusterCount: sums.clusterCount,
                threadCount: parameters.threadCount)
            for cluster in sums.counts.indices where sums.counts[cluster] > 0 {
                moved.modes[cluster * c + column] = modes[cluster]
            }
        }
        refill(&moved, empty: sums.counts.indices.filter { sums.counts[$0] == 0 })
        return moved
    }

    /// The most frequent code, ties to the lowest; -1 where there is none.
    private func mode(_ cluster: Int, _ column: Int) -> Int32 {
        // The missing ones come first.
        let first = cluster * slots.width + slots.offsets[column] + 1
        var (best, most): (Int32, Int32) = (-1, 0)
        for code in 0..<rows.categories.codeCounts[column] where counts[first + code] > most {
            most = counts[first + code]
            best = Int32(code)
        }
        return best
    }

    private mutating func refill(_ prototypes: inout Prototypes, empty: [Int]) {
        if empty.isEmpty { return }
        let (d, c, k) = (rows.numericCount, rows.categoryCount, parameters.clusterCount)
        let kept = (0..<k).filter { !empty.contains($0) }
        forgetDistances()
        _ = lower(
            to: groups(
                Prototypes(
                    means: kept.flatMap { prototypes.means[$0 * d..<($0 + 1) * d] },
                    modes: kept.flatMap { prototypes.modes[$0 * c..<($0 + 1) * c] }),
                count: kept.count))
        for cluster in empty {
            var far = shards[0].farthest
            for shard in shards.dropFirst() where shard.farthest.distance > far.distance {
                far = shard.farthest
            }
            // Every row lies on a prototype: nothing would be gained.
            if far.distance == 0 { return }
            for (j, value) in rows.numeric.row(far.row).enumerated() {
                prototypes.means[cluster * d + j] = value
            }
            for (j, code) in rows.categories.row(far.row).enumerated() {
                prototypes.modes[cluster * c + j] = code
            }
            _ = lower(to: [far.row])
        }
    }

    // MARK: - Result

    private func fitted(
        _ prototypes: Prototypes, _ sums: ClusterSums, _ costs: [Double], _ converged: Bool
    ) -> FittedKPrototypes {
        let assignments = shards.flatMap(\.labels)
        return FittedKPrototypes(
            clusterCount: parameters.clusterCount, gamma: gamma, categoryCosts: self.costs,
            means: prototypes.means, modes: prototypes.modes, assignments: assignments,
            sizes: sums.counts.map { Int($0) }, cost: cost(prototypes, assignments),
            costPerIteration: costs, converged: converged)
    }

    /// The sum of squared distances, by differences in double precision.
    private func cost(_ prototypes: Prototypes, _ assignments: [Int32]) -> Double {
        let (rows, kernels, costs) = (rows, kernels, costs.map { Double($0) })
        let c = rows.categoryCount
        let parts = parallelMap(
            count: rows.rowCount, chunkSize: 256 * FeatureMatrix.blockRowCount,
            threadCount: parameters.threadCount
        ) { _, range in
            var squares = [Double](repeating: 0, count: range.count)
            kernels.assignedDistances(
                rows.numeric, rows: range, labels: assignments, at: range.lowerBound,
                centroids: prototypes.means, distances: &squares)
            var sum = squares.reduce(0, +)
            for row in range {
                let mode = Int(assignments[row]) * c
                for column in 0..<c {
                    let code = rows.categories[row, column]
                    if code >= 0 && code != prototypes.modes[mode + column] { sum += costs[column] }
                }
            }
            return sum
        }
        return parts.reduce(0, +)
    }
}
