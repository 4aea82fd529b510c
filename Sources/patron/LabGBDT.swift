import ArgumentParser
import Lab
import Models

struct LabGBDT: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gbdt",
        abstract: "Fit boosted trees or a logistic regression to an array, or score it by a model.",
        subcommands: [LabGBDTTrain.self, LabGBDTPredict.self])
}

struct LabGBDTTrain: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Fit labels of 0 and 1.",
        discussion: """
            NaN is a missing value. Prints fit_seconds (bins and trees, or terms and iterations), \
            score_seconds and rows_per_second of the test rows, or of those that were fitted, and \
            their auc, log_loss, brier_score and calibration_error. Trees, leaves, steps and shares \
            say nothing to a logistic regression.
            """)

    enum Algorithm: String, ExpressibleByArgument, CaseIterable {
        case trees, logistic
    }

    @Option(help: "Features, [rows x features], '<f4'.") var features: String
    @Option(help: "Labels, [rows], 0 or 1: '<f4', '<i4' or '<i8'.") var labels: String
    @Option(help: "Features of rows to predict.") var testFeatures: String?
    @Option(help: "Their labels.") var testLabels: String?
    @Option(help: "What to fit: \(Algorithm.allValueStrings.joined(separator: " or ")).")
    var algorithm = Algorithm.trees
    @Option(help: "Number of trees.") var trees = 100
    @Option(help: "Most leaves of a tree.") var leaves = 31
    @Option(help: "Step of every tree.") var learningRate = 0.1
    @Option(help: "Least rows of a leaf.") var minimumLeafRows = 20
    @Option(help: "Penalty of the squared leaf values (0) or standardized coefficients (1).")
    var regularization: Double?
    @Option(help: "Share of the rows that a tree sees.") var rowFraction = 1.0
    @Option(help: "Share of the columns that a tree may use.") var columnFraction = 1.0
    @Option(help: "Seed of all that is random.") var seed: UInt64 = 1
    @Option(help: "Write the raw scores of the predicted rows here, [rows], '<f8'.")
    var scores: String?
    @OptionGroup var lab: LabOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard testLabels == nil || testFeatures != nil else {
            throw ValidationError("--test-labels needs --test-features")
        }
    }

    func run() throws {
        var options = GBDTLab.TrainOptions(featuresPath: features, labelsPath: labels)
        options.testFeaturesPath = testFeatures
        options.testLabelsPath = testLabels
        options.scoresOutput = scores
        switch algorithm {
        case .trees:
            var parameters = BoostedTrees.Parameters()
            parameters.treeCount = trees
            parameters.leafCount = leaves
            parameters.learningRate = learningRate
            parameters.minimumLeafRows = minimumLeafRows
            parameters.regularization = regularization ?? parameters.regularization
            parameters.rowFraction = rowFraction
            parameters.columnFraction = columnFraction
            parameters.seed = seed
            options.algorithm = .trees(parameters)
        case .logistic:
            var parameters = LogisticRegression.Parameters()
            parameters.regularization = regularization ?? parameters.regularization
            options.algorithm = .logistic(parameters)
        }
        try output.print(try GBDTLab.train(options, lab.setting))
    }
}

struct LabGBDTPredict: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "predict", abstract: "Score rows by a model that LightGBM has written.",
        discussion: """
            The features are LightGBM's, in its order; categories are their codes. Prints \
            score_seconds and rows_per_second and, with labels, how good the scores are.
            """)

    @Option(help: "Features, [rows x features], '<f4'.") var features: String
    @Option(name: .customLong("lightgbm"), help: "A text model of LightGBM (save_model).")
    var model: String
    @Option(help: "Labels, [rows], 0 or 1.") var labels: String?
    @Option(help: "Write the raw scores here, [rows], '<f8'.") var scores: String?
    @OptionGroup var lab: LabOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        var options = GBDTLab.PredictOptions(featuresPath: features, lightGBMPath: model)
        options.labelsPath = labels
        options.scoresOutput = scores
        try output.print(try GBDTLab.predict(options, lab.setting))
    }
}
