// Predicates and sums over 512 values that were just unpacked and lie in the first-level cache.
//
// A selection is in lane order like the packed numbers: bit r of word l stands for value 16 r + l.
// A comparison of 16 neighbouring values then sets bit r of 16 words at once; the order of rows
// needs a movement from mask registers that plain vector code has no word for.

#if KERNELS_AVX512
private typealias Words = SIMD16<UInt32>
private typealias Longs = SIMD8<UInt64>
private typealias HalfLanes = SIMD8<Float>
private typealias HalfWords = SIMD8<UInt32>
private let longCount = 8
#elseif KERNELS_AVX2
private typealias Words = SIMD8<UInt32>
private typealias Longs = SIMD4<UInt64>
private typealias HalfLanes = SIMD4<Float>
private typealias HalfWords = SIMD4<UInt32>
private let longCount = 4
#else
private typealias Words = SIMD4<UInt32>
private typealias Longs = SIMD2<UInt64>
private typealias HalfLanes = SIMD2<Float>
private typealias HalfWords = SIMD2<UInt32>
private let longCount = 2
#endif

private let groupLanes = 16
private let groupRows = 32

@inline(__always)
private func words(_ source: UnsafeRawPointer, _ index: Int) -> Words {
    source.loadUnaligned(fromByteOffset: 4 &* index, as: Words.self)
}

@inline(__always)
private func longs(_ source: UnsafeRawPointer, _ index: Int) -> Longs {
    source.loadUnaligned(fromByteOffset: 8 &* index, as: Longs.self)
}

@inline(__always)
private func doubles(_ source: UnsafeRawPointer, _ index: Int) -> DoubleLanes {
    source.loadUnaligned(fromByteOffset: 8 &* index, as: DoubleLanes.self)
}

@inline(__always)
private func storeNarrow(_ value: Longs, _ target: UnsafeMutablePointer<UInt32>) {
    for lane in 0..<longCount { target[lane] = UInt32(truncatingIfNeeded: value[lane]) }
}

/// Selects the values of `lower ... lower + span`, modulo 2^32.
/// - Parameters:
///   - values: `[512]`.
///   - selection: `[16]`, out.
@inline(never)
package func selectWords(
    _ values: UnsafePointer<UInt32>, _ lower: UInt32, _ span: UInt32,
    _ selection: UnsafeMutablePointer<UInt32>
) {
    let (lower, span) = (Words(repeating: lower), Words(repeating: span))
    for lane in stride(from: 0, to: groupLanes, by: laneCount) {
        var selected = Words.zero
        var bit = Words(repeating: 1)
        for row in 0..<groupRows {
            let inside = words(values, groupLanes &* row &+ lane) &- lower .<= span
            selected |= Words.zero.replacing(with: bit, where: inside)
            bit = bit &+ bit
        }
        UnsafeMutableRawPointer(selection + lane).storeBytes(of: selected, as: Words.self)
    }
}

/// Selects the values of `lower ... lower + span`, modulo 2^64.
@inline(never)
package func selectLongs(
    _ values: UnsafePointer<UInt64>, _ lower: UInt64, _ span: UInt64,
    _ selection: UnsafeMutablePointer<UInt32>
) {
    let (lower, span) = (Longs(repeating: lower), Longs(repeating: span))
    for lane in stride(from: 0, to: groupLanes, by: longCount) {
        var selected = Longs.zero
        var bit = Longs(repeating: 1)
        for row in 0..<groupRows {
            let inside = longs(values, groupLanes &* row &+ lane) &- lower .<= span
            selected |= Longs.zero.replacing(with: bit, where: inside)
            bit = bit &+ bit
        }
        storeNarrow(selected, selection + lane)
    }
}

/// Selects the values of `lower ... upper`, never NaN.
@inline(never)
package func selectFloats(
    _ values: UnsafePointer<Float>, _ lower: Float, _ upper: Float,
    _ selection: UnsafeMutablePointer<UInt32>
) {
    let (lower, upper) = (splat(lower), splat(upper))
    for lane in stride(from: 0, to: groupLanes, by: laneCount) {
        var selected = Words.zero
        var bit = Words(repeating: 1)
        for row in 0..<groupRows {
            let x = load(values + (groupLanes &* row &+ lane))
            let above = Words.zero.replacing(
                with: bit, where: x .>= lower)
            selected |= Words.zero.replacing(
                with: above,
                where: x .<= upper)
            bit = bit &+ bit
        }
        UnsafeMutableRawPointer(selection + lane).storeBytes(of: selected, as: Words.self)
    }
}

/// Selects the values of `lower ... upper`, never NaN.
@inline(never)
package func selectDoubles(
    _ values: UnsafePointer<Double>, _ lower: Double, _ upper: Double,
    _ selection: UnsafeMutablePointer<UInt32>
) {
    let (lower, upper) = (DoubleLanes(repeating: lower), DoubleLanes(repeating: upper))
    for lane in stride(from: 0, to: groupLanes, by: longCount) {
        var selected = Longs.zero
        var bit = Longs(repeating: 1)
        for row in 0..<groupRows {
            let x = doubles(values, groupLanes &* row &+ lane)
            let above = Longs.zero.replacing(
                with: bit, where: x .>= lower)
            selected |= Longs.zero.replacing(
                with: above,
                where: x .<= upper)
            bit = bit &+ bit
        }
        storeNarrow(selected, selection + lane)
    }
}

@inline(__always)
private func widened(_ words: HalfWords) -> Longs {
    var result = Words.zero
    result.evenHalf = words
    return unsafeBitCast(result, to: Longs.self)
}

@inline(__always)
private func widened(_ x: HalfLanes) -> DoubleLanes {
    #if KERNELS_AVX512
    return DoubleLanes(
        Double(x[0]), Double(x[1]), Double(x[2]), Double(x[3]), Double(x[4]), Double(x[5]),
        Double(x[6]), Double(x[7]))
    #elseif KERNELS_AVX2
    return DoubleLanes(Double(x[0]), Double(x[1]), Double(x[2]), Double(x[3]))
    #else
    return DoubleLanes(Double(x[0]), Double(x[1]))
    #endif
}

/// Adds the selected values to 16 sums, one a lane, rows in order: the same bits in every build.
@inline(never)
package func sumFloats(
    _ values: UnsafePointer<Float>, _ selection: UnsafePointer<UInt32>,
    _ sums: UnsafeMutablePointer<Double>
) {
    for lane in stride(from: 0, to: groupLanes, by: longCount) {
        let selected = widened(
            UnsafeRawPointer(selection + lane).loadUnaligned(as: HalfWords.self))
        var bit = Longs(repeating: 1)
        var sum = doubles(sums, lane)
        for row in 0..<groupRows {
            let x = widened(
                UnsafeRawPointer(values + (groupLanes &* row &+ lane))
                    .loadUnaligned(as: HalfLanes.self))
            sum += DoubleLanes.zero.replacing(
                with: x,
                where: selected & bit .!= Longs.zero)
            bit = bit &+ bit
        }
        UnsafeMutableRawPointer(sums + lane).storeBytes(of: sum, as: DoubleLanes.self)
    }
}

/// `sumFloats` of doubles.
@inline(never)
package func sumDoubles(
    _ values: UnsafePointer<Double>, _ selection: UnsafePointer<UInt32>,
    _ sums: UnsafeMutablePointer<Double>
) {
    for lane in stride(from: 0, to: groupLanes, by: longCount) {
        let selected = widened(
            UnsafeRawPointer(selection + lane).loadUnaligned(as: HalfWords.self))
        var bit = Longs(repeating: 1)
        var sum = doubles(sums, lane)
        for row in 0..<groupRows {
            sum += DoubleLanes.zero.replacing(
                with: doubles(values, groupLanes &* row &+ lane),
                where: selected & bit .!= Longs.zero)
            bit = bit &+ bit
        }
        UnsafeMutableRawPointer(sums + lane).storeBytes(of: sum, as: DoubleLanes.self)
    }
}

/// Adds the low and the high 32 bits of the selected values, less 2^63 each, to 16 sums of their
/// own: 2^32 calls cannot overflow them.
/// - Parameter sums: `[2 × 16]`, the low halves first.
@inline(never)
package func sumLongs(
    _ values: UnsafePointer<UInt64>, _ selection: UnsafePointer<UInt32>,
    _ sums: UnsafeMutablePointer<UInt64>
) {
    let sign = Longs(repeating: 1 &<< 63)
    let mask = Longs(repeating: 0xFFFF_FFFF)
    for lane in stride(from: 0, to: groupLanes, by: longCount) {
        let selected = widened(
            UnsafeRawPointer(selection + lane).loadUnaligned(as: HalfWords.self))
        var bit = Longs(repeating: 1)
        var (low, high) = (longs(sums, lane), longs(sums, groupLanes + lane))
        for row in 0..<groupRows {
            let x = Longs.zero.replacing(
                with: longs(values, groupLanes &* row &+ lane) ^ sign,
                where: selected & bit .!= Longs.zero)
            low &+= x & mask
            high &+= x &>> Longs(repeating: 32)
            bit = bit &+ bit
        }
        let bytes = UnsafeMutableRawPointer(sums + lane)
        bytes.storeBytes(of: low, as: Longs.self)
        bytes.storeBytes(of: high, toByteOffset: 8 &* groupLanes, as: Longs.self)
    }
}
