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
    /// Of the pass that makes four columns at once.
    private static let blockRows = 4_096

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
        let statuses = parallelArray(
            count: count, chunkRows: chunkRows, threadCount: parameters.threadCount
        ) { rows, slice in
            for (offset, row) in rows.enumerated() {
                let given = status?[row] ?? 0
                let isUsable =
                    isPossibleHistory(
                        x: repeatPurchaseCount[row], tx: ageAtLastPurchaseDays[row],
                        age: observedAgeDays[row])
                    && (spend == nil || meanOrderValue[row].isFinite)
                slice[offset] = given != 0 || isUsable ? given : notEligible
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
        let scorer = model.aliveScorer(maximumAgeDays: pairs.maximumAge)
        let alive = parallelArray(
            count: count, chunkRows: chunkRows, threadCount: parameters.threadCount
        ) { rows, slice in
            scorer.fill(
                &slice, rows: rows, x: repeatPurchaseCount.span, tx: ageAtLastPurchaseDays.span,
                age: observedAgeDays.span, status: statuses.span)
        }
        let (columns, refused) = parallelColumns(
            count: count, columnCount: spend == nil ? 2 : 4, chunkRows: blockRows,
            threadCount: parameters.threadCount, zero: 0.0
        ) { rows, block in
            var refused: [Int] = []
            for (offset, row) in rows.enumerated() where statuses[row] == 0 {
                let x = repeatPurchaseCount[row]
                let outlook = outlooks[Int(pairs.code(x: x, age: observedAgeDays[row]))]
                let purchases = alive[row] * outlook.expectedPurchases
                let churn = 1 - alive[row] * outlook.purchaseProbability
                var (order, value) = (0.0, 0.0)
                if let spend {
                    order = spend.expectedOrderValue(
                        x: Int(x), meanOrderValue: meanOrderValue[row])
                    value = alive[row] * outlook.discountedPurchases * order * ratio
                }
                // Products of values near the largest double overflow: such a row gets a status, not
                // infinity.
                guard alive[row].isFinite, purchases.isFinite, churn.isFinite, order.isFinite,
                    value.isFinite
                else {
                    refused.append(row)
                    continue
                }
                block[offset] = purchases
                block[rows.count + offset] = churn
                if spend != nil {
                    block[2 * rows.count + offset] = order
                    block[3 * rows.count + offset] = value
                }
            }
            return refused
        }
        var scores = LifetimeScores(
            status: statuses, probabilityAlive: alive, expectedPurchases: columns[0],
            churnProbability: columns[1], expectedOrderValue: spend == nil ? nil : columns[2],
            lifetimeValue: spend == nil ? nil : columns[3])
        for row in refused.joined() {
            scores.status[row] = notEligible
            scores.probabilityAlive[row] = 0
        }
        return scores
    }
}

/// The distinct pairs of x and T of customers, numbered in ascending order.
///
/// Nearly all customers have so small an x that a pair is found in a table of all; the others are
/// found by hash.
struct DistinctPairs: Sendable {
    private(set) var pairs: [(x: Int, ageDays: Int)] = []
    private(set) var maximumAge = 0
    /// Codes of pairs with x below `tabulated`, by x and age; -1 for none.
    private var table: [Int32] = []
    private var tabulated = 0
    private var others: [UInt64: Int32] = [:]

    private static let tableCount = 1 << 20

    /// - Parameter status: rows with another than 0 are left out; of the others x and T are at least 0.
    init(x: [Int32], age: [Int32], status: [UInt8], threadCount: Int) {
        let chunkRows = 1 << 16
        let limits = parallelMap(
            count: x.count, chunkSize: chunkRows, threadCount: threadCount
        ) { _, rows in
            var limits = (x: Int32(-1), age: Int32(0))
            for row in rows where status[row] == 0 {
                limits = (max(limits.x, x[row]), max(limits.age, age[row]))
            }
            return limits
        }
        let maximumX = Int(limits.map(\.x).max() ?? -1)
        maximumAge = Int(limits.map(\.age).max() ?? 0)
        guard maximumX >= 0 else { return }
        let width = maximumAge + 1
        let tabulated = min(maximumX + 1, max(1, Self.tableCount / width))
        self.tabulated = tabulated
        table = [Int32](repeating: -1, count: tabulated * width)
        var marks = [Marks](
            repeating: Marks(tabulated: Bitmap(count: table.count)), count: threadCount)
        parallelFor(count: x.count, chunkSize: chunkRows, scratches: &marks) { marks, _, rows in
            for row in rows where status[row] == 0 {
                if Int(x[row]) < tabulated {
                    marks.tabulated[Int(x[row]) * width + Int(age[row])] = true
                } else {
                    marks.others.insert(Self.key(x[row], age[row]))
                }
            }
        }
        for word in marks[0].tabulated.words.indices {
            var bits = marks.reduce(0) { $0 | $1.tabulated.words[word] }
            while bits != 0 {
                let place = word * 64 + bits.trailingZeroBitCount
                table[place] = Int32(pairs.count)
                pairs.append((place / width, place % width))
                bits &= bits - 1
            }
        }
        let rest = marks.reduce(into: Set<UInt64>()) { $0.formUnion($1.others) }
        for key in rest.sorted() {
            others[key] = Int32(pairs.count)
            pairs.append((Int(key >> 32), Int(key & 0xFFFF_FFFF)))
        }
    }

    /// Pairs that a thread has seen.
    private struct Marks: Sendable {
        var tabulated: Bitmap
        var others: Set<UInt64> = []
    }

    private static func key(_ x: Int32, _ age: Int32) -> UInt64 { UInt64(x) << 32 | UInt64(age) }

    func code(x: Int32, age: Int32) -> Int32 {
        Int(x) < tabulated
            ? table[Int(x) * (maximumAge + 1) + Int(age)] : others[Self.key(x, age)] ?? -1
    }
}
