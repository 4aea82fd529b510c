import Foundation
import Numerical

/// What groups of customers are expected to order and spend, step by step into the future.
///
/// Of the customers who are known now: those who will be won later are in no group. Values are
/// revenue, not discounted, returns not deducted.
///
/// The intervals hold two kinds of doubt, added as variances: that of the models' parameters, by the
/// delta method on their logarithms' covariances; and the customers' own chance, from the second moments
/// of the posterior of each one's rate, life and order value. What no model knows, such as seasons, promotions and crises, is in neither: a
/// back-test says how much that is. `SegmentForecast` says the same of one horizon, discounted.
package struct ValuePath: Codable, Equatable, Sendable {
    package struct Step: Codable, Equatable, Sendable {
        /// In this step alone.
        package let orders: Double
        package let value: Double
        /// 95 %, at least 0; nil where the parameters' covariances are not known.
        package let interval: ClosedRange<Double>?
        /// From now to the end of the step.
        package let valueToHere: Double
        package let intervalToHere: ClosedRange<Double>?
    }

    package let customerCount: Int
    package let steps: [Step]

    /// Who the customers are, one element a customer; as in `LifetimeScores.score`.
    package struct Customers: Sendable {
        package var repeatPurchaseCount: [Int32]
        package var ageAtLastPurchaseDays: [Int32]
        package var observedAgeDays: [Int32]
        /// Of the repeat orders, 0 where there is none; finite.
        package var meanOrderValue: [Double]
        /// Numbers below the count of groups; below 0: left out.
        package var groups: [Int32]

        package init(
            repeatPurchaseCount: [Int32], ageAtLastPurchaseDays: [Int32],
            observedAgeDays: [Int32], meanOrderValue: [Double], groups: [Int32]
        ) {
            self.repeatPurchaseCount = repeatPurchaseCount
            self.ageAtLastPurchaseDays = ageAtLastPurchaseDays
            self.observedAgeDays = observedAgeDays
            self.meanOrderValue = meanOrderValue
            self.groups = groups
        }
    }

    /// Most steps of a path.
    package static let maximumStepCount = 1_000

    /// The paths of all groups.
    ///
    /// O(customers · steps) and, for each parameter twice and once more, O(different (x, T) · steps)
    /// quadratures. Same bytes for any thread count.
    /// - Parameters:
    ///   - ends: of the steps, days from now, ascending, above 0.
    ///   - spend: of order values.
    /// - Throws: `countMismatch`, `outOfRange`, `impossibleHistory`, `nonFiniteValue`.
    package static func paths(
        _ customers: Customers, groupCount: Int, endDays ends: [Int], model: FittedPurchaseModel,
        spend: FittedGammaGamma, threadCount: Int = 1
    ) throws(ModelError) -> [ValuePath] {
        try customers.check(groupCount: groupCount)
        guard (1...maximumStepCount).contains(ends.count) else {
            throw .outOfRange(
                what: "steps of a path", actual: Double(ends.count),
                allowed: "1...\(maximumStepCount)")
        }
        guard ends[0] > 0, zip(ends.dropFirst(), ends).allSatisfy({ $0 > $1 }) else {
            throw .outOfRange(
                what: "end of a step in days", actual: Double(ends[0]),
                allowed: "above 0, each later than the one before")
        }
        let run = PathRun(customers, groupCount: groupCount, ends: ends, threadCount: threadCount)
        let point = run.sums(model.model, spend)
        let parameters = run.parameterVariance(model, spend)
        let chance = run.chanceVariance(model.model, spend)
        return (0..<groupCount).map { group in
            var steps: [Step] = []
            for step in ends.indices {
                func interval(_ value: Double, _ place: Int) -> ClosedRange<Double>? {
                    parameters.map { parameters in
                        let variance = parameters[place] + chance[place]
                        let reach = 1.959963984540054 * max(0, variance).squareRoot()
                        return max(0, value - reach)...max(value, value + reach)
                    }
                }
                let (single, whole) = (
                    run.place(group, step, .step), run.place(group, step, .toHere)
                )
                steps.append(
                    Step(
                        orders: point.orders[single], value: point.values[single],
                        interval: interval(point.values[single], single),
                        valueToHere: point.values[whole],
                        intervalToHere: interval(point.values[whole], whole)))
            }
            return ValuePath(customerCount: run.counts[group], steps: steps)
        }
    }
}

extension ValuePath.Customers {
    fileprivate func check(groupCount: Int) throws(ModelError) {
        let count = groups.count
        try requireCount(repeatPurchaseCount.count, count, "repeat purchase counts")
        try requireCount(ageAtLastPurchaseDays.count, count, "ages at last purchase")
        try requireCount(observedAgeDays.count, count, "observed ages")
        try requireCount(meanOrderValue.count, count, "mean order values")
        for row in 0..<count where groups[row] >= 0 {
            guard Int(groups[row]) < groupCount else {
                throw .outOfRange(
                    what: "group of row \(row)", actual: Double(groups[row]),
                    allowed: "below \(groupCount)")
            }
            guard
                isPossibleHistory(
                    x: repeatPurchaseCount[row], tx: ageAtLastPurchaseDays[row],
                    age: observedAgeDays[row])
            else {
                throw .impossibleHistory(
                    row: row, reason: "x, t_x and T contradict each other")
            }
            guard meanOrderValue[row].isFinite else {
                throw .nonFiniteValue(what: "mean order values", row: row, column: 0)
            }
        }
    }
}

/// Sums over groups at any parameters.
///
/// Every array of sums has two places a step: of the step alone, and from now to its end.
private struct PathRun: Sendable {
    enum Span { case step, toHere }

    let counts: [Int]
    private let customers: ValuePath.Customers
    private let groupCount: Int
    private let ends: [Int]
    private let threadCount: Int
    private let status: [UInt8]
    private let pairs: DistinctPairs
    /// The pair of each customer; -1 for those in no group.
    private let codes: [Int32]

    init(
        _ customers: ValuePath.Customers, groupCount: Int, ends: [Int], threadCount: Int
    ) {
        self.customers = customers
        self.groupCount = groupCount
        self.ends = ends
        self.threadCount = threadCount
        let status = customers.groups.map { $0 < 0 ? LifetimeScores.notEligible : 0 }
        let pairs = DistinctPairs(
            x: customers.repeatPurchaseCount, age: customers.observedAgeDays, status: status,
            threadCount: threadCount)
        var codes = [Int32](repeating: -1, count: status.count)
        var counts = [Int](repeating: 0, count: groupCount)
        pairs.fill(
            &codes, rows: codes.indices, x: customers.repeatPurchaseCount.span,
            age: customers.observedAgeDays.span, status: status.span)
        for row in codes.indices where status[row] == 0 {
            counts[Int(customers.groups[row])] += 1
        }
        self.status = status
        self.pairs = pairs
        self.codes = codes
        self.counts = counts
    }

    func place(_ group: Int, _ step: Int, _ span: Span) -> Int {
        (group * ends.count + step) * 2 + (span == .step ? 0 : 1)
    }

    private var placeCount: Int { groupCount * ends.count * 2 }

    /// Orders of a living customer of each pair up to the end of each step, `[pair × step]`.
    private func outlooks(_ model: any PurchaseModel) -> [Double] {
        let all = pairs.pairs
        var result = [Double](repeating: 0, count: all.count * ends.count)
        for (step, end) in ends.enumerated() {
            let terms = OutlookTerms(
                horizon: Double(end) / model.grid.days, churnHorizon: 0, discount: 0)
            let outlooks = model.aliveOutlooks(all, terms, threadCount: threadCount)
            for (pair, outlook) in outlooks.enumerated() {
                result[pair * ends.count + step] = outlook.expectedPurchases
            }
        }
        return result
    }

    private func alive(_ model: any PurchaseModel) -> [Double] {
        let scorer = model.aliveScorer(maximumAgeDays: pairs.maximumAge)
        return parallelArray(
            count: codes.count, chunkRows: 16_384, threadCount: threadCount
        ) { rows, slice in
            scorer.fill(
                &slice, rows: rows, x: customers.repeatPurchaseCount.span,
                tx: customers.ageAtLastPurchaseDays.span, age: customers.observedAgeDays.span,
                status: status.span)
        }
    }

    /// Expected orders and values of all places.
    func sums(
        _ model: any PurchaseModel, _ spend: FittedGammaGamma
    ) -> (orders: [Double], values: [Double]) {
        sums(alive(model), outlooks(model), spend)
    }

    private func sums(
        _ alive: [Double], _ outlooks: [Double], _ spend: FittedGammaGamma
    ) -> (orders: [Double], values: [Double]) {
        // Customers of one pair and group are one weight each.
        let pairCount = pairs.pairs.count
        var orders = [Double](repeating: 0, count: groupCount * pairCount)
        var values = [Double](repeating: 0, count: groupCount * pairCount)
        for row in codes.indices where codes[row] >= 0 {
            let place = Int(customers.groups[row]) * pairCount + Int(codes[row])
            orders[place] += alive[row]
            values[place] +=
                alive[row]
                * spend.expectedOrderValue(
                    x: Int(customers.repeatPurchaseCount[row]),
                    meanOrderValue: customers.meanOrderValue[row])
        }
        func spread(_ weights: [Double]) -> [Double] {
            var result = [Double](repeating: 0, count: placeCount)
            for group in 0..<groupCount {
                for pair in 0..<pairCount {
                    let weight = weights[group * pairCount + pair]
                    if weight == 0 { continue }
                    var before = 0.0
                    for step in ends.indices {
                        let here = outlooks[pair * ends.count + step]
                        result[place(group, step, .step)] += weight * (here - before)
                        result[place(group, step, .toHere)] += weight * here
                        before = here
                    }
                }
            }
            return result
        }
        return (spread(orders), spread(values))
    }

    /// gᵀ Σ g of every value, with its derivatives g by the logarithms of the parameters and their
    /// covariances Σ; nil where those are not known.
    func parameterVariance(_ model: FittedPurchaseModel, _ spend: FittedGammaGamma) -> [Double]? {
        guard
            let purchases = model.model.diagnostics.logCovariance.flatMap({ LogNormalDraws($0) }),
            let orders = spend.diagnostics.logCovariance.flatMap({ LogNormalDraws($0) })
        else { return nil }
        func variance(_ law: LogNormalDraws, _ values: ([Double]) -> [Double]) -> [Double] {
            let step = 1e-3
            let slopes = (0..<law.size).map { index in
                var shift = [Double](repeating: 0, count: law.size)
                shift[index] = step
                let above = values(shift)
                shift[index] = -step
                return zip(above, values(shift)).map { ($0 - $1) / (2 * step) }
            }
            return (0..<placeCount).map { place in law.variance(slopes.map { $0[place] }) }
        }
        let (alive, outlooks) = (alive(model.model), outlooks(model.model))
        let one = variance(purchases) { sums(model.fitted.shifted(by: $0).model, spend).values }
        let other = variance(orders) { sums(alive, outlooks, spend.shifted(by: $0)).values }
        return zip(one, other).map { $0 + $1 }
    }

    /// The sum of the customers' own variances: E[N] E[Var Z] + E[N²] E[mean of Z]² − (E[N] E[Z])²
    /// of N orders of values Z, with the second moments of the posterior distributions.
    func chanceVariance(_ model: any PurchaseModel, _ spend: FittedGammaGamma) -> [Double] {
        let (alive, outlooks) = (alive(model), outlooks(model))
        // E[N (N − 1)] of a living customer of each pair up to the end of each step.
        let twos = ends.map { end in
            model.alivePairs(
                pairs.pairs, horizon: Double(end) / model.grid.days, threadCount: threadCount)
        }
        var total = [Double](repeating: 0, count: placeCount)
        for row in codes.indices where codes[row] >= 0 && alive[row] > 0 {
            let x = Int(customers.repeatPurchaseCount[row])
            let (mean, within, square) = spend.orderMoments(
                x: x, meanOrderValue: customers.meanOrderValue[row])
            var before = 0.0
            for step in ends.indices {
                let here = outlooks[Int(codes[row]) * ends.count + step]
                let two = twos[step][Int(codes[row])]
                for (orders, span) in [(here - before, Span.step), (here, .toHere)] {
                    let expected = alive[row] * orders
                    // Of the orders so far those of the step are taken as drawn at random.
                    let share = here > 0 ? orders / here : 0
                    let squares = expected + alive[row] * two * share * share
                    let variance =
                        expected * within + squares * square - expected * mean * expected * mean
                    total[place(Int(customers.groups[row]), step, span)] += max(0, variance)
                }
                before = here
            }
        }
        return total
    }
}

extension FittedGammaGamma {
    /// Mean of an order's value; its mean variance around the customer's own mean; and the mean square
    /// of that mean. Where the posterior has no second moment (q + p x ≤ 2) it is taken as if it were
    /// barely there.
    fileprivate func orderMoments(
        x: Int, meanOrderValue: Double
    ) -> (mean: Double, within: Double, square: Double) {
        let mean = expectedOrderValue(x: x, meanOrderValue: meanOrderValue)
        let q = q + p * Double(x)
        // (E[1/ν²]) / (E[1/ν])² of ν ~ Gamma(q, ·).
        let ratio = (q - 1) / max(q - 2, 0.25)
        return (mean, mean * mean * ratio / p, mean * mean * ratio)
    }
}
