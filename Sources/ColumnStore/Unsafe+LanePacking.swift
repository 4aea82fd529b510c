import Numerical

/// Numbers of `width` bits each in lane order; the layout is in protocol/STORE.md:
///
/// ```
///             lane 0                lane 1          …   lane 15
/// u32  0…15   numbers 0, 16, 32 …   1, 17, 33 …     …   15, 31, 47 …    bits 0 to 31 of each lane
/// u32 16…31   the lane's bits 32 to 63, and so on; 512 numbers a group
/// ```
/// 18 numbers 1 … 18 of 5 bits are the words 221, 242, 3, 4 … 10 (hexadecimal): `1 | 17 << 5`,
/// `2 | 18 << 5`, and the lanes that hold one number.
enum LanePacking {
    static let groupCount = KernelTable.groupCount
    static let laneCount = 16

    /// Bytes that `count` numbers take.
    static func byteCount(count: Int, width: Int) -> Int {
        if width > 32 {
            return byteCount(count: count, width: 32) + byteCount(count: count, width: width - 32)
        }
        let (groups, rest) = count.quotientAndRemainder(dividingBy: groupCount)
        return groups * 64 * width + groupByteCount(rest, width)
    }

    /// Bytes of one group of at most 512 numbers of at most 32 bits.
    static func groupByteCount(_ count: Int, _ width: Int) -> Int {
        ((count + laneCount - 1) / laneCount * width + 31) / 32 * 64
    }

    /// - Precondition: every number fits `width` bits, 0 to 64.
    static func pack(_ numbers: [UInt64], width: Int) -> [UInt8] {
        let byteCount = byteCount(count: numbers.count, width: width)
        return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            buffer.update(repeating: 0)
            count = byteCount
            guard let base = buffer.baseAddress, width > 0 else { return }
            numbers.withUnsafeBufferPointer { numbers in
                let low = min(width, 32)
                pack(numbers, shift: 0, width: low, UnsafeMutableRawPointer(base))
                if width > 32 {
                    let start = Self.byteCount(count: numbers.count, width: 32)
                    pack(
                        numbers, shift: 32, width: width - 32, UnsafeMutableRawPointer(base + start)
                    )
                }
            }
        }
    }

    /// Packs bits `shift ..< shift + width` of the numbers into zeroed memory of the right size.
    private static func pack(
        _ numbers: UnsafeBufferPointer<UInt64>, shift: Int, width: Int,
        _ target: UnsafeMutableRawPointer
    ) {
        for start in stride(from: 0, to: numbers.count, by: laneCount) {
            let group = target + start / groupCount * 64 * width
            let bit = start % groupCount / laneCount * width
            for lane in 0..<min(laneCount, numbers.count - start) {
                let number = UInt32(truncatingIfNeeded: numbers[start + lane] &>> UInt64(shift))
                let place = group + (bit / 32 * 64 + lane * 4)
                let shifted = UInt64(number) &<< UInt64(bit % 32)
                add(UInt32(truncatingIfNeeded: shifted), place)
                if bit % 32 + width > 32 { add(UInt32(shifted >> 32), place + 64) }
            }
        }
    }

    @inline(__always)
    private static func add(_ bits: UInt32, _ place: UnsafeMutableRawPointer) {
        place.storeBytes(of: place.loadUnaligned(as: UInt32.self) | bits, as: UInt32.self)
    }
}

/// Lane-packed numbers within the bytes of a chunk. Non-owning: whoever holds the chunk keeps the
/// bytes alive; the count and the width were checked against them.
struct LanePacked {
    let base: UnsafeRawPointer
    let count: Int
    let width: Int
    /// The high halves of numbers of more than 32 bits.
    private let high: UnsafeRawPointer
    private let lowWidth: Int

    /// - Precondition: `base` has `LanePacking.byteCount(count:width:)` bytes.
    init(base: UnsafeRawPointer, count: Int, width: Int) {
        self.base = base
        self.count = count
        self.width = width
        lowWidth = min(width, 32)
        high = width > 32 ? base + LanePacking.byteCount(count: count, width: 32) : base
    }

    /// One number, 0 ..< count.
    @inline(__always)
    subscript(index: Int) -> UInt64 {
        let low = UInt64(Self.number(base, lowWidth, index))
        return width > 32 ? low | UInt64(Self.number(high, width - 32, index)) << 32 : low
    }

    @inline(__always)
    private static func number(_ base: UnsafeRawPointer, _ width: Int, _ index: Int) -> UInt32 {
        if width == 0 { return 0 }
        let bit = (index &>> 4 & 31) &* width
        let place = base + ((index &>> 9) &* 64 &* width &+ (bit &>> 5) &* 64 &+ (index & 15) &* 4)
        let shift = bit & 31
        var bits = UInt64(place.loadUnaligned(as: UInt32.self))
        if shift + width > 32 {
            bits |= UInt64(place.loadUnaligned(fromByteOffset: 64, as: UInt32.self)) &<< 32
        }
        return UInt32(truncatingIfNeeded: bits &>> UInt64(shift) & (1 &<< UInt64(width) &- 1))
    }

    /// Lends the bytes of a group of the low (or high) part, or of two whole ones; a shorter one is
    /// filled up with zeros.
    @inline(__always)
    func withGroup(
        _ group: Int, groupCount: Int = 1, isHigh: Bool = false, _ memory: DecodeMemory,
        _ body: (UnsafeRawBufferPointer, _ width: Int) -> Void
    ) {
        let width = isHigh ? self.width - 32 : lowWidth
        let start = (isHigh ? high : base) + group &* 64 &* width
        let rest = count - group * LanePacking.groupCount
        if rest >= groupCount * LanePacking.groupCount {
            return body(
                UnsafeRawBufferPointer(start: start, count: groupCount * 64 * width), width)
        }
        precondition(groupCount == 1, "a pair of groups is whole")
        let scratch = memory.packed
        let stored = LanePacking.groupByteCount(rest, width)
        scratch.copyMemory(from: UnsafeRawBufferPointer(start: start, count: stored))
        for byte in stored..<64 * width { scratch[byte] = 0 }
        body(UnsafeRawBufferPointer(rebasing: scratch[..<(64 * width)]), width)
    }

    /// Unpacks a group, or two whole ones, of numbers of at most 32 bits and adds a reference,
    /// modulo 2^32.
    func unpack(
        group: Int, groupCount: Int = 1, reference: UInt32 = 0,
        into values: UnsafeMutablePointer<UInt32>, _ memory: DecodeMemory
    ) {
        withGroup(group, groupCount: groupCount, memory) { bytes, width in
            memory.kernels.unpack(
                bytes, width: width, reference: reference,
                into: UnsafeMutableBufferPointer(
                    start: values, count: groupCount * LanePacking.groupCount))
        }
    }

    /// Unpacks a group of numbers of any width and adds a reference, modulo 2^64.
    func unpack(
        group: Int, reference: UInt64, into values: UnsafeMutablePointer<UInt64>,
        _ memory: DecodeMemory
    ) {
        let target = UnsafeMutableBufferPointer(start: values, count: LanePacking.groupCount)
        if width <= 32 {
            withGroup(group, memory) { bytes, width in
                memory.kernels.unpack(bytes, width: width, reference: reference, into: target)
            }
            return
        }
        let words = memory.words
        let low = UnsafeMutableBufferPointer(rebasing: words[..<LanePacking.groupCount])
        let high = UnsafeMutableBufferPointer(rebasing: words[LanePacking.groupCount...])
        withGroup(group, memory) { bytes, width in
            memory.kernels.unpack(bytes, width: width, reference: 0 as UInt32, into: low)
        }
        withGroup(group, isHigh: true, memory) { bytes, width in
            memory.kernels.unpack(bytes, width: width, reference: 0 as UInt32, into: high)
        }
        memory.kernels.join(
            low: UnsafeBufferPointer(low), high: UnsafeBufferPointer(high),
            reference: reference, into: target)
    }

    /// Whether the bits behind the last number are zero.
    func isPadded(_ memory: DecodeMemory) -> Bool {
        let rest = count % LanePacking.groupCount
        if rest == 0 || width == 0 { return true }
        let numbers = memory.vector.assumingMemoryBound(to: UInt64.self)
        unpack(group: count / LanePacking.groupCount, reference: 0, into: numbers, memory)
        return (rest..<LanePacking.groupCount).allSatisfy { numbers[$0] == 0 }
    }
}
