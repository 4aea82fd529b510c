import Engine
import Foundation
import PatronClient
import Server
import Synchronization
import Testing
import Wire

/// The admin port.
@Suite struct AdminTests {
    private func configuration(
        _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) -> ServerConfiguration {
        testConfiguration {
            $0.admin = AdminAddress(host: "127.0.0.1", port: 0)
            change(&$0)
        }
    }

    /// The status line's number, the fields and the body.
    private func ask(
        _ server: TestServer, _ request: String
    ) async throws -> (status: Int, fields: String, body: String) {
        let raw = try RawConnection(port: try #require(server.server.adminPort))
        raw.send(Array(request.utf8))
        let text = String(decoding: try await raw.receiveAll(), as: UTF8.self)
        let words = text.split(separator: " ", maxSplits: 2)
        let end = text.range(of: "\r\n\r\n")
        return (
            words.count > 1 ? Int(words[1]) ?? 0 : 0,
            String(text[..<(end?.lowerBound ?? text.endIndex)]).lowercased(),
            end.map { String(text[$0.upperBound...]) } ?? ""
        )
    }

    private func get(
        _ server: TestServer, _ path: String
    ) async throws -> (status: Int, fields: String, body: String) {
        try await ask(server, "GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n")
    }

    @Test func health() async throws {
        try await withServer(configuration { $0.drainDelay = .seconds(1) }) { server in
            #expect(try await get(server, "/livez").status == 200)
            #expect(try await get(server, "/readyz?verbose").status == 200)
            let connection = try await server.connect()
            await server.shutDown()
            var answer = try await get(server, "/readyz")
            for _ in 0..<100 where answer.status == 200 {
                try await Task.sleep(for: .milliseconds(5))
                answer = try await get(server, "/readyz")
            }
            #expect(answer.status == 503)
            #expect(answer.body == "draining\n")
            // It still works, and answers what is asked until the delay is over.
            #expect(try await get(server, "/livez").status == 200)
            await connection.close()
        }
    }

    @Test func metrics() async throws {
        try await withServer(configuration { $0.limits.connectionCount = 2 }) { server in
            let connection = try await server.connect()
            for row in 0..<10 { _ = try await connection.lookup([.integer(id(row)), .integer(1)]) }
            _ = try await connection.topProducts(customer: .integer(id(5)))
            await #expect(throws: PatronError.self) {
                _ = try await connection.topProducts(customer: .integer(-1))
            }
            await #expect(throws: PatronError.self) {
                _ = try await connection.lookup([.text("x")])
            }
            let second = try await server.connect()
            let third = try RawConnection(port: server.port)
            #expect(try await third.receive()?.header.status == .tooManyConnections)
            try server.publish(sampleContents(generation: 2))
            try await server.waitForGeneration(2)
            let answer = try await get(server, "/metrics")
            #expect(answer.status == 200)
            #expect(answer.fields.contains("content-type: text/plain; version=0.0.4"))
            var values: [String: Double] = [:]
            var described: Set<String> = []
            for line in answer.body.split(separator: "\n") {
                if line.hasPrefix("# TYPE ") {
                    described.insert(String(line.split(separator: " ")[2]))
                    continue
                }
                if line.hasPrefix("#") { continue }
                let parts = line.split(separator: " ")
                #expect(parts.count == 2)
                let value = Double(String(parts[1]))
                #expect(value != nil, "\(line)")
                values[String(parts[0])] = value
                let name = parts[0].prefix { $0 != "{" }
                let family = ["_bucket", "_sum", "_count"].reduce(String(name)) {
                    $0.hasSuffix($1) ? String($0.dropLast($1.count)) : $0
                }
                #expect(described.contains(family), "\(name) has no type")
            }
            #expect(values["patron_ready"] == 1)
            #expect(values["patron_generation"] == 2)
            #expect(values["patron_customers"] == 1_000)
            #expect(values["patron_connections"] == 2)
            #expect(values["patron_connections_refused_total"] == 1)
            #expect(values["patron_lookup_ids_total"] == 20)
            let requests = "patron_requests_total"
            #expect(values["\(requests){operation=\"LOOKUP\",status=\"ok\"}"] == 10)
            #expect(values["\(requests){operation=\"LOOKUP\",status=\"wrongIDKind\"}"] == 1)
            #expect(values["\(requests){operation=\"TOP_PRODUCTS\",status=\"ok\"}"] == 1)
            #expect(
                values["\(requests){operation=\"TOP_PRODUCTS\",status=\"unknownCustomer\"}"] == 1)
            #expect(values["\(requests){operation=\"HELLO\",status=\"ok\"}"] == 2)
            let duration = "patron_request_duration_seconds"
            #expect(values["\(duration)_count{operation=\"LOOKUP\"}"] == 11)
            #expect(values["\(duration)_bucket{operation=\"LOOKUP\",le=\"+Inf\"}"] == 11)
            #expect((values["\(duration)_sum{operation=\"LOOKUP\"}"] ?? 0) > 0)
            #expect(values["\(duration)_count{operation=\"TOP_PRODUCTS\"}"] == 2)
            #expect((values["patron_received_bytes_total"] ?? 0) > 10 * 64)
            #expect((values["patron_sent_bytes_total"] ?? 0) > 10 * 256)
            let ofTLS: Set<String> = [
                "patron_tls_certificate_expiry_timestamp_seconds", "patron_tls_reloads_total",
                "patron_tls_reload_failures_total",
            ]
            #expect(try documentedMetrics().subtracting(ofTLS) == described)
            #expect(
                values["patron_connections_ended_total{reason=\"tooManyConnections\"}"] == 1)
            #expect(values["patron_connections_ended_total{reason=\"badFrame\"}"] == 0)
            await second.close()
            await connection.close()
        }
    }

    /// The names in the table of packaging/README.md.
    private func documentedMetrics() throws -> Set<String> {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(
            contentsOf: root.appendingPathComponent("packaging/README.md"), encoding: .utf8)
        var names: Set<String> = []
        for line in text.split(separator: "\n") {
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard let name = cells.first, name.hasPrefix("`patron_") || name.hasPrefix("`process_")
            else { continue }
            names.insert(String(name.dropFirst().prefix { $0 != "`" && $0 != "{" }))
        }
        return names
    }

    @Test func theStatusPage() async throws {
        try await withServer(configuration()) { server in
            let connection = try await server.connect()
            for row in 0..<10 { _ = try await connection.lookup([.integer(id(row))]) }
            let page = try await get(server, "/")
            #expect(page.status == 200)
            #expect(page.fields.contains("content-type: text/html"))
            for text in ["ready", "LOOKUP", "1,000", "lifetime 2", "1997-09-30", "prefers-color"] {
                #expect(page.body.contains(text), "\(text) is missing")
            }
            await connection.close()
        }
    }

    @Test func whatIsNotAnswered() async throws {
        try await withServer(configuration()) { server in
            #expect(try await get(server, "/other").status == 404)
            let post = try await ask(
                server, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            #expect(post.status == 405)
            #expect(post.fields.contains("allow: get"))
            let long = String(repeating: "a", count: 3_000)
            #expect(try await get(server, "/\(long)").status == 414)
            let fields = String(repeating: "X-A: \(long)\r\n", count: 7)
            let large = try await ask(server, "GET / HTTP/1.1\r\nHost: x\r\n\(fields)\r\n")
            #expect(large.status == 431)
            #expect(try await ask(server, "\u{1}\u{2}\r\n\r\n").status == 400)
            // The protocol of the other port.
            let raw = try RawConnection(port: try #require(server.server.adminPort))
            raw.send(frame(.hello(HelloRequest(clientName: "lost")), 1))
            _ = try await raw.receiveAll()
            #expect(try await get(server, "/livez").status == 200)
        }
    }

    @Test func slowClientsAreCutOff() async throws {
        try await withServer(configuration { $0.adminPatience = .milliseconds(200) }) { server in
            let slow = try RawConnection(port: try #require(server.server.adminPort))
            slow.send(Array("GET / HT".utf8))
            #expect(try await slow.isEnded())
        }
    }

    /// The port answers before the snapshot is there, and says that requests are not welcome yet.
    @Test func notReadyWhileTheSnapshotIsRead() async throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("patron-test-\(UUID().uuidString)", isDirectory: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let location = try SnapshotWriter.write(sampleContents(), into: folder.path)
        let mayLoad = Mutex(false)
        let log = LogRecorder()
        let configuration = configuration()
        let starting = Task {
            try await PatronServer.start(
                configuration,
                source: { () throws(EngineError) in
                    while !mayLoad.withLock({ $0 }) { usleep(1_000) }
                    return location
                }, logger: log.logger)
        }
        let line = try #require(try await log.line(with: "admin port address="))
        let port = try #require(line.split(separator: ":").last.flatMap { Int($0) })
        func get(_ path: String) async throws -> String {
            let raw = try RawConnection(port: port)
            raw.send(Array("GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
            return String(decoding: try await raw.receiveAll(), as: UTF8.self)
        }
        for _ in 0..<3 {
            let answer = try await get("/readyz")
            #expect(answer.hasPrefix("HTTP/1.1 503 ") && answer.hasSuffix("\r\nloading\n"))
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(try await get("/livez").hasPrefix("HTTP/1.1 200 "))
        #expect(try await get("/metrics").contains("\npatron_ready 0\n"))
        mayLoad.withLock { $0 = true }
        let server = try await starting.value
        let running = Task { try await server.run() }
        #expect(try await get("/readyz").hasPrefix("HTTP/1.1 200 "))
        #expect(try await get("/metrics").contains("\npatron_ready 1\n"))
        let connection = try await PatronConnection.connect(host: "127.0.0.1", port: server.port)
        #expect(try await connection.lookup([.integer(id(1))]).status == [.ok])
        await connection.close()
        running.cancel()
        _ = try? await running.value
    }

    @Test func notReadyBeforeTheSnapshotIsRead() async throws {
        // Nothing is published, so the start fails, and with it ends the admin port.
        await #expect(throws: ServerError.nothingPublished) {
            _ = try await PatronServer.start(
                configuration(), source: { () in nil }, logger: silentLogger)
        }
    }
}
