import ColumnStore
import Features
import Models
import Numerical
package import Units

/// What a training wrote.
package struct TrainSummary: Codable, Sendable {
    package var asOf: String
    package var customerCount: Int
    package var models: [ModelCard]
    /// Models that could not be fitted on this data, with the reason.
    package var notFitted: [String: String]
}

extension Workspace {
    /// Fits the plan's models on what was known on a day and writes a new version of each.
    ///
    /// A model that this data cannot give (too few repeat purchases, more segments than customers)
    /// is left out with its reason; the others are trained. Where none can be fitted, or one of
    /// `only` cannot, that is the error.
    /// - Parameters:
    ///   - asOf: nil as in `asOfDay`, which `today` goes to.
    ///   - only: names of `Plan.modelNames`; nil for all.
    ///   - report: gets a line about each model begun.
    package func train(
        asOf requested: CalendarDay? = nil, today: CalendarDay? = nil, only: [String]? = nil,
        threadCount: Int,
        report: (String) -> Void = { _ in }
    ) throws(EngineError) -> TrainSummary {
        for name in only ?? [] where !plan.modelNames.contains(name) {
            throw .unknownModel(name: name, known: plan.modelNames)
        }
        let names =
            only.map { wanted in plan.modelNames.filter(wanted.contains) } ?? plan.modelNames
        let asOf = try asOfDay(requested, today: today, threadCount: threadCount)
        report("computing features as of \(asOf)")
        let previous = previousSegmentations(names)
        let earlier = previous.values.flatMap { $0.model?.segmenter.featureNames ?? [] }
        let table = try features(
            asOf: asOf,
            keeping: plan.featureNames.union(earlier).union(try baseFeatureNames(of: names))
                .union(names.contains("affinity") ? try attributeSegmentFeatureNames() : [])
                .subtracting(PredictedFeatures.names),
            usesCache: true, threadCount: threadCount,
            report: report)
        var fitting = ModelFitting(
            plan: plan, history: try surveyedHistory(threadCount: threadCount), table: table,
            collapsed: collapsedHistory(asOf: asOf, threadCount: threadCount),
            attributes: names.contains("lifetime")
                ? try plannedAttributes(of: table.customerIDs) : nil,
            threadCount: threadCount)
        fitting.known = try knownCustomers(
            beside: table,
            keeping: plan.wantedFeatures(names).union(earlier)
                .union(try baseFeatureNames(of: names))
                .union(names.contains("affinity") ? try attributeSegmentFeatureNames() : []))
        var next = manifest
        var summary = TrainSummary(
            asOf: asOf.description, customerCount: table.rowCount, models: [], notFitted: [:])
        var paths: [String] = []
        do throws(EngineError) {
            for (index, name) in names.enumerated() {
                if name != "churn" { report("fitting \(name)") }
                if names[index...].allSatisfy({ $0 == "churn" || $0 == "affinity" }) {
                    if names.contains("affinity"), fitting.table.columns.count > 0 {
                        fitting.attributeSegments = try attributeSegments(
                            by: next.models, of: fitting)
                    }
                    // They read lines: the features' memory is for them.
                    if fitting.table.rowCount > Self.keptRowCount { loadedFeatures = nil }
                    fitting.table.removeColumns()
                    fitting.known = nil
                }
                try addPredictions(
                    for: name, after: previous[name], by: next.models, to: &fitting)
                try addBases(for: name, by: next.models, to: &fitting)
                let version = (next.models.filter { $0.name == name }.map(\.version).max() ?? 0) + 1
                let file = "models/\(name)-\(sixDigits(version)).arr"
                let path = "\(folder)/\(file)"
                do throws(EngineError) {
                    let (card, written) = try fitAndWrite(
                        name, version: version, after: previous[name], to: path, fitting, report)
                    paths.append(path)
                    next.models.append(
                        Manifest.Model(
                            name: name, version: version, file: file,
                            byteCount: written.byteCount, checksum: written.checksum))
                    summary.models.append(card)
                } catch {
                    guard only == nil, error.isAboutTheData else { throw error }
                    summary.notFitted[name] = error.reason(of: name)
                }
            }
            if summary.models.isEmpty { throw .nothingFitted(reasons: summary.notFitted) }
            try commit(next, settling: paths)
        } catch {
            for path in paths { PendingFiles.remove(path) }
            throw error
        }
        return summary
    }

    /// The latest versions of segmentations.
    private func previousSegmentations(_ names: [String]) -> [String: PreviousSegmentation] {
        var result: [String: PreviousSegmentation] = [:]
        for name in names where name.hasPrefix("segmentation.") {
            let versions = manifest.models.filter { $0.name == name }
            guard let latest = versions.max(by: { $0.version < $1.version }) else { continue }
            // A damaged one does not keep a new one from being made; the card says what it costs.
            let read = try? ModelStore.read(
                FittedSegmentation.self, from: "\(folder)/\(latest.file)")
            var base: Segmenter?
            if case .layers(let layers)? = read?.model.segmenter,
                let entry = manifest.models.first(where: { ModelReference($0) == layers.base })
            {
                base = try? ModelStore.read(
                    FittedSegmentation.self, from: "\(folder)/\(entry.file)"
                ).model.segmenter
            }
            result[name] = PreviousSegmentation(
                version: latest.version, model: read?.model, base: base)
        }
        return result
    }

    /// The predictions that a segmentation reads, by the latest lifetime model; none where there is
    /// no model.
    private func addPredictions(
        for name: String, after previous: PreviousSegmentation?, by models: [Manifest.Model],
        to fitting: inout ModelFitting
    ) throws(EngineError) {
        let settings = plan.segmentations.first { "segmentation.\($0.name)" == name }
        guard let settings, plan.usesPredictions(settings) else { return }
        let earlier = previous?.model?.segmenter.featureNames ?? []
        try addPredictions(
            plan.segmentations.flatMap(\.features) + earlier, by: models, to: &fitting)
    }

    /// Those of `names` that are predictions and are not there yet.
    func addPredictions(
        _ names: [String], by models: [Manifest.Model], to fitting: inout ModelFitting
    ) throws(EngineError) {
        let wanted = Set(names).filter {
            PredictedFeatures.names.contains($0) && fitting.table.column(named: $0) == nil
        }
        let versions = models.filter { $0.name == "lifetime" }
        guard !wanted.isEmpty, let latest = versions.max(by: { $0.version < $1.version })
        else { return }
        let read = try ModelStore.read(LifetimeModels.self, from: "\(folder)/\(latest.file)")
        let asOf = fitting.table.asOf
        guard let day = CalendarDay(parsing: read.card.asOf), day <= asOf else {
            throw .modelFromTheFuture(
                name: "lifetime", trainedAsOf: read.card.asOf, asOf: asOf.description)
        }
        fitting.table.append(
            try predictions(
                wanted, by: read.model, of: fitting.table, threadCount: fitting.threadCount))
    }

    /// Features of no more customers are kept for a scoring by the same process.
    private static let keptRowCount = 2_000_000

    private func fitAndWrite(
        _ name: String, version: Int, after previous: PreviousSegmentation?, to path: String,
        _ fitting: ModelFitting, _ report: (String) -> Void
    ) throws(EngineError) -> (card: ModelCard, file: ModelStore.WrittenFile) {
        if name == "lifetime" {
            let (models, encoded) = try fitting.lifetime()
            let kind = plan.lifetime.model.rawValue
            var card = card(
                name, version,
                models.covariates == nil ? "\(kind)+gammagamma" : "\(kind)+covariates+gammagamma",
                fitting)
            card.describe(models)
            card.inputs = fitting.histograms(ModelFitting.lifetimeInputNames)
            if let covariates = models.covariates { card.describe(covariates, encoded) }
            return (card, try ModelStore.write(models, card: card, to: path))
        }
        if name == "churn" {
            let (fitted, inputs) = try fitChurn(
                asOf: fitting.table.asOf, threadCount: fitting.threadCount, report: report)
            var card = card(name, version, plan.churn.model.rawValue, fitting)
            card.describe(fitted)
            card.inputs = inputs
            return (card, try ModelStore.write(fitted, card: card, to: path))
        }
        if name == "affinity" {
            return try fitAndWriteAffinity(
                card(name, version, plan.affinity.variant.cardName, fitting), to: path, fitting,
                report)
        }
        let settings = plan.segmentations.first { "segmentation.\($0.name)" == name }
        guard let settings else { throw .unknownModel(name: name, known: plan.modelNames) }
        let purchasers = fitting
        let fitting = try purchasers.ofAllKnown(settings) ?? purchasers
        let fit = try fitting.segmentation(settings)
        var fitted = fit.fitted
        // Who has a segment by both versions: of everybody known only where neither needs purchases.
        let isComparable = previous?.model.map { purchasers.isOfAttributes($0.segmenter) } ?? true
        let identity = try (isComparable ? fitting : purchasers)
            .identify(&fitted, settings, after: previous)
        var card = card(
            name, version, settings.per == nil ? settings.algorithm.cardName : "layers", fitting)
        card.describe(fitted.segmenter)
        card.diagnostics["seedAdjustedRand"] = identity.seedAdjustedRand
        card.warnings =
            fitted.unavailable.map { "this data has no feature \($0)" } + fit.warnings
        card.warnings += identity.warnings
        card.refit = identity.refit
        card.describe(fit.choice, of: fitted.segmenter.segmentCount)
        card.map = fit.map
        card.inputs = fitting.histograms(fitted.segmenter.featureNames)
        return (card, try ModelStore.write(fitted, card: card, to: path))
    }

    private func card(
        _ name: String, _ version: Int, _ algorithm: String, _ fitting: ModelFitting
    ) -> ModelCard {
        let lines = fitting.table.lines
        return ModelCard(
            name: name, version: version, algorithm: algorithm,
            asOf: fitting.table.asOf.description, planHash: plan.hash, seed: plan.seed,
            currency: plan.currency, convention: fitting.table.convention,
            conventionText: plan.sources.purchases == nil
                ? "attributes of customers, of now; no purchases" : fitting.table.convention.text,
            data: ModelCard.DataRange(
                customerCount: fitting.table.rowCount, lineCount: lines.count,
                firstTime: lines.count > 0 ? lines.first : 0,
                lastTime: lines.count > 0 ? lines.last : 0),
            diagnostics: [:], inputs: [], warnings: [])
    }

    /// The cards of all model versions, oldest first.
    package func modelCards() throws(EngineError) -> [ModelCard] {
        var models = manifest.models
        while true {
            do throws(EngineError) {
                var cards: [ModelCard] = []
                for model in models {
                    cards.append(try ModelStore.readCard(from: "\(folder)/\(model.file)"))
                }
                return cards
            } catch {
                // A prune since this workspace was opened: the manifest of now names what is there.
                let now = try Self.loadManifest(folder).models
                guard case .store(.system(let system)) = error, system.isMissingFile, now != models
                else { throw error }
                models = now
            }
        }
    }
}

extension ModelFitting {
    /// Of the features that the table has.
    func histograms(_ names: [String]) -> [ReferenceHistogram] {
        let columns = names.compactMap { table.column(named: $0) }
        return parallelMap(count: columns.count, chunkSize: 1, threadCount: threadCount) {
            index, _ in
            let column = columns[index]
            return ReferenceHistogram(
                name: column.name, values: column.values, valid: column.valid)
        }
    }

    static let lifetimeInputNames = [
        "repeatPurchaseCount", "ageAtLastPurchaseDays", "observedAgeDays", "meanOrderValue",
    ]
}

extension Plan {
    /// The features and groups that training reads.
    var featureNames: Set<String> {
        Set(
            segmentations.flatMap(wantedFeatures) + ModelFitting.lifetimeInputNames
                + (churn.model.isLearned ? churn.features : [])
        ).subtracting(PredictedFeatures.names)
    }
}

extension ModelCard {
    fileprivate mutating func describe(_ choice: ClusterCountChoice?, of clusterCount: Int) {
        clusterCountChoice = choice
        guard let best = choice?.trials.first(where: { $0.clusterCount == clusterCount }) else {
            return
        }
        if let silhouette = best.silhouette { diagnostics["silhouette"] = silhouette }
        if let ratio = best.calinskiHarabasz { diagnostics["calinskiHarabasz"] = ratio }
        if best.silhouette ?? 0 < ClusterCountSearch.weakSilhouette {
            warnings.append(
                "the customers form no clear segments in these features: the silhouette of the "
                    + "chosen number is below \(ClusterCountSearch.weakSilhouette)")
        }
    }

    /// Clusters by their fit, rules by their cuts: the least value of each level above the lowest.
    fileprivate mutating func describe(_ segmenter: Segmenter) {
        switch segmenter {
        case .clusters(let model):
            diagnostics = [
                "clusterCount": Double(model.segmentCount), "inertia": model.inertia,
                "iterations": Double(model.iterations),
            ]
        case .grid(let grid):
            for (axis, name) in grid.featureNames.enumerated() {
                // Of days fewer are better: a level begins with the most that it allows.
                let sign = axis == 0 ? -1.0 : 1
                for (index, value) in grid.cuts[axis].leastValues.enumerated() {
                    diagnostics["level\(index + 2).\(name)"] = sign * Double(value)
                }
            }
        case .join(let joined):
            diagnostics = [
                "combinationCount": Double(joined.segmentCount),
                "joinedCount": Double(joined.parts.count),
            ]
        case .layers(let layers):
            diagnostics = [
                "clusterCount": Double(layers.segmentCount),
                "dividedCount": Double(layers.parts.count { $0 != nil }),
            ]
        case .mixed(let segments):
            diagnostics = [
                "clusterCount": Double(segments.model.segmentCount),
                "cost": segments.model.cost, "gamma": segments.model.gamma,
                "iterations": Double(segments.model.iterations),
            ]
        case .quadrants(let model):
            for (axis, name) in model.featureNames.enumerated() {
                diagnostics["high.\(name)"] = model.cuts[axis].leastValues.first.map(Double.init)
            }
        case .stages(let stages):
            diagnostics = [
                "newDays": Double(stages.newDays), "activeDays": Double(stages.activeDays),
                "lapsedDays": Double(stages.lapsedDays),
            ]
        }
    }

    fileprivate mutating func describe(_ fitted: FittedChurn) {
        let model = fitted.model
        let measured = model.evaluation
        churn = ChurnCheck(
            fitDay: fitted.periods.fit.description, checkDay: fitted.periods.check.description,
            horizonDays: fitted.periods.horizonDays, summary: measured)
        diagnostics = [
            "trainingRowCount": Double(model.trainingRowCount),
            "checkedRowCount": Double(measured.rowCount),
            "churnShare": measured.observedShare, "logLoss": measured.logLoss,
            "brierScore": measured.brierScore, "calibrationError": measured.calibrationError,
        ]
        diagnostics["areaUnderROC"] = measured.areaUnderROC
        switch model.fitted {
        case .trees(let ensemble):
            diagnostics["treeCount"] = Double(ensemble.trees.count)
        case .logistic(let logistic):
            for coefficient in logistic.coefficients {
                diagnostics["coefficient.\(coefficient.term.name)"] = coefficient.value
                diagnostics["standardError.\(coefficient.term.name)"] = coefficient.standardError
            }
            diagnostics["intercept"] = logistic.intercept
            if !logistic.isConverged {
                warnings.append("the logistic regression has not converged")
            }
        }
        warnings += fitted.unavailable.map { "this data has no feature \($0)" }
    }

    fileprivate mutating func describe(_ models: LifetimeModels) {
        let fit = models.purchases
        let model = fit.model
        diagnostics = [
            "akaike": fit.akaike ?? 0,
            "bayesian": fit.bayesian ?? 0,
            "uniqueRowCount": Double(fit.uniqueRowCount),
            "repeatCustomerCount": Double(fit.repeatCustomerCount),
            "marginRate": models.marginRate,
        ]
        addFit(model.parameters, model.diagnostics)
        if !model.diagnostics.isSound {
            warnings.append(
                "the \(model.name) fit is no strict optimum: treat its parameters with care")
        }
        if let spend = models.orderValues {
            diagnostics["p"] = spend.p
            diagnostics["q"] = spend.q
            diagnostics["v"] = spend.v
            diagnostics["orderValueMean"] = spend.populationMean
            diagnostics["orderValueLogLikelihood"] = spend.diagnostics.logLikelihood ?? 0
            diagnostics["countValueCorrelation"] = spend.correlation
            if spend.meanRule == .heldAtObservedMean {
                warnings.append(
                    "the order values have no credible mean (q <= 1 or nearly): "
                        + "it was held at the observed mean")
            }
        } else if let reason = models.valueMissing {
            warnings.append("no lifetime value: \(reason)")
        }
    }
}
