package import Numerical

/// The best products of customers, or the best customers of a product: the largest scalar products
/// of factors, descending, ties to the lower index.
///
/// Prepared once for one side's factors; then any number of rows of the other side can be asked.
package struct TopN: Sendable {
    /// One answer: the item's index and its score.
    package struct Entry: Sendable, Equatable {
        package let item: Int32
        package let score: Float

        package init(item: Int32, score: Float) {
            self.item = item
            self.score = score
        }
    }

    package let itemCount: Int
    package let factorCount: Int
    /// Items are the lanes: `[itemCount × factorCount]` in blocks of 64.
    private let items: FeatureMatrix

    /// - Parameter itemFactors: `[itemCount × factorCount]`, row-major, finite.
    package init(itemFactors: [Float], itemCount: Int, factorCount: Int) {
        self.itemCount = itemCount
        self.factorCount = factorCount
        items = FeatureMatrix(
            rowMajor: itemFactors, rowCount: itemCount, featureCount: factorCount)
    }

    /// The best items of each query.
    /// - Parameters:
    ///   - queryFactors: `[queryCount × factorCount]`, row-major, finite.
    ///   - count: entries an answer, at least 0; fewer where not enough items remain.
    ///   - excluding: per query ascending item indices that must not appear (as the rows of a
    ///     purchases matrix); nil excludes nothing.
    ///   - eligible: `[itemCount]` flags; nil: all items are.
    ///   - threadCount: at least 1; does not change the result.
    /// - Returns: `[queryCount]` answers.
    package func top(
        _ count: Int, queryFactors: [Float], excluding: SparseMatrix? = nil,
        eligible: [Bool]? = nil, threadCount: Int, kernels: KernelTable = .current
    ) -> [[Entry]] {
        precondition(count >= 0 && factorCount > 0 && queryFactors.count % factorCount == 0)
        let queryCount = queryFactors.count / factorCount
        precondition(excluding.map { $0.rowCount == queryCount } ?? true)
        precondition(excluding.map { $0.columnCount == itemCount } ?? true)
        precondition(eligible.map { $0.count == itemCount } ?? true)
        if count == 0 { return [[Entry]](repeating: [], count: queryCount) }
        // 64 queries: a block of items stays in the first-level cache for all of them.
        let chunks = parallelMap(count: queryCount, chunkSize: 64, threadCount: threadCount) {
            _, rows in
            answer(
                rows, count: count, queryFactors: queryFactors, excluding: excluding,
                eligible: eligible, kernels: kernels)
        }
        return chunks.flatMap { $0 }
    }

    private func answer(
        _ rows: Range<Int>, count: Int, queryFactors: [Float], excluding: SparseMatrix?,
        eligible: [Bool]?, kernels: KernelTable
    ) -> [[Entry]] {
        let size = FeatureMatrix.blockRowCount
        let queries = VectorGroups(
            rowMajor: queryFactors.span.extracting(
                rows.lowerBound * factorCount..<rows.upperBound * factorCount),
            count: rows.count, featureCount: factorCount)
        var scores = [Float](repeating: 0, count: queries.groupCount * 4 * size)
        var maxima = [Float](repeating: 0, count: queries.groupCount * 4)
        var best = rows.map { row in
            Best(limit: count, excluded: excluding.map { $0.entries(of: row) } ?? 0..<0)
        }
        for block in 0..<items.blockCount {
            kernels.scores(
                items, block: block, queries: queries, scores: &scores, maxima: &maxima)
            let first = block * size
            let width = min(size, itemCount - first)
            for query in best.indices where maxima[query] > best[query].threshold {
                best[query].take(
                    scores.span.extracting(query * size..<query * size + width), first,
                    excluding?.columnIndices ?? [], eligible)
            }
        }
        return best.map(\.entries)
    }

    /// The best entries of one query so far, best first. Items arrive in ascending order, so an
    /// entry enters only above the last one's score: ties stay with the lower index.
    private struct Best {
        let limit: Int
        /// What is left of the query's excluded items.
        var excluded: Range<Int>
        var entries: [Entry] = []
        /// A score must be above it to enter.
        var threshold = -Float.infinity

        init(limit: Int, excluded: Range<Int>) {
            self.limit = limit
            self.excluded = excluded
            entries.reserveCapacity(min(limit, 1024) + 1)
        }

        mutating func take(
            _ scores: Span<Float>, _ first: Int, _ excludedItems: [Int32], _ eligible: [Bool]?
        ) {
            for i in scores.indices where scores[i] > threshold {
                let item = first + i
                if let eligible, !eligible[item] { continue }
                if isExcluded(item, excludedItems) { continue }
                insert(Entry(item: Int32(item), score: scores[i]))
            }
        }

        private mutating func isExcluded(_ item: Int, _ items: [Int32]) -> Bool {
            while !excluded.isEmpty && Int(items[excluded.lowerBound]) < item {
                excluded = excluded.lowerBound + 1..<excluded.upperBound
            }
            return !excluded.isEmpty && Int(items[excluded.lowerBound]) == item
        }

        private mutating func insert(_ entry: Entry) {
            var position = entries.count
            while position > 0 && entries[position - 1].score < entry.score { position -= 1 }
            entries.insert(entry, at: position)
            if entries.count > limit { entries.removeLast() }
            if entries.count == limit, let last = entries.last { threshold = last.score }
        }
    }
}

/// The products that most customers bought: the answer for a customer without history, and the
/// baseline that an affinity model has to beat.
/// - Parameters:
///   - purchases: `[userCount × itemCount]`; an item's score is its number of users with an entry.
///   - count: entries of the answer.
///   - excluded: ascending item indices that must not appear.
///   - eligible: `[itemCount]` flags; nil: all items are.
/// - Returns: best first, ties to the lower index; items that nobody bought do not appear.
package func mostPopular(
    _ purchases: SparseMatrix, count: Int, excluding excluded: [Int32] = [],
    eligible: [Bool]? = nil
) -> [TopN.Entry] {
    precondition(count >= 0 && (eligible.map { $0.count == purchases.columnCount } ?? true))
    var counts = [Int](repeating: 0, count: purchases.columnCount)
    for item in purchases.columnIndices { counts[Int(item)] += 1 }
    for item in excluded { counts[Int(item)] = 0 }
    let items = counts.indices.filter { counts[$0] > 0 && eligible?[$0] ?? true }
    let sorted = items.sorted { counts[$0] != counts[$1] ? counts[$0] > counts[$1] : $0 < $1 }
    return sorted.prefix(count).map {
        TopN.Entry(item: Int32($0), score: Float(counts[$0]))
    }
}
