import Foundation
import Models
import Numerical
import Testing

@Suite struct PromotionResponseTests {
    /// A tenth of the customers buy six times as fast under promotion, the others as fast as without;
    /// a share of 0.2 ... 0.4 of the categories is promoted.
    private static func planted(
        customerCount: Int, linesEach: Int, lift: Double, seed: UInt64
    ) -> (cells: [PromotionResponse.Cell], exposures: [Double]) {
        let exposures = [0.2, 0.3, 0.4]
        var cells: [PromotionResponse.Cell] = []
        for customer in 0..<customerCount {
            var random = SeededRandom(seed: seed, stream: UInt64(customer))
            for category in 0..<3 {
                let e = exposures[category]
                let own = customer % 10 == 0 ? lift : 1
                let share = e * own / (e * own + 1 - e)
                let count = random.below(linesEach)
                let promoted = (0..<count).count { _ in random.uniform() < share }
                cells.append(
                    .init(
                        customer: Int32(customer), category: Int32(category),
                        promotedCount: Int32(promoted), count: Int32(count)))
            }
        }
        return (cells, exposures)
    }

    @Test func findsResponders() throws {
        let count = 4_000
        let (cells, exposures) = Self.planted(
            customerCount: count, linesEach: 8, lift: 6, seed: 3)
        let fitted = try PromotionResponse.fit(
            cells, customerCount: count, categoryCount: 3, exposures: exposures)
        // Of all customers together a little above 1: the tenth that responds.
        #expect(fitted.categoryLifts.allSatisfy { $0 > 1 && $0 < 1.6 })
        let order = (0..<count).sorted {
            (fitted.customerLifts[$1], $0) < (fitted.customerLifts[$0], $1)
        }
        let caught = order.prefix(count / 10).count { $0 % 10 == 0 }
        // Random finds a tenth of them; asked are twice as many at least.
        #expect(caught > 4 * (count / 100))
        #expect(fitted.customerLifts.allSatisfy { $0 > 0 && $0.isFinite })
        #expect(fitted.lift(customer: 0, category: 1) > fitted.categoryLifts[1])
        let decoded = try JSONDecoder().decode(
            PromotionResponse.self, from: JSONEncoder().encode(fitted))
        #expect(decoded == fitted)
    }

    @Test func chanceIsNoResponse() throws {
        let (cells, exposures) = Self.planted(
            customerCount: 3_000, linesEach: 8, lift: 1, seed: 9)
        let fitted = try PromotionResponse.fit(
            cells, customerCount: 3_000, categoryCount: 3, exposures: exposures)
        #expect(fitted.categoryLifts.allSatisfy { abs($0 - 1) < 0.1 })
        #expect(fitted.customerConcentration > 100)
        #expect(fitted.customerLifts.allSatisfy { abs($0 - 1) < 0.2 })
        // Nobody's lines say nothing.
        let more = try PromotionResponse.fit(
            cells, customerCount: 3_001, categoryCount: 4, exposures: nil)
        #expect(more.customerLifts[3_000] == 1)
        #expect(abs(more.categoryLifts[3] - 1) < 1e-12)
    }

    /// Beta(2, 6) shares: ν = 8, whose posterior means are worked out.
    @Test func concentrationIsThePlantedOne() throws {
        var random = SeededRandom(seed: 17)
        func gamma(_ shape: Int) -> Double {
            (0..<shape).reduce(0) { sum, _ in sum - log(1 - random.uniform()) }
        }
        var cells: [PromotionResponse.Cell] = []
        for customer in 0..<5_000 {
            let (a, b) = (gamma(2), gamma(6))
            let promoted = (0..<12).count { _ in random.uniform() < a / (a + b) }
            cells.append(
                .init(
                    customer: Int32(customer), category: 0, promotedCount: Int32(promoted),
                    count: 12))
        }
        let fitted = try PromotionResponse.fit(cells, customerCount: 5_000, categoryCount: 1)
        #expect(abs(fitted.customerConcentration - 8) < 1)
        let (v, mean) = (fitted.customerConcentration, fitted.categoryShares[0])
        let k = Double(cells[0].promotedCount)
        let posterior = (v * mean + k) / (v + 12)
        let expected = posterior / (1 - posterior) / (mean / (1 - mean))
        #expect(abs(fitted.customerLifts[0] - expected) < 1e-12)
    }

    @Test func topCustomersWhenPromoted() throws {
        let (cells, exposures) = Self.planted(
            customerCount: 300, linesEach: 20, lift: 10, seed: 5)
        let fitted = try PromotionResponse.fit(
            cells, customerCount: 300, categoryCount: 3, exposures: exposures)
        var random = SeededRandom(seed: 6)
        let factors = (0..<600).map { _ in Float(random.uniform()) }
        let product: [Float] = [0.5, 0.5]
        let lists = TopLists(
            width: 1, entries: (0..<300).map { .init(item: 0, score: factors[2 * $0]) },
            queryCount: 300)
        let rows = (0..<300).filter { factors[2 * $0] > Float($0 % 7) / 7 }.map { Int32($0) }
        let bought = SparseMatrix(
            rowCount: 300, columnCount: 1, rows: rows, columns: rows.map { _ in 0 },
            values: rows.map { _ in 1 })
        let probability = try PurchaseProbability.fit(lists, bought: bought, horizonDays: 30)
        var eligible = Bitmap(count: 300, repeating: true)
        eligible[0] = false
        let best = try fitted.topCustomers(
            20, of: product, category: 1, customerFactors: factors, probability,
            eligible: eligible, threadCount: 1)
        #expect(
            try fitted.topCustomers(
                20, of: product, category: 1, customerFactors: factors, probability,
                eligible: eligible, threadCount: 3) == best)
        let all = (1..<300).map { row -> (Double, Int) in
            let score = 0.5 * factors[2 * row] + 0.5 * factors[2 * row + 1]
            return (
                PromotionResponse.promoted(
                    probability.probability(score), lift: fitted.lift(customer: row, category: 1)),
                row
            )
        }.sorted { ($1.0, $0.1) < ($0.0, $1.1) }
        #expect(best.count == 20)
        for (entry, expected) in zip(best, all) {
            #expect(abs(Double(entry.score) - expected.0) < 1e-6)
        }
        #expect(throws: ModelError.self) {
            try fitted.topCustomers(
                1, of: product, category: 3, customerFactors: factors, probability,
                threadCount: 1)
        }
    }

    @Test func badInput() throws {
        func fit(_ promoted: Int32, _ count: Int32, _ exposures: [Double]? = nil) throws {
            _ = try PromotionResponse.fit(
                [.init(customer: 0, category: 0, promotedCount: promoted, count: count)],
                customerCount: 1, categoryCount: 1, exposures: exposures)
        }
        #expect(throws: ModelError.noRows(model: "promotion response")) { try fit(0, 0) }
        for (promoted, count) in [(0, 5), (5, 5), (3, 2), (-1, 2)] as [(Int32, Int32)] {
            #expect(throws: ModelError.self) { try fit(promoted, count) }
        }
        #expect(throws: ModelError.self) { try fit(1, 2, [1]) }
        #expect(throws: ModelError.self) { try fit(1, 2, [0.5, 0.5]) }
        #expect(PromotionResponse.promoted(0.5, lift: 2) == 0.75)
        #expect(PromotionResponse.promoted(1, lift: 2) == 1)
        #expect(abs(PromotionResponse.promoted(0.3, lift: 1) - 0.3) < 1e-15)
    }
}
