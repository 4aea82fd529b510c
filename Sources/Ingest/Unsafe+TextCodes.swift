// Why unsafe: the bytes of a text are appended as a whole, from the memory of a span that outlives the
// call, and a slot is asked for by its address before it is read.

import ByteCoding
import CPlatform

/// Gives each distinct text the next code, by a hash table over its bytes. No `String` is made.
struct TextCodes {
    private var bytes: [UInt8] = []
    private var offsets: [Int] = [0]
    /// Open addressing, a power of two: the hash's low half, then the code plus one; 0 is free. A
    /// larger table needs no more than that, and is written in two runs from end to end.
    private var slots: [UInt64] = Array(repeating: 0, count: 256)

    /// The code given last.
    private var lastCode = 0

    private static let tagMask: UInt64 = 0xFFFF_FFFF_0000_0000

    var count: Int { offsets.count - 1 }

    /// Bytes of the texts and of what finds them.
    var byteCount: Int { bytes.count + 8 * (offsets.count + slots.count) }

    /// The distinct texts in order of first appearance.
    var values: TextArray { TextArray(bytes: bytes, offsets: offsets) ?? TextArray() }

    /// The code of `text[start ..< end]`; nil where a new one would pass
    /// `Limits.distinctTextCount`.
    mutating func code(_ text: Span<UInt8>, from start: Int, to end: Int) -> UInt32? {
        // The lines of an order come together, and many columns change rarely.
        if lastCode < count, isEqual(lastCode, text, from: start, to: end) {
            return UInt32(lastCode)
        }
        return code(text, from: start, to: end, hash: Self.hash(text, from: start, to: end))
    }

    /// The same for a text whose hash is known.
    mutating func code(
        _ text: Span<UInt8>, from start: Int, to end: Int, hash: UInt64
    ) -> UInt32? {
        let (slot, known) = find(text, from: start, to: end, hash)
        if let known {
            lastCode = Int(known)
            return known
        }
        guard count < Limits.distinctTextCount else { return nil }
        let code = count
        text.withUnsafeBufferPointer { bytes.append(contentsOf: $0[start..<end]) }
        offsets.append(bytes.count)
        lastCode = code
        slots[slot] = hash << 32 | UInt64(code + 1)
        if count * 2 > slots.count, slots.count <= Self.tagMask >> 32 { slots = doubledSlots() }
        return UInt32(code)
    }

    /// Asks for the memory in which a text of this hash is looked for first.
    func prefetch(_ hash: UInt64) {
        slots.withUnsafeBufferPointer { slots in
            let slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
            patron_prefetch_first(slots.baseAddress.map { $0 + slot })
        }
    }

    /// Whether `text[start ..< end]` has a code.
    func contains(_ text: Span<UInt8>, from start: Int, to end: Int) -> Bool {
        find(text, from: start, to: end, Self.hash(text, from: start, to: end)).code != nil
    }

    /// The text's code, or nil and the free slot where it belongs.
    @inline(__always)
    private func find(
        _ text: Span<UInt8>, from start: Int, to end: Int, _ hash: UInt64
    ) -> (slot: Int, code: UInt32?) {
        let tag = hash << 32
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            let entry = slots[slot]
            if entry & Self.tagMask == tag {
                let code = Int(entry & ~Self.tagMask) - 1
                if isEqual(code, text, from: start, to: end) { return (slot, UInt32(code)) }
            }
            slot = (slot + 1) & mask
        }
        return (slot, nil)
    }

    private func isEqual(
        _ code: Int, _ text: Span<UInt8>, from start: Int, to end: Int
    ) -> Bool {
        let mine = offsets[code]
        guard offsets[code + 1] - mine == end - start else { return false }
        let stored = bytes.span
        var index = 0
        while start + index + 8 <= end {
            guard
                loadWord(stored.bytes, at: mine + index) == loadWord(text.bytes, at: start + index)
            else { return false }
            index += 8
        }
        while start + index < end {
            guard stored[mine + index] == text[start + index] else { return false }
            index += 1
        }
        return true
    }

    private func doubledSlots() -> [UInt64] {
        var larger = [UInt64](repeating: 0, count: slots.count * 2)
        let mask = larger.count - 1
        for entry in slots where entry != 0 {
            var slot = Int(truncatingIfNeeded: entry >> 32) & mask
            while larger[slot] != 0 { slot = (slot + 1) & mask }
            larger[slot] = entry
        }
        return larger
    }

    /// Eight bytes a step; the length keeps a text apart from itself padded with zero bytes. Not
    /// part of any format. Texts chosen to collide make it slow, not wrong.
    static func hash(_ text: Span<UInt8>, from start: Int, to end: Int) -> UInt64 {
        var h = UInt64(end - start)
        var index = start
        while index + 8 <= end {
            h = (h ^ loadWord(text.bytes, at: index)) &* 0x9E37_79B9_7F4A_7C15
            h ^= h >> 32
            index += 8
        }
        var word: UInt64 = 0
        while index < end {
            word = word << 8 | UInt64(text[index])
            index += 1
        }
        return ContentHash.mix(h ^ word)
    }
}
