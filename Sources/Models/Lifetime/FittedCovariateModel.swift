import Foundation
import Numerical

/// How one covariate shifts one parameter of a model of repeat purchases.
package struct CovariateCoefficient: Codable, Equatable, Sendable {
    /// `alpha` for the purchase rate; `a`, `b` or `beta` for the drop-out.
    package let parameter: String
    package let column: String
    /// γ, a unit of the column. Purchases come e^γ times as fast a unit of a column of `alpha`, and
    /// customers leave e^γ times as fast one of `beta`; `a` and `b` are e^γ times as large.
    package let value: Double
    /// Nil where the likelihood has no strict maximum.
    package let standardError: Double?

    /// γ ± z standard errors.
    /// - Parameter z: 1.96 for 95 %.
    package func interval(z: Double = 1.959963984540054) -> ClosedRange<Double>? {
        standardError.map { value - z * $0...value + z * $0 }
    }

    /// Of γ = 0, two-sided, by Wald's statistic.
    package var pValue: Double? {
        standardError.map { Significance.twoSidedNormal(value / $0) }
    }
}

/// A model of repeat purchases whose parameters covariates of the customers shift: an immutable value
/// with all that is known about the fit.
///
/// With covariates z1 of the purchase rate and z2 of the drop-out a customer has
///   α = α₀ e^(−γ1 z1), and β = β₀ e^(−γ2 z2) under Pareto/NBD,
///   a = a₀ e^(γ2 z2), b = b₀ e^(γ3 z2) under BG/NBD and MBG/NBD,
/// where z counts from the mean over the customers of the fit, so that the parameters with index 0
/// are those of a customer in the middle, whatever the unit and origin of a column.
/// Source: Fader & Hardie, "Incorporating Time-Invariant Covariates into the Pareto/NBD and BG/NBD
/// Models", 2007.
package struct FittedCovariateModel: Codable, Equatable, Sendable {
    package let kind: PurchaseModelKind
    let baselineModel: FittedPurchaseModel.Fitted
    /// γ1, then γ2, then γ3, each in the order of its columns.
    package let coefficients: [CovariateCoefficient]
    /// Means of the columns of the purchase rate over the customers of the fit.
    package let purchaseMeans: [Double]
    package let dropOutMeans: [Double]
    /// Standard errors are of the baseline's parameters in their order, then of the coefficients.
    package let diagnostics: FitDiagnostics
    /// Of the model without covariates on the same customers; nil where given.
    package let plainLogLikelihood: Double?
    package let customerCount: Int
    /// Different combinations of covariates among the customers.
    package let groupCount: Int

    /// The model of a customer whose covariates are all at their means.
    package var baseline: any PurchaseModel { baselineModel.model }

    package var purchaseColumns: [String] { columns(of: "alpha") }
    package var dropOutColumns: [String] { columns(of: dropOutParameters[0]) }

    private var dropOutParameters: [String] { kind == .paretonbd ? ["beta"] : ["a", "b"] }

    private func columns(of parameter: String) -> [String] {
        coefficients.filter { $0.parameter == parameter }.map(\.column)
    }

    /// All coefficients are 0, by the likelihood ratio; nil where given or where there are none.
    package var likelihoodRatioTest: ChiSquareTest? {
        guard let plain = plainLogLikelihood, let own = diagnostics.logLikelihood,
            !coefficients.isEmpty
        else { return nil }
        return ChiSquareTest(statistic: 2 * (own - plain), degreesOfFreedom: coefficients.count)
    }

    /// A model from known parameters; the diagnostics say so.
    /// - Parameters:
    ///   - baseline: BG/NBD, MBG/NBD or Pareto/NBD.
    ///   - purchase: γ1 of each column; values count from its mean.
    ///   - dropOut: γ2 and, but for Pareto/NBD, γ3 of each column.
    /// - Throws: `notIdentified` for another baseline; `countMismatch` for another number of γ;
    ///   `nonFiniteValue`.
    package init(
        baseline: any PurchaseModel, purchase: [(column: String, mean: Double, gamma: Double)],
        dropOut: [(column: String, mean: Double, gammas: [Double])]
    ) throws(ModelError) {
        switch baseline {
        case let model as FittedBGNBD:
            kind = model.variant == .modified ? .mbgnbd : .bgnbd
            baselineModel = .bgnbd(model)
        case let model as FittedParetoNBD:
            kind = .paretonbd
            baselineModel = .paretonbd(model)
        default:
            throw CovariateModel.refusal(of: baseline.name)
        }
        let names = kind == .paretonbd ? ["beta"] : ["a", "b"]
        var all = purchase.map {
            CovariateCoefficient(
                parameter: "alpha", column: $0.column, value: $0.gamma, standardError: nil)
        }
        for (place, name) in names.enumerated() {
            for column in dropOut {
                try requireCount(column.gammas.count, names.count, "coefficients of a column")
                all.append(
                    CovariateCoefficient(
                        parameter: name, column: column.column, value: column.gammas[place],
                        standardError: nil))
            }
        }
        purchaseMeans = purchase.map(\.mean)
        dropOutMeans = dropOut.map(\.mean)
        let numbers = all.map(\.value) + purchaseMeans + dropOutMeans
        for (index, value) in numbers.enumerated() where !value.isFinite {
            throw .nonFiniteValue(what: "coefficients and means", row: 0, column: index)
        }
        coefficients = all
        diagnostics = .given
        plainLogLikelihood = nil
        customerCount = 0
        groupCount = 0
    }

    init(
        _ likelihood: CovariateLikelihood, plain: FittedPurchaseModel,
        result: DampedNewton.Result, logLikelihood: Double, estimates: [Double], start: Int
    ) {
        let design = likelihood.design
        kind = likelihood.kind
        baselineModel = plain.fitted.with(estimates)
        let scales = likelihood.shifts.flatMap { shift in
            shift.columns.map { 1 / design.deviations[$0] }
        }
        let diagnostics = FitDiagnostics(
            result, logLikelihood: logLikelihood, estimates: estimates,
            coefficientScales: scales, customers: Double(design.merged.totalCustomerCount),
            startIndex: start, startCount: plain.model.diagnostics.startCount)
        self.diagnostics = diagnostics
        let names = plain.model.parameters.map(\.name)
        coefficients = likelihood.shifts.flatMap { shift in
            shift.columns.enumerated().map { place, column in
                CovariateCoefficient(
                    parameter: names[shift.parameter], column: design.names[column],
                    value: result.point[shift.offset + place] / design.deviations[column],
                    standardError: diagnostics.standardErrors?[shift.offset + place])
            }
        }
        purchaseMeans = Array(design.means.prefix(design.purchaseCount))
        dropOutMeans = Array(design.means.dropFirst(design.purchaseCount))
        plainLogLikelihood = plain.model.diagnostics.logLikelihood
        customerCount = design.merged.totalCustomerCount
        groupCount = design.groupCount
    }

    /// The model of a customer with these covariates. A parameter that they would make more than
    /// e^40 times as large or small as the baseline's is held there.
    /// - Parameters: `purchase`, `dropOut`: a value for each column, in their order.
    /// - Throws: `countMismatch`; `nonFiniteValue`.
    package func model(
        purchase: [Double], dropOut: [Double]
    ) throws(ModelError) -> any PurchaseModel {
        try requireCount(purchase.count, purchaseMeans.count, "covariates of the purchase rate")
        try requireCount(dropOut.count, dropOutMeans.count, "covariates of the drop-out")
        for (index, value) in (purchase + dropOut).enumerated() where !value.isFinite {
            throw .nonFiniteValue(what: "covariates of a customer", row: 0, column: index)
        }
        return baselineModel.with(parameters(purchase: purchase, dropOut: dropOut)).model
    }

    /// `model(purchase:dropOut:)`, its parameters given as those of a fitted model are.
    /// - Throws: as that.
    package func purchaseModel(
        purchase: [Double], dropOut: [Double]
    ) throws(ModelError) -> FittedPurchaseModel {
        _ = try model(purchase: purchase, dropOut: dropOut)
        return FittedPurchaseModel(
            fitted: baselineModel.with(parameters(purchase: purchase, dropOut: dropOut)),
            customerCount: 0, repeatCustomerCount: 0, repeatPurchaseCount: 0, uniqueRowCount: 0)
    }

    /// - Precondition: counts as those of the columns.
    private func parameters(purchase: [Double], dropOut: [Double]) -> [Double] {
        var values = baseline.parameters.map(\.value)
        func shift(_ parameter: Int, _ sign: Double, _ centred: [Double], from offset: Int) {
            var exponent = 0.0
            for (place, value) in centred.enumerated() {
                exponent += sign * value * coefficients[offset + place].value
            }
            // Infinite products of opposite signs are no shift.
            let held = exponent.isNaN ? 0 : min(max(exponent, -40), 40)
            values[parameter] *= exp(held)
        }
        let centred = zip(purchase, purchaseMeans).map { $0 - $1 }
        let leaving = zip(dropOut, dropOutMeans).map { $0 - $1 }
        shift(1, -1, centred, from: 0)
        if kind == .paretonbd {
            shift(3, -1, leaving, from: centred.count)
        } else {
            shift(2, 1, leaving, from: centred.count)
            shift(3, 1, leaving, from: centred.count + leaving.count)
        }
        return values
    }

    /// Scores every customer by the model of its covariates; see `LifetimeScores.score`, whose
    /// parameters these are.
    ///
    /// O(customers), and a few hundred microseconds a different combination of covariates: columns of
    /// few values are scored at full speed. A row with a covariate that is not finite is not eligible.
    /// - Parameter columns: all columns of the model, found by name; others are not looked at.
    /// - Throws: as `LifetimeScores.score`; `badColumn` naming a column that is missing.
    package func score(
        repeatPurchaseCount: [Int32], ageAtLastPurchaseDays: [Int32], observedAgeDays: [Int32],
        meanOrderValue: [Double], columns: [CovariateColumn], status: [UInt8]? = nil,
        spend: FittedGammaGamma?,
        _ parameters: LifetimeScores.Parameters = LifetimeScores.Parameters()
    ) throws(ModelError) -> LifetimeScores {
        let count = repeatPurchaseCount.count
        try requireCount(ageAtLastPurchaseDays.count, count, "ages at last purchase")
        try requireCount(observedAgeDays.count, count, "observed ages")
        try requireCount(meanOrderValue.count, count, "mean order values")
        if let status { try requireCount(status.count, count, "statuses") }
        let names = purchaseColumns + dropOutColumns
        var values: [[Double]] = []
        for name in names {
            guard let column = columns.first(where: { $0.name == name }) else {
                throw .badColumn(
                    name: name, reason: "the model was fitted on it, and it is not here")
            }
            try requireCount(column.values.count, count, "covariate \"\(name)\"")
            values.append(column.values)
        }
        var statuses = status ?? [UInt8](repeating: 0, count: count)
        for row in 0..<count where statuses[row] == 0 {
            if !values.allSatisfy({ $0[row].isFinite }) {
                statuses[row] = LifetimeScores.notEligible
            }
        }
        let rows = (0..<count).filter { statuses[$0] == 0 }
        let (codes, groups) = GroupedRows.group(values, rows: rows)
        var members = [[Int]](repeating: [], count: groups.count)
        for (position, code) in codes.enumerated() {
            members[Int(code)].append(rows[position])
        }
        var single = parameters
        single.threadCount = 1
        let grouped = members
        let parts = parallelMap(
            count: groups.count, chunkSize: 1, threadCount: parameters.threadCount
        ) { [single] group, _ -> Result<LifetimeScores, ModelError> in
            let width = purchaseMeans.count
            let model = baselineModel.with(
                self.parameters(
                    purchase: Array(groups[group].prefix(width)),
                    dropOut: Array(groups[group].dropFirst(width)))
            ).model
            let rows = grouped[group]
            return Result { () throws(ModelError) in
                try LifetimeScores.score(
                    repeatPurchaseCount: rows.map { repeatPurchaseCount[$0] },
                    ageAtLastPurchaseDays: rows.map { ageAtLastPurchaseDays[$0] },
                    observedAgeDays: rows.map { observedAgeDays[$0] },
                    meanOrderValue: rows.map { meanOrderValue[$0] }, model: model, spend: spend,
                    single)
            }
        }
        let zeros = [Double](repeating: 0, count: count)
        var scores = LifetimeScores(
            status: statuses, probabilityAlive: zeros, expectedPurchases: zeros,
            churnProbability: zeros, expectedOrderValue: spend == nil ? nil : zeros,
            lifetimeValue: spend == nil ? nil : zeros)
        for (group, part) in parts.enumerated() {
            let part = try part.get()
            for (place, row) in members[group].enumerated() {
                scores.status[row] = part.status[place]
                scores.probabilityAlive[row] = part.probabilityAlive[place]
                scores.expectedPurchases[row] = part.expectedPurchases[place]
                scores.churnProbability[row] = part.churnProbability[place]
                scores.expectedOrderValue?[row] = part.expectedOrderValue?[place] ?? 0
                scores.lifetimeValue?[row] = part.lifetimeValue?[place] ?? 0
            }
        }
        return scores
    }
}
