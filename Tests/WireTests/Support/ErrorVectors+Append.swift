import ByteCoding
import Wire

extension ErrorVector {
    static var appends: [ErrorVector] {
        let append = Request.append(Samples.append)
        func lines(_ change: (inout Table) -> Void) -> [UInt8] {
            var message = Samples.append
            change(&message.lines)
            return encoded(.append(message))
        }
        return [
            .init(
                name: "append_decimals", about: "amounts of 5 decimals", status: .valueOutOfRange,
                bytes: edited(append) { $0[0] = 5 }),
            .init(
                name: "append_reserved", about: "byte 1 is not zero", status: .nonzeroReserved,
                bytes: edited(append) { $0[1] = 1 }),
            .init(
                name: "append_no_currency", about: "no currency", status: .valueOutOfRange,
                bytes: edited(append) { $0.replaceSubrange(4..<7, with: [0, 0, 0]) }),
            .init(
                name: "append_currency_tail", about: "bytes behind the currency's end",
                status: .nonzeroReserved, bytes: edited(append) { $0[9] = 65 }),
            .init(
                name: "append_currency_utf8", about: "a currency that is not UTF-8",
                status: .invalidText, bytes: edited(append) { $0[4] = 0xFF }),
            .init(
                name: "append_no_lines", about: "a table without rows", status: .valueOutOfRange,
                bytes: edited(append) { $0[64] = 0 }),
            .init(
                name: "append_too_many_lines", about: "65,537 lines: refused before their bytes",
                status: .tooManyItems,
                bytes: edited(append) { $0.replaceSubrange(64..<68, with: [1, 0, 1, 0]) }),
            .init(
                name: "append_subject", about: "a subjectStatus", status: .nonzeroReserved,
                bytes: edited(append) { $0[72] = 1 }),
            .init(
                name: "append_without_amount", about: "lines without lineAmount",
                status: .unknownColumn,
                bytes: lines { $0.columns.removeAll { $0.id == .lineAmount } }),
            .init(
                name: "append_without_time", about: "lines without a day or time",
                status: .unknownColumn,
                bytes: lines { $0.columns.removeAll { $0.id == .lineDay } }),
            .init(
                name: "append_day_and_time", about: "lines with lineDay and lineTime",
                status: .duplicateColumn,
                bytes: lines { $0.columns.append(WireColumn(.lineTime, .int64([1, 2]))) }),
            .init(
                name: "append_column_type", about: "a lineAmount of float64",
                status: .unknownColumn,
                bytes: lines { $0.columns[2] = WireColumn(.lineAmount, .float64([1, 2])) }),
            .init(
                name: "append_unknown_column", about: "a column that no line has",
                status: .unknownColumn,
                bytes: lines { $0.columns.append(WireColumn(.revenue, .float64([1, 2]))) }),
            .init(
                name: "append_answer_repeat", about: "isRepeat 2", asServer: false,
                status: .valueOutOfRange, bytes: answer(changing: 16, to: 2)),
            .init(
                name: "append_answer_facts", about: "byte 17 of the facts is not zero",
                asServer: false, status: .nonzeroReserved, bytes: answer(changing: 17, to: 1)),
        ]
    }

    private static func answer(changing offset: Int, to value: UInt8) -> [UInt8] {
        var writer = ByteWriter()
        let frame = writer.beginFrame(
            rawOpcode: Opcode.append.rawValue | Opcode.responseBit, requestID: 7, aux: 0)
        Samples.appended.encode(bodyStart: frame.bodyStart, into: &writer)
        writer.overwrite(value, at: frame.bodyStart + 128 + offset)
        writer.finishFrame(frame)
        return writer.bytes
    }
}
