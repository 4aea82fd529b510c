import Foundation
import Models
import Numerical
import Testing
import Units

@Suite struct ValuePathTests {
    /// Customers of a BG/NBD and Gamma-Gamma world, what is known of them now, and what they will spend.
    private struct World {
        var customers = ValuePath.Customers(
            repeatPurchaseCount: [], ageAtLastPurchaseDays: [], observedAgeDays: [],
            meanOrderValue: [], groups: [])
        /// `[step][group]`.
        var future: [[Double]]

        init(count: Int, seed: UInt64, ends: [Int]) {
            future = ends.map { _ in [0, 0] }
            for customer in 0..<count {
                var random = SeededRandom(seed: seed, stream: UInt64(customer))
                let lived = 200 + random.below(400)
                let rate = LifetimeSimulation.gamma(0.8, &random) / 40
                let one = LifetimeSimulation.gamma(1.2, &random)
                let dropout = one / (one + LifetimeSimulation.gamma(4, &random))
                let scale = LifetimeSimulation.gamma(4, &random) / 15
                let group = customer % 3 == 0 ? 1 : 0
                var (time, last, sum, purchases) = (0.0, 0.0, 0.0, 0)
                while true {
                    time -= log(1 - random.uniform()) / rate
                    guard time <= Double(lived + (ends.last ?? 0)) else { break }
                    let value = LifetimeSimulation.gamma(6, &random) / scale
                    if time <= Double(lived) {
                        purchases += 1
                        last = time
                        sum += value
                    } else {
                        let since = time - Double(lived)
                        let step = ends.firstIndex { since <= Double($0) } ?? ends.count - 1
                        future[step][group] += value
                    }
                    if random.uniform() < dropout { break }
                }
                customers.repeatPurchaseCount.append(Int32(purchases))
                customers.ageAtLastPurchaseDays.append(Int32(last.rounded()))
                customers.observedAgeDays.append(Int32(lived))
                customers.meanOrderValue.append(purchases == 0 ? 0 : sum / Double(purchases))
                customers.groups.append(Int32(group))
            }
        }

        func fit() throws -> (FittedPurchaseModel, FittedGammaGamma) {
            let history = try CollapsedHistory(
                repeatPurchaseCount: customers.repeatPurchaseCount,
                ageAtLastPurchaseDays: customers.ageAtLastPurchaseDays,
                observedAgeDays: customers.observedAgeDays)
            return (
                try PurchaseModelKind.bgnbd.fit(history),
                try GammaGamma.fit(
                    repeatPurchaseCount: customers.repeatPurchaseCount,
                    meanOrderValue: customers.meanOrderValue)
            )
        }
    }

    private static let ends = [28, 56, 84, 112]

    @Test func stepsAreTheDifferencesOfTheScores() throws {
        let world = World(count: 600, seed: 1, ends: Self.ends)
        let (model, spend) = try world.fit()
        let paths = try ValuePath.paths(
            world.customers, groupCount: 2, endDays: Self.ends, model: model, spend: spend)
        #expect(paths.map(\.customerCount) == [400, 200])
        for threads in [2, 5] {
            let again = try ValuePath.paths(
                world.customers, groupCount: 2, endDays: Self.ends, model: model, spend: spend,
                threadCount: threads)
            #expect(again == paths)
        }
        for (step, end) in Self.ends.enumerated() {
            var parameters = LifetimeScores.Parameters()
            parameters.horizon = Horizon(Double(end), .day)
            let scores = try LifetimeScores.score(
                repeatPurchaseCount: world.customers.repeatPurchaseCount,
                ageAtLastPurchaseDays: world.customers.ageAtLastPurchaseDays,
                observedAgeDays: world.customers.observedAgeDays,
                meanOrderValue: world.customers.meanOrderValue, model: model.model, spend: spend,
                parameters)
            let values = try #require(scores.expectedOrderValue)
            for group in 0..<2 {
                let rows = world.customers.groups.indices.filter {
                    world.customers.groups[$0] == Int32(group)
                }
                let expected = rows.reduce(0) { $0 + scores.expectedPurchases[$1] * values[$1] }
                let path = paths[group].steps
                #expect(abs(path[step].valueToHere - expected) < 1e-9 * expected)
                let sum = path[0...step].reduce(0) { $0 + $1.value }
                #expect(abs(sum - expected) < 1e-9 * expected)
                #expect(try #require(path[step].interval).contains(path[step].value))
                #expect(try #require(path[step].intervalToHere).contains(expected))
            }
        }
        // Whoever is in no group is nobody's customer.
        var fewer = world.customers
        for row in fewer.groups.indices where fewer.groups[row] == 1 { fewer.groups[row] = -1 }
        let rest = try ValuePath.paths(
            fewer, groupCount: 2, endDays: Self.ends, model: model, spend: spend)
        #expect(rest[0] == paths[0] && rest[1].customerCount == 0)
        #expect(rest[1].steps.allSatisfy { $0.valueToHere == 0 && $0.intervalToHere == 0...0 })
    }

    /// Worlds whose models are fitted anew: what customers spend lies within most intervals.
    @Test func intervalsHoldWhatHappens() throws {
        var (held, ofSteps, count) = (0, 0, 0)
        for seed in 1...40 {
            let world = World(count: 600, seed: UInt64(seed) &* 977, ends: Self.ends)
            let (model, spend) = try world.fit()
            let paths = try ValuePath.paths(
                world.customers, groupCount: 2, endDays: Self.ends, model: model, spend: spend,
                threadCount: 2)
            for (group, path) in paths.enumerated() {
                let total = world.future.reduce(0) { $0 + $1[group] }
                let last = try #require(path.steps.last)
                if try #require(last.intervalToHere).contains(total) { held += 1 }
                if try #require(path.steps[0].interval).contains(world.future[0][group]) {
                    ofSteps += 1
                }
                count += 1
            }
        }
        // Of 80: 95 % are 76, give or take 2; all or below 70 would be too wide or too narrow.
        #expect((70...79).contains(held), "\(held) of \(count)")
        #expect((70...79).contains(ofSteps), "\(ofSteps) of \(count)")
    }

    @Test func whatIsNoPathIsRefused() throws {
        let world = World(count: 300, seed: 3, ends: [7])
        let (model, spend) = try world.fit()
        func paths(_ ends: [Int], _ change: (inout ValuePath.Customers) -> Void = { _ in }) throws {
            var customers = world.customers
            change(&customers)
            _ = try ValuePath.paths(
                customers, groupCount: 2, endDays: ends, model: model, spend: spend)
        }
        try paths([1, 2])
        #expect(throws: ModelError.self) { try paths([]) }
        #expect(throws: ModelError.self) { try paths([0, 7]) }
        #expect(throws: ModelError.self) { try paths([7, 7]) }
        #expect(throws: ModelError.self) { try paths([7]) { $0.groups[5] = 2 } }
        #expect(throws: ModelError.self) { try paths([7]) { $0.groups.removeLast() } }
        #expect(throws: ModelError.self) { try paths([7]) { $0.meanOrderValue[5] = .nan } }
        #expect(throws: ModelError.self) { try paths([7]) { $0.observedAgeDays[5] = -1 } }
    }
}
