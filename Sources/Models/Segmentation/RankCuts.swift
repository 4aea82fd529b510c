/// Cuts of a feature into levels of about equally many customers, level 1 the lowest values.
///
/// Equal values are never split: all customers of one value are in the level in which the middle one of
/// them falls when customers are ranked by value. A large tie (60 % of customers with one order is
/// common) therefore makes levels of unequal size, or empty ones, and never tells apart customers who
/// look alike. Levels are found by the cuts alone, so a value that the fit has not seen has one too.
package struct RankCuts: Codable, Sendable, Equatable {
    /// Least values of levels 2 and above, not descending; fewer than `levelCount - 1` where no value
    /// is in the upper levels. Equal neighbours are empty levels.
    package let leastValues: [Float]
    /// 1…100.
    package let levelCount: Int

    package static let levelCounts = 1...100

    /// - Parameter leastValues: stated ones, finite and ascending.
    /// - Throws: `outOfRange`.
    package init(leastValues: [Float]) throws(ModelError) {
        let levelCount = leastValues.count + 1
        guard Self.levelCounts.contains(levelCount) else {
            throw .outOfRange(what: "levels", actual: Double(levelCount), allowed: "1...100")
        }
        for (index, value) in leastValues.enumerated() {
            guard value.isFinite, index == 0 || leastValues[index - 1] < value else {
                throw .outOfRange(
                    what: "cut \(index + 1)", actual: Double(value), allowed: "finite and ascending"
                )
            }
        }
        (self.leastValues, self.levelCount) = (leastValues, levelCount)
    }

    /// Cuts by rank. O(n log n).
    /// - Parameters:
    ///   - values: of the customers to rank, in any order.
    ///   - name: of the feature, for errors.
    /// - Throws: `noRows`; `nonFiniteValue`; `outOfRange` for the number of levels.
    package static func fit(
        _ values: [Float], levelCount: Int, name: String
    ) throws(ModelError) -> RankCuts {
        guard levelCounts.contains(levelCount) else {
            throw .outOfRange(what: "levels", actual: Double(levelCount), allowed: "1...100")
        }
        guard !values.isEmpty else { throw .noRows(model: "levels of \(name)") }
        if let row = values.firstIndex(where: { !$0.isFinite }) {
            throw .nonFiniteValue(what: name, row: row, column: 0)
        }
        let ordered = values.sorted()
        var cuts: [Float] = []
        var first = 0
        while first < ordered.count {
            var end = first + 1
            while end < ordered.count, ordered[end] == ordered[first] { end += 1 }
            // Level of the middle rank (first + end) / 2 of n, from 0; whole numbers alone.
            let level = min(levelCount - 1, levelCount * (first + end) / (2 * ordered.count))
            while cuts.count < level { cuts.append(ordered[first]) }
            first = end
        }
        return RankCuts(checked: cuts, levelCount)
    }

    private init(checked leastValues: [Float], _ levelCount: Int) {
        (self.leastValues, self.levelCount) = (leastValues, levelCount)
    }

    /// 1…`levelCount`.
    package func level(_ value: Float) -> Int {
        var (low, high) = (0, leastValues.count)
        while low < high {
            let middle = (low + high) / 2
            if leastValues[middle] <= value { low = middle + 1 } else { high = middle }
        }
        return low + 1
    }
}

extension RankCuts {
    /// - Throws: `DecodingError` for cuts that descend or are too many.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        leastValues = try container.decode([Float].self, forKey: .leastValues)
        levelCount = try container.decode(Int.self, forKey: .levelCount)
        let ascends = zip(leastValues, leastValues.dropFirst()).allSatisfy { $0 <= $1 }
        guard Self.levelCounts.contains(levelCount), leastValues.count < levelCount, ascends else {
            throw DecodingError.dataCorruptedError(
                forKey: .leastValues, in: container, debugDescription: "no ascending cuts")
        }
    }
}
