import Foundation
import Numerical

/// x transactions in `opportunities` periods, the last in period t_x (0 where x = 0).
package struct OpportunityRecord: Hashable, Sendable {
    package let transactions: Int
    package let last: Int
    package let opportunities: Int

    /// - Throws: `impossibleHistory` (of row 0) where no customer can have this history.
    package init(
        transactions: Int, last: Int, opportunities: Int
    ) throws(ModelError) {
        if let problem = OpportunityHistory.problem(transactions, last, opportunities) {
            throw .impossibleHistory(row: 0, reason: problem)
        }
        self.transactions = transactions
        self.last = last
        self.opportunities = opportunities
    }

    /// A customer just acquired.
    package static let new = OpportunityRecord()

    private init() {
        transactions = 0
        last = 0
        opportunities = 0
    }
}

/// O(periods) each unless said otherwise; finite, never NaN, for any parameters.
extension FittedBGBB {
    /// ln of the probability of the record, as in eq. 6 of the paper.
    package func logLikelihood(_ record: OpportunityRecord) -> Double {
        let (x, n) = (record.transactions, record.opportunities)
        let tables = BGBBLikelihood.Tables(
            alpha: alpha, beta: beta, gamma: gamma, delta: delta, maximumCount: n)
        let logs = (record.last...n).map { tables.term(alive: $0, x: x, n: n) }
        let largest = logs.max() ?? 0
        return tables.ofAlpha.value(x) + largest
            + log(logs.reduce(0) { $0 + exp($1 - largest) })
    }

    /// The probability that the customer is alive `periods` after the record's end; 0 for now.
    /// In 0...1.
    package func probabilityAlive(_ record: OpportunityRecord, after periods: Int = 0) -> Double {
        let (x, n) = (record.transactions, record.opportunities)
        // The terms of the likelihood over that of "still alive", each from the next one. They
        // grow beyond the largest double for customers long gone; 1 / infinity is the right 0.
        var odds = 0.0
        var term = gamma / (gamma + delta + Double(n))
        var m = n - 1
        while m >= record.last, odds < .infinity {
            let age = Double(m)
            term *=
                (alpha + beta + age) / (beta + Double(m - x))
                * ((gamma + delta + age + 1) / (delta + age))
            odds += term
            m -= 1
        }
        return 1 / (1 + odds) * remaining(record).survival(periods)
    }

    /// The life ahead of a customer who is alive at the record's end.
    func remaining(_ record: OpportunityRecord) -> BetaGeometricLifetime {
        BetaGeometricLifetime(alpha: gamma, beta: delta + Double(record.opportunities))
    }

    /// E[p]: the mean chance to buy in a period while alive, given the record.
    private func buying(_ record: OpportunityRecord) -> Double {
        (alpha + Double(record.transactions)) / (alpha + beta + Double(record.opportunities))
    }

    /// Expected transactions in the next `horizon` periods. O(periods + horizon).
    package func expectedTransactions(_ record: OpportunityRecord, horizon: Int) -> Double {
        probabilityAlive(record) * buying(record)
            * remaining(record).expectedPeriods(horizon: horizon)
    }

    /// Discounted expected residual transactions: one made t periods ahead counts 1 / (1 + d)^t.
    /// Nil where it is infinite: d = 0 and γ <= 1.
    /// - Parameter discount: d a period, see `ContractPeriod.discount`.
    /// - Throws: `outOfRange` for a discount that is neither 0 nor in 1e-9 ... 1e9.
    package func discountedResidualTransactions(
        _ record: OpportunityRecord, discount: Double
    ) throws(ModelError) -> Double? {
        let life = remaining(record)
        let later = try life.aged(1).discountedPeriods(discount: discount)
        return later.map {
            probabilityAlive(record) * buying(record) * life.renewal(after: 0) * $0
                / (1 + discount)
        }
    }

    /// The probability of at least one transaction in the next `horizon` periods, which is 1 − the
    /// churn probability. In 0 ... probability alive after the first of them.
    package func probabilityActive(_ record: OpportunityRecord, horizon: Int) -> Double {
        precondition(horizon >= 0)
        // By the period of the first transaction: no difference from 1 is taken.
        let life = remaining(record)
        let a = alpha + Double(record.transactions)
        let b = beta + Double(record.opportunities - record.transactions)
        var alive = 1.0
        var idle = 1.0
        var sum = 0.0
        for period in 0..<horizon {
            alive *= life.renewal(after: period)
            let chances = a + b + Double(period)
            sum += alive * idle * (a / chances)
            idle *= (b + Double(period)) / chances
        }
        return min(1, probabilityAlive(record) * sum)
    }

    /// P(X = count): the distribution of the transactions in the next `horizon` periods; of a new
    /// customer's in-sample transactions for `.new`. O(periods + horizon).
    /// Source: Fader, Hardie & Shang 2010, eqs. 7 and 13.
    package func probability(
        ofTransactions count: Int, horizon: Int, _ record: OpportunityRecord = .new
    ) -> Double {
        precondition(count >= 0 && horizon >= 0)
        guard count <= horizon else { return 0 }
        let life = remaining(record)
        let a = alpha + Double(record.transactions)
        let b = beta + Double(record.opportunities - record.transactions)
        // Up to each number of periods alive: ln of the chance to live that long, and of `count`
        // transactions in them.
        var logAlive = 0.0
        var logCount = 0.0
        for j in 0..<count {
            logCount += log((a + Double(j)) / (a + b + Double(j)))
            logAlive += log(life.renewal(after: j))
        }
        var sum = 0.0
        for m in count..<max(horizon, count) {
            let leaving = life.alpha / (life.alpha + life.beta + Double(m))
            sum += exp(logCount + logAlive) * leaving
            let more = Double(m + 1) / Double(m + 1 - count)
            logCount += log(more * (b + Double(m - count)) / (a + b + Double(m)))
            logAlive += log(life.renewal(after: m))
        }
        sum += exp(logCount + logAlive)
        let alive = probabilityAlive(record)
        return min(1, alive * sum + (count == 0 ? 1 - alive : 0))
    }
}
