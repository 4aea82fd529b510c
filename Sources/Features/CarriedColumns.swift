package import Units

/// Columns of a later day, each made when it is wanted, of a state and of the rows computed anew: for
/// who looks at all columns one after the other, beside a table that holds fewer.
package struct CarriedColumns: Sendable {
    private let state: FeatureState
    private let fresh: FeatureTable
    private let carried: CarriedRows
    private let days: Int

    /// - Parameters:
    ///   - state: one that a scan of the day `canCarry`.
    ///   - fresh: the rows of every customer who has changed since, of all features.
    package init(_ state: FeatureState, replacedBy fresh: FeatureTable, asOf: CalendarDay) {
        // Of the histories only what a monthly mean is made of: the rest is memory for the scoring.
        var kept = state
        kept.history = CustomerHistory()
        kept.history.status = state.history.status
        kept.history.observedAgeDays = state.history.observedAgeDays
        kept.history.revenue = state.history.revenue
        self.state = kept
        self.fresh = fresh
        let ids = fresh.rowCount > 0 ? fresh.customerIDs : state.customerIDs.slice(0..<0)
        carried = CarriedRows(state.customerIDs, replacedBy: ids)
        days = asOf.daysSince1970 - state.asOf.daysSince1970
    }

    /// The values of a feature and which rows have one, nil for all; nil for a feature that the state
    /// does not have.
    /// - Complexity: O(rows), on one thread.
    package func column(named name: String) -> (values: [Float], valid: [Bool]?)? {
        guard state.names.contains(where: { $0.utf8.elementsEqual(name.utf8) }) else { return nil }
        var changed: [Float] = []
        if fresh.rowCount > 0 {
            guard let column = fresh.column(named: name) else { return nil }
            changed = column.values
            if let valid = column.valid {
                for row in valid.indices where !valid[row] { changed[row] = .nan }
            }
        }
        var values = FeatureScan.column(name, carried, state, changed, days: days, 1)
        guard values.contains(where: \.isNaN) else { return (values, nil) }
        let valid = values.map { !$0.isNaN }
        for row in valid.indices where !valid[row] { values[row] = 0 }
        return (values, valid)
    }
}
