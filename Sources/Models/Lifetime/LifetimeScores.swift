import Foundation
import Numerical
package import Units

/// What counts as value.
package enum ValueBasis: Hashable, Codable, Sendable {
    case revenue
    /// Revenue times this ratio of gross margin; finite.
    case margin(ratio: Double)

    /// 1 for revenue.
    package var ratio: Double {
        switch self {
        case .revenue: 1
        case .margin(let ratio): ratio
        }
    }
}

/// Lifetime scores of all customers, one element a customer in every array. Where the status is
/// not 0 all numbers of the row are 0 and mean nothing.
package struct LifetimeScores: Sendable, Equatable {
    package struct Parameters: Sendable {
        /// Over which purchases and value are expected. Default 52 weeks.
        package var horizon = Horizon(52, .week)
        /// In which a customer without any purchase has churned. Default 13 weeks.
        package var churnHorizon = Horizon(13, .week)
        /// Default 10 % a year.
        package var discountRate = DiscountRate(annual: 0.1)
        /// Default revenue.
        package var basis = ValueBasis.revenue
        /// At least 1. Does not change the result.
        package var threadCount = 1

        package init() {}
    }

    /// 0 ok; 5 (not eligible) where the history contradicts itself or its value is beyond all
    /// numbers; otherwise as given.
    package var status: [UInt8]
    /// In 0...1; 1 for customers without repeat purchase by the model's construction.
    package var probabilityAlive: [Double]
    /// Purchases in the horizon; at least 0.
    package var expectedPurchases: [Double]
    /// 1 − probability of a purchase in the churn horizon; 0...1.
    package var churnProbability: [Double]
    /// Revenue of a future order in currency units; nil without an order-value model.
    package var expectedOrderValue: [Double]?
    /// Value of the purchases in the horizon at the as-of day, currency units of the basis; nil
    /// without an order-value model.
    package var lifetimeValue: [Double]?

    package static let notEligible: UInt8 = 5
    private static let chunkRows = 16_384

    /// Scores every customer.
    ///
    /// Lifetime value is residual and continuous: the expectation over future purchases at times
    /// s in (0, horizon] of e^(−δ s), with δ = ln(1 + annual rate) a year, times the customer's
    /// expected order value, times the ratio of the basis. The purchases made so far and anything
    /// after the horizon are not part of it.
    ///
    /// All that depends on (x, T) only is computed once for each distinct pair, a few microseconds each;
    /// a customer then costs one hash probe, one exponential and a few products.
    /// - Parameters:
    ///   - repeatPurchaseCount: x; this and the next three as in `CollapsedHistory.init`.
    ///   - meanOrderValue: mean of the repeat orders, 0 where x = 0; not used without `spend`.
    ///   - status: 0 for customers to score; nil scores all.
    /// - Throws: `countMismatch`, `outOfRange` for a ratio that is not finite.
    package static func score(
        repeatPurchaseCount: [Int32], ageAtLastPurchaseDays: [Int32], observedAgeDays: [Int32],
        meanOrderValue: [Double], status: [UInt8]? = nil,
        model: FittedBGNBD, spend: FittedGammaGamma?, _ parameters: Parameters = Parameters()
    ) throws(ModelError) -> LifetimeScores {
        let count = repeatPurchaseCount.count
        try requireCount(ageAtLastPurchaseDays.count, count, "ages at last purchase")
        try requireCount(observedAgeDays.count, count, "observed ages")
        try requireCount(meanOrderValue.count, count, "mean order values")
        if let status { try requireCount(status.count, count, "statuses") }
        let ratio = parameters.basis.ratio
        guard ratio.isFinite else {
            throw .outOfRange(what: "margin ratio", actual: ratio, allowed: "finite")
        }

        var statuses = status ?? [UInt8](repeating: 0, count: count)
        var pairs = UniqueKeys()
        var pairCodes = [Int32](repeating: -1, count: count)
        var maximumAge: Int32 = 0
        for row in 0..<count where statuses[row] == 0 {
            let (x, tx, age) = (
                repeatPurchaseCount[row], ageAtLastPurchaseDays[row], observedAgeDays[row]
            )
            if historyProblem(x: x, tx: tx, age: age) != nil || !meanOrderValue[row].isFinite {
                statuses[row] = notEligible
                continue
            }
            pairCodes[row] = pairs.insert(UInt64(x) << 20 | UInt64(age))
            maximumAge = max(maximumAge, age)
        }
        let codes = pairCodes
        let outlooks = PairOutlooks(pairs.keys, model: model, parameters)
        let scorer = RowScorer(
            x: repeatPurchaseCount, tx: ageAtLastPurchaseDays, age: observedAgeDays,
            mean: meanOrderValue, codes: codes, model: model, spend: spend,
            logAges: (0...Int(maximumAge)).map { log(model.alpha + Double($0) / model.grid.days) })

        func column(_ value: @Sendable (Int) -> Double) -> [Double] {
            parallelArray(
                count: count, chunkRows: chunkRows, threadCount: parameters.threadCount
            ) { rows, slice in
                for (offset, row) in rows.enumerated() {
                    slice[offset] = codes[row] >= 0 ? value(row) : 0
                }
            }
        }
        let alive = column { scorer.probabilityAlive($0) }
        let orderValue = spend.map { _ in column { scorer.expectedOrderValue($0) } }
        var scores = LifetimeScores(
            status: statuses,
            probabilityAlive: alive,
            expectedPurchases: column { alive[$0] * outlooks.expected[Int(codes[$0])] },
            churnProbability: column { 1 - alive[$0] * outlooks.active[Int(codes[$0])] },
            expectedOrderValue: orderValue,
            lifetimeValue: orderValue.map { value in
                column { alive[$0] * outlooks.discounted[Int(codes[$0])] * value[$0] * ratio }
            })
        scores.refuseNonFinite()
        return scores
    }

    /// Products of values near the largest double overflow: such a row gets a status, not infinity.
    private mutating func refuseNonFinite() {
        for row in status.indices where status[row] == 0 {
            let isFinite =
                probabilityAlive[row].isFinite && expectedPurchases[row].isFinite
                && churnProbability[row].isFinite && expectedOrderValue?[row].isFinite ?? true
                && lifetimeValue?[row].isFinite ?? true
            if isFinite { continue }
            status[row] = Self.notEligible
            probabilityAlive[row] = 0
            expectedPurchases[row] = 0
            churnProbability[row] = 0
            expectedOrderValue?[row] = 0
            lifetimeValue?[row] = 0
        }
    }
}

/// The outlook of a living customer for each distinct (x, T).
private struct PairOutlooks: Sendable {
    private(set) var expected: [Double] = []
    private(set) var discounted: [Double] = []
    private(set) var active: [Double] = []

    /// - Parameter keys: x << 20 | T in days.
    init(_ keys: [UInt64], model: FittedBGNBD, _ parameters: LifetimeScores.Parameters) {
        let horizon = parameters.horizon.count(in: model.grid)
        let churnHorizon = parameters.churnHorizon.count(in: model.grid)
        let discount = parameters.discountRate.continuous(per: model.grid)
        let timeRule = DropoutQuadrature.timeRule(discountOverHorizon: discount * horizon)
        let counts = Array(Set(keys.map { Int($0 >> 20) })).sorted()
        let rules = parallelMap(
            count: counts.count, chunkSize: 8, threadCount: parameters.threadCount
        ) { _, range in range.map { DropoutQuadrature(model: model, x: counts[$0]) } }
        .flatMap { $0 }
        var ruleIndex: [Int: Int] = [:]
        for (index, x) in counts.enumerated() { ruleIndex[x] = index }
        let ruleOfKey = keys.map { ruleIndex[Int($0 >> 20)] ?? 0 }
        let parts = parallelMap(
            count: keys.count, chunkSize: 64, threadCount: parameters.threadCount
        ) { _, range in
            range.map { index in
                let x = Int(keys[index] >> 20)
                let age = Double(keys[index] & 0xF_FFFF) / model.grid.days
                let outlook = rules[ruleOfKey[index]].outlook(
                    age: model.alpha + age, horizon: horizon, discount: discount,
                    timeRule: timeRule)
                return (
                    outlook,
                    model.alivePurchaseProbability(x: x, age: age, horizon: churnHorizon)
                )
            }
        }
        for (outlook, probability) in parts.joined() {
            expected.append(outlook.expectedPurchases)
            discounted.append(outlook.discountedPurchases)
            active.append(probability)
        }
    }
}

/// Reads the columns of one row.
private struct RowScorer: Sendable {
    let x: [Int32]
    let tx: [Int32]
    let age: [Int32]
    let mean: [Double]
    let codes: [Int32]
    let model: FittedBGNBD
    let spend: FittedGammaGamma?
    /// ln(α + t) by whole days t.
    let logAges: [Double]

    func probabilityAlive(_ row: Int) -> Double {
        let count = Double(x[row])
        let d = (model.r + count) * (logAges[Int(age[row])] - logAges[Int(tx[row])])
        // Odds a / (b+x−1) · e^d of having dropped out; none without a repeat purchase.
        return count > 0 ? 1 / (1 + model.a / (model.b + (count - 1)) * exp(d)) : 1
    }

    func expectedOrderValue(_ row: Int) -> Double {
        spend?.expectedOrderValue(x: Int(x[row]), meanOrderValue: mean[row]) ?? 0
    }
}
