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
        var scoring = Scoring(
            workspace: self,
            table: try features(
                asOf: asOf, keeping: try scoredFeatureNames(), usesCache: true,
                threadCount: threadCount, report: report),
            history: try surveyedHistory(threadCount: threadCount),
            segmentationIDs: segmentationIDs, threadCount: threadCount)
        // The scoring's own table is the last: its columns go as soon as they are read.
        loadedFeatures = nil
        let customerCount = scoring.table.rowCount
        report("scoring \(customerCount) customers")
        try scoring.run()
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
            consume contents, scores: scores, into: "\(folder)/snapshots",
            threadCount: threadCount)
        do throws(EngineError) {
            if let csvPath { try scores.writeCSV(to: csvPath, threadCount: threadCount) }
        } catch {
            try? FileManager.default.removeItem(atPath: location.folder)
            throw error
        }
        next.generations.append(
            Manifest.Generation(number: generation, folder: "snapshots/\(folderName)"))
        try commit(next)
        keepAffinity(scoring, scores, generation: "snapshots/\(folderName)", asOf: asOf, report)
        return ScoreSummary(
            generation: generation, asOf: asOf.description, customerCount: customerCount,
            statusCounts: statusCounts, columns: columnNames,
            byteCount: folderByteCount(location.folder), missingModels: scoring.missing,
            modelsOfOtherPlans: scoring.otherPlans)
    }

    /// Keeps the lists for the next scoring, which can compute them anew.
    private func keepAffinity(
        _ scoring: Scoring, _ scores: ScoreFile, generation: String, asOf: CalendarDay,
        _ report: (String) -> Void
    ) {
        guard let key = scoring.affinityKey else { return }
        do throws(EngineError) {
            try AffinityCache.write(
                scores.contents.customerIDs, scores.topProducts, key: key, asOf: asOf,
                generation: generation, self)
        } catch {
            report("the lists of products are not kept: \(error)")
        }
    }

    /// The features and groups that the plan's segmentations and their latest models read.
    private func scoredFeatureNames() throws(EngineError) -> Set<String> {
        var names = plan.featureNames
        for segmentation in plan.segmentations {
            let versions = manifest.models.filter { $0.name == "segmentation.\(segmentation.name)" }
            guard let latest = versions.max(by: { $0.version < $1.version }) else { continue }
            let fitted = try ModelStore.read(
                FittedSegmentation.self, from: "\(folder)/\(latest.file)")
            names.formUnion(fitted.model.model.featureNames)
        }
        return names
    }
}

/// One run of all models over the features of one day.
struct Scoring {
    let workspace: Workspace
    /// Without columns once the segmentations have read them.
    private(set) var table: FeatureTable
    let history: SurveyedHistory
    /// The column id of every segmentation, by name.
    let segmentationIDs: [String: Int]
    let threadCount: Int
    private(set) var columns: [ScoreColumn] = []
    private(set) var segments: [SegmentTable] = []
    private(set) var models: [ModelReference] = []
    private(set) var missing: [String] = []
    private(set) var otherPlans: [String] = []
    private(set) var affinity: AffinityContents?
    /// What the affinity scores depend on; nil without any.
    private(set) var affinityKey: AffinityCache.Key?
    /// Those that `topProducts` are about.
    private var products: TextArray?
    /// Rows of products, best first, of every customer; empty without an affinity model.
    private(set) var topProducts = TopLists.empty

    init(
        workspace: Workspace, table: FeatureTable, history: SurveyedHistory,
        segmentationIDs: [String: Int], threadCount: Int
    ) {
        self.workspace = workspace
        self.table = table
        status = table.history.status
        eligible = status.map { $0 == CustomerHistory.ok }
        self.history = history
        self.segmentationIDs = segmentationIDs
        self.threadCount = threadCount
    }

    private var plan: Plan { workspace.plan }
    /// The status of every customer, and whether it is ok.
    private let status: [UInt8]
    private let eligible: [Bool]

    mutating func run() throws(EngineError) {
        addHistoryColumns()
        let lifetime = try scoreLifetime()
        for segmentation in plan.segmentations {
            try scoreSegmentation(segmentation, lifetime: lifetime)
        }
        table.removeColumns()
        try scoreAffinity()
        columns.sort { $0.id < $1.id }
    }

    /// What the snapshot is made of, given up: the affinity's memory is then the writer's alone.
    mutating func takeContents(generation: Int, asOf: CalendarDay) -> SnapshotContents {
        let contents = SnapshotContents(
            generation: generation, asOf: asOf, currency: plan.currency, models: models,
            customerIDs: table.customerIDs, status: status, columns: columns, affinity: affinity,
            segments: segments)
        if case .texts(let products)? = affinity?.productIDs { self.products = products }
        affinity = nil
        columns = []
        return contents
    }

    func scoreFile(_ contents: SnapshotContents) -> ScoreFile {
        var contents = contents
        contents.affinity = nil
        return ScoreFile(contents: contents, products: products, topProducts: topProducts)
    }

    /// The latest version of a model; nil, and noted, where it was never trained.
    private mutating func model<Model: Codable>(
        _ type: Model.Type, _ name: String
    ) throws(EngineError) -> (card: ModelCard, model: Model, file: ArrayFile)? {
        let versions = workspace.manifest.models.filter { $0.name == name }
        guard let entry = versions.max(by: { $0.version < $1.version }) else {
            missing.append(name)
            return nil
        }
        let path = "\(workspace.folder)/\(entry.file)"
        let read = try ModelStore.read(type, from: path)
        guard CalendarDay(parsing: read.card.asOf).map({ $0 <= table.asOf }) ?? false else {
            throw .modelFromTheFuture(
                name: name, trainedAsOf: read.card.asOf, asOf: table.asOf.description)
        }
        if read.card.planHash != plan.hash { otherPlans.append(name) }
        models.append(
            ModelReference(name: name, version: entry.version, checksum: entry.checksum))
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

    private mutating func scoreLifetime() throws(EngineError) -> LifetimeScores? {
        guard let fitted = try model(LifetimeModels.self, "lifetime")?.model else { return nil }
        let data = table.history
        let scores = try modelErrors("lifetime") {
            () throws(ModelError) in
            try LifetimeScores.score(
                data, purchases: fitted.purchases, orderValues: fitted.orderValues,
                plan.lifetimeParameters(
                    marginRate: fitted.marginRate, threadCount: threadCount))
        }
        let valid = scores.status.map { $0 == 0 }
        append(
            .probabilityAlive, "probability", .float64(scores.probabilityAlive), valid)
        append(.expectedPurchases, "orders", .float64(scores.expectedPurchases), valid)
        append(.churnProbability, "probability", .float64(scores.churnProbability), valid)
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
                    daysSinceLastPurchase: data.daysSinceLastPurchase, status: data.status)
            )
        }
        append(
            .simpleLifetimeValue, plan.currency, .float64(simple.values),
            simple.status.map { $0 == 0 })
        append(.valueTier, "tier", .int32(tiers.map(Int32.init)), tiers.map { $0 > 0 })
        let names = ["highest value", "high value", "low value", "lowest value"]
        segments.append(
            segmentTable("tier", names, firstNumber: 1, of: tiers.map(Int32.init), scores))
        return scores
    }

    private mutating func scoreSegmentation(
        _ settings: Plan.Segmentation, lifetime: LifetimeScores?
    ) throws(EngineError) {
        let name = "segmentation.\(settings.name)"
        guard let columnID = segmentationIDs[settings.name],
            let fitted = try model(FittedSegmentation.self, name)?.model
        else { return }
        let valid = eligible
        let rows = valid.indices.filter { valid[$0] }
        var inputs: [FeatureColumn] = []
        for name in fitted.model.featureNames {
            // A value that no customer has any more (a category gone from sale) is a share of 0.
            inputs.append(
                table.column(named: name)
                    ?? FeatureColumn(
                        name: name, unit: .share,
                        values: [Float](repeating: 0, count: table.rowCount)))
        }
        let input = SegmentationInput(columns: inputs, rows: rows, of: table.rowCount)
        let assignment = try modelErrors(name) {
            () throws(ModelError) in
            try fitted.model.assign(
                columns: input.columns, valid: input.valid, rows: input.rows,
                threadCount: threadCount)
        }
        var numbers = [Int32](repeating: -1, count: table.rowCount)
        for (position, row) in rows.enumerated() { numbers[row] = assignment.segments[position] }
        segments.append(
            segmentTable(
                settings.name, fitted.segmentNames, firstNumber: 0, of: numbers, lifetime))
        columns.append(
            ScoreColumn(
                id: UInt16(columnID),
                name: "\(settings.name)_segment", unit: "segment",
                description: "segment of \(settings.name), k-means on "
                    + settings.features.joined(separator: ", "),
                values: .int32(numbers.map { max(0, $0) }),
                valid: valid.allSatisfy(\.self) ? nil : valid))
    }

    /// - Parameter numbers: a segment a customer; one outside the names' range means none.
    private func segmentTable(
        _ segmentation: String, _ names: [String], firstNumber: Int, of numbers: [Int32],
        _ lifetime: LifetimeScores?
    ) -> SegmentTable {
        let revenue = table.history.revenue
        var tables = names.enumerated().map { index, name in
            SegmentTable.Segment(
                number: firstNumber + index, name: name, customerCount: 0, revenue: 0)
        }
        var churn = [Double](repeating: 0, count: names.count)
        var value = [Double](repeating: 0, count: names.count)
        var scored = [Int](repeating: 0, count: names.count)
        for row in numbers.indices {
            let index = Int(numbers[row]) - firstNumber
            guard names.indices.contains(index) else { continue }
            tables[index].customerCount += 1
            tables[index].revenue += revenue[row]
            guard let lifetime, lifetime.status[row] == 0 else { continue }
            scored[index] += 1
            churn[index] += lifetime.churnProbability[row]
            value[index] += lifetime.lifetimeValue?[row] ?? 0
        }
        for index in names.indices where scored[index] > 0 {
            tables[index].meanChurnProbability = churn[index] / Double(scored[index])
            if lifetime?.lifetimeValue != nil {
                tables[index].meanLifetimeValue = value[index] / Double(scored[index])
            }
        }
        return SegmentTable(segmentation: segmentation, segments: tables)
    }

    private mutating func scoreAffinity() throws(EngineError) {
        guard let read = try model(ImplicitALS.Parameters.self, "affinity") else { return }
        let saved = try AffinityModel(read.model, reading: read.file)
        let scoring = AffinityScoring(
            workspace: workspace, history: history, asOf: table.asOf, parameters: read.model,
            model: saved, reference: models[models.count - 1], threadCount: threadCount)
        guard let scores = try scoring.scores(of: table.customerIDs) else { return }
        affinityKey = scoring.key
        (affinity, topProducts) = (scores.contents, scores.topProducts)
    }
}
