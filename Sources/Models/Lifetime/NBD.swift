import Foundation
package import Numerical
package import Units

/// The NBD model of repeat buying: a customer buys at a Poisson rate λ ~ Gamma(r, α) and never
/// leaves. The baseline of the models that let customers drop out.
/// Source: Ehrenberg, "The Pattern of Consumer Purchases", Applied Statistics 1959.
package enum NBD {
    package static let name = "NBD"

    /// r, α in mean intervals between purchases.
    private static let starts: [[Double]] = [[1, 1], [0.25, 0.25], [4, 4]]

    /// Maximum likelihood; see `PurchaseModelFit`. Priors may name `r` and `alpha`.
    /// - Throws: as `BGNBD.fit`.
    package static func fit(
        _ history: CollapsedHistory, _ parameters: PurchaseFitParameters = PurchaseFitParameters()
    ) throws(ModelError) -> FittedNBD {
        let fit = try PurchaseModelFit(
            name, history, parameters, names: ["r", "alpha"], timed: [false, true], starts: starts
        ) { NBDLikelihood(history: $0, threadCount: $1) }
        return FittedNBD(fit, grid: parameters.grid)
    }
}

/// The log-likelihood ln Γ(r+x)/Γ(r) + r ln α − (r+x) ln(α+T) of collapsed rows.
package struct NBDLikelihood: HistoryLikelihood, Sendable {
    let history: CollapsedHistory
    let threadCount: Int

    /// - Precondition: at least one row, and the oldest age above 0.
    package init(history: CollapsedHistory, threadCount: Int) {
        self.history = history
        self.threadCount = threadCount
    }

    /// - Parameter point: (ln r, ln α), α in units of the oldest age.
    package func negativeMean(_ point: [Double]) -> ObjectiveEvaluation {
        let (r, alpha) = (exp(point[0]), exp(point[1]))
        let tables = DayTables(alpha: alpha, dayCount: Int(history.maximumObservedAgeDays))
        let ofR = GammaDifferences(
            argument: r, maximumCount: Int(history.repeatPurchaseCount.max() ?? 0))
        let (logAlpha, inverseAlpha) = (tables.logarithm[0], tables.inverse[0])
        let rows = history
        let parts = parallelMap(
            count: rows.rowCount, chunkSize: 4_096, threadCount: threadCount
        ) { _, range in
            var sum = LikelihoodSums()
            for row in range {
                let x = Int(rows.repeatPurchaseCount[row])
                let age = Int(rows.observedAgeDays[row])
                let weight = Double(rows.customerCount[row])
                let shape = r + Double(x)
                let (logAge, inverseAge) = (tables.logarithm[age], tables.inverse[age])
                sum.value += weight * (ofR.value(x) + r * logAlpha - shape * logAge)
                sum.g0 += weight * (ofR.first(x) + logAlpha - logAge)
                sum.g1 += weight * (r * inverseAlpha - shape * inverseAge)
                sum.h00 += weight * ofR.second(x)
                sum.h10 += weight * (inverseAlpha - inverseAge)
                sum.h11 +=
                    weight * (shape * inverseAge * inverseAge - r * inverseAlpha * inverseAlpha)
            }
            return sum
        }
        return LikelihoodSums.negativeMean(
            parts, at: [r, alpha], customers: Double(rows.totalCustomerCount))
    }
}

/// A fitted NBD model.
package struct FittedNBD: Codable, Equatable, Sendable, PurchaseModel {
    package let grid: TimeGrid
    /// Shape of the purchase rate's gamma distribution; above 0.
    package let r: Double
    /// Its rate, in units of `grid`; above 0.
    package let alpha: Double
    package let diagnostics: FitDiagnostics

    /// A model from known parameters; the diagnostics say so.
    /// - Precondition: both above 0 and finite.
    package init(r: Double, alpha: Double, grid: TimeGrid) {
        precondition([r, alpha].allSatisfy { $0 > 0 && $0.isFinite })
        self.r = r
        self.alpha = alpha
        self.grid = grid
        diagnostics = .given
    }

    fileprivate init(_ fit: PurchaseModelFit, grid: TimeGrid) {
        self.grid = grid
        r = fit.estimates[0]
        alpha = fit.estimates[1]
        diagnostics = fit.diagnostics
    }

    package var name: String { NBD.name }
    package var parameters: [(name: String, value: Double)] { [("r", r), ("alpha", alpha)] }

    package func logLikelihood(x: Int, tx: Double, age: Double) -> Double {
        precondition(x >= 0 && tx >= 0 && tx <= age)
        return lnGammaDifference(r, x) - r * log1p(age / alpha) - Double(x) * log(alpha + age)
    }

    /// 1: nobody leaves.
    package func probabilityAlive(x: Int, tx: Double, age: Double) -> Double { 1 }

    package func aliveScorer(maximumAgeDays: Int) -> any AliveScorer { Scorer() }

    private struct Scorer: AliveScorer {
        func fill(
            _ result: inout MutableSpan<Double>, rows: Range<Int>, x: Span<Int32>,
            tx: Span<Int32>, age: Span<Int32>, status: Span<UInt8>
        ) {
            for (offset, row) in rows.enumerated() { result[offset] = status[row] == 0 ? 1 : 0 }
        }
    }

    package func living(x: Int, age: Double) -> FittedNBD {
        FittedNBD(r: r + Double(x), alpha: alpha + age, grid: grid)
    }

    package func purchasesOfNew(horizon: Double) -> Double { r * (horizon / alpha) }

    /// r / α (1 − e^(−δ t)) / δ.
    package func discountedPurchasesOfNew(horizon: Double, discount: Double) -> Double {
        discount * horizon > 0
            ? purchasesOfNew(horizon: horizon)
                * (-expm1(-discount * horizon) / (discount * horizon))
            : purchasesOfNew(horizon: horizon)
    }

    package func purchasePairsOfNew(horizon: Double) -> Double {
        r * (r + 1) * (horizon / alpha) * (horizon / alpha)
    }

    package func purchaseProbabilityOfNew(horizon: Double) -> Double {
        -expm1(-r * log1p(horizon / alpha))
    }

    package func survivalOfNew(time: Double) -> Double { 1 }

    package func probabilityOfNew(count: Int, horizon: Double) -> Double {
        precondition(count >= 0 && horizon >= 0)
        guard horizon > 0 else { return count == 0 ? 1 : 0 }
        return exp(NegativeBinomial(shape: r, timeOverAlpha: horizon / alpha).logProbability(count))
    }
    package func tailOfNew(from count: Int, horizon: Double) -> Double {
        precondition(count >= 0 && horizon >= 0)
        guard horizon > 0 else { return count == 0 ? 1 : 0 }
        return NegativeBinomial(shape: r, timeOverAlpha: horizon / alpha).tail(from: count)
    }
}
