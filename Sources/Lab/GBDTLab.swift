import Foundation
package import Models
import Numerical

/// `patron lab gbdt`: boosted trees on an array of features, fitted here or by LightGBM, and logistic
/// regression beside them.
///
/// NaN is a missing value. Labels are 0 and 1.
package enum GBDTLab {
    package struct TrainOptions: Sendable {
        /// `[rowCount × featureCount]`, '<f4'.
        package var featuresPath: String
        /// `[rowCount]`, integers or '<f4'.
        package var labelsPath: String
        /// Rows that are predicted and not fitted; nil: those that are fitted.
        package var testFeaturesPath: String?
        package var testLabelsPath: String?
        /// Where to write the raw scores of the predicted rows, `[rowCount]` '<f8'.
        package var scoresOutput: String?
        package var algorithm = Algorithm.trees(BoostedTrees.Parameters())

        package init(featuresPath: String, labelsPath: String) {
            self.featuresPath = featuresPath
            self.labelsPath = labelsPath
        }
    }

    /// What is fitted; the setting's thread count is used.
    package enum Algorithm: Sendable {
        case trees(BoostedTrees.Parameters)
        case logistic(LogisticRegression.Parameters)
    }

    package struct PredictOptions: Sendable {
        package var featuresPath: String
        /// A model that LightGBM's save_model has written.
        package var lightGBMPath: String
        package var labelsPath: String?
        package var scoresOutput: String?

        package init(featuresPath: String, lightGBMPath: String) {
            self.featuresPath = featuresPath
            self.lightGBMPath = lightGBMPath
        }
    }

    /// Fits, predicts and measures.
    /// - Throws: `LabError` for arrays that cannot be used; `model` where nothing can be fitted.
    package static func train(
        _ options: TrainOptions, _ setting: LabSetting
    ) throws(LabError) -> LabReport {
        let files = try LabFiles(
            reads: [
                "--features": options.featuresPath, "--labels": options.labelsPath,
                "--test-features": options.testFeaturesPath,
                "--test-labels": options.testLabelsPath,
            ], writes: ["--scores": options.scoresOutput], setting)
        let (training, loadSeconds) = try timed { () throws(LabError) in
            try Rows(options.featuresPath, options.labelsPath, setting)
        }
        var test = training
        if let path = options.testFeaturesPath {
            test = try Rows(path, options.testLabelsPath, setting)
            let (found, needed) = (test.matrix.featureCount, training.matrix.featureCount)
            guard found == needed else {
                throw .mismatch(
                    path: path, found: "\(found) columns", expected: "\(needed) are",
                    other: "in \(options.featuresPath)")
            }
        }
        guard let outcome = training.outcome else { preconditionFailure("labels have a path") }
        if case .trees(var parameters) = options.algorithm {
            parameters.threadCount = setting.threadCount
            try LabError.requireMemory(
                parameters.histogramBytes(columnCount: training.matrix.featureCount),
                for: "sums by bin of \(parameters.leafCount) leaves", path: options.featuresPath)
        }
        var samples: [Double] = []
        var report = LabReport()
        report.add("rows", .integer(training.matrix.rowCount))
        report.add("features", .integer(training.matrix.featureCount))
        var model: Model?
        for _ in 0..<setting.repeatCount {
            do throws(ModelError) {
                let (fitted, seconds) = try timed { () throws(ModelError) in
                    try Model(
                        options.algorithm, try training.table(), outcome, setting)
                }
                samples.append(seconds)
                model = fitted
            } catch {
                throw .model(path: options.featuresPath, error)
            }
        }
        guard let model else { preconditionFailure("at least one run") }
        model.describe(&report)
        report.add(setting, samples: samples, as: "fit_seconds")
        report.add("load_seconds", .number(loadSeconds))
        report.add("fit_seconds", .number(median(samples)))
        try score(model, test, files, setting, &report)
        return report
    }

    /// Predicts by an imported model and measures.
    /// - Throws: as above; `model` with the line that cannot be read.
    package static func predict(
        _ options: PredictOptions, _ setting: LabSetting
    ) throws(LabError) -> LabReport {
        let files = try LabFiles(
            reads: [
                "--features": options.featuresPath, "--lightgbm": options.lightGBMPath,
                "--labels": options.labelsPath,
            ], writes: ["--scores": options.scoresOutput], setting)
        guard let text = try? String(contentsOfFile: options.lightGBMPath, encoding: .utf8) else {
            throw .option(
                name: "--lightgbm",
                reason: "\(options.lightGBMPath) cannot be read as text; name a model file")
        }
        let (ensemble, parseSeconds) = try timed { () throws(LabError) in
            do throws(ModelError) {
                return try LightGBMModel.parse(text)
            } catch {
                throw .model(path: options.lightGBMPath, error)
            }
        }
        let (rows, loadSeconds) = try timed { () throws(LabError) in
            try Rows(options.featuresPath, options.labelsPath, setting)
        }
        var report = LabReport()
        report.add("rows", .integer(rows.matrix.rowCount))
        report.add("features", .integer(rows.matrix.featureCount))
        report.add("trees", .integer(ensemble.trees.count))
        report.add("load_seconds", .number(loadSeconds))
        report.add("parse_seconds", .number(parseSeconds))
        try score(.forest(ForestScorer(ensemble)), rows, files, setting, &report)
        return report
    }

    private static func score(
        _ model: Model, _ rows: Rows, _ files: LabFiles, _ setting: LabSetting,
        _ report: inout LabReport
    ) throws(LabError) {
        var samples: [Double] = []
        var scores: [Double] = []
        do throws(ModelError) {
            for _ in 0..<setting.repeatCount {
                let (found, seconds) = try timed { () throws(ModelError) in
                    try model.scores(rows, setting)
                }
                samples.append(seconds)
                scores = found
            }
            if let outcome = rows.outcome {
                let area = areaUnderROC(scores: scores, positive: outcome.labels)
                if let area { report.add("auc", .number(area)) }
                if let predictions = model.predictions(scores) {
                    let summary = try ProbabilitySummary(
                        probabilities: predictions, positive: outcome.labels)
                    report.add("log_loss", .number(summary.logLoss))
                    report.add("brier_score", .number(summary.brierScore))
                    report.add("calibration_error", .number(summary.calibrationError))
                }
            }
        } catch {
            throw .model(path: rows.path, error)
        }
        try files["--scores"]?.fill(scores, shape: [scores.count])
        try files.publish()
        let seconds = median(samples)
        report.add(setting, scoreSamples: samples)
        report.add("score_seconds", .number(seconds))
        report.add("rows_per_second", .number(Double(scores.count) / seconds))
        var hash = ResultHash()
        hash.add(scores)
        report.add("hash", .text(hash.text))
    }

    /// A fitted or imported model.
    private enum Model: Sendable {
        case forest(ForestScorer)
        case logistic(FittedLogistic)

        init(
            _ algorithm: Algorithm, _ table: PredictorTable, _ outcome: ChurnOutcome,
            _ setting: LabSetting
        ) throws(ModelError) {
            switch algorithm {
            case .trees(var parameters):
                parameters.threadCount = setting.threadCount
                let fitted = try BoostedTrees.fit(
                    table, outcome, parameters, kernels: setting.kernels)
                self = .forest(ForestScorer(fitted.ensemble))
            case .logistic(var parameters):
                parameters.threadCount = setting.threadCount
                self = .logistic(try LogisticRegression.fit(table, outcome, parameters))
            }
        }

        func describe(_ report: inout LabReport) {
            switch self {
            case .forest(let scorer):
                let trees = scorer.ensemble.trees
                report.add("algorithm", .text("trees"))
                report.add("trees", .integer(trees.count))
                report.add("leaves", .integer(trees.map(\.leafCount).max() ?? 0))
            case .logistic(let fitted):
                report.add("algorithm", .text("logistic"))
                report.add("terms", .integer(fitted.coefficients.count))
                report.add("iterations", .integer(fitted.iterations))
            }
        }

        /// Raw scores.
        func scores(_ rows: Rows, _ setting: LabSetting) throws(ModelError) -> [Double] {
            switch self {
            case .forest(let scorer):
                try scorer.scores(
                    rows.matrix, threadCount: setting.threadCount, kernels: setting.kernels)
            case .logistic(let fitted): try fitted.scores(try rows.table())
            }
        }

        /// Probabilities; nil where the scores are no log-odds.
        func predictions(_ scores: [Double]) -> [Double]? {
            switch self {
            case .forest(let scorer):
                guard case .logistic = scorer.ensemble.link else { return nil }
                return scores.map(scorer.ensemble.prediction)
            case .logistic(let fitted): return scores.map(fitted.prediction)
            }
        }
    }

    /// Features in blocks of 64 rows, and labels where there are any.
    private struct Rows {
        let path: String
        let matrix: FeatureMatrix
        let outcome: ChurnOutcome?

        init(
            _ path: String, _ labelsPath: String?, _ setting: LabSetting
        ) throws(LabError) {
            self.path = path
            let points = try NumPyPoints(
                try NumPyFile(path, [.float32]), kernels: setting.kernels)
            guard points.rowCount > 0, points.featureCount > 0 else {
                throw .badArray(
                    path: path, byteOffset: points.file.header.shapeOffset,
                    found: "the shape \(points.file.shape)",
                    expected: "at least one row and one column",
                    advice: "there is nothing to predict")
            }
            // The blocks, the columns, their bins twice, and what a fit keeps of a row.
            try LabError.requireMemory(
                Double(points.rowCount) * (10 * Double(points.featureCount) + 64),
                for: "rows of the shape \(points.file.shape)", path: path)
            matrix = points.matrix(threadCount: setting.threadCount)
            guard let labelsPath else {
                outcome = nil
                return
            }
            let file = try NumPyFile(labelsPath, [.float32, .int32, .int64])
            try file.requireAxes(1, "labels")
            guard file.count == points.rowCount else {
                throw .mismatch(
                    path: labelsPath, found: "\(file.count) labels",
                    expected: "\(points.rowCount) are needed for the rows", other: "of \(path)")
            }
            let labels = try file.exactFloats()
            do throws(ModelError) {
                outcome = try ChurnOutcome(numbers: labels)
            } catch {
                throw .model(path: labelsPath, error)
            }
        }

        /// The columns by their numbers.
        func table() throws(ModelError) -> PredictorTable {
            let matrix = matrix
            let columns = (0..<matrix.featureCount).map { column in
                let values = matrix.storage.span
                var numbers: [Float] = []
                numbers.reserveCapacity(matrix.rowCount)
                var row = 0
                while row < matrix.rowCount {
                    let first = FeatureMatrix.position(row, column, matrix.featureCount)
                    for place in first..<first + min(64, matrix.rowCount - row) {
                        numbers.append(values[place])
                    }
                    row += 64
                }
                return PredictorTable.Column("column \(column)", numbers: numbers)
            }
            return try PredictorTable(columns)
        }
    }
}

extension LabReport {
    fileprivate mutating func add(_ setting: LabSetting, scoreSamples: [Double]) {
        if self["threads"] == nil {
            add(setting, samples: scoreSamples, as: "score_seconds")
        } else {
            add("score_seconds_samples", .numbers(scoreSamples))
        }
    }
}
