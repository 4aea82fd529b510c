import ByteCoding
import Engine
import Foundation
import PatronClient
import Synthetic
import TestSupport
import Testing
import Units

/// SCORE and EXPLAIN: what the models behind a snapshot say over the wire.
@Suite struct ServedModelTests {
    /// Trains, scores and publishes a generated retailer.
    /// - Parameter covariates: names of attributes, for the lifetime model.
    private func makeRetail(
        _ folder: URL, customers: Int, covariates: String? = nil
    ) throws -> Workspace {
        var parameters = Retailer.Parameters()
        parameters.customerCount = customers
        parameters.dayCount = 400
        parameters.seed = 9
        _ = try Retailer(parameters).generate(into: folder.sub("data"), threadCount: 2)
        let plan = folder.sub("data/\(Retailer.FileName.plan)")
        if let covariates {
            let text = try String(contentsOfFile: plan, encoding: .utf8)
                .replacingOccurrences(
                    of: "model: bgnbd", with: "model: bgnbd, covariates: [\(covariates)]")
            try text.write(toFile: plan, atomically: true, encoding: .utf8)
        }
        try Workspace.create(folder: folder.sub("ws"), planPath: plan)
        let workspace = try Workspace(folder: folder.sub("ws"), access: .writing)
        _ = try workspace.ingest()
        _ = try workspace.train(threadCount: 2)
        _ = try workspace.score(threadCount: 2)
        try workspace.publish()
        return workspace
    }

    private static let outputs: [UInt16] = [16, 17, 18, 19, 20, 21, 22]

    /// The stored histories of customers, scored as if they were not in the store, come to the bits
    /// that are stored.
    @Test func scoresOfStoredHistoriesAreTheStoredScores() async throws {
        try await inTemporaryFolder { folder in
            _ = try makeRetail(folder, customers: 1_300)
            try await serving(folder.sub("ws")) { connection, _ in
                var ids: [PatronID] = []
                for try await chunk in try connection.customers() { ids += chunk.ids }
                let stored = try await connection.lookup(ids)
                func value(_ id: UInt16, _ row: Int) -> Double? { stored.column(id)?.number(row) }
                let rows = ids.indices.filter { stored.status[$0] == .ok }
                #expect(rows.count > 1_100)
                let histories = rows.map { row in
                    PurchaseHistory(
                        repeatPurchaseCount: Int(value(1, row) ?? -1),
                        ageAtLastPurchaseDays: Int(value(2, row) ?? -1),
                        observedAgeDays: Int(value(3, row) ?? -1),
                        meanOrderValue: value(5, row), revenue: value(6, row))
                }
                let scores = try await connection.score(histories)
                #expect(scores.snapshot == stored.snapshot)
                #expect(scores.status.allSatisfy { $0 == .ok })
                #expect(scores.columns.map(\.id) == Self.outputs)
                for (place, row) in rows.enumerated() {
                    for id in Self.outputs {
                        let score = scores.column(id)?.number(place)
                        #expect(
                            score?.bitPattern == value(id, row)?.bitPattern,
                            "column \(id), customer \(ids[row])")
                    }
                }
                // Some of them, alone and in another order.
                let few = [900, 3, 512, 511].map { histories[$0] }
                let again = try await connection.score(few, columns: [19, 16])
                #expect(again.columns.map(\.id) == [19, 16])
                #expect(
                    again.column(19)?.number(1)?.bitPattern
                        == scores.column(19)?.number(3)?.bitPattern)
                #expect(
                    again.column(16)?.number(0)?.bitPattern
                        == scores.column(16)?.number(900)?.bitPattern)
            }
        }
    }

    @Test func historiesThatCannotBeAreToldSo() async throws {
        try await inTemporaryFolder { folder in
            _ = try makeRetail(folder, customers: 300)
            try await serving(folder.sub("ws")) { connection, _ in
                func history(
                    _ x: Int, _ tx: Int, _ age: Int, _ mean: Double? = 20, _ revenue: Double? = 50
                ) -> PurchaseHistory {
                    PurchaseHistory(
                        repeatPurchaseCount: x, ageAtLastPurchaseDays: tx, observedAgeDays: age,
                        meanOrderValue: mean, revenue: revenue)
                }
                let scores = try await connection.score([
                    history(0, 0, 10), history(2, 20, 10), history(-1, 0, 10), history(0, 5, 10),
                    history(2, 5, 10, nil), history(1, 1, 80_000), history(2, 5, 10, 20, nil),
                    history(0, 0, 10, nil, 20),
                ])
                let expected: [CustomerStatus] = [
                    .ok, .notEligible, .notEligible, .notEligible, .notEligible, .notEligible, .ok,
                    .ok,
                ]
                #expect(scores.status == expected)
                for (row, status) in expected.enumerated() {
                    for column in scores.columns where status != .ok {
                        #expect(column.number(row) == nil, "column \(column.id), row \(row)")
                    }
                }
                // The simple formula goes by revenue; nothing else does.
                #expect(scores.column(21)?.number(6) == nil)
                #expect(scores.column(19)?.number(6) != nil)
                await #expect(throws: PatronError.self) {
                    try await connection.score([history(0, 0, 1)], columns: [6])
                }
                await #expect(throws: PatronError.self) { try await connection.score([]) }
            }
        }
    }

    /// With covariates each row is scored by its own attributes.
    @Test func attributesShiftTheScores() async throws {
        try await inTemporaryFolder { folder in
            _ = try makeRetail(folder, customers: 1_500, covariates: "gender, age")
            let known = try Self.attributes(folder.sub("data/\(Retailer.FileName.customers)"))
            try await serving(folder.sub("ws")) { connection, _ in
                let ids = known.keys.sorted().map { PatronID.integer($0) }
                let stored = try await connection.lookup(ids)
                func value(_ id: UInt16, _ row: Int) -> Double? { stored.column(id)?.number(row) }
                let rows = ids.indices.filter { stored.status[$0] == .ok }
                #expect(rows.count > 500)
                let histories = rows.map { row in
                    var history = PurchaseHistory(
                        repeatPurchaseCount: Int(value(1, row) ?? -1),
                        ageAtLastPurchaseDays: Int(value(2, row) ?? -1),
                        observedAgeDays: Int(value(3, row) ?? -1),
                        meanOrderValue: value(5, row), revenue: value(6, row))
                    if case .integer(let id) = ids[row] { history.attributes = known[id] ?? [:] }
                    return history
                }
                let scores = try await connection.score(histories, columns: [16, 17, 19])
                var differing = 0
                let plain = try await connection.score(
                    histories.map {
                        var plain = $0
                        plain.attributes = [:]
                        return plain
                    }, columns: [16, 17, 19])
                for (place, row) in rows.enumerated() {
                    for id: UInt16 in [16, 17, 19] {
                        let score = scores.column(id)?.number(place)
                        #expect(score?.bitPattern == value(id, row)?.bitPattern, "column \(id)")
                        if plain.column(id)?.number(place) != score { differing += 1 }
                    }
                }
                #expect(differing > 100)
                var wrong = histories[0]
                wrong.attributes = ["age": .text("old")]
                await #expect(throws: PatronError.self) { try await connection.score([wrong]) }
            }
        }
    }

    /// The attributes of the generated customers, as their file has them.
    private static func attributes(
        _ path: String
    ) throws -> [Int64: [String: PurchaseHistory.Attribute]] {
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        let names = lines[0].split(separator: ",", omittingEmptySubsequences: false)
        let id = try #require(names.firstIndex(of: "customer_id"))
        let gender = try #require(names.firstIndex(of: "gender"))
        let age = try #require(names.firstIndex(of: "age"))
        var result: [Int64: [String: PurchaseHistory.Attribute]] = [:]
        for line in lines.dropFirst() {
            let fields = line.split(separator: ",", omittingEmptySubsequences: false)
            var values: [String: PurchaseHistory.Attribute] = [:]
            if !fields[gender].isEmpty { values["gender"] = .text(String(fields[gender])) }
            if let number = Double(fields[age]) { values["age"] = .number(number) }
            result[try #require(Int64(fields[id]))] = values
        }
        return result
    }

    @Test func explanationsAreThoseOfTheWorkspace() async throws {
        try await inTemporaryFolder { folder in
            let workspace = try makeRetail(folder, customers: 400)
            try await serving(folder.sub("ws")) { connection, _ in
                var ids: [PatronID] = []
                for try await chunk in try connection.customers() { ids += chunk.ids }
                for (index, id) in ids.enumerated() where index % 40 == 0 {
                    for name in ["value", "behaviour"] {
                        let answer = try await connection.explainSegment(of: id, in: name)
                        let report = try workspace.explainSegment(
                            ofCustomer: "\(id)", in: name, threadCount: 1)
                        #expect(answer.segment == report.segment.id)
                        #expect(answer.nextSegment == report.next?.id)
                        #expect(answer.distance == report.segment.distance)
                        #expect(answer.nextDistance == report.next?.distance)
                        #expect(answer.parts.map(\.feature) == report.parts.map(\.feature))
                        #expect(answer.parts.map(\.value) == report.parts.map(\.value))
                        #expect(answer.parts.map(\.difference) == report.parts.map(\.difference))
                        #expect(answer.parts.map(\.segmentMean) == report.parts.map(\.segmentMean))
                        #expect(answer.parts.map(\.nextMean) == report.parts.map(\.nextMean))
                    }
                }
                for (id, name, status) in [
                    (PatronID.integer(5), "value", UInt32(201)), (ids[0], "nothing", 203),
                    (.text("a"), "value", 111),
                ] {
                    let error = await #expect(throws: PatronError.self) {
                        try await connection.explainSegment(of: id, in: name)
                    }
                    guard case .refused(let refusal)? = error else {
                        Issue.record("\(String(describing: error))")
                        continue
                    }
                    #expect(refusal.status == status)
                }
            }
        }
    }
}
