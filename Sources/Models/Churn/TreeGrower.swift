import Numerical

/// Grows one tree after the other on the same binned rows, always splitting the leaf that gains
/// most.
/// Source: T. Chen and C. Guestrin, "XGBoost", 2016, eq. 6 and 7 (gain and leaf value); G. Ke et
/// al., "LightGBM", 2017 (histograms, leaf-wise growth).
struct TreeGrower {
    private let search: SplitSearch
    private let bins: BinnedColumns
    private let parameters: BoostedTrees.Parameters
    private let kernels: KernelTable
    private var order: LeafRows
    private var pool: [BinSums] = []
    private var binScratches: [BinScratch]
    private var searchScratches: [SplitSearch.Scratch]

    private struct Leaf {
        var rows: Range<Int>
        var depth: Int
        /// Nil where the leaf cannot be split.
        var sums: BinSums?
        var totals: SplitSearch.Totals
        var best: SplitSearch.Candidate?
        /// The split above, and whether the leaf is its left child.
        var parent: Int
        var isLeft: Bool
    }

    private struct Work: Sendable {
        let leaf: Int
        let column: Int
        let sums: BinSums
        let totals: SplitSearch.Totals
        var found: SplitSearch.Candidate?
    }

    init(_ search: SplitSearch, _ bins: BinnedColumns) {
        self.search = search
        self.bins = bins
        parameters = search.parameters
        kernels = search.kernels
        order = LeafRows(rowCount: bins.rowCount, threadCount: parameters.threadCount)
        binScratches = (0..<parameters.threadCount).map { _ in BinScratch(search.layout) }
        searchScratches = (0..<parameters.threadCount).map { _ in SplitSearch.Scratch() }
    }

    /// Grows a tree on the gradients and adds its leaf values to the rows' scores.
    /// - Parameter columns: that splits may use.
    mutating func grow(
        _ gradients: RowGradients, columns: [Int], scores: inout AlignedFloats
    ) -> DecisionTree {
        order.reset(threadCount: parameters.threadCount)
        var leaves = [root(gradients)]
        var splits: [DecisionTree.Split] = []
        findSplits(&leaves, [0], columns)
        while leaves.count < parameters.leafCount {
            var chosen: Int?
            for (index, leaf) in leaves.enumerated() {
                guard let gain = leaf.best?.gain else { continue }
                if gain > chosen.flatMap({ leaves[$0].best?.gain }) ?? -1 { chosen = index }
            }
            guard let chosen else { break }
            let isLast = leaves.count + 1 == parameters.leafCount
            split(&leaves, chosen, &splits, gradients, isLast: isLast)
            if !isLast { findSplits(&leaves, [chosen, leaves.count - 1], columns) }
        }
        for index in leaves.indices { recycle(&leaves[index]) }
        return finish(leaves, splits, gradients, &scores)
    }

    private mutating func root(_ gradients: RowGradients) -> Leaf {
        let rows = 0..<order.rowCount
        let sums = histogram(rows, gradients)
        return Leaf(
            rows: rows, depth: 0, sums: sums, totals: search.totals(sums), best: nil, parent: -1,
            isLeft: true)
    }

    private mutating func histogram(_ rows: Range<Int>, _ gradients: RowGradients) -> BinSums {
        var sums: BinSums
        if let last = pool.popLast() {
            sums = last
            sums.clear()
        } else {
            sums = BinSums(search.layout)
        }
        order.addGradients(
            rows, of: bins, gradients, layout: search.layout, to: &sums,
            scratches: &binScratches, kernels: kernels)
        return sums
    }

    private mutating func recycle(_ leaf: inout Leaf) {
        if let sums = leaf.sums.take() { pool.append(sums) }
    }

    /// Whether a leaf may become two.
    private func isSplittable(_ totals: SplitSearch.Totals, depth: Int) -> Bool {
        totals.rows >= Double(2 * parameters.minimumLeafRows)
            && totals.hessian >= 2 * parameters.minimumLeafHessian
            && depth < parameters.maximumDepth ?? DecisionTree.depthLimit
    }

    private mutating func findSplits(_ leaves: inout [Leaf], _ which: [Int], _ columns: [Int]) {
        var work: [Work] = []
        for index in which {
            leaves[index].best = nil
            guard let sums = leaves[index].sums else { continue }
            for column in columns where search.bins[column].binCount > 1 {
                work.append(
                    Work(leaf: index, column: column, sums: sums, totals: leaves[index].totals))
            }
        }
        let search = search
        parallelFor(&work, scratches: &searchScratches) { item, scratch in
            item.found = search.best(item.column, item.sums, item.totals, &scratch)
        }
        for item in work {
            guard let found = item.found else { continue }
            if found.gain > leaves[item.leaf].best?.gain ?? -1 { leaves[item.leaf].best = found }
        }
        for index in which where leaves[index].best == nil { recycle(&leaves[index]) }
    }

    private mutating func split(
        _ leaves: inout [Leaf], _ index: Int, _ splits: inout [DecisionTree.Split],
        _ gradients: RowGradients, isLast: Bool
    ) {
        guard let best = leaves[index].best else { preconditionFailure("a leaf with a split") }
        let parent = leaves[index]
        let count = order.split(
            parent.rows, by: best.column, of: bins, goesLeft: best.goesLeft.span,
            kernels: kernels, threadCount: parameters.threadCount)
        let middle = parent.rows.lowerBound + count
        splits.append(
            DecisionTree.Split(
                column: best.column, rule: rule(best), left: -1 - index, right: -1 - leaves.count,
                gain: best.gain, rowCount: parent.totals.rows))
        link(parent, to: splits.count - 1, &splits)
        var children = [parent.rows.lowerBound..<middle, middle..<parent.rows.upperBound].map {
            Leaf(
                rows: $0, depth: parent.depth + 1, sums: nil, totals: .zero, best: nil,
                parent: splits.count - 1, isLeft: $0.lowerBound == parent.rows.lowerBound)
        }
        children[1].isLeft = false
        let left = leftTotals(parent, best)
        children[0].totals = left
        children[1].totals = parent.totals - left
        var parentSums = leaves[index].sums.take()
        leaves[index] = children[0]
        leaves.append(children[1])
        let places = [index, leaves.count - 1]
        let splittable = places.map {
            !isLast && isSplittable(leaves[$0].totals, depth: leaves[$0].depth)
        }
        guard var rest = parentSums.take() else { return }
        guard splittable[0] || splittable[1] else {
            pool.append(rest)
            return
        }
        let small = leaves[places[0]].rows.count <= leaves[places[1]].rows.count ? 0 : 1
        if splittable[1 - small] || leaves[places[small]].rows.count > 0 {
            let sums = histogram(leaves[places[small]].rows, gradients)
            rest.subtract(sums)
            if splittable[small] { leaves[places[small]].sums = sums } else { pool.append(sums) }
        }
        if splittable[1 - small] {
            leaves[places[1 - small]].sums = rest
        } else {
            pool.append(rest)
        }
    }

    /// Sums of the bins on the left.
    private func leftTotals(
        _ leaf: Leaf, _ best: SplitSearch.Candidate
    ) -> SplitSearch.Totals {
        guard let sums = leaf.sums else { return .zero }
        var (g, h, n) = (0 as Int64, 0 as Int64, 0 as Int64)
        let bins = search.layout.bins(of: best.column)
        for (index, bin) in bins.enumerated() where best.goesLeft[index] == 1 {
            g += sums.gradients[bin]
            h += sums.hessians[bin]
            n += sums.rows[bin]
        }
        return SplitSearch.Totals(
            gradient: Double(g) * search.gradientUnit, hessian: Double(h) * search.hessianUnit,
            rows: Double(n))
    }

    private func link(_ leaf: Leaf, to split: Int, _ splits: inout [DecisionTree.Split]) {
        guard leaf.parent >= 0 else { return }
        if leaf.isLeft {
            splits[leaf.parent].left = split
        } else {
            splits[leaf.parent].right = split
        }
    }

    private func rule(_ best: SplitSearch.Candidate) -> DecisionTree.Rule {
        let column = search.bins[best.column]
        switch column.rule {
        case .bounds(let bounds):
            let bin = best.lastLeftBin ?? 0
            // Behind the last bound every value is on the left, infinity too.
            guard bin < bounds.count else { return .known }
            return .atMost(
                threshold: Double(bounds[bin]), missingGoesLeft: best.missingGoesLeft,
                zeroIsMissing: false)
        case .codes(let table):
            var set = [UInt32](repeating: 0, count: (table.count + 31) / 32)
            for (code, bin) in table.enumerated() where best.goesLeft[Int(bin)] == 1 {
                set[code / 32] |= 1 << UInt32(code % 32)
            }
            return .among(set: set, missingGoesLeft: best.missingGoesLeft)
        }
    }

    /// Leaf values from the gradients as they are: the packed ones only choose the splits.
    private func finish(
        _ leaves: [Leaf], _ splits: [DecisionTree.Split], _ gradients: RowGradients,
        _ scores: inout AlignedFloats
    ) -> DecisionTree {
        let ranges = leaves.map(\.rows)
        let sums = order.totals(
            of: ranges, gradients, kernels: kernels, threadCount: parameters.threadCount)
        let values = sums.map { sum in
            let curvature = sum.hessian + parameters.regularization
            return curvature > 1e-15 ? -parameters.learningRate * sum.gradient / curvature : 0
        }
        order.add(
            values.map { Float($0) }, to: ranges, of: &scores,
            threadCount: parameters.threadCount)
        return DecisionTree(
            splits: splits, leafValues: values, leafRowCounts: leaves.map(\.totals.rows))
    }
}
