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

    /// 0 ok; 5 (not eligible) where the history contradicts itself, or an order value is asked for
    /// and the mean of the orders or the value is no finite number; otherwise as given.
    package var status: [UInt8]
    /// In 0...1; under BG/NBD 1 for customers without repeat purchase, by that model's construction.
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

    package init(
        status: [UInt8], probabilityAlive: [Double], expectedPurchases: [Double],
        churnProbability: [Double], expectedOrderValue: [Double]? = nil,
        lifetimeValue: [Double]? = nil
    ) {
        self.status = status
        self.probabilityAlive = probabilityAlive
        self.expectedPurchases = expectedPurchases
        self.churnProbability = churnProbability
        self.expectedOrderValue = expectedOrderValue
        self.lifetimeValue = lifetimeValue
    }

    package static let notEligible: UInt8 = 5
    private static let chunkRows = 16_384
    /// Of the pass that makes all columns at once: five of them fit into a cache.
    private static let blockRows = 2_048

    /// Scores every customer.
    ///
    /// Lifetime value is residual and continuous: the expectation over future purchases at times
    /// s in (0, horizon] of e^(−δ s), with δ = ln(1 + annual rate) a year, times the customer's
    /// expected order value, times the ratio of the basis. The purchases made so far and anything
    /// after the horizon are not part of it.
    ///
    /// All that depends on (x, T) only is computed once for each distinct pair, a few microseconds each;
    /// a customer then costs one look-up, the probability of being alive and a few products.
    /// - Parameters:
    ///   - repeatPurchaseCount: x; this and the next three as in `CollapsedHistory.init`.
    ///   - meanOrderValue: mean of the repeat orders, 0 where x = 0; not used without `spend`.
    ///   - status: 0 for customers to score; nil scores all.
    /// - Throws: `countMismatch`, `outOfRange` for a ratio that is not finite.
    package static func score(
        repeatPurchaseCount: [Int32], ageAtLastPurchaseDays: [Int32], observedAgeDays: [Int32],
        meanOrderValue: [Double], status: [UInt8]? = nil,
        model: any PurchaseModel, spend: FittedGammaGamma?, _ parameters: Parameters = Parameters()
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
        let needsMean = spend != nil
        let statuses = parallelArray(
            count: count, chunkRows: chunkRows, threadCount: parameters.threadCount
        ) { rows, slice in
            let (x, tx, age) = (
                repeatPurchaseCount.span, ageAtLastPurchaseDays.span, observedAgeDays.span
            )
            let means = meanOrderValue.span
            for (offset, row) in rows.enumerated() {
                let isUsable =
                    isPossibleHistory(x: x[row], tx: tx[row], age: age[row])
                    && (!needsMean || means[row].isFinite)
                slice[offset] = isUsable ? 0 : notEligible
            }
            guard let given = status else { return }
            for (offset, row) in rows.enumerated() where given[row] != 0 {
                slice[offset] = given[row]
            }
        }
        let pairs = DistinctPairs(
            x: repeatPurchaseCount, age: observedAgeDays, status: statuses,
            threadCount: parameters.threadCount)
        let grid = model.grid
        let outlooks = model.aliveOutlooks(
            pairs.pairs,
            OutlookTerms(
                horizon: parameters.horizon.count(in: grid),
                churnHorizon: parameters.churnHorizon.count(in: grid),
                discount: parameters.discountRate.continuous(per: grid)),
            threadCount: parameters.threadCount)
        let rowScoring = RowScoring(
            scorer: model.aliveScorer(maximumAgeDays: pairs.maximumAge), pairs: pairs,
            outlooks: outlooks, orderValue: spend?.blend, ratio: ratio)
        let (columns, refused) = parallelColumns(
            count: count, columnCount: spend == nil ? 3 : 5, chunkRows: blockRows,
            threadCount: parameters.threadCount
        ) { rows, block in
            rowScoring.fill(
                &block, rows: rows, x: repeatPurchaseCount.span, tx: ageAtLastPurchaseDays.span,
                age: observedAgeDays.span, meanOrderValue: meanOrderValue.span,
                status: statuses.span)
        }
        var scores = LifetimeScores(
            status: statuses, probabilityAlive: columns[0], expectedPurchases: columns[1],
            churnProbability: columns[2], expectedOrderValue: spend == nil ? nil : columns[3],
            lifetimeValue: spend == nil ? nil : columns[4])
        for row in refused.joined() { scores.status[row] = notEligible }
        return scores
    }
}

/// Makes all numbers of a row at once, from what is known of its pair of x and T.
private struct RowScoring: Sendable {
    let scorer: any AliveScorer
    let pairs: DistinctPairs
    /// By the code of the pair.
    let outlooks: [AliveOutlook]
    /// Nil where no order value is asked for.
    let orderValue: OrderValueBlend?
    /// What a unit of revenue is worth.
    let ratio: Double

    /// - Parameter block: `[3 or 5 × rows.count]`, all 0: probability alive, purchases, churn; with
    ///   order values also these and lifetime value.
    /// - Returns: rows of which a number is not finite, whose place stays 0.
    func fill(
        _ block: inout MutableSpan<Double>, rows: Range<Int>, x: Span<Int32>, tx: Span<Int32>,
        age: Span<Int32>, meanOrderValue: Span<Double>, status: Span<UInt8>
    ) -> [Int] {
        let count = rows.count
        var alive = [Double](repeating: 0, count: count)
        var slice = alive.mutableSpan
        scorer.fill(&slice, rows: rows, x: x, tx: tx, age: age, status: status)
        var codes = [Int32](repeating: -1, count: count)
        pairs.fill(&codes, rows: rows, x: x, age: age, status: status)
        let outlooks = outlooks.span
        var refused: [Int] = []
        for offset in 0..<count where codes[offset] >= 0 {
            let outlook = outlooks[Int(codes[offset])]
            let row = rows.lowerBound + offset
            let alive = alive[offset]
            let purchases = alive * outlook.expectedPurchases
            let churn = 1 - alive * outlook.purchaseProbability
            var (order, value) = (0.0, 0.0)
            if let orderValue {
                order = orderValue.expectedOrderValue(
                    x: Int(x[row]), meanOrderValue: meanOrderValue[row])
                value = alive * outlook.discountedPurchases * order * ratio
            }
            // Products of values near the largest double overflow: such a row gets a status, not
            // infinity. Zero times a number is zero only where the number is finite.
            guard purchases * 0 + churn * 0 + order * 0 + value * 0 == 0 else {
                refused.append(row)
                continue
            }
            block[offset] = alive
            block[count + offset] = purchases
            block[2 * count + offset] = churn
            guard orderValue != nil else { continue }
            block[3 * count + offset] = order
            block[4 * count + offset] = value
        }
        return refused
    }
}
