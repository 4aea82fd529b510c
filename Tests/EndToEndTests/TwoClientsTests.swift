import Foundation
import PatronClient
import TestSupport
import Testing

/// The clients in Swift and Python get the same bits of the same server, from every operation that reads.
@Suite struct TwoClientsTests {
    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("tools/python/tests/dump_answers.py").path

    @Test(.timeLimit(.minutes(5)))
    func answersAreTheSameToTheBit() async throws {
        try await inTemporaryFolder { folder in
            let workspace = try makeRetailer(folder, customers: 500, seed: 3)
            _ = try workspace.train(threadCount: 2)
            _ = try workspace.score(threadCount: 2)
            try workspace.publish()
            try await serving(folder.sub("ws")) { connection, server in
                let port = server.address.port ?? 0
                let table = try String(
                    contentsOfFile: folder.sub("data/purchases.csv"), encoding: .utf8)
                let line = table.split(separator: "\n")[1].split(separator: ",")
                let names = table.prefix { $0 != "\n" }.split(separator: ",")
                let product = String(line[try #require(names.firstIndex(of: "product_id"))])
                let category = String(line[try #require(names.firstIndex(of: "category"))])
                let customers = (1...300).map { Int64(10_000_000 + $0) }
                let pool = try PatronPool(servers: [
                    PatronAddress(host: "127.0.0.1", port: port)
                ])
                let own = try await AnswerDump.lines(pool, customers, product, category)
                await pool.close()
                let theirs = try await python([
                    "\(port)", customers.map { "\($0)" }.joined(separator: ","), product, category,
                ])
                #expect(own.count > 10_000)
                #expect(own.count == theirs.count)
                let first = zip(own, theirs).first { $0 != $1 }
                #expect(first == nil, "\(String(describing: first))")
                try await connection.ping()
            }
        }
    }

    private func python(_ arguments: [String]) async throws -> [String] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", Self.script] + arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let bytes = await Task.detached { output.fileHandleForReading.readDataToEndOfFile() }.value
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return String(decoding: bytes, as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: true
        ).map(String.init)
    }
}

/// What a server answers, a value a line, in the words of tools/python/tests/dump_answers.py.
private struct AnswerDump {
    private var all: [String] = []

    private static let statuses: [CustomerStatus: Int] = [
        .ok: 0, .unknownCustomer: 1, .tooLittleHistory: 2, .onlyReturns: 3, .modelNotFitted: 4,
        .notEligible: 5,
    ]

    private mutating func add(_ name: String, _ values: String...) {
        all.append(([name] + values).joined(separator: " "))
    }

    private func bits(_ value: Double?) -> String {
        value.map { hex($0.bitPattern, 16) } ?? "-"
    }

    private func bits(_ value: Float) -> String { hex(UInt64(value.bitPattern), 8) }

    private func hex(_ bits: UInt64, _ count: Int) -> String {
        let digits = String(bits, radix: 16)
        return String(repeating: "0", count: count - digits.count) + digits
    }

    private func number(_ value: Int?) -> String { value.map { "\($0)" } ?? "-" }
    private func status(_ status: CustomerStatus) -> String { number(Self.statuses[status]) }

    private mutating func add(_ name: String, _ snapshot: SnapshotInfo) {
        add("\(name).snapshot", "\(snapshot.generation)", "\(snapshot.asOfDay)", snapshot.currency)
        for model in snapshot.models {
            add("\(name).model", model.name, "\(model.version)", "\(model.checksum)")
        }
    }

    private func cell(_ column: ScoreValues, _ row: Int) -> String {
        guard column.valid?[row] ?? true else { return "-" }
        return switch column.lanes {
        case .int32(let values): "\(values[row])"
        case .int64(let values): "\(values[row])"
        case .float32(let values): bits(values[row])
        case .float64(let values): bits(values[row])
        case .text(let values): values[row]
        }
    }

    private mutating func add(
        _ name: String, _ snapshot: SnapshotInfo, _ statuses: [CustomerStatus],
        _ columns: [ScoreValues]
    ) {
        add(name, snapshot)
        for found in statuses { add("\(name).status", status(found)) }
        for column in columns {
            for row in statuses.indices { add("\(name).\(column.id)", cell(column, row)) }
        }
    }

    private mutating func add(
        _ name: String, _ snapshot: SnapshotInfo, _ found: CustomerStatus,
        _ entries: [(PatronID, Float)]
    ) {
        add(name, snapshot)
        add("\(name).status", status(found))
        for (id, score) in entries { add("\(name).entry", "\(id)", bits(score)) }
    }

    private mutating func add(_ name: String, _ found: TopResult) {
        add(name, found.snapshot, found.status, found.entries.map { ($0.id, $0.score) })
    }

    private mutating func add(_ name: String, _ found: OfferResult) {
        add(name, found.snapshot, found.status, found.entries.map { ($0.id, $0.score) })
        for entry in found.entries {
            add(
                "\(name).offer", bits(entry.purchaseProbability), bits(entry.expectedMargin),
                bits(entry.promotionLift), number(entry.basis?.rawValue))
        }
    }

    static func lines(
        _ pool: PatronPool, _ ids: [Int64], _ product: String, _ category: String
    ) async throws -> [String] {
        var dump = AnswerDump()
        let customers = ids.map { PatronID.integer($0) }
        let described = try await dump.customers(pool, customers)
        try await dump.affinity(pool, customers, .text(product), category)
        try await dump.segments(pool, customers)
        try await dump.streams(pool, described)
        return dump.all
    }

    private mutating func customers(
        _ pool: PatronPool, _ customers: [PatronID]
    ) async throws -> [UInt16] {
        add("ping", "\(try await pool.ping())")
        let found = try await pool.describe()
        add("describe", found.snapshot)
        func kind(_ kind: PatronIDKind?) -> String { kind.map { "\($0)" } ?? "-" }
        add(
            "describe", "\(found.customerCount)", "\(found.productCount)",
            kind(found.customerIDKind), kind(found.productIDKind))
        let affinity = try #require(found.affinity)
        let facts = [
            affinity.hasDetails, affinity.hasProbabilities, affinity.takesBoughtSince,
            affinity.hasPromotions, affinity.findsSimilar, affinity.servesColdCustomers,
            affinity.servesColdProducts,
        ]
        all.append(
            (["affinity", affinity.variant] + facts.map { $0 ? "1" : "0" }).joined(separator: " "))
        for column in found.columns {
            add(
                "column", "\(column.id)", column.name, column.unit, column.description,
                column.valueNames.replacingOccurrences(of: "\n", with: "|"))
        }
        let numbers = found.columns.map(\.id)
        let asked = customers + [.integer(-5), customers[0]]
        let every = try await pool.lookup(asked)
        add("lookup", every.snapshot, every.status, every.columns)
        let some = try await pool.lookup(
            asked, columns: [numbers[numbers.count - 1], 19, numbers[0]])
        add("columns", some.snapshot, some.status, some.columns)
        for id in asked {
            let one = try await pool.lookupOne(id, columns: numbers)
            add("one", one.snapshot)
            add("one.status", status(one.status))
            // A row gives numbers and texts; the type is that of the columns above.
            for column in every.columns {
                let value: String
                switch column.lanes {
                case .float64: value = bits(one.number(column.id))
                case .float32: value = one.number(column.id).map { bits(Float($0)) } ?? "-"
                default: value = one.text(column.id) ?? "-"
                }
                add("one.\(column.id)", value)
            }
        }
        func history(_ x: Int, _ tx: Int, _ age: Int, _ mean: Double?, _ revenue: Double?)
            -> PurchaseHistory
        {
            PurchaseHistory(
                repeatPurchaseCount: x, ageAtLastPurchaseDays: tx, observedAgeDays: age,
                meanOrderValue: mean, revenue: revenue)
        }
        let scores = try await pool.score([
            history(0, 0, 10, nil, 20), history(2, 20, 10, 20, 50),
            history(5, 200, 301, 33.25, nil),
            history(3, 99, 100, 12.125, 700.5),
        ])
        add("score", scores.snapshot, scores.status, scores.columns)
        return numbers
    }

    private mutating func affinity(
        _ pool: PatronPool, _ customers: [PatronID], _ product: PatronID, _ category: String
    ) async throws {
        for customer in customers.prefix(4) {
            add("top-products", try await pool.topProducts(customer: customer, count: 7))
            add("similar-customers", try await pool.similarCustomers(to: customer, count: 7))
            for offer in OfferOptions.Offer.allCases {
                for rank in OfferOptions.Rank.allCases {
                    var options = OfferOptions()
                    (options.offer, options.rank, options.bought) = (offer, rank, .included)
                    add(
                        "offer-\(offer.rawValue)-\(rank.rawValue)",
                        try await pool.offerProducts(customer: customer, count: 5, options))
                }
            }
            var since = OfferOptions()
            since.categories = [category]
            (since.lowestPrice, since.highestPrice) = (0.5, 90)
            since.boughtSince = [product]
            add("offer-since", try await pool.offerProducts(customer: customer, count: 5, since))
        }
        add(
            "top-customers",
            try await pool.topCustomers(product: product, count: 7, excludingPurchased: false))
        add("similar-products", try await pool.similarProducts(to: product, count: 7))
        for promoted in [false, true] {
            add(
                "offer-customers",
                try await pool.offerCustomers(
                    product: product, count: 7, byProbability: true, promoted: promoted))
        }
    }

    private mutating func segments(_ pool: PatronPool, _ customers: [PatronID]) async throws {
        for name in [nil, "value"] {
            let segments = try await pool.segments(of: name)
            add("segments", segments.snapshot)
            for s in segments.segments {
                add(
                    "segment", s.segmentation, "\(s.number)", s.name, "\(s.customerCount)",
                    bits(s.customerShare), bits(s.revenue), bits(s.revenueShare),
                    bits(s.meanLifetimeValue), bits(s.meanChurnProbability), bits(s.margin),
                    bits(s.meanExpectedPurchases), s.distinctions ?? "-")
            }
            for p in try await pool.segmentProfiles(of: name).rows {
                add(
                    "profile", p.segmentation, "\(p.segment)", p.feature, p.category ?? "-",
                    bits(p.mean), bits(p.overallMean), bits(p.index), bits(p.difference),
                    bits(p.missingShare))
            }
        }
        for customer in customers.prefix(3) {
            let found = try await pool.explainSegment(
                of: customer, in: "value", deadline: .seconds(120))
            add("explain", found.snapshot)
            add(
                "explain", "\(found.segment)", number(found.nextSegment), bits(found.distance),
                bits(found.nextDistance), "\(found.modelVersion)")
            for part in found.parts {
                add(
                    "part", part.feature, bits(part.value), part.text ?? "-",
                    part.segmentText ?? "-", part.nextText ?? "-", bits(part.segmentMean),
                    bits(part.nextMean), bits(part.overallMean), bits(part.difference),
                    bits(part.share))
            }
        }
    }

    private mutating func streams(_ pool: PatronPool, _ numbers: [UInt16]) async throws {
        let rule = "lifetime_value > 50 and not churn_probability >= 0.75"
        add("count", "\(try await pool.count(rule: rule))")
        let columns = [19, numbers[numbers.count - 1]]
        for (name, chosen) in [("audience", rule), ("scan", nil)] as [(String, String?)] {
            for try await chunk in pool.customers(rule: chosen, columns: columns) {
                all.append((["\(name).ids"] + chunk.ids.map { "\($0)" }).joined(separator: " "))
                add(name, chunk.snapshot, chunk.status, chunk.columns)
                add("\(name).scanned", "\(chunk.scannedCount)")
            }
        }
    }
}
