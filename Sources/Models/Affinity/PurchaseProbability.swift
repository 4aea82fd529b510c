package import Numerical

/// From a score to the probability that the customer buys the product within a horizon, learned on
/// a split by time: the lists come from what was known before a day, the labels from the horizon
/// after it.
///
/// It speaks of candidates (the places of the lists it was fitted on), so lists that are as long and
/// made the same way are what it may be applied to.
package struct PurchaseProbability: Sendable, Equatable, Codable {
    package let calibration: Calibration
    /// Length of the horizon the labels are from.
    package let horizonDays: Double
    /// Of the customers at odd places, by a calibration of those at even ones: how true the
    /// probabilities are for customers it was not fitted on.
    package let heldOut: ProbabilitySummary

    /// Candidates that were bought, from which on the curve may have any rising shape.
    package static let leastForIsotonic = 200

    /// - Parameters:
    ///   - lists: of every customer, with scores; made without looking beyond the split.
    ///   - bought: `[customerCount × itemCount]`, what was bought in the horizon.
    ///   - horizonDays: above 0.
    /// - Throws: `countMismatch`; `outOfRange`; `noRows` for empty lists; `notIdentified` where no
    ///   candidate was bought, or all were, among the customers of either half.
    /// - Complexity: O(n log n) for n candidates. Deterministic.
    /// Source: `Calibration`; B. Zadrozny, C. Elkan, "Transforming classifier scores into accurate
    /// multiclass probability estimates", 2002.
    package static func fit(
        _ lists: TopLists, bought: SparseMatrix, horizonDays: Double
    ) throws(ModelError) -> PurchaseProbability {
        try requireCount(bought.rowCount, lists.queryCount, "customers of the horizon")
        guard horizonDays > 0, horizonDays.isFinite else {
            throw .outOfRange(what: "horizonDays", actual: horizonDays, allowed: "above 0")
        }
        var (scores, labels): ([[Double]], [[Bool]]) = ([[], []], [[], []])
        for row in 0..<lists.queryCount {
            for entry in lists[row] {
                scores[row % 2].append(Double(entry.score))
                labels[row % 2].append(bought.contains(row, entry.item))
            }
        }
        return try fit(scores: scores, labels: labels, horizonDays: horizonDays)
    }

    /// The same from scores as they come.
    /// - Parameters:
    ///   - scores: of the candidates of the customers at even places, then of the others.
    ///   - labels: whether each was bought.
    static func fit(
        scores: [[Double]], labels: [[Bool]], horizonDays: Double
    ) throws(ModelError) -> PurchaseProbability {
        let even = try calibration(scores[0], labels[0])
        let check = try ProbabilitySummary(
            probabilities: scores[1].map { even.probability($0) }, positive: labels[1])
        return PurchaseProbability(
            calibration: try calibration(scores[0] + scores[1], labels[0] + labels[1]),
            horizonDays: horizonDays, heldOut: check)
    }

    private static func calibration(
        _ scores: [Double], _ labels: [Bool]
    ) throws(ModelError) -> Calibration {
        let outcome = try ChurnOutcome(labels)
        let found = labels.count(where: { $0 })
        guard found >= leastForIsotonic, labels.count - found >= leastForIsotonic else {
            return try .platt(scores: scores, outcome)
        }
        // No candidate is sure, however few there were like it.
        let edge = 0.5 / Double(labels.count + 1)
        return try Calibration.isotonic(scores: scores, outcome).held(within: edge...1 - edge)
    }

    /// - Returns: 0 ... 1, never falling with the score.
    package func probability(_ score: Float) -> Double { calibration.probability(Double(score)) }
}

extension SparseMatrix {
    /// Whether a row has an entry in a column: binary search.
    func contains(_ row: Int, _ column: Int32) -> Bool {
        var (low, high) = (rowOffsets[row], rowOffsets[row + 1])
        while low < high {
            let middle = (low + high) / 2
            if columnIndices[middle] < column { low = middle + 1 } else { high = middle }
        }
        return low < rowOffsets[row + 1] && columnIndices[low] == column
    }
}
