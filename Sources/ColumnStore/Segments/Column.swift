package import ByteCoding

/// The type of a column; the raw value is what a segment file holds.
package enum ColumnType: UInt8, Sendable, Equatable, CaseIterable {
    case int64 = 1
    case float32, float64, text
}

/// Name, type and unit of a column.
package struct ColumnSchema: Sendable, Equatable {
    package let name: String
    package let type: ColumnType
    /// Such as `s`, `GBP/10000` or `1`; empty for ids and texts.
    package let unit: String
    /// Whether values are looked up one by one: written without LZ4 and only by encodings with
    /// random access. Files of version 1 do not know it.
    package let isHot: Bool

    package init(name: String, type: ColumnType, unit: String = "", isHot: Bool = false) {
        self.name = name
        self.type = type
        self.unit = unit
        self.isHot = isHot
    }
}

/// The values of a column; `text` and `coded` are two forms of the type text.
package enum ColumnData: Sendable, Equatable {
    case coded(CodedText)
    case float32([Float])
    case float64([Double])
    case int64([Int64])
    case text(TextArray)

    package var count: Int {
        switch self {
        case .coded(let values): values.count
        case .float32(let values): values.count
        case .float64(let values): values.count
        case .int64(let values): values.count
        case .text(let values): values.count
        }
    }

    package var type: ColumnType {
        switch self {
        case .coded, .text: .text
        case .float32: .float32
        case .float64: .float64
        case .int64: .int64
        }
    }
}

/// A named column or a part of one.
package struct Column: Sendable, Equatable {
    package var name: String
    /// Rows without a value hold 0, an empty text or the missing code when they come from a file.
    package var data: ColumnData
    /// Which rows have a value; all where nil. A missing code in `coded` means no value as well.
    package var validity: [Bool]?

    package init(name: String, data: ColumnData, validity: [Bool]? = nil) {
        self.name = name
        self.data = data
        self.validity = validity
    }

    package var count: Int { data.count }
}

/// What is known about a block of a column without decoding it.
package struct ZoneMap: Sendable, Equatable {
    package enum Bounds: Sendable, Equatable {
        /// Of float32 and float64 columns; NaN is not counted and -0 is below +0.
        case float64(minimum: Double, maximum: Double)
        case int64(minimum: Int64, maximum: Int64)
        /// The first eight bytes of the smallest and largest text as a big-endian number, shorter
        /// texts filled with zeros: a text lies outside if its own prefix does.
        case textPrefix(minimum: UInt64, maximum: UInt64)
    }

    package let rowCount: Int
    package let nullCount: Int
    /// Nil where no row has a value (or all are NaN).
    package let bounds: Bounds?

    package init(rowCount: Int, nullCount: Int, bounds: Bounds?) {
        self.rowCount = rowCount
        self.nullCount = nullCount
        self.bounds = bounds
    }
}

/// The first eight bytes of a text as in `ZoneMap.Bounds.textPrefix`.
package func textPrefix(_ utf8: some Sequence<UInt8>) -> UInt64 {
    var prefix: UInt64 = 0
    var count = 0
    for byte in utf8.prefix(8) {
        prefix = prefix << 8 | UInt64(byte)
        count += 1
    }
    return count == 0 ? 0 : prefix << UInt64((8 - count) * 8)
}
