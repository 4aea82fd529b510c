package import Numerical

/// The items with the largest scalar products of factors: the best products of customers. Exact,
/// descending, ties to the lower index.
///
/// Prepared once for the items; then any number of queries can be asked, together or one at a
/// time. A score is one chain of fused products in the order of the factors, so both ways, every
/// path and any thread count give the same bits (of one instruction-set level).
///
/// For the other direction, few queries against very many items, see `TopStream`.
package struct TopN: Sendable {
    /// One answer: the item's index and its score.
    package struct Entry: Sendable, Equatable {
        package let item: Int32
        package let score: Float

        package init(item: Int32, score: Float) {
            self.item = item
            self.score = score
        }

        /// A place that no item has.
        package static let none = Entry(item: -1, score: 0)

        package func isBefore(_ other: Entry) -> Bool {
            score > other.score || (score == other.score && item < other.item)
        }
    }

    /// The order in which a pass meets the items; it changes the time, never the answer.
    package enum Path: String, Sendable, CaseIterable {
        /// The longest items first: a query ends where no item is long enough to reach its
        /// threshold. Factors fitted to real purchases end after a tenth of the items.
        case byLength
        /// In the order of the items, to the last one.
        case scan
    }

    package let itemCount: Int
    package let factorCount: Int
    private let items: TopItems
    /// The longest item.
    private let longest: Float

    /// Queries of a chunk: their packed factors and candidates stay in the second-level cache, and
    /// a block of items in the first-level one for all of them.
    private static let chunkSize = 128

    /// - Parameters:
    ///   - itemFactors: `[itemCount × factorCount]`, row-major.
    ///   - path: `byLength` costs nothing where it does not help: the work a block is the same.
    /// - Throws: `nonFiniteValue`; `countMismatch`; `outOfRange` for a factor count below 1.
    /// - Complexity: O(items × (factors + log items)); a copy of the factors is kept.
    package init(
        itemFactors: Span<Float>, itemCount: Int, factorCount: Int, path: Path = .byLength,
        kernels: KernelTable = .current
    ) throws(ModelError) {
        try Self.checkShape(
            itemFactors.count, rowCount: itemCount, factorCount, what: "product factors")
        let lengths = try Lengths.of(
            itemFactors, factorCount: factorCount, what: "product factors", threadCount: 1,
            kernels: kernels)
        self.itemCount = itemCount
        self.factorCount = factorCount
        longest = lengths.max() ?? 0
        items = TopItems(
            itemFactors, lengths: lengths, factorCount: factorCount,
            isByLength: path == .byLength, kernels: kernels)
    }

    package init(
        itemFactors: [Float], itemCount: Int, factorCount: Int, path: Path = .byLength
    ) throws(ModelError) {
        try self.init(
            itemFactors: itemFactors.span, itemCount: itemCount, factorCount: factorCount,
            path: path)
    }

    /// The best items of each query.
    /// - Parameters:
    ///   - count: entries an answer, at least 0; fewer where not enough items remain.
    ///   - queryFactors: `[queryCount × factorCount]`, row-major.
    ///   - excluding: per query the items that must not appear (as the rows of a purchases
    ///     matrix); nil excludes nothing.
    ///   - eligible: `[itemCount]`; nil: all items are.
    ///   - threadCount: at least 1; does not change the result.
    /// - Throws: `nonFiniteValue`; `countMismatch`; `outOfRange` where products of factors are too
    ///   large for single precision.
    /// - Complexity: O(queries × items × factors) at most.
    package func top(
        _ count: Int, queryFactors: Span<Float>, excluding: SparseMatrix? = nil,
        eligible: Bitmap? = nil, threadCount: Int, kernels: KernelTable = .current
    ) throws(ModelError) -> TopLists {
        precondition(count >= 0 && threadCount >= 1)
        let queryCount = queryFactors.count / factorCount
        try Self.checkShape(
            queryFactors.count, rowCount: queryCount, factorCount, what: "customer factors")
        try check(excluding, eligible, queryCount: queryCount)
        let lengths = try Lengths.of(
            queryFactors, factorCount: factorCount, what: "customer factors",
            threadCount: threadCount, kernels: kernels)
        try Lengths.checkProducts(lengths, with: longest)
        let width = min(count, itemCount)
        var entries = [Entry](repeating: .none, count: queryCount * width)
        if entries.isEmpty { return TopLists(queryCount: queryCount, width: width) }
        var items = items
        if let eligible, eligible.setCount < itemCount - itemCount / 4 {
            items = items.compacted(to: eligible)
        }
        let pass = TopPass(
            items: items, allowed: items.allowed(eligible), excluding: excluding, width: width)
        let chunkSize = min(Self.chunkSize, queryCount)
        let chunkCount = (queryCount + chunkSize - 1) / chunkSize
        var scratches = (0..<min(threadCount, chunkCount)).map { _ in
            TopPass.Scratch(pass, queryCapacity: chunkSize, factorCount: factorCount)
        }
        let f = factorCount
        parallelFill(
            &entries, rowWidth: width, chunkRows: chunkSize, scratches: &scratches
        ) { scratch, rows, slice in
            pass.answer(
                rows, queryFactors.extracting(rows.lowerBound * f..<rows.upperBound * f),
                lengths: lengths.span.extracting(rows), &scratch, into: &slice, kernels)
        }
        return TopLists(width: width, entries: entries, queryCount: queryCount)
    }

    package func top(
        _ count: Int, queryFactors: [Float], excluding: SparseMatrix? = nil,
        eligible: Bitmap? = nil, threadCount: Int, kernels: KernelTable = .current
    ) throws(ModelError) -> TopLists {
        try top(
            count, queryFactors: queryFactors.span, excluding: excluding, eligible: eligible,
            threadCount: threadCount, kernels: kernels)
    }

    /// Refuses queries that cannot be asked, so that a look-up need not.
    /// - Parameter factors: `[queryCount × factorCount]`, row-major.
    /// - Throws: `nonFiniteValue`; `countMismatch`; `outOfRange` where products of factors are too
    ///   large for single precision.
    package func checkQueries(
        _ factors: Span<Float>, threadCount: Int, kernels: KernelTable = .current
    ) throws(ModelError) {
        try Self.checkShape(
            factors.count, rowCount: factors.count / factorCount, factorCount,
            what: "customer factors")
        let lengths = try Lengths.of(
            factors, factorCount: factorCount, what: "customer factors", threadCount: threadCount,
            kernels: kernels)
        try Lengths.checkProducts(lengths, with: longest)
    }

    /// The best items of one query, at look-up time: the same bits as together with others.
    /// - Parameters:
    ///   - query: `[factorCount]`, one that `checkQueries` accepts.
    ///   - excluded: items that must not appear.
    package func top(
        _ count: Int, query: Span<Float>, excluding excluded: Span<Int32>,
        eligible: Bitmap? = nil, kernels: KernelTable = .current
    ) -> [Entry] {
        precondition(count >= 0 && query.count == factorCount)
        precondition(eligible.map { $0.count == itemCount } ?? true)
        let length = Lengths.length(query, kernels)
        precondition(Lengths.areSafe(length, longest), "a query that checkQueries refuses")
        let width = min(count, itemCount)
        if width == 0 { return [] }
        var allowed = items.allowed(eligible)
        for i in excluded.indices { items.forbid(excluded[i], &allowed, firstWord: 0) }
        if length == 0 {
            var first: [Entry] = []
            while first.count < width,
                let item = items.nextAllowed(
                    from: first.last.map { Int($0.item) + 1 } ?? 0, allowed, firstWord: 0)
            {
                first.append(Entry(item: Int32(item), score: 0))
            }
            return first
        }
        var candidates = TopCandidates(queryCapacity: 1, featureCount: factorCount, limit: width)
        candidates.begin(query, lengths: [length].span)
        candidates.collectOne(
            query, items.matrix, blockCount: items.blockCount, ids: items.ids,
            reaches: items.reaches, allowed: allowed, takesTies: items.isByLength,
            kernels: kernels)
        candidates.finish()
        return (0..<candidates.count(of: 0)).map { place in
            let entry = candidates.entry(0, place)
            return Entry(item: entry.id, score: entry.score)
        }
    }

    private func check(
        _ excluding: SparseMatrix?, _ eligible: Bitmap?, queryCount: Int
    ) throws(ModelError) {
        if let excluding {
            guard excluding.rowCount == queryCount else {
                throw .countMismatch(
                    what: "customers with exclusions", actual: excluding.rowCount,
                    expected: queryCount)
            }
            guard excluding.columnCount == itemCount else {
                throw .countMismatch(
                    what: "products of the exclusions", actual: excluding.columnCount,
                    expected: itemCount)
            }
        }
        if let eligible, eligible.count != itemCount {
            throw .countMismatch(
                what: "eligibility of products", actual: eligible.count, expected: itemCount)
        }
    }

    static func checkShape(
        _ valueCount: Int, rowCount: Int, _ factorCount: Int, what: String
    ) throws(ModelError) {
        guard factorCount >= 1 else {
            throw .outOfRange(
                what: "factorCount", actual: Double(factorCount), allowed: "at least 1")
        }
        guard valueCount == rowCount * factorCount else {
            throw .countMismatch(
                what: "values of \(what)", actual: valueCount,
                expected: max(rowCount, 1) * factorCount)
        }
    }
}
