// Why unsafe: the standard library's only loads from a raw span carry that word in their names. They
// check their bounds; any bytes are a valid integer.

/// The eight bytes at `offset` as a little-endian word. Traps where they reach outside the span.
@inline(__always)
func loadWord(_ bytes: RawSpan, at offset: Int) -> UInt64 {
    UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
}

/// The byte at `offset`. Traps where it is outside the span.
@inline(__always)
func loadByte(_ bytes: RawSpan, at offset: Int) -> UInt8 {
    bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
}
