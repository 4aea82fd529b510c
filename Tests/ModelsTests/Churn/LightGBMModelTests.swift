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
            ("version=v4", "version=v2", line("version"), "v3 or v4"),
            ("num_class=1", "num_class=3", line("num_class"), "multiclass"),
            ("objective=binary", "objective=lambdarank", line("objective"), "lambdarank"),
            ("is_linear=0", "is_linear=1", line("is_linear"), "linear"),
            ("left_child=1", "left_child=0", line("left_child"), "leads to 0"),
            ("split_feature=0", "split_feature=9", line("split_feature"), "names no feature"),
            ("leaf_value=", "leaf_value=nan ", line("leaf_value"), "values, expected"),
            ("num_leaves=6", "num_leaves=many", line("num_leaves"), "no integer"),
            ("cat_boundaries=0 2", "cat_boundaries=0 9", line("cat_boundaries"), "range"),
            (
                "num_cat=2", "num_cat=\(Int.max)", line("cat_boundaries"), "do not divide"
            ),
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

    /// A tree of one split after the other, all by one set of categories or by one number.
    private func chain(leaves: Int, isCategory: Bool) -> String {
        let n = leaves - 1
        func list(_ value: (Int) -> String, _ count: Int) -> String {
            (0..<count).map(value).joined(separator: " ")
        }
        let words = isCategory ? "\nnum_cat=1\ncat_boundaries=0 255\ncat_threshold=" : "\nnum_cat=0"
        return """
            tree
            version=v4
            num_class=1
            num_tree_per_iteration=1
            max_feature_idx=0
            objective=binary sigmoid:1
            feature_names=x
            tree_sizes=1

            Tree=0
            num_leaves=\(leaves)\(words)\(isCategory ? list({ _ in "1" }, 255) : "")
            split_feature=\(list({ _ in "0" }, n))
            split_gain=\(list({ _ in "1" }, n))
            threshold=\(list({ isCategory ? "0" : "\($0)" }, n))
            decision_type=\(list({ _ in isCategory ? "1" : "2" }, n))
            left_child=\(list({ "\(-1 - $0)" }, n))
            right_child=\(list({ $0 + 1 < n ? "\($0 + 1)" : "\(-1 - n)" }, n))
            leaf_value=\(list({ "\($0)" }, leaves))
            leaf_count=\(list({ _ in "1" }, leaves))
            internal_count=\(list({ "\(leaves - $0)" }, n))

            end of trees
            """
    }

    /// Texts that are well formed and ask for more than scoring can follow.
    @Test func boundsWhatATreeTakes() throws {
        let wide = error(chain(leaves: 65_795, isCategory: true))
        guard case .badModelText(_, let reason)? = wide else {
            Issue.record("2^24 words of categories were taken")
            return
        }
        #expect(reason.contains("more than 16777216 words"))
        let scorer = ForestScorer(
            try LightGBMModel.parse(chain(leaves: 65_793, isCategory: true)))
        let codes: [Float] = [0, 1, 32, 8159, 9000]
        let scores = try scorer.scores(try PredictorTable([.init("x", numbers: codes)]))
        #expect(scores == [0, 65_792, 0, 65_792, 65_792])
        let large = chain(leaves: 3, isCategory: false).replacingOccurrences(
            of: "leaf_value=0", with: "leaf_value=1e101")
        guard case .badModelText(_, "leaf_value: 1e+101 is beyond 1e+100")? = error(large) else {
            Issue.record("a leaf value of 1e101 was taken")
            return
        }
        // As deep as contributions go, and one deeper.
        let table = try PredictorTable([.init("x", numbers: [-1, 3, 600])])
        let deep = ForestScorer(try LightGBMModel.parse(chain(leaves: 513, isCategory: false)))
        let contributions = try deep.contributions(table)
        for (row, score) in [0.0, 3, 512].enumerated() {
            #expect(abs(contributions.score(row: row) - score) < 1e-9)
        }
        let deeper = ForestScorer(try LightGBMModel.parse(chain(leaves: 514, isCategory: false)))
        #expect(try deeper.scores(table) == [0, 3, 513])
        do throws(ModelError) {
            _ = try deeper.contributions(table)
            Issue.record("a tree too deep was explained")
        } catch {
            guard case .outOfRange(_, 513, _) = error else {
                Issue.record("\(error)")
                return
            }
        }
    }
}
