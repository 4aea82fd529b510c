// Why unsafe: rows are dealt out and added up by number from many threads at once. Row numbers are made
// here alone, 0 ..< rowCount, and only ever permuted; bins are bytes and every table that they index
// has 256 places.

import Kernels

/// Columns as bins, one byte a value, both by column and by row: a split reads one column of some
/// rows, a histogram all columns of them.
package struct BinnedColumns: Sendable {
    package let rowCount: Int
    package let columnCount: Int
    /// Bytes of a row: columns, filled up to a multiple of eight.
    let stride: Int
    /// `[columnCount × rowCount]`.
    let byColumn: [UInt8]
    /// `[rowCount × stride]`.
    let byRow: [UInt8]

    /// - Parameter fill: writes the bins of a column's rows; called in parallel.
    package init(
        rowCount: Int, columnCount: Int, threadCount: Int,
        _ fill: @Sendable (_ column: Int, _ bins: inout MutableSpan<UInt8>) -> Void
    ) {
        precondition(rowCount > 0 && rowCount <= Int(UInt32.max) && columnCount > 0)
        self.rowCount = rowCount
        self.columnCount = columnCount
        let stride = (columnCount + 7) / 8 * 8
        self.stride = stride
        let byColumn: [UInt8] = parallelArray(
            count: columnCount * rowCount, chunkRows: rowCount, threadCount: threadCount
        ) { places, bins in
            fill(places.lowerBound / rowCount, &bins)
        }
        self.byColumn = byColumn
        byRow = byColumn.withUnsafeBufferPointer { columns in
            // Read alone, and outlives the loop.
            nonisolated(unsafe) let columns = columns
            return parallelArray(
                count: rowCount * stride, chunkRows: 512 * stride, threadCount: threadCount
            ) { places, bytes in
                let first = places.lowerBound / stride
                let count = places.count / stride
                bytes.withUnsafeMutableBufferPointer { target in
                    for column in 0..<stride {
                        guard column < columnCount else {
                            for row in 0..<count { target[row * stride + column] = 0 }
                            continue
                        }
                        let source = address(columns) + column * rowCount + first
                        let place = address(target) + column
                        for row in 0..<count { place[row &* stride] = source[row] }
                    }
                }
            }
        }
    }

    /// The bin of a value.
    package func bin(row: Int, column: Int) -> UInt8 {
        precondition(row >= 0 && row < rowCount && column >= 0 && column < columnCount)
        return byColumn[column * rowCount + row]
    }
}

/// Row numbers in the order of a tree's leaves: those of a leaf stand together, ascending.
package struct LeafRows: Sendable {
    /// `[rowCount]`.
    private var order: [UInt32]
    private var left: [UInt32]
    private var right: [UInt32]
    private let chunkRows = 1 << 14

    /// All rows.
    package init(rowCount: Int, threadCount: Int) {
        func filled() -> [UInt32] {
            parallelArray(count: rowCount, chunkRows: 1 << 16, threadCount: threadCount) {
                rows, slice in
                for i in slice.indices { slice[i] = UInt32(rows.lowerBound + i) }
            }
        }
        order = filled()
        left = filled()
        right = filled()
    }

    /// All rows again, in their order.
    package mutating func reset(threadCount: Int) {
        parallelFill(&order, chunkRows: 1 << 16, threadCount: threadCount) { rows, slice in
            for i in slice.indices { slice[i] = UInt32(rows.lowerBound + i) }
        }
    }

    package var rowCount: Int { order.count }

    /// The row at a place.
    package func row(at place: Int) -> Int { Int(order[place]) }

    /// Puts the rows of a range that stay first, the others behind them; both in their order.
    /// - Parameters:
    ///   - goesLeft: `[256]`: 1 for bins whose rows come first, else 0.
    /// - Returns: how many come first.
    package mutating func split(
        _ range: Range<Int>, by column: Int, of bins: BinnedColumns, goesLeft: Span<UInt8>,
        kernels: KernelTable, threadCount: Int
    ) -> Int {
        precondition(column >= 0 && column < bins.columnCount && goesLeft.count == 256)
        precondition(range.lowerBound >= 0 && range.upperBound <= order.count)
        precondition(order.count <= bins.rowCount)
        let (kernel, chunkRows, rowCount) = (kernels.treeKernels.split, chunkRows, bins.rowCount)
        var counts = [Int](repeating: 0, count: (range.count + chunkRows - 1) / chunkRows)
        var total = 0
        order.withUnsafeMutableBufferPointer { order in
            left.withUnsafeMutableBufferPointer { left in
                right.withUnsafeMutableBufferPointer { right in
                    bins.byColumn.withUnsafeBufferPointer { bytes in
                        goesLeft.withUnsafeBufferPointer { goesLeft in
                            counts.withUnsafeMutableBufferPointer { counts in
                                // Chunks own disjoint parts of each, which outlive the loop.
                                nonisolated(unsafe) let (o, l, r) = (order, left, right)
                                nonisolated(unsafe) let (b, g, c) = (bytes, goesLeft, counts)
                                let base = range.lowerBound
                                parallelFor(
                                    count: range.count, chunkSize: chunkRows,
                                    threadCount: threadCount
                                ) { chunk, rows in
                                    let first = base + rows.lowerBound
                                    c[chunk] = kernel(
                                        address(o) + first, rows.count,
                                        address(b) + column * rowCount, address(g),
                                        address(l) + first, address(r) + first)
                                }
                                var starts: [Int] = []
                                for chunk in c.indices {
                                    starts.append(total)
                                    total += c[chunk]
                                }
                                let (leftTotal, starting) = (total, starts)
                                parallelFor(
                                    count: range.count, chunkSize: chunkRows,
                                    threadCount: threadCount
                                ) { chunk, rows in
                                    let first = base + rows.lowerBound
                                    let count = c[chunk]
                                    let rest = rows.count - count
                                    let leftPlace = base + starting[chunk]
                                    let rightPlace =
                                        base + leftTotal + rows.lowerBound - starting[chunk]
                                    (address(o) + leftPlace).update(
                                        from: address(l) + first, count: count)
                                    (address(o) + rightPlace).update(
                                        from: address(r) + first, count: rest)
                                }
                            }
                        }
                    }
                }
            }
        }
        return total
    }

    /// Adds the bins' sums of a range's rows to `sums`.
    package func addGradients(
        _ range: Range<Int>, of bins: BinnedColumns, _ gradients: RowGradients,
        layout: BinLayout, to sums: inout BinSums, scratches: inout [BinScratch],
        kernels: KernelTable
    ) {
        precondition(range.lowerBound >= 0 && range.upperBound <= order.count)
        precondition(order.count <= gradients.packed.count && order.count <= bins.rowCount)
        precondition(layout.columnCount == bins.columnCount && sums.count == layout.binCount)
        let (add, stride) = (kernels.treeKernels.addPacked, bins.stride)
        let groupsAtOnce = 4
        for index in scratches.indices { scratches[index].prepare(layout) }
        order.withUnsafeBufferPointer { order in
            bins.byRow.withUnsafeBufferPointer { bytes in
                gradients.packed.withUnsafeBufferPointer { packed in
                    // Read alone, and outlive the loop.
                    nonisolated(unsafe) let (o, b, p) = (order, bytes, packed)
                    let base = range.lowerBound
                    parallelFor(
                        count: range.count, chunkSize: 4 * Kernels.packedRowLimit,
                        scratches: &scratches
                    ) { scratch, _, rows in
                        scratch.isUsed = true
                        scratch.packed.withUnsafeMutableBufferPointer { words in
                            var first = rows.lowerBound
                            while first < rows.upperBound {
                                let count = min(Kernels.packedRowLimit, rows.upperBound - first)
                                var group = 0
                                while group < stride / 8 {
                                    let groups = min(groupsAtOnce, stride / 8 - group)
                                    add(
                                        address(b) + 8 * group, stride, groups,
                                        address(o) + (base + first), count, address(p),
                                        address(words) + 2048 * group)
                                    group += groups
                                }
                                scratch.sums.take(words, layout, kernels)
                                first += count
                            }
                        }
                    }
                }
            }
        }
        for index in scratches.indices where scratches[index].isUsed {
            sums.add(scratches[index].sums)
        }
    }

    /// Sums of gradient and Hessian of ranges of rows, in single precision as they are.
    package func totals(
        of ranges: [Range<Int>], _ gradients: RowGradients, kernels: KernelTable, threadCount: Int
    ) -> [(gradient: Double, hessian: Double)] {
        let pieces = pieces(ranges)
        let kernel = kernels.treeKernels.sum
        let partial = order.withUnsafeBufferPointer { order in
            gradients.pairs.withUnsafeBufferPointer { pairs in
                // Read alone, and outlive the loop.
                nonisolated(unsafe) let (o, p) = (order, pairs)
                precondition(2 * o.count <= p.count)
                return parallelMap(count: pieces.count, chunkSize: 1, threadCount: threadCount) {
                    piece, _ in
                    let rows = pieces[piece].rows
                    return withUnsafeTemporaryAllocation(of: Double.self, capacity: 2) {
                        kernel(address(o) + rows.lowerBound, rows.count, address(p), address($0))
                        return ($0[0], $0[1])
                    }
                }
            }
        }
        var totals = ranges.map { _ in (gradient: 0.0, hessian: 0.0) }
        for (piece, sum) in zip(pieces, partial) {
            totals[piece.range].gradient += sum.0
            totals[piece.range].hessian += sum.1
        }
        return totals
    }

    /// Adds a number to the values of each range's rows.
    package func add(
        _ addends: [Float], to ranges: [Range<Int>], of values: inout AlignedFloats,
        threadCount: Int
    ) {
        precondition(addends.count == ranges.count && values.count >= order.count)
        let pieces = pieces(ranges)
        order.withUnsafeBufferPointer { order in
            values.withUnsafeMutableBufferPointer { values in
                // No row is in two ranges, and the buffers outlive the loop.
                nonisolated(unsafe) let (o, v) = (order, values)
                parallelFor(count: pieces.count, chunkSize: 1, threadCount: threadCount) {
                    index, _ in
                    let piece = pieces[index]
                    Kernels.addToRows(
                        address(o) + piece.rows.lowerBound, piece.rows.count,
                        addends[piece.range], address(v))
                }
            }
        }
    }

    /// Ranges cut by a fixed number of rows, which must lie apart.
    private func pieces(_ ranges: [Range<Int>]) -> [(range: Int, rows: Range<Int>)] {
        var pieces: [(range: Int, rows: Range<Int>)] = []
        var end = 0
        for index in ranges.indices.sorted(by: { ranges[$0].lowerBound < ranges[$1].lowerBound }) {
            let range = ranges[index]
            precondition(range.lowerBound >= end && range.upperBound <= order.count)
            end = range.upperBound
            var first = range.lowerBound
            while first < range.upperBound {
                let next = min(range.upperBound, first + chunkRows)
                pieces.append((index, first..<next))
                first = next
            }
        }
        return pieces
    }
}

/// Where the bins of each column are in `BinSums`.
package struct BinLayout: Sendable, Equatable {
    /// `[columnCount + 1]`.
    package let offsets: [Int]

    /// - Parameter binCounts: of each column, 1 ... 256.
    package init(binCounts: [Int]) {
        precondition(binCounts.allSatisfy { (1...256).contains($0) })
        var offsets = [0]
        for count in binCounts { offsets.append(offsets[offsets.count - 1] + count) }
        self.offsets = offsets
    }

    package var columnCount: Int { offsets.count - 1 }
    package var binCount: Int { offsets[columnCount] }
    package func bins(of column: Int) -> Range<Int> { offsets[column]..<offsets[column + 1] }
}

/// Sums of gradients, Hessians and rows by bin, in units of the scales that the gradients were
/// packed with: integers, so that a leaf's sums are exactly its parent's less its sibling's.
package struct BinSums: Sendable {
    package private(set) var gradients: [Int64]
    package private(set) var hessians: [Int64]
    package private(set) var rows: [Int64]

    package init(_ layout: BinLayout) {
        gradients = [Int64](repeating: 0, count: layout.binCount)
        hessians = gradients
        rows = gradients
    }

    package var count: Int { rows.count }

    package mutating func clear() {
        for i in rows.indices {
            gradients[i] = 0
            hessians[i] = 0
            rows[i] = 0
        }
    }

    fileprivate mutating func add(_ other: BinSums) {
        combine(&gradients, other.gradients) { $0 &+ $1 }
        combine(&hessians, other.hessians) { $0 &+ $1 }
        combine(&rows, other.rows) { $0 &+ $1 }
    }

    package mutating func subtract(_ other: BinSums) {
        combine(&gradients, other.gradients) { $0 &- $1 }
        combine(&hessians, other.hessians) { $0 &- $1 }
        combine(&rows, other.rows) { $0 &- $1 }
    }

    private func combine(
        _ mine: inout [Int64], _ others: [Int64], _ operation: (Int64, Int64) -> Int64
    ) {
        precondition(mine.count == others.count)
        mine.withUnsafeMutableBufferPointer { mine in
            others.withUnsafeBufferPointer { others in
                for i in 0..<mine.count { mine[i] = operation(mine[i], others[i]) }
            }
        }
    }

    /// Adds packed sums, which it clears.
    /// - Parameter words: `[columns, filled up to a multiple of eight, × 256]`.
    fileprivate mutating func take(
        _ words: UnsafeMutableBufferPointer<UInt64>, _ layout: BinLayout, _ kernels: KernelTable
    ) {
        precondition(words.count >= layout.columnCount * 256 && count == layout.binCount)
        let flush = kernels.treeKernels.flush
        gradients.withUnsafeMutableBufferPointer { gradients in
            hessians.withUnsafeMutableBufferPointer { hessians in
                rows.withUnsafeMutableBufferPointer { rows in
                    for column in 0..<layout.columnCount {
                        let bins = layout.bins(of: column)
                        let first = bins.lowerBound
                        flush(
                            address(words) + 256 * column, bins.count, address(gradients) + first,
                            address(hessians) + first, address(rows) + first)
                    }
                }
            }
        }
    }
}

/// What a thread needs to add up gradients.
package struct BinScratch: Sendable {
    /// `[columns, filled up to a multiple of eight, × 256]`, zero between uses but for the columns
    /// that fill up.
    fileprivate var packed: [UInt64]
    fileprivate var sums: BinSums
    fileprivate var isUsed = false

    package init(_ layout: BinLayout) {
        packed = [UInt64](repeating: 0, count: (layout.columnCount + 7) / 8 * 8 * 256)
        sums = BinSums(layout)
    }

    fileprivate mutating func prepare(_ layout: BinLayout) {
        precondition(packed.count >= layout.columnCount * 256 && sums.count == layout.binCount)
        if isUsed { sums.clear() }
        isUsed = false
    }
}
