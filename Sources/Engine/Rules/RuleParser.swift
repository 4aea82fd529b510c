import ColumnStore

extension AudienceRule {
    /// Levels of parentheses and negations that a rule may have.
    static let largestDepth = 64
    /// Comparisons, and values of all lists.
    static let largestSize = 4_096

    /// Reads a rule for the columns of a snapshot.
    /// - Throws: `RuleFlaw` with the place of what cannot be understood.
    package init(parsing text: String, in snapshot: ServingSnapshot) throws(RuleFlaw) {
        try self.init(
            parsing: text, columns: snapshot.columns, names: segmentNames(snapshot.segments))
    }

    /// - Parameter names: by the name of a column, the numbers that each name stands for.
    init(
        parsing text: String, columns: [RowStripSchema.Field], names: [String: [String: [Double]]]
    ) throws(RuleFlaw) {
        var parser = RuleParser(tokens: try ruleTokens(text), columns: columns, names: names)
        root = try parser.either(depth: 0)
        try parser.expectEnd()
        self.columns = parser.used
    }
}

/// By the name of a score column, the numbers of segments or tiers by their name. Two segments may
/// be called the same: the name means both.
func segmentNames(_ tables: [SegmentTable]) -> [String: [String: [Double]]] {
    var result: [String: [String: [Double]]] = [:]
    for table in tables {
        for segment in table.segments {
            result[table.columnName, default: [:]][segment.name, default: []]
                .append(Double(segment.number))
        }
    }
    return result
}

private struct RuleParser {
    let tokens: [RuleToken]
    let columns: [RowStripSchema.Field]
    let names: [String: [String: [Double]]]
    var place = 0
    /// Positions of the columns read so far.
    var used: [Int] = []
    private var size = 0

    init(
        tokens: [RuleToken], columns: [RowStripSchema.Field],
        names: [String: [String: [Double]]]
    ) {
        self.tokens = tokens
        self.columns = columns
        self.names = names
    }

    private var token: RuleToken { tokens[place] }

    private func flaw(_ text: String, _ hint: String = "", at token: RuleToken? = nil) -> RuleFlaw {
        RuleFlaw(text: text, hint: hint, byteOffset: (token ?? self.token).byteOffset)
    }

    private func isWord(_ word: String) -> Bool {
        if case .word(let text) = token.kind { text.lowercased() == word } else { false }
    }

    private mutating func take(word: String) -> Bool {
        guard isWord(word) else { return false }
        place += 1
        return true
    }

    private mutating func take(sign: String) -> Bool {
        guard token.kind == .sign(sign) else { return false }
        place += 1
        return true
    }

    private mutating func expect(sign: String) throws(RuleFlaw) {
        guard take(sign: sign) else { throw flaw("'\(sign)' is missing before \(seen)") }
    }

    func expectEnd() throws(RuleFlaw) {
        guard token.kind == .end else {
            throw flaw("\(seen) after the end of the rule", "join comparisons with and, or")
        }
    }

    /// The token, for an error.
    private var seen: String {
        switch token.kind {
        case .word(let text): "'\(text.prefix(64))'"
        case .number(let value): "\(value)"
        case .text(let text): "\"\(text.prefix(64))\""
        case .sign(let sign): "'\(sign)'"
        case .end: "the end"
        }
    }

    mutating func either(depth: Int) throws(RuleFlaw) -> AudienceRule.Node {
        var parts = [try both(depth: depth)]
        while take(word: "or") { parts.append(try both(depth: depth)) }
        return parts.count == 1 ? parts[0] : .either(parts)
    }

    private mutating func both(depth: Int) throws(RuleFlaw) -> AudienceRule.Node {
        var parts = [try single(depth: depth)]
        while take(word: "and") { parts.append(try single(depth: depth)) }
        return parts.count == 1 ? parts[0] : .both(parts)
    }

    private mutating func single(depth: Int) throws(RuleFlaw) -> AudienceRule.Node {
        guard depth <= AudienceRule.largestDepth else {
            throw flaw("more than \(AudienceRule.largestDepth) levels of parentheses")
        }
        if take(word: "not") { return .not(try single(depth: depth + 1)) }
        if take(sign: "(") {
            let inner = try either(depth: depth + 1)
            try expect(sign: ")")
            return inner
        }
        if take(word: "all") { return .all }
        return try comparison()
    }

    private mutating func comparison() throws(RuleFlaw) -> AudienceRule.Node {
        try grow()
        let start = token
        guard case .word(let name) = start.kind else {
            throw flaw("\(seen) instead of a column", "begin with the name of a column")
        }
        guard let column = columns.firstIndex(where: { $0.name == name }) else {
            throw flaw(
                "there is no column '\(name.prefix(64))'",
                "there are: " + columns.map(\.name).joined(separator: ", "))
        }
        place += 1
        let field = self.field(column)
        if take(word: "is") {
            let isNegated = take(word: "not")
            guard take(word: "missing") else {
                throw flaw("\(seen) instead of 'missing'", "write: \(name) is missing")
            }
            return isNegated ? .not(.isMissing(field: field)) : .isMissing(field: field)
        }
        let isNegated = take(word: "not")
        if let test = try range(column) {
            let node = AudienceRule.Node.compare(field: field, test)
            return isNegated ? .not(node) : node
        }
        guard !isNegated, case .sign(let sign) = token.kind,
            ["=", "!=", "<", "<=", ">", ">="].contains(sign)
        else {
            throw flaw(
                "\(seen) instead of a comparison",
                "use =, !=, <, <=, >, >=, between, in, or is missing")
        }
        place += 1
        return .compare(field: field, try test(sign, column))
    }

    /// `between … and …` or `in (…)`; nil for anything else.
    private mutating func range(_ column: Int) throws(RuleFlaw) -> AudienceRule.Test? {
        if take(word: "between") {
            let start = token
            let low = try single(of: column)
            guard take(word: "and") else { throw flaw("'and' is missing before \(seen)") }
            let high = try single(of: column)
            guard low <= high else {
                throw flaw("the bounds are in the wrong order", "lower bound first", at: start)
            }
            return .between(low, high)
        }
        guard take(word: "in") else { return nil }
        try expect(sign: "(")
        var values: [Double] = []
        repeat {
            try grow()
            values += try self.values(of: column)
        } while take(sign: ",")
        try expect(sign: ")")
        return .among(values.sorted())
    }

    private mutating func test(
        _ sign: String, _ column: Int
    ) throws(RuleFlaw) -> AudienceRule.Test {
        switch sign {
        case "=":
            let values = try values(of: column)
            return values.count == 1 ? .equal(values[0]) : .among(values.sorted())
        case "!=": return .unequal(try single(of: column))
        case "<": return .less(try single(of: column))
        case "<=": return .atMost(try single(of: column))
        case ">": return .more(try single(of: column))
        default: return .atLeast(try single(of: column))
        }
    }

    private mutating func single(of column: Int) throws(RuleFlaw) -> Double {
        let start = token
        let values = try values(of: column)
        guard values.count == 1 else {
            throw flaw(
                "\(values.count) segments have this name", "use = or in, or their numbers",
                at: start)
        }
        return values[0]
    }

    /// What a number or a name stands for, as the column holds it.
    private mutating func values(of column: Int) throws(RuleFlaw) -> [Double] {
        let start = token
        let field = columns[column]
        switch start.kind {
        case .number(let value):
            place += 1
            // 0.1 is the nearest single to it where the column holds singles.
            return [field.type == .float32 ? Double(Float(value)) : value]
        case .text(let name):
            place += 1
            guard let known = names[field.name] else {
                throw flaw(
                    "\(field.name) holds numbers that have no names", "compare it with a number",
                    at: start)
            }
            guard let values = known[name] else {
                throw flaw(
                    "\(field.name) has no '\(name.prefix(64))'",
                    "there are: " + known.keys.sorted().map { "\"\($0)\"" }.joined(separator: ", "),
                    at: start)
            }
            return values
        default:
            throw flaw("\(seen) instead of a value", "names stand in quotes")
        }
    }

    private mutating func field(_ column: Int) -> Int {
        if let place = used.firstIndex(of: column) { return place }
        used.append(column)
        return used.count - 1
    }

    private mutating func grow() throws(RuleFlaw) {
        size += 1
        guard size <= AudienceRule.largestSize else {
            throw flaw("more than \(AudienceRule.largestSize) comparisons and values")
        }
    }
}
