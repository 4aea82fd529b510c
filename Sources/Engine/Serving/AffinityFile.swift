package import ByteCoding
import ColumnStore
import Models
import Numerical

/// The affinity part of a snapshot, memory-mapped: `affinity.arr`.
///
/// Arrays: `customerFactors` [n × f] and `productFactors` [p × f] float32; `purchasedOffsets`
/// [n + 1] int64 and `purchasedProducts` int32, which say who bought what; the product ids with
/// their index under `products`.
package struct AffinityFile: Sendable {
    static let name = "affinity.arr"
    static let kind = "patron.affinity"
    private static let indexPrefix = "products"

    package let factorCount: Int
    private let products: IDIndex
    private let customerFactors: MappedArray<Float>
    private let productFactors: MappedArray<Float>
    private let purchasedOffsets: MappedArray<Int64>
    private let purchasedProducts: MappedArray<Int32>
    /// The products' factors once more, in the order that look-ups read.
    private let preparedProducts: TopN
    /// Customers with purchases and a factor that is not 0: the others bought nothing that the model
    /// knows.
    private let haveFactors: Bitmap

    package var productCount: Int { products.count }
    package var productIDsAreTexts: Bool { products.holdsTexts }
    private var customerCount: Int { purchasedOffsets.count - 1 }

    static func write(
        _ contents: AffinityContents, customerCount: Int, to path: String
    ) throws(StoreError) -> (byteCount: Int, checksum: UInt32) {
        var writer = ArrayFileWriter(kind: kind)
        writer.add(
            "customerFactors", contents.customerFactors,
            shape: [customerCount, contents.factorCount])
        writer.add(
            "productFactors", contents.productFactors,
            shape: [contents.productIDs.count, contents.factorCount])
        writer.add("purchasedOffsets", contents.purchasedOffsets.map(Int64.init))
        writer.add("purchasedProducts", contents.purchasedProducts)
        try IDIndex.add(contents.productIDs, to: &writer, prefix: indexPrefix)
        return try writer.write(to: path)
    }

    /// Opens and verifies the file. The number of factors, offsets and product rows are checked too:
    /// no request can meet one that leaves its array, or a list that a binary search would misread.
    package init(path: String, customerCount: Int, productCount: Int) throws(EngineError) {
        do throws(StoreError) {
            let file = try ArrayFile(path: path)
            guard file.kind == Self.kind else {
                throw .notAStoreFile(path: path, expected: "a snapshot's affinity file")
            }
            customerFactors = try file.array(
                "customerFactors", of: Float.self, shape: [customerCount, -1])
            factorCount = customerFactors.shape[1]
            guard (1...AffinityContents.maximumFactorCount).contains(factorCount) else {
                throw .corrupt(
                    path: path, byteOffset: file.entry("customerFactors")?.byteOffset ?? 0,
                    reason: "customerFactors: \(factorCount) factors, not 1 ... "
                        + "\(AffinityContents.maximumFactorCount)")
            }
            productFactors = try file.array(
                "productFactors", of: Float.self, shape: [productCount, factorCount])
            purchasedOffsets = try file.array(
                "purchasedOffsets", of: Int64.self, shape: [customerCount + 1])
            purchasedProducts = try file.array("purchasedProducts", of: Int32.self)
            products = try IDIndex(reading: file, prefix: Self.indexPrefix)
            preparedProducts = try Self.prepare(file, productFactors, customerFactors)
            haveFactors = Self.withFactors(
                purchasedOffsets, customerFactors, customerCount: customerCount)
            try verify(file, productCount: productCount)
        } catch {
            throw .store(error)
        }
    }

    private static func withFactors(
        _ offsets: MappedArray<Int64>, _ factors: MappedArray<Float>, customerCount: Int
    ) -> Bitmap {
        let width = factors.shape[1]
        var bits = Bitmap(count: customerCount)
        factors.withSpan { factors in
            for i in factors.indices where factors[i] != 0 { bits[i / width] = true }
        }
        offsets.withSpan { offsets in
            for row in 0..<customerCount where offsets[row] == offsets[row + 1] {
                bits[row] = false
            }
        }
        return bits
    }

    /// - Throws: `corrupt` where factors are such that a score might not be finite.
    private static func prepare(
        _ file: ArrayFile, _ products: MappedArray<Float>, _ customers: MappedArray<Float>
    ) throws(StoreError) -> TopN {
        do throws(ModelError) {
            let (productCount, factorCount) = (products.shape[0], products.shape[1])
            let top = try products.withSpan { factors throws(ModelError) in
                try TopN(
                    itemFactors: factors, itemCount: productCount, factorCount: factorCount)
            }
            try customers.withSpan { factors throws(ModelError) in
                try top.checkQueries(factors, threadCount: 1)
            }
            return top
        } catch {
            throw .corrupt(
                path: file.path, byteOffset: file.entry("productFactors")?.byteOffset ?? 0,
                reason: "factors: \(error)")
        }
    }

    private func verify(_ file: ArrayFile, productCount: Int) throws(StoreError) {
        func corrupt(_ array: String, _ reason: String) -> StoreError {
            .corrupt(
                path: file.path, byteOffset: file.entry(array)?.byteOffset ?? 0,
                reason: "\(array): \(reason)")
        }
        guard products.count == productCount else {
            throw corrupt("\(Self.indexPrefix).slots", "not one id a product")
        }
        let (offsets, rows) = (purchasedOffsets, purchasedProducts)
        let total = Int64(purchasedProducts.count)
        let offsetsAreSound = purchasedOffsets.withSpan { offsets in
            guard offsets[0] == 0, offsets[offsets.count - 1] == total else { return false }
            for index in 1..<offsets.count where offsets[index] < offsets[index - 1] {
                return false
            }
            return true
        }
        guard offsetsAreSound else { throw corrupt("purchasedOffsets", "they decrease") }
        let productsExist = purchasedProducts.withSpan { rows in
            for index in rows.indices where rows[index] < 0 || Int(rows[index]) >= productCount {
                return false
            }
            return true
        }
        guard productsExist else { throw corrupt("purchasedProducts", "no such product") }
        let firstBad = offsets.withSpan { offsets in
            rows.withSpan { Self.firstNotAscending(offsets, $0) }
        }
        if let firstBad {
            throw corrupt(
                "purchasedProducts", "those of customer row \(firstBad) are not ascending")
        }
    }

    /// The first row whose part of `values` does not ascend; equal neighbours do not.
    private static func firstNotAscending(
        _ offsets: Span<Int64>, _ values: Span<Int32>
    ) -> Int? {
        for row in 0..<offsets.count - 1 {
            let (start, end) = (Int(offsets[row]), Int(offsets[row + 1]))
            for i in stride(from: start + 1, to: end, by: 1) where values[i] <= values[i - 1] {
                return row
            }
        }
        return nil
    }

    package func productRow(_ id: EntityID) -> Int? { products.find(id) }

    package func productID(_ row: Int) -> EntityID { products[row] }

    /// Whether the customer bought a product that the model knows.
    func hasFactors(customer row: Int) -> Bool { haveFactors[row] }

    /// The `count` products with the highest scores for a customer, best first; ties go to the
    /// lower row. O(products × factors) at most.
    func topProducts(customer row: Int, count: Int, excludesPurchased: Bool) -> [TopEntry] {
        let start = Int(purchasedOffsets[row])
        let end = excludesPurchased ? Int(purchasedOffsets[row + 1]) : start
        return customerFactors.withRow(row) { customer in
            purchasedProducts.withSpan { purchased in
                preparedProducts.top(
                    count, query: customer, excluding: purchased.extracting(start..<end))
            }
        }
    }

    /// The `count` customers with the highest scores for a product, best first; ties go to the
    /// lower row. Customers who bought nothing have no score. Streams over all customers:
    /// O(customers × factors).
    func topCustomers(product row: Int, count: Int, excludesPurchasers: Bool) -> [TopEntry] {
        let (offsets, purchased) = (purchasedOffsets, purchasedProducts)
        var isExcluded: (@Sendable (Int, Int32) -> Bool)?
        if excludesPurchasers {
            isExcluded = { _, customer in
                let bought = Int(offsets[Int(customer)])..<Int(offsets[Int(customer) + 1])
                return purchased.withSpan { Self.contains($0, bought, Int32(row)) }
            }
        }
        return productFactors.withRow(row) { product in
            // Nobody bought it in the model's time: every customer would score 0, and the first
            // ones would look like a choice.
            if product.indices.allSatisfy({ product[$0] == 0 }) { return [] }
            return customerFactors.withSpan { customers in
                do throws(ModelError) {
                    let lists = try TopStream.top(
                        count, queryFactors: product, itemFactors: customers,
                        factorCount: factorCount, eligible: haveFactors, threadCount: 1,
                        isExcluded: isExcluded)
                    return Array(lists[0])
                } catch {
                    preconditionFailure("the factors were checked when the file was opened")
                }
            }
        }
    }

    /// Binary search in an ascending part of a span.
    private static func contains(_ span: Span<Int32>, _ range: Range<Int>, _ value: Int32) -> Bool {
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if span[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low < range.upperBound && span[low] == value
    }
}
