import Wire

/// What a credential allows.
package struct Scopes: OptionSet, Sendable, Hashable, CustomStringConvertible {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// All look-ups, reports and streams.
    package static let read = Scopes(rawValue: 1 << 0)
    /// Scores of features that are not in the store.
    package static let score = Scopes(rawValue: 1 << 1)
    /// New purchases.
    package static let append = Scopes(rawValue: 1 << 2)
    /// Whatever changes the server or what it serves.
    package static let admin = Scopes(rawValue: 1 << 3)
    /// The end of customers: who may append may not erase.
    package static let erase = Scopes(rawValue: 1 << 4)

    package static let all: Scopes = [.read, .score, .append, .erase, .admin]

    private static let names: [(name: String, scope: Scopes)] = [
        ("read", .read), ("score", .score), ("append", .append), ("erase", .erase),
        ("admin", .admin),
    ]

    /// Reads names with commas between; nil where one is none of `read`, `score`, `append`, `erase`,
    /// `admin`.
    package init?(parsing text: String) {
        self = []
        for name in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let found = Self.names.first(where: { $0.name == name }) else { return nil }
            insert(found.scope)
        }
    }

    /// As a file of tokens has them: `read,score`.
    package var description: String {
        Self.names.filter { contains($0.scope) }.map(\.name).joined(separator: ",")
    }

    /// What an operation needs; empty for those that belong to every connection.
    static func needed(for opcode: Opcode) -> Scopes {
        switch opcode {
        case .hello, .ping, .goAway, .credit, .cancel, .progress: []
        case .score: .score
        case .describe, .lookup, .topProducts, .topCustomers, .similar, .explain, .segments,
            .segmentProfiles, .offerProducts, .offerCustomers, .count, .audience, .scan:
            .read
        case .append: .append
        case .erase: .erase
        case .models, .snapshot, .publish, .stats, .drain, .shadow: .admin
        }
    }
}
