import Foundation
import Testing
import Units

@Suite struct CalendarDayTests {
    @Test(arguments: [
        ("1970-01-01", 0, 3), ("1969-12-31", -1, 2), ("2000-02-29", 11016, 1),
        ("1997-09-30", 10134, 1), ("2026-03-01", 20513, 6), ("0001-01-01", -719_162, 0),
    ])
    func readsAndPrints(text: String, days: Int, weekday: Int) throws {
        let day = try #require(CalendarDay(parsing: text))
        #expect(day.daysSince1970 == days)
        #expect(day.description == text)
        #expect(day.weekday == weekday)
    }

    @Test(arguments: [
        "1997-02-29", "1900-02-29", "1997-13-01", "1997-00-10", "1997-04-31", "97-01-01",
        "1997-1-1", "1997-01-01T00:00", "", "yyyy-mm-dd", "1997-01-00", "-997-01-01",
    ])
    func refuses(text: String) {
        #expect(CalendarDay(parsing: text) == nil)
    }

    @Test func everyDayOfFourCenturiesRoundTrips() throws {
        for days in -150_000..<10_000 {
            let (year, month, day) = CalendarDay(daysSince1970: days).civil
            #expect(CalendarDay(year: year, month: month, day: day)?.daysSince1970 == days)
        }
    }
}

@Suite struct LocalClockTests {
    /// Europe/London 2021: summer time from 28 March 01:00 UTC to 31 October 01:00 UTC.
    @Test func londonChangesItsOffset() throws {
        let london = try #require(LocalClock(timeZoneName: "Europe/London"))
        let spring = 1_616_893_200
        #expect(london.offsetSeconds(atUTC: spring - 1) == 0)
        #expect(london.offsetSeconds(atUTC: spring) == 3_600)
        #expect(london.hour(atUTC: spring) == 2)
        // 01:30 on 28 March does not exist; 01:30 on 31 October occurs twice, the first is meant.
        let skipped = CalendarDay(year: 2021, month: 3, day: 28)!.daysSince1970 * 86_400 + 5_400
        #expect(london.utcSeconds(ofLocal: skipped) == skipped)
        let twice = CalendarDay(year: 2021, month: 10, day: 31)!.daysSince1970 * 86_400 + 5_400
        #expect(london.utcSeconds(ofLocal: twice) == twice - 3_600)
    }

    @Test(arguments: ["UTC", "Europe/London", "America/New_York", "Asia/Kolkata"])
    func agreesWithFoundation(name: String) throws {
        let clock = try #require(LocalClock(timeZoneName: name))
        let zone = try #require(TimeZone(identifier: name))
        for instant in stride(from: -500_000_000, to: 2_000_000_000, by: 7_654_321) {
            let date = Date(timeIntervalSince1970: Double(instant))
            #expect(clock.offsetSeconds(atUTC: instant) == zone.secondsFromGMT(for: date))
        }
    }

    @Test func everyHourThatExistsComesBack() throws {
        let clock = try #require(LocalClock(timeZoneName: "America/New_York"))
        for instant in stride(from: 1_600_000_000, to: 1_640_000_000, by: 3_600) {
            let back = clock.utcSeconds(ofLocal: clock.localSeconds(atUTC: instant))
            // In the hour that occurs twice the earlier instant is meant.
            #expect(back == instant || back == instant - 3_600)
        }
    }

    @Test func rulesTellZonesApart() throws {
        func rules(_ name: String) throws -> [Int] {
            try #require(LocalClock(timeZoneName: name)).rules
        }
        #expect(try rules("UTC") == LocalClock.utc.rules)
        #expect(try rules("Europe/London") != rules("Europe/Berlin"))
        #expect(try rules("Asia/Kolkata") == rules("Asia/Calcutta"))
    }

    @Test func anUnknownZoneIsNil() {
        #expect(LocalClock(timeZoneName: "Mars/Olympus") == nil)
    }

    @Test func daysBeforeTheEpochFloor() {
        #expect(LocalClock.utc.day(atUTC: -1).daysSince1970 == -1)
        #expect(LocalClock.utc.day(atUTC: -86_400).daysSince1970 == -1)
        #expect(LocalClock.utc.day(atUTC: -86_401).daysSince1970 == -2)
        #expect(LocalClock.utc.hour(atUTC: -1) == 23)
        #expect(LocalClock.utc.endUTC(of: CalendarDay(daysSince1970: 0)) == 86_400)
    }
}
