package import ByteCoding

/// Gives equal texts the same number, in order of first appearance.
package struct TextInterner: Sendable {
    private(set) var bytes: [UInt8] = []
    private(set) var offsets: [Int] = [0]
    /// Number + 1 of a text, 0 where empty; a power of two, at most half full.
    private var slots: [UInt32]
    /// Of the texts that have a slot: the first ones.
    private var hashes: [UInt32] = []

    package init(slotCount: Int = 1_024) {
        slots = [UInt32](repeating: 0, count: slotCount)
    }

    package var count: Int { offsets.count - 1 }

    /// The bytes of the text of a number.
    package func utf8(_ number: Int) -> ArraySlice<UInt8> {
        bytes[offsets[number]..<offsets[number + 1]]
    }

    /// The texts by number.
    package var texts: TextArray { TextArray(bytes: bytes, offsets: offsets) ?? TextArray() }

    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        offsets.removeAll(keepingCapacity: true)
        offsets.append(0)
        if hashes.isEmpty { return }
        hashes.removeAll(keepingCapacity: true)
        for index in slots.indices { slots[index] = 0 }
    }

    /// Gives texts that have no number yet the next ones. They are hashed only where a text is
    /// looked for later.
    /// - Parameter rows: of `texts`, whose texts differ from one another and from all here.
    mutating func append(new texts: TextArray, _ rows: [UInt32]) {
        bytes.append(texts, rows, ends: &offsets)
    }

    /// The number of a text, a new one where it has none.
    package mutating func number(of text: RawSpan) -> UInt32 {
        if hashes.count < count { hashAll() }
        let (position, hash, known) = find(text)
        if let known { return known }
        let number = UInt32(count)
        appendBytes(text)
        offsets.append(bytes.count)
        take(position, hash)
        return number
    }

    /// The number of a text; nil where it has none.
    /// - Precondition: none of the texts was given its number without a hash.
    package func number(ofKnown text: RawSpan) -> UInt32? {
        precondition(hashes.count == count)
        return find(text).number
    }

    /// Gives the slot at a position to the first text that has none.
    private mutating func take(_ position: Int, _ hash: UInt32) {
        hashes.append(hash)
        slots[position] = UInt32(hashes.count)
        if hashes.count * 2 > slots.count { grow() }
    }

    /// Gives slots to the texts that have none.
    private mutating func hashAll() {
        for number in hashes.count..<count {
            let (position, hash, _) = find(
                bytes.span.bytes.extracting(offsets[number]..<offsets[number + 1]))
            take(position, hash)
        }
    }

    /// The slot of a text, or the free one where it belongs.
    @inline(__always)
    private func find(_ text: RawSpan) -> (position: Int, hash: UInt32, number: UInt32?) {
        // The low half of the hash places a text, so that growing needs no bytes.
        let hash = UInt32(truncatingIfNeeded: StableHash.hash(text))
        var position = Int(hash) & (slots.count - 1)
        while slots[position] != 0 {
            let number = Int(slots[position] - 1)
            if hashes[number] == hash,
                bytes.span.bytes.extracting(offsets[number]..<offsets[number + 1]).isEqual(to: text)
            {
                return (position, hash, UInt32(number))
            }
            position = (position + 1) & (slots.count - 1)
        }
        return (position, hash, nil)
    }

    private mutating func appendBytes(_ text: RawSpan) {
        for index in 0..<text.byteCount {
            if let byte: UInt8 = text.integer(at: index) { bytes.append(byte) }
        }
    }

    private mutating func grow() {
        slots = [UInt32](repeating: 0, count: slots.count * 2)
        for (number, hash) in hashes.enumerated() {
            var position = Int(hash) & (slots.count - 1)
            while slots[position] != 0 { position = (position + 1) & (slots.count - 1) }
            slots[position] = UInt32(number) + 1
        }
    }
}
