// Scalar twins of TopTiles.swift.
#if !KERNELS_AVX2 && !KERNELS_AVX512

/// Scalar twin of `collectTop`.
@inline(never)
package func scalarCollectTop(
    _ items: UnsafePointer<Float>, _ itemIDs: UnsafePointer<Int32>, _ featureCount: Int,
    _ reach: Float, _ queries: UnsafePointer<Float>, _ groupCount: Int,
    _ cuts: UnsafePointer<Float>, _ thresholds: UnsafePointer<Float>,
    _ allowed: UnsafePointer<UInt64>, _ allowedStride: Int, _ capacity: Int,
    _ counts: UnsafeMutablePointer<Int32>, _ scores: UnsafeMutablePointer<Float>,
    _ ids: UnsafeMutablePointer<Int32>, _ scratch: UnsafeMutablePointer<Float>
) -> Int {
    var multiplied = 0
    for g in 0..<groupCount where reach > cuts[g] {
        multiplied += 1
        for q in g * groupWidth..<(g + 1) * groupWidth where thresholds[q] < .infinity {
            appendAbove(
                items, itemIDs, featureCount,
                queries + g * groupWidth * featureCount + q % groupWidth, groupWidth,
                thresholds[q], allowed[q * allowedStride], counts + q, scores + q * capacity,
                ids + q * capacity)
        }
    }
    return multiplied
}

/// Scalar twin of `seedTop`: the same items and thresholds, found one by one.
@inline(never)
package func scalarSeedTop(
    _ items: UnsafePointer<Float>, _ itemIDs: UnsafePointer<Int32>, _ featureCount: Int,
    _ blockCount: Int, _ queries: UnsafePointer<Float>, _ groupCount: Int, _ limit: Int,
    _ takesTies: Bool, _ scales: UnsafePointer<Float>, _ thresholds: UnsafeMutablePointer<Float>,
    _ cuts: UnsafeMutablePointer<Float>, _ allowed: UnsafePointer<UInt64>, _ allowedStride: Int,
    _ capacity: Int, _ kept: UnsafeMutablePointer<Int32>, _ counts: UnsafeMutablePointer<Int32>,
    _ scores: UnsafeMutablePointer<Float>, _ ids: UnsafeMutablePointer<Int32>,
    _ scratch: UnsafeMutablePointer<Float>
) {
    for g in 0..<groupCount where cuts[g] < .infinity {
        for q in g * groupWidth..<(g + 1) * groupWidth where thresholds[q] < .infinity {
            let (queryScores, queryIDs) = (scores + q * capacity, ids + q * capacity)
            for block in 0..<blockCount {
                appendAbove(
                    items + block * blockRowCount * featureCount, itemIDs + block * blockRowCount,
                    featureCount, queries + g * groupWidth * featureCount + q % groupWidth,
                    groupWidth, -.infinity, allowed[q * allowedStride + block], counts + q,
                    queryScores, queryIDs)
                let count = keepBest(queryScores, queryIDs, Int(kept[q]), Int(counts[q]), limit)
                kept[q] = Int32(count)
                counts[q] = kept[q]
            }
            if Int(kept[q]) == limit {
                thresholds[q] = takesTies ? queryScores[0].nextDown : queryScores[0]
            }
        }
        cuts[g] = groupCut(thresholds + g * groupWidth, scales + g * groupWidth)
    }
}

/// Scalar twin of `collectTopOfOne`.
@inline(never)
package func scalarCollectTopOfOne(
    _ items: UnsafePointer<Float>, _ itemIDs: UnsafePointer<Int32>, _ featureCount: Int,
    _ blockCount: Int, _ reaches: UnsafePointer<Float>, _ query: UnsafePointer<Float>,
    _ cut: Float, _ threshold: Float, _ allowed: UnsafePointer<UInt64>, _ trigger: Int,
    _ count: UnsafeMutablePointer<Int32>, _ scores: UnsafeMutablePointer<Float>,
    _ ids: UnsafeMutablePointer<Int32>, _ scratch: UnsafeMutablePointer<Float>
) -> Int {
    for block in 0..<blockCount {
        if !(reaches[block] > cut) { return blockCount }
        appendAbove(
            items + block * blockRowCount * featureCount, itemIDs + block * blockRowCount,
            featureCount, query, 1, threshold, allowed[block], count, scores, ids)
        if Int(count.pointee) >= trigger { return block + 1 }
    }
    return blockCount
}

private func appendAbove(
    _ items: UnsafePointer<Float>, _ itemIDs: UnsafePointer<Int32>, _ featureCount: Int,
    _ query: UnsafePointer<Float>, _ stride: Int, _ threshold: Float, _ allowed: UInt64,
    _ count: UnsafeMutablePointer<Int32>, _ scores: UnsafeMutablePointer<Float>,
    _ ids: UnsafeMutablePointer<Int32>
) {
    for i in 0..<blockRowCount where allowed >> UInt64(i) & 1 != 0 {
        var score: Float = 0
        for j in 0..<featureCount { score += items[j * blockRowCount + i] * query[j * stride] }
        if score > threshold {
            scores[Int(count.pointee)] = score
            ids[Int(count.pointee)] = itemIDs[i]
            count.pointee += 1
        }
    }
}

#endif
