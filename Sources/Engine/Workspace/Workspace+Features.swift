import ByteCoding
import ColumnStore
package import Features
import Foundation
package import Models
package import Units

/// The features of a day.
struct DayFeatures {
    /// Of all customers.
    var table: FeatureTable
    /// All features, attributes aside, of the customers who have changed since the kept features of
    /// all customers; nil where all are computed from the lines.
    var changed: FeatureTable?
    /// The features that `table` was not told to hold, where it goes on from kept ones.
    var others: CarriedColumns?
    /// What the customers bought who have changed since the last kept features, those of these lines.
    var purchases: (since: FeatureCache.Lines, of: SurveyedHistory.CustomerPurchases)?
}

extension Workspace {
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
        let table = try dayFeatures(
            asOf: asOf, keeping: names, usesCache: usesCache, threadCount: threadCount,
            report: report
        ).table
        if loadedFeatures == nil { loadedFeatures = (featureKey(asOf), names, table) }
        return table
    }

    /// - Parameters:
    ///   - collectsPurchases: of the customers who have changed, where features go on from kept ones.
    ///   - narrowed: the features and groups of `names` that the table must hold where it goes on
    ///     from kept ones of these lines; all of them where nil.
    func dayFeatures(
        asOf: CalendarDay, keeping names: Set<String>?, usesCache: Bool,
        collectsPurchases: Bool = false,
        narrowed: (FeatureCache.Lines) -> Set<String>? = { _ in nil }, threadCount: Int,
        report: (String) -> Void
    ) throws(EngineError) -> DayFeatures {
        if let loadedFeatures, loadedFeatures.key == featureKey(asOf),
            loadedFeatures.table.holds(names, keeping: loadedFeatures.names)
        {
            return DayFeatures(table: loadedFeatures.table)
        }
        // Before the new one is made: there may be no room for two.
        loadedFeatures = nil
        let attributes = try customerAttributes(for: names)
        if plan.sources.purchases == nil {
            return DayFeatures(table: try customerTable(attributes, asOf: asOf, keeping: names))
        }
        var cached =
            usesCache ? try cachedFeatures(asOf, threadCount: threadCount, report) : nil
        let survey = try survey(
            asOf: asOf, goingOnFrom: cached?.survey, threadCount: threadCount)
        func scan(_ names: Set<String>?) throws(EngineError) -> FeatureScan {
            try mapErrors(EngineError.features) { () throws(FeatureError) in
                try FeatureScan(
                    survey: survey.lines, categories: survey.categories,
                    channels: survey.channels, asOf: asOf, clock: plan.clock,
                    grossMarginRate: plan.grossMarginRate, keeping: names)
            }
        }
        let all = try scan(names)
        if let kept = cached {
            if all.canCarry(kept.state), kept.changed.map(all.canCarry) ?? true {
                let some = try narrowed(kept.lines).map(scan) ?? all
                if let features = try carriedFeatures(
                    kept, all, some, attributes, survey.totals,
                    collectsPurchases: collectsPurchases, threadCount, report)
                {
                    return features
                }
            } else {
                report("computing all features: those kept have other columns")
            }
        }
        // There may be no room for two.
        cached = nil
        let rows = try surveyedHistory(threadCount: threadCount).featureRows(all)
        let table = try table(of: consume rows, all, attributes, threadCount)
        if usesCache {
            let collapsed = try? CollapsedHistory(table.history, threadCount: threadCount)
            loadedCollapsed = (featureKey(asOf), collapsed)
            keep(table, all, survey.totals, collapsed, changedSince: nil, report)
        }
        return DayFeatures(table: table)
    }

    /// The attributes of all customers of the table of customers.
    /// - Throws: `.noCustomers` where none are ingested.
    func customerTable(
        _ attributes: CustomerAttributes?, asOf: CalendarDay, keeping names: Set<String>?
    ) throws(EngineError) -> FeatureTable {
        guard let attributes, attributes.ids.count > 0 else {
            throw .noCustomers(workspace: folder)
        }
        return try mapErrors(EngineError.features) { () throws(FeatureError) in
            try FeatureTable(
                of: attributes, asOf: asOf,
                convention: OrderConvention(
                    orderUnit: .customerDay, marginSource: .rate,
                    grossMarginRate: plan.grossMarginRate, itemUnit: .line,
                    timeZoneName: plan.timeZone),
                keeping: names)
        }
    }

    /// Features that go on from kept ones, which are kept in turn.
    /// - Parameters:
    ///   - all: the features to keep.
    ///   - some: those of all customers that the table must hold.
    /// - Returns: nil where the kept ones are damaged.
    private func carriedFeatures(
        _ cached: FeatureCache.Contents, _ all: FeatureScan, _ some: FeatureScan,
        _ attributes: CustomerAttributes?, _ survey: SurveyTotals, collectsPurchases: Bool,
        _ threadCount: Int, _ report: (String) -> Void
    ) throws(EngineError) -> DayFeatures? {
        let last = cached.survey
        var (changed, purchases) = try surveyedHistory(threadCount: threadCount).changedRows(
            all,
            HistoryChange(
                segmentCount: last.segmentCount, windows: all.windows(since: last.asOf)),
            collectsPurchases: collectsPurchases)
        let freshCount = changed.count
        // Of so many they are no small part of all: they are read again when they are wanted.
        if freshCount > cached.state.rowCount / FeatureCache.changedShare { purchases = nil }
        if let state = cached.changed {
            changed = all.rows(carrying: state, replacedBy: changed, threadCount: threadCount)
        }
        let keepsAll =
            changed.count > cached.state.rowCount / FeatureCache.changedShare
            || !cached.state.hasNames(all.featureNames)
        let columns = keepsAll ? all : some
        do throws(CacheFlaw) {
            try cached.verify(all.featureNames, threadCount: threadCount)
        } catch {
            report("computing all features: \(error.reason)")
            return nil
        }
        let rows = columns.rows(
            carrying: cached.state, replacedBy: changed, named: all.featureNames,
            threadCount: threadCount)
        report("\(rows.count - freshCount) of \(rows.count) customers as they were on \(last.asOf)")
        let table = try table(of: consume rows, columns, attributes, threadCount)
        let changedTable = try self.table(of: consume changed, all, nil, threadCount)
        let isSame = cached.last == lines(asOf: table.asOf)
        var collapsed = isSame ? cached.collapsed : nil
        if keepsAll {
            collapsed =
                collapsed ?? (try? CollapsedHistory(table.history, threadCount: threadCount))
            keep(table, all, survey, collapsed, changedSince: nil, report)
        } else if !isSame {
            keep(changedTable, all, survey, nil, changedSince: cached.base, report)
        }
        if let collapsed { loadedCollapsed = (featureKey(table.asOf), collapsed) }
        let others =
            columns.featureNames.count < all.featureNames.count
            ? CarriedColumns(cached.state, replacedBy: changedTable, asOf: table.asOf) : nil
        return DayFeatures(
            table: table, changed: changedTable, others: others,
            purchases: purchases.map { (cached.last, $0) })
    }

    private func table(
        of rows: consuming FeatureRows, _ scan: FeatureScan, _ attributes: CustomerAttributes?,
        _ threadCount: Int
    ) throws(EngineError) -> FeatureTable {
        guard rows.count <= Int(Int32.max) else {
            throw .features(
                .tooMany(what: "customers", actual: rows.count, limit: Int(Int32.max)))
        }
        do throws(FeatureError) {
            // Nothing else holds the rows: the table is made of their memory.
            return try scan.table(
                of: consume rows, attributes: attributes, threadCount: threadCount)
        } catch {
            throw .features(error)
        }
    }

    /// The features kept of this or an earlier day; nil where there are none of use.
    private func cachedFeatures(
        _ asOf: CalendarDay, threadCount: Int, _ report: (String) -> Void
    ) throws(EngineError) -> FeatureCache.Contents? {
        let key = try featureCacheKey(threadCount: threadCount)
        let ids = try segmentedHistory(threadCount: threadCount).splits
        do throws(CacheFlaw) {
            let kept = try FeatureCache.read(
                folder, key: key, ends: manifest.purchaseEnds, threadCount: threadCount)
            guard kept.last.asOf <= asOf else {
                throw CacheFlaw(reason: "those kept are of \(kept.last.asOf), a later day")
            }
            guard kept.state.customerIDs.isOfKind(of: ids),
                kept.changed?.customerIDs.isOfKind(of: ids) ?? true
            else { throw CacheFlaw(reason: "those kept are of customers with other ids") }
            return kept
        } catch {
            report("computing all features: \(error.reason)")
            return nil
        }
    }

    /// What all lines come to as of a day, by what an earlier computation of features kept: then no line
    /// is read but those of later deliveries and days. All are where nothing of use is kept.
    func keptSurvey(asOf: CalendarDay, threadCount: Int) throws(EngineError) -> HistorySurvey {
        let key = try featureCacheKey(threadCount: threadCount)
        var earlier: SegmentedHistory.EarlierSurvey?
        do throws(CacheFlaw) {
            earlier = try FeatureCache.survey(folder, key: key, ends: manifest.purchaseEnds)
        } catch {
            // None is kept, or of other lines: all are read.
            earlier = nil
        }
        if let known = earlier, known.asOf > asOf { earlier = nil }
        return try survey(asOf: asOf, goingOnFrom: earlier, threadCount: threadCount)
    }

    /// Keeps features for a later day. They can be computed anew: a full disk is no error here.
    /// - Parameter base: the file of all customers that these, of the changed ones, go on from; nil
    ///   for the features of all customers.
    private func keep(
        _ table: FeatureTable, _ scan: FeatureScan, _ survey: SurveyTotals,
        _ collapsed: CollapsedHistory?, changedSince base: UInt32?, _ report: (String) -> Void
    ) {
        do throws(EngineError) {
            let key = try featureCacheKey(threadCount: 1)
            try createFolder("\(folder)/cache")
            try mapErrors(EngineError.store) { () throws(StoreError) in
                try FeatureCache.write(
                    table, scan, survey, collapsed, base: base, key: key,
                    end: lines(asOf: scan.asOf).end, into: folder)
            }
            // Those who have changed since an earlier one are of no more use.
            if base == nil {
                try? FileManager.default.removeItem(atPath: "\(folder)/\(FeatureCache.changedPath)")
            }
        } catch {
            report("the features are not kept: \(error)")
        }
    }

    func featureCacheKey(threadCount: Int) throws(EngineError) -> FeatureCache.Key {
        FeatureCache.Key(
            timeZone: TimeZoneKey(plan.clock), grossMarginRate: plan.grossMarginRate,
            lineColumns: try segmentedHistory(threadCount: threadCount).columns.rawValue,
            products: manifest.productSegments.map { FeatureCache.Key.Segment($0) })
    }

    /// The lines of now, by a day.
    func lines(asOf: CalendarDay) -> FeatureCache.Lines {
        FeatureCache.Lines(asOf: asOf, end: manifest.purchaseEnds.last ?? .start)
    }

    /// The unique purchase histories of a day's features, where these are known.
    package func collapsedHistory(asOf: CalendarDay, threadCount: Int) -> CollapsedHistory? {
        let key = featureKey(asOf)
        if let loadedCollapsed, loadedCollapsed.key == key { return loadedCollapsed.history }
        guard let loadedFeatures, loadedFeatures.key == key else { return nil }
        return try? CollapsedHistory(loadedFeatures.table.history, threadCount: threadCount)
    }

    private func featureKey(_ asOf: CalendarDay) -> FeatureKey {
        FeatureKey(
            segments: (manifest.purchaseSegments + manifest.customerSegments
                + manifest.productSegments).map(\.file),
            asOf: asOf)
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
