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
        var hasher = ContentHasher()
        hasher.add(bytes)
        return hasher.value
    }

    fileprivate static let seeds: (UInt64, UInt64, UInt64, UInt64) = (
        0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344, 0xA409_3822_299F_31D0, 0x082E_FA98_EC4E_6C89
    )

    @inline(__always)
    fileprivate static func step(_ lane: UInt64, _ word: UInt64) -> UInt64 {
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

/// `ContentHash` of bytes that come in parts.
package struct ContentHasher: Sendable {
    package private(set) var byteCount = 0
    private var a = ContentHash.seeds.0
    private var b = ContentHash.seeds.1
    private var c = ContentHash.seeds.2
    private var d = ContentHash.seeds.3
    /// The bytes after the last full stripe, fewer than 32.
    private var rest: [UInt8] = []

    package init() {}

    package mutating func add(_ bytes: RawSpan) {
        byteCount += bytes.byteCount
        var offset = 0
        if !rest.isEmpty {
            while offset < bytes.byteCount, rest.count < 32 {
                rest.append(loadByte(bytes, at: offset))
                offset += 1
            }
            guard rest.count == 32 else { return }
            let stripe = rest
            addStripes(stripe.span.bytes, from: 0, to: 32)
            rest.removeAll(keepingCapacity: true)
        }
        let end = offset + (bytes.byteCount - offset) / 32 * 32
        addStripes(bytes, from: offset, to: end)
        for index in end..<bytes.byteCount { rest.append(loadByte(bytes, at: index)) }
    }

    /// The hash of all bytes so far.
    package var value: UInt64 {
        var last = self
        if !rest.isEmpty {
            let padded = rest + [UInt8](repeating: 0, count: 32 - rest.count)
            last.addStripes(padded.span.bytes, from: 0, to: 32)
        }
        var h = UInt64(byteCount)
        for lane in [last.a, last.b, last.c, last.d] { h = ContentHash.mix(h ^ lane) }
        return h
    }

    private mutating func addStripes(_ bytes: RawSpan, from start: Int, to end: Int) {
        var (a, b, c, d) = (a, b, c, d)
        var offset = start
        while offset < end {
            a = ContentHash.step(a, loadWord(bytes, at: offset))
            b = ContentHash.step(b, loadWord(bytes, at: offset + 8))
            c = ContentHash.step(c, loadWord(bytes, at: offset + 16))
            d = ContentHash.step(d, loadWord(bytes, at: offset + 24))
            offset += 32
        }
        (self.a, self.b, self.c, self.d) = (a, b, c, d)
    }
}
