import ByteCoding
import ColumnStore
import Engine
import Foundation
import Ingest
import Logging
import PatronClient
import Server
import TestSupport
import Testing
import Units

/// A server that takes purchases answers with the rows that a scoring of them would have.
@Suite struct LiveServerTests {
    @Test func lookUpsAreThoseOfAScoring() async throws {
        try await inTemporaryFolder { folder in
            do {
                let workspace = try makeRetailer(folder, customers: 400, seed: 9)
                _ = try workspace.train(threadCount: 2)
                _ = try workspace.score(threadCount: 2)
                try workspace.publish()
            }
            let path = folder.sub("ws")
            let location = try #require(try Workspace.currentSnapshot(path))
            let snapshot = try ServingSnapshot(location)
            let day = snapshot.asOf.daysSince1970 + 2
            let affinity = try #require(snapshot.affinity)
            let products = [3, 7].map { row in
                "\(affinity.productID(row))"
            }
            var customers = (0..<40).map { snapshot.customers[$0 * 5] }
            customers.append(.integer(1_000_000_007))
            var ids: [PatronID] = []
            for case .integer(let id) in customers { ids.append(.integer(id)) }
            var batch = Purchases(
                customers: ids + ids, times: .days([Int?](repeating: day, count: 2 * ids.count)),
                amounts: (0..<2 * ids.count).map { Int64(1_000 + 137 * $0) },
                currency: snapshot.currency)
            batch.margins = batch.amounts.map { $0.map { $0 / 3 } }
            batch.orders = (0..<2 * ids.count).map { "live \($0 % ids.count)" }
            batch.products = (0..<2 * ids.count).map { products[$0 / ids.count] }
            // A product that the model does not know does no harm.
            batch.products?[3] = "never seen before"
            let (answered, top, other) = try await serving(path, taking: true) { connection, _ in
                let result = try await connection.append(batch)
                #expect(result.acceptedCount == batch.count, "\(result.refusals)")
                return (
                    try await connection.lookup(ids),
                    try await connection.topProducts(customer: ids[0], count: 50),
                    try await connection.topProducts(customer: ids[3], count: 50)
                )
            }
            // Nothing that was bought just now is offered, and somebody new gets offers.
            #expect(top.status == .ok && !top.entries.isEmpty)
            #expect(other.status == .ok && !other.entries.isEmpty)
            #expect(!top.entries.contains { products.contains($0.id.description) })
            // The log's lines, ingested and scored as of their day.
            let later = try Workspace(folder: path, access: .writing)
            #expect(try later.ingest(IngestFiles(purchases: [])).live?.lineCount == batch.count)
            let summary = try later.score(
                asOf: CalendarDay(daysSince1970: day), threadCount: 2)
            let name = SnapshotWriter.folderName(generation: summary.generation)
            let expected = try ServingSnapshot(folder: "\(path)/snapshots/\(name)")
            let live: [UInt16] = [1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22]
            for (position, customer) in customers.enumerated() {
                let row = try #require(expected.row(of: customer))
                #expect(answered.status[position] == .ok)
                for id in live {
                    let field = try #require(expected.columnIndex(id: id))
                    let column = try #require(answered.columns.first { $0.id == id })
                    let value = expected.strip.value(field: field, row: row)
                    #expect(column.number(position) == value, "\(customer) column \(id)")
                }
            }
        }
    }

    /// `patron append` sends a file, and what is there already only once.
    @Test func theCommandSendsAFile() async throws {
        try #require(Program.path != nil)
        try await inTemporaryFolder { folder in
            let workspace = try makeRetailer(folder, customers: 200, seed: 3)
            _ = try workspace.train(only: ["lifetime"], threadCount: 2)
            _ = try workspace.score(threadCount: 2)
            try workspace.publish()
            let source = folder.sub("data/purchases.csv")
            let rows = try String(contentsOfFile: source, encoding: .utf8)
                .split(separator: "\n").prefix(201)
            let file = try folder.write(
                (rows + ["no,line,at,all"]).joined(separator: "\n") + "\n", as: "new.csv")
            try await serving(folder.sub("ws"), taking: true) { _, server in
                let arguments = [
                    "append", file, "--connect", "127.0.0.1:\(server.address.port ?? 0)", "--plan",
                    folder.sub("data/patron.yaml"), "--batch", "64", "--json",
                ]
                for (appended, known) in [(200, 0), (0, 200)] {
                    let result = try await Task.detached {
                        try Program.run(arguments, in: folder)
                    }.value
                    #expect(result.code == 0, "\(result.errors)")
                    #expect(
                        result.output.contains("\"appended\":\(appended),"), "\(result.output)")
                    #expect(result.output.contains("\"known\":\(known),"), "\(result.output)")
                    #expect(result.output.contains("\"unreadable\":1"))
                }
                let segments = try await Task.detached { [arguments] in
                    try Program.run(["segments", "--json"] + arguments[2...3], in: folder)
                }.value
                #expect(segments.code == 0, "\(segments.errors)")
                // Hardly a line of it can be read: bad data, and nothing is sent.
                let bad = try folder.write(rows[0] + "\nno,line\n", as: "bad.csv")
                let refused = try await Task.detached { [arguments] in
                    try Program.run(["append", bad] + arguments.dropFirst(2), in: folder)
                }.value
                #expect(refused.code == 65, "\(refused.errors)")
                #expect(refused.errors.hasPrefix("error: "))
            }
        }
    }
}
