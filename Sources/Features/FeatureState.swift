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

    /// Whether the features are those of these names, in any order: shares come by how frequent their
    /// values are, which any new line may change.
    package func hasNames(_ others: [String]) -> Bool {
        names.count == others.count && byteSet(names) == byteSet(others)
    }
}

/// Names as their bytes.
private func byteSet(_ names: [String]) -> Set<[UInt8]> { Set(names.map { Array($0.utf8) }) }

extension String {
    /// Whether the bytes are the same. `==` takes texts for equal that are two values of a column,
    /// such as a letter with its accent and the same in two parts.
    fileprivate func isSame(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}

/// Which rows of a state, and which computed anew, make up the rows of a later day.
package struct CarriedRows: Sendable, Equatable {
    /// By row of the later day: a row of the state; `~row` of those computed anew.
    package let sources: [Int]

    /// Both ascending and of one kind; an id of both is taken from `fresh`.
    package init(_ earlier: IDColumn, replacedBy fresh: IDColumn) {
        switch (earlier, fresh) {
        case (.integers(let a), .integers(let b)):
            sources = Self.sources(a.count, b.count) {
                a[$0] < b[$1]
            } follows: {
                a[$0] > b[$1]
            }
        default:
            sources = Self.sources(earlier.count, fresh.count) {
                earlier.precedes($0, fresh, $1)
            } follows: {
                fresh.precedes($1, earlier, $0)
            }
        }
    }

    /// - Parameters:
    ///   - precedes: whether an earlier id is before a fresh one. `follows`: behind.
    @inline(__always)
    private static func sources(
        _ earlierCount: Int, _ freshCount: Int, precedes: (_ old: Int, _ new: Int) -> Bool,
        follows: (_ old: Int, _ new: Int) -> Bool
    ) -> [Int] {
        var sources: [Int] = []
        sources.reserveLargePages(earlierCount + freshCount)
        var old = 0
        for new in 0..<freshCount {
            while old < earlierCount, precedes(old, new) {
                sources.append(old)
                old += 1
            }
            if old < earlierCount, !follows(old, new) { old += 1 }
            sources.append(~new)
        }
        for old in old..<earlierCount { sources.append(old) }
        return sources
    }

    /// A value a row of the later day; `older` makes that of a carried row from its place in the
    /// state and the value there.
    package func merge<Value: BitwiseCopyable & Sendable>(
        _ earlier: [Value], _ fresh: [Value], threadCount: Int,
        older: @Sendable (_ row: Int, _ value: Value) -> Value = { $1 }
    ) -> [Value] {
        parallelArray(count: sources.count, chunkRows: 1 << 16, threadCount: threadCount) {
            rows, slice in
            let (sources, earlier, fresh) = (sources.span, earlier.span, fresh.span)
            for row in rows {
                let source = sources[row]
                slice[row - rows.lowerBound] =
                    source >= 0 ? older(source, earlier[source]) : fresh[~source]
            }
        }
    }

    package func merge(
        _ earlier: IDColumn, _ fresh: IDColumn, threadCount: Int
    ) -> IDColumn {
        // Those of nobody have no kind of id to go by.
        if fresh.count == 0 { return earlier }
        if earlier.count == 0 { return fresh }
        switch (earlier, fresh) {
        case (.integers(let a), .integers(let b)):
            return .integers(merge(a, b, threadCount: threadCount))
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
        state.asOf <= asOf && byteSet(state.names).isSuperset(of: byteSet(featureNames))
            && byteSet(state.shareNames) == byteSet(shareNames)
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
    ///   - names: the features of `fresh`, this scan's among them; this scan's where nil.
    package func rows(
        carrying state: FeatureState, replacedBy fresh: FeatureRows, named names: [String]? = nil,
        threadCount: Int
    ) -> FeatureRows {
        let freshIDs = fresh.customerIDs ?? state.customerIDs.slice(0..<0)
        let carried = CarriedRows(state.customerIDs, replacedBy: freshIDs)
        var result = FeatureRows()
        result.convention = fresh.convention ?? state.convention
        result.customerIDs = carried.merge(state.customerIDs, freshIDs, threadCount: threadCount)
        let days = asOf.daysSince1970 - state.asOf.daysSince1970
        let freshNames = names ?? featureNames
        result.values = featureNames.map { name in
            let index = freshNames.firstIndex { $0.isSame(as: name) }
            let values = fresh.values.isEmpty ? [] : index.map { fresh.values[$0] } ?? []
            return Self.column(name, carried, state, values, days: days, threadCount)
        }
        result.history = CustomerHistory(
            carrying: state.history, replacedBy: fresh.history, carried, days: days,
            threadCount: threadCount)
        return result
    }

    /// One feature at a later day; NaN where a row has none.
    static func column(
        _ name: String, _ carried: CarriedRows, _ state: FeatureState, _ fresh: [Float], days: Int,
        _ threadCount: Int
    ) -> [Float] {
        guard let index = state.names.firstIndex(where: { $0.isSame(as: name) }) else { return [] }
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
            return carried.merge(earlier, fresh, threadCount: threadCount) { $1 + shift }
        case "monthlyRevenue" where days > 0:
            return carried.merge(earlier, fresh, threadCount: threadCount) { row, _ in
                guard history.status[row] == CustomerHistory.ok else { return .nan }
                let age = Int(history.observedAgeDays[row]) + days
                return Float(history.revenue[row] / CustomerHistory.months(observedAgeDays: age))
            }
        default:
            return carried.merge(earlier, fresh, threadCount: threadCount)
        }
    }

    /// Whether a feature of a customer without lines in `windows` is the same on a later day.
    package static func isAgeless(_ name: String) -> Bool {
        !["daysSinceLastPurchase", "observedAgeDays", "tenureDays", "monthlyRevenue"]
            .contains(name)
    }
}

extension CustomerHistory {
    /// The months that monthly sums are divided by.
    static func months(observedAgeDays: Int) -> Double {
        max(1, Double(observedAgeDays + 1) / TimeGrid.month.days)
    }

    fileprivate init(
        carrying state: CustomerHistory, replacedBy fresh: CustomerHistory, _ carried: CarriedRows,
        days: Int, threadCount: Int
    ) {
        self.init()
        func same<Value: BitwiseCopyable & Sendable>(_ a: [Value], _ b: [Value]) -> [Value] {
            carried.merge(a, b, threadCount: threadCount)
        }
        status = same(state.status, fresh.status)
        repeatPurchaseCount = same(state.repeatPurchaseCount, fresh.repeatPurchaseCount)
        ageAtLastPurchaseDays = same(state.ageAtLastPurchaseDays, fresh.ageAtLastPurchaseDays)
        meanOrderValue = same(state.meanOrderValue, fresh.meanOrderValue)
        meanOrderMargin = same(state.meanOrderMargin, fresh.meanOrderMargin)
        revenue = same(state.revenue, fresh.revenue)
        margin = same(state.margin, fresh.margin)
        func older(_ values: [Int32], _ freshValues: [Int32]) -> [Int32] {
            carried.merge(values, freshValues, threadCount: threadCount) { row, value in
                state.status[row] == Self.ok ? Int32(clamping: Int(value) + days) : value
            }
        }
        observedAgeDays = older(state.observedAgeDays, fresh.observedAgeDays)
        daysSinceLastPurchase = older(state.daysSinceLastPurchase, fresh.daysSinceLastPurchase)
        func monthly(
            _ values: [Double], _ sums: [Double], _ freshValues: [Double]
        ) -> [Double] {
            carried.merge(values, freshValues, threadCount: threadCount) { row, value in
                guard days > 0 else { return value }
                guard state.status[row] == Self.ok else { return 0 }
                let age = Int(state.observedAgeDays[row]) + days
                return sums[row] / Self.months(observedAgeDays: age)
            }
        }
        monthlyRevenue = monthly(state.monthlyRevenue, state.revenue, fresh.monthlyRevenue)
        monthlyMargin = monthly(state.monthlyMargin, state.margin, fresh.monthlyMargin)
    }
}
