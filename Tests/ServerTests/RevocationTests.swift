import ByteCoding
import Foundation
import PatronClient
import Server
import Synchronization
import TestSupport
import Testing
import Units
import Wire

/// What becomes of open connections when their token is taken back, changes or expires.
@Suite struct RevocationTests {
    private func guarded(
        _ path: String, _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) -> ServerConfiguration {
        testConfiguration {
            $0.tokensPath = path
            $0.tokenPollInterval = .milliseconds(10)
            change(&$0)
        }
    }

    private func write(_ lines: [String], to path: String) throws {
        try Data((lines.joined(separator: "\n") + "\n").utf8)
            .write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    /// The line of a token with other scopes.
    private func line(_ token: NewToken, _ scopes: String) -> String {
        var words = token.line.split(separator: " ").map(String.init)
        words[1] = scopes
        return words.joined(separator: " ")
    }

    private func greet(
        _ raw: RawConnection, _ token: NewToken, streams: Bool = false
    ) async throws {
        let hello = HelloRequest(
            optionalFeatures: streams ? .streams : .clientJunk, token: Array(token.token.utf8),
            clientName: "raw")
        raw.send(frame(.hello(hello), 1))
        guard case .hello? = try await raw.receive()?.response else {
            throw POSIXError(.EPROTO)
        }
    }

    @Test func aTokenThatIsGoneEndsItsConnections() async throws {
        try await inTemporaryFolder { folder in
            let path = folder.appendingPathComponent("tokens").path
            let first = NewToken(name: "first", scopes: .read, expires: nil)
            let second = NewToken(name: "second", scopes: .read, expires: nil)
            try write([first.line, second.line], to: path)
            let log = LogRecorder()
            let contents = sampleContents(customerCount: 40_000)
            try await withServer(guarded(path), contents, logger: log.logger) { server in
                let raw = try RawConnection(port: server.port)
                try await greet(raw, first, streams: true)
                // A look-up that the loop remembers, and a stream that waits for credit.
                let lookup = LookupRequest(
                    ids: .integers([id(1)]), columns: [ColumnID(rawValue: 10)])
                raw.send(frame(.lookup(lookup), 2))
                #expect(try await raw.receive()?.header.status == .ok)
                raw.send(frame(.scan(StreamRequest(credit: 256 << 10)), 3))
                #expect(try await raw.receive()?.header.status == .ok)
                let connection = try await server.connect(token: first.token)
                let other = try await server.connect(token: second.token)
                #expect(try await connection.lookup([.integer(id(1))]).status == [.ok])
                let clock = ContinuousClock()
                let start = clock.now
                try write([second.line], to: path)
                // The stream ends, then the connection.
                let ended = try await raw.receive()
                #expect(ended?.header.requestID == 3)
                #expect(ended?.header.status == .authenticationFailed)
                let last = try await raw.receive()
                guard case .goAway(let status, let message)? = last?.response else {
                    Issue.record("\(String(describing: last))")
                    return
                }
                #expect(status == .authenticationFailed)
                #expect(message.graceMilliseconds == 0)
                #expect(message.reason.text == "the credential is not accepted any more")
                #expect(try await raw.isEnded())
                // Soon, on a machine that does other things too; not at the end of a limit.
                #expect(clock.now - start < .seconds(9))
                let error = await #expect(throws: PatronError.self) {
                    for _ in 0..<1_000 {
                        _ = try await connection.lookup([.integer(id(1))])
                        try await Task.sleep(for: .milliseconds(5))
                    }
                }
                switch error {
                case .goingAway?, .connectionClosed?: break
                default: Issue.record("\(String(describing: error))")
                }
                // The other one's goes on.
                #expect(try await other.lookup([.integer(id(1))]).status == [.ok])
                await other.close()
                #expect(try await log.line(with: "endedConnections=") != nil)
                #expect(await server.server.metrics().counters.revokedConnections == 2)
            }
        }
    }

    @Test func aTokenThatExpiresEndsItsConnections() async throws {
        try await inTemporaryFolder { folder in
            let path = folder.appendingPathComponent("tokens").path
            let day = try #require(CalendarDay(parsing: "2027-12-31"))
            let brief = NewToken(name: "brief", scopes: .read, expires: day)
            let lasting = NewToken(name: "lasting", scopes: .read, expires: nil)
            try write([brief.line, lasting.line], to: path)
            // The last second of the token's last day.
            let time = Mutex(day.daysSince1970 * 86_400 + 86_399)
            let configuration = guarded(path) { $0.now = { time.withLock { $0 } } }
            try await withServer(configuration) { server in
                let raw = try RawConnection(port: server.port)
                try await greet(raw, brief)
                let lasts = try await server.connect(token: lasting.token)
                // Longer than a tick: the day is not over.
                try await Task.sleep(for: .milliseconds(250))
                raw.send(frame(.ping(PingRequest(token: 5)), 2))
                #expect(try await raw.receive()?.header.status == .ok)
                time.withLock { $0 += 1 }
                #expect(try await raw.receive()?.header.status == .authenticationFailed)
                #expect(try await raw.isEnded())
                try await lasts.ping()
                await lasts.close()
                await #expect(throws: PatronError.self) {
                    _ = try await server.connect(token: brief.token)
                }
            }
        }
    }

    @Test func aTokenWithFewerScopesIsHeldToThem() async throws {
        try await inTemporaryFolder { folder in
            let path = folder.appendingPathComponent("tokens").path
            let token = NewToken(name: "a", scopes: [.read, .admin], expires: nil)
            try write([token.line], to: path)
            let log = LogRecorder()
            try await withServer(guarded(path), logger: log.logger) { server in
                let raw = try RawConnection(port: server.port)
                try await greet(raw, token, streams: true)
                let lookup = LookupRequest(
                    ids: .integers([id(1)]), columns: [ColumnID(rawValue: 10)])
                // Twice: the second one is answered by what the first one left.
                for number in 2...3 as ClosedRange<UInt32> {
                    raw.send(frame(.lookup(lookup), number))
                    #expect(try await raw.receive()?.header.status == .ok)
                }
                try write([line(token, "admin")], to: path)
                #expect(try await log.line(with: "changedConnections=1") != nil)
                raw.send(frame(.lookup(lookup), 4))
                #expect(try await raw.receive()?.header.status == .scopeMissing)
                raw.send(frame(.stats, 5))
                #expect(try await raw.receive()?.header.status == .ok)
                // And to more.
                try write([line(token, "read")], to: path)
                for _ in 0..<1_000 {
                    raw.send(frame(.lookup(lookup), 6))
                    if try await raw.receive()?.header.status == .ok { break }
                    try await Task.sleep(for: .milliseconds(5))
                }
                raw.send(frame(.lookup(lookup), 7))
                #expect(try await raw.receive()?.header.status == .ok)
                raw.send(frame(.stats, 8))
                #expect(try await raw.receive()?.header.status == .scopeMissing)
                #expect(await server.server.metrics().counters.revokedConnections == 0)
            }
        }
    }

    /// A file that cannot be read ends nobody.
    @Test func aBrokenFileEndsNothing() async throws {
        try await inTemporaryFolder { folder in
            let path = folder.appendingPathComponent("tokens").path
            let token = NewToken(name: "a", scopes: .read, expires: nil)
            try write([token.line], to: path)
            let log = LogRecorder()
            try await withServer(guarded(path), logger: log.logger) { server in
                let connection = try await server.connect(token: token.token)
                try write(["no line of tokens"], to: path)
                #expect(try await log.line(with: "the old ones stay") != nil)
                #expect(try await connection.lookup([.integer(id(1))]).status == [.ok])
                // Said once, though it is looked at again and again.
                try await Task.sleep(for: .milliseconds(1_300))
                #expect(log.all.count { $0.contains("the old ones stay") } == 1)
                await connection.close()
            }
        }
    }
}
