import ColumnStore
import Engine
import Foundation
import TestSupport
import Testing
import Units

/// Names of segments that go on: kept while all that they say is true. The names of the version before
/// are written anew here, so that what is kept is not what the naming would say itself.
@Suite struct KeptNamesTests {
    private struct File: Decodable { var model: FittedSegmentation }

    private func path(_ name: String, _ folder: URL, _ workspace: Workspace) throws -> String {
        let versions = workspace.manifest.models.filter { $0.name == "segmentation.\(name)" }
        let latest = try #require(versions.max { $0.version < $1.version })
        return folder.sub("ws/\(latest.file)")
    }

    private func model(
        _ name: String, _ folder: URL, _ workspace: Workspace
    ) throws -> FittedSegmentation {
        let bytes = try ArrayFile(path: try path(name, folder, workspace)).card
        return try JSONDecoder().decode(File.self, from: Data(bytes)).model
    }

    @Test func ofNumbersAndTexts() throws {
        try withTemporaryFolder { folder in
            var text = "id,income,favourite\n"
            for i in 0..<300 {
                let kind = [("30", "sport"), ("31", "\"rock, pop\""), ("90", "sport")][i % 3]
                text += "\(i),\(kind.0),\(i % 10 == 0 ? "chess" : kind.1)\n"
            }
            let workspace = try makeCustomers(
                folder, attributes: "{income: number, favourite: text}",
                segmentations: """
                    kinds: {algorithm: kPrototypes, features: [income, favourite], clusterCount: 3}
                    """, customers: text)
            _ = try workspace.train(threadCount: 1)
            let first = try model("kinds", folder, workspace)
            let names = first.segmentNames
            let music = try #require(names.firstIndex { $0.contains("favourite=rock, pop") })
            let rich = try #require(names.firstIndex { $0.contains("high income") })
            let poor = try #require((0..<3).first { $0 != music && $0 != rich })
            // True, though it says it the other way round; nothing of the second is; the third
            // speaks of a value and of a feature that there are not.
            let kept = "low income, favourite=rock, pop"
            #expect(!names.contains(kept))
            try ForgedArrays.rewriteModel(try path("kinds", folder, workspace)) { model in
                var forged = names
                forged[music] = kept
                forged[rich] = "high income, favourite=rock, pop"
                forged[poor] = "favourite=rock, low income"
                model["segmentNames"] = forged
            }
            _ = try workspace.train(threadCount: 1)
            let second = try model("kinds", folder, workspace)
            #expect(second.segmentIDs == first.segmentIDs)
            var expected = names
            expected[music] = kept
            #expect(second.segmentNames == expected)
        }
    }

    @Test func withinTheSegmentsOfOthers() throws {
        try withTemporaryFolder { folder in
            let asOf = CalendarDay(daysSince1970: 19_800)
            var text = "customer,time,amount\n"
            for customer in 0..<120 {
                let days = customer < 60 ? [5, 20] : [500, 300, 40]
                for day in days {
                    text += "\(customer),\(asOf + -day),\([10, 700][customer % 2])\n"
                }
            }
            let workspace = try makeWorkspace(
                folder,
                plan: barePlan + """

                    segmentations:
                      stage: {algorithm: lifecycle, newDays: 30, activeDays: 90, lapsedDays: 365}
                      amount:
                        features: [revenue, meanOrderValueWithFirst]
                        scaling: zScore
                        clusterCount: 2
                        per: stage

                    """, purchases: text)
            _ = try workspace.ingest()
            let models = ["segmentation.stage", "segmentation.amount"]
            _ = try workspace.train(asOf: asOf, only: models, threadCount: 1)
            let first = try model("amount", folder, workspace)
            let kept = "high meanOrderValueWithFirst"
            let high = try #require(
                first.segmentNames.firstIndex { $0.hasPrefix("new: high ") })
            let low = try #require(first.segmentNames.firstIndex { $0.hasPrefix("new: low ") })
            #expect(first.segmentNames[high] != "new: " + kept)
            try ForgedArrays.rewriteModel(try path("amount", folder, workspace)) { model in
                var layers = try #require(model["layers"] as? [String: Any])
                var parts = try #require(layers["parts"] as? [Any])
                // Of the new ones: the first stage.
                var part = try #require(parts[0] as? [String: Any])
                // True of one, false of the other.
                part["segmentNames"] = [kept, kept]
                parts[0] = part
                layers["parts"] = parts
                model["layers"] = layers
            }
            _ = try workspace.train(asOf: asOf, only: models, threadCount: 1)
            let second = try model("amount", folder, workspace)
            // Stages that nobody is in continue nothing.
            #expect(second.segmentIDs[...low] == first.segmentIDs[...low])
            #expect(second.segmentIDs[...high] == first.segmentIDs[...high])
            var expected = first.segmentNames
            expected[high] = "new: " + kept
            #expect(second.segmentNames == expected)
            #expect(second.segmentNames[low] == first.segmentNames[low])
        }
    }
}
