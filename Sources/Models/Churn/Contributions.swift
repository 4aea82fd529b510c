/// What each column added to the score of each row: the row's values and the base add up to its raw
/// score (to rounding, about 1e-12 of the largest).
package struct Contributions: Sendable, Equatable {
    package let columns: [String]
    /// The score of a row that nothing is known of.
    package let base: Double
    /// `[rowCount × columns.count]`, row-major, in the units of the score (log-odds).
    package let values: [Double]

    /// One reason for a row's score.
    package struct Reason: Sendable, Equatable {
        package let column: String
        /// Above 0: towards leaving.
        package let contribution: Double
    }

    package var rowCount: Int { columns.isEmpty ? 0 : values.count / columns.count }

    /// The contributions of a row, in the order of the columns.
    package func row(_ row: Int) -> ArraySlice<Double> {
        values[row * columns.count..<(row + 1) * columns.count]
    }

    /// Base and contributions of a row added up.
    package func score(row: Int) -> Double { self.row(row).reduce(base, +) }

    /// The columns that moved the row's score most, the largest first; ties by the columns' order;
    /// those that did not move it are left out.
    /// - Parameter towards: nil: both ways; true: only towards leaving; false: only towards staying.
    package func topReasons(row: Int, count: Int, towards leaving: Bool? = nil) -> [Reason] {
        let reasons = zip(columns, self.row(row)).enumerated().filter { _, pair in
            leaving.map { $0 ? pair.1 > 0 : pair.1 < 0 } ?? (pair.1 != 0)
        }
        let order = reasons.sorted {
            (-abs($0.element.1), $0.offset) < (-abs($1.element.1), $1.offset)
        }
        return order.prefix(max(0, count)).map {
            Reason(column: $0.element.0, contribution: $0.element.1)
        }
    }
}
