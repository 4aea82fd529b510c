import ByteCoding
import Foundation
import Load
import PatronClient
import Server
import TestSupport
import Testing
import Units
import Wire

/// Tokens, what they allow, and how those without a good one are answered.
@Suite struct TokenTests {
    private func guarded(_ path: String) -> ServerConfiguration {
        testConfiguration {
            $0.tokensPath = path
            $0.tokenPollInterval = .milliseconds(10)
        }
    }

    private func write(_ lines: [String], to path: String) throws {
        try Data((lines.joined(separator: "\n") + "\n").utf8)
            .write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    /// FIPS 180-4's examples, the empty message, and every length around a block.
    @Test func sha256() {
        func hex(_ text: String) -> String {
            SHA256.hash(text.utf8).map { String(Int($0) + 256, radix: 16).dropFirst() }.joined()
        }
        #expect(hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        #expect(
            hex(String(repeating: "a", count: 1_000_000))
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
        // Of the digests of 0 … 130 letters a, one after another: computed by another program (Python's hashlib).
        let chain = (0...130).map { hex(String(repeating: "a", count: $0)) }.joined()
        #expect(hex(chain) == "5eee4c50e1b5ec4f1a47f34c25ca988850b49da7904f5ab1b3abc5cc0ae66ef9")
    }

    @Test func newTokensAreReadBack() throws {
        let day = try #require(CalendarDay(parsing: "2030-01-31"))
        let made = NewToken(name: "shop", scopes: [.read, .score], expires: day)
        #expect(made.token.utf8.count == 64)
        #expect(made.line.hasPrefix("shop read,score "))
        #expect(made.line.hasSuffix(" expires 2030-01-31"))
        #expect(!made.line.contains(made.token))
        let other = NewToken(name: "shop", scopes: .read, expires: nil)
        #expect(other.token != made.token)
        _ = try TokenTable(parsing: "# ours\n\n\(made.line)  # until then\r\n", path: "t")
    }

    @Test(arguments: [
        ("a read", 1, "a line is"), ("a read zz", 1, "64 hexadecimal digits"),
        ("\n# x\na write \(String(repeating: "0", count: 64))", 3, "not 'write'"),
        ("a read \(String(repeating: "0", count: 64)) until 2030-01-01", 1, "a line is"),
        ("a read \(String(repeating: "0", count: 64)) expires 2030-02-30", 1, "not '2030-02-30'"),
        (
            "a read \(String(repeating: "0", count: 64))\nb read \(String(repeating: "0", count: 64))",
            2, "token stands there twice"
        ),
        (
            "a read \(String(repeating: "0", count: 64))\na read \(String(repeating: "1", count: 64))",
            2, "name a stands there twice"
        ),
    ])
    func badFiles(text: String, line: Int, words: String) {
        let error = #expect(throws: ServerError.self) {
            _ = try TokenTable(parsing: text, path: "tokens.txt")
        }
        #expect("\(String(describing: error))".contains(words))
        #expect(error.map { "\($0)" }?.hasPrefix("tokens.txt:\(line): ") ?? false)
    }

    @Test func unknownExpiredAndMissingTokensAreAnsweredAlike() async throws {
        try await inTemporaryFolder { folder in
            let path = folder.appendingPathComponent("tokens").path
            let good = NewToken(name: "good", scopes: .read, expires: nil)
            let old = NewToken(
                name: "old", scopes: .all, expires: CalendarDay(parsing: "2020-12-31"))
            try write([good.line, old.line], to: path)
            let log = LogRecorder()
            try await withServer(guarded(path), logger: log.logger) { server in
                var answers: Set<[UInt8]> = []
                let malformed: [[UInt8]?] = [
                    nil, [], [0xFF, 0x00], Array("wrong".utf8), Array(old.token.utf8),
                    Array(good.token.uppercased().utf8 + [32]),
                ]
                let clock = ContinuousClock()
                for token in malformed {
                    let raw = try RawConnection(port: server.port)
                    let start = clock.now
                    let hello = HelloRequest(token: token, clientName: "raw")
                    // What follows a refused HELLO is not looked at.
                    raw.send(frame(.hello(hello), 1) + frame(.describe, 2))
                    let bytes = try await raw.receiveAll()
                    #expect(clock.now - start >= .milliseconds(100))
                    answers.insert(bytes)
                }
                #expect(answers.count == 1)
                let bytes = try #require(answers.first)
                #expect(bytes[20...21].elementsEqual([0x59, 0x02]))  // 601
                #expect(bytes.count == 4 + Int(bytes[0]))
                #expect(try await log.line(with: "the token of old has expired") != nil)
                let error = await #expect(throws: PatronError.self) {
                    _ = try await server.connect(token: "wrong")
                }
                guard case .refused(let refusal)? = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                #expect(refusal.name == "authenticationFailed")
                #expect(await server.server.metrics().counters.authenticationFailures == 7)
                let connection = try await server.connect(token: good.token)
                #expect(try await connection.lookup([.integer(id(1))]).status == [.ok])
                await connection.close()
            }
        }
    }

    /// The generator of load, and a pool, show a token like every client.
    @Test func loadAndPoolsShowATokenToo() async throws {
        try await inTemporaryFolder { folder in
            let path = folder.appendingPathComponent("tokens").path
            let reader = NewToken(name: "reader", scopes: .read, expires: nil)
            try write([reader.line], to: path)
            try await withServer(guarded(path)) { server in
                func target(_ token: String?) -> LoadTarget {
                    LoadTarget(host: "127.0.0.1", port: server.port, speaks: .patron, token: token)
                }
                #expect(try target(reader.token).describe().facts.customerCount == 1_000)
                for token in [nil, "wrong"] {
                    let error = #expect(throws: LoadError.self) {
                        _ = try target(token).open()
                    }
                    guard case .refused(_, let reason)? = error else {
                        Issue.record("\(String(describing: error))")
                        return
                    }
                    #expect(reason.hasPrefix("authenticationFailed"), "\(reason)")
                }
                try await withPool(poolOptions([server.port]) { $0.token = reader.token }) { pool in
                    let row = try await pool.lookupOne(.integer(id(1)), columns: [10])
                    #expect(row.number(10) == revenue(row: 1, generation: 1))
                }
                try await withPool(poolOptions([server.port]) { $0.token = "wrong" }) { pool in
                    let error = await #expect(throws: PatronError.self) {
                        try await pool.lookupOne(.integer(id(1)))
                    }
                    guard case .refused(let refusal)? = error else {
                        Issue.record("\(String(describing: error))")
                        return
                    }
                    #expect(refusal.name == "authenticationFailed")
                }
            }
        }
    }

    @Test func anOperationNeedsItsScope() async throws {
        try await inTemporaryFolder { folder in
            let path = folder.appendingPathComponent("tokens").path
            let writer = NewToken(name: "writer", scopes: [.append, .score], expires: nil)
            try write([writer.line], to: path)
            try await withServer(guarded(path)) { server in
                let connection = try await server.connect(token: writer.token)
                // Belongs to every connection.
                try await connection.ping()
                func refusal(_ body: () async throws -> Void) async -> String {
                    do {
                        try await body()
                        return "none"
                    } catch PatronError.refused(let refusal) {
                        return "\(refusal.name): \(refusal.text)"
                    } catch {
                        return "\(error)"
                    }
                }
                #expect(
                    await refusal { _ = try await connection.lookup([.integer(id(1))]) }
                        == "scopeMissing: LOOKUP needs the scope read")
                #expect(
                    await refusal { _ = try await connection.describe() }
                        == "scopeMissing: DESCRIBE needs the scope read")
                #expect(
                    await refusal { _ = try await connection.count(rule: "all") }
                        == "scopeMissing: COUNT needs the scope read")
                #expect(
                    await refusal {
                        for try await _ in try connection.customers() {}
                    } == "scopeMissing: SCAN needs the scope read")
                try await connection.ping()
                await connection.close()
            }
        }
    }

    @Test func aChangedFileCountsForNewConnections() async throws {
        try await inTemporaryFolder { folder in
            let path = folder.appendingPathComponent("tokens").path
            let first = NewToken(name: "first", scopes: .read, expires: nil)
            let second = NewToken(name: "second", scopes: .read, expires: nil)
            try write([first.line], to: path)
            let log = LogRecorder()
            try await withServer(guarded(path), logger: log.logger) { server in
                try write([first.line, second.line], to: path)
                #expect(try await log.line(with: "tokens read again") != nil)
                try write([second.line], to: path)
                for _ in 0..<1_000 where log.all.count(where: { $0.contains("read again") }) < 2 {
                    try await Task.sleep(for: .milliseconds(5))
                }
                let other = try await server.connect(token: second.token)
                await other.close()
                await #expect(throws: PatronError.self) {
                    _ = try await server.connect(token: first.token)
                }
                try write(["this is no line of tokens at all"], to: path)
                let line = try #require(try await log.line(with: "the old ones stay"))
                #expect(line.contains("\(path):1: "))
                let again = try await server.connect(token: second.token)
                await again.close()
            }
        }
    }

    @Test func guardedServersMayListenAnywhere() async throws {
        try await inTemporaryFolder { folder in
            let path = folder.appendingPathComponent("tokens").path
            let token = NewToken(name: "a", scopes: .read, expires: nil)
            try write([token.line], to: path)
            var configuration = guarded(path)
            configuration.host = "0.0.0.0"
            try await withServer(configuration) { server in
                let connection = try await server.connect(token: token.token)
                try await connection.ping()
                await connection.close()
            }
            #expect(try Preparation(configuration).warnings.count == 1)
            configuration.admin = AdminAddress(host: "0.0.0.0", port: 0)
            #expect(throws: ServerError.insecureAdminBind(address: "0.0.0.0:0")) {
                _ = try Preparation(configuration)
            }
        }
        // TLS alone lets everybody in.
        var open = ServerConfiguration(host: "0.0.0.0")
        open.tls = TestCertificates.files()
        let configuration = open
        #expect(throws: ServerError.insecureBind(address: "0.0.0.0:0")) {
            _ = try Preparation(configuration)
        }
        open.tls = TestCertificates.files(clientCA: true)
        _ = try Preparation(open)
    }
}
