package import ByteCoding
import Numerical
package import Units

/// The rows of a feature table as a later day's goes on from them.
///
/// From one day to a later one a customer's features change in two ways. Lines may come, or leave
/// the last 30, 90 or 365 days: such a customer is read again. All others only grow older, and
/// their days and monthly means follow from the state without any line.
package struct FeatureState: Sendable {
    package var asOf: CalendarDay
    /// Ascending; one a row.
    package var customerIDs: IDColumn
    package var history: CustomerHistory
    /// The features, attributes aside.
    package var names: [String]
    /// `FeatureScan.shareNames` of its day.
    package var shareNames: [String]
    package var convention: OrderConvention
    /// Fetches the column of a name, one value a row: columns are needed one after the other, and
    /// memory need not hold all of them twice.
    let column: @Sendable (_ index: Int) -> FeatureColumn

    package init(
        asOf: CalendarDay, customerIDs: IDColumn, history: CustomerHistory, names: [String],
        shareNames: [String], convention: OrderConvention,
        column: @escaping @Sendable (_ index: Int) -> FeatureColumn
    ) {
        precondition(history.count == customerIDs.count, "one history a customer")
        self.asOf = asOf
        self.customerIDs = customerIDs
        self.history = history
        self.names = names
        self.shareNames = shareNames
        self.convention = convention
        self.column = column
    }

    package var rowCount: Int { customerIDs.count }
}

/// Which rows of a state, and which computed anew, make up the rows of a later day.
package struct CarriedRows: Sendable, Equatable {
    /// By row of the later day: a row of the state; `~row` of those computed anew.
    package let sources: [Int]
    /// Rows taken from the state.
    package let carriedCount: Int

    /// Both ascending and of one kind; an id of both is taken from `fresh`.
    package init(_ earlier: IDColumn, replacedBy fresh: IDColumn) {
        var sources: [Int] = []
        sources.reserveCapacity(earlier.count + fresh.count)
        var (old, new) = (0, 0)
        while old < earlier.count, new < fresh.count {
            if earlier.precedes(old, fresh, new) {
                sources.append(old)
                old += 1
            } else {
                if !fresh.precedes(new, earlier, old) { old += 1 }
                sources.append(~new)
                new += 1
            }
        }
        sources += old..<earlier.count
        sources += (new..<fresh.count).lazy.map { ~$0 }
        self.sources = sources
        carriedCount = sources.count - fresh.count
    }

    package func merge<Value>(_ earlier: [Value], _ fresh: [Value]) -> [Value] {
        sources.map { $0 >= 0 ? earlier[$0] : fresh[~$0] }
    }

    package func merge(_ earlier: IDColumn, _ fresh: IDColumn) -> IDColumn {
        switch (earlier, fresh) {
        case (.integers(let a), .integers(let b)): return .integers(merge(a, b))
        case (.texts(let a), .texts(let b)):
            var texts = TextArray()
            texts.reserveCapacity(
                count: sources.count, byteCount: a.bytes.count + b.bytes.count)
            for source in sources {
                texts.append(utf8: source >= 0 ? a.utf8(source) : b.utf8(~source))
            }
            return .texts(texts)
        default: preconditionFailure("ids of one kind")
        }
    }
}

extension FeatureScan {
    /// Whether the rows of a state may become rows of this scan: it is of no later day and has the
    /// same columns, in any order. Shares of a text column's values are the same columns only
    /// where the same values are among the most frequent.
    package func canCarry(_ state: FeatureState) -> Bool {
        state.asOf <= asOf && Set(state.names).isSuperset(of: featureNames)
            && Set(state.shareNames) == Set(shareNames)
    }

    /// The state that a table of this scan leaves.
    package func state(of table: FeatureTable) -> FeatureState {
        let columns = Array(table.columns[..<featureNames.count])
        return FeatureState(
            asOf: asOf, customerIDs: table.customerIDs, history: table.history,
            names: featureNames, shareNames: shareNames, convention: table.convention
        ) { columns[$0] }
    }

    /// Lines that a customer must not have for the row of an earlier day to be carried on: those
    /// that came in sight since, and those that left a window of a feature of this scan.
    package func windows(since earlier: CalendarDay) -> [AsOfWindow] {
        guard earlier < asOf else { return [] }
        return ([0] + windowDays).map { days in
            AsOfWindow(
                after: earlier + -days, through: asOf + -days, clock: clock)
        }
    }

    /// The rows of a state at this scan's day, those computed anew in their places.
    /// - Parameters:
    ///   - state: one that `canCarry` accepts, of lines that this scan's include.
    ///   - fresh: the rows of every customer with a line in `windows`, or that the state does not
    ///     know.
    package func rows(
        carrying state: FeatureState, replacedBy fresh: FeatureRows, threadCount: Int
    ) -> (rows: FeatureRows, carried: CarriedRows) {
        let freshIDs = fresh.customerIDs ?? state.customerIDs.slice(0..<0)
        let carried = CarriedRows(state.customerIDs, replacedBy: freshIDs)
        var result = FeatureRows()
        result.convention = fresh.convention ?? state.convention
        result.customerIDs = carried.merge(state.customerIDs, freshIDs)
        result.customerRows = Array(0..<carried.sources.count)
        result.customerCount = carried.sources.count
        let days = asOf.daysSince1970 - state.asOf.daysSince1970
        let freshValues =
            fresh.values.isEmpty
            ? [[Float]](repeating: [], count: featureNames.count) : fresh.values
        var parts = featureNames.enumerated().map { index, name in
            CarriedColumn(name: name, fresh: freshValues[index])
        }
        var scratches = [Bool](repeating: false, count: threadCount)
        parallelFor(&parts, scratches: &scratches) { part, _ in
            part.carry(carried, state, days: days)
        }
        result.values = parts.map(\.values)
        result.history = CustomerHistory(
            carrying: state.history, replacedBy: fresh.history, carried, days: days)
        return (result, carried)
    }
}

/// One feature on its way to a later day.
private struct CarriedColumn: Sendable {
    let name: String
    var fresh: [Float]
    var values: [Float] = []

    mutating func carry(_ carried: CarriedRows, _ state: FeatureState, days: Int) {
        guard let index = state.names.firstIndex(of: name) else { return }
        let column = state.column(index)
        var earlier = column.values
        if let valid = column.valid {
            for row in valid.indices where !valid[row] { earlier[row] = .nan }
        }
        let history = state.history
        let shift = Float(days)
        switch name {
        case "daysSinceLastPurchase", "observedAgeDays", "tenureDays":
            // Whole days below 2^24: the sum is exact. NaN stays NaN.
            values = carried.sources.map { $0 >= 0 ? earlier[$0] + shift : fresh[~$0] }
        case "monthlyRevenue" where days > 0:
            values = carried.sources.map { source in
                guard source >= 0 else { return fresh[~source] }
                guard history.status[source] == CustomerHistory.ok else { return .nan }
                let age = Int(history.observedAgeDays[source]) + days
                return Float(
                    history.revenue[source] / CustomerHistory.months(observedAgeDays: age))
            }
        default:
            values = carried.merge(earlier, fresh)
        }
        fresh = []
    }
}

extension CustomerHistory {
    /// The months that monthly sums are divided by.
    static func months(observedAgeDays: Int) -> Double {
        max(1, Double(observedAgeDays + 1) / TimeGrid.month.days)
    }

    fileprivate init(
        carrying state: CustomerHistory, replacedBy fresh: CustomerHistory, _ carried: CarriedRows,
        days: Int
    ) {
        self.init()
        status = carried.merge(state.status, fresh.status)
        repeatPurchaseCount = carried.merge(state.repeatPurchaseCount, fresh.repeatPurchaseCount)
        ageAtLastPurchaseDays = carried.merge(
            state.ageAtLastPurchaseDays, fresh.ageAtLastPurchaseDays)
        meanOrderValue = carried.merge(state.meanOrderValue, fresh.meanOrderValue)
        meanOrderMargin = carried.merge(state.meanOrderMargin, fresh.meanOrderMargin)
        revenue = carried.merge(state.revenue, fresh.revenue)
        margin = carried.merge(state.margin, fresh.margin)
        func older(_ values: [Int32], _ freshValues: [Int32]) -> [Int32] {
            carried.sources.map { source in
                guard source >= 0 else { return freshValues[~source] }
                guard state.status[source] == Self.ok else { return values[source] }
                return Int32(clamping: Int(values[source]) + days)
            }
        }
        observedAgeDays = older(state.observedAgeDays, fresh.observedAgeDays)
        daysSinceLastPurchase = older(state.daysSinceLastPurchase, fresh.daysSinceLastPurchase)
        func monthly(_ sums: [Double], _ freshValues: [Double]) -> [Double] {
            carried.sources.map { source in
                guard source >= 0 else { return freshValues[~source] }
                guard state.status[source] == Self.ok else { return 0 }
                let age = Int(state.observedAgeDays[source]) + days
                return sums[source] / Self.months(observedAgeDays: age)
            }
        }
        monthlyRevenue = monthly(state.revenue, fresh.monthlyRevenue)
        monthlyMargin = monthly(state.margin, fresh.monthlyMargin)
    }
}
