import Foundation
import Numerical

/// Logistic regression: which columns go with leaving, how strongly, and how sure that is.
///
/// The likelihood penalized by λ/2 Σ b² of the coefficients of standardized terms, or with λ = 0 alone, is
/// maximized by Newton's method (iteratively reweighted least squares) with step halving. A missing
/// number counts as the mean and has a term of its own that says so; a category is compared with the
/// most frequent one. Deterministic for any thread count. O(rows · terms²) an iteration.
///
/// Standard errors are the roots of the diagonal of the inverse of the penalized second derivatives. With
/// λ = 0 these are the usual ones of maximum likelihood. With λ above 0 they are the standard deviations
/// of the coefficients' posterior where each standardized one is normal with variance 1/λ beforehand:
/// they count the bias that the penalty adds as well as the noise, so they are larger than the spread
/// of repeated fits; intervals hold the truth as often as they say on average over such coefficients,
/// less often for one far beyond 1/√λ.
/// Source: P. McCullagh and J. Nelder, "Generalized Linear Models", 1989, 4.4; A. Albert and
/// J. Anderson, "On the Existence of Maximum Likelihood Estimates in Logistic Regression Models",
/// 1984 (separation); S. le Cessie and J. van Houwelingen, "Ridge Estimators in Logistic Regression",
/// 1992; D. Nychka, "Bayesian Confidence Intervals for Smoothing Splines", 1988 (what they hold).
package enum LogisticRegression {
    package struct Parameters: Codable, Equatable, Sendable {
        /// λ, at least 0. With 1, as if one more customer or so had said that a coefficient is near 0:
        /// what thousands of rows tell stays, and terms that separate stay finite. Higher for few rows and
        /// many terms; 0 for maximum likelihood, which is refused where it does not exist.
        package var regularization = 1.0
        /// Of Newton's method, at least 1.
        package var maximumIterations = 50
        /// Converged where no coefficient of a standardized term has moved by more; above 0.
        package var tolerance = 1e-9
        /// Of the intervals: 1.959964 for 95 %.
        package var intervalDeviations = 1.959963984540054
        package var threadCount = 1

        package init() {}

        func check() throws(ModelError) {
            guard regularization >= 0, regularization.isFinite else {
                throw .outOfRange(
                    what: "regularization", actual: regularization, allowed: "0 or more")
            }
            guard (1...10_000).contains(maximumIterations) else {
                throw .outOfRange(
                    what: "maximumIterations", actual: Double(maximumIterations),
                    allowed: "1 ... 10000")
            }
            guard tolerance > 0, tolerance.isFinite else {
                throw .outOfRange(what: "tolerance", actual: tolerance, allowed: "above 0")
            }
            guard intervalDeviations > 0, intervalDeviations.isFinite else {
                throw .outOfRange(
                    what: "intervalDeviations", actual: intervalDeviations, allowed: "above 0")
            }
            guard (1...1024).contains(threadCount) else {
                throw .outOfRange(
                    what: "threadCount", actual: Double(threadCount), allowed: "1 ... 1024")
            }
        }
    }

    /// Terms of a model.
    package static let termLimit = 1000

    /// Fits the coefficients.
    ///
    /// Constant terms, and those that others add up to, are left out and named in the result.
    /// - Throws: `outOfRange`, `noRows`, `tooFewRows`, `countMismatch`; `badColumn` for an infinite
    ///   number or too many categories; `notIdentified` where all customers have one label, where
    ///   terms separate those who left from those who stayed, so that the likelihood has no maximum,
    ///   or where it was not found.
    package static func fit(
        _ table: PredictorTable, _ outcome: ChurnOutcome, _ parameters: Parameters = Parameters()
    ) throws(ModelError) -> FittedLogistic {
        try parameters.check()
        try outcome.requireFit(table, model: model)
        let all = try LogisticTerm.all(table, outcome)
        try requireTerms(all, table)
        var dropped: [FittedLogistic.Dropped] = []
        for term in all where term.deviation == 0 {
            dropped.append(.init(term: term.name, reason: .constant))
        }
        let varying = all.filter { $0.deviation > 0 }
        var correlations = LogisticRows(table, outcome, varying, parameters).correlations()
        let found = collinear(correlations, varying)
        dropped += found.map { index, others in
            .init(term: varying[index].name, reason: .collinear(with: others))
        }
        let places = Set(found.map(\.index))
        let kept = varying.indices.filter { !places.contains($0) }
        let terms = kept.map { varying[$0] }
        let rows = LogisticRows(table, outcome, terms, parameters)
        if !kept.isEmpty { correlations = correlations.restricted(to: kept) }
        let solution = try solve(rows, terms, correlations, parameters)
        return FittedLogistic(
            table.schema, terms, dropped, solution, rows, parameters,
            nullLogLikelihood: rows.nullLogLikelihood)
    }

    static let model = "logistic regression"

    private static func requireTerms(
        _ terms: [LogisticTerm], _ table: PredictorTable
    ) throws(ModelError) {
        guard terms.count > termLimit else { return }
        var counts = [Int](repeating: 0, count: table.columns.count)
        for term in terms { counts[term.column] += 1 }
        let largest = counts.indices.max { counts[$0] < counts[$1] } ?? 0
        throw .badColumn(
            name: table.columns[largest].name,
            reason: """
                it has \(counts[largest]) of \(terms.count) terms, a logistic regression takes at \
                most \(termLimit); put its rarest categories together, leave it out, or use trees
                """)
    }

    // MARK: - Collinear terms

    /// Terms that are, to rounding, sums of multiples of those before them, with the names of those.
    private static func collinear(
        _ correlations: SymmetricMatrix, _ terms: [LogisticTerm]
    ) -> [(index: Int, others: [String])] {
        let n = terms.count
        var kept: [Int] = []
        /// Rows of the Cholesky factor of the kept ones.
        var factor: [[Double]] = []
        var found: [(index: Int, others: [String])] = []
        for index in 0..<n {
            var row: [Double] = []
            var rest = correlations[index, index]
            for (place, other) in kept.enumerated() {
                var sum = correlations[index, other]
                for k in 0..<place { sum -= row[k] * factor[place][k] }
                let value = sum / factor[place][place]
                row.append(value)
                rest -= value * value
            }
            // Variance that the kept ones do not explain; single-precision inputs are exact here.
            if rest > 1e-9 {
                row.append(rest.squareRoot())
                kept.append(index)
                factor.append(row)
                continue
            }
            // Coefficients of the kept ones: back substitution with the factor's transpose.
            var coefficients = row
            for place in stride(from: kept.count - 1, through: 0, by: -1) {
                var sum = coefficients[place]
                for k in place + 1..<kept.count {
                    sum -= factor[k][place] * coefficients[k]
                }
                coefficients[place] = sum / factor[place][place]
            }
            let others = kept.enumerated().filter { abs(coefficients[$0.offset]) > 1e-6 }
            found.append((index, others.map { terms[$0.element].name }))
        }
        return found
    }

    // MARK: - Newton's method

    struct Solution {
        /// Intercept first, of standardized terms.
        var coefficients: [Double]
        var covariance: SymmetricMatrix
        var logLikelihood: Double
        var iterations: Int
        var isConverged: Bool
    }

    private static func solve(
        _ rows: LogisticRows, _ terms: [LogisticTerm], _ correlations: SymmetricMatrix,
        _ parameters: Parameters
    ) throws(ModelError) -> Solution {
        let n = terms.count + 1
        func penalty(_ b: [Double]) -> Double {
            parameters.regularization / 2 * b.dropFirst().reduce(0) { $0 + $1 * $1 }
        }
        var b = [Double](repeating: 0, count: n)
        b[0] = rows.baseLogOdds
        var state = rows.evaluate(b)
        var isConverged = false
        var iterations = 0
        var covariance = SymmetricMatrix(size: n)
        while iterations < parameters.maximumIterations {
            iterations += 1
            var gradient = state.gradient
            var hessian = state.hessian
            for k in 1..<n {
                gradient[k] -= parameters.regularization * b[k]
                hessian[k, k] += parameters.regularization
            }
            guard let inverse = hessian.inverseIfPositiveDefinite() else { break }
            covariance = inverse
            if isConverged { break }
            var step = (0..<n).map { i in (0..<n).reduce(0) { $0 + inverse[i, $1] * gradient[$1] } }
            var next = zip(b, step).map(+)
            var trial = rows.evaluate(next)
            let value = state.logLikelihood - penalty(b)
            var halvings = 0
            while !(trial.logLikelihood - penalty(next) >= value - 1e-9 * abs(value)), halvings < 30
            {
                step = step.map { $0 / 2 }
                next = zip(b, step).map(+)
                trial = rows.evaluate(next)
                halvings += 1
            }
            b = next
            state = trial
            if parameters.regularization == 0, state.leastMargin > 0 {
                let largest = terms.indices.max { abs(b[$0 + 1]) < abs(b[$1 + 1]) }
                throw separated(largest.map { terms[$0].name }, "together with the others")
            }
            // One more round for the covariance at the solution.
            isConverged = step.allSatisfy { abs($0) <= parameters.tolerance }
        }
        if parameters.regularization == 0 || !isConverged {
            try requireMaximum(rows, terms, correlations, covariance, isConverged, parameters)
        }
        return Solution(
            coefficients: b, covariance: covariance, logLikelihood: state.logLikelihood,
            iterations: iterations, isConverged: isConverged)
    }

    // MARK: - Where there is no maximum

    /// Tells a coefficient that runs away from one that is hard to tell from others.
    private static func requireMaximum(
        _ rows: LogisticRows, _ terms: [LogisticTerm], _ correlations: SymmetricMatrix,
        _ covariance: SymmetricMatrix, _ isConverged: Bool, _ parameters: Parameters
    ) throws(ModelError) {
        let inverse = correlations.inverseIfPositiveDefinite()
        let inflations = terms.indices.map { inverse?[$0, $0] ?? .infinity }
        let information = rows.nullInformation
        // A coefficient that runs away takes the curvature with it: its variance grows without end beside
        // what the term's correlations explain.
        let ratios = terms.indices.map { covariance[$0 + 1, $0 + 1] * information / inflations[$0] }
        let runaway = terms.indices.max { ratios[$0] < ratios[$1] }
        if let runaway, ratios[runaway] > 1e4 {
            throw separated(terms[runaway].name, "for a part of the rows")
        }
        guard !isConverged else { return }
        let inflated = terms.indices.max { inflations[$0] < inflations[$1] }
        if let inflated, inflations[inflated] > 1e6 {
            throw .notIdentified(
                model: model,
                reason: """
                    "\(terms[inflated].name)" is almost a sum of multiples of other terms, so its \
                    coefficient cannot be told; leave it out, or use a regularization above 0
                    """)
        }
        throw .notIdentified(
            model: model,
            reason: """
                Newton's method has not converged in \(parameters.maximumIterations) iterations; \
                allow more, or use a higher regularization
                """)
    }

    private static func separated(_ name: String?, _ extent: String) -> ModelError {
        .notIdentified(
            model: model,
            reason: """
                "\(name ?? "the intercept")" separates customers who left from those who stayed \
                \(extent), so its coefficient grows without end; leave it out (it may tell the \
                outcome itself), or use a regularization above 0
                """)
    }
}
