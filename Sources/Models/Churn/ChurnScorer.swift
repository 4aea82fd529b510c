package import Numerical

/// A churn model ready to score; made once, used for many tables.
package struct ChurnScorer: Sendable {
    package let model: ChurnModel
    private let raw: RawScorer

    package init(_ model: ChurnModel) {
        self.model = model
        raw = RawScorer(model.fitted)
    }

    /// Probabilities of leaving, and why.
    ///
    /// Same bytes for any thread count, instruction-set level and cut of the rows into tables. Reasons of
    /// trees are O(trees · leaves · depth) a row and take most of the time.
    /// - Parameters:
    ///   - table: the columns of the model's schema, in any order; others are not looked at.
    ///   - reasonCount: most reasons of a row; 0: none.
    /// - Throws: `badColumn` where a column is absent, of the other kind, or infinite for a logistic
    ///   regression, by name; `outOfRange` for a reasonCount below 0.
    package func scores(
        _ table: PredictorTable, reasonCount: Int = 3, threadCount: Int = 1,
        kernels: KernelTable = .current
    ) throws(ModelError) -> ChurnScores {
        guard reasonCount >= 0 else {
            throw .outOfRange(
                what: "reasonCount", actual: Double(reasonCount), allowed: "0 or more")
        }
        let table = try table.matched(to: model.schema)
        let rawScores = try raw.scores(table, threadCount: threadCount, kernels: kernels)
        var scores = ChurnScores(
            columns: model.schema.map(\.name), base: raw.base, rawScores: rawScores,
            probabilities: rawScores.map(model.probability),
            reasonCount: min(reasonCount, model.schema.count))
        guard scores.reasonCount > 0 else { return scores }
        // Contributions of all columns are kept for so many rows at once.
        var first = 0
        while first < table.rowCount {
            let rows = first..<min(table.rowCount, first + 8192)
            let part = rows.count == table.rowCount ? table : table.rows(Array(rows))
            scores.append(try raw.contributions(part, threadCount: threadCount))
            first = rows.upperBound
        }
        return scores
    }
}

/// What a churn model says of rows.
///
/// Contributions are of the raw score, in log-odds: base and contributions of all columns add up to it
/// (to rounding). The probability is the model's calibration of the raw score, which never falls where
/// the score rises; so a column that adds to the score never lowers the probability, but by how much it
/// moves it depends on the others.
package struct ChurnScores: Sendable, Equatable {
    package let columns: [String]
    /// The raw score of a customer whom nothing is known of.
    package let base: Double
    /// Log-odds of leaving before calibration, `[rowCount]`, finite.
    package let rawScores: [Double]
    /// Calibrated, `[rowCount]`, 0 ... 1.
    package let probabilities: [Double]
    /// Most reasons of a row.
    package let reasonCount: Int
    /// `[rowCount × reasonCount]`, of `columns`, the largest contribution of a row first; -1: no more.
    package private(set) var reasonColumns: [Int32] = []
    /// Signed, in log-odds, above 0 towards leaving; 0 where there is no reason.
    package private(set) var reasonContributions: [Double] = []

    fileprivate init(
        columns: [String], base: Double, rawScores: [Double], probabilities: [Double],
        reasonCount: Int
    ) {
        self.columns = columns
        self.base = base
        self.rawScores = rawScores
        self.probabilities = probabilities
        self.reasonCount = reasonCount
        reasonColumns.reserveCapacity(rawScores.count * reasonCount)
        reasonContributions.reserveCapacity(rawScores.count * reasonCount)
    }

    package var rowCount: Int { rawScores.count }

    /// The reasons of a row, the largest first.
    package func reasons(row: Int) -> [Contributions.Reason] {
        (row * reasonCount..<(row + 1) * reasonCount).compactMap { place in
            reasonColumns[place] < 0
                ? nil
                : Contributions.Reason(
                    column: columns[Int(reasonColumns[place])],
                    contribution: reasonContributions[place])
        }
    }

    /// The largest contributions of each row, ties by the columns' order.
    fileprivate mutating func append(_ contributions: Contributions) {
        let width = columns.count
        var rest = contributions.values
        for row in 0..<contributions.rowCount {
            for _ in 0..<reasonCount {
                var (best, largest) = (-1, 0.0)
                for column in 0..<width {
                    let size = abs(rest[row * width + column])
                    if size > largest { (best, largest) = (column, size) }
                }
                reasonColumns.append(Int32(best))
                reasonContributions.append(best < 0 ? 0 : rest[row * width + best])
                if best >= 0 { rest[row * width + best] = 0 }
            }
        }
    }
}

/// Raw scores of either kind of model.
struct RawScorer: Sendable {
    private enum Kind {
        case forest(ForestScorer)
        case logistic(FittedLogistic)
    }

    private let kind: Kind
    let base: Double

    init(_ fitted: ChurnModel.Fitted) {
        switch fitted {
        case .trees(let ensemble):
            kind = .forest(ForestScorer(ensemble))
            base = ensemble.expectedScore
        case .logistic(let logistic):
            kind = .logistic(logistic)
            base = logistic.meanScore
        }
    }

    func scores(
        _ table: PredictorTable, threadCount: Int, kernels: KernelTable
    ) throws(ModelError) -> [Double] {
        switch kind {
        case .forest(let scorer):
            try scorer.scores(table, threadCount: threadCount, kernels: kernels)
        case .logistic(let logistic): try logistic.scores(table)
        }
    }

    func contributions(
        _ table: PredictorTable, threadCount: Int
    ) throws(ModelError) -> Contributions {
        switch kind {
        case .forest(let scorer): try scorer.contributions(table, threadCount: threadCount)
        case .logistic(let logistic): try logistic.contributions(table)
        }
    }
}
