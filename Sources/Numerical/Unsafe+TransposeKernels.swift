import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernel that brings rows into blocks, of one instruction-set level.
struct TransposeKernels: Sendable {
    let transposeRows: @Sendable (UnsafeRawPointer, Int, Int, UnsafeMutablePointer<Float>) -> Void

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            transposeRows = scalarTransposeRows
        case .baseline:
            transposeRows = Kernels.transposeRows
        #if arch(x86_64)
        case .avx2:
            transposeRows = KernelsAVX2.transposeRows
        case .avx512:
            transposeRows = KernelsAVX512.transposeRows
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

// The checked edge: spans in, one check of every count, then pointers. A pointer never outlives the
// call; inputs and outputs cannot overlap because an `inout` is exclusive.

extension KernelTable {
    /// Brings row-major rows into the blocks of a `FeatureMatrix`.
    /// - Parameters:
    ///   - rows: `[rowCount × featureCount]`.
    ///   - blocks: at least `[ceil(rowCount / 64) × featureCount × 64]`, out; the rows that fill the
    ///     last block up become zero, what follows stays.
    package func transpose(
        _ rows: Span<Float>, featureCount: Int, into blocks: inout MutableSpan<Float>
    ) {
        transpose(rows.bytes, featureCount: featureCount, into: &blocks)
    }

    /// The same of bytes: single-precision values at any address.
    package func transpose(
        _ rows: RawSpan, featureCount: Int, into blocks: inout MutableSpan<Float>
    ) {
        if featureCount == 0 { return }
        let rowCount = rows.byteCount / (4 * featureCount)
        precondition(featureCount > 0 && rows.byteCount == 4 * rowCount * featureCount)
        let size = FeatureMatrix.blockRowCount
        precondition(blocks.count >= (rowCount + size - 1) / size * size * featureCount)
        rows.withUnsafeBytes { rows in
            blocks.withUnsafeMutableBufferPointer { blocks in
                guard let source = rows.baseAddress, rowCount > 0 else { return }
                transposeKernels.transposeRows(source, rowCount, featureCount, address(blocks))
            }
        }
    }
}
