import Foundation
package import Numerical

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
        let terms = Terms(r: theta[0], alpha: theta[1], s: theta[2], beta: theta[3])
        let ofAlpha = DayTables(alpha: theta[1], dayCount: dayCount)
        let ofBeta = DayTables(alpha: theta[3], dayCount: dayCount)
        let day = 1 / Double(dayCount)
        let ofR = GammaDifferences(
            argument: theta[0], maximumCount: Int(history.repeatPurchaseCount.max() ?? 0))
        let rows = history
        let parts = parallelMap(
            count: rows.rowCount, chunkSize: Self.chunkRows, threadCount: threadCount
        ) { _, range in
            var sum = LikelihoodSums()
            for row in range {
                let x = Int(rows.repeatPurchaseCount[row])
                let tx = Int(rows.ageAtLastPurchaseDays[row])
                let age = Int(rows.observedAgeDays[row])
                terms.add(
                    x: x, tx: Double(tx) * day, idle: Double(age - tx) * day,
                    weight: Double(rows.customerCount[row]),
                    (ofR.value(x), ofR.first(x), ofR.second(x)),
                    ofAlpha: (ofAlpha[0], ofAlpha[tx], ofAlpha[age]),
                    ofBeta: (ofBeta[0], ofBeta[tx], ofBeta[age]), &sum)
            }
            return sum
        }
        return LikelihoodSums.negativeMean(
            parts, at: theta, customers: Double(rows.totalCustomerCount))
    }

    /// What all rows of equal parameters share.
    struct Terms: Sendable {
        let r: Double
        let alpha: Double
        let s: Double
        let beta: Double

        /// Adds `weight` customers with x repeat purchases, the last one at `tx` and `idle` before
        /// the end.
        /// - Parameters:
        ///   - ofR: differences of lnΓ, ψ and ψ′ between r + x and r.
        ///   - ofAlpha: at the times 0, t_x and T; likewise `ofBeta`.
        func add(
            x: Int, tx: Double, idle: Double, weight: Double,
            _ ofR: (value: Double, first: Double, second: Double),
            ofAlpha: (start: TimeTerm, last: TimeTerm, end: TimeTerm),
            ofBeta: (start: TimeTerm, last: TimeTerm, end: TimeTerm), _ sum: inout LikelihoodSums
        ) {
            let shape = r + Double(x)
            let (logA, logB) = (ofAlpha.end.logarithm, ofBeta.end.logarithm)
            let (inverseA, inverseB) = (ofAlpha.end.inverse, ofBeta.end.inverse)
            let (logAlpha, logBeta) = (ofAlpha.start.logarithm, ofBeta.start.logarithm)
            let (inverseAlpha, inverseBeta) = (ofAlpha.start.inverse, ofBeta.start.inverse)
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
            if idle > 0 {
                let (fromA, fromB) = (alpha + tx, beta + tx)
                let spanA = logA - ofAlpha.last.logarithm
                let spanB = logB - ofBeta.last.logarithm
                let quadrature = RatioQuadrature(
                    a: fromA, b: fromB, p: shape, q: s + 1, t: idle)
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
