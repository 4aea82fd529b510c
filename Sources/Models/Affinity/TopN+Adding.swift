package import Numerical

extension TopN {
    /// The best items of each query by x·y + b, where b is known for a few items of each query and 0
    /// elsewhere: factors with what a customer buys again added, or popularity (one factor) with the
    /// customer's own counts.
    ///
    /// Exact: an item either has an addition, and is scored by itself, or has none, and is among the
    /// best of the others by the pass of `top`. The scores of the first are scalar products of
    /// another order of sums: equal but for rounding.
    /// - Parameters:
    ///   - count: entries an answer, at least 0; fewer where not enough items remain.
    ///   - queryFactors: `[queryCount × factorCount]`, row-major.
    ///   - additions: `[queryCount × itemCount]`; values finite.
    ///   - additionWeight: every addition is multiplied by this; finite.
    ///   - eligible: `[itemCount]`; nil: all items are.
    ///   - threadCount: at least 1; does not change the result.
    /// - Throws: as `top`; `nonFiniteValue` for an addition; `outOfRange` for its weight.
    /// - Complexity: of `top` with exclusions, and O(additions × factors). Memory beside the answer:
    ///   the items' factors once more, and a query's scores a thread.
    package func top(
        _ count: Int, queryFactors: [Float], itemFactors: [Float], adding additions: SparseMatrix,
        additionWeight: Float = 1, eligible: Bitmap? = nil, threadCount: Int,
        kernels: KernelTable = .current
    ) throws(ModelError) -> TopLists {
        try requireCount(
            itemFactors.count, itemCount * factorCount, "values of product factors")
        guard additionWeight.isFinite else {
            throw .outOfRange(
                what: "the weight of what is added", actual: Double(additionWeight),
                allowed: "a finite number")
        }
        let others = try top(
            count, queryFactors: queryFactors, excluding: additions, eligible: eligible,
            threadCount: threadCount, kernels: kernels)
        let width = others.width
        if others.entries.isEmpty { return others }
        let f = factorCount
        var entries = others.entries
        var flaws = [Int](repeating: -1, count: others.queryCount)
        parallelFill(&flaws, chunkRows: 256, threadCount: threadCount) { rows, slice in
            for row in rows {
                let flaw = additions.entries(of: row).first {
                    !(additions.values[$0] * additionWeight).isFinite
                }
                slice[row - rows.lowerBound] = flaw ?? -1
            }
        }
        if let row = flaws.firstIndex(where: { $0 >= 0 }) {
            throw .nonFiniteValue(
                what: "scores to add", row: row, column: Int(additions.columnIndices[flaws[row]]))
        }
        parallelFill(
            &entries, rowWidth: width, chunkRows: 256, threadCount: threadCount
        ) { rows, slice in
            var list: [Entry] = []
            for row in rows {
                let first = (row - rows.lowerBound) * width
                list.removeAll(keepingCapacity: true)
                let query = queryFactors.span.extracting(row * f..<(row + 1) * f)
                for i in additions.entries(of: row) {
                    let item = Int(additions.columnIndices[i])
                    if let eligible, !eligible[item] { continue }
                    let score = kernels.dot(
                        query, itemFactors.span.extracting(item * f..<(item + 1) * f))
                    list.append(
                        Entry(
                            item: Int32(item),
                            score: score + additionWeight * additions.values[i]))
                }
                if list.isEmpty { continue }
                for place in first..<first + width where slice[place] != .none {
                    list.append(slice[place])
                }
                list.sort { $0.isBefore($1) }
                for place in 0..<width {
                    slice[first + place] = place < list.count ? list[place] : .none
                }
            }
        }
        return TopLists(width: width, entries: entries, queryCount: others.queryCount)
    }
}
