/// Which new segment is which old one, so that a refit keeps the numbers that people know.
///
/// A new segment keeps the id of the old one that the best assignment as a whole pairs it with: the
/// pairs that together have the most customers in common. A pair counts only where its segments are
/// similar enough; a new segment without one gets an id that no segment ever had.
package struct SegmentMatching: Sendable, Equatable, Codable {
    /// Customers in common over customers in either of the two: with equally large segments, 1/3 is
    /// half of the customers in common. Two halves of a split segment have 1/2 each, and the one
    /// that adds more to the whole keeps the id.
    ///
    /// Source: the similarity is Jaccard's, as for clusters in C. Hennig, "Cluster-wise assessment of
    /// cluster stability", Computational Statistics & Data Analysis 52, 2007, section 2.
    package static let leastSimilarity = 1.0 / 3

    /// `[newCount]`: the id of each new segment; all differ.
    package let ids: [Int]
    /// `[newCount]`: the number of the old segment that each continues; nil: it is new.
    package let previous: [Int?]
    /// `[newCount]`: similarity with it, over the customers that both assignments have; 0 where
    /// there is none.
    package let similarities: [Double]
    /// Ids of old segments that no new one continues, ascending.
    package let endedIDs: [Int]
    /// The lowest id that no segment ever had: for the next match.
    package let nextID: Int
    /// Of the customers that both have: how many are in a segment of another id than before, and
    /// their amount.
    package let movedCount: Int
    package let movedAmount: Double

    /// - Parameters:
    ///   - migration: from the old segments, by number, to the new ones.
    ///   - oldIDs: `[oldCount]`, the id of each old segment; all differ.
    ///   - nextID: above all ids that were ever given.
    ///   - leastSimilarity: above 0, at most 1.
    /// - Throws: `countMismatch`, `outOfRange`.
    package init(
        _ migration: SegmentMigration, oldIDs: [Int], nextID: Int,
        leastSimilarity: Double = SegmentMatching.leastSimilarity
    ) throws(ModelError) {
        let (oldCount, newCount) = (migration.oldCount, migration.newCount)
        guard oldIDs.count == oldCount else {
            throw .countMismatch(
                what: "ids of the old segments", actual: oldIDs.count, expected: oldCount)
        }
        guard leastSimilarity > 0 && leastSimilarity <= 1 else {
            throw .outOfRange(
                what: "leastSimilarity", actual: leastSimilarity, allowed: "above 0, at most 1")
        }
        guard Set(oldIDs).count == oldCount, oldIDs.allSatisfy({ $0 < nextID && $0 >= 0 }) else {
            throw .outOfRange(
                what: "nextID", actual: Double(nextID),
                allowed: "above all old ids, which differ and are at least 0")
        }
        guard nextID <= Int.max - newCount else {
            throw .outOfRange(
                what: "nextID", actual: Double(nextID),
                allowed: "at most \(Int.max) less the \(newCount) new segments")
        }
        let (oldSizes, newSizes) = (migration.keptOldSizes, migration.keptNewSizes)
        func similarity(_ old: Int, _ new: Int) -> Double {
            let common = migration.count(from: old, to: new)
            let either = oldSizes[old] + newSizes[new] - common
            return either > 0 ? Double(common) / Double(either) : 0
        }
        var weights: [Int] = []
        for new in 0..<newCount {
            for old in 0..<oldCount {
                weights.append(
                    similarity(old, new) >= leastSimilarity
                        ? migration.count(from: old, to: new) : 0)
            }
        }
        let previous = LinearAssignment.heaviest(
            weights, rowCount: newCount, columnCount: oldCount)
        var next = nextID
        var ids: [Int] = []
        for old in previous {
            if let old {
                ids.append(oldIDs[old])
            } else {
                ids.append(next)
                next += 1
            }
        }
        self.ids = ids
        self.previous = previous
        self.nextID = next
        similarities = previous.enumerated().map { new, old in
            old.map { similarity($0, new) } ?? 0
        }
        endedIDs = Set(oldIDs).subtracting(ids).sorted()
        var (movedCount, movedAmount) = (0, 0.0)
        for old in 0..<oldCount {
            for new in 0..<newCount where previous[new] != old {
                movedCount += migration.count(from: old, to: new)
                movedAmount += migration.amount(from: old, to: new)
            }
        }
        self.movedCount = movedCount
        self.movedAmount = movedAmount
    }
}
