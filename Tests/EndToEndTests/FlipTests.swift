import Engine
import Foundation
import Synthetic
import TestSupport
import Testing

/// `verify` finds every flipped bit of every file that the manifest speaks for, and of those it
/// needs itself. The plan is the user's own to edit: a flip there is an edit.
@Suite struct FlipTests {
    /// Small files of every kind: segments of all three tables, models of three families, a
    /// published generation.
    private func makeSmallWorkspace(_ folder: URL) throws {
        var parameters = Retailer.Parameters()
        parameters.customerCount = 24
        parameters.productCount = 20
        parameters.dayCount = 240
        _ = try Retailer(parameters).generate(into: folder.sub("data"), threadCount: 1)
        try folder.write(
            """
            version: 1
            sources:
              purchases:
                files: [purchases.csv]
                columns:
                  customerID: {column: customer_id, type: integer}
                  time: {column: time, format: iso8601}
                  amount: amount
                  product: product_id
              customers:
                files: [customers.csv]
                id: {column: customer_id, type: integer}
                attributes: {age: number}
              products:
                files: [products.csv]
                id: product_id
                attributes: {price: number}
            segmentations:
              value: {features: [orderCount, daysSinceLastPurchase], clusterCount: 2}
            affinity: {factorCount: 2}
            """, as: "data/small.yaml")
        try Workspace.create(folder: folder.sub("ws"), planPath: folder.sub("data/small.yaml"))
        let workspace = try Workspace(folder: folder.sub("ws"), access: .writing)
        _ = try workspace.ingest()
        _ = try workspace.train(threadCount: 1)
        _ = try workspace.score(threadCount: 1)
        try workspace.publish()
    }

    /// One bit of every seventh byte, another one from byte to byte; `PATRON_EVERY_BIT=1` tries all
    /// of every byte (half an hour), a sanitized build one bit of every 97th.
    @Test func verifyFindsEveryFlippedBit() async throws {
        try await inTemporaryFolder { folder in
            try makeSmallWorkspace(folder)
            let environment = ProcessInfo.processInfo.environment
            let isWhole = environment["PATRON_EVERY_BIT"] != nil
            let bitCount = isWhole ? 8 : 1
            let stride = isWhole ? 1 : environment["ASAN_OPTIONS"] == nil ? 7 : 97
            let ws = folder.appendingPathComponent("ws")
            #expect(try isSound(ws))
            let names = try FileManager.default.subpathsOfDirectory(atPath: ws.path)
                .filter {
                    ($0 as NSString).lastPathComponent.contains(/^(MANIFEST|SNAPSHOT|ORIGIN)$|\./)
                }
                .filter { $0 != "patron.yaml" }
            #expect(names.count == 19, "\(names)")
            var flipCount = 0
            var missed: [String] = []
            for name in names {
                let file = try FileHandle(forUpdating: URL(fileURLWithPath: ws.sub(name)))
                let bytes = [UInt8](try file.readToEnd() ?? Data())
                for index in Swift.stride(from: 0, to: bytes.count, by: stride) {
                    for bit in 0..<bitCount {
                        let flipped = bytes[index] ^ 1 << UInt8((index + bit) % 8)
                        try replace(file, index, flipped)
                        flipCount += 1
                        // Tests that wait for a server share the threads.
                        await Task.yield()
                        if try isSound(ws) { missed.append("\(name) byte \(index) bit \(bit)") }
                    }
                    try replace(file, index, bytes[index])
                }
                try file.close()
            }
            #expect(missed == [], "of \(flipCount)")
            #expect(flipCount > 15_000 / stride)
            #expect(try isSound(ws))
        }
    }

    private func replace(_ file: FileHandle, _ offset: Int, _ byte: UInt8) throws {
        try file.seek(toOffset: UInt64(offset))
        try file.write(contentsOf: [byte])
    }

    private func isSound(_ ws: URL) throws -> Bool {
        do throws(EngineError) {
            let report = try Workspace(folder: ws.path, access: .reading).verify()
            return report.problems.isEmpty && report.damagedCaches.isEmpty
        } catch {
            return false
        }
    }
}
