import Foundation
package import Numerical

/// How much more customers and categories buy under promotion than without, from purchase lines
/// that say whether they were promoted.
///
/// Where a share e of the offer is promoted and the rate of buying is λ₁ under promotion and λ₀
/// without, a share s = e λ₁ / (e λ₁ + (1 - e) λ₀) of the lines is promoted; so the lift λ₁ / λ₀ is
/// the odds of s over the odds of e. Shares of few lines are drawn to what is expected: a category's
/// to that of all lines, a customer's to that of the categories bought (beta-binomial, its
/// concentration ν the most likely one for all together). Where e of the categories is not known,
/// that of all lines takes its place, and a lift of 1 is the average.
/// Source: empirical Bayes after B. Efron, C. Morris, "Data analysis using Stein's estimator and its
/// generalizations", 1975; beta-binomial: J. G. Skellam, 1948.
package struct PromotionResponse: Sendable, Equatable, Codable {
    /// `[categoryCount]`: λ₁ / λ₀ of each; finite, above 0.
    package let categoryLifts: [Double]
    /// `[categoryCount]`: the share of its lines that is promoted, drawn to that of all.
    package let categoryShares: [Double]
    /// `[customerCount]`: lift of the customer beside that of the categories bought: 1 for one who
    /// responds as the average does, or of whom nothing is known.
    package let customerLifts: [Double]
    /// Lines to which the prior of a category, of a customer is worth; at the largest, 1e6, all
    /// differences are chance.
    package let categoryConcentration: Double
    package let customerConcentration: Double
    /// Lines of which the model is made, and those promoted.
    package let lineCount: Int
    package let promotedCount: Int

    /// Lines of one customer in one category.
    package struct Cell: Sendable, Equatable {
        package let customer: Int32
        package let category: Int32
        /// 0 ... `count`.
        package let promotedCount: Int32
        package let count: Int32

        package init(customer: Int32, category: Int32, promotedCount: Int32, count: Int32) {
            (self.customer, self.category) = (customer, category)
            (self.promotedCount, self.count) = (promotedCount, count)
        }
    }

    /// The most likely concentration is sought in these.
    private static let concentrations = 0.1...1e6
    /// Customers from which it is learned at most, evenly spaced.
    private static let largestSample = 100_000

    /// - Parameters:
    ///   - cells: in any order; several of one customer and category add up.
    ///   - exposures: `[categoryCount]`: share of a category's offer that is promoted, of days or of
    ///     products, above 0 and below 1; nil where it is not known.
    /// - Throws: `noRows` without lines; `outOfRange`; `countMismatch`; `notIdentified` where all
    ///   lines are promoted, or none.
    /// - Complexity: O(cells + 60 × lines of the sample). Deterministic.
    package static func fit(
        _ cells: [Cell], customerCount: Int, categoryCount: Int, exposures: [Double]? = nil
    ) throws(ModelError) -> PromotionResponse {
        var categories = [Share](repeating: Share(), count: categoryCount)
        var customers = [Share](repeating: Share(), count: customerCount)
        var all = Share()
        for (place, cell) in cells.enumerated() {
            try check(cell, place, customerCount, categoryCount)
            all.add(cell)
            categories[Int(cell.category)].add(cell)
            customers[Int(cell.customer)].add(cell)
        }
        guard all.count > 0 else { throw .noRows(model: "promotion response") }
        guard all.promoted > 0, all.promoted < all.count else {
            throw .notIdentified(
                model: "promotion response",
                reason: all.promoted == 0
                    ? "no purchase is promoted; check the column that says so"
                    : "every purchase is promoted; leave the promotion column out")
        }
        if let exposures { try check(exposures, categoryCount) }
        let overall = Double(all.promoted) / Double(all.count)
        for c in categories.indices { categories[c].expected = overall }
        let ofCategories = concentration(categories)
        let shares = categories.map { $0.posterior(ofCategories) }
        let lifts = categories.indices.map { c in
            odds(shares[c]) / odds(exposures?[c] ?? overall)
        }
        expect(cells, shares, of: &customers)
        let ofCustomers = concentration(customers)
        let customerLifts = customers.map { $0.lift(ofCustomers) }
        return PromotionResponse(
            categoryLifts: lifts, categoryShares: shares, customerLifts: customerLifts,
            categoryConcentration: ofCategories, customerConcentration: ofCustomers,
            lineCount: all.count, promotedCount: all.promoted)
    }

    /// What the categories bought make of an average customer.
    private static func expect(
        _ cells: [Cell], _ categoryShares: [Double], of customers: inout [Share]
    ) {
        var sums = [Double](repeating: 0, count: customers.count)
        for cell in cells {
            sums[Int(cell.customer)] += Double(cell.count) * categoryShares[Int(cell.category)]
        }
        for u in customers.indices where customers[u].count > 0 {
            customers[u].expected = sums[u] / Double(customers[u].count)
        }
    }

    /// The lifts of customers by their lines of now: those of the fit for the cells of the fit,
    /// others for customers who came or bought since.
    /// - Parameter cells: of the fit's categories, in any order.
    /// - Returns: `[customerCount]`, as `customerLifts`.
    /// - Throws: `outOfRange`.
    /// - Complexity: O(cells + customers). Deterministic.
    package func customerLifts(
        of cells: [Cell], customerCount: Int
    ) throws(ModelError) -> [Double] {
        var customers = [Share](repeating: Share(), count: customerCount)
        for (place, cell) in cells.enumerated() {
            try Self.check(cell, place, customerCount, categoryShares.count)
            customers[Int(cell.customer)].add(cell)
        }
        Self.expect(cells, categoryShares, of: &customers)
        return customers.map { $0.lift(customerConcentration) }
    }

    /// The same without the customers: what is kept where their lifts are computed anew.
    package var withoutCustomers: PromotionResponse {
        PromotionResponse(
            categoryLifts: categoryLifts, categoryShares: categoryShares, customerLifts: [],
            categoryConcentration: categoryConcentration,
            customerConcentration: customerConcentration, lineCount: lineCount,
            promotedCount: promotedCount)
    }

    /// The lift of one customer in one category: that of the one times that of the other.
    /// - Precondition: both are known to the model.
    package func lift(customer: Int, category: Int) -> Double {
        customerLifts[customer] * categoryLifts[category]
    }

    /// The probability of buying while the product is promoted all the time, of one who buys with
    /// `probability` without: purchases come at a rate, which the lift multiplies.
    /// - Parameters:
    ///   - probability: 0 ... 1.
    ///   - lift: at least 0.
    package static func promoted(_ probability: Double, lift: Double) -> Double {
        precondition(lift >= 0 && (0...1).contains(probability))
        if probability == 1 { return lift > 0 ? 1 : 0 }
        return -expm1(lift * log1p(-probability))
    }

    /// The customers most likely to buy a product while it is promoted: best first, ties to the
    /// lower row; the scores are the probabilities.
    /// - Parameters:
    ///   - product: `[factorCount]`, finite factors.
    ///   - category: of the product; nil where it is unknown, which has no lift.
    ///   - customerFactors: `[customerCount × factorCount]`, row-major, finite.
    ///   - count: entries of the answer; none below 1.
    ///   - eligible: `[customerCount]`; nil: all customers are.
    /// - Throws: `countMismatch`; `outOfRange` for a category that the model lacks;
    ///   `nonFiniteValue` for a score that is not finite.
    /// - Complexity: O(customers × (factors + log count)). Deterministic for any thread count.
    package func topCustomers(
        _ count: Int, of product: [Float], category: Int?, customerFactors: [Float],
        _ probability: PurchaseProbability, eligible: Bitmap? = nil, threadCount: Int,
        kernels: KernelTable = .current
    ) throws(ModelError) -> [TopN.Entry] {
        let (f, count) = (product.count, max(0, count))
        try requireCount(
            customerFactors.count, customerLifts.count * f, "values of customer factors")
        if let eligible {
            try requireCount(eligible.count, customerLifts.count, "eligibility of customers")
        }
        if let category, !categoryLifts.indices.contains(category) {
            throw .outOfRange(
                what: "the category of the product", actual: Double(category),
                allowed: "below \(categoryLifts.count)")
        }
        let ofCategory = category.map { categoryLifts[$0] } ?? 1
        struct Best: Sendable {
            var entries: [TopN.Entry] = []
            var flaw: Int?
        }
        let parts = parallelMap(
            count: customerLifts.count, chunkSize: 1 << 13, threadCount: threadCount
        ) { _, rows in
            var best = Best()
            for row in rows where eligible?[row] ?? true {
                let score = kernels.dot(
                    product.span, customerFactors.span.extracting(row * f..<(row + 1) * f))
                guard score.isFinite else {
                    best.flaw = best.flaw ?? row
                    continue
                }
                let chance = Self.promoted(
                    probability.probability(score), lift: ofCategory * customerLifts[row])
                best.entries.append(TopN.Entry(item: Int32(row), score: Float(chance)))
            }
            best.entries.sort { $0.isBefore($1) }
            if best.entries.count > count {
                best.entries.removeLast(best.entries.count - count)
            }
            return best
        }
        if let row = parts.compactMap(\.flaw).first {
            throw .nonFiniteValue(what: "scores of customers", row: row, column: 0)
        }
        return Array(parts.flatMap(\.entries).sorted { $0.isBefore($1) }.prefix(count))
    }

    /// Promoted lines among all, and the share that is expected of them.
    private struct Share {
        var promoted = 0
        var count = 0
        var expected = 0.5

        mutating func add(_ cell: Cell) {
            promoted += Int(cell.promotedCount)
            count += Int(cell.count)
        }

        func posterior(_ concentration: Double) -> Double {
            (concentration * expected + Double(promoted)) / (concentration + Double(count))
        }

        /// Of a customer beside the categories bought; 1 without lines.
        func lift(_ concentration: Double) -> Double {
            count == 0
                ? 1
                : PromotionResponse.odds(posterior(concentration))
                    / PromotionResponse.odds(expected)
        }

        /// Log-likelihood of a beta-binomial of mean `expected`, but for a constant.
        func logLikelihood(_ concentration: Double) -> Double {
            lnGammaDifference(concentration * expected, promoted)
                + lnGammaDifference(concentration * (1 - expected), count - promoted)
                - lnGammaDifference(concentration, count)
        }
    }

    private static func odds(_ share: Double) -> Double { share / (1 - share) }

    /// The most likely ν, by golden sections of its logarithm.
    private static func concentration(_ shares: [Share]) -> Double {
        let known = shares.filter { $0.count > 0 }
        let step = max(1, known.count / largestSample)
        let sample = stride(from: 0, to: known.count, by: step).map { known[$0] }
        func value(_ logarithm: Double) -> Double {
            let concentration = exp(logarithm)
            return sample.reduce(0) { $0 + $1.logLikelihood(concentration) }
        }
        let ratio = (5.0.squareRoot() - 1) / 2
        var (low, high) = (log(concentrations.lowerBound), log(concentrations.upperBound))
        var (left, right) = (high - ratio * (high - low), low + ratio * (high - low))
        var (atLeft, atRight) = (value(left), value(right))
        while high - low > 1e-4 {
            // Equal values: no difference is more than chance, and the larger one says so.
            if atLeft > atRight {
                (high, right, atRight) = (right, left, atLeft)
                left = high - ratio * (high - low)
                atLeft = value(left)
            } else {
                (low, left, atLeft) = (left, right, atRight)
                right = low + ratio * (high - low)
                atRight = value(right)
            }
        }
        return exp((low + high) / 2)
    }

    private static func check(
        _ cell: Cell, _ place: Int, _ customerCount: Int, _ categoryCount: Int
    ) throws(ModelError) {
        guard (0..<customerCount).contains(Int(cell.customer)) else {
            throw .outOfRange(
                what: "the customer of cell \(place)", actual: Double(cell.customer),
                allowed: "0 ..< \(customerCount)")
        }
        guard (0..<categoryCount).contains(Int(cell.category)) else {
            throw .outOfRange(
                what: "the category of cell \(place)", actual: Double(cell.category),
                allowed: "0 ..< \(categoryCount)")
        }
        guard cell.count >= 0, (0...cell.count).contains(cell.promotedCount) else {
            throw .outOfRange(
                what: "the promoted lines of cell \(place)", actual: Double(cell.promotedCount),
                allowed: "0 ... \(cell.count) lines")
        }
    }

    private static func check(
        _ exposures: [Double], _ categoryCount: Int
    ) throws(ModelError) {
        try requireCount(exposures.count, categoryCount, "exposures of categories")
        for (c, exposure) in exposures.enumerated() where !(exposure > 0 && exposure < 1) {
            throw .outOfRange(
                what: "the promoted share of category \(c)", actual: exposure,
                allowed: "above 0 and below 1")
        }
    }
}
