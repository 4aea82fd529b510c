import ByteCoding
import ColumnStore
import Engine
import Foundation
import Numerical
import TestSupport
import Testing
import Units

/// The ledger of who was when in which segment, held against the scores of every published day.
@Suite struct SegmentLedgerTests {
    private static let firstDay = CalendarDay(daysSince1970: 19_800)

    private static func plan(textIDs: Bool) -> String {
        barePlan.replacingOccurrences(
            of: "customerID: customer",
            with: "customerID: {column: customer, type: \(textIDs ? "text" : "integer")}")
                + """

                segmentations:
                  stage: {algorithm: lifecycle, newDays: 20, activeDays: 10, lapsedDays: 30}

                """
    }

    /// Lives of which everybody moves: orders now and then, customers who come later.
    private static func purchases(textIDs: Bool, days: Range<Int>, seed: UInt64) -> String {
        var random = SeededRandom(seed: seed)
        var text = "customer,time,amount\n"
        for _ in 0..<400 {
            let customer = random.below(150)
            let day = firstDay + (days.lowerBound + random.below(days.count))
            let id = textIDs ? "k-\(customer * 37 % 150)" : "\(customer)"
            text += "\(id),\(day),\(1 + random.below(90))\n"
        }
        return text
    }

    private func withWorkspace(textIDs: Bool = false, _ body: (URL) throws -> Void) throws {
        try withTemporaryFolder { folder in
            do {
                let workspace = try makeWorkspace(
                    folder, plan: Self.plan(textIDs: textIDs),
                    purchases: Self.purchases(textIDs: textIDs, days: -60..<60, seed: 3))
                _ = try workspace.ingest()
                _ = try workspace.train(
                    asOf: Self.firstDay, only: ["segmentation.stage"], threadCount: 1)
            }
            try body(folder)
        }
    }

    private func open(
        _ folder: URL, _ access: Workspace.Access = .writing
    ) throws -> Workspace {
        try Workspace(folder: folder.sub("ws"), access: access)
    }

    private func hasLedgers(_ ledgers: [String: Manifest.Ledger]?, _ folder: URL) throws -> Bool {
        try open(folder).manifest.ledgers == ledgers
    }

    /// Scores a day.
    /// - Returns: the segment of everybody.
    private func score(_ folder: URL, _ day: CalendarDay) throws -> [String: Int] {
        let path = folder.sub("scores.csv")
        _ = try open(folder).score(asOf: day, csvPath: path, threadCount: 2)
        let rows = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        let header = rows[0].split(separator: ",").map(String.init)
        let index = try #require(header.firstIndex(of: "stage_segment"))
        var result: [String: Int] = [:]
        for row in rows.dropFirst() {
            let fields = row.split(separator: ",", omittingEmptySubsequences: false)
            result[String(fields[0])] = Int(fields[index])
        }
        return result
    }

    private typealias Days = [(day: CalendarDay, segments: [String: Int])]

    /// The stays that days of scores come to, a customer's in order.
    private func stays(_ days: Days) -> [String: [SegmentStay]] {
        var result: [String: [SegmentStay]] = [:]
        for (day, segments) in days {
            for id in Set(result.keys).union(segments.keys) {
                var stays = result[id] ?? []
                let now = segments[id]
                if let last = stays.last, last.left == nil {
                    if last.segment == now { continue }
                    stays[stays.count - 1].left = day.description
                }
                if let now {
                    stays.append(
                        SegmentStay(
                            segmentation: "stage", segment: now, name: nil,
                            entered: day.description, left: nil))
                }
                result[id] = stays
            }
        }
        return result
    }

    private func requireStays(_ folder: URL, textIDs: Bool, _ days: Days) throws {
        let workspace = try open(folder, .reading)
        let expected = stays(days)
        #expect(expected.count > 50)
        for (id, stays) in expected {
            let customer: EntityID = textIDs ? .text(id) : .integer(Int64(id) ?? -1)
            var found = try workspace.segmentStays(ofCustomer: customer)
            #expect(found.allSatisfy { $0.name != nil })
            for index in found.indices { found[index].name = nil }
            #expect(found == stays, "customer \(id)")
        }
        #expect(workspace.verify().problems == [])
    }

    @Test(arguments: [false, true])
    func aLedgerHoldsEveryMove(textIDs: Bool) throws {
        try withWorkspace(textIDs: textIDs) { folder in
            var days: Days = []
            for step in 0..<12 {
                let day = Self.firstDay + [0, 3, 4, 9, 15, 16, 20, 28, 29, 40, 41, 55][step]
                days.append((day, try score(folder, day)))
                let summary = try open(folder).publishing(threadCount: 2)
                #expect(summary.ledgers.count == 1 && summary.ledgers[0].reason == nil)
                if step == 0 {
                    #expect(summary.ledgers[0].enteredCount == days[0].segments.count)
                    #expect(summary.ledgers[0].leftCount == 0)
                }
                if step % 4 == 2 { try requireStays(folder, textIDs: textIDs, days) }
            }
            try requireStays(folder, textIDs: textIDs, days)
            let moved = stays(days).values.count { $0.count > 2 }
            #expect(moved > 30, "the test needs customers who move")
            let ledger = try #require(try open(folder).manifest.ledgers?["stage"])
            #expect(ledger.ended.count < 6, "files of ended stays are merged")

            // Nothing of it is unused, and what is merged away goes.
            _ = try open(folder).prune()
            try requireStays(folder, textIDs: textIDs, days)
            #expect(try open(folder, .reading).segmentStays(ofCustomer: .integer(9_999)).isEmpty)
        }
    }

    /// A day that is published again is entered once, with what is known of it now; an earlier day
    /// changes nothing.
    @Test func aDayIsEnteredAnewAndAnEarlierOneIsNot() throws {
        try withWorkspace { folder in
            var days: Days = []
            for step in [0, 12, 24] {
                let day = Self.firstDay + step
                days.append((day, try score(folder, day)))
                try open(folder).publish()
            }
            let ledgers = try open(folder).manifest.ledgers
            // The same day, scored once more.
            _ = try score(folder, days[2].day)
            let again = try open(folder).publishing(threadCount: 1)
            #expect(again.ledgers[0].reason == nil)
            #expect(try hasLedgers(ledgers, folder))
            // An earlier day: a look back, or the generation before.
            _ = try score(folder, days[0].day)
            let earlier = try open(folder).publishing(threadCount: 1)
            #expect(earlier.ledgers[0].reason?.contains(days[2].day.description) == true)
            let back = try open(folder).publishing(generation: 2, threadCount: 1)
            #expect(back.generation == 2 && back.ledgers[0].reason != nil)
            #expect(try hasLedgers(ledgers, folder))
            try requireStays(folder, textIDs: false, days)
            // Late lines: on the last day many are elsewhere, as if they had never been where they were.
            let more = try folder.write(
                Self.purchases(textIDs: false, days: 14..<25, seed: 8), as: "more.csv")
            _ = try open(folder).ingest(IngestFiles(purchases: [more]))
            let before = days[2].segments
            days[2].segments = try score(folder, days[2].day)
            #expect(days[2].segments != before)
            // Without its ledgers first: they stay behind.
            _ = try open(folder).publishing(keepsLedgers: false, threadCount: 1)
            #expect(try hasLedgers(ledgers, folder))
            try open(folder).publish()
            try requireStays(folder, textIDs: false, days)
            // And on the first of all days.
            #expect(try open(folder).manifest.ledgers?["stage"]?.days.count == 3)
        }
    }

    @Test func theFirstDayIsEnteredAnew() throws {
        try withWorkspace { folder in
            var days: Days = [(Self.firstDay, try score(folder, Self.firstDay))]
            try open(folder).publish()
            let more = try folder.write(
                Self.purchases(textIDs: false, days: -5..<1, seed: 9), as: "more.csv")
            _ = try open(folder).ingest(IngestFiles(purchases: [more]))
            days[0].segments = try score(folder, Self.firstDay)
            try open(folder).publish()
            try requireStays(folder, textIDs: false, days)
        }
    }

    /// The matrix is that of the scores of both days.
    @Test func migrationIsThatOfTheScores() throws {
        try withWorkspace { folder in
            #expect(throws: EngineError.self) {
                try open(folder, .reading).segmentMigration(of: "stage")
            }
            var days: Days = []
            for step in [0, 12, 24] {
                let day = Self.firstDay + step
                days.append((day, try score(folder, day)))
                try open(folder).publish()
            }
            let workspace = try open(folder, .reading)
            for (from, to) in [(1, 2), (0, 1), (0, 2)] {
                let report =
                    from == 1
                    ? try workspace.segmentMigration(of: "stage")
                    : try workspace.segmentMigration(
                        of: "stage", from: days[from].day + 1, to: days[to].day)
                #expect(report.from == days[from].day.description)
                #expect(report.to == days[to].day.description)
                var counts: [String: Int] = [:]
                for (id, now) in days[to].segments {
                    let before = days[from].segments[id].map(String.init) ?? "none"
                    counts["\(before) \(now)", default: 0] += 1
                }
                for (row, old) in (report.fromSegments.map { "\($0.id)" } + ["none"]).enumerated() {
                    for (column, new) in report.toSegments.enumerated() {
                        #expect(
                            report.matrix.count(from: row, to: column)
                                == counts["\(old) \(new.id)"] ?? 0)
                    }
                }
                let moved = days[from].segments.count { $0.value != days[to].segments[$0.key] }
                #expect(report.movedCount == moved && moved > 10 && (report.movedRevenue ?? 0) > 0)
                #expect(report.newCount == days[to].segments.count - days[from].segments.count)
                #expect(report.goneCount == 0 && report.adjustedRand < 1)
            }
            #expect(throws: EngineError.self) {
                try workspace.segmentMigration(of: "stage", to: days[0].day)
            }
            #expect(throws: EngineError.self) {
                try workspace.segmentMigration(of: "stage", from: days[0].day + -1)
            }
            #expect(throws: EngineError.self) { try workspace.segmentMigration(of: "value") }
        }
    }

    /// A file of right checksums whose customers have ids of another kind is damage, not a crash.
    @Test func idsOfAnotherKindAreDamage() throws {
        func publishDays(_ folder: URL) throws -> URL {
            for step in [0, 12, 24] {
                _ = try score(folder, Self.firstDay + step)
                try open(folder).publish()
            }
            let ledger = try #require(try open(folder).manifest.ledgers?["stage"])
            return folder.appendingPathComponent("ws/\(try #require(ledger.last).file)")
        }
        try withWorkspace(textIDs: true) { folder in
            let texts = try Data(contentsOf: try publishDays(folder))
            try withWorkspace { folder in
                try texts.write(to: try publishDays(folder))
                _ = try score(folder, Self.firstDay + 24)
                let error = #expect(throws: EngineError.self) { try open(folder).publish() }
                #expect(error?.description.contains("ids of another kind") == true)
                let problems = try open(folder, .reading).verify().problems
                #expect(!problems.isEmpty)
            }
        }
    }

    /// Damage is found, and stops a publish rather than losing the history.
    @Test func damageIsFound() throws {
        try withWorkspace { folder in
            for step in [0, 12, 24] {
                _ = try score(folder, Self.firstDay + step)
                try open(folder).publish()
            }
            let ledger = try #require(try open(folder).manifest.ledgers?["stage"])
            #expect(ledger.last != nil)
            for segment in [ledger.open] + ledger.ended + [ledger.last].compactMap(\.self) {
                let url = folder.appendingPathComponent("ws/\(segment.file)")
                let bytes = try Data(contentsOf: url)
                var flipped = bytes
                flipped[bytes.count / 2] ^= 4
                try flipped.write(to: url)
                let problems = try open(folder, .reading).verify().problems
                #expect(problems.contains { $0.file == segment.file }, "\(problems)")
                try bytes.write(to: url)
            }
            #expect(try open(folder, .reading).verify().problems == [])
            try FileManager.default.removeItem(atPath: folder.sub("ws/\(ledger.open.file)"))
            _ = try score(folder, Self.firstDay + 30)
            let manifest = try open(folder).manifest
            #expect(throws: EngineError.self) { try open(folder).publish() }
            let isSame = try open(folder).manifest == manifest
            #expect(isSame)
            _ = try open(folder).publishing(keepsLedgers: false, threadCount: 1)
            #expect(try open(folder).manifest.currentGeneration == 4)
        }
    }
}
