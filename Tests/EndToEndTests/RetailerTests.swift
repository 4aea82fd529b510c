import Engine
import Features
import Foundation
import Models
import Numerical
import PatronClient
import Synthetic
import TestSupport
import Testing
import Units

/// The whole way on generated data, and the planted truth at its end.
@Suite struct RetailerEndToEndTests {
    @Test func everythingFromFilesToAnswers() async throws {
        try await inTemporaryFolder { folder in
            let workspace = try makeRetailer(folder, customers: 2_000)
            let trained = try workspace.train(threadCount: 2)
            #expect(trained.notFitted.isEmpty)
            #expect(trained.models.map(\.name) == workspace.plan.modelNames)
            let scored = try workspace.score(csvPath: folder.sub("scores.csv"), threadCount: 2)
            #expect(scored.customerCount == 2_000 && scored.missingModels.isEmpty)
            #expect(try workspace.publish() == 1)

            let csv = try String(contentsOfFile: folder.sub("scores.csv"), encoding: .utf8)
            let lines = csv.split(separator: "\n")
            #expect(lines.count == 2_001)
            #expect(!csv.lowercased().contains("nan") && !csv.contains("inf"))
            let header = lines[0].split(separator: ",").map(String.init)
            let first = lines[1].split(separator: ",", omittingEmptySubsequences: false)
            let id = try #require(Int64(first[0]))

            try await serving(folder.sub("ws")) { connection, _ in
                let description = try await connection.describe()
                #expect(description.customerCount == 2_000)
                #expect(description.snapshot.generation == 1)
                let answer = try await connection.lookup([.integer(id), .integer(-5)])
                #expect(answer.status == [.ok, .unknownCustomer])
                // What the wire says of the first customer is what the CSV says.
                for column in description.columns {
                    let field = first[try #require(header.firstIndex(of: column.name))]
                    #expect(answer.column(column.id)?.number(0) == Double(field), "\(column.name)")
                    #expect(answer.column(column.id)?.number(1) == nil)
                }
                let top = try await connection.topProducts(customer: .integer(id))
                #expect(top.status == .ok && top.entries.count == 10)
                let csvTop = first[try #require(header.firstIndex(of: "top_product_1"))]
                #expect(top.entries[0].id == .text(String(csvTop)))
                let product = top.entries[0].id
                let customers = try await connection.topCustomers(product: product, count: 5)
                #expect(customers.entries.count == 5)
                let segments = try await connection.segments().segments
                for name in ["value", "behaviour", "tier"] {
                    let part = segments.filter { $0.segmentation == name }
                    #expect(part.reduce(0) { $0 + $1.customerCount } == 2_000)
                }
            }
        }
    }

    @Test func oneThreadAndThreeGiveTheSameBytes() throws {
        try withTemporaryFolder { folder in
            var files: [[String: Data]] = []
            for threads in [1, 3] {
                let part = folder.appendingPathComponent("\(threads)")
                try FileManager.default.createDirectory(
                    at: part, withIntermediateDirectories: true)
                let workspace = try makeRetailer(part, customers: 500)
                _ = try workspace.train(threadCount: threads)
                _ = try workspace.score(threadCount: threads)
                var contents: [String: Data] = [:]
                for name in try FileManager.default.subpathsOfDirectory(atPath: part.sub("ws"))
                where name.hasSuffix(".arr") || name.hasSuffix(".seg") || name.contains("gen-") {
                    contents[name] = FileManager.default.contents(atPath: part.sub("ws/\(name)"))
                }
                files.append(contents)
            }
            #expect(files[0].count > 8)
            for name in files[0].keys.sorted() {
                #expect(files[0][name] == files[1][name], "\(name) differs")
            }
        }
    }

    /// 20,000 customers here so that it stays quick; the stated figures are of 100,000
    /// (Benchmarks/results).
    @Test func theTruthIsFoundAgain() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeRetailer(folder, customers: 20_000)
            let trained = try workspace.train(threadCount: 2)
            let card = try #require(trained.models.first { $0.name == "lifetime" })
            let planted = Retailer.Parameters()
            for (name, value, tolerance) in [
                ("r", planted.rateShape, 0.05), ("alpha", planted.rateScale, 0.05),
                ("a", planted.dropoutA, 0.08), ("b", planted.dropoutB, 0.10),
                ("p", planted.spendShape, 0.15), ("q", planted.spendSpread, 0.15),
                ("v", planted.spendScale, 0.25),
            ] {
                let fitted = try #require(card.diagnostics[name])
                #expect(abs(fitted / value - 1) < tolerance, "\(name): \(fitted), \(value)")
            }
            _ = try workspace.score(csvPath: folder.sub("scores.csv"), threadCount: 2)
            let index = try adjustedRandIndexOfLifestyles(folder)
            #expect(index >= 0.8, "adjusted Rand index \(index)")

            let report = try workspace.evaluate(
                asOf: planted.lastDay + -91, horizon: Horizon(13, .week), threadCount: 2)
            let affinity = try #require(report.affinity)
            let popular = try #require(report.mostPopular)
            #expect(affinity.recall >= 2 * popular.recall)
            let purchases = try #require(report.purchases)
            let ratio = purchases.expectedPurchases / purchases.actualPurchases
            #expect(abs(ratio - 1) < 0.1, "expected / actual \(ratio)")
        }
    }

    private func adjustedRandIndexOfLifestyles(_ folder: URL) throws -> Double {
        func column(_ path: String, _ name: String) throws -> [String: String] {
            let lines = try String(contentsOfFile: folder.sub(path), encoding: .utf8)
                .split(separator: "\n")
            let header = lines[0].split(separator: ",")
            let index = try #require(header.firstIndex { $0 == name })
            var values: [String: String] = [:]
            for line in lines.dropFirst() {
                let fields = line.split(separator: ",", omittingEmptySubsequences: false)
                values[String(fields[0])] = String(fields[index])
            }
            return values
        }
        let found = try column("scores.csv", "behaviour_segment")
        let planted = try column("data/\(Retailer.FileName.customerTruth)", "lifestyle")
        let names = Array(Set(planted.values)).sorted()
        let ids = found.keys.sorted()
        return adjustedRandIndex(
            ids.map { Int32(found[$0] ?? "") ?? -1 },
            ids.map { Int32(names.firstIndex(of: planted[$0] ?? "") ?? -1) })
    }
}
