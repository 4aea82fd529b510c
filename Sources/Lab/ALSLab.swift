package import Models
import Numerical

/// `patron lab als`: a factorization of a sparse matrix.
package enum ALSLab {
    package enum Solver: String, CaseIterable, Sendable {
        /// The exact solution of every row.
        case cholesky
        /// A few steps of conjugate gradients a row.
        case cg
        /// Exact in one block of factors after the other.
        case subspace

        var model: ImplicitALS.Solver {
            switch self {
            case .cholesky: .cholesky
            case .cg: .conjugateGradient
            case .subspace: .subspace
            }
        }
    }

    package struct Options: Sendable {
        /// `[rowCount + 1]`, integers.
        package var offsetsPath: String
        /// Column indices, integers, ascending within a row.
        package var indicesPath: String
        /// Values, at least 0.
        package var valuesPath: String
        /// Columns; nil: one more than the largest index.
        package var itemCount: Int?
        package var factorCount: Int = 64
        package var regularization: Double = 0.05
        package var confidenceWeight: Double = 1
        /// What a stored value says about its confidence.
        package var confidence = ImplicitALS.Confidence.onePlusAlphaR
        /// 0 ... 1: how regularization grows with a row's entries.
        package var regularizationExponent: Double = 0
        /// Whether the loss of each iteration is found out, in a fit that is not timed.
        package var reportsLoss = true
        package var iterations: Int
        package var solver: Solver = .cholesky
        /// Of conjugate gradients, a row and half-sweep; nil: the model's default.
        package var steps: Int?
        package var seed: UInt64 = 1
        /// `[itemCount × factorCount]`, '<f4', to start from; nil: drawn from the seed.
        package var itemStartPath: String?
        package var userFactorsOutput: String?
        package var itemFactorsOutput: String?

        package init(
            offsetsPath: String, indicesPath: String, valuesPath: String, iterations: Int
        ) {
            self.offsetsPath = offsetsPath
            self.indicesPath = indicesPath
            self.valuesPath = valuesPath
            self.iterations = iterations
        }

        /// Everything that the command line sets of the model's parameters, in one place.
        func parameters(_ setting: LabSetting) -> ImplicitALS.Parameters {
            var parameters = ImplicitALS.Parameters(
                factorCount: factorCount, regularization: regularization,
                confidenceWeight: confidenceWeight, iterations: iterations, seed: seed,
                threadCount: setting.threadCount, solver: solver.model, confidence: confidence,
                regularizationExponent: regularizationExponent)
            if let steps { parameters.conjugateGradientSteps = steps }
            return parameters
        }
    }

    /// Reads, fits and writes.
    /// - Throws: `LabError` for arrays that cannot be used.
    package static func run(
        _ options: Options, _ setting: LabSetting
    ) throws(LabError) -> LabReport {
        let files = try LabFiles(
            reads: [
                "--indptr": options.offsetsPath, "--indices": options.indicesPath,
                "--data": options.valuesPath, "--item-init": options.itemStartPath,
            ],
            writes: [
                "--user-factors": options.userFactorsOutput,
                "--item-factors": options.itemFactorsOutput,
            ], setting)
        let roofline = try setting.rooflinePath.map(Roofline.init(path:))
        let (input, loadSeconds) = try timed { () throws(LabError) in try read(options) }
        let (matrix, layoutSeconds) = timed { input.pattern.matrix(values: input.values) }
        let parameters = options.parameters(setting)
        let kernels = setting.kernels
        func fit(measuresLoss: Bool) throws(LabError) -> FittedALS {
            do throws(ModelError) {
                return try ImplicitALS.fit(
                    matrix, parameters, initialItemFactors: input.start,
                    measuresLoss: measuresLoss, kernels: kernels)
            } catch {
                throw .model(path: options.valuesPath, error)
            }
        }
        var samples: [Double] = []
        var result: FittedALS?
        for _ in 0..<setting.repeatCount {
            let (fitted, seconds) = try timed { () throws(LabError) in
                try fit(measuresLoss: false)
            }
            samples.append(seconds)
            result = fitted
        }
        // The same fit once more: what is timed is what others do in their fits.
        if options.reportsLoss { result = try fit(measuresLoss: true) }
        guard let fitted = result else { preconditionFailure("at least one run") }
        try files["--user-factors"]?.fill(
            fitted.userFactors, shape: [fitted.userCount, fitted.factorCount])
        try files["--item-factors"]?.fill(
            fitted.itemFactors, shape: [fitted.itemCount, fitted.factorCount])
        try files.publish()
        return report(
            fitted, matrix, options, setting, roofline, loadSeconds, layoutSeconds, samples)
    }

    private struct Input {
        let pattern: SparseInput.Pattern
        let values: [Float]
        let start: [Float]?
    }

    private static func read(_ options: Options) throws(LabError) -> Input {
        let pattern = try SparseInput.pattern(
            offsetsPath: options.offsetsPath, indicesPath: options.indicesPath,
            columnCount: options.itemCount)
        guard !pattern.columnIndices.isEmpty else {
            let file = try NumPyFile(options.indicesPath)
            throw .badArray(
                path: file.path, byteOffset: file.header.shapeOffset, found: "no elements",
                expected: "at least one entry", advice: "there is nothing to factorize")
        }
        try LabError.requireMemory(
            neededBytes(
                rowCount: pattern.rowCount, columnCount: pattern.columnCount,
                valueCount: pattern.columnIndices.count, options),
            for: "\(options.factorCount) factors of \(pattern.rowCount) rows and "
                + "\(pattern.columnCount) columns", path: options.indicesPath)
        let values = try SparseInput.values(
            options.valuesPath, of: pattern, indicesPath: options.indicesPath)
        guard let path = options.itemStartPath else {
            return Input(pattern: pattern, values: values, start: nil)
        }
        let file = try NumPyFile(path, [.float32])
        try file.requireAxes(2, "items and factors")
        guard file.shape == [pattern.columnCount, options.factorCount] else {
            throw .mismatch(
                path: path, found: "the shape \(file.shape)",
                expected: "[\(pattern.columnCount), \(options.factorCount)] is needed for",
                other: "--factors \(options.factorCount) and the columns of \(options.indicesPath)")
        }
        let start = try file.floats()
        let limit = ImplicitALS.largestInitialFactor
        // The fit refuses these too, but knows nothing of files.
        if let bad = start.firstIndex(where: { !(abs($0) <= limit) }) {
            throw file.badValue(bad, "\(start[bad])", "a finite number in -1e10 ... 1e10")
        }
        return Input(pattern: pattern, values: values, start: start)
    }

    /// Bytes of a fit: the matrix by rows and by columns; of each row and column its factors
    /// padded to whole registers, its factors of the result and its offset; and the larger side's
    /// padded factors once more, by `subspace` twice more. With initial factors, those.
    package static func neededBytes(
        rowCount: Int, columnCount: Int, valueCount: Int, _ options: Options
    ) -> Double {
        let (rows, columns) = (Double(rowCount), Double(columnCount))
        let stored = 4 * Double((options.factorCount + 15) / 16 * 16)
        let plain = 4 * Double(options.factorCount)
        let copies = options.solver == .subspace ? 2.0 : 1
        return (rows + columns) * (stored + plain + 8) + max(rows, columns) * stored * copies
            + 16 * Double(valueCount) + (options.itemStartPath == nil ? 0 : columns * plain)
    }

    private static func report(
        _ fitted: FittedALS, _ matrix: SparseMatrix, _ options: Options, _ setting: LabSetting,
        _ roofline: Roofline?, _ loadSeconds: Double, _ layoutSeconds: Double, _ samples: [Double]
    ) -> LabReport {
        var hash = ResultHash()
        hash.add(fitted.userFactors)
        hash.add(fitted.itemFactors)
        let seconds = median(samples)
        let perIteration = seconds / Double(options.iterations)
        var report = LabReport()
        report.add("rows", .integer(matrix.rowCount))
        report.add("columns", .integer(matrix.columnCount))
        report.add("values", .integer(matrix.valueCount))
        report.add("factors", .integer(options.factorCount))
        report.add("solver", .text(options.solver.rawValue))
        report.add(setting, samples: samples, as: "fit_seconds")
        report.add("load_seconds", .number(loadSeconds))
        report.add("layout_seconds", .number(layoutSeconds))
        report.add("fit_seconds", .number(seconds))
        report.add("iterations", .integer(options.iterations))
        report.add("seconds_per_iteration", .number(perIteration))
        if options.reportsLoss { report.add("loss", .numbers(fitted.lossPerIteration)) }
        let demand = ALSDemand(matrix, options.parameters(setting))
        if options.solver == .cholesky {
            report.add("gflops", .number(demand.plainOperations / perIteration / 1e9))
        }
        report.add(demand.least, seconds: perIteration, roofline, setting)
        report.add("hash", .text(hash.text))
        return report
    }
}
