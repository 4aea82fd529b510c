import ByteCoding
import Engine
import Foundation
import Logging
import PatronClient
import Server
import Testing
import UnixSignals
import Wire

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Start, new generations, limits and the end of a server.
@Suite struct LifeTests {
    @Test func newGenerationsArriveDuringAStreamOfLookups() async throws {
        try await withServer { server in
            let reader = Task {
                let connection = try await server.connect()
                var seen: [UInt64] = []
                while seen.last != 5 {
                    let rows = (0..<3).map { ($0 * 17 + seen.count) % 1_000 }
                    let answer = try await connection.lookup(
                        rows.map { .integer(id($0)) }, columns: [10])
                    let generation = answer.snapshot.generation
                    for (position, row) in rows.enumerated() {
                        #expect(
                            answer.columns[0].number(position)
                                == revenue(row: row, generation: Int(generation)))
                    }
                    if seen.last != generation { seen.append(generation) }
                }
                await connection.close()
                return seen
            }
            for generation in 2...5 {
                try server.publish(sampleContents(generation: generation))
                try await server.waitForGeneration(generation)
            }
            // No request failed, and no answer came from an older generation than the one before.
            let seen = try await reader.value
            #expect(seen == seen.sorted())
            #expect(seen.last == 5)
        }
    }

    @Test(arguments: ["lookup.arr", "affinity.arr", "segments.json", "SNAPSHOT"])
    func aDamagedGenerationIsRefusedAndTheOldOneServes(name: String) async throws {
        try await withServer { server in
            let connection = try await server.connect()
            try server.publish(sampleContents(generation: 2)) { folder in
                let url = URL(fileURLWithPath: folder + "/" + name)
                var bytes = try Data(contentsOf: url)
                bytes[bytes.count / 2] ^= 4
                try bytes.write(to: url)
            }
            try await server.waitForLook()
            #expect(try await connection.ping() == 1)
            let answer = try await connection.lookup([.integer(id(1))])
            #expect(answer.snapshot.generation == 1)
            // The manifest goes back, the files are restored, and the manifest goes on again.
            server.announce(
                SnapshotLocation(generation: 1, folder: server.folder + "/gen-000001"))
            try await server.waitForLook()
            try FileManager.default.removeItem(atPath: server.folder + "/gen-000002")
            try server.publish(sampleContents(generation: 2))
            try await server.waitForGeneration(2)
            #expect(try await connection.ping() == 2)
            try server.publish(sampleContents(generation: 3))
            try await server.waitForGeneration(3)
            #expect(try await connection.ping() == 3)
            await connection.close()
        }
    }

    @Test func aRollbackIsFollowed() async throws {
        try await withServer(testConfiguration(), sampleContents(generation: 4)) { server in
            let connection = try await server.connect()
            #expect(try await connection.ping() == 4)
            try server.publish(sampleContents(generation: 3))
            try await server.waitForGeneration(3)
            #expect(try await connection.ping() == 3)
            let answer = try await connection.lookup([.integer(id(1))], columns: [10])
            #expect(answer.snapshot.generation == 3)
            #expect(answer.columns[0].number(0) == revenue(row: 1, generation: 3))
            try server.publish(sampleContents(generation: 5))
            try await server.waitForGeneration(5)
            #expect(try await connection.ping() == 5)
            #expect(server.server.endpoint == "127.0.0.1:\(server.port)")
            await connection.close()
        }
    }

    @Test func aGenerationThatCannotBeOpenedYetIsTriedAgain() async throws {
        try await withServer { server in
            server.announce(
                SnapshotLocation(generation: 2, folder: server.folder + "/gen-000002"))
            try await Task.sleep(for: .milliseconds(60))
            #expect(server.server.generation == 1)
            try SnapshotWriter.write(sampleContents(generation: 2), into: server.folder)
            try await server.waitForGeneration(2)
            #expect(server.server.generation == 2)
        }
    }

    @Test func drainAnswersWhatIsInFlightAndRefusesTheRest() async throws {
        try await withServer(testConfiguration { $0.drainDelay = .seconds(1) }) { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello()
            let connection = try await server.connect()
            await server.shutDown()
            // Told to go, but served until the delay is over.
            #expect(try await raw.receive()?.header.status == .draining)
            raw.send(frame(.ping(PingRequest(token: 1)), 2))
            #expect(try await raw.receive()?.header.requestID == 2)
            #expect(try await raw.isEnded())
            for _ in 0..<600 where connection.isOpen {
                try await Task.sleep(for: .milliseconds(5))
            }
            let error = await #expect(throws: PatronError.self) {
                try await connection.lookup([.integer(id(1))])
            }
            if case .goingAway? = error {
            } else {
                Issue.record("\(String(describing: error))")
            }
            await #expect(throws: PatronError.self) { _ = try await server.connect() }
        }
    }

    @Test func scansInFlightSurviveTheDrain() async throws {
        try await withServer(testConfiguration { $0.drainDelay = .zero }) { server in
            let connection = try await server.connect()
            try await withThrowingTaskGroup(of: Int?.self) { tasks in
                for _ in 0..<50 {
                    tasks.addTask {
                        do {
                            return try await connection.topCustomers(
                                product: .text("P1"), count: 9
                            ).entries.count
                        } catch PatronError.goingAway {
                            return nil
                        } catch PatronError.refused(let refusal) {
                            #expect(refusal.name == "draining")
                            #expect(refusal.retryAfter != nil)
                            return nil
                        }
                    }
                }
                await server.shutDown()
                for try await count in tasks { #expect(count == nil || count == 9) }
            }
        }
    }

    @Test func answersThatWaitForTheClientSurviveTheDrain() async throws {
        let configuration = testConfiguration {
            $0.limits.pendingOutputByteCount = 64 << 10
            // This client reads when a test gets its turn.
            $0.limits.writeStallTimeout = .seconds(90)
            $0.drainTimeout = .seconds(90)
        }
        try await withServer(configuration) { server in
            let raw = try RawConnection(port: server.port, receiveBytes: 4_096)
            try await raw.sayHello()
            let requestIDs = UInt32(2)..<4_002
            raw.send(requestIDs.flatMap { frame(.describe, $0) })
            #expect(try await raw.receive()?.header.requestID == 2)
            await server.shutDown()
            // Longer than the delay and than a client gets to close: what it has asked stays.
            try await Task.sleep(for: .milliseconds(1_500))
            var answered: [UInt32] = [2]
            var toldToGo = 0
            while let header = try await raw.receive()?.header {
                if header.opcode == .goAway {
                    toldToGo += 1
                    continue
                }
                #expect(header.status == .ok || header.status == .draining)
                answered.append(header.requestID)
            }
            // Counted, because an array of four thousand is no message.
            #expect(answered.count == requestIDs.count)
            #expect(Set(answered).count == requestIDs.count)
            #expect(toldToGo == 1)
        }
    }

    @Test func aSecondSignalEndsTheDrain() async throws {
        // Keeps the signal from ending the tests, whatever the server does.
        let signals = await UnixSignalsSequence(trapping: .sigusr1)
        let configuration = testConfiguration {
            $0.drainDelay = .seconds(60)
            $0.hasteningSignals = [.sigusr1]
        }
        try await withServer(configuration) { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello()
            await server.shutDown()
            #expect(try await raw.receive()?.header.status == .draining)
            let sender = Task {
                while !Task.isCancelled {
                    kill(getpid(), SIGUSR1)
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            // Far earlier than after the minute of the delay.
            #expect(try await raw.isEnded())
            sender.cancel()
        }
        withExtendedLifetime(signals) {}
    }

    @Test func aCancelledServerEndsAtOnce() async throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("patron-test-\(UUID().uuidString)", isDirectory: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let location = try SnapshotWriter.write(sampleContents(), into: folder.path)
        let server = try await PatronServer.start(
            ServerConfiguration(drainDelay: .seconds(60)),
            source: { () throws(EngineError) in location },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let running = Task { try await server.run() }
        let connection = try await PatronConnection.connect(host: "127.0.0.1", port: server.port)
        try await connection.ping()
        running.cancel()
        try await running.value
        await #expect(throws: PatronError.self) { try await connection.ping() }
        #expect(await server.counters().otherRequests == 2)
    }

    @Test func aPortInUseIsNamed() async throws {
        try await withServer { server in
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let location = SnapshotLocation(generation: 1, folder: server.folder + "/gen-000001")
            await #expect(throws: ServerError.addressInUse(address: "127.0.0.1:\(server.port)")) {
                _ = try await PatronServer.start(
                    ServerConfiguration(port: server.port),
                    source: { () throws(EngineError) in location }, logger: logger)
            }
        }
    }

    @Test func onlyLoopbackWithoutTokens() async throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        for host in ["0.0.0.0", "::"] {
            await #expect(throws: ServerError.insecureBind(address: "\(host):0")) {
                _ = try await PatronServer.start(
                    ServerConfiguration(host: host), source: { () throws(EngineError) in nil },
                    logger: logger)
            }
        }
        try await withServer(testConfiguration { ($0.host, $0.allowInsecure) = ("0.0.0.0", true) })
        {
            let connection = try await $0.connect()
            try await connection.ping()
            await connection.close()
        }
    }

    @Test func nothingPublishedOrDamagedAtTheStart() async throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        await #expect(throws: ServerError.nothingPublished) {
            _ = try await PatronServer.start(
                ServerConfiguration(), source: { () throws(EngineError) in nil }, logger: logger)
        }
        let missing = SnapshotLocation(generation: 1, folder: "/nowhere/gen-000001")
        let error = await #expect(throws: ServerError.self) {
            _ = try await PatronServer.start(
                ServerConfiguration(), source: { () throws(EngineError) in missing },
                logger: logger)
        }
        #expect("\(try #require(error))".contains("/nowhere/gen-000001/SNAPSHOT"))
    }

    @Test func silentAndSlowClientsAreCutOff() async throws {
        let configuration = testConfiguration {
            $0.limits.handshakeTimeout = .seconds(1)
            $0.limits.frameTimeout = .milliseconds(300)
            $0.limits.idleTimeout = .seconds(3)
        }
        try await withServer(configuration) { server in
            let silent = try RawConnection(port: server.port)
            let slow = try RawConnection(port: server.port)
            let idle = try RawConnection(port: server.port)
            // All at once: from here on the clock of the server alone decides.
            let hello = frame(.hello(HelloRequest(clientName: "raw")), 1)
            slow.send(hello + frame(.describe, 2).prefix(20))
            idle.send(hello)
            for raw in [slow, idle] {
                guard case .hello? = try await raw.receive()?.response else {
                    Issue.record("no answer to HELLO")
                    return
                }
            }
            let ends: [(RawConnection, Status)] = [
                (silent, .handshakeTimeout), (slow, .peerTooSlow), (idle, .idleTimeout),
            ]
            for (raw, status) in ends {
                guard case .goAway(status, let end)? = try await raw.receive()?.response else {
                    Issue.record("no GOAWAY with \(status)")
                    return
                }
                #expect(!end.reason.text.isEmpty && !end.reason.hint.isEmpty)
                #expect(try await raw.isEnded())
            }
        }
    }

    /// A process whose tasks all wait for a thread must not lose its connection meanwhile.
    @Test func aBusyProcessSaysHelloInTime() async throws {
        try await withServer(testConfiguration { $0.limits.handshakeTimeout = .seconds(1) }) {
            server in
            let connecting = Task { try await server.connect() }
            let busy = (0..<2 * ProcessInfo.processInfo.activeProcessorCount).map { _ in
                Task { _ = sleep(1) }
            }
            let connection = try await connecting.value
            try await connection.ping()
            await connection.close()
            for task in busy { await task.value }
        }
    }

    @Test func connectionsAreLimited() async throws {
        try await withServer(testConfiguration { $0.limits.connectionCount = 2 }) { server in
            let first = try await server.connect()
            let second = try await server.connect()
            let third = try RawConnection(port: server.port)
            #expect(try await third.receive()?.header.status == .tooManyConnections)
            #expect(try await third.isEnded())
            await first.close()
            for _ in 0..<100 {
                if let next = try? await server.connect() {
                    try await next.ping()
                    await next.close()
                    break
                }
                try await Task.sleep(for: .milliseconds(10))
            }
            try await second.ping()
            await second.close()
        }
    }

    @Test func openRequestsAreLimitedAndTheirIDsAreTheirs() async throws {
        try await withServer(testConfiguration { $0.limits.inFlightPerConnection = 2 }) { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello()
            let scan = Request.topCustomers(
                TopRequest(id: .text("P1"), count: 5, excludesPurchased: false))
            let lookup = Request.lookup(LookupRequest(ids: .integers([id(7)])))
            raw.send(
                frame(scan, 2) + frame(scan, 2) + frame(lookup, 2) + frame(scan, 3)
                    + frame(scan, 4) + frame(lookup, 0))
            var statuses: [UInt32: [Status]] = [:]
            for _ in 0..<6 {
                let header = try #require(try await raw.receive()).header
                statuses[header.requestID, default: []].append(header.status)
            }
            #expect(statuses[2] == [.requestIDInUse, .requestIDInUse, .ok])
            #expect(statuses[3] == [.ok])
            #expect(statuses[4] == [.tooManyInFlight])
            #expect(statuses[0] == [.valueOutOfRange])
            // The client keeps to the limit by itself.
            let connection = try await server.connect()
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for _ in 0..<40 {
                    tasks.addTask {
                        _ = try await connection.topCustomers(product: .text("P1"), count: 5)
                    }
                }
                try await tasks.waitForAll()
            }
            await connection.close()
        }
    }

    @Test func aClientThatNeverReadsIsCutOffAndOthersAreServed() async throws {
        let configuration = testConfiguration {
            $0.limits.pendingOutputByteCount = 64 << 10
            $0.limits.writeStallTimeout = .milliseconds(300)
        }
        try await withServer(configuration) { server in
            let deaf = try RawConnection(port: server.port)
            try await deaf.sayHello()
            let ids = IDColumn.integers((0..<1_000).map { id($0) })
            let request = frame(.lookup(LookupRequest(ids: ids)), 2)
            // The server stops reading, so the socket fills up.
            var sent = 0
            for _ in 0..<2_000 {
                let count = deaf.send(request, waits: false)
                sent += count
                if count < request.count { break }
            }
            #expect(sent < 2_000 * request.count)
            let other = try await server.connect()
            for row in 0..<50 {
                let answer = try await other.lookup([.integer(id(row))])
                #expect(answer.status.count == 1)
            }
            for _ in 0..<100 where deaf.send([0], waits: false) == 1 {
                try await Task.sleep(for: .milliseconds(10))
            }
            try await Task.sleep(for: .milliseconds(600))
            #expect(deaf.send([0], waits: false) == 0)
            await other.close()
        }
    }

    @Test(arguments: [
        Request.describe, .lookup(LookupRequest(ids: .integers([id(7)]))),
        .lookup(LookupRequest(ids: .integers([id(7), id(9)]))),
    ])
    func aSlowReaderGetsEveryAnswer(request: Request) async throws {
        let configuration = testConfiguration {
            $0.limits.pendingOutputByteCount = 64 << 10
            $0.limits.writeStallTimeout = .seconds(1)
        }
        try await withServer(configuration) { server in
            let raw = try RawConnection(port: server.port, receiveBytes: 4_096)
            try await raw.sayHello()
            // Few bytes a request, many an answer: the server must stop in the
            // middle of what it has read, and go on later.
            let requestIDs = UInt32(2)..<3_002
            raw.send(requestIDs.flatMap { frame(request, $0) })
            for requestID in requestIDs {
                #expect(try await raw.receive()?.header.requestID == requestID)
                if requestID % 30 == 0 { try await Task.sleep(for: .milliseconds(20)) }
            }
            raw.send(frame(.ping(PingRequest(token: 1)), 2))
            #expect(try await raw.receive()?.header.status == .ok)
        }
    }

    @Test func deadlines() async throws {
        try await withServer { server in
            let connection = try await server.connect()
            await #expect(throws: PatronError.deadlinePassed) {
                try await connection.lookup([.integer(id(1))], deadline: .nanoseconds(1))
            }
            // The late answer is dropped and the connection goes on.
            let answer = try await connection.lookup([.integer(id(1))])
            #expect(answer.status == [.ok])
            await connection.close()
            await #expect(throws: PatronError.self) { try await connection.ping() }
        }
    }

    @Test func nobodyListens() async throws {
        let error = await #expect(throws: PatronError.self) {
            _ = try await PatronConnection.connect(host: "127.0.0.1", port: 1)
        }
        guard case .cannotConnect(host: "127.0.0.1", port: 1, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }
}
