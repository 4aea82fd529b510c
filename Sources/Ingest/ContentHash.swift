/// A 64-bit fingerprint of a file's bytes, by which a repeated ingest is noticed. It guards against
/// mistakes, not against someone who searches for a collision.
///
/// Four lanes start at the four constants of `seeds`. Each full 32-byte stripe gives lane `l` its
/// little-endian word `w_l`: `lane = rotateLeft(lane ^ (w_l * P), 29) * Q`. The remaining bytes,
/// padded with zeros to 32, are one more stripe. The lanes are then folded in order into
/// `h = byteCount`: `h = mix(h ^ lane)`, where `mix` is the finaliser of MurmurHash3 as in
/// `StableHash`. All arithmetic is modulo 2^64. P = 0x9E3779B185EBCA87, Q = 0xC2B2AE3D27D4EB4F.
package enum ContentHash {
    package static func hash(_ bytes: Span<UInt8>) -> UInt64 { hash(bytes.bytes) }

    package static func hash(_ bytes: RawSpan) -> UInt64 {
        var (a, b, c, d) = seeds
        var offset = 0
        while offset + 32 <= bytes.byteCount {
            a = step(a, loadWord(bytes, at: offset))
            b = step(b, loadWord(bytes, at: offset + 8))
            c = step(c, loadWord(bytes, at: offset + 16))
            d = step(d, loadWord(bytes, at: offset + 24))
            offset += 32
        }
        if offset < bytes.byteCount {
            var words: [UInt64] = [0, 0, 0, 0]
            for index in offset..<bytes.byteCount {
                let place = index - offset
                words[place / 8] |= UInt64(loadByte(bytes, at: index)) << UInt64(place % 8 * 8)
            }
            a = step(a, words[0])
            b = step(b, words[1])
            c = step(c, words[2])
            d = step(d, words[3])
        }
        return [a, b, c, d].reduce(UInt64(bytes.byteCount)) { mix($0 ^ $1) }
    }

    private static let seeds: (UInt64, UInt64, UInt64, UInt64) = (
        0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344, 0xA409_3822_299F_31D0, 0x082E_FA98_EC4E_6C89
    )

    @inline(__always)
    private static func step(_ lane: UInt64, _ word: UInt64) -> UInt64 {
        let mixed = lane ^ (word &* 0x9E37_79B1_85EB_CA87)
        return ((mixed << 29) | (mixed >> 35)) &* 0xC2B2_AE3D_27D4_EB4F
    }

    @inline(__always)
    static func mix(_ value: UInt64) -> UInt64 {
        var h = value
        h = (h ^ (h >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        h = (h ^ (h >> 33)) &* 0xC4CE_B9FE_1A85_EC53
        return h ^ (h >> 33)
    }
}
