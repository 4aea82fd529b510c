import ByteCoding

/// Reads one file of customers or products: an id and the mapped attributes a line. Where no id is
/// mapped, lines have that of their number.
///
/// An empty attribute is missing, not a reject; a number that cannot be read rejects its line. Of
/// several lines with one id the first accepted one wins, the others are `duplicateID` rejects.
/// Otherwise as `readPurchases`. The report's times and return count stay empty.
package func readEntities(
    path: String, mapping: EntityMapping, rejects: RejectsWriter? = nil
) throws(IngestError) -> (table: EntityTable, report: IngestReport) {
    try mapping.format.check()
    return try readEntities(ByteSource(path: path), mapping, rejects, windowByteCount: 4 << 20)
}

/// As above, from bytes that are in memory; `path` is their name in messages and rejects.
/// - Parameter windowByteCount: other than the default only in tests.
package func readEntities(
    _ bytes: [UInt8], path: String, mapping: EntityMapping, rejects: RejectsWriter? = nil,
    limits: RecordLimits = RecordLimits(), windowByteCount: Int = 4 << 20
) throws(IngestError) -> (table: EntityTable, report: IngestReport) {
    try mapping.format.check()
    return try readEntities(
        ByteSource(bytes, path: path), mapping, rejects, limits, windowByteCount: windowByteCount)
}

private func readEntities(
    _ source: ByteSource, _ mapping: EntityMapping, _ rejects: RejectsWriter?,
    _ limits: RecordLimits = RecordLimits(), windowByteCount: Int
) throws(IngestError) -> (table: EntityTable, report: IngestReport) {
    var records = try RecordStream(
        source, mapping.format, limits, windowByteCount: windowByteCount)
    let layout = records.layout
    var parser = try EntityParser(mapping, layout)
    var judge = LineJudge(layout: layout, format: mapping.format, keepsRows: rejects != nil)
    var file = FileTally(layout: layout, format: mapping.format, rejects: rejects)
    try records.read { (bytes, record) throws(IngestError) in
        if judge.begin(bytes, record) { try parser.parse(bytes, record, &judge) }
        guard judge.hasIssues else { return }
        judge.reject(bytes, record)
        try file.add(judge.tally, judge.rejects, firstLine: 0)
        judge.tally = LineTally()
        judge.rejects.removeAll()
    }
    try file.add(judge.tally, RejectRows(), firstLine: 0)
    let report = try file.report(
        byteCount: records.hasher.byteCount, contentHash: records.hasher.value)
    return (parser.table, report)
}

/// An attribute while its values arrive.
private struct AttributeBuilder {
    let name: String
    let index: Int
    let kind: AttributeKind
    let isMarginRate: Bool
    /// Of an ordinal attribute the number of each level.
    let numberOfLevel: [[UInt8]: Double]
    var numbers: [Double] = []
    var valid: [Bool] = []
    var text: InternedColumn
    var setOffsets: [Int] = [0]

    init(_ mapping: AttributeMapping, index: Int) {
        name = mapping.name
        self.index = index
        kind = mapping.kind
        isMarginRate = mapping.isMarginRate
        text = InternedColumn(index: index)
        var numberOfLevel: [[UInt8]: Double] = [:]
        if case .ordinal(let levels) = kind {
            for (index, level) in levels.enumerated() {
                numberOfLevel[Array(level.utf8)] = Double(index + 1)
            }
        }
        self.numberOfLevel = numberOfLevel
    }

    var column: EntityColumn {
        switch kind {
        case .latitude, .longitude, .number, .ordinal:
            return EntityColumn(name: name, values: .number(numbers, valid: valid))
        case .set:
            let sets = CodedSets(
                rowOffsets: setOffsets, codes: text.codes, values: text.interner.values)
            return EntityColumn(name: name, values: .set(sets))
        case .text:
            return EntityColumn(name: name, values: .text(text.coded))
        }
    }

    /// Appends the members of a set, each once, without blanks around them.
    mutating func appendSet(
        _ bytes: Span<UInt8>, _ record: Record, separator: UInt8, _ layout: ColumnLayout
    ) throws(IngestError) {
        let whole = unquoted(bytes, record.fields[index])
        let rowStart = text.codes.count
        for member in whole.split(separator: separator) {
            let name = trimmed(Array(member))
            if name.isEmpty { continue }
            guard let code = text.interner.code(name.span, from: 0, to: name.count) else {
                throw .tooManyDistinctTexts(
                    path: layout.path, column: layout.label(index),
                    limit: Limits.distinctTextCount)
            }
            if !text.codes[rowStart...].contains(code) { text.codes.append(code) }
        }
        setOffsets.append(text.codes.count)
    }
}

/// Turns the fields of customers or products into columns.
private struct EntityParser {
    private let layout: ColumnLayout
    private let decimalSign: UInt8
    private let idKind: IDKind
    /// Nil where lines are numbered.
    private let idIndex: Int?
    private var integerIDs: [Int64] = []
    private var knownIntegers: Set<Int64> = []
    private var textIDs = TextCodes()
    private var attributes: [AttributeBuilder] = []
    /// The numbers of the current line, by attribute.
    private var lineNumbers: [Double?]

    init(_ mapping: EntityMapping, _ layout: ColumnLayout) throws(IngestError) {
        self.layout = layout
        decimalSign = mapping.format.decimalSign.byte
        idKind = mapping.id?.kind ?? .integer
        idIndex = try mapping.id.map { (id) throws(IngestError) in
            try layout.index(of: id.column, role: "id")
        }
        for attribute in mapping.attributes {
            guard !attributes.contains(where: { $0.name == attribute.name }) else {
                throw .invalidMapping("two attributes are named `\(attribute.name)`")
            }
            if case .ordinal(let levels) = attribute.kind, Set(levels).count != levels.count {
                throw .invalidMapping("a level of attribute `\(attribute.name)` is named twice")
            }
            if case .set(let separator) = attribute.kind, separator >= 0x80 {
                throw .invalidMapping(
                    "the separator of attribute `\(attribute.name)` is not one ASCII character")
            }
            let role = "attribute `\(attribute.name)`"
            attributes.append(
                AttributeBuilder(
                    attribute, index: try layout.index(of: attribute.column, role: role)))
        }
        lineNumbers = Array(repeating: nil, count: attributes.count)
    }

    /// All accepted lines.
    var table: EntityTable {
        let ids: IDColumn = idKind == .integer ? .integers(integerIDs) : .texts(textIDs.values)
        return EntityTable(ids: ids, columns: attributes.map(\.column))
    }

    /// Checks every mapped field, then appends the line if none of them has an issue.
    mutating func parse(
        _ bytes: Span<UInt8>, _ record: Record, _ judge: inout LineJudge
    ) throws(IngestError) {
        let id =
            idIndex.map { checkedID(bytes, record, field: $0, &judge) }
            ?? .integer(Int64(record.lineNumber))
        for place in attributes.indices { check(place, bytes, record, &judge) }
        guard !judge.hasIssues else { return }
        try appendID(id, bytes)
        for place in attributes.indices {
            switch attributes[place].kind {
            case .latitude, .longitude, .number, .ordinal:
                attributes[place].numbers.append(lineNumbers[place] ?? 0)
                attributes[place].valid.append(lineNumbers[place] != nil)
            case .set(let separator):
                try attributes[place].appendSet(bytes, record, separator: separator, layout)
            case .text:
                try attributes[place].text.append(bytes, record, layout)
            }
        }
        judge.accept()
    }

    private func checkedID(
        _ bytes: Span<UInt8>, _ record: Record, field: Int, _ judge: inout LineJudge
    ) -> CheckedID {
        let id = Ingest.checkedID(
            bytes, record.fields[field], idKind, missing: .missingID, decimalSign: decimalSign)
        switch id {
        case .failure(let reason): judge.add(reason, field: field)
        case .integer(let value):
            if knownIntegers.contains(value) { judge.add(.duplicateID, field: field) }
        case .text(let start, let end):
            if textIDs.contains(bytes, from: start, to: end) {
                judge.add(.duplicateID, field: field)
            }
        case .unescaped(let text):
            if textIDs.contains(text.span, from: 0, to: text.count) {
                judge.add(.duplicateID, field: field)
            }
        }
        return id
    }

    private mutating func check(
        _ place: Int, _ bytes: Span<UInt8>, _ record: Record, _ judge: inout LineJudge
    ) {
        let index = attributes[place].index
        let field = record.fields[index]
        lineNumbers[place] = nil
        guard attributes[place].kind.isNumeric else {
            if field.end - field.start > Limits.textByteCount {
                judge.add(.textTooLong, field: index)
            }
            return
        }
        var start = field.start
        var end = field.end
        trim(bytes, &start, &end)
        if start == end { return }
        if case .ordinal = attributes[place].kind {
            let level = trimmed(unquoted(bytes, field))
            if level.isEmpty { return }
            lineNumbers[place] = attributes[place].numberOfLevel[level]
            if lineNumbers[place] == nil { judge.add(.unknownLevel, field: index) }
            return
        }
        let number = DecimalNumber(bytes, from: start, to: end, decimalSign: decimalSign)
        lineNumbers[place] = number?.double
        guard let value = lineNumbers[place] else {
            judge.add(.unparseableNumber, field: index)
            return
        }
        if let largest = attributes[place].kind.largestMagnitude, abs(value) > largest {
            judge.add(.coordinateOutOfRange, field: index)
        }
        if attributes[place].isMarginRate, !Limits.marginRates.contains(value) {
            judge.add(.marginRateOutOfRange, field: index)
        }
    }

    private mutating func appendID(
        _ id: CheckedID, _ bytes: Span<UInt8>
    ) throws(IngestError) {
        var code: UInt32? = 0
        switch id {
        case .failure: return
        case .integer(let value):
            integerIDs.append(value)
            knownIntegers.insert(value)
        case .text(let start, let end): code = textIDs.code(bytes, from: start, to: end)
        case .unescaped(let text): code = textIDs.code(text.span, from: 0, to: text.count)
        }
        if code == nil {
            throw .tooManyDistinctTexts(
                path: layout.path, column: layout.label(idIndex ?? 0),
                limit: Limits.distinctTextCount)
        }
    }
}
