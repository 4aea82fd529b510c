import Models
package import Units

/// `patron lab clv`: the models of repeat purchases and of order values.
package enum LifetimeLab {
    package struct Options: Sendable {
        /// One of repeat purchases in continuous time; see `LifetimeLab+OtherModels` for the others.
        package var model = LifetimeLabModel.bgnbd
        /// Repeat purchases of each customer, integers.
        package var countsPath: String
        /// Whole days from the first purchase to the last one, integers.
        package var lastPurchasePath: String
        /// Whole days from the first purchase to the end of the observation, integers.
        package var agesPath: String
        /// Mean value of the repeat orders, '<f8', 0 where there are none; nil leaves order values
        /// and lifetime value out.
        package var meanOrderValuePath: String?
        /// Of the model's times; of the reported parameters and log-likelihood too.
        package var grid = TimeGrid.week
        package var horizon = Horizon(52, .week)
        package var churnHorizon = Horizon(13, .week)
        package var discountRate = DiscountRate(annual: 0.1)
        /// Where to write the scores, '<f8', a column each: probability alive, expected purchases,
        /// churn probability and, with order values, expected order value and lifetime value.
        package var predictionsOutput: String?

        package init(countsPath: String, lastPurchasePath: String, agesPath: String) {
            self.countsPath = countsPath
            self.lastPurchasePath = lastPurchasePath
            self.agesPath = agesPath
        }
    }

    /// Reads, fits, scores and writes.
    /// - Throws: `LabError` for arrays that cannot be used.
    package static func run(
        _ options: Options, _ setting: LabSetting
    ) throws(LabError) -> LabReport {
        switch options.model {
        case .bgnbd, .mbgnbd, .paretonbd, .nbd: break
        case .gammagamma: return try runOrderValues(options, setting)
        case .bgbb: return try runOpportunities(options, setting)
        case .sbg: return try runContracts(options, setting)
        }
        guard let kind = options.model.purchases else { preconditionFailure("a purchase model") }
        let files = try LabFiles(
            reads: [
                "--x": options.countsPath, "--tx": options.lastPurchasePath,
                "--T": options.agesPath, "--m": options.meanOrderValuePath,
            ], writes: ["--predictions": options.predictionsOutput], setting)
        let (input, loadSeconds) = try timed { () throws(LabError) in try read(options) }
        var parameters = LifetimeScores.Parameters()
        parameters.horizon = options.horizon
        parameters.churnHorizon = options.churnHorizon
        parameters.discountRate = options.discountRate
        parameters.threadCount = setting.threadCount
        var samples: (collapse: [Double], fit: [Double], score: [Double]) = ([], [], [])
        var result: (purchases: FittedPurchaseModel, spend: FittedGammaGamma?, LifetimeScores)?
        // The array that is blamed for what a model refuses.
        var blamed = options.countsPath
        do throws(ModelError) {
            for _ in 0..<setting.repeatCount {
                let (history, collapseSeconds) = try timed { () throws(ModelError) in
                    try CollapsedHistory(
                        repeatPurchaseCount: input.x, ageAtLastPurchaseDays: input.tx,
                        observedAgeDays: input.age, threadCount: setting.threadCount)
                }
                let (purchases, fitSeconds) = try timed { () throws(ModelError) in
                    try kind.fit(
                        history,
                        PurchaseFitParameters(
                            grid: options.grid, threadCount: setting.threadCount))
                }
                var spend: FittedGammaGamma?
                if let path = options.meanOrderValuePath {
                    blamed = path
                    spend = try GammaGamma.fit(
                        repeatPurchaseCount: input.x, meanOrderValue: input.mean,
                        GammaGamma.Parameters(threadCount: setting.threadCount))
                    blamed = options.countsPath
                }
                let (scores, scoreSeconds) = try timed { () throws(ModelError) in
                    try LifetimeScores.score(
                        repeatPurchaseCount: input.x, ageAtLastPurchaseDays: input.tx,
                        observedAgeDays: input.age, meanOrderValue: input.mean,
                        model: purchases.model, spend: spend, parameters)
                }
                samples.collapse.append(collapseSeconds)
                samples.fit.append(fitSeconds)
                samples.score.append(scoreSeconds)
                result = (purchases, spend, scores)
            }
        } catch {
            throw .model(path: blamed, error)
        }
        guard let (purchases, spend, scores) = result else {
            preconditionFailure("at least one run")
        }
        let columns =
            [scores.probabilityAlive, scores.expectedPurchases, scores.churnProbability]
            + [scores.expectedOrderValue, scores.lifetimeValue].compactMap(\.self)
        var rows: [Double] = []
        rows.reserveCapacity(input.x.count * columns.count)
        for row in input.x.indices {
            for column in columns { rows.append(column[row]) }
        }
        try files["--predictions"]?.fill(rows, shape: [input.x.count, columns.count])
        try files.publish()
        var hash = ResultHash()
        hash.add(rows.map { Float($0) })
        var report = report(purchases, spend, scores, options)
        report.add(setting, samples: samples.fit, as: "fit_seconds")
        report.add("load_seconds", .number(loadSeconds))
        report.add("collapse_seconds", .number(median(samples.collapse)))
        report.add("fit_seconds", .number(median(samples.fit)))
        report.add("score_seconds", .number(median(samples.score)))
        report.add(
            "customers_per_second", .number(Double(input.x.count) / median(samples.score)))
        report.add("hash", .text(hash.text))
        return report
    }

    private static func report(
        _ purchases: FittedPurchaseModel, _ spend: FittedGammaGamma?, _ scores: LifetimeScores,
        _ options: Options
    ) -> LabReport {
        let model = purchases.model
        var report = LabReport()
        report.add("model", .text(model.name))
        report.add("grid", .text(options.grid.rawValue))
        report.add("customers", .integer(purchases.customerCount))
        report.add("unique_rows", .integer(purchases.uniqueRowCount))
        report.add("parameter_names", .text(model.parameters.map(\.name).joined(separator: ",")))
        report.add("parameters", .numbers(model.parameters.map(\.value)))
        report.add("standard_errors", .numbers(model.diagnostics.standardErrors ?? []))
        report.add("log_likelihood", .number(model.diagnostics.logLikelihood ?? 0))
        report.add("gradient_norm", .number(model.diagnostics.gradientNorm))
        report.add("is_sound", .truth(model.diagnostics.isSound))
        if let spend {
            report.add("order_value_parameters", .numbers([spend.p, spend.q, spend.v]))
            report.add(
                "order_value_log_likelihood", .number(spend.diagnostics.logLikelihood ?? 0))
        }
        report.add("expected_purchases_sum", .number(scores.expectedPurchases.reduce(0, +)))
        report.add("not_scored", .integer(scores.status.count { $0 != 0 }))
        return report
    }

    private struct Input {
        let x: [Int32]
        let tx: [Int32]
        let age: [Int32]
        let mean: [Double]
    }

    private static func read(_ options: Options) throws(LabError) -> Input {
        let counts = try customerCounts(options.countsPath)
        let integers: [NumPyElement] = [.int32, .int64]
        return Input(
            x: try counts.shortIntegers(),
            tx: try column(options.lastPurchasePath, integers, of: counts).shortIntegers(),
            age: try column(options.agesPath, integers, of: counts).shortIntegers(),
            mean: try options.meanOrderValuePath.map { path throws(LabError) in
                try column(path, [.float64], of: counts).doubles()
            } ?? [Double](repeating: 0, count: counts.count))
    }

    static func customerCounts(_ path: String) throws(LabError) -> NumPyFile {
        let counts = try NumPyFile(path, [.int32, .int64])
        try counts.requireAxes(1, "customers")
        return counts
    }

    /// An array of one element for each of the customers of `counts`.
    static func column(
        _ path: String, _ elements: [NumPyElement], of counts: NumPyFile
    ) throws(LabError) -> NumPyFile {
        let file = try NumPyFile(path, elements)
        try file.requireAxes(1, "customers")
        guard file.count == counts.count else {
            throw .mismatch(
                path: path, found: "\(file.count) customers",
                expected: "\(counts.count) are needed", other: "by \(counts.path)")
        }
        return file
    }
}
