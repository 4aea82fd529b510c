/// A column of a delimited file: by the name in its header line, or by position from 1.
package enum ColumnReference: Sendable, Hashable, CustomStringConvertible {
    case name(String)
    case number(Int)

    package var description: String {
        switch self {
        case .name(let name): "`\(name)`"
        case .number(let number): "number \(number)"
        }
    }
}

/// What separates the fields of a line.
package enum Delimiter: String, Sendable, Codable, CaseIterable {
    /// Any run of spaces and tabs; those before the first and after the last field do not count.
    case blanks
    case comma
    case semicolon
    case tab

    /// The separating byte; a space for `blanks`.
    var byte: UInt8 {
        switch self {
        case .blanks: UInt8(ascii: " ")
        case .comma: UInt8(ascii: ",")
        case .semicolon: UInt8(ascii: ";")
        case .tab: UInt8(ascii: "\t")
        }
    }
}

/// The byte between a number's whole and its fraction. There is no thousands separator.
package enum DecimalSign: String, Sendable, Codable, CaseIterable {
    case comma = ","
    case point = "."

    var byte: UInt8 {
        switch self {
        case .comma: UInt8(ascii: ",")
        case .point: UInt8(ascii: ".")
        }
    }
}

/// How the time of a purchase is written. All years lie in `Limits.years`; a reading without an
/// offset is wall-clock time in the plan's time zone, and a bare date means its first second.
package enum DateFormat: String, Sendable, Codable, CaseIterable {
    /// `14/3/2026`, `14-03-2026` or `14.03.2026`, then optionally a blank or `T` and `H:mm[:ss]`.
    case dayMonthYear = "d/M/y"
    /// Whole seconds since 1970-01-01T00:00Z; a fraction is cut towards the past.
    case epochSeconds
    /// `2026-03-14`, then optionally a blank or `T` and `HH:mm[:ss[.fraction]]`, then optionally
    /// `Z`, `±hh:mm`, `±hhmm` or `±hh`. A fraction of a second is cut.
    case iso8601
    /// As `dayMonthYear` with the month first.
    case monthDayYear = "M/d/y"
    /// `20260314`.
    case yearMonthDay = "yyyyMMdd"
}

/// Whether ids are kept as text or as whole numbers, where `17850.0` and `017850` are 17850.
package enum IDKind: String, Sendable, Codable, CaseIterable {
    case integer
    case text
}

/// A column of ids and what they are.
package struct IDReference: Sendable, Equatable {
    package var column: ColumnReference
    package var kind: IDKind

    package init(_ column: ColumnReference, kind: IDKind = .text) {
        self.column = column
        self.kind = kind
    }
}

/// A column of times and how they are written.
package struct TimeReference: Sendable, Equatable {
    package var column: ColumnReference
    package var format: DateFormat

    package init(_ column: ColumnReference, format: DateFormat = .iso8601) {
        self.column = column
        self.format = format
    }
}

/// Where the amount of a purchase line comes from.
package enum AmountSource: Sendable, Equatable {
    /// The amount itself. Zero is an amount: the line is an order of nothing paid.
    case amount(ColumnReference)
    /// Quantity x unit price, computed exactly and rounded once. A price of zero or less is
    /// `RejectReason.nonPositivePrice`; a negative quantity is a return.
    case quantityTimesPrice(quantity: ColumnReference, unitPrice: ColumnReference)
}

/// Where the margin of a purchase line comes from.
package enum MarginSource: Sendable, Equatable {
    /// The cost of the line (of all its items): margin = amount − cost.
    case cost(ColumnReference)
    /// The margin of the line.
    case margin(ColumnReference)
}

/// The shape of a delimited file, and what to make of lines that cannot be used.
package struct TextFormat: Sendable, Equatable {
    package var delimiter: Delimiter
    /// Whether the first line names the columns. Without it columns are referred to by number.
    package var hasHeader: Bool
    package var decimalSign: DecimalSign
    /// The share of rejected lines above which a file is refused, 0…1; set-aside ones do not count.
    package var maximumRejectShare: Double
    /// Reasons that are expected in this data: a line all of whose reasons are among them is left
    /// out like a rejected one, but does not count towards `maximumRejectShare`.
    package var setAside: Set<RejectReason>

    package init(
        delimiter: Delimiter = .comma, hasHeader: Bool = true, decimalSign: DecimalSign = .point,
        maximumRejectShare: Double = 0.05, setAside: Set<RejectReason> = []
    ) {
        self.delimiter = delimiter
        self.hasHeader = hasHeader
        self.decimalSign = decimalSign
        self.maximumRejectShare = maximumRejectShare
        self.setAside = setAside
    }
}

/// How a file of purchase lines is read.
package struct PurchaseMapping: Sendable, Equatable {
    package var format: TextFormat
    package var customerID: IDReference
    package var time: TimeReference
    package var amount: AmountSource
    /// Beside `AmountSource.amount` only; the other source already has a quantity. A line whose
    /// quantity is empty counts as one item.
    package var quantity: ColumnReference?
    package var margin: MarginSource?
    package var orderID: ColumnReference?
    package var product: ColumnReference?
    package var category: ColumnReference?
    package var promotion: ColumnReference?
    package var channel: ColumnReference?

    package init(
        format: TextFormat = TextFormat(), customerID: IDReference, time: TimeReference,
        amount: AmountSource
    ) {
        self.format = format
        self.customerID = customerID
        self.time = time
        self.amount = amount
    }
}

/// What the values of an attribute are.
package enum AttributeKind: Sendable, Equatable {
    /// Degrees north, -90…90.
    case latitude
    /// Degrees east, -180…180.
    case longitude
    /// A finite number.
    case number
    /// One of some texts in order, lowest first: the first is the number 1, the next one 2.
    case ordinal(levels: [String])
    /// Several texts in one field between `separator` bytes (one ASCII byte), such as `golf;wine`.
    case set(separator: UInt8)
    case text

    /// Whether its values are numbers once they are read.
    package var isNumeric: Bool {
        switch self {
        case .latitude, .longitude, .number, .ordinal: true
        case .set, .text: false
        }
    }

    /// Largest distance from 0; nil for any.
    package var largestMagnitude: Double? {
        switch self {
        case .latitude: 90
        case .longitude: 180
        case .number, .ordinal, .set, .text: nil
        }
    }
}

/// An attribute of a customer or product: its name in Patron, its column, its kind.
package struct AttributeMapping: Sendable, Equatable {
    package var name: String
    package var column: ColumnReference
    package var kind: AttributeKind
    /// Whether its numbers are margin rates: `Limits.marginRates`.
    package var isMarginRate = false

    package init(name: String, column: ColumnReference, kind: AttributeKind) {
        self.name = name
        self.column = column
        self.kind = kind
    }
}

/// How a file of customers or products is read.
package struct EntityMapping: Sendable, Equatable {
    package var format: TextFormat
    /// Nil for the number of the line in the file, from 1, the header counted: an integer.
    package var id: IDReference?
    package var attributes: [AttributeMapping]

    package init(
        format: TextFormat = TextFormat(), id: IDReference?, attributes: [AttributeMapping] = []
    ) {
        self.format = format
        self.id = id
        self.attributes = attributes
    }
}
