import Foundation
import Numerical
package import Units

/// Sums over the customers of each segment of what they will buy and be worth in a horizon, with
/// intervals.
///
/// Two things are uncertain, and both are stated: the parameters of the models, which move all
/// customers together and do not average out, and what each customer does at given parameters, which
/// does. The interval is normal, of the sum of the two variances, cut at 0.
package struct SegmentForecast: Codable, Equatable, Sendable {
    /// How the parameters' uncertainty is carried to the sums.
    package enum Method: Codable, Equatable, Sendable {
        /// Standard deviation over draws from the normal approximation of the log-parameters.
        case draws(count: Int, seed: UInt64)
        /// First order: from the sums' derivatives by the log-parameters, by central differences.
        /// Right where the sums are nearly linear over the interval of each parameter, for a tenth
        /// of the time.
        case delta
    }

    package struct Parameters: Sendable {
        /// Default 52 weeks.
        package var horizon = Horizon(52, .week)
        /// Of the values. Default 10 % a year.
        package var discountRate = DiscountRate(annual: 0.1)
        /// Default revenue.
        package var basis = ValueBasis.revenue
        /// Default 200 draws; 2...100,000.
        package var method = Method.draws(count: 200, seed: 1)
        /// Of the intervals; above 0 and below 1.
        package var level = 0.95
        /// At least 1. Does not change the result.
        package var threadCount = 1

        package init() {}
    }

    package struct Sum: Codable, Equatable, Sendable {
        /// At the estimates.
        package let expected: Double
        /// Standard deviation by the parameters; nil where a model was given or has no strict optimum,
        /// so that nothing is known of it.
        package let parameterDeviation: Double?
        /// Standard deviation by what the customers do at these parameters; nil where it is infinite,
        /// as the variance of order values is where q <= 2. Of values it takes each purchase at the
        /// mean discount of the customer's.
        package let customerDeviation: Double?
        /// Nil where a part is.
        package let interval: ClosedRange<Double>?

        init(
            expected: Double, parameterDeviation: Double?, customerDeviation: Double?, z: Double
        ) {
            self.expected = expected
            self.parameterDeviation = parameterDeviation
            self.customerDeviation = customerDeviation
            interval = parameterDeviation.flatMap { one in
                customerDeviation.map { other in
                    let spread = z * (one * one + other * other).squareRoot()
                    return max(0, expected - spread)...expected + spread
                }
            }
        }
    }

    package struct Segment: Codable, Equatable, Sendable {
        /// Customers in the sums.
        package let customerCount: Int
        /// Purchases in the horizon.
        package let purchases: Sum
        /// Value in the horizon at the as-of day, currency units of the basis, as
        /// `LifetimeScores.lifetimeValue`; nil without an order-value model.
        package let value: Sum?
    }

    /// By segment id.
    package let segments: [Segment]
    /// All of them together.
    package let total: Segment
    /// Customers with a status, or with a history that cannot be.
    package let leftOutCount: Int
}

extension FittedPurchaseModel {
    /// Forecasts of segments. O(customers), then O(draws · unique histories); the same bytes for any
    /// thread count.
    /// - Parameters:
    ///   - repeatPurchaseCount: x; this and the next four as of `LifetimeScores.score`.
    ///   - segment: the id of each customer's segment.
    ///   - segmentCount: ids are 0 ..< segmentCount.
    ///   - spend: fitted on its own, as it is taken to be independent of the purchases.
    /// - Throws: `countMismatch`; `outOfRange` for an id, a level, a count of draws, or a ratio that
    ///   is negative or not finite.
    package func forecast(
        repeatPurchaseCount: [Int32], ageAtLastPurchaseDays: [Int32], observedAgeDays: [Int32],
        meanOrderValue: [Double], status: [UInt8]? = nil, segment: [Int32], segmentCount: Int,
        spend: FittedGammaGamma?,
        _ parameters: SegmentForecast.Parameters = SegmentForecast.Parameters()
    ) throws(ModelError) -> SegmentForecast {
        let z = try Significance.criticalValue(parameters.level)
        let ratio = parameters.basis.ratio
        guard ratio >= 0, ratio.isFinite else {
            throw .outOfRange(
                what: "margin ratio", actual: ratio, allowed: "not negative and finite")
        }
        if case .draws(let count, _) = parameters.method, !(2...100_000).contains(count) {
            throw .outOfRange(
                what: "draws of the parameters", actual: Double(count), allowed: "2...100000")
        }
        try requireCount(segment.count, repeatPurchaseCount.count, "segment ids")
        for id in segment where id < 0 || Int(id) >= segmentCount {
            throw .outOfRange(
                what: "segment id", actual: Double(id), allowed: "0 ..< \(segmentCount)")
        }
        let rows = try ScoredRows(
            repeatPurchaseCount: repeatPurchaseCount,
            ageAtLastPurchaseDays: ageAtLastPurchaseDays, observedAgeDays: observedAgeDays,
            meanOrderValue: meanOrderValue, status: status, needsMean: spend != nil)
        let sums = SegmentSums(
            rows, meanOrderValue: meanOrderValue, segment: segment, segmentCount: segmentCount,
            grid: model.grid, parameters)
        return sums.forecast(
            self, spend: spend, method: parameters.method, z: z,
            leftOut: rows.status.count { $0 != 0 })
    }
}
