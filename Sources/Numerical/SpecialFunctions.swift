import Foundation

/// ln Γ(x) for x > 0.
///
/// Recurrence up to x >= 12, then Stirling's series with eight terms (truncation below 1e-18).
/// Error at most 1e-15 · max(1, |x ln x|); it is absolute near the zeros at 1 and 2.
/// Source: Abramowitz & Stegun 6.1.15, 6.1.41.
package func lnGamma(_ x: Double) -> Double {
    precondition(x > 0, "lnGamma is defined here for positive arguments")
    var z = x
    var product = 1.0
    while z < 12 {
        product *= z
        z += 1
    }
    let inverse = 1 / z
    let square = inverse * inverse
    // B(2k) / (2k (2k - 1)) for k = 1...8.
    var series = -3617.0 / 122_400
    series = series * square + 1.0 / 156
    series = series * square - 691.0 / 360_360
    series = series * square + 1.0 / 1_188
    series = series * square - 1.0 / 1_680
    series = series * square + 1.0 / 1_260
    series = series * square - 1.0 / 360
    series = series * square + 1.0 / 12
    let halfLogTwoPi = 0.918_938_533_204_672_741_78
    return (z - 0.5) * log(z) - z + halfLogTwoPi + series * inverse - log(product)
}

/// lnΓ(z + n) − lnΓ(z) for z > 0 and n >= 0, one at a time: see `GammaDifferences` for many of one z.
///
/// Up to n = 256 a sum of logarithms of one sign, which loses nothing at small z; above, a difference
/// of two lnΓ, with an error of about 1e-15 times the larger.
package func lnGammaDifference(_ z: Double, _ n: Int) -> Double {
    precondition(z > 0 && n >= 0)
    guard n <= 256 else { return lnGamma(z + Double(n)) - lnGamma(z) }
    var sum = 0.0
    for i in 0..<n { sum += log(z + Double(i)) }
    return sum
}

/// ψ(x) = d ln Γ(x) / dx for x > 0; error at most 2e-15 · max(1, |ψ(x)|, 1/x).
/// Source: Abramowitz & Stegun 6.3.5, 6.3.18.
package func digamma(_ x: Double) -> Double {
    precondition(x > 0, "digamma is defined here for positive arguments")
    var z = x
    var shift = 0.0
    while z < 12 {
        shift += 1 / z
        z += 1
    }
    let square = 1 / (z * z)
    // B(2k) / (2k) for k = 1...8.
    var series = -3617.0 / 8_160
    series = series * square + 1.0 / 12
    series = series * square - 691.0 / 32_760
    series = series * square + 1.0 / 132
    series = series * square - 1.0 / 240
    series = series * square + 1.0 / 252
    series = series * square - 1.0 / 120
    series = series * square + 1.0 / 12
    return log(z) - 0.5 / z - series * square - shift
}

/// ψ′(x) for x > 0; relative error at most 2e-15.
/// Source: Abramowitz & Stegun 6.4.6, 6.4.12.
package func trigamma(_ x: Double) -> Double {
    precondition(x > 0, "trigamma is defined here for positive arguments")
    var z = x
    var shift = 0.0
    while z < 12 {
        shift += 1 / (z * z)
        z += 1
    }
    let inverse = 1 / z
    let square = inverse * inverse
    // B(2k) for k = 1...8.
    var series = -3617.0 / 510
    series = series * square + 7.0 / 6
    series = series * square - 691.0 / 2_730
    series = series * square + 5.0 / 66
    series = series * square - 1.0 / 30
    series = series * square + 1.0 / 42
    series = series * square - 1.0 / 30
    series = series * square + 1.0 / 6
    return inverse + square / 2 + series * square * inverse + shift
}

/// The differences lnΓ(z + n) − lnΓ(z), ψ(z + n) − ψ(z) and ψ′(z + n) − ψ′(z) for integers n.
///
/// They are sums of n terms of one sign, so the recurrence loses nothing to cancellation, where
/// the difference of two lnΓ would lose all digits at small z. Counts above `tabulatedLimit` (no
/// real purchase history reaches it) fall back to that difference, which is harmless at such size.
package struct GammaDifferences: Sendable {
    package static let tabulatedLimit = 65_536

    package let argument: Double
    private let values: [Double]
    private let firsts: [Double]
    private let seconds: [Double]

    /// Tabulates n = 0 ... min(maximumCount, tabulatedLimit) for z = `argument` > 0.
    package init(argument: Double, maximumCount: Int) {
        precondition(argument > 0 && maximumCount >= 0)
        self.argument = argument
        let count = min(maximumCount, Self.tabulatedLimit)
        var values = [0.0]
        var firsts = [0.0]
        var seconds = [0.0]
        values.reserveCapacity(count + 1)
        firsts.reserveCapacity(count + 1)
        seconds.reserveCapacity(count + 1)
        var sums = (0.0, 0.0, 0.0)
        for n in 0..<count {
            let term = argument + Double(n)
            let inverse = 1 / term
            sums.0 += log(term)
            sums.1 += inverse
            sums.2 -= inverse * inverse
            values.append(sums.0)
            firsts.append(sums.1)
            seconds.append(sums.2)
        }
        self.values = values
        self.firsts = firsts
        self.seconds = seconds
    }

    /// lnΓ(z + n) − lnΓ(z), n >= 0.
    package func value(_ n: Int) -> Double {
        n < values.count ? values[n] : lnGamma(argument + Double(n)) - lnGamma(argument)
    }

    /// ψ(z + n) − ψ(z), n >= 0.
    package func first(_ n: Int) -> Double {
        n < firsts.count ? firsts[n] : digamma(argument + Double(n)) - digamma(argument)
    }

    /// ψ′(z + n) − ψ′(z), n >= 0; not positive.
    package func second(_ n: Int) -> Double {
        n < seconds.count ? seconds[n] : trigamma(argument + Double(n)) - trigamma(argument)
    }
}
