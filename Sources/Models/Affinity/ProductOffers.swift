package import Numerical

/// What is known of products beside who bought them, and which of them a list may hold: in stock, of
/// a category, within a price band, of other categories than the customer's, dearer than what the
/// customer bought.
package struct ProductOffers: Sendable {
    package let itemCount: Int
    /// `[itemCount]`: below 0 where unknown.
    private let categories: [Int32]
    /// `[itemCount]`: 0 where unknown.
    private let prices: [Double]
    /// `[itemCount]`: of one unit, any finite number.
    private let margins: [Double]
    /// Products of each category, by price and then number.
    private let members: [[Int32]]

    /// - Parameters:
    ///   - categories: `[itemCount]`: 0 ..< `categoryCount`; below 0 where unknown.
    ///   - prices: `[itemCount]`, at least 0; 0 where unknown.
    ///   - margins: `[itemCount]`: what a sale brings, in one currency.
    /// - Throws: `countMismatch`; `outOfRange`; `nonFiniteValue`.
    package init(
        categories: [Int32], categoryCount: Int, prices: [Double], margins: [Double]
    ) throws(ModelError) {
        try requireCount(prices.count, categories.count, "prices of products")
        try requireCount(margins.count, categories.count, "margins of products")
        var members = [[Int32]](repeating: [], count: categoryCount)
        for item in categories.indices {
            guard prices[item] >= 0, prices[item].isFinite else {
                throw .outOfRange(
                    what: "the price of product \(item)", actual: prices[item],
                    allowed: "at least 0; 0 where it is unknown")
            }
            guard margins[item].isFinite else {
                throw .nonFiniteValue(what: "margins of products", row: item, column: 0)
            }
            guard Int(categories[item]) < categoryCount else {
                throw .outOfRange(
                    what: "the category of product \(item)", actual: Double(categories[item]),
                    allowed: "below \(categoryCount)")
            }
            if categories[item] >= 0 { members[Int(categories[item])].append(Int32(item)) }
        }
        for category in members.indices {
            members[category].sort {
                (prices[Int($0)], $0) < (prices[Int($1)], $1)
            }
        }
        itemCount = categories.count
        (self.categories, self.prices, self.margins) = (categories, prices, margins)
        self.members = members
    }

    /// Products in stock, of some categories, with a known price within a band; nil asks for nothing.
    package func eligible(
        inStock: Bitmap? = nil, categories wanted: Set<Int32>? = nil,
        priceBand: ClosedRange<Double>? = nil
    ) -> Bitmap {
        precondition(inStock.map { $0.count == itemCount } ?? true)
        var mask = Bitmap(count: itemCount)
        for item in 0..<itemCount {
            if let inStock, !inStock[item] { continue }
            if let wanted, !wanted.contains(categories[item]) { continue }
            if let priceBand, prices[item] == 0 || !priceBand.contains(prices[item]) { continue }
            mask[item] = true
        }
        return mask
    }

    /// Cross-sell: products of known categories that the customer bought nothing of.
    /// - Parameter bought: by the customer.
    package func otherCategories(
        than bought: ArraySlice<Int32>, within eligible: Bitmap? = nil
    ) -> Bitmap {
        var known = [Bool](repeating: false, count: members.count)
        for item in bought where categories[Int(item)] >= 0 {
            known[Int(categories[Int(item)])] = true
        }
        var mask = Bitmap(count: itemCount)
        for category in members.indices where !known[category] {
            for item in members[category] where eligible?[Int(item)] ?? true {
                mask[Int(item)] = true
            }
        }
        return mask
    }

    /// Up-sell: products not bought yet that are dearer than the dearest that the customer bought of
    /// their category, by `largestRatio` at most.
    /// - Parameter largestRatio: above 1; 1.5 is half as dear again.
    package func dearerAlternatives(
        to bought: ArraySlice<Int32>, largestRatio: Double = 1.5, within eligible: Bitmap? = nil
    ) -> Bitmap {
        precondition(largestRatio > 1, "an alternative that is no dearer is no up-sell")
        var dearest: [Int: Double] = [:]
        for item in bought where categories[Int(item)] >= 0 && prices[Int(item)] > 0 {
            let category = Int(categories[Int(item)])
            dearest[category] = max(dearest[category] ?? 0, prices[Int(item)])
        }
        var mask = Bitmap(count: itemCount)
        for (category, price) in dearest {
            let items = members[category]
            var (low, high) = (0, items.count)
            while low < high {
                let middle = (low + high) / 2
                if prices[Int(items[middle])] <= price { low = middle + 1 } else { high = middle }
            }
            // Dearer than all that was bought: none of these was.
            for item in items[low...] {
                if prices[Int(item)] > price * largestRatio { break }
                if eligible?[Int(item)] ?? true { mask[Int(item)] = true }
            }
        }
        return mask
    }

    /// A candidate and what it is expected to bring.
    package struct Offer: Sendable, Equatable {
        package let item: Int32
        package let score: Float
        /// That the customer buys it within the horizon.
        package let probability: Double
        /// probability · margin of one unit.
        package let expectedMargin: Double
    }

    /// The candidates of a customer by expected margin, highest first; ties to the lower product.
    /// - Parameter entries: a list as the probability was fitted on.
    package func offers(
        _ entries: ArraySlice<TopN.Entry>, _ probability: PurchaseProbability
    ) -> [Offer] {
        entries.map { entry in
            let chance = probability.probability(entry.score)
            return Offer(
                item: entry.item, score: entry.score, probability: chance,
                expectedMargin: chance * margins[Int(entry.item)])
        }.sorted {
            $0.expectedMargin == $1.expectedMargin
                ? $0.item < $1.item : $0.expectedMargin > $1.expectedMargin
        }
    }

    /// The candidates of all customers by expected margin, the first `count` of each; the scores are
    /// the expected margins.
    /// - Throws: `outOfRange` for an expected margin beyond single precision.
    /// - Complexity: O(customers × candidates × log candidates).
    package func rankedByMargin(
        _ lists: TopLists, _ probability: PurchaseProbability, count: Int, threadCount: Int
    ) throws(ModelError) -> TopLists {
        if let item = margins.firstIndex(where: { !Float($0).isFinite }) {
            throw .outOfRange(
                what: "the margin of product \(item)", actual: margins[item],
                allowed: "up to 3e38 in either direction")
        }
        let width = min(count, lists.width)
        var entries = [TopN.Entry](repeating: .none, count: lists.queryCount * width)
        if entries.isEmpty {
            return TopLists(width: width, entries: [], queryCount: lists.queryCount)
        }
        parallelFill(
            &entries, rowWidth: width, chunkRows: 256, threadCount: threadCount
        ) { rows, slice in
            for row in rows {
                for (place, offer) in offers(lists[row], probability).prefix(width).enumerated() {
                    slice[(row - rows.lowerBound) * width + place] = TopN.Entry(
                        item: offer.item, score: Float(offer.expectedMargin))
                }
            }
        }
        return TopLists(width: width, entries: entries, queryCount: lists.queryCount)
    }
}

extension TopN {
    /// The best items of each query where every query has its own eligible ones: cross-sell and
    /// up-sell of all customers.
    /// - Parameters:
    ///   - queryFactors: `[queryCount × factorCount]`, row-major.
    ///   - excluding: per query the items that must not appear; nil excludes nothing.
    ///   - eligible: of a query, `[itemCount]`; asked from any thread.
    ///   - threadCount: at least 1; does not change the result.
    /// - Throws: `nonFiniteValue`; `countMismatch`; `outOfRange`.
    /// - Complexity: O(queries × (eligible items × factors + items)) at most.
    package func top(
        _ count: Int, queryFactors: [Float], excluding: SparseMatrix? = nil, threadCount: Int,
        kernels: KernelTable = .current, eligibleOf eligible: @Sendable (_ query: Int) -> Bitmap
    ) throws(ModelError) -> TopLists {
        try checkQueries(queryFactors.span, threadCount: threadCount, kernels: kernels)
        let (f, queryCount) = (factorCount, queryFactors.count / factorCount)
        if let excluding {
            try requireCount(excluding.rowCount, queryCount, "customers with exclusions")
            try requireCount(excluding.columnCount, itemCount, "products of the exclusions")
        }
        let width = min(count, itemCount)
        var entries = [Entry](repeating: .none, count: queryCount * width)
        if entries.isEmpty { return TopLists(width: width, entries: [], queryCount: queryCount) }
        parallelFill(
            &entries, rowWidth: width, chunkRows: 64, threadCount: threadCount
        ) { rows, slice in
            for row in rows {
                let excluded = excluding.map { Array($0.columnIndices[$0.entries(of: row)]) } ?? []
                let best = top(
                    width, query: queryFactors.span.extracting(row * f..<(row + 1) * f),
                    excluding: excluded.span, eligible: eligible(row), kernels: kernels)
                for (place, entry) in best.enumerated() {
                    slice[(row - rows.lowerBound) * width + place] = entry
                }
            }
        }
        return TopLists(width: width, entries: entries, queryCount: queryCount)
    }
}
