/// All that is wrong with a plan or another file of settings, in the order of its lines.
package struct PlanError: Error, Sendable, Equatable, CustomStringConvertible {
    package struct Problem: Sendable, Equatable, CustomStringConvertible {
        package enum Kind: String, Sendable, CaseIterable {
            /// Two settings that exclude each other.
            case contradiction
            /// A required setting is not there.
            case missing
            case outOfRange
            /// Not YAML, or a key written twice.
            case syntax
            /// The file as a whole, or a list in it, is larger than `PlanLimits` allows.
            case tooLarge
            case unknownKey
            /// A text that is none of the allowed ones, such as a time zone.
            case unknownValue
            case wrongType
        }

        package var kind: Kind
        /// From 1.
        package var line: Int
        /// From 1.
        package var column: Int
        package var what: String
        /// What to do about it; may be empty.
        package var hint: String

        package var description: String {
            "\(line):\(column): \(what)" + (hint.isEmpty ? "" : "; \(hint)")
        }
    }

    /// The file as the caller named it.
    package var path: String
    /// At least one.
    package var problems: [Problem]

    package var description: String {
        problems.map { "\(path):\($0)" }.joined(separator: "\n")
    }
}
