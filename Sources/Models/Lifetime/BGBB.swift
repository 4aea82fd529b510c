import Foundation
package import Numerical

/// The beta-geometric/beta-Bernoulli model of buying at discrete chances (a yearly appeal, a weekly
/// box): while alive a customer buys in a period with probability p ~ Beta(α, β), and before each
/// period drops out with probability θ ~ Beta(γ, δ).
/// Source: Fader, Hardie & Shang, "Customer-Base Analysis in a Discrete-Time Noncontractual
/// Setting", Marketing Science 2010.
package enum BGBB {
    package static let name = "BG/BB"

    package struct Parameters: Sendable {
        /// What a period is. Default a month.
        package var period = ContractPeriod.month
        /// Customers with a transaction that must be there; default 10, at least 1.
        package var minimumActiveCustomerCount = 10
        /// At least 1. Does not change the result.
        package var threadCount = 1
        package var optimizer = DampedNewton()

        package init(period: ContractPeriod = .month, threadCount: Int = 1) {
            self.period = period
            self.threadCount = threadCount
        }
    }

    /// Starting points (α, β, γ, δ), spread over the shapes that such data show.
    static let starts: [[Double]] = [
        [1, 1, 0.5, 2], [0.5, 2, 0.5, 5], [2, 1, 2, 20], [1, 4, 1, 1],
    ]

    /// Maximum likelihood by damped Newton in log-parameters.
    ///
    /// O(cells · periods) a step, about ten steps a start. The same bytes for any thread count.
    /// - Throws: `noRows`; `tooFewRows` below `minimumActiveCustomerCount`; `notIdentified` where
    ///   no customer was watched for three periods: fewer cannot tell four parameters apart.
    package static func fit(
        _ history: OpportunityHistory, _ parameters: Parameters = Parameters()
    ) throws(ModelError) -> FittedBGBB {
        guard history.totalCustomerCount > 0 else { throw .noRows(model: name) }
        guard history.maximumOpportunities >= 3 else {
            throw .notIdentified(
                model: name,
                reason: """
                    the longest history has \(history.maximumOpportunities) periods, three are \
                    needed; use shorter periods or a longer history
                    """)
        }
        let needed = max(1, parameters.minimumActiveCustomerCount)
        guard history.activeCustomerCount >= needed else {
            throw .tooFewRows(
                model: "\(name) (customers with a transaction)",
                actual: history.activeCustomerCount, needed: needed)
        }
        let likelihood = BGBBLikelihood(
            history: history, threadCount: max(1, parameters.threadCount))
        let bound = [Double](repeating: 16, count: 4)
        let best = parameters.optimizer.best(
            from: starts.map { $0.map { log($0) } }, lower: bound.map { -$0 }, upper: bound,
            objective: likelihood.negativeMean)
        guard let best else {
            throw .notIdentified(model: name, reason: "its likelihood is not finite at any start")
        }
        return FittedBGBB(
            best.result, startIndex: best.start, history: history, period: parameters.period)
    }
}

/// A fitted BG/BB model: an immutable value with all that is known about the fit.
package struct FittedBGBB: Codable, Equatable, Sendable {
    package let period: ContractPeriod
    /// Of the purchase probability's beta distribution; above 0.
    package let alpha: Double
    package let beta: Double
    /// Of the drop-out probability's; above 0.
    package let gamma: Double
    package let delta: Double
    package let diagnostics: FitDiagnostics
    package let customerCount: Int
    package let activeCustomerCount: Int
    package let cellCount: Int
    /// Longest history of the fit, in periods: how far it has been seen to hold.
    package let periodCount: Int

    /// A model from known parameters; the diagnostics say so.
    /// - Precondition: all four above 0 and finite.
    package init(
        alpha: Double, beta: Double, gamma: Double, delta: Double,
        period: ContractPeriod = .month
    ) {
        precondition([alpha, beta, gamma, delta].allSatisfy { $0 > 0 && $0.isFinite })
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.delta = delta
        self.period = period
        diagnostics = .given
        customerCount = 0
        activeCustomerCount = 0
        cellCount = 0
        periodCount = 0
    }

    fileprivate init(
        _ result: DampedNewton.Result, startIndex: Int, history: OpportunityHistory,
        period: ContractPeriod
    ) {
        let estimates = result.point.map { exp($0) }
        let customers = Double(history.totalCustomerCount)
        (alpha, beta, gamma, delta) = (estimates[0], estimates[1], estimates[2], estimates[3])
        self.period = period
        diagnostics = FitDiagnostics(
            result, logLikelihood: -result.evaluation.value * customers, estimates: estimates,
            customers: customers, startIndex: startIndex, startCount: BGBB.starts.count)
        customerCount = history.totalCustomerCount
        activeCustomerCount = history.activeCustomerCount
        cellCount = history.cells.count
        periodCount = history.maximumOpportunities
    }
}
