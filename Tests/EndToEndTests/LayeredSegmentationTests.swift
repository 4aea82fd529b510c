import Engine
import Foundation
import Models
import TestSupport
import Testing
import Units

/// Segmentations within and across the segments of others.
@Suite struct LayeredSegmentationTests {
    private static let asOf = CalendarDay(daysSince1970: 19_800)

    /// Ten to forty customers of each stage, in two kinds by amount whose border is another in every
    /// stage.
    private static let lives: [(stage: String, days: [Int], amounts: [Int], count: Int)] = [
        ("new", [20, 5], [10, 20], 20), ("active", [500, 300, 40], [100, 500], 40),
        ("reactivated", [600, 10], [1_000, 9_000], 20), ("at risk", [700, 200], [3, 900], 30),
        ("lapsed", [600, 400], [50, 50], 10),
    ]

    /// By customer stage and kind.
    private static let truth: [(stage: Int, kind: Int)] = lives.enumerated().flatMap {
        stage, life in
        (0..<life.count).map { (stage, $0 % 2) }
    }

    private static let purchases: String = {
        var text = "customer,time,amount\n"
        for (customer, place) in truth.enumerated() {
            let life = lives[place.stage]
            for days in life.days {
                text += "\(customer),\(asOf + -days),\(life.amounts[place.kind])\n"
            }
        }
        return text
    }()

    private static let segmentations = """

        segmentations:
          stage: {algorithm: lifecycle, newDays: 30, activeDays: 90, lapsedDays: 365}
          amount: {features: [meanOrderValueWithFirst], scaling: logZScore, clusterCount: 2, per: stage}
          halves: {algorithm: quadrants, features: [orderCount, revenue]}
          micro: {algorithm: join, of: [stage, amount]}
          cells: {algorithm: join, of: [micro, halves]}

        """

    private func workspace(_ folder: URL) throws -> Workspace {
        let plan = barePlan.replacingOccurrences(
            of: "customerID: customer", with: "customerID: {column: customer, type: integer}")
        let workspace = try makeWorkspace(
            folder, plan: plan + Self.segmentations, purchases: Self.purchases)
        _ = try workspace.ingest()
        return workspace
    }

    @Test func microSegmentsWithinStages() throws {
        try withTemporaryFolder { folder in
            let workspace = try workspace(folder)
            let trained = try workspace.train(asOf: Self.asOf, threadCount: 2)
            let path = folder.sub("scores.csv")
            let summary = try workspace.score(asOf: Self.asOf, csvPath: path, threadCount: 2)
            #expect(summary.missingModels == ["affinity"])
            _ = try workspace.publish()
            let published = try publishedSegments(folder)
            func names(_ segmentation: String) throws -> [Int: String] {
                let table = try #require(
                    published.first { $0.segmentation == segmentation })
                return Dictionary(
                    uniqueKeysWithValues: table.segments.map { ($0.number, $0.name) })
            }
            let scores = try ScoreTable(path)
            let amounts = try scores.segments("amount")
            let micro = try scores.segments("micro")
            let cells = try scores.segments("cells")
            let halves = try scores.segments("halves")
            let (amountNames, microNames) = (try names("amount"), try names("micro"))
            for (row, place) in Self.truth.enumerated() {
                let life = Self.lives[place.stage]
                let name = try #require(amountNames[Int(amounts[row])])
                // Customers of equal amounts cannot be divided: that stage is left whole.
                let inner =
                    life.stage == "lapsed"
                    ? "everybody" : (place.kind == 0 ? "low " : "high ") + "meanOrderValueWithFirst"
                #expect(name == "\(life.stage): \(inner)")
                let joined = try #require(microNames[Int(micro[row])])
                #expect(joined.hasPrefix("\(place.stage)."), "\(joined)")
                #expect(joined.hasSuffix("\(life.stage) | \(inner)"), "\(joined)")
            }
            // Nine combinations occur of 5 x 9, and only these are listed.
            #expect(microNames.count == 9)
            #expect(amountNames.count == 9)
            let codes = try names("cells").values.map { $0.split(separator: " ")[0] }
            #expect(Set(codes).count == codes.count)
            #expect(codes.allSatisfy { $0.split(separator: ".").count == 3 }, "\(codes)")
            for row in cells.indices { #expect(cells[row] == micro[row] * 4 + halves[row]) }
            let cards = Dictionary(uniqueKeysWithValues: trained.models.map { ($0.name, $0) })
            let card = try #require(cards["segmentation.amount"])
            #expect(card.algorithm == "layers" && card.diagnostics["dividedCount"] == 4)
            #expect(card.warnings.count == 1 && card.warnings[0].hasPrefix("lapsed is left whole"))
            #expect(cards["segmentation.micro"]?.diagnostics["combinationCount"] == 45)
        }
    }

    /// What is made of a model that was trained anew since has no segments until it is, too.
    @Test func allLayersAreOfOneTraining() throws {
        try withTemporaryFolder { folder in
            let workspace = try workspace(folder)
            _ = try workspace.train(asOf: Self.asOf, threadCount: 2)
            let before = folder.sub("before.csv")
            _ = try workspace.score(asOf: Self.asOf, csvPath: before, threadCount: 2)
            _ = try workspace.train(
                asOf: Self.asOf, only: ["segmentation.amount"], threadCount: 2)
            let summary = try workspace.score(asOf: Self.asOf, threadCount: 2)
            #expect(
                summary.missingModels == ["segmentation.micro", "segmentation.cells", "affinity"])
            #expect(
                summary.notes?.contains { $0.contains("trained anew since") } ?? false,
                "\(summary.notes ?? [])")
            #expect(summary.columns.contains("amount_segment"))
            #expect(!summary.columns.contains("micro_segment"))
            _ = try workspace.train(
                asOf: Self.asOf, only: ["segmentation.micro", "segmentation.cells"],
                threadCount: 1)
            let after = folder.sub("after.csv")
            _ = try workspace.score(asOf: Self.asOf, csvPath: after, threadCount: 1)
            for name in ["stage", "amount", "micro", "cells"] {
                #expect(
                    try ScoreTable(after).segments(name) == ScoreTable(before).segments(name))
            }
            // Reports by micro-segment read all layers.
            let projection = try workspace.project(
                asOf: Self.asOf, horizon: Horizon(8, .week), step: .week, by: "micro",
                threadCount: 1)
            #expect(projection.asOf == Self.asOf.description)
        }
    }

    /// A plan may turn layers over: models that were made of each other in turn are no circle, for each
    /// is of a version.
    @Test func layersMayBeTurnedOver() throws {
        try withTemporaryFolder { folder in
            _ = try workspace(folder)
            let path = folder.sub("ws/patron.yaml")
            let text = try String(contentsOfFile: path, encoding: .utf8)
            let start = try #require(text.range(of: "segmentations:")).lowerBound
            func plan(_ segmentations: String) throws -> Workspace {
                try (text[..<start] + segmentations).write(
                    toFile: path, atomically: true, encoding: .utf8)
                return try Workspace(folder: folder.sub("ws"), access: .writing)
            }
            _ = try plan(
                """
                segmentations:
                  outer: {features: [revenue], clusterCount: 2}
                  inner: {features: [orderCount], clusterCount: 2, per: outer}

                """
            ).train(
                asOf: Self.asOf, only: ["segmentation.outer", "segmentation.inner"],
                threadCount: 1)
            let turned = try plan(
                """
                segmentations:
                  outer: {features: [revenue], clusterCount: 2, per: inner}
                  inner: {features: [orderCount], clusterCount: 2}

                """)
            func trainOuter() throws {
                _ = try turned.train(
                    asOf: Self.asOf, only: ["segmentation.outer"], threadCount: 1)
            }
            try trainOuter()
            // What it is made of was made of the version before.
            let error = #expect(throws: EngineError.self) { try trainOuter() }
            #expect(error?.description.contains("train both") == true)
            _ = try turned.train(
                asOf: Self.asOf, only: ["segmentation.inner", "segmentation.outer"],
                threadCount: 1)
            let summary = try turned.score(asOf: Self.asOf, threadCount: 1)
            #expect(summary.columns.contains("outer_segment"))
        }
    }

    /// A scoring that goes on from an earlier one gives what one of all customers gives.
    @Test func goingOnFromAnEarlierScoring() throws {
        try withTemporaryFolder { folder in
            let workspace = try workspace(folder)
            _ = try workspace.train(asOf: Self.asOf, threadCount: 2)
            _ = try workspace.score(asOf: Self.asOf, threadCount: 2)
            try folder.write(
                "customer,time,amount\n3,\(Self.asOf),70\n999,\(Self.asOf),8\n", as: "new.csv")
            _ = try workspace.ingest(IngestFiles(purchases: [folder.sub("new.csv")]))
            let carried = folder.sub("carried.csv")
            _ = try workspace.score(asOf: Self.asOf, csvPath: carried, threadCount: 2)
            try FileManager.default.removeItem(atPath: folder.sub("ws/cache"))
            let fresh = folder.sub("fresh.csv")
            _ = try workspace.score(asOf: Self.asOf, csvPath: fresh, threadCount: 1)
            #expect(
                try String(contentsOfFile: carried, encoding: .utf8)
                    == String(contentsOfFile: fresh, encoding: .utf8))
        }
    }

    @Test func tooManyCombinations() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(
                folder,
                plan: barePlan + """

                    segmentations:
                      a: {algorithm: rfm, levelCount: 5}
                      b: {algorithm: rfm, levelCount: 5}
                      micro: {algorithm: join, of: [a, b]}

                    """, purchases: Self.purchases)
            _ = try workspace.ingest()
            let summary = try workspace.train(asOf: Self.asOf, threadCount: 1)
            #expect(
                summary.notFitted["segmentation.micro"]?.contains("15625") ?? false,
                "\(summary.notFitted)")
        }
    }
}
