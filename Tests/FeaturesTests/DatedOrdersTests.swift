import Features
import Testing
import Units

@Suite struct DatedOrdersTests {
    @Test func ordersThenReturnsByLocalDay() throws {
        let history = try makeHistory([
            // 23:30 UTC is the next day in Berlin; the order's later line is of the day after.
            Line(1, "2021-06-01", hour: 23, 10, margin: 4, order: "a"),
            Line(1, "2021-06-03", hour: 9, 5, margin: 1, order: "a"),
            Line(1, "2021-06-02", hour: 9, -2, margin: -1, order: "r"),
            Line(1, "2021-06-04", hour: 9, 0, margin: 0, order: "b"),
            Line(2, "2021-06-30", hour: 21, 7, margin: 2, order: "c"),
            Line(2, "2021-06-30", hour: 22, 8, margin: 3, order: "d"),
            Line(3, "2021-07-09", hour: 9, 8, margin: 3, order: "e"),
            Line(4, "2021-06-09", hour: 9, -8, margin: -3, order: "f"),
        ])
        let berlin = try #require(LocalClock(timeZoneName: "Europe/Berlin"))
        let orders = DatedOrders(history, asOf: day("2021-06-30"), clock: berlin)
        #expect(orders.customerRows == [0, 0, 0, 1, 3])
        let days = orders.days.map { CalendarDay(daysSince1970: Int($0)).description }
        #expect(days == ["2021-06-02", "2021-06-04", "2021-06-02", "2021-06-30", "2021-06-09"])
        #expect(orders.amounts == [150_000, 0, -20_000, 70_000, -80_000])
        #expect(orders.margins == [50_000, 0, -10_000, 20_000, -30_000])
        #expect(orders.rows(from: 0) == 0..<3 && orders.rows(from: 3) == 3..<4)
        // Without order ids an order is a customer-day, and without margins there are none.
        let bare = try makeHistory([
            Line(1, "2021-06-01", hour: 1, 10), Line(1, "2021-06-01", hour: 20, 5),
            Line(1, "2021-06-02", hour: 1, 3),
        ])
        let plain = DatedOrders(bare, asOf: day("2021-06-30"), clock: .utc)
        #expect(plain.amounts == [150_000, 30_000] && plain.margins == nil)
    }

    @Test func historyOfOneCustomerByDay() throws {
        let history = try makeHistory([
            Line(1, "2021-05-01", 50), Line(2, "2021-06-01", 10), Line(2, "2021-06-11", 20),
            Line(2, "2021-06-12", -5), Line(2, "2021-06-21", 30), Line(3, "2021-06-21", 30),
        ])
        let days = [day("2021-06-01"), day("2021-06-15"), day("2021-06-30")]
        let found = customerHistory(
            of: history, customer: 1, asOf: days, clock: .utc, grossMarginRate: 0.5)
        #expect(found.repeatPurchaseCount == [0, 1, 2])
        #expect(found.ageAtLastPurchaseDays == [0, 10, 20])
        #expect(found.observedAgeDays == [0, 14, 29])
        #expect(found.meanOrderValue == [0, 20, 25])
        #expect(found.revenue == [10, 25, 55])
        for (row, asOf) in days.enumerated() {
            let table = try computeFeatures(
                history, attributes: nil, asOf: asOf, clock: .utc, grossMarginRate: 0.5,
                threadCount: 1)
            #expect(table.history.monthlyMargin[1] == found.monthlyMargin[row])
        }
    }
}
