import Units

/// Fields of delimited text written into a byte buffer, without a String in between.
extension [UInt8] {
    mutating func append(text: String) { append(contentsOf: text.utf8) }

    mutating func appendComma() { append(0x2C) }
    mutating func appendNewline() { append(0x0A) }

    mutating func append(integer value: Int) {
        if value < 0 { append(0x2D) }
        append(magnitude: value.magnitude, minimumDigits: 1)
    }

    /// `value` / 10^decimals with all its decimals; 0 decimals not included.
    mutating func append(scaled value: Int, decimals: Int) {
        var scale: UInt = 1
        for _ in 0..<decimals { scale *= 10 }
        if value < 0 { append(0x2D) }
        append(magnitude: value.magnitude / scale, minimumDigits: 1)
        append(0x2E)
        append(magnitude: value.magnitude % scale, minimumDigits: decimals)
    }

    /// The nearest number with this many decimals. Valid: |value| < 1e9, up to 9 decimals.
    mutating func append(fixed value: Double, decimals: Int) {
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        append(scaled: Int((value * scale).rounded()), decimals: decimals)
    }

    /// `yyyy-MM-dd`.
    mutating func append(day: CalendarDay) {
        let (year, month, dayOfMonth) = day.civil
        append(magnitude: UInt(year), minimumDigits: 4)
        append(0x2D)
        append(magnitude: UInt(month), minimumDigits: 2)
        append(0x2D)
        append(magnitude: UInt(dayOfMonth), minimumDigits: 2)
    }

    /// `yyyy-MM-ddTHH:mm:ss`.
    mutating func append(day: CalendarDay, second: Int) {
        append(day: day)
        append(0x54)
        append(magnitude: UInt(second / 3_600), minimumDigits: 2)
        append(0x3A)
        append(magnitude: UInt(second / 60 % 60), minimumDigits: 2)
        append(0x3A)
        append(magnitude: UInt(second % 60), minimumDigits: 2)
    }

    private mutating func append(magnitude value: UInt, minimumDigits: Int) {
        var power: UInt = 1
        var digits = 1
        while digits < minimumDigits || (value / power >= 10 && digits < 20) {
            power *= 10
            digits += 1
        }
        var rest = value
        while power > 0 {
            append(0x30 + UInt8(rest / power))
            rest %= power
            power /= 10
        }
    }
}
