import Foundation
import Models
import Numerical
import Units

/// One operation of the models on arrays, timed, for side-by-side runs with other software. Prints
/// one JSON object; `Benchmarks/peers/run.py` calls it.
@main struct ModelLoop {
    static let usage = """
        usage: ModelLoop kmeans POINTS.npy CENTROIDS.npy ITERATIONS THREADS LABELS-OUT.npy
                        [lloyd|bounded|auto]
               ModelLoop kprototypes NUMBERS.npy CODES.npy CLUSTERS GAMMA ITERATIONS THREADS
                        LABELS-OUT.npy
               ModelLoop als FOLDER FACTORS REGULARIZATION ALPHA ITERATIONS THREADS
               ModelLoop affinity FOLDER PRODUCTS FACTORS REGULARIZATION ALPHA EXPONENT ITERATIONS
                        SEED THREADS EXCLUDE-PURCHASED(0|1)
               ModelLoop bgnbd FOLDER HORIZON-WEEKS THREADS
        """

    static func main() {
        do {
            let result = try run(Array(CommandLine.arguments.dropFirst()))
            let data = try JSONSerialization.data(
                withJSONObject: result, options: [.sortedKeys])
            print(String(decoding: data, as: UTF8.self))
        } catch {
            FileHandle.standardError.write(Data("error: \(error)\n".utf8))
            exit(1)
        }
    }

    private static func run(_ arguments: [String]) throws -> [String: Any] {
        let level = try ISALevel.choose(forced: ISALevel.forcedByEnvironment)
        var result: [String: Any]
        switch (arguments.first, arguments.count) {
        case ("kmeans", 6), ("kmeans", 7): result = try kMeans(arguments)
        case ("kprototypes", 8): result = try kPrototypes(arguments)
        case ("als", 7): result = try als(arguments)
        case ("affinity", 11): result = try affinity(arguments)
        case ("bgnbd", 4): result = try bgnbd(arguments)
        default: throw LoopError.usage
        }
        result["isa"] = level.rawValue
        return result
    }

    /// - Returns: the value and the seconds it took.
    static func timed<Value>(_ work: () throws -> Value) rethrows -> (Value, Double) {
        let clock = ContinuousClock()
        let start = clock.now
        let value = try work()
        return (value, (clock.now - start) / .seconds(1))
    }

    static func integer(_ text: String) throws -> Int {
        guard let value = Int(text) else { throw LoopError.usage }
        return value
    }

    static func number(_ text: String) throws -> Double {
        guard let value = Double(text) else { throw LoopError.usage }
        return value
    }

    /// A fit from given centroids; bringing the rows into the kernels' order is timed apart.
    private static func kMeans(_ arguments: [String]) throws -> [String: Any] {
        let file = try NumPyFile(arguments[1])
        let start = try NumPyFile(arguments[2])
        let values = try file.values(Float.self, kind: "<f4")
        let centroids = try start.values(Float.self, kind: "<f4")
        let threadCount = try integer(arguments[4])
        let (points, layoutSeconds) = timed {
            FeatureMatrix(
                rowMajor: values, rowCount: file.shape[0], featureCount: file.shape[1])
        }
        var parameters = KMeans.Parameters(
            clusterCount: start.shape[0], maximumIterations: try integer(arguments[3]),
            tolerance: 0, threadCount: threadCount)
        if arguments.count > 6 {
            guard let algorithm = KMeans.Algorithm(rawValue: arguments[6]) else {
                throw LoopError.usage
            }
            parameters.algorithm = algorithm
        }
        let (fitted, seconds) = try timed {
            try KMeans.fit(points, parameters, initialCentroids: centroids)
        }
        try NumPyFile.write(
            fitted.assignments, shape: [points.rowCount], kind: "<i4", to: arguments[5])
        return [
            "layout_seconds": layoutSeconds, "seconds": seconds, "inertia": fitted.inertia,
            "iterations": fitted.iterations,
        ]
    }

    /// One fit with its own seeding, numbers as they are; a `GAMMA` of 0 is found from the data.
    private static func kPrototypes(_ arguments: [String]) throws -> [String: Any] {
        let file = try NumPyFile(arguments[1])
        let codeFile = try NumPyFile(arguments[2])
        let (rowCount, columnCount) = (file.shape[0], codeFile.shape[1])
        let values = try file.values(Float.self, kind: "<f4")
        let codes = try codeFile.values(Int32.self, kind: "<i4")
        let (rows, layoutSeconds) = timed {
            MixedRows(
                numeric: FeatureMatrix(
                    rowMajor: values, rowCount: rowCount, featureCount: file.shape[1]),
                categories: CategoryMatrix(
                    columns: (0..<columnCount).map { column in
                        (0..<rowCount).map { codes[$0 * columnCount + column] }
                    }, rowCount: rowCount))
        }
        let gamma = try number(arguments[4])
        let parameters = KPrototypes.Parameters(
            clusterCount: try integer(arguments[3]), gamma: gamma > 0 ? gamma : nil, restarts: 1,
            maximumIterations: try integer(arguments[5]), tolerance: 0,
            threadCount: try integer(arguments[6]))
        let (fitted, seconds) = try timed { try KPrototypes.fit(rows, parameters) }
        try NumPyFile.write(
            fitted.assignments, shape: [rowCount], kind: "<i4", to: arguments[7])
        return [
            "layout_seconds": layoutSeconds, "seconds": seconds, "cost": fitted.cost,
            "gamma": fitted.gamma, "iterations": fitted.iterations,
        ]
    }

    /// Factors from given product factors, then the best ten products of every customer.
    private static func als(_ arguments: [String]) throws -> [String: Any] {
        let folder = arguments[1]
        let offsets = try NumPyFile("\(folder)/indptr.npy").values(Int64.self, kind: "<i8")
        let start = try NumPyFile("\(folder)/item_start.npy")
        let threadCount = try integer(arguments[6])
        let matrix = SparseMatrix(
            rowCount: offsets.count - 1, columnCount: start.shape[0],
            rowOffsets: offsets.map(Int.init),
            columnIndices: try NumPyFile("\(folder)/indices.npy").values(Int32.self, kind: "<i4"),
            values: try NumPyFile("\(folder)/data.npy").values(Float.self, kind: "<f4"))
        let parameters = ImplicitALS.Parameters(
            factorCount: try integer(arguments[2]), regularization: try number(arguments[3]),
            confidenceWeight: try number(arguments[4]), iterations: try integer(arguments[5]),
            threadCount: threadCount)
        let factors = try start.values(Float.self, kind: "<f4")
        let (fitted, seconds) = try timed {
            try ImplicitALS.fit(matrix, parameters, initialItemFactors: factors)
        }
        let (top, topSeconds) = try timed {
            try TopN(
                itemFactors: fitted.itemFactors, itemCount: fitted.itemCount,
                factorCount: fitted.factorCount
            ).top(10, queryFactors: fitted.userFactors, threadCount: threadCount)
        }
        try NumPyFile.write(
            fitted.userFactors, shape: [fitted.userCount, fitted.factorCount], kind: "<f4",
            to: "\(folder)/our_users.npy")
        try NumPyFile.write(
            fitted.itemFactors, shape: [fitted.itemCount, fitted.factorCount], kind: "<f4",
            to: "\(folder)/our_items.npy")
        try NumPyFile.write(
            top.items,
            shape: [fitted.userCount, 10], kind: "<i4", to: "\(folder)/our_top.npy")
        return [
            "seconds": seconds, "top_seconds": topSeconds, "loss": fitted.lossPerIteration,
        ]
    }

    /// A fit in weeks, then the scores of every customer.
    private static func bgnbd(_ arguments: [String]) throws -> [String: Any] {
        let folder = arguments[1]
        func column(_ name: String) throws -> [Int32] {
            try NumPyFile("\(folder)/\(name).npy").values(Int32.self, kind: "<i4")
        }
        let (x, tx, age) = (try column("x"), try column("tx"), try column("age"))
        let threadCount = try integer(arguments[3])
        let (model, fitSeconds) = try timed {
            try BGNBD.fit(
                CollapsedHistory(
                    repeatPurchaseCount: x, ageAtLastPurchaseDays: tx, observedAgeDays: age),
                PurchaseFitParameters(threadCount: threadCount))
        }
        var parameters = LifetimeScores.Parameters()
        parameters.horizon = Horizon(try number(arguments[2]), .week)
        parameters.threadCount = threadCount
        let (scores, scoreSeconds) = try timed {
            try LifetimeScores.score(
                repeatPurchaseCount: x, ageAtLastPurchaseDays: tx, observedAgeDays: age,
                meanOrderValue: [Double](repeating: 0, count: x.count), model: model, spend: nil,
                parameters)
        }
        for (name, values) in [
            ("our_alive", scores.probabilityAlive), ("our_expected", scores.expectedPurchases),
        ] {
            try NumPyFile.write(
                values, shape: [x.count], kind: "<f8", to: "\(folder)/\(name).npy")
        }
        return [
            "fit_seconds": fitSeconds, "score_seconds": scoreSeconds,
            "parameters": [model.r, model.alpha, model.a, model.b],
            "log_likelihood": model.diagnostics.logLikelihood ?? 0,
        ]
    }
}
