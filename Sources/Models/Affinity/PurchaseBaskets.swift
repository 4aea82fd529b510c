package import Numerical

/// What customers bought, basket by basket in time: the input of models that look at what is bought
/// again or together.
///
/// The baskets of customer c are those from `customerOffsets[c]` up to, not including,
/// `customerOffsets[c + 1]`, oldest first; the products of basket b are those from
/// `basketOffsets[b]` to `basketOffsets[b + 1]`, each once.
package struct PurchaseBaskets: Sendable, Equatable {
    package let itemCount: Int
    /// `[customerCount + 1]`, starting at 0, never descending.
    package let customerOffsets: [Int]
    /// `[basketCount + 1]`, starting at 0, never descending.
    package let basketOffsets: [Int]
    /// Strictly ascending within a basket, 0 ..< `itemCount`.
    package let items: [Int32]
    /// `[basketCount]`: the day of each, or any count that grows with time; never descending within
    /// a customer.
    package let days: [Int32]

    package var customerCount: Int { customerOffsets.count - 1 }
    package var basketCount: Int { days.count }

    /// - Parameter days: nil numbers the baskets of each customer, so that time is counted in baskets.
    /// - Throws: `countMismatch`; `outOfRange` for offsets, products or days out of order or range.
    /// - Complexity: O(items).
    package init(
        itemCount: Int, customerOffsets: [Int], basketOffsets: [Int], items: [Int32],
        days: [Int32]? = nil
    ) throws(ModelError) {
        let basketCount = basketOffsets.count - 1
        try Self.checkOffsets(customerOffsets, end: basketCount, what: "baskets of customers")
        try Self.checkOffsets(basketOffsets, end: items.count, what: "products of baskets")
        guard itemCount >= 0, itemCount <= Int(Int32.max) else {
            throw .outOfRange(
                what: "product count", actual: Double(itemCount), allowed: "0 ... 2147483647")
        }
        let days = days ?? Self.positions(customerOffsets)
        try requireCount(days.count, basketCount, "days of baskets")
        for b in 0..<basketCount {
            var last: Int32 = -1
            for i in basketOffsets[b]..<basketOffsets[b + 1] {
                guard items[i] > last, Int(items[i]) < itemCount else {
                    throw .outOfRange(
                        what: "a product of basket \(b)", actual: Double(items[i]),
                        allowed: "ascending numbers below \(itemCount), each once")
                }
                last = items[i]
            }
        }
        for c in 0..<max(0, customerOffsets.count - 1) {
            for b in customerOffsets[c]..<customerOffsets[c + 1]
            where b > customerOffsets[c] && days[b] < days[b - 1] {
                throw .outOfRange(
                    what: "the day of basket \(b)", actual: Double(days[b]),
                    allowed: "days in order, oldest first, from \(days[b - 1])")
            }
        }
        (self.itemCount, self.customerOffsets, self.basketOffsets, self.items, self.days) =
            (itemCount, customerOffsets, basketOffsets, items, days)
    }

    private static func checkOffsets(
        _ offsets: [Int], end: Int, what: String
    ) throws(ModelError) {
        guard let last = offsets.last, offsets[0] == 0, last == end else {
            throw .countMismatch(what: what, actual: offsets.last ?? -1, expected: max(0, end))
        }
        for i in 1..<offsets.count where offsets[i] < offsets[i - 1] {
            throw .outOfRange(
                what: "offset \(i) of \(what)", actual: Double(offsets[i]),
                allowed: "at least the one before, \(offsets[i - 1])")
        }
    }

    /// 0, 1, 2 … within each customer.
    private static func positions(_ customerOffsets: [Int]) -> [Int32] {
        var days = [Int32](repeating: 0, count: max(0, customerOffsets.last ?? 0))
        for c in 0..<customerOffsets.count - 1 {
            let baskets = customerOffsets[c]..<customerOffsets[c + 1]
            for b in baskets { days[b] = Int32(b - baskets.lowerBound) }
        }
        return days
    }

    package func baskets(of customer: Int) -> Range<Int> {
        customerOffsets[customer]..<customerOffsets[customer + 1]
    }

    package func entries(of basket: Int) -> Range<Int> {
        basketOffsets[basket]..<basketOffsets[basket + 1]
    }

    /// `[customerCount × itemCount]`: in how many baskets a customer had a product.
    package var counts: SparseMatrix {
        var rows: [Int32] = []
        rows.reserveCapacity(items.count)
        for c in 0..<customerCount {
            let baskets = baskets(of: c)
            let count = basketOffsets[baskets.upperBound] - basketOffsets[baskets.lowerBound]
            rows += repeatElement(Int32(c), count: count)
        }
        return SparseMatrix(
            rowCount: customerCount, columnCount: itemCount, rows: rows, columns: items,
            values: [Float](repeating: 1, count: items.count))
    }

    /// What was known before the last basket of each customer, and that basket: a split by time of
    /// every customer's own history. Customers with fewer than `leastBaskets` keep all of theirs and
    /// have an empty last one.
    /// - Parameter leastBaskets: at least 2, so that something is known.
    package func splitBeforeLast(
        leastBaskets: Int = 2
    ) -> (before: PurchaseBaskets, last: SparseMatrix) {
        precondition(leastBaskets >= 2, "a split needs a basket on either side")
        return split { customer in
            let baskets = baskets(of: customer)
            return baskets.count >= leastBaskets ? baskets.upperBound - 1 : baskets.upperBound
        }
    }

    /// Baskets before a day, and the products of those on it and later.
    package func split(onDay day: Int32) -> (before: PurchaseBaskets, after: SparseMatrix) {
        let (before, after) = split { customer in
            let baskets = baskets(of: customer)
            return baskets.first { days[$0] >= day } ?? baskets.upperBound
        }
        return (before, after)
    }

    /// - Parameter cut: the first basket of a customer that is not known.
    private func split(
        at cut: (_ customer: Int) -> Int
    ) -> (before: PurchaseBaskets, last: SparseMatrix) {
        var (customers, offsets, kept, keptDays) = ([0], [0], [Int32](), [Int32]())
        var (rows, columns) = ([Int32](), [Int32]())
        for c in 0..<customerCount {
            let baskets = baskets(of: c)
            let end = cut(c)
            for b in baskets.lowerBound..<end {
                kept += items[entries(of: b)]
                keptDays.append(days[b])
                offsets.append(kept.count)
            }
            for b in end..<baskets.upperBound {
                columns += items[entries(of: b)]
                rows += repeatElement(Int32(c), count: entries(of: b).count)
            }
            customers.append(keptDays.count)
        }
        let later = SparseMatrix(
            rowCount: customerCount, columnCount: itemCount, rows: rows, columns: columns,
            values: [Float](repeating: 1, count: columns.count))
        return (
            PurchaseBaskets(
                checkedItemCount: itemCount, customerOffsets: customers, basketOffsets: offsets,
                items: kept, days: keptDays), later
        )
    }

    /// From parts of baskets that were checked.
    init(
        checkedItemCount itemCount: Int, customerOffsets: [Int], basketOffsets: [Int],
        items: [Int32], days: [Int32]
    ) {
        (self.itemCount, self.customerOffsets, self.basketOffsets, self.items, self.days) =
            (itemCount, customerOffsets, basketOffsets, items, days)
    }
}
