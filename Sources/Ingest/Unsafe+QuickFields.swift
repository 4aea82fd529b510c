// Why unsafe: numbers and times are read eight bytes at once from memory whose owner (`TextBuffer`)
// keeps 64 readable bytes behind the last one.

import Units

/// Reads the plain form of numbers and times, eight digits at a time. What it does not know, the
/// careful parsers may still be able to read: nil is no verdict.
///
/// Source: D. Lemire, "Quickly parsing eight digits" (2018), for the three multiplications.
struct QuickFields: @unchecked Sendable {
    /// A decimal number: `digits x 10^-fractionCount`.
    struct Decimal {
        var digits: UInt64
        /// 0…7.
        var fractionCount: Int
        var isNegative: Bool
    }

    private let months: UnsafePointer<Int32>
    private let decimalSigns: UInt64
    private let moneyScales: UnsafePointer<Int64>
    private static let firstYear = 1900
    private static let lastYear = 2099

    /// By month of `Limits.years`: the days since 1970 of its first day, times 32, and how many days
    /// it has. Lives as long as the program.
    nonisolated(unsafe) private static let monthTable: UnsafePointer<Int32> = {
        let table = UnsafeMutablePointer<Int32>.allocate(capacity: 12 * (lastYear - firstYear + 1))
        for index in 0..<12 * (lastYear - firstYear + 1) {
            let (year, month) = (firstYear + index / 12, index % 12 + 1)
            let first = CalendarDay(year: year, month: month, day: 1)?.daysSince1970 ?? 0
            let next = CalendarDay(
                year: month == 12 ? year + 1 : year, month: month % 12 + 1, day: 1)
            table[index] = Int32(first * 32 + (next?.daysSince1970 ?? 0) - first)
        }
        return UnsafePointer(table)
    }()

    /// By the place of the decimal sign among eight characters (8 for none), what makes a number of
    /// its digits ten-thousandths; 0 for more than four digits behind it. As long-lived.
    nonisolated(unsafe) private static let scaleTable: UnsafePointer<Int64> = {
        let table = UnsafeMutablePointer<Int64>.allocate(capacity: 9)
        for (place, scale) in [0, 0, 0, 1, 10, 100, 1_000, 10_000, 10_000].enumerated() {
            table[place] = Int64(scale)
        }
        return UnsafePointer(table)
    }()

    init(decimalSign: UInt8) {
        assert(Limits.years == Self.firstYear...Self.lastYear)
        decimalSigns = UInt64(decimalSign) &* 0x0101_0101_0101_0101
        months = Self.monthTable
        moneyScales = Self.scaleTable
    }

    // The four below take no jump that depends on the text: they compute something of any text, and a
    // problem other than 0 where that means nothing.

    /// A whole number of 1…8 digits without a sign.
    @inline(__always)
    func shortInteger(
        _ text: UnsafePointer<UInt8>, _ count: Int
    ) -> (value: UInt64, problem: UInt64) {
        let digits = digits(text, count)
        return (number(digits), others(digits) | outside(count))
    }

    /// An amount in ten-thousandths: at most eight digits and decimal sign together, at most four of
    /// them behind it, with an optional minus before.
    @inline(__always)
    func shortMoney(
        _ text: UnsafePointer<UInt8>, _ count: Int
    ) -> (value: Int64, problem: UInt64) {
        let isNegative = text[0] == 0x2D ? 1 : 0
        let count = count &- isNegative
        // The text in the highest bytes, zeros below.
        let shift = UInt64(truncatingIfNeeded: 64 &- 8 &* count)
        let word = loaded(text + isNegative) &<< shift
        let found = signs(in: word)
        // The lowest mark is a true one. The bytes below it move up into its place, those above it
        // stay; without a mark all bytes are below, and do not move.
        let mark = found & (0 &- found)
        let below = (mark &>> 7) &- 1
        let above = ~((mark &<< 1) &- 1)
        let move: UInt64 = found != 0 ? 8 : 0
        let moved = (word & above) | ((word & below) &<< move)
        let digits = moved ^ (0x3030_3030_3030_3030 &<< (shift &+ move))
        let scale = moneyScales[found.trailingZeroBitCount &>> 3]
        // Below 10^8 x 10^4.
        let value = Int64(truncatingIfNeeded: number(digits)) &* scale
        let isCut: UInt64 = scale == 0 ? 1 : 0
        return (
            (value ^ Int64(0 &- isNegative)) &+ Int64(isNegative),
            others(digits) | outside(count) | isCut
        )
    }

    /// The day since 1970 that `yyyy-MM-dd` says; 0 where it says none.
    @inline(__always)
    func isoDay(_ text: UnsafePointer<UInt8>) -> (day: Int, problem: UInt64) {
        // yyyy-MM- and dd followed by anything.
        let date = loaded(text) ^ 0x2D30_302D_3030_3030
        let last = UnsafeRawPointer(text + 8).loadUnaligned(as: UInt16.self)
        let dayWord = UInt64(UInt16(littleEndian: last)) ^ 0x3030
        let pairs = date &* 10 &+ (date &>> 8)
        let year = (pairs & 0xFF) &* 100 &+ ((pairs &>> 16) & 0xFF) &- UInt64(Self.firstYear)
        let month = ((pairs &>> 40) & 0xFF) &- 1
        let dayOfMonth = (dayWord & 0xFF) &* 10 &+ (dayWord &>> 8) &- 1
        let isMonth = year <= UInt64(Self.lastYear - Self.firstYear) && month < 12
        let entry = Int(months[isMonth ? Int(truncatingIfNeeded: year &* 12 &+ month) : 0])
        let isDay = isMonth && dayOfMonth < UInt64(truncatingIfNeeded: entry & 31)
        let problem = others(date) | others(dayWord) | (date & 0xFF00_00FF_0000_0000)
        return (
            isDay ? (entry &>> 5) &+ Int(truncatingIfNeeded: dayOfMonth) : 0,
            problem | (isDay ? 0 : 1)
        )
    }

    /// The second of the day that `yyyy-MM-dd`, `T` or a blank and `HH:mm:ss` says.
    @inline(__always)
    func secondOfDay(_ text: UnsafePointer<UInt8>) -> (second: Int, problem: UInt64) {
        let time = loaded(text + 11) ^ 0x3030_3A30_303A_3030
        let parts = time &* 10 &+ (time &>> 8)
        let hour = parts & 0xFF
        let minute = (parts &>> 24) & 0xFF
        let second = (parts &>> 48) & 0xFF
        let separator = text[10]
        let isTime =
            (separator == 0x54 || separator == 0x20) && hour < 24 && minute < 60 && second < 60
        return (
            Int(truncatingIfNeeded: (hour &* 60 &+ minute) &* 60 &+ second),
            others(time) | (time & 0x0000_FF00_00FF_0000) | (isTime ? 0 : 1)
        )
    }

    /// A whole number of 1…16 digits with an optional sign.
    @inline(__always)
    func integer(_ text: UnsafePointer<UInt8>, _ count: Int) -> Int64? {
        var (text, count) = (text, count)
        let isNegative = takeSign(&text, &count)
        guard count >= 1, count <= 16 else { return nil }
        if count <= 8 {
            guard let value = value(digits(text, count)) else { return nil }
            return isNegative ? -Int64(value) : Int64(value)
        }
        guard let high = value(digits(text, count - 8)),
            let low = value(digits(text + (count - 8), 8))
        else { return nil }
        let whole = Int64(high &* 100_000_000 &+ low)
        return isNegative ? -whole : whole
    }

    /// A number of at most eight digits and decimal sign together, with an optional sign before.
    @inline(__always)
    func decimal(_ text: UnsafePointer<UInt8>, _ count: Int) -> Decimal? {
        var (text, count) = (text, count)
        let isNegative = takeSign(&text, &count)
        guard count >= 1, count <= 8 else { return nil }
        // The text in the highest bytes, zeros below.
        var shift = UInt64(truncatingIfNeeded: 64 &- 8 &* count)
        var word = loaded(text) &<< shift
        let found = signs(in: word)
        var fractionCount = 0
        if found != 0 {
            // The lowest mark is a true one. The bytes below it move up into its place.
            let place = UInt64(truncatingIfNeeded: found.trailingZeroBitCount) & 0x38
            let below: UInt64 = (1 &<< place) &- 1
            word = (word & (~0xFF &<< place)) | ((word & below) &<< 8)
            fractionCount = 7 &- Int(place &>> 3)
            shift &+= 8
            guard shift < 64 else { return nil }
        }
        guard let value = value(word ^ (0x3030_3030_3030_3030 &<< shift)) else { return nil }
        return Decimal(digits: value, fractionCount: fractionCount, isNegative: isNegative)
    }

    @inline(__always)
    private func takeSign(_ text: inout UnsafePointer<UInt8>, _ count: inout Int) -> Bool {
        let first = text[0]
        guard first == 0x2D || first == 0x2B else { return false }
        text += 1
        count &-= 1
        return first == 0x2D
    }

    @inline(__always)
    private func loaded(_ text: UnsafePointer<UInt8>) -> UInt64 {
        UInt64(littleEndian: UnsafeRawPointer(text).loadUnaligned(as: UInt64.self))
    }

    /// What `count` (1…8) characters are more than `0`, in the highest bytes.
    @inline(__always)
    private func digits(_ text: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
        let shift = UInt64(truncatingIfNeeded: 64 &- 8 &* count)
        return (loaded(text) ^ 0x3030_3030_3030_3030) &<< shift
    }

    /// Marks in the highest bits of bytes that are a decimal sign; the lowest mark is a true one.
    @inline(__always)
    private func signs(in word: UInt64) -> UInt64 {
        let differences = word ^ decimalSigns
        return (differences &- 0x0101_0101_0101_0101) & ~differences & 0x8080_8080_8080_8080
    }

    /// 0 for 1…8.
    @inline(__always)
    private func outside(_ count: Int) -> UInt64 {
        UInt64(truncatingIfNeeded: (count &- 1) & ~7)
    }

    /// 0 where all eight bytes are 0…9. A carry can only come from a byte that is not.
    @inline(__always)
    private func others(_ values: UInt64) -> UInt64 {
        ((values &+ 0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080
    }

    @inline(__always)
    private func isDigits(_ values: UInt64) -> Bool { others(values) == 0 }

    /// The number that eight digits write, the first in the lowest byte; nil where one is none.
    @inline(__always)
    private func value(_ digits: UInt64) -> UInt64? {
        isDigits(digits) ? number(digits) : nil
    }

    /// The same without a look at the digits.
    @inline(__always)
    private func number(_ digits: UInt64) -> UInt64 {
        let pairs = (digits &* 2_561) &>> 8
        let fours = ((pairs & 0x00FF_00FF_00FF_00FF) &* 6_553_601) &>> 16
        return ((fours & 0x0000_FFFF_0000_FFFF) &* 42_949_672_960_001) &>> 32
    }
}
