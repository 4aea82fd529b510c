package import ByteCoding
import Features
import Units

/// What the lines of each customer come to, and no more: what a database answers with one GROUP BY, to
/// compare with. Sums are exact and in ten-thousandths of the currency unit.
package struct CustomerTotals: Sendable {
    /// Ascending; the arrays below have a row for each.
    package private(set) var customerIDs: IDColumn = .integers([])
    /// Distinct local days with a line, but for the first.
    package private(set) var laterDayCounts: [Int32] = []
    package private(set) var firstTimes: [Int64] = []
    package private(set) var lastTimes: [Int64] = []
    package private(set) var amounts: [Int64] = []
    /// By the plan's rate where lines have no margin.
    package private(set) var margins: [Int64] = []

    fileprivate init() {}

    fileprivate init(_ lines: PurchaseHistory, _ clock: LocalClock, grossMarginRate: Double) {
        let count = lines.customerCount
        customerIDs = lines.customerIDs
        laterDayCounts.reserveCapacity(count)
        firstTimes.reserveCapacity(count)
        lastTimes.reserveCapacity(count)
        amounts.reserveCapacity(count)
        margins.reserveCapacity(count)
        for row in 0..<count {
            let own = lines.lines(ofCustomer: row)
            var (laterDayCount, amount, margin) = (Int32(0), Int64(0), Int64(0))
            var last = clock.day(atUTC: Int(lines.times[own.lowerBound]))
            for line in own {
                // Times ascend.
                let day = clock.day(atUTC: Int(lines.times[line]))
                laterDayCount += day == last ? 0 : 1
                last = day
                // No sum of a history's lines overflows.
                amount += lines.amounts[line]
                margin +=
                    lines.margins?[line]
                    ?? Int64((Double(lines.amounts[line]) * grossMarginRate).rounded())
            }
            laterDayCounts.append(laterDayCount)
            firstTimes.append(lines.times[own.lowerBound])
            lastTimes.append(lines.times[own.upperBound - 1])
            amounts.append(amount)
            margins.append(margin)
        }
    }

    /// Adds the customers of another part, who come after those here.
    fileprivate mutating func append(_ other: CustomerTotals) {
        if laterDayCounts.isEmpty { customerIDs = other.customerIDs.slice(0..<0) }
        let isOfOneKind = customerIDs.append(contentsOf: other.customerIDs)
        precondition(isOfOneKind, "the splits of a history refuse ids of two kinds")
        laterDayCounts += other.laterDayCounts
        firstTimes += other.firstTimes
        lastTimes += other.lastTimes
        amounts += other.amounts
        margins += other.margins
    }
}

extension Workspace {
    /// The totals of all customers.
    /// - Throws: `.noPurchases`, `.store` for damaged files, `.features` for lines that are no
    ///   history.
    package func customerTotals(threadCount: Int) throws(EngineError) -> CustomerTotals {
        let (clock, grossMarginRate) = (plan.clock, plan.grossMarginRate)
        return try segmentedHistory(threadCount: threadCount).reduce(
            into: CustomerTotals(), .margins, LineTexts(), threadCount: threadCount
        ) { lines in
            CustomerTotals(lines, clock, grossMarginRate: grossMarginRate)
        } merge: { totals, part in
            totals.append(part)
        }
    }
}
