import ByteCoding
import Wire

extension ErrorVector {
    static var streams: [ErrorVector] {
        let audience = Request.audience(Samples.audience)
        let scan = Request.scan(StreamRequest(columns: [.valueTier, .lifetimeValue]))
        let count = Request.count(CountRequest(rule: "all"))
        let credit = Request.credit(CreditMessage(credit: 1))
        return [
            .init(
                name: "stream_credit_small", about: "a credit of 262,143 to begin with",
                status: .valueOutOfRange,
                bytes: edited(scan) { $0.replaceSubrange(0..<4, with: [0xFF, 0xFF, 3, 0]) }),
            .init(
                name: "stream_credit_large", about: "a credit of 16 MiB + 1",
                status: .valueOutOfRange,
                bytes: edited(scan) { $0.replaceSubrange(0..<4, with: [1, 0, 0, 1]) }),
            .init(
                name: "stream_reserved", about: "byte 6 is not zero", status: .nonzeroReserved,
                bytes: edited(scan) { $0[6] = 1 }),
            .init(
                name: "stream_duplicate_column", about: "the same column twice",
                status: .duplicateColumn, bytes: edited(scan) { $0[50] = $0[48] }),
            .init(
                name: "stream_columns_cut", about: "three columns announced, two there",
                status: .truncatedBody, bytes: edited(scan) { $0[4] = 3 }),
            .init(
                name: "scan_with_rule", about: "a SCAN with a rule", status: .tooManyItems,
                bytes: edited(scan) { $0[40] = 1 }),
            .init(
                name: "audience_without_rule", about: "an AUDIENCE without a rule",
                status: .valueOutOfRange,
                bytes: edited(audience) { $0[40] = 0 }),
            .init(
                name: "audience_rule_utf8", about: "a rule that is not UTF-8",
                status: .invalidText, bytes: edited(audience) { $0[50] = 0xFF }),
            .init(
                name: "audience_trailing", about: "a byte behind the rule",
                status: .trailingBytes, bytes: edited(audience) { $0.append(0) }),
            .init(
                name: "count_without_rule", about: "a COUNT without a rule",
                status: .valueOutOfRange, bytes: edited(count) { $0[0] = 0 }),
            .init(
                name: "count_rule_large", about: "a rule of 65,537 bytes", status: .tooManyItems,
                bytes: edited(count) { $0.replaceSubrange(0..<4, with: [1, 0, 1, 0]) }),
            .init(
                name: "credit_zero", about: "a credit of 0", status: .valueOutOfRange,
                bytes: edited(credit) { $0[0] = 0 }),
            .init(
                name: "cancel_body", about: "a CANCEL with a body", status: .trailingBytes,
                bytes: RawFrame(.cancel, body: [0]).bytes),
            .init(
                name: "cancel_answer", about: "an answer to CANCEL, which has none",
                asServer: false, status: .wrongDirection,
                bytes: RawFrame(.cancel, response: true).bytes),
            .init(
                name: "chunk_facts", about: "byte 40 of a chunk's facts is not zero",
                asServer: false, status: .nonzeroReserved, bytes: chunkWithFact),
        ]
    }

    private static var chunkWithFact: [UInt8] {
        var writer = ByteWriter()
        let frame = writer.beginFrame(
            rawOpcode: Opcode.scan.rawValue | Opcode.responseBit, requestID: 7, aux: 0)
        Samples.chunk.encode(bodyStart: frame.bodyStart, into: &writer)
        writer.overwrite(UInt8(1), at: frame.bodyStart + 128 + 40)
        writer.finishFrame(frame)
        return writer.bytes
    }
}
