package import Units

/// Why features could not be computed. Nothing here carries a customer's data: rows are positions.
package enum FeatureError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The amounts of one customer add up to more than 64 bits of ten-thousandths.
    case amountsTooLarge(column: String, customerRow: Int)
    /// The as-of day lies before the first purchase of the whole history.
    case asOfBeforeFirstPurchase(asOf: CalendarDay, firstPurchase: CalendarDay)
    /// A latitude or longitude that is no place on the globe.
    case coordinateOutOfRange(attribute: String, row: Int, limit: Double)
    /// An id that must be unique occurs twice.
    case duplicateID(table: String, row: Int)
    /// One table's ids are integers and the other's are texts.
    case idKindMismatch(table: String)
    /// Columns that do not fit together, or are not in the promised order.
    case inconsistentHistory(String)
    /// A history without any line.
    case noLines
    /// A history that holds returns only.
    case noPurchases
    /// More of something than positions of 32 bits can tell apart.
    case tooMany(what: String, actual: Int, limit: Int)
    /// A name that is neither a feature nor a group of features.
    case unknownFeature(name: String, nearest: String?)

    package var description: String {
        switch self {
        case .amountsTooLarge(let column, let row):
            "the \(column) of customer row \(row) add up to more than 9.2e14 currency units: "
                + "check the decimal sign and the column mapping"
        case .asOfBeforeFirstPurchase(let asOf, let first):
            "the as-of day \(asOf) lies before the first purchase on \(first): "
                + "choose \(first) or a later day"
        case .coordinateOutOfRange(let attribute, let row, let limit):
            "the attribute \(attribute) of row \(row) of the customers lies outside "
                + "±\(Int(limit)) degrees: correct it and ingest the file again"
        case .duplicateID(let table, let row):
            "the id in row \(row) of the \(table) table occurs twice: keep one row for each id"
        case .idKindMismatch(let table):
            "the ids of the \(table) table and of the purchases are not of one kind: "
                + "give both `type: integer` or both `type: text` in the plan"
        case .inconsistentHistory(let what):
            "the purchase history is inconsistent: \(what)"
        case .noLines:
            "there are no purchase lines: ingest a purchases file first"
        case .noPurchases:
            "all purchase lines are returns (negative amounts): "
                + "check which column is mapped to amount"
        case .tooMany(let what, let actual, let limit):
            "\(actual) \(what), at most \(limit): split the data into several workspaces"
        case .unknownFeature(let name, let nearest):
            "there is no feature or group named \(name)"
                + (nearest.map { "; the nearest name is \($0)" } ?? "")
        }
    }
}
