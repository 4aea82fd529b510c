/// Distinct keys in ascending order and how often each occurs, by sorting rather than hashing: a
/// million keys of which 178,000 differ miss the cache at every probe of a table, and are then to be
/// sorted all the same.
package struct SortedKeyCounts: Sendable, Equatable {
    /// Ascending.
    package private(set) var keys: [UInt64] = []
    /// One a key; at least 1.
    package private(set) var counts: [Int] = []

    private static let chunkRows = 1 << 18
    private static let digitBits = 11

    /// Counts the keys of all rows. O(rows) for keys whose bits vary in a few places.
    /// - Parameters:
    ///   - threadCount: does not change the result.
    ///   - append: appends the keys of some rows, as many as it wants counted.
    package init(
        rowCount: Int, threadCount: Int,
        _ append: @Sendable (_ rows: Range<Int>, _ keys: inout [UInt64]) -> Void
    ) {
        var parts = parallelMap(
            count: rowCount, chunkSize: Self.chunkRows, threadCount: threadCount
        ) { _, rows in
            var keys: [UInt64] = []
            keys.reserveCapacity(rows.count)
            append(rows, &keys)
            return SortedKeyCounts(counting: keys)
        }
        while parts.count > 1 {
            let level = parts
            parts = parallelMap(
                count: (level.count + 1) / 2, chunkSize: 1, threadCount: threadCount
            ) { pair, _ in
                2 * pair + 1 < level.count
                    ? level[2 * pair].merged(with: level[2 * pair + 1]) : level[2 * pair]
            }
        }
        self = parts.first ?? SortedKeyCounts()
    }

    private init() {}

    private init(counting keys: [UInt64]) {
        for key in Self.sorted(keys) {
            if key == self.keys.last {
                counts[counts.count - 1] += 1
            } else {
                self.keys.append(key)
                counts.append(1)
            }
        }
    }

    /// Least significant digits first; digits start at a bit that is not the same in all keys.
    private static func sorted(_ keys: [UInt64]) -> [UInt64] {
        guard let first = keys.first else { return [] }
        let varying = keys.reduce(0) { $0 | ($1 ^ first) }
        var (source, target) = (keys, keys)
        var shift = varying == 0 ? 64 : varying.trailingZeroBitCount
        while shift < 64 {
            distribute(source, to: &target, byDigitAt: UInt64(shift))
            swap(&source, &target)
            let next = shift + digitBits
            guard next < 64, varying >> UInt64(next) != 0 else { break }
            shift = next + (varying >> UInt64(next)).trailingZeroBitCount
        }
        return source
    }

    private static func distribute(
        _ source: [UInt64], to target: inout [UInt64], byDigitAt shift: UInt64
    ) {
        let mask = (1 as UInt64) << UInt64(digitBits) - 1
        var places = [Int](repeating: 0, count: 1 << digitBits)
        for key in source { places[Int(key >> shift & mask)] += 1 }
        var start = 0
        for digit in places.indices {
            let count = places[digit]
            places[digit] = start
            start += count
        }
        var slots = target.mutableSpan
        for key in source {
            let digit = Int(key >> shift & mask)
            slots[places[digit]] = key
            places[digit] += 1
        }
    }

    private func merged(with other: SortedKeyCounts) -> SortedKeyCounts {
        var result = SortedKeyCounts()
        result.keys.reserveCapacity(max(keys.count, other.keys.count))
        result.counts.reserveCapacity(max(keys.count, other.keys.count))
        var (own, others) = (0, 0)
        while own < keys.count || others < other.keys.count {
            // The largest key stands for none left, but may be one.
            let left = own < keys.count ? keys[own] : .max
            let right = others < other.keys.count ? other.keys[others] : .max
            let key = min(left, right)
            var count = 0
            if left == key, own < keys.count {
                count += counts[own]
                own += 1
            }
            if right == key, others < other.keys.count {
                count += other.counts[others]
                others += 1
            }
            result.keys.append(key)
            result.counts.append(count)
        }
        return result
    }
}
