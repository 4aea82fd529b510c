import Models
import Testing
import Units

@Suite struct ValueGapTests {
    /// Three customers of a margin of a half: one who buys as before, one surely gone, one not scored.
    private func gap(include: [Bool]? = nil) throws -> ValueGap {
        var scores = LifetimeScores(
            status: [0, 0, 3], probabilityAlive: [0.8, 0, 0], expectedPurchases: [4, 0, 0],
            churnProbability: [0.2, 1, 0])
        scores.expectedOrderValue = [30, 20, 0]
        scores.lifetimeValue = [55, 0, 0]
        return try ValueGap(
            monthlyRevenue: [20, 10, 5], revenue: [200, 100, 0], orderCount: [8, 5, 0],
            scores: scores, simpleMonths: 24, horizonMonths: 12, marginRatio: 0.5,
            include: include)
    }

    @Test func stepsLeadFromOneValueToTheOther() throws {
        let gap = try gap(include: [true, false, true])
        #expect(gap.customerCount == 1)
        #expect(gap.simpleValue == 20 * 24 * 0.5)
        // 240 a month's revenue over 12 instead of 24 months; then 5 orders of 25 if alive, 4 as it is,
        // 4 of 30, and the discount takes 60 to 55.
        #expect(gap[.duration] == -120)
        #expect(gap[.orders] == 62.5 - 120)
        #expect(gap[.alive] == 50 - 62.5)
        #expect(gap[.orderValue] == 60 - 50)
        #expect(gap[.discount] == -5)
        #expect(gap.lifetimeValue == 55)
    }

    @Test func whoIsGoneLosesAllByBeingGone() throws {
        let gap = try gap(include: [false, true, true])
        #expect(gap.simpleValue == 120 && gap.lifetimeValue == 0)
        #expect(gap[.duration] == -60 && gap[.orders] == 0 && gap[.alive] == -60)
        #expect(gap[.orderValue] == 0 && gap[.discount] == 0)
        let both = try self.gap()
        #expect(both.customerCount == 2 && both.simpleValue == 360)
        #expect(both.differences.reduce(both.simpleValue, +) == both.lifetimeValue)
    }

    @Test func whatCannotBeComparedIsRefused() throws {
        let scores = LifetimeScores(
            status: [0], probabilityAlive: [1], expectedPurchases: [1], churnProbability: [0])
        func gap(_ scores: LifetimeScores, months: Double = 12) throws {
            _ = try ValueGap(
                monthlyRevenue: [1], revenue: [1], orderCount: [1], scores: scores,
                simpleMonths: months, horizonMonths: 12, marginRatio: 1)
        }
        #expect(throws: ModelError.self) { try gap(scores) }
        var valued = scores
        valued.expectedOrderValue = [1]
        valued.lifetimeValue = [1]
        try gap(valued)
        #expect(throws: ModelError.self) { try gap(valued, months: 0) }
        valued.status = [5]
        #expect(throws: ModelError.noRows(model: "value gap")) { try gap(valued) }
    }
}
