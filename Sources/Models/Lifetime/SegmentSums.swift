import Foundation
import Numerical
import Units

/// Customers merged by history and segment, and the sums of a forecast over them at any parameters.
///
/// A customer's expected order value p (v + x m) / (p x + q − 1) is linear in the mean m of the
/// orders, and its second moment quadratic: of the customers of a row Σ m and Σ m² are enough.
struct SegmentSums: Sendable {
    private struct Row: Sendable {
        let history: Int
        let segment: Int
        var customers = 0.0
        var means = 0.0
        var squares = 0.0
    }

    private let histories: [ScoredRows.History]
    private var rows: [Row] = []
    private var pairs: [(x: Int, ageDays: Int)] = []
    private var pairOfHistory: [Int32] = []
    private let x: [Int32]
    private let tx: [Int32]
    private let age: [Int32]
    private let segmentCount: Int
    private let terms: OutlookTerms
    private let ratio: Double
    private let days: Double
    private let threadCount: Int

    init(
        _ scored: ScoredRows, meanOrderValue: [Double], segment: [Int32], segmentCount: Int,
        grid: TimeGrid, _ parameters: SegmentForecast.Parameters
    ) {
        histories = scored.histories
        self.segmentCount = segmentCount
        let horizon = parameters.horizon.count(in: grid)
        terms = OutlookTerms(
            horizon: horizon, churnHorizon: 0,
            discount: parameters.discountRate.continuous(per: grid))
        ratio = parameters.basis.ratio
        days = grid.days
        threadCount = max(1, parameters.threadCount)
        x = histories.map { Int32($0.x) }
        tx = histories.map { Int32($0.tx) }
        age = histories.map { Int32($0.age) }
        var keys = UniqueKeys()
        for row in scored.codes.indices where scored.codes[row] >= 0 {
            let code = Int(
                keys.insert(UInt64(scored.codes[row]) << 32 | UInt64(segment[row])))
            if code == rows.count {
                rows.append(Row(history: Int(scored.codes[row]), segment: Int(segment[row])))
            }
            let mean = meanOrderValue[row].isFinite ? max(0, meanOrderValue[row]) : 0
            rows[code].customers += 1
            rows[code].means += mean
            rows[code].squares += mean * mean
        }
        var pairKeys = UniqueKeys()
        for history in histories {
            let code = pairKeys.insert(UInt64(history.x) << 32 | UInt64(history.age))
            if Int(code) == pairs.count { pairs.append((history.x, history.age)) }
            pairOfHistory.append(code)
        }
    }

    /// Parameters of the order values on their natural scale.
    private struct Spend: Sendable {
        let p: Double
        let q: Double
        let v: Double

        init(_ fitted: FittedGammaGamma) {
            p = fitted.p
            q = fitted.q
            v = fitted.v
        }
    }

    /// Of one history: P(alive) times the expectations.
    private struct Outlook: Sendable {
        let purchases: Double
        let discounted: Double
    }

    func forecast(
        _ fitted: FittedPurchaseModel, spend: FittedGammaGamma?, method: SegmentForecast.Method,
        z: Double, leftOut: Int
    ) -> SegmentForecast {
        let spending = spend.map { Spend($0) }
        let model = fitted.model
        let outlooks = outlooks(model)
        let expected = sums(outlooks, spending)
        let parts = deviations(fitted, spend, spending, expected, method)
        let customers = customerVariances(model, outlooks, spending)
        var counts = [Int](repeating: 0, count: segmentCount + 1)
        for row in rows {
            counts[row.segment] += Int(row.customers)
            counts[segmentCount] += Int(row.customers)
        }
        func sum(_ place: Int) -> SegmentForecast.Sum {
            let variance = customers[place]
            return SegmentForecast.Sum(
                expected: expected[place], parameterDeviation: parts?[place],
                customerDeviation: variance.isFinite ? variance.squareRoot() : nil, z: z)
        }
        let segments = (0...segmentCount).map { id in
            SegmentForecast.Segment(
                customerCount: counts[id], purchases: sum(2 * id),
                value: spend == nil ? nil : sum(2 * id + 1))
        }
        return SegmentForecast(
            segments: Array(segments.dropLast()), total: segments[segmentCount],
            leftOutCount: leftOut)
    }

    private func outlooks(_ model: any PurchaseModel) -> [Outlook] {
        let living = model.aliveOutlooks(pairs, terms, threadCount: 1)
        let scorer = model.aliveScorer(maximumAgeDays: Int(age.max() ?? 0))
        let status = [UInt8](repeating: 0, count: histories.count)
        let alive = parallelArray(
            count: histories.count, chunkRows: 1 << 16, threadCount: 1
        ) { rows, slice in
            scorer.fill(
                &slice, rows: rows, x: x.span, tx: tx.span, age: age.span, status: status.span)
        }
        return alive.indices.map { index in
            let outlook = living[Int(pairOfHistory[index])]
            return Outlook(
                purchases: alive[index] * outlook.expectedPurchases,
                discounted: alive[index] * outlook.discountedPurchases)
        }
    }

    /// `[(segmentCount + 1) × 2]`: purchases and value of each segment, then of all.
    private func sums(_ outlooks: [Outlook], _ spend: Spend?) -> [Double] {
        var sums = [Double](repeating: 0, count: 2 * (segmentCount + 1))
        for row in rows {
            let outlook = outlooks[row.history]
            sums[2 * row.segment] += row.customers * outlook.purchases
            guard let spend else { continue }
            let x = Double(histories[row.history].x)
            let orders =
                spend.p * (row.customers * spend.v + x * row.means) / (spend.p * x + spend.q - 1)
            sums[2 * row.segment + 1] += outlook.discounted * orders * ratio
        }
        for id in 0..<segmentCount {
            sums[2 * segmentCount] += sums[2 * id]
            sums[2 * segmentCount + 1] += sums[2 * id + 1]
        }
        return sums
    }

    /// Variances at given parameters, laid out as `sums`: customers are independent.
    ///
    /// With N purchases of mean order value Z = p/ν: E N² from the expected pairs of purchases, and
    /// E (spent)² = E N · E(p/ν²) + E N² · E(p²/ν²), E 1/ν² = w² / ((Q−1)(Q−2)) for w = v + x m and
    /// Q = q + p x.
    private func customerVariances(
        _ model: any PurchaseModel, _ outlooks: [Outlook], _ spend: Spend?
    ) -> [Double] {
        let pairsAhead = model.alivePairs(
            pairs, horizon: terms.horizon, threadCount: threadCount)
        let living = model.aliveOutlooks(pairs, terms, threadCount: threadCount)
        var sums = [Double](repeating: 0, count: 2 * (segmentCount + 1))
        for row in rows {
            let outlook = outlooks[row.history]
            let pair = Int(pairOfHistory[row.history])
            let alone = living[pair].expectedPurchases
            // P(alive) is what the mean is of that of a living customer.
            let alive = alone > 0 ? outlook.purchases / alone : 0
            let mean = outlook.purchases
            let square = alive * pairsAhead[pair] + mean
            sums[2 * row.segment] += row.customers * max(0, square - mean * mean)
            guard let spend else { continue }
            let x = Double(histories[row.history].x)
            let shape = spend.q + spend.p * x
            // Σ w and Σ w² over the customers of the row.
            let w =
                row.customers * spend.v * spend.v + 2 * spend.v * x * row.means
                + x * x * row.squares
            let first = spend.p / (shape - 1)
            let second = shape > 2 ? spend.p / ((shape - 1) * (shape - 2)) : .infinity
            let discount = mean > 0 ? outlook.discounted / mean : 0
            let each = second * (mean + spend.p * square) - first * first * mean * mean
            sums[2 * row.segment + 1] +=
                mean > 0 ? max(0, each) * w * discount * discount * ratio * ratio : 0
        }
        for id in 0..<segmentCount {
            sums[2 * segmentCount] += sums[2 * id]
            sums[2 * segmentCount + 1] += sums[2 * id + 1]
        }
        return sums
    }

    /// Standard deviations by the parameters, laid out as `sums`; nil where they are not known.
    private func deviations(
        _ fitted: FittedPurchaseModel, _ spend: FittedGammaGamma?, _ spending: Spend?,
        _ expected: [Double], _ method: SegmentForecast.Method
    ) -> [Double]? {
        guard let covariance = fitted.model.diagnostics.logCovariance,
            let purchases = LogNormalDraws(covariance)
        else { return nil }
        let orders = spend?.diagnostics.logCovariance.flatMap { LogNormalDraws($0) }
        guard spend == nil || orders != nil else { return nil }
        let estimates = fitted.model.parameters.map(\.value)
        /// The sums at log-parameters moved by these; nil where no number is moved.
        @Sendable func moved(_ purchase: [Double], _ order: [Double]) -> [Double] {
            let model = fitted.fitted.shifted(by: purchase).model
            return sums(
                outlooks(model),
                order.isEmpty ? spending : spend.map { Spend($0.shifted(by: order)) })
        }
        let still = (
            [Double](repeating: 0, count: estimates.count),
            [Double](repeating: 0, count: orders?.size ?? 0)
        )
        switch method {
        case .draws(let count, let seed):
            let parts = parallelMap(count: count, chunkSize: 1, threadCount: threadCount) {
                draw, _ in
                var random = SeededRandom(seed: seed, stream: UInt64(draw))
                let purchase = purchases.draw(using: &random)
                let order = orders?.draw(using: &random) ?? []
                return moved(purchase, order)
            }
            return expected.indices.map { place in
                let mean = parts.reduce(0) { $0 + $1[place] } / Double(count)
                let squares = parts.reduce(0) {
                    $0 + ($1[place] - mean) * ($1[place] - mean)
                }
                return (squares / Double(count - 1)).squareRoot()
            }
        case .delta:
            let step = 1e-4
            let size = estimates.count + (orders?.size ?? 0)
            let slopes = parallelMap(count: size, chunkSize: 1, threadCount: threadCount) {
                index, _ in
                func at(_ step: Double) -> [Double] {
                    var (purchase, order) = still
                    if index < estimates.count {
                        purchase[index] = step
                    } else {
                        order[index - estimates.count] = step
                    }
                    return moved(purchase, order)
                }
                return zip(at(step), at(-step)).map { ($0 - $1) / (2 * step) }
            }
            return expected.indices.map { place in
                let by = slopes.map { $0[place] }
                let own = purchases.variance(Array(by.prefix(estimates.count)))
                let other = orders?.variance(Array(by.dropFirst(estimates.count))) ?? 0
                return (own + other).squareRoot()
            }
        }
    }
}

/// Draws of log-parameters around their estimates.
struct LogNormalDraws: Sendable {
    let size: Int
    private let covariance: [Double]
    /// Lower triangle by rows of the covariance's Cholesky factor.
    private let factor: [Double]

    /// - Parameter covariance: the lower triangle by rows.
    init?(_ covariance: [Double]) {
        var size = 0
        while (size + 1) * (size + 2) / 2 <= covariance.count { size += 1 }
        guard size > 0, size * (size + 1) / 2 == covariance.count else { return nil }
        func place(_ i: Int, _ j: Int) -> Int { i * (i + 1) / 2 + j }
        var factor = covariance
        for i in 0..<size {
            for j in 0...i {
                var sum = covariance[place(i, j)]
                for k in 0..<j { sum -= factor[place(i, k)] * factor[place(j, k)] }
                if i == j {
                    guard sum > 0, sum.isFinite else { return nil }
                    factor[place(i, i)] = sum.squareRoot()
                } else {
                    factor[place(i, j)] = sum / factor[place(j, j)]
                }
            }
        }
        self.size = size
        self.covariance = covariance
        self.factor = factor
    }

    func draw(using random: inout SeededRandom) -> [Double] {
        let normals = (0..<size).map { _ in random.normal() }
        var moves: [Double] = []
        for i in 0..<size {
            var sum = 0.0
            for j in 0...i { sum += factor[i * (i + 1) / 2 + j] * normals[j] }
            moves.append(sum)
        }
        return moves
    }

    /// g' Σ g.
    func variance(_ slopes: [Double]) -> Double {
        var sum = 0.0
        for i in 0..<size {
            for j in 0...i {
                let part = covariance[i * (i + 1) / 2 + j] * slopes[i] * slopes[j]
                sum += i == j ? part : 2 * part
            }
        }
        return max(0, sum)
    }
}
