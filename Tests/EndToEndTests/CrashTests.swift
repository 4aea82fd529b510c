import ColumnStore
import Engine
import Foundation
import Ingest
import Numerical
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Kills or signals the program before every step that it takes on the file system, and looks at what is left.
///
/// The steps are counted and the crashes made by `Tests/CrashPoints/crash_points.c`, built here with
/// the compiler that Swift comes with.
@Suite struct CrashTests {
    /// The preloaded library; nil where this machine cannot build or use it.
    static let library: String? = {
        #if os(Linux)
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("CrashPoints/crash_points.c")
        // Beside the tests: a file for every run would stay behind in the temporary folder.
        let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        let target = folder.sub("crash-points.so")
        let fresh = "\(target).\(ProcessInfo.processInfo.processIdentifier)"
        let compiler = Process()
        compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        compiler.arguments = [
            "clang", "-O1", "-shared", "-fPIC", "-o", fresh, source.path, "-ldl",
            "-lpthread",
        ]
        guard (try? compiler.run()) != nil else { return nil }
        compiler.waitUntilExit()
        // Another run's programs may have the earlier one loaded.
        guard compiler.terminationStatus == 0, rename(fresh, target) == 0 else { return nil }
        return target
        #else
        return nil
        #endif
    }()

    /// Why the crashes cannot be made here; nil where they can.
    static var obstacle: String? {
        if Program.path == nil { return "the program is not beside the tests" }
        // The sanitizer's own library must be the first one loaded.
        if ProcessInfo.processInfo.environment["ASAN_OPTIONS"] != nil { return "sanitized" }
        return library == nil ? "no clang, or no Linux" : nil
    }

    /// One command, killed or signalled at every step.
    private struct Crashes {
        let folder: URL
        let arguments: [String]
        var losesPower = false
        var hasLinks = true
        /// Nil: it is killed.
        var signal: Int32?
        var workspace: String { folder.sub("ws") }

        /// Runs the command in the folder's workspace.
        /// - Parameter step: where it is killed; nil: nowhere.
        /// - Returns: how it ended, and the steps it took where it was not killed.
        func run(killedAt step: Int?) throws -> (killed: Bool, code: Int32, stepCount: Int) {
            let process = Process()
            // A shell that runs the tests in the background ignores SIGINT for all of them.
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments =
                ["--default-signal=INT,TERM", try #require(Program.path)] + arguments
            process.currentDirectoryURL = folder
            var environment = ProcessInfo.processInfo.environment
            environment["LD_PRELOAD"] = CrashTests.library
            environment["CRASH_ROOT"] =
                URL(fileURLWithPath: workspace).resolvingSymlinksInPath()
                .path
            environment["CRASH_POWER"] = losesPower ? "1" : "0"
            environment["CRASH_LINKS"] = hasLinks ? "1" : "0"
            environment["CRASH_COUNT"] = folder.sub("steps")
            environment["CRASH_AT"] = step.map { String($0) }
            environment["CRASH_SIGNAL"] = signal.map { String($0) }
            process.environment = environment
            let errors = folder.sub("errors")
            _ = FileManager.default.createFile(atPath: errors, contents: nil)
            process.standardOutput = FileHandle.nullDevice
            process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: errors))
            try process.run()
            process.waitUntilExit()
            if process.terminationReason == .uncaughtSignal {
                #expect(process.terminationStatus == signal ?? SIGKILL)
                return (true, process.terminationStatus, 0)
            }
            let text = try String(contentsOfFile: folder.sub("steps"), encoding: .utf8)
            let count = try #require(Int(text.trimmingCharacters(in: .newlines)))
            return (false, process.terminationStatus, count)
        }

        private func copy(_ source: String, _ target: String) throws {
            try? FileManager.default.removeItem(atPath: target)
            try FileManager.default.copyItem(atPath: source, toPath: target)
        }

        /// After every crash the workspace is whole, and in the state before or after the command;
        /// the same command then finishes, and prune leaves nothing over.
        /// - Parameter alsoCheck: is called after every crash.
        func checkAll(alsoCheck: (Workspace) throws -> Void = { _ in }) throws {
            let base = folder.sub("base")
            try copy(workspace, base)
            defer { try? FileManager.default.removeItem(atPath: base) }
            let before = try Workspace(folder: base, access: .reading).manifest
            let whole = try run(killedAt: nil)
            #expect(whole.code == 0)
            #expect(whole.stepCount > 3)
            let after = try Workspace(folder: workspace, access: .reading).manifest
            let done = folder.sub("done")
            try copy(workspace, done)
            defer { try? FileManager.default.removeItem(atPath: done) }
            for step in 1...whole.stepCount {
                try copy(base, workspace)
                let comment = "\(arguments[0]), step \(step) of \(whole.stepCount)"
                let outcome = try run(killedAt: step)
                let left = try Workspace(folder: workspace, access: .reading)
                let report = left.verify()
                #expect(report.problems == [], "\(comment)")
                if signal == nil {
                    #expect(outcome.killed, "\(comment)")
                } else {
                    // It may have been done before the signal was answered.
                    #expect(outcome.killed || outcome.code == 0, "\(comment)")
                    #expect(report.unnamed == [], "\(comment)")
                }
                let isAfter = left.manifest.revision == after.revision
                if isAfter {
                    #expect(left.manifest.currentGeneration == after.currentGeneration)
                } else if left.manifest.revision > before.revision {
                    // An ingest is there before segments are merged.
                    #expect(left.manifest.sources == after.sources, "\(comment)")
                } else {
                    #expect(left.manifest == before, "\(comment)")
                    #expect(try run(killedAt: nil).code == 0, "\(comment)")
                }
                let mended = try Workspace(folder: workspace, access: .writing)
                _ = try mended.prune()
                try alsoCheck(mended)
                let last = mended.verify()
                #expect(last.problems == [] && last.unnamed == [], "\(comment)")
            }
            // The next command finds what this one leaves, before any prune.
            try copy(done, workspace)
        }
    }

    @Test(
        .disabled(if: CrashTests.obstacle != nil, "\(CrashTests.obstacle ?? "")"),
        arguments: [false, true])
    func everyCrashLeavesThePreviousOrTheNextState(losesPower: Bool) throws {
        try withTemporaryFolder { folder in
            try publishRetailer(folder)
            let more = try purchaseFile(0..<199, folder, as: "more.csv")
            for arguments in [
                ["ingest", "ws", "--purchases", more],
                ["train", "ws", "--only", "lifetime", "--threads", "1"],
                ["score", "ws", "--threads", "1"],
                ["publish", "ws"],
                ["prune", "ws"],
            ] {
                try Crashes(folder: folder, arguments: arguments, losesPower: losesPower)
                    .checkAll()
            }
        }
    }

    /// A signal that can be answered leaves no file besides that nothing names.
    @Test(
        .disabled(if: CrashTests.obstacle != nil, "\(CrashTests.obstacle ?? "")"),
        arguments: [SIGINT, SIGTERM])
    func everySignalLeavesNothing(number: Int32) throws {
        try withTemporaryFolder { folder in
            try publishRetailer(folder)
            let more = try purchaseFile(0..<199, folder, as: "more.csv")
            for arguments in [
                ["ingest", "ws", "--purchases", more], ["train", "ws", "--threads", "1"],
                ["score", "ws", "--threads", "1"],
            ] {
                try Crashes(folder: folder, arguments: arguments, signal: number).checkAll()
            }
        }
    }

    /// Where the file system has no hard links, files that generations share are copied.
    @Test(.disabled(if: CrashTests.obstacle != nil, "\(CrashTests.obstacle ?? "")"))
    func everyCrashWithoutHardLinks() throws {
        try withTemporaryFolder { folder in
            try publishRetailer(folder)
            func nameCount(_ generation: Int) throws -> Int? {
                let name = SnapshotWriter.folderName(generation: generation)
                let path = folder.sub("ws/snapshots/\(name)/affinity.arr")
                return try FileManager.default.attributesOfItem(atPath: path)[.referenceCount]
                    as? Int
            }
            #expect(try nameCount(2) == 2)
            try Crashes(
                folder: folder, arguments: ["score", "ws", "--threads", "1"], hasLinks: false
            ).checkAll()
            #expect(try nameCount(3) == 1)
            let changed = folder.sub(
                "ws/snapshots/\(SnapshotWriter.folderName(generation: 3))/affinity-changed.arr")
            #expect(FileManager.default.fileExists(atPath: changed))
            let workspace = try Workspace(folder: folder.sub("ws"), access: .writing)
            #expect(try workspace.publish() == 3)
        }
    }

    /// The eighth small ingest merges the segments of all eight.
    @Test(
        .disabled(if: CrashTests.obstacle != nil, "\(CrashTests.obstacle ?? "")"),
        arguments: [false, true])
    func everyCrashWhileSegmentsAreMerged(losesPower: Bool) throws {
        try withTemporaryFolder { folder in
            let last = try ingestRetailer(folder, deliveries: 7, of: 50) { workspace in
                #expect(workspace.manifest.purchaseSegments.count == 8)
            }
            try Crashes(
                folder: folder, arguments: ["ingest", "ws", "--purchases", last],
                losesPower: losesPower
            ).checkAll()
            let workspace = try Workspace(folder: folder.sub("ws"), access: .reading)
            #expect(workspace.manifest.purchaseSegments.count == 2)
        }
    }

    /// The same with caches that know the eight: they are of use in the state before and after.
    @Test(
        .disabled(if: CrashTests.obstacle != nil, "\(CrashTests.obstacle ?? "")"),
        arguments: [false, true])
    func cachesOutliveEveryCrashWhileSegmentsAreMerged(losesPower: Bool) throws {
        try withTemporaryFolder { folder in
            let last = try ingestRetailer(folder, deliveries: 8, of: 5, merging: false) {
                workspace in
                let asOf = try workspace.asOfDay(nil, threadCount: 1)
                _ = try workspace.features(asOf: asOf, usesCache: true, threadCount: 1)
            }
            try Crashes(
                folder: folder, arguments: ["ingest", "ws", "--purchases", last],
                losesPower: losesPower
            ).checkAll { workspace in
                let asOf = try workspace.asOfDay(nil, threadCount: 1)
                let computed = try Workspace(folder: folder.sub("ws"), access: .reading)
                    .features(asOf: asOf, threadCount: 1)
                var reports: [String] = []
                let carried = try workspace.features(
                    asOf: asOf, usesCache: true, threadCount: 1, report: { reports.append($0) })
                #expect(reports.contains { $0.contains("as they were on") }, "\(reports)")
                #expect(carried.columns == computed.columns)
                #expect(carried.history == computed.history)
            }
            let workspace = try Workspace(folder: folder.sub("ws"), access: .reading)
            #expect(workspace.manifest.purchaseSegments.count == 3)
        }
    }

    /// Live purchases are in the log or in the segments after every crash of the ingest that takes
    /// them over and of the prune that removes the log's files: none is lost, none is there twice.
    @Test(
        .disabled(if: CrashTests.obstacle != nil, "\(CrashTests.obstacle ?? "")"),
        arguments: [false, true])
    func everyCrashWhileLivePurchasesAreTakenOver(losesPower: Bool) throws {
        try withTemporaryFolder { folder in
            try publishRetailer(folder)
            let ws = folder.sub("ws")
            let more = try purchaseFile(0..<199, folder, as: "more.csv")
            let plan = try Workspace(folder: ws, access: .reading).plan
            let mapping = try #require(plan.sources.purchases?.mapping)
            let lines = try readPurchases(path: more, mapping: mapping, clock: plan.clock).lines
            let log = try LiveLog(workspace: ws, rotationByteCount: 4_000)
            for start in stride(from: 0, to: 190, by: 10) {
                let batch = lines.gather(Array(start..<start + 10))
                _ = try #require(log.append([LiveBatch(lines: batch)]).first).get()
            }
            let before = try Workspace(folder: ws, access: .reading).verify()
            #expect(before.problems == [] && before.liveLineCount == 190)
            let all = before.purchaseLineCount + 190
            for arguments in [
                ["ingest", "ws", "--live"], ["score", "ws", "--threads", "1"], ["publish", "ws"],
                ["prune", "ws"],
            ] {
                try Crashes(folder: folder, arguments: arguments, losesPower: losesPower)
                    .checkAll { workspace in
                        let report = workspace.verify()
                        #expect(report.purchaseLineCount + report.liveLineCount == all)
                        #expect(workspace.livePosition.sequence == 19)
                    }
            }
            // A server goes on with what is left of the log.
            #expect(LogFormat.fileNumbers(in: Workspace.liveFolder(ws)).count == 1)
            withExtendedLifetime(log) {}
        }
    }

    /// An erasure is applied whole or not at all, and what is left of the customers goes with the prune.
    @Test(
        .disabled(if: CrashTests.obstacle != nil, "\(CrashTests.obstacle ?? "")"),
        arguments: [false, true])
    func everyCrashWhileCustomersAreErased(losesPower: Bool) throws {
        try withTemporaryFolder { folder in
            try publishRetailer(folder)
            let ws = folder.sub("ws")
            var gone: [Int64] = []
            do {
                let location = try #require(try Workspace.currentSnapshot(ws))
                let snapshot = try ServingSnapshot(location)
                for row in [0, 17, snapshot.customerCount - 1] {
                    if case .integer(let id) = snapshot.customers[row] { gone.append(id) }
                }
            }
            #expect(gone.count == 3)
            _ = try Workspace.erase(
                .integers(gone), key: LogKey(first: 1, second: 2), time: 1_800_000_000, in: ws)
            for arguments in [
                ["ingest", "ws", "--live"], ["train", "ws", "--threads", "1"],
                ["score", "ws", "--threads", "1"], ["publish", "ws"], ["prune", "ws"],
            ] {
                // In between only what an erasure does otherwise.
                if ["train", "score"].contains(arguments[0]) {
                    let step = try Program.run(arguments, in: folder)
                    #expect(step.code == 0, "\(step.errors)")
                    continue
                }
                try Crashes(folder: folder, arguments: arguments, losesPower: losesPower)
                    .checkAll { workspace in
                        let applied = try #require(workspace.manifest.erasures)
                        #expect(applied.count == 1 && applied[0].customerCount == 3)
                        #expect(applied[0].lineCount > 0 && applied[0].stayCount > 0)
                        for id in gone {
                            #expect(try workspace.segmentStays(ofCustomer: .integer(id)) == [])
                        }
                    }
            }
            let workspace = try Workspace(folder: ws, access: .reading)
            #expect(try workspace.erasureProgress(record: 0).step == .complete)
        }
    }

    /// A workspace with two generations, not open any more: its lock is free.
    private func publishRetailer(_ folder: URL) throws {
        let workspace = try makeRetailer(folder, customers: 300)
        _ = try workspace.train(threadCount: 1)
        for _ in 0..<2 {
            _ = try workspace.score(threadCount: 1)
            try workspace.publish()
        }
    }

    /// Some lines of a generated retailer as a file of their own.
    private func purchaseFile(_ lines: Range<Int>, _ folder: URL, as name: String) throws -> String
    {
        let text = try String(contentsOfFile: folder.sub("data/purchases.csv"), encoding: .utf8)
        let all = text.split(separator: "\n")
        let part = all[..<1] + all[(1 + lines.lowerBound)..<(1 + lines.upperBound)]
        return try folder.write(part.joined(separator: "\n"), as: name)
    }

    /// A retailer of whom lines are delivered once more, `count` at a time.
    /// - Parameter body: gets the workspace, which is not open any more afterwards.
    /// - Returns: the file of one more delivery.
    private func ingestRetailer(
        _ folder: URL, deliveries: Int, of count: Int, merging: Bool = true,
        _ body: (Workspace) throws -> Void
    ) throws -> String {
        let workspace = try makeRetailer(folder, customers: 300)
        let files = try (0...deliveries).map { index in
            try purchaseFile(
                index * count..<(index + 1) * count, folder, as: "\(index).csv")
        }
        for file in files.dropLast() {
            _ = try workspace.ingest(IngestFiles(purchases: [file]), merging: merging)
        }
        try body(workspace)
        return files[deliveries]
    }

    @Test func verifySaysWhatIsDamagedAndWhere() throws {
        try withTemporaryFolder { folder in
            try publishRetailer(folder)
            let ws = folder.appendingPathComponent("ws")
            func report() throws -> VerifyReport {
                try Workspace(folder: ws.path, access: .reading).verify()
            }
            let sound = try report()
            #expect(sound.problems == [] && sound.unnamed == [])
            #expect(sound.customerCount > 250 && sound.purchaseLineCount > 3_000)
            try ws.write("x", as: "models/.old.arr.1.1.tmp")
            #expect(try report().unnamed == ["models/.old.arr.1.1.tmp"])

            let files = try FileManager.default.subpathsOfDirectory(atPath: ws.path).filter {
                $0.hasSuffix(".seg") || $0.hasSuffix(".arr") || $0.hasSuffix(".json")
                    || $0.hasSuffix("SNAPSHOT")
            }
            #expect(files.count > 10)
            var random = SeededRandom(seed: 31)
            for file in files {
                let path = ws.sub(file)
                let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
                for kind in 0..<3 {
                    var damaged = bytes
                    switch kind {
                    case 0: damaged[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
                    case 1: damaged.removeLast(1 + random.below(bytes.count))
                    default: damaged.append(0)
                    }
                    try Data(damaged).write(to: URL(fileURLWithPath: path))
                    let found = try report()
                    let problems = file.hasPrefix("cache/") ? found.damagedCaches : found.problems
                    let part = file.split(separator: "/").prefix(2).joined(separator: "/")
                    #expect(!problems.isEmpty, "\(file), kind \(kind)")
                    // The first generation's affinity file is the second's too.
                    let isShared = file.hasSuffix("/affinity.arr") && part.hasPrefix("snapshots/")
                    #expect(
                        problems.allSatisfy {
                            file.hasPrefix($0.file) || isShared && $0.file.hasPrefix("snapshots/")
                        }, "\(part) \(problems)")
                }
                // Before the name goes: the file may have another.
                try Data(bytes).write(to: URL(fileURLWithPath: path))
                try FileManager.default.removeItem(atPath: path)
                // A workspace without a cache is whole.
                #expect(
                    try report().problems.isEmpty == file.hasPrefix("cache/"), "\(file) removed")
                try Data(bytes).write(to: URL(fileURLWithPath: path))
            }
            #expect(try report().problems == [])
        }
    }

    @Test(.disabled(if: Program.path == nil, "the program is not beside the tests"))
    func theCommandSaysItToo() throws {
        try withTemporaryFolder { folder in
            try publishRetailer(folder)
            let sound = try Program.run(["verify", "ws"], in: folder)
            #expect(sound.code == 0 && sound.output.contains("all sound"))
            let names = try FileManager.default.contentsOfDirectory(
                atPath: folder.sub("ws/purchases"))
            let path = folder.sub("ws/purchases/\(try #require(names.first))")
            var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
            bytes[5_000] ^= 4
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            let damaged = try Program.run(["verify", "ws"], in: folder)
            #expect(damaged.code == 65)
            #expect(damaged.output.contains("DAMAGED purchases/"))
            #expect(damaged.errors.contains("problem"))
        }
    }
}
