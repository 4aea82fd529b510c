import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels on whole vectors, of one instruction-set level.
struct VectorKernels: Sendable {
    let dot: @Sendable (UnsafePointer<Float>, UnsafePointer<Float>, Int) -> Float
    let axpy: @Sendable (Float, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void
    let matrixVector:
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>
        ) -> Void

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            dot = scalarDot
            axpy = scalarAxpy
            matrixVector = scalarMatrixVector
        case .baseline:
            dot = Kernels.dot
            axpy = Kernels.axpy
            matrixVector = Kernels.matrixVector
        #if arch(x86_64)
        case .avx2:
            dot = KernelsAVX2.dot
            axpy = KernelsAVX2.axpy
            matrixVector = KernelsAVX2.matrixVector
        case .avx512:
            dot = KernelsAVX512.dot
            axpy = KernelsAVX512.axpy
            matrixVector = KernelsAVX512.matrixVector
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

// The checked edge: spans and arrays in, one check of every count, then pointers. A pointer never
// outlives the call; inputs and outputs cannot overlap because an `inout` is exclusive.

extension KernelTable {
    /// Scalar product of two vectors of one count.
    package func dot(_ x: Span<Float>, _ y: Span<Float>) -> Float {
        precondition(x.count == y.count)
        return x.withUnsafeBufferPointer { x in
            y.withUnsafeBufferPointer { y in
                x.isEmpty ? 0 : vectorKernels.dot(address(x), address(y), x.count)
            }
        }
    }

    /// `y += a x`.
    package func axpy(_ a: Float, _ x: Span<Float>, _ y: inout MutableSpan<Float>) {
        precondition(x.count == y.count)
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                if !x.isEmpty { vectorKernels.axpy(a, address(x), address(y), x.count) }
            }
        }
    }

    /// `output = matrix · x`; the matrix is row-major `[output.count × x.count]`.
    package func matrixVector(
        _ matrix: Span<Float>, _ x: Span<Float>, _ output: inout MutableSpan<Float>
    ) {
        precondition(matrix.count == x.count * output.count)
        matrix.withUnsafeBufferPointer { matrix in
            x.withUnsafeBufferPointer { x in
                output.withUnsafeMutableBufferPointer { output in
                    if output.isEmpty { return }
                    if x.isEmpty { return output.update(repeating: 0) }
                    vectorKernels.matrixVector(
                        address(matrix), output.count, x.count, address(x), address(output))
                }
            }
        }
    }
}
