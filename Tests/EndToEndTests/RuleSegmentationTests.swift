import Engine
import Foundation
import Models
import TestSupport
import Testing
import Units

/// Segmentations by rules, from purchases to segment tables.
@Suite struct RuleSegmentationTests {
    private static let asOf = CalendarDay(daysSince1970: 19_800)

    /// One customer of each stage, ten times over, by days before the as-of day.
    private static let lives: [(stage: String, days: [Int])] = [
        ("new", [20, 5]), ("active", [500, 300, 40]), ("reactivated", [600, 10]),
        ("at risk", [700, 200]), ("lapsed", [600, 400]),
    ]

    private static let purchases: String = {
        var text = "customer,time,amount\n"
        for copy in 0..<10 {
            for (index, life) in lives.enumerated() {
                for days in life.days {
                    let amount = 10 * (copy + 1) + index
                    text += "\(copy * 5 + index),\(asOf + -days),\(amount)\n"
                }
            }
        }
        return text
    }()

    private static let plan =
        barePlan + """

            segmentations:
              grid: {algorithm: rfm, levelCount: 2}
              stage: {algorithm: lifecycle, newDays: 30, activeDays: 90, lapsedDays: 365}
              prospects: {algorithm: quadrants, features: [margin, predictedPurchases]}
              likely: {features: [predictedAlive, predictedPurchases], clusterCount: 2}

            """

    @Test func everybodyIsWhereTheRulesSay() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(
                folder, plan: Self.plan, purchases: Self.purchases)
            _ = try workspace.ingest()
            let trained = try workspace.train(asOf: Self.asOf, threadCount: 2)
            // Those that read predictions wait for the model that makes them.
            #expect(
                trained.models.map(\.name).filter { $0 != "affinity" } == [
                    "segmentation.grid", "segmentation.stage", "lifetime", "segmentation.likely",
                    "segmentation.prospects",
                ])
            let cards = Dictionary(uniqueKeysWithValues: trained.models.map { ($0.name, $0) })
            #expect(cards["segmentation.stage"]?.diagnostics["lapsedDays"] == 365)
            #expect(cards["segmentation.grid"]?.algorithm == "rfm")
            // Half of the last orders are 5, 10 or 40 days ago, and the middle of a tie decides.
            #expect(
                cards["segmentation.grid"]?.diagnostics["level2.daysSinceLastPurchase"] == 40)

            let path = folder.sub("scores.csv")
            _ = try workspace.score(asOf: Self.asOf, csvPath: path, threadCount: 2)
            _ = try workspace.publish()
            let rows = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
            let header = rows[0].split(separator: ",").map(String.init)
            func column(_ name: String) throws -> [String] {
                let index = try #require(header.firstIndex(of: name))
                return rows.dropFirst().map {
                    String($0.split(separator: ",", omittingEmptySubsequences: false)[index])
                }
            }
            let ids = try column("customer_id").compactMap(Int.init)
            let stages = try column("stage_segment").compactMap(Int.init)
            let names = ["new", "active", "reactivated", "at risk", "lapsed"]
            #expect(ids.count == 50)
            for (id, stage) in zip(ids, stages) {
                #expect(names[stage] == Self.lives[id % 5].stage, "customer \(id)")
            }
            // Recency is level 2 for those three stages; the cells of the grid are R, F, M.
            for (id, cell) in zip(ids, try column("grid_segment").compactMap(Int.init)) {
                #expect((cell >= 4) == (id % 5 < 3), "customer \(id)")
            }
            let purchases = try column("expected_purchases").compactMap(Double.init)
            let quadrants = try column("prospects_segment").compactMap(Int.init)
            let least = try #require(
                cards["segmentation.prospects"]?.diagnostics["high.predictedPurchases"])
            for (expected, quadrant) in zip(purchases, quadrants) {
                #expect((Float(expected) >= Float(least)) == (quadrant % 2 == 0))
            }
        }
    }

    /// A prediction that the lifetime model does not make is named, and costs that segmentation only.
    @Test func aPredictionThatIsMissingIsNamed() throws {
        try withTemporaryFolder { folder in
            let plan =
                barePlan + """

                    segmentations:
                      prospects:
                        algorithm: quadrants
                        features: [margin, predictedLifetimeValue]

                    """
            // Nobody buys twice: order values cannot be fitted.
            let purchases =
                "customer,time,amount\n"
                + (0..<30).map { "\($0),\(Self.asOf + -$0),10\n" }.joined()
            let workspace = try makeWorkspace(folder, plan: plan, purchases: purchases)
            _ = try workspace.ingest()
            // Of each model with its reason, where no model can be fitted.
            #expect {
                _ = try workspace.train(asOf: Self.asOf, threadCount: 1)
            } throws: { error in
                guard case .nothingFitted(let reasons)? = error as? EngineError else {
                    return false
                }
                return reasons["segmentation.prospects"]?.contains("train lifetime first") == true
            }
            #expect {
                _ = try workspace.train(
                    asOf: Self.asOf, only: ["segmentation.prospects"], threadCount: 1)
            } throws: { error in
                "\(error)".contains("predictedLifetimeValue")
            }
        }
    }
}
