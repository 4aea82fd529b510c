import ByteCoding
import Features
package import Models
import Numerical
package import Units

/// Which products are in baskets together: rules "who buys A buys B in the same order".
package struct AssociationReport: Encodable, Sendable {
    package struct Rule: Encodable, Sendable, Equatable {
        package var antecedent: String
        package var consequent: String
        /// Orders with both.
        package var orderCount: Int
        /// Share of the orders with both.
        package var support: Double
        /// Share of the orders with the antecedent that have the consequent too.
        package var confidence: Double
        /// Confidence by the share of all orders with the consequent: 1 is what chance gives.
        package var lift: Double
    }

    package var asOf: String
    /// Orders that name a product.
    package var orderCount: Int
    package var productCount: Int
    /// Products that reach the least support by themselves.
    package var frequentProductCount: Int
    package var leastSupport: Double
    package var leastCount: Int
    package var leastConfidence: Double
    package var leastLift: Double
    /// Rules that meet every condition; `rules` holds the first of them.
    package var foundCount: Int
    /// By lift, highest first; ties to more orders, then by the products' ids.
    package var rules: [Rule]
}

extension Workspace {
    /// Finds association rules in the orders through a day. Nothing is written.
    /// - Parameters:
    ///   - asOf: nil as in `asOfDay`.
    ///   - parameters: `threadCount` is the pass's.
    /// - Throws: `.noProducts` where no line names a product; `.model` for a parameter.
    package func associationRules(
        asOf requested: CalendarDay? = nil, _ parameters: AssociationRules.Parameters
    ) throws(EngineError) -> AssociationReport {
        let name = "association rules"
        try modelErrors(name) { () throws(ModelError) in try parameters.check() }
        let threadCount = parameters.threadCount
        let asOf = try asOfDay(requested, threadCount: threadCount)
        let history = try surveyedHistory(threadCount: threadCount)
        guard let lines = try history.basketLines(customersAsOf: asOf, through: asOf) else {
            throw .noProducts
        }
        let found = try modelErrors(name) { () throws(ModelError) in
            // Whose they are says nothing here: one row has them all.
            try AssociationRules.find(
                PurchaseBaskets(
                    itemCount: lines.products.count,
                    customerOffsets: [0, lines.days.count], basketOffsets: lines.basketOffsets,
                    items: lines.productCodes,
                    days: [Int32](repeating: 0, count: lines.days.count)), parameters)
        }
        return AssociationReport(
            asOf: asOf.description, orderCount: found.basketCount,
            productCount: lines.products.count, frequentProductCount: found.frequentItemCount,
            leastSupport: parameters.leastSupport, leastCount: parameters.leastCount,
            leastConfidence: parameters.leastConfidence, leastLift: parameters.leastLift,
            foundCount: found.foundCount,
            rules: found.rules.map { rule in
                AssociationReport.Rule(
                    antecedent: lines.products[Int(rule.antecedent)],
                    consequent: lines.products[Int(rule.consequent)],
                    orderCount: rule.basketCount, support: rule.support,
                    confidence: rule.confidence, lift: rule.lift)
            })
    }
}
