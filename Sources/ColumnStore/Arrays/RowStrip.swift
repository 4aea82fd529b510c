import Numerical

/// One fixed-width record a row, for look-ups: all of a customer's scores in one or two cache
/// lines. The layout of a record is `RowStripSchema`.
///
/// Arrays in an array file, each name after a prefix: `.schema` (u8, the schema's JSON) and
/// `.records` (u64 [rows × stride / 8]).
package struct RowStrip: Sendable {
    package let schema: RowStripSchema
    package let rowCount: Int
    let words: MappedArray<UInt64>
    /// 64-bit words of a record.
    package let wordsPerRow: Int
    private let statusWord: Int

    package init(reading file: ArrayFile, prefix: String = "strip") throws(StoreError) {
        func corrupt(_ array: String, _ reason: String) -> StoreError {
            .corrupt(
                path: file.path, byteOffset: file.entry("\(prefix).\(array)")?.byteOffset ?? 0,
                reason: reason)
        }
        let json = try file.array("\(prefix).schema", of: UInt8.self).toArray()
        guard let schema = RowStripSchema(decoding: json) else {
            throw corrupt("schema", "the row strip's schema is not the expected JSON")
        }
        if let flaw = schema.flaw { throw corrupt("schema", "row strip: \(flaw)") }
        let words = try file.array("\(prefix).records", of: UInt64.self, shape: [-1, -1])
        guard words.shape[1] == schema.stride / 8 else {
            throw corrupt("records", "the row strip's records are not \(schema.stride) bytes")
        }
        self.schema = schema
        self.words = words
        rowCount = words.shape[0]
        wordsPerRow = schema.stride / 8
        statusWord = schema.validityWordCount
    }

    /// The status byte of a row. Traps outside `0 ..< rowCount`.
    package func status(row: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: word(row, statusWord))
    }

    /// Whether the field has a value in the row.
    package func isValid(field index: Int, row: Int) -> Bool {
        word(row, index >> 6) >> UInt64(index & 63) & 1 == 1
    }

    /// The stored bits of a field, zero-extended; zero where it has no value.
    package func bits(field index: Int, row: Int) -> UInt64 {
        let field = schema.fields[index]
        let word = word(row, field.offset >> 3)
        return field.type.byteCount == 8
            ? word : word >> UInt64((field.offset & 4) * 8) & 0xFFFF_FFFF
    }

    /// A field as a double (integers above 2^53 lose digits); nil where it has no value.
    package func value(field index: Int, row: Int) -> Double? {
        guard isValid(field: index, row: row) else { return nil }
        let bits = bits(field: index, row: row)
        return switch schema.fields[index].type {
        case .float32: Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
        case .float64: Double(bitPattern: bits)
        case .int32: Double(Int32(truncatingIfNeeded: bits))
        case .int64: Double(Int64(bitPattern: bits))
        }
    }

    /// Lends the bytes of a row's record.
    package func withRecord<Result, Failure: Error>(
        row: Int, _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try words.withRow(row) { (span: Span<UInt64>) throws(Failure) -> Result in
            try body(span.bytes)
        }
    }

    /// Lends the records, each `wordsPerRow` words as in `RowStripSchema`.
    package func withRecords<Result>(_ body: (Span<UInt64>) -> Result) -> Result {
        words.withSpan(body)
    }

    private func word(_ row: Int, _ word: Int) -> UInt64 {
        precondition(row >= 0 && row < rowCount, "row outside the strip")
        return words[row &* wordsPerRow &+ word]
    }
}

/// A column that becomes a field of a row strip.
package struct StripColumn: Sendable {
    package enum Values: Sendable {
        case float32([Float])
        case float64([Double])
        case int32([Int32])
        case int64([Int64])

        package var count: Int {
            switch self {
            case .float32(let values): values.count
            case .float64(let values): values.count
            case .int32(let values): values.count
            case .int64(let values): values.count
            }
        }

        var type: RowStripSchema.FieldType {
            switch self {
            case .float32: .float32
            case .float64: .float64
            case .int32: .int32
            case .int64: .int64
            }
        }
    }

    package let id: UInt16
    package let name: String
    package let unit: String
    package let values: Values
    /// Which rows have a value; all where nil.
    package let validity: [Bool]?

    package init(id: UInt16, name: String, unit: String, values: Values, validity: [Bool]? = nil) {
        self.id = id
        self.name = name
        self.unit = unit
        self.values = values
        self.validity = validity
    }
}

extension RowStrip {
    /// Adds the arrays of a strip to a file that is being built.
    /// - Parameter status: a status a row; its count is the row count.
    /// - Throws: `invalidInput` where counts differ or an id or name repeats; the writer will where a
    ///   value is not finite: a score is a finite number or absent.
    @discardableResult
    package static func add(
        status: [UInt8], columns: [StripColumn], to writer: inout ArrayFileWriter,
        prefix: String = "strip"
    ) throws(StoreError) -> RowStripSchema {
        let schema = RowStripSchema(
            layingOut: columns.map { ($0.id, $0.name, $0.unit, $0.values.type) })
        if let flaw = schema.flaw { throw .invalidInput(path: prefix, reason: flaw) }
        for column in columns
        where column.values.count != status.count
            || (column.validity.map { $0.count != status.count } ?? false)
        {
            throw .invalidInput(
                path: prefix, reason: "field \(column.name) has not \(status.count) rows")
        }
        guard let json = schema.encoded() else {
            throw .invalidInput(path: prefix, reason: "the schema cannot be written as JSON")
        }
        writer.add("\(prefix).schema", json)
        let wordsPerRow = schema.stride / 8
        writer.add("\(prefix).records", rowCount: status.count, wordsPerRow: wordsPerRow) {
            (rows, words) throws(StoreError) in
            for row in rows {
                words[(row - rows.lowerBound) * wordsPerRow + schema.validityWordCount] =
                    UInt64(status[row])
            }
            for (index, column) in columns.enumerated() {
                let field = RecordField(
                    index: index, offset: schema.fields[index].offset, wordsPerRow: wordsPerRow)
                guard field.put(column, rows, into: &words) else {
                    throw .invalidInput(
                        path: prefix, reason: "field \(column.name) has a value that is not finite")
                }
            }
        }
        return schema
    }
}

/// Where a column goes in the records of some rows.
private struct RecordField {
    let index: Int
    let offset: Int
    let wordsPerRow: Int

    /// - Parameter words: of the rows alone; zeros where the field is.
    /// - Returns: whether all values are finite.
    func put(
        _ column: StripColumn, _ rows: Range<Int>, into words: inout MutableSpan<UInt64>
    ) -> Bool {
        switch column.values {
        case .float32(let values):
            put(values, column.validity, rows, &words) {
                ($0.isFinite, UInt64($0.bitPattern))
            }
        case .float64(let values):
            put(values, column.validity, rows, &words) { ($0.isFinite, $0.bitPattern) }
        case .int32(let values):
            put(values, column.validity, rows, &words) { (true, UInt64(UInt32(bitPattern: $0))) }
        case .int64(let values):
            put(values, column.validity, rows, &words) { (true, UInt64(bitPattern: $0)) }
        }
    }

    @inline(__always)
    private func put<Value>(
        _ values: [Value], _ validity: [Bool]?, _ rows: Range<Int>,
        _ words: inout MutableSpan<UInt64>, _ bits: (Value) -> (isFinite: Bool, bits: UInt64)
    ) -> Bool {
        let flag = 1 << UInt64(index & 63) as UInt64
        let shift = UInt64((offset & 4) * 8)
        var isFinite = true
        var base = 0
        for row in rows {
            if validity?[row] ?? true {
                let value = bits(values[row])
                isFinite = isFinite && value.isFinite
                words[base + (index >> 6)] |= flag
                words[base + (offset >> 3)] |= value.bits << shift
            }
            base += wordsPerRow
        }
        return isFinite
    }
}
