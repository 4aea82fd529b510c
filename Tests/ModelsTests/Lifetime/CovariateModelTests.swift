import Foundation
import Models
import Numerical
import Testing
import Units

@Suite struct CovariateModelTests {
    /// Customers of several channels and regions, whose parameters these shift as the models say.
    private struct World {
        var x: [Int32] = []
        var tx: [Int32] = []
        var age: [Int32] = []
        var mean: [Double] = []
        var channel: [Double] = []
        var region: [Double] = []

        var covariates: PurchaseCovariates {
            let channel = CovariateColumn(name: "channel", values: channel)
            let region = CovariateColumn(name: "region", values: region)
            return PurchaseCovariates(purchase: [channel, region], dropOut: [region])
        }

        func fit(
            _ kind: PurchaseModelKind, _ parameters: PurchaseFitParameters = PurchaseFitParameters()
        ) throws -> FittedCovariateModel {
            try kind.fit(
                repeatPurchaseCount: x, ageAtLastPurchaseDays: tx, observedAgeDays: age,
                covariates: covariates, parameters)
        }

        func collapsed() throws -> CollapsedHistory {
            try CollapsedHistory(
                repeatPurchaseCount: x, ageAtLastPurchaseDays: tx, observedAgeDays: age)
        }
    }

    private static let gammas = (channel: 0.5, region: -0.3, leaving: 0.6, staying: -0.4)
    private static let channels = [0.0, 1]
    private static let regions = [-1.0, 0, 2]

    private static func world(_ kind: PurchaseModelKind, each count: Int, seed: UInt64) -> World {
        var world = World()
        for (i, channel) in channels.enumerated() {
            for (j, region) in regions.enumerated() {
                let alpha = 6 * exp(-gammas.channel * channel - gammas.region * region)
                let own = seed + UInt64(10 * i + j)
                let s =
                    kind == .paretonbd
                    ? LifetimeSimulation(
                        count: count, seed: own, r: 0.9, alpha: alpha, s: 0.8,
                        beta: 15 * exp(-gammas.leaving * region))
                    : LifetimeSimulation(
                        count: count, seed: own, r: 0.9, alpha: alpha,
                        a: 0.8 * exp(gammas.leaving * region),
                        b: 3 * exp(gammas.staying * region), dropsOutAtFirst: kind == .mbgnbd)
                world.x += s.x
                world.tx += s.tx
                world.age += s.age
                world.mean += s.mean
                world.channel += s.x.map { _ in channel }
                world.region += s.x.map { _ in region }
            }
        }
        return world
    }

    /// The planted coefficients lie in their intervals, and so do the parameters in the middle.
    @Test(arguments: [PurchaseModelKind.bgnbd, .mbgnbd, .paretonbd])
    func findsPlantedCoefficients(_ kind: PurchaseModelKind) throws {
        let world = Self.world(kind, each: 1_500, seed: 40)
        let fitted = try world.fit(kind, PurchaseFitParameters(threadCount: 2))
        #expect(fitted.diagnostics.isSound)
        #expect(fitted.groupCount == 6 && fitted.customerCount == 9_000)
        #expect(fitted.purchaseColumns == ["channel", "region"])
        #expect(fitted.dropOutColumns == ["region"])
        let g = Self.gammas
        let planted =
            [g.channel, g.region, g.leaving] + (kind == .paretonbd ? [] : [g.staying])
        #expect(fitted.coefficients.count == planted.count)
        for (coefficient, truth) in zip(fitted.coefficients, planted) {
            let name: Comment = "\(kind) \(coefficient.parameter) \(coefficient.column)"
            let interval = try #require(coefficient.interval(), name)
            #expect(interval.contains(truth), "\(name.rawValue): \(interval)")
            let error = try #require(coefficient.standardError)
            #expect(error < 0.25 && error > 0.001, name)
        }
        // Means of channel and region are 1/2 and 1/3.
        let middle =
            kind == .paretonbd
            ? [0.9, 6 * exp(-g.channel / 2 - g.region / 3), 0.8, 15 * exp(-g.leaving / 3)]
            : [
                0.9, 6 * exp(-g.channel / 2 - g.region / 3), 0.8 * exp(g.leaving / 3),
                3 * exp(g.staying / 3),
            ]
        for (index, parameter) in fitted.baseline.parameters.enumerated() {
            let interval = try #require(
                fitted.diagnostics.interval(of: parameter.value, at: index, z: 2.6))
            #expect(interval.contains(middle[index]), "\(kind) \(parameter.name): \(interval)")
        }
        let test = try #require(fitted.likelihoodRatioTest)
        #expect(test.degreesOfFreedom == planted.count && test.pValue < 1e-20)
        #expect(fitted.coefficients.allSatisfy { ($0.pValue ?? 1) < 0.01 })

        #expect(try world.fit(kind, PurchaseFitParameters(threadCount: 1)) == fitted)
        let text = try JSONEncoder().encode(fitted)
        #expect(try JSONDecoder().decode(FittedCovariateModel.self, from: text) == fitted)
        // The unit of time and the scale and origin of a column are ways of writing.
        var other = world
        other.region = world.region.map { 100 + 10 * $0 }
        var days = PurchaseFitParameters(grid: .day, threadCount: 2)
        days.minimumRepeatCustomerCount = 1
        let moved = try other.fit(kind, days)
        for (one, two) in zip(fitted.coefficients, moved.coefficients) {
            let scale = one.column == "region" ? 10.0 : 1
            #expect(abs(two.value * scale - one.value) < 1e-6 * max(1, abs(one.value)))
            let (a, b) = (one.standardError ?? 0, (two.standardError ?? 0) * scale)
            #expect(abs(a - b) < 1e-5 * a)
        }
        let (alpha, daily) = (
            fitted.baseline.parameters[1].value, moved.baseline.parameters[1].value
        )
        #expect(abs(daily / alpha / 7 - 1) < 1e-6)
    }

    /// Gradient and Hessian beside differences, away from and at coefficients of 0.
    @Test(arguments: [PurchaseModelKind.bgnbd, .mbgnbd, .paretonbd])
    func derivativesAgreeWithDifferences(_ kind: PurchaseModelKind) throws {
        let world = Self.world(kind, each: 60, seed: 7)
        let design = try CovariateDesign(
            repeatPurchaseCount: world.x, ageAtLastPurchaseDays: world.tx,
            observedAgeDays: world.age, world.covariates, include: nil)
        let likelihood = CovariateLikelihood(kind, design, threadCount: 2)
        let zeros = [Double](repeating: 0, count: likelihood.size - 4)
        let some = zeros.indices.map { 0.2 * Double($0) - 0.3 }
        let h = 1e-5
        for point in [[-0.4, -2, -0.2, 0.9] + some, [0.3, -1, -0.5, 0.1] + zeros] {
            let at = likelihood.negativeMean(point)
            for i in point.indices {
                var (up, down) = (point, point)
                up[i] += h
                down[i] -= h
                let above = likelihood.negativeMean(up)
                let below = likelihood.negativeMean(down)
                let slope = (above.value - below.value) / (2 * h)
                #expect(abs(slope - at.gradient[i]) < 2e-8 * max(1, abs(slope)), "\(i)")
                for j in point.indices {
                    let bend = (above.gradient[j] - below.gradient[j]) / (2 * h)
                    #expect(abs(bend - at.hessian[i, j]) < 2e-8 * max(1, abs(bend)), "\(i) \(j)")
                }
            }
        }
        // At coefficients of 0 it is the likelihood of the plain model.
        let plainPoint = [-0.4, -2, -0.2, 0.9]
        let history = try world.collapsed()
        let plain =
            kind == .paretonbd
            ? ParetoNBDLikelihood(history: history, threadCount: 1).negativeMean(plainPoint)
            : BGNBDLikelihood(
                history, variant: kind == .mbgnbd ? .modified : .standard, threadCount: 1
            ).negativeMean(plainPoint)
        let same = likelihood.negativeMean(plainPoint + zeros)
        #expect(abs(same.value - plain.value) < 1e-12)
        for i in 0..<4 {
            #expect(abs(same.gradient[i] - plain.gradient[i]) < 1e-11)
            for j in 0...i { #expect(abs(same.hessian[i, j] - plain.hessian[i, j]) < 1e-11) }
        }
    }

    @Test(arguments: [PurchaseModelKind.bgnbd, .mbgnbd, .paretonbd])
    func withoutEffectItIsThePlainModel(_ kind: PurchaseModelKind) throws {
        let world = Self.world(kind, each: 200, seed: 3)
        let plain = try kind.fit(world.collapsed()).model
        let none = try kind.fit(
            repeatPurchaseCount: world.x, ageAtLastPurchaseDays: world.tx,
            observedAgeDays: world.age, covariates: PurchaseCovariates(purchase: [], dropOut: []))
        for (a, b) in zip(none.baseline.parameters, plain.parameters) {
            #expect(abs(a.value / b.value - 1) < 1e-7)
        }
        #expect(none.likelihoodRatioTest == nil && none.groupCount == 1)

        let zero = try FittedCovariateModel(
            baseline: plain, purchase: [("channel", 0.5, 0), ("region", 0.3, 0)],
            dropOut: [("region", 0.3, kind == .paretonbd ? [0] : [0, 0])])
        let columns = world.covariates.purchase
        let scores = try zero.score(
            repeatPurchaseCount: world.x, ageAtLastPurchaseDays: world.tx,
            observedAgeDays: world.age, meanOrderValue: world.mean, columns: columns, spend: nil)
        let expected = try LifetimeScores.score(
            repeatPurchaseCount: world.x, ageAtLastPurchaseDays: world.tx,
            observedAgeDays: world.age, meanOrderValue: world.mean, model: plain, spend: nil)
        #expect(scores == expected)
    }

    /// Every customer is scored by the model of the own covariates.
    @Test(arguments: [PurchaseModelKind.bgnbd, .paretonbd])
    func scoresEachByItsCovariates(_ kind: PurchaseModelKind) throws {
        let world = Self.world(kind, each: 60, seed: 5)
        let fitted = try world.fit(kind)
        var columns = world.covariates.purchase
        var region = world.region
        region[1] = .nan
        columns[1] = CovariateColumn(name: "region", values: region)
        var parameters = LifetimeScores.Parameters()
        let spend = try #require(FittedGammaGamma(p: 6.25, q: 3.74, v: 15.44))
        func score() throws -> LifetimeScores {
            try fitted.score(
                repeatPurchaseCount: world.x, ageAtLastPurchaseDays: world.tx,
                observedAgeDays: world.age, meanOrderValue: world.mean, columns: columns,
                status: [3] + [UInt8](repeating: 0, count: world.x.count - 1), spend: spend,
                parameters)
        }
        let scores = try score()
        #expect(scores.status.prefix(3) == [3, LifetimeScores.notEligible, 0])
        #expect(scores.expectedPurchases[1] == 0 && scores.lifetimeValue?[1] == 0)
        for row in stride(from: 2, to: world.x.count, by: 7) {
            let model = try fitted.model(
                purchase: [world.channel[row], region[row]], dropOut: [region[row]])
            let expected = model.expectedPurchases(
                x: Int(world.x[row]), tx: Double(world.tx[row]) / 7,
                age: Double(world.age[row]) / 7, horizon: 52)
            #expect(abs(scores.expectedPurchases[row] - expected) < 1e-10 * max(1, expected))
        }
        parameters.threadCount = 4
        #expect(try score() == scores)
        // Values far outside the fit are held, not infinite.
        for far in [-1e300, -1e6, 1e6, 1e300] {
            let model = try fitted.model(purchase: [far, far], dropOut: [far])
            for parameter in model.parameters {
                #expect(parameter.value > 0 && parameter.value.isFinite)
            }
            let alive = model.probabilityAlive(x: 2, tx: 10, age: 20)
            #expect((0...1).contains(alive))
        }
        let error = #expect(throws: ModelError.self) {
            try fitted.score(
                repeatPurchaseCount: world.x, ageAtLastPurchaseDays: world.tx,
                observedAgeDays: world.age, meanOrderValue: world.mean,
                columns: [columns[0]], spend: nil)
        }
        #expect(error?.description.contains("region") == true)
        #expect(throws: ModelError.self) { try fitted.model(purchase: [1], dropOut: [1]) }
        #expect(throws: ModelError.self) { try fitted.model(purchase: [1, .nan], dropOut: [1]) }
    }

    /// A column of as many values as customers.
    @Test func takesContinuousColumns() throws {
        var random = SeededRandom(seed: 31)
        var world = World()
        for customer in 0..<3_000 {
            let z = random.normal()
            let s = LifetimeSimulation(
                count: 1, seed: UInt64(50_000 + customer), r: 0.9, alpha: 6 * exp(-0.4 * z), a: 0.8,
                b: 3)
            world.x += s.x
            world.tx += s.tx
            world.age += s.age
            world.channel.append(z)
        }
        let column = CovariateColumn(name: "z", values: world.channel)
        func fit(_ order: [Int]) throws -> FittedCovariateModel {
            try PurchaseModelKind.bgnbd.fit(
                repeatPurchaseCount: order.map { world.x[$0] },
                ageAtLastPurchaseDays: order.map { world.tx[$0] },
                observedAgeDays: order.map { world.age[$0] },
                covariates: PurchaseCovariates(
                    purchase: [CovariateColumn(name: "z", values: order.map { column.values[$0] })],
                    dropOut: []))
        }
        let fitted = try fit(Array(world.x.indices))
        #expect(fitted.groupCount == 3_000)
        let coefficient = fitted.coefficients[0]
        #expect(try #require(coefficient.interval()).contains(0.4), "\(coefficient.value)")
        // The order of the customers does not matter but for the last bits of the mean.
        let back = try fit(world.x.indices.reversed())
        #expect(abs(back.coefficients[0].value - coefficient.value) < 1e-8)
    }

    @Test func refusesByName() throws {
        let world = Self.world(.bgnbd, each: 60, seed: 9)
        let count = world.x.count
        func failure(
            _ purchase: [(String, [Double])], dropOut: [(String, [Double])] = [],
            _ kind: PurchaseModelKind = .bgnbd
        ) -> String {
            do throws(ModelError) {
                _ = try kind.fit(
                    repeatPurchaseCount: world.x, ageAtLastPurchaseDays: world.tx,
                    observedAgeDays: world.age,
                    covariates: PurchaseCovariates(
                        purchase: purchase.map { CovariateColumn(name: $0.0, values: $0.1) },
                        dropOut: dropOut.map { CovariateColumn(name: $0.0, values: $0.1) }))
            } catch { return error.description }
            return ""
        }
        let constant = [Double](repeating: 7.1, count: count)
        #expect(failure([("flat", constant)]).contains("\"flat\": it is constant"))
        #expect(
            failure([("r", world.region)], dropOut: [("flat", constant)]).contains("\"flat\""))
        let sum = zip(world.channel, world.region).map { 3 * $0 - $1 + 100 }
        let collinear = failure(
            [("channel", world.channel), ("region", world.region), ("sum", sum)])
        #expect(collinear.contains("linear combination"))
        for name in ["channel", "region", "sum"] { #expect(collinear.contains(name)) }
        #expect(failure([("r", world.region), ("r", sum)]).contains("twice"))
        var spoilt = world.region
        spoilt[17] = .infinity
        let infinite = failure([("region", spoilt)])
        #expect(infinite.contains("region") && infinite.contains("row 17"))
        #expect(failure([("short", [1, 2])]).contains("short"))
        #expect(failure([("region", world.region)], .nbd).contains("takes no covariates"))
        // The same column may shift both parts.
        #expect(
            failure([("region", world.region)], dropOut: [("region", world.region)]).isEmpty)
        #expect(throws: ModelError.self) {
            try FittedCovariateModel(
                baseline: FittedNBD(r: 1, alpha: 2, grid: .week), purchase: [], dropOut: [])
        }
    }
}
