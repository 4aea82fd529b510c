/// Numbers of `width` bits each, least significant bit first, end to end in 64-bit words:
/// number i is bits `i * width ..< (i + 1) * width` of the little-endian bit string. The unused
/// high bits of the last word are zero.
enum BitPacking {
    /// Words that `count` numbers take.
    static func wordCount(count: Int, width: Int) -> Int { (count * width + 63) / 64 }

    /// Bits that `value` needs; 0 for 0.
    static func width(of value: UInt64) -> Int { 64 - value.leadingZeroBitCount }

    /// - Precondition: every value fits `width` bits, 0 to 64.
    static func pack(_ values: [UInt64], width: Int) -> [UInt64] {
        guard width > 0 else { return [] }
        var words: [UInt64] = []
        words.reserveCapacity(wordCount(count: values.count, width: width))
        var word: UInt64 = 0
        var used = 0
        for value in values {
            word |= value &<< UInt64(used)
            used += width
            if used >= 64 {
                words.append(word)
                used -= 64
                word = used == 0 ? 0 : value >> UInt64(width - used)
            }
        }
        if used > 0 { words.append(word) }
        return words
    }

    /// Packs flags as numbers of one bit.
    static func pack(flags: [Bool]) -> [UInt64] {
        stride(from: 0, to: flags.count, by: 64).map { start in
            var word: UInt64 = 0
            for row in start..<min(start + 64, flags.count) {
                word |= (flags[row] ? 1 : 0) &<< UInt64(row & 63)
            }
            return word
        }
    }

    /// Calls `store` with the index and value of each number.
    /// - Parameter packed: at least `wordCount(count:width:)` words, which the caller guarantees;
    ///   of any alignment.
    @inline(__always)
    static func unpack(
        _ packed: UnsafeRawPointer, count: Int, width: Int, _ store: (Int, UInt64) -> Void
    ) {
        guard width > 0 else {
            for index in 0..<count { store(index, 0) }
            return
        }
        let byteCount = wordCount(count: count, width: width) * 8
        let mask: UInt64 = width == 64 ? .max : (1 << UInt64(width)) - 1
        var index = 0
        if width <= 57, count > 0 {
            // One unaligned load holds the whole number; the last loads would leave the words.
            let safeCount = min(count, ((byteCount - 8) * 8 + 7) / width + 1)
            while index < safeCount {
                let bit = index &* width
                let word = packed.loadUnaligned(fromByteOffset: bit &>> 3, as: UInt64.self)
                store(index, (word &>> UInt64(bit & 7)) & mask)
                index &+= 1
            }
        }
        while index < count {
            let bit = index &* width
            let shift = UInt64(bit & 63)
            let offset = (bit &>> 6) &* 8
            var value = packed.loadUnaligned(fromByteOffset: offset, as: UInt64.self) &>> shift
            if Int(shift) + width > 64 {
                value |=
                    packed.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)
                    &<< (64 - shift)
            }
            store(index, value & mask)
            index &+= 1
        }
    }
}
