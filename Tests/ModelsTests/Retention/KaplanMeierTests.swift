import Foundation
import Models
import Numerical
import Testing

@Suite struct KaplanMeierTests {
    private func close(_ a: Double, _ b: Double, _ tolerance: Double = 1e-12) -> Bool {
        abs(a - b) <= tolerance * max(1, abs(b))
    }

    /// The 6-MP arm: 9 relapses among 21, times 6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23
    /// 25+ 32+ 32+ 34+ 35+. Source: Freireich et al. 1963; table in Klein & Moeschberger, 4.2.
    private static let durations: [Double] = [
        6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35,
    ]
    private static let events = [
        true, true, true, false, true, false, true, false, false, true, true, false, false, false,
        true, true, false, false, false, false, false,
    ]

    @Test func followsTheTextbook() throws {
        let times = try SurvivalTimes(durations: Self.durations, isEvent: Self.events)
        let curve = KaplanMeier.fit(times)
        let expected: [(time: Double, survival: Double, error: Double)] = [
            (6, 0.857, 0.076), (7, 0.807, 0.087), (10, 0.753, 0.096), (13, 0.690, 0.107),
            (16, 0.627, 0.114), (22, 0.538, 0.128), (23, 0.448, 0.135),
        ]
        for row in expected {
            #expect(abs(curve.survival(at: row.time) - row.survival) < 5.1e-4)
            #expect(abs(curve.standardError(at: row.time) - row.error) < 5.1e-4)
        }
        #expect(curve.survival(at: 5.999) == 1)
        #expect(curve.survival(at: 100) == curve.survival(at: 23))
        #expect(curve.numberAtRisk(at: 6) == 21)
        #expect(curve.numberAtRisk(at: 6.5) == 17)
        #expect(curve.numberAtRisk(at: 36) == 0)
        #expect(curve.totalEvents == 9)
        let median = try curve.quantile()
        #expect(median.time == 23)
        #expect(median.lower == 13)
        #expect(median.upper == nil)
        #expect(throws: ModelError.self) { try curve.restrictedMean(horizon: 36) }
    }

    /// Digits by lifelines 0.30.3 (log-log) and by direct sums.
    @Test(.enabled(if: RossiData.isHere))
    func fitsRossi() throws {
        let rossi = try #require(RossiData.shared)
        let curve = KaplanMeier.fit(rossi.times)
        #expect(close(curve.survival(at: 52), 0.736_111_111_111_111))
        #expect(close(curve.survival(at: 10), 0.965_277_777_777_777_8))
        #expect(close(curve.survival(at: 26), 0.875))
        let end = try curve.estimate(at: 52)
        #expect(close(end.lower, 0.691_859_715_796_487_2))
        #expect(close(end.upper, 0.775_063_183_374_674_3))
        let early = try curve.estimate(at: 10)
        #expect(close(early.lower, 0.943_064_597_960_0, 1e-11))
        #expect(close(early.upper, 0.978_920_997_066_6, 1e-11))
        let plain = try curve.estimate(at: 52, transform: .plain)
        let error = (0.736_111_111_111_111 * 0.263_888_888_888_889 / 432).squareRoot()
        #expect(close(plain.standardError, error))
        #expect(close(plain.upper, 0.736_111_111_111_111 + 1.959_963_984_540_054 * error))
        let mean = try curve.restrictedMean(horizon: 52)
        #expect(close(mean.value, 45.854_166_666_666_664))
        #expect(close(mean.standardError, 0.608_509_352_265_361_7))
        #expect(try curve.quantile().time == nil)
        #expect(try curve.quantile(share: 0.75).time == 50)
    }

    /// Digits by direct sums over the risk sets.
    @Test(.enabled(if: RossiData.isHere))
    func countsLateEntriesAndWeights() throws {
        let rossi = try #require(RossiData.shared)
        let late = KaplanMeier.fit(try rossi.times(entries: rossi.entries, weights: nil))
        #expect(close(late.survival(at: 10), 0.949_743_744_601_792))
        #expect(close(late.survival(at: 26), 0.858_138_276_709_743_9))
        #expect(close(late.survival(at: 52), 0.721_925_851_835_181_5))
        #expect(close(late.standardError(at: 52), 0.022_170_358_527_209_756))
        let weighted = KaplanMeier.fit(try rossi.times(entries: nil, weights: rossi.weights))
        #expect(close(weighted.survival(at: 52), 0.734_953_703_703_703_7))
        #expect(close(weighted.standardError(at: 52), 0.015_015_299_185_327_558))
    }

    @Test func weightsAreRepetitions() throws {
        var random = SeededRandom(seed: 5)
        for _ in 0..<20 {
            let count = 1 + random.below(40)
            let durations = (0..<count).map { _ in Double(random.below(12)) }
            let events = (0..<count).map { _ in random.bernoulli(0.6) }
            let entries = durations.map { Double(random.below(max(1, Int($0)))) }
            let weights = (0..<count).map { _ in 1 + random.below(3) }
            let repeated = (0..<count).flatMap { Array(repeating: $0, count: weights[$0]) }
            let one = KaplanMeier.fit(
                try SurvivalTimes(
                    durations: durations, isEvent: events, entries: entries,
                    weights: weights.map(Double.init)))
            let many = KaplanMeier.fit(
                try SurvivalTimes(
                    durations: repeated.map { durations[$0] },
                    isEvent: repeated.map { events[$0] },
                    entries: repeated.map { entries[$0] }))
            #expect(one.survival == many.survival)
            #expect(one.greenwoodSums == many.greenwoodSums)
            #expect(one.numberAtRisk == many.numberAtRisk)
        }
    }

    /// One step's estimate is that of the whole band; where S is 0 too.
    @Test func estimatesAreThoseOfTheBand() throws {
        var random = SeededRandom(seed: 15)
        for _ in 0..<20 {
            let count = 1 + random.below(30)
            let durations = (0..<count).map { _ in Double(1 + random.below(12)) }
            let entries = durations.map { Double(random.below(Int($0))) }
            let curve = KaplanMeier.fit(
                try SurvivalTimes(
                    durations: durations, isEvent: (0..<count).map { _ in random.bernoulli(0.7) },
                    entries: entries))
            for transform in SurvivalTransform.allCases {
                let band = try curve.band(level: 0.9, transform: transform)
                for step in -1...curve.times.count {
                    let time = step < 0 ? 0 : step < curve.times.count ? curve.times[step] : 99
                    let known = min(step, curve.times.count - 1)
                    let one = try curve.estimate(at: time, level: 0.9, transform: transform)
                    #expect(one.lower == (known < 0 ? 1 : band.lower[known]))
                    #expect(one.upper == (known < 0 ? 1 : band.upper[known]))
                    #expect(one.value == curve.survival(at: time))
                    #expect(one.standardError == curve.standardError(at: time))
                }
            }
        }
    }

    /// Levels that one half more of would round to 1.
    @Test func takesEveryLevelBelowOne() throws {
        let curve = KaplanMeier.fit(
            try SurvivalTimes(durations: [1, 2, 3], isEvent: [true, false, true]))
        for level in [Double(1).nextDown, 1 - 1e-12, 0.5, 1e-12, Double.leastNonzeroMagnitude] {
            let band = try curve.band(level: level)
            for (low, high) in zip(band.lower, band.upper) {
                #expect((0...1).contains(low) && (low...1).contains(high))
            }
        }
        #expect(try curve.estimate(at: 1, level: Double(1).nextDown).lower < 0.01)
        #expect(throws: ModelError.self) { try curve.band(level: 1) }
    }

    @Test func survivesTheEdges() throws {
        func curve(_ durations: [Double], _ events: [Bool], _ entries: [Double]? = nil) throws
            -> KaplanMeierCurve
        {
            KaplanMeier.fit(
                try SurvivalTimes(durations: durations, isEvent: events, entries: entries))
        }
        let one = try curve([3], [true])
        #expect(one.survival == [0])
        #expect(try one.quantile().time == 3)
        #expect(try one.restrictedMean(horizon: 10).value == 3)
        let stays = try curve([3], [false])
        #expect(stays.survival == [1])
        #expect(try stays.estimate(at: 3).upper == 1)
        #expect(try stays.quantile().time == nil)
        #expect(try curve([0, 0, 5], [true, false, true]).survival == [2.0 / 3, 0])
        let pinned = try curve([2, 9, 8], [true, true, false], [0, 4, 4])
        #expect(pinned.reachesZeroEarly)
        let emptied = try curve([2, 9, 8], [false, true, false], [0, 4, 4])
        #expect(emptied.survival == [1, 1, 0])
        for transform in SurvivalTransform.allCases {
            for curve in [one, stays, pinned, emptied] {
                let band = try curve.band(transform: transform)
                for (low, high) in zip(band.lower, band.upper) {
                    #expect((0...1).contains(low) && (low...1).contains(high))
                }
            }
        }
        let text = try JSONEncoder().encode(pinned)
        #expect(try JSONDecoder().decode(KaplanMeierCurve.self, from: text) == pinned)
    }

    @Test func refusesBadTimes() {
        func error(
            _ durations: [Double], entries: [Double]? = nil, weights: [Double]? = nil
        ) -> String? {
            do throws(ModelError) {
                _ = try SurvivalTimes(
                    durations: durations, isEvent: durations.map { _ in true },
                    entries: entries, weights: weights)
                return nil
            } catch { return error.description }
        }
        #expect(error([])?.contains("no rows") == true)
        #expect(error([1, -2])?.contains("row 1: the duration -2.0 is negative") == true)
        #expect(error([1, .nan])?.contains("duration: row 1") == true)
        #expect(error([1, 2], entries: [0, 2])?.contains("row 1: the entry time 2.0") == true)
        #expect(error([1, 2], weights: [0, 2])?.contains("weight of row 0 is 0.0") == true)
        #expect(error([0, 2], entries: [0, 1]) == nil)
    }
}

@Suite struct LogRankTests {
    /// Digits by lifelines 0.30.3.
    @Test(.enabled(if: RossiData.isHere))
    func comparesRossi() throws {
        let rossi = try #require(RossiData.shared)
        let fin = try LogRankTest.run(
            rossi.times, groups: rossi.columns[0].values.map { Int32($0) },
            names: ["no aid", "aid"])
        #expect(abs(fin.test.statistic - 3.837569576549052) < 1e-10)
        #expect(abs(fin.test.pValue - 0.050116117409005845) < 1e-11)
        #expect(fin.groups.map(\.observed) == [66, 48])
        let prior = try LogRankTest.run(
            rossi.times, groups: rossi.columns[6].values.map { Int32(min($0, 3)) },
            names: ["0", "1", "2", "3+", "never seen"])
        #expect(abs(prior.test.statistic - 13.58387092049222) < 1e-9)
        #expect(prior.test.degreesOfFreedom == 3)
        #expect(abs(prior.test.pValue - 0.00352994474469132) < 1e-12)
    }

    /// The score test of a Cox regression on the group is the log-rank test where no times tie.
    @Test func agreesWithCox() throws {
        var random = SeededRandom(seed: 11)
        let durations = (0..<200).map { _ in random.exponential(rate: 1) }
        let entries = durations.map { $0 * random.uniform() * 0.5 }
        let events = (0..<200).map { _ in random.bernoulli(0.7) }
        let groups = (0..<200).map { _ in Int32(random.below(3)) }
        let times = try SurvivalTimes(durations: durations, isEvent: events, entries: entries)
        let test = try LogRankTest.run(times, groups: groups, names: ["a", "b", "c"])
        let cox = try CoxRegression.fit(
            times,
            [1, 2].map { code in
                CovariateColumn(name: "\(code)", values: groups.map { $0 == code ? 1 : 0 })
            })
        #expect(abs(test.test.statistic - cox.scoreTest.statistic) < 1e-9)
        #expect(test.test.degreesOfFreedom == 2)
    }

    @Test func refusesWhatSaysNothing() throws {
        let times = try SurvivalTimes(durations: [1, 2], isEvent: [false, false])
        #expect(throws: ModelError.self) {
            try LogRankTest.run(times, groups: [0, 1], names: ["a", "b"])
        }
        #expect(throws: ModelError.self) {
            try LogRankTest.run(times, groups: [0, 2], names: ["a", "b"])
        }
        #expect(throws: ModelError.self) {
            try LogRankTest.run(times, groups: [0, 0], names: ["a"])
        }
    }
}

@Suite struct SignificanceTests {
    /// Digits by SciPy 1.17.
    @Test func tailAreas() {
        #expect(abs(Significance.normalQuantile(0.975) - 1.959963984540054) < 1e-14)
        #expect(abs(Significance.normalQuantile(1e-10) + 6.361340902404056) < 1e-12)
        #expect(abs(Significance.normalQuantile(0.5)) < 1e-15)
        func tail(_ x: Double, _ k: Int, _ expected: Double) {
            let value = Significance.chiSquareTail(x, degreesOfFreedom: k)
            #expect(abs(value / expected - 1) < 1e-12, "\(x) \(k): \(value)")
        }
        tail(33.26594580156916, 7, 2.3620450537001496e-05)
        tail(3.837569576549052, 1, 0.050116117409005845)
        tail(100, 3, 1.5541594313896026e-21)
        tail(0.5, 10, 0.999993388289439)
        #expect(Significance.chiSquareTail(0, degreesOfFreedom: 3) == 1)
        #expect(Significance.chiSquareTail(1e9, degreesOfFreedom: 3) == 0)
    }

    @Test func holmNeverFallsBelowItsOwn() {
        // Holm 1979: .01 · 4, .02 · 3, .03 · 2 held at .06, .04 held.
        let adjusted = Significance.holm([0.01, 0.04, 0.03, 0.02])
        let expected = [0.04, 0.06, 0.06, 0.06]
        for (a, e) in zip(adjusted, expected) { #expect(abs(a - e) < 1e-15) }
        #expect(Significance.holm([0.9, 0.8]) == [1, 1])
    }
}
