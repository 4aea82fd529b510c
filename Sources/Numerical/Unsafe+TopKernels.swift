import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels that look for the largest scalar products, of one instruction-set level.
struct TopKernels: Sendable {
    let collectTop:
        @Sendable (
            UnsafePointer<Float>, UnsafePointer<Int32>, Int, Float, UnsafePointer<Float>, Int,
            UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<UInt64>, Int, Int,
            UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Int32>,
            UnsafeMutablePointer<Float>
        ) -> Int
    let collectTopOfOne:
        @Sendable (
            UnsafePointer<Float>, UnsafePointer<Int32>, Int, Int, UnsafePointer<Float>,
            UnsafePointer<Float>, Float, Float, UnsafePointer<UInt64>, Int,
            UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Int32>,
            UnsafeMutablePointer<Float>
        ) -> Int
    let seedTop:
        @Sendable (
            UnsafePointer<Float>, UnsafePointer<Int32>, Int, Int, UnsafePointer<Float>, Int, Int,
            Bool, UnsafePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>,
            UnsafePointer<UInt64>, Int, Int, UnsafeMutablePointer<Int32>,
            UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Int32>,
            UnsafeMutablePointer<Float>
        ) -> Void

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            collectTop = scalarCollectTop
            collectTopOfOne = scalarCollectTopOfOne
            seedTop = scalarSeedTop
        case .baseline:
            collectTop = Kernels.collectTop
            collectTopOfOne = Kernels.collectTopOfOne
            seedTop = Kernels.seedTop
        #if arch(x86_64)
        case .avx2:
            collectTop = KernelsAVX2.collectTop
            collectTopOfOne = KernelsAVX2.collectTopOfOne
            seedTop = KernelsAVX2.seedTop
        case .avx512:
            collectTop = KernelsAVX512.collectTop
            collectTopOfOne = KernelsAVX512.collectTopOfOne
            seedTop = KernelsAVX512.seedTop
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

/// A few queries and the best items that each has met so far. Memory of one thread, made once and
/// used for any number of passes.
///
/// A query keeps its best `limit` items in a heap and a few new candidates behind it:
///
///     scores, ids  [queryCapacity × candidateCapacity]
///     a row:       heap of kept[q], worst on top | candidates up to counts[q] | free
///
/// Only a score above the threshold, the worst of a full heap, becomes a candidate.
package struct TopCandidates: Sendable {
    package let queryCapacity: Int
    package let featureCount: Int
    package let limit: Int
    /// Of the queries given to `begin`.
    package private(set) var queryCount = 0
    /// Whether the queries have met an item.
    private var hasStarted = false

    /// New candidates that a query waits for before it takes them into its heap: a stale threshold
    /// lets more of them through, an early one costs a look at all queries.
    private let trigger: Int
    private let candidateCapacity: Int
    /// Blocks that a pass of many starts with.
    private static let seedBlockCount = 8
    private var queries: AlignedFloats
    private var thresholds: [Float]
    private var cuts: [Float]
    private var scales: [Float]
    private var kept: [Int32]
    private var counts: [Int32]
    private var scores: [Float]
    private var ids: [Int32]
    private var tile: AlignedFloats

    /// - Parameters:
    ///   - queryCapacity: most queries of a pass.
    ///   - limit: items that a query keeps, at least 1.
    package init(queryCapacity: Int, featureCount: Int, limit: Int) {
        precondition(queryCapacity >= 1 && featureCount >= 1 && limit >= 1)
        let padded = (queryCapacity + 3) / 4 * 4
        self.queryCapacity = padded
        self.featureCount = featureCount
        self.limit = limit
        trigger = max(4, limit / 4)
        // A block brings up to 64, and a query with trigger - 1 of them waits.
        candidateCapacity = limit + trigger + FeatureMatrix.blockRowCount
        queries = AlignedFloats(count: padded * featureCount)
        thresholds = [Float](repeating: .infinity, count: padded)
        cuts = [Float](repeating: .infinity, count: padded / 4)
        scales = [Float](repeating: 0, count: padded)
        kept = [Int32](repeating: 0, count: padded)
        counts = [Int32](repeating: 0, count: padded)
        scores = [Float](repeating: 0, count: padded * candidateCapacity)
        ids = [Int32](repeating: 0, count: padded * candidateCapacity)
        tile = AlignedFloats(
            count: (4 * Self.seedBlockCount + 1) * FeatureMatrix.blockRowCount)
    }

    /// Starts a pass.
    /// - Parameters:
    ///   - vectors: `[at most queryCapacity × featureCount]`, row-major, finite.
    ///   - lengths: of each, rounded up; a query of length 0 takes no part in the pass.
    package mutating func begin(_ vectors: Span<Float>, lengths: Span<Float>) {
        precondition(vectors.count == lengths.count * featureCount)
        precondition(lengths.count <= queryCapacity)
        queryCount = lengths.count
        hasStarted = false
        pack(vectors)
        let width = VectorGroups.width
        // Rounding of a chain of products is below featureCount + 1 half units in the last place
        // of the product of the lengths.
        let slack = 1 + Double(featureCount + 4) * 0x1p-23
        for q in 0..<queryCapacity {
            let takesPart = q < queryCount && lengths[q] > 0
            thresholds[q] = takesPart ? -.infinity : .infinity
            scales[q] =
                takesPart
                ? min(Float(1 / (Double(lengths[q]) * slack)).nextDown, .greatestFiniteMagnitude)
                : 0
            kept[q] = 0
            counts[q] = 0
        }
        for g in cuts.indices {
            let idle = thresholds[g * width..<(g + 1) * width].allSatisfy { $0 == .infinity }
            cuts[g] = idle ? .infinity : -.infinity
        }
    }

    /// Brings the queries into groups of four; what is left of the last group becomes zero.
    private mutating func pack(_ vectors: Span<Float>) {
        let (featureCount, width) = (featureCount, VectorGroups.width)
        let queryCount = vectors.count / featureCount
        var packed = queries.mutableSpan
        for q in 0..<(queryCount + width - 1) / width * width {
            let first = q / width * featureCount * width + q % width
            for j in 0..<featureCount {
                packed[first + j * width] = q < queryCount ? vectors[q * featureCount + j] : 0
            }
        }
    }

    /// How many items a query has.
    package func count(of query: Int) -> Int { Int(kept[query]) }

    /// An item of a query: best first after `finish`.
    package func entry(_ query: Int, _ place: Int) -> (id: Int32, score: Float) {
        precondition(place < Int(kept[query]))
        let i = query * candidateCapacity + place
        return (ids[i], scores[i])
    }

    /// Orders every query's items: score descending, then id ascending.
    package mutating func finish() {
        let (queryCount, capacity) = (queryCount, candidateCapacity)
        settle(trigger: 1, takesTies: true)
        scores.withUnsafeMutableBufferPointer { scores in
            ids.withUnsafeMutableBufferPointer { ids in
                for q in 0..<queryCount {
                    sortTop(
                        address(scores) + q * capacity, address(ids) + q * capacity,
                        Int(kept[q]))
                }
            }
        }
    }

    /// Meets the items of all blocks, in order.
    /// - Parameters:
    ///   - ids: `[blockCount × 64]`, what the items are called; ascending but for `takesTies`.
    ///   - reaches: `[blockCount]`: no item of a block is longer; not ascending, so that a pass
    ///     can end where no query reaches any further.
    ///   - allowed: bit i of word `query × allowedStride + b`: item i of block b may be an answer.
    ///     A stride of 0: of all queries. Not set for padding.
    ///   - takesTies: ids do not ascend, so a later item may win a tie.
    ///   - isExcluded: asked of the few items that would enter, with the query and the id.
    package mutating func collect(
        _ items: FeatureMatrix, blockCount: Int, ids itemIDs: [Int32], reaches: [Float],
        allowed: [UInt64], allowedStride: Int, takesTies: Bool, kernels: KernelTable,
        isExcluded: ((_ query: Int, _ id: Int32) -> Bool)? = nil
    ) {
        let size = FeatureMatrix.blockRowCount
        precondition(items.featureCount == featureCount && blockCount <= items.blockCount)
        precondition(itemIDs.count >= blockCount * size && reaches.count >= blockCount)
        precondition(allowedStride == 0 || allowedStride >= blockCount)
        precondition(allowed.count >= (queryCount - 1) * allowedStride + blockCount)
        let groupCount = (queryCount + 3) / 4
        var first = 0
        if isExcluded == nil, !hasStarted, limit <= 48, blockCount >= 4 * Self.seedBlockCount {
            first = Self.seedBlockCount
            seed(items, itemIDs, allowed, allowedStride, takesTies: takesTies, kernels)
        }
        hasStarted = true
        for block in first..<blockCount {
            let multiplied = items.storage.withUnsafeBufferPointer { storage in
                itemIDs.withUnsafeBufferPointer { itemIDs in
                    allowed.withUnsafeBufferPointer { allowed in
                        collectBlock(
                            address(storage) + block * size * featureCount,
                            address(itemIDs) + block * size, reaches[block],
                            groupCount, address(allowed) + block, allowedStride,
                            kernels)
                    }
                }
            }
            if multiplied == 0 { return }
            if let isExcluded { drop(isExcluded) }
            settle(trigger: trigger, takesTies: takesTies)
        }
    }

    private mutating func seed(
        _ items: FeatureMatrix, _ itemIDs: [Int32], _ allowed: [UInt64], _ allowedStride: Int,
        takesTies: Bool, _ kernels: KernelTable
    ) {
        let (featureCount, limit, capacity) = (featureCount, limit, candidateCapacity)
        let groupCount = (queryCount + 3) / 4
        items.storage.withUnsafeBufferPointer { storage in
            queries.withUnsafeBufferPointer { queries in
                thresholds.withUnsafeMutableBufferPointer { thresholds in
                    cuts.withUnsafeMutableBufferPointer { cuts in
                        kept.withUnsafeMutableBufferPointer { kept in
                            counts.withUnsafeMutableBufferPointer { counts in
                                scores.withUnsafeMutableBufferPointer { scores in
                                    ids.withUnsafeMutableBufferPointer { ids in
                                        tile.withUnsafeMutableBufferPointer { tile in
                                            kernels.topKernels.seedTop(
                                                address(storage), itemIDs, featureCount,
                                                Self.seedBlockCount, address(queries), groupCount,
                                                limit, takesTies, scales, address(thresholds),
                                                address(cuts), allowed, allowedStride, capacity,
                                                address(kept), address(counts), address(scores),
                                                address(ids), address(tile))
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    private mutating func collectBlock(
        _ items: UnsafePointer<Float>, _ itemIDs: UnsafePointer<Int32>, _ reach: Float,
        _ groupCount: Int, _ allowed: UnsafePointer<UInt64>, _ stride: Int, _ kernels: KernelTable
    ) -> Int {
        let (featureCount, capacity) = (featureCount, candidateCapacity)
        return queries.withUnsafeBufferPointer { queries in
            counts.withUnsafeMutableBufferPointer { counts in
                scores.withUnsafeMutableBufferPointer { scores in
                    ids.withUnsafeMutableBufferPointer { ids in
                        tile.withUnsafeMutableBufferPointer { tile in
                            kernels.topKernels.collectTop(
                                items, itemIDs, featureCount, reach, address(queries),
                                groupCount, cuts, thresholds, allowed, stride, capacity,
                                address(counts), address(scores), address(ids), address(tile))
                        }
                    }
                }
            }
        }
    }

    /// The same for one query that was not packed: a pass whose latency counts.
    /// - Parameters: as in `collect`; `query` is the one given to `begin`.
    package mutating func collectOne(
        _ query: Span<Float>, _ items: FeatureMatrix, blockCount: Int, ids itemIDs: [Int32],
        reaches: [Float], allowed: [UInt64], takesTies: Bool, kernels: KernelTable,
        isExcluded: ((_ query: Int, _ id: Int32) -> Bool)? = nil
    ) {
        let size = FeatureMatrix.blockRowCount
        precondition(items.featureCount == featureCount && query.count == featureCount)
        precondition(queryCount == 1 && blockCount <= items.blockCount)
        precondition(itemIDs.count >= blockCount * size && reaches.count >= blockCount)
        precondition(allowed.count >= blockCount)
        var done = 0
        while done < blockCount && cuts[0] < .infinity {
            let waiting = Int32(kept[0]) + Int32(trigger)
            done += items.storage.withUnsafeBufferPointer { storage in
                itemIDs.withUnsafeBufferPointer { itemIDs in
                    reaches.withUnsafeBufferPointer { reaches in
                        allowed.withUnsafeBufferPointer { allowed in
                            query.withUnsafeBufferPointer { query in
                                collectSomeBlocks(
                                    address(storage) + done * size * featureCount,
                                    address(itemIDs) + done * size, blockCount - done,
                                    address(reaches) + done, address(query),
                                    address(allowed) + done, Int(waiting), kernels)
                            }
                        }
                    }
                }
            }
            if let isExcluded { drop(isExcluded) }
            settle(trigger: trigger, takesTies: takesTies)
        }
    }

    private mutating func collectSomeBlocks(
        _ items: UnsafePointer<Float>, _ itemIDs: UnsafePointer<Int32>, _ blockCount: Int,
        _ reaches: UnsafePointer<Float>, _ query: UnsafePointer<Float>,
        _ allowed: UnsafePointer<UInt64>, _ waiting: Int, _ kernels: KernelTable
    ) -> Int {
        let (featureCount, cut, threshold) = (featureCount, cuts[0], thresholds[0])
        return counts.withUnsafeMutableBufferPointer { counts in
            scores.withUnsafeMutableBufferPointer { scores in
                ids.withUnsafeMutableBufferPointer { ids in
                    tile.withUnsafeMutableBufferPointer { tile in
                        kernels.topKernels.collectTopOfOne(
                            items, itemIDs, featureCount, blockCount, reaches, query, cut,
                            threshold, allowed, waiting, address(counts), address(scores),
                            address(ids), address(tile))
                    }
                }
            }
        }
    }

    /// Takes out new candidates that may not be answers, before they raise a threshold.
    private mutating func drop(_ isExcluded: (_ query: Int, _ id: Int32) -> Bool) {
        for q in 0..<queryCount where counts[q] > kept[q] {
            let first = q * candidateCapacity
            var end = first + Int(kept[q])
            for i in end..<first + Int(counts[q]) where !isExcluded(q, ids[i]) {
                (scores[end], ids[end]) = (scores[i], ids[i])
                end += 1
            }
            counts[q] = Int32(end - first)
        }
    }

    private mutating func settle(trigger: Int, takesTies: Bool) {
        let (groupCount, limit, capacity) = ((queryCount + 3) / 4, limit, candidateCapacity)
        thresholds.withUnsafeMutableBufferPointer { thresholds in
            cuts.withUnsafeMutableBufferPointer { cuts in
                kept.withUnsafeMutableBufferPointer { kept in
                    counts.withUnsafeMutableBufferPointer { counts in
                        scores.withUnsafeMutableBufferPointer { scores in
                            ids.withUnsafeMutableBufferPointer { ids in
                                settleTop(
                                    groupCount, limit, trigger, takesTies, scales,
                                    address(thresholds), address(cuts), address(kept),
                                    address(counts), address(scores), address(ids), capacity)
                            }
                        }
                    }
                }
            }
        }
    }
}
