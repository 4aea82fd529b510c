// Why unsafe: keys are read from the rows of a bucket, whose ranges its collector keeps, and sorted in
// memory that is as large as the largest bucket so far.

/// Sorts a bucket; what a thread needs for it.
struct BucketSorter: Sendable {
    /// What is left of each key, and below it the number of its row within the bucket: one number
    /// to sort.
    private var keys: [UInt64] = []
    private var moved: [UInt64] = []
    /// By number within the bucket.
    private var rows: [UInt32] = []

    private static let mostDigitBits = 11
    /// Fewer are sorted by insertion.
    private static let insertionCount = 48

    /// - Parameters:
    ///   - parts: of the bucket, in the order in which they came.
    ///   - order: a place for each row.
    mutating func sort(
        _ parts: [Range<Int>], _ memory: RowMemory, into order: UnsafeMutableBufferPointer<UInt32>
    ) {
        let count = order.count
        if count == 0 { return }
        if keys.count < count {
            keys = [UInt64](repeating: 0, count: count + count / 8)
            moved = keys
            rows = [UInt32](repeating: 0, count: keys.count)
        }
        let (base, layout) = (UnsafeRawPointer(memory.base), memory.layout)
        // Of the bucket's own rows: one id far from all others, as stands for unknown customers,
        // makes buckets wide and rows no farther apart.
        var (firstLow, firstHigh, secondLow, secondHigh) = (
            Int64.max, Int64.min, Int64.max, Int64.min
        )
        for part in parts {
            for row in part {
                let place = base + row &* layout.stride
                let (first, second) = (layout.first(place), layout.second(place))
                firstLow = min(firstLow, first)
                firstHigh = max(firstHigh, first)
                secondLow = min(secondLow, second)
                secondHigh = max(secondHigh, second)
            }
        }
        let firstBits = Self.bits(firstHigh, above: firstLow)
        let secondBits = Self.bits(secondHigh, above: secondLow)
        let rowBits = 64 - (count - 1).leadingZeroBitCount
        // Bits of a key that find no room above the row.
        let dropped = max(0, firstBits + secondBits + rowBits - 64)
        keys.withUnsafeMutableBufferPointer { keys in
            rows.withUnsafeMutableBufferPointer { rows in
                var number = 0
                for part in parts {
                    for row in part {
                        let place = base + row &* layout.stride
                        let first = UInt64(bitPattern: layout.first(place) &- firstLow)
                        let second = UInt64(bitPattern: layout.second(place) &- secondLow)
                        // Shifts that give 0 where nothing is left.
                        let key =
                            dropped == 0
                            ? first &<< UInt64(secondBits & 63) | second
                            : (first << (secondBits - dropped)) | second >> dropped
                        keys[number] = key << rowBits | UInt64(number)
                        rows[number] = UInt32(truncatingIfNeeded: row)
                        number += 1
                    }
                }
                moved.withUnsafeMutableBufferPointer { moved in
                    var sorted = UnsafeMutableBufferPointer(rebasing: keys[..<count])
                    if count < Self.insertionCount {
                        Self.sortByInsertion(sorted)
                    } else {
                        let other = UnsafeMutableBufferPointer(rebasing: moved[..<count])
                        let isMoved = Self.sortByDigits(
                            sorted, other, from: rowBits,
                            to: rowBits + firstBits + secondBits - dropped)
                        if isMoved { sorted = other }
                    }
                    if dropped > 0 {
                        Self.mend(sorted, rowBits: UInt64(rowBits)) { number in
                            let place = base + Int(rows[Int(number)]) &* layout.stride
                            return (layout.first(place), layout.second(place), number)
                        }
                    }
                    let mask = (1 as UInt64) << UInt64(rowBits) - 1
                    for place in 0..<count { order[place] = rows[Int(sorted[place] & mask)] }
                }
            }
        }
    }

    /// Bits that tell numbers of this range apart.
    private static func bits(_ high: Int64, above low: Int64) -> Int {
        64 - UInt64(bitPattern: high &- low).leadingZeroBitCount
    }

    private static func sortByInsertion(_ keys: UnsafeMutableBufferPointer<UInt64>) {
        for i in keys.indices.dropFirst() {
            let key = keys[i]
            var j = i
            while j > 0 && keys[j - 1] > key {
                keys[j] = keys[j - 1]
                j -= 1
            }
            keys[j] = key
        }
    }

    /// Least significant digits first.
    /// - Returns: whether the sorted keys are in `other`.
    private static func sortByDigits(
        _ keys: UnsafeMutableBufferPointer<UInt64>, _ other: UnsafeMutableBufferPointer<UInt64>,
        from low: Int, to high: Int
    ) -> Bool {
        let passCount = (high - low + mostDigitBits - 1) / mostDigitBits
        if passCount == 0 { return false }
        let digitBits = (high - low + passCount - 1) / passCount
        let digitCount = 1 << digitBits
        let digitMask = UInt64(digitCount - 1)
        var (source, target) = (keys, other)
        var isMoved = false
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: digitCount) { next in
            for pass in 0..<passCount {
                let shift = UInt64(low + pass * digitBits)
                next.update(repeating: 0)
                for key in source { next[Int(key &>> shift & digitMask)] &+= 1 }
                if next[Int(source[0] &>> shift & digitMask)] == UInt32(source.count) { continue }
                var sum: UInt32 = 0
                for digit in 0..<digitCount { (next[digit], sum) = (sum, sum &+ next[digit]) }
                for key in source {
                    let digit = Int(key &>> shift & digitMask)
                    target[Int(next[digit])] = key
                    next[digit] &+= 1
                }
                swap(&source, &target)
                isMoved.toggle()
            }
        }
        return isMoved
    }

    /// Sorts rows whose keys differ in dropped bits alone, which stand next to each other.
    /// - Parameter key: the whole key of a row of the bucket.
    private static func mend(
        _ keys: UnsafeMutableBufferPointer<UInt64>, rowBits: UInt64,
        _ key: (UInt64) -> (Int64, Int64, UInt64)
    ) {
        let mask = (1 as UInt64) << rowBits - 1
        var start = 0
        for end in 1...keys.count
        where end == keys.count || keys[start] >> rowBits != keys[end] >> rowBits {
            if end - start > 1 {
                var part = UnsafeMutableBufferPointer(rebasing: keys[start..<end])
                part.sort { key($0 & mask) < key($1 & mask) }
            }
            start = end
        }
    }
}
