import Foundation
import Models

/// Who leaves: cross-validation, the model of all contracts, and what moves it.
struct ContractChurn: Sendable {
    let table: ContractTable
    let fitted: CrossValidatedChurn
    let scored: [ScoredContract]
    private let options: ContractOptions
    private let threadCount: Int

    /// - Throws: `model` where there are too few contracts, or too few of one outcome.
    init(
        _ table: ContractTable, _ options: ContractOptions, threadCount: Int
    ) throws(EngineError) {
        self.table = table
        self.options = options
        self.threadCount = threadCount
        var parameters = ChurnModel.Parameters()
        parameters.seed = options.seed
        switch options.model {
        case .trees:
            // Small trees and small steps: tables of contracts have thousands of rows, not millions.
            var trees = BoostedTrees.Parameters()
            trees.leafCount = 4
            trees.learningRate = 0.05
            trees.treeCount = 2_000
            trees.seed = options.seed
            parameters.algorithm = .trees(trees)
        case .logistic:
            try Self.requireFewTerms(table)
            parameters.algorithm = .logistic(Self.penalized)
        }
        let fitted = try modelErrors("churn") { () throws(ModelError) in
            try CrossValidatedChurn.fit(
                table.predictors, table.outcome, foldCount: options.foldCount, parameters,
                threadCount: threadCount)
        }
        self.fitted = fitted
        scored = try modelErrors("churn") { () throws(ModelError) in
            try Self.scored(
                table, fitted, reasonCount: options.reasonCount, threadCount: threadCount)
        }
    }

    /// Next to no penalty, but every fit exists.
    private static var penalized: LogisticRegression.Parameters {
        var logistic = LogisticRegression.Parameters()
        logistic.regularization = 1
        return logistic
    }

    /// - Throws: `unusableTable` where a logistic regression would have more terms than it is good for:
    ///   its time grows with their square.
    private static func requireFewTerms(_ table: ContractTable) throws(EngineError) {
        let counts = table.predictors.columns.map { column in
            guard case .categories(_, let names) = column.values else { return 1 }
            return names.count
        }
        let total = counts.reduce(0, +)
        guard total > termLimit, let widest = counts.indices.max(by: { counts[$0] < counts[$1] })
        else { return }
        let name = table.predictors.columns[widest].name
        throw .unusableTable(
            path: table.source.path, line: nil, column: name,
            reason: """
                with its \(counts[widest]) categories there are \(total) terms, and a logistic \
                regression takes \(termLimit); leave it out (--ignore '\(name)'), put its texts into \
                fewer groups, or take --model trees
                """)
    }

    private static let termLimit = 500

    /// Probability and reasons of each contract, both by the model of its fold.
    private static func scored(
        _ table: ContractTable, _ fitted: CrossValidatedChurn, reasonCount: Int, threadCount: Int
    ) throws(ModelError) -> [ScoredContract] {
        var result = [ScoredContract?](repeating: nil, count: table.rowCount)
        var places: [String: Int] = [:]
        for (place, column) in table.predictors.columns.enumerated() { places[column.name] = place }
        for (fold, model) in fitted.foldModels.enumerated() {
            let rows = fitted.foldOfRow.indices.filter { fitted.foldOfRow[$0] == fold }
            let scores = try ChurnScorer(model).scores(
                table.predictors.rows(rows), reasonCount: reasonCount, threadCount: threadCount)
            for (index, row) in rows.enumerated() {
                result[row] = ScoredContract(
                    name: table.name(row), hasLeft: table.outcome.labels[row], fold: fold,
                    probability: fitted.probabilities[row],
                    reasons: scores.reasons(row: index).map { reason in
                        ScoredContract.Reason(
                            column: reason.column,
                            value: table.value(row, column: places[reason.column] ?? 0),
                            effect: reason.contribution)
                    })
            }
        }
        return result.compactMap { $0 }
    }

    func report() throws(EngineError) -> ContractChurnReport {
        try modelErrors("churn") { () throws(ModelError) in
            let staying = scored.indices.filter { !scored[$0].hasLeft }.sorted {
                (-scored[$0].probability, $0) < (-scored[$1].probability, $1)
            }
            var oddsRatios: OddsRatioReport?
            if options.model == .logistic {
                oddsRatios = try OddsRatioReport(table, threadCount: threadCount)
            }
            return ContractChurnReport(
                model: options.model, foldCount: fitted.foldCount,
                evaluation: fitted.model.evaluation,
                foldAreas: fitted.foldModels.compactMap(\.evaluation.areaUnderROC),
                treeCounts: fitted.treeCounts, influences: try influences(),
                oddsRatios: oddsRatios,
                mostAtRisk: staying.prefix(10).map { scored[$0] })
        }
    }

    // MARK: - Influences

    private func influences() throws(ModelError) -> [ColumnInfluence] {
        let columns = table.predictors.columns
        var sums = columns.map { InfluenceSums($0) }
        // Contributions of all columns are kept for so many rows at once.
        for first in stride(from: 0, to: table.rowCount, by: 8_192) {
            let rows = first..<min(table.rowCount, first + 8_192)
            let part = table.predictors.rows(Array(rows))
            let contributions =
                switch fitted.model.fitted {
                case .trees(let ensemble):
                    try ForestScorer(ensemble).contributions(part, threadCount: threadCount)
                case .logistic(let logistic): try logistic.contributions(part)
                }
            for row in 0..<part.rowCount {
                for (column, value) in contributions.row(row).enumerated() {
                    sums[column].add(value, row: row, part.columns[column].values)
                }
            }
        }
        let means = sums.map { $0.absolute / Double(table.rowCount) }
        let total = means.reduce(0, +)
        return columns.indices.sorted { (-means[$0], $0) < (-means[$1], $1) }.map { column in
            ColumnInfluence(
                column: columns[column].name, meanAbsoluteContribution: means[column],
                share: total > 0 ? means[column] / total : 0,
                leavingWhere: means[column] > 0 ? sums[column].leavingWhere : nil)
        }
    }
}

/// What the contributions of a column add up to.
private struct InfluenceSums {
    private(set) var absolute = 0.0
    private let names: [String]
    /// By category; the missing come last.
    private var sums: [Double]
    private var counts: [Double]
    /// Of numbers and their contributions: n, x, y, x², xy, y².
    private var moments = [Double](repeating: 0, count: 6)
    /// The first number: distances from it keep their digits when they are squared.
    private var origin: Double?

    init(_ column: PredictorTable.Column) {
        if case .categories(_, let names) = column.values { self.names = names } else { names = [] }
        sums = [Double](repeating: 0, count: names.count + 1)
        counts = sums
    }

    mutating func add(_ contribution: Double, row: Int, _ values: PredictorTable.Values) {
        absolute += abs(contribution)
        var place = names.count
        switch values {
        case .numbers(let all):
            guard all[row].isFinite else { break }
            let number = Double(all[row])
            let x = number - (origin ?? number)
            origin = origin ?? number
            let terms = [1, x, contribution, x * x, x * contribution, contribution * contribution]
            for (index, term) in terms.enumerated() { moments[index] += term }
            return
        case .categories(let codes, _):
            if codes[row] >= 0 { place = Int(codes[row]) }
        }
        sums[place] += contribution
        counts[place] += 1
    }

    var leavingWhere: String? {
        guard names.isEmpty else {
            // Of the categories that are not rare.
            let total = counts.reduce(0, +)
            let common = counts.indices.filter { counts[$0] >= max(1, 0.01 * total) }
            let highest = common.max { sums[$0] / counts[$0] < sums[$1] / counts[$1] }
            return highest.map { $0 < names.count ? names[$0] : "missing" }
        }
        let n = moments[0]
        guard n > 0 else { return nil }
        let covariance = moments[4] / n - moments[1] / n * (moments[2] / n)
        let variances = [(1, 3), (2, 5)].map { mean, square in
            moments[square] / n - moments[mean] / n * (moments[mean] / n)
        }
        guard variances[0] > 0, variances[1] > 0 else { return nil }
        let correlation = covariance / (variances[0] * variances[1]).squareRoot()
        // Below, the effect goes up and down.
        guard abs(correlation) >= 0.3 else { return nil }
        return correlation > 0 ? "high" : "low"
    }
}

// MARK: - Odds ratios

extension OddsRatioReport {
    /// The maximum-likelihood fit of all contracts; where it does not exist, that of those without an
    /// empty field if they are most; else the penalized one.
    init(_ table: ContractTable, threadCount: Int) throws(ModelError) {
        var parameters = LogisticRegression.Parameters()
        parameters.threadCount = threadCount
        parameters.regularization = 0
        let (predictors, outcome) = (table.predictors, table.outcome)
        var problem = ""
        do throws(ModelError) {
            let fitted = try LogisticRegression.fit(predictors, outcome, parameters)
            self.init(fitted, predictors, .allContracts, reason: nil)
            return
        } catch {
            guard case .notIdentified(_, let reason) = error else { throw error }
            problem = reason
        }
        let complete = (0..<table.rowCount).filter { row in
            predictors.columns.allSatisfy { !$0.values.isMissing(row) }
        }
        if complete.count < table.rowCount, 5 * complete.count >= 4 * table.rowCount {
            do throws(ModelError) {
                let part = predictors.rows(complete)
                let fitted = try LogisticRegression.fit(
                    part, outcome.rows(complete), parameters)
                self.init(fitted, part, .completeContracts, reason: problem)
                return
            } catch {
                guard case .notIdentified = error else { throw error }
            }
        }
        parameters.regularization = 1
        let fitted = try LogisticRegression.fit(predictors, outcome, parameters)
        self.init(fitted, predictors, .penalized, reason: problem)
    }

    /// Columns by their clearest term.
    private init(
        _ fitted: FittedLogistic, _ table: PredictorTable, _ basis: Basis, reason: String?
    ) {
        self.basis = basis
        basisReason = reason
        rowCount = fitted.rowCount
        logLikelihood = fitted.logLikelihood
        nullLogLikelihood = fitted.nullLogLikelihood
        var clearest = [Double](repeating: 0, count: table.columns.count)
        for coefficient in fitted.coefficients {
            let column = coefficient.term.column
            clearest[column] = max(clearest[column], abs(coefficient.z))
        }
        let order = fitted.coefficients.indices.sorted { a, b in
            let (x, y) = (fitted.coefficients[a].term.column, fitted.coefficients[b].term.column)
            return (-clearest[x], x, a) < (-clearest[y], y, b)
        }
        rows = order.map { index in
            let coefficient = fitted.coefficients[index]
            let term = coefficient.term
            let column = table.columns[term.column]
            var reference: String?
            if case .category = term.kind { reference = column.mostFrequentCategory }
            return Row(
                column: column.name, term: term.name, reference: reference,
                oddsRatio: Self.power(coefficient.value),
                lower: Self.power(coefficient.interval.lowerBound),
                upper: Self.power(coefficient.interval.upperBound),
                oddsRatioPerDeviation: Self.power(coefficient.value * term.deviation),
                z: coefficient.z, pValue: coefficient.pValue)
        }
        dropped = fitted.dropped.map { dropped in
            switch dropped.reason {
            case .constant: Dropped(term: dropped.term, with: [])
            case .collinear(let others): Dropped(term: dropped.term, with: others)
            }
        }
    }

    /// e^x, finite and above 0.
    private static func power(_ x: Double) -> Double { exp(min(max(x, -700), 700)) }
}

extension PredictorTable.Values {
    fileprivate func isMissing(_ row: Int) -> Bool {
        switch self {
        case .numbers(let values): values[row].isNaN
        case .categories(let codes, _): codes[row] < 0
        }
    }
}

extension PredictorTable.Column {
    /// The first of equally frequent ones; nil for numbers.
    var mostFrequentCategory: String? {
        guard case .categories(let codes, let names) = values else { return nil }
        var counts = [Int](repeating: 0, count: names.count)
        for code in codes where code >= 0 { counts[Int(code)] += 1 }
        return counts.indices.max { (counts[$0], -$0) < (counts[$1], -$1) }.map { names[$0] }
    }
}
