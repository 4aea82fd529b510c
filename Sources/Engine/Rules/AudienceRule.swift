import ColumnStore

/// Which customers are meant, by their score columns: `lifetime_value >= 100 and not
/// value_segment in ("Sleeping", 4)`.
///
///     rule       or
///     or         and { "or" and }
///     and        not { "and" not }
///     not        "not" not  |  "(" or ")"  |  "all"  |  comparison
///     comparison column ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
///                column [ "not" ] "between" value "and" value      both included
///                column [ "not" ] "in" "(" value { "," value } ")"
///                column "is" [ "not" ] "missing"
///     column     a name as DESCRIBE has it
///     value      a number, or the name of a segment or tier in quotes
///
/// A comparison with a missing value is neither true nor false; `and`, `or` and `not` treat that as
/// SQL does (Kleene's three values), and a customer is meant where the whole is true.
package struct AudienceRule: Sendable, Equatable {
    indirect enum Node: Sendable, Equatable {
        case all
        case compare(field: Int, Test)
        case isMissing(field: Int)
        case not(Node)
        case both([Node])
        case either([Node])
    }

    /// A comparison of one value.
    enum Test: Sendable, Equatable {
        case less(Double)
        case atMost(Double)
        case more(Double)
        case atLeast(Double)
        case equal(Double)
        case unequal(Double)
        /// Both included.
        case between(Double, Double)
        /// Ascending.
        case among([Double])
    }

    let root: Node
    /// Positions of the columns that it reads among those of the snapshot, each once; what the nodes
    /// call a field is a place in here.
    let columns: [Int]
}

/// Why a text is no rule for a snapshot.
package struct RuleFlaw: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong.
    package var text: String
    /// What to do about it; may be empty.
    package var hint: String
    /// Where in the UTF-8 of the rule.
    package var byteOffset: Int

    package var description: String {
        "the rule at byte \(byteOffset): \(text)\(hint.isEmpty ? "" : "; \(hint)")"
    }
}
