import ByteCoding
import Wire

extension ErrorVector {
    /// The stamp of an answer takes 128 bytes here; the table's header begins behind it.
    private static let tableStart = 128
    private static let firstDescriptor = tableStart + 16

    private static func answer(_ table: Table, _ edit: (inout [UInt8]) -> Void) -> [UInt8] {
        let response = Response.lookup(TableAnswer(stamp: Samples.stamp, table: table))
        var message = body(of: encoded(response))
        edit(&message)
        return RawFrame(.lookup, response: true, body: message).bytes
    }

    private static func vector(
        _ name: String, _ about: String, _ status: Status, _ table: Table = plainTable,
        _ edit: (inout [UInt8]) -> Void
    ) -> ErrorVector {
        ErrorVector(
            name: name, about: about, asServer: false, status: status, bytes: answer(table, edit))
    }

    /// Nine rows, so that the bitmap has a second byte of one bit: buffers at 256, 320 and 384.
    private static let plainTable = Table(
        rowCount: 9,
        columns: [
            WireColumn(
                .probabilityAlive, .float32((0..<9).map { Float($0) }),
                validity: ValidityBitmap((0..<9).map { $0 != 4 })),
            WireColumn(.valueTier, .int32(Array(0..<9))),
        ])
    private static let validityPlace = 256
    private static let valuesPlace = 320

    private static let textTable = Table(
        rowCount: 2, columns: [WireColumn(.segmentName, .text(TextArray(["ab", "cd"])))])
    private static let constantTable = Table(
        rowCount: 4, columns: [WireColumn(.valueTier, .int32([7, 7, 7, 7]))])

    static var tables: [ErrorVector] { descriptors + buffers + others }

    private static var descriptors: [ErrorVector] {
        let first = firstDescriptor
        return [
            vector(
                "column_skippable_critical", "flag bit 3 on a skippable column of type 9",
                .unsupportedEncoding
            ) {
                $0[first + 2] = 9
                $0[first + 4] |= 12
            },
            vector(
                "column_skippable_misaligned", "a skippable column of type 9 with lanes at 324",
                .misalignedBuffer
            ) {
                $0[first + 2] = 9
                $0[first + 4] |= 4
                $0[first + 12] = 68
            },
            vector(
                "column_skippable_outside", "a skippable column of type 9 with lanes at 4,096",
                .bufferOutsideBody
            ) {
                $0[first + 2] = 9
                $0[first + 4] |= 4
                $0.replaceSubrange(first + 12..<first + 14, with: [0, 0x10])
            },
            vector("table_truncated", "the last lane is cut", .bufferOutsideBody) {
                $0.removeLast()
            },
            vector("table_directory_truncated", "the directory is cut", .truncatedBody) {
                $0.removeSubrange((first + 40)...)
            },
            vector("table_trailing", "a byte after the last buffer", .trailingBytes) {
                $0.append(0)
            },
            vector("table_rows", "rowCount 2^20 + 1", .tooManyItems) {
                $0.replaceSubrange(tableStart..<tableStart + 4, with: [1, 0, 0x10, 0])
            },
            vector("table_columns", "columnCount 1,025", .tooManyItems) {
                $0.replaceSubrange(tableStart + 4..<tableStart + 6, with: [1, 4])
            },
            vector("table_descriptor_bytes", "descriptors of 24 bytes", .valueOutOfRange) {
                $0[tableStart + 6] = 24
            },
            vector("table_reserved", "reserved bytes of the table header", .nonzeroReserved) {
                $0[tableStart + 12] = 1
            },
            vector("column_duplicate", "two columns 16", .duplicateColumn) {
                $0[first + 32] = 16
            },
            vector("column_type", "type 9, not skippable", .unsupportedType) {
                $0[first + 2] = 9
            },
            vector("column_encoding", "encoding 5, not skippable", .unsupportedEncoding) {
                $0[first + 3] = 5
            },
            vector("column_critical_flag", "flag bit 3", .unsupportedEncoding) {
                $0[first + 4] |= 8
            },
            vector("column_reserved", "reserved bytes of a descriptor", .nonzeroReserved) {
                $0[first + 6] = 1
            },
            vector(
                "column_constant_tail", "bytes after a constant", .nonzeroReserved, constantTable
            ) {
                $0[first + 20] = 1
            },
            vector("column_values_bytes", "35 bytes for 9 lanes of 4", .valueOutOfRange) {
                $0[first + 16] = 35
            },
        ]
    }

    private static var buffers: [ErrorVector] {
        let first = firstDescriptor
        return [
            vector("buffer_misaligned", "lanes at 324", .misalignedBuffer) {
                $0[first + 12] = 68
            },
            vector(
                "buffer_in_directory", "lanes at 64, before the directory's end", .bufferOutsideBody
            ) {
                $0.replaceSubrange(first + 12..<first + 14, with: [64, 0])
            },
            vector("buffer_outside", "lanes at 4,096", .bufferOutsideBody) {
                $0.replaceSubrange(first + 12..<first + 14, with: [0, 0x10])
            },
            vector("validity_tail", "a bit past the last row", .nonzeroReserved) {
                $0[validityPlace + 1] |= 2
            },
            vector("validity_unused", "a bitmap's place without its flag", .nonzeroReserved) {
                $0[first + 4] = 0
            },
            vector("not_finite", "NaN in a valid row", .notFinite) {
                $0.replaceSubrange(valuesPlace..<valuesPlace + 4, with: [0, 0, 0xC0, 0x7F])
            },
            vector("text_offsets", "text offsets decrease", .invalidOffsets, textTable) {
                $0[192 + 4] = 5
            },
            vector("text_first_offset", "the first offset is 1", .invalidOffsets, textTable) {
                $0[192] = 1
            },
            vector("text_utf8", "a text of FF", .invalidText, textTable) {
                $0[256] = 0xFF
            },
        ]
    }

    private static var others: [ErrorVector] {
        // 1,048,576 rows of nine constant int64 columns: 440 bytes that claim 72 MiB.
        var bomb = ByteWriter()
        let open = bomb.beginFrame(
            rawOpcode: Opcode.lookup.rawValue | Opcode.responseBit, requestID: 7, aux: 0)
        bomb.append(contentsOf: Samples.stamp.encoded)
        var table = TableWriter(
            rowCount: 1 << 20, columnCount: 9, bodyStart: open.bodyStart, into: &bomb)
        for index in 0..<9 {
            table.addConstant(
                ColumnID(rawValue: UInt16(256 + index)), .int64(1), into: &bomb)
        }
        bomb.finishFrame(open)
        func failure(_ edit: (inout [UInt8]) -> Void) -> [UInt8] {
            var message = body(
                of: encoded(.failure(rawOpcode: 2, .unknownCustomer, Samples.notFound)))
            edit(&message)
            var frame = RawFrame(.ping, response: true, body: message)
            frame.aux = Status.unknownCustomer.rawValue
            return frame.bytes
        }
        var missing = describeColumns(id: 1)
        missing[1].validity = ValidityBitmap(missing: 1)
        return [
            .init(
                name: "over_budget", about: "9 constant columns of 2^20 rows: 72 MiB",
                asServer: false, status: .overBudget, bytes: bomb.bytes),
            vector("stamp_bytes", "a stamp of 100 bytes", .valueOutOfRange) { $0[0] = 100 },
            vector("stamp_reserved", "reserved bytes of the stamp", .nonzeroReserved) {
                $0[20] = 1
            },
            vector("stamp_models", "65 models", .tooManyItems) { $0[16] = 65 },
            vector("stamp_truncated", "a stamp longer than the body", .truncatedBody) {
                $0.replaceSubrange(0..<4, with: [0, 0, 1, 0])
            },
            .init(
                name: "describe_without_columns", about: "a DESCRIBE table without its columns",
                asServer: false, status: .unknownColumn, bytes: describeWithoutColumns),
            .init(
                name: "describe_missing_row", about: "a column without a name",
                asServer: false, status: .unknownColumn, bytes: describe(missing)),
            .init(
                name: "describe_column_id", about: "columnID 65,536", asServer: false,
                status: .valueOutOfRange, bytes: describe(describeColumns(id: 65_536))),
            .init(
                name: "error_text", about: "an error text that is not UTF-8", asServer: false,
                status: .invalidText, bytes: failure { $0[24] = 0xFF }),
            .init(
                name: "error_truncated", about: "an error body cut in its hint", asServer: false,
                status: .truncatedBody, bytes: failure { $0.removeLast(5) }),
            .init(
                name: "error_too_long", about: "an error text of 4,097 bytes", asServer: false,
                status: .tooManyItems,
                bytes: failure { $0.replaceSubrange(0..<2, with: [1, 16]) }),
        ]
    }

    private static var describeWithoutColumns: [UInt8] { describe([]) }

    /// The five columns of a DESCRIBE table with one row, whose number is free.
    private static func describeColumns(id: Int32) -> [WireColumn] {
        [
            WireColumn(.columnID, .int32([id])),
            WireColumn(.columnName, .text(TextArray(["name"]))),
            WireColumn(.columnType, .int32([1])),
            WireColumn(.columnUnit, .text(TextArray([""]))),
            WireColumn(.columnDescription, .text(TextArray([""]))),
        ]
    }

    private static func describe(_ columns: [WireColumn]) -> [UInt8] {
        var writer = ByteWriter()
        let open = writer.beginFrame(
            rawOpcode: Opcode.describe.rawValue | Opcode.responseBit, requestID: 7, aux: 0)
        writer.append(contentsOf: Samples.stamp.encoded)
        writer.append(UInt64(0))
        writer.append(UInt64(0))
        writer.appendZeros(48)
        Table(rowCount: columns.isEmpty ? 0 : 1, columns: columns)
            .encode(bodyStart: open.bodyStart, into: &writer)
        writer.finishFrame(open)
        return writer.bytes
    }
}
