import ByteCoding
package import Units

/// The orders and returns of customers by local day: what cohort tables, survival times and the
/// path of one customer are made of.
///
/// A row with an amount of 0 or more is an order, dated by its first purchase line and summed over
/// its purchase lines; one with an amount below 0 is a return line of its day. Customers come in
/// the order of the history; of each one the orders, by their first line, then the returns, by
/// time. Every column has `count` rows.
package struct DatedOrders: Sendable, Equatable {
    /// Rows of the history, ascending; customers without a line in the window have none.
    package private(set) var customerRows: [Int32] = []
    /// Local days since 1970-01-01. Those of a customer's orders ascend, but where a time zone has
    /// turned its clock back past midnight.
    package private(set) var days: [Int32] = []
    /// Ten-thousandths of the currency unit.
    package private(set) var amounts: [Int64] = []
    /// The same; nil where the history has no margins.
    package private(set) var margins: [Int64]?

    package var count: Int { days.count }

    /// Reads all lines of the history once, those after `asOf` aside. O(lines).
    package init(_ history: PurchaseHistory, asOf: CalendarDay, clock: LocalClock) {
        let window = AsOfWindow(after: nil, through: asOf, clock: clock)
        margins = history.margins.map { _ in [] }
        var scan = OrderScan()
        var returns: [(line: Int, day: Int)] = []
        for customer in 0..<history.customerCount {
            scan.reset()
            returns.removeAll(keepingCapacity: true)
            for line in history.lines(ofCustomer: customer) {
                let time = history.times[line]
                if window.isPast(time) { break }
                guard window.contains(time) else { continue }
                let local = clock.localSeconds(atUTC: Int(time))
                let day = localDay(ofSeconds: local)
                guard history.amounts[line] >= 0 else {
                    returns.append((line, day))
                    continue
                }
                let order = scan.add(
                    line: line, code: history.orderCodes?[line], day: day, localSeconds: local)
                scan.addMoney(
                    amount: history.amounts[line], margin: history.margins?[line] ?? 0,
                    toOrder: order)
            }
            for order in scan.orders {
                append(customer, order.day, order.amount, order.margin)
            }
            for (line, day) in returns {
                append(customer, day, history.amounts[line], history.margins?[line] ?? 0)
            }
        }
    }

    private mutating func append(_ customer: Int, _ day: Int, _ amount: Int64, _ margin: Int64) {
        customerRows.append(Int32(customer))
        days.append(Int32(day))
        amounts.append(amount)
        margins?.append(margin)
    }

    /// The rows of the customer that row `start` is the first of.
    package func rows(from start: Int) -> Range<Int> {
        var end = start + 1
        while end < count, customerRows[end] == customerRows[start] { end += 1 }
        return start..<end
    }
}
