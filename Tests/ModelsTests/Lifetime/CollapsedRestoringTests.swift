import Models
import Numerical
import Testing

/// A collapsed history comes back from its arrays, and nothing else does.
@Suite struct CollapsedRestoringTests {
    @Test func comesBack() throws {
        var random = SeededRandom(seed: 5, stream: 0)
        var (x, tx, age): ([Int32], [Int32], [Int32]) = ([], [], [])
        for _ in 0..<2_000 {
            x.append(Int32(random.below(4)))
            age.append(Int32(random.below(20)))
            tx.append(x[x.count - 1] == 0 ? 0 : Int32(random.below(Int(age[age.count - 1]) + 1)))
        }
        let whole = try CollapsedHistory(
            repeatPurchaseCount: x, ageAtLastPurchaseDays: tx, observedAgeDays: age)
        func restored(_ counts: [Int], reversed: Bool = false) throws -> CollapsedHistory {
            func order(_ values: [Int32]) -> [Int32] { reversed ? values.reversed() : values }
            return try CollapsedHistory(
                restoring: order(whole.repeatPurchaseCount),
                ageAtLastPurchaseDays: order(whole.ageAtLastPurchaseDays),
                observedAgeDays: order(whole.observedAgeDays), customerCount: counts)
        }
        #expect(try restored(whole.customerCount) == whole)
        #expect(throws: ModelError.self) { try restored(whole.customerCount, reversed: true) }
        #expect(throws: ModelError.self) { try restored(whole.customerCount.map { _ in 0 }) }
        #expect(throws: ModelError.self) { try restored([1]) }
    }
}
