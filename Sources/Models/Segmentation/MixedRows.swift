package import Numerical

/// Rows of numbers and categories.
package struct MixedRows: Sendable, Equatable {
    /// `[rowCount × numericCount]`; without features where there are only categories.
    package let numeric: FeatureMatrix
    /// `[rowCount × categoryCount]`.
    package let categories: CategoryMatrix

    package var rowCount: Int { numeric.rowCount }
    package var numericCount: Int { numeric.featureCount }
    package var categoryCount: Int { categories.columnCount }

    /// - Precondition: equal row counts.
    package init(numeric: FeatureMatrix, categories: CategoryMatrix) {
        precondition(numeric.rowCount == categories.rowCount, "both are of the same rows")
        self.numeric = numeric
        self.categories = categories
    }

    /// Farther from 0 than this no number may be: squares of differences then stay in the range of
    /// single precision, whatever the number of columns.
    static let largestValue: Float = 1e16

    /// - Throws: `noRows`; `nonFiniteValue` or `outOfRange` for a number that squares cannot hold.
    func check(model: String, threadCount: Int) throws(ModelError) {
        guard rowCount > 0, numericCount + categoryCount > 0 else { throw .noRows(model: model) }
        guard rowCount <= Int(Int32.max) else {
            throw .outOfRange(
                what: "the row count of \(model)", actual: Double(rowCount),
                allowed: "at most 2^31 - 1")
        }
        let numeric = numeric
        let found = parallelMap(
            count: numeric.blockCount, chunkSize: 1024, threadCount: threadCount
        ) { _, blocks in
            let values = numeric.storage.span
            let width = numeric.featureCount * FeatureMatrix.blockRowCount
            for i in blocks.lowerBound * width..<blocks.upperBound * width
            where !(values[i].magnitude <= Self.largestValue) { return Int?.some(i) }
            return nil
        }
        guard let index = found.compactMap({ $0 }).first else { return }
        let size = FeatureMatrix.blockRowCount
        let column = index / size % numericCount
        let row = index / size / numericCount * size + index % size
        let value = numeric[row, column]
        guard value.isFinite else {
            throw .nonFiniteValue(what: model, row: row, column: column)
        }
        throw .outOfRange(
            what: "row \(row), column \(column) of \(model)", actual: Double(value),
            allowed: "-1e16 ... 1e16; scale the features")
    }
}
