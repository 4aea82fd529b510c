package import ByteCoding
import ColumnStore
import Models
import Numerical

/// What products are wanted for a customer.
package struct OfferRequest: Sendable, Equatable {
    package enum Kind: UInt8, Sendable, CaseIterable {
        /// Of all products: the next best.
        case next = 0
        /// Of categories that the customer has bought nothing of.
        case crossSell = 1
        /// Dearer than all that the customer bought of their category.
        case upSell = 2
    }

    package enum Rank: UInt8, Sendable, CaseIterable {
        case affinity = 0
        /// Expected margin: the purchase probability times what a unit brings.
        case margin = 1
    }

    package enum Bought: UInt8, Sendable, CaseIterable {
        case leftOut = 0
        case included = 1
        /// Nothing but what was bought before.
        case only = 2
    }

    package var kind = Kind.next
    package var rank = Rank.affinity
    package var bought = Bought.leftOut
    package var count = 10
    /// Names of categories; empty for all.
    package var categories: [String] = []
    /// Prices of a unit; nil for no limit. A product without a known price has none that fits.
    package var lowestPrice: Double?
    package var highestPrice: Double?
    /// Of an up-sell to the dearest that was bought; above 1.
    package var largestRatio = 1.5
    package var includesOutOfStock = false
    /// Ids of products that the customer has bought since the scoring, integers by their digits: one
    /// order on the snapshot's day. A model of lines counts each as often as it stands here, one of
    /// orders once.
    package var boughtSince: [String] = []

    package init() {}
}

/// Where a score comes from.
package enum AffinityBasis: UInt8, Sendable, CaseIterable {
    case ownPurchases = 0
    /// The customer has bought nothing that the model knows: attributes in common with others.
    case customerAttributes = 1
    /// Nobody has bought the product: its category and price.
    case productAttributes = 2
    case attributesOfBoth = 3
}

/// A product or a customer, and what is expected of the pair.
package struct OfferEntry: Sendable, Equatable {
    package var row: Int32
    package var score: Float
    /// That the customer buys the product within the horizon; nil where it is not calibrated.
    package var probability: Double?
    /// In the snapshot's currency; nil likewise.
    package var expectedMargin: Double?
    /// How much more the customer buys the product under promotion; nil where it was not asked for
    /// or is not known.
    package var promotionLift: Double?
    package var basis = AffinityBasis.ownPurchases
}

/// The answer to "what for this customer".
package struct Offers: Sendable, Equatable {
    package var status: ScoreStatus
    /// Best first; empty where the status is not ok.
    package var entries: [OfferEntry]

    package init(status: ScoreStatus, entries: [OfferEntry] = []) {
        (self.status, self.entries) = (status, entries)
    }
}

/// Why an offer cannot be made from a snapshot.
package enum OfferFlaw: Error, Sendable, Equatable {
    case unknownProduct
    case noAffinity
    /// What the snapshot lacks.
    case lacks(String)
}

extension ServingSnapshot {
    /// Products for a customer.
    package func offers(
        customer: EntityID?, _ request: OfferRequest
    ) throws(OfferFlaw) -> Offers {
        let row: Int? = customer.flatMap { self.row(of: $0) }
        // Who has just come is known by what was bought since.
        guard row != nil || !request.boughtSince.isEmpty else {
            return Offers(status: .unknownCustomer)
        }
        guard let affinity else { throw .noAffinity }
        return try affinity.offers(customer: row, request, on: asOf.daysSince1970)
    }

    /// Customers for a product, in general or while it is promoted.
    package func offerCustomers(
        product: EntityID, _ request: OfferCustomersRequest
    ) throws(OfferFlaw) -> Offers {
        guard let affinity else { throw .noAffinity }
        guard let row = affinity.productRow(product) else { throw .unknownProduct }
        return try affinity.offerCustomers(product: row, request)
    }

    /// Customers whose factors point the same way as one's, by their cosine.
    package func similarCustomers(
        to customer: EntityID, count: Int
    ) throws(OfferFlaw) -> Offers {
        guard let row = row(of: customer) else { return Offers(status: .unknownCustomer) }
        guard let affinity else { throw .noAffinity }
        return try affinity.similarCustomers(to: row, count: count)
    }

    /// The same of products.
    package func similarProducts(
        to product: EntityID, count: Int
    ) throws(OfferFlaw) -> Offers {
        guard let affinity else { throw .noAffinity }
        guard let row = affinity.productRow(product) else { throw .unknownProduct }
        return try affinity.similarProducts(to: row, count: count)
    }
}

/// Which customers are wanted for a product.
package struct OfferCustomersRequest: Sendable, Equatable {
    package enum Rank: UInt8, Sendable, CaseIterable {
        case affinity = 0
        case probability = 1
    }

    package var rank = Rank.affinity
    package var count = 10
    package var excludesPurchasers = true
    /// Whether the product is promoted: probabilities are then those under promotion, by which the
    /// customers are ranked.
    package var isPromoted = false

    package init() {}
}
