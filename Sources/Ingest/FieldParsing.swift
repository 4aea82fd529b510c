import ByteCoding

/// A column of texts that becomes a `CodedText`.
struct InternedColumn {
    let index: Int
    var interner = TextCodes()
    var codes: [UInt32] = []

    var coded: CodedText { CodedText(codes: codes, values: interner.values) }

    /// Appends the field's code, or `missing` for an empty one.
    mutating func append(
        _ bytes: Span<UInt8>, _ record: Record, _ layout: ColumnLayout
    ) throws(IngestError) {
        let field = record.fields[index]
        var code: UInt32?
        var start = field.start
        var end = field.end
        if field.hasDoubledQuotes {
            let text = unquoted(bytes, field)
            start = 0
            end = text.count
            trim(text.span, &start, &end)
            code = start == end ? CodedText.missing : interner.code(text.span, from: start, to: end)
        } else {
            trim(bytes, &start, &end)
            code = start == end ? CodedText.missing : interner.code(bytes, from: start, to: end)
        }
        guard let code else {
            throw .tooManyDistinctTexts(
                path: layout.path, column: layout.label(index), limit: Limits.distinctTextCount)
        }
        codes.append(code)
    }
}

/// Whether a field has nothing but blanks.
func isEmpty(_ bytes: Span<UInt8>, _ field: Field) -> Bool {
    var start = field.start
    var end = field.end
    trim(bytes, &start, &end)
    return start == end
}

/// An id read from a field.
enum CheckedID {
    case failure(RejectReason)
    case integer(Int64)
    case text(start: Int, end: Int)
    /// A text id with doubled quotes in it, rewritten.
    case unescaped([UInt8])
}

func checkedID(
    _ bytes: Span<UInt8>, _ field: Field, _ kind: IDKind, missing: RejectReason, decimalSign: UInt8
) -> CheckedID {
    var start = field.start
    var end = field.end
    trim(bytes, &start, &end)
    if start == end { return .failure(missing) }
    switch kind {
    case .integer:
        guard
            let value = DecimalNumber(bytes, from: start, to: end, decimalSign: decimalSign)?
                .integer
        else { return .failure(.invalidID) }
        return .integer(value)
    case .text:
        guard end - start <= Limits.idByteCount else { return .failure(.invalidID) }
        guard field.hasDoubledQuotes else { return .text(start: start, end: end) }
        let text = trimmed(unquoted(bytes, field))
        return text.isEmpty ? .failure(missing) : .unescaped(text)
    }
}
