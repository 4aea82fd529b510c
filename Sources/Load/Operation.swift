package import Numerical

/// What a generated request asks. The names are those of `--mix`.
package enum Operation: String, Sendable, CaseIterable, Codable {
    case ping
    case describe
    case lookup
    case topProducts = "top-products"
    case topCustomers = "top-customers"
    case similarCustomers = "similar-customers"
    case similarProducts = "similar-products"
    case segments
    case segmentProfiles = "segment-profiles"
    case offerProducts = "offer-products"
    case offerCustomers = "offer-customers"
    case count
    case audience
    case scan

    /// Whose ids a request names.
    package enum Subject: Sendable { case customer, product }

    /// Nil for requests without ids.
    package var subject: Subject? {
        switch self {
        case .audience, .count, .describe, .ping, .scan, .segmentProfiles, .segments: nil
        case .lookup, .offerProducts, .similarCustomers, .topProducts: .customer
        case .offerCustomers, .similarProducts, .topCustomers: .product
        }
    }

    /// Whether requests choose customers by the plan's rule.
    package var hasRule: Bool { self == .audience || self == .count }

    /// Whether the answer comes in chunks, as the generator makes room for them.
    package var isStream: Bool { self == .audience || self == .scan }
}

/// Operations and how often each is asked for.
package struct OperationMix: Sendable, Equatable {
    /// Each once, in the order given.
    package let operations: [Operation]
    /// Shares, summing to 1.
    package let shares: [Double]
    /// Sums of the shares up to and with each.
    private let cumulative: [Double]

    package static let lookups = OperationMix([(.lookup, 1)])
    package static let scans = OperationMix([(.scan, 1)])

    /// - Precondition: at least one part, all weights positive and finite.
    private init(_ parts: [(Operation, Double)]) {
        let total = parts.reduce(0) { $0 + $1.1 }
        operations = parts.map(\.0)
        shares = parts.map { $0.1 / total }
        var sum = 0.0
        cumulative = shares.map {
            sum += $0
            return sum
        }
    }

    /// Reads `lookup=95,top-products=5`; a name alone counts as 1.
    package init(parsing text: String) throws(LoadError) {
        let known = Operation.allCases.map(\.rawValue).joined(separator: ", ")
        var parts: [(Operation, Double)] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let operation = Operation(rawValue: String(sides[0])) else {
                throw .option("--mix: there is no operation '\(sides[0])'; there are \(known)")
            }
            guard !parts.contains(where: { $0.0 == operation }) else {
                throw .option("--mix: \(operation.rawValue) stands twice")
            }
            let weight = sides.count == 2 ? Double(sides[1]) : 1
            guard let weight, weight > 0, weight.isFinite else {
                throw .option(
                    "--mix: the weight of \(operation.rawValue) is a positive number, not "
                        + "'\(sides[1])'")
            }
            parts.append((operation, weight))
        }
        self.init(parts)
    }

    /// The place of a random operation. A mix of one draws no random number.
    package func draw(_ random: inout SeededRandom) -> Int {
        if operations.count == 1 { return 0 }
        let value = random.uniform()
        return cumulative.firstIndex { value < $0 } ?? operations.count - 1
    }
}
