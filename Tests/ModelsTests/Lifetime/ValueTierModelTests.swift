import Foundation
import Models
import Testing
import Units

@Suite struct ValueTierModelTests {
    private func fitted(count: Int) throws -> (ValueTierModel, LifetimeSimulation, [Int32]) {
        let s = LifetimeSimulation(count: count, seed: 31, r: 0.25, alpha: 4, a: 0.8, b: 2.4)
        let model = FittedBGNBD(r: 0.25, alpha: 4, a: 0.8, b: 2.4, grid: .week)
        let scores = try LifetimeScores.score(
            repeatPurchaseCount: s.x, ageAtLastPurchaseDays: s.tx, observedAgeDays: s.age,
            meanOrderValue: s.mean, model: model,
            spend: FittedGammaGamma(p: 6.25, q: 3.74, v: 15.44))
        let since = zip(s.age, s.tx).map { $0 - $1 }
        let values = try #require(scores.lifetimeValue)
        let tiers = try ValueTierModel.fit(
            observedAgeDays: s.age, daysSinceLastPurchase: since, predictedValue: values)
        return (tiers, s, since)
    }

    @Test func tiersFollowTheValue() throws {
        let (model, s, since) = try fitted(count: 20_000)
        let tiers = try model.tiers(observedAgeDays: s.age, daysSinceLastPurchase: since)
        #expect(tiers.allSatisfy { (1...4).contains($0) })
        for tier in 1...4 {
            let count = tiers.count(where: { $0 == UInt8(tier) })
            #expect(count == model.customerCounts[tier - 1])
        }
        #expect(model.customerCounts.reduce(0, +) == 20_000)
        #expect(model.customerCounts[0] > 2_000)
        #expect(model.cutValues.count == 3)
        #expect(model.cutValues == model.cutValues.sorted(by: >))
        for (value, tier) in zip(model.cellValues, model.cellTiers) {
            for (index, cut) in model.cutValues.enumerated() {
                #expect((value >= cut) == (Int(tier) <= index + 1))
            }
        }
        // Along a row of the plane a later last purchase is never in a lower tier.
        for age in stride(from: Int32(1), to: 730, by: 13) {
            var before: UInt8 = 1
            for days in stride(from: Int32(0), through: age, by: 5) {
                let tier = model.tier(observedAgeDays: age, daysSinceLastPurchase: days)
                #expect(tier >= before)
                before = tier
            }
        }
        let decoded = try JSONDecoder().decode(
            ValueTierModel.self, from: JSONEncoder().encode(model))
        #expect(decoded == model)
    }

    /// Ties: a block of equal values is never split; here all are equal, and the middle one of
    /// the ranking stands at one half.
    @Test func equalValuesShareATier() throws {
        let days: [Int32] = [0, 5, 9, 100, 100, 100]
        let model = try ValueTierModel.fit(
            observedAgeDays: days, daysSinceLastPurchase: days,
            predictedValue: [Double](repeating: 7, count: 6))
        #expect(model.customerCounts == [0, 0, 6, 0])
        #expect(model.tier(observedAgeDays: 5_000, daysSinceLastPurchase: 0) == 3)
    }

    @Test func aQuarterEachWithoutTies() throws {
        let days = (0..<64).map { Int32($0) }
        var parameters = ValueTierModel.Parameters()
        parameters.longevityBinCount = 1
        parameters.sinceLastPurchaseBinCount = 64
        let model = try ValueTierModel.fit(
            observedAgeDays: [Int32](repeating: 100, count: 64), daysSinceLastPurchase: days,
            predictedValue: days.map { 100 - Double($0) }, parameters)
        #expect(model.customerCounts == [16, 16, 16, 16])
        #expect(model.tier(observedAgeDays: 100, daysSinceLastPurchase: 15) == 1)
        #expect(model.tier(observedAgeDays: 100, daysSinceLastPurchase: 16) == 2)
    }

    @Test func handlesFewAndUnusableRows() throws {
        let one = try ValueTierModel.fit(
            observedAgeDays: [3, 4], daysSinceLastPurchase: [1, 1], predictedValue: [5, .nan],
            status: [0, 2])
        #expect(one.customerCounts.reduce(0, +) == 1)
        let tiers = try one.tiers(
            observedAgeDays: [3, 4], daysSinceLastPurchase: [1, 1], status: [0, 2])
        #expect(tiers[1] == 0)
        #expect(throws: ModelError.noRows(model: "value tiers")) {
            try ValueTierModel.fit(
                observedAgeDays: [], daysSinceLastPurchase: [], predictedValue: [])
        }
        #expect(throws: ModelError.self) {
            try ValueTierModel.fit(
                observedAgeDays: [1], daysSinceLastPurchase: [1], predictedValue: [.infinity])
        }
    }
}
