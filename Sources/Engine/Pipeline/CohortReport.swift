import Features
package import Models
package import Units

/// Customers by the calendar period of their first order and what they did since, period by
/// period. Money is in currency units; an order is dated by its first purchase line, and a return
/// lowers revenue and margin of the period in which it was made.
package struct CohortReport: Encodable, Sendable {
    package struct Cell: Encodable, Sendable {
        /// Periods since the cohort's own.
        package var age: Int
        /// Customers with an order in the period, each once, and their share of the cohort.
        package var activeCustomers: Int
        package var activeShare: Double?
        package var orders: Int
        /// Net of returns.
        package var revenue: Double
        package var margin: Double
        /// Up to and including this period, a customer of the cohort.
        package var cumulativeRevenuePerCustomer: Double?
        package var cumulativeMarginPerCustomer: Double?
        /// Whether the period goes on after the as-of day.
        package var isPartial: Bool
    }

    package struct Cohort: Encodable, Sendable {
        /// First day of the period.
        package var firstDay: String
        package var customerCount: Int
        /// By age, from 0 without gaps up to the period of the as-of day.
        package var cells: [Cell]
    }

    /// All cohorts with a complete cell at one age.
    package struct Age: Encodable, Sendable {
        package var age: Int
        package var cohortCount: Int
        package var customerCount: Int
        /// Nil where no cell is complete.
        package var activeShare: Double?
    }

    package var grid: String
    package var asOf: String
    package var currency: String
    /// What an order is and where margins come from, in words.
    package var convention: String
    package var customerCount: Int
    /// Customers with returns only, who are in no cohort.
    package var customersWithoutPurchase: Int
    package var lastPeriodIsPartial: Bool
    package var cohorts: [Cohort]
    package var ages: [Age]

    /// One line a cell.
    package func writeCSV(to path: String) throws(EngineError) {
        let header = [
            "cohort", "customers", "age", "active_customers", "active_share", "orders", "revenue",
            "margin", "cumulative_revenue_per_customer", "cumulative_margin_per_customer",
            "is_partial",
        ]
        let rows = cohorts.lazy.flatMap { cohort in
            cohort.cells.map { cell in
                [
                    cohort.firstDay, "\(cohort.customerCount)", "\(cell.age)",
                    "\(cell.activeCustomers)", CSVFile.number(cell.activeShare), "\(cell.orders)",
                    "\(cell.revenue)", "\(cell.margin)",
                    CSVFile.number(cell.cumulativeRevenuePerCustomer),
                    CSVFile.number(cell.cumulativeMarginPerCustomer), "\(cell.isPartial)",
                ]
            }
        }
        try CSVFile.write(header, rows, to: path)
    }
}

extension Workspace {
    /// The cohort tables of all customers as of a day, in one pass over the lines.
    ///
    /// Sums are of whole ten-thousandths, so the same for any number of threads.
    /// - Parameters:
    ///   - grid: calendar days, weeks from Monday, or months.
    ///   - requested: nil as in `asOfDay`.
    /// - Throws: `.noPurchases`; `.model` for a grid so fine that there are over 1,200 periods, and
    ///   where no customer has an order by the day; `.store` for damaged files.
    package func cohorts(
        grid: TimeGrid = .month, asOf requested: CalendarDay? = nil, threadCount: Int
    ) throws(EngineError) -> CohortReport {
        let asOf = try asOfDay(requested, threadCount: threadCount)
        let lines = try segmentedHistory(threadCount: threadCount)
        let hasMargins = lines.columns.contains(.margins)
        let table = try lines.cohortTable(
            grid: grid, asOf: asOf, clock: plan.clock, threadCount: threadCount)
        return CohortReport(
            table, currency: plan.currency, convention: cohortConvention(lines.columns),
            marginRate: hasMargins ? nil : plan.grossMarginRate)
    }

    private func cohortConvention(_ columns: LineColumns) -> String {
        let order = columns.contains(.orders) ? "one order id" : "one customer-day"
        let margin =
            columns.contains(.margins)
            ? "margin from its column" : "margin = revenue x \(plan.grossMarginRate)"
        return "an order is \(order), dated by its first purchase line; returns lower the revenue "
            + "of their own period; \(margin); days in \(plan.clock.timeZoneName)"
    }
}

extension SegmentedHistory {
    /// The cohorts of all customers: the same for any chunks and threads.
    /// - Throws: `.model` as `Workspace.cohorts`; `.store`.
    package func cohortTable(
        grid: TimeGrid, asOf: CalendarDay, clock: LocalClock, threadCount: Int
    ) throws(EngineError) -> CohortTable {
        let empty = CohortAccumulator(
            grid: grid, asOf: asOf, hasMargins: columns.contains(.margins))
        typealias Part = Result<CohortAccumulator, ModelError>
        let sums = try reduce(
            into: Part.success(empty), [.margins, .orders], LineTexts(), threadCount: threadCount
        ) { chunk -> Part in
            let orders = DatedOrders(chunk, asOf: asOf, clock: clock)
            var part = empty
            do throws(ModelError) {
                try part.add(
                    customerRows: orders.customerRows, days: orders.days,
                    amounts: orders.amounts, margins: orders.margins)
                return .success(part)
            } catch {
                return .failure(error)
            }
        } merge: { result, part in
            switch (result, part) {
            case (.success(var all), .success(let next)):
                // Nothing else holds the sums while they grow.
                result = .success(empty)
                all.merge(next)
                result = .success(all)
            case (.success, .failure): result = part
            case (.failure, _): break
            }
        }
        return try modelErrors("cohorts") { () throws(ModelError) in
            try sums.get().table()
        }
    }
}

extension CohortReport {
    /// - Parameter marginRate: margin / revenue where the table has no margins.
    fileprivate init(
        _ table: CohortTable, currency: String, convention: String, marginRate: Double?
    ) {
        grid = table.grid.rawValue
        asOf = table.asOf.description
        self.currency = currency
        self.convention = convention
        customerCount = table.cohorts.reduce(0) { $0 + $1.customerCount }
        customersWithoutPurchase = table.customersWithoutPurchase
        lastPeriodIsPartial = table.lastPeriodIsPartial
        cohorts = table.cohorts.map { cohort in
            let revenues = cohort.cumulativeRevenuePerCustomer
            let margins = cohort.cumulativeMarginPerCustomer
            func units(_ amount: Int64) -> Double { Money(tenThousandths: amount).units }
            func element(_ values: [Double]?, _ age: Int) -> Double? {
                values.flatMap { $0.indices.contains(age) ? $0[age] : nil }
            }
            return Cohort(
                firstDay: cohort.firstDay.description, customerCount: cohort.customerCount,
                cells: cohort.cells.enumerated().map { age, cell in
                    let revenue = element(revenues, age)
                    let rate = marginRate ?? 0
                    return Cell(
                        age: age, activeCustomers: cell.activeCustomers,
                        activeShare: cohort.retentionRate(age: age), orders: cell.orders,
                        revenue: units(cell.revenue),
                        margin: cell.margin.map(units) ?? units(cell.revenue) * rate,
                        cumulativeRevenuePerCustomer: revenue,
                        cumulativeMarginPerCustomer: marginRate == nil
                            ? element(margins, age) : revenue.map { $0 * rate },
                        isPartial: cell.isPartial)
                })
        }
        ages = table.retentionByAge.map {
            Age(
                age: $0.age, cohortCount: $0.cohortCount, customerCount: $0.customerCount,
                activeShare: $0.retentionRate)
        }
    }
}
