// Why unsafe: columns are written behind `reserveRows`, and texts are handed on by the address of their
// first byte; both lie in memory whose owners keep eight and more bytes behind the last one.

/// Reads pieces of a file, one after the other, on one thread.
///
/// A line whose fields are all plain takes the quick way: separators found 64 bytes at a time, fields
/// read column by column. Any other line, and any line with something wrong, takes the careful way
/// through `RecordScanner` and `PurchaseParser`, which alone decide what is wrong.
final class PieceReader: @unchecked Sendable {
    private let columns: PurchaseColumns
    private let isCareful: Bool
    private var scanner: RecordScanner
    private var parser: PurchaseParser
    private var judge: LineJudge
    private var record = Record()
    private let finder: LineFinder
    private let fields: FieldReader
    /// One a text column; they belong to whoever made the reader.
    private let dictionaries: UnsafeMutablePointer<TextDictionary>
    private let workerIndex: Int
    /// Lines that are read at a time: few after one that could not be.
    private var lineCount = LineFinder.lineCount

    init(
        _ columns: PurchaseColumns, scanner: RecordScanner, _ plan: ReadingPlan, keepsRows: Bool,
        dictionaries: UnsafeMutablePointer<TextDictionary>, workerIndex: Int
    ) {
        self.columns = columns
        isCareful = plan.isCareful || columns.format.delimiter == .blanks
        self.scanner = scanner
        self.dictionaries = dictionaries
        self.workerIndex = workerIndex
        parser = PurchaseParser(columns)
        judge = LineJudge(layout: columns.layout, format: columns.format, keepsRows: keepsRows)
        finder = LineFinder(
            fieldCount: columns.layout.fieldCount, separator: columns.format.delimiter.byte,
            lineLimit: plan.recordLimits.lineByteCount)
        fields = FieldReader(columns, dictionaries: dictionaries)
    }

    /// Reads the records that start at or after `start` and at or before `lastStart`, both counted
    /// from the buffer's first byte; at `start` a line begins.
    ///
    /// Stops before a record that the buffer has not all of, and after as many rejects as are kept.
    func read(
        _ buffer: TextBuffer, from start: Int, lastStart: Int, into result: PieceResult
    ) {
        begin(result, at: buffer.offset + start)
        var position = start
        if isCareful {
            while position < buffer.count, position <= lastStart {
                guard readCarefully(buffer, &position, lastStart, result),
                    judge.rejects.rows.count < RejectRows.most
                else { break }
            }
        } else {
            readQuickly(buffer, &position, lastStart, result)
        }
        finish(result, at: buffer.offset + position)
    }

    /// Reads the one record, or blank line, at the buffer's start, whose bytes are all there.
    /// - Returns: false, and nothing read, where they are not.
    func readOne(_ buffer: TextBuffer, into result: PieceResult) -> Bool {
        begin(result, at: buffer.offset)
        var position = 0
        let isRead = readCarefully(buffer, &position, 0, result)
        finish(result, at: buffer.offset + position)
        return isRead
    }

    /// Rejects the line at the buffer's start, which is longer than the limit; its end is not known.
    func rejectLongLine(_ buffer: TextBuffer, into result: PieceResult) {
        begin(result, at: buffer.offset)
        record.fields.removeAll(keepingCapacity: true)
        record.start = 0
        record.end = buffer.count
        record.lineNumber = 0
        record.problem = .lineTooLong
        record.problemField = -1
        _ = judge.begin(buffer.span, record)
        judge.reject(buffer.span, record)
        result.physicalLineCount = 1
        finish(result, at: buffer.offset)
    }

    private func begin(_ result: PieceResult, at offset: Int) {
        result.reset(start: offset)
        result.workerIndex = workerIndex
        result.newCodes = columns.textIndices.indices.map {
            dictionaries[$0].count..<dictionaries[$0].count
        }
        judge.tally = LineTally()
        judge.rejects.removeAll()
    }

    private func finish(_ result: PieceResult, at offset: Int) {
        for place in columns.textIndices.indices {
            result.newCodes[place] =
                result.newCodes[place].lowerBound..<dictionaries[place].count
        }
        result.end = offset
        result.tally = judge.tally
        swap(&result.rejects, &judge.rejects)
    }

    private func readQuickly(
        _ buffer: TextBuffer, _ position: inout Int, _ lastStart: Int, _ result: PieceResult
    ) {
        let last = min(lastStart, buffer.count - 1)
        finder.begin(buffer, at: position)
        while position <= last {
            let lines = finder.find(lineCount, last: last)
            let count =
                lines.count > 0
                ? fields.read(lines, buffer, &result.columns, &judge.tally) : 0
            finder.use(count)
            position = finder.position
            result.physicalLineCount += count
            if count == lines.count, count > 0 {
                lineCount = min(2 * lineCount, LineFinder.lineCount)
                continue
            }
            // What is read together with a line that stops it is read in vain.
            if lines.count > 0 { lineCount = min(lineCount, max(8, 2 * count)) }
            guard position <= last else { return }
            guard readCarefully(buffer, &position, lastStart, result),
                judge.rejects.rows.count < RejectRows.most
            else { return }
            finder.move(to: position)
        }
    }

    /// One record by the careful way, or blank lines; false where it needs more bytes.
    @inline(never)
    private func readCarefully(
        _ buffer: TextBuffer, _ position: inout Int, _ lastStart: Int, _ result: PieceResult
    ) -> Bool {
        let bytes = buffer.span
        scanner.move(to: position, lineNumber: result.physicalLineCount)
        let isFound = scanner.next(bytes, &record, lastStart: lastStart)
        if scanner.touchedEnd && !buffer.reachesEnd {
            result.needsMore = true
            return false
        }
        position = scanner.position
        result.physicalLineCount = scanner.nextLineNumber
        guard isFound else { return true }
        if judge.begin(bytes, record), let line = parser.parse(bytes, record, &judge) {
            append(line, buffer, &result.columns)
            judge.acceptPurchase(time: line.time, isReturn: line.amount < 0)
        }
        if judge.hasIssues { judge.reject(bytes, record) }
        return true
    }

    private func append(
        _ line: PurchaseLine, _ buffer: TextBuffer, _ result: inout PieceColumns
    ) {
        result.reserveRows(1)
        let row = result.count
        switch line.id {
        case .integer(let value): result.ids[row] = value
        case .text(let start, let end):
            result.appendID(buffer.span.extracting(start..<end))
        case .unescaped(let text): result.appendID(text.span)
        case .failure: return
        }
        result.times[row] = line.time
        result.amounts[row] = line.amount
        result.margins[row] = line.margin ?? 0
        result.quantities[row] = line.quantity ?? 0
        for (place, index) in columns.textIndices.enumerated() {
            let target = result.codes + (place * result.capacity + row)
            let field = record.fields[index]
            if field.hasDoubledQuotes {
                let text = trimmed(unquoted(buffer.span, field))
                let padded = text + [UInt8](repeating: 0, count: 8)
                target.pointee = padded.withUnsafeBufferPointer {
                    code(place, $0.baseAddress ?? UnsafePointer(buffer.base), text.count)
                }
            } else {
                var (start, end) = (field.start, field.end)
                trim(buffer.span, &start, &end)
                target.pointee = code(place, UnsafePointer(buffer.base) + start, end - start)
            }
        }
        result.count += 1
    }

    private func code(
        _ place: Int, _ text: UnsafePointer<UInt8>, _ count: Int
    ) -> UInt32 {
        count == 0 ? .max : dictionaries[place].code(text, count)
    }
}
