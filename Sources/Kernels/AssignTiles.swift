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
// The bodies are flat on purpose: the compiler stops inlining helpers of several blocks in a caller
// of this size, and a call here passes vectors through memory (measured: 0.8 of the speed).

@inline(__always)
private func loadIndices(_ source: UnsafePointer<Int32>) -> LaneIndices {
    UnsafeRawPointer(source).loadUnaligned(as: LaneIndices.self)
}

@inline(__always)
private func storeIndices(_ value: LaneIndices, _ target: UnsafeMutablePointer<Int32>) {
    UnsafeMutableRawPointer(target).storeBytes(of: value, as: LaneIndices.self)
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
            storeIndices(.zero, labels + i * laneCount)
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
                let (xa, xb, xc, xd) = (
                    load(x), load(x + laneCount), load(x + 2 * laneCount), load(x + 3 * laneCount)
                )
                let y0 = splat(group[0])
                a0 = multiplyAdd(a0, xa, y0)
                b0 = multiplyAdd(b0, xb, y0)
                c0 = multiplyAdd(c0, xc, y0)
                d0 = multiplyAdd(d0, xd, y0)
                let y1 = splat(group[1])
                a1 = multiplyAdd(a1, xa, y1)
                b1 = multiplyAdd(b1, xb, y1)
                c1 = multiplyAdd(c1, xc, y1)
                d1 = multiplyAdd(d1, xd, y1)
                let y2 = splat(group[2])
                a2 = multiplyAdd(a2, xa, y2)
                b2 = multiplyAdd(b2, xb, y2)
                c2 = multiplyAdd(c2, xc, y2)
                d2 = multiplyAdd(d2, xd, y2)
                let y3 = splat(group[3])
                a3 = multiplyAdd(a3, xa, y3)
                b3 = multiplyAdd(b3, xb, y3)
                c3 = multiplyAdd(c3, xc, y3)
                d3 = multiplyAdd(d3, xd, y3)
                x += blockRowCount
                group += groupWidth
            }
            var bestA = load(scores)
            var labelA = loadIndices(labels)
            var bestB = load(scores + laneCount)
            var labelB = loadIndices(labels + laneCount)
            var bestC = load(scores + 2 * laneCount)
            var labelC = loadIndices(labels + 2 * laneCount)
            var bestD = load(scores + 3 * laneCount)
            var labelD = loadIndices(labels + 3 * laneCount)
            let ma0 = a0 .> bestA
            bestA.replace(with: a0, where: ma0)
            labelA.replace(with: index, where: ma0)
            let mb0 = b0 .> bestB
            bestB.replace(with: b0, where: mb0)
            labelB.replace(with: index, where: mb0)
            let mc0 = c0 .> bestC
            bestC.replace(with: c0, where: mc0)
            labelC.replace(with: index, where: mc0)
            let md0 = d0 .> bestD
            bestD.replace(with: d0, where: md0)
            labelD.replace(with: index, where: md0)
            index = index &+ one
            let ma1 = a1 .> bestA
            bestA.replace(with: a1, where: ma1)
            labelA.replace(with: index, where: ma1)
            let mb1 = b1 .> bestB
            bestB.replace(with: b1, where: mb1)
            labelB.replace(with: index, where: mb1)
            let mc1 = c1 .> bestC
            bestC.replace(with: c1, where: mc1)
            labelC.replace(with: index, where: mc1)
            let md1 = d1 .> bestD
            bestD.replace(with: d1, where: md1)
            labelD.replace(with: index, where: md1)
            index = index &+ one
            let ma2 = a2 .> bestA
            bestA.replace(with: a2, where: ma2)
            labelA.replace(with: index, where: ma2)
            let mb2 = b2 .> bestB
            bestB.replace(with: b2, where: mb2)
            labelB.replace(with: index, where: mb2)
            let mc2 = c2 .> bestC
            bestC.replace(with: c2, where: mc2)
            labelC.replace(with: index, where: mc2)
            let md2 = d2 .> bestD
            bestD.replace(with: d2, where: md2)
            labelD.replace(with: index, where: md2)
            index = index &+ one
            let ma3 = a3 .> bestA
            bestA.replace(with: a3, where: ma3)
            labelA.replace(with: index, where: ma3)
            let mb3 = b3 .> bestB
            bestB.replace(with: b3, where: mb3)
            labelB.replace(with: index, where: mb3)
            let mc3 = c3 .> bestC
            bestC.replace(with: c3, where: mc3)
            labelC.replace(with: index, where: mc3)
            let md3 = d3 .> bestD
            bestD.replace(with: d3, where: md3)
            labelD.replace(with: index, where: md3)
            index = index &+ one
            store(bestA, scores)
            storeIndices(labelA, labels)
            store(bestB, scores + laneCount)
            storeIndices(labelB, labels + laneCount)
            store(bestC, scores + 2 * laneCount)
            storeIndices(labelC, labels + 2 * laneCount)
            store(bestD, scores + 3 * laneCount)
            storeIndices(labelD, labels + 3 * laneCount)
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
            storeIndices(.zero, labels + i * laneCount)
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
                let y0 = splat(group[0])
                a0 = multiplyAdd(a0, xa, y0)
                b0 = multiplyAdd(b0, xb, y0)
                let y1 = splat(group[1])
                a1 = multiplyAdd(a1, xa, y1)
                b1 = multiplyAdd(b1, xb, y1)
                let y2 = splat(second[0])
                a2 = multiplyAdd(a2, xa, y2)
                b2 = multiplyAdd(b2, xb, y2)
                let y3 = splat(second[1])
                a3 = multiplyAdd(a3, xa, y3)
                b3 = multiplyAdd(b3, xb, y3)
                let y4 = splat(third[0])
                a4 = multiplyAdd(a4, xa, y4)
                b4 = multiplyAdd(b4, xb, y4)
                let y5 = splat(third[1])
                a5 = multiplyAdd(a5, xa, y5)
                b5 = multiplyAdd(b5, xb, y5)
                x += blockRowCount
                group += groupWidth
                second += groupWidth
                third += groupWidth
            }
            var bestA = load(scores)
            var labelA = loadIndices(labels)
            var bestB = load(scores + laneCount)
            var labelB = loadIndices(labels + laneCount)
            let ma0 = a0 .> bestA
            bestA.replace(with: a0, where: ma0)
            labelA.replace(with: index, where: ma0)
            let mb0 = b0 .> bestB
            bestB.replace(with: b0, where: mb0)
            labelB.replace(with: index, where: mb0)
            index = index &+ one
            let ma1 = a1 .> bestA
            bestA.replace(with: a1, where: ma1)
            labelA.replace(with: index, where: ma1)
            let mb1 = b1 .> bestB
            bestB.replace(with: b1, where: mb1)
            labelB.replace(with: index, where: mb1)
            index = index &+ one
            let ma2 = a2 .> bestA
            bestA.replace(with: a2, where: ma2)
            labelA.replace(with: index, where: ma2)
            let mb2 = b2 .> bestB
            bestB.replace(with: b2, where: mb2)
            labelB.replace(with: index, where: mb2)
            index = index &+ one
            let ma3 = a3 .> bestA
            bestA.replace(with: a3, where: ma3)
            labelA.replace(with: index, where: ma3)
            let mb3 = b3 .> bestB
            bestB.replace(with: b3, where: mb3)
            labelB.replace(with: index, where: mb3)
            index = index &+ one
            let ma4 = a4 .> bestA
            bestA.replace(with: a4, where: ma4)
            labelA.replace(with: index, where: ma4)
            let mb4 = b4 .> bestB
            bestB.replace(with: b4, where: mb4)
            labelB.replace(with: index, where: mb4)
            index = index &+ one
            let ma5 = a5 .> bestA
            bestA.replace(with: a5, where: ma5)
            labelA.replace(with: index, where: ma5)
            let mb5 = b5 .> bestB
            bestB.replace(with: b5, where: mb5)
            labelB.replace(with: index, where: mb5)
            index = index &+ one
            store(bestA, scores)
            storeIndices(labelA, labels)
            store(bestB, scores + laneCount)
            storeIndices(labelB, labels + laneCount)
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
                let y0 = splat(group[0])
                a0 = multiplyAdd(a0, xa, y0)
                b0 = multiplyAdd(b0, xb, y0)
                let y1 = splat(group[1])
                a1 = multiplyAdd(a1, xa, y1)
                b1 = multiplyAdd(b1, xb, y1)
                let y2 = splat(group[2])
                a2 = multiplyAdd(a2, xa, y2)
                b2 = multiplyAdd(b2, xb, y2)
                let y3 = splat(group[3])
                a3 = multiplyAdd(a3, xa, y3)
                b3 = multiplyAdd(b3, xb, y3)
                x += blockRowCount
                group += groupWidth
            }
            var bestA = load(scores)
            var labelA = loadIndices(labels)
            var bestB = load(scores + laneCount)
            var labelB = loadIndices(labels + laneCount)
            let ma0 = a0 .> bestA
            bestA.replace(with: a0, where: ma0)
            labelA.replace(with: index, where: ma0)
            let mb0 = b0 .> bestB
            bestB.replace(with: b0, where: mb0)
            labelB.replace(with: index, where: mb0)
            index = index &+ one
            let ma1 = a1 .> bestA
            bestA.replace(with: a1, where: ma1)
            labelA.replace(with: index, where: ma1)
            let mb1 = b1 .> bestB
            bestB.replace(with: b1, where: mb1)
            labelB.replace(with: index, where: mb1)
            index = index &+ one
            let ma2 = a2 .> bestA
            bestA.replace(with: a2, where: ma2)
            labelA.replace(with: index, where: ma2)
            let mb2 = b2 .> bestB
            bestB.replace(with: b2, where: mb2)
            labelB.replace(with: index, where: mb2)
            index = index &+ one
            let ma3 = a3 .> bestA
            bestA.replace(with: a3, where: ma3)
            labelA.replace(with: index, where: ma3)
            let mb3 = b3 .> bestB
            bestB.replace(with: b3, where: mb3)
            labelB.replace(with: index, where: mb3)
            index = index &+ one
            store(bestA, scores)
            storeIndices(labelA, labels)
            store(bestB, scores + laneCount)
            storeIndices(labelB, labels + laneCount)
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
            storeIndices(.zero, labels + row + i * laneCount)
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
                let y0 = splat(group[0])
                a0 = multiplyAdd(a0, xa, y0)
                b0 = multiplyAdd(b0, xb, y0)
                let y1 = splat(group[1])
                a1 = multiplyAdd(a1, xa, y1)
                b1 = multiplyAdd(b1, xb, y1)
                let y2 = splat(group[2])
                a2 = multiplyAdd(a2, xa, y2)
                b2 = multiplyAdd(b2, xb, y2)
                let y3 = splat(group[3])
                a3 = multiplyAdd(a3, xa, y3)
                b3 = multiplyAdd(b3, xb, y3)
                x += blockRowCount
                group += groupWidth
            }
            var bestA = load(scores + row)
            var secondA = load(seconds + row)
            var labelA = loadIndices(labels + row)
            var bestB = load(scores + row + laneCount)
            var secondB = load(seconds + row + laneCount)
            var labelB = loadIndices(labels + row + laneCount)
            let index0 = LaneIndices(repeating: indices[0])
            let winsA0 = a0 .> bestA
            var loserA0 = a0
            loserA0.replace(with: bestA, where: winsA0)
            secondA.replace(with: loserA0, where: loserA0 .> secondA)
            bestA.replace(with: a0, where: winsA0)
            labelA.replace(with: index0, where: winsA0)
            let winsB0 = b0 .> bestB
            var loserB0 = b0
            loserB0.replace(with: bestB, where: winsB0)
            secondB.replace(with: loserB0, where: loserB0 .> secondB)
            bestB.replace(with: b0, where: winsB0)
            labelB.replace(with: index0, where: winsB0)
            let index1 = LaneIndices(repeating: indices[1])
            let winsA1 = a1 .> bestA
            var loserA1 = a1
            loserA1.replace(with: bestA, where: winsA1)
            secondA.replace(with: loserA1, where: loserA1 .> secondA)
            bestA.replace(with: a1, where: winsA1)
            labelA.replace(with: index1, where: winsA1)
            let winsB1 = b1 .> bestB
            var loserB1 = b1
            loserB1.replace(with: bestB, where: winsB1)
            secondB.replace(with: loserB1, where: loserB1 .> secondB)
            bestB.replace(with: b1, where: winsB1)
            labelB.replace(with: index1, where: winsB1)
            let index2 = LaneIndices(repeating: indices[2])
            let winsA2 = a2 .> bestA
            var loserA2 = a2
            loserA2.replace(with: bestA, where: winsA2)
            secondA.replace(with: loserA2, where: loserA2 .> secondA)
            bestA.replace(with: a2, where: winsA2)
            labelA.replace(with: index2, where: winsA2)
            let winsB2 = b2 .> bestB
            var loserB2 = b2
            loserB2.replace(with: bestB, where: winsB2)
            secondB.replace(with: loserB2, where: loserB2 .> secondB)
            bestB.replace(with: b2, where: winsB2)
            labelB.replace(with: index2, where: winsB2)
            let index3 = LaneIndices(repeating: indices[3])
            let winsA3 = a3 .> bestA
            var loserA3 = a3
            loserA3.replace(with: bestA, where: winsA3)
            secondA.replace(with: loserA3, where: loserA3 .> secondA)
            bestA.replace(with: a3, where: winsA3)
            labelA.replace(with: index3, where: winsA3)
            let winsB3 = b3 .> bestB
            var loserB3 = b3
            loserB3.replace(with: bestB, where: winsB3)
            secondB.replace(with: loserB3, where: loserB3 .> secondB)
            bestB.replace(with: b3, where: winsB3)
            labelB.replace(with: index3, where: winsB3)
            store(bestA, scores + row)
            store(secondA, seconds + row)
            storeIndices(labelA, labels + row)
            store(bestB, scores + row + laneCount)
            store(secondB, seconds + row + laneCount)
            storeIndices(labelB, labels + row + laneCount)
            offset += groupWidth
            indices += groupWidth
        }
        row += 2 * laneCount
    }
}
