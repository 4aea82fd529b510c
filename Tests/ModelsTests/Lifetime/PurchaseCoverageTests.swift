import Foundation
import Models
import Numerical
import Testing
import Units

/// Intervals say how often they hold the truth.
@Suite struct PurchaseCoverageTests {
    /// What customers of each model are simulated with; times in weeks.
    private static func truth(_ kind: PurchaseModelKind) -> [Double] {
        kind == .paretonbd ? [0.9, 5, 1.2, 18] : [0.8, 5, 0.8, 2.5]
    }

    /// Customers a seed: enough for the normal law of the estimates to hold. With 1,200, and s = 0.8
    /// and β = 15, two intervals of Pareto/NBD cover 197 and 198 seeds: too wide, not too narrow.
    private static func customers(
        _ kind: PurchaseModelKind, seed: UInt64, count: Int
    ) -> LifetimeSimulation {
        let t = truth(kind)
        return kind == .paretonbd
            ? LifetimeSimulation(
                count: count, seed: seed, r: t[0], alpha: t[1], s: t[2], beta: t[3])
            : LifetimeSimulation(
                count: count, seed: seed, r: t[0], alpha: t[1], a: t[2], b: t[3],
                dropsOutAtFirst: kind == .mbgnbd)
    }

    /// The 95 % interval of each parameter covers the planted value for 90 to 98 % of 200 seeds.
    @Test(arguments: [PurchaseModelKind.bgnbd, .mbgnbd, .paretonbd])
    func intervalsCoverThePlantedParameters(_ kind: PurchaseModelKind) {
        let seeds = 200
        let truth = Self.truth(kind)
        let covered = parallelMap(count: seeds, chunkSize: 1, threadCount: 2) { seed, _ in
            let s = Self.customers(
                kind, seed: UInt64(1_000 + seed), count: kind == .paretonbd ? 2_500 : 1_200)
            guard
                let history = try? CollapsedHistory(
                    repeatPurchaseCount: s.x, ageAtLastPurchaseDays: s.tx, observedAgeDays: s.age),
                let model = try? kind.fit(history).model
            else { return [Bool?](repeating: nil, count: 4) }
            return model.parameters.enumerated().map { index, parameter in
                model.diagnostics.interval(of: parameter.value, at: index)?
                    .contains(truth[index])
            }
        }
        for index in truth.indices {
            let known = covered.compactMap { $0[index] }
            let count = known.count { $0 }
            #expect(known.count == seeds, "\(kind): \(seeds - known.count) without an interval")
            #expect((180...196).contains(count), "\(kind), parameter \(index): \(count)")
        }
    }
}
