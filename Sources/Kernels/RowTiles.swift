// The inner loop of everything that compares rows with a few vectors: a register tile of
// `tileVectors` vectors of rows times 4 broadcast values.
//
//   points   [featureCount × 64]   one block, feature-major: lanes are rows
//   group    [featureCount × 4]    four queries, interleaved
//
// `Tile` is private, and so everything that uses it is in this file: the metadata of a
// wider type brings copy functions with it (`__swift_memcpy512_16`) that are weak symbols of the
// same name in every module, and the linker could choose the one with wide instructions for all.
//
// 512-bit registers: 4 × 4 = 16 accumulators of 32 registers. With 16 registers (AVX2, SSE) a
// 2 × 4 tile leaves room for the two loads and the broadcast.

#if KERNELS_AVX512 || arch(arm64)
private let tileVectors = 4

/// Sixteen accumulators: `aRow.query`.
private struct Tile {
    var a0, a1, a2, a3: Lanes
    var b0, b1, b2, b3: Lanes
    var c0, c1, c2, c3: Lanes
    var d0, d1, d2, d3: Lanes

    /// Every row starts at the group's own four values.
    @inline(__always)
    init(_ start: UnsafePointer<Float>) {
        let (s0, s1, s2, s3) = (
            splat(start[0]), splat(start[1]), splat(start[2]), splat(start[3])
        )
        (a0, a1, a2, a3) = (s0, s1, s2, s3)
        (b0, b1, b2, b3) = (s0, s1, s2, s3)
        (c0, c1, c2, c3) = (s0, s1, s2, s3)
        (d0, d1, d2, d3) = (s0, s1, s2, s3)
    }

    /// Adds the products of rows and group over all features.
    @inline(__always)
    mutating func addProducts(
        _ points: UnsafePointer<Float>, _ group: UnsafePointer<Float>, featureCount: Int
    ) {
        var p = points
        var g = group
        for _ in 0..<featureCount {
            let (x0, x1) = (load(p), load(p + laneCount))
            let (x2, x3) = (load(p + 2 * laneCount), load(p + 3 * laneCount))
            let y0 = splat(g[0])
            a0 = multiplyAdd(a0, x0, y0)
            b0 = multiplyAdd(b0, x1, y0)
            c0 = multiplyAdd(c0, x2, y0)
            d0 = multiplyAdd(d0, x3, y0)
            let y1 = splat(g[1])
            a1 = multiplyAdd(a1, x0, y1)
            b1 = multiplyAdd(b1, x1, y1)
            c1 = multiplyAdd(c1, x2, y1)
            d1 = multiplyAdd(d1, x3, y1)
            let y2 = splat(g[2])
            a2 = multiplyAdd(a2, x0, y2)
            b2 = multiplyAdd(b2, x1, y2)
            c2 = multiplyAdd(c2, x2, y2)
            d2 = multiplyAdd(d2, x3, y2)
            let y3 = splat(g[3])
            a3 = multiplyAdd(a3, x0, y3)
            b3 = multiplyAdd(b3, x1, y3)
            c3 = multiplyAdd(c3, x2, y3)
            d3 = multiplyAdd(d3, x3, y3)
            p += blockRowCount
            g += groupWidth
        }
    }

    /// Adds the squared differences of rows and group over all features.
    @inline(__always)
    mutating func addSquaredDifferences(
        _ points: UnsafePointer<Float>, _ group: UnsafePointer<Float>, featureCount: Int
    ) {
        var p = points
        var g = group
        for _ in 0..<featureCount {
            let (x0, x1) = (load(p), load(p + laneCount))
            let (x2, x3) = (load(p + 2 * laneCount), load(p + 3 * laneCount))
            let y0 = splat(g[0])
            a0 = multiplyAdd(a0, x0 - y0, x0 - y0)
            b0 = multiplyAdd(b0, x1 - y0, x1 - y0)
            c0 = multiplyAdd(c0, x2 - y0, x2 - y0)
            d0 = multiplyAdd(d0, x3 - y0, x3 - y0)
            let y1 = splat(g[1])
            a1 = multiplyAdd(a1, x0 - y1, x0 - y1)
            b1 = multiplyAdd(b1, x1 - y1, x1 - y1)
            c1 = multiplyAdd(c1, x2 - y1, x2 - y1)
            d1 = multiplyAdd(d1, x3 - y1, x3 - y1)
            let y2 = splat(g[2])
            a2 = multiplyAdd(a2, x0 - y2, x0 - y2)
            b2 = multiplyAdd(b2, x1 - y2, x1 - y2)
            c2 = multiplyAdd(c2, x2 - y2, x2 - y2)
            d2 = multiplyAdd(d2, x3 - y2, x3 - y2)
            let y3 = splat(g[3])
            a3 = multiplyAdd(a3, x0 - y3, x0 - y3)
            b3 = multiplyAdd(b3, x1 - y3, x1 - y3)
            c3 = multiplyAdd(c3, x2 - y3, x2 - y3)
            d3 = multiplyAdd(d3, x3 - y3, x3 - y3)
            p += blockRowCount
            g += groupWidth
        }
    }

    /// Writes `[4 × 64]`: the tile's rows of each of the four vectors.
    @inline(__always)
    func write(_ output: UnsafeMutablePointer<Float>) {
        let second = output + blockRowCount
        let third = output + 2 * blockRowCount
        let fourth = output + 3 * blockRowCount
        store4(output, a0, b0, c0, d0)
        store4(second, a1, b1, c1, d1)
        store4(third, a2, b2, c2, d2)
        store4(fourth, a3, b3, c3, d3)
    }
}

@inline(__always)
private func store4(
    _ output: UnsafeMutablePointer<Float>, _ a: Lanes, _ b: Lanes, _ c: Lanes, _ d: Lanes
) {
    store(a, output)
    store(b, output + laneCount)
    store(c, output + 2 * laneCount)
    store(d, output + 3 * laneCount)
}
#else
private let tileVectors = 2

/// Eight accumulators: `aRow.query`.
private struct Tile {
    var a0, a1, a2, a3: Lanes
    var b0, b1, b2, b3: Lanes

    /// Every row starts at the group's own four values.
    @inline(__always)
    init(_ start: UnsafePointer<Float>) {
        (a0, a1, a2, a3) = (splat(start[0]), splat(start[1]), splat(start[2]), splat(start[3]))
        (b0, b1, b2, b3) = (a0, a1, a2, a3)
    }

    /// Adds the products of rows and group over all features.
    @inline(__always)
    mutating func addProducts(
        _ points: UnsafePointer<Float>, _ group: UnsafePointer<Float>, featureCount: Int
    ) {
        var p = points
        var g = group
        for _ in 0..<featureCount {
            let (x0, x1) = (load(p), load(p + laneCount))
            let y0 = splat(g[0])
            a0 = multiplyAdd(a0, x0, y0)
            b0 = multiplyAdd(b0, x1, y0)
            let y1 = splat(g[1])
            a1 = multiplyAdd(a1, x0, y1)
            b1 = multiplyAdd(b1, x1, y1)
            let y2 = splat(g[2])
            a2 = multiplyAdd(a2, x0, y2)
            b2 = multiplyAdd(b2, x1, y2)
            let y3 = splat(g[3])
            a3 = multiplyAdd(a3, x0, y3)
            b3 = multiplyAdd(b3, x1, y3)
            p += blockRowCount
            g += groupWidth
        }
    }

    /// Adds the squared differences of rows and group over all features.
    @inline(__always)
    mutating func addSquaredDifferences(
        _ points: UnsafePointer<Float>, _ group: UnsafePointer<Float>, featureCount: Int
    ) {
        var p = points
        var g = group
        for _ in 0..<featureCount {
            let (x0, x1) = (load(p), load(p + laneCount))
            let y0 = splat(g[0])
            a0 = multiplyAdd(a0, x0 - y0, x0 - y0)
            b0 = multiplyAdd(b0, x1 - y0, x1 - y0)
            let y1 = splat(g[1])
            a1 = multiplyAdd(a1, x0 - y1, x0 - y1)
            b1 = multiplyAdd(b1, x1 - y1, x1 - y1)
            let y2 = splat(g[2])
            a2 = multiplyAdd(a2, x0 - y2, x0 - y2)
            b2 = multiplyAdd(b2, x1 - y2, x1 - y2)
            let y3 = splat(g[3])
            a3 = multiplyAdd(a3, x0 - y3, x0 - y3)
            b3 = multiplyAdd(b3, x1 - y3, x1 - y3)
            p += blockRowCount
            g += groupWidth
        }
    }

    /// Writes the tile's rows of each of the four vectors, which are 64 values apart.
    @inline(__always)
    func write(_ output: UnsafeMutablePointer<Float>) {
        store(a0, output)
        store(b0, output + laneCount)
        store(a1, output + blockRowCount)
        store(b1, output + blockRowCount + laneCount)
        store(a2, output + 2 * blockRowCount)
        store(b2, output + 2 * blockRowCount + laneCount)
        store(a3, output + 3 * blockRowCount)
        store(b3, output + 3 * blockRowCount + laneCount)
    }
}
#endif

/// Scalar products of one block of 64 items with every query, and each query's largest one.
///
/// - Parameters:
///   - items: one block `[featureCount × 64]`, padding zeroed.
///   - queries: `[groupCount]` groups of `[featureCount × 4]`.
///   - scores: `[groupCount × 4 × 64]`, out.
///   - maxima: `[groupCount × 4]`, out: a query's largest score of the block, padding included.
@inline(never)
package func scoreBlock(
    _ items: UnsafePointer<Float>, _ featureCount: Int,
    _ queries: UnsafePointer<Float>, _ groupCount: Int,
    _ scores: UnsafeMutablePointer<Float>, _ maxima: UnsafeMutablePointer<Float>
) {
    let tileRows = tileVectors * laneCount
    let zeros: (Float, Float, Float, Float) = (0, 0, 0, 0)
    withUnsafePointer(to: zeros) { zeros in
        let start = UnsafeRawPointer(zeros).assumingMemoryBound(to: Float.self)
        for g in 0..<groupCount {
            let group = queries + g * featureCount * groupWidth
            let output = scores + g * groupWidth * blockRowCount
            var row = 0
            while row < blockRowCount {
                var tile = Tile(start)
                tile.addProducts(items + row, group, featureCount: featureCount)
                tile.write(output + row)
                row += tileRows
            }
            for q in 0..<groupWidth {
                maxima[g * groupWidth + q] = largest(output + q * blockRowCount)
            }
        }
    }
}

/// Squared Euclidean distances of one block of 64 rows to every query, by differences: exact to
/// rounding also where rows and query nearly coincide.
/// - Parameters:
///   - points: one block `[featureCount × 64]`.
///   - queries: `[groupCount]` groups of `[featureCount × 4]`.
///   - distances: `[groupCount × 4 × 64]`, out.
@inline(never)
package func squaredDistancesBlock(
    _ points: UnsafePointer<Float>, _ featureCount: Int,
    _ queries: UnsafePointer<Float>, _ groupCount: Int,
    _ distances: UnsafeMutablePointer<Float>
) {
    let tileRows = tileVectors * laneCount
    let zeros: (Float, Float, Float, Float) = (0, 0, 0, 0)
    withUnsafePointer(to: zeros) { zeros in
        let start = UnsafeRawPointer(zeros).assumingMemoryBound(to: Float.self)
        for g in 0..<groupCount {
            let group = queries + g * featureCount * groupWidth
            let output = distances + g * groupWidth * blockRowCount
            var row = 0
            while row < blockRowCount {
                var tile = Tile(start)
                tile.addSquaredDifferences(points + row, group, featureCount: featureCount)
                tile.write(output + row)
                row += tileRows
            }
        }
    }
}

/// The largest of 64 values.
@inline(__always)
private func largest(_ values: UnsafePointer<Float>) -> Float {
    var best = load(values)
    var i = laneCount
    while i < blockRowCount {
        let next = load(values + i)
        best.replace(with: next, where: next .> best)
        i += laneCount
    }
    #if KERNELS_AVX512
    var eight = best.lowHalf
    eight.replace(with: best.highHalf, where: best.highHalf .> eight)
    var four = eight.lowHalf
    four.replace(with: eight.highHalf, where: eight.highHalf .> four)
    #elseif KERNELS_AVX2
    var four = best.lowHalf
    four.replace(with: best.highHalf, where: best.highHalf .> four)
    #else
    let four = best
    #endif
    let left = four.x > four.y ? four.x : four.y
    let right = four.z > four.w ? four.z : four.w
    return left > right ? left : right
}
