import ByteCoding

/// Finds the distinct values of a chunk, if they are few.
struct DistinctValues {
    /// More are not tried as a dictionary.
    static let limit = 4_096
    /// At most a quarter full.
    static let slotCount = 16_384
    /// How many `find` found.
    private(set) var count = 0

    /// Bytes of a dictionary of so many values.
    static func byteCount(_ count: Int, rowCount: Int, elementByteCount: Int) -> Int {
        8 + (count * elementByteCount).roundedUp(to: 8)
            + LanePacking.byteCount(
                count: rowCount, width: BitPacking.width(of: UInt64(count - 1)))
    }

    /// Finds the values, in order of first appearance, and of each row the number of its value.
    /// - Parameter costLimit: the search ends where a dictionary takes more bytes for certain.
    /// - Returns: how many there are; nil where there are too many to pay.
    mutating func find<W: LanePattern>(
        _ rows: UnsafeBufferPointer<W>, costLimit: Int, _ memory: EncodeMemory
    ) -> Int? {
        let (slots, used, values) = (memory.slots, memory.usedSlots, memory.distinct)
        for index in 0..<count { slots[Int(used[index])] = 0 }
        count = 0
        let limit = Self.limit(rows, costLimit)
        var (previous, code) = (~rows[0], UInt32(0))
        for row in rows.indices {
            let value = rows[row]
            if value != previous {
                previous = value
                let wide = UInt64(truncatingIfNeeded: value)
                var position = Int((wide &* 0x9E37_79B9_7F4A_7C15) >> 50)
                while true {
                    let number = Int(slots[position])
                    if number == 0 {
                        guard count < limit else { return nil }
                        values[count] = wide
                        used[count] = UInt16(position)
                        code = UInt32(count)
                        count += 1
                        slots[position] = UInt16(count)
                        break
                    }
                    if values[number - 1] == wide {
                        code = UInt32(number - 1)
                        break
                    }
                    position = (position + 1) & (Self.slotCount - 1)
                }
            }
            memory.codes[row] = code
        }
        return count
    }

    /// The most distinct values that can pay.
    private static func limit<W: LanePattern>(
        _ rows: UnsafeBufferPointer<W>, _ costLimit: Int
    ) -> Int {
        var range = 0..<min(limit, rows.count / 2 + 1)
        // Bytes rise with the count.
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            let byteCount = byteCount(
                middle + 1, rowCount: rows.count, elementByteCount: MemoryLayout<W>.size)
            if byteCount <= costLimit {
                range = middle + 1..<range.upperBound
            } else {
                range = range.lowerBound..<middle
            }
        }
        return range.lowerBound
    }

    /// Appends the values in ascending order and leaves the codes to pack in `memory.low`.
    func write<W: LanePattern>(
        rowCount: Int, as type: W.Type, to payload: inout ByteWriter, _ memory: EncodeMemory
    ) {
        let values = memory.distinct
        let order = (0..<count).sorted { values[$0] < values[$1] }
        // By number of first appearance; the halves of numbers are free until they are packed.
        let places = memory.high
        for (place, number) in order.enumerated() { places[number] = UInt32(place) }
        payload.append(lanes: order.map { W(truncatingIfNeeded: values[$0]) })
        payload.pad(to: 8)
        for row in 0..<rowCount { memory.low[row] = places[Int(memory.codes[row])] }
    }
}
