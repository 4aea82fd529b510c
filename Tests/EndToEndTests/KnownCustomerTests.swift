import ColumnStore
import Engine
import Foundation
import Models
import PatronClient
import TestSupport
import Testing
import Units

/// Customers without a purchase line, in a workspace that has purchases: segmentations that need none
/// place them.
@Suite struct KnownCustomerTests {
    private static let asOf = CalendarDay(daysSince1970: 19_800)

    private static let plan = """
        version: 1
        sources:
          purchases:
            files: [purchases.csv]
            columns:
              customerID: {column: customer, type: integer}
              time: time
              amount: amount
              product: product
              promotion: promotion
          customers:
            files: [customers.csv]
            id: {column: id, type: integer}
            attributes: {age: number, town: text}
        segmentations:
          people: {features: [age], scaling: none, clusterCount: 2}
          towns: {algorithm: kPrototypes, features: [town, age], clusterCount: 2}
          within: {features: [age], scaling: none, clusterCount: 2, per: people}
          both: {algorithm: join, of: [people, towns]}
          value: {features: [revenue], scaling: none, clusterCount: 2}
          worth: {features: [revenue], scaling: none, clusterCount: 2, per: people}
          cells: {algorithm: join, of: [people, value]}
        affinity: {factorCount: 2}

        """

    /// That need no purchases, and that do.
    private static let ofAll = ["people", "towns", "within", "both"]
    private static let ofPurchasers = ["value", "worth", "cells"]

    /// Customer i buys where i % 5 < 3; i % 5 == 3 only brings things back, 4 is known by attributes
    /// alone.
    private static let customerCount = 200

    private static func age(_ customer: Int) -> Int {
        (customer % 2 == 0 ? 20 : 60) + customer / 2 % 5
    }

    private static let purchases: String = {
        var text = "customer,time,amount,product,promotion\n"
        for customer in 0..<customerCount where customer % 5 < 4 {
            for order in 0..<(1 + customer % 4) {
                let amount = customer % 5 == 3 ? -5 : customer % 3 == 0 ? 500 : 20 + customer % 7
                let product = "p\((customer + order) % 9)"
                let promotion = order == 1 ? "spring" : ""
                text +=
                    "\(customer),\(asOf + -(3 + order * 11 + customer % 10)),\(amount),"
                    + "\(product),\(promotion)\n"
            }
        }
        return text
    }()

    /// Of customer 7 and 11, who buy, nothing else is known.
    private static func customers(_ known: (Int) -> Bool) -> String {
        var text = "id,age,town\n"
        for customer in (0..<customerCount).reversed() where known(customer) {
            if [7, 11].contains(customer) { continue }
            text += "\(customer),\(age(customer)),\(customer % 2 == 0 ? "north" : "south")\n"
        }
        return text
    }

    private func workspace(
        _ folder: URL, variant: String = "factors", known: (Int) -> Bool = { _ in true }
    ) throws -> Workspace {
        try folder.write(Self.customers(known), as: "customers.csv")
        let plan = Self.plan.replacingOccurrences(
            of: "affinity: {", with: "affinity: {variant: \(variant), ")
        let workspace = try makeWorkspace(folder, plan: plan, purchases: Self.purchases)
        _ = try workspace.ingest()
        return workspace
    }

    private func scores(
        _ workspace: Workspace, _ folder: URL, _ name: String = "scores.csv",
        asOf: CalendarDay = Self.asOf, threadCount: Int = 2
    ) throws -> (summary: ScoreSummary, table: ScoreTable, text: String) {
        let path = folder.sub(name)
        let summary = try workspace.score(asOf: asOf, csvPath: path, threadCount: threadCount)
        return (
            summary, try ScoreTable(path), try String(contentsOfFile: path, encoding: .utf8)
        )
    }

    @Test func segmentsOfAttributesAreOfEverybodyKnown() throws {
        try withTemporaryFolder { folder in
            let workspace = try workspace(folder)
            let trained = try workspace.train(asOf: Self.asOf, threadCount: 2)
            #expect(trained.notFitted["segmentation.worth"] == nil, "\(trained.notFitted)")
            for card in trained.models {
                let isOfAll = Self.ofAll.contains { "segmentation.\($0)" == card.name }
                #expect(card.data.customerCount == (isOfAll ? 200 : 160), "\(card.name)")
            }
            let (summary, table, text) = try scores(workspace, folder)
            #expect(summary.customerCount == 200 && summary.missingModels.isEmpty)
            #expect(summary.statusCounts == ["0": 120, "2": 40, "3": 40])
            #expect(try table.texts("customer_id") == (0..<200).map(String.init))
            let people = try table.segments("people")
            // As many of either age: the larger segment is the first of equal ones.
            for customer in 0..<200 where ![7, 11].contains(customer) {
                #expect(people[customer] == people[customer % 2 == 0 ? 0 : 1])
            }
            #expect(people[0] != people[1])
            for name in Self.ofAll {
                #expect(try table.segments(name).allSatisfy { $0 >= 0 }, "\(name)")
            }
            for name in Self.ofPurchasers {
                for (customer, segment) in try table.segments(name).enumerated() {
                    #expect((segment >= 0) == (customer % 5 < 3), "\(name) \(customer)")
                }
            }
            for column in ["revenue", "margin", "lifetime_value", "top_product_1", "value_tier"] {
                let values = try table.texts(column)
                for customer in 0..<200 where customer % 5 == 4 {
                    let isEmpty = values[customer].isEmpty || values[customer] == "0"
                    #expect(isEmpty, "\(column) \(values[customer])")
                }
            }
            #expect(
                try text == scores(workspace, folder, "one.csv", threadCount: 1).text)

            _ = try workspace.publish()
            let published = try publishedSegments(folder)
            for table in published where Self.ofAll.contains(table.segmentation) {
                #expect(table.segments.map(\.customerCount).reduce(0, +) == 200)
            }
            let report = try workspace.segmentProfile(of: "people")
            let mean = try #require(report.features?.numbers.first?.mean)
            let ages = (0..<200).filter { ![7, 11].contains($0) }.map(Self.age)
            #expect(abs(mean - Double(ages.reduce(0, +)) / Double(ages.count)) < 1e-4)
            #expect(workspace.verify().problems == [])
        }
    }

    /// What purchasers are told does not depend on who else is known.
    @Test func nothingElseChanges() throws {
        try withTemporaryFolder { folder in
            let first = try workspace(folder)
            _ = try first.train(asOf: Self.asOf, threadCount: 2)
            let all = try scores(first, folder).table
            try withTemporaryFolder { folder in
                let second = try workspace(folder) { $0 % 5 < 4 }
                _ = try second.train(asOf: Self.asOf, threadCount: 2)
                let (summary, own, _) = try scores(second, folder)
                #expect(summary.statusCounts == ["0": 120, "3": 40])
                let rows = (0..<200).filter { $0 % 5 < 4 }
                for column in [
                    "customer_id", "status", "revenue", "mean_order_value", "lifetime_value",
                    "expected_purchases", "churn_probability", "value_segment", "top_product_1",
                    "top_product_2", "promotion_lift",
                ] {
                    let values = try all.texts(column)
                    #expect(try own.texts(column) == rows.map { values[$0] }, "\(column)")
                }
            }
        }
    }

    @Test func ledgersAndHistoriesAndExplanations() throws {
        try withTemporaryFolder { folder in
            let workspace = try workspace(folder)
            _ = try workspace.train(asOf: Self.asOf, threadCount: 2)
            _ = try scores(workspace, folder)
            let change = try workspace.publishing(threadCount: 1).ledgers
            #expect(
                change.filter { $0.enteredCount == 200 }.map(\.segmentation)
                    == Self.ofAll.sorted())
            // One of them moves from the young to the old, and a new one comes.
            let path = try folder.write("id,age,town\n4,63,north\n777,61,south\n", as: "c.csv")
            _ = try workspace.ingest(IngestFiles(customers: [path]))
            _ = try scores(workspace, folder, asOf: Self.asOf + 1)
            _ = try workspace.publishing(threadCount: 1)
            let stays = try #require(
                try workspace.stays(ofCustomerWithoutPurchases: "4", threadCount: 1))
            #expect(Set(stays.segments.map(\.segmentation)) == Set(Self.ofAll))
            #expect(stays.segments.filter { $0.segmentation == "people" }.count == 2)
            #expect(
                try workspace.stays(ofCustomerWithoutPurchases: "0", threadCount: 1) == nil)
            let moved = try workspace.segmentMigration(of: "people")
            #expect(moved.movedCount == 1 && moved.newCount == 1 && moved.movedRevenue == 0)

            let own = try workspace.explainSegment(ofCustomer: "777", in: "people", threadCount: 1)
            #expect(own.parts.first?.value == 61 && own.next != nil)
            let text = try workspace.explainSegment(ofCustomer: "777", in: "towns", threadCount: 1)
            #expect(text.parts.contains { $0.text == "south" })
            for (customer, segmentation) in [("777", "value"), ("778", "people")] {
                let error = #expect(throws: EngineError.self) {
                    try workspace.explainSegment(
                        ofCustomer: customer, in: segmentation, threadCount: 1)
                }
                #expect(error?.description.contains("no purchase line") == true)
            }
        }
    }

    /// A scoring that goes on from an earlier one gives what one of all customers gives, also where
    /// somebody buys for the first time.
    @Test(arguments: ["factors", "hybrid"])
    func goingOnFromAnEarlierScoring(variant: String) throws {
        try withTemporaryFolder { folder in
            let workspace = try workspace(folder, variant: variant)
            _ = try workspace.train(asOf: Self.asOf, threadCount: 2)
            let first = try scores(workspace, folder)
            // Where nobody has bought since, too.
            #expect(try scores(workspace, folder, "again.csv").text == first.text)
            _ = try workspace.publish()
            for step in 1...2 {
                let day = Self.asOf + step
                try folder.write(
                    "customer,time,amount,product,promotion\n\(step * 5 - 1),\(day),70,p1,\n"
                        + "\(step),\(day),8,p2,\n", as: "new.csv")
                try folder.write("id,age,town\n\(900 + step),33,south\n", as: "more.csv")
                _ = try workspace.ingest(
                    IngestFiles(
                        purchases: [folder.sub("new.csv")], customers: [folder.sub("more.csv")]))
                var reports: [String] = []
                let path = folder.sub("carried.csv")
                _ = try workspace.score(asOf: day, csvPath: path, threadCount: 2) {
                    reports.append($0)
                }
                #expect(!reports.contains { $0.hasPrefix("products of all") }, "\(reports)")
                let generation = try #require(workspace.manifest.generations.last?.number)
                let folders = ["cache", "cache-kept"].map { folder.sub("ws/\($0)") }
                try FileManager.default.moveItem(atPath: folders[0], toPath: folders[1])
                let fresh = try scores(workspace, folder, "fresh.csv", asOf: day, threadCount: 1)
                #expect(try String(contentsOfFile: path, encoding: .utf8) == fresh.text)
                #expect(fresh.summary.statusCounts["2"] == 40)
                // The next step goes on from what was carried, not from the fresh one.
                try FileManager.default.removeItem(atPath: folders[0])
                try FileManager.default.moveItem(atPath: folders[1], toPath: folders[0])
                _ = try workspace.publish(generation: generation)
                #expect(workspace.verify().problems == [])
            }
        }
    }

    @Test func theyAreServed() async throws {
        try await inTemporaryFolder { folder in
            do {
                let workspace = try workspace(folder)
                _ = try workspace.train(asOf: Self.asOf, threadCount: 2)
                _ = try scores(workspace, folder)
                _ = try workspace.publish()
            }
            try await serving(folder.sub("ws")) { connection, _ in
                let columns = try await connection.describe().columns
                let column = try #require(columns.first { $0.name == "people_segment" })
                let revenue = try #require(columns.first { $0.name == "revenue" })
                let answer = try await connection.lookup([
                    .integer(4), .integer(0), .integer(5_000),
                ])
                #expect(answer.status == [.tooLittleHistory, .ok, .unknownCustomer])
                let people = try #require(answer.column(column.id))
                #expect(people.text(0) == people.text(1) && people.text(2) == nil)
                #expect(answer.column(revenue.id)?.text(0) == nil)
                let top = try await connection.topProducts(customer: .integer(4), count: 3)
                #expect(top.status == .tooLittleHistory && top.entries.isEmpty)
                // What customers like this one buy can be offered.
                let offers = try await connection.offerProducts(customer: .integer(4), count: 3)
                #expect(offers.entries.count == 3)
                #expect(offers.entries.allSatisfy { $0.basis == .customerAttributes })
            }
        }
    }

    // MARK: Who is eligible

    /// Who only brings things back has a segment where no purchases are needed, and none within it
    /// where they are; the fit sees the same customers as the scoring.
    @Test func oneRuleOfEligibility() throws {
        try withTemporaryFolder { folder in
            let plan = Self.plan.replacingOccurrences(
                of: "      promotion: promotion\n", with: ""
            ).replacingOccurrences(
                of: "people: {features: [age], scaling",
                with: "people: {features: [age, promotionShare], scaling")
            try folder.write(Self.customers { $0 % 5 < 4 }, as: "customers.csv")
            let workspace = try makeWorkspace(folder, plan: plan, purchases: Self.purchases)
            _ = try workspace.ingest()
            let trained = try workspace.train(asOf: Self.asOf, threadCount: 2)
            let (_, table, _) = try scores(workspace, folder)
            let (people, worth) = (try table.segments("people"), try table.segments("worth"))
            let status = try table.texts("status")
            for row in people.indices {
                #expect(people[row] >= 0 && (worth[row] >= 0) == (status[row] == "0"))
            }
            // The plan wants a feature of purchases that the data do not have: of those that are left
            // the fit is as the scoring is.
            let card = try #require(trained.models.first { $0.name == "segmentation.people" })
            #expect(card.warnings.contains("this data has no feature promotionShare"))
            struct File: Decodable { var model: FittedSegmentation }
            let entry = try #require(
                workspace.manifest.models.first { $0.name == "segmentation.people" })
            let bytes = try ArrayFile(path: folder.sub("ws/\(entry.file)")).card
            let model = try JSONDecoder().decode(File.self, from: Data(bytes)).model
            guard case .clusters(let clusters) = model.segmenter else {
                Issue.record("no clusters")
                return
            }
            #expect(clusters.sizes.reduce(0, +) == people.count)
        }
    }
}
