// The two loops of growing trees that are vectors: the gradients of a logistic loss, lanes being
// rows, and the gains of all splits of a column, lanes being thresholds.

#if KERNELS_AVX512
private typealias TwoLanes = SIMD32<Float>
private typealias TwoBitLanes = SIMD32<UInt32>
#elseif KERNELS_AVX2
private typealias TwoLanes = SIMD16<Float>
private typealias TwoBitLanes = SIMD16<UInt32>
#else
private typealias TwoLanes = SIMD8<Float>
private typealias TwoBitLanes = SIMD8<UInt32>
#endif

@inline(__always)
private func bits(_ value: Lanes) -> BitLanes { unsafeBitCast(value, to: BitLanes.self) }

/// 1.5 · 2^23: adding it leaves the nearest integer in the low bits.
private let magic: Float = 12_582_912

/// Gradient and Hessian of the log-loss of rows, p = 1 / (1 + e^-score):
///
///     g = weight (p - target),   h = weight p (1 - p)
///
/// as they are, and as one word (TreeRows.swift) after scaling and random rounding, which is right
/// on average: a Hessian far below a unit would otherwise vanish from every sum.
/// - Parameters:
///   - count: a multiple of 16; the arrays are filled up with rows of weight 0.
///   - firstRow: the number of the first row, for its random number.
///   - seed: of the rounding.
///   - gradientScale, hessianScale: so that |g| · scale <= 16380, h · scale <= 4090.
///   - pairs: `[count × 2]`, out.
///   - packed: `[count]`, out.
@inline(never)
package func logisticGradients(
    _ scores: UnsafePointer<Float>, _ targets: UnsafePointer<Float>,
    _ weights: UnsafePointer<Float>, _ count: Int, _ firstRow: UInt32, _ seed: UInt32,
    _ gradientScale: Float, _ hessianScale: Float, _ pairs: UnsafeMutablePointer<Float>,
    _ packed: UnsafeMutablePointer<UInt64>
) {
    var row = BitLanes.zero
    for lane in 0..<laneCount { row[lane] = firstRow &+ UInt32(lane) }
    let step = BitLanes(repeating: UInt32(laneCount))
    let (gScale, hScale) = (splat(gradientScale), splat(hessianScale))
    let one = BitLanes(repeating: 0x3F80_0000)
    let magicBits = BitLanes(repeating: magic.bitPattern)
    for i in stride(from: 0, to: count, by: laneCount) {
        let p = logistic(load(scores + i))
        let weight = load(weights + i)
        let g = (p - load(targets + i)) * weight
        let h = p * (splat(1) - p) * weight
        var pair = TwoLanes.zero
        pair.evenHalf = g
        pair.oddHalf = h
        UnsafeMutableRawPointer(pairs + 2 &* i).storeBytes(of: pair, as: TwoLanes.self)
        // Two rounds of multiply and shift, as the finalizers of hash functions do.
        var x = (row &* BitLanes(repeating: 0x9E37_79B1)) ^ BitLanes(repeating: seed)
        x ^= x &>> 15
        x = x &* BitLanes(repeating: 0x85EB_CA77)
        x ^= x &>> 13
        let y = x &* BitLanes(repeating: 0xC2B2_AE3D)
        let u = unsafeBitCast((x &>> 9) | one, to: Lanes.self) - splat(1.5)
        let v = unsafeBitCast((y &>> 9) | one, to: Lanes.self) - splat(1.5)
        let gUnits = bits((g * gScale + u) + splat(magic)) &- magicBits
        let hUnits = bits((h * hScale + v) + splat(magic)) &- magicBits
        var word = TwoBitLanes.zero
        word.evenHalf = (hUnits &<< 13) &+ BitLanes(repeating: 1)
        word.oddHalf = gUnits &<< 5
        UnsafeMutableRawPointer(packed + i).storeBytes(of: word, as: TwoBitLanes.self)
        row = row &+ step
    }
}

/// The best of the splits of a column "the first bins left, the others right".
///
///     gain = G_l² / (H_l + λ) + G_r² / (H_r + λ)
///
/// - Parameters:
///   - gradients, hessians, rows: `[count]`: sums over all bins up to the one at the index; filled up
///     to a multiple of 16 with any numbers.
///   - totals: `[3]`: gradient, Hessian and rows of all.
///   - extra: `[3]`: the same of the missing, added to the left side.
///   - limits: `[3]`: least rows and least Hessian of a side, λ.
///   - best: `[2]`, out: the highest gain and, of the splits that have it, the lowest index; -1 and
///     0 where no split is allowed.
@inline(never)
package func bestSplit(
    _ gradients: UnsafePointer<Double>, _ hessians: UnsafePointer<Double>,
    _ rows: UnsafePointer<Double>, _ count: Int, _ totals: UnsafePointer<Double>,
    _ extra: UnsafePointer<Double>, _ limits: UnsafePointer<Double>,
    _ best: UnsafeMutablePointer<Double>
) {
    func spread(_ value: Double) -> DoubleLanes { DoubleLanes(repeating: value) }
    let (allG, allH, allN) = (spread(totals[0]), spread(totals[1]), spread(totals[2]))
    let (extraG, extraH, extraN) = (spread(extra[0]), spread(extra[1]), spread(extra[2]))
    let (leastN, leastH, lambda) = (spread(limits[0]), spread(limits[1]), spread(limits[2]))
    var index = DoubleLanes.zero
    for lane in 0..<doubleLaneCount { index[lane] = Double(lane) }
    var (bestGain, bestIndex) = (spread(-1), DoubleLanes.zero)
    let (step, end) = (spread(Double(doubleLaneCount)), spread(Double(count)))
    for i in stride(from: 0, to: count, by: doubleLaneCount) {
        let leftG = load(gradients + i) + extraG
        let leftH = load(hessians + i) + extraH
        let leftN = load(rows + i) + extraN
        let (rightG, rightH, rightN) = (allG - leftG, allH - leftH, allN - leftN)
        var gain = leftG * leftG / (leftH + lambda) + rightG * rightG / (rightH + lambda)
        gain.replace(with: spread(-1), where: leftN .< leastN)
        gain.replace(with: spread(-1), where: rightN .< leastN)
        gain.replace(with: spread(-1), where: leftH .< leastH)
        gain.replace(with: spread(-1), where: rightH .< leastH)
        gain.replace(with: spread(-1), where: index .>= end)
        let isBetter = gain .> bestGain
        bestGain.replace(with: gain, where: isBetter)
        bestIndex.replace(with: index, where: isBetter)
        index += step
    }
    var (gain, place) = (bestGain[0], bestIndex[0])
    for lane in 1..<doubleLaneCount {
        if bestGain[lane] > gain || (bestGain[lane] == gain && bestIndex[lane] < place) {
            (gain, place) = (bestGain[lane], bestIndex[lane])
        }
    }
    best[0] = gain
    best[1] = place
}
