/// The pairs of rows and columns with the largest total weight, each row and column in at most one.
///
/// Shortest augmenting paths with potentials: rows are added one by one, each by the cheapest chain
/// of changed pairs. In whole numbers, so that totals are exact. Where several choices of pairs have
/// the largest total, columns are looked at in ascending order: the same weights give the same pairs.
/// Source: R. Jonker and A. Volgenant, "A shortest augmenting path algorithm for dense and sparse
/// linear assignment problems", Computing 38, 1987; rectangular as in D. Crouse, "On implementing 2D
/// rectangular assignment algorithms", IEEE Trans. Aerospace and Electronic Systems 52(4), 2016.
package enum LinearAssignment {
    /// - Parameters:
    ///   - weights: `[rowCount × columnCount]`, row-major, 0 ... 2^53; 0: a pair of no use.
    /// - Returns: `[rowCount]`: each row's column; nil where it has none, or none of use.
    /// - Complexity: O(s² · l), s and l being the lesser and the larger of both counts.
    package static func heaviest(
        _ weights: [Int], rowCount: Int, columnCount: Int
    ) -> [Int?] {
        precondition(weights.count == rowCount * columnCount)
        precondition(weights.allSatisfy { $0 >= 0 && $0 <= 1 << 53 })
        if rowCount <= columnCount {
            let columns = columnOfEachRow(weights, rowCount, columnCount)
            return columns.enumerated().map { row, column in
                weights[row * columnCount + column] > 0 ? column : nil
            }
        }
        var columns = [Int?](repeating: nil, count: rowCount)
        var turned = [Int](repeating: 0, count: weights.count)
        for row in 0..<rowCount {
            for column in 0..<columnCount {
                turned[column * rowCount + row] = weights[row * columnCount + column]
            }
        }
        let rows = columnOfEachRow(turned, columnCount, rowCount)
        for (column, row) in rows.enumerated() where weights[row * columnCount + column] > 0 {
            columns[row] = column
        }
        return columns
    }

    /// The heaviest pairs where every row has a column.
    /// - Parameters:
    ///   - weights: `[rowCount × columnCount]`, row-major.
    ///   - rowCount: at most `columnCount`.
    private static func columnOfEachRow(
        _ weights: [Int], _ rowCount: Int, _ columnCount: Int
    ) -> [Int] {
        // -1: none.
        var rowOfColumn = [Int](repeating: -1, count: columnCount)
        var rowPotentials = [Int](repeating: 0, count: rowCount)
        var columnPotentials = [Int](repeating: 0, count: columnCount)
        for start in 0..<rowCount {
            // The least reduced cost of a path from `start` to each column, and the column before.
            var distances = [Int](repeating: .max, count: columnCount)
            var previous = [Int](repeating: -1, count: columnCount)
            var isDone = [Bool](repeating: false, count: columnCount)
            var row = start
            var reached = 0
            var end = -1
            var last = -1
            while true {
                let offset = reached - rowPotentials[row]
                let place = row * columnCount
                var nearest = -1
                for column in 0..<columnCount where !isDone[column] {
                    let through = offset - weights[place + column] - columnPotentials[column]
                    if through < distances[column] {
                        distances[column] = through
                        previous[column] = last
                    }
                    if nearest < 0 || distances[column] < distances[nearest] { nearest = column }
                }
                // There is one: fewer columns are taken than there are.
                precondition(nearest >= 0)
                isDone[nearest] = true
                reached = distances[nearest]
                last = nearest
                if rowOfColumn[nearest] < 0 {
                    end = nearest
                    break
                }
                row = rowOfColumn[nearest]
            }
            rowPotentials[start] += reached
            for column in 0..<columnCount where isDone[column] {
                let slack = reached - distances[column]
                columnPotentials[column] -= slack
                if rowOfColumn[column] >= 0 { rowPotentials[rowOfColumn[column]] += slack }
            }
            // Every column of the path takes the row of the one before it.
            while end >= 0 {
                let before = previous[end]
                rowOfColumn[end] = before < 0 ? start : rowOfColumn[before]
                end = before
            }
        }
        var columns = [Int](repeating: 0, count: rowCount)
        for (column, row) in rowOfColumn.enumerated() where row >= 0 { columns[row] = column }
        return columns
    }
}
