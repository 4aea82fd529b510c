// Finds the bytes that give delimited text its structure, 64 bytes at a time. The standard library
// has no instruction that turns a mask of lanes into the bits of an integer, and masks of 64 lanes
// compile to a loop over them; so a byte that is looked for is found by arithmetic in words of
// eight, which leaves one bit a byte, and the bits are folded into one byte a word.

#if KERNELS_AVX512
private typealias Words = SIMD8<UInt64>
private let wordCount = 8
#elseif KERNELS_AVX2
private typealias Words = SIMD4<UInt64>
private let wordCount = 4
#else
private typealias Words = SIMD2<UInt64>
private let wordCount = 2
#endif

/// Writes where a separator, a quote (`"`) or a line feed stands, in order.
/// - Parameters:
///   - bytes: `[64 × blockCount]`.
///   - first: a separator; `second` is another one, or the same.
///   - base: added to every position, which must stay below 2^32.
///   - positions: room for 64 a block and 16 more, which may be written beyond the count.
///   - flags: one a block: not 0 where the block has a NUL byte or one that is not ASCII.
/// - Returns: the number of positions.
@inline(never)
package func scanText(
    _ bytes: UnsafePointer<UInt8>, _ blockCount: Int, _ first: UInt8, _ second: UInt8,
    _ base: UInt32, _ positions: UnsafeMutablePointer<UInt32>, _ flags: UnsafeMutablePointer<UInt8>
) -> Int {
    var output = positions
    let (a, b) = (repeated(first), repeated(second))
    let (quote, lineFeed) = (repeated(0x22), repeated(0x0A))
    for block in 0..<blockCount {
        let source = UnsafeRawPointer(bytes + 64 * block)
        var hits: UInt64 = 0
        var strange = Words.zero
        var part = 0
        while part < 64 {
            let value = source.loadUnaligned(fromByteOffset: part, as: Words.self)
            let missed =
                (others(value ^ a) & others(value ^ b))
                & (others(value ^ quote) & others(value ^ lineFeed))
            hits |= packed(missed) &<< UInt64(part)
            strange |= ~others(value) | value
            part += 8 * wordCount
        }
        flags[block] = hasBit(strange) ? 1 : 0
        let at = base &+ UInt32(truncatingIfNeeded: 64 * block)
        let count = hits.nonzeroBitCount
        // Twelve are written whatever the count: a jump that depends on it would be guessed wrong
        // in every other block.
        write(output, 0, at, &hits)
        write(output, 4, at, &hits)
        write(output, 8, at, &hits)
        var place = 12
        while place < count {
            write(output, place, at, &hits)
            place += 4
        }
        output += count
    }
    return output - positions
}

/// Writes the lowest four bits' positions and clears them; what stands for a bit that is not there
/// is written over later.
@inline(__always)
private func write(
    _ output: UnsafeMutablePointer<UInt32>, _ place: Int, _ at: UInt32, _ hits: inout UInt64
) {
    for step in 0..<4 {
        output[place + step] = at &+ UInt32(truncatingIfNeeded: hits.trailingZeroBitCount)
        hits &= hits &- 1
    }
}

@inline(__always)
private func repeated(_ byte: UInt8) -> Words {
    Words(repeating: UInt64(byte) &* 0x0101_0101_0101_0101)
}

/// The highest bit of every byte that is not zero; other bits mean nothing.
@inline(__always)
private func others(_ value: Words) -> Words {
    // No carry leaves a byte: 127 and 127 are below 256.
    let low = Words(repeating: 0x7F7F_7F7F_7F7F_7F7F)
    return ((value & low) &+ low) | value
}

/// One bit a byte, the first byte's lowest: 1 where its highest bit is 0.
@inline(__always)
private func packed(_ missed: Words) -> UInt64 {
    var word = (~missed &>> 7) & Words(repeating: 0x0101_0101_0101_0101)
    word |= word &>> 7
    word |= word &>> 14
    word |= word &>> 28
    #if KERNELS_AVX512
    return unsafeBitCast(SIMD8<UInt8>(truncatingIfNeeded: word), to: UInt64.self)
    #elseif KERNELS_AVX2
    let bytes = (word & 255) &<< Words(0, 8, 16, 24)
    let two = bytes.lowHalf | bytes.highHalf
    return two.x | two.y
    #else
    return (word.x & 255) | (word.y & 255) &<< 8
    #endif
}

/// Whether the highest bit of a byte is set.
@inline(__always)
private func hasBit(_ value: Words) -> Bool {
    #if KERNELS_AVX512
    let four = value.lowHalf | value.highHalf
    let two = four.lowHalf | four.highHalf
    #elseif KERNELS_AVX2
    let two = value.lowHalf | value.highHalf
    #else
    let two = value
    #endif
    return (two.x | two.y) & 0x8080_8080_8080_8080 != 0
}
