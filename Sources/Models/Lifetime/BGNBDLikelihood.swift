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
/// With the chance to drop out at the first purchase too (MBG/NBD), the likelihood is the same with
/// x + 1 in place of x in all that depends on a and b, and without the condition x > 0.
///
/// What is left a row beside `DayTables` is one exponential and one logarithm.
package struct BGNBDLikelihood: Sendable, HistoryLikelihood {
    let history: CollapsedHistory
    let maximumCount: Int
    let threadCount: Int
    let variant: BGNBD.Variant

    private static let chunkRows = 4_096

    /// - Precondition: at least one row, and the oldest age above 0.
    package init(
        _ history: CollapsedHistory, variant: BGNBD.Variant = .standard, threadCount: Int
    ) {
        precondition(history.rowCount > 0 && history.maximumObservedAgeDays > 0)
        self.history = history
        self.variant = variant
        self.threadCount = threadCount
        maximumCount = Int(history.repeatPurchaseCount.max() ?? 0)
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
        let dropCount = maximumCount + variant.earlierChances
        let ofB = GammaDifferences(argument: b, maximumCount: dropCount)
        let ofSum = GammaDifferences(argument: a + b, maximumCount: dropCount)
        let rows = history
        let chances = variant.earlierChances
        let partials = parallelMap(
            count: rows.rowCount, chunkSize: Self.chunkRows, threadCount: threadCount
        ) { _, range in
            var sum = LikelihoodSums()
            // Rows ascend by x: what depends on x alone is computed once a run of equal x.
            var terms = CountTerms(x: 0, chances, r: r, a: a, b: b, ofR, ofB, ofSum)
            for row in range {
                let x = Int(rows.repeatPurchaseCount[row])
                if x != terms.x {
                    terms = CountTerms(x: x, chances, r: r, a: a, b: b, ofR, ofB, ofSum)
                }
                Self.add(
                    terms, start: tables[0], last: tables[Int(rows.ageAtLastPurchaseDays[row])],
                    end: tables[Int(rows.observedAgeDays[row])],
                    weight: Double(rows.customerCount[row]), r: r, &sum)
            }
            return sum
        }
        return LikelihoodSums.negativeMean(
            partials, at: [r, alpha, a, b], customers: Double(rows.totalCustomerCount))
    }

    /// The terms of a row that depend on x and the parameters only.
    struct CountTerms {
        let x: Int
        /// Chances to drop out so far; without any the rest is unused.
        let chanceCount: Int
        let shape: Double
        var logOdds = 0.0
        var dA = 0.0, dB = 0.0
        var value = 0.0
        var rFirst = 0.0, rSecond = 0.0, bFirst = 0.0, bSecond = 0.0
        var sumFirst = 0.0, sumSecond = 0.0

        init(
            x: Int, _ earlierChances: Int, r: Double, a: Double, b: Double, _ ofR: GammaDifferences,
            _ ofB: GammaDifferences, _ ofSum: GammaDifferences
        ) {
            self.x = x
            shape = r + Double(x)
            let n = x + earlierChances
            chanceCount = n
            guard n > 0 else { return }
            // n − 1 first: at n = 1 a small b keeps its digits.
            let denominator = b + Double(n - 1)
            logOdds = log(a / denominator)
            dA = 1 / a
            dB = -1 / denominator
            value = ofR.value(x) + ofB.value(n) - ofSum.value(n)
            rFirst = ofR.first(x)
            rSecond = ofR.second(x)
            bFirst = ofB.first(n)
            bSecond = ofB.second(n)
            sumFirst = ofSum.first(n)
            sumSecond = ofSum.second(n)
        }
    }

    /// ln L without the constant that rescaling time adds.
    /// - Parameters: of α at the times 0, t_x and T: `start`, `last`, `end`.
    static func add(
        _ terms: CountTerms, start: TimeTerm, last: TimeTerm, end: TimeTerm, weight: Double,
        r: Double, _ sum: inout LikelihoodSums
    ) {
        let shape = terms.shape
        let (logAge, inverseAge) = (end.logarithm, end.inverse)
        let (logAlpha, inverseAlpha) = (start.logarithm, start.inverse)
        var value = r * logAlpha - shape * logAge
        var gr = logAlpha - logAge
        var ga = r * inverseAlpha - shape * inverseAge
        var haa = -r * inverseAlpha * inverseAlpha + shape * inverseAge * inverseAge
        var hra = inverseAlpha - inverseAge
        if terms.chanceCount > 0 {
            let logRatio = logAge - last.logarithm
            let inverseTx = last.inverse
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
            sum.g2 += weight * (w * dA - terms.sumFirst)
            sum.g3 += weight * (terms.bFirst - terms.sumFirst + w * dB)
            haa +=
                -w * shape * (inverseAge * inverseAge - inverseTx * inverseTx)
                + spread * dAlpha * dAlpha
            hra += w * (inverseAge - inverseTx) + spread * dr * dAlpha
            sum.h00 += weight * (terms.rSecond + spread * dr * dr)
            sum.h20 += weight * spread * dr * dA
            sum.h30 += weight * spread * dr * dB
            sum.h21 += weight * spread * dAlpha * dA
            sum.h31 += weight * spread * dAlpha * dB
            sum.h22 += weight * (-terms.sumSecond - w * dA * dA + spread * dA * dA)
            sum.h32 += weight * (-terms.sumSecond + spread * dA * dB)
            sum.h33 += weight * (terms.bSecond - terms.sumSecond + (w + spread) * dB * dB)
        }
        sum.value += weight * value
        sum.g0 += weight * gr
        sum.g1 += weight * ga
        sum.h11 += weight * haa
        sum.h10 += weight * hra
    }
}
