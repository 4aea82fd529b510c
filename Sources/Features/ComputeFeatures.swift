import ByteCoding
import Numerical
package import Units

/// Customers a chunk: small enough to balance uneven customers, and never a matter of threads.
private let chunkCustomers = 2_048

/// The features of every customer who had a line by the as-of day.
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
    guard let days = history.purchaseDays(clock: clock) else { throw .noPurchases }
    guard days.lowerBound <= asOf else {
        throw .asOfBeforeFirstPurchase(asOf: asOf, firstPurchase: days.lowerBound)
    }
    let window = AsOfWindow(after: nil, through: asOf, clock: clock)
    let rows = customerRows(of: history, in: window)
    let layout = FeatureLayout(history: history, window: window, threadCount: threadCount)
    let customerIDs =
        rows.count == history.customerCount
        ? history.customerIDs : history.customerIDs.gather(rows)

    var partials = parallelMap(
        count: rows.count, chunkSize: chunkCustomers, threadCount: threadCount
    ) { _, range in
        var scan = CustomerScan(
            history: history, layout: layout, window: window, clock: clock, asOf: asOf,
            grossMarginRate: grossMarginRate)
        var values = [[Float]](
            repeating: [Float](repeating: 0, count: range.count), count: layout.width)
        for (index, row) in range.enumerated() {
            scan.read(customer: rows[row])
            for feature in 0..<layout.width { values[feature][index] = scan.row[feature] }
        }
        return ChunkFeatures(values: values, history: scan.result)
    }

    var columns: [FeatureColumn] = []
    for (index, entry) in layout.entries.enumerated() {
        columns.append(
            mergeColumn(index, named: entry.name, unit: entry.unit, rowCount: rows.count, &partials)
        )
    }
    var customers = CustomerHistory()
    customers.reserveCapacity(rows.count)
    for partial in partials { customers.append(contentsOf: partial.history) }

    var groups = layout.groups
    if let attributes {
        let joined = AttributeColumns(attributes, rows: try attributes.rows(joining: customerIDs))
        columns += joined.columns
        groups.merge(joined.groups) { first, _ in first }
    }
    return FeatureTable(
        customerIDs: customerIDs, customerRows: rows, asOf: asOf,
        convention: convention(of: history, clock: clock, grossMarginRate: grossMarginRate),
        columns: columns, groups: groups, history: customers)
}

/// What one chunk of customers yields; undefined values are NaN until the columns are merged.
private struct ChunkFeatures: Sendable {
    var values: [[Float]]
    var history: CustomerHistory
}

/// Takes one feature out of all chunks, so that its memory is held twice only while it is copied.
private func mergeColumn(
    _ index: Int, named name: String, unit: FeatureUnit, rowCount: Int,
    _ partials: inout [ChunkFeatures]
) -> FeatureColumn {
    var values: [Float] = []
    values.reserveCapacity(rowCount)
    for chunk in partials.indices {
        values.append(contentsOf: partials[chunk].values[index])
        partials[chunk].values[index] = []
    }
    guard values.contains(where: { !$0.isFinite }) else {
        return FeatureColumn(name: name, unit: unit, values: values)
    }
    let valid = values.map(\.isFinite)
    for row in values.indices where !valid[row] { values[row] = 0 }
    return FeatureColumn(name: name, unit: unit, values: values, valid: valid)
}

/// The customers with a line in the window, in order.
private func customerRows(of history: PurchaseHistory, in window: AsOfWindow) -> [Int] {
    (0..<history.customerCount).filter { row in
        for line in history.lines(ofCustomer: row) {
            if window.contains(history.times[line]) { return true }
            if window.isPast(history.times[line]) { return false }
        }
        return false
    }
}

private func convention(
    of history: PurchaseHistory, clock: LocalClock, grossMarginRate: Double
) -> OrderConvention {
    OrderConvention(
        orderUnit: history.orderCodes == nil ? .customerDay : .orderID,
        marginSource: history.margins == nil ? .rate : .column,
        grossMarginRate: history.margins == nil ? grossMarginRate : nil,
        itemUnit: history.quantities == nil ? .line : .quantity,
        timeZoneName: clock.timeZoneName)
}
