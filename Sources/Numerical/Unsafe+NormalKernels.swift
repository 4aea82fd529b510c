import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels of normal equations, of one instruction-set level.
struct NormalKernels: Sendable {
    let gatherRows:
        @Sendable (
            UnsafePointer<Float>, Int, UnsafePointer<Int32>, Int, UnsafePointer<Float>,
            UnsafePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>
        ) -> Void
    let addOuterProducts:
        @Sendable (UnsafePointer<Float>, Int, Int, UnsafeMutablePointer<Float>) -> Void
    let solvePositiveDefinite:
        @Sendable (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, Int, Float) -> Int32

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            gatherRows = scalarGatherRows
            addOuterProducts = scalarAddOuterProducts
            solvePositiveDefinite = scalarSolvePositiveDefinite
        case .baseline:
            gatherRows = Kernels.gatherRows
            addOuterProducts = Kernels.addOuterProducts
            solvePositiveDefinite = Kernels.solvePositiveDefinite
        #if arch(x86_64)
        case .avx2:
            gatherRows = KernelsAVX2.gatherRows
            addOuterProducts = KernelsAVX2.addOuterProducts
            solvePositiveDefinite = KernelsAVX2.solvePositiveDefinite
        case .avx512:
            gatherRows = KernelsAVX512.gatherRows
            addOuterProducts = KernelsAVX512.addOuterProducts
            solvePositiveDefinite = KernelsAVX512.solvePositiveDefinite
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

// The checked edge: spans and arrays in, one check of every count, then pointers. A pointer never
// outlives the call; inputs and outputs cannot overlap because an `inout` is exclusive.

extension KernelTable {
    ///   - panel: at least `indices.count × width` values, out.
    package func gather(
        _ rows: Span<Float>, indices: Span<Int32>, scales: Span<Float>, weights: Span<Float>,
        panel: inout [Float], rightSide: inout [Float]
    ) {
        let width = rightSide.count
        precondition(width % 16 == 0 && width > 0 && rows.count % width == 0)
        precondition(scales.count == indices.count && weights.count == indices.count)
        precondition(panel.count >= indices.count * width)
        let rowCount = rows.count / width
        if indices.isEmpty { return }
        rows.withUnsafeBufferPointer { rows in
            indices.withUnsafeBufferPointer { indices in
                var largest: UInt32 = 0
                for index in indices { largest = max(largest, UInt32(bitPattern: index)) }
                precondition(Int(largest) < rowCount, "an index is out of range")
                scales.withUnsafeBufferPointer { scales in
                    weights.withUnsafeBufferPointer { weights in
                        panel.withUnsafeMutableBufferPointer { panel in
                            rightSide.withUnsafeMutableBufferPointer { rightSide in
                                normalKernels.gatherRows(
                                    address(rows), width, address(indices), indices.count,
                                    address(scales), address(weights), address(panel),
                                    address(rightSide))
                            }
                        }
                    }
                }
            }
        }
    }

    ///   - matrix: `[width × width]`, row-major, in and out.
    package func addOuterProducts(
        _ panel: Span<Float>, rowCount: Int, width: Int, matrix: inout [Float]
    ) {
        precondition(width % 16 == 0 && rowCount >= 0 && panel.count >= rowCount * width)
        precondition(matrix.count == width * width)
        if rowCount == 0 || width == 0 { return }
        panel.withUnsafeBufferPointer { panel in
            matrix.withUnsafeMutableBufferPointer { matrix in
                normalKernels.addOuterProducts(address(panel), rowCount, width, address(matrix))
            }
        }
    }

    /// - Returns: false where the matrix is not positive definite (then `rightSide` is undefined).
    package func solvePositiveDefinite(
        _ matrix: inout [Float], _ rightSide: inout [Float], smallestPivot: Float
    ) -> Bool {
        let width = rightSide.count
        precondition(width % 16 == 0 && matrix.count == width * width)
        if width == 0 { return true }
        return matrix.withUnsafeMutableBufferPointer { matrix in
            rightSide.withUnsafeMutableBufferPointer { rightSide in
                normalKernels.solvePositiveDefinite(
                    address(matrix), address(rightSide), width, smallestPivot) != 0
            }
        }
    }
}
