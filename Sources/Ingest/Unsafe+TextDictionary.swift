// Why unsafe: the table is probed once for every text of every line, and a text is compared by words
// of eight bytes, which arrays would check one by one. All memory is allocated here and freed by
// `deallocate`; a slot always lies below the power of two that `mask` belongs to, and a code below
// `count`.

/// The distinct texts that one thread has met in a column, by a code in order of first appearance.
///
/// `globalCodes` says which codes they have in the stream; it is filled when the lines are merged.
struct TextDictionary: @unchecked Sendable {
    /// A text of at most eight bytes is its own key; of a longer one it is the hash.
    private struct Slot {
        var key: UInt64
        var length: UInt32
        /// The code plus one; 0 where free.
        var mark: UInt32
    }

    private(set) var count = 0
    private(set) var byteCount = 0
    /// By code; shorter than `count` while lines wait to be merged.
    var globalCodes: [UInt32] = []
    /// Whether `globalCodes` has entries that are still `CodedText.missing`.
    var hasGaps = false
    private var slots: UnsafeMutablePointer<Slot>
    private var mask: Int
    private var bytes: UnsafeMutablePointer<UInt8>
    private var byteCapacity: Int
    private var offsets: UnsafeMutablePointer<Int>
    private var offsetCapacity: Int

    private static let firstSlotCount = 1_024

    init() {
        mask = Self.firstSlotCount - 1
        slots = .allocate(capacity: Self.firstSlotCount)
        slots.initialize(repeating: Slot(key: 0, length: 0, mark: 0), count: mask + 1)
        byteCapacity = 1 << 14
        bytes = .allocate(capacity: byteCapacity)
        offsetCapacity = 1_024
        offsets = .allocate(capacity: offsetCapacity)
        offsets[0] = 0
    }

    func deallocate() {
        slots.deallocate()
        bytes.deallocate()
        offsets.deallocate()
    }

    /// Forgets all texts and keeps most memory.
    mutating func removeAll() {
        for slot in 0...mask { slots[slot].mark = 0 }
        count = 0
        byteCount = 0
        globalCodes.removeAll(keepingCapacity: true)
        hasGaps = false
    }

    /// Lets texts get codes of the stream anew, in the order of the lines to come.
    mutating func forgetGlobalCodes() {
        for code in globalCodes.indices { globalCodes[code] = .max }
        hasGaps = true
    }

    /// The bytes of text `code`, for the duration of `body`.
    func withText<Result>(_ code: Int, _ body: (Span<UInt8>) -> Result) -> Result {
        precondition(code < count)
        let start = offsets[code]
        return body(
            UnsafeBufferPointer(start: bytes + start, count: offsets[code + 1] - start).span)
    }

    /// The code of `text[0 ..< length]`, a new one where the text is new. Length 1 and more; eight
    /// bytes beyond the text can be read.
    @inline(__always)
    mutating func code(_ text: UnsafePointer<UInt8>, _ length: Int) -> UInt32 {
        if length <= 8 {
            let key = word(text, length)
            var slot = Int(truncatingIfNeeded: fold(key, UInt64(length))) & mask
            while true {
                let entry = slots[slot]
                if entry.mark == 0 { return add(text, length, key, slot) }
                if entry.key == key, entry.length == UInt32(length) { return entry.mark &- 1 }
                slot = (slot &+ 1) & mask
            }
        }
        return longCode(text, length)
    }

    /// The code of a text of 1…8 bytes that stands where it is looked for first; `CodedText.missing`
    /// for any other. Takes no jump that depends on the text, so that the table's lines of many
    /// texts are fetched at once.
    @inline(__always)
    func firstCode(_ text: UnsafePointer<UInt8>, _ length: Int) -> UInt32 {
        let key = word(text, length)
        let slot = Int(truncatingIfNeeded: fold(key, UInt64(truncatingIfNeeded: length))) & mask
        let entry = slots[slot]
        let difference =
            (entry.key ^ key)
            | UInt64(truncatingIfNeeded: (Int(entry.length) ^ length) | ((length &- 1) & ~7))
        let miss: UInt32 = difference != 0 ? 1 : 0
        return (entry.mark &- 1) | (0 &- miss)
    }

    private mutating func longCode(_ text: UnsafePointer<UInt8>, _ length: Int) -> UInt32 {
        var key = UInt64(length)
        var index = 0
        while index + 8 <= length {
            key = fold(key ^ word(text + index, 8), 0)
            index += 8
        }
        if index < length { key = fold(key ^ word(text + index, length - index), 1) }
        var slot = Int(truncatingIfNeeded: key) & mask
        while true {
            let entry = slots[slot]
            if entry.mark == 0 { return add(text, length, key, slot) }
            if entry.key == key, entry.length == UInt32(length),
                isEqual(bytes + offsets[Int(entry.mark) - 1], text, length)
            {
                return entry.mark - 1
            }
            slot = (slot + 1) & mask
        }
    }

    private mutating func add(
        _ text: UnsafePointer<UInt8>, _ length: Int, _ key: UInt64, _ slot: Int
    ) -> UInt32 {
        let code = UInt32(count)
        slots[slot] = Slot(key: key, length: UInt32(length), mark: code + 1)
        if byteCount + length + 8 > byteCapacity {
            let capacity = max(byteCapacity * 2, byteCount + length + 8)
            let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
            larger.update(from: bytes, count: byteCount)
            bytes.deallocate()
            bytes = larger
            byteCapacity = capacity
        }
        (bytes + byteCount).update(from: text, count: length)
        byteCount += length
        count += 1
        if count == offsetCapacity {
            let larger = UnsafeMutablePointer<Int>.allocate(capacity: offsetCapacity * 2)
            larger.update(from: offsets, count: count)
            offsets.deallocate()
            offsets = larger
            offsetCapacity *= 2
        }
        offsets[count] = byteCount
        if count * 2 > mask { grow() }
        return code
    }

    private mutating func grow() {
        let old = slots
        let oldMask = mask
        mask = mask * 2 + 1
        slots = .allocate(capacity: mask + 1)
        slots.initialize(repeating: Slot(key: 0, length: 0, mark: 0), count: mask + 1)
        // The texts met first are the common ones: they get the places where they are looked for first.
        let common = UInt32(count / 4)
        for isCommon in [true, false] {
            for index in 0...oldMask
            where old[index].mark != 0 && (old[index].mark <= common) == isCommon {
                let entry = old[index]
                let hash = entry.length <= 8 ? fold(entry.key, UInt64(entry.length)) : entry.key
                var slot = Int(truncatingIfNeeded: hash) & mask
                while slots[slot].mark != 0 { slot = (slot + 1) & mask }
                slots[slot] = entry
            }
        }
        old.deallocate()
    }

    private func isEqual(
        _ a: UnsafePointer<UInt8>, _ b: UnsafePointer<UInt8>, _ length: Int
    ) -> Bool {
        var index = 0
        while index + 8 <= length {
            if word(a + index, 8) != word(b + index, 8) { return false }
            index += 8
        }
        while index < length {
            if a[index] != b[index] { return false }
            index += 1
        }
        return true
    }
}

/// The first `count` bytes (1…8) as a little-endian word; eight can be read.
@inline(__always)
func word(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
    let whole = UInt64(
        littleEndian: UnsafeRawPointer(bytes).loadUnaligned(as: UInt64.self))
    return whole & (UInt64.max &>> UInt64(truncatingIfNeeded: 64 &- 8 &* count))
}

/// Both halves of a product mixed, which depend on all bits of both factors.
/// Source: Wang Yi, "wyhash".
@inline(__always)
private func fold(_ value: UInt64, _ seed: UInt64) -> UInt64 {
    let product = (value ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(
        by: 0xE703_7ED1_A0B4_28DB ^ (seed &<< 32))
    return product.high ^ product.low
}

/// The dictionaries of all readers, one a text column each.
final class DictionaryMemory: @unchecked Sendable {
    /// By reader; a reader touches its own, and then a column's thread that column's of all.
    let tables: [UnsafeMutablePointer<TextDictionary>]
    private let columnCount: Int

    /// Where a thread's texts of a column pass one of these, it starts anew: they are to fit into
    /// its cache, and its memory is to have a bound.
    private static let textCount = 1 << 16
    private static let textByteCount = 1 << 20

    init(readerCount: Int, columnCount: Int) {
        self.columnCount = columnCount
        tables = (0..<readerCount).map { _ in
            let table = UnsafeMutablePointer<TextDictionary>.allocate(capacity: columnCount)
            for column in 0..<columnCount { (table + column).initialize(to: TextDictionary()) }
            return table
        }
    }

    deinit {
        for table in tables {
            for column in 0..<columnCount { table[column].deallocate() }
            table.deinitialize(count: columnCount)
            table.deallocate()
        }
    }

    /// `TextDictionary.forgetGlobalCodes` of a column.
    func forgetGlobalCodes(column: Int) {
        for table in tables { table[column].forgetGlobalCodes() }
    }

    /// Empties what has become large. No codes may be waiting to be merged.
    func forgetWhereLarge() {
        for table in tables {
            for column in 0..<columnCount
            where table[column].count > Self.textCount
                || table[column].byteCount > Self.textByteCount
            {
                table[column].removeAll()
            }
        }
    }
}
