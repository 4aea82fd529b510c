import ByteCoding
import Features
package import Models
import Numerical
package import Units

/// The lifetime models of one training: what `lifetime` model files hold.
package struct LifetimeModels: Codable, Sendable {
    /// Of all customers alike; where there are covariates, the model to compare theirs with.
    package var purchases: FittedPurchaseModel
    /// What scores are of where the plan names attributes that shift the model's parameters; nil
    /// elsewhere.
    package var covariates: FittedCovariates?
    /// Nil where too few customers bought twice to tell how order values differ; `valueMissing`
    /// says why. Lifetime value is then not served.
    package var orderValues: FittedGammaGamma?
    package var valueMissing: String?
    /// Margin / revenue of all purchases that the fit saw: what an expected revenue is worth.
    package var marginRate: Double
    /// Of lifetime value; of expected purchases where that is not fitted.
    package var tiers: ValueTierModel
    /// How long the simple formula expects a customer to stay.
    package var simpleDurationMonths: Double
}

/// Fits each model of a plan on the features of one day. Nothing is written here.
struct ModelFitting {
    let plan: Plan
    let history: SurveyedHistory
    /// Without columns once all models that read them are fitted.
    var table: FeatureTable
    /// The table's unique purchase histories where they are known already.
    var collapsed: CollapsedHistory?
    /// Of the rows, as of `Workspace.plannedAttributes`.
    let attributes: JoinedAttributes?
    let threadCount: Int
    /// By model name the segmentations that others are made of, as far as they are needed yet.
    var bases: [String: SegmentBase] = [:]
    /// Of the rows, for the affinity model.
    var attributeSegments: [AttributeSegments] = []
    /// Whom segmentations of attributes are of; nil where all have purchase lines.
    var known: KnownCustomers?

    /// Rows that have an order, which are the only ones models learn from.
    var eligibleRows: [Int] {
        table.history.status.indices.filter { table.history.status[$0] == CustomerHistory.ok }
    }

    /// A segmentation; `bases` has those that it is made of.
    func segmentation(_ settings: Plan.Segmentation) throws(EngineError) -> SegmentationFit {
        if settings.algorithm == .join { return try fitJoin(settings) }
        if let outer = settings.per { return try fitLayers(settings, per: outer) }
        return try clusters(settings)
    }

    /// A segmentation by features alone of the rows that are eligible.
    /// - Parameter rows: among which; all where nil.
    func clusters(
        _ settings: Plan.Segmentation, among rows: [Int]? = nil
    ) throws(EngineError) -> SegmentationFit {
        if let prototypes = settings.prototypes {
            return try fitPrototypes(settings, prototypes, among: rows)
        }
        let name = "segmentation.\(settings.name)"
        let selection = try self.selection(of: settings.features)
        guard !selection.columnIndices.isEmpty else {
            throw .noFeatures(model: name, features: settings.features)
        }
        let columns = selection.columnIndices.map { table.columns[$0] }
        let input = SegmentationInput(
            columns: columns, rows: table.eligibleRows(for: columns.map(\.name), among: rows),
            of: table.rowCount)
        if let rules = settings.rules {
            let lacking = selection.unavailable.filter(PredictedFeatures.names.contains)
            guard lacking.isEmpty else { throw .noPredictions(model: name, features: lacking) }
            guard selection.unavailable.isEmpty else {
                throw .noFeatures(model: name, features: selection.unavailable)
            }
            return SegmentationFit(
                fitted: try modelErrors(name) { () throws(ModelError) in
                    try Self.fit(rules, input)
                })
        }
        var parameters = KMeans.Parameters(
            seed: plan.seed, restarts: settings.restarts,
            maximumIterations: settings.maximumIterations, threadCount: threadCount)
        let (model, assignment, choice) = try modelErrors(name) {
            () throws(ModelError) in
            let choice = try chooseClusterCount(settings, input, &parameters)
            let fitted = try SegmentationModel.fit(
                featureNames: input.names, columns: input.columns, valid: input.valid,
                rows: input.rows, scaling: settings.scaling.kind, parameters: parameters)
            return (fitted.model, fitted.assignment, choice)
        }
        let fitted = FittedSegmentation(
            segmenter: .clusters(model),
            segmentNames: SegmentNames.of(
                model, columns: input.columns, valid: input.valid, rows: input.rows,
                segments: assignment.segments),
            unavailable: selection.unavailable)
        return SegmentationFit(
            fitted: fitted, choice: choice,
            map: try map(name, model.scaling, input, centroids: model.centroids))
    }

    /// Which columns of the table a list of features means. Predictions that were not made are
    /// unavailable.
    func selection(of features: [String]) throws(EngineError) -> FeatureTable.Selection {
        var (names, lacking): ([String], [String]) = ([], [])
        for name in features {
            let isLacking =
                PredictedFeatures.names.contains(name) && table.column(named: name) == nil
            if isLacking { lacking.append(name) } else { names.append(name) }
        }
        var selection = try mapErrors(EngineError.features) { () throws(FeatureError) in
            try table.selection(of: names)
        }
        selection.unavailable += lacking
        return selection
    }

    private static func fit(
        _ rules: Plan.SegmentRules, _ input: SegmentationInput
    ) throws(ModelError) -> FittedSegmentation {
        switch rules {
        case .lifecycle(let stages):
            return FittedSegmentation(
                segmenter: .stages(stages), segmentNames: stages.segmentNames, unavailable: [])
        case .quadrants(let cuts):
            let model = try QuadrantModel.fit(
                featureNames: input.names, columns: input.columns, valid: input.valid,
                rows: input.rows, leastHighValues: cuts?.map { Float($0) })
            return FittedSegmentation(
                segmenter: .quadrants(model), segmentNames: model.segmentNames, unavailable: [])
        case .rfm(let levelCount):
            let grid = try RFMGrid.fit(
                featureNames: input.names, columns: input.columns, valid: input.valid,
                rows: input.rows, levelCount: levelCount)
            return FittedSegmentation(
                segmenter: .grid(grid), segmentNames: grid.segmentNames, unavailable: [])
        }
    }

    /// Sets the number of clusters; where the data are to choose it, says how they did.
    private func chooseClusterCount(
        _ settings: Plan.Segmentation, _ input: SegmentationInput,
        _ parameters: inout KMeans.Parameters
    ) throws(ModelError) -> ModelCard.ClusterCountChoice? {
        switch settings.clusterCount {
        case .fixed(let count):
            parameters.clusterCount = count
            return nil
        case .automatic(let range):
            let scaling = try FeatureScaling.fit(
                settings.scaling.kind, columns: input.columns, valid: input.valid,
                rows: input.rows)
            let points = try scaling.apply(
                columns: input.columns, valid: input.valid, rows: input.rows,
                threadCount: threadCount)
            let outcome = try ClusterCountSearch.search(
                points,
                ClusterCountSearch.Parameters(
                    counts: range.from...range.to, criterion: range.criterion.criterion),
                fit: parameters)
            // The model's fit repeats the chosen one: same points, parameters and seed.
            parameters.clusterCount = outcome.clusterCount
            return ModelCard.ClusterCountChoice(outcome)
        }
    }

    /// - Returns: the models, and the covariates of all rows where the plan names any.
    func lifetime() throws(EngineError) -> (
        models: LifetimeModels, covariates: CovariateEncoding.Encoded
    ) {
        try modelErrors("lifetime") { () throws(ModelError) in
            try fitLifetime()
        }
    }

    private func fitLifetime() throws(ModelError) -> (
        models: LifetimeModels, covariates: CovariateEncoding.Encoded
    ) {
        let data = table.history
        let include = data.status.map { $0 == CustomerHistory.ok }
        var unique = collapsed
        if unique == nil { unique = try CollapsedHistory(data, threadCount: threadCount) }
        guard let unique else { throw .noRows(model: "lifetime") }
        let purchases = try plan.lifetime.model.fit(
            unique, PurchaseFitParameters(grid: plan.timeGrid, threadCount: threadCount))
        let covariates = try fitCovariates()
        let encoded = covariates?.encoded ?? CovariateEncoding.Encoded()
        var orderValues: FittedGammaGamma?
        var valueMissing: String?
        do throws(ModelError) {
            orderValues = try GammaGamma.fit(
                repeatPurchaseCount: data.repeatPurchaseCount,
                meanOrderValue: data.meanOrderValue, include: include,
                GammaGamma.Parameters(threadCount: threadCount))
        } catch {
            // Purchases and churn do not need order values: they are served without.
            valueMissing = error.description
        }
        let marginRate = marginRate()
        let scores = try LifetimeScores.score(
            data, purchases: purchases, covariates: covariates?.fitted.model, encoded.columns,
            orderValues: orderValues,
            plan.lifetimeParameters(marginRate: marginRate, threadCount: threadCount))
        let tiers = try ValueTierModel.fit(
            observedAgeDays: data.observedAgeDays,
            daysSinceLastPurchase: data.daysSinceLastPurchase,
            predictedValue: scores.lifetimeValue ?? scores.expectedPurchases,
            status: scores.status)
        let duration: SimpleValueFormula.Duration =
            plan.simpleFormula.durationMonths.map { .fixed(months: $0) }
            ?? .inverseChurn(maximumMonths: SimpleValueFormula.defaultMaximumMonths)
        let models = LifetimeModels(
            purchases: purchases, covariates: covariates?.fitted, orderValues: orderValues,
            valueMissing: valueMissing,
            marginRate: marginRate, tiers: tiers,
            simpleDurationMonths: try SimpleValueFormula.expectedDurationMonths(
                duration, churnProbability: scores.churnProbability, status: scores.status,
                churnHorizon: plan.churn.horizon))
        return (models, encoded)
    }

    /// Margin / revenue over all rows, returns deducted from both.
    private func marginRate() -> Double {
        guard table.convention.marginSource == .column else { return plan.grossMarginRate }
        let revenue = table.history.revenue.reduce(0, +)
        return revenue > 0 ? table.history.margin.reduce(0, +) / revenue : plan.grossMarginRate
    }
}

/// A segmentation as it was fitted, and what its card says of the fit.
struct SegmentationFit {
    var fitted: FittedSegmentation
    /// How the number of segments was chosen, where it was left to the data.
    var choice: ModelCard.ClusterCountChoice?
    /// Where the segments lie beside each other; nil for those that have no centroids.
    var map: SegmentMap?
    var warnings: [String] = []
}

/// The columns of a segmentation and the rows of the table that it is about; none is copied.
struct SegmentationInput {
    let names: [String]
    let columns: [[Float]]
    let valid: [[Bool]?]
    /// All where nil.
    let rows: [Int]?

    init(columns: [FeatureColumn], rows: [Int], of rowCount: Int) {
        names = columns.map(\.name)
        self.columns = columns.map(\.values)
        valid = columns.map(\.valid)
        self.rows = rows.count == rowCount ? nil : rows
    }

    init(names: [String], columns: [[Float]], valid: [[Bool]?], rows: [Int]?) {
        (self.names, self.columns, self.valid, self.rows) = (names, columns, valid, rows)
    }
}

extension Plan {
    /// The names of the models that the plan asks for, in the order of their training.
    package var modelNames: [String] {
        func names(_ isPredicted: Bool) -> [String] {
            layeredSegmentations.filter { usesPredictions($0) == isPredicted }.map {
                "segmentation.\($0.name)"
            }
        }
        // Customers without purchases have nothing that other models are of.
        if sources.purchases == nil { return names(false) }
        return names(false) + ["lifetime"] + names(true)
            + (churn.model.isLearned ? ["churn"] : []) + ["affinity"]
    }

    /// The wall clock of the plan's time zone; the parser has checked the name.
    package var clock: LocalClock { LocalClock(timeZoneName: timeZone) ?? .utc }

    func lifetimeParameters(
        marginRate: Double, threadCount: Int
    ) -> LifetimeScores.Parameters {
        var parameters = LifetimeScores.Parameters()
        parameters.horizon = lifetime.horizon
        parameters.churnHorizon = churn.horizon
        parameters.discountRate = discountRate
        parameters.basis = lifetime.basis == .margin ? .margin(ratio: marginRate) : .revenue
        parameters.threadCount = threadCount
        return parameters
    }
}

extension Plan.SegmentationAlgorithm {
    /// In model cards.
    var cardName: String {
        switch self {
        case .kMeans: "kmeans"
        case .kPrototypes: "kprototypes"
        case .join, .lifecycle, .quadrants, .rfm: rawValue
        }
    }
}

extension Plan.Scaling {
    var kind: FeatureScaling.Kind {
        switch self {
        case .logZScore: .logZScore
        case .none: .none
        case .quantile: .quantile
        case .robust: .robust
        case .zScore: .zScore
        }
    }
}

extension Plan.ClusterCountCriterion {
    var criterion: ClusterCountSearch.Criterion {
        switch self {
        case .calinskiHarabasz: .calinskiHarabasz
        case .silhouette: .silhouette
        }
    }
}

extension ModelCard.ClusterCountChoice {
    init(_ outcome: ClusterCountSearch.Outcome) {
        self.init(
            criterion: outcome.criterion, sampleRowCount: outcome.sampleRowCount,
            trials: outcome.trials)
    }
}

extension CollapsedHistory {
    /// Of the customers who have an order.
    init(_ data: CustomerHistory, threadCount: Int) throws(ModelError) {
        try self.init(
            repeatPurchaseCount: data.repeatPurchaseCount,
            ageAtLastPurchaseDays: data.ageAtLastPurchaseDays,
            observedAgeDays: data.observedAgeDays,
            include: data.status.map { $0 == CustomerHistory.ok }, threadCount: threadCount)
    }
}
