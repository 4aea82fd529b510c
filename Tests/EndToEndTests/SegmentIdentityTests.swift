import ColumnStore
import Engine
import Foundation
import Models
import PatronClient
import TestSupport
import Testing
import Units

/// Ids and names of segments from one training to the next, and what a plan calls them.
@Suite struct SegmentIdentityTests {
    private static let firstDay = CalendarDay(daysSince1970: 19_700)
    private static let secondDay = firstDay + 30

    private static let plan =
        barePlan + """

            segmentations:
              value: {features: [revenue, orderCount], clusterCount: 3, scaling: logZScore}
              grid: {algorithm: rfm, levelCount: 2}

            """

    /// Groups of customers far apart: 60 of little, 30 of middling and 10 of much revenue.
    private static func group(_ customer: Int) -> Int {
        customer < 60 ? 0 : customer < 90 ? 1 : 2
    }

    private static func line(_ customer: Int, _ group: Int, _ day: CalendarDay) -> String {
        "\(customer),\(day),\([10, 100, 1_000][group] + customer % 7)\n"
    }

    private static let purchases: String = {
        var text = "customer,time,amount\n"
        for customer in 0..<100 {
            for order in 0..<[1, 2, 6][group(customer)] {
                text += line(customer, group(customer), firstDay + -(order * 9 + customer % 5))
            }
        }
        return text
    }()

    /// 150 new customers of much revenue, so that theirs is the largest segment and not the smallest.
    private static let delivery: String = {
        var text = "customer,time,amount\n"
        for customer in 100..<250 {
            for order in 0..<6 { text += line(customer, 2, firstDay + (order * 3 + customer % 5)) }
        }
        return text
    }()

    /// Calls `body` with the folder of a workspace that was trained on the first day.
    private func withTrained(_ body: (URL) throws -> Void) throws {
        try withTemporaryFolder { folder in
            do {
                let workspace = try makeWorkspace(
                    folder, plan: Self.plan, purchases: Self.purchases)
                _ = try workspace.ingest()
                _ = try workspace.train(asOf: Self.firstDay, threadCount: 2)
            }
            try body(folder)
        }
    }

    private func open(_ folder: URL) throws -> Workspace {
        try Workspace(folder: folder.sub("ws"), access: .writing)
    }

    private func deliver(_ folder: URL) throws {
        let path = try folder.write(Self.delivery, as: "more.csv")
        _ = try open(folder).ingest(IngestFiles(purchases: [path]))
    }

    private func setPlan(_ text: String, _ folder: URL) throws {
        try Data(text.utf8).write(to: folder.appendingPathComponent("ws/patron.yaml"))
    }

    /// The segments of all customers by a scoring's CSV file.
    private func score(
        _ column: String, _ folder: URL, _ day: CalendarDay
    ) throws -> (segments: [Int: Int], summary: ScoreSummary) {
        let path = folder.sub("scores.csv")
        let summary = try open(folder).score(asOf: day, csvPath: path, threadCount: 2)
        let rows = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        let header = rows[0].split(separator: ",").map(String.init)
        let index = try #require(header.firstIndex(of: column))
        var result: [Int: Int] = [:]
        for row in rows.dropFirst() {
            let fields = row.split(separator: ",", omittingEmptySubsequences: false)
            result[try #require(Int(fields[0]))] = Int(fields[index])
        }
        return (result, summary)
    }

    private func table(_ folder: URL, generation: Int) throws -> [SegmentTable.Segment] {
        let name = SnapshotWriter.folderName(generation: generation)
        let snapshot = try ServingSnapshot(folder: folder.sub("ws/snapshots/\(name)"))
        return try #require(snapshot.segments.first { $0.segmentation == "value" }).segments
    }

    private struct ModelFile: Decodable { var model: FittedSegmentation }

    private func cardBytes(_ folder: URL, _ name: String, version: Int) throws -> [UInt8] {
        let models = try open(folder).manifest.models
        let entry = try #require(models.first { $0.name == name && $0.version == version })
        return try ArrayFile(path: folder.sub("ws/\(entry.file)")).card
    }

    private func model(_ folder: URL, _ name: String, version: Int) throws -> FittedSegmentation {
        let card = try cardBytes(folder, name, version: version)
        return try JSONDecoder().decode(ModelFile.self, from: Data(card)).model
    }

    @Test func aRefitKeepsIDsWhereNumbersChange() throws {
        try withTrained { folder in
            let first = try model(folder, "segmentation.value", version: 1)
            #expect(first.segmentIDs == [0, 1, 2] && first.nextID == 3)
            let before = try score("value_segment", folder, Self.firstDay).segments
            for customer in 0..<100 { #expect(before[customer] == Self.group(customer)) }

            try deliver(folder)
            let trained = try open(folder).train(asOf: Self.secondDay, threadCount: 2)
            let second = try model(folder, "segmentation.value", version: 2)
            // By size: those of much revenue are first now.
            #expect(second.segmentIDs == [2, 0, 1] && second.nextID == 3)
            let card = try #require(trained.models.first { $0.name == "segmentation.value" })
            let refit = try #require(card.refit)
            #expect(refit.previousVersion == 1 && refit.customerCount == 250)
            #expect(refit.matchedIDs == [0, 1, 2])
            #expect(refit.newIDs.isEmpty && refit.endedIDs.isEmpty)
            #expect(refit.movedCount == 0 && refit.movedRevenue == 0 && refit.adjustedRand == 1)
            #expect(card.diagnostics["seedAdjustedRand"] == 1)
            // The cells of a grid mean the same, whoever is in them.
            let grid = try #require(trained.models.first { $0.name == "segmentation.grid" })
            #expect(grid.refit?.matchedIDs == Array(0..<8) && grid.refit?.newIDs == [])
            #expect(grid.refit.map { $0.movedCount > 0 } == true)
            #expect(grid.diagnostics["seedAdjustedRand"] == nil)

            let after = try score("value_segment", folder, Self.secondDay).segments
            #expect(after.count == 250)
            for (customer, segment) in after {
                #expect(segment == (customer < 100 ? Self.group(customer) : 2), "\(customer)")
            }
            // The table is by id, each beside its own customers.
            let table = try table(folder, generation: 2)
            #expect(table.map(\.number) == [0, 1, 2])
            #expect(table.map(\.customerCount) == [60, 30, 160])
            #expect(table[2].name == second.segmentNames[0])
            #expect(table[2].revenue > 100 * table[0].revenue)
        }
    }

    /// Segments that go on keep their ids, others get ids that nobody had, also where the algorithm is
    /// another one or the earlier features are gone.
    @Test func newSegmentsGetNewIDs() throws {
        try withTrained { folder in
            func train(_ settings: String) throws -> (FittedSegmentation, ModelCard) {
                try setPlan(barePlan + "\nsegmentations:\n  value: \(settings)\n", folder)
                let summary = try open(folder).train(
                    asOf: Self.firstDay, only: ["segmentation.value"], threadCount: 1)
                let card = summary.models[0]
                return (try model(folder, card.name, version: card.version), card)
            }
            // The two smaller groups become one, of which neither is a third.
            let (two, card) = try train(
                "{features: [revenue, orderCount], clusterCount: 2, scaling: logZScore}")
            #expect(Set(two.segmentIDs).intersection([0, 1, 2]).count == 2)
            #expect(two.nextID == 3 && card.refit?.endedIDs.count == 1)
            let (four, _) = try train(
                "{features: [revenue, orderCount], clusterCount: 4, scaling: logZScore}")
            #expect(four.segmentIDs.contains { $0 >= 3 } && four.nextID > 3)
            #expect(Set(four.segmentIDs).isSuperset(of: two.segmentIDs))
            let (rules, moved) = try train(
                "{algorithm: quadrants, features: [revenue, orderCount], "
                    + "leastHighValues: [50, 2]}")
            #expect(rules.segmentIDs.contains { four.segmentIDs.contains($0) })
            #expect(rules.nextID >= four.nextID && moved.refit?.previousVersion == 3)
        }
    }

    @Test func aDamagedVersionCostsTheIDsAndSaysSo() throws {
        try withTrained { folder in
            let entry = try #require(
                try open(folder).manifest.models.first { $0.name == "segmentation.value" })
            try Data("damaged".utf8).write(to: folder.appendingPathComponent("ws/\(entry.file)"))
            let summary = try open(folder).train(
                asOf: Self.firstDay, only: ["segmentation.value"], threadCount: 1)
            let next = try model(folder, "segmentation.value", version: 2)
            #expect(next.segmentIDs == [10_000, 10_001, 10_002] && next.nextID == 10_003)
            #expect(summary.models[0].refit == nil)
            #expect(summary.models[0].warnings.contains { $0.contains("cannot be read") })
        }
    }

    /// A name of a plan is that of an id. It needs no training.
    @Test func thePlanNamesSegments() throws {
        try withTrained { folder in
            let automatic = try model(folder, "segmentation.value", version: 1).segmentNames
            let named = Self.plan.replacingOccurrences(
                of: "scaling: logZScore}",
                with: "scaling: logZScore, names: {2: Best customers, 7: Nobody}}")
            try setPlan(named, folder)
            let summary = try score("value_segment", folder, Self.firstDay).summary
            #expect(summary.modelsOfOtherPlans.isEmpty)
            let notes = summary.notes ?? []
            #expect(notes.contains { $0.contains("segment 7 of value") }, "\(notes)")
            #expect(
                try table(folder, generation: 1).map(\.name)
                    == [automatic[0], automatic[1], "Best customers"])
            // The largest now; the name goes with the id.
            try deliver(folder)
            let trained = try open(folder).train(
                asOf: Self.secondDay, only: ["segmentation.value"], threadCount: 1)
            #expect(trained.models[0].warnings.contains { $0.contains("segment 7 of value") })
            _ = try score("value_segment", folder, Self.secondDay)
            let table = try table(folder, generation: 2)
            #expect(table[2].name == "Best customers" && table[2].customerCount == 160)
        }
    }

    /// Files of before there were ids, and files with wrong ones.
    @Test func idsOfModelFiles() throws {
        try withTrained { folder in
            let bytes = try cardBytes(folder, "segmentation.value", version: 1)
            let object = try #require(
                try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
            let model = try #require(object["model"] as? [String: Any])
            func read(_ change: (inout [String: Any]) -> Void) throws -> FittedSegmentation {
                var model = model
                change(&model)
                let data = try JSONSerialization.data(withJSONObject: ["model": model])
                return try JSONDecoder().decode(ModelFile.self, from: data).model
            }
            let old = try read {
                $0["segmentIDs"] = nil
                $0["nextID"] = nil
            }
            #expect(old.segmentIDs == [0, 1, 2] && old.nextID == 3)
            let other = try read {
                $0["segmentIDs"] = [9, 4, 5]
                $0["nextID"] = 11
            }
            #expect(other.segmentIDs == [9, 4, 5] && other.nextID == 11)
            for ids in [[0, 1], [0, 1, 1], [-1, 0, 1], [0, 1, 3]] {
                #expect(throws: DecodingError.self) { try read { $0["segmentIDs"] = ids } }
            }
            #expect(throws: DecodingError.self) { try read { $0["nextID"] = Int(Int32.max) + 1 } }
        }
    }

    /// Indexes are those of the features of the day, by served ids.
    @Test func profilesAreOfTheCustomers() throws {
        try withTrained { folder in
            try deliver(folder)
            _ = try open(folder).train(asOf: Self.secondDay, threadCount: 2)
            let segments = try score("value_segment", folder, Self.secondDay).segments
            _ = try open(folder).publish()
            let workspace = try open(folder)
            let report = try workspace.segmentProfile(of: "value")
            #expect(report.segments.map(\.id) == [0, 1, 2] && report.modelVersion == 2)
            let features = try #require(report.features)
            #expect(features.numbers.map(\.name) == ["revenue", "orderCount"])
            let table = try workspace.features(asOf: Self.secondDay, threadCount: 1)
            for column in features.numbers {
                let values = try #require(table.column(named: column.name)).values
                var sums = [Double](repeating: 0, count: 3)
                var counts = sums
                for (row, value) in values.enumerated() {
                    let id = try #require(Int(table.customerIDs[row].description))
                    let segment = try #require(segments[id])
                    sums[segment] += Double(value)
                    counts[segment] += 1
                }
                let overall = sums.reduce(0, +) / counts.reduce(0, +)
                for (place, part) in column.segments.enumerated() {
                    let mean = sums[place] / counts[place]
                    let (found, index) = (part.mean ?? 0, part.index ?? 0)
                    #expect(abs(found - mean) < 1e-6 * mean)
                    #expect(abs(index - 100 * mean / overall) < 1e-6 * index)
                }
            }
            let best = report.segments[2]
            #expect(best.distinctions.first.map { $0.difference > 0 } == true)
            #expect(best.customerCount == 160 && best.margin.map { $0 > 0 } == true)
            #expect(best.meanExpectedPurchases != nil)
            #expect(throws: EngineError.self) { try workspace.segmentProfile(of: "nothing") }
        }
    }

    /// Every customer's explanation is of the served segment, and names what decides.
    @Test func explanationsAreOfTheServedSegment() throws {
        try withTrained { folder in
            try deliver(folder)
            _ = try open(folder).train(asOf: Self.secondDay, threadCount: 2)
            let segments = try score("value_segment", folder, Self.secondDay).segments
            _ = try open(folder).publish()
            let workspace = try open(folder)
            for customer in stride(from: 0, to: 250, by: 7) {
                let report = try workspace.explainSegment(
                    ofCustomer: "\(customer)", in: "value", threadCount: 1)
                #expect(report.segment.id == segments[customer])
                let own = try #require(report.segment.distance)
                let next = try #require(report.next?.distance)
                #expect(own < next && report.next?.id != report.segment.id)
                let sum = report.parts.reduce(0) { $0 + ($1.difference ?? 0) }
                #expect(abs(sum - (next * next - own * own)) < 1e-6 * next * next)
                #expect(report.parts.count == 2)
                #expect(report.parts.allSatisfy { $0.value != nil && $0.segmentMean != nil })
            }
            let cell = try workspace.explainSegment(ofCustomer: "3", in: "grid", threadCount: 1)
            #expect(cell.next == nil && cell.segment.distance == nil && cell.parts.count == 3)
            #expect(throws: EngineError.self) {
                try workspace.explainSegment(ofCustomer: "999", in: "value", threadCount: 1)
            }
            #expect(throws: EngineError.self) {
                try workspace.explainSegment(ofCustomer: "3", in: "nothing", threadCount: 1)
            }
        }
    }

    /// A server says the same as the workspace.
    @Test func profilesAreServed() async throws {
        try await inTemporaryFolder { folder in
            do {
                let plan = Self.plan.replacingOccurrences(
                    of: "scaling: logZScore}", with: "scaling: logZScore, names: {2: Best ones}}")
                let workspace = try makeWorkspace(folder, plan: plan, purchases: Self.purchases)
                _ = try workspace.ingest()
                _ = try workspace.train(asOf: Self.firstDay, threadCount: 2)
                _ = try workspace.score(asOf: Self.firstDay, threadCount: 2)
                try workspace.publish()
            }
            let report = try open(folder).segmentProfile(of: "value")
            // Whoever has opened a generation keeps it, whatever becomes of its files.
            let location = try #require(try Workspace.currentSnapshot(folder.sub("ws")))
            let kept = try ServingSnapshot(location)
            let path = "\(location.folder)/profiles.json"
            try FileManager.default.moveItem(atPath: path, toPath: folder.sub("away"))
            #expect(try kept.profile(of: "value")?.ids == [0, 1, 2])
            try FileManager.default.moveItem(atPath: folder.sub("away"), toPath: path)
            let features = try #require(report.features)
            try await serving(folder.sub("ws")) { connection, _ in
                let columns = try await connection.describe().columns
                let column = try #require(columns.first { $0.name == "value_segment" })
                let names = report.segments.map { "\($0.id) \($0.name)" }
                #expect(column.valueNames == names.joined(separator: "\n"))
                #expect(names[2] == "2 Best ones")
                let revenue = try #require(columns.first { $0.name == "revenue" })
                #expect(revenue.valueNames.isEmpty)

                let segments = try await connection.segments(of: "value").segments
                #expect(segments.map(\.margin) == report.segments.map(\.margin))
                #expect(
                    segments.map(\.meanExpectedPurchases)
                        == report.segments.map(\.meanExpectedPurchases))
                let words = segments[2].distinctions ?? ""
                #expect(words.contains("revenue ") && words.contains("(+"), "\(words)")

                let rows = try await connection.segmentProfiles(of: "value").rows
                #expect(rows.count == 2 * 3 && rows.allSatisfy { $0.category == nil })
                for (index, row) in rows.enumerated() {
                    let column = features.numbers[index / 3]
                    let part = column.segments[index % 3]
                    #expect(row.feature == column.name && row.segment == index % 3)
                    #expect(row.mean == part.mean && row.overallMean == column.mean)
                    #expect(row.index == part.index && row.difference == part.difference)
                }
                // Those of the grid too; the tiers have none.
                let all = try await connection.segmentProfiles().rows
                #expect(Set(all.map(\.segmentation)) == ["value", "grid"])
                await #expect(throws: PatronError.self) {
                    try await connection.segmentProfiles(of: "nothing")
                }
            }
        }
    }
}
