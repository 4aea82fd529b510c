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
    ///
    /// Scores of own products are their baskets, those of others what share of the most popular one's
    /// baskets is theirs, below 1.
    /// - Parameter counts: `[customerCount × itemCount]`: baskets with each product.
    /// - Throws: `nonFiniteValue`.
    /// - Complexity: O(entries × log + customers × count).
    /// Source: M. Li, S. Jullien, M. Ariannezhad, M. de Rijke, "A next basket recommendation reality
    /// check", 2023, section 4 (GP-TopFreq).
    package static func personal(
        _ counts: SparseMatrix, count: Int, threadCount: Int
    ) throws(ModelError) -> TopLists {
        var popularity = [Double](repeating: 0, count: counts.columnCount)
        for i in counts.values.indices {
            popularity[Int(counts.columnIndices[i])] += Double(counts.values[i])
        }
        if let item = popularity.firstIndex(where: { !$0.isFinite }) {
            throw .nonFiniteValue(what: "baskets with products", row: 0, column: item)
        }
        let order = popularity.indices.sorted {
            popularity[$0] != popularity[$1] ? popularity[$0] > popularity[$1] : $0 < $1
        }
        var rank = [Int](repeating: 0, count: order.count)
        for (place, item) in order.enumerated() { rank[item] = place }
        let width = min(count, counts.columnCount)
        var entries = [TopN.Entry](repeating: .none, count: counts.rowCount * width)
        if entries.isEmpty {
            return TopLists(width: width, entries: [], queryCount: counts.rowCount)
        }
        let largest = (popularity.max() ?? 0) + 1
        let shares = popularity.map { Float($0 / largest) }
        parallelFill(
            &entries, rowWidth: width, chunkRows: 256, threadCount: threadCount
        ) { [order, rank] rows, slice in
            for row in rows {
                let own = counts.entries(of: row).sorted {
                    let (a, b) = (counts.values[$0], counts.values[$1])
                    return a != b
                        ? a > b
                        : rank[Int(counts.columnIndices[$0])] < rank[Int(counts.columnIndices[$1])]
                }
                let first = (row - rows.lowerBound) * width
                for (place, i) in own.prefix(width).enumerated() {
                    slice[first + place] = TopN.Entry(
                        item: counts.columnIndices[i], score: counts.values[i])
                }
                if own.count >= width { continue }
                let bought = Set(counts.columnIndices[counts.entries(of: row)])
                var place = own.count
                for item in order where !bought.contains(Int32(item)) {
                    if place == width { break }
                    slice[first + place] = TopN.Entry(item: Int32(item), score: shares[item])
                    place += 1
                }
            }
        }
        return TopLists(width: width, entries: entries, queryCount: counts.rowCount)
    }
}
