import Ingest
import Testing
import Units

@Suite struct TimeParserTests {
    struct Example: Sendable, CustomStringConvertible {
        let format: DateFormat
        let text: String
        let seconds: Int64
        var zone = "UTC"
        var description: String { "\(format.rawValue) \(text) \(zone)" }
    }

    /// Expected seconds are those of `date -u -d … +%s`.
    @Test(arguments: [
        Example(format: .iso8601, text: "1970-01-01", seconds: 0),
        Example(format: .iso8601, text: "2010-12-01 08:26:00", seconds: 1_291_191_960),
        Example(format: .iso8601, text: "2010-12-01T08:26", seconds: 1_291_191_960),
        Example(format: .iso8601, text: "2010-12-01T08:26:00Z", seconds: 1_291_191_960),
        Example(format: .iso8601, text: "2010-12-01T08:26:00.999Z", seconds: 1_291_191_960),
        Example(format: .iso8601, text: "2010-12-01T08:26:00,5", seconds: 1_291_191_960),
        Example(format: .iso8601, text: "2010-12-01T09:26:00+01:00", seconds: 1_291_191_960),
        Example(format: .iso8601, text: "2010-12-01T09:26+0100", seconds: 1_291_191_960),
        Example(format: .iso8601, text: "2010-12-01 03:26:00-05", seconds: 1_291_191_960),
        Example(format: .iso8601, text: "2010-12-01T13:56:00+05:30", seconds: 1_291_191_960),
        Example(format: .iso8601, text: "1969-12-31T23:59:59", seconds: -1),
        Example(format: .iso8601, text: "2000-02-29", seconds: 951_782_400),
        Example(format: .iso8601, text: "1900-01-01", seconds: -2_208_988_800),
        Example(format: .iso8601, text: "2099-12-31T23:59:59", seconds: 4_102_444_799),
        Example(format: .epochSeconds, text: "1291191960", seconds: 1_291_191_960),
        Example(format: .epochSeconds, text: "1291191960.75", seconds: 1_291_191_960),
        Example(format: .epochSeconds, text: "-0.5", seconds: -1),
        Example(format: .epochSeconds, text: "1.29119196e9", seconds: 1_291_191_960),
        Example(format: .yearMonthDay, text: "19970101", seconds: 852_076_800),
        Example(format: .dayMonthYear, text: "1/12/2010 8:26", seconds: 1_291_191_960),
        Example(format: .dayMonthYear, text: "01-12-2010", seconds: 1_291_161_600),
        Example(format: .dayMonthYear, text: "01.12.2010 08:26:00", seconds: 1_291_191_960),
        Example(format: .monthDayYear, text: "12/1/2010T08:26:00", seconds: 1_291_191_960),
        Example(format: .monthDayYear, text: "12/01/2010", seconds: 1_291_161_600),
        // Summer time: local noon is 11:00Z in London and 10:00Z in Berlin.
        Example(
            format: .iso8601, text: "2011-07-01 12:00", seconds: 1_309_518_000,
            zone: "Europe/London"),
        Example(
            format: .iso8601, text: "2011-07-01 12:00", seconds: 1_309_514_400,
            zone: "Europe/Berlin"),
        // An offset in the text wins over the zone.
        Example(
            format: .iso8601, text: "2011-07-01 12:00Z", seconds: 1_309_521_600,
            zone: "Europe/Berlin"),
        // The clocks go forward at 01:00Z on 2011-03-27: 00:30 is winter, 02:30 summer time.
        Example(
            format: .iso8601, text: "2011-03-27 00:30", seconds: 1_301_185_800,
            zone: "Europe/London"),
        Example(
            format: .iso8601, text: "2011-03-27 02:30", seconds: 1_301_189_400,
            zone: "Europe/London"),
        // A day is the local day: midnight in New York is 05:00Z in winter.
        Example(
            format: .yearMonthDay, text: "20110101", seconds: 1_293_858_000,
            zone: "America/New_York"),
    ])
    func reads(_ example: Example) throws {
        var mapping = plainMapping
        mapping.format.delimiter = .semicolon
        mapping.time.format = example.format
        let clock = try #require(LocalClock(timeZoneName: example.zone))
        let (lines, _) = try read(
            "customer;time;amount\na; \(example.text) ;1\n", mapping, clock: clock)
        #expect(lines.times == [example.seconds])
    }

    @Test(arguments: [
        (DateFormat.iso8601, "2011-02-29", RejectReason.unparseableTime),
        (.iso8601, "1900-02-29", .unparseableTime), (.iso8601, "2011-13-01", .unparseableTime),
        (.iso8601, "2011-00-01", .unparseableTime), (.iso8601, "2011-01-00", .unparseableTime),
        (.iso8601, "2011-1-1", .unparseableTime), (.iso8601, "11-01-01", .unparseableTime),
        (.iso8601, "2011-01-01T24:00", .unparseableTime),
        (.iso8601, "2011-01-01T12:60", .unparseableTime),
        (.iso8601, "2011-01-01T12:00:60", .unparseableTime),
        (.iso8601, "2011-01-01T12", .unparseableTime),
        (.iso8601, "2011-01-01T", .unparseableTime),
        (.iso8601, "2011-01-01T12:00:00.", .unparseableTime),
        (.iso8601, "2011-01-01T12:00:00x", .unparseableTime),
        (.iso8601, "2011-01-01T12:00+24:00", .unparseableTime),
        (.iso8601, "2011-01-01Z", .unparseableTime), (.iso8601, "yesterday", .unparseableTime),
        (.iso8601, "1899-12-31", .timeOutOfRange), (.iso8601, "2100-01-01", .timeOutOfRange),
        (.iso8601, "0000-01-01", .timeOutOfRange), (.iso8601, "", .missingTime),
        (.epochSeconds, "1291191960000", .timeOutOfRange),
        (.epochSeconds, "1e308", .timeOutOfRange),
        (.epochSeconds, "1e400", .timeOutOfRange), (.epochSeconds, "now", .unparseableTime),
        (.epochSeconds, "NaN", .unparseableTime), (.yearMonthDay, "1997-01-01", .unparseableTime),
        (.yearMonthDay, "199701011", .unparseableTime),
        (.yearMonthDay, "19970230", .unparseableTime),
        (.dayMonthYear, "12/31/2010", .unparseableTime),
        (.dayMonthYear, "1/2/10", .unparseableTime),
        (.dayMonthYear, "1/2-2010", .unparseableTime),
        (.dayMonthYear, "1/2/20101", .unparseableTime),
        (.dayMonthYear, "001/2/2010", .unparseableTime),
        (.monthDayYear, "31/12/2010", .unparseableTime),
        (.monthDayYear, "1/2/2010 8:5", .unparseableTime),
        (.monthDayYear, "1/2/2010 8:05 PM", .unparseableTime),
    ])
    func refuses(_ format: DateFormat, _ text: String, _ reason: RejectReason) throws {
        var mapping = lenientMapping
        mapping.time.format = format
        let (lines, report) = try read("customer,time,amount\na,\(text),1\n", mapping)
        #expect(lines.count == 0)
        #expect(report.reasonCounts == [reason: 1])
    }

    /// Every hour of three years, against the clock's own conversion: the remembered offsets are
    /// exact also on the days of a transition.
    @Test(arguments: ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
    func rememberedOffsets(_ zone: String) throws {
        let clock = try #require(LocalClock(timeZoneName: zone))
        let first = 14_610 * 86_400
        let locals = (0..<3 * 365 * 24).map { first + $0 * 3_600 + 1_800 }
        var text = "customer,time,amount\n"
        for local in locals {
            let day = CalendarDay(daysSince1970: local / 86_400)
            let hour = local % 86_400 / 3_600
            text += "a,\(day)T\(hour < 10 ? "0" : "")\(hour):30,1\n"
        }
        let (lines, _) = try read(text, clock: clock)
        #expect(lines.times == locals.map { Int64(clock.utcSeconds(ofLocal: $0)) })
    }
}
