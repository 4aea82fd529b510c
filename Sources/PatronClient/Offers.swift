import ByteCoding
import Wire

/// What products are wanted for a customer.
public struct OfferOptions: Sendable, Equatable {
    public enum Offer: String, Sendable, CaseIterable {
        /// The next best of all products.
        case next
        /// Of categories that the customer has bought nothing of.
        case crossSell
        /// Dearer than all that the customer bought of their category.
        case upSell
    }

    public enum Rank: String, Sendable, CaseIterable {
        case affinity
        /// Purchase probability times what a unit brings.
        case margin
    }

    public enum Bought: String, Sendable, CaseIterable {
        case leftOut, included
        /// Nothing but what the customer has bought before.
        case only
    }

    public var offer = Offer.next
    public var rank = Rank.affinity
    public var bought = Bought.leftOut
    /// Names of categories, at most 1,024; empty for all.
    public var categories: [String] = []
    /// Of a unit, in the snapshot's currency, 0.0001 … 9e14 or 0, rounded to a ten-thousandth; nil, or a
    /// lowest price of 0, for no limit. A highest price of 0 is an error: nothing costs that little.
    public var lowestPrice: Double?
    public var highestPrice: Double?
    /// Of an up-sell to the dearest that was bought; 1.01 … 655.
    public var largestRatio = 1.5
    /// Products that the customer has bought since the snapshot's scoring, at most 1,024: the answer
    /// is as if these had been scored as one order on the snapshot's day. A model of orders counts
    /// each once, one of purchase lines as often as it stands here. A customer whom the snapshot does
    /// not know is answered by them alone.
    public var boughtSince: [PatronID] = []
    /// Also products that are known to be out of stock.
    public var includesOutOfStock = false

    public init() {}
}

/// Where a score comes from.
public enum AffinityBasis: Int, Sendable, CaseIterable {
    case ownPurchases = 0
    /// The customer has bought nothing that the model knows: attributes in common with others.
    case customerAttributes = 1
    /// Nobody has bought the product: its category and price.
    case productAttributes = 2
    case attributesOfBoth = 3
}

/// Products to offer to a customer, or customers to offer a product to.
public struct OfferResult: Sendable, Equatable {
    public struct Entry: Sendable, Equatable {
        public var id: PatronID
        /// Comparable within one answer only.
        public var score: Float
        /// That the customer buys the product within the horizon of the plan; nil where it is not
        /// calibrated.
        public var purchaseProbability: Double?
        /// In the snapshot's currency; nil likewise.
        public var expectedMargin: Double?
        /// How many times as often the customer buys the product under promotion; nil where it was
        /// not asked for.
        public var promotionLift: Double?
        /// Nil for a number that this release does not know.
        public var basis: AffinityBasis?
    }

    public var snapshot: SnapshotInfo
    /// Why there are no entries, or ok.
    public var status: CustomerStatus
    /// Best first.
    public var entries: [Entry]
}

extension OfferOptions {
    /// Largest price of a unit.
    static let largestPrice = 9e14
    static let largestRatios = 1.01...655.0
    static let listLimit = 1_024
    static let categoryBytes = 4_096
    static let idBytes = 1_024

    /// - Throws: `invalidOption` with the name of the option.
    func check() throws(PatronError) {
        try check("lowestPrice", lowestPrice, mayBeZero: true)
        try check("highestPrice", highestPrice, mayBeZero: false)
        if let lowestPrice, let highestPrice, lowestPrice > highestPrice {
            throw .invalidOption(
                name: "lowestPrice",
                reason: "is \(lowestPrice), above highestPrice, \(highestPrice)")
        }
        guard Self.largestRatios.contains(largestRatio) else {
            throw .invalidOption(
                name: "largestRatio",
                reason: "is between \(Self.largestRatios.lowerBound) and 655, not \(largestRatio)")
        }
        try check("categories", categories, limit: Self.categoryBytes)
        try check("boughtSince", boughtSince.map(\.description), limit: Self.idBytes)
    }

    private func check(
        _ name: String, _ price: Double?, mayBeZero: Bool
    ) throws(PatronError) {
        guard let price else { return }
        guard price >= 0, price <= Self.largestPrice else {
            throw .invalidOption(
                name: name, reason: "is 0.0001 … 9e14 in the snapshot's currency, not \(price)")
        }
        // The frame says no limit by 0.
        guard (price * 10_000).rounded() > 0 || (mayBeZero && price == 0) else {
            throw .invalidOption(
                name: name, reason: "is at least 0.0001, not \(price); leave it nil for no limit")
        }
    }

    private func check(
        _ name: String, _ texts: [String], limit: Int
    ) throws(PatronError) {
        guard texts.count <= Self.listLimit else {
            throw .invalidOption(
                name: name, reason: "has at most \(Self.listLimit) entries, not \(texts.count)")
        }
        if let place = texts.firstIndex(where: { $0.utf8.count > limit }) {
            throw .invalidOption(
                name: "\(name)[\(place)]",
                reason: "has at most \(limit) bytes, not \(texts[place].utf8.count)")
        }
    }
}

extension OfferProductsRequest {
    /// - Throws: `invalidOption` for what the frame cannot say, or would say otherwise.
    init(_ id: EntityID, count: Int, _ options: OfferOptions) throws(PatronError) {
        try options.check()
        self.init(id: id, count: count)
        offer =
            switch options.offer {
            case .next: .next
            case .crossSell: .crossSell
            case .upSell: .upSell
            }
        rank = options.rank == .margin ? .margin : .affinity
        bought =
            switch options.bought {
            case .leftOut: .leftOut
            case .included: .included
            case .only: .only
            }
        categories = options.categories
        boughtSince = options.boughtSince.map(\.description)
        // All in range, by the check.
        func money(_ price: Double?) -> Int64 { price.map { Int64(($0 * 10_000).rounded()) } ?? 0 }
        lowestPrice = money(options.lowestPrice)
        highestPrice = money(options.highestPrice)
        largestRatioPercent = UInt16((options.largestRatio * 100).rounded())
        includesOutOfStock = options.includesOutOfStock
    }
}

extension OfferResult {
    init(_ answer: TableAnswer) throws(PatronError) {
        let top = try TopResult(answer)
        let table = answer.table
        let probabilities = table[.purchaseProbability]
        let (margins, lifts) = (table[.expectedMargin], table[.promotionLift])
        let bases = table[.affinityBasis]
        self.init(
            snapshot: top.snapshot, status: top.status,
            entries: top.entries.enumerated().map { row, entry in
                Entry(
                    id: entry.id, score: entry.score,
                    purchaseProbability: probabilities?.number(row),
                    expectedMargin: margins?.number(row), promotionLift: lifts?.number(row),
                    basis: bases?.number(row).flatMap { Int(exactly: $0) }
                        .flatMap { AffinityBasis(rawValue: $0) })
            })
    }
}
