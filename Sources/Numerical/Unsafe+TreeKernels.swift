import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels that grow trees over binned rows, of one instruction-set level. The loops without
/// vectors are the same for all but the scalar level.
struct TreeKernels: Sendable {
    typealias Bin =
        @Sendable (
            UnsafePointer<Float>, Int, UnsafePointer<Float>, UInt8, UnsafeMutablePointer<UInt8>
        ) -> Void
    typealias AddPacked =
        @Sendable (
            UnsafePointer<UInt8>, Int, Int, UnsafePointer<UInt32>, Int, UnsafePointer<UInt64>,
            UnsafeMutablePointer<UInt64>
        ) -> Void
    typealias Flush =
        @Sendable (
            UnsafeMutablePointer<UInt64>, Int, UnsafeMutablePointer<Int64>,
            UnsafeMutablePointer<Int64>, UnsafeMutablePointer<Int64>
        ) -> Void
    typealias Split =
        @Sendable (
            UnsafePointer<UInt32>, Int, UnsafePointer<UInt8>, UnsafePointer<UInt8>,
            UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<UInt32>
        ) -> Int
    typealias Sum =
        @Sendable (
            UnsafePointer<UInt32>, Int, UnsafePointer<Float>, UnsafeMutablePointer<Double>
        ) -> Void
    typealias Gradients =
        @Sendable (
            UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>, Int, UInt32, UInt32,
            Float, Float, UnsafeMutablePointer<Float>, UnsafeMutablePointer<UInt64>
        ) -> Void
    typealias Best =
        @Sendable (
            UnsafePointer<Double>, UnsafePointer<Double>, UnsafePointer<Double>, Int,
            UnsafePointer<Double>, UnsafePointer<Double>, UnsafePointer<Double>,
            UnsafeMutablePointer<Double>
        ) -> Void

    let bin: Bin
    let addPacked: AddPacked
    let flush: Flush
    let split: Split
    let sum: Sum
    let gradients: Gradients
    let best: Best

    init(_ level: ISALevel) {
        let isScalar = level == .scalar
        bin = isScalar ? scalarBinValues : Kernels.binValues
        split = isScalar ? scalarSplitRows : Kernels.splitRows
        sum = isScalar ? scalarSumGradients : Kernels.sumGradients
        switch level {
        case .scalar:
            addPacked = scalarAddPackedGradients
            flush = scalarFlushPackedGradients
            gradients = scalarLogisticGradients
            best = scalarBestSplit
        case .baseline:
            addPacked = Kernels.addPackedGradients
            flush = Kernels.flushPackedGradients
            gradients = Kernels.logisticGradients
            best = Kernels.bestSplit
        #if arch(x86_64)
        case .avx2:
            addPacked = KernelsAVX2.addPackedGradients
            flush = KernelsAVX2.flushPackedGradients
            gradients = KernelsAVX2.logisticGradients
            best = KernelsAVX2.bestSplit
        case .avx512:
            addPacked = KernelsAVX512.addPackedGradients
            flush = KernelsAVX512.flushPackedGradients
            gradients = KernelsAVX512.logisticGradients
            best = KernelsAVX512.bestSplit
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

extension KernelTable {
    /// The bin of every value: how many of the bounds are below it.
    /// - Parameters:
    ///   - bounds: `[255]`, ascending, filled up with infinity.
    ///   - missingBin: of NaN.
    ///   - bins: of the count of `values`.
    package func bin(
        _ values: Span<Float>, bounds: Span<Float>, missingBin: UInt8,
        into bins: inout MutableSpan<UInt8>
    ) {
        precondition(values.count == bins.count && bounds.count == Kernels.treeBinCount - 1)
        values.withUnsafeBufferPointer { values in
            bounds.withUnsafeBufferPointer { bounds in
                bins.withUnsafeMutableBufferPointer { bins in
                    treeKernels.bin(
                        address(values), values.count, address(bounds), missingBin, address(bins))
                }
            }
        }
    }

    /// The best split of a column by sums over its first bins; see `bestSplit` in the kernels.
    /// - Parameters:
    ///   - gradients, hessians, rows: `[256]`; the first `count` are splits.
    ///   - totals, extra, limits: `[3]`.
    /// - Returns: the highest gain and its index; nil where no split is allowed.
    package func bestSplit(
        gradients: Span<Double>, hessians: Span<Double>, rows: Span<Double>, count: Int,
        totals: Span<Double>, extra: Span<Double>, limits: Span<Double>
    ) -> (gain: Double, index: Int)? {
        precondition(gradients.count == 256 && hessians.count == 256 && rows.count == 256)
        precondition(count >= 0 && count <= 256)
        precondition(totals.count == 3 && extra.count == 3 && limits.count == 3)
        var best = (gain: -1.0, index: 0.0)
        gradients.withUnsafeBufferPointer { gradients in
            hessians.withUnsafeBufferPointer { hessians in
                rows.withUnsafeBufferPointer { rows in
                    totals.withUnsafeBufferPointer { totals in
                        extra.withUnsafeBufferPointer { extra in
                            limits.withUnsafeBufferPointer { limits in
                                withUnsafeTemporaryAllocation(of: Double.self, capacity: 2) {
                                    treeKernels.best(
                                        address(gradients), address(hessians), address(rows),
                                        count, address(totals), address(extra), address(limits),
                                        address($0))
                                    best = ($0[0], $0[1])
                                }
                            }
                        }
                    }
                }
            }
        }
        return best.gain >= 0 ? (best.gain, Int(best.index)) : nil
    }

    /// Gradients of the log-loss; see `logisticGradients` in the kernels.
    /// - Parameters:
    ///   - scores, targets, weights: `[rowCount]`, a multiple of 16.
    ///   - gradientScale, hessianScale: so that no scaled value exceeds 16380 or 4090.
    package func logisticGradients(
        scores: AlignedFloats, targets: AlignedFloats, weights: AlignedFloats, seed: UInt32,
        gradientScale: Float, hessianScale: Float, into gradients: inout RowGradients,
        threadCount: Int
    ) {
        let count = scores.count
        precondition(targets.count == count && weights.count == count && count % 16 == 0)
        precondition(gradients.pairs.count == 2 * count && gradients.packed.count == count)
        let kernel = treeKernels.gradients
        gradients.pairs.withUnsafeMutableBufferPointer { pairs in
            gradients.packed.withUnsafeMutableBufferPointer { packed in
                scores.withUnsafeBufferPointer { scores in
                    targets.withUnsafeBufferPointer { targets in
                        weights.withUnsafeBufferPointer { weights in
                            // Chunks write disjoint parts, which outlive the loop.
                            nonisolated(unsafe) let (pairs, packed) = (pairs, packed)
                            nonisolated(unsafe) let (f, y, w) = (scores, targets, weights)
                            parallelFor(
                                count: count, chunkSize: 1 << 14, threadCount: threadCount
                            ) { _, rows in
                                let first = rows.lowerBound
                                kernel(
                                    address(f) + first, address(y) + first, address(w) + first,
                                    rows.count, UInt32(truncatingIfNeeded: first), seed,
                                    gradientScale, hessianScale, address(pairs) + 2 * first,
                                    address(packed) + first)
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Gradient and Hessian of every row, as they are and as one word each.
package struct RowGradients: Sendable {
    /// `[rowCount × 2]`.
    fileprivate(set) var pairs: AlignedFloats
    fileprivate(set) var packed: [UInt64]

    /// Of zeros.
    package init(rowCount: Int, threadCount: Int) {
        pairs = AlignedFloats(count: 2 * rowCount)
        packed = parallelArray(count: rowCount, chunkRows: 1 << 16, threadCount: threadCount) {
            _, slice in
            for i in slice.indices { slice[i] = 0 }
        }
    }

    package subscript(row: Int) -> (gradient: Float, hessian: Float) {
        (pairs[2 * row], pairs[2 * row + 1])
    }
}

extension RowGradients {
    /// Clears all rows but a random share, so that no sum counts them; each row is drawn by its
    /// number and the seed.
    package mutating func keep(fraction: Double, seed: UInt64, threadCount: Int) {
        let limit = UInt64(min(max(fraction, 0), 1) * 0x1p53)
        pairs.withUnsafeMutableBufferPointer { pairs in
            packed.withUnsafeMutableBufferPointer { packed in
                // Chunks write disjoint parts, which outlive the loop.
                nonisolated(unsafe) let (pairs, packed) = (pairs, packed)
                parallelFor(count: packed.count, chunkSize: 1 << 14, threadCount: threadCount) {
                    chunk, rows in
                    var random = SeededRandom(seed: seed, stream: UInt64(chunk))
                    for row in rows where random.next() >> 11 >= limit {
                        packed[row] = 0
                        pairs[2 * row] = 0
                        pairs[2 * row + 1] = 0
                    }
                }
            }
        }
    }
}
