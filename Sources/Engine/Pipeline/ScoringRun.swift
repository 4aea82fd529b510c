import ByteCoding
import Features
import Models
import Units

/// One run of all models over the features of one day.
struct Scoring {
    let workspace: Workspace
    /// Without columns once the segmentations have read them.
    var table: FeatureTable
    /// Nil once it is read.
    var carried: CarriedSegments?
    /// Nil once they are read.
    var others: CarriedColumns?
    /// Whom segmentations of attributes are of; nil where all have purchase lines. Without columns
    /// once these have read them.
    private(set) var known: KnownCustomers?
    /// By model name the segments of everybody known.
    var numbersOfAll: [String: [Int32]] = [:]
    /// Ids of columns that have a row for everybody known.
    var columnsOfAll: Set<UInt16> = []
    /// Nil once they are used.
    private var purchases: (since: FeatureCache.Lines, of: SurveyedHistory.CustomerPurchases)?
    let history: SurveyedHistory
    /// Predictions that segmentations read.
    let predictions: [String]
    /// The column id of every segmentation, by name.
    let segmentationIDs: [String: Int]
    let threadCount: Int
    var columns: [ScoreColumn] = []
    var segments: [SegmentTable] = []
    var profiles: [SegmentProfile] = []
    /// The segment of every customer by the model of each segmentation, -1 for none.
    var segmentNumbers: [(model: ModelReference, numbers: [Int32])] = []
    /// By segmentations that need no purchases, of everybody known.
    var attributeSegments: [AttributeSegments] = []
    var models: [ModelReference] = []
    var missing: [String] = []
    private(set) var otherPlans: [String] = []
    var notes: [String] = []
    private(set) var affinity: AffinityContents?
    private(set) var offers: OfferContents?
    /// Nil without a learned churn model, or where the plan wants none.
    var churnReasons: ChurnReasons?
    /// What the affinity scores depend on; nil without any.
    private(set) var affinityKey: AffinityCache.Key?
    /// Those that `topProducts` are about.
    private var products: TextArray?
    /// Rows of products, best first, of every customer; empty without an affinity model.
    private(set) var topProducts = TopProductRows.empty

    init(
        workspace: Workspace, features: DayFeatures, carried: CarriedSegments?,
        known: KnownCustomers?, history: SurveyedHistory, segmentationIDs: [String: Int],
        predictions: [String],
        threadCount: Int
    ) {
        self.workspace = workspace
        table = features.table
        purchases = features.purchases
        others = features.others
        self.carried = carried
        self.known = known
        status = table.history.status
        statusOfAll = known?.table.history.status ?? status
        eligible = status.map { $0 == CustomerHistory.ok }
        self.history = history
        self.segmentationIDs = segmentationIDs
        self.predictions = predictions
        self.threadCount = threadCount
    }

    var plan: Plan { workspace.plan }
    /// The status of every customer, and whether it is ok.
    private let status: [UInt8]
    let eligible: [Bool]
    /// Of everybody known.
    private let statusOfAll: [UInt8]

    /// Rows of the generation.
    var customerCount: Int { statusOfAll.count }
    private var customerIDs: IDColumn { known?.table.customerIDs ?? table.customerIDs }

    /// - Parameter report: is told why something of an earlier scoring is of no use.
    mutating func run(_ report: (String) -> Void) throws(EngineError) {
        var outlook = Outlook()
        if plan.sources.purchases != nil {
            columns += table.history.columns(plan)
            outlook = try scoreOutlook()
        }
        for segmentation in plan.layeredSegmentations {
            try scoreSegmentation(segmentation, outlook)
        }
        sortSegments()
        table.removeColumns()
        known?.removeColumns()
        (carried, others) = (nil, nil)
        if plan.sources.purchases != nil { try scoreAffinity(report) }
        if let sources = known?.sources {
            churnReasons?.spread(sources)
            for index in columns.indices where !columnsOfAll.contains(columns[index].id) {
                columns[index] = columns[index].spread(sources)
            }
        }
        columns.sort { $0.id < $1.id }
    }

    /// What the snapshot is made of, given up: the affinity's memory is then the writer's alone.
    mutating func takeContents(generation: Int, asOf: CalendarDay) -> SnapshotContents {
        var contents = SnapshotContents(
            generation: generation, asOf: asOf, currency: plan.currency, models: models,
            customerIDs: customerIDs, status: statusOfAll, columns: columns, affinity: affinity,
            segments: segments)
        contents.profiles = profiles
        contents.offers = offers
        if plan.sources.purchases != nil { contents.history = workspace.coverage(asOf: asOf) }
        if case .texts(let products)? = affinity?.productIDs { self.products = products }
        (affinity, offers) = (nil, nil)
        columns = []
        return contents
    }

    func scoreFile(_ contents: SnapshotContents) -> ScoreFile {
        var contents = contents
        (contents.affinity, contents.offers) = (nil, nil)
        return ScoreFile(
            contents: contents, products: products, topProducts: topProducts,
            churnReasons: churnReasons)
    }

    /// The latest version of a model; nil, and noted, where it was never trained.
    mutating func model<Model: Codable>(
        _ type: Model.Type, _ name: String
    ) throws(EngineError) -> ReadModel<Model>? {
        guard let read = try workspace.latestModel(type, name, asOf: table.asOf) else {
            missing.append(name)
            return nil
        }
        if read.card.planHash != plan.hash { otherPlans.append(name) }
        models.append(ModelReference(read.entry))
        return read
    }

    mutating func append(
        _ column: ScoreCatalog.Column, _ unit: String, _ values: ScoreColumn.Values,
        _ valid: [Bool]?
    ) {
        columns.append(ScoreColumn(column, unit, values, valid))
    }

    private mutating func scoreAffinity(_ report: (String) -> Void) throws(EngineError) {
        guard let read = try model(AffinityModel.Settings.self, "affinity") else { return }
        let saved = try AffinityModel(read.model, reading: read.file)
        let scoring = AffinityScoring(
            workspace: workspace, history: history, asOf: table.asOf, model: saved,
            reference: models[models.count - 1], purchases: purchases.take(),
            threadCount: threadCount)
        guard var scores = try scoring.scores(of: table.customerIDs, report) else { return }
        affinityKey = scoring.key
        if let known { scores.spread(known.sources, hasBasketDays: saved.variant.readsBaskets) }
        (affinity, topProducts) = (scores.contents, scores.topProducts)
        offers = try workspace.offerContents(
            saved, customerIDs, purchasers: known?.rows, asOf: table.asOf, history, topProducts,
            attributeSegments)
        if let lifts = offers?.customerLifts, !lifts.isEmpty {
            let isEligible = statusOfAll.map { $0 == CustomerHistory.ok }
            append(.promotionLift, "", .float64(lifts), isEligible)
            columnsOfAll.insert(ScoreCatalog.Column.promotionLift.rawValue)
        }
    }
}
