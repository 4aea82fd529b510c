import Foundation
import Models
import Numerical
import Testing

@Suite struct CalibrationTests {
    private let scores = [0.1, 0.2, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    private let labels = [false, true, false, false, true, false, true, true, false, true]

    /// Reference: scikit-learn's IsotonicRegression.
    @Test func poolsAdjacentViolators() throws {
        let outcome = try ChurnOutcome(labels, weights: [1, 2, 1, 1, 1, 3, 1, 1, 1, 1])
        let fitted = try Calibration.isotonic(scores: scores, outcome)
        let wanted = [0, 0.375, 0.375, 0.375, 0.375, 0.375, 2.0 / 3, 2.0 / 3, 2.0 / 3, 1]
        for (score, probability) in zip(scores, wanted) {
            #expect(abs(fitted.probability(score) - probability) < 1e-12)
        }
        #expect(fitted.probability(-5) == 0 && fitted.probability(5) == 1)
        #expect(abs(fitted.probability(0.15) - 0.1875) < 1e-12)
        #expect(fitted.probability(.nan) == 0)
        let random = (0..<300).map { Double(($0 * 7919) % 300) / 300 }
        let all = try Calibration.isotonic(
            scores: random, try ChurnOutcome((0..<300).map { ($0 * 31) % 7 < 3 }))
        let curve = stride(from: -0.1, to: 1.1, by: 0.003).map(all.probability)
        #expect(zip(curve, curve.dropFirst()).allSatisfy { $0 <= $1 })
    }

    @Test func plattFindsThePlantedCurve() throws {
        var random = SeededRandom(seed: 1)
        let scores = (0..<50_000).map { _ in 100 + 30 * random.normal() }
        let labels = scores.map { random.bernoulli(1 / (1 + exp(-(0.05 * $0 - 6)))) }
        let fitted = try Calibration.platt(scores: scores, try ChurnOutcome(labels))
        guard case .platt(let slope, let intercept) = fitted else {
            Issue.record("not a curve")
            return
        }
        #expect(abs(slope - 0.05) < 0.002 && abs(intercept + 6) < 0.2)
        let summary = try ProbabilitySummary(
            probabilities: scores.map(fitted.probability), positive: labels)
        #expect(summary.calibrationError < 0.01)
        #expect(abs(summary.meanPredicted - summary.observedShare) < 1e-4)
        // Separated scores: the softened targets keep the curve finite.
        let apart = try Calibration.platt(
            scores: [1, 2, 3, 4], try ChurnOutcome([false, false, true, true]))
        #expect(apart.probability(4) > 0.5 && apart.probability(1e300) <= 1)
        let flat = try Calibration.platt(scores: [1, 1], try ChurnOutcome([false, true]))
        #expect(abs(flat.probability(1) - 0.5) < 1e-9)
        // Scores that rank the wrong way: one probability for all, the softened share.
        let wrong = try Calibration.platt(
            scores: [1, 2, 3, 4], try ChurnOutcome([true, true, true, false]))
        let share = (3 * 4.0 / 5 + 1.0 / 3) / 4
        for score in [-9.0, 1, 4, 1e9] { #expect(abs(wrong.probability(score) - share) < 1e-12) }
    }

    /// Reference: scikit-learn's log_loss, brier_score_loss and roc_auc_score; Wilson's interval of 3 of
    /// 10 is 0.10779 … 0.60322.
    @Test func summarizesProbabilities() throws {
        let summary = try ProbabilitySummary(
            probabilities: scores, positive: labels, binCount: 5)
        #expect(abs(summary.logLoss - 0.6486353831575619) < 1e-12)
        #expect(abs(summary.brierScore - 0.229) < 1e-12)
        #expect(abs((summary.areaUnderROC ?? 0) - 0.7) < 1e-12)
        #expect(summary.bins.map(\.rowCount) == [3, 1, 2, 2, 2])
        #expect(summary.bins.reduce(0) { $0 + $1.rowCount } == 10)
        let errors = zip([0.5 / 3, 0.3, 0.45, 0.65, 0.85], [1.0 / 3, 0, 0.5, 1, 0.5])
        let wanted = zip(errors, [3.0, 1, 2, 2, 2]).reduce(0) {
            $0 + $1.1 / 10 * abs($1.0.0 - $1.0.1)
        }
        #expect(abs(summary.calibrationError - wanted) < 1e-12)
        #expect(summary.lift.map(\.rowCount) == [2, 4, 6, 9, 10])
        #expect(summary.lift.map(\.foundShare) == [0.2, 0.6, 0.8, 1, 1])
        for (row, lift) in zip(summary.lift, [1, 1.5, 4.0 / 3, 10.0 / 9, 1]) {
            #expect(abs(row.lift - lift) < 1e-12)
        }
        let interval = wilsonInterval(3, of: 10)
        #expect(abs(interval.lowerBound - 0.10779) < 1e-5)
        #expect(abs(interval.upperBound - 0.60322) < 1e-5)
        #expect(wilsonInterval(0, of: 5).lowerBound == 0)
    }

    @Test func refusesBadInput() throws {
        func refused(_ body: () throws -> Void) -> ModelError? {
            do { try body() } catch { return error as? ModelError }
            return nil
        }
        let outcome = try ChurnOutcome([true, false])
        #expect(
            refused { _ = try Calibration.isotonic(scores: [0.1, .nan], outcome) }
                == .nonFiniteValue(what: "scores to calibrate", row: 1, column: 0))
        #expect(
            refused { _ = try Calibration.platt(scores: [0.1], outcome) }
                == .countMismatch(what: "calibration labels", actual: 2, expected: 1))
        let same = try ChurnOutcome([true, true])
        guard
            case .notIdentified = refused({
                _ = try Calibration.platt(scores: [0.1, 0.2], same)
            }),
            case .outOfRange = refused({
                _ = try ProbabilitySummary(probabilities: [1.2], positive: [true])
            }),
            case .outOfRange = refused({
                _ = try StratifiedFolds([true, false], foldCount: 2, seed: 1)
            })
        else {
            Issue.record("bad input was taken")
            return
        }
    }

    /// The form in files of earlier releases, and curves that no fit gives.
    @Test func filesHoldSoundCurvesAlone() throws {
        func read(_ text: String) throws -> Calibration {
            try JSONDecoder().decode(Calibration.self, from: Data(text.utf8))
        }
        let curve = Calibration.isotonic(scores: [-1, 0.5, 2], probabilities: [0, 0.25, 1])
        let logistic = Calibration.platt(slope: 2, intercept: -1.5)
        #expect(
            try read(#"{"isotonic":{"probabilities":[0,0.25,1],"scores":[-1,0.5,2]}}"#) == curve)
        #expect(try read(#"{"platt":{"intercept":-1.5,"slope":2}}"#) == logistic)
        for calibration in [curve, logistic] {
            let data = try JSONEncoder().encode(calibration)
            #expect(try JSONDecoder().decode(Calibration.self, from: data) == calibration)
        }
        for text in [
            #"{"isotonic":{"probabilities":[0,0.5],"scores":[-1,0.5,2]}}"#,
            #"{"isotonic":{"probabilities":[0,0.5,0.7],"scores":[-1,0.5]}}"#,
            #"{"isotonic":{"probabilities":[],"scores":[]}}"#,
            #"{"isotonic":{"probabilities":[0,0.5],"scores":[1,1]}}"#,
            #"{"isotonic":{"probabilities":[0,0.5],"scores":[2,1]}}"#,
            #"{"isotonic":{"probabilities":[0.5,0.4],"scores":[1,2]}}"#,
            #"{"isotonic":{"probabilities":[0.5,1.1],"scores":[1,2]}}"#,
            #"{"isotonic":{"probabilities":[-0.5,1],"scores":[1,2]}}"#,
            #"{"platt":{"intercept":0,"slope":-1}}"#, #"{"platt":{"slope":1}}"#, "{}",
        ] {
            #expect(throws: DecodingError.self, "\(text)") { try read(text) }
        }
    }

    @Test func foldsKeepTheShare() throws {
        var random = SeededRandom(seed: 5)
        let labels = (0..<1003).map { _ in random.bernoulli(0.2) }
        let left = labels.count(where: { $0 })
        let folds = try StratifiedFolds(labels, foldCount: 5, seed: 3)
        #expect(try folds == StratifiedFolds(labels, foldCount: 5, seed: 3))
        #expect(try folds != StratifiedFolds(labels, foldCount: 5, seed: 4))
        for fold in 0..<5 {
            let rows = folds.rows(in: fold)
            #expect(rows.count == 200 || rows.count == 201)
            #expect(abs(rows.count(where: { labels[$0] }) - left / 5) <= 1)
            #expect(Set(rows).isDisjoint(with: folds.rows(outside: fold)))
        }
        let table = try PredictorTable([.init("x", numbers: (0..<1003).map(Float.init))])
        let seen = try folds.predictions(table, try ChurnOutcome(labels)) {
            training, outcome, held throws(ModelError) in
            #expect(training.rowCount + held.rowCount == 1003)
            #expect(outcome.rowCount == training.rowCount)
            guard case .numbers(let values) = held.columns[0].values else { return [] }
            return values.map(Double.init)
        }
        #expect(seen == (0..<1003).map(Double.init))
    }

    /// Where nothing tells customers apart, their order says nothing either.
    @Test func takesRowsOfOneProbabilityTogether() throws {
        let labels = (0..<100).map { $0 < 20 }
        for order in [labels, labels.reversed()] {
            let summary = try ProbabilitySummary(
                probabilities: [Double](repeating: 0.2, count: 100), positive: order)
            #expect(summary.lift.map(\.rowCount) == [100])
            #expect(summary.lift.map(\.lift) == [1] && summary.lift[0].foundShare == 1)
            #expect(summary.bins.count == 1 && abs(summary.calibrationError) < 1e-12)
        }
        #expect(areaUnderROC(scores: [1, .nan, 2], positive: [true, false, false]) == nil)
    }
}
