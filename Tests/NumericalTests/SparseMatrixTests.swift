import Numerical
import Testing

@Suite struct SparseMatrixTests {
    @Test func sortsTripletsAndAddsRepeatedOnes() {
        let matrix = SparseMatrix(
            rowCount: 4, columnCount: 3, rows: [2, 0, 2, 2, 0], columns: [1, 2, 0, 1, 0],
            values: [1, 2, 3, 10, 5])
        #expect(matrix.rowOffsets == [0, 2, 2, 4, 4])
        #expect(matrix.columnIndices == [0, 2, 0, 1])
        #expect(matrix.values == [5, 2, 3, 11])
        #expect(Array(matrix.entries(of: 2)) == [2, 3])
    }

    @Test func transposesBackAndForth() {
        for seed in 0..<20 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            let (rows, columns) = (1 + random.below(20), 1 + random.below(20))
            let count = random.below(60)
            let r = (0..<count).map { _ in Int32(random.below(rows)) }
            let c = (0..<count).map { _ in Int32(random.below(columns)) }
            let values = (0..<count).map { _ in Float(random.below(9)) }
            let matrix = SparseMatrix(
                rowCount: rows, columnCount: columns, rows: r, columns: c, values: values)
            let transposed = SparseMatrix(
                rowCount: columns, columnCount: rows, rows: c, columns: r, values: values)
            #expect(matrix.transposed() == transposed, "seed \(seed)")
            #expect(matrix.transposed().transposed() == matrix, "seed \(seed)")
        }
    }

    @Test func emptyMatrices() {
        let empty = SparseMatrix(rowCount: 0, columnCount: 0, rows: [], columns: [], values: [])
        #expect(empty.rowOffsets == [0] && empty.transposed() == empty)
        let rowsOnly = SparseMatrix(rowCount: 3, columnCount: 0, rows: [], columns: [], values: [])
        #expect(rowsOnly.transposed().rowOffsets == [0])
    }
}
