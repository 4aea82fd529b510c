import ByteCoding
import Foundation
import PatronClient
import Server
import Testing
import Wire

/// Lines of the log that anybody can cause.
@Suite struct RefusalLogTests {
    /// The sum of the numbers after `leftOut=`.
    private func leftOut(_ lines: [String]) -> Int {
        lines.reduce(0) { sum, line in
            let words = line.split(separator: " ").filter { $0.hasPrefix("leftOut=") }
            return sum + (words.first.flatMap { Int($0.dropFirst(8)) } ?? 0)
        }
    }

    /// The count of a reason in the metrics.
    private func count(_ server: TestServer, _ reason: String) async -> Int {
        await server.server.metrics().endings.first { $0.reason == reason }?.count ?? -1
    }

    /// All of a reason are counted, and said in few lines.
    private func check(
        _ server: TestServer, _ log: LogRecorder, _ message: String, _ reason: String, _ count: Int,
        since start: ContinuousClock.Instant
    ) async throws {
        #expect(await self.count(server, reason) == count)
        func lines() -> [String] {
            log.all.filter { $0.contains(message) || $0.contains("cause=\(reason)") }
        }
        func said() -> Int {
            lines().count { $0.contains(message) } + leftOut(lines())
        }
        // The last of what was left out is said when an interval is over.
        for _ in 0..<1_000 where said() < count { try await Task.sleep(for: .milliseconds(5)) }
        #expect(said() == count, "\(lines())")
        // A line and, at the end, another for those left out, in each interval.
        let intervals = Int((ContinuousClock().now - start) / Self.interval) + 2
        #expect(lines().count <= intervals, "\(lines())")
        #expect(lines().count < count / 2)
    }

    private static let interval = Duration.milliseconds(400)

    @Test func refusedConnectionsAreFewLines() async throws {
        let log = LogRecorder()
        let configuration = testConfiguration {
            $0.refusalLogInterval = Self.interval
            $0.limits.connectionCount = 1
        }
        try await withServer(configuration, logger: log.logger) { server in
            let start = ContinuousClock().now
            let connection = try await server.connect()
            for _ in 0..<60 {
                let raw = try RawConnection(port: server.port)
                #expect(try await raw.receive()?.header.status == .tooManyConnections)
            }
            try await check(
                server, log, "connection refused", "tooManyConnections", 60, since: start)
            await connection.close()
        }
    }

    @Test func brokenAndSilentConnectionsAreFewLines() async throws {
        let log = LogRecorder()
        let configuration = testConfiguration {
            $0.refusalLogInterval = Self.interval
            $0.limits.handshakeTimeout = .milliseconds(200)
            $0.limits.frameTimeout = .milliseconds(200)
        }
        try await withServer(configuration, logger: log.logger) { server in
            let start = ContinuousClock().now
            var open: [RawConnection] = []
            for kind in 0..<120 {
                let raw = try RawConnection(port: server.port)
                // Bytes of another protocol, and nothing at all.
                if kind % 2 == 0 { raw.send(Array("GET / HTTP/1.1\r\n\r\n".utf8)) }
                open.append(raw)
            }
            for raw in open { _ = try await raw.receiveAll() }
            try await check(server, log, "not a valid frame", "badFrame", 60, since: start)
            try await check(server, log, "no HELLO in time", "helloMissing", 60, since: start)
            #expect(await count(server, "answersNotRead") == 0)
        }
    }
}
