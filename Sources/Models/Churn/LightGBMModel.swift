/// Reads the text in which LightGBM keeps a model (`save_model`), versions 3 and 4: binary
/// classification and regression with one tree an iteration.
///
/// Scores are LightGBM's: single-precision values compare alike, leaf values are added in the same
/// order. What is not supported is refused by name, with the line.
/// Source: LightGBM's src/boosting/gbdt_model_text.cpp and src/io/tree.cpp (format), and
/// include/LightGBM/tree.h (decisions).
package enum LightGBMModel {
    /// Words of a set of categories: codes up to 32 · 255 - 1.
    static let setWordLimit = 255
    /// Words of the sets of all splits of a tree.
    static let treeWordLimit = 1 << 24
    /// Leaves of a tree.
    static let leafLimit = 1 << 20
    static let columnLimit = 1 << 20
    /// Magnitude of a leaf value: their sums stay finite.
    static let valueLimit = 1e100

    /// - Throws: `badModelText`.
    package static func parse(_ text: String) throws(ModelError) -> TreeEnsemble {
        var reader = LineReader(text)
        guard reader.next() == "tree" else {
            throw reader.error("the first line is not \"tree\": this is no LightGBM text model")
        }
        let head = try Header(&reader)
        var trees: [DecisionTree] = []
        while let line = reader.next() {
            if line.isEmpty { continue }
            if line == "end of trees" { break }
            guard line.hasPrefix("Tree=") else {
                throw reader.error(
                    "expected \"Tree=…\" or \"end of trees\", found \"\(line.prefix(40))\"")
            }
            trees.append(try tree(&reader, columnCount: head.names.count))
        }
        guard reader.line == "end of trees" else {
            throw reader.error("the text ends before \"end of trees\"")
        }
        guard !trees.isEmpty else { throw reader.error("there is no tree") }
        if let expected = head.treeCount, expected != trees.count {
            throw reader.error("tree_sizes names \(expected) trees, there are \(trees.count)")
        }
        return TreeEnsemble(
            schema: head.names.map { PredictorColumn(name: $0, kind: .number) }, trees: trees,
            baseScore: 0, link: head.link, isAveraged: head.isAveraged)
    }

    private struct Header {
        var names: [String] = []
        var link = TreeEnsemble.Link.identity
        var isAveraged = false
        var treeCount: Int?

        init(_ reader: inout LineReader) throws(ModelError) {
            var values: [String: (value: String, line: Int)] = [:]
            while let line = reader.peek(), !line.hasPrefix("Tree="), line != "end of trees" {
                _ = reader.next()
                if line == "average_output" { isAveraged = true }
                if let (key, value) = LightGBMModel.pair(line) {
                    values[key] = (value, reader.number)
                }
            }
            func value(_ key: String) throws(ModelError) -> (value: String, line: Int) {
                guard let found = values[key] else {
                    throw reader.error("the header has no \(key)")
                }
                return found
            }
            let version = try value("version")
            guard ["v3", "v4"].contains(version.value) else {
                throw .badModelText(
                    line: version.line, reason: "version \(version.value) is not known: v3 or v4")
            }
            for key in ["num_class", "num_tree_per_iteration"] {
                let count = try value(key)
                guard count.value == "1" else {
                    throw .badModelText(
                        line: count.line,
                        reason: "multiclass models (\(key)=\(count.value)) are not supported")
                }
            }
            let objective = try value("objective")
            link = try Self.link(objective.value, line: objective.line)
            let names = try value("feature_names")
            self.names = names.value.split(separator: " ").map(String.init)
            guard Set(self.names).count == self.names.count, !self.names.isEmpty else {
                throw .badModelText(line: names.line, reason: "feature_names repeat or are none")
            }
            guard self.names.count <= columnLimit else {
                throw .badModelText(
                    line: names.line,
                    reason: "\(self.names.count) features, at most \(columnLimit) are supported")
            }
            let last = try value("max_feature_idx")
            guard Int(last.value) == self.names.count - 1 else {
                throw .badModelText(
                    line: last.line,
                    reason: "max_feature_idx=\(last.value), but \(self.names.count) names")
            }
            treeCount = values["tree_sizes"]?.value.split(separator: " ").count
        }

        private static func link(
            _ objective: String, line: Int
        ) throws(ModelError) -> TreeEnsemble.Link {
            let words = objective.split(separator: " ")
            switch words.first {
            case "binary", "cross_entropy", "xentropy":
                var steepness = 1.0
                for word in words.dropFirst() {
                    guard word.hasPrefix("sigmoid:"), let value = Double(word.dropFirst(8)),
                        value > 0, value.isFinite
                    else { continue }
                    steepness = value
                }
                return .logistic(steepness: steepness)
            case "regression", "regression_l1", "huber", "fair", "quantile", "mape":
                guard !words.contains("sqrt") else {
                    throw .badModelText(
                        line: line, reason: "regression of square roots is not supported")
                }
                return .identity
            default:
                throw .badModelText(
                    line: line, reason: "the objective \"\(objective)\" is not supported")
            }
        }
    }

    private static func pair(_ line: Substring) -> (String, String)? {
        guard let equals = line.firstIndex(of: "=") else { return nil }
        return (String(line[..<equals]), String(line[line.index(after: equals)...]))
    }

    /// The fields of one tree, up to an empty line.
    private struct Fields {
        private var values: [String: (value: String, line: Int)] = [:]
        let line: Int

        init(_ reader: inout LineReader) {
            line = reader.number
            while let text = reader.peek(), !text.isEmpty {
                guard !text.hasPrefix("Tree="), text != "end of trees" else { break }
                _ = reader.next()
                guard let (key, value) = LightGBMModel.pair(text) else { continue }
                values[key] = (value, reader.number)
            }
        }

        func lineNumber(_ key: String) -> Int { values[key]?.line ?? line }

        func error(_ key: String, _ reason: String) -> ModelError {
            .badModelText(line: lineNumber(key), reason: "\(key): \(reason)")
        }

        func integer(_ key: String, default value: Int? = nil) throws(ModelError) -> Int {
            guard let text = values[key]?.value else {
                if let value { return value }
                throw error(key, "the tree does not have it")
            }
            guard let number = Int(text) else {
                throw error(key, "\"\(text.prefix(40))\" is no integer")
            }
            return number
        }

        func integers(_ key: String, count: Int?) throws(ModelError) -> [Int] {
            try list(key, count: count, "an integer") { Int($0) }
        }

        func numbers(_ key: String, count: Int?) throws(ModelError) -> [Double] {
            try list(key, count: count, "a finite number") {
                Double($0).flatMap { $0.isFinite ? $0 : nil }
            }
        }

        private func list<Number>(
            _ key: String, count: Int?, _ kind: String, _ parse: (Substring) -> Number?
        ) throws(ModelError) -> [Number] {
            let words = (values[key]?.value ?? "").split(separator: " ")
            if let count, words.count != count {
                throw error(key, "\(words.count) values, expected \(count)")
            }
            var parsed: [Number] = []
            for word in words {
                guard let number = parse(word) else {
                    throw error(key, "\"\(word.prefix(40))\" is not \(kind)")
                }
                parsed.append(number)
            }
            return parsed
        }
    }

    private static func tree(
        _ reader: inout LineReader, columnCount: Int
    ) throws(ModelError) -> DecisionTree {
        let fields = Fields(&reader)
        guard try fields.integer("is_linear", default: 0) == 0 else {
            throw fields.error(
                "is_linear", "trees with linear models in their leaves are not supported")
        }
        let leafCount = try fields.integer("num_leaves")
        guard (1...leafLimit).contains(leafCount) else {
            throw fields.error("num_leaves", "\(leafCount) is not 1 ... \(leafLimit)")
        }
        let values = try fields.numbers("leaf_value", count: leafCount)
        if let value = values.first(where: { abs($0) > valueLimit }) {
            throw fields.error("leaf_value", "\(value) is beyond \(valueLimit)")
        }
        let n = leafCount - 1
        guard n > 0 else {
            return DecisionTree(splits: [], leafValues: values, leafRowCounts: [1])
        }
        let columns = try fields.integers("split_feature", count: n)
        let thresholds = try fields.numbers("threshold", count: n)
        let decisions = try fields.integers("decision_type", count: n)
        let children = [
            try fields.integers("left_child", count: n),
            try fields.integers("right_child", count: n),
        ]
        let gains = try fields.numbers("split_gain", count: n)
        let counts = try fields.integers("internal_count", count: n)
        let leafCounts = try fields.integers("leaf_count", count: leafCount)
        let sets = try categorySets(fields)
        try checkShape(children, fields, leafCount: leafCount)
        var splits: [DecisionTree.Split] = []
        var wordCount = 0
        for index in 0..<n {
            guard (0..<columnCount).contains(columns[index]) else {
                throw fields.error("split_feature", "\(columns[index]) names no feature")
            }
            let rule = try rule(decisions[index], thresholds[index], sets, fields)
            // Every split has a set of its own when it is scored, even where the text shares one.
            if case .among(let set, _) = rule { wordCount += set.count }
            guard wordCount <= treeWordLimit else {
                throw fields.error(
                    "cat_threshold",
                    "the sets of the tree's splits are more than \(treeWordLimit) words")
            }
            splits.append(
                DecisionTree.Split(
                    column: columns[index], rule: rule, left: children[0][index],
                    right: children[1][index], gain: gains[index],
                    rowCount: Double(counts[index])))
        }
        return DecisionTree(
            splits: splits, leafValues: values, leafRowCounts: leafCounts.map(Double.init))
    }

    /// Bit 0: category; bit 1: missing go left; bits 2 and 3: what is missing: nothing, 0, NaN.
    private static func rule(
        _ decision: Int, _ threshold: Double, _ sets: [[UInt32]], _ fields: Fields
    ) throws(ModelError) -> DecisionTree.Rule {
        guard (0..<12).contains(decision) else {
            throw fields.error("decision_type", "\(decision) is not known")
        }
        if decision & 1 == 1 {
            guard let index = Int(exactly: threshold), sets.indices.contains(index) else {
                throw fields.error("threshold", "\(threshold) names no set of categories")
            }
            // Whatever its default says, LightGBM sends a category that is not there to the right.
            return .among(set: sets[index], missingGoesLeft: false)
        }
        let isDefaultLeft = decision & 2 != 0
        switch decision >> 2 {
        case 0:
            // NaN counts as 0.
            return .atMost(
                threshold: threshold, missingGoesLeft: 0 <= threshold, zeroIsMissing: false)
        case 1:
            return .atMost(
                threshold: threshold, missingGoesLeft: isDefaultLeft, zeroIsMissing: true)
        default:
            return .atMost(
                threshold: threshold, missingGoesLeft: isDefaultLeft, zeroIsMissing: false)
        }
    }

    private static func categorySets(_ fields: Fields) throws(ModelError) -> [[UInt32]] {
        let count = try fields.integer("num_cat", default: 0)
        guard count > 0 else { return [] }
        let bounds = try fields.integers("cat_boundaries", count: nil)
        let words = try fields.integers("cat_threshold", count: nil)
        guard bounds.count - 1 == count, bounds.first == 0, bounds.last == words.count else {
            throw fields.error("cat_boundaries", "they do not divide cat_threshold into \(count)")
        }
        var sets: [[UInt32]] = []
        for (low, high) in zip(bounds, bounds.dropFirst()) {
            guard low <= high, high <= words.count else {
                throw fields.error("cat_boundaries", "\(low) to \(high) is no range")
            }
            guard high - low <= setWordLimit else {
                throw fields.error(
                    "cat_boundaries",
                    "category codes above \(32 * setWordLimit - 1) are not supported")
            }
            var set: [UInt32] = []
            for word in words[low..<high] {
                guard let word = UInt32(exactly: word) else {
                    throw fields.error("cat_threshold", "\(word) is no word of 32 bits")
                }
                set.append(word)
            }
            sets.append(set)
        }
        return sets
    }

    /// Every split but the root and every leaf is below exactly one split, which stands before it.
    private static func checkShape(
        _ children: [[Int]], _ fields: Fields, leafCount: Int
    ) throws(ModelError) {
        let n = leafCount - 1
        var seen = [Bool](repeating: false, count: n + leafCount)
        for (key, list) in zip(["left_child", "right_child"], children) {
            for (index, child) in list.enumerated() {
                guard child < n, child > index || child < 0, child >= -leafCount else {
                    throw fields.error(key, "split \(index) leads to \(child)")
                }
                let place = child >= 0 ? child : n - 1 - child
                guard !seen[place] else { throw fields.error(key, "\(child) has two parents") }
                seen[place] = true
            }
        }
    }
}

/// The lines of a text with their numbers, from 1.
private struct LineReader {
    private let lines: [Substring]
    private var index = 0

    init(_ text: String) {
        lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
    }

    /// Of the line read last.
    var number: Int { max(1, index) }
    /// The line read last.
    var line: Substring? { index > 0 ? lines[index - 1] : nil }

    func peek() -> Substring? { index < lines.count ? lines[index] : nil }

    mutating func next() -> Substring? {
        guard index < lines.count else { return nil }
        index += 1
        return lines[index - 1]
    }

    func error(_ reason: String) -> ModelError { .badModelText(line: number, reason: reason) }
}
