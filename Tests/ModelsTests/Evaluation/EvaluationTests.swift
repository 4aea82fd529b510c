import Foundation
import Models
import Numerical
import Testing

@Suite struct EvaluationTests {
    /// Source: Hubert & Arabie's formula on the contingency table [[2, 1], [0, 3]]: pairs 1 + 3,
    /// rows 3 + 3, columns 1 + 6, of 15.
    @Test func adjustedRandIndexOfSmallTables() {
        let index = adjustedRandIndex([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1])
        let expected = 6.0 * 7 / 15
        #expect(abs(index - (4 - expected) / (6.5 - expected)) < 1e-15)
        #expect(adjustedRandIndex([0, 0, 1, 1], [7, 7, -3, -3]) == 1)
        #expect(abs(adjustedRandIndex([0, 0, 1, 1], [0, 1, 0, 1]) + 0.5) < 1e-15)
        #expect(adjustedRandIndex([1, 1, 1], [2, 2, 2]) == 1)
        #expect(adjustedRandIndex([1, 2, 3], [3, 1, 2]) == 1)
        #expect(adjustedRandIndex([1, 1, 1], [1, 2, 3]) == 0)
        #expect(adjustedRandIndex([], []) == 0)
    }

    @Test func rankingOfASmallList() throws {
        let ranked: [Int32] = [4, 9, 1, 7]
        let relevant: Set<Int32> = [9, 7, 8]
        #expect(RankingMeasure.recall(ranked, relevant: relevant, k: 2) == 1.0 / 3)
        #expect(RankingMeasure.recall(ranked, relevant: relevant, k: 10) == 2.0 / 3)
        #expect(RankingMeasure.precision(ranked, relevant: relevant, k: 10) == 0.2)
        let ndcg = try #require(RankingMeasure.ndcg(ranked, relevant: relevant, k: 4))
        let ideal = 1 + 1 / log2(3.0) + 0.5
        #expect(abs(ndcg - (1 / log2(3.0) + 1 / log2(5.0)) / ideal) < 1e-15)
        #expect(RankingMeasure.recall(ranked, relevant: [], k: 3) == nil)
        var means = RankingMeans(k: 2)
        #expect(means.summary.recall == 0)
        means.add(ranked, relevant: relevant)
        means.add(ranked, relevant: [])
        #expect(means.summary.customerCount == 1 && means.summary.recall == 1.0 / 3)
    }

    @Test func areaUnderROCAgreesWithPairs() throws {
        var random = SeededRandom(seed: 41)
        let scores = (0..<200).map { _ in Double(random.below(20)) }
        let positive = scores.map { random.uniform() < 0.2 + $0 / 40 }
        var wins = 0.0
        var pairs = 0.0
        for i in scores.indices where positive[i] {
            for j in scores.indices where !positive[j] {
                wins += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0
                pairs += 1
            }
        }
        let area = try #require(areaUnderROC(scores: scores, positive: positive))
        #expect(abs(area - wins / pairs) < 1e-14)
        #expect(areaUnderROC(scores: [1, 2], positive: [true, true]) == nil)
        #expect(areaUnderROC(scores: [], positive: []) == nil)
    }

    @Test func errorsOfSmallLists() throws {
        #expect(meanAbsoluteError([1, 2], [2, 4]) == 1.5)
        #expect(rootMeanSquareError([1, 1], [4, 5]) == 12.5.squareRoot())
        #expect(meanAbsoluteError([], []) == 0 && rootMeanSquareError([], []) == 0)
        let summary = try HoldoutSummary(
            expected: [1, 2, 0], actual: [2, 1, 0], repeatPurchaseCount: [0, 12, 0])
        #expect(summary.expectedPurchases == 3 && summary.actualPurchases == 3)
        #expect(summary.bins.count == 8)
        #expect(summary.bins[7].customerCount == 1 && summary.bins[7].actualPurchases == 1)
        #expect(summary.bins[0].expectedPurchases == 0.5)
        #expect(throws: ModelError.self) {
            try HoldoutSummary(expected: [.nan], actual: [1], repeatPurchaseCount: [0])
        }
        #expect(throws: ModelError.noRows(model: "hold-out summary")) {
            try HoldoutSummary(expected: [], actual: [], repeatPurchaseCount: [])
        }
    }
}
