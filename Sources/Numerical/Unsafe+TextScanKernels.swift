import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernel that finds the structure of delimited text, of one instruction-set level.
struct TextScanKernels: Sendable {
    let scanText:
        @Sendable (
            UnsafePointer<UInt8>, Int, UInt8, UInt8, UInt32, UnsafeMutablePointer<UInt32>,
            UnsafeMutablePointer<UInt8>
        ) -> Int

    init(_ level: ISALevel) {
        switch level {
        case .scalar: scanText = scalarScanText
        case .baseline: scanText = Kernels.scanText
        #if arch(x86_64)
        case .avx2: scanText = KernelsAVX2.scanText
        case .avx512: scanText = KernelsAVX512.scanText
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

// The checked edge: spans in, one check of every count, then pointers. A pointer never outlives the
// call; inputs and outputs cannot overlap because an `inout` is exclusive.

extension KernelTable {
    /// Positions that `scanText` may write beyond those it counts.
    package static let textScanSlack = 16

    /// Writes where a separator, a quote (`"`) or a line feed stands, in order.
    /// - Parameters:
    ///   - bytes: whole blocks of 64.
    ///   - separators: one or two different bytes; one is given twice.
    ///   - base: the position of the first byte; the last one's is below 2^32.
    ///   - positions: room for one a byte and `textScanSlack` more.
    ///   - flags: one a block: not 0 where the block has a NUL byte or one that is not ASCII.
    /// - Returns: the number of positions.
    package func scanText(
        _ bytes: Span<UInt8>, separators: (UInt8, UInt8), base: Int,
        positions: inout MutableSpan<UInt32>, flags: inout MutableSpan<UInt8>
    ) -> Int {
        precondition(bytes.count % 64 == 0 && base >= 0 && base <= Int(UInt32.max) - bytes.count)
        precondition(
            positions.count >= bytes.count + Self.textScanSlack && flags.count >= bytes.count / 64)
        return bytes.withUnsafeBufferPointer { bytes in
            positions.withUnsafeMutableBufferPointer { positions in
                flags.withUnsafeMutableBufferPointer { flags in
                    textScanKernels.scanText(
                        address(bytes), bytes.count / 64, separators.0, separators.1, UInt32(base),
                        address(positions), address(flags))
                }
            }
        }
    }
}
