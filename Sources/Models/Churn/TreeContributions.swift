import Numerical

extension ForestScorer {
    /// Shapley values of each row's score, as the trees' training rows weigh what is not known.
    ///
    /// O(trees · leaves · depth) a row, and O(depth²) for each different way of 64 rows past a leaf's
    /// splits. Same bytes for any thread count.
    /// Source: S. Lundberg, G. Erion and S.-I. Lee, "Consistent Individualized Feature Attribution for
    /// Tree Ensembles", 2018 (the game); G. Owen, "Multilinear Extensions of Games", 1972 (Shapley
    /// values as an integral).
    /// - Throws: `badColumn` where the table has not the model's columns; `outOfRange` where an imported
    ///   tree has more than 512 splits above a leaf.
    package func contributions(
        _ table: PredictorTable, threadCount: Int = 1
    ) throws(ModelError) -> Contributions {
        let columns = try table.matched(to: ensemble.schema).columns.map(\.values)
        let ensemble = ensemble
        let width = ensemble.schema.count
        let depth = ensemble.trees.map(\.depth).max() ?? 0
        guard depth <= DecisionTree.depthLimit else {
            throw .outOfRange(
                what: "the depth of the deepest tree", actual: Double(depth),
                allowed: "at most \(DecisionTree.depthLimit) for contributions")
        }
        let games = parallelMap(
            count: ensemble.trees.count, chunkSize: 1, threadCount: threadCount
        ) { tree, _ in
            TreeGames(ensemble.trees[tree])
        }
        let rules = TreeGames.rules(for: games)
        let scale = ensemble.isAveraged ? 1 / Double(max(1, ensemble.trees.count)) : 1
        let values: [Double] = parallelArray(
            count: table.rowCount * width, chunkRows: 64 * max(1, width), threadCount: threadCount
        ) { places, output in
            let rows = places.lowerBound / width..<places.upperBound / width
            var sums = [Double](repeating: 0, count: places.count)
            var scratch = TreeGames.Scratch()
            for game in games { game.add(rows, columns, rules, &scratch, &sums) }
            for index in output.indices { output[index] = sums[index] * scale }
        }
        return Contributions(
            columns: ensemble.schema.map(\.name), base: ensemble.expectedScore, values: values)
    }
}

extension TreeEnsemble {
    /// The raw score of a row that nothing is known of: the mean over the training rows.
    var expectedScore: Double {
        let sum = trees.reduce(0) { $0 + TreeGames($1).expectedValue }
        return (isAveraged ? sum / Double(max(1, trees.count)) : sum) + baseScore
    }
}

/// A tree as one game a leaf, whose players are the columns on the way to it.
///
/// A leaf of value v is worth v · Π fₖ: of a known column, f is 1 where the row passes all its splits on
/// the way and 0 where not; of an unknown one the share z of training rows that do. With oₖ for the known
/// value, a column's Shapley value is
///
///     v (oⱼ - zⱼ) ∫₀¹ Π over k ≠ j of (t oₖ + (1 - t) zₖ) dt,
///
/// a polynomial in t of one degree less than there are columns: Gauss–Legendre's rule of half as many
/// points is exact. Rows that pass the same splits have the same values, so 64 rows are dealt into groups
/// by bits first.
private struct TreeGames: Sendable {
    private struct Leaf {
        var value: Double
        var factors: Range<Int>
    }

    /// A column on the way to a leaf.
    private struct Factor {
        var column: Int
        /// z.
        var share: Double
        /// Its splits: an index to pass on the left, ~index on the right.
        var steps: Range<Int>
    }

    /// Memory of one thread.
    struct Scratch {
        fileprivate var passes: [UInt64] = []
        fileprivate var known: [UInt64] = []
        fileprivate var groups = [UInt64](repeating: 0, count: 64)
        fileprivate var terms: [Double] = []
        fileprivate var products: [Double] = []
        fileprivate var values: [Double] = []
    }

    private let splits: [DecisionTree.Split]
    private var leaves: [Leaf] = []
    private var factors: [Factor] = []
    private var steps: [Int] = []
    /// The mean of the leaf values over the training rows.
    private(set) var expectedValue = 0.0

    init(_ tree: DecisionTree) {
        splits = tree.splits
        /// The way from the root: steps as in `steps`, and the share of rows that takes each.
        var way: [(step: Int, share: Double)] = []
        var open: [(node: Int, depth: Int, step: Int, share: Double)] = [
            (tree.splits.isEmpty ? -1 : 0, 0, 0, 1)
        ]
        while let (node, depth, step, share) = open.popLast() {
            if depth > 0 {
                way.removeLast(way.count - (depth - 1))
                way.append((step, share))
            }
            guard node >= 0 else {
                append(tree.leafValues[-1 - node], way)
                continue
            }
            let split = tree.splits[node]
            let (left, right) = (tree.rowCount(split.left), tree.rowCount(split.right))
            let leftShare = left + right > 0 ? left / (left + right) : 0.5
            open.append((split.right, depth + 1, ~node, 1 - leftShare))
            open.append((split.left, depth + 1, node, leftShare))
        }
    }

    private mutating func append(_ value: Double, _ way: [(step: Int, share: Double)]) {
        let first = factors.count
        for (step, _) in way {
            let column = splits[step < 0 ? ~step : step].column
            guard !factors[first...].contains(where: { $0.column == column }) else { continue }
            var factor = Factor(column: column, share: 1, steps: steps.count..<steps.count)
            for (step, share) in way where splits[step < 0 ? ~step : step].column == column {
                steps.append(step)
                factor.share *= share
            }
            factor.steps = factor.steps.lowerBound..<steps.count
            // Nothing is divided by a number so small.
            if factor.share < 1e-300 { factor.share = 0 }
            factors.append(factor)
        }
        leaves.append(Leaf(value: value, factors: first..<factors.count))
        expectedValue += factors[first...].reduce(value) { $0 * $1.share }
    }

    /// By the count of a leaf's columns, on 0 ... 1; of counts that are not there the simplest.
    static func rules(for games: [TreeGames]) -> [QuadratureRule] {
        let most = games.flatMap(\.leaves).map(\.factors.count).max() ?? 0
        var points = [Int](repeating: 1, count: most + 1)
        for leaf in games.flatMap(\.leaves) {
            points[leaf.factors.count] = max(1, (leaf.factors.count + 1) / 2)
        }
        return points.map { .gaussLegendre(count: $0) }
    }

    /// Adds the contributions of up to 64 rows to `sums`, `[rows × columns]`.
    func add(
        _ rows: Range<Int>, _ columns: [PredictorTable.Values], _ rules: [QuadratureRule],
        _ scratch: inout Scratch, _ sums: inout [Double]
    ) {
        let all = rows.count == 64 ? UInt64.max : 1 << UInt64(rows.count) - 1
        scratch.passes.removeAll(keepingCapacity: true)
        for split in splits {
            scratch.passes.append(split.leftRows(rows, columns[split.column]))
        }
        for leaf in leaves where !leaf.factors.isEmpty {
            let groupCount = deal(all, leaf, &scratch)
            for group in 0..<groupCount {
                let members = scratch.groups[group]
                guard value(leaf, members, rules[leaf.factors.count], &scratch) else { continue }
                addValues(leaf, members, columns.count, scratch, &sums)
            }
        }
    }

    /// Deals rows into groups that pass the splits of the same columns on the way to a leaf.
    /// - Returns: how many groups there are.
    private func deal(_ all: UInt64, _ leaf: Leaf, _ scratch: inout Scratch) -> Int {
        scratch.known.removeAll(keepingCapacity: true)
        scratch.groups[0] = all
        var count = 1
        for factor in leaf.factors {
            var passed = all
            for place in factors[factor].steps {
                let step = steps[place]
                passed &= step < 0 ? ~scratch.passes[~step] : scratch.passes[step]
            }
            scratch.known.append(passed)
            for group in 0..<count {
                let members = scratch.groups[group]
                let inside = members & passed
                guard inside != 0, inside != members else { continue }
                scratch.groups[group] = inside
                scratch.groups[count] = members & ~passed
                count += 1
            }
        }
        return count
    }

    /// The Shapley values of a group, into `scratch.values`.
    /// - Returns: false where all are 0.
    private func value(
        _ leaf: Leaf, _ members: UInt64, _ rule: QuadratureRule, _ scratch: inout Scratch
    ) -> Bool {
        let (points, member) = (rule.nodes.count, members & (0 &- members))
        scratch.terms.removeAll(keepingCapacity: true)
        scratch.values.removeAll(keepingCapacity: true)
        scratch.products.removeAll(keepingCapacity: true)
        for weight in rule.weights { scratch.products.append(weight * leaf.value) }
        for (index, factor) in leaf.factors.enumerated() {
            let share = factors[factor].share
            let known = scratch.known[index] & member == 0 ? 0.0 : 1
            // Neither known nor unknown does the row come here: no column can change that.
            if known + share == 0 { return false }
            scratch.values.append(known - share)
            for point in 0..<points {
                let t = rule.nodes[point]
                let term = t * known + (1 - t) * share
                scratch.terms.append(term)
                scratch.products[point] *= term
            }
        }
        var place = 0
        for index in scratch.values.indices {
            var sum = 0.0
            for point in 0..<points {
                sum += scratch.products[point] / scratch.terms[place]
                place += 1
            }
            scratch.values[index] *= sum
        }
        return true
    }

    private func addValues(
        _ leaf: Leaf, _ members: UInt64, _ width: Int, _ scratch: Scratch, _ sums: inout [Double]
    ) {
        var rest = members
        while rest != 0 {
            let first = rest.trailingZeroBitCount * width
            rest &= rest &- 1
            for (index, factor) in leaf.factors.enumerated() {
                sums[first + factors[factor].column] += scratch.values[index]
            }
        }
    }
}

extension DecisionTree.Split {
    /// Bit i is set where row i of the rows, at most 64, goes left.
    fileprivate func leftRows(_ rows: Range<Int>, _ values: PredictorTable.Values) -> UInt64 {
        var bits = 0 as UInt64
        // Most splits are of this kind; what is the same for all rows is looked at once.
        if case .atMost(let threshold, let missingGoesLeft, let zeroIsMissing) = rule,
            case .numbers(let all) = values
        {
            for (place, row) in rows.enumerated() {
                let isLeft = Self.isLeft(all[row], threshold, missingGoesLeft, zeroIsMissing)
                bits |= (isLeft ? 1 : 0) << UInt64(place)
            }
            return bits
        }
        for (place, row) in rows.enumerated() where goesLeft(row: row, values) {
            bits |= 1 << UInt64(place)
        }
        return bits
    }
}

extension DecisionTree {
    /// Most splits above a leaf.
    var depth: Int {
        var deepest = 0
        var depths = [Int](repeating: 1, count: splits.count)
        for (index, split) in splits.enumerated() {
            deepest = max(deepest, depths[index])
            for child in [split.left, split.right] where child >= 0 {
                depths[child] = depths[index] + 1
            }
        }
        return deepest
    }

    fileprivate func rowCount(_ child: Int) -> Double {
        max(0, child >= 0 ? splits[child].rowCount : leafRowCounts[-1 - child])
    }
}
