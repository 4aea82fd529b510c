/// Durations in log-linear buckets: 32 of equal width in each power of two of nanoseconds, so that a
/// bucket's middle is within 1/64 (1.6 %) of every duration in it. Below 64 ns each nanosecond has a
/// bucket of its own; 2^40 ns (18 minutes) and more count as just below that. The memory is fixed, and
/// recording takes no lock and no allocation.
///
/// Source: G. Tene, HdrHistogram, which lays its buckets out the same way.
package struct LatencyHistogram: Sendable, Equatable {
    private static let subBucketBits = 5
    private static let largestExponent = 40
    package static let bucketCount =
        (largestExponent - subBucketBits + 1) << subBucketBits

    /// How many durations fell into each bucket.
    package private(set) var buckets = [UInt64](repeating: 0, count: bucketCount)
    package private(set) var count: UInt64 = 0
    /// Of all durations, in nanoseconds.
    package private(set) var sumNanoseconds: UInt64 = 0

    package init() {}

    /// The bucket of a duration.
    static func bucket(_ nanoseconds: UInt64) -> Int {
        let value = min(nanoseconds, 1 << UInt64(largestExponent) - 1)
        guard value >= 1 << UInt64(subBucketBits) else { return Int(value) }
        let shift = 63 - value.leadingZeroBitCount - subBucketBits
        return shift << subBucketBits + Int(value >> UInt64(shift))
    }

    /// The durations of a bucket, in nanoseconds.
    static func bounds(_ bucket: Int) -> Range<UInt64> {
        let shift = max(0, bucket >> subBucketBits - 1)
        let first = UInt64(bucket - shift << subBucketBits)
        return first << UInt64(shift)..<(first + 1) << UInt64(shift)
    }

    /// Counts a duration, `times` times.
    package mutating func record(_ nanoseconds: UInt64, times: UInt64 = 1) {
        buckets[Self.bucket(nanoseconds)] &+= times
        count &+= times
        sumNanoseconds &+= nanoseconds &* times
    }

    package mutating func add(_ other: LatencyHistogram) {
        for bucket in buckets.indices { buckets[bucket] &+= other.buckets[bucket] }
        count &+= other.count
        sumNanoseconds &+= other.sumNanoseconds
    }

    /// What was recorded since an earlier state of the same histogram.
    package func since(_ earlier: LatencyHistogram) -> LatencyHistogram {
        var result = self
        for bucket in buckets.indices { result.buckets[bucket] &-= earlier.buckets[bucket] }
        result.count &-= earlier.count
        result.sumNanoseconds &-= earlier.sumNanoseconds
        return result
    }

    /// The duration in nanoseconds that a share of all durations, 0 … 1, does not exceed: the middle
    /// of the bucket that holds it. Nil where nothing was recorded.
    package func quantile(_ share: Double) -> Double? {
        guard count > 0 else { return nil }
        let rank = max(1, UInt64((Double(count) * min(max(share, 0), 1)).rounded(.up)))
        var passed: UInt64 = 0
        for bucket in buckets.indices {
            passed += buckets[bucket]
            if passed >= rank {
                let bounds = Self.bounds(bucket)
                return Double(bounds.lowerBound + bounds.upperBound - 1) / 2
            }
        }
        return nil
    }

    /// How many durations are below each of the powers of two of nanoseconds with these exponents,
    /// ascending: exact, because no bucket reaches across a power of two.
    package func counts(below exponents: ClosedRange<Int>) -> [UInt64] {
        var result: [UInt64] = []
        var passed: UInt64 = 0
        var bucket = 0
        for exponent in exponents {
            let end = min(Self.bucket(1 << UInt64(exponent)), buckets.count)
            while bucket < end {
                passed += buckets[bucket]
                bucket += 1
            }
            result.append(passed)
        }
        return result
    }

    /// The same counts in memory of their own: one that shared memory with a histogram in use would
    /// make its next recording copy all of it.
    func copy() -> LatencyHistogram {
        var result = LatencyHistogram()
        result.add(self)
        return result
    }
}
