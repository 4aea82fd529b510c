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
        let n = Double(count)
        let one = exp(logProbability(count))
        if q < (n + 1) / (n + shape + 2) {
            return min(1, one * Self.fraction(n, shape, q))
        }
        return min(max(1 - one * (n / shape) * Self.fraction(shape, n, rest), 0), 1)
    }

    /// 1/(1 + d₁/(1 + d₂/(1 + …))) for I_x(a, b), x < (a + 1) / (a + b + 2), by Lentz's method.
    private static func fraction(_ a: Double, _ b: Double, _ x: Double) -> Double {
        let tiny = 1e-300
        func held(_ value: Double) -> Double { abs(value) < tiny ? tiny : value }
        var c = 1.0
        var d = 1 / held(1 - (a + b) * x / (a + 1))
        var h = d
        for step in 1..<1_000_000 {
            let m = Double(step)
            let even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
            d = 1 / held(1 + even * d)
            c = held(1 + even / c)
            h *= d * c
            let odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
            d = 1 / held(1 + odd * d)
            c = held(1 + odd / c)
            let factor = d * c
            h *= factor
            if abs(factor - 1) < 1e-15 { break }
        }
        return h
    }
}
