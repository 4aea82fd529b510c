import Models
import Numerical

/// What one iteration of a factorization needs, both sides' half-sweeps together, without the loss.
struct ALSDemand {
    /// What no run of the solver goes below: each row by the cheaper way, conjugate gradients without
    /// a step.
    let least: Demand
    /// Operations of the exact solution of every row in as many dimensions as there are factors:
    /// what `gflops` counts, whatever a solver saves.
    let plainOperations: Double

    init(_ matrix: SparseMatrix, _ parameters: ImplicitALS.Parameters) {
        let f = Double(parameters.factorCount)
        let entries = Double(matrix.valueCount)
        let rows = Double(matrix.rowCount + matrix.columnCount)
        // An entry adds half a symmetric outer product; a row's system is factorized by a third of
        // f³ and solved twice by triangles; the common Gram matrix is one more outer product a row.
        plainOperations =
            2 * entries * f * f + rows * (f * f * f / 3 + 2 * f * f) + rows * f * f
        // Of the rows, then of the columns.
        var entryCounts = (0..<matrix.rowCount).map { matrix.entries(of: $0).count }
        entryCounts += [Int](repeating: 0, count: matrix.columnCount)
        for column in matrix.columnIndices { entryCounts[matrix.rowCount + Int(column)] += 1 }
        let solvedRows = Double(entryCounts.count { $0 > 0 })
        let operations: Double
        switch parameters.solver {
        case .cholesky: operations = Self.exactOperations(entryCounts, factorCount: f)
        case .conjugateGradient:
            // The residual: a scalar product and a sum of vectors an entry. The Gram matrix; each
            // side is turned into its axes, as the fixed one and as the other, and out again.
            operations = 2 * entries * 4 * f + rows * 7 * f * f
        case .subspace:
            operations =
                2 * entries * 4 * f + rows * 7 * f * f
                + Self.blockOperations(parameters, entries: entries, solvedRows: solvedRows)
        }
        // Each entry's row of the other side is gathered at least once a half-sweep.
        let entryBytes = 4 * f + 8
        least = Demand(
            operations: operations,
            traffic: [matrix.columnCount, matrix.rowCount].map { fixedRows in
                .init(
                    byteCount: entries * entryBytes,
                    workingByteCount: Double(fixedRows) * 4 * f)
            })
    }

    /// Rows with few entries are solved in that many dimensions where it is cheaper.
    private static func exactOperations(_ entryCounts: [Int], factorCount f: Double) -> Double {
        func cost(_ count: Int) -> Double {
            let n = Double(count)
            let full = n * f * f + f * f * f / 3 + 2 * f * f
            let few = n * n * f + n * n * n / 3 + 2 * n * n + 2 * n * f
            return min(full, few)
        }
        return entryCounts.reduce(Double(entryCounts.count) * f * f) { $0 + cost($1) }
    }

    /// The systems of the blocks of factors, of both sides.
    private static func blockOperations(
        _ parameters: ImplicitALS.Parameters, entries: Double, solvedRows: Double
    ) -> Double {
        let size = (parameters.subspaceSize + 15) / 16 * 16
        var sum = 0.0
        for first in stride(from: 0, to: parameters.factorCount, by: size) {
            let b = Double(min(parameters.factorCount - first, size))
            sum += 2 * entries * b * b + solvedRows * (b * b * b / 3 + 2 * b * b)
        }
        return sum
    }
}
