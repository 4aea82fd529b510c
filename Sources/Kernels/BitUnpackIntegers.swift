// Integers of 1 to 32 bits in lane order, which BitUnpack.swift describes: every width has code of its
// own, in which all offsets and shifts are constants. A word is loaded once, not once a row, whatever
// its alignment, and a row within one word takes one shift.

#if KERNELS_AVX512
private typealias Words = SIMD16<UInt32>
private typealias Longs = SIMD8<UInt64>
#elseif KERNELS_AVX2
private typealias Words = SIMD8<UInt32>
private typealias Longs = SIMD4<UInt64>
#else
private typealias Words = SIMD4<UInt32>
private typealias Longs = SIMD2<UInt64>
#endif

/// Lanes of a group.
private let groupLanes = 16

/// Unpacks groups of 512 numbers and adds a reference, modulo 2^32.
/// - Parameters:
///   - source: `16 × width` words of 32 bits a group, of any alignment.
///   - width: 1 ... 32.
///   - target: `[512 × groupCount]`, out.
@inline(never)
package func unpackWords(
    _ source: UnsafeRawPointer, _ width: Int, _ groupCount: Int, _ reference: UInt32,
    _ target: UnsafeMutablePointer<UInt32>
) {
    for group in 0..<groupCount {
        unpackWords(
            source + 64 &* width &* group, width, Words(repeating: reference),
            UnsafeMutableRawPointer(target) + 4 &* 512 &* group)
    }
}

/// Unpacks groups of 512 numbers of at most 32 bits as 64-bit ones and adds a reference, modulo 2^64.
/// The parameters are those of `unpackWords`.
@inline(never)
package func unpackLongs(
    _ source: UnsafeRawPointer, _ width: Int, _ groupCount: Int, _ reference: UInt64,
    _ target: UnsafeMutablePointer<UInt64>
) {
    for group in 0..<groupCount {
        unpackLongs(
            source + 64 &* width &* group, width, Longs(repeating: reference),
            UnsafeMutableRawPointer(target) + 8 &* 512 &* group)
    }
}

/// A row of `laneCount` lanes; the width and the row are constants of the caller.
/// - Parameter word: the word with the row's first bits, which becomes that of the next row's.
@inline(__always)
private func nextRow(
    _ width: UInt32, _ row: UInt32, _ source: UnsafeRawPointer, _ word: inout Words, _ mask: Words
) -> Words {
    let shift = row &* width & 31
    var x = shift == 0 ? word : word &>> Words(repeating: shift)
    if shift &+ width < 32 { return x & mask }
    // The highest bits of a word: nothing to mask, and none to load behind the last row.
    if row == 31 { return x }
    word = source.loadUnaligned(
        fromByteOffset: Int(64 &* (row &* width / 32 &+ 1)), as: Words.self)
    if shift &+ width == 32 { return x }
    x |= word &<< Words(repeating: 32 &- shift)
    return x & mask
}

@inline(__always)
private func fourWords(
    _ width: UInt32, _ row: UInt32, _ source: UnsafeRawPointer, _ word: inout Words,
    _ mask: Words, _ reference: Words, _ target: UnsafeMutableRawPointer
) {
    let place = target + 64 &* Int(row)
    let a = nextRow(width, row, source, &word, mask) &+ reference
    let b = nextRow(width, row &+ 1, source, &word, mask) &+ reference
    let c = nextRow(width, row &+ 2, source, &word, mask) &+ reference
    let d = nextRow(width, row &+ 3, source, &word, mask) &+ reference
    place.storeBytes(of: a, as: Words.self)
    place.storeBytes(of: b, toByteOffset: 64, as: Words.self)
    place.storeBytes(of: c, toByteOffset: 128, as: Words.self)
    place.storeBytes(of: d, toByteOffset: 192, as: Words.self)
}

@inline(__always)
private func words(
    _ width: UInt32, _ source: UnsafeRawPointer, _ mask: Words, _ reference: Words,
    _ target: UnsafeMutableRawPointer
) {
    for lane in stride(from: 0, to: groupLanes, by: laneCount) {
        var word = (source + 4 &* lane).loadUnaligned(as: Words.self)
        fourWords(width, 0, source + 4 &* lane, &word, mask, reference, target + 4 &* lane)
        fourWords(width, 4, source + 4 &* lane, &word, mask, reference, target + 4 &* lane)
        fourWords(width, 8, source + 4 &* lane, &word, mask, reference, target + 4 &* lane)
        fourWords(width, 12, source + 4 &* lane, &word, mask, reference, target + 4 &* lane)
        fourWords(width, 16, source + 4 &* lane, &word, mask, reference, target + 4 &* lane)
        fourWords(width, 20, source + 4 &* lane, &word, mask, reference, target + 4 &* lane)
        fourWords(width, 24, source + 4 &* lane, &word, mask, reference, target + 4 &* lane)
        fourWords(width, 28, source + 4 &* lane, &word, mask, reference, target + 4 &* lane)
    }
}

@inline(__always)
private func unpackWords(
    _ source: UnsafeRawPointer, _ width: Int, _ reference: Words,
    _ target: UnsafeMutableRawPointer
) {
    let mask = Words(repeating: UInt32.max &>> UInt32(32 &- width))
    switch width {
    case 1: words1(source, mask, reference, target)
    case 2: words2(source, mask, reference, target)
    case 3: words3(source, mask, reference, target)
    case 4: words4(source, mask, reference, target)
    case 5: words5(source, mask, reference, target)
    case 6: words6(source, mask, reference, target)
    case 7: words7(source, mask, reference, target)
    case 8: words8(source, mask, reference, target)
    case 9: words9(source, mask, reference, target)
    case 10: words10(source, mask, reference, target)
    case 11: words11(source, mask, reference, target)
    case 12: words12(source, mask, reference, target)
    case 13: words13(source, mask, reference, target)
    case 14: words14(source, mask, reference, target)
    case 15: words15(source, mask, reference, target)
    case 16: words16(source, mask, reference, target)
    case 17: words17(source, mask, reference, target)
    case 18: words18(source, mask, reference, target)
    case 19: words19(source, mask, reference, target)
    case 20: words20(source, mask, reference, target)
    case 21: words21(source, mask, reference, target)
    case 22: words22(source, mask, reference, target)
    case 23: words23(source, mask, reference, target)
    case 24: words24(source, mask, reference, target)
    case 25: words25(source, mask, reference, target)
    case 26: words26(source, mask, reference, target)
    case 27: words27(source, mask, reference, target)
    case 28: words28(source, mask, reference, target)
    case 29: words29(source, mask, reference, target)
    case 30: words30(source, mask, reference, target)
    case 31: words31(source, mask, reference, target)
    default: words32(source, mask, reference, target)
    }
}

@inline(__always)
private func fourLongs(
    _ width: UInt32, _ row: UInt32, _ source: UnsafeRawPointer, _ word: inout Words,
    _ mask: Words, _ reference: Longs, _ target: UnsafeMutableRawPointer
) {
    let place = target + 128 &* Int(row)
    store(nextRow(width, row, source, &word, mask), reference, place)
    store(nextRow(width, row &+ 1, source, &word, mask), reference, place + 128)
    store(nextRow(width, row &+ 2, source, &word, mask), reference, place + 256)
    store(nextRow(width, row &+ 3, source, &word, mask), reference, place + 384)
}

@inline(__always)
private func store(_ x: Words, _ reference: Longs, _ place: UnsafeMutableRawPointer) {
    let (low, high) = widened(x)
    place.storeBytes(of: low &+ reference, as: Longs.self)
    place.storeBytes(of: high &+ reference, toByteOffset: 4 &* laneCount, as: Longs.self)
}

@inline(__always)
private func longs(
    _ width: UInt32, _ source: UnsafeRawPointer, _ mask: Words, _ reference: Longs,
    _ target: UnsafeMutableRawPointer
) {
    for lane in stride(from: 0, to: groupLanes, by: laneCount) {
        var word = (source + 4 &* lane).loadUnaligned(as: Words.self)
        fourLongs(width, 0, source + 4 &* lane, &word, mask, reference, target + 8 &* lane)
        fourLongs(width, 4, source + 4 &* lane, &word, mask, reference, target + 8 &* lane)
        fourLongs(width, 8, source + 4 &* lane, &word, mask, reference, target + 8 &* lane)
        fourLongs(width, 12, source + 4 &* lane, &word, mask, reference, target + 8 &* lane)
        fourLongs(width, 16, source + 4 &* lane, &word, mask, reference, target + 8 &* lane)
        fourLongs(width, 20, source + 4 &* lane, &word, mask, reference, target + 8 &* lane)
        fourLongs(width, 24, source + 4 &* lane, &word, mask, reference, target + 8 &* lane)
        fourLongs(width, 28, source + 4 &* lane, &word, mask, reference, target + 8 &* lane)
    }
}

@inline(__always)
private func unpackLongs(
    _ source: UnsafeRawPointer, _ width: Int, _ reference: Longs,
    _ target: UnsafeMutableRawPointer
) {
    let mask = Words(repeating: UInt32.max &>> UInt32(32 &- width))
    switch width {
    case 1: longs1(source, mask, reference, target)
    case 2: longs2(source, mask, reference, target)
    case 3: longs3(source, mask, reference, target)
    case 4: longs4(source, mask, reference, target)
    case 5: longs5(source, mask, reference, target)
    case 6: longs6(source, mask, reference, target)
    case 7: longs7(source, mask, reference, target)
    case 8: longs8(source, mask, reference, target)
    case 9: longs9(source, mask, reference, target)
    case 10: longs10(source, mask, reference, target)
    case 11: longs11(source, mask, reference, target)
    case 12: longs12(source, mask, reference, target)
    case 13: longs13(source, mask, reference, target)
    case 14: longs14(source, mask, reference, target)
    case 15: longs15(source, mask, reference, target)
    case 16: longs16(source, mask, reference, target)
    case 17: longs17(source, mask, reference, target)
    case 18: longs18(source, mask, reference, target)
    case 19: longs19(source, mask, reference, target)
    case 20: longs20(source, mask, reference, target)
    case 21: longs21(source, mask, reference, target)
    case 22: longs22(source, mask, reference, target)
    case 23: longs23(source, mask, reference, target)
    case 24: longs24(source, mask, reference, target)
    case 25: longs25(source, mask, reference, target)
    case 26: longs26(source, mask, reference, target)
    case 27: longs27(source, mask, reference, target)
    case 28: longs28(source, mask, reference, target)
    case 29: longs29(source, mask, reference, target)
    case 30: longs30(source, mask, reference, target)
    case 31: longs31(source, mask, reference, target)
    default: longs32(source, mask, reference, target)
    }
}

/// Every lane as 64 bits: the lower and the upper half.
@inline(__always)
private func widened(_ words: Words) -> (Longs, Longs) {
    var (low, high) = (Words.zero, Words.zero)
    low.evenHalf = words.lowHalf
    high.evenHalf = words.highHalf
    return (unsafeBitCast(low, to: Longs.self), unsafeBitCast(high, to: Longs.self))
}

// A function of its own for every width: as calls of one switch the compiler would make them one again,
// with offsets and shifts that are computed row by row.

@inline(never)
private func words1(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(1, s, m, r, t)
}
@inline(never)
private func words2(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(2, s, m, r, t)
}
@inline(never)
private func words3(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(3, s, m, r, t)
}
@inline(never)
private func words4(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(4, s, m, r, t)
}
@inline(never)
private func words5(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(5, s, m, r, t)
}
@inline(never)
private func words6(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(6, s, m, r, t)
}
@inline(never)
private func words7(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(7, s, m, r, t)
}
@inline(never)
private func words8(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(8, s, m, r, t)
}
@inline(never)
private func words9(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(9, s, m, r, t)
}
@inline(never)
private func words10(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(10, s, m, r, t)
}
@inline(never)
private func words11(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(11, s, m, r, t)
}
@inline(never)
private func words12(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(12, s, m, r, t)
}
@inline(never)
private func words13(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(13, s, m, r, t)
}
@inline(never)
private func words14(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(14, s, m, r, t)
}
@inline(never)
private func words15(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(15, s, m, r, t)
}
@inline(never)
private func words16(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(16, s, m, r, t)
}
@inline(never)
private func words17(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(17, s, m, r, t)
}
@inline(never)
private func words18(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(18, s, m, r, t)
}
@inline(never)
private func words19(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(19, s, m, r, t)
}
@inline(never)
private func words20(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(20, s, m, r, t)
}
@inline(never)
private func words21(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(21, s, m, r, t)
}
@inline(never)
private func words22(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(22, s, m, r, t)
}
@inline(never)
private func words23(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(23, s, m, r, t)
}
@inline(never)
private func words24(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(24, s, m, r, t)
}
@inline(never)
private func words25(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(25, s, m, r, t)
}
@inline(never)
private func words26(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(26, s, m, r, t)
}
@inline(never)
private func words27(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(27, s, m, r, t)
}
@inline(never)
private func words28(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(28, s, m, r, t)
}
@inline(never)
private func words29(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(29, s, m, r, t)
}
@inline(never)
private func words30(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(30, s, m, r, t)
}
@inline(never)
private func words31(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(31, s, m, r, t)
}
@inline(never)
private func words32(_ s: UnsafeRawPointer, _ m: Words, _ r: Words, _ t: UnsafeMutableRawPointer) {
    words(32, s, m, r, t)
}
@inline(never)
private func longs1(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(1, s, m, r, t)
}
@inline(never)
private func longs2(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(2, s, m, r, t)
}
@inline(never)
private func longs3(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(3, s, m, r, t)
}
@inline(never)
private func longs4(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(4, s, m, r, t)
}
@inline(never)
private func longs5(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(5, s, m, r, t)
}
@inline(never)
private func longs6(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(6, s, m, r, t)
}
@inline(never)
private func longs7(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(7, s, m, r, t)
}
@inline(never)
private func longs8(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(8, s, m, r, t)
}
@inline(never)
private func longs9(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(9, s, m, r, t)
}
@inline(never)
private func longs10(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(10, s, m, r, t)
}
@inline(never)
private func longs11(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(11, s, m, r, t)
}
@inline(never)
private func longs12(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(12, s, m, r, t)
}
@inline(never)
private func longs13(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(13, s, m, r, t)
}
@inline(never)
private func longs14(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(14, s, m, r, t)
}
@inline(never)
private func longs15(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(15, s, m, r, t)
}
@inline(never)
private func longs16(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(16, s, m, r, t)
}
@inline(never)
private func longs17(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(17, s, m, r, t)
}
@inline(never)
private func longs18(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(18, s, m, r, t)
}
@inline(never)
private func longs19(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(19, s, m, r, t)
}
@inline(never)
private func longs20(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(20, s, m, r, t)
}
@inline(never)
private func longs21(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(21, s, m, r, t)
}
@inline(never)
private func longs22(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(22, s, m, r, t)
}
@inline(never)
private func longs23(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(23, s, m, r, t)
}
@inline(never)
private func longs24(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(24, s, m, r, t)
}
@inline(never)
private func longs25(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(25, s, m, r, t)
}
@inline(never)
private func longs26(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(26, s, m, r, t)
}
@inline(never)
private func longs27(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(27, s, m, r, t)
}
@inline(never)
private func longs28(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(28, s, m, r, t)
}
@inline(never)
private func longs29(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(29, s, m, r, t)
}
@inline(never)
private func longs30(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(30, s, m, r, t)
}
@inline(never)
private func longs31(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(31, s, m, r, t)
}
@inline(never)
private func longs32(_ s: UnsafeRawPointer, _ m: Words, _ r: Longs, _ t: UnsafeMutableRawPointer) {
    longs(32, s, m, r, t)
}
