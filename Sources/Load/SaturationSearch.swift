/// Looks for the highest rate that a server keeps up with, by trying rates: first shares of an
/// estimate, then between the highest that went well and the lowest that did not.
package struct SaturationSearch: Sendable {
    package struct Step: Codable, Sendable, Equatable {
        /// Requests a second that were asked for, that random arrivals made of it, and that were
        /// answered.
        package var rate: Double
        package var offered: Double
        package var achieved: Double
        package var p99Microseconds: Double
        package var errors: Int
        package var isKeptUp: Bool
    }

    /// In the order tried.
    package private(set) var steps: [Step] = []
    /// The highest rate that was kept up with; nil where none was.
    package private(set) var highest: Double?
    private var lowestTooHigh: Double?
    private let estimate: Double
    private let maximumSteps: Int
    private let p99Limit: Double

    /// The share of the offered rate that must be achieved.
    package static let leastAchieved = 0.99
    /// The search ends when the two rates are within 2 %.
    private static let precision = 1.02

    /// - Parameters:
    ///   - estimate: requests a second that a closed loop reached; positive.
    ///   - p99Limit: microseconds.
    package init(estimate: Double, maximumSteps: Int, p99Limit: Double) {
        precondition(estimate > 0 && maximumSteps >= 1)
        self.estimate = estimate
        self.maximumSteps = maximumSteps
        self.p99Limit = p99Limit
    }

    /// The rate to try next; nil when the search is over.
    package var nextRate: Double? {
        guard steps.count < maximumSteps else { return nil }
        switch (highest, lowestTooHigh) {
        case (nil, nil): return estimate * 0.8
        case (let low?, nil): return low * 1.2
        case (nil, let high?): return high < 2 ? nil : high / 2
        case (let low?, let high?):
            return high / low < Self.precision ? nil : (low * high).squareRoot()
        }
    }

    /// Enters what came of a rate.
    ///
    /// - Parameter offered: requests a second that were meant for the measured time; of random
    ///   arrivals a short one has some percent more or fewer than `rate`.
    package mutating func record(
        rate: Double, offered: Double, achieved: Double, p99Microseconds: Double, errors: Int
    ) {
        let isKeptUp =
            achieved >= offered * Self.leastAchieved && p99Microseconds <= p99Limit && errors == 0
        steps.append(
            Step(
                rate: rate, offered: offered, achieved: achieved, p99Microseconds: p99Microseconds,
                errors: errors,
                isKeptUp: isKeptUp))
        if isKeptUp {
            highest = max(highest ?? 0, rate)
        } else {
            lowestTooHigh = min(lowestTooHigh ?? .infinity, rate)
        }
    }
}
