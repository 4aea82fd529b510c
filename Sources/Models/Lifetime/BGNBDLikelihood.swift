import Foundation
package import Numerical

/// The BG/NBD log-likelihood of collapsed rows with its gradient and Hessian in
/// (ln r, ln α, ln a, ln b), on time scaled so that the oldest customer's age is 1.
///
/// For a row with x repeat purchases the likelihood is
///   Γ(r+x)/Γ(r) · α^r · B(a, b+x)/B(a, b) · [(α+T)^−(r+x) + 1{x>0} a/(b+x−1) (α+t_x)^−(r+x)].
/// The bracket is (α+T)^−(r+x) (1 + e^D); ln(1 + e^D) never overflows, and w = 1/(1 + e^−D) is
/// the probability that the customer has dropped out. Source: Fader, Hardie & Lee 2005, eq. 6.
///
/// Every logarithm of a time is of a whole number of days, so one table a parameter vector serves
/// all rows; what is left a row is one exponential and one logarithm.
package struct BGNBDLikelihood: Sendable {
    let history: CollapsedHistory
    let maximumCount: Int
    let threadCount: Int

    private static let chunkRows = 4_096

    /// - Precondition: at least one row, and the oldest age above 0.
    package init(_ history: CollapsedHistory, threadCount: Int) {
        precondition(history.rowCount > 0 && history.maximumObservedAgeDays > 0)
        self.history = history
        self.threadCount = threadCount
        maximumCount = Int(history.repeatPurchaseCount.max() ?? 0)
    }

    /// Sums of one chunk; second derivatives are named by r, a (α), p (a) and q (b).
    private struct Partial: Sendable {
        var value = 0.0
        var g = GradientSums()
        var hrr = 0.0, hra = 0.0, haa = 0.0
        var hpp = 0.0, hrp = 0.0, hap = 0.0, hpq = 0.0, hqq = 0.0, hrq = 0.0, haq = 0.0
    }

    /// The gradient in natural parameters.
    private struct GradientSums: Sendable {
        var r = 0.0, alpha = 0.0, a = 0.0, b = 0.0
    }

    /// The negative mean log-likelihood a customer, on scaled time.
    /// - Parameter point: (ln r, ln α, ln a, ln b), α in units of the oldest age.
    package func negativeMean(_ point: [Double]) -> ObjectiveEvaluation {
        let r = exp(point[0])
        let alpha = exp(point[1])
        let a = exp(point[2])
        let b = exp(point[3])
        let tables = DayTables(alpha: alpha, dayCount: Int(history.maximumObservedAgeDays))
        let ofR = GammaDifferences(argument: r, maximumCount: maximumCount)
        let ofB = GammaDifferences(argument: b, maximumCount: maximumCount)
        let ofSum = GammaDifferences(argument: a + b, maximumCount: maximumCount)
        let rows = history
        let partials = parallelMap(
            count: rows.rowCount, chunkSize: Self.chunkRows, threadCount: threadCount
        ) { _, range in
            var sum = Partial()
            // Rows ascend by x: what depends on x alone is computed once a run of equal x.
            var terms = CountTerms(x: 0, r: r, a: a, b: b, ofR, ofB, ofSum)
            for row in range {
                let x = Int(rows.repeatPurchaseCount[row])
                if x != terms.x { terms = CountTerms(x: x, r: r, a: a, b: b, ofR, ofB, ofSum) }
                Self.add(
                    terms, txDay: Int(rows.ageAtLastPurchaseDays[row]),
                    ageDay: Int(rows.observedAgeDays[row]),
                    weight: Double(rows.customerCount[row]), r: r, tables, &sum)
            }
            return sum
        }
        return Self.assemble(
            partials, r: r, alpha: alpha, a: a, b: b,
            customers: Double(rows.totalCustomerCount))
    }

    /// The terms of a row that depend on x and the parameters only.
    private struct CountTerms {
        let x: Int
        let shape: Double
        /// Zeros and the rest unused for x = 0.
        var logOdds = 0.0
        var dA = 0.0, dB = 0.0
        var value = 0.0
        var rFirst = 0.0, rSecond = 0.0, bFirst = 0.0, bSecond = 0.0
        var sumFirst = 0.0, sumSecond = 0.0

        init(
            x: Int, r: Double, a: Double, b: Double, _ ofR: GammaDifferences,
            _ ofB: GammaDifferences, _ ofSum: GammaDifferences
        ) {
            self.x = x
            shape = r + Double(x)
            guard x > 0 else { return }
            // x − 1 first: at x = 1 a small b keeps its digits.
            let denominator = b + Double(x - 1)
            logOdds = log(a / denominator)
            dA = 1 / a
            dB = -1 / denominator
            value = ofR.value(x) + ofB.value(x) - ofSum.value(x)
            rFirst = ofR.first(x)
            rSecond = ofR.second(x)
            bFirst = ofB.first(x)
            bSecond = ofB.second(x)
            sumFirst = ofSum.first(x)
            sumSecond = ofSum.second(x)
        }
    }

    /// ln L without the constant that rescaling time adds.
    private static func add(
        _ terms: CountTerms, txDay: Int, ageDay: Int, weight: Double, r: Double,
        _ tables: DayTables, _ sum: inout Partial
    ) {
        let shape = terms.shape
        let logAge = tables.logarithm[ageDay]
        let inverseAge = tables.inverse[ageDay]
        let logAlpha = tables.logarithm[0]
        let inverseAlpha = tables.inverse[0]
        var value = r * logAlpha - shape * logAge
        var gr = logAlpha - logAge
        var ga = r * inverseAlpha - shape * inverseAge
        var haa = -r * inverseAlpha * inverseAlpha + shape * inverseAge * inverseAge
        var hra = inverseAlpha - inverseAge
        if terms.x > 0 {
            let logRatio = logAge - tables.logarithm[txDay]
            let inverseTx = tables.inverse[txDay]
            let d = terms.logOdds + shape * logRatio
            let e = exp(-abs(d))
            let w = d >= 0 ? 1 / (1 + e) : e / (1 + e)
            let spread = w * (1 - w)
            // D by r, α, a and b, then its second derivatives.
            let dr = logRatio
            let dAlpha = shape * (inverseAge - inverseTx)
            let (dA, dB) = (terms.dA, terms.dB)
            value += terms.value + max(d, 0) + log1p(e)
            gr += terms.rFirst + w * dr
            ga += w * dAlpha
            sum.g.a += weight * (w * dA - terms.sumFirst)
            sum.g.b += weight * (terms.bFirst - terms.sumFirst + w * dB)
            haa +=
                -w * shape * (inverseAge * inverseAge - inverseTx * inverseTx)
                + spread * dAlpha * dAlpha
            hra += w * (inverseAge - inverseTx) + spread * dr * dAlpha
            sum.hrr += weight * (terms.rSecond + spread * dr * dr)
            sum.hrp += weight * spread * dr * dA
            sum.hrq += weight * spread * dr * dB
            sum.hap += weight * spread * dAlpha * dA
            sum.haq += weight * spread * dAlpha * dB
            sum.hpp += weight * (-terms.sumSecond - w * dA * dA + spread * dA * dA)
            sum.hpq += weight * (-terms.sumSecond + spread * dA * dB)
            sum.hqq += weight * (terms.bSecond - terms.sumSecond + (w + spread) * dB * dB)
        }
        sum.value += weight * value
        sum.g.r += weight * gr
        sum.g.alpha += weight * ga
        sum.haa += weight * haa
        sum.hra += weight * hra
    }

    /// Merges in chunk order and changes to log-parameters: ∂/∂ln θ = θ ∂/∂θ.
    private static func assemble(
        _ partials: [Partial], r: Double, alpha: Double, a: Double, b: Double, customers: Double
    ) -> ObjectiveEvaluation {
        var value = 0.0
        var gradient = [Double](repeating: 0, count: 4)
        var natural = SymmetricMatrix(size: 4)
        for part in partials {
            value += part.value
            for (i, g) in [part.g.r, part.g.alpha, part.g.a, part.g.b].enumerated() {
                gradient[i] += g
            }
            natural[0, 0] += part.hrr
            natural[1, 0] += part.hra
            natural[1, 1] += part.haa
            natural[2, 0] += part.hrp
            natural[2, 1] += part.hap
            natural[2, 2] += part.hpp
            natural[3, 0] += part.hrq
            natural[3, 1] += part.haq
            natural[3, 2] += part.hpq
            natural[3, 3] += part.hqq
        }
        let theta = [r, alpha, a, b]
        var hessian = SymmetricMatrix(size: 4)
        for i in 0..<4 {
            gradient[i] *= -theta[i] / customers
            for j in 0...i {
                hessian[i, j] = -natural[i, j] * theta[i] * theta[j] / customers
            }
            hessian[i, i] += gradient[i]
        }
        return ObjectiveEvaluation(
            value: -value / customers, gradient: gradient, hessian: hessian)
    }
}

/// ln(α + t) and 1 / (α + t) for t = 0 ... `dayCount` days, with `dayCount` days as the unit.
private struct DayTables: Sendable {
    let logarithm: [Double]
    let inverse: [Double]

    init(alpha: Double, dayCount: Int) {
        let unit = 1 / Double(dayCount)
        logarithm = (0...dayCount).map { log(alpha + Double($0) * unit) }
        inverse = (0...dayCount).map { 1 / (alpha + Double($0) * unit) }
    }
}
