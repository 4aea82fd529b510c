import ByteCoding
import Foundation
import PatronClient
import Server
import Testing
import Wire

/// The certificates of Tests/Fixtures/tls, which `make` there has made.
enum TestCertificates {
    static func path(_ name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/tls/\(name)").path
    }

    static func files(_ name: String = "server", clientCA: Bool = false) -> TLSFiles {
        TLSFiles(
            certificatePath: path("\(name).pem"), keyPath: path("\(name).key"),
            clientCAPath: clientCA ? path("ca.pem") : nil)
    }

    /// A client that trusts the tests' authority.
    static func client(_ name: String? = nil, authority: String = "ca") -> PatronTLS {
        PatronTLS(
            authoritiesPath: path("\(authority).pem"),
            certificatePath: name.map { path("\($0).pem") },
            keyPath: name.map { path("\($0).key") })
    }
}

/// Servers and clients that speak TLS, and those that should.
@Suite struct TLSTests {
    private func configuration(
        _ name: String = "server", clientCA: Bool = false
    ) -> ServerConfiguration {
        testConfiguration { $0.tls = TestCertificates.files(name, clientCA: clientCA) }
    }

    private func said(_ error: PatronError?) -> String { error.map { "\($0)" } ?? "nothing" }

    @Test(arguments: ["127.0.0.1", "localhost"])
    func requestsAreAnswered(host: String) async throws {
        // A name may mean ::1 too, where nobody listens: then the next address is tried.
        try await withServer(configuration()) { server in
            let connection = try await server.connect(host: host, tls: TestCertificates.client())
            let answer = try await connection.lookup([.integer(id(7))], columns: [10])
            #expect(answer.columns[0].number(0) == revenue(row: 7, generation: 1))
            // Larger than a TLS record, and than what the channel takes at once.
            let many = try await connection.lookup((0..<60_000).map { .integer(id($0 % 1_000)) })
            #expect(many.status.count == 60_000)
            await connection.close()
        }
    }

    @Test func aServerOfAnotherNameOrAuthorityIsNotTrusted() async throws {
        try await withServer(configuration("other-name")) { server in
            let error = await #expect(throws: PatronError.self) {
                _ = try await server.connect(tls: TestCertificates.client())
            }
            #expect(
                error
                    == .notSecured(reason: "the server's certificate is of another name or address")
            )
        }
        try await withServer(configuration()) { server in
            let error = await #expect(throws: PatronError.self) {
                _ = try await server.connect(tls: TestCertificates.client(authority: "stranger"))
            }
            #expect(said(error).contains("no authority that is trusted here"))
        }
    }

    @Test func clientCertificatesAreRequiredAndVerified() async throws {
        let log = LogRecorder()
        try await withServer(configuration(clientCA: true), logger: log.logger) { server in
            let connection = try await server.connect(tls: TestCertificates.client("client"))
            try await connection.ping()
            await connection.close()
            for name in [nil, "stranger-client"] {
                let error = await #expect(throws: PatronError.self) {
                    _ = try await server.connect(tls: TestCertificates.client(name))
                }
                guard case .notSecured? = error else {
                    Issue.record("\(String(describing: error))")
                    continue
                }
            }
            #expect(try await log.line(with: "the client has no certificate") != nil)
            #expect(try await log.line(with: "no authority known here") != nil)
        }
    }

    @Test func tlsOnThePlainPort() async throws {
        let log = LogRecorder()
        try await withServer(logger: log.logger) { server in
            let error = await #expect(throws: PatronError.self) {
                _ = try await server.connect(tls: TestCertificates.client())
            }
            #expect(said(error).contains("does not speak TLS on this port"))
            let line = try await log.line(with: "looksLike=TLS")
            #expect(line != nil)
        }
    }

    @Test func plainOnTheTLSPort() async throws {
        let log = LogRecorder()
        try await withServer(configuration(), logger: log.logger) { server in
            let error = await #expect(throws: PatronError.self) { _ = try await server.connect() }
            #expect(said(error).contains("this port speaks TLS"))
            let line = try await log.line(with: "this port speaks TLS")
            #expect(line?.contains("Patron without TLS") ?? false)
            // A HELLO that begins like a TLS record, and arrives byte by byte.
            let raw = try RawConnection(port: server.port)
            raw.send([0x16])
            try await Task.sleep(for: .milliseconds(20))
            raw.send([0x03, 0x00, 0x00, 0xD7, 0x50])
            #expect(try await raw.receive()?.header.status == .badMagic)
            #expect(try await raw.isEnded())
            let web = try RawConnection(port: server.port)
            web.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
            #expect(try await web.receive()?.header.status == .badMagic)
            #expect(try await log.line(with: "looksLike=HTTP") != nil)
            #expect(await server.server.metrics().counters.tlsFailures == 3)
        }
    }

    @Test func aSilentClientOfTheTLSPortIsCutOff() async throws {
        let configuration = testConfiguration {
            $0.tls = TestCertificates.files()
            $0.limits.handshakeTimeout = .milliseconds(300)
        }
        try await withServer(configuration) { server in
            let silent = try RawConnection(port: server.port)
            #expect(try await silent.isEnded())
        }
    }

    @Test func filesThatCannotBeServed() {
        func error(_ files: TLSFiles) -> ServerError? {
            do throws(ServerError) {
                var configuration = ServerConfiguration()
                configuration.tls = files
                _ = try Preparation(configuration)
                return nil
            } catch {
                return error
            }
        }
        let path = TestCertificates.path
        let mismatch = TLSFiles(
            certificatePath: path("server.pem"), keyPath: path("client.key"))
        #expect(
            error(mismatch)
                == .tls(
                    path: path("client.key"),
                    reason: "the key does not belong to \(path("server.pem"))"))
        let missing = TLSFiles(certificatePath: "/nowhere.pem", keyPath: path("server.key"))
        #expect(error(missing) == .unreadable(path: "/nowhere.pem"))
        let swapped = TLSFiles(certificatePath: path("server.key"), keyPath: path("server.pem"))
        #expect(
            error(swapped)
                == .tls(path: path("server.key"), reason: "there is no certificate in PEM"))
        let noKey = TLSFiles(certificatePath: path("server.pem"), keyPath: path("server.pem"))
        #expect("\(String(describing: error(noKey)))".contains("no private key in PEM"))
        #expect(error(TestCertificates.files(clientCA: true)) == nil)
    }
}
