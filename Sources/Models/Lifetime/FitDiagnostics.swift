import Foundation
package import Numerical

/// What a maximum-likelihood fit says about itself.
package struct FitDiagnostics: Codable, Equatable, Sendable {
    /// How it ended; nil for parameters that were given, not fitted.
    package let outcome: DampedNewton.Outcome?
    /// At the estimate, in the model's own unit of time and money; nil where given.
    package let logLikelihood: Double?
    /// Largest |∂ mean log-likelihood a customer / ∂ ln parameter| at the estimate.
    package let gradientNorm: Double
    /// True where the Hessian of the negative log-likelihood is positive definite: a strict
    /// optimum in all parameters.
    package let hessianIsPositiveDefinite: Bool
    /// Asymptotic standard errors in the order of the parameters, from the inverse Hessian; nil
    /// where it is not positive definite.
    package let standardErrors: [Double]?
    /// Covariances of the logarithms of the parameters, of coefficients themselves, the lower
    /// triangle by rows; nil where the standard errors are.
    package let logCovariance: [Double]?
    /// Evaluations of the likelihood by the start that won.
    package let iterations: Int
    /// Which of the starts won, from 0.
    package let startIndex: Int
    package let startCount: Int

    /// Those of parameters that were not fitted.
    package static let given = FitDiagnostics()

    private init() {
        outcome = nil
        logLikelihood = nil
        gradientNorm = 0
        hessianIsPositiveDefinite = false
        standardErrors = nil
        logCovariance = nil
        iterations = 0
        startIndex = 0
        startCount = 0
    }

    /// - Parameters:
    ///   - result: of minimising the negative mean log-likelihood in log-parameters, followed by
    ///     coefficients that enter as they are.
    ///   - estimates: the parameters on their natural scale, as many as in `result` without the
    ///     coefficients.
    ///   - coefficientScales: what one unit of each coefficient in `result` is on its natural scale.
    ///   - customers: what the mean was taken over.
    init(
        _ result: DampedNewton.Result, logLikelihood: Double, estimates: [Double],
        coefficientScales: [Double] = [], customers: Double, startIndex: Int, startCount: Int
    ) {
        outcome = result.outcome
        self.logLikelihood = logLikelihood
        gradientNorm = result.gradientNorm
        let inverse = result.evaluation.hessian.inverseIfPositiveDefinite()
        hessianIsPositiveDefinite = inverse != nil
        // At a stationary point the Hessian in θ is that in ln θ divided by θ θ'.
        let units = estimates.map { _ in 1.0 } + coefficientScales
        let slopes = estimates + coefficientScales
        var covariance: [Double] = []
        var errors: [Double] = []
        if let inverse {
            for i in units.indices {
                for j in 0...i {
                    covariance.append(inverse[i, j] * units[i] * units[j] / customers)
                }
                errors.append(slopes[i] * (inverse[i, i] / customers).squareRoot())
            }
        }
        let isUsable = inverse != nil && (covariance + errors).allSatisfy(\.isFinite)
        standardErrors = isUsable ? errors : nil
        logCovariance = isUsable ? covariance : nil
        iterations = result.iterations
        self.startIndex = startIndex
        self.startCount = startCount
    }

    /// True where the estimate is a strict optimum inside its range, or was given.
    package var isSound: Bool {
        outcome == nil || (outcome == .converged && hessianIsPositiveDefinite)
    }

    /// An interval of a parameter that is symmetric in its logarithm, so that it stays above 0:
    /// θ e^(±z s/θ) with the standard error s.
    /// - Parameter z: 1.96 for 95 %.
    package func interval(
        of estimate: Double, at index: Int, z: Double = 1.959963984540054
    ) -> ClosedRange<Double>? {
        guard let error = standardErrors?[index] else { return nil }
        let factor = exp(z * error / estimate)
        return estimate / factor...min(estimate * factor, .greatestFiniteMagnitude)
    }
}
