import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels of clustering, of one instruction-set level.
struct ClusterKernels: Sendable {
    let assignRows:
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafePointer<Float>, UnsafePointer<Float>, Int,
            UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Float>
        ) -> Void
    let assignAndMoveRows:
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafePointer<Float>, UnsafePointer<Float>, Int,
            UnsafeMutablePointer<Int32>, Bool, UnsafeMutablePointer<Double>,
            UnsafeMutablePointer<Int64>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Int32>
        ) -> Int
    let assignRanked:
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafePointer<Float>, UnsafePointer<Float>,
            UnsafePointer<Int32>, Int, UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Float>,
            UnsafeMutablePointer<Float>
        ) -> Void
    let failingRows:
        @Sendable (
            UnsafePointer<Int32>, UnsafePointer<Float>, Int, UnsafePointer<Float>, Float,
            UnsafeMutablePointer<Int32>
        ) -> Int
    let normsAndDistances:
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>,
            UnsafeMutablePointer<Float>
        ) -> Void
    let packNearCentroids:
        @Sendable (
            UnsafePointer<Float>, Int, Int, Float, UnsafePointer<Float>, UnsafePointer<Float>, Int,
            Int, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>,
            UnsafeMutablePointer<Int32>
        ) -> Int
    let rowMargins:
        @Sendable (
            UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>,
            UnsafePointer<Float>, Int, Float, Float, Float, UnsafeMutablePointer<Float>,
            UnsafeMutablePointer<Float>
        ) -> Void
    let addMoments:
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafeMutablePointer<Double>,
            UnsafeMutablePointer<Double>
        ) -> Void
    let moveRows:
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafeMutablePointer<Int32>, UnsafePointer<Int32>,
            Bool, UnsafeMutablePointer<Double>, UnsafeMutablePointer<Int64>
        ) -> Int

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            addMoments = Kernels.addMoments
            assignRows = scalarAssignRows
            assignAndMoveRows = scalarAssignAndMoveRows
            assignRanked = scalarAssignRanked
            moveRows = scalarMoveRows
            failingRows = scalarFailingRows
            normsAndDistances = scalarNormsAndDistances
            packNearCentroids = Kernels.packNearCentroids
            rowMargins = Kernels.rowMargins
        case .baseline:
            addMoments = Kernels.addMoments
            assignRows = Kernels.assignRows
            assignAndMoveRows = Kernels.assignAndMoveRows
            assignRanked = Kernels.assignRanked
            moveRows = Kernels.moveRows
            failingRows = Kernels.failingRows
            normsAndDistances = Kernels.normsAndDistances
            packNearCentroids = Kernels.packNearCentroids
            rowMargins = Kernels.rowMargins
        #if arch(x86_64)
        case .avx2:
            addMoments = KernelsAVX2.addMoments
            assignRows = KernelsAVX2.assignRows
            assignAndMoveRows = KernelsAVX2.assignAndMoveRows
            assignRanked = KernelsAVX2.assignRanked
            moveRows = KernelsAVX2.moveRows
            failingRows = KernelsAVX2.failingRows
            normsAndDistances = KernelsAVX2.normsAndDistances
            packNearCentroids = KernelsAVX2.packNearCentroids
            rowMargins = KernelsAVX2.rowMargins
        case .avx512:
            addMoments = KernelsAVX512.addMoments
            assignRows = KernelsAVX512.assignRows
            assignAndMoveRows = KernelsAVX512.assignAndMoveRows
            assignRanked = KernelsAVX512.assignRanked
            moveRows = KernelsAVX512.moveRows
            failingRows = KernelsAVX512.failingRows
            normsAndDistances = KernelsAVX512.normsAndDistances
            packNearCentroids = KernelsAVX512.packNearCentroids
            rowMargins = KernelsAVX512.rowMargins
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

/// Sums and counts of the rows of each cluster.
package struct ClusterSums: Sendable, Equatable {
    package let featureCount: Int
    /// `[clusterCount × featureCount]`.
    package var values: [Double]
    /// `[clusterCount]`.
    package var counts: [Int64]

    package var clusterCount: Int { counts.count }

    package init(clusterCount: Int, featureCount: Int) {
        self.featureCount = featureCount
        values = [Double](repeating: 0, count: clusterCount * featureCount)
        counts = [Int64](repeating: 0, count: clusterCount)
    }

    /// Zeros, in place.
    package mutating func clear() {
        values.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
        counts.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
    }

    /// Adds another's sums and counts.
    package mutating func add(_ other: ClusterSums) {
        precondition(other.values.count == values.count && other.counts.count == counts.count)
        values.withUnsafeMutableBufferPointer { sums in
            other.values.withUnsafeBufferPointer { for i in sums.indices { sums[i] += $0[i] } }
        }
        counts.withUnsafeMutableBufferPointer { sums in
            other.counts.withUnsafeBufferPointer { for i in sums.indices { sums[i] += $0[i] } }
        }
    }
}

/// What a thread keeps between blocks.
package struct BlockScratch: Sendable {
    var scores = AlignedFloats(count: FeatureMatrix.blockRowCount)
    var labels = [Int32](repeating: 0, count: FeatureMatrix.blockRowCount)

    package init() {}
}

// The checked edge: spans and arrays in, one check of every count, then pointers. A pointer never
// outlives the call; inputs and outputs cannot overlap because an `inout` is exclusive.

extension KernelTable {
    /// Assigns rows to the centroid with the largest `x·c - |c|²/2`, which is the nearest one; ties
    /// go to the lowest index.
    /// - Parameters:
    ///   - rows: starts at a multiple of 64.
    ///   - labels: `[rows.count]`, out.
    ///   - scores: `[rows.count]`, out: the largest value; squared distance = `|x|² - 2 score`.
    ///     In single precision: about `featureCount · 2^-24 · |x| |c|` off, so where rows lie far
    ///     from the origin: centre the features first.
    package func assign(
        _ points: FeatureMatrix, rows: Range<Int>, to vectors: VectorGroups,
        labels: inout MutableSpan<Int32>, scores: inout MutableSpan<Float>
    ) {
        check(points, rows, vectors)
        precondition(labels.count == rows.count && scores.count == rows.count)
        if rows.isEmpty { return }
        points.storage.withUnsafeBufferPointer { storage in
            vectors.storage.withUnsafeBufferPointer { groups in
                vectors.offsets.withUnsafeBufferPointer { offsets in
                    labels.withUnsafeMutableBufferPointer { labels in
                        scores.withUnsafeMutableBufferPointer { scores in
                            clusterKernels.assignRows(
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

    /// Assigns rows as `assign` does, and keeps the sums of the clusters with them: a row whose
    /// label changed leaves the old cluster's sums for the new one's, in row order.
    /// - Parameters:
    ///   - rows: starts at a multiple of 64.
    ///   - labels: in and out at `first ..< first + rows.count`; -1 in: in no cluster yet.
    ///   - recount: the rows are in no sum yet, whatever their labels.
    /// - Returns: rows whose label changed.
    package func assignAndMove(
        _ points: FeatureMatrix, rows: Range<Int>, to vectors: VectorGroups,
        labels: inout [Int32], at first: Int, recount: Bool, sums: inout ClusterSums,
        scratch: inout BlockScratch
    ) -> Int {
        check(points, rows, vectors)
        precondition(sums.clusterCount == vectors.count)
        precondition(sums.featureCount == points.featureCount)
        checkLabels(labels, first..<first + rows.count, vectors.count)
        if rows.isEmpty { return 0 }
        return points.storage.withUnsafeBufferPointer { storage in
            vectors.storage.withUnsafeBufferPointer { groups in
                vectors.offsets.withUnsafeBufferPointer { offsets in
                    labels.withUnsafeMutableBufferPointer { labels in
                        sums.values.withUnsafeMutableBufferPointer { values in
                            sums.counts.withUnsafeMutableBufferPointer { counts in
                                scratch.scores.withUnsafeMutableBufferPointer { scores in
                                    scratch.labels.withUnsafeMutableBufferPointer { newLabels in
                                        clusterKernels.assignAndMoveRows(
                                            address(storage) + rows.lowerBound
                                                * points.featureCount, rows.count,
                                            points.featureCount, address(groups),
                                            address(offsets), vectors.groupCount,
                                            address(labels) + first, recount, address(values),
                                            address(counts), address(scores),
                                            address(newLabels))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Adds the features of some rows and their squares, in double precision.
    /// - Parameters:
    ///   - rows: starts at a multiple of 64; where it ends within a block, the rest of the block
    ///     is zero.
    ///   - moments: `[2 × featureCount]`, in and out: the sums, then the sums of squares.
    package func addMoments(
        _ points: FeatureMatrix, rows: Range<Int>, _ moments: inout [Double]
    ) {
        check(points, rows)
        precondition(moments.count == 2 * points.featureCount)
        points.storage.withUnsafeBufferPointer { storage in
            moments.withUnsafeMutableBufferPointer { moments in
                clusterKernels.addMoments(
                    address(storage) + rows.lowerBound * points.featureCount,
                    FeatureMatrix.blockCount(rows.count), points.featureCount, address(moments),
                    address(moments) + points.featureCount)
            }
        }
    }

    /// Squared distances of rows to the centroids of their labels, by differences in double
    /// precision.
    /// - Parameters:
    ///   - rows: starts at a multiple of 64.
    ///   - labels: those of the rows are at `first ..< first + rows.count`.
    ///   - centroids: `[clusterCount × featureCount]`, row-major.
    ///   - distances: at least `rows.count`; the first ones are written.
    package func assignedDistances(
        _ points: FeatureMatrix, rows: Range<Int>, labels: [Int32], at first: Int,
        centroids: [Float], distances: inout [Double]
    ) {
        check(points, rows)
        precondition(distances.count >= rows.count)
        if rows.isEmpty || points.featureCount == 0 {
            for i in 0..<rows.count { distances[i] = 0 }
            return
        }
        let clusterCount = centroids.count / points.featureCount
        checkLabels(labels, first..<first + rows.count, clusterCount, lowest: 0)
        points.storage.withUnsafeBufferPointer { storage in
            labels.withUnsafeBufferPointer { labels in
                centroids.withUnsafeBufferPointer { centroids in
                    distances.withUnsafeMutableBufferPointer { distances in
                        Kernels.assignedDistances(
                            address(storage) + rows.lowerBound * points.featureCount,
                            rows.count, points.featureCount, address(labels) + first,
                            address(centroids), address(distances))
                    }
                }
            }
        }
    }

    func check(_ points: FeatureMatrix, _ rows: Range<Int>) {
        precondition(rows.lowerBound % FeatureMatrix.blockRowCount == 0)
        precondition(rows.lowerBound >= 0 && rows.upperBound <= points.rowCount)
    }

    private func check(_ points: FeatureMatrix, _ rows: Range<Int>, _ vectors: VectorGroups) {
        check(points, rows)
        precondition(vectors.count > 0 && vectors.featureCount == points.featureCount)
    }

    func checkLabels(
        _ labels: [Int32], _ range: Range<Int>, _ clusterCount: Int, lowest: Int32 = -1
    ) {
        precondition(range.lowerBound >= 0 && range.upperBound <= labels.count)
        labels.withUnsafeBufferPointer { labels in
            var (least, greatest): (Int32, Int32) = (0, 0)
            for i in range {
                least = min(least, labels[i])
                greatest = max(greatest, labels[i])
            }
            precondition(
                least >= lowest && (range.isEmpty || greatest < clusterCount),
                "a label is out of range")
        }
    }
}

extension FeatureMatrix {
    /// Becomes some rows of another matrix minus a vector, from row 0 on; what remains of the last
    /// block is zero.
    /// - Parameter rows: starts at a multiple of 64.
    package mutating func setDifference(
        of source: FeatureMatrix, rows: Range<Int>, origin: [Float]
    ) {
        let size = Self.blockRowCount
        precondition(rows.lowerBound % size == 0 && rows.lowerBound >= 0)
        precondition(rows.upperBound <= source.rowCount && rows.count <= rowCount)
        precondition(origin.count == featureCount && source.featureCount == featureCount)
        let featureCount = featureCount
        source.storage.withUnsafeBufferPointer { source in
            storage.withUnsafeMutableBufferPointer { target in
                for block in 0..<Self.blockCount(rows.count) {
                    let used = min(size, rows.count - block * size)
                    for feature in 0..<featureCount {
                        let first = (block * featureCount + feature) * size
                        let values = address(source) + rows.lowerBound * featureCount + first
                        let output = address(target) + first
                        let centre = origin[feature]
                        for i in 0..<used { output[i] = values[i] - centre }
                        for i in used..<size { output[i] = 0 }
                    }
                }
            }
        }
    }
}
