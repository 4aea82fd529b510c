import ByteCoding
import Features
package import Models

/// How attributes of customers become the covariates of a lifetime model. Fixed at the training, so
/// that a customer is read in the same way ever after.
///
/// A number is a covariate as it is, held within the range that the training saw. A text has a base,
/// its most frequent value, and a 0/1 covariate for each other value that enough customers have; the
/// other values together have one, `(other)`. So have the customers without a value, `(missing)`.
/// Where too few are left for `(other)` or `(missing)`, they count as the base, or as the mean; so do
/// those whom the `(missing)` of an attribute named before already tells apart.
package struct CovariateEncoding: Codable, Equatable, Sendable {
    package enum Values: Codable, Equatable, Sendable {
        /// Of the customers of the training who have a value.
        case number(mean: Double, lowest: Double, highest: Double)
        /// `rare` are values of the training without a covariate of their own, the most frequent
        /// ones.
        case text(base: String, levels: [String], hasOther: Bool, rare: [String])
    }

    package struct Attribute: Codable, Equatable, Sendable {
        package let name: String
        package let values: Values
        /// Whether `(missing)` is a covariate.
        package let hasMissing: Bool
    }

    package let attributes: [Attribute]

    /// A value needs as many customers, and of them as many who came back, to have a covariate: of
    /// fewer an effect is all chance.
    static let fewestCustomers = 30
    static let fewestRepeatCustomers = 5
    static let levelLimit = 30
    static let columnLimit = 100
    private static let rareLimit = 1_000
    /// Larger numbers are refused: their squares are to be finite.
    private static let largestNumber = 1e30

    /// Covariates of customers, finite in every row, and what a reader must know of them.
    package struct Encoded: Sendable {
        package var columns: [CovariateColumn] = []
        package var notes: [String] = []
    }

    /// - Parameters:
    ///   - names: of attributes, distinct.
    ///   - eligible: rows of the training.
    /// - Throws: `badColumn` naming an attribute that is not there, is constant, or of several values
    ///   a customer, and for more than `columnLimit` covariates.
    init(
        _ names: [String], of table: JoinedAttributes, repeatPurchaseCount: [Int32],
        eligible: [Bool]
    ) throws(ModelError) {
        let sample = Sample(
            eligible: eligible.indices.filter { eligible[$0] },
            cameBack: repeatPurchaseCount.map { $0 > 0 })
        var attributes: [Attribute] = []
        // By attribute with `(missing)` the rows without a value.
        var missing: [Set<Int>] = []
        for name in names {
            let attribute: Attribute
            let hasValue: (Int) -> Bool
            switch try table.values(of: name) {
            case .number(let numbers, let valid):
                let values = table.rows.map { $0 >= 0 && valid[$0] ? numbers[$0] : nil }
                attribute = try Self.number(name, values, sample)
                hasValue = { values[$0] != nil }
            case .text(let text):
                let codes = table.codes(text)
                attribute = try Self.text(name, codes, text.values, sample)
                hasValue = { codes[$0] != CodedText.missing }
            case .set:
                throw Self.unusable(name, "a customer may have several of its values")
            }
            guard attribute.hasMissing else {
                attributes.append(attribute)
                continue
            }
            // Customers of whom nothing is known lack every attribute: one covariate tells of them.
            let rows = Set(sample.eligible.filter { !hasValue($0) })
            let isTold = missing.contains {
                !sample.isEnough(Array($0.symmetricDifference(rows)))
            }
            if !isTold { missing.append(rows) }
            attributes.append(
                Attribute(name: name, values: attribute.values, hasMissing: !isTold))
        }
        self.attributes = attributes
        let count = columnNames.count
        guard count <= Self.columnLimit else {
            throw .outOfRange(
                what: "covariates of lifetime.covariates", actual: Double(count),
                allowed: "up to \(Self.columnLimit): name fewer attributes, or of fewer values")
        }
    }

    /// Who is counted.
    private struct Sample {
        let eligible: [Int]
        let cameBack: [Bool]

        func isEnough(_ rows: [Int]) -> Bool {
            rows.count >= CovariateEncoding.fewestCustomers
                && rows.count { cameBack[$0] } >= CovariateEncoding.fewestRepeatCustomers
        }
    }

    private static func unusable(_ name: String, _ reason: String) -> ModelError {
        .badColumn(name: name, reason: "\(reason); leave it out of lifetime.covariates")
    }

    private static func number(
        _ name: String, _ values: [Double?], _ sample: Sample
    ) throws(ModelError) -> Attribute {
        let known = sample.eligible.compactMap { values[$0] }
        guard let first = known.first, known.count >= fewestCustomers else {
            throw unusable(name, "only \(known.count) customers have a value")
        }
        let (lowest, highest) = (known.min() ?? first, known.max() ?? first)
        guard max(abs(lowest), abs(highest)) <= largestNumber else {
            throw unusable(name, "it has numbers beyond \(largestNumber)")
        }
        guard lowest < highest else {
            throw unusable(name, "all customers have the value \(first)")
        }
        let mean = known.reduce(0, +) / Double(known.count)
        return Attribute(
            name: name,
            values: .number(
                mean: min(max(mean, lowest), highest), lowest: lowest, highest: highest),
            hasMissing: sample.isEnough(sample.eligible.filter { values[$0] == nil }))
    }

    private static func text(
        _ name: String, _ codes: [UInt32], _ values: TextArray, _ sample: Sample
    ) throws(ModelError) -> Attribute {
        // By text: two ways of writing a letter are one value.
        var places: [String: Int] = [:]
        var rows: [(level: String, rows: [Int])] = []
        var placeOfCode = [Int](repeating: -1, count: values.count)
        for row in sample.eligible where codes[row] != CodedText.missing {
            let code = Int(codes[row])
            if placeOfCode[code] < 0 {
                let level = values[code]
                placeOfCode[code] = places[level] ?? rows.count
                if places.updateValue(placeOfCode[code], forKey: level) == nil {
                    rows.append((level, []))
                }
            }
            rows[placeOfCode[code]].rows.append(row)
        }
        let ranked = rows.sorted {
            ($1.rows.count, $0.level) < ($0.rows.count, $1.level)
        }
        guard let base = ranked.first, sample.isEnough(base.rows) else {
            throw unusable(name, "too few customers have any one of its values")
        }
        let levels = ranked.dropFirst().filter { sample.isEnough($0.rows) }.prefix(levelLimit)
        let own = Set(levels.map(\.level))
        let rare = ranked.dropFirst().filter { !own.contains($0.level) }
        let attribute = Attribute(
            name: name,
            values: .text(
                base: base.level, levels: levels.map(\.level),
                hasOther: sample.isEnough(rare.flatMap(\.rows)),
                rare: rare.prefix(rareLimit).map(\.level)),
            hasMissing: sample.isEnough(
                sample.eligible.filter { codes[$0] == CodedText.missing }))
        guard !attribute.columnNames.isEmpty else {
            throw unusable(
                name, "all customers, or all but a few, have the value \"\(base.level)\"")
        }
        return attribute
    }

    // MARK: Use

    package var columnNames: [String] { attributes.flatMap(\.columnNames) }

    /// The covariates of the customers of a table.
    /// - Parameter eligible: who counts in the notes.
    /// - Throws: `badColumn` naming an attribute that is not there, or of another kind than at the
    ///   training.
    /// - Complexity: O(customers · columns).
    func encode(
        _ table: JoinedAttributes, eligible: [Bool]
    ) throws(ModelError) -> Encoded {
        var encoded = Encoded()
        for attribute in attributes {
            switch (attribute.values, try table.values(of: attribute.name)) {
            case (.number(let mean, let lowest, let highest), .number(let numbers, let valid)):
                var outside = 0
                let values = table.rows.indices.map { row -> Double? in
                    let source = table.rows[row]
                    guard source >= 0, valid[source] else { return nil }
                    let held = min(max(numbers[source], lowest), highest)
                    if held != numbers[source], eligible[row] { outside += 1 }
                    return held
                }
                if outside > 0 {
                    encoded.notes.append(
                        "\(attribute.name): \(outside) customers lie outside \(lowest) ... "
                            + "\(highest), the range of the training, and count as its nearer end")
                }
                encoded.columns.append(
                    CovariateColumn(name: attribute.name, values: values.map { $0 ?? mean }))
                encoded.addMissing(
                    attribute, values.map { $0 == nil }, eligible, otherwise: "the mean")
            case (.text(let base, let levels, let hasOther, let rare), .text(let text)):
                encoded.add(
                    attribute, table.codes(text), text.values, base: base, levels: levels,
                    hasOther: hasOther, rare: rare, eligible)
            default:
                throw .badColumn(
                    name: attribute.name,
                    reason: "its kind is another than at the training: train the model again")
            }
        }
        return encoded
    }
}

extension CovariateEncoding.Attribute {
    static let other = "(other)"
    static let missing = "(missing)"

    func columnName(_ level: String) -> String { "\(name)=\(level)" }

    var columnNames: [String] {
        let own =
            switch values {
            case .number: [name]
            case .text(_, let levels, let hasOther, _):
                (levels + (hasOther ? [Self.other] : [])).map(columnName)
            }
        return own + (hasMissing ? [columnName(Self.missing)] : [])
    }
}

extension CovariateEncoding.Encoded {
    private mutating func addIndicator(
        _ attribute: CovariateEncoding.Attribute, _ level: String, _ isIn: [Bool]
    ) {
        columns.append(
            CovariateColumn(
                name: attribute.columnName(level), values: isIn.map { $0 ? 1 : 0 },
                factor: attribute.name))
    }

    fileprivate mutating func addMissing(
        _ attribute: CovariateEncoding.Attribute, _ isMissing: [Bool], _ eligible: [Bool],
        otherwise: String
    ) {
        guard !attribute.hasMissing else {
            addIndicator(attribute, CovariateEncoding.Attribute.missing, isMissing)
            return
        }
        let count = isMissing.indices.count { isMissing[$0] && eligible[$0] }
        if count > 0 {
            notes.append(
                "\(attribute.name): \(count) customers without a value count as \(otherwise)")
        }
    }

    fileprivate mutating func add(
        _ attribute: CovariateEncoding.Attribute, _ codes: [UInt32], _ values: TextArray,
        base: String, levels: [String], hasOther: Bool, rare: [String], _ eligible: [Bool]
    ) {
        // By code the place among the levels; after them (other), -1 for the base.
        var places: [String: Int] = [base: -1]
        for (place, level) in levels.enumerated() { places[level] = place }
        let rest = hasOther ? levels.count : -1
        let known = Set(rare)
        var placeOfCode = [Int](repeating: -1, count: values.count)
        var isUnseen = [Bool](repeating: false, count: values.count)
        for code in 0..<values.count {
            let level = values[code]
            placeOfCode[code] = places[level] ?? rest
            isUnseen[code] = places[level] == nil && !known.contains(level)
        }
        for place in 0..<levels.count + (hasOther ? 1 : 0) {
            addIndicator(
                attribute, place < levels.count ? levels[place] : CovariateEncoding.Attribute.other,
                codes.map { $0 != CodedText.missing && placeOfCode[Int($0)] == place })
        }
        addMissing(
            attribute, codes.map { $0 == CodedText.missing }, eligible, otherwise: "\"\(base)\"")
        var unseen: [String: Int] = [:]
        for (row, code) in codes.enumerated()
        where code != CodedText.missing && eligible[row] && isUnseen[Int(code)] {
            unseen[values[Int(code)], default: 0] += 1
        }
        if !hasOther {
            let rare = codes.indices.count {
                let code = codes[$0]
                return code != CodedText.missing && eligible[$0] && !isUnseen[Int(code)]
                    && placeOfCode[Int(code)] < 0 && values[Int(code)] != base
            }
            if rare > 0 {
                notes.append(
                    "\(attribute.name): \(rare) customers of rare values count as \"\(base)\"")
            }
        }
        guard !unseen.isEmpty else { return }
        let named = unseen.keys.sorted().prefix(3).map { "\"\($0)\"" }.joined(separator: ", ")
        let more = unseen.count > 3 ? " and \(unseen.count - 3) more" : ""
        notes.append(
            "\(attribute.name): \(unseen.values.reduce(0, +)) customers have values that the "
                + "training did not know (\(named)\(more)) and count as "
                + (hasOther ? CovariateEncoding.Attribute.other : "\"\(base)\""))
    }
}

/// The attributes of customers, joined to their ids.
struct JoinedAttributes {
    private let columns: [CustomerAttributes.Column]
    /// By customer the row of the table; -1 for none.
    let rows: [Int]

    /// - Parameter rows: by customer the row of the columns; -1 for none.
    init(_ columns: [CustomerAttributes.Column], rows: [Int]) {
        (self.columns, self.rows) = (columns, rows)
    }

    /// - Parameters:
    ///   - table: nil where no customers were ingested.
    ///   - customerIDs: unique, ascending.
    init(_ table: CustomerAttributes?, _ customerIDs: IDColumn) throws(FeatureError) {
        columns = table?.columns ?? []
        rows =
            try table?.rows(joining: customerIDs)
            ?? [Int](repeating: -1, count: customerIDs.count)
    }

    /// - Throws: `badColumn` for a name that is none.
    func values(of name: String) throws(ModelError) -> CustomerAttributes.Values {
        if let column = columns.first(where: { $0.name == name }) { return column.values }
        let known = columns.map(\.name).joined(separator: ", ")
        throw .badColumn(
            name: name,
            reason: known.isEmpty
                ? "nothing is known of the customers: ingest the files of sources.customers"
                : "is no attribute of the customers ingested, which are \(known): map it under "
                    + "sources.customers and ingest the file again")
    }

    /// Of every customer.
    func codes(_ text: CodedText) -> [UInt32] {
        rows.map { $0 < 0 ? CodedText.missing : text.codes[$0] }
    }
}
