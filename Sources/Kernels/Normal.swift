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
    for i in 0..<count {
        let source = rows + Int(indices[i]) * width
        let target = panel + i * width
        let (scale, weight) = (splat(scales[i]), splat(weights[i]))
        var j = 0
        while j < width {
            let x = load(source + j)
            store(x * scale, target + j)
            store(multiplyAdd(load(rightSide + j), x, weight), rightSide + j)
            j += laneCount
        }
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
    var row = 0
    while row < width {
        // The first vector that reaches the diagonal of the tile's first row.
        var column = row / laneCount * laneCount
        #if KERNELS_AVX512
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
    var (s0, s1, s2, s3) = (load(m), load(m + width), load(m + 2 * width), load(m + 3 * width))
    let n = m + 4 * width
    var (s4, s5, s6, s7) = (load(n), load(n + width), load(n + 2 * width), load(n + 3 * width))
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
    store(s0, m)
    store(s1, m + width)
    store(s2, m + 2 * width)
    store(s3, m + 3 * width)
    store(s4, n)
    store(s5, n + width)
    store(s6, n + 2 * width)
    store(s7, n + 3 * width)
}

#if KERNELS_AVX512
/// Eight rows by two vectors of columns: 16 of the 32 registers.
@inline(__always)
private func outerTile8x2(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, _ count: Int, _ width: Int,
    _ matrix: UnsafeMutablePointer<Float>, _ row: Int, _ column: Int
) {
    let m = matrix + row * width + column
    let n = m + 4 * width
    let (p, q) = (m + laneCount, n + laneCount)
    var (s0, s1, s2, s3) = (load(m), load(m + width), load(m + 2 * width), load(m + 3 * width))
    var (s4, s5, s6, s7) = (load(n), load(n + width), load(n + 2 * width), load(n + 3 * width))
    var (t0, t1, t2, t3) = (load(p), load(p + width), load(p + 2 * width), load(p + 3 * width))
    var (t4, t5, t6, t7) = (load(q), load(q + width), load(q + 2 * width), load(q + 3 * width))
    var a = left
    var b = right
    for _ in 0..<count {
        let x = load(b)
        let y = load(b + laneCount)
        let (a0, a1, a2, a3) = (splat(a[0]), splat(a[1]), splat(a[2]), splat(a[3]))
        s0 = multiplyAdd(s0, a0, x)
        t0 = multiplyAdd(t0, a0, y)
        s1 = multiplyAdd(s1, a1, x)
        t1 = multiplyAdd(t1, a1, y)
        s2 = multiplyAdd(s2, a2, x)
        t2 = multiplyAdd(t2, a2, y)
        s3 = multiplyAdd(s3, a3, x)
        t3 = multiplyAdd(t3, a3, y)
        let (a4, a5, a6, a7) = (splat(a[4]), splat(a[5]), splat(a[6]), splat(a[7]))
        s4 = multiplyAdd(s4, a4, x)
        t4 = multiplyAdd(t4, a4, y)
        s5 = multiplyAdd(s5, a5, x)
        t5 = multiplyAdd(t5, a5, y)
        s6 = multiplyAdd(s6, a6, x)
        t6 = multiplyAdd(t6, a6, y)
        s7 = multiplyAdd(s7, a7, x)
        t7 = multiplyAdd(t7, a7, y)
        a += width
        b += width
    }
    store(s0, m)
    store(s1, m + width)
    store(s2, m + 2 * width)
    store(s3, m + 3 * width)
    store(s4, n)
    store(s5, n + width)
    store(s6, n + 2 * width)
    store(s7, n + 3 * width)
    store(t0, p)
    store(t1, p + width)
    store(t2, p + 2 * width)
    store(t3, p + 3 * width)
    store(t4, q)
    store(t5, q + width)
    store(t6, q + 2 * width)
    store(t7, q + 3 * width)
}
#endif

/// Solves `matrix · x = rightSide` for a symmetric positive definite matrix by Cholesky
/// (`matrix = UᵀU`), in place.
/// - Parameters:
///   - matrix: `[width × width]`, row-major; the upper triangle is read, all of it is overwritten.
///   - rightSide: `[width]`, in; the solution, out.
///   - smallestPivot: a pivot not above it means that the matrix is not positive definite.
/// - Returns: 1 when solved; 0 when a pivot is too small or not a number.
@inline(never)
package func solvePositiveDefinite(
    _ matrix: UnsafeMutablePointer<Float>, _ rightSide: UnsafeMutablePointer<Float>, _ width: Int,
    _ smallestPivot: Float
) -> Int32 {
    for j in 0..<width {
        let pivotRow = matrix + j * width
        let pivot = pivotRow[j]
        guard pivot > smallestPivot else { return 0 }
        let scale = 1 / pivot.squareRoot()
        let aligned = j / laneCount * laneCount
        // What lies left of the diagonal becomes zero, so that whole vectors can be used below.
        for c in aligned..<j { pivotRow[c] = 0 }
        var c = aligned
        while c < width {
            store(load(pivotRow + c) * splat(scale), pivotRow + c)
            c += laneCount
        }
        var i = j + 1
        while i < width {
            let row = matrix + i * width
            let factor = splat(-pivotRow[i])
            var c = i / laneCount * laneCount
            while c < width {
                store(multiplyAdd(load(row + c), factor, load(pivotRow + c)), row + c)
                c += laneCount
            }
            i += 1
        }
        // Forward substitution goes along: Uᵀ z = b.
        let z = rightSide[j] * scale
        let factor = splat(-z)
        c = aligned
        while c < width {
            store(multiplyAdd(load(rightSide + c), factor, load(pivotRow + c)), rightSide + c)
            c += laneCount
        }
        rightSide[j] = z
    }
    var j = width - 1
    while j >= 0 {
        let row = matrix + j * width
        let z = rightSide[j]
        rightSide[j] = 0
        var sum = Lanes.zero
        var c = j / laneCount * laneCount
        while c < width {
            sum = multiplyAdd(sum, load(row + c), load(rightSide + c))
            c += laneCount
        }
        rightSide[j] = (z - horizontalSum(sum)) / row[j]
        j -= 1
    }
    return 1
}
