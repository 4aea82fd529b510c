import Foundation

/// Mean of |predicted − actual|; 0 for no rows.
/// - Precondition: equal counts.
package func meanAbsoluteError(_ predicted: [Double], _ actual: [Double]) -> Double {
    precondition(predicted.count == actual.count)
    guard !actual.isEmpty else { return 0 }
    return zip(predicted, actual).reduce(0) { $0 + abs($1.0 - $1.1) } / Double(actual.count)
}

/// √ of the mean of (predicted − actual)²; 0 for no rows.
/// - Precondition: equal counts.
package func rootMeanSquareError(_ predicted: [Double], _ actual: [Double]) -> Double {
    precondition(predicted.count == actual.count)
    guard !actual.isEmpty else { return 0 }
    let sum = zip(predicted, actual).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    return (sum / Double(actual.count)).squareRoot()
}

/// Area under the ROC curve: the probability that a random positive row scores higher than a
/// random negative one, ties counting half. Nil where one of the classes is empty or a score is NaN.
///
/// Mann–Whitney's U with mean ranks; O(n log n).
/// - Precondition: equal counts.
package func areaUnderROC(scores: [Double], positive: [Bool]) -> Double? {
    precondition(scores.count == positive.count)
    guard !scores.contains(where: \.isNaN) else { return nil }
    let order = scores.indices.sorted { scores[$0] < scores[$1] }
    let positives = positive.count(where: { $0 })
    let negatives = positive.count - positives
    guard positives > 0, negatives > 0 else { return nil }
    var wins = 0.0
    var negativesBelow = 0
    var start = 0
    while start < order.count {
        var end = start
        var tied = (positive: 0, negative: 0)
        while end < order.count, scores[order[end]] == scores[order[start]] {
            if positive[order[end]] { tied.positive += 1 } else { tied.negative += 1 }
            end += 1
        }
        wins += Double(tied.positive) * (Double(negativesBelow) + Double(tied.negative) / 2)
        negativesBelow += tied.negative
        start = end
    }
    return wins / (Double(positives) * Double(negatives))
}

/// Predictions of purchases in a hold-out period beside what happened.
package struct HoldoutSummary: Codable, Equatable, Sendable {
    package let customerCount: Int
    package let expectedPurchases: Double
    package let actualPurchases: Double
    package let meanAbsoluteError: Double
    package let rootMeanSquareError: Double
    /// Of "buys at all" by expected purchases; nil where all or none did.
    package let areaUnderROC: Double?
    /// Means by past repeat purchases 0, 1, … 6, 7 and more.
    package let bins: [Bin]

    package struct Bin: Codable, Equatable, Sendable {
        /// The last bin holds this many and more.
        package let repeatPurchaseCount: Int
        package let customerCount: Int
        /// Means a customer; 0 in an empty bin.
        package let expectedPurchases: Double
        package let actualPurchases: Double
    }

    /// - Parameters:
    ///   - expected: purchases predicted for the hold-out, finite.
    ///   - actual: purchases made in it.
    ///   - repeatPurchaseCount: x at its start.
    /// - Throws: `countMismatch`, `noRows`, `nonFiniteValue`.
    package init(
        expected: [Double], actual: [Int32], repeatPurchaseCount: [Int32]
    ) throws(ModelError) {
        try requireCount(actual.count, expected.count, "actual purchases")
        try requireCount(repeatPurchaseCount.count, expected.count, "repeat purchase counts")
        guard !expected.isEmpty else { throw .noRows(model: "hold-out summary") }
        if let row = expected.firstIndex(where: { !$0.isFinite }) {
            throw .nonFiniteValue(what: "expected purchases", row: row, column: 0)
        }
        let made = actual.map(Double.init)
        customerCount = expected.count
        expectedPurchases = expected.reduce(0, +)
        actualPurchases = made.reduce(0, +)
        meanAbsoluteError = Models.meanAbsoluteError(expected, made)
        rootMeanSquareError = Models.rootMeanSquareError(expected, made)
        areaUnderROC = Models.areaUnderROC(scores: expected, positive: actual.map { $0 > 0 })
        let last: Int32 = 7
        bins = (0...last).map { bin in
            let rows = expected.indices.filter {
                min(max(repeatPurchaseCount[$0], 0), last) == bin
            }
            let n = Double(max(1, rows.count))
            return Bin(
                repeatPurchaseCount: Int(bin), customerCount: rows.count,
                expectedPurchases: rows.reduce(0) { $0 + expected[$1] } / n,
                actualPurchases: rows.reduce(0) { $0 + made[$1] } / n)
        }
    }
}
