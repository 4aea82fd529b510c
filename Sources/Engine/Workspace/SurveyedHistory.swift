import ByteCoding
import Features
import Units

/// The purchase lines of a workspace and their texts: what passes over chunks of customers need.
///
/// A pass decodes the columns that it names and no others.
struct SurveyedHistory: Sendable {
    let lines: SegmentedHistory
    let texts: LineTexts
    let clock: LocalClock
    let threadCount: Int

    /// The rows of a feature table.
    func featureRows(_ scan: FeatureScan) throws(EngineError) -> FeatureRows {
        try lines.reduce(into: FeatureRows(), .features, texts, threadCount: threadCount) { chunk in
            scan.rows(of: chunk)
        } merge: { rows, part in
            rows.append(part)
        }
    }

    /// The rows of the customers alone who have changed, and the same customers' purchases: of one
    /// pass, most of which is to decode lines.
    /// - Returns: no purchases where they are not collected, or no line names a product.
    func changedRows(
        _ scan: FeatureScan, _ change: HistoryChange, collectsPurchases: Bool
    ) throws(EngineError) -> (features: FeatureRows, purchases: CustomerPurchases?) {
        typealias Rows = (features: FeatureRows, purchases: CustomerPurchases?)
        let (clock, products) = (clock, collectsPurchases ? try checkedProducts() : nil)
        let columns: LineColumns = products == nil ? .features : [.features, .products]
        let initial: Rows = (
            FeatureRows(), products.map { CustomerPurchases(matrix: PurchaseMatrix(products: $0)) }
        )
        return try lines.reduce(
            into: initial, columns, texts, changed: change, threadCount: threadCount
        ) { (chunk) -> Rows in
            (
                scan.rows(of: chunk),
                products.map { CustomerPurchases(of: chunk, asOf: scan.asOf, clock, $0) }
            )
        } merge: { rows, part in
            rows.features.append(part.features)
            if let purchases = part.purchases { rows.purchases?.append(purchases) }
        }
    }

    /// Who of the customers known on a day, in the rows of that day's feature table, bought what in
    /// (after, through]; from the beginning where `after` is nil.
    /// - Returns: nil where no line names a product.
    func purchaseMatrix(
        customersAsOf day: CalendarDay, after: CalendarDay? = nil, through: CalendarDay
    ) throws(EngineError) -> PurchaseMatrix? {
        guard let products = try checkedProducts() else { return nil }
        let clock = clock
        return try lines.reduce(
            into: PurchaseMatrix(products: products), .products, texts, threadCount: threadCount
        ) { chunk in
            Features.purchaseMatrix(
                chunk, customerRows: chunk.customerRows(asOf: day, clock: clock), after: after,
                through: through, clock: clock, threadCount: 1)
                ?? PurchaseMatrix(products: products)
        } merge: { matrix, part in
            matrix.append(part)
        }
    }

    /// What customers known on a day bought by it.
    struct CustomerPurchases: Sendable {
        /// Ascending, one a row; nil for no rows.
        var customerIDs: IDColumn?
        var matrix: PurchaseMatrix

        fileprivate init(matrix: PurchaseMatrix) { self.matrix = matrix }

        fileprivate init(
            of chunk: PurchaseHistory, asOf day: CalendarDay, _ clock: LocalClock,
            _ products: TextArray
        ) {
            let rows = chunk.customerRows(asOf: day, clock: clock)
            customerIDs = chunk.customerIDs.gather(rows)
            matrix =
                Features.purchaseMatrix(
                    chunk, customerRows: rows, asOf: day, clock: clock, threadCount: 1)
                ?? PurchaseMatrix(products: products)
        }

        fileprivate mutating func append(_ next: CustomerPurchases) {
            // Those of nobody have no kind of id to go by.
            guard let ids = next.customerIDs, ids.count > 0 else { return }
            if customerIDs == nil {
                customerIDs = ids
            } else {
                let isOfOneKind = customerIDs?.append(contentsOf: ids) ?? false
                precondition(isOfOneKind, "the customers of one history have ids of one kind")
            }
            matrix.append(next.matrix)
        }
    }

    /// The purchases of customers by a day, the returns and free lines left out.
    /// - Parameter change: of the customers alone who have changed.
    /// - Returns: nil where no line names a product.
    func purchases(
        asOf day: CalendarDay, changed change: HistoryChange
    ) throws(EngineError) -> CustomerPurchases? {
        guard let products = try checkedProducts() else { return nil }
        let clock = clock
        return try lines.reduce(
            into: CustomerPurchases(matrix: PurchaseMatrix(products: products)), .products, texts,
            changed: change, threadCount: threadCount
        ) { chunk in
            CustomerPurchases(of: chunk, asOf: day, clock, products)
        } merge: { purchases, part in
            purchases.append(part)
        }
    }

    /// - Throws: where products are more than a matrix has columns.
    func checkedProducts() throws(EngineError) -> TextArray? {
        guard let products = texts.products else { return nil }
        guard products.count <= Int(Int32.max) else {
            throw .features(
                .tooMany(what: "products", actual: products.count, limit: Int(Int32.max)))
        }
        return products
    }

    /// What the customers known on a day did in (day, through].
    func holdoutOutcome(
        after day: CalendarDay, through: CalendarDay
    ) throws(EngineError) -> HoldoutOutcome {
        let (clock, rate) = (clock, lines.grossMarginRate)
        return try lines.reduce(
            into: HoldoutOutcome(), [.margins, .orders], texts, threadCount: threadCount
        ) { chunk in
            Features.holdoutOutcome(
                chunk, customerRows: chunk.customerRows(asOf: day, clock: clock), after: day,
                through: through, clock: clock, grossMarginRate: rate, threadCount: 1)
        } merge: { outcome, part in
            outcome.append(part)
        }
    }
}
