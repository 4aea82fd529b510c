import Foundation

/// What is planted, as written to truth.json. Customer by customer it is in truth_customers.csv.
package struct Truth: Sendable, Equatable, Codable {
    /// BG/NBD; rates a week.
    package struct PurchaseRates: Sendable, Equatable, Codable {
        package var r, alpha, a, b: Double
        package var timeGrid: String
    }

    /// Gamma-Gamma; v in currency units an order.
    package struct OrderValues: Sendable, Equatable, Codable {
        package var p, q, v: Double
        /// p v / (q - 1).
        package var populationMean: Double
    }

    package struct Lifestyle: Sendable, Equatable, Codable {
        package var name: String
        package var customerShare: Double
        package var typicalHours: [Int]
        package var weekdaySharesMondayFirst: [Double]
        package var typicalCategories: [String]
        package var channelShares: [String: Double]
        package var typicalInterests: [String]
        package var promotionResponderShare: Double
    }

    package struct Tastes: Sendable, Equatable, Codable {
        package var dimensionCount: Int
        package var strength: Double
        package var lifestyleShareOfVariance: Double
        package var popularityExponent: Double
    }

    package struct Promotions: Sendable, Equatable, Codable {
        /// Factors on the odds of a promoted product within its category.
        package var responderLift, otherLift: Double
        package var productShare: Double
        /// What a promotion takes off the margin rate.
        package var marginRateCost: Double
        package var firstDay, lengthDays, periodDays, count: Int
    }

    package var customerCount, dayCount, productCount: Int
    package var seed: UInt64
    package var firstDay, lastDay: String
    package var purchaseRates: PurchaseRates
    package var orderValues: OrderValues
    package var linesPerOrder, returnShare: Double
    /// Share of orders at any opening hour and of lines in any category, typical or not.
    package var hourNoise, categoryNoise: Double
    package var lifestyles: [Lifestyle]
    package var tastes: Tastes
    package var promotions: Promotions
}

extension Retailer {
    /// What is planted.
    package var truth: Truth {
        let p = parameters
        return Truth(
            customerCount: p.customerCount, dayCount: p.dayCount, productCount: p.productCount,
            seed: p.seed, firstDay: p.firstDay.description, lastDay: p.lastDay.description,
            purchaseRates: Truth.PurchaseRates(
                r: p.rateShape, alpha: p.rateScale, a: p.dropoutA, b: p.dropoutB,
                timeGrid: "week"),
            orderValues: Truth.OrderValues(
                p: p.spendShape, q: p.spendSpread, v: p.spendScale,
                populationMean: p.spendShape * p.spendScale / (p.spendSpread - 1)),
            linesPerOrder: p.linesPerOrder, returnShare: p.returnShare,
            hourNoise: Lifestyle.hourNoise, categoryNoise: Lifestyle.categoryNoise,
            lifestyles: Lifestyle.all.map { style in
                Truth.Lifestyle(
                    name: style.name, customerShare: style.share,
                    typicalHours: Array(style.hours),
                    weekdaySharesMondayFirst: style.weekdays,
                    typicalCategories: style.categories.map { Category.all[$0].name },
                    channelShares: Dictionary(
                        uniqueKeysWithValues: zip(Lifestyle.channelNames, style.channels)),
                    typicalInterests: style.interests,
                    promotionResponderShare: style.responderShare)
            },
            tastes: Truth.Tastes(
                dimensionCount: p.tasteDimensionCount, strength: p.tasteStrength,
                lifestyleShareOfVariance: Population.sharedTaste,
                popularityExponent: p.popularityExponent),
            promotions: Truth.Promotions(
                responderLift: p.responderLift, otherLift: p.otherLift,
                productShare: PromotionCalendar.productShare,
                marginRateCost: PromotionCalendar.marginCost,
                firstDay: PromotionCalendar.start, lengthDays: PromotionCalendar.length,
                periodDays: PromotionCalendar.period, count: promotions.count))
    }

    /// truth.json; keys are sorted, so equal truths have equal bytes.
    func truthText() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(truth) else {
            preconditionFailure("finite numbers and texts always encode")
        }
        return [UInt8](data) + [UInt8(ascii: "\n")]
    }
}
