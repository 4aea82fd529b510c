package import Numerical

/// A sparse matrix from three arrays in CSR order, every condition of it checked with the place
/// where it fails.
package enum SparseInput {
    /// Row offsets and column indices.
    package struct Pattern: Sendable {
        package let rowOffsets: [Int]
        package let columnIndices: [Int32]
        /// One more than the largest index, or what was asked for.
        package let columnCount: Int

        package var rowCount: Int { rowOffsets.count - 1 }

        /// The matrix with these values.
        /// - Precondition: `values.count == columnIndices.count`.
        package func matrix(values: [Float]) -> SparseMatrix {
            SparseMatrix(
                rowCount: rowCount, columnCount: columnCount, rowOffsets: rowOffsets,
                columnIndices: columnIndices, values: values)
        }
    }

    /// Reads `[rowCount + 1]` offsets and as many indices as the last offset says.
    /// - Parameter columnCount: nil: one more than the largest index.
    /// - Throws: `badArray`; `badValue` for an offset that descends, an index that is out of range or
    ///   does not ascend within its row; `mismatch` for counts that disagree.
    package static func pattern(
        offsetsPath: String, indicesPath: String, columnCount: Int?
    ) throws(LabError) -> Pattern {
        let offsetsFile = try NumPyFile(offsetsPath, [.int64, .int32])
        let indicesFile = try NumPyFile(indicesPath, [.int32, .int64])
        try offsetsFile.requireAxes(1, "row offsets")
        try indicesFile.requireAxes(1, "column indices")
        let offsets = try offsetsFile.integers()
        let indices = try indicesFile.shortIntegers()
        guard let first = offsets.first else {
            throw .badArray(
                path: offsetsPath, byteOffset: offsetsFile.header.shapeOffset,
                found: "no elements", expected: "one more than there are rows",
                advice: "save matrix.indptr of a scipy.sparse.csr_matrix")
        }
        guard first == 0 else { throw offsetsFile.badValue(0, "\(first)", "0") }
        for row in 1..<max(1, offsets.count) where offsets[row] < offsets[row - 1] {
            throw offsetsFile.badValue(
                row, "\(offsets[row])", "at least the offset before it, \(offsets[row - 1])")
        }
        let last = offsets[offsets.count - 1]
        guard last == indices.count else {
            throw .mismatch(
                path: indicesPath, found: "\(indices.count) indices",
                expected: "\(last) are needed",
                other: "by the last offset of \(offsetsPath)")
        }
        let limit = columnCount ?? Int(Int32.max)
        var largest = -1
        for row in 0..<offsets.count - 1 {
            var previous: Int32 = -1
            for i in offsets[row]..<offsets[row + 1] {
                let index = indices[i]
                guard index >= 0, Int(index) < limit else {
                    throw indicesFile.badValue(
                        i, "\(index)", "0 ... \(limit - 1) (row \(row))")
                }
                guard index > previous else {
                    throw indicesFile.badValue(
                        i, "\(index)",
                        "more than the index before it in row \(row), \(previous): sort the "
                            + "indices of a row and add up what repeats")
                }
                previous = index
            }
            largest = max(largest, Int(previous))
        }
        return Pattern(
            rowOffsets: offsets, columnIndices: indices, columnCount: columnCount ?? largest + 1)
    }

    /// Reads the values of a pattern.
    /// - Throws: `badValue` for one that is not finite or below 0.
    package static func values(
        _ path: String, of pattern: Pattern, indicesPath: String
    ) throws(LabError) -> [Float] {
        let file = try NumPyFile(path, [.float32, .int32, .int64])
        try file.requireAxes(1, "values")
        let values = try file.exactFloats()
        guard values.count == pattern.columnIndices.count else {
            throw .mismatch(
                path: path, found: "\(values.count) values",
                expected: "\(pattern.columnIndices.count) are needed",
                other: "by the indices of \(indicesPath)")
        }
        for (index, value) in values.enumerated() where !(value.isFinite && value >= 0) {
            throw file.badValue(index, "\(value)", "a finite number of at least 0")
        }
        return values
    }
}
