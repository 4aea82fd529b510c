package import Numerical

/// The probability that a customer buys a product within a horizon, of any pair: not of the places of
/// lists alone, so that products of a customer and customers of a product can be ranked by it.
///
/// Calibrated on a split by time, apart for products that the customer has had and for new ones: at
/// equal scores the one is far more likely than the other where people buy again, and far less where
/// they do not.
package struct PairProbability: Sendable, Equatable, Codable {
    /// Of products that the customer has not bought; nil where too few were bought in the horizon to
    /// tell.
    package let fresh: PurchaseProbability?
    /// Of products that the customer has bought; nil likewise.
    package let again: PurchaseProbability?
    package let horizonDays: Double

    /// Pairs of either kind that are looked at, at most, of customers evenly spaced.
    static let largestPairCount = 1 << 21

    /// - Parameters:
    ///   - customerFactors: `[customerCount × factorCount]`, of what was known before the split.
    ///   - itemFactors: `[itemCount × factorCount]`, likewise.
    ///   - purchased: `[customerCount × itemCount]`: an entry for what the customer had bought before
    ///     the split, its value what is added to the scalar product of factors. Customers without an
    ///     entry are left out.
    ///   - bought: `[customerCount × itemCount]`, what was bought in the horizon.
    ///   - horizonDays: above 0.
    /// - Throws: `countMismatch`; `outOfRange`; `nonFiniteValue`.
    /// - Complexity: O(`largestPairCount` × (factors + log)). Deterministic.
    package static func fit(
        customerFactors: [Float], itemFactors: [Float], factorCount: Int,
        purchased: SparseMatrix, bought: SparseMatrix, horizonDays: Double,
        kernels: KernelTable = .current
    ) throws(ModelError) -> PairProbability {
        try requireCount(
            customerFactors.count, purchased.rowCount * factorCount, "values of customer factors")
        try requireCount(
            itemFactors.count, purchased.columnCount * factorCount, "values of product factors")
        try requireCount(bought.rowCount, purchased.rowCount, "customers of the horizon")
        try requireCount(bought.columnCount, purchased.columnCount, "products of the horizon")
        guard horizonDays > 0, horizonDays.isFinite else {
            throw .outOfRange(what: "horizonDays", actual: horizonDays, allowed: "above 0")
        }
        var (fresh, again) = (Pairs(), Pairs())
        let rows = (0..<purchased.rowCount).filter { !purchased.entries(of: $0).isEmpty }
        let freshStep = step(rows.count, purchased.columnCount)
        let againStep = step(purchased.valueCount, 1)
        let f = factorCount
        func score(_ row: Int, _ item: Int) -> Double {
            Double(
                kernels.dot(
                    customerFactors.span.extracting(row * f..<(row + 1) * f),
                    itemFactors.span.extracting(item * f..<(item + 1) * f)))
        }
        for (place, row) in rows.enumerated() {
            if place % againStep == 0 {
                for i in purchased.entries(of: row) {
                    let item = purchased.columnIndices[i]
                    again.add(
                        score(row, Int(item)) + Double(purchased.values[i]),
                        bought.contains(row, item), half: place / againStep % 2)
                }
            }
            if place % freshStep == 0 {
                for item in 0..<purchased.columnCount
                where !purchased.contains(row, Int32(item)) {
                    fresh.add(
                        score(row, item), bought.contains(row, Int32(item)),
                        half: place / freshStep % 2)
                }
            }
        }
        return PairProbability(
            fresh: try fresh.fitted(horizonDays), again: try again.fitted(horizonDays),
            horizonDays: horizonDays)
    }

    /// Every so many of `count` rows of `width` pairs are looked at.
    private static func step(_ count: Int, _ width: Int) -> Int {
        let kept = max(2, largestPairCount / max(1, width))
        return max(1, (count + kept - 1) / kept)
    }

    private struct Pairs {
        private var scores: [[Double]] = [[], []]
        private var labels: [[Bool]] = [[], []]

        mutating func add(_ score: Double, _ wasBought: Bool, half: Int) {
            scores[half].append(score)
            labels[half].append(wasBought)
        }

        /// Nil where one half has no pair that was bought, or none that was not.
        func fitted(_ horizonDays: Double) throws(ModelError) -> PurchaseProbability? {
            for half in labels where !half.contains(true) || !half.contains(false) { return nil }
            return try PurchaseProbability.fit(
                scores: scores, labels: labels, horizonDays: horizonDays)
        }
    }

    /// - Parameter wasBought: whether the customer has bought the product before.
    /// - Returns: 0 ... 1, never falling with the score; nil where it could not be calibrated.
    package func probability(_ score: Float, wasBought: Bool) -> Double? {
        (wasBought ? again : fresh)?.probability(score)
    }
}
