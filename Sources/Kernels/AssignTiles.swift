// Rows against all centroids, the nearest one kept: the inner loop of k-means.
//
//   points     [featureCount × 64]  one block, feature-major: lanes are rows
//   centroids  [featureCount × 4]   a group of four, interleaved, one group after another
//   score      x·c - |c|²/2, largest for the nearest centroid
//
// 512-bit registers: tiles of 4 vectors × 4 centroids, 16 accumulators of 32 registers. With 16
// registers 2 × 6 = 12 accumulators, the two loads and the broadcast fill them; six centroids are
// three pairs, so that three groups of four make two tiles. Every tile adds the features in the
// same order, so a score does not depend on the tile that it was computed in.
//
// The bodies are flat on purpose: in a caller of this size the compiler stops inlining helpers that
// have a branch or a loop, as `replace` has, and a call here passes vectors through memory (measured:
// 0.8 of the speed). `@_transparent` helpers it always takes in.

/// Takes a centroid's scores where they are the largest so far.
@_transparent
private func raise(
    _ best: inout Lanes, _ label: inout LaneIndices, _ score: Lanes, _ index: LaneIndices
) {
    let wins = score .> best
    best.replace(with: score, where: wins)
    label.replace(with: index, where: wins)
}

/// The same, and what it beats, or it where it loses, as the second largest.
@_transparent
private func raise(
    _ best: inout Lanes, _ second: inout Lanes, _ label: inout LaneIndices, _ score: Lanes,
    _ index: LaneIndices
) {
    let wins = score .> best
    var loser = score
    loser.replace(with: best, where: wins)
    second.replace(with: loser, where: loser .> second)
    best.replace(with: score, where: wins)
    label.replace(with: index, where: wins)
}

/// Assigns every row to the centroid with the largest `x·c - |c|²/2`, which is the nearest one.
///
/// - Parameters:
///   - points: `[ceil(rowCount / 64)]` blocks of `[featureCount × 64]`, padding zeroed.
///   - centroids: `[groupCount]` groups of `[featureCount × 4]`.
///   - offsets: `[groupCount × 4]`: `-|c|²/2`; minus infinity for the padding of the last group.
///   - labels: `[rowCount]`, out. Ties go to the lowest index.
///   - scores: `[rowCount]`, out: the largest value; squared distance = `|x|² - 2 score`.
@inline(never)
package func assignRows(
    _ points: UnsafePointer<Float>, _ rowCount: Int, _ featureCount: Int,
    _ centroids: UnsafePointer<Float>, _ offsets: UnsafePointer<Float>, _ groupCount: Int,
    _ labels: UnsafeMutablePointer<Int32>, _ scores: UnsafeMutablePointer<Float>
) {
    var row = 0
    var block = points
    while row + blockRowCount <= rowCount {
        assignBlock(
            block, featureCount, centroids, offsets, groupCount, labels + row, scores + row)
        block += blockRowCount * featureCount
        row += blockRowCount
    }
    if row == rowCount { return }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: blockRowCount) { lastScores in
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: blockRowCount) { lastLabels in
            guard let score = lastScores.baseAddress, let label = lastLabels.baseAddress else {
                return
            }
            assignBlock(block, featureCount, centroids, offsets, groupCount, label, score)
            for i in 0..<rowCount - row {
                labels[row + i] = label[i]
                scores[row + i] = score[i]
            }
        }
    }
}

/// One iteration's work on some rows while they are in the first-level cache: assigns them and
/// moves those whose label changed from the old cluster's sums to the new one's.
///
/// - Parameters:
///   - labels: `[rowCount]`, in and out; -1 in: the row is in no cluster yet.
///   - recount: the sums are zero, so every row is added whatever its label was.
///   - sums: `[labelCount × featureCount]`, in and out; the rows come in ascending order.
///   - counts: `[labelCount]`, in and out.
///   - scratch: 64 values, and 64 labels.
/// - Returns: rows whose label changed.
@inline(never)
package func assignAndMoveRows(
    _ points: UnsafePointer<Float>, _ rowCount: Int, _ featureCount: Int,
    _ centroids: UnsafePointer<Float>, _ offsets: UnsafePointer<Float>, _ groupCount: Int,
    _ labels: UnsafeMutablePointer<Int32>, _ recount: Bool, _ sums: UnsafeMutablePointer<Double>,
    _ counts: UnsafeMutablePointer<Int64>, _ scratch: UnsafeMutablePointer<Float>,
    _ newLabels: UnsafeMutablePointer<Int32>
) -> Int {
    var changes = 0
    var row = 0
    var block = points
    while row < rowCount {
        let count = min(blockRowCount, rowCount - row)
        assignBlock(block, featureCount, centroids, offsets, groupCount, newLabels, scratch)
        changes += moveRows(
            block, count, featureCount, labels + row, newLabels, recount, sums, counts)
        block += blockRowCount * featureCount
        row += blockRowCount
    }
    return changes
}

#if KERNELS_AVX512 || arch(arm64)
/// One block of 64 rows, whether all of them are used or not.
@inline(never)
private func assignBlock(
    _ points: UnsafePointer<Float>, _ featureCount: Int, _ centroids: UnsafePointer<Float>,
    _ offsets: UnsafePointer<Float>, _ groupCount: Int,
    _ blockLabels: UnsafeMutablePointer<Int32>, _ blockScores: UnsafeMutablePointer<Float>
) {
    let one = LaneIndices(repeating: 1)
    var first = 0
    while first < blockRowCount {
        let rows = points + first
        let labels = blockLabels + first
        let scores = blockScores + first
        for i in 0..<4 {
            store(splat(-.infinity), scores + i * laneCount)
            store(LaneIndices.zero, labels + i * laneCount)
        }
        var group = centroids
        var offset = offsets
        var index = LaneIndices.zero
        for _ in 0..<groupCount {
            let s0 = splat(offset[0])
            var (a0, b0, c0, d0) = (s0, s0, s0, s0)
            let s1 = splat(offset[1])
            var (a1, b1, c1, d1) = (s1, s1, s1, s1)
            let s2 = splat(offset[2])
            var (a2, b2, c2, d2) = (s2, s2, s2, s2)
            let s3 = splat(offset[3])
            var (a3, b3, c3, d3) = (s3, s3, s3, s3)
            var x = rows
            for _ in 0..<featureCount {
                let (xa, xb, xc, xd) = load4(x)
                addProducts(&a0, &b0, &c0, &d0, xa, xb, xc, xd, group[0])
                addProducts(&a1, &b1, &c1, &d1, xa, xb, xc, xd, group[1])
                addProducts(&a2, &b2, &c2, &d2, xa, xb, xc, xd, group[2])
                addProducts(&a3, &b3, &c3, &d3, xa, xb, xc, xd, group[3])
                x += blockRowCount
                group += groupWidth
            }
            var (bestA, bestB, bestC, bestD) = load4(scores)
            var labelA = load(labels)
            var labelB = load(labels + laneCount)
            var labelC = load(labels + 2 * laneCount)
            var labelD = load(labels + 3 * laneCount)
            raise(&bestA, &labelA, a0, index)
            raise(&bestB, &labelB, b0, index)
            raise(&bestC, &labelC, c0, index)
            raise(&bestD, &labelD, d0, index)
            index = index &+ one
            raise(&bestA, &labelA, a1, index)
            raise(&bestB, &labelB, b1, index)
            raise(&bestC, &labelC, c1, index)
            raise(&bestD, &labelD, d1, index)
            index = index &+ one
            raise(&bestA, &labelA, a2, index)
            raise(&bestB, &labelB, b2, index)
            raise(&bestC, &labelC, c2, index)
            raise(&bestD, &labelD, d2, index)
            index = index &+ one
            raise(&bestA, &labelA, a3, index)
            raise(&bestB, &labelB, b3, index)
            raise(&bestC, &labelC, c3, index)
            raise(&bestD, &labelD, d3, index)
            index = index &+ one
            store4(scores, bestA, bestB, bestC, bestD)
            store(labelA, labels)
            store(labelB, labels + laneCount)
            store(labelC, labels + 2 * laneCount)
            store(labelD, labels + 3 * laneCount)
            offset += groupWidth
        }
        first += 4 * laneCount
    }
}
#else
/// One block of 64 rows, whether all of them are used or not.
@inline(never)
private func assignBlock(
    _ points: UnsafePointer<Float>, _ featureCount: Int, _ centroids: UnsafePointer<Float>,
    _ offsets: UnsafePointer<Float>, _ groupCount: Int,
    _ blockLabels: UnsafeMutablePointer<Int32>, _ blockScores: UnsafeMutablePointer<Float>
) {
    let one = LaneIndices(repeating: 1)
    let groupSize = featureCount * groupWidth
    var first = 0
    while first < blockRowCount {
        let rows = points + first
        let labels = blockLabels + first
        let scores = blockScores + first
        for i in 0..<2 {
            store(splat(-.infinity), scores + i * laneCount)
            store(LaneIndices.zero, labels + i * laneCount)
        }
        var offset = offsets
        var index = LaneIndices.zero
        var pairCount = groupCount * 2
        var pair = 0
        // A rest of one pair would leave the registers half empty: two tiles of four instead.
        while pairCount >= 3 && pairCount != 4 {
            var group = centroids + pair / 2 * groupSize + pair % 2 * 2
            var second = centroids + (pair + 1) / 2 * groupSize + (pair + 1) % 2 * 2
            var third = centroids + (pair + 2) / 2 * groupSize + pair % 2 * 2
            let s0 = splat(offset[0])
            var (a0, b0) = (s0, s0)
            let s1 = splat(offset[1])
            var (a1, b1) = (s1, s1)
            let s2 = splat(offset[2])
            var (a2, b2) = (s2, s2)
            let s3 = splat(offset[3])
            var (a3, b3) = (s3, s3)
            let s4 = splat(offset[4])
            var (a4, b4) = (s4, s4)
            let s5 = splat(offset[5])
            var (a5, b5) = (s5, s5)
            var x = rows
            for _ in 0..<featureCount {
                let (xa, xb) = (load(x), load(x + laneCount))
                addProducts(&a0, &b0, xa, xb, group[0])
                addProducts(&a1, &b1, xa, xb, group[1])
                addProducts(&a2, &b2, xa, xb, second[0])
                addProducts(&a3, &b3, xa, xb, second[1])
                addProducts(&a4, &b4, xa, xb, third[0])
                addProducts(&a5, &b5, xa, xb, third[1])
                x += blockRowCount
                group += groupWidth
                second += groupWidth
                third += groupWidth
            }
            var bestA = load(scores)
            var labelA = load(labels)
            var bestB = load(scores + laneCount)
            var labelB = load(labels + laneCount)
            raise(&bestA, &labelA, a0, index)
            raise(&bestB, &labelB, b0, index)
            index = index &+ one
            raise(&bestA, &labelA, a1, index)
            raise(&bestB, &labelB, b1, index)
            index = index &+ one
            raise(&bestA, &labelA, a2, index)
            raise(&bestB, &labelB, b2, index)
            index = index &+ one
            raise(&bestA, &labelA, a3, index)
            raise(&bestB, &labelB, b3, index)
            index = index &+ one
            raise(&bestA, &labelA, a4, index)
            raise(&bestB, &labelB, b4, index)
            index = index &+ one
            raise(&bestA, &labelA, a5, index)
            raise(&bestB, &labelB, b5, index)
            index = index &+ one
            store(bestA, scores)
            store(labelA, labels)
            store(bestB, scores + laneCount)
            store(labelB, labels + laneCount)
            offset += 6
            pair += 3
            pairCount -= 3
        }
        while pairCount > 0 {
            var group = centroids + pair / 2 * groupSize
            let s0 = splat(offset[0])
            var (a0, b0) = (s0, s0)
            let s1 = splat(offset[1])
            var (a1, b1) = (s1, s1)
            let s2 = splat(offset[2])
            var (a2, b2) = (s2, s2)
            let s3 = splat(offset[3])
            var (a3, b3) = (s3, s3)
            var x = rows
            for _ in 0..<featureCount {
                let (xa, xb) = (load(x), load(x + laneCount))
                addProducts(&a0, &b0, xa, xb, group[0])
                addProducts(&a1, &b1, xa, xb, group[1])
                addProducts(&a2, &b2, xa, xb, group[2])
                addProducts(&a3, &b3, xa, xb, group[3])
                x += blockRowCount
                group += groupWidth
            }
            var bestA = load(scores)
            var labelA = load(labels)
            var bestB = load(scores + laneCount)
            var labelB = load(labels + laneCount)
            raise(&bestA, &labelA, a0, index)
            raise(&bestB, &labelB, b0, index)
            index = index &+ one
            raise(&bestA, &labelA, a1, index)
            raise(&bestB, &labelB, b1, index)
            index = index &+ one
            raise(&bestA, &labelA, a2, index)
            raise(&bestB, &labelB, b2, index)
            index = index &+ one
            raise(&bestA, &labelA, a3, index)
            raise(&bestB, &labelB, b3, index)
            index = index &+ one
            store(bestA, scores)
            store(labelA, labels)
            store(bestB, scores + laneCount)
            store(labelB, labels + laneCount)
            offset += groupWidth
            pair += 2
            pairCount -= 2
        }
        first += 2 * laneCount
    }
}
#endif

/// Assigns rows to the nearest of some centroids and keeps the second largest score too: what the
/// bounds of later iterations need.
///
/// Tiles of two vectors, because the rows left to look at are often fewer than 64.
/// - Parameters:
///   - points: one block `[featureCount × 64]`.
///   - rowCount: at most 64; whole tiles are written beyond it.
///   - indices: `[groupCount × 4]`: each centroid's label, ascending; ties go to the lowest.
///   - labels, scores, seconds: `[64]`, out. The second is minus infinity of a single centroid.
@inline(never)
package func assignRanked(
    _ points: UnsafePointer<Float>, _ rowCount: Int, _ featureCount: Int,
    _ centroids: UnsafePointer<Float>, _ offsets: UnsafePointer<Float>,
    _ centroidIndices: UnsafePointer<Int32>, _ groupCount: Int,
    _ labels: UnsafeMutablePointer<Int32>, _ scores: UnsafeMutablePointer<Float>,
    _ seconds: UnsafeMutablePointer<Float>
) {
    var row = 0
    while row < rowCount {
        let rows = points + row
        for i in 0..<2 {
            store(splat(-.infinity), scores + row + i * laneCount)
            store(splat(-.infinity), seconds + row + i * laneCount)
            store(LaneIndices.zero, labels + row + i * laneCount)
        }
        var group = centroids
        var offset = offsets
        var indices = centroidIndices
        for _ in 0..<groupCount {
            let s0 = splat(offset[0])
            var (a0, b0) = (s0, s0)
            let s1 = splat(offset[1])
            var (a1, b1) = (s1, s1)
            let s2 = splat(offset[2])
            var (a2, b2) = (s2, s2)
            let s3 = splat(offset[3])
            var (a3, b3) = (s3, s3)
            var x = rows
            for _ in 0..<featureCount {
                let (xa, xb) = (load(x), load(x + laneCount))
                addProducts(&a0, &b0, xa, xb, group[0])
                addProducts(&a1, &b1, xa, xb, group[1])
                addProducts(&a2, &b2, xa, xb, group[2])
                addProducts(&a3, &b3, xa, xb, group[3])
                x += blockRowCount
                group += groupWidth
            }
            var bestA = load(scores + row)
            var secondA = load(seconds + row)
            var labelA = load(labels + row)
            var bestB = load(scores + row + laneCount)
            var secondB = load(seconds + row + laneCount)
            var labelB = load(labels + row + laneCount)
            let index0 = LaneIndices(repeating: indices[0])
            raise(&bestA, &secondA, &labelA, a0, index0)
            raise(&bestB, &secondB, &labelB, b0, index0)
            let index1 = LaneIndices(repeating: indices[1])
            raise(&bestA, &secondA, &labelA, a1, index1)
            raise(&bestB, &secondB, &labelB, b1, index1)
            let index2 = LaneIndices(repeating: indices[2])
            raise(&bestA, &secondA, &labelA, a2, index2)
            raise(&bestB, &secondB, &labelB, b2, index2)
            let index3 = LaneIndices(repeating: indices[3])
            raise(&bestA, &secondA, &labelA, a3, index3)
            raise(&bestB, &secondB, &labelB, b3, index3)
            store(bestA, scores + row)
            store(secondA, seconds + row)
            store(labelA, labels + row)
            store(bestB, scores + row + laneCount)
            store(secondB, seconds + row + laneCount)
            store(labelB, labels + row + laneCount)
            offset += groupWidth
            indices += groupWidth
        }
        row += 2 * laneCount
    }
}
