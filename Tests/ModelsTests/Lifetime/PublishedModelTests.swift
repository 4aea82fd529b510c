import Foundation
import Models
import Testing
import Units

/// Published and independently recomputed numbers of Pareto/NBD, MBG/NBD and NBD.
@Suite struct PublishedModelTests {
    private static let pareto = FittedParetoNBD(
        r: 0.5534, alpha: 10.5802, s: 0.6061, beta: 11.6562, grid: .week)
    private static let modified = FittedBGNBD(
        r: 0.525, alpha: 6.183, a: 0.891, b: 1.614, grid: .week, variant: .modified)

    private func close(_ actual: Double, _ expected: Double, _ tolerance: Double) -> Bool {
        abs(actual - expected) <= tolerance
    }

    /// P(alive), purchases expected in 52 weeks and, of Pareto/NBD, DERT at .0027 a week.
    @Test func sevenCustomers() {
        let rows: [(Int, Double, Double)] = [
            (0, 0, 39), (1, 10, 39), (2, 30, 39), (5, 20, 39), (10, 38, 39), (26, 30.86, 31),
            (26, 20, 39),
        ]
        let alive = [0.2941422, 0.3972317, 0.8582746, 0.3613165, 0.9866147, 0.9979178, 9.31e-5]
        let expected = [
            0.1354377, 0.5134169, 1.8234257, 1.6695127, 8.6632921, 25.4549135, 0.0020574,
        ]
        let residual = [
            0.4746715, 1.7993838, 6.3906010, 5.8511787, 30.3624341, 86.0303756, 0.0072106,
        ]
        let modifiedAlive = [
            0.3893476, 0.3800076, 0.6983270, 0.2669996, 0.9114980, 0.9655661, 1.61e-5,
        ]
        let modifiedExpected = [
            0.1969861, 0.5327918, 1.5754957, 1.2628968, 7.9935548, 24.0039228, 0.0003469,
        ]
        for (index, (x, tx, age)) in rows.enumerated() {
            let place: Comment = "x \(x), tx \(tx), T \(age)"
            let pareto = Self.pareto
            #expect(
                close(pareto.probabilityAlive(x: x, tx: tx, age: age), alive[index], 5.1e-8),
                place)
            #expect(
                close(
                    pareto.expectedPurchases(x: x, tx: tx, age: age, horizon: 52), expected[index],
                    5.1e-8), place)
            #expect(
                close(
                    pareto.residualPurchases(x: x, tx: tx, age: age, discount: 0.0027),
                    residual[index], 5.1e-8), place)
            let modified = Self.modified
            #expect(
                close(
                    modified.probabilityAlive(x: x, tx: tx, age: age), modifiedAlive[index],
                    5.1e-8), place)
            #expect(
                close(
                    modified.expectedPurchases(x: x, tx: tx, age: age, horizon: 52),
                    modifiedExpected[index], 5.1e-8), place)
        }
        let times = (1...9).map { Self.pareto.expectedRepeatPurchases(time: Double($0)) }
        let known = [
            0.0510045, 0.0996209, 0.1461243, 0.1907419, 0.2336638, 0.2750506, 0.3150399, 0.3537502,
            0.3912843,
        ]
        for (actual, expected) in zip(times, known) { #expect(close(actual, expected, 5.1e-8)) }
    }

    @Test func traps() {
        let hard = FittedBGNBD(
            r: 0.25, alpha: 4, a: 0.8, b: 2.5, grid: .week, variant: .modified)
        #expect(close(hard.logLikelihood(x: 0, tx: 0, age: 40), -0.417928262, 5.1e-10))
        #expect(close(hard.logLikelihood(x: 200, tx: 38, age: 40), 100.786910, 5.1e-7))

        let many = FittedParetoNBD(
            r: 0.5143, alpha: 2.8845, s: 0.2856, beta: 14.1087, grid: .week)
        for (x, tx, age, expected) in [
            (221, 103.42857, 103.57143, 0.9995960523), (254, 97.14286, 97.28571, 0.9995582261),
            (161, 94.71429, 98, 0.7494877523), (204, 98.57143, 99.42857, 0.9942550796),
        ] {
            #expect(close(many.probabilityAlive(x: x, tx: tx, age: age), expected, 5.1e-11))
        }
        let extreme = FittedParetoNBD(
            r: 10.465, alpha: 0.00798565181, s: 3.0516, beta: 2.820, grid: .week)
        for (x, tx, age, expected, relative) in [
            (40, 5.0, 6.0, 1.885128187e-3, 1e-9), (50, 1, 37, 1.4171e-96, 1e-4),
            (50, 4, 37, 6.7330e-60, 1e-4), (400, 5, 6, 5.1375e-31, 1e-4),
        ] {
            let alive = extreme.probabilityAlive(x: x, tx: tx, age: age)
            #expect(abs(alive / expected - 1) < relative, "x \(x): \(alive)")
        }
        #expect(extreme.probabilityAlive(x: 500, tx: 1, age: 37) == 0)

        let lasting = FittedParetoNBD(r: 0.55, alpha: 10.58, s: 0.61, beta: 11.67, grid: .week)
        #expect(
            close(lasting.expectedPurchases(x: 132, tx: 200, age: 200, horizon: 10), 6.2061, 5.1e-5)
        )
        #expect(
            close(lasting.expectedPurchases(x: 133, tx: 200, age: 200, horizon: 10), 6.2529, 5.1e-5)
        )
        let one = FittedParetoNBD(r: 0.553, alpha: 10.578, s: 1, beta: 11.669, grid: .week)
        #expect(close(one.expectedRepeatPurchases(time: 39), 0.895763236886, 5.1e-13))
        let equal = FittedParetoNBD(r: 0.5, alpha: 7, s: 0.4, beta: 7, grid: .week)
        #expect(equal.probabilityAlive(x: 3, tx: 30, age: 30) == 1)
        #expect((0...1).contains(equal.probabilityAlive(x: 3, tx: 20, age: 30)))
    }

    /// Fits of the CDNOW sample. Source: Fader, Hardie & Lee 2005; digits recomputed independently.
    @Test(.enabled(if: CDNOWSample.isHere))
    func fitsCDNOW() throws {
        let sample = try #require(CDNOWSample.shared)
        let history = try sample.collapsed()
        func check(
            _ kind: PurchaseModelKind, _ expected: [Double], _ logLikelihood: Double,
            errors: [Double]? = nil
        ) throws {
            let fitted = try kind.fit(history).model
            for (parameter, value) in zip(fitted.parameters, expected) {
                #expect(
                    abs(parameter.value / value - 1) < 2e-6,
                    "\(fitted.name) \(parameter.name): \(parameter.value)")
            }
            #expect(
                close(try #require(fitted.diagnostics.logLikelihood), logLikelihood, 1e-6),
                "\(fitted.name)")
            #expect(fitted.diagnostics.isSound)
            for (error, value) in zip(
                try #require(fitted.diagnostics.standardErrors), errors ?? [])
            {
                // The package that printed these differentiates by differences.
                #expect(abs(error / value - 1) < 2e-3, "\(fitted.name): \(error)")
            }
        }
        try check(
            .paretonbd, [0.5532770, 10.5776830, 0.6062398, 11.6687308], -9_594.976178,
            errors: [0.0476264, 0.8427222, 0.1872594, 6.2105448])
        try check(.mbgnbd, [0.5248431, 6.1830852, 0.8913593, 1.6140022], -9_582.135716)
        try check(.nbd, [0.3847661, 12.0720229], -9_763.657615)

        // The sum hangs on the eighth digit of s: at the estimates as printed, and at the optimum.
        let printed = FittedParetoNBD(
            r: 0.5532770, alpha: 10.5776830, s: 0.6062398, beta: 11.6687308, grid: .week)
        for (model, expected) in [
            (printed, 7_185.9741), (try ParetoNBD.fit(history), 7_185.9722),
        ] {
            var sum = 0.0
            for row in sample.x.indices {
                sum += model.residualPurchases(
                    x: Int(sample.x[row]), tx: Double(sample.tx[row]) / 7,
                    age: Double(sample.age[row]) / 7, discount: 0.0027)
            }
            #expect(close(sum, expected, 5.1e-5), "\(sum)")
        }
    }

    @Test(.enabled(if: CDNOWSample.isHere))
    func predictsTheHoldout() throws {
        let sample = try #require(CDNOWSample.shared)
        let history = try sample.collapsed()
        func check(_ kind: PurchaseModelKind, _ expected: [Double], bins: [Double]) throws {
            let fitted = try kind.fit(history).model
            var parameters = LifetimeScores.Parameters()
            parameters.horizon = Horizon(39, .week)
            let scores = try LifetimeScores.score(
                repeatPurchaseCount: sample.x, ageAtLastPurchaseDays: sample.tx,
                observedAgeDays: sample.age, meanOrderValue: sample.mean, model: fitted,
                spend: nil, parameters)
            let summary = try HoldoutSummary(
                expected: scores.expectedPurchases, actual: sample.holdout,
                repeatPurchaseCount: sample.x)
            #expect(close(summary.expectedPurchases, expected[0], 0.0051), "\(kind)")
            #expect(close(summary.meanAbsoluteError, expected[1], 5.1e-6), "\(kind)")
            #expect(close(summary.rootMeanSquareError, expected[2], 5.1e-6), "\(kind)")
            #expect(close(try #require(summary.areaUnderROC), expected[3], 5.1e-6), "\(kind)")
            let alive = scores.probabilityAlive.reduce(0, +) / 2_357
            #expect(close(alive, expected[4], 5.1e-6), "\(kind)")
            for (bin, value) in zip(summary.bins, bins) {
                #expect(close(bin.expectedPurchases, value, 5.1e-5), "\(kind)")
            }
            // The cohort's cumulative repeat purchases: customers start on different days.
            var cumulative = [0.0, 0.0]
            for age in sample.age {
                cumulative[0] += fitted.expectedRepeatPurchases(time: Double(age) / 7)
                cumulative[1] += fitted.expectedRepeatPurchases(time: Double(age) / 7 + 39)
            }
            #expect(close(cumulative[0], expected[5], 0.0051), "\(kind): \(cumulative)")
            #expect(close(cumulative[1], expected[6], 0.0051), "\(kind): \(cumulative)")
        }
        try check(
            .paretonbd, [1_665.51, 0.75452, 1.60285, 0.77874, 0.44628, 2_524.93, 4_270.04],
            bins: [0.1384, 0.5995, 1.1958, 1.7138, 2.3983, 2.9072, 3.8186, 6.4031])
        try check(
            .mbgnbd, [1_576.73, 0.76478, 1.60718, 0.77276, 0.44872, 2_475.64, 4_049.95], bins: [])
        try check(
            .bgnbd, [1_653.41, 0.78545, 1.60798, 0.77252, 0.81344, 2_493.96, 4_160.61], bins: [])
    }
}
