import Foundation
package import Numerical

/// One column's estimate in a Cox regression.
package struct CoxCoefficient: Codable, Equatable, Sendable {
    package let name: String
    package let factor: String
    /// Change of the log-hazard a unit of the column.
    package let coefficient: Double
    package let standardError: Double
    /// coefficient / standard error.
    package let z: Double
    /// Wald's, two-sided.
    package let pValue: Double
    /// e^coefficient with its interval at `FittedCox.confidenceLevel`: above 1 the event comes
    /// sooner where the column is larger. Cut at the largest double.
    package let hazardRatio: Double
    package let hazardRatioLower: Double
    package let hazardRatioUpper: Double
    package let mean: Double
    /// Weighted sample standard deviation of the column; above 0.
    package let standardDeviation: Double

    /// The hazard ratio of one standard deviation.
    package var hazardRatioPerDeviation: Double {
        finiteExponential(coefficient * standardDeviation)
    }

    init(
        name: String, factor: String, coefficient: Double, standardError: Double,
        criticalValue: Double, mean: Double, standardDeviation: Double
    ) {
        self.name = name
        self.factor = factor
        self.coefficient = coefficient
        self.standardError = standardError
        z = coefficient / standardError
        pValue = Significance.twoSidedNormal(z)
        hazardRatio = finiteExponential(coefficient)
        hazardRatioLower = finiteExponential(coefficient - criticalValue * standardError)
        hazardRatioUpper = finiteExponential(coefficient + criticalValue * standardError)
        self.mean = mean
        self.standardDeviation = standardDeviation
    }
}

/// e^x, at most the largest double, never 0.
func finiteExponential(_ x: Double) -> Double { exp(min(max(x, -708), 709)) }

/// The hazard of one stratum for a customer whose every column is at its mean.
package struct CoxBaseline: Codable, Equatable, Sendable {
    package let stratum: Int32
    /// Times with an event, ascending.
    package let times: [Double]
    /// Accumulated hazard up to and including each: Breslow's or Efron's estimate, as the ties.
    package let cumulativeHazards: [Double]

    /// The accumulated hazard at `time`; 0 before the first event.
    package func cumulativeHazard(at time: Double) -> Double {
        lastStep(of: times, at: time).map { cumulativeHazards[$0] } ?? 0
    }
}

/// A fitted Cox regression: an immutable value with all that is known about the fit.
package struct FittedCox: Codable, Equatable, Sendable {
    package let ties: CoxRegression.Ties
    package let ridge: Double
    package let confidenceLevel: Double
    /// In the order of the columns given, without those left out.
    package let coefficients: [CoxCoefficient]
    /// `[p × p]`, row-major, in units of the columns. With a ridge, the inverse of the penalised
    /// information.
    package let covariance: [Double]
    package let omittedColumns: [OmittedColumn]
    package let rowCount: Int
    package let eventRowCount: Int
    /// Weighted rows and events; the counts themselves without weights.
    package let totalWeight: Double
    package let totalEventWeight: Double
    /// Partial log-likelihood at the estimate and at coefficients of 0, without penalty.
    package let logLikelihood: Double
    package let nullLogLikelihood: Double
    /// All coefficients are 0, by three statistics. With a ridge they are indications only.
    package let likelihoodRatioTest: ChiSquareTest
    package let waldTest: ChiSquareTest
    package let scoreTest: ChiSquareTest
    /// trace(I (I + λ)⁻¹); the number of coefficients without a ridge.
    package let effectiveParameterCount: Double
    /// −2 logLikelihood + 2 effectiveParameterCount.
    package let aic: Double
    /// Chance that of two comparable rows the one with the event first has the larger predictor,
    /// ties counting half; nil where no two are comparable, or it was not asked for.
    package let concordance: Double?
    package let baselines: [CoxBaseline]
    package let outcome: DampedNewton.Outcome
    /// Passes over the rows.
    package let iterations: Int
    /// Largest |∂ mean log-likelihood an event / ∂ standardised coefficient|.
    package let gradientNorm: Double

    init(_ fit: CoxFit, _ optimum: CoxFit.Optimum) throws(ModelError) {
        let design = fit.design
        let free = fit.free
        let p = design.columnCount
        let z = try Significance.criticalValue(fit.parameters.confidenceLevel)
        ties = fit.parameters.ties
        ridge = fit.parameters.ridge
        confidenceLevel = fit.parameters.confidenceLevel
        omittedColumns = fit.omitted
        rowCount = design.rowCount
        eventRowCount = design.eventRowCount
        totalWeight = design.totalWeight
        totalEventWeight = design.totalEventWeight
        logLikelihood = optimum.evaluation.value
        nullLogLikelihood = fit.null.value

        func restricted(_ information: [Double], ridge: Double) -> SymmetricMatrix {
            var matrix = SymmetricMatrix(size: free.count)
            for i in free.indices {
                for j in 0...i { matrix[i, j] = information[free[i] * p + free[j]] }
                matrix[i, i] += ridge
            }
            return matrix
        }
        let information = restricted(optimum.evaluation.information, ridge: 0)
        let penalized = restricted(optimum.evaluation.information, ridge: ridge)
        let null = restricted(fit.null.information, ridge: ridge)
        guard let inverse = penalized.inverseIfPositiveDefinite(),
            let nullInverse = null.inverseIfPositiveDefinite()
        else {
            throw .notIdentified(
                model: CoxRegression.name,
                reason: "the information matrix is singular; leave out columns or use a ridge")
        }
        func form(_ matrix: SymmetricMatrix, _ vector: [Double]) -> Double {
            var sum = 0.0
            for i in vector.indices {
                for j in vector.indices { sum += vector[i] * matrix[i, j] * vector[j] }
            }
            return sum
        }
        let count = free.count
        likelihoodRatioTest = ChiSquareTest(
            statistic: 2 * (logLikelihood - nullLogLikelihood), degreesOfFreedom: count)
        waldTest = ChiSquareTest(
            statistic: form(penalized, free.map { optimum.coefficients[$0] }),
            degreesOfFreedom: count)
        scoreTest = ChiSquareTest(
            statistic: form(nullInverse, free.map { fit.null.gradient[$0] }),
            degreesOfFreedom: count)
        var effective = Double(count)
        if ridge > 0 {
            effective = 0
            for i in free.indices {
                for j in free.indices { effective += information[i, j] * inverse[j, i] }
            }
        }
        effectiveParameterCount = effective
        aic = 2 * effective - 2 * logLikelihood
        coefficients = free.enumerated().map { index, column in
            let deviation = design.deviations[column]
            return CoxCoefficient(
                name: design.columnNames[column], factor: fit.factors[column],
                coefficient: optimum.coefficients[column] / deviation,
                standardError: inverse[index, index].squareRoot() / deviation,
                criticalValue: z, mean: design.means[column], standardDeviation: deviation)
        }
        var covariance: [Double] = []
        for i in free.indices {
            for j in free.indices {
                covariance.append(
                    inverse[i, j] / design.deviations[free[i]] / design.deviations[free[j]])
            }
        }
        self.covariance = covariance
        baselines = Self.baselines(design, optimum.evaluation.hazards)
        concordance =
            fit.parameters.computesConcordance
            ? CoxConcordance(design, optimum.coefficients).share() : nil
        outcome = optimum.result.outcome
        iterations = optimum.result.iterations
        gradientNorm = optimum.result.gradientNorm
    }

    private static func baselines(_ design: CoxDesign, _ hazards: [Double]) -> [CoxBaseline] {
        var result: [CoxBaseline] = []
        var group = 0
        for (stratum, code) in design.stratumCodes.enumerated() {
            var times: [Double] = []
            var sums: [Double] = []
            while group < design.groupCount, design.stratumOfGroup[group] == stratum {
                if design.eventCounts[group] > 0 {
                    times.append(design.groupTimes[group])
                    sums.append(hazards[group])
                }
                group += 1
            }
            result.append(
                CoxBaseline(stratum: code, times: times, cumulativeHazards: sums))
        }
        return result
    }

    package var columnNames: [String] { coefficients.map(\.name) }

    /// How many times the baseline hazard a customer has: e^((x − mean) β). Finite, above 0.
    /// - Parameter values: one a coefficient, in their order.
    /// - Throws: `countMismatch`; `nonFiniteValue`.
    package func relativeHazard(_ values: [Double]) throws(ModelError) -> Double {
        try requireCount(values.count, coefficients.count, "covariates of a customer")
        var predictor = 0.0
        for (index, item) in coefficients.enumerated() {
            guard values[index].isFinite else {
                throw .nonFiniteValue(
                    what: "covariate \"\(item.name)\"", row: 0, column: index)
            }
            predictor += (values[index] - item.mean) * item.coefficient
        }
        return finiteExponential(predictor)
    }

    /// `relativeHazard` of many rows, columns found by name.
    /// - Throws: `notIdentified` naming a column that is missing; `countMismatch`;
    ///   `nonFiniteValue`.
    package func relativeHazards(
        _ columns: [CovariateColumn]
    ) throws(ModelError) -> [Double] {
        var predictors: [Double] = []
        for (index, item) in coefficients.enumerated() {
            guard let column = columns.first(where: { $0.name == item.name }) else {
                throw .notIdentified(
                    model: "\(CoxRegression.name) score",
                    reason: "column \"\(item.name)\", which it was fitted on, is missing")
            }
            if index == 0 {
                predictors = [Double](repeating: 0, count: column.values.count)
            }
            try requireCount(
                column.values.count, predictors.count, "covariate \"\(item.name)\"")
            for row in predictors.indices {
                guard column.values[row].isFinite else {
                    throw .nonFiniteValue(
                        what: "covariate \"\(item.name)\"", row: row, column: index)
                }
                predictors[row] += (column.values[row] - item.mean) * item.coefficient
            }
        }
        return predictors.map(finiteExponential)
    }

    /// The baseline of a stratum.
    /// - Throws: `outOfRange` for a stratum that the fit did not see.
    package func baseline(stratum: Int32 = 0) throws(ModelError) -> CoxBaseline {
        guard let baseline = baselines.first(where: { $0.stratum == stratum }) else {
            throw .outOfRange(
                what: "stratum", actual: Double(stratum),
                allowed: "one of \(baselines.map { String($0.stratum) }.joined(separator: ", "))")
        }
        return baseline
    }

    /// The probability of no event up to and including `time`, given none up to `survivedTo`.
    /// In 0...1; beyond the last event as there.
    /// - Parameter relativeHazard: from `relativeHazard(_:)`.
    /// - Throws: as `baseline`; `outOfRange` where `survivedTo` is after `time`.
    package func survival(
        at time: Double, relativeHazard: Double, survivedTo start: Double? = nil,
        stratum: Int32 = 0
    ) throws(ModelError) -> Double {
        let baseline = try baseline(stratum: stratum)
        var hazard = baseline.cumulativeHazard(at: time)
        if let start {
            guard start <= time else {
                throw .outOfRange(
                    what: "time survived to", actual: start, allowed: "at most \(time)")
            }
            hazard -= baseline.cumulativeHazard(at: start)
        }
        return exp(-hazard * relativeHazard)
    }
}
