/// Hashes whose value is part of a file format: the same on every machine and in every release.
package enum StableHash {
    /// A 64-bit mix of an integer id (the finaliser of MurmurHash3, a bijection).
    package static func hash(_ value: Int64) -> UInt64 {
        var h = UInt64(bitPattern: value)
        h = (h ^ (h >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        h = (h ^ (h >> 33)) &* 0xC4CE_B9FE_1A85_EC53
        return h ^ (h >> 33)
    }

    /// FNV-1a over the bytes, then the integer mix: FNV alone is weak in its high bits.
    package static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var h: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { h = (h ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return hash(Int64(bitPattern: h))
    }

    /// The same value as for a sequence of these bytes.
    package static func hash(_ bytes: RawSpan) -> UInt64 {
        bytes.withUnsafeBytes { buffer in
            var h: UInt64 = 0xCBF2_9CE4_8422_2325
            for byte in buffer { h = (h ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
            return hash(Int64(bitPattern: h))
        }
    }
}
