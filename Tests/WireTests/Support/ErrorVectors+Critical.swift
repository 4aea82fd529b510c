import ByteCoding
import Wire

/// What is critical and unknown is refused, in answers too.
extension ErrorVector {
    static var critical: [ErrorVector] {
        var flag = RawFrame(.ping, body: [1, 0, 0, 0, 0, 0, 0, 0])
        flag.flags = 1 << 7
        var tag = RawFrame(.ping, body: flag.body)
        tag.flags = FrameFlags.meta.rawValue
        tag.meta = metaBlock([(0xFFFF, [])])
        return [
            .init(
                name: "unknown_critical_flag_7", about: "flag bit 7", status: .unsupportedFlag,
                bytes: flag.bytes),
            .init(
                name: "unknown_critical_tag_unassigned", about: "tag 0xFFFF",
                status: .unsupportedTag, bytes: tag.bytes),
        ] + hellos + answers
    }

    private static var hellos: [ErrorVector] {
        var unassigned = Samples.hello
        unassigned.requiredFeatures = Features(rawValue: 1 << 47)
        var junk = Samples.hello
        junk.requiredFeatures = Features(rawValue: 1 << 63)
        // Without the junk that HELLO's whole frames carry before the body.
        var plain = ByteWriter()
        Samples.helloResponse.encode(into: &plain)
        var version = plain.bytes
        version[0] = 2
        return [
            .init(
                name: "hello_required_unassigned", about: "requires feature bit 47",
                status: .unsupportedFeature, bytes: encoded(.hello(unassigned))),
            .init(
                name: "hello_required_junk", about: "requires feature bit 63, which is junk",
                status: .unsupportedFeature, bytes: encoded(.hello(junk))),
            .init(
                name: "hello_answer_version", about: "the server chose version 2",
                asServer: false, status: .unsupportedVersion,
                bytes: RawFrame(.hello, response: true, body: version).bytes),
        ]
    }

    private static var answers: [ErrorVector] {
        let ping = body(of: encoded(Response.ping(PingResponse(token: 5, generation: 12))))
        var flag = RawFrame(.ping, response: true, body: ping)
        flag.flags = 1 << 3
        var more = flag
        more.flags = FrameFlags.more.rawValue
        var compressed = flag
        compressed.flags = FrameFlags.lz4.rawValue
        var tag = flag
        tag.flags = FrameFlags.meta.rawValue
        tag.meta = metaBlock([(0x8123, [1])])
        return [
            .init(
                name: "answer_critical_flag", about: "flag bit 3", asServer: false,
                status: .unsupportedFlag, bytes: flag.bytes),
            .init(
                name: "answer_more", about: "MORE on an answer of one frame", asServer: false,
                status: .unsupportedFlag, bytes: more.bytes),
            .init(
                name: "answer_lz4", about: "LZ4 without the feature", asServer: false,
                status: .compressionNotNegotiated, bytes: compressed.bytes),
            .init(
                name: "answer_critical_tag", about: "tag 0x8123", asServer: false,
                status: .unsupportedTag, bytes: tag.bytes),
        ]
    }
}
