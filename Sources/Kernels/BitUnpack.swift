// Numbers of 0 to 32 bits in lane order (protocol/STORE.md, "Lane packing"): 512 numbers are 16
// lanes of 32 rows, and word j of all lanes lies together, so that one load brings the same bits of
// 16 neighbouring rows. A row is two shifts, an or and an and, without any shuffle.
//
// The layout follows the interleaving of A. Afroozeh and P. Boncz, "The FastLanes Compression
// Layout", VLDB 2023, section 3. As there, integers are unpacked by code of their own for every
// width. Decimals take a row's offsets and shifts from a table (`UnpackSteps` in Numerical): their
// arithmetic hides half of what that costs.

#if KERNELS_AVX512
private typealias Words = SIMD16<UInt32>
#elseif KERNELS_AVX2
private typealias Words = SIMD8<UInt32>
#else
private typealias Words = SIMD4<UInt32>
#endif

/// Lanes of a group and rows of a lane.
private let groupLanes = 16
private let groupRows = 32

/// The numbers of `laneCount` lanes of one row.
/// - Parameter step: byte offset of the word with the row's first bit, byte offset of the word with
///   its last one, right shift of the first, left shift of the last; both shifts below 32.
@inline(__always)
private func numbers(
    _ source: UnsafeRawPointer, _ step: UnsafePointer<UInt32>, _ mask: Words
) -> Words {
    let (right, left) = (step[2], step[3])
    // Told so, the compiler drops the masking of the counts.
    precondition(right < 32 && left < 32)
    let first = source.loadUnaligned(fromByteOffset: Int(step[0]), as: Words.self)
    let last = source.loadUnaligned(fromByteOffset: Int(step[1]), as: Words.self)
    return (first &>> Words(repeating: right) | last &<< Words(repeating: left)) & mask
}

/// Lane by lane: the conversion of whole vectors is a call.
@inline(__always)
private func floats(_ words: Words) -> Lanes {
    let x = unsafeBitCast(words, to: LaneIndices.self)
    #if KERNELS_AVX512
    return Lanes(
        Float(x[0]), Float(x[1]), Float(x[2]), Float(x[3]), Float(x[4]), Float(x[5]),
        Float(x[6]), Float(x[7]), Float(x[8]), Float(x[9]), Float(x[10]), Float(x[11]),
        Float(x[12]), Float(x[13]), Float(x[14]), Float(x[15]))
    #elseif KERNELS_AVX2
    return Lanes(
        Float(x[0]), Float(x[1]), Float(x[2]), Float(x[3]), Float(x[4]), Float(x[5]),
        Float(x[6]), Float(x[7]))
    #else
    return Lanes(Float(x[0]), Float(x[1]), Float(x[2]), Float(x[3]))
    #endif
}

/// Joins 512 low and high halves and adds a reference, modulo 2^64.
@inline(never)
package func joinLongs(
    _ low: UnsafePointer<UInt32>, _ high: UnsafePointer<UInt32>, _ reference: UInt64,
    _ target: UnsafeMutablePointer<UInt64>
) {
    for i in 0..<groupLanes * groupRows {
        target[i] = (UInt64(low[i]) | UInt64(high[i]) &<< 32) &+ reference
    }
}

/// Unpacks one or two groups of 512 integers, converts them to single precision and divides them by a power of ten.
///
/// The quotient is rounded correctly without a division: 1/p is a float and a second one for what
/// that leaves out, 48 bits together, and a fused multiply-add rounds once. Source: N. Brisebarre,
/// J.-M. Muller, "Correctly rounded multiplication by arbitrary precision constants", IEEE
/// Transactions on Computers 57 (2008), algorithm 1; tried with every integer up to 2^25, which are
/// all there are, and every exponent. Builds without fused multiply-adds divide.
///
/// - Parameters:
///   - steps: `[32 × 4]`, the table of the width.
///   - mask: the low `width` bits.
///   - reference: an Int32 as a bit pattern.
///   - power: 10^e, exact; 1 converts only.
///   - groupBytes: bytes from the first group to the second, 64 times the width; 0 for one group.
///     Two together share the shift counts, which have to be brought from integer registers.
///   - target: eight (or sixteen) runs of 64 values, out, that start `runStride` values apart: 64 for one array,
///     64 times the features for a column of feature-major blocks.
@inline(never)
package func unpackFloats(
    _ source: UnsafeRawPointer, _ steps: UnsafePointer<UInt32>, _ mask: UInt32,
    _ groupBytes: Int, _ reference: UInt32, _ power: Float,
    _ target: UnsafeMutablePointer<Float>, _ runStride: Int
) {
    let (mask, reference) = (Words(repeating: mask), Words(repeating: reference))
    let exact = 1 / Double(power)
    let inverse = splat(Float(exact))
    let rest = splat(Float(exact - Double(Float(exact))))
    let divisor = splat(power)
    let last = source + groupBytes
    let apart = groupBytes == 0 ? 0 : 8 &* runStride
    // Of one group the same is done twice: no second loop, and shorter groups are few.
    if power == 1 {
        for row in 0..<groupRows {
            for lane in stride(from: 0, to: groupLanes, by: laneCount) {
                let x = floats(numbers(source + 4 &* lane, steps + 4 &* row, mask) &+ reference)
                let y = floats(numbers(last + 4 &* lane, steps + 4 &* row, mask) &+ reference)
                let place = target + (row / 4 &* runStride &+ 16 &* (row & 3) &+ lane)
                store(x, place)
                store(y, place + apart)
            }
        }
        return
    }
    for row in 0..<groupRows {
        for lane in stride(from: 0, to: groupLanes, by: laneCount) {
            let x = floats(numbers(source + 4 &* lane, steps + 4 &* row, mask) &+ reference)
            let y = floats(numbers(last + 4 &* lane, steps + 4 &* row, mask) &+ reference)
            let place = target + (row / 4 &* runStride &+ 16 &* (row & 3) &+ lane)
            store(quotient(x, divisor, inverse, rest), place)
            store(quotient(y, divisor, inverse, rest), place + apart)
        }
    }
}

/// x / p for `inverse` + `rest` = 1 / p, rounded to nearest.
@inline(__always)
private func quotient(_ x: Lanes, _ divisor: Lanes, _ inverse: Lanes, _ rest: Lanes) -> Lanes {
    #if KERNELS_AVX512 || KERNELS_AVX2 || arch(arm64)
    return multiplyAdd(x * rest, x, inverse)
    #else
    return x / divisor
    #endif
}

/// Turns 512 integers, to which the bit pattern of 1.5 · 2^52 was added, into doubles and divides
/// them by a power of ten, in place. The integers are within ±2^51: they then fill the low bits of
/// a double's significand, and subtracting 1.5 · 2^52 leaves them exactly.
/// The quotient is rounded correctly without a division: q = x · (1/p) is within an ulp, its
/// remainder x - q p is exact in a fused multiply-add, and q + remainder · (1/p) rounds as the
/// quotient does. Source: J.-M. Muller et al., Handbook of Floating-Point Arithmetic, 2nd edition,
/// theorem 4.9 (Markstein).
@inline(never)
package func divideLongs(_ values: UnsafeMutablePointer<UInt64>, _ power: Double) {
    let bytes = UnsafeMutableRawPointer(values)
    let origin = DoubleLanes(repeating: 0x1.8p52)
    let (divisor, inverse) = (
        DoubleLanes(repeating: -power), DoubleLanes(repeating: 1 / power)
    )
    for i in stride(from: 0, to: groupLanes * groupRows, by: laneCount / 2) {
        var x = bytes.loadUnaligned(fromByteOffset: 8 &* i, as: DoubleLanes.self) - origin
        if power != 1 {
            #if KERNELS_AVX512 || KERNELS_AVX2 || arch(arm64)
            let quotient = x * inverse
            let remainder = x.addingProduct(quotient, divisor)
            x = quotient.addingProduct(remainder, inverse)
            #else
            x = x / DoubleLanes(repeating: power)
            #endif
        }
        bytes.storeBytes(of: x, toByteOffset: 8 &* i, as: DoubleLanes.self)
    }
}

/// `values[i] += values[i - 1] + step` from left to right, modulo 2^64; the first becomes `first`.
@inline(never)
package func runningSum(
    _ values: UnsafeMutablePointer<UInt64>, _ count: Int, _ first: UInt64, _ step: UInt64
) {
    var value = first &- step &- values[0]
    for i in 0..<count {
        value = value &+ (values[i] &+ step)
        values[i] = value
    }
}

/// `target[i] = table[codes[i]]`; every code is within the table.
@inline(never)
package func lookUpWords(
    _ codes: UnsafePointer<UInt32>, _ count: Int, _ table: UnsafeRawPointer,
    _ target: UnsafeMutablePointer<UInt32>
) {
    for i in 0..<count {
        target[i] = table.loadUnaligned(fromByteOffset: 4 &* Int(codes[i]), as: UInt32.self)
    }
}

/// `lookUpWords` of 64 bits.
@inline(never)
package func lookUpLongs(
    _ codes: UnsafePointer<UInt32>, _ count: Int, _ table: UnsafeRawPointer,
    _ target: UnsafeMutablePointer<UInt64>
) {
    for i in 0..<count {
        target[i] = table.loadUnaligned(fromByteOffset: 8 &* Int(codes[i]), as: UInt64.self)
    }
}

/// Spreads values over the rows whose bit is set; the other rows get `frequent`.
///
/// First `frequent` everywhere and then one store a set bit: a choice a row costs a wrong guess for
/// every third row where the bits are as good as random.
/// - Parameters:
///   - bits: one a row, least significant first, words of 64 bits of any alignment; none is set
///     behind `count`.
///   - others: as many as bits are set.
///   - target: `[count]`, out.
@inline(never)
package func spreadWords(
    _ bits: UnsafeRawPointer, _ count: Int, _ others: UnsafePointer<UInt32>,
    _ frequent: UInt32, _ target: UnsafeMutablePointer<UInt32>
) {
    for row in 0..<count { target[row] = frequent }
    var other = others
    for row in stride(from: 0, to: count, by: 64) {
        var word = bits.loadUnaligned(fromByteOffset: row &>> 3, as: UInt64.self)
        let place = target + row
        while word != 0 {
            place[word.trailingZeroBitCount] = other.pointee
            other += 1
            word &= word &- 1
        }
    }
}

/// `spreadWords` of 64 bits.
@inline(never)
package func spreadLongs(
    _ bits: UnsafeRawPointer, _ count: Int, _ others: UnsafePointer<UInt64>,
    _ frequent: UInt64, _ target: UnsafeMutablePointer<UInt64>
) {
    for row in 0..<count { target[row] = frequent }
    var other = others
    for row in stride(from: 0, to: count, by: 64) {
        var word = bits.loadUnaligned(fromByteOffset: row &>> 3, as: UInt64.self)
        let place = target + row
        while word != 0 {
            place[word.trailingZeroBitCount] = other.pointee
            other += 1
            word &= word &- 1
        }
    }
}
