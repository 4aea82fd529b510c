import ByteCoding

/// One tag-length-value item of a frame's meta block. Tags with bit 15 set are critical: a reader
/// that does not know one refuses the frame. Other unknown tags are ignored.
///
/// Block: u32 byte count of the items, then the items: u16 tag, u16 byte count, value. At most 32
/// items of 4,096 bytes together; a tag stands at most once.
package enum MetaItem: Sendable, Equatable {
    /// 16 bytes chosen by the client: a repeated request with the same key is done once.
    case idempotencyKey([UInt8])
    /// 1 to 64 bytes that the server repeats in its logs.
    case traceID([UInt8])
    /// 0 bulk, 1 normal, 2 urgent; higher numbers mean urgent.
    case priority(UInt8)
    /// A text for the operator, 1 to 1,024 bytes of UTF-8.
    case warning(String)
    /// When to try again, in milliseconds.
    case retryAfterMilliseconds(UInt32)
    /// Where the server's time went, in microseconds.
    case timings(queueMicroseconds: UInt32, computeMicroseconds: UInt32, encodeMicroseconds: UInt32)
    /// Which labelled snapshot shall answer; 1 to 64 bytes of UTF-8. In requests that take one.
    case modelLabel(String)
    /// Any tag, for tests and for the deliberate junk of HELLO. Never produced by decoding.
    case raw(tag: UInt16, bytes: [UInt8])

    package static let criticalBit: UInt16 = 0x8000
    package static let modelLabelTag: UInt16 = 0x8004
    /// The junk tag of this implementation. 0x7F00 … 0x7FFF are never assigned.
    package static let junk = MetaItem.raw(tag: 0x7F2A, bytes: [0xD7, 0x50, 0x00])

    package var tag: UInt16 {
        switch self {
        case .idempotencyKey: 1
        case .traceID: 2
        case .priority: 3
        case .warning: 4
        case .retryAfterMilliseconds: 5
        case .timings: 6
        case .modelLabel: Self.modelLabelTag
        case .raw(let tag, _): tag
        }
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(tag)
        let lengthOffset = writer.count
        writer.append(UInt16(0))
        switch self {
        case .idempotencyKey(let bytes), .traceID(let bytes), .raw(_, let bytes):
            writer.append(contentsOf: bytes)
        case .priority(let value): writer.append(value)
        case .warning(let text), .modelLabel(let text): writer.append(contentsOf: text.utf8)
        case .retryAfterMilliseconds(let value): writer.append(value)
        case .timings(let queue, let compute, let encode):
            writer.append(queue)
            writer.append(compute)
            writer.append(encode)
        }
        writer.overwrite(
            UInt16(truncatingIfNeeded: writer.count - lengthOffset - 2), at: lengthOffset)
    }

    /// Reads the block at the start of `payload` and returns its byte count.
    /// - Parameter takesLabel: whether the frame may name a label; elsewhere the tag is not known.
    static func decode(
        _ payload: RawSpan, takesLabel: Bool, into items: inout [MetaItem]
    ) throws(WireError) -> Int {
        guard let byteCount = payload.integer(at: 0, as: UInt32.self).map({ Int($0) }),
            byteCount <= payload.byteCount - 4
        else {
            throw .invalidMeta(
                field: .metaBytes, actual: payload.byteCount, limit: 4, byteOffset: 0)
        }
        guard byteCount <= WireLimits.metaBytes else {
            throw .invalidMeta(
                field: .metaBytes, actual: byteCount, limit: WireLimits.metaBytes, byteOffset: 0)
        }
        let end = 4 + byteCount
        var offset = 4
        var seen: [UInt16] = []
        while offset < end {
            guard offset <= end - 4, let tag = payload.integer(at: offset, as: UInt16.self),
                let length = payload.integer(at: offset + 2, as: UInt16.self).map({ Int($0) }),
                length <= end - offset - 4
            else {
                throw .invalidMeta(
                    field: .metaItem, actual: end - offset, limit: 4, byteOffset: offset)
            }
            guard seen.count < WireLimits.metaItems, !seen.contains(tag) else {
                throw .invalidMeta(
                    field: .metaItem, actual: Int(tag), limit: WireLimits.metaItems,
                    byteOffset: offset)
            }
            seen.append(tag)
            let value = payload.extracting(offset + 4..<offset + 4 + length)
            if let item = try decodeItem(tag, value, takesLabel, at: offset) {
                items.append(item)
            }
            offset += 4 + length
        }
        return end
    }

    private static func decodeItem(
        _ tag: UInt16, _ value: RawSpan, _ takesLabel: Bool, at offset: Int
    ) throws(WireError) -> MetaItem? {
        let item: MetaItem?
        switch tag {
        case 1: item = value.byteCount == 16 ? bytes(value).map(MetaItem.idempotencyKey) : nil
        case 2:
            item = (1...64).contains(value.byteCount) ? bytes(value).map(MetaItem.traceID) : nil
        case 3:
            item = value.byteCount == 1 ? value.integer(at: 0).map(MetaItem.priority) : nil
        case 4:
            item =
                (1...1_024).contains(value.byteCount)
                ? value.text(at: 0, count: value.byteCount).map(MetaItem.warning) : nil
        case 5:
            item =
                value.byteCount == 4
                ? value.integer(at: 0).map(MetaItem.retryAfterMilliseconds)
                : nil
        case 6:
            if value.byteCount == 12, let queue = value.integer(at: 0, as: UInt32.self),
                let compute = value.integer(at: 4, as: UInt32.self),
                let encode = value.integer(at: 8, as: UInt32.self)
            {
                item = .timings(
                    queueMicroseconds: queue, computeMicroseconds: compute,
                    encodeMicroseconds: encode)
            } else {
                item = nil
            }
        case modelLabelTag where takesLabel:
            item =
                (1...WireLimits.labelBytes).contains(value.byteCount)
                ? value.text(at: 0, count: value.byteCount).map(MetaItem.modelLabel) : nil
        default:
            guard tag & criticalBit == 0 else {
                throw .unsupportedTag(actual: tag, byteOffset: offset)
            }
            return nil
        }
        guard let item else {
            throw .invalidMeta(
                field: .metaItem, actual: value.byteCount, limit: Int(tag), byteOffset: offset)
        }
        return item
    }

    private static func bytes(_ value: RawSpan) -> [UInt8]? {
        value.lanes(at: 0, count: value.byteCount)
    }
}
