import Foundation
import Models
import Numerical
import TestSupport
import Testing

@Suite struct AffinityHybridTests {
    private static func baskets(
        _ customers: [[[Int32]]], itemCount: Int, days: [Int32]? = nil
    ) throws -> PurchaseBaskets {
        var (offsets, ends, items) = ([0], [0], [Int32]())
        for baskets in customers {
            for basket in baskets {
                items += basket
                ends.append(items.count)
            }
            offsets.append(ends.count - 1)
        }
        return try PurchaseBaskets(
            itemCount: itemCount, customerOffsets: offsets, basketOffsets: ends, items: items,
            days: days)
    }

    @Test func splitsAndCounts() throws {
        let baskets = try Self.baskets(
            [[[0, 2], [2], [1, 2]], [[1]], [], [[0], [0, 1]]], itemCount: 3)
        #expect(baskets.counts.values == [1, 1, 3, 1, 2, 1])
        #expect(baskets.counts.columnIndices == [0, 1, 2, 1, 0, 1])
        let (before, last) = baskets.splitBeforeLast()
        #expect(before.customerOffsets == [0, 2, 3, 3, 4])
        #expect(before.items == [0, 2, 2, 1, 0])
        #expect(last.rowOffsets == [0, 2, 2, 2, 4])
        #expect(last.columnIndices == [1, 2, 0, 1])
        #expect(baskets.days == [0, 1, 2, 0, 0, 1])
        let (early, late) = baskets.split(onDay: 1)
        #expect(early.items == [0, 2, 1, 0])
        #expect(late.values == [1, 2, 1, 1])
        #expect(baskets.selecting([3, 0]).items == [0, 0, 1, 0, 2, 2, 1, 2])
        #expect(throws: ModelError.self) { try Self.baskets([[[1, 1]]], itemCount: 3) }
        #expect(throws: ModelError.self) { try Self.baskets([[[3]]], itemCount: 3) }
        #expect(throws: ModelError.self) {
            try Self.baskets([[[0], [1]]], itemCount: 3, days: [4, 3])
        }
        #expect(throws: ModelError.self) {
            try PurchaseBaskets(
                itemCount: 1, customerOffsets: [], basketOffsets: [], items: [])
        }
    }

    /// Worked by hand: half-life 1, baskets of weight 1/4, 1/2 and 1.
    @Test func repeatsAreTheBetaBinomialPosterior() throws {
        let baskets = try Self.baskets([[[0, 1], [0], [2]], [[1], [1]]], itemCount: 3)
        let fitted = try RepeatPurchase.fit(
            baskets, .init(halfLife: 1, priorCount: 2, ratePriorCount: 3))
        // Product 0: two later baskets, one with it; product 1: two and one; product 2: none.
        #expect((fitted.repeatCount, fitted.opportunityCount) == (2, 5))
        let overall = 0.4
        let expectedRates: [Double] = [
            (1 + 3 * overall) / 5, (1 + 3 * overall) / 6, 3 * overall / 3,
        ]
        #expect(fitted.rates == expectedRates)
        let scores = try fitted.scores(baskets, threadCount: 2)
        #expect(scores.columnIndices == [0, 1, 2, 1])
        let (first, second, third) = (fitted.rates[0], fitted.rates[1], fitted.rates[2])
        let expected: [Double] = [
            (0.5 + 2 * first) / 3.5, 2 * second / 3.5, third, (1 + 2 * second) / 3,
        ]
        for (actual, expected) in zip(scores.values, expected) {
            #expect(abs(Double(actual) - expected) < 1e-6)
        }
        // A day later everything weighs half.
        let later = try fitted.scores(baskets, asOf: 3, threadCount: 1)
        let halved: Double = (0.25 + 2 * fitted.rates[0]) / 2.75
        #expect(abs(Double(later.values[0]) - halved) < 1e-6)
        #expect(throws: ModelError.self) { try fitted.scores(baskets, asOf: 1, threadCount: 1) }
        #expect(throws: ModelError.self) { try RepeatPurchase.fit(baskets, .init(halfLife: 0)) }
        #expect(throws: ModelError.noRows(model: "repeat purchase")) {
            try RepeatPurchase.fit(Self.baskets([], itemCount: 3))
        }
    }

    /// One basket after the other, each going on from the scores of those before, against all at once:
    /// days apart, the same day, products bought before and new ones.
    @Test(arguments: [1.5, 30, 1e9]) func aBasketMoreGoesOnFromTheScores(
        halfLife: Double
    ) throws {
        var random = SeededRandom(seed: 5)
        var customer: [[Int32]] = []
        var days: [Int32] = []
        for basket in 0..<12 {
            customer.append((0..<Int32(9)).filter { _ in random.below(3) == 0 })
            days.append((days.last ?? 100) + Int32(basket % 4 == 0 ? 0 : random.below(20)))
        }
        let fitted = try RepeatPurchase.fit(
            try Self.baskets([customer], itemCount: 9, days: days),
            .init(halfLife: halfLife, priorCount: 4, ratePriorCount: 3))
        var known: [Int32: (score: Float, opportunities: Float)] = [:]
        var checked = 0
        for count in 1...customer.count {
            let before = count > 1 ? days[count - 2] : days[0]
            var next: [Int32: Double] = [:]
            for item in Set(known.keys).union(customer[count - 1]) {
                let own = known[item]
                next[item] = fitted.parameters.score(
                    afterBasket: Double(own?.score ?? 0),
                    opportunities: own.map { Double($0.opportunities) },
                    rate: fitted.rates[Int(item)], days: Int(days[count - 1] - before),
                    isInBasket: customer[count - 1].contains(item))
            }
            let all = try fitted.continuedScores(
                Self.baskets(
                    [Array(customer.prefix(count))], itemCount: 9,
                    days: Array(days.prefix(count))), threadCount: 1)
            #expect(all.scores.columnIndices == next.keys.sorted())
            #expect(all.opportunities.count == all.scores.valueCount)
            known = [:]
            for (i, item) in all.scores.columnIndices.enumerated() {
                let went = try #require(next[item])
                #expect(abs(Double(all.scores.values[i]) - went) < 1e-5, "basket \(count)")
                known[item] = (all.scores.values[i], all.opportunities[i])
                checked += 1
            }
        }
        #expect(checked > 60)
        // Scores that no history gives stay probabilities.
        for wrong in [-9.0, 1e30, 0.2] {
            let score = fitted.parameters.score(
                afterBasket: wrong, opportunities: 3, rate: 0.5, days: -4, isInBasket: true)
            #expect((0...1).contains(score))
        }
    }

    /// The sums of all items, sorted, against the pass that scores only those with an addition.
    @Test(arguments: [0, 1, 7, 33, 200]) func additionsAreExact(itemCount: Int) throws {
        let (f, queryCount) = (5, 37)
        var random = SeededRandom(seed: 11, stream: UInt64(itemCount))
        func draw(_ count: Int) -> [Float] {
            (0..<count).map { _ in Float(random.below(9)) - 4 }
        }
        let (items, queries) = (draw(itemCount * f), draw(queryCount * f))
        var rows: [Int32] = []
        var columns: [Int32] = []
        for row in 0..<queryCount {
            for item in 0..<itemCount where random.below(4) == 0 {
                rows.append(Int32(row))
                columns.append(Int32(item))
            }
        }
        let additions = SparseMatrix(
            rowCount: queryCount, columnCount: itemCount, rows: rows, columns: columns,
            values: rows.map { _ in Float(random.below(40)) - 10 })
        var eligible = Bitmap(count: itemCount, repeating: true)
        for item in stride(from: 0, to: itemCount, by: 5) { eligible[item] = false }
        let top = try TopN(itemFactors: items, itemCount: itemCount, factorCount: f)
        for mask in [nil, eligible] {
            let lists = try top.top(
                9, queryFactors: queries, itemFactors: items, adding: additions,
                additionWeight: 0.5, eligible: mask, threadCount: 2)
            for query in 0..<queryCount {
                var all: [TopN.Entry] = []
                for item in 0..<itemCount where mask?[item] ?? true {
                    var score: Float = 0
                    for j in 0..<f { score += queries[query * f + j] * items[item * f + j] }
                    for i in additions.entries(of: query)
                    where additions.columnIndices[i] == Int32(item) {
                        score += 0.5 * additions.values[i]
                    }
                    all.append(TopN.Entry(item: Int32(item), score: score))
                }
                all.sort { $0.isBefore($1) }
                #expect(Array(lists[query]) == Array(all.prefix(9)))
            }
        }
    }

    /// Half of the products come back in every third basket of who has them, half never do;
    /// customers like one of four groups of products.
    private static func planted(customerCount: Int, seed: UInt64) throws -> PurchaseBaskets {
        let itemCount = 200
        var customers: [[[Int32]]] = []
        for customer in 0..<customerCount {
            var random = SeededRandom(seed: seed, stream: UInt64(customer))
            let group = customer % 4
            var owned: Set<Int32> = []
            var baskets: [[Int32]] = []
            for _ in 0..<(2 + random.below(8)) {
                var basket = owned.sorted().filter { $0 % 2 == 0 && random.below(3) == 0 }
                for _ in 0..<2 {
                    let own = random.below(4) > 0
                    let item = Int32(own ? group * 50 + random.below(50) : random.below(200))
                    if !basket.contains(item) { basket.append(item) }
                }
                owned.formUnion(basket)
                baskets.append(basket.sorted())
            }
            customers.append(baskets)
        }
        return try Self.baskets(customers, itemCount: itemCount)
    }

    @Test func hybridBeatsItsParts() throws {
        let baskets = try Self.planted(customerCount: 1_500, seed: 5)
        let (before, last) = baskets.splitBeforeLast()
        let settings = ImplicitALS.Parameters(factorCount: 8, iterations: 4, threadCount: 2)
        var parameters = AffinityHybrid.Parameters()
        (parameters.sampleCount, parameters.threadCount) = (500, 2)
        let fitted = try ImplicitALS.fit(before.counts, settings)
        let hybrid = try AffinityHybrid.fit(before, factors: settings, parameters)
        parameters.threadCount = 1
        #expect(try AffinityHybrid.fit(before, factors: settings, parameters) == hybrid)
        // What was planted: even products come back, odd ones do not.
        func meanRate(_ first: Int) -> Double {
            let rates = stride(from: first, to: 200, by: 2).map { hybrid.repeats.rates[$0] }
            return rates.reduce(0, +) / Double(rates.count)
        }
        let (even, odd) = (meanRate(0), meanRate(1))
        #expect(abs(even - 1.0 / 3) < 0.04)
        #expect(odd < 0.06)
        func ndcg(_ lists: TopLists) -> Double {
            var means = RankingMeans(k: 10)
            for row in 0..<last.rowCount {
                means.add(
                    lists[row].map(\.item),
                    relevant: Set(last.columnIndices[last.entries(of: row)]))
            }
            return means.summary.ndcg
        }
        let lists = try hybrid.top(
            10, customerFactors: fitted.userFactors, itemFactors: fitted.itemFactors,
            factorCount: 8, baskets: before, threadCount: 2)
        let factors = try TopN(
            itemFactors: fitted.itemFactors, itemCount: 200, factorCount: 8
        ).top(10, queryFactors: fitted.userFactors, threadCount: 2)
        let personal = try TopLists.personal(before.counts, count: 10, threadCount: 2)
        let popular = try TopLists.popular(before.counts, count: 10)
        #expect(ndcg(lists) > 1.02 * ndcg(personal))
        #expect(ndcg(lists) > 1.3 * ndcg(factors))
        #expect(ndcg(personal) > 2 * ndcg(popular))
        let decoded = try JSONDecoder().decode(
            AffinityHybrid.self, from: JSONEncoder().encode(hybrid))
        #expect(decoded == hybrid)
    }

    @Test func newProductsOnly() throws {
        let baskets = try Self.planted(customerCount: 400, seed: 6)
        let (before, _) = baskets.splitBeforeLast()
        let settings = ImplicitALS.Parameters(factorCount: 4, iterations: 3)
        var parameters = AffinityHybrid.Parameters()
        parameters.excludesPurchased = true
        let hybrid = try AffinityHybrid.fit(before, factors: settings, parameters)
        #expect(hybrid.factorWeight > 0)
        let fitted = try ImplicitALS.fit(before.counts, settings)
        let lists = try hybrid.top(
            10, customerFactors: fitted.userFactors, itemFactors: fitted.itemFactors,
            factorCount: 4, baskets: before, threadCount: 1)
        let counts = before.counts
        for row in 0..<counts.rowCount {
            let bought = Set(counts.columnIndices[counts.entries(of: row)])
            #expect(lists.count(of: row) == 10)
            #expect(lists[row].allSatisfy { !bought.contains($0.item) })
        }
        let popular = try TopLists.popular(counts, count: 10, excluding: counts)
        let own = Set(counts.columnIndices[counts.entries(of: 7)])
        #expect(popular[7].allSatisfy { !own.contains($0.item) })
        let lonely = try Self.baskets([[[0]], [[1]]], itemCount: 2)
        #expect(throws: ModelError.self) {
            try AffinityHybrid.fit(lonely, factors: settings, parameters)
        }
    }

    /// The last basket of every customer of the history file.
    @Test(.enabled(if: TestData.file("tafeng/tafeng_history.json") != nil))
    func beatsTopFrequencyOnTaFeng() throws {
        let file = try #require(TestData.file("tafeng/tafeng_history.json"))
        let history = try JSONDecoder().decode(
            [String: [[Int32]]].self, from: Data(contentsOf: file))
        let customers = history.keys.compactMap { Int($0) }.sorted().map { key in
            (history[String(key)] ?? []).map { Set($0).subtracting([-1]).sorted() }
                .filter { !$0.isEmpty }
        }
        #expect(customers.count == 13_858)
        let itemCount = 1 + Int(customers.joined().joined().max() ?? 0)
        let baskets = try Self.baskets(customers, itemCount: itemCount)
        #expect((baskets.basketCount, itemCount) == (77_369, 11_997))
        let (before, last) = baskets.splitBeforeLast()
        let settings = ImplicitALS.Parameters(
            factorCount: 16, regularization: 1, iterations: 3, threadCount: 2)
        var parameters = AffinityHybrid.Parameters()
        (parameters.sampleCount, parameters.threadCount) = (2_000, 2)
        let fitted = try ImplicitALS.fit(before.counts, settings, measuresLoss: false)
        let hybrid = try AffinityHybrid.fit(before, factors: settings, parameters)
        let lists = try hybrid.top(
            10, customerFactors: fitted.userFactors, itemFactors: fitted.itemFactors,
            factorCount: 16, baskets: before, threadCount: 2)
        let personal = try TopLists.personal(before.counts, count: 10, threadCount: 2)
        var (ours, baseline) = (RankingMeans(k: 10), RankingMeans(k: 10))
        for row in 0..<last.rowCount {
            let held = Set(last.columnIndices[last.entries(of: row)])
            ours.add(lists[row].map(\.item), relevant: held)
            baseline.add(personal[row].map(\.item), relevant: held)
        }
        #expect(abs(baseline.summary.recall - 0.1147) < 0.0001)
        #expect(ours.summary.recall > 0.122)
        #expect(ours.summary.ndcg > 1.05 * baseline.summary.ndcg)
    }
}
