import Foundation
import Models
import Numerical
import Testing
import Units

/// What holds for any parameters and any history, on a lattice of more than a million of both that
/// is scored as all customers are; the scores of a sample beside those of single customers.
@Suite struct ScoreLatticeTests {
    /// Of every parameter; times in weeks.
    private static let values = [1e-3, 0.3, 4, 150]
    private static let counts: [Int32] = [0, 1, 2, 5, 21, 160, 600, 2_000]
    private static let ages: [Int32] = [
        0, 1, 2, 4, 7, 14, 30, 60, 91, 135, 182, 270, 365, 540, 730, 1_100, 1_500, 3_650, 10_000,
        36_525,
    ]

    private static var models: [any PurchaseModel] {
        var models: [any PurchaseModel] = []
        for first in values {
            for second in values {
                models.append(FittedNBD(r: first, alpha: second, grid: .week))
                for third in values {
                    for fourth in values {
                        for variant in BGNBD.Variant.allCases {
                            models.append(
                                FittedBGNBD(
                                    r: first, alpha: second, a: third, b: fourth, grid: .week,
                                    variant: variant))
                        }
                        models.append(
                            FittedParetoNBD(
                                r: first, alpha: second, s: third, beta: fourth, grid: .week))
                    }
                }
            }
        }
        return models
    }

    /// Ascending by (x, T, t_x), where t_x goes through the ages up to T; `older` is the row of the
    /// same x and t_x at the next age.
    private struct Histories {
        var x: [Int32] = []
        var tx: [Int32] = []
        var age: [Int32] = []
        var older: [Int?] = []

        init() {
            for count in ScoreLatticeTests.counts {
                var starts: [Int] = []
                for (place, age) in ScoreLatticeTests.ages.enumerated() {
                    starts.append(x.count)
                    for tx in ScoreLatticeTests.ages.prefix(count == 0 ? 1 : place + 1) {
                        x.append(count)
                        self.tx.append(tx)
                        self.age.append(age)
                        older.append(nil)
                    }
                }
                for place in starts.indices.dropLast() {
                    for offset in 0..<(count == 0 ? 1 : place + 1) {
                        older[starts[place] + offset] = starts[place + 1] + offset
                    }
                }
            }
        }
    }

    /// Counts what does not hold, and keeps the first of it: a million expectations would cost more
    /// than the scores.
    private struct Findings: Sendable {
        var scored = 0
        var failed = 0
        var first = ""

        mutating func expect(_ holds: Bool, _ text: @autoclosure () -> String) {
            guard !holds else { return }
            if failed == 0 { first = text() }
            failed += 1
        }

        mutating func add(_ other: Findings) {
            if failed == 0 { first = other.first }
            scored += other.scored
            failed += other.failed
        }
    }

    @Test func scoresHoldTheirBounds() {
        let histories = Histories()
        let models = Self.models
        let parts = parallelMap(count: models.count, chunkSize: 4, threadCount: 2) { _, range in
            var findings = Findings()
            for index in range {
                do {
                    try Self.check(models[index], index, histories, &findings)
                } catch { findings.expect(false, "\(models[index].name): \(error)") }
            }
            return findings
        }
        var all = Findings()
        for part in parts { all.add(part) }
        #expect(all.scored >= 1_000_000)
        #expect(all.failed == 0, "\(all.failed) of \(all.scored), the first: \(all.first)")
    }

    private static func check(
        _ model: any PurchaseModel, _ index: Int, _ h: Histories, _ findings: inout Findings
    ) throws {
        var parameters = LifetimeScores.Parameters()
        parameters.discountRate = DiscountRate(annual: 0)
        func score(_ weeks: Double) throws -> LifetimeScores {
            parameters.horizon = Horizon(weeks, .week)
            parameters.churnHorizon = parameters.horizon
            return try LifetimeScores.score(
                repeatPurchaseCount: h.x, ageAtLastPurchaseDays: h.tx, observedAgeDays: h.age,
                meanOrderValue: [Double](repeating: 0, count: h.x.count), model: model, spend: nil,
                parameters)
        }
        let short = try score(13)
        let long = try score(520)
        let alive = long.probabilityAlive
        let active = [short, long].map { $0.churnProbability.map { 1 - $0 } }
        let expected = [short.expectedPurchases, long.expectedPurchases]
        let (r, alpha) = (model.parameters[0].value, model.parameters[1].value)
        // Of a probability, and of anything beside its own size.
        let slack = 1e-9
        for row in h.x.indices {
            func place() -> String {
                """
                \(model.name) \(model.parameters.map(\.value)) x \(h.x[row]) tx \(h.tx[row]) \
                T \(h.age[row])
                """
            }
            let most = alive[row] * (r + Double(h.x[row])) / (alpha + Double(h.age[row]) / 7)
            findings.expect(long.status[row] == 0 && short.status[row] == 0, "status: \(place())")
            findings.expect((0...1).contains(alive[row]), "alive: \(place())")
            for (k, weeks) in [(0, 13.0), (1, 520.0)] {
                let (a, e) = (active[k][row], expected[k][row])
                findings.expect(
                    a >= 0 && a <= alive[row] + slack, "active \(a) of \(alive[row]): \(place())")
                findings.expect(
                    e.isFinite && e >= a * (1 - slack) - slack, "expected \(e), \(a): \(place())")
                findings.expect(
                    e <= most * weeks * (1 + slack), "\(e) of \(most * weeks): \(place())")
            }
            findings.expect(
                active[1][row] >= active[0][row] - slack, "active in the longer: \(place())")
            findings.expect(
                expected[1][row] >= expected[0][row] * (1 - slack),
                "expected in the longer: \(place())")
            if row > 0, h.x[row] == h.x[row - 1], h.age[row] == h.age[row - 1] {
                findings.expect(
                    alive[row] >= alive[row - 1] - slack, "alive, bought later: \(place())")
            }
            if let older = h.older[row] {
                findings.expect(alive[older] <= alive[row] + slack, "alive, older: \(place())")
                for k in 0...1 {
                    findings.expect(
                        active[k][older] <= active[k][row] + slack, "active, older: \(place())")
                    findings.expect(
                        expected[k][older] <= expected[k][row] * (1 + slack) + 1e-300,
                        "expected, older: \(place())")
                }
            }
            findings.scored += 1
            if (row + 11 * index) % 401 == 0 {
                single(model, h, row, alive[row], active[0][row], expected[0][row], &findings)
            }
        }
    }

    /// One customer alone, beside the scores of all.
    private static func single(
        _ model: any PurchaseModel, _ h: Histories, _ row: Int, _ alive: Double, _ active: Double,
        _ expected: Double, _ findings: inout Findings
    ) {
        let (x, tx, age) = (Int(h.x[row]), Double(h.tx[row]) / 7, Double(h.age[row]) / 7)
        func place() -> String {
            "\(model.name) \(model.parameters.map(\.value)) x \(x) tx \(tx) T \(age)"
        }
        func near(_ a: Double, _ b: Double, _ tolerance: Double) -> Bool {
            abs(a - b) <= tolerance * max(1, abs(b))
        }
        let one = model.probabilityAlive(x: x, tx: tx, age: age)
        findings.expect(near(one, alive, 1e-11), "alive \(one), \(alive): \(place())")
        let purchases = model.expectedPurchases(x: x, tx: tx, age: age, horizon: 13)
        findings.expect(near(purchases, expected, 1e-11), "\(purchases), \(expected): \(place())")
        let some = model.probabilityOfPurchase(x: x, tx: tx, age: age, horizon: 13)
        findings.expect(near(some, active, 1e-11), "active \(some), \(active): \(place())")
        findings.expect(
            model.logLikelihood(x: x, tx: tx, age: age).isFinite, "likelihood: \(place())")
        var head = 0.0
        for count in 0..<4 {
            let p = model.probability(
                ofPurchases: count, x: x, tx: tx, age: age, horizon: 13)
            findings.expect((0...1).contains(p), "P(\(count)) = \(p): \(place())")
            head += p
        }
        findings.expect(head <= 1 + 1e-9, "P(0...3) = \(head): \(place())")
        var before = 0
        for share in [0.1, 0.5, 0.9] {
            let quantile = model.purchaseQuantile(share, x: x, tx: tx, age: age, horizon: 13)
            findings.expect(quantile >= before, "P\(share) = \(quantile): \(place())")
            before = quantile
        }
        var kept = one
        for time in [0.1, 13, 520, 1e5] {
            let later = model.probabilityAlive(x: x, tx: tx, age: age, after: time)
            findings.expect(later >= 0 && later <= kept + 1e-12, "after \(time): \(place())")
            kept = later
        }
    }

    /// Between a customer's own mean and the population's, rising with the first, and nearer to it
    /// the more orders there are.
    @Test func orderValuesHoldTheirBounds() throws {
        var findings = Findings()
        let means = [-3, 0, 1e-9, 1, 35, 1e6, 1e200]
        for p in [1e-3, 0.3, 6, 1e3] {
            for q in [1 + 1e-9, 1.01, 3.7, 1e3] {
                for v in [1e-6, 15, 1e9] {
                    let model = try #require(FittedGammaGamma(p: p, q: q, v: v))
                    for mean in means {
                        var distance = Double.infinity
                        for x in [0, 1, 2, 10, 1_000, 10_000_000] {
                            let value = model.expectedOrderValue(x: x, meanOrderValue: mean)
                            let own = max(0, mean)
                            let low = min(own, model.populationMean) * (1 - 1e-12)
                            let high = max(own, model.populationMean) * (1 + 1e-12)
                            let text = "p \(p) q \(q) v \(v) x \(x) mean \(mean): \(value)"
                            findings.expect(value >= low && value <= high, text)
                            let now = abs(value - own)
                            findings.expect(now <= distance * (1 + 1e-9) + 1e-9 * own, text)
                            distance = now
                            if x > 0, mean > 0, mean < 1e100 {
                                let l = model.logLikelihood(x: x, meanOrderValue: mean)
                                findings.expect(l.isFinite, "likelihood \(l): \(text)")
                            }
                            findings.scored += 1
                        }
                    }
                    for x in [1, 10, 1_000] {
                        let values = means.map {
                            model.expectedOrderValue(x: x, meanOrderValue: $0)
                        }
                        findings.expect(values == values.sorted(), "p \(p) q \(q) v \(v) x \(x)")
                    }
                }
            }
        }
        #expect(findings.failed == 0, "\(findings.failed), the first: \(findings.first)")
        #expect(findings.scored > 2_000)
    }

    @Test func discreteScoresHoldTheirBounds() throws {
        var x: [Int32] = []
        var tx: [Int32] = []
        var n: [Int32] = []
        let lengths: [Int32] = [0, 1, 2, 6, 24, 60]
        for length in lengths {
            for count in Set([0, 1, 2, length / 2, length]).sorted() where count <= length {
                let lasts = count == 0 ? [0] : Set([count, (count + length) / 2, length]).sorted()
                for last in lasts {
                    x.append(count)
                    tx.append(last)
                    n.append(length)
                }
            }
        }
        let parts = parallelMap(count: 256, chunkSize: 4, threadCount: 2) { [x, tx, n] _, range in
            var findings = Findings()
            for index in range {
                let values = [1e-3, 0.3, 4, 150]
                let model = FittedBGBB(
                    alpha: values[index & 3], beta: values[index >> 2 & 3],
                    gamma: values[index >> 4 & 3], delta: values[index >> 6])
                do {
                    try Self.check(model, x, tx, n, &findings)
                } catch { findings.expect(false, "\(error)") }
            }
            return findings
        }
        var all = Findings()
        for part in parts { all.add(part) }
        #expect(all.failed == 0, "\(all.failed) of \(all.scored), the first: \(all.first)")
        #expect(all.scored > 10_000)
    }

    private static func check(
        _ model: FittedBGBB, _ x: [Int32], _ tx: [Int32], _ n: [Int32],
        _ findings: inout Findings
    ) throws {
        func score(_ horizon: Int) throws -> BGBBScores {
            var parameters = BGBBScores.Parameters()
            parameters.horizon = horizon
            return try BGBBScores.score(
                transactionCount: x, lastTransaction: tx, opportunityCount: n, model: model,
                parameters)
        }
        let scores = [try score(4), try score(40)]
        for row in x.indices {
            func place() -> String {
                """
                \([model.alpha, model.beta, model.gamma, model.delta]) x \(x[row]) tx \(tx[row]) \
                n \(n[row])
                """
            }
            let alive = scores[0].probabilityAlive[row]
            findings.expect((0...1).contains(alive), "alive \(alive): \(place())")
            for (k, horizon) in [(0, 4.0), (1, 40.0)] {
                let active = scores[k].probabilityActive[row]
                let expected = scores[k].expectedTransactions[row]
                findings.expect(active >= 0 && active <= alive + 1e-12, "active: \(place())")
                findings.expect(expected >= active - 1e-12, "expected \(expected): \(place())")
                findings.expect(expected <= horizon * alive + 1e-9, "\(expected): \(place())")
                let residual = scores[k].discountedTransactions?[row] ?? -1
                findings.expect(residual.isFinite && residual >= 0, "residual: \(place())")
            }
            findings.expect(
                scores[1].probabilityActive[row] >= scores[0].probabilityActive[row] - 1e-12
                    && scores[1].expectedTransactions[row] >= scores[0].expectedTransactions[row],
                "in the longer: \(place())")
            if row > 0, x[row] == x[row - 1], n[row] == n[row - 1] {
                findings.expect(
                    alive >= scores[0].probabilityAlive[row - 1] - 1e-12, "later: \(place())")
            }
            let record = try OpportunityRecord(
                transactions: Int(x[row]), last: Int(tx[row]), opportunities: Int(n[row]))
            let single = model.probabilityAlive(record)
            findings.expect(abs(single - alive) < 1e-12, "\(single), \(alive): \(place())")
            findings.scored += 1
        }
    }
}
