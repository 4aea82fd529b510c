import ByteCoding
import Engine
import Foundation
import TestSupport
import Testing
import Units

/// Who moved between segments in a workspace without purchases.
@Suite struct AttributeLedgerTests {
    private static let days = [20_000, 20_003, 20_010].map { CalendarDay(daysSince1970: $0) }

    /// Forty customers of two ages.
    private func customers(old: (Int) -> Bool) -> String {
        "id,age,town\n" + (0..<40).map { "\($0),\(old($0) ? 60 : 20),t\($0 % 2)\n" }.joined()
    }

    private func publish(
        _ workspace: Workspace, today: CalendarDay?
    ) throws -> (score: ScoreSummary, change: LedgerChange) {
        let score = try workspace.score(today: today, threadCount: 2)
        let summary = try workspace.publishing(threadCount: 2)
        return (score, try #require(summary.ledgers.first { $0.segmentation == "age" }))
    }

    @Test func movesBetweenTheDaysOfTheCommands() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeCustomers(
                folder, attributes: "{age: number, town: text}",
                segmentations: """
                    age: {features: [age], scaling: none, clusterCount: 2}
                    where: {algorithm: kPrototypes, features: [town], clusterCount: 2}
                    """, customers: customers { $0 < 10 })
            let trained = try workspace.train(today: Self.days[0], threadCount: 2)
            #expect(trained.asOf == Self.days[0].description)
            let first = try publish(workspace, today: Self.days[0])
            #expect(first.score.asOf == Self.days[0].description)
            #expect(first.change.enteredCount == 40 && first.change.leftCount == 0)

            // Seven have aged, one is young again, one is new.
            let path = try folder.write(
                customers { $0 < 17 && $0 != 3 } + "40,61,t0\n", as: "later.csv")
            _ = try workspace.ingest(IngestFiles(customers: [path]))
            let second = try publish(workspace, today: Self.days[1])
            #expect(second.change.asOf == Self.days[1].description && second.change.reason == nil)
            #expect(second.change.enteredCount == 9 && second.change.leftCount == 8)

            let report = try workspace.segmentMigration(of: "age")
            #expect(report.from == Self.days[0].description)
            #expect(report.to == Self.days[1].description)
            #expect(report.movedCount == 8 && report.newCount == 1 && report.customerCount == 40)
            #expect(report.movedRevenue == nil && report.revenueAsOf == nil)
            #expect(report.matrix.amounts == nil && report.matrix.amount(from: 0, to: 1) == nil)
            // The larger segment is 0: the young.
            #expect(report.matrix.count(from: 0, to: 1) == 7)
            #expect(report.matrix.count(from: 1, to: 0) == 1)
            let json = String(decoding: try JSONEncoder().encode(report), as: UTF8.self)
            #expect(!json.contains("evenue") && !json.contains("amounts"), "\(json)")

            let stays = try #require(
                try workspace.stays(ofCustomerWithoutPurchases: "12", threadCount: 1))
            let ages = stays.segments.filter { $0.segmentation == "age" }
            #expect(ages.map(\.segment) == [0, 1])
            #expect(ages.map(\.entered) == Self.days[0...1].map(\.description))
            #expect(ages.map(\.left) == [Self.days[1].description, nil])
            let error = #expect(throws: EngineError.self) {
                try workspace.stays(ofCustomerWithoutPurchases: "99", threadCount: 1)
            }
            #expect(error?.description.contains("customer 99") == true)

            // The day that is asked for goes before that of the clock.
            let asked = try workspace.score(
                asOf: Self.days[2], today: Self.days[1], threadCount: 1)
            #expect(asked.asOf == Self.days[2].description)
            #expect(workspace.verify().problems == [])
        }
    }

    /// Where segments lie, by their ids, which a refit does not number as it numbers segments.
    @Test func mapsAreByID() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeCustomers(
                folder, attributes: "{age: number, town: text}",
                segmentations: """
                    age: {features: [age], scaling: none, clusterCount: 2}
                    where: {algorithm: kPrototypes, features: [town], clusterCount: 2}
                    """, customers: customers { $0 < 10 })
            _ = try workspace.train(today: Self.days[0], threadCount: 1)
            // Most are old now: by size segment 1 comes first.
            let path = try folder.write(customers { $0 < 30 }, as: "later.csv")
            _ = try workspace.ingest(IngestFiles(customers: [path]))
            _ = try workspace.train(today: Self.days[1], threadCount: 1)
            _ = try publish(workspace, today: Self.days[1])
            let report = try workspace.segmentProfile(of: "age")
            #expect(report.segments.map(\.customerCount) == [10, 30])
            let map = try #require(report.map)
            #expect(map.positions.map(\.segment) == [0, 1])
            #expect(map.loadings.map(\.feature) == ["attribute.age"])
            #expect(map.varianceShares == [1, 0])
            // Along the only axis the young are 30 years before the mean of 50, the old 10 after.
            #expect(map.positions.map(\.x) == [-30, 10] && map.positions.map(\.y) == [0, 0])
            // Modes have no place on an axis.
            #expect(try workspace.segmentProfile(of: "where").map == nil)
            #expect(try Set(workspace.segmentMaps().keys) == ["age"])
        }
    }

    /// A plan's day goes before that of the clock, and without either all days are one.
    @Test func thePlansDayAndNone() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeCustomers(
                folder, attributes: "{age: number}",
                segmentations: "age: {features: [age], scaling: none, clusterCount: 2}",
                customers: "id,age\n1,20\n2,21\n3,60\n")
            #expect(try workspace.train(threadCount: 1).asOf == "1970-01-01")
            let path = folder.sub("ws/patron.yaml")
            let text = try String(contentsOfFile: path, encoding: .utf8)
            try ("asOf: 2024-02-29\n" + text).write(
                toFile: path, atomically: true, encoding: .utf8)
            let planned = try Workspace(folder: folder.sub("ws"), access: .reading)
            #expect(
                try planned.asOfDay(nil, today: Self.days[0], threadCount: 1).description
                    == "2024-02-29")
            #expect(
                try planned.asOfDay(Self.days[2], today: Self.days[0], threadCount: 1)
                    == Self.days[2])
        }
    }
}
