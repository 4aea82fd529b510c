import Foundation
import Models
import Testing
import Units

@Suite struct LifetimeScoresTests {
    private static let model = FittedBGNBD(r: 0.243, alpha: 4.414, a: 0.793, b: 2.426, grid: .week)
    private static let spend = FittedGammaGamma(p: 6.25, q: 3.74, v: 15.44)

    private func score(
        _ s: LifetimeSimulation, _ parameters: LifetimeScores.Parameters,
        status: [UInt8]? = nil, model: any PurchaseModel = Self.model
    ) throws -> LifetimeScores {
        try LifetimeScores.score(
            repeatPurchaseCount: s.x, ageAtLastPurchaseDays: s.tx, observedAgeDays: s.age,
            meanOrderValue: s.mean, status: status, model: model, spend: Self.spend, parameters)
    }

    /// The four models, with parameters of about the same customers in any unit of time.
    private static func models(_ grid: TimeGrid) -> [any PurchaseModel] {
        let week = 7 / grid.days
        return [
            FittedBGNBD(r: 0.243, alpha: 4.414 * week, a: 0.793, b: 2.426, grid: grid),
            FittedBGNBD(
                r: 0.525, alpha: 6.183 * week, a: 0.891, b: 1.614, grid: grid, variant: .modified),
            FittedParetoNBD(
                r: 0.5534, alpha: 10.5802 * week, s: 0.6061, beta: 11.6562 * week, grid: grid),
            FittedNBD(r: 0.385, alpha: 12.07 * week, grid: grid),
        ]
    }

    private func expectTheSingleCustomers(
        _ scores: LifetimeScores, _ s: LifetimeSimulation, _ model: any PurchaseModel
    ) throws {
        let values = try #require(scores.lifetimeValue)
        let spend = try #require(Self.spend)
        let grid = model.grid
        let discount = log(1.1) / 365.2425 * grid.days
        for row in s.x.indices {
            let (x, tx) = (Int(s.x[row]), Double(s.tx[row]) / grid.days)
            let age = Double(s.age[row]) / grid.days
            let (year, quarter) = (364 / grid.days, 91 / grid.days)
            let place: Comment = "\(model.name), row \(row)"
            func near(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= 1e-11 * max(1, abs(b)) }
            let alive = model.probabilityAlive(x: x, tx: tx, age: age)
            #expect(near(scores.probabilityAlive[row], alive), place)
            let expected = model.expectedPurchases(x: x, tx: tx, age: age, horizon: year)
            #expect(near(scores.expectedPurchases[row], expected), place)
            let active = model.probabilityOfPurchase(x: x, tx: tx, age: age, horizon: quarter)
            #expect(near(scores.churnProbability[row], 1 - active), place)
            let value =
                model.discountedPurchases(
                    x: x, tx: tx, age: age, horizon: year, discount: discount)
                * spend.expectedOrderValue(x: x, meanOrderValue: s.mean[row]) * 0.3
            #expect(near(values[row], value), place)
        }
    }

    @Test(arguments: [TimeGrid.day, .week, .month])
    func agreesWithTheSingleCustomer(_ grid: TimeGrid) throws {
        let s = LifetimeSimulation(count: 400, seed: 21, r: 0.7, alpha: 3, a: 0.6, b: 4)
        var parameters = LifetimeScores.Parameters()
        parameters.basis = .margin(ratio: 0.3)
        for model in Self.models(grid) {
            try expectTheSingleCustomers(try score(s, parameters, model: model), s, model)
        }
    }

    /// One customer so old that a table of all ages has room for x = 0 alone: pairs of the others
    /// are found by hash.
    @Test func agreesWhereAgesAreTooManyForATable() throws {
        var s = LifetimeSimulation(count: 5, seed: 21, r: 0.7, alpha: 3, a: 0.6, b: 4)
        s.age = [Int32(CollapsedHistory.maximumAgeDays), 10, 10, 10, 700]
        s.x = [5, 5, 0, 7, 5]
        s.tx = [900, 8, 0, 8, 600]
        s.mean = [20, 30, 0, 10, 50]
        var parameters = LifetimeScores.Parameters()
        parameters.basis = .margin(ratio: 0.3)
        for model in Self.models(.week) {
            try expectTheSingleCustomers(try score(s, parameters, model: model), s, model)
        }
    }

    /// The unit of time is a way of writing, not part of the answer.
    @Test func gridsAgree() throws {
        let s = LifetimeSimulation(count: 200, seed: 22, r: 0.7, alpha: 3, a: 0.6, b: 4)
        let daily = FittedBGNBD(r: 0.243, alpha: 4.414 * 7, a: 0.793, b: 2.426, grid: .day)
        let one = try score(s, LifetimeScores.Parameters())
        let other = try score(s, LifetimeScores.Parameters(), model: daily)
        for (a, b) in zip(one.lifetimeValue ?? [], other.lifetimeValue ?? []) {
            #expect(abs(a - b) <= 1e-10 * max(1, b))
        }
    }

    @Test func isTheSameForAnyThreadCount() throws {
        let s = LifetimeSimulation(
            count: 20_000, seed: 23, r: 0.7, alpha: 9, a: 0.6, b: 4, days: 90)
        var parameters = LifetimeScores.Parameters()
        let serial = try score(s, parameters)
        for threads in [2, 8] {
            parameters.threadCount = threads
            #expect(try score(s, parameters) == serial)
        }
    }

    @Test func passesOnStatusesAndRefusesImpossibleHistories() throws {
        var s = LifetimeSimulation(count: 6, seed: 24, r: 0.7, alpha: 3, a: 0.6, b: 4)
        s.x[1] = -1
        s.x[2] = 3
        s.tx[2] = s.age[2] + 1
        s.mean[3] = .nan
        let scores = try score(s, LifetimeScores.Parameters(), status: [3, 0, 0, 0, 0, 0])
        #expect(scores.status == [3, 5, 5, 5, 0, 0])
        for row in 0..<4 {
            #expect(scores.expectedPurchases[row] == 0 && scores.churnProbability[row] == 0)
            #expect(scores.lifetimeValue?[row] == 0)
        }
        #expect(scores.expectedPurchases[4] > 0)
        // Without an order-value model the mean of the orders is not looked at.
        let unpriced = try LifetimeScores.score(
            repeatPurchaseCount: s.x, ageAtLastPurchaseDays: s.tx, observedAgeDays: s.age,
            meanOrderValue: s.mean, model: Self.model, spend: nil)
        #expect(unpriced.status == [0, 5, 5, 0, 0, 0])
        let none = try LifetimeScores.score(
            repeatPurchaseCount: [], ageAtLastPurchaseDays: [], observedAgeDays: [],
            meanOrderValue: [], model: Self.model, spend: nil)
        #expect(none.status.isEmpty && none.lifetimeValue == nil)
    }

    /// A higher discount rate or a shorter horizon never raises the value.
    @Test func valueFallsWithTheDiscount() throws {
        let s = LifetimeSimulation(count: 40, seed: 25, r: 0.7, alpha: 3, a: 0.6, b: 4)
        var before: [Double]?
        for rate in [0, 0.05, 0.1, 0.5, 3, 1_000] {
            var parameters = LifetimeScores.Parameters()
            parameters.horizon = Horizon(520, .week)
            parameters.discountRate = DiscountRate(annual: rate)
            let values = try #require(try score(s, parameters).lifetimeValue)
            if let before {
                for (value, higher) in zip(values, before) { #expect(value <= higher) }
            }
            #expect(values.allSatisfy { $0.isFinite && $0 >= 0 })
            before = values
        }
    }

    /// What is interpolated over ages is what one customer's model says, whatever the parameters:
    /// horizons of a day and of a century, counts of 0 and of thousands, ages from 0 to 2,800 years.
    @Test(arguments: [
        (r: 0.8, alpha: 5.0, a: 0.8, b: 2.5), (0.24, 4.4, 0.79, 2.4), (30.0, 0.001, 5.0, 0.02),
        (0.003, 3_000.0, 0.01, 40.0), (2.0, 1.0, 1.0, 1e-3), (1.0, 52.0, 0.5, 0.5),
    ])
    func outlooksOfAllAgesAreThoseOfOne(
        parameters: (r: Double, alpha: Double, a: Double, b: Double)
    ) {
        let model = FittedBGNBD(
            r: parameters.r, alpha: parameters.alpha, a: parameters.a, b: parameters.b, grid: .week)
        let ages = [0, 1, 2, 6, 7, 8, 29, 100, 365, 1_000, 3_650, 40_000, 1_048_575]
        let pairs = [0, 1, 2, 17, 300, 5_000].flatMap { x in
            ages.map { (x: x, ageDays: $0) }
        }
        for horizon in [1.0 / 7, 13, 52, 5_200] {
            for discount in [0.0, 0.0018, 0.1] {
                let terms = OutlookTerms(
                    horizon: horizon, churnHorizon: horizon / 4, discount: discount)
                let outlooks = model.aliveOutlooks(pairs, terms, threadCount: 2)
                #expect(outlooks == model.aliveOutlooks(pairs, terms, threadCount: 1))
                for (pair, outlook) in zip(pairs, outlooks) {
                    let living = model.living(x: pair.x, age: Double(pair.ageDays) / 7)
                    let expected = living.purchasesOfNew(horizon: horizon)
                    let discounted = living.discountedPurchasesOfNew(
                        horizon: horizon, discount: discount)
                    let probability = living.purchaseProbabilityOfNew(horizon: horizon / 4)
                    #expect(abs(outlook.expectedPurchases - expected) <= 1e-11 * expected)
                    #expect(abs(outlook.discountedPurchases - discounted) <= 1e-9 * discounted)
                    #expect(abs(outlook.purchaseProbability - probability) <= 1e-12 * probability)
                }
                // What a customer gets depends on nobody else.
                let alone = model.aliveOutlooks([pairs[40]], terms, threadCount: 1)
                #expect(alone == [outlooks[40]])
            }
        }
    }
}
