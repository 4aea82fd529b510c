import Numerical
import Testing

/// Every level beside the plain way: all scores, sorted, the first ones.
@Suite struct TopTests {
    private struct Found: Equatable {
        var ids: [Int32]
        var scores: [Float]

        func prefix(_ count: Int) -> Found {
            Found(ids: Array(ids.prefix(count)), scores: Array(scores.prefix(count)))
        }
    }

    /// Lengths that bound nothing: products of small integers stay far below.
    private func found(
        _ level: ISALevel, _ items: FeatureMatrix, ids: [Int32], _ queries: [Float], count: Int,
        limit: Int, allowed: [UInt64], stride: Int, takesTies: Bool, one: Bool = false,
        isExcluded: ((Int, Int32) -> Bool)? = nil
    ) -> [Found] {
        let lengths = [Float](repeating: 1e6, count: count)
        let reaches = [Float](repeating: .infinity, count: items.blockCount)
        var candidates = TopCandidates(
            queryCapacity: max(count, 1), featureCount: items.featureCount, limit: limit)
        candidates.begin(queries.span, lengths: lengths.span)
        if one {
            candidates.collectOne(
                queries.span, items, blockCount: items.blockCount, ids: ids, reaches: reaches,
                allowed: allowed, takesTies: takesTies, kernels: KernelTable(level),
                isExcluded: isExcluded)
        } else {
            candidates.collect(
                items, blockCount: items.blockCount, ids: ids, reaches: reaches,
                allowed: allowed, allowedStride: stride, takesTies: takesTies,
                kernels: KernelTable(level), isExcluded: isExcluded)
        }
        candidates.finish()
        return (0..<count).map { query in
            let entries = (0..<candidates.count(of: query)).map { candidates.entry(query, $0) }
            return Found(ids: entries.map(\.id), scores: entries.map(\.score))
        }
    }

    private func allSorted(
        _ items: FeatureMatrix, ids: [Int32], _ query: ArraySlice<Float>,
        _ isAllowed: (Int) -> Bool
    ) -> Found {
        var scored: [(id: Int32, score: Float)] = []
        for row in 0..<items.rowCount where isAllowed(row) {
            var score: Float = 0
            for (j, value) in query.enumerated() { score += value * items[row, j] }
            scored.append((ids[row], score))
        }
        scored.sort { $0.score == $1.score ? $0.id < $1.id : $0.score > $1.score }
        return Found(ids: scored.map(\.id), scores: scored.map(\.score))
    }

    @Test(arguments: sizes.filter { $0 > 0 }) func equalsTheSortedScores(d: Int) {
        for (rowCount, count) in [(1, 1), (64, 3), (65, 4), (130, 9), (63, 5)] {
            let items = FeatureMatrix(
                rowMajor: integers(rowCount * d, stream: d), rowCount: rowCount, featureCount: d)
            let queries = integers(count * d, stream: 100 + count)
            // Descending ids: a later item wins a tie.
            let ids = (0..<items.blockCount * 64).map { Int32(1000 - $0) }
            let blocks = items.blockCount
            var allowed = [UInt64](repeating: 0, count: count * blocks)
            for q in 0..<count {
                for row in 0..<rowCount where (row + q) % 5 != 0 {
                    allowed[q * blocks + row / 64] |= 1 << UInt64(row % 64)
                }
            }
            let expected = (0..<count).map { q in
                allSorted(items, ids: ids, queries[q * d..<(q + 1) * d]) { ($0 + q) % 5 != 0 }
            }
            for limit in [1, 2, 13, 70] {
                for level in ISALevel.available {
                    let found = found(
                        level, items, ids: ids, queries, count: count, limit: limit,
                        allowed: allowed, stride: blocks, takesTies: true)
                    #expect(
                        found == expected.map { $0.prefix(limit) },
                        "\(level) \(d) \(rowCount) \(limit)")
                }
            }
        }
    }

    /// Enough blocks for the first ones to be taken together; limits on both sides of each choice.
    @Test(arguments: [1, 10, 12, 13, 48, 49, 64]) func startsWithTheFirstBlocks(limit: Int) {
        let (d, rowCount, count) = (5, 40 * 64 - 7, 6)
        let items = FeatureMatrix(
            rowMajor: integers(rowCount * d, stream: 1, bound: 9), rowCount: rowCount,
            featureCount: d)
        let queries = integers(count * d, stream: 2, bound: 9)
        let ids = (0..<items.blockCount * 64).map { Int32($0) }
        for rare in [false, true] {
            // Rarely allowed: the first blocks hold fewer items than are asked for.
            func isAllowed(_ row: Int) -> Bool { rare ? row % 151 == 3 : row % 7 != 1 }
            var allowed = [UInt64](repeating: 0, count: items.blockCount)
            for row in 0..<rowCount where isAllowed(row) {
                allowed[row / 64] |= 1 << UInt64(row % 64)
            }
            let expected = (0..<count).map { q in
                allSorted(items, ids: ids, queries[q * d..<(q + 1) * d], isAllowed).prefix(limit)
            }
            for takesTies in [false, true] {
                for level in ISALevel.available {
                    let found = found(
                        level, items, ids: ids, queries, count: count, limit: limit,
                        allowed: allowed, stride: 0, takesTies: takesTies)
                    #expect(found == expected, "\(level) \(limit) \(rare) \(takesTies)")
                }
            }
        }
    }

    @Test(arguments: [1, 7, 33]) func oneQueryAndExclusionsOnDemand(d: Int) {
        let rowCount = 300
        let items = FeatureMatrix(
            rowMajor: integers(rowCount * d, stream: 3), rowCount: rowCount, featureCount: d)
        let queries = integers(2 * d, stream: 4)
        let ids = (0..<items.blockCount * 64).map { Int32($0) }
        let allowed = Bitmap(count: rowCount, repeating: true).words
        for level in ISALevel.available {
            let both = found(
                level, items, ids: ids, queries, count: 2, limit: 9, allowed: allowed, stride: 0,
                takesTies: false, isExcluded: { ($0 + Int($1)) % 2 == 0 })
            for q in 0..<2 {
                let query = queries[q * d..<(q + 1) * d]
                let expected = allSorted(items, ids: ids, query) { (q + $0) % 2 != 0 }.prefix(9)
                #expect(both[q] == expected)
                let alone = found(
                    level, items, ids: ids, Array(query), count: 1, limit: 9, allowed: allowed,
                    stride: 0, takesTies: false, one: true, isExcluded: { (q + Int($1)) % 2 == 0 })
                #expect(alone == [expected])
            }
        }
    }

    /// One query at a time or many: the same chain of products.
    @Test func scoresOfOneAndOfManyAreTheSameBits() {
        let (d, rowCount) = (37, 200)
        let items = FeatureMatrix(
            rowMajor: reals(rowCount * d, stream: 5), rowCount: rowCount, featureCount: d)
        let queries = reals(6 * d, stream: 6)
        let ids = (0..<items.blockCount * 64).map { Int32($0) }
        let allowed = Bitmap(count: rowCount, repeating: true).words
        for level in ISALevel.available {
            let all = found(
                level, items, ids: ids, queries, count: 6, limit: 20, allowed: allowed, stride: 0,
                takesTies: true)
            for q in 0..<6 {
                let alone = found(
                    level, items, ids: ids, Array(queries[q * d..<(q + 1) * d]), count: 1,
                    limit: 20, allowed: allowed, stride: 0, takesTies: true, one: true)
                #expect(alone[0] == all[q], "\(level)")
            }
        }
    }
}
