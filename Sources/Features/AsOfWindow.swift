package import Units

/// Decides which lines a computation as of a day may see: those whose local day is within
/// `after + 1 ... through`.
package struct AsOfWindow: Sendable {
    private let clock: LocalClock
    private let after: Int
    private let through: Int
    /// Instants that are within the window, or outside of it, in every time zone on Earth (offsets
    /// lie within ±26 hours), so that most lines need no time-zone look-up to be told apart.
    private let surelyInside: Range<Int64>
    private let surelyPossible: Range<Int64>

    package init(after: CalendarDay?, through: CalendarDay, clock: LocalClock) {
        self.clock = clock
        let margin = 2
        let first = after.map { $0.daysSince1970 + 1 } ?? Int(Int32.min)
        self.after = first - 1
        self.through = through.daysSince1970
        let lower = Int64(first) * 86_400
        let upper = Int64(through.daysSince1970 + 1) * 86_400
        let slack = Int64(margin) * 86_400
        surelyPossible = lower - slack..<max(lower - slack, upper + slack)
        surelyInside = lower + slack..<max(lower + slack, upper - slack)
    }

    /// Whether a line at this instant counts.
    package func contains(_ time: Int64) -> Bool {
        if surelyInside.contains(time) { return true }
        guard surelyPossible.contains(time) else { return false }
        let day = clock.day(atUTC: Int(time)).daysSince1970
        return day > after && day <= through
    }

    /// Whether no line from this instant on can count.
    func isPast(_ time: Int64) -> Bool { time >= surelyPossible.upperBound }
}
