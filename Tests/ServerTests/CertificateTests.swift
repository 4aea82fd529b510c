import Foundation
import PatronClient
import Server
import Synchronization
import TestSupport
import Testing

/// Certificates that change while the server runs.
@Suite struct CertificateTests {
    /// Puts a certificate, its key and an authority of clients where a server looks for them.
    private func install(
        _ folder: URL, certificate: String? = nil, key: String? = nil, authority: String? = nil
    ) throws {
        let files = [("cert.pem", certificate), ("key.pem", key), ("ca.pem", authority)]
        for (name, source) in files {
            guard let source else { continue }
            try Data(contentsOf: URL(fileURLWithPath: TestCertificates.path(source)))
                .write(to: folder.appendingPathComponent(name), options: .atomic)
        }
    }

    private func configuration(
        _ folder: URL, clientCA: Bool = false,
        _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) -> ServerConfiguration {
        func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
        return testConfiguration {
            $0.tls = TLSFiles(
                certificatePath: path("cert.pem"), keyPath: path("key.pem"),
                clientCAPath: clientCA ? path("ca.pem") : nil)
            $0.certificatePollInterval = .milliseconds(20)
            change(&$0)
        }
    }

    @Test func newConnectionsGetTheNewOne() async throws {
        try await inTemporaryFolder { folder in
            try install(folder, certificate: "server.pem", key: "server.key")
            let log = LogRecorder()
            try await withServer(configuration(folder), logger: log.logger) { server in
                let tls = TestCertificates.client()
                let open = try await server.connect(tls: tls)
                try await open.ping()
                try install(folder, certificate: "other-name.pem", key: "other-name.key")
                #expect(try await log.line(with: "certificates read again") != nil)
                let error = await #expect(throws: PatronError.self) {
                    _ = try await server.connect(tls: tls)
                }
                #expect("\(String(describing: error))".contains("of another name or address"))
                // What is open stays.
                try await open.ping()
                await open.close()
                try install(folder, certificate: "server.pem", key: "server.key")
                for _ in 0..<1_000 where log.all.count(where: { $0.contains("read again") }) < 2 {
                    try await Task.sleep(for: .milliseconds(5))
                }
                let again = try await server.connect(tls: tls)
                try await again.ping()
                await again.close()
                let metrics = try #require(await server.server.metrics().certificates)
                #expect(metrics.reloads >= 2)
            }
        }
    }

    @Test func whatDoesNotFitIsNotServed() async throws {
        try await inTemporaryFolder { folder in
            try install(folder, certificate: "server.pem", key: "server.key")
            let log = LogRecorder()
            try await withServer(configuration(folder), logger: log.logger) { server in
                let tls = TestCertificates.client()
                try install(folder, certificate: "other-name.pem")
                let line = try await log.line(with: "the old ones stay")
                let keyPath = folder.appendingPathComponent("key.pem").path
                let reason = "\(keyPath): the key does not belong to"
                #expect(line?.contains(reason) ?? false, "\(line ?? "no line")")
                let connection = try await server.connect(tls: tls)
                try await connection.ping()
                await connection.close()
                // Looked at more than once, also when the change is a second old, and said once.
                try await Task.sleep(for: .milliseconds(1_300))
                #expect(log.all.count { $0.contains("the old ones stay") } == 1)
                try FileManager.default.removeItem(atPath: keyPath)
                #expect(try await log.line(with: "key.pem cannot be read") != nil)
                try install(folder, certificate: "server.pem", key: "server.key")
                for _ in 0..<300 {
                    try await Task.sleep(for: .milliseconds(5))
                }
                let again = try await server.connect(tls: tls)
                await again.close()
                let metrics = try #require(await server.server.metrics().certificates)
                #expect(metrics.failures == 2)
                // The same bytes as at the start: nothing was taken over.
                #expect(metrics.reloads == 0)
            }
        }
    }

    @Test func theAuthorityOfClientsChangesToo() async throws {
        try await inTemporaryFolder { folder in
            try install(
                folder, certificate: "server.pem", key: "server.key", authority: "ca.pem")
            let log = LogRecorder()
            try await withServer(configuration(folder, clientCA: true), logger: log.logger) {
                server in
                let known = TestCertificates.client("client")
                let stranger = TestCertificates.client("stranger-client")
                let connection = try await server.connect(tls: known)
                await connection.close()
                await #expect(throws: PatronError.self) {
                    _ = try await server.connect(tls: stranger)
                }
                try install(folder, authority: "stranger.pem")
                #expect(try await log.line(with: "certificates read again") != nil)
                let other = try await server.connect(tls: stranger)
                try await other.ping()
                await other.close()
                await #expect(throws: PatronError.self) {
                    _ = try await server.connect(tls: known)
                }
            }
        }
    }

    /// Each day from 14 days before the end on.
    @Test func theEndIsWarnedOf() async throws {
        try await inTemporaryFolder { folder in
            try install(folder, certificate: "server.pem", key: "server.key")
            let time = Mutex(0)
            let log = LogRecorder()
            let configuration = configuration(folder) { $0.now = { time.withLock { $0 } } }
            try await withServer(configuration, logger: log.logger) { server in
                let end = try #require(await server.server.metrics().certificates).validUntil
                // The tests' certificates are good for a hundred years.
                #expect(end > 4_000_000_000)
                #expect(!log.all.contains { $0.contains("expires in") })
                time.withLock { $0 = end - 14 * 86_400 }
                try await Task.sleep(for: .milliseconds(200))
                #expect(!log.all.contains { $0.contains("expires in") })
                time.withLock { $0 += 1 }
                #expect(try await log.line(with: "the certificate expires in 13 days") != nil)
                time.withLock { $0 += 86_399 }
                try await Task.sleep(for: .milliseconds(200))
                #expect(log.all.count { $0.contains("expires in") } == 1)
                time.withLock { $0 += 1 }
                #expect(try await log.line(with: "the certificate expires in 12 days") != nil)
                time.withLock { $0 = end }
                #expect(try await log.line(with: "the certificate has expired") != nil)
            }
        }
    }
}
