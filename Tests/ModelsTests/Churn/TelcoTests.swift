import Foundation
import Models
import TestSupport
import Testing

/// The IBM Telco customers: 7,043 rows, eleven blank TotalCharges, a churn flag and no purchases.
@Suite struct TelcoTests {
    private func read() throws -> (table: PredictorTable, outcome: ChurnOutcome)? {
        guard let url = TestData.file("telco_churn/telco_churn.csv") else { return nil }
        let lines = try String(contentsOf: url, encoding: .utf8).split(
            whereSeparator: \.isNewline)
        let names = lines[0].split(separator: ",").map(String.init)
        let rows = lines.dropFirst().map {
            $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        var columns: [PredictorTable.Column] = []
        for (index, name) in names.enumerated() where name != "customerID" && name != "Churn" {
            let texts = rows.map { $0[index] }
            if ["SeniorCitizen", "tenure", "MonthlyCharges", "TotalCharges"].contains(name) {
                columns.append(.init(name, numbers: texts.map { Float($0) ?? .nan }))
            } else {
                let categories = Set(texts).sorted()
                columns.append(
                    .init(
                        name,
                        codes: texts.map { Int32(categories.firstIndex(of: $0) ?? -1) },
                        categories: categories))
            }
        }
        let churn = try #require(names.firstIndex(of: "Churn"))
        return (try PredictorTable(columns), try ChurnOutcome(rows.map { $0[churn] == "Yes" }))
    }

    @Test func reachesThePeersInCrossValidation() throws {
        guard let (table, outcome) = try read() else { return }
        #expect(table.rowCount == 7_043 && table.columns.count == 19)
        #expect(outcome.labels.count(where: { $0 }) == 1_869)
        var parameters = BoostedTrees.Parameters()
        parameters.leafCount = 4
        parameters.learningRate = 0.05
        parameters.treeCount = 300
        parameters.threadCount = 2
        var areas: [Double] = []
        for seed in 0..<2 as Range<UInt64> {
            let folds = try StratifiedFolds(outcome.labels, foldCount: 5, seed: seed)
            let scores = try folds.predictions(table, outcome) {
                training, outcome, held throws(ModelError) in
                let fitted = try BoostedTrees.fit(training, outcome, parameters)
                return try ForestScorer(fitted.ensemble).predictions(held)
            }
            let summary = try ProbabilitySummary(
                probabilities: scores, positive: outcome.labels)
            areas.append(try #require(summary.areaUnderROC))
            #expect(summary.calibrationError < 0.02)
        }
        #expect(areas.reduce(0, +) / 2 >= 0.846, "\(areas)")
    }

    @Test func logisticRegressionReachesItToo() throws {
        guard let (table, outcome) = try read() else { return }
        var penalized = LogisticRegression.Parameters()
        penalized.regularization = 1
        penalized.threadCount = 2
        let folds = try StratifiedFolds(outcome.labels, foldCount: 5, seed: 0)
        let scores = try folds.predictions(table, outcome) {
            training, outcome, held throws(ModelError) in
            try LogisticRegression.fit(training, outcome, penalized).predictions(held)
        }
        let area = try #require(areaUnderROC(scores: scores, positive: outcome.labels))
        #expect(area >= 0.844, "\(area)")
    }

    /// The eleven customers without TotalCharges have only just come and all stayed: without a penalty
    /// their coefficient has no maximum. Without them the fit has standard errors.
    @Test func logisticRegressionSaysWhatItCannotTell() throws {
        guard let (table, outcome) = try read() else { return }
        do throws(ModelError) {
            _ = try LogisticRegression.fit(table, outcome)
            Issue.record("a separated column was fitted")
        } catch {
            #expect("\(error)".contains("\"TotalCharges is missing\" separates"))
        }
        guard
            case .numbers(let charges)? = table.columns.first(where: { $0.name == "TotalCharges" })?
                .values
        else { return }
        let rows = charges.indices.filter { !charges[$0].isNaN }
        #expect(rows.count == 7_032)
        let fitted = try LogisticRegression.fit(table.rows(rows), outcome.rows(rows))
        // Six services say "No internet service" of the same customers, and one "No phone service".
        let names = fitted.dropped.map(\.term)
        #expect(names.count == 7, "\(names)")
        #expect(fitted.coefficients.first { $0.term.name == "tenure" }?.z ?? 0 < -8)
    }
}
