import ByteCoding

/// Turns the numbers of one chunk into bytes as version 2 does: by the encoding of fewest bytes,
/// where those that decode slowly count some more. Grammars are in protocol/STORE.md.
struct LaneEncoder {
    private var distinct = DistinctValues()

    /// Encodes numbers given as bit patterns, at least one.
    /// - Parameters:
    ///   - isInteger: whether they are int64 and not floats.
    ///   - isHot: whether only encodings with random access may be used.
    mutating func encode<W: LanePattern>(
        _ values: [W], isInteger: Bool, isHot: Bool = false
    ) -> (encoding: Encoding, payload: ByteWriter) {
        var best = Candidate.raw(values)
        let sample = BlockSample(values)
        for encoding in Self.tried {
            if isHot && !encoding.isRandomAccess || !sample.suggests(encoding) { continue }
            guard let other = candidate(encoding, values, isInteger), other.cost < best.cost else {
                continue
            }
            best = other
            if encoding == .constant { break }
        }
        return (best.encoding, best.write())
    }

    /// The bytes of one encoding, or nil where it does not fit the values or the type.
    mutating func encode<W: LanePattern>(
        _ values: [W], isInteger: Bool, as encoding: Encoding
    ) -> ByteWriter? { candidate(encoding, values, isInteger)?.write() }

    private static let tried: [Encoding] = [
        .constant, .packed, .packedDelta, .packedDictionary, .runEnds, .decimal, .sparse,
    ]

    /// What an encoding would take, and how to write it.
    private struct Candidate {
        let encoding: Encoding
        let byteCount: Int
        let write: () -> ByteWriter

        /// Bytes, and the stated surcharge for the time that decoding takes.
        var cost: Int {
            switch encoding {
            case .packedDelta, .runEnds: byteCount + byteCount / 16
            case .sparse: byteCount + byteCount / 4
            default: byteCount
            }
        }

        static func raw<W: LanePattern>(_ values: [W]) -> Candidate {
            Candidate(encoding: .raw, byteCount: values.count * MemoryLayout<W>.size) {
                var payload = ByteWriter()
                payload.append(lanes: values)
                return payload
            }
        }
    }

    private mutating func candidate<W: LanePattern>(
        _ encoding: Encoding, _ values: [W], _ isInteger: Bool
    ) -> Candidate? {
        switch encoding {
        case .raw: return .raw(values)
        case .constant: return Self.constant(values)
        case .packed: return isInteger ? Self.packed(values) : nil
        case .packedDelta: return isInteger ? Self.packedDelta(values) : nil
        case .packedDictionary: return dictionary(values)
        case .runEnds: return Self.runEnds(values)
        case .decimal: return isInteger ? nil : Self.decimal(values)
        case .sparse: return sparse(values, isInteger)
        case .delta, .dictionary, .frameOfReference, .runLength: return nil
        }
    }

    private static func constant<W: LanePattern>(_ values: [W]) -> Candidate? {
        let first = values[0]
        guard values.allSatisfy({ $0 == first }) else { return nil }
        return Candidate(encoding: .constant, byteCount: MemoryLayout<W>.size) {
            var payload = ByteWriter()
            payload.append(first)
            return payload
        }
    }

    private static func packed<W: LanePattern>(_ values: [W]) -> Candidate {
        let integers = values.map { Int64(truncatingIfNeeded: $0) }
        let frame = LaneFrame(integers, elementByteCount: 8, widthLimit: 64)
        return Candidate(
            encoding: .packed, byteCount: 16 + frame.byteCount(elementByteCount: 8)
        ) {
            var payload = ByteWriter()
            payload.append(frame.reference)
            payload.append(UInt8(frame.width))
            payload.append(UInt8(0))
            frame.append(values, integers, exponent: nil, to: &payload)
            return payload
        }
    }

    private static func packedDelta<W: LanePattern>(_ values: [W]) -> Candidate? {
        var (smallest, largest) = (Int64.max, Int64.min)
        for row in 1..<max(1, values.count) where row % 1_024 != 0 {
            let delta = Int64(truncatingIfNeeded: values[row] &- values[row - 1])
            smallest = min(smallest, delta)
            largest = max(largest, delta)
        }
        guard smallest <= largest else { return nil }
        let reference = smallest
        let width = BitPacking.width(of: UInt64(bitPattern: largest &- smallest))
        let byteCount =
            16 + (values.count + 1_023) / 1_024 * 8
            + LanePacking.byteCount(count: values.count, width: width)
        return Candidate(encoding: .packedDelta, byteCount: byteCount) {
            var payload = ByteWriter()
            payload.append(reference)
            payload.append(UInt64(width))
            for row in stride(from: 0, to: values.count, by: 1_024) {
                payload.append(UInt64(truncatingIfNeeded: values[row]))
            }
            let numbers = values.indices.map { row -> UInt64 in
                if row % 1_024 == 0 { return 0 }
                return UInt64(truncatingIfNeeded: values[row] &- values[row - 1])
                    &- UInt64(bitPattern: reference)
            }
            payload.append(contentsOf: LanePacking.pack(numbers, width: width))
            return payload
        }
    }

    private mutating func dictionary<W: LanePattern>(_ values: [W]) -> Candidate? {
        guard let sorted = distinct.sorted(values) else { return nil }
        let width = BitPacking.width(of: UInt64(sorted.count - 1))
        let byteCount =
            8 + (sorted.count * MemoryLayout<W>.size).roundedUp(to: 8)
            + LanePacking.byteCount(count: values.count, width: width)
        return Candidate(encoding: .packedDictionary, byteCount: byteCount) {
            var payload = ByteWriter()
            payload.append(UInt32(sorted.count))
            payload.append(UInt8(width))
            payload.append(contentsOf: [0, 0, 0])
            payload.append(lanes: sorted)
            payload.pad(to: 8)
            let codes = values.map { UInt64(sorted.firstIndex(atLeast: $0)) }
            payload.append(contentsOf: LanePacking.pack(codes, width: width))
            return payload
        }
    }

    private static func runEnds<W: LanePattern>(_ values: [W]) -> Candidate {
        var ends: [UInt64] = []
        for row in values.indices where row + 1 == values.count || values[row] != values[row + 1] {
            ends.append(UInt64(row))
            // Runs of two rows on average never pay.
            if ends.count > values.count / 2 + 1 { return raw(values) }
        }
        let width = BitPacking.width(of: UInt64(values.count - 1))
        let byteCount =
            8 + (ends.count * MemoryLayout<W>.size).roundedUp(to: 8)
            + LanePacking.byteCount(count: ends.count, width: width)
        return Candidate(encoding: .runEnds, byteCount: byteCount) {
            var payload = ByteWriter()
            payload.append(UInt32(ends.count))
            payload.append(UInt8(width))
            payload.append(contentsOf: [0, 0, 0])
            payload.append(lanes: ends.map { values[Int($0)] })
            payload.pad(to: 8)
            payload.append(contentsOf: LanePacking.pack(ends, width: width))
            return payload
        }
    }

    private static func raw<W: LanePattern>(_ values: [W]) -> Candidate { .raw(values) }

    private static func decimal<W: LanePattern>(_ values: [W]) -> Candidate? {
        guard let decimals = Decimals(values) else { return nil }
        let size = MemoryLayout<W>.size
        let frame = decimals.frame
        return Candidate(
            encoding: .decimal, byteCount: 16 + frame.byteCount(elementByteCount: size)
        ) {
            var payload = ByteWriter()
            payload.append(frame.reference)
            payload.append(UInt8(frame.width))
            payload.append(UInt8(decimals.exponent))
            frame.append(values, decimals.integers, exponent: decimals.exponent, to: &payload)
            return payload
        }
    }

    private mutating func sparse<W: LanePattern>(
        _ values: [W], _ isInteger: Bool
    ) -> Candidate? {
        guard let frequent = BlockSample(values).frequent else { return nil }
        let others = values.filter { $0 != frequent }
        // Below a quarter the bits cost more than they save.
        guard !others.isEmpty, others.count < values.count / 4 * 3 else { return nil }
        var best = Candidate.raw(others)
        for encoding in Self.tried where encoding.isNestable {
            if let other = candidate(encoding, others, isInteger), other.cost < best.cost {
                best = other
            }
        }
        let vectorCount = (values.count + 1_023) / 1_024
        let byteCount =
            16 + (values.count + 63) / 64 * 8 + (vectorCount * 2).roundedUp(to: 8)
            + best.byteCount
        let body = best
        return Candidate(encoding: .sparse, byteCount: byteCount) {
            var payload = ByteWriter()
            payload.append(frequent)
            payload.pad(to: 8)
            payload.append(UInt32(others.count))
            payload.append(body.encoding.rawValue)
            payload.append(contentsOf: [0, 0, 0])
            let bits = values.map { $0 == frequent ? 0 : 1 as UInt64 }
            payload.append(lanes: BitPacking.pack(bits, width: 1))
            var rank = 0
            for row in values.indices {
                if row % 1_024 == 0 { payload.append(UInt16(rank)) }
                rank += Int(bits[row])
            }
            payload.pad(to: 8)
            payload.append(contentsOf: body.write().bytes)
            return payload
        }
    }
}

/// 256 rows of a block, which say what is worth trying.
private struct BlockSample<W: LanePattern> {
    /// The value that more than a quarter of the sample has; nil where there is none.
    private(set) var frequent: W?
    private var distinctCount = 0
    /// Rows that repeat the row before.
    private var repeatCount = 0
    private let count: Int

    init(_ values: [W]) {
        let rows = stride(from: 0, to: values.count, by: max(1, values.count / 256))
        let sample = rows.map { values[$0] }.sorted()
        count = sample.count
        for row in rows where row > 0 && values[row] == values[row - 1] { repeatCount += 1 }
        var best = 0
        var start = 0
        for index in sample.indices
        where index + 1 == sample.count || sample[index] != sample[index + 1] {
            distinctCount += 1
            if index + 1 - start > best {
                best = index + 1 - start
                frequent = sample[index]
            }
            start = index + 1
        }
        if best * 4 <= sample.count { frequent = nil }
    }

    /// Leaves out what the sample rules out: a dictionary where nearly all differ (of 4,096 values a
    /// sample of 256 has 248), runs where few rows repeat.
    func suggests(_ encoding: Encoding) -> Bool {
        switch encoding {
        case .packedDictionary: count < 256 || distinctCount <= 250
        case .runEnds: count < 256 || repeatCount * 4 >= count
        case .sparse: frequent != nil
        default: true
        }
    }
}

extension Array where Element: Comparable {
    /// The first element of a sorted array that is not below a value.
    fileprivate func firstIndex(atLeast value: Element) -> Int {
        var range = 0..<count
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            if self[middle] < value {
                range = middle + 1..<range.upperBound
            } else {
                range = range.lowerBound..<middle
            }
        }
        return range.lowerBound
    }
}

/// Finds the distinct values of a chunk, if they are few.
private struct DistinctValues {
    /// More are not tried as a dictionary.
    private static let limit = 4_096
    private var table = [UInt16](repeating: 0, count: 16_384)
    private var used: [Int] = []

    /// The distinct values in ascending order, or nil where there are too many to pay.
    mutating func sorted<W: LanePattern>(_ values: [W]) -> [W]? {
        for position in used { table[position] = 0 }
        used.removeAll(keepingCapacity: true)
        var distinct: [W] = []
        var previous: W?
        for value in values where value != previous {
            previous = value
            var position = Int(
                (UInt64(truncatingIfNeeded: value) &* 0x9E37_79B9_7F4A_7C15) >> 50)
            while true {
                let number = Int(table[position])
                if number == 0 {
                    guard distinct.count < min(Self.limit, values.count / 2 + 1) else { return nil }
                    distinct.append(value)
                    table[position] = UInt16(distinct.count)
                    used.append(position)
                    break
                }
                if distinct[number - 1] == value { break }
                position = (position + 1) & 16_383
            }
        }
        return distinct.sorted()
    }
}
