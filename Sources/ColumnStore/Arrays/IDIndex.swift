package import ByteCoding
import Numerical

/// Finds the row of a customer or product id: open addressing over `KeyedHash`, every hit verified
/// against the id itself.
///
/// Arrays in an array file, each name after a prefix:
/// ```
/// .key        u64 [1]                     the key of the hash
/// .entries    u64 [slots × 2]             more slots than rows; a search starts at slot
///             ⌊hash · slots / 2^64⌋ and goes on by one, wrapping, to an empty slot
///             integer ids: the id, the row
///             text ids:    low half of the hash << 32 | row, byte offset << 25 | byte count
///             empty:       all ones, all ones
/// .ids        i64 [rows]                  integer ids, or
/// .idOffsets  u64 [rows + 1] and
/// .idBytes    u8  [bytes]                 text ids: row i is bytes[offsets[i] ..< offsets[i + 1]]
/// ```
/// A slot holds all that is needed to verify a hit or to go straight to where that lies: a look-up of
/// an integer waits for memory once, one of a text twice.
///
/// Probes allocate nothing. Contents are not verified beyond the array file's checksums: with
/// arrays that a writer here did not make an id may be missed, never a bound.
package struct IDIndex: Sendable {
    /// The row number that stands for "no such id" in batches.
    package static let absent = UInt32.max
    /// Bits of a slot's second word that hold the length of a text.
    static let lengthBitCount = 25 as UInt64
    static let lengthMask = 1 << lengthBitCount - 1 as UInt64

    /// Rows, which is also the number of ids.
    package let count: Int
    /// Whether the ids are texts.
    package let holdsTexts: Bool
    let slots: MappedArray<UInt64>
    let hash: KeyedHash
    // One of the two kinds is empty. Not an enum: taking its payload out costs two atomic counts
    // a probe, which also keep the cache misses of neighbouring probes from overlapping.
    private let integerIDs: MappedArray<Int64>
    private let idOffsets: MappedArray<UInt64>
    let idBytes: MappedArray<UInt8>

    /// Opens the index whose arrays' names start with `prefix`; takes constant time.
    /// - Throws: `unsupportedVersion` for an index of an earlier release, which has no key.
    package init(reading file: ArrayFile, prefix: String = "index") throws(StoreError) {
        if file.entry("\(prefix).key") == nil, file.entry("\(prefix).slots") != nil {
            throw .unsupportedVersion(path: file.path, actual: 1, expected: 2)
        }
        let key = try file.array("\(prefix).key", of: UInt64.self, shape: [1])
        hash = KeyedHash(key: key[0])
        slots = try file.array("\(prefix).entries", of: UInt64.self, shape: [-1, 2])
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
        guard count >= 0, count <= Limits.indexRowCount, slots.shape[0] > count else {
            throw .corrupt(
                path: file.path, byteOffset: file.entry("\(prefix).entries")?.byteOffset ?? 0,
                reason: "an index of \(slots.shape[0]) slots does not fit \(count) ids")
        }
    }

    package func find(utf8 id: [UInt8]) -> Int? { find(utf8: id.span.bytes) }

    package func find(_ id: EntityID) -> Int? {
        switch id {
        case .integer(let value): find(integer: value)
        case .text(let value): find(utf8: Array(value.utf8))
        }
    }

    /// The id of a row. Traps outside `0 ..< count`.
    package subscript(row: Int) -> EntityID {
        guard holdsTexts else { return .integer(integerIDs[row]) }
        return .text(
            idBytes.withSpan { span in
                String(decoding: textRange(row).map { span[$0] }, as: UTF8.self)
            })
    }

    /// The ids of some rows, in their order. Traps outside `0 ..< count`.
    package func ids(of rows: Span<UInt32>) -> IDColumn {
        guard holdsTexts else {
            var integers: [Int64] = []
            integers.reserveCapacity(rows.count)
            integerIDs.withSpan { ids in
                for i in rows.indices { integers.append(ids[Int(rows[i])]) }
            }
            return .integers(integers)
        }
        var (bytes, offsets): ([UInt8], [Int]) = ([], [0])
        offsets.reserveCapacity(rows.count + 1)
        idBytes.withSpan { all in
            for i in rows.indices {
                for byte in textRange(Int(rows[i])) { bytes.append(all[byte]) }
                offsets.append(bytes.count)
            }
        }
        return .texts(TextArray(bytes: bytes, offsets: offsets) ?? TextArray())
    }

    /// What the id of a row takes: 8 for an integer. Traps outside `0 ..< count`.
    package func byteCount(row: Int) -> Int { holdsTexts ? textRange(row).count : 8 }

    /// Where the bytes of a text id lie; nowhere with offsets that no writer makes.
    private func textRange(_ row: Int) -> Range<Int> {
        let (start, end) = (idOffsets[row], idOffsets[row + 1])
        guard start <= end, end <= UInt64(idBytes.count) else { return 0..<0 }
        return Int(start)..<Int(end)
    }
}

extension IDIndex {
    /// Adds the arrays of an index over `ids` to a file that is being built.
    ///
    /// The key follows from the ids: the same ids give the same bytes, and whoever can choose some of
    /// them, and does not know the others, cannot choose ones that collide.
    /// - Throws: `invalidInput` where an id occurs twice; `limitExceeded` over 2^32 - 2 ids, for an
    ///   id over 16 MiB and over 2^39 - 2 bytes of ids.
    package static func add(
        _ ids: IDColumn, to writer: inout ArrayFileWriter, prefix: String = "index"
    ) throws(StoreError) {
        try check("the number of ids", ids.count, Limits.indexRowCount, prefix)
        let slotCount = ids.count * 2 + 1
        let key: UInt64
        let slots: [UInt64]
        switch ids {
        case .integers(let values):
            key = KeyedHash(key: 0).hash(values.span.bytes)
            slots = try table(values, slotCount, KeyedHash(key: key), prefix)
            writer.add("\(prefix).ids", values)
        case .texts(let texts):
            try check("the bytes of all ids", texts.bytes.count, Limits.indexByteCount, prefix)
            key = KeyedHash(key: 0).hash(texts.bytes.span.bytes)
            slots = try table(texts, slotCount, KeyedHash(key: key), prefix)
            writer.add("\(prefix).idOffsets", texts.offsets.map { UInt64($0) })
            writer.add("\(prefix).idBytes", texts.bytes)
        }
        writer.add("\(prefix).key", [key])
        writer.add("\(prefix).entries", slots, shape: [slotCount, 2])
    }

    private static func check(
        _ what: String, _ actual: Int, _ limit: Int, _ prefix: String
    ) throws(StoreError) {
        guard actual > limit else { return }
        throw .limitExceeded(path: prefix, byteOffset: 0, what: what, actual: actual, limit: limit)
    }

    private static func table(
        _ ids: [Int64], _ slotCount: Int, _ hash: KeyedHash, _ prefix: String
    ) throws(StoreError) -> [UInt64] {
        var slots = emptySlots(slotCount)
        var homes = SlotsAhead()
        for next in 0..<ids.count + SlotsAhead.lag {
            if next < ids.count {
                homes.expect(home(hash.hash(ids[next]), slotCount), of: next, in: slots)
            }
            let row = next - SlotsAhead.lag
            if row < 0 { continue }
            let word = UInt64(bitPattern: ids[row])
            var slot = homes[row]
            while slots[2 * slot + 1] != .max {
                if slots[2 * slot] == word { throw repeated(slots[2 * slot + 1], row, prefix) }
                slot = slot + 1 == slotCount ? 0 : slot + 1
            }
            slots[2 * slot] = word
            slots[2 * slot + 1] = UInt64(row)
        }
        return slots
    }

    private static func table(
        _ ids: TextArray, _ slotCount: Int, _ hash: KeyedHash, _ prefix: String
    ) throws(StoreError) -> [UInt64] {
        var slots = emptySlots(slotCount)
        let bytes = ids.bytes.span.bytes
        for row in 0..<ids.count {
            let range = ids.offsets[row]..<ids.offsets[row + 1]
            try check("the bytes of an id", range.count, Limits.textByteCount, prefix)
            let hash = hash.hash(bytes.extracting(range))
            var slot = home(hash, slotCount)
            while slots[2 * slot + 1] != .max {
                let other = slots[2 * slot]
                if other >> 32 == hash & 0xFFFF_FFFF,
                    ids.utf8(Int(other & 0xFFFF_FFFF)) == ids.utf8(row)
                {
                    throw repeated(other & 0xFFFF_FFFF, row, prefix)
                }
                slot = slot + 1 == slotCount ? 0 : slot + 1
            }
            slots[2 * slot] = hash << 32 | UInt64(row)
            slots[2 * slot + 1] = UInt64(range.lowerBound) << lengthBitCount | UInt64(range.count)
        }
        return slots
    }

    /// In large pages: ids fall anywhere.
    private static func emptySlots(_ slotCount: Int) -> [UInt64] {
        parallelArray(count: 2 * slotCount, chunkRows: 1 << 20, threadCount: 1) { _, slice in
            for place in slice.indices { slice[place] = .max }
        }
    }

    private static func home(_ hash: UInt64, _ slotCount: Int) -> Int {
        Int(truncatingIfNeeded: hash.multipliedFullWidth(by: UInt64(slotCount)).high)
    }

    private static func repeated(_ first: UInt64, _ row: Int, _ prefix: String) -> StoreError {
        .invalidInput(path: prefix, reason: "rows \(first) and \(row) have the same id")
    }
}
