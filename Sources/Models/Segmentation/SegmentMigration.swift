/// How customers moved from the segments of one assignment to those of another, in numbers and in
/// an amount such as revenue.
///
/// A customer that only one of both has (new since, or gone) is counted in a row or column of its
/// own.
package struct SegmentMigration: Sendable, Equatable, Codable {
    package let oldCount: Int
    package let newCount: Int
    /// `[(oldCount + 1) × (newCount + 1)]`, row-major: customers. The last row: in no old segment;
    /// the last column: in no new one.
    package let counts: [Int]
    /// The same for the sums of the amounts.
    package let amounts: [Double]

    /// - Parameters:
    ///   - old, new: `[customerCount]`: segments; below 0: in none.
    ///   - amounts: `[customerCount]`, finite; empty: all 0.
    /// - Throws: `countMismatch`; `outOfRange` for a segment that there is not; `nonFiniteValue`.
    /// - Complexity: O(customers + oldCount × newCount); amounts are added in customer order.
    package init(
        old: [Int32], new: [Int32], oldCount: Int, newCount: Int, amounts: [Double] = []
    ) throws(ModelError) {
        precondition(oldCount >= 0 && newCount >= 0)
        guard old.count == new.count else {
            throw .countMismatch(
                what: "customers of the new segments", actual: new.count, expected: old.count)
        }
        guard amounts.isEmpty || amounts.count == old.count else {
            throw .countMismatch(
                what: "amounts of the customers", actual: amounts.count, expected: old.count)
        }
        let width = newCount + 1
        var counts = [Int](repeating: 0, count: (oldCount + 1) * width)
        var sums = [Double](repeating: 0, count: (oldCount + 1) * width)
        for i in old.indices {
            guard old[i] < oldCount, new[i] < newCount else {
                let isOld = old[i] >= oldCount
                throw .outOfRange(
                    what: "the \(isOld ? "old" : "new") segment of row \(i)",
                    actual: Double(isOld ? old[i] : new[i]),
                    allowed: "below \(isOld ? oldCount : newCount), or -1 for none")
            }
            let from = old[i] < 0 ? oldCount : Int(old[i])
            let to = new[i] < 0 ? newCount : Int(new[i])
            counts[from * width + to] += 1
            if amounts.isEmpty { continue }
            guard amounts[i].isFinite else {
                throw .nonFiniteValue(what: "amounts", row: i, column: 0)
            }
            sums[from * width + to] += amounts[i]
        }
        self.oldCount = oldCount
        self.newCount = newCount
        self.counts = counts
        self.amounts = sums
    }

    /// Customers of an old segment (`oldCount`: none) that are in a new one (`newCount`: none).
    package func count(from old: Int, to new: Int) -> Int {
        counts[old * (newCount + 1) + new]
    }

    package func amount(from old: Int, to new: Int) -> Double {
        amounts[old * (newCount + 1) + new]
    }

    /// `[oldCount]`: customers of each old segment that are in a new one.
    package var keptOldSizes: [Int] {
        (0..<oldCount).map { old in (0..<newCount).reduce(0) { $0 + count(from: old, to: $1) } }
    }

    /// `[newCount]`: customers of each new segment that were in an old one.
    package var keptNewSizes: [Int] {
        (0..<newCount).map { new in (0..<oldCount).reduce(0) { $0 + count(from: $1, to: new) } }
    }

    /// Agreement of both assignments over the customers that both have, see `adjustedRandIndex`.
    package var adjustedRand: Double {
        func pairs(_ count: Int) -> Double { Double(count) * Double(count - 1) / 2 }
        var together = 0.0
        for old in 0..<oldCount {
            for new in 0..<newCount { together += pairs(count(from: old, to: new)) }
        }
        let oldSizes = keptOldSizes
        return adjustedForChance(
            together: together, inFirst: oldSizes.reduce(0) { $0 + pairs($1) },
            inSecond: keptNewSizes.reduce(0) { $0 + pairs($1) }, count: oldSizes.reduce(0, +))
    }
}
