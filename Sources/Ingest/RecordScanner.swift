/// A field of a record: `start ..< end` without the quotes around it.
struct Field: Sendable {
    var start: Int
    var end: Int
    /// Whether `""` inside stands for `"`.
    var hasDoubledQuotes = false
}

/// One line of the file, or several that quoted line ends join. Reused from record to record, so
/// that reading allocates nothing.
struct Record: Sendable {
    /// The physical line where the record starts, from 1.
    var lineNumber = 0
    /// Byte range without the line end.
    var start = 0
    var end = 0
    var fields: [Field] = []
    /// What makes the fields unusable, if anything.
    var problem: RejectReason?
    /// The field of `problem`, or -1 for the whole line.
    var problemField = -1
}

/// What a record may be at most; other than the constants only in tests.
package struct RecordLimits: Sendable {
    package var lineByteCount = Limits.lineByteCount
    package var quotedLineCount = Limits.quotedLineCount

    package init() {}
}

/// Cuts bytes into records and fields, in one pass and without copying.
///
/// The grammar is RFC 4180's with these choices:
/// - A line ends with LF or CRLF; the last one needs no end. Empty lines are skipped (with
///   `blanks`, so are lines of blanks only).
/// - A field is quoted where its first byte is `"`. Inside, `""` is a quote and delimiters and line
///   ends are content. A quote further on in a field is an ordinary byte.
/// - Bytes between a closing quote and the next delimiter make the record `malformedQuote`.
/// - A quoted field that spans lines is believed only if it closes, within
///   `Limits.quotedLineCount` lines and `Limits.lineByteCount` bytes, before a delimiter or line
///   end, and the record then has the expected number of fields and at most the same number of bytes. Otherwise the quote counts as
///   unterminated: its physical line alone is the bad record, and reading goes on at the next line.
///   So one stray quote costs one line, not everything up to the next quote.
///
/// Where the bytes are only a part of a file, `touchedEnd` says whether more of them could change
/// what was read.
struct RecordScanner: Sendable {
    private let delimiter: UInt8
    private let isBlanks: Bool
    private let limits: RecordLimits
    private(set) var position: Int
    private(set) var nextLineNumber = 1
    /// Whether the last record was looked for beyond the last byte.
    private(set) var touchedEnd = false
    /// Line ends within the quotes of the last record.
    private var quotedLineCount = 0
    /// Fields of the header or the first line; nil before that.
    var expectedFieldCount: Int?

    private static let quote = UInt8(ascii: "\"")
    private static let lineFeed = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")

    /// Starts at the first byte, after the byte order mark if there is one.
    init(
        _ bytes: Span<UInt8>, delimiter: Delimiter, limits: RecordLimits = RecordLimits()
    ) {
        self.delimiter = delimiter.byte
        isBlanks = delimiter == .blanks
        self.limits = limits
        let hasMark =
            bytes.count >= 3 && bytes[0] == 0xEF && bytes[1] == 0xBB && bytes[2] == 0xBF
        position = hasMark ? 3 : 0
    }

    /// Goes on at another place, the start of a line of that number.
    mutating func move(to position: Int, lineNumber: Int) {
        self.position = position
        nextLineNumber = lineNumber
    }

    /// Reads the next record; false at the end, and where none starts at or before `lastStart`.
    mutating func next(
        _ bytes: Span<UInt8>, _ record: inout Record, lastStart: Int = .max
    ) -> Bool {
        touchedEnd = false
        while position < bytes.count, position <= lastStart {
            record.fields.removeAll(keepingCapacity: true)
            record.problem = nil
            record.problemField = -1
            record.start = position
            record.lineNumber = nextLineNumber
            quotedLineCount = 0
            let end =
                isBlanks ? scanBlanks(bytes, &record) : scanDelimited(bytes, &record)
            if end == bytes.count { touchedEnd = true }
            if quotedLineCount > 0, record.problem == nil, let expectedFieldCount,
                record.fields.count != expectedFieldCount
            {
                record.problem = .unterminatedQuote
            }
            if quotedLineCount > 0, end - record.start > limits.lineByteCount + 1 {
                // Whatever follows, the lines do not belong together.
                record.problem = .unterminatedQuote
                record.problemField = -1
                touchedEnd = false
            }
            if record.problem == .unterminatedQuote {
                endAtPhysicalLine(bytes, &record)
            } else {
                nextLineNumber += quotedLineCount + 1
                position = min(end + 1, bytes.count)
                record.end = end
                if end > record.start, bytes[end - 1] == Self.carriageReturn { record.end -= 1 }
            }
            if record.end - record.start > limits.lineByteCount {
                record.problem = .lineTooLong
                record.problemField = -1
            }
            let isEmpty = record.end == record.start || (isBlanks && record.fields.isEmpty)
            if !isEmpty || record.problem != nil { return true }
        }
        return false
    }

    /// Fields separated by one byte. Returns the offset of the line end, or the byte count.
    private mutating func scanDelimited(_ bytes: Span<UInt8>, _ record: inout Record) -> Int {
        let count = bytes.count
        let delimiter = delimiter
        var index = position
        while true {
            if index < count && bytes[index] == Self.quote {
                index = scanQuoted(bytes, index, &record)
                if record.problem == .unterminatedQuote { return index }
            } else {
                let start = index
                while index < count {
                    let byte = bytes[index]
                    if byte == delimiter || byte == Self.lineFeed { break }
                    index += 1
                }
                append(Field(start: start, end: index), to: &record)
            }
            guard index < count else { break }
            if bytes[index] == Self.lineFeed { break }
            index += 1
        }
        trimCarriageReturn(bytes, lineEnd: index, &record)
        return index
    }

    /// Fields separated by runs of spaces and tabs.
    private mutating func scanBlanks(_ bytes: Span<UInt8>, _ record: inout Record) -> Int {
        let count = bytes.count
        var index = position
        while true {
            while index < count && isBlank(bytes[index]) { index += 1 }
            guard index < count, bytes[index] != Self.lineFeed else { break }
            if bytes[index] == Self.quote {
                index = scanQuoted(bytes, index, &record)
                if record.problem == .unterminatedQuote { return index }
            } else {
                let start = index
                while index < count, !isBlank(bytes[index]), bytes[index] != Self.lineFeed {
                    index += 1
                }
                append(Field(start: start, end: index), to: &record)
            }
        }
        trimCarriageReturn(bytes, lineEnd: index, &record)
        if let last = record.fields.last, last.start == last.end, last.end < index,
            bytes[last.end] == Self.carriageReturn
        {
            record.fields.removeLast()
        }
        return index
    }

    /// The quoted field whose opening quote is at `open`; returns the offset of the delimiter or
    /// line end after it.
    private mutating func scanQuoted(
        _ bytes: Span<UInt8>, _ open: Int, _ record: inout Record
    ) -> Int {
        let count = bytes.count
        var field = Field(start: open + 1, end: open + 1)
        var index = open + 1
        var lineCount = 0
        while true {
            guard index < count, lineCount <= limits.quotedLineCount,
                index - record.start <= limits.lineByteCount
            else {
                if index >= count { touchedEnd = true }
                return unterminated(open, &record)
            }
            let byte = bytes[index]
            if byte == Self.quote {
                if index + 1 >= count { touchedEnd = true }
                guard index + 1 < count, bytes[index + 1] == Self.quote else { break }
                field.hasDoubledQuotes = true
                index += 1
            } else if byte == Self.lineFeed {
                lineCount += 1
            }
            index += 1
        }
        field.end = index
        index += 1
        // What follows the quote decides, and what follows a carriage return after it.
        if index + 1 >= count { touchedEnd = true }
        if index < count, bytes[index] == Self.carriageReturn,
            index + 1 == count || bytes[index + 1] == Self.lineFeed
        {
            index += 1
        }
        if index < count, !isFieldEnd(bytes[index]) {
            if lineCount > 0 { return unterminated(open, &record) }
            if record.problem == nil {
                record.problem = .malformedQuote
                record.problemField = record.fields.count
            }
            while index < count, !isFieldEnd(bytes[index]) { index += 1 }
        }
        quotedLineCount += lineCount
        append(field, to: &record)
        return index
    }

    private func unterminated(_ open: Int, _ record: inout Record) -> Int {
        record.problem = .unterminatedQuote
        record.problemField = record.fields.count
        return open
    }

    private mutating func endAtPhysicalLine(_ bytes: Span<UInt8>, _ record: inout Record) {
        var index = record.start
        while index < bytes.count, bytes[index] != Self.lineFeed { index += 1 }
        if index == bytes.count { touchedEnd = true }
        record.end = index
        if index > record.start, bytes[index - 1] == Self.carriageReturn { record.end -= 1 }
        position = min(index + 1, bytes.count)
        nextLineNumber += 1
    }

    private func append(_ field: Field, to record: inout Record) {
        if record.fields.count < Limits.fieldCount {
            record.fields.append(field)
        } else if record.problem == nil {
            record.problem = .wrongFieldCount
        }
    }

    private func trimCarriageReturn(_ bytes: Span<UInt8>, lineEnd: Int, _ record: inout Record) {
        let last = record.fields.count - 1
        if last >= 0, record.fields[last].end == lineEnd, lineEnd > record.fields[last].start,
            bytes[lineEnd - 1] == Self.carriageReturn
        {
            record.fields[last].end -= 1
        }
    }

    private func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }

    private func isFieldEnd(_ byte: UInt8) -> Bool {
        byte == Self.lineFeed || (isBlanks ? isBlank(byte) : byte == delimiter)
    }
}

/// The bytes of a field that quotes or doubled quotes stand in, as text means them.
func unquoted(_ bytes: Span<UInt8>, _ field: Field) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(field.end - field.start)
    var index = field.start
    while index < field.end {
        result.append(bytes[index])
        let isDoubled = field.hasDoubledQuotes && bytes[index] == UInt8(ascii: "\"")
        index += isDoubled ? 2 : 1
    }
    return result
}
