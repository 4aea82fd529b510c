package import Units

/// Adds up a `CohortTable` from orders that come in chunks of whole customers.
///
/// Every sum is one of whole numbers, wide enough that it cannot overflow on the way, so that the
/// table is the same, byte for byte, however customers are cut into chunks and in whatever order
/// chunks and accumulators are added.
package struct CohortAccumulator: Sendable {
    package let periods: CalendarPeriods
    package let asOf: CalendarDay
    package let hasMargins: Bool
    /// Most periods from the first purchase to the as-of day; the table has half as many cells
    /// as its square.
    package let maximumPeriodCount: Int

    private struct Cell: Sendable {
        var activeCustomers = 0
        var orders = 0
        var revenue: Int128 = 0
        var margin: Int128 = 0
    }

    private struct Cohort: Sendable {
        var customerCount = 0
        var cells: [Cell]
    }

    private let asOfPeriod: Int
    /// `[k]`: the cohort k periods before that of the as-of day, which has k + 1 ages.
    private var cohorts: [Cohort] = []
    private var customersWithoutPurchase = 0

    /// - Parameters:
    ///   - grid: day, week (from Monday) or month of the calendar.
    ///   - asOf: orders of later days are not seen.
    ///   - hasMargins: whether every chunk comes with margins.
    ///   - maximumPeriodCount: default 1,200: three years of days, 23 of weeks.
    package init(
        grid: TimeGrid, asOf: CalendarDay, hasMargins: Bool, maximumPeriodCount: Int = 1_200
    ) {
        precondition(maximumPeriodCount >= 1)
        precondition(CalendarPeriods.dayRange.contains(asOf.daysSince1970))
        periods = CalendarPeriods(grid)
        self.asOf = asOf
        self.hasMargins = hasMargins
        self.maximumPeriodCount = maximumPeriodCount
        asOfPeriod = periods.index(of: asOf)
    }

    /// Adds the orders of some customers, all of each one's. O(rows).
    ///
    /// A row with an amount of 0 or more is an order; one below 0 is a return, which lowers revenue
    /// and margin of its period and makes nobody active. Returns before the first order count at
    /// age 0. Nothing is added where it throws.
    /// - Parameters:
    ///   - customerRows: ascending; equal ones are one customer. Other chunks may use the same
    ///     numbers for other customers.
    ///   - days: local days since 1970-01-01, in any order within a customer.
    ///   - amounts: ten-thousandths of the currency unit.
    ///   - margins: the same; nil where `hasMargins` is false.
    /// - Throws: `countMismatch`; `impossibleHistory` for customer rows that descend; `outOfRange`
    ///   for a day outside the years 1 to 9999 and for more than `maximumPeriodCount` periods.
    package mutating func add(
        customerRows: [Int32], days: [Int32], amounts: [Int64], margins: [Int64]?
    ) throws(ModelError) {
        let count = customerRows.count
        try requireCount(days.count, count, "days of orders")
        try requireCount(amounts.count, count, "amounts of orders")
        try requireCount(margins?.count ?? 0, hasMargins ? count : 0, "margins of orders")
        var earliest = asOf.daysSince1970
        for row in 0..<count {
            guard row == 0 || customerRows[row - 1] <= customerRows[row] else {
                throw .impossibleHistory(row: row, reason: "customer rows do not ascend")
            }
            guard CalendarPeriods.dayRange.contains(Int(days[row])) else {
                throw .outOfRange(
                    what: "day of order row \(row)", actual: Double(days[row]),
                    allowed: "the years 1 to 9999")
            }
            if amounts[row] >= 0 { earliest = min(earliest, Int(days[row])) }
        }
        let needed = asOfPeriod - periods.index(of: CalendarDay(daysSince1970: earliest)) + 1
        guard needed <= maximumPeriodCount else {
            throw .outOfRange(
                what: "cohort periods (\(periods.grid.rawValue)s)", actual: Double(needed),
                allowed: "up to \(maximumPeriodCount); use longer periods or a later start")
        }
        grow(to: count > 0 ? needed : 0)
        var start = 0
        var ages: [Int] = []
        while start < count {
            var end = start + 1
            while end < count, customerRows[end] == customerRows[start] { end += 1 }
            addCustomer(start..<end, days, amounts, margins, &ages)
            start = end
        }
    }

    /// The same for orders by instant, whose days are those of the clock's time zone.
    /// - Parameter times: UTC seconds since 1970.
    /// - Throws: as the other one.
    package mutating func add(
        customerRows: [Int32], times: [Int64], clock: LocalClock, amounts: [Int64],
        margins: [Int64]?
    ) throws(ModelError) {
        // Further from the ends than any time zone reaches.
        let range = CalendarPeriods.dayRange
        let limits = (range.lowerBound + 2) * 86_400..<(range.upperBound - 1) * 86_400
        var days: [Int32] = []
        days.reserveCapacity(times.count)
        for (row, time) in times.enumerated() {
            guard limits.contains(Int(time)) else {
                throw .outOfRange(
                    what: "time of order row \(row)", actual: Double(time),
                    allowed: "the years 1 to 9999")
            }
            days.append(Int32(clock.day(atUTC: Int(time)).daysSince1970))
        }
        try add(customerRows: customerRows, days: days, amounts: amounts, margins: margins)
    }

    private mutating func grow(to count: Int) {
        while cohorts.count < count {
            cohorts.append(Cohort(cells: [Cell](repeating: Cell(), count: cohorts.count + 1)))
        }
    }

    private mutating func addCustomer(
        _ rows: Range<Int>, _ days: [Int32], _ amounts: [Int64], _ margins: [Int64]?,
        _ ages: inout [Int]
    ) {
        let last = asOf.daysSince1970
        var first = Int.max
        var isSeen = false
        for row in rows where Int(days[row]) <= last {
            isSeen = true
            if amounts[row] >= 0 { first = min(first, Int(days[row])) }
        }
        guard isSeen else { return }
        guard first <= last else {
            customersWithoutPurchase += 1
            return
        }
        let own = periods.index(of: CalendarDay(daysSince1970: first))
        let cohort = asOfPeriod - own
        ages.removeAll(keepingCapacity: true)
        var isAscending = true
        for row in rows where Int(days[row]) <= last {
            let period = periods.index(of: CalendarDay(daysSince1970: Int(days[row])))
            let age = max(0, period - own)
            cohorts[cohort].cells[age].revenue += Int128(amounts[row])
            if let margins { cohorts[cohort].cells[age].margin += Int128(margins[row]) }
            guard amounts[row] >= 0 else { continue }
            cohorts[cohort].cells[age].orders += 1
            if let previous = ages.last {
                if previous == age { continue }
                if previous > age { isAscending = false }
            }
            ages.append(age)
        }
        if !isAscending { ages.sort() }
        var previous = -1
        for age in ages where age != previous {
            cohorts[cohort].cells[age].activeCustomers += 1
            previous = age
        }
        cohorts[cohort].customerCount += 1
    }

    /// Adds what another accumulator has seen of other customers.
    /// - Precondition: both have the same settings.
    package mutating func merge(_ other: CohortAccumulator) {
        precondition(
            periods == other.periods && asOf == other.asOf && hasMargins == other.hasMargins,
            "cohorts of different grids, days or margins cannot be merged")
        grow(to: other.cohorts.count)
        for (k, cohort) in other.cohorts.enumerated() {
            cohorts[k].customerCount += cohort.customerCount
            for (age, cell) in cohort.cells.enumerated() {
                cohorts[k].cells[age].activeCustomers += cell.activeCustomers
                cohorts[k].cells[age].orders += cell.orders
                cohorts[k].cells[age].revenue += cell.revenue
                cohorts[k].cells[age].margin += cell.margin
            }
        }
        customersWithoutPurchase += other.customersWithoutPurchase
    }

    /// The table of all that was added.
    /// - Throws: `noRows` where no customer has a purchase by the as-of day; `outOfRange` where the
    ///   sum of a cell leaves 64 bits.
    package func table() throws(ModelError) -> CohortTable {
        guard let oldest = cohorts.lastIndex(where: { $0.customerCount > 0 }) else {
            throw .noRows(model: "cohort table")
        }
        let isPartial = periods.index(of: asOf + 1) == asOfPeriod
        var result: [CohortTable.Cohort] = []
        for k in stride(from: oldest, through: 0, by: -1) {
            var cells: [CohortTable.Cell] = []
            for (age, cell) in cohorts[k].cells.enumerated() {
                guard let revenue = Int64(exactly: cell.revenue),
                    let margin = Int64(exactly: cell.margin)
                else {
                    throw .outOfRange(
                        what: "revenue or margin of a cohort cell", actual: Double(cell.revenue),
                        allowed: "a sum within 64 bits of ten-thousandths")
                }
                cells.append(
                    CohortTable.Cell(
                        activeCustomers: cell.activeCustomers, orders: cell.orders,
                        revenue: revenue, margin: hasMargins ? margin : nil,
                        isPartial: isPartial && age == k))
            }
            result.append(
                CohortTable.Cohort(
                    firstDaySince1970: periods.firstDay(of: asOfPeriod - k).daysSince1970,
                    customerCount: cohorts[k].customerCount, cells: cells))
        }
        return CohortTable(
            grid: periods.grid, asOfSince1970: asOf.daysSince1970, lastPeriodIsPartial: isPartial,
            cohorts: result, customersWithoutPurchase: customersWithoutPurchase)
    }
}
