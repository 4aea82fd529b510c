package import ByteCoding

/// TOP_PRODUCTS of a customer and TOP_CUSTOMERS of a product.
///
///     0  u8 idKind   1  u8 options (bit 0: leave out pairs that already bought)   2  u16 zero
///     4  u32 count, 1 … 10,000
///     8  integer id: i64                 text id: u32 byteCount, UTF-8
package struct TopRequest: Sendable, Equatable {
    package var id: EntityID
    /// Results wanted at most. 1 … 10,000.
    package var count: Int
    /// Products the customer has bought (customers that bought the product) are left out.
    package var excludesPurchased: Bool

    package init(id: EntityID, count: Int, excludesPurchased: Bool) {
        self.id = id
        self.count = count
        self.excludesPurchased = excludesPurchased
    }

    package func encode(into writer: inout ByteWriter) {
        let kind: IDKind = if case .integer = id { .integer } else { .text }
        writer.append(kind.rawValue)
        writer.append(UInt8(excludesPurchased ? 1 : 0))
        writer.append(UInt16(0))
        writer.append(UInt32(clamping: count))
        switch id {
        case .integer(let value): writer.append(value)
        case .text(let text):
            writer.append(UInt32(text.utf8.count))
            writer.append(contentsOf: text.utf8)
        }
    }

    package init(decoding body: RawSpan, limits: WireLimits = .standard) throws(WireError) {
        let kind = try readIDKind(body, at: 0)
        excludesPurchased = try readOptions(body, at: 1) == 1
        try body.requireZero(at: 2, count: 2)
        count = try body.readCount(.count, at: 4, as: UInt32.self, limit: limits.topCount)
        guard count >= 1 else {
            throw .valueOutOfRange(
                field: .count, actual: 0, range: 1...Int64(limits.topCount), byteOffset: 4)
        }
        switch kind {
        case .integer:
            id = .integer(try body.read(.id, at: 8))
            try body.requireEnd(at: 16)
        case .text:
            let byteCount = try body.readCount(
                .id, at: 8, as: UInt32.self, limit: WireLimits.idBytes)
            id = .text(try body.readText(.id, at: 12, count: byteCount))
            try body.requireEnd(at: 12 + byteCount)
        }
    }
}

/// SEGMENTS: the segment table of one segmentation or of all; SEGMENT_PROFILES: what the segments
/// are like, likewise.
///
///     0  u16 nameBytes (0: all)   2  u16 zero   4  name
package struct SegmentsRequest: Sendable, Equatable {
    /// Nil for all. At least 1 byte, at most 4,096.
    package var segmentation: String?

    package init(segmentation: String? = nil) { self.segmentation = segmentation }

    package func encode(into writer: inout ByteWriter) {
        let name = ByteWriter.clipped(segmentation ?? "", to: WireLimits.textBytes)
        writer.append(UInt16(name.utf8.count))
        writer.append(UInt16(0))
        writer.append(contentsOf: name.utf8)
    }

    package init(decoding body: RawSpan) throws(WireError) {
        let byteCount = try body.readCount(
            .segmentation, at: 0, as: UInt16.self, limit: WireLimits.textBytes)
        try body.requireZero(at: 2, count: 2)
        let name = try body.readText(.segmentation, at: 4, count: byteCount)
        segmentation = name.isEmpty ? nil : name
        try body.requireEnd(at: 4 + byteCount)
    }
}
