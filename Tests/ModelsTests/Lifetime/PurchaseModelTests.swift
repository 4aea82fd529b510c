import Foundation
import Models
import Numerical
import Testing
import Units

/// What holds for every model of repeat purchases.
@Suite struct PurchaseModelTests {
    private static let models: [any PurchaseModel] = [
        FittedBGNBD(r: 0.243, alpha: 4.414, a: 0.793, b: 2.426, grid: .week),
        FittedBGNBD(r: 0.525, alpha: 6.183, a: 0.891, b: 1.614, grid: .week, variant: .modified),
        FittedParetoNBD(r: 0.5534, alpha: 10.5802, s: 0.6061, beta: 11.6562, grid: .week),
        FittedParetoNBD(r: 2, alpha: 5, s: 1, beta: 5, grid: .week),
        FittedNBD(r: 0.385, alpha: 12.07, grid: .week),
    ]

    private static let histories: [(x: Int, tx: Double, age: Double)] = [
        (0, 0, 0), (0, 0, 39), (1, 10, 39), (2, 30, 39), (10, 38, 39), (26, 30.86, 31), (3, 39, 39),
    ]

    private func check(
        _ likelihood: ([Double]) -> ObjectiveEvaluation, at points: [[Double]], _ name: Comment
    ) {
        for point in points {
            let at = likelihood(point)
            let h = 1e-5
            for i in point.indices {
                var (up, down) = (point, point)
                up[i] += h
                down[i] -= h
                let (above, below) = (likelihood(up), likelihood(down))
                let slope = (above.value - below.value) / (2 * h)
                #expect(abs(slope - at.gradient[i]) < 2e-8 * max(1, abs(slope)), name)
                for j in point.indices {
                    let bend = (above.gradient[j] - below.gradient[j]) / (2 * h)
                    #expect(abs(bend - at.hessian[i, j]) < 2e-8 * max(1, abs(bend)), name)
                }
            }
        }
    }

    @Test func derivativesAgreeWithDifferences() throws {
        let s = LifetimeSimulation(count: 500, seed: 3, r: 0.5, alpha: 6, s: 0.6, beta: 10)
        let history = try CollapsedHistory(
            repeatPurchaseCount: s.x, ageAtLastPurchaseDays: s.tx, observedAgeDays: s.age)
        let points = [[-1.4, -2, -0.2, 0.9], [0, 0, 0, 0], [1.5, 1, -3, 4], [0.3, 3, 2, -4]]
        check(
            ParetoNBDLikelihood(history: history, threadCount: 1).negativeMean, at: points,
            "Pareto/NBD")
        check(
            BGNBDLikelihood(history, variant: .modified, threadCount: 1).negativeMean,
            at: points, "MBG/NBD")
        check(
            NBDLikelihood(history: history, threadCount: 1).negativeMean,
            at: points.map { Array($0.prefix(2)) }, "NBD")
    }

    /// Counts have probabilities that sum to 1, and the mean that is expected.
    @Test func probabilitiesMakeADistribution() {
        for model in Self.models {
            for (x, tx, age) in Self.histories {
                for horizon in [0, 3, 26.0] {
                    var (sum, mean) = (0.0, 0.0)
                    for count in 0..<400 {
                        let p = model.probability(
                            ofPurchases: count, x: x, tx: tx, age: age, horizon: horizon)
                        sum += p
                        mean += p * Double(count)
                    }
                    let place: Comment = "\(model.name) x \(x) T \(age) horizon \(horizon)"
                    let expected = model.expectedPurchases(
                        x: x, tx: tx, age: age, horizon: horizon)
                    #expect(abs(sum - 1) < 1e-9, place)
                    #expect(abs(mean - expected) < 1e-7 * max(1, expected), place)
                    let none = model.probability(
                        ofPurchases: 0, x: x, tx: tx, age: age, horizon: horizon)
                    let active = model.probabilityOfPurchase(
                        x: x, tx: tx, age: age, horizon: horizon)
                    #expect(abs(none + active - 1) < 1e-9, place)
                }
            }
        }
    }

    /// Customers of thousands of purchases, whose probability of none is below the smallest number.
    @Test func manyPurchasesMakeADistribution() {
        let quick: [any PurchaseModel] = [
            FittedParetoNBD(r: 5_000, alpha: 50, s: 0.5, beta: 10, grid: .week),
            FittedParetoNBD(r: 50_000, alpha: 500, s: 2, beta: 1, grid: .week),
        ]
        for model in Self.models + quick {
            let isQuick = model.parameters[0].value > 1_000
            let x = isQuick ? 0 : 2_000
            let (tx, age) = isQuick ? (0, 0) : (51.9, 52.0)
            let horizon = isQuick ? 26.0 : 52.0
            var (sum, mean) = (0.0, 0.0)
            for count in 0..<6_000 {
                let p = model.probability(
                    ofPurchases: count, x: x, tx: tx, age: age, horizon: horizon)
                sum += p
                mean += p * Double(count)
            }
            let expected = model.expectedPurchases(x: x, tx: tx, age: age, horizon: horizon)
            #expect(abs(sum - 1) < 1e-9, "\(model.name): \(sum)")
            #expect(abs(mean / expected - 1) < 1e-9, "\(model.name): \(mean), \(expected)")
        }
    }

    @Test func quantilesAreThoseOfTheDistribution() {
        for model in Self.models {
            for (x, tx, age) in Self.histories {
                var before = 0
                for probability in [0, 0.1, 0.5, 0.9, 0.999] {
                    let quantile = model.purchaseQuantile(
                        probability, x: x, tx: tx, age: age, horizon: 26)
                    #expect(quantile >= before)
                    before = quantile
                    let below = (0..<max(quantile, 0)).reduce(0) {
                        $0
                            + model.probability(
                                ofPurchases: $1, x: x, tx: tx, age: age, horizon: 26)
                    }
                    #expect(quantile == 0 || below < probability)
                }
            }
        }
    }

    /// Closed forms at α = β, where drop-out is so quick that the integrand ends long before the
    /// horizon.
    @Test(arguments: [1, 1e2, 1e4, 1e5, 1e6, 1e7])
    func quickDropOut(s: Double) {
        for r in [0.01, 0.5, 3] {
            let model = FittedParetoNBD(r: r, alpha: 2, s: s, beta: 2, grid: .week)
            for time in [0.1, 39, 5_218] {
                let length = log1p(time / 2)
                let active = model.purchaseProbabilityOfNew(horizon: time)
                let expected = -r / (r + s) * expm1(-(r + s) * length)
                #expect(abs(active / expected - 1) < 1e-12, "r \(r) time \(time): \(active)")
                // 1 + Q is 1 + s/(r+s) (e^((r+s) length) − 1), here over that exponential.
                let rest = exp(-(r + s) * length)
                let likelihood = log(s / (r + s) + r / (r + s) * rest)
                let value = model.logLikelihood(x: 0, tx: 0, age: time)
                #expect(abs(value - likelihood) < 1e-9 * max(1, abs(likelihood) + s * length))
            }
        }
    }

    /// Each purchase that is expected later is one expected earlier by a customer who has lived on.
    @Test func survivalAndExpectationAgree() {
        for model in Self.models {
            for (x, tx, age) in Self.histories {
                // d/dt of discounted purchases at δ is e^(−δt) times that of the undiscounted.
                let (discount, horizon, step) = (0.02, 20.0, 1e-3)
                func rate(_ delta: Double) -> Double {
                    let later = model.discountedPurchases(
                        x: x, tx: tx, age: age, horizon: horizon + step, discount: delta)
                    let earlier = model.discountedPurchases(
                        x: x, tx: tx, age: age, horizon: horizon - step, discount: delta)
                    return (later - earlier) / (2 * step)
                }
                let ratio = rate(discount) / rate(0)
                #expect(abs(ratio / exp(-discount * horizon) - 1) < 1e-5, "\(model.name)")
                var before = 1.0
                for time in [0, 1, 20, 500.0] {
                    let alive = model.probabilityAlive(x: x, tx: tx, age: age, after: time)
                    #expect(alive >= 0 && alive <= before * (1 + 1e-12))
                    before = alive
                }
                let now = model.probabilityAlive(x: x, tx: tx, age: age)
                let soon = model.probabilityAlive(x: x, tx: tx, age: age, after: 0)
                #expect(abs(now - soon) < 1e-12)
                // What is left of the future after very long is nothing.
                let whole = model.residualPurchases(x: x, tx: tx, age: age, discount: 0.02)
                let long = model.discountedPurchases(
                    x: x, tx: tx, age: age, horizon: 1_500, discount: 0.02)
                #expect(abs(whole / long - 1) < 1e-9 && whole.isFinite, "\(model.name)")
            }
        }
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func isFiniteInRangeAndBounded(seed: UInt64) {
        var random = SeededRandom(seed: seed, stream: 7)
        func any<Value>(_ values: [Value]) -> Value { values[random.below(values.count)] }
        let values = [1e-7, 1e-3, 0.3, 1, 60, 1e6]
        for _ in 0..<250 {
            let (one, two, three, four) = (any(values), any(values), any(values), any(values))
            let all: [any PurchaseModel] = [
                FittedParetoNBD(r: one, alpha: two, s: three, beta: four, grid: .week),
                FittedBGNBD(
                    r: one, alpha: two, a: three, b: four, grid: .week, variant: .modified),
                FittedNBD(r: one, alpha: two, grid: .week),
            ]
            let x = any([0, 1, 2, 40, 900, 1_000_000])
            let age = any([0, 1.0 / 7, 39, 5_000])
            let tx = x == 0 ? 0 : age * any([0, 0.5, 1])
            let horizon = any([0, 1.0 / 7, 52, 5_218])
            for model in all {
                let place: Comment = """
                    \(model.name) \(model.parameters) x \(x) tx \(tx) T \(age) horizon \(horizon)
                    """
                #expect(model.logLikelihood(x: x, tx: tx, age: age).isFinite, place)
                let alive = model.probabilityAlive(x: x, tx: tx, age: age)
                #expect((0...1).contains(alive), place)
                let active = model.probabilityOfPurchase(x: x, tx: tx, age: age, horizon: horizon)
                #expect((0...alive * (1 + 1e-12)).contains(active), place)
                let expected = model.expectedPurchases(x: x, tx: tx, age: age, horizon: horizon)
                let rate = model.parameters[0].value + Double(x)
                let most = alive * rate / (model.parameters[1].value + age) * horizon
                #expect(expected >= active * (1 - 1e-9), place)
                #expect(expected <= most * (1 + 1e-9), place)
                var before = expected * (1 + 1e-9)
                for discount in [0, 0.0133, 0.25] {
                    let value = model.discountedPurchases(
                        x: x, tx: tx, age: age, horizon: horizon, discount: discount)
                    #expect(value >= 0 && value <= before, "\(place.rawValue) at \(discount)")
                    before = value * (1 + 1e-9)
                }
            }
        }
    }

    /// Planted truth within three and a half standard errors, for any thread count.
    @Test func recoversPlantedParameters() throws {
        let truth = [0.6, 8, 0.7, 12]
        let s = LifetimeSimulation(
            count: 40_000, seed: 20_261, r: truth[0], alpha: truth[1], s: truth[2], beta: truth[3])
        let history = try CollapsedHistory(
            repeatPurchaseCount: s.x, ageAtLastPurchaseDays: s.tx, observedAgeDays: s.age)
        let fitted = try ParetoNBD.fit(history, PurchaseFitParameters(threadCount: 2))
        #expect(fitted.diagnostics.isSound)
        let errors = try #require(fitted.diagnostics.standardErrors)
        for (index, parameter) in fitted.parameters.enumerated() {
            #expect(abs(parameter.value - truth[index]) < 3.5 * errors[index])
            #expect(errors[index] < 0.2 * truth[index])
        }
        #expect(try ParetoNBD.fit(history, PurchaseFitParameters(threadCount: 1)) == fitted)
        // The model that made the data explains them best.
        var likelihoods: [Double] = [try #require(fitted.diagnostics.logLikelihood)]
        for kind in [PurchaseModelKind.bgnbd, .mbgnbd, .nbd] {
            let other = try kind.fit(history, PurchaseFitParameters(threadCount: 2))
            likelihoods.append(try #require(other.model.diagnostics.logLikelihood))
            let decoded = try JSONDecoder().decode(
                FittedPurchaseModel.self, from: JSONEncoder().encode(other))
            #expect(decoded == other)
        }
        #expect(likelihoods.max() == likelihoods[0])
        #expect(likelihoods.min() == likelihoods[3])
    }

    @Test func priorsPullTowardsThemselves() throws {
        let s = LifetimeSimulation(count: 3_000, seed: 5, r: 0.6, alpha: 8, s: 0.7, beta: 12)
        let history = try CollapsedHistory(
            repeatPurchaseCount: s.x, ageAtLastPurchaseDays: s.tx, observedAgeDays: s.age)
        for kind in PurchaseModelKind.allCases {
            let free = try kind.fit(history).model
            var parameters = PurchaseFitParameters()
            let last = free.parameters.count - 1
            let (name, value) = free.parameters[last]
            parameters.priors[name] = LogNormalPrior(median: value * 2, logDeviation: 1e-4)
            let held = try kind.fit(history, parameters).model
            #expect(abs(held.parameters[last].value / (2 * value) - 1) < 1e-3, "\(kind)")
            parameters.priors[name] = LogNormalPrior(median: value * 2, logDeviation: 1e4)
            let loose = try kind.fit(history, parameters).model
            #expect(abs(loose.parameters[last].value / value - 1) < 1e-3, "\(kind)")
            let likelihood = try #require(free.diagnostics.logLikelihood)
            #expect(try #require(held.diagnostics.logLikelihood) < likelihood)
            parameters.priors["gamma"] = LogNormalPrior(median: 1, logDeviation: 1)
            let error = #expect(throws: ModelError.self) { try kind.fit(history, parameters) }
            #expect(error?.description.contains("gamma") == true)
        }
    }
}
