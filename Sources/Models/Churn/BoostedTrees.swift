import Foundation
package import Numerical

/// Gradient-boosted trees on histograms: how likely a customer leaves, from any columns, missing
/// values and categories included.
///
/// Minimizes the log-loss by trees of second order steps. Same table, parameters and seed give the
/// same trees for any thread count. O(rows · columns · log leaves) a tree; 2 bytes a value, about 40
/// bytes a row and 6 KB a column and leaf of memory.
/// Source: J. Friedman, "Greedy Function Approximation: A Gradient Boosting Machine", 2001; T. Chen
/// and C. Guestrin, "XGBoost", 2016; G. Ke et al., "LightGBM", 2017.
package enum BoostedTrees {
    package struct Parameters: Codable, Equatable, Sendable {
        /// 1 ... 100 000. More fit closer.
        package var treeCount = 100
        /// Leaves of a tree, 2 ... 4096. More see more interactions, and overfit sooner; trees of up
        /// to 64 are scored much faster.
        package var leafCount = 31
        /// Step of every tree, above 0, at most 1. Lower needs more trees and generalizes better.
        package var learningRate = 0.1
        /// Least rows of a leaf, at least 1.
        package var minimumLeafRows = 20
        /// Least sum of Σ weight p (1 - p) of a leaf, at least 0.
        package var minimumLeafHessian = 1e-3
        /// λ of the squared leaf values, at least 0.
        package var regularization = 0.0
        /// A split must improve the fit by more than this; at least 0.
        package var minimumGain = 0.0
        /// Most splits above a leaf, at least 1; nil: 512, which contributions can follow.
        package var maximumDepth: Int?
        /// Bins of a column's values, 2 ... 255.
        package var binCount = 255
        /// Share of the rows that a tree sees, above 0, at most 1.
        package var rowFraction = 1.0
        /// Share of the columns that a tree may use, above 0, at most 1.
        package var columnFraction = 1.0
        /// What a customer who left counts for, 1e-6 ... 1e6: above 1 where they are few and must be
        /// found. The probabilities then need calibration.
        package var positiveWeight = 1.0
        /// Pulls the mean gradient of rare categories to 0 when they are ordered; at least 0.
        package var categorySmoothing = 10.0
        /// Added to λ where more than four categories are split; at least 0.
        package var categoryRegularization = 10.0
        /// Most categories of the smaller side of a split, at least 1.
        package var maximumLeftCategories = 32
        /// Categories of fewer rows in a leaf are not moved left where there are more than four.
        package var minimumCategoryRows = 10
        /// Stop where the validation log-loss has not improved for so many trees, and keep those up to
        /// the best; at least 1. Without validation rows all trees are grown.
        package var earlyStoppingRounds = 50
        package var seed: UInt64 = 1
        package var threadCount = 1

        package init() {}

        /// - Throws: `outOfRange` for the first one that is not allowed.
        func check() throws(ModelError) {
            func require(_ what: String, _ value: Double, _ ok: Bool, _ allowed: String)
                throws(ModelError)
            {
                guard ok else { throw .outOfRange(what: what, actual: value, allowed: allowed) }
            }
            func whole(_ what: String, _ value: Int, _ range: ClosedRange<Int>) throws(ModelError) {
                try require(
                    what, Double(value), range.contains(value),
                    "\(range.lowerBound) ... \(range.upperBound)")
            }
            func atLeastZero(_ what: String, _ value: Double) throws(ModelError) {
                try require(what, value, value >= 0 && value.isFinite, "0 or more")
            }
            func share(_ what: String, _ value: Double) throws(ModelError) {
                try require(what, value, value > 0 && value <= 1, "above 0, at most 1")
            }
            try whole("treeCount", treeCount, 1...100_000)
            try whole("leafCount", leafCount, 2...4096)
            try share("learningRate", learningRate)
            try whole("minimumLeafRows", minimumLeafRows, 1...Int(Int32.max))
            try atLeastZero("minimumLeafHessian", minimumLeafHessian)
            try atLeastZero("regularization", regularization)
            try atLeastZero("minimumGain", minimumGain)
            try whole("maximumDepth", maximumDepth ?? 1, 1...DecisionTree.depthLimit)
            try whole("binCount", binCount, 2...255)
            try share("rowFraction", rowFraction)
            try share("columnFraction", columnFraction)
            try require(
                "positiveWeight", positiveWeight, (1e-6...1e6).contains(positiveWeight),
                "1e-6 ... 1e6")
            try atLeastZero("categorySmoothing", categorySmoothing)
            try atLeastZero("categoryRegularization", categoryRegularization)
            try whole("maximumLeftCategories", maximumLeftCategories, 1...255)
            try whole("minimumCategoryRows", minimumCategoryRows, 1...Int(Int32.max))
            try whole("earlyStoppingRounds", earlyStoppingRounds, 1...100_000)
            try whole("threadCount", threadCount, 1...1024)
        }

        /// Bytes that sums by bin need while a tree grows, at most.
        package func histogramBytes(columnCount: Int) -> Double {
            // Of every open leaf and, with its packed sums, of every thread.
            24 * Double(binCount + 1) * Double(columnCount)
                * (Double(leafCount) + 2 * Double(threadCount))
        }
    }

    /// Fits trees.
    /// - Parameters:
    ///   - table: at least two rows and one column.
    ///   - validation: rows that the fit does not see, to stop at; of a later time, where there is one.
    /// - Throws: `outOfRange` for parameters; `noRows`, `tooFewRows`, `countMismatch`; `notIdentified`
    ///   where all customers have one label or no validation row has a weight; `badColumn` where the
    ///   validation table differs or a column has too many categories.
    package static func fit(
        _ table: PredictorTable, _ outcome: ChurnOutcome,
        validation: (table: PredictorTable, outcome: ChurnOutcome)? = nil,
        _ parameters: Parameters = Parameters(), kernels: KernelTable = .current
    ) throws(ModelError) -> FittedBoostedTrees {
        try parameters.check()
        try outcome.requireFit(table, model: "boosted trees")
        try requireSize(table, parameters)
        var stopping: EarlyStopping?
        if let validation {
            stopping = try EarlyStopping(
                validation.table, validation.outcome, schema: table.schema, parameters)
        }
        var run = BoostingRun(table, outcome, parameters, kernels)
        stopping?.start(from: run.baseScore)
        var trees: [DecisionTree] = []
        for index in 0..<parameters.treeCount {
            let tree = run.next(index)
            // A tree of one leaf found nothing in all rows and columns: nor would the next.
            let seesAll = parameters.rowFraction == 1 && parameters.columnFraction == 1
            if tree.splits.isEmpty && seesAll { break }
            trees.append(tree)
            if stopping?.shouldStop(after: tree, parameters) ?? false { break }
        }
        let grown = trees.count
        if let stopping { trees.removeLast(trees.count - min(trees.count, stopping.bestCount)) }
        let ensemble = TreeEnsemble(
            schema: table.schema, trees: trees, baseScore: run.baseScore,
            link: .logistic(steepness: 1), isAveraged: false)
        var kept = parameters
        kept.threadCount = 1
        return FittedBoostedTrees(
            ensemble: ensemble, parameters: kept, grownTreeCount: grown,
            validationLogLoss: stopping?.losses ?? [])
    }

    /// Categories of a column: their codes and that of a missing one have a bit in the sets that are
    /// scored.
    package static let categoryLimit = 32 * LightGBMModel.setWordLimit - 1
    /// Of the sums by bin of all leaves.
    static let histogramByteLimit = 0x1p32

    private static func requireSize(
        _ table: PredictorTable, _ parameters: Parameters
    ) throws(ModelError) {
        for column in table.columns {
            guard case .categories(_, let names) = column.values, names.count > categoryLimit
            else { continue }
            throw .badColumn(
                name: column.name,
                reason: """
                    it has \(names.count) categories, boosted trees take at most \(categoryLimit); \
                    put the rarest together, or leave it out if it is an id
                    """)
        }
        let needed = parameters.histogramBytes(columnCount: table.columns.count)
        guard needed <= histogramByteLimit else {
            throw .outOfRange(
                what: "leafCount · binCount with \(table.columns.count) columns",
                actual: Double(parameters.leafCount) * Double(parameters.binCount),
                allowed:
                    "so that sums by bin take up to 4 GiB; they would take \(Int(needed)) bytes")
        }
    }
}

/// What a fit leaves.
package struct FittedBoostedTrees: Codable, Equatable, Sendable {
    package let ensemble: TreeEnsemble
    /// With a thread count of 1, whatever the fit used.
    package let parameters: BoostedTrees.Parameters
    /// Trees that were grown; the ensemble keeps those up to the best on the validation rows.
    package let grownTreeCount: Int
    /// After each tree; empty without validation rows.
    package let validationLogLoss: [Double]
}

/// The rows of a fit and what changes from tree to tree.
private struct BoostingRun {
    let baseScore: Double
    private let parameters: BoostedTrees.Parameters
    private let kernels: KernelTable
    private let columnCount: Int
    private let targets: AlignedFloats
    private let weights: AlignedFloats
    private let gradientScale: Float
    private let hessianScale: Float
    private var scores: AlignedFloats
    private var gradients: RowGradients
    private var grower: TreeGrower

    init(
        _ table: PredictorTable, _ outcome: ChurnOutcome, _ parameters: BoostedTrees.Parameters,
        _ kernels: KernelTable
    ) {
        self.parameters = parameters
        self.kernels = kernels
        columnCount = table.columns.count
        let threadCount = parameters.threadCount
        let columns = table.columns
        let bins = parallelMap(count: columns.count, chunkSize: 1, threadCount: threadCount) {
            column, _ in
            ColumnBins(
                columns[column], binLimit: parameters.binCount,
                seed: parameters.seed &+ UInt64(column))
        }
        let binned = BinnedColumns(
            rowCount: table.rowCount, columnCount: columns.count, threadCount: threadCount
        ) { column, target in bins[column].fill(columns[column], &target, kernels: kernels) }

        // Rows that fill up the last vector have weight 0 and are in no leaf.
        let padded = (table.rowCount + 15) / 16 * 16
        var targets = AlignedFloats(count: padded)
        var weights = AlignedFloats(count: padded)
        var (left, stayed, most) = (0.0, 0.0, 0.0)
        do {
            var targetSpan = targets.mutableSpan
            var weightSpan = weights.mutableSpan
            for row in 0..<table.rowCount {
                let isPositive = outcome.labels[row]
                let weight = outcome.weight(row) * (isPositive ? parameters.positiveWeight : 1)
                targetSpan[row] = isPositive ? 1 : 0
                weightSpan[row] = Float(weight)
                most = max(most, weight)
                if isPositive { left += weight } else { stayed += weight }
            }
        }
        self.targets = targets
        self.weights = weights
        let base = log(left / stayed)
        baseScore = base
        var scores = AlignedFloats(count: padded)
        do {
            var span = scores.mutableSpan
            kernels.fill(&span, with: Float(base))
        }
        self.scores = scores
        gradients = RowGradients(rowCount: padded, threadCount: threadCount)
        // |g| <= weight and h <= weight / 4.
        let (gradientScale, hessianScale) = (Float(16_380 / most), Float(4_090 * 4 / most))
        self.gradientScale = gradientScale
        self.hessianScale = hessianScale
        let search = SplitSearch(
            parameters: parameters, bins: bins,
            layout: BinLayout(binCounts: bins.map { max(1, $0.binCount) }),
            gradientUnit: 1 / Double(gradientScale), hessianUnit: 1 / Double(hessianScale),
            kernels: kernels)
        grower = TreeGrower(search, binned)
    }

    mutating func next(_ index: Int) -> DecisionTree {
        var random = SeededRandom(seed: parameters.seed, stream: UInt64(index) &+ 0x7EE)
        let seed = UInt32(truncatingIfNeeded: random.next())
        kernels.logisticGradients(
            scores: scores, targets: targets, weights: weights, seed: seed,
            gradientScale: gradientScale, hessianScale: hessianScale, into: &gradients,
            threadCount: parameters.threadCount)
        if parameters.rowFraction < 1 {
            gradients.keep(
                fraction: parameters.rowFraction, seed: random.next(),
                threadCount: parameters.threadCount)
        }
        var columns = Array(0..<columnCount)
        if parameters.columnFraction < 1 {
            columns.shuffle(using: &random)
            let count = Int((parameters.columnFraction * Double(columnCount)).rounded(.up))
            columns = columns.prefix(max(1, count)).sorted()
        }
        return grower.grow(gradients, columns: columns, scores: &scores)
    }
}

/// Watches the log-loss of rows that are not fitted.
private struct EarlyStopping {
    private let columns: [PredictorTable.Values]
    private let outcome: ChurnOutcome
    private var scores: [Double]
    private(set) var losses: [Double] = []
    private(set) var bestCount = 0
    private var bestLoss = Double.infinity

    init(
        _ table: PredictorTable, _ outcome: ChurnOutcome, schema: [PredictorColumn],
        _ parameters: BoostedTrees.Parameters
    ) throws(ModelError) {
        try requireCount(outcome.rowCount, table.rowCount, "validation labels")
        guard table.rowCount > 0 else { throw .noRows(model: "early stopping") }
        guard outcome.labels.indices.contains(where: { outcome.weight($0) > 0 }) else {
            throw .notIdentified(
                model: "boosted trees",
                reason: "all validation rows have the weight 0, so nothing tells when to stop")
        }
        columns = try table.matched(to: schema).columns.map(\.values)
        self.outcome = outcome
        scores = [Double](repeating: 0, count: table.rowCount)
    }

    mutating func start(from score: Double) {
        for row in scores.indices { scores[row] = score }
        bestLoss = loss(threadCount: 1)
    }

    mutating func shouldStop(
        after tree: DecisionTree, _ parameters: BoostedTrees.Parameters
    ) -> Bool {
        let columns = columns
        var scores = scores
        self.scores = []
        parallelFill(&scores, chunkRows: 4096, threadCount: parameters.threadCount) {
            rows, slice in
            for index in slice.indices {
                slice[index] +=
                    tree.leafValues[tree.leaf(row: rows.lowerBound + index, columns)]
            }
        }
        self.scores = scores
        let loss = loss(threadCount: parameters.threadCount)
        losses.append(loss)
        if loss < bestLoss {
            bestLoss = loss
            bestCount = losses.count
        }
        return losses.count - bestCount >= parameters.earlyStoppingRounds
    }

    /// Weighted mean of -log of the probability of what happened.
    private func loss(threadCount: Int) -> Double {
        let partial = parallelMap(count: scores.count, chunkSize: 4096, threadCount: threadCount) {
            _, rows in
            var (sum, weights) = (0.0, 0.0)
            for row in rows {
                let margin = outcome.labels[row] ? scores[row] : -scores[row]
                let weight = outcome.weight(row)
                // log(1 + e^-margin), without overflow.
                sum += weight * (max(0, -margin) + log1p(exp(-abs(margin))))
                weights += weight
            }
            return (sum, weights)
        }
        let sum = partial.reduce(0) { $0 + $1.0 }
        return sum / partial.reduce(0) { $0 + $1.1 }
    }
}
