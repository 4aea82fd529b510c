import Numerical

/// Finds the best split of a leaf by one column from the sums of its bins.
struct SplitSearch: Sendable {
    let parameters: BoostedTrees.Parameters
    let bins: [ColumnBins]
    let layout: BinLayout
    /// What one unit of the packed sums is worth.
    let gradientUnit: Double
    let hessianUnit: Double
    let kernels: KernelTable

    struct Candidate: Sendable {
        var column: Int
        /// Improvement over no split.
        var gain: Double
        /// `[256]`: 1 for the bins that go left.
        var goesLeft: [UInt8]
        /// The last bin on the left; nil: the bins are categories.
        var lastLeftBin: Int?
        var missingGoesLeft: Bool
    }

    struct Totals: Sendable {
        var gradient: Double
        var hessian: Double
        var rows: Double

        static let zero = Totals(gradient: 0, hessian: 0, rows: 0)

        static func + (a: Totals, b: Totals) -> Totals {
            Totals(
                gradient: a.gradient + b.gradient, hessian: a.hessian + b.hessian,
                rows: a.rows + b.rows)
        }

        static func - (a: Totals, b: Totals) -> Totals {
            Totals(
                gradient: a.gradient - b.gradient, hessian: a.hessian - b.hessian,
                rows: a.rows - b.rows)
        }

        func score(_ regularization: Double) -> Double {
            gradient * gradient / max(hessian + regularization, 1e-15)
        }
    }

    /// Memory of one thread.
    struct Scratch: Sendable {
        fileprivate var gradients = [Double](repeating: 0, count: 256)
        fileprivate var hessians = [Double](repeating: 0, count: 256)
        fileprivate var rows = [Double](repeating: 0, count: 256)
    }

    func totals(_ sums: BinSums, bin: Int) -> Totals {
        Totals(
            gradient: Double(sums.gradients[bin]) * gradientUnit,
            hessian: Double(sums.hessians[bin]) * hessianUnit, rows: Double(sums.rows[bin]))
    }

    /// Of a whole leaf: any column's bins hold all its rows.
    func totals(_ sums: BinSums) -> Totals {
        var (g, h, n) = (0 as Int64, 0 as Int64, 0 as Int64)
        for bin in layout.bins(of: 0) {
            g += sums.gradients[bin]
            h += sums.hessians[bin]
            n += sums.rows[bin]
        }
        return Totals(
            gradient: Double(g) * gradientUnit, hessian: Double(h) * hessianUnit, rows: Double(n))
    }

    /// - Returns: nil where no split is allowed or none improves the fit enough.
    func best(
        _ column: Int, _ sums: BinSums, _ totals: Totals, _ scratch: inout Scratch
    ) -> Candidate? {
        switch bins[column].rule {
        case .bounds: threshold(column, sums, totals, &scratch)
        case .codes: categories(column, sums, totals)
        }
    }

    /// Both directions of the missing, where there are any.
    private func threshold(
        _ column: Int, _ sums: BinSums, _ totals: Totals, _ scratch: inout Scratch
    ) -> Candidate? {
        let first = layout.offsets[column]
        let valueBins = bins[column].valueBinCount
        let (gradients, hessians, rows) = (sums.gradients, sums.hessians, sums.rows)
        var (g, h, n) = (0 as Int64, 0 as Int64, 0 as Int64)
        for bin in 0..<valueBins {
            g &+= gradients[first + bin]
            h &+= hessians[first + bin]
            n &+= rows[first + bin]
            scratch.gradients[bin] = Double(g) * gradientUnit
            scratch.hessians[bin] = Double(h) * hessianUnit
            scratch.rows[bin] = Double(n)
        }
        let missing =
            bins[column].hasMissing ? self.totals(sums, bin: first + valueBins) : Totals.zero
        let all = [totals.gradient, totals.hessian, totals.rows]
        let limits = [
            Double(parameters.minimumLeafRows), max(parameters.minimumLeafHessian, 1e-12),
            parameters.regularization,
        ]
        func search(_ extra: [Double], _ count: Int) -> (gain: Double, index: Int)? {
            kernels.bestSplit(
                gradients: scratch.gradients.span, hessians: scratch.hessians.span,
                rows: scratch.rows.span, count: count, totals: all.span, extra: extra.span,
                limits: limits.span)
        }
        let isAnyMissing = missing.rows > 0
        // With some missing, "all values left, the missing right" is a split too.
        var best = search([0, 0, 0], isAnyMissing ? valueBins : valueBins - 1)
        var missingGoesLeft = false
        if isAnyMissing {
            let other = search(
                [missing.gradient, missing.hessian, missing.rows], valueBins - 1)
            if let other, other.gain > best?.gain ?? -1 {
                best = other
                missingGoesLeft = true
            }
        }
        guard let best else { return nil }
        let gain = best.gain - totals.score(parameters.regularization)
        guard gain > parameters.minimumGain else { return nil }
        if !isAnyMissing {
            // Nothing was learned of the missing: they go with the majority.
            missingGoesLeft = 2 * scratch.rows[best.index] >= totals.rows
        }
        var goesLeft = [UInt8](repeating: 0, count: 256)
        for bin in 0...best.index { goesLeft[bin] = 1 }
        if missingGoesLeft { goesLeft[min(valueBins, 255)] = 1 }
        return Candidate(
            column: column, gain: gain, goesLeft: goesLeft, lastLeftBin: best.index,
            missingGoesLeft: missingGoesLeft)
    }

    /// Few categories each against the rest; many in the order of their smoothed mean gradient, from
    /// both ends.
    /// Source: W. D. Fisher, "On Grouping for Maximum Homogeneity", 1958: the best partition is one
    /// by that order; smoothing as in G. Ke et al., "LightGBM", 2017, and its documentation.
    private func categories(_ column: Int, _ sums: BinSums, _ totals: Totals) -> Candidate? {
        let first = layout.offsets[column]
        let rule = bins[column]
        // The missing are a category like the others; the rare ones stay on the right, as do those
        // that training has not seen.
        let all = (0..<rule.binCount).filter { $0 != rule.rareBin }
            .map { (bin: $0, totals: self.totals(sums, bin: first + $0)) }
            .filter { $0.totals.rows > 0 }
        let isOneOfFew = all.count <= 4
        let leastRows = Double(parameters.minimumCategoryRows)
        let used = isOneOfFew ? all : all.filter { $0.totals.rows >= leastRows }
        let lambda =
            parameters.regularization + (isOneOfFew ? 0 : parameters.categoryRegularization)
        var best: (gain: Double, left: [Int])?
        func consider(_ left: Totals, _ bins: @autoclosure () -> [Int]) {
            let right = totals - left
            let rows = Double(parameters.minimumLeafRows)
            guard left.rows >= rows, right.rows >= rows,
                left.hessian >= parameters.minimumLeafHessian,
                right.hessian >= parameters.minimumLeafHessian
            else { return }
            let gain = left.score(lambda) + right.score(lambda)
            if gain > best?.gain ?? -1 { best = (gain, bins()) }
        }
        if isOneOfFew {
            for entry in used { consider(entry.totals, [entry.bin]) }
        } else {
            let smoothing = parameters.categorySmoothing
            let ordered = used.map { entry in
                (entry, entry.totals.gradient / (entry.totals.hessian + smoothing + 1e-15))
            }.sorted { ($0.1, $0.0.bin) < ($1.1, $1.0.bin) }.map(\.0)
            let most = min(parameters.maximumLeftCategories, (ordered.count + 1) / 2)
            for order in [ordered, ordered.reversed()] {
                var left = Totals.zero
                for (index, entry) in order.prefix(most).enumerated() {
                    left = left + entry.totals
                    consider(left, order.prefix(index + 1).map(\.bin))
                }
            }
        }
        guard let best else { return nil }
        let gain = best.gain - totals.score(parameters.regularization)
        guard gain > parameters.minimumGain else { return nil }
        var goesLeft = [UInt8](repeating: 0, count: 256)
        for bin in best.left { goesLeft[bin] = 1 }
        return Candidate(
            column: column, gain: gain, goesLeft: goesLeft, lastLeftBin: nil,
            missingGoesLeft: rule.hasMissing && best.left.contains(rule.missingBin))
    }
}
