package import Numerical

/// How likely each customer leaves: trees or a logistic regression on named columns, calibrated and
/// measured on rows that the fit has not seen.
///
/// The held rows are dealt into two halves with the same share of customers who left: on the one trees
/// stop growing and scores are calibrated, on the other the model is measured. A logistic regression
/// without calibration has nothing to tune and is measured on all of them. Same rows, parameters and
/// seed give the same model for any thread count.
package struct ChurnModel: Codable, Equatable, Sendable {
    package enum Algorithm: Codable, Equatable, Sendable {
        case trees(BoostedTrees.Parameters)
        case logistic(LogisticRegression.Parameters)
    }

    /// Small trees by small steps, as many as the held rows ask for: on the few thousand rows that many
    /// companies have these rank better than the usual 31 leaves (Telco customers: AUC .847, not .840).
    package static var smallTrees: BoostedTrees.Parameters {
        var parameters = BoostedTrees.Parameters()
        parameters.treeCount = 1000
        parameters.leafCount = 8
        parameters.learningRate = 0.05
        return parameters
    }

    package enum CalibrationMethod: String, Codable, CaseIterable, Sendable {
        /// The probability is 1 / (1 + e^-score).
        case none
        /// A curve of two parameters: for few rows.
        case platt
        /// Any non-decreasing curve: for a thousand customers who left and more.
        case isotonic
    }

    package struct Parameters: Codable, Equatable, Sendable {
        /// Its own thread count is not used.
        package var algorithm = Algorithm.trees(ChurnModel.smallTrees)
        package var calibration = CalibrationMethod.platt
        /// Least rows of the training part, at least 2.
        package var minimumRows = 100
        /// Least customers who left, and least who stayed, of the training part and of each part of the
        /// held rows; at least 1.
        package var minimumRowsOfLabel = 10
        /// Bins of the calibration and lift tables, 1 ... 1000.
        package var binCount = 10
        /// Deals out the held rows.
        package var seed: UInt64 = 1

        package init() {}

        func check() throws(ModelError) {
            let ranges = [
                ("minimumRows", minimumRows, 2...Int(Int32.max)),
                ("minimumRowsOfLabel", minimumRowsOfLabel, 1...Int(Int32.max)),
                ("binCount", binCount, 1...1000),
            ]
            for (what, value, range) in ranges where !range.contains(value) {
                throw .outOfRange(
                    what: what, actual: Double(value),
                    allowed: "\(range.lowerBound) ... \(range.upperBound)")
            }
        }
    }

    /// The rows that the fit does not see.
    package enum HeldRows: Sendable {
        /// Of a later time, or of other customers.
        case given(PredictorTable, ChurnOutcome)
        /// One training row in so many, of each label, at random by the seed; at least 2.
        case oneIn(Int)
    }

    package enum Fitted: Codable, Equatable, Sendable {
        case trees(TreeEnsemble)
        case logistic(FittedLogistic)
    }

    package let parameters: Parameters
    package let fitted: Fitted
    /// Nil: none was asked for.
    package let calibration: Calibration?
    /// Of the calibrated probabilities of the rows that neither the fit nor the calibration has seen;
    /// every row counts 1.
    package let evaluation: ProbabilitySummary
    package let trainingRowCount: Int
    /// Rows that trees stopped at and that scores were calibrated on.
    package let tuningRowCount: Int

    /// The columns that rows to be scored must have, by name; others are not looked at.
    package var schema: [PredictorColumn] {
        switch fitted {
        case .trees(let ensemble): ensemble.schema
        case .logistic(let logistic): logistic.schema
        }
    }

    /// The calibrated probability of a raw score: never lower for a higher score.
    package func probability(_ rawScore: Double) -> Double {
        calibration?.probability(rawScore) ?? logisticFunction(rawScore)
    }

    /// Fits, calibrates and measures.
    /// - Parameters:
    ///   - table: `[rows]` as of a time, with what happened in the period after it.
    ///   - held: best of a later time, as scores will be used on.
    /// - Throws: `outOfRange` for parameters; `noRows`, `tooFewRows`, `countMismatch`; `badColumn`
    ///   where the held rows lack a column, by name; `notIdentified` where a part has one label, too
    ///   few customers of one, or columns that say nothing.
    package static func fit(
        _ table: PredictorTable, _ outcome: ChurnOutcome, held: HeldRows = .oneIn(4),
        _ parameters: Parameters = Parameters(), threadCount: Int = 1,
        kernels: KernelTable = .current
    ) throws(ModelError) -> ChurnModel {
        try parameters.check()
        let parts = try Parts(table, outcome, held, parameters)
        let training = parts.training
        let fitted: Fitted
        switch parameters.algorithm {
        case .trees(var trees):
            trees.threadCount = threadCount
            let validation = parts.tuning.map { (table: $0.table, outcome: $0.outcome) }
            fitted = .trees(
                try BoostedTrees.fit(
                    training.table, training.outcome, validation: validation, trees,
                    kernels: kernels
                ).ensemble)
        case .logistic(var logistic):
            logistic.threadCount = threadCount
            fitted = .logistic(
                try LogisticRegression.fit(training.table, training.outcome, logistic))
        }
        let scorer = RawScorer(fitted)
        var calibration: Calibration?
        if let tuning = parts.tuning {
            let scores = try scorer.scores(
                tuning.table, threadCount: threadCount, kernels: kernels)
            calibration = try Calibration.fit(parameters.calibration, scores, tuning.outcome)
        }
        let scores = try scorer.scores(
            parts.test.table, threadCount: threadCount, kernels: kernels)
        let evaluation = try ProbabilitySummary(
            probabilities: scores.map { calibration?.probability($0) ?? logisticFunction($0) },
            positive: parts.test.outcome.labels, binCount: parameters.binCount)
        return ChurnModel(
            parameters: parameters, fitted: fitted, calibration: calibration,
            evaluation: evaluation, trainingRowCount: training.table.rowCount,
            tuningRowCount: parts.tuning?.table.rowCount ?? 0)
    }

    static let name = "churn model"
}

extension Calibration {
    /// - Returns: nil where none is asked for.
    static func fit(
        _ method: ChurnModel.CalibrationMethod, _ scores: [Double], _ outcome: ChurnOutcome
    ) throws(ModelError) -> Calibration? {
        switch method {
        case .none: return nil
        case .platt: return try Calibration.platt(scores: scores, outcome)
        case .isotonic:
            // n rows cannot tell a probability from 0 or 1 within about 1 / n (Laplace's rule).
            let least = 1 / Double(scores.count + 2)
            return try Calibration.isotonic(scores: scores, outcome).held(within: least...1 - least)
        }
    }
}

/// The rows of a fit by what they are used for.
private struct Parts {
    struct Part {
        let table: PredictorTable
        let outcome: ChurnOutcome

        func rows(_ rows: [Int]) -> Part {
            Part(table: table.rows(rows), outcome: outcome.rows(rows))
        }

        /// - Throws: `notIdentified` where customers of one label are fewer than `needed`.
        func requireLabels(_ what: String, _ needed: Int) throws(ModelError) {
            for (label, text) in [(true, "left"), (false, "stayed")] {
                let count = outcome.labels.indices.count {
                    outcome.labels[$0] == label && outcome.weight($0) > 0
                }
                guard count < needed else { continue }
                throw .notIdentified(
                    model: ChurnModel.name,
                    reason: """
                        of the \(what) rows, \(count) are customers who \(text), \(needed) are \
                        needed; use more customers, or a longer period to leave in
                        """)
            }
        }
    }

    let training: Part
    let tuning: Part?
    let test: Part

    init(
        _ table: PredictorTable, _ outcome: ChurnOutcome, _ held: ChurnModel.HeldRows,
        _ parameters: ChurnModel.Parameters
    ) throws(ModelError) {
        try outcome.requireFit(table, model: ChurnModel.name)
        let all = Part(table: table, outcome: outcome)
        let rest: Part
        let seed = parameters.seed
        switch held {
        case .given(let table, let outcome):
            try requireCount(outcome.rowCount, table.rowCount, "labels of the held rows")
            training = all
            rest = Part(table: try table.matched(to: all.table.schema), outcome: outcome)
        case .oneIn(let count):
            guard count >= 2 else {
                throw .outOfRange(
                    what: "one held row in so many", actual: Double(count), allowed: "2 or more")
            }
            try all.requireLabels("training", max(count, parameters.minimumRowsOfLabel))
            let folds = try StratifiedFolds(outcome.labels, foldCount: count, seed: seed)
            training = all.rows(folds.rows(outside: 0))
            rest = all.rows(folds.rows(in: 0))
        }
        let needed = parameters.minimumRowsOfLabel
        guard training.table.rowCount >= parameters.minimumRows else {
            throw .tooFewRows(
                model: ChurnModel.name, actual: training.table.rowCount,
                needed: parameters.minimumRows)
        }
        try training.requireLabels("training", needed)
        var isTuned = parameters.calibration != .none
        if case .trees = parameters.algorithm { isTuned = true }
        guard isTuned else {
            try rest.requireLabels("held", needed)
            (tuning, test) = (nil, rest)
            return
        }
        try rest.requireLabels("held", max(2 * needed, 2))
        let halves = try StratifiedFolds(rest.outcome.labels, foldCount: 2, seed: seed &+ 1)
        let (first, second) = (rest.rows(halves.rows(in: 0)), rest.rows(halves.rows(in: 1)))
        try first.requireLabels("tuning", needed)
        try second.requireLabels("test", needed)
        (tuning, test) = (first, second)
    }
}
