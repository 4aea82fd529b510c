import ByteCoding
import ColumnStore
import Engine
import Foundation
import Logging
import PatronClient
import Server
import Synchronization
import Testing
import Wire

/// APPEND: lines are durable, and look-ups on every connection count them, when the answer comes.
@Suite struct AppendTests {
    /// What several tasks of a test tell each other.
    private final class Shared: Sendable {
        let isDone = Mutex(false)
        /// Of the appends that were answered.
        let keys = Mutex<[AppendKey]>([])
    }

    /// Repeat orders, days since the last one and revenue.
    private func facts(_ result: LookupResult, _ row: Int) -> [Double?] {
        [1, 4, 6].map { id in result.columns.first { $0.id == id }?.number(row) }
    }

    @Test(arguments: [1, 2]) func lookUpsOnEveryConnectionCountWhatWasAppended(loops: Int)
        async throws
    {
        try await withLiveWorkspace { workspace in
            try await withLiveServer(workspace, liveContents(), { $0.loopCount = loops }) {
                server in
                var connections: [PatronConnection] = []
                for _ in 0..<4 { connections.append(try await server.connect()) }
                let ids = [liveID(0), liveID(5), 77, liveID(999)]
                let untouched = try await connections[1].lookup([.integer(liveID(5))])
                let result = try await connections[0].append(
                    purchases([liveID(0), 77, liveID(999), liveID(999)]))
                #expect(result.sequence == 0 && !result.isRepeat)
                #expect(result.acceptedCount == 4 && result.refusedCount == 0)
                #expect(result.snapshot.generation == 1 && result.snapshot.asOfDay == liveDay)
                for connection in connections {
                    // One id, and many.
                    let one = try await connection.lookup([.integer(liveID(0))])
                    #expect(facts(one, 0) == [1, 0, 17.5])
                    #expect(one.status == [.ok])
                    // Columns that purchases do not change are the snapshot's.
                    #expect(one.columns.first { $0.id == 300 }?.number(0) == 0)
                    let new = try await connection.lookup([.integer(77)])
                    #expect(facts(new, 0) == [0, 0, 12.5])
                    #expect(new.status == [.ok])
                    #expect(new.columns.first { $0.id == 300 }?.number(0) == nil)
                    let many = try await connection.lookup(
                        (ids + [78, 77]).map { .integer($0) })
                    #expect(many.status == [.ok, .ok, .ok, .ok, .unknownCustomer, .ok])
                    #expect(facts(many, 0) == [1, 0, 17.5])
                    #expect(facts(many, 1) == facts(untouched, 0))
                    #expect(facts(many, 2) == [0, 0, 12.5] && facts(many, 5) == [0, 0, 12.5])
                    // Two lines of a day are one order.
                    #expect(facts(many, 3) == [1, 0, 30])
                    #expect(facts(many, 4) == [nil, nil, nil])
                    #expect(
                        many.columns.first { $0.id == 300 }.map { column in
                            (0..<6).map { column.number($0) }
                        } == [0, 5, nil, 999, nil, nil])
                }
                // More of the same customers, an order id, a return, and one who only returns.
                var more = purchases([liveID(0), 77, 79], day: liveDay + 3, cents: -250)
                more.amounts = [100, -250, -250]
                more.orders = ["a", "", ""]
                _ = try await connections[2].append(more)
                let again = try await connections[3].lookup(
                    [liveID(0), 77, 79].map { .integer($0) })
                #expect(facts(again, 0) == [2, 0, 18.5])
                // As of the day of its newest line, the return.
                #expect(facts(again, 1) == [0, 2, 10])
                #expect(again.status == [.ok, .ok, .onlyReturns])
                let metrics = try #require(await server.server.metrics().live)
                #expect(metrics.batches == 2 && metrics.lines == 7)
                #expect(metrics.rowCount == 4 && metrics.lineCount == 7)
                #expect(metrics.durable.count == 2 && metrics.scoring.count == 2)
                for connection in connections { await connection.close() }
            }
        }
    }

    @Test func textIDs() async throws {
        try await withLiveWorkspace(textIDs: true) { workspace in
            try await withLiveServer(workspace, liveContents(textIDs: true)) { server in
                let connection = try await server.connect()
                var lines = purchases([1, 2, 3])
                lines.customers = ["C10003", "newcomer", "C10003"].map { .text($0) }
                _ = try await connection.append(lines)
                let result = try await connection.lookup(
                    ["C10003", "newcomer", "C10004", "nobody"].map { .text($0) })
                #expect(result.status == [.ok, .ok, .ok, .unknownCustomer])
                #expect(facts(result, 0) == [1, 0, 30])
                #expect(facts(result, 1) == [0, 0, 25 - 12.5])
                let one = try await connection.lookup([.text("newcomer")])
                #expect(facts(one, 0) == [0, 0, 12.5])
                await connection.close()
            }
        }
    }

    @Test func aBatchWithTheSameKeyIsTakenOnce() async throws {
        try await withLiveWorkspace { workspace in
            let key = AppendKey(1, 2)
            try await withLiveServer(workspace) { server in
                let connection = try await server.connect()
                let lines = purchases([liveID(1), liveID(2)])
                // Both on their way at once.
                async let first = connection.append(lines, key: key)
                async let second = connection.append(lines, key: key)
                let results = try await [first, second]
                #expect(results.map(\.isRepeat).count { $0 } == 1)
                #expect(results.map(\.sequence) == [0, 0])
                #expect(results.map(\.acceptedCount) == [2, 2])
                let third = try await connection.append(purchases([liveID(3)]), key: key)
                #expect(third.isRepeat && third.acceptedCount == 2)
                let result = try await connection.lookup([1, 3].map { .integer(liveID($0)) })
                #expect(facts(result, 0) == [1, 0, 17.5] && facts(result, 1) == [0, 10, 5])
                await connection.close()
            }
            // A server that is started anew knows keys and lines.
            try await withLiveServer(workspace) { server in
                let connection = try await server.connect()
                let result = try await connection.lookup([2, 3].map { .integer(liveID($0)) })
                #expect(facts(result, 0) == [1, 0, 17.5] && facts(result, 1) == [0, 10, 5])
                let again = try await connection.append(purchases([liveID(1)]), key: key)
                #expect(again.isRepeat && again.sequence == 0)
                let next = try await connection.append(purchases([liveID(1)], day: liveDay + 2))
                #expect(next.sequence == 1)
                let one = try await connection.lookup([.integer(liveID(1))])
                #expect(facts(one, 0) == [2, 0, 30])
                await connection.close()
            }
        }
    }

    @Test func refusedLinesAreSaidAndTheOthersTaken() async throws {
        try await withLiveWorkspace { workspace in
            try await withLiveServer(workspace) { server in
                let connection = try await server.connect()
                var lines = purchases([liveID(1), liveID(2), liveID(3), liveID(4)])
                lines.amounts[1] = nil
                lines.times = .days([liveDay + 1, nil, liveDay + 1, 9_999_999])
                lines.products?[3] = "bad\u{0}text"
                let result = try await connection.append(lines)
                #expect(result.acceptedCount == 2 && result.refusedCount == 2)
                let reasons = result.refusals.map { "\($0.line) \($0.column) \($0.reason)" }
                #expect(
                    Set(reasons) == [
                        "1 amount missingAmount", "1 time missingTime", "3 time timeOutOfRange",
                        "3 product nulByte",
                    ])
                #expect(result.refusals.map(\.line) == [1, 1, 3, 3])
                // None at all: nothing is appended, and the key is free.
                let key = AppendKey(8, 8)
                lines.amounts = [nil, nil, nil, nil]
                let nothing = try await connection.append(lines, key: key)
                #expect(nothing.sequence == nil && nothing.refusedCount == 4)
                let free = try await connection.append(purchases([liveID(1)]), key: key)
                #expect(!free.isRepeat && free.sequence == 1)
                await expectRefusal(.otherCurrency) {
                    var other = purchases([1])
                    other.currency = "EUR"
                    _ = try await connection.append(other)
                }
                await expectRefusal(.unusableLines) {
                    var other = purchases([1])
                    other.margins = [1]
                    _ = try await connection.append(other)
                }
                await connection.close()
                // Without a key, and a body that is none.
                let raw = try RawConnection(port: server.port)
                try await raw.sayHello()
                let request = Request.append(
                    AppendRequest(
                        currency: "GBP",
                        lines: Table(
                            rowCount: 1,
                            columns: [
                                WireColumn(.entityID, ids: .integers([1])),
                                WireColumn(.lineDay, .int32([10_135])),
                                WireColumn(.lineAmount, .int64([1])),
                            ])))
                raw.send(frame(request, 2))
                #expect(try await raw.receive()?.header.status == .invalidMeta)
                var writer = ByteWriter()
                request.encodeFrame(
                    requestID: 3, meta: [.idempotencyKey(Array(0..<16))], into: &writer)
                var broken = writer.bytes
                broken[writer.count - 1] ^= 1
                broken.replaceSubrange(
                    24..<28, with: checksum(Array(broken[32...])))
                broken.replaceSubrange(28..<32, with: checksum(Array(broken[..<28])))
                raw.send(writer.bytes)
                guard case .append(let answer)? = try await raw.receive()?.response else {
                    Issue.record("not an answer to APPEND")
                    return
                }
                #expect(answer.acceptedLines == 1)
            }
        }
    }

    private func checksum(_ bytes: [UInt8]) -> [UInt8] {
        var writer = ByteWriter()
        writer.append(CRC32C.checksum(bytes))
        return writer.bytes
    }

    /// A customer's amounts are added up in 64 bits by every ingest: lines that would not fit are
    /// refused, so that none that was acknowledged is in the way.
    @Test func amountsThatNoIngestCouldAddUpAreRefused() async throws {
        try await withLiveWorkspace { workspace in
            let (one, other) = (liveID(4), liveID(5))
            // A million million, the largest of one line.
            let most: Int64 = 100_000_000_000_000
            try await withLiveServer(workspace) { server in
                let connection = try await server.connect()
                let result = try await connection.append(
                    purchases([other] + Array(repeating: one, count: 1_000), cents: most))
                // 2^62 / 10^16 of one customer.
                #expect(result.acceptedCount == 1 + 461)
                #expect(result.refusedCount == 1_000 - 461)
                #expect(result.refusals.map(\.line) == Array(462...1_000))
                #expect(result.refusals.allSatisfy { $0.reason == "amountOutOfRange" })
                #expect(result.refusals.allSatisfy { $0.column == "amount" })
                let returned = try await connection.append(purchases([one], cents: -most))
                #expect(returned.refusedCount == 1)
                // What everybody buys is taken.
                #expect(try await connection.append(purchases([one, other])).refusedCount == 0)
                await connection.close()
            }
            // A server that begins knows what is in the log.
            try await withLiveServer(workspace) { server in
                let connection = try await server.connect()
                let result = try await connection.append(purchases([one, other], cents: most))
                #expect(result.refusals.map(\.line) == [0])
                await connection.close()
            }
            let later = try Workspace(folder: workspace, access: .writing)
            #expect(try later.ingest(IngestFiles(purchases: [])).live?.lineCount == 465)
        }
    }

    /// A batch that comes again is counted once.
    @Test func aRepeatedBatchTakesNoRoom() async throws {
        try await withLiveWorkspace { workspace in
            try await withLiveServer(workspace) { server in
                let connection = try await server.connect()
                let batch = purchases(
                    Array(repeating: liveID(4), count: 100), cents: 100_000_000_000_000)
                for round in 0..<20 {
                    let result = try await connection.append(batch, key: AppendKey(1, 2))
                    #expect(result.isRepeat == (round > 0))
                    #expect(result.acceptedCount == 100 && result.refusedCount == 0)
                }
                await connection.close()
            }
        }
    }

    /// An ingest after a change of the plan says what to do, and goes well when that was done.
    @Test func idsThatChangeTheirKindAreToldSo() async throws {
        try await withLiveWorkspace { workspace in
            try await withLiveServer(workspace) { server in
                let connection = try await server.connect()
                _ = try await connection.append(purchases([liveID(4), liveID(5)]))
                await connection.close()
            }
            let path = "\(workspace)/patron.yaml"
            let plan = try String(contentsOfFile: path, encoding: .utf8)
            let changed = plan.replacingOccurrences(of: "type: integer", with: "type: text")
            #expect(changed != plan)
            try changed.write(toFile: path, atomically: true, encoding: .utf8)
            let error = #expect(throws: EngineError.self) {
                let later = try Workspace(folder: workspace, access: .writing)
                _ = try later.ingest(IngestFiles(purchases: []))
            }
            guard case .liveIDKindChanged(holdsTexts: false)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(error?.description.contains("Put `type: integer` back") ?? false)
            try plan.write(toFile: path, atomically: true, encoding: .utf8)
            let later = try Workspace(folder: workspace, access: .writing)
            #expect(try later.ingest(IngestFiles(purchases: [])).live?.lineCount == 2)
        }
    }

    @Test func aServerThatTakesNoneSaysSo() async throws {
        try await withServer { server in
            let connection = try await server.connect()
            await expectRefusal(.readOnly) { _ = try await connection.append(purchases([1])) }
            #expect(try await connection.ping() == 1)
            await connection.close()
        }
    }

    @Test func theTokenMustAllowIt() async throws {
        try await withLiveWorkspace { workspace in
            let (path, reader, writer) = try writeTokens(workspace)
            try await withLiveServer(workspace, liveContents(), { $0.tokensPath = path }) {
                server in
                let reading = try await server.connect(token: reader)
                await expectRefusal(.scopeMissing) { _ = try await reading.append(purchases([1])) }
                let writing = try await server.connect(token: writer)
                #expect(try await writing.append(purchases([1])).acceptedCount == 1)
                await reading.close()
                await writing.close()
            }
        }
    }

    private func writeTokens(
        _ folder: String
    ) throws -> (path: String, reader: String, writer: String) {
        let reader = NewToken(name: "reader", scopes: .read, expires: nil)
        let writer = NewToken(name: "writer", scopes: .append, expires: nil)
        let path = folder + "/tokens"
        try "\(reader.line)\n\(writer.line)\n".write(
            toFile: path, atomically: true, encoding: .utf8)
        return (path, reader.token, writer.token)
    }

    @Test func oneServerAWorkspace() async throws {
        try await withLiveWorkspace { workspace in
            try await withLiveServer(workspace) { _ in
                do {
                    try await withLiveServer(workspace) { _ in
                        Issue.record("two servers take purchases of one workspace")
                    }
                } catch let error as ServerError {
                    #expect(error.description.contains("in use by process"), "\(error)")
                }
            }
            // The first has let go of it.
            try await withLiveServer(workspace) { _ in }
        }
    }

    /// Whatever is published meanwhile, what was acknowledged counts, once.
    @Test func noAcknowledgedLineIsWithoutEffectWhileGenerationsMove() async throws {
        try await withLiveWorkspace { workspace in
            try await withLiveServer(workspace) { server in
                let shared = Shared()
                try await withThrowingTaskGroup(of: Int.self) { tasks in
                    for writer in 0..<3 {
                        tasks.addTask {
                            let sender = try await server.connect()
                            let reader = try await server.connect()
                            var count = 0
                            while !shared.isDone.withLock(\.self) || count < 10 {
                                let row = (writer + 3 * count) % 999
                                // Nobody else's, known or new: what another writer adds would count here.
                                let id = row < 990 ? liveID(row) : Int64(100_000 + row)
                                let before = try await reader.lookup([.integer(id)])
                                _ = try await sender.append(
                                    purchases([id], orders: ["\(writer) \(count)"]))
                                let after = try await reader.lookup([.integer(id)])
                                let old = facts(before, 0)[2] ?? 0
                                #expect(facts(after, 0)[2] == old + 12.5, "\(id)")
                                count += 1
                            }
                            await sender.close()
                            await reader.close()
                            return count
                        }
                    }
                    for generation in 2..<10 {
                        try server.publish(liveContents(generation: generation))
                        try await server.waitForGeneration(generation)
                        #expect(server.server.generation == generation)
                    }
                    // And back.
                    shared.isDone.withLock { $0 = true }
                    var sum = 0
                    for try await count in tasks { sum += count }
                    let live = try LiveCustomers(workspace: workspace, since: .start)
                    #expect(live.lineCount == sum)
                    #expect(await server.server.metrics().live?.lineCount == sum)
                }
            }
        }
    }

    /// What a generation knows does not count twice.
    @Test func aGenerationThatKnowsSomeOfTheLines() async throws {
        try await withLiveWorkspace { workspace in
            try await withLiveServer(workspace) { server in
                let connection = try await server.connect()
                for row in 0..<3 { _ = try await connection.append(purchases([liveID(row)])) }
                var cursor = LogCursor(folder: workspace + "/live", from: .start)
                _ = try cursor.next()
                _ = try cursor.next()
                let known = cursor.position
                #expect(known.sequence == 2)
                try server.publish(
                    liveContents(generation: 2, known: known, bought: [0: 20, 1: 30]))
                try await server.waitForGeneration(2)
                let result = try await connection.lookup((0..<4).map { .integer(liveID($0)) })
                #expect(result.snapshot.generation == 2)
                #expect((0..<4).map { facts(result, $0)[2] } == [25, 35, 17.5, 5])
                #expect(await server.server.metrics().live?.rowCount == 1)
                // Of a later day, beside what the generation knows.
                _ = try await connection.append(purchases([liveID(0)]))
                let later = try await connection.lookup([.integer(liveID(0))])
                #expect(facts(later, 0) == [2, 0, 37.5])
                // Back to the first, which knows none.
                let folder = SnapshotWriter.folderName(generation: 1)
                server.announce(
                    SnapshotLocation(generation: 1, folder: "\(server.folder)/\(folder)"))
                try await server.waitForGeneration(1)
                let back = try await connection.lookup((0..<4).map { .integer(liveID($0)) })
                #expect((0..<4).map { facts(back, $0)[2] } == [30, 17.5, 17.5, 5])
                await connection.close()
            }
        }
    }

    /// Appends that are under way when the server stops are answered, and none that was is lost.
    @Test func appendsWhileTheServerDrains() async throws {
        try await withLiveWorkspace { workspace in
            let shared = Shared()
            try await withLiveServer(workspace) { server in
                let connections = try await [server.connect(), server.connect()]
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for (index, connection) in connections.enumerated() {
                        for lane in 0..<4 {
                            tasks.addTask {
                                for number in 0..<100_000 {
                                    let key = AppendKey(UInt64(index * 4 + lane), UInt64(number))
                                    do throws(PatronError) {
                                        _ = try await connection.append(
                                            purchases([liveID(number % 1_000)]), key: key)
                                    } catch {
                                        return
                                    }
                                    shared.keys.withLock { $0.append(key) }
                                }
                            }
                        }
                    }
                    try await Task.sleep(for: .milliseconds(100))
                    await server.shutDown()
                    try await tasks.waitForAll()
                }
            }
            let keys = shared.keys.withLock(\.self)
            #expect(keys.count > 0)
            let live = try LiveCustomers(workspace: workspace, since: .start)
            #expect(live.lineCount >= keys.count)
            try await withLiveServer(workspace) { server in
                let connection = try await server.connect()
                for key in keys {
                    let result = try await connection.append(purchases([liveID(0)]), key: key)
                    #expect(result.isRepeat)
                }
                await connection.close()
            }
        }
    }

    /// Who has bought is known, whatever can be ranked for them.
    @Test func productsForWhoHasBought() async throws {
        try await withLiveWorkspace { workspace in
            try await withLiveServer(workspace) { server in
                let connection = try await server.connect()
                let before = try await connection.topProducts(customer: .integer(liveID(5)))
                _ = try await connection.append(purchases([liveID(5), 77]))
                // This snapshot's model cannot go on from purchases.
                let after = try await connection.topProducts(customer: .integer(liveID(5)))
                #expect(after.entries == before.entries)
                let new = try await connection.topProducts(customer: .integer(77))
                #expect(new.entries.isEmpty && new.status == .tooLittleHistory)
                await expectRefusal(.unknownCustomer) {
                    _ = try await connection.topProducts(customer: .integer(78))
                }
                await connection.close()
            }
        }
    }

    private func expectRefusal(_ status: Status, _ body: () async throws -> Void) async {
        do {
            try await body()
            Issue.record("not refused as \(status)")
        } catch PatronError.refused(let refusal) {
            #expect(refusal.status == status.rawValue, "\(refusal)")
        } catch {
            Issue.record(error)
        }
    }
}
