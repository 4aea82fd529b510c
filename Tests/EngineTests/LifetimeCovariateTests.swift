import Engine
import Foundation
import Models
import TestSupport
import Testing
import Units

/// Lifetime models whose parameters attributes of the customers shift, from files to scores.
@Suite struct LifetimeCovariateTests {
    private let lastDay = CovariateWorld.lastDay

    private func workspace(
        _ folder: URL, _ world: CovariateWorld,
        _ lifetime: String = "model: bgnbd, covariates: [channel, age]",
        attributes: [String] = CovariateWorld.attributes
    ) throws -> Workspace {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return try makeWorkspace(
            folder, world.lines, customers: world.customers, attributes: attributes,
            settings: CovariateWorld.settings(lifetime))
    }

    private func score(_ workspace: Workspace, _ folder: URL, threads: Int = 2) throws -> ScoreTable
    {
        let path = folder.appendingPathComponent("scores.csv").path
        _ = try workspace.score(asOf: lastDay, csvPath: path, threadCount: threads)
        return try ScoreTable(path)
    }

    /// The planted coefficients lie in their intervals; each customer is scored by the own attributes,
    /// in the scores and in every report.
    @Test(arguments: [PurchaseModelKind.bgnbd, .paretonbd])
    func plantedEffectsAreFoundAndUsed(_ kind: PurchaseModelKind) throws {
        let world = CovariateWorld(kind, count: 4_000, seed: 12)
        try withTemporaryFolder { folder in
            let workspace = try workspace(
                folder, world, "model: \(kind.rawValue), covariates: [channel, age]")
            let trained = try workspace.train(asOf: lastDay, only: ["lifetime"], threadCount: 2)
            let card = try #require(trained.models.first)
            #expect(card.algorithm == "\(kind.rawValue)+covariates+gammagamma")
            #expect(card.warnings.isEmpty, "\(card.warnings)")
            let report = try #require(card.covariates)
            #expect(report.bases["channel"] == "store" && report.combinationCount == 100)
            #expect((report.test?.pValue ?? 1) < 1e-20 && report.notes.isEmpty)
            let isPareto = kind == .paretonbd
            let planted: [(String, String, Double)] =
                [
                    ("alpha", "channel=web", CovariateWorld.web),
                    ("alpha", "age", CovariateWorld.year),
                ]
                + (isPareto
                    ? [("beta", "channel=web", CovariateWorld.leaving), ("beta", "age", 0)]
                    : [
                        ("a", "channel=web", 0), ("a", "age", 0),
                        ("b", "channel=web", CovariateWorld.staying), ("b", "age", 0),
                    ])
            #expect(report.effects.count == planted.count)
            var heldCount = 0
            for (effect, truth) in zip(report.effects, planted) {
                #expect(effect.parameter == truth.0 && effect.covariate == truth.1)
                #expect(effect.part == (truth.0 == "alpha" ? .purchaseRate : .dropOut))
                let interval = try #require(effect.interval)
                let error = try #require(effect.standardError)
                #expect(abs(effect.coefficient - truth.2) < 3.3 * error, "\(effect)")
                if interval.contains(truth.2) { heldCount += 1 }
                #expect(
                    abs(interval.upperBound - interval.lowerBound - 3.92 * error) < 0.01 * error)
                #expect(error < (effect.covariate == "age" ? 0.02 : 0.5), "\(effect)")
            }

            #expect(heldCount >= planted.count - 1)

            let scores = try score(workspace, folder)
            try checkScores(scores, card, world, isPareto: isPareto)
            let one = folder.appendingPathComponent("one.csv").path
            _ = try workspace.score(asOf: lastDay, csvPath: one, threadCount: 1)
            #expect(try ScoreTable(one).text == scores.text)
            let restored = try Workspace(folder: workspace.folder, access: .reading)
            #expect(try restored.modelCards() == [card])
            try checkReports(restored, scores)
            #expect(restored.verify().problems.isEmpty)
        }
    }

    /// By the formulas of the literature from the numbers on the card.
    private func checkScores(
        _ scores: ScoreTable, _ card: ModelCard, _ world: CovariateWorld, isPareto: Bool
    ) throws {
        func number(_ name: String) throws -> Double { try #require(card.diagnostics[name]) }
        let effects = try #require(card.covariates).effects
        let people = world.customers.dropFirst().map { line -> (web: Double, age: Double) in
            let fields = line.split(separator: ",")
            return (fields[1] == "web" ? 1 : 0, Double(fields[2]) ?? .nan)
        }
        let count = Double(people.count)
        let web = people.reduce(0) { $0 + $1.web } / count
        let age = people.reduce(0) { $0 + $1.age } / count
        for customer in stride(from: 0, to: people.count, by: 97) {
            func shift(_ parameter: String) -> Double {
                effects.filter { $0.parameter == parameter }.reduce(0) { sum, effect in
                    let value =
                        effect.covariate == "age"
                        ? people[customer].age - age : people[customer].web - web
                    return sum + effect.coefficient * value
                }
            }
            let alpha = try number("alpha") * exp(-shift("alpha"))
            let model: any PurchaseModel =
                isPareto
                ? FittedParetoNBD(
                    r: try number("r"), alpha: alpha, s: try number("s"),
                    beta: try number("beta") * exp(-shift("beta")), grid: .week)
                : FittedBGNBD(
                    r: try number("r"), alpha: alpha, a: try number("a") * exp(shift("a")),
                    b: try number("b") * exp(shift("b")), grid: .week)
            let x = Int(try #require(scores(customer, "repeat_purchase_count")))
            let tx = try #require(scores(customer, "age_at_last_purchase_days")) / 7
            let observed = try #require(scores(customer, "observed_age_days")) / 7
            let alive = model.probabilityAlive(x: x, tx: tx, age: observed)
            let orders = model.expectedPurchases(x: x, tx: tx, age: observed, horizon: 52)
            let leaving = 1 - model.probabilityOfPurchase(x: x, tx: tx, age: observed, horizon: 13)
            let text: Comment = "customer \(customer)"
            #expect(abs(try #require(scores(customer, "probability_alive")) - alive) < 1e-9, text)
            let expected = try #require(scores(customer, "expected_purchases"))
            #expect(abs(expected - orders) < 1e-8 * max(1, orders), text)
            #expect(
                abs(try #require(scores(customer, "churn_probability")) - leaving) < 1e-8, text)
            let (value, order) = (
                try #require(scores(customer, "lifetime_value")),
                try #require(scores(customer, "expected_order_value"))
            )
            // Discounted over a year by ten percent.
            #expect(value < 0.3 * orders * order * 1.0001 && value > 0.27 * orders * order, text)
        }
    }

    private func checkReports(_ workspace: Workspace, _ scores: ScoreTable) throws {
        let value = scores.sum("lifetime_value")
        let gap = try workspace.valueReport(asOf: lastDay, by: "tier", threadCount: 2)
        #expect(abs(gap.groups[0].gap.lifetimeValue - value) < 1e-9 * value)
        #expect(gap.intervalMissing != nil)
        #expect(gap.groups.allSatisfy { $0.lifetimeValueInterval == nil })
        let tiers = try workspace.tiers(asOf: lastDay, threadCount: 2).tiers
        #expect(abs(tiers.reduce(0) { $0 + $1.expectedValue } - value) < 1e-9 * value)
        for customer in [0, 1, 2, 3, 500] {
            let path = try workspace.path(
                ofCustomer: "\(customer)", stepDays: 91, asOf: lastDay, threadCount: 1)
            let last = try #require(path.steps.last)
            #expect(last.probabilityAlive == scores(customer, "probability_alive"))
            #expect(last.expectedPurchases == scores(customer, "expected_purchases"))
            #expect(last.lifetimeValue == scores(customer, "lifetime_value"))
            #expect(path.covariates?.keys.sorted() == ["age", "channel=web"])
            let quantiles = try #require(path.quantiles)
            #expect(quantiles.purchases == quantiles.purchases.sorted())
        }
        let error = #expect(throws: EngineError.self) {
            _ = try workspace.project(
                asOf: lastDay, horizon: Horizon(2, .month), step: .month, by: "tier",
                threadCount: 1)
        }
        #expect(error?.description.contains("covariates channel, age") ?? false)
        #expect(error?.description.contains("take lifetime.covariates out") ?? false)
    }

    /// What the attributes tell helps to foresee who leaves and who orders.
    @Test(arguments: [PurchaseModelKind.bgnbd, .paretonbd])
    func aBackTestIsNoWorse(_ kind: PurchaseModelKind) throws {
        let world = CovariateWorld(kind, count: 3_000, seed: 5)
        try withTemporaryFolder { folder in
            var reports: [EvaluationReport] = []
            for covariates in ["", ", covariates: [channel, age]"] {
                let workspace = try workspace(
                    folder.appendingPathComponent("\(reports.count)"), world,
                    "model: \(kind.rawValue)\(covariates)")
                reports.append(
                    try workspace.evaluate(
                        asOf: lastDay + -182, horizon: Horizon(26, .week), threadCount: 2))
            }
            let (plain, own) = (reports[0], reports[1])
            #expect(own.purchaseModel == "\(plain.purchaseModel ?? "") with covariates")
            let (a, b) = (try #require(plain.churn.first), try #require(own.churn.first))
            #expect(b.summary.logLoss < a.summary.logLoss)
            #expect((b.summary.areaUnderROC ?? 0) > (a.summary.areaUnderROC ?? 1))
            let (before, after) = (
                try #require(plain.purchases), try #require(own.purchases)
            )
            #expect(after.rootMeanSquareError < 1.01 * before.rootMeanSquareError)
        }
    }

    /// Values that are missing, rare, new or far away are read by the rules of the training.
    @Test func oddAttributes() throws {
        var world = CovariateWorld(.bgnbd, count: 2_000, seed: 7)
        for customer in 0..<120 {
            world.customers[customer + 1] = "\(customer),,30"
            world.customers[customer + 201] = "\(customer + 200),store,"
        }
        for customer in 400..<406 { world.customers[customer + 1] = "\(customer),fair,30" }
        try withTemporaryFolder { folder in
            let workspace = try workspace(folder, world)
            let trained = try workspace.train(asOf: lastDay, only: ["lifetime"], threadCount: 2)
            let report = try #require(trained.models.first?.covariates)
            #expect(
                report.effects.filter { $0.parameter == "alpha" }.map(\.covariate)
                    == ["channel=web", "channel=(missing)", "age", "age=(missing)"])
            #expect(report.notes.count == 1 && report.notes[0].contains("6 customers of rare"))
            let first = try score(workspace, folder)

            var rows = [CovariateWorld.header]
            for customer in 600..<603 { rows.append("\(customer),phone,40") }
            rows += ["610,store,1e9", "611,store,69", "612,store,-5", "613,store,20"]
            let path = folder.appendingPathComponent("later.csv")
            try Data((rows.joined(separator: "\n") + "\n").utf8).write(to: path)
            _ = try workspace.ingest(IngestFiles(customers: [path.path]))
            let csv = folder.appendingPathComponent("second.csv").path
            let summary = try workspace.score(asOf: lastDay, csvPath: csv, threadCount: 2)
            let notes = try #require(summary.notes)
            #expect(
                notes.contains {
                    $0.contains("channel: 3 customers") && $0.contains("\"phone\"")
                        && $0.contains("count as \"store\"")
                }, "\(notes)")
            #expect(notes.contains { $0.contains("age: 2 customers lie outside 20.0 ... 69.0") })
            let second = try ScoreTable(csv)
            #expect(!second.text.contains("nan") && !second.text.contains("inf"))
            // As customers of the base, and at the ends of the range.
            let same = try workspace.path(
                ofCustomer: "600", stepDays: 400, asOf: lastDay, threadCount: 1)
            #expect(same.covariates?["channel=web"] == 0 && same.covariates?["age"] == 40)
            let far = try workspace.path(
                ofCustomer: "610", stepDays: 400, asOf: lastDay, threadCount: 1)
            #expect(far.covariates?["age"] == 69)
            #expect(first(1_000, "lifetime_value") == second(1_000, "lifetime_value"))
            #expect(first(610, "expected_purchases") != second(610, "expected_purchases"))
        }
    }

    /// Customers of whom nothing is known lack every attribute: one covariate tells of them all.
    @Test func unknownCustomersAreToldApartOnce() throws {
        var world = CovariateWorld(.bgnbd, count: 2_000, seed: 7)
        world.customers.removeSubrange(1...200)
        try withTemporaryFolder { folder in
            let workspace = try workspace(folder, world)
            let trained = try workspace.train(asOf: lastDay, only: ["lifetime"], threadCount: 2)
            let report = try #require(trained.models.first?.covariates)
            #expect(
                report.effects.filter { $0.parameter == "alpha" }.map(\.covariate)
                    == ["channel=web", "channel=(missing)", "age"])
            let unknown = try workspace.path(
                ofCustomer: "5", stepDays: 400, asOf: lastDay, threadCount: 1)
            #expect(unknown.covariates?["channel=(missing)"] == 1)
        }
    }

    /// New lines of some customers: the scores are those of scoring all anew.
    @Test func scoresGoOnFromTheLast() throws {
        let world = CovariateWorld(.bgnbd, count: 1_500, seed: 3)
        let cut = lastDay + -30
        var early = world
        early.lines = world.lines.filter { $0.day <= cut.daysSince1970 }
        let later = world.lines.filter { $0.day > cut.daysSince1970 }
        try withTemporaryFolder { folder in
            let (one, other) = (
                folder.appendingPathComponent("a"), folder.appendingPathComponent("b")
            )
            let grown = try workspace(one, early)
            _ = try grown.train(asOf: cut, only: ["lifetime"], threadCount: 2)
            _ = try grown.score(asOf: cut, threadCount: 2)
            var text = "customer,day,amount\n"
            for line in later {
                let amount = Money(tenThousandths: line.amount).units
                text += "\(line.customer),\(CalendarDay(daysSince1970: line.day)),\(amount)\n"
            }
            let path = one.appendingPathComponent("later.csv")
            try Data(text.utf8).write(to: path)
            _ = try grown.ingest(IngestFiles(purchases: [path.path]))
            let anew = try workspace(other, world)
            _ = try anew.train(asOf: cut, only: ["lifetime"], threadCount: 2)
            #expect(try score(grown, one).text == score(anew, other).text)
        }
    }

    @Test func refusesByName() throws {
        let world = CovariateWorld(.bgnbd, count: 300, seed: 2)
        func failure(
            _ covariates: String, _ attributes: [String], _ row: (Int, Bool, Int) -> String
        ) throws -> String {
            var other = world
            other.customers = [
                "customer,"
                    + attributes.map { String($0.prefix { $0 != ":" }) }.joined(separator: ",")
            ]
            for (customer, line) in world.customers.dropFirst().enumerated() {
                let fields = line.split(separator: ",")
                other.customers.append(
                    "\(customer)," + row(customer, fields[1] == "web", Int(fields[2]) ?? 0))
            }
            return try withTemporaryFolder { folder in
                let workspace = try workspace(
                    folder, other, "model: bgnbd, covariates: [\(covariates)]",
                    attributes: attributes)
                do {
                    _ = try workspace.train(asOf: lastDay, only: ["lifetime"], threadCount: 1)
                } catch {
                    return "\(error)"
                }
                return ""
            }
        }
        #expect(
            try failure("flat", ["flat: number"]) { _, _, _ in "7" }
                .contains("column \"flat\": all customers have the value 7"))
        #expect(
            try failure("shop", ["shop: text"]) { customer, _, _ in customer < 3 ? "b" : "a" }
                .contains("column \"shop\": all customers, or all but a few, have the value \"a\""))
        #expect(
            try failure("empty", ["empty: number", "age: number"]) { _, _, age in ",\(age)" }
                .contains("column \"empty\": only 0 customers have a value"))
        #expect(
            try failure("name", ["name: text"]) { customer, _, _ in "n\(customer)" }
                .contains("column \"name\": too few customers have any one of its values"))
        #expect(
            try failure("large", ["large: number"]) { customer, _, _ in "1e\(customer % 200)" }
                .contains("column \"large\": it has numbers beyond"))
        let twice = try failure("age, double", ["age: number", "double: number"]) { _, _, age in
            "\(age),\(2 * age)"
        }
        #expect(twice.contains("\"double\"") && twice.contains("linear combination of \"age\""))
        try withTemporaryFolder { folder in
            let workspace = try workspace(folder, world)
            _ = try workspace.train(asOf: lastDay, only: ["lifetime"], threadCount: 1)
            // Neither fitted nor scored where nothing is known of the customers.
            let bare = folder.appendingPathComponent("bare").path
            let planPath = folder.appendingPathComponent("patron.yaml").path
            try Workspace.create(folder: bare, planPath: planPath)
            let empty = try Workspace(folder: bare, access: .writing)
            let purchases = folder.appendingPathComponent("purchases.csv").path
            _ = try empty.ingest(IngestFiles(purchases: [purchases], customers: []))
            let error = #expect(throws: EngineError.self) {
                _ = try empty.train(asOf: lastDay, only: ["lifetime"], threadCount: 1)
            }
            #expect(
                error?.description.contains("\"channel\": nothing is known of the customers")
                    ?? false, "\(error as Any)")
        }
    }
}
