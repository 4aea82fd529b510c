import ByteCoding

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
        _ column: Column, rows: Range<Int>, path: String
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
            try append(coded, rows, path)
        }
        if !mayMiss { return }
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

    private mutating func append(
        _ coded: CodedText, _ rows: Range<Int>, _ path: String
    ) throws(StoreError) {
        let bytes = coded.values.bytes
        let offsets = coded.values.offsets
        // Each distinct text is interned once a batch, not once a row. Numbers plus one by code, 0
        // for those not met yet: an array where the texts are few against the rows, which saves a
        // hash a row; a dictionary where most of an array would stay empty.
        var table = [UInt32](
            repeating: 0, count: coded.values.count <= rows.count ? coded.values.count : 0)
        var numbers: [UInt32: UInt32] = [:]
        var (lastCode, lastNumber) = (CodedText.missing, UInt32(0))
        for row in rows {
            let code = coded.codes[row]
            let position = codes.count
            if code == CodedText.missing { isValid[position] = false }
            guard isValid[position] else {
                codes.append(0)
                continue
            }
            // The lines of an order and of a customer come together.
            if code != lastCode {
                lastCode = code
                lastNumber = table.isEmpty ? numbers[code] ?? 0 : table[Int(code)]
            }
            if lastNumber > 0 {
                codes.append(lastNumber - 1)
                continue
            }
            let start = offsets[Int(code)]
            let end = offsets[Int(code) + 1]
            try check(end - start, path)
            let number = interner.number(of: bytes.span.bytes.extracting(start..<end))
            lastNumber = number + 1
            if table.isEmpty { numbers[code] = lastNumber } else { table[Int(code)] = lastNumber }
            codes.append(number)
        }
    }

    private func check(_ byteCount: Int, _ path: String) throws(StoreError) {
        guard byteCount <= Limits.textByteCount else {
            throw .limitExceeded(
                path: path, byteOffset: 0, what: "a text's byte count", actual: byteCount,
                limit: Limits.textByteCount)
        }
    }

    /// Encodes the staged rows, at least one.
    mutating func encode(_ encoder: BlockEncoder, isHot: Bool) -> Chunk {
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
            body = ChunkEncoder.encodeTexts(
                codes: codes, isValid: validity, interner: interner, encoder.version)
        }
        let zones = encoder.version >= .two ? bounds?.zones() : nil
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
