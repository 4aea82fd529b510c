package import ByteCoding
import ColumnStore
import Models
import Numerical

/// The affinity part of a snapshot, memory-mapped: `affinity.arr`, and `affinity-changed.arr` where
/// some customers have other rows since an earlier generation, whose `affinity.arr` it then is.
///
/// Arrays of both: those of `AffinityRows`. Of `affinity.arr`: `productFactors` [p × f] float32; the
/// product ids with their index under `products`. Of `affinity-changed.arr`: `places` [n] int32, the
/// row of each customer in `affinity.arr`, or that file's row count + the row in this one.
package struct AffinityFile: Sendable {
    static let name = "affinity.arr"
    static let kind = "patron.affinity"
    static let changedName = "affinity-changed.arr"
    static let changedKind = "patron.changed-affinity"
    private static let indexPrefix = "products"

    private let products: IDIndex
    let productFactors: MappedArray<Float>
    /// Products with a factor that is not 0: of the others nothing is known.
    let haveProductFactors: Bitmap
    /// The products' factors once more, in the order that look-ups read.
    private let preparedProducts: TopN
    private let base: AffinityRows
    private let changed: (rows: AffinityRows, places: MappedArray<Int32>)?
    /// Nil where nothing is known for offers but factors.
    let offerFile: OfferFile?
    let customerCount: Int

    /// Of a customer and of a product.
    var factorCount: Int { preparedProducts.factorCount }

    package var productCount: Int { products.count }
    package var productIDsAreTexts: Bool { products.holdsTexts }

    /// Writes `affinity.arr`, or links that of the earlier generation and writes what has changed.
    static func write(
        _ contents: AffinityContents, into folder: String
    ) throws(StoreError) -> [SnapshotDescriptor.File] {
        func write(
            _ writer: ArrayFileWriter, _ name: String
        ) throws(StoreError) -> SnapshotDescriptor.File {
            let (byteCount, checksum) = try writer.write(to: "\(folder)/\(name)")
            return SnapshotDescriptor.File(name: name, byteCount: byteCount, checksum: checksum)
        }
        if let base = contents.base {
            try linkFile(from: base.path, to: "\(folder)/\(name)")
            var writer = ArrayFileWriter(kind: changedKind)
            writer.add("places", base.places)
            AffinityRows.add(contents, to: &writer)
            return [base.file, try write(writer, changedName)]
        }
        var writer = ArrayFileWriter(kind: kind)
        AffinityRows.add(contents, to: &writer)
        writer.add(
            "productFactors", contents.productFactors,
            shape: [contents.productIDs.count, contents.factorCount])
        try IDIndex.add(contents.productIDs, to: &writer, prefix: indexPrefix)
        return [try write(writer, name)]
    }

    /// Opens and verifies the files. The number of factors, offsets, product rows and places are
    /// checked too: no request can meet one that leaves its array, or a list that a binary search
    /// would misread.
    package init(
        folder: String, hasChanged: Bool, hasOffers: Bool = false, customerCount: Int,
        productCount: Int
    ) throws(EngineError) {
        self.customerCount = customerCount
        do throws(StoreError) {
            let file = try Self.open(folder, threadCount: 1)
            let all = try AffinityRows.Arrays(file, count: hasChanged ? nil : customerCount)
            productFactors = try file.array(
                "productFactors", of: Float.self, shape: [productCount, all.factorCount])
            products = try IDIndex(reading: file, prefix: Self.indexPrefix)
            guard products.count == productCount else {
                throw file.corrupt("\(Self.indexPrefix).slots", "not one id a product")
            }
            let top = try Self.prepare(file, productFactors)
            preparedProducts = top
            haveProductFactors = Self.known(productFactors)
            offerFile =
                hasOffers
                ? try OfferFile(
                    folder: folder, customerCount: customerCount, top, productFactors) : nil
            let hasRepeats = offerFile?.hasRepeats ?? false
            func requireRepeats(
                _ rows: AffinityRows.Arrays, _ file: ArrayFile
            ) throws(StoreError) {
                guard !hasRepeats || rows.count == 0 || rows.lastBasketDays != nil else {
                    throw file.corrupt(
                        "purchasedScores", "\(OfferFile.name) goes on from days it does not have")
                }
            }
            try requireRepeats(all, file)
            guard hasChanged else {
                base = try AffinityRows(all, file, top, current: nil)
                changed = nil
                return
            }
            let changes = try Self.open(folder, Self.changedName, threadCount: 1)
            let some = try AffinityRows.Arrays(changes, count: nil)
            try requireRepeats(some, changes)
            let (places, current) = try Self.places(
                changes, customerCount: customerCount, all.count, some.count)
            base = try AffinityRows(all, file, top, current: current.base)
            changed = (try AffinityRows(some, changes, top, current: current.changed), places)
        } catch {
            throw .store(error)
        }
    }

    /// Opens one of the files and verifies its arrays' checksums.
    /// - Parameter name: `affinity.arr` or `affinity-changed.arr`.
    static func open(
        _ folder: String, _ name: String = name, threadCount: Int
    ) throws(StoreError) -> ArrayFile {
        let file = try ArrayFile(path: "\(folder)/\(name)", verifiesArrays: false)
        guard file.kind == (name == changedName ? changedKind : kind) else {
            throw .notAStoreFile(path: file.path, expected: "a snapshot's \(name)")
        }
        try file.verify(file.names, threadCount: threadCount)
        return file
    }

    /// Where the customers' rows are, and the rows of each file that are some customer's.
    /// - Throws: `corrupt` for places outside the rows, and where those of one file do not ascend:
    ///   the order of rows is that of customers.
    static func places(
        _ changes: ArrayFile, customerCount: Int, _ baseCount: Int, _ changedCount: Int
    ) throws(StoreError) -> (MappedArray<Int32>, current: (base: Bitmap, changed: Bitmap)) {
        let places = try changes.array("places", of: Int32.self, shape: [customerCount])
        guard let current = current(places, baseCount, changedCount) else {
            throw changes.corrupt("places", "they leave the rows or do not ascend")
        }
        return (places, current)
    }

    private static func current(
        _ places: MappedArray<Int32>, _ baseCount: Int, _ changedCount: Int
    ) -> (base: Bitmap, changed: Bitmap)? {
        var result = (base: Bitmap(count: baseCount), changed: Bitmap(count: changedCount))
        var (base, changed) = (-1, -1)
        let areSound = places.withSpan { places in
            for row in places.indices {
                let place = Int(places[row])
                if place < baseCount {
                    guard place > base else { return false }
                    base = place
                    result.base[place] = true
                } else {
                    guard place - baseCount > changed, place - baseCount < changedCount else {
                        return false
                    }
                    changed = place - baseCount
                    result.changed[changed] = true
                }
            }
            return true
        }
        return areSound ? result : nil
    }

    /// - Throws: `corrupt` where factors are such that a score might not be finite.
    private static func prepare(
        _ file: ArrayFile, _ products: MappedArray<Float>
    ) throws(StoreError) -> TopN {
        do throws(ModelError) {
            let (productCount, factorCount) = (products.shape[0], products.shape[1])
            return try products.withSpan { factors throws(ModelError) in
                try TopN(itemFactors: factors, itemCount: productCount, factorCount: factorCount)
            }
        } catch {
            throw file.corrupt("productFactors", "factors: \(error)")
        }
    }

    /// Rows with a factor that is not 0.
    private static func known(_ factors: MappedArray<Float>) -> Bitmap {
        Bitmap(
            (0..<factors.shape[0]).map { row in
                factors.withRow(row) { row in !row.indices.allSatisfy { row[$0] == 0 } }
            })
    }

    /// Where the row of a customer is.
    func place(_ customer: Int) -> (rows: AffinityRows, row: Int) {
        guard let changed else { return (base, customer) }
        let place = Int(changed.places[customer])
        return place < base.count ? (base, place) : (changed.rows, place - base.count)
    }

    package func productRow(_ id: EntityID) -> Int? { products.find(id) }

    package func productID(_ row: Int) -> EntityID { products[row] }

    /// Whether the customer bought a product that the model knows.
    func hasFactors(customer: Int) -> Bool {
        let (rows, row) = place(customer)
        return rows.haveFactors[row]
    }

    /// The `count` products with the highest scores for a customer, best first; ties go to the
    /// lower row. O(products × factors) at most.
    /// - Parameter eligible: `[productCount]`; nil: all products are.
    func topProducts(
        customer: Int, count: Int, excludesPurchased: Bool, eligible: Bitmap? = nil
    ) -> [TopEntry] {
        let (rows, row) = place(customer)
        return rows.withRow(row) { factors, purchased, scores in
            topProducts(
                factors, purchased, scores, isAdding: rows.hasScores, count: count,
                excludesPurchased: excludesPurchased, eligible: eligible)
        }
    }

    /// The same by factors and purchases.
    /// - Parameters:
    ///   - scores: what is added for products bought, where it `isAdding`.
    func topProducts(
        _ factors: Span<Float>, _ purchased: Span<Int32>, _ scores: Span<Float>, isAdding: Bool,
        count: Int, excludesPurchased: Bool, eligible: Bitmap?
    ) -> [TopEntry] {
        let addsScores = isAdding && !excludesPurchased
        let others = preparedProducts.top(
            count, query: factors,
            excluding: purchased.extracting(
                first: excludesPurchased || addsScores ? purchased.count : 0),
            eligible: eligible)
        guard addsScores else { return others }
        var all = others
        for i in purchased.indices where eligible?[Int(purchased[i])] ?? true {
            let score = productFactors.withRow(Int(purchased[i])) {
                KernelTable.current.dot(factors, $0)
            }
            all.append(TopEntry(item: purchased[i], score: score + scores[i]))
        }
        return Array(all.sorted { $0.isBefore($1) }.prefix(count))
    }

    /// The `count` customers with the highest scores for a product, best first; ties go to the
    /// lower row. Customers who bought nothing have no score. Streams over all customers:
    /// O(customers × factors).
    func topCustomers(product row: Int, count: Int, excludesPurchasers: Bool) -> [TopEntry] {
        productFactors.withRow(row) { product in
            // Nobody bought it in the model's time: every customer would score 0, and the first
            // ones would look like a choice.
            if product.indices.allSatisfy({ product[$0] == 0 }) { return [] }
            func best(_ rows: AffinityRows) -> [TopEntry] {
                let isAdding = rows.hasScores && !excludesPurchasers
                let others = rows.top(
                    count, for: product,
                    without: excludesPurchasers || isAdding ? Int32(row) : nil)
                guard isAdding else { return others }
                return Array(
                    (others + rows.purchasers(of: Int32(row), product))
                        .sorted { $0.isBefore($1) }.prefix(count))
            }
            let first = best(base)
            guard let changed else { return first }
            let others = best(changed.rows).map {
                TopEntry(item: $0.item + Int32(base.count), score: $0.score)
            }
            // The order of customers is that of the rows of one file, not of both.
            return Array(
                customers(of: first + others, changed.places).sorted { $0.isBefore($1) }
                    .prefix(count))
        }
    }

    /// Entries of customers in place of those of their places.
    private func customers(
        of entries: [TopEntry], _ places: MappedArray<Int32>
    ) -> [TopEntry] {
        var scores: [Int32: Float] = [:]
        var wanted = Bitmap(count: base.count + (changed?.rows.count ?? 0))
        for entry in entries {
            scores[entry.item] = entry.score
            wanted[Int(entry.item)] = true
        }
        var result: [TopEntry] = []
        places.withSpan { places in
            for customer in places.indices where wanted[Int(places[customer])] {
                if let score = scores[places[customer]] {
                    result.append(TopEntry(item: Int32(customer), score: score))
                }
            }
        }
        return result
    }
}
