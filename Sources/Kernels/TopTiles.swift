// The largest scalar products of a few queries with many items: a register tile of `tileVectors`
// vectors of items times 4 queries, whose scores are compared with each query's threshold where
// they are. Only a tile that holds a candidate is written down.
//
//   items      [featureCount × 64]   one block, feature-major: lanes are items
//   queries    [featureCount × 4]    a group of four queries, interleaved
//
// `TopTile` and `TopColumn` are private for the reason that DistanceTiles.swift gives.
//
// A score is the same chain of fused products in the order of the features, whatever tile computes
// it: a pass over all queries and a look-up of one give the same bits.

#if KERNELS_AVX512 || arch(arm64)
private let tileVectors = 4

/// Sixteen accumulators: `aItem.query`.
private struct TopTile {
    var a0 = Lanes.zero, a1 = Lanes.zero, a2 = Lanes.zero, a3 = Lanes.zero
    var b0 = Lanes.zero, b1 = Lanes.zero, b2 = Lanes.zero, b3 = Lanes.zero
    var c0 = Lanes.zero, c1 = Lanes.zero, c2 = Lanes.zero, c3 = Lanes.zero
    var d0 = Lanes.zero, d1 = Lanes.zero, d2 = Lanes.zero, d3 = Lanes.zero

    @inline(__always)
    init(
        _ items: UnsafePointer<Float>, _ group: UnsafePointer<Float>, featureCount: Int
    ) {
        var p = items
        var g = group
        for _ in 0..<featureCount {
            let (x0, x1, x2, x3) = load4(p)
            addProducts(&a0, &b0, &c0, &d0, x0, x1, x2, x3, g[0])
            addProducts(&a1, &b1, &c1, &d1, x0, x1, x2, x3, g[1])
            addProducts(&a2, &b2, &c2, &d2, x0, x1, x2, x3, g[2])
            addProducts(&a3, &b3, &c3, &d3, x0, x1, x2, x3, g[3])
            p += blockRowCount
            g += groupWidth
        }
    }

    /// Whether any score is above its query's threshold.
    @inline(__always)
    func exceeds(_ thresholds: UnsafePointer<Float>) -> Bool {
        var hits = LaneIndices.zero
        let one = LaneIndices(repeating: 1)
        hits.replace(
            with: one, where: larger(larger(a0, b0), larger(c0, d0)) .> splat(thresholds[0]))
        hits.replace(
            with: one, where: larger(larger(a1, b1), larger(c1, d1)) .> splat(thresholds[1]))
        hits.replace(
            with: one, where: larger(larger(a2, b2), larger(c2, d2)) .> splat(thresholds[2]))
        hits.replace(
            with: one, where: larger(larger(a3, b3), larger(c3, d3)) .> splat(thresholds[3]))
        return isNonzero(hits)
    }

    /// Writes the scores of four queries, which are `stride` values apart.
    @inline(__always)
    func write(_ output: UnsafeMutablePointer<Float>, stride: Int) {
        store4(output, a0, b0, c0, d0)
        store4(output + stride, a1, b1, c1, d1)
        store4(output + 2 * stride, a2, b2, c2, d2)
        store4(output + 3 * stride, a3, b3, c3, d3)
    }
}

#else
private let tileVectors = 2

/// Eight accumulators: `aItem.query`.
private struct TopTile {
    var a0 = Lanes.zero, a1 = Lanes.zero, a2 = Lanes.zero, a3 = Lanes.zero
    var b0 = Lanes.zero, b1 = Lanes.zero, b2 = Lanes.zero, b3 = Lanes.zero

    @inline(__always)
    init(
        _ items: UnsafePointer<Float>, _ group: UnsafePointer<Float>, featureCount: Int
    ) {
        var p = items
        var g = group
        for _ in 0..<featureCount {
            let (x0, x1) = (load(p), load(p + laneCount))
            addProducts(&a0, &b0, x0, x1, g[0])
            addProducts(&a1, &b1, x0, x1, g[1])
            addProducts(&a2, &b2, x0, x1, g[2])
            addProducts(&a3, &b3, x0, x1, g[3])
            p += blockRowCount
            g += groupWidth
        }
    }

    /// Whether any score is above its query's threshold.
    @inline(__always)
    func exceeds(_ thresholds: UnsafePointer<Float>) -> Bool {
        var hits = LaneIndices.zero
        let one = LaneIndices(repeating: 1)
        hits.replace(with: one, where: larger(a0, b0) .> splat(thresholds[0]))
        hits.replace(with: one, where: larger(a1, b1) .> splat(thresholds[1]))
        hits.replace(with: one, where: larger(a2, b2) .> splat(thresholds[2]))
        hits.replace(with: one, where: larger(a3, b3) .> splat(thresholds[3]))
        return isNonzero(hits)
    }

    /// Writes the scores of four queries, which are `stride` values apart.
    @inline(__always)
    func write(_ output: UnsafeMutablePointer<Float>, stride: Int) {
        store(a0, output)
        store(b0, output + laneCount)
        store(a1, output + stride)
        store(b1, output + stride + laneCount)
        store(a2, output + 2 * stride)
        store(b2, output + 2 * stride + laneCount)
        store(a3, output + 3 * stride)
        store(b3, output + 3 * stride + laneCount)
    }
}
#endif

private let tileItemCount = tileVectors * laneCount

/// The scores of 4 vectors of items for one query: as many sums as hide the latency of one.
private struct TopColumn {
    static let itemCount = 4 * laneCount

    var a = Lanes.zero
    var b = Lanes.zero
    var c = Lanes.zero
    var d = Lanes.zero

    @inline(__always)
    init(_ items: UnsafePointer<Float>, _ query: UnsafePointer<Float>, featureCount: Int) {
        var p = items
        for j in 0..<featureCount {
            addProducts(&a, &b, &c, &d, p, query[j])
            p += blockRowCount
        }
    }

    @inline(__always)
    func write(_ output: UnsafeMutablePointer<Float>) {
        store4(output, a, b, c, d)
    }

    @inline(__always)
    func exceeds(_ threshold: Float) -> Bool {
        var hits = LaneIndices.zero
        hits.replace(
            with: LaneIndices(repeating: 1),
            where: larger(larger(a, b), larger(c, d)) .> splat(threshold))
        return isNonzero(hits)
    }
}

@inline(__always)
private func larger(_ a: Lanes, _ b: Lanes) -> Lanes {
    var larger = b
    larger.replace(with: a, where: a .> b)
    return larger
}

/// `any()` on a mask is slow generic code; of halves the compiler makes one test.
@inline(__always)
private func isNonzero(_ value: LaneIndices) -> Bool {
    #if KERNELS_AVX512
    let eight = value.lowHalf | value.highHalf
    let four = eight.lowHalf | eight.highHalf
    #elseif KERNELS_AVX2
    let four = value.lowHalf | value.highHalf
    #else
    let four = value
    #endif
    let two = four.lowHalf | four.highHalf
    return two.x | two.y != 0
}

/// Bit i: lane i is above the threshold.
@inline(__always)
private func lanesAbove(_ threshold: Float, _ scores: UnsafePointer<Float>) -> UInt64 {
    var hits = LaneIndices.zero
    hits.replace(with: LaneIndices(repeating: -1), where: load(scores) .> splat(threshold))
    #if KERNELS_AVX512
    let bytes = unsafeBitCast(SIMD16<Int8>(truncatingIfNeeded: hits), to: SIMD2<UInt64>.self)
    return lowBits(bytes.x) | lowBits(bytes.y) << 8
    #elseif KERNELS_AVX2
    return lowBits(unsafeBitCast(SIMD8<Int8>(truncatingIfNeeded: hits), to: UInt64.self))
    #else
    return lowBits(
        UInt64(unsafeBitCast(SIMD4<Int8>(truncatingIfNeeded: hits), to: UInt32.self)))
    #endif
}

/// One bit for each of eight bytes that are all ones or all zeros.
@inline(__always)
private func lowBits(_ bytes: UInt64) -> UInt64 {
    ((bytes & 0x8040_2010_0804_0201) &* 0x0101_0101_0101_0101) >> 56
}

/// Adds the items of one block whose scores are above their query's threshold to the query's
/// candidates.
///
/// - Parameters:
///   - items: one block `[featureCount × 64]`.
///   - itemIDs: `[64]`, what to call them.
///   - reach: no item of the block is longer.
///   - queries: `[groupCount]` groups of `[featureCount × 4]`.
///   - cuts: `[groupCount]`: a group skips a block whose reach is not above its cut.
///   - thresholds: `[groupCount × 4]`: a score must be above it; infinity for padding.
///   - allowed: bit i of `allowed[q × allowedStride]`: item i may be a candidate of query q.
///   - capacity: candidates that fit a query: at least 64 more than its count.
///   - counts: `[groupCount × 4]`, in and out.
///   - scores: `[groupCount × 4 × capacity]`, in and out, the candidates' scores, and
///   - ids: `[groupCount × 4 × capacity]`, in and out, what they are called.
///   - scratch: `[4 × 64]`.
/// - Returns: groups that did not skip the block.
@inline(never)
package func collectTop(
    _ items: UnsafePointer<Float>, _ itemIDs: UnsafePointer<Int32>, _ featureCount: Int,
    _ reach: Float, _ queries: UnsafePointer<Float>, _ groupCount: Int,
    _ cuts: UnsafePointer<Float>, _ thresholds: UnsafePointer<Float>,
    _ allowed: UnsafePointer<UInt64>, _ allowedStride: Int, _ capacity: Int,
    _ counts: UnsafeMutablePointer<Int32>, _ scores: UnsafeMutablePointer<Float>,
    _ ids: UnsafeMutablePointer<Int32>, _ scratch: UnsafeMutablePointer<Float>
) -> Int {
    var multiplied = 0
    for g in 0..<groupCount {
        if !(reach > cuts[g]) { continue }
        multiplied &+= 1
        let first = g &* groupWidth
        var row = 0
        while row < blockRowCount {
            let tile = TopTile(
                items + row, queries + first &* featureCount, featureCount: featureCount)
            if tile.exceeds(thresholds + first) {
                tile.write(scratch, stride: tileItemCount)
                for q in 0..<groupWidth {
                    let query = first &+ q
                    // Padding has no words.
                    if thresholds[query] == .infinity { continue }
                    appendAbove(
                        thresholds[query], scratch + q &* tileItemCount, tileVectors,
                        itemIDs + row, allowed[query &* allowedStride] >> UInt64(row),
                        counts + query, scores + query &* capacity, ids + query &* capacity)
                }
            }
            row += tileItemCount
        }
    }
    return multiplied
}

/// Starts the candidates of all queries with the first blocks, and the thresholds with what they
/// say. Nearly every item would be a candidate of the first block: here all scores of a query are
/// written down, and what at least `limit` of them reach is the first threshold.
///
/// - Parameters:
///   - items: `[blockCount]` blocks of `[featureCount × 64]`; itemIDs: `[blockCount × 64]`.
///   - limit, takesTies, scales, kept: as in `settleTop`.
///   - thresholds, cuts, kept, counts: of a new pass, in and out.
///   - allowed: bit i of `allowed[q × allowedStride + b]`: item i of block b.
///   - scratch: `[4 × blockCount × 64 + 64]`.
///   - the others: as in `collectTop`.
@inline(never)
package func seedTop(
    _ items: UnsafePointer<Float>, _ itemIDs: UnsafePointer<Int32>, _ featureCount: Int,
    _ blockCount: Int, _ queries: UnsafePointer<Float>, _ groupCount: Int, _ limit: Int,
    _ takesTies: Bool, _ scales: UnsafePointer<Float>, _ thresholds: UnsafeMutablePointer<Float>,
    _ cuts: UnsafeMutablePointer<Float>, _ allowed: UnsafePointer<UInt64>, _ allowedStride: Int,
    _ capacity: Int, _ kept: UnsafeMutablePointer<Int32>, _ counts: UnsafeMutablePointer<Int32>,
    _ scores: UnsafeMutablePointer<Float>, _ ids: UnsafeMutablePointer<Int32>,
    _ scratch: UnsafeMutablePointer<Float>
) {
    let itemCount = blockCount &* blockRowCount
    for g in 0..<groupCount {
        if cuts[g] == .infinity { continue }
        let first = g &* groupWidth
        var row = 0
        while row < itemCount {
            let place = row / blockRowCount &* blockRowCount &* featureCount
            let tile = TopTile(
                items + place + row % blockRowCount, queries + first &* featureCount,
                featureCount: featureCount)
            tile.write(scratch + row, stride: itemCount)
            row += tileItemCount
        }
        for q in 0..<groupWidth {
            let query = first &+ q
            if thresholds[query] == .infinity { continue }
            seedQuery(
                scratch + q &* itemCount, itemIDs, blockCount, limit, takesTies,
                thresholds + query, allowed + query &* allowedStride, capacity, kept + query,
                counts + query, scores + query &* capacity, ids + query &* capacity,
                scratch + groupWidth &* itemCount)
        }
        cuts[g] = groupCut(thresholds + first, scales + first)
    }
}

/// Takes the best of a query's scores of the first blocks.
@inline(never)
private func seedQuery(
    _ blockScores: UnsafeMutablePointer<Float>, _ itemIDs: UnsafePointer<Int32>,
    _ blockCount: Int, _ limit: Int, _ takesTies: Bool,
    _ threshold: UnsafeMutablePointer<Float>, _ allowed: UnsafePointer<UInt64>, _ capacity: Int,
    _ kept: UnsafeMutablePointer<Int32>, _ counts: UnsafeMutablePointer<Int32>,
    _ scores: UnsafeMutablePointer<Float>, _ ids: UnsafeMutablePointer<Int32>,
    _ scratch: UnsafeMutablePointer<Float>
) {
    for block in 0..<blockCount {
        var forbidden = ~allowed[block]
        while forbidden != 0 {
            blockScores[block &* blockRowCount &+ forbidden.trailingZeroBitCount] = -.infinity
            forbidden &= forbidden &- 1
        }
    }
    let bound = reachedByMany(
        blockScores, blockCount &* blockRowCount, limit: limit, scratch)
    var lowest = bound.nextDown
    var (count, heapCount) = (Int32(0), 0)
    for block in 0..<blockCount {
        if Int(count) &+ blockRowCount > capacity {
            heapCount = keepBest(scores, ids, heapCount, Int(count), limit)
            count = Int32(truncatingIfNeeded: heapCount)
            if heapCount == limit, scores[0].nextDown > lowest { lowest = scores[0].nextDown }
        }
        appendAbove(
            lowest, blockScores + block &* blockRowCount, blockRowCount / laneCount,
            itemIDs + block &* blockRowCount, allowed[block], &count, scores, ids)
    }
    heapCount = keepBest(scores, ids, heapCount, Int(count), limit)
    kept.pointee = Int32(truncatingIfNeeded: heapCount)
    counts.pointee = kept.pointee
    if heapCount == limit { threshold.pointee = takesTies ? scores[0].nextDown : scores[0] }
}

/// A value that at least `limit` scores reach: the scores are dealt out to some more classes, and
/// the `limit` best classes have one such score each. Minus infinity where there are too few.
@inline(__always)
private func reachedByMany(
    _ scores: UnsafePointer<Float>, _ count: Int, limit: Int,
    _ scratch: UnsafeMutablePointer<Float>
) -> Float {
    let classCount = limit <= 12 ? 16 : 64
    var c = 0
    while c < classCount {
        var best = load(scores + c)
        var i = c &+ classCount
        while i < count {
            best = larger(best, load(scores + i))
            i &+= classCount
        }
        store(best, scratch + c)
        c &+= laneCount
    }
    for i in 1..<classCount {
        let score = scratch[i]
        var place = i
        while place > 0 && scratch[place &- 1] < score {
            scratch[place] = scratch[place &- 1]
            place &-= 1
        }
        scratch[place] = score
    }
    return limit <= classCount ? scratch[limit &- 1] : -.infinity
}

/// The same for one query in plain order and any number of blocks, as long as candidates fit.
///
/// - Parameters:
///   - items: `[blockCount]` blocks of `[featureCount × 64]`.
///   - itemIDs: `[blockCount × 64]`.
///   - reaches: `[blockCount]`; not ascending.
///   - query: `[featureCount]`.
///   - allowed: `[blockCount]` words of 64 items.
///   - count, scores, ids: as above, of one query.
/// - Returns: blocks that are done: the next one might not fit. All of them where the rest is
///   below the cut.
@inline(never)
package func collectTopOfOne(
    _ items: UnsafePointer<Float>, _ itemIDs: UnsafePointer<Int32>, _ featureCount: Int,
    _ blockCount: Int, _ reaches: UnsafePointer<Float>, _ query: UnsafePointer<Float>,
    _ cut: Float, _ threshold: Float, _ allowed: UnsafePointer<UInt64>, _ trigger: Int,
    _ count: UnsafeMutablePointer<Int32>, _ scores: UnsafeMutablePointer<Float>,
    _ ids: UnsafeMutablePointer<Int32>, _ scratch: UnsafeMutablePointer<Float>
) -> Int {
    for block in 0..<blockCount {
        if !(reaches[block] > cut) { return blockCount }
        let first = block &* blockRowCount
        var row = 0
        while row < blockRowCount {
            let column = TopColumn(
                items + first &* featureCount + row, query, featureCount: featureCount)
            if column.exceeds(threshold) {
                column.write(scratch)
                appendAbove(
                    threshold, scratch, 4, itemIDs + first + row, allowed[block] >> UInt64(row),
                    count, scores, ids)
            }
            row += TopColumn.itemCount
        }
        if Int(count.pointee) >= trigger { return block &+ 1 }
    }
    return blockCount
}

/// Appends the items of a tile that are above the threshold and allowed.
@inline(never)
private func appendAbove(
    _ threshold: Float, _ tile: UnsafePointer<Float>, _ vectorCount: Int,
    _ itemIDs: UnsafePointer<Int32>, _ allowed: UInt64, _ count: UnsafeMutablePointer<Int32>,
    _ scores: UnsafeMutablePointer<Float>, _ ids: UnsafeMutablePointer<Int32>
) {
    var largest = load(tile)
    for v in 1..<vectorCount { largest = larger(largest, load(tile + v &* laneCount)) }
    var above = LaneIndices.zero
    above.replace(with: LaneIndices(repeating: 1), where: largest .> splat(threshold))
    if !isNonzero(above) { return }
    var hits: UInt64 = 0
    for v in 0..<vectorCount {
        hits |= lanesAbove(threshold, tile + v &* laneCount) << UInt64(v &* laneCount)
    }
    hits &= allowed
    if hits == 0 { return }
    var n = Int(count.pointee)
    while hits != 0 {
        let i = hits.trailingZeroBitCount
        scores[n] = tile[i]
        ids[n] = itemIDs[i]
        n &+= 1
        hits &= hits &- 1
    }
    count.pointee = Int32(truncatingIfNeeded: n)
}
