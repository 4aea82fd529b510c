/// Builds little-endian bytes.
package struct ByteWriter: Sendable {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package var count: Int { bytes.count }

    package mutating func append<T: FixedWidthInteger>(_ value: T) {
        Swift.withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    package mutating func append(_ value: Float) { append(value.bitPattern) }
    package mutating func append(_ value: Double) { append(value.bitPattern) }
    package mutating func append(contentsOf other: some Sequence<UInt8>) {
        bytes.append(contentsOf: other)
    }

    /// Appends zeros until the count is a multiple of `alignment`.
    package mutating func pad(to alignment: Int) {
        let excess = bytes.count % alignment
        if excess != 0 { bytes.append(contentsOf: repeatElement(0, count: alignment - excess)) }
    }

    /// Replaces bytes written before, for a length or checksum known only afterwards.
    package mutating func overwrite<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        Swift.withUnsafeBytes(of: value.littleEndian) { new in
            for index in new.indices { bytes[offset + index] = new[index] }
        }
    }
}

extension RawSpan {
    /// The little-endian integer at `offset`, or nil where it would reach outside the span.
    package func integer<T: FixedWidthInteger & BitwiseCopyable>(
        at offset: Int, as type: T.Type = T.self
    ) -> T? {
        guard offset >= 0, offset <= byteCount - MemoryLayout<T>.size else { return nil }
        return T(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: T.self))
    }

    /// The float at `offset`, or nil where it would reach outside the span.
    package func float(at offset: Int) -> Float? {
        integer(at: offset, as: UInt32.self).map(Float.init(bitPattern:))
    }

    /// The double at `offset`, or nil where it would reach outside the span.
    package func double(at offset: Int) -> Double? {
        integer(at: offset, as: UInt64.self).map(Double.init(bitPattern:))
    }
}
