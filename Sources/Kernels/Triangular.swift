// Cholesky, and products with a triangular matrix. `width` is a multiple of 16.

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
    var first = 0
    while first < width {
        guard factorFourRows(matrix, rightSide, width, first, smallestPivot) else { return 0 }
        updateRows(matrix, width, first)
        first += 4
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

/// Rows `first ..< first + 4` of U; forward substitution `Uᵀ z = b` goes along.
@inline(__always)
private func factorFourRows(
    _ matrix: UnsafeMutablePointer<Float>, _ rightSide: UnsafeMutablePointer<Float>,
    _ width: Int, _ first: Int, _ smallestPivot: Float
) -> Bool {
    let aligned = first / laneCount * laneCount
    for j in first..<first + 4 {
        let pivotRow = matrix + j * width
        let pivot = pivotRow[j]
        guard pivot > smallestPivot else { return false }
        let scale = 1 / pivot.squareRoot()
        // What lies left of the diagonal becomes zero, so that whole vectors can be used below.
        for c in aligned..<j { pivotRow[c] = 0 }
        let z = rightSide[j] * scale
        let zFactor = splat(-z)
        var c = aligned
        while c < width {
            let x = load(pivotRow + c) * splat(scale)
            store(x, pivotRow + c)
            store(multiplyAdd(load(rightSide + c), zFactor, x), rightSide + c)
            c += laneCount
        }
        rightSide[j] = z
        for i in j + 1..<first + 4 {
            let row = matrix + i * width
            let factor = splat(-pivotRow[i])
            var c = aligned
            while c < width {
                store(multiplyAdd(load(row + c), factor, load(pivotRow + c)), row + c)
                c += laneCount
            }
        }
    }
    return true
}

/// Takes the products of four finished rows of U from all rows below, two at a time: six loads
/// and two stores to eight products.
@inline(__always)
private func updateRows(_ matrix: UnsafeMutablePointer<Float>, _ width: Int, _ first: Int) {
    let (u0, u1) = (matrix + first * width, matrix + (first + 1) * width)
    let (u2, u3) = (matrix + (first + 2) * width, matrix + (first + 3) * width)
    var i = first + 4
    while i < width {
        let (upper, lower) = (matrix + i * width, matrix + (i + 1) * width)
        let (a0, a1, a2, a3) = (splat(-u0[i]), splat(-u1[i]), splat(-u2[i]), splat(-u3[i]))
        let (b0, b1) = (splat(-u0[i + 1]), splat(-u1[i + 1]))
        let (b2, b3) = (splat(-u2[i + 1]), splat(-u3[i + 1]))
        var c = i / laneCount * laneCount
        while c < width {
            let (x0, x1) = (load(u0 + c), load(u1 + c))
            var (s, t) = (load(upper + c), load(lower + c))
            s = multiplyAdd(s, a0, x0)
            t = multiplyAdd(t, b0, x0)
            s = multiplyAdd(s, a1, x1)
            t = multiplyAdd(t, b1, x1)
            let (x2, x3) = (load(u2 + c), load(u3 + c))
            s = multiplyAdd(s, a2, x2)
            t = multiplyAdd(t, b2, x2)
            s = multiplyAdd(s, a3, x3)
            t = multiplyAdd(t, b3, x3)
            store(s, upper + c)
            store(t, lower + c)
            c += laneCount
        }
        i += 2
    }
}

/// `output = rows · matrix` for a triangular matrix.
/// - Parameters:
///   - rows: `[rowCount × width]`, row-major; `width` a multiple of 16.
///   - matrix: `[width × width]`, row-major, zero in the other triangle.
///   - isUpper: 1 where the matrix is zero below the diagonal, 0 where it is above.
///   - output: `[rowCount × width]`, out; not the memory of `rows`.
@inline(never)
package func multiplyTriangle(
    _ rows: UnsafePointer<Float>, _ rowCount: Int, _ width: Int,
    _ matrix: UnsafePointer<Float>, _ isUpper: Int32, _ output: UnsafeMutablePointer<Float>
) {
    var row = 0
    while row < rowCount {
        let isWhole = row + 4 <= rowCount
        var column = 0
        while column < width {
            let isWide = column + 2 * laneCount <= width
            let end = column + (isWide ? 2 : 1) * laneCount
            let steps = isUpper != 0 ? 0..<end : column..<width
            let (source, target) = (rows + row * width, output + row * width + column)
            if isWhole && isWide {
                triangleTile4x2(source, width, matrix + column, steps, target)
            } else {
                for r in 0..<min(4, rowCount - row) {
                    for c in 0..<(isWide ? 2 : 1) {
                        triangleTile1x1(
                            source + r * width, width, matrix + column + c * laneCount, steps,
                            target + r * width + c * laneCount)
                    }
                }
            }
            column = end
        }
        row += 4
    }
}

/// Four rows by two vectors of columns.
@inline(__always)
private func triangleTile4x2(
    _ rows: UnsafePointer<Float>, _ width: Int, _ matrix: UnsafePointer<Float>,
    _ steps: Range<Int>, _ output: UnsafeMutablePointer<Float>
) {
    var (s0, s1, s2, s3) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
    var (t0, t1, t2, t3) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
    let (second, third, fourth) = (rows + width, rows + 2 * width, rows + 3 * width)
    for f in steps {
        let x = load(matrix + f * width)
        let y = load(matrix + f * width + laneCount)
        addProducts(&s0, &t0, x, y, rows[f])
        addProducts(&s1, &t1, x, y, second[f])
        addProducts(&s2, &t2, x, y, third[f])
        addProducts(&s3, &t3, x, y, fourth[f])
    }
    store4(output, s0, s1, s2, s3, width)
    store4(output + laneCount, t0, t1, t2, t3, width)
}

/// What the larger tile leaves; the same operations in the same order.
@inline(__always)
private func triangleTile1x1(
    _ row: UnsafePointer<Float>, _ width: Int, _ matrix: UnsafePointer<Float>,
    _ steps: Range<Int>, _ output: UnsafeMutablePointer<Float>
) {
    var sum = Lanes.zero
    for f in steps { sum = multiplyAdd(sum, splat(row[f]), load(matrix + f * width)) }
    store(sum, output)
}
