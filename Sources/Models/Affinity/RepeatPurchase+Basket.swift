import Foundation

extension RepeatPurchase.Parameters {
    /// The score of a product, in 0 ... 1, after one more basket of the customer: what
    /// `RepeatPurchase.scores` gives of all baskets with it, but for rounding.
    ///
    /// The earlier baskets have aged by the days between, so that a yeses and n baskets now weigh
    /// d a and d n with d = 2^-(days / halfLife); the new one weighs 1. The yeses are those that the
    /// score was made of, a = p (n + κ) - κ ρ.
    /// - Parameters:
    ///   - score: p by the baskets before; of no meaning where `opportunities` is nil.
    ///   - opportunities: n by the baskets before, at least 0; nil for a product that the customer had
    ///     not bought before, whose first purchase opens the question.
    ///   - rate: ρ of the product, 0 ... 1.
    ///   - days: from the last basket before to this one; below 0 counts as 0.
    ///   - isInBasket: whether the new basket has the product.
    package func score(
        afterBasket score: Double, opportunities: Double?, rate: Double, days: Int,
        isInBasket: Bool
    ) -> Double {
        guard let opportunities else { return rate }
        let again = score * (opportunities + priorCount) - priorCount * rate
        let decay = exp2(-Double(max(0, days)) / halfLife)
        let count = decay * opportunities + 1
        // Rounding, or a score of other parameters, may lie outside of what there can be.
        let yeses = decay * min(max(0, again), opportunities) + (isInBasket ? 1 : 0)
        return (yeses + priorCount * rate) / (count + priorCount)
    }
}

extension RepeatPurchase {
    /// - Throws: `outOfRange` for a rate that no fit gives.
    package static func checkRates(_ rates: [Double]) throws(ModelError) {
        if let item = rates.firstIndex(where: { !(0...1).contains($0) }) {
            throw .outOfRange(
                what: "the repeat rate of product \(item)", actual: rates[item],
                allowed: "0 ... 1")
        }
    }
}
