package import ByteCoding

/// Finds the row of a customer or product id: open addressing over `StableHash`, every hit
/// verified against the id itself.
///
/// Arrays in an array file, each name after a prefix:
/// ```
/// .slots      u64 [power of two >= 2 * rows, at least 2]
///             high 32 bits: high half of the id's hash; low 32 bits: row; all ones: empty.
///             A search starts at hash & (slots - 1) and goes on by one, wrapping, to an empty slot
/// .ids        i64 [rows]                  integer ids, or
/// .idOffsets  u64 [rows + 1] and
/// .idBytes    u8  [bytes]                 text ids: row i is bytes[offsets[i] ..< offsets[i + 1]]
/// ```
/// Probes allocate nothing. Contents are not verified beyond the array file's checksums: with
/// arrays that a writer here did not make an id may be missed, never a bound.
package struct IDIndex: Sendable {
    /// The row number that stands for "no such id" in batches.
    package static let absent = UInt32.max

    /// Rows, which is also the number of ids.
    package let count: Int
    private let slots: MappedArray<UInt64>
    private let mask: UInt64
    /// Whether the ids are texts.
    package let holdsTexts: Bool
    // One of the two kinds is empty. Not an enum: taking its payload out costs two atomic counts
    // a probe, which also keep the cache misses of neighbouring probes from overlapping.
    private let integerIDs: MappedArray<Int64>
    private let idOffsets: MappedArray<UInt64>
    private let idBytes: MappedArray<UInt8>

    /// Opens the index whose arrays' names start with `prefix`; takes constant time.
    package init(reading file: ArrayFile, prefix: String = "index") throws(StoreError) {
        slots = try file.array("\(prefix).slots", of: UInt64.self, shape: [-1])
        mask = UInt64(slots.count) &- 1
        if file.entry("\(prefix).ids") != nil {
            holdsTexts = false
            integerIDs = try file.array("\(prefix).ids", of: Int64.self, shape: [-1])
            idOffsets = try file.noElements()
            idBytes = try file.noElements()
            count = integerIDs.count
        } else {
            holdsTexts = true
            integerIDs = try file.noElements()
            idOffsets = try file.array("\(prefix).idOffsets", of: UInt64.self, shape: [-1])
            idBytes = try file.array("\(prefix).idBytes", of: UInt8.self, shape: [-1])
            count = idOffsets.count - 1
        }
        guard count >= 0, count <= Limits.indexRowCount, slots.count > count,
            slots.count.nonzeroBitCount == 1
        else {
            throw .corrupt(
                path: file.path, byteOffset: file.entry("\(prefix).slots")?.byteOffset ?? 0,
                reason: "an index of \(slots.count) slots does not fit \(count) ids")
        }
    }

    /// The row of an integer id; nil for an unknown one and where the ids are texts.
    package func find(integer id: Int64) -> Int? {
        let row = slots.withSpan { slots in
            integerIDs.withSpan { Self.probe(id, StableHash.hash(id), slots, $0, mask) }
        }
        return row == Self.absent ? nil : Int(row)
    }

    /// The row of a text id given as UTF-8; nil for an unknown one and where the ids are integers.
    package func find(utf8 id: RawSpan) -> Int? {
        guard holdsTexts else { return nil }
        let row = slots.withSpan { slots in
            idOffsets.withSpan { offsets in
                idBytes.withSpan {
                    Self.probe(id, StableHash.hash(id), slots, offsets, $0, mask)
                }
            }
        }
        return row == Self.absent ? nil : Int(row)
    }

    package func find(utf8 id: [UInt8]) -> Int? { find(utf8: id.span.bytes) }

    package func find(_ id: EntityID) -> Int? {
        switch id {
        case .integer(let value): find(integer: value)
        case .text(let value): find(utf8: Array(value.utf8))
        }
    }

    /// Finds many integer ids; a row is `absent` where there is none.
    ///
    /// The cache misses of some forty ids overlap (Unsafe+IDProbe.swift).
    /// - Precondition: `rows` is as long as `integers`.
    package func find(integers: Span<Int64>, rows: inout MutableSpan<UInt32>) {
        precondition(integers.count == rows.count, "one row number an id")
        slots.withSpan { slots in
            integerIDs.withSpan { values in
                Self.probe(integers, &rows, slots, values, mask)
            }
        }
    }

    /// Finds many text ids, their cache misses overlapping; a row is `absent` where there is none.
    package func find(texts: TextArray) -> [UInt32] {
        guard holdsTexts else { return [UInt32](repeating: Self.absent, count: texts.count) }
        return slots.withSpan { slots in
            idOffsets.withSpan { offsets in
                idBytes.withSpan { Self.probe(texts, slots, offsets, $0, mask) }
            }
        }
    }

    /// The id of a row. Traps outside `0 ..< count`.
    package subscript(row: Int) -> EntityID {
        guard holdsTexts else { return .integer(integerIDs[row]) }
        let place = idOffsets.withSpan { Self.range(row, $0, idBytes.count) }
        guard let range = place else { return .text("") }
        return .text(
            idBytes.withSpan { span in
                String(decoding: range.map { span[$0] }, as: UTF8.self)
            })
    }

    static func probe(
        _ id: Int64, _ hash: UInt64, _ slots: Span<UInt64>, _ values: Span<Int64>, _ mask: UInt64
    ) -> UInt32 {
        var position = hash & mask
        // Bounded, because nothing but the writer's care puts an empty slot in the table.
        for _ in 0..<slots.count {
            let slot = slots[Int(position)]
            if slot == .max { return absent }
            let row = UInt32(truncatingIfNeeded: slot)
            if slot >> 32 == hash >> 32, Int(row) < values.count, values[Int(row)] == id {
                return row
            }
            position = (position &+ 1) & mask
        }
        return absent
    }

    static func probe(
        _ id: RawSpan, _ hash: UInt64, _ slots: Span<UInt64>, _ offsets: Span<UInt64>,
        _ bytes: Span<UInt8>, _ mask: UInt64
    ) -> UInt32 {
        var position = hash & mask
        for _ in 0..<slots.count {
            let slot = slots[Int(position)]
            if slot == .max { return absent }
            let row = UInt32(truncatingIfNeeded: slot)
            if slot >> 32 == hash >> 32, Int(row) + 1 < offsets.count,
                let range = range(Int(row), offsets, bytes.count),
                id.isEqual(to: bytes.bytes.extracting(range))
            {
                return row
            }
            position = (position &+ 1) & mask
        }
        return absent
    }

    /// Where the bytes of a text id are; nil for offsets that no writer makes.
    private static func range(
        _ row: Int, _ offsets: Span<UInt64>, _ byteCount: Int
    ) -> Range<Int>? {
        let start = offsets[row]
        let end = offsets[row + 1]
        guard start <= end, end <= UInt64(byteCount) else { return nil }
        return Int(start)..<Int(end)
    }
}

extension IDIndex {
    /// Adds the arrays of an index over `ids` to a file that is being built.
    /// - Throws: `invalidInput` where an id occurs twice; `limitExceeded` over 2^32 - 2 ids.
    package static func add(
        _ ids: IDColumn, to writer: inout ArrayFileWriter, prefix: String = "index"
    ) throws(StoreError) {
        guard ids.count <= Limits.indexRowCount else {
            throw .limitExceeded(
                path: prefix, byteOffset: 0, what: "the number of ids", actual: ids.count,
                limit: Limits.indexRowCount)
        }
        var slotCount = 2
        while slotCount < ids.count * 2 { slotCount *= 2 }
        var slots = [UInt64](repeating: .max, count: slotCount)
        switch ids {
        case .integers(let values):
            for (row, id) in values.enumerated() {
                try insert(row, StableHash.hash(id), prefix, &slots) { values[$0] == id }
            }
            writer.add("\(prefix).ids", values)
        case .texts(let texts):
            let bytes = texts.bytes.span.bytes
            for row in 0..<texts.count {
                let id = bytes.extracting(texts.offsets[row]..<texts.offsets[row + 1])
                try insert(row, StableHash.hash(id), prefix, &slots) { other in
                    texts.utf8(other) == texts.utf8(row)
                }
            }
            writer.add("\(prefix).idOffsets", texts.offsets.map { UInt64($0) })
            writer.add("\(prefix).idBytes", texts.bytes)
        }
        writer.add("\(prefix).slots", slots)
    }

    private static func insert(
        _ row: Int, _ hash: UInt64, _ prefix: String, _ slots: inout [UInt64],
        isSame: (Int) -> Bool
    ) throws(StoreError) {
        let mask = slots.count - 1
        var position = Int(truncatingIfNeeded: hash) & mask
        while slots[position] != .max {
            let slot = slots[position]
            if slot >> 32 == hash >> 32, isSame(Int(UInt32(truncatingIfNeeded: slot))) {
                throw .invalidInput(
                    path: prefix,
                    reason: "rows \(UInt32(truncatingIfNeeded: slot)) and \(row) have the same id")
            }
            position = (position + 1) & mask
        }
        slots[position] = (hash & 0xFFFF_FFFF_0000_0000) | UInt64(row)
    }
}

extension RawSpan {
    /// Whether two spans hold the same bytes.
    func isEqual(to other: RawSpan) -> Bool {
        guard byteCount == other.byteCount else { return false }
        var offset = 0
        while let a: UInt64 = integer(at: offset), let b: UInt64 = other.integer(at: offset) {
            if a != b { return false }
            offset += 8
        }
        while let a: UInt8 = integer(at: offset), let b: UInt8 = other.integer(at: offset) {
            if a != b { return false }
            offset += 1
        }
        return true
    }
}
