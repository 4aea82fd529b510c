/// A product category and its price level.
struct Category: Sendable {
    let name: String
    /// Median list price in currency units.
    let medianPrice: Double
    /// Mean share of the amount that is margin.
    let marginRate: Double

    /// Four categories a lifestyle, in the order of `Lifestyle.all`.
    static let all: [Category] = [
        Category(name: "coffee", medianPrice: 9, marginRate: 0.42),
        Category(name: "snacks", medianPrice: 5, marginRate: 0.35),
        Category(name: "books", medianPrice: 14, marginRate: 0.30),
        Category(name: "office", medianPrice: 11, marginRate: 0.38),
        Category(name: "garden", medianPrice: 18, marginRate: 0.40),
        Category(name: "crafts", medianPrice: 12, marginRate: 0.48),
        Category(name: "health", medianPrice: 15, marginRate: 0.45),
        Category(name: "pets", medianPrice: 13, marginRate: 0.33),
        Category(name: "baby", medianPrice: 16, marginRate: 0.28),
        Category(name: "toys", medianPrice: 19, marginRate: 0.37),
        Category(name: "household", medianPrice: 10, marginRate: 0.31),
        Category(name: "grocery", medianPrice: 6, marginRate: 0.22),
        Category(name: "games", medianPrice: 29, marginRate: 0.25),
        Category(name: "electronics", medianPrice: 48, marginRate: 0.18),
        Category(name: "audio", medianPrice: 36, marginRate: 0.24),
        Category(name: "films", medianPrice: 12, marginRate: 0.32),
        Category(name: "sports", medianPrice: 32, marginRate: 0.41),
        Category(name: "outdoor", medianPrice: 41, marginRate: 0.43),
        Category(name: "travel", medianPrice: 35, marginRate: 0.36),
        Category(name: "tools", medianPrice: 27, marginRate: 0.34),
    ]
}

/// A planted way of life: when, where and what a customer buys, and who such customers are.
///
/// Each opening hour and category is typical of exactly one lifestyle, so that no column of
/// shares is so rare that a single order in it dwarfs everything else after standardizing.
struct Lifestyle: Sendable {
    let name: String
    /// Share of customers.
    let share: Double
    /// Typical hours of the day.
    let hours: ClosedRange<Int>
    /// Chance of each weekday, Monday first.
    let weekdays: [Double]
    /// Indices into `Category.all`.
    let categories: Range<Int>
    /// Chance of each of `channelNames`.
    let channels: [Double]
    let ageMean: Double
    let ageDeviation: Double
    let femaleShare: Double
    /// Chance of each of `incomeBands`.
    let incomes: [Double]
    let responderShare: Double
    /// Typical interests.
    let interests: [String]

    /// Share of orders at any opening hour, and of lines in any category, typical or not.
    static let hourNoise = 0.2
    static let categoryNoise = 0.25
    static let openingHours = 7...22
    static let channelNames = ["app", "phone", "web", "marketplace", "store"]
    static let incomeBands = ["low", "lower middle", "middle", "upper middle", "high"]
    static let genders = ["female", "male", "other"]

    static let all: [Lifestyle] = [
        Lifestyle(
            name: "commuter", share: 0.24, hours: 7...9,
            weekdays: [0.26, 0.30, 0.13, 0.10, 0.09, 0.06, 0.06], categories: 0..<4,
            channels: [0.64, 0.05, 0.14, 0.07, 0.10], ageMean: 36, ageDeviation: 8,
            femaleShare: 0.48, incomes: [0.05, 0.15, 0.30, 0.32, 0.18], responderShare: 0.20,
            interests: ["podcasts", "running", "investing", "languages"]),
        Lifestyle(
            name: "morning at home", share: 0.18, hours: 10...12,
            weekdays: [0.09, 0.09, 0.30, 0.28, 0.12, 0.06, 0.06], categories: 4..<8,
            channels: [0.07, 0.60, 0.14, 0.05, 0.14], ageMean: 66, ageDeviation: 8,
            femaleShare: 0.58, incomes: [0.15, 0.30, 0.32, 0.16, 0.07], responderShare: 0.35,
            interests: ["gardening", "knitting", "birdwatching", "classical music"]),
        Lifestyle(
            name: "family", share: 0.22, hours: 13...15,
            weekdays: [0.08, 0.08, 0.10, 0.22, 0.34, 0.11, 0.07], categories: 8..<12,
            channels: [0.13, 0.05, 0.62, 0.09, 0.11], ageMean: 38, ageDeviation: 6,
            femaleShare: 0.66, incomes: [0.12, 0.26, 0.34, 0.20, 0.08], responderShare: 0.50,
            interests: ["cooking", "parenting", "home decoration", "board games"]),
        Lifestyle(
            name: "evening player", share: 0.16, hours: 19...22,
            weekdays: [0.15, 0.09, 0.08, 0.08, 0.10, 0.12, 0.38], categories: 12..<16,
            channels: [0.13, 0.03, 0.16, 0.60, 0.08], ageMean: 26, ageDeviation: 6,
            femaleShare: 0.34, incomes: [0.26, 0.32, 0.26, 0.11, 0.05], responderShare: 0.30,
            interests: ["video games", "streaming", "anime", "technology"]),
        Lifestyle(
            name: "weekend explorer", share: 0.20, hours: 16...18,
            weekdays: [0.07, 0.07, 0.07, 0.08, 0.13, 0.42, 0.16], categories: 16..<20,
            channels: [0.11, 0.05, 0.13, 0.07, 0.64], ageMean: 44, ageDeviation: 11,
            femaleShare: 0.45, incomes: [0.08, 0.17, 0.29, 0.28, 0.18], responderShare: 0.15,
            interests: ["hiking", "cycling", "photography", "camping"]),
    ]
}
