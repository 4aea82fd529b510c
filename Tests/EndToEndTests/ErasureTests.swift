import ByteCoding
import ColumnStore
import Engine
import Foundation
import Ingest
import PatronClient
import TestSupport
import Testing
import Units

/// An erased customer is in no file of the workspace, once what an erasure waits for is done.
@Suite struct ErasureTests {
    /// A generated retailer whose customers have texts as ids, `shopper-10000001` …, which are part of
    /// their order ids too.
    private func makeShop(
        _ folder: URL, customers: Int = 200, without: [String] = [],
        hasCovariates: Bool = false
    ) throws -> Workspace {
        do { _ = try makeRetailer(folder, customers: customers) }
        try FileManager.default.removeItem(atPath: folder.sub("ws"))
        for name in ["purchases.csv", "customers.csv"] {
            let path = folder.sub("data/\(name)")
            let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
            let kept = lines.dropFirst().filter { line in
                !without.contains { line.hasPrefix($0) }
            }
            let text = ([String(lines[0])] + kept.map { "shopper-\($0)" })
                .joined(separator: "\n")
            try Data((text + "\n").utf8).write(to: URL(fileURLWithPath: path))
        }
        let planPath = folder.sub("data/patron.yaml")
        let plan = try String(contentsOfFile: planPath, encoding: .utf8)
            .replacingOccurrences(of: "type: integer}", with: "type: text}")
            .replacingOccurrences(
                of: "{model: bgnbd, ",
                with: hasCovariates
                    ? "{model: bgnbd, covariates: [gender, age], " : "{model: bgnbd, ")
        try Data(plan.utf8).write(to: URL(fileURLWithPath: planPath))
        try Workspace.create(folder: folder.sub("ws"), planPath: planPath)
        let workspace = try Workspace(folder: folder.sub("ws"), access: .writing)
        _ = try workspace.ingest()
        return workspace
    }

    /// The files below a folder that have a text, in their bytes or in what these mean.
    private func holders(of text: String, in folder: String) throws -> [String] {
        let wanted = Array(text.utf8)
        let names = try FileManager.default.subpathsOfDirectory(atPath: folder)
        return try names.sorted().filter { name in
            let path = "\(folder)/\(name)"
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder),
                !isFolder.boolValue
            else { return false }
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            if data.range(of: Data(wanted)) != nil { return true }
            guard name.hasSuffix(".seg") else { return false }
            // Chunks may be packed.
            let reader = try SegmentReader(path: path)
            for index in reader.schema.indices where reader.schema[index].type == .text {
                let column = try reader.column(index, blocks: 0..<reader.blockCount, as: .texts)
                guard case .text(let texts) = column.data else { continue }
                if Data(texts.bytes).range(of: Data(wanted)) != nil { return true }
            }
            return false
        }
    }

    /// Purchase lines of a file, as a client sends them.
    private func lines(
        _ text: String, _ folder: URL, _ workspace: Workspace
    ) throws -> PurchaseLines {
        let header =
            "customer_id,order_id,time,product_id,category,quantity,amount,margin,promotion,channel"
        let path = try folder.write("\(header)\n\(text)\n", as: "sent.csv")
        let mapping = try #require(workspace.plan.sources.purchases?.mapping)
        return try readPurchases(path: path, mapping: mapping, clock: workspace.plan.clock).lines
    }

    private func erase(_ customers: [String], at time: Int64, _ folder: URL) throws -> Int {
        try Workspace.erase(
            .texts(TextArray(customers)), key: LogKey(first: 7, second: UInt64(time)), time: time,
            in: folder.sub("ws")
        ).receipt.sequence
    }

    @Test func nothingIsLeft() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeShop(folder)
            let path = workspace.folder
            let asOf = try workspace.asOfDay(nil, threadCount: 2)
            for _ in 0..<2 {
                _ = try workspace.train(threadCount: 2)
                _ = try workspace.score(threadCount: 2)
                try workspace.publish()
            }
            let (gone, back) = ("10000042", "10000007")
            #expect(
                Set(try holders(of: gone, in: path).map { $0.split(separator: "/")[0] })
                    == ["cache", "customers", "ledger", "purchases", "snapshots"])
            let row = "P000001,coffee,1,10.00,4.00,,store"
            func append(_ text: String) throws {
                let log = try LiveLog(workspace: path)
                let batch = LiveBatch(lines: try lines(text, folder, workspace))
                #expect(try log.append([batch])[0].get().rowCount == batch.lines.count)
                log.drain()
            }
            try append(
                """
                shopper-\(gone),\(gone)-live,2025-12-30T10:00:00,\(row)
                shopper-10000050,10000050-live,2025-12-30T10:00:00,\(row)
                shopper-newcomer,newcomer-live,2025-12-30T10:00:00,\(row)
                """)
            // At noon, in UTC.
            let day = try #require(CalendarDay(parsing: "2025-12-30"))
            let time = Int64(day.daysSince1970) * 86_400 + 43_200
            // In no file yet: also of a customer of whom nothing is known.
            let record = try erase(
                ["shopper-\(gone)", "shopper-\(back)", "shopper-newcomer", "shopper-unseen"],
                at: time, folder)
            #expect(record == 1)
            try append("shopper-\(back),fresh-order,2025-12-30T11:00:00,\(row)")
            func progress() throws -> ErasureProgress {
                try Workspace(folder: path, access: .reading).erasureProgress(record: record)
            }
            #expect(try progress().step == .ingest)
            #expect(try progress().customerCount == 4 && progress().time == time)
            // An export of the day before, which arrives now, and a line of afterwards.
            let late = try folder.write(
                """
                customer_id,order_id,time,product_id,category,quantity,amount,margin,promotion,channel
                shopper-\(gone),\(gone)-late,2025-12-29T10:00:00,\(row)
                shopper-unseen,unseen-late,2025-12-29T10:00:00,\(row)
                shopper-10000051,10000051-late,2025-12-29T10:00:00,\(row)
                shopper-\(back),later-order,2025-12-31T10:00:00,\(row)
                """, as: "late.csv")
            let before = workspace.manifest.purchaseSegments.reduce(0) { $0 + $1.rowCount }
            let summary = try workspace.ingest(IngestFiles(purchases: [late]))
            let erasure = try #require(summary.erasure)
            #expect(erasure.requestCount == 1 && erasure.customerCount == 4)
            #expect(erasure.rowCount == 2 && erasure.stayCount >= 2)
            let after = workspace.manifest.purchaseSegments.reduce(0) { $0 + $1.rowCount }
            // Four were in the file and four came live.
            #expect(after == before + 8 - erasure.lineCount)
            let entry = try #require(workspace.manifest.erasures?.last)
            #expect(entry.records == [1] && entry.lineCount == erasure.lineCount)
            #expect(entry.revision == workspace.manifest.revision)
            #expect(workspace.verify().problems == [])
            #expect(try progress().step == .train)
            _ = try workspace.train(threadCount: 2)
            #expect(try progress().step == .score)
            _ = try workspace.score(asOf: asOf, threadCount: 2)
            #expect(try progress().step == .publish)
            try workspace.publish()
            #expect(try progress().step == .prune)
            #expect(!(try progress().remains.isEmpty))
            _ = try workspace.prune()
            let last = try progress()
            #expect(last.step == .complete, "\(last.remains)")
            #expect(workspace.verify().problems == [])
            for text in [gone, "newcomer", "unseen", "\(back)-"] {
                #expect(try holders(of: text, in: path) == [], "\(text)")
            }
            // No row of an earlier generation is shared, whoever it was of.
            let shared = try FileManager.default.subpathsOfDirectory(atPath: "\(path)/snapshots")
                .filter { $0.hasSuffix("affinity-changed.arr") }
            #expect(shared == [])
            // Who came back is there with what came since.
            #expect(!(try holders(of: "fresh-order", in: path).isEmpty))
            let location = try #require(try Workspace.currentSnapshot(path))
            let snapshot = try ServingSnapshot(location)
            #expect(snapshot.row(of: .text("shopper-\(gone)")) == nil)
            #expect(snapshot.row(of: .text("shopper-\(back)")) != nil)
            #expect(try workspace.segmentStays(ofCustomer: .text("shopper-\(gone)")) == [])
            #expect(throws: EngineError.self) { try workspace.erasureProgress(record: 2) }
            #expect(throws: EngineError.self) { try workspace.erasureProgress(record: 77) }
        }
    }

    /// All that is computed is as if the customers had never been; caches of before are of no use.
    @Test func theOthersAreAsIfTheyHadNeverBeen() throws {
        try withTemporaryFolder { folder in
            let gone = ["10000001", "10000042", "10000200"]
            let workspace = try makeShop(folder)
            let asOf = try workspace.asOfDay(nil, threadCount: 2)
            _ = try workspace.features(asOf: asOf, usesCache: true, threadCount: 2)
            _ = try erase(gone.map { "shopper-\($0)" }, at: 1_800_000_000, folder)
            let summary = try workspace.ingest(IngestFiles(purchases: []))
            #expect(summary.erasure?.customerCount == 3)
            let other = folder.appendingPathComponent("other", isDirectory: true)
            try FileManager.default.createDirectory(at: other, withIntermediateDirectories: true)
            let expected = try makeShop(other, without: gone)
            let computed = try workspace.features(asOf: asOf, usesCache: true, threadCount: 2)
            let wanted = try expected.features(asOf: asOf, threadCount: 2)
            #expect(computed.customerIDs == wanted.customerIDs)
            #expect(computed.columns == wanted.columns)
            #expect(computed.history == wanted.history)
            #expect(
                workspace.manifest.purchaseSegments.map(\.rowCount)
                    == expected.manifest.purchaseSegments.map(\.rowCount))
            // Nobody is left to erase: nothing is written anew.
            _ = try erase(gone.map { "shopper-\($0)" }, at: 1_800_000_001, folder)
            let files = workspace.manifest.purchaseSegments
            #expect(try workspace.ingest(IngestFiles(purchases: [])).erasure?.fileCount == 0)
            #expect(workspace.manifest.purchaseSegments == files)
        }
    }

    /// A segmentation that the plan has no more is not trained again: its model goes with the last
    /// generation that used it, and the receipt says so.
    @Test func aModelThatThePlanNamesNoMore() throws {
        try withTemporaryFolder { folder in
            let path = folder.sub("ws")
            do {
                let workspace = try makeShop(folder)
                _ = try workspace.train(
                    only: ["segmentation.value", "segmentation.behaviour", "lifetime"],
                    threadCount: 2)
                _ = try workspace.score(threadCount: 2)
                try workspace.publish()
            }
            let record = try erase(["shopper-10000042"], at: 1_800_000_000, folder)
            // Until the files are without the customer, nobody is told of the past.
            do {
                let workspace = try Workspace(folder: path, access: .reading)
                func expectUnknown(_ body: () throws -> Void) {
                    #expect {
                        try body()
                    } throws: { error in
                        guard case .unknownCustomer? = error as? EngineError else { return false }
                        return true
                    }
                }
                let id = "shopper-10000042"
                expectUnknown {
                    _ = try workspace.explainSegment(ofCustomer: id, in: "value", threadCount: 2)
                }
                expectUnknown {
                    _ = try workspace.path(ofCustomer: id, stepDays: 30, threadCount: 2)
                }
                expectUnknown {
                    _ = try workspace.stays(ofCustomerWithoutPurchases: id, threadCount: 2)
                }
                _ = try workspace.path(
                    ofCustomer: "shopper-10000043", stepDays: 30, threadCount: 2)
            }
            let planPath = folder.sub("ws/patron.yaml")
            var lines = try String(contentsOfFile: planPath, encoding: .utf8)
                .split(separator: "\n", omittingEmptySubsequences: false)
            let start = try #require(lines.firstIndex { $0 == "  behaviour:" })
            let end = try #require(lines.firstIndex { $0.hasPrefix("lifetime:") })
            lines.removeSubrange(start..<end)
            try Data(lines.joined(separator: "\n").utf8)
                .write(to: URL(fileURLWithPath: planPath))
            let workspace = try Workspace(folder: path, access: .writing)
            _ = try workspace.ingest(IngestFiles(purchases: []))
            func progress() throws -> ErasureProgress {
                try Workspace(folder: path, access: .reading).erasureProgress(record: record)
            }
            #expect(try progress().step == .train)
            #expect(!(try progress().remains.contains { $0.contains("behaviour") }))
            _ = try workspace.train(
                only: ["segmentation.value", "lifetime"], threadCount: 2)
            _ = try workspace.score(threadCount: 2)
            try workspace.publish()
            #expect(try progress().step == .prune)
            #expect(
                try progress().remains.contains {
                    $0.contains("behaviour") && $0.contains("the plan does not name")
                })
            _ = try workspace.prune()
            let last = try progress()
            #expect(last.step == .complete, "\(last.remains)")
            #expect(!workspace.manifest.models.contains { $0.name == "segmentation.behaviour" })
        }
    }

    /// A generation that was scored before, and is published afterwards, brings nobody back.
    @Test func aLatePublishEntersNobody() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeShop(folder)
            _ = try workspace.train(threadCount: 2)
            _ = try workspace.score(threadCount: 2)
            let gone = "shopper-10000042"
            let record = try erase([gone], at: 1_800_000_000, folder)
            _ = try workspace.ingest(IngestFiles(purchases: []))
            try workspace.publish()
            #expect(try workspace.segmentStays(ofCustomer: .text(gone)) == [])
            #expect(!(try workspace.segmentStays(ofCustomer: .text("shopper-10000043")).isEmpty))
            _ = try workspace.train(threadCount: 2)
            #expect(try workspace.erasureProgress(record: record).step == .score)
            #expect(workspace.verify().problems == [])
        }
    }

    /// Whose lines the segments still have is, after the erasure, scored as somebody who never was.
    @Test(arguments: [false, true])
    func aNewCustomerBeforeTheIngest(hasCovariates: Bool) async throws {
        try await inTemporaryFolder { folder in
            do {
                let workspace = try makeShop(folder, hasCovariates: hasCovariates)
                _ = try workspace.train(only: ["segmentation.value", "lifetime"], threadCount: 2)
                _ = try workspace.score(threadCount: 2)
                try workspace.publish()
            }
            let (gone, new) = (PatronID.text("shopper-10000042"), PatronID.text("newcomer"))
            func expectEqual(_ connection: PatronConnection, _ revenue: Double) async throws {
                let rows = try await connection.lookup([gone, new])
                #expect(rows.status == [.ok, .ok])
                #expect(rows.columns.first { $0.id == 6 }?.number(0) == revenue)
                for column in rows.columns {
                    #expect(column.number(0) == column.number(1), "column \(column.id)")
                }
            }
            func buy(_ connection: PatronConnection, _ day: Int, _ orders: [String]) async throws {
                var lines = Purchases(
                    customers: [gone, new], times: .days([day, day]), amounts: [1_250, 1_250],
                    currency: "EUR")
                lines.margins = [400, 400]
                lines.orders = orders
                lines.products = ["P000001", "P000001"]
                let result = try await connection.append(lines)
                #expect(result.acceptedCount == 2, "\(result.refusals)")
            }
            let path = folder.sub("ws")
            try await serving(path, taking: true) { connection, _ in
                let before = try await connection.lookup([gone])
                #expect((before.columns.first { $0.id == 6 }?.number(0) ?? 0) > 12.5)
                let day = before.snapshot.asOfDay + 1
                _ = try await connection.erase([gone])
                // The order id of one that the segments have.
                try await buy(connection, day, ["10000042-1", "other-1"])
                try await expectEqual(connection, 12.5)
                try await buy(connection, day + 2, ["10000042-2", "other-2"])
                try await expectEqual(connection, 25)
                await #expect(throws: PatronError.self) {
                    _ = try await connection.explainSegment(of: gone, in: "value")
                }
            }
            // A server that was ended lets go of the log on a thread of its own.
            func waitForLog() async throws {
                for _ in 0..<400 {
                    if (try? LiveLog(workspace: path)) != nil { return }
                    try await Task.sleep(for: .milliseconds(25))
                }
                Issue.record("the log is not let go of")
            }
            // Read again from the log.
            try await waitForLog()
            try await serving(path, taking: true) { connection, _ in
                try await expectEqual(connection, 25)
            }
            // And from the segments, without those of before.
            _ = try Workspace(folder: path, access: .writing).ingest(IngestFiles(purchases: []))
            try await waitForLog()
            try await serving(path, taking: true) { connection, _ in
                try await expectEqual(connection, 25)
                let day = try await connection.describe().snapshot.asOfDay + 3
                try await buy(connection, day, ["third", "third"])
                try await expectEqual(connection, 37.5)
            }
        }
    }

    @Test func theCommand() async throws {
        try #require(Program.path != nil)
        try await inTemporaryFolder { folder in
            do {
                let workspace = try makeShop(folder)
                _ = try workspace.train(only: ["segmentation.value", "lifetime"], threadCount: 2)
                _ = try workspace.score(threadCount: 2)
                try workspace.publish()
            }
            func run(_ arguments: [String]) async throws -> Program.Outcome {
                try await Task.detached { try Program.run(arguments, in: folder) }.value
            }
            let offline = try await run([
                "erase", "ws", "--customer", "shopper-10000003", "nobody", "shopper-10000003",
                "--json",
            ])
            #expect(offline.code == 0, "\(offline.errors)")
            #expect(offline.output.contains("\"record\":0,"), "\(offline.output)")
            #expect(
                offline.output.contains(
                    "\"id\":\"shopper-10000003\",\"inLivePurchases\":false,\"inSnapshot\":true"),
                "\(offline.output)")
            try folder.write(
                "shopper-10000004\nshopper-10000005\nshopper-10000004\n", as: "list")
            try await serving(folder.sub("ws"), taking: true) { connection, server in
                let endpoint = "127.0.0.1:\(server.address.port ?? 0)"
                let gone = (3..<6).map { PatronID.text("shopper-1000000\($0)") }
                #expect(
                    try await connection.lookup(gone).status == [.unknownCustomer, .ok, .ok])
                let online = try await run(["erase", "--connect", endpoint, "--ids", "list"])
                #expect(online.code == 0, "\(online.errors)")
                #expect(
                    online.output.contains(
                        "2 customers erased, 2 in the generation that is served"),
                    "\(online.output)")
                #expect(
                    try await connection.lookup(gone).status
                        == [CustomerStatus](repeating: .unknownCustomer, count: 3))
                let locked = try await run(["erase", "ws", "--customer", "shopper-10000006"])
                #expect(locked.code == 69)
                #expect(locked.errors.contains("patron erase --connect"), "\(locked.errors)")
            }
            let waiting = try await run(["erase", "ws", "--receipt", "1"])
            #expect(waiting.code == 0 && waiting.output.contains("waiting for ingest"))
            let ingest = try await run(["ingest", "ws", "--live"])
            #expect(ingest.code == 0, "\(ingest.errors)")
            #expect(
                ingest.output.contains("4 customers erased, as 2 requests wanted"),
                "\(ingest.output)")
            for arguments in [
                ["train", "ws"], ["score", "ws"], ["publish", "ws"], ["prune", "ws"],
            ] {
                let step = try await run(arguments)
                #expect(step.code == 0, "\(step.errors)")
            }
            for record in ["0", "1"] {
                let complete = try await run(["erase", "ws", "--receipt", record])
                #expect(complete.output.contains("complete"), "\(complete.output)")
            }
            #expect(try await run(["erase", "ws", "--receipt", "2"]).code == 1)
            #expect(try await run(["erase", "ws"]).code == 64)
            #expect(try await run(["verify", "ws"]).code == 0)
        }
    }
}
