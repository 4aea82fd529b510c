#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Draws from the usual distributions. Each call takes as many words from the generator as its
/// method needs, so the same seed and the same sequence of calls give the same numbers.
extension SeededRandom {
    /// Uniform in (0, 1]: safe under a logarithm.
    private mutating func positiveUniform() -> Double { 1 - uniform() }

    /// Standard normal.
    /// Source: G. Marsaglia and T. A. Bray, "A Convenient Method for Generating Normal Variables",
    /// 1964 (polar method). The second number of a pair is dropped: keeping it would make a draw
    /// depend on what was drawn before the seed's stream was copied.
    package mutating func normal() -> Double {
        while true {
            let x = 2 * uniform() - 1
            let y = 2 * uniform() - 1
            let square = x * x + y * y
            if square > 0, square < 1 { return x * (-2 * log(square) / square).squareRoot() }
        }
    }

    /// Normal with a mean and a standard deviation of 0 or more.
    package mutating func normal(mean: Double, standardDeviation: Double) -> Double {
        precondition(standardDeviation >= 0, "a standard deviation is not negative")
        return mean + standardDeviation * normal()
    }

    /// Exponential with mean 1 / rate, by inversion. Valid: rate > 0.
    package mutating func exponential(rate: Double) -> Double {
        precondition(rate > 0, "an exponential distribution needs a positive rate")
        return -log(positiveUniform()) / rate
    }

    /// Gamma with mean shape / rate. Valid: both > 0. A shape far below 1 may underflow to 0.
    /// Source: G. Marsaglia and W. W. Tsang, "A Simple Method for Generating Gamma Variables",
    /// 2000; a shape below 1 is drawn as shape + 1 times U^(1/shape), their section 6.
    package mutating func gamma(shape: Double, rate: Double) -> Double {
        precondition(shape > 0 && rate > 0, "a gamma distribution needs positive parameters")
        if shape < 1 {
            let boosted = gamma(shape: shape + 1, rate: rate)
            return boosted * pow(positiveUniform(), 1 / shape)
        }
        let d = shape - 1.0 / 3
        let c = 1 / (9 * d).squareRoot()
        while true {
            let x = normal()
            let root = 1 + c * x
            if root <= 0 { continue }
            let v = root * root * root
            let u = positiveUniform()
            if log(u) < 0.5 * x * x + d - d * v + d * log(v) { return d * v / rate }
        }
    }

    /// Beta(a, b) in [0, 1], as a ratio of gammas. Valid: both > 0.
    package mutating func beta(_ a: Double, _ b: Double) -> Double {
        let x = gamma(shape: a, rate: 1)
        let y = gamma(shape: b, rate: 1)
        // Both underflow only for shapes near 0, where the limit is a coin with chance a / (a + b).
        return x + y > 0 ? x / (x + y) : (uniform() < a / (a + b) ? 1 : 0)
    }

    /// Poisson. Valid: mean 0 ... 1e9.
    /// Source: below 10, multiplication of uniforms (D. E. Knuth, TAOCP vol. 2, 3.4.1); from 10,
    /// W. Hörmann, "The Transformed Rejection Method for Generating Poisson Random Variables",
    /// 1993, algorithm PTRS.
    package mutating func poisson(mean: Double) -> Int {
        precondition(mean >= 0 && mean <= 1e9, "a Poisson mean is 0 ... 1e9")
        if mean < 10 {
            let limit = exp(-mean)
            var count = 0
            var product = positiveUniform()
            while product > limit {
                count += 1
                product *= positiveUniform()
            }
            return count
        }
        let logMean = log(mean)
        let b = 0.931 + 2.53 * mean.squareRoot()
        let a = -0.059 + 0.02483 * b
        let inverseAlpha = 1.1239 + 1.1328 / (b - 3.4)
        let squeeze = 0.9277 - 3.6224 / (b - 2)
        while true {
            let u = uniform() - 0.5
            let v = positiveUniform()
            let distance = 0.5 - u.magnitude
            let k = ((2 * a / distance + b) * u + mean + 0.43).rounded(.down)
            if distance >= 0.07, v <= squeeze { return Int(k) }
            if k < 0 || (distance < 0.013 && v > distance) { continue }
            if log(v * inverseAlpha / (a / (distance * distance) + b))
                <= k * logMean - mean - lnGamma(k + 1)
            {
                return Int(k)
            }
        }
    }

    /// Failures before the first success, mean (1 - chance) / chance, by inversion.
    /// Valid: chance in (0, 1]. A draw beyond 2^62 is cut there.
    package mutating func geometric(chance: Double) -> Int {
        precondition(chance > 0 && chance <= 1, "a chance of success lies in (0, 1]")
        if chance == 1 { return 0 }
        let count = (log(positiveUniform()) / log1p(-chance)).rounded(.down)
        return Int(min(count, 0x1p62))
    }

    /// True with the given chance.
    package mutating func bernoulli(_ chance: Double) -> Bool { uniform() < chance }
}

/// Draws an index with chance proportional to its weight, in constant time.
/// Source: M. D. Vose, "A Linear Algorithm for Generating Random Numbers with a Given
/// Distribution", 1991.
package struct AliasTable: Sendable, Equatable {
    /// Chance that column `i` keeps its own index; else it gives `aliases[i]`.
    private let keep: [Double]
    private let aliases: [Int]

    /// Number of weights.
    package var count: Int { keep.count }

    /// - Parameter weights: finite and not negative, at least one positive. Nil otherwise, and
    ///   where their sum is not finite.
    package init?(weights: [Double]) {
        let total = weights.reduce(0, +)
        guard total > 0, total.isFinite, weights.allSatisfy({ $0 >= 0 }) else { return nil }
        var scaled = weights.map { $0 / total * Double(weights.count) }
        var small: [Int] = []
        var large: [Int] = []
        for index in scaled.indices {
            if scaled[index] < 1 { small.append(index) } else { large.append(index) }
        }
        var keep = [Double](repeating: 1, count: weights.count)
        var aliases = Array(weights.indices)
        while let low = small.last, let high = large.last {
            small.removeLast()
            keep[low] = scaled[low]
            aliases[low] = high
            scaled[high] -= 1 - scaled[low]
            if scaled[high] < 1 {
                large.removeLast()
                small.append(high)
            }
        }
        // What is left in either list differs from 1 by rounding only; it keeps its own index.
        // A weight of 0 cannot be left over while a column above 1 remains to fill it.
        self.keep = keep
        self.aliases = aliases
    }

    /// An index in 0 ..< count.
    package func draw(using random: inout SeededRandom) -> Int {
        let position = random.uniform() * Double(keep.count)
        // uniform() < 1, but the product may round up to count.
        let column = min(Int(position), keep.count - 1)
        return position - Double(column) < keep[column] ? column : aliases[column]
    }
}
