// Why unsafe: the memory of an encoder is its own and written by whoever encodes. An encoder is handed to
// another thread, but used by one at a time: `ChunkPress` owns it, one a thread.

import ByteCoding

/// Turns the numbers of one chunk into bytes: by the encoding of fewest bytes, where those that
/// decode slowly count some more. Grammars are in protocol/STORE.md.
final class LaneEncoder: @unchecked Sendable {
    private let rows = DirectEncoder()
    /// Of the rows of a sparse chunk that do not have the frequent value.
    private let others = DirectEncoder()

    /// Encodes numbers given as bit patterns, at least one and at most a block.
    /// - Parameters:
    ///   - isInteger: whether they are int64 and not floats.
    ///   - isHot: whether only encodings with random access may be used.
    func encode<W: LanePattern>(
        _ values: UnsafeBufferPointer<W>, isInteger: Bool, isHot: Bool = false
    ) -> (encoding: Encoding, payload: ByteWriter) {
        precondition((1...Limits.blockRowCount).contains(values.count))
        var best = EncodingPlan(raw: values)
        if let constant = rows.plan(.constant, values, isInteger, atMost: best) {
            return (.constant, write(constant, values))
        }
        let sample = BlockSample(values)
        for encoding in Self.tried {
            if isHot && !encoding.isRandomAccess || !sample.suggests(encoding) { continue }
            let other =
                encoding == .sparse
                ? sparse(values, isInteger, sample.frequent, atMost: best)
                : rows.plan(encoding, values, isInteger, atMost: best)
            if let other, other.isBetter(than: best) { best = other }
        }
        return (best.encoding, write(best, values))
    }

    /// The same of an array.
    func encode<W: LanePattern>(
        _ values: [W], isInteger: Bool, isHot: Bool
    ) -> (encoding: Encoding, payload: ByteWriter) {
        values.withUnsafeBufferPointer { encode($0, isInteger: isInteger, isHot: isHot) }
    }

    /// The bytes of one encoding, or nil where it does not fit the values or the type.
    func encode<W: LanePattern>(
        _ values: UnsafeBufferPointer<W>, isInteger: Bool, as encoding: Encoding
    ) -> ByteWriter? {
        precondition((1...Limits.blockRowCount).contains(values.count))
        let plan =
            encoding == .sparse
            ? sparse(values, isInteger, BlockSample(values).frequent, atMost: nil)
            : rows.plan(encoding, values, isInteger, atMost: nil)
        return plan.map { write($0, values) }
    }

    /// Decimals before dictionaries, because a good plan cuts the search for distinct values short.
    private static let tried: [Encoding] = [
        .packed, .decimal, .packedDelta, .packedDictionary, .runEnds, .sparse,
    ]
    private static let nested: [Encoding] = [.packed, .decimal, .packedDictionary]

    private func sparse<W: LanePattern>(
        _ values: UnsafeBufferPointer<W>, _ isInteger: Bool, _ frequent: W?,
        atMost limit: EncodingPlan<W>?
    ) -> EncodingPlan<W>? {
        guard let frequent else { return nil }
        let vectorCount = (values.count + 1_023) / 1_024
        let headCount =
            16 + (values.count + 63) / 64 * 8 + (vectorCount * 2).roundedUp(to: 8)
        if let limit, headCount * 5 / 4 > limit.cost { return nil }
        let count = rows.split(values, frequent)
        // Below a quarter the bits cost more than they save.
        guard count > 0, count < values.count / 4 * 3 else { return nil }
        let rest = rows.others(count) as UnsafeBufferPointer<W>
        var best = EncodingPlan(raw: rest)
        for encoding in Self.nested {
            if let other = others.plan(encoding, rest, isInteger, atMost: best),
                other.isBetter(than: best)
            {
                best = other
            }
        }
        return EncodingPlan(
            sparse: frequent, others: best, byteCount: headCount + best.byteCount)
    }

    private func write<W: LanePattern>(
        _ plan: EncodingPlan<W>, _ values: UnsafeBufferPointer<W>
    ) -> ByteWriter {
        var payload = ByteWriter()
        payload.reserveCapacity(plan.byteCount)
        guard case .sparse(let frequent, let encoding, let body) = plan.body else {
            rows.write(plan.body, values, to: &payload)
            return payload
        }
        let rest = rows.others(body.rowCount) as UnsafeBufferPointer<W>
        payload.append(frequent)
        payload.pad(to: 8)
        payload.append(UInt32(rest.count))
        payload.append(encoding.rawValue)
        payload.append(contentsOf: [0, 0, 0])
        rows.writeBits(rowCount: values.count, to: &payload)
        others.write(body.body, rest, to: &payload)
        return payload
    }
}

/// What an encoding would take, and what it needs to be written.
struct EncodingPlan<W: LanePattern> {
    enum Body {
        case constant
        case decimal(Decimals)
        case dictionary(width: Int)
        case packed(LaneFrame)
        case packedDelta(reference: Int64, width: Int)
        case raw
        case runEnds(count: Int, width: Int)
        case sparse(frequent: W, Encoding, Nested)
    }

    /// The plan of the others; a copy in an array of its own, because a value cannot hold itself.
    struct Nested {
        fileprivate let plans: [EncodingPlan]

        var body: Body { plans[0].body }
        var rowCount: Int { plans[0].rowCount }
    }

    let encoding: Encoding
    let rowCount: Int
    let byteCount: Int
    let body: Body

    init(_ encoding: Encoding, rowCount: Int, byteCount: Int, _ body: Body) {
        self.encoding = encoding
        self.rowCount = rowCount
        self.byteCount = byteCount
        self.body = body
    }

    init(raw values: UnsafeBufferPointer<W>) {
        self.init(
            .raw, rowCount: values.count, byteCount: values.count * MemoryLayout<W>.size, .raw)
    }

    init(sparse frequent: W, others: EncodingPlan, byteCount: Int) {
        self.init(
            .sparse, rowCount: 0, byteCount: byteCount,
            .sparse(frequent: frequent, others.encoding, Nested(plans: [others])))
    }

    /// Bytes, and the stated surcharge for the time that decoding takes.
    var cost: Int {
        switch encoding {
        case .packedDelta, .runEnds: byteCount + byteCount / 16
        case .sparse: byteCount + byteCount / 4
        default: byteCount
        }
    }

    /// Of two of one cost the one of the lower number; raw before all others.
    func isBetter(than other: EncodingPlan) -> Bool {
        cost != other.cost ? cost < other.cost : encoding.rawValue < other.encoding.rawValue
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

    init(_ values: UnsafeBufferPointer<W>) {
        var sample: [W] = []
        sample.reserveCapacity(512)
        for row in stride(from: 0, to: values.count, by: max(1, values.count / 256)) {
            sample.append(values[row])
            if row > 0 && values[row] == values[row - 1] { repeatCount += 1 }
        }
        sample.sort()
        count = sample.count
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
