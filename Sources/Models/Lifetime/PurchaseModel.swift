import Foundation
import Numerical
package import Units

/// What a customer who is alive on the as-of day will do. It depends on x and T only: when the
/// last purchase was tells whether the customer is alive, nothing about the rates.
package struct AliveOutlook: Sendable, Equatable {
    /// Expected purchases in the horizon; at least 0.
    package var expectedPurchases: Double
    /// The same with each purchase at time s counting e^(−δ s); at most `expectedPurchases`.
    package var discountedPurchases: Double
    /// Of at least one purchase in the churn horizon; 0...1.
    package var purchaseProbability: Double
}

/// The questions that an `AliveOutlook` answers; times in the unit of the model.
package struct OutlookTerms: Sendable, Equatable {
    /// Not negative, finite.
    package var horizon: Double
    package var churnHorizon: Double
    /// δ a unit, not negative.
    package var discount: Double

    package init(horizon: Double, churnHorizon: Double, discount: Double) {
        precondition(horizon >= 0 && churnHorizon >= 0 && discount >= 0)
        self.horizon = horizon
        self.churnHorizon = churnHorizon
        self.discount = discount
    }
}

/// A fitted model of repeat purchases.
///
/// A customer has made x repeat purchases, the last one at time t_x after the first purchase, and has
/// been observed for T. All that a model says of the future is the probability that the customer is
/// alive, which depends on all three, times what a living customer will do, which depends on x and T
/// only: such a customer is a new one of a model with other parameters, `living(x:age:)`. Times are
/// in units of `grid`; no answer is NaN or infinite.
package protocol PurchaseModel: Sendable {
    /// As it is written in the literature: `BG/NBD`.
    var name: String { get }
    var grid: TimeGrid { get }
    /// In the order of the diagnostics' standard errors.
    var parameters: [(name: String, value: Double)] { get }
    var diagnostics: FitDiagnostics { get }

    /// The log-likelihood of one history, in units of `grid`.
    /// - Precondition: x >= 0, 0 <= tx <= age.
    func logLikelihood(x: Int, tx: Double, age: Double) -> Double

    /// The probability that the customer has not dropped out by the as-of day; 0...1.
    func probabilityAlive(x: Int, tx: Double, age: Double) -> Double

    /// `probabilityAlive` for histories of whole days, of any customer up to an age.
    func aliveScorer(maximumAgeDays: Int) -> any AliveScorer

    /// What living customers will do, one for each pair, in their order.
    func aliveOutlooks(
        _ pairs: [(x: Int, ageDays: Int)], _ terms: OutlookTerms, threadCount: Int
    ) -> [AliveOutlook]

    /// The model of which a customer alive at `age` after x repeat purchases is a new customer who is
    /// alive.
    func living(x: Int, age: Double) -> Self

    // MARK: Of a new customer who is alive

    /// Expected purchases in the next `horizon`.
    func purchasesOfNew(horizon: Double) -> Double

    /// The same with each purchase at time s weighted by e^(−δ s).
    func discountedPurchasesOfNew(horizon: Double, discount: Double) -> Double

    /// E[N (N − 1)] for N purchases in the next `horizon`: with the expected purchases, their
    /// variance. At least 0.
    func purchasePairsOfNew(horizon: Double) -> Double

    /// The probability of at least one purchase in the next `horizon`.
    func purchaseProbabilityOfNew(horizon: Double) -> Double

    /// The probability of still being alive after `time`.
    func survivalOfNew(time: Double) -> Double

    /// The probability of exactly `count` purchases in the next `horizon`.
    func probabilityOfNew(count: Int, horizon: Double) -> Double

    /// The probability of at least `count` purchases in the next `horizon`; 1 where `count` is 0.
    func tailOfNew(from count: Int, horizon: Double) -> Double
}

/// Computes `probabilityAlive` of rows, with tables made once.
package protocol AliveScorer: Sendable {
    /// Fills `result` with one probability a row; 0 where the code is negative.
    /// - Parameters: of the rows `rows`; counts, ages and codes as in `LifetimeScores.score`.
    func fill(
        _ result: inout MutableSpan<Double>, rows: Range<Int>, x: Span<Int32>, tx: Span<Int32>,
        age: Span<Int32>, status: Span<UInt8>)
}

extension PurchaseModel {
    /// Expected purchases in the next `horizon` of the customer with this history.
    package func expectedPurchases(
        x: Int, tx: Double, age: Double, horizon: Double
    ) -> Double {
        probabilityAlive(x: x, tx: tx, age: age)
            * living(x: x, age: age).purchasesOfNew(horizon: horizon)
    }

    /// Expected purchases in the next `horizon`, each at time s ahead weighted by e^(−δ s).
    /// - Parameter discount: δ a unit of `grid`, not negative.
    package func discountedPurchases(
        x: Int, tx: Double, age: Double, horizon: Double, discount: Double
    ) -> Double {
        probabilityAlive(x: x, tx: tx, age: age)
            * living(x: x, age: age).discountedPurchasesOfNew(horizon: horizon, discount: discount)
    }

    /// Discounted expected residual purchases (DERT): of the whole future. Counted to the time after
    /// which a purchase is worth less than e^(−40) of one now, or has become as improbable.
    /// - Parameter discount: δ a unit of `grid`, above 0.
    package func residualPurchases(x: Int, tx: Double, age: Double, discount: Double) -> Double {
        precondition(discount > 0)
        return discountedPurchases(
            x: x, tx: tx, age: age, horizon: 40 / discount, discount: discount)
    }

    /// The probability of at least one purchase in the next `horizon` units. In 0...1. One minus this
    /// is the churn number.
    package func probabilityOfPurchase(
        x: Int, tx: Double, age: Double, horizon: Double
    ) -> Double {
        probabilityAlive(x: x, tx: tx, age: age)
            * living(x: x, age: age).purchaseProbabilityOfNew(horizon: horizon)
    }

    /// The probability that the customer will be alive `time` after the as-of day.
    package func probabilityAlive(
        x: Int, tx: Double, age: Double, after time: Double
    ) -> Double {
        probabilityAlive(x: x, tx: tx, age: age)
            * living(x: x, age: age).survivalOfNew(time: time)
    }

    /// The probability of exactly `count` purchases in the next `horizon`.
    package func probability(
        ofPurchases count: Int, x: Int, tx: Double, age: Double, horizon: Double
    ) -> Double {
        let alive = probabilityAlive(x: x, tx: tx, age: age)
        let part = alive * living(x: x, age: age).probabilityOfNew(count: count, horizon: horizon)
        return count == 0 ? 1 - alive + part : part
    }

    /// The least count that at most so many purchases are made with at least this probability in the
    /// next `horizon`; probabilities within 1e-12 of it count as reaching it.
    /// - Parameter probability: in 0 ..< 1, as .1, .5 and .9 for P10, P50 and P90.
    /// - Complexity: O(log of the count) tails.
    package func purchaseQuantile(
        _ probability: Double, x: Int, tx: Double, age: Double, horizon: Double
    ) -> Int {
        let alive = probabilityAlive(x: x, tx: tx, age: age)
        return living(x: x, age: age).purchaseQuantileOfNew(
            probability, alive: alive, horizon: horizon)
    }

    /// `purchaseQuantile` of a new customer who is alive with the probability `alive`.
    func purchaseQuantileOfNew(_ probability: Double, alive: Double, horizon: Double) -> Int {
        precondition((0..<1).contains(probability))
        let rest = 1 - probability + 1e-12
        func isReached(_ count: Int) -> Bool {
            alive <= rest || alive * tailOfNew(from: count + 1, horizon: horizon) <= rest
        }
        if isReached(0) { return 0 }
        var low = 0
        var high = 1
        while !isReached(high) {
            low = high
            high *= 2
            if high > CollapsedHistory.maximumRepeatPurchaseCount {
                return CollapsedHistory.maximumRepeatPurchaseCount
            }
        }
        while high - low > 1 {
            let middle = (low + high) / 2
            if isReached(middle) { high = middle } else { low = middle }
        }
        return high
    }

    /// Variance of the purchases in the next `horizon`, at these parameters.
    package func purchaseVariance(
        x: Int, tx: Double, age: Double, horizon: Double
    ) -> Double {
        let alive = probabilityAlive(x: x, tx: tx, age: age)
        let living = living(x: x, age: age)
        let mean = alive * living.purchasesOfNew(horizon: horizon)
        return max(0, alive * living.purchasePairsOfNew(horizon: horizon) + mean - mean * mean)
    }

    /// `purchasePairsOfNew` of living customers, one for each pair of x and T.
    func alivePairs(
        _ pairs: [(x: Int, ageDays: Int)], horizon: Double, threadCount: Int
    ) -> [Double] {
        parallelMap(count: pairs.count, chunkSize: 64, threadCount: threadCount) { _, range in
            range.map {
                living(x: pairs[$0].x, age: Double(pairs[$0].ageDays) / grid.days)
                    .purchasePairsOfNew(horizon: horizon)
            }
        }.flatMap { $0 }
    }

    /// E[X(t)]: expected repeat purchases of a random customer in the `time` after the first.
    package func expectedRepeatPurchases(time: Double) -> Double {
        expectedPurchases(x: 0, tx: 0, age: 0, horizon: time)
    }

    /// P(X(t) = count): the distribution of repeat purchases of a random customer in `time`.
    package func probability(ofRepeatPurchases count: Int, time: Double) -> Double {
        probability(ofPurchases: count, x: 0, tx: 0, age: 0, horizon: time)
    }

    package func aliveOutlooks(
        _ pairs: [(x: Int, ageDays: Int)], _ terms: OutlookTerms, threadCount: Int
    ) -> [AliveOutlook] {
        parallelMap(count: pairs.count, chunkSize: 64, threadCount: threadCount) { _, range in
            range.map { index in
                let living = living(
                    x: pairs[index].x, age: Double(pairs[index].ageDays) / grid.days)
                let expected = living.purchasesOfNew(horizon: terms.horizon)
                let discounted = living.discountedPurchasesOfNew(
                    horizon: terms.horizon, discount: terms.discount)
                return AliveOutlook(
                    expectedPurchases: expected, discountedPurchases: min(discounted, expected),
                    purchaseProbability: living.purchaseProbabilityOfNew(
                        horizon: terms.churnHorizon))
            }
        }.flatMap { $0 }
    }
}
