import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels on whole vectors, of one instruction-set level.
struct VectorKernels: Sendable {
    let dot: @Sendable (UnsafePointer<Float>, UnsafePointer<Float>, Int) -> Float
    let axpy: @Sendable (Float, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            dot = scalarDot
            axpy = scalarAxpy
        case .baseline:
            dot = Kernels.dot
            axpy = Kernels.axpy
        #if arch(x86_64)
        case .avx2:
            dot = KernelsAVX2.dot
            axpy = KernelsAVX2.axpy
        case .avx512:
            dot = KernelsAVX512.dot
            axpy = KernelsAVX512.axpy
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
}
