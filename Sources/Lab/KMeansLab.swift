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
        let roofline = try setting.rooflinePath.map(Roofline.init(path:))
        let kernels = setting.kernels
        let labelsOutput = try options.labelsOutput.map(NumPyOutput.init)
        let centroidsOutput = try options.centroidsOutput.map(NumPyOutput.init)
        let (input, loadSeconds) = try timed { () throws(LabError) in
            try read(options, setting)
        }
        let (source, start) = input
        let isStreamed =
            options.isStreamed
            || matrixBytes(source.rowCount, source.featureCount) > LabError.machineBytes / 2
        let (points, layoutSeconds) = timed { () -> any PointSource in
            isStreamed ? source : source.matrix(threadCount: setting.threadCount)
        }
        // The fit says so too, but here the seeding comes first.
        let (bad, checkSeconds) = timed {
            start == nil ? source.firstNonFinite(threadCount: setting.threadCount) : nil
        }
        if let bad {
            throw source.file.badValue(
                bad.row * points.featureCount + bad.feature, "NaN or infinite", "a finite number")
        }
        let parameters = options.parameters(setting)
        var seedSamples: [Double] = []
        var fitSamples: [Double] = []
        var result: FittedKMeans?
        for _ in 0..<setting.repeatCount {
            do throws(ModelError) {
                let (centroids, seedSeconds) = try timed { () throws(ModelError) in
                    if let start { return start }
                    return try KMeans.start(of: points, parameters, kernels: kernels)
                }
                let (fitted, fitSeconds) = try timed { () throws(ModelError) in
                    try KMeans.fit(
                        points, parameters, initialCentroids: centroids, kernels: kernels)
                }
                seedSamples.append(start == nil ? seedSeconds : 0)
                fitSamples.append(fitSeconds)
                result = fitted
            } catch {
                throw described(error, source)
            }
        }
        guard let fitted = result else { preconditionFailure("at least one run") }
        try labelsOutput?.write(fitted.assignments, shape: [points.rowCount])
        try centroidsOutput?.write(
            fitted.centroids, shape: [fitted.clusterCount, fitted.featureCount])
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

    private static func read(
        _ options: Options, _ setting: LabSetting
    ) throws(LabError) -> (NumPyPoints, start: [Float]?) {
        let points = try NumPyPoints(try NumPyFile(options.pointsPath), kernels: setting.kernels)
        guard points.rowCount >= options.clusterCount, points.featureCount > 0 else {
            throw .badArray(
                path: points.file.path, byteOffset: points.file.header.shapeOffset,
                found: "the shape \(points.file.shape)",
                expected: "at least --clusters \(options.clusterCount) rows and one column",
                advice: "ask for fewer clusters or give more rows")
        }
        try LabError.requireMemory(
            neededBytes(points, clusterCount: options.clusterCount, setting),
            for: "a fit of the shape \(points.file.shape)", path: points.file.path)
        guard let path = options.centroidsPath else { return (points, nil) }
        let file = try NumPyFile(path)
        try file.requireAxes(2, "clusters and features")
        guard file.shape == [options.clusterCount, points.featureCount] else {
            throw .mismatch(
                path: path, found: "the shape \(file.shape)",
                expected: "[\(options.clusterCount), \(points.featureCount)] is needed for",
                other: "--clusters \(options.clusterCount) of \(points.file.path)")
        }
        let start = try file.floats()
        try file.requireFinite(start)
        return (points, start)
    }

    /// Bytes of the rows in the kernels' order, whole blocks of 64.
    private static func matrixBytes(_ rowCount: Int, _ featureCount: Int) -> Double {
        4 * Double((rowCount + 63) / 64 * 64) * Double(featureCount)
    }

    /// Bytes of a fit at least: labels, bounds and, for the seeding, distances of the rows, which
    /// may themselves stay in the file; 256 rows a thread; centroid sums of eight shards.
    private static func neededBytes(
        _ points: NumPyPoints, clusterCount: Int, _ setting: LabSetting
    ) -> Double {
        let shardCount = Double(min(8, (points.rowCount + 255) / 256))
        return 16 * Double(points.rowCount)
            + Double(setting.threadCount) * matrixBytes(256, points.featureCount)
            + 8 * shardCount * Double(clusterCount) * Double(points.featureCount)
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
