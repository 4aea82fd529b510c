import Foundation

/// Measures of one ranked list against the set of relevant items. `ranked` is best first without
/// repeats; only its first k count. All are in 0...1.
package enum RankingMeasure {
    /// Relevant items among the first k, divided by the relevant items; nil without any relevant
    /// item, where recall says nothing.
    package static func recall(_ ranked: [Int32], relevant: Set<Int32>, k: Int) -> Double? {
        guard !relevant.isEmpty else { return nil }
        return Double(hits(ranked, relevant, k)) / Double(relevant.count)
    }

    /// Relevant items among the first k, divided by k (not by the length of a shorter list).
    /// - Precondition: k >= 1.
    package static func precision(_ ranked: [Int32], relevant: Set<Int32>, k: Int) -> Double {
        precondition(k >= 1, "precision needs a list of at least one place")
        return Double(hits(ranked, relevant, k)) / Double(k)
    }

    /// Normalised discounted cumulative gain with binary relevance and the discount
    /// 1 / log2(rank + 1); the ideal list has min(k, relevant) hits on top. Nil without any
    /// relevant item. Source: Järvelin & Kekäläinen 2002.
    package static func ndcg(_ ranked: [Int32], relevant: Set<Int32>, k: Int) -> Double? {
        precondition(k >= 1)
        guard !relevant.isEmpty else { return nil }
        var gain = 0.0
        for (place, item) in ranked.prefix(k).enumerated() where relevant.contains(item) {
            gain += 1 / log2(Double(place) + 2)
        }
        var ideal = 0.0
        for place in 0..<min(k, relevant.count) { ideal += 1 / log2(Double(place) + 2) }
        return gain / ideal
    }

    private static func hits(_ ranked: [Int32], _ relevant: Set<Int32>, _ k: Int) -> Int {
        ranked.prefix(max(0, k)).count(where: relevant.contains)
    }
}

/// Means of the measures over customers that are added one by one, so that nobody's lists need be
/// kept.
package struct RankingMeans: Sendable {
    private let k: Int
    private var sums = RankingSummary()

    /// - Precondition: k >= 1.
    package init(k: Int) {
        precondition(k >= 1)
        self.k = k
    }

    /// Adds a customer's list, best first; one without a relevant item is left out.
    package mutating func add(_ ranked: [Int32], relevant: Set<Int32>) {
        guard let recall = RankingMeasure.recall(ranked, relevant: relevant, k: k),
            let ndcg = RankingMeasure.ndcg(ranked, relevant: relevant, k: k)
        else { return }
        sums.recall += recall
        sums.ndcg += ndcg
        sums.precision += RankingMeasure.precision(ranked, relevant: relevant, k: k)
        sums.customerCount += 1
    }

    package var summary: RankingSummary {
        var means = sums
        let n = Double(max(1, sums.customerCount))
        means.recall /= n
        means.ndcg /= n
        means.precision /= n
        return means
    }
}

/// Means over the customers with at least one relevant item; all 0 where there is none.
package struct RankingSummary: Codable, Equatable, Sendable {
    package var recall = 0.0
    package var precision = 0.0
    package var ndcg = 0.0
    package var customerCount = 0

    package init() {}
}
