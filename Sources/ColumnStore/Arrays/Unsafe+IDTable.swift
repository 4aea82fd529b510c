package import ByteCoding
internal import CPlatform

/// The table of an id index as pointers. Non-owning: `IDIndex` makes one for the length of a call,
/// in which it keeps the mapping alive. Every row and every place of an id is checked against the
/// counts before it is used, because the file may hold any.
struct IDTable {
    /// Two words a slot; the second is all ones where the slot is empty.
    let slots: UnsafePointer<UInt64>
    /// At least 1.
    let slotCount: Int
    let rowCount: Int
    /// The bytes of all text ids.
    let bytes: UnsafeRawBufferPointer
    let hash: KeyedHash

    /// Where the search for a hash begins.
    @inline(__always)
    func home(_ hash: UInt64) -> Int {
        Int(truncatingIfNeeded: hash.multipliedFullWidth(by: UInt64(slotCount)).high)
    }

    @inline(__always)
    private func next(_ slot: Int) -> Int { slot &+ 1 == slotCount ? 0 : slot &+ 1 }

    /// The row of an integer id; `absent` for an unknown one.
    @inline(__always)
    func row(_ id: Int64, from home: Int) -> UInt32 {
        var slot = home
        // Bounded, because nothing but the writer's care puts an empty slot in the table.
        for _ in 0..<slotCount {
            let row = slots[2 &* slot &+ 1]
            if slots[2 &* slot] == UInt64(bitPattern: id), row < UInt64(rowCount) {
                return UInt32(truncatingIfNeeded: row)
            }
            if row == .max { break }
            slot = next(slot)
        }
        return IDIndex.absent
    }

    /// The first slot of a text's tag, or the empty one before it.
    @inline(__always)
    func candidate(_ hash: UInt64, from home: Int) -> Int {
        var slot = home
        for _ in 0..<slotCount {
            if slots[2 &* slot] >> 32 == hash & 0xFFFF_FFFF || slots[2 &* slot &+ 1] == .max {
                break
            }
            slot = next(slot)
        }
        return slot
    }

    /// The row of a text id; `absent` for an unknown one.
    @inline(__always)
    func row(_ id: UnsafeRawBufferPointer, _ hash: UInt64, from candidate: Int) -> UInt32 {
        var slot = candidate
        for _ in 0..<slotCount {
            let (word, place) = (slots[2 &* slot], slots[2 &* slot &+ 1])
            if place == .max { break }
            let row = UInt32(truncatingIfNeeded: word)
            if word >> 32 == hash & 0xFFFF_FFFF, Int(row) < rowCount, isSame(id, place) {
                return row
            }
            slot = next(slot)
        }
        return IDIndex.absent
    }

    /// Whether a text id is the one at a place: `byteOffset << 25 | byteCount`.
    @inline(__always)
    private func isSame(_ id: UnsafeRawBufferPointer, _ place: UInt64) -> Bool {
        let offset = Int(place >> IDIndex.lengthBitCount)
        guard Int(place & IDIndex.lengthMask) == id.count, offset <= bytes.count,
            id.count <= bytes.count - offset, let id = id.baseAddress, let base = bytes.baseAddress
        else { return place & IDIndex.lengthMask == 0 && id.isEmpty }
        return sameBytes(id, base + offset, Int(place & IDIndex.lengthMask))
    }

    @inline(__always)
    func prefetchSlot(_ slot: Int) { patron_prefetch_first(slots + 2 &* slot) }

    /// Asks for the first two cache lines of the id that a slot names.
    @inline(__always)
    func prefetchID(_ slot: Int) {
        let offset = Int(slots[2 &* slot &+ 1] >> IDIndex.lengthBitCount)
        guard offset < bytes.count, let base = bytes.baseAddress else { return }
        patron_prefetch_first(base + offset)
        patron_prefetch_first(base + min(offset + 31, bytes.count - 1))
    }
}

/// Whether `count` bytes are the same at two addresses.
@inline(__always)
private func sameBytes(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Bool {
    @inline(__always)
    func same<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, _: T.Type) -> Bool {
        a.loadUnaligned(fromByteOffset: offset, as: T.self)
            == b.loadUnaligned(fromByteOffset: offset, as: T.self)
    }
    if count >= 8 {
        var offset = 0
        while offset < count &- 8 {
            guard same(offset, UInt64.self) else { return false }
            offset &+= 8
        }
        // The last word may overlap the one before.
        return same(count &- 8, UInt64.self)
    }
    if count >= 4 { return same(0, UInt32.self) && same(count &- 4, UInt32.self) }
    for offset in 0..<count where !same(offset, UInt8.self) { return false }
    return true
}

extension RawSpan {
    /// Whether two spans hold the same bytes.
    func isEqual(to other: RawSpan) -> Bool {
        guard byteCount == other.byteCount else { return false }
        return withUnsafeBytes { a in
            other.withUnsafeBytes { b in
                guard let a = a.baseAddress, let b = b.baseAddress else { return true }
                return sameBytes(a, b, byteCount)
            }
        }
    }
}

// Look-ups of many ids as a pipeline. A look-up of one id is a chain of cache misses, each of which
// tells where the next one is. Here each step of an id runs `lag` ids behind the one before it and
// asks for the cache line that the next step will need, and so the misses of many ids overlap.

/// How many ids lie between two steps.
private let lag = 16
/// Places for the ids under way, a power of two above all steps together.
private let ringCount = 64

extension IDTable {
    /// Finds integer ids; a row is `absent` where there is none.
    func find(_ ids: UnsafeBufferPointer<Int64>, rows: UnsafeMutablePointer<UInt32>) {
        guard let base = ids.baseAddress else { return }
        var homes = InlineArray<64, Int>(repeating: 0)
        for step in 0..<ids.count + lag {
            if step < ids.count {
                let home = home(hash.hash(base[step]))
                homes[step & (ringCount - 1)] = home
                prefetchSlot(home)
            }
            let second = step - lag
            if second >= 0 {
                rows[second] = row(base[second], from: homes[second & (ringCount - 1)])
            }
        }
    }

    /// Finds text ids; a row is `absent` where there is none.
    /// - Parameters:
    ///   - texts: the bytes of all.
    ///   - offsets: text i is from offset i to offset i + 1, inside the bytes.
    func find(
        _ texts: UnsafeRawBufferPointer, offsets: UnsafeBufferPointer<Int>,
        rows: UnsafeMutablePointer<UInt32>
    ) {
        let count = offsets.count - 1
        func text(_ index: Int) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(
                start: texts.baseAddress.map { $0 + offsets[index] },
                count: offsets[index + 1] - offsets[index])
        }
        var hashes = InlineArray<64, UInt64>(repeating: 0)
        var candidates = InlineArray<64, Int>(repeating: 0)
        for step in 0..<max(0, count) + 2 * lag {
            if step < count {
                let hash = hash.hash(text(step))
                hashes[step & (ringCount - 1)] = hash
                prefetchSlot(home(hash))
            }
            let second = step - lag
            if second >= 0 && second < count {
                let hash = hashes[second & (ringCount - 1)]
                let slot = candidate(hash, from: home(hash))
                candidates[second & (ringCount - 1)] = slot
                prefetchID(slot)
            }
            let third = step - 2 * lag
            if third >= 0 {
                rows[third] = row(
                    text(third), hashes[third & (ringCount - 1)],
                    from: candidates[third & (ringCount - 1)])
            }
        }
    }
}

/// The slots in which a table that is being built looks for room next, asked for before their turn.
struct SlotsAhead {
    /// How many ids lie between asking and looking.
    static let lag = 16
    // `ringCount` places.
    private var homes = InlineArray<64, Int>(repeating: 0)

    subscript(row: Int) -> Int { homes[row & (ringCount - 1)] }

    /// - Parameter slots: two words each.
    mutating func expect(_ slot: Int, of row: Int, in slots: [UInt64]) {
        homes[row & (ringCount - 1)] = slot
        slots.withUnsafeBufferPointer { slots in
            if let base = slots.baseAddress { patron_prefetch_first(base + 2 * slot) }
        }
    }
}

extension IDIndex {
    /// Lends the table, which stays mapped for the length of the call.
    @inline(__always)
    func withTable<Result>(_ body: (IDTable) -> Result) -> Result {
        slots.withSpan { slots in
            idBytes.withSpan { bytes in
                slots.withUnsafeBufferPointer { slots in
                    bytes.withUnsafeBufferPointer { bytes in
                        // An index has at least one slot, so the address is one.
                        guard let base = slots.baseAddress else {
                            preconditionFailure("an index without slots is refused when opened")
                        }
                        return body(
                            IDTable(
                                slots: base, slotCount: slots.count / 2, rowCount: count,
                                bytes: UnsafeRawBufferPointer(bytes), hash: hash))
                    }
                }
            }
        }
    }

    /// The row of an integer id; nil for an unknown one and where the ids are texts.
    package func find(integer id: Int64) -> Int? {
        guard !holdsTexts else { return nil }
        let row = withTable { $0.row(id, from: $0.home($0.hash.hash(id))) }
        return row == Self.absent ? nil : Int(row)
    }

    /// The row of a text id given as UTF-8; nil for an unknown one and where the ids are integers.
    package func find(utf8 id: RawSpan) -> Int? {
        guard holdsTexts else { return nil }
        let row = withTable { table in
            id.withUnsafeBytes { id in
                let hash = table.hash.hash(id)
                return table.row(id, hash, from: table.home(hash))
            }
        }
        return row == Self.absent ? nil : Int(row)
    }

    /// Finds many integer ids; a row is `absent` where there is none. The cache misses of
    /// neighbouring ids overlap.
    /// - Precondition: `rows` is as long as `integers`.
    package func find(integers: Span<Int64>, rows: inout MutableSpan<UInt32>) {
        precondition(integers.count == rows.count, "one row number an id")
        guard !holdsTexts else {
            for index in rows.indices { rows[index] = Self.absent }
            return
        }
        withTable { table in
            integers.withUnsafeBufferPointer { ids in
                rows.withUnsafeMutableBufferPointer { rows in
                    // No address: no rows.
                    if let rows = rows.baseAddress { table.find(ids, rows: rows) }
                }
            }
        }
    }

    /// Finds many text ids, their cache misses overlapping; a row is `absent` where there is none.
    /// - Precondition: `rows` is as long as `texts`.
    package func find(texts: TextArray, rows: inout MutableSpan<UInt32>) {
        precondition(texts.count == rows.count, "one row number an id")
        guard holdsTexts else {
            for index in rows.indices { rows[index] = Self.absent }
            return
        }
        withTable { table in
            texts.bytes.withUnsafeBytes { bytes in
                texts.offsets.withUnsafeBufferPointer { offsets in
                    rows.withUnsafeMutableBufferPointer { rows in
                        if let rows = rows.baseAddress {
                            table.find(bytes, offsets: offsets, rows: rows)
                        }
                    }
                }
            }
        }
    }
}
