import Foundation
import Numerical

/// Tail areas and quantiles of the reference distributions of the tests here.
package enum Significance {
    /// P(|Z| > |z|) of a standard normal Z; 0 where it is below the smallest double.
    package static func twoSidedNormal(_ z: Double) -> Double {
        erfc(abs(z) / 2.0.squareRoot())
    }

    /// z with P(Z <= z) = `probability`, for 0 < probability < 1; relative error about 1e-15 of
    /// the tail. Source: Abramowitz & Stegun 26.2.23 as the start, Halley's method on erfc.
    package static func normalQuantile(_ probability: Double) -> Double {
        precondition(probability > 0 && probability < 1)
        let tail = min(probability, 1 - probability)
        let t = (-2 * log(tail)).squareRoot()
        var z =
            t - (2.515517 + t * (0.802853 + t * 0.010328))
            / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
        for _ in 0..<4 {
            // Upper tail area at z, beside the one wanted.
            let error = erfc(z / 2.0.squareRoot()) / 2 - tail
            let step = error / (exp(-z * z / 2) / (2 * Double.pi).squareRoot())
            z += step / (1 - z * step / 2)
        }
        return probability < 0.5 ? -z : z
    }

    /// The z of a two-sided confidence level: 1.96 for .95.
    static func criticalValue(_ level: Double) throws(ModelError) -> Double {
        guard level > 0, level < 1 else {
            throw .outOfRange(
                what: "confidence level", actual: level, allowed: "above 0 and below 1")
        }
        // By the tail: one half and half the level may round to 1, which has no quantile.
        return -normalQuantile((1 - level) / 2)
    }

    /// P(X > x) of a chi-square variable X, x >= 0, with at least one degree of freedom: the
    /// regularised upper incomplete gamma function Q(k/2, x/2), relative error about 1e-13.
    /// Source: Abramowitz & Stegun 6.5.29 (series) and 6.5.31 (continued fraction).
    package static func chiSquareTail(_ x: Double, degreesOfFreedom: Int) -> Double {
        precondition(degreesOfFreedom >= 1 && x >= 0)
        let a = Double(degreesOfFreedom) / 2
        let y = x / 2
        guard y > 0 else { return 1 }
        guard y.isFinite else { return 0 }
        let front = exp(a * log(y) - y - lnGamma(a))
        if y < a + 1 {
            var term = 1 / a
            var sum = term
            var n = a
            while term > 1e-17 * sum {
                n += 1
                term *= y / n
                sum += term
            }
            return min(max(1 - front * sum, 0), 1)
        }
        // Modified Lentz on the even part, whose terms keep one sign.
        var b = y + 1 - a
        var c = 1e300
        var d = 1 / b
        var h = d
        for i in 1..<10_000 {
            let n = -Double(i) * (Double(i) - a)
            b += 2
            d = 1 / (n * d + b)
            c = b + n / c
            let factor = c * d
            h *= factor
            if abs(factor - 1) < 1e-16 { break }
        }
        return min(max(front * h, 0), 1)
    }

    /// p-values adjusted for the number of tests, so that the chance of any false finding is at
    /// most the level at which they are read. In the order given; each at least its own p-value.
    /// Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.
    package static func holm(_ pValues: [Double]) -> [Double] {
        var adjusted = pValues
        var largest = 0.0
        let order = pValues.indices.sorted { (pValues[$0], $0) < (pValues[$1], $1) }
        for (rank, index) in order.enumerated() {
            largest = max(largest, min(1, pValues[index] * Double(pValues.count - rank)))
            adjusted[index] = largest
        }
        return adjusted
    }
}

/// A statistic that is chi-square where the hypothesis holds.
package struct ChiSquareTest: Codable, Equatable, Sendable {
    /// 0 and above.
    package let statistic: Double
    /// At least 1.
    package let degreesOfFreedom: Int
    package let pValue: Double

    init(statistic: Double, degreesOfFreedom: Int) {
        // Rounding can leave a statistic of nothing just below 0.
        self.statistic = max(0, statistic)
        self.degreesOfFreedom = degreesOfFreedom
        pValue = Significance.chiSquareTail(
            self.statistic, degreesOfFreedom: degreesOfFreedom)
    }
}
