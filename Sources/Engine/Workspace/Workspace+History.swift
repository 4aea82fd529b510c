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

    /// The purchase lines of the manifest's segments, opened once. Where another process has merged and
    /// removed some since this one only looked, those of the newer state.
    func segmentedHistory(threadCount: Int) throws(EngineError) -> SegmentedHistory {
        let segments = manifest.purchaseSegments.map(\.file)
        if let loadedHistory, loadedHistory.segments == segments { return loadedHistory.history }
        guard !segments.isEmpty || plan.sources.purchases == nil else {
            throw .noPurchases(workspace: folder)
        }
        do throws(EngineError) {
            let history = try SegmentedHistory(
                paths: segments.map { "\(folder)/\($0)" }, grossMarginRate: plan.grossMarginRate,
                threadCount: threadCount)
            loadedHistory = (segments, history, nil)
            return history
        } catch {
            let missed = manifest.purchaseSegments
            guard takeNewerState(), manifest.purchaseSegments != missed else { throw error }
            return try segmentedHistory(threadCount: threadCount)
        }
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
    func survey(
        asOf: CalendarDay?, goingOnFrom earlier: SegmentedHistory.EarlierSurvey? = nil,
        threadCount: Int
    ) throws(EngineError) -> HistorySurvey {
        let history = try segmentedHistory(threadCount: threadCount)
        var survey = try history.survey(
            asOf: asOf, clock: plan.clock, goingOnFrom: earlier, threadCount: threadCount)
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
    /// - Parameter today: what it is where there are no purchases: attributes have no days, they are
    ///   those of now. 1970-01-01 for a caller without a clock, whose days all are one.
    package func asOfDay(
        _ requested: CalendarDay?, today: CalendarDay? = nil, threadCount: Int
    ) throws(EngineError) -> CalendarDay {
        if let day = requested ?? plan.asOf { return day }
        if plan.sources.purchases == nil { return today ?? CalendarDay(daysSince1970: 0) }
        let history = try segmentedHistory(threadCount: threadCount)
        guard let days = try history.purchaseDays(clock: plan.clock) else {
            throw .features(.noPurchases)
        }
        return days.upperBound
    }

    /// The table of customers; nil where there is none, or no feature is one of its attributes.
    func customerAttributes(
        for names: Set<String>?
    ) throws(EngineError) -> CustomerAttributes? {
        guard names.map({ $0.contains(where: FeatureCatalog.mayBeAttribute) }) ?? true else {
            return nil
        }
        let customers = try EntitySegments.read(
            manifest.customerSegments.map { "\(folder)/\($0.file)" })
        return try mapErrors(EngineError.features) { () throws(FeatureError) in
            try customers?.attributes(places: plan.places)
        }
    }
}
