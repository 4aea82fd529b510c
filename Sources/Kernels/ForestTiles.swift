// Scores of a forest for tiles of 64 rows, lanes being rows.
//
// A tree of at most 64 leaves, numbered from left to right, is not walked. Every row starts with all
// leaves possible; each split whose row goes right strikes out the leaves below its left branch;
// the lowest leaf left is the row's. Splits may come in any order, so they stream, without a
// branch: one comparison and one masked AND for sixteen rows.
// Source: C. Lucchese et al., "QuickScorer: A Fast Algorithm to Rank Documents with Additive
// Ensembles of Regression Trees", 2015, and "Exploiting CPU SIMD Extensions to Speed-up Document
// Scoring with Tree Ensembles", 2016. Theirs sorts the splits of all trees by feature and stops
// early; with 64 rows together it could rarely stop.
//
// A tile is `[slots × 64]`; a slot is a column as the splits compare it: a number, NaN where it is
// missing, or the bits of a category's code.
//
// A forest is a stream of 32-bit words, a tree after the other:
//
//     header     kind, leaves, A, B, C, 0, 0, 0       kind 0: <= 32 leaves, 1: <= 64, 2: more
//     A splits   slot · 64, threshold, keep, keep'    right where x > threshold; missing left
//     B splits   slot · 64, threshold, keep, keep'    right where not x <= threshold; missing right
//     C splits   slot · 64, words, keep, keep', words…  left where the code's bit is set
//
// `keep` and `keep'` are the leaves 0 … 31 and 32 … 63 that stay possible on the right. A tree of
// kind 2 has A nodes to walk instead, and C words for them:
//
//     node       slot · 64, threshold or place | words << 24, left, right, rule     child -1 - leaf
//                rule 0: as A, 1: as B, 2: as C
//
// Leaf values are doubles in a stream of their own, `leaves` a tree.

/// Rows of a tile.
package let forestTileRows = 64

/// Words of scratch that scoring a tile needs.
package let forestScratchCount = 2 * forestTileRows

@inline(__always)
private func bits(_ source: UnsafePointer<UInt32>) -> BitLanes {
    UnsafeRawPointer(source).loadUnaligned(as: BitLanes.self)
}

@inline(__always)
private func store(_ value: BitLanes, _ target: UnsafeMutablePointer<UInt32>) {
    UnsafeMutableRawPointer(target).storeBytes(of: value, as: BitLanes.self)
}

@inline(__always)
private func number(_ word: UInt32) -> Lanes { splat(Float(bitPattern: word)) }

/// Adds the leaf values of `treeCount` trees to the sums of 64 rows, tree after tree.
/// - Parameters:
///   - tile: `[slots × 64]`.
///   - words: the forest.
///   - leaves: the leaf values.
///   - sums: `[64]`, added to.
///   - scratch: `[forestScratchCount]`.
@inline(never)
package func scoreForestTile(
    _ tile: UnsafePointer<Float>, _ words: UnsafePointer<UInt32>, _ leaves: UnsafePointer<Double>,
    _ treeCount: Int, _ sums: UnsafeMutablePointer<Double>,
    _ scratch: UnsafeMutablePointer<UInt32>
) {
    var (head, values) = (words, leaves)
    for _ in 0..<treeCount {
        let leafCount = Int(head[1])
        switch head[0] {
        case 0:
            head = strike(tile, head, scratch, isLarge: false)
            for row in 0..<forestTileRows {
                sums[row] += values[scratch[row].trailingZeroBitCount]
            }
        case 1:
            head = strike(tile, head, scratch, isLarge: true)
            for row in 0..<forestTileRows {
                let high = UInt64(scratch[forestTileRows + row])
                sums[row] += values[(high &<< 32 | UInt64(scratch[row])).trailingZeroBitCount]
            }
        default:
            head = walkTree(tile, head, values, sums)
        }
        values += leafCount
    }
}

/// Strikes out the leaves of a tree that each of the 64 rows cannot be in: four vectors of masks at
/// once, of the leaves 0 … 31 of four vectors of rows, or of both halves of the leaves of two.
/// - Parameters:
///   - masks: `[forestScratchCount]`, those of the leaves 32 … 63 behind the others.
/// - Returns: where the next tree starts.
@inline(__always)
private func strike(
    _ tile: UnsafePointer<Float>, _ head: UnsafePointer<UInt32>,
    _ masks: UnsafeMutablePointer<UInt32>, isLarge: Bool
) -> UnsafePointer<UInt32> {
    let first = head + 8
    let (aCount, bCount, cCount) = (Int(head[2]), Int(head[3]), Int(head[4]))
    // Where the third and the fourth mask are from the first, and the word that strikes them.
    let apart = isLarge ? forestTileRows : 2 &* laneCount
    let half = isLarge ? 3 : 2
    var end = first
    var lane = 0
    while lane < forestTileRows {
        let rows = tile + lane
        var node = first
        let all = BitLanes(repeating: .max)
        var (m0, m1, m2, m3) = (all, all, all, all)
        for _ in 0..<aCount {
            let x = rows + Int(node[0])
            let limit = number(node[1])
            let (keep, other) = (BitLanes(repeating: node[2]), BitLanes(repeating: node[half]))
            let (r0, r1) = (load(x) .> limit, load(x + laneCount) .> limit)
            m0.replace(with: m0 & keep, where: r0)
            m1.replace(with: m1 & keep, where: r1)
            let y = x + 2 &* laneCount
            m2.replace(with: m2 & other, where: isLarge ? r0 : load(y) .> limit)
            m3.replace(with: m3 & other, where: isLarge ? r1 : load(y + laneCount) .> limit)
            node += 4
        }
        for _ in 0..<bCount {
            let x = rows + Int(node[0])
            let limit = number(node[1])
            let (keep, other) = (BitLanes(repeating: node[2]), BitLanes(repeating: node[half]))
            let (r0, r1) = (.!(load(x) .<= limit), .!(load(x + laneCount) .<= limit))
            m0.replace(with: m0 & keep, where: r0)
            m1.replace(with: m1 & keep, where: r1)
            let y = x + 2 &* laneCount
            m2.replace(with: m2 & other, where: isLarge ? r0 : .!(load(y) .<= limit))
            m3.replace(with: m3 & other, where: isLarge ? r1 : .!(load(y + laneCount) .<= limit))
            node += 4
        }
        for _ in 0..<cCount {
            let x = UnsafeRawPointer(rows + Int(node[0])).assumingMemoryBound(to: UInt32.self)
            let (words, wordCount) = (node + 4, Int(node[1]))
            let (keep, other) = (BitLanes(repeating: node[2]), BitLanes(repeating: node[half]))
            let r0 = isOutside(bits(x), words, wordCount)
            let r1 = isOutside(bits(x + laneCount), words, wordCount)
            m0.replace(with: m0 & keep, where: r0)
            m1.replace(with: m1 & keep, where: r1)
            let y = x + 2 &* laneCount
            m2.replace(
                with: m2 & other, where: isLarge ? r0 : isOutside(bits(y), words, wordCount))
            m3.replace(
                with: m3 & other,
                where: isLarge ? r1 : isOutside(bits(y + laneCount), words, wordCount))
            node += 4 &+ wordCount
        }
        store(m0, masks + lane)
        store(m1, masks + lane + laneCount)
        store(m2, masks + lane + apart)
        store(m3, masks + lane + laneCount + apart)
        end = node
        lane &+= (isLarge ? 2 : 4) &* laneCount
    }
    return end
}

/// The codes whose bit is not set.
@inline(__always)
private func isOutside(
    _ code: BitLanes, _ words: UnsafePointer<UInt32>, _ wordCount: Int
) -> SIMDMask<BitLanes.MaskStorage> {
    var found = BitLanes.zero
    let place = code &>> 5
    for index in 0..<wordCount {
        let bit = BitLanes(repeating: words[index]) &>> (code & 31)
        found.replace(with: bit & 1, where: place .== BitLanes(repeating: UInt32(index)))
    }
    return found .== BitLanes.zero
}

/// A tree of many leaves, row by row.
/// - Returns: where the next tree starts.
@inline(__always)
private func walkTree(
    _ tile: UnsafePointer<Float>, _ head: UnsafePointer<UInt32>, _ leaves: UnsafePointer<Double>,
    _ sums: UnsafeMutablePointer<Double>
) -> UnsafePointer<UInt32> {
    let nodes = head + 8
    let nodeCount = Int(head[2])
    let sets = nodes + 5 &* nodeCount
    for row in 0..<forestTileRows {
        var place: Int32 = 0
        while place >= 0 {
            let node = nodes + 5 &* Int(place)
            let x = tile[Int(node[0]) &+ row]
            let isRight: Bool
            switch node[4] {
            case 0: isRight = x > Float(bitPattern: node[1])
            case 1: isRight = !(x <= Float(bitPattern: node[1]))
            default:
                let code = x.bitPattern
                let wordCount = node[1] &>> 24
                let set = sets + Int(node[1] & 0xFF_FFFF)
                isRight =
                    code &>> 5 >= wordCount || set[Int(code &>> 5)] &>> (code & 31) & 1 == 0
            }
            place = Int32(bitPattern: isRight ? node[3] : node[2])
        }
        sums[row] += leaves[Int(-1 &- place)]
    }
    return sets + Int(head[4])
}
