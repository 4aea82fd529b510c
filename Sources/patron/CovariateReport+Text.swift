import Engine
import Foundation
import Models

extension ModelCard.CovariateReport {
    /// What each covariate does, a line a coefficient.
    var lines: [String] {
        var table = TextTable([
            "covariate", "of", "parameter", "coefficient>", "standard error>", "95 % interval>",
            "times>", "p>",
        ])
        for effect in effects {
            table.add([
                effect.covariate, effect.part == .purchaseRate ? "purchase rate" : "drop-out",
                effect.parameter, effect.coefficient.decimals(5),
                effect.standardError?.decimals(5) ?? "-",
                effect.interval.map {
                    "\($0.lowerBound.decimals(5)) ... \($0.upperBound.decimals(5))"
                } ?? "-", Self.factor(effect.coefficient),
                effect.pValue.map { $0 < 1e-4 ? "<.0001" : $0.decimals(4) } ?? "-",
            ])
        }
        let rows = table.text.split(separator: "\n").map { "    \($0)" }
        let compared = bases.sorted { $0.key < $1.key }.map { "\($0.key) with \($0.value)" }
        let tested =
            test.map {
                "; no effect of any: chi-square \($0.statistic.decimals(2)), "
                    + "\($0.degreesOfFreedom) degrees of freedom, p "
                    + ($0.pValue < 1e-4 ? "<.0001" : $0.pValue.decimals(4))
            } ?? ""
        return [
            "  covariates, \(combinationCount.grouped) combinations\(tested)",
            "  compared: \(compared.joined(separator: "; "))",
        ] + rows + notes.map { "    \($0)" }
    }

    /// e^γ.
    private static func factor(_ coefficient: Double) -> String {
        let factor = exp(coefficient)
        return factor < 1e6 ? factor.decimals(4) : "\(factor)"
    }
}
