import ByteCoding
import ColumnStore
import Models
import Numerical

extension AffinityFile {
    /// Products for a customer: O(products × factors).
    /// - Parameters:
    ///   - customer: nil for one of whom the snapshot knows nothing but `boughtSince`.
    ///   - day: of `boughtSince`, days since 1970-01-01: that of the snapshot, which answers the same
    ///     whenever it is asked.
    func offers(
        customer: Int?, _ request: OfferRequest, on day: Int
    ) throws(OfferFlaw) -> Offers {
        let eligible = try eligibleProducts(request)
        if request.rank == .margin, offerFile?.card.probability == nil {
            throw .lacks("calibrated purchase probabilities")
        }
        if !request.boughtSince.isEmpty {
            let folded = try folded(customer, request.boughtSince, on: day)
            // Products that nobody had bought tell nothing of what else is bought.
            let own = offerFile?.card.similarFactorCount ?? 0
            if own == 0 || folded.isAdding
                || folded.factors.prefix(own).contains(where: { $0 != 0 })
            {
                return offers(folded, request, eligible)
            }
        }
        guard let customer else {
            return Offers(
                status: request.boughtSince.isEmpty ? .unknownCustomer : .tooLittleHistory)
        }
        let (rows, row) = place(customer)
        if hasFactors(customer: customer) {
            let known = rows.withRow(row) { factors, purchased, scores in
                OfferedCustomer(factors, purchased, scores, isCold: false)
            }
            return offers(known, request, eligible)
        }
        let cold = offerFile?.withColdFactors(customer: customer) { factors in
            rows.withRow(row) { _, purchased, _ in
                let none: [Float] = []
                return OfferedCustomer(factors, purchased, none.span, isCold: true)
            }
        }
        return cold.map { offers($0, request, eligible) } ?? Offers(status: .tooLittleHistory)
    }

    /// A customer with what was bought since the scoring, as one order: factors folded in anew, repeat
    /// scores with one order more. In a snapshot that does not say what these go on from they are as
    /// they were.
    private func folded(
        _ customer: Int?, _ since: [String], on day: Int
    ) throws(OfferFlaw) -> OfferedCustomer {
        var bought: [Int32: BoughtProduct] = [:]
        var lastDay: Int?
        if let customer {
            let (rows, row) = place(customer)
            let (counts, repeats) = (rows.counts(row), rows.repeats(row))
            rows.withRow(row) { _, purchased, scores in
                for i in purchased.indices {
                    bought[purchased[i]] = BoughtProduct(
                        count: counts[i], score: rows.hasScores ? scores[i] : 0,
                        opportunities: repeats?.opportunities[i])
                }
            }
            lastDay = repeats.map { Int($0.lastBasketDay) }
        }
        let countsOrders = offerFile?.card.variant.readsBaskets ?? false
        for id in since {
            guard let product = productRow(sinceScoring: id) else { throw .unknownProduct }
            // An order has a product or has not, however often.
            if countsOrders, bought[Int32(product)]?.isInOrder ?? false { continue }
            bought[Int32(product), default: BoughtProduct()].count += 1
            bought[Int32(product)]?.isInOrder = true
        }
        let items = bought.keys.sorted()
        let products = items.map { bought[$0] ?? BoughtProduct() }
        var factors: [Float]?
        do throws(ModelError) {
            factors = try offerFile?.factors(items, products.map(\.count))
        } catch {
            throw .lacks("factors that purchases can be folded into")
        }
        guard let factors else { throw .lacks("factors that purchases can be folded into") }
        return OfferedCustomer(
            factors: factors, purchased: items, scores: scores(items, products, lastDay, on: day))
    }

    /// What is added to the scores of products bought, after one order more.
    /// - Parameter lastDay: of the order before; nil where it is not known.
    private func scores(
        _ items: [Int32], _ products: [BoughtProduct], _ lastDay: Int?, on day: Int
    ) -> [Float] {
        guard let offers = offerFile, offers.hasRepeats else {
            let areNone = products.allSatisfy { $0.score == 0 }
            return areNone ? [] : products.map(\.score)
        }
        return zip(items, products).map { item, product in
            offers.repeatScore(
                product: Int(item),
                product.opportunities.map { (score: product.score, opportunities: $0) },
                days: lastDay.map { day - $0 } ?? 0, isInOrder: product.isInOrder)
        }
    }

    /// The row of a product as requests write its id.
    private func productRow(sinceScoring id: String) -> Int? {
        if productIDsAreTexts { return productRow(.text(id)) }
        return Int64(id).flatMap { productRow(.integer($0)) }
    }

    /// Products of which something is known, that the request allows for any customer.
    private func eligibleProducts(_ request: OfferRequest) throws(OfferFlaw) -> Bitmap {
        let asksForDetails =
            request.kind != .next || !request.categories.isEmpty || request.lowestPrice != nil
            || request.highestPrice != nil
        guard let offers = offerFile else {
            if asksForDetails { throw .lacks("categories and prices of products") }
            return haveProductFactors
        }
        var band: ClosedRange<Double>?
        if request.lowestPrice != nil || request.highestPrice != nil {
            let low = request.lowestPrice ?? 0
            band = low...max(low, request.highestPrice ?? .greatestFiniteMagnitude)
        }
        let wanted =
            request.categories.isEmpty
            ? nil : Set(request.categories.compactMap { offers.categoryOfName[$0] })
        var mask = offers.offers.eligible(
            inStock: request.includesOutOfStock ? nil : offers.inStock, categories: wanted,
            priceBand: band)
        for product in 0..<productCount where !haveProductFactors[product] {
            mask[product] = false
        }
        return mask
    }

    private func offers(
        _ customer: OfferedCustomer, _ request: OfferRequest, _ allowed: Bitmap
    ) -> Offers {
        var mask = allowed
        let purchased = customer.purchased
        switch (request.kind, offerFile) {
        case (.crossSell, let offers?):
            mask = offers.offers.otherCategories(than: purchased[...], within: mask)
        case (.upSell, let offers?):
            mask = offers.offers.dearerAlternatives(
                to: purchased[...], largestRatio: request.largestRatio, within: mask)
        default: break
        }
        if request.bought == .only {
            var only = Bitmap(count: productCount)
            for product in purchased where mask[Int(product)] { only[Int(product)] = true }
            mask = only
        }
        let leavesOut = request.bought == .leftOut
        let entries: [OfferEntry]
        if request.rank == .affinity {
            entries = topProducts(
                customer.factors.span, customer.purchased.span, customer.scores.span,
                isAdding: customer.isAdding, count: request.count, excludesPurchased: leavesOut,
                eligible: mask
            ).map {
                offer($0, wasBought: customer.bought($0.item) != nil, isCold: customer.isCold)
            }
        } else {
            entries = byMargin(customer, request.count, mask, leavesOut: leavesOut)
        }
        return Offers(status: .ok, entries: entries)
    }

    /// All allowed products by their expected margin, those left out of which none is known.
    private func byMargin(
        _ customer: OfferedCustomer, _ count: Int, _ mask: Bitmap, leavesOut: Bool
    ) -> [OfferEntry] {
        var best = BestOffers(count: count)
        for product in 0..<productCount where mask[product] {
            let place = customer.bought(Int32(product))
            if leavesOut, place != nil { continue }
            var score = productFactors.withRow(product) { factors in
                KernelTable.current.dot(customer.factors.span, factors)
            }
            if let place, customer.isAdding { score += customer.scores[place] }
            let entry = offer(
                TopEntry(item: Int32(product), score: score), wasBought: place != nil,
                isCold: customer.isCold)
            if let margin = entry.expectedMargin { best.add(entry, key: margin) }
        }
        return best.sorted()
    }

    /// A product with what is expected of it.
    private func offer(_ entry: TopEntry, wasBought: Bool, isCold: Bool) -> OfferEntry {
        let row = Int(entry.item)
        var offer = OfferEntry(row: entry.item, score: entry.score)
        let isColdProduct = offerFile?.isCold(product: row) ?? false
        offer.basis =
            switch (isCold, isColdProduct) {
            case (false, false): .ownPurchases
            case (true, false): .customerAttributes
            case (false, true): .productAttributes
            case (true, true): .attributesOfBoth
            }
        guard let offers = offerFile else { return offer }
        offer.probability = offers.card.probability?.probability(
            entry.score, wasBought: wasBought)
        offer.expectedMargin = offer.probability.map { $0 * offers.margins[row] }
        return offer
    }

    // MARK: Customers of a product

    /// Customers for a product: O(customers × factors).
    func offerCustomers(
        product row: Int, _ request: OfferCustomersRequest
    ) throws(OfferFlaw) -> Offers {
        let asksForProbability = request.rank == .probability || request.isPromoted
        if asksForProbability, offerFile?.card.probability == nil {
            throw .lacks("calibrated purchase probabilities")
        }
        if request.isPromoted, offerFile?.card.promotion == nil || offerFile?.hasLifts != true {
            throw .lacks("responses to promotions")
        }
        guard haveProductFactors[row] else { return Offers(status: .tooLittleHistory) }
        let basis: AffinityBasis =
            offerFile?.isCold(product: row) ?? false ? .productAttributes : .ownPurchases
        func entry(_ customer: Int, score: Float, wasBought: Bool) -> OfferEntry {
            var entry = OfferEntry(row: Int32(customer), score: score)
            entry.basis = basis
            guard let offers = offerFile else { return entry }
            entry.probability = offers.card.probability?.probability(score, wasBought: wasBought)
            if request.isPromoted {
                let lift = offers.lift(customer: customer) * offers.lift(product: row)
                entry.promotionLift = lift
                entry.probability = entry.probability.map {
                    PromotionResponse.promoted($0, lift: lift)
                }
            }
            entry.expectedMargin = entry.probability.map { $0 * offers.margins[row] }
            return entry
        }
        if !asksForProbability {
            let found = topCustomers(
                product: row, count: request.count, excludesPurchasers: request.excludesPurchasers)
            return Offers(
                status: .ok,
                entries: found.map { found in
                    entry(
                        Int(found.item), score: found.score,
                        wasBought: hasBought(Int(found.item), Int32(row)))
                })
        }
        var best = BestOffers(count: request.count)
        forEachCustomer(product: row) { customer, score, wasBought in
            if wasBought, request.excludesPurchasers { return }
            let offer = entry(customer, score: score, wasBought: wasBought)
            if let probability = offer.probability { best.add(offer, key: probability) }
        }
        return Offers(status: .ok, entries: best.sorted())
    }

    private func hasBought(_ customer: Int, _ product: Int32) -> Bool {
        let (rows, row) = place(customer)
        return rows.withRow(row) { _, purchased, _ in
            AffinityRows.place(of: product, in: purchased, purchased.indices) != nil
        }
    }

    /// The score of every customer with factors for a product.
    private func forEachCustomer(
        product: Int, _ body: (_ customer: Int, _ score: Float, _ wasBought: Bool) -> Void
    ) {
        let kernels = KernelTable.current
        productFactors.withRow(product) { factors in
            for customer in 0..<customerCount where hasFactors(customer: customer) {
                let (rows, row) = place(customer)
                rows.withRow(row) { own, purchased, scores in
                    let place = AffinityRows.place(
                        of: Int32(product), in: purchased, purchased.indices)
                    var score = kernels.dot(own, factors)
                    if let place, rows.hasScores { score += scores[place] }
                    body(customer, score, place != nil)
                }
            }
        }
    }

    // MARK: Likeness

    /// The first factors, which say who is like whom.
    private var similarFactorCount: Int {
        get throws(OfferFlaw) {
            let count = offerFile?.card.similarFactorCount ?? factorCount
            guard count > 0 else {
                throw .lacks("factors, which the affinity variant of its plan does not have")
            }
            return count
        }
    }

    /// Customers by the cosine of factors; none where nothing is known of the customer.
    func similarCustomers(to customer: Int, count: Int) throws(OfferFlaw) -> Offers {
        let width = try similarFactorCount
        guard hasFactors(customer: customer) else { return Offers(status: .tooLittleHistory) }
        let own = factors(customer: customer, width)
        let length = KernelTable.current.dot(own.span, own.span)
        // A hybrid in which factors weigh nothing.
        guard length > 0 else { return Offers(status: .tooLittleHistory) }
        var best = BestOffers(count: count)
        for other in 0..<customerCount where other != customer && hasFactors(customer: other) {
            let (rows, row) = place(other)
            rows.withRow(row) { factors, _, _ in
                best.add(own.span, length, factors.extracting(first: width), row: other)
            }
        }
        return Offers(status: .ok, entries: best.sorted())
    }

    private func factors(customer: Int, _ width: Int) -> [Float] {
        let (rows, row) = place(customer)
        return rows.withRow(row) { factors, _, _ in (0..<width).map { factors[$0] } }
    }

    /// Products likewise.
    func similarProducts(to product: Int, count: Int) throws(OfferFlaw) -> Offers {
        let width = try similarFactorCount
        let own = productFactors.withRow(product) { factors in (0..<width).map { factors[$0] } }
        let length = KernelTable.current.dot(own.span, own.span)
        guard length > 0 else { return Offers(status: .tooLittleHistory) }
        var best = BestOffers(count: count)
        for other in 0..<productCount where other != product {
            productFactors.withRow(other) { factors in
                best.add(own.span, length, factors.extracting(first: width), row: other)
            }
        }
        var entries = best.sorted()
        for i in entries.indices {
            let isCold =
                offerFile.map {
                    $0.isCold(product: Int(entries[i].row)) || $0.isCold(product: product)
                }
            entries[i].basis = isCold ?? false ? .productAttributes : .ownPurchases
        }
        return Offers(status: .ok, entries: entries)
    }
}

/// A product that a customer has bought.
private struct BoughtProduct {
    var count: Float = 0
    /// What is added to its score.
    var score: Float = 0
    /// Of the orders that the snapshot knows of; nil where the product is in none of them.
    var opportunities: Float?
    /// Whether it was bought since.
    var isInOrder = false
}

/// A customer as offers see one.
private struct OfferedCustomer {
    let factors: [Float]
    /// Ascending rows of products.
    let purchased: [Int32]
    /// What is added to the scores of these; empty where nothing is.
    let scores: [Float]
    let isCold: Bool

    var isAdding: Bool { !scores.isEmpty }

    init(_ factors: Span<Float>, _ purchased: Span<Int32>, _ scores: Span<Float>, isCold: Bool) {
        self.factors = factors.indices.map { factors[$0] }
        self.purchased = purchased.indices.map { purchased[$0] }
        self.scores = scores.indices.map { scores[$0] }
        self.isCold = isCold
    }

    init(factors: [Float], purchased: [Int32], scores: [Float]) {
        (self.factors, self.purchased, self.scores) = (factors, purchased, scores)
        isCold = false
    }

    /// The place of a product among those bought.
    func bought(_ product: Int32) -> Int? {
        AffinityRows.place(of: product, in: purchased.span, purchased.indices)
    }
}

/// The best of many by a key, highest first; ties to the higher score, then to the lower row.
private struct BestOffers {
    let count: Int
    private var kept: [(key: Double, entry: OfferEntry)] = []
    /// Of the last kept one where there are enough.
    private var least = -Double.infinity

    init(count: Int) { self.count = max(0, count) }

    mutating func add(_ entry: OfferEntry, key: Double) {
        if key < least || count == 0 { return }
        kept.append((key, entry))
        if kept.count >= 2 * count + 1_024 { cut() }
    }

    /// Adds a row by the cosine of factors; not one of zeros.
    mutating func add(_ own: Span<Float>, _ length: Float, _ other: Span<Float>, row: Int) {
        let kernels = KernelTable.current
        let otherLength = kernels.dot(other, other)
        let product = Double(length).squareRoot() * Double(otherLength).squareRoot()
        guard product > 0, product.isFinite else { return }
        let cosine = max(-1, min(1, Double(kernels.dot(own, other)) / product))
        guard cosine.isFinite else { return }
        add(OfferEntry(row: Int32(row), score: Float(cosine)), key: Double(Float(cosine)))
    }

    private mutating func cut() {
        kept.sort { a, b in
            if a.key != b.key { return a.key > b.key }
            if a.entry.score != b.entry.score { return a.entry.score > b.entry.score }
            return a.entry.row < b.entry.row
        }
        if kept.count > count { kept.removeLast(kept.count - count) }
        if kept.count == count, let last = kept.last { least = last.key }
    }

    mutating func sorted() -> [OfferEntry] {
        cut()
        return kept.map(\.entry)
    }
}
