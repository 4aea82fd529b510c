package import Models
import Numerical

/// `patron lab kmeans`: a k-means fit of an array of points.
package enum KMeansLab {
    package struct Options: Sendable {
        /// `[rowCount × featureCount]`, '<f4'.
        package var pointsPath: String
        package var clusterCount: Int
        /// `[clusterCount × featureCount]`, '<f4', to start from; nil: seed.
        package var centroidsPath: String?
        package var seed: UInt64 = 1
        package var iterations: Int
        /// Relative to the mean variance of the features; 0: until no row changes its cluster.
        package var tolerance: Double = 0
        package var algorithm: KMeans.Algorithm = .auto
        package var seeding: KMeans.Seeding = .auto
        /// Whether every pass reads the file, chunk by chunk, instead of a copy in memory; so it does
        /// anyway where the rows would take more than half of the machine's memory.
        package var isStreamed = false
        /// Where to write the assignments, `[rowCount]` '<i4'.
        package var labelsOutput: String?
        /// Where to write the centroids, `[clusterCount × featureCount]` '<f4'.
        package var centroidsOutput: String?

        package init(pointsPath: String, clusterCount: Int, iterations: Int) {
            self.pointsPath = pointsPath
            self.clusterCount = clusterCount
            self.iterations = iterations
        }

        /// Everything that the command line sets of the model's parameters, in one place.
        func parameters(_ setting: LabSetting) -> KMeans.Parameters {
            KMeans.Parameters(
                clusterCount: clusterCount, seed: seed, seeding: seeding,
                maximumIterations: iterations, tolerance: tolerance, algorithm: algorithm,
                threadCount: setting.threadCount)
        }
    }

    /// Reads, fits and writes.
    /// - Throws: `LabError` for arrays that cannot be used.
    package static func run(
        _ options: Options, _ setting: LabSetting
    ) throws(LabError) -> LabReport {
        let files = try LabFiles(
            reads: ["--points": options.pointsPath, "--init": options.centroidsPath],
            writes: [
                "--labels": options.labelsOutput, "--centroids": options.centroidsOutput,
            ], setting)
        let roofline = try setting.rooflinePath.map(Roofline.init(path:))
        let kernels = setting.kernels
        let parameters = options.parameters(setting)
        let (input, loadSeconds) = try timed { () throws(LabError) in
            try read(options, parameters, kernels)
        }
        let (source, start, isStreamed) = (input.points, input.start, input.isStreamed)
        let (points, layoutSeconds) = timed { () -> any PointSource in
            isStreamed ? source : source.matrix(threadCount: setting.threadCount)
        }
        let (prepared, checkSeconds) = try timed { () throws(LabError) in
            do throws(ModelError) {
                return try PreparedKMeans(points, parameters, kernels: kernels)
            } catch {
                throw described(error, source)
            }
        }
        var seedSamples: [Double] = []
        var fitSamples: [Double] = []
        var result: FittedKMeans?
        for _ in 0..<setting.repeatCount {
            do throws(ModelError) {
                let (centroids, seedSeconds) = try timed { () throws(ModelError) in
                    if let start { return try prepared.start(from: start) }
                    return try prepared.start()
                }
                let (fitted, fitSeconds) = try timed { () throws(ModelError) in
                    try prepared.fit(from: centroids)
                }
                seedSamples.append(start == nil ? seedSeconds : 0)
                fitSamples.append(fitSeconds)
                result = fitted
            } catch {
                throw described(error, source)
            }
        }
        guard let fitted = result else { preconditionFailure("at least one run") }
        try files["--labels"]?.fill(fitted.assignments, shape: [points.rowCount])
        try files["--centroids"]?.fill(
            fitted.centroids, shape: [fitted.clusterCount, fitted.featureCount])
        try files.publish()
        return report(
            fitted, source, options, setting, roofline,
            Seconds(
                load: loadSeconds, layout: layoutSeconds, check: checkSeconds, seed: seedSamples,
                fit: fitSamples))
    }

    private struct Seconds {
        var load: Double
        var layout: Double
        var check: Double
        var seed: [Double]
        var fit: [Double]
    }

    private struct Input {
        let points: NumPyPoints
        let start: [Float]?
        let isStreamed: Bool
    }

    private static func read(
        _ options: Options, _ parameters: KMeans.Parameters, _ kernels: KernelTable
    ) throws(LabError) -> Input {
        let points = try NumPyPoints(
            try NumPyFile(options.pointsPath, [.float32]), kernels: kernels)
        func badShape(_ expected: String, _ advice: String) -> LabError {
            .badArray(
                path: points.file.path, byteOffset: points.file.header.shapeOffset,
                found: "the shape \(points.file.shape)", expected: expected, advice: advice)
        }
        guard points.featureCount > 0 else {
            throw badShape("at least one column", "without one there is nothing to compare")
        }
        guard points.rowCount >= options.clusterCount else {
            throw badShape(
                "at least --clusters \(options.clusterCount) rows",
                "ask for fewer clusters or give more rows")
        }
        // In memory, or else left in the file.
        let matrixBytes = matrixBytes(points.rowCount, points.featureCount)
        let isStreamed = options.isStreamed || matrixBytes > LabError.machineBytes / 2
        try LabError.requireMemory(
            KMeans.memoryByteCount(
                rowCount: points.rowCount, featureCount: points.featureCount, parameters)
                + (isStreamed ? 0 : matrixBytes),
            for: "a fit of the shape \(points.file.shape)", path: points.file.path)
        guard let path = options.centroidsPath else {
            return Input(points: points, start: nil, isStreamed: isStreamed)
        }
        let file = try NumPyFile(path, [.float32])
        try file.requireAxes(2, "clusters and features")
        guard file.shape == [options.clusterCount, points.featureCount] else {
            throw .mismatch(
                path: path, found: "the shape \(file.shape)",
                expected: "[\(options.clusterCount), \(points.featureCount)] is needed for",
                other: "--clusters \(options.clusterCount) of \(points.file.path)")
        }
        let start = try file.floats()
        try file.requireFinite(start)
        return Input(points: points, start: start, isStreamed: isStreamed)
    }

    /// Bytes of the rows in the kernels' order, whole blocks of 64.
    private static func matrixBytes(_ rowCount: Int, _ featureCount: Int) -> Double {
        4 * Double((rowCount + 63) / 64 * 64) * Double(featureCount)
    }

    private static func described(_ error: ModelError, _ points: NumPyPoints) -> LabError {
        guard case .nonFiniteValue(_, let row, let column) = error, row < points.rowCount,
            column < points.featureCount
        else { return .model(path: points.file.path, error) }
        return points.file.badValue(
            row * points.featureCount + column, "NaN or infinite", "a finite number")
    }

    private static func report(
        _ fitted: FittedKMeans, _ points: NumPyPoints, _ options: Options, _ setting: LabSetting,
        _ roofline: Roofline?, _ seconds: Seconds
    ) -> LabReport {
        var hash = ResultHash()
        hash.add(fitted.assignments)
        hash.add(fitted.centroids)
        let (n, d, k) = (points.rowCount, points.featureCount, fitted.clusterCount)
        let fitSeconds = median(seconds.fit)
        let perIteration = fitSeconds / Double(fitted.iterations)
        // A multiplication and an addition for every row, feature and cluster.
        let operations = 2 * Double(n) * Double(d) * Double(k)
        var report = LabReport()
        report.add("rows", .integer(n))
        report.add("features", .integer(d))
        report.add("clusters", .integer(k))
        report.add("algorithm", .text(options.algorithm.rawValue))
        report.add(
            "seeding", .text(options.centroidsPath == nil ? options.seeding.rawValue : "given"))
        report.add(setting, samples: seconds.fit, as: "fit_seconds")
        report.add("load_seconds", .number(seconds.load))
        report.add("layout_seconds", .number(seconds.layout))
        report.add("check_seconds", .number(seconds.check))
        report.add("seed_seconds", .number(median(seconds.seed)))
        report.add("fit_seconds", .number(fitSeconds))
        report.add("seconds_per_iteration", .number(perIteration))
        report.add("iterations", .integer(fitted.iterations))
        report.add("converged", .truth(fitted.converged))
        report.add("inertia", .number(fitted.inertia))
        report.add("gflops", .number(operations / perIteration / 1e9))
        // Every row is read and its label written.
        let bytes = Double(n) * Double(4 * d + 4)
        report.add(
            Demand(
                operations: operations,
                traffic: [.init(byteCount: bytes, workingByteCount: bytes)]),
            seconds: perIteration, roofline, setting)
        report.add("hash", .text(hash.text))
        return report
    }
}
