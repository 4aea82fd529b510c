import Foundation
import Models
import TestSupport
import Testing

/// The IBM Telco customers: 7,043 rows, eleven blank TotalCharges, a churn flag and no purchases.
@Suite struct TelcoTests {
    private static let file = TestData.file("telco_churn/telco_churn.csv")

    private func read() throws -> (table: PredictorTable, outcome: ChurnOutcome) {
        let url = try #require(Self.file)
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

    @Test(.enabled(if: file != nil)) func reachesThePeersInCrossValidation() throws {
        let (table, outcome) = try read()
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

    @Test(.enabled(if: file != nil)) func logisticRegressionReachesItToo() throws {
        let (table, outcome) = try read()
        var parameters = LogisticRegression.Parameters()
        parameters.threadCount = 2
        let folds = try StratifiedFolds(outcome.labels, foldCount: 5, seed: 0)
        let scores = try folds.predictions(table, outcome) {
            training, outcome, held throws(ModelError) in
            try LogisticRegression.fit(training, outcome, parameters).predictions(held)
        }
        let summary = try ProbabilitySummary(probabilities: scores, positive: outcome.labels)
        #expect(try #require(summary.areaUnderROC) >= 0.844, "\(summary)")
        #expect(summary.calibrationError < 0.02)
    }

    /// The eleven customers without TotalCharges have only just come and all stayed: without a penalty
    /// their coefficient has no maximum. With one, or without them, the fit has standard errors.
    @Test(.enabled(if: file != nil)) func logisticRegressionSaysWhatItCannotTell() throws {
        let (table, outcome) = try read()
        let penalized = try LogisticRegression.fit(table, outcome)
        #expect(penalized.isConverged && penalized.dropped.count == 7)
        for coefficient in penalized.coefficients {
            #expect(coefficient.value.isFinite && coefficient.standardError > 0)
        }
        let newcomers = try #require(
            penalized.coefficients.first { $0.term.name == "TotalCharges is missing" })
        #expect(newcomers.value < 0 && newcomers.interval.contains(0))
        var parameters = LogisticRegression.Parameters()
        parameters.regularization = 0
        do throws(ModelError) {
            _ = try LogisticRegression.fit(table, outcome, parameters)
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
        let fitted = try LogisticRegression.fit(
            table.rows(rows), outcome.rows(rows), parameters)
        // Six services say "No internet service" of the same customers, and one "No phone service".
        let names = fitted.dropped.map(\.term)
        #expect(names.count == 7, "\(names)")
        #expect(fitted.coefficients.first { $0.term.name == "tenure" }?.z ?? 0 < -8)
    }
}
