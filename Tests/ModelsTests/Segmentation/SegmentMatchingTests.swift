import Foundation
import Models
import Numerical
import Testing

@Suite struct SegmentMatchingTests {
    /// The largest total over all one-to-one choices, by trying them all.
    private func bruteForce(_ weights: [Int], _ rowCount: Int, _ columnCount: Int) -> Int {
        func best(_ row: Int, _ taken: Set<Int>) -> Int {
            if row == rowCount { return 0 }
            // A row may stay alone.
            var most = best(row + 1, taken)
            for column in 0..<columnCount where !taken.contains(column) {
                most = max(
                    most,
                    weights[row * columnCount + column]
                        + best(row + 1, taken.union([column])))
            }
            return most
        }
        return best(0, [])
    }

    @Test func assignmentIsTheHeaviest() {
        var random = SeededRandom(seed: 6)
        for rowCount in 0...6 {
            for columnCount in 0...6 {
                for bound in [2, 5, 1000] {
                    let weights = (0..<rowCount * columnCount).map { _ in random.below(bound) }
                    let columns = LinearAssignment.heaviest(
                        weights, rowCount: rowCount, columnCount: columnCount)
                    let used = columns.compactMap { $0 }
                    #expect(columns.count == rowCount && Set(used).count == used.count)
                    var total = 0
                    for (row, column) in columns.enumerated() {
                        guard let column else { continue }
                        #expect(weights[row * columnCount + column] > 0)
                        total += weights[row * columnCount + column]
                    }
                    #expect(
                        total == bruteForce(weights, rowCount, columnCount),
                        "\(rowCount) × \(columnCount): \(weights)")
                }
            }
        }
    }

    @Test func aLargeAssignment() {
        // The diagonal is far heavier than anything else, under a shuffle.
        let n = 200
        var random = SeededRandom(seed: 2)
        let order = (0..<n).shuffled(using: &random)
        var weights = (0..<n * n).map { _ in random.below(1000) }
        for row in 0..<n { weights[row * n + order[row]] = 1 << 50 }
        let columns = LinearAssignment.heaviest(weights, rowCount: n, columnCount: n)
        #expect(columns.compactMap { $0 } == order)
    }

    @Test func adjustedRandIsThatOfTheLabels() throws {
        var random = SeededRandom(seed: 4)
        for count in [0, 1, 2, 50, 400] {
            let old = (0..<count).map { _ in Int32(random.below(4)) }
            let new = old.map { random.uniform() < 0.7 ? ($0 + 1) % 4 : Int32(random.below(5)) }
            let migration = try SegmentMigration(old: old, new: new, oldCount: 4, newCount: 5)
            let expected = adjustedRandIndex(old, new)
            #expect(abs(migration.adjustedRand - expected) < 1e-12)
        }
        // Hubert and Arabie's measure, computed by hand: 2 × 3 table (2 1 0; 0 1 2).
        let known = try SegmentMigration(
            old: [0, 0, 0, 1, 1, 1], new: [0, 0, 1, 1, 2, 2], oldCount: 2, newCount: 3)
        // Together 2, pairs 6 and 3 of 15: (2 - 1.2) / (4.5 - 1.2).
        #expect(abs(known.adjustedRand - 0.8 / 3.3) < 1e-12)
        // A customer that only one has does not matter.
        let more = try SegmentMigration(
            old: [0, 0, 0, 1, 1, 1, -1, 0], new: [0, 0, 1, 1, 2, 2, 1, -1], oldCount: 2,
            newCount: 3)
        #expect(more.adjustedRand == known.adjustedRand)
    }

    @Test func migrationCountsEverybodyOnce() throws {
        let migration = try SegmentMigration(
            old: [0, 0, 1, -1, 1, -1], new: [1, 0, 1, 1, -1, -1], oldCount: 2, newCount: 2,
            amounts: [1, 2, 4, 8, 16, 32])
        #expect(migration.counts == [1, 1, 0, 0, 1, 1, 0, 1, 1])
        #expect(migration.amounts == [2, 1, 0, 0, 4, 16, 0, 8, 32])
        #expect(migration.keptOldSizes == [2, 1] && migration.keptNewSizes == [1, 2])
        let decoded = try JSONDecoder().decode(
            SegmentMigration.self, from: JSONEncoder().encode(migration))
        #expect(decoded == migration)
    }

    @Test func aRelabelledRefitKeepsItsIDs() throws {
        var random = SeededRandom(seed: 10)
        let order: [Int32] = [3, 0, 4, 1, 2]
        let old = (0..<5000).map { _ in Int32(random.below(5)) }
        let new = old.map { random.uniform() < 0.9 ? order[Int($0)] : Int32(random.below(5)) }
        let migration = try SegmentMigration(
            old: old, new: new, oldCount: 5, newCount: 5,
            amounts: [Double](repeating: 2, count: 5000))
        let matching = try SegmentMatching(
            migration, oldIDs: [10, 11, 12, 13, 14], nextID: 20)
        let kept: [Int] = order.map { matching.ids[Int($0)] }
        #expect(kept == [10, 11, 12, 13, 14])
        #expect(matching.nextID == 20 && matching.endedIDs.isEmpty)
        let moved = (0..<5000).count { new[$0] != order[Int(old[$0])] }
        #expect(matching.movedCount == moved && matching.movedAmount == 2 * Double(moved))
    }

    @Test func splitsMergesAndNewSegments() throws {
        // 0 splits 60 to 40; 1 and 2 merge; 3 is of customers that nobody had.
        let old =
            [Int32](repeating: 0, count: 100) + [Int32](repeating: 1, count: 70)
            + [Int32](repeating: 2, count: 50) + [Int32](repeating: -1, count: 30)
        let new =
            [Int32](repeating: 2, count: 40) + [Int32](repeating: 0, count: 60)
            + [Int32](repeating: 1, count: 120) + [Int32](repeating: 3, count: 30)
        let migration = try SegmentMigration(old: old, new: new, oldCount: 3, newCount: 4)
        let matching = try SegmentMatching(migration, oldIDs: [5, 7, 6], nextID: 9)
        #expect(matching.ids == [5, 7, 9, 10])
        #expect(matching.previous == [0, 1, nil, nil])
        #expect(matching.endedIDs == [6] && matching.nextID == 11)
        #expect(matching.similarities == [0.6, 70.0 / 120, 0, 0])
        #expect(matching.movedCount == 40 + 50)
        // 0.6 is not similar enough for 0.61.
        let strict = try SegmentMatching(
            migration, oldIDs: [5, 7, 6], nextID: 9, leastSimilarity: 0.61)
        #expect(strict.ids == [9, 10, 11, 12] && strict.endedIDs == [5, 6, 7])
        let first = try SegmentMatching(
            try SegmentMigration(old: [], new: [], oldCount: 0, newCount: 2), oldIDs: [],
            nextID: 0)
        #expect(first.ids == [0, 1] && first.nextID == 2)
    }

    @Test func refusesBadInput() throws {
        #expect(throws: ModelError.self) {
            try SegmentMigration(old: [0], new: [], oldCount: 1, newCount: 1)
        }
        #expect(throws: ModelError.self) {
            try SegmentMigration(old: [0], new: [1], oldCount: 1, newCount: 1)
        }
        #expect(throws: ModelError.nonFiniteValue(what: "amounts", row: 0, column: 0)) {
            try SegmentMigration(old: [0], new: [0], oldCount: 1, newCount: 1, amounts: [.nan])
        }
        let migration = try SegmentMigration(old: [0, 1], new: [0, 1], oldCount: 2, newCount: 2)
        for ids: [Int] in [[0], [0, 0], [0, 2], [-1, 0]] {
            #expect(throws: ModelError.self) {
                try SegmentMatching(migration, oldIDs: ids, nextID: 2)
            }
        }
        // Two new segments may want two new ids.
        #expect(throws: ModelError.self) {
            try SegmentMatching(migration, oldIDs: [0, 1], nextID: .max - 1)
        }
        #expect(
            try SegmentMatching(migration, oldIDs: [0, 1], nextID: .max - 2).nextID == .max - 2)
    }
}
