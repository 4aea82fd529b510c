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
        let lifetime = try LifetimeColumns(
            of: data, fitted, encoded.columns, plan, threadCount: threadCount)
        let (scores, valid) = (lifetime.scores, lifetime.valid)
        table.append(PredictedFeatures.columns(predictions, scores))
        outlook.expectedPurchases = (scores.expectedPurchases, valid)
        if !plan.churn.model.isLearned { outlook.churn = (scores.churnProbability, valid) }
        outlook.lifetimeValue = scores.lifetimeValue.map { ($0, valid) }
        columns += lifetime.columns(plan)
        segments.append(
            segmentTable(
                "tier",
                RankedSegments(
                    ids: Array(1...ValueTierModel.names.count), names: ValueTierModel.names,
                    numbers: lifetime.tiers.map { Int32($0) - 1 }), outlook))
    }
}
