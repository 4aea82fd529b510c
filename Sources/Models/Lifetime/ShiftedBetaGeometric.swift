import Foundation
package import Numerical

/// The shifted-beta-geometric model of contracts: at the end of each period a customer leaves with
/// an own probability θ ~ Beta(α, β). Retention rises with age although nobody becomes more loyal,
/// because those likely to leave leave first.
/// Source: Fader & Hardie, "How to Project Customer Retention", J. Interactive Marketing 2007.
package enum ShiftedBetaGeometric {
    package static let name = "shifted-beta-geometric"

    package struct Parameters: Sendable {
        /// What a period is. Default a month.
        package var period = ContractPeriod.month
        package var optimizer = DampedNewton()

        package init(period: ContractPeriod = .month) { self.period = period }
    }

    /// Customers who could leave and who did, by age: all that the likelihood depends on.
    private struct Exposure {
        /// `[period − 1]`: alive at its start and still there, or gone, at its end.
        var stayed: [Double] = []
        var left: [Double] = []
        var customers = 0.0
    }

    /// Maximum likelihood by damped Newton in ln α, ln β from three starts.
    ///
    /// O(periods) a step; deterministic.
    /// - Parameter cohorts: survivors of each cohort after 0, 1, 2, … periods, not ascending; the
    ///   cohorts may differ in length. Those left at the end are censored.
    /// - Throws: `noRows` without a customer; `impossibleHistory` for a negative or ascending
    ///   count, where the row is the cohort; `notIdentified` where nobody left, or nobody was seen
    ///   in a second period: one period tells the mean churn only.
    package static func fit(
        survivors cohorts: [[Int]], _ parameters: Parameters = Parameters()
    ) throws(ModelError) -> FittedShiftedBetaGeometric {
        var exposure = Exposure()
        for (row, counts) in cohorts.enumerated() {
            guard let first = counts.first else { continue }
            exposure.customers += Double(first)
            for (period, count) in counts.enumerated() {
                guard count >= 0, period == 0 || count <= counts[period - 1] else {
                    throw .impossibleHistory(
                        row: row, reason: "survivors are negative or rise at period \(period)")
                }
                guard period > 0 else { continue }
                if exposure.stayed.count < period {
                    exposure.stayed.append(0)
                    exposure.left.append(0)
                }
                exposure.stayed[period - 1] += Double(count)
                exposure.left[period - 1] += Double(counts[period - 1] - count)
            }
        }
        guard exposure.customers > 0 else { throw .noRows(model: name) }
        let left = exposure.left.reduce(0, +)
        guard left > 0 else {
            throw .notIdentified(
                model: name, reason: "no customer has left; wait for a longer history")
        }
        let seen = zip(exposure.stayed, exposure.left).map { $0 + $1 }
        guard seen.count > 1, seen[1] > 0 else {
            throw .notIdentified(
                model: name,
                reason: "nobody was seen in a second period, so only the mean churn is known")
        }
        let churn = left / seen.reduce(0, +)
        let bound = [16.0, 16.0]
        let points = starts.map { spread in
            [log(max(churn, 1e-6) * spread), log(max(1 - churn, 1e-6) * spread)]
        }
        let best = parameters.optimizer.best(
            from: points, lower: bound.map { -$0 }, upper: bound
        ) { negativeMean($0, exposure) }
        guard let best else {
            throw .notIdentified(model: name, reason: "its likelihood is not finite at any start")
        }
        return FittedShiftedBetaGeometric(
            best.result, startIndex: best.start, customers: exposure.customers, left: left,
            periodCount: exposure.stayed.count, period: parameters.period)
    }

    /// Values of α + β at which α / (α + β) is the mean churn a period.
    static let starts = [2.0, 0.5, 20.0]

    /// ln L = Σ stayed ln(β+t−1) + left ln α − (stayed + left) ln(α+β+t−1): in each period those
    /// still there are a binomial sample.
    private static func negativeMean(
        _ point: [Double], _ exposure: Exposure
    ) -> ObjectiveEvaluation {
        let alpha = exp(point[0])
        let beta = exp(point[1])
        var value = 0.0
        var (gAlpha, gBeta) = (0.0, 0.0)
        var (hAlpha, hBoth, hBeta) = (0.0, 0.0, 0.0)
        for period in exposure.stayed.indices {
            let stayed = exposure.stayed[period]
            let left = exposure.left[period]
            let base = beta + Double(period)
            let sum = alpha + base
            let all = stayed + left
            value += stayed * log(base / sum) + left * log(alpha / sum)
            gAlpha += left / alpha - all / sum
            gBeta += stayed / base - all / sum
            let common = all / (sum * sum)
            hAlpha += common - left / (alpha * alpha)
            hBoth += common
            hBeta += common - stayed / (base * base)
        }
        var hessian = SymmetricMatrix(size: 2)
        let gradient = [
            -gAlpha * alpha / exposure.customers, -gBeta * beta / exposure.customers,
        ]
        hessian[0, 0] = -hAlpha * alpha * alpha / exposure.customers + gradient[0]
        hessian[1, 0] = -hBoth * alpha * beta / exposure.customers
        hessian[1, 1] = -hBeta * beta * beta / exposure.customers + gradient[1]
        return ObjectiveEvaluation(
            value: -value / exposure.customers, gradient: gradient, hessian: hessian)
    }
}

/// A fitted shifted-beta-geometric model. An age counts the periods that a customer has stayed for:
/// 0 before the first chance to leave.
package struct FittedShiftedBetaGeometric: Codable, Equatable, Sendable {
    package let period: ContractPeriod
    /// First parameter of the drop-out probability's beta distribution; above 0.
    package let alpha: Double
    /// Second parameter; above 0.
    package let beta: Double
    package let diagnostics: FitDiagnostics
    package let customerCount: Int
    package let leftCount: Int
    /// Periods of the longest cohort: how far the fit has been seen to hold.
    package let periodCount: Int

    /// A model from known parameters; the diagnostics say so.
    /// - Precondition: both above 0 and finite.
    package init(alpha: Double, beta: Double, period: ContractPeriod = .month) {
        precondition(alpha > 0 && beta > 0 && alpha.isFinite && beta.isFinite)
        self.alpha = alpha
        self.beta = beta
        self.period = period
        diagnostics = .given
        customerCount = 0
        leftCount = 0
        periodCount = 0
    }

    fileprivate init(
        _ result: DampedNewton.Result, startIndex: Int, customers: Double, left: Double,
        periodCount: Int, period: ContractPeriod
    ) {
        self.period = period
        alpha = exp(result.point[0])
        beta = exp(result.point[1])
        diagnostics = FitDiagnostics(
            result, logLikelihood: -result.evaluation.value * customers,
            estimates: [alpha, beta], customers: customers, startIndex: startIndex,
            startCount: ShiftedBetaGeometric.starts.count)
        customerCount = Int(customers)
        leftCount = Int(left)
        self.periodCount = periodCount
    }

    private var lifetime: BetaGeometricLifetime {
        BetaGeometricLifetime(alpha: alpha, beta: beta)
    }

    /// S(t): the share of new customers still there after `periods`. In 0...1, not ascending.
    package func survival(periods: Int) -> Double { lifetime.survival(periods) }

    /// r(t): the share of those there at the start of period t = 1, 2, … who are there at its end.
    /// Rises with t.
    package func retentionRate(period: Int) -> Double {
        precondition(period >= 1)
        return lifetime.renewal(after: period - 1)
    }

    /// The probability that a customer of this age is still there `periods` later.
    package func probabilityAlive(age: Int, after periods: Int) -> Double {
        precondition(age >= 0)
        return lifetime.aged(age).survival(periods)
    }

    /// Expected further periods of a customer of this age within the horizon. O(horizon).
    package func expectedPeriods(age: Int, horizon: Int) -> Double {
        precondition(age >= 0)
        return lifetime.aged(age).expectedPeriods(horizon: horizon)
    }

    /// Expected residual tenure: the same without horizon, (β + age) / (α − 1); nil where α <= 1,
    /// since the mean does not exist. Use a horizon, or a discount.
    package func expectedResidualPeriods(age: Int) -> Double? {
        precondition(age >= 0)
        return lifetime.aged(age).expectedPeriods
    }

    /// Discounted expected lifetime of a new customer, in payments: one now, then S(t) / (1 + d)^t
    /// for each later period t. Nil where it is infinite: d = 0 and α <= 1.
    /// Source: Fader & Hardie, Marketing Science 2010, eq. 6.
    /// - Parameter discount: d a period, see `ContractPeriod.discount`.
    /// - Throws: `outOfRange` for a discount that is neither 0 nor in 1e-9 ... 1e9.
    package func discountedLifetime(discount: Double) throws(ModelError) -> Double? {
        try lifetime.discountedPeriods(discount: discount)
    }

    /// Discounted expected residual lifetime of a customer of this age just before the next chance
    /// to leave: the payment made if the customer stays counts in full, the one after that
    /// 1 / (1 + d), and so on. Just after a payment it is worth 1 / (1 + d) of that.
    /// Source: Fader & Hardie, Marketing Science 2010, eq. 8, for age + 1 periods.
    /// - Throws: as `discountedLifetime`.
    package func discountedResidualLifetime(
        age: Int, discount: Double
    ) throws(ModelError) -> Double? {
        precondition(age >= 0)
        let later = try lifetime.aged(age + 1).discountedPeriods(discount: discount)
        return later.map { lifetime.renewal(after: age) * $0 }
    }
}
