import Foundation
import Models
import Numerical
import Testing
import Units

@Suite struct BGNBDTests {
    private static let model = FittedBGNBD(r: 0.243, alpha: 4.414, a: 0.793, b: 2.426, grid: .week)

    private func history(_ s: LifetimeSimulation) throws -> CollapsedHistory {
        try CollapsedHistory(
            repeatPurchaseCount: s.x, ageAtLastPurchaseDays: s.tx, observedAgeDays: s.age)
    }

    @Test func derivativesAgreeWithDifferences() throws {
        let likelihood = BGNBDLikelihood(
            try history(
                LifetimeSimulation(count: 500, seed: 3, r: 0.5, alpha: 6, a: 0.8, b: 2.5)),
            threadCount: 1)
        for point in [[-1.4, -2, -0.2, 0.9], [0, 0, 0, 0], [1.5, 1, -3, 4]] {
            let at = likelihood.negativeMean(point)
            let h = 1e-5
            for i in 0..<4 {
                var up = point
                var down = point
                up[i] += h
                down[i] -= h
                let above = likelihood.negativeMean(up)
                let below = likelihood.negativeMean(down)
                let slope = (above.value - below.value) / (2 * h)
                #expect(abs(slope - at.gradient[i]) < 1e-8 * max(1, abs(slope)))
                for j in 0..<4 {
                    let bend = (above.gradient[j] - below.gradient[j]) / (2 * h)
                    #expect(abs(bend - at.hessian[i, j]) < 1e-8 * max(1, abs(bend)))
                }
            }
        }
    }

    @Test func collapsingChangesNothing() throws {
        let s = LifetimeSimulation(count: 2_000, seed: 9, r: 0.5, alpha: 6, a: 0.8, b: 2.5)
        let collapsed = try history(s)
        #expect(collapsed.rowCount < 2_000)
        #expect(collapsed.customerCount.reduce(0, +) == 2_000)
        let fitted = try BGNBD.fit(collapsed)
        var sum = 0.0
        for row in s.x.indices {
            sum += fitted.logLikelihood(
                x: Int(s.x[row]), tx: Double(s.tx[row]) / 7, age: Double(s.age[row]) / 7)
        }
        let whole = try #require(fitted.diagnostics.logLikelihood)
        #expect(abs(whole / sum - 1) < 1e-12)
        // The order of customers does not matter.
        let reversed = try CollapsedHistory(
            repeatPurchaseCount: s.x.reversed(), ageAtLastPurchaseDays: s.tx.reversed(),
            observedAgeDays: s.age.reversed())
        #expect(reversed == collapsed)
    }

    /// Planted truth. Three times the standard error, and that error within 5 %.
    @Test func recoversPlantedParameters() throws {
        let truth = [0.6, 5, 0.9, 3]
        let s = LifetimeSimulation(
            count: 100_000, seed: 20_260, r: truth[0], alpha: truth[1], a: truth[2], b: truth[3])
        let collapsed = try history(s)
        let fitted = try BGNBD.fit(collapsed, PurchaseFitParameters(threadCount: 2))
        #expect(fitted.diagnostics.isSound)
        let errors = try #require(fitted.diagnostics.standardErrors)
        for (index, value) in [fitted.r, fitted.alpha, fitted.a, fitted.b].enumerated() {
            #expect(abs(value / truth[index] - 1) < 0.05)
            #expect(abs(value - truth[index]) < 3.5 * errors[index])
        }
        let serial = try BGNBD.fit(collapsed, PurchaseFitParameters(threadCount: 1))
        #expect(serial == fitted)
        let decoded = try JSONDecoder().decode(
            FittedBGNBD.self, from: JSONEncoder().encode(fitted))
        #expect(decoded == fitted)

        let spend = try GammaGamma.fit(repeatPurchaseCount: s.x, meanOrderValue: s.mean)
        #expect(abs(spend.p / 6.25 - 1) < 0.05)
        #expect(abs(spend.q / 3.74 - 1) < 0.05)
        #expect(abs(spend.v / 15.44 - 1) < 0.05)
    }

    @Test func refusesWhatCannotBeFitted() throws {
        func fit(_ x: [Int32], _ tx: [Int32], _ age: [Int32]) throws -> FittedBGNBD {
            try BGNBD.fit(
                try CollapsedHistory(
                    repeatPurchaseCount: x, ageAtLastPurchaseDays: tx, observedAgeDays: age))
        }
        #expect(throws: ModelError.noRows(model: "BG/NBD")) { try fit([], [], []) }
        #expect(throws: ModelError.self) { try fit([3], [10], [20]) }
        let zeros = [Int32](repeating: 0, count: 50)
        let ages = [Int32](repeating: 40, count: 50)
        let error = #expect(throws: ModelError.self) { try fit(zeros, zeros, ages) }
        #expect(error?.description.contains("repeat purchase") == true)
        let ones = [Int32](repeating: 1, count: 50)
        let sameDay = #expect(throws: ModelError.self) { try fit(ones, zeros, zeros) }
        #expect(sameDay?.description.contains("one day") == true)
        #expect(throws: ModelError.self) { try fit([1], [30], [20]) }
        #expect(throws: ModelError.self) { try fit([0], [3], [20]) }
        #expect(throws: ModelError.self) { try fit([-1], [0], [20]) }
        #expect(throws: ModelError.self) { try fit([1, 2], [0], [20]) }
    }

    /// Data without an optimum inside the range: flagged, and every number finite.
    @Test(arguments: 0..<4) func flagsDegenerateData(_ kind: Int) throws {
        var rows: [(x: Int32, tx: Int32, age: Int32, customers: Int)] = []
        switch kind {
        case 0: rows = [(5, 100, 100, 40)]
        case 1: rows = [(5, 0, 100, 40)]
        case 2: rows = [(1, 50, 100, 40), (0, 0, 100, 40)]
        default: rows = [(16_000_000, 500, 1_000, 20), (1, 0, 1, 20), (0, 0, 0, 5)]
        }
        let fitted = try BGNBD.fit(try CollapsedHistory(rows: rows))
        for value in [fitted.r, fitted.alpha, fitted.a, fitted.b] {
            #expect(value > 0 && value.isFinite)
        }
        #expect(fitted.diagnostics.logLikelihood?.isFinite == true)
        for row in rows {
            let (tx, age) = (Double(row.tx) / 7, Double(row.age) / 7)
            let expected = fitted.expectedPurchases(
                x: Int(row.x), tx: tx, age: age, horizon: 52)
            #expect(expected.isFinite && expected >= 0)
        }
        _ = try JSONEncoder().encode(fitted)
    }

    /// Probabilities in 0...1, expectations finite and growing with the horizon, on a lattice that
    /// includes every trap: no time observed, all purchases on one day, a thousand purchases.
    @Test func staysInRangeOnALattice() {
        let parameters = [
            (0.243, 4.414, 0.793, 2.426), (0.243, 4.414, 1, 2.426), (0.1, 50.16, 0.4, 0.6),
            (0.1, 50.16, 0.5, 0.5), (1e-4, 1e-3, 1e-4, 1e-4), (50, 0.1, 30, 1e-3),
            (8.9e6, 8.9e6, 8.9e6, 8.9e6), (0.5, 6, 1e-7, 1e3),
        ]
        for (r, alpha, a, b) in parameters {
            let model = FittedBGNBD(r: r, alpha: alpha, a: a, b: b, grid: .week)
            for x in [0, 1, 2, 7, 40, 1_000] {
                for (tx, age) in [(0.0, 0.0), (0, 300), (10, 100), (99, 100), (100, 100)]
                where x > 0 || tx == 0 {
                    let alive = model.probabilityAlive(x: x, tx: tx, age: age)
                    #expect(alive >= 0 && alive <= 1)
                    var before = -1.0
                    for horizon in [0, 0.01, 4, 52, 1_000.0] {
                        let expected = model.expectedPurchases(
                            x: x, tx: tx, age: age, horizon: horizon)
                        let discounted = model.discountedPurchases(
                            x: x, tx: tx, age: age, horizon: horizon, discount: 0.002)
                        let active = model.probabilityOfPurchase(
                            x: x, tx: tx, age: age, horizon: horizon)
                        #expect(expected.isFinite && expected >= before)
                        #expect(discounted >= 0 && discounted <= expected)
                        #expect(active >= 0 && active <= alive)
                        // One purchase at least where there is one: Markov's inequality.
                        #expect(active <= expected * (1 + 1e-9) + 1e-300)
                        before = expected
                    }
                }
            }
        }
    }

    /// Far horizons, many purchases, concentrated and improper-looking drop-out distributions:
    /// 25-digit quadrature.
    @Test(arguments: [
        ([0.243, 4.414, 0.793, 2.426], 1_000, 0, 1_000, 10_042.7585921885),
        ([0.243, 4.414, 0.793, 2.426], 1_000, 100, 52, 421.749632373589),
        ([0.243, 4.414, 0.793, 2.426], 40, 0, 1_000, 417.087147155569),
        ([0.1, 50.16, 0.5, 0.5], 0, 0, 1_000, 0.668840180142662),
        ([8.9e6, 8.9e6, 8.9e6, 8.9e6], 7, 100, 52, 2.00000089886628),
        ([0.25, 0.02, 0.8, 2.4], 3, 2, 52, 19.4895696680074),
    ])
    func expectsRightFarFromTheData(
        _ p: [Double], _ x: Int, _ age: Double, _ horizon: Double, _ expected: Double
    ) {
        let model = FittedBGNBD(r: p[0], alpha: p[1], a: p[2], b: p[3], grid: .week)
        let found = model.living(x: x, age: age).purchasesOfNew(horizon: horizon)
        #expect(abs(found / expected - 1) < 1e-10)
    }

    /// The two quadrature rules meet: nothing jumps where one hands over to the other.
    @Test(arguments: [0, 1, 30, 200]) func rulesMeet(_ x: Int) {
        for limit in [3.0, 12] {
            let horizon = limit * Self.model.alpha
            let living = Self.model.living(x: x, age: 0)
            let (below, above) = (horizon * (1 - 1e-13), horizon * (1 + 1e-13))
            let ratio =
                living.purchasesOfNew(horizon: above) / living.purchasesOfNew(horizon: below)
            #expect(abs(ratio - 1) < 1e-11)
            let discounted =
                living.discountedPurchasesOfNew(horizon: above, discount: 0.01)
                / living.discountedPurchasesOfNew(horizon: below, discount: 0.01)
            #expect(abs(discounted - 1) < 1e-9)
        }
    }

    @Test func laterLastPurchaseMeansMoreAlive() {
        for x in [1, 5, 30] {
            var before = -1.0
            for tx in stride(from: 0.0, through: 39, by: 3) {
                let alive = Self.model.probabilityAlive(x: x, tx: tx, age: 39)
                #expect(alive > before)
                before = alive
            }
        }
    }

    @Test(arguments: [0.5, 5, 20.0]) func countsSumToOne(_ time: Double) {
        var total = 0.0
        var mean = 0.0
        for count in 0..<200 {
            let p = Self.model.probability(ofRepeatPurchases: count, time: time)
            total += p
            mean += p * Double(count)
        }
        #expect(abs(total - 1) < 1e-9)
        #expect(abs(mean / Self.model.expectedRepeatPurchases(time: time) - 1) < 1e-7)
    }
}
