import Numerical

/// Promotions of `length` days, one every `period` days, each on a random part of the products.
struct PromotionCalendar: Sendable {
    static let length = 14
    static let period = 28
    /// First day of the first promotion.
    static let start = 7
    /// Share of the products that a promotion covers.
    static let productShare = 0.125
    /// What a promotion takes off the margin rate.
    static let marginCost = 0.08

    let count: Int
    /// `PROMO-001`, as UTF-8.
    let codes: [[UInt8]]
    /// Whether promotion `i` covers product `j`: `[count x productCount]`.
    private let covered: [Bool]
    private let productCount: Int

    init(_ parameters: Retailer.Parameters) {
        count = (parameters.dayCount - Self.start + Self.period - 1) / Self.period
        productCount = parameters.productCount
        codes = (1...max(1, count)).map { number in
            let digits = String(number)
            let padding = String(repeating: "0", count: max(0, 3 - digits.count))
            return Array("PROMO-\(padding)\(digits)".utf8)
        }
        var random = SeededRandom(seed: parameters.seed, stream: Stream.promotions)
        covered = (0..<count * productCount).map { _ in random.bernoulli(Self.productShare) }
    }

    /// The promotion that runs on a day counted from the first; nil where none does.
    func promotion(onDay day: Int) -> Int? {
        let since = day - Self.start
        guard since >= 0, since % Self.period < Self.length else { return nil }
        return since / Self.period
    }

    func covers(_ promotion: Int, product: Int) -> Bool {
        covered[promotion * productCount + product]
    }
}
