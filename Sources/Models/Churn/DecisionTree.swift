/// One tree of an ensemble: splits from the root on, and the values of its leaves.
package struct DecisionTree: Codable, Equatable, Sendable {
    /// Split 0 is the root; a split stands before those below it. Empty for a tree of one leaf.
    package var splits: [Split]
    package var leafValues: [Double]
    /// Training rows of each leaf, as contributions weigh them.
    package var leafRowCounts: [Double]

    package struct Split: Codable, Equatable, Sendable {
        /// Of the ensemble's schema.
        package var column: Int
        package var rule: Rule
        /// At least 0: a split; below 0: leaf -1 - child.
        package var left: Int
        package var right: Int
        /// By how much it improved the fit.
        package var gain: Double
        /// Training rows.
        package var rowCount: Double
    }

    package enum Rule: Codable, Equatable, Sendable {
        /// Left where the number is at most the threshold. NaN is missing, and so is a number within
        /// 1e-35 of 0 where `zeroIsMissing`.
        case atMost(threshold: Double, missingGoesLeft: Bool, zeroIsMissing: Bool)
        /// Left where bit c % 32 of word c / 32 is set for the category's code c, which of a number
        /// is its integer part. A code below 0 or NaN is missing.
        case among(set: [UInt32], missingGoesLeft: Bool)
        /// Left where the number is not NaN.
        case known
    }

    package var leafCount: Int { leafValues.count }

    /// Zero is a missing value up to here, in models that say so.
    static let zeroLimit = 1e-35 as Float

    /// Splits above a leaf that contributions follow.
    static let depthLimit = 512

    /// The leaf of a row.
    func leaf(row: Int, _ columns: [PredictorTable.Values]) -> Int {
        var place = splits.isEmpty ? -1 : 0
        while place >= 0 {
            let split = splits[place]
            place = split.goesLeft(row: row, columns[split.column]) ? split.left : split.right
        }
        return -1 - place
    }
}

extension DecisionTree.Split {
    func goesLeft(row: Int, _ values: PredictorTable.Values) -> Bool {
        switch (rule, values) {
        case (.atMost(let threshold, let missingGoesLeft, let zeroIsMissing), .numbers(let all)):
            return Self.isLeft(all[row], threshold, missingGoesLeft, zeroIsMissing)
        case (.among(let set, let missingGoesLeft), .numbers(let all)):
            return Self.isMember(Self.code(all[row]), set) ?? missingGoesLeft
        case (.among(let set, let missingGoesLeft), .categories(let codes, _)):
            return Self.isMember(codes[row], set) ?? missingGoesLeft
        case (.known, .numbers(let all)): return !all[row].isNaN
        case (.atMost, .categories), (.known, .categories): return false
        }
    }

    static func isLeft(
        _ value: Float, _ threshold: Double, _ missingGoesLeft: Bool, _ zeroIsMissing: Bool
    ) -> Bool {
        if value.isNaN || zeroIsMissing && abs(value) <= DecisionTree.zeroLimit {
            return missingGoesLeft
        }
        return Double(value) <= threshold
    }

    /// Nil where missing.
    private static func isMember(_ code: Int32, _ set: [UInt32]) -> Bool? {
        if code < 0 { return nil }
        let word = Int(code) / 32
        return word < set.count && set[word] >> UInt32(code % 32) & 1 == 1
    }

    /// A number as a category: its integer part; -1 for NaN and for numbers of -1 and less.
    static func code(_ value: Float) -> Int32 {
        if value > -1 { return value < 0x1p31 ? Int32(value) : Int32.max }
        return -1
    }
}

/// Trees whose leaf values add up to a score: fitted here or imported.
package struct TreeEnsemble: Codable, Equatable, Sendable {
    package var schema: [PredictorColumn]
    package var trees: [DecisionTree]
    /// What every row's score starts from.
    package var baseScore: Double
    package var link: Link
    /// Whether the score is the mean of the trees and not their sum.
    package var isAveraged: Bool

    package enum Link: Codable, Equatable, Sendable {
        /// Probability 1 / (1 + e^(-steepness · score)).
        case logistic(steepness: Double)
        /// The score is the prediction.
        case identity
    }

    /// What a raw score predicts.
    package func prediction(_ score: Double) -> Double {
        switch link {
        case .logistic(let steepness): logisticFunction(steepness * score)
        case .identity: score
        }
    }

    /// Gain and splits of each column over all trees, in the order of the schema.
    package var importance: [(column: String, gain: Double, splitCount: Int)] {
        var sums = schema.map { (column: $0.name, gain: 0.0, splitCount: 0) }
        for tree in trees {
            for split in tree.splits {
                sums[split.column].gain += split.gain
                sums[split.column].splitCount += 1
            }
        }
        return sums
    }
}
