/// What is known of each customer at one time: named columns of numbers and of categories, all with
/// the same rows. A value that is not known is missing, never zero.
package struct PredictorTable: Sendable, Equatable {
    package struct Column: Sendable, Equatable {
        package var name: String
        package var values: Values

        /// Numbers; NaN is missing, infinities are values.
        package init(_ name: String, numbers: [Float]) {
            self.name = name
            values = .numbers(numbers)
        }

        /// - Parameters:
        ///   - codes: indices into `categories`; below 0 is missing.
        package init(_ name: String, codes: [Int32], categories: [String]) {
            self.name = name
            values = .categories(codes: codes, names: categories)
        }

        var kind: PredictorKind {
            switch values {
            case .numbers: .number
            case .categories(_, let names): .category(names)
            }
        }
    }

    package enum Values: Sendable, Equatable {
        case numbers([Float])
        case categories(codes: [Int32], names: [String])

        package var count: Int {
            switch self {
            case .numbers(let values): values.count
            case .categories(let codes, _): codes.count
            }
        }
    }

    package let columns: [Column]
    package let rowCount: Int

    /// - Parameter columns: of equal counts, with different names; codes below their categories'
    ///   count; different category names.
    /// - Throws: `countMismatch`, `badColumn`.
    package init(_ columns: [Column]) throws(ModelError) {
        rowCount = columns.first?.values.count ?? 0
        var names: Set<String> = []
        for column in columns {
            try requireCount(column.values.count, rowCount, "rows of column \"\(column.name)\"")
            guard names.insert(column.name).inserted else {
                throw .badColumn(name: column.name, reason: "two columns have this name")
            }
            guard case .categories(let codes, let categories) = column.values else { continue }
            guard Set(categories).count == categories.count else {
                throw .badColumn(name: column.name, reason: "two of its categories have one name")
            }
            if let row = codes.firstIndex(where: { $0 >= Int32(clamping: categories.count) }) {
                throw .badColumn(
                    name: column.name,
                    reason: """
                        row \(row) has the code \(codes[row]), but there are \
                        \(categories.count) categories; use -1 for a missing one
                        """)
            }
        }
        self.columns = columns
    }

    package var schema: [PredictorColumn] {
        columns.map { PredictorColumn(name: $0.name, kind: $0.kind) }
    }

    /// The rows named by `rows`, in that order.
    package func rows(_ rows: [Int]) -> PredictorTable {
        PredictorTable(
            taken: columns.map { column in
                switch column.values {
                case .numbers(let values):
                    Column(column.name, numbers: rows.map { values[$0] })
                case .categories(let codes, let names):
                    Column(column.name, codes: rows.map { codes[$0] }, categories: names)
                }
            }, rowCount: rows.count)
    }

    /// The columns that a model was fitted on, by name, in its order and with its category codes;
    /// a category that the model has not seen gets a code that it has no category of.
    /// - Throws: `badColumn` where one is absent or of the other kind.
    package func matched(to schema: [PredictorColumn]) throws(ModelError) -> PredictorTable {
        var places: [String: Int] = [:]
        for (index, column) in columns.enumerated() { places[column.name] = index }
        var taken: [Column] = []
        for wanted in schema {
            guard let place = places[wanted.name] else {
                throw .badColumn(
                    name: wanted.name, reason: "the model was fitted with it; it is not here")
            }
            let column = columns[place]
            switch (wanted.kind, column.values) {
            case (.number, .numbers):
                taken.append(column)
            case (.category(let known), .categories(let codes, let names)):
                taken.append(
                    known == names
                        ? column
                        : Column(
                            column.name, codes: Self.recoded(codes, from: names, to: known),
                            categories: known))
            case (.number, .categories):
                throw .badColumn(
                    name: wanted.name,
                    reason: "the model was fitted with numbers, here are categories")
            case (.category, .numbers):
                throw .badColumn(
                    name: wanted.name,
                    reason: "the model was fitted with categories, here are numbers")
            }
        }
        return PredictorTable(taken: taken, rowCount: rowCount)
    }

    private static let unseenCategory = Int32.max

    private init(taken columns: [Column], rowCount: Int) {
        self.columns = columns
        self.rowCount = rowCount
    }

    private static func recoded(
        _ codes: [Int32], from names: [String], to known: [String]
    ) -> [Int32] {
        var numbers: [String: Int32] = [:]
        for (code, name) in known.enumerated() { numbers[name] = Int32(code) }
        let moved = names.map { numbers[$0] ?? unseenCategory }
        return codes.map { $0 < 0 ? $0 : moved[Int($0)] }
    }
}

/// A column as a model knows it.
package struct PredictorColumn: Codable, Equatable, Sendable {
    package let name: String
    package let kind: PredictorKind

    package init(name: String, kind: PredictorKind) {
        self.name = name
        self.kind = kind
    }
}

package enum PredictorKind: Codable, Equatable, Sendable {
    case number
    /// The names of the codes 0, 1, ….
    case category([String])
}

/// Whether each customer left, and how much each counts.
package struct ChurnOutcome: Sendable, Equatable {
    /// True for a customer who left.
    package let labels: [Bool]
    /// Of each row, 0 or 1e-30 ... 1e30; nil: all 1.
    package let weights: [Double]?

    /// - Throws: `countMismatch`; `outOfRange` for a weight that is not allowed; `nonFiniteValue`.
    package init(_ labels: [Bool], weights: [Double]? = nil) throws(ModelError) {
        if let weights {
            try requireCount(weights.count, labels.count, "weights")
            if let row = weights.firstIndex(where: { !$0.isFinite }) {
                throw .nonFiniteValue(what: "weights", row: row, column: 0)
            }
            let allowed = 1e-30...1e30
            if let row = weights.firstIndex(where: { $0 != 0 && !allowed.contains($0) }) {
                throw .outOfRange(
                    what: "the weight of row \(row)", actual: weights[row],
                    allowed: "0 or 1e-30 ... 1e30")
            }
        }
        self.labels = labels
        self.weights = weights
    }

    /// From numbers: 1 for a customer who left, 0 for one who stayed.
    /// - Throws: as above; `nonFiniteValue` for NaN, `outOfRange` for any other number.
    package init(numbers: [Float], weights: [Double]? = nil) throws(ModelError) {
        for (row, value) in numbers.enumerated() where value != 0 && value != 1 {
            guard value.isFinite else {
                throw .nonFiniteValue(what: "churn labels", row: row, column: 0)
            }
            throw .outOfRange(
                what: "the churn label of row \(row)", actual: Double(value), allowed: "0 or 1")
        }
        try self.init(numbers.map { $0 == 1 }, weights: weights)
    }

    package var rowCount: Int { labels.count }

    package func weight(_ row: Int) -> Double { weights?[row] ?? 1 }

    /// The rows named by `rows`, in that order.
    package func rows(_ rows: [Int]) -> ChurnOutcome {
        ChurnOutcome(taken: rows.map { labels[$0] }, weights.map { all in rows.map { all[$0] } })
    }

    private init(taken labels: [Bool], _ weights: [Double]?) {
        self.labels = labels
        self.weights = weights
    }

    /// Checks what every supervised model needs of its training rows.
    /// - Throws: `countMismatch`, `noRows`, `tooFewRows`, `notIdentified` where all with a weight
    ///   have one label.
    func requireFit(_ table: PredictorTable, model: String) throws(ModelError) {
        try requireCount(rowCount, table.rowCount, "churn labels")
        guard rowCount > 0 else { throw .noRows(model: model) }
        guard rowCount > 1 else { throw .tooFewRows(model: model, actual: 1, needed: 2) }
        guard !table.columns.isEmpty else {
            throw .notIdentified(model: model, reason: "the table has no columns")
        }
        var (left, stayed) = (0.0, 0.0)
        for row in labels.indices {
            if labels[row] { left += weight(row) } else { stayed += weight(row) }
        }
        guard left > 0, stayed > 0 else {
            let which = left > 0 ? "left" : stayed > 0 ? "stayed" : "have the weight 0"
            throw .notIdentified(
                model: model,
                reason: """
                    all customers \(which), so nothing tells who leaves; \
                    choose another period or label
                    """)
        }
    }
}
