import ByteCoding
import Features
import Units

/// Where a snapshot's strip has what is known of a customer's purchases.
struct HistoryFields: Sendable {
    private let count: Int
    private let age: Int
    private let since: Int
    private let mean: Int
    private let revenue: Int
    private let margin: Int
    /// Whether lines have margins of their own.
    private let hasMargins: Bool

    /// Nil for a snapshot without these columns.
    init?(_ snapshot: ServingSnapshot, hasMargins: Bool) {
        func index(_ column: ScoreCatalog.Column) -> Int? {
            snapshot.columnIndex(id: column.rawValue)
        }
        guard let count = index(.repeatPurchaseCount), let age = index(.observedAgeDays),
            let since = index(.daysSinceLastPurchase), let mean = index(.meanOrderValue),
            let revenue = index(.revenue), let margin = index(.margin)
        else { return nil }
        (self.count, self.age, self.since) = (count, age, since)
        (self.mean, self.revenue, self.margin) = (mean, revenue, margin)
        self.hasMargins = hasMargins
    }

    /// What a customer's row and later lines come to; nil where the row is not enough to tell.
    /// - Parameters:
    ///   - customer: nil for one whom the snapshot does not have.
    ///   - lines: by time, none of them in the snapshot.
    ///   - isKnown: whether an order id of a line may be that of an order in the snapshot.
    func tally(
        of customer: EntityID?, _ lines: [LiveCustomers.Line], in snapshot: ServingSnapshot,
        clock: LocalClock, isKnown: (UInt32) -> Bool
    ) -> OrderTotals? {
        var totals = OrderTotals(hasMargins: hasMargins)
        if let customer, let row = snapshot.row(of: customer), !take(row, snapshot, into: &totals) {
            return nil
        }
        for line in lines {
            let day = clock.day(atUTC: Int(line.time)).daysSince1970
            guard totals.add(line, day: day, isKnown: isKnown) else { return nil }
        }
        return totals
    }

    /// The sums that the row's numbers were made of.
    /// - Returns: false where they cannot be told to the last digit.
    private func take(
        _ row: Int, _ snapshot: ServingSnapshot, into totals: inout OrderTotals
    ) -> Bool {
        let strip = snapshot.strip
        func value(_ field: Int) -> Double { strip.value(field: field, row: row) ?? 0 }
        guard let revenue = Self.sum(value(revenue)) else { return false }
        totals.revenue = revenue
        if hasMargins {
            guard let margin = Self.sum(value(margin)) else { return false }
            totals.margin = margin
        }
        switch strip.status(row: row) {
        case CustomerHistory.ok: break
        case CustomerHistory.onlyReturns: return true
        default: return false
        }
        let asOf = snapshot.asOf.daysSince1970
        totals.orderCount = Int(value(count)) + 1
        totals.firstDay = asOf - Int(value(age))
        totals.lastDay = asOf - Int(value(since))
        guard totals.orderCount > 1 else { return true }
        let repeats = Double(totals.orderCount - 1)
        let mean = value(mean)
        guard
            let sum = Int64(exactly: (mean * repeats * Double(Money.scale)).rounded()),
            sum.magnitude < 1 << 51, Money(tenThousandths: sum).units / repeats == mean
        else { return false }
        totals.repeatAmount = sum
        return true
    }

    /// The ten-thousandths that a number of units was made of; nil for one beyond the digits of a
    /// double.
    private static func sum(_ units: Double) -> Int64? {
        guard let sum = Int64(exactly: (units * Double(Money.scale)).rounded()),
            sum.magnitude < 1 << 51, Money(tenThousandths: sum).units == units
        else { return nil }
        return sum
    }
}

/// What a customer's lines come to: goes on line by line.
struct OrderTotals {
    var orderCount = 0
    /// Of orders, local days since 1970-01-01; of no meaning without one.
    var firstDay = 0
    var lastDay = 0
    /// Of the orders after the first, ten-thousandths.
    var repeatAmount: Int64 = 0
    /// Of all lines, returns deducted.
    var revenue: Int64 = 0
    var margin: Int64 = 0
    private let hasMargins: Bool
    /// Those that lines added have opened.
    private var opened: [Order] = []
    /// Whether the first of them is the customer's first.
    private var isFirstOpened = false
    /// The last day of the orders that were there before; nil without one.
    private var knownDay: Int?

    private enum Order: Equatable {
        case day(Int)
        case id(UInt32)
    }

    init(hasMargins: Bool) { self.hasMargins = hasMargins }

    /// - Parameter isKnown: whether an order id may be that of an order that was there before.
    /// - Returns: false, and the totals are of no more use, where the line may belong to an order
    ///   that is known already, or a sum is too large.
    mutating func add(
        _ line: LiveCustomers.Line, day: Int, isKnown: (UInt32) -> Bool
    ) -> Bool {
        guard (line.margin != nil) == hasMargins else { return false }
        let (sum, overflow) = revenue.addingReportingOverflow(line.amount)
        let (marginSum, marginOverflow) = margin.addingReportingOverflow(line.margin ?? 0)
        guard !overflow, !marginOverflow else { return false }
        (revenue, margin) = (sum, marginSum)
        // A return is never an order.
        guard line.amount >= 0 else { return true }
        let order = line.order == CodedText.missing ? Order.day(day) : .id(line.order)
        let place: Int
        if let known = opened.lastIndex(of: order) {
            place = known
        } else {
            guard open(order, day, isKnown) else { return false }
            place = opened.count - 1
        }
        if place > 0 || !isFirstOpened {
            let (amount, overflow) = repeatAmount.addingReportingOverflow(line.amount)
            guard !overflow else { return false }
            repeatAmount = amount
        }
        return true
    }

    private mutating func open(_ order: Order, _ day: Int, _ isKnown: (UInt32) -> Bool) -> Bool {
        if opened.isEmpty {
            isFirstOpened = orderCount == 0
            knownDay = isFirstOpened ? nil : lastDay
        }
        if let knownDay {
            switch order {
            // Of an earlier day there may be one.
            case .day: guard day > knownDay else { return false }
            // One of the first day might be the first of all.
            case .id(let id): guard day > firstDay, !isKnown(id) else { return false }
            }
        }
        if orderCount == 0 { (firstDay, lastDay) = (day, day) }
        // Days ascend, but where a zone turns its clock back past midnight: an order is then of a day
        // before the last.
        lastDay = max(lastDay, day)
        orderCount += 1
        opened.append(order)
        return true
    }

    /// The customer's row as a scan of all lines has it.
    func append(
        to history: inout CustomerHistory, asOf: CalendarDay, grossMarginRate: Double
    ) {
        let units = Money(tenThousandths: revenue).units
        let marginUnits =
            hasMargins ? Money(tenThousandths: margin).units : units * grossMarginRate
        history.append(
            orderCount: orderCount, firstDay: firstDay, lastDay: lastDay,
            asOf: asOf.daysSince1970,
            repeatRevenue: Money(tenThousandths: repeatAmount).units, revenue: units,
            margin: marginUnits)
    }
}
