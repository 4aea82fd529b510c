import ByteCoding
import ColumnStore
import Features
import Ingest
import Models
import Numerical
import Units

/// Makes the details of an affinity model after its fit, from the same lines.
struct AffinityDetailing {
    let workspace: Workspace
    let fitting: ModelFitting
    let history: AffinityHistory
    /// What a reader of the model's card should know.
    private(set) var warnings: [String] = []

    private var plan: Plan { workspace.plan }
    private var asOf: CalendarDay { fitting.table.asOf }

    /// Customers that mean factors are taken over at most, evenly spaced.
    private static let sampleCount = 200_000

    init(_ workspace: Workspace, _ fitting: ModelFitting, _ history: AffinityHistory) {
        (self.workspace, self.fitting, self.history) = (workspace, fitting, history)
    }

    /// - Parameter model: gets rows for the products of the product table that nobody bought, and
    ///   factors for all such whose category is known.
    mutating func details(
        of model: inout AffinityModel, _ report: (String) -> Void
    ) throws(EngineError) -> AffinityDetails? {
        guard let tally = try fitting.history.productTally(asOf: asOf) else { return nil }
        let table = try workspace.productTable()
        if let count = table?.badMarginRateCount, count > 0 {
            let (least, most) = (Limits.marginRates.lowerBound, Limits.marginRates.upperBound)
            warnings.append(
                "\(count) products have a \(ProductTable.marginRateName) outside "
                    + "\(least) ... \(most), which is not used; correct the table of products and "
                    + "ingest it again")
        }
        if model.variant.hasFactors, let table { try addUnsold(table, to: &model) }
        var details = products(model.products, tally, table)
        if model.variant.hasFactors { try fillCold(&model, &details) }
        report("calibrating purchase probabilities")
        details.probability = try probability(model)
        details.promotion = try promotion(tally, categoryCount: details.categories.count)
        model.details = details
        details.coldCustomers = try coldCustomers(model)
        return details
    }

    /// Adds the products that are in the table and in no line, in the order of their ids.
    private func addUnsold(
        _ table: ProductTable, to model: inout AffinityModel
    ) throws(EngineError) {
        let known = Set((0..<model.products.count).map { model.products[$0] })
        // Without a category nothing would be known of them.
        let unsold = table.ids.filter { !known.contains($0) && table.category(of: $0) != nil }
        guard model.products.count + unsold.count <= Int(Int32.max) else {
            throw .features(
                .tooMany(
                    what: "products", actual: model.products.count + unsold.count,
                    limit: Int(Int32.max)))
        }
        for id in unsold.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
            model.products.append(id)
        }
        try modelErrors("affinity") { () throws(ModelError) in
            try model.extend(toProductCount: model.products.count)
        }
    }

    private func products(
        _ products: TextArray, _ tally: ProductTally, _ table: ProductTable?
    ) -> AffinityDetails {
        var categories = fitting.history.categoryNames
        var numberOf: [String: Int32] = [:]
        for (number, name) in categories.enumerated() where numberOf[name] == nil {
            numberOf[name] = Int32(number)
        }
        var most: [UInt32: (category: UInt32, count: Int)] = [:]
        for (pair, count) in tally.categoryCounts {
            let best = most[pair.product]
            // The most frequent one, of equals the first.
            if let best, (count, best.category) <= (best.count, pair.category) { continue }
            most[pair.product] = (pair.category, count)
        }
        let marginRate = rate(tally)
        var details = AffinityDetails(
            categories: [], productCategories: [], productPrices: [], productMargins: [])
        for product in 0..<products.count {
            let id = products[product]
            var category = most[UInt32(product)].map { Int32($0.category) } ?? -1
            if let name = table?.category(of: id) {
                if numberOf[name] == nil {
                    numberOf[name] = Int32(categories.count)
                    categories.append(name)
                }
                category = numberOf[name] ?? -1
            }
            let isSold = product < tally.quantities.count && tally.quantities[product] > 0
            let units = isSold ? Double(tally.quantities[product]) / 1_000 : 0
            let paid = isSold ? Double(tally.amounts[product]) / 10_000 / units : 0
            let price = table?.price(of: id) ?? max(0, paid)
            let earned =
                isSold && fitting.table.convention.marginSource == .column
                ? Double(tally.margins[product]) / 10_000 / units : price * marginRate
            details.productCategories.append(category)
            details.productPrices.append(price.isFinite ? price : 0)
            let margin = table?.margin(of: id, price: price) ?? earned
            details.productMargins.append(margin.isFinite ? margin : 0)
        }
        details.categories = categories
        return details
    }

    /// Margin / revenue of all purchases.
    private func rate(_ tally: ProductTally) -> Double {
        guard fitting.table.convention.marginSource == .column else {
            return plan.grossMarginRate
        }
        let revenue = tally.amounts.reduce(0.0) { $0 + Double($1) }
        return revenue > 0
            ? tally.margins.reduce(0.0) { $0 + Double($1) } / revenue : plan.grossMarginRate
    }

    /// Gives products that nobody bought the factors of their category and price; those of unknown
    /// category keep none.
    private func fillCold(
        _ model: inout AffinityModel, _ details: inout AffinityDetails
    ) throws(EngineError) {
        let f = model.factorCount
        let cold = (0..<model.products.count).filter { product in
            details.productCategories[product] >= 0
                && model.productFactors[product * f..<(product + 1) * f].allSatisfy { $0 == 0 }
        }
        guard !cold.isEmpty else { return }
        let (factors, wanted) = (model.productFactors, details)
        let filled = try modelErrors("affinity") { () throws(ModelError) in
            try ColdFactors.products(
                factors, factorCount: f, categories: wanted.productCategories,
                categoryCount: wanted.categories.count, prices: wanted.productPrices)
        }
        for product in cold {
            for j in 0..<f { model.productFactors[product * f + j] = filled[product * f + j] }
        }
        details.coldProducts = cold.map { Int32($0) }
    }

    /// Fits the variant once more on what was known a horizon ago, and looks at what was bought since.
    private mutating func probability(
        _ model: AffinityModel
    ) throws(EngineError) -> PairProbability? {
        let days = max(1, Int(plan.affinity.horizon.days.rounded()))
        let split = asOf + -days
        let earlier = try fitting.affinityHistory(model.variant, through: split)
        guard earlier.purchases.counts.valueCount > 0,
            let after = try fitting.history.purchaseMatrix(
                customersAsOf: asOf, after: split, through: asOf)
        else {
            warnings.append("no purchase probability: nothing was bought before \(split)")
            return nil
        }
        let threadCount = fitting.threadCount
        let variant = try fitting.affinityAsOfSplit(like: model, earlier)
        let found = try modelErrors("affinity") { () throws(ModelError) in
            let served = try variant.served(earlier.purchases, threadCount: threadCount)
            let counts = earlier.purchases.counts
            return try PairProbability.fit(
                customerFactors: served.customerFactors,
                itemFactors: variant.servedProductFactors,
                factorCount: variant.servedFactorCount,
                purchased: served.additions
                    ?? SparseMatrix(
                        rowCount: counts.rowCount, columnCount: counts.columnCount,
                        rowOffsets: counts.rowOffsets, columnIndices: counts.columnIndices,
                        values: [Float](repeating: 0, count: counts.valueCount)),
                bought: after.sparse, horizonDays: Double(days))
        }
        if found.fresh == nil {
            warnings.append(
                "no purchase probability of new products: too few were bought in the \(days) days "
                    + "after \(split)")
        }
        return found.fresh == nil && found.again == nil ? nil : found
    }

    private mutating func promotion(
        _ tally: ProductTally, categoryCount: Int
    ) throws(EngineError) -> PromotionResponse? {
        guard !tally.cells.isEmpty else { return nil }
        do throws(ModelError) {
            return try PromotionResponse.fit(
                tally.cells, customerCount: tally.customerCount,
                categoryCount: max(1, categoryCount)
            ).withoutCustomers
        } catch {
            guard case .notIdentified = error else { throw .model(name: "affinity", error) }
            warnings.append("\(error)")
            return nil
        }
    }

    private func coldCustomers(_ model: AffinityModel) throws(EngineError) -> ColdCustomers {
        let count = history.purchases.counts.rowCount
        let step = max(1, (count + Self.sampleCount - 1) / Self.sampleCount)
        let rows = Array(stride(from: 0, to: count, by: step))
        let attributes = try workspace.customerAttributes(for: nil)
        let tableRows = try mapErrors(EngineError.features) { () throws(FeatureError) in
            try attributes?.rows(joining: fitting.table.customerIDs)
        }
        return try modelErrors("affinity") { () throws(ModelError) in
            let sample = try history.purchases.selecting(rows)
                .widened(toProductCount: model.products.count)
            var factors = try model.served(sample, threadCount: fitting.threadCount)
                .customerFactors
            let width = model.servedFactorCount
            // Constant factors, such as that of popularity, say nothing of who bought nothing.
            for row in rows.indices where sample.counts.entries(of: row).isEmpty {
                for j in 0..<width { factors[row * width + j] = 0 }
            }
            return try ColdCustomers(
                factors, factorCount: width, customerCount: rows.count,
                ColdColumn.columns(
                    fitting.attributeSegments, rows: rows, attributes,
                    tableRows: rows.map { tableRows?[$0] ?? -1 }))
        }
    }
}

extension ModelFitting {
    /// The same variant fitted on an earlier part of the history. Of a variant with learned weights
    /// these are kept: four numbers, learned on the last baskets of all customers.
    func affinityAsOfSplit(
        like model: AffinityModel, _ earlier: AffinityHistory
    ) throws(EngineError) -> AffinityModel {
        try modelErrors("affinity") { () throws(ModelError) in
            var result = AffinityModel(
                settings: model.settings, products: earlier.products, productFactors: [],
                lossPerIteration: [])
            let counts = earlier.purchases.counts
            if model.variant.hasFactors {
                var parameters = model.settings.factors
                parameters.threadCount = threadCount
                let fitted = try ImplicitALS.fit(
                    counts, parameters, measuresLoss: false, keepsUserFactors: false)
                result.productFactors = fitted.itemFactors
                result.settings.noteItemCount(fitted.itemCount)
            }
            if model.variant == .popular { result.productShares = counts.customerShares }
            if let hybrid = model.hybrid, let baskets = earlier.purchases.baskets {
                result.take(try hybrid.refitted(to: baskets))
            }
            return result
        }
    }
}

extension AffinityModel {
    /// Adds products that nobody bought at the end.
    mutating func extend(toProductCount count: Int) throws(ModelError) {
        let added = count - (productFactors.count / max(1, factorCount))
        guard added > 0 else { return }
        productFactors += [Float](repeating: 0, count: added * factorCount)
        guard let hybrid else { return }
        take(
            try AffinityHybrid(
                restoring: RepeatPurchase(
                    restoring: hybrid.repeats.parameters,
                    rates: hybrid.repeats.rates
                        + [Double](repeating: hybrid.repeats.overallRate, count: added),
                    overallRate: hybrid.repeats.overallRate,
                    opportunityCount: hybrid.repeats.opportunityCount,
                    repeatCount: hybrid.repeats.repeatCount),
                shares: hybrid.shares + [Float](repeating: 0, count: added),
                factorWeight: hybrid.factorWeight, popularityWeight: hybrid.popularityWeight,
                excludesPurchased: hybrid.excludesPurchased, trials: hybrid.trials))
    }
}

extension AffinityPurchases {
    /// Those of some customers, in the order given.
    func selecting(_ rows: [Int]) -> AffinityPurchases {
        if rows.count == counts.rowCount { return self }
        if let baskets = baskets?.selecting(rows) {
            return AffinityPurchases(counts: baskets.counts, baskets: baskets)
        }
        var (offsets, columns, values) = ([0], [Int32](), [Float]())
        for row in rows {
            columns += counts.columnIndices[counts.entries(of: row)]
            values += counts.values[counts.entries(of: row)]
            offsets.append(columns.count)
        }
        return AffinityPurchases(
            counts: SparseMatrix(
                rowCount: rows.count, columnCount: counts.columnCount, rowOffsets: offsets,
                columnIndices: columns, values: values))
    }

    /// The same of more products, the later ones of which nobody bought.
    func widened(toProductCount count: Int) throws(ModelError) -> AffinityPurchases {
        if counts.columnCount == count { return self }
        var result = AffinityPurchases(
            counts: SparseMatrix(
                rowCount: counts.rowCount, columnCount: count, rowOffsets: counts.rowOffsets,
                columnIndices: counts.columnIndices, values: counts.values))
        if let baskets {
            result.baskets = try PurchaseBaskets(
                itemCount: count, customerOffsets: baskets.customerOffsets,
                basketOffsets: baskets.basketOffsets, items: baskets.items, days: baskets.days)
        }
        return result
    }
}
