import Foundation
import Models
import Numerical
import Testing
import Units

@Suite struct SegmentForecastTests {
    /// Customers of a BG/NBD world with Gamma-Gamma order values, and what they did afterwards.
    private struct World {
        var x: [Int32] = []
        var tx: [Int32] = []
        var age: [Int32] = []
        var mean: [Double] = []
        var segment: [Int32] = []
        var purchasesAhead: [Double] = []
        var valueAhead: [Double] = []

        /// Observed for half a year to a year, then for `horizon` days.
        init(count: Int, seed: UInt64, horizon: Double) {
            for customer in 0..<count {
                var random = SeededRandom(seed: seed, stream: UInt64(customer))
                let end = Double(180 + random.below(185))
                let rate = random.gamma(shape: 0.9, rate: 5) / 7
                let dropOut = random.beta(0.8, 3)
                let scale = random.gamma(shape: 3.74, rate: 15.44)
                var (time, last, purchases, ahead) = (0.0, 0.0, 0, 0)
                var isAlive = true
                while isAlive {
                    time += random.exponential(rate: rate)
                    if time > end + horizon { break }
                    if time <= end {
                        purchases += 1
                        last = time
                    } else {
                        ahead += 1
                    }
                    isAlive = !random.bernoulli(dropOut)
                }
                func spent(_ orders: Int) -> Double {
                    orders == 0 ? 0 : random.gamma(shape: 6.25 * Double(orders), rate: scale)
                }
                x.append(Int32(purchases))
                tx.append(purchases == 0 ? 0 : Int32(last.rounded()))
                age.append(Int32(end))
                mean.append(purchases == 0 ? 0 : spent(purchases) / Double(purchases))
                segment.append(purchases == 0 ? 0 : purchases < 3 ? 1 : 2)
                purchasesAhead.append(Double(ahead))
                valueAhead.append(spent(ahead))
            }
        }

        func fit(
            _ kind: PurchaseModelKind = .bgnbd
        ) throws -> (purchases: FittedPurchaseModel, spend: FittedGammaGamma) {
            let history = try CollapsedHistory(
                repeatPurchaseCount: x, ageAtLastPurchaseDays: tx, observedAgeDays: age)
            return (
                try kind.fit(history),
                try GammaGamma.fit(repeatPurchaseCount: x, meanOrderValue: mean)
            )
        }

        func forecast(
            _ model: FittedPurchaseModel, _ spend: FittedGammaGamma?,
            _ parameters: SegmentForecast.Parameters, status: [UInt8]? = nil,
            segmentCount: Int = 3
        ) throws -> SegmentForecast {
            try model.forecast(
                repeatPurchaseCount: x, ageAtLastPurchaseDays: tx, observedAgeDays: age,
                meanOrderValue: mean, status: status, segment: segment,
                segmentCount: segmentCount, spend: spend, parameters)
        }
    }

    /// Half a year ahead, in money of the day.
    private static var half: SegmentForecast.Parameters {
        var parameters = SegmentForecast.Parameters()
        parameters.horizon = Horizon(26, .week)
        parameters.discountRate = DiscountRate(annual: 0)
        return parameters
    }

    private static let models: [any PurchaseModel] = [
        FittedBGNBD(r: 0.243, alpha: 4.414, a: 0.793, b: 2.426, grid: .week),
        FittedBGNBD(r: 0.525, alpha: 6.183, a: 0.891, b: 1.614, grid: .week, variant: .modified),
        FittedParetoNBD(r: 0.5534, alpha: 10.5802, s: 0.6061, beta: 11.6562, grid: .week),
        FittedParetoNBD(r: 2, alpha: 5, s: 1, beta: 5, grid: .week),
        FittedParetoNBD(r: 2, alpha: 5, s: 2, beta: 900, grid: .week),
        FittedNBD(r: 0.385, alpha: 12.07, grid: .week),
    ]

    @Test func variancesAreThoseOfTheDistribution() {
        for model in Self.models {
            for (x, tx, age) in [(0, 0, 0), (0, 0, 39.0), (2, 30, 39), (26, 30.86, 31)] {
                for horizon in [0.001, 3, 26] {
                    var (mean, square) = (0.0, 0.0)
                    for count in 0..<400 {
                        let p = model.probability(
                            ofPurchases: count, x: x, tx: tx, age: age, horizon: horizon)
                        mean += p * Double(count)
                        square += p * Double(count * count)
                    }
                    let variance = model.purchaseVariance(
                        x: x, tx: tx, age: age, horizon: horizon)
                    let expected = square - mean * mean
                    #expect(
                        abs(variance - expected) < 1e-7 * expected + 1e-12,
                        "\(model.name) x \(x) T \(age) horizon \(horizon): \(variance), \(expected)"
                    )
                }
            }
        }
    }

    /// At most the pairs of somebody who never leaves, whatever the parameters.
    @Test func pairsHoldTheirBounds() {
        let values = [1e-6, 1e-2, 0.7, 30, 1e5]
        for r in values {
            for alpha in values {
                for first in values {
                    for second in values {
                        let models: [any PurchaseModel] = [
                            FittedBGNBD(r: r, alpha: alpha, a: first, b: second, grid: .week),
                            FittedParetoNBD(
                                r: r, alpha: alpha, s: first, beta: second, grid: .week),
                        ]
                        for model in models {
                            for horizon in [0, 0.2, 500] {
                                let pairs = model.purchasePairsOfNew(horizon: horizon)
                                let most = r * (r + 1) * (horizon / alpha) * (horizon / alpha)
                                #expect(
                                    pairs >= 0 && pairs <= most * (1 + 1e-6),
                                    "\(model.parameters) \(horizon): \(pairs), \(most)")
                            }
                        }
                    }
                }
            }
        }
    }

    @Test func sumsAreThoseOfTheScores() throws {
        let world = World(count: 900, seed: 3, horizon: 182)
        for kind in PurchaseModelKind.allCases {
            let (model, spend) = try world.fit(kind)
            var parameters = SegmentForecast.Parameters()
            parameters.basis = .margin(ratio: 0.4)
            parameters.method = .draws(count: 20, seed: 5)
            let status = world.x.indices.map { UInt8($0 % 50 == 0 ? 3 : 0) }
            let forecast = try world.forecast(model, spend, parameters, status: status)
            var scoring = LifetimeScores.Parameters()
            scoring.basis = parameters.basis
            let scores = try LifetimeScores.score(
                repeatPurchaseCount: world.x, ageAtLastPurchaseDays: world.tx,
                observedAgeDays: world.age, meanOrderValue: world.mean, status: status,
                model: model.model, spend: spend, scoring)
            let values = try #require(scores.lifetimeValue)
            for id in 0..<3 {
                let rows = world.x.indices.filter {
                    Int(world.segment[$0]) == id && status[$0] == 0
                }
                let segment = forecast.segments[id]
                #expect(segment.customerCount == rows.count)
                let purchases = rows.reduce(0) { $0 + scores.expectedPurchases[$1] }
                let value = rows.reduce(0) { $0 + values[$1] }
                #expect(abs(segment.purchases.expected / purchases - 1) < 1e-10)
                #expect(abs((segment.value?.expected ?? 0) / value - 1) < 1e-10)
                let interval = try #require(segment.value?.interval)
                #expect(interval.contains(value) && interval.lowerBound > 0)
            }
            #expect(forecast.leftOutCount == 18 && forecast.total.customerCount == 882)
            let whole = forecast.segments.reduce(0) { $0 + $1.purchases.expected }
            #expect(abs(forecast.total.purchases.expected / whole - 1) < 1e-12)
            // Customers' own variances add up; what the parameters do to them is shared.
            let own = forecast.segments.reduce(0.0) {
                $0 + pow($1.purchases.customerDeviation ?? .nan, 2)
            }
            let together = try #require(forecast.total.purchases.customerDeviation)
            #expect(abs(together * together / own - 1) < 1e-10)
            parameters.threadCount = 4
            #expect(try world.forecast(model, spend, parameters, status: status) == forecast)
            let text = try JSONEncoder().encode(forecast)
            #expect(try JSONDecoder().decode(SegmentForecast.self, from: text) == forecast)
        }
    }

    @Test(arguments: [PurchaseModelKind.bgnbd, .paretonbd, .nbd])
    func drawsAndFirstOrderAgree(_ kind: PurchaseModelKind) throws {
        let world = World(count: 6_000, seed: 8, horizon: 182)
        let (model, spend) = try world.fit(kind)
        var parameters = Self.half
        parameters.threadCount = 2
        parameters.method = .draws(count: 400, seed: 2)
        let drawn = try world.forecast(model, spend, parameters)
        parameters.method = .delta
        let first = try world.forecast(model, spend, parameters)
        // Pareto/NBD's drop-out is known so badly from these customers that the sums bend over its
        // interval.
        let slack = kind == .paretonbd ? 0.4 : 0.2
        for (a, b) in zip(drawn.segments + [drawn.total], first.segments + [first.total]) {
            let (one, other) = (
                a.purchases.parameterDeviation ?? -1, b.purchases.parameterDeviation ?? -2
            )
            #expect(abs(one / other - 1) < slack, "\(kind): purchases \(one), \(other)")
            let (spent, linear) = (
                a.value?.parameterDeviation ?? -1, b.value?.parameterDeviation ?? -2
            )
            #expect(abs(spent / linear - 1) < slack, "\(kind): value \(spent), \(linear)")
            #expect(a.purchases.customerDeviation == b.purchases.customerDeviation)
        }
    }

    /// What customers then did lies in the 95 % intervals as often as it should, and neither part of
    /// the variance alone would do.
    @Test func intervalsCoverWhatHappens() {
        let seeds = 80
        let parts = parallelMap(count: seeds, chunkSize: 1, threadCount: 2) { seed, _ in
            Self.covered(seed: UInt64(900 + seed))
        }
        let count = Double(seeds * 4)
        func share(_ place: Int) -> Double {
            Double(parts.reduce(0) { $0 + $1[place] }) / count
        }
        #expect((0.9...0.98).contains(share(0)), "purchases \(share(0))")
        #expect((0.9...0.98).contains(share(1)), "value \(share(1))")
        #expect(share(2) < 0.85, "by the parameters alone \(share(2))")
        #expect(share(3) < share(0) - 0.01, "by the customers alone \(share(3))")
    }

    /// How many of three segments and the total are covered: purchases, value, then purchases by
    /// either deviation alone.
    private static func covered(seed: UInt64) -> [Int] {
        let world = World(count: 500, seed: seed, horizon: 182)
        var parameters = half
        parameters.method = .delta
        guard let (model, spend) = try? world.fit(),
            let forecast = try? world.forecast(model, spend, parameters)
        else { return [0, 0, 0, 0] }
        var counts = [0, 0, 0, 0]
        for (id, segment) in (forecast.segments + [forecast.total]).enumerated() {
            let rows = world.x.indices.filter { id == 3 || Int(world.segment[$0]) == id }
            let purchases = rows.reduce(0) { $0 + world.purchasesAhead[$1] }
            let value = rows.reduce(0) { $0 + world.valueAhead[$1] }
            let sum = segment.purchases
            let distance = abs(purchases - sum.expected)
            if sum.interval?.contains(purchases) == true { counts[0] += 1 }
            if segment.value?.interval?.contains(value) == true { counts[1] += 1 }
            if distance <= 1.96 * (sum.parameterDeviation ?? 0) { counts[2] += 1 }
            if distance <= 1.96 * (sum.customerDeviation ?? 0) { counts[3] += 1 }
        }
        return counts
    }

    @Test func saysWhatIsNotKnown() throws {
        let world = World(count: 900, seed: 4, horizon: 182)
        let (model, _) = try world.fit()
        // A model that was given says nothing of its parameters' uncertainty.
        let given = try #require(FittedGammaGamma(p: 6, q: 3.5, v: 15))
        let unknown = try world.forecast(model, given, Self.half)
        #expect(unknown.total.value?.parameterDeviation == nil)
        #expect(unknown.total.value?.interval == nil)
        #expect((unknown.total.value?.customerDeviation ?? 0) > 0)
        // With q <= 2 the value of a customer without orders has no variance.
        let heavy = try #require(FittedGammaGamma(p: 6, q: 1.5, v: 15))
        let wide = try world.forecast(model, heavy, Self.half)
        #expect(wide.segments[0].value?.customerDeviation == nil)
        #expect((wide.segments[2].value?.customerDeviation ?? 0) > 0)
        let unpriced = try world.forecast(model, nil, Self.half)
        #expect(unpriced.total.value == nil && unpriced.total.purchases.interval != nil)
        let empty = try world.forecast(model, nil, Self.half, segmentCount: 5)
        #expect(empty.segments[4].customerCount == 0)
        #expect(empty.segments[4].purchases.interval == 0...0)

        func failure(_ change: (inout SegmentForecast.Parameters) -> Void) -> String {
            var parameters = Self.half
            change(&parameters)
            do { _ = try world.forecast(model, nil, parameters) } catch { return "\(error)" }
            return ""
        }
        #expect(failure { $0.level = 1 }.contains("confidence level"))
        #expect(failure { $0.method = .draws(count: 1, seed: 1) }.contains("draws"))
        #expect(failure { $0.basis = .margin(ratio: -1) }.contains("ratio"))
        #expect(failure { _ in }.isEmpty)
        let error = #expect(throws: ModelError.self) {
            try world.forecast(model, nil, Self.half, segmentCount: 2)
        }
        #expect(error?.description.contains("segment id") == true)
    }
}
