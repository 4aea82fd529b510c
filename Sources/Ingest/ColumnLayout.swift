/// The columns that a file has, found in its first line.
struct ColumnLayout: Sendable {
    let path: String
    let delimiter: Delimiter
    let hasHeader: Bool
    /// From the header; empty without one.
    let names: [String]
    let fieldCount: Int
    /// The start of the first line, for messages.
    private let firstLine: [UInt8]

    /// Reads the header, or looks at the first line where there is none, and tells the scanner how
    /// many fields to expect. The scanner is left before the first data line.
    /// - Parameter touchedEnd: set to whether more bytes could change what was found or thrown.
    init(
        _ bytes: Span<UInt8>, _ scanner: inout RecordScanner, format: TextFormat, path: String,
        touchedEnd: inout Bool
    ) throws(IngestError) {
        guard bytes.count > 0 else { throw .emptyFile(path: path) }
        if let what = foreignFormat(bytes) { throw .notText(path: path, what: what) }
        var record = Record()
        var probe = scanner
        var isFound = probe.next(bytes, &record)
        touchedEnd = probe.touchedEnd || !isFound
        if format.hasHeader {
            // With no number of fields expected yet, only too many are wrong.
            if isFound, record.problem == .wrongFieldCount {
                throw .tooManyFields(path: path, limit: Limits.fieldCount)
            }
            if isFound, let reason = record.problem {
                throw .unreadableHeader(path: path, line: record.lineNumber, reason: reason)
            }
            scanner = probe
        } else {
            // The first line that is whole sets the count; broken ones before it are rejects.
            while isFound, record.problem != nil { isFound = probe.next(bytes, &record) }
            touchedEnd = probe.touchedEnd || !isFound
        }
        guard isFound else { throw .noLines(path: path) }
        self.path = path
        delimiter = format.delimiter
        hasHeader = format.hasHeader
        fieldCount = record.fields.count
        names =
            format.hasHeader
            ? record.fields.map { String(decoding: trimmed(unquoted(bytes, $0)), as: UTF8.self) }
            : []
        let lineEnd = min(record.end, record.start + 4_096)
        firstLine = (record.start..<lineEnd).map { bytes[$0] }
        scanner.expectedFieldCount = record.fields.count
    }

    /// Where the column is, from 0. `role` says in messages what it is for.
    func index(of column: ColumnReference, role: String) throws(IngestError) -> Int {
        switch column {
        case .number(let number):
            if (1...fieldCount).contains(number) { return number - 1 }
        case .name(let name):
            let found = names.indices.filter { names[$0] == name }
            if found.count > 1 {
                throw .ambiguousColumn(
                    path: path, role: role, column: name, numbers: found.map { $0 + 1 })
            }
            if let index = found.first { return index }
        }
        if fieldCount == 1, let likely = likelyDelimiter(for: column) {
            throw .wrongDelimiter(
                path: path, role: role, column: column, mapped: delimiter, likely: likely,
                firstLine: String(decoding: sanitizedExcerpt(firstLine), as: UTF8.self))
        }
        throw .unknownColumn(
            path: path, role: role, column: column, columns: names, fieldCount: fieldCount)
    }

    /// As `index(of:role:)`, or nil for a column that is not mapped.
    func optionalIndex(of column: ColumnReference?, role: String) throws(IngestError) -> Int? {
        guard let column else { return nil }
        return try index(of: column, role: role)
    }

    /// The column's name, or its number from 1, for the rejects file.
    func label(_ index: Int) -> String {
        names.indices.contains(index) ? names[index] : String(index + 1)
    }

    /// The delimiter that would give the column, or else the one that cuts the line most often.
    private func likelyDelimiter(for column: ColumnReference) -> Delimiter? {
        var best: (delimiter: Delimiter, fieldCount: Int)?
        for candidate in [Delimiter.comma, .semicolon, .tab, .blanks] where candidate != delimiter {
            let span = firstLine.span
            var scanner = RecordScanner(span, delimiter: candidate)
            var record = Record()
            guard scanner.next(span, &record), record.fields.count > 1 else { continue }
            switch column {
            case .name(let name):
                let texts = record.fields.map { trimmed(unquoted(span, $0)) }
                if texts.contains(where: { $0 == Array(name.utf8) }) { return candidate }
            case .number(let number):
                if record.fields.count >= number && candidate != .blanks { return candidate }
            }
            let isBetter = record.fields.count > best?.fieldCount ?? 1
            // Blanks are common inside a single name.
            if isBetter && (candidate != .blanks || !hasHeader) {
                best = (candidate, record.fields.count)
            }
        }
        return best?.delimiter
    }
}

/// What a file that is not UTF-8 text starts like.
private func foreignFormat(_ bytes: Span<UInt8>) -> String? {
    guard bytes.count >= 2 else { return nil }
    switch (bytes[0], bytes[1]) {
    case (0xFF, 0xFE), (0xFE, 0xFF): return "UTF-16"
    case (0x1F, 0x8B): return "gzip data"
    case (0x50, 0x4B) where bytes.count >= 4 && bytes[2] == 3 && bytes[3] == 4:
        return "a zip archive or spreadsheet"
    default: return nil
    }
}

/// Without blanks and tabs at the ends.
func trimmed(_ text: [UInt8]) -> [UInt8] {
    var start = 0
    var end = text.count
    trim(text.span, &start, &end)
    return Array(text[start..<end])
}

/// Moves the ends of a range inwards past spaces and tabs.
@inline(__always)
func trim(_ bytes: Span<UInt8>, _ start: inout Int, _ end: inout Int) {
    while start < end, bytes[start] == 0x20 || bytes[start] == 0x09 { start += 1 }
    while end > start, bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 { end -= 1 }
}
