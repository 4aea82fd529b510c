import Foundation
package import Numerical

/// Cox's proportional-hazards regression: the hazard of a row is that of its stratum times
/// e^(x β), whatever the shape of the former.
/// Source: Cox, "Regression Models and Life-Tables", JRSS B 1972.
package enum CoxRegression {
    package static let name = "Cox regression"

    /// How events at the same time are counted. With many ties the two differ.
    package enum Ties: String, Codable, CaseIterable, Sendable {
        /// Closer to the exact likelihood; the default.
        case efron
        case breslow
    }

    /// What to do with a column that says nothing the others do not say.
    package enum UnusableColumns: String, Codable, Sendable {
        /// Throw, naming all of them. The default.
        case refuse
        /// Fit without them and name them in `FittedCox.omittedColumns`.
        case leaveOut
    }

    package struct Parameters: Sendable {
        package var ties = Ties.efron
        /// λ >= 0: λ/2 · Σ β² of the standardised coefficients is taken from the log-likelihood.
        /// Default 0. Above 0 every estimate is finite, also with collinear columns or separated
        /// rows, and smaller.
        package var ridge = 0.0
        package var unusableColumns = UnusableColumns.refuse
        /// Of the intervals; above 0, below 1.
        package var confidenceLevel = 0.95
        /// False saves about a quarter of the time; `concordance` is then nil.
        package var computesConcordance = true
        /// At least 1. Does not change the result.
        package var threadCount = 1
        package var optimizer = DampedNewton()

        package init() {}
    }

    /// Maximum partial likelihood by damped Newton steps.
    ///
    /// O(rows · columns²) a step after one sort, about five steps; the same bytes for any thread
    /// count.
    /// - Parameters:
    ///   - columns: at least one.
    ///   - strata: one code a row; rows of different strata are never compared. Nil: one stratum.
    /// - Throws: `countMismatch`; `nonFiniteValue` naming the column and the row; `outOfRange` for
    ///   a parameter; `notIdentified` where there is no event, where columns are constant or
    ///   collinear (named), and where the likelihood has no maximum because columns (named)
    ///   separate the rows with the event from the others at risk.
    package static func fit(
        _ times: SurvivalTimes, _ columns: [CovariateColumn], strata: [Int32]? = nil,
        _ parameters: Parameters = Parameters()
    ) throws(ModelError) -> FittedCox {
        try CoxFit(times, columns, strata: strata, parameters).fitted()
    }
}

/// A design with what was found out about it, ready for fits on some of its columns.
struct CoxFit {
    let parameters: CoxRegression.Parameters
    let likelihood: CoxLikelihood
    let factors: [String]
    /// Columns of the design that are used.
    let free: [Int]
    let omitted: [OmittedColumn]
    /// At coefficients of 0.
    let null: CoxLikelihood.Evaluation

    var design: CoxDesign { likelihood.design }

    init(
        _ times: SurvivalTimes, _ columns: [CovariateColumn], strata: [Int32]?,
        _ parameters: CoxRegression.Parameters
    ) throws(ModelError) {
        let name = CoxRegression.name
        guard parameters.ridge >= 0, parameters.ridge.isFinite else {
            throw .outOfRange(
                what: "ridge of the \(name)", actual: parameters.ridge,
                allowed: "finite, 0 and above")
        }
        guard !columns.isEmpty, columns.count <= 1_000 else {
            throw .outOfRange(
                what: "covariates of the \(name)", actual: Double(columns.count),
                allowed: "1...1000")
        }
        if let strata { try requireCount(strata.count, times.rowCount, "strata") }
        let threads = max(1, parameters.threadCount)
        var omitted: [OmittedColumn] = []
        var kept: [CovariateColumn] = []
        var summaries: [ColumnSummary] = []
        for (index, column) in columns.enumerated() {
            let summary = try ColumnSummary(column, index: index, times, threadCount: threads)
            if summary.deviation == 0 {
                omitted.append(OmittedColumn(name: column.name, reason: .constant, with: []))
            } else {
                kept.append(column)
                summaries.append(summary)
            }
        }
        guard times.isEvent.contains(true) else {
            throw .notIdentified(
                model: name, reason: "no row has the event; a longer watch is needed")
        }
        let design = CoxDesign(times, kept, summaries, strata: strata, threadCount: threads)
        let likelihood = CoxLikelihood(
            design: design, ties: parameters.ties, threadCount: threads)
        let null = likelihood.evaluate([Double](repeating: 0, count: kept.count))
        let found = OmittedColumn.find(
            design, information: null.information, allowsCollinear: parameters.ridge > 0)
        omitted += found.omitted
        if !omitted.isEmpty, parameters.unusableColumns == .refuse || found.free.isEmpty {
            throw .notIdentified(
                model: name, reason: omitted.map(\.description).joined(separator: "; "))
        }
        self.parameters = parameters
        self.likelihood = likelihood
        self.omitted = omitted
        self.null = null
        free = found.free
        factors = kept.map(\.factor)
    }

    struct Optimum {
        /// One a column of the design; 0 for those not free.
        var coefficients: [Double]
        var evaluation: CoxLikelihood.Evaluation
        var result: DampedNewton.Result
    }

    /// The penalised maximum over some columns.
    func maximize(over free: [Int], from start: [Double]) -> Optimum {
        let scale = design.totalEventWeight
        let ridge = parameters.ridge
        let p = design.columnCount
        func full(_ point: [Double]) -> [Double] {
            var coefficients = [Double](repeating: 0, count: p)
            for (k, column) in free.enumerated() { coefficients[column] = point[k] }
            return coefficients
        }
        // The last points looked at, so that the accepted one need not be evaluated again.
        var seen: [(point: [Double], evaluation: CoxLikelihood.Evaluation)] = []
        let limit = [Double](repeating: 50, count: free.count)
        let result = parameters.optimizer.minimize(
            from: start, lower: limit.map { -$0 }, upper: limit
        ) { point in
            let evaluation = likelihood.evaluate(full(point))
            seen = seen.suffix(1) + [(point, evaluation)]
            var hessian = SymmetricMatrix(size: free.count)
            var gradient: [Double] = []
            var value = -evaluation.value / scale
            for (k, column) in free.enumerated() {
                gradient.append((ridge * point[k] - evaluation.gradient[column]) / scale)
                value += ridge * point[k] * point[k] / (2 * scale)
                for l in 0...k {
                    hessian[k, l] = evaluation.information[column * p + free[l]] / scale
                }
                hessian[k, k] += ridge / scale
            }
            return ObjectiveEvaluation(value: value, gradient: gradient, hessian: hessian)
        }
        let coefficients = full(result.point)
        let held = seen.last { $0.point == result.point }?.evaluation
        return Optimum(
            coefficients: coefficients, evaluation: held ?? likelihood.evaluate(coefficients),
            result: result)
    }

    /// The maximum over all usable columns.
    /// - Throws: `notIdentified` where there is none.
    func maximize() throws(ModelError) -> Optimum {
        let separation = CoxSeparation(design)
        let needsMaximum = parameters.ridge == 0
        if needsMaximum { try refuse(separation.columnNames(among: free)) }
        let optimum = maximize(
            over: free, from: [Double](repeating: 0, count: free.count))
        if needsMaximum {
            try refuse(separation.columnNames(of: optimum, null: null, free: free))
        }
        guard optimum.result.outcome == .converged else {
            let largest = optimum.coefficients.map(abs).max() ?? 0
            let names = free.filter { abs(optimum.coefficients[$0]) >= 0.5 * largest }
                .map { "\"\(design.columnNames[$0])\"" }.joined(separator: ", ")
            throw .notIdentified(
                model: CoxRegression.name,
                reason: """
                    no maximum was found in \(optimum.result.iterations) steps \
                    (\(optimum.result.outcome.rawValue)), the largest effects being those of \
                    \(names); see that no column tells the time of the event, leave out columns \
                    or use a ridge above 0
                    """)
        }
        return optimum
    }

    private func refuse(_ separating: [String]) throws(ModelError) {
        guard !separating.isEmpty else { return }
        let list = separating.map { "\"\($0)\"" }.joined(separator: ", ")
        throw .notIdentified(
            model: CoxRegression.name,
            reason: """
                the likelihood has no maximum, because at every event the row with the event has \
                the most extreme value of \(list) of all rows at risk; see that it does not tell \
                the time of the event, leave it out or use a ridge above 0
                """)
    }

    func fitted() throws(ModelError) -> FittedCox {
        try FittedCox(self, maximize())
    }
}
