package import ByteCoding

/// Writes a table (protocol/WIRE.md, "Table") into a body, a column at a time, straight into the
/// frame's buffer. All columns announced must be added before the frame is finished.
///
/// Layout, offsets from the first byte of the body; the table itself begins at a multiple of 64
/// (or at 0):
///
///     table + 0   u32 rowCount   u16 columnCount   u16 descriptorBytes = 32
///           + 8   u8 subjectStatus   7 zero bytes
///           + 16  descriptors, 32 bytes each
///                 u16 id  u8 type  u8 encoding  u8 flags  3 zero
///                 plain:     u32 validityOffset  u32 valuesOffset  u32 valuesBytes
///                            u32 textOffset  u32 textBytes  4 zero
///                 constant:  u64 value, 16 zero
///     then the buffers, each at a multiple of 64
///
/// A single customer's answer has one row, so every number is a constant: 32 bytes a column, no
/// buffer.
package struct TableWriter: Sendable {
    package let rowCount: Int
    package let columnCount: Int
    private let bodyStart: Int
    private var descriptorOffset: Int
    /// Where the next column's descriptor begins in the writer.
    package var nextDescriptor: Int { descriptorOffset }

    package static let headerBytes = 16
    package static let descriptorBytes = 32
    /// Within the descriptor of a constant column: its flags, u8, and its value, u64.
    package static let flagsOffset = 4
    package static let constantValueOffset = 8

    /// Appends the table's header and room for its descriptors.
    ///
    /// - bodyStart: where the body begins in `writer` (`OpenFrame.bodyStart`).
    package init(
        rowCount: Int, columnCount: Int, subjectStatus: ScoreStatus = .ok, bodyStart: Int,
        into writer: inout ByteWriter
    ) {
        self.rowCount = rowCount
        self.columnCount = columnCount
        self.bodyStart = bodyStart
        writer.append(UInt32(rowCount))
        writer.append(UInt16(columnCount))
        writer.append(UInt16(Self.descriptorBytes))
        writer.append(UInt64(subjectStatus.rawValue))
        descriptorOffset = writer.count
        writer.appendZeros(columnCount * Self.descriptorBytes)
    }

    /// Adds a column whose rows all hold the same number, or none.
    package mutating func addConstant(
        _ id: ColumnID, _ value: WireConstant, into writer: inout ByteWriter
    ) {
        var flags: UInt8 = 0
        if case .missing = value { flags = ColumnFlags.allMissing }
        writer.overwrite(
            Self.descriptorStart(id, value.type, .constant, flags), value.bits,
            at: descriptorOffset)
        descriptorOffset += Self.descriptorBytes
    }

    /// Adds a column. Constant columns of numbers and columns without a value are written as
    /// such; a bitmap that has every row is left out; lanes of missing rows are written as 0.
    /// Precondition: as many lanes and validity bits as the table has rows.
    package mutating func add(_ column: WireColumn, into writer: inout ByteWriter) {
        precondition(column.values.count == rowCount, "a column has one lane a row")
        precondition(
            column.validity.map { $0.count == rowCount } ?? true, "a bitmap has one bit a row")
        let validCount = column.validity?.validCount ?? rowCount
        if rowCount > 0, validCount == 0 {
            addConstant(column.id, .missing(column.values.type), into: &writer)
            return
        }
        let validity = validCount == rowCount ? nil : column.validity
        if validity == nil, let constant = Self.constant(column.values) {
            addConstant(column.id, constant, into: &writer)
            return
        }
        let place = descriptorOffset
        descriptorOffset += Self.descriptorBytes
        let flags = validity == nil ? 0 : ColumnFlags.hasValidity
        writer.overwrite(
            Self.descriptorStart(column.id, column.values.type, .plain, flags), at: place)
        if let validity {
            writer.alignBody(bodyStart)
            writer.overwrite(UInt32(writer.count - bodyStart), at: place + 8)
            writer.append(lanes: validity.bytes)
        }
        writer.alignBody(bodyStart)
        let start = writer.count
        writer.overwrite(UInt32(start - bodyStart), at: place + 12)
        switch column.values {
        case .int32(let values): append(values, 0, validity, into: &writer)
        case .int64(let values): append(values, 0, validity, into: &writer)
        case .float32(let values): append(values, 0, validity, into: &writer)
        case .float64(let values): append(values, 0, validity, into: &writer)
        case .text(let texts):
            append(texts, validity, descriptor: place, into: &writer)
            return
        }
        writer.overwrite(UInt32(writer.count - start), at: place + 16)
    }

    /// Adds a column of numbers whose lanes and bitmap are at hand as bytes: the same as `add` of a
    /// `WireColumn`, without one.
    /// - Parameters:
    ///   - lanes: a number a row, little-endian, 0 where the row has none.
    ///   - validity: a bit a row as in `ValidityBitmap`; nil where every row has a value.
    package mutating func add(
        _ id: ColumnID, _ type: ColumnType, lanes: RawSpan, validity: RawSpan?,
        into writer: inout ByteWriter
    ) {
        precondition(type != .text && lanes.byteCount == rowCount * type.stride, "one lane a row")
        var validCount = rowCount
        if let validity {
            precondition(validity.byteCount == (rowCount + 7) / 8, "a bitmap has one bit a row")
            validCount = 0
            for index in validity.byteOffsets {
                validCount += (validity.integer(at: index, as: UInt8.self) ?? 0).nonzeroBitCount
            }
        }
        if rowCount > 0, validCount == 0 {
            addConstant(id, .missing(type), into: &writer)
            return
        }
        let isComplete = validCount == rowCount
        if isComplete, let bits = Self.constant(lanes, type) {
            writer.overwrite(
                Self.descriptorStart(id, type, .constant, 0), bits, at: descriptorOffset)
            descriptorOffset += Self.descriptorBytes
            return
        }
        let place = descriptorOffset
        descriptorOffset += Self.descriptorBytes
        writer.overwrite(
            Self.descriptorStart(id, type, .plain, isComplete ? 0 : ColumnFlags.hasValidity),
            at: place)
        if let validity, !isComplete {
            writer.alignBody(bodyStart)
            writer.overwrite(UInt32(writer.count - bodyStart), at: place + 8)
            writer.append(validity)
        }
        writer.alignBody(bodyStart)
        writer.overwrite(UInt32(writer.count - bodyStart), at: place + 12)
        writer.overwrite(UInt32(lanes.byteCount), at: place + 16)
        writer.append(lanes)
    }

    /// The bits of the one value of all lanes, or nil where two differ or there is none.
    private static func constant(_ lanes: RawSpan, _ type: ColumnType) -> UInt64? {
        func same<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type) -> UInt64? {
            guard let first: T = lanes.integer(at: 0) else { return nil }
            var offset = MemoryLayout<T>.size
            while let other: T = lanes.integer(at: offset) {
                if other != first { return nil }
                offset += MemoryLayout<T>.size
            }
            return UInt64(truncatingIfNeeded: first)
        }
        return type.stride == 8 ? same(UInt64.self) : same(UInt32.self)
    }

    /// The first eight bytes of a descriptor.
    private static func descriptorStart(
        _ id: ColumnID, _ type: ColumnType, _ encoding: ColumnEncoding, _ flags: UInt8
    ) -> UInt64 {
        UInt64(id.rawValue) | UInt64(type.rawValue) << 16 | UInt64(encoding.rawValue) << 24
            | UInt64(flags) << 32
    }

    /// The one value of a column of numbers, or nil where two differ in a bit or there is none.
    private static func constant(_ values: WireValues) -> WireConstant? {
        func same<T, Bits: Equatable>(_ lanes: [T], _ bits: (T) -> Bits) -> T? {
            guard let first = lanes.first else { return nil }
            let wanted = bits(first)
            return lanes.allSatisfy { bits($0) == wanted } ? first : nil
        }
        switch values {
        case .int32(let lanes): return same(lanes) { $0 }.map { .int32($0) }
        case .int64(let lanes): return same(lanes) { $0 }.map { .int64($0) }
        case .float32(let lanes): return same(lanes) { $0.bitPattern }.map { .float32($0) }
        case .float64(let lanes): return same(lanes) { $0.bitPattern }.map { .float64($0) }
        case .text: return nil
        }
    }

    private func append<T: BitwiseCopyable>(
        _ lanes: [T], _ zero: T, _ validity: ValidityBitmap?, into writer: inout ByteWriter
    ) {
        guard let validity else {
            writer.append(lanes: lanes)
            return
        }
        var cleared = lanes
        for row in cleared.indices where !validity[row] { cleared[row] = zero }
        writer.append(lanes: cleared)
    }

    private func append(
        _ texts: TextArray, _ validity: ValidityBitmap?, descriptor place: Int,
        into writer: inout ByteWriter
    ) {
        let start = writer.count
        var textBytes = 0
        writer.append(UInt32(0))
        for row in 0..<rowCount {
            if validity.map({ $0[row] }) ?? true { textBytes += texts.utf8(row).count }
            writer.append(UInt32(textBytes))
        }
        writer.overwrite(UInt32(writer.count - start), at: place + 16)
        writer.alignBody(bodyStart)
        writer.overwrite(UInt32(writer.count - bodyStart), at: place + 20)
        writer.overwrite(UInt32(textBytes), at: place + 24)
        for row in 0..<rowCount where validity.map({ $0[row] }) ?? true {
            writer.append(contentsOf: texts.utf8(row))
        }
    }
}
