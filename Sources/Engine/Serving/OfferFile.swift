import ByteCoding
import ColumnStore
import Foundation
import Models
import Numerical

/// What a snapshot knows of offers beside factors.
///
/// Row `i` of what is of products is that of `AffinityContents.productIDs`, of customers that of the
/// snapshot.
package struct OfferContents: Sendable {
    /// The file's card.
    struct Card: Codable, Sendable {
        /// Of the affinity model, as in plans.
        var variant: Plan.AffinityVariant
        /// The first factors, which say who is like whom; 0 where none do.
        var similarFactorCount: Int
        /// Names of the products' categories.
        var categories: [String]
        var probability: PairProbability?
        /// By the categories, or of all together where there is none; without customers.
        var promotion: PromotionResponse?
        /// Nil for a model without factors.
        var folding: Folding?
        /// Of a model that looks at what is bought again, where `repeatRates` are there; nil in files
        /// of before there were any.
        var repeats: RepeatPurchase.Parameters?
    }

    /// How purchases become factors.
    struct Folding: Codable, Sendable {
        var factors: ImplicitALS.Parameters
        /// Of a hybrid: what the factors are multiplied by, popularity's following them.
        var factorWeight: Double?
        /// Products of the fit, which scaled regularization counts; nil without.
        var fittedItemCount: Int?
    }

    var card: Card
    /// `[productCount]`: positions in the card's categories, -1 where unknown.
    var productCategories: [Int32]
    /// `[productCount]`: of one unit, in the snapshot's currency; 0 where unknown.
    var productPrices: [Double]
    /// `[productCount]`: what one unit brings.
    var productMargins: [Double]
    /// `[productCount]`: 0 where it cannot be sold now.
    var productsInStock: [UInt8]
    /// Ascending: rows of products whose factors are those of their category and price.
    var coldProducts: [Int32]
    /// `[customerCount]`: how much more each responds to promotions than the average; empty where it
    /// is not known.
    var customerLifts: [Double]
    /// Ascending: rows of customers whose own purchases may say nothing.
    var coldCustomers: [Int32]
    /// `[coldCustomers.count × factorCount]`: those by what else is known of them.
    var coldFactors: [Float]
    /// `[productCount]`: how likely each is bought again, with the card's `repeats`; else empty.
    var repeatRates: [Double] = []
}

/// `offers.arr` of a generation, memory-mapped: what offers need beside `affinity.arr`.
struct OfferFile: Sendable {
    static let name = "offers.arr"
    static let kind = "patron.offers"

    let card: OfferContents.Card
    let categories: MappedArray<Int32>
    let prices: MappedArray<Double>
    let margins: MappedArray<Double>
    let inStock: Bitmap
    private let coldProducts: Bitmap
    private let lifts: MappedArray<Double>
    private let coldCustomers: MappedArray<Int32>
    private let coldFactors: MappedArray<Float>
    /// Position of each category by its name.
    let categoryOfName: [String: Int32]
    let offers: ProductOffers
    private let foldIn: FoldIn?
    private let repeatRates: MappedArray<Double>?

    var productCount: Int { categories.count }
    var hasLifts: Bool { lifts.count > 0 }
    /// Whether anything but a product's id tells it from others.
    let hasDetails: Bool
    let hasColdProducts: Bool
    var hasColdCustomers: Bool { coldCustomers.count > 0 }

    static func write(
        _ contents: OfferContents, factorCount: Int, into folder: String
    ) throws(StoreError) -> SnapshotDescriptor.File {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let card = try? encoder.encode(contents.card) else {
            throw .invalidInput(path: name, reason: "its card cannot be written as JSON")
        }
        var writer = ArrayFileWriter(kind: kind, card: [UInt8](card))
        writer.add("categories", contents.productCategories)
        writer.add("prices", contents.productPrices)
        writer.add("margins", contents.productMargins)
        writer.add("inStock", contents.productsInStock)
        writer.add("coldProducts", contents.coldProducts)
        writer.add("lifts", contents.customerLifts)
        writer.add("coldCustomers", contents.coldCustomers)
        writer.add(
            "coldFactors", contents.coldFactors,
            shape: [contents.coldCustomers.count, factorCount])
        if contents.card.repeats != nil { writer.add("repeatRates", contents.repeatRates) }
        let (byteCount, checksum) = try writer.write(to: "\(folder)/\(name)")
        return SnapshotDescriptor.File(name: name, byteCount: byteCount, checksum: checksum)
    }

    /// Opens and verifies the file: counts, ranges, and that no score can fail to be finite.
    /// - Parameters:
    ///   - top: of the served products.
    ///   - productFactors: the same.
    init(
        folder: String, customerCount: Int, _ top: TopN, _ productFactors: MappedArray<Float>
    ) throws(StoreError) {
        let file = try ArrayFile(path: "\(folder)/\(Self.name)", verifiesArrays: false)
        guard file.kind == Self.kind else {
            throw .notAStoreFile(path: file.path, expected: "a snapshot's \(Self.name)")
        }
        try file.verify(file.names, threadCount: 1)
        card = try Self.card(file)
        let count = top.itemCount
        categories = try file.array("categories", of: Int32.self, shape: [count])
        prices = try file.array("prices", of: Double.self, shape: [count])
        margins = try file.array("margins", of: Double.self, shape: [count])
        let inStock = try file.array("inStock", of: UInt8.self, shape: [count]).toArray()
        self.inStock = Bitmap(inStock.map { $0 != 0 })
        let cold = try file.array("coldProducts", of: Int32.self).toArray()
        coldProducts = try Self.bitmap(cold, count: count, file, "coldProducts")
        hasColdProducts = !cold.isEmpty
        hasDetails =
            !card.categories.isEmpty
            || prices.withSpan { values in values.indices.contains { values[$0] > 0 } }
        lifts = try file.array("lifts", of: Double.self)
        guard [0, customerCount].contains(lifts.count) else {
            throw file.corrupt("lifts", "\(lifts.count) for \(customerCount) customers")
        }
        let areLifts = lifts.withSpan { lifts in
            lifts.indices.allSatisfy { lifts[$0] > 0 && lifts[$0].isFinite }
        }
        guard areLifts else { throw file.corrupt("lifts", "one is not above 0 and finite") }
        coldCustomers = try file.array("coldCustomers", of: Int32.self)
        _ = try Self.bitmap(coldCustomers.toArray(), count: customerCount, file, "coldCustomers")
        coldFactors = try file.array(
            "coldFactors", of: Float.self, shape: [coldCustomers.count, top.factorCount])
        repeatRates =
            card.repeats == nil
            ? nil : try file.array("repeatRates", of: Double.self, shape: [count])
        do throws(ModelError) {
            try card.repeats?.check()
            try RepeatPurchase.checkRates(repeatRates?.toArray() ?? [])
        } catch {
            throw file.corrupt("repeatRates", "\(error)")
        }
        guard (0...top.factorCount).contains(card.similarFactorCount) else {
            throw file.corrupt("coldFactors", "\(card.similarFactorCount) factors of likeness")
        }
        // Popularity alone is one factor, which every customer has as 1.
        guard card.variant.hasFactors || top.factorCount == 1 else {
            throw file.corrupt(
                "coldFactors", "\(top.factorCount) factors of the variant \(card.variant.rawValue)")
        }
        if let promotion = card.promotion,
            promotion.categoryLifts.count != max(1, card.categories.count)
                || !promotion.categoryLifts.allSatisfy({ $0 > 0 && $0.isFinite })
        {
            throw file.corrupt("lifts", "the card's lifts of categories")
        }
        let coldRows = coldProducts
        foldIn = try Self.foldIn(card, productFactors, coldRows, top.factorCount, file)
        var numbers: [String: Int32] = [:]
        for (number, name) in card.categories.enumerated() { numbers[name] = Int32(number) }
        categoryOfName = numbers
        do throws(ModelError) {
            try coldFactors.withSpan { factors throws(ModelError) in
                try top.checkQueries(factors, threadCount: 1)
            }
            offers = try ProductOffers(
                categories: categories.toArray(), categoryCount: card.categories.count,
                prices: prices.toArray(), margins: margins.toArray())
        } catch {
            throw file.corrupt("categories", "\(error)")
        }
    }

    private static func card(_ file: ArrayFile) throws(StoreError) -> OfferContents.Card {
        do {
            return try JSONDecoder().decode(OfferContents.Card.self, from: Data(file.card))
        } catch DecodingError.dataCorrupted(let context) {
            let path = context.codingPath.map(\.stringValue).joined(separator: ".")
            throw .corrupt(
                path: file.path, byteOffset: 0,
                reason: "its card: \(path): \(context.debugDescription)")
        } catch {
            throw .corrupt(path: file.path, byteOffset: 0, reason: "its card: \(error)")
        }
    }

    /// - Throws: `corrupt` where rows do not ascend below `count`.
    private static func bitmap(
        _ rows: [Int32], count: Int, _ file: ArrayFile, _ name: String
    ) throws(StoreError) -> Bitmap {
        var (result, last) = (Bitmap(count: count), Int32(-1))
        for row in rows {
            guard row > last, Int(row) < count else {
                throw file.corrupt(name, "rows do not ascend below \(count)")
            }
            result[Int(row)] = true
            last = row
        }
        return result
    }

    /// Prepares the fit's factors of products: those of the cold ones are none.
    private static func foldIn(
        _ card: OfferContents.Card, _ productFactors: MappedArray<Float>, _ cold: Bitmap,
        _ width: Int, _ file: ArrayFile
    ) throws(StoreError) -> FoldIn? {
        guard let folding = card.folding else { return nil }
        let f = folding.factors.factorCount
        guard f == card.similarFactorCount, f == width - (folding.factorWeight == nil ? 0 : 1),
            f >= 1, Float(folding.factorWeight ?? 1).isFinite,
            (1...max(1, cold.count)).contains(folding.fittedItemCount ?? 1)
        else { throw file.corrupt("coldFactors", "the card's factors are \(f) of \(width)") }
        var factors: [Float] = []
        factors.reserveCapacity(cold.count * f)
        productFactors.withSpan { served in
            for product in 0..<cold.count {
                for j in 0..<f { factors.append(cold[product] ? 0 : served[product * width + j]) }
            }
        }
        do throws(ModelError) {
            return try FoldIn(
                FittedALS(parameters: folding.factors, itemFactors: factors),
                fittedItemCount: folding.fittedItemCount)
        } catch {
            throw file.corrupt("coldFactors", "the card's settings of factors: \(error)")
        }
    }

    /// The served factors of a customer who bought products.
    /// - Parameter items: ascending rows, each once.
    /// - Returns: nil for a model with factors that does not say how these are folded in.
    func factors(_ items: [Int32], _ counts: [Float]) throws(ModelError) -> [Float]? {
        guard let foldIn, let folding = card.folding else {
            // Popularity alone, by which everybody's is multiplied.
            return card.variant.hasFactors ? nil : [1]
        }
        var scratch = foldIn.scratch()
        let factors = try foldIn.factors(items: items, values: counts, &scratch)
        guard let weight = folding.factorWeight else { return factors }
        return factors.map { Float(weight) * $0 } + [1]
    }

    /// Whether repeat scores can go on from those of the scoring.
    var hasRepeats: Bool { card.repeats != nil }

    /// The repeat score of a product after one more order of the customer; 0 for a model that does not
    /// look at what is bought again.
    /// - Parameters:
    ///   - before: score and opportunities by the orders before; nil for a product not bought before.
    ///   - days: from the last order before.
    func repeatScore(
        product row: Int, _ before: (score: Float, opportunities: Float)?, days: Int,
        isInOrder: Bool
    ) -> Float {
        guard let repeats = card.repeats, let repeatRates else { return 0 }
        return Float(
            repeats.score(
                afterBasket: Double(before?.score ?? 0),
                opportunities: before.map { Double($0.opportunities) }, rate: repeatRates[row],
                days: days, isInBasket: isInOrder))
    }

    /// Whether a product's factors are those of its category and price.
    func isCold(product row: Int) -> Bool { coldProducts[row] }

    /// 1 where nothing is known of the customer.
    func lift(customer row: Int) -> Double { lifts.count > 0 ? lifts[row] : 1 }

    /// Of a category; 1 where it is unknown.
    func lift(product row: Int) -> Double {
        guard let promotion = card.promotion else { return 1 }
        let category = Int(categories[row])
        if card.categories.isEmpty { return promotion.categoryLifts[0] }
        return promotion.categoryLifts.indices.contains(category)
            ? promotion.categoryLifts[category] : 1
    }

    /// Lends the factors of a customer by what is known beside purchases; nil where there are none.
    func withColdFactors<Result>(
        customer row: Int, _ body: (Span<Float>) -> Result
    ) -> Result? {
        var (low, high) = (0, coldCustomers.count)
        while low < high {
            let middle = (low + high) / 2
            if coldCustomers[middle] < Int32(row) { low = middle + 1 } else { high = middle }
        }
        guard low < coldCustomers.count, coldCustomers[low] == Int32(row) else { return nil }
        return coldFactors.withRow(low, body)
    }
}
