import ByteCoding
import ColumnStore
import Features
import Models
import Numerical
import Units

/// What customers bought, as a variant of the affinity model reads it.
struct AffinityPurchases: Sendable {
    /// `[customers × products]`: purchase lines; baskets where the variant reads these.
    var counts: SparseMatrix
    /// Nil where the variant reads none.
    var baskets: PurchaseBaskets?
}

/// Purchases of customers and the products that they are about.
struct AffinityHistory: Sendable {
    var purchases: AffinityPurchases
    var products: TextArray
}

extension SurveyedHistory {
    /// What the customers known on a day, in the rows of that day's feature table, bought by another.
    /// - Throws: `.noProducts` where no line names a product.
    func affinityHistory(
        readsBaskets: Bool, customersAsOf day: CalendarDay, through: CalendarDay
    ) throws(EngineError) -> AffinityHistory {
        guard readsBaskets else {
            guard let matrix = try purchaseMatrix(customersAsOf: day, through: through) else {
                throw .noProducts
            }
            return AffinityHistory(
                purchases: AffinityPurchases(counts: matrix.sparse), products: matrix.products)
        }
        guard let lines = try basketLines(customersAsOf: day, through: through) else {
            throw .noProducts
        }
        return AffinityHistory(
            purchases: try lines.purchases(of: lines.products), products: lines.products)
    }

    /// The baskets of the customers known on a day through another.
    /// - Returns: nil where no line names a product.
    func basketLines(
        customersAsOf day: CalendarDay, through: CalendarDay
    ) throws(EngineError) -> BasketLines? {
        guard let products = try checkedProducts() else { return nil }
        let clock = clock
        return try lines.reduce(
            into: BasketLines(products: products), [.products, .orders], texts,
            threadCount: threadCount
        ) { chunk in
            Features.basketLines(
                chunk, customerRows: chunk.customerRows(asOf: day, clock: clock),
                through: through, clock: clock, threadCount: 1) ?? BasketLines(products: products)
        } merge: { baskets, part in
            baskets.append(part)
        }
    }

    /// The baskets of the customers alone who have changed, each with all that they bought by a day.
    /// - Returns: nil where no line names a product; no ids for no customers.
    func changedBaskets(
        asOf day: CalendarDay, _ change: HistoryChange
    ) throws(EngineError) -> (customerIDs: IDColumn?, baskets: BasketLines)? {
        typealias Part = (customerIDs: IDColumn?, baskets: BasketLines)
        guard let products = try checkedProducts() else { return nil }
        let clock = clock
        let none: Part = (nil, BasketLines(products: products))
        return try lines.reduce(
            into: none, [.products, .orders], texts, changed: change, threadCount: threadCount
        ) { (chunk) -> Part in
            let rows = chunk.customerRows(asOf: day, clock: clock)
            return (
                chunk.customerIDs.gather(rows),
                Features.basketLines(
                    chunk, customerRows: rows, through: day, clock: clock, threadCount: 1)
                    ?? BasketLines(products: products)
            )
        } merge: { result, part in
            // Those of nobody have no kind of id to go by.
            guard let ids = part.customerIDs, ids.count > 0 else { return }
            if result.customerIDs == nil {
                result.customerIDs = ids
            } else {
                let isOfOneKind = result.customerIDs?.append(contentsOf: ids) ?? false
                precondition(isOfOneKind, "the customers of one history have ids of one kind")
            }
            result.baskets.append(part.baskets)
        }
    }
}

extension BasketLines {
    /// As baskets of the products of `target`; products that it lacks are left out.
    func purchases(of target: TextArray) throws(EngineError) -> AffinityPurchases {
        var (items, offsets) = (productCodes, basketOffsets)
        if products != target {
            let columns = products.columns(in: target)
            (items, offsets) = ([], [0])
            for basket in days.indices {
                let start = items.count
                for code in productCodes[basketOffsets[basket]..<basketOffsets[basket + 1]] {
                    if let column = columns[Int(code)] { items.append(column) }
                }
                items[start...].sort()
                offsets.append(items.count)
            }
        }
        let baskets = try modelErrors("affinity") { () throws(ModelError) in
            try PurchaseBaskets(
                itemCount: target.count, customerOffsets: customerOffsets, basketOffsets: offsets,
                items: items, days: days)
        }
        return AffinityPurchases(counts: baskets.counts, baskets: baskets)
    }
}

extension PurchaseMatrix {
    var sparse: SparseMatrix {
        SparseMatrix(
            rowCount: rowCount, columnCount: columnCount, rowOffsets: rowOffsets,
            columnIndices: productCodes, values: values)
    }

    /// The same purchases with the columns of `target`; products that it lacks are left out.
    func rearranged(to target: TextArray) -> SparseMatrix {
        if products == target { return sparse }
        let columns = products.columns(in: target)
        var newOffsets = [0]
        var newColumns: [Int32] = []
        var newValues: [Float] = []
        newOffsets.reserveCapacity(rowOffsets.count)
        var row: [(column: Int32, value: Float)] = []
        for index in 0..<rowCount {
            row.removeAll(keepingCapacity: true)
            for position in rowOffsets[index]..<rowOffsets[index + 1] {
                guard let column = columns[Int(productCodes[position])] else { continue }
                row.append((column, values[position]))
            }
            row.sort { $0.column < $1.column }
            newColumns += row.lazy.map(\.column)
            newValues += row.lazy.map(\.value)
            newOffsets.append(newColumns.count)
        }
        return SparseMatrix(
            rowCount: rowCount, columnCount: target.count, rowOffsets: newOffsets,
            columnIndices: newColumns, values: newValues)
    }
}

extension TextArray {
    /// Where each text is in another array; nil for one that it lacks.
    func columns(in target: TextArray) -> [Int32?] {
        var columnOfText: [ArraySlice<UInt8>: Int32] = [:]
        columnOfText.reserveCapacity(target.count)
        for column in 0..<target.count { columnOfText[target.utf8(column)] = Int32(column) }
        return (0..<count).map { columnOfText[utf8($0)] }
    }
}
