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
        if let validity = column.validity {
            isValid.append(contentsOf: validity[rows])
        } else {
            isValid.append(contentsOf: repeatElement(true, count: rows.count))
        }
        switch column.data {
        case .int64(let values):
            words.append(contentsOf: values[rows].lazy.map { UInt64(bitPattern: $0) })
        case .float64(let values):
            words.append(contentsOf: values[rows].lazy.map(\.bitPattern))
        case .float32(let values):
            halves.append(contentsOf: values[rows].lazy.map(\.bitPattern))
        case .text(let texts):
            try append(texts, rows, path)
        case .coded(let coded):
            try append(coded, rows, path)
        }
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
    mutating func encode(_ encoder: inout BlockEncoder, isHot: Bool) -> Chunk {
        let validity = nullCount > 0 ? isValid : nil
        let body: (encoding: Encoding, payload: ByteWriter)
        let bounds: ZoneMap.Bounds?
        switch type {
        case .int64:
            fill(&words)
            bounds = integerBounds()
            body = encoder.encode(words, isInteger: true, isHot: isHot)
        case .float64:
            fill(&words)
            bounds = floatBounds(words.lazy.map { Double(bitPattern: $0) })
            body = encoder.encode(words, isInteger: false, isHot: isHot)
        case .float32:
            fill(&halves)
            bounds = floatBounds(halves.lazy.map { Double(Float(bitPattern: $0)) })
            body = encoder.encode(halves, isInteger: false, isHot: isHot)
        case .text:
            bounds = textBounds()
            body = ChunkEncoder.encodeTexts(
                codes: codes, isValid: validity, interner: interner, encoder.version)
        }
        var plain = ByteWriter()
        if let validity {
            plain.append(lanes: BitPacking.pack(validity.map { $0 ? 1 : 0 }, width: 1))
        }
        let zones = encoder.version >= .two ? zones(within: bounds) : nil
        if let zones { plain.append(contentsOf: zones.bytes) }
        plain.append(contentsOf: body.payload.bytes)
        return Chunk(
            encoding: body.encoding, plain: plain.bytes,
            zone: ZoneMap(rowCount: isValid.count, nullCount: nullCount, bounds: bounds),
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

    private func integerBounds() -> ZoneMap.Bounds? {
        // Filled rows repeat values that are there, so they do not move the bounds.
        guard nullCount < words.count else { return nil }
        var minimum = Int64.max
        var maximum = Int64.min
        for word in words {
            minimum = min(minimum, Int64(bitPattern: word))
            maximum = max(maximum, Int64(bitPattern: word))
        }
        return .int64(minimum: minimum, maximum: maximum)
    }

    private func floatBounds(_ values: some Collection<Double>) -> ZoneMap.Bounds? {
        guard nullCount < values.count else { return nil }
        var bounds: (minimum: Double, maximum: Double)?
        for value in values where !value.isNaN {
            var (minimum, maximum) = bounds ?? (value, value)
            // Equal values differ at most in the sign of zero.
            if value < minimum || value == minimum && value.sign == .minus { minimum = value }
            if value > maximum || value == maximum && value.sign == .plus { maximum = value }
            bounds = (minimum, maximum)
        }
        return bounds.map { .float64(minimum: $0.minimum, maximum: $0.maximum) }
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
