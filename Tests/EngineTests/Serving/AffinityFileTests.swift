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

        /// Of some customers in `affinity-changed.arr`; all have a row in `affinity.arr` where nil.
        var places: [Int32]?
        var changedFactors: [Float] = [5, 6, 7, 8]
        var changedOffsets: [Int64] = [0, 1, 2]
        var changedProducts: [Int32] = [2, 3]

        func write(into folder: URL) throws {
            var writer = ArrayFileWriter(kind: "patron.affinity")
            writer.add("customerFactors", customerFactors, shape: [3, factorCount])
            writer.add("productFactors", productFactors, shape: [4, factorCount])
            writer.add("purchasedOffsets", offsets)
            writer.add("purchasedProducts", products)
            try IDIndex.add(
                .texts(TextArray(["a", "b", "c", "d"])), to: &writer, prefix: "products")
            _ = try writer.write(to: folder.appendingPathComponent("affinity.arr").path)
            guard let places else { return }
            writer = ArrayFileWriter(kind: "patron.changed-affinity")
            writer.add("places", places)
            writer.add(
                "customerFactors", changedFactors,
                shape: [
                    changedOffsets.count - 1, changedFactors.count / (changedOffsets.count - 1),
                ])
            writer.add("purchasedOffsets", changedOffsets)
            writer.add("purchasedProducts", changedProducts)
            _ = try writer.write(to: folder.appendingPathComponent("affinity-changed.arr").path)
        }
    }

    private func failure(_ change: (inout Contents) -> Void) throws -> String {
        try withTemporaryFolder { folder in
            var contents = Contents()
            change(&contents)
            try contents.write(into: folder)
            do throws(EngineError) {
                _ = try AffinityFile(
                    folder: folder.path, hasChanged: contents.places != nil,
                    customerCount: contents.places?.count ?? 3, productCount: 4)
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

    @Test func theRowsOfChangedCustomersAreCheckedToo() throws {
        let sound: [Int32] = [0, 3, 4, 2]
        #expect(try failure { $0.places = sound } == "none")
        // Rows that are nobody's any more.
        #expect(try failure { $0.places = [1, 4] } == "none")
        for places: [Int32] in [
            [0, 3, 5, 2], [0, -1, 4, 2], [0, 3, 3, 2], [2, 3, 4, 0], [0, 4, 3, 2],
        ] {
            #expect(try failure { $0.places = places }.contains("affinity-changed.arr: byte"))
        }
        let otherWidth = try failure {
            ($0.places, $0.changedFactors) = (sound, [1, 2, 3, 4, 5, 6])
        }
        #expect(otherWidth.contains("3 factors"), "\(otherWidth)")
        let unsorted = try failure {
            ($0.places, $0.changedOffsets, $0.changedProducts) = (sound, [0, 2, 2], [2, 1])
        }
        #expect(unsorted.contains("affinity-changed.arr"), "\(unsorted)")
        let unknown = try failure { ($0.places, $0.changedProducts) = (sound, [2, 9]) }
        #expect(unknown.contains("no such product"), "\(unknown)")
        let infinite = try failure { ($0.places, $0.changedFactors[2]) = (sound, .infinity) }
        #expect(infinite.contains("row 1, column 0"), "\(infinite)")
    }
}
