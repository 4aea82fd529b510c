import Engine
import Foundation
import TestSupport
import Testing

/// Readers beside a process that publishes and prunes.
@Suite struct ConcurrentUseTests {
    private func makePublished(_ folder: URL) throws -> Workspace {
        let workspace = try makeRetailer(folder, customers: 60)
        _ = try workspace.train(threadCount: 1)
        _ = try workspace.score(threadCount: 1)
        try workspace.publish()
        return workspace
    }

    /// What a reader saw is gone when it comes to open it.
    @Test func aPruneBetweenLookingAndOpening() throws {
        try withTemporaryFolder { folder in
            let workspace = try makePublished(folder)
            let old = try #require(try Workspace.currentSnapshot(workspace.folder))
            _ = try workspace.score(threadCount: 1)
            try workspace.publish()
            _ = try workspace.prune()
            #expect(!FileManager.default.fileExists(atPath: old.folder))
            var looks = 0
            let opened = try ServingSnapshot.current { () throws(EngineError) in
                looks += 1
                return looks == 1 ? old : try Workspace.currentSnapshot(workspace.folder)
            }
            #expect(opened?.generation == 2)
            #expect(looks == 2)
            // What stays missing is an error, not a wait.
            let error = #expect(throws: EngineError.self) {
                try ServingSnapshot.current { () throws(EngineError) in old }
            }
            #expect(error?.description.contains(old.folder) ?? false)
        }
    }

    @Test func readersNeverMissDuringPublishAndPrune() async throws {
        try await inTemporaryFolder { folder in
            let workspace = try makePublished(folder)
            let path = workspace.folder
            let reading = Task.detached { () throws -> [Int] in
                var seen: [Int] = []
                while !Task.isCancelled {
                    let snapshot = try ServingSnapshot.current { () throws(EngineError) in
                        try Workspace.currentSnapshot(path)
                    }
                    seen.append(snapshot?.generation ?? -1)
                    await Task.yield()
                }
                return seen
            }
            for _ in 0..<6 {
                _ = try workspace.score(threadCount: 1)
                try workspace.publish()
                await Task.yield()
                _ = try workspace.prune()
            }
            reading.cancel()
            let seen = try await reading.value
            #expect(!seen.contains(-1))
            #expect(Set(seen).count > 1, "the reader saw one generation alone")
            #expect(seen == seen.sorted())
        }
    }

    /// A verification that began before a prune reads names that are gone: no damage.
    @Test func whatWasPrunedMeanwhileIsNoDamage() throws {
        try withTemporaryFolder { folder in
            let workspace = try makePublished(folder)
            let reader = try Workspace(folder: workspace.folder, access: .reading)
            _ = try workspace.train(threadCount: 1)
            _ = try workspace.score(threadCount: 1)
            try workspace.publish()
            #expect(!(try workspace.prune()).removed.isEmpty)
            #expect(reader.verify().problems == [])
            // Damage that the newer state names too is still told.
            let file = try #require(reader.manifest.purchaseSegments.first?.file)
            try folder.write("no segment", as: "ws/\(file)")
            #expect(reader.verify().problems.contains { $0.file == file })
        }
    }
}
