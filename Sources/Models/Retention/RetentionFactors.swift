import Foundation
import Numerical

/// What drives retention: the factors of a Cox regression, strongest evidence first.
package struct RetentionFactors: Codable, Equatable, Sendable {
    /// A column, or the columns of one category together.
    package struct Factor: Codable, Equatable, Sendable {
        package let name: String
        /// Its estimates in the full regression; hazard ratios above 1 mean earlier loss.
        package let columns: [CoxCoefficient]
        /// e^(coefficient · standard deviation) of each column with its interval: comparable
        /// between columns of different units.
        package let hazardRatiosPerDeviation: [SurvivalEstimate]
        /// Twice what the log-likelihood loses when the factor is left out and the others are
        /// fitted again, with its p-value.
        package let likelihoodRatioDrop: ChiSquareTest
        /// The p-value adjusted for the number of factors; see `Significance.holm`.
        package let adjustedPValue: Double
    }

    package let regression: FittedCox
    /// Ascending by p-value, then by falling drop, then by name.
    package let factors: [Factor]

    /// Fits the regression, and again without each factor.
    ///
    /// About three passes over the rows a factor on top of the fit. With a ridge the drop is that
    /// of the penalised fits' likelihoods, an indication only.
    /// - Throws: as `CoxRegression.fit`.
    package static func rank(
        _ times: SurvivalTimes, _ columns: [CovariateColumn], strata: [Int32]? = nil,
        _ parameters: CoxRegression.Parameters = CoxRegression.Parameters()
    ) throws(ModelError) -> RetentionFactors {
        let fit = try CoxFit(times, columns, strata: strata, parameters)
        let full = try fit.maximize()
        let regression = try FittedCox(fit, full)
        let z = try Significance.criticalValue(parameters.confidenceLevel)
        var names: [String] = []
        for column in fit.free where !names.contains(fit.factors[column]) {
            names.append(fit.factors[column])
        }
        let drops = names.map { name in
            let others = fit.free.filter { fit.factors[$0] != name }
            return ChiSquareTest(
                statistic: 2 * (full.evaluation.value - fit.value(over: others, near: full)),
                degreesOfFreedom: fit.free.count - others.count)
        }
        let adjusted = Significance.holm(drops.map(\.pValue))
        let factors = names.indices.map { index in
            let own = regression.coefficients.filter { $0.factor == names[index] }
            return Factor(
                name: names[index], columns: own,
                hazardRatiosPerDeviation: own.map { column in
                    let center = column.coefficient * column.standardDeviation
                    let error = column.standardError * column.standardDeviation
                    let ratio = finiteExponential(center)
                    return SurvivalEstimate(
                        value: ratio,
                        // By the delta method.
                        standardError: min(ratio * error, .greatestFiniteMagnitude),
                        lower: finiteExponential(center - z * error),
                        upper: finiteExponential(center + z * error))
                },
                likelihoodRatioDrop: drops[index], adjustedPValue: adjusted[index])
        }
        return RetentionFactors(
            regression: regression,
            factors: factors.sorted { a, b in
                let (p, q) = (a.likelihoodRatioDrop, b.likelihoodRatioDrop)
                if p.pValue != q.pValue { return p.pValue < q.pValue }
                if p.statistic != q.statistic { return p.statistic > q.statistic }
                return a.name < b.name
            })
    }
}

extension CoxFit {
    /// The log-likelihood fitted over some of the free columns, starting where the full optimum's
    /// quadratic expects it.
    fileprivate func value(over others: [Int], near full: Optimum) -> Double {
        guard !others.isEmpty else { return null.value }
        let p = design.columnCount
        let left = free.filter { !others.contains($0) }
        var matrix = SymmetricMatrix(size: others.count)
        for i in others.indices {
            for j in 0...i {
                matrix[i, j] = full.evaluation.information[others[i] * p + others[j]]
            }
            matrix[i, i] += parameters.ridge
        }
        var start = others.map { full.coefficients[$0] }
        if let inverse = matrix.inverseIfPositiveDefinite() {
            // Taking β_left to 0 moves the others by I₁₁⁻¹ I₁₂ β_left.
            let pull = others.map { row in
                left.reduce(0.0) {
                    $0 + full.evaluation.information[row * p + $1] * full.coefficients[$1]
                }
            }
            for i in others.indices {
                for j in others.indices { start[i] += inverse[i, j] * pull[j] }
                start[i] = min(max(start[i], -49), 49)
            }
        }
        let optimum = maximize(over: others, from: start)
        guard optimum.result.outcome == .notFinite else { return optimum.evaluation.value }
        // Far off, where the quadratic tells nothing.
        return maximize(over: others, from: others.map { _ in 0 }).evaluation.value
    }
}
