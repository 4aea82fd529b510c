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
        try lines.reduce(
            into: FeatureRows(), .features, texts, threadCount: threadCount
        ) { chunk in
            scan.rows(of: chunk)
        } merge: { rows, part in
            rows.append(part)
        }
    }

    /// Who of the customers known on a day, in the rows of that day's feature table, bought what in
    /// (after, through]; from the beginning where `after` is nil.
    /// - Returns: nil where no line names a product.
    func purchaseMatrix(
        customersAsOf day: CalendarDay, after: CalendarDay? = nil, through: CalendarDay
    ) throws(EngineError) -> PurchaseMatrix? {
        guard let products = texts.products else { return nil }
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
