import Foundation
import Models
import Testing
import Units

@Suite struct SimpleValueFormulaTests {
    private let month = Horizon(1, .month)

    @Test func durationIsTheInverseOfMonthlyChurn() throws {
        func months(_ churn: [Double], _ horizon: Horizon, cap: Double = 120) throws -> Double {
            try SimpleValueFormula.expectedDurationMonths(
                .inverseChurn(maximumMonths: cap), churnProbability: churn,
                status: [UInt8](repeating: 0, count: churn.count), churnHorizon: horizon)
        }
        #expect(abs(try months([0.05, 0.15], month) - 10) < 1e-12)
        // 1 − .9³ over three months is 10 % a month.
        #expect(abs(try months([1 - 0.729], Horizon(3, .month)) - 10) < 1e-12)
        #expect(try months([1, 1], month) == 1)
        #expect(try months([0, 0], month) == 120)
        #expect(try months([1e-9], month, cap: 60) == 60)
        #expect(throws: ModelError.self) { try months([], month) }
        #expect(throws: ModelError.self) { try months([0.1], Horizon(0, .day)) }
        #expect(throws: ModelError.self) { try months([0.1], month, cap: .nan) }
    }

    @Test func leavesOutUnscoredCustomers() throws {
        let months = try SimpleValueFormula.expectedDurationMonths(
            .inverseChurn(maximumMonths: 120), churnProbability: [0.2, 0], status: [0, 3],
            churnHorizon: month)
        #expect(abs(months - 5) < 1e-12)
    }

    @Test func multiplies() throws {
        let (values, status) = try SimpleValueFormula.values(
            monthlyRevenue: [100, -10, .infinity, 50], status: [0, 0, 0, 2], marginRatio: 0.25,
            months: 36)
        #expect(values == [900, -90, 0, 0])
        #expect(status == [0, 0, 5, 2])
        #expect(throws: ModelError.self) {
            try SimpleValueFormula.values(
                monthlyRevenue: [1], status: [0], marginRatio: 0.3, months: 0)
        }
    }
}
