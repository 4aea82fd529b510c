import ByteCoding
import ColumnStore
import Features
import Foundation
import Models
import Numerical
package import Units

/// What a scoring wrote.
package struct ScoreSummary: Codable, Sendable {
    package var generation: Int
    package var asOf: String
    package var customerCount: Int
    /// Customers of each status number.
    package var statusCounts: [String: Int]
    /// Names of the columns, in the order of their ids.
    package var columns: [String]
    /// Bytes of the generation's folder.
    package var byteCount: Int
    /// Models of the plan that were not trained: their columns are left out.
    package var missingModels: [String]
    /// Models that were trained before the plan's last change.
    package var modelsOfOtherPlans: [String]
    /// How customers were read whose attributes are missing, rare or new to the lifetime model; nil
    /// for none.
    package var notes: [String]?
}

extension Workspace {
    /// Scores every customer with the latest version of each model and writes a new generation,
    /// which `publish` makes current.
    /// - Parameters:
    ///   - asOf: nil as in `asOfDay`. Models trained on a later day are refused: they have seen
    ///     what the scores may not.
    ///   - csvPath: also writes the columns as CSV.
    package func score(
        asOf requested: CalendarDay? = nil, csvPath: String? = nil, threadCount: Int,
        report: (String) -> Void = { _ in }
    ) throws(EngineError) -> ScoreSummary {
        let asOf = try asOfDay(requested, threadCount: threadCount)
        report("computing features as of \(asOf)")
        var next = manifest
        let segmentationIDs = try ScoreCatalog.segmentationIDs(
            plan.segmentations.map(\.name), known: manifest.segmentationColumns ?? [:])
        next.segmentationColumns = segmentationIDs.isEmpty ? nil : segmentationIDs
        var scoring = try scoring(asOf, segmentationIDs, threadCount, report)
        let customerCount = scoring.table.rowCount
        report("scoring \(customerCount) customers")
        try scoring.run(report)
        guard !scoring.models.isEmpty else { throw .modelMissing(name: plan.modelNames[0]) }

        let generation = (manifest.generations.map(\.number).max() ?? 0) + 1
        report("writing generation \(generation)")
        // A folder of this number that no manifest names was left by a crash.
        let folderName = SnapshotWriter.folderName(generation: generation)
        let snapshotFolder = "\(folder)/snapshots/\(folderName)"
        if FileManager.default.fileExists(atPath: snapshotFolder) {
            try removeItem(snapshotFolder)
        }
        let contents = scoring.takeContents(generation: generation, asOf: asOf)
        let scores = scoring.scoreFile(contents)
        var counts = [Int](repeating: 0, count: 256)
        for status in contents.status { counts[Int(status)] += 1 }
        var statusCounts: [String: Int] = [:]
        for (status, count) in counts.enumerated() where count > 0 {
            statusCounts[String(status)] = count
        }
        let columnNames = contents.columns.map(\.name)
        let location = try SnapshotWriter.write(
            consume contents, scores: scores, into: "\(folder)/snapshots", isProvisional: true,
            threadCount: threadCount)
        next.generations.append(
            Manifest.Generation(number: generation, folder: "snapshots/\(folderName)"))
        do throws(EngineError) {
            if let csvPath { try scores.writeCSV(to: csvPath, threadCount: threadCount) }
            try commit(next, settling: [location.folder])
        } catch {
            PendingFiles.remove(location.folder)
            throw error
        }
        keepSegments(scoring, scores.contents.customerIDs, asOf: asOf, report)
        keepAffinity(scoring, scores, generation: "snapshots/\(folderName)", asOf: asOf, report)
        return ScoreSummary(
            generation: generation, asOf: asOf.description, customerCount: customerCount,
            statusCounts: statusCounts, columns: columnNames,
            byteCount: folderByteCount(location.folder), missingModels: scoring.missing,
            modelsOfOtherPlans: scoring.otherPlans,
            notes: scoring.notes.isEmpty ? nil : scoring.notes)
    }

    /// Keeps whose products the generation has for the next scoring, which can do without.
    private func keepAffinity(
        _ scoring: Scoring, _ scores: ScoreFile, generation: String, asOf: CalendarDay,
        _ report: (String) -> Void
    ) {
        guard let key = scoring.affinityKey else { return }
        do throws(EngineError) {
            try AffinityCache.write(
                scores.contents.customerIDs, key: key, lines: lines(asOf: asOf),
                generation: generation,
                self)
        } catch {
            report("the products of customers are not kept: \(error)")
        }
    }

    /// The same for the segments.
    private func keepSegments(
        _ scoring: Scoring, _ customerIDs: IDColumn, asOf: CalendarDay, _ report: (String) -> Void
    ) {
        guard !scoring.segmentNumbers.isEmpty else { return }
        do throws(EngineError) {
            try SegmentCache.write(
                scoring.segmentNumbers, of: customerIDs,
                key: try featureCacheKey(threadCount: scoring.threadCount),
                lines: lines(asOf: asOf),
                into: folder)
        } catch {
            report("the segments are not kept: \(error)")
        }
    }

    /// A run over the day's features, which alone holds them: what it is done with goes.
    private func scoring(
        _ asOf: CalendarDay, _ segmentationIDs: [String: Int], _ threadCount: Int,
        _ report: (String) -> Void
    ) throws(EngineError) -> Scoring {
        let (features, carried, predictions) = try scoredFeatures(asOf, threadCount, report)
        return Scoring(
            workspace: self, features: features, carried: carried,
            history: try surveyedHistory(threadCount: threadCount),
            segmentationIDs: segmentationIDs, predictions: predictions, threadCount: threadCount)
    }

    /// The features that the plan's segmentations and their latest models read, without those of
    /// segments that are carried on from the last scoring, and the predictions that they read.
    private func scoredFeatures(
        _ asOf: CalendarDay, _ threadCount: Int, _ report: (String) -> Void
    ) throws(EngineError) -> (
        features: DayFeatures, carried: CarriedSegments?, predictions: [String]
    ) {
        var names = plan.featureNames
        var segmentations: [LatestSegmentation] = []
        for segmentation in plan.segmentations {
            let versions = manifest.models.filter { $0.name == "segmentation.\(segmentation.name)" }
            guard let latest = versions.max(by: { $0.version < $1.version }) else { continue }
            let fitted = try ModelStore.read(
                FittedSegmentation.self, from: "\(folder)/\(latest.file)")
            names.formUnion(fitted.model.segmenter.featureNames)
            segmentations.append(LatestSegmentation(latest, fitted.model.segmenter))
        }
        let predictions = names.intersection(PredictedFeatures.names).sorted()
        names.subtract(predictions)
        let churnFeatures = try churnModelFeatures()
        names.formUnion(churnFeatures)
        let cache = try segmentCache(asOf, threadCount, report)
        var carried: [LatestSegmentation] = []
        func compute(
            narrowed: (FeatureCache.Lines) -> Set<String>?
        ) throws(EngineError) -> DayFeatures {
            let features = try dayFeatures(
                asOf: asOf, keeping: names, usesCache: true,
                collectsPurchases: manifest.models.contains { $0.name == "affinity" },
                narrowed: narrowed, threadCount: threadCount, report: report)
            // The scoring's own table is the last: its columns go as soon as they are read.
            loadedFeatures = nil
            return features
        }
        let features = try compute { kept in
            // Who has changed since the kept features has changed since the segments too.
            guard let cache, kept.goOn(to: cache.lines) else { return nil }
            var others = churnFeatures
            for model in segmentations {
                if let reason = cache.flaw(for: model, asOf: asOf) {
                    report("\(model.reference.name) of all customers: \(reason)")
                    others.formUnion(
                        Set(model.featureNames).subtracting(PredictedFeatures.names))
                } else {
                    carried.append(model)
                }
            }
            return others
        }
        guard let cache, let changed = features.changed, !carried.isEmpty else {
            return (features, nil, predictions)
        }
        if let segments = CarriedSegments(
            cache, models: carried, changed: changed, to: features.table, threadCount: threadCount)
        {
            return (features, segments, predictions)
        }
        report("segments of all customers: those kept are of other customers or models")
        return (try compute { _ in nil }, nil, predictions)
    }

    /// What the latest churn model reads, where the plan has one.
    private func churnModelFeatures() throws(EngineError) -> Set<String> {
        let versions = manifest.models.filter { $0.name == "churn" }
        guard plan.churn.model.isLearned, let latest = versions.max(by: { $0.version < $1.version })
        else { return [] }
        let fitted = try ModelStore.read(FittedChurn.self, from: "\(folder)/\(latest.file)")
        return Set(fitted.model.model.schema.map(\.name))
    }

    private func segmentCache(
        _ asOf: CalendarDay, _ threadCount: Int, _ report: (String) -> Void
    ) throws(EngineError) -> SegmentCache? {
        let key = try featureCacheKey(threadCount: threadCount)
        do throws(CacheFlaw) {
            return try SegmentCache(
                folder, key: key, goingOnTo: lines(asOf: asOf), ends: manifest.purchaseEnds,
                threadCount: threadCount)
        } catch {
            report("segments of all customers: \(error.reason)")
            return nil
        }
    }
}

/// One run of all models over the features of one day.
struct Scoring {
    let workspace: Workspace
    /// Without columns once the segmentations have read them.
    private(set) var table: FeatureTable
    /// Nil once it is read.
    private var carried: CarriedSegments?
    /// Nil once they are read.
    private var others: CarriedColumns?
    /// Nil once they are used.
    private var purchases: (since: FeatureCache.Lines, of: SurveyedHistory.CustomerPurchases)?
    let history: SurveyedHistory
    /// Predictions that segmentations read.
    private let predictions: [String]
    /// The column id of every segmentation, by name.
    let segmentationIDs: [String: Int]
    let threadCount: Int
    private(set) var columns: [ScoreColumn] = []
    private(set) var segments: [SegmentTable] = []
    private(set) var profiles: [SegmentProfile] = []
    /// The segment of every customer by the model of each segmentation, -1 for none.
    private(set) var segmentNumbers: [(model: ModelReference, numbers: [Int32])] = []
    /// By segmentations that need no purchases.
    private var attributeSegments: [AttributeSegments] = []
    private(set) var models: [ModelReference] = []
    private(set) var missing: [String] = []
    private(set) var otherPlans: [String] = []
    private(set) var notes: [String] = []
    private(set) var affinity: AffinityContents?
    private(set) var offers: OfferContents?
    /// Nil without a learned churn model, or where the plan wants none.
    private var churnReasons: ChurnReasons?
    /// What the affinity scores depend on; nil without any.
    private(set) var affinityKey: AffinityCache.Key?
    /// Those that `topProducts` are about.
    private var products: TextArray?
    /// Rows of products, best first, of every customer; empty without an affinity model.
    private(set) var topProducts = TopProductRows.empty

    init(
        workspace: Workspace, features: DayFeatures, carried: CarriedSegments?,
        history: SurveyedHistory, segmentationIDs: [String: Int], predictions: [String],
        threadCount: Int
    ) {
        self.workspace = workspace
        table = features.table
        purchases = features.purchases
        others = features.others
        self.carried = carried
        status = table.history.status
        eligible = status.map { $0 == CustomerHistory.ok }
        self.history = history
        self.segmentationIDs = segmentationIDs
        self.predictions = predictions
        self.threadCount = threadCount
    }

    private var plan: Plan { workspace.plan }
    /// The status of every customer, and whether it is ok.
    private let status: [UInt8]
    private let eligible: [Bool]

    /// - Parameter report: is told why something of an earlier scoring is of no use.
    mutating func run(_ report: (String) -> Void) throws(EngineError) {
        var outlook = Outlook()
        if plan.sources.purchases != nil {
            addHistoryColumns()
            outlook = try scoreOutlook()
        }
        for segmentation in plan.layeredSegmentations {
            try scoreSegmentation(segmentation, outlook)
        }
        sortSegments()
        table.removeColumns()
        (carried, others) = (nil, nil)
        if plan.sources.purchases != nil { try scoreAffinity(report) }
        columns.sort { $0.id < $1.id }
    }

    /// What the snapshot is made of, given up: the affinity's memory is then the writer's alone.
    mutating func takeContents(generation: Int, asOf: CalendarDay) -> SnapshotContents {
        var contents = SnapshotContents(
            generation: generation, asOf: asOf, currency: plan.currency, models: models,
            customerIDs: table.customerIDs, status: status, columns: columns, affinity: affinity,
            segments: segments)
        contents.profiles = profiles
        contents.offers = offers
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
    private mutating func model<Model: Codable>(
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

    private mutating func addHistoryColumns() {
        let data = table.history
        let valid = eligible
        append(.repeatPurchaseCount, "orders", .int32(data.repeatPurchaseCount), valid)
        append(.ageAtLastPurchaseDays, "days", .int32(data.ageAtLastPurchaseDays), valid)
        append(.observedAgeDays, "days", .int32(data.observedAgeDays), valid)
        append(.daysSinceLastPurchase, "days", .int32(data.daysSinceLastPurchase), valid)
        let hasRepeat = zip(valid, data.repeatPurchaseCount).map { $0 && $1 > 0 }
        append(.meanOrderValue, plan.currency, .float64(data.meanOrderValue), hasRepeat)
        append(.revenue, plan.currency, .float64(data.revenue), nil)
        append(.margin, plan.currency, .float64(data.margin), nil)
    }

    private mutating func append(
        _ column: ScoreCatalog.Column, _ unit: String, _ values: ScoreColumn.Values,
        _ valid: [Bool]?
    ) {
        let flags = valid.flatMap { $0.allSatisfy(\.self) ? nil : $0 }
        columns.append(
            ScoreColumn(
                id: column.rawValue, name: column.name, unit: unit,
                description: column.description, values: values, valid: flags))
    }

    /// What the models say of the customers' future.
    private mutating func scoreOutlook() throws(EngineError) -> Outlook {
        var outlook = Outlook()
        if plan.churn.model.isLearned, let fitted = try model(FittedChurn.self, "churn")?.model {
            let scores = try fitted.scores(
                table, reasonCount: plan.churn.reasonCount, threadCount: threadCount)
            append(.churnProbability, "probability", .float64(scores.probabilities), eligible)
            outlook.churn = (scores.probabilities, eligible)
            churnReasons = scores.reasons.count > 0 ? scores.reasons : nil
        }
        try scoreLifetime(&outlook)
        return outlook
    }

    private mutating func scoreLifetime(_ outlook: inout Outlook) throws(EngineError) {
        guard let fitted = try model(LifetimeModels.self, "lifetime")?.model else { return }
        let data = table.history
        let encoded = try workspace.covariates(
            of: fitted, table.customerIDs, status: data.status)
        notes += encoded.notes.map { "lifetime: \($0)" }
        let scores = try modelErrors("lifetime") {
            () throws(ModelError) in
            try fitted.scores(
                of: data, encoded.columns,
                plan.lifetimeParameters(
                    marginRate: fitted.marginRate, threadCount: threadCount))
        }
        let valid = scores.status.map { $0 == 0 }
        table.append(PredictedFeatures.columns(predictions, scores))
        append(
            .probabilityAlive, "probability", .float64(scores.probabilityAlive), valid)
        outlook.expectedPurchases = (scores.expectedPurchases, valid)
        append(.expectedPurchases, "orders", .float64(scores.expectedPurchases), valid)
        let isLearned = plan.churn.model.isLearned
        append(
            isLearned ? .lifetimeChurnProbability : .churnProbability, "probability",
            .float64(scores.churnProbability), valid)
        if !isLearned { outlook.churn = (scores.churnProbability, valid) }
        outlook.lifetimeValue = scores.lifetimeValue.map { ($0, valid) }
        if let values = scores.expectedOrderValue {
            append(.expectedOrderValue, plan.currency, .float64(values), valid)
        }
        if let values = scores.lifetimeValue {
            append(.lifetimeValue, plan.currency, .float64(values), valid)
        }
        let (simple, tiers) = try modelErrors("lifetime") {
            () throws(ModelError) in
            (
                try SimpleValueFormula.values(
                    monthlyRevenue: data.monthlyRevenue, status: data.status,
                    marginRatio: plan.lifetime.basis == .margin ? fitted.marginRate : 1,
                    months: fitted.simpleDurationMonths),
                try fitted.tiers.tiers(
                    observedAgeDays: data.observedAgeDays,
                    daysSinceLastPurchase: data.daysSinceLastPurchase, status: data.status,
                    threadCount: threadCount)
            )
        }
        append(
            .simpleLifetimeValue, plan.currency, .float64(simple.values),
            simple.status.map { $0 == 0 })
        append(.valueTier, "tier", .int32(tiers.map(Int32.init)), tiers.map { $0 > 0 })
        segments.append(
            segmentTable(
                "tier",
                RankedSegments(
                    ids: Array(1...ValueTierModel.names.count), names: ValueTierModel.names,
                    numbers: tiers.map { Int32($0) - 1 }), outlook))
    }

    /// What segments are described by, a value and whether there is one a customer.
    private struct Outlook {
        var churn: (values: [Double], valid: [Bool])?
        var lifetimeValue: (values: [Double], valid: [Bool])?
        var expectedPurchases: (values: [Double], valid: [Bool])?
    }

    private struct Mean {
        private var sum = 0.0
        private var count = 0

        /// Nil of nothing.
        var value: Double? { count > 0 ? sum / Double(count) : nil }

        mutating func add(_ value: Double) {
            sum += value
            count += 1
        }
    }

    private mutating func scoreSegmentation(
        _ settings: Plan.Segmentation, _ outlook: Outlook
    ) throws(EngineError) {
        let name = "segmentation.\(settings.name)"
        guard let columnID = segmentationIDs[settings.name],
            let fitted = try model(FittedSegmentation.self, name)?.model
        else { return }
        let model = models[models.count - 1]
        let lacking = fitted.segmenter.featureNames.filter {
            PredictedFeatures.names.contains($0) && table.column(named: $0) == nil
        }
        guard lacking.isEmpty else {
            // All else is scored.
            models.removeLast()
            missing.append(name)
            notes.append("\(EngineError.noPredictions(model: name, features: lacking))")
            return
        }
        var bases: [String: [Int32]] = [:]
        let outdated = fitted.segmenter.bases.filter { base in
            bases[base.name] = segmentNumbers.first { $0.model == base }?.numbers
            return bases[base.name] == nil
        }
        guard outdated.isEmpty else {
            models.removeLast()
            missing.append(name)
            notes.append(
                "\(EngineError.basesMissing(model: name, bases: outdated.map(\.name)))")
            return
        }
        var numbers: [Int32]
        if let carried, carried.models.contains(name),
            let earlier = carried.cache.numbers(of: model)
        {
            numbers = carried.rows.merge(
                earlier,
                try fitted.segmenter.segments(of: carried.changed, name, threadCount: threadCount),
                threadCount: threadCount)
        } else {
            numbers = try fitted.segmenter.segments(
                of: table, name, within: bases, threadCount: threadCount)
        }
        segmentNumbers.append((model, numbers))
        if fitted.segmenter.isOfAttributesAlone {
            attributeSegments.append(
                AttributeSegments(
                    segmentation: settings.name, ids: fitted.segmentIDs, numbers: numbers))
        }
        notes += settings.unknownNames(fitted.segmentIDs)
        let ranked = RankedSegments(fitted, settings, numbers: numbers)
        let profile = SegmentProfile(
            segmentation: settings.name, ids: ranked.ids,
            features: try ranked.profile(
                of: fitted.segmenter.featureNames, in: table, others, name,
                threadCount: threadCount))
        var described = segmentTable(settings.name, ranked, outlook)
        for place in described.segments.indices {
            described.segments[place].distinctions = profile.distinctions(of: place)
        }
        segments.append(described)
        profiles.append(profile)
        let ids = ranked.ids.map { Int32($0) }
        let valid = ranked.places.map { $0 >= 0 }
        columns.append(
            ScoreColumn(
                id: UInt16(columnID),
                name: "\(settings.name)_segment", unit: "segment",
                description: "segment of \(settings.name), \(fitted.segmenter.words) "
                    + (settings.parts.isEmpty ? settings.features : settings.parts)
                    .joined(separator: ", "),
                values: .int32(ranked.places.map { $0 < 0 ? 0 : ids[Int($0)] }),
                valid: valid.allSatisfy(\.self) ? nil : valid))
    }

    /// Tables in the order of the plan, whatever was scored first.
    private mutating func sortSegments() {
        let names = plan.segmentations.map(\.name)
        func place(_ segmentation: String) -> Int { names.firstIndex(of: segmentation) ?? -1 }
        let tables = segments.indices.sorted {
            let (a, b) = (place(segments[$0].segmentation), place(segments[$1].segmentation))
            return a == b ? $0 < $1 : a < b
        }
        segments = tables.map { segments[$0] }
        let order = profiles.indices.sorted {
            place(profiles[$0].segmentation) < place(profiles[$1].segmentation)
        }
        profiles = order.map { profiles[$0] }
    }

    private func segmentTable(
        _ segmentation: String, _ ranked: RankedSegments, _ outlook: Outlook
    ) -> SegmentTable {
        let (revenue, margin) = (table.history.revenue, table.history.margin)
        var tables = zip(ranked.ids, ranked.names).map { id, name in
            SegmentTable.Segment(number: id, name: name, customerCount: 0, revenue: 0)
        }
        var margins = [Double](repeating: 0, count: tables.count)
        var churn = [Mean](repeating: Mean(), count: tables.count)
        var (value, purchases) = (churn, churn)
        for (row, place) in ranked.places.enumerated() where tables.indices.contains(Int(place)) {
            let index = Int(place)
            tables[index].customerCount += 1
            tables[index].revenue += revenue[row]
            margins[index] += margin[row]
            if let (values, valid) = outlook.churn, valid[row] { churn[index].add(values[row]) }
            if let (values, valid) = outlook.lifetimeValue, valid[row] {
                value[index].add(values[row])
            }
            if let (values, valid) = outlook.expectedPurchases, valid[row] {
                purchases[index].add(values[row])
            }
        }
        for index in tables.indices {
            tables[index].margin = margins[index]
            tables[index].meanChurnProbability = churn[index].value
            tables[index].meanLifetimeValue = value[index].value
            tables[index].meanExpectedPurchases = purchases[index].value
        }
        return SegmentTable(segmentation: segmentation, segments: tables)
    }

    private mutating func scoreAffinity(_ report: (String) -> Void) throws(EngineError) {
        guard let read = try model(AffinityModel.Settings.self, "affinity") else { return }
        let saved = try AffinityModel(read.model, reading: read.file)
        let scoring = AffinityScoring(
            workspace: workspace, history: history, asOf: table.asOf, model: saved,
            reference: models[models.count - 1], purchases: purchases.take(),
            threadCount: threadCount)
        guard let scores = try scoring.scores(of: table.customerIDs, report) else { return }
        affinityKey = scoring.key
        (affinity, topProducts) = (scores.contents, scores.topProducts)
        offers = try workspace.offerContents(
            saved, table.customerIDs, asOf: table.asOf, history, topProducts, attributeSegments)
        if let lifts = offers?.customerLifts, !lifts.isEmpty {
            append(.promotionLift, "", .float64(lifts), eligible)
        }
    }
}
