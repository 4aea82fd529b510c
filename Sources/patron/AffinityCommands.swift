import ArgumentParser
import PatronClient
import Units

/// What the affinity commands print.
struct AffinityAnswer: Encodable, Sendable {
    struct Entry: Encodable, Sendable {
        var id: String
        var score: Float
        /// Left out where it is not calibrated.
        var purchaseProbability: Double?
        var expectedMargin: Double?
        var promotionLift: Double?
        /// `ownPurchases`, or which attributes a score is from in their stead.
        var basis: String?
    }
    var of: String
    var status: String
    var generation: UInt64
    var asOf: String
    var currency: String
    var entries: [Entry]

    init(_ result: TopResult, of id: String) {
        self.init(id, result.status, result.snapshot)
        entries = result.entries.map { Entry(id: $0.id.description, score: $0.score) }
    }

    init(_ result: OfferResult, of id: String) {
        self.init(id, result.status, result.snapshot)
        entries = result.entries.map { entry in
            Entry(
                id: entry.id.description, score: entry.score,
                purchaseProbability: entry.purchaseProbability,
                expectedMargin: entry.expectedMargin, promotionLift: entry.promotionLift,
                basis: entry.basis.map { "\($0)" })
        }
    }

    private init(_ id: String, _ status: CustomerStatus, _ snapshot: SnapshotInfo) {
        of = id
        self.status = "\(status)"
        generation = snapshot.generation
        asOf = CalendarDay(daysSince1970: snapshot.asOfDay).description
        currency = snapshot.currency
        entries = []
    }

    func text(_ what: String) -> String {
        let stamp = "generation \(generation), as of \(asOf)"
        guard !entries.isEmpty else { return "\(of): \(status), none found (\(stamp))" }
        let hasProbability = entries.contains { $0.purchaseProbability != nil }
        let hasLift = entries.contains { $0.promotionLift != nil }
        let isMarked = entries.contains { ($0.basis ?? Self.own) != Self.own }
        var table = TextTable(
            ["rank>", what, "score>"]
                + (hasProbability ? ["probability>", "expected margin>"] : [])
                + (hasLift ? ["promotion lift>"] : []) + (isMarked ? ["from"] : []))
        for (rank, entry) in entries.enumerated() {
            var row = ["\(rank + 1)", entry.id, Double(entry.score).decimals(4)]
            if hasProbability {
                row.append(entry.purchaseProbability.map { $0.decimals(5) } ?? "-")
                row.append(entry.expectedMargin.map { $0.decimals(4) } ?? "-")
            }
            if hasLift { row.append(entry.promotionLift.map { $0.decimals(2) } ?? "-") }
            if isMarked { row.append(entry.basis ?? "-") }
            table.add(row)
        }
        return table.text + "\n" + stamp + (hasProbability ? ", \(currency)" : "")
    }

    private static let own = "\(AffinityBasis.ownPurchases)"
}

struct CountOption: ParsableArguments {
    @Option(help: "How many.")
    var count = 10

    func validate() throws {
        guard count >= 1 else { throw ValidationError("--count is at least 1, not \(count)") }
    }
}

/// Which products may be offered.
struct EligibilityOptions: ParsableArguments {
    @Option(name: .customLong("category"), help: "Only of this category; may be repeated.")
    var categories: [String] = []
    @Option(help: "Only at this price of a unit or more.")
    var lowestPrice: Double?
    @Option(help: "Only at this price of a unit or less.")
    var highestPrice: Double?
    @Option(help: "How many times as dear as what was bought an up-sell may be.")
    var largestRatio = 1.5
    @Flag(help: "Also what the customer has bought already.")
    var includePurchased = false
    @Flag(help: "Nothing but what the customer has bought already.")
    var onlyPurchased = false
    @Flag(help: "Also what the product table says is out of stock.")
    var includeOutOfStock = false

    func validate() throws {
        for (price, name) in [
            (lowestPrice, "--lowest-price"), (highestPrice, "--highest-price"),
        ] {
            guard let price else { continue }
            guard price > 0, price <= 9e14 else {
                throw ValidationError("\(name) is above 0 and at most 9e14, not \(price)")
            }
        }
        if let lowestPrice, let highestPrice, lowestPrice > highestPrice {
            throw ValidationError(
                "--lowest-price \(lowestPrice) is above --highest-price \(highestPrice)")
        }
        guard (1.01...655).contains(largestRatio) else {
            throw ValidationError("--largest-ratio is between 1.01 and 655, not \(largestRatio)")
        }
        guard categories.count <= 1_024 else {
            throw ValidationError("--category at most 1,024 times, not \(categories.count)")
        }
        guard !(includePurchased && onlyPurchased) else {
            throw ValidationError("give either --include-purchased or --only-purchased")
        }
    }

    var options: OfferOptions {
        var options = OfferOptions()
        options.categories = categories
        (options.lowestPrice, options.highestPrice) = (lowestPrice, highestPrice)
        options.largestRatio = largestRatio
        options.bought = onlyPurchased ? .only : includePurchased ? .included : .leftOut
        options.includesOutOfStock = includeOutOfStock
        return options
    }
}

/// One of the values of an enumeration, by name.
private func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ text: String, of option: String
) throws -> Choice {
    if let choice = Choice(rawValue: text) { return choice }
    let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
    throw ValidationError("\(option) is one of \(names), not '\(text)'")
}

struct TopProducts: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the products to offer to a customer.",
        discussion: """
            --offer crossSell leaves the categories of what the customer bought out, upSell shows \
            what is dearer than all that the customer bought of its category. --rank margin ranks by \
            expected margin: the purchase probability, calibrated on a split by time, times what a \
            unit brings. With --bought the answer is as if these purchases had been scored as one order, \
            also for a customer of whom nothing else is known.
            """)

    @Argument(help: "Id of the customer.")
    var customer: String
    @Option(
        help: "next, crossSell or upSell.", transform: { try choice($0, of: "--offer") })
    var offer = OfferOptions.Offer.next
    @Option(help: "affinity or margin.", transform: { try choice($0, of: "--rank") })
    var rank = OfferOptions.Rank.affinity
    @Option(
        name: .customLong("bought"),
        help: "A product that the customer has bought since the scoring; may be repeated.")
    var boughtSince: [String] = []
    @OptionGroup var number: CountOption
    @OptionGroup var eligibility: EligibilityOptions
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (customer, count) = (customer, number.count)
        var options = eligibility.options
        (options.offer, options.rank) = (offer, rank)
        options.boughtSince = boughtSince.map { .text($0) }
        let wanted = options
        let answer = try await connection.withConnection { connection in
            let kind = try await connection.describe().customerIDKind
            let result = try await connection.offerProducts(
                customer: try identifier(customer, kind, "customer"), count: count, wanted)
            return AffinityAnswer(result, of: customer)
        }
        try output.print(answer) { $0.text("product") }
    }
}

struct TopCustomers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the customers to offer a product to, in general or while it is promoted.",
        discussion: """
            --promoted ranks by the purchase probability under promotion, from how the customer and \
            the product's category responded to promotions before.
            """)

    @Argument(help: "Id of the product.")
    var product: String
    @Flag(help: "While the product is promoted.")
    var promoted = false
    @Flag(help: "Rank by purchase probability, not by affinity.")
    var byProbability = false
    @Flag(help: "Also who has bought it already.")
    var includePurchased = false
    @OptionGroup var number: CountOption
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (product, count, promoted) = (product, number.count, promoted)
        let (byProbability, excludes) = (byProbability, !includePurchased)
        let answer = try await connection.withConnection { connection in
            let kind = try await connection.describe().productIDKind
            let result = try await connection.offerCustomers(
                product: try identifier(product, kind, "product"), count: count,
                byProbability: byProbability, promoted: promoted, excludingPurchasers: excludes)
            return AffinityAnswer(result, of: product)
        }
        try output.print(answer) { $0.text("customer") }
    }
}

struct SimilarProducts: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the products that are bought by the same customers as one.")

    @Argument(help: "Id of the product.")
    var product: String
    @OptionGroup var number: CountOption
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (product, count) = (product, number.count)
        let answer = try await connection.withConnection { connection in
            let kind = try await connection.describe().productIDKind
            let result = try await connection.similarProducts(
                to: try identifier(product, kind, "product"), count: count)
            return AffinityAnswer(result, of: product)
        }
        try output.print(answer) { $0.text("product") }
    }
}

struct SimilarCustomers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the customers who buy like one.")

    @Argument(help: "Id of the customer.")
    var customer: String
    @OptionGroup var number: CountOption
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (customer, count) = (customer, number.count)
        let answer = try await connection.withConnection { connection in
            let kind = try await connection.describe().customerIDKind
            let result = try await connection.similarCustomers(
                to: try identifier(customer, kind, "customer"), count: count)
            return AffinityAnswer(result, of: customer)
        }
        try output.print(answer) { $0.text("customer") }
    }
}
