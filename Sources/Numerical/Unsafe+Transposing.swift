extension SparseMatrix {
    /// Entries a chunk of rows has at least, and the largest table of counts (32 MiB).
    private static let chunkEntries = 1 << 17
    private static let largestTable = 1 << 23

    /// The matrix with rows and columns exchanged.
    ///
    /// Chunks of rows count their columns, then write where the counts of the earlier chunks end:
    /// O(rows + columns + values), the same matrix for any thread count.
    package func transposed(threadCount: Int = 1) -> SparseMatrix {
        precondition(rowCount <= Int(Int32.max))
        let bounds = transposingBounds()
        let chunkCount = bounds.count - 1
        let columnCount = columnCount
        var positions = [Int32](repeating: 0, count: chunkCount * columnCount)
        parallelFill(
            &positions, rowWidth: max(1, columnCount), chunkRows: 1, threadCount: threadCount
        ) { chunks, counts in
            let chunk = chunks.lowerBound
            for i in rowOffsets[bounds[chunk]]..<rowOffsets[bounds[chunk + 1]] {
                counts[Int(columnIndices[i])] += 1
            }
        }
        // The counts become positions within the column, which stay below 2³¹ rows.
        var offsets = [Int](repeating: 0, count: columnCount + 1)
        for column in 0..<columnCount {
            var sum: Int32 = 0
            for chunk in 0..<chunkCount {
                let count = positions[chunk * columnCount + column]
                positions[chunk * columnCount + column] = sum
                sum += count
            }
            offsets[column + 1] = offsets[column] + Int(sum)
        }
        // Not zeroed before they are written: first use of the pages is shared by the threads.
        var values: [Float] = []
        let rows = [Int32](unsafeUninitializedCapacity: valueCount) { rows, rowCount in
            values = [Float](unsafeUninitializedCapacity: valueCount) { values, count in
                scatter(bounds, offsets, &positions, rows, values, threadCount)
                count = valueCount
            }
            rowCount = valueCount
        }
        return SparseMatrix(
            checkedRowCount: columnCount, columnCount: rowCount, rowOffsets: offsets,
            columnIndices: rows, values: values)
    }

    /// Writes every entry to its place.
    /// - Parameters:
    ///   - starts: where each column starts.
    ///   - positions: where each chunk starts within each column; where it ends, out.
    private func scatter(
        _ bounds: [Int], _ starts: [Int], _ positions: inout [Int32],
        _ rows: UnsafeMutableBufferPointer<Int32>, _ values: UnsafeMutableBufferPointer<Float>,
        _ threadCount: Int
    ) {
        // Every entry has its own place in the buffers, which outlive the loop; columns and rows
        // are in range because every matrix is checked when it is made.
        nonisolated(unsafe) let (rows, targets) = (rows, values)
        parallelFill(
            &positions, rowWidth: max(1, columnCount), chunkRows: 1, threadCount: threadCount
        ) { chunks, next in
            let chunk = chunks.lowerBound
            let (columns, values) = (columnIndices.span, self.values.span)
            for row in bounds[chunk]..<bounds[chunk + 1] {
                for i in rowOffsets[row]..<rowOffsets[row + 1] {
                    let column = Int(columns[i])
                    let target = starts[column] + Int(next[column])
                    next[column] += 1
                    rows[target] = Int32(truncatingIfNeeded: row)
                    targets[target] = values[i]
                }
            }
        }
    }

    /// First rows of chunks of about equal entries, at most as many as the table of counts holds.
    private func transposingBounds() -> [Int] {
        let most = max(1, Self.largestTable / max(1, columnCount))
        let entries = max(Self.chunkEntries, (valueCount + most - 1) / most)
        var bounds = [0]
        for row in 0..<rowCount where rowOffsets[row + 1] >= bounds.count * entries {
            bounds.append(row + 1)
        }
        if bounds[bounds.count - 1] < rowCount || bounds.count == 1 { bounds.append(rowCount) }
        return bounds
    }
}
