package import Numerical

/// A churn model fitted on all rows, and one for each fold of them fitted on the rows outside it, so that
/// every row has a probability from a model that has not seen it.
///
/// For tables too small to hold rows back for good. Within a fold, trees are first grown on four fifths
/// of the rows outside it, which says how many to keep, and then on all of them; scores are calibrated by
/// those of the other folds. No row has a part in its own probability. Same table, parameters and seed
/// give the same values for any thread count.
/// Source: M. Stone, "Cross-Validatory Choice and Assessment of Statistical Predictions", 1974.
package struct CrossValidatedChurn: Codable, Equatable, Sendable {
    package let foldOfRow: [Int]
    /// One a fold, fitted outside it; `evaluation` is of the fold's rows.
    package let foldModels: [ChurnModel]
    /// Of all rows, with the median of the folds' tree counts. Its `evaluation` is of `probabilities`, its
    /// calibration that of the folds' scores.
    package let model: ChurnModel
    /// Out of fold and calibrated, `[rowCount]`, 0 ... 1.
    package let probabilities: [Double]

    package var foldCount: Int { foldModels.count }

    /// Trees of each fold's model; empty for logistic regression.
    package var treeCounts: [Int] {
        foldModels.compactMap {
            guard case .trees(let ensemble) = $0.fitted else { return nil }
            return ensemble.trees.count
        }
    }

    /// - Parameters:
    ///   - foldCount: 2 up to the rows of the rarer label.
    ///   - parameters: of trees `treeCount` is the most that are grown. `minimumRows` is of the table,
    ///     and of each label there must be twice `minimumRowsOfLabel`.
    /// - Throws: as `ChurnModel.fit`; `outOfRange` for the fold count.
    package static func fit(
        _ table: PredictorTable, _ outcome: ChurnOutcome, foldCount: Int = 5,
        _ parameters: ChurnModel.Parameters = ChurnModel.Parameters(), threadCount: Int = 1,
        kernels: KernelTable = .current
    ) throws(ModelError) -> CrossValidatedChurn {
        try parameters.check()
        try requireRows(table, outcome, parameters)
        let folds = try StratifiedFolds(
            outcome.labels, foldCount: foldCount, seed: parameters.seed)
        let run = Run(parameters: parameters, threadCount: threadCount, kernels: kernels)
        var fitted: [ChurnModel.Fitted] = []
        var treeCounts: [Int] = []
        var rawScores = [Double](repeating: 0, count: table.rowCount)
        for fold in 0..<foldCount {
            let (outside, inside) = (folds.rows(outside: fold), folds.rows(in: fold))
            let (training, labels) = (table.rows(outside), outcome.rows(outside))
            let model: ChurnModel.Fitted
            if let count = try run.treeCount(training, labels, fold: fold) {
                treeCounts.append(count)
                model = try run.fit(training, labels, treeCount: count)
            } else {
                model = try run.fit(training, labels, treeCount: nil)
            }
            let scores = try RawScorer(model).scores(
                table.rows(inside), threadCount: threadCount, kernels: kernels)
            for (row, score) in zip(inside, scores) { rawScores[row] = score }
            fitted.append(model)
        }

        var probabilities = [Double](repeating: 0, count: table.rowCount)
        var foldModels: [ChurnModel] = []
        for (fold, model) in fitted.enumerated() {
            let (outside, inside) = (folds.rows(outside: fold), folds.rows(in: fold))
            let calibration = try Calibration.fit(
                parameters.calibration, outside.map { rawScores[$0] }, outcome.rows(outside))
            for row in inside {
                let score = rawScores[row]
                probabilities[row] = calibration?.probability(score) ?? logisticFunction(score)
            }
            foldModels.append(
                ChurnModel(
                    parameters: parameters, fitted: model, calibration: calibration,
                    evaluation: try ProbabilitySummary(
                        probabilities: inside.map { probabilities[$0] },
                        positive: inside.map { outcome.labels[$0] },
                        binCount: parameters.binCount),
                    trainingRowCount: outside.count, tuningRowCount: 0))
        }
        let middle = treeCounts.isEmpty ? nil : treeCounts.sorted()[treeCounts.count / 2]
        let model = ChurnModel(
            parameters: parameters,
            fitted: try run.fit(table, outcome, treeCount: middle),
            calibration: try Calibration.fit(parameters.calibration, rawScores, outcome),
            evaluation: try ProbabilitySummary(
                probabilities: probabilities, positive: outcome.labels,
                binCount: parameters.binCount),
            trainingRowCount: table.rowCount, tuningRowCount: 0)
        return CrossValidatedChurn(
            foldOfRow: folds.foldOfRow, foldModels: foldModels, model: model,
            probabilities: probabilities)
    }

    private static func requireRows(
        _ table: PredictorTable, _ outcome: ChurnOutcome, _ parameters: ChurnModel.Parameters
    ) throws(ModelError) {
        try outcome.requireFit(table, model: ChurnModel.name)
        guard table.rowCount >= parameters.minimumRows else {
            throw .tooFewRows(
                model: ChurnModel.name, actual: table.rowCount, needed: parameters.minimumRows)
        }
        let left = outcome.labels.count(where: { $0 })
        let needed = 2 * parameters.minimumRowsOfLabel
        for (count, text) in [(left, "left"), (table.rowCount - left, "stayed")]
        where count < needed {
            throw .notIdentified(
                model: ChurnModel.name,
                reason: """
                    \(count) customers \(text), \(needed) are needed to fit and to check; use more \
                    customers
                    """)
        }
    }

    /// What the fits of the folds have in common.
    private struct Run {
        let parameters: ChurnModel.Parameters
        let threadCount: Int
        let kernels: KernelTable

        /// Trees after which the loss of a fifth of the rows is least, at least 1; nil for logistic
        /// regression.
        func treeCount(
            _ table: PredictorTable, _ outcome: ChurnOutcome, fold: Int
        ) throws(ModelError) -> Int? {
            guard case .trees(var trees) = parameters.algorithm else { return nil }
            trees.threadCount = threadCount
            let parts = try StratifiedFolds(
                outcome.labels, foldCount: 5, seed: parameters.seed &+ UInt64(fold) &+ 1)
            let (grown, watched) = (parts.rows(outside: 0), parts.rows(in: 0))
            let fitted = try BoostedTrees.fit(
                table.rows(grown), outcome.rows(grown),
                validation: (table.rows(watched), outcome.rows(watched)), trees,
                kernels: kernels)
            return max(1, fitted.ensemble.trees.count)
        }

        func fit(
            _ table: PredictorTable, _ outcome: ChurnOutcome, treeCount: Int?
        ) throws(ModelError) -> ChurnModel.Fitted {
            switch parameters.algorithm {
            case .trees(var trees):
                trees.threadCount = threadCount
                trees.treeCount = treeCount ?? trees.treeCount
                return .trees(
                    try BoostedTrees.fit(table, outcome, trees, kernels: kernels).ensemble)
            case .logistic(var logistic):
                logistic.threadCount = threadCount
                return .logistic(try LogisticRegression.fit(table, outcome, logistic))
            }
        }
    }
}
