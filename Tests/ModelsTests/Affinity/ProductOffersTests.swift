import Models
import Numerical
import Testing

@Suite struct ProductOffersTests {
    /// Candidates with scores of 0 ... 1 that are the chance to be bought, squared.
    private static func planted(
        customerCount: Int, seed: UInt64
    ) -> (lists: TopLists, bought: SparseMatrix) {
        var random = SeededRandom(seed: seed)
        var entries: [TopN.Entry] = []
        var (rows, columns) = ([Int32](), [Int32]())
        for customer in 0..<customerCount {
            let scores = (0..<10).map { _ in Float(random.uniform()) }.sorted(by: >)
            for (item, score) in scores.enumerated() {
                entries.append(TopN.Entry(item: Int32(item), score: score))
                if random.uniform() < Double(score) * Double(score) {
                    rows.append(Int32(customer))
                    columns.append(Int32(item))
                }
            }
        }
        return (
            TopLists(width: 10, entries: entries, queryCount: customerCount),
            SparseMatrix(
                rowCount: customerCount, columnCount: 12, rows: rows, columns: columns,
                values: rows.map { _ in 1 })
        )
    }

    @Test func probabilitiesAreTrue() throws {
        let (lists, bought) = Self.planted(customerCount: 3_000, seed: 4)
        let fitted = try PurchaseProbability.fit(lists, bought: bought, horizonDays: 30)
        #expect(fitted.heldOut.calibrationError < 0.015)
        #expect(fitted.heldOut.rowCount == 15_000)
        var previous = -1.0
        for step in 0...20 {
            let score = Float(step) / 20
            let probability = fitted.probability(score)
            let planted = Double(score * score)
            #expect(abs(probability - planted) < 0.06)
            #expect(probability >= previous)
            #expect(probability > 0)
            #expect(probability < 1)
            previous = probability
        }
        // Few purchases: a logistic curve, which rises too.
        let (few, fewBought) = Self.planted(customerCount: 40, seed: 8)
        let small = try PurchaseProbability.fit(few, bought: fewBought, horizonDays: 30)
        guard case .platt = small.calibration else {
            Issue.record("expected a logistic curve")
            return
        }
        #expect(small.probability(0.9) > small.probability(0.1))
        let nothing = SparseMatrix(
            rowCount: 40, columnCount: 12, rows: [], columns: [], values: [])
        #expect(throws: ModelError.self) {
            try PurchaseProbability.fit(few, bought: nothing, horizonDays: 30)
        }
        #expect(throws: ModelError.self) {
            try PurchaseProbability.fit(few, bought: fewBought, horizonDays: 0)
        }
    }

    private static func offers() throws -> ProductOffers {
        try ProductOffers(
            categories: [0, 0, 0, 1, 1, -1, 2, 0, 0, 1, 2, 2], categoryCount: 3,
            prices: [10, 12, 16, 5, 6, 9, 0, 14, 10, 7, 3, 4],
            margins: [1, 2, 3, 4, 5, 6, 7, -8, 9, 10, 11, 0])
    }

    private func items(_ mask: Bitmap) -> [Int] { (0..<mask.count).filter { mask[$0] } }

    @Test func masksHoldWhatTheySay() throws {
        let offers = try Self.offers()
        var stock = Bitmap(count: 12, repeating: true)
        stock[7] = false
        #expect(items(offers.eligible(inStock: stock, categories: [0])) == [0, 1, 2, 8])
        #expect(items(offers.eligible(priceBand: 5...10)) == [0, 3, 4, 5, 8, 9])
        // Bought of category 0: dearer ones up to half as much again, but for what is not in stock.
        #expect(items(offers.dearerAlternatives(to: [0, 6])) == [1, 7])
        #expect(items(offers.dearerAlternatives(to: [0, 6], within: stock)) == [1])
        #expect(items(offers.dearerAlternatives(to: [0, 1], largestRatio: 2)) == [2, 7])
        #expect(items(offers.dearerAlternatives(to: [5, 6])).isEmpty)
        #expect(items(offers.otherCategories(than: [0, 5])) == [3, 4, 6, 9, 10, 11])
        #expect(items(offers.otherCategories(than: [], within: stock)).count == 10)
        #expect(throws: ModelError.self) {
            try ProductOffers(categories: [1], categoryCount: 1, prices: [1], margins: [1])
        }
        #expect(throws: ModelError.self) {
            try ProductOffers(categories: [0], categoryCount: 1, prices: [-1], margins: [1])
        }
        #expect(throws: ModelError.self) {
            try ProductOffers(categories: [0], categoryCount: 1, prices: [1], margins: [.nan])
        }
    }

    @Test func ranksByExpectedMargin() throws {
        let (lists, bought) = Self.planted(customerCount: 3_000, seed: 4)
        let probability = try PurchaseProbability.fit(lists, bought: bought, horizonDays: 30)
        let offers = try Self.offers()
        let ranked = try offers.rankedByMargin(lists, probability, count: 3, threadCount: 2)
        #expect(
            try offers.rankedByMargin(lists, probability, count: 3, threadCount: 1) == ranked)
        for row in stride(from: 0, to: 3_000, by: 97) {
            let own = offers.offers(lists[row], probability)
            #expect(own.count == 10 && own.last?.item == 7)
            #expect(zip(own, own.dropFirst()).allSatisfy { $0.expectedMargin >= $1.expectedMargin })
            #expect(ranked[row].map(\.item) == own.prefix(3).map(\.item))
        }
    }

    /// Every customer's own eligible products against a mask of one list each.
    @Test func crossAndUpSellOfAllCustomers() throws {
        let offers = try Self.offers()
        var random = SeededRandom(seed: 12)
        let items = (0..<12 * 4).map { _ in Float(random.uniform() - 0.3) }
        let queries = (0..<90 * 4).map { _ in Float(random.uniform() - 0.3) }
        let bought = SparseMatrix(
            rowCount: 90, columnCount: 12, rows: (0..<180).map { Int32($0 / 2) },
            columns: (0..<180).map { Int32(($0 * 7) % 12) }, values: .init(repeating: 1, count: 180)
        )
        let top = try TopN(itemFactors: items, itemCount: 12, factorCount: 4)
        for isCross in [true, false] {
            @Sendable func mask(_ row: Int) -> Bitmap {
                let own = bought.columnIndices[bought.entries(of: row)]
                return isCross
                    ? offers.otherCategories(than: own) : offers.dearerAlternatives(to: own)
            }
            let lists = try top.top(
                3, queryFactors: queries, excluding: bought, threadCount: 2, eligibleOf: mask)
            for row in 0..<90 {
                let own = Set(bought.columnIndices[bought.entries(of: row)])
                let all = try top.top(
                    12, queryFactors: Array(queries[row * 4..<row * 4 + 4]), threadCount: 1)
                let expected = all[0].filter { mask(row)[Int($0.item)] && !own.contains($0.item) }
                #expect(Array(lists[row]) == Array(expected.prefix(3)))
            }
        }
    }
}
