import ByteCoding
import Numerical
package import Units

/// The features of every customer who had a line by the as-of day, of a history in memory.
///
/// Only lines whose local day is at most `asOf` are read, so the result equals that of a history
/// cut off after that day. Customers whose first line is later have no row; customers with returns
/// only have one with status `onlyReturns`.
/// - Parameters:
///   - attributes: joined by id; customers without a row there get no valid attribute.
///   - grossMarginRate: margin = revenue x rate where the history has no margins.
///   - threadCount: at least 1; the result does not depend on it.
/// - Throws: `.noLines`, `.noPurchases`, `.asOfBeforeFirstPurchase`, and what the join throws.
/// - Complexity: O(lines).
package func computeFeatures(
    _ history: PurchaseHistory, attributes: CustomerAttributes?, asOf: CalendarDay,
    clock: LocalClock, grossMarginRate: Double, threadCount: Int
) throws(FeatureError) -> FeatureTable {
    guard history.lineCount > 0 else { throw .noLines }
    var survey = LineSurvey()
    let counted = survey.add(
        times: history.times, amounts: history.amounts, asOf: asOf, clock: clock)
    let scan = try FeatureScan(
        survey: survey, categories: history.categories.map { ValueCounts($0, where: counted) },
        channels: history.channels.map { ValueCounts($0, where: counted) }, asOf: asOf,
        clock: clock, grossMarginRate: grossMarginRate)
    // Few enough customers to balance uneven ones; never a matter of threads.
    let chunkCustomers = 2_048
    let rows = parallelReduce(
        into: FeatureRows(), count: (history.customerCount + chunkCustomers - 1) / chunkCustomers,
        threadCount: threadCount
    ) { chunk in
        let start = chunk * chunkCustomers
        return scan.rows(
            of: history, start..<min(history.customerCount, start + chunkCustomers))
    } merge: { all, part in
        all.append(part)
    }
    return try scan.table(of: rows, attributes: attributes, threadCount: threadCount)
}

/// The features of customers as of a day, chunk of customers by chunk: rows are made on any thread
/// and put together in the order of the customers.
package struct FeatureScan: Sendable {
    private let layout: FeatureLayout
    /// Positions of the features that the table holds.
    private let positions: [Int]
    private let names: Set<String>?
    private let window: AsOfWindow
    let clock: LocalClock
    package let asOf: CalendarDay
    private let grossMarginRate: Double
    private let lines: LineRange

    /// - Parameters:
    ///   - survey: of all lines, by the same day and clock.
    ///   - categories: purchase lines of each value, values in the order of the codes that the
    ///     chunks have; nil where no line names a category. `channels` likewise.
    ///   - names: features and groups that the table is to hold; all where nil. Others are computed
    ///     and dropped, which saves the memory of columns that nobody reads.
    /// - Throws: `.noPurchases`, `.asOfBeforeFirstPurchase`.
    package init(
        survey: LineSurvey, categories: ValueCounts?, channels: ValueCounts?, asOf: CalendarDay,
        clock: LocalClock, grossMarginRate: Double, keeping names: Set<String>? = nil
    ) throws(FeatureError) {
        guard let days = survey.purchaseDays(clock: clock) else { throw .noPurchases }
        guard days.lowerBound <= asOf else {
            throw .asOfBeforeFirstPurchase(asOf: asOf, firstPurchase: days.lowerBound)
        }
        layout = FeatureLayout(categories: categories, channels: channels)
        positions = layout.positions(keeping: names)
        self.names = names
        window = AsOfWindow(after: nil, through: asOf, clock: clock)
        self.clock = clock
        self.asOf = asOf
        self.grossMarginRate = grossMarginRate
        lines = survey.lines
    }

    /// The features that the table holds, attributes aside, in its order.
    package var featureNames: [String] { positions.map { layout.entries[$0].name } }

    /// All shares of the values of text columns, which the table may hold or not.
    package var shareNames: [String] {
        ["categoryShares", "channelShares"].flatMap { layout.groups[$0] ?? [] }
    }

    /// The days of the windows that some feature of the table counts.
    var windowDays: [Int] {
        let names = featureNames
        return [30, 90, 365].filter { days in names.contains { $0.hasSuffix("\(days)Days") } }
    }

    /// The rows of some customers of a history.
    /// - Parameter customers: all where nil.
    package func rows(of history: PurchaseHistory, _ customers: Range<Int>? = nil) -> FeatureRows {
        let customers = customers ?? 0..<history.customerCount
        var result = FeatureRows()
        result.convention = convention(of: history)
        let seen = customers.filter { history.hasLine(ofCustomer: $0, in: window) }
        result.customerIDs =
            seen.count == history.customerCount
            ? history.customerIDs : history.customerIDs.gather(seen)
        result.values = [[Float]](
            repeating: [Float](repeating: 0, count: seen.count), count: positions.count)
        var scan = CustomerScan(
            history: history, layout: layout, window: window, clock: clock, asOf: asOf,
            grossMarginRate: grossMarginRate)
        // Column by column for a few customers at a time: a column is then opened once for all of
        // them.
        let tileCount = 64
        var tile: [Float] = []
        for start in stride(from: 0, to: seen.count, by: tileCount) {
            let end = min(seen.count, start + tileCount)
            tile.removeAll(keepingCapacity: true)
            for customer in seen[start..<end] {
                scan.read(customer: customer)
                tile += scan.row
            }
            for (column, position) in positions.enumerated() {
                var values = result.values[column].mutableSpan
                for index in start..<end {
                    values[index] = tile[(index - start) * layout.width + position]
                }
            }
        }
        result.history = scan.result
        return result
    }

    /// The table of all rows, which are used up: its columns are made of their memory.
    /// - Throws: what the join of the attributes throws.
    package func table(
        of rows: consuming FeatureRows, attributes: CustomerAttributes?, threadCount: Int
    ) throws(FeatureError) -> FeatureTable {
        // Rows of nobody have no columns.
        var parts =
            rows.count > 0
            ? rows.values.map { ColumnPart(values: $0) }
            : positions.map { _ in ColumnPart(values: []) }
        rows.values = []
        var scratches = [Bool](repeating: false, count: threadCount)
        parallelFor(&parts, scratches: &scratches) { part, _ in part.findUndefined() }
        var columns: [FeatureColumn] = []
        columns.reserveCapacity(positions.count)
        for index in positions.indices {
            let entry = layout.entries[positions[index]]
            // Most shares are undefined for the same customers: one array for all of them.
            if let valid = parts[index].valid,
                let same = columns.last(where: { $0.valid != nil })?.valid, same == valid
            {
                parts[index].valid = same
            }
            columns.append(
                FeatureColumn(
                    name: entry.name, unit: entry.unit, values: parts[index].values,
                    valid: parts[index].valid))
            parts[index] = ColumnPart(values: [])
        }
        var groups = layout.groups
        var texts: [String: CodedText] = [:]
        let customerIDs = rows.customerIDs ?? .integers([])
        if let attributes {
            let joined = AttributeColumns(
                attributes, rows: try attributes.rows(joining: customerIDs), keeping: names)
            columns += joined.columns
            groups.merge(joined.groups) { first, _ in first }
            texts = joined.texts
        }
        return FeatureTable(
            customerIDs: customerIDs, asOf: asOf,
            convention: rows.convention ?? convention(orderIDs: false, margins: false),
            columns: columns, groups: groups, texts: texts, history: rows.history, lines: lines)
    }

    private func convention(of history: PurchaseHistory) -> OrderConvention {
        convention(
            orderIDs: history.orderCodes != nil, margins: history.margins != nil,
            quantities: history.quantities != nil)
    }

    private func convention(
        orderIDs: Bool, margins: Bool, quantities: Bool = false
    ) -> OrderConvention {
        OrderConvention(
            orderUnit: orderIDs ? .orderID : .customerDay,
            marginSource: margins ? .column : .rate,
            grossMarginRate: margins ? nil : grossMarginRate,
            itemUnit: quantities ? .quantity : .line, timeZoneName: clock.timeZoneName)
    }
}

/// The rows of some customers, in order; undefined values are NaN until they become a table.
package struct FeatureRows: Sendable {
    /// By feature that the table holds, then by row.
    var values: [[Float]] = []
    var history = CustomerHistory()
    var customerIDs: IDColumn?
    var convention: OrderConvention?

    package init() {}

    package var count: Int { history.count }

    /// Adds the rows of the customers that follow.
    package mutating func append(_ next: FeatureRows) {
        // Those of nobody have no kind of id to go by.
        guard let ids = next.customerIDs, ids.count > 0 else { return }
        guard customerIDs != nil else {
            self = next
            return
        }
        let isOfOneKind = customerIDs?.append(contentsOf: ids) ?? false
        precondition(isOfOneKind, "the customers of one history have ids of one kind")
        for column in values.indices { values[column] += next.values[column] }
        history.append(contentsOf: next.history)
    }
}

/// A column on its way into a table.
private struct ColumnPart: Sendable {
    var values: [Float]
    var valid: [Bool]?

    /// Turns NaN into 0 and a flag.
    mutating func findUndefined() {
        guard values.contains(where: { !$0.isFinite }) else { return }
        let flags = values.map(\.isFinite)
        for row in values.indices where !flags[row] { values[row] = 0 }
        valid = flags
    }
}

extension PurchaseHistory {
    fileprivate func hasLine(ofCustomer row: Int, in window: AsOfWindow) -> Bool {
        for line in lines(ofCustomer: row) {
            if window.contains(times[line]) { return true }
            if window.isPast(times[line]) { return false }
        }
        return false
    }

    /// The customers with a line by a day, in order: those who have a row in a feature table.
    package func customerRows(asOf: CalendarDay, clock: LocalClock) -> [Int] {
        let window = AsOfWindow(after: nil, through: asOf, clock: clock)
        return (0..<customerCount).filter { hasLine(ofCustomer: $0, in: window) }
    }
}
