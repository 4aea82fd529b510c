import ByteCoding
import Features
import Foundation
import Numerical
import TestSupport
import Testing
import Units

@Suite struct ComputeFeaturesTests {
    /// The example that several packages share: as of 2015-02-07 the six customers have (x, t_x,
    /// T, mean value) = (1,36,37,2) (0,0,37,0) (2,4,37,3) (2,20,22,3) (2,2,22,4.5) (0,0,5,0).
    /// Source: lifetimes, tests/test_utils.py, `example_transaction_data`.
    @Test func goldenMicroExample() throws {
        let lines: [Line] = [
            Line(1, "2015-01-01", 1), Line(1, "2015-02-06", 2),
            Line(2, "2015-01-01", 2),
            Line(3, "2015-01-01", 3), Line(3, "2015-01-02", 1), Line(3, "2015-01-05", 5),
            Line(4, "2015-01-16", 6), Line(4, "2015-02-02", 3), Line(4, "2015-02-05", 3),
            Line(5, "2015-01-16", 3), Line(5, "2015-01-17", 4), Line(5, "2015-01-18", 5),
            Line(6, "2015-02-02", 5),
        ]
        let table = try features(lines, asOf: "2015-02-07")
        #expect(table.customerIDs == .integers([1, 2, 3, 4, 5, 6]))
        #expect(table.history.repeatPurchaseCount == [1, 0, 2, 2, 2, 0])
        #expect(table.history.ageAtLastPurchaseDays == [36, 0, 4, 20, 2, 0])
        #expect(table.history.observedAgeDays == [37, 37, 37, 22, 22, 5])
        #expect(table.history.meanOrderValue == [2, 0, 3, 3, 4.5, 0])
        #expect(table.history.meanOrderMargin == [1, 0, 1.5, 1.5, 2.25, 0])
        #expect(table.history.daysSinceLastPurchase == [1, 37, 33, 2, 20, 5])
        #expect(table.history.status == [0, 0, 0, 0, 0, 0])
        #expect(
            table.column(named: "meanOrderValue")?.valid == [true, false, true, true, true, false])
        #expect(
            table.convention.text
                == "orders-1/customer-day; first order excluded from the mean order value; "
                + "order value without returns; revenue net of returns; margin = revenue x 0.5; "
                + "items = lines; as-of day inclusive; whole days in UTC")
    }

    /// Every number below was counted by hand from these eight lines.
    @Test func handCountedFeatures() throws {
        let lines: [Line] = [
            Line(
                7, "2023-05-01", hour: 9, 100, margin: 40, quantity: 2, product: "a",
                category: "Toys", promotion: "p", channel: "web"),
            Line(
                7, "2023-05-01", hour: 18, 20, margin: 5, quantity: 1, product: "b",
                category: "Food", channel: "shop"),
            Line(7, "2024-03-20", hour: 9, -30, margin: -10, quantity: -1, category: "Toys"),
            Line(
                7, "2024-04-01", hour: 10, 50, margin: 10, quantity: 3, product: "a",
                category: "Toys", channel: "shop"),
            Line(
                7, "2024-04-30", hour: 23, 10, margin: 2, quantity: 4, product: "c",
                promotion: "q", channel: "shop"),
            Line(7, "2024-05-01", hour: 0, 999, margin: 999, quantity: 9, category: "Late"),
            Line(8, "2024-04-30", -5, margin: -1),
            Line(9, "2024-06-01", 5, margin: 1),
        ]
        // 2023-05-01 is a Monday, 2024-04-01 a Monday, 2024-04-30 a Tuesday; 365 days end with
        // 2024-04-30 and begin with 2023-05-02, 30 days begin with 2024-04-01.
        let table = try features(lines, asOf: "2024-04-30")
        #expect(table.customerIDs == .integers([7, 8]))
        let expected: [(String, Float)] = [
            ("repeatPurchaseCount", 2), ("ageAtLastPurchaseDays", 365), ("observedAgeDays", 365),
            ("daysSinceLastPurchase", 0), ("tenureDays", 365), ("orderCount", 3),
            ("orderCount30Days", 2), ("orderCount90Days", 2), ("orderCount365Days", 2),
            ("lineCount", 5), ("meanOrderValue", 30), ("meanOrderMargin", 6),
            ("meanOrderValueWithFirst", 60), ("revenue", 150), ("revenue30Days", 60),
            ("revenue90Days", 30), ("revenue365Days", 30), ("margin", 47), ("margin30Days", 12),
            ("margin90Days", 2), ("margin365Days", 2), ("itemsPerOrder", 10.0 / 3),
            ("monthlyRevenue", 12.474129), ("returnRate", 0.2),
            ("promotionShare", 0.5), ("interPurchaseMeanDays", 182.5),
            // Gaps 336 and 29: standard deviation 307 / √2.
            ("interPurchaseDeviationDays", 217.08178), ("lastInterPurchaseDays", 29),
            ("hourShare09", 1.0 / 3), ("hourShare10", 1.0 / 3), ("hourShare23", 1.0 / 3),
            ("hourShare18", 0), ("daypartShareMorning", 2.0 / 3), ("daypartShareLate", 1.0 / 3),
            ("weekdayShareMonday", 2.0 / 3), ("weekdayShareTuesday", 1.0 / 3),
            ("categoryShare.Toys", 2.0 / 3), ("categoryShare.Food", 1.0 / 3),
            ("channelShare.shop", 2.0 / 3), ("channelShare.web", 1.0 / 3),
        ]
        for (name, number) in expected { #expect(table.value(name) == number, "\(name)") }
        #expect(table.groups["categoryShares"] == ["categoryShare.Toys", "categoryShare.Food"])
        #expect(table.groups["channelShares"] == ["channelShare.shop", "channelShare.web"])
        let months: Double = 366 * 12 / 365.2425
        #expect(abs(table.history.monthlyMargin[0] - 47 / months) < 1e-12)

        #expect(table.history.status == [0, 3])
        #expect(table.history.revenue == [150, -5])
        #expect(table.history.margin == [47, -1])
        #expect(table.value("revenue", 1) == -5)
        #expect(table.value("returnRate", 1) == 1)
        #expect(table.value("orderCount", 1) == 0)
        #expect(table.value("tenureDays", 1) == 0)
        for name in [
            "daysSinceLastPurchase", "hourShare00", "categoryShare.Toys", "promotionShare",
        ] {
            #expect(table.value(name, 1) == nil, "\(name)")
        }
        #expect(table.convention.marginSource == .column)
        #expect(table.convention.itemUnit == .quantity)
    }

    @Test func moneyIsExactWhereFloatsAreNot() throws {
        let table = try features(
            [Line(1, "2024-01-01", 280_206.02), Line(1, "2024-01-02", 0.0001)], asOf: "2024-01-02")
        #expect(table.history.revenue == [280_206.0201])
        #expect(table.history.meanOrderValue == [0.0001])
    }

    @Test func orderIDsJoinLinesAcrossDaysAndSplitADay() throws {
        let lines: [Line] = [
            Line(1, "2024-01-01", 10, order: "A"), Line(1, "2024-01-02", 5, order: "B"),
            Line(1, "2024-01-02", 7, order: "C"), Line(1, "2024-01-03", 2, order: "A"),
            Line(1, "2024-01-04", -2, order: "R"), Line(1, "2024-01-05", 1),
            Line(1, "2024-01-05", 3), Line(2, "2024-01-05", 4, order: "A"),
        ]
        let table = try features(lines, asOf: "2024-01-10")
        // Orders A (12, 1 January), B (5), C (7), and the day of the lines without an id (4).
        #expect(table.history.repeatPurchaseCount == [3, 0])
        #expect(table.history.ageAtLastPurchaseDays == [4, 0])
        #expect(table.history.meanOrderValue[0] == 16.0 / 3)
        #expect(table.value("revenue") == 26)
        #expect(table.convention.orderUnit == .orderID)
    }

    @Test func manyInterleavedOrdersAreToldApart() throws {
        let lines = (0..<3).flatMap { round in
            (0..<100).map { Line(1, "2024-01-0\(round + 1)", 1, order: "o\($0)") }
        }
        let table = try features(lines, asOf: "2024-01-10")
        #expect(table.history.repeatPurchaseCount == [99])
        #expect(table.history.ageAtLastPurchaseDays == [0])
        #expect(table.history.meanOrderValue == [3])
    }

    /// 2024-03-31 01:30 UTC is 03:30 in Helsinki; 22:30 UTC of 30 March is 00:30 of the 31st.
    @Test func daysAndHoursAreLocal() throws {
        let helsinki = try #require(LocalClock(timeZoneName: "Europe/Helsinki"))
        var late = Line(1, "2024-03-30", 5)
        late.time += 22 * 3_600 + 1_800
        var next = Line(1, "2024-03-31", 5)
        next.time += 3_600 + 1_800
        var after = Line(1, "2024-03-31", 5)
        after.time += 21 * 3_600

        let utc = try features([late, next, after], asOf: "2024-03-31")
        #expect(utc.history.repeatPurchaseCount == [1])
        let local = try features([late, next, after], asOf: "2024-03-31", clock: helsinki)
        #expect(local.history.repeatPurchaseCount == [0])
        #expect(local.value("lineCount") == 2)
        #expect(local.value("hourShare00") == 1)
        #expect(local.value("weekdayShareSunday") == 1)
        #expect(
            throws: FeatureError.asOfBeforeFirstPurchase(
                asOf: day("2024-03-30"), firstPurchase: day("2024-03-31"))
        ) {
            try features([late], asOf: "2024-03-30", clock: helsinki)
        }
    }

    @Test func smallHistories() throws {
        let one = try features([Line(1, "2024-01-01", 0)], asOf: "2024-01-01")
        #expect(one.rowCount == 1)
        #expect(one.history.repeatPurchaseCount == [0])
        #expect(one.history.observedAgeDays == [0])
        #expect(one.value("meanOrderValueWithFirst") == 0)
        #expect(one.value("interPurchaseMeanDays") == nil)
        #expect(one.value("promotionShare") == nil)
        #expect(one.groups["categoryShares"] == nil)

        let sameDay = try features((1...40).map { Line($0, "2024-01-01", 1) }, asOf: "2024-01-01")
        #expect(sameDay.history.observedAgeDays == [Int32](repeating: 0, count: 40))

        let returns = [Line(1, "2024-01-01", -1), Line(2, "2024-01-02", 3)]
        #expect(
            throws: FeatureError.asOfBeforeFirstPurchase(
                asOf: day("2024-01-01"), firstPurchase: day("2024-01-02"))
        ) {
            try features(returns, asOf: "2024-01-01")
        }
        #expect(throws: FeatureError.noPurchases) {
            try features([Line(1, "2024-01-01", -1)], asOf: "2024-01-01")
        }
        #expect(throws: FeatureError.noLines) { try features([], asOf: "2024-01-01") }
        let empty = try PurchaseHistory(
            customerIDs: .integers([]), lineOffsets: [0], times: [], amounts: [])
        #expect(throws: FeatureError.noLines) {
            try computeFeatures(
                empty, attributes: nil, asOf: day("2024-01-01"), clock: .utc, grossMarginRate: 0.3,
                threadCount: 1)
        }
    }

    @Test func rareCategoriesShareOneColumn() throws {
        let lines = (0..<40).flatMap { category in
            (0...category).map { _ in
                Line(1, "2024-01-01", 1, category: "c\(category / 10)\(category % 10)")
            }
        }
        let table = try features(lines, asOf: "2024-01-01")
        let names = try #require(table.groups["categoryShares"])
        #expect(names.count == FeatureCatalog.maximumShareColumns + 1)
        #expect(names.first == "categoryShare.c39")
        #expect(names.last == FeatureCatalog.categoryOther)
        #expect(table.value(FeatureCatalog.categoryOther) == Float(36.0 / 820))
    }

    /// The heart of the matter: what happens after the as-of day can change nothing.
    @Test(arguments: [1, 2, 3, 4] as [UInt64], [true, false])
    func laterLinesAreNeverSeen(seed: UInt64, orderIDs: Bool) throws {
        let clock = try #require(LocalClock(timeZoneName: "America/New_York"))
        let lines = randomLines(seed: seed, customers: 40, lines: 600, orderIDs: orderIDs)
        for asOf in ["2023-02-10", "2023-09-01", "2024-03-10", "2030-01-01"] {
            let cut = lines.filter { clock.day(atUTC: $0.time) <= day(asOf) }
            let whole = try features(lines, asOf: asOf, clock: clock)
            let truncated = try features(cut, asOf: asOf, clock: clock)
            #expect(whole.customerIDs == truncated.customerIDs, "seed \(seed)")
            #expect(whole.columns == truncated.columns, "seed \(seed) as of \(asOf)")
            #expect(whole.groups == truncated.groups, "seed \(seed)")
            #expect(whole.history == truncated.history, "seed \(seed)")
            for column in whole.columns {
                #expect(!column.values.contains { !$0.isFinite }, "\(column.name) seed \(seed)")
            }
        }
    }

    @Test(arguments: [2, 3, 8])
    func threadsDoNotMatter(threadCount: Int) throws {
        let history = try makeHistory(
            randomLines(seed: 5, customers: 5_000, lines: 10_000, orderIDs: true))
        func table(_ threads: Int) throws -> FeatureTable {
            try computeFeatures(
                history, attributes: nil, asOf: day("2024-01-01"), clock: .utc,
                grossMarginRate: 0.3, threadCount: threads)
        }
        let one = try table(1)
        let many = try table(threadCount)
        #expect(one.columns == many.columns)
        #expect(one.history == many.history)
        let rows = history.customerRows(asOf: one.asOf, clock: .utc)
        func rest(_ threads: Int) -> (HoldoutOutcome, PurchaseMatrix?) {
            (
                holdoutOutcome(
                    history, customerRows: rows, after: day("2024-01-01"),
                    through: day("2024-03-01"), clock: .utc, grossMarginRate: 0.3,
                    threadCount: threads),
                purchaseMatrix(
                    history, customerRows: rows, asOf: day("2024-01-01"), clock: .utc,
                    threadCount: threads)
            )
        }
        #expect(rest(1).0 == rest(threadCount).0)
        #expect(rest(1).1?.values == rest(threadCount).1?.values)
        #expect(rest(1).1?.productCodes == rest(threadCount).1?.productCodes)
        #expect(rest(1).1?.rowOffsets == rest(threadCount).1?.rowOffsets)
    }

    /// The order in which lines arrive does not matter as long as no two have the same instant.
    @Test func lineOrderDoesNotMatter() throws {
        var lines = randomLines(seed: 9, customers: 20, lines: 300, orderIDs: true)
        for index in lines.indices { lines[index].time += index }
        let forward = try features(lines, asOf: "2024-01-01")
        let backward = try features(lines.reversed(), asOf: "2024-01-01")
        #expect(forward.columns == backward.columns)
        #expect(forward.history == backward.history)
    }

    /// The published facts of the CDNOW 1/10 sample as of 1997-09-30.
    @Test func cdnowSample() throws {
        guard let lines = try cdnowLines() else { return }
        #expect(lines.count == 6_919)
        let history = try makeHistory(lines)
        let table = try computeFeatures(
            history, attributes: nil, asOf: day("1997-09-30"), clock: .utc, grossMarginRate: 0.3,
            threadCount: 2)
        let x = table.history.repeatPurchaseCount
        #expect(table.rowCount == 2_357)
        #expect(x.reduce(0, +) == 2_457)
        #expect(x.count { $0 > 0 } == 946)
        #expect(x.max() == 29)
        let histogram = (0...7).map { bin in x.count { min($0, 7) == bin } }
        #expect(histogram == [1_411, 439, 214, 100, 62, 38, 29, 64])
        #expect(table.history.observedAgeDays.max() == 272)
        #expect(table.history.observedAgeDays.min() == 189)
        let holdout = holdoutOutcome(
            history, customerRows: history.customerRows(asOf: table.asOf, clock: .utc),
            after: table.asOf,
            through: day("1998-06-30"), clock: .utc, grossMarginRate: 0.3, threadCount: 2)
        #expect(holdout.orderCount.reduce(0, +) == 1_882)
        #expect(holdout.orderCount.count { $0 > 0 } == 684)
    }

    /// (x, t_x, T, mean value) of every customer as published, rounded to 0.01 week and dollar.
    @Test func cdnowSummaryRows() throws {
        guard let lines = try cdnowLines(),
            let rows = try rows(of: "cdnow/cdnow_customers_summary_with_transactions.csv")
        else { return }
        let history = try features(lines, asOf: "1997-09-30").history
        try #require(rows.count == history.count + 1)
        for (row, text) in rows.dropFirst().enumerated() {
            let fields = text.split(separator: ",").compactMap { Double($0) }
            try #require(fields.count == 5)
            #expect(Double(history.repeatPurchaseCount[row]) == fields[1])
            #expect(abs(Double(history.ageAtLastPurchaseDays[row]) / 7 - fields[2]) < 0.0051)
            #expect(abs(Double(history.observedAgeDays[row]) / 7 - fields[3]) < 0.0051)
            #expect(abs(history.meanOrderValue[row] - fields[4]) < 0.0051, "row \(row)")
        }
    }

    private func rows(of file: String) throws -> [Substring]? {
        guard let file = TestData.file(file) else { return nil }
        return try String(contentsOf: file, encoding: .utf8).split(whereSeparator: \.isNewline)
    }

    private func cdnowLines() throws -> [Line]? {
        try rows(of: "cdnow/CDNOW_sample.txt")?.map { row in
            let fields = row.split(separator: " ")
            let date = fields[2]
            let text = "\(date.prefix(4))-\(date.dropFirst(4).prefix(2))-\(date.suffix(2))"
            return Line(Int64(fields[1])!, text, Double(fields[4])!)
        }
    }

    /// A table that holds some features holds exactly those that the whole one has of them.
    @Test func keepsWhatIsNamed() throws {
        let history = try makeHistory(
            randomLines(seed: 5, customers: 40, lines: 600, orderIDs: true))
        let asOf = day("2024-01-15")
        var survey = LineSurvey()
        let counted = survey.add(
            times: history.times, amounts: history.amounts, asOf: asOf, clock: .utc)
        func table(_ names: Set<String>?) throws -> FeatureTable {
            let scan = try FeatureScan(
                survey: survey,
                categories: history.categories.map { ValueCounts($0, where: counted) },
                channels: history.channels.map { ValueCounts($0, where: counted) }, asOf: asOf,
                clock: .utc, grossMarginRate: 0.5, keeping: names)
            return try scan.table(of: scan.rows(of: history), attributes: nil, threadCount: 1)
        }
        let whole = try table(nil)
        let part = try table(["revenue", "channelShares", "categoryShare.c1"])
        let names = ["revenue", "channelShares", "categoryShare.c1"]
        let kept = try whole.selection(of: names).columnIndices.sorted().map { whole.columns[$0] }
        #expect(kept.count > 4)
        #expect(part.columns == kept)
        #expect(part.history == whole.history)
        #expect(part.mayLack("margin") && part.mayLack("categoryShare.c2"))
        #expect(!part.mayLack("categoryShare.unknown"))
        #expect(try table([]).columns.isEmpty)
    }
}
