package import ByteCoding
package import Numerical

/// What the columns of a segment are taken from.
enum RowSource: Sendable {
    case columns([Column])
    case sorted(SortedRows, [SortedColumn])
}

/// A column of sorted rows.
package struct SortedColumn: Sendable {
    let field: RowField
    /// What the numbers of the field stand for in a column of texts, `CodedText.missing` aside;
    /// distinct.
    let texts: TextArray?

    package init(_ field: RowField, texts: TextArray? = nil) {
        self.field = field
        self.texts = texts
    }
}

/// The rows of one column that wait for their block to fill.
struct ColumnStage {
    struct Chunk {
        let encoding: Encoding
        /// Validity bitmap, where there is one, then the encoding's bytes.
        let plain: [UInt8]
        let zone: ZoneMap
        let hasZones: Bool
    }

    let type: ColumnType
    /// Bit patterns of int64 and float64 values.
    var words: [UInt64] = []
    /// Bit patterns of float32 values.
    var halves: [UInt32] = []
    /// Numbers of texts in `interner`.
    private var codes: [UInt32] = []
    private var interner = TextInterner()
    private var numbers = CodeNumbers()
    var isValid: [Bool] = []
    var nullCount = 0

    init(type: ColumnType) { self.type = type }

    mutating func removeAll() {
        words.removeAll(keepingCapacity: true)
        halves.removeAll(keepingCapacity: true)
        codes.removeAll(keepingCapacity: true)
        interner.removeAll()
        isValid.removeAll(keepingCapacity: true)
        nullCount = 0
    }

    /// Adds rows of a column whose type and counts are already checked.
    mutating func append(
        _ source: RowSource, column: Int, rows: Range<Int>, path: String
    ) throws(StoreError) {
        switch source {
        case .columns(let columns):
            try append(columns[column], rows, path)
        case .sorted(let sorted, let columns):
            try append(sorted, columns[column], rows, path)
        }
    }

    private mutating func append(
        _ sorted: SortedRows, _ column: SortedColumn, _ rows: Range<Int>, _ path: String
    ) throws(StoreError) {
        isValid.append(contentsOf: repeatElement(true, count: rows.count))
        switch type {
        case .int64, .float64: sorted.append(column.field, rows, to: &words)
        case .float32: sorted.append(column.field, rows, to: &halves)
        case .text:
            let start = codes.count
            sorted.append(column.field, rows, to: &codes)
            try number(from: start, column.texts ?? TextArray(), path)
            countNulls(from: start)
        }
    }

    private mutating func append(
        _ column: Column, _ rows: Range<Int>, _ path: String
    ) throws(StoreError) {
        let start = isValid.count
        var mayMiss = true
        if let validity = column.validity {
            isValid.append(contentsOf: validity[rows])
        } else {
            if case .coded = column.data { mayMiss = true } else { mayMiss = false }
            isValid.append(contentsOf: repeatElement(true, count: rows.count))
        }
        switch column.data {
        case .int64(let values):
            words.append(patternsOf: values, rows)
        case .float64(let values):
            words.append(patternsOf: values, rows)
        case .float32(let values):
            halves.append(patternsOf: values, rows)
        case .text(let texts):
            try append(texts, rows, path)
        case .coded(let coded):
            codes.append(contentsOf: coded.codes[rows])
            try number(from: start, coded.values, path)
        }
        if mayMiss { countNulls(from: start) }
    }

    private mutating func countNulls(from start: Int) {
        for row in start..<isValid.count where !isValid[row] { nullCount += 1 }
    }

    private mutating func append(
        _ texts: TextArray, _ rows: Range<Int>, _ path: String
    ) throws(StoreError) {
        let bytes = texts.bytes
        let offsets = texts.offsets
        for row in rows {
            guard isValid[codes.count] else {
                codes.append(0)
                continue
            }
            try check(offsets[row + 1] - offsets[row], path)
            codes.append(
                interner.number(of: bytes.span.bytes.extracting(offsets[row]..<offsets[row + 1])))
        }
    }

    /// Turns the codes of the last rows into numbers of texts.
    /// - Parameter texts: that the codes stand for; distinct.
    private mutating func number(
        from start: Int, _ texts: TextArray, _ path: String
    ) throws(StoreError) {
        numbers.removeAll(rowCount: codes.count - start, codeCount: texts.count)
        for row in start..<codes.count where codes[row] == CodedText.missing {
            isValid[row] = false
        }
        if interner.count == 0 {
            try numberNew(from: start, texts, path)
            return
        }
        for row in start..<codes.count {
            let code = codes[row]
            codes[row] = 0
            guard isValid[row] else { continue }
            let next = UInt32(interner.count)
            var number = numbers.number(of: code, orNew: next)
            if number == next {
                let (first, end) = (texts.offsets[Int(code)], texts.offsets[Int(code) + 1])
                try check(end - first, path)
                number = interner.number(of: texts.bytes.span.bytes.extracting(first..<end))
                numbers.set(number, of: code)
            }
            codes[row] = number
        }
    }

    /// The same where there are no texts yet: every code stands for a new one.
    private mutating func numberNew(
        from start: Int, _ texts: TextArray, _ path: String
    ) throws(StoreError) {
        var newCodes = [UInt32](repeating: 0, count: codes.count - start + 1)
        var next: UInt32 = 0
        for row in start..<codes.count {
            let code = codes[row]
            codes[row] = 0
            guard isValid[row] else { continue }
            let number = numbers.number(of: code, orNew: next)
            newCodes[Int(next)] = code
            next += number == next ? 1 : 0
            codes[row] = number
        }
        newCodes.removeLast(newCodes.count - Int(next))
        for code in newCodes {
            try check(texts.offsets[Int(code) + 1] - texts.offsets[Int(code)], path)
        }
        interner.append(new: texts, newCodes)
    }

    private func check(_ byteCount: Int, _ path: String) throws(StoreError) {
        guard byteCount <= Limits.textByteCount else {
            throw .limitExceeded(
                path: path, byteOffset: 0, what: "a text's byte count", actual: byteCount,
                limit: Limits.textByteCount)
        }
    }

    /// Encodes the staged rows, at least one.
    mutating func encode(_ encoder: LaneEncoder, isHot: Bool) -> Chunk {
        let validity = nullCount > 0 ? isValid : nil
        let body: (encoding: Encoding, payload: ByteWriter)
        var bounds: StageBounds?
        switch type {
        case .int64:
            fill(&words)
            bounds = StageBounds(integers: words, isValid: validity)
            body = encoder.encode(words, isInteger: true, isHot: isHot)
        case .float64:
            fill(&words)
            bounds = StageBounds(doubles: words, isValid: validity)
            body = encoder.encode(words, isInteger: false, isHot: isHot)
        case .float32:
            fill(&halves)
            bounds = StageBounds(floats: halves, isValid: validity)
            body = encoder.encode(halves, isInteger: false, isHot: isHot)
        case .text:
            body = TextEncoder.encode(codes: codes, isValid: validity, interner: interner)
        }
        let zones = bounds?.zones()
        var plain = body.payload
        if validity != nil || zones != nil {
            plain = ByteWriter()
            if let validity { plain.append(lanes: BitPacking.pack(flags: validity)) }
            if let zones { plain.append(contentsOf: zones.bytes) }
            plain.append(contentsOf: body.payload.bytes)
        }
        return Chunk(
            encoding: body.encoding, plain: plain.bytes,
            zone: ZoneMap(
                rowCount: isValid.count, nullCount: nullCount,
                bounds: type == .text ? textBounds() : bounds?.bounds),
            hasZones: zones != nil)
    }

    /// Gives rows without a value the value of the row before (of the first row with one at the
    /// start, 0 where there is none), which keeps runs, ranges and differences small.
    private func fill<W: FixedWidthInteger>(_ values: inout [W]) {
        guard nullCount > 0 else { return }
        var previous = isValid.firstIndex(of: true).map { values[$0] } ?? 0
        for row in values.indices {
            if isValid[row] { previous = values[row] } else { values[row] = previous }
        }
    }

    private func textBounds() -> ZoneMap.Bounds? {
        guard interner.count > 0 else { return nil }
        var minimum = UInt64.max
        var maximum = UInt64.min
        for index in 0..<interner.count {
            let prefix = textPrefix(
                interner.bytes[interner.offsets[index]..<interner.offsets[index + 1]])
            minimum = min(minimum, prefix)
            maximum = max(maximum, prefix)
        }
        return .textPrefix(minimum: minimum, maximum: maximum)
    }
}
