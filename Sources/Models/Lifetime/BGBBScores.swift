import Numerical

/// The BG/BB quantities of many customers, one element a customer in every array.
package struct BGBBScores: Sendable, Equatable {
    package struct Parameters: Sendable {
        /// Periods ahead; 0 and above, at most 100,000. Default 12.
        package var horizon = 12
        /// d a period, 0 or 1e-9 ... 1e9; see `ContractPeriod.discount`. Default 0.01.
        package var discount = 0.01
        /// At least 1. Does not change the result.
        package var threadCount = 1

        package init() {}
    }

    /// At the end of each record.
    package private(set) var probabilityAlive: [Double] = []
    /// In the horizon.
    package private(set) var expectedTransactions: [Double] = []
    /// Of a transaction in the horizon; churn is 1 minus it.
    package private(set) var probabilityActive: [Double] = []
    /// For ever, discounted; nil where that is infinite for all (d = 0 and γ <= 1).
    package private(set) var discountedTransactions: [Double]?

    /// Scores each different record once. O(customers + records · (periods + horizon)); the same
    /// bytes for any thread count.
    /// - Throws: `countMismatch`; `impossibleHistory` naming the row; `outOfRange` for a horizon
    ///   or discount.
    package static func score(
        transactionCount: [Int32], lastTransaction: [Int32], opportunityCount: [Int32],
        model: FittedBGBB, _ parameters: Parameters = Parameters()
    ) throws(ModelError) -> BGBBScores {
        let count = transactionCount.count
        try requireCount(lastTransaction.count, count, "last transactions")
        try requireCount(opportunityCount.count, count, "numbers of periods")
        guard (0...100_000).contains(parameters.horizon) else {
            throw .outOfRange(
                what: "horizon in periods", actual: Double(parameters.horizon),
                allowed: "0...100000")
        }
        var unique = UniqueKeys()
        var records: [OpportunityRecord] = []
        var codes: [Int32] = []
        codes.reserveCapacity(count)
        for row in 0..<count {
            let (x, tx, n) = (transactionCount[row], lastTransaction[row], opportunityCount[row])
            if let problem = OpportunityHistory.problem(Int(x), Int(tx), Int(n)) {
                throw .impossibleHistory(row: row, reason: problem)
            }
            let code = unique.insert(UInt64(n) << 40 | UInt64(x) << 20 | UInt64(tx))
            if Int(code) == records.count {
                records.append(
                    try OpportunityRecord(
                        transactions: Int(x), last: Int(tx), opportunities: Int(n)))
            }
            codes.append(code)
        }
        // A refused discount is found before any work; later calls cannot throw.
        let isFinite =
            try model.discountedResidualTransactions(.new, discount: parameters.discount) != nil
        let known = records
        let values = parallelMap(
            count: known.count, chunkSize: 16, threadCount: max(1, parameters.threadCount)
        ) { _, range in
            range.map { index in
                let record = known[index]
                let discounted = try? model.discountedResidualTransactions(
                    record, discount: parameters.discount)
                return (
                    model.probabilityAlive(record),
                    model.expectedTransactions(record, horizon: parameters.horizon),
                    model.probabilityActive(record, horizon: parameters.horizon),
                    (discounted ?? nil) ?? 0
                )
            }
        }.flatMap { $0 }
        var scores = BGBBScores()
        scores.probabilityAlive = codes.map { values[Int($0)].0 }
        scores.expectedTransactions = codes.map { values[Int($0)].1 }
        scores.probabilityActive = codes.map { values[Int($0)].2 }
        scores.discountedTransactions = isFinite ? codes.map { values[Int($0)].3 } : nil
        return scores
    }
}
