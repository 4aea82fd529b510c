package import ByteCoding

/// APPEND: purchase lines that become part of the workspace's history, by column.
///
///      0  u8 decimals (0 … 4)   1  3 zero   4  currency, 8 bytes, zeros after it   12  52 zero
///     64  a table of 1 … 65,536 rows: entityID, lineDay or lineTime, lineAmount and what the plan
///         maps of lineMargin, lineCost, lineQuantity, lineOrder, lineProduct, lineCategory,
///         linePromotion, lineChannel
///
/// The frame's meta block has an idempotency key.
package struct AppendRequest: Sendable, Equatable {
    /// Amounts, margins and costs are in 10^-`decimals` currency units. 0 … 4.
    package var decimals: Int
    /// ISO 4217; 1 to 8 bytes.
    package var currency: String
    /// A row a purchase line.
    package var lines: Table

    package static let headerBytes = 64

    package init(decimals: Int = 4, currency: String, lines: Table) {
        self.decimals = decimals
        self.currency = currency
        self.lines = lines
    }

    package func encode(bodyStart: Int, into writer: inout ByteWriter) {
        let start = writer.count
        writer.append(UInt8(clamping: decimals))
        writer.appendZeros(3)
        let unit = ByteWriter.clipped(currency, to: 8)
        writer.append(contentsOf: unit.utf8)
        writer.appendZeros(Self.headerBytes - (writer.count - start))
        lines.encode(bodyStart: bodyStart, into: &writer)
    }

    /// Columns are checked for what they are: which of them a plan wants is for the server to know.
    package init(decoding body: RawSpan, limits: WireLimits = .standard) throws(WireError) {
        let decimals: UInt8 = try body.read(.decimals, at: 0)
        guard decimals <= 4 else {
            throw .valueOutOfRange(
                field: .decimals, actual: Int64(decimals), range: 0...4, byteOffset: 0)
        }
        self.decimals = Int(decimals)
        try body.requireZero(at: 1, count: 3)
        var byteCount = 0
        while byteCount < 8, try body.read(.currency, at: 4 + byteCount, as: UInt8.self) != 0 {
            byteCount += 1
        }
        guard byteCount > 0 else {
            throw .valueOutOfRange(field: .currency, actual: 0, range: 1...8, byteOffset: 4)
        }
        try body.requireZero(.currency, at: 4 + byteCount, count: 8 - byteCount)
        currency = try body.readText(.currency, at: 4, count: byteCount)
        try body.requireZero(at: 12, count: Self.headerBytes - 12)
        let count = try body.readCount(
            .rowCount, at: Self.headerBytes, as: UInt32.self, limit: limits.appendLines)
        guard count > 0 else {
            throw .valueOutOfRange(
                field: .rowCount, actual: 0, range: 1...Int64(limits.appendLines),
                byteOffset: Self.headerBytes)
        }
        lines = try Table(decoding: body, from: Self.headerBytes, limits: limits)
        guard lines.subjectStatus == 0 else {
            throw .nonzeroReserved(field: .reserved, byteOffset: Self.headerBytes + 8)
        }
        try Self.check(lines)
    }

    /// The types of the columns that a line may have; lineDay and lineTime are two ways of saying one
    /// thing.
    private static func takes(_ column: WireColumn) -> Bool {
        let type = column.values.type
        return switch column.id {
        case .entityID: type == .int64 || type == .text
        case .lineDay: type == .int32
        case .lineTime, .lineAmount, .lineMargin, .lineCost: type == .int64
        case .lineQuantity: type == .float32
        case .lineOrder, .lineProduct, .lineCategory, .linePromotion, .lineChannel: type == .text
        default: false
        }
    }

    private static func check(_ lines: Table) throws(WireError) {
        func unfit(_ id: ColumnID) -> WireError {
            .unfitColumn(id: id.rawValue, byteOffset: headerBytes)
        }
        // What is not understood would be lost.
        for column in lines.columns where !takes(column) { throw unfit(column.id) }
        for id in [ColumnID.entityID, .lineAmount] where lines[id] == nil { throw unfit(id) }
        guard let time = lines[.lineDay] ?? lines[.lineTime] else { throw unfit(.lineDay) }
        guard time.id == .lineTime || lines[.lineTime] == nil else {
            throw .duplicateColumn(id: ColumnID.lineTime.rawValue, byteOffset: headerBytes)
        }
    }
}

/// The answer to APPEND: a stamp, then
///
///      0  u64 sequence (all ones: none)   8  u32 acceptedLines   12  u32 refusedLines
///     16  u8 isRepeat                    17  47 zero
///     64  a table: refusedLine, refusedColumn, refusalReason
package struct AppendResponse: Sendable, Equatable {
    package var stamp: SnapshotStamp
    /// The batch's number among all of the workspace; nil where none of its lines was taken.
    package var sequence: UInt64?
    /// Lines that are durable.
    package var acceptedLines: UInt32
    package var refusedLines: UInt32
    /// Whether the key had come before: nothing was appended now.
    package var isRepeat: Bool
    /// A row a reason, ascending by line; a line may have several.
    package var refusals: Table

    package static let factBytes = 64

    package init(
        stamp: SnapshotStamp, sequence: UInt64?, acceptedLines: UInt32, refusedLines: UInt32,
        isRepeat: Bool, refusals: Table
    ) {
        self.stamp = stamp
        self.sequence = sequence
        self.acceptedLines = acceptedLines
        self.refusedLines = refusedLines
        self.isRepeat = isRepeat
        self.refusals = refusals
    }

    /// A table of refusals.
    package static func refusals(
        _ refusals: [(line: Int, column: ColumnID, reason: LineRefusal)]
    ) -> Table {
        Table(
            rowCount: refusals.count,
            columns: [
                WireColumn(.refusedLine, .int32(refusals.map { Int32($0.line) })),
                WireColumn(.refusedColumn, .int32(refusals.map { Int32($0.column.rawValue) })),
                WireColumn(.refusalReason, .int32(refusals.map { Int32($0.reason.rawValue) })),
            ])
    }

    package func encode(bodyStart: Int, into writer: inout ByteWriter) {
        stamp.encode(into: &writer)
        writer.append(sequence ?? .max)
        writer.append(acceptedLines)
        writer.append(refusedLines)
        writer.append(UInt8(isRepeat ? 1 : 0))
        writer.appendZeros(Self.factBytes - 17)
        refusals.encode(bodyStart: bodyStart, into: &writer)
    }

    package init(decoding body: RawSpan, limits: WireLimits = .standard) throws(WireError) {
        var start = 0
        stamp = try SnapshotStamp(decoding: body, end: &start)
        let number: UInt64 = try body.read(.sequence, at: start)
        sequence = number == .max ? nil : number
        acceptedLines = try body.read(.rowCount, at: start + 8)
        refusedLines = try body.read(.rowCount, at: start + 12)
        let flag: UInt8 = try body.read(.isRepeat, at: start + 16)
        guard flag <= 1 else {
            throw .valueOutOfRange(
                field: .isRepeat, actual: Int64(flag), range: 0...1, byteOffset: start + 16)
        }
        isRepeat = flag == 1
        try body.requireZero(at: start + 17, count: Self.factBytes - 17)
        refusals = try Table(decoding: body, from: start + Self.factBytes, limits: limits)
    }
}

/// Why a purchase line was not taken; the numbers are fixed in protocol/WIRE.md, "Refusals of lines",
/// and never reused. A reader takes a larger one for a reason that it does not know.
package enum LineRefusal: UInt8, Sendable, CaseIterable {
    case missingCustomerID = 1
    case invalidID = 2
    case missingTime = 3
    case timeOutOfRange = 4
    case missingAmount = 5
    case amountOutOfRange = 6
    case missingMargin = 7
    case textTooLong = 8
    case nulByte = 9
    /// Another one: the server's log tells.
    case unusable = 10
}
