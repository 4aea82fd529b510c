import ByteCoding
import Engine
import Foundation
import PatronClient
import Testing
import Wire

/// Frames as they must not be, and frames in pieces, on a real socket.
@Suite struct FrameTests {
    private static let lookup = Request.lookup(LookupRequest(ids: .integers([id(7)])))

    /// What is sent after HELLO, and the status with which GOAWAY answers it.
    static let fatal: [(name: String, bytes: [UInt8], status: Status)] = [
        ("HTTP", Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8), .badMagic),
        ("TLS", [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03], .badMagic),
        ("RESP", Array("*1\r\n$4\r\nPING\r\n".utf8), .badMagic),
        (
            "header checksum",
            {
                var bytes = frame(lookup, 2)
                bytes[28] ^= 1
                return bytes
            }(), .headerChecksumMismatch
        ),
        (
            "body checksum",
            {
                var bytes = frame(lookup, 2)
                bytes[40] ^= 1
                return bytes
            }(), .bodyChecksumMismatch
        ),
        ("length too small", frame(lookup, 2) { $0[0] = 27 }, .frameTooSmall),
        ("length too large", frame(lookup, 2) { $0[3] = 0x7F }, .frameTooLarge),
        ("version", frame(lookup, 2) { $0[6] = 2 }, .unsupportedVersion),
        ("header size", frame(lookup, 2) { $0[7] = 7 }, .badHeaderSize),
        ("answer's opcode", frame(lookup, 2) { $0[9] |= 0x80 }, .wrongDirection),
        (
            "GOAWAY of a client",
            frame(lookup, 2) {
                $0[8] = 3
                $0[9] = 0
            }, .wrongDirection
        ),
        ("second HELLO", frame(.hello(HelloRequest(clientName: "raw")), 2), .unexpectedHello),
        (
            "second HELLO with half a body",
            {
                var writer = ByteWriter()
                let open = writer.beginFrame(
                    rawOpcode: Opcode.hello.rawValue, requestID: 2, aux: 0)
                writer.append(UInt32(0x0101))
                writer.finishFrame(open)
                return writer.bytes
            }(), .unexpectedHello
        ),
    ]

    @Test(arguments: fatal.indices)
    func theConnectionEndsAfterBytesThatCannotBeTrusted(index: Int) async throws {
        let (name, bytes, status) = Self.fatal[index]
        try await withServer { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello()
            raw.send(bytes)
            let answer = try await raw.receive()
            guard case .goAway(let told, let message)? = answer?.response else {
                Issue.record("\(name): \(String(describing: answer))")
                return
            }
            #expect(told == status, "\(name)")
            #expect(!message.reason.text.isEmpty)
            #expect(try await raw.isEnded(), "\(name)")
            let counters = await server.server.counters()
            #expect(counters.protocolErrors == 1)
            // Nobody else is concerned.
            let other = try await server.connect()
            try await other.ping()
            await other.close()
        }
    }

    /// What fails one request; the connection goes on.
    static let refused: [(name: String, bytes: [UInt8], status: Status)] = [
        ("unknown opcode", frame(lookup, 9) { $0[8] = 0x7F }, .unsupportedOperation),
        ("unassigned opcode", frame(lookup, 9) { $0[8] = 0x42 }, .unsupportedOperation),
        ("critical flag", frame(lookup, 9) { $0[10] = 0x80 }, .unsupportedFlag),
        ("LZ4", frame(lookup, 9) { $0[10] = 1 }, .compressionNotNegotiated),
        ("rawLength", frame(lookup, 9) { $0[16] ^= 1 }, .rawLengthMismatch),
        ("body of another operation", frame(lookup, 9) { $0[8] = 0x10 }, .trailingBytes),
    ]

    @Test(arguments: refused.indices)
    func theConnectionGoesOnAfterARequestThatFails(index: Int) async throws {
        let (name, bytes, status) = Self.refused[index]
        try await withServer { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello()
            raw.send(bytes + frame(.ping(PingRequest(token: 5)), 10))
            let answer = try await raw.receive()
            #expect(answer?.header.requestID == 9)
            #expect(answer?.header.status == status, "\(name)")
            #expect(answer?.response.rawOpcode == bytes.span.bytes.integer(at: 8, as: UInt16.self))
            #expect(
                try await raw.receive()?.response == .ping(PingResponse(token: 5, generation: 1)))
        }
    }

    @Test func helloComesFirstAndIsSmall() async throws {
        try await withServer { server in
            let early = try RawConnection(port: server.port)
            early.send(frame(Self.lookup, 1))
            #expect(try await early.receive()?.header.status == .helloRequired)
            #expect(try await early.isEnded())

            let large = try RawConnection(port: server.port)
            large.send(
                frame(.lookup(LookupRequest(ids: .integers(Array(repeating: 1, count: 600)))), 1))
            #expect(try await large.receive()?.header.status == .frameTooLarge)
            #expect(try await large.isEnded())

            // A feature that is not there: another HELLO may follow.
            let picky = try RawConnection(port: server.port)
            picky.send(
                frame(
                    .hello(
                        HelloRequest(
                            requiredFeatures: [Features(rawValue: 1 << 40)], clientName: "raw")), 1)
            )
            #expect(try await picky.receive()?.header.status == .unsupportedFeature)
            try await picky.sayHello()

            let newer = try RawConnection(port: server.port)
            newer.send(
                frame(
                    .hello(
                        HelloRequest(minimumVersion: 2, maximumVersion: 3, clientName: "raw")), 1))
            #expect(try await newer.receive()?.header.status == .unsupportedVersion)
            #expect(try await newer.isEnded())
        }
    }

    @Test func bytesDrippedOneAtATime() async throws {
        try await withServer { server in
            let raw = try RawConnection(port: server.port)
            let bytes =
                frame(.hello(HelloRequest(clientName: "raw")), 1) + frame(Self.lookup, 2)
                + frame(.ping(PingRequest(token: 3)), 3)
            for byte in bytes { raw.send([byte]) }
            #expect(try await raw.receive()?.header.requestID == 1)
            #expect(try await raw.receive()?.header.requestID == 2)
            #expect(try await raw.receive()?.header.requestID == 3)
        }
    }

    @Test func framesSplitAtEveryByteAndCoalesced() async throws {
        try await withServer { server in
            let hello = frame(.hello(HelloRequest(clientName: "raw")), 1)
            let bytes = hello + frame(Self.lookup, 2) + frame(.describe, 3)
            for cut in 0...bytes.count {
                let raw = try RawConnection(port: server.port)
                raw.send(Array(bytes[..<cut]))
                // Lets the first piece arrive alone most of the time; either way is valid.
                try await Task.sleep(for: .microseconds(300))
                raw.send(Array(bytes[cut...]))
                for requestID in UInt32(1)...3 {
                    let answer = try await raw.receive()
                    #expect(answer?.header.requestID == requestID, "cut at \(cut)")
                    #expect(answer?.header.status == .ok)
                }
            }
        }
    }

    @Test func laterLookupsOvertakeAScan() async throws {
        // The counts take turns on one thread, a second of it together.
        let configuration = testConfiguration { $0.scanThreadCount = 1 }
        try await withServer(configuration, sampleContents(customerCount: 200_000)) { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello()
            let count = Request.count(CountRequest(rule: slowRule))
            let scan = Request.topCustomers(
                TopRequest(id: .text("P1"), count: 1_000, excludesPurchased: false))
            let scans: [UInt32] = [2, 3, 4, 5, 6]
            raw.send(
                scans.dropLast().flatMap { frame(count, $0) } + frame(scan, 6)
                    + frame(Self.lookup, 7) + frame(Self.lookup, 8))
            var order: [UInt32] = []
            while order.count < 7, let answer = try await raw.receive() {
                #expect(answer.header.status == .ok)
                order.append(answer.header.requestID)
            }
            #expect(order.prefix(2) == [7, 8])
            #expect(order.dropFirst(2).sorted() == scans)
        }
    }

    @Test func oneCustomerOfManyColumnsFitsTheSmallestFrame() async throws {
        var contents = sampleContents()
        contents.columns += (0..<90).map { index in
            ScoreColumn(
                id: UInt16(400 + index), name: "c\(index)", unit: "",
                values: .int32((0..<1_000).map { Int32($0 + index) }))
        }
        try await withServer(testConfiguration(), contents) { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(maximumFrameBytes: 4_096)
            raw.send(frame(Self.lookup, 2))
            let answer = try await raw.receive()
            guard case .lookup(let table)? = answer?.response else {
                Issue.record("\(String(describing: answer?.header.status))")
                return
            }
            #expect(table.table.columns.count == 1 + 4 + 90)
        }
    }

    @Test func anEmptyListKeepsTheKindOfItsIDs() async throws {
        try await withServer { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello()
            // Customer 3 bought nothing; the products have texts for ids.
            raw.send(
                frame(
                    .topProducts(
                        TopRequest(id: .integer(id(3)), count: 5, excludesPurchased: false)), 2))
            guard case .topProducts(let answer)? = try await raw.receive()?.response else {
                Issue.record("no answer")
                return
            }
            #expect(answer.table.rowCount == 0)
            #expect(answer.table[.entityID]?.values.type == .text)
        }
    }

    @Test func anAnswerAboveTheClientsLimitIsRefused() async throws {
        try await withServer { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(maximumFrameBytes: 4_096)
            let ids = IDColumn.integers((0..<500).map { id($0) })
            raw.send(frame(.lookup(LookupRequest(ids: ids)), 2))
            #expect(try await raw.receive()?.header.status == .answerTooLarge)
            let scan = Request.topCustomers(
                TopRequest(id: .text("P1"), count: 1_000, excludesPurchased: false))
            raw.send(frame(scan, 3))
            #expect(try await raw.receive()?.header.status == .answerTooLarge)
            raw.send(frame(Self.lookup, 4))
            #expect(try await raw.receive()?.header.status == .ok)
        }
    }
}
