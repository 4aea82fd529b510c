import ColumnStore
import Engine
import Foundation
import Models
import Synthetic
import TestSupport
import Testing
import Units

/// Learned churn models, from purchases to scores with reasons.
@Suite struct ChurnModelTests {
    /// A retailer whose plan learns churn.
    private func makeWorkspace(
        _ folder: URL, model: String, customers: Int = 3_000, more: String = ""
    ) throws -> Workspace {
        var parameters = Retailer.Parameters()
        parameters.customerCount = customers
        _ = try Retailer(parameters).generate(into: folder.sub("data"), threadCount: 2)
        let planPath = folder.sub("data/\(Retailer.FileName.plan)")
        let plan = try String(contentsOfFile: planPath, encoding: .utf8)
        let churn = try #require(plan.split(separator: "\n").first { $0.hasPrefix("churn:") })
        try plan.replacingOccurrences(
            of: churn, with: "churn: {horizon: 13w, model: \(model)\(more)}"
        ).write(toFile: planPath, atomically: true, encoding: .utf8)
        try Workspace.create(folder: folder.sub("ws"), planPath: planPath)
        let workspace = try Workspace(folder: folder.sub("ws"), access: .writing)
        _ = try workspace.ingest()
        return workspace
    }

    private struct Scores {
        var header: [Substring]
        var rows: [[Substring]]

        init(path: String) throws {
            let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
            header = lines[0].split(separator: ",")
            rows = lines.dropFirst().map {
                $0.split(separator: ",", omittingEmptySubsequences: false)
            }
        }

        func column(_ name: String) throws -> [Substring] {
            let index = try #require(header.firstIndex { $0 == name }, "\(name)")
            return rows.map { $0[index] }
        }
    }

    @Test(arguments: ["trees", "logistic"])
    func customersGetProbabilitiesAndReasons(model: String) throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, model: model, more: ", reasonCount: 3")
            let trained = try workspace.train(only: ["lifetime", "churn"], threadCount: 2)
            let card = try #require(trained.models.last)
            #expect(card.name == "churn" && card.algorithm == model)
            let check = try #require(card.churn)
            #expect(check.horizonDays == 91)
            let area = try #require(check.summary.areaUnderROC)
            #expect(area > 0.7, "\(check.summary)")
            #expect(check.summary.calibrationError < 0.06)
            #expect(card.inputs.contains { $0.name == "daysSinceLastPurchase" })

            _ = try workspace.score(csvPath: folder.sub("scores.csv"), threadCount: 2)
            let scores = try Scores(path: folder.sub("scores.csv"))
            let status = try scores.column("status")
            let learned = try scores.column("churn_probability")
            let lifetime = try scores.column("lifetime_churn_probability")
            let names = Set(card.inputs.map(\.name))
            for row in scores.rows.indices {
                guard status[row] == "0" else {
                    #expect(learned[row].isEmpty)
                    continue
                }
                let probability = try #require(Double(learned[row]))
                #expect((0...1).contains(probability))
                #expect((0...1).contains(try #require(Double(lifetime[row]))))
            }
            var largest = Double.infinity
            for place in 1...3 {
                let reason = try scores.column("churn_reason_\(place)")
                let effect = try scores.column("churn_reason_\(place)_effect")
                #expect(names.contains(String(reason[0])))
                let size = abs(try #require(Double(effect[0])))
                #expect(size > 0 && size <= largest)
                largest = size
            }
            try workspace.publish()
            // Both know that who has been away for long is less likely to come back.
            let away = try scores.column("days_since_last_purchase").map { Double($0) ?? 0 }
            func mean(_ keep: (Double) -> Bool) throws -> Double {
                let chosen = scores.rows.indices.filter { status[$0] == "0" && keep(away[$0]) }
                return chosen.reduce(0) { $0 + (Double(learned[$1]) ?? 0) } / Double(chosen.count)
            }
            #expect(try mean { $0 > 120 } > mean { $0 < 30 } + 0.2)
        }
    }

    /// A model as of a day is, byte for byte, that of a company that stopped on that day.
    @Test func aModelSeesNothingOfLaterDays() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, model: "trees", customers: 1_500)
            let path = folder.sub("data/purchases.csv")
            let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
            let column = try #require(lines[0].split(separator: ",").firstIndex(of: "time"))
            let days = lines.dropFirst().map { line in
                line.split(separator: ",", omittingEmptySubsequences: false)[column].prefix(10)
            }
            let last = try #require(days.max().flatMap { CalendarDay(parsing: String($0)) })
            let day = last + -100
            let kept = zip(lines.dropFirst(), days).filter { $0.1 <= Substring(day.description) }
            try ([lines[0]] + kept.map(\.0)).joined(separator: "\n")
                .write(toFile: path, atomically: true, encoding: .utf8)
            try Workspace.create(
                folder: folder.sub("early"),
                planPath: folder.sub("data/\(Retailer.FileName.plan)"))
            let early = try Workspace(folder: folder.sub("early"), access: .writing)
            _ = try early.ingest()
            var models: [FittedChurn] = []
            for (workspace, name) in [(workspace, "ws"), (early, "early")] {
                _ = try workspace.train(asOf: day, only: ["churn"], threadCount: 2)
                let file = try #require(workspace.manifest.models.last?.file)
                models.append(try Self.model(folder.sub("\(name)/\(file)")))
            }
            #expect(models[0].periods == models[1].periods)
            #expect(models[0].periods.end == day.daysSince1970)
            // Not within the macro, which would print all trees.
            let areEqual = models[0].model == models[1].model
            #expect(areEqual)
        }
    }

    private static func model(_ path: String) throws -> FittedChurn {
        struct Contents: Decodable { var model: FittedChurn }
        let card = try ArrayFile(path: path).card
        return try JSONDecoder().decode(Contents.self, from: Data(card)).model
    }

    @Test func backTestsMeasureBothModels() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, model: "trees")
            let last = try workspace.asOfDay(nil, threadCount: 2)
            let report = try workspace.evaluate(
                asOf: last + -95, horizon: Horizon(12, .week), threadCount: 2)
            #expect(report.churn.map(\.model) == ["lifetime", "trees"])
            for measure in report.churn {
                #expect(try #require(measure.summary.areaUnderROC) > 0.7)
                #expect(measure.summary.rowCount > 2_000)
            }
            // The same customers and the same outcome.
            let shares = Set(report.churn.map(\.summary.observedShare))
            #expect(shares.count == 1)
            let short = try workspace.evaluate(
                asOf: last + -20, horizon: Horizon(2, .week), threadCount: 2)
            #expect(short.churn.isEmpty)
            #expect(try #require(short.notFitted["churn"]).contains("13w after"))
        }
    }

    @Test func aShortHistoryIsNamed() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, model: "trees", customers: 300)
            let first = try #require(CalendarDay(parsing: "2024-03-31"))
            let trained = try? workspace.train(asOf: first, threadCount: 2)
            let reason = try #require(trained?.notFitted["churn"])
            #expect(reason.contains("set a shorter churn.horizon"), "\(reason)")
            let error = #expect(throws: EngineError.self) {
                _ = try workspace.train(asOf: first, only: ["churn"], threadCount: 2)
            }
            #expect(error?.description.contains("churn") ?? false)
        }
    }
}
