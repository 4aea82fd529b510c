import ColumnStore
import Models
import Numerical

/// Rows of customers in an affinity file: `customerFactors` [m × f] float32; `purchasedOffsets`
/// [m + 1] int64 and `purchasedProducts` int32, which say who bought what; where something is added
/// to the scores of products bought, `purchasedScores` float32, one a product; where these are of
/// repeats, `purchasedOpportunities` float32, by weight the baskets after the first with each, and
/// `lastBasketDays` [m] int32; of a model with factors
/// `purchasedCounts` float32, how much of each; `topItems` [m × places]
/// int32, the products that a scoring ranked highest for each, -1 for none, where one is kept.
struct AffinityRows: Sendable {
    let factorCount: Int
    let count: Int
    private let customerFactors: MappedArray<Float>
    private let purchasedOffsets: MappedArray<Int64>
    private let purchasedProducts: MappedArray<Int32>
    private let purchasedScores: MappedArray<Float>?
    private let purchasedOpportunities: MappedArray<Float>?
    private let lastBasketDays: MappedArray<Int32>?
    private let purchasedCounts: MappedArray<Float>?
    /// Rows of customers with purchases and a factor that is not 0: the others bought nothing that
    /// the model knows, or have another row.
    let haveFactors: Bitmap

    fileprivate static let scoresName = "purchasedScores"
    fileprivate static let countsName = "purchasedCounts"
    fileprivate static let opportunitiesName = "purchasedOpportunities"
    fileprivate static let daysName = "lastBasketDays"

    /// The arrays of a file, as they are.
    struct Arrays: Sendable {
        let customerFactors: MappedArray<Float>
        let purchasedOffsets: MappedArray<Int64>
        let purchasedProducts: MappedArray<Int32>
        /// Nil where nothing is added to scores.
        let purchasedScores: MappedArray<Float>?
        /// Nil where each counts once.
        let purchasedCounts: MappedArray<Float>?
        /// Nil where no score is of repeats, and in files of before there were any.
        let purchasedOpportunities: MappedArray<Float>?
        /// Likewise.
        let lastBasketDays: MappedArray<Int32>?

        var count: Int { customerFactors.shape[0] }
        var factorCount: Int { customerFactors.shape[1] }

        /// - Parameter count: of rows; any where nil.
        init(_ file: ArrayFile, count: Int?) throws(StoreError) {
            customerFactors = try file.array(
                "customerFactors", of: Float.self, shape: [count ?? -1, -1])
            let (count, factorCount) = (customerFactors.shape[0], customerFactors.shape[1])
            guard (1...AffinityContents.maximumFactorCount).contains(factorCount) else {
                throw file.corrupt(
                    "customerFactors",
                    "\(factorCount) factors, not 1 ... \(AffinityContents.maximumFactorCount)")
            }
            purchasedOffsets = try file.array(
                "purchasedOffsets", of: Int64.self, shape: [count + 1])
            purchasedProducts = try file.array("purchasedProducts", of: Int32.self)
            func optional(_ name: String, _ count: Int) throws(StoreError) -> MappedArray<Float>? {
                file.entry(name) == nil
                    ? nil : try file.array(name, of: Float.self, shape: [count])
            }
            purchasedScores = try optional(AffinityRows.scoresName, purchasedProducts.count)
            purchasedCounts = try optional(AffinityRows.countsName, purchasedProducts.count)
            purchasedOpportunities = try optional(
                AffinityRows.opportunitiesName, purchasedProducts.count)
            lastBasketDays =
                file.entry(AffinityRows.daysName) == nil
                ? nil : try file.array(AffinityRows.daysName, of: Int32.self, shape: [count])
        }

        /// Refuses contents that a reader must not meet: factors of which a score might not be
        /// finite, offsets that leave the products, lists that a binary search would misread.
        /// - Parameters:
        ///   - file: that the arrays are of.
        ///   - top: of the products.
        /// - Throws: `corrupt`.
        func verify(_ file: ArrayFile, _ top: TopN, threadCount: Int) throws(StoreError) {
            guard factorCount == top.factorCount else {
                throw file.corrupt(
                    "customerFactors",
                    "\(factorCount) factors, the products' are \(top.factorCount)")
            }
            do throws(ModelError) {
                try customerFactors.withSpan { factors throws(ModelError) in
                    try top.checkQueries(factors, threadCount: threadCount)
                }
            } catch {
                throw file.corrupt("customerFactors", "factors: \(error)")
            }
            guard purchasedOffsets[0] == 0, purchasedOffsets[count] == purchasedProducts.count
            else {
                throw file.corrupt("purchasedOffsets", "they do not span the products")
            }
            let flaws = parallelMap(count: count, chunkSize: 1 << 14, threadCount: threadCount) {
                _, rows in
                purchasedOffsets.withSpan { offsets in
                    purchasedProducts.withSpan { products in
                        Self.flaw(of: rows, offsets, products, productCount: top.itemCount)
                    }
                }
            }
            if let flaw = flaws.compactMap(\.self).first {
                throw file.corrupt(flaw.array, flaw.reason)
            }
            guard Self.isSound(purchasedScores, -Float.greatestFiniteMagnitude) else {
                throw file.corrupt(AffinityRows.scoresName, "one is not finite")
            }
            guard Self.isSound(purchasedCounts, 0) else {
                throw file.corrupt(AffinityRows.countsName, "one is not finite or below 0")
            }
            guard Self.isSound(purchasedOpportunities, 0) else {
                throw file.corrupt(
                    AffinityRows.opportunitiesName, "one is not finite or below 0")
            }
            let hasOpportunities = purchasedOpportunities != nil
            guard !hasOpportunities || purchasedScores != nil || purchasedProducts.count == 0,
                hasOpportunities == (lastBasketDays != nil)
            else {
                throw file.corrupt(
                    hasOpportunities ? AffinityRows.opportunitiesName : AffinityRows.daysName,
                    "it comes with \(AffinityRows.scoresName) and "
                        + (hasOpportunities
                            ? AffinityRows.daysName : AffinityRows.opportunitiesName))
            }
        }

        private static func isSound(_ values: MappedArray<Float>?, _ least: Float) -> Bool {
            values?.withSpan { values in
                values.indices.allSatisfy { values[$0] >= least && values[$0].isFinite }
            } ?? true
        }

        private static func flaw(
            of rows: Range<Int>, _ offsets: Span<Int64>, _ products: Span<Int32>, productCount: Int
        ) -> (array: String, reason: String)? {
            for row in rows {
                let (start, end) = (offsets[row], offsets[row + 1])
                guard 0 <= start, start <= end, end <= products.count else {
                    return ("purchasedOffsets", "they decrease at customer row \(row)")
                }
            }
            for row in rows {
                var last: Int32 = -1
                for i in Int(offsets[row])..<Int(offsets[row + 1]) {
                    let product = products[i]
                    guard product >= 0, Int(product) < productCount else {
                        return ("purchasedProducts", "no such product as \(product)")
                    }
                    guard product > last else {
                        return (
                            "purchasedProducts", "those of customer row \(row) are not ascending"
                        )
                    }
                    last = product
                }
            }
            return nil
        }
    }

    static func add(_ contents: AffinityContents, to writer: inout ArrayFileWriter) {
        let count = contents.purchasedOffsets.count - 1
        writer.add(
            "customerFactors", contents.customerFactors, shape: [count, contents.factorCount])
        writer.add("purchasedOffsets", contents.purchasedOffsets.map(Int64.init))
        writer.add("purchasedProducts", contents.purchasedProducts)
        if !contents.purchasedScores.isEmpty {
            writer.add(scoresName, contents.purchasedScores)
        }
        if !contents.purchasedCounts.isEmpty {
            writer.add(countsName, contents.purchasedCounts)
        }
        if !contents.lastBasketDays.isEmpty {
            writer.add(opportunitiesName, contents.purchasedOpportunities)
            writer.add(daysName, contents.lastBasketDays)
        }
        if contents.topItemCount > 0 {
            writer.add("topItems", contents.topItems, shape: [count, contents.topItemCount])
        }
    }

    /// - Parameters:
    ///   - top: of the products.
    ///   - current: the rows that are some customer's; all where nil.
    /// - Throws: what `Arrays.verify` throws.
    init(
        _ arrays: Arrays, _ file: ArrayFile, _ top: TopN, current: Bitmap?
    ) throws(StoreError) {
        (factorCount, count) = (arrays.factorCount, arrays.count)
        customerFactors = arrays.customerFactors
        purchasedOffsets = arrays.purchasedOffsets
        purchasedProducts = arrays.purchasedProducts
        purchasedScores = arrays.purchasedScores
        purchasedCounts = arrays.purchasedCounts
        purchasedOpportunities = arrays.purchasedOpportunities
        lastBasketDays = arrays.lastBasketDays
        try arrays.verify(file, top, threadCount: 1)
        haveFactors = Self.withFactors(arrays, current: current)
    }

    private static func withFactors(_ arrays: Arrays, current: Bitmap?) -> Bitmap {
        let width = arrays.factorCount
        var bits = Bitmap(count: arrays.count)
        arrays.customerFactors.withSpan { factors in
            arrays.purchasedOffsets.withSpan { offsets in
                for row in 0..<arrays.count
                where offsets[row] < offsets[row + 1] && current?[row] ?? true {
                    var j = row * width
                    while j < (row + 1) * width, factors[j] == 0 { j += 1 }
                    bits[row] = j < (row + 1) * width
                }
            }
        }
        return bits
    }

    /// Lends the factors of a row, the products of its customer and what is added to their scores:
    /// nothing for no product where nothing is.
    func withRow<Result>(
        _ row: Int, _ body: (Span<Float>, Span<Int32>, Span<Float>) -> Result
    ) -> Result {
        let (start, end) = (Int(purchasedOffsets[row]), Int(purchasedOffsets[row + 1]))
        return customerFactors.withRow(row) { factors in
            purchasedProducts.withSpan { products in
                guard let purchasedScores else {
                    let none: [Float] = []
                    return body(factors, products.extracting(start..<end), none.span)
                }
                return purchasedScores.withSpan {
                    body(factors, products.extracting(start..<end), $0.extracting(start..<end))
                }
            }
        }
    }

    var hasScores: Bool { purchasedScores != nil }

    /// By weight, the baskets after the first with each product that a row's customer bought, and the
    /// day of the last basket; nil where no score is of repeats.
    func repeats(_ row: Int) -> (opportunities: [Float], lastBasketDay: Int32)? {
        guard let purchasedOpportunities, let lastBasketDays else { return nil }
        let own = Int(purchasedOffsets[row])..<Int(purchasedOffsets[row + 1])
        return (own.map { purchasedOpportunities[$0] }, lastBasketDays[row])
    }

    /// How much of each product its customer bought.
    func counts(_ row: Int) -> [Float] {
        let own = Int(purchasedOffsets[row])..<Int(purchasedOffsets[row + 1])
        guard let purchasedCounts else { return [Float](repeating: 1, count: own.count) }
        return own.map { purchasedCounts[$0] }
    }

    /// The rows that bought a product, with their scores: of factors, and what is added.
    /// - Complexity: O(rows × log of a row's products).
    func purchasers(of row: Int32, _ product: Span<Float>) -> [TopEntry] {
        var entries: [TopEntry] = []
        let (kernels, width) = (KernelTable.current, factorCount)
        purchasedOffsets.withSpan { offsets in
            purchasedProducts.withSpan { products in
                customerFactors.withSpan { factors in
                    for customer in 0..<count where haveFactors[customer] {
                        let own = Int(offsets[customer])..<Int(offsets[customer + 1])
                        guard let place = Self.place(of: row, in: products, own) else { continue }
                        let score = kernels.dot(
                            factors.extracting(customer * width..<(customer + 1) * width), product)
                        entries.append(
                            TopEntry(
                                item: Int32(customer),
                                score: score + (purchasedScores?[place] ?? 0)))
                    }
                }
            }
        }
        return entries
    }

    /// The `count` rows with the highest scores for a product, best first; ties go to the lower row.
    /// - Parameter purchased: leaves out those who have bought this one.
    func top(
        _ count: Int, for product: Span<Float>, without purchased: Int32?
    ) -> [TopEntry] {
        if self.count == 0 { return [] }
        let (offsets, products) = (purchasedOffsets, purchasedProducts)
        var isExcluded: (@Sendable (Int, Int32) -> Bool)?
        if let purchased {
            isExcluded = { _, row in
                let bought = Int(offsets[Int(row)])..<Int(offsets[Int(row) + 1])
                return products.withSpan { Self.contains($0, bought, purchased) }
            }
        }
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

    private static func contains(_ span: Span<Int32>, _ range: Range<Int>, _ value: Int32) -> Bool {
        place(of: value, in: span, range) != nil
    }

    /// Binary search in an ascending part of a span.
    static func place(of value: Int32, in span: Span<Int32>, _ range: Range<Int>) -> Int? {
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if span[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low < range.upperBound && span[low] == value ? low : nil
    }
}

extension ArrayFile {
    /// An error of one array.
    func corrupt(_ array: String, _ reason: String) -> StoreError {
        .corrupt(
            path: path, byteOffset: entry(array)?.byteOffset ?? 0, reason: "\(array): \(reason)")
    }
}
