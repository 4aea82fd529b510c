package import ByteCoding

/// ERASE: everything of some customers goes for good.
///
///      0  u8 idKind (1 integer, 2 text)   1  3 zero   4  u32 idCount
///      8  integer ids: i64 each
///         text ids: u32 offsets (idCount + 1), then their UTF-8
///
/// The frame's meta block has an idempotency key.
package struct EraseRequest: Sendable, Equatable {
    /// 1 … as many as a LOOKUP may have.
    package var ids: IDColumn

    package init(ids: IDColumn) { self.ids = ids }

    package func encode(into writer: inout ByteWriter) {
        LookupRequest(ids: ids).encode(into: &writer)
    }

    /// The body is that of a LOOKUP without options that names no columns.
    package init(decoding body: RawSpan, limits: WireLimits = .standard) throws(WireError) {
        _ = try readIDKind(body, at: 0)
        try body.requireZero(at: 1, count: 3)
        ids = try LookupRequest(decoding: body, limits: limits).ids
    }
}

/// The answer to ERASE, its receipt: a stamp, then
///
///      0  u64 sequence    8  i64 erasedAt, seconds since 1970-01-01T00:00Z   16  u8 isRepeat   17  47 zero
///     64  a table with a row an id of the request, in its order: erasureFound
package struct EraseResponse: Sendable, Equatable {
    package var stamp: SnapshotStamp
    /// The number of the erasure among all records of the workspace's log.
    package var sequence: UInt64
    /// When it was asked for the first time; seconds since 1970-01-01T00:00Z.
    package var erasedAt: Int64
    /// Whether the key had come before: nothing was erased now.
    package var isRepeat: Bool
    /// Raw values of `ErasureFound`.
    package var found: Table

    package static let factBytes = 64

    package init(
        stamp: SnapshotStamp, sequence: UInt64, erasedAt: Int64, isRepeat: Bool,
        found: [ErasureFound]
    ) {
        self.stamp = stamp
        self.sequence = sequence
        self.erasedAt = erasedAt
        self.isRepeat = isRepeat
        self.found = Table(
            rowCount: found.count,
            columns: [WireColumn(.erasureFound, .int32(found.map(\.rawValue)))])
    }

    package func encode(bodyStart: Int, into writer: inout ByteWriter) {
        stamp.encode(into: &writer)
        writer.append(sequence)
        writer.append(erasedAt)
        writer.append(UInt8(isRepeat ? 1 : 0))
        writer.appendZeros(Self.factBytes - 17)
        found.encode(bodyStart: bodyStart, into: &writer)
    }

    package init(decoding body: RawSpan, limits: WireLimits = .standard) throws(WireError) {
        var start = 0
        stamp = try SnapshotStamp(decoding: body, end: &start)
        sequence = try body.read(.sequence, at: start)
        erasedAt = try body.read(.erasedAt, at: start + 8)
        let flag: UInt8 = try body.read(.isRepeat, at: start + 16)
        guard flag <= 1 else {
            throw .valueOutOfRange(
                field: .isRepeat, actual: Int64(flag), range: 0...1, byteOffset: start + 16)
        }
        isRepeat = flag == 1
        try body.requireZero(at: start + 17, count: Self.factBytes - 17)
        found = try Table(decoding: body, from: start + Self.factBytes, limits: limits)
    }
}

/// What a server had of a customer who is erased. A reader ignores bits that it does not know.
package struct ErasureFound: OptionSet, Sendable, Hashable {
    package let rawValue: Int32
    package init(rawValue: Int32) { self.rawValue = rawValue }

    /// A row of the snapshot of the stamp.
    package static let snapshot = ErasureFound(rawValue: 1 << 0)
    /// Purchase lines that were appended since it was scored.
    package static let live = ErasureFound(rawValue: 1 << 1)
}
