import Foundation
package import Numerical
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

/// The Pareto/NBD log-likelihood of collapsed rows with its gradient and Hessian in
/// (ln r, ln α, ln s, ln β), on time scaled so that the oldest customer's age is 1.
///
/// For a row with x repeat purchases the likelihood is
///   Γ(r+x)/Γ(r) · α^r β^s (α+T)^−(r+x) (β+T)^−s · (1 + Q),
///   Q = s ∫ from t_x to T of ((α+T)/(α+τ))^(r+x) ((β+T)/(β+τ))^s dτ/(β+τ);
/// 1 / (1 + Q) is the probability that the customer is alive. Derivatives are taken under the
/// integral: those of Q over Q are means over the quadrature's weights, and ln Q never overflows.
/// Source: Fader & Hardie 2005, eq. 16, before the integral is written as ₂F₁.
package struct ParetoNBDLikelihood: HistoryLikelihood, Sendable {
    let history: CollapsedHistory
    let threadCount: Int

    private static let chunkRows = 256

    /// - Precondition: at least one row, and the oldest age above 0.
    package init(history: CollapsedHistory, threadCount: Int) {
        precondition(history.rowCount > 0 && history.maximumObservedAgeDays > 0)
        self.history = history
        self.threadCount = threadCount
    }

    /// The negative mean log-likelihood a customer, on scaled time.
    /// - Parameter point: (ln r, ln α, ln s, ln β), times in units of the oldest age.
    package func negativeMean(_ point: [Double]) -> ObjectiveEvaluation {
        let theta = point.map(exp)
        let dayCount = Int(history.maximumObservedAgeDays)
        let terms = Terms(
            r: theta[0], alpha: theta[1], s: theta[2], beta: theta[3],
            ofAlpha: DayTables(alpha: theta[1], dayCount: dayCount),
            ofBeta: DayTables(alpha: theta[3], dayCount: dayCount), day: 1 / Double(dayCount))
        let ofR = GammaDifferences(
            argument: theta[0], maximumCount: Int(history.repeatPurchaseCount.max() ?? 0))
        let rows = history
        let parts = parallelMap(
            count: rows.rowCount, chunkSize: Self.chunkRows, threadCount: threadCount
        ) { _, range in
            var sum = LikelihoodSums()
            for row in range {
                let x = Int(rows.repeatPurchaseCount[row])
                terms.add(
                    x: x, txDay: Int(rows.ageAtLastPurchaseDays[row]),
                    ageDay: Int(rows.observedAgeDays[row]),
                    weight: Double(rows.customerCount[row]),
                    (ofR.value(x), ofR.first(x), ofR.second(x)), &sum)
            }
            return sum
        }
        return LikelihoodSums.negativeMean(
            parts, at: theta, customers: Double(rows.totalCustomerCount))
    }

    private struct Terms: Sendable {
        let r: Double
        let alpha: Double
        let s: Double
        let beta: Double
        let ofAlpha: DayTables
        let ofBeta: DayTables
        let day: Double

        func add(
            x: Int, txDay: Int, ageDay: Int, weight: Double,
            _ ofR: (value: Double, first: Double, second: Double), _ sum: inout LikelihoodSums
        ) {
            let shape = r + Double(x)
            let (logA, logB) = (ofAlpha.logarithm[ageDay], ofBeta.logarithm[ageDay])
            let (inverseA, inverseB) = (ofAlpha.inverse[ageDay], ofBeta.inverse[ageDay])
            let (logAlpha, logBeta) = (ofAlpha.logarithm[0], ofBeta.logarithm[0])
            let (inverseAlpha, inverseBeta) = (ofAlpha.inverse[0], ofBeta.inverse[0])
            var value = ofR.value + r * logAlpha + s * logBeta - shape * logA - s * logB
            var g0 = ofR.first + logAlpha - logA
            var g1 = r * inverseAlpha - shape * inverseA
            var g2 = logBeta - logB
            var g3 = s * (inverseBeta - inverseB)
            var h00 = ofR.second
            var h10 = inverseAlpha - inverseA
            var h11 = shape * inverseA * inverseA - r * inverseAlpha * inverseAlpha
            var h20 = 0.0
            var h21 = 0.0
            var h22 = 0.0
            var h30 = 0.0
            var h31 = 0.0
            var h32 = inverseBeta - inverseB
            var h33 = s * (inverseB * inverseB - inverseBeta * inverseBeta)
            if ageDay > txDay {
                let tx = Double(txDay) * day
                let (fromA, fromB) = (alpha + tx, beta + tx)
                let spanA = logA - ofAlpha.logarithm[txDay]
                let spanB = logB - ofBeta.logarithm[txDay]
                let quadrature = RatioQuadrature(
                    a: fromA, b: fromB, p: shape, q: s + 1, t: Double(ageDay - txDay) * day)
                // Sums of weight × derivatives of the logarithm of the integrand.
                var total = 0.0
                var d0 = 0.0
                var d1 = 0.0
                var d2 = 0.0
                var d3 = 0.0
                var e00 = 0.0
                var e10 = 0.0
                var e11 = 0.0
                var e20 = 0.0
                var e21 = 0.0
                var e22 = 0.0
                var e30 = 0.0
                var e31 = 0.0
                var e32 = 0.0
                var e33 = 0.0
                quadrature.visitNodes { u, a, b, weight in
                    let (atA, atB) = (1 / (fromA + u), 1 / (fromB + u))
                    let byR = spanA - a
                    let byAlpha = shape * (inverseA - atA)
                    let byS = 1 / s + spanB - b
                    let byBeta = s * (inverseB - atB) - atB
                    total += weight
                    d0 += weight * byR
                    d1 += weight * byAlpha
                    d2 += weight * byS
                    d3 += weight * byBeta
                    e00 += weight * (byR * byR)
                    e10 += weight * (byR * byAlpha + (inverseA - atA))
                    e11 +=
                        weight * (byAlpha * byAlpha - shape * (inverseA * inverseA - atA * atA))
                    e20 += weight * (byS * byR)
                    e21 += weight * (byS * byAlpha)
                    e22 += weight * (byS * byS - 1 / (s * s))
                    e30 += weight * (byBeta * byR)
                    e31 += weight * (byBeta * byAlpha)
                    e32 += weight * (byBeta * byS + (inverseB - atB))
                    e33 +=
                        weight
                        * (byBeta * byBeta - s * (inverseB * inverseB - atB * atB) + atB * atB)
                }
                let logQ = log(s / fromB * total) + shape * spanA + s * spanB
                let e = exp(-abs(logQ))
                let w = logQ >= 0 ? 1 / (1 + e) : e / (1 + e)
                value += max(logQ, 0) + log1p(e)
                let share = total > 0 ? w / total : 0
                let (m0, m1, m2, m3) = (share * d0, share * d1, share * d2, share * d3)
                g0 += m0
                g1 += m1
                g2 += m2
                g3 += m3
                h00 += share * e00 - m0 * m0
                h10 += share * e10 - m1 * m0
                h11 += share * e11 - m1 * m1
                h20 += share * e20 - m2 * m0
                h21 += share * e21 - m2 * m1
                h22 += share * e22 - m2 * m2
                h30 += share * e30 - m3 * m0
                h31 += share * e31 - m3 * m1
                h32 += share * e32 - m3 * m2
                h33 += share * e33 - m3 * m3
            }
            sum.value += weight * value
            sum.g0 += weight * g0
            sum.g1 += weight * g1
            sum.g2 += weight * g2
            sum.g3 += weight * g3
            sum.h00 += weight * h00
            sum.h10 += weight * h10
            sum.h11 += weight * h11
            sum.h20 += weight * h20
            sum.h21 += weight * h21
            sum.h22 += weight * h22
            sum.h30 += weight * h30
            sum.h31 += weight * h31
            sum.h32 += weight * h32
            sum.h33 += weight * h33
        }
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
