import ByteCoding
import Features
import Models
import Units

/// What purchase lines say of products, and of promotions: sums that do not depend on how the lines
/// are split.
struct ProductTally: Sendable {
    /// `[productCount]`: ten-thousandths of the currency unit, purchases alone.
    var amounts: [Int64]
    /// Likewise; zeros where no line has a margin.
    var margins: [Int64]
    /// `[productCount]`: units sold in thousandths; a line without a quantity is one.
    var quantities: [Int64]
    /// Purchase lines by product and category.
    var categoryCounts: [ProductCategory: Int] = [:]
    /// Lines of customers by category, promoted and all; empty where no promotion is mapped.
    var cells: [PromotionResponse.Cell] = []
    /// Customers so far.
    var customerCount = 0

    struct ProductCategory: Hashable, Sendable {
        var product: UInt32
        var category: UInt32
    }

    init(productCount: Int) {
        amounts = [Int64](repeating: 0, count: productCount)
        margins = amounts
        quantities = amounts
    }

    mutating func append(_ next: ProductTally) {
        for product in next.amounts.indices {
            // Sums of 64 bits saturate: a price of nobody's catalogue, but no crash.
            amounts[product] = Self.sum(amounts[product], next.amounts[product])
            margins[product] = Self.sum(margins[product], next.margins[product])
            quantities[product] = Self.sum(quantities[product], next.quantities[product])
        }
        categoryCounts.merge(next.categoryCounts, uniquingKeysWith: +)
        let first = Int32(clamping: customerCount)
        cells += next.cells.lazy.map {
            PromotionResponse.Cell(
                customer: $0.customer + first, category: $0.category,
                promotedCount: $0.promotedCount, count: $0.count)
        }
        customerCount += next.customerCount
    }

    private static func sum(_ a: Int64, _ b: Int64) -> Int64 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? (a > 0 ? .max : .min) : sum
    }

    /// The lines of a chunk's customers who are known on a day.
    /// - Parameter productCount: of the history; 0 where products are not asked for.
    init(of chunk: PurchaseHistory, asOf day: CalendarDay, _ clock: LocalClock, productCount: Int) {
        self.init(productCount: productCount)
        let window = AsOfWindow(after: nil, through: day, clock: clock)
        let rows = chunk.customerRows(asOf: day, clock: clock)
        customerCount = rows.count
        var own: [UInt32: (promoted: Int32, count: Int32)] = [:]
        for (place, row) in rows.enumerated() {
            own.removeAll(keepingCapacity: true)
            for line in chunk.lines(ofCustomer: row)
            where chunk.amounts[line] > 0 && window.contains(chunk.times[line]) {
                add(chunk, line)
                guard let promotions = chunk.promotions else { continue }
                let category = chunk.categories?.codes[line] ?? 0
                if category == CodedText.missing { continue }
                let isPromoted = promotions.codes[line] != CodedText.missing
                own[category, default: (0, 0)].count += 1
                if isPromoted { own[category, default: (0, 0)].promoted += 1 }
            }
            for category in own.keys.sorted() {
                guard let lines = own[category] else { continue }
                cells.append(
                    PromotionResponse.Cell(
                        customer: Int32(place), category: Int32(bitPattern: category),
                        promotedCount: lines.promoted, count: lines.count))
            }
        }
    }

    private mutating func add(_ chunk: PurchaseHistory, _ line: Int) {
        guard !amounts.isEmpty, let code = chunk.products?.codes[line],
            code != CodedText.missing
        else { return }
        let product = Int(code)
        amounts[product] = Self.sum(amounts[product], chunk.amounts[line])
        margins[product] = Self.sum(margins[product], chunk.margins?[line] ?? 0)
        let quantity = Double(chunk.quantities?[line] ?? 1) * 1_000
        quantities[product] = Self.sum(
            quantities[product], Int64(min(1e15, max(0, quantity.rounded()))))
        if let category = chunk.categories?.codes[line], category != CodedText.missing {
            categoryCounts[ProductCategory(product: code, category: category), default: 0] += 1
        }
    }
}

extension SurveyedHistory {
    /// What the purchase lines of the customers known on a day say of products and promotions; nil
    /// where no line names a product.
    func productTally(asOf day: CalendarDay) throws(EngineError) -> ProductTally? {
        guard let products = try checkedProducts() else { return nil }
        let (clock, count) = (clock, products.count)
        return try lines.reduce(
            into: ProductTally(productCount: count),
            [.products, .categories, .quantities, .margins, .promotions], texts,
            threadCount: threadCount
        ) { chunk in
            ProductTally(of: chunk, asOf: day, clock, productCount: count)
        } merge: { tally, part in
            tally.append(part)
        }
    }

    /// Lines of the customers known on a day by category, promoted and all, in the rows of that day's
    /// feature table; nil where no line says whether it was promoted.
    func promotionCells(
        asOf day: CalendarDay
    ) throws(EngineError) -> (cells: [PromotionResponse.Cell], customerCount: Int)? {
        guard texts[.promotions] != nil else { return nil }
        let clock = clock
        let tally = try lines.reduce(
            into: ProductTally(productCount: 0), [.categories, .promotions], texts,
            threadCount: threadCount
        ) { chunk in
            ProductTally(of: chunk, asOf: day, clock, productCount: 0)
        } merge: { tally, part in
            tally.append(part)
        }
        return (tally.cells, tally.customerCount)
    }

    /// Names of the categories that lines have, by code; empty where none are known.
    var categoryNames: [String] {
        guard let values = texts[.categories]?.values ?? texts.categoryOfProduct?.values else {
            return []
        }
        return (0..<values.count).map { values[$0] }
    }
}
