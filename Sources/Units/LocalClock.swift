import Foundation

/// The wall clock of one time zone: instants (UTC seconds since 1970) to local days and hours and
/// back, from a table of the zone's transitions between 1900 and 2100 so that no call allocates.
package struct LocalClock: Sendable {
    package let timeZoneName: String
    /// `starts[i]` is the instant from which `offsets[i]` (seconds east of UTC) applies.
    private let starts: [Int]
    private let offsets: [Int]

    package static let utc = LocalClock(timeZoneName: "UTC")!

    /// Nil where the system's zone database does not know the name.
    package init?(timeZoneName: String) {
        guard let zone = TimeZone(identifier: timeZoneName) else { return nil }
        var instant = Date(timeIntervalSince1970: -2_208_988_800)
        let end = Date(timeIntervalSince1970: 4_102_444_800)
        var starts = [Int.min]
        var offsets = [zone.secondsFromGMT(for: instant)]
        while let next = zone.nextDaylightSavingTimeTransition(after: instant), next < end,
            next > instant
        {
            starts.append(Int(next.timeIntervalSince1970))
            offsets.append(zone.secondsFromGMT(for: next))
            instant = next
        }
        self.timeZoneName = timeZoneName
        self.starts = starts
        self.offsets = offsets
    }

    /// What sets the clock apart from others: when its offsets begin, then the offsets. A zone's
    /// rules change with the system's zone database, its name does not.
    package var rules: [Int] { starts + offsets }

    /// Seconds east of UTC at the instant `utcSeconds`.
    package func offsetSeconds(atUTC utcSeconds: Int) -> Int {
        var low = 0
        var high = starts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= utcSeconds { low = middle } else { high = middle }
        }
        return offsets[low]
    }

    /// The local wall-clock reading as seconds since 1970-01-01T00:00 local.
    package func localSeconds(atUTC utcSeconds: Int) -> Int {
        utcSeconds + offsetSeconds(atUTC: utcSeconds)
    }

    /// The local day of an instant.
    package func day(atUTC utcSeconds: Int) -> CalendarDay {
        let local = localSeconds(atUTC: utcSeconds)
        return CalendarDay(daysSince1970: (local >= 0 ? local : local - 86_399) / 86_400)
    }

    /// The local hour, 0…23, of an instant.
    package func hour(atUTC utcSeconds: Int) -> Int {
        let second = localSeconds(atUTC: utcSeconds) % 86_400
        return (second < 0 ? second + 86_400 : second) / 3_600
    }

    /// The instant of a wall-clock reading. A reading that occurs twice means the earlier instant;
    /// one that a transition skips means the instant by the offset before it.
    package func utcSeconds(ofLocal localSeconds: Int) -> Int {
        let before = localSeconds - offsetSeconds(atUTC: localSeconds - 86_400)
        if before + offsetSeconds(atUTC: before) == localSeconds { return before }
        let after = localSeconds - offsetSeconds(atUTC: localSeconds + 86_400)
        return after + offsetSeconds(atUTC: after) == localSeconds ? after : before
    }

    /// The first instant of the day after `day`: lines at or after it are later than `day`.
    package func endUTC(of day: CalendarDay) -> Int {
        utcSeconds(ofLocal: (day.daysSince1970 + 1) * 86_400)
    }
}
