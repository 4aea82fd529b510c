package import ByteCoding

/// Customers who are to be erased, as the body of a log's record.
///
/// ```
/// u32 customers n, u8 ids (1 integers, 2 texts), 3 zeros
/// i64 time        UTC seconds
/// ids             i64[n], or texts[n] as in `LoggedLines`; ascending, none twice
/// ```
/// Everything is little-endian. The record is about all lines of the records before it.
package struct LoggedErasure: Sendable, Equatable {
    /// At least one; ascending, none twice.
    package let customerIDs: IDColumn
    /// UTC seconds since 1970 at which it was asked for.
    package let time: Int64

    private static let headerByteCount = 16

    /// - Parameter customerIDs: in any order; one that comes twice is there once.
    package init(customerIDs: IDColumn, time: Int64) {
        let order = (0..<customerIDs.count).sorted { customerIDs.precedes($0, $1) }
        var kept: [Int] = []
        for row in order {
            if let last = kept.last, !customerIDs.precedes(last, row) { continue }
            kept.append(row)
        }
        self.customerIDs = customerIDs.gather(kept)
        self.time = time
    }

    package var count: Int { customerIDs.count }

    /// Tells the customers of one request from those of another, whenever it was sent.
    package var hash: UInt64 {
        let ids = encodedIDs
        return KeyedHash(key: 0x65_7261_7365).hash(ids.span.bytes)
    }

    /// - Throws: `limitExceeded` for ids that take too many bytes.
    func encoded() throws(StoreError) -> [UInt8] {
        let ids = encodedIDs
        guard ids.count + Self.headerByteCount <= Limits.logBodyByteCount,
            count <= Limits.logRowCount
        else {
            throw .limitExceeded(
                path: "an erasure", byteOffset: 0, what: "its byte count",
                actual: ids.count + Self.headerByteCount, limit: Limits.logBodyByteCount)
        }
        var writer = ByteWriter()
        writer.append(UInt32(count))
        switch customerIDs {
        case .integers: writer.append(UInt8(1))
        case .texts: writer.append(UInt8(2))
        }
        writer.appendZeros(3)
        writer.append(time)
        writer.append(contentsOf: ids)
        return writer.bytes
    }

    private var encodedIDs: [UInt8] {
        var writer = ByteWriter()
        switch customerIDs {
        case .integers(let ids): writer.append(lanes: ids)
        case .texts(let texts):
            writer.append(UInt32(clamping: texts.bytes.count))
            writer.append(lanes: texts.offsets.dropFirst().map { UInt32(clamping: $0) })
            writer.append(contentsOf: texts.bytes)
        }
        return writer.bytes
    }

    /// Reads the body of a record.
    /// - Parameters:
    ///   - path: of the file, for errors.
    ///   - base: where the body is in it.
    /// - Throws: `corrupt` for any bytes that `encoded` does not write.
    package init(decoding body: [UInt8], path: String, base: Int) throws(StoreError) {
        func corrupt(_ offset: Int, _ reason: String) -> StoreError {
            .corrupt(path: path, byteOffset: base + offset, reason: reason)
        }
        let raw = body.span.bytes
        guard body.count >= Self.headerByteCount, let word = raw.integer(at: 0, as: UInt32.self),
            let kind = raw.integer(at: 4, as: UInt8.self),
            let time = raw.integer(at: 8, as: Int64.self), kind == 1 || kind == 2,
            body[5..<8].allSatisfy({ $0 == 0 }), word >= 1, word <= UInt32(Limits.logRowCount)
        else { throw corrupt(0, "the head of an erasure is none") }
        let count = Int(word)
        let start = Self.headerByteCount
        let ids: IDColumn
        var end: Int
        if kind == 1 {
            guard let integers = raw.lanes(at: start, count: count, as: Int64.self) else {
                throw corrupt(start, "the body ends too early")
            }
            ids = .integers(integers)
            end = start + count * 8
        } else {
            guard let byteCount = raw.integer(at: start, as: UInt32.self),
                let ends = raw.lanes(at: start + 4, count: count, as: UInt32.self),
                let bytes = raw.lanes(
                    at: start + 4 + count * 4, count: Int(byteCount), as: UInt8.self)
            else { throw corrupt(start, "the body ends too early") }
            guard let texts = TextArray(bytes: bytes, offsets: [0] + ends.map { Int($0) }) else {
                throw corrupt(start, "texts do not fit their ends")
            }
            ids = .texts(texts)
            end = start + 4 + count * 4 + bytes.count
        }
        guard end == body.count else { throw corrupt(end, "bytes are left over") }
        for row in 1..<max(1, count) where !ids.precedes(row - 1, row) {
            throw corrupt(start, "the ids do not ascend")
        }
        customerIDs = ids
        self.time = time
    }
}
