import Foundation
import Models
import Numerical
import Testing

/// Rossi's releases beside lifelines 0.30.3 and a direct sum over the risk sets, which agree to
/// the digits shown.
@Suite struct CoxRossiTests {
    private func check(
        _ fit: FittedCox, _ coefficients: [Double], _ errors: [Double], _ logLikelihood: Double,
        _ tolerance: Double = 2e-9, line: Int = #line
    ) {
        #expect(fit.outcome == .converged)
        #expect(abs(fit.logLikelihood - logLikelihood) < 1e-8, "line \(line)")
        #expect(fit.coefficients.count == coefficients.count)
        for (item, expected) in zip(fit.coefficients, zip(coefficients, errors)) {
            #expect(abs(item.coefficient - expected.0) < tolerance, "\(item.name), line \(line)")
            #expect(abs(item.standardError - expected.1) < tolerance, "\(item.name) \(line)")
        }
    }

    @Test(.enabled(if: RossiData.isHere))
    func efron() throws {
        let rossi = try #require(RossiData.shared)
        let fit = try CoxRegression.fit(rossi.times, rossi.columns)
        check(
            fit,
            [
                -0.379422166871, -0.057437743014, 0.313899785949, -0.149795697223,
                -0.433703876690, -0.084871082991, 0.091497079351,
            ],
            [
                0.191379480713, 0.021999470628, 0.307992776393, 0.212224296158, 0.381868057465,
                0.195756671921, 0.028648550073,
            ], -658.7476594460857, 2e-11)
        #expect(fit.ties == .efron)
        #expect(abs(fit.nullLogLikelihood + 675.3806323468708) < 1e-9)
        #expect(abs(fit.likelihoodRatioTest.statistic - 33.26594580156916) < 1e-8)
        #expect(abs(fit.likelihoodRatioTest.pValue / 2.3620450537001496e-05 - 1) < 1e-8)
        #expect(abs(fit.scoreTest.statistic - 33.528688899707696) < 1e-8)
        #expect(abs(fit.waldTest.statistic - 32.11261019193659) < 1e-8)
        #expect(abs(fit.aic - 1331.4953188921718) < 1e-8)
        #expect(abs((fit.concordance ?? 0) - 0.6403292470997135) < 1e-12)
        let prior = fit.coefficients[6]
        #expect(abs(prior.pValue - 0.001404245618) < 1e-11)
        #expect(abs(prior.hazardRatioLower - 1.035979082501) < 1e-10)
        #expect(abs(prior.hazardRatioUpper - 1.159103898978) < 1e-10)
        let baseline = try fit.baseline()
        for (time, hazard) in [
            (10, 0.029943928995726177), (26, 0.11625303205515375), (52, 0.2752958652720139),
        ] as [(Double, Double)] {
            #expect(abs(baseline.cumulativeHazard(at: time) - hazard) < 1e-11)
        }
        #expect(baseline.cumulativeHazard(at: 0.5) == 0)
        // A customer at the means has the baseline's survival.
        let means = fit.coefficients.map(\.mean)
        #expect(try fit.relativeHazard(means) == 1)
        let survival = try fit.survival(at: 26, relativeHazard: 2)
        #expect(abs(survival - exp(-2 * 0.11625303205515375)) < 1e-11)
        let later = try fit.survival(at: 52, relativeHazard: 2, survivedTo: 26)
        #expect(abs(later - exp(-2 * (0.2752958652720139 - 0.11625303205515375))) < 1e-11)
        let many = try fit.relativeHazards(rossi.columns.reversed())
        let first = try fit.relativeHazard(rossi.columns.map { $0.values[0] })
        #expect(abs(many[0] - first) < 1e-12)
        #expect(throws: ModelError.self) { try fit.relativeHazards(rossi.withoutRace) }
        let text = try JSONEncoder().encode(fit)
        #expect(try JSONDecoder().decode(FittedCox.self, from: text) == fit)
    }

    @Test(.enabled(if: RossiData.isHere))
    func breslow() throws {
        let rossi = try #require(RossiData.shared)
        var parameters = CoxRegression.Parameters()
        parameters.ties = .breslow
        let fit = try CoxRegression.fit(rossi.times, rossi.columns, parameters)
        check(
            fit,
            [
                -0.37902188779502705, -0.057245925363557305, 0.31412976506824386,
                -0.15111459962745546, -0.4327825725490519, -0.08498283575160531,
                0.09111154050046583,
            ],
            [
                0.19136442585901947, 0.021983185751471332, 0.30801727957875813,
                0.21212316079631963, 0.3817949350643099, 0.19574820732321188, 0.028631253066824826,
            ], -659.120605677328)
        #expect(abs((fit.concordance ?? 0) - 0.6404231835047672) < 1e-12)
        #expect(abs(try fit.baseline().cumulativeHazard(at: 52) - 0.2745280269236481) < 1e-11)
    }

    @Test(.enabled(if: RossiData.isHere))
    func weightsEntriesAndStrata() throws {
        let rossi = try #require(RossiData.shared)
        check(
            try CoxRegression.fit(
                rossi.times(entries: nil, weights: rossi.weights), rossi.columns),
            [
                -0.3365568232303453, -0.06350673935785828, 0.17340604324452016,
                -0.053347024104534894, -0.8856093423480075, -0.13615362530202052,
                0.10456800314962997,
            ],
            [
                0.135553693940612, 0.015734233431203403, 0.21432380291054234, 0.14808146972562772,
                0.3179669118391332, 0.13860842538505838, 0.019898140621679807,
            ], -1474.535208204802)
        check(
            try CoxRegression.fit(
                rossi.times(entries: rossi.entries, weights: nil), rossi.columns),
            [
                -0.37000739235662017, -0.056473763045339805, 0.32069987239220776,
                -0.14600556393574343, -0.4413801427841585, -0.09386223593791686,
                0.08819894700223879,
            ],
            [
                0.19147336768799167, 0.022012612875999118, 0.3079520968480331,
                0.21259477357146048, 0.38216068470212944, 0.19580698408589087,
                0.028461242483687237,
            ], -652.3312392130948)
        check(
            try CoxRegression.fit(rossi.times, rossi.withoutRace, strata: rossi.race),
            [
                -0.378767374640, -0.057639745568, -0.142749925420, -0.438816685638,
                -0.085763954600, 0.092213839431,
            ],
            [
                0.191303694331, 0.022002097379, 0.212793770693, 0.382127626515, 0.195807352885,
                0.028726063888,
            ], -620.5636085143756)
        let all = try CoxRegression.fit(
            rossi.times(entries: rossi.entries, weights: rossi.weights), rossi.withoutRace,
            strata: rossi.race)
        check(
            all,
            [
                -0.32278851205158315, -0.06289188946893892, -0.0315141045622784,
                -0.9081258536498676, -0.13973404971069878, 0.10378652639984673,
            ],
            [
                0.13547521821137676, 0.015749304898152083, 0.1491320667082292, 0.3184146451742626,
                0.13882953627882666, 0.019873529388848746,
            ], -1384.1896109300694)
        #expect(abs((all.concordance ?? 0) - 0.6468464707837636) < 1e-12)
        #expect(all.baselines.map(\.stratum) == [0, 1])
        #expect(throws: ModelError.self) { try all.baseline(stratum: 2) }
    }

    @Test(.enabled(if: RossiData.isHere))
    func ridge() throws {
        let rossi = try #require(RossiData.shared)
        var parameters = CoxRegression.Parameters()
        parameters.ridge = 5
        let fit = try CoxRegression.fit(rossi.times, rossi.columns, parameters)
        check(
            fit,
            [
                -0.36331078760122504, -0.053180284632701254, 0.29485603042649833,
                -0.1648878965424446, -0.4138072311209475, -0.07952072580810131,
                0.08839129282404223,
            ],
            [
                0.18683475559904225, 0.020664135461510344, 0.29859195870468036,
                0.20544706746362978, 0.3629397993945476, 0.19128193834446694, 0.028250845720570992,
            ], -658.7805666189862)
        #expect(fit.effectiveParameterCount < 7 && fit.effectiveParameterCount > 5)
    }

    @Test(.enabled(if: RossiData.isHere))
    func ranksFactors() throws {
        let rossi = try #require(RossiData.shared)
        let ranking = try RetentionFactors.rank(rossi.times, rossi.columns)
        #expect(
            ranking.factors.map(\.name) == ["prio", "age", "fin", "mar", "race", "wexp", "paro"])
        let drops = [
            8.976597172254287, 7.988017268656677, 3.986210101601273, 1.4311793233482604,
            1.1251518070425846, 0.5003371661507572, 0.1869702349729323,
        ]
        for (factor, drop) in zip(ranking.factors, drops) {
            #expect(abs(factor.likelihoodRatioDrop.statistic - drop) < 1e-8)
            #expect(factor.adjustedPValue >= factor.likelihoodRatioDrop.pValue)
        }
        let age = ranking.factors[1]
        // Age has a sample standard deviation of 6.1136 years.
        #expect(abs(age.hazardRatiosPerDeviation[0].value - exp(-0.057437743 * 6.1136)) < 1e-4)
        let grouped = try RetentionFactors.rank(
            rossi.times,
            rossi.columns.map {
                CovariateColumn(
                    name: $0.name, values: $0.values,
                    factor: ["wexp", "paro"].contains($0.name) ? "background" : nil)
            })
        let background = try #require(grouped.factors.first { $0.name == "background" })
        #expect(background.likelihoodRatioDrop.degreesOfFreedom == 2)
        #expect(background.columns.map(\.name) == ["wexp", "paro"])
    }
}

@Suite struct CoxRegressionTests {
    private func failure(_ work: () throws(ModelError) -> Void) -> String {
        do throws(ModelError) { try work() } catch { return error.description }
        return ""
    }

    /// Weibull times with known coefficients, censored, on a grid of days where asked.
    private func simulated(
        _ count: Int, seed: UInt64, coefficients: [Double], days: Bool
    ) throws -> (SurvivalTimes, [CovariateColumn]) {
        var random = SeededRandom(seed: seed)
        var columns = coefficients.map { _ in [Double]() }
        var durations: [Double] = []
        var events: [Bool] = []
        for _ in 0..<count {
            var predictor = 0.0
            for (j, b) in coefficients.enumerated() {
                let x = j % 2 == 0 ? random.normal() : (random.bernoulli(0.3) ? 1 : 0)
                columns[j].append(x)
                predictor += b * x
            }
            let time = 100 * pow(random.exponential(rate: exp(predictor)), 0.8)
            let end = 40 + 200 * random.uniform()
            events.append(time <= end)
            let duration = min(time, end)
            durations.append(days ? duration.rounded(.up) : duration)
        }
        return (
            try SurvivalTimes(durations: durations, isEvent: events),
            columns.enumerated().map {
                CovariateColumn(name: "x\($0.offset)", values: $0.element)
            }
        )
    }

    @Test(arguments: [false, true]) func recoversPlantedCoefficients(days: Bool) throws {
        let truth = [0.5, -0.7, 0, 1.1]
        let (times, columns) = try simulated(20_000, seed: 3, coefficients: truth, days: days)
        let fit = try CoxRegression.fit(times, columns)
        for (item, value) in zip(fit.coefficients, truth) {
            #expect(abs(item.coefficient - value) < 4 * item.standardError)
            #expect(item.standardError < 0.03)
        }
        // H₀(t) = (t/100)^1.25, at the means.
        let shift = zip(fit.coefficients, truth).reduce(0) { $0 + $1.0.mean * $1.1 }
        let hazard = try fit.baseline().cumulativeHazard(at: 100)
        #expect(abs(hazard / exp(shift) - 1) < 0.05)
    }

    @Test(arguments: [1, 3, 8]) func sameBytesForAnyThreadCount(threads: Int) throws {
        let (times, columns) = try simulated(
            30_000, seed: 8, coefficients: [0.3, -0.2, 0.1], days: true)
        let strata = (0..<30_000).map { Int32($0 % 4) - 1 }
        let entries = times.durations.enumerated().map { row, duration -> Double in
            row % 3 == 0 ? duration / 2 : 0
        }
        let late = try SurvivalTimes(
            durations: times.durations, isEvent: times.isEvent, entries: entries)
        var parameters = CoxRegression.Parameters()
        let one = try CoxRegression.fit(late, columns, strata: strata, parameters)
        parameters.threadCount = threads
        #expect(try CoxRegression.fit(late, columns, strata: strata, parameters) == one)
    }

    /// Order of rows, units and offsets of columns, and units of time change nothing but digits.
    @Test func isInvariant() throws {
        let (times, columns) = try simulated(
            3_000, seed: 4, coefficients: [0.4, -0.6], days: true)
        let plain = try CoxRegression.fit(times, columns)
        let order = Array((0..<3_000).reversed())
        let moved = try CoxRegression.fit(
            try SurvivalTimes(
                durations: order.map { times.durations[$0] * 7 },
                isEvent: order.map { times.isEvent[$0] }),
            columns.map { column in
                CovariateColumn(
                    name: column.name,
                    values: order.map { row -> Double in 1e6 + 1_000 * column.values[row] })
            })
        for (a, b) in zip(plain.coefficients, moved.coefficients) {
            #expect(abs(a.coefficient - b.coefficient * 1_000) < 1e-7)
            #expect(abs(a.standardError - b.standardError * 1_000) < 1e-7)
        }
        #expect(abs(plain.logLikelihood - moved.logLikelihood) < 1e-6)
        #expect(abs((plain.concordance ?? 0) - (moved.concordance ?? 1)) < 1e-12)
    }

    @Test func namesUnusableColumns() throws {
        let (times, columns) = try simulated(
            500, seed: 6, coefficients: [0.4, -0.6, 0.2], days: true)
        let sum = CovariateColumn(
            name: "sum",
            values: zip(columns[0].values, columns[2].values).map { a, b -> Double in 2 * a - b + 3
            })
        let flat = CovariateColumn(name: "flat", values: [Double](repeating: 7, count: 500))
        let reason = failure { () throws(ModelError) in
            _ = try CoxRegression.fit(times, columns + [sum, flat])
        }
        #expect(reason.contains("column \"flat\" is constant"))
        #expect(reason.contains("collinear"))
        for name in ["x0", "x2", "sum"] { #expect(reason.contains("\"\(name)\"")) }
        #expect(!reason.contains("\"x1\""))

        var parameters = CoxRegression.Parameters()
        parameters.unusableColumns = .leaveOut
        let fit = try CoxRegression.fit(times, columns + [sum, flat], parameters)
        #expect(fit.coefficients.count == 3)
        #expect(Set(fit.omittedColumns.map(\.reason)) == [.constant, .collinear])
        let reduced = try CoxRegression.fit(times, columns)
        #expect(abs(fit.logLikelihood - reduced.logLikelihood) < 1e-8)
        // A ridge keeps collinear columns and shares the effect.
        parameters.ridge = 1
        #expect(try CoxRegression.fit(times, columns + [sum], parameters).coefficients.count == 4)
        // Constant within each stratum.
        let strata = columns[1].values.map { Int32($0) }
        let within = failure { () throws(ModelError) in
            _ = try CoxRegression.fit(times, columns, strata: strata)
        }
        #expect(within.contains("\"x1\" is constant among the rows at risk"))
    }

    @Test func namesSeparatingColumns() throws {
        let (times, columns) = try simulated(
            400, seed: 9, coefficients: [0.4, -0.6, 0.2], days: true)
        let onlyEvents = CovariateColumn(
            name: "leaver", values: times.isEvent.map { $0 ? 1 : 0 })
        let one = failure { () throws(ModelError) in
            _ = try CoxRegression.fit(times, columns + [onlyEvents])
        }
        #expect(one.contains("the most extreme value of \"leaver\" of all"), "\(one)")
        let tenure = failure { () throws(ModelError) in
            _ = try CoxRegression.fit(
                times, columns + [CovariateColumn(name: "tenure", values: times.durations)])
        }
        #expect(tenure.contains("the most extreme value of \"tenure\" of all"), "\(tenure)")
        // The difference of two columns separates, neither alone does.
        var random = SeededRandom(seed: 1)
        let noise = (0..<400).map { _ in random.normal() }
        let hidden = CovariateColumn(
            name: "hidden", values: zip(noise, onlyEvents.values).map { a, b -> Double in a + b })
        let two = failure { () throws(ModelError) in
            _ = try CoxRegression.fit(
                times, columns + [CovariateColumn(name: "noise", values: noise), hidden])
        }
        #expect(two.contains("the most extreme value of \"noise\", \"hidden\" of all"), "\(two)")
        #expect(!two.contains("x0"))
        var parameters = CoxRegression.Parameters()
        parameters.ridge = 0.1
        let fit = try CoxRegression.fit(times, columns + [onlyEvents], parameters)
        #expect(fit.coefficients.allSatisfy { $0.coefficient.isFinite && $0.pValue >= 0 })
        #expect(fit.coefficients[3].coefficient > 1)
        let late = try SurvivalTimes(
            durations: times.durations, isEvent: times.isEvent,
            entries: times.durations.map { $0 / 2 })
        let entered = failure { () throws(ModelError) in
            _ = try CoxRegression.fit(late, columns + [onlyEvents])
        }
        #expect(entered.contains("value of \"leaver\" of all"), "\(entered)")
    }

    @Test func refusesBadInput() throws {
        let times = try SurvivalTimes(durations: [1, 2, 3], isEvent: [true, false, true])
        func column(_ values: [Double]) -> [CovariateColumn] {
            [CovariateColumn(name: "age", values: values)]
        }
        let bad = failure { () throws(ModelError) in
            _ = try CoxRegression.fit(times, column([1, 2, .nan]))
        }
        #expect(bad.contains("covariate \"age\": row 2, column 0 is NaN"))
        #expect(
            failure { () throws(ModelError) in
                _ = try CoxRegression.fit(times, column([1, 2]))
            }.contains("covariate \"age\": got 2"))
        #expect(
            failure { () throws(ModelError) in _ = try CoxRegression.fit(times, []) }
                .contains("covariates"))
        let nobody = try SurvivalTimes(durations: [1, 2], isEvent: [false, false])
        #expect(
            failure { () throws(ModelError) in
                _ = try CoxRegression.fit(nobody, column([1, 2]))
            }.contains("no row has the event"))
        let single = try SurvivalTimes(durations: [1], isEvent: [true])
        #expect(
            failure { () throws(ModelError) in
                _ = try CoxRegression.fit(single, column([1]))
            }.contains("\"age\" is constant"))
        var parameters = CoxRegression.Parameters()
        parameters.ridge = -1
        #expect(throws: ModelError.self) {
            try CoxRegression.fit(times, column([1, 5, 2]), parameters)
        }
        parameters.ridge = 0
        parameters.confidenceLevel = 1
        #expect(throws: ModelError.self) {
            try CoxRegression.fit(times, column([1, 5, 2]), parameters)
        }
        let vast = failure { () throws(ModelError) in
            _ = try CoxRegression.fit(times, column([1e300, -1e300, 0]))
        }
        #expect(vast.contains("spread of covariate \"age\""))
        // All rows have the event at one time: no value of the column is the better one.
        let tied = try SurvivalTimes(durations: [2, 2, 2], isEvent: [true, true, true])
        let level = try CoxRegression.fit(tied, column([1, 5, 2]))
        #expect(abs(level.coefficients[0].coefficient) < 1e-9)
        #expect(level.concordance == nil)
        // Times of 0 are as good as any.
        let zero = try SurvivalTimes(
            durations: [0, 0, 1, 2, 3], isEvent: [true, false, true, true, false])
        let fit = try CoxRegression.fit(
            zero, [CovariateColumn(name: "age", values: [3, 1, 2, 4, 2.5])])
        #expect(fit.coefficients[0].coefficient.isFinite)
    }
}
