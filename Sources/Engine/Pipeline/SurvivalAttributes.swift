import ByteCoding
import Features
import Models

/// The attributes of the customers of a survival sample.
struct SurvivalAttributes {
    private let columns: [CustomerAttributes.Column]
    /// By customer of the sample the row of the table; -1 for none.
    private let rows: [Int]
    private let isLost: [Bool]

    /// A level of a factor needs as many customers and losses to have a column of its own: of fewer
    /// an effect is all chance, and has no estimate where none or all of them are lost.
    static let fewestCustomers = 30
    static let fewestLosses = 5
    /// Groups and levels beside those put together.
    static let groupLimit = 12
    static let levelLimit = 30

    init(_ table: CustomerAttributes, _ sample: SurvivalSample) throws(FeatureError) {
        columns = table.columns
        rows = try table.rows(joining: sample.customerIDs ?? table.ids.slice(0..<0))
        isLost = sample.isLost
    }

    /// - Throws: `.unusableAttribute` for a name that is none.
    private func column(_ name: String) throws(EngineError) -> CustomerAttributes.Values {
        if let column = columns.first(where: { $0.name == name }) { return column.values }
        throw Self.unusable(name, known: columns.map(\.name))
    }

    static func unusable(_ name: String, known: [String]) -> EngineError {
        let list =
            known.isEmpty
            ? "this workspace has none: map some under sources.customers and ingest the file"
            : "there are \(known.joined(separator: ", "))"
        return .unusableAttribute(
            name: name,
            reason: """
                is no attribute of the customers; \(list). Features of purchases are not taken: \
                they are sums of what a customer did by the as-of day, and who stays longer has \
                more of it, so they would explain staying by itself
                """)
    }

    // MARK: Groups

    struct Groups {
        var names: [String]
        /// One a customer of the sample.
        var codes: [Int32]
    }

    /// Customers by their value of an attribute: numbers of many values by quarters, texts of many
    /// values with the rarer ones put together.
    /// - Throws: `.unusableAttribute` for a name that is none, or an attribute of several values.
    func groups(by name: String) throws(EngineError) -> Groups {
        switch try column(name) {
        case .set:
            throw .unusableAttribute(
                name: name,
                reason: "a customer may have several of its values; groups need one: use --factors")
        case .text(let text):
            return groups(of: rows.map { $0 < 0 ? CodedText.missing : text.codes[$0] }, text.values)
        case .number(let values, let valid):
            return groups(of: rows.map { $0 >= 0 && valid[$0] ? values[$0] : nil })
        }
    }

    private func groups(of codes: [UInt32], _ values: TextArray) -> Groups {
        var counts = [Int](repeating: 0, count: values.count)
        for code in codes where code != CodedText.missing { counts[Int(code)] += 1 }
        let ranked = counts.indices.filter { counts[$0] > 0 }.sorted {
            counts[$0] != counts[$1] ? counts[$0] > counts[$1] : values.precedes($0, values, $1)
        }
        let own = ranked.prefix(Self.groupLimit).sorted { values.precedes($0, values, $1) }
        var result = Groups(names: own.map { values[$0] }, codes: [])
        var group = [Int32](repeating: Int32(own.count), count: values.count)
        for (index, value) in own.enumerated() { group[value] = Int32(index) }
        if ranked.count > own.count { result.names.append("(other)") }
        let missing = Int32(result.names.count)
        if codes.contains(CodedText.missing) { result.names.append("(missing)") }
        result.codes = codes.map { $0 == CodedText.missing ? missing : group[Int($0)] }
        return result
    }

    private func groups(of numbers: [Double?]) -> Groups {
        let sorted = numbers.compactMap(\.self).sorted()
        var distinct: [Double] = []
        for value in sorted where distinct.last != value {
            distinct.append(value)
            if distinct.count > Self.groupLimit { break }
        }
        // First values of each group but the first.
        var edges = Array(distinct.dropFirst())
        var names = distinct.map(Self.text)
        if distinct.count > Self.groupLimit {
            edges = []
            for quarter in 1...3 {
                let edge = sorted[sorted.count * quarter / 4]
                if edge > edges.last ?? sorted[0] { edges.append(edge) }
            }
            names = (0...edges.count).map { index in
                if edges.isEmpty { return "all" }
                if index == 0 { return "below \(Self.text(edges[0]))" }
                if index == edges.count { return "\(Self.text(edges[index - 1])) and above" }
                return "\(Self.text(edges[index - 1])) to below \(Self.text(edges[index]))"
            }
        }
        let missing = Int32(names.count)
        if sorted.count < numbers.count { names.append("(missing)") }
        return Groups(
            names: names,
            codes: numbers.map { value in
                value.map { value in Int32(edges.count { $0 <= value }) } ?? missing
            })
    }

    private static func text(_ value: Double) -> String {
        Int(exactly: value).map(String.init) ?? "\(value)"
    }

    // MARK: Factors

    /// Columns of a Cox regression, and what a reader must know of them.
    struct Factors {
        var columns: [CovariateColumn] = []
        /// The level of each factor of texts that the others are compared with.
        var references: [String: String] = [:]
        var notes: [String] = []
    }

    /// The columns of attributes: a number as it is, an indicator for each level of a text but the
    /// most frequent one, an indicator for each member of a set.
    /// - Throws: `.unusableAttribute` for a name that is none, and where too few customers have any
    ///   value of them to tell.
    func factors(_ names: [String]) throws(EngineError) -> Factors {
        var result = Factors()
        for name in names {
            switch try column(name) {
            case .text(let text): addLevels(of: text, name, to: &result)
            case .set(let offsets, let codes, let values):
                addMembers(offsets, codes, values, name, to: &result)
            case .number(let values, let valid): addNumber(values, valid, name, to: &result)
            }
        }
        guard !result.columns.isEmpty else {
            throw .unusableAttribute(
                name: names.joined(separator: ", "),
                reason: "no factor is left: \(result.notes.joined(separator: "; "))")
        }
        return result
    }

    private func isEnough(_ indicator: [Bool]) -> Bool {
        var (count, losses) = (0, 0)
        for (row, isIn) in indicator.enumerated() where isIn {
            count += 1
            if isLost[row] { losses += 1 }
        }
        return count >= Self.fewestCustomers && losses >= Self.fewestLosses
    }

    private func column(_ indicator: [Bool], _ factor: String, _ level: String) -> CovariateColumn {
        CovariateColumn(
            name: "\(factor)=\(level)", values: indicator.map { $0 ? 1 : 0 }, factor: factor)
    }

    private func addNumber(
        _ values: [Double], _ valid: [Bool], _ name: String, to result: inout Factors
    ) {
        let known = rows.map { $0 >= 0 && valid[$0] }
        var (sum, count) = (0.0, 0)
        for (row, isKnown) in known.enumerated() where isKnown {
            sum += values[rows[row]]
            count += 1
        }
        guard isEnough(known) else {
            result.notes.append("\(name): left out, only \(count) customers have a value")
            return
        }
        let mean = sum / Double(count)
        result.columns.append(
            CovariateColumn(
                name: name, values: rows.indices.map { known[$0] ? values[rows[$0]] : mean }))
        guard count < rows.count else { return }
        let missing = known.map { !$0 }
        if isEnough(missing) {
            result.columns.append(column(missing, name, "(missing)"))
        } else {
            result.notes.append(
                "\(name): \(rows.count - count) customers without a value count as average")
        }
    }

    private func addLevels(of text: CodedText, _ name: String, to result: inout Factors) {
        let codes = rows.map { $0 < 0 ? CodedText.missing : text.codes[$0] }
        var counts = [Int](repeating: 0, count: text.values.count)
        var losses = counts
        for (row, code) in codes.enumerated() where code != CodedText.missing {
            counts[Int(code)] += 1
            if isLost[row] { losses[Int(code)] += 1 }
        }
        let ranked = counts.indices.filter { counts[$0] > 0 }.sorted {
            counts[$0] != counts[$1]
                ? counts[$0] > counts[$1] : text.values.precedes($0, text.values, $1)
        }
        guard let reference = ranked.first, counts[reference] >= Self.fewestCustomers,
            losses[reference] >= Self.fewestLosses
        else {
            result.notes.append("\(name): left out, too few customers have any one of its values")
            return
        }
        result.references[name] = text.values[reference]
        let own = ranked.dropFirst().filter {
            counts[$0] >= Self.fewestCustomers && losses[$0] >= Self.fewestLosses
        }.prefix(Self.levelLimit)
        for level in own {
            result.columns.append(
                column(codes.map { $0 == UInt32(level) }, name, text.values[level]))
        }
        var isOwn = [Bool](repeating: false, count: counts.count)
        for level in [reference] + own { isOwn[level] = true }
        let rests = [
            ("(other)", codes.map { $0 != CodedText.missing && !isOwn[Int($0)] }),
            ("(missing)", codes.map { $0 == CodedText.missing }),
        ]
        for (level, indicator) in rests where indicator.contains(true) {
            if isEnough(indicator) {
                result.columns.append(column(indicator, name, level))
            } else {
                result.notes.append(
                    "\(name): \(indicator.count(where: \.self)) customers of \(level) levels, too "
                        + "few to tell, count as \(text.values[reference])")
            }
        }
        // A factor of one level: named by the regression as what it is.
        if !result.columns.contains(where: { $0.factor == name }) {
            result.columns.append(
                CovariateColumn(name: name, values: [Double](repeating: 1, count: rows.count)))
        }
    }

    private func addMembers(
        _ offsets: [Int], _ codes: [UInt32], _ values: TextArray, _ name: String,
        to result: inout Factors
    ) {
        var counts = [Int](repeating: 0, count: values.count)
        for row in rows where row >= 0 {
            for code in codes[offsets[row]..<offsets[row + 1]] { counts[Int(code)] += 1 }
        }
        let ranked = counts.indices.filter { counts[$0] > 0 }.sorted {
            counts[$0] != counts[$1] ? counts[$0] > counts[$1] : values.precedes($0, values, $1)
        }
        var leftOut = 0
        for (place, member) in ranked.enumerated() {
            let indicator = rows.map { row in
                row >= 0 && codes[offsets[row]..<offsets[row + 1]].contains(UInt32(member))
            }
            if place < Self.levelLimit, isEnough(indicator), isEnough(indicator.map { !$0 }) {
                result.columns.append(column(indicator, name, values[member]))
            } else {
                leftOut += 1
            }
        }
        if leftOut > 0 {
            result.notes.append(
                "\(name): left out \(leftOut) values that too few customers have, or lack")
        }
    }
}
