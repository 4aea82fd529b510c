import Foundation
import Models
import Numerical
import Testing

@Suite struct ChurnModelTests {
    /// Customers whose chance to leave is known.
    private struct Customers {
        var table: PredictorTable
        var outcome: ChurnOutcome
        var truth: [Double]

        init(_ count: Int, seed: UInt64) throws {
            var random = SeededRandom(seed: seed)
            var (tenure, spend, noise): ([Float], [Float], [Float]) = ([], [], [])
            var plan: [Int32] = []
            var (labels, truth): ([Bool], [Double]) = ([], [])
            for _ in 0..<count {
                let months = random.uniform() * 72
                let value = random.normal()
                let kind = random.below(3)
                let score = -1.2 - 0.04 * (months - 36) + 0.6 * value + (kind == 1 ? 1 : 0)
                let p = 1 / (1 + exp(-score))
                tenure.append(Float(months))
                spend.append(random.bernoulli(0.1) ? .nan : Float(value))
                noise.append(Float(random.normal()))
                plan.append(Int32(kind))
                labels.append(random.bernoulli(p))
                truth.append(p)
            }
            table = try PredictorTable([
                .init("tenure", numbers: tenure), .init("spend", numbers: spend),
                .init("noise", numbers: noise),
                .init("plan", codes: plan, categories: ["basic", "plus", "max"]),
            ])
            outcome = try ChurnOutcome(labels)
            self.truth = truth
        }
    }

    private static func parameters(
        _ algorithm: String, _ calibration: ChurnModel.CalibrationMethod
    ) -> ChurnModel.Parameters {
        var parameters = ChurnModel.Parameters()
        if algorithm == "trees" {
            var trees = BoostedTrees.Parameters()
            trees.leafCount = 6
            trees.treeCount = 120
            // Wrong by as much as this; calibration mends it.
            trees.positiveWeight = 4
            parameters.algorithm = .trees(trees)
        } else {
            parameters.algorithm = .logistic(LogisticRegression.Parameters())
        }
        parameters.calibration = calibration
        return parameters
    }

    private func refused(_ body: () throws -> Void) -> String {
        do { try body() } catch { return "\(error)" }
        return "taken"
    }

    @Test(arguments: ["trees", "logistic"], ChurnModel.CalibrationMethod.allCases)
    func probabilitiesAreTrue(
        algorithm: String, calibration: ChurnModel.CalibrationMethod
    ) throws {
        let customers = try Customers(12_000, seed: 1)
        let later = try Customers(12_000, seed: 2)
        let parameters = Self.parameters(algorithm, calibration)
        let model = try ChurnModel.fit(
            customers.table, customers.outcome, held: .given(later.table, later.outcome),
            parameters, threadCount: 2)
        let isTuned = algorithm == "trees" || calibration != .none
        #expect(model.trainingRowCount == 12_000)
        #expect(model.tuningRowCount == (isTuned ? 6_000 : 0))
        #expect(model.evaluation.rowCount == (isTuned ? 6_000 : 12_000))
        let fresh = try Customers(8_000, seed: 3)
        let scores = try ChurnScorer(model).scores(fresh.table, reasonCount: 2, threadCount: 2)
        let best = try #require(areaUnderROC(scores: fresh.truth, positive: fresh.outcome.labels))
        let found = try #require(
            areaUnderROC(scores: scores.probabilities, positive: fresh.outcome.labels))
        #expect(found > best - 0.02, "\(found) of \(best)")
        #expect(abs((model.evaluation.areaUnderROC ?? 0) - found) < 0.03)
        let error = zip(scores.probabilities, fresh.truth).reduce(0) { $0 + abs($1.0 - $1.1) }
        // The weight makes trees say too much where nothing is calibrated.
        let isWrong = algorithm == "trees" && calibration == .none
        #expect((error / 8_000 > 0.1) == isWrong, "\(error / 8_000)")
        #expect((model.evaluation.calibrationError > 0.1) == isWrong)
        #expect(scores.probabilities.allSatisfy { $0 > 0 && $0 < 1 })
        for row in 0..<8_000 {
            #expect(scores.probabilities[row] == model.probability(scores.rawScores[row]))
        }
    }

    @Test(arguments: ["trees", "logistic"]) func reasonsAddUp(algorithm: String) throws {
        let customers = try Customers(3_000, seed: 4)
        let model = try ChurnModel.fit(
            customers.table, customers.outcome, held: .oneIn(3), Self.parameters(algorithm, .platt))
        let scorer = ChurnScorer(model)
        #expect(model.trainingRowCount == 2_000 && model.tuningRowCount == 500)
        let all = try scorer.scores(customers.table, reasonCount: 99, threadCount: 2)
        #expect(all.columns == ["tenure", "spend", "noise", "plan"] && all.reasonCount == 4)
        let two = try scorer.scores(customers.table, reasonCount: 2)
        for row in stride(from: 0, to: 3_000, by: 7) {
            let reasons = all.reasons(row: row)
            let sum = reasons.reduce(all.base) { $0 + $1.contribution }
            #expect(abs(sum - all.rawScores[row]) < 1e-9)
            let sizes = reasons.map { abs($0.contribution) }
            #expect(zip(sizes, sizes.dropFirst()).allSatisfy { $0 >= $1 })
            #expect(two.reasons(row: row) == Array(reasons.prefix(2)))
        }
        #expect(try scorer.scores(customers.table, reasonCount: 0).reasons(row: 5).isEmpty)
        // New customers leave, loyal ones stay, and it is said why.
        guard case .numbers(let tenure) = customers.table.columns[0].values else { return }
        for (row, months) in tenure.enumerated() where months < 4 || months > 68 {
            let reason = all.reasons(row: row).first { $0.column == "tenure" }
            #expect((reason?.contribution ?? 0) * (months < 4 ? 1 : -1) > 0)
        }
    }

    /// Fitted with 1 and 3 threads, saved and loaded, scored whole and in pieces, with columns in another
    /// order and one more: the same bytes.
    @Test(arguments: ["trees", "logistic"]) func isTheSameAgain(algorithm: String) throws {
        let customers = try Customers(9_000, seed: 5)
        let parameters = Self.parameters(algorithm, .isotonic)
        let one = try ChurnModel.fit(customers.table, customers.outcome, parameters)
        let three = try ChurnModel.fit(
            customers.table, customers.outcome, parameters, threadCount: 3)
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let data = try encoder.encode(one)
        #expect(try encoder.encode(three) == data)
        let loaded = try JSONDecoder().decode(ChurnModel.self, from: data)
        #expect(loaded == one)
        let scores = try ChurnScorer(loaded).scores(customers.table, threadCount: 3)
        #expect(try ChurnScorer(one).scores(customers.table) == scores)
        let columns = customers.table.columns
        let moved = try PredictorTable(
            columns.reversed() + [.init("unused", numbers: [Float](repeating: 1, count: 9_000))])
        #expect(try ChurnScorer(one).scores(moved) == scores)
        let rows = Array(8_182..<8_202)
        let part = try ChurnScorer(one).scores(customers.table.rows(rows))
        #expect(part.rawScores == rows.map { scores.rawScores[$0] })
        for (place, row) in rows.enumerated() {
            #expect(part.reasons(row: place) == scores.reasons(row: row))
        }
        var other = parameters
        other.seed = 9
        #expect(
            try ChurnModel.fit(customers.table, customers.outcome, other).evaluation
                != one.evaluation)
    }

    @Test func refusesWhatCannotBeTold() throws {
        let customers = try Customers(2_000, seed: 6)
        let (table, outcome) = (customers.table, customers.outcome)
        func fit(
            _ table: PredictorTable, _ outcome: ChurnOutcome,
            _ held: ChurnModel.HeldRows = .oneIn(4)
        ) -> String {
            refused { _ = try ChurnModel.fit(table, outcome, held: held) }
        }
        let left = try ChurnOutcome([Bool](repeating: true, count: 2_000))
        #expect(fit(table, left).contains("all customers left"))
        #expect(
            fit(table, outcome, .given(table, left))
                .contains("of the held rows, 0 are customers who stayed, 20 are needed"))
        let few = Array(0..<60)
        #expect(
            fit(table.rows(few), outcome.rows(few)).contains("100 rows are needed, there are 45"))
        let rare = try ChurnOutcome((0..<2_000).map { $0 < 9 })
        #expect(
            fit(table, rare)
                .contains("of the training rows, 9 are customers who left, 10 are needed"))
        let scarce = try ChurnOutcome((0..<2_000).map { $0 < 40 })
        #expect(
            fit(table, scarce)
                .contains("of the held rows, 10 are customers who left, 20 are needed"))
        let without = try PredictorTable(Array(table.columns.dropFirst()))
        #expect(fit(table, outcome, .given(without, outcome)).contains("column \"tenure\""))
        #expect(fit(table, outcome, .oneIn(1)).contains("one held row in so many is 1"))
        let model = try ChurnModel.fit(table, outcome)
        #expect(
            refused { _ = try ChurnScorer(model).scores(without) }.contains("column \"tenure\""))
        #expect(
            refused { _ = try ChurnScorer(model).scores(table, reasonCount: -1) }
                .contains("reasonCount"))
        #expect(try ChurnScorer(model).scores(table.rows([])).rowCount == 0)
    }
}
