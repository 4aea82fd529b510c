import Foundation
import Models
import Numerical
import Testing
import Units

/// Parameters, histories and horizons far outside what data give: every answer is finite, in its
/// range, and on the right side of the bounds that hold for any parameters.
@Suite struct LifetimeLatticeTests {
    private static let parameters = [1e-7, 1e-3, 0.3, 1, 60, 1e6]
    private static let counts = [0, 1, 2, 40, 900, 1_000_000]
    private static let ages = [0, 1.0 / 7, 39, 5_000]
    private static let horizons = [0, 1.0 / 7, 52, 5_218]
    /// 0, 100 % a year and e^13 − 1 a year, a week.
    private static let discounts = [0, 0.0133, 0.25]

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func isFiniteInRangeAndBounded(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        func any<Value>(_ values: [Value]) -> Value { values[random.below(values.count)] }
        for _ in 0..<150 {
            let model = FittedBGNBD(
                r: any(Self.parameters), alpha: any(Self.parameters), a: any(Self.parameters),
                b: any(Self.parameters), grid: .week)
            let x = any(Self.counts)
            let age = any(Self.ages)
            let tx = x == 0 ? 0 : age * any([0, 0.5, 1])
            let horizon = any(Self.horizons)
            let place: Comment = """
                r \(model.r) alpha \(model.alpha) a \(model.a) b \(model.b) x \(x) tx \(tx) \
                T \(age) horizon \(horizon)
                """
            #expect(model.logLikelihood(x: x, tx: tx, age: age).isFinite, place)
            let alive = model.probabilityAlive(x: x, tx: tx, age: age)
            #expect((0...1).contains(alive), place)
            let active = model.probabilityOfPurchase(x: x, tx: tx, age: age, horizon: horizon)
            #expect((0...alive).contains(active), place)
            let expected = model.expectedPurchases(x: x, tx: tx, age: age, horizon: horizon)
            // At least one purchase where there is one; at most those of somebody who never leaves.
            let most =
                alive * (model.r + Double(x)) / (model.alpha + age) * horizon
            #expect(expected >= active * (1 - 1e-9), place)
            #expect(expected <= most * (1 + 1e-9), place)
            let longer = model.expectedPurchases(x: x, tx: tx, age: age, horizon: 2 * horizon)
            #expect(longer.isFinite && longer >= expected * (1 - 1e-9), place)
            var before = expected * (1 + 1e-9)
            for discount in Self.discounts {
                let value = model.discountedPurchases(
                    x: x, tx: tx, age: age, horizon: horizon, discount: discount)
                #expect(value >= 0 && value <= before, "\(place.rawValue) discount \(discount)")
                before = value * (1 + 1e-9)
            }
        }
    }

    /// Both quadrature rules beside a fine trapezoidal rule in ln(p / (1 − p)) over all of the
    /// Beta distribution, for parameters small and large.
    @Test func expectedPurchasesAgreeWithAFineGrid() {
        var random = SeededRandom(seed: 9)
        for _ in 0..<60 {
            func logUniform(_ low: Double, _ high: Double) -> Double {
                exp(log(low) + random.uniform() * log(high / low))
            }
            let model = FittedBGNBD(
                r: logUniform(0.02, 50), alpha: logUniform(0.1, 100), a: logUniform(0.02, 20),
                b: logUniform(0.02, 300), grid: .week)
            let x = [0, 1, 3, 20, 150, 700][random.below(6)]
            let age = logUniform(0.1, 200)
            let horizon = logUniform(0.5, 2_000)
            let (alpha, beta) = (model.a, model.b + Double(x))
            let shape = model.r + Double(x)
            let tau = horizon / (model.alpha + age)
            let mode = log(alpha / beta)
            func logDensity(_ z: Double) -> Double {
                alpha * (min(z, 0) - log1p(exp(-abs(z))))
                    + beta * (min(-z, 0) - log1p(exp(-abs(z))))
            }
            var (sum, weights) = (0.0, 0.0)
            for i in -30_000...30_000 {
                let z = Double(i) * 0.05
                let weight = exp(logDensity(z) - logDensity(mode))
                if weight < 1e-25 { continue }
                let p = z < 0 ? exp(z) / (1 + exp(z)) : 1 / (1 + exp(-z))
                weights += weight
                // Far left p underflows; f has long reached its limit.
                sum += weight * (p > 0 ? -expm1(-shape * log1p(p * tau)) / p : shape * tau)
            }
            let value = model.living(x: x, age: age).purchasesOfNew(horizon: horizon)
            #expect(
                abs(value / (sum / weights) - 1) < 1e-9,
                "a \(alpha) b+x \(beta) r+x \(shape) tau \(tau): \(value), \(sum / weights)")
        }
    }

    @Test func valuesNearTheLargestNumberGetAStatus() throws {
        let model = FittedBGNBD(r: 0.243, alpha: 4.414, a: 0.793, b: 2.426, grid: .week)
        let spend = try #require(FittedGammaGamma(p: 6.25, q: 3.74, v: 15.44))
        let scores = try LifetimeScores.score(
            repeatPurchaseCount: [40, 40, 0], ageAtLastPurchaseDays: [270, 270, 0],
            observedAgeDays: [273, 273, 0], meanOrderValue: [1e308, 30, 0], model: model,
            spend: spend)
        #expect(scores.status == [LifetimeScores.notEligible, 0, 0])
        #expect(scores.lifetimeValue?[0] == 0 && scores.expectedPurchases[0] == 0)
        #expect(scores.lifetimeValue.map { $0[1] > 100 } == true)
    }

    @Test func spendIsNeverNegativeWhateverTheValues() throws {
        var random = SeededRandom(seed: 4)
        // Means so scattered that the free maximum of the likelihood has q below 1.
        let counts = (0..<400).map { _ in Int32(1 + random.below(4)) }
        let scattered = (0..<400).map { _ in exp(12 * random.uniform()) }
        let nearlyEqual = (0..<400).map { _ in 20 + 1e-4 * random.uniform() }
        for means in [scattered, nearlyEqual, scattered.map { $0 * 1e200 }] {
            let fitted = try GammaGamma.fit(repeatPurchaseCount: counts, meanOrderValue: means)
            #expect(fitted.q > 1 && fitted.populationMean > 0 && fitted.populationMean.isFinite)
            let most = max(means.max() ?? 0, fitted.populationMean)
            for x in [0, 1, 5, 1_000_000] {
                for mean in [-5, 0, 1e-300] + means.prefix(5) {
                    let value = fitted.expectedOrderValue(x: x, meanOrderValue: mean)
                    #expect(value >= 0 && value <= most * (1 + 1e-12))
                }
            }
        }
    }
}
