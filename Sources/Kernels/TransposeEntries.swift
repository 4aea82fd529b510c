// The panel of FewEntries.swift: rows of the other side, brought from "lanes are factors" to "lanes are
// systems".

/// Factors that are transposed at a time; wider rows take several rounds.
let panelFactors = 64

/// Four entries' factors side by side for all lanes, times √d.
@inline(never)
func transposeEntries(
    _ rows: UnsafePointer<Float>, _ width: Int, _ factorCount: Int,
    _ offsets: UnsafePointer<Int32>, _ roots: UnsafePointer<Float>, _ n: Int,
    _ panel: UnsafeMutablePointer<Float>
) {
    // Read at run time: the optimiser would take unrolled rounds apart into single lanes.
    let rounds = transposeRounds
    for i in 0..<n {
        let target = panel + (i / 4 * panelFactors * 4 + i % 4) * laneCount
        var factor = 0
        while factor < factorCount {
            transposeTile(
                rows + factor, width, offsets + i * laneCount,
                roots + i * laneCount, target + factor * 4 * laneCount, rounds)
            factor += laneCount
        }
    }
}

/// log₂ of `laneCount`.
private let transposeRounds = laneCount.trailingZeroBitCount

/// The even lanes of both, and the odd lanes of both. Applied to all neighbouring pairs of 2ᵏ
/// vectors, even results first, it rotates the bits of (row, column) by one: k times transpose.
@inline(__always)
private func split(_ a: Lanes, _ b: Lanes) -> (even: Lanes, odd: Lanes) {
    (
        Lanes(lowHalf: a.evenHalf, highHalf: b.evenHalf),
        Lanes(lowHalf: a.oddHalf, highHalf: b.oddHalf)
    )
}

/// A row times its √d. The product also keeps the optimiser from taking the load apart.
@inline(__always)
private func scaled(
    _ rows: UnsafePointer<Float>, _ width: Int, _ offsets: UnsafePointer<Int32>,
    _ roots: UnsafePointer<Float>, _ lane: Int
) -> Lanes { load(rows + Int(offsets[lane]) * width) * splat(roots[lane]) }

/// The rows of four lanes.
@inline(__always)
private func scaled4(
    _ rows: UnsafePointer<Float>, _ width: Int, _ offsets: UnsafePointer<Int32>,
    _ roots: UnsafePointer<Float>, _ lane: Int
) -> (Lanes, Lanes, Lanes, Lanes) {
    (
        scaled(rows, width, offsets, roots, lane), scaled(rows, width, offsets, roots, lane + 1),
        scaled(rows, width, offsets, roots, lane + 2), scaled(rows, width, offsets, roots, lane + 3)
    )
}

#if KERNELS_AVX512
/// `[16 × 16]` in four rounds.
@inline(__always)
private func transposeTile(
    _ rows: UnsafePointer<Float>, _ width: Int, _ o: UnsafePointer<Int32>,
    _ r: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>, _ rounds: Int
) {
    var (a, b, c, d) = scaled4(rows, width, o, r, 0)
    var (e, f, g, h) = scaled4(rows, width, o, r, 4)
    var (i, j, k, l) = scaled4(rows, width, o, r, 8)
    var (m, n, p, q) = scaled4(rows, width, o, r, 12)
    for _ in 0..<rounds {
        let (aa, bb) = split(a, b)
        let (cc, dd) = split(c, d)
        let (ee, ff) = split(e, f)
        let (gg, hh) = split(g, h)
        let (ii, jj) = split(i, j)
        let (kk, ll) = split(k, l)
        let (mm, nn) = split(m, n)
        let (pp, qq) = split(p, q)
        (a, b, c, d, e, f, g, h, i, j, k, l, m, n, p, q) =
            (aa, cc, ee, gg, ii, kk, mm, pp, bb, dd, ff, hh, jj, ll, nn, qq)
    }
    let step = 4 * laneCount
    store4(target, a, b, c, d, step)
    store4(target + 4 * step, e, f, g, h, step)
    store4(target + 8 * step, i, j, k, l, step)
    store4(target + 12 * step, m, n, p, q, step)
}
#elseif KERNELS_AVX2
/// `[8 × 8]` in three rounds.
@inline(__always)
private func transposeTile(
    _ rows: UnsafePointer<Float>, _ width: Int, _ o: UnsafePointer<Int32>,
    _ r: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>, _ rounds: Int
) {
    var (a, b, c, d) = scaled4(rows, width, o, r, 0)
    var (e, f, g, h) = scaled4(rows, width, o, r, 4)
    for _ in 0..<rounds {
        let (aa, bb) = split(a, b)
        let (cc, dd) = split(c, d)
        let (ee, ff) = split(e, f)
        let (gg, hh) = split(g, h)
        (a, b, c, d, e, f, g, h) =
            (aa, cc, ee, gg, bb, dd, ff, hh)
    }
    let step = 4 * laneCount
    store4(target, a, b, c, d, step)
    store4(target + 4 * step, e, f, g, h, step)
}
#else
/// `[4 × 4]` in two rounds.
@inline(__always)
private func transposeTile(
    _ rows: UnsafePointer<Float>, _ width: Int, _ o: UnsafePointer<Int32>,
    _ r: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>, _ rounds: Int
) {
    var (a, b, c, d) = scaled4(rows, width, o, r, 0)
    for _ in 0..<rounds {
        let (aa, bb) = split(a, b)
        let (cc, dd) = split(c, d)
        (a, b, c, d) =
            (aa, cc, bb, dd)
    }
    let step = 4 * laneCount
    store4(target, a, b, c, d, step)
}
#endif
