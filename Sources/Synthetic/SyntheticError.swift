package import ColumnStore

/// Why a retailer could not be generated.
package enum SyntheticError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The folder could not be made.
    case folder(SystemError)
    /// A parameter outside its range.
    case parameter(name: String, actual: String, allowed: String)
    /// A file could not be written; none of the generated files is complete.
    case writing(StoreError)

    package var description: String {
        switch self {
        case .folder(let error): "the output folder could not be made: \(error)"
        case .parameter(let name, let actual, let allowed):
            "\(name) is \(actual); it must be \(allowed)"
        case .writing(let error): "the generated files could not be written: \(error)"
        }
    }
}
