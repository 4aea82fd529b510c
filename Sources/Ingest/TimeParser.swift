import Units

/// A time read from a field.
enum ParsedTime: Equatable {
    case outOfRange
    case unparseable
    /// Seconds since 1970, UTC.
    case valid(Int64)
}

/// Reads times of one format. Remembers the zone's offset day by day, because a search through the
/// zone's transitions costs more than reading the digits.
struct TimeParser: Sendable {
    private let format: DateFormat
    private let decimalSign: UInt8
    private let clock: LocalClock
    /// By local day from `firstDay`: the offset where it is the same from the day before to the day
    /// after, `mixed` where it is not, `unknown` before the first look.
    private var offsets: [Int32]

    private static let unknown = Int32.max
    private static let mixed = Int32.max - 1
    private static let firstDay = CalendarDay(year: Limits.years.lowerBound, month: 1, day: 1)
    private static let lastDay = CalendarDay(year: Limits.years.upperBound, month: 12, day: 31)
    private static let days =
        (firstDay?.daysSince1970 ?? 0)...(lastDay?.daysSince1970 ?? 0)

    init(format: DateFormat, clock: LocalClock, decimalSign: DecimalSign = .point) {
        self.format = format
        self.clock = clock
        self.decimalSign = decimalSign.byte
        offsets = [Int32](repeating: Self.unknown, count: Self.days.count)
    }

    /// The time that `bytes[start ..< end]` says.
    mutating func parse(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> ParsedTime {
        var cursor = Cursor(position: start, end: end)
        switch format {
        case .epochSeconds:
            return parseEpoch(bytes, from: start, to: end)
        case .yearMonthDay:
            guard end - start == 8, let year = cursor.digits(4, bytes),
                let month = cursor.digits(2, bytes), let day = cursor.digits(2, bytes)
            else { return .unparseable }
            return instant(year: year, month: month, day: day, second: 0, offset: nil)
        case .iso8601:
            return parseISO(bytes, &cursor)
        case .dayMonthYear, .monthDayYear:
            return parseSeparated(bytes, &cursor)
        }
    }

    /// Days of `Limits.years`, and the first of them.
    static let dayCount = days.count
    static let firstDayNumber = -25_567

    /// The zone's offset on a local day; nil where a transition is near.
    mutating func offset(on day: Int) -> Int32? {
        let known = zoneOffset(on: day)
        return known == Self.mixed ? nil : known
    }

    /// The instant of a second of a local day, which lies in `Limits.years`.
    @inline(__always)
    mutating func instant(day: Int, second: Int) -> Int64 {
        let local = day * 86_400 + second
        let known = zoneOffset(on: day)
        return Int64(known == Self.mixed ? clock.utcSeconds(ofLocal: local) : local - Int(known))
    }

    private func parseEpoch(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> ParsedTime {
        guard
            let number = DecimalNumber(bytes, from: start, to: end, decimalSign: decimalSign)
        else { return .unparseable }
        // Every time in range is exact as a double, and so is its floor.
        guard let seconds = number.double?.rounded(.down), let whole = Int(exactly: seconds),
            Self.days.contains((whole >= 0 ? whole : whole - 86_399) / 86_400)
        else { return .outOfRange }
        return .valid(Int64(whole))
    }

    private mutating func parseISO(_ bytes: Span<UInt8>, _ cursor: inout Cursor) -> ParsedTime {
        guard let year = cursor.digits(4, bytes), cursor.take(UInt8(ascii: "-"), bytes),
            let month = cursor.digits(2, bytes), cursor.take(UInt8(ascii: "-"), bytes),
            let day = cursor.digits(2, bytes)
        else { return .unparseable }
        if cursor.isAtEnd {
            return instant(year: year, month: month, day: day, second: 0, offset: nil)
        }
        guard cursor.takeDateTimeSeparator(bytes),
            let second = cursor.clockTime(bytes, shortHour: false)
        else { return .unparseable }
        if cursor.take(UInt8(ascii: "."), bytes) || cursor.take(UInt8(ascii: ","), bytes) {
            guard cursor.skipDigits(bytes) > 0 else { return .unparseable }
        }
        var offset: Int?
        if !cursor.isAtEnd {
            guard let written = cursor.offsetSeconds(bytes), cursor.isAtEnd else {
                return .unparseable
            }
            offset = written
        }
        return instant(year: year, month: month, day: day, second: second, offset: offset)
    }

    /// `d/M/y` and `M/d/y`: one or two digits, the same separator twice, four digits.
    private mutating func parseSeparated(
        _ bytes: Span<UInt8>, _ cursor: inout Cursor
    ) -> ParsedTime {
        guard let first = cursor.oneOrTwoDigits(bytes), let separator = cursor.peek(bytes),
            separator == UInt8(ascii: "/") || separator == UInt8(ascii: "-")
                || separator == UInt8(ascii: "."),
            cursor.take(separator, bytes), let second = cursor.oneOrTwoDigits(bytes),
            cursor.take(separator, bytes), let year = cursor.digits(4, bytes)
        else { return .unparseable }
        var secondOfDay = 0
        if !cursor.isAtEnd {
            guard cursor.takeDateTimeSeparator(bytes),
                let time = cursor.clockTime(bytes, shortHour: true), cursor.isAtEnd
            else { return .unparseable }
            secondOfDay = time
        }
        let isDayFirst = format == .dayMonthYear
        return instant(
            year: year, month: isDayFirst ? second : first, day: isDayFirst ? first : second,
            second: secondOfDay, offset: nil)
    }

    /// The instant of a civil time at `offset` seconds east of UTC, or in the plan's zone.
    private mutating func instant(
        year: Int, month: Int, day: Int, second: Int, offset: Int?
    ) -> ParsedTime {
        guard let date = CalendarDay(year: year, month: month, day: day) else {
            // The year 0 is the calendar type's limit, not the source's mistake.
            return year == 0 ? .outOfRange : .unparseable
        }
        guard Self.days.contains(date.daysSince1970) else { return .outOfRange }
        if let offset {
            return .valid(Int64(date.daysSince1970 * 86_400 + second - offset))
        }
        return .valid(instant(day: date.daysSince1970, second: second))
    }

    /// The zone's offset on a local day, or `mixed` where a transition is near.
    private mutating func zoneOffset(on day: Int) -> Int32 {
        let index = day - Self.days.lowerBound
        let known = offsets[index]
        if known != Self.unknown { return known }
        // An offset is below a day, so the instants of the local day lie within these two. No zone
        // has two transitions within the three days.
        let before = clock.offsetSeconds(atUTC: (day - 1) * 86_400)
        let after = clock.offsetSeconds(atUTC: (day + 2) * 86_400)
        offsets[index] = before == after ? Int32(before) : Self.mixed
        return offsets[index]
    }
}

/// Reads digits and signs off the front of `position ..< end`.
private struct Cursor {
    var position: Int
    let end: Int

    var isAtEnd: Bool { position == end }

    func peek(_ bytes: Span<UInt8>) -> UInt8? { position < end ? bytes[position] : nil }

    mutating func take(_ byte: UInt8, _ bytes: Span<UInt8>) -> Bool {
        guard position < end, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    /// Exactly `count` digits, or nil and the position anywhere.
    mutating func digits(_ count: Int, _ bytes: Span<UInt8>) -> Int? {
        guard end - position >= count else { return nil }
        var value = 0
        for _ in 0..<count {
            guard let digit = decimalDigit(bytes[position]) else { return nil }
            value = value * 10 + Int(digit)
            position += 1
        }
        return value
    }

    mutating func oneOrTwoDigits(_ bytes: Span<UInt8>) -> Int? {
        guard position < end, let first = decimalDigit(bytes[position]) else { return nil }
        position += 1
        guard position < end, let second = decimalDigit(bytes[position]) else { return Int(first) }
        position += 1
        return Int(first) * 10 + Int(second)
    }

    mutating func skipDigits(_ bytes: Span<UInt8>) -> Int {
        let start = position
        while position < end, decimalDigit(bytes[position]) != nil { position += 1 }
        return position - start
    }

    mutating func takeDateTimeSeparator(_ bytes: Span<UInt8>) -> Bool {
        take(UInt8(ascii: "T"), bytes) || take(UInt8(ascii: " "), bytes)
    }

    /// `HH:mm[:ss]` as seconds of the day, 00:00:00 … 23:59:59.
    mutating func clockTime(_ bytes: Span<UInt8>, shortHour: Bool) -> Int? {
        guard let hour = shortHour ? oneOrTwoDigits(bytes) : digits(2, bytes), hour < 24,
            take(UInt8(ascii: ":"), bytes), let minute = digits(2, bytes), minute < 60
        else { return nil }
        guard take(UInt8(ascii: ":"), bytes) else { return hour * 3_600 + minute * 60 }
        guard let second = digits(2, bytes), second < 60 else { return nil }
        return hour * 3_600 + minute * 60 + second
    }

    /// `Z`, `±hh:mm`, `±hhmm` or `±hh` as seconds east of UTC.
    mutating func offsetSeconds(_ bytes: Span<UInt8>) -> Int? {
        if take(UInt8(ascii: "Z"), bytes) { return 0 }
        let isWest = take(UInt8(ascii: "-"), bytes)
        guard isWest || take(UInt8(ascii: "+"), bytes), let hour = digits(2, bytes), hour < 24
        else { return nil }
        var minute = 0
        if !isAtEnd {
            _ = take(UInt8(ascii: ":"), bytes)
            guard let written = digits(2, bytes), written < 60 else { return nil }
            minute = written
        }
        let seconds = hour * 3_600 + minute * 60
        return isWest ? -seconds : seconds
    }
}
