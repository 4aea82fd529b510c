import Foundation
import Models
import Testing

@Suite struct GammaGammaTests {
    @Test func derivativesAgreeWithDifferences() {
        let s = LifetimeSimulation(count: 800, seed: 4, r: 0.5, alpha: 6, a: 0.8, b: 2.5)
        let rows = s.x.indices.filter { s.x[$0] > 0 }
        let likelihood = GammaGammaLikelihood(
            counts: rows.map { s.x[$0] }, means: rows.map { s.mean[$0] / 35 }, threadCount: 2)
        let h = 1e-5
        for point in [[1.8, 1.3, -0.8], [0, 0, 0], [-1, 2, 1]] {
            let at = likelihood.inLogParameters(point)
            for i in 0..<3 {
                var (up, down) = (point, point)
                up[i] += h
                down[i] -= h
                let above = likelihood.inLogParameters(up)
                let below = likelihood.inLogParameters(down)
                let slope = (above.value - below.value) / (2 * h)
                #expect(abs(slope - at.gradient[i]) < 1e-8 * max(1, abs(slope)))
                for j in 0..<3 {
                    let bend = (above.gradient[j] - below.gradient[j]) / (2 * h)
                    #expect(abs(bend - at.hessian[i, j]) < 1e-8 * max(1, abs(bend)))
                }
            }
            let held = Array(point.prefix(2))
            let base = likelihood.withPopulationMean(1.1, held)
            for i in 0..<2 {
                var (up, down) = (held, held)
                up[i] += h
                down[i] -= h
                let above = likelihood.withPopulationMean(1.1, up)
                let below = likelihood.withPopulationMean(1.1, down)
                let slope = (above.value - below.value) / (2 * h)
                #expect(abs(slope - base.gradient[i]) < 1e-8 * max(1, abs(slope)))
                for j in 0..<2 {
                    let bend = (above.gradient[j] - below.gradient[j]) / (2 * h)
                    #expect(abs(bend - base.hessian[i, j]) < 1e-8 * max(1, abs(bend)))
                }
            }
        }
    }

    /// Trap: q <= 1 gives a negative population mean in other packages (q = .79 → −459.5).
    @Test(arguments: [0.6, 0.79, 1.0])
    func holdsTheMeanWhereItIsInfinite(_ q: Double) throws {
        #expect(FittedGammaGamma(p: 4, q: q, v: 20) == nil)
        let s = LifetimeSimulation(
            count: 4_000, seed: 8, r: 0.8, alpha: 6, a: 0.5, b: 3, spend: (4, q, 20))
        let fitted = try GammaGamma.fit(repeatPurchaseCount: s.x, meanOrderValue: s.mean)
        #expect(fitted.meanRule == .heldAtObservedMean)
        let free = try #require(fitted.unconstrainedQ)
        #expect(abs(free - q) < 0.2)
        #expect(fitted.q > 1)
        #expect(fitted.populationMean == fitted.observedMean)
        #expect(abs(fitted.p * fitted.v / (fitted.q - 1) / fitted.populationMean - 1) < 1e-9)
        for x in [0, 1, 100] {
            for mean in [0, 1, 1e6] {
                let value = fitted.expectedOrderValue(x: x, meanOrderValue: mean)
                #expect(value.isFinite && value >= 0)
            }
        }
    }

    @Test func countsRepeatersWithoutSpend() throws {
        let s = LifetimeSimulation(count: 2_000, seed: 8, r: 0.8, alpha: 6, a: 0.5, b: 3)
        let clean = try GammaGamma.fit(repeatPurchaseCount: s.x, meanOrderValue: s.mean)
        let fitted = try GammaGamma.fit(
            repeatPurchaseCount: s.x + [3, 1], meanOrderValue: s.mean + [0, -5])
        #expect(fitted.excludedCustomerCount == 2)
        #expect(fitted.p == clean.p && fitted.customerCount == clean.customerCount)
        #expect(fitted.expectedOrderValue(x: 3, meanOrderValue: -5) >= 0)
    }

    @Test func refusesWhatCannotBeFitted() {
        func fit(_ x: [Int32], _ mean: [Double]) throws -> FittedGammaGamma {
            try GammaGamma.fit(repeatPurchaseCount: x, meanOrderValue: mean)
        }
        #expect(throws: ModelError.self) { try fit([], []) }
        #expect(throws: ModelError.self) { try fit([3], [20]) }
        #expect(throws: ModelError.self) { try fit([1, 2], [20]) }
        let twos = [Int32](repeating: 2, count: 30)
        let error = #expect(throws: ModelError.self) {
            try fit(twos, [Double](repeating: 9.99, count: 30))
        }
        #expect(error?.description.contains("same mean order value") == true)
        #expect(throws: ModelError.self) { try fit(twos, [Double](repeating: .nan, count: 30)) }
        #expect(throws: ModelError.self) { try fit(twos, [Double](repeating: 0, count: 30)) }
    }
}
