import Foundation
package import Units

/// A lifetime in whole periods whose end comes in each period with probability θ, where θ differs
/// between customers as Beta(α, β): the share alive after t periods is
/// S(t) = B(α, β + t) / B(α, β) = Π (β + j) / (α + β + j), j = 0 ..< t.
///
/// Who is alive after n periods has the same lifetime with β + n in place of β.
/// Source: Fader & Hardie, "How to Project Customer Retention", J. Interactive Marketing 2007.
struct BetaGeometricLifetime {
    /// Above 0.
    let alpha: Double
    /// Above 0.
    let beta: Double

    /// Products are taken factor by factor up to here, then by Stirling's series.
    private static let productLimit = 4_096

    func aged(_ periods: Int) -> BetaGeometricLifetime {
        BetaGeometricLifetime(alpha: alpha, beta: beta + Double(periods))
    }

    /// S(t + 1) / S(t): the share of those alive after t periods who stay for another.
    func renewal(after periods: Int) -> Double {
        let base = beta + Double(periods)
        return base / (alpha + base)
    }

    /// S(t), t >= 0; relative error about t · 1e-16 of factors, 1e-16 · α ln t beyond.
    func survival(_ periods: Int) -> Double {
        precondition(periods >= 0)
        let steps = min(periods, Self.productLimit)
        var share = 1.0
        for j in 0..<steps { share *= renewal(after: j) }
        guard periods > steps, share > 0 else { return share }
        let from = beta + Double(steps)
        let to = beta + Double(periods)
        return share * exp(min(0, gammaRatio(from) - gammaRatio(to)))
    }

    /// lnΓ(z + α) − lnΓ(z) for z of some thousand and more, without taking the difference of two
    /// large numbers. Source: Abramowitz & Stegun 6.1.41.
    private func gammaRatio(_ z: Double) -> Double {
        func series(_ w: Double) -> Double {
            let inverse = 1 / w
            let square = inverse * inverse
            return inverse * (1.0 / 12 - square * (1.0 / 360 - square / 1_260))
        }
        let sum = z + alpha
        return alpha * log(sum) + (z - 0.5) * log1p(alpha / z) - alpha + series(sum) - series(z)
    }

    /// S(1) + … + S(horizon): expected further periods within the horizon. O(horizon).
    func expectedPeriods(horizon: Int) -> Double {
        precondition(horizon >= 0)
        var share = 1.0
        var sum = 0.0
        for j in 0..<horizon {
            share *= renewal(after: j)
            sum += share
        }
        return sum
    }

    /// S(1) + S(2) + …, which is β / (α − 1); nil where α <= 1 and the sum is infinite.
    var expectedPeriods: Double? { alpha > 1 ? beta / (alpha - 1) : nil }

    /// S(0) + S(1) / (1 + d) + S(2) / (1 + d)² + …: ₂F₁(1, β; α + β; 1 / (1 + d)); nil where it is
    /// infinite (d = 0 and α <= 1). Relative error about 1e-13.
    ///
    /// By Pfaff's transformation it is (1 + d)/d · ₂F₁(1, α; α + β; −1/d), whose continued fraction
    /// has positive terms only: nothing cancels, whatever the parameters, and any two successive
    /// convergents enclose the value. About 20 / √d terms.
    /// Source: Fader & Hardie, "Customer-Base Valuation in a Contractual Setting", Marketing
    /// Science 2010, eq. 6; Olver et al., NIST DLMF 15.8.1 and 15.7.1.
    /// - Throws: `outOfRange` for a discount that is neither 0 nor in 1e-9 ... 1e9.
    func discountedPeriods(discount: Double) throws(ModelError) -> Double? {
        guard discount != 0 else { return expectedPeriods.map { $0 + 1 } }
        guard (1e-9...1e9).contains(discount) else {
            throw .outOfRange(
                what: "discount a period", actual: discount, allowed: "0, or 1e-9 ... 1e9")
        }
        let x = 1 / discount
        let root = (1 + x).squareRoot()
        // The error of a convergent shrinks by (root − 1) / (root + 1) a term.
        var terms = 16 + Int(40 / -log(x / ((root + 1) * (root + 1))))
        var value = convergent(x, terms)
        while terms < 1 << 24 {
            let other = convergent(x, terms + 1)
            let isClose = abs(other - value) <= 1e-14 * value
            value = (value + other) / 2
            if isClose { break }
            terms *= 2
            value = convergent(x, terms)
        }
        return (1 + discount) * x * value
    }

    /// 1/(1 + e₁/(c + e₂/(c+1 + e₃/(c+2 + …)))) with c = α + β, e₁ = αx and for n >= 1
    /// e₂ₙ = n (β+n−1) x, e₂ₙ₊₁ = (α+n)(c+n−1) x, from the inside out.
    private func convergent(_ x: Double, _ terms: Int) -> Double {
        let c = alpha + beta
        var tail = c + Double(terms - 1)
        for k in stride(from: terms, through: 2, by: -1) {
            let n = Double(k / 2)
            let numerator = k % 2 == 0 ? n * (beta + n - 1) : (alpha + n) * (c + n - 1)
            tail = c + Double(k - 2) + numerator * x / tail
        }
        return 1 / (1 + alpha * x / tail)
    }
}

/// What a period of a discrete model is, and an annual discount rate in its terms.
package struct ContractPeriod: Codable, Equatable, Sendable {
    /// Length in days; finite, above 0.
    package let days: Double

    package static let year = ContractPeriod(days: daysPerYear)
    package static let month = ContractPeriod(days: daysPerYear / 12)

    /// - Precondition: finite, above 0.
    package init(days: Double) {
        precondition(days > 0 && days.isFinite)
        self.days = days
    }

    /// The discount a period that makes `rate` a year: (1 + rate)^(days / 365.2425) − 1.
    package func discount(_ rate: DiscountRate) -> Double {
        expm1(rate.continuous(per: .day) * days)
    }
}
