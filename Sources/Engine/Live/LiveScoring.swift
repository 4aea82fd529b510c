package import ByteCoding
package import ColumnStore
import Features
import Models
import Numerical
package import Units

/// What customers' scores are now that they have bought since the snapshot.
package struct LiveRows: Sendable {
    /// Ascending; the columns and the days have a row for each.
    package var customerIDs: IDColumn
    /// The day of each row: the snapshot's, or that of the newest purchase line where that is later.
    package var asOf: [CalendarDay]
    /// As in a snapshot: 0 ok, 3 only returns.
    package var status: [UInt8]
    /// By ascending id: those of the history and of the lifetime model. Other columns of the snapshot
    /// stay as they are.
    package var columns: [ScoreColumn]

    package var count: Int { status.count }
}

/// Scores customers anew whose live purchases a snapshot does not know.
///
/// The numbers are those of a scoring of the same purchases, by the same models, as of the row's day.
/// Where orders are days, nearly all customers go on from their row of the snapshot. Those whose new
/// lines may belong to an order that is there (an order id, an earlier day), and customers of a
/// snapshot that cannot tell, are read from the segments: the one or two blocks of each that may have
/// them. Lines that files have brought since the snapshot are then known as well.
///
/// Segments, a learned churn probability and factors are the snapshot's.
package final class LiveScoring: Sendable {
    private let plan: Plan
    private let snapshot: ServingSnapshot
    /// Nil before the first purchases.
    private let history: SegmentedHistory?
    /// Nil where no lifetime model is behind the snapshot.
    private let models: LifetimeModels?
    /// Only where the model has covariates.
    private let attributes: CustomerAttributes?
    /// Live batches from here on are not in the snapshot, and not in the segments.
    private let snapshotSequence: Int
    private let segmentSequence: Int
    private let fields: HistoryFields?

    /// - Parameter folder: the workspace of the snapshot.
    /// - Throws: `.damagedModel` where the model behind the snapshot is not there any more.
    package init(
        folder: String, snapshot: ServingSnapshot, threadCount: Int = 1
    ) throws(EngineError) {
        let workspace = try Workspace(folder: folder, access: .reading)
        self.snapshot = snapshot
        plan = workspace.plan
        history =
            workspace.manifest.purchaseSegments.isEmpty
            ? nil : try workspace.segmentedHistory(threadCount: threadCount)
        // After the segments: where another process has merged some meanwhile, these are of its state.
        segmentSequence = workspace.livePosition.sequence
        snapshotSequence = snapshot.descriptor.history?.live.sequence ?? 0
        models = try workspace.lifetimeModels(of: snapshot)
        attributes = models?.covariates == nil ? nil : try workspace.customerAttributes(for: nil)
        let mapsMargin = plan.sources.purchases?.mapping.margin != nil
        let isWhole = snapshot.descriptor.history?.isWhole ?? false
        // Lines of the segments may be of an earlier plan.
        let holdsMargins = history?.columns.contains(.margins) ?? mapsMargin
        fields =
            isWhole && holdsMargins == mapsMargin
            ? HistoryFields(snapshot, hasMargins: mapsMargin) : nil
    }

    /// Where `LiveCustomers` must begin: batches from there on are not in the snapshot.
    package var position: LogPosition { snapshot.descriptor.history?.live ?? .start }

    /// The rows of customers with live purchases. Others are left out: theirs are the snapshot's.
    /// - Parameters:
    ///   - ids: in any order; one that comes twice has one row.
    ///   - live: from `position` on, or from before it.
    package func rows(
        of ids: [EntityID], in live: LiveCustomers, threadCount: Int = 1
    ) throws(EngineError) -> LiveRows {
        let customers = Self.sortedUnique(ids.filter { live.hasLines(of: $0) })
        let parts = parallelMap(
            count: customers.count, chunkSize: 256, threadCount: threadCount
        ) { _, rows -> Result<Part, EngineError> in
            do throws(EngineError) {
                return .success(try part(customers[rows], live))
            } catch {
                return .failure(error)
            }
        }
        var all = Part()
        for part in parts { all.append(try part.get()) }
        let column = Self.column(all.customers)
        var columns = all.history.columns(plan)
        if let models {
            let encoded = try covariates(models, column, all.history.status)
            columns += try LifetimeColumns(
                of: all.history, models, encoded, plan, threadCount: threadCount
            ).columns(plan)
        }
        return LiveRows(
            customerIDs: column, asOf: all.days, status: all.history.status,
            columns: columns.sorted { $0.id < $1.id })
    }

    private struct Part: Sendable {
        var customers: [EntityID] = []
        var days: [CalendarDay] = []
        var history = CustomerHistory()

        mutating func append(_ next: Part) {
            customers += next.customers
            days += next.days
            history.append(contentsOf: next.history)
        }
    }

    private func part(
        _ customers: ArraySlice<EntityID>, _ live: LiveCustomers
    ) throws(EngineError) -> Part {
        var part = Part()
        for customer in customers {
            let lines = live.lines(of: customer, from: snapshotSequence)
            guard let newest = lines.last else { continue }
            // Times ascend, and with them days, but where a zone turns its clock back past midnight.
            let day = lines.reduce(plan.clock.day(atUTC: Int(newest.time))) {
                max($0, plan.clock.day(atUTC: Int($1.time)))
            }
            let asOf = max(snapshot.asOf, day)
            if let fields,
                let tally = fields.tally(
                    of: customer, lines, in: snapshot, clock: plan.clock)
            {
                tally.append(to: &part.history, asOf: asOf, grossMarginRate: plan.grossMarginRate)
            } else {
                part.history.append(contentsOf: try read(customer, live, asOf: asOf))
            }
            part.customers.append(customer)
            part.days.append(asOf)
        }
        return part
    }

    /// What the segments and the live purchases that they do not have come to, line by line.
    private func read(
        _ customer: EntityID, _ live: LiveCustomers, asOf: CalendarDay
    ) throws(EngineError) -> CustomerHistory {
        let lines = live.lines(of: customer, from: segmentSequence)
        let mapping = plan.sources.purchases?.mapping
        let known = try history?.mergedLines(of: customer, [.margins, .orders])
        let hasMargins = mapping?.margin != nil || history?.columns.contains(.margins) ?? false
        let hasOrders = mapping?.orderID != nil || history?.columns.contains(.orders) ?? false
        let rate = plan.grossMarginRate
        var times = known?.joined { $0.times } ?? []
        var amounts = known?.joined { $0.amounts } ?? []
        var margins = hasMargins ? known?.margins(rate) ?? [] : nil
        var orders = hasOrders ? known?.text(.orders).codes ?? [] : nil
        let knownOrders = hasOrders ? known?.text(.orders).values ?? TextArray() : TextArray()
        times += lines.map(\.time)
        amounts += lines.map(\.amount)
        margins? += lines.map {
            $0.margin ?? Int64((Double($0.amount) * rate).rounded())
        }
        orders? += lines.map { line in
            if line.order == CodedText.missing { return line.order }
            let text = live.orderID(line.order)
            let code = (0..<knownOrders.count).first { knownOrders.utf8($0).elementsEqual(text) }
            return code.map { UInt32($0) } ?? UInt32(knownOrders.count) + line.order
        }
        // As one ingest of the live lines after the others would have it: by time, equal times in the
        // order that they came.
        let order = times.indices.sorted { (times[$0], $0) < (times[$1], $1) }
        let found = try mapErrors(EngineError.features) {
            [times, amounts, margins, orders] () throws(FeatureError) in
            try PurchaseHistory(
                customerIDs: Self.column([customer]), lineOffsets: [0, order.count],
                times: order.map { times[$0] }, amounts: order.map { amounts[$0] },
                margins: margins.map { values in order.map { values[$0] } },
                orderCodes: orders.map { values in order.map { values[$0] } })
        }
        return customerHistory(
            of: found, customer: 0, asOf: [asOf], clock: plan.clock, grossMarginRate: rate)
    }

    private func covariates(
        _ models: LifetimeModels, _ customers: IDColumn, _ status: [UInt8]
    ) throws(EngineError) -> [CovariateColumn] {
        guard let covariates = models.covariates else { return [] }
        let joined = try mapErrors(EngineError.features) { () throws(FeatureError) in
            try JoinedAttributes(attributes, customers)
        }
        return try modelErrors("lifetime") { () throws(ModelError) in
            try covariates.encoding.encode(
                joined, eligible: status.map { $0 == CustomerHistory.ok }
            ).columns
        }
    }

    private static func sortedUnique(_ ids: [EntityID]) -> [EntityID] {
        var result: [EntityID] = []
        for id in ids.sorted() where result.last != id { result.append(id) }
        return result
    }

    private static func column(_ ids: [EntityID]) -> IDColumn {
        var integers: [Int64] = []
        var texts = TextArray()
        for id in ids {
            switch id {
            case .integer(let value): integers.append(value)
            case .text(let value): texts.append(value)
            }
        }
        return texts.count > 0 ? .texts(texts) : .integers(integers)
    }
}

extension Workspace {
    /// The lifetime model behind a snapshot; nil where there is none.
    fileprivate func lifetimeModels(
        of snapshot: ServingSnapshot
    ) throws(EngineError) -> LifetimeModels? {
        guard let reference = snapshot.models.first(where: { $0.name == "lifetime" }) else {
            return nil
        }
        let entry = manifest.models.first {
            $0.name == reference.name && $0.version == reference.version
        }
        guard let entry, entry.checksum == reference.checksum else {
            throw .damagedModel(
                path: entry.map { "\(folder)/\($0.file)" } ?? folder,
                reason: "lifetime version \(reference.version) of generation "
                    + "\(snapshot.generation) is not there as it was")
        }
        return try ModelStore.read(LifetimeModels.self, from: "\(folder)/\(entry.file)").model
    }
}

extension SegmentedHistory {
    /// The lines of one customer in all segments; nil for none.
    fileprivate func mergedLines(
        of customer: EntityID, _ wanted: LineColumns
    ) throws(EngineError) -> MergedLines? {
        let bounds: IDColumn
        switch customer {
        case .integer(let number):
            bounds = .integers(number < .max ? [number, number + 1] : [number])
        case .text(let text): bounds = .texts(TextArray([text, text + "\u{0}"]))
        }
        guard bounds.isOfTexts == splits.isOfTexts else { return nil }
        var parts: [SegmentLines] = []
        for segment in segments {
            let lines = try segment.lines(
                from: 0, upTo: bounds.count > 1 ? 1 : nil, of: bounds,
                wanted.intersection(segment.columns))
            if let lines { parts.append(lines) }
        }
        return parts.isEmpty ? nil : MergedLines(parts)
    }
}
