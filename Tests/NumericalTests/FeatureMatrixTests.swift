import Numerical
import Testing

@Suite struct FeatureMatrixTests {
    private func nonZeroCount(_ matrix: FeatureMatrix) -> Int {
        let values = matrix.storage.span
        return values.indices.count { values[$0] != 0 }
    }

    @Test(arguments: [0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129])
    func keepsValuesAndZeroesPadding(n: Int) {
        for d in [1, 2, 5] {
            let rowMajor = (0..<n * d).map { Float($0 + 1) }
            let matrix = FeatureMatrix(rowMajor: rowMajor, rowCount: n, featureCount: d)
            for row in 0..<n {
                #expect(matrix.row(row) == Array(rowMajor[row * d..<(row + 1) * d]))
            }
            let columns = (0..<d).map { j in (0..<n).map { rowMajor[$0 * d + j] } }
            #expect(FeatureMatrix(columns: columns) == matrix)
            #expect(matrix.storage.count == matrix.blockCount * 64 * d)
            #expect(nonZeroCount(matrix) == n * d)
        }
    }

    @Test func layoutIsBlockedFeatureMajor() {
        var matrix = FeatureMatrix(rowCount: 70, featureCount: 3)
        matrix[69, 2] = 5
        #expect(matrix.storage[(1 * 3 + 2) * 64 + 5] == 5)
    }
}
