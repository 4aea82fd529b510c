import Foundation
package import Numerical

/// The Gamma-Gamma model of order values: a customer's orders are Gamma(p, ν) with
/// ν ~ Gamma(q, v) over customers, independent of how often the customer buys.
/// Source: Fader & Hardie, "The Gamma-Gamma Model of Monetary Value", 2013.
package enum GammaGamma {
    package static let name = "Gamma-Gamma"

    /// How a fit is made.
    package struct Parameters: Sendable {
        /// Customers with a repeat order of positive mean value that must be there; default 10.
        package var minimumCustomerCount = 10
        /// Above this multiple of the observed mean the model's own population mean is not
        /// believed (see `FittedGammaGamma.MeanRule`). Default 5, above 1.
        package var maximumMeanRatio = 5.0
        /// At least 1. Does not change the result.
        package var threadCount = 1
        package var optimizer = DampedNewton()

        package init(threadCount: Int = 1) { self.threadCount = threadCount }
    }

    private static let starts: [(p: Double, q: Double)] = [(2, 3), (6, 4), (1, 1.5)]

    /// Maximum likelihood by damped Newton in log-parameters, on values divided by their mean.
    ///
    /// Used are customers with x >= 1 and mean value above 0. Repeaters of mean value 0 or below
    /// have no likelihood under the model; they are left out and counted in
    /// `excludedCustomerCount`. Customers without repeat orders carry no information.
    /// - Parameters:
    ///   - repeatPurchaseCount: x of every customer.
    ///   - meanOrderValue: mean of the repeat orders in currency units, the first order excluded.
    ///   - include: rows to use; nil uses all.
    /// - Throws: `countMismatch`, `nonFiniteValue`, `tooFewRows`, `notIdentified` where all order
    ///   values are equal.
    package static func fit(
        repeatPurchaseCount: [Int32], meanOrderValue: [Double], include: [Bool]? = nil,
        _ parameters: Parameters = Parameters()
    ) throws(ModelError) -> FittedGammaGamma {
        try requireCount(meanOrderValue.count, repeatPurchaseCount.count, "mean order values")
        if let include {
            try requireCount(include.count, repeatPurchaseCount.count, "inclusion flags")
        }
        var counts: [Int32] = []
        var means: [Double] = []
        var excluded = 0
        for row in repeatPurchaseCount.indices where include?[row] ?? true {
            guard repeatPurchaseCount[row] > 0 else { continue }
            let mean = meanOrderValue[row]
            guard mean.isFinite else {
                throw .nonFiniteValue(what: "mean order value", row: row, column: 0)
            }
            guard mean > 0 else {
                excluded += 1
                continue
            }
            counts.append(repeatPurchaseCount[row])
            means.append(mean)
        }
        let needed = max(1, parameters.minimumCustomerCount)
        guard counts.count >= needed else {
            throw .tooFewRows(
                model: "\(name) (customers with a repeat order of positive value)",
                actual: counts.count, needed: needed)
        }
        let observedMean = means.reduce(0, +) / Double(means.count)
        guard observedMean.isFinite, observedMean > 0 else {
            throw .outOfRange(
                what: "mean of the order values", actual: observedMean, allowed: "finite")
        }
        guard let lowest = means.min(), let highest = means.max(),
            highest - lowest > 1e-9 * highest
        else {
            throw .notIdentified(
                model: name, reason: "all customers have the same mean order value")
        }
        let likelihood = GammaGammaLikelihood(
            counts: counts, means: means.map { $0 / observedMean },
            threadCount: parameters.threadCount)
        let data = Data(
            customerCount: counts.count, excludedCount: excluded, observedMean: observedMean,
            correlation: correlation(counts, means))

        let free = parameters.optimizer.best(
            from: starts.map { [log($0.p), log($0.q), log($0.q / $0.p)] },
            lower: [-16, -16, -16], upper: [16, 16, 16], objective: likelihood.inLogParameters)
        guard let free else {
            throw .notIdentified(model: name, reason: "its likelihood is not finite at any start")
        }
        let fitted = FittedGammaGamma(unconstrained: free.result, free.start, data)
        if let mean = fitted.likelihoodMean, mean <= parameters.maximumMeanRatio * observedMean {
            return fitted
        }
        // On scaled values the observed mean is 1.
        let held = parameters.optimizer.best(
            from: starts.map { [log($0.p), log($0.q - 0.5)] }, lower: [-16, -16], upper: [16, 16]
        ) { likelihood.withPopulationMean(1, $0) }
        guard let held else {
            throw .notIdentified(model: name, reason: "its likelihood is not finite at any start")
        }
        return FittedGammaGamma(
            meanConstrained: held.result, held.start, unconstrainedQ: fitted.q, data)
    }

    /// Pearson's; 0 where one of the two does not vary.
    private static func correlation(_ counts: [Int32], _ means: [Double]) -> Double {
        let n = Double(counts.count)
        let meanX = counts.reduce(0) { $0 + Double($1) } / n
        let meanM = means.reduce(0, +) / n
        var xx = 0.0
        var mm = 0.0
        var xm = 0.0
        for (x, m) in zip(counts, means) {
            xx += (Double(x) - meanX) * (Double(x) - meanX)
            mm += (m - meanM) * (m - meanM)
            xm += (Double(x) - meanX) * (m - meanM)
        }
        return xx > 0 && mm > 0 ? xm / (xx * mm).squareRoot() : 0
    }

    /// What is known of the data before any parameter.
    struct Data {
        let customerCount: Int
        let excludedCount: Int
        let observedMean: Double
        let correlation: Double
    }
}

/// A fitted Gamma-Gamma model: an immutable value with all that is known about the fit.
package struct FittedGammaGamma: Codable, Equatable, Sendable {
    /// How the mean order value of the population, p v / (q − 1), came about.
    package enum MeanRule: String, Codable, Sendable {
        /// The maximum of the likelihood has a credible finite mean: it is used as it is.
        case likelihood
        /// At the maximum of the likelihood q <= 1 (the mean is infinite, and the formula gives a
        /// negative number) or the mean is far above the observed one. The likelihood was
        /// maximised again with the population mean held at the observed mean, q > 1.
        case heldAtObservedMean
        /// The parameters were given.
        case given
    }

    /// Shape of a customer's order values; above 0.
    package let p: Double
    /// Shape of the distribution over customers; above 0, above 1 unless `given`.
    package let q: Double
    /// Its rate, in currency units; above 0.
    package let v: Double
    package let meanRule: MeanRule
    /// q at the unconstrained maximum where that was refused.
    package let unconstrainedQ: Double?
    /// Expected value of an order of a random customer, currency units; finite, above 0.
    package let populationMean: Double
    /// Standard errors are of (p, q, v); of (p, q) where the mean is held.
    package let diagnostics: FitDiagnostics
    package let customerCount: Int
    /// Repeaters left out for a mean order value of 0 or below.
    package let excludedCustomerCount: Int
    /// Mean over customers of their mean order value.
    package let observedMean: Double
    /// Pearson's between x and the mean order value: the model assumes 0.
    package let correlation: Double

    /// A model from known parameters; nil where they have no finite positive mean (q <= 1).
    package init?(p: Double, q: Double, v: Double) {
        guard p > 0, q > 1, v > 0, p.isFinite, q.isFinite, v.isFinite else { return nil }
        self.p = p
        self.q = q
        self.v = v
        meanRule = .given
        unconstrainedQ = nil
        populationMean = p * v / (q - 1)
        diagnostics = .given
        customerCount = 0
        excludedCustomerCount = 0
        observedMean = populationMean
        correlation = 0
    }

    fileprivate init(
        unconstrained result: DampedNewton.Result, _ start: Int, _ data: GammaGamma.Data
    ) {
        let theta = result.point.map(exp)
        let (p, q, v) = (theta[0], theta[1], theta[2] * data.observedMean)
        self.init(
            p, q, v, result, start, data, estimates: [p, q, v], rule: .likelihood,
            unconstrainedQ: nil, populationMean: q > 1 ? p * v / (q - 1) : data.observedMean)
    }

    fileprivate init(
        meanConstrained result: DampedNewton.Result, _ start: Int, unconstrainedQ: Double,
        _ data: GammaGamma.Data
    ) {
        let p = exp(result.point[0])
        let excess = exp(result.point[1])
        self.init(
            p, 1 + excess, data.observedMean * excess / p, result, start, data,
            estimates: [p, excess], rule: .heldAtObservedMean, unconstrainedQ: unconstrainedQ,
            populationMean: data.observedMean)
    }

    private init(
        _ p: Double, _ q: Double, _ v: Double, _ result: DampedNewton.Result, _ start: Int,
        _ data: GammaGamma.Data, estimates: [Double], rule: MeanRule, unconstrainedQ: Double?,
        populationMean: Double
    ) {
        self.p = p
        self.q = q
        self.v = v
        meanRule = rule
        self.unconstrainedQ = unconstrainedQ
        self.populationMean = populationMean
        let n = Double(data.customerCount)
        // A density of one value a customer scales by 1 / unit.
        diagnostics = FitDiagnostics(
            result,
            logLikelihood: -result.evaluation.value * n - n * log(data.observedMean),
            estimates: estimates, customers: n, startIndex: start, startCount: 3)
        customerCount = data.customerCount
        excludedCustomerCount = data.excludedCount
        observedMean = data.observedMean
        correlation = data.correlation
    }

    /// The same model with the logarithms that were fitted shifted: those of p, q and v, or where the
    /// mean is held, of p and q − 1. Where the mean would no longer be finite, q is held just above 1.
    func shifted(by shifts: [Double]) -> FittedGammaGamma {
        let p = p * exp(shifts[0])
        guard meanRule == .heldAtObservedMean else {
            let q = max(q * exp(shifts[1]), 1 + 1e-3)
            return FittedGammaGamma(p: p, q: q, v: v * exp(shifts[2])) ?? self
        }
        let excess = (q - 1) * exp(shifts[1])
        return FittedGammaGamma(p: p, q: 1 + excess, v: populationMean * excess / p) ?? self
    }

    /// p v / (q − 1) where it exists.
    fileprivate var likelihoodMean: Double? { q > 1 ? p * v / (q - 1) : nil }

    /// Expected value of a future order of a customer with x repeat orders of this mean value:
    /// the mean of the two weighted by p x : q − 1. For x = 0 the population mean. A mean of 0 or
    /// below counts as 0, so the answer is never negative.
    package func expectedOrderValue(x: Int, meanOrderValue: Double) -> Double {
        precondition(x >= 0)
        return blend.expectedOrderValue(x: x, meanOrderValue: meanOrderValue)
    }

    /// All that expected order values of many customers need.
    var blend: OrderValueBlend {
        OrderValueBlend(p: p, priorWeight: q - 1, populationMean: populationMean)
    }

    /// The log-likelihood of one customer, x >= 1 and m > 0, in currency units.
    package func logLikelihood(x: Int, meanOrderValue m: Double) -> Double {
        precondition(x >= 1 && m > 0)
        let x = Double(x)
        let px = p * x
        return lnGamma(px + q) - lnGamma(px) - lnGamma(q) + q * log(v) + (px - 1) * log(m)
            + px * log(x) - (px + q) * log(v + x * m)
    }
}

/// A customer's mean order value, drawn towards that of all.
struct OrderValueBlend: Sendable {
    /// What a repeat order weighs; above 0.
    let p: Double
    /// q − 1: what the mean of all weighs.
    let priorWeight: Double
    /// Currency units.
    let populationMean: Double

    /// As `FittedGammaGamma.expectedOrderValue`.
    func expectedOrderValue(x: Int, meanOrderValue: Double) -> Double {
        let own = p * Double(x)
        let weight = own / (own + priorWeight)
        return weight * max(0, meanOrderValue) + (1 - weight) * populationMean
    }
}
