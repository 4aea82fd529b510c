import ByteCoding

/// The bounds of the vectors of a staged column of numbers, from which come its zones and the
/// bounds of its block.
///
/// Floats are compared as integers of the same order: their bit patterns, of negative ones the
/// lower bits turned over; so -0 is below +0 as protocol/STORE.md wants it.
struct StageBounds {
    /// A lower and an upper bound a vector; the lower one is above where no row has a value.
    private enum Pairs {
        case doubles([(Int64, Int64)])
        case floats([(Int32, Int32)])
        case integers([(Int64, Int64)])
    }

    private let pairs: Pairs
    /// Of all rows with a value that is not NaN; nil where there is none.
    let bounds: ZoneMap.Bounds?

    /// - Parameter isValid: nil where all rows have a value.
    init(integers words: [UInt64], isValid: [Bool]?) {
        let pairs: [(Int64, Int64)] = Self.pairs(words, isValid) { Int64(bitPattern: $0) }
        self.pairs = .integers(pairs)
        bounds = Self.joined(pairs).map { .int64(minimum: $0.0, maximum: $0.1) }
    }

    init(doubles words: [UInt64], isValid: [Bool]?) {
        let pairs: [(Int64, Int64)] = Self.pairs(words, isValid, isNaN: Self.isNaN) {
            let bits = Int64(bitPattern: $0)
            return bits ^ (bits >> 63 & .max)
        }
        self.pairs = .doubles(pairs)
        bounds = Self.joined(pairs).map {
            .float64(minimum: Self.double($0.0), maximum: Self.double($0.1))
        }
    }

    init(floats halves: [UInt32], isValid: [Bool]?) {
        let pairs: [(Int32, Int32)] = Self.pairs(halves, isValid, isNaN: Self.isNaN) {
            let bits = Int32(bitPattern: $0)
            return bits ^ (bits >> 31 & .max)
        }
        self.pairs = .floats(pairs)
        bounds = Self.joined(pairs).map {
            .float64(minimum: Double(Self.float($0.0)), maximum: Double(Self.float($0.1)))
        }
    }

    /// The bounds of each vector as protocol/STORE.md lays them out; nil where there is but one, the
    /// block has none or they would not let a scan skip much.
    func zones() -> ByteWriter? {
        var zones = ByteWriter()
        var widths = 0.0
        let count: Int
        switch pairs {
        case .integers(let pairs):
            count = pairs.count
            for (lower, upper) in pairs {
                zones.append(UInt64(bitPattern: lower))
                zones.append(UInt64(bitPattern: upper))
                if lower <= upper { widths += Double(upper) - Double(lower) }
            }
        case .doubles(let pairs):
            count = pairs.count
            for pair in pairs {
                let (lower, upper) =
                    pair.0 <= pair.1
                    ? (Self.double(pair.0), Self.double(pair.1)) : (.infinity, -.infinity)
                zones.append(lower)
                zones.append(upper)
                if lower <= upper { widths += upper - lower }
            }
        case .floats(let pairs):
            count = pairs.count
            for pair in pairs {
                let (lower, upper) =
                    pair.0 <= pair.1
                    ? (Self.float(pair.0), Self.float(pair.1)) : (.infinity, -.infinity)
                zones.append(lower)
                zones.append(upper)
                if lower <= upper { widths += Double(upper) - Double(lower) }
            }
        }
        let width: Double
        switch bounds {
        case .int64(let minimum, let maximum): width = Double(maximum) - Double(minimum)
        case .float64(let minimum, let maximum): width = maximum - minimum
        case .textPrefix, nil: return nil
        }
        guard count > 1, width > 0, width.isFinite, widths <= width * Double(count) * 3 / 4 else {
            return nil
        }
        return zones
    }

    private static func pairs<W: LanePattern, Key: FixedWidthInteger>(
        _ patterns: [W], _ isValid: [Bool]?, isNaN: (W) -> Bool = { _ in false },
        key: (W) -> Key
    ) -> [(Key, Key)] {
        var pairs: [(Key, Key)] = []
        pairs.reserveCapacity(Limits.blockRowCount / Limits.vectorRowCount)
        patterns.withUnsafeBufferPointer { patterns in
            for start in stride(from: 0, to: patterns.count, by: Limits.vectorRowCount) {
                let rows = start..<min(start + Limits.vectorRowCount, patterns.count)
                var pair = (Key.max, Key.min)
                var isAnyNaN = false
                if isValid == nil {
                    for row in rows {
                        let value = key(patterns[row])
                        pair.0 = min(pair.0, value)
                        pair.1 = max(pair.1, value)
                        isAnyNaN = isNaN(patterns[row]) || isAnyNaN
                    }
                }
                if isValid != nil || isAnyNaN {
                    pair = (.max, .min)
                    for row in rows where isValid?[row] ?? true && !isNaN(patterns[row]) {
                        pair = (
                            min(pair.0, key(patterns[row])), max(pair.1, key(patterns[row]))
                        )
                    }
                }
                pairs.append(pair)
            }
        }
        return pairs
    }

    private static func joined<Key: FixedWidthInteger>(_ pairs: [(Key, Key)]) -> (Key, Key)? {
        var all = (Key.max, Key.min)
        for pair in pairs { all = (min(all.0, pair.0), max(all.1, pair.1)) }
        return all.0 <= all.1 ? all : nil
    }

    private static func isNaN(_ pattern: UInt64) -> Bool { Double(bitPattern: pattern).isNaN }
    private static func isNaN(_ pattern: UInt32) -> Bool { Float(bitPattern: pattern).isNaN }

    private static func double(_ key: Int64) -> Double {
        Double(bitPattern: UInt64(bitPattern: key ^ (key >> 63 & .max)))
    }

    private static func float(_ key: Int32) -> Float {
        Float(bitPattern: UInt32(bitPattern: key ^ (key >> 31 & .max)))
    }
}

extension Array where Element == UInt64 {
    /// Appends the bit patterns of some rows.
    mutating func append<Value: BitwiseCopyable>(patternsOf values: [Value], _ rows: Range<Int>) {
        precondition(MemoryLayout<Value>.size == 8)
        values.withUnsafeBytes {
            append(contentsOf: $0.assumingMemoryBound(to: UInt64.self)[rows])
        }
    }
}

extension Array where Element == UInt32 {
    /// Appends the bit patterns of some rows.
    mutating func append(patternsOf values: [Float], _ rows: Range<Int>) {
        values.withUnsafeBytes {
            append(contentsOf: $0.assumingMemoryBound(to: UInt32.self)[rows])
        }
    }
}
