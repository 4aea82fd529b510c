/// Why the lifetime value of some customers is not what the simple formula says, field by field.
///
/// Each step replaces one assumption of the simple formula (monthly revenue x margin x duration) by what
/// the models say, and keeps the others; its difference is what that assumption is worth. The sums of
/// the steps lead from the one value to the other without a rest. In another order the single
/// differences would be others: they belong to the order in which they stand.
package struct ValueGap: Codable, Equatable, Sendable {
    package enum Step: String, Codable, CaseIterable, Sendable {
        /// The lifetime horizon instead of the expected duration.
        case duration
        /// The purchases that are expected of a customer who is still there, instead of going on as so
        /// far.
        case orders
        /// The probability of still being there.
        case alive
        /// The expected value of a future order, instead of the mean revenue of the past ones, from
        /// which returns are deducted.
        case orderValue
        /// The discount of what comes later.
        case discount
    }

    /// Sum over the customers, currency units of the basis.
    package let simpleValue: Double
    /// What each step adds, in the order of `Step.allCases`.
    package let differences: [Double]
    /// simpleValue and all differences: the sum of the lifetime values, to rounding.
    package let lifetimeValue: Double
    /// Who have both values; the others are left out.
    package let customerCount: Int

    package subscript(step: Step) -> Double {
        Step.allCases.firstIndex(of: step).map { differences[$0] } ?? 0
    }

    /// O(customers); sums in their order.
    /// - Parameters:
    ///   - monthlyRevenue: as in `SimpleValueFormula.values`.
    ///   - revenue: net of returns, of all orders so far.
    ///   - orderCount: at least 1 where the status is 0.
    ///   - simpleMonths: the duration of the simple formula; above 0.
    ///   - horizonMonths: of `scores`; above 0.
    ///   - marginRatio: of the basis; finite.
    ///   - include: nil: all.
    /// - Throws: `countMismatch`; `outOfRange` for months or a ratio; `notIdentified` where the scores have no
    ///   lifetime value; `noRows` where no customer has both values.
    package init(
        monthlyRevenue: [Double], revenue: [Double], orderCount: [Int32], scores: LifetimeScores,
        simpleMonths: Double, horizonMonths: Double, marginRatio: Double, include: [Bool]? = nil
    ) throws(ModelError) {
        let count = scores.status.count
        try requireCount(monthlyRevenue.count, count, "monthly revenues")
        try requireCount(revenue.count, count, "revenues")
        try requireCount(orderCount.count, count, "order counts")
        if let include { try requireCount(include.count, count, "included rows") }
        for (what, months) in [("simple", simpleMonths), ("horizon", horizonMonths)]
        where !(months > 0 && months.isFinite) {
            throw .outOfRange(
                what: "\(what) duration in months", actual: months, allowed: "finite and above 0")
        }
        guard marginRatio.isFinite else {
            throw .outOfRange(what: "margin ratio", actual: marginRatio, allowed: "finite")
        }
        guard let values = scores.lifetimeValue, let orderValues = scores.expectedOrderValue else {
            throw .notIdentified(
                model: "value gap", reason: "there is no lifetime value to compare with")
        }
        var totals = [Double](repeating: 0, count: Step.allCases.count + 1)
        var customerCount = 0
        for row in 0..<count where scores.status[row] == 0 && include?[row] ?? true {
            let alive = scores.probabilityAlive[row]
            guard monthlyRevenue[row].isFinite, revenue[row].isFinite, orderCount[row] > 0 else {
                continue
            }
            customerCount += 1
            let perOrder = revenue[row] / Double(orderCount[row])
            let orders = scores.expectedPurchases[row]
            // Who is gone for certain would have gone on as so far, for all that is known.
            let ifAlive =
                alive > 0
                ? orders / alive * perOrder : monthlyRevenue[row] * horizonMonths
            let chain = [
                monthlyRevenue[row] * simpleMonths, monthlyRevenue[row] * horizonMonths, ifAlive,
                orders * perOrder, orders * orderValues[row],
            ]
            for (place, value) in chain.enumerated() { totals[place] += value * marginRatio }
            totals[chain.count] += values[row]
        }
        guard customerCount > 0 else { throw .noRows(model: "value gap") }
        for total in totals where !total.isFinite {
            throw .outOfRange(what: "a sum of values", actual: total, allowed: "finite")
        }
        self.customerCount = customerCount
        simpleValue = totals[0]
        lifetimeValue = totals[totals.count - 1]
        differences = zip(totals.dropFirst(), totals).map { $0 - $1 }
    }
}
