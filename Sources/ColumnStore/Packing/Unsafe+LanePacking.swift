import ByteCoding
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

    /// - Precondition: every number fits `width` bits, 0 to 32.
    static func pack(_ numbers: [UInt32], width: Int) -> [UInt8] {
        let byteCount = byteCount(count: numbers.count, width: width)
        var padded = numbers
        padded.append(
            contentsOf: repeatElement(
                0, count: numbers.count.roundedUp(to: laneCount) - numbers.count))
        return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            count = byteCount
            padded.withUnsafeBufferPointer { padded in
                guard let source = padded.baseAddress, let target = buffer.baseAddress else {
                    return
                }
                pack(source, count: numbers.count, width: width, into: target)
            }
        }
    }

    /// Appends the numbers whose halves are in `memory.low` and, with more than 32 bits,
    /// `memory.high`; what is behind the last one in its row of lanes is overwritten by zeros.
    static func append(
        count: Int, width: Int, to payload: inout ByteWriter, _ memory: EncodeMemory
    ) {
        for row in count..<count.roundedUp(to: laneCount) {
            memory.low[row] = 0
            memory.high[row] = 0
        }
        pack(memory.low, count: count, width: min(width, 32), into: memory.packed)
        if width > 32 {
            pack(
                memory.high, count: count, width: width - 32,
                into: memory.packed + byteCount(count: count, width: 32))
        }
        payload.append(
            bytes: UnsafeRawBufferPointer(
                start: memory.packed, count: byteCount(count: count, width: width)))
    }

    /// - Parameters:
    ///   - numbers: whole rows of lanes, zeros behind the last one; each fits the width, 0 to 32.
    ///   - target: as many bytes as `byteCount` says; all are written.
    private static func pack(
        _ numbers: UnsafePointer<UInt32>, count: Int, width: Int,
        into target: UnsafeMutableRawPointer
    ) {
        if width == 0 { return }
        for start in stride(from: 0, to: count, by: groupCount) {
            let rowCount = (min(groupCount, count - start) + laneCount - 1) / laneCount
            packGroup(
                numbers + start, rowCount: rowCount, width: width,
                into: target + start / groupCount * 64 * width)
        }
    }

    private static func packGroup(
        _ numbers: UnsafePointer<UInt32>, rowCount: Int, width: Int,
        into target: UnsafeMutableRawPointer
    ) {
        typealias Words = SIMD16<UInt32>
        let source = UnsafeRawPointer(numbers)
        var output = target
        var word = Words.zero
        var used: UInt32 = 0
        let width = UInt32(width)
        for row in 0..<rowCount {
            let x = source.loadUnaligned(fromByteOffset: 64 &* row, as: Words.self)
            word |= x &<< Words(repeating: used)
            used &+= width
            if used < 32 { continue }
            output.storeBytes(of: word, as: Words.self)
            output += 64
            used &-= 32
            word = used == 0 ? .zero : x &>> Words(repeating: width &- used)
        }
        if used > 0 { output.storeBytes(of: word, as: Words.self) }
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

    /// Unpacks a group, or two whole ones, of numbers of any width and adds a reference, modulo 2^64.
    func unpack(
        group: Int, groupCount: Int = 1, reference: UInt64,
        into values: UnsafeMutablePointer<UInt64>, _ memory: DecodeMemory
    ) {
        if width <= 32 {
            withGroup(group, groupCount: groupCount, memory) { bytes, width in
                memory.kernels.unpack(
                    bytes, width: width, reference: reference,
                    into: UnsafeMutableBufferPointer(
                        start: values, count: groupCount * LanePacking.groupCount))
            }
            return
        }
        for index in 0..<groupCount {
            unpackWide(
                group: group + index, reference: reference,
                into: values + index * LanePacking.groupCount, memory)
        }
    }

    /// Unpacks a group of numbers of more than 32 bits.
    private func unpackWide(
        group: Int, reference: UInt64, into values: UnsafeMutablePointer<UInt64>,
        _ memory: DecodeMemory
    ) {
        let target = UnsafeMutableBufferPointer(start: values, count: LanePacking.groupCount)
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
