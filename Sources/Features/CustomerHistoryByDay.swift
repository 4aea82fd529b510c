package import Units

/// The history of one customer as of several days, one row a day: what the feature tables of these
/// days have in the customer's row. O(days x lines).
/// - Parameters:
///   - customer: a row of `history`, whose customer has a line by each of the days.
///   - grossMarginRate: margin = revenue x rate where the history has no margins.
package func customerHistory(
    of history: PurchaseHistory, customer: Int, asOf days: [CalendarDay], clock: LocalClock,
    grossMarginRate: Double
) -> CustomerHistory {
    let layout = FeatureLayout(categories: nil, channels: nil)
    var result = CustomerHistory()
    for day in days {
        var scan = CustomerScan(
            history: history, layout: layout,
            window: AsOfWindow(after: nil, through: day, clock: clock), clock: clock, asOf: day,
            grossMarginRate: grossMarginRate)
        scan.read(customer: customer)
        result.append(contentsOf: scan.result)
    }
    return result
}
