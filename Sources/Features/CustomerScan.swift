import ByteCoding
import Units

/// Reads the lines of one customer after the other and leaves the features of the last one read in
/// `row`, undefined ones as NaN, and its `CustomerHistory` appended to `result`.
struct CustomerScan {
    let history: PurchaseHistory
    let layout: FeatureLayout
    let window: AsOfWindow
    let clock: LocalClock
    let asOf: Int
    let grossMarginRate: Double

    private(set) var row: [Float]
    private(set) var result = CustomerHistory()
    private var scan = OrderScan()
    private var categoryCounts: [Int]
    private var channelCounts: [Int]
    /// Orders by hour, by part of the day and by weekday.
    private var timeCounts = [Int](repeating: 0, count: 24 + 6 + 7)

    init(
        history: PurchaseHistory, layout: FeatureLayout, window: AsOfWindow, clock: LocalClock,
        asOf: CalendarDay, grossMarginRate: Double
    ) {
        self.history = history
        self.layout = layout
        self.window = window
        self.clock = clock
        self.asOf = asOf.daysSince1970
        self.grossMarginRate = grossMarginRate
        row = [Float](repeating: .nan, count: layout.width)
        categoryCounts = [Int](repeating: 0, count: layout.categories?.count ?? 0)
        channelCounts = [Int](repeating: 0, count: layout.channels?.count ?? 0)
    }

    /// Net sums in ten-thousandths: all, and the last 30, 90 and 365 days.
    private struct WindowSums {
        var all: Int64 = 0
        var last30: Int64 = 0
        var last90: Int64 = 0
        var last365: Int64 = 0

        mutating func add(_ value: Int64, age: Int) {
            all += value
            if age < 365 { last365 += value }
            if age < 90 { last90 += value }
            if age < 30 { last30 += value }
        }
    }

    private struct Totals {
        var lines = 0
        var purchaseLines = 0
        var promotedLines = 0
        var categorizedLines = 0
        var items = 0.0
        var firstDay = Int.max
        var revenue = WindowSums()
        var margin = WindowSums()
    }

    /// Reads the customer of that row, who must have a line in the window.
    mutating func read(customer: Int) {
        let totals = readLines(of: customer)
        for index in row.indices { row[index] = .nan }
        set(.lineCount, Double(totals.lines))
        set(.tenureDays, Double(asOf - totals.firstDay))
        set(.returnRate, Double(totals.lines - totals.purchaseLines) / Double(totals.lines))
        setMoney(totals)
        setOrders(totals)
        setShares(totals)
    }

    private mutating func readLines(of customer: Int) -> Totals {
        scan.reset()
        for index in categoryCounts.indices { categoryCounts[index] = 0 }
        var totals = Totals()
        for line in history.lines(ofCustomer: customer) {
            let time = history.times[line]
            if window.isPast(time) { break }
            guard window.contains(time) else { continue }
            let local = clock.localSeconds(atUTC: Int(time))
            let day = localDay(ofSeconds: local)
            let amount = history.amounts[line]
            let margin = history.margins?[line] ?? 0
            totals.lines += 1
            totals.firstDay = min(totals.firstDay, day)
            totals.revenue.add(amount, age: asOf - day)
            totals.margin.add(margin, age: asOf - day)
            guard amount >= 0 else { continue }

            let order = scan.add(
                line: line, code: history.orderCodes?[line], day: day, localSeconds: local)
            scan.addMoney(amount: amount, margin: margin, toOrder: order)
            totals.purchaseLines += 1
            totals.items += history.quantities.map { Double($0[line]) } ?? 1
            if let promotions = history.promotions, promotions.codes[line] != CodedText.missing {
                totals.promotedLines += 1
            }
            if let categories = history.categories, let columns = layout.categories,
                let slot = columns.slot(of: categories.codes[line])
            {
                categoryCounts[slot] += 1
                totals.categorizedLines += 1
            }
        }
        return totals
    }

    private mutating func set(_ scalar: FeatureLayout.Scalar, _ value: Double) {
        row[scalar.rawValue] = Float(value)
    }

    private mutating func setMoney(_ totals: Totals) {
        let revenue = totals.revenue
        set(.revenue, units(revenue.all))
        set(.revenue30Days, units(revenue.last30))
        set(.revenue90Days, units(revenue.last90))
        set(.revenue365Days, units(revenue.last365))
        let margin = totals.margin
        set(.margin, marginUnits(margin.all, revenue: revenue.all))
        set(.margin30Days, marginUnits(margin.last30, revenue: revenue.last30))
        result.revenue.append(units(revenue.all))
        result.margin.append(marginUnits(margin.all, revenue: revenue.all))
        set(.margin90Days, marginUnits(margin.last90, revenue: revenue.last90))
        set(.margin365Days, marginUnits(margin.last365, revenue: revenue.last365))
    }

    private func units(_ tenThousandths: Int64) -> Double {
        Money(tenThousandths: tenThousandths).units
    }

    private func marginUnits(_ margin: Int64, revenue: Int64) -> Double {
        history.margins == nil ? units(revenue) * grossMarginRate : units(margin)
    }

    private mutating func setOrders(_ totals: Totals) {
        let orders = scan.orders
        guard let first = orders.first else {
            set(.orderCount, 0)
            appendOnlyReturns()
            return
        }
        // Orders are in time order; only a zone that turned its clock back past midnight can make
        // a day precede the previous one, hence the maximum.
        let firstDay = first.day
        var lastDay = firstDay
        var repeatAmount: Int64 = 0
        var repeatMargin: Int64 = 0
        var counts = (last30: 0, last90: 0, last365: 0)
        var gapSquares = 0
        var lastGap = 0
        for (index, order) in orders.enumerated() {
            let age = asOf - order.day
            if age < 365 { counts.last365 += 1 }
            if age < 90 { counts.last90 += 1 }
            if age < 30 { counts.last30 += 1 }
            if index > 0 {
                let gap = max(0, order.day - lastDay)
                gapSquares += gap * gap
                lastGap = gap
                repeatAmount += order.amount
                repeatMargin += order.margin
            }
            lastDay = max(lastDay, order.day)
        }
        let repeats = orders.count - 1
        let span = lastDay - firstDay
        let observed = asOf - firstDay
        set(.repeatPurchaseCount, Double(repeats))
        set(.ageAtLastPurchaseDays, Double(span))
        set(.observedAgeDays, Double(observed))
        set(.daysSinceLastPurchase, Double(asOf - lastDay))
        set(.orderCount, Double(orders.count))
        set(.orderCount30Days, Double(counts.last30))
        set(.orderCount90Days, Double(counts.last90))
        set(.orderCount365Days, Double(counts.last365))
        set(.itemsPerOrder, totals.items / Double(orders.count))
        set(.meanOrderValueWithFirst, units(repeatAmount + first.amount) / Double(orders.count))

        var meanValue = 0.0
        var meanMargin = 0.0
        if repeats > 0 {
            meanValue = units(repeatAmount) / Double(repeats)
            meanMargin = marginUnits(repeatMargin, revenue: repeatAmount) / Double(repeats)
            set(.meanOrderValue, meanValue)
            set(.meanOrderMargin, meanMargin)
            set(.interPurchaseMeanDays, Double(span) / Double(repeats))
            set(.lastInterPurchaseDays, Double(lastGap))
        }
        if repeats > 1 {
            // n Σg² - (Σg)² of whole numbers: exact up to 2^53, where a difference of means would
            // cancel.
            let scatter =
                Double(repeats) * Double(gapSquares) - Double(span) * Double(span)
            let variance = max(0, scatter) / (Double(repeats) * Double(repeats - 1))
            set(.interPurchaseDeviationDays, variance.squareRoot())
        }
        let months = CustomerHistory.months(observedAgeDays: observed)
        let monthlyRevenue = units(totals.revenue.all) / months
        set(.monthlyRevenue, monthlyRevenue)

        result.repeatPurchaseCount.append(Int32(clamping: repeats))
        result.ageAtLastPurchaseDays.append(Int32(clamping: span))
        result.observedAgeDays.append(Int32(clamping: observed))
        result.daysSinceLastPurchase.append(Int32(clamping: asOf - lastDay))
        result.meanOrderValue.append(meanValue)
        result.meanOrderMargin.append(meanMargin)
        result.monthlyRevenue.append(monthlyRevenue)
        result.monthlyMargin.append(
            marginUnits(totals.margin.all, revenue: totals.revenue.all) / months)
        result.status.append(CustomerHistory.ok)
    }

    private mutating func appendOnlyReturns() {
        result.repeatPurchaseCount.append(0)
        result.ageAtLastPurchaseDays.append(0)
        result.observedAgeDays.append(0)
        result.daysSinceLastPurchase.append(0)
        result.meanOrderValue.append(0)
        result.meanOrderMargin.append(0)
        result.monthlyRevenue.append(0)
        result.monthlyMargin.append(0)
        result.status.append(CustomerHistory.onlyReturns)
    }

    private mutating func setShares(_ totals: Totals) {
        let orders = scan.orders
        guard !orders.isEmpty else { return }
        let share = 1 / Double(orders.count)
        // Counts first, one division at the end: a share of all orders is exactly 1.
        for index in timeCounts.indices { timeCounts[index] = 0 }
        for order in orders {
            let hour = min(23, max(0, order.hour))
            timeCounts[hour] += 1
            timeCounts[24 + hour / 4] += 1
            timeCounts[30 + order.weekday] += 1
        }
        for (index, count) in timeCounts.enumerated() {
            row[layout.hourBase + index] = Float(Double(count) * share)
        }
        if history.promotions != nil {
            set(.promotionShare, Double(totals.promotedLines) / Double(totals.purchaseLines))
        }
        if let columns = layout.categories, totals.categorizedLines > 0 {
            for (slot, count) in categoryCounts.enumerated() {
                row[columns.base + slot] = Float(Double(count) / Double(totals.categorizedLines))
            }
        }
        if let columns = layout.channels, let channels = history.channels {
            for index in channelCounts.indices { channelCounts[index] = 0 }
            var known = 0
            for order in orders {
                guard let slot = columns.slot(of: channels.codes[order.firstLine]) else { continue }
                channelCounts[slot] += 1
                known += 1
            }
            guard known > 0 else { return }
            for (slot, count) in channelCounts.enumerated() {
                row[columns.base + slot] = Float(Double(count) / Double(known))
            }
        }
    }
}
