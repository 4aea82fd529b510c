// exp, log and the logistic function of many values at once, branch-free: lanes are values.
//
// Rounding to an integer, and an integer back to a float, go through "magic" numbers: adding
// 1.5 · 2^23 (2^52 for doubles) leaves the nearest integer in the low bits of the sum, and shifting
// these bits up by the significand's width drops everything else. Conversions of whole vectors
// compile to one call a lane.
//
// Source: the reductions are those of P.-T. P. Tang, "Table-driven implementation of the
// exponential function", 1989 (without the table) and of Sun's fdlibm, e_log.c (1993), section
// "Method"; the polynomials were fitted here (Remez, relative error in the comments).

@inline(__always)
private func spread(_ value: Double) -> DoubleLanes { DoubleLanes(repeating: value) }

@inline(__always)
private func bits(_ value: Lanes) -> BitLanes { unsafeBitCast(value, to: BitLanes.self) }

@inline(__always)
private func floats(_ value: BitLanes) -> Lanes { unsafeBitCast(value, to: Lanes.self) }

@inline(__always)
private func bits(_ value: DoubleLanes) -> DoubleBitLanes {
    unsafeBitCast(value, to: DoubleBitLanes.self)
}

@inline(__always)
private func doubles(_ value: DoubleBitLanes) -> DoubleLanes {
    unsafeBitCast(value, to: DoubleLanes.self)
}

/// 1.5 · 2^23 and 1.5 · 2^52.
private let magic: Float = 12_582_912
private let doubleMagic = 6_755_399_441_055_744.0

/// e^x = 2^n · e^r with n = round(x / ln 2) and |r| <= ln 2 / 2.
@inline(__always)
private func exponential(_ x: Lanes) -> Lanes {
    // Beyond these the result is infinite or zero, and n would leave what two factors can hold.
    var x = x
    x.replace(with: splat(90), where: x .> splat(90))
    x.replace(with: splat(-105), where: x .< splat(-105))
    let n = multiplyAdd(splat(magic), x, splat(1.442_695_04)) - splat(magic)
    var r = multiplyAdd(x, n, splat(-0.693_115_234_375))
    r = multiplyAdd(r, n, splat(-3.194_618_494_53e-5))
    // e^r = 1 + r + r² q(r); 3.1e-9.
    var q = splat(0.001_381_446_705_93)
    q = multiplyAdd(splat(0.008_368_780_411_18), q, r)
    q = multiplyAdd(splat(0.041_668_394_210_9), q, r)
    q = multiplyAdd(splat(0.166_665_201_078), q, r)
    q = multiplyAdd(splat(0.499_999_934_125), q, r)
    let power = multiplyAdd(r, r * r, q) + splat(1)
    // Two factors of 2^(n/2): a result below the normal range is then rounded once.
    let half = multiplyAdd(splat(magic), n, splat(0.5))
    let rest = n - (half - splat(magic)) + splat(magic)
    let one = BitLanes(repeating: 127 << 23)
    let first = floats((bits(half) &<< 23) &+ one)
    let second = floats((bits(rest) &<< 23) &+ one)
    return power * first * second
}

/// n = round(x / ln 2) and e^r − 1 for r = x − n ln 2, to half a unit in the last place of e^r.
@inline(__always)
func reducedExponential(_ x: DoubleLanes) -> (n: DoubleLanes, rest: DoubleLanes) {
    let magic = spread(doubleMagic)
    let n = multiplyAdd(magic, x, spread(1.442_695_040_888_963_4)) - magic
    var r = multiplyAdd(x, n, spread(-0.693_147_180_485_539_1))
    r = multiplyAdd(r, n, spread(-7.440_617_110_012_396_7e-11))
    // 3.7e-18.
    var q = spread(2.499_996_535_964_057_4e-8)
    q = multiplyAdd(spread(2.763_037_862_521_098_7e-7), q, r)
    q = multiplyAdd(spread(2.755_758_734_216_402_6e-6), q, r)
    q = multiplyAdd(spread(2.480_149_276_278_181_1e-5), q, r)
    q = multiplyAdd(spread(1.984_126_950_476_538_3e-4), q, r)
    q = multiplyAdd(spread(1.388_888_894_392_265_5e-3), q, r)
    q = multiplyAdd(spread(8.333_333_333_495_623_8e-3), q, r)
    q = multiplyAdd(spread(4.166_666_666_652_918_9e-2), q, r)
    q = multiplyAdd(spread(0.166_666_666_666_664_10), q, r)
    q = multiplyAdd(spread(0.500_000_000_000_001_07), q, r)
    return (n, multiplyAdd(r, r * r, q))
}

/// 2^n for whole n in -1022...1023.
@inline(__always)
func powerOfTwo(_ n: DoubleLanes) -> DoubleLanes {
    doubles((bits(n + spread(doubleMagic)) &<< 52) &+ DoubleBitLanes(repeating: 1023 << 52))
}

/// As for `Float`.
@inline(__always)
private func exponential(_ x: DoubleLanes) -> DoubleLanes {
    var x = x
    x.replace(with: spread(711), where: x .> spread(711))
    x.replace(with: spread(-747), where: x .< spread(-747))
    let (n, rest) = reducedExponential(x)
    let magic = spread(doubleMagic)
    let half = multiplyAdd(magic, n, spread(0.5)) - magic
    return (rest + spread(1.0)) * powerOfTwo(half) * powerOfTwo(n - half)
}

/// x = 2^n · (1 + f) with 1 + f in sqrt(1/2) ..< sqrt(2), and ln(1 + f) = 2 artanh(f / (2 + f)).
@inline(__always)
private func logarithm(_ x: Lanes) -> Lanes {
    // Numbers below the normal range are scaled into it.
    let isSmall = x .< splat(.leastNormalMagnitude)
    var scaled = x
    scaled.replace(with: x * splat(8_388_608), where: isSmall)
    var offset = splat(magic + 127)
    offset.replace(with: splat(magic + 127 + 23), where: isSmall)
    let shifted = bits(scaled) &+ BitLanes(repeating: 0x3F80_0000 - 0x3F35_04F3)
    let n = floats((shifted &>> 23) | BitLanes(repeating: 0x4B40_0000)) - offset
    let mantissa = (shifted & BitLanes(repeating: 0x007F_FFFF)) &+ BitLanes(repeating: 0x3F35_04F3)
    let f = floats(mantissa) - splat(1)
    let s = f / (f + splat(2))
    let z = s * s
    // 1.6e-9.
    var q = splat(0.298_744_204_1)
    q = multiplyAdd(splat(0.399_774_494_8), q, z)
    q = multiplyAdd(splat(0.666_667_770_5), q, z)
    let halfSquare = f * f * splat(0.5)
    let low = multiplyAdd(s * multiplyAdd(halfSquare, q, z), n, splat(3.194_618_494_53e-5))
    var result = multiplyAdd(f - (halfSquare - low), n, splat(0.693_115_234_375))
    result.replace(with: splat(-.infinity), where: x .== splat(0))
    result.replace(with: splat(.nan), where: x .< splat(0))
    // Infinity stays, and a number that is none stays none.
    result.replace(with: x, where: .!(x .< splat(.infinity)))
    return result
}

/// As for `Float`.
@inline(__always)
func logarithm(_ x: DoubleLanes) -> DoubleLanes {
    let isSmall = x .< spread(.leastNormalMagnitude)
    var scaled = x
    scaled.replace(with: x * spread(4_503_599_627_370_496.0), where: isSmall)
    var offset = spread(doubleMagic + 1023)
    offset.replace(with: spread(doubleMagic + 1023 + 52), where: isSmall)
    let shifted =
        bits(scaled) &+ DoubleBitLanes(repeating: 0x3FF0_0000_0000_0000 - 0x3FE6_A09E_667F_3BCD)
    let n = doubles((shifted &>> 52) | DoubleBitLanes(repeating: 0x4338_0000_0000_0000)) - offset
    let mantissa =
        (shifted & DoubleBitLanes(repeating: 0x000F_FFFF_FFFF_FFFF))
        &+ DoubleBitLanes(repeating: 0x3FE6_A09E_667F_3BCD)
    let f = doubles(mantissa) - spread(1.0)
    let s = f / (f + spread(2.0))
    let z = s * s
    // 2.5e-18.
    var q = spread(0.147_990_678_750_303_68)
    q = multiplyAdd(spread(0.153_137_555_729_339_30), q, z)
    q = multiplyAdd(spread(0.181_835_751_733_012_95), q, z)
    q = multiplyAdd(spread(0.222_221_983_783_132_46), q, z)
    q = multiplyAdd(spread(0.285_714_287_431_441_80), q, z)
    q = multiplyAdd(spread(0.399_999_999_994_074_78), q, z)
    q = multiplyAdd(spread(0.666_666_666_666_673_54), q, z)
    let halfSquare = f * f * spread(0.5)
    let low = multiplyAdd(s * multiplyAdd(halfSquare, q, z), n, spread(7.440_617_110_012_396_7e-11))
    var result = multiplyAdd(f - (halfSquare - low), n, spread(0.693_147_180_485_539_1))
    result.replace(with: spread(-.infinity), where: x .== spread(0.0))
    result.replace(with: spread(.nan), where: x .< spread(0.0))
    result.replace(with: x, where: .!(x .< spread(.infinity)))
    return result
}

/// 1 / (1 + e^-x) from e^-|x|: no overflow, and full relative accuracy far below zero.
@inline(__always)
func logistic(_ x: Lanes) -> Lanes {
    let isNegative = x .< splat(0)
    var magnitude = x
    magnitude.replace(with: -x, where: isNegative)
    let power = exponential(-magnitude)
    var top = splat(1)
    top.replace(with: power, where: isNegative)
    return top / (power + splat(1))
}

/// As for `Float`.
@inline(__always)
private func logistic(_ x: DoubleLanes) -> DoubleLanes {
    let isNegative = x .< spread(0.0)
    var magnitude = x
    magnitude.replace(with: -x, where: isNegative)
    let power = exponential(-magnitude)
    var top = spread(1.0)
    top.replace(with: power, where: isNegative)
    return top / (power + spread(1.0))
}

/// The values that a vector has no room for, in lanes of their own; the other lanes are zero.
@inline(__always)
private func loadTail(_ source: UnsafePointer<Float>, _ count: Int) -> Lanes {
    var lanes = Lanes.zero
    for i in 0..<count { lanes[i] = source[i] }
    return lanes
}

@inline(__always)
private func storeTail(_ value: Lanes, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    for i in 0..<count { target[i] = value[i] }
}

@inline(__always)
func loadTail(_ source: UnsafePointer<Double>, _ count: Int) -> DoubleLanes {
    var lanes = DoubleLanes.zero
    for i in 0..<count { lanes[i] = source[i] }
    return lanes
}

@inline(__always)
private func storeTail(_ value: DoubleLanes, _ target: UnsafeMutablePointer<Double>, _ count: Int) {
    for i in 0..<count { target[i] = value[i] }
}

/// `output[i] = f(x[i])`; inlined, so that nothing is called.
@inline(__always)
private func map(
    _ x: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>, _ count: Int,
    _ f: (Lanes) -> Lanes
) {
    var i = 0
    while i + laneCount <= count {
        store(f(load(x + i)), output + i)
        i += laneCount
    }
    storeTail(f(loadTail(x + i, count - i)), output + i, count - i)
}

@inline(__always)
private func map(
    _ x: UnsafePointer<Double>, _ output: UnsafeMutablePointer<Double>, _ count: Int,
    _ f: (DoubleLanes) -> DoubleLanes
) {
    var i = 0
    while i + doubleLaneCount <= count {
        store(f(load(x + i)), output + i)
        i += doubleLaneCount
    }
    storeTail(f(loadTail(x + i, count - i)), output + i, count - i)
}

/// `output[i] = e^x[i]`.
/// - Parameters:
///   - x: `[count]`.
///   - output: `[count]`, out; may be `x` itself.
@inline(never)
package func exponentials(
    _ x: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>, _ count: Int
) {
    map(x, output, count) { exponential($0) }
}

/// `output[i] = e^x[i]`, as for `Float`.
@inline(never)
package func exponentials(
    _ x: UnsafePointer<Double>, _ output: UnsafeMutablePointer<Double>, _ count: Int
) {
    map(x, output, count) { exponential($0) }
}

/// `output[i] = ln x[i]`.
/// - Parameters:
///   - x: `[count]`.
///   - output: `[count]`, out; may be `x` itself.
@inline(never)
package func logarithms(
    _ x: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>, _ count: Int
) {
    map(x, output, count) { logarithm($0) }
}

/// `output[i] = ln x[i]`, as for `Float`.
@inline(never)
package func logarithms(
    _ x: UnsafePointer<Double>, _ output: UnsafeMutablePointer<Double>, _ count: Int
) {
    map(x, output, count) { logarithm($0) }
}

/// `output[i] = 1 / (1 + e^-x[i])`.
/// - Parameters:
///   - x: `[count]`.
///   - output: `[count]`, out; may be `x` itself.
@inline(never)
package func logistics(
    _ x: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>, _ count: Int
) {
    map(x, output, count) { logistic($0) }
}

/// `output[i] = 1 / (1 + e^-x[i])`, as for `Float`.
@inline(never)
package func logistics(
    _ x: UnsafePointer<Double>, _ output: UnsafeMutablePointer<Double>, _ count: Int
) {
    map(x, output, count) { logistic($0) }
}
