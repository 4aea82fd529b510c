/// The memory that encoding a chunk needs besides its bytes; one a thread and level of nesting,
/// used for chunk after chunk.
final class EncodeMemory {
    /// The values as integers: decimals times a power of ten, 0 where `isExact` is not set.
    let integers: UnsafeMutablePointer<Int64>
    /// Whether the integer of a row gives its value back, bit for bit.
    let isExact: UnsafeMutablePointer<Bool>
    /// Numbers to pack, in whole rows of lanes: their low and their high halves.
    let low: UnsafeMutablePointer<UInt32>
    let high: UnsafeMutablePointer<UInt32>
    /// Of each row, the place of its value in order of first appearance.
    let codes: UnsafeMutablePointer<UInt32>
    /// The last row of each run.
    let ends: UnsafeMutablePointer<UInt32>
    /// The rows of exceptions, and room for one more.
    let exceptions: UnsafeMutablePointer<UInt16>
    /// Packed numbers of up to 64 bits.
    let packed: UnsafeMutableRawPointer
    /// The values of a sparse chunk that are not the frequent one, and one more.
    let others: UnsafeMutableRawPointer
    /// A bit a row of a sparse chunk.
    let bits: UnsafeMutablePointer<UInt64>
    /// Rows by the bits they need, four times over.
    let widthCounts: UnsafeMutablePointer<UInt32>
    /// Distinct values, zero-extended, and the hash table that finds them: the number of a value
    /// plus one, 0 where there is none, and which slots are used.
    let distinct: UnsafeMutablePointer<UInt64>
    let slots: UnsafeMutablePointer<UInt16>
    let usedSlots: UnsafeMutablePointer<UInt16>
    private let all: UnsafeMutableRawPointer

    init() {
        let rows = Limits.blockRowCount
        var end = 0
        func place(_ byteCount: Int) -> Int {
            defer { end += (byteCount + 64).roundedUp(to: 64) }
            return end
        }
        let integersAt = place(8 * rows)
        let exactAt = place(rows)
        let words = (0..<4).map { _ in place(4 * rows) }
        let exceptionsAt = place(2 * (rows + 1))
        let packedAt = place(8 * rows)
        let othersAt = place(8 * (rows + 1))
        let bitsAt = place(rows / 8)
        let countsAt = place(4 * 4 * 65)
        let distinctAt = place(8 * DistinctValues.limit)
        let slotsAt = place(2 * DistinctValues.slotCount)
        let usedAt = place(2 * DistinctValues.limit)
        all = .allocate(byteCount: end, alignment: 64)
        all.initializeMemory(as: UInt8.self, repeating: 0, count: end)
        integers = (all + integersAt).bindMemory(to: Int64.self, capacity: rows)
        isExact = (all + exactAt).bindMemory(to: Bool.self, capacity: rows)
        low = (all + words[0]).bindMemory(to: UInt32.self, capacity: rows)
        high = (all + words[1]).bindMemory(to: UInt32.self, capacity: rows)
        codes = (all + words[2]).bindMemory(to: UInt32.self, capacity: rows)
        ends = (all + words[3]).bindMemory(to: UInt32.self, capacity: rows)
        exceptions = (all + exceptionsAt).bindMemory(to: UInt16.self, capacity: rows + 1)
        packed = all + packedAt
        others = all + othersAt
        bits = (all + bitsAt).bindMemory(to: UInt64.self, capacity: rows / 64)
        widthCounts = (all + countsAt).bindMemory(to: UInt32.self, capacity: 4 * 65)
        distinct = (all + distinctAt).bindMemory(to: UInt64.self, capacity: DistinctValues.limit)
        slots = (all + slotsAt).bindMemory(to: UInt16.self, capacity: DistinctValues.slotCount)
        usedSlots = (all + usedAt).bindMemory(to: UInt16.self, capacity: DistinctValues.limit)
    }

    deinit { all.deallocate() }
}
