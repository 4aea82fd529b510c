/// Builds little-endian bytes.
package struct ByteWriter: Sendable {
    private var storage: [UInt8] = []

    package init() {}

    package var bytes: [UInt8] { storage }
    package var count: Int { storage.count }

    package mutating func append<T: FixedWidthInteger>(_ value: T) { appendBytes(value) }

    // The generic form is not specialised in other modules and costs some 30 ns there, which an
    // answer of forty fields notices; these cost 2 ns.
    package mutating func append(_ value: UInt8) { storage.append(value) }
    package mutating func append(_ value: UInt16) { appendBytes(value) }
    package mutating func append(_ value: UInt32) { appendBytes(value) }
    package mutating func append(_ value: UInt64) { appendBytes(value) }

    @inline(__always)
    private mutating func appendBytes<T: FixedWidthInteger>(_ value: T) {
        Swift.withUnsafeBytes(of: value.littleEndian) { storage.append(contentsOf: $0) }
    }

    package mutating func append(_ value: Float) { append(value.bitPattern) }
    package mutating func append(_ value: Double) { append(value.bitPattern) }
    package mutating func append(contentsOf other: [UInt8]) { storage.append(contentsOf: other) }
    package mutating func append(contentsOf other: some Sequence<UInt8>) {
        storage.append(contentsOf: other)
    }

    /// Appends `count` zeros.
    package mutating func appendZeros(_ count: Int) {
        // A slice of zeros is copied at once; `repeatElement` goes byte by byte, seven times slower.
        var missing = count
        while missing > 0 {
            let step = min(missing, Self.zeros.count)
            storage.append(contentsOf: Self.zeros[..<step])
            missing -= step
        }
    }

    private static let zeros = [UInt8](repeating: 0, count: 4_096)

    package mutating func reserveCapacity(_ byteCount: Int) { storage.reserveCapacity(byteCount) }

    /// Forgets the bytes and keeps their memory for the next use.
    package mutating func removeAll() { storage.removeAll(keepingCapacity: true) }

    /// Forgets the bytes from `offset` on. Valid: 0 … count.
    package mutating func truncate(to offset: Int) {
        storage.removeLast(storage.count - offset)
    }

    /// Appends zeros until the count is a multiple of `alignment`.
    package mutating func pad(to alignment: Int) {
        let excess = storage.count % alignment
        if excess != 0 { appendZeros(alignment - excess) }
    }

    /// CRC-32C of the bytes written so far in `range`.
    package func checksum(of range: Range<Int>) -> UInt32 {
        storage.withUnsafeBytes {
            var crc = CRC32C()
            crc.add(UnsafeRawBufferPointer(rebasing: $0[range]))
            return crc.value
        }
    }

    /// Replaces bytes written before, for a length or checksum known only afterwards.
    /// Precondition: the bytes at `offset` have been written.
    package mutating func overwrite<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        overwriteBytes(value, at: offset)
    }

    package mutating func overwrite(_ value: UInt16, at offset: Int) {
        overwriteBytes(value, at: offset)
    }
    package mutating func overwrite(_ value: UInt32, at offset: Int) {
        overwriteBytes(value, at: offset)
    }
    package mutating func overwrite(_ value: UInt64, at offset: Int) {
        overwriteBytes(value, at: offset)
    }
    /// Replaces 16 bytes by two words.
    package mutating func overwrite(_ first: UInt64, _ second: UInt64, at offset: Int) {
        overwriteBytes(UInt128(second) << 64 | UInt128(first), at: offset)
    }

    @inline(__always)
    private mutating func overwriteBytes<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        precondition(
            offset >= 0 && offset <= storage.count - MemoryLayout<T>.size,
            "only written bytes can be replaced")
        Swift.withUnsafeBytes(of: value.littleEndian) { new in
            storage.withUnsafeMutableBytes { bytes in
                UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<offset + new.count])
                    .copyMemory(from: new)
            }
        }
    }
}

extension RawSpan {
    /// The little-endian integer at `offset`, or nil where it would reach outside the span.
    @inlinable package func integer<T: FixedWidthInteger & BitwiseCopyable>(
        at offset: Int, as type: T.Type = T.self
    ) -> T? {
        guard offset >= 0, offset <= byteCount - MemoryLayout<T>.size else { return nil }
        return T(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: T.self))
    }

    /// The float at `offset`, or nil where it would reach outside the span.
    @inlinable package func float(at offset: Int) -> Float? {
        integer(at: offset, as: UInt32.self).map(Float.init(bitPattern:))
    }

    /// The double at `offset`, or nil where it would reach outside the span.
    @inlinable package func double(at offset: Int) -> Double? {
        integer(at: offset, as: UInt64.self).map(Double.init(bitPattern:))
    }
}
