import Foundation
import Models
import Numerical
import Testing

@Suite struct LogisticRegressionTests {
    private func refused(_ body: () throws -> Void) -> ModelError? {
        do { try body() } catch { return error as? ModelError }
        return nil
    }

    /// Maximum likelihood.
    private var plain: LogisticRegression.Parameters {
        var parameters = LogisticRegression.Parameters()
        parameters.regularization = 0
        return parameters
    }

    /// Reference: Newton's method on the same rows with NumPy in double precision.
    @Test func fitsTheReference() throws {
        let x1: [Float] = [
            -0.8, -1.32, -0.25, 0.42, 1.14, 0.11, -0.55, -0.78, 0.75, 1.63, 0.27, -1.23, -0.96, 1.6,
            0.2, -1.73, -0.08, -1.16, -0.63, -0.49, -0.71, 0.55, -0.06, -0.59, 0.41, 0.83, -1.64,
            -0.26, -0.98, -0.17, -1.29, 0.02, -0.04, -0.3, -1.05, -0.4, -1.09, -1.36, 0.22, -1.11,
            1.17, 0.72, -2.0, 0.27, -1.1, 0.03, 0.04, -1.99, -0.23, -0.26, 0.96, -1.18, 0.74, -1.1,
            -0.33, -0.84, 1.45, 0.57, 2.43, 0.64,
        ]
        let x2: [Float] = [
            58.4, 58.4, 43.9, 49.3, 63.5, 46.0, 51.9, 49.8, 56.1, 46.4, 48.5, 52.4, 51.0, 41.4,
            59.0,
            37.0, 38.0, 37.2, 59.7, 46.4, 40.3, 38.6, 54.2, 39.5, 37.3, 56.1, 38.0, 46.8, 49.9,
            45.5,
            49.5, 63.4, 44.8, 37.4, 31.6, 48.0, 46.5, 52.7, 45.4, 45.2, 42.8, 44.8, 51.6, 46.2,
            51.0,
            69.0, 54.8, 34.2, 67.3, 53.5, 40.6, 59.1, 50.2, 43.8, 43.7, 40.1, 50.5, 60.7, 46.7,
            54.2,
        ]
        let digits = { (text: String) in text.map { Int32(String($0)) ?? 0 } }
        let c = digits("120102112122110222102020001000200102211121020212012201021022")
        let y = digits("000111101110010010010110001111110101111111010101111011111110")
        let w = digits("233112332133321311321221132332121312132232223121312122321131")
        let table = try PredictorTable([
            .init("x1", numbers: x1), .init("x2", numbers: x2),
            .init("c", codes: c, categories: ["a", "b", "c"]),
        ])
        let outcome = try ChurnOutcome(y.map { $0 == 1 }, weights: w.map(Double.init))
        let fitted = try LogisticRegression.fit(table, outcome, plain)
        #expect(fitted.isConverged && fitted.dropped.isEmpty && fitted.rowCount == 60)
        #expect(fitted.coefficients.map(\.term.name) == ["x1", "x2", "c = a", "c = b"])
        let values = [1.17723053451, -0.0502493638461, -0.440176731651, 0.104168275918]
        let errors = [0.30543310149, 0.0270989679352, 0.531140177708, 0.53461787686]
        #expect(abs(fitted.intercept - 3.6798018082) < 1e-5)
        #expect(abs(fitted.interceptStandardError - 1.40855871992) < 1e-5)
        for (found, wanted) in zip(fitted.coefficients, zip(values, errors)) {
            #expect(abs(found.value - wanted.0) < 1e-6)
            #expect(abs(found.standardError - wanted.1) < 1e-6)
            #expect(abs(found.z - wanted.0 / wanted.1) < 1e-5)
            #expect(abs(found.interval.upperBound - wanted.0 - 1.959964 * wanted.1) < 1e-5)
            #expect(abs(found.oddsRatio - exp(wanted.0)) < 1e-5)
        }
        // 2 (1 - Φ(|z|)) of 3.85430 and of 0.19485.
        #expect(abs(fitted.coefficients[0].pValue - 0.000116) < 5e-7)
        #expect(abs(fitted.coefficients[3].pValue - 0.845513) < 5e-5)
        #expect(abs(fitted.logLikelihood + 65.60126581261902) < 1e-6)
        #expect(abs(fitted.akaikeCriterion - 2 * 65.60126581261902 - 10) < 1e-5)
        #expect(abs(fitted.bayesianCriterion - 2 * 65.60126581261902 - 5 * log(60)) < 1e-5)

        let contributions = try fitted.contributions(table)
        let scores = try fitted.scores(table)
        for row in 0..<60 {
            #expect(abs(contributions.score(row: row) - scores[row]) < 1e-12)
            let wanted =
                fitted.intercept + values[0] * Double(x1[row]) + values[1] * Double(x2[row])
                + (c[row] == 0 ? values[2] : c[row] == 1 ? values[3] : 0)
            #expect(abs(scores[row] - wanted) < 1e-5)
        }
        let data = try JSONEncoder().encode(fitted)
        #expect(try JSONDecoder().decode(FittedLogistic.self, from: data) == fitted)
    }

    @Test func namesConstantAndCollinearColumns() throws {
        var random = SeededRandom(seed: 2)
        let a = (0..<400).map { _ in Float(random.below(100)) }
        let b = (0..<400).map { _ in Float(random.below(100)) }
        let labels = a.map { random.bernoulli($0 > 50 ? 0.6 : 0.3) }
        let table = try PredictorTable([
            .init("a", numbers: a), .init("seven", numbers: a.map { _ in 7 }),
            .init("b", numbers: b),
            .init("sum", numbers: zip(a, b).map { 2 * $0 - $1 }),
            .init("nothing", numbers: a.map { _ in .nan }),
        ])
        let fitted = try LogisticRegression.fit(table, try ChurnOutcome(labels), plain)
        #expect(fitted.coefficients.map(\.term.name) == ["a", "b"])
        let names = ["seven", "nothing", "nothing is missing", "sum"]
        #expect(fitted.dropped.map(\.term) == names)
        let reasons: [FittedLogistic.DropReason] = [
            .constant, .constant, .constant, .collinear(with: ["a", "b"]),
        ]
        #expect(fitted.dropped.map(\.reason) == reasons)
        #expect(try fitted.scores(table).allSatisfy { $0.isFinite })
        var penalized = LogisticRegression.Parameters()
        penalized.regularization = 1
        let shrunk = try LogisticRegression.fit(table, try ChurnOutcome(labels), penalized)
        #expect(shrunk.coefficients.map(\.term.name) == ["a", "b"])
        #expect(shrunk.effectiveParameterCount < 3 && shrunk.effectiveParameterCount > 2.9)
        // A penalty beyond all data leaves the share of those who left.
        penalized.regularization = 1e9
        let flat = try LogisticRegression.fit(table, try ChurnOutcome(labels), penalized)
        #expect(abs(flat.effectiveParameterCount - 1) < 1e-6)
        let share = Double(labels.count(where: { $0 })) / 400
        #expect(try flat.predictions(table).allSatisfy { abs($0 - share) < 1e-5 })
    }

    @Test func diagnosesSeparation() throws {
        var random = SeededRandom(seed: 3)
        let noise = (0..<200).map { _ in Float(random.normal()) }
        let labels = (0..<200).map { $0 % 3 == 0 }
        let complete = try PredictorTable([
            .init("noise", numbers: noise),
            .init("cancelled", numbers: labels.map { $0 ? 5 : 3 }),
        ])
        // Everybody of one category left; of the others some did.
        let partly = try PredictorTable([
            .init("noise", numbers: noise),
            .init(
                "plan", codes: (0..<200).map { $0 % 6 == 0 ? 1 : 0 }, categories: ["old", "gone"]),
        ])
        for (table, name) in [(complete, "cancelled"), (partly, "plan = gone")] {
            guard
                case .notIdentified(_, let reason) = refused({
                    _ = try LogisticRegression.fit(table, try ChurnOutcome(labels), plain)
                })
            else {
                Issue.record("\(name) was fitted")
                continue
            }
            #expect(reason.contains("\"\(name)\" separates"), "\(reason)")
            // The default holds it: finite, with an error that says how little is known.
            let fitted = try LogisticRegression.fit(table, try ChurnOutcome(labels))
            #expect(try fitted.scores(table).allSatisfy { $0.isFinite })
            let held = try #require(fitted.coefficients.first { $0.term.name == name })
            #expect(fitted.isConverged && held.value > 2 * held.standardError)
        }
    }

    /// Missing at random: the number's coefficient stays, the mean stands in.
    @Test func recoversPlantedCoefficients() throws {
        var random = SeededRandom(seed: 4)
        var x: [Float] = []
        var codes: [Int32] = []
        var labels: [Bool] = []
        for _ in 0..<40_000 {
            let value = 3 + 2 * random.normal()
            let code = random.below(4) - 1
            let score = -2 + 0.6 * value + [0.3, 0, -0.8, 0.5][code + 1]
            labels.append(random.bernoulli(1 / (1 + exp(-score))))
            x.append(Float(value))
            codes.append(Int32(code))
        }
        codes[0...2] = [0, 0, 0]
        let table = try PredictorTable([
            .init("x", numbers: x), .init("c", codes: codes, categories: ["a", "b", "c"]),
        ])
        var parameters = plain
        parameters.threadCount = 2
        let fitted = try LogisticRegression.fit(table, try ChurnOutcome(labels), parameters)
        let truth = ["x": 0.6, "c = a": 0, "c = b": -0.8, "c = c": 0.5, "c is missing": 0.3]
        // Whichever category is the most frequent, the others are compared with it.
        let present = Set(fitted.coefficients.map(\.term.name))
        let reference = truth.keys.first { !present.contains($0) }.flatMap { truth[$0] } ?? 0
        for coefficient in fitted.coefficients {
            let name = coefficient.term.name
            let wanted = (truth[name] ?? 9) - (name == "x" ? 0 : reference)
            #expect(abs(coefficient.value - wanted) < 4 * coefficient.standardError, "\(name)")
            #expect(coefficient.standardError < 0.05)
        }
        for threadCount in [1, 3] {
            parameters.threadCount = threadCount
            #expect(
                try LogisticRegression.fit(table, try ChurnOutcome(labels), parameters) == fitted)
        }
    }

    /// What cannot be told for another reason is not called separation.
    @Test func saysWhyThereIsNoAnswer() throws {
        var random = SeededRandom(seed: 5)
        let a = (0..<500).map { _ in Float(random.normal()) }
        let near = a.map { $0 + 3e-4 * Float(random.normal()) }
        let labels = a.map { random.bernoulli($0 > 0 ? 0.6 : 0.4) }
        let outcome = try ChurnOutcome(labels)
        let table = try PredictorTable([.init("a", numbers: a), .init("near", numbers: near)])
        // Almost the same: both stay, their difference is uncertain, and their sum is not.
        let fitted = try LogisticRegression.fit(table, outcome, plain)
        #expect(fitted.isConverged && fitted.coefficients.count == 2)
        #expect(fitted.coefficients.allSatisfy { $0.standardError > 100 })
        let alone = try LogisticRegression.fit(
            try PredictorTable([.init("a", numbers: a)]), outcome, plain)
        let sum = fitted.coefficients.reduce(0) { $0 + $1.value }
        #expect(abs(sum - alone.coefficients[0].value) < 0.1)
        var parameters = plain
        parameters.maximumIterations = 2
        let few = refused {
            _ = try LogisticRegression.fit(
                try PredictorTable([.init("a", numbers: a)]), outcome, parameters)
        }
        #expect("\(few.map(\.description) ?? "")".contains("not converged in 2 iterations"))
        let ids = (0..<1_002).map(String.init)
        let many = refused {
            _ = try LogisticRegression.fit(
                try PredictorTable([
                    .init("a", numbers: a + a + a),
                    .init("id", codes: (0..<1_500).map { Int32($0 % 1_002) }, categories: ids),
                ]), try ChurnOutcome(labels + labels + labels))
        }
        guard case .badColumn("id", let reason)? = many else {
            Issue.record("1,001 terms were taken")
            return
        }
        #expect(reason.contains("1001 of 1002 terms"))
    }

    /// At the maximum the slope of the likelihood is the penalty's, whatever a column's unit.
    @Test func penalizesStandardizedCoefficients() throws {
        let x: [Float] = (0..<400).map { $0 % 2 == 0 ? 1 : -1 }
        let labels = (0..<400).map { $0 % 2 == 0 ? $0 % 10 < 6 : $0 % 10 < 2 }
        for scale in [1, 1000] as [Float] {
            let table = try PredictorTable([.init("x", numbers: x.map { $0 * scale })])
            let fitted = try LogisticRegression.fit(table, try ChurnOutcome(labels))
            // Σ (y - p) x = λ b, x being standardized.
            let p = try fitted.predictions(table)
            let slope = zip(zip(labels, p), x).reduce(0.0) {
                $0 + (($1.0.0 ? 1 : 0) - $1.0.1) * Double($1.1)
            }
            let b = fitted.coefficients[0].value * Double(scale)
            #expect(abs(slope - b) < 1e-7, "\(slope) \(b)")
            let total = zip(labels, p).reduce(0.0) { $0 + ($1.0 ? 1 : 0) - $1.1 }
            #expect(abs(total) < 1e-7)
        }
    }

    /// Coefficients drawn as the penalty supposes them: intervals hold them as often as they say.
    @Test func intervalsUnderThePenaltyHoldTheTruth() throws {
        var (held, all) = (0, 0)
        for seed in 0..<200 as Range<UInt64> {
            var random = SeededRandom(seed: seed, stream: 77)
            let truth = (0..<4).map { _ in random.normal() }
            let rows = (0..<60).map { _ in (0..<4).map { _ in Float(random.normal()) } }
            let labels = rows.map { row in
                let score = zip(row, truth).reduce(0.2) { $0 + Double($1.0) * $1.1 }
                return random.bernoulli(1 / (1 + exp(-score)))
            }
            let table = try PredictorTable(
                (0..<4).map { column in .init("x\(column)", numbers: rows.map { $0[column] }) })
            let fitted = try LogisticRegression.fit(table, try ChurnOutcome(labels))
            for (coefficient, wanted) in zip(fitted.coefficients, truth) {
                all += 1
                if coefficient.interval.contains(wanted) { held += 1 }
            }
        }
        let share = Double(held) / Double(all)
        #expect(share > 0.93 && share < 0.97, "\(share)")
    }
}
