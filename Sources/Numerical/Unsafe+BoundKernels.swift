import Kernels

/// What a thread keeps between chunks of bound tests.
///
///     numbers  the chunk's new labels | the rows that failed, ascending | the same by label
///              | packed centroids' indices | labels of a tile
///     values   a tile [featureCount × 64] | packed centroids [ceil(k / 4) × featureCount × 4]
///              | their offsets | 7 × 64 values of a tile's rows
package struct BoundScratch: Sendable {
    fileprivate let chunkRows: Int
    fileprivate let clusterCount: Int
    fileprivate let featureCount: Int
    fileprivate var numbers: [Int32]
    fileprivate var values: AlignedFloats
    /// `[clusterCount + 1]`: where a label's rows start.
    fileprivate var starts: [Int]

    package init(chunkRows: Int, clusterCount: Int, featureCount: Int) {
        self.chunkRows = chunkRows
        self.clusterCount = clusterCount
        self.featureCount = featureCount
        let size = FeatureMatrix.blockRowCount
        let padded = (clusterCount + size - 1) / size * size
        // One more than the rows: the search for failing ones writes before it knows.
        numbers = [Int32](repeating: 0, count: 3 * (chunkRows + 1) + padded + size)
        values = AlignedFloats(
            count: featureCount * size + padded * featureCount + padded + 7 * size)
        starts = [Int](repeating: 0, count: clusterCount + 1)
    }

    fileprivate func check(_ rowCount: Int, _ bounds: CentroidBounds) {
        precondition(rowCount <= chunkRows && clusterCount == bounds.clusterCount)
        precondition(featureCount == bounds.featureCount)
    }

    /// Calls `body` with the addresses of the parts, which do not outlive the call.
    fileprivate mutating func withParts<Result>(_ body: (BoundParts) -> Result) -> Result {
        let (chunkRows, clusterCount, featureCount) = (chunkRows, clusterCount, featureCount)
        return numbers.withUnsafeMutableBufferPointer { numbers in
            values.withUnsafeMutableBufferPointer { values in
                starts.withUnsafeMutableBufferPointer { starts in
                    body(
                        BoundParts(
                            address(numbers), address(values), address(starts), chunkRows,
                            clusterCount, featureCount))
                }
            }
        }
    }
}

/// The addresses of a scratch's parts.
private struct BoundParts {
    let labels: UnsafeMutablePointer<Int32>
    let failing: UnsafeMutablePointer<Int32>
    let sorted: UnsafeMutablePointer<Int32>
    let indices: UnsafeMutablePointer<Int32>
    let tileLabels: UnsafeMutablePointer<Int32>
    let tile: UnsafeMutablePointer<Float>
    let groups: UnsafeMutablePointer<Float>
    let offsets: UnsafeMutablePointer<Float>
    let norms: UnsafeMutablePointer<Float>
    let own: UnsafeMutablePointer<Float>
    let scores: UnsafeMutablePointer<Float>
    let seconds: UnsafeMutablePointer<Float>
    let margins: UnsafeMutablePointer<Float>
    let uppers: UnsafeMutablePointer<Float>
    let touched: UnsafeMutablePointer<Float>
    let starts: UnsafeMutablePointer<Int>

    init(
        _ numbers: UnsafeMutablePointer<Int32>, _ values: UnsafeMutablePointer<Float>,
        _ starts: UnsafeMutablePointer<Int>, _ chunkRows: Int, _ clusterCount: Int,
        _ featureCount: Int
    ) {
        let size = FeatureMatrix.blockRowCount
        let padded = (clusterCount + size - 1) / size * size
        labels = numbers
        failing = labels + chunkRows + 1
        sorted = failing + chunkRows + 1
        indices = sorted + chunkRows + 1
        tileLabels = indices + padded
        tile = values
        groups = tile + featureCount * size
        offsets = groups + padded * featureCount
        norms = offsets + padded
        own = norms + size
        scores = own + size
        seconds = scores + size
        margins = seconds + size
        uppers = margins + size
        touched = uppers + size
        self.starts = starts
    }

    /// A counting sort by label, stable: rows of one label stay in order.
    func sortFailing(_ count: Int, _ clusterCount: Int) {
        for label in 0...clusterCount { starts[label] = 0 }
        for i in 0..<count { starts[Int(labels[Int(failing[i])])] += 1 }
        var sum = 0
        for label in 0..<clusterCount {
            sum += starts[label]
            starts[label] = sum
        }
        starts[clusterCount] = sum
        var i = count - 1
        while i >= 0 {
            let label = Int(labels[Int(failing[i])])
            starts[label] -= 1
            sorted[starts[label]] = failing[i]
            i -= 1
        }
    }
}

/// The addresses of a bounds' tables.
private struct BoundTables {
    let groups: UnsafePointer<Float>
    let offsets: UnsafePointer<Float>
    let indices: UnsafePointer<Int32>
    let centroids: UnsafePointer<Float>
    let distances: UnsafePointer<Float>
    let bases: UnsafePointer<Float>
    let groupCount: Int
}

extension CentroidBounds {
    fileprivate func withTables(_ body: (BoundTables) -> Void) {
        vectors.storage.withUnsafeBufferPointer { groups in
            vectors.offsets.withUnsafeBufferPointer { offsets in
                indices.withUnsafeBufferPointer { indices in
                    centroids.withUnsafeBufferPointer { centroids in
                        distances.withUnsafeBufferPointer { distances in
                            bases.withUnsafeBufferPointer { bases in
                                body(
                                    BoundTables(
                                        groups: address(groups), offsets: address(offsets),
                                        indices: address(indices), centroids: address(centroids),
                                        distances: address(distances), bases: address(bases),
                                        groupCount: vectors.groupCount))
                            }
                        }
                    }
                }
            }
        }
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
                    scratch.withParts { parts in
                        clusterKernels.failingRows(
                            address(labels) + rows.lowerBound,
                            address(margins) + rows.lowerBound, rows.count, address(thresholds),
                            bounds.largestThreshold, parts.failing)
                    }
                }
            }
        }
    }

    /// Assigns rows and moves those whose label changed to their new cluster's sums: with
    /// `failingCount` the rows that `findFailing` found, each against the centroids in reach,
    /// without it every row against every centroid.
    /// - Parameters:
    ///   - rows: starts at a multiple of 64.
    ///   - failingCount: what `findFailing` returned for these rows with this scratch.
    ///   - labels, margins: in and out at `first ..< first + rows.count`.
    ///   - recount: the rows are in no sum yet, whatever their labels.
    ///   - longest: `[clusterCount]`, in and out: at least every distance of an assigned row to its
    ///     centroid.
    /// - Returns: rows whose label changed.
    package func refine(
        _ points: FeatureMatrix, rows: Range<Int>, failingCount: Int?, labels: inout [Int32],
        margins: inout [Float], at first: Int, _ bounds: CentroidBounds, recount: Bool,
        sums: inout ClusterSums, longest: inout [Float], scratch: inout BoundScratch
    ) -> Int {
        check(points, rows)
        scratch.check(rows.count, bounds)
        precondition(sums.featureCount == bounds.featureCount)
        precondition(sums.clusterCount == bounds.clusterCount)
        precondition(longest.count == bounds.clusterCount && labels.count == margins.count)
        precondition(points.featureCount == bounds.featureCount)
        precondition(failingCount ?? 0 <= rows.count)
        checkLabels(
            labels, first..<first + rows.count, bounds.clusterCount,
            lowest: failingCount == nil ? -1 : 0)
        if rows.isEmpty { return 0 }
        return points.storage.withUnsafeBufferPointer { storage in
            margins.withUnsafeMutableBufferPointer { margins in
                longest.withUnsafeMutableBufferPointer { longest in
                    labels.withUnsafeMutableBufferPointer { labels in
                        scratch.withParts { parts in
                            let values =
                                address(storage) + rows.lowerBound * points.featureCount
                            bounds.withTables { tables in
                                let pass = BoundPass(
                                    kernels: clusterKernels, bounds: bounds, tables: tables,
                                    parts: parts, points: values,
                                    margins: address(margins) + first, longest: address(longest))
                                if let failingCount {
                                    (parts.labels).update(
                                        from: address(labels) + first, count: rows.count)
                                    pass.assignFailing(failingCount)
                                } else {
                                    pass.assignAll(rows.count)
                                }
                            }
                            return move(
                                values, rows.count, address(labels) + first, parts.labels,
                                recount, &sums)
                        }
                    }
                }
            }
        }
    }

    /// Sums and labels in row order, so that they are the same bytes as without bounds.
    private func move(
        _ points: UnsafePointer<Float>, _ rowCount: Int, _ labels: UnsafeMutablePointer<Int32>,
        _ newLabels: UnsafePointer<Int32>, _ recount: Bool, _ sums: inout ClusterSums
    ) -> Int {
        let size = FeatureMatrix.blockRowCount
        let featureCount = sums.featureCount
        return sums.values.withUnsafeMutableBufferPointer { values in
            sums.counts.withUnsafeMutableBufferPointer { counts in
                var changes = 0
                var row = 0
                while row < rowCount {
                    changes += clusterKernels.moveRows(
                        points + row * featureCount, min(size, rowCount - row), featureCount,
                        labels + row, newLabels + row, recount, address(values), address(counts))
                    row += size
                }
                return changes
            }
        }
    }
}

/// One chunk's pass.
private struct BoundPass {
    let kernels: ClusterKernels
    let bounds: CentroidBounds
    let tables: BoundTables
    let parts: BoundParts
    /// Of the chunk's first row.
    let points: UnsafePointer<Float>
    let margins: UnsafeMutablePointer<Float>
    let longest: UnsafeMutablePointer<Float>

    /// Farther than any two centroids are apart: rows have squares up to 1e36, so centroids are at
    /// most 2e18 apart, or little more where they were given. Its square is in range.
    private static let everything: Float = 4e18

    /// All rows against all centroids.
    func assignAll(_ rowCount: Int) {
        let d = bounds.featureCount
        let size = FeatureMatrix.blockRowCount
        for first in stride(from: 0, to: rowCount, by: size) {
            let block = points + first * d
            let count = min(size, rowCount - first)
            kernels.normsAndDistances(block, count, d, tables.centroids, parts.norms, parts.own)
            for i in 0..<count { parts.own[i] = 0 }
            kernels.assignRanked(
                block, count, d, tables.groups, tables.offsets, tables.indices,
                tables.groupCount, parts.tileLabels, parts.scores, parts.seconds)
            takeMargins(count, reach: Self.everything)
            for i in 0..<count { take(i, row: first + i) }
        }
    }

    /// The rows that failed, in tiles of one label.
    func assignFailing(_ count: Int) {
        parts.sortFailing(count, bounds.clusterCount)
        parts.touched[0] = touchBlocks(points, bounds.featureCount, parts.failing, count)
        for label in 0..<bounds.clusterCount {
            var next = parts.starts[label]
            let end = parts.starts[label + 1]
            while next < end {
                let rows = parts.sorted + next
                let tileCount = min(FeatureMatrix.blockRowCount, end - next)
                assignNear(label, rows, tileCount)
                for i in 0..<tileCount { take(i, row: Int(rows[i])) }
                next += tileCount
            }
        }
    }

    /// Some rows of one label against the centroids in reach of theirs.
    private func assignNear(_ label: Int, _ rows: UnsafePointer<Int32>, _ count: Int) {
        let d = bounds.featureCount
        gatherPoints(points, d, rows, count, parts.tile)
        kernels.normsAndDistances(
            parts.tile, count, d, tables.centroids + label * d, parts.norms, parts.own)
        let reach = reach(label, count)
        let groupCount = kernels.packNearCentroids(
            tables.distances, label, tables.groupCount * VectorGroups.width,
            reach * reach * (1 + 8 * bounds.share), tables.centroids, tables.offsets,
            bounds.clusterCount, d, parts.groups, parts.offsets, parts.indices)
        kernels.assignRanked(
            parts.tile, count, d, parts.groups, parts.offsets, parts.indices, groupCount,
            parts.tileLabels, parts.scores, parts.seconds)
        takeMargins(count, reach: reach)
    }

    private func takeMargins(_ count: Int, reach: Float) {
        kernels.rowMargins(
            parts.scores, parts.seconds, parts.norms, parts.own, count, reach, bounds.share,
            bounds.floor, parts.margins, parts.uppers)
    }

    /// R of the proof, the largest of the tile's rows.
    private func reach(_ label: Int, _ count: Int) -> Float {
        let share = bounds.share
        let root = (6 * share).squareRoot()
        let next = bounds.nearest[label]
        var longest: Float = 0
        for i in 0..<count {
            let norm = parts.norms[i]
            let upper = parts.own[i].squareRoot() * (1 + share) + bounds.floor
            let length = norm.squareRoot()
            let least = max(2 * upper, root * length)
            let sum = 2 * upper + next
            longest = max(longest, sum + 2 * share * (6 * norm / least + 4 * length + sum))
        }
        return min(longest + 4 * bounds.floor, Self.everything)
    }

    /// Takes a tile's row over to the chunk.
    private func take(_ i: Int, row: Int) {
        let label = Int(parts.tileLabels[i])
        parts.labels[row] = parts.tileLabels[i]
        let sum = parts.margins[i] + tables.bases[label]
        // Rounded down.
        margins[row] = sum - abs(sum) * 0x1p-22
        if parts.uppers[i] > longest[label] { longest[label] = parts.uppers[i] }
    }
}
