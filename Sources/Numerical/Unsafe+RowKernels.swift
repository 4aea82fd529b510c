import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels that compare rows with a few vectors, of one instruction-set level.
struct RowKernels: Sendable {
    let assignRows:
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafePointer<Float>, UnsafePointer<Float>, Int,
            UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Float>
        ) -> Void
    let accumulateRows:
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafePointer<Int32>, Int, UnsafeMutablePointer<Double>,
            UnsafeMutablePointer<Int64>
        ) -> Void
    let scoreBlock:
        @Sendable (
            UnsafePointer<Float>, Int, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>,
            UnsafeMutablePointer<Float>
        ) -> Void
    let squaredDistancesBlock:
        @Sendable (
            UnsafePointer<Float>, Int, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>
        ) -> Void

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            assignRows = scalarAssignRows
            accumulateRows = scalarAccumulateRows
            scoreBlock = scalarScoreBlock
            squaredDistancesBlock = scalarSquaredDistancesBlock
        case .baseline:
            assignRows = Kernels.assignRows
            accumulateRows = Kernels.accumulateRows
            scoreBlock = Kernels.scoreBlock
            squaredDistancesBlock = Kernels.squaredDistancesBlock
        #if arch(x86_64)
        case .avx2:
            assignRows = KernelsAVX2.assignRows
            accumulateRows = KernelsAVX2.accumulateRows
            scoreBlock = KernelsAVX2.scoreBlock
            squaredDistancesBlock = KernelsAVX2.squaredDistancesBlock
        case .avx512:
            assignRows = KernelsAVX512.assignRows
            accumulateRows = KernelsAVX512.accumulateRows
            scoreBlock = KernelsAVX512.scoreBlock
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
    ///     origin: centre the features first.
    package func assign(
        _ points: FeatureMatrix, rows: Range<Int>, to vectors: VectorGroups,
        labels: inout MutableSpan<Int32>, scores: inout MutableSpan<Float>
    ) {
        precondition(rows.lowerBound % FeatureMatrix.blockRowCount == 0)
        precondition(rows.lowerBound >= 0 && rows.upperBound <= points.rowCount)
        precondition(vectors.count > 0 && vectors.featureCount == points.featureCount)
        precondition(labels.count == rows.count && scores.count == rows.count)
        if rows.isEmpty { return }
        points.storage.withUnsafeBufferPointer { storage in
            vectors.storage.withUnsafeBufferPointer { groups in
                vectors.offsets.withUnsafeBufferPointer { offsets in
                    labels.withUnsafeMutableBufferPointer { labels in
                        scores.withUnsafeMutableBufferPointer { scores in
                            rowKernels.assignRows(
                                address(storage) + rows.lowerBound * points.featureCount,
                                rows.count, points.featureCount, address(groups),
                                address(offsets), vectors.groupCount, address(labels),
                                address(scores))
                        }
                    }
                }
            }
        }
    }

    ///   - counts: `[labelCount]`, in and out.
    package func accumulate(
        _ points: FeatureMatrix, rows: Range<Int>, labels: Span<Int32>,
        sums: inout [Double], counts: inout [Int64]
    ) {
        precondition(rows.lowerBound % FeatureMatrix.blockRowCount == 0)
        precondition(rows.lowerBound >= 0 && rows.upperBound <= points.rowCount)
        precondition(labels.count == rows.count)
        precondition(sums.count == counts.count * points.featureCount)
        let labelCount = counts.count
        labels.withUnsafeBufferPointer { labels in
            var largest: UInt32 = 0
            // A negative label becomes a huge unsigned one.
            for label in labels { largest = max(largest, UInt32(bitPattern: label)) }
            if labels.isEmpty { return }
            precondition(Int(largest) < labelCount, "a label is out of range")
            points.storage.withUnsafeBufferPointer { storage in
                sums.withUnsafeMutableBufferPointer { sums in
                    counts.withUnsafeMutableBufferPointer { counts in
                        rowKernels.accumulateRows(
                            address(storage) + rows.lowerBound * points.featureCount, rows.count,
                            points.featureCount, address(labels), labelCount, address(sums),
                            address(counts))
                    }
                }
            }
        }
    }

    ///   vectors have no meaning.
    package func squaredDistances(
        _ points: FeatureMatrix, block: Int, to vectors: VectorGroups, distances: inout [Float]
    ) {
        precondition(block >= 0 && block < points.blockCount)
        precondition(vectors.featureCount == points.featureCount)
        precondition(distances.count == vectors.groupCount * 4 * FeatureMatrix.blockRowCount)
        points.storage.withUnsafeBufferPointer { storage in
            vectors.storage.withUnsafeBufferPointer { groups in
                distances.withUnsafeMutableBufferPointer { distances in
                    if distances.isEmpty { return }
                    rowKernels.squaredDistancesBlock(
                        address(storage) + block * FeatureMatrix.blockRowCount
                            * points.featureCount,
                        points.featureCount, address(groups), vectors.groupCount,
                        address(distances))
                }
            }
        }
    }

    ///     scores of padding rows count.
    package func scores(
        _ items: FeatureMatrix, block: Int, queries: VectorGroups,
        scores: inout [Float], maxima: inout [Float]
    ) {
        precondition(block >= 0 && block < items.blockCount)
        precondition(queries.featureCount == items.featureCount)
        precondition(scores.count == queries.groupCount * 4 * FeatureMatrix.blockRowCount)
        precondition(maxima.count == queries.groupCount * 4)
        items.storage.withUnsafeBufferPointer { storage in
            queries.storage.withUnsafeBufferPointer { groups in
                scores.withUnsafeMutableBufferPointer { scores in
                    maxima.withUnsafeMutableBufferPointer { maxima in
                        if maxima.isEmpty { return }
                        rowKernels.scoreBlock(
                            address(storage) + block * FeatureMatrix.blockRowCount
                                * items.featureCount,
                            items.featureCount, address(groups), queries.groupCount,
                            address(scores), address(maxima))
                    }
                }
            }
        }
    }
}
