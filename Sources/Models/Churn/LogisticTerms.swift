/// One number of a row in a logistic regression, made from one column.
package struct LogisticTerm: Codable, Equatable, Sendable {
    package enum Kind: Codable, Equatable, Sendable {
        /// The number; where it is missing, the mean of the others.
        case number
        /// 1 where the value is missing, else 0.
        case missing
        /// 1 where the category has this code, else 0. The most frequent category has no term: the
        /// others are compared with it, and a category that training has not seen counts as it.
        case category(code: Int32)
    }

    /// "tenure", "tenure is missing", "contract = Two year".
    package let name: String
    /// Of the schema.
    package let column: Int
    package let kind: Kind
    /// Weighted, over the training rows; what a missing number counts as.
    package internal(set) var mean: Double
    /// Weighted standard deviation over the training rows; 0 for a constant.
    package internal(set) var deviation: Double

    /// The term's number in a row.
    func value(_ row: Int, _ values: PredictorTable.Values) -> Double {
        switch (kind, values) {
        case (.number, .numbers(let all)):
            let value = all[row]
            return value.isNaN ? mean : Double(value)
        case (.missing, .numbers(let all)): return all[row].isNaN ? 1 : 0
        case (.missing, .categories(let codes, _)): return codes[row] < 0 ? 1 : 0
        case (.category(let code), .categories(let codes, _)): return codes[row] == code ? 1 : 0
        case (.number, .categories), (.category, .numbers): return 0
        }
    }

    /// The value in standard deviations from the mean.
    func standardized(_ row: Int, _ values: PredictorTable.Values) -> Double {
        deviation > 0 ? (value(row, values) - mean) / deviation : 0
    }

    /// All terms of a table, with their means and deviations.
    /// - Throws: `badColumn` for an infinite number.
    static func all(
        _ table: PredictorTable, _ outcome: ChurnOutcome
    ) throws(ModelError) -> [LogisticTerm] {
        var terms: [LogisticTerm] = []
        for (index, column) in table.columns.enumerated() {
            func add(_ name: String, _ kind: Kind) {
                terms.append(
                    LogisticTerm(name: name, column: index, kind: kind, mean: 0, deviation: 0))
            }
            switch column.values {
            case .numbers(let values):
                if let row = values.firstIndex(where: { $0.isInfinite }) {
                    throw .badColumn(
                        name: column.name,
                        reason: "row \(row) is infinite; give a finite number or none")
                }
                add(column.name, .number)
                if values.contains(where: \.isNaN) { add("\(column.name) is missing", .missing) }
            case .categories(let codes, let names):
                var weights = [Double](repeating: 0, count: names.count)
                for (row, code) in codes.enumerated() where code >= 0 {
                    weights[Int(code)] += outcome.weight(row)
                }
                let reference = weights.indices.max {
                    (weights[$0], -$0) < (weights[$1], -$1)
                }
                for code in names.indices where code != reference && weights[code] > 0 {
                    add("\(column.name) = \(names[code])", .category(code: Int32(code)))
                }
                if codes.contains(where: { $0 < 0 }) { add("\(column.name) is missing", .missing) }
            }
            for place in terms.indices where terms[place].column == index {
                terms[place].measure(column.values, outcome)
            }
        }
        return terms
    }

    private mutating func measure(_ values: PredictorTable.Values, _ outcome: ChurnOutcome) {
        var (sum, weights) = (0.0, 0.0)
        for row in outcome.labels.indices {
            if case .number = kind, case .numbers(let all) = values, all[row].isNaN { continue }
            sum += outcome.weight(row) * value(row, values)
            weights += outcome.weight(row)
        }
        mean = weights > 0 ? sum / weights : 0
        (sum, weights) = (0, 0)
        var largest = 0.0
        for row in outcome.labels.indices where outcome.weight(row) > 0 {
            let value = value(row, values)
            sum += outcome.weight(row) * (value - mean) * (value - mean)
            weights += outcome.weight(row)
            largest = max(largest, abs(value))
        }
        let deviation = weights > 0 ? (sum / weights).squareRoot() : 0
        // Below this the differences are rounding of a constant.
        self.deviation = deviation > 1e-9 * max(largest, 1e-30) ? deviation : 0
    }
}
