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
        let (m0, m1) = (load(m), load(m + laneCount))
        let (m2, m3) = (load(m + 2 * laneCount), load(m + 3 * laneCount))
        let xa = splat(x[k])
        a0 = multiplyAdd(a0, xa, m0)
        a1 = multiplyAdd(a1, xa, m1)
        a2 = multiplyAdd(a2, xa, m2)
        a3 = multiplyAdd(a3, xa, m3)
        let xb = splat(x[k + width])
        b0 = multiplyAdd(b0, xb, m0)
        b1 = multiplyAdd(b1, xb, m1)
        b2 = multiplyAdd(b2, xb, m2)
        b3 = multiplyAdd(b3, xb, m3)
        let xc = splat(x[k + 2 * width])
        c0 = multiplyAdd(c0, xc, m0)
        c1 = multiplyAdd(c1, xc, m1)
        c2 = multiplyAdd(c2, xc, m2)
        c3 = multiplyAdd(c3, xc, m3)
        let xd = splat(x[k + 3 * width])
        d0 = multiplyAdd(d0, xd, m0)
        d1 = multiplyAdd(d1, xd, m1)
        d2 = multiplyAdd(d2, xd, m2)
        d3 = multiplyAdd(d3, xd, m3)
        m += width
    }
    storeFour(a0, a1, a2, a3, y)
    storeFour(b0, b1, b2, b3, y + width)
    storeFour(c0, c1, c2, c3, y + 2 * width)
    storeFour(d0, d1, d2, d3, y + 3 * width)
}

@inline(__always)
private func storeFour(
    _ a: Lanes, _ b: Lanes, _ c: Lanes, _ d: Lanes, _ target: UnsafeMutablePointer<Float>
) {
    store(a, target)
    store(b, target + laneCount)
    store(c, target + 2 * laneCount)
    store(d, target + 3 * laneCount)
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
        let xa = splat(x[k])
        a0 = multiplyAdd(a0, xa, load(m))
        a1 = multiplyAdd(a1, xa, load(m + laneCount))
        a2 = multiplyAdd(a2, xa, load(m + 2 * laneCount))
        a3 = multiplyAdd(a3, xa, load(m + 3 * laneCount))
        m += width
    }
    storeFour(a0, a1, a2, a3, y)
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
    store(a, y)
    store(b, y + width)
    store(c, y + 2 * width)
    store(d, y + 3 * width)
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
