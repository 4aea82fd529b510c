import ByteCoding

// A body is read by these functions with an explicit offset: every read is checked against the
// body's end, and says which field it was for.
extension RawSpan {
    @inline(__always)
    func read<T: FixedWidthInteger & BitwiseCopyable>(
        _ field: WireField, at offset: Int, as type: T.Type = T.self
    ) throws(WireError) -> T {
        guard let value = integer(at: offset, as: T.self) else {
            throw .truncatedBody(
                field: field, end: offset + MemoryLayout<T>.size, bodyBytes: byteCount)
        }
        return value
    }

    /// A count of at most `limit`.
    @inline(__always)
    func readCount<T: FixedWidthInteger & BitwiseCopyable>(
        _ field: WireField, at offset: Int, as type: T.Type, limit: Int
    ) throws(WireError) -> Int {
        let value = Int(truncatingIfNeeded: try read(field, at: offset, as: T.self))
        guard value >= 0, value <= limit else {
            throw .tooManyItems(field: field, actual: value, limit: limit, byteOffset: offset)
        }
        return value
    }

    func requireZero(
        _ field: WireField = .reserved, at offset: Int, count: Int
    ) throws(WireError) {
        for place in offset..<offset + count where try read(field, at: place, as: UInt8.self) != 0 {
            throw .nonzeroReserved(field: field, byteOffset: place)
        }
    }

    func readText(
        _ field: WireField, at offset: Int, count: Int
    ) throws(WireError) -> String {
        try requireBytes(field, at: offset, count: count)
        guard let text = text(at: offset, count: count) else {
            throw .invalidText(field: field, byteOffset: offset)
        }
        return text
    }

    func readBytes(
        _ field: WireField, at offset: Int, count: Int
    ) throws(WireError) -> [UInt8] {
        guard let bytes = lanes(at: offset, count: count, as: UInt8.self) else {
            throw .truncatedBody(field: field, end: offset + count, bodyBytes: byteCount)
        }
        return bytes
    }

    func requireBytes(_ field: WireField, at offset: Int, count: Int) throws(WireError) {
        guard count <= byteCount - offset else {
            throw .truncatedBody(field: field, end: offset + count, bodyBytes: byteCount)
        }
    }

    func requireEnd(at end: Int) throws(WireError) {
        guard byteCount == end else { throw .trailingBytes(actual: byteCount, expected: end) }
    }
}

extension ByteWriter {
    /// The longest prefix of `text` of at most `limit` bytes that ends between characters.
    static func clipped(_ text: String, to limit: Int) -> String {
        if text.utf8.count <= limit { return text }
        var result = ""
        var byteCount = 0
        for scalar in text.unicodeScalars {
            byteCount += UTF8.width(scalar)
            if byteCount > limit { break }
            result.unicodeScalars.append(scalar)
        }
        return result
    }
}
