import Foundation
package import Numerical

/// What a customer buys again: the probability that the customer's next basket holds a product that
/// the customer has bought before.
///
/// The first purchase of a product opens the question; every later basket answers it with yes or
/// no, and counts by its age as 2^-(age / halfLife). With a yeses among n such baskets, by weight,
///
///     p = (a + κ ρ) / (n + κ)
///
/// is the posterior mean of a beta-binomial whose prior is the product's own repeat rate ρ: the share
/// of all customers' later baskets that hold it again, itself drawn to that of all products by
/// `ratePriorCount` baskets. So a product that people buy once (a pan) falls back after a few baskets
/// without it, one that people come back for (milk) does not.
/// Source: R. Bhagat, S. Muralidharan, A. Lobzhanidze, S. Vishwanath, "Buy it again: modeling
/// repeat purchase recommendations", 2018 (a product's repeat rate); H. Hu, X. He, J. Gao, Z.-L.
/// Zhang, "Modeling personalized item frequency information for next-basket recommendation", 2020
/// (counts of a customer by age).
package struct RepeatPurchase: Sendable, Equatable, Codable {
    package struct Parameters: Sendable, Equatable, Codable {
        /// Above 0, in the unit of the baskets' days; 1e9: age does not count. Up: old baskets count
        /// more.
        package var halfLife: Double
        /// κ, above 0, in baskets. Up: a customer's own baskets count less against the product's rate.
        package var priorCount: Double
        /// At least 0, in baskets. Up: products differ less.
        package var ratePriorCount: Double

        package init(
            halfLife: Double = 6.5, priorCount: Double = 10, ratePriorCount: Double = 20
        ) {
            self.halfLife = halfLife
            self.priorCount = priorCount
            self.ratePriorCount = ratePriorCount
        }

        package func check() throws(ModelError) {
            guard halfLife > 0, halfLife.isFinite else {
                throw .outOfRange(
                    what: "halfLife", actual: halfLife, allowed: "above 0; 1e9 for no decay")
            }
            guard priorCount > 0, priorCount.isFinite else {
                throw .outOfRange(what: "priorCount", actual: priorCount, allowed: "above 0")
            }
            guard ratePriorCount >= 0, ratePriorCount.isFinite else {
                throw .outOfRange(
                    what: "ratePriorCount", actual: ratePriorCount, allowed: "at least 0")
            }
        }
    }

    package let parameters: Parameters
    /// `[itemCount]`: ρ of each product; that of all where it was never bought.
    package let rates: [Double]
    /// Of all products together.
    package let overallRate: Double
    /// Baskets that came after a customer's first of a product, and those of them that hold it.
    package let opportunityCount: Int
    package let repeatCount: Int

    package var itemCount: Int { rates.count }

    /// - Throws: `outOfRange` for a parameter; `noRows` without baskets.
    /// - Complexity: O(items of all baskets × log). Deterministic.
    package static func fit(
        _ baskets: PurchaseBaskets, _ parameters: Parameters = Parameters()
    ) throws(ModelError) -> RepeatPurchase {
        try parameters.check()
        guard baskets.basketCount > 0 else { throw .noRows(model: "repeat purchase") }
        var opportunities = [Int](repeating: 0, count: baskets.itemCount)
        var repeats = [Int](repeating: 0, count: baskets.itemCount)
        // The customer that last had a product: one array for all, instead of a set for each.
        var lastCustomer = [Int32](repeating: -1, count: baskets.itemCount)
        for customer in 0..<baskets.customerCount {
            let range = baskets.baskets(of: customer)
            for basket in range {
                for i in baskets.entries(of: basket) {
                    let item = Int(baskets.items[i])
                    if lastCustomer[item] == Int32(customer) {
                        repeats[item] += 1
                    } else {
                        lastCustomer[item] = Int32(customer)
                        opportunities[item] += range.upperBound - 1 - basket
                    }
                }
            }
        }
        let (all, again) = (opportunities.reduce(0, +), repeats.reduce(0, +))
        let overall = all > 0 ? Double(again) / Double(all) : 0
        let prior = parameters.ratePriorCount
        let rates = opportunities.indices.map { item in
            let weight = Double(opportunities[item]) + prior
            return weight > 0 ? (Double(repeats[item]) + prior * overall) / weight : overall
        }
        return RepeatPurchase(
            parameters: parameters, rates: rates, overallRate: overall, opportunityCount: all,
            repeatCount: again)
    }

    /// The same rates with other parameters of the customers.
    package func with(halfLife: Double, priorCount: Double) -> RepeatPurchase {
        var changed = parameters
        (changed.halfLife, changed.priorCount) = (halfLife, priorCount)
        return RepeatPurchase(
            parameters: changed, rates: rates, overallRate: overallRate,
            opportunityCount: opportunityCount, repeatCount: repeatCount)
    }

    /// - Parameters:
    ///   - baskets: of any customers, with the products of the fit.
    ///   - asOf: the day that ages are counted to, not before any basket; nil: each customer's last
    ///     basket.
    ///   - threadCount: at least 1; does not change the result.
    /// - Returns: `[customerCount × itemCount]`: an entry, in 0 ... 1, for every product that the
    ///   customer has bought.
    /// - Throws: `countMismatch`; `outOfRange` for a basket after `asOf`.
    /// - Complexity: O(n log n) for a customer with n lines. Memory: 20 bytes a line.
    package func scores(
        _ baskets: PurchaseBaskets, asOf: Int32? = nil, threadCount: Int
    ) throws(ModelError) -> SparseMatrix {
        try continuedScores(baskets, asOf: asOf, threadCount: threadCount).scores
    }

    /// `scores` with what `Parameters.score(afterBasket:…)` goes on from.
    package struct ContinuedScores: Sendable {
        /// As of `scores`.
        package var scores: SparseMatrix
        /// n of every entry: by weight, the baskets after the customer's first of the product.
        package var opportunities: [Float]
    }

    /// As `scores`.
    package func continuedScores(
        _ baskets: PurchaseBaskets, asOf: Int32? = nil, threadCount: Int
    ) throws(ModelError) -> ContinuedScores {
        try requireCount(baskets.itemCount, itemCount, "products of baskets")
        if let asOf, let late = baskets.days.firstIndex(where: { $0 > asOf }) {
            throw .outOfRange(
                what: "the day of basket \(late)", actual: Double(baskets.days[late]),
                allowed: "at most the day of the scores, \(asOf)")
        }
        let parts = parallelMap(
            count: baskets.customerCount, chunkSize: 256, threadCount: threadCount
        ) { _, customers in
            var part = Part()
            for customer in customers { append(customer, of: baskets, asOf, to: &part) }
            return part
        }
        var (offsets, items): ([Int], [Int32]) = ([0], [])
        var (values, opportunities): ([Float], [Float]) = ([], [])
        offsets.reserveCapacity(baskets.customerCount + 1)
        for part in parts {
            for count in part.counts { offsets.append(offsets[offsets.count - 1] + count) }
            items += part.items
            values += part.values
            opportunities += part.opportunities
        }
        return ContinuedScores(
            scores: SparseMatrix(
                rowCount: baskets.customerCount, columnCount: itemCount, rowOffsets: offsets,
                columnIndices: items, values: values),
            opportunities: opportunities)
    }

    /// Rows of a chunk of customers.
    private struct Part: Sendable {
        var counts: [Int] = []
        var items: [Int32] = []
        var values: [Float] = []
        var opportunities: [Float] = []
        var lines: [(item: Int32, basket: Int32)] = []
        var weights: [Double] = []
    }

    private func append(
        _ customer: Int, of baskets: PurchaseBaskets, _ asOf: Int32?, to part: inout Part
    ) {
        let range = baskets.baskets(of: customer)
        let first = range.lowerBound
        part.lines.removeAll(keepingCapacity: true)
        part.weights.removeAll(keepingCapacity: true)
        guard let last = range.last else {
            part.counts.append(0)
            return
        }
        let today = Int(asOf ?? baskets.days[last])
        for basket in range {
            let age = Double(today - Int(baskets.days[basket]))
            part.weights.append(exp2(-age / parameters.halfLife))
            for i in baskets.entries(of: basket) {
                part.lines.append((baskets.items[i], Int32(basket - first)))
            }
        }
        // What later baskets weigh together: the sum behind each.
        var later = part.weights
        var sum = 0.0
        for place in later.indices.reversed() {
            later[place] = sum
            sum += part.weights[place]
        }
        part.lines.sort { ($0.item, $0.basket) < ($1.item, $1.basket) }
        let before = part.items.count
        var i = 0
        while i < part.lines.count {
            let item = part.lines[i].item
            let opened = Int(part.lines[i].basket)
            var again = 0.0
            i += 1
            while i < part.lines.count, part.lines[i].item == item {
                again += part.weights[Int(part.lines[i].basket)]
                i += 1
            }
            let prior = parameters.priorCount
            part.items.append(item)
            part.values.append(
                Float((again + prior * rates[Int(item)]) / (later[opened] + prior)))
            part.opportunities.append(Float(later[opened]))
        }
        part.counts.append(part.items.count - before)
    }
}

extension PurchaseBaskets {
    /// `[itemCount]`: the share of all baskets that hold each product: the probability that a basket
    /// of nobody in particular does.
    package var itemShares: [Float] {
        var counts = [Int](repeating: 0, count: itemCount)
        for item in items { counts[Int(item)] += 1 }
        let total = Double(max(1, basketCount))
        return counts.map { Float(Double($0) / total) }
    }
}
