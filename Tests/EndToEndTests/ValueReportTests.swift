import Engine
import Foundation
import Models
import TestSupport
import Testing
import Units

/// Reports about value: the gap to the simple formula, and projections of revenue.
@Suite struct ValueReportTests {
    @Test func bothValuesAreThoseOfTheScores() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeRetailer(folder, customers: 1_500)
            _ = try workspace.train(threadCount: 2)
            _ = try workspace.score(csvPath: folder.sub("scores.csv"), threadCount: 2)
            let lines = try String(contentsOfFile: folder.sub("scores.csv"), encoding: .utf8)
                .split(separator: "\n")
            let header = lines[0].split(separator: ",")
            func sum(_ name: String) throws -> Double {
                let column = try #require(header.firstIndex { $0 == name })
                return lines.dropFirst().reduce(0) { sum, line in
                    let field = line.split(separator: ",", omittingEmptySubsequences: false)[column]
                    return sum + (Double(field) ?? 0)
                }
            }
            for grouping in ["tier", "behaviour"] {
                let report = try workspace.valueReport(by: grouping, threadCount: 2)
                let all = try #require(report.groups.first).gap
                let (value, simple) = (
                    try sum("lifetime_value"), try sum("simple_lifetime_value")
                )
                #expect(abs(all.lifetimeValue - value) < 1e-9 * value)
                #expect(abs(all.simpleValue - simple) < 1e-9 * simple)
                let steps = all.differences.reduce(all.simpleValue, +)
                #expect(abs(steps - value) < 1e-9 * value)
                let interval = try #require(report.groups[0].lifetimeValueInterval)
                #expect(interval.contains(value) && interval.lowerBound > 0.5 * value)
                #expect(all[.discount] < 0 && all[.alive] < 0)
                let parts = report.groups.dropFirst()
                #expect(parts.count >= 2)
                let counts = parts.reduce(0) { $0 + $1.gap.customerCount }
                #expect(counts == all.customerCount)
            }
            let unknown = #expect(throws: EngineError.self) {
                _ = try workspace.valueReport(by: "tiers", threadCount: 1)
            }
            #expect(unknown?.description.contains("tier, behaviour") ?? false, "\(unknown as Any)")
        }
    }

    @Test func projectionsAreCheckedOnTheTimeBefore() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeRetailer(folder, customers: 2_000)
            _ = try workspace.train(threadCount: 2)
            let projection = try workspace.project(
                horizon: Horizon(18, .month), step: .month, by: "tier", threadCount: 2)
            #expect(projection.ends.count == 18 && projection.groups.count == 4)
            let test = try #require(projection.backTest)
            // Two years of purchases: the models see at least as much as they are asked for.
            #expect(projection.checkedStepCount == 11 || projection.checkedStepCount == 12)
            #expect(test.ends.count == projection.checkedStepCount)
            let actual = test.groups.reduce(0) { $0 + $1.actual.reduce(0, +) }
            let expected = test.groups.reduce(0) {
                $0 + ($1.path.steps.last?.valueToHere ?? 0)
            }
            #expect(actual > 0 && abs(expected / actual - 1) < 0.35, "\(expected) \(actual)")
            let all = test.groups.reduce(0) { $0 + $1.path.customerCount }
            #expect(all > 1_000)
            // The same actual revenue as that of a back-test over all these steps.
            let day = try #require(CalendarDay(parsing: test.asOf))
            let last = try workspace.asOfDay(nil, threadCount: 1)
            let report = try workspace.evaluate(
                asOf: day, horizon: Horizon(Double(last.daysSince1970 - day.daysSince1970), .day),
                threadCount: 2)
            #expect(abs(report.actualRevenue - actual) < 1e-6 * actual)

            let segments = try workspace.project(
                horizon: Horizon(4, .week), step: .week, by: "value", threadCount: 2)
            #expect(segments.checkedStepCount == 4)
            let short = try workspace.project(
                asOf: CalendarDay(parsing: "2026-01-01"), horizon: Horizon(2, .month),
                step: .month, by: "tier", threadCount: 1)
            #expect(short.backTest != nil)
        }
    }

    @Test(.enabled(if: Program.path != nil)) func theProgramPrintsThem() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeRetailer(folder, customers: 800)
            _ = try workspace.train(only: ["lifetime"], threadCount: 2)
            let value = try Program.run(["value", "ws"], in: folder)
            #expect(value.code == 0 && value.output.contains("highest value"), "\(value)")
            let project = try Program.run(
                ["project", "ws", "--horizon", "20m", "--step", "month"], in: folder)
            #expect(project.code == 0, "\(project)")
            #expect(project.output.contains(" *") && project.output.contains("back-test"))
            let json = try Program.run(["project", "ws", "--horizon", "2m", "--json"], in: folder)
            let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
            #expect((object as? [String: Any])?["checkedStepCount"] as? Int == 2)
            for (arguments, code) in [
                (["project", "ws", "--horizon", "5d", "--step", "month"], Int32(64)),
                (["project", "ws", "--by", "nothing"], 1), (["value", "none"], 1),
            ] {
                let outcome = try Program.run(arguments, in: folder)
                #expect(outcome.code == code, "\(arguments): \(outcome)")
                #expect(outcome.errors.contains("rror"))
            }
        }
    }
}
