import Numerical

/// How the rows of one side are split between threads: by their cost, so that a few rows with many
/// entries are no thread's tail. Depends on the matrix alone, never on the thread count.
struct SweepSchedule {
    /// Entries from which on a row is split into pieces of `pieceEntries` that are summed in order.
    static let heavyEntries = 32_768
    static let pieceEntries = 16_384
    /// Cost of a chunk in products of one entry with one factor pair, some milliseconds at 64
    /// factors, and the most rows it has.
    private static let chunkCost = 1 << 26
    private static let chunkRows = 2048

    /// First rows of the chunks and, last, the row count.
    let bounds: [Int]
    /// Rows with at least `heavyEntries`, ascending.
    let heavyRows: [Int]
    /// Whether any row has 1 ... `fewEntries` entries.
    let hasFew: Bool

    /// - Parameter fewEntries: rows with at most so many entries are solved in that dimension.
    init(_ matrix: SparseMatrix, width: Int, fewEntries: Int) {
        var bounds = [0]
        var heavyRows: [Int] = []
        var hasFew = false
        var cost = 0
        let offsets = matrix.rowOffsets.span
        for row in 0..<matrix.rowCount {
            let n = offsets[row + 1] - offsets[row]
            if n > 0 && n <= fewEntries {
                hasFew = true
                cost += n * n * (width + n)
            } else if n > 0 && n < Self.heavyEntries {
                cost += (n + width) * width * width
            } else if n > 0 {
                heavyRows.append(row)
            }
            if cost >= Self.chunkCost || row + 1 - bounds[bounds.count - 1] == Self.chunkRows {
                bounds.append(row + 1)
                cost = 0
            }
        }
        if bounds[bounds.count - 1] < matrix.rowCount || bounds.count == 1 {
            bounds.append(matrix.rowCount)
        }
        self.bounds = bounds
        self.heavyRows = heavyRows
        self.hasFew = hasFew
    }
}
