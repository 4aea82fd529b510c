#if _endian(big)
#error("lanes are copied as they lie in memory, which must be little-endian")
#endif

extension RawSpan {
    /// `count` lanes from `offset`, copied at once; nil where they would reach outside the span.
    /// `offset` need not be aligned. `T` is a number whose every bit pattern is a value.
    package func lanes<T: BitwiseCopyable>(
        at offset: Int, count: Int, as type: T.Type = T.self
    ) -> [T]? {
        guard offset >= 0, count >= 0, offset <= byteCount,
            count <= (byteCount - offset) / MemoryLayout<T>.stride
        else { return nil }
        guard count > 0 else { return [] }
        return withUnsafeBytes { source in
            [T](unsafeUninitializedCapacity: count) { target, initialized in
                UnsafeMutableRawBufferPointer(target)
                    .copyMemory(
                        from: UnsafeRawBufferPointer(
                            rebasing: source[offset..<offset + count * MemoryLayout<T>.stride]))
                initialized = count
            }
        }
    }

    /// The text of `count` UTF-8 bytes from `offset`; nil outside the span or for bytes that are
    /// not UTF-8.
    package func text(at offset: Int, count: Int) -> String? {
        guard offset >= 0, count >= 0, offset <= byteCount, count <= byteCount - offset else {
            return nil
        }
        return withUnsafeBytes {
            String(
                validating: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count]),
                as: UTF8.self)
        }
    }
}

extension ByteWriter {
    /// Appends the lanes of `values`, little-endian.
    package mutating func append<T: BitwiseCopyable>(lanes values: [T]) {
        values.withUnsafeBytes { append(contentsOf: $0) }
    }

    /// Appends a copy of `bytes`.
    package mutating func append(bytes: UnsafeRawBufferPointer) { append(contentsOf: bytes) }

    /// Appends a copy of `span`.
    package mutating func append(_ span: RawSpan) {
        span.withUnsafeBytes { append(contentsOf: $0) }
    }
}
