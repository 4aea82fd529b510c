extension AffinityHybrid {
    /// Learns as `fit` does, with repeats and popularity alone: the factors' weight is 0.
    /// - Throws: as `learn`.
    package static func fitWithoutFactors(
        _ baskets: PurchaseBaskets, _ parameters: Parameters
    ) throws(ModelError) -> AffinityHybrid {
        let (before, last) = baskets.splitBeforeLast()
        var parameters = parameters
        parameters.factorWeights = [0]
        let none = FittedALS(
            parameters: ImplicitALS.Parameters(factorCount: 1),
            userCount: baskets.customerCount, itemCount: baskets.itemCount,
            userFactors: [Float](repeating: 0, count: baskets.customerCount),
            itemFactors: [Float](repeating: 0, count: baskets.itemCount), lossPerIteration: [])
        return try learn(before: before, after: last, earlier: none, parameters)
            .refitted(to: baskets)
    }

    /// From parts that were kept.
    /// - Throws: `countMismatch`; `outOfRange` for a weight or a share that no fit gives.
    package init(
        restoring repeats: RepeatPurchase, shares: [Float], factorWeight: Double,
        popularityWeight: Double, excludesPurchased: Bool, trials: [Trial]
    ) throws(ModelError) {
        try requireCount(shares.count, repeats.itemCount, "shares of products")
        for (value, name) in [
            (factorWeight, "factorWeight"), (popularityWeight, "popularityWeight"),
        ] where !(value >= 0 && value <= Self.largestWeight) {
            throw .outOfRange(what: name, actual: value, allowed: "0 ... \(Self.largestWeight)")
        }
        if let item = shares.firstIndex(where: { !(0...1).contains($0) }) {
            throw .outOfRange(
                what: "the share of product \(item)", actual: Double(shares[item]),
                allowed: "0 ... 1")
        }
        self.init(
            repeats: repeats, shares: shares, factorWeight: factorWeight,
            popularityWeight: popularityWeight, excludesPurchased: excludesPurchased,
            trials: trials)
    }

    /// What a weight may be at most: far above any that is tried, and small enough that scores stay
    /// finite.
    package static let largestWeight = 1e6

    /// `[customerCount × (factorCount + 1)]`: factors by their weight, then 1, which popularity is
    /// multiplied by: a scalar product with `combinedItems` is a score but for repeats.
    package func combinedCustomers(
        _ factors: [Float], factorCount: Int, customerCount: Int
    ) -> [Float] {
        Self.combined(
            factors, factorCount: factorCount, customerCount: customerCount,
            factorWeight: factorWeight)
    }

    /// `[itemCount × (factorCount + 1)]`: factors, then the share of baskets by its weight.
    package func combinedItems(_ factors: [Float], factorCount: Int) -> [Float] {
        Self.combined(
            factors, factorCount: factorCount, shares: shares,
            popularityWeight: popularityWeight)
    }

    static func combined(
        _ factors: [Float], factorCount f: Int, customerCount: Int, factorWeight: Double
    ) -> [Float] {
        precondition(factors.count == customerCount * f)
        var result: [Float] = []
        result.reserveCapacity(customerCount * (f + 1))
        let weight = Float(factorWeight)
        for row in 0..<customerCount {
            for j in 0..<f { result.append(weight * factors[row * f + j]) }
            result.append(1)
        }
        return result
    }

    static func combined(
        _ factors: [Float], factorCount f: Int, shares: [Float], popularityWeight: Double
    ) -> [Float] {
        precondition(factors.count == shares.count * f)
        var result: [Float] = []
        result.reserveCapacity(shares.count * (f + 1))
        let weight = Float(popularityWeight)
        for item in shares.indices {
            for j in 0..<f { result.append(factors[item * f + j]) }
            result.append(weight * shares[item])
        }
        return result
    }
}

extension RepeatPurchase {
    /// From parts that were kept.
    /// - Throws: `outOfRange` for a parameter or rate that no fit gives.
    package init(
        restoring parameters: Parameters, rates: [Double], overallRate: Double,
        opportunityCount: Int, repeatCount: Int
    ) throws(ModelError) {
        try parameters.check()
        try Self.checkRates(rates)
        self.init(
            parameters: parameters, rates: rates, overallRate: overallRate,
            opportunityCount: opportunityCount, repeatCount: repeatCount)
    }
}
