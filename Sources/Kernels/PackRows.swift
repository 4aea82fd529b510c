/// Brings up to 64 row-major rows into one feature-major block, zeros behind them.
///
/// Squares of `laneCount` rows and features are transposed in registers: writing a whole array's
/// even places before its odd ones rotates the bits of a place by one, and doing so log2(laneCount)
/// times exchanges row and feature.
///
/// - Parameters:
///   - rows: `[rowCount × featureCount]`, at most 64 rows.
///   - block: `[featureCount × 64]`, out.
@inline(never)
package func packRows(
    _ rows: UnsafePointer<Float>, _ rowCount: Int, _ featureCount: Int,
    _ block: UnsafeMutablePointer<Float>
) {
    var row = 0
    while row < blockRowCount {
        var feature = 0
        if row + laneCount <= rowCount {
            while feature + laneCount <= featureCount {
                transposeSquare(
                    rows + row * featureCount + feature, featureCount,
                    block + feature * blockRowCount + row)
                feature += laneCount
            }
        }
        while feature < featureCount {
            let target = block + feature * blockRowCount + row
            for i in 0..<laneCount {
                target[i] = row + i < rowCount ? rows[(row + i) * featureCount + feature] : 0
            }
            feature += 1
        }
        row += laneCount
    }
}

/// The even lanes of both, then the odd ones.
@inline(__always)
private func unshuffled(_ a: Lanes, _ b: Lanes) -> (Lanes, Lanes) {
    (
        Lanes(lowHalf: a.evenHalf, highHalf: b.evenHalf),
        Lanes(lowHalf: a.oddHalf, highHalf: b.oddHalf)
    )
}

@inline(__always)
private func transposeSquare(
    _ source: UnsafePointer<Float>, _ stride: Int, _ target: UnsafeMutablePointer<Float>
) {
    #if KERNELS_AVX512
    var (r0, r1) = (load(source), load(source + stride))
    var (r2, r3) = (load(source + 2 * stride), load(source + 3 * stride))
    var (r4, r5) = (load(source + 4 * stride), load(source + 5 * stride))
    var (r6, r7) = (load(source + 6 * stride), load(source + 7 * stride))
    var (r8, r9) = (load(source + 8 * stride), load(source + 9 * stride))
    var (r10, r11) = (load(source + 10 * stride), load(source + 11 * stride))
    var (r12, r13) = (load(source + 12 * stride), load(source + 13 * stride))
    var (r14, r15) = (load(source + 14 * stride), load(source + 15 * stride))
    for _ in 0..<4 {
        let (e0, o0) = unshuffled(r0, r1)
        let (e1, o1) = unshuffled(r2, r3)
        let (e2, o2) = unshuffled(r4, r5)
        let (e3, o3) = unshuffled(r6, r7)
        let (e4, o4) = unshuffled(r8, r9)
        let (e5, o5) = unshuffled(r10, r11)
        let (e6, o6) = unshuffled(r12, r13)
        let (e7, o7) = unshuffled(r14, r15)
        (r0, r1, r2, r3) = (e0, e1, e2, e3)
        (r4, r5, r6, r7) = (e4, e5, e6, e7)
        (r8, r9, r10, r11) = (o0, o1, o2, o3)
        (r12, r13, r14, r15) = (o4, o5, o6, o7)
    }
    store4(target, r0, r1, r2, r3)
    store4(target + 4 * blockRowCount, r4, r5, r6, r7)
    store4(target + 8 * blockRowCount, r8, r9, r10, r11)
    store4(target + 12 * blockRowCount, r12, r13, r14, r15)
    #elseif KERNELS_AVX2
    var (r0, r1) = (load(source), load(source + stride))
    var (r2, r3) = (load(source + 2 * stride), load(source + 3 * stride))
    var (r4, r5) = (load(source + 4 * stride), load(source + 5 * stride))
    var (r6, r7) = (load(source + 6 * stride), load(source + 7 * stride))
    for _ in 0..<3 {
        let (e0, o0) = unshuffled(r0, r1)
        let (e1, o1) = unshuffled(r2, r3)
        let (e2, o2) = unshuffled(r4, r5)
        let (e3, o3) = unshuffled(r6, r7)
        (r0, r1, r2, r3) = (e0, e1, e2, e3)
        (r4, r5, r6, r7) = (o0, o1, o2, o3)
    }
    store4(target, r0, r1, r2, r3)
    store4(target + 4 * blockRowCount, r4, r5, r6, r7)
    #else
    var (r0, r1) = (load(source), load(source + stride))
    var (r2, r3) = (load(source + 2 * stride), load(source + 3 * stride))
    for _ in 0..<2 {
        let (e0, o0) = unshuffled(r0, r1)
        let (e1, o1) = unshuffled(r2, r3)
        (r0, r1, r2, r3) = (e0, e1, o0, o1)
    }
    store4(target, r0, r1, r2, r3)
    #endif
}

/// One feature a register, 64 values apart.
@inline(__always)
private func store4(
    _ target: UnsafeMutablePointer<Float>, _ a: Lanes, _ b: Lanes, _ c: Lanes, _ d: Lanes
) {
    store(a, target)
    store(b, target + blockRowCount)
    store(c, target + 2 * blockRowCount)
    store(d, target + 3 * blockRowCount)
}
