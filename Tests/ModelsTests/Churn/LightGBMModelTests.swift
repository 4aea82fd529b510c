import Foundation
import Models
import Numerical
import Testing

/// Models that LightGBM wrote, beside what it predicts with them (Tests/Fixtures/lightgbm/make.py).
@Suite struct LightGBMModelTests {
    private static let names = [
        "nan", "zero", "none", "regression", "medium", "large", "forest",
    ]

    private static func text(_ name: String) throws -> String {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../Fixtures/lightgbm").standardizedFileURL
        return try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
    }

    private static func rows(_ name: String) throws -> [[Double]] {
        try text("\(name).csv").split(separator: "\n").map { line in
            line.split(separator: ",").compactMap { Double($0) }
        }
    }

    @Test(arguments: names) func scoresAndContributionsAreLightGBMs(name: String) throws {
        let ensemble = try LightGBMModel.parse(try Self.text("\(name).txt"))
        let rows = try Self.rows(name)
        #expect(rows.count == 80 && rows.allSatisfy { $0.count == 12 })
        let columns = (0..<5).map { column in rows.map { Float($0[column]) } }
        let table = try PredictorTable(
            zip(["spend", "visits", "returns", "plan", "region"], columns).map {
                .init($0, numbers: $1)
            })
        let scorer = ForestScorer(ensemble)
        // LightGBM's raw scores and contributions of averaged trees are their sums; it divides them on the
        // way to the prediction.
        let treeCount = ensemble.isAveraged ? 4.0 : 1
        for level in ISALevel.available {
            let scores = try scorer.scores(table, kernels: KernelTable(level))
            let byBlock = try scorer.scores(
                FeatureMatrix(columns: columns), kernels: KernelTable(level))
            #expect(scores == byBlock)
            for (row, score) in zip(rows, scores) {
                #expect(abs(score * treeCount - row[5]) < 1e-12)
            }
        }
        let contributions = try scorer.contributions(table, threadCount: 2)
        for (index, row) in rows.enumerated() {
            for column in 0..<5 {
                let found = contributions.values[5 * index + column] * treeCount
                #expect(abs(found - row[6 + column]) < 1e-9)
            }
            #expect(abs(contributions.base * treeCount - row[11]) < 1e-9)
        }
        switch ensemble.link {
        case .identity: #expect(name == "regression")
        case .logistic(let steepness): #expect(name != "regression" && steepness == 1)
        }
        #expect(ensemble.isAveraged == (name == "forest"))
    }

    private func error(_ text: String) -> ModelError? {
        do throws(ModelError) {
            _ = try LightGBMModel.parse(text)
            return nil
        } catch {
            return error
        }
    }

    @Test func refusesWithTheLine() throws {
        let text = try Self.text("nan.txt")
        func line(_ start: String) -> Int {
            (text.split(separator: "\n", omittingEmptySubsequences: false)
                .firstIndex { $0.hasPrefix(start) } ?? -2) + 1
        }
        let changes = [
            ("tree\nversion", "forest\nversion", 1, "no LightGBM"),
            ("version=v4", "version=v9", line("version"), "v9"),
            ("num_class=1", "num_class=3", line("num_class"), "multiclass"),
            ("objective=binary", "objective=lambdarank", line("objective"), "lambdarank"),
            ("is_linear=0", "is_linear=1", line("is_linear"), "linear"),
            ("left_child=1", "left_child=0", line("left_child"), "leads to 0"),
            ("split_feature=0", "split_feature=9", line("split_feature"), "names no feature"),
            ("leaf_value=", "leaf_value=nan ", line("leaf_value"), "values, expected"),
            ("num_leaves=6", "num_leaves=many", line("num_leaves"), "no integer"),
            ("cat_boundaries=0 2", "cat_boundaries=0 9", line("cat_boundaries"), "range"),
        ]
        for (old, new, number, part) in changes {
            let range = try #require(text.range(of: old))
            guard
                case .badModelText(let line, let reason) = error(
                    text.replacingCharacters(in: range, with: new))
            else {
                Issue.record("\(new) was taken")
                continue
            }
            #expect(line == number && reason.contains(part), "\(line) \(reason)")
        }
        // Cut anywhere, it is refused and nothing else happens.
        let body = try #require(text.range(of: "end of trees"))
        for length in stride(
            from: 0, to: text.distance(from: text.startIndex, to: body.upperBound) - 1, by: 7)
        {
            #expect(error(String(text.prefix(length))) != nil, "\(length)")
        }
    }
}
