import Foundation
import Lab
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What `patron` reads and writes: no file is lost, nothing hangs, nothing is left behind.
@Suite(.enabled(if: Program.path != nil, "patron is not built beside the tests"))
struct LabFileTests {
    private let kMeans = "lab kmeans --iterations 5 --clusters 2 --points"
    private let topN = "lab topn --users users.npy --items items.npy"

    private func writeArrays(_ folder: URL) throws {
        func save(_ values: [Float], _ shape: [Int], _ name: String) throws {
            try NumPyOutput(folder.sub(name)).write(values, shape: shape)
        }
        try save(
            (0..<80).map { (i: Int) -> Float in Float(i % 7 + i / 40 * 50) }, [40, 2], "x.npy")
        try save([1, 0, 0, 1], [2, 2], "users.npy")
        try save([1, 2, 3, 4], [2, 2], "items.npy")
    }

    private func run(_ command: String, in folder: URL) throws -> Program.Outcome {
        // An empty word is written as two quotes.
        let words = command.split(separator: " ").map { $0 == "''" ? "" : String($0) }
        return try Program.run(words, in: folder)
    }

    /// What is there, but for what the program printed.
    private func contents(_ folder: URL) throws -> [String: Data] {
        var contents: [String: Data] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path)
        where name != "stdout" && name != "stderr" {
            contents[name] = FileManager.default.contents(atPath: folder.sub(name)) ?? Data()
        }
        return contents
    }

    @Test func noFileIsWrittenThatIsRead() throws {
        try withTemporaryFolder { folder in
            try writeArrays(folder)
            let files = FileManager.default
            try files.linkItem(atPath: folder.sub("x.npy"), toPath: folder.sub("hard.npy"))
            try files.createSymbolicLink(
                atPath: folder.sub("link.npy"), withDestinationPath: folder.sub("x.npy"))
            try files.createDirectory(
                atPath: folder.sub("sub"), withIntermediateDirectories: false)
            try files.createSymbolicLink(
                atPath: folder.sub("here"), withDestinationPath: folder.path)
            let before = try contents(folder)
            let cases: [(command: String, words: String)] = [
                ("\(kMeans) x.npy --labels x.npy", "--labels: x.npy is the file that --points"),
                ("\(kMeans) x.npy --centroids ./x.npy", "--points reads"),
                ("\(kMeans) x.npy --centroids sub/../x.npy", "--points reads"),
                ("\(kMeans) x.npy --labels hard.npy", "--points reads"),
                ("\(kMeans) link.npy --labels x.npy", "--points reads"),
                ("\(kMeans) x.npy --labels here/x.npy", "--points reads"),
                ("\(kMeans) x.npy --labels a.npy --centroids a.npy", "--labels writes too"),
                ("\(kMeans) x.npy --labels a.npy --centroids here/a.npy", "--labels writes too"),
                ("\(kMeans) x.npy --roofline users.npy --labels users.npy", "--roofline reads"),
                ("\(topN) --ids items.npy", "--items reads"),
                ("\(topN) --ids a.npy --scores ./a.npy", "--ids writes too"),
                ("\(kMeans) x.npy --labels sub", "sub is a folder; name a new file"),
                ("\(kMeans) x.npy --labels here/", "here/ is a folder"),
                ("\(kMeans) x.npy --labels /dev/full", "not an ordinary file; name a new file"),
                ("\(kMeans) users.npy --labels link.npy", "link.npy is a symbolic link"),
                ("\(kMeans) x.npy --labels ''", "--labels: the path is empty"),
                ("\(kMeans) ''", "--points: the path is empty"),
            ]
            for (command, words) in cases {
                let outcome = try run(command, in: folder)
                #expect(outcome.code == 64, "\(command): \(outcome)")
                #expect(outcome.errors.contains(words), "\(command): \(outcome.errors)")
                #expect(outcome.output.isEmpty)
            }
            #expect(try contents(folder) == before)
        }
    }

    /// An output that cannot be finished leaves the others alone too.
    @Test func outputsAppearTogether() throws {
        try withTemporaryFolder { folder in
            try writeArrays(folder)
            let outcome = try run("\(topN) --ids ids.npy --scores none/s.npy", in: folder)
            #expect(outcome.code == 74)
            #expect(try contents(folder).keys.sorted() == ["items.npy", "users.npy", "x.npy"])
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aPipeIsRefusedAtOnce() throws {
        try withTemporaryFolder { folder in
            try writeArrays(folder)
            #expect(mkfifo(folder.sub("pipe"), 0o600) == 0)
            for command in [
                "\(kMeans) pipe", "\(kMeans) x.npy --init pipe", "\(kMeans) x.npy --roofline pipe",
                "lab topn --users users.npy --items pipe", "\(kMeans) .",
            ] {
                let outcome = try run(command, in: folder)
                #expect(outcome.code == 65, "\(command): \(outcome)")
                #expect(outcome.errors.contains("is not a regular file"), "\(outcome.errors)")
            }
        }
    }

    /// Ingesting still reads pipes: they need not be mapped.
    @Test(.timeLimit(.minutes(1)))
    func aPipeIsIngested() throws {
        try withTemporaryFolder { folder in
            try folder.write(barePlan, as: "patron.yaml")
            #expect(mkfifo(folder.sub("purchases.csv"), 0o600) == 0)
            #expect(try run("init ws --plan patron.yaml", in: folder).code == 0)
            let pipe = folder.sub("purchases.csv")
            let writer = Thread {
                let text = "customer,time,amount\na,2020-01-01,5\n"
                try? FileHandle(forWritingTo: URL(fileURLWithPath: pipe))
                    .write(contentsOf: Data(text.utf8))
            }
            writer.start()
            let outcome = try run("ingest ws", in: folder)
            #expect(outcome.code == 0 && outcome.output.contains("1 taken"), "\(outcome)")
        }
    }

    /// A run that is ended while its outputs are open leaves nothing, and says which signal it was.
    @Test(.timeLimit(.minutes(1)), arguments: [SIGINT, SIGTERM, SIGHUP])
    func aSignalLeavesNothing(number: Int32) throws {
        try withTemporaryFolder { folder in
            // Large enough to take minutes.
            let values = (0..<400_000).map { (i: Int) -> Float in Float(i * 7_919 % 1_009) }
            try NumPyOutput(folder.sub("x.npy")).write(values, shape: [50_000, 8])
            let before = try contents(folder)
            let process = Process()
            // A shell that runs the tests in the background ignores SIGINT for all of them.
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = [
                "--default-signal=INT,TERM,HUP", try #require(Program.path), "lab", "kmeans",
                "--points", "x.npy", "--clusters", "50", "--iterations", "100", "--repeat",
                "10000", "--labels", "l.npy", "--centroids", "c.npy",
            ]
            process.currentDirectoryURL = folder
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            func temporaries() throws -> [String] {
                try FileManager.default.contentsOfDirectory(atPath: folder.path)
                    .filter { $0.hasSuffix(".tmp") }
            }
            while process.isRunning, try temporaries().count < 2 { usleep(1_000) }
            kill(process.processIdentifier, number)
            process.waitUntilExit()
            #expect(process.terminationReason == .uncaughtSignal)
            #expect(process.terminationStatus == number)
            let after = try contents(folder)
            #expect(after.keys.sorted() == ["x.npy"] && after == before)
        }
    }

    /// What the options are, and what a reader can do, in the words of the command line.
    @Test func messages() throws {
        try withTemporaryFolder { folder in
            try writeArrays(folder)
            func save(_ values: [Float], _ shape: [Int], _ name: String) throws {
                try NumPyOutput(folder.sub(name)).write(values, shape: shape)
            }
            try save([], [5, 0], "flat.npy")
            try save(
                (0..<80).map { (i: Int) -> Float in Float(i % 5) * 1e-24 }, [40, 2], "tiny.npy")
            try save((0..<80).map { (i: Int) -> Float in Float(i % 5) * 1e-12 }, [40, 2], "s.npy")
            try NumPyOutput(folder.sub("p.npy")).write([0, 0] as [Int32], shape: [2])
            try NumPyOutput(folder.sub("none.npy")).write([] as [Int32], shape: [0])
            let als = """
                lab als --indptr p.npy --indices none.npy --data none.npy --factors 2 \
                --iterations 1 --regularization 0.1 --confidence
                """
            let cases: [(command: String, code: Int32, words: String)] = [
                ("\(als) 1", 65, "nothing to factorize"),
                ("\(als) 0 --regularization-exponent 0.5", 64, "--confidence above 0"),
                ("\(als) 1 --steps 3", 64, "--steps is of --solver cg"),
                ("\(kMeans) flat.npy", 65, "nothing to compare"),
                ("\(kMeans) x.npy --isa ''", 64, "--isa is empty"),
                ("\(kMeans) tiny.npy", 65, "scale the features"),
                ("lookup 1 --connect 127.0.0.1:1", 69, "127.0.0.1:1: nobody listens there"),
            ]
            for (command, code, words) in cases {
                let outcome = try run(command, in: folder)
                #expect(outcome.code == code, "\(command): \(outcome)")
                #expect(outcome.errors.contains(words), "\(command): \(outcome.errors)")
            }
            let small = try run("\(kMeans) s.npy", in: folder)
            let inertia = small.output.split(separator: "\n").first { $0.hasPrefix("inertia") }
            #expect(try #require(inertia, "\(small)").contains("e-2"))
        }
    }
}
