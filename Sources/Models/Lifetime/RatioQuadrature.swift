import Foundation
import Numerical

/// Integrals ∫₀ᵗ (A/(A+u))^p (B/(B+u))^q du, of which the likelihood and all predictions of the
/// Pareto/NBD model are made, by Gauss–Legendre in v = ln((C+u)/C) with C the smaller of A and B.
///
/// In v the integrand is analytic within π of the real axis. Where it falls below e^(−38) of its start
/// the rest is left out. Measured against a composite rule of 8,000 nodes over shapes and times of
/// 1e-3 to 1e4 and up to 2,000 purchases: 16 nodes where the fall is below e^16 and v below 3, 32
/// elsewhere, have a relative error of 1e-13 or less; shapes p and q up to 1e7 keep 1e-12. Unlike the hypergeometric form it has no case
/// of its own at A = B or q = 1, and it neither overflows nor cancels.
struct RatioQuadrature {
    private static let short = QuadratureRule.gaussLegendre(count: 16)
    private static let long = QuadratureRule.gaussLegendre(count: 32)
    private static let fall = 37.5

    private let a: Double
    private let b: Double
    private let p: Double
    private let q: Double
    private let smaller: Double
    /// Where v ends.
    private let length: Double
    private let rule: QuadratureRule

    /// - Precondition: a, b, p, q above 0; t at least 0; all finite.
    init(a: Double, b: Double, p: Double, q: Double, t: Double) {
        self.a = a
        self.b = b
        self.p = p
        self.q = q
        smaller = min(a, b)
        let whole = log1p(t / smaller)
        var end = whole
        if Self.exponent(whole, a, b, p, q, smaller) < -Self.fall {
            var low = 0.0
            // (C+u)^-(k) falls at least as fast as this, so that the search starts near.
            let slowest = (a <= b ? p : q) - 1
            if slowest > 0 { end = min(whole, Self.fall / slowest) }
            // Until the end is known to a twentieth: that of a steep fall, as of q = 1e6, may be a
            // millionth of where the search starts.
            for _ in 0..<60 where end - low > 0.05 * end {
                let middle = (low + end) / 2
                if Self.exponent(middle, a, b, p, q, smaller) < -Self.fall {
                    end = middle
                } else {
                    low = middle
                }
            }
        }
        length = end
        let isShort = end < 3 && Self.exponent(end, a, b, p, q, smaller) > -16
        rule = isShort ? Self.short : Self.long
    }

    /// ln of the integrand in v.
    @inline(__always)
    private static func exponent(
        _ v: Double, _ a: Double, _ b: Double, _ p: Double, _ q: Double, _ smaller: Double
    ) -> Double {
        let u = smaller * expm1(v)
        return v - p * (a == smaller ? v : log1p(u / a)) - q * (b == smaller ? v : log1p(u / b))
    }

    /// Calls `body` for each node with u, ln((A+u)/A), ln((B+u)/B) and the weight.
    @inline(__always)
    func visitNodes(_ body: (Double, Double, Double, Double) -> Void) {
        for index in rule.nodes.indices {
            let v = rule.nodes[index] * length
            let u = smaller * expm1(v)
            let logA = a == smaller ? v : log1p(u / a)
            let logB = b == smaller ? v : log1p(u / b)
            let weight =
                rule.weights[index] * length * smaller * exp(v - p * logA - q * logB)
            body(u, logA, logB, weight)
        }
    }

    /// The integral.
    var value: Double {
        var sum = 0.0
        visitNodes { _, _, _, weight in sum += weight }
        return sum
    }
}
