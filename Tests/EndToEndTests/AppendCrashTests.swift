import Engine
import Foundation
import PatronClient
import Server
import TestSupport
import Testing
import Units

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Kills a server that takes purchases before every step that it takes on the file system, and looks
/// for what it had acknowledged.
@Suite struct AppendCrashTests {
    private static let batchCount = 6
    private static let linesABatch = 3

    @Test(
        .disabled(if: CrashTests.obstacle != nil, "\(CrashTests.obstacle ?? "")"),
        .timeLimit(.minutes(10)), arguments: [false, true])
    func acknowledgedLinesAreThereExactlyOnce(losesPower: Bool) async throws {
        try await inTemporaryFolder { folder in
            let lineCount = try prepare(folder)
            let (ws, base) = (folder.sub("ws"), folder.sub("base"))
            try copy(ws, base)
            let batches = try Self.batches(of: ws)
            let whole = try await run(folder, batches, killedAt: nil, losesPower)
            #expect(whole.acknowledged == Set(batches.indices))
            // At least the log's file, its folder, and a sync for each batch.
            #expect(whole.stepCount >= Self.batchCount + 3, "\(whole.stepCount)")
            var killedWhileAppending = 0
            for step in 1...whole.stepCount {
                try copy(base, ws)
                let outcome = try await run(folder, batches, killedAt: step, losesPower)
                let comment = "step \(step) of \(whole.stepCount)"
                // Batches are synced as they come: another run may take a step less.
                #expect(outcome.wasKilled || step > whole.stepCount - 2, "\(comment)")
                if !outcome.acknowledged.isEmpty, outcome.acknowledged.count < batches.count {
                    killedWhileAppending += 1
                }
                try await check(ws, batches, outcome.acknowledged, lineCount, comment)
            }
            // Otherwise the crashes came at no time that matters.
            #expect(killedWhileAppending >= 3, "\(killedWhileAppending)")
        }
    }

    /// What was acknowledged is in the log once; sending all again brings in the rest, and nothing
    /// twice; an ingest then has every line once.
    private func check(
        _ ws: String, _ batches: [Purchases], _ acknowledged: Set<Int>, _ lineCount: Int,
        _ comment: String
    ) async throws {
        let left = try Workspace(folder: ws, access: .reading).verify()
        #expect(left.problems == [], "\(comment)")
        let known = left.liveLineCount
        #expect(known >= acknowledged.count * Self.linesABatch, "\(comment)")
        #expect(known % Self.linesABatch == 0, "\(comment): a part of a batch")
        let repeats = try await serving(ws, taking: true) { connection, _ in
            var repeats: Set<Int> = []
            for (index, batch) in batches.enumerated() {
                let result = try await connection.append(batch, key: Self.key(index))
                #expect(result.acceptedCount == Self.linesABatch, "\(comment)")
                if result.isRepeat { repeats.insert(index) }
            }
            return repeats
        }
        #expect(repeats.isSuperset(of: acknowledged), "\(comment): an acknowledged batch is lost")
        #expect(repeats.count * Self.linesABatch == known, "\(comment)")
        let workspace = try Workspace(folder: ws, access: .writing)
        let sum = batches.count * Self.linesABatch
        #expect(try workspace.ingest(IngestFiles(purchases: [])).live?.lineCount == sum)
        let all = workspace.manifest.purchaseSegments.reduce(0) { $0 + $1.rowCount }
        #expect(all == lineCount + sum, "\(comment)")
    }

    private struct Outcome {
        var wasKilled: Bool
        var stepCount: Int
        var acknowledged: Set<Int>
    }

    /// Serves and appends until the server is killed, or all is appended and it has ended.
    private func run(
        _ folder: URL, _ batches: [Purchases], killedAt step: Int?, _ losesPower: Bool
    ) async throws -> Outcome {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(Program.path))
        process.arguments = [
            "serve", folder.sub("ws"), "--listen", "127.0.0.1:0", "--append", "--drain-seconds",
            "1",
        ]
        var environment = ProcessInfo.processInfo.environment
        environment["LD_PRELOAD"] = CrashTests.library
        environment["CRASH_ROOT"] =
            URL(fileURLWithPath: folder.sub("ws")).resolvingSymlinksInPath().path
        environment["CRASH_POWER"] = losesPower ? "1" : "0"
        environment["CRASH_COUNT"] = folder.sub("steps")
        environment["CRASH_AT"] = step.map { String($0) }
        process.environment = environment
        let output = folder.sub("output")
        try? FileManager.default.removeItem(atPath: folder.sub("steps"))
        try? FileManager.default.removeItem(atPath: output)
        try #require(FileManager.default.createFile(atPath: output, contents: nil))
        process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
        process.standardError = FileHandle.nullDevice
        try process.run()
        defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
        var acknowledged: Set<Int> = []
        if let port = try await port(output, process) {
            acknowledged = await append(batches, port)
            process.terminate()
        }
        for _ in 0..<12_000 where process.isRunning {
            try await Task.sleep(for: .milliseconds(5))
        }
        try #require(!process.isRunning)
        let wasKilled = process.terminationReason == .uncaughtSignal
        #expect(process.terminationStatus == (wasKilled ? SIGKILL : 0))
        let count =
            wasKilled ? nil : try? String(contentsOfFile: folder.sub("steps"), encoding: .utf8)
        return Outcome(
            wasKilled: wasKilled,
            stepCount: count.flatMap { Int($0.trimmingCharacters(in: .newlines)) } ?? 0,
            acknowledged: acknowledged)
    }

    /// Which of the batches were acknowledged.
    private func append(_ batches: [Purchases], _ port: Int) async -> Set<Int> {
        var acknowledged: Set<Int> = []
        do {
            let connection = try await PatronConnection.connect(
                host: "127.0.0.1", port: port, defaultDeadline: .seconds(60))
            for (index, batch) in batches.enumerated() {
                let result = try await connection.append(batch, key: Self.key(index))
                #expect(!result.isRepeat && result.refusedCount == 0)
                acknowledged.insert(index)
            }
            await connection.close()
        } catch {
            // The server was killed: what came of this batch is not known.
        }
        return acknowledged
    }

    /// Where it listens; nil where it ends before.
    private func port(_ output: String, _ process: Process) async throws -> Int? {
        for _ in 0..<12_000 {
            let text = try String(contentsOfFile: output, encoding: .utf8)
            if let line = text.split(separator: "\n").first(where: { $0.hasPrefix("serving ") }),
                text.contains("\n")
            {
                return line.split(separator: ":").last.flatMap { Int($0) }
            }
            guard process.isRunning else { return nil }
            try await Task.sleep(for: .milliseconds(5))
        }
        return nil
    }

    private static func key(_ index: Int) -> AppendKey { AppendKey(77, UInt64(index + 1)) }

    /// A workspace with a published generation, not open any more.
    /// - Returns: how many purchase lines it has.
    private func prepare(_ folder: URL) throws -> Int {
        let workspace = try makeRetailer(folder, customers: 200, seed: 5)
        _ = try workspace.train(only: ["lifetime"], threadCount: 2)
        _ = try workspace.score(threadCount: 2)
        try workspace.publish()
        return workspace.manifest.purchaseSegments.reduce(0) { $0 + $1.rowCount }
    }

    private static func batches(of ws: String) throws -> [Purchases] {
        let snapshot = try ServingSnapshot(try #require(try Workspace.currentSnapshot(ws)))
        let day = snapshot.asOf.daysSince1970 + 1
        return (0..<batchCount).map { batch in
            let rows = (0..<linesABatch).map { batch * linesABatch + $0 }
            var ids: [PatronID] = []
            for row in rows {
                if case .integer(let id) = snapshot.customers[row] { ids.append(.integer(id)) }
            }
            var lines = Purchases(
                customers: ids, times: .days([Int?](repeating: day, count: rows.count)),
                amounts: rows.map { Int64(1_000 + $0) }, currency: snapshot.currency)
            lines.margins = rows.map { Int64(100 + $0) }
            lines.orders = rows.map { "crash \($0)" }
            lines.products = rows.map { _ in "P1" }
            return lines
        }
    }

    private func copy(_ source: String, _ target: String) throws {
        try? FileManager.default.removeItem(atPath: target)
        try FileManager.default.copyItem(atPath: source, toPath: target)
    }
}
