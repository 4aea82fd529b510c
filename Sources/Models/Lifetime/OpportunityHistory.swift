import Numerical

/// Histories of customers who can buy once at most in each period: x transactions in n periods,
/// the last one in period t_x. Equal ones are merged, since the likelihood depends on nothing else.
package struct OpportunityHistory: Sendable, Equatable {
    /// Largest n.
    package static let maximumOpportunityCount = 65_535

    package struct Cell: Sendable, Equatable {
        /// x: transactions after the acquisition.
        package let transactionCount: Int
        /// t_x in 1...n; 0 where x = 0.
        package let lastTransaction: Int
        /// n: periods watched.
        package let opportunityCount: Int
        /// At least 1.
        package let customerCount: Int
    }

    /// Ascending by (n, x, t_x).
    package private(set) var cells: [Cell] = []
    package private(set) var totalCustomerCount = 0
    package private(set) var activeCustomerCount = 0
    package private(set) var maximumOpportunities = 0

    /// One history a customer.
    /// - Throws: `countMismatch`; `impossibleHistory` naming the row.
    package init(
        transactionCount: [Int32], lastTransaction: [Int32], opportunityCount: [Int32]
    ) throws(ModelError) {
        let count = transactionCount.count
        try requireCount(lastTransaction.count, count, "last transactions")
        try requireCount(opportunityCount.count, count, "numbers of periods")
        var unique = UniqueKeys()
        for row in 0..<count {
            let (x, tx, n) = (transactionCount[row], lastTransaction[row], opportunityCount[row])
            if let problem = Self.problem(Int(x), Int(tx), Int(n)) {
                throw .impossibleHistory(row: row, reason: problem)
            }
            _ = unique.insert(UInt64(n) << 40 | UInt64(x) << 20 | UInt64(tx))
        }
        append(zip(unique.keys, unique.counts).map { ($0, $1) })
    }

    /// Cells with their counts of customers; equal ones are merged.
    /// - Throws: `impossibleHistory` naming the cell; `outOfRange` for a count below 1.
    package init(
        cells: [(x: Int, tx: Int, n: Int, customers: Int)]
    ) throws(ModelError) {
        var weights: [UInt64: Int] = [:]
        for (row, cell) in cells.enumerated() {
            if let problem = Self.problem(cell.x, cell.tx, cell.n) {
                throw .impossibleHistory(row: row, reason: problem)
            }
            guard cell.customers >= 1 else {
                throw .outOfRange(
                    what: "customers of cell \(row)", actual: Double(cell.customers),
                    allowed: "1 and above")
            }
            weights[
                UInt64(cell.n) << 40 | UInt64(cell.x) << 20 | UInt64(cell.tx), default: 0] +=
                cell.customers
        }
        append(weights.map { ($0.key, $0.value) })
    }

    private mutating func append(_ weights: [(UInt64, Int)]) {
        for (key, count) in weights.sorted(by: { $0.0 < $1.0 }) {
            let cell = Cell(
                transactionCount: Int(key >> 20 & 0xF_FFFF), lastTransaction: Int(key & 0xF_FFFF),
                opportunityCount: Int(key >> 40), customerCount: count)
            cells.append(cell)
            totalCustomerCount += count
            if cell.transactionCount > 0 { activeCustomerCount += count }
            maximumOpportunities = max(maximumOpportunities, cell.opportunityCount)
        }
    }

    /// Why no customer can have this history; nil where one can.
    static func problem(_ x: Int, _ tx: Int, _ n: Int) -> String? {
        if n < 0 || n > maximumOpportunityCount {
            return "\(n) periods are not in 0...\(maximumOpportunityCount)"
        }
        if x < 0 || x > tx || tx > n || (x == 0 && tx != 0) {
            return """
                \(x) transactions, the last in period \(tx) of \(n), cannot be: \
                0 <= x <= t_x <= n, and t_x = 0 where x = 0
                """
        }
        return nil
    }
}
