import ByteCoding
import ColumnStore
import Engine
import Foundation
import Ingest
import Models
import Numerical
import TestSupport
import Testing
import Units

/// Reports that ask the latest lifetime model: tiers and the path of one customer.
@Suite struct LifetimeReportTests {
    private let lastDay = day("2021-12-31")
    private let since = day("2021-06-30")

    /// Customers who buy at a rate of their own until they leave, some with returns.
    private func lines(_ count: Int, seed: UInt64) -> [PlantedLine] {
        var random = SeededRandom(seed: seed)
        func exponential(_ mean: Double) -> Double { -log(1 - random.uniform()) * mean }
        var lines: [PlantedLine] = []
        for customer in 0..<count {
            let start = lastDay.daysSince1970 - random.below(600)
            let (pace, stay) = (exponential(40) + 3, exponential(300))
            let value = 5 + exponential(30)
            var age = 0.0
            while age <= stay, start + Int(age) <= lastDay.daysSince1970 {
                let amount = Int64(value * (0.5 + random.uniform()) * 100) * 100
                lines.append(
                    PlantedLine(
                        customer: Int64(customer * 3), day: start + Int(age), amount: amount))
                if random.below(12) == 0 {
                    lines.append(
                        PlantedLine(
                            customer: Int64(customer * 3), day: start + Int(age) + 2,
                            amount: -amount))
                }
                age += exponential(pace)
            }
        }
        lines.append(
            PlantedLine(customer: 1, day: since.daysSince1970 - 9, amount: -10_000))
        return lines
    }

    /// Of a customer by a day: days from and since, net revenue; nil without an order.
    private func state(
        _ lines: [PlantedLine], _ day: CalendarDay
    ) -> (age: Int, since: Int, revenue: Double)? {
        let seen = lines.filter { $0.day <= day.daysSince1970 }
        let days = seen.filter { $0.amount >= 0 }.map(\.day)
        guard let first = days.min(), let last = days.max() else { return nil }
        let revenue = Money(tenThousandths: seen.reduce(0) { $0 + $1.amount }).units
        return (day.daysSince1970 - first, day.daysSince1970 - last, revenue)
    }

    private struct Sum {
        var customers = 0
        var before = 0.0
        var between = 0.0
    }

    @Test func tiersAndMoves() throws {
        let lines = lines(900, seed: 3)
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, lines)
            #expect(throws: EngineError.modelMissing(name: "lifetime")) {
                try workspace.tiers(asOf: lastDay, threadCount: 1)
            }
            _ = try workspace.train(asOf: day("2021-10-01"), only: ["lifetime"], threadCount: 2)
            let report = try workspace.tiers(asOf: lastDay, since: since, threadCount: 2)
            func tier(_ age: Int, _ since: Int) -> Int {
                report.cells.first { cell in
                    age >= cell.longevityFrom ?? 0 && age < cell.longevityBelow ?? .max
                        && since >= cell.sinceLastPurchaseFrom ?? 0
                        && since < cell.sinceLastPurchaseBelow ?? .max
                }?.tier ?? -1
            }
            var moves: [[Int]: Sum] = [:]
            for own in Dictionary(grouping: lines, by: \.customer).values {
                let (before, now) = (state(own, since), state(own, lastDay))
                let from = before.map { tier($0.age, $0.since) } ?? 0
                let to = now.map { tier($0.age, $0.since) } ?? 0
                let all = now.map(\.revenue) ?? -1
                let early = own.filter { $0.day <= since.daysSince1970 }
                    .reduce(0) { $0 + $1.amount }
                moves[[from, to], default: Sum()].customers += 1
                moves[[from, to], default: Sum()].before += Money(tenThousandths: early).units
                moves[[from, to], default: Sum()].between +=
                    all - Money(tenThousandths: early).units
            }
            let migration = try #require(report.migration)
            #expect(migration.moves.count == moves.count && moves.count > 10)
            for move in migration.moves {
                let sum = moves[[move.from, move.to]] ?? Sum()
                #expect(move.customerCount == sum.customers, "\(move)")
                #expect(abs(move.revenueBefore - sum.before) < 1e-6, "\(move)")
                #expect(abs(move.revenueBetween - sum.between) < 1e-6, "\(move)")
            }
            #expect(migration.modelIsLater)
            for tier in report.tiers {
                let into = migration.moves.filter { $0.to == tier.tier }
                #expect(tier.customerCount == into.reduce(0) { $0 + $1.customerCount })
                let own = report.cells.filter { $0.tier == tier.tier }
                #expect(tier.customerCount == own.reduce(0) { $0 + $1.customers })
                #expect(tier.customersAtFit == own.reduce(0) { $0 + $1.customersAtFit })
                let revenue = into.reduce(0) { $0 + $1.revenueBefore + $1.revenueBetween }
                #expect(abs(tier.revenue - revenue) < 1e-6)
            }
            #expect(report.customersWithoutTier == 1)
            // The highest tier is worth the most to come.
            let means = report.tiers.filter { $0.customerCount > 0 }.map(\.meanExpectedValue)
            #expect(zip(means, means.dropFirst()).allSatisfy { $0 > $1 }, "\(means)")
            // What the model has seen, the earlier day may not be valued by.
            #expect(throws: EngineError.self) {
                try workspace.tiers(asOf: since, threadCount: 1)
            }
        }
    }

    /// The last step is what a scoring says; the steps before know no later line.
    @Test func pathOfACustomer() throws {
        let lines = lines(700, seed: 5)
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, lines)
            _ = try workspace.train(asOf: lastDay, only: ["lifetime"], threadCount: 2)
            let csvPath = folder.appendingPathComponent("scores.csv").path
            _ = try workspace.score(asOf: lastDay, csvPath: csvPath, threadCount: 2)
            let table = try String(contentsOfFile: csvPath, encoding: .utf8)
                .split(separator: "\n").map {
                    $0.split(separator: ",", omittingEmptySubsequences: false)
                }
            func field(_ row: [Substring], _ name: String) throws -> String {
                String(row[try #require(table[0].firstIndex { $0 == name })])
            }
            for customer in [0, 3, 21, 300, 699 * 3] {
                let own = lines.filter { $0.customer == customer }
                let path = try workspace.path(
                    ofCustomer: "\(customer)", stepDays: 28, asOf: lastDay, threadCount: 1)
                let row = try #require(table.first { $0[0] == "\(customer)" })
                let last = try #require(path.steps.last)
                #expect("\(last.probabilityAlive ?? -1)" == (try field(row, "probability_alive")))
                #expect("\(last.expectedPurchases ?? -1)" == (try field(row, "expected_purchases")))
                #expect("\(last.lifetimeValue ?? -1)" == (try field(row, "lifetime_value")))
                let churn = try #require(Double(try field(row, "churn_probability")))
                #expect(last.probabilityActive == 1 - churn)
                #expect(path.orders.count { $0.amount < 0 } == own.count { $0.amount < 0 })
                let first = try #require(CalendarDay(parsing: path.steps[0].day))
                for (index, step) in path.steps.enumerated() {
                    let day =
                        index + 1 == path.steps.count ? lastDay : first + 28 * index
                    let known = try #require(state(own, day))
                    #expect(step.day == day.description)
                    #expect(step.observedAgeDays == known.age)
                    #expect(step.daysSinceLastPurchase == known.since)
                    #expect(abs(step.revenue - known.revenue) < 1e-9)
                    let days = Set(
                        own.filter { $0.amount >= 0 && $0.day <= day.daysSince1970 }
                            .map(\.day))
                    #expect(step.repeatPurchaseCount == days.count - 1)
                }
                guard path.steps.count > 2 else { continue }
                // Nothing of an earlier look changes with the day from which one looks.
                let cut = try workspace.path(
                    ofCustomer: "\(customer)", stepDays: 28, asOf: first + 28, threadCount: 1)
                #expect(cut.steps[1].probabilityAlive == path.steps[1].probabilityAlive)
            }
            for (id, words) in [
                ("2", "no purchase line"), ("-5", "no purchase line"),
                ("99999", "no purchase line"),
                ("9223372036854775807", "no purchase line"), ("1", "returns only"),
                ("x", "whole numbers"),
            ] {
                do {
                    _ = try workspace.path(
                        ofCustomer: id, stepDays: 28, asOf: lastDay, threadCount: 1)
                    Issue.record("\(id) is known")
                } catch {
                    #expect("\(error)".contains(words), "\(error)")
                }
            }
        }
    }

    /// P10, P50 and P90 beside the exact law of the orders and drawn values.
    @Test func quantilesOfACustomer() throws {
        let lines = lines(700, seed: 5)
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, lines)
            let trained = try workspace.train(asOf: lastDay, only: ["lifetime"], threadCount: 2)
            let card = try #require(trained.models.first)
            func number(_ name: String) throws -> Double { try #require(card.diagnostics[name]) }
            let model = FittedBGNBD(
                r: try number("r"), alpha: try number("alpha"), a: try number("a"),
                b: try number("b"), grid: .week)
            let (p, q, v) = (try number("p"), try number("q"), try number("v"))
            var (spread, sizes) = (0, Set<Int>())
            for customer in stride(from: 0, to: 700, by: 60).map({ $0 * 3 }) {
                let path = try workspace.path(
                    ofCustomer: "\(customer)", stepDays: 1_000, asOf: lastDay, threadCount: 1)
                let step = try #require(path.steps.last)
                let quantiles = try #require(path.quantiles)
                #expect(quantiles.probabilities == [0.1, 0.5, 0.9] && path.covariates == nil)
                let x = step.repeatPurchaseCount
                let age = Double(step.observedAgeDays) / 7
                let tx = age - Double(step.daysSinceLastPurchase) / 7
                func mass(_ count: Int) -> Double {
                    model.probability(
                        ofPurchases: count, x: x, tx: max(0, tx), age: age, horizon: 52)
                }
                let text: Comment = "customer \(customer): \(quantiles)"
                for (probability, count) in zip(quantiles.probabilities, quantiles.purchases) {
                    let below = (0..<count).reduce(0) { $0 + mass($1) }
                    #expect(below < probability && below + mass(count) > probability - 1e-9, text)
                    sizes.insert(count)
                }
                // Orders by their law, what is spent on them by the posterior of the order value.
                let orders = lines.filter { $0.customer == customer && $0.amount >= 0 }
                let days = Dictionary(grouping: orders, by: \.day).sorted { $0.key < $1.key }
                let later = days.dropFirst().map { day in
                    Money(tenThousandths: day.value.reduce(0) { $0 + $1.amount }).units
                }
                #expect(later.count == x)
                let values = try #require(quantiles.values)
                var random = SeededRandom(seed: 9, stream: UInt64(customer))
                let count = 20_000
                var atMost = [0, 0, 0]
                for _ in 0..<count {
                    var (rest, orders) = (random.uniform(), 0)
                    while orders < 1_000, rest >= mass(orders) {
                        rest -= mass(orders)
                        orders += 1
                    }
                    let rate = random.gamma(
                        shape: q + p * Double(x), rate: v + later.reduce(0, +))
                    let spent =
                        orders == 0 ? 0 : random.gamma(shape: p * Double(orders), rate: rate)
                    for place in 0..<3 where 0.3 * spent <= values[place] { atMost[place] += 1 }
                }
                for (place, probability) in quantiles.probabilities.enumerated() {
                    let share = Double(atMost[place]) / Double(count)
                    // Five standard errors of a share.
                    #expect(share > probability - 0.018, text)
                    if values[place] > 0 {
                        #expect(share < probability + 0.018, text)
                        spread += 1
                    }
                }
            }
            #expect(spread > 4 && sizes.count > 3, "\(spread) \(sizes)")
        }
    }

    /// Whatever the kind of id, one customer's lines are those of all lines.
    @Test(arguments: [false, true])
    func linesOfOneCustomer(textIDs: Bool) throws {
        let lines = lines(300, seed: 8)
        try withTemporaryFolder { folder in
            func name(_ customer: Int64) -> String { customer % 2 == 0 ? "c\(customer)" : "d" }
            var paths: [String] = []
            for part in 0..<3 {
                let own = lines.indices.filter { $0 % 3 == part }.map { lines[$0] }
                let segment = PurchaseLines(
                    customerIDs: textIDs
                        ? .texts(TextArray(own.map { name($0.customer) }))
                        : .integers(own.map(\.customer)),
                    times: own.map { Int64($0.day) * 86_400 }, amounts: own.map(\.amount))
                paths.append(folder.appendingPathComponent("\(part).seg").path)
                _ = try PurchaseSegments.write(segment, to: paths[part])
            }
            let history = try SegmentedHistory(
                paths: paths, grossMarginRate: 0.3, chunkLineCount: 50, threadCount: 1)
            var expected: [String: Int] = [:]
            for line in lines {
                expected[textIDs ? name(line.customer) : "\(line.customer)", default: 0] += 1
            }
            for (id, count) in expected {
                let key = try #require(history.customerID(id))
                let found = try #require(try history.lines(ofCustomer: key, .margins))
                #expect(found.customerCount == 1 && found.lineCount == count)
                #expect(found.customerIDs[0] == key)
            }
            for id in textIDs ? ["", "c", "c0 ", "zz"] : ["-1", "2", "100000"] {
                let key = try #require(history.customerID(id))
                #expect(try history.lines(ofCustomer: key, .margins)?.customerCount == 0)
            }
            let other: EntityID = textIDs ? .integer(1) : .text("c0")
            #expect(try history.lines(ofCustomer: other, .margins) == nil)
        }
    }
}
