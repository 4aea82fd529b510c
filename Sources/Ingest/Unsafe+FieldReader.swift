// Why unsafe: the inner loop of an ingest. Fields are found by positions that `LineFinder` gives, all
// of which lie inside the piece; words are read from `TextBuffer`, which has 64 bytes behind the last;
// columns are written behind `reserveRows`, and text ids behind `reserveText`.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Reads the mapped fields of lines whose fields have been found into a piece's columns.
///
/// It goes column by column: first as if all fields were written plainly, by arithmetic without a
/// jump that depends on the text, then, where one of them was not, once more field by field. What it
/// cannot read ends the lines that it takes; it says nothing about what is wrong there.
final class FieldReader {
    private typealias Field = (start: UnsafePointer<UInt8>, count: Int)

    private let quick: QuickFields
    private var timeParser: TimeParser
    private let decimalSign: UInt8
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
    private let textFields: [Int]
    /// By local day from the first of `Limits.years`: twice the zone's offset and one more, or 0
    /// where it is unknown or not the same all day. Memory that few days ever touch.
    private let offsets: UnsafeMutablePointer<Int32>
    /// One a text column; they belong to whoever made the reader.
    private let dictionaries: UnsafeMutablePointer<TextDictionary>
    /// Lines whose text is looked for once more.
    private let missed = UnsafeMutablePointer<UInt32>.allocate(capacity: LineFinder.lineCount + 1)

    init(_ columns: PurchaseColumns, dictionaries: UnsafeMutablePointer<TextDictionary>) {
        quick = QuickFields(decimalSign: columns.decimalSign)
        timeParser = TimeParser(
            format: columns.timeFormat, clock: columns.clock,
            decimalSign: columns.format.decimalSign)
        decimalSign = columns.decimalSign
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
        textFields = columns.textIndices
        self.dictionaries = dictionaries
        let zeros = calloc(TimeParser.dayCount, MemoryLayout<Int32>.stride)
        offsets = zeros.unsafelyUnwrapped.bindMemory(to: Int32.self, capacity: TimeParser.dayCount)
    }

    deinit {
        free(offsets)
        missed.deallocate()
    }

    /// Appends lines until one cannot be read; returns how many.
    func read(
        _ lines: LineFields, _ buffer: TextBuffer, _ rows: inout PieceColumns,
        _ tally: inout LineTally
    ) -> Int {
        rows.reserveRows(lines.count)
        let base = UnsafePointer(buffer.base)
        let row = rows.count
        let times = rows.times + row
        let amounts = rows.amounts + row
        var count = lines.count
        if isIntegerID { count = readIntegerIDs(lines, count, buffer, rows.ids + row) }
        count = readTimes(lines, count, buffer, times)
        if price < 0 {
            count = readMoney(lines, amount, count, buffer, amounts)
            if quantity >= 0 {
                count = readItems(lines, count, buffer, amounts, rows.quantities + row)
            }
        } else {
            count = readProducts(lines, count, buffer, amounts, rows.quantities + row)
        }
        if margin >= 0 {
            count = readMoney(lines, margin, count, buffer, rows.margins + row)
            if marginIsCost {
                for line in 0..<count {
                    rows.margins[row + line] = amounts[line] &- rows.margins[row + line]
                }
            }
        }
        for field in textFields {
            count = countOfShortTexts(lines, field, count)
        }
        if !isIntegerID { count = readTextIDs(lines, count, base, &rows) }
        for place in textFields.indices {
            readCodes(
                lines, textFields[place], count, base, place,
                rows.codes + (place * rows.capacity + row))
        }
        rows.count = row + count
        var (first, last, returnCount) = (tally.firstTime, tally.lastTime, 0)
        for line in 0..<count {
            first = min(first, times[line])
            last = max(last, times[line])
            returnCount &+= Int(truncatingIfNeeded: UInt64(bitPattern: amounts[line]) &>> 63)
        }
        tally.firstTime = first
        tally.lastTime = last
        tally.returnCount += returnCount
        tally.lineCount += count
        tally.acceptedCount += count
        return count
    }

    /// The bytes of a field.
    @inline(__always)
    private func text(
        _ lines: LineFields, _ field: Int, _ line: Int, _ base: UnsafePointer<UInt8>
    ) -> Field {
        let index = line &* lines.stride &+ field
        let start = Int(lines.starts[index] &+ 1)
        return (base + start, Int(lines.ends[index]) &- start)
    }

    private func readIntegerIDs(
        _ lines: LineFields, _ count: Int, _ buffer: TextBuffer,
        _ target: UnsafeMutablePointer<Int64>
    ) -> Int {
        let base = UnsafePointer(buffer.base)
        var problems: UInt64 = 0
        for line in 0..<count {
            let field = text(lines, customer, line, base)
            let (value, problem) = quick.shortInteger(field.start, field.count)
            target[line] = Int64(truncatingIfNeeded: value)
            problems |= problem
        }
        if problems == 0 { return count }
        for line in 0..<count {
            let field = text(lines, customer, line, base)
            guard
                let id = quick.integer(field.start, field.count)
                    ?? carefulNumber(buffer, field)?.integer
            else { return line }
            target[line] = id
        }
        return count
    }

    private func readTimes(
        _ lines: LineFields, _ count: Int, _ buffer: TextBuffer,
        _ target: UnsafeMutablePointer<Int64>
    ) -> Int {
        let base = UnsafePointer(buffer.base)
        guard count > 0 else { return 0 }
        let byteCount = text(lines, time, 0, base).count
        if isISOTime, byteCount == 19 || byteCount == 10 {
            let offsets = UnsafePointer(offsets)
            var problems: UInt64 = 0
            for line in 0..<count {
                let field = text(lines, time, line, base)
                var (day, problem) = quick.isoDay(field.start)
                var second = 0
                if byteCount == 19 {
                    let (value, timeProblem) = quick.secondOfDay(field.start)
                    second = value
                    problem |= timeProblem
                }
                problem |= UInt64(truncatingIfNeeded: field.count ^ byteCount)
                // A day that is none is 1970-01-01 here.
                let offset = offsets[day &- TimeParser.firstDayNumber]
                problem |= UInt64(truncatingIfNeeded: ~offset & 1)
                target[line] = Int64(day &* 86_400 &+ second &- Int(offset &>> 1))
                problems |= problem
            }
            if problems == 0 { return count }
        }
        for line in 0..<count {
            let field = text(lines, time, line, base)
            guard let instant = instant(buffer, field) else { return line }
            target[line] = instant
        }
        return count
    }

    private func instant(_ buffer: TextBuffer, _ field: Field) -> Int64? {
        guard isISOTime, field.count == 10 || field.count == 19 else {
            return carefulTime(buffer, field)
        }
        var (day, problem) = quick.isoDay(field.start)
        var second = 0
        if field.count == 19 {
            let (value, timeProblem) = quick.secondOfDay(field.start)
            second = value
            problem |= timeProblem
        }
        guard problem == 0 else { return carefulTime(buffer, field) }
        let offset = offsets[day &- TimeParser.firstDayNumber]
        guard offset & 1 != 0 else { return carefulInstant(day, second) }
        return Int64(day &* 86_400 &+ second &- Int(offset &>> 1))
    }

    /// Looks the zone's offset up, and keeps it where it is the same all day.
    private func carefulInstant(_ day: Int, _ second: Int) -> Int64 {
        if let offset = timeParser.offset(on: day) {
            offsets[day - TimeParser.firstDayNumber] = offset * 2 + 1
        }
        return timeParser.instant(day: day, second: second)
    }

    /// Amounts in ten-thousandths.
    private func readMoney(
        _ lines: LineFields, _ field: Int, _ count: Int, _ buffer: TextBuffer,
        _ target: UnsafeMutablePointer<Int64>
    ) -> Int {
        let base = UnsafePointer(buffer.base)
        var problems: UInt64 = 0
        for line in 0..<count {
            let place = text(lines, field, line, base)
            let (value, problem) = quick.shortMoney(place.start, place.count)
            target[line] = value
            problems |= problem
        }
        if problems == 0 { return count }
        for line in 0..<count {
            guard let money = money(buffer, text(lines, field, line, base)) else { return line }
            target[line] = money
        }
        return count
    }

    private func money(_ buffer: TextBuffer, _ field: Field) -> Int64? {
        let (value, problem) = quick.shortMoney(field.start, field.count)
        return problem == 0 ? value : carefulNumber(buffer, field)?.tenThousandths
    }

    /// Quantities beside amounts; where one is empty, one item was bought or returned.
    private func readItems(
        _ lines: LineFields, _ count: Int, _ buffer: TextBuffer, _ amounts: UnsafePointer<Int64>,
        _ target: UnsafeMutablePointer<Float>
    ) -> Int {
        let base = UnsafePointer(buffer.base)
        var problems: UInt64 = 0
        for line in 0..<count {
            let field = text(lines, quantity, line, base)
            let (value, problem) = quick.shortInteger(field.start, field.count)
            target[line] = Float(Int32(truncatingIfNeeded: value))
            problems |= problem | value &>> 24
        }
        if problems == 0 { return count }
        for line in 0..<count {
            let field = text(lines, quantity, line, base)
            if field.count == 0 {
                target[line] = amounts[line] < 0 ? -1 : 1
            } else {
                guard let number = number(buffer, field), let items = items(number) else {
                    return line
                }
                target[line] = items
            }
        }
        return count
    }

    /// Quantities, and amounts as what they are times the price.
    private func readProducts(
        _ lines: LineFields, _ count: Int, _ buffer: TextBuffer,
        _ amounts: UnsafeMutablePointer<Int64>, _ target: UnsafeMutablePointer<Float>
    ) -> Int {
        let base = UnsafePointer(buffer.base)
        for line in 0..<count {
            guard let number = number(buffer, text(lines, quantity, line, base)),
                let items = items(number),
                let unit = self.number(buffer, text(lines, price, line, base)),
                unit.digits != 0, !unit.isNegative,
                let product = DecimalNumber.product(number, unit)
            else { return line }
            amounts[line] = product
            target[line] = items
        }
        return count
    }

    /// How many lines come before one whose text is too long.
    private func countOfShortTexts(_ lines: LineFields, _ field: Int, _ count: Int) -> Int {
        for line in 0..<count {
            let index = line &* lines.stride &+ field
            let byteCount = lines.ends[index] &- lines.starts[index] &- 1
            if byteCount > UInt32(Limits.textByteCount) { return line }
        }
        return count
    }

    private func readTextIDs(
        _ lines: LineFields, _ count: Int, _ base: UnsafePointer<UInt8>, _ rows: inout PieceColumns
    ) -> Int {
        let ids = rows.ids + rows.count
        for line in 0..<count {
            var (start, byteCount) = text(lines, customer, line, base)
            trimBlanks(&start, &byteCount)
            guard byteCount > 0, byteCount <= Limits.idByteCount else { return line }
            rows.reserveText(byteCount)
            copy(start, byteCount, to: rows.idText + rows.idTextCount)
            rows.idTextCount += byteCount
            ids[line] = Int64(rows.idTextCount)
        }
        return count
    }

    /// Copies eight bytes at a time, up to seven more than there are.
    @inline(__always)
    private func copy(
        _ source: UnsafePointer<UInt8>, _ count: Int, to target: UnsafeMutablePointer<UInt8>
    ) {
        var index = 0
        while index < count {
            let word = UnsafeRawPointer(source + index).loadUnaligned(as: UInt64.self)
            UnsafeMutableRawPointer(target + index).storeBytes(of: word, as: UInt64.self)
            index &+= 8
        }
    }

    private func readCodes(
        _ lines: LineFields, _ field: Int, _ count: Int, _ base: UnsafePointer<UInt8>,
        _ place: Int, _ target: UnsafeMutablePointer<UInt32>
    ) {
        var dictionary = dictionaries[place]
        var missedCount = 0
        for line in 0..<count {
            let (start, byteCount) = text(lines, field, line, base)
            let code = dictionary.firstCode(start, byteCount)
            target[line] = code
            missed[missedCount] = UInt32(truncatingIfNeeded: line)
            missedCount &+= code == .max ? 1 : 0
        }
        // New codes are given in the order of the lines: none of them was found at once. Nor was a
        // text with blanks at an end.
        for index in 0..<missedCount {
            let line = Int(missed[index])
            var (start, byteCount) = text(lines, field, line, base)
            trimBlanks(&start, &byteCount)
            target[line] = byteCount == 0 ? .max : dictionary.code(start, byteCount)
        }
        dictionaries[place] = dictionary
    }

    @inline(__always)
    private func trimBlanks(_ start: inout UnsafePointer<UInt8>, _ count: inout Int) {
        while count > 0, start.pointee == 0x20 || start.pointee == 0x09 {
            start += 1
            count -= 1
        }
        while count > 0, start[count - 1] == 0x20 || start[count - 1] == 0x09 { count -= 1 }
    }

    private func carefulTime(_ buffer: TextBuffer, _ field: Field) -> Int64? {
        let offset = field.start - UnsafePointer(buffer.base)
        var (start, end) = (offset, offset + field.count)
        trim(buffer.span, &start, &end)
        guard start < end,
            case .valid(let time) = timeParser.parse(buffer.span, from: start, to: end)
        else { return nil }
        return time
    }

    @inline(__always)
    private func number(_ buffer: TextBuffer, _ field: Field) -> DecimalNumber? {
        if let number = quick.decimal(field.start, field.count) {
            return DecimalNumber(
                digits: number.digits, exponent: -number.fractionCount,
                isNegative: number.isNegative)
        }
        return carefulNumber(buffer, field)
    }

    /// A quantity as a finite number; nil where it is out of range.
    @inline(__always)
    private func items(_ number: DecimalNumber) -> Float? {
        if number.exponent == 0, number.digits < 1 << 24 {
            return number.isNegative ? -Float(number.digits) : Float(number.digits)
        }
        guard number.tenThousandths != nil, let value = number.double else { return nil }
        return Float(value)
    }

    private func carefulNumber(_ buffer: TextBuffer, _ field: Field) -> DecimalNumber? {
        let offset = field.start - UnsafePointer(buffer.base)
        var (start, end) = (offset, offset + field.count)
        trim(buffer.span, &start, &end)
        guard start < end else { return nil }
        return DecimalNumber(buffer.span, from: start, to: end, decimalSign: decimalSign)
    }
}
