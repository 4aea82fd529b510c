import Foundation
import Models
import Numerical
import Testing

/// A customer watched from 0 to T is the same as one row from 0 to a without event and one from a
/// to T: every statistic must stay what it was.
@Suite struct SplitRowsTests {
    private struct Data {
        var durations: [Double] = []
        var isEvent: [Bool] = []
        var entries: [Double] = []
        var weights: [Double] = []
        var strata: [Int32] = []
        var columns: [[Double]] = [[], [], []]

        mutating func append(
            _ entry: Double, _ duration: Double, _ event: Bool, like row: Int, of other: Data
        ) {
            entries.append(entry)
            durations.append(duration)
            isEvent.append(event)
            weights.append(other.weights[row])
            strata.append(other.strata[row])
            for j in columns.indices { columns[j].append(other.columns[j][row]) }
        }

        var times: SurvivalTimes {
            get throws {
                try SurvivalTimes(
                    durations: durations, isEvent: isEvent, entries: entries, weights: weights)
            }
        }

        var covariates: [CovariateColumn] {
            columns.enumerated().map { CovariateColumn(name: "x\($0.offset)", values: $0.element) }
        }
    }

    private func whole(_ count: Int, seed: UInt64, days: Bool) -> Data {
        var random = SeededRandom(seed: seed)
        var data = Data()
        for _ in 0..<count {
            let x = [random.normal(), random.uniform(), random.bernoulli(0.2) ? 1.0 : 0]
            let hazard = exp(0.8 * x[0] - x[1])
            let time = 30 * random.exponential(rate: hazard)
            let end = 10 + 50 * random.uniform()
            let last = min(time, end)
            data.durations.append(days ? last.rounded(.up) : last)
            data.isEvent.append(time <= end)
            data.entries.append(0)
            data.weights.append(Double(1 + random.below(4)) / 2)
            data.strata.append(Int32(random.below(3)))
            for j in 0..<3 { data.columns[j].append(x[j]) }
        }
        return data
    }

    private func split(_ data: Data, seed: UInt64) -> Data {
        var random = SeededRandom(seed: seed, stream: 1)
        var parts = Data()
        for row in data.durations.indices {
            var start = 0.0
            for _ in 0..<random.below(4) {
                // Some cuts fall on times of events of others.
                let left = data.durations[row] - start
                let cut = (start + left * random.uniform()).rounded(.down)
                guard cut > start, cut < data.durations[row] else { continue }
                parts.append(start, cut, false, like: row, of: data)
                start = cut
            }
            parts.append(start, data.durations[row], data.isEvent[row], like: row, of: data)
        }
        return parts
    }

    @Test(arguments: [true, false], CoxRegression.Ties.allCases)
    func cox(days: Bool, ties: CoxRegression.Ties) throws {
        let one = whole(12_000, seed: 21, days: days)
        let many = split(one, seed: 21)
        #expect(many.durations.count > 15_000)
        var parameters = CoxRegression.Parameters()
        parameters.ties = ties
        parameters.threadCount = 2
        let a = try CoxRegression.fit(one.times, one.covariates, strata: one.strata, parameters)
        let b = try CoxRegression.fit(many.times, many.covariates, strata: many.strata, parameters)
        #expect(abs(a.logLikelihood / b.logLikelihood - 1) < 1e-12)
        #expect(abs((a.concordance ?? 0) - (b.concordance ?? 1)) < 1e-9)
        for (x, y) in zip(a.coefficients, b.coefficients) {
            #expect(abs(x.coefficient - y.coefficient) < 1e-9)
            #expect(abs(x.standardError - y.standardError) < 1e-9)
        }
        for stratum in 0..<3 as Range<Int32> {
            let low = try a.baseline(stratum: stratum)
            let high = try b.baseline(stratum: stratum)
            #expect(low.times == high.times)
            // Means of columns differ, and with them whom the baseline belongs to.
            let shift = zip(a.coefficients, b.coefficients)
                .reduce(0.0) { $0 + $1.0.coefficient * ($1.0.mean - $1.1.mean) }
            let ratio = low.cumulativeHazard(at: 20) / high.cumulativeHazard(at: 20)
            #expect(abs(ratio / exp(shift) - 1) < 1e-8)
        }
    }

    @Test(arguments: [true, false]) func kaplanMeierAndLogRank(days: Bool) throws {
        let one = whole(3_000, seed: 5, days: days)
        let many = split(one, seed: 5)
        let a = KaplanMeier.fit(try one.times)
        let b = KaplanMeier.fit(try many.times)
        for time in stride(from: 0.0, through: 60, by: 0.7) {
            #expect(abs(a.survival(at: time) - b.survival(at: time)) < 1e-12)
            #expect(abs(a.standardError(at: time) - b.standardError(at: time)) < 1e-12)
        }
        let names = ["a", "b", "c"]
        let x = try LogRankTest.run(one.times, groups: one.strata, names: names)
        let y = try LogRankTest.run(many.times, groups: many.strata, names: names)
        #expect(abs(x.test.statistic - y.test.statistic) < 1e-9)
    }
}
