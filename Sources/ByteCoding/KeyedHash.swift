/// A 64-bit hash of ids under a key, part of a file format: the same on every machine and in every
/// release. Who does not know the key cannot choose ids that collide.
///
/// All arithmetic is modulo 2^64; `fold(a, b)` is the exclusive or of both halves of the 128-bit
/// product, P = 0x9E3779B97F4A7C15, Q = 0xC2B2AE3D27D4EB4F and `mix` is `StableHash.hash(Int64)`:
/// ```
/// k = mix(key + P), l = mix(key + 2 P)
/// an integer:  fold(fold(id ^ k, P) ^ l, Q)
/// n bytes:     h = k; while more than 16 bytes are left: h = fold(word ^ l, next word ^ h)
///              h = fold(a ^ l, b ^ h); fold(h ^ Q, n ^ l)
/// a, b         n >= 16: the last two words, whatever was read of them already;
///              8 ... 15: the first and the last word; 4 ... 7: the first and the last 32 bits;
///              1 ... 3: first | middle << 8 | last << 16 and 0, middle = byte n / 2; 0: both 0
/// ```
/// Words are little-endian. Source of the folded product: Wang Yi, "wyhash: project report", 2019.
package struct KeyedHash: Sendable {
    @usableFromInline let first: UInt64
    @usableFromInline let second: UInt64

    package init(key: UInt64) {
        first = StableHash.hash(Int64(bitPattern: key &+ Self.p))
        second = StableHash.hash(Int64(bitPattern: key &+ 2 &* Self.p))
    }

    @inlinable @inline(__always)
    package func hash(_ id: Int64) -> UInt64 {
        let folded = Self.fold(UInt64(bitPattern: id) ^ first, Self.p)
        return Self.fold(folded ^ second, Self.q)
    }

    @inlinable @inline(__always)
    package func hash(_ bytes: RawSpan) -> UInt64 { bytes.withUnsafeBytes { hash($0) } }

    @inlinable
    package func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        let count = bytes.count
        var h = first
        var (a, b): (UInt64, UInt64) = (0, 0)
        // Every address is inside the `count` bytes: nil only where there are none.
        if let base = bytes.baseAddress {
            if count >= 16 {
                var offset = 0
                while count &- offset > 16 {
                    h = Self.fold(
                        Self.word(base + offset) ^ second, Self.word(base + offset + 8) ^ h)
                    offset &+= 16
                }
                (a, b) = (Self.word(base + count - 16), Self.word(base + count - 8))
            } else if count >= 8 {
                (a, b) = (Self.word(base), Self.word(base + count - 8))
            } else if count >= 4 {
                (a, b) = (Self.half(base), Self.half(base + count - 4))
            } else if count > 0 {
                a =
                    UInt64(bytes[0]) | UInt64(bytes[count / 2]) << 8 | UInt64(bytes[count - 1])
                    << 16
            }
        }
        return Self.fold(Self.fold(a ^ second, b ^ h) ^ Self.q, UInt64(count) ^ second)
    }

    @usableFromInline static let p: UInt64 = 0x9E37_79B9_7F4A_7C15
    @usableFromInline static let q: UInt64 = 0xC2B2_AE3D_27D4_EB4F

    @inlinable @inline(__always)
    static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.high ^ product.low
    }

    @inlinable @inline(__always)
    static func word(_ place: UnsafeRawPointer) -> UInt64 {
        UInt64(littleEndian: place.loadUnaligned(as: UInt64.self))
    }

    @inlinable @inline(__always)
    static func half(_ place: UnsafeRawPointer) -> UInt64 {
        UInt64(UInt32(littleEndian: place.loadUnaligned(as: UInt32.self)))
    }
}
