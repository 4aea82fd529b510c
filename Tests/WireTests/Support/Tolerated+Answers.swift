import ByteCoding
import Wire

/// Answers of a newer server, and requests that use all that is optional at once.
extension Tolerated {
    static var ofNewerPeers: [Tolerated] {
        requestsOfNewerClients + answersOfNewerServers + newerTables
    }

    private static var requestsOfNewerClients: [Tolerated] {
        var full = RawFrame(.ping, body: [5, 0, 0, 0, 0, 0, 0, 0])
        full.flags = 0xFF00 | FrameFlags.meta.rawValue
        full.meta = metaBlock((0..<32).map { (tag: 0x7F00 + UInt16($0), value: [UInt8]()) })
        full.headerWords = 255
        full.excess = Array(repeating: 0xA5, count: 988)
        return [
            Tolerated(
                name: "all_that_is_optional",
                about: "flag bits 8 to 15, 32 junk tags, a header of 1,020 bytes",
                bytes: full.bytes, request: .ping(PingRequest(token: 5)))
        ]
    }

    private static var answersOfNewerServers: [Tolerated] {
        let ping = Response.ping(PingResponse(token: 5, generation: 12))
        var flags = RawFrame(.ping, response: true, body: body(of: encoded(ping)))
        flags.flags = 0xFE00 | FrameFlags.meta.rawValue
        flags.meta = metaBlock([(0x7F02, [1]), (0x0999, [])])
        var header = RawFrame(.ping, response: true, body: flags.body)
        header.headerWords = 9
        header.excess = [1, 2, 3, 4]
        var hello = Samples.helloResponse
        hello.offeredFeatures = Features(rawValue: .max)
        var affinity = Samples.describe
        affinity.affinity = .init(variant: .other(200), offers: .init(rawValue: 0x8000_0041))
        let later = ErrorBody(text: "later")
        return [
            Tolerated(
                name: "answer_newer_flags", about: "flag bits 9 to 15, tags 0x7F02 and 0x0999",
                bytes: flags.bytes, response: ping),
            Tolerated(
                name: "answer_longer_header", about: "a header of 36 bytes", bytes: header.bytes,
                response: ping),
            Tolerated(
                name: "hello_newer_server", about: "offers every feature",
                bytes: encoded(.hello(hello)), response: .hello(hello)),
            Tolerated(
                name: "describe_newer_affinity", about: "variant 200, offer bit 31",
                bytes: encoded(.describe(affinity)), response: .describe(affinity)),
            Tolerated(
                name: "unknown_class", about: "status 9900 is acted on as internalError",
                bytes: failure(.lookup, status: 9_900, later),
                response: .failure(
                    rawOpcode: Opcode.lookup.rawValue, Status(rawValue: 9_900), later)),
            Tolerated(
                name: "goaway_unknown_status", about: "status 599 is acted on as unavailable",
                bytes: encoded(
                    .goAway(Status(rawValue: 599), GoAway(graceMilliseconds: 5, reason: later)),
                    requestID: 0),
                response: .goAway(
                    Status(rawValue: 599), GoAway(graceMilliseconds: 5, reason: later))),
        ]
    }

    private static func failure(_ opcode: Opcode, status: UInt32, _ body: ErrorBody) -> [UInt8] {
        var writer = ByteWriter()
        body.encode(into: &writer)
        var frame = RawFrame(opcode, response: true, body: writer.bytes)
        frame.aux = status
        return frame.bytes
    }

    private static var newerTables: [Tolerated] {
        let unknown = Response.lookup(
            TableAnswer(
                stamp: Samples.stamp,
                table: Table(
                    rowCount: 2,
                    columns: [
                        WireColumn(.rowStatus, .int32([0, 99])),
                        WireColumn(ColumnID(rawValue: 0x7001), .float64([1.5, 2.5])),
                        WireColumn(ColumnID(rawValue: 0xFFFE), .int32([3, 4])),
                    ])))
        return [
            Tolerated(
                name: "table_unknown_columns", about: "columns 0x7001 and 0xFFFE, rowStatus 99",
                bytes: encoded(unknown), response: unknown),
            Tolerated(
                name: "table_skippable",
                about: "skippable columns: type 9 constant, encoding 7 with buffers",
                bytes: skippableTable,
                response: .lookup(
                    TableAnswer(
                        stamp: Samples.stamp,
                        table: Table(
                            rowCount: 2, columns: [WireColumn(.valueTier, .int32([1, 2]))])))),
        ]
    }

    private static var skippableTable: [UInt8] {
        var writer = ByteWriter()
        writer.append(contentsOf: Samples.stamp.encoded)
        writer.append(UInt32(2))
        writer.append(UInt16(3))
        writer.append(UInt16(32))
        writer.append(UInt64(0))
        // Type 9, constant: no buffers.
        writer.append(UInt16(0x0777))
        writer.append(contentsOf: [9, 1, 4, 0, 0, 0])
        for word: UInt32 in [1, 2, 3, 4, 5, 6] { writer.append(word) }
        // Column 22: plain, its lanes at 256.
        writer.append(UInt16(22))
        writer.append(contentsOf: [1, 0, 0, 0, 0, 0])
        for word: UInt32 in [0, 256, 8, 0, 0, 0] { writer.append(word) }
        // Encoding 7 of int32: three bytes at 320.
        writer.append(UInt16(0x0778))
        writer.append(contentsOf: [1, 7, 4, 0, 0, 0])
        for word: UInt32 in [0, 320, 3, 0, 0, 0] { writer.append(word) }
        writer.appendZeros(256 - writer.count)
        writer.append(Int32(1))
        writer.append(Int32(2))
        writer.appendZeros(320 - writer.count)
        writer.append(contentsOf: [1, 2, 3])
        return RawFrame(.lookup, response: true, body: writer.bytes).bytes
    }
}
