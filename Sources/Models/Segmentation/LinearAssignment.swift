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
            let columns = columnOfEachRow(rowCount, columnCount) {
                -weights[$0 * columnCount + $1]
            }
            return columns.enumerated().map { row, column in
                weights[row * columnCount + column] > 0 ? column : nil
            }
        }
        var columns = [Int?](repeating: nil, count: rowCount)
        let rows = columnOfEachRow(columnCount, rowCount) { -weights[$1 * columnCount + $0] }
        for (column, row) in rows.enumerated() where weights[row * columnCount + column] > 0 {
            columns[row] = column
        }
        return columns
    }

    /// The cheapest pairs where every row has a column.
    /// - Parameter rowCount: at most `columnCount`.
    private static func columnOfEachRow(
        _ rowCount: Int, _ columnCount: Int, _ cost: (_ row: Int, _ column: Int) -> Int
    ) -> [Int] {
        var rowOfColumn = [Int?](repeating: nil, count: columnCount)
        var rowPotentials = [Int](repeating: 0, count: rowCount)
        var columnPotentials = [Int](repeating: 0, count: columnCount)
        for start in 0..<rowCount {
            // The least reduced cost of a path from `start` to each column, and the column before.
            var distances = [Int](repeating: .max, count: columnCount)
            var previous = [Int?](repeating: nil, count: columnCount)
            var isDone = [Bool](repeating: false, count: columnCount)
            var row = start
            var reached = 0
            var end: Int?
            var last: Int?
            while true {
                var nearest: Int?
                for column in 0..<columnCount where !isDone[column] {
                    let through =
                        reached + cost(row, column) - rowPotentials[row]
                        - columnPotentials[column]
                    if through < distances[column] {
                        distances[column] = through
                        previous[column] = last
                    }
                    if nearest.map({ distances[column] < distances[$0] }) ?? true {
                        nearest = column
                    }
                }
                // There is one: fewer columns are taken than there are.
                guard let column = nearest else { break }
                isDone[column] = true
                reached = distances[column]
                last = column
                guard let next = rowOfColumn[column] else {
                    end = column
                    break
                }
                row = next
            }
            rowPotentials[start] += reached
            for column in 0..<columnCount where isDone[column] {
                let slack = reached - distances[column]
                columnPotentials[column] -= slack
                if let own = rowOfColumn[column] { rowPotentials[own] += slack }
            }
            // Every column of the path takes the row of the one before it.
            while let column = end {
                end = previous[column]
                rowOfColumn[column] = end.map { rowOfColumn[$0] } ?? start
            }
        }
        var columns = [Int](repeating: 0, count: rowCount)
        for (column, row) in rowOfColumn.enumerated() {
            if let row { columns[row] = column }
        }
        return columns
    }
}
