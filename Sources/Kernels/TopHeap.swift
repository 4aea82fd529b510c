// The best of a query's candidates: a binary heap with the worst kept one on top, in the arrays
// where `collectTop` appends. One implementation for every level: it sees few candidates.

/// The length that an item needs to get above any of a group's thresholds.
@inline(__always)
func groupCut(_ thresholds: UnsafePointer<Float>, _ scales: UnsafePointer<Float>) -> Float {
    var cut = Float.infinity
    for q in 0..<groupWidth {
        let own = topCut(thresholds[q], scales[q])
        if own < cut { cut = own }
    }
    return cut
}

/// The length that an item needs to get above a threshold. Below 2^-100 what products lose to
/// underflow could count: then there is no bound.
@inline(__always)
private func topCut(_ threshold: Float, _ scale: Float) -> Float {
    if threshold == .infinity { return .infinity }
    return threshold > 0x1p-100 && scale > 0 ? (threshold * scale).nextDown : -.infinity
}

/// Takes the candidates `kept ..< count` into the heap before them.
/// - Returns: entries of the heap: at most `limit`.
@inline(__always)
func keepBest(
    _ scores: UnsafeMutablePointer<Float>, _ ids: UnsafeMutablePointer<Int32>, _ kept: Int,
    _ count: Int, _ limit: Int
) -> Int {
    var kept = kept
    for i in kept..<count {
        let (score, id) = (scores[i], ids[i])
        if kept < limit {
            if limit <= longestRow {
                insert(scores, ids, kept, score, id)
            } else {
                siftUp(scores, ids, kept, score, id)
            }
            kept &+= 1
        } else if isWorse(scores[0], ids[0], score, id) {
            if limit <= longestRow {
                replaceFirst(scores, ids, kept, score, id)
            } else {
                siftDown(scores, ids, kept, score, id)
            }
        }
    }
    return kept
}

/// Up to here a heap is a row in ascending order, which is a heap too: a few steps to the place of
/// an entry are one wrong guess of the processor, a way through the levels is one a level.
private let longestRow = 24

/// Puts an entry into its place in an ascending row with a free place behind it.
@inline(__always)
private func insert(
    _ scores: UnsafeMutablePointer<Float>, _ ids: UnsafeMutablePointer<Int32>, _ count: Int,
    _ score: Float, _ id: Int32
) {
    var place = count
    while place > 0, isWorse(score, id, scores[place &- 1], ids[place &- 1]) {
        (scores[place], ids[place]) = (scores[place &- 1], ids[place &- 1])
        place &-= 1
    }
    (scores[place], ids[place]) = (score, id)
}

/// Puts an entry into its place in an ascending row whose first entry goes.
@inline(__always)
private func replaceFirst(
    _ scores: UnsafeMutablePointer<Float>, _ ids: UnsafeMutablePointer<Int32>, _ count: Int,
    _ score: Float, _ id: Int32
) {
    var place = 0
    while place &+ 1 < count, isWorse(scores[place &+ 1], ids[place &+ 1], score, id) {
        (scores[place], ids[place]) = (scores[place &+ 1], ids[place &+ 1])
        place &+= 1
    }
    (scores[place], ids[place]) = (score, id)
}

/// Lets an entry behind a heap rise.
@inline(__always)
private func siftUp(
    _ scores: UnsafeMutablePointer<Float>, _ ids: UnsafeMutablePointer<Int32>, _ count: Int,
    _ score: Float, _ id: Int32
) {
    var child = count
    while child > 0 {
        let parent = (child &- 1) >> 1
        if !isWorse(score, id, scores[parent], ids[parent]) { break }
        (scores[child], ids[child]) = (scores[parent], ids[parent])
        child = parent
    }
    (scores[child], ids[child]) = (score, id)
}

/// Puts an entry in the place of the top one and lets it sink.
@inline(__always)
private func siftDown(
    _ scores: UnsafeMutablePointer<Float>, _ ids: UnsafeMutablePointer<Int32>, _ count: Int,
    _ score: Float, _ id: Int32
) {
    var parent = 0
    while true {
        var child = 2 &* parent &+ 1
        if child >= count { break }
        if child &+ 1 < count,
            isWorse(scores[child &+ 1], ids[child &+ 1], scores[child], ids[child])
        {
            child &+= 1
        }
        if !isWorse(scores[child], ids[child], score, id) { break }
        (scores[parent], ids[parent]) = (scores[child], ids[child])
        parent = child
    }
    (scores[parent], ids[parent]) = (score, id)
}

/// Lower score, or the same and a higher id.
@inline(__always)
private func isWorse(_ score: Float, _ id: Int32, _ otherScore: Float, _ otherID: Int32) -> Bool {
    score < otherScore || (score == otherScore && id > otherID)
}

#if !KERNELS_AVX2 && !KERNELS_AVX512

/// Takes the candidates that came since the last call into each query's heap, and raises the
/// thresholds and cuts that follow from it.
///
/// - Parameters:
///   - groupCount: queries by four.
///   - limit: entries that a query keeps, at least 1.
///   - trigger: a query with fewer new candidates waits.
///   - takesTies: whether a later candidate may win a tie: where ids do not ascend.
///   - scales: `[groupCount × 4]`: a query's threshold times its scale is the length that an item
///     must exceed; not positive for a query without such a bound.
///   - thresholds: `[groupCount × 4]` and cuts: `[groupCount]`, in and out.
///   - kept: `[groupCount × 4]`: how many of a query's candidates are in its heap, in and out.
///   - counts, scores, ids, capacity: as in `collectTop`.
@inline(never)
package func settleTop(
    _ groupCount: Int, _ limit: Int, _ trigger: Int, _ takesTies: Bool,
    _ scales: UnsafePointer<Float>, _ thresholds: UnsafeMutablePointer<Float>,
    _ cuts: UnsafeMutablePointer<Float>, _ kept: UnsafeMutablePointer<Int32>,
    _ counts: UnsafeMutablePointer<Int32>, _ scores: UnsafeMutablePointer<Float>,
    _ ids: UnsafeMutablePointer<Int32>, _ capacity: Int
) {
    for g in 0..<groupCount {
        let first = g &* groupWidth
        var settled = false
        for q in first..<first &+ groupWidth where Int(counts[q] &- kept[q]) >= trigger {
            settled = true
            let (queryScores, queryIDs) = (scores + q &* capacity, ids + q &* capacity)
            let count = keepBest(queryScores, queryIDs, Int(kept[q]), Int(counts[q]), limit)
            kept[q] = Int32(truncatingIfNeeded: count)
            counts[q] = kept[q]
            if count < limit { continue }
            thresholds[q] = takesTies ? queryScores[0].nextDown : queryScores[0]
        }
        if settled { cuts[g] = groupCut(thresholds + first, scales + first) }
    }
}

/// Orders a heap best first.
@inline(never)
package func sortTop(
    _ scores: UnsafeMutablePointer<Float>, _ ids: UnsafeMutablePointer<Int32>, _ count: Int
) {
    var end = count &- 1
    while end > 0 {
        // The worst one goes behind the others.
        let (worst, worstID) = (scores[0], ids[0])
        siftDown(scores, ids, end, scores[end], ids[end])
        (scores[end], ids[end]) = (worst, worstID)
        end &-= 1
    }
}

#endif
