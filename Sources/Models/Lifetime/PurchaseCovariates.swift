import Numerical

/// What is known of each customer beside the purchases and does not change: a channel, a region, an
/// age at the first purchase. One value a customer; a column may be in both lists.
package struct PurchaseCovariates: Sendable {
    /// Of the purchase rate; names are distinct.
    package var purchase: [CovariateColumn]
    /// Of the drop-out; names are distinct.
    package var dropOut: [CovariateColumn]

    package init(purchase: [CovariateColumn], dropOut: [CovariateColumn]) {
        self.purchase = purchase
        self.dropOut = dropOut
    }
}

/// Histories with covariates, equal ones merged: rows of equal covariates are together, as a group
/// that shares all parameters.
package struct CovariateDesign: Sendable {
    /// First those of the purchase rate, then those of the drop-out.
    let names: [String]
    let purchaseCount: Int
    /// Of the columns over the customers; the deviation is above 0.
    let means: [Double]
    let deviations: [Double]
    /// `[groupCount × columnCount]`, row-major: (value − mean) / deviation. Groups ascend by them.
    let values: [Double]
    /// `[groupCount + 1]`: group g is rows `groupOffsets[g] ..< groupOffsets[g + 1]`.
    let groupOffsets: [Int]
    let groupOfRow: [Int32]
    /// Of every row; ascending by (group, x, T, t_x).
    let x: [Int32]
    let tx: [Int32]
    let age: [Int32]
    let weights: [Double]
    /// All customers, without covariates.
    let merged: CollapsedHistory

    var columnCount: Int { names.count }
    var groupCount: Int { groupOffsets.count - 1 }
    var dropOutCount: Int { columnCount - purchaseCount }

    /// O(customers · columns), and a sort of the unique rows.
    /// - Throws: `countMismatch`; `impossibleHistory`; `nonFiniteValue` naming column and row;
    ///   `badColumn` for a name given twice, and a column that is constant or a linear combination of
    ///   others.
    package init(
        repeatPurchaseCount: [Int32], ageAtLastPurchaseDays: [Int32], observedAgeDays: [Int32],
        _ covariates: PurchaseCovariates, include: [Bool]?
    ) throws(ModelError) {
        merged = try CollapsedHistory(
            repeatPurchaseCount: repeatPurchaseCount,
            ageAtLastPurchaseDays: ageAtLastPurchaseDays, observedAgeDays: observedAgeDays,
            include: include)
        let count = repeatPurchaseCount.count
        for columns in [covariates.purchase, covariates.dropOut] {
            var seen: Set<String> = []
            for column in columns where !seen.insert(column.name).inserted {
                throw .badColumn(name: column.name, reason: "it is given twice")
            }
        }
        let columns = covariates.purchase + covariates.dropOut
        let rows = (0..<count).filter { include?[$0] ?? true }
        for (index, column) in columns.enumerated() {
            let what = "covariate \"\(column.name)\""
            try requireCount(column.values.count, count, what)
            for row in rows where !column.values[row].isFinite {
                throw .nonFiniteValue(what: what, row: row, column: index)
            }
        }
        names = columns.map(\.name)
        purchaseCount = covariates.purchase.count

        let (codes, groups) = GroupedRows.group(columns.map(\.values), rows: rows)
        var customers = [Int](repeating: 0, count: groups.count)
        for code in codes { customers[Int(code)] += 1 }
        var means: [Double] = []
        var deviations: [Double] = []
        for (index, column) in columns.enumerated() {
            let summary = Self.summary(of: groups.map { $0[index] }, weights: customers)
            guard summary.deviation > 0, summary.deviation.isFinite else {
                throw .badColumn(
                    name: column.name,
                    reason: "it is constant over the customers of the fit; leave it out")
            }
            means.append(summary.mean)
            deviations.append(summary.deviation)
        }
        self.means = means
        self.deviations = deviations
        var values: [Double] = []
        for group in groups {
            for index in columns.indices {
                values.append((group[index] - means[index]) / deviations[index])
            }
        }
        self.values = values
        for range in [0..<purchaseCount, purchaseCount..<columns.count] {
            try Self.requireIndependent(
                range, names: names, values: values, width: columns.count, weights: customers)
        }

        var unique = UniqueKeys()
        var rowKeys = UniqueKeys()
        for (position, row) in rows.enumerated() {
            let history = unique.insert(
                CollapsedHistory.key(
                    repeatPurchaseCount[row], ageAtLastPurchaseDays[row], observedAgeDays[row]))
            _ = rowKeys.insert(UInt64(codes[position]) << 32 | UInt64(history))
        }
        let order = rowKeys.keys.indices.sorted { a, b in
            let (one, other) = (rowKeys.keys[a], rowKeys.keys[b])
            if one >> 32 != other >> 32 { return one < other }
            return unique.keys[Int(one & 0xFFFF_FFFF)] < unique.keys[Int(other & 0xFFFF_FFFF)]
        }
        var groupOfRow: [Int32] = []
        var offsets: [Int] = []
        var (x, tx, age, weights) = ([Int32](), [Int32](), [Int32](), [Double]())
        for place in order {
            let group = Int(rowKeys.keys[place] >> 32)
            while offsets.count <= group { offsets.append(x.count) }
            let history = unique.keys[Int(rowKeys.keys[place] & 0xFFFF_FFFF)]
            groupOfRow.append(Int32(group))
            x.append(Int32(history >> 40))
            tx.append(Int32(history & 0xF_FFFF))
            age.append(Int32(history >> 20 & 0xF_FFFF))
            weights.append(Double(rowKeys.counts[place]))
        }
        offsets.append(x.count)
        groupOffsets = offsets
        self.groupOfRow = groupOfRow
        self.x = x
        self.tx = tx
        self.age = age
        self.weights = weights
    }

    private static func summary(
        of values: [Double], weights: [Int]
    ) -> (mean: Double, deviation: Double) {
        guard let first = values.first, values.contains(where: { $0 != first }) else {
            return (values.first ?? 0, 0)
        }
        let total = Double(weights.reduce(0, +))
        var sum = 0.0
        // From the first value on, so that a large offset costs no digits.
        for (value, weight) in zip(values, weights) { sum += (value - first) * Double(weight) }
        let mean = first + sum / total
        var squares = 0.0
        for (value, weight) in zip(values, weights) {
            squares += (value - mean) * (value - mean) * Double(weight)
        }
        return (mean, (squares / total).squareRoot())
    }

    private static func requireIndependent(
        _ range: Range<Int>, names: [String], values: [Double], width: Int, weights: [Int]
    ) throws(ModelError) {
        guard range.count > 1 else { return }
        var products = range.map { _ in [Double](repeating: 0, count: range.count) }
        for (group, weight) in weights.enumerated() {
            for (i, one) in range.enumerated() {
                let scaled = values[group * width + one] * Double(weight)
                for (j, other) in range.enumerated() {
                    products[i][j] += scaled * values[group * width + other]
                }
            }
        }
        let factor = PivotedCholesky(products, tolerance: 1e-9)
        for index in 0..<range.count where !factor.accepted.contains(index) {
            let parts = zip(factor.accepted, factor.combination(of: index)).filter {
                abs($0.1) > 1e-5
            }
            let others = parts.map { names[range.lowerBound + $0.0] }.sorted()
            throw .badColumn(
                name: names[range.lowerBound + index],
                reason: """
                    it is a linear combination of \
                    \(others.map { "\"\($0)\"" }.joined(separator: ", ")); leave out one of them
                    """)
        }
    }
}

/// Rows grouped by equal values of several columns.
enum GroupedRows {
    /// - Parameters:
    ///   - columns: finite in `rows`; without any, all rows are one group.
    ///   - rows: which to group.
    /// - Returns: a code for each of `rows`, and the values of each code, ascending. O(rows · columns).
    static func group(
        _ columns: [[Double]], rows: [Int]
    ) -> (codes: [Int32], groups: [[Double]]) {
        var codes = [Int32](repeating: 0, count: rows.count)
        for column in columns {
            var values = UniqueKeys()
            var both = UniqueKeys()
            for (position, row) in rows.enumerated() {
                // 0 is added so that −0 is 0.
                let value = values.insert((column[row] + 0).bitPattern)
                codes[position] = both.insert(UInt64(codes[position]) << 32 | UInt64(value))
            }
        }
        var groups: [[Double]] = []
        for (position, code) in codes.enumerated() where Int(code) == groups.count {
            groups.append(columns.map { $0[rows[position]] + 0 })
        }
        let order = groups.indices.sorted { groups[$0].lexicographicallyPrecedes(groups[$1]) }
        var rank = [Int32](repeating: 0, count: groups.count)
        for (place, code) in order.enumerated() { rank[code] = Int32(place) }
        return (codes.map { rank[Int($0)] }, order.map { groups[$0] })
    }
}
