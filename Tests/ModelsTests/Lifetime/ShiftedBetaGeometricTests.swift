import Foundation
import Models
import Numerical
import Testing
import Units

@Suite struct ShiftedBetaGeometricTests {
    private static let regular = [1_000, 631, 468, 382, 326, 289, 262, 241]
    private static let highEnd = [1_000, 869, 743, 653, 593, 551, 517, 491]

    /// Source: the data of Fader & Hardie 2007; digits by 50-digit Newton steps.
    @Test func fitsThePapersCohorts() throws {
        let regular = try ShiftedBetaGeometric.fit(survivors: [Self.regular])
        #expect(abs(regular.alpha - 0.7040772984735162) < 1e-8)
        #expect(abs(regular.beta - 1.182043026209476) < 1e-8)
        #expect(abs((regular.diagnostics.logLikelihood ?? 0) + 1_680.26518846328699) < 1e-9)
        #expect(regular.diagnostics.isSound)
        let highEnd = try ShiftedBetaGeometric.fit(survivors: [Self.highEnd])
        #expect(abs(highEnd.alpha - 0.6680883511064462) < 1e-8)
        #expect(abs(highEnd.beta - 3.806094964058267) < 1e-8)
        let errors = try #require(highEnd.diagnostics.standardErrors)
        #expect(abs(errors[0] - 0.10373493115) < 1e-8 && abs(errors[1] - 0.785531691776) < 1e-7)
        #expect(highEnd.periodCount == 7 && highEnd.leftCount == 509)
        let both = try ShiftedBetaGeometric.fit(
            survivors: [Self.regular, Array(Self.highEnd.prefix(5)), [], [40]])
        #expect(abs(both.alpha - 0.7015509536406902) < 1e-8)
        #expect(abs(both.beta - 2.082126325283882) < 1e-8)
        #expect(both.customerCount == 2_040)
    }

    @Test func quantitiesAgreeWithEachOther() throws {
        let model = FittedShiftedBetaGeometric(alpha: 1.7, beta: 2.3)
        #expect(abs(model.survival(periods: 1) - 2.3 / 4) < 1e-15)
        #expect(abs(model.retentionRate(period: 3) - 4.3 / 6) < 1e-15)
        let later = model.survival(periods: 9) / model.survival(periods: 4)
        #expect(abs(model.probabilityAlive(age: 4, after: 5) - later) < 1e-15)
        // (β + n) / (α − 1), which the sum over a long horizon nears from below.
        let residual = try #require(model.expectedResidualPeriods(age: 4))
        #expect(abs(residual - 6.3 / 0.7) < 1e-12)
        let near = model.expectedPeriods(age: 4, horizon: 1_000_000)
        #expect(near < residual && near > residual * 0.999)
        // A direct sum.
        var sum = 0.0
        for t in 1...4_000 {
            sum += model.probabilityAlive(age: 4, after: t) * pow(1.02, 1 - Double(t))
        }
        let discounted = try #require(
            try model.discountedResidualLifetime(age: 4, discount: 0.02))
        #expect(abs(discounted / sum - 1) < 1e-12)
        let undiscounted = try #require(
            try model.discountedResidualLifetime(age: 4, discount: 0))
        #expect(abs(undiscounted - residual) < 1e-12)
        let heavy = FittedShiftedBetaGeometric(alpha: 0.9, beta: 2)
        #expect(heavy.expectedResidualPeriods(age: 0) == nil)
        #expect(try heavy.discountedLifetime(discount: 0) == nil)
        #expect(throws: ModelError.self) { try heavy.discountedLifetime(discount: -0.1) }
        #expect(throws: ModelError.self) { try heavy.discountedLifetime(discount: .nan) }
        let monthly = ContractPeriod.month.discount(DiscountRate(annual: 0.15))
        #expect(abs(monthly - (pow(1.15, 1.0 / 12) - 1)) < 1e-15)
        let text = try JSONEncoder().encode(model)
        #expect(try JSONDecoder().decode(FittedShiftedBetaGeometric.self, from: text) == model)
    }

    /// The 95 % interval of ln α and ln β covers the planted values as often as it says.
    @Test func intervalsCoverThePlantedParameters() throws {
        var covered = [0, 0]
        let truth = [0.8, 2.5]
        let seeds = 200
        for seed in 0..<seeds {
            var random = SeededRandom(seed: UInt64(seed), stream: 77)
            var cohorts: [[Int]] = []
            for length in [12, 8, 5] {
                var counts = [Int](repeating: 0, count: length + 1)
                for _ in 0..<600 {
                    let theta = random.beta(truth[0], truth[1])
                    var age = 0
                    while age < length, !random.bernoulli(theta) { age += 1 }
                    for period in 0...age { counts[period] += 1 }
                }
                cohorts.append(counts)
            }
            let fitted = try ShiftedBetaGeometric.fit(survivors: cohorts)
            let errors = try #require(fitted.diagnostics.standardErrors)
            for (k, estimate) in [fitted.alpha, fitted.beta].enumerated() {
                let distance = abs(log(estimate / truth[k]))
                if distance <= 1.96 * errors[k] / estimate { covered[k] += 1 }
            }
        }
        for count in covered { #expect((180...198).contains(count), "\(covered)") }
    }

    @Test func refusesOrFlagsWhatTellsNothing() throws {
        func failure(_ cohorts: [[Int]]) -> String {
            do throws(ModelError) {
                _ = try ShiftedBetaGeometric.fit(survivors: cohorts)
            } catch { return error.description }
            return ""
        }
        #expect(failure([]).contains("no rows"))
        #expect(failure([[], [0]]).contains("no rows"))
        #expect(failure([[10, 10, 10]]).contains("no customer has left"))
        #expect(failure([[10, 4]]).contains("second period"))
        #expect(failure([[10, 0, 0]]).contains("second period"))
        #expect(failure([[10, 5, 4], [9, 3, 4]]).contains("row 1"))
        #expect(failure([[10, -1]]).contains("negative"))
        #expect(failure([[7]]).contains("no customer has left"))
        // Churn that rises with age is outside the model: the fit runs to equal customers.
        let rising = try ShiftedBetaGeometric.fit(survivors: [[1_000, 950, 700, 200]])
        #expect(!rising.diagnostics.isSound)
        #expect(rising.diagnostics.outcome == .atBound)
        let one = try ShiftedBetaGeometric.fit(survivors: [[1, 1, 0]])
        #expect(one.alpha.isFinite && one.beta.isFinite && !one.diagnostics.isSound)
        let gone = try ShiftedBetaGeometric.fit(survivors: [[100, 40, 20, 12, 0]])
        #expect(gone.alpha > 0 && gone.beta > 0)
    }

    @Test func latticeIsFiniteAndMonotone() throws {
        let values = [1e-4, 1e-2, 0.3, 1, 7, 1e2, 1e4]
        for alpha in values {
            for beta in values {
                let model = FittedShiftedBetaGeometric(alpha: alpha, beta: beta)
                var before = 1.0
                for t in [1, 2, 10, 500, 4_095, 4_096, 4_097, 100_000, 100_000_000] {
                    let share = model.survival(periods: t)
                    #expect((0...before).contains(share), "\(alpha) \(beta) \(t)")
                    before = share * (1 + 1e-10)
                }
                var retention = 0.0
                for t in [1, 2, 10, 10_000] {
                    let rate = model.retentionRate(period: t)
                    #expect(rate >= retention && rate <= 1)
                    retention = rate
                }
                var longest = Double.infinity
                for discount in [1e-9, 1e-6, 1e-3, 0.1, 1, 1e4, 1e9] {
                    let value = try model.discountedLifetime(discount: discount) ?? -1
                    // One payment for sure, all of them at most.
                    #expect(value >= 1 && value <= longest, "\(alpha) \(beta) \(discount)")
                    #expect(value <= (1 + discount) / discount * (1 + 1e-12))
                    longest = value * (1 + 1e-12)
                    let young = try model.discountedResidualLifetime(age: 0, discount: discount)
                    let old = try model.discountedResidualLifetime(age: 50, discount: discount)
                    let rises = (young ?? 2) <= (old ?? 1) * (1 + 1e-9)
                    #expect(rises, "\(alpha) \(beta) \(discount)")
                }
            }
        }
    }
}
