import ByteCoding
import ColumnStore
import Features
import Models
import Numerical
import Units

/// What an affinity model knows beside the factors: of its products, of the chance that a score means,
/// of promotions, and of customers without purchases.
struct AffinityDetails: Sendable {
    /// Names of the products' categories.
    var categories: [String]
    /// `[productCount]`: positions in `categories`, -1 where unknown.
    var productCategories: [Int32]
    /// `[productCount]`: of one unit, in the currency; 0 where unknown.
    var productPrices: [Double]
    /// `[productCount]`: what one unit brings, in the currency.
    var productMargins: [Double]
    /// Rows of products that nobody bought, whose factors are those of their category and price.
    var coldProducts: [Int32] = []
    var probability: PairProbability?
    /// By the category of `categories`; of all together where there is none.
    var promotion: PromotionResponse?
    var coldCustomers = ColdCustomers()

    /// What a model file says of these beside its arrays.
    struct Card: Codable, Sendable {
        var categories: [String]
        var probability: PairProbability?
        var promotion: PromotionResponse?
        var coldGroups: [ColdCustomers.Group]
    }

    var card: Card {
        Card(
            categories: categories, probability: probability, promotion: promotion,
            coldGroups: coldCustomers.groups)
    }
}

/// Mean factors of customers with a value of an attribute, or a segment, in common: those of one who
/// has bought nothing are the mean of the groups that the customer is in.
struct ColdCustomers: Sendable {
    /// Customers of a value of a `ColdColumn`; the first group, without a name, is of all.
    struct Group: Codable, Sendable, Equatable {
        /// The column's name.
        var attribute: String
        var value: String
    }

    var groups: [Group] = []
    /// `[groups × servedFactorCount]`.
    var means: [Float] = []

    /// Values that a column may have groups for, the most frequent ones, and customers of each.
    static let valueLimit = 100
    static let fewestCustomers = 30
    /// Columns that are looked at: segmentations come first.
    static let columnLimit = 20

    init() {}

    /// - Parameters:
    ///   - factors: `[customerCount × factorCount]`, served; rows without purchases are zeros.
    ///   - columns: of the same customers.
    /// - Returns: no group where nobody has factors.
    init(
        _ factors: [Float], factorCount: Int, customerCount: Int, _ columns: [ColdColumn]
    ) throws(ModelError) {
        let isWarm = (0..<customerCount).map { row in
            factors[row * factorCount..<(row + 1) * factorCount].contains { $0 != 0 }
        }
        guard isWarm.contains(true) else { return }
        func add(_ group: [Int32], _ names: [Group], priorCount: Double) throws(ModelError) {
            means += try ColdFactors.groupMeans(
                factors, factorCount: factorCount, groups: group, groupCount: names.count,
                priorCount: priorCount)
            groups += names
        }
        try add(
            [Int32](repeating: 0, count: customerCount), [Group(attribute: "", value: "")],
            priorCount: 0)
        for column in columns.prefix(Self.columnLimit) {
            var counts = [Int](repeating: 0, count: column.values.count)
            for (row, code) in column.codes.enumerated()
            where isWarm[row] && code != CodedText.missing {
                counts[Int(code)] += 1
            }
            let kept = counts.indices.filter { counts[$0] >= Self.fewestCustomers }
                .sorted { (counts[$1], $0) < (counts[$0], $1) }.prefix(Self.valueLimit)
            if kept.isEmpty { continue }
            var groupOfCode = [Int32](repeating: -1, count: counts.count)
            for (group, code) in kept.enumerated() { groupOfCode[code] = Int32(group) }
            try add(
                column.codes.map { $0 == CodedText.missing ? -1 : groupOfCode[Int($0)] },
                kept.map { Group(attribute: column.name, value: column.values[$0]) },
                priorCount: 5)
        }
    }

    /// The factors of customers.
    /// - Parameter columns: of the customers; those that the model did not see are not looked at.
    /// - Returns: `[customerCount × factorCount]`.
    func factors(
        customerCount: Int, _ columns: [ColdColumn], factorCount: Int
    ) throws(ModelError) -> [Float] {
        var groupOf: [String: [String: Int]] = [:]
        for (index, group) in groups.enumerated() {
            groupOf[group.attribute, default: [:]][group.value] = index
        }
        let known = columns.compactMap { column in
            groupOf[column.name].map { groups in
                (
                    codes: column.codes,
                    groups: (0..<column.values.count).map { groups[column.values[$0]] ?? -1 }
                )
            }
        }
        var result: [Float] = []
        result.reserveCapacity(customerCount * factorCount)
        for row in 0..<customerCount {
            var own: [(group: Int, weight: Double)] = []
            for column in known where column.codes[row] != CodedText.missing {
                let group = column.groups[Int(column.codes[row])]
                if group >= 0 { own.append((group, 1)) }
            }
            // Of whom nothing is known: the mean of all.
            if own.isEmpty { own = [(0, 1)] }
            result += try ColdFactors.blended(means, factorCount: factorCount, groups: own)
        }
        return result
    }
}
