import ByteCoding

/// Plans and writes the encodings that do not hold another one. What a plan finds out is kept in
/// memory of its own until the next plan of the same encoding, so that only the best is written.
final class DirectEncoder {
    private let memory = EncodeMemory()
    private var distinct = DistinctValues()

    /// - Parameter limit: a plan that is surely worse may be given up early.
    /// - Returns: nil where the encoding does not fit the values or the type, or was given up.
    func plan<W: LanePattern>(
        _ encoding: Encoding, _ values: UnsafeBufferPointer<W>, _ isInteger: Bool,
        atMost limit: EncodingPlan<W>?
    ) -> EncodingPlan<W>? {
        switch encoding {
        case .raw:
            EncodingPlan(raw: values)
        case .constant:
            values.allSatisfy { $0 == values[0] }
                ? EncodingPlan(
                    .constant, rowCount: values.count, byteCount: MemoryLayout<W>.size, .constant)
                : nil
        case .packed: isInteger ? packed(values) : nil
        case .packedDelta: isInteger ? packedDelta(values) : nil
        case .packedDictionary: dictionary(values, limit?.cost ?? .max)
        case .runEnds: runEnds(values)
        case .decimal: isInteger ? nil : decimal(values)
        case .delta, .dictionary, .frameOfReference, .runLength, .sparse: nil
        }
    }

    /// Writes a plan of this encoder for the same values.
    func write<W: LanePattern>(
        _ plan: EncodingPlan<W>.Body, _ values: UnsafeBufferPointer<W>,
        to payload: inout ByteWriter
    ) {
        switch plan {
        case .constant:
            payload.append(values[0])
        case .raw:
            payload.append(bytes: UnsafeRawBufferPointer(values))
        case .packed(let frame):
            payload.append(frame.reference)
            payload.append(UInt8(frame.width))
            payload.append(UInt8(0))
            guard let integers = integers(values).baseAddress else { return }
            frame.append(values, integers, isExact: nil, to: &payload, memory)
        case .packedDelta(let reference, let width):
            writeDelta(values, reference, width, to: &payload)
        case .dictionary(let width):
            payload.append(UInt32(distinct.count))
            payload.append(UInt8(width))
            payload.append(contentsOf: [0, 0, 0])
            distinct.write(rowCount: values.count, as: W.self, to: &payload, memory)
            LanePacking.append(count: values.count, width: width, to: &payload, memory)
        case .runEnds(let count, let width):
            payload.append(UInt32(count))
            payload.append(UInt8(width))
            payload.append(contentsOf: [0, 0, 0])
            payload.append(gathering: memory.ends, count: count, from: values, memory)
            memory.low.update(from: memory.ends, count: count)
            LanePacking.append(count: count, width: width, to: &payload, memory)
        case .decimal(let decimals):
            payload.append(decimals.frame.reference)
            payload.append(UInt8(decimals.frame.width))
            payload.append(UInt8(decimals.exponent))
            decimals.frame.append(
                values, memory.integers, isExact: decimals.areAllExact ? nil : memory.isExact,
                to: &payload, memory)
        case .sparse:
            preconditionFailure("a sparse chunk is written by its own encoder")
        }
    }

    /// The values of an int64 column: their patterns as signed numbers.
    private func integers<W: LanePattern>(
        _ values: UnsafeBufferPointer<W>
    ) -> UnsafeBufferPointer<Int64> {
        precondition(MemoryLayout<W>.size == 8)
        return UnsafeBufferPointer(
            start: UnsafeRawPointer(values.baseAddress)?.assumingMemoryBound(to: Int64.self),
            count: values.count)
    }

    private func packed<W: LanePattern>(_ values: UnsafeBufferPointer<W>) -> EncodingPlan<W> {
        let frame = LaneFrame(
            integers(values), isExact: nil, elementByteCount: 8, widthLimit: 64, memory)
        return EncodingPlan(
            .packed, rowCount: values.count, byteCount: 16 + frame.byteCount(elementByteCount: 8),
            .packed(frame))
    }

    private func decimal<W: LanePattern>(_ values: UnsafeBufferPointer<W>) -> EncodingPlan<W>? {
        guard let decimals = Decimals(values, memory) else { return nil }
        return EncodingPlan(
            .decimal, rowCount: values.count,
            byteCount: 16 + decimals.frame.byteCount(elementByteCount: MemoryLayout<W>.size),
            .decimal(decimals))
    }

    private func packedDelta<W: LanePattern>(
        _ values: UnsafeBufferPointer<W>
    ) -> EncodingPlan<W>? {
        let integers = integers(values)
        var (smallest, largest) = (Int64.max, Int64.min)
        for start in stride(from: 0, to: values.count, by: Limits.vectorRowCount) {
            let end = min(start + Limits.vectorRowCount, values.count)
            var previous = integers[start]
            for row in start + 1..<max(end, start + 1) {
                let delta = integers[row] &- previous
                previous = integers[row]
                smallest = min(smallest, delta)
                largest = max(largest, delta)
            }
        }
        guard smallest <= largest else { return nil }
        let width = BitPacking.width(of: UInt64(bitPattern: largest &- smallest))
        let vectorCount = (values.count + Limits.vectorRowCount - 1) / Limits.vectorRowCount
        return EncodingPlan(
            .packedDelta, rowCount: values.count,
            byteCount: 16 + vectorCount * 8
                + LanePacking.byteCount(count: values.count, width: width),
            .packedDelta(reference: smallest, width: width))
    }

    private func writeDelta<W: LanePattern>(
        _ values: UnsafeBufferPointer<W>, _ reference: Int64, _ width: Int,
        to payload: inout ByteWriter
    ) {
        payload.append(reference)
        payload.append(UInt64(width))
        let integers = integers(values)
        for start in stride(from: 0, to: values.count, by: Limits.vectorRowCount) {
            payload.append(integers[start])
        }
        for row in 1..<max(1, values.count) {
            let number = integers[row] &- integers[row - 1] &- reference
            memory.low[row] = UInt32(truncatingIfNeeded: number)
            memory.high[row] = UInt32(truncatingIfNeeded: number >> 32)
        }
        for start in stride(from: 0, to: values.count, by: Limits.vectorRowCount) {
            memory.low[start] = 0
            memory.high[start] = 0
        }
        LanePacking.append(count: values.count, width: width, to: &payload, memory)
    }

    private func dictionary<W: LanePattern>(
        _ values: UnsafeBufferPointer<W>, _ limit: Int
    ) -> EncodingPlan<W>? {
        guard let count = distinct.find(values, costLimit: limit, memory) else {
            return nil
        }
        return EncodingPlan(
            .packedDictionary, rowCount: values.count,
            byteCount: DistinctValues.byteCount(
                count, rowCount: values.count, elementByteCount: MemoryLayout<W>.size),
            .dictionary(width: BitPacking.width(of: UInt64(count - 1))))
    }

    private func runEnds<W: LanePattern>(
        _ values: UnsafeBufferPointer<W>
    ) -> EncodingPlan<W>? {
        var count = 0
        let ends = memory.ends
        for row in values.indices.dropLast() {
            // Written in any case and kept only then: no branch.
            ends[count] = UInt32(truncatingIfNeeded: row)
            count += values[row] != values[row + 1] ? 1 : 0
        }
        ends[count] = UInt32(values.count - 1)
        count += 1
        // Runs of two rows on average never pay.
        if count > values.count / 2 + 1 { return nil }
        let width = BitPacking.width(of: UInt64(values.count - 1))
        return EncodingPlan(
            .runEnds, rowCount: values.count,
            byteCount: 8 + (count * MemoryLayout<W>.size).roundedUp(to: 8)
                + LanePacking.byteCount(count: count, width: width),
            .runEnds(count: count, width: width))
    }
}

// The bits and the others of a sparse chunk.
extension DirectEncoder {
    /// Sets a bit for each row with another value and keeps these values.
    /// - Returns: how many there are.
    func split<W: LanePattern>(_ values: UnsafeBufferPointer<W>, _ frequent: W) -> Int {
        let others = memory.others.bindMemory(to: W.self, capacity: Limits.blockRowCount + 1)
        var count = 0
        for start in stride(from: 0, to: values.count, by: 64) {
            var word: UInt64 = 0
            for row in start..<min(start + 64, values.count) {
                let isOther = values[row] != frequent
                others[count] = values[row]
                count += isOther ? 1 : 0
                word |= (isOther ? 1 : 0) &<< UInt64(row & 63)
            }
            memory.bits[start / 64] = word
        }
        return count
    }

    /// The values that `split` kept.
    func others<W: LanePattern>(_ count: Int) -> UnsafeBufferPointer<W> {
        UnsafeBufferPointer(
            start: UnsafePointer(memory.others.assumingMemoryBound(to: W.self)), count: count)
    }

    /// Appends the bits and the ranks of the vectors.
    func writeBits(rowCount: Int, to payload: inout ByteWriter) {
        let words = UnsafeBufferPointer(start: memory.bits, count: (rowCount + 63) / 64)
        payload.append(bytes: UnsafeRawBufferPointer(words))
        var rank = 0
        for (index, word) in words.enumerated() {
            if index % 16 == 0 { payload.append(UInt16(rank)) }
            rank += word.nonzeroBitCount
        }
        payload.pad(to: 8)
    }
}

extension ByteWriter {
    /// Appends the values of some rows and pads to 8.
    mutating func append<W: LanePattern, Row: FixedWidthInteger>(
        gathering rows: UnsafePointer<Row>, count: Int, from values: UnsafeBufferPointer<W>,
        _ memory: EncodeMemory
    ) {
        let gathered = memory.packed.bindMemory(to: W.self, capacity: Limits.blockRowCount)
        for index in 0..<count { gathered[index] = values[Int(rows[index])] }
        append(
            bytes: UnsafeRawBufferPointer(UnsafeBufferPointer(start: gathered, count: count)))
        pad(to: 8)
    }
}
