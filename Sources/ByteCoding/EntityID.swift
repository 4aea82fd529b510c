/// The id of a customer or a product as its source writes it. Integers sort before texts.
///
/// Two texts are the same id where their UTF-8 is the same, byte by byte, as in the store: texts that
/// only Unicode holds for equivalent (an accent of its own, and one in its letter) are two customers.
package enum EntityID: Hashable, Comparable, Sendable, CustomStringConvertible {
    case integer(Int64)
    case text(String)

    package var description: String {
        switch self {
        case .integer(let value): String(value)
        case .text(let value): value
        }
    }

    package static func == (a: EntityID, b: EntityID) -> Bool {
        switch (a, b) {
        case (.integer(let x), .integer(let y)): x == y
        case (.text(let x), .text(let y)): x.utf8.elementsEqual(y.utf8)
        default: false
        }
    }

    /// Equal ids have equal hashes; so have texts that only Unicode holds for equivalent.
    package func hash(into hasher: inout Hasher) {
        switch self {
        case .integer(let value): hasher.combine(value)
        case .text(let value): hasher.combine(value)
        }
    }

    package static func < (a: EntityID, b: EntityID) -> Bool {
        switch (a, b) {
        case (.integer(let x), .integer(let y)): x < y
        case (.integer, .text): true
        case (.text, .integer): false
        case (.text(let x), .text(let y)): x.utf8.lexicographicallyPrecedes(y.utf8)
        }
    }
}

/// A column of ids, all of one kind.
package enum IDColumn: Sendable, Equatable {
    case integers([Int64])
    case texts(TextArray)

    package var count: Int {
        switch self {
        case .integers(let values): values.count
        case .texts(let values): values.count
        }
    }

    package subscript(row: Int) -> EntityID {
        switch self {
        case .integers(let values): .integer(values[row])
        case .texts(let values): .text(values[row])
        }
    }

    /// Whether id `i` sorts before id `j`: numeric order, or bytewise order of the UTF-8.
    package func precedes(_ i: Int, _ j: Int) -> Bool {
        switch self {
        case .integers(let values): values[i] < values[j]
        case .texts(let values): values.precedes(i, values, j)
        }
    }

    /// Whether id `i` sorts before id `j` of another column; false for columns of different kinds.
    package func precedes(_ i: Int, _ other: IDColumn, _ j: Int) -> Bool {
        switch (self, other) {
        case (.integers(let a), .integers(let b)): a[i] < b[j]
        case (.texts(let a), .texts(let b)): a.precedes(i, b, j)
        default: false
        }
    }

    /// Adds the ids of another column in place.
    /// - Returns: false, and nothing is added, where they are of another kind.
    package mutating func append(contentsOf other: IDColumn) -> Bool {
        // The column must not hold the array too while it grows, or growing would copy it.
        switch other {
        case .integers(let more):
            guard case .integers(var ids) = self else { return false }
            self = .integers([])
            ids += more
            self = .integers(ids)
        case .texts(let more):
            guard case .texts(var ids) = self else { return false }
            self = .integers([])
            ids.append(contentsOf: more)
            self = .texts(ids)
        }
        return true
    }

    /// The ids of consecutive rows.
    package func slice(_ rows: Range<Int>) -> IDColumn {
        switch self {
        case .integers(let values): .integers(Array(values[rows]))
        case .texts(let values): .texts(values.slice(rows))
        }
    }

    package func gather(_ indices: [Int]) -> IDColumn {
        switch self {
        case .integers(let values): .integers(indices.map { values[$0] })
        case .texts(let values): .texts(values.gather(indices))
        }
    }
}
