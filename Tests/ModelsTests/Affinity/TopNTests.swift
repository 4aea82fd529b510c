import Models
import Numerical
import Testing

@Suite struct TopNTests {
    private func integers(_ count: Int, seed: UInt64) -> [Float] {
        var random = SeededRandom(seed: seed)
        return (0..<count).map { _ in Float(random.below(5)) - 2 }
    }

    /// Small integers: scores are exact and ties are many.
    private func bruteForce(
        _ count: Int, _ query: ArraySlice<Float>, _ items: [Float], _ f: Int,
        _ isAllowed: (Int) -> Bool
    ) -> [TopN.Entry] {
        let first = query.startIndex
        var scored: [TopN.Entry] = []
        for item in 0..<items.count / f where isAllowed(item) {
            var score: Float = 0
            for j in 0..<f { score += query[first + j] * items[item * f + j] }
            scored.append(TopN.Entry(item: Int32(item), score: score))
        }
        scored.sort { left, right in
            left.score == right.score ? left.item < right.item : left.score > right.score
        }
        return Array(scored.prefix(count))
    }

    @Test(arguments: [1, 3, 63, 64, 65, 130]) func equalsBruteForce(itemCount: Int) {
        for f in [1, 4, 17] {
            let (users, items) = (integers(70 * f, seed: 1), integers(itemCount * f, seed: 2))
            var random = SeededRandom(seed: 3)
            let excluded = SparseMatrix(
                rowCount: 70, columnCount: itemCount,
                rows: (0..<300).map { _ in Int32(random.below(70)) },
                columns: (0..<300).map { _ in Int32(random.below(itemCount)) },
                values: [Float](repeating: 1, count: 300))
            let eligible = (0..<itemCount).map { $0 % 3 != 1 }
            let top = TopN(itemFactors: items, itemCount: itemCount, factorCount: f)
            for count in [0, 1, 5, 200] {
                let plain = top.top(count, queryFactors: users, threadCount: 2)
                let filtered = top.top(
                    count, queryFactors: users, excluding: excluded, eligible: eligible,
                    threadCount: 1)
                for user in 0..<70 {
                    let query = users[user * f..<(user + 1) * f]
                    #expect(plain[user] == bruteForce(count, query, items, f) { _ in true })
                    let out = Set(excluded.columnIndices[excluded.entries(of: user)])
                    #expect(
                        filtered[user]
                            == bruteForce(count, query, items, f) {
                                eligible[$0] && !out.contains(Int32($0))
                            })
                }
            }
        }
    }

    @Test func levelsAgreeAndNothingIsEmpty() {
        let (users, items) = (integers(9 * 33, seed: 4), integers(100 * 33, seed: 5))
        let top = TopN(itemFactors: items, itemCount: 100, factorCount: 33)
        let expected = top.top(
            7, queryFactors: users, threadCount: 1, kernels: KernelTable(.scalar))
        for level in ISALevel.available {
            #expect(
                top.top(7, queryFactors: users, threadCount: 3, kernels: KernelTable(level))
                    == expected)
        }
        #expect(top.top(7, queryFactors: [], threadCount: 1).isEmpty)
        let none = TopN(itemFactors: [], itemCount: 0, factorCount: 33)
        #expect(none.top(7, queryFactors: Array(users[0..<33]), threadCount: 1) == [[]])
    }

    @Test func mostPopularCountsCustomers() {
        let purchases = SparseMatrix(
            rowCount: 3, columnCount: 5, rows: [0, 1, 2, 0, 1, 2, 2],
            columns: [3, 3, 1, 1, 0, 4, 2],
            values: [1, 1, 1, 1, 100, 1, 1])
        #expect(mostPopular(purchases, count: 3).map(\.item) == [1, 3, 0])
        #expect(mostPopular(purchases, count: 3).map(\.score) == [2, 2, 1])
        #expect(mostPopular(purchases, count: 9, excluding: [1, 4]).map(\.item) == [3, 0, 2])
        let eligible = [false, true, true, false, true]
        #expect(mostPopular(purchases, count: 9, eligible: eligible).map(\.item) == [1, 2, 4])
    }

    @Test func everythingExcludedMoreThanThereAreAndTies() {
        let items = TopN(itemFactors: [1, 1, 1, -2, 1], itemCount: 5, factorCount: 1)
        let all = SparseMatrix(
            rowCount: 2, columnCount: 5, rows: [0, 0, 0, 0, 0, 1], columns: [0, 1, 2, 3, 4, 1],
            values: [Float](repeating: 1, count: 6))
        let answers = items.top(
            .max, queryFactors: [1, 1], excluding: all, threadCount: 1)
        #expect(answers[0].isEmpty)
        #expect(answers[1].map(\.item) == [0, 2, 4, 3])
        #expect(
            items.top(
                3, queryFactors: [0], eligible: [Bool](repeating: false, count: 5), threadCount: 1
            ) == [[]])
        // Zero factors: every score ties at 0, the lowest indices win.
        #expect(items.top(2, queryFactors: [0], threadCount: 1)[0].map(\.item) == [0, 1])
        let none = TopN(itemFactors: [], itemCount: 0, factorCount: 3)
        #expect(none.top(4, queryFactors: [1, 2, 3], threadCount: 2) == [[]])
    }
}
