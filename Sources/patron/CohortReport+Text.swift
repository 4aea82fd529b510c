import Engine

extension CohortReport {
    /// The retention triangle and the revenue that customers add up to.
    var text: String {
        let ages = shownAges
        let shown = cohorts.suffix(Self.shownCohortCount)
        var lines = [
            "\(customerCount.grouped) customers by the \(grid) of their first order, as of \(asOf)",
            convention,
        ]
        if customersWithoutPurchase > 0 {
            lines.append(
                "\(customersWithoutPurchase.grouped) customers with returns only are in no cohort")
        }
        lines += ["", "share with an order, by age in \(grid)s"]
        var retention = table(ages) { cell in
            cell.activeShare.map { ($0 * 100).decimals(1) }
        }
        retention.add(
            ["all", customerCount.grouped]
                + ages.map { age in
                    self.ages[age].activeShare.map { ($0 * 100).decimals(1) } ?? ""
                })
        lines.append(retention.text)
        lines += ["", "revenue a customer up to that age, \(currency)"]
        lines.append(table(ages) { $0.cumulativeRevenuePerCustomer?.decimals(2) }.text)
        lines.append("")
        if lastPeriodIsPartial {
            lines.append("* the \(grid) of \(asOf) is not over: its cells may still grow")
        }
        lines.append("all: over the complete cells of an age, whose cohorts get fewer with age")
        var left: [String] = []
        if shown.count < cohorts.count {
            left.append("the first \((cohorts.count - shown.count).grouped) cohorts")
        }
        if ages.count < self.ages.count { left.append("other ages") }
        if !left.isEmpty {
            lines.append("\(left.joined(separator: " and ")) are left out here: see --out")
        }
        return lines.joined(separator: "\n")
    }

    private static let shownCohortCount = 36

    /// The first year of months or a quarter of weeks one by one, then further and further apart.
    private var shownAges: [Int] {
        let steps = Array(0...12) + [18, 24, 36, 48, 60, 72, 84, 96, 108, 120]
        return steps.filter { $0 < ages.count }
    }

    private func table(_ ages: [Int], _ value: (Cell) -> String?) -> TextTable {
        var table = TextTable(["cohort", "customers>"] + ages.map { "\($0)>" })
        for cohort in cohorts.suffix(Self.shownCohortCount) {
            table.add(
                [
                    grid == "month" ? String(cohort.firstDay.prefix(7)) : cohort.firstDay,
                    cohort.customerCount.grouped,
                ]
                    + ages.map { age in
                        guard cohort.cells.indices.contains(age) else { return "" }
                        let cell = cohort.cells[age]
                        return (value(cell) ?? "-") + (cell.isPartial ? "*" : "")
                    })
        }
        return table
    }
}
