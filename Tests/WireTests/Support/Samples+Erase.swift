import ByteCoding
import Wire

extension Samples {
    static let erasures: [(name: String, meta: [MetaItem], request: Request)] = [
        (
            "erase_request", [.idempotencyKey(Array(16..<32))],
            .erase(EraseRequest(ids: .integers([17_850, 13_047])))
        ),
        (
            "erase_request_text", [.idempotencyKey(Array(16..<32))],
            .erase(EraseRequest(ids: .texts(TextArray(["C-1", "K\u{F6}ln"]))))
        ),
    ]

    static let erased = EraseResponse(
        stamp: stamp, sequence: 43, erasedAt: 1_797_441_600, isRepeat: false,
        found: [[.snapshot, .live], []])

    static let erasedBefore = EraseResponse(
        stamp: stamp, sequence: 43, erasedAt: 1_797_441_600, isRepeat: true, found: [.snapshot, []])

    static let receipts: [(name: String, meta: [MetaItem], response: Response)] = [
        ("erase_response", [], .erase(erased)), ("erase_response_repeat", [], .erase(erasedBefore)),
    ]
}

extension ErrorVector {
    static var erasures: [ErrorVector] {
        let erase = Request.erase(EraseRequest(ids: .integers([17_850, 13_047])))
        let texts = Request.erase(EraseRequest(ids: .texts(TextArray(["C-1", "C-2"]))))
        return [
            .init(
                name: "erase_id_kind", about: "ids of kind 3", status: .valueOutOfRange,
                bytes: edited(erase) { $0[0] = 3 }),
            .init(
                name: "erase_options", about: "byte 1 is not zero", status: .nonzeroReserved,
                bytes: edited(erase) { $0[1] = 1 }),
            .init(
                name: "erase_columns",
                about: "bytes 2 and 3, in LOOKUP a count of columns, are not zero",
                status: .nonzeroReserved, bytes: edited(erase) { $0[2] = 1 }),
            .init(
                name: "erase_no_ids", about: "no ids", status: .valueOutOfRange,
                bytes: edited(erase) { $0.replaceSubrange(4..., with: [0, 0, 0, 0]) }),
            .init(
                name: "erase_too_many_ids", about: "65,537 ids: refused before their bytes",
                status: .tooManyItems,
                bytes: edited(erase) { $0.replaceSubrange(4..<8, with: [1, 0, 1, 0]) }),
            .init(
                name: "erase_ids_cut", about: "the second id has 7 bytes", status: .truncatedBody,
                bytes: edited(erase) { $0.removeLast() }),
            .init(
                name: "erase_trailing", about: "a byte behind the ids", status: .trailingBytes,
                bytes: edited(erase) { $0.append(0) }),
            .init(
                name: "erase_text_offsets", about: "the offsets of text ids fall",
                status: .invalidOffsets, bytes: edited(texts) { $0[12] = 7 }),
            .init(
                name: "erase_answer_repeat", about: "isRepeat 2", asServer: false,
                status: .valueOutOfRange, bytes: receipt(changing: 16, to: 2)),
            .init(
                name: "erase_answer_facts", about: "byte 17 of the facts is not zero",
                asServer: false, status: .nonzeroReserved, bytes: receipt(changing: 17, to: 1)),
        ]
    }

    private static func receipt(changing offset: Int, to value: UInt8) -> [UInt8] {
        var writer = ByteWriter()
        let frame = writer.beginFrame(
            rawOpcode: Opcode.erase.rawValue | Opcode.responseBit, requestID: 7, aux: 0)
        Samples.erased.encode(bodyStart: frame.bodyStart, into: &writer)
        writer.overwrite(value, at: frame.bodyStart + 128 + offset)
        writer.finishFrame(frame)
        return writer.bytes
    }
}
