import ByteCoding
import Numerical
package import Units

/// What customers did after the as-of day, for a back-test: one element a requested row.
package struct HoldoutOutcome: Sendable, Equatable {
    /// Orders that began in the period.
    package var orderCount: [Int32] = []
    /// Revenue net of returns in the period, currency units.
    package var revenue: [Double] = []
    /// Margin net of returns in the period, currency units.
    package var margin: [Double] = []

    package init() {}

    /// Adds the customers that follow.
    package mutating func append(_ next: HoldoutOutcome) {
        orderCount += next.orderCount
        revenue += next.revenue
        margin += next.margin
    }
}

/// Counts the orders that began in (after, through], both local days.
///
/// An order with lines on both sides of `after` belongs to the day of its first purchase line and
/// is not counted again. Customers born in the period have no row to be counted in.
/// - Parameters:
///   - customerRows: rows of `history`, such as those of `customerRows(asOf:clock:)`.
///   - through: inclusive; a day not later than `after` gives zeros.
package func holdoutOutcome(
    _ history: PurchaseHistory, customerRows: [Int], after: CalendarDay, through: CalendarDay,
    clock: LocalClock, grossMarginRate: Double, threadCount: Int
) -> HoldoutOutcome {
    let seen = AsOfWindow(after: nil, through: through, clock: clock)
    let partials = parallelMap(
        count: customerRows.count, chunkSize: 2_048, threadCount: threadCount
    ) { _, rows in
        var part = HoldoutOutcome()
        var scan = OrderScan()
        for row in rows {
            scan.reset()
            var revenue: Int64 = 0
            var margin: Int64 = 0
            for line in history.lines(ofCustomer: customerRows[row]) {
                let time = history.times[line]
                if seen.isPast(time) { break }
                guard seen.contains(time) else { continue }
                let local = clock.localSeconds(atUTC: Int(time))
                let day = localDay(ofSeconds: local)
                if day > after.daysSince1970 {
                    revenue += history.amounts[line]
                    margin += history.margins?[line] ?? 0
                }
                guard history.amounts[line] >= 0 else { continue }
                _ = scan.add(
                    line: line, code: history.orderCodes?[line], day: day, localSeconds: local)
            }
            let orders = scan.orders.count { $0.day > after.daysSince1970 }
            let revenueUnits = Money(tenThousandths: revenue).units
            part.orderCount.append(Int32(clamping: orders))
            part.revenue.append(revenueUnits)
            part.margin.append(
                history.margins == nil
                    ? revenueUnits * grossMarginRate : Money(tenThousandths: margin).units)
        }
        return part
    }
    var outcome = HoldoutOutcome()
    for part in partials { outcome.append(part) }
    return outcome
}
