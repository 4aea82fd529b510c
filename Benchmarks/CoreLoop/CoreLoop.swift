import BenchmarkSuite
import Foundation
import Lab
import Numerical

/// Runs the benchmarks of the SIMD core and prints a line each: median seconds, spread, rate, share
/// of the machine's limit, hash of the result.
@main struct CoreLoop {
    static let usage = """
        usage: CoreLoop [--smoke] [--runs N] [--threads T] [--isa LEVEL] [--roofline FILE]
                        [--only TEXT] [--json]
        """

    private struct Options {
        var size = BenchmarkSize.full
        var runs = 8
        var threadCount = ProcessInfo.processInfo.activeProcessorCount
        var level: String?
        var roofline: String?
        var only = ""
        var isJSON = false

        init(_ arguments: [String]) throws {
            var rest = arguments[...]
            while let option = rest.popFirst() {
                switch option {
                case "--smoke": size = .smoke
                case "--json": isJSON = true
                case "--runs": runs = try Self.count(rest.popFirst())
                case "--threads": threadCount = try Self.count(rest.popFirst())
                case "--isa": level = rest.popFirst()
                case "--roofline": roofline = rest.popFirst()
                case "--only": only = rest.popFirst() ?? ""
                default: throw UsageError()
                }
            }
        }

        private static func count(_ text: String?) throws -> Int {
            guard let value = text.flatMap(Int.init), value >= 1 else { throw UsageError() }
            return value
        }
    }

    struct UsageError: Error, CustomStringConvertible {
        var description: String { CoreLoop.usage }
    }

    static func main() {
        do {
            try run(Options(Array(CommandLine.arguments.dropFirst())))
        } catch {
            FileHandle.standardError.write(Data("error: \(error)\n".utf8))
            exit(error is UsageError ? 64 : 1)
        }
    }

    private static func run(_ options: Options) throws {
        let level = try ISALevel.choose(forced: options.level ?? ISALevel.forcedByEnvironment)
        let setting = LabSetting(
            threadCount: options.threadCount, level: level, repeatCount: options.runs,
            rooflinePath: options.roofline)
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("core-loop-\(UUID().uuidString)", isDirectory: true)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let suite = try CoreBenchmarks(folder: folder.path, size: options.size)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        for benchmark in suite.benchmarks
        where options.only.isEmpty || benchmark.name.contains(options.only) {
            let report = try suite.run(benchmark, setting)
            if options.isJSON {
                let fields = String(decoding: try encoder.encode(report), as: UTF8.self)
                print("{\"benchmark\":\"\(benchmark.name)\",\"report\":\(fields)}")
            } else {
                print("\(benchmark.name): \(CoreBenchmarks.summary(report))")
            }
        }
    }
}
