// Why unsafe: a scatter writes where the counts say, which no slice can express. Every place comes
// from one prefix sum over all chunks' counts of the same keys, so the places of a pass are the
// numbers 0 ..< count, each once; buffers outlive the loops over them.

/// The order of sorted keys, and how columns get into it.
///
/// A row moves twice: into its bucket, next to about a thousandth of all rows, and to its place
/// within. Either way what is read or written at random stays in a second-level cache, where one
/// gather over whole columns would wait for memory at every row.
package struct SortedOrder: Sendable {
    /// Ascending.
    package private(set) var keys: [UInt64]
    /// `[keys.count]`, by row as it was: its place in the buckets.
    private var bucketPlaces: [UInt32]
    /// `[keys.count]`, by sorted row: its place in the buckets.
    private var sortedPlaces: [UInt32]
    /// Whether the rows were in order: none moves.
    private let isSorted: Bool
    private let threadCount: Int
    /// What a column is moved through, kept from column to column.
    private var words: [UInt64] = []
    private var halves: [UInt32] = []

    /// Digits of the first pass: its buckets are sorted one by one in a second-level cache.
    private static let firstBits = 10
    private static let digitBits = 8
    /// Rows that are moved by one thread at a time.
    private static let chunkRows = 1 << 18
    /// Buckets of at most so many keys are sorted by insertion.
    private static let insertionCount = 48

    /// Sorts keys, at most 2^32 - 1; equal ones stay in their order.
    ///
    /// One pass by the highest bits that differ, in parallel over chunks, then least significant
    /// digits first within each bucket. The same result for any thread count.
    /// - Complexity: O(keys × differing bits / 8).
    package init(sorting keys: [UInt64], threadCount: Int) {
        precondition(keys.count < Int(UInt32.max))
        let (low, high, isSorted) = Self.range(of: keys, threadCount)
        self.isSorted = isSorted
        self.threadCount = threadCount
        self.keys = keys
        bucketPlaces = []
        sortedPlaces = []
        if isSorted { return }
        let bits = 64 - (high - low).leadingZeroBitCount
        let shift = max(0, bits - Self.firstBits)
        let bucketCount = Int((high - low) >> UInt64(shift)) + 1
        let count = keys.count
        var moved = Self.memory(of: UInt64.self, count)
        bucketPlaces = Self.memory(of: UInt32.self, count)
        sortedPlaces = Self.memory(of: UInt32.self, count)
        moved.withUnsafeMutableBufferPointer { targets in
            let starts = keys.withUnsafeBufferPointer { source in
                bucketPlaces.withUnsafeMutableBufferPointer { places in
                    Self.scatter(source, low, shift, bucketCount, targets, places, threadCount)
                }
            }
            sortedPlaces.withUnsafeMutableBufferPointer { places in
                Self.sortBuckets(
                    targets, places, starts, low: low, bits: shift, threadCount: threadCount)
            }
        }
        self.keys = moved
    }

    /// A column in the order of the keys.
    /// - Precondition: as many values as keys.
    package mutating func reorder(_ column: [Int64]) -> [Int64] {
        Self.reorder(column, bucketPlaces, sortedPlaces, &words, threadCount, isSorted)
    }

    package mutating func reorder(_ column: [UInt32]) -> [UInt32] {
        Self.reorder(column, bucketPlaces, sortedPlaces, &halves, threadCount, isSorted)
    }

    package mutating func reorder(_ column: [Float]) -> [Float] {
        Self.reorder(column, bucketPlaces, sortedPlaces, &halves, threadCount, isSorted)
    }

    /// - Parameter buffer: of elements of the same size.
    @inline(__always)
    private static func reorder<
        Element: BitwiseCopyable & Sendable, Raw: FixedWidthInteger & BitwiseCopyable
    >(
        _ column: [Element], _ bucketPlaces: [UInt32], _ sortedPlaces: [UInt32],
        _ buffer: inout [Raw], _ threadCount: Int, _ isSorted: Bool
    ) -> [Element] {
        if isSorted { return column }
        let count = column.count
        precondition(count == bucketPlaces.count)
        precondition(MemoryLayout<Element>.stride == MemoryLayout<Raw>.stride)
        if buffer.count != count {
            buffer = memory(of: Raw.self, count)
        }
        return buffer.withUnsafeMutableBytes { raw in
            // The places are the numbers 0 ..< count, each once: chunks write apart.
            nonisolated(unsafe) let moved = raw.assumingMemoryBound(to: Element.self)
            parallelFor(count: count, chunkSize: chunkRows, threadCount: threadCount) { _, rows in
                column.withUnsafeBufferPointer { column in
                    bucketPlaces.withUnsafeBufferPointer { places in
                        for i in rows { moved[Int(places[i])] = column[i] }
                    }
                }
            }
            return parallelArray(
                count: count, chunkRows: chunkRows, threadCount: threadCount
            ) { rows, result in
                sortedPlaces.withUnsafeBufferPointer { places in
                    for i in rows { result[i - rows.lowerBound] = moved[Int(places[i])] }
                }
            }
        }
    }

    /// Numbers that are all written before they are read.
    private static func memory<Element: FixedWidthInteger & BitwiseCopyable>(
        of type: Element.Type, _ count: Int
    ) -> [Element] {
        [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
            useLargePages(buffer.baseAddress, byteCount: count * MemoryLayout<Element>.stride)
            initialized = count
        }
    }

    private static func range(
        of keys: [UInt64], _ threadCount: Int
    ) -> (low: UInt64, high: UInt64, isSorted: Bool) {
        let parts = parallelMap(
            count: keys.count, chunkSize: chunkRows, threadCount: threadCount
        ) { _, rows in
            var (low, high) = (UInt64.max, UInt64.min)
            var (isSorted, previous) = (true, rows.lowerBound > 0 ? keys[rows.lowerBound - 1] : 0)
            for row in rows {
                let key = keys[row]
                low = min(low, key)
                high = max(high, key)
                isSorted = isSorted && previous <= key
                previous = key
            }
            return (low: low, high: high, isSorted: isSorted)
        }
        return parts.reduce((UInt64.max, UInt64.min, true)) {
            (min($0.0, $1.low), max($0.1, $1.high), $0.2 && $1.isSorted)
        }
    }

    /// Moves keys to their buckets.
    /// - Returns: `[bucketCount + 1]`: where each bucket starts.
    private static func scatter(
        _ source: UnsafeBufferPointer<UInt64>, _ low: UInt64, _ shift: Int, _ bucketCount: Int,
        _ targets: UnsafeMutableBufferPointer<UInt64>,
        _ places: UnsafeMutableBufferPointer<UInt32>, _ threadCount: Int
    ) -> [Int] {
        nonisolated(unsafe) let (source, targets, places) = (source, targets, places)
        var counts = parallelMap(
            count: source.count, chunkSize: chunkRows, threadCount: threadCount
        ) { _, rows in
            var counts = [Int](repeating: 0, count: bucketCount)
            for i in rows { counts[Int((source[i] &- low) >> UInt64(shift))] += 1 }
            return counts
        }
        var starts = [0]
        var next = 0
        for bucket in 0..<bucketCount {
            for chunk in counts.indices {
                let count = counts[chunk][bucket]
                counts[chunk][bucket] = next
                next += count
            }
            starts.append(next)
        }
        parallelFor(
            count: source.count, chunkSize: chunkRows, threadCount: threadCount
        ) { [counts] chunk, rows in
            var next = counts[chunk]
            for i in rows {
                let bucket = Int((source[i] &- low) >> UInt64(shift))
                let place = next[bucket]
                next[bucket] = place + 1
                targets[place] = source[i]
                places[i] = UInt32(truncatingIfNeeded: place)
            }
        }
        return starts
    }

    private static func sortBuckets(
        _ keys: UnsafeMutableBufferPointer<UInt64>, _ places: UnsafeMutableBufferPointer<UInt32>,
        _ starts: [Int], low: UInt64, bits: Int, threadCount: Int
    ) {
        nonisolated(unsafe) let (keys, places) = (keys, places)
        var scratches = [BucketScratch](repeating: BucketScratch(), count: threadCount)
        parallelFor(count: starts.count - 1, chunkSize: 1, scratches: &scratches) {
            scratch, bucket, _ in
            let rows = starts[bucket]..<starts[bucket + 1]
            for i in rows { places[i] = UInt32(truncatingIfNeeded: i) }
            let (keys, places) = (
                UnsafeMutableBufferPointer(rebasing: keys[rows]),
                UnsafeMutableBufferPointer(rebasing: places[rows])
            )
            if bits == 0 { return }
            if rows.count <= insertionCount {
                insertionSort(keys, places)
            } else {
                scratch.sort(keys, places, low: low, bits: bits)
            }
        }
    }

    private static func insertionSort(
        _ keys: UnsafeMutableBufferPointer<UInt64>, _ places: UnsafeMutableBufferPointer<UInt32>
    ) {
        for i in keys.indices.dropFirst() {
            let (key, place) = (keys[i], places[i])
            var j = i
            while j > 0 && keys[j - 1] > key {
                keys[j] = keys[j - 1]
                places[j] = places[j - 1]
                j -= 1
            }
            keys[j] = key
            places[j] = place
        }
    }

    /// A thread's second copy of a bucket.
    private struct BucketScratch: Sendable {
        var keys: [UInt64] = []
        var places: [UInt32] = []

        mutating func sort(
            _ first: UnsafeMutableBufferPointer<UInt64>,
            _ firstPlaces: UnsafeMutableBufferPointer<UInt32>, low: UInt64, bits: Int
        ) {
            if keys.count < first.count {
                keys = [UInt64](repeating: 0, count: first.count)
                places = [UInt32](repeating: 0, count: first.count)
            }
            let count = first.count
            keys.withUnsafeMutableBufferPointer { second in
                places.withUnsafeMutableBufferPointer { secondPlaces in
                    var (source, target) = (first, second)
                    var (sourcePlaces, targetPlaces) = (firstPlaces, secondPlaces)
                    var isAway = false
                    var shift = 0
                    while shift < bits {
                        var next = InlineArray<256, Int>(repeating: 0)
                        for i in 0..<count {
                            next[
                                Int(truncatingIfNeeded: (source[i] &- low) >> UInt64(shift)) & 255] +=
                                1
                        }
                        var sum = 0
                        for digit in 0..<256 { (next[digit], sum) = (sum, sum + next[digit]) }
                        for i in 0..<count {
                            let key = source[i]
                            let digit = Int(truncatingIfNeeded: (key &- low) >> UInt64(shift)) & 255
                            let place = next[digit]
                            next[digit] = place + 1
                            target[place] = key
                            targetPlaces[place] = sourcePlaces[i]
                        }
                        swap(&source, &target)
                        swap(&sourcePlaces, &targetPlaces)
                        isAway.toggle()
                        shift += digitBits
                    }
                    if isAway {
                        for i in 0..<count {
                            first[i] = second[i]
                            firstPlaces[i] = secondPlaces[i]
                        }
                    }
                }
            }
        }
    }
}
