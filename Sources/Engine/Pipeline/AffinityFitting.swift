import ByteCoding
import ColumnStore
import Models
import Numerical
import Units

extension ModelFitting {
    /// What a variant of the affinity model learns from, through a day.
    func affinityHistory(
        _ variant: Plan.AffinityVariant, through day: CalendarDay
    ) throws(EngineError) -> AffinityHistory {
        try history.affinityHistory(
            readsBaskets: variant.readsBaskets, customersAsOf: table.asOf, through: day)
    }

    /// Fits one variant by the plan's settings.
    func affinity(
        _ variant: Plan.AffinityVariant, of history: AffinityHistory, excludesPurchased: Bool
    ) throws(EngineError) -> AffinityModel {
        try modelErrors("affinity") { () throws(ModelError) in
            try fitAffinity(variant, history, excludesPurchased)
        }
    }

    private func fitAffinity(
        _ variant: Plan.AffinityVariant, _ history: AffinityHistory, _ excludesPurchased: Bool
    ) throws(ModelError) -> AffinityModel {
        let parameters = ImplicitALS.Parameters(
            factorCount: plan.affinity.factorCount, regularization: plan.affinity.regularization,
            confidenceWeight: plan.affinity.confidenceWeight,
            iterations: plan.affinity.iterations, seed: plan.seed, threadCount: threadCount,
            regularizationExponent: plan.affinity.regularizationExponent)
        let counts = history.purchases.counts
        guard counts.valueCount > 0 else { throw .noRows(model: "affinity") }
        var model = AffinityModel(
            settings: AffinityModel.Settings(factors: parameters, variant: variant),
            products: history.products, productFactors: [], lossPerIteration: [])
        if variant.hasFactors {
            let fitted = try ImplicitALS.fit(counts, parameters, keepsUserFactors: false)
            model.productFactors = fitted.itemFactors
            model.lossPerIteration = fitted.lossPerIteration
            model.settings.noteItemCount(fitted.itemCount)
        }
        guard let baskets = history.purchases.baskets else {
            if variant == .popular { model.productShares = counts.customerShares }
            return model
        }
        var settings = AffinityHybrid.Parameters()
        settings.excludesPurchased = excludesPurchased
        // Popularity always tells apart what nothing else does, and a product that it gives nothing
        // is one that nobody bought.
        settings.popularityWeights = settings.popularityWeights.map { max($0, 0.001) }
        settings.threadCount = threadCount
        let hybrid =
            variant.hasFactors
            ? try AffinityHybrid.fit(baskets, factors: parameters, settings)
            : try AffinityHybrid.fitWithoutFactors(baskets, settings)
        model.take(hybrid)
        return model
    }
}

extension AffinityModel {
    mutating func take(_ hybrid: AffinityHybrid) {
        self.hybrid = hybrid
        productShares = hybrid.shares
        settings.hybrid = HybridSettings(hybrid)
    }
}

extension SparseMatrix {
    /// `[columnCount]`: the share of the rows with an entry that have one in each column.
    var customerShares: [Float] {
        var counts = [Int](repeating: 0, count: columnCount)
        for column in columnIndices { counts[Int(column)] += 1 }
        let known = (0..<rowCount).count { !entries(of: $0).isEmpty }
        return counts.map { Float(Double($0) / Double(max(1, known))) }
    }
}

extension Workspace {
    func fitAndWriteAffinity(
        _ card: ModelCard, to path: String, _ fitting: ModelFitting,
        _ report: (String) -> Void
    ) throws(EngineError) -> (card: ModelCard, file: ModelStore.WrittenFile) {
        let variant = plan.affinity.variant
        let history = try fitting.affinityHistory(variant, through: fitting.table.asOf)
        var model = try fitting.affinity(
            variant, of: history, excludesPurchased: plan.affinity.excludePurchased)
        var detailing = AffinityDetailing(self, fitting, history)
        model.details = try detailing.details(of: &model, report)
        model.settings.details = model.details?.card
        var card = card
        card.describe(model)
        card.warnings = detailing.warnings
        let file = try ModelStore.write(model.settings, card: card, to: path) { writer in
            model.add(to: &writer)
        }
        return (card, file)
    }
}

extension AffinityModel {
    func add(to writer: inout ArrayFileWriter) {
        if variant.hasFactors {
            writer.add("productFactors", productFactors, shape: [products.count, factorCount])
        }
        writer.add("productIDBytes", products.bytes)
        writer.add("productIDOffsets", products.offsets.map(Int64.init))
        if variant != .factors { writer.add("productShares", productShares) }
        if let hybrid { writer.add("repeatRates", hybrid.repeats.rates) }
        guard let details else { return }
        writer.add("productCategories", details.productCategories)
        writer.add("productPrices", details.productPrices)
        writer.add("productMargins", details.productMargins)
        writer.add("coldProducts", details.coldProducts)
        writer.add(
            "coldMeans", details.coldCustomers.means,
            shape: [details.coldCustomers.groups.count, servedFactorCount])
    }
}

extension ModelCard {
    fileprivate mutating func describe(_ model: AffinityModel) {
        diagnostics = ["productCount": Double(model.products.count)]
        if model.variant.hasFactors {
            diagnostics["loss"] = model.lossPerIteration.last ?? 0
            diagnostics["factorCount"] = Double(model.factorCount)
            diagnostics["iterations"] = Double(model.lossPerIteration.count)
        }
        if let details = model.details { describe(details) }
        guard let hybrid = model.hybrid else { return }
        diagnostics["popularityWeight"] = hybrid.popularityWeight
        if model.variant.hasFactors { diagnostics["factorWeight"] = hybrid.factorWeight }
        // A purchase of ages ago counts as one of today where it is longer than any history.
        let halfLife = hybrid.repeats.parameters.halfLife
        if halfLife < 1e6 { diagnostics["halfLifeDays"] = halfLife }
        diagnostics["priorCount"] = hybrid.repeats.parameters.priorCount
        diagnostics["repeatRate"] = hybrid.repeats.overallRate
        // Of the last basket of each customer, by what was known before.
        diagnostics["lastBasketNDCG"] = hybrid.trials.map(\.ndcg).max() ?? 0
    }

    private mutating func describe(_ details: AffinityDetails) {
        diagnostics["coldProductCount"] = Double(details.coldProducts.count)
        diagnostics["categoryCount"] = Double(details.categories.count)
        for (name, part) in [
            ("newProducts", details.probability?.fresh),
            ("boughtBefore", details.probability?.again),
        ] {
            guard let part else { continue }
            // Of customers that the calibration was not fitted on.
            diagnostics["\(name).areaUnderROC"] = part.heldOut.areaUnderROC
            diagnostics["\(name).meanPredicted"] = part.heldOut.meanPredicted
            diagnostics["\(name).observedShare"] = part.heldOut.observedShare
            diagnostics["\(name).calibrationError"] = part.heldOut.calibrationError
        }
        guard let promotion = details.promotion else { return }
        diagnostics["promotedShare"] =
            Double(promotion.promotedCount) / Double(max(1, promotion.lineCount))
        diagnostics["promotionConcentration"] = promotion.customerConcentration
    }
}
