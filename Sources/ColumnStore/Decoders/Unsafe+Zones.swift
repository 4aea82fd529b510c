/// The bounds of the vectors of a chunk. Non-owning: the pairs lie in the bytes of the chunk.
struct Zones<Pattern: LanePattern> {
    /// Pairs of a lower and an upper bound.
    private let pairs: UnsafeRawPointer
    private let isInteger: Bool

    /// Reads the zones and checks that together they span the bounds of the chunk.
    init(parsing bytes: inout ChunkBytes, _ zone: ZoneMap, isInteger: Bool) throws(ChunkFlaw) {
        let vectorCount = (zone.rowCount + Limits.vectorRowCount - 1) / Limits.vectorRowCount
        pairs = try bytes.part(vectorCount * 2 * MemoryLayout<Pattern>.size)
        self.isInteger = isInteger
        let isSound: Bool
        switch zone.bounds {
        case .int64(let minimum, let maximum):
            var (lower, upper) = (Int64.max, Int64.min)
            var isOrdered = true
            for vector in 0..<vectorCount {
                let (low, high) = integers(vector)
                isOrdered = isOrdered && (low <= high || (low == .max && high == .min))
                (lower, upper) = (min(lower, low), max(upper, high))
            }
            isSound = isOrdered && lower == minimum && upper == maximum
        case .float64(let minimum, let maximum):
            var (lower, upper) = (Double.infinity, -Double.infinity)
            var isOrdered = true
            for vector in 0..<vectorCount {
                let (low, high) = floats(vector)
                isOrdered =
                    isOrdered && (low <= high || (low == .infinity && high == -.infinity))
                if low.isTotallyOrdered(belowOrEqualTo: lower) { lower = low }
                if upper.isTotallyOrdered(belowOrEqualTo: high) { upper = high }
            }
            isSound =
                isOrdered && lower.bitPattern == minimum.bitPattern
                && upper.bitPattern == maximum.bitPattern
        case .textPrefix, nil:
            isSound = false
        }
        guard isSound else {
            throw ChunkFlaw(reason: "the zones of a chunk do not span its bounds")
        }
    }

    /// The bounds of an int64 vector; the lower one is above the upper one where no row has a value.
    func integers(_ vector: Int) -> (lower: Int64, upper: Int64) {
        (
            Int64(truncatingIfNeeded: pattern(2 * vector)),
            Int64(truncatingIfNeeded: pattern(2 * vector + 1))
        )
    }

    /// The bounds of a vector of floats.
    func floats(_ vector: Int) -> (lower: Double, upper: Double) {
        (float(pattern(2 * vector)), float(pattern(2 * vector + 1)))
    }

    private func pattern(_ index: Int) -> Pattern {
        pairs.loadUnaligned(
            fromByteOffset: index * MemoryLayout<Pattern>.size, as: Pattern.self)
    }

    private func float(_ pattern: Pattern) -> Double {
        MemoryLayout<Pattern>.size == 4
            ? Double(Float(bitPattern: UInt32(truncatingIfNeeded: pattern)))
            : Double(bitPattern: UInt64(truncatingIfNeeded: pattern))
    }
}
