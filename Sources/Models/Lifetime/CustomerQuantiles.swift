import Foundation
import Numerical
package import Units

/// What each customer will buy, and spend, in a horizon with given probabilities: P10, P50 and P90
/// say how far a single customer may be from the expectation.
///
/// The parameters are taken as they are; what is spread is the customer. Values are of the orders in
/// the horizon, not discounted.
package struct CustomerQuantiles: Sendable, Equatable {
    package struct Parameters: Sendable {
        /// Default 52 weeks.
        package var horizon = Horizon(52, .week)
        /// Each in 0 ..< 1, ascending. Default .1, .5, .9.
        package var probabilities = [0.1, 0.5, 0.9]
        /// Default revenue.
        package var basis = ValueBasis.revenue
        /// At least 1. Does not change the result.
        package var threadCount = 1

        package init() {}
    }

    /// 0 ok; 5 (not eligible) as in `LifetimeScores`; otherwise as given.
    package let status: [UInt8]
    /// `[customer × probability]`, row-major: the least count that at most so many purchases are made
    /// with at least this probability. 0 where the status is not 0.
    package let purchases: [Int32]
    /// The same of the value in currency units of the basis; nil without an order-value model.
    package let values: [Double]?
}

extension FittedPurchaseModel {
    /// Quantiles of every customer.
    ///
    /// Given n orders, a customer of x repeat orders with mean m spends (v + x m) B with B beta prime
    /// of (p n, q + p x), so that a quantile of the value is v + x m times one that depends on the
    /// history alone: each different history is solved for once, less than a
    /// millisecond each.
    /// Relative error 1e-6 where no more than 256 counts are likely; beyond, counts are taken in
    /// 256 blocks. Source: Fader & Hardie, "The Gamma-Gamma Model of Monetary Value", 2013, eq. 2.
    /// - Parameters: as of `LifetimeScores.score`.
    /// - Throws: `countMismatch`; `outOfRange` for a probability or a ratio that is negative or not
    ///   finite.
    package func quantiles(
        repeatPurchaseCount: [Int32], ageAtLastPurchaseDays: [Int32], observedAgeDays: [Int32],
        meanOrderValue: [Double], status: [UInt8]? = nil, spend: FittedGammaGamma?,
        _ parameters: CustomerQuantiles.Parameters = CustomerQuantiles.Parameters()
    ) throws(ModelError) -> CustomerQuantiles {
        let probabilities = parameters.probabilities
        for probability in probabilities where !(0..<1).contains(probability) {
            throw .outOfRange(
                what: "probability of a quantile", actual: probability, allowed: "0 ..< 1")
        }
        let ratio = parameters.basis.ratio
        guard ratio >= 0, ratio.isFinite else {
            throw .outOfRange(
                what: "margin ratio", actual: ratio, allowed: "not negative and finite")
        }
        let rows = try ScoredRows(
            repeatPurchaseCount: repeatPurchaseCount,
            ageAtLastPurchaseDays: ageAtLastPurchaseDays, observedAgeDays: observedAgeDays,
            meanOrderValue: meanOrderValue, status: status, needsMean: spend != nil)
        let model = model
        let horizon = parameters.horizon.count(in: model.grid)
        let solved = parallelMap(
            count: rows.histories.count, chunkSize: 16, threadCount: parameters.threadCount
        ) { _, range in
            range.map { index -> [(count: Int32, value: Double)] in
                let history = rows.histories[index]
                return model.solvedQuantiles(
                    probabilities, x: history.x, tx: Double(history.tx) / model.grid.days,
                    age: Double(history.age) / model.grid.days, horizon: horizon, spend: spend)
            }
        }.flatMap { $0 }
        let width = probabilities.count
        var purchases = [Int32](repeating: 0, count: rows.status.count * width)
        var values = purchases.map { _ in 0.0 }
        var statuses = rows.status
        for row in rows.status.indices where statuses[row] == 0 {
            let quantiles = solved[Int(rows.codes[row])]
            let scale =
                spend.map {
                    $0.v + Double(repeatPurchaseCount[row]) * max(0, meanOrderValue[row])
                } ?? 0
            for (place, quantile) in quantiles.enumerated() {
                purchases[row * width + place] = quantile.count
                let value = quantile.value * scale * ratio
                values[row * width + place] = value
                if !value.isFinite { statuses[row] = LifetimeScores.notEligible }
            }
            guard statuses[row] != 0 else { continue }
            for place in row * width..<(row + 1) * width {
                purchases[place] = 0
                values[place] = 0
            }
        }
        return CustomerQuantiles(
            status: statuses, purchases: purchases, values: spend == nil ? nil : values)
    }
}

extension PurchaseModel {
    /// For each probability the count, and the value over v + x m; 0 without `spend`.
    fileprivate func solvedQuantiles(
        _ probabilities: [Double], x: Int, tx: Double, age: Double, horizon: Double,
        spend: FittedGammaGamma?
    ) -> [(count: Int32, value: Double)] {
        let alive = probabilityAlive(x: x, tx: tx, age: age)
        let living = living(x: x, age: age)
        let law = spend.map {
            SpendLaw(living, alive: alive, horizon: horizon, p: $0.p, q: $0.q + $0.p * Double(x))
        }
        return probabilities.map { probability in
            let count = living.purchaseQuantileOfNew(probability, alive: alive, horizon: horizon)
            return (Int32(count), count == 0 ? 0 : law?.quantile(probability) ?? 0)
        }
    }
}

/// The distribution of what a customer spends, over v + x m: a mixture over counts n of beta prime
/// variables of (p n, q).
private struct SpendLaw {
    private let q: Double
    /// p n and the probability of each block of counts above 0, and that of no order.
    private var shapes: [Double] = []
    private var weights: [Double] = []
    private let none: Double

    private static let blocks = 256
    /// What is left out at either end.
    private static let rest = 1e-10

    init<Model: PurchaseModel>(
        _ living: Model, alive: Double, horizon: Double, p: Double, q: Double
    ) {
        self.q = q
        func tail(_ count: Int) -> Double {
            count == 0 ? 1 : alive * living.tailOfNew(from: count, horizon: horizon)
        }
        let most = living.purchaseQuantileOfNew(1 - Self.rest, alive: alive, horizon: horizon)
        none = 1 - tail(1)
        guard most > 0 else { return }
        let least = max(
            1, living.purchaseQuantileOfNew(Self.rest, alive: 1, horizon: horizon))
        let low = min(least, most)
        let width = max(1, (most - low) / Self.blocks + 1)
        var count = low
        // Counts below the least go with it.
        var above = tail(1)
        while count <= most {
            let end = min(count + width, most + 1)
            let next = end > most ? 0 : tail(end)
            shapes.append(p * (Double(count) + Double(end - 1)) / 2)
            weights.append(max(0, above - next))
            above = next
            count = end
        }
    }

    /// P(spent over v + x m is at most e^t).
    private func share(_ t: Double) -> Double {
        let (below, above) = (1 / (1 + exp(-t)), 1 / (1 + exp(t)))
        var sum = none
        for (shape, weight) in zip(shapes, weights) where weight > 0 {
            sum += weight * incompleteBeta(below, complement: above, shape, q)
        }
        return sum
    }

    /// Illinois' method on ln of the value. Source: Dowell & Jarratt 1971.
    func quantile(_ probability: Double) -> Double {
        guard probability > none, !shapes.isEmpty else { return 0 }
        var (low, high) = (-1.0, 1.0)
        var atLow = share(low) - probability
        while atLow > 0, low > -600 {
            high = low
            low *= 2
            atLow = share(low) - probability
        }
        var atHigh = share(high) - probability
        while atHigh < 0, high < 600 {
            low = high
            atLow = atHigh
            high *= 2
            atHigh = share(high) - probability
        }
        guard atLow < 0, atHigh > 0 else { return exp(atHigh <= 0 ? high : low) }
        for _ in 0..<100 where high - low > 1e-8 {
            let middle = min(
                max(low + (high - low) * (-atLow / (atHigh - atLow)), low.nextUp), high.nextDown)
            let value = share(middle) - probability
            if abs(value) < 1e-12 { return exp(middle) }
            if value < 0 {
                low = middle
                atLow = value
                atHigh /= 2
            } else {
                high = middle
                atHigh = value
                atLow /= 2
            }
        }
        return exp((low + high) / 2)
    }
}
