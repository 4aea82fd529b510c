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
    /// Whether the snapshot's row is not the customer's, who was erased and is a new one.
    package var isNew: [Bool]
    /// By ascending id: those of the history and of the lifetime model. Other columns of the snapshot
    /// stay as they are.
    package var columns: [ScoreColumn]

    package var count: Int { status.count }

    /// Of nobody.
    package static let none = LiveRows(
        customerIDs: .integers([]), asOf: [], status: [], isNew: [], columns: [])
}

/// Scores customers anew whose live purchases a snapshot does not know.
///
/// The numbers are those of a scoring of the same purchases, by the same models, as of the row's day.
/// Nearly all customers go on from their row of the snapshot. Those whose new lines may belong to an
/// order that is there (an order id that some segment may have, an earlier day), and customers of a
/// snapshot that cannot tell, are read from the segments: neighbours together, the blocks of each that
/// may have them. Lines that files have brought since the snapshot are then known as well.
///
/// Segments, a learned churn probability and factors are the snapshot's.
package final class LiveScoring: Sendable {
    private let plan: Plan
    /// The plan's, which takes its time to be made.
    private let clock: LocalClock
    private let snapshot: ServingSnapshot
    /// Nil before the first purchases.
    private let history: SegmentedHistory?
    /// Nil where no lifetime model is behind the snapshot.
    private let models: LifetimeModels?
    /// Only where the model has covariates.
    private let attributes: LiveAttributes
    /// Live batches from here on are not in the snapshot, and not in the segments.
    private let snapshotSequence: Int
    private let segmentSequence: Int
    /// Nil where the snapshot's rows are not enough to go on from.
    private let fields: HistoryFields?
    private let late: LateLines
    private let orders: OrderFilters

    /// - Parameters:
    ///   - folder: the workspace of the snapshot.
    ///   - earlier: of the same workspace; what it knows of the segments' orders need not be read again.
    /// - Throws: `.damagedModel` where the model behind the snapshot is not there any more.
    package init(
        folder: String, snapshot: ServingSnapshot, goingOnFrom earlier: LiveScoring? = nil,
        threadCount: Int = 1
    ) throws(EngineError) {
        let workspace = try Workspace(folder: folder, access: .reading)
        self.snapshot = snapshot
        plan = workspace.plan
        clock = plan.clock
        history =
            workspace.manifest.purchaseSegments.isEmpty
            ? nil : try workspace.segmentedHistory(threadCount: threadCount)
        // After the segments: where another process has merged some meanwhile, these are of its state.
        segmentSequence = workspace.livePosition.sequence
        snapshotSequence = snapshot.descriptor.history?.live.sequence ?? 0
        models = try workspace.lifetimeModels(of: snapshot)
        attributes = LiveAttributes(
            models?.covariates == nil ? nil : try workspace.customerAttributes(for: nil))
        let mapsMargin = plan.sources.purchases?.mapping.margin != nil
        // Lines of the segments may be of an earlier plan.
        let holdsMargins = history?.columns.contains(.margins) ?? mapsMargin
        let fields =
            holdsMargins == mapsMargin ? HistoryFields(snapshot, hasMargins: mapsMargin) : nil
        let known = snapshot.descriptor.history
        var late: LateLines?
        if known?.isWhole ?? false || history == nil {
            late = LateLines()
        } else if let history, let known, fields != nil, known.lineCount == history.lineCount,
            segmentSequence == snapshotSequence
        {
            // Nothing was ingested since: what the segments have is what the scoring had.
            late = try LateLines(history, after: snapshot.asOf, clock: clock)
        }
        self.late = late ?? LateLines()
        self.fields = late == nil || known == nil ? nil : fields
        // Where nothing goes on from the snapshot's rows, or no line names an order, nobody asks.
        let asks = self.fields != nil && plan.sources.purchases?.mapping.orderID != nil
        orders = OrderFilters(
            asks ? history?.segments ?? [] : [], goingOnFrom: earlier?.orders)
    }

    /// Reads the order ids of the segments that `earlier` had not read. Rows are the same before and
    /// after; before, customers whose lines have order ids are read from the segments, which takes
    /// longer. To be called once, on a thread that has the time.
    /// - Complexity: O(lines), about a second for ten million.
    package func readOrders() throws(EngineError) { try orders.complete() }

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
            let encoded = try covariates(models, column, all.history.status, live)
            columns += try LifetimeColumns(
                of: all.history, models, encoded, plan, threadCount: threadCount
            ).columns(plan)
        }
        return LiveRows(
            customerIDs: column, asOf: all.days, status: all.history.status,
            isNew: all.customers.map { isErased($0, live, since: snapshotSequence) },
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

    /// Whether a customer was erased by a record from a number on.
    private func isErased(
        _ customer: EntityID, _ live: LiveCustomers, since sequence: Int
    ) -> Bool {
        live.erasure(of: customer).map { $0 >= sequence } ?? false
    }

    private func part(
        _ customers: ArraySlice<EntityID>, _ live: LiveCustomers
    ) throws(EngineError) -> Part {
        var part = Part()
        let orders = orders.look
        /// Of `part`, whose lines are read: their rows are there already, of no meaning.
        var unread: [Int] = []
        for customer in customers {
            let lines = live.lines(of: customer, from: snapshotSequence)
            guard let newest = lines.last else { continue }
            // Times ascend, and with them days, but where a zone turns its clock back past midnight.
            let day = lines.reduce(clock.day(atUTC: Int(newest.time))) {
                max($0, clock.day(atUTC: Int($1.time)))
            }
            let asOf = max(snapshot.asOf, day)
            let tally = tally(customer, lines, live, asOf, orders)
            if tally == nil { unread.append(part.customers.count) }
            (tally ?? OrderTotals(hasMargins: false)).append(
                to: &part.history, asOf: asOf, grossMarginRate: plan.grossMarginRate)
            part.customers.append(customer)
            part.days.append(asOf)
        }
        let ids = unread.map { part.customers[$0] }
        for group in history?.neighbours(among: ids) ?? [0..<ids.count] where !group.isEmpty {
            let rows = unread[group]
            let read = try read(
                Array(ids[group]), rows.map { part.days[$0] }, live)
            for (index, row) in rows.enumerated() { part.history.set(row, to: read, index) }
        }
        return part
    }

    /// What the snapshot's row and later lines come to; nil where the lines of before must be read.
    private func tally(
        _ customer: EntityID, _ lines: [LiveCustomers.Line], _ live: LiveCustomers,
        _ asOf: CalendarDay, _ orders: OrderFilters.Look
    ) -> OrderTotals? {
        let isNew = isErased(customer, live, since: snapshotSequence)
        guard let fields, var late = isNew ? [] : late.lines(of: customer) else { return nil }
        if !late.isEmpty {
            late.removeAll { clock.day(atUTC: Int($0.time)) > asOf }
        }
        return fields.tally(
            of: isNew ? nil : customer, LateLines.merge(late, lines), in: snapshot, clock: clock
        ) { order in
            if isNew { return false }
            let key = KnownOrders.key(customer, live.orderID(order))
            return orders.mayHave(key)
        }
    }

    /// What the segments and the live purchases that they do not have come to, line by line.
    /// - Parameters:
    ///   - customers: ascending.
    ///   - days: of each, the day of its row.
    private func read(
        _ customers: [EntityID], _ days: [CalendarDay], _ live: LiveCustomers
    ) throws(EngineError) -> CustomerHistory {
        let mapping = plan.sources.purchases?.mapping
        let hasMargins = mapping?.margin != nil || history?.columns.contains(.margins) ?? false
        let hasOrders = mapping?.orderID != nil || history?.columns.contains(.orders) ?? false
        let rate = plan.grossMarginRate
        let column = Self.column(customers)
        let known = try KnownLines(
            history?.mergedLines(of: column, [.margins, .orders]), hasMargins: hasMargins,
            hasOrders: hasOrders, rate)
        var all = GatheredLines(hasMargins: hasMargins, hasOrders: hasOrders)
        var place = 0
        for (row, customer) in customers.enumerated() {
            var lines = 0..<0
            // Both ascend; segments may not have a customer at all.
            if place < known.customerIDs.count,
                !column.precedes(row, known.customerIDs, place)
            {
                // Those of whom was erased are there until the next ingest.
                if !isErased(customer, live, since: segmentSequence) {
                    lines = known.offsets[place]..<known.offsets[place + 1]
                }
                place += 1
            }
            all.append(
                known, lines, live, live.lines(of: customer, from: segmentSequence), rate)
        }
        let found = try mapErrors(EngineError.features) { [all] () throws(FeatureError) in
            try PurchaseHistory(
                customerIDs: column, lineOffsets: all.offsets, times: all.times,
                amounts: all.amounts, margins: all.margins, orderCodes: all.orders)
        }
        var result = CustomerHistory()
        for (row, day) in days.enumerated() {
            result.append(
                contentsOf: customerHistory(
                    of: found, customer: row, asOf: [day], clock: clock,
                    grossMarginRate: rate))
        }
        return result
    }

    private func covariates(
        _ models: LifetimeModels, _ customers: IDColumn, _ status: [UInt8], _ live: LiveCustomers
    ) throws(EngineError) -> [CovariateColumn] {
        guard let covariates = models.covariates else { return [] }
        let joined = try mapErrors(EngineError.features) { () throws(FeatureError) in
            // Those of whom was erased are there until the next ingest.
            try attributes.joined(customers) { isErased($0, live, since: segmentSequence) }
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
    func lifetimeModels(
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
