import ByteCoding
import PatronClient
import Testing
import Wire

/// SCAN, AUDIENCE, COUNT, CREDIT and CANCEL.
@Suite struct StreamTests {
    private static let customerCount = 50_000

    private static let contents = sampleContents(customerCount: customerCount)

    @Test func scanGivesEveryCustomerOnce() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let connection = try await server.connect()
            var row = 0
            var chunkCount = 0
            for try await chunk in try connection.customers(columns: [10, 13]) {
                #expect(chunk.snapshot.generation == 1)
                #expect(chunk.columns.map(\.id) == [10, 13])
                for position in chunk.ids.indices {
                    guard chunk.ids[position] == .integer(id(row)),
                        chunk.status[position] == (row % 10 == 9 ? .tooLittleHistory : .ok),
                        chunk.columns[0].number(position) == revenue(row: row, generation: 1),
                        chunk.columns[1].number(position) == Double(row % 5)
                    else {
                        Issue.record("row \(row) is another one")
                        return
                    }
                    row += 1
                }
                chunkCount += 1
                #expect(chunk.scannedCount == row)
            }
            #expect(row == Self.customerCount)
            #expect(chunkCount > 3)
            await connection.close()
        }
    }

    @Test(arguments: [0, 1, 2, 64, 1_023, 1_025])
    func scanOfFew(customerCount: Int) async throws {
        let contents = sampleContents(customerCount: max(5, customerCount))
        try await withServer(testConfiguration(), contents) { server in
            let connection = try await server.connect()
            // An audience of exactly as many.
            let rule =
                customerCount == 0
                ? "revenue < 0" : "revenue < \(1 + Double(customerCount) / 1_024)"
            var ids: [PatronID] = []
            for try await chunk in try connection.customers(rule: rule) { ids += chunk.ids }
            #expect(ids == (0..<customerCount).map { .integer(id($0)) })
            #expect(try await connection.count(rule: rule) == customerCount)
            await connection.close()
        }
    }

    @Test func audiencesOfTextIDs() async throws {
        let contents = sampleContents(customerCount: 20_000, textIDs: true)
        try await withServer(testConfiguration(), contents) { server in
            let connection = try await server.connect()
            var ids: [PatronID] = []
            for try await chunk in try connection.customers(
                rule: "valueSegment in (1, 4) and not probabilityAlive is missing", columns: [300])
            {
                ids += chunk.ids
            }
            let wanted = (0..<20_000).filter { ($0 % 5 == 1 || $0 % 5 == 4) && $0 % 10 != 9 }
            #expect(ids == wanted.map { .text("C\(10_000 + $0)") })
            await connection.close()
        }
    }

    @Test func aStreamWaitsForCreditAndOthersDoNot() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(optionalFeatures: .streams)
            raw.send(frame(.scan(StreamRequest(credit: 256 << 10)), 2))
            let first = try #require(try await raw.receive())
            guard case .scan(let chunk) = first.response else {
                Issue.record("not a chunk")
                return
            }
            #expect(first.header.flags.contains(.more) && chunk.hasMore)
            // The credit is spent: only what is asked for comes.
            raw.send(frame(.ping(PingRequest(token: 5)), 3))
            #expect(try await raw.receive()?.header.requestID == 3)
            raw.send(frame(.credit(CreditMessage(credit: 256 << 10)), 2))
            guard case .scan(let second)? = try await raw.receive()?.response else {
                Issue.record("not a chunk")
                return
            }
            #expect(second.scannedCustomers > chunk.scannedCustomers)
            // CANCEL ends it, and its id is free.
            raw.send(frame(.cancel, 2))
            let cancelled = try #require(try await raw.receive())
            #expect(cancelled.header.status == .cancelled && cancelled.header.requestID == 2)
            raw.send(frame(.ping(PingRequest(token: 6)), 2))
            #expect(try await raw.receive()?.header.requestID == 2)
            // What comes too late is ignored.
            raw.send(frame(.cancel, 2) + frame(.credit(CreditMessage(credit: 9)), 2))
            raw.send(frame(.ping(PingRequest(token: 7)), 4))
            #expect(try await raw.receive()?.header.requestID == 4)
        }
    }

    @Test func aStreamGoesOnWhereAnotherEnded() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let rule = "revenue >= 3"
            let first = try await server.connect()
            var ids: [PatronID] = []
            var token: StreamToken?
            for try await chunk in try first.customers(rule: rule, columns: [10]) {
                ids += chunk.ids
                token = chunk.token
                break
            }
            await first.close()
            let second = try await server.connect()
            for try await chunk in try second.customers(rule: rule, columns: [10], after: token) {
                ids += chunk.ids
            }
            let wanted = (0..<Self.customerCount).filter { revenue(row: $0, generation: 1) >= 3 }
            #expect(ids == wanted.map { .integer(id($0)) })
            // Not with another rule, and not in another generation.
            await expectRefusal(.valueOutOfRange) {
                for try await _ in try second.customers(rule: "all", columns: [10], after: token) {}
            }
            try server.publish(sampleContents(generation: 2, customerCount: 100))
            try await server.waitForGeneration(2)
            await expectRefusal(.snapshotChanged) {
                for try await _ in try second.customers(rule: rule, columns: [10], after: token) {}
            }
            await second.close()
        }
    }

    /// All chunks come from one generation, whatever is published meanwhile.
    @Test func aStreamKeepsItsGeneration() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let connection = try await server.connect()
            var row = 0
            for try await chunk in try connection.customers(columns: [10], credit: 256 << 10) {
                if row == 0 {
                    try server.publish(sampleContents(generation: 2, customerCount: 100))
                    try await server.waitForGeneration(2)
                }
                #expect(chunk.snapshot.generation == 1)
                #expect(chunk.columns[0].number(0) == revenue(row: row, generation: 1))
                row += chunk.ids.count
            }
            #expect(row == Self.customerCount)
            #expect(try await connection.ping() == 2)
            await connection.close()
        }
    }

    @Test func badStreamsAreRefused() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let connection = try await server.connect()
            await expectRefusal(.invalidRule) {
                _ = try await connection.count(rule: "nothing > 1")
            }
            await expectRefusal(.invalidRule) {
                for try await _ in try connection.customers(rule: "revenue >") {}
            }
            await expectRefusal(.unknownColumn) {
                for try await _ in try connection.customers(columns: [999]) {}
            }
            await expectRefusal(.deadlinePassed) {
                // The server's word, not the client's: nobody reads for a while.
                let raw = try RawConnection(port: server.port)
                try await raw.sayHello(optionalFeatures: .streams)
                raw.send(
                    frame(.scan(StreamRequest(credit: 256 << 10)), 2, deadlineMilliseconds: 50))
                while let answer = try await raw.receive() {
                    if case .failure(_, let status, let body) = answer.response {
                        throw PatronError.refused(
                            .init(
                                status: status.rawValue, name: "", text: body.text, hint: "",
                                retryAfter: nil))
                    }
                }
            }
            // Without the feature.
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello()
            raw.send(frame(.scan(StreamRequest()), 2))
            #expect(try await raw.receive()?.header.status == .unsupportedFeature)
            // More credit than a connection has.
            let greedy = try RawConnection(port: server.port)
            try await greedy.sayHello(optionalFeatures: .streams)
            greedy.send(frame(.scan(StreamRequest(credit: 256 << 10)), 2))
            _ = try await greedy.receive()
            greedy.send(frame(.scan(StreamRequest(credit: 16 << 20)), 3))
            #expect(try await greedy.receive()?.header.status == .tooManyItems)
            greedy.send(frame(.credit(CreditMessage(credit: 16 << 20)), 2))
            let failed = try #require(try await greedy.receive())
            #expect(failed.header.status == .tooManyItems && failed.header.requestID == 2)
            await connection.close()
        }
    }

    /// A row of which not even one fits into the client's frames.
    @Test func framesTooSmallForARow() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(maximumFrameBytes: 4_096, optionalFeatures: .streams)
            raw.send(frame(.scan(StreamRequest(columns: [ColumnID(rawValue: 10)])), 2))
            var rows = 0
            while rows < 500, let answer = try await raw.receive() {
                guard case .scan(let chunk) = answer.response else {
                    Issue.record("not a chunk")
                    return
                }
                #expect(answer.header.length <= 4_096)
                rows += chunk.table.rowCount
            }
            #expect(rows >= 500)
        }
    }

    /// Streams that nobody ends leave the server as it was.
    @Test func abandonedStreamsAreLetGo() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            for _ in 0..<50 {
                let raw = try RawConnection(port: server.port)
                try await raw.sayHello(optionalFeatures: .streams)
                for id in 2..<UInt32(10) {
                    raw.send(frame(.scan(StreamRequest(credit: 1 << 20)), id))
                }
            }
            let connection = try await server.connect()
            #expect(try await connection.count(rule: "all") == Self.customerCount)
            await connection.close()
        }
    }

    private func expectRefusal(_ status: Status, _ body: () async throws -> Void) async {
        do {
            try await body()
            Issue.record("not refused as \(status)")
        } catch PatronError.refused(let refusal) {
            #expect(refusal.status == status.rawValue, "\(refusal)")
        } catch {
            Issue.record(error)
        }
    }
}
