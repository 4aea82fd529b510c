import Foundation
import Models
import Numerical
import Testing

@Suite struct PairProbabilityTests {
    /// Customers with one factor, products with another; a product is bought in the horizon with the
    /// probability that the scalar product plants, three times as often where it was bought before.
    private struct Planted {
        var customers: [Float] = []
        var items: [Float] = []
        var purchased: SparseMatrix
        var bought: SparseMatrix

        static func chance(_ score: Float, wasBought: Bool) -> Double {
            min(1, max(0, 0.3 * Double(score))) * (wasBought ? 1 : 1.0 / 3)
        }

        init(customerCount: Int, itemCount: Int, seed: UInt64) {
            var random = SeededRandom(seed: seed)
            customers = (0..<customerCount).map { _ in Float(random.uniform()) }
            items = (0..<itemCount).map { _ in Float(0.2 + 0.8 * random.uniform()) }
            var before: (rows: [Int32], columns: [Int32]) = ([], [])
            var after: (rows: [Int32], columns: [Int32]) = ([], [])
            for row in 0..<customerCount {
                for item in 0..<itemCount {
                    let score = customers[row] * items[item]
                    let wasBought = random.uniform() < Double(score) || item == row % itemCount
                    if wasBought {
                        before.rows.append(Int32(row))
                        before.columns.append(Int32(item))
                    }
                    if random.uniform() < Self.chance(score, wasBought: wasBought) {
                        after.rows.append(Int32(row))
                        after.columns.append(Int32(item))
                    }
                }
            }
            purchased = SparseMatrix(
                rowCount: customerCount, columnCount: itemCount, rows: before.rows,
                columns: before.columns, values: [Float](repeating: 0, count: before.rows.count))
            bought = SparseMatrix(
                rowCount: customerCount, columnCount: itemCount, rows: after.rows,
                columns: after.columns, values: [Float](repeating: 1, count: after.rows.count))
        }
    }

    @Test func bothKindsOfPairsAreFound() throws {
        let planted = Planted(customerCount: 3_000, itemCount: 40, seed: 5)
        let fitted = try PairProbability.fit(
            customerFactors: planted.customers, itemFactors: planted.items, factorCount: 1,
            purchased: planted.purchased, bought: planted.bought, horizonDays: 28)
        for score in [Float(0.2), 0.4, 0.6] {
            for wasBought in [false, true] {
                let found = try #require(fitted.probability(score, wasBought: wasBought))
                let truth = Planted.chance(score, wasBought: wasBought)
                #expect(abs(found - truth) < 0.02, "\(score), \(wasBought): \(found), \(truth)")
            }
        }
        let checked = try #require(fitted.fresh?.heldOut)
        #expect(checked.calibrationError < 0.01 && (checked.areaUnderROC ?? 0) > 0.6)
        let decoded = try JSONDecoder().decode(
            PairProbability.self, from: JSONEncoder().encode(fitted))
        #expect(decoded == fitted)
    }

    /// What is added to a score counts for products bought before.
    @Test func additionsCount() throws {
        let planted = Planted(customerCount: 400, itemCount: 30, seed: 6)
        let shifted = SparseMatrix(
            rowCount: 400, columnCount: 30, rowOffsets: planted.purchased.rowOffsets,
            columnIndices: planted.purchased.columnIndices,
            values: [Float](repeating: 10, count: planted.purchased.valueCount))
        func fit(_ purchased: SparseMatrix) throws -> PairProbability {
            try PairProbability.fit(
                customerFactors: planted.customers, itemFactors: planted.items, factorCount: 1,
                purchased: purchased, bought: planted.bought, horizonDays: 28)
        }
        let (plain, moved) = (try fit(planted.purchased), try fit(shifted))
        #expect(moved.fresh == plain.fresh)
        let found = try #require(moved.probability(10.5, wasBought: true))
        let wanted = try #require(plain.probability(0.5, wasBought: true))
        #expect(abs(found - wanted) < 0.02)
    }

    @Test func whatNobodyBuysAgainHasNoProbability() throws {
        let planted = Planted(customerCount: 300, itemCount: 20, seed: 7)
        let nothing = SparseMatrix(
            rowCount: 300, columnCount: 20, rows: [], columns: [], values: [])
        let fitted = try PairProbability.fit(
            customerFactors: planted.customers, itemFactors: planted.items, factorCount: 1,
            purchased: planted.purchased, bought: nothing, horizonDays: 28)
        #expect(fitted.fresh == nil && fitted.again == nil)
        #expect(fitted.probability(1, wasBought: false) == nil)
        #expect(throws: ModelError.self) {
            try PairProbability.fit(
                customerFactors: planted.customers, itemFactors: planted.items, factorCount: 2,
                purchased: planted.purchased, bought: nothing, horizonDays: 28)
        }
        #expect(throws: ModelError.self) {
            try PairProbability.fit(
                customerFactors: planted.customers, itemFactors: planted.items, factorCount: 1,
                purchased: planted.purchased, bought: nothing, horizonDays: 0)
        }
    }

    // MARK: Edges of the others

    @Test func noLimitIsTooLarge() throws {
        let baskets = try PurchaseBaskets(
            itemCount: 2, customerOffsets: [0, 2], basketOffsets: [0, 2, 4], items: [0, 1, 0, 1])
        var parameters = AssociationRules.Parameters()
        (parameters.maximumCount, parameters.leastCount) = (.max, 1)
        let report = try AssociationRules.find(baskets, parameters)
        #expect(report.rules.count == 2 && report.foundCount == 2)
        parameters.maximumCount = 1
        #expect(try AssociationRules.find(baskets, parameters).rules.count == 1)
    }

    /// A day at either end of what a day may be: the gap is more than Int32 holds.
    @Test func basketsMayLieFarApart() throws {
        let baskets = try PurchaseBaskets(
            itemCount: 3, customerOffsets: [0, 3, 6], basketOffsets: [0, 1, 2, 3, 4, 5, 6],
            items: [0, 1, 0, 1, 2, 1], days: [.min, 0, .max, .min, 1, .max])
        let hybrid = try AffinityHybrid.fitWithoutFactors(baskets, AffinityHybrid.Parameters())
        #expect(hybrid.factorWeight == 0 && hybrid.repeats.parameters.halfLife.isFinite)
    }

    @Test func equalCountsGoByPopularityHoweverMany() throws {
        // 5,000,001 and 5,000,002 baskets of others are one in single precision beside 9 of one's own.
        let counts = SparseMatrix(
            rowCount: 3, columnCount: 3, rows: [0, 0, 1, 2, 2], columns: [0, 1, 0, 1, 2],
            values: [9, 9, 4_999_992, 4_999_993, 1])
        let lists = try TopLists.personal(counts, count: 3, threadCount: 1)
        #expect(lists[0].map(\.item) == [1, 0, 2])
        #expect(lists[1].map(\.item) == [0, 1, 2])
        for row in 0..<3 {
            let scores = lists[row].map(\.score)
            #expect(scores == scores.sorted(by: >))
        }
    }

    @Test func noCustomersAreAsked() throws {
        let response = try PromotionResponse.fit(
            [
                .init(customer: 0, category: 0, promotedCount: 3, count: 4),
                .init(customer: 1, category: 0, promotedCount: 1, count: 4),
            ], customerCount: 2, categoryCount: 1)
        // The lifts of now are those of the fit for the fit's own lines, and 1 for who has none.
        let again = try response.withoutCustomers.customerLifts(
            of: [.init(customer: 1, category: 0, promotedCount: 3, count: 4)], customerCount: 3)
        #expect(again == [1, response.customerLifts[0], 1])
        let planted = Planted(customerCount: 200, itemCount: 10, seed: 8)
        let pairs = try PairProbability.fit(
            customerFactors: planted.customers, itemFactors: planted.items, factorCount: 1,
            purchased: planted.purchased, bought: planted.bought, horizonDays: 28)
        let probability = try #require(pairs.fresh)
        let none = try response.topCustomers(
            -3, of: [1], category: 0, customerFactors: [1, 2], probability, threadCount: 1)
        #expect(none.isEmpty)
    }
}
