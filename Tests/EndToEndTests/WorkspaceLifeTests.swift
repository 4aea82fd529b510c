import ByteCoding
import ColumnStore
import Engine
import Foundation
import TestSupport
import Testing
import Units

/// What happens to a workspace over time: plans that change, files that come again or in part,
/// commands that fail half-way.
@Suite struct WorkspaceLifeTests {
    /// A plan with segmentations of these names, and tables of customers and products.
    private func plan(_ segmentations: [String], customerIDType: String = "integer") -> String {
        """
        version: 1
        sources:
          purchases:
            files: [purchases.csv]
            columns:
              customerID: {column: customer, type: \(customerIDType)}
              time: time
              amount: amount
              product: product
          customers:
            files: []
            id: {column: customer, type: \(customerIDType)}
            attributes: {age: number}
          products:
            files: []
            id: product
            attributes: {category: text}
        segmentations:
        \(segmentations.map { "  \($0): {features: [revenue, orderCount], clusterCount: 2}" }
            .joined(separator: "\n"))
        """
    }

    private func purchases(customers: Range<Int> = 0..<40) -> String {
        var text = "customer,time,amount,product\n"
        for customer in customers {
            for order in 0..<(1 + customer % 4) {
                let day = CalendarDay(daysSince1970: 19_000 + customer + order * (5 + customer % 7))
                text += "\(customer),\(day),\(10 + customer % 13 + order).5,p\(customer % 5)\n"
            }
        }
        return text
    }

    private func reopened(_ folder: URL, plan: String) throws -> Workspace {
        try folder.write(plan, as: "ws/patron.yaml")
        return try Workspace(folder: folder.sub("ws"), access: .writing)
    }

    @Test func aSegmentationKeepsItsColumnAmongOthers() throws {
        try withTemporaryFolder { folder in
            func columns(_ names: [String]) throws -> [String: Int]? {
                let workspace = try reopened(folder, plan: plan(names))
                _ = try workspace.train(threadCount: 1)
                _ = try workspace.score(threadCount: 1)
                return workspace.manifest.segmentationColumns
            }
            do {
                let first = plan(["b", "c"])
                let workspace = try makeWorkspace(folder, plan: first, purchases: purchases())
                _ = try workspace.ingest()
            }
            #expect(try columns(["b", "c"]) == ["b": 64, "c": 65])
            #expect(try columns(["a", "c"]) == ["a": 66, "b": 64, "c": 65])
            #expect(try columns(["d", "b"]) == ["a": 66, "b": 64, "c": 65, "d": 67])
        }
    }

    @Test func modelsOfAnEarlierPlanAreNamed() throws {
        try withTemporaryFolder { folder in
            do {
                let first = plan(["a"])
                let workspace = try makeWorkspace(folder, plan: first, purchases: purchases())
                _ = try workspace.ingest()
                _ = try workspace.train(threadCount: 1)
                #expect(try workspace.score(threadCount: 1).modelsOfOtherPlans.isEmpty)
            }
            let workspace = try reopened(folder, plan: plan(["a", "b"]))
            _ = try workspace.train(only: ["segmentation.a"], threadCount: 1)
            let summary = try workspace.score(threadCount: 1)
            #expect(summary.missingModels == ["segmentation.b"])
            #expect(summary.modelsOfOtherPlans == ["lifetime", "affinity"])
        }
    }

    @Test func theSameBytesAsAnotherKindAreNotTheSameFile() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, plan: plan([]), purchases: purchases())
            let mixed = try folder.write(
                "customer,time,amount,product,age\n1,2022-03-01,5,p1,40\n", as: "mixed.csv")
            _ = try workspace.ingest(IngestFiles(customers: [mixed]))
            _ = try workspace.ingest(IngestFiles(purchases: [mixed]))
            #expect(workspace.manifest.sources.map(\.kind) == ["customers", "purchases"])
            #expect(throws: EngineError.alreadyIngested(path: mixed, earlier: mixed)) {
                try workspace.ingest(IngestFiles(purchases: [mixed]))
            }
        }
    }

    /// A pipe has no size by which its content could be recognised before it is read.
    @Test func theSameBytesThroughAPipe() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, plan: plan([]), purchases: purchases())
            _ = try workspace.ingest()
            let before = workspace.manifest
            let pipe = Pipe()
            pipe.fileHandleForWriting.write(Data(purchases().utf8))
            try pipe.fileHandleForWriting.close()
            let path = "/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)"
            let earlier = folder.sub("purchases.csv")
            #expect(throws: EngineError.alreadyIngested(path: path, earlier: earlier)) {
                try workspace.ingest(IngestFiles(purchases: [path]))
            }
            #expect(workspace.manifest == before)
            #expect(try files(in: folder, "ws/purchases") == ["000001.seg"])
        }
    }

    /// A committed file cannot be taken back, so ids of another kind must not get in.
    @Test func idsOfTwoKindsAreRefusedBeforeTheyAreCommitted() throws {
        try withTemporaryFolder { folder in
            let customers = try folder.write("customer,age\n1,40\n", as: "customers.csv")
            do {
                let workspace = try makeWorkspace(folder, plan: plan([]), purchases: purchases())
                _ = try workspace.ingest()
            }
            let workspace = try reopened(folder, plan: plan([], customerIDType: "text"))
            let before = workspace.manifest
            let late = try folder.write(purchases(customers: 50..<60), as: "late.csv")
            #expect(throws: EngineError.idKindMismatch(table: "customer")) {
                try workspace.ingest(IngestFiles(customers: [customers]))
            }
            #expect(throws: EngineError.idKindMismatch(table: "customer")) {
                try workspace.ingest(IngestFiles(purchases: [late]))
            }
            #expect(workspace.manifest == before)
            #expect(try files(in: folder, "ws/customers").isEmpty)
            #expect(try files(in: folder, "ws/purchases") == ["000001.seg"])
        }
    }

    @Test func aScoreThatFailsLeavesNoGeneration() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, plan: plan(["a"]), purchases: purchases())
            _ = try workspace.ingest()
            _ = try workspace.train(threadCount: 1)
            for path in [folder.sub("missing/out.csv"), folder.path] {
                #expect(throws: EngineError.self) {
                    try workspace.score(csvPath: path, threadCount: 1)
                }
            }
            #expect(try files(in: folder, "ws/snapshots").isEmpty)
            #expect(workspace.manifest.generations.isEmpty)
            #expect(try workspace.score(threadCount: 1).generation == 1)
        }
    }

    @Test func aReaderSurvivesAPrune() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, plan: plan(["a"]), purchases: purchases())
            _ = try workspace.ingest()
            _ = try workspace.train(threadCount: 1)
            let reader = try Workspace(folder: folder.sub("ws"), access: .reading)
            _ = try workspace.train(threadCount: 1)
            _ = try workspace.prune()
            #expect(try Set(reader.modelCards().map(\.version)) == [2])
        }
    }

    /// Whose purchases the model does not know gets no products, rather than the first ones.
    @Test func topProductsNeedAPurchase() throws {
        try withTemporaryFolder { folder in
            let text = purchases() + "90,2022-03-01,-5,p1\n91,2022-03-01,5,\n"
            let workspace = try makeWorkspace(folder, plan: plan(["a"]), purchases: text)
            _ = try workspace.ingest()
            _ = try workspace.train(threadCount: 1)
            _ = try workspace.score(csvPath: folder.sub("out.csv"), threadCount: 1)
            let lines = try String(contentsOfFile: folder.sub("out.csv"), encoding: .utf8)
                .split(separator: "\n")
            let header = try #require(lines.first).split(separator: ",")
            let places = header.count { $0.hasPrefix("top_product") }
            #expect(places > 0)
            for line in lines where line.hasPrefix("90,") || line.hasPrefix("91,") {
                #expect(line.hasSuffix(String(repeating: ",", count: places)))
            }
            #expect(lines.contains { $0.hasPrefix("91,0,") })
        }
    }

    @Test func pruneRemovesWhatKilledCommandsLeft() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, plan: plan(["a"]), purchases: purchases())
            _ = try workspace.ingest()
            for name in ["ws/.MANIFEST.7.1.tmp", "ws/rejects/.ingest-000001.csv.7.1.tmp"] {
                try folder.write("left", as: name)
            }
            try folder.write("kept", as: "ws/rejects/ingest-000001.csv")
            let removed = try workspace.prune().removed
            #expect(removed == [".MANIFEST.7.1.tmp", "rejects/.ingest-000001.csv.7.1.tmp"])
            #expect(try files(in: folder, "ws/rejects") == ["ingest-000001.csv"])
        }
    }

    /// An ingest that takes no line must not let the next one overwrite its list of rejects.
    @Test func everyListOfRejectsKeepsItsName() throws {
        try withTemporaryFolder { folder in
            let settingAside = plan([]).replacing(
                "files: [purchases.csv]", with: "files: []\n    setAside: [missingCustomerID]")
            let workspace = try makeWorkspace(folder, plan: settingAside, purchases: "")
            for name in ["a", "b"] {
                let text = "customer,time,amount,product\n,2022-03-01,5,\(name)\n"
                let path = try folder.write(text, as: "\(name).csv")
                _ = try workspace.ingest(IngestFiles(purchases: [path]))
            }
            #expect(try files(in: folder, "ws/rejects").count == 2)
        }
    }

    private func files(in folder: URL, _ name: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.sub(name)).sorted()
    }
}
