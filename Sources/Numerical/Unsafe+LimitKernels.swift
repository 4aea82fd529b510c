import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels that show what bounds the others, of one instruction-set level.
struct LimitKernels: Sendable {
    let multiplyAddChainValues: Int
    let multiplyAddChains: @Sendable (Int, Float, Float) -> Float
    let combineBits: @Sendable (UnsafePointer<Float>, Int, Int) -> UInt32
    let fillValues: @Sendable (UnsafeMutablePointer<Float>, Int, Float) -> Void
    let copyValues: @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            multiplyAddChainValues = scalarMultiplyAddChainValues
            multiplyAddChains = scalarMultiplyAddChains
            combineBits = scalarCombineBits
            fillValues = scalarFillValues
            copyValues = scalarCopyValues
        case .baseline:
            multiplyAddChainValues = Kernels.multiplyAddChainValues
            multiplyAddChains = Kernels.multiplyAddChains
            combineBits = Kernels.combineBits
            fillValues = Kernels.fillValues
            copyValues = Kernels.copyValues
        #if arch(x86_64)
        case .avx2:
            multiplyAddChainValues = KernelsAVX2.multiplyAddChainValues
            multiplyAddChains = KernelsAVX2.multiplyAddChains
            combineBits = KernelsAVX2.combineBits
            fillValues = KernelsAVX2.fillValues
            copyValues = KernelsAVX2.copyValues
        case .avx512:
            multiplyAddChainValues = KernelsAVX512.multiplyAddChainValues
            multiplyAddChains = KernelsAVX512.multiplyAddChains
            combineBits = KernelsAVX512.combineBits
            fillValues = KernelsAVX512.fillValues
            copyValues = KernelsAVX512.copyValues
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

// The checked edge: spans in, one check of every count, then pointers. A pointer never outlives the
// call; inputs and outputs cannot overlap because an `inout` is exclusive.

extension KernelTable {
    /// Multiplications and additions of one iteration of `multiplyAddChains`.
    package var multiplyAddChainOperations: Int { 2 * limitKernels.multiplyAddChainValues }

    /// `x = x · factor + addend` on as many independent values as keep the multipliers busy.
    /// - Returns: the sum of the values after `iterations`.
    package func multiplyAddChains(_ iterations: Int, factor: Float, addend: Float) -> Float {
        precondition(iterations >= 0)
        return limitKernels.multiplyAddChains(iterations, factor, addend)
    }

    /// The exclusive or of the bit patterns of all values, read `passes` times.
    package func combineBits(_ values: Span<Float>, passes: Int) -> UInt32 {
        precondition(passes >= 0)
        return values.withUnsafeBufferPointer {
            limitKernels.combineBits(address($0), $0.count, passes)
        }
    }

    /// Writes `value` everywhere.
    package func fill(_ values: inout MutableSpan<Float>, with value: Float) {
        values.withUnsafeMutableBufferPointer {
            limitKernels.fillValues(address($0), $0.count, value)
        }
    }

    /// Copies values to as many others.
    package func copy(_ source: Span<Float>, to target: inout MutableSpan<Float>) {
        precondition(source.count == target.count)
        source.withUnsafeBufferPointer { source in
            target.withUnsafeMutableBufferPointer { target in
                limitKernels.copyValues(address(source), address(target), source.count)
            }
        }
    }

    /// Follows links whose bit patterns are the indices of the next ones; every index is checked
    /// before, so that the walk itself is loads alone.
    package static func follow(_ links: CheckedLinks, steps: Int, from start: UInt32) -> UInt32 {
        precondition(steps >= 0 && Int(start) < links.values.count)
        return links.values.withUnsafeBufferPointer {
            Kernels.followLinks(address($0), steps, start)
        }
    }
}

/// Links to follow: every value's bit pattern is the index of another value.
package struct CheckedLinks: Sendable {
    let values: AlignedFloats

    /// - Precondition: all bit patterns are below the count. O(count).
    package init(_ values: AlignedFloats) {
        let span = values.span
        var largest: UInt32 = 0
        for i in span.indices { largest = max(largest, span[i].bitPattern) }
        precondition(Int(largest) < values.count, "a link leads out of range")
        self.values = values
    }
}
