import Foundation
import Numerical
package import Units

/// The beta-geometric/NBD model of repeat buying: while alive a customer buys at a Poisson rate
/// λ ~ Gamma(r, α) and drops out after any purchase with probability p ~ Beta(a, b).
/// Source: Fader, Hardie & Lee, "Counting Your Customers the Easy Way", Marketing Science 2005.
package enum BGNBD {
    package static let name = "BG/NBD"

    /// When a customer may drop out.
    package enum Variant: String, Codable, Sendable, CaseIterable {
        /// After any repeat purchase (BG/NBD): customers without one are alive for certain.
        case standard
        /// After any purchase, the first too (MBG/NBD).
        /// Source: Batislam, Denizel & Filiztekin 2007; Hoppe & Wagner 2007.
        case modified

        /// Chances to drop out before the first repeat purchase.
        var earlierChances: Int { self == .modified ? 1 : 0 }

        package var name: String { self == .modified ? "MBG/NBD" : BGNBD.name }
    }

    /// r, α in mean intervals between purchases, a, b: spread over the shapes that retail data show.
    private static let starts: [[Double]] = [
        [1, 1, 1, 3], [0.25, 0.25, 0.5, 2], [4, 4, 2, 10],
    ]

    /// Maximum likelihood; see `PurchaseModelFit`.
    ///
    /// O(unique rows) an iteration, about ten iterations a start. Deterministic for any thread
    /// count. Priors may name `r`, `alpha`, `a` and `b`.
    /// - Throws: `noRows`; `tooFewRows` below `minimumRepeatCustomerCount`; `notIdentified` where
    ///   no customer has been observed for a day or more, or the likelihood is not finite.
    package static func fit(
        _ history: CollapsedHistory, variant: Variant = .standard,
        _ parameters: PurchaseFitParameters = PurchaseFitParameters()
    ) throws(ModelError) -> FittedBGNBD {
        let fit = try PurchaseModelFit(
            variant.name, history, parameters, names: ["r", "alpha", "a", "b"],
            timed: [false, true, false, false], starts: starts
        ) { BGNBDLikelihood($0, variant: variant, threadCount: $1) }
        return FittedBGNBD(fit, variant, grid: parameters.grid)
    }
}

/// A fitted BG/NBD or MBG/NBD model: an immutable value with all that is known about the fit.
package struct FittedBGNBD: Codable, Equatable, Sendable {
    package let variant: BGNBD.Variant
    /// Unit of α.
    package let grid: TimeGrid
    /// Shape of the purchase rate's gamma distribution; above 0.
    package let r: Double
    /// Its rate, in units of `grid`; above 0.
    package let alpha: Double
    /// First parameter of the drop-out probability's beta distribution; above 0.
    package let a: Double
    /// Second parameter; above 0.
    package let b: Double
    package let diagnostics: FitDiagnostics

    /// A model from known parameters, for instance published ones; the diagnostics say so.
    /// - Precondition: all four above 0 and finite.
    package init(
        r: Double, alpha: Double, a: Double, b: Double, grid: TimeGrid,
        variant: BGNBD.Variant = .standard
    ) {
        precondition([r, alpha, a, b].allSatisfy { $0 > 0 && $0.isFinite })
        self.variant = variant
        self.grid = grid
        self.r = r
        self.alpha = alpha
        self.a = a
        self.b = b
        diagnostics = .given
    }

    fileprivate init(
        _ fit: PurchaseModelFit, _ variant: BGNBD.Variant, grid: TimeGrid
    ) {
        self.variant = variant
        self.grid = grid
        r = fit.estimates[0]
        alpha = fit.estimates[1]
        a = fit.estimates[2]
        b = fit.estimates[3]
        diagnostics = fit.diagnostics
    }

    /// Chances to drop out that a customer with x repeat purchases has taken.
    func chanceCount(_ x: Int) -> Int { x + variant.earlierChances }

    /// The log-likelihood of one history at these parameters, in units of `grid`; finite.
    package func logLikelihood(x: Int, tx: Double, age: Double) -> Double {
        precondition(x >= 0 && tx >= 0 && tx <= age)
        let shape = r + Double(x)
        let alive = r * log(alpha) - shape * log(alpha + age)
        let n = chanceCount(x)
        guard n > 0 else { return alive }
        let d = log(a / (b + Double(n - 1))) + shape * log((alpha + age) / (alpha + tx))
        return alive + max(d, 0) + log1p(exp(-abs(d)))
            + lnGammaDifference(r, x) + lnGammaDifference(b, n) - lnGammaDifference(a + b, n)
    }
}
