import Engine
import Foundation
import Models
import Numerical
import TestSupport
import Testing
import Units

/// A segmentation that chooses its number of segments.
@Suite struct ClusterCountTests {
    private func plan(_ clusterCount: String) -> String {
        barePlan + """

            segmentations:
              kinds:
                features: [daysSinceLastPurchase, meanOrderValue]
                clusterCount: \(clusterCount)
                scaling: zScore
            """
    }

    /// Three kinds of customers: small orders long ago, small and large ones of late; two orders
    /// each, of about one amount.
    private var purchases: String {
        let kinds = [(day: 0.0, amount: 100.0), (day: 200, amount: 400), (day: 200, amount: 100)]
        var random = SeededRandom(seed: 3)
        var text = "customer,time,amount\n"
        for customer in 0..<120 {
            let kind = kinds[customer % 3]
            let amount = Int(kind.amount + 15 * random.normal())
            let last = 19_100 + Int(kind.day + 9 * random.normal())
            for day in [19_000, last] {
                text += "\(customer),\(CalendarDay(daysSince1970: day)),\(amount)\n"
            }
        }
        return text
    }

    private func train(_ clusterCount: String, threadCount: Int = 2) throws -> ModelCard {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(
                folder, plan: plan(clusterCount), purchases: purchases)
            _ = try workspace.ingest()
            let summary = try workspace.train(
                only: ["segmentation.kinds"], threadCount: threadCount)
            let card = try #require(summary.models.first)
            #expect(try workspace.modelCards() == [card])
            return card
        }
    }

    @Test(arguments: ["auto", "{from: 2, to: 6, criterion: calinskiHarabasz}"])
    func theKindsAreFoundAndTheCurveIsKept(clusterCount: String) throws {
        let card = try train(clusterCount)
        #expect(card.diagnostics["clusterCount"] == 3)
        let choice = try #require(card.clusterCountChoice)
        let isDefault = clusterCount == "auto"
        #expect(choice.criterion == (isDefault ? .silhouette : .calinskiHarabasz))
        #expect(choice.trials.map(\.clusterCount) == Array(isDefault ? 2...12 : 2...6))
        #expect(choice.sampleRowCount == 120)
        #expect(choice.trials.count(where: { $0.inertia != nil }) >= 4)
        #expect(card.diagnostics["silhouette"] == choice.trials[1].silhouette)
        #expect(card.warnings.isEmpty)
        #expect(try train(clusterCount, threadCount: 1) == card)
    }

    @Test func aFixedNumberSearchesNothing() throws {
        let card = try train("3")
        #expect(card.clusterCountChoice == nil)
        #expect(
            card.diagnostics.keys.sorted() == [
                "clusterCount", "inertia", "iterations", "seedAdjustedRand",
            ])
        let text = String(decoding: try JSONEncoder().encode(card), as: UTF8.self)
        #expect(!text.contains("clusterCountChoice"))
    }

    @Test func noNumberFits() throws {
        #expect(throws: EngineError.self) {
            _ = try train("{from: 200, to: 202}")
        }
    }
}
