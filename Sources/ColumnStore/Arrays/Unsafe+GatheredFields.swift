internal import CPlatform

/// Fields of many rows of a strip, turned from records into columns: what the answer to a look-up
/// of many ids is made of. Its memory is kept for the next one.
///
/// Records are gone through once, a few rows at a time, while the cache lines of the rows behind
/// them are on their way; a column after the other would read every line again for every field.
package struct GatheredFields: Sendable {
    /// Where a field's values are in a record and in `lanes`.
    private struct Place {
        let field: Int
        let recordOffset: Int
        let isWide: Bool
        let laneOffset: Int
    }

    package private(set) var rowCount = 0
    private var places: [Place] = []
    private var lanes: [UInt64] = []
    /// The first words of the records, a word of all rows after the other: validity, then the status.
    private var heads: [UInt64] = []
    /// How many words of heads lie between two words of a record.
    private var headStride = 0
    /// Of a record, without the status.
    private var validityWordCount = 0
    /// Bit k of word k / 64: every row has a value of field k.
    private var complete: [UInt64] = []
    /// A bit a row, words of 64 rows, for each bit of a strip's validity words.
    private var validity: [UInt64] = []
    /// The record of a row that does not exist.
    private var absent: [UInt64] = []

    package init() {}

    package var count: Int { places.count }

    /// The memory that a field of a row takes at most, without its validity.
    package static let fieldByteCount = 8

    /// Replaces the contents by fields of some rows; a value is zero where there is none, and so are
    /// all values of a row that is `IDIndex.absent`. Traps outside the strip.
    /// - Parameters:
    ///   - fields: positions in the strip's schema.
    ///   - records: what rows from `RowRecords.firstRow` on are, of the strip's layout; without them
    ///     there are no such rows.
    package mutating func gather(
        _ fields: [Int], rows: Span<UInt32>, of strip: RowStrip, records: RowRecords? = nil
    ) {
        precondition(records.map { $0.wordsPerRow == strip.wordsPerRow } ?? true)
        if let records {
            records.words.withUnsafeBufferPointer { gather(fields, rows: rows, of: strip, $0) }
        } else {
            gather(fields, rows: rows, of: strip, UnsafeBufferPointer(start: nil, count: 0))
        }
    }

    private mutating func gather(
        _ fields: [Int], rows: Span<UInt32>, of strip: RowStrip,
        _ others: UnsafeBufferPointer<UInt64>
    ) {
        rowCount = rows.count
        places.removeAll(keepingCapacity: true)
        // 64 bytes more than a power of two, or columns would share few sets of a cache.
        let stride = ((rowCount * Self.fieldByteCount + 63) / 64 + 1) * 64
        for field in fields {
            let source = strip.schema.fields[field]
            places.append(
                Place(
                    field: field, recordOffset: source.offset, isWide: source.type.byteCount == 8,
                    laneOffset: places.count * stride))
        }
        if rows.isEmpty { return }
        validityWordCount = strip.schema.validityWordCount
        headStride = (rowCount + 63) / 64 * 64 + 8
        resize(&absent, strip.wordsPerRow)
        resize(&complete, validityWordCount)
        for word in 0..<validityWordCount { complete[word] = .max }
        resize(&heads, (validityWordCount + 1) * headStride)
        // Some even for no field: an empty array need not have an address.
        resize(&lanes, max(1, stride / 8 * places.count))
        strip.words.withSpan { words in
            words.withUnsafeBufferPointer { words in
                absent.withUnsafeBufferPointer { absent in
                    rows.withUnsafeBufferPointer { rows in
                        let records = Records(rows, words, absent, others, strip.wordsPerRow)
                        copyLanes(records)
                        if places.contains(where: { !isComplete($0.field) }) {
                            copyValidity(fieldCount: strip.schema.fields.count)
                        }
                    }
                }
            }
        }
    }

    private func resize(_ words: inout [UInt64], _ count: Int) {
        if words.count < count { words = [UInt64](repeating: 0, count: count) }
    }

    private func isComplete(_ field: Int) -> Bool {
        complete[field >> 6] >> UInt64(field & 63) & 1 == 1
    }

    /// Lends the values of a gathered field, as many as rows, little-endian.
    package func withLanes<Result>(_ position: Int, _ body: (RawSpan) -> Result) -> Result {
        let place = places[position]
        return lanes.withUnsafeBytes { lanes in
            let end = place.laneOffset + rowCount * (place.isWide ? 8 : 4)
            return body(UnsafeRawBufferPointer(rebasing: lanes[place.laneOffset..<end]).bytes)
        }
    }

    /// Lends the words of the rows that begin with their status bytes; 0 of a row that does not exist.
    package func withStatusWords<Result>(_ body: (RawSpan) -> Result) -> Result {
        heads.withUnsafeBytes { heads in
            let start = validityWordCount * headStride * 8
            return body(
                UnsafeRawBufferPointer(rebasing: heads[start..<start + rowCount * 8]).bytes)
        }
    }

    /// Lends a bit a row, least significant first, 1 where a gathered field has a value, zeros behind
    /// the last; nil where every row has one.
    package func withValidity<Result>(_ position: Int, _ body: (RawSpan?) -> Result) -> Result {
        let field = places[position].field
        if rowCount == 0 || isComplete(field) { return body(nil) }
        return validity.withUnsafeBytes { words in
            let start = field * 8 * ((rowCount + 63) / 64)
            return body(
                UnsafeRawBufferPointer(rebasing: words[start..<start + (rowCount + 7) / 8]).bytes)
        }
    }
}

extension RowStrip {
    /// Asks for the records of rows, which are read soon; none for `IDIndex.absent` and what
    /// `RowRecords` has. Traps outside `0 ..< rowCount`.
    package func prefetch(rows: Span<UInt32>) {
        guard let start = words.start else { return }
        for index in rows.indices where rows[index] < RowRecords.firstRow {
            let row = Int(rows[index])
            precondition(row < rowCount, "row outside the strip")
            var word = row &* wordsPerRow
            let end = word &+ wordsPerRow
            while word < end {
                patron_prefetch_first(start + word)
                word &+= 8
            }
        }
    }
}

/// The records of the wanted rows as pointers, for the length of a call.
private struct Records {
    let rows: UnsafeBufferPointer<UInt32>
    private let base: UnsafePointer<UInt64>
    private let absent: UnsafePointer<UInt64>
    /// Records that stand in for rows.
    private let others: UnsafePointer<UInt64>
    private let otherCount: Int
    private let wordsPerRow: Int
    private let rowCount: Int

    /// - Precondition: `absent` is not empty and a strip without words has no row but absent ones.
    init(
        _ rows: UnsafeBufferPointer<UInt32>, _ words: UnsafeBufferPointer<UInt64>,
        _ absent: UnsafeBufferPointer<UInt64>, _ others: UnsafeBufferPointer<UInt64>,
        _ wordsPerRow: Int
    ) {
        guard let none = absent.baseAddress else {
            preconditionFailure("a record has at least two words")
        }
        self.rows = rows
        base = words.baseAddress ?? none
        self.absent = none
        self.others = others.baseAddress ?? none
        otherCount = others.count / wordsPerRow
        self.wordsPerRow = wordsPerRow
        rowCount = words.count / wordsPerRow
    }

    /// The record of wanted row `index`.
    @inline(__always)
    subscript(index: Int) -> UnsafePointer<UInt64> {
        let row = rows[index]
        if row >= RowRecords.firstRow { return other(row) }
        precondition(Int(row) < rowCount, "row outside the strip")
        return base + Int(row) &* wordsPerRow
    }

    @inline(never)
    private func other(_ row: UInt32) -> UnsafePointer<UInt64> {
        if row == IDIndex.absent { return absent }
        let place = RowRecords.place(row)
        precondition(place < otherCount, "a record that is not there")
        return others + place &* wordsPerRow
    }

    @inline(__always)
    func prefetch(_ index: Int) {
        let record = self[index]
        var word = 0
        while word < wordsPerRow {
            patron_prefetch_first(record + word)
            word &+= 8
        }
    }
}

extension GatheredFields {
    /// Rows whose records are asked for before they are read.
    private static let distance = 24

    /// Copies the fields and the heads of the records, and finds what every row has.
    private mutating func copyLanes(_ records: Records) {
        let (rowCount, headStride, wordCount) = (rowCount, headStride, validityWordCount)
        for index in 0..<min(Self.distance, rowCount) { records.prefetch(index) }
        places.withUnsafeBufferPointer { places in
            lanes.withUnsafeMutableBytes { lanes in
                heads.withUnsafeMutableBufferPointer { heads in
                    complete.withUnsafeMutableBufferPointer { complete in
                        guard let target = lanes.baseAddress, let heads = heads.baseAddress else {
                            return
                        }
                        let last = rowCount - 1
                        for first in stride(from: 0, to: rowCount, by: 4) {
                            for index in first..<first + 4 where index + Self.distance <= last {
                                records.prefetch(index + Self.distance)
                            }
                            // Behind the last row it is copied again: there is room for that.
                            let (a, b) = (records[first], records[min(first + 1, last)])
                            let (c, d) = (
                                records[min(first + 2, last)], records[min(first + 3, last)]
                            )
                            for word in 0...wordCount {
                                let head = heads + (word &* headStride &+ first)
                                (head[0], head[1]) = (a[word], b[word])
                                (head[2], head[3]) = (c[word], d[word])
                                if word < wordCount {
                                    complete[word] &= a[word] & b[word] & c[word] & d[word]
                                }
                            }
                            Self.copy(a, b, c, d, places, target, first)
                        }
                    }
                }
            }
        }
    }

    /// Copies all fields of four rows, whose addresses stay in registers.
    @inline(__always)
    private static func copy(
        _ a: UnsafePointer<UInt64>, _ b: UnsafePointer<UInt64>, _ c: UnsafePointer<UInt64>,
        _ d: UnsafePointer<UInt64>, _ places: UnsafeBufferPointer<Place>,
        _ target: UnsafeMutableRawPointer, _ first: Int
    ) {
        let (a, b) = (UnsafeRawPointer(a), UnsafeRawPointer(b))
        let (c, d) = (UnsafeRawPointer(c), UnsafeRawPointer(d))
        @inline(__always)
        func copy<T: BitwiseCopyable>(_ offset: Int, _ target: UnsafeMutablePointer<T>) {
            target[0] = a.load(fromByteOffset: offset, as: T.self)
            target[1] = b.load(fromByteOffset: offset, as: T.self)
            target[2] = c.load(fromByteOffset: offset, as: T.self)
            target[3] = d.load(fromByteOffset: offset, as: T.self)
        }
        for place in places {
            let lanes = target + place.laneOffset
            if place.isWide {
                copy(place.recordOffset, lanes.assumingMemoryBound(to: UInt64.self) + first)
            } else {
                copy(place.recordOffset, lanes.assumingMemoryBound(to: UInt32.self) + first)
            }
        }
    }

    private mutating func copyValidity(fieldCount: Int) {
        let count = (rowCount + 63) / 64
        resize(&validity, validityWordCount * 64 * count)
        for word in 0..<validityWordCount {
            let width = min(64, fieldCount - word * 64)
            // A file may hold any bits behind the last field's.
            let used = width == 64 ? UInt64.max : 1 << UInt64(width) &- 1
            for start in stride(from: 0, to: rowCount, by: 64) {
                var bits = InlineArray<64, UInt64>(repeating: 0)
                for index in 0..<64 {
                    bits[index] = heads[word * headStride + start + index] & used
                }
                Self.transpose(&bits, width)
                // Behind the last row there is anything.
                let mask = rowCount - start >= 64 ? UInt64.max : 1 << UInt64(rowCount - start) &- 1
                for place in places where place.field >> 6 == word {
                    validity[place.field * count + start / 64] = bits[place.field & 63] & mask
                }
            }
        }
    }

    /// Bit j of word i becomes bit i of word j, for each j below `width`; other words then have no
    /// meaning. Source: H. S. Warren, Hacker's Delight, 2nd edition, section 7-3, with the least
    /// significant bit first.
    /// - Precondition: bits from `width` on are 0.
    private static func transpose(_ words: inout InlineArray<64, UInt64>, _ width: Int) {
        var (distance, mask): (Int, UInt64) = (32, 0xFFFF_FFFF)
        var count = 64
        while distance != 0 {
            if width <= distance {
                // The upper half of each block has no bit, and the other words are not asked for.
                count = distance
                for index in 0..<count {
                    words[index] |= words[index + distance] << UInt64(distance)
                }
            } else {
                var index = 0
                while index < count {
                    let bits = (words[index] >> UInt64(distance) ^ words[index + distance]) & mask
                    words[index] ^= bits << UInt64(distance)
                    words[index + distance] ^= bits
                    index = (index + distance + 1) & ~distance
                }
            }
            distance >>= 1
            mask ^= mask << UInt64(distance)
        }
    }
}
