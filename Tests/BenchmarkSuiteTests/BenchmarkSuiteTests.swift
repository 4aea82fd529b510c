import BenchmarkSuite
import Foundation
import Lab
import Numerical
import TestSupport
import Testing

/// The benchmarks at their smoke size: every one runs at every level, and what it gives depends on
/// nothing but its inputs.
@Suite struct BenchmarkSuiteTests {
    private func hash(_ report: LabReport) throws -> String {
        guard case .text(let hash) = report["hash"] else {
            throw MissingHash()
        }
        return hash
    }

    private struct MissingHash: Error {}

    @Test(arguments: ISALevel.available) func smoke(level: ISALevel) throws {
        try withTemporaryFolder { folder in
            let suite = try CoreBenchmarks(folder: folder.path, size: .smoke)
            var hashes: [String: String] = [:]
            for benchmark in suite.benchmarks {
                let one = try suite.run(benchmark, LabSetting(threadCount: 1, level: level))
                let three = try suite.run(benchmark, LabSetting(threadCount: 3, level: level))
                let value = try hash(one)
                #expect(value == (try hash(three)), "\(benchmark.name): threads change the result")
                hashes[benchmark.name] = value
                print("\(level) \(benchmark.name): \(CoreBenchmarks.summary(one))")
            }
            for (name, value) in hashes where name.hasSuffix("lloyd") {
                let stem = name.dropLast("lloyd".count)
                #expect(hashes[stem + "bounded"] == value, "\(name): bounds change the result")
                #expect(hashes[stem + "auto"] == value, "\(name): the choice changes the result")
            }
            #expect(Set(hashes.values).count > hashes.count / 2, "results do not differ: \(hashes)")
        }
    }
}
