/// Multiplies every row by a square matrix: `output = input · matrix`.
/// - Parameters:
///   - input: `[count × width]`, row-major; `width` a multiple of 16.
///   - matrix: `[width × width]`, row-major.
///   - output: `[count × width]`, not overlapping the others.
@inline(never)
package func multiplyRows(
    _ input: UnsafePointer<Float>, _ count: Int, _ width: Int, _ matrix: UnsafePointer<Float>,
    _ output: UnsafeMutablePointer<Float>
) {
    var row = 0
    while row < count {
        let x = input + row * width
        let y = output + row * width
        let isWhole = row + 4 <= count
        var column = 0
        #if KERNELS_AVX512
        while column + 4 * laneCount <= width {
            if isWhole {
                rowTile4x4(x, width, matrix + column, y + column)
            } else {
                for i in row..<count {
                    rowTile1x4(
                        input + i * width, width, matrix + column, output + i * width + column)
                }
            }
            column += 4 * laneCount
        }
        #endif
        while column < width {
            if isWhole {
                rowTile4x1(x, width, matrix + column, y + column)
            } else {
                for i in row..<count {
                    rowTile1x1(
                        input + i * width, width, matrix + column, output + i * width + column)
                }
            }
            column += laneCount
        }
        row += 4
    }
}

#if KERNELS_AVX512
/// Four rows by four vectors of columns: 16 accumulators.
@inline(__always)
private func rowTile4x4(
    _ x: UnsafePointer<Float>, _ width: Int, _ matrix: UnsafePointer<Float>,
    _ y: UnsafeMutablePointer<Float>
) {
    var (a0, a1, a2, a3) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
    var (b0, b1, b2, b3) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
    var (c0, c1, c2, c3) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
    var (d0, d1, d2, d3) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
    var m = matrix
    for k in 0..<width {
        let (m0, m1, m2, m3) = load4(m)
        addProducts(&a0, &a1, &a2, &a3, m0, m1, m2, m3, x[k])
        addProducts(&b0, &b1, &b2, &b3, m0, m1, m2, m3, x[k + width])
        addProducts(&c0, &c1, &c2, &c3, m0, m1, m2, m3, x[k + 2 * width])
        addProducts(&d0, &d1, &d2, &d3, m0, m1, m2, m3, x[k + 3 * width])
        m += width
    }
    store4(y, a0, a1, a2, a3)
    store4(y + width, b0, b1, b2, b3)
    store4(y + 2 * width, c0, c1, c2, c3)
    store4(y + 3 * width, d0, d1, d2, d3)
}

/// One row by four vectors of columns.
@inline(__always)
private func rowTile1x4(
    _ x: UnsafePointer<Float>, _ width: Int, _ matrix: UnsafePointer<Float>,
    _ y: UnsafeMutablePointer<Float>
) {
    var (a0, a1, a2, a3) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
    var m = matrix
    for k in 0..<width {
        addProducts(&a0, &a1, &a2, &a3, m, x[k])
        m += width
    }
    store4(y, a0, a1, a2, a3)
}
#endif

/// Four rows by one vector of columns.
@inline(__always)
private func rowTile4x1(
    _ x: UnsafePointer<Float>, _ width: Int, _ matrix: UnsafePointer<Float>,
    _ y: UnsafeMutablePointer<Float>
) {
    var (a, b, c, d) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
    var m = matrix
    for k in 0..<width {
        let m0 = load(m)
        a = multiplyAdd(a, splat(x[k]), m0)
        b = multiplyAdd(b, splat(x[k + width]), m0)
        c = multiplyAdd(c, splat(x[k + 2 * width]), m0)
        d = multiplyAdd(d, splat(x[k + 3 * width]), m0)
        m += width
    }
    store4(y, a, b, c, d, width)
}

@inline(__always)
private func rowTile1x1(
    _ x: UnsafePointer<Float>, _ width: Int, _ matrix: UnsafePointer<Float>,
    _ y: UnsafeMutablePointer<Float>
) {
    var a = Lanes.zero
    var m = matrix
    for k in 0..<width {
        a = multiplyAdd(a, splat(x[k]), load(m))
        m += width
    }
    store(a, y)
}
