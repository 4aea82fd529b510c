import ByteCoding
import PatronClient
import Server
import Testing
import Wire

/// Compressed requests that are inflated on a scan thread, because that takes long.
@Suite struct LargeBodyTests {
    private static let lookup = Request.lookup(
        LookupRequest(
            ids: .integers((0..<20_000).map { id($0 % 1_000) }), columns: [ColumnID(rawValue: 10)]))

    /// A compressed frame with its header changed, and the header's checksum made right again.
    private func changed(
        _ request: Request, _ requestID: UInt32, _ change: (inout [UInt8]) -> Void
    ) -> [UInt8] {
        var bytes = frame(request, requestID, compresses: true)
        change(&bytes)
        var checksum = ByteWriter()
        checksum.append(CRC32C.checksum(Array(bytes[..<28])))
        bytes.replaceSubrange(28..<32, with: checksum.bytes)
        return bytes
    }

    @Test func theyAreAnsweredAndOthersOvertakeThem() async throws {
        try await withServer { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(optionalFeatures: .lz4)
            raw.send(
                frame(Self.lookup, 2, compresses: true) + frame(.ping(PingRequest(token: 5)), 3))
            var answers: [UInt32: Response] = [:]
            for _ in 0..<2 {
                let answer = try #require(try await raw.receive())
                #expect(answer.header.status == .ok)
                answers[answer.header.requestID] = answer.response
            }
            guard case .lookup(let table)? = answers[2] else {
                Issue.record("no answer to LOOKUP")
                return
            }
            #expect(table.table.rowCount == 20_000)
            #expect(answers[3] != nil)
        }
    }

    @Test func aBlockThatIsNoneFailsItsRequestAlone() async throws {
        try await withServer { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(optionalFeatures: .lz4)
            // One byte more than the block has.
            raw.send(changed(Self.lookup, 2) { $0[16] &+= 1 })
            let answer = try #require(try await raw.receive())
            #expect(answer.header.requestID == 2 && answer.header.status == .invalidBlock)
            raw.send(frame(.ping(PingRequest(token: 5)), 2))
            #expect(try await raw.receive()?.header.status == .ok)
        }
    }

    @Test func anIDIsInUseMeanwhile() async throws {
        try await withServer { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(optionalFeatures: .lz4)
            raw.send(
                frame(Self.lookup, 2, compresses: true) + frame(.ping(PingRequest(token: 5)), 2))
            var statuses: Set<UInt32> = []
            for _ in 0..<2 {
                statuses.insert(try #require(try await raw.receive()).header.status.rawValue)
            }
            #expect(statuses == [Status.ok.rawValue, Status.requestIDInUse.rawValue])
        }
    }

    /// What waits for the scan threads is bounded; one request alone always is let in.
    @Test func moreThanFitIsRefused() async throws {
        let configuration = testConfiguration { $0.limits.heldRequestByteCount = 1 }
        try await withServer(configuration) { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(optionalFeatures: .lz4)
            let numbers = UInt32(2)..<30
            raw.send(numbers.flatMap { frame(Self.lookup, $0, compresses: true) })
            var counts: [Status: Int] = [:]
            for _ in numbers {
                let answer = try #require(try await raw.receive())
                counts[answer.header.status, default: 0] += 1
                if answer.header.status == .tooManyInFlight {
                    #expect(answer.meta.contains(.retryAfterMilliseconds(100)))
                }
            }
            #expect(counts[.ok, default: 0] >= 1)
            #expect(counts[.tooManyInFlight, default: 0] >= 1)
            #expect(counts.count == 2)
            // Who has its answer has given its room back.
            let lookup = frame(Self.lookup, 40, compresses: true)
            for _ in 0..<200 {
                raw.send(lookup)
                #expect(try await raw.receive()?.header.status == .ok)
            }
        }
    }

    /// A CREDIT that is larger than any fails the stream that it is about, at once.
    @Test func aMessageAboutAnotherIsNotInflated() async throws {
        let contents = sampleContents(customerCount: 40_000)
        try await withServer(testConfiguration(), contents) { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(optionalFeatures: [.lz4, .streams])
            raw.send(frame(.scan(StreamRequest(credit: 256 << 10)), 2))
            #expect(try await raw.receive()?.header.flags.contains(.more) ?? false)
            raw.send(
                changed(Self.lookup, 2) {
                    $0[8] = UInt8(truncatingIfNeeded: Opcode.credit.rawValue)
                    $0[9] = 0
                })
            let answer = try #require(try await raw.receive())
            #expect(answer.header.requestID == 2 && answer.header.status == .trailingBytes)
        }
    }
}
