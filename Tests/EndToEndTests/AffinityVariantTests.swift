import Engine
import Foundation
import Models
import PatronClient
import Synthetic
import TestSupport
import Testing
import Units

/// The variants of the affinity model on the whole way, and what their lists hold.
@Suite struct AffinityVariantTests {
    private static func plan(_ affinity: String) -> String {
        """
        version: 1
        sources:
          purchases:
            files: [purchases.csv]
            columns:
              customerID: {column: customer, type: integer}
              time: time
              amount: amount
              orderID: order
              product: product
        segmentations: {}
        affinity: {\(affinity)}
        """
    }

    /// Customers 0 ..< 60 buy their own staple (one of six) in every order and something else besides;
    /// everybody's first order has the welcome pack, which nobody buys twice.
    private static func purchases(orderCount: Int = 6) -> String {
        var text = "customer,time,amount,order,product\n"
        for customer in 0..<60 {
            for order in 0..<orderCount {
                let day = "2024-0\(1 + order)-\(10 + customer % 9)"
                func line(_ product: String) {
                    text += "\(customer),\(day),5,\(customer)-\(order),\(product)\n"
                }
                line("staple\(customer % 6)")
                line("other\((customer * 7 + order * 5) % 20)")
                if order == 0 { line("welcome") }
            }
        }
        return text
    }

    @Test(arguments: ["factors", "hybrid", "popular", "repeatPurchase"])
    func aVariantIsTrainedScoredAndServed(variant: String) async throws {
        try await inTemporaryFolder { folder in
            let workspace = try makeWorkspace(
                folder, plan: Self.plan("variant: \(variant), factorCount: 32"),
                purchases: Self.purchases())
            _ = try workspace.ingest()
            let trained = try workspace.train(threadCount: 2)
            #expect(trained.notFitted["affinity"] == nil)
            let card = try #require(trained.models.first { $0.name == "affinity" })
            #expect(card.algorithm == (variant == "factors" ? "als" : variant))
            _ = try workspace.score(csvPath: folder.sub("scores.csv"), threadCount: 2)
            _ = try workspace.publish()
            let csv = try String(contentsOfFile: folder.sub("scores.csv"), encoding: .utf8)
            let lines = csv.split(separator: "\n").map {
                $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            }
            let first = try #require(lines[0].firstIndex(of: "top_product_1"))
            try await serving(folder.sub("ws")) { connection, _ in
                for customer in [0, 7, 59] {
                    let row = try #require(lines.first { $0[0] == "\(customer)" })
                    let excludes = variant == "factors" || variant == "popular"
                    let top = try await connection.topProducts(
                        customer: .integer(Int64(customer)), excludingPurchased: excludes)
                    // What is served is what was scored.
                    let ids = top.entries.map(\.id.description)
                    #expect(ids == Array(row[first...].prefix(ids.count)).filter { $0 != "" })
                    if !excludes {
                        #expect(ids.first == "staple\(customer % 6)")
                        // Everybody has had it, nobody twice.
                        #expect(!ids.prefix(3).contains("welcome"))
                    }
                    if variant == "popular" { #expect(top.entries.allSatisfy { $0.score <= 1 }) }
                }
                // Who bought the staple comes first where repeats count.
                let staple = try await connection.topCustomers(
                    product: .text("staple3"), count: 10, excludingPurchased: false)
                #expect(staple.entries.count == 10)
                if variant == "hybrid" || variant == "repeatPurchase" {
                    for entry in staple.entries {
                        let id = try #require(Int(entry.id.description))
                        #expect(id % 6 == 3, "customer \(id)")
                    }
                }
                let others = try await connection.topCustomers(
                    product: .text("staple3"), count: 60, excludingPurchased: true)
                #expect(others.entries.count == 50)
            }
        }
    }

    /// A later order changes the lists of its customer alone, to what a new computation gives.
    @Test(arguments: ["hybrid", "popular", "repeatPurchase"])
    func whoBuysIsScoredAnew(variant: String) async throws {
        try await inTemporaryFolder { folder in
            let workspace = try makeWorkspace(
                folder, plan: Self.plan("variant: \(variant), factorCount: 32"),
                purchases: Self.purchases())
            _ = try workspace.ingest()
            _ = try workspace.train(threadCount: 2)
            _ = try workspace.score(threadCount: 2)
            let more = try folder.write(
                "customer,time,amount,order,product\n7,2024-08-01,5,7-9,other3\n"
                    + "99,2024-08-02,5,99-1,staple2\n",
                as: "more.csv")
            _ = try workspace.ingest(IngestFiles(purchases: [more]))
            _ = try workspace.score(csvPath: folder.sub("carried.csv"), threadCount: 2)
            try FileManager.default.removeItem(atPath: folder.sub("ws/cache"))
            _ = try workspace.score(csvPath: folder.sub("anew.csv"), threadCount: 2)
            let carried = try Data(contentsOf: URL(fileURLWithPath: folder.sub("carried.csv")))
            let anew = try Data(contentsOf: URL(fileURLWithPath: folder.sub("anew.csv")))
            #expect(carried == anew)
            // The rows of the unchanged lie in the file of the first generation.
            let folders = workspace.manifest.generations.map { folder.sub("ws/\($0.folder)") }
            #expect(
                FileManager.default.fileExists(atPath: folders[1] + "/affinity-changed.arr"))
            var answers: [[String]] = []
            for path in folders.dropFirst() {
                let snapshot = try ServingSnapshot(folder: path)
                var list: [String] = []
                for customer in [0, 7, 59, 99] {
                    let top = snapshot.topProducts(
                        customer: .integer(Int64(customer)), count: 5, excludesPurchased: false)
                    list += top.products.map { "\($0.item) \($0.score)" }
                }
                let best = snapshot.topCustomers(
                    product: .text("other3"), count: 9, excludesPurchasers: false)
                list += try #require(best).map { "\($0.item) \($0.score)" }
                answers.append(list)
            }
            #expect(answers[0] == answers[1] && answers[0].count > 20)
        }
    }

    /// Products just bought count as a scoring of them would: factors, what is bought again, and that
    /// the order was the customer's last. 7 has orders before, 99 is new.
    @Test(arguments: [
        "variant: hybrid, factorCount: 32", "variant: repeatPurchase",
        "variant: hybrid, factorCount: 8, regularizationExponent: 1, regularization: 0.01",
    ])
    func whatWasJustBoughtCounts(affinity: String) async throws {
        try await inTemporaryFolder { folder in
            let workspace = try makeWorkspace(
                folder, plan: Self.plan(affinity), purchases: Self.purchases())
            _ = try workspace.ingest()
            _ = try workspace.train(threadCount: 2)
            _ = try workspace.score(threadCount: 2)
            _ = try workspace.publish()
            var plain = OfferOptions()
            plain.bought = .included
            var since = plain
            // Twice in one order is once.
            since.boughtSince = [.text("other3"), .text("welcome"), .text("other3")]
            let (asked, justBought) = (plain, since)
            func answers(
                _ options: OfferOptions, of customers: [Int64]
            ) async throws -> [OfferResult] {
                try await serving(folder.sub("ws")) { connection, _ in
                    var results: [OfferResult] = []
                    for customer in customers {
                        results.append(
                            try await connection.offerProducts(
                                customer: .integer(customer), count: 40, options))
                    }
                    return results
                }
            }
            let before = try await answers(asked, of: [7])
            let folded = try await answers(justBought, of: [7, 99])
            // The day of the last order of all, which is the snapshot's.
            var text = "customer,time,amount,order,product\n"
            for customer in [7, 99] {
                for product in ["other3", "welcome", "other3"] {
                    text += "\(customer),2024-06-18,5,\(customer)-s,\(product)\n"
                }
            }
            let more = try folder.write(text, as: "more.csv")
            _ = try workspace.ingest(IngestFiles(purchases: [more]))
            let scored = try workspace.score(threadCount: 2)
            #expect(scored.asOf == "2024-06-18")
            _ = try workspace.publish()
            let after = try await answers(asked, of: [7, 99])
            for (folded, scored) in zip(folded, after) {
                #expect(folded.status == .ok && scored.status == .ok)
                #expect(folded.entries.count == scored.entries.count && !folded.entries.isEmpty)
                let scores = Dictionary(
                    scored.entries.map { ($0.id, $0.score) }, uniquingKeysWith: { $1 })
                for entry in folded.entries {
                    let score = try #require(scores[entry.id], "\(entry.id)")
                    #expect(abs(score - entry.score) < 1e-4, "\(entry.id)")
                }
            }
            // It is the repeat scores that moved: what was bought rose, the staple, left out, fell.
            func score(_ id: String, _ result: OfferResult) throws -> Float {
                try #require(result.entries.first { $0.id == .text(id) }?.score)
            }
            #expect(try score("other3", folded[0]) > score("other3", before[0]))
            #expect(try score("staple1", folded[0]) < score("staple1", before[0]))
        }
    }

    @Test func variantsAreComparedByABackTest() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(
                folder, plan: Self.plan("variant: hybrid, factorCount: 8"),
                purchases: Self.purchases())
            _ = try workspace.ingest()
            let report = try workspace.evaluate(
                asOf: try #require(CalendarDay(parsing: "2024-05-05")),
                horizon: try #require(Horizon(parsing: "6w")), threadCount: 2)
            let measures = Dictionary(
                report.affinityVariants.map { ($0.variant, $0) }, uniquingKeysWith: { $1 })
            #expect(
                Set(measures.keys) == ["factors", "hybrid", "popular", "repeatPurchase"],
                "\(report.notFitted)")
            func ndcg(_ variant: String) throws -> Double {
                let measure = try #require(measures[variant])
                #expect(measure.allProducts.map(\.k) == [10, 20])
                #expect(measure.newProducts.map(\.k) == [10, 20])
                return measure.allProducts[0].summary.ndcg
            }
            // Half of what is bought is the staple.
            #expect(try ndcg("hybrid") > ndcg("popular") + 0.2)
            #expect(try ndcg("repeatPurchase") > ndcg("popular") + 0.2)
            let popular = try #require(measures["popular"])
            #expect(report.mostPopular == popular.newProducts[0].summary)
            #expect(report.affinity == measures["hybrid"]?.newProducts[0].summary)
        }
    }

    @Test func customersOfOneOrderGiveNoRepeats() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(
                folder, plan: Self.plan("variant: repeatPurchase"),
                purchases: Self.purchases(orderCount: 1))
            _ = try workspace.ingest()
            #expect(throws: EngineError.self) {
                try workspace.train(only: ["affinity"], threadCount: 1)
            }
        }
    }

    @Test func rulesOfWhatIsBoughtTogether() throws {
        try withTemporaryFolder { folder in
            var text = "customer,time,amount,order,product\n"
            for order in 0..<40 {
                let day = "2024-01-\(10 + order % 10)"
                func line(_ product: String) {
                    text += "\(order % 7),\(day),5,\(order),\(product)\n"
                }
                line("bread")
                if order % 2 == 0 { line("butter") }
                if order % 4 == 0 { line("jam") }
                if order % 5 == 0 { line("salt") }
            }
            let workspace = try makeWorkspace(
                folder, plan: Self.plan("iterations: 5"), purchases: text)
            _ = try workspace.ingest()
            var parameters = AssociationRules.Parameters()
            parameters.leastConfidence = 0.4
            let report = try workspace.associationRules(parameters)
            #expect(report.orderCount == 40 && report.productCount == 4)
            let best = try #require(report.rules.first)
            // Jam is in 10 orders, all of them with butter, which is in 20 of 40.
            #expect((best.antecedent, best.consequent) == ("butter", "jam"))
            #expect(best.orderCount == 10 && best.support == 0.25)
            #expect(best.confidence == 0.5 && best.lift == 2)
            #expect(report.rules.contains { $0.antecedent == "jam" && $0.confidence == 1 })
            parameters.leastCount = 1_000
            #expect(try workspace.associationRules(parameters).rules.isEmpty)
            parameters.maximumCount = 0
            #expect(throws: EngineError.self) { try workspace.associationRules(parameters) }
        }
    }
}
