import Foundation
import Numerical

/// Fits models of repeat purchases with covariates; see `FittedCovariateModel`.
enum CovariateModel {
    static func refusal(of model: String) -> ModelError {
        .notIdentified(
            model: model,
            reason: """
                it takes no covariates; use \(BGNBD.name), \(BGNBD.Variant.modified.name) or \
                \(ParetoNBD.name)
                """)
    }

    /// Bound of a coefficient, a standard deviation of its column.
    private static let bound = 8.0

    /// Damped Newton from the optimum of the model without covariates, which has been found from
    /// several starts, at coefficients of 0.
    static func fit(
        _ kind: PurchaseModelKind, _ design: CovariateDesign, _ parameters: PurchaseFitParameters
    ) throws(ModelError) -> FittedCovariateModel {
        guard kind != .nbd else { throw refusal(of: NBD.name) }
        let plain = try kind.fit(design.merged, parameters)
        let names = plain.model.parameters.map(\.name)
        let timed = names.map { ["alpha", "beta"].contains($0) }
        let gridUnit = Double(design.merged.maximumObservedAgeDays) / parameters.grid.days
        let customers = Double(design.merged.totalCustomerCount)
        let priors = PurchaseModelFit.Prior.all(
            parameters, names: names, timed: timed, gridUnit: gridUnit)
        let likelihood = CovariateLikelihood(
            kind, design, threadCount: max(1, parameters.threadCount))
        var start = zip(plain.model.parameters, timed).map { parameter, isTime in
            min(max(log(parameter.value / (isTime ? gridUnit : 1)), -15), 15)
        }
        let coefficientCount = likelihood.size - start.count
        start += [Double](repeating: 0, count: coefficientCount)
        let limits =
            names.map { _ in 16.0 } + [Double](repeating: bound, count: coefficientCount)
        let result = parameters.optimizer.minimize(
            from: start, lower: limits.map { -$0 }, upper: limits
        ) { point in
            var evaluation = likelihood.negativeMean(point)
            for prior in priors { prior.add(at: point, to: &evaluation, customers: customers) }
            return evaluation
        }
        guard result.outcome != .notFinite else {
            throw .notIdentified(
                model: plain.model.name, reason: "its likelihood is not finite at the start")
        }
        var penalty = 0.0
        for prior in priors { penalty += prior.value(at: result.point) / customers }
        return FittedCovariateModel(
            likelihood, plain: plain, result: result,
            // A density of x event times scales by unit^−x.
            logLikelihood: -(result.evaluation.value - penalty) * customers
                - Double(design.merged.totalRepeatPurchaseCount) * log(gridUnit),
            estimates: zip(result.point, timed).map { exp($0) * ($1 ? gridUnit : 1) },
            start: plain.model.diagnostics.startIndex)
    }
}

extension PurchaseModelKind {
    /// The maximum-likelihood fit of this model with covariates.
    ///
    /// O(unique rows · iterations) with about five iterations after those of the model without
    /// covariates, where rows are unique in history and covariates. The same bytes for any thread
    /// count. A covariate that tells drop-outs apart without fail has no finite coefficient: the fit
    /// ends at a bound and `diagnostics.isSound` is false.
    /// - Parameters:
    ///   - repeatPurchaseCount: x; this and the next two as in `CollapsedHistory.init`.
    ///   - include: rows to use; nil uses all.
    ///   - parameters: priors may name the parameters of the model, which then are those of a
    ///     customer whose covariates are all at their means.
    /// - Throws: as `BGNBD.fit`; `notIdentified` for NBD; `badColumn` naming a column that is given
    ///   twice, constant or a linear combination of others; `nonFiniteValue` naming column and row;
    ///   `countMismatch`.
    package func fit(
        repeatPurchaseCount: [Int32], ageAtLastPurchaseDays: [Int32], observedAgeDays: [Int32],
        covariates: PurchaseCovariates, include: [Bool]? = nil,
        _ parameters: PurchaseFitParameters = PurchaseFitParameters()
    ) throws(ModelError) -> FittedCovariateModel {
        try CovariateModel.fit(
            self,
            CovariateDesign(
                repeatPurchaseCount: repeatPurchaseCount,
                ageAtLastPurchaseDays: ageAtLastPurchaseDays, observedAgeDays: observedAgeDays,
                covariates, include: include), parameters)
    }
}
