import ByteCoding
import Foundation
import PatronClient
import Server
import Testing
import Wire

/// Lines of the log that anybody can cause.
@Suite struct RefusalLogTests {
    /// The number after `leftOut=` in all lines with a text.
    private func leftOut(_ lines: [String], _ text: String) -> Int {
        lines.filter { $0.contains(text) }.reduce(0) { sum, line in
            let words = line.split(separator: " ").filter { $0.hasPrefix("leftOut=") }
            return sum + (words.first.flatMap { Int($0.dropFirst(8)) } ?? 0)
        }
    }

    @Test func aFloodIsFewLines() async throws {
        let log = LogRecorder()
        let count = 60
        let configuration = testConfiguration {
            $0.refusalLogInterval = .milliseconds(400)
            $0.limits.connectionCount = 1
            $0.limits.handshakeTimeout = .milliseconds(200)
        }
        try await withServer(configuration, logger: log.logger) { server in
            let clock = ContinuousClock()
            let start = clock.now
            let connection = try await server.connect()
            for _ in 0..<count {
                let raw = try RawConnection(port: server.port)
                #expect(try await raw.receive()?.header.status == .tooManyConnections)
            }
            await connection.close()
            // Bytes of another protocol, and nobody who says anything.
            for _ in 0..<count {
                let raw = try RawConnection(port: server.port)
                raw.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
                _ = try await raw.receiveAll()
            }
            let slow = try RawConnection(port: server.port)
            _ = try await slow.receiveAll()
            // The rest of what was left out is said when an interval is over.
            let messages = ["connection refused", "not a valid frame"]
            let reasons = ["cause=tooManyConnections", "cause=badFrame"]
            func said(_ index: Int) -> Int {
                let lines = log.all
                return lines.count { $0.contains(messages[index]) }
                    + leftOut(lines, messages[index]) + leftOut(lines, reasons[index])
            }
            for _ in 0..<1_000 where said(0) < count || said(1) < count {
                try await Task.sleep(for: .milliseconds(5))
            }
            let intervals = Int((clock.now - start) / .milliseconds(400)) + 2
            let endings = await server.server.metrics().endings
            for index in 0..<2 {
                let lines = log.all.filter {
                    $0.contains(messages[index]) || $0.contains(reasons[index])
                }
                #expect(lines.count <= intervals, "\(lines)")
                let reason = index == 0 ? "tooManyConnections" : "badFrame"
                let counted = endings.first { $0.reason == reason }?.count ?? 0
                // The connection that is closed may hold the only place for a moment.
                #expect(said(index) == counted)
                #expect(counted >= (index == 0 ? count : 1))
            }
            #expect(endings.first { $0.reason == "helloMissing" }?.count == 1)
            #expect(endings.first { $0.reason == "answersNotRead" }?.count == 0)
        }
    }
}
