import Features
import Models

/// What the lifetime model expects of a customer, as features of segmentations: potential beside the
/// past. A customer whom the model cannot score has none.
enum PredictedFeatures {
    private enum Prediction: String, CaseIterable {
        case predictedChurn, predictedLifetimeValue, predictedPurchases, predictedAlive

        var unit: FeatureUnit {
            switch self {
            case .predictedAlive, .predictedChurn: .share
            case .predictedLifetimeValue: .currency
            case .predictedPurchases: .count
            }
        }

        func values(_ scores: LifetimeScores) -> [Double]? {
            switch self {
            case .predictedAlive: scores.probabilityAlive
            case .predictedChurn: scores.churnProbability
            case .predictedLifetimeValue: scores.lifetimeValue
            case .predictedPurchases: scores.expectedPurchases
            }
        }
    }

    static let names = Prediction.allCases.map(\.rawValue)

    /// The columns of those of `wanted` that are predictions; none where no order values are fitted.
    static func columns(_ wanted: [String], _ scores: LifetimeScores) -> [FeatureColumn] {
        let valid = scores.status.map { $0 == 0 }
        return wanted.compactMap(Prediction.init).compactMap { prediction in
            prediction.values(scores).map { values in
                FeatureColumn(
                    name: prediction.rawValue, unit: prediction.unit,
                    values: values.map(Float.init),
                    valid: valid.allSatisfy(\.self) ? nil : valid)
            }
        }
    }
}

extension Workspace {
    /// Those of `wanted` that are predictions, by a model.
    func predictions(
        _ wanted: Set<String>, by models: LifetimeModels, of table: FeatureTable, threadCount: Int
    ) throws(EngineError) -> [FeatureColumn] {
        guard !wanted.isDisjoint(with: PredictedFeatures.names) else { return [] }
        let data = table.history
        let encoded = try covariates(of: models, table.customerIDs, status: data.status)
        let scores = try modelErrors("lifetime") { () throws(ModelError) in
            try models.scores(
                of: data, encoded.columns,
                plan.lifetimeParameters(marginRate: models.marginRate, threadCount: threadCount))
        }
        return PredictedFeatures.columns(wanted.sorted(), scores)
    }
}
