import Numerical

/// Customer histories with equal (x, t_x, T) merged into one weighted row. The likelihood depends
/// on nothing else, so fitting on the rows is exact; 1M simulated customers give about 180,000.
package struct CollapsedHistory: Sendable, Equatable {
    /// Largest repeat-purchase count, and largest age in days, that a history may have.
    package static let maximumRepeatPurchaseCount = (1 << 24) - 1
    package static let maximumAgeDays = (1 << 20) - 1

    /// Ascending by (x, T, t_x); all four arrays have one element a unique row.
    package private(set) var repeatPurchaseCount: [Int32] = []
    package private(set) var ageAtLastPurchaseDays: [Int32] = []
    package private(set) var observedAgeDays: [Int32] = []
    /// Customers with this history, at least 1.
    package private(set) var customerCount: [Int] = []

    package private(set) var totalCustomerCount = 0
    package private(set) var repeatCustomerCount = 0
    package private(set) var totalRepeatPurchaseCount = 0
    package private(set) var maximumObservedAgeDays: Int32 = 0

    package var rowCount: Int { customerCount.count }

    /// Collapses one history a customer.
    /// - Parameters:
    ///   - repeatPurchaseCount: x >= 0.
    ///   - ageAtLastPurchaseDays: t_x in 0 ... T; 0 where x = 0.
    ///   - observedAgeDays: T >= 0.
    ///   - include: rows to use; nil uses all.
    ///   - threadCount: at least 1. Does not change the result.
    /// - Throws: `countMismatch`, `impossibleHistory`.
    package init(
        repeatPurchaseCount: [Int32], ageAtLastPurchaseDays: [Int32], observedAgeDays: [Int32],
        include: [Bool]? = nil, threadCount: Int = 1
    ) throws(ModelError) {
        let count = repeatPurchaseCount.count
        try requireCount(ageAtLastPurchaseDays.count, count, "ages at last purchase")
        try requireCount(observedAgeDays.count, count, "observed ages")
        if let include { try requireCount(include.count, count, "inclusion flags") }
        for row in 0..<count where include?[row] ?? true {
            if let problem = historyProblem(
                x: repeatPurchaseCount[row], tx: ageAtLastPurchaseDays[row],
                age: observedAgeDays[row])
            {
                throw .impossibleHistory(row: row, reason: problem)
            }
        }
        self.init(
            SortedKeyCounts(rowCount: count, threadCount: threadCount) { rows, keys in
                let (x, tx, age) = (
                    repeatPurchaseCount.span, ageAtLastPurchaseDays.span, observedAgeDays.span
                )
                for row in rows where include?[row] ?? true {
                    keys.append(Self.key(x[row], tx[row], age[row]))
                }
            })
    }

    /// Rows that are weighted already, one an element; equal rows are merged.
    /// - Throws: as the other initialiser; also `outOfRange` for a weight below 1.
    package init(
        rows: [(x: Int32, tx: Int32, age: Int32, customers: Int)]
    ) throws(ModelError) {
        var weights: [UInt64: Int] = [:]
        for (row, item) in rows.enumerated() {
            if let problem = historyProblem(x: item.x, tx: item.tx, age: item.age) {
                throw .impossibleHistory(row: row, reason: problem)
            }
            guard item.customers >= 1 else {
                throw .outOfRange(
                    what: "customers of row \(row)", actual: Double(item.customers),
                    allowed: "1 and above")
            }
            let key = Self.key(item.x, item.tx, item.age)
            weights[key, default: 0] += item.customers
        }
        for (key, weight) in weights.sorted(by: { $0.key < $1.key }) { append(key, weight) }
    }

    /// The rows of another value, as its four arrays hold them: no row is looked for, so restoring
    /// costs the unique rows and not the customers.
    /// - Throws: `countMismatch`; `impossibleHistory` also for rows that do not ascend;
    ///   `outOfRange` for a weight below 1.
    package init(
        restoring repeatPurchaseCount: [Int32], ageAtLastPurchaseDays: [Int32],
        observedAgeDays: [Int32], customerCount: [Int]
    ) throws(ModelError) {
        let count = repeatPurchaseCount.count
        try requireCount(ageAtLastPurchaseDays.count, count, "ages at last purchase")
        try requireCount(observedAgeDays.count, count, "observed ages")
        try requireCount(customerCount.count, count, "customers")
        var last: UInt64?
        for row in 0..<count {
            let (x, tx, age) = (
                repeatPurchaseCount[row], ageAtLastPurchaseDays[row], observedAgeDays[row]
            )
            if let problem = historyProblem(x: x, tx: tx, age: age) {
                throw .impossibleHistory(row: row, reason: problem)
            }
            guard customerCount[row] >= 1 else {
                throw .outOfRange(
                    what: "customers of row \(row)", actual: Double(customerCount[row]),
                    allowed: "1 and above")
            }
            let key = Self.key(x, tx, age)
            if let last, key <= last {
                throw .impossibleHistory(row: row, reason: "it does not follow the row before")
            }
            last = key
            append(key, customerCount[row])
        }
    }

    /// Σ T over customers.
    var exposureDays: Double {
        var sum = 0.0
        for row in 0..<rowCount { sum += Double(observedAgeDays[row]) * Double(customerCount[row]) }
        return sum
    }

    /// Every so manyth row, about `count` of them, on the same scale of time; nil where there are
    /// not twice as many.
    func thinned(toAbout count: Int) -> CollapsedHistory? {
        let step = rowCount / count
        guard step >= 2 else { return nil }
        var part = CollapsedHistory()
        for row in stride(from: 0, to: rowCount, by: step) {
            part.append(
                Self.key(
                    repeatPurchaseCount[row], ageAtLastPurchaseDays[row], observedAgeDays[row]),
                customerCount[row])
        }
        part.maximumObservedAgeDays = maximumObservedAgeDays
        return part
    }

    static func key(_ x: Int32, _ tx: Int32, _ age: Int32) -> UInt64 {
        UInt64(x) << 40 | UInt64(age) << 20 | UInt64(tx)
    }

    private init() {}

    private init(_ unique: SortedKeyCounts) {
        repeatPurchaseCount.reserveCapacity(unique.keys.count)
        ageAtLastPurchaseDays.reserveCapacity(unique.keys.count)
        observedAgeDays.reserveCapacity(unique.keys.count)
        customerCount.reserveCapacity(unique.keys.count)
        for (key, count) in zip(unique.keys, unique.counts) { append(key, count) }
    }

    private mutating func append(_ key: UInt64, _ weight: Int) {
        let x = Int32(key >> 40)
        let age = Int32(key >> 20 & 0xF_FFFF)
        repeatPurchaseCount.append(x)
        ageAtLastPurchaseDays.append(Int32(key & 0xF_FFFF))
        observedAgeDays.append(age)
        customerCount.append(weight)
        totalCustomerCount += weight
        repeatCustomerCount += x > 0 ? weight : 0
        totalRepeatPurchaseCount += Int(x) * weight
        maximumObservedAgeDays = max(maximumObservedAgeDays, age)
    }
}

/// Whether `historyProblem` finds none.
func isPossibleHistory(x: Int32, tx: Int32, age: Int32) -> Bool {
    x >= 0 && tx >= 0 && tx <= age && (x > 0 || tx == 0)
        && Int(x) <= CollapsedHistory.maximumRepeatPurchaseCount
        && Int(age) <= CollapsedHistory.maximumAgeDays
}

/// Why (x, t_x, T) cannot be a history; nil where it can.
func historyProblem(x: Int32, tx: Int32, age: Int32) -> String? {
    if x < 0 || age < 0 || tx < 0 { return "a count or an age is negative" }
    if tx > age { return "the last purchase (day \(tx)) is after the as-of day (\(age))" }
    if x == 0 && tx != 0 { return "there is an age at last purchase but no repeat purchase" }
    if Int(x) > CollapsedHistory.maximumRepeatPurchaseCount {
        return "more than \(CollapsedHistory.maximumRepeatPurchaseCount) repeat purchases"
    }
    if Int(age) > CollapsedHistory.maximumAgeDays {
        return "older than \(CollapsedHistory.maximumAgeDays) days"
    }
    return nil
}

func requireCount(_ actual: Int, _ expected: Int, _ what: String) throws(ModelError) {
    guard actual == expected else {
        throw .countMismatch(what: what, actual: actual, expected: expected)
    }
}
