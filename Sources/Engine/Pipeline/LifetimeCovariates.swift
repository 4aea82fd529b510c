import ByteCoding
import Features
import Foundation
package import Models

/// A lifetime model whose parameters attributes of the customers shift.
package struct FittedCovariates: Codable, Sendable {
    package var encoding: CovariateEncoding
    /// Its columns, of the purchase rate and of the drop-out, are those of the encoding.
    package var model: FittedCovariateModel
}

extension LifetimeModels {
    /// The scores of customers, each by the own attributes where the model has covariates.
    /// - Parameter columns: as of `Workspace.covariates`; none where the model has none.
    func scores(
        of data: CustomerHistory, _ columns: [CovariateColumn],
        _ parameters: LifetimeScores.Parameters
    ) throws(ModelError) -> LifetimeScores {
        try LifetimeScores.score(
            data, purchases: purchases, covariates: covariates?.model, columns,
            orderValues: orderValues, parameters)
    }

    /// As it is written in the literature: `BG/NBD`.
    var purchaseModelName: String {
        purchases.model.name + (covariates == nil ? "" : " with covariates")
    }

    /// Refuses what is computed from one set of parameters for all customers.
    func requireNoCovariates(_ command: String) throws(EngineError) {
        guard let covariates else { return }
        throw .needsNoCovariates(
            command: command, covariates: covariates.encoding.attributes.map(\.name))
    }
}

extension LifetimeScores {
    static func score(
        _ data: CustomerHistory, purchases: FittedPurchaseModel,
        covariates: FittedCovariateModel?, _ columns: [CovariateColumn],
        orderValues: FittedGammaGamma?, _ parameters: Parameters
    ) throws(ModelError) -> LifetimeScores {
        guard let covariates else {
            return try score(
                data, purchases: purchases, orderValues: orderValues, parameters)
        }
        return try covariates.score(
            repeatPurchaseCount: data.repeatPurchaseCount,
            ageAtLastPurchaseDays: data.ageAtLastPurchaseDays,
            observedAgeDays: data.observedAgeDays, meanOrderValue: data.meanOrderValue,
            columns: columns, status: data.status, spend: orderValues, parameters)
    }

    static func score(
        _ data: CustomerHistory, purchases: FittedPurchaseModel, orderValues: FittedGammaGamma?,
        _ parameters: Parameters
    ) throws(ModelError) -> LifetimeScores {
        try score(
            repeatPurchaseCount: data.repeatPurchaseCount,
            ageAtLastPurchaseDays: data.ageAtLastPurchaseDays,
            observedAgeDays: data.observedAgeDays, meanOrderValue: data.meanOrderValue,
            status: data.status, model: purchases.model, spend: orderValues, parameters)
    }
}

extension ModelFitting {
    /// The plan's model with covariates and the covariates of all rows; nil where it names none.
    func fitCovariates() throws(ModelError) -> (
        fitted: FittedCovariates, encoded: CovariateEncoding.Encoded
    )? {
        guard let attributes else { return nil }
        let data = table.history
        let include = data.status.map { $0 == CustomerHistory.ok }
        let encoding = try CovariateEncoding(
            plan.lifetime.covariates, of: attributes,
            repeatPurchaseCount: data.repeatPurchaseCount, eligible: include)
        let encoded = try encoding.encode(attributes, eligible: include)
        let model = try plan.lifetime.model.fit(
            repeatPurchaseCount: data.repeatPurchaseCount,
            ageAtLastPurchaseDays: data.ageAtLastPurchaseDays,
            observedAgeDays: data.observedAgeDays,
            covariates: PurchaseCovariates(purchase: encoded.columns, dropOut: encoded.columns),
            include: include,
            PurchaseFitParameters(grid: plan.timeGrid, threadCount: threadCount))
        return (FittedCovariates(encoding: encoding, model: model), encoded)
    }
}

extension Workspace {
    /// What a fit of the plan's lifetime model reads of the customers; nil where it has no
    /// covariates. Values are those of now: attributes have no dates.
    func plannedAttributes(of customerIDs: IDColumn) throws(EngineError) -> JoinedAttributes? {
        plan.lifetime.covariates.isEmpty ? nil : try joinedAttributes(customerIDs)
    }

    private func joinedAttributes(_ customerIDs: IDColumn) throws(EngineError) -> JoinedAttributes {
        let table = try customerAttributes(for: nil)
        return try mapErrors(EngineError.features) { () throws(FeatureError) in
            try JoinedAttributes(table, customerIDs)
        }
    }

    /// The covariates of customers for a lifetime model; none where it has none.
    /// - Parameters:
    ///   - customerIDs: unique, ascending.
    ///   - status: of these customers; only those with an order count in the notes.
    /// - Throws: `.model` naming an attribute that the workspace does not have.
    func covariates(
        of models: LifetimeModels, _ customerIDs: IDColumn, status: [UInt8]
    ) throws(EngineError) -> CovariateEncoding.Encoded {
        guard let covariates = models.covariates else { return CovariateEncoding.Encoded() }
        let attributes = try joinedAttributes(customerIDs)
        return try modelErrors("lifetime") { () throws(ModelError) in
            try covariates.encoding.encode(
                attributes, eligible: status.map { $0 == CustomerHistory.ok })
        }
    }
}

// MARK: - The card

extension ModelCard {
    /// What the covariates of a lifetime model do.
    package struct CovariateReport: Codable, Sendable, Equatable {
        package enum Part: String, Codable, Sendable {
            case dropOut
            case purchaseRate
        }

        package struct Effect: Codable, Sendable, Equatable {
            /// Of a text one value, as `channel=web`; of a number its name.
            package var covariate: String
            package var part: Part
            /// Of the model: `alpha`; `a` and `b`, or `beta`.
            package var parameter: String
            /// γ, a unit of a number: purchases come e^γ times as fast for `alpha`, customers leave
            /// e^γ times as fast for `beta`, and `a` and `b` are e^γ times as large.
            package var coefficient: Double
            /// These are nil where the fit is no strict optimum.
            package var standardError: Double?
            /// 95 %.
            package var interval: ClosedRange<Double>?
            /// Of no effect.
            package var pValue: Double?
        }

        package var effects: [Effect]
        /// By attribute: what its effects are compared with.
        package var bases: [String: String]
        /// Of no effect of any covariate, by the likelihood ratio.
        package var test: ChiSquareTest?
        /// Different combinations of covariates among the customers.
        package var combinationCount: Int
        /// How customers without a value, or with a rare one, are counted.
        package var notes: [String]
    }

    /// Combinations that scoring takes long for: of each it makes a model.
    private static let manyCombinations = 10_000

    /// - Parameter encoded: of the customers of the training.
    mutating func describe(
        _ covariates: FittedCovariates, _ encoded: CovariateEncoding.Encoded
    ) {
        let model = covariates.model
        var bases: [String: String] = [:]
        for attribute in covariates.encoding.attributes {
            bases[attribute.name] =
                switch attribute.values {
                case .number(let mean, _, _): "the mean, \(mean)"
                case .text(let base, _, _, _): base
                }
        }
        self.covariates = CovariateReport(
            effects: model.coefficients.map {
                CovariateReport.Effect(
                    covariate: $0.column, part: $0.parameter == "alpha" ? .purchaseRate : .dropOut,
                    parameter: $0.parameter, coefficient: $0.value,
                    standardError: $0.standardError, interval: $0.interval(), pValue: $0.pValue)
            },
            bases: bases, test: model.likelihoodRatioTest, combinationCount: model.groupCount,
            notes: encoded.notes)
        addFit(model.baseline.parameters, model.diagnostics)
        let parameterCount = Double(model.baseline.parameters.count + model.coefficients.count)
        if let logLikelihood = model.diagnostics.logLikelihood {
            diagnostics["akaike"] = 2 * parameterCount - 2 * logLikelihood
            diagnostics["bayesian"] =
                log(Double(model.customerCount)) * parameterCount - 2 * logLikelihood
        }
        inputs += encoded.columns.map { column in
            ReferenceHistogram(
                name: "covariate.\(column.name)", values: column.values.map { Float($0) },
                valid: nil)
        }
        if !model.diagnostics.isSound {
            warnings.append(
                "the fit with covariates is no strict optimum: one of them may tell who leaves "
                    + "without fail, or say nothing of it; treat the coefficients with care")
        }
        if model.groupCount > Self.manyCombinations {
            warnings.append(
                "the covariates have \(model.groupCount) combinations, each of which costs a "
                    + "fraction of a millisecond in every scoring: rounded numbers have fewer")
        }
    }

    /// Parameters and their standard errors.
    mutating func addFit(
        _ parameters: [(name: String, value: Double)], _ fit: FitDiagnostics
    ) {
        diagnostics["logLikelihood"] = fit.logLikelihood ?? 0
        diagnostics["gradientNorm"] = fit.gradientNorm
        for (index, parameter) in parameters.enumerated() {
            diagnostics[parameter.name] = parameter.value
            diagnostics["standardError.\(parameter.name)"] = fit.standardErrors?[index]
        }
    }
}
