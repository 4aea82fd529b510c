import Engine
import Foundation
import Models
import Numerical
import TestSupport
import Testing
import Units

@Suite struct SurvivalReportTests {
    private let asOf = day("2021-12-31")
    private let gapDays = 40

    private struct Planted {
        var lines: [PlantedLine] = []
        /// Days from the first order to the last ever, whether by the as-of day or after it.
        var stays: [Double] = []
        var isSlow: [Bool] = []
    }

    /// Customers who begin on any day of two years and order every 1 to 20 days for a time that is
    /// exponential: nobody who is silent for 40 days comes back. Every other one stays twice as long.
    private func planted(_ count: Int, seed: UInt64) -> Planted {
        var random = SeededRandom(seed: seed)
        var result = Planted()
        for customer in 0..<count {
            let isSlow = customer % 2 == 1
            let stay = -log(1 - random.uniform()) * (isSlow ? 160 : 80)
            let start = asOf.daysSince1970 - random.below(730)
            var last = start
            var next = start
            while Double(next - start) <= stay {
                last = next
                if next <= asOf.daysSince1970 {
                    result.lines.append(
                        PlantedLine(
                            customer: Int64(customer), day: next, amount: 10_000,
                            order: "\(customer)-\(next)"))
                }
                next += 1 + random.below(20)
            }
            result.stays.append(Double(last - start))
            result.isSlow.append(isSlow)
        }
        return result
    }

    /// The curve of what was seen is that of all that happens, seen or not. To follow customers up
    /// to the as-of day would leave it too high.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func whatIsNotYetSeenDoesNotBendTheCurve(seed: UInt64) throws {
        let planted = planted(6_000, seed: seed)
        try withSegments(planted.lines, splits: [900, 2_500, 5_999]) { history in
            let sample = try history.survivalSample(
                asOf: asOf, clock: .utc, gapDays: gapDays, event: .lost, threadCount: 2)
            let whole = try history.split(at: .integers([])).survivalSample(
                asOf: asOf, clock: .utc, gapDays: gapDays, event: .lost, threadCount: 1)
            #expect(sample == whole)
            #expect(sample.returnedCount == 0)
            #expect(sample.count + sample.newCount == planted.stays.count)
            let curve = KaplanMeier.fit(
                try SurvivalTimes(
                    durations: sample.durationDays.map(Double.init), isEvent: sample.isLost))
            for days in [0.0, 10, 30, 60, 120, 240, 400] {
                let truth =
                    Double(planted.stays.count { $0 > days }) / Double(planted.stays.count)
                let error = curve.standardError(at: days)
                let found = curve.survival(at: days)
                #expect(abs(found - truth) < 4 * error, "\(days) days: \(found), true \(truth)")
            }
        }
    }

    @Test func everyKindOfCustomer() throws {
        func order(_ customer: Int64, _ before: Int) -> PlantedLine {
            PlantedLine(
                customer: customer, day: asOf.daysSince1970 - before, amount: 1,
                order: "\(customer) \(before)")
        }
        var lines = [
            order(1, 40),  // once, 40 days ago: lost at 0
            order(2, 39),  // first after the day up to which all are followed
            order(3, 100), order(3, 39),  // came back after 61 days, is with us
            order(4, 300), order(4, 200), order(4, 180),  // came back after 100 days, then lost
            order(5, 90), order(5, 60), order(5, 25),  // with us
            order(7, 90), order(7, -5),  // orders later: not seen
        ]
        lines.append(
            PlantedLine(customer: 6, day: asOf.daysSince1970 - 80, amount: -5, order: "r"))
        try withSegments(lines) { history in
            func sample(_ event: SurvivalEvent) throws -> SurvivalSample {
                try history.survivalSample(
                    asOf: asOf, clock: .utc, gapDays: gapDays, event: event, threadCount: 1)
            }
            let lost = try sample(.lost)
            #expect(lost.customerIDs == .integers([1, 3, 4, 5, 7]))
            #expect(lost.durationDays == [0, 60, 120, 50, 0])
            #expect(lost.isLost == [true, false, true, false, true])
            #expect(lost.newCount == 1 && lost.onlyReturnsCount == 1)
            #expect(lost.silentCount == 4 && lost.returnedCount == 2)
            let lapsed = try sample(.lapsed)
            #expect(lapsed.durationDays == [0, 0, 0, 50, 0])
            #expect(lapsed.isLost == [true, true, true, false, true])
        }
    }

    @Test func groupsAndFactors() throws {
        let planted = planted(2_000, seed: 7)
        var random = SeededRandom(seed: 9)
        var customers = ["customer,region,age,double_age,country,hobbies,sold_by"]
        for (customer, isSlow) in planted.isSlow.enumerated() {
            let age = 20 + random.below(50)
            let rare = random.below(700) == 0 ? "islands" : isSlow ? "north" : "south"
            customers.append(
                "\(customer),\(rare),\(age),\(2 * age),X,"
                    + "\(random.below(2) == 0 ? "golf" : "golf;chess"),\(random.below(5))")
        }
        let attributes = [
            "region: text", "age: number", "double_age: number", "country: text",
            "hobbies: {type: set, separator: \";\"}", "sold_by: text",
        ]
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(
                folder, planted.lines, customers: customers, attributes: attributes)
            var settings = SurvivalSettings()
            settings.gap = Horizon(40, .day)
            settings.groupAttribute = "region"
            settings.factors = ["age", "region", "double_age", "country", "hobbies", "sold_by"]
            let report = try workspace.survival(settings, asOf: asOf, threadCount: 2)
            let groups = try #require(report.groups)
            #expect(groups.curves.map(\.name) == ["islands", "north", "south"])
            let test = try #require(groups.logRank)
            #expect(test.test.degreesOfFreedom == 2 && test.test.pValue < 1e-12)
            let factors = try #require(report.factors)
            #expect(factors.ranked.first?.name == "region")
            #expect(factors.ranked.dropFirst().allSatisfy { $0.adjustedPValue > 0.001 })
            // A hazard of 1/80 beside one of 1/160, over what the steps of orders leave of it.
            let region = try #require(factors.ranked.first?.columns.first)
            let reference = try #require(factors.references["region"])
            #expect(region.name == (reference == "south" ? "region=north" : "region=south"))
            let ratio = reference == "south" ? 1 / region.hazardRatio : region.hazardRatio
            #expect(ratio > 1.7 && ratio < 2.3, "\(ratio)")
            #expect(factors.notes.contains { $0.hasPrefix("region:") && $0.contains("(other)") })
            let omitted = factors.omitted.map(\.description).joined(separator: "\n")
            #expect(omitted.contains("\"country\" is constant"))
            #expect(omitted.contains("\"double_age\""), "\(omitted)")
            #expect(factors.ranked.contains { $0.name == "hobbies" })

            settings.ties = .breslow
            let breslow = try workspace.survival(settings, asOf: asOf, threadCount: 1)
            #expect(breslow.factors?.logLikelihood != factors.logLikelihood)

            let path = folder.appendingPathComponent("curves.csv").path
            try report.writeCSV(to: path)
            let text = try String(contentsOfFile: path, encoding: .utf8)
            #expect(text.contains("\nregion=north,"))
        }
    }

    @Test func badInput() throws {
        try withTemporaryFolder { folder in
            let lines = (0..<100).map {
                PlantedLine(
                    customer: Int64($0), day: asOf.daysSince1970 - 100 - $0, amount: 10_000)
            }
            let customers = ["customer,tags"] + (0..<100).map { "\($0),a;b" }
            let workspace = try makeWorkspace(
                folder, lines, customers: customers,
                attributes: ["tags: {type: set, separator: \";\"}"])
            func fails(_ words: String, _ change: (inout SurvivalSettings) -> Void) {
                var settings = SurvivalSettings()
                change(&settings)
                do {
                    _ = try workspace.survival(settings, asOf: asOf, threadCount: 1)
                    Issue.record("no error with \(words)")
                } catch {
                    #expect("\(error)".contains(words), "\(error)")
                }
            }
            fails("who stays longer has more") { $0.factors = ["orderCount"] }
            fails("there are tags") { $0.groupAttribute = "region" }
            fails("several of its values") { $0.groupAttribute = "tags" }
            fails("no factor is left") { $0.factors = ["tags"] }
            fails("shorter --gap") { $0.gap = Horizon(300, .day) }
            // Everybody lost at once: a curve all the same, and no NaN.
            let report = try workspace.survival(SurvivalSettings(), asOf: asOf, threadCount: 1)
            #expect(report.overall.points.map(\.survival) == [0])
            #expect(report.overall.median.time == 0)
        }
    }
}
