import ByteCoding
import ColumnStore
import Models

extension AffinityModel {
    /// What an `affinity` model file holds, checked: parameters that could be fitted, a row a
    /// product, no product id twice. The file does not hold losses.
    init(_ settings: Settings, reading file: ArrayFile) throws(EngineError) {
        do throws(ModelError) {
            try settings.factors.check()
        } catch {
            throw .damagedModel(path: file.path, reason: "its parameters: \(error)")
        }
        let factorCount = settings.variant.hasFactors ? settings.factors.factorCount : 0
        let products = try mapErrors(EngineError.store) { () throws(StoreError) in
            try Self.products(file)
        }
        let count = products.count
        if let fitted = settings.fittedItemCount, !(1...max(1, count)).contains(fitted) {
            throw .damagedModel(
                path: file.path, reason: "a fit of \(fitted) products, it has \(count)")
        }
        self.init(
            settings: settings, products: products, productFactors: [], lossPerIteration: [])
        try mapErrors(EngineError.store) { () throws(StoreError) in
            if settings.variant.hasFactors {
                productFactors = try file.array(
                    "productFactors", of: Float.self, shape: [count, factorCount]
                ).toArray()
            }
            if settings.variant != .factors {
                productShares = try file.array(
                    "productShares", of: Float.self, shape: [count]
                ).toArray()
            }
        }
        if settings.variant.readsBaskets { try readHybrid(file) }
        var rows: [ArraySlice<UInt8>: Int] = [:]
        for row in 0..<count {
            if let earlier = rows.updateValue(row, forKey: products.utf8(row)) {
                throw .damagedModel(
                    path: file.path, reason: "products \(earlier) and \(row) have the same id")
            }
        }
        if let card = settings.details { try readDetails(card, file) }
    }

    private static func products(_ file: ArrayFile) throws(StoreError) -> TextArray {
        let bytes = try file.array("productIDBytes", of: UInt8.self).toArray()
        let offsets = try file.array("productIDOffsets", of: Int64.self).toArray()
        guard let products = TextArray(bytes: bytes, offsets: offsets.map { Int($0) }) else {
            throw .corrupt(
                path: file.path, byteOffset: file.entry("productIDOffsets")?.byteOffset ?? 0,
                reason: "productIDOffsets: they do not span the product ids")
        }
        return products
    }

    private mutating func readHybrid(_ file: ArrayFile) throws(EngineError) {
        let count = products.count
        let rates = try mapErrors(EngineError.store) { () throws(StoreError) in
            try file.array("repeatRates", of: Double.self, shape: [count]).toArray()
        }
        guard let hybrid = settings.hybrid else {
            throw .damagedModel(path: file.path, reason: "it lacks the settings of its variant")
        }
        do throws(ModelError) {
            self.hybrid = try hybrid.hybrid(rates: rates, shares: productShares)
        } catch {
            throw .damagedModel(path: file.path, reason: "its parameters: \(error)")
        }
    }

    private mutating func readDetails(
        _ card: AffinityDetails.Card, _ file: ArrayFile
    ) throws(EngineError) {
        let (count, width) = (products.count, servedFactorCount)
        func flaw(_ reason: String) -> EngineError {
            .damagedModel(path: file.path, reason: reason)
        }
        var details = AffinityDetails(
            categories: card.categories, productCategories: [], productPrices: [],
            productMargins: [], probability: card.probability, promotion: card.promotion)
        details.coldCustomers.groups = card.coldGroups
        try mapErrors(EngineError.store) { () throws(StoreError) in
            details.productCategories = try file.array(
                "productCategories", of: Int32.self, shape: [count]
            ).toArray()
            details.productPrices = try file.array(
                "productPrices", of: Double.self, shape: [count]
            ).toArray()
            details.productMargins = try file.array(
                "productMargins", of: Double.self, shape: [count]
            ).toArray()
            details.coldProducts = try file.array("coldProducts", of: Int32.self).toArray()
            details.coldCustomers.means = try file.array(
                "coldMeans", of: Float.self, shape: [card.coldGroups.count, width]
            ).toArray()
        }
        guard details.productCategories.allSatisfy({ -1 <= $0 && Int($0) < card.categories.count })
        else { throw flaw("a product of a category that there is not") }
        guard details.productPrices.allSatisfy({ $0 >= 0 && $0.isFinite }),
            details.productMargins.allSatisfy(\.isFinite),
            details.coldCustomers.means.allSatisfy(\.isFinite)
        else { throw flaw("a price, margin or mean factor that is not finite") }
        var last: Int32 = -1
        for row in details.coldProducts {
            guard row > last, Int(row) < count else {
                throw flaw("products without buyers that do not ascend")
            }
            last = row
        }
        if let promotion = card.promotion, !promotion.isSound(card.categories.count) {
            throw flaw("its response to promotions")
        }
        self.details = details
    }
}

extension PromotionResponse {
    /// Whether it is of so many categories, with lifts and shares that a fit gives.
    fileprivate func isSound(_ categoryCount: Int) -> Bool {
        categoryLifts.count == max(1, categoryCount) && categoryShares.count == categoryLifts.count
            && categoryLifts.allSatisfy { $0 > 0 && $0.isFinite }
            && categoryShares.allSatisfy { $0 > 0 && $0 < 1 }
            && customerConcentration > 0 && customerConcentration.isFinite
    }
}
