import CPlatform

// Rows with fewer entries than factors, `laneCount` of them at once, one a lane.
//
// With G = L Lᵀ the part of the normal equations that all rows share and z = L⁻¹ y the whitened rows
// of the other side, a row's system (G + Σ d y yᵀ) x = Σ c y becomes, by the push-through identity,
// one of the size of its entry count n:
//
//     K = I + S Z Zᵀ S,   S = diag(√d),   x' = Zᵀ S K⁻¹ S⁻¹ c,   x = L⁻ᵀ x'
//
// Every pivot of K is at least 1. Scratch, in vectors of `laneCount` systems, N = n rounded up to 4:
//
//     roots    [N]                      √d; 0 for the padding
//     sides    [N]                      c / √d, then the solution
//     offsets  [N]                      entries' rows (as bits of Int32)
//     panel    [N / 4][64][4]           64 factors of S Z, four entries together
//     system   [N / 4][N][4]            K, then its Cholesky factor; 1 / l on the diagonal
//
// `Tile` is private, and so everything that uses it is in this file: see DistanceTiles.swift.

/// The least d: 1 + d is 1 in single precision, so it stands for a stored zero.
private let leastWeight: Float = 1e-12

/// Systems that `solveFewEntries` takes at once.
package let fewEntriesBatch = laneCount

/// Floats of scratch that `solveFewEntries` needs for systems of at most `count` entries.
package func fewEntriesScratchCount(_ count: Int) -> Int {
    let rounded = (count + 3) / 4 * 4
    return rounded * laneCount * (3 + panelFactors + rounded)
}

/// Sixteen accumulators: `aRow` of the left four by column of the right four.
private struct Tile {
    var a0, a1, a2, a3: Lanes
    var b0, b1, b2, b3: Lanes
    var c0, c1, c2, c3: Lanes
    var d0, d1, d2, d3: Lanes

    /// Zero, and one on the diagonal of a diagonal tile.
    @inline(__always)
    init(isDiagonal: Bool) {
        let (zero, start) = (Lanes.zero, splat(isDiagonal ? 1 : 0))
        (a0, a1, a2, a3) = (start, zero, zero, zero)
        (b0, b1, b2, b3) = (zero, start, zero, zero)
        (c0, c1, c2, c3) = (zero, zero, start, zero)
        (d0, d1, d2, d3) = (zero, zero, zero, start)
    }

    /// From `[column][row]` vectors.
    @inline(__always)
    init(_ m: UnsafePointer<Float>) {
        (a0, b0, c0, d0) = load4(m)
        (a1, b1, c1, d1) = load4(m + 4 * laneCount)
        (a2, b2, c2, d2) = load4(m + 8 * laneCount)
        (a3, b3, c3, d3) = load4(m + 12 * laneCount)
    }

    @inline(__always)
    func write(_ m: UnsafeMutablePointer<Float>) {
        store4(m, a0, b0, c0, d0)
        store4(m + 4 * laneCount, a1, b1, c1, d1)
        store4(m + 8 * laneCount, a2, b2, c2, d2)
        store4(m + 12 * laneCount, a3, b3, c3, d3)
    }

    /// Adds `sign · Σ left rightᵀ` over `count` steps of four vectors each. With 16 registers in two
    /// halves, so that the accumulators stay in registers.
    @inline(__always)
    mutating func addProducts(
        _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, _ count: Int,
        subtract: Bool
    ) {
        #if KERNELS_AVX512 || arch(arm64)
        var (p, q) = (left, right)
        for _ in 0..<count {
            let (y0, y1, y2, y3) = load4(q)
            let (l0, l1, l2, l3) = load4(p)
            let x0 = subtract ? -l0 : l0
            a0 = multiplyAdd(a0, x0, y0)
            a1 = multiplyAdd(a1, x0, y1)
            a2 = multiplyAdd(a2, x0, y2)
            a3 = multiplyAdd(a3, x0, y3)
            let x1 = subtract ? -l1 : l1
            b0 = multiplyAdd(b0, x1, y0)
            b1 = multiplyAdd(b1, x1, y1)
            b2 = multiplyAdd(b2, x1, y2)
            b3 = multiplyAdd(b3, x1, y3)
            let x2 = subtract ? -l2 : l2
            c0 = multiplyAdd(c0, x2, y0)
            c1 = multiplyAdd(c1, x2, y1)
            c2 = multiplyAdd(c2, x2, y2)
            c3 = multiplyAdd(c3, x2, y3)
            let x3 = subtract ? -l3 : l3
            d0 = multiplyAdd(d0, x3, y0)
            d1 = multiplyAdd(d1, x3, y1)
            d2 = multiplyAdd(d2, x3, y2)
            d3 = multiplyAdd(d3, x3, y3)
            p += 4 * laneCount
            q += 4 * laneCount
        }
        #else
        addHalf(&a0, &a1, &a2, &a3, &b0, &b1, &b2, &b3, left, right, count, subtract)
        addHalf(
            &c0, &c1, &c2, &c3, &d0, &d1, &d2, &d3, left + 2 * laneCount, right, count, subtract)
        #endif
    }

    /// `X = T L⁻ᵀ` for the diagonal tile's factor L, `[column][row]` with inverse diagonal.
    @inline(__always)
    mutating func solve(_ l: UnsafePointer<Float>) {
        let (i0, l10, l20, l30) = load4(l)
        (a0, b0, c0, d0) = (a0 * i0, b0 * i0, c0 * i0, d0 * i0)
        (a1, b1) = (multiplyAdd(a1, -a0, l10), multiplyAdd(b1, -b0, l10))
        (c1, d1) = (multiplyAdd(c1, -c0, l10), multiplyAdd(d1, -d0, l10))
        let (_, i1, l21, l31) = load4(l + 4 * laneCount)
        (a1, b1, c1, d1) = (a1 * i1, b1 * i1, c1 * i1, d1 * i1)
        (a2, b2) = (multiplyAdd(a2, -a0, l20), multiplyAdd(b2, -b0, l20))
        (c2, d2) = (multiplyAdd(c2, -c0, l20), multiplyAdd(d2, -d0, l20))
        (a2, b2) = (multiplyAdd(a2, -a1, l21), multiplyAdd(b2, -b1, l21))
        (c2, d2) = (multiplyAdd(c2, -c1, l21), multiplyAdd(d2, -d1, l21))
        let (_, _, i2, l32) = load4(l + 8 * laneCount)
        (a2, b2, c2, d2) = (a2 * i2, b2 * i2, c2 * i2, d2 * i2)
        (a3, b3) = (multiplyAdd(a3, -a0, l30), multiplyAdd(b3, -b0, l30))
        (c3, d3) = (multiplyAdd(c3, -c0, l30), multiplyAdd(d3, -d0, l30))
        (a3, b3) = (multiplyAdd(a3, -a1, l31), multiplyAdd(b3, -b1, l31))
        (c3, d3) = (multiplyAdd(c3, -c1, l31), multiplyAdd(d3, -d1, l31))
        (a3, b3) = (multiplyAdd(a3, -a2, l32), multiplyAdd(b3, -b2, l32))
        (c3, d3) = (multiplyAdd(c3, -c2, l32), multiplyAdd(d3, -d2, l32))
        let i3 = load(l + 15 * laneCount)
        (a3, b3, c3, d3) = (a3 * i3, b3 * i3, c3 * i3, d3 * i3)
    }

    /// The Cholesky factor of a diagonal tile, the inverses on its diagonal.
    /// - Returns: the least of `margin` and the pivots, each less its own entry of `floors`.
    @inline(__always)
    mutating func factor(_ floors: (Lanes, Lanes, Lanes, Lanes), _ margin: Lanes) -> Lanes {
        var margin = least(margin, a0 - floors.0)
        a0 = reciprocalRoot(a0)
        (b0, c0, d0) = (b0 * a0, c0 * a0, d0 * a0)
        b1 = multiplyAdd(b1, -b0, b0)
        margin = least(margin, b1 - floors.1)
        b1 = reciprocalRoot(b1)
        (c1, d1) = (multiplyAdd(c1, -c0, b0) * b1, multiplyAdd(d1, -d0, b0) * b1)
        c2 = multiplyAdd(multiplyAdd(c2, -c0, c0), -c1, c1)
        margin = least(margin, c2 - floors.2)
        c2 = reciprocalRoot(c2)
        d2 = multiplyAdd(multiplyAdd(d2, -d0, c0), -d1, c1) * c2
        d3 = multiplyAdd(multiplyAdd(multiplyAdd(d3, -d0, d0), -d1, d1), -d2, d2)
        margin = least(margin, d3 - floors.3)
        d3 = reciprocalRoot(d3)
        return margin
    }
}

#if !(KERNELS_AVX512 || arch(arm64))
/// Two rows of the tile: eight accumulators.
@inline(__always)
private func addHalf(
    _ s0: inout Lanes, _ s1: inout Lanes, _ s2: inout Lanes, _ s3: inout Lanes,
    _ t0: inout Lanes, _ t1: inout Lanes, _ t2: inout Lanes, _ t3: inout Lanes,
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, _ count: Int, _ subtract: Bool
) {
    var (p, q) = (left, right)
    for _ in 0..<count {
        let (l0, l1) = (load(p), load(p + laneCount))
        let (x0, x1) = (subtract ? -l0 : l0, subtract ? -l1 : l1)
        let (y0, y1, y2, y3) = load4(q)
        s0 = multiplyAdd(s0, x0, y0)
        s1 = multiplyAdd(s1, x0, y1)
        s2 = multiplyAdd(s2, x0, y2)
        s3 = multiplyAdd(s3, x0, y3)
        t0 = multiplyAdd(t0, x1, y0)
        t1 = multiplyAdd(t1, x1, y1)
        t2 = multiplyAdd(t2, x1, y2)
        t3 = multiplyAdd(t3, x1, y3)
        p += 4 * laneCount
        q += 4 * laneCount
    }
}
#endif

/// The smaller one; `b` where it is not a number.
@inline(__always)
private func least(_ a: Lanes, _ b: Lanes) -> Lanes {
    var result = a
    result.replace(with: b, where: .!(b .>= a))
    return result
}

/// Solves the systems of up to `laneCount` rows.
///
/// A row's result depends on its own entries alone, bit for bit, not on the rows beside it.
/// - Parameters:
///   - rows: `[… × width]`, row-major: whitened factors of the other side; not empty.
///   - indices, values: of all entries of the matrix; a value at least 0.
///   - starts, counts: `[laneCount]`: each system's first entry and how many it has; 0 entries for
///     a lane that is not used.
///   - alpha, base: the confidence is c = base + alpha · value, and d = c - 1 ≥ 0.
///   - scratch: `fewEntriesScratchCount` of the largest count.
///   - solutions: `[laneCount × width]`, out: the whitened solutions x'.
///   - floor: the share of its diagonal entry that a pivot should have.
///   - margins: `[laneCount]`, out: the least pivot less `floor` times its diagonal entry, at most
///     1. A solution whose margin is not above 0 (or NaN) is undefined.
@inline(never)
package func solveFewEntries(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>,
    _ values: UnsafePointer<Float>, _ starts: UnsafePointer<Int>, _ counts: UnsafePointer<Int>,
    _ alpha: Float, _ base: Float, _ floor: Float, _ scratch: UnsafeMutablePointer<Float>,
    _ solutions: UnsafeMutablePointer<Float>, _ margins: UnsafeMutablePointer<Float>
) {
    var largest = 0
    for lane in 0..<laneCount where counts[lane] > largest { largest = counts[lane] }
    let n = (largest + 3) / 4 * 4
    let roots = scratch
    let sides = roots + n * laneCount
    let offsetBits = sides + n * laneCount
    let offsets = UnsafeMutableRawPointer(offsetBits).assumingMemoryBound(to: Int32.self)
    let panel = offsetBits + n * laneCount
    let system = panel + n * panelFactors * laneCount
    collect(rows, width, indices, values, starts, counts, n, roots, offsets)
    weigh(n, alpha, base, roots, sides)
    var factor = 0
    while factor < width {
        let factorCount = min(panelFactors, width - factor)
        transposeEntries(rows + factor, width, factorCount, offsets, roots, n, panel)
        addPanel(panel, factorCount, n, isFirst: factor == 0, system)
        factor += factorCount
    }
    factorize(system, n, floor, margins)
    substitute(system, n, sides)
    combine(rows, width, offsets, roots, sides, counts, solutions)
}

/// Values and offsets of all lanes side by side, -1 and 0 for the padding.
@inline(never)
private func collect(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>,
    _ values: UnsafePointer<Float>, _ starts: UnsafePointer<Int>, _ counts: UnsafePointer<Int>,
    _ n: Int, _ collected: UnsafeMutablePointer<Float>,
    _ offsets: UnsafeMutablePointer<Int32>
) {
    for lane in 0..<laneCount {
        let (count, start) = (counts[lane], starts[lane])
        var target = lane
        for i in start..<start + count {
            // Also keeps the loop from becoming scatter instructions, which are slow.
            patron_prefetch_second(rows + Int(indices[i]) * width)
            collected[target] = values[i]
            offsets[target] = indices[i]
            target += laneCount
        }
        for i in count..<n {
            collected[i * laneCount + lane] = -1
            offsets[i * laneCount + lane] = 0
        }
    }
}

/// √d, which takes the values' place, and c / √d.
@inline(never)
private func weigh(
    _ n: Int, _ alpha: Float, _ base: Float, _ roots: UnsafeMutablePointer<Float>,
    _ sides: UnsafeMutablePointer<Float>
) {
    for i in 0..<n {
        let value = load(roots + i * laneCount)
        let isPadding = value .< Lanes.zero
        var weight = multiplyAdd(splat(base - 1), splat(alpha), value)
        let confidence = weight + splat(1)
        weight.replace(with: splat(leastWeight), where: weight .< splat(leastWeight))
        let reciprocal = reciprocalRoot(weight)
        var (root, side) = (weight * reciprocal, confidence * reciprocal)
        root.replace(with: Lanes.zero, where: isPadding)
        side.replace(with: Lanes.zero, where: isPadding)
        store(root, roots + i * laneCount)
        store(side, sides + i * laneCount)
    }
}

/// K += P Pᵀ, lower triangle of tiles.
@inline(never)
private func addPanel(
    _ panel: UnsafePointer<Float>, _ factorCount: Int, _ n: Int, isFirst: Bool,
    _ system: UnsafeMutablePointer<Float>
) {
    let (panelStride, systemStride) = (panelFactors * 4 * laneCount, n * 4 * laneCount)
    for i in 0..<n / 4 {
        let left = panel + i * panelStride
        for j in 0...i {
            let target = system + i * systemStride + j * 16 * laneCount
            var tile = isFirst ? Tile(isDiagonal: i == j) : Tile(target)
            tile.addProducts(left, panel + j * panelStride, factorCount, subtract: false)
            tile.write(target)
        }
    }
}

/// K = L Lᵀ by columns of tiles; the least pivot less `floor` times its diagonal entry, at most 1.
@inline(never)
private func factorize(
    _ system: UnsafeMutablePointer<Float>, _ n: Int, _ floor: Float,
    _ margins: UnsafeMutablePointer<Float>
) {
    let stride = n * 4 * laneCount
    var margin = splat(1)
    for j in 0..<n / 4 {
        let right = system + j * stride
        let diagonal = right + j * 16 * laneCount
        var tile = Tile(diagonal)
        let share = splat(floor)
        let floors = (tile.a0 * share, tile.b1 * share, tile.c2 * share, tile.d3 * share)
        tile.addProducts(right, right, 4 * j, subtract: true)
        margin = tile.factor(floors, margin)
        tile.write(diagonal)
        var i = j + 1
        while i < n / 4 {
            let left = system + i * stride
            let target = left + j * 16 * laneCount
            var tile = Tile(target)
            tile.addProducts(left, right, 4 * j, subtract: true)
            tile.solve(diagonal)
            tile.write(target)
            i += 1
        }
    }
    store(margin, margins)
}

/// The solution of `L Lᵀ x = b`, in place.
@inline(never)
private func substitute(
    _ system: UnsafePointer<Float>, _ n: Int, _ x: UnsafeMutablePointer<Float>
) {
    let stride = n * 4 * laneCount
    for j in 0..<n / 4 {
        let row = system + j * stride
        let own = x + j * 4 * laneCount
        var (s0, s1, s2, s3) = load4(own)
        for k in 0..<4 * j {
            let y = -load(x + k * laneCount)
            let (l0, l1, l2, l3) = load4(row + k * 4 * laneCount)
            s0 = multiplyAdd(s0, l0, y)
            s1 = multiplyAdd(s1, l1, y)
            s2 = multiplyAdd(s2, l2, y)
            s3 = multiplyAdd(s3, l3, y)
        }
        let diagonal = row + j * 16 * laneCount
        let (i0, l10, l20, l30) = load4(diagonal)
        let (_, i1, l21, l31) = load4(diagonal + 4 * laneCount)
        let (_, _, i2, l32) = load4(diagonal + 8 * laneCount)
        s0 = s0 * i0
        s1 = multiplyAdd(s1, -s0, l10) * i1
        s2 = multiplyAdd(multiplyAdd(s2, -s0, l20), -s1, l21) * i2
        s3 = multiplyAdd(multiplyAdd(multiplyAdd(s3, -s0, l30), -s1, l31), -s2, l32)
        store4(own, s0, s1, s2, s3 * load(diagonal + 15 * laneCount))
    }
    var j = n / 4 - 1
    while j >= 0 {
        let row = system + j * stride
        let own = x + j * 4 * laneCount
        var (s0, s1, s2, s3) = load4(own)
        let diagonal = row + j * 16 * laneCount
        let (i0, l10, l20, l30) = load4(diagonal)
        let (_, i1, l21, l31) = load4(diagonal + 4 * laneCount)
        let (_, _, i2, l32) = load4(diagonal + 8 * laneCount)
        s3 = s3 * load(diagonal + 15 * laneCount)
        s2 = multiplyAdd(s2, -s3, l32) * i2
        s1 = multiplyAdd(multiplyAdd(s1, -s3, l31), -s2, l21) * i1
        s0 = multiplyAdd(multiplyAdd(multiplyAdd(s0, -s3, l30), -s2, l20), -s1, l10) * i0
        store4(own, s0, s1, s2, s3)
        for k in 0..<4 * j {
            let (l0, l1, l2, l3) = load4(row + k * 4 * laneCount)
            let left = multiplyAdd(load(x + k * laneCount), -s0, l0)
            let right = multiplyAdd(s1 * l1, s2, l2)
            store(multiplyAdd(left - right, -s3, l3), x + k * laneCount)
        }
        j -= 1
    }
}

/// x' = Zᵀ S v of each lane, from the rows as they are: lanes are factors here.
@inline(never)
private func combine(
    _ rows: UnsafePointer<Float>, _ width: Int, _ offsets: UnsafePointer<Int32>,
    _ roots: UnsafePointer<Float>, _ sides: UnsafePointer<Float>, _ counts: UnsafePointer<Int>,
    _ solutions: UnsafeMutablePointer<Float>
) {
    for lane in 0..<laneCount {
        let solution = solutions + lane * width
        var factor = 0
        while factor < width {
            let isWide = factor + 4 * laneCount <= width
            var (s0, s1, s2, s3) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
            for i in 0..<counts[lane] {
                let position = i * laneCount + lane
                let weight = splat(roots[position] * sides[position])
                let source = rows + Int(offsets[position]) * width + factor
                s0 = multiplyAdd(s0, weight, load(source))
                if isWide {
                    s1 = multiplyAdd(s1, weight, load(source + laneCount))
                    s2 = multiplyAdd(s2, weight, load(source + 2 * laneCount))
                    s3 = multiplyAdd(s3, weight, load(source + 3 * laneCount))
                }
            }
            store(s0, solution + factor)
            if isWide {
                store(s1, solution + factor + laneCount)
                store(s2, solution + factor + 2 * laneCount)
                store(s3, solution + factor + 3 * laneCount)
            }
            factor += isWide ? 4 * laneCount : laneCount
        }
    }
}
