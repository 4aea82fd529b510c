import ByteCoding
import ColumnStore
import Engine
import Foundation
import Logging
import PatronClient
import Server
import Testing
import Wire

/// ERASE: when the answer comes, no connection shows the customers any more.
@Suite struct EraseTests {
    private typealias Found = EraseReceipt.Found

    private static let both = Found(inSnapshot: true, inLivePurchases: true)
    private static let row = Found(inSnapshot: true, inLivePurchases: false)
    private static let lines = Found(inSnapshot: false, inLivePurchases: true)
    private static let neither = Found(inSnapshot: false, inLivePurchases: false)

    /// Repeat orders, days since the last one and revenue.
    private func facts(_ result: LookupResult, _ row: Int) -> [Double?] {
        [1, 4, 6].map { id in result.columns.first { $0.id == id }?.number(row) }
    }

    /// Of which rules can speak.
    private static func contents(
        generation: Int = 1, known: LogPosition = .start, textIDs: Bool = false
    ) -> SnapshotContents {
        var contents = liveContents(generation: generation, known: known, textIDs: textIDs)
        for index in contents.columns.indices where contents.columns[index].id == 300 {
            contents.columns[index].name = "place"
        }
        return contents
    }

    private func ids(_ connection: PatronConnection, rule: String?) async throws -> [PatronID] {
        var ids: [PatronID] = []
        for try await chunk in try connection.customers(rule: rule) { ids += chunk.ids }
        return ids
    }

    @Test(arguments: [1, 2]) func noConnectionShowsWhoWasErased(loops: Int) async throws {
        try await withLiveWorkspace { workspace in
            try await withLiveServer(workspace, Self.contents(), { $0.loopCount = loops }) {
                server in
                var connections: [PatronConnection] = []
                for _ in 0..<4 { connections.append(try await server.connect()) }
                _ = try await connections[0].append(purchases([liveID(0), 77]))
                let gone = [liveID(0), 77, liveID(5), 999_999].map { PatronID.integer($0) }
                let receipt = try await connections[1].erase(gone)
                #expect(receipt.found == [Self.both, Self.lines, Self.row, Self.neither])
                #expect(receipt.record == 1 && !receipt.isRepeat)
                #expect(receipt.snapshot.generation == 1)
                #expect(abs(Double(receipt.time) - Date().timeIntervalSince1970) < 60)
                for connection in connections {
                    for id in gone {
                        #expect(
                            try await connection.lookup([id]).status == [.unknownCustomer])
                        await expectRefusal(.unknownCustomer) {
                            _ = try await connection.topProducts(customer: id)
                        }
                        await expectRefusal(.unknownCustomer) {
                            _ = try await connection.similarCustomers(to: id)
                        }
                        await expectRefusal(.unknownCustomer) {
                            _ = try await connection.offerProducts(customer: id)
                        }
                    }
                    let many = try await connection.lookup(gone + [.integer(liveID(6))])
                    #expect(
                        many.status == [
                            .unknownCustomer, .unknownCustomer, .unknownCustomer,
                            .unknownCustomer, .ok,
                        ])
                    #expect(facts(many, 0) == [nil, nil, nil])
                    #expect(facts(many, 4) == [0, 10, 5])
                    let all = (0..<1_000).filter { $0 != 0 && $0 != 5 }
                        .map { PatronID.integer(liveID($0)) }
                    #expect(try await ids(connection, rule: nil) == all)
                    #expect(try await ids(connection, rule: "place < 10") == Array(all[..<8]))
                    #expect(try await connection.count(rule: "place < 10") == 8)
                    #expect(try await connection.count(rule: "place >= 0") == 998)
                }
                // As many as were asked for, of whom nobody is erased.
                let connection = connections[3]
                for count in [1, 10, 900] {
                    let top = try await connection.topCustomers(
                        product: .text("P3"), count: count, excludingPurchased: false)
                    #expect(top.entries.count == count)
                    let similar = try await connection.similarCustomers(
                        to: .integer(liveID(6)), count: count)
                    let offers = try await connection.offerCustomers(
                        product: .text("P3"), count: count)
                    let found =
                        top.entries.map(\.id) + similar.entries.map(\.id)
                        + offers.entries.map(\.id)
                    #expect(!found.contains { gone.contains($0) })
                }
                // Who buys again is a new customer, of whom nothing from before is known.
                _ = try await connection.append(purchases([liveID(0), 77]))
                for connection in connections {
                    let one = try await connection.lookup([.integer(liveID(0))])
                    #expect(one.status == [.ok])
                    #expect(facts(one, 0) == [0, 0, 12.5])
                    #expect(one.columns.first { $0.id == 300 }?.number(0) == nil)
                    let many = try await connection.lookup(gone)
                    #expect(
                        many.status == [.ok, .ok, .unknownCustomer, .unknownCustomer])
                    #expect(facts(many, 1) == [0, 0, 12.5])
                    let top = try await connection.topProducts(customer: .integer(liveID(0)))
                    #expect(top.status == .tooLittleHistory && top.entries.isEmpty)
                    #expect(try await connection.count(rule: "place >= 0") == 998)
                }
                // And may be erased again.
                let second = try await connection.erase(Array(gone[..<3]))
                #expect(second.record == 3)
                #expect(second.found == [Self.both, Self.lines, Self.row])
                #expect(
                    try await connections[0].lookup(gone).status
                        == [CustomerStatus](repeating: .unknownCustomer, count: 4))
                let metrics = try #require(await server.server.metrics().live)
                #expect(metrics.erasures == 2 && metrics.erasedCustomers == 7)
                #expect(metrics.rowCount == 0 && metrics.lineCount == 0)
                for connection in connections { await connection.close() }
            }
        }
    }

    /// An accent of its own, and one in its letter.
    @Test func equivalentTextsAreTwoCustomers() async throws {
        try await withLiveWorkspace(textIDs: true) { workspace in
            try await withLiveServer(workspace, Self.contents(textIDs: true)) { server in
                let connection = try await server.connect()
                let both = ["caf\u{E9}", "cafe\u{301}"].map { PatronID.text($0) }
                var lines = purchases([1, 2, 3])
                lines.customers = [both[0], both[1], both[1]]
                _ = try await connection.append(lines)
                let before = try await connection.lookup(both)
                #expect(before.status == [.ok, .ok])
                #expect(facts(before, 0)[2] == 12.5 && facts(before, 1)[2] == 25)
                _ = try await connection.erase([both[0]])
                #expect(try await connection.lookup(both).status == [.unknownCustomer, .ok])
                _ = try await connection.append(lines)
                _ = try await connection.erase(both)
                #expect(
                    try await connection.lookup(both).status
                        == [.unknownCustomer, .unknownCustomer])
                await connection.close()
            }
            let log = try LiveCustomers(workspace: workspace, since: .start)
            for id in ["caf\u{E9}", "cafe\u{301}"] { #expect(!log.hasLines(of: .text(id))) }
        }
    }

    @Test func textIDs() async throws {
        try await withLiveWorkspace(textIDs: true) { workspace in
            try await withLiveServer(workspace, Self.contents(textIDs: true)) { server in
                let connection = try await server.connect()
                var lines = purchases([1, 2])
                lines.customers = [.text("C10003"), .text("newcomer")]
                _ = try await connection.append(lines)
                let gone = ["C10003", "newcomer", "C10004", "nobody"].map { PatronID.text($0) }
                let receipt = try await connection.erase(gone)
                #expect(receipt.found == [Self.both, Self.lines, Self.row, Self.neither])
                for id in gone {
                    #expect(try await connection.lookup([id]).status == [.unknownCustomer])
                }
                _ = try await connection.append(lines)
                let result = try await connection.lookup(gone + [.text("C10005")])
                #expect(
                    result.status == [.ok, .ok, .unknownCustomer, .unknownCustomer, .ok])
                #expect(facts(result, 0) == [0, 0, 12.5] && facts(result, 1) == [0, 0, 12.5])
                await expectRefusal(.wrongIDKind) {
                    _ = try await connection.erase([.integer(3)])
                }
                await connection.close()
            }
        }
    }

    /// What is not sent yet when the answer comes is not sent.
    @Test func aStreamUnderWayLeavesThemOut() async throws {
        let count = 60_000
        func id(_ row: Int) -> PatronID { .integer(Int64(1_000 + 7 * row)) }
        var contents = sampleContents(customerCount: count)
        contents.models = []
        try await withLiveWorkspace { workspace in
            try await withLiveServer(workspace, contents) { server in
                for rule in [nil, "revenue >= 0"] as [String?] {
                    let (reader, eraser) = (
                        try await server.connect(), try await server.connect()
                    )
                    let last = rule == nil ? count - 1 : count - 4
                    var ids: [PatronID] = []
                    var chunkCount = 0
                    for try await chunk in try reader.customers(rule: rule, credit: 256 << 10) {
                        if chunkCount == 0 {
                            #expect(chunk.ids.count < count / 3)
                            _ = try await eraser.erase([id(last), id(last - 1), id(1)])
                        }
                        ids += chunk.ids
                        chunkCount += 1
                    }
                    #expect(chunkCount > 3)
                    // The first chunk was sent.
                    #expect(ids.contains(id(1)) == (rule == nil))
                    #expect(!ids.contains(id(last)) && !ids.contains(id(last - 1)))
                    #expect(ids.count == (rule == nil ? count - 2 : count - 5))
                    await reader.close()
                    await eraser.close()
                }
            }
        }
    }

    /// Over generations that do not know of it, restarts and repeats, until one does.
    @Test func itLastsUntilAGenerationKnowsIt() async throws {
        try await withLiveWorkspace { workspace in
            let key = AppendKey(5, 6)
            let gone = [liveID(1), liveID(2)].map { PatronID.integer($0) }
            var first: EraseReceipt?
            func expectNothing(_ connection: PatronConnection) async throws {
                let result = try await connection.lookup(gone + [.integer(liveID(3))])
                #expect(result.status == [.unknownCustomer, .unknownCustomer, .ok])
                #expect(try await connection.count(rule: "place < 4") == 2)
            }
            try await withLiveServer(workspace, Self.contents()) { server in
                let connection = try await server.connect()
                _ = try await connection.append(
                    purchases([liveID(1), liveID(3)]), key: AppendKey(1, 1))
                first = try await connection.erase(gone, key: key)
                try await expectNothing(connection)
                // Scored anew by another process, which knows nothing of it.
                try server.publish(Self.contents(generation: 2))
                try await server.waitForGeneration(2)
                try await expectNothing(connection)
                #expect(try await connection.lookup(gone).snapshot.generation == 2)
                _ = try await connection.append(purchases([liveID(2)]))
                let result = try await connection.lookup(gone)
                #expect(result.status == [.unknownCustomer, .ok])
                #expect(facts(result, 1) == [0, 0, 12.5])
                await connection.close()
            }
            let receipt = try #require(first)
            try await withLiveServer(workspace, Self.contents(generation: 3)) { server in
                let connection = try await server.connect()
                let before = try await connection.lookup(gone)
                #expect(before.status == [.unknownCustomer, .ok])
                #expect(facts(before, 1) == [0, 0, 12.5])
                let again = try await connection.erase(gone, key: key)
                #expect(again.isRepeat && again.record == receipt.record)
                #expect(again.time == receipt.time)
                #expect(again.found == [Self.row, Self.row])
                // What has come since the first time stays.
                #expect(try await connection.lookup(gone).status == [.unknownCustomer, .ok])
                await expectRefusal(.invalidMeta) {
                    _ = try await connection.erase([.integer(liveID(4))], key: key)
                }
                await expectRefusal(.invalidMeta) {
                    _ = try await connection.erase(gone, key: AppendKey(1, 1))
                }
                await expectRefusal(.invalidMeta) {
                    _ = try await connection.append(purchases([liveID(4)]), key: key)
                }
                // One scored with the erasure: its rows are those of new customers.
                var cursor = LogCursor(folder: workspace + "/live", from: .start)
                while try cursor.next() != nil {}
                try server.publish(Self.contents(generation: 4, known: cursor.position))
                try await server.waitForGeneration(4)
                let known = try await connection.lookup(gone)
                #expect(known.status == [.ok, .ok])
                #expect(facts(known, 0) == [0, 10, 5])
                #expect(try await connection.count(rule: "place < 4") == 4)
                // And back to one that does not know it.
                let folder = SnapshotWriter.folderName(generation: 3)
                server.announce(
                    SnapshotLocation(generation: 3, folder: "\(server.folder)/\(folder)"))
                try await server.waitForGeneration(3)
                #expect(try await connection.lookup(gone).status == [.unknownCustomer, .ok])
                #expect(try await connection.count(rule: "place < 4") == 2)
                await connection.close()
            }
        }
    }

    /// Erasures between appends and moves of the generation, from several connections at once.
    @Test func manyWhileGenerationsMove() async throws {
        try await withLiveWorkspace { workspace in
            try await withLiveServer(workspace, Self.contents(), { $0.loopCount = 2 }) { server in
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for lane in 0..<3 {
                        tasks.addTask {
                            let sender = try await server.connect()
                            let reader = try await server.connect()
                            for round in 0..<40 {
                                let id = PatronID.integer(liveID(lane * 300 + round))
                                _ = try await sender.append(purchases([liveID(lane * 300 + round)]))
                                _ = try await sender.erase([id])
                                #expect(
                                    try await reader.lookup([id]).status == [.unknownCustomer])
                                if round % 2 == 0 { continue }
                                _ = try await sender.append(purchases([liveID(lane * 300 + round)]))
                                let new = try await reader.lookup([id])
                                #expect(facts(new, 0) == [0, 0, 12.5])
                            }
                            await sender.close()
                            await reader.close()
                        }
                    }
                    for generation in 2..<7 {
                        try server.publish(Self.contents(generation: generation))
                        try await server.waitForGeneration(generation)
                    }
                    try await tasks.waitForAll()
                }
                let connection = try await server.connect()
                #expect(try await connection.count(rule: "place >= 0") == 1_000 - 120)
                await connection.close()
            }
        }
    }

    @Test func theTokenMustAllowIt() async throws {
        try await withLiveWorkspace { workspace in
            let tokens = [Scopes.append, .admin, [.erase, .read]].enumerated().map {
                NewToken(name: "client\($0.offset)", scopes: $0.element, expires: nil)
            }
            let path = workspace + "/tokens"
            try tokens.map { $0.line + "\n" }.joined().write(
                toFile: path, atomically: true, encoding: .utf8)
            let recorder = LogRecorder()
            let configuration = testConfiguration {
                $0.liveWorkspace = workspace
                $0.tokensPath = path
            }
            let server = try await TestServer(
                configuration, Self.contents(), folder: workspace + "/served",
                logger: recorder.logger)
            let running = Task { try await server.run() }
            for token in tokens[..<2] {
                let connection = try await server.connect(token: token.token)
                await expectRefusal(.scopeMissing) {
                    _ = try await connection.erase([.integer(liveID(1))])
                }
                await connection.close()
            }
            let connection = try await server.connect(token: tokens[2].token)
            #expect(try await connection.erase([.integer(liveID(1))]).record == 0)
            #expect(
                try await connection.lookup([.integer(liveID(1))]).status == [.unknownCustomer])
            await connection.close()
            // Who asked, never for whom.
            let line = try #require(try await recorder.line(with: "customers erased"))
            #expect(line == "customers erased customers=1 record=0 token=client2")
            await server.shutDown()
            try await running.value
        }
    }

    @Test func whatIsNoErasureIsRefused() async throws {
        try await withServer { server in
            let connection = try await server.connect()
            await expectRefusal(.readOnly) { _ = try await connection.erase([.integer(1)]) }
            #expect(try await connection.ping() == 1)
            await connection.close()
        }
        try await withLiveWorkspace { workspace in
            try await withLiveServer(workspace, Self.contents()) { server in
                let raw = try RawConnection(port: server.port)
                try await raw.sayHello()
                let request = Request.erase(EraseRequest(ids: .integers([liveID(1)])))
                raw.send(frame(request, 2))
                #expect(try await raw.receive()?.header.status == .invalidMeta)
                var writer = ByteWriter()
                Request.erase(EraseRequest(ids: .integers([]))).encodeFrame(
                    requestID: 3, meta: [.idempotencyKey(Array(0..<16))], into: &writer)
                raw.send(writer.bytes)
                #expect(try await raw.receive()?.header.status == .valueOutOfRange)
                // The key is free.
                writer.removeAll()
                request.encodeFrame(
                    requestID: 4, meta: [.idempotencyKey(Array(0..<16))], into: &writer)
                raw.send(writer.bytes)
                guard case .erase(let answer)? = try await raw.receive()?.response else {
                    Issue.record("not an answer to ERASE")
                    return
                }
                #expect(answer.sequence == 0 && answer.found.rowCount == 1)
            }
        }
    }

    // MARK: Other generations

    private func contents(_ generation: Int) -> SnapshotContents {
        var contents = sampleContents(generation: generation)
        contents.models = []
        return contents
    }

    /// Generations under labels and candidates of comparisons hide them too.
    @Test func labelsAndShadows() async throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("patron-erase-\(UUID().uuidString)", isDirectory: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let workspace = try SampleWorkspace(
            folder, generations: [contents(1), contents(2), contents(3)])
        let configuration = testConfiguration { $0.liveWorkspace = workspace.folder }
        try await serving(workspace, configuration) { server in
            let connection = try await server.connect()
            _ = try await connection.setLabel("canary", to: 2)
            let canary = try connection.labelled("canary")
            let gone = PatronID.integer(id(4))
            #expect(try await canary.lookup([gone]).status == [.ok])
            let receipt = try await connection.erase([gone])
            #expect(receipt.found == [Self.row])
            for connection in [connection, canary] {
                #expect(try await connection.lookup([gone]).status == [.unknownCustomer])
                let many = try await connection.lookup([gone, .integer(id(5))])
                #expect(many.status == [.unknownCustomer, .ok])
                #expect(try await connection.count(rule: "revenue >= 0") == 999)
                #expect(try await ids(connection, rule: nil).count == 999)
                await expectRefusal(.unknownCustomer) {
                    _ = try await connection.topProducts(customer: gone)
                }
            }
            // A label that comes afterwards.
            _ = try await connection.setLabel("trial", to: 3)
            let trial = try connection.labelled("trial")
            #expect(try await trial.lookup([gone]).status == [.unknownCustomer])
            #expect(try await trial.count(rule: "revenue >= 0") == 999)
            // A comparison sees neither side of them.
            _ = try await connection.startShadow(
                .generation(2), partsPerMillion: 1_000_000)
            for _ in 0..<10 {
                _ = try await connection.lookup([gone, .integer(id(5))])
            }
            let report = try await connection.stopShadow()
            #expect(report.sampledCount == 20 && report.comparedCount == 10)
            #expect(report.onlyInCurrentCount == 0 && report.onlyInCandidateCount == 0)
            // What was published before it was scored anew.
            #expect(try await connection.publish(generation: 3).snapshot.generation == 3)
            #expect(try await connection.lookup([gone]).status == [.unknownCustomer])
            await connection.close()
        }
    }

    /// A server that takes no purchases learns of them from the log.
    @Test func aServerThatOnlyReads() async throws {
        try await withWorkspace([contents(1), contents(2)]) { workspace, server in
            let connection = try await server.connect()
            let gone = [id(4), id(5)].map { PatronID.integer($0) }
            #expect(try await connection.lookup(gone).status == [.ok, .ok])
            let receipt = try Workspace.erase(
                .integers([id(4)]), key: LogKey(first: 1, second: 1), time: 100,
                in: workspace.folder)
            #expect(receipt.receipt.sequence == 0)
            #expect(receipt.found.map(\.snapshot) == [true])
            var status: [CustomerStatus] = []
            for _ in 0..<2_000 where status != [.unknownCustomer, .ok] {
                status = try await connection.lookup(gone).status
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(status == [.unknownCustomer, .ok])
            #expect(try await connection.count(rule: "revenue >= 0") == 999)
            await connection.close()
            // One that is started afterwards, and moves.
            try await serving(workspace) { server in
                let connection = try await server.connect()
                #expect(
                    try await connection.lookup(gone).status == [.unknownCustomer, .ok])
                #expect(try await connection.publish(generation: 2).snapshot.generation == 2)
                #expect(
                    try await connection.lookup(gone).status == [.unknownCustomer, .ok])
                #expect(try await connection.count(rule: "revenue >= 0") == 999)
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
