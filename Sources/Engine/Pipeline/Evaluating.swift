import ByteCoding
import Features
package import Models
import Numerical
package import Units

/// A back-test: what models fitted as of a day said of the horizon after it, and what happened.
package struct EvaluationReport: Codable, Sendable {
    package var asOf: String
    package var horizon: String
    package var customerCount: Int
    /// Expected against actual orders of all customers known on the day; nil with its reason in
    /// `notFitted` where the model could not be fitted.
    package var purchases: HoldoutSummary?
    /// The same for the naive rate x / T, as a floor.
    package var naivePurchases: HoldoutSummary?
    /// The model of repeat purchases behind `purchases`; nil where it could not be fitted.
    package var purchaseModel: String?
    /// Who had no order in the churn horizon after the day, by what churn probabilities come from;
    /// empty where the history does not cover that horizon.
    package var churn: [ChurnMeasure]
    /// Expected and actual value in the horizon, undiscounted revenue; nil as above.
    package var expectedRevenue: Double?
    package var actualRevenue: Double
    /// How many products a customer the two below rank: the k of recall@k, precision@k, NDCG@k.
    package var topProductCount: Int
    /// Products first bought in the horizon, found among the top products, of customers who had
    /// bought any product before; nil as above.
    package var affinity: RankingSummary?
    /// The same customers and the most popular products, those bought already left out as well.
    package var mostPopular: RankingSummary?
    /// How each variant of the affinity model did, the plan's settings of factors in all; empty as
    /// above.
    package var affinityVariants: [AffinityMeasure]
    package var notFitted: [String: String]

    /// How churn probabilities of one origin did.
    package struct ChurnMeasure: Codable, Sendable {
        /// `trees`, `logistic` or `lifetime`.
        package var model: String
        package var horizon: String
        package var summary: ProbabilitySummary
    }
}

extension Workspace {
    /// Fits the lifetime and affinity models on what was known on a day, predicts the horizon
    /// after it, and compares. Nothing is written.
    /// - Throws: `.noHoldout` where the history does not cover the horizon.
    package func evaluate(
        asOf: CalendarDay, horizon: Horizon, threadCount: Int
    ) throws(EngineError) -> EvaluationReport {
        let lines = try segmentedHistory(threadCount: threadCount)
        let end = asOf + Int(horizon.days.rounded())
        guard let days = try lines.purchaseDays(clock: plan.clock) else {
            throw .features(.noPurchases)
        }
        guard end <= days.upperBound else {
            throw .noHoldout(
                reason: "\(horizon) after \(asOf) is \(end), but the last purchase is on "
                    + "\(days.upperBound): choose an earlier --as-of or a shorter --horizon")
        }
        // No column is read: the models here are those of histories and products.
        let table = try features(asOf: asOf, keeping: [], threadCount: threadCount)
        let history = try surveyedHistory(threadCount: threadCount)
        let outcome = try history.holdoutOutcome(after: asOf, through: end)
        let fitting = ModelFitting(
            plan: plan, history: history, table: table,
            attributes: try plannedAttributes(of: table.customerIDs), threadCount: threadCount)
        var report = EvaluationReport(
            asOf: asOf.description, horizon: horizon.description, customerCount: table.rowCount,
            churn: [], actualRevenue: outcome.revenue.reduce(0, +),
            topProductCount: plan.affinity.topProductCount, affinityVariants: [], notFitted: [:])
        var lifetime: (models: LifetimeModels, covariates: CovariateEncoding.Encoded)?
        do throws(EngineError) {
            let models = try fitting.lifetime()
            try evaluateLifetime(
                models.models, models.covariates, fitting, outcome, horizon, into: &report)
            lifetime = models
        } catch {
            guard error.isAboutTheData else { throw error }
            report.notFitted["lifetime"] = error.reason(of: "lifetime")
        }
        try evaluateChurn(lifetime, fitting, lastPurchase: days.upperBound, into: &report)
        do throws(EngineError) {
            try evaluateAffinity(fitting, through: end, into: &report)
        } catch {
            guard error.isAboutTheData else { throw error }
            report.notFitted["affinity"] = error.reason(of: "affinity")
        }
        return report
    }

    private func evaluateLifetime(
        _ models: LifetimeModels, _ covariates: CovariateEncoding.Encoded,
        _ fitting: ModelFitting, _ outcome: HoldoutOutcome, _ horizon: Horizon,
        into report: inout EvaluationReport
    ) throws(EngineError) {
        var parameters = plan.lifetimeParameters(
            marginRate: models.marginRate, threadCount: fitting.threadCount)
        parameters.horizon = horizon
        parameters.discountRate = DiscountRate(annual: 0)
        parameters.basis = .revenue
        let data = fitting.table.history
        let scores = try modelErrors("lifetime") {
            () throws(ModelError) in
            try models.scores(of: data, covariates.columns, parameters)
        }
        let rows = fitting.eligibleRows
        let actual = rows.map { outcome.orderCount[$0] }
        let counts = rows.map { data.repeatPurchaseCount[$0] }
        let naive = rows.map { row in
            let age = Double(data.observedAgeDays[row])
            return age == 0 ? 0 : Double(data.repeatPurchaseCount[row]) / age * horizon.days
        }
        (report.purchases, report.naivePurchases) = try modelErrors("lifetime") {
            () throws(ModelError) in
            (
                try HoldoutSummary(
                    expected: rows.map { scores.expectedPurchases[$0] }, actual: actual,
                    repeatPurchaseCount: counts),
                try HoldoutSummary(expected: naive, actual: actual, repeatPurchaseCount: counts)
            )
        }
        report.purchaseModel = models.purchaseModelName
        report.expectedRevenue = scores.lifetimeValue?.reduce(0, +)
    }

    /// Measures the churn probabilities of the lifetime model, and of the plan's learned one, by who
    /// had no order in the churn horizon after the day.
    private func evaluateChurn(
        _ lifetime: (models: LifetimeModels, covariates: CovariateEncoding.Encoded)?,
        _ fitting: ModelFitting, lastPurchase: CalendarDay,
        into report: inout EvaluationReport
    ) throws(EngineError) {
        let asOf = fitting.table.asOf
        let horizon = plan.churn.horizon
        let end = asOf + max(1, Int(horizon.days.rounded()))
        guard end <= lastPurchase else {
            report.notFitted["churn"] =
                "not checked: \(horizon) after \(asOf) is \(end), but the last purchase is on "
                + "\(lastPurchase)"
            return
        }
        let outcome = try fitting.history.holdoutOutcome(after: asOf, through: end)
        let rows = fitting.eligibleRows
        let left = rows.map { outcome.orderCount[$0] == 0 }
        func measure(_ model: String, _ probabilities: [Double]) throws(EngineError) {
            let summary = try modelErrors("churn") { () throws(ModelError) in
                try ProbabilitySummary(
                    probabilities: rows.map { probabilities[$0] }, positive: left)
            }
            report.churn.append(
                EvaluationReport.ChurnMeasure(
                    model: model, horizon: horizon.description, summary: summary))
        }
        if let (models, covariates) = lifetime {
            let scores = try modelErrors("lifetime") { () throws(ModelError) in
                try models.scores(
                    of: fitting.table.history, covariates.columns,
                    plan.lifetimeParameters(
                        marginRate: models.marginRate, threadCount: fitting.threadCount))
            }
            try measure("lifetime", scores.churnProbability)
        }
        guard plan.churn.model.isLearned else { return }
        do throws(EngineError) {
            let fitted = try fitChurn(
                asOf: asOf, threadCount: fitting.threadCount, report: { _ in }
            ).fitted
            let table = try pastFeatures(asOf, fitting.threadCount)
            try measure(
                plan.churn.model.rawValue,
                try fitted.scores(table, reasonCount: 0, threadCount: fitting.threadCount)
                    .probabilities)
        } catch {
            guard error.isAboutTheData else { throw error }
            report.notFitted["churn"] = error.reason(of: "churn")
        }
    }
}
