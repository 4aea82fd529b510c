// Why unsafe: the inner loop of an ingest. Fields are found by positions that `scanText` wrote, all of
// which lie inside the piece; words are read from `TextBuffer`, which has 64 bytes behind the last;
// columns are written behind `reserveRow`.

import Numerical

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Reads pieces of a file, one after the other, on one thread.
///
/// A line whose fields are all plain takes the quick way: separators found 64 bytes at a time,
/// digits read eight at a time. Any other line, and any line with something wrong, takes the careful
/// way through `RecordScanner` and `PurchaseParser`, which alone decide what is wrong.
///
/// What the quick way needs are constants of the object: a large structure would be copied whole
/// wherever a part of it is used.
final class PieceReader: @unchecked Sendable {
    private let columns: PurchaseColumns
    private let isCareful: Bool
    private let kernels = KernelTable.current
    private var scanner: RecordScanner
    private var parser: PurchaseParser
    private var judge: LineJudge
    private var record = Record()
    /// One a text column; they belong to whoever made the reader.
    private let dictionaries: UnsafeMutablePointer<TextDictionary>
    private let workerIndex: Int

    private let memory: ScanMemory
    private let quick: QuickFields
    private let lineLimit: Int
    private let fieldCount: Int
    private let separator: UInt8
    private let isIntegerID: Bool
    private let isISOTime: Bool
    private let marginIsCost: Bool
    /// Where the fields are; -1 for one that is not mapped. With a price the amount is computed.
    private let customer: Int
    private let time: Int
    private let amount: Int
    private let price: Int
    private let quantity: Int
    private let margin: Int
    private let textCount: Int

    /// Bytes whose positions are kept at a time: they fit into the first-level cache.
    private static let scanByteCount = 1 << 14

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
        lineLimit = plan.recordLimits.lineByteCount
        quick = QuickFields(decimalSign: columns.decimalSign)
        fieldCount = columns.layout.fieldCount
        separator = columns.format.delimiter.byte
        isIntegerID = columns.idKind == .integer
        isISOTime = columns.timeFormat == .iso8601
        marginIsCost = columns.marginIsCost
        customer = columns.customerIndex
        time = columns.timeIndex
        switch columns.amount {
        case .amount(let index): (amount, price) = (index, -1)
        case .product(_, let unitPrice): (amount, price) = (-1, unitPrice)
        }
        quantity = columns.quantityIndex ?? -1
        margin = columns.marginIndex ?? -1
        textCount = columns.textIndices.count
        memory = ScanMemory(
            positionCount: 2 * fieldCount + 130 + Self.scanByteCount + KernelTable.textScanSlack,
            fieldCount: fieldCount, textFields: columns.textIndices, dayCount: TimeParser.dayCount)
    }

    /// Reads the records that start at or after `start` and at or before `lastStart`, both counted
    /// from the buffer's first byte; at `start` a line begins.
    ///
    /// Stops before a record that the buffer has not all of.
    func read(
        _ buffer: TextBuffer, from start: Int, lastStart: Int, into result: PieceResult
    ) {
        begin(result, at: buffer.offset + start)
        var position = start
        if isCareful {
            while position < buffer.count, position <= lastStart {
                if !readCarefully(buffer, &position, lastStart, result) { break }
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
        judge.rows.removeAll(keepingCapacity: true)
    }

    private func finish(_ result: PieceResult, at offset: Int) {
        for place in columns.textIndices.indices {
            result.newCodes[place] =
                result.newCodes[place].lowerBound..<dictionaries[place].count
        }
        result.end = offset
        result.tally = judge.tally
        swap(&result.rows, &judge.rows)
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
        result.reserveRow()
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

    @inline(__always)
    private func code(
        _ place: Int, _ text: UnsafePointer<UInt8>, _ count: Int
    ) -> UInt32 {
        count == 0 ? .max : dictionaries[place].code(text, count)
    }

    private func readQuickly(
        _ buffer: TextBuffer, _ position: inout Int, _ lastStart: Int, _ result: PieceResult
    ) {
        let count = buffer.count
        let blockCount = (count + 63) / 64
        memory.reserveFlags(blockCount)
        let positions = memory.positions
        let base = UnsafePointer(buffer.base)
        let fieldCount = fieldCount
        let lookAhead = 2 * fieldCount + 64
        let last = min(lastStart, count - 1)
        /// Blocks of which the positions are known.
        var scannedBlocks = position / 64
        /// Positions not yet used: `cursor ..< filled`; the one before is the last line's end.
        var cursor = 1
        var filled = 1
        while position <= last {
            if filled - cursor < lookAhead && scannedBlocks < blockCount {
                let kept = filled - cursor
                for index in 0..<kept { positions[1 + index] = positions[cursor + index] }
                cursor = 1
                let next = min(scannedBlocks + Self.scanByteCount / 64, blockCount)
                filled =
                    1 + kept
                    + scan(base, scannedBlocks..<next, into: 1 + kept)
                scannedBlocks = next
                while cursor < filled, Int(positions[cursor]) < position { cursor += 1 }
            }
            positions[cursor - 1] = UInt32(truncatingIfNeeded: position &- 1)
            let used = readPlainLines(
                buffer, base, &position, last, cursor, filled,
                mustLookAhead: scannedBlocks < blockCount,
                result)
            cursor += used
            if position > last { return }
            if filled - cursor < lookAhead && scannedBlocks < blockCount { continue }
            positions[cursor - 1] = UInt32(truncatingIfNeeded: position &- 1)
            if let used = readQuotedLine(buffer, base, &position, cursor, filled, result) {
                cursor += used
            } else {
                guard readCarefully(buffer, &position, lastStart, result) else { return }
                while cursor < filled, Int(positions[cursor]) < position { cursor += 1 }
            }
        }
    }

    /// Writes the positions of some blocks; returns how many there are.
    private func scan(
        _ base: UnsafePointer<UInt8>, _ blocks: Range<Int>, into start: Int
    ) -> Int {
        let bytes = UnsafeBufferPointer(
            start: base + 64 * blocks.lowerBound, count: 64 * blocks.count)
        let flags = UnsafeMutableBufferPointer(
            start: memory.flags + blocks.lowerBound, count: blocks.count)
        let positions = UnsafeMutableBufferPointer(
            start: memory.positions + start, count: memory.positionCount - start)
        var flagSpan = flags.mutableSpan
        var positionSpan = positions.mutableSpan
        return kernels.scanText(
            bytes.span, separators: (separator, separator), base: 64 * blocks.lowerBound,
            positions: &positionSpan, flags: &flagSpan)
    }

    /// Reads lines of plain fields until one is not; returns how many positions it used.
    private func readPlainLines(
        _ buffer: TextBuffer, _ base: UnsafePointer<UInt8>, _ position: inout Int, _ last: Int,
        _ first: Int, _ filled: Int, mustLookAhead: Bool, _ result: PieceResult
    ) -> Int {
        let fieldCount = fieldCount
        let needed = mustLookAhead ? 2 * fieldCount + 64 : fieldCount
        let separator = separator
        var cursor = first
        var rows = result.columns
        var times = TimeRange()
        let firstRow = rows.count
        let limit = lineLimit
        var lineStart = position
        let positions = memory.positions
        let flags = UnsafePointer(memory.flags)
        while lineStart <= last, filled - cursor >= needed {
            let ends = UnsafePointer(positions) + cursor
            let lineEnd = Int(ends[fieldCount - 1])
            var difference = base[lineEnd] ^ 0x0A
            for index in 0..<fieldCount - 1 {
                difference |= base[Int(ends[index])] ^ separator
            }
            guard difference == 0, lineEnd > lineStart, base[lineEnd - 1] != 0x0D,
                lineEnd - lineStart <= limit, isText(buffer, flags, lineStart, lineEnd),
                readLine(buffer, base, ends - 1, ends, &rows, &times)
            else { break }
            cursor += fieldCount
            lineStart = lineEnd + 1
        }
        result.physicalLineCount += rows.count - firstRow
        result.columns = rows
        accept(rows.count - firstRow, times)
        position = lineStart
        return cursor - first
    }

    /// Reads one line whose fields may be quoted whole, without quotes or line ends inside, and
    /// which may end with a carriage return. Returns how many positions it used, or nil for another.
    private func readQuotedLine(
        _ buffer: TextBuffer, _ base: UnsafePointer<UInt8>, _ position: inout Int, _ first: Int,
        _ filled: Int, _ result: PieceResult
    ) -> Int? {
        let (positions, starts, ends) = (memory.positions, memory.starts, memory.ends)
        var cursor = first
        var start = position
        for index in 0..<fieldCount {
            guard cursor < filled else { return nil }
            var end = Int(positions[cursor])
            let isQuoted = base[start] == 0x22
            if isQuoted {
                // The opening quote, then whatever separators, then the closing one.
                cursor += 1
                while cursor < filled, base[Int(positions[cursor])] == separator { cursor += 1 }
                guard cursor + 1 < filled else { return nil }
                end = Int(positions[cursor])
                guard base[end] == 0x22 else { return nil }
                starts[index] = UInt32(start)
                ends[index] = UInt32(end)
                end += 1
                cursor += 1
                if index == fieldCount - 1, base[end] == 0x0D { end += 1 }
                guard Int(positions[cursor]) == end else { return nil }
            } else {
                while base[end] == 0x22 {
                    cursor += 1
                    guard cursor < filled else { return nil }
                    end = Int(positions[cursor])
                }
                starts[index] = UInt32(truncatingIfNeeded: start &- 1)
                let isReturn =
                    index == fieldCount - 1 && end > start && base[end - 1] == 0x0D
                ends[index] = UInt32(isReturn ? end - 1 : end)
            }
            guard base[end] == (index == fieldCount - 1 ? 0x0A : separator) else { return nil }
            cursor += 1
            start = end + 1
        }
        let lineEnd = start - 1
        guard fieldCount > 1 || ends[0] > UInt32(position),
            lineEnd - position <= lineLimit
        else { return nil }
        var times = TimeRange()
        var rows = result.columns
        let isRead =
            isText(buffer, UnsafePointer(memory.flags), position, lineEnd)
            && readLine(
                buffer, base, UnsafePointer(starts), UnsafePointer(ends), &rows, &times)
        result.columns = rows
        guard isRead else { return nil }
        accept(1, times)
        result.physicalLineCount += 1
        position = start
        return cursor - first
    }

    /// Whether the bytes of a line are UTF-8 without NUL.
    @inline(__always)
    private func isText(
        _ buffer: TextBuffer, _ flags: UnsafePointer<UInt8>, _ start: Int, _ end: Int
    ) -> Bool {
        var flag: UInt8 = 0
        var block = start &>> 6
        while block <= end &>> 6 {
            flag |= flags[block]
            block &+= 1
        }
        return flag == 0 || firstTextProblem(buffer.span, from: start, to: end) == nil
    }

    private func accept(_ count: Int, _ times: TimeRange) {
        judge.tally.lineCount += count
        judge.tally.acceptedCount += count
        judge.tally.returnCount += times.returnCount
        judge.tally.firstTime = min(judge.tally.firstTime, times.first)
        judge.tally.lastTime = max(judge.tally.lastTime, times.last)
    }

    /// Reads the fields of a line and appends it; false, and nothing appended, where one of them is
    /// not as it should be.
    /// - Parameters:
    ///   - starts: by field, where it starts, less one.
    ///   - ends: by field, where it ends.
    @inline(__always)
    private func readLine(
        _ buffer: TextBuffer, _ base: UnsafePointer<UInt8>, _ starts: UnsafePointer<UInt32>,
        _ ends: UnsafePointer<UInt32>, _ rows: inout PieceColumns, _ times: inout TimeRange
    ) -> Bool {
        rows.reserveRow()
        let row = rows.count
        if isIntegerID {
            guard let id = integer(buffer, base, text(base, starts, ends, customer)) else {
                return false
            }
            rows.ids[row] = id
        }
        guard let second = instant(buffer, base, text(base, starts, ends, time)) else {
            return false
        }
        let value: Int64
        if price < 0 {
            guard let money = money(buffer, base, text(base, starts, ends, amount)) else {
                return false
            }
            value = money
            if quantity >= 0 {
                let field = text(base, starts, ends, quantity)
                if field.count == 0 {
                    rows.quantities[row] = value < 0 ? -1 : 1
                } else {
                    guard let items = items(buffer, base, field) else { return false }
                    rows.quantities[row] = items
                }
            }
        } else {
            guard let count = number(buffer, base, text(base, starts, ends, quantity)),
                let items = items(count),
                let unit = number(buffer, base, text(base, starts, ends, price)),
                unit.digits != 0, !unit.isNegative,
                let product = DecimalNumber.product(count, unit)
            else { return false }
            value = product
            rows.quantities[row] = items
        }
        if margin >= 0 {
            guard let money = money(buffer, base, text(base, starts, ends, margin)) else {
                return false
            }
            rows.margins[row] = marginIsCost ? value &- money : money
        }
        for place in 0..<textCount {
            if text(base, starts, ends, memory.textFields[place]).count > Limits.textByteCount {
                return false
            }
        }
        if !isIntegerID {
            var (start, count) = text(base, starts, ends, customer)
            trimBlanks(&start, &count)
            guard count > 0, count <= Limits.idByteCount else { return false }
            rows.reserveText(count)
            (rows.idText + rows.idTextCount).update(from: start, count: count)
            rows.idTextCount += count
            rows.ids[row] = Int64(rows.idTextCount)
        }
        for place in 0..<textCount {
            var (start, count) = text(base, starts, ends, memory.textFields[place])
            trimBlanks(&start, &count)
            rows.codes[place &* rows.capacity &+ row] = code(place, start, count)
        }
        rows.times[row] = second
        rows.amounts[row] = value
        rows.count = row &+ 1
        times.returnCount &+= value < 0 ? 1 : 0
        times.first = min(times.first, second)
        times.last = max(times.last, second)
        return true
    }

    @inline(__always)
    private func text(
        _ base: UnsafePointer<UInt8>, _ starts: UnsafePointer<UInt32>,
        _ ends: UnsafePointer<UInt32>, _ field: Int
    ) -> (start: UnsafePointer<UInt8>, count: Int) {
        let start = Int(starts[field] &+ 1)
        return (base + start, Int(ends[field]) &- start)
    }

    @inline(__always)
    private func trimBlanks(_ start: inout UnsafePointer<UInt8>, _ count: inout Int) {
        while count > 0, start.pointee == 0x20 || start.pointee == 0x09 {
            start += 1
            count -= 1
        }
        while count > 0, start[count - 1] == 0x20 || start[count - 1] == 0x09 { count -= 1 }
    }

    @inline(__always)
    private func integer(
        _ buffer: TextBuffer, _ base: UnsafePointer<UInt8>,
        _ field: (start: UnsafePointer<UInt8>, count: Int)
    ) -> Int64? {
        quick.integer(field.start, field.count) ?? carefulNumber(buffer, base, field)?.integer
    }

    @inline(__always)
    private func instant(
        _ buffer: TextBuffer, _ base: UnsafePointer<UInt8>,
        _ field: (start: UnsafePointer<UInt8>, count: Int)
    ) -> Int64? {
        guard isISOTime, let time = quick.isoTime(field.start, field.count) else {
            return carefulTime(buffer, base, field)
        }
        let offset = memory.offsets[time.day &- TimeParser.firstDayNumber]
        guard offset & 1 != 0 else { return carefulInstant(time.day, time.second) }
        return Int64(time.day &* 86_400 &+ time.second &- Int(offset &>> 1))
    }

    /// Looks the zone's offset up, and keeps it where it is the same all day.
    @inline(never)
    private func carefulInstant(_ day: Int, _ second: Int) -> Int64 {
        if let offset = parser.timeParser.offset(on: day) {
            memory.offsets[day - TimeParser.firstDayNumber] = offset * 2 + 1
        }
        return parser.timeParser.instant(day: day, second: second)
    }

    @inline(never)
    private func carefulTime(
        _ buffer: TextBuffer, _ base: UnsafePointer<UInt8>,
        _ field: (start: UnsafePointer<UInt8>, count: Int)
    ) -> Int64? {
        var (start, end) = (field.start - base, field.start - base + field.count)
        trim(buffer.span, &start, &end)
        guard start < end,
            case .valid(let time) = parser.timeParser.parse(buffer.span, from: start, to: end)
        else { return nil }
        return time
    }

    /// An amount in ten-thousandths.
    @inline(__always)
    private func money(
        _ buffer: TextBuffer, _ base: UnsafePointer<UInt8>,
        _ field: (start: UnsafePointer<UInt8>, count: Int)
    ) -> Int64? {
        if let number = quick.decimal(field.start, field.count), number.fractionCount <= 4 {
            // Below 10^8 x 10^4.
            let value = Int64(number.digits) &* scale(4 &- number.fractionCount)
            return number.isNegative ? -value : value
        }
        return carefulNumber(buffer, base, field)?.tenThousandths
    }

    /// 10^exponent, 0…4.
    @inline(__always)
    private func scale(_ exponent: Int) -> Int64 {
        let squared: Int64 = exponent & 2 != 0 ? 100 : 1
        let single: Int64 = exponent & 1 != 0 ? 10 : 1
        return exponent == 4 ? 10_000 : squared &* single
    }

    @inline(__always)
    private func number(
        _ buffer: TextBuffer, _ base: UnsafePointer<UInt8>,
        _ field: (start: UnsafePointer<UInt8>, count: Int)
    ) -> DecimalNumber? {
        if let number = quick.decimal(field.start, field.count) {
            return DecimalNumber(
                digits: number.digits, exponent: -number.fractionCount,
                isNegative: number.isNegative)
        }
        return carefulNumber(buffer, base, field)
    }

    @inline(__always)
    private func items(
        _ buffer: TextBuffer, _ base: UnsafePointer<UInt8>,
        _ field: (start: UnsafePointer<UInt8>, count: Int)
    ) -> Float? {
        guard let number = number(buffer, base, field) else { return nil }
        return items(number)
    }

    /// A quantity as a finite number; nil where it is out of range.
    @inline(__always)
    private func items(_ number: DecimalNumber) -> Float? {
        if number.exponent == 0, number.digits < 1 << 24 {
            return number.isNegative ? -Float(number.digits) : Float(number.digits)
        }
        return carefulItems(number)
    }

    @inline(never)
    private func carefulItems(_ number: DecimalNumber) -> Float? {
        guard number.tenThousandths != nil, let value = number.double else { return nil }
        return Float(value)
    }

    @inline(never)
    private func carefulNumber(
        _ buffer: TextBuffer, _ base: UnsafePointer<UInt8>,
        _ field: (start: UnsafePointer<UInt8>, count: Int)
    ) -> DecimalNumber? {
        var (start, end) = (field.start - base, field.start - base + field.count)
        trim(buffer.span, &start, &end)
        guard start < end else { return nil }
        return DecimalNumber(
            buffer.span, from: start, to: end, decimalSign: columns.decimalSign)
    }
}

/// The times and returns of some lines.
private struct TimeRange {
    var first = Int64.max
    var last = Int64.min
    var returnCount = 0
}

/// What the quick way reads and writes, for one thread.
private final class ScanMemory {
    let positionCount: Int
    let positions: UnsafeMutablePointer<UInt32>
    /// By field of one line: where it starts, less one, and ends.
    let starts: UnsafeMutablePointer<UInt32>
    let ends: UnsafeMutablePointer<UInt32>
    /// By text column: its field.
    let textFields: UnsafeMutablePointer<Int>
    /// By local day from the first of `Limits.years`: twice the zone's offset and one more, or 0
    /// where it is unknown or not the same all day. Memory that few days ever touch.
    let offsets: UnsafeMutablePointer<Int32>
    /// By block of the piece.
    private(set) var flags = UnsafeMutablePointer<UInt8>.allocate(capacity: 0)
    private var flagCapacity = 0

    init(positionCount: Int, fieldCount: Int, textFields fields: [Int], dayCount: Int) {
        self.positionCount = positionCount
        positions = .allocate(capacity: positionCount)
        positions.initialize(repeating: 0, count: positionCount)
        starts = .allocate(capacity: fieldCount)
        ends = .allocate(capacity: fieldCount)
        textFields = .allocate(capacity: fields.count)
        for (place, field) in fields.enumerated() { textFields[place] = field }
        let zeros = calloc(dayCount, MemoryLayout<Int32>.stride)
        offsets = zeros.unsafelyUnwrapped.bindMemory(to: Int32.self, capacity: dayCount)
    }

    deinit {
        positions.deallocate()
        starts.deallocate()
        ends.deallocate()
        textFields.deallocate()
        free(offsets)
        flags.deallocate()
    }

    func reserveFlags(_ count: Int) {
        guard count > flagCapacity else { return }
        flags.deallocate()
        flags = .allocate(capacity: count)
        flagCapacity = count
    }
}
