package import Numerical

/// Rows of factors that point the same way: similar products, similar customers.
package struct FactorSimilarity: Sendable {
    private let top: TopN
    private let unit: [Float]
    private let isKnown: Bitmap
    package let factorCount: Int

    package var rowCount: Int { isKnown.count }

    /// - Parameter factors: `[rowCount × factorCount]`, row-major; rows of zeros are like nothing.
    /// - Throws: `countMismatch`; `nonFiniteValue`; `outOfRange` for a factor count below 1.
    /// - Complexity: O(rows × factors); two copies of the factors are kept.
    package init(_ factors: [Float], factorCount: Int) throws(ModelError) {
        guard factorCount >= 1 else {
            throw .outOfRange(
                what: "factorCount", actual: Double(factorCount), allowed: "at least 1")
        }
        let rowCount = factors.count / factorCount
        try requireCount(factors.count, rowCount * factorCount, "values of factors")
        var unit = factors
        var isKnown = Bitmap(count: rowCount)
        for row in 0..<rowCount {
            var square = 0.0
            for j in 0..<factorCount {
                let value = factors[row * factorCount + j]
                guard value.isFinite else {
                    throw .nonFiniteValue(what: "factors", row: row, column: j)
                }
                square += Double(value) * Double(value)
            }
            if square == 0 { continue }
            isKnown[row] = true
            let scale = 1 / square.squareRoot()
            for j in 0..<factorCount {
                unit[row * factorCount + j] = Float(Double(factors[row * factorCount + j]) * scale)
            }
        }
        self.factorCount = factorCount
        self.unit = unit
        self.isKnown = isKnown
        top = try TopN(itemFactors: unit, itemCount: rowCount, factorCount: factorCount)
    }

    /// The rows with the largest cosines to one row, itself left out, best first; ties to the lower
    /// row. Empty for a row of zeros. Scores are cosines, -1 ... 1 but for rounding.
    /// - Precondition: 0 <= row < `rowCount`.
    /// - Complexity: O(rows × factors).
    package func similar(
        to row: Int, count: Int, eligible: Bitmap? = nil, kernels: KernelTable = .current
    ) -> [TopN.Entry] {
        precondition(row >= 0 && row < rowCount, "no such row")
        guard isKnown[row] else { return [] }
        var mask = isKnown
        if let eligible {
            precondition(eligible.count == rowCount)
            for other in 0..<rowCount where !eligible[other] { mask[other] = false }
        }
        let itself = [Int32(row)]
        return top.top(
            count, query: unit.span.extracting(row * factorCount..<(row + 1) * factorCount),
            excluding: itself.span, eligible: mask, kernels: kernels)
    }
}
