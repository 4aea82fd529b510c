import ByteCoding
import Models
import Numerical

/// The affinity model of one training: what `affinity` model files hold.
struct AffinityModel: Sendable {
    var settings: Settings
    /// In the order of the factors' rows.
    var products: TextArray
    /// `[productCount × factorCount]`, row-major; empty for a variant without factors.
    var productFactors: [Float]
    /// `[productCount]`: how popular each is, 0 ... 1; empty for factors alone.
    var productShares: [Float] = []
    /// Of the variants that look at what is bought again, with the shares.
    var hybrid: AffinityHybrid?
    var lossPerIteration: [Double]
    /// Nil in files of releases that knew nothing of these.
    var details: AffinityDetails?

    var variant: Plan.AffinityVariant { settings.variant }
    /// Factors of a row of `productFactors`.
    var factorCount: Int { variant.hasFactors ? settings.factors.factorCount : 0 }

    /// What an affinity model file says beside its arrays: the parameters of factors, and what came
    /// to be said later under keys of its own. A file without these has factors alone.
    struct Settings: Sendable, Codable {
        var factors: ImplicitALS.Parameters
        var variant = Plan.AffinityVariant.factors
        var hybrid: HybridSettings?
        var details: AffinityDetails.Card?
        /// Products of the fit, which scaled regularization counts: a model may have more since. Nil
        /// where it plays no part.
        var fittedItemCount: Int?

        init(factors: ImplicitALS.Parameters, variant: Plan.AffinityVariant = .factors) {
            (self.factors, self.variant) = (factors, variant)
        }

        private enum CodingKeys: String, CodingKey {
            case variant, hybrid, details, fittedItemCount
        }

        init(from decoder: any Decoder) throws {
            factors = try ImplicitALS.Parameters(from: decoder)
            let values = try decoder.container(keyedBy: CodingKeys.self)
            variant =
                try values.decodeIfPresent(Plan.AffinityVariant.self, forKey: .variant)
                ?? .factors
            hybrid = try values.decodeIfPresent(HybridSettings.self, forKey: .hybrid)
            details = try values.decodeIfPresent(AffinityDetails.Card.self, forKey: .details)
            fittedItemCount = try values.decodeIfPresent(Int.self, forKey: .fittedItemCount)
        }

        func encode(to encoder: any Encoder) throws {
            try factors.encode(to: encoder)
            var values = encoder.container(keyedBy: CodingKeys.self)
            if variant != .factors { try values.encode(variant, forKey: .variant) }
            try values.encodeIfPresent(hybrid, forKey: .hybrid)
            try values.encodeIfPresent(details, forKey: .details)
            try values.encodeIfPresent(fittedItemCount, forKey: .fittedItemCount)
        }

        mutating func noteItemCount(_ count: Int) {
            fittedItemCount = factors.regularizationExponent == 0 ? nil : count
        }
    }

    /// A hybrid without the arrays of its products.
    struct HybridSettings: Sendable, Codable {
        var repeats: RepeatPurchase.Parameters
        var overallRate: Double
        var opportunityCount: Int
        var repeatCount: Int
        var factorWeight: Double
        var popularityWeight: Double
        var excludesPurchased: Bool
        var trials: [AffinityHybrid.Trial]

        init(_ hybrid: AffinityHybrid) {
            repeats = hybrid.repeats.parameters
            overallRate = hybrid.repeats.overallRate
            opportunityCount = hybrid.repeats.opportunityCount
            repeatCount = hybrid.repeats.repeatCount
            factorWeight = hybrid.factorWeight
            popularityWeight = hybrid.popularityWeight
            excludesPurchased = hybrid.excludesPurchased
            trials = hybrid.trials
        }

        func hybrid(rates: [Double], shares: [Float]) throws(ModelError) -> AffinityHybrid {
            try AffinityHybrid(
                restoring: RepeatPurchase(
                    restoring: repeats, rates: rates, overallRate: overallRate,
                    opportunityCount: opportunityCount, repeatCount: repeatCount),
                shares: shares, factorWeight: factorWeight, popularityWeight: popularityWeight,
                excludesPurchased: excludesPurchased, trials: trials)
        }
    }
}

/// What customers and products are served with: a score is the scalar product of the factors of both,
/// and what is added for a product that the customer has bought.
struct ServedAffinity: Sendable {
    /// `[customerCount × servedFactorCount]`, row-major.
    var customerFactors: [Float]
    /// An entry for every product that a customer has bought; nil where nothing is added.
    var additions: SparseMatrix?
    /// Of every entry of `additions`, what a later basket goes on from
    /// (`RepeatPurchase.ContinuedScores`).
    var opportunities: [Float] = []
    /// `[customerCount]` with `additions`: the day of each one's last basket; 0 without any.
    var lastBasketDays: [Int32] = []
}

extension AffinityModel {
    /// Factors that customers and products are served with: those of the model, and one for
    /// popularity where it plays a part.
    var servedFactorCount: Int { variant == .factors ? factorCount : factorCount + 1 }

    /// `[productCount × servedFactorCount]`, row-major.
    var servedProductFactors: [Float] {
        switch variant {
        case .factors: productFactors
        case .popular: productShares
        case .hybrid, .repeatPurchase:
            hybrid?.combinedItems(productFactors, factorCount: factorCount) ?? []
        }
    }

    /// The product factors of the fit: zeros for products without buyers, whose own are of their
    /// category. That a customer has not bought these says nothing of the customer.
    private var fittedFactors: [Float] {
        var factors = productFactors
        for product in details?.coldProducts ?? [] {
            for j in 0..<factorCount { factors[Int(product) * factorCount + j] = 0 }
        }
        return factors
    }

    /// - Parameter purchases: of any customers, of the model's products.
    func served(
        _ purchases: AffinityPurchases, threadCount: Int
    ) throws(ModelError) -> ServedAffinity {
        let customerCount = purchases.counts.rowCount
        var factors: [Float] = []
        if variant.hasFactors {
            factors = try ImplicitALS.foldIn(
                purchases.counts,
                into: FittedALS(parameters: settings.factors, itemFactors: fittedFactors),
                fittedItemCount: settings.fittedItemCount, threadCount: threadCount)
        }
        switch variant {
        case .factors:
            return ServedAffinity(customerFactors: factors)
        case .popular:
            return ServedAffinity(
                customerFactors: [Float](repeating: 1, count: customerCount))
        case .hybrid, .repeatPurchase:
            guard let hybrid, let baskets = purchases.baskets else {
                preconditionFailure("a variant with baskets has its parts")
            }
            let repeats = try hybrid.repeats.continuedScores(baskets, threadCount: threadCount)
            return ServedAffinity(
                customerFactors: hybrid.combinedCustomers(
                    factors, factorCount: factorCount, customerCount: customerCount),
                additions: repeats.scores, opportunities: repeats.opportunities,
                lastBasketDays: (0..<customerCount).map { customer in
                    baskets.baskets(of: customer).last.map { baskets.days[$0] } ?? 0
                })
        }
    }

    /// The products ranked highest for customers; none for who bought no product of the model, whom
    /// a list by nothing of their own would look like a choice for.
    /// - Parameters:
    ///   - top: of the served product factors.
    ///   - served: of the customers of `purchases`.
    func lists(
        _ count: Int, _ top: TopN, _ served: ServedAffinity, _ purchases: AffinityPurchases,
        excludesPurchased: Bool, threadCount: Int
    ) throws(ModelError) -> TopLists {
        var lists: TopLists
        if let additions = served.additions, !excludesPurchased {
            lists = try top.top(
                count, queryFactors: served.customerFactors, itemFactors: servedProductFactors,
                adding: additions, threadCount: threadCount)
        } else {
            lists = try top.top(
                count, queryFactors: served.customerFactors,
                excluding: excludesPurchased ? purchases.counts : nil, threadCount: threadCount)
        }
        let width = servedFactorCount
        for row in 0..<purchases.counts.rowCount
        where purchases.counts.entries(of: row).isEmpty
            || served.customerFactors[row * width..<(row + 1) * width].allSatisfy({ $0 == 0 })
        {
            lists.clear(row)
        }
        return lists
    }
}

extension Plan.AffinityVariant {
    /// In model cards.
    var cardName: String { self == .factors ? "als" : rawValue }
}
