import ByteCoding
import Wire

extension ErrorVector {
    static var administration: [ErrorVector] {
        let list = Request.models(.list)
        let set = Request.models(.set(label: "canary", generation: 13))
        let remove = Request.models(.remove(label: "canary"))
        let start = Request.shadow(.start(.generation(13), partsPerMillion: 10))
        let report = Request.shadow(.report)
        let publish = Request.publish(PublishRequest(generation: 1))
        return [
            .init(
                name: "label_empty", about: "a label of no bytes", status: .invalidMeta,
                bytes: labelled(.describe, [])),
            .init(
                name: "label_long", about: "a label of 65 bytes", status: .invalidMeta,
                bytes: labelled(.describe, [UInt8](repeating: 0x61, count: 65))),
            .init(
                name: "label_utf8", about: "a label that is not UTF-8", status: .invalidMeta,
                bytes: labelled(.describe, [0xFF])),
            .init(
                name: "label_elsewhere", about: "a label on STATS, which takes none",
                status: .unsupportedTag, bytes: labelled(.stats, [0x61])),
            .init(
                name: "models_action", about: "action 3", status: .valueOutOfRange,
                bytes: edited(list) { $0[0] = 3 }),
            .init(
                name: "models_reserved", about: "byte 4 is not zero", status: .nonzeroReserved,
                bytes: edited(list) { $0[4] = 1 }),
            .init(
                name: "models_list_label", about: "a list of one label", status: .tooManyItems,
                bytes: edited(remove) { $0[0] = 0 }),
            .init(
                name: "models_without_label", about: "a label of no bytes is removed",
                status: .valueOutOfRange, bytes: edited(list) { $0[0] = 2 }),
            .init(
                name: "models_label_long", about: "a label of 65 bytes", status: .tooManyItems,
                bytes: edited(set) { $0[1] = 65 }),
            .init(
                name: "models_label_cut", about: "a label cut short", status: .truncatedBody,
                bytes: edited(set) { $0.removeLast() }),
            .init(
                name: "models_label_utf8", about: "a label that is not UTF-8",
                status: .invalidText, bytes: edited(set) { $0[16] = 0xC3 }),
            .init(
                name: "models_set_generation", about: "a label for generation 0",
                status: .valueOutOfRange, bytes: edited(set) { $0[8] = 0 }),
            .init(
                name: "models_remove_generation", about: "a generation where none belongs",
                status: .nonzeroReserved, bytes: edited(remove) { $0[8] = 1 }),
            .init(
                name: "snapshot_body", about: "a SNAPSHOT with a body", status: .trailingBytes,
                bytes: RawFrame(.snapshot, body: [0]).bytes),
            .init(
                name: "publish_truncated", about: "7 bytes of 8", status: .truncatedBody,
                bytes: edited(publish) { $0.removeLast() }),
            .init(
                name: "publish_trailing", about: "9 bytes", status: .trailingBytes,
                bytes: edited(publish) { $0.append(0) }),
            .init(
                name: "drain_body", about: "a DRAIN with a body", status: .trailingBytes,
                bytes: RawFrame(.drain, body: [0]).bytes),
            .init(
                name: "shadow_share_zero", about: "no look-ups", status: .valueOutOfRange,
                bytes: edited(start) { $0[4] = 0 }),
            .init(
                name: "shadow_share_large", about: "1,000,001 of a million look-ups",
                status: .valueOutOfRange,
                bytes: edited(start) { $0.replaceSubrange(4..<8, with: [0x41, 0x42, 0x0F, 0]) }),
            .init(
                name: "shadow_no_candidate", about: "neither a label nor a generation",
                status: .valueOutOfRange, bytes: edited(start) { $0[8] = 0 }),
            .init(
                name: "shadow_report_share", about: "a share where none belongs",
                status: .nonzeroReserved, bytes: edited(report) { $0[4] = 1 }),
            .init(
                name: "progress_to_server", about: "a client sends PROGRESS",
                status: .wrongDirection,
                bytes: RawFrame(.progress, body: [UInt8](repeating: 0, count: 24)).bytes),
            .init(
                name: "progress_reserved", about: "byte 17 of PROGRESS is not zero",
                asServer: false, status: .nonzeroReserved,
                bytes: RawFrame(
                    .progress, response: true,
                    body: [UInt8](repeating: 0, count: 17) + [1, 0, 0, 0, 0, 0, 0]
                ).bytes),
            .init(
                name: "label_in_answer", about: "an answer with a label", asServer: false,
                status: .unsupportedTag,
                bytes: encoded(
                    .ping(PingResponse(token: 1, generation: 1)), meta: [.modelLabel("canary")])),
        ]
    }

    private static func labelled(_ opcode: Opcode, _ label: [UInt8]) -> [UInt8] {
        var frame = RawFrame(opcode)
        frame.meta = metaBlock([(MetaItem.modelLabelTag, label)])
        frame.flags = FrameFlags.meta.rawValue
        return frame.bytes
    }
}
