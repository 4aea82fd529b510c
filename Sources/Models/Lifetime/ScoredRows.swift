import Numerical

/// Customers with a history, numbered by it: what depends on the history is computed once for each
/// different one.
struct ScoredRows: Sendable {
    struct History: Sendable {
        let x: Int
        /// Days.
        let tx: Int
        let age: Int
    }

    /// 0, or why there is no number.
    private(set) var status: [UInt8]
    /// Different histories, in the order of their first customers.
    private(set) var histories: [History] = []
    /// The history of each customer; −1 where the status is not 0.
    private(set) var codes: [Int32]

    /// - Parameter needsMean: a mean order value that is not finite makes a customer ineligible.
    /// - Throws: `countMismatch`.
    init(
        repeatPurchaseCount: [Int32], ageAtLastPurchaseDays: [Int32], observedAgeDays: [Int32],
        meanOrderValue: [Double], status given: [UInt8]?, needsMean: Bool
    ) throws(ModelError) {
        let count = repeatPurchaseCount.count
        try requireCount(ageAtLastPurchaseDays.count, count, "ages at last purchase")
        try requireCount(observedAgeDays.count, count, "observed ages")
        try requireCount(meanOrderValue.count, count, "mean order values")
        if let given { try requireCount(given.count, count, "statuses") }
        status = given ?? [UInt8](repeating: 0, count: count)
        codes = [Int32](repeating: -1, count: count)
        var unique = UniqueKeys()
        for row in 0..<count where status[row] == 0 {
            let (x, tx, age) = (
                repeatPurchaseCount[row], ageAtLastPurchaseDays[row], observedAgeDays[row]
            )
            guard isPossibleHistory(x: x, tx: tx, age: age),
                !needsMean || meanOrderValue[row].isFinite
            else {
                status[row] = LifetimeScores.notEligible
                continue
            }
            codes[row] = unique.insert(CollapsedHistory.key(x, tx, age))
            if Int(codes[row]) == histories.count {
                histories.append(History(x: Int(x), tx: Int(tx), age: Int(age)))
            }
        }
    }
}
