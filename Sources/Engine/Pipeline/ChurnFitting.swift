import ByteCoding
import Features
package import Models
import Numerical
package import Units

/// The learned churn model of one training: what `churn` model files hold.
package struct FittedChurn: Codable, Sendable {
    package var model: ChurnModel
    /// The periods that it was made and measured on.
    package var periods: ChurnPeriods
    /// Features of the plan that this data does not have.
    package var unavailable: [String]
}

/// The days between which a churn model learns and is measured, so that neither sees what comes later.
///
/// ```
///  what is known │ who stays away │ who stays away │
///            fitDay           checkDay            end
/// ```
package struct ChurnPeriods: Codable, Sendable, Equatable {
    /// How long customers stay away who have left.
    package let horizonDays: Int
    /// Days since 1970: the model sees what was known by this day, and who ordered up to the next.
    package let fitDay: Int
    /// It is calibrated and measured on what was known by this day, and who ordered up to the end.
    package let checkDay: Int
    package let end: Int

    package var fit: CalendarDay { CalendarDay(daysSince1970: fitDay) }
    package var check: CalendarDay { CalendarDay(daysSince1970: checkDay) }

    /// The last two horizons up to a day.
    /// - Parameter purchases: from the first to the last purchase: a later day than the last says
    ///   nothing about who stays away.
    /// - Throws: `notIdentified` where purchases do not begin before both.
    init(
        asOf: CalendarDay, horizon: Horizon, purchases: ClosedRange<CalendarDay>
    ) throws(ModelError) {
        horizonDays = max(1, Int(horizon.days.rounded()))
        end = min(asOf, purchases.upperBound).daysSince1970
        checkDay = end - horizonDays
        fitDay = checkDay - horizonDays
        guard purchases.lowerBound.daysSince1970 <= fitDay else {
            let days = max(0, end - purchases.lowerBound.daysSince1970)
            throw .notIdentified(
                model: "churn",
                reason: """
                    it learns from who stayed away for \(horizon), is measured on the next \
                    \(horizon), and needs purchases before both, but these \(days) days of \
                    purchases begin on \(purchases.lowerBound): set a shorter churn.horizon
                    """)
        }
    }
}

/// What was known of customers by a day, and who of them had left a horizon later.
private struct ChurnExamples {
    let table: PredictorTable
    let outcome: ChurnOutcome
}

extension Workspace {
    /// Examples of one day; of more customers as many are drawn.
    private static let largestExampleCount = 1_000_000

    /// Fits the plan's learned churn model on the two horizons before a day.
    /// - Parameter report: gets a line about each step.
    func fitChurn(
        asOf: CalendarDay, threadCount: Int, report: (String) -> Void
    ) throws(EngineError) -> (fitted: FittedChurn, inputs: [ReferenceHistogram]) {
        let lines = try segmentedHistory(threadCount: threadCount)
        guard let purchases = try lines.purchaseDays(clock: plan.clock) else {
            throw .features(.noPurchases)
        }
        let periods = try modelErrors("churn") { () throws(ModelError) in
            try ChurnPeriods(asOf: asOf, horizon: plan.churn.horizon, purchases: purchases)
        }
        report("churn: features as of \(periods.fit)")
        let (training, unavailable, inputs) = try trainingExamples(periods, threadCount)
        report("churn: features as of \(periods.check)")
        let later = try churnExamples(
            try pastFeatures(periods.check, threadCount), training.table.schema.map(\.name),
            periods,
            threadCount)
        report("fitting churn")
        let model = try modelErrors("churn") { () throws(ModelError) in
            try ChurnModel.fit(
                training.table, training.outcome, held: .given(later.table, later.outcome),
                plan.churn.parameters(seed: plan.seed), threadCount: threadCount)
        }
        return (
            FittedChurn(model: model, periods: periods, unavailable: unavailable), inputs
        )
    }

    /// What the model learns from, the features of the plan that this data does not have, and how
    /// those that it has are distributed over all customers. The table of features goes again.
    private func trainingExamples(
        _ periods: ChurnPeriods, _ threadCount: Int
    ) throws(EngineError) -> (ChurnExamples, unavailable: [String], [ReferenceHistogram]) {
        let features = try pastFeatures(periods.fit, threadCount)
        let selection = try mapErrors(EngineError.features) { () throws(FeatureError) in
            try features.selection(of: plan.churn.features)
        }
        let columns = selection.columnIndices.map { features.columns[$0] }
        guard !columns.isEmpty else {
            throw .noFeatures(model: "churn", features: plan.churn.features)
        }
        let inputs = parallelMap(count: columns.count, chunkSize: 1, threadCount: threadCount) {
            index, _ in
            ReferenceHistogram(
                name: columns[index].name, values: columns[index].values,
                valid: columns[index].valid)
        }
        let examples = try churnExamples(features, columns.map(\.name), periods, threadCount)
        return (examples, selection.unavailable, inputs)
    }

    /// The learned model's features of an earlier day; those that are loaded stay.
    func pastFeatures(
        _ day: CalendarDay, _ threadCount: Int
    ) throws(EngineError) -> FeatureTable {
        let loaded = loadedFeatures
        defer { loadedFeatures = loaded }
        loadedFeatures = nil
        return try dayFeatures(
            asOf: day, keeping: Set(plan.churn.features), usesCache: false,
            threadCount: threadCount, report: { _ in }
        ).table
    }

    private func churnExamples(
        _ table: FeatureTable, _ names: [String], _ periods: ChurnPeriods, _ threadCount: Int
    ) throws(EngineError) -> ChurnExamples {
        let outcome = try surveyedHistory(threadCount: threadCount).holdoutOutcome(
            after: table.asOf, through: table.asOf + periods.horizonDays)
        let status = table.history.status
        let eligible = status.indices.filter { status[$0] == CustomerHistory.ok }
        let rows = eligible.drawn(
            atMost: Self.largestExampleCount, seed: plan.seed,
            stream: UInt64(truncatingIfNeeded: table.asOf.daysSince1970))
        return try modelErrors("churn") { () throws(ModelError) in
            ChurnExamples(
                table: try table.predictors(names, rows: rows[...]),
                outcome: try ChurnOutcome(rows.map { outcome.orderCount[$0] == 0 }))
        }
    }
}

extension FittedChurn {
    /// Rows that are scored at a time.
    private static let batchRowCount = 1 << 18

    /// Scores the customers who have an order.
    func scores(
        _ table: FeatureTable, reasonCount: Int, threadCount: Int
    ) throws(EngineError) -> ChurnColumns {
        let status = table.history.status
        let rows = status.indices.filter { status[$0] == CustomerHistory.ok }
        let scorer = ChurnScorer(model)
        let names = model.schema.map(\.name)
        var result = ChurnColumns(
            rowCount: table.rowCount, names: names, reasonCount: min(reasonCount, names.count))
        for start in stride(from: 0, to: rows.count, by: Self.batchRowCount) {
            let batch = rows[start..<min(rows.count, start + Self.batchRowCount)]
            let scores = try modelErrors("churn") { () throws(ModelError) in
                try scorer.scores(
                    try table.predictors(names, rows: batch), reasonCount: reasonCount,
                    threadCount: threadCount)
            }
            result.take(scores, of: batch)
        }
        return result
    }
}

/// What a learned churn model says of every customer of a table.
struct ChurnColumns: Sendable {
    /// 0 for customers without an order, of whom nothing is said.
    private(set) var probabilities: [Double]
    private(set) var reasons: ChurnReasons

    fileprivate init(rowCount: Int, names: [String], reasonCount: Int) {
        probabilities = [Double](repeating: 0, count: rowCount)
        reasons = ChurnReasons(rowCount: rowCount, names: names, count: reasonCount)
    }

    fileprivate mutating func take(_ scores: ChurnScores, of rows: ArraySlice<Int>) {
        for (place, row) in rows.enumerated() {
            probabilities[row] = scores.probabilities[place]
        }
        reasons.take(scores, of: rows)
    }
}

/// Why customers have the churn probability they have, the largest reason first.
struct ChurnReasons: Sendable {
    /// As columns of scores; places count from 0, columns from 1.
    static func columnName(_ place: Int) -> String { "churn_reason_\(place + 1)" }
    static let effectSuffix = "_effect"

    /// The model's features.
    let names: [String]
    /// Most reasons of a customer.
    let count: Int
    /// By place, then by row: of `names`, -1 for none; and by how much each moves the log-odds of
    /// leaving before calibration.
    private(set) var features: [[Int32]]
    private(set) var effects: [[Float]]

    /// Takes the rows of a larger table.
    /// - Parameter sources: rows of this one, -1 for a customer without reasons.
    mutating func spread(_ sources: [Int]) {
        for place in 0..<count {
            let (own, parts) = (features[place], effects[place])
            features[place] = sources.map { $0 < 0 ? -1 : own[$0] }
            effects[place] = sources.map { $0 < 0 ? 0 : parts[$0] }
        }
    }

    fileprivate init(rowCount: Int, names: [String], count: Int) {
        self.names = names
        self.count = count
        features = Array(repeating: [Int32](repeating: -1, count: rowCount), count: count)
        effects = Array(repeating: [Float](repeating: 0, count: rowCount), count: count)
    }

    fileprivate mutating func take(_ scores: ChurnScores, of rows: ArraySlice<Int>) {
        for place in 0..<count {
            for (index, row) in rows.enumerated() {
                let source = index * count + place
                features[place][row] = scores.reasonColumns[source]
                effects[place][row] = Float(scores.reasonContributions[source])
            }
        }
    }
}

extension FeatureTable {
    /// Columns for a churn model; what is undefined, or is not known here, is missing.
    ///
    /// A value that no customer has (a category gone from sale) is a share of 0.
    fileprivate func predictors(
        _ names: [String], rows: ArraySlice<Int>
    ) throws(ModelError) -> PredictorTable {
        var columns: [PredictorTable.Column] = []
        for name in names {
            guard let column = column(named: name) else {
                let value: Float = FeatureCatalog.isValueShare(name) ? 0 : .nan
                columns.append(
                    PredictorTable.Column(
                        name, numbers: [Float](repeating: value, count: rows.count)))
                continue
            }
            let values = rows.map { row in
                column.valid?[row] ?? true ? column.values[row] : .nan
            }
            columns.append(PredictorTable.Column(name, numbers: values))
        }
        return try PredictorTable(columns)
    }
}

extension [Int] {
    /// At most so many elements, each as likely as any other, in their order.
    /// Source: D. Knuth, "The Art of Computer Programming", volume 2, algorithm 3.4.2 S.
    fileprivate func drawn(atMost limit: Int, seed: UInt64, stream: UInt64) -> [Int] {
        guard count > limit else { return self }
        var random = SeededRandom(seed: seed, stream: stream)
        var drawn: [Int] = []
        drawn.reserveCapacity(limit)
        for (place, element) in enumerated() {
            let wanted = limit - drawn.count
            if random.below(count - place) < wanted { drawn.append(element) }
        }
        return drawn
    }
}

extension Plan.Churn {
    fileprivate func parameters(seed: UInt64) -> ChurnModel.Parameters {
        var parameters = ChurnModel.Parameters()
        parameters.seed = seed
        parameters.calibration =
            switch calibration {
            case .isotonic: .isotonic
            case .none: .none
            case .platt: .platt
            }
        switch model {
        case .logistic: parameters.algorithm = .logistic(LogisticRegression.Parameters())
        case .lifetime, .trees:
            var trees = ChurnModel.smallTrees
            trees.seed = seed
            parameters.algorithm = .trees(trees)
        }
        return parameters
    }
}
