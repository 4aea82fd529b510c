import ByteCoding
import ColumnStore
import Engine
import Foundation
import Ingest
import Synthetic
import TestSupport
import Testing
import Units

/// Live purchases become the segments and the scores that files of the same lines become.
@Suite struct LiveScoringTests {
    /// What a plan has of a generated retailer.
    struct Variant: CustomTestStringConvertible, Sendable {
        var name: String
        /// Lines of the plan that are left out.
        var without: [String] = []
        var changes: [(String, String)] = []

        var testDescription: String { name }
    }

    static let variants = [
        Variant(name: "as it is"),
        Variant(name: "orders are days", without: ["orderID:"]),
        Variant(name: "no margins", without: ["orderID:", "margin: margin"]),
        Variant(
            name: "texts in St. John's",
            without: ["orderID:"],
            changes: [
                ("{column: customer_id, type: integer}", "{column: customer_id, type: text}"),
                ("timeZone: Europe/Berlin", "timeZone: America/St_Johns"),
            ]),
    ]

    private struct Retail {
        let folder: URL
        let workspace: String
        /// The last day of the snapshot.
        let day: CalendarDay
        /// The lines of later days, by time.
        let late: PurchaseLines
        let lateFile: String
    }

    /// A retailer who knows the lines up to some days before the last.
    private func makeRetail(_ folder: URL, _ variant: Variant, customers: Int) throws -> Retail {
        var parameters = Retailer.Parameters()
        parameters.customerCount = customers
        parameters.dayCount = 400
        parameters.seed = 5
        _ = try Retailer(parameters).generate(into: folder.sub("data"), threadCount: 2)
        let planPath = folder.sub("data/\(Retailer.FileName.plan)")
        var text = try String(contentsOfFile: planPath, encoding: .utf8)
            .split(separator: "\n", omittingEmptySubsequences: false)
            .filter { line in
                !line.hasPrefix("asOf:")
                    && !variant.without.contains { line.contains($0) }
            }.joined(separator: "\n")
        for (old, new) in variant.changes {
            #expect(text.contains(old))
            text = text.replacingOccurrences(of: old, with: new)
        }
        try text.write(toFile: planPath, atomically: true, encoding: .utf8)
        let plan = try Workspace.readPlan(planPath)
        let mapping = try #require(plan.sources.purchases?.mapping)
        let purchases = folder.sub("data/\(Retailer.FileName.purchases)")
        let rows = try String(contentsOfFile: purchases, encoding: .utf8).split(separator: "\n")
        let all = try readPurchases(path: purchases, mapping: mapping, clock: plan.clock).lines
        #expect(all.count == rows.count - 1)
        let day = parameters.lastDay + -30
        let days = all.times.map { plan.clock.day(atUTC: Int($0)) }
        let early = days.indices.filter { days[$0] <= day }
        let late = days.indices.filter { days[$0] > day }
            .sorted { (all.times[$0], $0) < (all.times[$1], $1) }
        func write(_ lines: [Int], _ path: String) throws -> String {
            let text = ([rows[0]] + lines.map { rows[$0 + 1] }).joined(separator: "\n")
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            return path
        }
        _ = try write(early, purchases)
        try Workspace.create(folder: folder.sub("ws"), planPath: planPath)
        return Retail(
            folder: folder, workspace: folder.sub("ws"), day: day, late: all.gather(late),
            lateFile: try write(late, folder.sub("late.csv")))
    }

    private func append(_ lines: PurchaseLines, to workspace: String) throws {
        let log = try LiveLog(workspace: workspace, rotationByteCount: 20_000)
        var batches: [LiveBatch] = []
        var start = 0
        while start < lines.count {
            let end = min(lines.count, start + 1 + start % 37)
            batches.append(
                LiveBatch(
                    key: LogKey(first: UInt64(start), second: 3),
                    lines: lines.gather(Array(start..<end))))
            start = end
        }
        for result in log.append(batches) { _ = try result.get() }
    }

    @Test(arguments: variants) func liveRowsAreThoseOfScorings(variant: Variant) throws {
        try withTemporaryFolder { folder in
            let retail = try makeRetail(folder, variant, customers: 500)
            do {
                let workspace = try Workspace(folder: retail.workspace, access: .writing)
                _ = try workspace.ingest()
                _ = try workspace.train(only: ["lifetime"], threadCount: 2)
                _ = try workspace.score(asOf: retail.day, threadCount: 2)
                try workspace.publish()
            }
            try append(retail.late, to: retail.workspace)
            let location = try #require(try Workspace.currentSnapshot(retail.workspace))
            let snapshot = try ServingSnapshot(location)
            let scoring = try LiveScoring(folder: retail.workspace, snapshot: snapshot)
            let live = try LiveCustomers(workspace: retail.workspace, since: scoring.position)
            #expect(live.lineCount == retail.late.count)
            // Before the orders of the segments are known the rows are the same.
            let early = try scoring.rows(of: live.customers, in: live, threadCount: 2)
            try scoring.readOrders()
            let rows = try scoring.rows(of: live.customers.shuffled(), in: live, threadCount: 2)
            #expect(early.columns == rows.columns && early.status == rows.status)
            #expect(early.customerIDs == rows.customerIDs && early.asOf == rows.asOf)
            #expect(rows.count == live.customerCount && rows.count > 50)
            // The same lines as a file, scored as of every day that is some customer's last.
            let copy = folder.sub("copy")
            try FileManager.default.copyItem(atPath: retail.workspace, toPath: copy)
            try FileManager.default.removeItem(atPath: "\(copy)/live")
            let other = try Workspace(folder: copy, access: .writing)
            _ = try other.ingest(IngestFiles(purchases: [retail.lateFile]))
            var newCount = 0
            for day in Set(rows.asOf).sorted() {
                let summary = try other.score(asOf: day, threadCount: 2)
                let name = SnapshotWriter.folderName(generation: summary.generation)
                let expected = try ServingSnapshot(folder: "\(copy)/snapshots/\(name)")
                for row in 0..<rows.count where rows.asOf[row] == day {
                    let id = rows.customerIDs[row]
                    if snapshot.row(of: id) == nil { newCount += 1 }
                    let place = try #require(expected.row(of: id))
                    #expect(expected.strip.status(row: place) == rows.status[row])
                    for column in rows.columns {
                        let field = try #require(expected.columnIndex(id: column.id))
                        let value = expected.strip.value(field: field, row: place)
                        #expect(column.value(row) == value, "\(id) \(column.name) on \(day)")
                    }
                }
            }
            #expect(newCount > 0)
            // Segments that have the lines, and a snapshot that does not, change nothing.
            let own = try Workspace(folder: retail.workspace, access: .writing)
            #expect(try own.ingest(IngestFiles(purchases: [])).live?.lineCount == retail.late.count)
            let later = try LiveScoring(folder: retail.workspace, snapshot: snapshot)
            let again = try later.rows(of: live.customers, in: live)
            #expect(again.customerIDs == rows.customerIDs && again.asOf == rows.asOf)
            #expect(again.columns == rows.columns && again.status == rows.status)
            // The next generation knows all of them.
            _ = try own.score(threadCount: 2)
            try own.publish()
            let next = try ServingSnapshot(
                try #require(try Workspace.currentSnapshot(retail.workspace)))
            var rest = live
            rest.forget(before: try LiveScoring(folder: retail.workspace, snapshot: next).position)
            #expect(rest.lineCount == 0 && rest.customerCount == 0)
        }
    }

    /// Late lines, orders that go on, returns and new customers of returns only.
    @Test(arguments: [false, true]) func whatTheStripCannotTell(hasOrders: Bool) throws {
        try withTemporaryFolder { folder in
            var plan = barePlan + "\n"
            if hasOrders { plan += "      orderID: order\n" }
            var text = "customer,time,amount,order\n"
            // Enough customers with repeat orders for a lifetime model.
            for customer in 1...60 {
                for visit in 0..<(customer % 5 + 1) {
                    let day = CalendarDay(
                        daysSince1970: 19_000 + customer % 7 + visit * (9 + customer % 11))
                    text += "\(customer),\(day)T10:00:00Z,\(customer + visit).25,o\(visit)\n"
                }
            }
            var workspace = try makeWorkspace(folder, plan: plan, purchases: text)
            _ = try workspace.ingest()
            _ = try workspace.train(only: ["lifetime"], threadCount: 1)
            let day = try workspace.asOfDay(nil, threadCount: 1)
            _ = try workspace.score(threadCount: 1)
            try workspace.publish()
            // Customer, days after the snapshot's, amount, order.
            let late: [(Int, Int, String, String)] = [
                (1, 3, "5", "n"), (1, 3, "7", "n"), (1, 4, "-2", "n"), (2, 2, "1", "o0"),
                (3, -30, "8", "late"), (4, 0, "9", "today"), (4, 5, "3", "today"),
                (5, 1, "-100", "r"), (70, 1, "-4", "r"), (71, 1, "-4", "r"), (71, 6, "4.5", "b"),
                (72, 2, "0", "free"), (72, 2, "1", ""), (72, 1, "6", "x"), (6, 2, "10", "x"),
                (6, 2, "10", "y"), (7, 1, "1", ""), (7, 2, "2", ""),
            ]
            var more = "customer,time,amount,order\n"
            for (customer, days, amount, order) in late {
                more += "\(customer),\(day + days)T12:00:00Z,\(amount),\(order)\n"
            }
            let mapping = try #require(workspace.plan.sources.purchases?.mapping)
            let lines = try readPurchases(
                Array(more.utf8), path: "more.csv", mapping: mapping, clock: .utc
            ).lines
            workspace = try Workspace(folder: folder.sub("ws"), access: .reading)
            try append(lines, to: folder.sub("ws"))
            let snapshot = try ServingSnapshot(
                try #require(try Workspace.currentSnapshot(folder.sub("ws"))))
            let scoring = try LiveScoring(folder: folder.sub("ws"), snapshot: snapshot)
            let live = try LiveCustomers(workspace: folder.sub("ws"), since: scoring.position)
            let rows = try scoring.rows(of: live.customers, in: live)
            #expect(rows.count == Set(late.map(\.0)).count)
            let path = try folder.write(more, as: "more.csv")
            let copy = folder.sub("copy")
            try FileManager.default.copyItem(atPath: folder.sub("ws"), toPath: copy)
            try FileManager.default.removeItem(atPath: "\(copy)/live")
            let other = try Workspace(folder: copy, access: .writing)
            _ = try other.ingest(IngestFiles(purchases: [path]))
            for day in Set(rows.asOf).sorted() {
                let summary = try other.score(asOf: day, threadCount: 1)
                let name = SnapshotWriter.folderName(generation: summary.generation)
                let expected = try ServingSnapshot(folder: "\(copy)/snapshots/\(name)")
                for row in 0..<rows.count where rows.asOf[row] == day {
                    let place = try #require(expected.row(of: rows.customerIDs[row]))
                    #expect(expected.strip.status(row: place) == rows.status[row])
                    for column in rows.columns {
                        let field = try #require(expected.columnIndex(id: column.id))
                        let value = expected.strip.value(field: field, row: place)
                        #expect(
                            column.value(row) == value, "\(rows.customerIDs[row]) \(column.name)")
                    }
                }
            }
        }
    }

    /// The segment that an ingest makes of live purchases has the bytes of that of a file.
    @Test func absorbedLinesAreAFilesSegment() throws {
        try withTemporaryFolder { folder in
            let retail = try makeRetail(folder, Self.variants[0], customers: 300)
            let copy = folder.sub("copy")
            try FileManager.default.copyItem(atPath: retail.workspace, toPath: copy)
            let first = try Workspace(folder: retail.workspace, access: .writing)
            let second = try Workspace(folder: copy, access: .writing)
            _ = try second.ingest()
            _ = try second.ingest(IngestFiles(purchases: [retail.lateFile]))
            _ = try first.ingest()
            try append(retail.late, to: retail.workspace)
            // Several runs, which are merged.
            var memory = IngestMemory(byteCount: IngestMemory.least)
            memory.mostRunLines = 100
            let summary = try first.ingest(
                IngestFiles(purchases: []), memory: memory, threadCount: 2)
            #expect(summary.live?.lineCount == retail.late.count)
            #expect(summary.live?.recordCount ?? 0 > 10)
            let (a, b) = (first.manifest.purchaseSegments, second.manifest.purchaseSegments)
            #expect(a.map(\.checksum) == b.map(\.checksum))
            #expect(a.map(\.rowCount) == b.map(\.rowCount))
            #expect(a.map(\.lastTime) == b.map(\.lastTime))
            #expect(a.map(\.firstTime) == b.map(\.firstTime))
            // What is there is not taken again, and what comes later is.
            #expect(try first.ingest(IngestFiles(purchases: [])).live == nil)
            let position = first.livePosition
            #expect(first.verify().problems == [] && first.verify().liveLineCount == 0)
            do {
                let log = try LiveLog(workspace: retail.workspace)
                #expect(log.position.sequence == position.sequence)
                let batch = LiveBatch(lines: retail.late.gather([0, 1]))
                _ = try #require(log.append([batch]).first).get()
            }
            #expect(first.verify().liveLineCount == 2)
            #expect(try first.ingest(IngestFiles(purchases: [])).live?.lineCount == 2)
            #expect(first.manifest.sources.filter { $0.kind == "live" }.count == 1)
            // Damage is found, and stops the ingest.
            let name = LogFormat.fileName(first.livePosition.file)
            let path = "\(retail.workspace)/live/\(name)"
            var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
            bytes[bytes.count - 40] ^= 1
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            let problems = first.verify().problems
            #expect(problems.map(\.file) == ["live"])
            #expect(problems.first?.text.contains(name) == true)
        }
    }
}

extension ScoreColumn {
    fileprivate func value(_ row: Int) -> Double? {
        guard valid?[row] ?? true else { return nil }
        return switch values {
        case .int32(let values): Double(values[row])
        case .float32(let values): Double(values[row])
        case .float64(let values): values[row]
        }
    }
}
