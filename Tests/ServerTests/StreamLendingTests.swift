import ByteCoding
import Foundation
import Testing
import Wire

/// Streams whose chunks the scan threads send themselves: on a connection that others of its requests
/// use, that is slow, and that ends.
@Suite struct StreamLendingTests {
    private static let customerCount = 60_000
    private static let contents = sampleContents(customerCount: customerCount)

    /// What a client that reads everything has got.
    private struct Seen {
        var nextRow = 0
        var answers: Set<UInt32> = []
        var isOver = false
    }

    private static func scan(credit: Int = 8 << 20) -> Request {
        .scan(
            StreamRequest(
                credit: UInt32(credit), columns: [2, 10, 13, 300].map { ColumnID(rawValue: $0) }))
    }

    /// Takes a frame: chunks must come in order, every row once.
    private func take(
        _ frame: (header: FrameHeader, response: Response, meta: [MetaItem]), _ seen: inout Seen
    ) throws {
        guard case .scan(let chunk) = frame.response else {
            #expect(frame.header.status == .ok)
            seen.answers.insert(frame.header.requestID)
            return
        }
        guard case .some(.int64(let ids)) = chunk.table[.entityID]?.values else {
            Issue.record("no ids")
            return
        }
        for value in ids {
            try #require(id(seen.nextRow) == value)
            seen.nextRow += 1
        }
        #expect(chunk.scannedCustomers == UInt64(seen.nextRow))
        if !chunk.hasMore { seen.isOver = true }
    }

    /// Frames of a scan and answers to look-ups and pings share a connection, and are never mixed.
    @Test(arguments: [nil, 4_096, 300_000])
    func otherAnswersComeBetweenChunks(receiveBytes: Int32?) async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let raw = try RawConnection(port: server.port, receiveBytes: receiveBytes)
            try await raw.sayHello(optionalFeatures: .streams)
            var seen = Seen()
            raw.send(frame(Self.scan(), 1_000_000))
            var sent: UInt32 = 10
            while !seen.isOver {
                while Int(sent - 10) - seen.answers.count < 3 {
                    sent += 1
                    raw.send(
                        frame(
                            sent % 2 == 0
                                ? .ping(PingRequest(token: UInt64(sent)))
                                : .lookup(
                                    LookupRequest(
                                        ids: .integers([id(Int(sent) % 1_000)]),
                                        columns: [ColumnID(rawValue: 10)])), sent))
                }
                let frame = try #require(try await raw.receive())
                try take(frame, &seen)
            }
            while seen.answers.count < Int(sent - 10) {
                let frame = try #require(try await raw.receive())
                try take(frame, &seen)
            }
            #expect(seen.nextRow == Self.customerCount)
            #expect(seen.answers == Set(11...sent))
        }
    }

    /// A cancelled stream ends with whole frames: either its last chunk or that it was cancelled.
    @Test func cancelledInTheMiddleOfAChunk() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let raw = try RawConnection(port: server.port, receiveBytes: 4_096)
            try await raw.sayHello(optionalFeatures: .streams)
            for round in 0..<UInt32(30) {
                let request = 2 + round * 2
                raw.send(frame(Self.scan(), request))
                if round % 3 > 0 {
                    try await Task.sleep(for: .microseconds(300 * Int(round)))
                }
                raw.send(frame(.cancel, request))
                raw.send(frame(.ping(PingRequest(token: UInt64(round))), request + 1))
                var (seen, ends, pongs) = (Seen(), 0, 0)
                while ends == 0 || pongs == 0 {
                    let frame = try #require(try await raw.receive())
                    if frame.header.requestID == request + 1 {
                        pongs += 1
                    } else if frame.header.status == .cancelled {
                        #expect(frame.header.requestID == request)
                        ends += 1
                    } else {
                        try #require(frame.header.requestID == request && ends == 0)
                        try take(frame, &seen)
                        if seen.isOver { ends += 1 }
                    }
                }
            }
        }
    }

    /// Two streams and their credits on one connection: each gets all its rows in order.
    @Test func severalStreamsOnOneConnection() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(optionalFeatures: .streams)
            var streams: [UInt32: Seen] = [:]
            for request in UInt32(2)...5 {
                streams[request] = Seen()
                raw.send(frame(Self.scan(credit: 300_000), request))
            }
            while streams.values.contains(where: { !$0.isOver }) {
                let received = try #require(try await raw.receive())
                let request = received.header.requestID
                var seen = try #require(streams[request])
                try take(received, &seen)
                streams[request] = seen
                if !seen.isOver {
                    raw.send(frame(.credit(CreditMessage(credit: 300_000)), request))
                }
            }
            #expect(streams.values.allSatisfy { $0.nextRow == Self.customerCount })
        }
    }

    /// A connection that ends in the middle of a chunk: what comes after it on other connections, which
    /// may get its descriptor, is theirs.
    @Test func connectionsThatEndInTheMiddle() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            for round in 0..<60 {
                do {
                    let leaving = try RawConnection(port: server.port, receiveBytes: 4_096)
                    try await leaving.sayHello(optionalFeatures: .streams)
                    leaving.send(frame(Self.scan(), 2))
                    if round % 2 == 0 { try await Task.sleep(for: .microseconds(200 * round)) }
                }
                let next = try RawConnection(port: server.port)
                try await next.sayHello(optionalFeatures: .streams)
                next.send(frame(.ping(PingRequest(token: UInt64(round))), 7))
                let answer = try #require(try await next.receive())
                #expect(answer.header.requestID == 7 && answer.header.status == .ok)
            }
        }
    }

    /// A connection that is reset while a chunk is sent and answers are held: its stream is over.
    @Test func resetsLeaveNoStreamBehind() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let lookups = (0..<UInt32(200)).flatMap {
                frame(
                    .lookup(
                        LookupRequest(
                            ids: .integers([id(Int($0))]), columns: [ColumnID(rawValue: 10)])),
                    100 + $0)
            }
            for round in 0..<150 {
                let raw = try RawConnection(port: server.port, receiveBytes: 4_096)
                raw.resetAtEnd()
                try await raw.sayHello(optionalFeatures: .streams)
                raw.send(frame(Self.scan(credit: 16 << 20), 2))
                raw.send(lookups)
                if round % 3 > 0 { try await Task.sleep(for: .microseconds(20 * round)) }
            }
            // One that was left would have its turns for ever.
            var (turns, isStill) = (-1, false)
            for _ in 0..<200 where !isStill {
                try await Task.sleep(for: .milliseconds(50))
                let now = await server.server.metrics()
                isStill = now.openRequests == 0 && now.counters.streamTurns == turns
                turns = now.counters.streamTurns
            }
            #expect(isStill && turns > 0)
        }
    }

    /// A protocol error while a chunk is being sent: the chunk is whole, then comes why the connection
    /// ends, then its end.
    @Test func endsAfterTheChunk() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            for _ in 0..<10 {
                let raw = try RawConnection(port: server.port, receiveBytes: 4_096)
                try await raw.sayHello(optionalFeatures: .streams)
                raw.send(frame(Self.scan(), 2))
                raw.send([UInt8](repeating: 0xEE, count: 64))
                var seen = Seen()
                var reason: Status?
                while let received = try await raw.receive() {
                    if case .scan = received.response {
                        #expect(reason == nil)
                        try take(received, &seen)
                    } else {
                        reason = received.header.status
                    }
                }
                #expect(reason == .badMagic)
            }
        }
    }

    /// A client that gives credit and does not read: what waits for it is bounded by `pendingOutput` and
    /// what the kernel takes, and nothing of it is lost.
    @Test func creditDoesNotMakeChunksThatNobodyTakes() async throws {
        let contents = sampleContents(customerCount: 40_000)
        let configuration = testConfiguration { $0.limits.writeStallTimeout = .seconds(90) }
        try await withServer(configuration, contents) { server in
            let raw = try RawConnection(port: server.port, receiveBytes: 4_096)
            try await raw.sayHello(optionalFeatures: .streams)
            for request in UInt32(2)..<10 {
                raw.send(frame(Self.scan(credit: 2 << 20), request))
            }
            var (written, isStill) = (-1, false)
            for _ in 0..<200 where !isStill {
                try await Task.sleep(for: .milliseconds(50))
                let now = await server.server.metrics().bytesWritten
                isStill = now == written && now > 0
                written = now
            }
            #expect(isStill && written < 9 << 20, "\(written) bytes")
            var streams: [UInt32: Seen] = [:]
            var byteCount = 0
            while streams.count < 8 || streams.values.contains(where: { !$0.isOver }) {
                let received = try #require(try await raw.receive())
                var seen = streams[received.header.requestID] ?? Seen()
                if case .scan(let chunk) = received.response {
                    byteCount += chunk.table.rowCount * 36
                    if case .some(.int64(let ids)) = chunk.table[.entityID]?.values {
                        for value in ids {
                            try #require(id(seen.nextRow) == value)
                            seen.nextRow += 1
                        }
                    }
                    seen.isOver = !chunk.hasMore
                }
                streams[received.header.requestID] = seen
            }
            #expect(streams.values.allSatisfy { $0.nextRow == 40_000 })
            #expect(byteCount > 10 << 20)
        }
    }

    /// A server that may wait no longer tells that a stream is not complete.
    @Test func endsAStreamThatIsNotReadInTime() async throws {
        let raw: RawConnection
        do {
            let (opened, opening) = AsyncStream.makeStream(of: RawConnection.self)
            let configuration = testConfiguration { $0.drainTimeout = .milliseconds(300) }
            try await withServer(configuration, Self.contents) { server in
                let raw = try RawConnection(port: server.port)
                try await raw.sayHello(optionalFeatures: .streams)
                raw.send(frame(Self.scan(credit: 256 << 10), 2))
                _ = try #require(try await raw.receive())
                opening.yield(raw)
            }
            var first = opened.makeAsyncIterator()
            raw = try #require(await first.next())
        }
        var statuses: [UInt32: Status?] = [:]
        while let received = try await raw.receive() {
            statuses[received.header.requestID] = received.header.status
        }
        #expect(statuses[2] == .draining)
    }

    /// A server that stops finishes its streams.
    @Test func drainsAStream() async throws {
        let (begun, beginning) = AsyncStream.makeStream(of: Void.self)
        var reader: Task<Int, any Error>?
        try await withServer(testConfiguration(), Self.contents) { server in
            let connection = try await server.connect()
            reader = Task {
                var count = 0
                for try await chunk in try connection.customers() {
                    count += chunk.ids.count
                    beginning.yield()
                    try await Task.sleep(for: .milliseconds(20))
                }
                return count
            }
            for await _ in begun { break }
        }
        #expect(try await reader?.value == Self.customerCount)
    }
}
