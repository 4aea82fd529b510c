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

extension TopLists {
    /// The most popular products of every customer: the first of `mostPopular` that the customer has
    /// not bought, or all.
    /// - Parameters:
    ///   - purchases: `[customerCount × itemCount]`.
    ///   - excluding: per customer the products that must not appear; nil excludes nothing.
    /// - Throws: `countMismatch` for exclusions of another size.
    /// - Complexity: O(entries + customers × (count + exclusions of a customer)).
    package static func popular(
        _ purchases: SparseMatrix, count: Int, excluding: SparseMatrix? = nil
    ) throws(ModelError) -> TopLists {
        if let excluding {
            try requireCount(excluding.rowCount, purchases.rowCount, "customers with exclusions")
            try requireCount(
                excluding.columnCount, purchases.columnCount, "products of the exclusions")
        }
        let all = mostPopular(purchases, count: purchases.columnCount)
        let width = min(count, purchases.columnCount)
        var entries = [TopN.Entry](repeating: .none, count: purchases.rowCount * width)
        for row in 0..<purchases.rowCount {
            let bought = excluding.map { Set($0.columnIndices[$0.entries(of: row)]) } ?? []
            var place = row * width
            for entry in all where !bought.contains(entry.item) {
                if place == (row + 1) * width { break }
                entries[place] = entry
                place += 1
            }
        }
        return TopLists(width: width, entries: entries, queryCount: purchases.rowCount)
    }

    /// What each customer bought in most baskets, then what is in most baskets of all: the personal
    /// and global top frequency, which repeats are held against. Ties of own baskets to the more
    /// popular product, then to the lower index.
    /// - Parameter counts: `[customerCount × itemCount]`: baskets with each product.
    /// - Throws: as `TopN.top`.
    /// - Complexity: as `TopN.top` with one factor.
    /// Source: M. Li, S. Jullien, M. Ariannezhad, M. de Rijke, "A next basket recommendation reality
    /// check", 2023, section 4 (GP-TopFreq).
    package static func personal(
        _ counts: SparseMatrix, count: Int, threadCount: Int
    ) throws(ModelError) -> TopLists {
        var popularity = [Float](repeating: 0, count: counts.columnCount)
        for i in counts.values.indices {
            popularity[Int(counts.columnIndices[i])] += counts.values[i]
        }
        // Below 1: no number of other baskets outweighs a basket of one's own.
        let scale = 1 / ((popularity.max() ?? 0) + 1)
        for item in popularity.indices { popularity[item] *= scale }
        return try TopN(
            itemFactors: popularity, itemCount: counts.columnCount, factorCount: 1
        ).top(
            count, queryFactors: [Float](repeating: 1, count: counts.rowCount),
            itemFactors: popularity, adding: counts, threadCount: threadCount)
    }
}
