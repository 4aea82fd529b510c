/// A sparse matrix of `Float` by rows (CSR): `columnIndices` and `values` of row i are those from
/// `rowOffsets[i]` up to, not including, `rowOffsets[i + 1]`, with ascending columns.
package struct SparseMatrix: Sendable, Equatable {
    package let rowCount: Int
    package let columnCount: Int
    /// `[rowCount + 1]`, starting at 0, never descending.
    package let rowOffsets: [Int]
    /// `[valueCount]`, strictly ascending within a row.
    package let columnIndices: [Int32]
    /// `[valueCount]`.
    package let values: [Float]

    package var valueCount: Int { values.count }

    /// The entries of a row.
    package func entries(of row: Int) -> Range<Int> { rowOffsets[row]..<rowOffsets[row + 1] }

    /// From arrays in CSR order; every condition of the type is checked.
    package init(
        rowCount: Int, columnCount: Int, rowOffsets: [Int], columnIndices: [Int32],
        values: [Float]
    ) {
        precondition(rowCount >= 0 && columnCount >= 0 && columnCount <= Int(Int32.max))
        precondition(rowOffsets.count == rowCount + 1 && rowOffsets[0] == 0)
        precondition(rowOffsets[rowCount] == values.count && columnIndices.count == values.count)
        let offsets = rowOffsets.span
        let columns = columnIndices.span
        for row in 0..<rowCount {
            precondition(offsets[row] <= offsets[row + 1], "row offsets must not descend")
            var previous: Int32 = -1
            for i in offsets[row]..<offsets[row + 1] {
                precondition(columns[i] > previous, "columns must ascend within a row")
                previous = columns[i]
            }
            precondition(Int(previous) < columnCount, "a column is out of range")
        }
        self.rowCount = rowCount
        self.columnCount = columnCount
        self.rowOffsets = rowOffsets
        self.columnIndices = columnIndices
        self.values = values
    }

    /// From (row, column, value) triplets in any order; the values of a repeated (row, column) are
    /// added up in the order given.
    package init(
        rowCount: Int, columnCount: Int, rows: [Int32], columns: [Int32], values: [Float]
    ) {
        precondition(rows.count == values.count && columns.count == values.count)
        precondition(rowCount >= 0 && columnCount >= 0)
        // Two stable counting sorts, by column and then by row: linear, and independent of any
        // comparison order.
        let byColumn = Self.countingSort(keys: columns, bound: columnCount, order: nil)
        let order = Self.countingSort(keys: rows, bound: rowCount, order: byColumn)
        var offsets = [Int](repeating: 0, count: rowCount + 1)
        var sortedColumns: [Int32] = []
        var sortedValues: [Float] = []
        sortedColumns.reserveCapacity(values.count)
        sortedValues.reserveCapacity(values.count)
        var previousRow: Int32 = -1
        for i in order {
            if rows[i] == previousRow, columns[i] == sortedColumns.last {
                sortedValues[sortedValues.count - 1] += values[i]
                continue
            }
            previousRow = rows[i]
            sortedColumns.append(columns[i])
            sortedValues.append(values[i])
            offsets[Int(previousRow) + 1] = sortedValues.count
        }
        for row in 0..<rowCount { offsets[row + 1] = max(offsets[row], offsets[row + 1]) }
        self.init(
            rowCount: rowCount, columnCount: columnCount, rowOffsets: offsets,
            columnIndices: sortedColumns, values: sortedValues)
    }

    /// From arrays that are known to meet every condition of the type.
    init(
        checkedRowCount rowCount: Int, columnCount: Int, rowOffsets: [Int],
        columnIndices: [Int32], values: [Float]
    ) {
        self.rowCount = rowCount
        self.columnCount = columnCount
        self.rowOffsets = rowOffsets
        self.columnIndices = columnIndices
        self.values = values
    }

    private static func countingSort(keys: [Int32], bound: Int, order: [Int]?) -> [Int] {
        var next = [Int](repeating: 0, count: bound + 1)
        for key in keys {
            precondition(key >= 0 && Int(key) < bound, "an index is out of range")
            next[Int(key) + 1] += 1
        }
        for key in 0..<bound { next[key + 1] += next[key] }
        var sorted = [Int](repeating: 0, count: keys.count)
        for position in keys.indices {
            let i = order.map { $0[position] } ?? position
            sorted[next[Int(keys[i])]] = i
            next[Int(keys[i])] += 1
        }
        return sorted
    }
}
