package import ByteCoding
package import Units

/// One feature of all customers of a table.
package struct FeatureColumn: Sendable, Equatable {
    package var name: String
    package var unit: FeatureUnit
    /// Finite; 0 where not valid.
    package var values: [Float]
    /// False where the feature is undefined for the customer; nil where it is defined for all.
    package var valid: [Bool]?

    package init(name: String, unit: FeatureUnit, values: [Float], valid: [Bool]? = nil) {
        self.name = name
        self.unit = unit
        self.values = values
        self.valid = valid
    }
}

/// The features of all customers who had a line by the as-of day, and nothing later.
package struct FeatureTable: Sendable {
    /// Ascending; one a row.
    package let customerIDs: IDColumn
    package let asOf: CalendarDay
    package let convention: OrderConvention
    package private(set) var columns: [FeatureColumn]
    /// Group name to the names of its columns, such as `hourShares`, `attribute.gender`.
    package let groups: [String: [String]]
    /// By name, such as `text.gender`, the values of text attributes that the table was told to
    /// hold as they are, one a row.
    package private(set) var texts: [String: CodedText]
    package private(set) var history: CustomerHistory
    /// The lines by the as-of day, returns included.
    package let lines: LineRange

    init(
        customerIDs: IDColumn, asOf: CalendarDay, convention: OrderConvention,
        columns: [FeatureColumn], groups: [String: [String]], texts: [String: CodedText] = [:],
        history: CustomerHistory, lines: LineRange
    ) {
        self.customerIDs = customerIDs
        self.asOf = asOf
        self.convention = convention
        self.columns = columns
        self.groups = groups
        self.texts = texts
        self.history = history
        self.lines = lines
    }

    /// Gives the memory of the columns and histories back once all that reads them is done; what
    /// else the table holds stays.
    package mutating func removeColumns() {
        columns = []
        texts = [:]
        history = CustomerHistory()
    }

    /// Adds columns that were not made of lines.
    /// - Parameter added: of as many values as the table has rows, of names that it does not have.
    package mutating func append(_ added: [FeatureColumn]) {
        for column in added {
            precondition(column.values.count == rowCount && self.column(named: column.name) == nil)
            columns.append(column)
        }
    }

    package var rowCount: Int { customerIDs.count }

    /// The column of that name; nil where there is none.
    package func column(named name: String) -> FeatureColumn? {
        columns.first { $0.name == name }
    }

    /// Whether the data may give a feature or group of this name that the table was told not to
    /// hold; false for the shares of a value that no line has.
    package func mayLack(_ name: String) -> Bool {
        !FeatureCatalog.isValueShare(name) || groups.values.contains { $0.contains(name) }
    }

    /// Which columns a list of names means.
    package struct Selection: Sendable, Equatable {
        /// Positions in `columns`, in the order of the names, each once.
        package var columnIndices: [Int] = []
        /// Names that exist but have no column or no valid value here: the plan maps no source for
        /// them (promotions, categories, channels, attributes), or no customer has one.
        package var unavailable: [String] = []
    }

    /// Resolves names of features and groups; an attribute may be named without its prefix.
    /// - Throws: `.unknownFeature` for a name that no data could give.
    package func selection(of names: [String]) throws(FeatureError) -> Selection {
        let indexOfName = Dictionary(
            columns.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
        let attributeNames = groups["attributes"] ?? []
        var selection = Selection()
        var seen: Set<Int> = []
        for name in names {
            let prefixed = FeatureCatalog.attributePrefix + name
            let members: [String]
            if indexOfName[name] != nil {
                members = [name]
            } else if let group = groups[name] ?? groups[prefixed] {
                members = group
            } else if indexOfName[prefixed] != nil {
                members = [prefixed]
            } else if FeatureCatalog.mayExist(name, attributeNames: []) {
                members = []
            } else {
                let known = FeatureCatalog.knownNames + attributeNames
                throw .unknownFeature(name: name, nearest: nearestName(to: name, among: known))
            }
            let usable = members.compactMap { indexOfName[$0] }.filter { index in
                columns[index].valid.map { $0.contains(true) } ?? true
            }
            if usable.isEmpty { selection.unavailable.append(name) }
            for index in usable where seen.insert(index).inserted {
                selection.columnIndices.append(index)
            }
        }
        return selection
    }
}

/// The candidate that differs from `name` in the fewest single-letter edits, capitals ignored; nil
/// where even the best one needs more than a third of the letters (at least 2) changed.
package func nearestName(to name: String, among candidates: [String]) -> String? {
    let wanted = Array(name.lowercased().unicodeScalars.prefix(100))
    var best: (distance: Int, name: String)?
    for candidate in candidates {
        let other = Array(candidate.lowercased().unicodeScalars.prefix(100))
        var row = Array(0...other.count)
        for (i, a) in wanted.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in other.enumerated() {
                let substituted = diagonal + (a == b ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, row[j] + 1, diagonal + 1)
            }
        }
        let distance = row[other.count]
        if best.map({ distance < $0.distance }) ?? true { best = (distance, candidate) }
    }
    guard let best, best.distance <= max(2, wanted.count / 3) else { return nil }
    return best.name
}
