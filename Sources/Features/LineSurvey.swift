package import ByteCoding
package import Units

/// What the purchase lines of a history come to before any customer is looked at. Parts of it may be
/// surveyed in any order and added up.
package struct LineSurvey: Sendable, Equatable {
    /// Lines by the as-of day, returns included, and UTC seconds of the first and last of them.
    package private(set) var lines = LineRange()
    /// UTC seconds of the first and last purchase line (an amount of 0 or more) of any day.
    package private(set) var purchases = LineRange()

    package init() {}

    /// A survey made before.
    package init(lines: LineRange, purchases: LineRange) {
        self.lines = lines
        self.purchases = purchases
    }

    /// Adds lines.
    /// - Parameter after: lines by this day were counted before; nil where none was.
    /// - Returns: for each whether it is a purchase line by the as-of day that was not counted
    ///   before: what counts for the most frequent categories and channels.
    package mutating func add(
        times: [Int64], amounts: [Int64], after: CalendarDay? = nil, asOf: CalendarDay,
        clock: LocalClock
    ) -> [Bool] {
        let window = AsOfWindow(after: after, through: asOf, clock: clock)
        var counted = [Bool](repeating: false, count: times.count)
        for (line, time) in times.enumerated() {
            let isSeen = window.contains(time)
            let isPurchase = amounts[line] >= 0
            if isSeen { lines.add(time) }
            if isPurchase { purchases.add(time) }
            counted[line] = isSeen && isPurchase
        }
        return counted
    }

    package mutating func merge(_ other: LineSurvey) {
        lines.merge(other.lines)
        purchases.merge(other.purchases)
    }

    /// Local days of the first and the last purchase; nil where there is none.
    package func purchaseDays(clock: LocalClock) -> ClosedRange<CalendarDay>? {
        purchases.days(clock: clock)
    }
}

/// A number of purchase lines and when they were.
package struct LineRange: Sendable, Equatable, Codable {
    package private(set) var count = 0
    /// UTC seconds; above `last` for no lines.
    package private(set) var first = Int64.max
    package private(set) var last = Int64.min

    package init() {}

    package mutating func add(_ time: Int64) {
        count += 1
        first = min(first, time)
        last = max(last, time)
    }

    mutating func merge(_ other: LineRange) {
        count += other.count
        first = min(first, other.first)
        last = max(last, other.last)
    }

    /// The local days of the first and the last line; nil for none.
    package func days(clock: LocalClock) -> ClosedRange<CalendarDay>? {
        guard first <= last else { return nil }
        let firstDay = clock.day(atUTC: Int(first))
        return firstDay...max(firstDay, clock.day(atUTC: Int(last)))
    }
}

/// How many of some lines have each value of a text column.
package struct ValueCounts: Sendable, Equatable {
    /// `[values.count]`.
    package var counts: [Int]
    package var values: TextArray

    package init(counts: [Int], values: TextArray) {
        precondition(counts.count == values.count, "one count a value")
        self.counts = counts
        self.values = values
    }

    /// Counts the flagged rows of a column.
    package init(_ column: CodedText, where counted: [Bool]) {
        counts = [Int](repeating: 0, count: column.values.count)
        values = column.values
        for (line, code) in column.codes.enumerated()
        where counted[line] && code != CodedText.missing { counts[Int(code)] += 1 }
    }
}
