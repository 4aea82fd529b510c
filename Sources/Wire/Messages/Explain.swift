package import ByteCoding

/// EXPLAIN: why a customer is in a segment and not in the next one.
///
///      0  u8 idKind   1  u8 zero   2  u16 nameBytes   4  u32 zero
///      8  the id as in OFFER_PRODUCTS, then the name of the segmentation
package struct ExplainRequest: Sendable, Equatable {
    package var id: EntityID
    /// 1 … 4,096 bytes.
    package var segmentation: String

    package init(id: EntityID, segmentation: String) {
        self.id = id
        self.segmentation = segmentation
    }

    package func encode(into writer: inout ByteWriter) {
        let name = ByteWriter.clipped(segmentation, to: WireLimits.textBytes)
        writer.append(idKind(of: id).rawValue)
        writer.append(UInt8(0))
        writer.append(UInt16(name.utf8.count))
        writer.append(UInt32(0))
        append(id, to: &writer)
        writer.append(contentsOf: name.utf8)
    }

    package init(decoding body: RawSpan, limits: WireLimits = .standard) throws(WireError) {
        let kind = try readIDKind(body, at: 0)
        try body.requireZero(at: 1, count: 1)
        let nameBytes = try body.readCount(
            .segmentation, at: 2, as: UInt16.self, limit: WireLimits.textBytes)
        guard nameBytes >= 1 else {
            throw .valueOutOfRange(
                field: .segmentation, actual: 0, range: 1...Int64(WireLimits.textBytes),
                byteOffset: 2)
        }
        try body.requireZero(at: 4, count: 4)
        var end = 8
        id = try readID(kind, body, at: &end)
        segmentation = try body.readText(.segmentation, at: end, count: nameBytes)
        try body.requireEnd(at: end + nameBytes)
    }
}

/// The answer to EXPLAIN: a stamp, then
///
///      0  i32 segment   4  i32 next segment   8  f64 distance   16  f64 next distance
///     24  u32 known (bit 0 distance, bit 1 next segment, bit 2 next distance)   28  u32 modelVersion
///     32  32 zero bytes; then a table, a row a feature
package struct ExplainResponse: Sendable, Equatable {
    package var stamp: SnapshotStamp
    package var segment: Int32
    /// Nil for rules, and where there is only one segment.
    package var nextSegment: Int32?
    /// To the segments' centroids, in scaled coordinates; nil for rules.
    package var distance: Double?
    package var nextDistance: Double?
    package var modelVersion: UInt32
    package var table: Table

    private static let factBytes = 64

    package init(
        stamp: SnapshotStamp, segment: Int32, nextSegment: Int32?, distance: Double?,
        nextDistance: Double?, modelVersion: UInt32, table: Table
    ) {
        self.stamp = stamp
        self.segment = segment
        self.nextSegment = nextSegment
        self.distance = distance
        self.nextDistance = nextDistance
        self.modelVersion = modelVersion
        self.table = table
    }

    package func encode(bodyStart: Int, into writer: inout ByteWriter) {
        stamp.encode(into: &writer)
        writer.append(segment)
        writer.append(nextSegment ?? 0)
        writer.append(distance ?? 0)
        writer.append(nextDistance ?? 0)
        let known: [Bool] = [distance != nil, nextSegment != nil, nextDistance != nil]
        writer.append(
            known.enumerated().reduce(UInt32(0)) { $0 | ($1.element ? 1 << UInt32($1.offset) : 0) })
        writer.append(modelVersion)
        writer.appendZeros(32)
        table.encode(bodyStart: bodyStart, into: &writer)
    }

    package init(decoding body: RawSpan, limits: WireLimits = .standard) throws(WireError) {
        var start = 0
        stamp = try SnapshotStamp(decoding: body, end: &start)
        segment = try body.read(.segment, at: start)
        let next: Int32 = try body.read(.segment, at: start + 4)
        let distanceBits: UInt64 = try body.read(.distance, at: start + 8)
        let nextBits: UInt64 = try body.read(.distance, at: start + 16)
        let known: UInt32 = try body.read(.options, at: start + 24)
        guard known < 8 else {
            throw .nonzeroReserved(field: .options, byteOffset: start + 24)
        }
        modelVersion = try body.read(.body, at: start + 28)
        try body.requireZero(at: start + 32, count: 32)
        nextSegment = known & 2 != 0 ? next : nil
        distance = known & 1 != 0 ? Double(bitPattern: distanceBits) : nil
        nextDistance = known & 4 != 0 ? Double(bitPattern: nextBits) : nil
        // What is not known is 0.
        for (isKnown, bits, place) in [
            (known & 1 != 0, distanceBits, 8),
            (known & 2 != 0, UInt64(UInt32(bitPattern: next)), 4),
            (known & 4 != 0, nextBits, 16),
        ] where !isKnown && bits != 0 {
            throw .nonzeroReserved(field: .distance, byteOffset: start + place)
        }
        for value in [distance, nextDistance] {
            guard value.map({ $0.isFinite && $0 >= 0 }) ?? true else {
                throw .valueOutOfRange(
                    field: .distance, actual: -1, range: 0...Int64.max, byteOffset: start + 8)
            }
        }
        table = try Table(decoding: body, from: start + Self.factBytes, limits: limits)
    }
}
