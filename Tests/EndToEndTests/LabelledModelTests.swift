import Engine
import Foundation
import PatronClient
import TestSupport
import Testing
import Units

/// SCORE and EXPLAIN by generations with labels, and what an explanation reads.
@Suite struct LabelledModelTests {
    /// A generated retailer with two generations whose models differ; the first is published.
    private func makeTwo(_ folder: URL) throws -> Workspace {
        let workspace = try makeRetailer(folder, customers: 500, seed: 21)
        let day = try workspace.asOfDay(nil, threadCount: 2)
        _ = try workspace.train(asOf: day + -60, threadCount: 2)
        _ = try workspace.score(asOf: day, threadCount: 2)
        try workspace.publish()
        _ = try workspace.train(asOf: day, threadCount: 2)
        _ = try workspace.score(asOf: day, threadCount: 2)
        return workspace
    }

    @Test func everyGenerationAnswersByItsOwnModels() async throws {
        try await inTemporaryFolder { folder in
            _ = try makeTwo(folder)
            let path = folder.sub("ws")
            let histories = (0..<600).map { row in
                PurchaseHistory(
                    repeatPurchaseCount: row % 7,
                    ageAtLastPurchaseDays: row % 7 == 0 ? 0 : 40 + row,
                    observedAgeDays: 700, meanOrderValue: row % 7 == 0 ? nil : 20, revenue: 50)
            }
            try await serving(path) { connection, _ in
                try await connection.setLabel("next", to: 2)
                let next = try connection.labelled("next")
                var customers: [PatronID] = []
                for try await chunk in try connection.customers() { customers += chunk.ids }
                func ask() async throws -> (now: LookupResult, then: LookupResult) {
                    let now = try await connection.score(histories)
                    let then = try await next.score(histories)
                    #expect(now.snapshot.generation == 1 && then.snapshot.generation == 2)
                    for customer in [customers[3], customers[90]] {
                        let mine = try await connection.explainSegment(of: customer, in: "value")
                        let other = try await next.explainSegment(of: customer, in: "value")
                        #expect(mine.snapshot.generation == 1 && other.snapshot.generation == 2)
                        // By centroids of another day.
                        #expect(mine.distance != other.distance)
                    }
                    return (now, then)
                }
                let first = try await ask()
                #expect(first.now.columns != first.then.columns)
                // The models of both are at hand: their files are not read again.
                let models = try FileManager.default.contentsOfDirectory(atPath: "\(path)/models")
                    .filter { $0.contains("lifetime") }
                #expect(models.count == 2)
                for model in models {
                    try FileManager.default.removeItem(atPath: "\(path)/models/\(model)")
                }
                for _ in 0..<3 {
                    let again = try await ask()
                    #expect(again.now.columns == first.now.columns)
                    #expect(again.then.columns == first.then.columns)
                }
                let error = await #expect(throws: PatronError.self) {
                    try await connection.labelled("unknown").score(histories)
                }
                guard case .refused(let refusal)? = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                #expect(refusal.name == "unknownLabel")
            }
        }
    }

    /// What the features of the day have kept is as good as all lines, of the day and of others.
    @Test func anExplanationIsTheSameWithAndWithoutWhatIsKept() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeTwo(folder)
            let path = folder.sub("ws")
            let day = try workspace.asOfDay(nil, threadCount: 2)
            _ = try workspace.score(asOf: day + 20, threadCount: 2)
            let generations = workspace.manifest.generations
            try #require(generations.count == 3)
            let cache = "\(path)/cache/features.arr"
            try #require(FileManager.default.fileExists(atPath: cache))
            func reports() throws -> [Data] {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.sortedKeys]
                var reports: [Data] = []
                for generation in generations.dropFirst() {
                    let snapshot = try ServingSnapshot(folder: "\(path)/\(generation.folder)")
                    let explainer = try SegmentExplainer(folder: path, snapshot: snapshot)
                    for row in 0..<20 {
                        for name in ["behaviour", "value"] {
                            let report = try explainer.explain(
                                customer: "\(snapshot.customers[row * 7])", segmentation: name)
                            reports.append(try encoder.encode(report))
                        }
                    }
                }
                return reports
            }
            let kept = try reports()
            #expect(Set(kept).count > 40)
            try FileManager.default.removeItem(atPath: "\(path)/cache")
            #expect(try reports() == kept)
            // A damaged one is no worse than none.
            _ = try workspace.score(asOf: day, threadCount: 2)
            var bytes = try Data(contentsOf: URL(fileURLWithPath: cache))
            for place in stride(from: 64, to: bytes.count, by: 97) { bytes[place] ^= 2 }
            try bytes.write(to: URL(fileURLWithPath: cache))
            #expect(try reports() == kept)
        }
    }
}
