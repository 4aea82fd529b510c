import Models
import Numerical
import Testing

@Suite struct TopNTests {
    /// Groups of four queries that are not full, with words of allowed items for the others only.
    @Test(arguments: [1, 2, 3, 5, 6, 125]) func fewQueriesWithExclusions(queryCount: Int) throws {
        let (f, itemCount) = (3, 6_400)
        var random = SeededRandom(seed: 3, stream: 0)
        let items = (0..<itemCount * f).map { _ in Float(random.uniform() - 0.5) }
        let queries = (0..<queryCount * f).map { _ in Float(random.uniform() - 0.5) }
        let excluded = SparseMatrix(
            rowCount: queryCount, columnCount: itemCount, rows: (0..<queryCount).map { Int32($0) },
            columns: (0..<queryCount).map { Int32($0 * 7) },
            values: [Float](repeating: 1, count: queryCount))
        for level in ISALevel.available {
            let top = try TopN(
                itemFactors: items, itemCount: itemCount, factorCount: f, path: .scan)
            let lists = try top.top(
                60, queryFactors: queries, excluding: excluded, threadCount: 1,
                kernels: KernelTable(level))
            for query in 0..<queryCount {
                #expect(lists.count(of: query) == 60)
                #expect(!lists[query].contains { $0.item == Int32(query * 7) })
            }
        }
    }

    /// Lengths whose squares overflow together, while no product of factors does.
    @Test func streamsAcceptWhatPreparedItemsDo() throws {
        let customers: [Float] = [2e19, 1e19]
        let top = try TopN(itemFactors: [1e-10], itemCount: 1, factorCount: 1)
        try top.checkQueries(customers.span, threadCount: 1)
        let query: [Float] = [1e-10]
        let lists = try TopStream.top(
            1, queryFactors: query.span, itemFactors: customers.span, factorCount: 1,
            threadCount: 1)
        #expect(lists[0].map(\.item) == [0])
    }

    private func integers(_ count: Int, seed: UInt64) -> [Float] {
        var random = SeededRandom(seed: seed)
        return (0..<count).map { _ in Float(random.below(5)) - 2 }
    }

    /// Rows of very different lengths, as factors of products that sell unequally.
    private func factors(_ rowCount: Int, _ f: Int, seed: UInt64) -> [Float] {
        var random = SeededRandom(seed: seed)
        return (0..<rowCount).flatMap { row in
            let scale = Float(1 / Double(1 + (row * 7919) % rowCount))
            return (0..<f).map { _ in scale * Float(random.uniform() * 2 - 0.7) }
        }
    }

    private func exclusions(_ rowCount: Int, _ itemCount: Int, entries: Int) -> SparseMatrix {
        var random = SeededRandom(seed: 3)
        return SparseMatrix(
            rowCount: rowCount, columnCount: itemCount,
            rows: (0..<entries).map { _ in Int32(random.below(rowCount)) },
            columns: (0..<entries).map { _ in Int32(random.below(itemCount)) },
            values: [Float](repeating: 1, count: entries))
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
        scored.sort { $0.isBefore($1) }
        return Array(scored.prefix(count))
    }

    @Test(arguments: [1, 3, 63, 64, 65, 130]) func equalsBruteForce(itemCount: Int) throws {
        for f in [1, 4, 17] {
            let (users, items) = (integers(70 * f, seed: 1), integers(itemCount * f, seed: 2))
            let excluded = exclusions(70, itemCount, entries: 300)
            let eligible = Bitmap((0..<itemCount).map { $0 % 3 != 1 })
            for path in TopN.Path.allCases {
                let top = try TopN(
                    itemFactors: items, itemCount: itemCount, factorCount: f, path: path)
                for count in [0, 1, 5, 200] {
                    let plain = try top.top(count, queryFactors: users, threadCount: 2)
                    let filtered = try top.top(
                        count, queryFactors: users, excluding: excluded, eligible: eligible,
                        threadCount: 1)
                    for user in 0..<70 {
                        let query = users[user * f..<(user + 1) * f]
                        #expect(
                            Array(plain[user]) == bruteForce(count, query, items, f) { _ in true })
                        let out = Set(excluded.columnIndices[excluded.entries(of: user)])
                        let expected = bruteForce(count, query, items, f) {
                            eligible[$0] && !out.contains(Int32($0))
                        }
                        #expect(Array(filtered[user]) == expected)
                        let columns = excluded.columnIndices
                        let alone = top.top(
                            count, query: Array(query).span,
                            excluding: columns.span.extracting(excluded.entries(of: user)),
                            eligible: eligible)
                        #expect(alone == expected)
                    }
                }
            }
        }
    }

    /// Every way to the answer, bit for bit: both paths, one and several threads, one query at a
    /// time, streamed items, few and many eligible ones.
    @Test(arguments: [1, 10, 40, 100]) func allWaysGiveTheSameBits(count: Int) throws {
        let (f, itemCount, userCount) = (19, 2500, 150)
        let items = factors(itemCount, f, seed: 8)
        var users = factors(userCount, f, seed: 9)
        for j in 0..<f { users[7 * f + j] = 0 }
        let excluded = exclusions(userCount, itemCount, entries: 5000)
        let scan = try TopN(
            itemFactors: items, itemCount: itemCount, factorCount: f, path: .scan)
        let byLength = try TopN(itemFactors: items, itemCount: itemCount, factorCount: f)
        let columns = excluded.columnIndices
        for eligible in [
            nil, Bitmap((0..<itemCount).map { $0 % 9 != 1 }),
            Bitmap((0..<itemCount).map { $0 % 9 == 1 }), Bitmap(count: itemCount),
        ] {
            let expected = try scan.top(
                count, queryFactors: users, excluding: excluded, eligible: eligible,
                threadCount: 1)
            #expect(
                try byLength.top(
                    count, queryFactors: users, excluding: excluded, eligible: eligible,
                    threadCount: 3) == expected)
            let streamed = try TopStream.top(
                count, queryFactors: users.span, itemFactors: items.span, factorCount: f,
                eligible: eligible, threadCount: 2
            ) { user, item in
                columns[excluded.entries(of: user)].contains(item)
            }
            #expect(streamed == expected)
            for user in 0..<userCount {
                let alone = byLength.top(
                    count, query: users.span.extracting(user * f..<(user + 1) * f),
                    excluding: columns.span.extracting(excluded.entries(of: user)),
                    eligible: eligible)
                #expect(alone == Array(expected[user]))
            }
        }
    }

    /// The ids of a reference in double precision wherever scores differ by more than rounding.
    @Test func agreesWithDoublePrecision() throws {
        let (f, itemCount, userCount) = (64, 2200, 40)
        var random = SeededRandom(seed: 21)
        let items = (0..<itemCount * f).map { _ in Float(random.uniform() - 0.5) }
        let users = (0..<userCount * f).map { _ in Float(random.uniform() - 0.5) }
        let top = try TopN(itemFactors: items, itemCount: itemCount, factorCount: f)
            .top(10, queryFactors: users, threadCount: 2)
        for user in 0..<userCount {
            let exact = (0..<itemCount).map { item in
                (0..<f).reduce(0.0) {
                    $0 + Double(users[user * f + $1]) * Double(items[item * f + $1])
                }
            }
            let order = exact.indices.sorted { (exact[$0], $1) > (exact[$1], $0) }
            for place in 0..<10 {
                let entry = top[user, place]
                let item = Int(entry?.item ?? -1)
                // 64 products of at most 1/4, each sum rounded once.
                let tolerance = 64 * 16 * 0x1p-24
                #expect(abs(exact[item] - exact[order[place]]) < tolerance)
                #expect(abs(Double(entry?.score ?? .nan) - exact[item]) < tolerance)
            }
        }
    }

    @Test func levelsAgreeAndNothingIsEmpty() throws {
        let (users, items) = (integers(9 * 33, seed: 4), integers(100 * 33, seed: 5))
        let top = try TopN(itemFactors: items, itemCount: 100, factorCount: 33)
        let expected = try top.top(
            7, queryFactors: users, threadCount: 1, kernels: KernelTable(.scalar))
        for level in ISALevel.available {
            #expect(
                try top.top(7, queryFactors: users, threadCount: 3, kernels: KernelTable(level))
                    == expected)
        }
        #expect(try top.top(7, queryFactors: [], threadCount: 1).queryCount == 0)
        let none = try TopN(itemFactors: [], itemCount: 0, factorCount: 33)
        let empty = try none.top(7, queryFactors: Array(users[0..<33]), threadCount: 1)
        #expect(empty.queryCount == 1 && empty[0].isEmpty)
    }

    @Test func listsAreFlat() throws {
        let top = try TopN(itemFactors: [1, 3, 2], itemCount: 3, factorCount: 1)
        var lists = try top.top(
            2, queryFactors: [1, -1, 0], eligible: Bitmap([true, false, true]), threadCount: 1)
        #expect(lists.items == [2, 0, 0, 2, 0, 2])
        #expect(lists.scores == [2, 1, -1, -2, 0, 0])
        lists.clear(0)
        #expect(lists.count(of: 0) == 0 && lists[0, 0] == nil && lists.largestCount == 2)
        #expect(lists[1, 1] == TopN.Entry(item: 2, score: -2))
        let few = try top.top(
            3, queryFactors: [1], eligible: Bitmap([true, false, false]), threadCount: 1)
        #expect(few.items == [0, -1, -1] && few.scores == [1, 0, 0] && few.count(of: 0) == 1)
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

    @Test(arguments: TopN.Path.allCases)
    func everythingExcludedMoreThanThereAreAndTies(path: TopN.Path) throws {
        let items = try TopN(
            itemFactors: [1, 1, 1, -2, 1], itemCount: 5, factorCount: 1, path: path)
        let all = SparseMatrix(
            rowCount: 2, columnCount: 5, rows: [0, 0, 0, 0, 0, 1], columns: [0, 1, 2, 3, 4, 1],
            values: [Float](repeating: 1, count: 6))
        let answers = try items.top(
            .max, queryFactors: [1, 1], excluding: all, threadCount: 1)
        #expect(answers[0].isEmpty)
        #expect(answers[1].map(\.item) == [0, 2, 4, 3])
        let nothing = try items.top(
            3, queryFactors: [0], eligible: Bitmap(count: 5), threadCount: 1)
        #expect(nothing[0].isEmpty)
        // Zero factors: every score ties at 0, the lowest indices win.
        #expect(try items.top(2, queryFactors: [0], threadCount: 1)[0].map(\.item) == [0, 1])
        let none = try TopN(itemFactors: [], itemCount: 0, factorCount: 3, path: path)
        #expect(try none.top(4, queryFactors: [1, 2, 3], threadCount: 2)[0].isEmpty)
    }

    /// Factors so small or so large that a careless bound or sum would leave single precision.
    @Test func extremeFactors() throws {
        let tiny: [Float] = [1e-30, 3e-30, -2e-30, 1e-38, 0]
        for path in TopN.Path.allCases {
            let top = try TopN(itemFactors: tiny, itemCount: 5, factorCount: 1, path: path)
            let lists = try top.top(2, queryFactors: [1e-30, 1e30, 1e-10], threadCount: 1)
            // 1e-60 is 0 in single precision: everything ties.
            #expect(lists[0].map(\.item) == [0, 1] && lists[0].map(\.score) == [0, 0])
            #expect(lists[1].map(\.item) == [1, 0] && lists[2].map(\.item) == [1, 0])
        }
        let large = try TopN(itemFactors: [1e30, -1e30], itemCount: 2, factorCount: 1)
        #expect(try large.top(1, queryFactors: [1e7], threadCount: 1)[0].map(\.item) == [0])
        #expect(throws: ModelError.self) {
            try large.top(1, queryFactors: [1e9], threadCount: 1)
        }
    }

    @Test func badInputIsRefused() throws {
        #expect(throws: ModelError.nonFiniteValue(what: "product factors", row: 1, column: 0)) {
            try TopN(itemFactors: [1, 2, .nan, 3], itemCount: 2, factorCount: 2)
        }
        #expect(throws: ModelError.self) {
            try TopN(itemFactors: [1, 2, 3], itemCount: 2, factorCount: 2)
        }
        #expect(throws: ModelError.self) { try TopN(itemFactors: [], itemCount: 0, factorCount: 0) }
        let top = try TopN(itemFactors: [1, 2, 4, 3], itemCount: 2, factorCount: 2)
        #expect(throws: ModelError.nonFiniteValue(what: "customer factors", row: 2, column: 1)) {
            try top.top(1, queryFactors: [0, 0, 1, 1, 0, .infinity], threadCount: 2)
        }
        #expect(throws: ModelError.self) {
            try top.checkQueries([1, -.infinity].span, threadCount: 1)
        }
        #expect(throws: ModelError.self) { try top.top(1, queryFactors: [1], threadCount: 1) }
        #expect(throws: ModelError.self) {
            try top.top(1, queryFactors: [1, 1], eligible: Bitmap(count: 3), threadCount: 1)
        }
        #expect(throws: ModelError.self) {
            try top.top(
                1, queryFactors: [1, 1],
                excluding: SparseMatrix(
                    rowCount: 1, columnCount: 3, rows: [], columns: [], values: []),
                threadCount: 1)
        }
        var customers = [Float](repeating: 1, count: 5000 * 2)
        customers[2 * 3000 + 1] = .nan
        #expect(throws: ModelError.nonFiniteValue(what: "customer factors", row: 3000, column: 1)) {
            try TopStream.top(
                1, queryFactors: [1, 1].span, itemFactors: customers.span, factorCount: 2,
                threadCount: 2)
        }
    }
}
