import Foundation
import Models
import Numerical
import TestSupport
import Testing

@Suite struct CrossValidatedChurnTests {
    /// Customers who leave by a number and a category, beside a column that says nothing.
    private func customers(
        _ count: Int, seed: UInt64, effect: Double = 1
    ) throws -> (table: PredictorTable, outcome: ChurnOutcome, truth: [Double]) {
        var random = SeededRandom(seed: seed)
        var (value, noise): ([Float], [Float]) = ([], [])
        var plan: [Int32] = []
        var (labels, truth): ([Bool], [Double]) = ([], [])
        for _ in 0..<count {
            let x = random.normal()
            let kind = random.below(3)
            let score = -1 + effect * (x + (kind == 1 ? 1.5 : 0))
            let p = 1 / (1 + exp(-score))
            value.append(Float(x))
            noise.append(Float(random.normal()))
            plan.append(Int32(kind))
            labels.append(random.bernoulli(p))
            truth.append(p)
        }
        let table = try PredictorTable([
            .init("value", numbers: value), .init("noise", numbers: noise),
            .init("plan", codes: plan, categories: ["basic", "plus", "max"]),
        ])
        return (table, try ChurnOutcome(labels), truth)
    }

    private func parameters(_ isTrees: Bool) -> ChurnModel.Parameters {
        var parameters = ChurnModel.Parameters()
        if isTrees {
            var trees = BoostedTrees.Parameters()
            trees.leafCount = 4
            trees.learningRate = 0.05
            trees.treeCount = 1000
            parameters.algorithm = .trees(trees)
        } else {
            var logistic = LogisticRegression.Parameters()
            logistic.regularization = 1
            parameters.algorithm = .logistic(logistic)
        }
        return parameters
    }

    @Test(arguments: [true, false])
    func findsWhatWasPlanted(isTrees: Bool) throws {
        let (table, outcome, truth) = try customers(3000, seed: 5)
        let fitted = try CrossValidatedChurn.fit(table, outcome, parameters(isTrees))
        let best = try #require(areaUnderROC(scores: truth, positive: outcome.labels))
        let evaluation = fitted.model.evaluation
        #expect(try #require(evaluation.areaUnderROC) > best - 0.015)
        #expect(evaluation.calibrationError < 0.03)
        #expect(evaluation.rowCount == 3000)
        let distance = zip(fitted.probabilities, truth).reduce(0) { $0 + abs($1.0 - $1.1) } / 3000
        #expect(distance < 0.05, "\(distance)")
        #expect(fitted.treeCounts.count == (isTrees ? 5 : 0))
    }

    /// Trees that see a row know its label, whatever it comes from; none may have a part in its own
    /// probability.
    @Test(arguments: [true, false])
    func knowsNothingWhereThereIsNothing(isTrees: Bool) throws {
        let (table, outcome, _) = try customers(2000, seed: 9, effect: 0)
        let fitted = try CrossValidatedChurn.fit(table, outcome, parameters(isTrees))
        let area = try #require(fitted.model.evaluation.areaUnderROC)
        #expect(area > 0.44 && area < 0.56, "\(area)")
        let seen = try ChurnScorer(fitted.model).scores(table, reasonCount: 0)
        #expect(seen.rawScores.allSatisfy { $0.isFinite })
    }

    /// A row's own values and those of nobody else make its probability, by the model of its fold.
    @Test func foldModelsGiveTheProbabilities() throws {
        let (table, outcome, _) = try customers(800, seed: 2)
        let fitted = try CrossValidatedChurn.fit(table, outcome, foldCount: 4, parameters(true))
        #expect(fitted.foldCount == 4)
        for fold in 0..<4 {
            let rows = fitted.foldOfRow.indices.filter { fitted.foldOfRow[$0] == fold }
            let scores = try ChurnScorer(fitted.foldModels[fold]).scores(table.rows(rows))
            #expect(scores.probabilities == rows.map { fitted.probabilities[$0] })
            #expect(fitted.foldModels[fold].trainingRowCount == 800 - rows.count)
        }
        let threaded = try CrossValidatedChurn.fit(
            table, outcome, foldCount: 4, parameters(true), threadCount: 3)
        #expect(threaded == fitted)
    }

    @Test func tooFewRows() throws {
        let (table, _, _) = try customers(300, seed: 2)
        func refused(_ labels: [Bool], folds: Int = 5) -> String {
            do {
                _ = try CrossValidatedChurn.fit(
                    table, try ChurnOutcome(labels), foldCount: folds, parameters(true))
            } catch { return "\(error)" }
            return "fitted"
        }
        #expect(refused((0..<300).map { $0 < 19 }).contains("19 customers left, 20 are needed"))
        #expect(refused((0..<300).map { $0 > 5 }).contains("6 customers stayed"))
        #expect(refused((0..<300).map { $0 < 30 }, folds: 31).contains("foldCount is 31"))
        #expect(refused([Bool](repeating: true, count: 300)).contains("all customers left"))
    }
}
