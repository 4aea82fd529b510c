import ColumnStore
import Engine
import Features
import Foundation
import Ingest
import Numerical
import TestSupport
import Testing
import Units

/// Purchases that are sorted in parts and merged, and segments that are merged later, are what one
/// sort of all would have been.
@Suite struct OutOfCoreTests {
    private func plan(_ idType: String) -> String {
        """
        version: 1
        sources:
          purchases:
            files: []
            columns:
              customerID: {column: customer, type: \(idType)}
              time: time
              amount: amount
              margin: margin
              quantity: quantity
              orderID: order
              product: product
              category: category
              channel: channel
        segmentations:
          value: {features: [revenue, orderCount], clusterCount: 3}
        """
    }

    /// Lines of few days, so that many have one customer and time; the order tells them apart.
    private func lines(_ count: Int, seed: UInt64, idType: String) -> String {
        var random = SeededRandom(seed: seed)
        var text = "customer,time,amount,margin,quantity,order,product,category,channel\n"
        for line in 0..<count {
            let customer = random.below(count / 8 + 1) * 7_919 % 100_003
            let day = CalendarDay(daysSince1970: 19_000 + random.below(300))
            let product = random.below(300)
            let amount = random.below(9_000)
            text += idType == "text" ? "customer-\(customer)," : "\(customer),"
            text += "\(day),\(amount).25,\(amount / 3).5,\(1 + random.below(4)),"
            text += random.below(9) == 0 ? "," : "o\(seed)-\(line / 3),"
            text += random.below(50) == 0 ? "," : "p\(product),"
            text += "c\(product % 17),\(["web", "shop", "phone"][random.below(3)])\n"
        }
        return text
    }

    @Test(arguments: ["integer", "text"])
    func totalsAreThoseOfTheLines(idType: String) throws {
        try withTemporaryFolder { folder in
            let workspace = try newWorkspace(folder, "totals", idType: idType)
            for part in 0..<2 {
                let path = try folder.write(
                    lines(20_000, seed: UInt64(part), idType: idType), as: "totals\(part).csv")
                _ = try workspace.ingest(IngestFiles(purchases: [path]))
            }
            let history = try workspace.history()
            let totals = try workspace.customerTotals(threadCount: 2)
            #expect(totals.customerIDs == history.customerIDs)
            for row in 0..<history.customerCount {
                let own = history.lines(ofCustomer: row)
                let days = Set(own.map { history.times[$0] / 86_400 })
                #expect(Int(totals.laterDayCounts[row]) == days.count - 1)
                #expect(totals.firstTimes[row] == own.map { history.times[$0] }.min())
                #expect(totals.lastTimes[row] == own.map { history.times[$0] }.max())
                #expect(totals.amounts[row] == own.reduce(0) { $0 + history.amounts[$1] })
                let margins = try #require(history.margins)
                #expect(totals.margins[row] == own.reduce(0) { $0 + margins[$1] })
            }
        }
    }

    private func newWorkspace(
        _ folder: URL, _ name: String, idType: String = "integer"
    ) throws -> Workspace {
        let path = try folder.write(plan(idType), as: "\(name).yaml")
        try Workspace.create(folder: folder.sub(name), planPath: path)
        return try Workspace(folder: folder.sub(name), access: .writing)
    }

    private func files(_ workspace: Workspace) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(workspace.folder)/purchases")
            .sorted()
    }

    private func bytes(_ workspace: Workspace) throws -> [Data] {
        try workspace.manifest.purchaseSegments.map {
            try Data(contentsOf: URL(fileURLWithPath: "\(workspace.folder)/\($0.file)"))
        }
    }

    /// Little memory: runs of a piece of the file each, merged few at a time.
    private func scarce(runs: Int, chunkLineCount: Int = 7_000) -> IngestMemory {
        var memory = IngestMemory(byteCount: IngestMemory.least)
        memory.mostRunLines = 1
        memory.mostRuns = runs
        memory.mostChunkLines = chunkLineCount
        return memory
    }

    @Test(arguments: [("integer", 200_000), ("text", 70_000)])
    func theFileIsTheSameForAnyMemoryAndThreads(idType: String, lineCount: Int) throws {
        try withTemporaryFolder { folder in
            let text = lines(lineCount, seed: 5, idType: idType)
            let path = try folder.write(text, as: "purchases.csv")
            #expect(text.utf8.count > 3 << 20)
            var expected: [Data]?
            var segment: Manifest.Segment?
            let cases: [(IngestMemory, Int)] = [
                (IngestMemory(byteCount: 1 << 30), 1), (IngestMemory(byteCount: 1 << 30), 3),
                (scarce(runs: 100), 1), (scarce(runs: 100), 4), (scarce(runs: 2), 2),
                (scarce(runs: 3, chunkLineCount: 1), 2),
            ]
            for (index, (memory, threadCount)) in cases.enumerated() {
                let workspace = try newWorkspace(folder, "ws\(index)", idType: idType)
                var messages: [String] = []
                let summary = try workspace.ingest(
                    IngestFiles(purchases: [path]), memory: memory, threadCount: threadCount,
                    report: { messages.append($0) })
                #expect(summary.reports[0].acceptedCount == lineCount)
                // At once, or in runs; of these, in one pass or, where few are merged at once, more.
                let runCount = messages.compactMap(Self.mergedRunCount).max() ?? 1
                let leastRunCount = index < 2 ? 1 : memory.mostRuns < 100 ? memory.mostRuns + 1 : 2
                #expect(runCount >= leastRunCount, "case \(index): \(messages)")
                #expect((runCount == 1) == (index < 2), "case \(index): \(messages)")
                #expect(try files(workspace) == ["000001.seg"], "case \(index)")
                let found = try bytes(workspace)
                #expect(found == expected ?? found, "case \(index)")
                let entry = workspace.manifest.purchaseSegments.first
                #expect(entry == segment ?? entry, "case \(index)")
                #expect(workspace.verify().problems == [], "case \(index)")
                expected = expected ?? found
                segment = segment ?? entry
            }
        }
    }

    /// The runs that a message of an ingest says are merged.
    private static func mergedRunCount(_ message: String) -> Int? {
        let words = message.split(separator: " ")
        guard words.count > 2, words[0] == "merging", words[2] == "runs" else { return nil }
        return Int(words[1])
    }

    /// Segments that cannot be merged are no reason to lose what was ingested.
    @Test func aMergeThatFailsLeavesTheSegments() throws {
        try withTemporaryFolder { folder in
            let workspace = try newWorkspace(folder, "ws")
            func ingest(_ index: Int) throws -> IngestSummary {
                let text = lines(300, seed: UInt64(index), idType: "integer")
                let path = try folder.write(text, as: "\(index).csv")
                return try workspace.ingest(IngestFiles(purchases: [path]))
            }
            for index in 0..<7 { #expect(try ingest(index).compactionProblem == nil) }
            let damaged = "\(workspace.folder)/purchases/000004.seg"
            let sound = try Data(contentsOf: URL(fileURLWithPath: damaged))
            var bytes = [UInt8](sound)
            bytes[100] ^= 1
            try Data(bytes).write(to: URL(fileURLWithPath: damaged))
            let summary = try ingest(7)
            #expect(summary.compaction == nil)
            let problem = try #require(summary.compactionProblem)
            #expect(problem.contains("purchases/000004.seg"), "\(problem)")
            #expect(
                workspace.manifest.purchaseSegments.map(\.rowCount)
                    == [Int](repeating: 300, count: 8))
            #expect(try files(workspace).count == 8)
            try sound.write(to: URL(fileURLWithPath: damaged))
            #expect(workspace.verify().problems == [] && workspace.verify().unnamed == [])
            // The next one finds them, with its own.
            #expect(try ingest(8).compaction?.before == 9)
            #expect(workspace.manifest.purchaseSegments.map(\.rowCount) == [2_400, 300])
        }
    }

    @Test func compactionChangesNoResult() throws {
        try withTemporaryFolder { folder in
            let paths = try (0..<9).map { index in
                try folder.write(
                    lines(index == 4 ? 9_000 : 2_000, seed: UInt64(index), idType: "integer"),
                    as: "\(index).csv")
            }
            let workspace = try newWorkspace(folder, "ws")
            for path in paths {
                let summary = try workspace.ingest(
                    IngestFiles(purchases: [path]), merging: false)
                #expect(summary.compaction == nil)
            }
            #expect(workspace.manifest.purchaseSegments.count == 9)
            func results(_ name: String) throws -> (String, [ModelCard]) {
                _ = try workspace.train(threadCount: 2)
                _ = try workspace.score(csvPath: folder.sub(name), threadCount: 2)
                let text = try String(contentsOfFile: folder.sub(name), encoding: .utf8)
                return (text, try workspace.modelCards())
            }
            let (before, cards) = try results("before.csv")
            let reader = try Workspace(folder: workspace.folder, access: .reading)
            let lateReader = try Workspace(folder: workspace.folder, access: .reading)
            let whole = try reader.history()
            let sources = workspace.manifest.sources
            let revision = workspace.manifest.revision
            let summary = try #require(
                try workspace.compact(memory: scarce(runs: 3), threadCount: 2))
            #expect(summary.before == 9 && summary.after == 2 && summary.lineCount == 23_000)
            #expect(workspace.manifest.revision == revision + 1)
            #expect(workspace.manifest.sources == sources)
            #expect(try workspace.compact(memory: scarce(runs: 3), threadCount: 2) == nil)

            // Whoever has the old files goes on with them; a prune drops them.
            #expect(try files(workspace).count == 10)
            #expect(try reader.history().amounts == whole.amounts)
            #expect(try workspace.prune().removed.count { $0.hasPrefix("purchases/") } == 8)
            #expect(try reader.history().amounts == whole.amounts)
            // Who only looked before opens the new ones instead.
            #expect(try lateReader.history().amounts == whole.amounts)
            #expect(lateReader.manifest == workspace.manifest)
            let merged = try Workspace(folder: workspace.folder, access: .reading).history()
            #expect(merged.customerIDs == whole.customerIDs && merged.times == whole.times)
            #expect(merged.amounts == whole.amounts && merged.products == whole.products)
            #expect(workspace.verify().problems == [] && workspace.verify().unnamed == [])

            let (after, newCards) = try results("after.csv")
            #expect(after == before)
            #expect(
                newCards.filter { $0.version == 2 }.map(\.diagnostics) == cards.map(\.diagnostics))
            #expect(throws: EngineError.alreadyIngested(path: paths[3], earlier: paths[3])) {
                try workspace.ingest(IngestFiles(purchases: [paths[3]]))
            }
        }
    }

    /// Every ingest adds a segment; the eighth of a size makes one of all.
    @Test func ingestMergesWhatHasBecomeMany() throws {
        try withTemporaryFolder { folder in
            let workspace = try newWorkspace(folder, "ws")
            var merged: [Int] = []
            for index in 0..<17 {
                let path = try folder.write(
                    lines(300, seed: UInt64(index), idType: "integer"), as: "\(index).csv")
                let summary = try workspace.ingest(IngestFiles(purchases: [path]))
                if let compaction = summary.compaction {
                    merged.append(index)
                    #expect(compaction.before == compaction.after + 7)
                }
            }
            #expect(merged == [7, 15])
            #expect(workspace.manifest.purchaseSegments.map(\.rowCount) == [2_400, 2_400, 300])
            #expect(workspace.verify().problems == [])
        }
    }

    /// A second file that cannot be used takes the first one with it.
    @Test func aFailedIngestLeavesNothing() throws {
        try withTemporaryFolder { folder in
            let good = try folder.write(lines(70_000, seed: 1, idType: "integer"), as: "good.csv")
            var text = lines(70_000, seed: 2, idType: "integer")
            text += String(repeating: "x,y,z,,,,,,\n", count: 40_000)
            let bad = try folder.write(text, as: "bad.csv")
            let workspace = try newWorkspace(folder, "ws")
            let before = workspace.manifest
            #expect(throws: EngineError.self) {
                try workspace.ingest(
                    IngestFiles(purchases: [good, bad]), memory: scarce(runs: 2), threadCount: 2)
            }
            #expect(try files(workspace) == [])
            #expect(workspace.manifest == before)
            _ = try workspace.ingest(
                IngestFiles(purchases: [good]), memory: scarce(runs: 2), threadCount: 2)
            #expect(try files(workspace) == ["000001.seg"])
        }
    }

    /// The folder is gone: the error names the file, and a later ingest works.
    @Test func aFolderThatCannotBeWritten() throws {
        try withTemporaryFolder { folder in
            let path = try folder.write(lines(100, seed: 1, idType: "integer"), as: "a.csv")
            let workspace = try newWorkspace(folder, "ws")
            let purchases = "\(workspace.folder)/purchases"
            try FileManager.default.removeItem(atPath: purchases)
            let error = #expect(throws: EngineError.self) {
                try workspace.ingest(IngestFiles(purchases: [path]))
            }
            #expect(error?.description.contains("purchases/000001.seg") ?? false)
            try FileManager.default.createDirectory(
                atPath: purchases, withIntermediateDirectories: false)
            _ = try workspace.ingest(IngestFiles(purchases: [path]))
            #expect(try files(workspace) == ["000001.seg"])
        }
    }

    @Test(.disabled(if: Program.path == nil, "the program is not beside the tests"))
    func aFileSizeLimitLeavesThePreviousState() throws {
        try withTemporaryFolder { folder in
            let first = try folder.write(lines(500, seed: 1, idType: "integer"), as: "first.csv")
            let more = try folder.write(lines(90_000, seed: 2, idType: "integer"), as: "more.csv")
            do {
                let workspace = try newWorkspace(folder, "ws")
                _ = try workspace.ingest(IngestFiles(purchases: [first]))
            }
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = [
                "-c", "ulimit -f 400 && exec \"$0\" ingest ws --purchases \"$1\"",
                try #require(Program.path), more,
            ]
            process.currentDirectoryURL = folder
            let pipe = Pipe()
            process.standardError = pipe
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            let errors = String(
                decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            #expect(process.terminationReason == .exit && process.terminationStatus == 74)
            #expect(errors.contains("purchases/000002.seg") && errors.contains("file-size limit"))
            let workspace = try Workspace(folder: folder.sub("ws"), access: .writing)
            #expect(try files(workspace) == ["000001.seg"])
            #expect(workspace.manifest.revision == 1)
            _ = try workspace.ingest(IngestFiles(purchases: [more]))
            #expect(try files(workspace) == ["000001.seg", "000002.seg"])
        }
    }

    /// On a file system of two megabytes, where this process may make one.
    @Test func aFullDiskLeavesThePreviousState() throws {
        try withTemporaryFolder { folder in
            let path = try folder.write(lines(200_000, seed: 3, idType: "integer"), as: "a.csv")
            let workspace = try newWorkspace(folder, "ws")
            func system(_ words: String...) throws -> Bool {
                let process = Process()
                process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
                process.arguments = words
                process.standardError = FileHandle.nullDevice
                try process.run()
                process.waitUntilExit()
                return process.terminationStatus == 0
            }
            let purchases = "\(workspace.folder)/purchases"
            guard try system("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", purchases) else {
                print("skipped: this process may not mount a file system")
                return
            }
            defer { _ = try? system("umount", purchases) }
            // All at once, and in runs.
            for memory in [IngestMemory(byteCount: 1 << 30), scarce(runs: 4)] {
                let error = #expect(throws: EngineError.self) {
                    try workspace.ingest(
                        IngestFiles(purchases: [path]), memory: memory, threadCount: 2)
                }
                let message = error?.description ?? ""
                #expect(message.contains("purchases/000001.seg"), "\(message)")
                #expect(message.contains("free some space"), "\(message)")
                #expect(try files(workspace) == [])
                #expect(workspace.manifest.revision == 0)
            }
        }
    }
}
