import Foundation
import Models
import Testing
import Units

/// The probability of at least so many purchases, from which quantiles are found.
@Suite struct PurchaseTailTests {
    private static let models: [any PurchaseModel] = [
        FittedBGNBD(r: 0.243, alpha: 4.414, a: 0.793, b: 2.426, grid: .week),
        FittedBGNBD(r: 0.525, alpha: 6.183, a: 0.891, b: 1.614, grid: .week, variant: .modified),
        FittedParetoNBD(r: 0.5534, alpha: 10.5802, s: 0.6061, beta: 11.6562, grid: .week),
        FittedParetoNBD(r: 4, alpha: 1e-3, s: 1, beta: 500, grid: .week),
        FittedNBD(r: 0.385, alpha: 12.07, grid: .week),
    ]

    @Test func isTheRestOfTheProbabilities() {
        for model in Self.models {
            for x in [0, 3, 60, 2_000] {
                let living = Self.living(model, x: x, age: 39)
                for horizon in [0.2, 26, 300] {
                    var head = 0.0
                    for count in 0..<600 {
                        let tail = living.tailOfNew(from: count, horizon: horizon)
                        #expect(
                            abs(head + tail - 1) < 2e-10,
                            "\(model.name) x \(x) horizon \(horizon) from \(count): \(tail)")
                        head += living.probabilityOfNew(count: count, horizon: horizon)
                    }
                    let one = living.tailOfNew(from: 1, horizon: horizon)
                    let active = living.purchaseProbabilityOfNew(horizon: horizon)
                    #expect(abs(one - active) < 1e-12)
                }
                #expect(living.tailOfNew(from: 0, horizon: 0) == 1)
                #expect(living.tailOfNew(from: 2, horizon: 0) == 0)
            }
        }
    }

    private static func living(
        _ model: any PurchaseModel, x: Int, age: Double
    ) -> any PurchaseModel { model.living(x: x, age: age) }

    /// Far out the terms are left whose difference from 1 is nothing.
    @Test func keepsItsDigitsFarOut() {
        let model = FittedNBD(r: 2, alpha: 1, grid: .week)
        // q = 1/2: P(X >= n) = (n + 2) / 2^(n+1).
        for n in [1, 10, 100, 900] {
            let exact = log(Double(n + 2)) - Double(n + 1) * log(2)
            let tail = log(model.tailOfNew(from: n, horizon: 1))
            #expect(abs(tail - exact) < 1e-11, "\(n)")
        }
    }

    /// A customer of a million purchases has quantiles at once, near those of the normal law.
    @Test func quantilesOfManyPurchases() {
        for model in Self.models {
            let living = Self.living(model, x: 1_000_000, age: 200)
            let mean = living.purchasesOfNew(horizon: 1)
            let low = model.purchaseQuantile(0.1, x: 1_000_000, tx: 200, age: 200, horizon: 1)
            let high = model.purchaseQuantile(0.9, x: 1_000_000, tx: 200, age: 200, horizon: 1)
            // Gamma-mixed Poisson: variance mean (1 + mean / shape).
            let deviation = (mean * (1 + mean / 1_000_000)).squareRoot()
            #expect(low < high, "\(model.name)")
            if case let nbd as FittedNBD = model {
                #expect(abs(Double(low) - (mean - 1.2816 * deviation)) < 3, "\(nbd.name): \(low)")
                #expect(abs(Double(high) - (mean + 1.2816 * deviation)) < 3, "\(high)")
            }
        }
    }
}
