import Models
import Units

/// `patron lab clv` with models of other data than repeat purchases in continuous time.
package enum LifetimeLabModel: String, Sendable, CaseIterable {
    case bgnbd, mbgnbd, paretonbd, nbd, gammagamma, bgbb, sbg

    /// Nil for those that are not models of repeat purchases in continuous time.
    var purchases: PurchaseModelKind? { PurchaseModelKind(rawValue: rawValue) }
}

extension LifetimeLab {
    /// Gamma-Gamma: `countsPath` and `meanOrderValuePath`, which is not nil, are all that it reads.
    /// The predictions are expected order values, `[customers x 1]`.
    static func runOrderValues(
        _ options: Options, _ setting: LabSetting
    ) throws(LabError) -> LabReport {
        guard let path = options.meanOrderValuePath else {
            preconditionFailure("the path of the mean order values")
        }
        let files = try LabFiles(
            reads: ["--x": options.countsPath, "--m": path],
            writes: ["--predictions": options.predictionsOutput], setting)
        let counts = try customerCounts(options.countsPath)
        let means = try column(path, [.float64], of: counts).doubles()
        let x = try counts.shortIntegers()
        for (row, count) in x.enumerated() where count < 0 {
            throw .model(
                path: options.countsPath,
                .impossibleHistory(row: row, reason: "the count is negative"))
        }
        var samples: (fit: [Double], score: [Double]) = ([], [])
        var result: (FittedGammaGamma, [Double])?
        for _ in 0..<setting.repeatCount {
            let (model, fitSeconds) = try fitted(path) { () throws(ModelError) in
                try GammaGamma.fit(
                    repeatPurchaseCount: x, meanOrderValue: means,
                    GammaGamma.Parameters(threadCount: setting.threadCount))
            }
            let (values, scoreSeconds) = timed {
                zip(x, means).map {
                    model.expectedOrderValue(x: Int($0), meanOrderValue: $1)
                }
            }
            samples.fit.append(fitSeconds)
            samples.score.append(scoreSeconds)
            result = (model, values)
        }
        guard let (model, values) = result else { preconditionFailure("at least one run") }
        return try report(
            Outcome(
                name: "Gamma-Gamma", parameters: [("p", model.p), ("q", model.q), ("v", model.v)],
                diagnostics: model.diagnostics, customers: model.customerCount, columns: [values],
                fitSamples: samples.fit, scoreSamples: samples.score),
            files, setting)
    }

    /// BG/BB: transactions x, the period t_x of the last one and the periods watched n, counted in
    /// `grid`. The predictions are the probability alive, expected transactions in the horizon, churn
    /// probability and, where it is finite, discounted residual transactions.
    /// - Throws: also for a horizon that is no whole number of periods.
    static func runOpportunities(
        _ options: Options, _ setting: LabSetting
    ) throws(LabError) -> LabReport {
        let files = try LabFiles(
            reads: [
                "--x": options.countsPath, "--tx": options.lastPurchasePath,
                "--T": options.agesPath,
            ], writes: ["--predictions": options.predictionsOutput], setting)
        let counts = try customerCounts(options.countsPath)
        let integers: [NumPyElement] = [.int32, .int64]
        let x = try counts.shortIntegers()
        let last = try column(options.lastPurchasePath, integers, of: counts).shortIntegers()
        let watched = try column(options.agesPath, integers, of: counts).shortIntegers()
        let period = ContractPeriod(days: options.grid.days)
        var scoring = BGBBScores.Parameters()
        scoring.horizon = try periods(of: options)
        scoring.discount = period.discount(options.discountRate)
        scoring.threadCount = setting.threadCount
        let parameters = scoring
        var samples: (fit: [Double], score: [Double]) = ([], [])
        var result: (FittedBGBB, BGBBScores)?
        for _ in 0..<setting.repeatCount {
            let (model, fitSeconds) = try fitted(options.countsPath) { () throws(ModelError) in
                try BGBB.fit(
                    OpportunityHistory(
                        transactionCount: x, lastTransaction: last, opportunityCount: watched),
                    BGBB.Parameters(period: period, threadCount: setting.threadCount))
            }
            let (scores, scoreSeconds) = try fitted(options.countsPath) { () throws(ModelError) in
                try BGBBScores.score(
                    transactionCount: x, lastTransaction: last, opportunityCount: watched,
                    model: model, parameters)
            }
            samples.fit.append(fitSeconds)
            samples.score.append(scoreSeconds)
            result = (model, scores)
        }
        guard let (model, scores) = result else { preconditionFailure("at least one run") }
        let columns =
            [
                scores.probabilityAlive, scores.expectedTransactions,
                scores.probabilityActive.map { 1 - $0 },
            ] + [scores.discountedTransactions].compactMap(\.self)
        return try report(
            Outcome(
                name: BGBB.name,
                parameters: [
                    ("alpha", model.alpha), ("beta", model.beta), ("gamma", model.gamma),
                    ("delta", model.delta),
                ], diagnostics: model.diagnostics, customers: model.customerCount,
                columns: columns, fitSamples: samples.fit, scoreSamples: samples.score),
            files, setting)
    }

    /// Shifted-beta-geometric: x is 1 for customers who left and 0 for those who are still there, T
    /// the periods of `grid` that each was seen for, the last of them the one at whose end a customer
    /// left. The predictions are the probability of being there after the horizon, the expected
    /// periods in it, and churn probability; 0, 0 and 1 for those who left.
    /// - Throws: also for a horizon that is no whole number of periods.
    static func runContracts(
        _ options: Options, _ setting: LabSetting
    ) throws(LabError) -> LabReport {
        let files = try LabFiles(
            reads: ["--x": options.countsPath, "--T": options.agesPath],
            writes: ["--predictions": options.predictionsOutput], setting)
        let counts = try customerCounts(options.countsPath)
        let left = try counts.shortIntegers()
        let seen = try column(options.agesPath, [.int32, .int64], of: counts).shortIntegers()
        let horizon = try periods(of: options)
        let period = ContractPeriod(days: options.grid.days)
        let cohorts = try cohorts(left, seen, path: options.countsPath)
        var samples: (fit: [Double], score: [Double]) = ([], [])
        var result: (FittedShiftedBetaGeometric, [[Double]])?
        for _ in 0..<setting.repeatCount {
            let (model, fitSeconds) = try fitted(options.countsPath) { () throws(ModelError) in
                try ShiftedBetaGeometric.fit(
                    survivors: cohorts, ShiftedBetaGeometric.Parameters(period: period))
            }
            let (columns, scoreSeconds) = timed { () -> [[Double]] in
                // One answer an age, which few customers differ in.
                let ages = 0..<cohorts.count
                let alive = ages.map { model.probabilityAlive(age: $0, after: horizon) }
                let periods = ages.map { model.expectedPeriods(age: $0, horizon: horizon) }
                let rows = left.indices
                return [
                    rows.map { left[$0] == 1 ? 0 : alive[Int(seen[$0])] },
                    rows.map { left[$0] == 1 ? 0 : periods[Int(seen[$0])] },
                    rows.map { left[$0] == 1 ? 1 : 1 - alive[Int(seen[$0])] },
                ]
            }
            samples.fit.append(fitSeconds)
            samples.score.append(scoreSeconds)
            result = (model, columns)
        }
        guard let (model, columns) = result else { preconditionFailure("at least one run") }
        return try report(
            Outcome(
                name: ShiftedBetaGeometric.name,
                parameters: [("alpha", model.alpha), ("beta", model.beta)],
                diagnostics: model.diagnostics, customers: model.customerCount, columns: columns,
                fitSamples: samples.fit, scoreSamples: samples.score),
            files, setting)
    }

    /// Survivors of those who were seen for equally many periods, `[periods seen]`.
    private static func cohorts(
        _ left: [Int32], _ seen: [Int32], path: String
    ) throws(LabError) -> [[Int]] {
        func refuse(_ row: Int, _ reason: String) -> LabError {
            .model(path: path, .impossibleHistory(row: row, reason: reason))
        }
        let limit = OpportunityHistory.maximumOpportunityCount
        var stayed: [Int] = []
        var gone: [Int] = []
        for (row, periods) in seen.enumerated() {
            guard (0...1).contains(left[row]) else {
                throw refuse(row, "\(left[row]) is neither 1 (left) nor 0 (still there)")
            }
            guard (0...limit).contains(Int(periods)) else {
                throw refuse(row, "\(periods) periods are not in 0...\(limit)")
            }
            guard periods > 0 || left[row] == 0 else {
                throw refuse(row, "nobody leaves before the end of the first period")
            }
            if stayed.count <= Int(periods) {
                let added = Int(periods) + 1 - stayed.count
                stayed += [Int](repeating: 0, count: added)
                gone += [Int](repeating: 0, count: added)
            }
            if left[row] == 1 { gone[Int(periods)] += 1 } else { stayed[Int(periods)] += 1 }
        }
        return stayed.indices.map { periods in
            let all = stayed[periods] + gone[periods]
            return [Int](repeating: all, count: periods)
                + [periods == 0 ? all : stayed[periods]]
        }
    }

    /// The horizon in whole periods.
    private static func periods(of options: Options) throws(LabError) -> Int {
        let count = options.horizon.count(in: options.grid)
        guard count == count.rounded(), (0...100_000).contains(count) else {
            throw .option(
                name: "--horizon",
                reason: """
                    it is \(count) periods of --grid \(options.grid.rawValue); give a whole number \
                    of them, 0 to 100000
                    """)
        }
        return Int(count)
    }

    /// What is reported of any of these models.
    private struct Outcome {
        var name: String
        var parameters: [(name: String, value: Double)]
        var diagnostics: FitDiagnostics
        var customers: Int
        /// Predictions, one element a customer each.
        var columns: [[Double]]
        var fitSamples: [Double]
        var scoreSamples: [Double]
    }

    private static func report(
        _ outcome: Outcome, _ files: LabFiles, _ setting: LabSetting
    ) throws(LabError) -> LabReport {
        let count = outcome.columns[0].count
        var rows: [Double] = []
        rows.reserveCapacity(count * outcome.columns.count)
        for row in 0..<count {
            for column in outcome.columns { rows.append(column[row]) }
        }
        try files["--predictions"]?.fill(rows, shape: [count, outcome.columns.count])
        try files.publish()
        var hash = ResultHash()
        hash.add(rows.map { Float($0) })
        var report = LabReport()
        report.add("model", .text(outcome.name))
        report.add("customers", .integer(outcome.customers))
        let names = outcome.parameters.map(\.name)
        report.add("parameter_names", .text(names.joined(separator: ",")))
        report.add("parameters", .numbers(outcome.parameters.map(\.value)))
        report.add("standard_errors", .numbers(outcome.diagnostics.standardErrors ?? []))
        report.add("log_likelihood", .number(outcome.diagnostics.logLikelihood ?? 0))
        report.add("gradient_norm", .number(outcome.diagnostics.gradientNorm))
        report.add("is_sound", .truth(outcome.diagnostics.isSound))
        report.add(setting, samples: outcome.fitSamples, as: "fit_seconds")
        report.add("fit_seconds", .number(median(outcome.fitSamples)))
        report.add("score_seconds", .number(median(outcome.scoreSamples)))
        report.add(
            "customers_per_second", .number(Double(count) / median(outcome.scoreSamples)))
        report.add("hash", .text(hash.text))
        return report
    }

    /// A timed fit, whose refusal is the fault of `path`.
    private static func fitted<Model>(
        _ path: String, _ body: () throws(ModelError) -> Model
    ) throws(LabError) -> (Model, Double) {
        do throws(ModelError) {
            return try timed(body)
        } catch {
            throw .model(path: path, error)
        }
    }
}
