import Engine
import Foundation
import Models
import TestSupport
import Testing

/// The plans in Examples, on the made-up customers beside them, whose groups are planted, and on the
/// published sets whose columns they have, where these are at hand.
@Suite struct ExamplePlanTests {
    private static let folder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Examples")

    private struct Outcome {
        var cards: [String: ModelCard]
        var scores: ScoreTable
        var segments: [SegmentTable]
    }

    /// Runs a plan, on its own files or on another.
    private func run(_ example: String, on file: URL? = nil) throws -> Outcome {
        try withTemporaryFolder { folder in
            var planPath = Self.folder.sub("\(example)/patron.yaml")
            if let file {
                let plan = try String(contentsOfFile: planPath, encoding: .utf8)
                let files = try #require(
                    plan.split(separator: "\n").first { $0.contains("files: [") })
                planPath = try folder.write(
                    plan.replacingOccurrences(of: files, with: "    files: [\(file.path)]"),
                    as: "patron.yaml")
            }
            try Workspace.create(folder: folder.sub("ws"), planPath: planPath)
            let workspace = try Workspace(folder: folder.sub("ws"), access: .writing)
            let ingested = try workspace.ingest()
            #expect(ingested.rejectsPath == nil)
            let (cards, summary, scores) = try workspace.scored(folder)
            #expect(summary.missingModels.isEmpty)
            _ = try workspace.publish()
            let published = try publishedSegments(folder)
            return Outcome(cards: cards, scores: scores, segments: published)
        }
    }

    private func names(_ outcome: Outcome, _ segmentation: String) throws -> [String] {
        try #require(outcome.segments.first { $0.segmentation == segmentation })
            .segments.map(\.name)
    }

    /// Row i is of group i % `groups`, and rows are in the order of the ids.
    private func agreement(
        _ outcome: Outcome, _ segmentation: String, groups: Int
    ) throws -> Double {
        let segments = try outcome.scores.segments(segmentation)
        return adjustedRandIndex(segments, segments.indices.map { Int32($0 % groups) })
    }

    @Test func mallCustomers() throws {
        let outcome = try run("mall-customers")
        #expect(try agreement(outcome, "spending", groups: 5) > 0.95)
        #expect(outcome.cards["segmentation.spending"]?.diagnostics["clusterCount"] == 5)
        let names = try names(outcome, "spending")
        #expect(names.contains { $0.contains("high income") && $0.contains("high spendingScore") })
        #expect(names.contains { $0.contains("low income") && $0.contains("high spendingScore") })
    }

    @Test func wholesaleCustomers() throws {
        let outcome = try run("wholesale-customers")
        #expect(try agreement(outcome, "baskets", groups: 2) > 0.95)
        let names = try names(outcome, "trade")
        #expect(names.contains { $0.contains("channel=") || $0.contains("region=") }, "\(names)")
    }

    @Test func creditCardUsage() throws {
        let outcome = try run("credit-card-usage")
        #expect(try agreement(outcome, "usage", groups: 4) > 0.7)
        #expect(outcome.cards["segmentation.everything"]?.clusterCountChoice != nil)
    }

    @Test func teenInterests() throws {
        let outcome = try run("teen-interests")
        #expect(try agreement(outcome, "lifestyle", groups: 5) > 0.9)
        // Lines are the ids of a file without any: the first one after the header is 2.
        #expect(try outcome.scores.texts("customer_id").first == "2")
    }

    @Test func customerPersonality() throws {
        let outcome = try run("customer-personality")
        #expect(try agreement(outcome, "household", groups: 3) > 0.8)
        #expect(try agreement(outcome, "taste", groups: 3) > 0.8)
        let (outer, inner, micro) = (
            try outcome.scores.segments("household"), try outcome.scores.segments("taste"),
            try outcome.scores.segments("micro")
        )
        for row in micro.indices { #expect(micro[row] == outer[row] * 3 + inner[row]) }
        #expect(try names(outcome, "tasteAtHome").count == 6)
    }

    // MARK: The published sets

    /// Five groups by income and spending, as everybody finds them in this set.
    @Test func mallCustomersAsPublished() throws {
        guard let file = TestData.file("mall_customers/Mall_Customers.csv") else { return }
        let outcome = try run("mall-customers", on: file)
        let table = try #require(outcome.segments.first { $0.segmentation == "spending" })
        #expect(table.segments.map(\.customerCount).sorted() == [22, 23, 35, 39, 81])
        #expect(table.segments[0].customerCount == 81)
        #expect(Set(table.segments.map(\.name)).count == 5)
    }

    /// Six amounts tell hotels and restaurants from shops.
    @Test func wholesaleCustomersAsPublished() throws {
        guard let file = TestData.file("wholesale_customers/wholesale_customers.csv") else {
            return
        }
        let outcome = try run("wholesale-customers", on: file)
        let channels = try String(contentsOf: file, encoding: .utf8)
            .split(whereSeparator: \.isNewline).dropFirst().map { $0.split(separator: ",") }
        let ids = try outcome.scores.texts("customer_id")
        let channelOfID = Dictionary(
            uniqueKeysWithValues: channels.map { (String($0[0]), Int32($0[1]) ?? 0) })
        let truth = ids.map { channelOfID[$0] ?? 0 }
        #expect(ids.count == 440)
        #expect(adjustedRandIndex(try outcome.scores.segments("baskets"), truth) > 0.5)
    }

    @Test func creditCardUsageAsPublished() throws {
        guard let file = TestData.file("credit_card_usage/CC_GENERAL.csv") else { return }
        let outcome = try run("credit-card-usage", on: file)
        let card = try #require(outcome.cards["segmentation.everything"])
        #expect(card.data.customerCount == 8_950)
        let payments = card.inputs.first { $0.name == "attribute.minimumPayments" }
        #expect(payments?.missingCount == 313)
        #expect(Set(try names(outcome, "usage")).count == 4)
    }

    @Test func teenInterestsAsPublished() throws {
        guard let file = TestData.file("teen_interests/snsdata.csv") else { return }
        let outcome = try run("teen-interests", on: file)
        let table = try #require(outcome.segments.first { $0.segmentation == "lifestyle" })
        #expect(table.segments.map(\.customerCount).reduce(0, +) == 30_000)
        // Most of them write of little: the largest segment by far.
        #expect(table.segments[0].customerCount > 10_000)
        #expect(Set(table.segments.map(\.name)).count == 5)
    }

    @Test func customerPersonalityAsPublished() throws {
        guard let file = TestData.file("customer_personality/marketing_campaign.tsv") else {
            return
        }
        let outcome = try run("customer-personality", on: file)
        let card = try #require(outcome.cards["segmentation.household"])
        #expect(card.data.customerCount == 2_240)
        #expect(card.inputs.first { $0.name == "attribute.income" }?.missingCount == 24)
        let tables = Dictionary(
            uniqueKeysWithValues: outcome.segments.map { ($0.segmentation, $0) })
        #expect((2...9).contains(try #require(tables["micro"]).segments.count))
        for table in outcome.segments {
            #expect(table.segments.map(\.customerCount).reduce(0, +) == 2_240)
        }
    }
}
