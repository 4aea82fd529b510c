import Numerical

/// Which products are in baskets together: rules "who buys A buys B in the same basket".
///
/// With n baskets, of which n(A) hold A and n(AB) both: support n(AB) / n, confidence
/// n(AB) / n(A), lift n(AB) n / (n(A) n(B)). Products below the least support are left out first,
/// since no pair with one can reach it; the pairs of the others are counted exactly, in as many
/// ranges of first products as the memory asks for. The same rules for any thread count and memory.
/// Source: R. Agrawal, R. Srikant, "Fast algorithms for mining association rules", 1994, sections 1
/// and 2; lift: S. Brin, R. Motwani, J. Ullman, S. Tsur, 1997 (there: interest).
package enum AssociationRules {
    package struct Parameters: Sendable, Equatable, Codable {
        /// Least share of the baskets with both products, 0 ... 1. Up: fewer rules, less memory.
        package var leastSupport = 0.001
        /// Least number of baskets with both, at least 1. Up: fewer rules by accident.
        package var leastCount = 5
        /// 0 ... 1. Up: fewer, surer rules.
        package var leastConfidence = 0.1
        /// At least 0. 1: together at least as often as by accident.
        package var leastLift = 1.0
        /// Rules that are kept at most, the first in the order of the result; at least 1.
        package var maximumCount = 10_000
        /// Bytes of counters of pairs at a time, at least 1 MiB; the time grows with the passes over
        /// the baskets that it takes.
        package var memoryByteCount = 256 << 20
        /// At least 1; does not change the result.
        package var threadCount = 1

        private enum CodingKeys: String, CodingKey {
            case leastSupport, leastCount, leastConfidence, leastLift, maximumCount
            case memoryByteCount
        }

        package init() {}

        package func check() throws(ModelError) {
            for (value, name) in [
                (leastSupport, "leastSupport"), (leastConfidence, "leastConfidence"),
            ] where !(0...1).contains(value) {
                throw .outOfRange(what: name, actual: value, allowed: "0 ... 1")
            }
            guard leastLift >= 0, leastLift.isFinite else {
                throw .outOfRange(what: "leastLift", actual: leastLift, allowed: "at least 0")
            }
            for (value, least, name) in [
                (leastCount, 1, "leastCount"), (maximumCount, 1, "maximumCount"),
                (memoryByteCount, 1 << 20, "memoryByteCount"), (threadCount, 1, "threadCount"),
            ] where value < least {
                throw .outOfRange(
                    what: name, actual: Double(value), allowed: "at least \(least)")
            }
        }
    }

    package struct Rule: Sendable, Equatable, Codable {
        package let antecedent: Int32
        package let consequent: Int32
        /// Baskets with both.
        package let basketCount: Int
        package let support: Double
        package let confidence: Double
        package let lift: Double

        /// Higher lift first, then more baskets, then the lower products.
        fileprivate func isBefore(_ other: Rule) -> Bool {
            if lift != other.lift { return lift > other.lift }
            if basketCount != other.basketCount { return basketCount > other.basketCount }
            return (antecedent, consequent) < (other.antecedent, other.consequent)
        }
    }

    package struct Report: Sendable, Equatable, Codable {
        package let basketCount: Int
        /// Products that reach the least support by themselves.
        package let frequentItemCount: Int
        /// Rules that meet every condition, kept or not.
        package let foundCount: Int
        /// By lift, highest first; ties to more baskets, then to the lower products.
        package let rules: [Rule]
    }

    /// - Throws: `noRows` without baskets; `outOfRange` for a parameter.
    /// - Complexity: O(Σ basket size² + passes × items), and F² / 2 counters of 4 bytes for F
    ///   frequent products, so many at a time as `memoryByteCount` holds (one product's
    ///   always); beside them 12 bytes for each pair that reaches the least support.
    package static func find(
        _ baskets: PurchaseBaskets, _ parameters: Parameters
    ) throws(ModelError) -> Report {
        try parameters.check()
        guard baskets.basketCount > 0 else { throw .noRows(model: "association rules") }
        let least = max(
            parameters.leastCount,
            Int((parameters.leastSupport * Double(baskets.basketCount)).rounded(.up)))
        var counts = [Int](repeating: 0, count: baskets.itemCount)
        for item in baskets.items { counts[Int(item)] += 1 }
        let frequent = counts.indices.filter { counts[$0] >= least }.map { Int32($0) }
        let kept = FrequentBaskets(baskets, frequent)
        let ranges = Self.ranges(frequent.count, parameters)
        let parts = parallelMap(
            count: ranges.count, chunkSize: 1, threadCount: parameters.threadCount
        ) { part, _ in
            kept.pairs(ranges[part], leastCount: least)
        }
        var rules: [Rule] = []
        var foundCount = 0
        let n = Double(baskets.basketCount)
        for pair in parts.joined() {
            for (a, b) in [(pair.first, pair.second), (pair.second, pair.first)] {
                let (antecedent, consequent) = (frequent[Int(a)], frequent[Int(b)])
                let (ofA, ofB) = (counts[Int(antecedent)], counts[Int(consequent)])
                let confidence = Double(pair.count) / Double(ofA)
                let lift = Double(pair.count) * n / (Double(ofA) * Double(ofB))
                guard confidence >= parameters.leastConfidence, lift >= parameters.leastLift
                else { continue }
                foundCount += 1
                rules.append(
                    Rule(
                        antecedent: antecedent, consequent: consequent,
                        basketCount: Int(pair.count), support: Double(pair.count) / n,
                        confidence: confidence, lift: lift))
            }
            // Never more than twice as many in memory as are kept; halved, so that no limit is too
            // large to double.
            if (rules.count - 2) / 2 >= parameters.maximumCount {
                keepBest(&rules, parameters.maximumCount)
            }
        }
        keepBest(&rules, parameters.maximumCount)
        return Report(
            basketCount: baskets.basketCount, frequentItemCount: frequent.count,
            foundCount: foundCount, rules: rules)
    }

    private static func keepBest(_ rules: inout [Rule], _ count: Int) {
        rules.sort { $0.isBefore($1) }
        if rules.count > count { rules.removeLast(rules.count - count) }
    }

    /// First products whose pairs are counted together: equally many counters each, at most what the
    /// memory of a thread holds.
    private static func ranges(_ count: Int, _ parameters: Parameters) -> [Range<Int>] {
        let limit = max(1, parameters.memoryByteCount / 4 / parameters.threadCount)
        let total = count * max(0, count - 1) / 2
        let target = min(limit, max(1 << 16, total / parameters.threadCount + 1))
        var ranges: [Range<Int>] = []
        var (first, cells) = (0, 0)
        for item in 0..<count {
            let own = count - 1 - item
            if item > first, cells + own > target {
                ranges.append(first..<item)
                (first, cells) = (item, 0)
            }
            cells += own
        }
        if count > first { ranges.append(first..<count) }
        return ranges
    }
}

/// Two products, by their places among the frequent ones, and the baskets with both.
private struct FrequentPair: Sendable {
    let first: Int32
    let second: Int32
    let count: UInt32
}

/// Baskets without the products that are not frequent, by places among these.
private struct FrequentBaskets: Sendable {
    let itemCount: Int
    private var offsets = [0]
    private var places: [Int32] = []

    init(_ baskets: PurchaseBaskets, _ frequent: [Int32]) {
        itemCount = frequent.count
        var placeOf = [Int32](repeating: -1, count: baskets.itemCount)
        for (place, item) in frequent.enumerated() { placeOf[Int(item)] = Int32(place) }
        for b in 0..<baskets.basketCount {
            let start = places.count
            for i in baskets.entries(of: b) where placeOf[Int(baskets.items[i])] >= 0 {
                places.append(placeOf[Int(baskets.items[i])])
            }
            // One product alone makes no pair.
            if places.count - start < 2 {
                places.removeLast(places.count - start)
            } else {
                offsets.append(places.count)
            }
        }
    }

    /// The pairs with a first place in `range`, in order.
    func pairs(_ range: Range<Int>, leastCount: Int) -> [FrequentPair] {
        var rowStarts: [Int] = []
        var cells = 0
        for first in range {
            // The counter of (first, second) is at this + second.
            rowStarts.append(cells - first - 1)
            cells += itemCount - 1 - first
        }
        var counters = [UInt32](repeating: 0, count: cells)
        do {
            var cells = counters.mutableSpan
            let (places, offsets) = (places.span, offsets.span)
            for b in 0..<offsets.count - 1 {
                let end = offsets[b + 1]
                for i in offsets[b]..<end {
                    let first = Int(places[i])
                    if first < range.lowerBound { continue }
                    if first >= range.upperBound { break }
                    let row = rowStarts[first - range.lowerBound]
                    for j in i + 1..<end { cells[row + Int(places[j])] += 1 }
                }
            }
        }
        var pairs: [FrequentPair] = []
        for first in range {
            let row = rowStarts[first - range.lowerBound]
            for second in first + 1..<itemCount
            where counters[row + second] >= UInt32(leastCount) {
                pairs.append(
                    FrequentPair(
                        first: Int32(first), second: Int32(second),
                        count: counters[row + second]))
            }
        }
        return pairs
    }
}
