/// What offers can be made from a snapshot: what its plan fitted and its products told.
package struct OfferCapabilities: Sendable, Equatable {
    /// Of the affinity model, as in plans.
    package var variant: Plan.AffinityVariant
    /// Cross-sell, up-sell, and products by category and price.
    package var hasDetails: Bool
    /// Purchase probabilities, and with them expected margins.
    package var hasProbabilities: Bool
    /// Purchases since the scoring change what is offered.
    package var foldsPurchases: Bool
    /// Customers of a product under promotion.
    package var hasPromotions: Bool
    /// Similar customers and products.
    package var findsSimilar: Bool
    /// Customers who have bought nothing, by their attributes.
    package var servesColdCustomers: Bool
    /// Products that nobody has bought, by category and price.
    package var servesColdProducts: Bool
}

extension AffinityFile {
    /// A generation of before there were offers has factors and nothing else.
    package var capabilities: OfferCapabilities {
        guard let offers = offerFile else {
            return OfferCapabilities(
                variant: .factors, hasDetails: false, hasProbabilities: false,
                foldsPurchases: false, hasPromotions: false, findsSimilar: factorCount > 0,
                servesColdCustomers: false, servesColdProducts: false)
        }
        return OfferCapabilities(
            variant: offers.card.variant, hasDetails: offers.hasDetails,
            hasProbabilities: offers.card.probability != nil,
            foldsPurchases: offers.card.folding != nil || !offers.card.variant.hasFactors,
            hasPromotions: offers.card.probability != nil && offers.card.promotion != nil
                && offers.hasLifts,
            findsSimilar: offers.card.similarFactorCount > 0,
            servesColdCustomers: offers.hasColdCustomers,
            servesColdProducts: offers.hasColdProducts)
    }
}
