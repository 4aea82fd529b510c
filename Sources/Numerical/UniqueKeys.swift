/// Distinct 64-bit keys in order of first appearance, with the code (index among the distinct
/// keys) and the number of appearances of each. Open addressing with linear probing; at most half
/// full. Time and memory O(count); deterministic.
package struct UniqueKeys: Sendable {
    package private(set) var keys: [UInt64] = []
    package private(set) var counts: [Int] = []
    private var slots: [Int32]
    private var shift: UInt64

    package init() {
        slots = [Int32](repeating: -1, count: 1 << 12)
        shift = 64 - 12
    }

    /// The code of `key`, new or known; counts one appearance. At most 2^30 distinct keys.
    package mutating func insert(_ key: UInt64) -> Int32 {
        let mask = slots.count - 1
        var slot = slotIndex(key)
        while slots[slot] >= 0 {
            let code = slots[slot]
            if keys[Int(code)] == key {
                counts[Int(code)] += 1
                return code
            }
            slot = (slot + 1) & mask
        }
        precondition(keys.count < 1 << 30, "more distinct keys than a code can number")
        let code = Int32(keys.count)
        slots[slot] = code
        keys.append(key)
        counts.append(1)
        if keys.count * 2 > slots.count { grow() }
        return code
    }

    private func slotIndex(_ key: UInt64) -> Int {
        // Fibonacci hashing: the high bits of the product depend on every bit of the key.
        Int((key ^ (key >> 32)).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15).low >> shift)
    }

    private mutating func grow() {
        slots = [Int32](repeating: -1, count: slots.count * 2)
        shift -= 1
        let mask = slots.count - 1
        for (code, key) in keys.enumerated() {
            var slot = slotIndex(key)
            while slots[slot] >= 0 { slot = (slot + 1) & mask }
            slots[slot] = Int32(code)
        }
    }
}
