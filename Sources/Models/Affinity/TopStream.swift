package import Numerical

/// The best of very many items for a few queries: the best customers of products. Reads the items'
/// factors once where they lie, a chunk at a time; memory is O(queries × count) a thread.
///
/// The same answers and the same bits as `TopN` with the same factors.
package enum TopStream {
    /// Items of a chunk: packed, they stay in the second-level cache for all queries.
    private static let chunkSize = 1024

    /// - Parameters:
    ///   - count: entries an answer, at least 0; fewer where not enough items remain.
    ///   - queryFactors: `[queryCount × factorCount]`, row-major.
    ///   - itemFactors: `[itemCount × factorCount]`, row-major.
    ///   - eligible: `[itemCount]`; nil: all items are.
    ///   - isExcluded: whether an item must not appear in a query's answer; asked of the few items
    ///     that would enter it, from any thread.
    ///   - threadCount: at least 1; does not change the result.
    /// - Throws: `nonFiniteValue`; `countMismatch`; `outOfRange` where products of factors are too
    ///   large for single precision.
    /// - Complexity: O(queries × items × factors).
    package static func top(
        _ count: Int, queryFactors: Span<Float>, itemFactors: Span<Float>, factorCount: Int,
        eligible: Bitmap? = nil, threadCount: Int, kernels: KernelTable = .current,
        isExcluded: (@Sendable (_ query: Int, _ item: Int32) -> Bool)? = nil
    ) throws(ModelError) -> TopLists {
        precondition(count >= 0 && threadCount >= 1)
        let f = factorCount
        try TopN.checkShape(
            queryFactors.count, rowCount: queryFactors.count / max(f, 1), f,
            what: "product factors")
        try TopN.checkShape(
            itemFactors.count, rowCount: itemFactors.count / f, f, what: "customer factors")
        let (queryCount, itemCount) = (queryFactors.count / f, itemFactors.count / f)
        if let eligible, eligible.count != itemCount {
            throw .countMismatch(
                what: "eligibility of customers", actual: eligible.count, expected: itemCount)
        }
        let lengths = try Lengths.of(
            queryFactors, factorCount: f, what: "product factors", threadCount: 1,
            kernels: kernels)
        let longest = lengths.max() ?? 0
        let width = min(count, itemCount)
        if width == 0 || queryCount == 0 { return TopLists(queryCount: queryCount, width: width) }
        let chunkCount = (itemCount + chunkSize - 1) / chunkSize
        var scratches = (0..<min(threadCount, chunkCount)).map { _ in
            Scratch(queryFactors, lengths: lengths.span, factorCount: f, limit: width)
        }
        parallelFor(count: itemCount, chunkSize: chunkSize, scratches: &scratches) {
            scratch, _, rows in
            let values = itemFactors.extracting(rows.lowerBound * f..<rows.upperBound * f)
            guard isSafe(values, f, longest, kernels) else {
                scratch.firstUnsafeRow = min(scratch.firstUnsafeRow, rows.lowerBound)
                return
            }
            scratch.meet(
                values, rows, queryFactors, eligible: eligible, kernels, isExcluded)
        }
        let unsafeRow = scratches.map(\.firstUnsafeRow).min() ?? .max
        if unsafeRow < itemCount {
            try refuse(itemFactors, from: unsafeRow, f, longest, kernels)
        }
        var lists = merged(&scratches, queryCount: queryCount, width: width)
        for q in 0..<queryCount where lengths[q] == 0 {
            // Every item scores 0: the first ones.
            var place = q * width
            for item in 0..<itemCount where place < (q + 1) * width {
                if !(eligible?[item] ?? true) || isExcluded?(q, Int32(item)) ?? false { continue }
                lists[place] = TopN.Entry(item: Int32(item), score: 0)
                place += 1
            }
        }
        return TopLists(width: width, entries: lists, queryCount: queryCount)
    }

    /// The memory of a thread. What it keeps from chunk to chunk is the best of the chunks that it
    /// met; the best of all threads do not depend on who met which.
    private struct Scratch: Sendable {
        var candidates: TopCandidates
        var block: FeatureMatrix
        var ids: [Int32]
        var allowed: [UInt64]
        let reaches: [Float]
        /// The first row of a chunk that cannot be scored.
        var firstUnsafeRow = Int.max

        init(_ queries: Span<Float>, lengths: Span<Float>, factorCount: Int, limit: Int) {
            candidates = TopCandidates(
                queryCapacity: lengths.count, featureCount: factorCount, limit: limit)
            candidates.begin(queries, lengths: lengths)
            block = FeatureMatrix(rowCount: TopStream.chunkSize, featureCount: factorCount)
            ids = [Int32](repeating: 0, count: TopStream.chunkSize)
            allowed = [UInt64](repeating: 0, count: block.blockCount)
            reaches = [Float](repeating: .infinity, count: block.blockCount)
        }

        mutating func meet(
            _ values: Span<Float>, _ rows: Range<Int>, _ queries: Span<Float>, eligible: Bitmap?,
            _ kernels: KernelTable, _ isExcluded: (@Sendable (Int, Int32) -> Bool)?
        ) {
            let size = FeatureMatrix.blockRowCount
            let blockCount = (rows.count + size - 1) / size
            block.pack(values, kernels: kernels)
            for i in 0..<rows.count { ids[i] = Int32(rows.lowerBound + i) }
            for b in 0..<blockCount {
                // Chunks start at a word of the bitmap.
                let full = UInt64.max >> UInt64(max(0, size * (b + 1) - rows.count))
                allowed[b] = full & (eligible?.words[rows.lowerBound / size + b] ?? .max)
            }
            if candidates.queryCount == 1 {
                candidates.collectOne(
                    queries, block, blockCount: blockCount, ids: ids, reaches: reaches,
                    allowed: allowed, takesTies: false, kernels: kernels, isExcluded: isExcluded)
            } else {
                candidates.collect(
                    block, blockCount: blockCount, ids: ids, reaches: reaches,
                    allowed: allowed, allowedStride: 0, takesTies: false, kernels: kernels,
                    isExcluded: isExcluded)
            }
        }
    }

    private static func merged(
        _ scratches: inout [Scratch], queryCount: Int, width: Int
    ) -> [TopN.Entry] {
        for i in scratches.indices { scratches[i].candidates.finish() }
        var entries = [TopN.Entry](repeating: .none, count: queryCount * width)
        for q in 0..<queryCount {
            // Every thread's list is in order: the best of their first ones, again and again.
            var next = [Int](repeating: 0, count: scratches.count)
            for place in q * width..<(q + 1) * width {
                var best: (thread: Int, entry: TopN.Entry)?
                for thread in scratches.indices {
                    let candidates = scratches[thread].candidates
                    guard next[thread] < candidates.count(of: q) else { continue }
                    let (id, score) = candidates.entry(q, next[thread])
                    let entry = TopN.Entry(item: id, score: score)
                    if best.map({ entry.isBefore($0.entry) }) ?? true { best = (thread, entry) }
                }
                guard let best else { break }
                entries[place] = best.entry
                next[best.thread] += 1
            }
        }
        return entries
    }

    /// Whether all values of a chunk are finite and too small for a sum of products to overflow.
    private static func isSafe(
        _ values: Span<Float>, _ f: Int, _ longest: Float, _ kernels: KernelTable
    ) -> Bool {
        // All rows as one, which is longer than each: most chunks are safe by far.
        if Double(kernels.dot(values, values)).squareRoot() * 1.01 * Double(longest) < 1e38 {
            return true
        }
        return (0..<values.count / f).allSatisfy { row in
            let length = Lengths.length(values.extracting(row * f..<(row + 1) * f), kernels)
            return length.isFinite && Lengths.areSafe(length, longest)
        }
    }

    /// Finds what is wrong with a chunk that `isSafe` refuses.
    private static func refuse(
        _ factors: Span<Float>, from first: Int, _ f: Int, _ longest: Float,
        _ kernels: KernelTable
    ) throws(ModelError) {
        let lengths = try Lengths.of(
            factors, factorCount: f, what: "customer factors", threadCount: 1, kernels: kernels)
        try Lengths.checkProducts(lengths, with: longest)
        preconditionFailure("a row from \(first) on is not safe")
    }
}
