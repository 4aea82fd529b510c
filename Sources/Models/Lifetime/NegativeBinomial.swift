import Foundation
import Numerical

/// Probabilities of the negative binomial distribution, which is how many purchases a customer makes
/// in a time t who never leaves and buys at a rate that is Gamma(shape, α) distributed.
struct NegativeBinomial {
    private let shape: Double
    private let logZero: Double
    private let logQ: Double
    /// q = t / (α + t) and 1 − q.
    private let q: Double
    private let rest: Double

    /// - Parameters:
    ///   - shape: above 0.
    ///   - timeOverAlpha: t / α, above 0.
    init(shape: Double, timeOverAlpha: Double) {
        self.shape = shape
        logZero = -shape * log1p(timeOverAlpha)
        logQ = -log1p(1 / timeOverAlpha)
        q = 1 / (1 + 1 / timeOverAlpha)
        rest = 1 / (1 + timeOverAlpha)
    }

    func logProbability(_ count: Int) -> Double {
        count == 0
            ? logZero
            : Self.logCoefficient(shape: shape, count) + logZero + Double(count) * logQ
    }

    /// ln Γ(shape + count) / (Γ(shape) count!).
    static func logCoefficient(shape: Double, _ count: Int) -> Double {
        lnGammaDifference(shape, count) - lnGamma(Double(count) + 1)
    }

    /// The probability of at least `count`: the regularised incomplete beta function
    /// I_q(count, shape). Its factor before the continued fraction is the probability of `count`,
    /// which is taken from its logarithm, so that nothing underflows on the way.
    ///
    /// Error that of the logarithm, about 1e-15 · (shape + count) ln(shape + count), relative for
    /// counts above the mean and absolute below. O(√(shape + count)).
    /// Source: NIST DLMF 8.17.5, 8.17.22.
    func tail(from count: Int) -> Double {
        guard count > 0 else { return 1 }
        // x^a (1 − x)^b / B(a, b) is count times the probability of count.
        let front = Double(count) * exp(logProbability(count))
        return incompleteBeta(q, complement: rest, Double(count), shape, front: front)
    }
}
