/// Agreement of two labelings of the same rows, corrected for chance: 1 for equal partitions
/// (whatever the label numbers), about 0 for independent ones, negative below chance.
///
/// 1 where both are trivial (one class, or every row its own) and equal, and for one row; 0 for no
/// rows. O(count + distinct pairs of labels) time.
/// Source: Hubert & Arabie, "Comparing Partitions", 1985.
/// - Precondition: equal counts.
package func adjustedRandIndex(_ first: [Int32], _ second: [Int32]) -> Double {
    precondition(first.count == second.count, "two labelings of the same rows are compared")
    func pairs(_ count: Int) -> Double { Double(count) * Double(count - 1) / 2 }
    var cells: [UInt64: Int] = [:]
    var rows: [Int32: Int] = [:]
    var columns: [Int32: Int] = [:]
    for (a, b) in zip(first, second) {
        let key = UInt64(UInt32(bitPattern: a)) << 32 | UInt64(UInt32(bitPattern: b))
        cells[key, default: 0] += 1
        rows[a, default: 0] += 1
        columns[b, default: 0] += 1
    }
    // Sums of integers below 2^53 are exact, so the order of a dictionary does not show.
    let together = cells.values.reduce(0) { $0 + pairs($1) }
    let inFirst = rows.values.reduce(0) { $0 + pairs($1) }
    let inSecond = columns.values.reduce(0) { $0 + pairs($1) }
    return adjustedForChance(
        together: together, inFirst: inFirst, inSecond: inSecond, count: first.count)
}

/// The index from numbers of pairs: in one class in both labelings, in the first, in the second.
/// - Parameter count: of rows.
func adjustedForChance(
    together: Double, inFirst: Double, inSecond: Double, count: Int
) -> Double {
    let total = Double(count) * Double(count - 1) / 2
    guard total > 0 else { return count == 0 ? 0 : 1 }
    let expected = inFirst * inSecond / total
    let most = (inFirst + inSecond) / 2
    return most == expected ? (together == most ? 1 : 0) : (together - expected) / (most - expected)
}
