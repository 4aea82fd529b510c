import ByteCoding

/// Reads header fields one after the other; knows where in the file it stands.
struct ByteCursor {
    let path: String
    let bytes: [UInt8]
    /// The file's offset of `bytes[0]`.
    let base: Int
    private(set) var offset = 0

    init(path: String, bytes: [UInt8], base: Int) {
        self.path = path
        self.bytes = bytes
        self.base = base
    }

    var isAtEnd: Bool { offset == bytes.count }

    mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type
    ) throws(StoreError) -> T {
        guard let value = bytes.span.bytes.integer(at: offset, as: type) else {
            throw truncated(MemoryLayout<T>.size)
        }
        offset += MemoryLayout<T>.size
        return value
    }

    /// A UInt64 that must be at most `limit` (itself below Int.max).
    mutating func count(_ what: String, limit: Int) throws(StoreError) -> Int {
        let start = offset
        return try bounded(try integer(UInt64.self), what, limit, at: start)
    }

    /// A UInt32 that must be at most `limit`.
    mutating func shortCount(_ what: String, limit: Int) throws(StoreError) -> Int {
        let start = offset
        return try bounded(UInt64(try integer(UInt32.self)), what, limit, at: start)
    }

    mutating func slice(_ count: Int) throws(StoreError) -> ArraySlice<UInt8> {
        guard count <= bytes.count - offset else { throw truncated(count) }
        defer { offset += count }
        return bytes[offset..<offset + count]
    }

    mutating func text(_ count: Int) throws(StoreError) -> String {
        let start = offset
        let slice = try slice(count)
        let text = String(decoding: slice, as: UTF8.self)
        guard text.utf8.elementsEqual(slice) else {
            throw corrupt("a name is not UTF-8", at: start)
        }
        return text
    }

    mutating func reserved(_ count: Int) throws(StoreError) {
        let start = offset
        guard try slice(count).allSatisfy({ $0 == 0 }) else {
            throw corrupt("reserved bytes are not zero", at: start)
        }
    }

    /// - Parameter position: within `bytes`; the current one where nil.
    func corrupt(_ reason: String, at position: Int? = nil) -> StoreError {
        .corrupt(path: path, byteOffset: base + (position ?? offset), reason: reason)
    }

    private func truncated(_ needed: Int) -> StoreError {
        .truncated(
            path: path, byteOffset: base + offset, actual: base + bytes.count,
            expected: base + offset + needed)
    }

    private func bounded(
        _ value: UInt64, _ what: String, _ limit: Int, at position: Int
    ) throws(StoreError) -> Int {
        guard value <= UInt64(limit) else {
            throw .limitExceeded(
                path: path, byteOffset: base + position, what: what,
                actual: Int(clamping: value), limit: limit)
        }
        return Int(value)
    }
}

/// CRC-32C of a header whose own checksum field, four bytes at `position`, counts as zeros.
func headerChecksum(_ header: [UInt8], fieldAt position: Int) -> UInt32 {
    var crc = CRC32C()
    let bytes = header.span.bytes
    crc.add(bytes.extracting(0..<position))
    crc.add([0, 0, 0, 0])
    crc.add(bytes.extracting(position + 4..<bytes.byteCount))
    return crc.value
}

extension Int {
    /// The next multiple of `alignment`, a power of two.
    func roundedUp(to alignment: Int) -> Int { (self + alignment - 1) & -alignment }
}

extension MappedFile {
    /// - Throws: `StoreError.corrupt` unless every byte of the range is zero.
    func requireZeros(_ range: Range<Int>) throws(StoreError) {
        let padding = try bytes(at: range.lowerBound, count: range.count)
        if let index = padding.firstIndex(where: { $0 != 0 }) {
            throw .corrupt(
                path: path, byteOffset: range.lowerBound + index, reason: "padding is not zero")
        }
    }

    /// - Throws: `StoreError.checksumMismatch` unless the range has this CRC-32C.
    func requireChecksum(
        _ expected: UInt32, at byteOffset: Int, count: Int, part: @autoclosure () -> String
    ) throws(StoreError) {
        let actual = try withBytes(at: byteOffset, count: count) { CRC32C.checksum($0) }
        guard actual == expected else {
            throw .checksumMismatch(
                path: path, byteOffset: byteOffset, part: part(), actual: actual,
                expected: expected)
        }
    }

    /// Checks magic and version, the first 12 bytes of every binary format here.
    /// - Returns: the version.
    @discardableResult
    func requireFormat(
        magic: [UInt8], versions: ClosedRange<UInt32>, name: String, minimumByteCount: Int
    ) throws(StoreError) -> UInt32 {
        let prefix = try bytes(at: 0, count: Swift.min(byteCount, magic.count))
        guard prefix == Array(magic.prefix(prefix.count)), !prefix.isEmpty else {
            throw .notAStoreFile(path: path, expected: name)
        }
        guard byteCount >= minimumByteCount else {
            throw .truncated(
                path: path, byteOffset: 0, actual: byteCount, expected: minimumByteCount)
        }
        var cursor = ByteCursor(
            path: path, bytes: try bytes(at: magic.count, count: 4), base: magic.count)
        let actual = try cursor.integer(UInt32.self)
        guard versions.contains(actual) else {
            throw .unsupportedVersion(
                path: path, actual: Int(actual), expected: Int(versions.upperBound))
        }
        return actual
    }
}
