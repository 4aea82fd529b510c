import Engine
import Features
import Foundation
import Models
import PatronClient
import TestSupport
import Testing
import Units

/// What is wrong with the input is said in words that name file, line and field, and nothing
/// half-made stays behind.
@Suite struct BadInputTests {
    /// Purchases of `customers` customers, three each, on different days.
    private func purchases(customers: Int = 40) -> String {
        var text = "customer,time,amount\n"
        for customer in 0..<customers {
            for order in 0..<(1 + customer % 4) {
                let day = CalendarDay(daysSince1970: 19_000 + customer + order * (5 + customer % 7))
                text += "c\(customer),\(day),\(10 + customer % 13 + order).50\n"
            }
        }
        return text
    }

    private func everyFile(_ folder: URL) -> [String] {
        ((try? FileManager.default.subpathsOfDirectory(atPath: folder.sub("ws"))) ?? [])
            .filter { !$0.hasPrefix("rejects") }.sorted()
    }

    @Test(arguments: [
        ("", "empty"),
        ("customer,time,amount\n", "no data lines"),
        ("customer;time;amount\na;2020-01-01;5\n", "semicolon"),
        ("client,time,amount\na,2020-01-01,5\n", "`customer`"),
        ("customer,time,amount\na,2020-13-01,5\n", "unparseableTime"),
        ("customer,time,amount\na,2020-01-01,nan\n", "unparseableNumber"),
        ("customer,time,amount\na,2020-01-01,1e308\n", "amountOutOfRange"),
        ("customer,time,amount\na,2020-01-01,five\n", "unparseableNumber"),
    ])
    func aFileThatCannotBeUsed(text: String, words: String) throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, purchases: text)
            let before = everyFile(folder)
            let error = #expect(throws: EngineError.self) { try workspace.ingest() }
            let message = try #require(error?.description)
            #expect(message.contains("purchases.csv"), "\(message)")
            #expect(message.contains(words), "\(message)")
            #expect(everyFile(folder) == before)
            #expect(workspace.manifest.purchaseSegments.isEmpty)
        }
    }

    @Test func aMissingFile() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, purchases: "x")
            try FileManager.default.removeItem(atPath: folder.sub("purchases.csv"))
            let error = #expect(throws: EngineError.self) { try workspace.ingest() }
            #expect(error?.description.contains("purchases.csv: there is no such file") ?? false)
        }
    }

    @Test func badLinesAreListedWithLineColumnAndReason() throws {
        try withTemporaryFolder { folder in
            var text = purchases()
            text += "c1,2022-02-30,7\n,2022-02-28,7\n"
            let workspace = try makeWorkspace(folder, purchases: text)
            let summary = try workspace.ingest()
            let path = try #require(summary.rejectsPath)
            let listed = try String(contentsOfFile: path, encoding: .utf8)
            let lineCount = text.split(separator: "\n").count
            #expect(listed.contains(",\(lineCount - 1),time,unparseableTime,2022-02-30"))
            #expect(listed.contains(",\(lineCount),customer,missingCustomerID,"))
            #expect(summary.purchases[0].rejectedCount == 2)
        }
    }

    @Test func theSameFileTwice() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, purchases: purchases())
            _ = try workspace.ingest()
            let error = #expect(throws: EngineError.self) { try workspace.ingest() }
            #expect(error?.description.contains("--again") ?? false)
            #expect(try workspace.ingest(skipKnown: true).reports.isEmpty)
            let lines = try workspace.history().lineCount
            _ = try workspace.ingest(again: true)
            #expect(try workspace.history().lineCount == 2 * lines)
        }
    }

    /// One customer; one purchase each; all on one day; only returns; fewer customers than k.
    @Test(arguments: [
        ("customer,time,amount\na,2020-01-01,5\n", 1),
        ("customer,time,amount\na,2020-01-01,5\na,2020-02-01,6\na,2020-03-01,5\n", 1),
        ("customer,time,amount\na,2020-01-01,5\nb,2020-01-02,5\nc,2020-01-05,9\n", 3),
        ("customer,time,amount\na,2020-01-01,5\nb,2020-01-01,6\na,2020-01-01,7\n", 2),
        ("customer,time,amount\na,2020-01-01,5\nb,2020-01-02,-5\nc,2020-01-05,9\n", 3),
    ])
    func tooLittleToFit(text: String, customers: Int) throws {
        try withTemporaryFolder { folder in
            let plan = barePlan + "\nsegmentations:\n  one: {features: [revenue], clusterCount: 1}"
            let workspace = try makeWorkspace(folder, plan: plan, purchases: text)
            _ = try workspace.ingest()
            let trained = try workspace.train(threadCount: 2)
            #expect(trained.notFitted["lifetime"] != nil && trained.notFitted["affinity"] != nil)
            let scored = try workspace.score(csvPath: folder.sub("out.csv"), threadCount: 2)
            #expect(scored.customerCount == customers)
            let csv = try String(contentsOfFile: folder.sub("out.csv"), encoding: .utf8)
            #expect(!csv.lowercased().contains("nan") && !csv.contains("inf"))
            try workspace.publish()
        }
    }

    @Test func nothingFittedAtAllIsAnError() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(
                folder, purchases: "customer,time,amount\na,2020-01-01,5\n")
            _ = try workspace.ingest()
            let error = #expect(throws: EngineError.self) {
                try workspace.train(threadCount: 1)
            }
            #expect(error?.description.contains("5 rows are needed, there are 1") ?? false)
            #expect(workspace.manifest.models.isEmpty)
        }
    }

    @Test func onlyReturns() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(
                folder, purchases: "customer,time,amount\na,2020-01-01,-5\n")
            _ = try workspace.ingest()
            #expect(throws: EngineError.features(.noPurchases)) {
                try workspace.train(threadCount: 1)
            }
        }
    }

    @Test func anAsOfBeforeTheFirstPurchase() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, purchases: purchases())
            _ = try workspace.ingest()
            let early = try #require(CalendarDay(parsing: "1999-01-01"))
            let error = #expect(throws: EngineError.self) {
                try workspace.train(asOf: early, threadCount: 1)
            }
            #expect(error?.description.contains("before the first purchase") ?? false)
        }
    }

    @Test func scoresMayNotKnowLessThanTheirModels() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, purchases: purchases())
            _ = try workspace.ingest()
            let summary = try workspace.train(threadCount: 1)
            let day = try #require(CalendarDay(parsing: summary.asOf))
            let error = #expect(throws: EngineError.self) {
                try workspace.score(asOf: day + -10, threadCount: 1)
            }
            #expect(error?.description.contains("train with --as-of") ?? false)
        }
    }

    @Test func theWorkspaceIsInUse() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, purchases: purchases())
            let error = #expect(throws: EngineError.self) {
                try Workspace(folder: workspace.folder, access: .writing)
            }
            #expect(error?.description.contains("in use by process") ?? false)
            _ = try Workspace(folder: workspace.folder, access: .reading)
            withExtendedLifetime(workspace) {}
        }
    }

    @Test func foldersThatAreNoWorkspaces() throws {
        try withTemporaryFolder { folder in
            #expect(throws: EngineError.notAWorkspace(path: folder.path)) {
                try Workspace(folder: folder.path, access: .reading)
            }
            let plan = try folder.write(barePlan, as: "patron.yaml")
            let error = #expect(throws: EngineError.self) {
                try Workspace.create(folder: folder.path, planPath: plan)
            }
            #expect(error?.description.contains("not empty") ?? false)
        }
    }

    /// Cuts and flips in every file that scoring and serving read.
    @Test func damagedFilesAreRefusedByName() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, purchases: purchases())
            _ = try workspace.ingest()
            _ = try workspace.train(threadCount: 1)
            _ = try workspace.score(threadCount: 1)
            try workspace.publish()
            let names = everyFile(folder).filter { name in
                var isFolder: ObjCBool = false
                let path = folder.sub("ws/\(name)")
                _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
                return !isFolder.boolValue && !["LOCK", "ORIGIN", "patron.yaml"].contains(name)
                    && !name.hasSuffix("scores.seg") && !name.hasPrefix("cache/")
                    && !name.hasPrefix("ledger/")
            }
            #expect(names.count >= 6)
            for name in names {
                let path = folder.sub("ws/\(name)")
                let whole = try #require(FileManager.default.contents(atPath: path))
                var flipped = whole
                flipped[whole.count / 2] ^= 0x10
                for damaged in [whole.prefix(whole.count - 1), whole.prefix(3), flipped] {
                    try Data(damaged).write(to: URL(fileURLWithPath: path))
                    let message = useEverything(folder.sub("ws"))
                    #expect(
                        message?.contains(name.split(separator: "/").last ?? "") ?? false,
                        "\(name): \(message ?? "damage not found")")
                }
                try whole.write(to: URL(fileURLWithPath: path))
            }
            #expect(useEverything(folder.sub("ws")) == nil)
        }
    }

    /// Reads all of a workspace as scoring and serving do; the error's text, if any.
    private func useEverything(_ folder: String) -> String? {
        do throws(EngineError) {
            let workspace = try Workspace(folder: folder, access: .reading)
            _ = try workspace.history()
            _ = try workspace.modelCards()
            if let location = try Workspace.currentSnapshot(folder) {
                _ = try ServingSnapshot(location)
            }
            return nil
        } catch {
            return error.description
        }
    }

    @Test func pruneKeepsWhatIsServed() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, purchases: purchases())
            _ = try workspace.ingest()
            for _ in 0..<3 {
                _ = try workspace.train(threadCount: 1)
                _ = try workspace.score(threadCount: 1)
                try workspace.publish()
            }
            try folder.write("left by a crash", as: "ws/models/stray.arr")
            let summary = try workspace.prune()
            #expect(summary.removed.contains("snapshots/gen-000001"))
            #expect(summary.removed.contains("models/stray.arr"))
            #expect(workspace.manifest.generations.map(\.number) == [3])
            #expect(useEverything(folder.sub("ws")) == nil)
            #expect(try workspace.prune().removed.isEmpty)
        }
    }
}
