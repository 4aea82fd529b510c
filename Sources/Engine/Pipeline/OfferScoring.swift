import ByteCoding
import Features
import Models
import Numerical
import Units

extension Workspace {
    /// What offers need beside factors: of the products and customers of now.
    /// - Parameters:
    ///   - purchasers: rows of the customers with purchase lines; nil where all have some.
    ///   - topProducts: of the customers, by the model; who has none may have bought nothing.
    ///   - segments: of the customers, for those who have.
    /// - Returns: nil for a model of an earlier release, which knows nothing of these.
    func offerContents(
        _ model: AffinityModel, _ customerIDs: IDColumn, purchasers: [Int]?, asOf: CalendarDay,
        _ history: SurveyedHistory, _ topProducts: TopProductRows, _ segments: [AttributeSegments]
    ) throws(EngineError) -> OfferContents? {
        guard let details = model.details else { return nil }
        let table = try productTable()
        let inStock = (0..<model.products.count).map { product -> UInt8 in
            table?.isInStock(model.products[product]) ?? true ? 1 : 0
        }
        let cold = (0..<customerIDs.count).filter {
            topProducts.width == 0 || topProducts[$0, 0] == nil
        }
        let width = model.servedFactorCount
        var coldFactors: [Float] = []
        var coldRows: [Int32] = []
        if !cold.isEmpty, !details.coldCustomers.groups.isEmpty {
            let attributes = try customerAttributes(for: nil)
            let tableRows = try mapErrors(EngineError.features) { () throws(FeatureError) in
                try attributes?.rows(joining: customerIDs)
            }
            coldFactors = try modelErrors("affinity") { () throws(ModelError) in
                try details.coldCustomers.factors(
                    customerCount: cold.count,
                    ColdColumn.columns(
                        segments, rows: cold, attributes,
                        tableRows: cold.map { tableRows?[$0] ?? -1 }), factorCount: width)
            }
            coldRows = cold.map { Int32($0) }
        }
        return OfferContents(
            card: OfferContents.Card(
                variant: model.variant, similarFactorCount: model.factorCount,
                categories: details.categories, probability: details.probability,
                promotion: details.promotion,
                folding: model.variant.hasFactors
                    ? OfferContents.Folding(
                        factors: model.settings.factors,
                        factorWeight: model.hybrid?.factorWeight,
                        fittedItemCount: model.settings.fittedItemCount) : nil,
                repeats: model.hybrid?.repeats.parameters),
            productCategories: details.productCategories, productPrices: details.productPrices,
            productMargins: details.productMargins, productsInStock: inStock,
            coldProducts: details.coldProducts,
            customerLifts: try customerLifts(
                details, count: customerIDs.count, purchasers, asOf: asOf, history),
            coldCustomers: coldRows, coldFactors: coldFactors,
            repeatRates: model.hybrid?.repeats.rates ?? [])
    }

    /// How customers respond to promotions, by all that they bought so far; empty where the model does
    /// not say, or no line does.
    private func customerLifts(
        _ details: AffinityDetails, count: Int, _ purchasers: [Int]?, asOf: CalendarDay,
        _ history: SurveyedHistory
    ) throws(EngineError) -> [Double] {
        guard let promotion = details.promotion,
            let (cells, customerCount) = try history.promotionCells(asOf: asOf),
            customerCount == purchasers?.count ?? count
        else { return [] }
        var numberOf: [String: Int32] = [:]
        for (number, name) in details.categories.enumerated() { numberOf[name] = Int32(number) }
        // Categories that came after the training are not known to the model.
        let codes = history.categoryNames.map { numberOf[$0] ?? -1 }
        let known = cells.compactMap { cell -> PromotionResponse.Cell? in
            let category =
                details.categories.isEmpty
                ? 0 : codes.indices.contains(Int(cell.category)) ? codes[Int(cell.category)] : -1
            return category < 0
                ? nil
                : PromotionResponse.Cell(
                    customer: cell.customer, category: category,
                    promotedCount: cell.promotedCount, count: cell.count)
        }
        let lifts = try modelErrors("affinity") { () throws(ModelError) in
            try promotion.customerLifts(of: known, customerCount: customerCount)
        }
        guard let purchasers else { return lifts }
        // Of whom nothing is known: 1, as of the model.
        var all = [Double](repeating: 1, count: count)
        for (lift, row) in zip(lifts, purchasers) { all[row] = lift }
        return all
    }
}
