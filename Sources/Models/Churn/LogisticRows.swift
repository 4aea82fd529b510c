import Foundation
import Numerical

/// The rows of a fit as standardized terms, made anew in every pass, chunk by chunk.
struct LogisticRows: Sendable {
    private let columns: [PredictorTable.Values]
    private let outcome: ChurnOutcome
    private let terms: [LogisticTerm]
    private let threadCount: Int
    let rowCount: Int
    let baseLogOdds: Double
    let nullLogLikelihood: Double

    /// What Newton's method needs at one point.
    struct State: Sendable {
        var logLikelihood = 0.0
        var gradient: [Double]
        /// Σ w p (1 - p) x xᵀ: minus the second derivatives.
        var hessian: SymmetricMatrix
        /// Least score of a row in the direction of its label; above 0, all rows are separated.
        var leastMargin = Double.infinity
    }

    /// The same of some rows; of the Hessian `[width × width]` the lower triangle.
    private struct Sums: Sendable {
        var logLikelihood = 0.0
        var leastMargin = Double.infinity
        var gradient: [Double]
        var hessian: [Double]

        init(width: Int) {
            gradient = [Double](repeating: 0, count: width)
            hessian = [Double](repeating: 0, count: width * width)
        }

        mutating func add(_ other: Sums) {
            logLikelihood += other.logLikelihood
            leastMargin = min(leastMargin, other.leastMargin)
            for i in gradient.indices { gradient[i] += other.gradient[i] }
            for i in hessian.indices { hessian[i] += other.hessian[i] }
        }
    }

    init(
        _ table: PredictorTable, _ outcome: ChurnOutcome, _ terms: [LogisticTerm],
        _ parameters: LogisticRegression.Parameters
    ) {
        columns = table.columns.map(\.values)
        self.outcome = outcome
        self.terms = terms
        threadCount = parameters.threadCount
        var (left, stayed, used) = (0.0, 0.0, 0)
        for row in outcome.labels.indices where outcome.weight(row) > 0 {
            used += 1
            if outcome.labels[row] {
                left += outcome.weight(row)
            } else {
                stayed += outcome.weight(row)
            }
        }
        rowCount = used
        baseLogOdds = log(left / stayed)
        nullLogLikelihood =
            left * log(left / (left + stayed)) + stayed * log(stayed / (left + stayed))
    }

    /// `[rows × (terms + 1)]`, the intercept's 1 first.
    private func design(_ rows: Range<Int>) -> [Double] {
        let width = terms.count + 1
        var values = [Double](repeating: 1, count: rows.count * width)
        for (index, term) in terms.enumerated() {
            let column = columns[term.column]
            var place = index + 1
            for row in rows {
                values[place] = term.standardized(row, column)
                place += width
            }
        }
        return values
    }

    /// Σ w p (1 - p) where p is the share of those who left: what a standardized term tells of its
    /// coefficient, before any is known.
    var nullInformation: Double {
        let p = logisticFunction(baseLogOdds)
        return outcome.labels.indices.reduce(0) { $0 + outcome.weight($1) } * p * (1 - p)
    }

    func evaluate(_ b: [Double]) -> State {
        let (width, chunkRows) = (terms.count + 1, 1024)
        let sums = parallelReduce(
            into: Sums(width: width), count: (outcome.rowCount + chunkRows - 1) / chunkRows,
            threadCount: threadCount
        ) { chunk in
            let first = chunk * chunkRows
            return self.sums(b, first..<min(outcome.rowCount, first + chunkRows))
        } merge: {
            $0.add($1)
        }
        var state = State(
            logLikelihood: sums.logLikelihood, gradient: sums.gradient,
            hessian: SymmetricMatrix(size: width), leastMargin: sums.leastMargin)
        for i in 0..<width {
            for j in 0...i { state.hessian[i, j] = sums.hessian[i * width + j] }
        }
        return state
    }

    private func sums(_ b: [Double], _ rows: Range<Int>) -> Sums {
        let width = terms.count + 1
        let design = design(rows)
        var sums = Sums(width: width)
        // Spans of arrays of their own: four times as fast as the fields in place.
        var (gradientSums, hessianSums) = (sums.gradient, sums.hessian)
        do {
            let (x, b) = (design.span, b.span)
            var gradient = gradientSums.mutableSpan
            var hessian = hessianSums.mutableSpan
            for row in rows {
                let weight = outcome.weight(row)
                if weight == 0 { continue }
                let first = (row - rows.lowerBound) * width
                var score = 0.0
                for k in 0..<width { score += b[k] * x[first + k] }
                let p = logisticFunction(score)
                let isPositive = outcome.labels[row]
                let margin = isPositive ? score : -score
                sums.leastMargin = min(sums.leastMargin, margin)
                sums.logLikelihood -= weight * (max(0, -margin) + log1p(exp(-abs(margin))))
                let residual = weight * ((isPositive ? 1 : 0) - p)
                let curvature = weight * p * (1 - p)
                for i in 0..<width {
                    let xi = x[first + i]
                    gradient[i] += residual * xi
                    let scaled = curvature * xi
                    let place = i * width
                    for j in 0...i { hessian[place + j] += scaled * x[first + j] }
                }
            }
        }
        (sums.gradient, sums.hessian) = (gradientSums, hessianSums)
        return sums
    }

    /// Weighted, of the terms.
    func correlations() -> SymmetricMatrix {
        // At b = 0 every p (1 - p) is a quarter.
        let width = terms.count + 1
        let state = evaluate([Double](repeating: 0, count: width))
        var result = SymmetricMatrix(size: max(1, terms.count))
        let total = state.hessian[0, 0]
        func centred(_ i: Int, _ j: Int) -> Double {
            state.hessian[i, j] / total
                - state.hessian[i, 0] / total * (state.hessian[j, 0] / total)
        }
        for i in 0..<terms.count {
            for j in 0...i {
                let scale = (centred(i + 1, i + 1) * centred(j + 1, j + 1)).squareRoot()
                result[i, j] = scale > 0 ? centred(i + 1, j + 1) / scale : 0
            }
        }
        return result
    }
}
