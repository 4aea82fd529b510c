// Squared distances of a register tile of rows to four vectors: the inner loop of k-means seeding
// and of the silhouette. They are written for one block and group at a time and used from there
// (1 KiB that stays in the first-level cache). What uses them is in functions of their own: in large
// ones the optimizer leaves comparisons lane by lane.
//
//   points   [featureCount × 64]   one block, feature-major: lanes are rows
//   group    [featureCount × 4]    four vectors, interleaved
//
// By differences, not as |x|² - 2 x·c + |c|²: a row that equals the vector is at distance 0 exactly,
// no distance is negative, and the error is at most featureCount + 2 roundings of the distance
// itself. Subtractions run beside the fused multiplies where they have units of their own (Zen 4,
// NEON), so this costs nothing there; a pass over rows outside the caches waits for memory anyway.
//
// `Tile` is private, and so everything that uses it is in this file: the metadata of a wider type
// brings copy functions with it (`__swift_memcpy512_16`) that are weak symbols of the same name in
// every module, and the linker could choose the one with wide instructions for all.
//
// 512-bit registers: 4 × 4 = 16 accumulators of 32 registers. With 16 registers (AVX2, SSE) a
// 2 × 4 tile leaves room for the two loads and the broadcast.

/// Blocks of a stripe: the rows over which one sum of distances is kept.
private let stripeBlockCount = 8

#if KERNELS_AVX512 || arch(arm64)
private let tileVectors = 4

/// The squared distances of four vectors of rows to a group: `rowVector`.
private struct Tile {
    var a0 = Lanes.zero, a1 = Lanes.zero, a2 = Lanes.zero, a3 = Lanes.zero
    var b0 = Lanes.zero, b1 = Lanes.zero, b2 = Lanes.zero, b3 = Lanes.zero
    var c0 = Lanes.zero, c1 = Lanes.zero, c2 = Lanes.zero, c3 = Lanes.zero
    var d0 = Lanes.zero, d1 = Lanes.zero, d2 = Lanes.zero, d3 = Lanes.zero

    @inline(__always)
    init(_ points: UnsafePointer<Float>, _ group: UnsafePointer<Float>, featureCount: Int) {
        var p = points
        var g = group
        for _ in 0..<featureCount {
            let (x0, x1, x2, x3) = load4(p)
            addSquares(&a0, &b0, &c0, &d0, x0, x1, x2, x3, g[0])
            addSquares(&a1, &b1, &c1, &d1, x0, x1, x2, x3, g[1])
            addSquares(&a2, &b2, &c2, &d2, x0, x1, x2, x3, g[2])
            addSquares(&a3, &b3, &c3, &d3, x0, x1, x2, x3, g[3])
            p += blockRowCount
            g += groupWidth
        }
    }

    /// Writes the tile's rows of each of the four vectors, which are 64 values apart.
    @inline(__always)
    func write(_ output: UnsafeMutablePointer<Float>) {
        store4(output, a0, b0, c0, d0)
        store4(output + blockRowCount, a1, b1, c1, d1)
        store4(output + 2 * blockRowCount, a2, b2, c2, d2)
        store4(output + 3 * blockRowCount, a3, b3, c3, d3)
    }
}
#else
private let tileVectors = 2

/// The squared distances of two vectors of rows to a group: `rowVector`.
private struct Tile {
    var a0 = Lanes.zero, a1 = Lanes.zero, a2 = Lanes.zero, a3 = Lanes.zero
    var b0 = Lanes.zero, b1 = Lanes.zero, b2 = Lanes.zero, b3 = Lanes.zero

    @inline(__always)
    init(_ points: UnsafePointer<Float>, _ group: UnsafePointer<Float>, featureCount: Int) {
        var p = points
        var g = group
        for _ in 0..<featureCount {
            let (x0, x1) = (load(p), load(p + laneCount))
            addSquares(&a0, &b0, x0, x1, g[0])
            addSquares(&a1, &b1, x0, x1, g[1])
            addSquares(&a2, &b2, x0, x1, g[2])
            addSquares(&a3, &b3, x0, x1, g[3])
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

/// The squared distances of a block's rows to a group, `[4 × 64]`.
@inline(__always)
private func writeDistances(
    _ points: UnsafePointer<Float>, _ featureCount: Int, _ group: UnsafePointer<Float>,
    _ distances: UnsafeMutablePointer<Float>
) {
    var row = 0
    while row < blockRowCount {
        let tile = Tile(points + row, group, featureCount: featureCount)
        tile.write(distances + row)
        row += tileVectors * laneCount
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
    for g in 0..<groupCount {
        writeDistances(
            points, featureCount, queries + g * featureCount * groupWidth,
            distances + g * groupWidth * blockRowCount)
    }
}

@inline(__always)
private func lower(_ closest: UnsafeMutablePointer<Float>, to distances: Lanes) {
    var least = load(closest)
    least.replace(with: distances, where: distances .< least)
    store(least, closest)
}

/// Lowers the closest distances of a block to those to one vector, four vectors of rows at a time:
/// as many sums as a fused multiply-add takes cycles.
@inline(__always)
private func lowerBlock(
    _ points: UnsafePointer<Float>, _ featureCount: Int, _ vector: UnsafePointer<Float>,
    _ closest: UnsafeMutablePointer<Float>
) {
    var row = 0
    while row < blockRowCount {
        var (s0, s1, s2, s3) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
        var p = points + row
        for j in 0..<featureCount {
            let (x0, x1, x2, x3) = load4(p)
            addSquares(&s0, &s1, &s2, &s3, x0, x1, x2, x3, vector[j])
            p += blockRowCount
        }
        lower(closest + row, to: s0)
        lower(closest + row + laneCount, to: s1)
        lower(closest + row + 2 * laneCount, to: s2)
        lower(closest + row + 3 * laneCount, to: s3)
        row += 4 * laneCount
    }
}

/// Lowers the distances of a block to four vectors to the closest distances.
@inline(never)
private func lowerToClosest(
    _ distances: UnsafeMutablePointer<Float>, _ closest: UnsafePointer<Float>
) {
    var row = 0
    while row < blockRowCount {
        let near = load(closest + row)
        for i in 0..<groupWidth {
            let target = distances + i * blockRowCount + row
            var least = load(target)
            least.replace(with: near, where: near .< least)
            store(least, target)
        }
        row += laneCount
    }
}

/// Adds a block's distances to each of four vectors.
@inline(never)
private func addSums(
    of distances: UnsafePointer<Float>, _ sums: UnsafeMutablePointer<Double>
) {
    for i in 0..<groupWidth { sums[i] += Double(blockSum(distances + i * blockRowCount)) }
}

/// `addSums` of rows that count by a weight.
@inline(never)
private func addSums(
    of distances: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    _ sums: UnsafeMutablePointer<Double>
) {
    for i in 0..<groupWidth {
        var total = Lanes.zero
        var row = 0
        while row < blockRowCount {
            let part = load(distances + i * blockRowCount + row)
            total = multiplyAdd(total, part, load(weights + row))
            row += laneCount
        }
        sums[i] += Double(horizontalSum(total))
    }
}

@inline(__always)
private func blockSum(_ values: UnsafePointer<Float>) -> Float {
    var total = load(values)
    var row = laneCount
    while row < blockRowCount {
        total += load(values + row)
        row += laneCount
    }
    return horizontalSum(total)
}

/// One pass of greedy k-means++: lowers each row's closest distance to that to the centroid chosen
/// last, and sums what the closest distances would become with each candidate for the next one.
///
/// - Parameters:
///   - points: `[blockCount]` blocks of `[featureCount × 64]`.
///   - chosen: `[featureCount]`: the centroid chosen last.
///   - candidates: `[groupCount]` groups of `[featureCount × 4]`.
///   - weights: `[blockCount × 64]`, or nil where every row counts once.
///   - scratch: `[4 × 64]`.
///   - closest: `[blockCount × 64]`, in and out; 0 for padding rows, which then add nothing.
///   - potentials: `[ceil(blockCount / 8) × groupCount × 4]`, out: a sum for each stripe of 512 rows
///     and candidate.
@inline(never)
package func seedBlocks(
    _ points: UnsafePointer<Float>, _ blockCount: Int, _ featureCount: Int,
    _ chosen: UnsafePointer<Float>, _ candidates: UnsafePointer<Float>, _ groupCount: Int,
    _ weights: UnsafePointer<Float>?, _ scratch: UnsafeMutablePointer<Float>,
    _ closest: UnsafeMutablePointer<Float>, _ potentials: UnsafeMutablePointer<Double>
) {
    let width = groupCount * groupWidth
    for block in 0..<blockCount {
        let rows = points + block * blockRowCount * featureCount
        let near = closest + block * blockRowCount
        lowerBlock(rows, featureCount, chosen, near)
        let sums = potentials + block / stripeBlockCount * width
        if block % stripeBlockCount == 0 { sums.update(repeating: 0, count: width) }
        var group = candidates
        for g in 0..<groupCount {
            writeDistances(rows, featureCount, group, scratch)
            lowerToClosest(scratch, near)
            if let weights {
                addSums(
                    of: scratch, weights: weights + block * blockRowCount, sums + g * groupWidth)
            } else {
                addSums(of: scratch, sums + g * groupWidth)
            }
            group += featureCount * groupWidth
        }
    }
}

/// Lowers the closest distances of a block to those to four vectors, and keeps which is nearest.
/// Strictly smaller, in ascending order: ties stay with the lowest index.
@inline(never)
private func takeNearer(
    _ distances: UnsafePointer<Float>, _ closest: UnsafeMutablePointer<Float>,
    _ labels: UnsafeMutablePointer<Int32>, _ first: Int32
) {
    var row = 0
    while row < blockRowCount {
        var best = load(closest + row)
        var index = load(labels + row)
        for i in 0..<groupWidth {
            let next = load(distances + i * blockRowCount + row)
            let nearer = next .< best
            best.replace(with: next, where: nearer)
            let label = first &+ Int32(truncatingIfNeeded: i)
            index.replace(with: LaneIndices(repeating: label), where: nearer)
        }
        store(best, closest + row)
        store(index, labels + row)
        row += laneCount
    }
}

/// Lowers each row's closest distance to that to the nearest of many vectors, and keeps which.
///
/// - Parameters:
///   - points: `[blockCount]` blocks of `[featureCount × 64]`.
///   - vectors: `[groupCount]` groups of `[featureCount × 4]`; padding repeats a vector.
///   - firstIndex: the index of the first vector.
///   - scratch: `[4 × 64]`.
///   - closest: `[blockCount × 64]`, in and out; 0 for padding rows.
///   - labels: `[blockCount × 64]`, in and out: the nearest vector's index, ties to the lowest.
///   - potentials: `[ceil(blockCount / 8)]`, out: the sum of `closest` of each stripe of 512 rows.
@inline(never)
package func lowerToNearestBlocks(
    _ points: UnsafePointer<Float>, _ blockCount: Int, _ featureCount: Int,
    _ vectors: UnsafePointer<Float>, _ groupCount: Int, _ firstIndex: Int32,
    _ scratch: UnsafeMutablePointer<Float>, _ closest: UnsafeMutablePointer<Float>,
    _ labels: UnsafeMutablePointer<Int32>, _ potentials: UnsafeMutablePointer<Double>
) {
    for block in 0..<blockCount {
        let rows = points + block * blockRowCount * featureCount
        let near = closest + block * blockRowCount
        let stripe = block / stripeBlockCount
        if block % stripeBlockCount == 0 { potentials[stripe] = 0 }
        var group = vectors
        var index = firstIndex
        for _ in 0..<groupCount {
            writeDistances(rows, featureCount, group, scratch)
            takeNearer(scratch, near, labels + block * blockRowCount, index)
            group += featureCount * groupWidth
            index &+= Int32(truncatingIfNeeded: groupWidth)
        }
        potentials[stripe] += Double(blockSum(near))
    }
}

/// Adds the weighted roots of a block's squared distances.
@inline(never)
private func addRoots(
    _ distances: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    _ sums: UnsafeMutablePointer<Double>
) {
    for i in 0..<groupWidth {
        var total = Lanes.zero
        var row = 0
        while row < blockRowCount {
            let squared = load(distances + i * blockRowCount + row)
            let root = squareRoot(squared, reciprocal: reciprocalRoot(squared, steps: 2))
            total = multiplyAdd(total, root, load(weights + row))
            row += laneCount
        }
        sums[i] += Double(horizontalSum(total))
    }
}

/// Adds the weighted Euclidean distances (not squared) of many rows to each query.
///
/// - Parameters:
///   - points: `[blockCount]` blocks of `[featureCount × 64]`.
///   - weights: `[blockCount × 64]`; 0 for rows that do not count.
///   - queries: `[groupCount]` groups of `[featureCount × 4]`.
///   - scratch: `[4 × 64]`.
///   - sums: `[groupCount × 4]`, in and out.
@inline(never)
package func addDistancesBlocks(
    _ points: UnsafePointer<Float>, _ blockCount: Int, _ featureCount: Int,
    _ weights: UnsafePointer<Float>, _ queries: UnsafePointer<Float>, _ groupCount: Int,
    _ scratch: UnsafeMutablePointer<Float>, _ sums: UnsafeMutablePointer<Double>
) {
    for block in 0..<blockCount {
        let rows = points + block * blockRowCount * featureCount
        var group = queries
        for g in 0..<groupCount {
            writeDistances(rows, featureCount, group, scratch)
            addRoots(scratch, weights: weights + block * blockRowCount, sums + g * groupWidth)
            group += featureCount * groupWidth
        }
    }
}
