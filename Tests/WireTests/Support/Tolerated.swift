import ByteCoding
import Wire

/// Frames of a newer peer that this release must understand: what it does not know is optional.
struct Tolerated: Sendable {
    var name: String
    var about: String
    var bytes: [UInt8]
    /// What HELLO has agreed on.
    var features: Features = []
    var request: Request?
    var response: Response?

    var asServer: Bool { request != nil }

    static var all: [Tolerated] {
        let ping = PingRequest(token: 5)
        var flag = RawFrame(.ping, body: [5, 0, 0, 0, 0, 0, 0, 0])
        flag.flags = 0x8000 | FrameFlags.quiet.rawValue
        var tag = RawFrame(.ping, body: flag.body)
        tag.flags = FrameFlags.meta.rawValue
        tag.meta = metaBlock([(0x7F01, [1, 2, 3]), (3, [1]), (0x0999, [])])
        var header = RawFrame(.ping, body: flag.body)
        header.headerWords = 10
        header.excess = Array(1...8)
        var hello = Samples.hello
        hello.maximumVersion = 9
        hello.optionalFeatures = Features(rawValue: .max)
        return [
            .init(
                name: "unknown_optional_flags", about: "flag bits 8 and 15", bytes: flag.bytes,
                request: .ping(ping)),
            .init(
                name: "unknown_optional_tags", about: "tags 0x7F01 and 0x0999 beside a priority",
                bytes: tag.bytes, request: .ping(ping)),
            .init(
                name: "longer_header", about: "a header of 40 bytes", bytes: header.bytes,
                request: .ping(ping)),
            .init(
                name: "hello_newer_client",
                about: "speaks versions 1 to 9, offers every feature, requires none",
                bytes: encoded(.hello(hello)), request: .hello(hello)),
            .init(
                name: "table_newer_server",
                about: "descriptors of 40 bytes, a skippable column of type 9, column flag bit 7",
                bytes: newerTable,
                response: .lookup(
                    TableAnswer(
                        stamp: Samples.stamp,
                        table: Table(
                            rowCount: 2, columns: [WireColumn(.valueTier, .int32([1, 2]))])))),
            .init(
                name: "unknown_status",
                about: "status 499 is acted on by its class; opcode 0x7ABC",
                bytes: unknownStatus,
                response: .failure(
                    rawOpcode: 0x7ABC, Status(rawValue: 499), ErrorBody(text: "later"))),
        ] + ofNewerPeers + compressed
    }

    private static var newerTable: [UInt8] {
        var writer = ByteWriter()
        writer.append(contentsOf: Samples.stamp.encoded)
        writer.append(UInt32(2))
        writer.append(UInt16(2))
        writer.append(UInt16(40))
        writer.append(UInt64(0))
        // Column 22: plain int32 with an unknown optional flag; its lanes at 256.
        writer.append(UInt16(22))
        writer.append(contentsOf: [1, 0, 0x80, 0, 0, 0])
        for word: UInt32 in [0, 256, 8, 0, 0, 0] { writer.append(word) }
        writer.append(UInt64.max)
        // Column 0x0777: type 9, skippable; its lanes at 320.
        writer.append(UInt16(0x0777))
        writer.append(contentsOf: [9, 0, 4, 0, 0, 0])
        for word: UInt32 in [0, 320, 2, 0, 0, 0] { writer.append(word) }
        writer.append(UInt64.max)
        writer.appendZeros(256 - writer.count)
        writer.append(Int32(1))
        writer.append(Int32(2))
        writer.appendZeros(320 - writer.count)
        writer.append(contentsOf: [1, 2])
        return RawFrame(.lookup, response: true, body: writer.bytes).bytes
    }

    private static var unknownStatus: [UInt8] {
        var writer = ByteWriter()
        ErrorBody(text: "later").encode(into: &writer)
        var frame = RawFrame(.ping, response: true, body: writer.bytes)
        frame.opcode = 0xFABC
        frame.aux = 499
        return frame.bytes
    }
}
