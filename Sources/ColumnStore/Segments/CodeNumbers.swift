/// The numbers that codes have in a block, where most codes are of other blocks: a table that stays
/// in the cache, however many codes there are.
struct CodeNumbers {
    /// A number and above it a code; the number is `free` in a slot without one.
    private var slots: [UInt64] = []
    /// Slots in use, a power of two and at most half full; 0 where every code has its own slot.
    private var count = 0

    private static let free = UInt64(UInt32.max)

    /// Forgets all numbers.
    /// - Parameters:
    ///   - rowCount: codes that may come, a block's at most.
    ///   - codeCount: codes that there are.
    mutating func removeAll(rowCount: Int, codeCount: Int) {
        count = 16
        while count < 2 * rowCount { count *= 2 }
        let used = min(codeCount, count)
        if codeCount <= count { count = 0 }
        if slots.count < used { slots = [UInt64](repeating: Self.free, count: used) }
        for slot in 0..<used { slots[slot] = Self.free }
    }

    /// The number of a code, `next` where it has none yet.
    @inline(__always)
    mutating func number(of code: UInt32, orNew next: UInt32) -> UInt32 {
        let slot = slot(of: code)
        let known = slots[slot] & Self.free
        // Whether a code is new cannot be foretold: no branch.
        let number = known == Self.free ? UInt64(next) : known
        slots[slot] = UInt64(code) << 32 | number
        return UInt32(truncatingIfNeeded: number)
    }

    /// Gives a code another number.
    mutating func set(_ number: UInt32, of code: UInt32) {
        slots[slot(of: code)] = UInt64(code) << 32 | UInt64(number)
    }

    @inline(__always)
    private func slot(of code: UInt32) -> Int {
        if count == 0 { return Int(code) }
        var slot = Int(code &* 0x9E37_79B1) >> 7 & (count - 1)
        while slots[slot] & Self.free != Self.free, slots[slot] >> 32 != UInt64(code) {
            slot = (slot + 1) & (count - 1)
        }
        return slot
    }
}
