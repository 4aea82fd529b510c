/// A decimal number as written: `±digits x 10^exponent`. The first 19 significant digits are kept;
/// `isCut` says that a non-zero digit came after them.
struct DecimalNumber {
    var isNegative = false
    var digits: UInt64 = 0
    var exponent = 0
    var isCut = false

    /// `±digits x 10^exponent`, exactly.
    init(digits: UInt64, exponent: Int, isNegative: Bool) {
        self.digits = digits
        self.exponent = exponent
        self.isNegative = isNegative
    }

    /// Reads an optional sign, digits with at most one decimal sign among or around them, and an
    /// optional `e` or `E` with a whole exponent. Nil for anything else: no digit, a second sign,
    /// a thousands separator, `NaN`, `inf`, hexadecimal, blanks inside.
    init?(_ bytes: Span<UInt8>, from start: Int, to end: Int, decimalSign: UInt8) {
        var index = start
        guard index < end else { return nil }
        if bytes[index] == UInt8(ascii: "-") || bytes[index] == UInt8(ascii: "+") {
            isNegative = bytes[index] == UInt8(ascii: "-")
            index += 1
        }
        var digitCount = 0
        var keptCount = 0
        var isFraction = false
        while index < end {
            let byte = bytes[index]
            if let digit = decimalDigit(byte) {
                digitCount += 1
                if keptCount < 19 {
                    digits = digits * 10 + UInt64(digit)
                    // Leading zeros are not significant. 19 digits stay below 2^64.
                    if digits != 0 { keptCount += 1 }
                    if isFraction { exponent -= 1 }
                } else {
                    if digit != 0 { isCut = true }
                    if !isFraction { exponent += 1 }
                }
            } else if byte == decimalSign && !isFraction {
                isFraction = true
            } else {
                break
            }
            index += 1
        }
        guard digitCount > 0 else { return nil }
        guard index < end else { return }
        guard bytes[index] == UInt8(ascii: "e") || bytes[index] == UInt8(ascii: "E") else {
            return nil
        }
        index += 1
        var isNegativeExponent = false
        if index < end, bytes[index] == UInt8(ascii: "-") || bytes[index] == UInt8(ascii: "+") {
            isNegativeExponent = bytes[index] == UInt8(ascii: "-")
            index += 1
        }
        guard index < end else { return nil }
        var written = 0
        while index < end {
            guard let digit = decimalDigit(bytes[index]) else { return nil }
            // A clamp that no 16 MiB line can bring back into range.
            written = min(written * 10 + Int(digit), 1_000_000_000)
            index += 1
        }
        exponent += isNegativeExponent ? -written : written
    }

    /// The number in ten-thousandths, ties to even; nil where that is beyond `Limits.amountUnits`.
    var tenThousandths: Int64? {
        guard let rounded = roundedScaled(high: 0, low: digits, exponent: exponent + 4, isCut)
        else { return nil }
        return isNegative ? -rounded : rounded
    }

    /// `a x b` in ten-thousandths, rounded once, ties to even; nil where that is beyond
    /// `Limits.amountUnits`. Exact where both have at most 19 significant digits.
    static func product(_ a: DecimalNumber, _ b: DecimalNumber) -> Int64? {
        let (high, low) = a.digits.multipliedFullWidth(by: b.digits)
        let isCut = (a.isCut && b.digits != 0) || (b.isCut && a.digits != 0)
        let exponent = a.exponent + b.exponent + 4
        guard let rounded = roundedScaled(high: high, low: low, exponent: exponent, isCut)
        else { return nil }
        return a.isNegative != b.isNegative ? -rounded : rounded
    }

    /// The whole number this is; nil for a fraction and outside Int64.
    var integer: Int64? {
        guard !isCut else { return nil }
        var magnitude = digits
        if magnitude == 0 { return 0 }
        var left = exponent
        while left < 0 {
            guard magnitude % 10 == 0 else { return nil }
            magnitude /= 10
            left += 1
        }
        while left > 0 {
            let (next, overflow) = magnitude.multipliedReportingOverflow(by: 10)
            if overflow { return nil }
            magnitude = next
            left -= 1
        }
        return isNegative
            ? Int64(exactly: -Int128(magnitude)) : Int64(exactly: magnitude)
    }

    /// The nearest double; nil where it is infinite.
    var double: Double? {
        let magnitude: Double
        // Both factors are exact up to 2^53 and 10^22, so one operation rounds once.
        // Source: W. Clinger, "How to Read Floating Point Numbers Accurately", PLDI 1990.
        if !isCut, digits <= 1 << 53, (-22...22).contains(exponent) {
            let power = powersOfTen[min(abs(exponent), 19)]
            let rest = powersOfTen[max(abs(exponent) - 19, 0)]
            let scale = Double(power) * Double(rest)
            magnitude = exponent < 0 ? Double(digits) / scale : Double(digits) * scale
        } else {
            guard let parsed = Double("\(digits)\(isCut ? "1" : "0")e\(exponent - 1)") else {
                return nil
            }
            magnitude = parsed
        }
        guard magnitude.isFinite else { return nil }
        return isNegative ? -magnitude : magnitude
    }
}

/// The value of an ASCII digit.
@inline(__always)
func decimalDigit(_ byte: UInt8) -> UInt8? {
    byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : nil
}

/// 10^0 … 10^19, all below 2^64.
private let powersOfTen: [UInt64] = (0..<20).map { exponent in
    (0..<exponent).reduce(UInt64(1)) { power, _ in power * 10 }
}

private let maximumTenThousandths = Limits.amountUnits * 10_000

/// `(high * 2^64 + low) x 10^exponent` to the nearest whole number, ties to even; nil beyond
/// `Limits.amountUnits`. With `isCut` the true value is a little larger than given.
private func roundedScaled(
    high: UInt64, low: UInt64, exponent: Int, _ isCut: Bool
) -> Int64? {
    if high == 0 && low == 0 { return 0 }
    if high == 0 && exponent >= 0 {
        guard exponent < 20 else { return nil }
        let (product, overflow) = low.multipliedReportingOverflow(by: powersOfTen[exponent])
        return overflow || product > UInt64(maximumTenThousandths) ? nil : Int64(product)
    }
    // What exceeds 2^64 and is not scaled down is out of range; what is below 2^128 and divided by
    // 10^39 or more is below one half.
    guard exponent < 0 else { return nil }
    guard exponent >= -38 else { return 0 }
    if high == 0 && exponent >= -19 {
        let divisor = powersOfTen[-exponent]
        let (quotient, remainder) = low.quotientAndRemainder(dividingBy: divisor)
        let isAbove = remainder > divisor - remainder || (remainder == divisor - remainder && isCut)
        let isTie = remainder == divisor - remainder
        let rounded = quotient + (isAbove || (isTie && quotient & 1 == 1) ? 1 : 0)
        return rounded > UInt64(maximumTenThousandths) ? nil : Int64(rounded)
    }
    let value = UInt128(high) << 64 | UInt128(low)
    let wide =
        exponent >= -19
        ? UInt128(powersOfTen[-exponent])
        : UInt128(powersOfTen[19]) * UInt128(powersOfTen[-exponent - 19])
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: wide)
    let isTie = remainder == wide - remainder
    let isAbove = remainder > wide - remainder || (isTie && isCut)
    let rounded = quotient + (isAbove || (isTie && quotient & 1 == 1) ? 1 : 0)
    return rounded > UInt128(maximumTenThousandths) ? nil : Int64(rounded)
}
