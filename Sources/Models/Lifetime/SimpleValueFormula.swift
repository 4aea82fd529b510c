import Foundation
package import Units

/// The simple formula of customer value: monthly revenue × gross margin × expected duration.
///
/// It is reported beside the lifetime value, not instead of it. It gives every customer the same
/// duration, does not discount, and takes past revenue a month for future revenue a month, so it
/// is right for a company as a whole at best and too high for a customer who has gone quiet.
package enum SimpleValueFormula {
    /// How long a customer is expected to keep buying.
    package enum Duration: Hashable, Codable, Sendable {
        /// A business assumption, in months; finite, above 0.
        case fixed(months: Double)
        /// 1 / monthly churn rate, capped. The rate c is that of a population whose share
        /// (1 − c)^h is active over h months: c = 1 − share^(1/h). The share is predicted (the
        /// mean probability of a purchase in the churn horizon), not observed, because in a
        /// business without contracts nobody sees a customer leave. Constant c means: a customer
        /// who has stayed is as likely to leave as a new one, which overstates churn for loyal
        /// customers and understates it for new ones.
        case inverseChurn(maximumMonths: Double)
    }

    /// The default cap of `inverseChurn`: 10 years.
    package static let defaultMaximumMonths = 120.0

    /// One duration for all customers, in months; finite and above 0.
    /// - Parameters:
    ///   - churnProbability: of every customer; not used for `fixed`.
    ///   - status: rows with a status other than 0 are left out of the mean.
    ///   - churnHorizon: the horizon of `churnProbability`; above 0.
    /// - Throws: `outOfRange` for a duration, cap or horizon that is not above 0; `noRows` where
    ///   no customer has a churn probability; `countMismatch`.
    package static func expectedDurationMonths(
        _ duration: Duration, churnProbability: [Double], status: [UInt8], churnHorizon: Horizon
    ) throws(ModelError) -> Double {
        switch duration {
        case .fixed(let months):
            return try positive(months, "expected duration in months")
        case .inverseChurn(let maximum):
            let cap = try positive(maximum, "longest duration in months")
            let months = try positive(
                churnHorizon.count(in: .month), "churn horizon in months")
            try requireCount(status.count, churnProbability.count, "statuses")
            var active = 0.0
            var count = 0
            for row in status.indices where status[row] == 0 {
                active += 1 - churnProbability[row]
                count += 1
            }
            guard count > 0 else { throw .noRows(model: "simple value formula") }
            let share = min(max(active / Double(count), 0), 1)
            // 1 − share^(1/h); a share of 0 gives a churn of 1 and a duration of one month.
            let churn = share > 0 ? -expm1(log(share) / months) : 1
            return churn * cap > 1 ? 1 / churn : cap
        }
    }

    /// Monthly revenue × margin ratio × months for every customer, in currency units.
    ///
    /// Where the status is not 0, or the monthly revenue is not finite, the value is 0 and means
    /// nothing; the second gets status 5. Negative monthly revenue (more returned than bought)
    /// gives a negative value: that is what the customer has been worth a month.
    /// - Parameters:
    ///   - monthlyRevenue: revenue over the observed age, at least one month, a month.
    ///   - marginRatio: gross margin / revenue; finite.
    ///   - months: from `expectedDurationMonths`.
    /// - Throws: `countMismatch`, `outOfRange`.
    package static func values(
        monthlyRevenue: [Double], status: [UInt8], marginRatio: Double, months: Double
    ) throws(ModelError) -> (values: [Double], status: [UInt8]) {
        try requireCount(status.count, monthlyRevenue.count, "statuses")
        guard marginRatio.isFinite else {
            throw .outOfRange(what: "margin ratio", actual: marginRatio, allowed: "finite")
        }
        let factor = try positive(months, "expected duration in months") * marginRatio
        var values = [Double](repeating: 0, count: status.count)
        var statuses = status
        for row in status.indices where status[row] == 0 {
            let value = monthlyRevenue[row] * factor
            if value.isFinite {
                values[row] = value
            } else {
                statuses[row] = LifetimeScores.notEligible
            }
        }
        return (values, statuses)
    }

    private static func positive(
        _ value: Double, _ what: String
    ) throws(ModelError) -> Double {
        guard value.isFinite, value > 0 else {
            throw .outOfRange(what: what, actual: value, allowed: "finite and above 0")
        }
        return value
    }
}
