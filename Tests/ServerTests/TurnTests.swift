import ByteCoding
import Server
import Testing
import Wire

/// Requests of several connections that one turn of an event loop reads.
@Suite struct TurnTests {
    /// Refusals and answers to several ids do not wait for the look-ups of others, and still leave on
    /// their own connection.
    @Test func everyAnswerLeavesOnItsConnection() async throws {
        try await withServer(testConfiguration { $0.loopCount = 1 }) { server in
            let single = try RawConnection(port: server.port)
            let mixed = try RawConnection(port: server.port)
            try await single.sayHello()
            try await mixed.sayHello()
            let lookup = Request.lookup(LookupRequest(ids: .integers([id(7)])))
            let pair = Request.lookup(LookupRequest(ids: .integers([id(7), id(8)])))
            let wrong = Request.lookup(LookupRequest(ids: .texts(TextArray(["x"]))))
            let ping = Request.ping(PingRequest(token: 9))
            for round in 1...300 as ClosedRange<UInt32> {
                let base = round * 10
                // What keeps the loop busy while the others arrive.
                single.send((0..<3).flatMap { frame(pair, base + $0) } + frame(lookup, base + 3))
                mixed.send(
                    frame(wrong, base) + frame(ping, base + 1) + frame(pair, base + 2)
                        + frame(lookup, base + 3) + frame(ping, base + 4))
                for offset in 0..<4 as Range<UInt32> {
                    let header = try #require(try await single.receive()).header
                    #expect(header.requestID == base + offset && header.status == .ok)
                    #expect(header.opcode == .lookup)
                }
                for offset in 0..<5 as Range<UInt32> {
                    let header = try #require(try await mixed.receive()).header
                    #expect(header.requestID == base + offset)
                    #expect(header.status == (offset == 0 ? .wrongIDKind : .ok))
                    #expect(header.opcode == (offset == 1 || offset == 4 ? .ping : .lookup))
                }
            }
        }
    }
}
