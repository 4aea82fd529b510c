import Numerical
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Moments of 100,000 draws against their formulas. The tolerance is five standard errors of the
/// sample moment, from the distribution's own variance and fourth central moment.
@Suite struct DistributionsTests {
    private static let seed: UInt64 = 20_240_101

    private func expectMoments(
        mean: Double, variance: Double, kurtosis: Double, _ name: Comment,
        _ draw: (inout SeededRandom) -> Double
    ) {
        let count = 100_000
        var random = SeededRandom(seed: Self.seed, stream: 7)
        let values = (0..<count).map { _ in draw(&random) }
        let sampleMean = values.reduce(0, +) / Double(count)
        let sampleVariance =
            values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
        let meanError = (variance / Double(count)).squareRoot()
        let varianceError = variance * ((kurtosis - 1) / Double(count)).squareRoot()
        #expect(sampleVariance.isFinite, name)
        #expect(abs(sampleMean - mean) <= 5 * meanError, name)
        #expect(abs(sampleVariance - variance) <= 5 * varianceError, name)
    }

    @Test func normalMoments() {
        expectMoments(mean: 3, variance: 4, kurtosis: 3, "normal") {
            $0.normal(mean: 3, standardDeviation: 2)
        }
    }

    @Test func exponentialMoments() {
        expectMoments(mean: 4, variance: 16, kurtosis: 9, "exponential") {
            $0.exponential(rate: 0.25)
        }
    }

    @Test(arguments: [0.2, 0.5, 1.0, 1.5, 6.0, 120.0])
    func gammaMoments(shape: Double) {
        let rate = 2.5
        expectMoments(
            mean: shape / rate, variance: shape / (rate * rate), kurtosis: 3 + 6 / shape,
            "gamma of shape \(shape)"
        ) { $0.gamma(shape: shape, rate: rate) }
    }

    @Test(arguments: [(0.5, 1.5), (0.79, 2.43), (2.0, 2.0), (40.0, 8.0)])
    func betaMoments(a: Double, b: Double) {
        let sum = a + b
        let excess =
            6 * ((a - b) * (a - b) * (sum + 1) - a * b * (sum + 2))
            / (a * b * (sum + 2) * (sum + 3))
        expectMoments(
            mean: a / sum, variance: a * b / (sum * sum * (sum + 1)), kurtosis: 3 + excess,
            "beta(\(a), \(b))"
        ) { $0.beta(a, b) }
    }

    /// On both sides of the change of method at 10.
    @Test(arguments: [0.1, 1.4, 9.9, 10.0, 37.5, 4_000.0])
    func poissonMoments(mean: Double) {
        expectMoments(
            mean: mean, variance: mean, kurtosis: 3 + 1 / mean, "Poisson of mean \(mean)"
        ) { Double($0.poisson(mean: mean)) }
    }

    @Test(arguments: [0.05, 0.5, 0.95])
    func geometricMoments(chance: Double) {
        let rest = 1 - chance
        expectMoments(
            mean: rest / chance, variance: rest / (chance * chance),
            kurtosis: 9 + chance * chance / rest, "geometric of chance \(chance)"
        ) { Double($0.geometric(chance: chance)) }
    }

    @Test func limitsOfTheRange() {
        var random = SeededRandom(seed: Self.seed)
        for _ in 0..<1_000 {
            #expect(random.poisson(mean: 0) == 0)
            #expect(random.geometric(chance: 1) == 0)
            #expect(random.normal(mean: 5, standardDeviation: 0) == 5)
            #expect(random.geometric(chance: 1e-300) > 0)
            let share = random.beta(1e-3, 1e-3)
            #expect(share >= 0 && share <= 1)
            let small = random.gamma(shape: 1e-3, rate: 1)
            #expect(small >= 0 && small.isFinite)
            let (never, always) = (random.bernoulli(0), random.bernoulli(1))
            #expect(!never && always)
        }
    }

    @Test func sameSeedSameDraws() {
        func draws() -> [Double] {
            var random = SeededRandom(seed: Self.seed, stream: 3)
            return (0..<50).map { _ in random.gamma(shape: 0.7, rate: 1) + random.normal() }
        }
        #expect(draws() == draws())
    }
}

@Suite struct AliasTableTests {
    @Test(arguments: [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64])
    func drawsInProportion(count: Int) throws {
        var random = SeededRandom(seed: 11, stream: UInt64(count))
        // Every third weight is zero, unless it is the only one.
        let weights = (0..<count).map { $0 % 3 == 2 ? 0 : random.exponential(rate: 1) }
        let table = try #require(AliasTable(weights: weights))
        #expect(table.count == count)
        let drawCount = 200_000
        var counts = [Int](repeating: 0, count: count)
        for _ in 0..<drawCount { counts[table.draw(using: &random)] += 1 }
        let total = weights.reduce(0, +)
        for (index, weight) in weights.enumerated() {
            let chance = weight / total
            let error = (chance * (1 - chance) / Double(drawCount)).squareRoot()
            let share = Double(counts[index]) / Double(drawCount)
            #expect(abs(share - chance) <= 5 * error, "weight \(index) of \(count)")
        }
    }

    @Test func equalWeightsAndLargeOnes() throws {
        var random = SeededRandom(seed: 5)
        let even = try #require(AliasTable(weights: [Double](repeating: 0.1, count: 10)))
        #expect((0..<1_000).allSatisfy { _ in (0..<10).contains(even.draw(using: &random)) })
        let single = try #require(AliasTable(weights: [0, 0, 1e300, 0]))
        #expect((0..<1_000).allSatisfy { _ in single.draw(using: &random) == 2 })
    }

    @Test func refusesWhatIsNoDistribution() {
        #expect(AliasTable(weights: []) == nil)
        #expect(AliasTable(weights: [0, 0]) == nil)
        #expect(AliasTable(weights: [1, -0.5]) == nil)
        #expect(AliasTable(weights: [1, .nan]) == nil)
        #expect(AliasTable(weights: [1, .infinity]) == nil)
    }
}
