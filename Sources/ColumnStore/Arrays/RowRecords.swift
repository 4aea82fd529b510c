/// Records of a strip's layout in memory that stand in for rows of the strip, or for rows that it does
/// not have: what is known of customers since the strip was written.
///
/// In lists of rows a record is `firstRow` + its place; strips have fewer rows than that.
package struct RowRecords: Sendable {
    package static let firstRow: UInt32 = 1 << 31

    package let schema: RowStripSchema
    package private(set) var count = 0
    /// The records end to end, each as in `RowStripSchema`.
    package private(set) var words: [UInt64] = []
    let wordsPerRow: Int

    /// No records yet, of the layout of a strip.
    package init(like strip: RowStrip) {
        schema = strip.schema
        wordsPerRow = strip.wordsPerRow
    }

    /// Whether a number in a list of rows is a record's.
    @inlinable
    package static func isRecord(_ row: UInt32) -> Bool {
        row >= firstRow && row != IDIndex.absent
    }

    /// The place of a record in a list of rows.
    @inlinable
    package static func place(_ row: UInt32) -> Int { Int(row & ~firstRow) }

    /// Adds a copy of a row of the strip that it is like, or a record without any value.
    package mutating func append(copyOf row: Int?, of strip: RowStrip) {
        precondition(strip.wordsPerRow == wordsPerRow, "a strip of another layout")
        if let row {
            strip.words.withRow(row) { (span: Span<UInt64>) in
                for index in span.indices { words.append(span[index]) }
            }
        } else {
            words.append(contentsOf: repeatElement(0, count: wordsPerRow))
        }
        count += 1
    }

    /// Adds a copy of a record of the same layout.
    package mutating func append(copyOf place: Int, of other: RowRecords) {
        words.append(contentsOf: other.record(place))
        count += 1
    }

    /// Replaces a record by one of the same layout.
    package mutating func replace(_ place: Int, byCopyOf other: RowRecords, _ otherPlace: Int) {
        let start = start(place)
        let source = other.record(otherPlace)
        for index in 0..<wordsPerRow { words[start + index] = source[source.startIndex + index] }
    }

    private func record(_ place: Int) -> ArraySlice<UInt64> {
        let start = start(place)
        return words[start..<start + wordsPerRow]
    }

    private func start(_ place: Int) -> Int {
        precondition(place >= 0 && place < count, "a record that is not there")
        return place * wordsPerRow
    }

    package func status(_ place: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: words[start(place) + schema.validityWordCount])
    }

    package mutating func setStatus(_ status: UInt8, _ place: Int) {
        words[start(place) + schema.validityWordCount] = UInt64(status)
    }

    package func isValid(field index: Int, _ place: Int) -> Bool {
        words[start(place) + index >> 6] >> UInt64(index & 63) & 1 == 1
    }

    /// As `RowStrip.bits`.
    package func bits(field index: Int, _ place: Int) -> UInt64 {
        let field = schema.fields[index]
        let word = words[start(place) + field.offset >> 3]
        return field.type.byteCount == 8
            ? word : word >> UInt64((field.offset & 4) * 8) & 0xFFFF_FFFF
    }

    /// Sets a field; nil leaves it without a value.
    package mutating func set(_ bits: UInt64?, field index: Int, _ place: Int) {
        let start = start(place)
        let field = schema.fields[index]
        let flag = 1 << UInt64(index & 63) as UInt64
        if bits == nil {
            words[start + index >> 6] &= ~flag
        } else {
            words[start + index >> 6] |= flag
        }
        let value = bits ?? 0
        if field.type.byteCount == 8 {
            words[start + field.offset >> 3] = value
        } else {
            let shift = UInt64((field.offset & 4) * 8)
            words[start + field.offset >> 3] &= ~(0xFFFF_FFFF << shift)
            words[start + field.offset >> 3] |= (value & 0xFFFF_FFFF) << shift
        }
    }
}
