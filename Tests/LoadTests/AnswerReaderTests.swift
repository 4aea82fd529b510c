import ByteCoding
import Load
import Testing
import Wire

/// Answers found in bytes that come whole, cut once at every place, and one by one.
struct AnswerReaderTests {
    /// Feeds pieces and keeps what was not understood, as a connection does.
    private func answers(
        _ speaks: LoadProtocol, _ pieces: [[UInt8]]
    ) throws(LoadError) -> [Answer] {
        var reader = AnswerReader(speaks, checkEvery: 1)
        var kept: [UInt8] = []
        var found: [Answer] = []
        for piece in pieces {
            kept += piece
            var offset = 0
            while true {
                let span = kept.span
                let bytes = span.bytes
                guard let answer = try reader.next(bytes, at: &offset) else { break }
                found.append(answer)
            }
            kept.removeFirst(offset)
        }
        if !kept.isEmpty { throw .malformedAnswer("\(kept.count) bytes are left") }
        return found
    }

    private func expectAtEveryCut(
        _ speaks: LoadProtocol, _ bytes: [UInt8], _ expected: [Answer]
    ) throws {
        #expect(try answers(speaks, [bytes]) == expected)
        #expect(try answers(speaks, bytes.map { [$0] }) == expected)
        for cut in 1..<bytes.count {
            let found = try answers(speaks, [Array(bytes[..<cut]), Array(bytes[cut...])])
            #expect(found == expected, "cut at \(cut)")
        }
    }

    @Test func chunksOfAStreamAreFound() throws {
        let stamp = SnapshotStamp(generation: 1, asOfDay: 1, currency: "EUR", models: [])
        var writer = ByteWriter()
        var expected: [Answer] = []
        for hasMore in [true, true, false] {
            let chunk = StreamChunk(
                stamp: stamp, scannedCustomers: 2, resumeToken: ResumeToken(words: [1, 2, 3, 4]),
                table: Table(
                    rowCount: 2,
                    columns: [
                        WireColumn(.entityID, ids: .integers([7, 9])),
                        WireColumn(.rowStatus, .int32([0, 0])),
                    ]),
                hasMore: hasMore)
            let start = writer.count
            Response.scan(chunk).encodeFrame(requestID: 5, into: &writer)
            var answer = Answer(requestID: 5)
            (answer.hasMore, answer.streamBytes) = (hasMore, writer.count - start)
            expected.append(answer)
        }
        Response.failure(
            rawOpcode: Opcode.audience.rawValue, .snapshotChanged, ErrorBody(text: "moved")
        ).encodeFrame(requestID: 6, into: &writer)
        var failed = Answer(requestID: 6, failure: "snapshotChanged")
        failed.streamBytes = 32 + 24 + 5
        expected.append(failed)
        try expectAtEveryCut(.patron, writer.bytes, expected)
    }

    @Test func redisAnswersAreFound() throws {
        let text =
            "$5\r\nab\r\nc\r\n$-1\r\n$0\r\n\r\n*3\r\n$1\r\nx\r\n$-1\r\n$2\r\nyz\r\n*0\r\n*-1\r\n"
            + "-ERR wrong number\r\n+OK\r\n:12\r\n*2\r\n$1\r\na\r\n-WRONGTYPE no\r\n$1\r\nz\r\n"
        let expected = [
            Answer(found: 1), Answer(found: 0), Answer(found: 1), Answer(found: 2),
            Answer(found: 0), Answer(found: 0), Answer(failure: "ERR", found: 0),
            Answer(found: 1), Answer(found: 1), Answer(failure: "WRONGTYPE", found: 1),
            Answer(found: 1),
        ]
        try expectAtEveryCut(.redis, Array(text.utf8), expected)
    }

    @Test func memcachedAnswersAreFound() throws {
        let text =
            "VALUE k1 0 5\r\nEND\r\n\r\nVALUE k2 7 0 99\r\n\r\nEND\r\nEND\r\nERROR\r\n"
            + "SERVER_ERROR out of memory\r\nVALUE k 0 1\r\nx\r\nEND\r\n"
        let expected = [
            Answer(found: 2), Answer(found: 0), Answer(failure: "ERROR", found: 0),
            Answer(failure: "SERVER_ERROR", found: 0), Answer(found: 1),
        ]
        try expectAtEveryCut(.memcached, Array(text.utf8), expected)
    }

    private func patronBytes() -> [UInt8] {
        let stamp = SnapshotStamp(generation: 3, asOfDay: 15_000, currency: "GBP", models: [])
        let table = Table(
            rowCount: 3, columns: [WireColumn(.rowStatus, .int32([0, 1, 2]))])
        let failure = ErrorBody(text: "no such customer")
        let goodbye = GoAway(graceMilliseconds: 0, reason: ErrorBody(text: "draining"))
        var writer = ByteWriter()
        Response.ping(PingResponse(token: 1, generation: 2)).encodeFrame(
            requestID: 9, into: &writer)
        Response.lookup(TableAnswer(stamp: stamp, table: table))
            .encodeFrame(requestID: 4, into: &writer)
        Response.failure(rawOpcode: Opcode.topProducts.rawValue, .unknownCustomer, failure)
            .encodeFrame(requestID: 5, into: &writer)
        Response.goAway(.draining, goodbye).encodeFrame(requestID: 0, into: &writer)
        return writer.bytes
    }

    @Test func patronAnswersAreFound() throws {
        // Status 2 is a customer who is known and has no score.
        let expected = [
            Answer(requestID: 9), Answer(requestID: 4, found: 2),
            Answer(requestID: 5, failure: "unknownCustomer"),
            Answer(requestID: 0, failure: "draining", isGoodbye: true),
        ]
        try expectAtEveryCut(.patron, patronBytes(), expected)
    }

    /// With every answer checked, no single wrong bit goes unnoticed.
    @Test func wrongBitsOfPatronAnswersAreFound() throws {
        let bytes = patronBytes()
        for bit in 0..<bytes.count * 8 {
            var wrong = bytes
            wrong[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: LoadError.self, "bit \(bit)") { try answers(.patron, [wrong]) }
        }
    }

    @Test(arguments: [
        "hello\r\n", "$x\r\n", "$-2\r\n", "$2\r\nabc\r\n", "*2\r\n*1\r\n$1\r\na\r\n", "$\r\n",
        "$99999999999999999999\r\n", "$1 2\r\nx\r\n$",
    ])
    func wrongRedisAnswersAreRefused(text: String) {
        #expect(throws: LoadError.self) { try answers(.redis, [Array(text.utf8)]) }
    }

    @Test(arguments: [
        "STORED\r\n", "VALUE k 0\r\n", "VALUE k 0 x\r\n", "VALUE k 0 1\r\nxyz\r\n", "ENDS\r\n",
        String(repeating: "x", count: 9_000),
    ])
    func wrongMemcachedAnswersAreRefused(text: String) {
        #expect(throws: LoadError.self) { try answers(.memcached, [Array(text.utf8)]) }
    }
}
