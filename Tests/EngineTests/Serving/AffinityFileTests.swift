import ByteCoding
import ColumnStore
import Engine
import Foundation
import TestSupport
import Testing

/// Affinity files whose checksums are right and whose contents are not.
@Suite struct AffinityFileTests {
    /// Three customers, the second without purchases, and four products.
    private struct Contents {
        var factorCount = 2
        var customerFactors: [Float] = [1, 2, 0, 0, 3, 4]
        var productFactors: [Float] = [1, 0, 0, 1, 1, 1, 2, 1]
        var offsets: [Int64] = [0, 2, 2, 5]
        var products: [Int32] = [1, 3, 0, 2, 3]

        func write(to path: String) throws {
            var writer = ArrayFileWriter(kind: "patron.affinity")
            writer.add("customerFactors", customerFactors, shape: [3, factorCount])
            writer.add("productFactors", productFactors, shape: [4, factorCount])
            writer.add("purchasedOffsets", offsets)
            writer.add("purchasedProducts", products)
            try IDIndex.add(
                .texts(TextArray(["a", "b", "c", "d"])), to: &writer, prefix: "products")
            _ = try writer.write(to: path)
        }
    }

    private func failure(_ change: (inout Contents) -> Void) throws -> String {
        try withTemporaryFolder { folder in
            var contents = Contents()
            change(&contents)
            let path = folder.appendingPathComponent("affinity.arr").path
            try contents.write(to: path)
            do throws(EngineError) {
                _ = try AffinityFile(path: path, customerCount: 3, productCount: 4)
                return "none"
            } catch {
                return error.description
            }
        }
    }

    @Test func whatAReaderReliesOnIsChecked() throws {
        #expect(try failure { _ in } == "none")
        let noFactors = try failure {
            ($0.factorCount, $0.customerFactors, $0.productFactors) = (0, [], [])
        }
        #expect(noFactors.contains("affinity.arr: byte") && noFactors.contains("0 factors"))
        // A binary search would miss these.
        let unsorted = try failure { $0.products = [3, 1, 0, 2, 3] }
        #expect(unsorted.contains("purchasedProducts: those of customer row 0"), "\(unsorted)")
        let twice = try failure { $0.products = [1, 3, 0, 3, 3] }
        #expect(twice.contains("customer row 2 are not ascending"), "\(twice)")
        // From one customer to the next they may fall.
        #expect(try failure { $0.products = [2, 3, 0, 1, 2] } == "none")
        #expect(try failure { $0.products[4] = 4 }.contains("no such product"))
        #expect(try failure { $0.products[2] = -1 }.contains("no such product"))
        #expect(try failure { $0.offsets = [0, 3, 2, 5] }.contains("decrease"))
        #expect(try failure { $0.offsets = [0, 2, 2, 4] }.contains("purchasedOffsets"))
        #expect(try failure { $0.customerFactors[3] = .nan }.contains("row 1, column 1"))
    }
}
