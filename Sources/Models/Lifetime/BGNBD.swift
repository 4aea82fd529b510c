import Foundation
package import Numerical
package import Units

/// The beta-geometric/NBD model of repeat buying: while alive a customer buys at a Poisson rate
/// λ ~ Gamma(r, α) and drops out after any purchase with probability p ~ Beta(a, b).
/// Source: Fader, Hardie & Lee, "Counting Your Customers the Easy Way", Marketing Science 2005.
package enum BGNBD {
    package static let name = "BG/NBD"

    /// How a fit is made.
    package struct Parameters: Sendable {
        /// Unit of α and of the reported log-likelihood. Default week.
        package var grid = TimeGrid.week
        /// Customers with a repeat purchase that must be there; default 10, at least 1. Fewer
        /// than about 10 cannot tell four parameters apart.
        package var minimumRepeatCustomerCount = 10
        /// At least 1. Does not change the result.
        package var threadCount = 1
        package var optimizer = DampedNewton()

        package init(grid: TimeGrid = .week, threadCount: Int = 1) {
            self.grid = grid
            self.threadCount = threadCount
        }
    }

    /// Starting points (r, α as a multiple of r / mean rate, a, b). Three, spread over the shapes
    /// that retail data show: the likelihood can be flat, and the best of them wins.
    static let starts: [(r: Double, a: Double, b: Double)] = [
        (1, 1, 3), (0.25, 0.5, 2), (4, 2, 10),
    ]

    /// Maximum likelihood by damped Newton in log-parameters on scaled time.
    ///
    /// O(unique rows) an iteration, about ten iterations a start. Deterministic for any thread
    /// count.
    /// - Throws: `noRows`; `tooFewRows` below `minimumRepeatCustomerCount`; `notIdentified` where
    ///   no customer has been observed for a day or more, or the likelihood is not finite.
    package static func fit(
        _ history: CollapsedHistory, _ parameters: Parameters = Parameters()
    ) throws(ModelError) -> FittedBGNBD {
        guard history.rowCount > 0 else { throw .noRows(model: name) }
        guard history.maximumObservedAgeDays > 0 else {
            throw .notIdentified(
                model: name,
                reason: "all purchases are on one day; a longer history is needed")
        }
        let needed = max(1, parameters.minimumRepeatCustomerCount)
        guard history.repeatCustomerCount >= needed else {
            throw .tooFewRows(
                model: "\(name) (customers with a repeat purchase)",
                actual: history.repeatCustomerCount, needed: needed)
        }
        let likelihood = BGNBDLikelihood(history, threadCount: parameters.threadCount)
        var exposure = 0.0
        for row in 0..<history.rowCount {
            exposure += Double(history.observedAgeDays[row]) * Double(history.customerCount[row])
        }
        let unit = Double(history.maximumObservedAgeDays)
        let meanRate = Double(history.totalRepeatPurchaseCount) / (exposure / unit)
        let lower = [Double](repeating: -16, count: 4)
        let upper = [Double](repeating: 16, count: 4)

        var best: (result: DampedNewton.Result, start: Int)?
        for (index, start) in starts.enumerated() {
            let point = [
                log(start.r), min(max(log(start.r / meanRate), -15), 15), log(start.a),
                log(start.b),
            ]
            let result = parameters.optimizer.minimize(
                from: point, lower: lower, upper: upper, objective: likelihood.negativeMean)
            guard result.evaluation.value.isFinite else { continue }
            // A later start must be better by more than rounding, so that the choice among equal
            // optima does not hang on the last bit.
            let margin = 1e-12 * max(1, abs(result.evaluation.value))
            if let held = best, result.evaluation.value >= held.result.evaluation.value - margin {
                continue
            }
            best = (result, index)
        }
        guard let best, best.result.outcome != .notFinite else {
            throw .notIdentified(model: name, reason: "its likelihood is not finite at any start")
        }
        return FittedBGNBD(
            best.result, startIndex: best.start, history: history, grid: parameters.grid)
    }
}

/// A fitted BG/NBD model: an immutable value with all that is known about the fit.
package struct FittedBGNBD: Codable, Equatable, Sendable {
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
    package let customerCount: Int
    package let repeatCustomerCount: Int
    package let repeatPurchaseCount: Int
    package let uniqueRowCount: Int

    /// A model from known parameters, for instance published ones; the diagnostics say so.
    /// - Precondition: all four above 0 and finite.
    package init(r: Double, alpha: Double, a: Double, b: Double, grid: TimeGrid) {
        precondition([r, alpha, a, b].allSatisfy { $0 > 0 && $0.isFinite })
        self.grid = grid
        self.r = r
        self.alpha = alpha
        self.a = a
        self.b = b
        diagnostics = .given
        customerCount = 0
        repeatCustomerCount = 0
        repeatPurchaseCount = 0
        uniqueRowCount = 0
    }

    fileprivate init(
        _ result: DampedNewton.Result, startIndex: Int, history: CollapsedHistory, grid: TimeGrid
    ) {
        let unit = Double(history.maximumObservedAgeDays) / grid.days
        let customers = Double(history.totalCustomerCount)
        self.grid = grid
        r = exp(result.point[0])
        alpha = exp(result.point[1]) * unit
        a = exp(result.point[2])
        b = exp(result.point[3])
        // A density of x event times scales by unit^−x.
        let logLikelihood =
            -result.evaluation.value * customers
            - Double(history.totalRepeatPurchaseCount) * log(unit)
        diagnostics = FitDiagnostics(
            result, logLikelihood: logLikelihood, estimates: [r, alpha, a, b],
            customers: customers, startIndex: startIndex, startCount: BGNBD.starts.count)
        customerCount = history.totalCustomerCount
        repeatCustomerCount = history.repeatCustomerCount
        repeatPurchaseCount = history.totalRepeatPurchaseCount
        uniqueRowCount = history.rowCount
    }

    /// The log-likelihood of one history at these parameters, in units of `grid`; finite.
    package func logLikelihood(x: Int, tx: Double, age: Double) -> Double {
        precondition(x >= 0 && tx >= 0 && tx <= age)
        let shape = r + Double(x)
        let alive = r * log(alpha) - shape * log(alpha + age)
        guard x > 0 else { return alive }
        let d = log(a / (b + Double(x - 1))) + shape * log((alpha + age) / (alpha + tx))
        return alive + max(d, 0) + log1p(exp(-abs(d)))
            + GammaDifferences(argument: r, maximumCount: x).value(x)
            + GammaDifferences(argument: b, maximumCount: x).value(x)
            - GammaDifferences(argument: a + b, maximumCount: x).value(x)
    }
}
