import Features
import Models

extension Scoring {
    /// What segments are described by, a value and whether there is one a customer.
    struct Outlook {
        var churn: (values: [Double], valid: [Bool])?
        var lifetimeValue: (values: [Double], valid: [Bool])?
        var expectedPurchases: (values: [Double], valid: [Bool])?
    }

    /// What the models say of the customers' future.
    mutating func scoreOutlook() throws(EngineError) -> Outlook {
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
}
