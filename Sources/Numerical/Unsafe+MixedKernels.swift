import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels of rows of numbers and categories, of one instruction-set level.
struct MixedKernels: Sendable {
    let mixedDistances:
        @Sendable (
            UnsafePointer<Float>, Int, UnsafePointer<Int32>, Int, UnsafePointer<Float>,
            UnsafePointer<Int32>, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>
        ) -> Void
    let keepNearest:
        @Sendable (
            UnsafePointer<Float>, Int, Int32, UnsafeMutablePointer<Int32>,
            UnsafeMutablePointer<Float>
        ) -> Void

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            mixedDistances = scalarMixedDistances
            keepNearest = scalarKeepNearest
        case .baseline:
            mixedDistances = Kernels.mixedDistances
            keepNearest = Kernels.keepNearest
        #if arch(x86_64)
        case .avx2:
            mixedDistances = KernelsAVX2.mixedDistances
            keepNearest = KernelsAVX2.keepNearest
        case .avx512:
            mixedDistances = KernelsAVX512.mixedDistances
            keepNearest = KernelsAVX512.keepNearest
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

/// Prototypes interleaved by four, as the kernels broadcast them.
///
///     means  [groupCount × numericCount × 4]
///     modes  [groupCount × categoryCount × 4]; -1: none
///
/// What fills the last group up is zeros and -1.
package struct PrototypeGroups: Sendable {
    package let count: Int
    package let numericCount: Int
    package let categoryCount: Int
    let means: [Float]
    let modes: [Int32]
    /// `[categoryCount]`: what a mismatch adds to a squared distance.
    let costs: [Float]

    package var groupCount: Int { (count + VectorGroups.width - 1) / VectorGroups.width }

    /// - Parameters:
    ///   - means: `[count × numericCount]`, row-major.
    ///   - modes: `[count × categoryCount]`, row-major; below 0: none.
    ///   - costs: `[categoryCount]`.
    package init(means: [Float], modes: [Int32], costs: [Float], count: Int) {
        precondition(count >= 1 && means.count % count == 0)
        precondition(modes.count == count * costs.count)
        self.count = count
        numericCount = means.count / count
        categoryCount = costs.count
        self.costs = costs
        self.means = Self.interleaved(means, count, numericCount, 0)
        self.modes = Self.interleaved(modes, count, categoryCount, -1)
    }

    private static func interleaved<Value>(
        _ values: [Value], _ count: Int, _ width: Int, _ padding: Value
    ) -> [Value] {
        let four = VectorGroups.width
        var result = [Value](repeating: padding, count: (count + four - 1) / four * four * width)
        for i in 0..<count {
            for j in 0..<width {
                result[(i / four * width + j) * four + i % four] = values[i * width + j]
            }
        }
        return result
    }
}

/// Where the counts of categories by cluster are: those of all counted columns of a cluster beside
/// each other, the missing ones of a column first.
package struct CategorySlots: Sendable, Equatable {
    /// `[categoryCount]`: where a column's counts start; -1: the column is not counted.
    package let offsets: [Int]
    /// Counts of a cluster.
    package let width: Int

    /// - Parameters:
    ///   - codeCounts: `[categoryCount]`.
    ///   - isCounted: `[categoryCount]`.
    package init(codeCounts: [Int], isCounted: [Bool]) {
        precondition(codeCounts.count == isCounted.count)
        var offsets: [Int] = []
        var width = 0
        for (count, counted) in zip(codeCounts, isCounted) {
            offsets.append(counted ? width : -1)
            if counted { width += count + 1 }
        }
        self.offsets = offsets
        self.width = width
    }
}

/// What a thread keeps between blocks and passes.
package struct MixedScratch: Sendable {
    /// Groups of prototypes compared at a time: their distances stay in the first-level cache.
    static let batchGroups = 16

    var codes: [Int32]
    var distances = AlignedFloats(
        count: MixedScratch.batchGroups * VectorGroups.width * FeatureMatrix.blockRowCount)
    var nearest = AlignedFloats(count: FeatureMatrix.blockRowCount)
    var labels = [Int32](repeating: 0, count: FeatureMatrix.blockRowCount)
    /// `[clusterCount × slots.width]`: categories that rows brought to a cluster, less those that
    /// they took away. Whole numbers: which thread met which rows does not show in their sum.
    package internal(set) var counts: [Int32]

    package init(categoryCount: Int, countCount: Int = 0) {
        codes = [Int32](repeating: -1, count: categoryCount * FeatureMatrix.blockRowCount)
        counts = [Int32](repeating: 0, count: countCount)
    }

    /// Zeros, in place.
    package mutating func clearCounts() {
        counts.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
    }
}

extension CategoryMatrix {
    /// The codes of a block, `[columnCount × 64]`.
    fileprivate func widen(_ block: Int, _ target: UnsafeMutablePointer<Int32>) {
        let size = FeatureMatrix.blockRowCount
        let (byteCount, shortCount, wordCount) = (
            columnCount(.byte), columnCount(.short), columnCount(.word)
        )
        bytes.withUnsafeBufferPointer { bytes in
            shorts.withUnsafeBufferPointer { shorts in
                words.withUnsafeBufferPointer { words in
                    for (column, place) in places.enumerated() {
                        let output = target + column * size
                        switch place.width {
                        case .byte:
                            let source = address(bytes) + (block * byteCount + place.slot) * size
                            for i in 0..<size { output[i] = Int32(source[i]) &- 1 }
                        case .short:
                            let source = address(shorts) + (block * shortCount + place.slot) * size
                            for i in 0..<size { output[i] = Int32(source[i]) &- 1 }
                        case .word:
                            let source = address(words) + (block * wordCount + place.slot) * size
                            for i in 0..<size {
                                output[i] = Int32(truncatingIfNeeded: source[i]) &- 1
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The arrays of one call, as pointers that never outlive it.
private struct MixedPass {
    let kernels: KernelTable
    let points: UnsafePointer<Float>
    let numericCount: Int
    let categories: CategoryMatrix
    let means: UnsafePointer<Float>
    let modes: UnsafePointer<Int32>
    let costs: UnsafePointer<Float>
    let prototypeCount: Int
    let codes: UnsafeMutablePointer<Int32>
    let distances: UnsafeMutablePointer<Float>
    let labels: UnsafeMutablePointer<Int32>
    let nearest: UnsafeMutablePointer<Float>

    /// Calls `body` with the distances `[count × 64]` of a block to a batch of prototypes and the
    /// index of the batch's first one.
    func forEachBatch(
        _ block: Int, _ body: (UnsafeMutablePointer<Float>, _ count: Int, _ first: Int) -> Void
    ) {
        let size = FeatureMatrix.blockRowCount
        let batch = MixedScratch.batchGroups * VectorGroups.width
        categories.widen(block, codes)
        var first = 0
        while first < prototypeCount {
            let count = min(batch, prototypeCount - first)
            kernels.mixedKernels.mixedDistances(
                points + block * numericCount * size, numericCount, codes, categories.columnCount,
                means + first * numericCount, modes + first * categories.columnCount, costs,
                (count + VectorGroups.width - 1) / VectorGroups.width, distances)
            body(distances, count, first)
            first += count
        }
    }

    /// The nearest prototype of each row of a block, in `labels` and `nearest`.
    func assign(_ block: Int) {
        for i in 0..<FeatureMatrix.blockRowCount {
            nearest[i] = .infinity
            labels[i] = 0
        }
        forEachBatch(block) { distances, count, first in
            kernels.mixedKernels.keepNearest(distances, count, Int32(first), labels, nearest)
        }
    }
}

extension KernelTable {
    /// The nearest prototype of each row, ties to the lowest index, and its squared distance.
    /// - Parameters:
    ///   - rows: starts at a multiple of 64.
    ///   - labels, distances: `[rows.count]`, out.
    package func assign(
        _ points: FeatureMatrix, _ categories: CategoryMatrix, rows: Range<Int>,
        to prototypes: PrototypeGroups, labels: inout MutableSpan<Int32>,
        distances: inout MutableSpan<Float>, scratch: inout MixedScratch
    ) {
        precondition(labels.count == rows.count && distances.count == rows.count)
        labels.withUnsafeMutableBufferPointer { labels in
            distances.withUnsafeMutableBufferPointer { distances in
                pass(points, categories, rows, prototypes, &scratch) { pass, block, used, first in
                    pass.assign(block)
                    for i in 0..<used {
                        labels[first + i] = pass.labels[i]
                        distances[first + i] = pass.nearest[i]
                    }
                }
            }
        }
    }

    /// Assigns rows as `assign` does, and keeps what the clusters' prototypes are made of: a row
    /// whose label changed leaves the old cluster's sums and counts for the new one's, in row order.
    /// - Parameters:
    ///   - rows: starts at a multiple of 64.
    ///   - labels: in and out at `first ..< first + rows.count`; -1 in: in no cluster yet.
    ///   - recount: the rows are in no sum yet, whatever their labels.
    ///   - slots: of the scratch's counts, which change as the sums do.
    /// - Returns: rows whose label changed, and the sum of the squared distances.
    package func assignAndMove(
        _ points: FeatureMatrix, _ categories: CategoryMatrix, rows: Range<Int>,
        to prototypes: PrototypeGroups, labels: inout [Int32], at first: Int, recount: Bool,
        sums: inout ClusterSums, slots: CategorySlots, scratch: inout MixedScratch
    ) -> (changeCount: Int, cost: Double) {
        precondition(sums.clusterCount == prototypes.count)
        precondition(sums.featureCount == points.featureCount)
        precondition(slots.offsets.count == categories.columnCount)
        precondition(scratch.counts.count == prototypes.count * slots.width)
        for (offset, count) in zip(slots.offsets, categories.codeCounts) where offset >= 0 {
            precondition(offset + count < slots.width, "the slots are not those of the columns")
        }
        checkLabels(labels, first..<first + rows.count, prototypes.count)
        var changeCount = 0
        var cost = 0.0
        var counts = scratch.counts
        scratch.counts = []
        labels.withUnsafeMutableBufferPointer { labels in
            sums.values.withUnsafeMutableBufferPointer { values in
                sums.counts.withUnsafeMutableBufferPointer { sizes in
                    counts.withUnsafeMutableBufferPointer { counts in
                        pass(points, categories, rows, prototypes, &scratch) {
                            pass, block, used, offset in
                            pass.assign(block)
                            for i in 0..<used { cost += Double(pass.nearest[i]) }
                            let old = address(labels) + first + offset
                            moveCategories(
                                pass.codes, used, old, pass.labels, recount, slots,
                                address(counts))
                            changeCount += clusterKernels.moveRows(
                                pass.points + block * points.featureCount
                                    * FeatureMatrix.blockRowCount, used, points.featureCount, old,
                                pass.labels, recount, address(values), address(sizes))
                        }
                    }
                }
            }
        }
        scratch.counts = counts
        return (changeCount, cost)
    }

    /// Lowers the squared distances of rows to the nearest of the prototypes so far.
    /// - Parameters:
    ///   - rows: starts at a multiple of 64.
    ///   - nearest: in and out at `first ..< first + rows.count`.
    /// - Returns: their sum.
    package func lower(
        _ points: FeatureMatrix, _ categories: CategoryMatrix, rows: Range<Int>,
        to prototypes: PrototypeGroups, nearest: inout [Float], at first: Int,
        scratch: inout MixedScratch
    ) -> Double {
        precondition(first >= 0 && first + rows.count <= nearest.count)
        var sum = 0.0
        nearest.withUnsafeMutableBufferPointer { nearest in
            pass(points, categories, rows, prototypes, &scratch) { pass, block, used, offset in
                pass.assign(block)
                let best = address(nearest) + first + offset
                for i in 0..<used {
                    best[i] = pass.nearest[i] < best[i] ? pass.nearest[i] : best[i]
                    sum += Double(best[i])
                }
            }
        }
        return sum
    }

    /// Adds up what would remain of rows' squared distances if one more prototype were taken.
    /// - Parameters:
    ///   - rows: starts at a multiple of 64.
    ///   - nearest: those of the rows are at `first ..< first + rows.count`.
    ///   - sums: `[candidates.count]`, in and out.
    package func addPotentials(
        _ points: FeatureMatrix, _ categories: CategoryMatrix, rows: Range<Int>,
        of candidates: PrototypeGroups, nearest: [Float], at first: Int, sums: inout [Double],
        scratch: inout MixedScratch
    ) {
        precondition(first >= 0 && first + rows.count <= nearest.count)
        precondition(sums.count == candidates.count)
        let size = FeatureMatrix.blockRowCount
        nearest.withUnsafeBufferPointer { nearest in
            sums.withUnsafeMutableBufferPointer { sums in
                pass(points, categories, rows, candidates, &scratch) { pass, block, used, offset in
                    let best = address(nearest) + first + offset
                    pass.forEachBatch(block) { distances, count, firstIndex in
                        for candidate in 0..<count {
                            let own = distances + candidate * size
                            var sum = 0.0
                            for i in 0..<used {
                                sum += Double(own[i] < best[i] ? own[i] : best[i])
                            }
                            sums[firstIndex + candidate] += sum
                        }
                    }
                }
            }
        }
    }

    /// Calls `body` with every block of some rows: its number, its rows in use, and where the first
    /// of them is among `rows`.
    private func pass(
        _ points: FeatureMatrix, _ categories: CategoryMatrix, _ rows: Range<Int>,
        _ prototypes: PrototypeGroups, _ scratch: inout MixedScratch,
        _ body: (MixedPass, _ block: Int, _ used: Int, _ first: Int) -> Void
    ) {
        check(points, rows)
        precondition(categories.rowCount == points.rowCount)
        precondition(prototypes.numericCount == points.featureCount)
        precondition(prototypes.categoryCount == categories.columnCount)
        let size = FeatureMatrix.blockRowCount
        precondition(scratch.codes.count == categories.columnCount * size)
        // Separate memory: each is borrowed for itself.
        var (codes, labels) = (scratch.codes, scratch.labels)
        var (distances, nearest) = (scratch.distances, scratch.nearest)
        (scratch.codes, scratch.labels) = ([], [])
        scratch.distances = AlignedFloats(count: 0)
        scratch.nearest = AlignedFloats(count: 0)
        points.storage.withUnsafeBufferPointer { storage in
            prototypes.means.withUnsafeBufferPointer { means in
                prototypes.modes.withUnsafeBufferPointer { modes in
                    prototypes.costs.withUnsafeBufferPointer { costs in
                        codes.withUnsafeMutableBufferPointer { codes in
                            labels.withUnsafeMutableBufferPointer { labels in
                                distances.withUnsafeMutableBufferPointer { distances in
                                    nearest.withUnsafeMutableBufferPointer { nearest in
                                        let pass = MixedPass(
                                            kernels: self, points: address(storage),
                                            numericCount: points.featureCount,
                                            categories: categories, means: address(means),
                                            modes: address(modes), costs: address(costs),
                                            prototypeCount: prototypes.count,
                                            codes: address(codes), distances: address(distances),
                                            labels: address(labels), nearest: address(nearest))
                                        var first = 0
                                        while first < rows.count {
                                            body(
                                                pass, (rows.lowerBound + first) / size,
                                                min(size, rows.count - first), first)
                                            first += size
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        (scratch.codes, scratch.labels) = (codes, labels)
        (scratch.distances, scratch.nearest) = (distances, nearest)
    }
}

/// Counts the categories of the rows whose label changed, before the labels are written.
private func moveCategories(
    _ codes: UnsafePointer<Int32>, _ rowCount: Int, _ labels: UnsafePointer<Int32>,
    _ newLabels: UnsafePointer<Int32>, _ recount: Bool, _ slots: CategorySlots,
    _ counts: UnsafeMutablePointer<Int32>
) {
    let size = FeatureMatrix.blockRowCount
    var difference: Int32 = recount ? 1 : 0
    for i in 0..<rowCount { difference |= labels[i] ^ newLabels[i] }
    if difference == 0 || slots.width == 0 { return }
    for (column, offset) in slots.offsets.enumerated() where offset >= 0 {
        let own = codes + column * size
        let target = counts + offset + 1
        for i in 0..<rowCount where recount || labels[i] != newLabels[i] {
            target[Int(newLabels[i]) * slots.width + Int(own[i])] += 1
            if !recount && labels[i] >= 0 {
                target[Int(labels[i]) * slots.width + Int(own[i])] -= 1
            }
        }
    }
}
