import Foundation
import Load
import Numerical
import Testing

struct ScheduleTests {
    @Test func constantArrivalsAreEquallySpaced() {
        let random = SeededRandom(seed: 1)
        var schedule = ArrivalSchedule(.constant, rate: 3, random: random)
        let times = (0..<7).map { _ in schedule.next() }
        #expect(
            times == [
                0, 333_333_333, 666_666_666, 1_000_000_000, 1_333_333_333, 1_666_666_666,
                2_000_000_000,
            ])
        // After a million requests nothing has drifted.
        var many = ArrivalSchedule(.constant, rate: 70_000, random: random)
        for _ in 0..<1_400_000 { _ = many.next() }
        #expect(many.next() == 20_000_000_000)
    }

    @Test func schedulesOfThreadsInterleave() {
        var all: [UInt64] = []
        for index in 0..<4 {
            var schedule = ArrivalSchedule(
                .constant, rate: 250, phase: Double(index) / 4, random: SeededRandom(seed: 1))
            all += (0..<10).map { _ in schedule.next() }
        }
        #expect(all.sorted() == (0..<40).map { UInt64($0) * 1_000_000 })
    }

    /// Gaps are exponential: mean 1 / rate, variance the mean's square, and the share of gaps above
    /// the mean 1 / e. The bounds are five standard errors.
    @Test(arguments: [UInt64(1), 2, 3])
    func poissonArrivalsHaveExponentialGaps(seed: UInt64) {
        let (rate, count) = (10_000.0, 200_000)
        var schedule = ArrivalSchedule(.poisson, rate: rate, random: SeededRandom(seed: seed))
        var (last, gaps) = (0.0, [Double]())
        for _ in 0..<count {
            let time = Double(schedule.next()) * 1e-9
            gaps.append(time - last)
            last = time
        }
        let mean = gaps.reduce(0, +) / Double(count)
        let variance = gaps.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
        let above = Double(gaps.count { $0 > 1 / rate }) / Double(count)
        let error = 5 / Double(count).squareRoot()
        #expect(abs(mean * rate - 1) < error)
        // The variance of the squared deviation of an exponential is eight times its mean's square.
        #expect(abs(variance * rate * rate - 1) < error * 8.0.squareRoot())
        #expect(abs(above - 0.367_879) < error * 0.4823)
    }

    @Test func aSeedGivesTheSameTimes() {
        func times(_ seed: UInt64) -> [UInt64] {
            var schedule = ArrivalSchedule(.poisson, rate: 1e6, random: SeededRandom(seed: seed))
            return (0..<100).map { _ in schedule.next() }
        }
        #expect(times(7) == times(7))
        #expect(times(7) != times(8))
    }
}

struct KeyDistributionTests {
    /// Every rank of a small population and the first ones of a large one, within five standard
    /// errors of their exact probabilities.
    @Test(arguments: [
        (20, 0.5), (20, 0.99), (20, 1), (20, 1.5), (7, 3), (1, 0.99), (2, 1), (1_000_000, 0.99),
        (1_000_000, 1.2),
    ])
    func zipfMatchesItsProbabilities(count: Int, exponent: Double) {
        let sampler = ZipfSampler(count: count, exponent: exponent)
        var random = SeededRandom(seed: 5)
        let draws = 200_000
        var counts = [Int](repeating: 0, count: min(count, 20) + 1)
        var isInside = true
        for _ in 0..<draws {
            let rank = sampler.next(&random)
            isInside = isInside && (1...count).contains(rank)
            counts[min(rank, counts.count) - 1] += 1
        }
        #expect(isInside)
        var total = 0.0
        for rank in 1...count { total += pow(Double(rank), -exponent) }
        for rank in 1..<counts.count {
            let expected = pow(Double(rank), -exponent) / total
            let error = (expected * (1 - expected) / Double(draws)).squareRoot()
            let actual = Double(counts[rank - 1]) / Double(draws)
            #expect(
                abs(actual - expected) <= 5 * error + 1e-12, "rank \(rank): \(actual), \(expected)")
        }
    }

    @Test func ranksAreScatteredOneToOne() {
        for count in Array(1...200) + [1_000, 65_536, 99_991] {
            let source = KeySource(.range(1...Int64(count)), .zipf(1))
            let places = Set((1...count).map { source.place(ofRank: $0) })
            #expect(places.count == count)
            #expect(places.allSatisfy { (0..<count).contains($0) })
        }
    }

    @Test func uniformKeysAreAllDrawnAlike() {
        let source = KeySource(.range(5...14), .uniform)
        var random = SeededRandom(seed: 3)
        var counts = [Int](repeating: 0, count: 10)
        for _ in 0..<100_000 { counts[source.draw(&random)] += 1 }
        // Five standard errors of a share of 0.1.
        #expect(counts.allSatisfy { abs($0 - 10_000) < 475 })
    }

    @Test func optionsAreRead() throws {
        #expect(try KeyDistribution(parsing: "uniform") == .uniform)
        #expect(try KeyDistribution(parsing: "zipf:0.99") == .zipf(0.99))
        for text in ["", "zipf", "zipf:", "zipf:0", "zipf:-1", "zipf:nan", "zipf:11", "normal"] {
            #expect(throws: LoadError.self) { try KeyDistribution(parsing: text) }
        }
        #expect(try RequestIDs(range: "5-14", option: "--id-range").count == 10)
        for text in ["", "5", "5-", "-5", "7-5", "a-b", "1-2-3", "0-9223372036854775807"] {
            #expect(throws: LoadError.self) { try RequestIDs(range: text, option: "--id-range") }
        }
    }
}

struct OperationMixTests {
    @Test func operationsAreDrawnByTheirWeights() throws {
        let mix = try OperationMix(parsing: "lookup=3,ping,segments=4")
        #expect(mix.operations == [.lookup, .ping, .segments])
        #expect(mix.shares == [0.375, 0.125, 0.5])
        var random = SeededRandom(seed: 9)
        var counts = [0, 0, 0]
        for _ in 0..<80_000 { counts[mix.draw(&random)] += 1 }
        // Five standard errors of a share of one half.
        for (count, expected) in zip(counts, [30_000, 10_000, 40_000]) {
            #expect(abs(count - expected) < 708)
        }
    }

    @Test(arguments: [
        "", "lookup=0", "lookup=-1", "lookup=x", "lookup,", "look", "lookup,lookup=2", "lookup=inf",
    ])
    func wrongMixesAreRefused(text: String) {
        #expect(throws: LoadError.self) { try OperationMix(parsing: text) }
    }
}
