package import ByteCoding

/// A decoded table: rows and columns of an answer. protocol/WIRE.md, "Table".
package struct Table: Sendable, Equatable {
    package var rowCount: Int
    /// Why the customer or product that the whole answer is about has no rows, or 0.
    package var subjectStatus: UInt8
    package var columns: [WireColumn]

    package init(rowCount: Int, subjectStatus: ScoreStatus = .ok, columns: [WireColumn]) {
        self.rowCount = rowCount
        self.subjectStatus = subjectStatus.rawValue
        self.columns = columns
    }

    package subscript(id: ColumnID) -> WireColumn? { columns.first { $0.id == id } }

    /// Appends the table to a body. Precondition: every column has `rowCount` rows.
    package func encode(bodyStart: Int, into writer: inout ByteWriter) {
        var table = TableWriter(
            rowCount: rowCount, columnCount: columns.count,
            subjectStatus: ScoreStatus(rawValue: subjectStatus) ?? .modelNotFitted,
            bodyStart: bodyStart, into: &writer)
        for column in columns { table.add(column, into: &writer) }
    }

    /// Reads the table that begins at `start` of `body` and ends with it. Each lane is copied
    /// once. Columns marked as skippable whose type or encoding is unknown are left out.
    package init(
        decoding body: RawSpan, from start: Int, limits: WireLimits = .standard
    ) throws(WireError) {
        rowCount = try body.readCount(.rowCount, at: start, as: UInt32.self, limit: limits.rows)
        let columnCount = try body.readCount(
            .columnCount, at: start + 4, as: UInt16.self, limit: limits.columns)
        let stride = Int(try body.read(.descriptorBytes, at: start + 6, as: UInt16.self))
        guard stride >= TableWriter.descriptorBytes, stride % 8 == 0 else {
            throw .valueOutOfRange(
                field: .descriptorBytes, actual: Int64(stride), range: 32...65_528,
                byteOffset: start + 6)
        }
        subjectStatus = try body.read(.rowCount, at: start + 8)
        try body.requireZero(at: start + 9, count: 7)
        let directory = start + TableWriter.headerBytes
        try body.requireBytes(.columnDescriptor, at: directory, count: columnCount * stride)
        var reader = ColumnReader(
            rowCount: rowCount, end: directory + columnCount * stride,
            budget: ByteBudget(limits.decodedBytes))
        columns = []
        columns.reserveCapacity(columnCount)
        var seen: Set<ColumnID> = []
        for index in 0..<columnCount {
            let place = directory + index * stride
            let id = ColumnID(rawValue: try body.read(.columnID, at: place))
            guard seen.insert(id).inserted else {
                throw .duplicateColumn(id: id.rawValue, byteOffset: place)
            }
            if let column = try reader.column(id, body, at: place) { columns.append(column) }
        }
        try body.requireEnd(at: reader.end)
    }
}

/// Reads the columns of one table.
private struct ColumnReader {
    let rowCount: Int
    /// Where the furthest buffer ends so far.
    var end: Int
    var budget: ByteBudget

    private let directoryEnd: Int

    init(rowCount: Int, end: Int, budget: ByteBudget) {
        self.rowCount = rowCount
        self.directoryEnd = end
        self.end = end
        self.budget = budget
    }

    mutating func column(
        _ id: ColumnID, _ body: RawSpan, at place: Int
    ) throws(WireError) -> WireColumn? {
        let rawType = try body.read(.columnDescriptor, at: place + 2, as: UInt8.self)
        let rawEncoding = try body.read(.columnDescriptor, at: place + 3, as: UInt8.self)
        let flags = try body.read(.columnDescriptor, at: place + 4, as: UInt8.self)
        try body.requireZero(at: place + 5, count: 3)
        guard flags & ColumnFlags.unknownCritical == 0 else {
            throw .unsupportedEncoding(actual: rawEncoding, byteOffset: place + 4)
        }
        guard let type = ColumnType(rawValue: rawType) else {
            if flags & ColumnFlags.skippable != 0 {
                try skip(body, at: place)
                return nil
            }
            throw .unsupportedType(actual: rawType, byteOffset: place + 2)
        }
        guard let encoding = ColumnEncoding(rawValue: rawEncoding) else {
            if flags & ColumnFlags.skippable != 0 {
                try skip(body, at: place)
                return nil
            }
            throw .unsupportedEncoding(actual: rawEncoding, byteOffset: place + 3)
        }
        switch encoding {
        case .constant: return try constant(id, type, flags, body, at: place)
        case .plain: return try plain(id, type, flags, body, at: place)
        }
    }

    /// The buffers of an unread column still count for where the body ends.
    private mutating func skip(_ body: RawSpan, at place: Int) throws(WireError) {
        let encoding = try body.read(.columnDescriptor, at: place + 3, as: UInt8.self)
        guard encoding != ColumnEncoding.constant.rawValue else { return }
        for (offset, count) in [(12, 16), (20, 24)] {
            let start = Int(try body.read(.values, at: place + offset, as: UInt32.self))
            let byteCount = Int(try body.read(.values, at: place + count, as: UInt32.self))
            if byteCount > 0 { try use(.values, start, byteCount, body, at: place + offset) }
        }
        let validity = Int(try body.read(.validity, at: place + 8, as: UInt32.self))
        if validity > 0 {
            try use(.validity, validity, (rowCount + 7) / 8, body, at: place + 8)
        }
    }

    /// Checks that a buffer is aligned, behind the directory and inside the body.
    private mutating func use(
        _ field: WireField, _ start: Int, _ byteCount: Int, _ body: RawSpan, at place: Int
    ) throws(WireError) {
        guard start % 64 == 0 else {
            throw .misalignedBuffer(field: field, actual: start, byteOffset: place)
        }
        guard start >= directoryEnd, start + byteCount <= body.byteCount else {
            throw .bufferOutsideBody(
                field: field, end: start + byteCount, bodyBytes: body.byteCount,
                byteOffset: place)
        }
        end = max(end, start + byteCount)
    }

    private mutating func constant(
        _ id: ColumnID, _ type: ColumnType, _ flags: UInt8, _ body: RawSpan, at place: Int
    ) throws(WireError) -> WireColumn {
        let isMissing = flags & ColumnFlags.allMissing != 0
        guard flags & ColumnFlags.hasValidity == 0, isMissing || type != .text else {
            throw .unsupportedEncoding(actual: ColumnEncoding.constant.rawValue, byteOffset: place)
        }
        let bits = try body.read(.values, at: place + 8, as: UInt64.self)
        try body.requireZero(at: place + 16, count: 16)
        if isMissing {
            try body.requireZero(.values, at: place + 8, count: 8)
        } else if type.stride == 4 {
            try body.requireZero(.values, at: place + 12, count: 4)
        }
        try budget.charge(
            rowCount, times: type == .text ? MemoryLayout<Int>.stride : type.stride,
            field: .values, at: place)
        let validity = isMissing ? ValidityBitmap(missing: rowCount) : nil
        let low = UInt32(truncatingIfNeeded: bits)
        let values: WireValues
        switch type {
        case .int32:
            values = .int32([Int32](repeating: Int32(bitPattern: low), count: rowCount))
        case .int64:
            values = .int64([Int64](repeating: Int64(bitPattern: bits), count: rowCount))
        case .float32:
            let value = Float(bitPattern: low)
            if !value.isFinite { throw notFinite(id, 0, place + 8) }
            values = .float32([Float](repeating: value, count: rowCount))
        case .float64:
            let value = Double(bitPattern: bits)
            if !value.isFinite { throw notFinite(id, 0, place + 8) }
            values = .float64([Double](repeating: value, count: rowCount))
        case .text: values = .text(TextArray(repeatElement("", count: rowCount)))
        }
        return WireColumn(id, values, validity: validity)
    }

    private mutating func plain(
        _ id: ColumnID, _ type: ColumnType, _ flags: UInt8, _ body: RawSpan, at place: Int
    ) throws(WireError) -> WireColumn {
        let validityOffset = Int(try body.read(.validity, at: place + 8, as: UInt32.self))
        let valuesOffset = Int(try body.read(.values, at: place + 12, as: UInt32.self))
        let valuesBytes = Int(try body.read(.values, at: place + 16, as: UInt32.self))
        guard flags & ColumnFlags.allMissing == 0 else {
            throw .unsupportedEncoding(actual: ColumnEncoding.plain.rawValue, byteOffset: place)
        }
        try body.requireZero(at: place + 28, count: 4)
        let laneCount = type == .text ? rowCount + 1 : rowCount
        guard valuesBytes == laneCount * type.stride else {
            throw .valueOutOfRange(
                field: .values, actual: Int64(valuesBytes),
                range: Int64(laneCount * type.stride)...Int64(laneCount * type.stride),
                byteOffset: place + 16)
        }
        try use(.values, valuesOffset, valuesBytes, body, at: place + 12)
        let validity = try validity(flags, validityOffset, body, at: place + 8)
        if type == .text {
            let texts = try texts(valuesOffset, body, at: place)
            return WireColumn(id, .text(texts), validity: validity)
        }
        try body.requireZero(at: place + 20, count: 8)
        try budget.charge(laneCount, times: type.stride, field: .values, at: place + 16)
        let values: WireValues
        switch type {
        case .int32: values = .int32(body.lanes(at: valuesOffset, count: rowCount) ?? [])
        case .int64: values = .int64(body.lanes(at: valuesOffset, count: rowCount) ?? [])
        case .float32:
            let lanes: [Float] = body.lanes(at: valuesOffset, count: rowCount) ?? []
            if let row = firstNotFinite(lanes, validity) {
                throw notFinite(id, row, valuesOffset + row * 4)
            }
            values = .float32(lanes)
        case .float64:
            let lanes: [Double] = body.lanes(at: valuesOffset, count: rowCount) ?? []
            if let row = firstNotFinite(lanes, validity) {
                throw notFinite(id, row, valuesOffset + row * 8)
            }
            values = .float64(lanes)
        case .text: values = .text(TextArray())
        }
        return WireColumn(id, values, validity: validity)
    }

    private mutating func validity(
        _ flags: UInt8, _ offset: Int, _ body: RawSpan, at place: Int
    ) throws(WireError) -> ValidityBitmap? {
        guard flags & ColumnFlags.hasValidity != 0 else {
            try body.requireZero(.validity, at: place, count: 4)
            return nil
        }
        let byteCount = (rowCount + 7) / 8
        try use(.validity, offset, byteCount, body, at: place)
        try budget.charge(byteCount, times: 1, field: .validity, at: place)
        let bytes = try body.readBytes(.validity, at: offset, count: byteCount)
        if rowCount % 8 != 0, let last = bytes.last, last >> UInt8(rowCount % 8) != 0 {
            throw .nonzeroReserved(field: .validity, byteOffset: offset + byteCount - 1)
        }
        return ValidityBitmap(bytes: bytes, count: rowCount)
    }

    private mutating func texts(
        _ offsetsOffset: Int, _ body: RawSpan, at place: Int
    ) throws(WireError) -> TextArray {
        let textOffset = Int(try body.read(.textBuffer, at: place + 20, as: UInt32.self))
        let textBytes = Int(try body.read(.textBuffer, at: place + 24, as: UInt32.self))
        try use(.textBuffer, textOffset, textBytes, body, at: place + 20)
        return try decodeTexts(
            body, count: rowCount, offsetsAt: offsetsOffset, bytesAt: textOffset,
            byteCount: textBytes, field: .textOffsets, budget: &budget)
    }

    /// The first row that has a value which is not finite.
    private func firstNotFinite<T: BinaryFloatingPoint>(
        _ lanes: [T], _ validity: ValidityBitmap?
    ) -> Int? {
        // x - x is 0 for every finite x and NaN for the others; the sum has no branch in it.
        var sum: T = 0
        for lane in lanes { sum += lane - lane }
        if sum == 0 { return nil }
        return lanes.indices.first { row in
            !lanes[row].isFinite && (validity.map { bits in bits[row] } ?? true)
        }
    }

    private func notFinite(_ id: ColumnID, _ row: Int, _ offset: Int) -> WireError {
        .notFinite(columnID: id.rawValue, row: row, byteOffset: offset)
    }
}

/// Reads `count` texts: `count + 1` u32 offsets at `offsetsAt`, from 0, never decreasing, the last
/// one `byteCount`; their bytes at `bytesAt`. Both places lie inside the body already.
func decodeTexts(
    _ body: RawSpan, count: Int, offsetsAt: Int, bytesAt: Int, byteCount: Int, field: WireField,
    budget: inout ByteBudget
) throws(WireError) -> TextArray {
    try budget.charge(count + 1, times: MemoryLayout<Int>.stride, field: field, at: offsetsAt)
    try budget.charge(byteCount, times: 1, field: field, at: bytesAt)
    let bytes = try body.readBytes(field, at: bytesAt, count: byteCount)
    guard isUTF8(bytes.span) else { throw .invalidText(field: field, byteOffset: bytesAt) }
    var offsets: [Int] = []
    offsets.reserveCapacity(count + 1)
    var previous = 0
    for index in 0...count {
        let place = offsetsAt + index * 4
        let offset = Int(try body.read(field, at: place, as: UInt32.self))
        guard offset >= previous, offset <= byteCount, index > 0 || offset == 0 else {
            throw .invalidOffsets(field: field, byteOffset: place)
        }
        // The bytes as a whole are UTF-8, so a text is too unless it is cut inside a character.
        guard offset == byteCount || bytes[offset] & 0xC0 != 0x80 else {
            throw .invalidText(field: field, byteOffset: bytesAt + offset)
        }
        offsets.append(offset)
        previous = offset
    }
    guard previous == byteCount, let texts = TextArray(bytes: bytes, offsets: offsets) else {
        throw .invalidOffsets(field: field, byteOffset: offsetsAt + count * 4)
    }
    return texts
}

/// Without the copy that a String would be.
private func isUTF8(_ bytes: Span<UInt8>) -> Bool { (try? UTF8Span(validating: bytes)) != nil }
