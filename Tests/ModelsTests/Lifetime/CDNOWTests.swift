import Foundation
import Models
import Testing
import Units

/// The published CDNOW results, on the real file where it is present.
@Suite struct CDNOWTests {
    private func close(_ actual: Double, _ expected: Double, _ relative: Double = 1e-5) -> Bool {
        abs(actual - expected) <= relative * abs(expected)
    }

    /// Source: Fader, Hardie & Lee 2005; digits recomputed independently of any package.
    @Test(.enabled(if: CDNOWSample.isHere))
    func fitsBGNBD() throws {
        let sample = try #require(CDNOWSample.shared)
        let history = try sample.collapsed()
        #expect(history.totalCustomerCount == 2_357)
        #expect(history.repeatCustomerCount == 946)
        #expect(history.totalRepeatPurchaseCount == 2_457)
        let fitted = try BGNBD.fit(history)
        #expect(close(fitted.r, 0.2425945, 5e-7))
        #expect(close(fitted.alpha, 4.4136019, 5e-7))
        #expect(close(fitted.a, 0.7929220, 5e-7))
        #expect(close(fitted.b, 2.4259067, 5e-7))
        let logLikelihood = try #require(fitted.diagnostics.logLikelihood)
        #expect(abs(logLikelihood + 9_582.429207) < 1e-6)
        #expect(fitted.diagnostics.isSound)
        #expect(fitted.diagnostics.gradientNorm < 1e-9)
        #expect(fitted.diagnostics.standardErrors?.count == 4)

        var days = PurchaseFitParameters(grid: .day, threadCount: 2)
        days.minimumRepeatCustomerCount = 1
        let daily = try BGNBD.fit(history, days)
        // Weeks to days shifts the log-likelihood by −Σx · ln 7.
        let shifted = try #require(daily.diagnostics.logLikelihood)
        #expect(abs(shifted - logLikelihood + 2_457 * log(7)) < 1e-6)
        #expect(close(daily.alpha, fitted.alpha * 7, 1e-12))
    }

    @Test(.enabled(if: CDNOWSample.isHere))
    func fitsGammaGamma() throws {
        let sample = try #require(CDNOWSample.shared)
        let fitted = try GammaGamma.fit(repeatPurchaseCount: sample.x, meanOrderValue: sample.mean)
        #expect(fitted.customerCount + fitted.excludedCustomerCount == 946)
        #expect(close(fitted.p, 6.2495737, 5e-7))
        #expect(close(fitted.q, 3.7442247, 5e-7))
        #expect(close(fitted.v, 15.4435178, 5e-7))
        #expect(abs((fitted.diagnostics.logLikelihood ?? 0) + 4_055.917695) < 1e-6)
        #expect(abs(fitted.populationMean - 35.170) < 5e-4)
        #expect(abs(fitted.correlation - 0.1139) < 5e-5)
        #expect(fitted.meanRule == .likelihood)
        #expect(fitted.diagnostics.isSound)
    }

    @Test(.enabled(if: CDNOWSample.isHere))
    func predictsTheHoldout() throws {
        let sample = try #require(CDNOWSample.shared)
        let fitted = try BGNBD.fit(try sample.collapsed())
        var parameters = LifetimeScores.Parameters()
        parameters.horizon = Horizon(39, .week)
        let scores = try LifetimeScores.score(
            repeatPurchaseCount: sample.x, ageAtLastPurchaseDays: sample.tx,
            observedAgeDays: sample.age, meanOrderValue: sample.mean, model: fitted, spend: nil,
            parameters)
        let summary = try HoldoutSummary(
            expected: scores.expectedPurchases, actual: sample.holdout,
            repeatPurchaseCount: sample.x)
        #expect(abs(summary.expectedPurchases - 1_653.41) < 0.005)
        #expect(summary.actualPurchases == 1_882)
        #expect(abs(summary.meanAbsoluteError - 0.78545) < 5e-6)
        #expect(abs(summary.rootMeanSquareError - 1.60798) < 5e-6)
        #expect(abs((summary.areaUnderROC ?? 0) - 0.77252) < 5e-6)
        let meanAlive = scores.probabilityAlive.reduce(0, +) / 2_357
        #expect(abs(meanAlive - 0.81344) < 5e-6)
        let actual = [0.2367, 0.6970, 1.3925, 1.5600, 2.5323, 2.9474, 3.8621, 6.3594]
        let expected = [0.2251, 0.5231, 1.0441, 1.5203, 2.1639, 2.6538, 3.5040, 6.1572]
        for (bin, pair) in zip(summary.bins, zip(actual, expected)) {
            #expect(abs(bin.actualPurchases - pair.0) < 5.1e-5)
            #expect(abs(bin.expectedPurchases - pair.1) < 5.1e-5)
        }
    }
}
