/// Reads a delimited text with a header into a table, in one pass.
///
/// Empty and blank fields are missing. Every line counts: the first that cannot be used ends the
/// reading, since a table is analysed as a whole and is small enough to be corrected.
/// - Parameter path: of a file or a pipe, plain or gzip data; `-` is standard input.
/// - Throws: `IngestError` where the file cannot be read, a mapped column is not there or is used
///   twice, a line is ragged or damaged, an id is missing or comes twice, a column of numbers has a text
///   or a column of texts has too many.
package func readTable(path: String, mapping: TableMapping) throws(IngestError) -> PlainTable {
    try readTable(ByteSource(path: path), mapping)
}

/// As above, from bytes that are in memory; `path` is their name in messages.
/// - Parameter windowByteCount: other than the default only in tests.
package func readTable(
    _ bytes: [UInt8], path: String, mapping: TableMapping, windowByteCount: Int = 4 << 20
) throws(IngestError) -> PlainTable {
    try readTable(ByteSource(bytes, path: path), mapping, windowByteCount: windowByteCount)
}

private func readTable(
    _ source: ByteSource, _ mapping: TableMapping, windowByteCount: Int = 4 << 20
) throws(IngestError) -> PlainTable {
    var format = mapping.format
    format.hasHeader = true
    try format.check()
    var records = try RecordStream(source, format, windowByteCount: windowByteCount)
    var parser = try TableParser(mapping, records.layout)
    try records.read { (bytes, record) throws(IngestError) in
        try parser.parse(bytes, record)
    }
    return try parser.table()
}

/// One column while its fields arrive.
private struct TableColumnBuilder {
    let name: String
    let index: Int
    let isMapped: Bool
    /// NaN is missing; nil once a field is no number.
    var numbers: [Double]?
    /// Nil for numbers that are more than categories may be, and for mapped ones.
    var text: InternedColumn?
    var missingCount = 0
    var numberCount = 0
    var firstTextLine: Int?

    init(name: String, index: Int, kind: TableMapping.Kind?) {
        self.name = name
        self.index = index
        isMapped = kind != nil
        numbers = kind == .texts ? nil : []
        text = kind == .numbers ? nil : InternedColumn(index: index)
    }
}

/// Turns records into columns.
private struct TableParser {
    private let layout: ColumnLayout
    private let decimalSign: UInt8
    private let categoryLimit: Int
    private let idIndex: Int?
    private var ids = TextCodes()
    private var columns: [TableColumnBuilder] = []
    private var lineNumbers: [Int] = []

    init(_ mapping: TableMapping, _ layout: ColumnLayout) throws(IngestError) {
        self.layout = layout
        decimalSign = mapping.format.decimalSign.byte
        categoryLimit = mapping.categoryLimit
        var uses: [Int: TableMapping.Use] = [:]
        for use in mapping.uses {
            let unnamed = layout.names.indices.first {
                layout.names[$0].isEmpty && Self.name(ofUnnamed: $0) == use.column
            }
            let index: Int
            if let unnamed {
                index = unnamed
            } else {
                index = try layout.index(of: .name(use.column), role: use.role)
            }
            if let other = uses[index] {
                throw .invalidMapping(
                    "\(layout.path): column `\(use.column)` is both \(other.role) and \(use.role)")
            }
            uses[index] = use
        }
        idIndex = uses.first { $0.value.kind == .id }?.key
        for index in 0..<layout.fieldCount {
            let kind = uses[index]?.kind
            guard kind != .id, kind != .ignored else { continue }
            var name = layout.names[index]
            if name.isEmpty { name = Self.name(ofUnnamed: index) }
            if let other = columns.first(where: { $0.name == name }) {
                throw .ambiguousColumn(
                    path: layout.path, role: "header", column: name,
                    numbers: [other.index + 1, index + 1])
            }
            columns.append(TableColumnBuilder(name: name, index: index, kind: kind))
        }
    }

    /// Programs that write row numbers often give them no name.
    private static func name(ofUnnamed index: Int) -> String { "column \(index + 1)" }

    mutating func parse(_ bytes: Span<UInt8>, _ record: Record) throws(IngestError) {
        let line = record.lineNumber
        func bad(_ reason: RejectReason, _ field: Int? = nil) -> IngestError {
            .badLine(
                path: layout.path, line: line, column: field.map(layout.label), reason: reason)
        }
        if let problem = record.problem, problem != .wrongFieldCount {
            let field = record.problemField
            throw bad(problem, (0..<layout.fieldCount).contains(field) ? field : nil)
        }
        guard record.problem == nil, record.fields.count == layout.fieldCount else {
            throw .raggedLine(
                path: layout.path, line: line, fieldCount: record.fields.count,
                expected: layout.fieldCount)
        }
        if let problem = firstTextProblem(bytes, from: record.start, to: record.end) {
            throw bad(
                problem.reason,
                record.fields.firstIndex {
                    $0.start <= problem.offset && problem.offset < $0.end
                })
        }
        if let idIndex { try addID(bytes, record.fields[idIndex], index: idIndex, line: line) }
        for place in columns.indices {
            let field = record.fields[columns[place].index]
            guard field.end - field.start <= Limits.textByteCount else {
                throw bad(.textTooLong, columns[place].index)
            }
            try add(bytes, record, field, to: place)
        }
        lineNumbers.append(line)
    }

    private mutating func addID(
        _ bytes: Span<UInt8>, _ field: Field, index: Int, line: Int
    ) throws(IngestError) {
        let id = checkedID(
            bytes, field, .text, missing: .missingID, decimalSign: decimalSign)
        var code: UInt32?
        switch id {
        case .failure(let reason):
            throw .badLine(
                path: layout.path, line: line, column: layout.label(index), reason: reason)
        case .integer: code = nil
        case .text(let start, let end): code = ids.code(bytes, from: start, to: end)
        case .unescaped(let text): code = ids.code(text.span, from: 0, to: text.count)
        }
        guard let code else {
            throw .tooManyDistinctTexts(
                path: layout.path, column: layout.label(index), limit: Limits.distinctTextCount)
        }
        guard Int(code) == lineNumbers.count else {
            throw .repeatedID(
                path: layout.path, line: line, column: layout.label(index),
                firstLine: lineNumbers[Int(code)])
        }
    }

    private mutating func add(
        _ bytes: Span<UInt8>, _ record: Record, _ field: Field, to place: Int
    ) throws(IngestError) {
        var start = field.start
        var end = field.end
        trim(bytes, &start, &end)
        let isMissing = start == end
        if isMissing { columns[place].missingCount += 1 }
        if columns[place].numbers != nil || !columns[place].isMapped {
            let number =
                isMissing
                ? nil
                : DecimalNumber(bytes, from: start, to: end, decimalSign: decimalSign)?.double
            if number != nil { columns[place].numberCount += 1 }
            if isMissing || number != nil {
                columns[place].numbers?.append(number ?? .nan)
            } else if columns[place].text == nil {
                throw columns[place].isMapped
                    ? .badLine(
                        path: layout.path, line: record.lineNumber, column: columns[place].name,
                        reason: .unparseableNumber)
                    : .textAmongNumbers(
                        path: layout.path, line: record.lineNumber, column: columns[place].name,
                        limit: categoryLimit)
            } else {
                columns[place].numbers = nil
                if columns[place].firstTextLine == nil {
                    columns[place].firstTextLine = record.lineNumber
                }
            }
        }
        try columns[place].text?.append(bytes, record, layout)
        guard columns[place].text?.interner.count ?? 0 > categoryLimit else { return }
        guard columns[place].numbers != nil else {
            throw .tooManyCategories(
                path: layout.path, line: record.lineNumber, column: columns[place].name,
                limit: categoryLimit)
        }
        columns[place].text = nil
    }

    /// - Throws: `noLines`; `textOfItsOwn`.
    func table() throws(IngestError) -> PlainTable {
        guard !lineNumbers.isEmpty else { throw .noLines(path: layout.path) }
        var result: [PlainTable.Column] = []
        for column in columns {
            let values: PlainTable.Values
            if let numbers = column.numbers {
                values = .numbers(numbers)
            } else if let text = column.text {
                let texts = text.coded
                let filledCount = lineNumbers.count - column.missingCount
                if texts.values.count > 20, 2 * texts.values.count > filledCount {
                    throw .textOfItsOwn(
                        path: layout.path, column: column.name, textCount: texts.values.count,
                        rowCount: filledCount)
                }
                values = .texts(texts)
            } else {
                values = .numbers([])
            }
            let isMostlyNumbers = 2 * column.numberCount > lineNumbers.count - column.missingCount
            result.append(
                PlainTable.Column(
                    name: column.name, values: values, missingCount: column.missingCount,
                    firstTextLine: column.numbers == nil && !column.isMapped && isMostlyNumbers
                        ? column.firstTextLine : nil))
        }
        return PlainTable(
            path: layout.path, columns: result, ids: idIndex == nil ? nil : ids.values,
            lineNumbers: lineNumbers)
    }
}
