import Foundation

/// Which model of repeat purchases.
package enum PurchaseModelKind: String, Codable, Sendable, CaseIterable {
    case bgnbd
    case mbgnbd
    case paretonbd
    case nbd

    /// The maximum-likelihood fit of this model.
    /// - Throws: as `BGNBD.fit`.
    package func fit(
        _ history: CollapsedHistory, _ parameters: PurchaseFitParameters = PurchaseFitParameters()
    ) throws(ModelError) -> FittedPurchaseModel {
        let fitted: FittedPurchaseModel.Fitted =
            switch self {
            case .bgnbd: .bgnbd(try BGNBD.fit(history, parameters))
            case .mbgnbd: .bgnbd(try BGNBD.fit(history, variant: .modified, parameters))
            case .paretonbd: .paretonbd(try ParetoNBD.fit(history, parameters))
            case .nbd: .nbd(try NBD.fit(history, parameters))
            }
        return FittedPurchaseModel(
            fitted: fitted, customerCount: history.totalCustomerCount,
            repeatCustomerCount: history.repeatCustomerCount,
            repeatPurchaseCount: history.totalRepeatPurchaseCount,
            uniqueRowCount: history.rowCount)
    }
}

/// A fitted model of repeat purchases and what it was fitted to, as a model file holds them.
package struct FittedPurchaseModel: Codable, Equatable, Sendable {
    enum Fitted: Codable, Equatable, Sendable {
        /// BG/NBD and MBG/NBD.
        case bgnbd(FittedBGNBD)
        case paretonbd(FittedParetoNBD)
        case nbd(FittedNBD)

        var model: any PurchaseModel {
            switch self {
            case .bgnbd(let model): model
            case .paretonbd(let model): model
            case .nbd(let model): model
            }
        }

        /// The same kind of model with each parameter times e^shift, held where numbers end.
        func shifted(by shifts: [Double]) -> Fitted {
            with(
                zip(model.parameters, shifts).map { parameter, shift in
                    min(max(parameter.value * exp(shift), 1e-200), 1e200)
                })
        }

        /// The same kind of model at other parameters, in the order of `model.parameters`; above 0 and
        /// finite.
        func with(_ values: [Double]) -> Fitted {
            switch self {
            case .bgnbd(let model):
                .bgnbd(
                    FittedBGNBD(
                        r: values[0], alpha: values[1], a: values[2], b: values[3],
                        grid: model.grid, variant: model.variant))
            case .paretonbd(let model):
                .paretonbd(
                    FittedParetoNBD(
                        r: values[0], alpha: values[1], s: values[2], beta: values[3],
                        grid: model.grid))
            case .nbd(let model):
                .nbd(FittedNBD(r: values[0], alpha: values[1], grid: model.grid))
            }
        }
    }

    let fitted: Fitted
    package let customerCount: Int
    /// Customers with a repeat purchase.
    package let repeatCustomerCount: Int
    package let repeatPurchaseCount: Int
    /// Different histories among the customers'.
    package let uniqueRowCount: Int

    package var model: any PurchaseModel { fitted.model }

    /// Akaike's criterion, 2 k − 2 ln L; less is better.
    package var akaike: Double? {
        model.diagnostics.logLikelihood.map { 2 * Double(model.parameters.count) - 2 * $0 }
    }

    /// The Bayesian (Schwarz's) criterion, k ln n − 2 ln L with n customers; less is better.
    package var bayesian: Double? {
        model.diagnostics.logLikelihood.map {
            log(Double(customerCount)) * Double(model.parameters.count) - 2 * $0
        }
    }
}
