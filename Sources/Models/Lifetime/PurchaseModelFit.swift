import Foundation
package import Numerical
package import Units

/// How a model of repeat purchases is fitted.
package struct PurchaseFitParameters: Sendable {
    /// Unit of the model's times and of the reported log-likelihood. Default week.
    package var grid = TimeGrid.week
    /// Customers with a repeat purchase that must be there; default 10, at least 1. Fewer
    /// than about 10 cannot tell four parameters apart.
    package var minimumRepeatCustomerCount = 10
    /// At least 1. Does not change the result.
    package var threadCount = 1
    package var optimizer = DampedNewton()
    /// What is known of a parameter before the data, by its name; none by default, which is maximum
    /// likelihood. The fit is then the mode of the posterior in ln θ.
    package var priors: [String: LogNormalPrior] = [:]

    package init(grid: TimeGrid = .week, threadCount: Int = 1) {
        self.grid = grid
        self.threadCount = threadCount
        // Drop-out and its spread nearly trade off: along them a gradient of 1e-10 leaves the seventh
        // digit open, and one more step is cheap.
        optimizer.gradientTolerance = 1e-12
    }
}

/// A parameter whose logarithm is normal.
package struct LogNormalPrior: Sendable, Equatable {
    /// Above 0, in the unit of the parameter.
    package let median: Double
    /// Standard deviation of the logarithm; above 0.
    package let logDeviation: Double

    /// - Precondition: both above 0 and finite.
    package init(median: Double, logDeviation: Double) {
        precondition(median > 0 && median.isFinite && logDeviation > 0 && logDeviation.isFinite)
        self.median = median
        self.logDeviation = logDeviation
    }
}

/// A log-likelihood of collapsed histories, on time scaled so that the oldest age is 1.
protocol HistoryLikelihood {
    /// The negative mean log-likelihood a customer, with derivatives, at logarithms of the
    /// parameters.
    func negativeMean(_ point: [Double]) -> ObjectiveEvaluation
}

/// A maximum of a likelihood and what is reported of it.
struct PurchaseModelFit {
    /// On the natural scale, times in units of the grid.
    let estimates: [Double]
    let diagnostics: FitDiagnostics

    /// Rows of a history on which the starts are compared; the best goes on with all rows.
    private static let trialRows = 8_192

    /// Damped Newton in log-parameters, from several starts: likelihoods of drop-out can be flat, and
    /// the best of the optima wins.
    /// - Parameters:
    ///   - timed: which parameters are times.
    ///   - starts: natural scale, with the mean rate of purchases as the unit of times.
    /// - Throws: `noRows`; `tooFewRows` below `minimumRepeatCustomerCount`; `notIdentified` where
    ///   no customer has been observed for a day or more, or the likelihood is not finite;
    ///   `unknownParameter` for a prior of a parameter that the model does not have.
    init<Likelihood: HistoryLikelihood>(
        _ name: String, _ history: CollapsedHistory, _ parameters: PurchaseFitParameters,
        names: [String], timed: [Bool], starts: [[Double]],
        likelihood: (CollapsedHistory, Int) -> Likelihood
    ) throws(ModelError) {
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
        for prior in parameters.priors.keys.sorted() where !names.contains(prior) {
            throw .unknownParameter(model: name, parameter: prior, known: names)
        }
        let unit = Double(history.maximumObservedAgeDays)
        let gridUnit = unit / parameters.grid.days
        let customers = Double(history.totalCustomerCount)
        let priors = Prior.all(parameters, names: names, timed: timed, gridUnit: gridUnit)
        func objective(
            _ likelihood: Likelihood
        ) -> ([Double]) -> ObjectiveEvaluation {
            { point in
                var evaluation = likelihood.negativeMean(point)
                for prior in priors { prior.add(at: point, to: &evaluation, customers: customers) }
                return evaluation
            }
        }
        let lower = [Double](repeating: -16, count: names.count)
        let upper = [Double](repeating: 16, count: names.count)
        let trial = history.thinned(toAbout: Self.trialRows)
        let trialObjective = objective(likelihood(trial ?? history, parameters.threadCount))
        let meanInterval = history.exposureDays / unit / Double(history.totalRepeatPurchaseCount)
        let points = starts.map { start in
            zip(start, timed).map { value, isTime in
                min(max(log(isTime ? value * meanInterval : value), -15), 15)
            }
        }
        var best = parameters.optimizer.best(
            from: points, lower: lower, upper: upper, objective: trialObjective)
        if trial != nil, let found = best {
            let whole = objective(likelihood(history, parameters.threadCount))
            let result = parameters.optimizer.minimize(
                from: found.result.point, lower: lower, upper: upper, objective: whole)
            best = (result, found.start)
        }
        guard let best, best.result.outcome != .notFinite else {
            throw .notIdentified(model: name, reason: "its likelihood is not finite at any start")
        }
        let natural = zip(best.result.point, timed).map { exp($0) * ($1 ? gridUnit : 1) }
        estimates = natural
        var meanPenalty = 0.0
        for prior in priors { meanPenalty += prior.value(at: best.result.point) / customers }
        diagnostics = FitDiagnostics(
            best.result,
            // A density of x event times scales by unit^−x.
            logLikelihood: -(best.result.evaluation.value - meanPenalty) * customers
                - Double(history.totalRepeatPurchaseCount) * log(gridUnit),
            estimates: natural, customers: customers, startIndex: best.start,
            startCount: starts.count)
    }

    /// A normal prior of the logarithm of a parameter, on scaled time.
    struct Prior: Sendable {
        let index: Int
        let mean: Double
        let logDeviation: Double

        /// Those of `parameters`, in the order of `names`.
        static func all(
            _ parameters: PurchaseFitParameters, names: [String], timed: [Bool], gridUnit: Double
        ) -> [Prior] {
            var priors: [Prior] = []
            for (index, name) in names.enumerated() {
                guard let prior = parameters.priors[name] else { continue }
                let mean = log(prior.median) - (timed[index] ? log(gridUnit) : 0)
                priors.append(Prior(index: index, mean: mean, logDeviation: prior.logDeviation))
            }
            return priors
        }

        func value(at point: [Double]) -> Double {
            let z = (point[index] - mean) / logDeviation
            return z * z / 2
        }

        func add(at point: [Double], to sum: inout ObjectiveEvaluation, customers: Double) {
            let weight = 1 / (logDeviation * logDeviation * customers)
            sum.value += value(at: point) / customers
            sum.gradient[index] += (point[index] - mean) * weight
            sum.hessian[index, index] += weight
        }
    }
}

/// Sums over rows of a log-likelihood and its derivatives in natural parameters, of which there are
/// at most four.
struct LikelihoodSums: Sendable {
    var value = 0.0
    /// By the parameters in their order.
    var g0 = 0.0, g1 = 0.0, g2 = 0.0, g3 = 0.0
    /// The lower triangle of the second derivatives.
    var h00 = 0.0, h10 = 0.0, h11 = 0.0, h20 = 0.0, h21 = 0.0, h22 = 0.0
    var h30 = 0.0, h31 = 0.0, h32 = 0.0, h33 = 0.0

    /// The negative mean of parts, merged in their order and changed to log-parameters.
    static func negativeMean(
        _ parts: [LikelihoodSums], at theta: [Double], customers: Double
    ) -> ObjectiveEvaluation {
        var sum = LikelihoodSums()
        for part in parts { sum.add(part) }
        var (gradient, hessian) = sum.byLogarithms(of: theta)
        for i in theta.indices {
            gradient[i] /= -customers
            for j in 0...i { hessian[i, j] /= -customers }
        }
        return ObjectiveEvaluation(
            value: -sum.value / customers, gradient: gradient, hessian: hessian)
    }

    /// The derivatives in log-parameters: ∂/∂ln θ = θ ∂/∂θ.
    func byLogarithms(of theta: [Double]) -> (gradient: [Double], hessian: SymmetricMatrix) {
        let natural = [g0, g1, g2, g3]
        let second = [[h00], [h10, h11], [h20, h21, h22], [h30, h31, h32, h33]]
        var gradient = [Double](repeating: 0, count: theta.count)
        var hessian = SymmetricMatrix(size: theta.count)
        for i in theta.indices {
            gradient[i] = natural[i] * theta[i]
            for j in 0...i { hessian[i, j] = second[i][j] * theta[i] * theta[j] }
            hessian[i, i] += gradient[i]
        }
        return (gradient, hessian)
    }

    private mutating func add(_ other: LikelihoodSums) {
        value += other.value
        g0 += other.g0
        g1 += other.g1
        g2 += other.g2
        g3 += other.g3
        h00 += other.h00
        h10 += other.h10
        h11 += other.h11
        h20 += other.h20
        h21 += other.h21
        h22 += other.h22
        h30 += other.h30
        h31 += other.h31
        h32 += other.h32
        h33 += other.h33
    }
}

/// ln(α + t) and 1 / (α + t) of one time t.
struct TimeTerm {
    let logarithm: Double
    let inverse: Double

    init(logarithm: Double, inverse: Double) {
        self.logarithm = logarithm
        self.inverse = inverse
    }

    init(alpha: Double, time: Double) {
        logarithm = log(alpha + time)
        inverse = 1 / (alpha + time)
    }
}

/// `TimeTerm` for t = 0 ... `dayCount` days, with `dayCount` days as the unit: every
/// time of a history is a whole number of days, so one table a parameter vector serves all rows.
struct DayTables: Sendable {
    let logarithm: [Double]
    let inverse: [Double]

    init(alpha: Double, dayCount: Int) {
        let unit = 1 / Double(dayCount)
        logarithm = (0...dayCount).map { log(alpha + Double($0) * unit) }
        inverse = (0...dayCount).map { 1 / (alpha + Double($0) * unit) }
    }

    subscript(day: Int) -> TimeTerm {
        TimeTerm(logarithm: logarithm[day], inverse: inverse[day])
    }
}
