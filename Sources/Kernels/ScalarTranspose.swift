#if !KERNELS_AVX2 && !KERNELS_AVX512

/// Scalar twin of `transposeRows`.
@inline(never)
package func scalarTransposeRows(
    _ rows: UnsafeRawPointer, _ rowCount: Int, _ featureCount: Int,
    _ blocks: UnsafeMutablePointer<Float>
) {
    let blockCount = (rowCount + blockRowCount - 1) / blockRowCount
    for row in 0..<blockCount * blockRowCount {
        let target = blocks + row / blockRowCount * blockRowCount * featureCount
        for feature in 0..<featureCount {
            target[feature * blockRowCount + row % blockRowCount] =
                row < rowCount
                ? rows.loadUnaligned(
                    fromByteOffset: 4 * (row * featureCount + feature), as: Float.self) : 0
        }
    }
}

#endif
