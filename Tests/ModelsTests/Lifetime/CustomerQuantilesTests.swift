import Foundation
import Models
import Numerical
import Testing
import Units

@Suite struct CustomerQuantilesTests {
    private static func fitted() throws -> (FittedPurchaseModel, FittedGammaGamma) {
        let s = LifetimeSimulation(count: 3_000, seed: 61, r: 0.8, alpha: 5, a: 0.8, b: 2.5)
        let history = try CollapsedHistory(
            repeatPurchaseCount: s.x, ageAtLastPurchaseDays: s.tx, observedAgeDays: s.age)
        return (
            try PurchaseModelKind.bgnbd.fit(history),
            try GammaGamma.fit(repeatPurchaseCount: s.x, meanOrderValue: s.mean)
        )
    }

    private static let histories: [(x: Int32, tx: Int32, age: Int32, mean: Double)] = [
        (0, 0, 10, 0), (1, 90, 100, 20), (4, 300, 320, 60), (30, 690, 700, 5), (3, 10, 600, 40),
    ]

    private func quantiles(
        _ model: FittedPurchaseModel, _ spend: FittedGammaGamma?,
        _ parameters: CustomerQuantiles.Parameters = CustomerQuantiles.Parameters()
    ) throws -> CustomerQuantiles {
        let h = Self.histories
        return try model.quantiles(
            repeatPurchaseCount: h.map(\.x), ageAtLastPurchaseDays: h.map(\.tx),
            observedAgeDays: h.map(\.age), meanOrderValue: h.map(\.mean), spend: spend,
            parameters)
    }

    /// Beside 40,000 futures drawn for each customer from the same models.
    @Test func agreesWithDrawnFutures() throws {
        let (model, spend) = try Self.fitted()
        let quantiles = try quantiles(model, spend)
        let values = try #require(quantiles.values)
        let parameters = model.model.parameters.map(\.value)
        for (row, h) in Self.histories.enumerated() {
            var random = SeededRandom(seed: 77, stream: UInt64(row))
            let x = Double(h.x)
            let (tx, age) = (Double(h.tx) / 7, Double(h.age) / 7)
            let alive = model.model.probabilityAlive(x: Int(h.x), tx: tx, age: age)
            let count = 40_000
            var atMost = [Double](repeating: 0, count: 3)
            var below = atMost
            for _ in 0..<count {
                var orders = 0
                if random.bernoulli(alive) {
                    let rate = random.gamma(shape: parameters[0] + x, rate: parameters[1] + age)
                    let dropOut = random.beta(parameters[2], parameters[3] + x)
                    var time = random.exponential(rate: rate)
                    while time <= 52 {
                        orders += 1
                        if random.bernoulli(dropOut) { break }
                        time += random.exponential(rate: rate)
                    }
                }
                let scale = random.gamma(
                    shape: spend.q + spend.p * x, rate: spend.v + x * h.mean)
                let spent =
                    orders == 0 ? 0 : random.gamma(shape: spend.p * Double(orders), rate: scale)
                for place in 0..<3 {
                    if spent <= values[row * 3 + place] { atMost[place] += 1 / Double(count) }
                    if orders < Int(quantiles.purchases[row * 3 + place]) {
                        below[place] += 1 / Double(count)
                    }
                }
            }
            for (place, probability) in [0.1, 0.5, 0.9].enumerated() {
                let text: Comment = "customer \(row), P\(probability): \(atMost) \(below)"
                // Five standard errors of a share.
                #expect(atMost[place] > probability - 0.013, text)
                #expect(below[place] < probability + 0.013, text)
                if values[row * 3 + place] > 0 {
                    #expect(atMost[place] < probability + 0.013, text)
                }
                let single = model.model.purchaseQuantile(
                    probability, x: Int(h.x), tx: tx, age: age, horizon: 52)
                #expect(Int(quantiles.purchases[row * 3 + place]) == single)
            }
        }
    }

    @Test func valuesFollowCountsAndScale() throws {
        let (model, spend) = try Self.fitted()
        var parameters = CustomerQuantiles.Parameters()
        parameters.probabilities = [0, 0.05, 0.3, 0.5, 0.9, 0.999]
        let all = try quantiles(model, spend, parameters)
        let values = try #require(all.values)
        for row in Self.histories.indices {
            for place in 0..<6 {
                let (count, value) = (all.purchases[row * 6 + place], values[row * 6 + place])
                #expect((count == 0) == (value == 0))
                #expect(place == 0 || value >= values[row * 6 + place - 1])
                #expect(place == 0 || count >= all.purchases[row * 6 + place - 1])
            }
        }
        parameters.threadCount = 4
        #expect(try quantiles(model, spend, parameters) == all)
        parameters.basis = .margin(ratio: 0.25)
        let margin = try #require(try quantiles(model, spend, parameters).values)
        for (a, b) in zip(margin, values) { #expect(abs(a - b / 4) <= 1e-12 * b) }
        #expect(try quantiles(model, nil).values == nil)
    }

    /// Thousands of orders are taken in blocks; the spread is that of the customer's own mean.
    @Test func manyOrders() throws {
        let (model, spend) = try Self.fitted()
        let result = try model.quantiles(
            repeatPurchaseCount: [20_000, -1, 5], ageAtLastPurchaseDays: [700, 0, 50],
            observedAgeDays: [700, 0, 60], meanOrderValue: [30, 0, .nan], spend: spend)
        let values = try #require(result.values)
        #expect(result.status == [0, LifetimeScores.notEligible, LifetimeScores.notEligible])
        #expect(values[3...].allSatisfy { $0 == 0 })
        #expect(values[0] < values[1] && values[1] < values[2])
        for place in 0..<3 {
            let each = values[place] / Double(result.purchases[place])
            #expect(abs(each / 30 - 1) < 0.03, "\(each)")
        }
    }

    @Test func refusesBadProbabilities() throws {
        let (model, spend) = try Self.fitted()
        for bad in [-0.1, 1, Double.nan] {
            var parameters = CustomerQuantiles.Parameters()
            parameters.probabilities = [0.5, bad]
            #expect(throws: ModelError.self) { try quantiles(model, spend, parameters) }
        }
    }
}
