import Foundation
import Models
import Numerical
import Testing

@Suite struct BGBBTests {
    /// Simulated histories of n periods each.
    private func simulated(
        _ count: Int, seed: UInt64, _ p: [Double], periods: (inout SeededRandom) -> Int
    ) throws -> OpportunityHistory {
        var (xs, lasts, ns) = ([Int32](), [Int32](), [Int32]())
        for customer in 0..<count {
            var random = SeededRandom(seed: seed, stream: UInt64(customer))
            let n = periods(&random)
            let chance = random.beta(p[0], p[1])
            let leaving = random.beta(p[2], p[3])
            var (x, last) = (0, 0)
            for period in stride(from: 1, through: n, by: 1) {
                if random.bernoulli(leaving) { break }
                if random.bernoulli(chance) {
                    x += 1
                    last = period
                }
            }
            xs.append(Int32(x))
            lasts.append(Int32(last))
            ns.append(Int32(n))
        }
        return try OpportunityHistory(
            transactionCount: xs, lastTransaction: lasts, opportunityCount: ns)
    }

    private func record(_ x: Int, _ tx: Int, _ n: Int) throws -> OpportunityRecord {
        try OpportunityRecord(transactions: x, last: tx, opportunities: n)
    }

    /// Extreme parameters; digits by 30-digit sums of beta functions.
    @Test func agreesWithLongArithmetic() throws {
        struct Row {
            let model: FittedBGBB
            let record: OpportunityRecord
            let horizon: Int
            /// ln L, alive, expected, active, P(3), discounted at .01.
            let values: [Double]
        }
        let rows = [
            Row(
                model: FittedBGBB(alpha: 1e-3, beta: 50, gamma: 1e-2, delta: 1e3),
                record: try record(3, 40, 200), horizon: 100,
                values: [
                    -22.7487677932422, 0.991979922128014, 1.19028018795145, 0.632879437602603,
                    0.0848196074703222, 1.18983858649531,
                ]),
            Row(
                model: FittedBGBB(alpha: 1e3, beta: 2e3, gamma: 5, delta: 1),
                record: try record(20, 25, 60), horizon: 30,
                values: [
                    -36.8143777764096, 3.02642972631619e-8, 1.21125829777488e-7,
                    2.44089353885177e-8, 2.8632161463664e-9, 1.27848629206162e-7,
                ]),
            Row(
                model: FittedBGBB(alpha: 0.2, beta: 1e-3, gamma: 1, delta: 1),
                record: try record(1, 1, 50), horizon: 20,
                values: [
                    -1.79609705012917, 1.00935033934813e-6, 4.03736409916832e-7,
                    2.89919366565326e-7, 1.68310815062198e-8, 1.11383849402619e-6,
                ]),
        ]
        for row in rows {
            let model = row.model
            let discounted = try model.discountedResidualTransactions(row.record, discount: 0.01)
            let actual = [
                model.logLikelihood(row.record), model.probabilityAlive(row.record),
                model.expectedTransactions(row.record, horizon: row.horizon),
                model.probabilityActive(row.record, horizon: row.horizon),
                model.probability(ofTransactions: 3, horizon: row.horizon, row.record),
                discounted ?? .nan,
            ]
            for (a, e) in zip(actual, row.values) {
                #expect(abs(a / e - 1) < 1e-11, "\(actual) \(row.values)")
            }
        }
    }

    /// By the definition: all lives and all subsets of purchases add up to 1.
    @Test func probabilitiesAddUp() throws {
        let model = FittedBGBB(alpha: 0.7, beta: 1.4, gamma: 0.6, delta: 3)
        var total = 0.0
        for x in 0...9 {
            for tx in x...9 where (x == 0) == (tx == 0) {
                // Ways to place x − 1 transactions before the last one.
                var ways = 1.0
                for k in 0..<max(0, x - 1) { ways *= Double(tx - 1 - k) / Double(k + 1) }
                total += ways * exp(model.logLikelihood(try record(x, tx, 9)))
            }
        }
        #expect(abs(total - 1) < 1e-13)
        for history in [OpportunityRecord.new, try record(2, 5, 9), try record(9, 9, 9)] {
            var sum = 0.0
            var mean = 0.0
            for count in 0...14 {
                let p = model.probability(ofTransactions: count, horizon: 14, history)
                sum += p
                mean += Double(count) * p
            }
            #expect(abs(sum - 1) < 1e-13)
            #expect(abs(mean - model.expectedTransactions(history, horizon: 14)) < 1e-12)
            let none = model.probability(ofTransactions: 0, horizon: 14, history)
            #expect(abs(none - 1 + model.probabilityActive(history, horizon: 14)) < 1e-13)
        }
        #expect(model.probability(ofTransactions: 0, horizon: 0) == 1)
        #expect(model.probability(ofTransactions: 3, horizon: 2) == 0)
        #expect(model.probabilityAlive(.new) == 1)
        #expect(model.logLikelihood(.new) == 0)
    }

    /// Histories of different lengths; the estimates lie within four standard errors.
    @Test func recoversPlantedParameters() throws {
        let truth = [0.9, 1.8, 0.5, 4.0]
        let history = try simulated(20_000, seed: 2, truth) { 6 + $0.below(14) }
        let fitted = try BGBB.fit(history)
        #expect(fitted.diagnostics.isSound)
        let errors = try #require(fitted.diagnostics.standardErrors)
        let estimates = [fitted.alpha, fitted.beta, fitted.gamma, fitted.delta]
        for k in 0..<4 {
            #expect(abs(estimates[k] - truth[k]) < 4 * errors[k], "\(estimates) \(errors)")
            #expect(errors[k] < 0.3 * truth[k])
        }
        var parameters = BGBB.Parameters(threadCount: 3)
        #expect(try BGBB.fit(history, parameters) == fitted)
        parameters.period = .year
        #expect(try BGBB.fit(history, parameters).period == .year)
        let text = try JSONEncoder().encode(fitted)
        #expect(try JSONDecoder().decode(FittedBGBB.self, from: text) == fitted)
    }

    /// Central differences of the value against the gradient, of the gradient against the Hessian,
    /// seen through the fit: at the optimum no parameter can be moved for a better likelihood.
    @Test func optimumIsAnOptimum() throws {
        let history = try simulated(3_000, seed: 5, [0.9, 1.8, 0.5, 4.0]) { 4 + $0.below(9) }
        let fitted = try BGBB.fit(history)
        let best = try #require(fitted.diagnostics.logLikelihood)
        let errors = try #require(fitted.diagnostics.standardErrors)
        func logLikelihood(_ p: [Double]) throws -> Double {
            let model = FittedBGBB(alpha: p[0], beta: p[1], gamma: p[2], delta: p[3])
            var sum = 0.0
            for cell in history.cells {
                let record = try record(
                    cell.transactionCount, cell.lastTransaction, cell.opportunityCount)
                sum += Double(cell.customerCount) * model.logLikelihood(record)
            }
            return sum
        }
        let at = [fitted.alpha, fitted.beta, fitted.gamma, fitted.delta]
        #expect(abs(try logLikelihood(at) - best) < 1e-8)
        // The inverse Hessian by second differences gives the standard errors.
        var hessian = SymmetricMatrix(size: 4)
        let step = errors.map { $0 * 0.01 }
        for i in 0..<4 {
            for j in 0...i {
                var sum = 0.0
                for (a, b, sign) in [(1.0, 1.0, 1.0), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)] {
                    var p = at
                    p[i] += a * step[i]
                    p[j] += b * step[j]
                    sum += sign * (try logLikelihood(p))
                }
                hessian[i, j] = -sum / (4 * step[i] * step[j])
            }
        }
        let inverse = try #require(hessian.inverseIfPositiveDefinite())
        for k in 0..<4 {
            #expect(abs(inverse[k, k].squareRoot() / errors[k] - 1) < 5e-3)
            for direction in [-1.0, 1] {
                var p = at
                p[k] += direction * errors[k] * 0.1
                #expect(try logLikelihood(p) < best)
            }
        }
    }

    @Test func refusesBadHistories() throws {
        func failure(_ cells: [(x: Int, tx: Int, n: Int, customers: Int)]) -> String {
            do throws(ModelError) {
                _ = try BGBB.fit(OpportunityHistory(cells: cells))
            } catch { return error.description }
            return ""
        }
        #expect(failure([]).contains("no rows"))
        #expect(failure([(0, 0, 0, 5)]).contains("three are needed"))
        #expect(failure([(1, 1, 2, 50), (0, 0, 2, 9)]).contains("three are needed"))
        #expect(failure([(0, 0, 6, 50)]).contains("customers with a transaction"))
        #expect(failure([(0, 0, 6, 50), (2, 1, 6, 1)]).contains("row 1"))
        #expect(failure([(0, 3, 6, 50)]).contains("cannot be"))
        #expect(failure([(1, 7, 6, 50)]).contains("cannot be"))
        #expect(failure([(1, 1, -1, 50)]).contains("periods"))
        #expect(failure([(1, 1, 6, 0)]).contains("customers of cell 0"))
        #expect(throws: ModelError.self) { try record(3, 2, 6) }
        #expect(throws: ModelError.self) {
            try OpportunityHistory(
                transactionCount: [1], lastTransaction: [1, 2], opportunityCount: [3])
        }
        // Everybody buys for ever: the optimum lies at the border, and the fit says so.
        let always = try BGBB.fit(OpportunityHistory(cells: [(8, 8, 8, 100)]))
        #expect(!always.diagnostics.isSound)
        // Rows of no periods change nothing but the count.
        let cells = [(0, 0, 4, 60), (1, 1, 4, 20), (2, 3, 4, 15), (4, 4, 4, 9), (3, 4, 4, 11)]
        let plain = try BGBB.fit(OpportunityHistory(cells: cells.map { ($0.0, $0.1, $0.2, $0.3) }))
        let more = try BGBB.fit(
            OpportunityHistory(cells: cells.map { ($0.0, $0.1, $0.2, $0.3) } + [(0, 0, 0, 7)]))
        let difference =
            (plain.diagnostics.logLikelihood ?? 0) - (more.diagnostics.logLikelihood ?? 1)
        #expect(abs(difference) < 1e-8)
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func latticeIsFiniteAndMonotone(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let values = [1e-4, 1e-2, 0.3, 1, 7, 1e2, 1e4]
        func any<Value>(_ values: [Value]) -> Value { values[random.below(values.count)] }
        for _ in 0..<400 {
            let model = FittedBGBB(
                alpha: any(values), beta: any(values), gamma: any(values), delta: any(values))
            let n = any([0, 1, 6, 52, 700])
            let tx = n == 0 ? 0 : random.below(n + 1)
            let x = tx == 0 ? 0 : 1 + random.below(tx)
            let history = try record(x, tx, n)
            let place: Comment =
                "\(model.alpha) \(model.beta) \(model.gamma) \(model.delta) \(history)"
            let likelihood = model.logLikelihood(history)
            #expect(likelihood.isFinite && likelihood <= 1e-12, place)
            let alive = model.probabilityAlive(history)
            #expect((0...1).contains(alive), place)
            let later = model.probabilityAlive(history, after: 5)
            #expect((0...alive).contains(later), place)
            if x > 0, tx < n {
                // A later last transaction means alive more likely.
                let fresher = model.probabilityAlive(try record(x, tx + 1, n))
                #expect(fresher >= alive * (1 - 1e-12), place)
            }
            var before = (expected: 0.0, active: 0.0)
            for horizon in [0, 1, 12, 300] {
                let expected = model.expectedTransactions(history, horizon: horizon)
                let active = model.probabilityActive(history, horizon: horizon)
                #expect(expected >= before.expected * (1 - 1e-12), place)
                #expect(expected <= Double(horizon), place)
                #expect(active >= before.active * (1 - 1e-12) && active <= 1, place)
                #expect(active <= expected * (1 + 1e-9), place)
                before = (expected, active)
                for count in [0, 1, horizon] {
                    let p = model.probability(ofTransactions: count, horizon: horizon, history)
                    #expect((0...1).contains(p), place)
                }
            }
            for discount in [1e-6, 0.01, 1] {
                let value =
                    try model.discountedResidualTransactions(history, discount: discount) ?? -1
                #expect(value >= 0 && value <= alive / discount * (1 + 1e-9), place)
            }
        }
    }
}
