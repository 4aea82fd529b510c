import Foundation

/// The regularised incomplete beta function I_x(a, b), which is P(X <= x) of a Beta(a, b) variable,
/// for a, b above 0 and x in 0...1.
///
/// Absolute error about 1e-15 · (a + b) ln(a + b), relative where x is below (a + 1) / (a + b + 2).
/// O(√(a + b)). Source: NIST DLMF 8.17.4, 8.17.22.
/// - Parameter complement: 1 − x, given so that neither end loses digits.
package func incompleteBeta(_ x: Double, complement: Double, _ a: Double, _ b: Double) -> Double {
    precondition(a > 0 && b > 0 && x >= 0 && complement >= 0)
    guard x > 0 else { return 0 }
    guard complement > 0 else { return 1 }
    let logFront =
        lnGamma(a + b) - lnGamma(a) - lnGamma(b) + a * log(x) + b * log(complement)
    return incompleteBeta(x, complement: complement, a, b, front: exp(logFront))
}

/// The same where x^a (1 − x)^b / B(a, b) is known.
package func incompleteBeta(
    _ x: Double, complement: Double, _ a: Double, _ b: Double, front: Double
) -> Double {
    if x < (a + 1) / (a + b + 2) {
        return min(1, front / a * incompleteBetaFraction(x, a, b))
    }
    return min(max(1 - front / b * incompleteBetaFraction(complement, b, a), 0), 1)
}

/// 1/(1 + d₁/(1 + d₂/(1 + …))) of I_x(a, b), x < (a + 1) / (a + b + 2), by Lentz's method.
private func incompleteBetaFraction(_ x: Double, _ a: Double, _ b: Double) -> Double {
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
