package import Ingest

/// How a table of contracts is read and what is fitted to it.
package struct ContractOptions: Sendable {
    package enum Model: String, Codable, CaseIterable, Sendable {
        case logistic
        case trees
    }

    package var format = TextFormat()
    package var outcome: OutcomeColumn
    /// Names the contracts; nil: they go by their line.
    package var id: String?
    /// How long each contract has run, in any unit; 0 and above.
    package var duration: String?
    package var ignored: [String] = []
    /// Columns that must hold numbers.
    package var numbers: [String] = []
    /// Columns whose numbers are names, such as area codes.
    package var texts: [String] = []
    package var model = Model.trees
    /// 2 up to the contracts of the rarer outcome.
    package var foldCount = 5
    /// Reasons a contract, 0 and above.
    package var reasonCount = 3
    package var seed: UInt64 = 1

    package init(outcome: OutcomeColumn) { self.outcome = outcome }

    /// The mapping of the file; options give the roles their names.
    var mapping: TableMapping {
        var uses = [TableMapping.Use(outcome.column, .texts, role: "--outcome")]
        if let id { uses.append(.init(id, .id, role: "--id")) }
        if let duration { uses.append(.init(duration, .numbers, role: "--duration")) }
        uses += ignored.map { .init($0, .ignored, role: "--ignore") }
        uses += numbers.filter { $0 != duration }.map { .init($0, .numbers, role: "--numbers") }
        uses += texts.map { .init($0, .texts, role: "--texts") }
        return TableMapping(format: format, uses: uses)
    }
}

/// The column that says who left, and what it says of those: `Churn=Yes`, or `Churn` for a column of
/// 0 and 1.
package struct OutcomeColumn: Sendable, Equatable {
    package let column: String
    /// Nil: 1 is who left.
    package let value: String?

    package init(column: String, value: String? = nil) {
        self.column = column
        self.value = value
    }

    /// Reads `Column=Value` or `Column`; nil without a column or with an empty value.
    package init?(_ text: String) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard let column = parts.first, !column.isEmpty, parts.count == 1 || !parts[1].isEmpty
        else { return nil }
        self.init(column: String(column), value: parts.count == 2 ? String(parts[1]) : nil)
    }

    package var text: String { column + "=" + (value ?? "1") }
}
