import ByteCoding
import Features
package import Models
import Numerical
import Units

extension EvaluationReport {
    /// How one variant's lists did on what customers bought after the day, who had bought any product
    /// by it.
    package struct AffinityMeasure: Codable, Sendable {
        /// `factors`, `hybrid`, `popular` or `repeatPurchase`.
        package var variant: String
        /// Of products that the customer had not bought, in lists without those bought.
        package var newProducts: [AtLength]
        /// Of all products, in lists of all.
        package var allProducts: [AtLength]

        /// The measures of the first k places.
        package struct AtLength: Codable, Sendable {
            package var k: Int
            package var summary: RankingSummary
        }
    }
}

extension Workspace {
    /// Lengths of the lists that variants are compared by.
    private static let comparedLengths = [10, 20]

    /// Fits every variant on what was known on the day and measures its lists by what customers bought
    /// then, who had bought products by the day: of the others the model says nothing, as the server
    /// does.
    func evaluateAffinity(
        _ fitting: ModelFitting, through end: CalendarDay, into report: inout EvaluationReport
    ) throws(EngineError) {
        let asOf = fitting.table.asOf
        let planned = plan.affinity.variant
        guard
            let after = try fitting.history.purchaseMatrix(
                customersAsOf: asOf, after: asOf, through: end)
        else { throw .noProducts }
        for variant in Plan.AffinityVariant.allCases {
            do throws(EngineError) {
                let history = try fitting.affinityHistory(variant, through: asOf)
                let known = Holdout(after.sparse, history.purchases.counts)
                let forNew = try fitting.affinity(variant, of: history, excludesPurchased: true)
                // Weights that are learned for lists of all are others.
                let forAll =
                    variant.readsBaskets
                    ? try fitting.affinity(variant, of: history, excludesPurchased: false)
                    : forNew
                let newLists = try lists(forNew, fitting, history, excludesPurchased: true)
                let allLists = try lists(forAll, fitting, history, excludesPurchased: false)
                report.affinityVariants.append(
                    EvaluationReport.AffinityMeasure(
                        variant: variant.rawValue,
                        newProducts: Self.comparedLengths.map {
                            .init(k: $0, summary: known.summary(newLists, k: $0, isNew: true))
                        },
                        allProducts: Self.comparedLengths.map {
                            .init(k: $0, summary: known.summary(allLists, k: $0, isNew: false))
                        }))
                let k = plan.affinity.topProductCount
                let summary = known.summary(newLists, k: k, isNew: true)
                if variant == planned { report.affinity = summary }
                if variant == .popular { report.mostPopular = summary }
            } catch {
                guard variant != planned, error.isAboutTheData else { throw error }
                report.notFitted["affinity.\(variant.rawValue)"] = error.reason(of: "affinity")
            }
        }
    }

    /// Lists long enough for every measure.
    private func lists(
        _ model: AffinityModel, _ fitting: ModelFitting, _ history: AffinityHistory,
        excludesPurchased: Bool
    ) throws(EngineError) -> TopLists {
        let width = Self.comparedLengths.reduce(plan.affinity.topProductCount, max)
        return try modelErrors("affinity") { () throws(ModelError) in
            let top = try TopN(
                itemFactors: model.servedProductFactors, itemCount: model.products.count,
                factorCount: model.servedFactorCount)
            return try model.lists(
                width, top,
                try model.served(history.purchases, threadCount: fitting.threadCount),
                history.purchases, excludesPurchased: excludesPurchased,
                threadCount: fitting.threadCount)
        }
    }
}

/// What was bought after the day, of customers who had bought before.
private struct Holdout {
    private var all: [Set<Int32>] = []
    private var new: [Set<Int32>] = []

    init(_ after: SparseMatrix, _ before: SparseMatrix) {
        for row in 0..<before.rowCount {
            let known = before.columnIndices[before.entries(of: row)]
            // Nothing is said of who had bought nothing.
            let bought =
                known.isEmpty ? [] : Set(after.columnIndices[after.entries(of: row)])
            all.append(bought)
            new.append(bought.subtracting(known))
        }
    }

    func summary(_ lists: TopLists, k: Int, isNew: Bool) -> RankingSummary {
        var means = RankingMeans(k: k)
        let wanted = isNew ? new : all
        for row in wanted.indices where !wanted[row].isEmpty {
            means.add(lists[row].map(\.item), relevant: wanted[row])
        }
        return means.summary
    }
}
