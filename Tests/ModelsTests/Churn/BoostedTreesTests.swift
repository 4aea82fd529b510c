import Foundation
import Models
import Numerical
import Testing

@Suite struct BoostedTreesTests {
    /// Customers whose chance to leave is known: from a number, a number that is sometimes missing
    /// (and says something by that), a category of many and one of three.
    private func planted(
        _ count: Int, seed: UInt64
    ) throws -> (table: PredictorTable, outcome: ChurnOutcome, logOdds: [Double]) {
        var random = SeededRandom(seed: seed)
        var (tenure, spend): ([Float], [Float]) = ([], [])
        var (city, plan): ([Int32], [Int32]) = ([], [])
        var (labels, logOdds): ([Bool], [Double]) = ([], [])
        for _ in 0..<count {
            let months = random.uniform() * 72
            let isMissing = random.bernoulli(0.2)
            let value = random.normal()
            let (town, kind) = (random.below(60), random.below(4) - 1)
            var score = months < 12 ? 1.2 : -0.8
            score += isMissing ? 1.5 : 0.7 * value
            score += town % 5 == 0 ? 1 : -0.3
            score += kind == 1 ? 0.9 : kind == -1 ? -0.9 : 0
            tenure.append(Float(months))
            spend.append(isMissing ? .nan : Float(value))
            city.append(Int32(town))
            plan.append(Int32(kind))
            labels.append(random.bernoulli(1 / (1 + exp(-score))))
            logOdds.append(score)
        }
        let table = try PredictorTable([
            .init("tenure", numbers: tenure), .init("spend", numbers: spend),
            .init("city", codes: city, categories: (0..<60).map { "city \($0)" }),
            .init("plan", codes: plan, categories: ["basic", "plus", "max"]),
        ])
        return (table, try ChurnOutcome(labels), logOdds)
    }

    private func reasons(_ body: () throws -> Void) -> ModelError? {
        do { try body() } catch { return error as? ModelError }
        return nil
    }

    @Test func findsPlantedEffects() throws {
        let (table, outcome, _) = try planted(20_000, seed: 1)
        let held = try planted(10_000, seed: 2)
        var parameters = BoostedTrees.Parameters()
        parameters.leafCount = 8
        parameters.treeCount = 150
        let fitted = try BoostedTrees.fit(table, outcome, parameters)
        let scorer = ForestScorer(fitted.ensemble)
        let scores = try scorer.scores(held.table)
        let best = try #require(
            areaUnderROC(scores: held.logOdds, positive: held.outcome.labels))
        let reached = try #require(areaUnderROC(scores: scores, positive: held.outcome.labels))
        #expect(reached > best - 0.012, "\(reached) of \(best)")
        let errors = zip(scores, held.logOdds).map { ($0 - $1) * ($0 - $1) }
        #expect((errors.reduce(0, +) / 10_000).squareRoot() < 0.4)
        let summary = try ProbabilitySummary(
            probabilities: try scorer.predictions(held.table), positive: held.outcome.labels)
        #expect(summary.calibrationError < 0.02)
        #expect(fitted.ensemble.importance.allSatisfy { $0.gain > 0 && $0.splitCount > 0 })
    }

    @Test func isTheSameForAnyThreadCount() throws {
        let (table, outcome, _) = try planted(40_000, seed: 3)
        var parameters = BoostedTrees.Parameters()
        parameters.treeCount = 8
        parameters.rowFraction = 0.7
        parameters.columnFraction = 0.6
        let one = try BoostedTrees.fit(table, outcome, parameters)
        parameters.threadCount = 3
        let three = try BoostedTrees.fit(table, outcome, parameters)
        #expect(one.ensemble == three.ensemble)
        #expect(one.ensemble.trees.count == 8)
        let scorer = ForestScorer(one.ensemble)
        #expect(try scorer.scores(table) == scorer.scores(table, threadCount: 3))
        parameters.seed = 2
        #expect(try BoostedTrees.fit(table, outcome, parameters).ensemble != one.ensemble)
    }

    /// Scores of tiles beside a walk of every tree, at every level; saved and loaded.
    @Test(arguments: [4, 31, 50, 200]) func scoresAreThoseOfItsTrees(leafCount: Int) throws {
        let (table, outcome, _) = try planted(3_001, seed: 4)
        var parameters = BoostedTrees.Parameters()
        parameters.treeCount = 10
        parameters.leafCount = leafCount
        parameters.minimumLeafRows = 3
        let fitted = try BoostedTrees.fit(table, outcome, parameters)
        #expect(fitted.ensemble.trees.allSatisfy { $0.leafCount == leafCount })
        let data = try JSONEncoder().encode(fitted)
        let loaded = try JSONDecoder().decode(FittedBoostedTrees.self, from: data)
        #expect(loaded == fitted)
        let scores = try ForestScorer(loaded.ensemble).scores(table, threadCount: 2)
        for level in ISALevel.available {
            let kernels = KernelTable(level)
            #expect(try ForestScorer(fitted.ensemble).scores(table, kernels: kernels) == scores)
        }
        // Contributions add up to the scores, walked in another way.
        let contributions = try ForestScorer(fitted.ensemble).contributions(table.rows([0, 7, 99]))
        for (place, row) in [0, 7, 99].enumerated() {
            #expect(abs(contributions.score(row: place) - scores[row]) < 1e-9)
        }
        let reasons = contributions.topReasons(row: 0, count: 2)
        #expect(reasons.count == 2 && abs(reasons[0].contribution) >= abs(reasons[1].contribution))
    }

    /// Two values, one split: leaf values are -rate · G / (H + λ) of each side.
    @Test func leafValuesAreNewtonSteps() throws {
        let x: [Float] = (0..<100).map { $0 < 40 ? 1 : 2 }
        let labels = (0..<100).map { $0 < 40 ? $0 < 30 : $0 < 52 }
        var parameters = BoostedTrees.Parameters()
        parameters.treeCount = 1
        parameters.regularization = 2
        let fitted = try BoostedTrees.fit(
            try PredictorTable([.init("x", numbers: x)]), try ChurnOutcome(labels), parameters)
        let p = 0.42
        #expect(abs(fitted.ensemble.baseScore - log(p / (1 - p))) < 1e-12)
        let tree = fitted.ensemble.trees[0]
        #expect(tree.splits.count == 1 && tree.leafRowCounts == [40, 60])
        #expect(
            tree.splits[0].rule
                == .atMost(threshold: 1.5, missingGoesLeft: false, zeroIsMissing: false))
        let expected = [(30.0, 40.0), (12, 60)].map { left, n in
            0.1 * (left - n * p) / (n * p * (1 - p) + 2)
        }
        for (value, wanted) in zip(tree.leafValues, expected) {
            #expect(abs(value - wanted) < 1e-6)
        }
        // A weight of 2 is two rows.
        let doubled = try BoostedTrees.fit(
            try PredictorTable([.init("x", numbers: x + x)]), try ChurnOutcome(labels + labels),
            parameters)
        let weighted = try BoostedTrees.fit(
            try PredictorTable([.init("x", numbers: x)]),
            try ChurnOutcome(labels, weights: [Double](repeating: 2, count: 100)), parameters)
        for (a, b) in zip(
            doubled.ensemble.trees[0].leafValues, weighted.ensemble.trees[0].leafValues)
        {
            #expect(abs(a - b) < 1e-6)
        }
    }

    @Test func missingValuesGoWhereTheyBelong() throws {
        let x: [Float] = (0..<300).map { $0 < 100 ? .nan : $0 < 200 ? 1 : 2 }
        var parameters = BoostedTrees.Parameters()
        parameters.treeCount = 30
        for (name, leaving) in [("as 1", 0..<200), ("as 2", 100..<200), ("alone", 0..<100)] {
            let labels = (0..<300).map { leaving.contains($0) ? $0 % 10 != 0 : $0 % 10 == 0 }
            let table = try PredictorTable([.init("x", numbers: x)])
            let fitted = try BoostedTrees.fit(table, try ChurnOutcome(labels), parameters)
            let p = try ForestScorer(fitted.ensemble).predictions(table)
            for row in [0, 100, 200] {
                #expect(abs(p[row] - (leaving.contains(row) ? 0.9 : 0.1)) < 0.06, "\(name) \(row)")
            }
        }
    }

    @Test func stopsEarly() throws {
        let (table, outcome, _) = try planted(2_000, seed: 5)
        let held = try planted(2_000, seed: 6)
        var parameters = BoostedTrees.Parameters()
        parameters.treeCount = 400
        parameters.earlyStoppingRounds = 20
        let fitted = try BoostedTrees.fit(
            table, outcome, validation: (held.table, held.outcome), parameters)
        let losses = fitted.validationLogLoss
        let best = try #require(losses.indices.min { losses[$0] < losses[$1] })
        #expect(fitted.ensemble.trees.count == best + 1)
        #expect(fitted.grownTreeCount == best + 21 && losses.count == best + 21)
        let p = try ForestScorer(fitted.ensemble).predictions(held.table)
        let summary = try ProbabilitySummary(probabilities: p, positive: held.outcome.labels)
        #expect(abs(summary.logLoss - losses[best]) < 1e-9)
    }

    @Test func weighsTheRareLabel() throws {
        let (table, outcome, _) = try planted(5_000, seed: 7)
        var parameters = BoostedTrees.Parameters()
        parameters.treeCount = 20
        parameters.positiveWeight = 3
        let fitted = try BoostedTrees.fit(table, outcome, parameters)
        let p = try ForestScorer(fitted.ensemble).predictions(table)
        let left = Double(outcome.labels.count(where: { $0 }))
        let share = 3 * left / (3 * left + 5_000 - left)
        let weights = outcome.labels.map { $0 ? 3.0 : 1 }
        let mean = zip(p, weights).reduce(0) { $0 + $1.0 * $1.1 } / weights.reduce(0, +)
        #expect(abs(mean - share) < 0.01)
    }

    /// Category names decide, not their order; what training has not seen goes its own way.
    @Test func categoriesAreMatchedByName() throws {
        let codes: [Int32] = (0..<400).map { Int32($0 % 4) }
        let labels = codes.enumerated().map { $1 == 2 ? $0 % 10 != 3 : $0 % 10 == 3 }
        let table = try PredictorTable([.init("c", codes: codes, categories: ["a", "b", "c", "d"])])
        var parameters = BoostedTrees.Parameters()
        parameters.treeCount = 40
        let scorer = ForestScorer(
            try BoostedTrees.fit(table, try ChurnOutcome(labels), parameters).ensemble)
        let other = try PredictorTable([
            .init("unused", numbers: [0, 0, 0, 0]),
            .init("c", codes: [0, 1, 2, -1], categories: ["c", "new", "a"]),
        ])
        let p = try scorer.predictions(other)
        #expect(p[0] > 0.8 && p[1] < 0.35 && p[2] < 0.35 && p[3] < 0.35)
        let numbers = try PredictorTable([.init("c", numbers: [1])])
        #expect(
            reasons { _ = try scorer.scores(numbers) }
                == .badColumn(
                    name: "c", reason: "the model was fitted with categories, here are numbers"))
        let absent = try PredictorTable([.init("d", numbers: [1])])
        #expect(
            reasons { _ = try scorer.scores(absent) }
                == .badColumn(name: "c", reason: "the model was fitted with it; it is not here"))
    }

    @Test func refusesWhatCannotBeFitted() throws {
        let one = try PredictorTable([.init("x", numbers: [1])])
        let two = try PredictorTable([.init("x", numbers: [1, 2])])
        func fit(_ table: PredictorTable, _ labels: [Bool]) -> ModelError? {
            reasons { _ = try BoostedTrees.fit(table, try ChurnOutcome(labels)) }
        }
        #expect(fit(one, [true]) == .tooFewRows(model: "boosted trees", actual: 1, needed: 2))
        #expect(fit(try PredictorTable([]), []) == .noRows(model: "boosted trees"))
        for label in [true, false] {
            guard case .notIdentified = fit(two, [label, label]) else {
                Issue.record("one label was fitted")
                return
            }
        }
        #expect(
            fit(two, [true]) == .countMismatch(what: "churn labels", actual: 1, expected: 2))
        #expect(
            reasons { _ = try ChurnOutcome(numbers: [1, .nan]) }
                == .nonFiniteValue(what: "churn labels", row: 1, column: 0))
        #expect(
            reasons { _ = try ChurnOutcome(numbers: [0.5]) }
                == .outOfRange(
                    what: "the churn label of row 0", actual: 0.5, allowed: "0 or 1"))
        #expect(
            reasons { _ = try ChurnOutcome([true], weights: [-1]) }
                == .outOfRange(
                    what: "the weight of row 0", actual: -1, allowed: "0 or 1e-30 ... 1e30"))
        #expect(
            reasons { _ = try ChurnOutcome([true], weights: [1e31]) }
                == .outOfRange(
                    what: "the weight of row 0", actual: 1e31, allowed: "0 or 1e-30 ... 1e30"))
        guard
            case .countMismatch = reasons({
                _ = try PredictorTable([.init("x", numbers: [1]), .init("y", numbers: [])])
            }),
            case .badColumn = reasons({
                _ = try PredictorTable([.init("x", numbers: [1]), .init("x", numbers: [1])])
            }),
            case .badColumn = reasons({
                _ = try PredictorTable([.init("x", codes: [1], categories: ["a"])])
            })
        else {
            Issue.record("a bad table was taken")
            return
        }
        var parameters = BoostedTrees.Parameters()
        parameters.leafCount = 1
        let both = try ChurnOutcome([true, false])
        #expect(
            reasons { _ = try BoostedTrees.fit(two, both, parameters) }
                == .outOfRange(what: "leafCount", actual: 1, allowed: "2 ... 4096"))
        // Sums by bin of so many leaves do not fit; an id is no category.
        parameters.leafCount = 4096
        let wide = try PredictorTable((0..<200).map { .init("x\($0)", numbers: [1, 2]) })
        guard
            case .outOfRange(let what, _, _) = reasons({
                _ = try BoostedTrees.fit(wide, both, parameters)
            }),
            case .badColumn("id", let reason) = reasons({
                let ids = (0...BoostedTrees.categoryLimit).map(String.init)
                let column = PredictorTable.Column("id", codes: [0, 1], categories: ids)
                _ = try BoostedTrees.fit(try PredictorTable([column]), both)
            })
        else {
            Issue.record("too much was taken")
            return
        }
        #expect(what.contains("200 columns") && reason.contains("8160 categories"))
        let unweighted = try ChurnOutcome([true, false], weights: [0, 0])
        guard
            case .notIdentified(_, let stopping) = reasons({
                _ = try BoostedTrees.fit(two, both, validation: (two, unweighted))
            })
        else {
            Issue.record("validation rows without weight were taken")
            return
        }
        #expect(stopping.contains("weight 0"))
    }

    /// Columns without information, and numbers at the ends of their range.
    @Test func fitsStrangeColumns() throws {
        var random = SeededRandom(seed: 9)
        let labels = (0..<500).map { _ in random.bernoulli(0.3) }
        let table = try PredictorTable([
            .init("all missing", numbers: [Float](repeating: .nan, count: 500)),
            .init("constant", numbers: [Float](repeating: 7, count: 500)),
            .init(
                "ends",
                numbers: labels.enumerated().map { row, left in
                    left ? [.infinity, .greatestFiniteMagnitude][row % 2] : -.infinity
                }),
            .init("no category", codes: [Int32](repeating: -1, count: 500), categories: []),
        ])
        let fitted = try BoostedTrees.fit(table, try ChurnOutcome(labels))
        let scores = try ForestScorer(fitted.ensemble).scores(table)
        #expect(scores.allSatisfy { $0.isFinite })
        #expect(areaUnderROC(scores: scores, positive: labels) == 1)
        let nothing = try BoostedTrees.fit(
            try PredictorTable([.init("constant", numbers: [Float](repeating: 7, count: 500))]),
            try ChurnOutcome(labels))
        #expect(nothing.ensemble.trees.isEmpty)
        let share = Double(labels.count(where: { $0 })) / 500
        let p = try ForestScorer(nothing.ensemble).predictions(
            try PredictorTable([.init("constant", numbers: [1])]))
        #expect(abs(p[0] - share) < 1e-12)
    }

    /// Trees that see columns without information count as trees: what is kept is the best.
    @Test func countsTreesThatFindNothing() throws {
        func customers(_ seed: UInt64) throws -> (PredictorTable, ChurnOutcome) {
            var random = SeededRandom(seed: seed)
            let x = (0..<600).map { _ in Float(random.normal()) }
            let labels = x.map { random.bernoulli($0 > 0 ? 0.65 : 0.35) }
            let constants = (0..<9).map {
                PredictorTable.Column("constant \($0)", numbers: [Float](repeating: 7, count: 600))
            }
            return (
                try PredictorTable([.init("x", numbers: x)] + constants), try ChurnOutcome(labels)
            )
        }
        let (table, outcome) = try customers(1)
        let held = try customers(2)
        var parameters = BoostedTrees.Parameters()
        parameters.treeCount = 300
        parameters.columnFraction = 0.3
        parameters.learningRate = 0.3
        parameters.earlyStoppingRounds = 40
        let fitted = try BoostedTrees.fit(table, outcome, validation: held, parameters)
        let losses = fitted.validationLogLoss
        let best = try #require(losses.indices.min { losses[$0] < losses[$1] })
        #expect(fitted.ensemble.trees.contains { $0.splits.isEmpty })
        #expect(fitted.ensemble.trees.count == best + 1 && fitted.grownTreeCount == losses.count)
        let p = try ForestScorer(fitted.ensemble).predictions(held.0)
        let summary = try ProbabilitySummary(probabilities: p, positive: held.1.labels)
        #expect(abs(summary.logLoss - losses[best]) < 1e-9)
    }

    /// The most categories that are allowed, in trees of more leaves than masks hold.
    @Test func scoresManyCategories() throws {
        let limit = BoostedTrees.categoryLimit
        var random = SeededRandom(seed: 8)
        let codes = (0..<20_000).map { _ in Int32(random.below(limit + 1)) - 1 }
        let labels = codes.map { random.bernoulli($0 % 3 == 0 ? 0.8 : 0.2) }
        let noise = codes.map { _ in Float(random.normal()) }
        let table = try PredictorTable([
            .init("many", codes: codes, categories: (0..<limit).map(String.init)),
            .init("noise", numbers: noise),
        ])
        var parameters = BoostedTrees.Parameters()
        parameters.leafCount = 100
        parameters.treeCount = 3
        parameters.minimumLeafRows = 2
        parameters.minimumCategoryRows = 1
        let fitted = try BoostedTrees.fit(table, try ChurnOutcome(labels), parameters)
        #expect(fitted.ensemble.trees.contains { $0.leafCount > 64 })
        let scorer = ForestScorer(fitted.ensemble)
        let scores = try scorer.scores(table)
        let contributions = try scorer.contributions(table.rows([0, 1, 2]))
        for row in 0..<3 { #expect(abs(contributions.score(row: row) - scores[row]) < 1e-9) }
    }

    /// The values all on one side, the missing on the other: infinity is a value.
    @Test func infinityIsNotMissing() throws {
        let x: [Float] = (0..<400).map { $0 < 200 ? .nan : $0 < 300 ? .infinity : 1 }
        let labels = (0..<400).map { $0 < 200 ? $0 % 10 != 0 : $0 % 10 == 0 }
        let table = try PredictorTable([.init("x", numbers: x)])
        let fitted = try BoostedTrees.fit(table, try ChurnOutcome(labels))
        let data = try JSONEncoder().encode(fitted)
        let loaded = try JSONDecoder().decode(FittedBoostedTrees.self, from: data)
        for level in ISALevel.available {
            let p = try ForestScorer(loaded.ensemble).predictions(
                table, kernels: KernelTable(level))
            #expect(p[0] > 0.85 && p[250] < 0.15 && p[350] < 0.15, "\(p[0]) \(p[250]) \(p[350])")
        }
        let contributions = try ForestScorer(loaded.ensemble).contributions(table.rows([250]))
        #expect(contributions.score(row: 0) < -1.5)
    }

    /// Shapley values by their definition: over all orders in which the columns become known.
    @Test(arguments: [4, 40]) func contributionsAreShapleyValues(leafCount: Int) throws {
        let (table, outcome, _) = try planted(4_000, seed: 10)
        var parameters = BoostedTrees.Parameters()
        parameters.treeCount = 3
        parameters.leafCount = leafCount
        let ensemble = try BoostedTrees.fit(table, outcome, parameters).ensemble
        let part = table.rows(Array(0..<70))
        let found = try ForestScorer(ensemble).contributions(part, threadCount: 2)
        let leaves = try ForestScorer(ensemble).scores(part)
        /// What a tree is worth where the columns of `known` are.
        func worth(_ tree: DecisionTree, _ node: Int, _ row: Int, _ known: Set<Int>) -> Double {
            guard node >= 0 else { return tree.leafValues[-1 - node] }
            let split = tree.splits[node]
            func rows(_ child: Int) -> Double {
                child >= 0 ? tree.splits[child].rowCount : tree.leafRowCounts[-1 - child]
            }
            let (left, right) = (
                worth(tree, split.left, row, known), worth(tree, split.right, row, known)
            )
            if known.contains(split.column) {
                return isLeft(split.rule, part.columns[split.column].values, row) ? left : right
            }
            return (left * rows(split.left) + right * rows(split.right)) / split.rowCount
        }
        func isLeft(_ rule: DecisionTree.Rule, _ values: PredictorTable.Values, _ row: Int) -> Bool
        {
            switch (rule, values) {
            case (.atMost(let threshold, let missing, _), .numbers(let all)):
                return all[row].isNaN ? missing : Double(all[row]) <= threshold
            case (.among(let set, let missing), .categories(let codes, _)):
                let code = Int(codes[row])
                if code < 0 { return missing }
                return code / 32 < set.count && set[code / 32] >> UInt32(code % 32) & 1 == 1
            case (.known, .numbers(let all)): return !all[row].isNaN
            default: return false
            }
        }
        for row in [0, 13, 63, 64, 69] {
            var values = [Double](repeating: 0, count: 4)
            for order in orders(of: [0, 1, 2, 3]) {
                var known: Set<Int> = []
                for column in order {
                    for tree in ensemble.trees { values[column] -= worth(tree, 0, row, known) / 24 }
                    known.insert(column)
                    for tree in ensemble.trees { values[column] += worth(tree, 0, row, known) / 24 }
                }
            }
            for (column, value) in found.row(row).enumerated() {
                #expect(abs(value - values[column]) < 1e-12)
            }
            #expect(abs(found.score(row: row) - leaves[row]) < 1e-12)
        }
    }

    private func orders(of items: [Int]) -> [[Int]] {
        guard let last = items.last else { return [[]] }
        return orders(of: items.dropLast()).flatMap { order in
            (0...order.count).map { place in
                var longer = order
                longer.insert(last, at: place)
                return longer
            }
        }
    }
}
