import Foundation
import Numerical
package import Units

/// The Pareto/NBD model of repeat buying: while alive a customer buys at a Poisson rate
/// λ ~ Gamma(r, α), and leaves unseen after an exponential time of rate μ ~ Gamma(s, β).
/// Source: Schmittlein, Morrison & Colombo, "Counting Your Customers", Management Science 1987;
/// Fader & Hardie, "A Note on Deriving the Pareto/NBD Model", 2005.
package enum ParetoNBD {
    package static let name = "Pareto/NBD"

    /// r, α, s, β; times in mean intervals between purchases.
    private static let starts: [[Double]] = [
        [1, 1, 1, 1], [0.5, 0.25, 0.5, 0.5], [2, 2, 0.5, 4],
    ]

    /// Maximum likelihood; see `PurchaseModelFit`.
    ///
    /// O(unique rows) an iteration, 16 or 32 nodes of a quadrature each. Deterministic for any thread
    /// count. Priors may name `r`, `alpha`, `s` and `beta`.
    /// - Throws: as `BGNBD.fit`.
    package static func fit(
        _ history: CollapsedHistory, _ parameters: PurchaseFitParameters = PurchaseFitParameters()
    ) throws(ModelError) -> FittedParetoNBD {
        let fit = try PurchaseModelFit(
            name, history, parameters, names: ["r", "alpha", "s", "beta"],
            timed: [false, true, false, true], starts: starts
        ) { ParetoNBDLikelihood(history: $0, threadCount: $1) }
        return FittedParetoNBD(fit, grid: parameters.grid)
    }
}

/// A fitted Pareto/NBD model.
package struct FittedParetoNBD: Codable, Equatable, Sendable, PurchaseModel {
    package let grid: TimeGrid
    /// Shape of the purchase rate's gamma distribution; above 0.
    package let r: Double
    /// Its rate, in units of `grid`; above 0.
    package let alpha: Double
    /// Shape of the drop-out rate's gamma distribution; above 0.
    package let s: Double
    /// Its rate, in units of `grid`; above 0.
    package let beta: Double
    package let diagnostics: FitDiagnostics

    /// A model from known parameters, for instance published ones; the diagnostics say so.
    /// - Precondition: all four above 0 and finite.
    package init(r: Double, alpha: Double, s: Double, beta: Double, grid: TimeGrid) {
        precondition([r, alpha, s, beta].allSatisfy { $0 > 0 && $0.isFinite })
        self.r = r
        self.alpha = alpha
        self.s = s
        self.beta = beta
        self.grid = grid
        diagnostics = .given
    }

    fileprivate init(_ fit: PurchaseModelFit, grid: TimeGrid) {
        self.grid = grid
        r = fit.estimates[0]
        alpha = fit.estimates[1]
        s = fit.estimates[2]
        beta = fit.estimates[3]
        diagnostics = fit.diagnostics
    }

    package var name: String { ParetoNBD.name }
    package var parameters: [(name: String, value: Double)] {
        [("r", r), ("alpha", alpha), ("s", s), ("beta", beta)]
    }

    /// ln Q of `ParetoNBDLikelihood`; −∞ where nobody can have left since the last purchase.
    private func logOddsOfHavingLeft(x: Double, tx: Double, age: Double) -> Double {
        guard age > tx else { return -.infinity }
        let (a, b, t) = (alpha + tx, beta + tx, age - tx)
        let integral = RatioQuadrature(a: a, b: b, p: r + x, q: s + 1, t: t).value
        return log(s / b * integral) + (r + x) * log1p(t / a) + s * log1p(t / b)
    }

    package func logLikelihood(x: Int, tx: Double, age: Double) -> Double {
        precondition(x >= 0 && tx >= 0 && tx <= age)
        let logQ = logOddsOfHavingLeft(x: Double(x), tx: tx, age: age)
        return lnGammaDifference(r, x) - r * log1p(age / alpha) - Double(x) * log(alpha + age) - s
            * log1p(age / beta)
            + max(logQ, 0) + log1p(exp(-abs(logQ)))
    }

    package func probabilityAlive(x: Int, tx: Double, age: Double) -> Double {
        precondition(x >= 0 && tx >= 0 && tx <= age)
        return 1 / (1 + exp(logOddsOfHavingLeft(x: Double(x), tx: tx, age: age)))
    }

    package func aliveScorer(maximumAgeDays: Int) -> any AliveScorer {
        Scorer(
            model: self,
            withoutRepeat: (0...min(maximumAgeDays, Self.tabulatedAges)).map {
                probabilityAlive(x: 0, tx: 0, age: Double($0) / grid.days)
            })
    }

    /// Eleven years, which takes some milliseconds: a few older customers cost less one by one.
    private static let tabulatedAges = 4_096

    private struct Scorer: AliveScorer {
        let model: FittedParetoNBD
        /// Of customers without a repeat purchase, by their age in days up to `tabulatedAges`.
        let withoutRepeat: [Double]

        func fill(
            _ result: inout MutableSpan<Double>, rows: Range<Int>, x: Span<Int32>,
            tx: Span<Int32>, age: Span<Int32>, status: Span<UInt8>
        ) {
            let days = model.grid.days
            for (offset, row) in rows.enumerated() {
                if status[row] != 0 {
                    result[offset] = 0
                } else if x[row] == 0, Int(age[row]) < withoutRepeat.count {
                    result[offset] = withoutRepeat[Int(age[row])]
                } else {
                    result[offset] = model.probabilityAlive(
                        x: Int(x[row]), tx: Double(tx[row]) / days, age: Double(age[row]) / days)
                }
            }
        }
    }

    package func living(x: Int, age: Double) -> FittedParetoNBD {
        FittedParetoNBD(r: r + Double(x), alpha: alpha + age, s: s, beta: beta + age, grid: grid)
    }

    /// r/α ∫₀ᵗ (β/(β+u))^s du in a form that is finite at s = 1. Source: Fader & Hardie 2005, eq. 28.
    package func purchasesOfNew(horizon: Double) -> Double {
        let length = log1p(horizon / beta)
        let z = (1 - s) * length
        return r / alpha * beta * length * (abs(z) < 1e-300 ? 1 : expm1(z) / z)
    }

    /// 2 r(r+1)/α² ∫₀ᵗ u (β/(β+u))^s du: the rate's second moment times that of the time alive. In
    /// v = ln(1 + u/β) the integral is the difference of two of e^(cv), c = 2 − s and 1 − s; where
    /// they nearly agree, of their series. Relative error about 1e-11.
    package func purchasePairsOfNew(horizon: Double) -> Double {
        let length = log1p(horizon / beta)
        var integral = 0.0
        if length * (s + 2) < 1e-3 {
            var term = length
            var (one, other) = (1.0, 1.0)
            for n in 1...5 {
                (one, other) = (one * (2 - s), other * (1 - s))
                term *= length / Double(n + 1)
                integral += term * (one - other)
            }
        } else {
            func of(_ c: Double) -> Double {
                abs(c * length) < 1e-300 ? length : expm1(c * length) / c
            }
            integral = max(0, of(2 - s) - of(1 - s))
        }
        let scale = beta / alpha
        return 2 * r * (r + 1) * scale * scale * integral
    }

    /// r/α ∫₀ᵗ e^(−δu) (β/(β+u))^s du, by 64 nodes of Gauss–Legendre in v = ln(1 + u/β) up to where
    /// the integrand has fallen below e^(−40).
    package func discountedPurchasesOfNew(horizon: Double, discount: Double) -> Double {
        let whole = purchasesOfNew(horizon: horizon)
        guard discount > 0, horizon > 0 else { return whole }
        func exponent(_ v: Double) -> Double { (1 - s) * v - discount * beta * expm1(v) }
        var length = log1p(horizon / beta)
        if exponent(length) < -40 {
            var low = 0.0
            for _ in 0..<30 {
                let middle = (low + length) / 2
                if exponent(middle) < -40 { length = middle } else { low = middle }
            }
        }
        var sum = 0.0
        for (node, weight) in zip(Self.longRule.nodes, Self.longRule.weights) {
            sum += weight * exp(exponent(node * length))
        }
        return min(whole, r / alpha * beta * length * sum)
    }

    private static let longRule = QuadratureRule.gaussLegendre(count: 64)

    /// r/α ∫₀ᵗ (α/(α+u))^(r+1) (β/(β+u))^s du: the first purchase comes at u, and the customer is
    /// still alive then.
    package func purchaseProbabilityOfNew(horizon: Double) -> Double {
        precondition(horizon >= 0)
        let integral = RatioQuadrature(a: alpha, b: beta, p: r + 1, q: s, t: horizon).value
        return min(1, r / alpha * integral)
    }

    package func survivalOfNew(time: Double) -> Double { exp(-s * log1p(time / beta)) }

    /// Alive to the end with `count` purchases, or left at u with as many before.
    /// Source: Fader & Hardie 2005, eq. 24, as an integral.
    package func probabilityOfNew(count: Int, horizon: Double) -> Double {
        precondition(count >= 0 && horizon >= 0)
        guard horizon > 0 else { return count == 0 ? 1 : 0 }
        let lost = -s * log1p(horizon / beta)
        let purchases = NegativeBinomial(shape: r, timeOverAlpha: horizon / alpha)
        let alive = exp(purchases.logProbability(count) + lost)
        guard count > 0 else {
            let left = RatioQuadrature(a: alpha, b: beta, p: r, q: s + 1, t: horizon).value
            return min(1, alive + s / beta * left)
        }
        let n = Double(count)
        let left = ArrivalIntegral(
            power: n + 1, a: alpha, p: r + n, b: beta, q: s + 1, t: horizon
        ).logarithm
        let coefficient = NegativeBinomial.logCoefficient(shape: r, count) - n * log(alpha)
        return min(1, alive + s / beta * exp(coefficient + left))
    }

    /// The purchase of that number comes at u, and the customer is still alive then:
    /// Γ(r+n)/(Γ(r) Γ(n)) ∫₀ᵗ (u/α)^(n−1) (α/(α+u))^(r+n) (β/(β+u))^s du/α.
    package func tailOfNew(from count: Int, horizon: Double) -> Double {
        precondition(count >= 0 && horizon >= 0)
        guard count > 0 else { return 1 }
        guard horizon > 0 else { return 0 }
        let n = Double(count)
        let integral = ArrivalIntegral(power: n, a: alpha, p: r + n, b: beta, q: s, t: horizon)
        let coefficient = NegativeBinomial.logCoefficient(shape: r, count) + log(n)
        return min(1, exp(coefficient - n * log(alpha) + integral.logarithm))
    }
}
