import Engine
import Foundation
import PatronClient
import Synthetic
import TestSupport
import Testing
import Units

/// Offers on the whole way: eligibility, cross-sell and up-sell, margins, cold customers and products,
/// promotions, likeness.
@Suite struct OfferTests {
    private static let plan = """
        version: 1
        currency: EUR
        sources:
          purchases:
            files: [purchases.csv]
            columns:
              customerID: {column: customer, type: integer}
              time: time
              amount: amount
              quantity: quantity
              orderID: order
              product: product
              promotion: promotion
          customers:
            files: [customers.csv]
            id: {column: customer, type: integer}
            attributes: {club: text, age: number}
          products:
            files: [products.csv]
            id: product
            attributes: {category: text, price: number, stock: number}
        segmentations: {}
        affinity: {factorCount: 8}
        """

    /// Six products of each of three categories, at 10, 20 … 60; `a1` is out of stock, nobody buys
    /// `a6`, at 35.
    private static var products: String {
        var text = "product,category,price,stock\n"
        for category in ["a", "b", "c"] {
            for place in 0..<6 {
                let stock = category == "a" && place == 1 ? 0 : 9
                text += "\(category)\(place),\(category),\(10 * (place + 1)),\(stock)\n"
            }
        }
        return text + "a6,a,35,\n"
    }

    private static let customerCount = 240

    /// Customers buy in the category of their club, a few things of another; those of a number divisible
    /// by four do so mostly under promotion. 500 … 519 only bring things back, 600 buys everything.
    private static var purchases: String {
        var text = "customer,time,amount,quantity,order,product,promotion\n"
        for customer in 0..<customerCount {
            let club = customer % 3
            for order in 0..<8 {
                let day = "2024-0\(1 + order % 6)-\(10 + (customer + order) % 18)"
                func line(_ club: Int, _ place: Int) {
                    let promoted = customer % 4 == 0 ? order % 4 != 0 : order % 4 == 0
                    let price = 10 * (place + 1)
                    text +=
                        "\(customer),\(day),\(price),1,\(customer)-\(order),"
                        + "\(["a", "b", "c"][club])\(place),\(promoted ? "sale" : "")\n"
                }
                line(club, (customer / 3 + order * (1 + customer % 2)) % 5)
                if order == 3, customer % 2 == 1 { line((club + 1) % 3, customer % 6) }
                // In the last weeks, so that something new is bought in the horizon.
                if order == 5, customer % 5 == 1 { line(club, 5) }
            }
        }
        for customer in 500..<520 { text += "\(customer),2024-03-05,-10,-1,\(customer)-r,a0,\n" }
        for category in ["a", "b", "c"] {
            for place in 0..<6 {
                text +=
                    "600,2024-02-1\(place),\(10 * (place + 1)),1,600-\(place),\(category)\(place),\n"
            }
        }
        return text
    }

    private static var customers: String {
        var text = "customer,club,age\n"
        for customer in 0..<customerCount {
            text += "\(customer),\(["red", "green", "blue"][customer % 3]),40\n"
        }
        for customer in 500..<519 { text += "\(customer),\(customer < 510 ? "red" : "blue"),30\n" }
        return text
    }

    private func published(
        _ folder: URL, plan: String = Self.plan, products: String = Self.products,
        customers: String = Self.customers
    ) throws -> Workspace {
        try folder.write(products, as: "products.csv")
        try folder.write(customers, as: "customers.csv")
        let workspace = try makeWorkspace(folder, plan: plan, purchases: Self.purchases)
        _ = try workspace.ingest()
        let trained = try workspace.train(threadCount: 2)
        #expect(trained.notFitted["affinity"] == nil)
        _ = try workspace.score(csvPath: folder.sub("scores.csv"), threadCount: 2)
        _ = try workspace.publish()
        return workspace
    }

    private func category(_ entry: OfferResult.Entry) -> String {
        String(entry.id.description.prefix(1))
    }

    private func price(_ entry: OfferResult.Entry) -> Double {
        let place = Double(entry.id.description.dropFirst()) ?? 0
        return place == 6 ? 35 : 10 * (place + 1)
    }

    @Test func offersKeepToWhatMayBeSold() async throws {
        try await inTemporaryFolder { folder in
            _ = try published(folder)
            try await serving(folder.sub("ws")) { connection, _ in
                // Customer 0 bought a0 … a4 and nothing else.
                let next = try await connection.offerProducts(customer: .integer(0), count: 30)
                #expect(next.status == .ok && next.entries.count == 14)
                #expect(!next.entries.contains { ["a0", "a1"].contains($0.id.description) })
                let all = try await connection.offerProducts(
                    customer: .integer(0), count: 30, options { $0.bought = .included })
                #expect(all.entries.count == 18)
                #expect(!all.entries.contains { $0.id == .text("a1") })
                let stocked = try await connection.offerProducts(
                    customer: .integer(0), count: 30,
                    options {
                        $0.bought = .only
                        $0.includesOutOfStock = true
                    })
                #expect(
                    Set(stocked.entries.map(\.id.description)) == ["a0", "a1", "a2", "a3", "a4"])
                let cross = try await connection.offerProducts(
                    customer: .integer(0), count: 30, options { $0.offer = .crossSell })
                #expect(cross.entries.count == 12)
                #expect(cross.entries.allSatisfy { category($0) != "a" })
                // Dearer than a4, at 50, by no more than half.
                let up = try await connection.offerProducts(
                    customer: .integer(0), count: 30, options { $0.offer = .upSell })
                #expect(up.entries.map(\.id.description) == ["a5"])
                let banded = try await connection.offerProducts(
                    customer: .integer(0), count: 30,
                    options {
                        $0.categories = ["b", "c", "nothing"]
                        ($0.lowestPrice, $0.highestPrice) = (20, 40)
                    })
                #expect(banded.entries.count == 6)
                #expect(banded.entries.allSatisfy { (20...40).contains(price($0)) })
                let none = try await connection.offerProducts(
                    customer: .integer(0), options { $0.categories = ["nothing"] })
                #expect(none.status == .ok && none.entries.isEmpty)
                await #expect(throws: PatronError.self) {
                    try await connection.offerProducts(customer: .integer(12_345))
                }
                await #expect(throws: PatronError.self) {
                    try await connection.offerProducts(customer: .text("0"))
                }
            }
        }
    }

    private func options(_ change: (inout OfferOptions) -> Void) -> OfferOptions {
        var options = OfferOptions()
        change(&options)
        return options
    }

    @Test func marginsRankWhatIsExpected() async throws {
        try await inTemporaryFolder { folder in
            let workspace = try published(folder)
            let card = try #require(try workspace.modelCards().first { $0.name == "affinity" })
            #expect(card.diagnostics["boughtBefore.areaUnderROC"] != nil, "\(card.warnings)")
            try await serving(folder.sub("ws")) { connection, _ in
                let ranked = try await connection.offerProducts(
                    customer: .integer(7), count: 30,
                    options {
                        $0.rank = .margin
                        $0.bought = .included
                    })
                #expect(ranked.entries.count == 18)
                var last = Double.infinity
                for entry in ranked.entries {
                    let probability = try #require(entry.purchaseProbability)
                    let margin = try #require(entry.expectedMargin)
                    #expect((0...1).contains(probability))
                    // The plan's rate of the price.
                    #expect(abs(margin - probability * 0.3 * price(entry)) < 1e-9)
                    #expect(margin <= last)
                    last = margin
                }
                let customers = try await connection.offerCustomers(
                    product: .text("b2"), count: 40, byProbability: true)
                #expect(customers.entries.count == 40)
                let chances = customers.entries.compactMap(\.purchaseProbability)
                #expect(chances == chances.sorted(by: >) && chances.count == 40)
            }
        }
    }

    /// Of the products the margin itself, else the margin rate, else the plan's.
    @Test func marginsAreTheProductsOwn() async throws {
        try await inTemporaryFolder { folder in
            let plan = Self.plan.replacingOccurrences(
                of: "stock: number}", with: "stock: number, margin_rate: number, margin: number}")
            var products = "product,category,price,stock,margin_rate,margin\n"
            for (place, category) in ["a", "b", "c"].enumerated() {
                for number in 0..<6 {
                    let own = ["0.9,", ",", "0.9,0.5"][place]
                    products += "\(category)\(number),\(category),\(10 * (number + 1)),9,\(own)\n"
                }
            }
            // Three in ten thousand are few enough; 30 percent is 0.3.
            products += "a6,a,35,,0.4,\nz,a,5,9,30,\n"
            let workspace = try published(
                folder,
                plan: plan.replacingOccurrences(
                    of: "id: product\n", with: "id: product\n    maximumRejectShare: 0.1\n"),
                products: products)
            let card = try #require(try workspace.modelCards().first { $0.name == "affinity" })
            #expect(!card.warnings.contains { $0.contains("margin_rate") })
            try await serving(folder.sub("ws")) { connection, _ in
                let ranked = try await connection.offerProducts(
                    customer: .integer(7), count: 30,
                    options {
                        $0.rank = .margin
                        $0.bought = .included
                    })
                #expect(ranked.entries.count == 19)
                var last = Double.infinity
                for entry in ranked.entries {
                    let probability = try #require(entry.purchaseProbability)
                    let margin = try #require(entry.expectedMargin)
                    let ofUnit: Double =
                        switch category(entry) {
                        case "a": (entry.id == .text("a6") ? 0.4 : 0.9) * price(entry)
                        case "b": 0.3 * price(entry)
                        default: 0.5
                        }
                    #expect(abs(margin - probability * ofUnit) < 1e-9, "\(entry.id)")
                    #expect(margin <= last)
                    last = margin
                }
                #expect(ranked.entries.contains { $0.id == .text("a6") })
                await #expect(throws: PatronError.self) {
                    try await connection.offerCustomers(product: .text("z"))
                }
            }
        }
    }

    @Test func whoAndWhatIsColdIsAnsweredAndMarked() async throws {
        try await inTemporaryFolder { folder in
            _ = try published(folder)
            try await serving(folder.sub("ws")) { connection, _ in
                // By own purchases there is nothing to say.
                let plain = try await connection.topProducts(customer: .integer(500))
                #expect(plain.status == .tooLittleHistory && plain.entries.isEmpty)
                for (customer, wanted) in [(500, "a"), (515, "c")] {
                    let offers = try await connection.offerProducts(
                        customer: .integer(Int64(customer)), count: 4)
                    #expect(offers.status == .ok && offers.entries.count == 4)
                    for entry in offers.entries {
                        #expect(category(entry) == wanted, "\(customer): \(entry.id)")
                        #expect(entry.basis == .customerAttributes || entry.id == .text("a6"))
                    }
                }
                // Of whom nothing is known: what all like.
                let unknown = try await connection.offerProducts(customer: .integer(519), count: 3)
                #expect(unknown.entries.count == 3)
                // Nobody bought a6; who buys in its category is who it is for.
                let cold = try await connection.offerCustomers(product: .text("a6"), count: 40)
                #expect(cold.entries.count == 40)
                for entry in cold.entries {
                    #expect(entry.basis == .productAttributes)
                    let id = try #require(Int(entry.id.description))
                    #expect(id % 3 == 0 || id == 600 || id % 3 == 2, "customer \(id)")
                }
                // Who bought everything is left with what nobody bought.
                let everything = try await connection.offerProducts(
                    customer: .integer(600), count: 30)
                #expect(everything.entries.map(\.id.description) == ["a6"])
                #expect(everything.entries.first?.basis == .productAttributes)
                let cross = try await connection.offerProducts(
                    customer: .integer(600), options { $0.offer = .crossSell })
                #expect(cross.status == .ok && cross.entries.isEmpty)
                await #expect(throws: PatronError.self) {
                    try await connection.offerCustomers(product: .text("unheard-of"))
                }
            }
        }
    }

    /// Age, a number, has no groups of its own; the segments of a segmentation of it do.
    @Test(arguments: [false, true]) func whoIsColdIsAnsweredBySegments(
        isTrainedLater: Bool
    ) async throws {
        try await inTemporaryFolder { folder in
            let plan = Self.plan
                .replacingOccurrences(of: "{club: text, age: number}", with: "{age: number}")
                .replacingOccurrences(
                    of: "segmentations: {}",
                    with: "segmentations: {life: {features: [age], clusterCount: 3}}")
            var customers = "customer,club,age\n"
            for customer in 0..<Self.customerCount {
                customers += "\(customer),,\([20, 45, 70][customer % 3] + customer % 5)\n"
            }
            for customer in 500..<519 {
                customers += "\(customer),,\(customer < 510 ? 21 : 72)\n"
            }
            let workspace = try published(folder, plan: plan, customers: customers)
            if isTrainedLater {
                // By the segmentation of before, and what a later one makes of its segments.
                _ = try workspace.train(only: ["affinity"], threadCount: 2)
                _ = try workspace.train(only: ["segmentation.life"], threadCount: 2)
                _ = try workspace.score(threadCount: 2)
                _ = try workspace.publish()
            }
            try await serving(folder.sub("ws")) { connection, _ in
                for (customer, wanted) in [(500, "a"), (509, "a"), (515, "c")] {
                    let offers = try await connection.offerProducts(
                        customer: .integer(Int64(customer)), count: 4)
                    #expect(offers.status == .ok && offers.entries.count == 4)
                    for entry in offers.entries {
                        #expect(category(entry) == wanted, "\(customer): \(entry.id)")
                        #expect(entry.basis == .customerAttributes || entry.id == .text("a6"))
                    }
                }
                // Of no age: what all like, not of one category alone.
                let unknown = try await connection.offerProducts(customer: .integer(519), count: 9)
                #expect(Set(unknown.entries.map(category)).count > 1)
            }
        }
    }

    /// What was bought since is folded in as a scoring would, for customers known and new.
    @Test func purchasesSinceCountAtOnce() async throws {
        try await inTemporaryFolder { folder in
            let workspace = try published(folder)
            let since = options { $0.boughtSince = [.text("c4"), .text("c3"), .text("c4")] }
            let before = try await serving(folder.sub("ws")) { connection, _ in
                await #expect(throws: PatronError.self) {
                    try await connection.offerProducts(
                        customer: .integer(6), options { $0.boughtSince = [.text("unheard-of")] })
                }
                return [
                    try await connection.offerProducts(customer: .integer(6), count: 12),
                    try await connection.offerProducts(customer: .integer(6), count: 12, since),
                    try await connection.offerProducts(customer: .integer(777), count: 12, since),
                ]
            }
            var text = "customer,time,amount,quantity,order,product,promotion\n"
            for customer in [6, 777] {
                for product in ["c4", "c3", "c4"] {
                    text += "\(customer),2024-06-27,5,1,\(customer)-s,\(product),\n"
                }
            }
            _ = try workspace.ingest(
                IngestFiles(purchases: [try folder.write(text, as: "since.csv")]))
            _ = try workspace.score(threadCount: 2)
            _ = try workspace.publish()
            let after = try await serving(folder.sub("ws")) { connection, _ in
                [
                    try await connection.offerProducts(customer: .integer(6), count: 12),
                    try await connection.offerProducts(customer: .integer(777), count: 12),
                ]
            }
            #expect(before[0].entries.map(\.id) != after[0].entries.map(\.id))
            for (folded, scored) in [(before[1], after[0]), (before[2], after[1])] {
                #expect(folded.status == .ok && scored.status == .ok)
                #expect(folded.entries.count == scored.entries.count)
                let scores = Dictionary(
                    scored.entries.map { ($0.id, $0.score) }, uniquingKeysWith: { $1 })
                for entry in folded.entries {
                    let score = try #require(scores[entry.id], "\(entry.id)")
                    #expect(abs(score - entry.score) < 1e-4)
                }
            }
        }
    }

    /// Cards of `offers.arr` and of the model with right checksums that no fit gives are refused; a
    /// look-up would leave their arrays.
    @Test func cardsThatNoFitGivesAreRefused() throws {
        try withTemporaryFolder { folder in
            let workspace = try published(folder)
            let snapshot = folder.appendingPathComponent(
                "ws/snapshots/\(SnapshotWriter.folderName(generation: 1))")
            let path = snapshot.sub("offers.arr")
            let descriptor = URL(
                fileURLWithPath: snapshot.sub(SnapshotDescriptor.fileName))
            let (sound, described) = (
                try Data(contentsOf: URL(fileURLWithPath: path)), try Data(contentsOf: descriptor)
            )
            let text = String(decoding: sound, as: UTF8.self)
            #expect(text.contains("\"isotonic\"") && text.contains("\"categoryLifts\":["))
            for (old, new, reason) in [
                ("\"probabilities\":[", "\"probabilities\":[0,", "probabilities of"),
                ("\"scores\":[", "\"scores\":[-9e9,", "probabilities of"),
                (
                    "\"isotonic\":{",
                    "\"isotonic\":{\"scores\":[9,8],\"probabilities\":[0,1]},\"was\":{",
                    "do not ascend"
                ),
                ("\"isotonic\":{", "\"platt\":{\"slope\":-1,\"intercept\":0,", "a slope"),
                ("\"categoryLifts\":[", "\"categoryLifts\":[1,", "lifts of categories"),
                ("\"variant\":\"factors\"", "\"variant\":\"popular\"", "variant popular"),
                ("\"similarFactorCount\":8", "\"similarFactorCount\":9", "factors"),
                ("\"factorCount\":8", "\"factorCount\":800", "factors"),
            ] {
                let (before, after) = try ForgedArrays.rewrite(
                    path, replacingInCard: [(old, new)])
                #expect(before.checksum != after.checksum, "\(old)")
                try ForgedArrays.replace(
                    "\(before.checksum)", "\(after.checksum)", inSnapshot: snapshot)
                try ForgedArrays.replace(
                    "\(before.byteCount)", "\(after.byteCount)", inSnapshot: snapshot)
                let error = #expect(throws: EngineError.self, "\(old)") {
                    try ServingSnapshot(folder: snapshot.path)
                }
                let words = error?.description ?? ""
                #expect(words.contains("offers.arr") && words.contains(reason), "\(words)")
                try sound.write(to: URL(fileURLWithPath: path))
                try described.write(to: descriptor)
            }
            _ = try ServingSnapshot(folder: snapshot.path)
            // The model file, which the next scoring reads.
            let model = try #require(workspace.manifest.models.last { $0.name == "affinity" })
            try ForgedArrays.rewrite(
                folder.sub("ws/\(model.file)"),
                replacingInCard: [("\"probabilities\":[", "\"probabilities\":[0,")])
            let error = #expect(throws: EngineError.self) { try workspace.score(threadCount: 1) }
            #expect(error?.description.contains("probabilities of") == true, "\(error as Any)")
        }
    }

    @Test func likenessFollowsTheClubs() async throws {
        try await inTemporaryFolder { folder in
            _ = try published(folder)
            try await serving(folder.sub("ws")) { connection, _ in
                let customers = try await connection.similarCustomers(to: .integer(0), count: 20)
                #expect(customers.entries.count == 20)
                for entry in customers.entries {
                    let id = try #require(Int(entry.id.description))
                    #expect(id % 3 == 0 && id != 0, "customer \(id)")
                    #expect((-1...1).contains(entry.score))
                }
                let products = try await connection.similarProducts(to: .text("b0"), count: 3)
                #expect(products.entries.map { $0.id.description.prefix(1) } == ["b", "b", "b"])
                let cold = try await connection.similarCustomers(to: .integer(500))
                #expect(cold.status == .tooLittleHistory && cold.entries.isEmpty)
                await #expect(throws: PatronError.self) {
                    try await connection.similarProducts(to: .text("unheard-of"))
                }
            }
        }
    }

    @Test func promotionsFindWhoRespondsToThem() async throws {
        try await inTemporaryFolder { folder in
            _ = try published(folder)
            try await serving(folder.sub("ws")) { connection, _ in
                let promoted = try await connection.offerCustomers(
                    product: .text("a3"), count: 300, promoted: true, excludingPurchasers: false)
                var last = Double.infinity
                for entry in promoted.entries {
                    let probability = try #require(entry.purchaseProbability)
                    let lift = try #require(entry.promotionLift)
                    let id = try #require(Int(entry.id.description))
                    #expect(probability <= last && (0...1).contains(probability))
                    last = probability
                    if id < Self.customerCount { #expect((lift > 1) == (id % 4 == 0), "\(id)") }
                }
                #expect(promoted.entries.count == 241)
                let plain = try await connection.offerCustomers(product: .text("a3"), count: 3)
                #expect(plain.entries.allSatisfy { $0.promotionLift == nil })
                let description = try await connection.describe()
                let columns = description.columns
                #expect(columns.contains { $0.name == "promotion_lift" && $0.id == 28 })
                let affinity = try #require(description.affinity)
                #expect(affinity.hasPromotions && affinity.hasProbabilities && affinity.hasDetails)
            }
        }
    }

    /// The tenth of the customers with the highest lifts holds at least twice as many responders as
    /// a tenth at random.
    @Test func plantedRespondersAreFound() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeRetailer(folder, customers: 5_000)
            _ = try workspace.train(only: ["affinity"], threadCount: 2)
            _ = try workspace.score(csvPath: folder.sub("scores.csv"), threadCount: 2)
            func rows(_ path: String, _ name: String) throws -> [String: Double] {
                let lines = try String(contentsOfFile: folder.sub(path), encoding: .utf8)
                    .split(separator: "\n").map {
                        $0.split(separator: ",", omittingEmptySubsequences: false)
                    }
                let index = try #require(lines[0].firstIndex { $0 == name })
                var values: [String: Double] = [:]
                for line in lines.dropFirst() { values[String(line[0])] = Double(line[index]) }
                return values
            }
            let lifts = try rows("scores.csv", "promotion_lift")
            let truth = try rows(
                "data/\(Retailer.FileName.customerTruth)", "promotion_responder")
            let best = lifts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
                .prefix(lifts.count / 10)
            let found = best.reduce(0) { $0 + (truth[$1.key] ?? 0) } / Double(best.count)
            let share = truth.values.reduce(0, +) / Double(truth.count)
            #expect(found >= 2 * share, "\(found) in the top tenth, \(share) of all")
        }
    }
}
