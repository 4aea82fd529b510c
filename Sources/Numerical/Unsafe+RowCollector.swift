// Why unsafe: rows are written into memory of their own by several threads, each at places that are no
// other's: where the rows of its part of a batch go is counted before.

/// A column of numbers that comes along with the rows of a sort.
package enum RowValues: Sendable {
    case floats([Float])
    case halves([UInt32])
    case words([Int64])

    package var count: Int {
        switch self {
        case .floats(let values): values.count
        case .halves(let values): values.count
        case .words(let values): values.count
        }
    }

    var kind: RowLayout.Kind {
        switch self {
        case .floats, .halves: .half
        case .words: .word
        }
    }
}

/// A column of sorted rows: one of the two that they are sorted by, or a value by its number.
package enum RowField: Sendable, Equatable {
    case first
    case second
    case value(Int)
}

/// Collects rows that come in batches, to sort them by two columns of numbers.
///
/// Each batch is moved but once, while a cache has it still: each row to a bucket of neighbours in
/// the first column, next to those of the same batch. Where the rows of a batch fit, all are kept in
/// half the bytes.
package struct RowCollector: Sendable {
    private let memory: RowMemory
    private var batches: [RowBatch] = []
    private var range: RowRange

    package private(set) var count = 0

    /// Rows that are moved by one thread at a time, and whose places are known before they move.
    private static let chunkRows = 1 << 16
    private static let groupRows = 256
    /// A batch has not more buckets.
    private static let mostBuckets: UInt64 = 1 << 11

    /// - Parameters:
    ///   - first: of the first batch, by which the size of the rows is chosen; so the others.
    ///   - capacity: rows that there is room for, at most 2^32 - 1. Memory that is not used is not
    ///     touched.
    package init(
        like first: [Int64], _ second: [Int64], _ values: [RowValues], capacity: Int,
        threadCount: Int
    ) {
        precondition(capacity < Int(UInt32.max))
        let range = RowRange(first, second, values, threadCount)
        self.range = RowRange()
        memory = RowMemory(RowLayout(values, range), capacity: capacity)
    }

    /// Adds a batch.
    /// - Parameter values: as many and of the same types as the first batch's.
    /// - Returns: false, and nothing is added, where there is no room or numbers are too large for
    ///   the size of the rows.
    package mutating func add(
        _ first: [Int64], _ second: [Int64], _ values: [RowValues], threadCount: Int
    ) -> Bool {
        precondition(second.count == first.count && memory.layout.kinds == values.map(\.kind))
        precondition(values.allSatisfy { $0.count == first.count })
        precondition(memory.usedCount == count, "a copy of a collector adds no rows")
        if first.isEmpty { return true }
        let added = RowRange(first, second, values, threadCount)
        guard count + first.count <= memory.capacity, memory.layout.fits(added) else {
            return false
        }
        range.add(added)
        // Never finer than before: the buckets of all batches nest.
        var shift = batches.last?.shift ?? 0
        while (range.firstHigh.biased >> shift) - (range.firstLow.biased >> shift)
            >= Self.mostBuckets
        { shift += 1 }
        batches.append(
            RowBatch(
                start: count, shift: shift, firstBucket: added.firstLow.biased >> shift,
                starts: scatter(first, second, values, added, shift, threadCount)))
        count += first.count
        memory.usedCount = count
        return true
    }

    /// The rows by (first, second); equal ones in the order in which they came. The same for any
    /// thread count and any batches.
    /// - Complexity: O(rows x bits of the keys / 11).
    package func sorted(threadCount: Int) -> SortedRows {
        var order: [UInt32] = []
        if !range.areSorted, let shift = batches.last?.shift {
            let firstBucket = range.firstLow.biased >> shift
            let bucketCount = Int((range.firstHigh.biased >> shift) - firstBucket) + 1
            // Where the rows of each bucket go.
            var starts = [0]
            for bucket in 0..<bucketCount {
                let rows = batches.map { $0.rows(of: firstBucket + UInt64(bucket), shift).count }
                starts.append(starts[bucket] + rows.reduce(0, +))
            }
            order = [UInt32](unsafeUninitializedCapacity: count) { buffer, initialized in
                useLargePages(buffer.baseAddress, byteCount: 4 * count)
                nonisolated(unsafe) let order = buffer
                var sorters = [BucketSorter](repeating: BucketSorter(), count: threadCount)
                parallelFor(count: bucketCount, chunkSize: 1, scratches: &sorters) {
                    [starts] sorter, index, _ in
                    let bucket = firstBucket + UInt64(index)
                    sorter.sort(
                        batches.map { $0.rows(of: bucket, shift) }, memory,
                        into: UnsafeMutableBufferPointer(
                            rebasing: order[starts[index]..<starts[index + 1]]))
                }
                initialized = count
            }
        }
        return SortedRows(
            count: count, secondBounds: range.secondLow...max(range.secondLow, range.secondHigh),
            memory: memory, order: order)
    }

    /// Moves a batch to its buckets.
    /// - Returns: where each bucket starts, and the count.
    private func scatter(
        _ first: [Int64], _ second: [Int64], _ values: [RowValues], _ range: RowRange,
        _ shift: UInt64, _ threadCount: Int
    ) -> [Int] {
        let firstBucket = range.firstLow.biased >> shift
        let bucketCount = Int((range.firstHigh.biased >> shift) - firstBucket) + 1
        var next = parallelMap(
            count: first.count, chunkSize: Self.chunkRows, threadCount: threadCount
        ) { _, rows in
            var counts = [Int](repeating: 0, count: bucketCount)
            first.withUnsafeBufferPointer { first in
                for row in rows { counts[Int((first[row].biased &>> shift) &- firstBucket)] += 1 }
            }
            return counts
        }
        var starts = [0]
        var start = 0
        for bucket in 0..<bucketCount {
            for chunk in next.indices {
                let count = next[chunk][bucket]
                next[chunk][bucket] = start
                start += count
            }
            starts.append(start)
        }
        let (layout, stride) = (memory.layout, memory.layout.stride)
        let base = memory.base + count * stride
        nonisolated(unsafe) let target = base
        parallelFor(
            count: first.count, chunkSize: Self.chunkRows, threadCount: threadCount
        ) { [next] chunk, rows in
            var next = next[chunk]
            withUnsafeTemporaryAllocation(
                of: UnsafeMutableRawPointer.self, capacity: Self.groupRows
            ) { targets in
                // So few rows that their places stay in the first-level cache.
                for start in Swift.stride(
                    from: rows.lowerBound, to: rows.upperBound, by: Self.groupRows)
                {
                    let group = start..<min(start + Self.groupRows, rows.upperBound)
                    first.withUnsafeBufferPointer { first in
                        second.withUnsafeBufferPointer { second in
                            for row in group {
                                let bucket = Int((first[row].biased &>> shift) &- firstBucket)
                                let place = target + next[bucket] &* stride
                                next[bucket] &+= 1
                                targets[row &- start] = place
                                layout.storeKey(first[row], second[row], at: place)
                            }
                        }
                    }
                    for (column, offset) in zip(values, layout.places) {
                        switch column {
                        case .floats(let values): move(values, group, targets, offset)
                        case .halves(let values): move(values, group, targets, offset)
                        case .words(let values) where layout.isWide:
                            move(values, group, targets, offset)
                        case .words(let values):
                            values.withUnsafeBufferPointer { values in
                                for row in group {
                                    targets[row &- start].storeBytes(
                                        of: Int32(truncatingIfNeeded: values[row]),
                                        toByteOffset: offset, as: Int32.self)
                                }
                            }
                        }
                    }
                }
            }
        }
        return starts
    }

    @inline(__always)
    private func move<Value: BitwiseCopyable>(
        _ values: [Value], _ rows: Range<Int>,
        _ targets: UnsafeMutableBufferPointer<UnsafeMutableRawPointer>, _ offset: Int
    ) {
        values.withUnsafeBufferPointer { values in
            for row in rows {
                targets[row &- rows.lowerBound].storeBytes(
                    of: values[row], toByteOffset: offset, as: Value.self)
            }
        }
    }
}

extension Int64 {
    /// In the order of the signed numbers.
    @inline(__always)
    fileprivate var biased: UInt64 { UInt64(bitPattern: self) ^ (1 << 63) }
}

/// A batch in memory: its rows by bucket.
private struct RowBatch: Sendable {
    let start: Int
    /// A row's bucket is its biased first column, shifted by so much.
    let shift: UInt64
    let firstBucket: UInt64
    let starts: [Int]

    /// The rows of a bucket of a larger shift.
    func rows(of bucket: UInt64, _ shift: UInt64) -> Range<Int> {
        let last = starts.count - 1
        func start(of bucket: UInt64) -> Int {
            // Buckets that this batch has none of lie before its first or behind its last.
            let own = bucket << (shift - self.shift)
            return starts[own <= firstBucket ? 0 : Int(min(own - firstBucket, UInt64(last)))]
        }
        let end = bucket < UInt64.max >> shift ? start(of: bucket + 1) : starts[last]
        return self.start + start(of: bucket)..<self.start + end
    }
}
