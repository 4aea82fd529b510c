import Foundation

/// A fitted logistic regression.
package struct FittedLogistic: Codable, Equatable, Sendable {
    package struct Coefficient: Codable, Equatable, Sendable {
        package let term: LogisticTerm
        /// Log-odds of leaving for one unit more of the term.
        package let value: Double
        /// With a penalty, of the posterior: see `LogisticRegression`.
        package let standardError: Double
        /// value / standardError.
        package let z: Double
        /// Chance of a |z| this large where the term has no effect; with a penalty, at most that.
        package let pValue: Double
        package let interval: ClosedRange<Double>
        /// e^value: by how much one unit more multiplies the odds of leaving.
        package var oddsRatio: Double { exp(value) }
    }

    package enum DropReason: Codable, Equatable, Sendable {
        /// It has one value in all rows.
        case constant
        /// These terms add up to it.
        case collinear(with: [String])
    }

    package struct Dropped: Codable, Equatable, Sendable {
        package let term: String
        package let reason: DropReason
    }

    package let schema: [PredictorColumn]
    /// Log-odds where all terms are 0, and its standard error.
    package let intercept: Double
    package let interceptStandardError: Double
    package let coefficients: [Coefficient]
    /// Terms that were left out, and why.
    package let dropped: [Dropped]
    package let logLikelihood: Double
    /// Of the intercept alone.
    package let nullLogLikelihood: Double
    /// Intercept and terms, each counted by how little the penalty holds it.
    package let effectiveParameterCount: Double
    /// 2 · parameters - 2 · log-likelihood.
    package let akaikeCriterion: Double
    /// ln(rows) · parameters - 2 · log-likelihood.
    package let bayesianCriterion: Double
    package let rowCount: Int
    package let iterations: Int
    package let isConverged: Bool
    /// The score of a row whose terms are all at their means.
    package let meanScore: Double
    /// With a thread count of 1, whatever the fit used.
    package let parameters: LogisticRegression.Parameters

    init(
        _ schema: [PredictorColumn], _ terms: [LogisticTerm], _ dropped: [Dropped],
        _ solution: LogisticRegression.Solution, _ rows: LogisticRows,
        _ parameters: LogisticRegression.Parameters, nullLogLikelihood: Double
    ) {
        self.schema = schema
        self.dropped = dropped
        var kept = parameters
        kept.threadCount = 1
        self.parameters = kept
        let b = solution.coefficients
        meanScore = b[0]
        coefficients = terms.enumerated().map { index, term in
            let variance = max(0, solution.covariance[index + 1, index + 1])
            let value = b[index + 1] / term.deviation
            let error = variance.squareRoot() / term.deviation
            let z = error > 0 ? value / error : 0
            let reach = parameters.intervalDeviations * error
            return Coefficient(
                term: term, value: value, standardError: error, z: z,
                pValue: erfc(abs(z) / 2.0.squareRoot()), interval: value - reach...value + reach)
        }
        // b0 of standardized terms is at their means; at 0 it is less Σ b mean / deviation.
        let shifts = [1.0] + terms.map { -$0.mean / $0.deviation }
        intercept = zip(b, shifts).reduce(0) { $0 + $1.0 * $1.1 }
        var variance = 0.0
        for i in shifts.indices {
            for j in shifts.indices {
                variance += shifts[i] * shifts[j] * solution.covariance[i, j]
            }
        }
        interceptStandardError = max(0, variance).squareRoot()
        logLikelihood = solution.logLikelihood
        self.nullLogLikelihood = nullLogLikelihood
        // The trace of H (H + λ)⁻¹.
        let held = b.indices.dropFirst().reduce(0) { $0 + solution.covariance[$1, $1] }
        let count = Double(b.count) - parameters.regularization * held
        effectiveParameterCount = count
        akaikeCriterion = 2 * count - 2 * logLikelihood
        bayesianCriterion = log(Double(rows.rowCount)) * count - 2 * logLikelihood
        rowCount = rows.rowCount
        iterations = solution.iterations
        isConverged = solution.isConverged
    }

    /// Log-odds of leaving of each row.
    /// - Throws: `badColumn` where the table has not the model's columns, or an infinite number.
    package func scores(_ table: PredictorTable) throws(ModelError) -> [Double] {
        let columns = try finiteColumns(table)
        var scores = [Double](repeating: meanScore, count: table.rowCount)
        for coefficient in coefficients {
            let (term, values) = (coefficient.term, columns[coefficient.term.column])
            for row in scores.indices {
                scores[row] += coefficient.value * (term.value(row, values) - term.mean)
            }
        }
        return scores
    }

    /// Probabilities of leaving.
    package func predictions(_ table: PredictorTable) throws(ModelError) -> [Double] {
        try scores(table).map(prediction)
    }

    /// The probability that a score says.
    package func prediction(_ score: Double) -> Double { logisticFunction(score) }

    /// coefficient · (term - its mean), summed over the terms of each column.
    package func contributions(_ table: PredictorTable) throws(ModelError) -> Contributions {
        let columns = try finiteColumns(table)
        let width = schema.count
        var values = [Double](repeating: 0, count: table.rowCount * width)
        for coefficient in coefficients {
            let term = coefficient.term
            for row in 0..<table.rowCount {
                values[row * width + term.column] +=
                    coefficient.value * (term.value(row, columns[term.column]) - term.mean)
            }
        }
        return Contributions(columns: schema.map(\.name), base: meanScore, values: values)
    }

    private func finiteColumns(_ table: PredictorTable) throws(ModelError) -> [PredictorTable
        .Values]
    {
        let columns = try table.matched(to: schema).columns
        for column in columns {
            guard case .numbers(let values) = column.values,
                let row = values.firstIndex(where: { $0.isInfinite })
            else { continue }
            throw .badColumn(
                name: column.name, reason: "row \(row) is infinite; give a finite number or none")
        }
        return columns.map(\.values)
    }
}
