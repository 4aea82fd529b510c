package import Units

/// Customers by the calendar period of their first purchase, followed by age in periods: the
/// retention triangle.
///
/// Age is the number of calendar periods since the cohort's own: at age 0 all customers of a cohort
/// are active, in whatever part of the period is left after their first purchase. A cohort has the
/// ages up to the as-of day and no others: later cells are absent, not 0.
package struct CohortTable: Codable, Equatable, Sendable {
    package struct Cell: Codable, Equatable, Sendable {
        /// Customers with an order in the period, each once.
        package let activeCustomers: Int
        package let orders: Int
        /// Net of returns, ten-thousandths of the currency unit.
        package let revenue: Int64
        /// The same of margin; nil where there are no margins.
        package let margin: Int64?
        /// True where the period goes on after the as-of day: what is in the cell may still grow.
        package let isPartial: Bool
    }

    package struct Cohort: Codable, Equatable, Sendable {
        /// First day of the cohort's period, in days since 1970-01-01.
        package let firstDaySince1970: Int
        /// Customers whose first purchase was in the period; may be 0.
        package let customerCount: Int
        /// By age; `cells[0]` is the cohort's own period.
        package let cells: [Cell]

        package var firstDay: CalendarDay { CalendarDay(daysSince1970: firstDaySince1970) }

        /// The share of the cohort that was active at this age, 0...1; nil where the cell is
        /// absent or the cohort empty.
        package func retentionRate(age: Int) -> Double? {
            guard cells.indices.contains(age), customerCount > 0 else { return nil }
            return Double(cells[age].activeCustomers) / Double(customerCount)
        }

        /// Revenue net of returns up to and including each age, a customer of the cohort, in
        /// currency units; empty for an empty cohort.
        package var cumulativeRevenuePerCustomer: [Double] {
            cumulative { $0.revenue } ?? []
        }

        /// The same of margin; nil where there are no margins.
        package var cumulativeMarginPerCustomer: [Double]? { cumulative { $0.margin } }

        private func cumulative(_ amount: (Cell) -> Int64?) -> [Double]? {
            guard customerCount > 0 else { return [] }
            // Whole numbers until the last step, so that ages cannot drift apart by rounding.
            var sum: Int128 = 0
            var result: [Double] = []
            for cell in cells {
                guard let amount = amount(cell) else { return nil }
                sum += Int128(amount)
                result.append(Double(sum) / Double(Money.scale) / Double(customerCount))
            }
            return result
        }
    }

    /// All cohorts at one age.
    package struct AgeSummary: Codable, Equatable, Sendable {
        package let age: Int
        /// Cohorts with customers whose cell at this age is complete, and their customers.
        package let cohortCount: Int
        package let customerCount: Int
        /// Active customers of these cohorts over their customers; nil where there are none.
        package let retentionRate: Double?
    }

    package let grid: TimeGrid
    package let asOfSince1970: Int
    /// True where the as-of day is not the last one of its period, so that the last cell of each
    /// cohort is partial.
    package let lastPeriodIsPartial: Bool
    /// By period, without gaps, from the first one with a customer to that of the as-of day.
    package let cohorts: [Cohort]
    /// Customers with returns only, who are in no cohort.
    package let customersWithoutPurchase: Int

    package var asOf: CalendarDay { CalendarDay(daysSince1970: asOfSince1970) }

    /// Retention by age over all cohorts, from complete cells only. Cohorts leave the mean one by
    /// one as age grows, so it may rise.
    package var retentionByAge: [AgeSummary] {
        (0..<(cohorts.first?.cells.count ?? 0)).map { age in
            let seen = cohorts.filter { cohort in
                cohort.customerCount > 0 && cohort.cells.indices.contains(age)
                    && !cohort.cells[age].isPartial
            }
            let customers = seen.reduce(0) { $0 + $1.customerCount }
            let active = seen.reduce(0) { $0 + $1.cells[age].activeCustomers }
            return AgeSummary(
                age: age, cohortCount: seen.count, customerCount: customers,
                retentionRate: customers > 0 ? Double(active) / Double(customers) : nil)
        }
    }
}
