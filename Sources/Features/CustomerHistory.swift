/// What the lifetime models need of each customer, one element a row of the feature table.
///
/// Days are whole local days; money is in currency units. An order is dated by its first purchase
/// line; a return (negative amount) is never an order. Rows with status `onlyReturns` hold 0 in
/// every count and mean.
package struct CustomerHistory: Sendable, Equatable {
    /// Orders after the first: x.
    package var repeatPurchaseCount: [Int32] = []
    /// Days from the first to the last order: t_x; 0 where x = 0 (and where all orders are of one
    /// day, which only order ids make possible with x > 0).
    package var ageAtLastPurchaseDays: [Int32] = []
    /// Days from the first order to the as-of day: T.
    package var observedAgeDays: [Int32] = []
    /// T - t_x.
    package var daysSinceLastPurchase: [Int32] = []
    /// Mean revenue of the repeat orders, the first excluded, returns not deducted; 0 if x = 0.
    package var meanOrderValue: [Double] = []
    /// Mean margin of the repeat orders, the first excluded; 0 if x = 0. May be negative.
    package var meanOrderMargin: [Double] = []
    /// Revenue net of returns, exact to the ten-thousandth (the feature columns are Floats).
    package var revenue: [Double] = []
    /// Margin net of returns.
    package var margin: [Double] = []
    /// Revenue net of returns over the observed age, a month:
    /// revenue / max(1, (T + 1) / 30.436875).
    package var monthlyRevenue: [Double] = []
    /// Margin over the observed age, a month, by the same divisor.
    package var monthlyMargin: [Double] = []
    /// 0 ok, 2 without a line or 3 only returns.
    package var status: [UInt8] = []

    /// Status codes of a row, the same numbers as on the wire.
    package static let ok: UInt8 = 0
    /// Of a customer who is known by attributes alone.
    package static let withoutLines: UInt8 = 2
    package static let onlyReturns: UInt8 = 3

    package init() {}

    package var count: Int { status.count }

    package mutating func append(contentsOf other: CustomerHistory) {
        repeatPurchaseCount += other.repeatPurchaseCount
        ageAtLastPurchaseDays += other.ageAtLastPurchaseDays
        observedAgeDays += other.observedAgeDays
        daysSinceLastPurchase += other.daysSinceLastPurchase
        meanOrderValue += other.meanOrderValue
        meanOrderMargin += other.meanOrderMargin
        revenue += other.revenue
        margin += other.margin
        monthlyRevenue += other.monthlyRevenue
        monthlyMargin += other.monthlyMargin
        status += other.status
    }

    /// Replaces a row by one of another history.
    package mutating func set(_ row: Int, to other: CustomerHistory, _ otherRow: Int) {
        repeatPurchaseCount[row] = other.repeatPurchaseCount[otherRow]
        ageAtLastPurchaseDays[row] = other.ageAtLastPurchaseDays[otherRow]
        observedAgeDays[row] = other.observedAgeDays[otherRow]
        daysSinceLastPurchase[row] = other.daysSinceLastPurchase[otherRow]
        meanOrderValue[row] = other.meanOrderValue[otherRow]
        meanOrderMargin[row] = other.meanOrderMargin[otherRow]
        revenue[row] = other.revenue[otherRow]
        margin[row] = other.margin[otherRow]
        monthlyRevenue[row] = other.monthlyRevenue[otherRow]
        monthlyMargin[row] = other.monthlyMargin[otherRow]
        status[row] = other.status[otherRow]
    }

    /// Adds the row of a customer from what the lines come to, as a scan of the lines has it; but for
    /// the mean margin of orders, which is 0.
    /// - Parameters:
    ///   - orderCount: 0 for a customer with returns only.
    ///   - firstDay: of the orders, days since 1970-01-01, as `lastDay` and `asOf`.
    ///   - repeatRevenue: of the orders after the first, returns not deducted.
    ///   - revenue: of all lines, returns deducted; so is `margin`.
    package mutating func append(
        orderCount: Int, firstDay: Int, lastDay: Int, asOf: Int, repeatRevenue: Double,
        revenue: Double, margin: Double
    ) {
        let hasOrders = orderCount > 0
        let observed = hasOrders ? asOf - firstDay : 0
        let months = Self.months(observedAgeDays: observed)
        repeatPurchaseCount.append(Int32(clamping: max(0, orderCount - 1)))
        ageAtLastPurchaseDays.append(hasOrders ? Int32(clamping: lastDay - firstDay) : 0)
        observedAgeDays.append(Int32(clamping: observed))
        daysSinceLastPurchase.append(hasOrders ? Int32(clamping: asOf - lastDay) : 0)
        meanOrderValue.append(orderCount > 1 ? repeatRevenue / Double(orderCount - 1) : 0)
        meanOrderMargin.append(0)
        self.revenue.append(revenue)
        self.margin.append(margin)
        monthlyRevenue.append(hasOrders ? revenue / months : 0)
        monthlyMargin.append(hasOrders ? margin / months : 0)
        status.append(hasOrders ? Self.ok : Self.onlyReturns)
    }
}
