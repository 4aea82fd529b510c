package import ByteCoding
import ColumnStore

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

    /// Opens and verifies the file. Offsets and product rows are checked too, so that no request
    /// can meet one that leaves its array.
    init(path: String, customerCount: Int, productCount: Int) throws(EngineError) {
        do throws(StoreError) {
            let file = try ArrayFile(path: path)
            guard file.kind == Self.kind else {
                throw .notAStoreFile(path: path, expected: "a snapshot's affinity file")
            }
            customerFactors = try file.array(
                "customerFactors", of: Float.self, shape: [customerCount, -1])
            factorCount = customerFactors.shape[1]
            productFactors = try file.array(
                "productFactors", of: Float.self, shape: [productCount, factorCount])
            purchasedOffsets = try file.array(
                "purchasedOffsets", of: Int64.self, shape: [customerCount + 1])
            purchasedProducts = try file.array("purchasedProducts", of: Int32.self)
            products = try IDIndex(reading: file, prefix: Self.indexPrefix)
            try verify(file, productCount: productCount)
        } catch {
            throw .store(error)
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
    }

    package func productRow(_ id: EntityID) -> Int? { products.find(id) }

    package func productID(_ row: Int) -> EntityID { products[row] }

    /// How many different products the customer bought.
    func purchasedCount(customer row: Int) -> Int {
        Int(purchasedOffsets[row + 1] - purchasedOffsets[row])
    }

    /// The `count` products with the highest scores for a customer, best first; ties go to the
    /// lower row. O(products × factors).
    func topProducts(customer row: Int, count: Int, excludesPurchased: Bool) -> [TopList.Entry] {
        var top = TopList(capacity: min(count, productCount))
        var next = Int(purchasedOffsets[row])
        let end = excludesPurchased ? Int(purchasedOffsets[row + 1]) : next
        customerFactors.withRow(row) { customer in
            productFactors.withSpan { factors in
                purchasedProducts.withSpan { purchased in
                    for product in 0..<productCount {
                        if next < end, Int(purchased[next]) == product {
                            next += 1
                            continue
                        }
                        let score = dotProduct(
                            customer, factors, from: product * factorCount, count: factorCount)
                        top.offer(row: product, score: score)
                    }
                }
            }
        }
        return top.sorted
    }

    /// The `count` customers with the highest scores for a product, best first; ties go to the
    /// lower row. Customers who bought nothing have no score. Streams over all customers:
    /// O(customers × factors).
    func topCustomers(product row: Int, count: Int, excludesPurchasers: Bool) -> [TopList.Entry] {
        var top = TopList(capacity: min(count, customerCount))
        productFactors.withRow(row) { product in
            customerFactors.withSpan { factors in
                purchasedOffsets.withSpan { offsets in
                    purchasedProducts.withSpan { purchased in
                        for customer in 0..<customerCount {
                            let bought = Int(offsets[customer])..<Int(offsets[customer + 1])
                            if bought.isEmpty { continue }
                            let score = dotProduct(
                                product, factors, from: customer * factorCount, count: factorCount)
                            // Whether the product was bought is the rarer question: few scores
                            // reach the list, so it is asked only of those.
                            if top.wouldKeep(row: customer, score: score),
                                !(excludesPurchasers && contains(purchased, bought, Int32(row)))
                            {
                                top.offer(row: customer, score: score)
                            }
                        }
                    }
                }
            }
        }
        return top.sorted
    }

    /// Binary search in an ascending part of a span.
    private func contains(_ span: Span<Int32>, _ range: Range<Int>, _ value: Int32) -> Bool {
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if span[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low < range.upperBound && span[low] == value
    }
}

/// Σ a[i] · b[start + i]. Eight partial sums let the loop run at the adder's throughput instead of
/// its latency, and fix the order of summation.
private func dotProduct(
    _ a: Span<Float>, _ b: Span<Float>, from start: Int, count: Int
) -> Float {
    var sums: InlineArray<8, Float> = [0, 0, 0, 0, 0, 0, 0, 0]
    var index = 0
    while index <= count - 8 {
        for lane in 0..<8 {
            sums[lane] += a[index + lane] * b[start + index + lane]
        }
        index += 8
    }
    while index < count {
        sums[0] += a[index] * b[start + index]
        index += 1
    }
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
}
