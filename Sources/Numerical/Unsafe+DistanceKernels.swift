import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels of squared distances, of one instruction-set level: those of k-means seeding and of
/// the silhouette among them.
struct DistanceKernels: Sendable {
    let seedBlocks:
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafePointer<Float>, UnsafePointer<Float>, Int,
            UnsafePointer<Float>?, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>,
            UnsafeMutablePointer<Double>
        ) -> Void
    let lowerToNearestBlocks:
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafePointer<Float>, Int, Int32,
            UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>,
            UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Double>
        ) -> Void
    let addDistancesBlocks:
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafePointer<Float>, UnsafePointer<Float>, Int,
            UnsafeMutablePointer<Float>, UnsafeMutablePointer<Double>
        ) -> Void
    let squaredDistancesBlock:
        @Sendable (
            UnsafePointer<Float>, Int, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>
        ) -> Void

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            seedBlocks = scalarSeedBlocks
            lowerToNearestBlocks = scalarLowerToNearestBlocks
            addDistancesBlocks = scalarAddDistancesBlocks
            squaredDistancesBlock = scalarSquaredDistancesBlock
        case .baseline:
            seedBlocks = Kernels.seedBlocks
            lowerToNearestBlocks = Kernels.lowerToNearestBlocks
            addDistancesBlocks = Kernels.addDistancesBlocks
            squaredDistancesBlock = Kernels.squaredDistancesBlock
        #if arch(x86_64)
        case .avx2:
            seedBlocks = KernelsAVX2.seedBlocks
            lowerToNearestBlocks = KernelsAVX2.lowerToNearestBlocks
            addDistancesBlocks = KernelsAVX2.addDistancesBlocks
            squaredDistancesBlock = KernelsAVX2.squaredDistancesBlock
        case .avx512:
            seedBlocks = KernelsAVX512.seedBlocks
            lowerToNearestBlocks = KernelsAVX512.lowerToNearestBlocks
            addDistancesBlocks = KernelsAVX512.addDistancesBlocks
            squaredDistancesBlock = KernelsAVX512.squaredDistancesBlock
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

// The checked edge: spans and arrays in, one check of every count, then pointers. A pointer never
// outlives the call; inputs and outputs cannot overlap because an `inout` is exclusive.

extension KernelTable {
    /// Rows of a stripe, over which `seed` and `lowerToNearest` keep one sum.
    package static let stripeRowCount = 512

    /// One pass of greedy k-means++ over some rows: lowers `closest` to the squared distances to the
    /// centroid chosen last, and sums what it would become with each candidate.
    ///
    /// Distances by differences: 0 exactly for a row that equals the vector, never negative, within
    /// featureCount + 2 roundings. The sums are of single-precision sums over 64 rows.
    /// - Parameters:
    ///   - rows: in range; the first one a multiple of 64.
    ///   - chosen: `[featureCount]`.
    ///   - candidates: may be none.
    ///   - weights: `[ceil(rows / 64) × 64]`; empty: every row counts once.
    ///   - closest: `[ceil(rows / 64) × 64]`, in and out; 0 for the rows that fill the last block
    ///     up.
    ///   - potentials: `[ceil(rows / 512) × candidates.groupCount × 4]`, out; the values of padding
    ///     candidates have no meaning.
    package func seed(
        _ points: FeatureMatrix, rows: Range<Int>, chosen: Span<Float>, candidates: VectorGroups,
        weights: Span<Float>, closest: inout MutableSpan<Float>,
        potentials: inout MutableSpan<Double>
    ) {
        let blockCount = checkedBlockCount(points, rows, candidates)
        precondition(chosen.count == points.featureCount)
        precondition(closest.count == blockCount * FeatureMatrix.blockRowCount)
        precondition(weights.isEmpty || weights.count == closest.count)
        precondition(
            potentials.count == stripeCount(blockCount) * candidates.groupCount
                * VectorGroups.width)
        points.storage.withUnsafeBufferPointer { storage in
            chosen.withUnsafeBufferPointer { chosen in
                candidates.storage.withUnsafeBufferPointer { groups in
                    weights.withUnsafeBufferPointer { weights in
                        closest.withUnsafeMutableBufferPointer { closest in
                            potentials.withUnsafeMutableBufferPointer { potentials in
                                withScratch { scratch in
                                    distanceKernels.seedBlocks(
                                        address(storage) + rows.lowerBound * points.featureCount,
                                        blockCount, points.featureCount, address(chosen),
                                        address(groups), candidates.groupCount,
                                        weights.isEmpty ? nil : address(weights), scratch,
                                        address(closest), address(potentials))
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Lowers `closest` to the squared distances to the nearest of some vectors, and keeps which one
    /// it is. Distances as in `seed`.
    /// - Parameters:
    ///   - rows: in range; the first one a multiple of 64.
    ///   - vectors: a multiple of four: a padding vector would count.
    ///   - firstIndex: the index of the first vector.
    ///   - closest: `[ceil(rows / 64) × 64]`, in and out; 0 for the rows that fill the last block
    ///     up.
    ///   - labels: `[ceil(rows / 64) × 64]`, in and out; ties go to the lowest index.
    ///   - potentials: `[ceil(rows / 512)]`, out: sums of `closest`.
    package func lowerToNearest(
        _ points: FeatureMatrix, rows: Range<Int>, vectors: VectorGroups, firstIndex: Int,
        closest: inout MutableSpan<Float>, labels: inout MutableSpan<Int32>,
        potentials: inout MutableSpan<Double>
    ) {
        let blockCount = checkedBlockCount(points, rows, vectors)
        precondition(vectors.count == vectors.groupCount * VectorGroups.width)
        precondition(firstIndex >= 0 && firstIndex + vectors.count <= Int(Int32.max))
        precondition(closest.count == blockCount * FeatureMatrix.blockRowCount)
        precondition(labels.count == closest.count)
        precondition(potentials.count == stripeCount(blockCount))
        points.storage.withUnsafeBufferPointer { storage in
            vectors.storage.withUnsafeBufferPointer { groups in
                closest.withUnsafeMutableBufferPointer { closest in
                    labels.withUnsafeMutableBufferPointer { labels in
                        potentials.withUnsafeMutableBufferPointer { potentials in
                            withScratch { scratch in
                                distanceKernels.lowerToNearestBlocks(
                                    address(storage) + rows.lowerBound * points.featureCount,
                                    blockCount, points.featureCount, address(groups),
                                    vectors.groupCount, Int32(firstIndex), scratch,
                                    address(closest), address(labels), address(potentials))
                            }
                        }
                    }
                }
            }
        }
    }

    /// Adds the weighted Euclidean distances (not squared) of some rows to each query.
    /// - Parameters:
    ///   - rows: in range; the first one a multiple of 64.
    ///   - weights: `[ceil(rows / 64) × 64]`; 0 for the rows that fill the last block up.
    ///   - sums: `[queries.groupCount × 4]`, in and out; those of padding queries have no meaning.
    package func addDistances(
        _ points: FeatureMatrix, rows: Range<Int>, weights: Span<Float>, queries: VectorGroups,
        sums: inout MutableSpan<Double>
    ) {
        let blockCount = checkedBlockCount(points, rows, queries)
        let size = FeatureMatrix.blockRowCount
        precondition(weights.count == blockCount * size)
        precondition(sums.count == queries.groupCount * VectorGroups.width)
        points.storage.withUnsafeBufferPointer { storage in
            weights.withUnsafeBufferPointer { weights in
                queries.storage.withUnsafeBufferPointer { groups in
                    sums.withUnsafeMutableBufferPointer { sums in
                        withScratch { scratch in
                            distanceKernels.addDistancesBlocks(
                                address(storage) + rows.lowerBound * points.featureCount,
                                blockCount, points.featureCount, address(weights),
                                address(groups), queries.groupCount, scratch, address(sums))
                        }
                    }
                }
            }
        }
    }

    /// Squared distances of one block's rows to every vector, by differences: exact to rounding
    /// also where rows and vectors nearly coincide.
    /// - Parameter distances: `[vectors.groupCount × 4 × 64]`, out: values of padding rows and
    ///   vectors have no meaning.
    package func squaredDistances(
        _ points: FeatureMatrix, block: Int, to vectors: VectorGroups,
        distances: inout MutableSpan<Float>
    ) {
        precondition(block >= 0 && block < points.blockCount)
        precondition(vectors.featureCount == points.featureCount)
        precondition(distances.count == vectors.groupCount * 4 * FeatureMatrix.blockRowCount)
        points.storage.withUnsafeBufferPointer { storage in
            vectors.storage.withUnsafeBufferPointer { groups in
                distances.withUnsafeMutableBufferPointer { distances in
                    if distances.isEmpty { return }
                    distanceKernels.squaredDistancesBlock(
                        address(storage) + block * FeatureMatrix.blockRowCount
                            * points.featureCount,
                        points.featureCount, address(groups), vectors.groupCount,
                        address(distances))
                }
            }
        }
    }

    /// Room for the distances of a block to a group, on the stack and at a cache line.
    private func withScratch(_ body: (UnsafeMutablePointer<Float>) -> Void) {
        let count = VectorGroups.width * FeatureMatrix.blockRowCount
        withUnsafeTemporaryAllocation(
            byteCount: count * MemoryLayout<Float>.stride, alignment: AlignedFloats.alignment
        ) { memory in
            body(address(memory.bindMemory(to: Float.self)))
        }
    }

    private func checkedBlockCount(
        _ points: FeatureMatrix, _ rows: Range<Int>, _ vectors: VectorGroups
    ) -> Int {
        let size = FeatureMatrix.blockRowCount
        precondition(rows.lowerBound % size == 0)
        precondition(rows.lowerBound >= 0 && rows.upperBound <= points.rowCount)
        precondition(points.featureCount > 0 && vectors.featureCount == points.featureCount)
        return (rows.count + size - 1) / size
    }

    private func stripeCount(_ blockCount: Int) -> Int {
        let size = Self.stripeRowCount / FeatureMatrix.blockRowCount
        return (blockCount + size - 1) / size
    }
}
