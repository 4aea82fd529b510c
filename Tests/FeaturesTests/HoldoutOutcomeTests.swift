import Features
import Testing
import Units

@Suite struct HoldoutOutcomeTests {
    @Test func countsOrdersThatBeginInThePeriod() throws {
        let lines: [Line] = [
            Line(1, "2024-01-05", 1, order: "A"), Line(1, "2024-01-06", 2, order: "A"),
            Line(1, "2024-01-07", 4, order: "B"), Line(1, "2024-01-07", -1, order: "C"),
            Line(1, "2024-01-10", 8, order: "D"), Line(1, "2024-01-11", 16, order: "E"),
            Line(2, "2024-01-01", 1, order: "F"),
        ]
        let history = try makeHistory(lines)
        let outcome = holdoutOutcome(
            history, customerRows: [0, 1], after: day("2024-01-05"), through: day("2024-01-10"),
            clock: .utc, grossMarginRate: 0.5, threadCount: 1)
        // A began before; C is a return; E is later. Revenue 2 + 4 - 1 + 8.
        #expect(outcome.orderCount == [2, 0])
        #expect(outcome.revenue == [13, 0])
        #expect(outcome.margin == [6.5, 0])
    }

    /// Orders by the as-of day and orders after it are all orders.
    @Test(arguments: [21, 22, 23] as [UInt64], [true, false])
    func trainingAndHoldoutAreAll(seed: UInt64, orderIDs: Bool) throws {
        let history = try makeHistory(
            randomLines(seed: seed, customers: 30, lines: 500, orderIDs: orderIDs))
        func table(_ asOf: String) throws -> FeatureTable {
            try computeFeatures(
                history, attributes: nil, asOf: day(asOf), clock: .utc, grossMarginRate: 0.3,
                threadCount: 1)
        }
        let early = try table("2023-08-01")
        let late = try table("2025-01-01")
        let earlyRows = history.customerRows(asOf: early.asOf, clock: .utc)
        let lateRows = history.customerRows(asOf: late.asOf, clock: .utc)
        let outcome = holdoutOutcome(
            history, customerRows: earlyRows, after: day("2023-08-01"),
            through: day("2025-01-01"), clock: .utc, grossMarginRate: 0.3, threadCount: 1)
        for (row, source) in earlyRows.enumerated() {
            let before = early.value("orderCount", row) ?? 0
            let all = late.value("orderCount", lateRows.firstIndex(of: source)!) ?? 0
            #expect(before + Float(outcome.orderCount[row]) == all, "seed \(seed)")
        }
    }
}
