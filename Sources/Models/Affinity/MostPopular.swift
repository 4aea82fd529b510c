package import Numerical

/// The products that most customers bought: the answer for a customer without history, and the
/// baseline that an affinity model has to beat.
/// - Parameters:
///   - purchases: `[userCount × itemCount]`; an item's score is its number of users with an entry.
///   - count: entries of the answer.
///   - excluded: ascending item indices that must not appear.
///   - eligible: `[itemCount]` flags; nil: all items are.
/// - Returns: best first, ties to the lower index; items that nobody bought do not appear.
package func mostPopular(
    _ purchases: SparseMatrix, count: Int, excluding excluded: [Int32] = [],
    eligible: [Bool]? = nil
) -> [TopN.Entry] {
    precondition(count >= 0 && (eligible.map { $0.count == purchases.columnCount } ?? true))
    var counts = [Int](repeating: 0, count: purchases.columnCount)
    for item in purchases.columnIndices { counts[Int(item)] += 1 }
    for item in excluded { counts[Int(item)] = 0 }
    let items = counts.indices.filter { counts[$0] > 0 && eligible?[$0] ?? true }
    let sorted = items.sorted { counts[$0] != counts[$1] ? counts[$0] > counts[$1] : $0 < $1 }
    return sorted.prefix(count).map {
        TopN.Entry(item: Int32($0), score: Float(counts[$0]))
    }
}
