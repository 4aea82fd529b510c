import ByteCoding
import ColumnStore
package import Features
import Ingest
package import Models
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
        guard !segments.isEmpty else { throw .noPurchases(workspace: folder) }
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
    private func survey(
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
    /// - Parameters:
    ///   - names: features and groups that the table must hold; all where nil.
    ///   - usesCache: goes on from the features of the last day that were kept, and keeps these;
    ///     the values are the same either way.
    ///   - report: is told where the kept ones are of no use.
    package func features(
        asOf: CalendarDay, keeping names: Set<String>? = nil, usesCache: Bool = false,
        threadCount: Int, report: (String) -> Void = { _ in }
    ) throws(EngineError) -> FeatureTable {
        let key = featureKey(asOf)
        if let loadedFeatures, loadedFeatures.key == key,
            loadedFeatures.table.holds(names, keeping: loadedFeatures.names)
        {
            return loadedFeatures.table
        }
        // Before the new one is made: there may be no room for two.
        loadedFeatures = nil
        let attributes = try customerAttributes(for: names)
        var cached = usesCache ? try cachedFeatures(threadCount: threadCount, report) : nil
        if let asOfCached = cached?.state.asOf, asOf < asOfCached { cached = nil }
        let survey = try survey(
            asOf: asOf, goingOnFrom: cached?.survey, threadCount: threadCount)
        let scan = try mapErrors(EngineError.features) { () throws(FeatureError) in
            try FeatureScan(
                survey: survey.lines, categories: survey.categories, channels: survey.channels,
                asOf: asOf, clock: plan.clock, grossMarginRate: plan.grossMarginRate,
                keeping: names)
        }
        if let state = cached?.state, !scan.canCarry(state) { cached = nil }
        let history = try surveyedHistory(threadCount: threadCount)
        var isWorthKeeping = true
        var rows: FeatureRows
        if let cached {
            let change = HistoryChange(
                segmentCount: cached.survey.segmentCount,
                windows: scan.windows(since: cached.state.asOf))
            let carried: CarriedRows
            (rows, carried) = scan.rows(
                carrying: cached.state,
                replacedBy: try history.featureRows(scan, changed: change),
                threadCount: threadCount)
            report(
                "\(carried.carriedCount) of \(carried.sources.count) customers as they were on "
                    + "\(cached.state.asOf)")
            // The file is large: where few have changed, to compute them once more the next time
            // costs less than to write it.
            isWorthKeeping =
                carried.carriedCount < carried.sources.count / 8 * 7
                || cached.state.names != scan.featureNames
        } else {
            rows = try history.featureRows(scan)
        }
        guard rows.count <= Int(Int32.max) else {
            throw .features(
                .tooMany(what: "customers", actual: rows.count, limit: Int(Int32.max)))
        }
        let table: FeatureTable
        do throws(FeatureError) {
            // Nothing else holds the rows: the table is made of their memory.
            table = try scan.table(
                of: consume rows, attributes: attributes, threadCount: threadCount)
        } catch {
            throw .features(error)
        }
        if usesCache {
            let isSame =
                cached?.state.asOf == asOf
                && cached?.survey.segmentCount == manifest.purchaseSegments.count
            let collapsed = isSame ? cached?.collapsed : try? CollapsedHistory(table.history)
            loadedCollapsed = (key, collapsed)
            if isWorthKeeping { keep(table, scan, survey.totals, collapsed, report) }
        }
        loadedFeatures = (key, names, table)
        return table
    }

    /// The features kept of an earlier day; nil where there are none of use.
    private func cachedFeatures(
        threadCount: Int, _ report: (String) -> Void
    ) throws(EngineError) -> FeatureCache.Contents? {
        let key = try featureCacheKey(threadCount: threadCount)
        do throws(CacheFlaw) {
            return try FeatureCache.read(
                "\(folder)/\(FeatureCache.path)", key: key,
                purchases: manifest.purchaseSegments.map { FeatureCache.Key.Segment($0) })
        } catch {
            report("computing all features: \(error.reason)")
            return nil
        }
    }

    /// Keeps features for a later day. They can be computed anew: a full disk is no error here.
    private func keep(
        _ table: FeatureTable, _ scan: FeatureScan, _ survey: SurveyTotals,
        _ collapsed: CollapsedHistory?, _ report: (String) -> Void
    ) {
        do throws(EngineError) {
            let key = try featureCacheKey(threadCount: 1)
            try createFolder("\(folder)/cache")
            try mapErrors(EngineError.store) { () throws(StoreError) in
                try FeatureCache.write(
                    table, scan, survey, collapsed, key: key,
                    purchases: manifest.purchaseSegments.map { FeatureCache.Key.Segment($0) },
                    to: "\(folder)/\(FeatureCache.path)")
            }
        } catch {
            report("the features are not kept: \(error)")
        }
    }

    private func featureCacheKey(threadCount: Int) throws(EngineError) -> FeatureCache.Key {
        FeatureCache.Key(
            timeZone: plan.timeZone, grossMarginRate: plan.grossMarginRate,
            lineColumns: try segmentedHistory(threadCount: threadCount).columns.rawValue,
            products: manifest.productSegments.map { FeatureCache.Key.Segment($0) })
    }

    /// The unique purchase histories of a day's features, where they are known.
    package func collapsedHistory(asOf: CalendarDay) -> CollapsedHistory? {
        loadedCollapsed?.key == featureKey(asOf) ? loadedCollapsed?.history : nil
    }

    private func featureKey(_ asOf: CalendarDay) -> FeatureKey {
        FeatureKey(
            segments: (manifest.purchaseSegments + manifest.customerSegments
                + manifest.productSegments).map(\.file),
            asOf: asOf)
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
