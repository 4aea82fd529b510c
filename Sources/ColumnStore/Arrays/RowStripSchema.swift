#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The fields of a row strip's records.
///
/// A record is `stride` bytes: validity words (bit k of word k / 64: field k has a value), then a
/// status byte and seven zeros, then the fields at their offsets, then zeros.
package struct RowStripSchema: Codable, Sendable, Equatable {
    package enum FieldType: String, Codable, Sendable, CaseIterable {
        case float32, float64, int32, int64

        package var byteCount: Int {
            switch self {
            case .float32, .int32: 4
            case .float64, .int64: 8
            }
        }
    }

    package struct Field: Codable, Sendable, Equatable {
        /// The number by which the wire names it; unique.
        package let id: UInt16
        /// Unique.
        package let name: String
        /// Such as `days`, `GBP` or `1`.
        package let unit: String
        package let type: FieldType
        /// Bytes from the start of the record, a multiple of the type's size.
        package let offset: Int
    }

    package let fields: [Field]
    /// Bytes a record: 16, 32 or a multiple of 64, so that small records never straddle two
    /// cache lines and large ones start on one.
    package let stride: Int
    /// Validity words at the start of a record: one for every 64 fields, at least one.
    package let validityWordCount: Int

    /// Where the status byte is.
    package var statusOffset: Int { validityWordCount * 8 }

    /// Lays out fields: eight-byte ones first, then four-byte ones, each in the given order.
    init(layingOut fields: [(id: UInt16, name: String, unit: String, type: FieldType)]) {
        validityWordCount = Swift.max(1, (fields.count + 63) / 64)
        let dataOffset = validityWordCount * 8 + 8
        let wideCount = fields.count { $0.type.byteCount == 8 }
        var nextWide = dataOffset
        var nextNarrow = dataOffset + wideCount * 8
        var laidOut: [Field] = []
        for field in fields {
            let isWide = field.type.byteCount == 8
            laidOut.append(
                Field(
                    id: field.id, name: field.name, unit: field.unit, type: field.type,
                    offset: isWide ? nextWide : nextNarrow))
            if isWide { nextWide += 8 } else { nextNarrow += 4 }
        }
        self.fields = laidOut
        stride =
            switch nextNarrow {
            case ...16: 16
            case ...32: 32
            default: nextNarrow.roundedUp(to: 64)
            }
    }

    /// The position of a field in `fields`.
    package func index(ofID id: UInt16) -> Int? { fields.firstIndex { $0.id == id } }

    package func index(named name: String) -> Int? { fields.firstIndex { $0.name == name } }

    /// Why no record can have this layout, or nil.
    var flaw: String? {
        guard fields.count <= Limits.stripFieldCount else { return "too many fields" }
        guard validityWordCount == Swift.max(1, (fields.count + 63) / 64) else {
            return "\(validityWordCount) validity words do not fit \(fields.count) fields"
        }
        guard stride > 0, stride <= 1 << 20, stride % 8 == 0 else {
            return "a stride of \(stride) bytes is not allowed"
        }
        guard Set(fields.map(\.id)).count == fields.count,
            Set(fields.map(\.name)).count == fields.count
        else { return "a field's id or name is repeated" }
        var end = statusOffset + 8
        for field in fields.sorted(by: { $0.offset < $1.offset }) {
            guard field.offset >= end, field.offset % field.type.byteCount == 0,
                field.offset <= stride - field.type.byteCount
            else { return "field \(field.name) overlaps another or leaves the record" }
            end = field.offset + field.type.byteCount
        }
        return end <= stride ? nil : "the record is too short"
    }

    /// JSON with sorted keys.
    func encoded() -> [UInt8]? {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { Array($0) }
    }

    init?(decoding bytes: [UInt8]) {
        guard let schema = try? JSONDecoder().decode(Self.self, from: Data(bytes)) else {
            return nil
        }
        self = schema
    }
}
