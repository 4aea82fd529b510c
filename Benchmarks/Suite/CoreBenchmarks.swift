package import Lab
import Models
import Numerical

/// The benchmarks of the SIMD core: k-means, matrix factorization, top-N, each with its result's
/// hash, so that a faster wrong answer shows.
///
/// Goals: fixed inputs, fixed seeds, the time of warm runs with their spread, the share of the limit
/// that the machine sets. Not goals: comparisons with other software (Benchmarks/peers) and limits
/// on time in tests.
package struct CoreBenchmarks {
    /// One operation on the inputs.
    package struct Benchmark {
        package let name: String
        let run: (LabSetting) throws -> LabReport
    }

    package let benchmarks: [Benchmark]

    /// - Parameter folder: exists; the inputs are written there.
    package init(folder: String, size: BenchmarkSize) throws {
        let inputs = try CoreInputs(folder: folder, size: size)
        benchmarks =
            Self.kMeans(inputs, size) + Self.factorizations(inputs) + Self.topLists(inputs)
    }

    /// - Returns: what `patron lab` would report: seconds of every run, rate, hash.
    package func run(_ benchmark: Benchmark, _ setting: LabSetting) throws -> LabReport {
        try benchmark.run(setting)
    }

    /// One line: median and range of the seconds, rate and share of the limit, hash.
    package static func summary(_ report: LabReport) -> String {
        let key = report["fit_seconds"] == nil ? "seconds" : "fit_seconds"
        var samples: [Double] = []
        if case .numbers(let values) = report["\(key)_samples"] { samples = values }
        func shown(_ value: Double?, _ scale: Double, _ digits: Int) -> String {
            guard let value else { return "-" }
            let power = (0..<digits).reduce(1.0) { result, _ in result * 10 }
            return String((value * scale * power).rounded() / power)
        }
        var line =
            "\(shown(report.number(key), 1e3, 2)) ms (\(shown(samples.min(), 1e3, 2)) to "
            + "\(shown(samples.max(), 1e3, 2)), \(samples.count) runs)"
        if let rate = report.number("gflops") { line += ", \(shown(rate, 1, 1)) GF/s" }
        if let share = report.number("limit_share"), case .text(let limit) = report["limit"] {
            line += ", \(shown(share, 100, 0)) % of \(limit)"
        }
        if case .text(let hash) = report["hash"] { line += ", hash \(hash)" }
        return line
    }

    private static func kMeans(_ inputs: CoreInputs, _ size: BenchmarkSize) -> [Benchmark] {
        var list: [Benchmark] = []
        for (features, clusters) in zip([16, 32, 16], size.clusterCounts) {
            for algorithm in KMeans.Algorithm.allCases {
                list.append(
                    Benchmark(
                        name: "k-means, \(features) features, k = \(clusters), \(algorithm)"
                    ) { setting in
                        var options = KMeansLab.Options(
                            pointsPath: inputs.path("points\(features)"), clusterCount: clusters,
                            iterations: 20)
                        options.algorithm = algorithm
                        return try KMeansLab.run(options, setting)
                    })
            }
        }
        return list
    }

    private static func factorizations(_ inputs: CoreInputs) -> [Benchmark] {
        ALSLab.Solver.allCases.flatMap { solver in
            [32, 64, 128].map { factors in
                Benchmark(name: "ALS, \(factors) factors, \(solver)") { setting in
                    var options = ALSLab.Options(
                        offsetsPath: inputs.path("indptr"), indicesPath: inputs.path("indices"),
                        valuesPath: inputs.path("data"), iterations: 2)
                    options.factorCount = factors
                    options.solver = solver
                    return try ALSLab.run(options, setting)
                }
            }
        }
    }

    private static func topLists(_ inputs: CoreInputs) -> [Benchmark] {
        [false, true].map { excludes in
            Benchmark(name: "top 10, 64 factors\(excludes ? ", with exclusions" : "")") { setting in
                var options = TopNLab.Options(
                    usersPath: inputs.path("users"), itemsPath: inputs.path("items"))
                if excludes {
                    options.excludedOffsetsPath = inputs.path("seen-indptr")
                    options.excludedIndicesPath = inputs.path("seen-indices")
                }
                return try TopNLab.run(options, setting)
            }
        }
    }
}
