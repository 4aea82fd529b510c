import CPlatform

// The normal equations of one row of alternating least squares. `width` is the factor count
// rounded up to a multiple of 16; the padding factors are zero.

/// Copies scaled rows into a dense panel and adds up the weighted rows, for one customer's (or
/// product's) normal equations: `panel[i] = scales[i] · rows[indices[i]]` and
/// `rightSide += weights[i] · rows[indices[i]]`.
/// - Parameters:
///   - rows: `[… × width]`, row-major.
///   - panel: `[count × width]`, out.
///   - rightSide: `[width]`, in and out.
@inline(never)
package func gatherRows(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>, _ count: Int,
    _ scales: UnsafePointer<Float>, _ weights: UnsafePointer<Float>,
    _ panel: UnsafeMutablePointer<Float>, _ rightSide: UnsafeMutablePointer<Float>
) {
    // Blocks of four vectors, whose part of the right side stays in registers: stores to memory
    // would bound how many rows are on their way at a time.
    var first = 0
    while first < width {
        let side = rightSide + first
        if first + 4 * laneCount <= width {
            var (s0, s1, s2, s3) = load4(side)
            for i in 0..<count {
                let source = rows + Int(indices[i]) * width + first
                let target = panel + i * width + first
                let (x0, x1, x2, x3) = load4(source)
                let scale = splat(scales[i])
                addProducts(&s0, &s1, &s2, &s3, x0, x1, x2, x3, weights[i])
                store4(target, x0 * scale, x1 * scale, x2 * scale, x3 * scale)
            }
            store4(side, s0, s1, s2, s3)
            first += 4 * laneCount
        } else {
            var sum = load(side)
            for i in 0..<count {
                let x = load(rows + Int(indices[i]) * width + first)
                store(x * splat(scales[i]), panel + i * width + first)
                sum = multiplyAdd(sum, x, splat(weights[i]))
            }
            store(sum, side)
            first += laneCount
        }
    }
}

/// Rows of a panel that stays in the first-level cache (16 KiB) while all tiles read it.
@inline(__always)
private func panelRowCount(_ width: Int) -> Int { max(16, 4096 / width) }

/// Floats of scratch that `addWeightedRows` needs.
package func weightedRowsScratchCount(_ width: Int) -> Int { panelRowCount(width) * (width + 2) }

/// Adds a row's entries to its normal equations `(G + Σ d y yᵀ) x = Σ c y`, with the confidence
/// c = base + alpha · value and d = c - 1 ≥ 0.
/// - Parameters:
///   - rows: `[… × width]`, row-major; `width` a multiple of 16.
///   - indices, values: `[count]`, the row's entries; `indices` may go on for `following` more,
///     which are the rows that the next calls will read.
///   - scratch: `weightedRowsScratchCount` floats.
///   - matrix: `[width × width]`, in and out; its upper triangle, the rest is undefined.
///   - rightSide: `[width]`, in and out.
@inline(never)
package func addWeightedRows(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>,
    _ values: UnsafePointer<Float>, _ count: Int, _ following: Int, _ alpha: Float,
    _ base: Float, _ scratch: UnsafeMutablePointer<Float>,
    _ matrix: UnsafeMutablePointer<Float>, _ rightSide: UnsafeMutablePointer<Float>
) {
    let panelRows = panelRowCount(width)
    let scales = scratch + panelRows * width
    let weights = scales + panelRows
    var first = 0
    while first < count {
        let rowCount = min(panelRows, count - first)
        weigh(values + first, rowCount, alpha, base, scales, weights)
        gatherRows(
            rows, width, indices + first, rowCount, scales, weights, scratch, rightSide)
        first += rowCount
        addPanel(
            scratch, rowCount, width, matrix, rows, indices + first,
            min(panelRows, count + following - first))
    }
}

/// √(c - 1), which makes the update of the matrix a product of a panel with itself, and c.
@inline(__always)
private func weigh(
    _ values: UnsafePointer<Float>, _ count: Int, _ alpha: Float, _ base: Float,
    _ scales: UnsafeMutablePointer<Float>, _ weights: UnsafeMutablePointer<Float>
) {
    var i = 0
    while i + laneCount <= count {
        var weight = multiplyAdd(splat(base - 1), splat(alpha), load(values + i))
        // A confidence of 1 may come out below it by rounding.
        weight.replace(with: Lanes.zero, where: weight .< Lanes.zero)
        store(squareRoot(weight, reciprocal: reciprocalRoot(weight)), scales + i)
        store(weight + splat(1), weights + i)
        i += laneCount
    }
    while i < count {
        // One lane of the vector form: a row's numbers do not depend on where a panel ends.
        var weight = multiplyAdd(splat(base - 1), splat(alpha), splat(values[i]))
        weight.replace(with: Lanes.zero, where: weight .< Lanes.zero)
        scales[i] = squareRoot(weight, reciprocal: reciprocalRoot(weight))[0]
        weights[i] = weight[0] + 1
        i += 1
    }
}

/// Adds `panelᵀ panel` to the upper triangle of a square matrix (a symmetric rank-k update).
///
/// Entries below the diagonal are undefined afterwards: whole register tiles are computed.
/// - Parameters:
///   - panel: `[count × width]`, row-major; `width` a multiple of 16.
///   - matrix: `[width × width]`, row-major, in and out.
@inline(never)
package func addOuterProducts(
    _ panel: UnsafePointer<Float>, _ count: Int, _ width: Int,
    _ matrix: UnsafeMutablePointer<Float>
) {
    let panelRows = panelRowCount(width)
    var first = 0
    while first < count {
        let rowCount = min(panelRows, count - first)
        let rows = panel + first * width
        // Nothing is asked for: rows that follow one another come by themselves.
        let none = UnsafeRawPointer(rows).assumingMemoryBound(to: Int32.self)
        addPanel(rows, rowCount, width, matrix, rows, none, 0)
        first += rowCount
    }
}

/// One panel; meanwhile the rows of the next one are asked for. They are anywhere in a table that
/// may be larger than the caches, so that waiting for them would take as long as the products do.
@inline(never)
private func addPanel(
    _ panel: UnsafePointer<Float>, _ count: Int, _ width: Int,
    _ matrix: UnsafeMutablePointer<Float>, _ rows: UnsafePointer<Float>,
    _ next: UnsafePointer<Int32>, _ nextCount: Int
) {
    let (blocks, linesPerRow) = (width / 8, width / 16)
    var row = 0
    while row < width {
        let block = row / 8
        for i in block * nextCount / blocks..<(block + 1) * nextCount / blocks {
            let address = rows + Int(next[i]) * width
            for line in 0..<linesPerRow { patron_prefetch_second(address + line * 16) }
        }
        var column = row / laneCount * laneCount
        #if KERNELS_AVX512
        if column < row {
            // The lower half of a diagonal block of 16: its left half is below the diagonal.
            outerTile8xHalf(panel + row, panel + row, count, width, matrix, row, row)
            column += laneCount
        }
        while column + 2 * laneCount <= width {
            outerTile8x2(panel + row, panel + column, count, width, matrix, row, column)
            column += 2 * laneCount
        }
        #endif
        while column < width {
            outerTile8x1(panel + row, panel + column, count, width, matrix, row, column)
            column += laneCount
        }
        row += 8
    }
}

/// Eight rows by one vector of columns.
@inline(__always)
private func outerTile8x1(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, _ count: Int, _ width: Int,
    _ matrix: UnsafeMutablePointer<Float>, _ row: Int, _ column: Int
) {
    let m = matrix + row * width + column
    var (s0, s1, s2, s3) = load4(m, width)
    let n = m + 4 * width
    var (s4, s5, s6, s7) = load4(n, width)
    var a = left
    var b = right
    for _ in 0..<count {
        let x = load(b)
        s0 = multiplyAdd(s0, splat(a[0]), x)
        s1 = multiplyAdd(s1, splat(a[1]), x)
        s2 = multiplyAdd(s2, splat(a[2]), x)
        s3 = multiplyAdd(s3, splat(a[3]), x)
        s4 = multiplyAdd(s4, splat(a[4]), x)
        s5 = multiplyAdd(s5, splat(a[5]), x)
        s6 = multiplyAdd(s6, splat(a[6]), x)
        s7 = multiplyAdd(s7, splat(a[7]), x)
        a += width
        b += width
    }
    store4(m, s0, s1, s2, s3, width)
    store4(n, s4, s5, s6, s7, width)
}

#if KERNELS_AVX512
@inline(__always)
private func loadHalf(_ source: UnsafePointer<Float>) -> SIMD8<Float> {
    UnsafeRawPointer(source).loadUnaligned(as: SIMD8<Float>.self)
}

@inline(__always)
private func storeHalf(_ value: SIMD8<Float>, _ target: UnsafeMutablePointer<Float>) {
    UnsafeMutableRawPointer(target).storeBytes(of: value, as: SIMD8<Float>.self)
}

@inline(__always)
private func splatHalf(_ value: Float) -> SIMD8<Float> { SIMD8(repeating: value) }

/// Eight rows by half a vector of columns.
@inline(__always)
private func outerTile8xHalf(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, _ count: Int, _ width: Int,
    _ matrix: UnsafeMutablePointer<Float>, _ row: Int, _ column: Int
) {
    let m = matrix + row * width + column
    var (s0, s1, s2, s3) = (
        loadHalf(m), loadHalf(m + width), loadHalf(m + 2 * width), loadHalf(m + 3 * width)
    )
    let n = m + 4 * width
    var (s4, s5, s6, s7) = (
        loadHalf(n), loadHalf(n + width), loadHalf(n + 2 * width), loadHalf(n + 3 * width)
    )
    var a = left
    var b = right
    for _ in 0..<count {
        let x = loadHalf(b)
        s0 = s0.addingProduct(splatHalf(a[0]), x)
        s1 = s1.addingProduct(splatHalf(a[1]), x)
        s2 = s2.addingProduct(splatHalf(a[2]), x)
        s3 = s3.addingProduct(splatHalf(a[3]), x)
        s4 = s4.addingProduct(splatHalf(a[4]), x)
        s5 = s5.addingProduct(splatHalf(a[5]), x)
        s6 = s6.addingProduct(splatHalf(a[6]), x)
        s7 = s7.addingProduct(splatHalf(a[7]), x)
        a += width
        b += width
    }
    storeHalf(s0, m)
    storeHalf(s1, m + width)
    storeHalf(s2, m + 2 * width)
    storeHalf(s3, m + 3 * width)
    storeHalf(s4, n)
    storeHalf(s5, n + width)
    storeHalf(s6, n + 2 * width)
    storeHalf(s7, n + 3 * width)
}

/// Eight rows by two vectors of columns: 16 of the 32 registers.
@inline(__always)
private func outerTile8x2(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, _ count: Int, _ width: Int,
    _ matrix: UnsafeMutablePointer<Float>, _ row: Int, _ column: Int
) {
    let m = matrix + row * width + column
    let n = m + 4 * width
    let (p, q) = (m + laneCount, n + laneCount)
    var (s0, s1, s2, s3) = load4(m, width)
    var (s4, s5, s6, s7) = load4(n, width)
    var (t0, t1, t2, t3) = load4(p, width)
    var (t4, t5, t6, t7) = load4(q, width)
    var a = left
    var b = right
    for _ in 0..<count {
        let x = load(b)
        let y = load(b + laneCount)
        addProducts(&s0, &t0, x, y, a[0])
        addProducts(&s1, &t1, x, y, a[1])
        addProducts(&s2, &t2, x, y, a[2])
        addProducts(&s3, &t3, x, y, a[3])
        addProducts(&s4, &t4, x, y, a[4])
        addProducts(&s5, &t5, x, y, a[5])
        addProducts(&s6, &t6, x, y, a[6])
        addProducts(&s7, &t7, x, y, a[7])
        a += width
        b += width
    }
    store4(m, s0, s1, s2, s3, width)
    store4(n, s4, s5, s6, s7, width)
    store4(p, t0, t1, t2, t3, width)
    store4(q, t4, t5, t6, t7, width)
}
#endif

/// Scalar products of one row with the rows of its entries.
/// - Parameters:
///   - x: `[width]`, `width` a multiple of 16.
///   - rows: `[… × width]`, row-major.
///   - indices: `[count]`.
///   - scores: `[count]`, out.
@inline(never)
package func scoreEntries(
    _ x: UnsafePointer<Float>, _ rows: UnsafePointer<Float>, _ width: Int,
    _ indices: UnsafePointer<Int32>, _ count: Int, _ scores: UnsafeMutablePointer<Float>
) {
    var i = 0
    while i + 4 <= count {
        let p = rows + Int(indices[i]) * width
        let q = rows + Int(indices[i + 1]) * width
        let r = rows + Int(indices[i + 2]) * width
        let s = rows + Int(indices[i + 3]) * width
        var (a, b, c, d) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
        var j = 0
        while j < width {
            let own = load(x + j)
            a = multiplyAdd(a, own, load(p + j))
            b = multiplyAdd(b, own, load(q + j))
            c = multiplyAdd(c, own, load(r + j))
            d = multiplyAdd(d, own, load(s + j))
            j += laneCount
        }
        scores[i] = horizontalSum(a)
        scores[i + 1] = horizontalSum(b)
        scores[i + 2] = horizontalSum(c)
        scores[i + 3] = horizontalSum(d)
        i += 4
    }
    while i < count {
        let p = rows + Int(indices[i]) * width
        var a = Lanes.zero
        var j = 0
        while j < width {
            a = multiplyAdd(a, load(x + j), load(p + j))
            j += laneCount
        }
        scores[i] = horizontalSum(a)
        i += 1
    }
}
