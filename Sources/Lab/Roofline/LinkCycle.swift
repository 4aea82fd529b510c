package import Numerical

/// Links through all lines of a memory in one cycle that no prefetcher foresees.
///
/// With a bijection m of 0 ..< 2^n that mixes bits, line i links to m⁻¹(m(i) + 1): the walk visits
/// m⁻¹(0), m⁻¹(1), … and so every line once before it comes back. Nothing is shuffled in memory, and
/// the lines are written in their order.
package struct LinkCycle {
    /// Values of a 64-byte line.
    package static let lineWidth = 16

    /// Binary logarithm of the number of lines, 1 ... 27.
    private let bits: UInt32

    /// - Parameter byteCount: a power of two from 128 bytes to 8 GiB, so that the index of a value
    ///   has at most 31 bits.
    package init(byteCount: Int) {
        precondition(byteCount >= 128 && byteCount <= 8 << 30 && byteCount.nonzeroBitCount == 1)
        bits = UInt32((byteCount / 64).trailingZeroBitCount)
    }

    package var lineCount: Int { 1 << bits }

    private var mask: UInt32 { (1 << bits) - 1 }

    /// A multiplication by an odd number is a bijection modulo a power of two, and so is adding the
    /// high bits to the low ones.
    private func mixed(_ line: UInt32) -> UInt32 {
        let shift = (bits + 1) / 2
        var x = line
        x = (x &* Self.factor) & mask
        x ^= x >> shift
        x = (x &* Self.factor) & mask
        return x ^ (x >> shift)
    }

    private func unmixed(_ value: UInt32) -> UInt32 {
        let shift = (bits + 1) / 2
        // The shift is at least half of the bits: the high half is as it was.
        var x = value ^ (value >> shift)
        x = (x &* Self.inverse) & mask
        x ^= x >> shift
        return (x &* Self.inverse) & mask
    }

    /// The line after a line.
    package func next(_ line: UInt32) -> UInt32 { unmixed((mixed(line) &+ 1) & mask) }

    private static let factor: UInt32 = 0x9E37_79B1
    /// `factor · inverse = 1` modulo 2^32, by Newton's iteration: each step doubles the right bits.
    private static let inverse: UInt32 = {
        var x = factor
        for _ in 0..<5 { x = x &* (2 &- factor &* x) }
        return x
    }()

    /// The links: the first value of each line is the index of the next line's first value.
    package func links(threadCount: Int) -> CheckedLinks {
        var values = AlignedFloats(count: lineCount * Self.lineWidth)
        parallelFill(
            &values, rowWidth: Self.lineWidth, chunkRows: 1 << 14, threadCount: threadCount
        ) { lines, slice in
            for line in lines {
                let index = next(UInt32(line)) * UInt32(Self.lineWidth)
                slice[(line - lines.lowerBound) * Self.lineWidth] = Float(bitPattern: index)
            }
        }
        return CheckedLinks(values)
    }
}
