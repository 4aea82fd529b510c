import Kernels

/// What a thread keeps between chunks of bound tests.
package struct BoundScratch: Sendable {
    private let chunkRows: Int
    private let clusterCount: Int
    private let featureCount: Int
    /// The new labels of the chunk's rows.
    fileprivate var labels: [Int32]
    /// The rows that failed, ascending, then the same by label.
    fileprivate var failing: [Int32]
    fileprivate var sorted: [Int32]
    /// `[clusterCount + 1]`: where a label's rows start in `sorted`.
    fileprivate var starts: [Int]
    fileprivate var indices: [Int32]
    fileprivate var tileLabels: [Int32]
    /// `[featureCount × 64]`.
    fileprivate var tile: AlignedFloats
    /// `[ceil(clusterCount / 4) × featureCount × 4]`.
    fileprivate var groups: AlignedFloats
    fileprivate var offsets: AlignedFloats
    /// `[6 × 64]`: norms, own distances, scores, seconds, margins, reaches.
    fileprivate var values: AlignedFloats

    package init(chunkRows: Int, clusterCount: Int, featureCount: Int) {
        self.chunkRows = chunkRows
        self.clusterCount = clusterCount
        self.featureCount = featureCount
        let padded = (clusterCount + 3) / 4 * 4
        let blockRows = FeatureMatrix.blockRowCount
        labels = [Int32](repeating: 0, count: chunkRows)
        failing = [Int32](repeating: 0, count: chunkRows + 1)
        sorted = failing
        starts = [Int](repeating: 0, count: clusterCount + 1)
        indices = [Int32](repeating: 0, count: padded + 1)
        tileLabels = [Int32](repeating: 0, count: blockRows)
        tile = AlignedFloats(count: featureCount * blockRows)
        groups = AlignedFloats(count: padded * featureCount)
        offsets = AlignedFloats(count: padded)
        values = AlignedFloats(count: 6 * blockRows)
    }

    fileprivate func check(_ rowCount: Int, _ bounds: CentroidBounds) {
        precondition(rowCount <= chunkRows && clusterCount == bounds.clusterCount)
        precondition(featureCount == bounds.featureCount)
    }
}

extension KernelTable {
    /// Finds the rows whose bounds allow a change; reads no features.
    /// - Parameters:
    ///   - labels, margins: those of the rows are at `rows`.
    ///   - scratch: out: the rows found.
    /// - Returns: how many.
    package func findFailing(
        _ labels: [Int32], _ margins: [Float], rows: Range<Int>, _ bounds: CentroidBounds,
        scratch: inout BoundScratch
    ) -> Int {
        scratch.check(rows.count, bounds)
        precondition(labels.count == margins.count)
        checkLabels(labels, rows, bounds.clusterCount, lowest: 0)
        return labels.withUnsafeBufferPointer { labels in
            margins.withUnsafeBufferPointer { margins in
                bounds.thresholds.withUnsafeBufferPointer { thresholds in
                    scratch.failing.withUnsafeMutableBufferPointer { failing in
                        clusterKernels.failingRows(
                            address(labels) + rows.lowerBound,
                            address(margins) + rows.lowerBound, rows.count, address(thresholds),
                            bounds.largestThreshold, address(failing))
                    }
                }
            }
        }
    }

    /// Assigns every row, takes its margin, and moves it to its new cluster's sums.
    /// - Parameters and result: as `refine`.
    package func startBounds(
        _ points: FeatureMatrix, rows: Range<Int>, labels: inout [Int32],
        margins: inout [Float], at first: Int, _ bounds: CentroidBounds, recount: Bool,
        sums: inout ClusterSums, scratch: inout BoundScratch
    ) -> Int {
        check(points, rows, labels, margins, first, bounds, sums, scratch)
        if rows.isEmpty { return 0 }
        withPointers(points, rows, bounds, &margins, first, &scratch) { pass in
            for block in 0..<FeatureMatrix.blockCount(rows.count) {
                let size = FeatureMatrix.blockRowCount
                let count = min(size, rows.count - block * size)
                pass.assignAll(pass.points + block * size * points.featureCount, count)
                for i in 0..<count { pass.take(i, row: block * size + i) }
            }
        }
        return move(points, rows, &labels, first, recount, &sums, scratch)
    }

    /// Assigns the rows that `findFailing` found, each against the centroids in reach, and moves
    /// those whose label changed to their new cluster's sums.
    /// - Parameters:
    ///   - rows: starts at a multiple of 64.
    ///   - labels, margins: in and out at `first ..< first + rows.count`.
    ///   - failingCount: what `findFailing` returned for these rows with this scratch.
    ///   - recount: the rows are in no sum yet, whatever their labels.
    /// - Returns: rows whose label changed.
    package func refine(
        _ points: FeatureMatrix, rows: Range<Int>, failingCount: Int, labels: inout [Int32],
        margins: inout [Float], at first: Int, _ bounds: CentroidBounds, recount: Bool,
        sums: inout ClusterSums, scratch: inout BoundScratch
    ) -> Int {
        check(points, rows, labels, margins, first, bounds, sums, scratch)
        precondition(failingCount <= rows.count)
        if rows.isEmpty { return 0 }
        for i in 0..<rows.count { scratch.labels[i] = labels[first + i] }
        scratch.sortFailing(failingCount)
        withPointers(points, rows, bounds, &margins, first, &scratch) { pass in
            let size = FeatureMatrix.blockRowCount
            for label in 0..<bounds.clusterCount {
                var next = pass.starts[label]
                let end = pass.starts[label + 1]
                while next < end {
                    let count = min(size, end - next)
                    pass.assignNear(label, pass.sorted + next, count)
                    for i in 0..<count { pass.take(i, row: Int(pass.sorted[next + i])) }
                    next += count
                }
            }
        }
        return move(points, rows, &labels, first, recount, &sums, scratch)
    }

    private func check(
        _ points: FeatureMatrix, _ rows: Range<Int>, _ labels: [Int32], _ margins: [Float],
        _ first: Int, _ bounds: CentroidBounds, _ sums: ClusterSums, _ scratch: BoundScratch
    ) {
        check(points, rows)
        scratch.check(rows.count, bounds)
        precondition(points.featureCount == bounds.featureCount)
        precondition(sums.featureCount == bounds.featureCount)
        precondition(sums.clusterCount == bounds.clusterCount)
        precondition(labels.count == margins.count)
        checkLabels(labels, first..<first + rows.count, bounds.clusterCount)
    }

    /// Sums and labels in row order, so that they are the same bytes as without bounds.
    private func move(
        _ points: FeatureMatrix, _ rows: Range<Int>, _ labels: inout [Int32], _ first: Int,
        _ recount: Bool, _ sums: inout ClusterSums, _ scratch: BoundScratch
    ) -> Int {
        let size = FeatureMatrix.blockRowCount
        var changes = 0
        points.storage.withUnsafeBufferPointer { storage in
            labels.withUnsafeMutableBufferPointer { labels in
                scratch.labels.withUnsafeBufferPointer { newLabels in
                    sums.values.withUnsafeMutableBufferPointer { values in
                        sums.counts.withUnsafeMutableBufferPointer { counts in
                            for row in stride(from: 0, to: rows.count, by: size) {
                                changes += clusterKernels.moveRows(
                                    address(storage) + (rows.lowerBound + row)
                                        * points.featureCount,
                                    min(size, rows.count - row),
                                    points.featureCount, address(labels) + first + row,
                                    address(newLabels) + row, recount, address(values),
                                    address(counts))
                            }
                        }
                    }
                }
            }
        }
        return changes
    }

    /// Calls `body` with the addresses that a pass over a chunk needs; none outlives the call.
    private func withPointers(
        _ points: FeatureMatrix, _ rows: Range<Int>, _ bounds: CentroidBounds,
        _ margins: inout [Float], _ first: Int, _ scratch: inout BoundScratch,
        _ body: (BoundPass) -> Void
    ) {
        points.storage.withUnsafeBufferPointer { storage in
            bounds.vectors.storage.withUnsafeBufferPointer { allGroups in
                bounds.vectors.offsets.withUnsafeBufferPointer { allOffsets in
                    bounds.indices.withUnsafeBufferPointer { allIndices in
                        bounds.centroids.withUnsafeBufferPointer { centroids in
                            bounds.distances.withUnsafeBufferPointer { distances in
                                bounds.bases.withUnsafeBufferPointer { bases in
                                    margins.withUnsafeMutableBufferPointer { margins in
                                        scratch.labels.withUnsafeMutableBufferPointer { labels in
                                            scratch.sorted.withUnsafeBufferPointer { sorted in
                                                scratch.starts.withUnsafeBufferPointer { starts in
                                                    scratch.indices.withUnsafeMutableBufferPointer {
                                                        indices in
                                                        scratch.tileLabels
                                                            .withUnsafeMutableBufferPointer {
                                                                tileLabels in
                                                                scratch.tile
                                                                    .withUnsafeMutableBufferPointer
                                                                { tile in
                                                                    scratch.groups
                                                                        .withUnsafeMutableBufferPointer
                                                                    { groups in
                                                                        scratch.offsets
                                                                            .withUnsafeMutableBufferPointer
                                                                        { offsets in
                                                                            scratch.values
                                                                                .withUnsafeMutableBufferPointer
                                                                            { values in
                                                                                body(
                                                                                    BoundPass(
                                                                                        kernels:
                                                                                            clusterKernels,
                                                                                        bounds:
                                                                                            bounds,
                                                                                        points:
                                                                                            address(
                                                                                                storage
                                                                                            ) + rows
                                                                                            .lowerBound
                                                                                            * points
                                                                                            .featureCount,
                                                                                        allGroups:
                                                                                            address(
                                                                                                allGroups
                                                                                            ),
                                                                                        allOffsets:
                                                                                            address(
                                                                                                allOffsets
                                                                                            ),
                                                                                        allIndices:
                                                                                            address(
                                                                                                allIndices
                                                                                            ),
                                                                                        centroids:
                                                                                            address(
                                                                                                centroids
                                                                                            ),
                                                                                        distances:
                                                                                            address(
                                                                                                distances
                                                                                            ),
                                                                                        bases:
                                                                                            address(
                                                                                                bases
                                                                                            ),
                                                                                        margins:
                                                                                            address(
                                                                                                margins
                                                                                            )
                                                                                            + first,
                                                                                        labels:
                                                                                            address(
                                                                                                labels
                                                                                            ),
                                                                                        sorted:
                                                                                            address(
                                                                                                sorted
                                                                                            ),
                                                                                        starts:
                                                                                            address(
                                                                                                starts
                                                                                            ),
                                                                                        indices:
                                                                                            address(
                                                                                                indices
                                                                                            ),
                                                                                        tileLabels:
                                                                                            address(
                                                                                                tileLabels
                                                                                            ),
                                                                                        tile:
                                                                                            address(
                                                                                                tile
                                                                                            ),
                                                                                        groups:
                                                                                            address(
                                                                                                groups
                                                                                            ),
                                                                                        offsets:
                                                                                            address(
                                                                                                offsets
                                                                                            ),
                                                                                        values:
                                                                                            address(
                                                                                                values
                                                                                            )))
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
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

extension BoundScratch {
    /// A counting sort by label, stable: rows of one label stay in order.
    fileprivate mutating func sortFailing(_ count: Int) {
        let clusterCount = clusterCount
        labels.withUnsafeBufferPointer { labels in
            failing.withUnsafeBufferPointer { failing in
                sorted.withUnsafeMutableBufferPointer { sorted in
                    starts.withUnsafeMutableBufferPointer { starts in
                        starts.update(repeating: 0)
                        for i in 0..<count { starts[Int(labels[Int(failing[i])])] += 1 }
                        var sum = 0
                        for label in 0..<clusterCount {
                            sum += starts[label]
                            starts[label] = sum
                        }
                        starts[clusterCount] = sum
                        for i in stride(from: count - 1, through: 0, by: -1) {
                            let label = Int(labels[Int(failing[i])])
                            starts[label] -= 1
                            sorted[starts[label]] = failing[i]
                        }
                    }
                }
            }
        }
    }
}

/// The addresses of one chunk's pass. `values` is `[6 × 64]`.
private struct BoundPass {
    let kernels: ClusterKernels
    let bounds: CentroidBounds
    let points: UnsafePointer<Float>
    let allGroups: UnsafePointer<Float>
    let allOffsets: UnsafePointer<Float>
    let allIndices: UnsafePointer<Int32>
    let centroids: UnsafePointer<Float>
    let distances: UnsafePointer<Float>
    let bases: UnsafePointer<Float>
    let margins: UnsafeMutablePointer<Float>
    let labels: UnsafeMutablePointer<Int32>
    let sorted: UnsafePointer<Int32>
    let starts: UnsafePointer<Int>
    let indices: UnsafeMutablePointer<Int32>
    let tileLabels: UnsafeMutablePointer<Int32>
    let tile: UnsafeMutablePointer<Float>
    let groups: UnsafeMutablePointer<Float>
    let offsets: UnsafeMutablePointer<Float>
    let values: UnsafeMutablePointer<Float>

    private var norms: UnsafeMutablePointer<Float> { values }
    private var own: UnsafeMutablePointer<Float> { values + 64 }
    private var scores: UnsafeMutablePointer<Float> { values + 128 }
    private var seconds: UnsafeMutablePointer<Float> { values + 192 }
    private var tileMargins: UnsafeMutablePointer<Float> { values + 256 }
    /// As far as any length goes: squares up to 1e36 are allowed.
    private var everything: Float { 1e18 }

    /// A block's rows against all centroids.
    func assignAll(_ block: UnsafePointer<Float>, _ count: Int) {
        let d = bounds.featureCount
        kernels.normsAndDistances(block, count, d, centroids, norms, own)
        for i in 0..<count { own[i] = 0 }
        kernels.assignRanked(
            block, count, d, allGroups, allOffsets, allIndices, bounds.vectors.groupCount,
            tileLabels, scores, seconds)
        kernels.rowMargins(
            scores, seconds, norms, own, count, everything, bounds.share, bounds.floor,
            tileMargins)
    }

    /// Some rows of one label against the centroids in reach of theirs.
    func assignNear(_ label: Int, _ rows: UnsafePointer<Int32>, _ count: Int) {
        let d = bounds.featureCount
        gatherRows(points, d, rows, count, tile)
        kernels.normsAndDistances(tile, count, d, centroids + label * d, norms, own)
        let reach = reach(label, count)
        let limit = reach * reach * (1 + 8 * bounds.share)
        let groupCount = packNearCentroids(
            distances, label, bounds.vectors.groupCount * VectorGroups.width, limit, centroids,
            allOffsets, bounds.clusterCount, d, groups, offsets, indices)
        kernels.assignRanked(
            tile, count, d, groups, offsets, indices, groupCount, tileLabels, scores, seconds)
        kernels.rowMargins(
            scores, seconds, norms, own, count, reach, bounds.share, bounds.floor, tileMargins)
    }

    /// R of the proof, the largest of the tile's rows.
    private func reach(_ label: Int, _ count: Int) -> Float {
        let share = bounds.share
        let next = bounds.nearest[label]
        var longest: Float = 0
        for i in 0..<count {
            let upper = own[i].squareRoot() * (1 + share) + bounds.floor
            let length = norms[i].squareRoot()
            let least = max(2 * upper, (6 * share).squareRoot() * length, bounds.floor)
            let sum = 2 * upper + next
            longest = max(
                longest, sum + 2 * share * (6 * norms[i] / least + 4 * length + sum))
        }
        return min(longest + 4 * bounds.floor, everything)
    }

    /// Takes a tile's row over to the chunk.
    func take(_ i: Int, row: Int) {
        labels[row] = tileLabels[i]
        let sum = tileMargins[i] + bases[Int(tileLabels[i])]
        // Rounded down.
        margins[row] = sum - abs(sum) * 0x1p-22
    }
}
