import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels that compare rows with a few vectors, of one instruction-set level.
struct RowKernels: Sendable {
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
            scoreBlock = scalarScoreBlock
            squaredDistancesBlock = scalarSquaredDistancesBlock
        case .baseline:
            scoreBlock = Kernels.scoreBlock
            squaredDistancesBlock = Kernels.squaredDistancesBlock
        #if arch(x86_64)
        case .avx2:
            scoreBlock = KernelsAVX2.scoreBlock
            squaredDistancesBlock = KernelsAVX2.squaredDistancesBlock
        case .avx512:
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
    /// Squared distances of one block's rows to every vector, by differences: exact to rounding
    /// also where rows and vectors nearly coincide.
    /// - Parameter distances: `[vectors.groupCount × 4 × 64]`, out: values of padding rows and
    ///   vectors have no meaning.
    package func squaredDistances(
        _ points: FeatureMatrix, block: Int, to vectors: VectorGroups, distances: inout [Float]
    ) {
        var span = distances.mutableSpan
        squaredDistances(points, block: block, to: vectors, distances: &span)
    }

    /// The same into a slice.
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
                    rowKernels.squaredDistancesBlock(
                        address(storage) + block * FeatureMatrix.blockRowCount
                            * points.featureCount,
                        points.featureCount, address(groups), vectors.groupCount,
                        address(distances))
                }
            }
        }
    }

    /// Scalar products of one block's items with every query, and each query's largest one.
    /// - Parameters:
    ///   - scores: `[queries.groupCount × 4 × 64]`, out.
    ///   - maxima: `[queries.groupCount × 4]`, out: a query's largest score of the block, where the
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
