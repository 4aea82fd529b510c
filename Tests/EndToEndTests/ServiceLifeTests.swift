import Engine
import Foundation
import PatronClient
import Server
import Synchronization
import TestSupport
import Testing
import Units

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A service as it is run: TLS, tokens, purchases that come in, new generations, a restart.
@Suite struct ServiceLifeTests {
    /// While clients look up and append, other processes ingest, train, score and publish twice, the
    /// server drains and is started anew: no request fails, and no purchase that was acknowledged is
    /// lost or there twice.
    @Test(.timeLimit(.minutes(10)))
    func nothingFailsAndNothingIsLost() async throws {
        try #require(Program.path != nil)
        try await inTemporaryFolder { folder in
            let lineCountBefore = try prepare(folder)
            let path = folder.sub("ws")
            let snapshot = try ServingSnapshot(try #require(try Workspace.currentSnapshot(path)))
            let token = NewToken(
                name: "shop", scopes: try #require(Scopes(parsing: "read,append")), expires: nil)
            try folder.write(token.line + "\n", as: "tokens.txt")
            let port = try freePort()
            var options = PatronPoolOptions(
                servers: [PatronAddress(host: "127.0.0.1", port: port)])
            options.tls = PatronTLS(authoritiesPath: certificate("ca.pem"))
            options.token = token.token
            options.deadline = .seconds(120)
            // A restart takes seconds.
            options.retries = Retries(
                attempts: 100, longestPause: .milliseconds(500), budgetReserve: 10_000)
            let pool = try PatronPool(options)
            let clients = Clients(pool, snapshot)

            var server = try serve(folder, port)
            // Where something fails, too; a server that has ended does not mind.
            defer { if server.isRunning { server.terminate() } }
            try await clients.run {
                try await clients.waitForGeneration(1)
                try await clients.waitForMore()
                try await command(["run", path], in: folder)
                try await clients.waitForGeneration(2)
                try await clients.waitForMore()
                #expect(try await stop(server) == 0)
                server = try serve(folder, port)
                try await clients.waitForMore()
                try await command(["run", path], in: folder)
                try await clients.waitForGeneration(3)
                try await clients.waitForMore()
            }
            await pool.close()
            #expect(try await stop(server) == 0)

            let counts = clients.counts
            #expect(clients.failures.isEmpty, "\(clients.failures.prefix(5))")
            #expect(counts.lookups > 100 && counts.appendedLines > 100, "\(counts)")
            // What the log still has of it goes into segments now.
            let later = try Workspace(folder: path, access: .writing)
            _ = try later.ingest(IngestFiles(purchases: []))
            #expect(lineCount(later) == lineCountBefore + counts.appendedLines)
        }
    }

    /// A workspace with a published generation; not held open, for others write to it.
    /// - Returns: how many purchase lines it has.
    private func prepare(_ folder: URL) throws -> Int {
        let workspace = try makeRetailer(folder, customers: 600, seed: 17)
        _ = try workspace.train(only: ["lifetime"], threadCount: 2)
        _ = try workspace.score(threadCount: 2)
        try workspace.publish()
        return lineCount(workspace)
    }

    private func lineCount(_ workspace: Workspace) -> Int {
        workspace.manifest.purchaseSegments.reduce(0) { $0 + $1.rowCount }
    }

    private func certificate(_ name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/tls/\(name)").path
    }

    /// A port that nobody listened on a moment ago.
    private func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isKnown = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        try #require(isKnown)
        return Int(UInt16(bigEndian: address.sin_port))
    }

    private func serve(_ folder: URL, _ port: Int) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(Program.path))
        process.arguments = [
            "serve", folder.sub("ws"), "--listen", "127.0.0.1:\(port)", "--append", "--tokens",
            folder.sub("tokens.txt"), "--tls-cert", certificate("server.pem"), "--tls-key",
            certificate("server.key"),
        ]
        let log = folder.sub("serve.log")
        if !FileManager.default.fileExists(atPath: log) {
            try #require(FileManager.default.createFile(atPath: log, contents: nil))
        }
        let output = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        try output.seekToEnd()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        return process
    }

    /// Asks the server to end, and waits until it has.
    private func stop(_ server: Process) async throws -> Int32 {
        server.terminate()
        for _ in 0..<12_000 where server.isRunning {
            try await Task.sleep(for: .milliseconds(5))
        }
        try #require(!server.isRunning)
        return server.terminationStatus
    }

    private func command(_ arguments: [String], in folder: URL) async throws {
        let result = try await Task.detached { try Program.run(arguments, in: folder) }.value
        #expect(result.code == 0, "\(result.errors)")
    }
}

/// Tasks that ask a server without a pause, until they are told to stop.
private final class Clients: Sendable {
    struct Counts: Sendable {
        var lookups = 0
        var appendedLines = 0
        /// The newest that an answer came from.
        var generation: UInt64 = 0
    }

    private struct State: Sendable {
        var counts = Counts()
        var failures: [String] = []
        var isStopped = false
    }

    private let pool: PatronPool
    private let ids: [PatronID]
    private let currency: String
    private let firstDay: Int
    private let state = Mutex(State())

    init(_ pool: PatronPool, _ snapshot: ServingSnapshot) {
        self.pool = pool
        ids = (0..<snapshot.customerCount).compactMap { row in
            guard case .integer(let id) = snapshot.customers[row] else { return nil }
            return .integer(id)
        }
        currency = snapshot.currency
        firstDay = snapshot.asOf.daysSince1970 + 1
    }

    var counts: Counts { state.withLock { $0.counts } }
    var failures: [String] { state.withLock { $0.failures } }

    /// Asks while `body` runs, and waits for the last answers.
    func run(_ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for number in 0..<4 { tasks.addTask { await self.lookUp(number) } }
            for number in 0..<2 { tasks.addTask { await self.append(number) } }
            do {
                try await body()
            } catch {
                state.withLock { $0.isStopped = true }
                throw error
            }
            state.withLock { $0.isStopped = true }
            try await tasks.waitForAll()
        }
    }

    /// Until clients have got some more answers of each kind.
    func waitForMore() async throws {
        let before = counts
        try await wait {
            $0.lookups >= before.lookups + 50 && $0.appendedLines >= before.appendedLines + 50
        }
    }

    func waitForGeneration(_ generation: UInt64) async throws {
        try await wait { $0.generation >= generation }
    }

    private func wait(_ isReached: (Counts) -> Bool) async throws {
        for _ in 0..<24_000 {
            if isReached(counts) { return }
            try #require(failures.isEmpty)
            try await Task.sleep(for: .milliseconds(5))
        }
        Issue.record("no answers for two minutes: \(counts)")
    }

    private var isStopped: Bool { state.withLock { $0.isStopped || !$0.failures.isEmpty } }

    private func lookUp(_ number: Int) async {
        var position = number
        while !isStopped {
            do {
                let row = try await pool.lookupOne(ids[position % ids.count])
                state.withLock {
                    $0.counts.lookups += 1
                    $0.counts.generation = max($0.counts.generation, row.snapshot.generation)
                }
            } catch {
                state.withLock { $0.failures.append("look-up: \(error)") }
            }
            position += 7
        }
    }

    private func append(_ number: Int) async {
        var round = 0
        while !isStopped {
            round += 1
            try? await Task.sleep(for: .milliseconds(1))
            let customers = (0..<5).map { ids[(round * 11 + number + $0 * 97) % ids.count] }
            var batch = Purchases(
                customers: customers,
                times: .days([Int?](repeating: firstDay + round % 3, count: customers.count)),
                amounts: customers.indices.map { Int64(500 + $0 + round % 1_000) },
                currency: currency)
            batch.margins = batch.amounts.map { $0.map { $0 / 3 } }
            do {
                let result = try await pool.append(batch)
                state.withLock {
                    $0.counts.appendedLines += result.acceptedCount
                    if result.acceptedCount != batch.count {
                        $0.failures.append("refused lines: \(result.refusals)")
                    }
                }
            } catch {
                state.withLock { $0.failures.append("append: \(error)") }
            }
        }
    }
}
