import ByteCoding
import ColumnStore
package import Features
import Ingest
package import Units

extension Workspace {
    /// All purchase lines as one history, read anew: for what memory holds. Training and scoring
    /// read chunks of customers instead.
    package func history() throws(EngineError) -> PurchaseHistory {
        try segmentedHistory(threadCount: 1).whole(threadCount: 1)
    }

    /// The purchase lines of the manifest's segments, opened once.
    func segmentedHistory(threadCount: Int) throws(EngineError) -> SegmentedHistory {
        let segments = manifest.purchaseSegments.map(\.file)
        if let loadedHistory, loadedHistory.segments == segments { return loadedHistory.history }
        guard !segments.isEmpty else { throw .noPurchases(workspace: folder) }
        let history = try SegmentedHistory(
            paths: segments.map { "\(folder)/\($0)" }, grossMarginRate: plan.grossMarginRate,
            threadCount: threadCount)
        loadedHistory = (segments, history, nil)
        return history
    }

    /// The same with its texts, which are found once.
    func surveyedHistory(threadCount: Int) throws(EngineError) -> SurveyedHistory {
        let history = try segmentedHistory(threadCount: threadCount)
        let texts: LineTexts
        if let known = loadedHistory?.texts {
            texts = known
        } else {
            texts = try survey(asOf: nil, threadCount: threadCount).texts
        }
        return SurveyedHistory(
            lines: history, texts: texts, clock: plan.clock, threadCount: threadCount)
    }

    /// What all lines come to as of a day. Where no line names a category, with those of the product
    /// table.
    private func survey(
        asOf: CalendarDay?, threadCount: Int
    ) throws(EngineError) -> HistorySurvey {
        let history = try segmentedHistory(threadCount: threadCount)
        var survey = try history.survey(
            asOf: asOf, clock: plan.clock, threadCount: threadCount)
        if survey.categories == nil, survey.texts.products != nil {
            let products = try EntitySegments.read(
                manifest.productSegments.map { "\(folder)/\($0.file)" })
            if let products,
                case .text(let categories)? = products.columns.first(where: {
                    $0.name == "category"
                })?.values
            {
                try mapErrors(EngineError.features) { () throws(FeatureError) in
                    try survey.takeCategories(ofProducts: products.ids, categories)
                }
            }
        }
        loadedHistory?.texts = survey.texts
        return survey
    }

    /// The day that a command without `--as-of` means: the plan's, else that of the last purchase.
    package func asOfDay(
        _ requested: CalendarDay?, threadCount: Int
    ) throws(EngineError) -> CalendarDay {
        if let day = requested ?? plan.asOf { return day }
        let history = try segmentedHistory(threadCount: threadCount)
        guard let days = try history.purchaseDays(clock: plan.clock) else {
            throw .features(.noPurchases)
        }
        return days.upperBound
    }

    /// The features of all customers as of a day, computed once.
    /// - Parameter names: features and groups that the table must hold; all where nil.
    package func features(
        asOf: CalendarDay, keeping names: Set<String>? = nil, threadCount: Int
    ) throws(EngineError) -> FeatureTable {
        let key = FeatureKey(
            segments: (manifest.purchaseSegments + manifest.customerSegments
                + manifest.productSegments).map(\.file),
            asOf: asOf)
        if let loadedFeatures, loadedFeatures.key == key,
            loadedFeatures.table.holds(names, keeping: loadedFeatures.names)
        {
            return loadedFeatures.table
        }
        // Before the new one is made: there may be no room for two.
        loadedFeatures = nil
        let survey = try survey(asOf: asOf, threadCount: threadCount)
        let scan = try mapErrors(EngineError.features) { () throws(FeatureError) in
            try FeatureScan(
                survey: survey.lines, categories: survey.categories, channels: survey.channels,
                asOf: asOf, clock: plan.clock, grossMarginRate: plan.grossMarginRate,
                keeping: names)
        }
        let rows = try surveyedHistory(threadCount: threadCount).featureRows(scan)
        let attributes = try customerAttributes(for: names)
        let table = try mapErrors(EngineError.features) { () throws(FeatureError) in
            try scan.table(of: rows, attributes: attributes, threadCount: threadCount)
        }
        loadedFeatures = (key, names, table)
        return table
    }

    /// The table of customers; nil where there is none, or no feature is one of its attributes.
    private func customerAttributes(
        for names: Set<String>?
    ) throws(EngineError) -> CustomerAttributes? {
        guard names.map({ $0.contains(where: FeatureCatalog.mayBeAttribute) }) ?? true else {
            return nil
        }
        let customers = try EntitySegments.read(
            manifest.customerSegments.map { "\(folder)/\($0.file)" })
        return try mapErrors(EngineError.features) { () throws(FeatureError) in
            try customers?.attributes
        }
    }
}

/// What a feature table depends on.
struct FeatureKey: Equatable {
    let segments: [String]
    let asOf: CalendarDay
}

extension FeatureTable {
    /// Whether a table that was told to hold some features and groups holds others too.
    fileprivate func holds(_ wanted: Set<String>?, keeping names: Set<String>?) -> Bool {
        guard let names else { return true }
        guard let wanted else { return false }
        return wanted.allSatisfy { name in
            names.contains(name) || column(named: name) != nil || !mayLack(name)
        }
    }
}
