import ByteCoding
import ColumnStore
import Engine
import Foundation
import TestSupport
import Testing
import Units

/// What the affinity model says of customers without purchases, and files of it that are not sound.
@Suite struct AffinityModelTests {
    private let plan = """
        version: 1
        sources:
          purchases:
            files: [purchases.csv]
            columns:
              customerID: {column: customer, type: integer}
              time: time
              amount: amount
              product: product
        segmentations:
          a: {features: [revenue, orderCount], clusterCount: 2}
        """

    /// Customers 0 ..< 40 buy three products in spring and another in summer; 40 ..< 60 get something
    /// for nothing in spring, which is no purchase of a product, and buy in summer.
    private func purchases() -> String {
        var text = "customer,time,amount,product\n"
        for customer in 0..<40 {
            for order in 0..<3 {
                let product = (customer + order) % 8
                text += "\(customer),2024-0\(3 + order)-1\(customer % 9),\(9 + order),p\(product)\n"
            }
            text += "\(customer),2024-07-1\(customer % 9),20,p\((customer + 4) % 8)\n"
        }
        for customer in 40..<60 {
            text += "\(customer),2024-03-10,0,p\(customer % 8)\n"
            text += "\(customer),2024-07-10,15,p\(customer % 8)\n"
        }
        return text + "0,2024-09-01,5,p0\n"
    }

    @Test func customersWithoutPurchasesAreNotEvaluated() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, plan: plan, purchases: purchases())
            _ = try workspace.ingest()
            let report = try workspace.evaluate(
                asOf: try #require(CalendarDay(parsing: "2024-06-01")),
                horizon: try #require(Horizon(parsing: "8w")), threadCount: 2)
            #expect(report.customerCount == 60)
            let affinity = try #require(report.affinity)
            #expect(affinity.customerCount == 40)
            #expect(report.mostPopular?.customerCount == 40)
            // Five products are left for a list of ten: each finds the one that was bought next.
            #expect(affinity.recall == 1)
        }
    }

    @Test func modelFilesWithoutSenseAreRefused() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(folder, plan: plan, purchases: purchases())
            _ = try workspace.ingest()
            _ = try workspace.train(threadCount: 1)
            let entry = try #require(workspace.manifest.models.first { $0.name == "affinity" })
            let path = "\(workspace.folder)/\(entry.file)"
            let sound = try Data(contentsOf: URL(fileURLWithPath: path))
            let file = try ArrayFile(path: path)
            let card = String(decoding: file.card, as: UTF8.self)
            let bytes = try file.array("productIDBytes", of: UInt8.self).toArray()
            let offsets = try file.array("productIDOffsets", of: Int64.self).toArray()
            let factors = try file.array("productFactors", of: Float.self)
            let (productCount, factorCount) = (factors.shape[0], factors.shape[1])

            /// Writes the model again and scores with it.
            func failure(
                card: String, bytes: [UInt8], factors: [Float], shape: [Int]
            ) throws -> String {
                var writer = ArrayFileWriter(kind: "model", card: Array(card.utf8))
                writer.add("productFactors", factors, shape: shape)
                writer.add("productIDBytes", bytes)
                writer.add("productIDOffsets", offsets)
                _ = try writer.write(to: path)
                do {
                    _ = try workspace.score(threadCount: 1)
                    return "none"
                } catch {
                    return "\(error)"
                }
            }
            let values = factors.toArray()
            // The card names the number among the fit's diagnostics and among the parameters.
            func changed(factorCount other: Int) -> String {
                card.replacing("\"factorCount\":\(factorCount)", with: "\"factorCount\":\(other)")
            }
            #expect(changed(factorCount: 0) != card)
            let none = try failure(
                card: changed(factorCount: 0), bytes: bytes, factors: [], shape: [productCount, 0])
            #expect(none.contains(entry.file) && none.contains("factorCount is 0"), "\(none)")
            #expect(none.contains("train it again"), "\(none)")
            let huge = try failure(
                card: changed(factorCount: 1_000), bytes: bytes, factors: values,
                shape: [productCount, factorCount])
            #expect(huge.contains("factorCount is 1000"), "\(huge)")
            let other = try failure(
                card: changed(factorCount: factorCount - 1), bytes: bytes, factors: values,
                shape: [productCount, factorCount])
            #expect(other.contains("productFactors"), "\(other)")
            // Two products named p0.
            var repeated = bytes
            repeated[3] = repeated[1]
            let twice = try failure(
                card: card, bytes: repeated, factors: values, shape: [productCount, factorCount])
            #expect(twice.contains("products 0 and 1 have the same id"), "\(twice)")
            try sound.write(to: URL(fileURLWithPath: path))
            _ = try workspace.score(threadCount: 1)
        }
    }
}
