import Foundation
import Models
import Numerical
import TestSupport
import Testing
import Units

@Suite struct CohortTableTests {
    private struct Orders {
        var rows: [Int32] = []
        var days: [Int32] = []
        var amounts: [Int64] = []
        var margins: [Int64] = []

        mutating func add(_ row: Int, _ day: Int, _ amount: Int64, _ margin: Int64) {
            rows.append(Int32(row))
            days.append(Int32(day))
            amounts.append(amount)
            margins.append(margin)
        }
    }

    private func day(_ text: String) throws -> CalendarDay {
        try #require(CalendarDay(parsing: text))
    }

    @Test func numbersPeriods() throws {
        for grid in TimeGrid.allCases {
            let periods = CalendarPeriods(grid)
            var before: Int?
            for number in stride(from: -719_000, through: 2_932_000, by: 171) {
                let day = CalendarDay(daysSince1970: number)
                let index = periods.index(of: day)
                let first = periods.firstDay(of: index)
                #expect(first <= day && day < periods.firstDay(of: index + 1))
                #expect(before.map { $0 <= index } ?? true)
                if grid == .week { #expect(first.weekday == 0) }
                if grid == .month { #expect(first.civil.day == 1) }
                before = index
            }
        }
    }

    /// Three customers by hand.
    @Test func addsUpByHand() throws {
        var orders = Orders()
        // A: January, twice in March, a return in February before anything else that month.
        orders.add(0, try day("2024-01-31").daysSince1970, 100_000, 40_000)
        orders.add(0, try day("2024-02-01").daysSince1970, -30_000, -12_000)
        orders.add(0, try day("2024-03-05").daysSince1970, 50_000, 20_000)
        orders.add(0, try day("2024-03-01").daysSince1970, 70_000, 30_000)
        // B: returns only. C: a return before the first order in March, one order after the day.
        orders.add(1, try day("2024-02-10").daysSince1970, -5, -5)
        orders.add(2, try day("2024-02-10").daysSince1970, -7, -6)
        orders.add(2, try day("2024-03-10").daysSince1970, 0, 0)
        orders.add(2, try day("2024-03-16").daysSince1970, 9, 9)
        // D is not there yet.
        orders.add(3, try day("2024-03-17").daysSince1970, 9, 9)
        var sum = CohortAccumulator(
            grid: .month, asOf: try day("2024-03-15"), hasMargins: true)
        try sum.add(
            customerRows: orders.rows, days: orders.days, amounts: orders.amounts,
            margins: orders.margins)
        let table = try sum.table()
        #expect(
            table.cohorts.map(\.firstDay.description) == ["2024-01-01", "2024-02-01", "2024-03-01"])
        #expect(table.cohorts.map(\.customerCount) == [1, 0, 1])
        #expect(table.cohorts.map(\.cells.count) == [3, 2, 1])
        #expect(table.customersWithoutPurchase == 1)
        #expect(table.lastPeriodIsPartial)
        let a = table.cohorts[0]
        #expect(a.cells.map(\.activeCustomers) == [1, 0, 1])
        #expect(a.cells.map(\.orders) == [1, 0, 2])
        #expect(a.cells.map(\.revenue) == [100_000, -30_000, 120_000])
        #expect(a.cells.map(\.margin) == [40_000, -12_000, 50_000])
        #expect(a.cells.map(\.isPartial) == [false, false, true])
        #expect(a.cumulativeRevenuePerCustomer == [10, 7, 19])
        #expect(a.cumulativeMarginPerCustomer == [4, 2.8, 7.8])
        #expect(a.retentionRate(age: 1) == 0)
        #expect(a.retentionRate(age: 3) == nil)
        #expect(table.cohorts[1].retentionRate(age: 0) == nil)
        #expect(table.cohorts[1].cumulativeRevenuePerCustomer == [])
        #expect(table.cohorts[2].cells[0].revenue == -7)
        #expect(table.cohorts[2].cells[0].orders == 1)
        let ages = table.retentionByAge
        #expect(ages.map(\.customerCount) == [1, 1, 0])
        #expect(ages[2].retentionRate == nil)
        let text = try JSONEncoder().encode(table)
        #expect(try JSONDecoder().decode(CohortTable.self, from: text) == table)
        let month = CohortAccumulator(
            grid: .month, asOf: try day("2024-02-29"), hasMargins: false)
        #expect(throws: ModelError.self) { try month.table() }
    }

    @Test func usesTheClockOfTheTimeZone() throws {
        let clock = try #require(LocalClock(timeZoneName: "America/New_York"))
        // 2024-02-01T03:00Z is still January 31st in New York.
        let time = Int64(try day("2024-02-01").daysSince1970 * 86_400 + 3 * 3_600)
        func firstDay(_ clock: LocalClock) throws -> String {
            var sum = CohortAccumulator(
                grid: .month, asOf: try day("2024-02-29"), hasMargins: false)
            try sum.add(
                customerRows: [4], times: [time], clock: clock, amounts: [1], margins: nil)
            let table = try sum.table()
            #expect(!table.lastPeriodIsPartial)
            #expect(table.cohorts[0].cells[0].margin == nil)
            #expect(table.cohorts[0].cumulativeMarginPerCustomer == nil)
            return table.cohorts[0].firstDay.description
        }
        #expect(try firstDay(clock) == "2024-01-01")
        #expect(try firstDay(.utc) == "2024-02-01")
    }

    private func random(_ seed: UInt64, customers: Int) -> Orders {
        var random = SeededRandom(seed: seed)
        var orders = Orders()
        for customer in 0..<customers {
            let start = 19_000 + random.below(400)
            for _ in 0..<1 + random.below(9) {
                let amount = Int64(random.below(100_000)) - 20_000
                orders.add(customer, start + random.below(500), amount, amount / 3)
            }
        }
        return orders
    }

    /// Every cell from its definition, by sets.
    @Test(arguments: TimeGrid.allCases) func agreesWithTheDefinition(grid: TimeGrid) throws {
        let orders = random(3, customers: 300)
        let asOf = CalendarDay(daysSince1970: 19_700)
        var sum = CohortAccumulator(grid: grid, asOf: asOf, hasMargins: true)
        try sum.add(
            customerRows: orders.rows, days: orders.days, amounts: orders.amounts,
            margins: orders.margins)
        let table = try sum.table()
        let periods = CalendarPeriods(grid)
        func period(_ row: Int) -> Int {
            periods.index(of: CalendarDay(daysSince1970: Int(orders.days[row])))
        }
        var first: [Int32: Int] = [:]
        let seen = orders.rows.indices.filter { orders.days[$0] <= 19_700 }
        for row in seen where orders.amounts[row] >= 0 {
            first[orders.rows[row]] = min(first[orders.rows[row]] ?? .max, period(row))
        }
        let oldest = first.values.min() ?? 0
        #expect(table.cohorts.count == periods.index(of: asOf) - oldest + 1)
        var rowsOfCell: [[Int]: [Int]] = [:]
        var revenue: Int64 = 0
        for row in seen {
            guard let own = first[orders.rows[row]] else { continue }
            rowsOfCell[[own - oldest, max(0, period(row) - own)], default: []].append(row)
            revenue += orders.amounts[row]
        }
        var total: Int64 = 0
        for (index, cohort) in table.cohorts.enumerated() {
            #expect(cohort.customerCount == first.values.count { $0 == oldest + index })
            #expect(cohort.cells.count == table.cohorts.count - index)
            let isRight = cohort.cells.enumerated().allSatisfy { age, cell in
                let rows = rowsOfCell[[index, age]] ?? []
                let bought = rows.filter { orders.amounts[$0] >= 0 }
                let active = Set(bought.map { orders.rows[$0] }).count
                let margin = rows.reduce(0) { $0 + orders.margins[$1] }
                return cell.orders == bought.count && cell.activeCustomers == active
                    && cell.revenue == rows.reduce(0) { $0 + orders.amounts[$1] }
                    && cell.margin == margin
            }
            #expect(isRight, "cohort \(index)")
            total += cohort.cells.reduce(0) { $0 + $1.revenue }
        }
        #expect(total == revenue)
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func sameTableForAnyChunks(seed: UInt64) throws {
        let orders = random(seed, customers: 500)
        let asOf = CalendarDay(daysSince1970: 19_650)
        func add(_ rows: Range<Int>, to sum: inout CohortAccumulator) throws {
            try sum.add(
                customerRows: Array(orders.rows[rows]), days: Array(orders.days[rows]),
                amounts: Array(orders.amounts[rows]), margins: Array(orders.margins[rows]))
        }
        let empty = CohortAccumulator(grid: .week, asOf: asOf, hasMargins: true)
        var whole = empty
        try add(0..<orders.rows.count, to: &whole)
        var random = SeededRandom(seed: seed, stream: 9)
        var parts: [CohortAccumulator] = []
        var start = 0
        while start < orders.rows.count {
            // Up to the next change of customer.
            var end = min(orders.rows.count, start + 1 + random.below(400))
            while end < orders.rows.count, orders.rows[end] == orders.rows[end - 1] { end += 1 }
            var part = empty
            try add(start..<end, to: &part)
            parts.append(part)
            start = end
        }
        parts.shuffle(using: &random)
        var merged = empty
        for part in parts { merged.merge(part) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        #expect(try encoder.encode(merged.table()) == encoder.encode(whole.table()))
        #expect(parts.count > 3)
    }

    @Test func refusesBadOrders() throws {
        var sum = CohortAccumulator(
            grid: .day, asOf: CalendarDay(daysSince1970: 19_700), hasMargins: false,
            maximumPeriodCount: 100)
        func failure(
            _ rows: [Int32], _ days: [Int32], _ amounts: [Int64], _ margins: [Int64]? = nil
        ) -> String {
            do throws(ModelError) {
                try sum.add(customerRows: rows, days: days, amounts: amounts, margins: margins)
            } catch { return error.description }
            return ""
        }
        #expect(failure([1, 0], [19_690, 19_690], [1, 1]).contains("row 1"))
        #expect(failure([1], [19_690, 3], [1]).contains("days of orders"))
        #expect(failure([1], [19_690], [1], [1]).contains("margins"))
        #expect(failure([1], [4_000_000], [1]).contains("the years 1 to 9999"))
        #expect(failure([1], [19_600], [1]).contains("use longer periods"))
        #expect(throws: ModelError.self) { try sum.table() }
        // Sums beyond 64 bits on the way are no harm, in a cell they are refused.
        let most = Int64.max
        #expect(failure([1, 2, 3], [19_690, 19_690, 19_690], [most, most, 5]).isEmpty)
        #expect(throws: ModelError.self) { try sum.table() }
        #expect(
            failure([1, 1, 2, 2], [19_690, 19_690, 19_690, 19_690], [0, -most, 0, -most]).isEmpty)
        let table = try sum.table()
        #expect(table.cohorts[0].cells[0].revenue == 5)
        #expect(failure([], [], []).isEmpty)
    }

    /// Customer-days of the sample through 1998-06-10; digits by pandas.
    @Test(.enabled(if: CDNOWSample.isHere))
    func followsCDNOW() throws {
        let url = try #require(TestData.file("cdnow/CDNOW_sample.txt"))
        let text = try String(contentsOf: url, encoding: .utf8)
        var amounts: [Int: [Int: Int64]] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            let fields = line.split(separator: " ")
            guard fields.count == 5, let customer = Int(fields[1]), let date = Int(fields[2]),
                let units = Double(fields[4]), let money = Money(units: units),
                let day = CalendarDay(
                    year: date / 10_000, month: date / 100 % 100, day: date % 100)
            else { continue }
            amounts[customer, default: [:]][day.daysSince1970, default: 0] += money.tenThousandths
        }
        var orders = Orders()
        for (customer, days) in amounts.sorted(by: { $0.key < $1.key }) {
            for (day, amount) in days.sorted(by: { $0.key < $1.key }) {
                orders.add(customer, day, amount, 0)
            }
        }
        var sum = CohortAccumulator(
            grid: .month, asOf: try day("1998-06-10"), hasMargins: false)
        try sum.add(
            customerRows: orders.rows, days: orders.days, amounts: orders.amounts, margins: nil)
        let table = try sum.table()
        #expect(table.cohorts.prefix(3).map(\.customerCount) == [781, 857, 719])
        #expect(table.cohorts.dropFirst(3).allSatisfy { $0.customerCount == 0 })
        let march = table.cohorts[2]
        #expect(
            march.cells.map(\.activeCustomers) == [
                719, 87, 84, 78, 63, 64, 55, 57, 73, 65, 47, 51, 78, 32, 38, 22,
            ])
        #expect(
            march.cells.map(\.orders) == [
                837, 116, 99, 95, 77, 78, 70, 76, 96, 87, 61, 64, 93, 43, 45, 23,
            ])
        #expect(march.cells[15].revenue == 5_512_400 && march.cells[15].isPartial)
        #expect(march.cells[0].revenue == 328_120_900 && !march.cells[14].isPartial)
        #expect(table.cohorts[0].cells[17].activeCustomers == 12)
        let second = table.retentionByAge[1]
        let rate: Double = 345.0 / 2_357
        #expect(second.retentionRate == rate)
    }
}
