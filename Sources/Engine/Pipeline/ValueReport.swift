import ColumnStore
import Features
package import Models
package import Units

/// What customers are worth by the lifetime model and by the simple formula, and what lies between.
package struct ValueReport: Codable, Sendable {
    package var asOf: String
    package var currency: String
    /// `margin` or `revenue`.
    package var basis: String
    package var horizon: String
    /// How long the simple formula expects every customer to stay, months.
    package var simpleDurationMonths: Double
    package var model: ModelReference
    /// Why no group has an interval; nil where they have.
    package var intervalMissing: String?
    /// All customers first.
    package var groups: [Group]

    package struct Group: Codable, Sendable {
        package var name: String
        package var gap: ValueGap
        /// Of the sum of lifetime values, 95 %: by the models' parameters and by what customers do at
        /// these. Nil where one of them is not known.
        package var lifetimeValueInterval: ClosedRange<Double>?
    }
}

extension Workspace {
    /// Compares the two values of all customers, and of each tier or segment.
    /// - Parameters:
    ///   - asOf: nil as in `asOfDay`; the models must not have seen later days.
    ///   - grouping: `tier` or the name of a trained segmentation.
    package func valueReport(
        asOf requested: CalendarDay? = nil, by grouping: String, threadCount: Int
    ) throws(EngineError) -> ValueReport {
        let asOf = try asOfDay(requested, threadCount: threadCount)
        let fitted = try latestLifetime(asOf: asOf)
        let models = fitted.model
        let groups = try customerGroups(grouping, models, asOf: asOf, threadCount: threadCount)
        let data = groups.table.history
        let encoded = try covariates(
            of: models, groups.table.customerIDs, status: data.status)
        let parameters = plan.lifetimeParameters(
            marginRate: models.marginRate, threadCount: threadCount)
        return try modelErrors("lifetime") { () throws(ModelError) in
            let scores = try models.scores(of: data, encoded.columns, parameters)
            func gap(_ include: [Bool]?) throws(ModelError) -> ValueGap {
                try ValueGap(
                    monthlyRevenue: data.monthlyRevenue, revenue: data.revenue,
                    orderCount: data.repeatPurchaseCount.map { $0 + 1 }, scores: scores,
                    simpleMonths: models.simpleDurationMonths,
                    horizonMonths: parameters.horizon.count(in: .month),
                    marginRatio: parameters.basis.ratio, include: include)
            }
            let forecast = try models.forecast(groups, plan.forecastParameters(of: parameters))
            var parts = [
                ValueReport.Group(
                    name: "all customers", gap: try gap(nil),
                    lifetimeValueInterval: forecast?.total.value?.interval)
            ]
            for (index, name) in groups.names.enumerated() {
                let include = groups.numbers.map { Int($0) == index }
                guard include.contains(true) else { continue }
                parts.append(
                    ValueReport.Group(
                        name: name, gap: try gap(include),
                        lifetimeValueInterval: forecast?.segments[index].value?.interval))
            }
            return ValueReport(
                asOf: asOf.description, currency: plan.currency,
                basis: plan.lifetime.basis.rawValue,
                horizon: plan.lifetime.horizon.description,
                simpleDurationMonths: models.simpleDurationMonths,
                model: ModelReference(fitted.entry),
                intervalMissing: models.covariates.map { _ in
                    "there are none of a lifetime model with covariates"
                }, groups: parts)
        }
    }

    /// All customers of a day and the group that each belongs to.
    struct CustomerGroups {
        let table: FeatureTable
        let names: [String]
        /// Of `names`; -1 for none.
        let numbers: [Int32]
    }

    /// - Parameters:
    ///   - grouping: `tier` or the name of a trained segmentation.
    ///   - mayBeLater: whether the segmentation may have seen later days: for a back-test, which asks
    ///     about the segments of now.
    func customerGroups(
        _ grouping: String, _ models: LifetimeModels, asOf: CalendarDay,
        mayBeLater: Bool = false, threadCount: Int
    ) throws(EngineError) -> CustomerGroups {
        guard grouping != "tier" else {
            let table = try features(asOf: asOf, keeping: [], threadCount: threadCount)
            let data = table.history
            let tiers = try modelErrors("lifetime") { () throws(ModelError) in
                try models.tiers.tiers(
                    observedAgeDays: data.observedAgeDays,
                    daysSinceLastPurchase: data.daysSinceLastPurchase, status: data.status,
                    threadCount: threadCount)
            }
            return CustomerGroups(
                table: table, names: ValueTierModel.names, numbers: tiers.map { Int32($0) - 1 })
        }
        let name = "segmentation.\(grouping)"
        guard
            let fitted = try latestModel(
                FittedSegmentation.self, name, asOf: mayBeLater ? nil : asOf)?.model
        else {
            let known = ["tier"] + plan.segmentations.map(\.name)
            throw known.contains(grouping)
                ? .modelMissing(name: name) : .unknownModel(name: grouping, known: known)
        }
        let names = try featureNames(of: fitted)
        var table = try features(
            asOf: asOf, keeping: names.subtracting(PredictedFeatures.names),
            threadCount: threadCount)
        table.append(
            try predictions(names, by: models, of: table, threadCount: threadCount))
        return CustomerGroups(
            table: table,
            names: fitted.names(plan.segmentations.first { $0.name == grouping }),
            numbers: try segments(fitted, name, of: table, threadCount: threadCount))
    }

    /// The latest lifetime model.
    /// - Throws: `.modelMissing`; as `latestModel`.
    func latestLifetime(asOf: CalendarDay?) throws(EngineError) -> ReadModel<LifetimeModels> {
        guard let read = try latestModel(LifetimeModels.self, "lifetime", asOf: asOf) else {
            throw .modelMissing(name: "lifetime")
        }
        return read
    }

    /// The latest version of a model; nil where it was never trained.
    /// - Throws: `.modelFromTheFuture` where it has seen days after `asOf`; nil: it may have seen any.
    func latestModel<Model: Codable>(
        _ type: Model.Type, _ name: String, asOf: CalendarDay?
    ) throws(EngineError) -> ReadModel<Model>? {
        let versions = manifest.models.filter { $0.name == name }
        guard let entry = versions.max(by: { $0.version < $1.version }) else { return nil }
        let read = try ModelStore.read(type, from: "\(folder)/\(entry.file)")
        if let asOf, !(CalendarDay(parsing: read.card.asOf).map { $0 <= asOf } ?? false) {
            throw .modelFromTheFuture(
                name: name, trainedAsOf: read.card.asOf, asOf: asOf.description)
        }
        return ReadModel(entry: entry, card: read.card, model: read.model, file: read.file)
    }
}

extension LifetimeModels {
    /// Sums over groups with their intervals; nil with covariates, where customers do not share the
    /// parameters whose doubt would move them together.
    fileprivate func forecast(
        _ groups: Workspace.CustomerGroups, _ parameters: SegmentForecast.Parameters
    ) throws(ModelError) -> SegmentForecast? {
        guard covariates == nil else { return nil }
        let data = groups.table.history
        // Who is in no group has a status, and counts nowhere.
        return try purchases.forecast(
            repeatPurchaseCount: data.repeatPurchaseCount,
            ageAtLastPurchaseDays: data.ageAtLastPurchaseDays,
            observedAgeDays: data.observedAgeDays, meanOrderValue: data.meanOrderValue,
            status: data.status, segment: groups.numbers.map { max(0, $0) },
            segmentCount: groups.names.count, spend: orderValues, parameters)
    }
}

extension Plan {
    /// Sums over the same horizon, in the same value, as scores.
    fileprivate func forecastParameters(
        of scores: LifetimeScores.Parameters
    ) -> SegmentForecast.Parameters {
        var parameters = SegmentForecast.Parameters()
        parameters.horizon = scores.horizon
        parameters.discountRate = scores.discountRate
        parameters.basis = scores.basis
        parameters.method = .delta
        parameters.threadCount = scores.threadCount
        return parameters
    }
}

/// A model of the workspace and the file that it was read from.
struct ReadModel<Model> {
    let entry: Manifest.Model
    let card: ModelCard
    let model: Model
    let file: ArrayFile
}
