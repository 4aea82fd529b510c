import Features
import Models

/// What a lifetime model says of customers, as columns: of all of them at a scoring, of some when new
/// purchases have come.
struct LifetimeColumns {
    let scores: LifetimeScores
    let tiers: [UInt8]
    private let simple: (values: [Double], status: [UInt8])

    /// - Parameter covariates: as of `Workspace.covariates`, of the rows of `data`.
    init(
        of data: CustomerHistory, _ fitted: LifetimeModels, _ covariates: [CovariateColumn],
        _ plan: Plan, threadCount: Int
    ) throws(EngineError) {
        (scores, simple, tiers) = try modelErrors("lifetime") { () throws(ModelError) in
            (
                try fitted.scores(
                    of: data, covariates,
                    plan.lifetimeParameters(
                        marginRate: fitted.marginRate, threadCount: threadCount)),
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
    }

    /// Whether each customer has scores.
    var valid: [Bool] { scores.status.map { $0 == 0 } }

    func columns(_ plan: Plan) -> [ScoreColumn] {
        let valid = valid
        var columns = [
            ScoreColumn(
                .probabilityAlive, "probability", .float64(scores.probabilityAlive), valid),
            ScoreColumn(.expectedPurchases, "orders", .float64(scores.expectedPurchases), valid),
            ScoreColumn(
                plan.churn.model.isLearned ? .lifetimeChurnProbability : .churnProbability,
                "probability", .float64(scores.churnProbability), valid),
        ]
        if let values = scores.expectedOrderValue {
            columns.append(
                ScoreColumn(.expectedOrderValue, plan.currency, .float64(values), valid))
        }
        if let values = scores.lifetimeValue {
            columns.append(ScoreColumn(.lifetimeValue, plan.currency, .float64(values), valid))
        }
        columns.append(
            ScoreColumn(
                .simpleLifetimeValue, plan.currency, .float64(simple.values),
                simple.status.map { $0 == 0 }))
        columns.append(
            ScoreColumn(
                .valueTier, "tier", .int32(tiers.map(Int32.init)), tiers.map { $0 > 0 }))
        return columns
    }
}

extension CustomerHistory {
    /// What is known of the customers themselves, as columns.
    func columns(_ plan: Plan) -> [ScoreColumn] {
        let valid = status.map { $0 == CustomerHistory.ok }
        let hasRepeat = zip(valid, repeatPurchaseCount).map { $0 && $1 > 0 }
        return [
            ScoreColumn(.repeatPurchaseCount, "orders", .int32(repeatPurchaseCount), valid),
            ScoreColumn(.ageAtLastPurchaseDays, "days", .int32(ageAtLastPurchaseDays), valid),
            ScoreColumn(.observedAgeDays, "days", .int32(observedAgeDays), valid),
            ScoreColumn(.daysSinceLastPurchase, "days", .int32(daysSinceLastPurchase), valid),
            ScoreColumn(.meanOrderValue, plan.currency, .float64(meanOrderValue), hasRepeat),
            ScoreColumn(.revenue, plan.currency, .float64(revenue), nil),
            ScoreColumn(.margin, plan.currency, .float64(margin), nil),
        ]
    }
}

extension ScoreColumn {
    init(
        _ column: ScoreCatalog.Column, _ unit: String, _ values: Values, _ valid: [Bool]?
    ) {
        self.init(
            id: column.rawValue, name: column.name, unit: unit, description: column.description,
            values: values, valid: valid.flatMap { $0.allSatisfy(\.self) ? nil : $0 })
    }
}
