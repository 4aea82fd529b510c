import ByteCoding
import Features
import Numerical
import Units

/// One purchase line as a test writes it.
struct Line {
    var customer: Int64
    /// UTC seconds.
    var time: Int
    var amount: Double
    var margin: Double?
    var quantity: Float?
    var order: String?
    var product: String?
    var category: String?
    var promotion: String?
    var channel: String?

    init(
        _ customer: Int64, _ day: String, hour: Int = 0, _ amount: Double, margin: Double? = nil,
        quantity: Float? = nil, order: String? = nil, product: String? = nil,
        category: String? = nil, promotion: String? = nil, channel: String? = nil
    ) {
        self.customer = customer
        time = CalendarDay(parsing: day)!.daysSince1970 * 86_400 + hour * 3_600
        self.amount = amount
        self.margin = margin
        self.quantity = quantity
        self.order = order
        self.product = product
        self.category = category
        self.promotion = promotion
        self.channel = channel
    }
}

func day(_ text: String) -> CalendarDay { CalendarDay(parsing: text)! }

/// Codes in order of first appearance; nil where no line has a value.
func coded(_ texts: [String?]) -> CodedText? {
    guard texts.contains(where: { $0 != nil }) else { return nil }
    var codeOfText: [String: UInt32] = [:]
    var column = CodedText()
    for text in texts {
        guard let text else {
            column.codes.append(CodedText.missing)
            continue
        }
        if codeOfText[text] == nil {
            codeOfText[text] = UInt32(column.values.count)
            column.values.append(text)
        }
        column.codes.append(codeOfText[text]!)
    }
    return column
}

func makeHistory(_ lines: [Line]) throws -> PurchaseHistory {
    func money(_ units: Double) -> Int64 { Money(units: units)!.tenThousandths }
    let hasMargins = lines.contains { $0.margin != nil }
    let hasQuantities = lines.contains { $0.quantity != nil }
    return try PurchaseHistory.sorting(
        lineCustomerIDs: .integers(lines.map(\.customer)), times: lines.map { Int64($0.time) },
        amounts: lines.map { money($0.amount) },
        margins: hasMargins ? lines.map { money($0.margin ?? 0) } : nil,
        quantities: hasQuantities ? lines.map { $0.quantity ?? 1 } : nil,
        orderCodes: coded(lines.map(\.order))?.codes, products: coded(lines.map(\.product)),
        categories: coded(lines.map(\.category)), promotions: coded(lines.map(\.promotion)),
        channels: coded(lines.map(\.channel)))
}

func features(
    _ lines: [Line], asOf: String, clock: LocalClock = .utc,
    attributes: CustomerAttributes? = nil, rate: Double = 0.5
) throws -> FeatureTable {
    try computeFeatures(
        makeHistory(lines), attributes: attributes, asOf: day(asOf), clock: clock,
        grossMarginRate: rate, threadCount: 1)
}

extension FeatureTable {
    /// The value of a feature in a row; nil where it is undefined.
    func value(_ name: String, _ row: Int = 0) -> Float? {
        let column = column(named: name)!
        return column.valid?[row] ?? true ? column.values[row] : nil
    }
}

/// Lines of random customers with every column, in random order, over about 500 days.
func randomLines(seed: UInt64, customers: Int, lines: Int, orderIDs: Bool) -> [Line] {
    var random = SeededRandom(seed: seed, stream: 0)
    func pick(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
    return (0..<lines).map { index in
        var line = Line(Int64(pick(customers)) - 3, "2023-01-01", 0)
        line.time += pick(500 * 86_400)
        line.amount = Double(pick(12_000) - 2_000) / 100
        line.margin = line.amount / 3
        line.quantity = Float(1 + pick(4))
        line.order = orderIDs && pick(5) > 0 ? "o\(pick(lines / 3 + 1))" : nil
        line.product = pick(10) > 0 ? "p\(pick(60))" : nil
        line.category = pick(10) > 0 ? "c\(min(pick(50), pick(50)))" : nil
        line.promotion = pick(4) == 0 ? "spring" : nil
        line.channel = ["web", "shop", "phone", nil][pick(4)]
        return line
    }
}
