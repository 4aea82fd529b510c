import ByteCoding

/// Turns the values of one chunk into bytes as version 1 does, by the encoding that takes the fewest.
struct ChunkEncoder {
    /// More distinct values than this are not tried as a dictionary of fixed-width values.
    private static let dictionaryLimit = 4_096
    private var table = [UInt16](repeating: 0, count: 16_384)
    private var tablePositions: [Int] = []

    /// Encodes fixed-width values given as bit patterns, at least one.
    /// - Parameter isInteger: whether frame of reference and delta may be used (`W` is UInt64).
    mutating func encode<W: FixedWidthInteger & UnsignedInteger & BitwiseCopyable & Sendable>(
        _ values: [W], isInteger: Bool
    ) -> (encoding: Encoding, payload: ByteWriter) {
        let size = MemoryLayout<W>.size
        let runs = Runs(values)
        if runs.values.count == 1 {
            var payload = ByteWriter()
            payload.append(values[0])
            return (.constant, payload)
        }
        var best = (encoding: Encoding.raw, byteCount: values.count * size)
        func consider(_ encoding: Encoding, _ byteCount: Int) {
            if byteCount < best.byteCount { best = (encoding, byteCount) }
        }
        let statistics = isInteger ? IntegerStatistics(values) : nil
        if let statistics {
            consider(.frameOfReference, statistics.frameByteCount)
            consider(.delta, statistics.deltaByteCount)
        }
        consider(.runLength, runs.byteCount)
        let dictionary = distinct(values)
        if let dictionary {
            consider(.dictionary, Self.dictionaryByteCount(dictionary, values.count))
        }
        var payload = ByteWriter()
        switch best.encoding {
        case .frameOfReference: statistics?.appendFrame(values, to: &payload)
        case .delta: statistics?.appendDelta(values, to: &payload)
        case .runLength: runs.append(to: &payload)
        case .dictionary: appendDictionary(dictionary ?? [], values, to: &payload)
        default: payload.append(lanes: values)
        }
        return (best.encoding, payload)
    }

    private static func dictionaryByteCount<W: FixedWidthInteger>(
        _ dictionary: [W], _ count: Int
    ) -> Int {
        let width = BitPacking.width(of: UInt64(dictionary.count - 1))
        return 8 + (dictionary.count * MemoryLayout<W>.size).roundedUp(to: 8)
            + BitPacking.wordCount(count: count, width: width) * 8
    }

    /// The distinct values in order of first appearance, or nil where there are too many.
    private mutating func distinct<W: FixedWidthInteger>(_ values: [W]) -> [W]? {
        for position in tablePositions { table[position] = 0 }
        tablePositions.removeAll(keepingCapacity: true)
        var distinct: [W] = []
        var previous: W?
        for value in values where value != previous {
            previous = value
            var position = Self.position(value)
            while true {
                let number = Int(table[position])
                if number == 0 {
                    guard distinct.count < Self.dictionaryLimit else { return nil }
                    distinct.append(value)
                    table[position] = UInt16(distinct.count)
                    tablePositions.append(position)
                    break
                }
                if distinct[number - 1] == value { break }
                position = (position + 1) & 16_383
            }
        }
        return distinct
    }

    private static func position<W: FixedWidthInteger>(_ value: W) -> Int {
        let mixed = UInt64(truncatingIfNeeded: value) &* 0x9E37_79B9_7F4A_7C15
        return Int(mixed >> 50)
    }

    private func appendDictionary<W: FixedWidthInteger & BitwiseCopyable>(
        _ distinct: [W], _ values: [W], to payload: inout ByteWriter
    ) {
        let order = distinct.indices.sorted { distinct[$0] < distinct[$1] }
        var rank = [UInt64](repeating: 0, count: distinct.count)
        for (position, number) in order.enumerated() { rank[number] = UInt64(position) }
        let codes = values.map { value in
            var position = Self.position(value)
            while distinct[Int(table[position]) - 1] != value {
                position = (position + 1) & 16_383
            }
            return rank[Int(table[position]) - 1]
        }
        let width = BitPacking.width(of: UInt64(distinct.count - 1))
        payload.append(UInt32(distinct.count))
        payload.append(UInt8(width))
        payload.append(contentsOf: [0, 0, 0])
        payload.append(lanes: order.map { distinct[$0] })
        payload.pad(to: 8)
        payload.append(lanes: BitPacking.pack(codes, width: width))
    }
}

/// Maximal runs of equal values.
private struct Runs<W: FixedWidthInteger & BitwiseCopyable> {
    private(set) var values: [W] = []
    /// Rows of each run, less one.
    private var excessLengths: [UInt64] = []
    private var longest: UInt64 = 0

    init(_ rows: [W]) {
        for row in rows {
            if row == values.last {
                excessLengths[excessLengths.count - 1] += 1
                longest = max(longest, excessLengths[excessLengths.count - 1])
            } else {
                values.append(row)
                excessLengths.append(0)
            }
        }
    }

    private var lengthWidth: Int { BitPacking.width(of: longest) }

    var byteCount: Int {
        8 + (values.count * MemoryLayout<W>.size).roundedUp(to: 8)
            + BitPacking.wordCount(count: values.count, width: lengthWidth) * 8
    }

    func append(to payload: inout ByteWriter) {
        payload.append(UInt32(values.count))
        payload.append(UInt8(lengthWidth))
        payload.append(contentsOf: [0, 0, 0])
        payload.append(lanes: values)
        payload.pad(to: 8)
        payload.append(lanes: BitPacking.pack(excessLengths, width: lengthWidth))
    }
}

/// Ranges of int64 values and of their differences, in wrapping arithmetic.
private struct IntegerStatistics {
    private let count: Int
    private var minimum = Int64.max
    private var maximum = Int64.min
    private var minimumDelta = Int64.max
    private var maximumDelta = Int64.min

    init<W: FixedWidthInteger>(_ values: [W]) {
        count = values.count
        var previous: Int64?
        for pattern in values {
            let value = Int64(truncatingIfNeeded: pattern)
            minimum = min(minimum, value)
            maximum = max(maximum, value)
            if let previous {
                let delta = value &- previous
                minimumDelta = min(minimumDelta, delta)
                maximumDelta = max(maximumDelta, delta)
            }
            previous = value
        }
        if count < 2 {
            minimumDelta = 0
            maximumDelta = 0
        }
    }

    private var frameWidth: Int {
        BitPacking.width(of: UInt64(bitPattern: maximum &- minimum))
    }

    private var deltaWidth: Int {
        BitPacking.width(of: UInt64(bitPattern: maximumDelta &- minimumDelta))
    }

    var frameByteCount: Int { 16 + BitPacking.wordCount(count: count, width: frameWidth) * 8 }

    var deltaByteCount: Int { 24 + BitPacking.wordCount(count: count - 1, width: deltaWidth) * 8 }

    func appendFrame<W: FixedWidthInteger>(_ values: [W], to payload: inout ByteWriter) {
        payload.append(minimum)
        payload.append(UInt64(frameWidth))
        let reference = UInt64(bitPattern: minimum)
        payload.append(
            lanes: BitPacking.pack(
                values.map { UInt64(truncatingIfNeeded: $0) &- reference }, width: frameWidth))
    }

    func appendDelta<W: FixedWidthInteger>(_ values: [W], to payload: inout ByteWriter) {
        payload.append(UInt64(truncatingIfNeeded: values[0]))
        payload.append(minimumDelta)
        payload.append(UInt64(deltaWidth))
        let reference = UInt64(bitPattern: minimumDelta)
        var previous = UInt64(truncatingIfNeeded: values[0])
        let deltas = values.dropFirst().map { pattern in
            let value = UInt64(truncatingIfNeeded: pattern)
            defer { previous = value }
            return value &- previous &- reference
        }
        payload.append(lanes: BitPacking.pack(deltas, width: deltaWidth))
    }
}

extension ChunkEncoder {
    /// Encodes texts given as numbers into an interner's distinct texts (in order of first
    /// appearance, rows without a value aside).
    /// - Parameter isValid: nil where every row has a value; a row without one is written as the
    ///   code of the row before (0 at the start), or as an empty text.
    static func encodeTexts(
        codes: [UInt32], isValid: [Bool]?, interner: TextInterner, _ version: SegmentVersion
    ) -> (encoding: Encoding, payload: ByteWriter) {
        let lengths = (0..<interner.count).map {
            UInt64(interner.offsets[$0 + 1] - interner.offsets[$0])
        }
        let lengthWidth = BitPacking.width(of: lengths.max() ?? 0)
        let codeWidth = BitPacking.width(of: UInt64(max(1, interner.count) - 1))
        var rowByteCount = 0
        for row in codes.indices where isValid?[row] ?? true {
            rowByteCount += Int(lengths[Int(codes[row])])
        }
        let rawByteCount =
            16 + BitPacking.wordCount(count: codes.count, width: lengthWidth) * 8
            + rowByteCount.roundedUp(to: 8)
        let codeByteCount =
            version == .one
            ? BitPacking.wordCount(count: codes.count, width: codeWidth) * 8
            : LanePacking.byteCount(count: codes.count, width: codeWidth)
        let dictionaryByteCount =
            16 + BitPacking.wordCount(count: interner.count, width: lengthWidth) * 8
            + interner.bytes.count.roundedUp(to: 8)
            + codeByteCount
        var payload = ByteWriter()
        if dictionaryByteCount < rawByteCount {
            payload.append(UInt32(interner.count))
            payload.append(UInt8(codeWidth))
            payload.append(UInt8(lengthWidth))
            payload.append(UInt16(0))
            payload.append(UInt64(interner.bytes.count))
            payload.append(lanes: BitPacking.pack(lengths, width: lengthWidth))
            payload.append(contentsOf: interner.bytes)
            payload.pad(to: 8)
            let filled = filled(codes, isValid)
            if version == .one {
                payload.append(
                    lanes: BitPacking.pack(filled.map(UInt64.init), width: codeWidth))
                return (.dictionary, payload)
            }
            payload.append(contentsOf: LanePacking.pack(filled, width: codeWidth))
            return (.packedDictionary, payload)
        }
        payload.append(UInt8(lengthWidth))
        payload.append(contentsOf: [0, 0, 0, 0, 0, 0, 0])
        payload.append(UInt64(rowByteCount))
        let rowLengths = codes.indices.map { row in
            isValid?[row] ?? true ? lengths[Int(codes[row])] : 0
        }
        payload.append(lanes: BitPacking.pack(rowLengths, width: lengthWidth))
        for row in codes.indices where isValid?[row] ?? true {
            let code = Int(codes[row])
            payload.append(
                contentsOf: interner.bytes[interner.offsets[code]..<interner.offsets[code + 1]])
        }
        payload.pad(to: 8)
        return (.raw, payload)
    }

    private static func filled(_ codes: [UInt32], _ isValid: [Bool]?) -> [UInt32] {
        guard let isValid else { return codes }
        var previous: UInt32 = 0
        return codes.indices.map { row in
            if isValid[row] { previous = codes[row] }
            return previous
        }
    }
}
