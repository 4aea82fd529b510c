/// Why a model cannot be fitted or applied. Messages name rows and columns by number or feature
/// name, never customers.
package enum ModelError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A column of a table that a model cannot take as it is.
    case badColumn(name: String, reason: String)
    /// A model in another program's text that cannot be read.
    case badModelText(line: Int, reason: String)
    /// Two inputs that must have the same size do not.
    case countMismatch(what: String, actual: Int, expected: Int)
    /// Nothing to fit on.
    case noRows(model: String)
    /// A customer's counts and days contradict each other.
    case impossibleHistory(row: Int, reason: String)
    /// A value is NaN or infinite.
    case nonFiniteValue(what: String, row: Int, column: Int)
    /// A parameter or value is outside its allowed range.
    case outOfRange(what: String, actual: Double, allowed: String)
    /// The data say nothing about a parameter: its likelihood has no maximum.
    case notIdentified(model: String, reason: String)
    /// The normal equations of a row have no unique solution.
    case singularSystem(what: String, row: Int)
    /// A setting names a parameter that the model does not have.
    case unknownParameter(model: String, parameter: String, known: [String])
    /// More classes than rows that single precision can tell apart.
    case tooFewDistinctRows(model: String, actual: Int, needed: Int)
    /// More classes than rows.
    case tooFewRows(model: String, actual: Int, needed: Int)
    /// A source of rows failed while it was read.
    case unreadable(what: String, reason: String)

    package var description: String {
        switch self {
        case .badColumn(let name, let reason):
            "column \"\(name)\": \(reason)"
        case .badModelText(let line, let reason):
            "model text, line \(line): \(reason); write the model again, or use one of another kind"
        case .countMismatch(let what, let actual, let expected):
            """
            \(what): got \(actual), expected \(expected); give inputs that were made together, \
            each of the size that the others ask for
            """
        case .noRows(let model):
            "\(model): there are no rows to fit on; check the date range and the filters"
        case .impossibleHistory(let row, let reason):
            "customer history row \(row): \(reason)"
        case .nonFiniteValue(let what, let row, let column):
            """
            \(what): row \(row), column \(column) is NaN or infinite; mark the value as missing \
            or leave the column out
            """
        case .outOfRange(let what, let actual, let allowed):
            "\(what) is \(actual); allowed: \(allowed)"
        case .notIdentified(let model, let reason):
            "\(model) cannot be fitted: \(reason)"
        case .singularSystem(let what, let row):
            """
            \(what): the normal equations of row \(row) are singular; use a regularization \
            above 0 or fewer factors
            """
        case .unknownParameter(let model, let parameter, let known):
            "\(model) has no parameter \(parameter); it has: \(known.joined(separator: ", "))"
        case .tooFewDistinctRows(let model, let actual, let needed):
            """
            \(model): \(needed) classes need as many different rows, single precision can tell only \
            \(actual) apart; lower the class count or add features
            """
        case .tooFewRows(let model, let actual, let needed):
            """
            \(model): \(needed) rows are needed, there are \(actual); use a longer history \
            or, for segments, a smaller clusterCount
            """
        case .unreadable(let what, let reason):
            """
            \(what) cannot be read: \(reason); see that it is there and whole, or write it again
            """
        }
    }
}
