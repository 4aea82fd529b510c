import Numerical

/// The products: categories, prices, margins, popularity and latent tastes.
struct Catalogue: Sendable {
    let count: Int
    /// Products of category `c` are `categoryStarts[c] ..< categoryStarts[c + 1]`.
    let categoryStarts: [Int]
    /// `P000001`, as UTF-8.
    let ids: [[UInt8]]
    let names: [String]
    /// List price in currency units.
    let prices: [Double]
    /// Share of the amount that is margin.
    let marginRates: [Double]
    /// Logarithm of the popularity within the category.
    let logPopularities: [Double]
    /// `[count x tasteDimensionCount]`, row-major; the components have variance 1 / dimensions.
    let tastes: [Double]

    init(_ parameters: Retailer.Parameters) {
        let categories = Category.all
        let count = parameters.productCount
        let starts = (0...categories.count).map { $0 * count / categories.count }
        var random = SeededRandom(seed: parameters.seed, stream: Stream.catalogue)
        var ids: [[UInt8]] = []
        var names: [String] = []
        var prices: [Double] = []
        var marginRates: [Double] = []
        var logPopularities: [Double] = []
        var tastes: [Double] = []
        let dimensions = parameters.tasteDimensionCount
        let deviation = 1 / Double(dimensions).squareRoot()
        for (index, category) in categories.enumerated() {
            let size = starts[index + 1] - starts[index]
            let ranks = Self.permutation(size, &random)
            for position in 0..<size {
                let number = String(ids.count + 1)
                let padding = String(repeating: "0", count: max(0, 6 - number.count))
                ids.append(Array("P\(padding)\(number)".utf8))
                let style = Self.styles[random.below(Self.styles.count)]
                names.append("\(style) \(category.name) \(position + 1)")
                let price = category.medianPrice * exponential(0.5 * random.normal())
                prices.append(max(0.5, (price * 100).rounded() / 100))
                let rate = random.normal(mean: category.marginRate, standardDeviation: 0.05)
                marginRates.append((min(0.8, max(0.12, rate)) * 1_000).rounded() / 1_000)
                logPopularities.append(
                    -parameters.popularityExponent * naturalLog(Double(ranks[position] + 1)))
                for _ in 0..<dimensions { tastes.append(deviation * random.normal()) }
            }
        }
        self.count = count
        categoryStarts = starts
        self.ids = ids
        self.names = names
        self.prices = prices
        self.marginRates = marginRates
        self.logPopularities = logPopularities
        self.tastes = tastes
    }

    func products(ofCategory category: Int) -> Range<Int> {
        categoryStarts[category]..<categoryStarts[category + 1]
    }

    /// Fisher and Yates' shuffle of 0 ..< count.
    private static func permutation(_ count: Int, _ random: inout SeededRandom) -> [Int] {
        var order = Array(0..<count)
        for index in stride(from: count - 1, to: 0, by: -1) {
            order.swapAt(index, random.below(index + 1))
        }
        return order
    }

    private static let styles = [
        "Alpine", "Bold", "Classic", "Daily", "Elegant", "Fresh", "Gentle", "Handy", "Iconic",
        "Junior", "Light", "Modern", "Natural", "Original", "Pocket", "Quiet", "Royal", "Solid",
        "Travel", "Urban",
    ]

    /// The header and one line a product.
    func text() -> [UInt8] {
        var bytes = Array("product_id,name,category,price,margin_rate\n".utf8)
        for (index, category) in Category.all.enumerated() {
            for product in products(ofCategory: index) {
                bytes += ids[product]
                bytes.appendComma()
                bytes.append(text: names[product])
                bytes.appendComma()
                bytes.append(text: category.name)
                bytes.appendComma()
                bytes.append(fixed: prices[product], decimals: 2)
                bytes.appendComma()
                bytes.append(fixed: marginRates[product], decimals: 3)
                bytes.appendNewline()
            }
        }
        return bytes
    }
}

/// Streams of the seed that are not customers: those count up from 0.
enum Stream {
    static let catalogue = UInt64.max
    static let promotions = UInt64.max - 1
    static let lifestyleTastes = UInt64.max - 2
}
