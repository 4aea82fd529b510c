import Foundation
import Numerical

/// Customers of a BG/NBD world with Gamma-Gamma spend, for tests only.
struct LifetimeSimulation {
    var x: [Int32] = []
    var tx: [Int32] = []
    var age: [Int32] = []
    var mean: [Double] = []

    /// α in weeks; every customer has an own stream, so counts do not change the draws.
    /// - Parameter dropsOutAtFirst: as under MBG/NBD.
    init(
        count: Int, seed: UInt64, r: Double, alpha: Double, a: Double, b: Double,
        spend: (p: Double, q: Double, v: Double) = (6.25, 3.74, 15.44), days: Int = 730,
        dropsOutAtFirst: Bool = false
    ) {
        for customer in 0..<count {
            var random = SeededRandom(seed: seed, stream: UInt64(customer))
            let lived = days / 4 + random.below(days - days / 4)
            let rate = Self.gamma(r, &random) / alpha / 7
            let one = Self.gamma(a, &random)
            let dropout = one / (one + Self.gamma(b, &random))
            var time = 0.0
            var last = 0.0
            var purchases = 0
            var isAlive = !dropsOutAtFirst || random.uniform() >= dropout
            while isAlive {
                time -= log(1 - random.uniform()) / rate
                guard time <= Double(lived) else { break }
                purchases += 1
                last = time
                isAlive = random.uniform() >= dropout
            }
            x.append(Int32(purchases))
            tx.append(purchases == 0 ? 0 : Int32(last.rounded()))
            age.append(Int32(lived))
            let scale = Self.gamma(spend.q, &random) / spend.v
            let n = Double(purchases)
            mean.append(
                purchases == 0 ? 0 : Self.gamma(spend.p * n, &random) / (n * scale))
        }
    }

    /// A Pareto/NBD world; α and β in weeks.
    init(
        count: Int, seed: UInt64, r: Double, alpha: Double, s: Double, beta: Double, days: Int = 730
    ) {
        for customer in 0..<count {
            var random = SeededRandom(seed: seed, stream: UInt64(customer))
            let lived = days / 4 + random.below(days - days / 4)
            let rate = Self.gamma(r, &random) / alpha / 7
            let leaving = Self.gamma(s, &random) / beta / 7
            let end = min(Double(lived), -log(1 - random.uniform()) / leaving)
            var (time, last, purchases) = (0.0, 0.0, 0)
            while true {
                time -= log(1 - random.uniform()) / rate
                guard time <= end else { break }
                purchases += 1
                last = time
            }
            x.append(Int32(purchases))
            tx.append(purchases == 0 ? 0 : Int32(last.rounded()))
            age.append(Int32(lived))
            mean.append(purchases == 0 ? 0 : 20)
        }
    }

    /// Marsaglia & Tsang 2000, with Box-Muller normals.
    static func gamma(_ shape: Double, _ random: inout SeededRandom) -> Double {
        guard shape >= 1 else {
            return gamma(shape + 1, &random) * pow(1 - random.uniform(), 1 / shape)
        }
        let d = shape - 1.0 / 3
        let c = 1 / (9 * d).squareRoot()
        while true {
            let normal =
                (-2 * log(1 - random.uniform())).squareRoot()
                * cos(2 * Double.pi * random.uniform())
            let cube = 1 + c * normal
            guard cube > 0 else { continue }
            let v = cube * cube * cube
            if log(1 - random.uniform()) < normal * normal / 2 + d - d * v + d * log(v) {
                return d * v
            }
        }
    }
}
