import Foundation
import Models
import Numerical
import Testing

@Suite struct BGBBScoresTests {
    @Test func areThoseOfEachCustomer() throws {
        let model = FittedBGBB(alpha: 1.204, beta: 0.75, gamma: 0.657, delta: 2.783)
        var random = SeededRandom(seed: 4)
        var (xs, lasts, ns) = ([Int32](), [Int32](), [Int32]())
        for _ in 0..<3_000 {
            let n = random.below(30)
            let last = random.below(n + 1)
            xs.append(last == 0 ? 0 : Int32(1 + random.below(last)))
            lasts.append(Int32(last))
            ns.append(Int32(n))
        }
        var parameters = BGBBScores.Parameters()
        let scores = try BGBBScores.score(
            transactionCount: xs, lastTransaction: lasts, opportunityCount: ns, model: model,
            parameters)
        let discounted = try #require(scores.discountedTransactions)
        for row in stride(from: 0, to: 3_000, by: 37) {
            let record = try OpportunityRecord(
                transactions: Int(xs[row]), last: Int(lasts[row]), opportunities: Int(ns[row]))
            #expect(scores.probabilityAlive[row] == model.probabilityAlive(record))
            let expected = model.expectedTransactions(record, horizon: 12)
            #expect(scores.expectedTransactions[row] == expected)
            let active = model.probabilityActive(record, horizon: 12)
            #expect(scores.probabilityActive[row] == active)
            let value = try model.discountedResidualTransactions(record, discount: 0.01)
            #expect(discounted[row] == value)
        }
        parameters.threadCount = 3
        #expect(
            try BGBBScores.score(
                transactionCount: xs, lastTransaction: lasts, opportunityCount: ns, model: model,
                parameters) == scores)
        parameters.discount = 0
        let forever = try BGBBScores.score(
            transactionCount: xs, lastTransaction: lasts, opportunityCount: ns, model: model,
            parameters)
        // γ is below 1: without a discount the sum is infinite, and there is none.
        #expect(forever.discountedTransactions == nil)
        #expect(forever.probabilityAlive == scores.probabilityAlive)
    }

    @Test func refusesBadInput() throws {
        let model = FittedBGBB(alpha: 1, beta: 1, gamma: 1, delta: 1)
        var parameters = BGBBScores.Parameters()
        func fails(_ x: [Int32], _ tx: [Int32], _ n: [Int32]) -> Bool {
            do throws(ModelError) {
                _ = try BGBBScores.score(
                    transactionCount: x, lastTransaction: tx, opportunityCount: n, model: model,
                    parameters)
                return false
            } catch { return true }
        }
        #expect(!fails([], [], []))
        #expect(fails([1], [1], []))
        #expect(fails([2], [1], [5]))
        parameters.discount = -1
        #expect(fails([], [], []))
        parameters.discount = 0.1
        parameters.horizon = -1
        #expect(fails([], [], []))
    }
}
