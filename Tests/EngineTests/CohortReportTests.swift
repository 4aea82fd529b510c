import Engine
import Models
import Numerical
import TestSupport
import Testing
import Units

@Suite struct CohortReportTests {
    private let asOf = day("2021-03-20")

    /// Customers who buy now and then over two years, orders of several lines that may span the
    /// end of a month, free lines, returns before and after orders, and lines after the as-of day.
    private func lines(seed: UInt64) -> [PlantedLine] {
        var random = SeededRandom(seed: seed)
        var lines: [PlantedLine] = []
        let first = day("2019-06-11").daysSince1970
        for customer in 0..<150 {
            let start = first + random.below(700)
            for order in 0..<random.below(8) {
                let begin = start + random.below(200)
                for _ in 0...random.below(3) {
                    let amount = Int64(random.below(400_000))
                    lines.append(
                        PlantedLine(
                            customer: Int64(customer), day: begin + random.below(3),
                            amount: amount, margin: amount / 3 - Int64(random.below(5_000)),
                            order: "\(customer)-\(order)"))
                }
            }
            for _ in 0..<random.below(3) {
                lines.append(
                    PlantedLine(
                        customer: Int64(customer), day: start + random.below(260) - 20,
                        amount: -Int64(1 + random.below(90_000)), margin: -70, order: "return"))
            }
        }
        return lines
    }

    private struct Sum: Equatable {
        var active: Set<Int64> = []
        var orders = 0
        var revenue: Int64 = 0
        var margin: Int64 = 0
    }

    private struct Key: Hashable {
        var cohort: Int
        var age: Int
    }

    /// The same by dictionaries of all lines.
    private func reference(_ lines: [PlantedLine], _ periods: CalendarPeriods) -> [Key: Sum] {
        let seen = lines.filter { $0.day <= asOf.daysSince1970 }
        func period(_ day: Int) -> Int { periods.index(of: CalendarDay(daysSince1970: day)) }
        // Of an order, the day of its first purchase line.
        var days: [String: Int] = [:]
        for line in seen where line.amount >= 0 {
            days[line.order] = min(days[line.order] ?? .max, line.day)
        }
        var cohorts: [Int64: Int] = [:]
        for line in seen where line.amount >= 0 {
            let own = period(days[line.order] ?? 0)
            cohorts[line.customer] = min(cohorts[line.customer] ?? .max, own)
        }
        var sums: [Key: Sum] = [:]
        var counted: Set<String> = []
        for line in seen {
            guard let cohort = cohorts[line.customer] else { continue }
            let isOrder = line.amount >= 0
            let own = period(isOrder ? days[line.order] ?? 0 : line.day)
            let key = Key(cohort: cohort, age: max(0, own - cohort))
            sums[key, default: Sum()].revenue += line.amount
            sums[key, default: Sum()].margin += line.margin
            guard isOrder else { continue }
            sums[key, default: Sum()].active.insert(line.customer)
            if counted.insert(line.order).inserted { sums[key, default: Sum()].orders += 1 }
        }
        return sums
    }

    @Test(arguments: TimeGrid.allCases, [1, 2] as [UInt64])
    func everyCellIsThatOfAllLines(grid: TimeGrid, seed: UInt64) throws {
        let lines = lines(seed: seed)
        let expected = reference(lines, CalendarPeriods(grid))
        try withSegments(lines, splits: [20, 55, 100, 101]) { history in
            let table = try history.cohortTable(
                grid: grid, asOf: asOf, clock: .utc, threadCount: 2)
            let again = try history.split(at: .integers([])).cohortTable(
                grid: grid, asOf: asOf, clock: .utc, threadCount: 1)
            #expect(table == again)
            var found = 0
            let periods = table.grid == grid ? CalendarPeriods(grid) : CalendarPeriods(.day)
            for cohort in table.cohorts {
                let own = periods.index(of: cohort.firstDay)
                for (age, cell) in cohort.cells.enumerated() {
                    let sum = expected[Key(cohort: own, age: age)] ?? Sum()
                    #expect(cell.activeCustomers == sum.active.count)
                    #expect(cell.orders == sum.orders)
                    #expect(cell.revenue == sum.revenue)
                    #expect(cell.margin == sum.margin)
                    if cell.orders > 0 || cell.revenue != 0 { found += 1 }
                }
            }
            #expect(found == expected.count)
        }
    }

    @Test func reportInCurrencyUnits() throws {
        try withTemporaryFolder { folder in
            let lines = [
                PlantedLine(customer: 1, day: day("2021-01-05").daysSince1970, amount: 100_000),
                PlantedLine(customer: 1, day: day("2021-02-05").daysSince1970, amount: 50_000),
                PlantedLine(customer: 1, day: day("2021-02-25").daysSince1970, amount: -20_000),
                PlantedLine(customer: 2, day: day("2021-01-31").daysSince1970, amount: 300_000),
                PlantedLine(customer: 3, day: day("2021-01-31").daysSince1970, amount: -10_000),
                PlantedLine(customer: 4, day: day("2021-03-10").daysSince1970, amount: 70_000),
            ]
            let workspace = try makeWorkspace(folder, lines, settings: "grossMarginRate: 0.5")
            let report = try workspace.cohorts(asOf: day("2021-03-10"), threadCount: 1)
            #expect(report.customerCount == 3 && report.customersWithoutPurchase == 1)
            #expect(report.cohorts.map(\.firstDay) == ["2021-01-01", "2021-02-01", "2021-03-01"])
            #expect(report.cohorts.map(\.customerCount) == [2, 0, 1])
            let january = report.cohorts[0].cells
            #expect(january.map(\.activeShare) == [1, 0.5, 0])
            #expect(january.map(\.revenue) == [40, 3, 0])
            #expect(january.map(\.margin) == [20, 1.5, 0])
            #expect(january.map(\.cumulativeRevenuePerCustomer) == [20, 21.5, 21.5])
            #expect(january.map(\.isPartial) == [false, false, true])
            #expect(report.ages.map(\.customerCount) == [2, 2, 0])
            // Daily cohorts of a century are too many.
            let late = day("2031-01-01")
            #expect(throws: EngineError.self) {
                try workspace.cohorts(grid: .day, asOf: late, threadCount: 1)
            }
            let path = folder.appendingPathComponent("cohorts.csv").path
            try report.writeCSV(to: path)
            let text = try String(contentsOfFile: path, encoding: .utf8)
            #expect(text.split(separator: "\n").count == 1 + 3 + 2 + 1)
            #expect(text.contains("\n2021-01-01,2,1,1,0.5,1,3.0,1.5,21.5,10.75,false\n"))
        }
    }
}
