/// Why a line is left out. The raw value is what the plan, the rejects file and reports say.
package enum RejectReason: String, Sendable, Codable, CaseIterable, CodingKeyRepresentable {
    /// An amount, quantity, unit price, margin or cost beyond `Limits.amountUnits`.
    case amountOutOfRange
    /// A latitude outside -90…90 or a longitude outside -180…180 degrees.
    case coordinateOutOfRange
    /// An id that an earlier line of the same file of customers or products has; the first wins.
    case duplicateID
    /// An id that is no whole number where the mapping says integer, or longer than
    /// `Limits.idByteCount`.
    case invalidID
    /// Bytes that are no UTF-8, in any column.
    case invalidUTF8
    /// A line longer than `Limits.lineByteCount`.
    case lineTooLong
    /// Bytes between a closing quote and the next delimiter.
    case malformedQuote
    /// A margin rate of a product outside `Limits.marginRates`; percentages end here.
    case marginRateOutOfRange
    /// An empty amount, quantity (where the amount is computed) or unit price.
    case missingAmount
    /// An empty customer id in a file of purchase lines.
    case missingCustomerID
    /// An empty id in a file of customers or products.
    case missingID
    /// An empty margin or cost where one is mapped.
    case missingMargin
    /// An empty time.
    case missingTime
    /// A unit price of zero or less.
    case nonPositivePrice
    /// A NUL byte, in any column.
    case nulByte
    /// A text longer than `Limits.textByteCount` in a mapped column.
    case textTooLong
    /// A time outside `Limits.years`; epoch times in milliseconds end here.
    case timeOutOfRange
    /// A text that is none of the levels of an ordinal attribute.
    case unknownLevel
    /// A number that cannot be read as one; `NaN` and `inf` are among these.
    case unparseableNumber
    /// A time that the mapping's format does not describe, or a day that does not exist.
    case unparseableTime
    /// A quote that no later one closes, or that closes so late that the record has the wrong
    /// number of fields; reading goes on at the next physical line.
    case unterminatedQuote
    /// More or fewer fields than the header (without one: than the first line).
    case wrongFieldCount

    /// The limit that was passed, as a note for messages; empty where the reason is none of size.
    var limitNote: String {
        switch self {
        case .amountOutOfRange: " (at most ±\(Limits.amountUnits))"
        case .coordinateOutOfRange: " (latitude -90 to 90, longitude -180 to 180 degrees)"
        case .lineTooLong: " (at most \(Limits.lineByteCount) bytes)"
        case .marginRateOutOfRange:
            " (margin / price, -1 to 1: 30 percent is 0.3)"
        case .textTooLong: " (at most \(Limits.textByteCount) bytes)"
        case .timeOutOfRange:
            " (years \(Limits.years.lowerBound) to \(Limits.years.upperBound))"
        default: ""
        }
    }

    /// What is wrong and what to do, where one line is the whole message; nil where the name of the
    /// reason says it.
    var advice: String? {
        switch self {
        case .invalidID:
            "the id is longer than \(Limits.idByteCount) bytes; name another column as the id"
        case .invalidUTF8: "the bytes are no UTF-8; convert the file first"
        case .malformedQuote:
            "bytes follow a closing quote; double the quotes inside a field"
        case .missingID: "the id is empty; fill it in, or name another column as the id"
        case .unparseableNumber:
            "the field is no number; correct it, or leave it empty where the value is not known"
        case .unterminatedQuote:
            "a quote is not closed; close it, or double the quotes inside a field"
        default: nil
        }
    }
}
