import ByteCoding
import ColumnStore
import Wire

/// A column of a look-up: which field of the strip it is and how the wire names it.
struct LookupField: Sendable {
    /// The position among the strip's fields.
    let index: Int
    let id: ColumnID
    let type: Wire.ColumnType

    init(_ index: Int, _ field: RowStripSchema.Field) {
        self.index = index
        id = ColumnID(rawValue: field.id)
        type =
            switch field.type {
            case .float32: .float32
            case .float64: .float64
            case .int32: .int32
            case .int64: .int64
            }
    }

    var byteCount: Int { type == .int64 || type == .float64 ? 8 : 4 }
}

/// Arrays that a look-up of many ids works in; an event loop keeps them between requests, so that
/// a look-up in steady state allocates nothing for them.
struct LookupScratch {
    var ids: [Int64] = []
    var rows: [UInt32] = []
    var int32: [Int32] = []
    var int64: [Int64] = []
    var float32: [Float] = []
    var float64: [Double] = []
    /// Bit k: field k has a value in every row. Only the strip's first validity word is looked at.
    var validEverywhere: UInt64 = 0

    /// Row numbers of the ids, in `rows`; `IDIndex.absent` where unknown.
    mutating func find(
        _ layout: LookupLayout, _ body: RawSpan, in customers: IDIndex, limits: WireLimits
    ) throws(WireError) {
        switch layout.idKind {
        case .integer:
            resize(&ids, layout.idCount, 0)
            resize(&rows, layout.idCount, IDIndex.absent)
            for index in ids.indices { ids[index] = layout.integerID(index, body) }
            let wanted = ids
            var found = rows.mutableSpan
            customers.find(integers: wanted.span, rows: &found)
        case .text:
            rows = customers.find(texts: try layout.texts(body, limits: limits))
        }
    }
}

private func resize<Element>(_ array: inout [Element], _ count: Int, _ zero: Element) {
    guard array.count != count else { return }
    array.removeAll(keepingCapacity: true)
    array.append(contentsOf: repeatElement(zero, count: count))
}

/// Writes the table of a LOOKUP answer: the row status, then the columns asked for.
struct LookupAnswer {
    let strip: RowStrip
    let fields: [LookupField]

    /// What the body takes at most: with a bitmap in every column and no column of many rows
    /// constant. Checked against the peer's limit before anything is written, so that the work
    /// that a request may cause does not depend on luck.
    static func maximumByteCount(
        stampByteCount: Int, rowCount: Int, fields: [LookupField]
    ) -> Int {
        let directory =
            stampByteCount + TableWriter.headerBytes
            + (fields.count + 1) * TableWriter.descriptorBytes
        if rowCount == 1 { return directory }
        func aligned(_ byteCount: Int) -> Int { (byteCount + 63) & ~63 }
        let bitmap = aligned((rowCount + 7) / 8)
        return fields.reduce(aligned(directory) + aligned(rowCount * 4)) {
            $0 + bitmap + aligned(rowCount * $1.byteCount)
        }
    }

    /// - Parameter scratch: with the rows found.
    func write(
        _ scratch: inout LookupScratch, bodyStart: Int, into writer: inout ByteWriter
    ) {
        let rowCount = scratch.rows.count
        if rowCount > 1 { strip.prefetch(rows: scratch.rows.span) }
        var table = TableWriter(
            rowCount: rowCount, columnCount: fields.count + 1, bodyStart: bodyStart, into: &writer)
        if rowCount == 1 {
            writeOne(scratch.rows[0], &table, &writer)
        } else {
            writeStatus(&scratch, &table, &writer)
            for field in fields { write(field, &scratch, &table, &writer) }
        }
    }

    private func status(_ row: UInt32) -> Int32 {
        row == IDIndex.absent
            ? Int32(Wire.ScoreStatus.unknownCustomer.rawValue) : Int32(strip.status(row: Int(row)))
    }

    /// One row: every column is a constant in its descriptor.
    private func writeOne(
        _ row: UInt32, _ table: inout TableWriter, _ writer: inout ByteWriter
    ) {
        table.addConstant(.rowStatus, .int32(status(row)), into: &writer)
        for field in fields {
            guard row != IDIndex.absent, strip.isValid(field: field.index, row: Int(row)) else {
                table.addConstant(field.id, .missing(field.type), into: &writer)
                continue
            }
            let bits = strip.bits(field: field.index, row: Int(row))
            let low = UInt32(truncatingIfNeeded: bits)
            let value: WireConstant =
                switch field.type {
                case .int32: .int32(Int32(bitPattern: low))
                case .int64: .int64(Int64(bitPattern: bits))
                case .float32: .float32(Float(bitPattern: low))
                case .float64: .float64(Double(bitPattern: bits))
                case .text: .missing(.text)
                }
            table.addConstant(field.id, value, into: &writer)
        }
    }

    private func writeStatus(
        _ scratch: inout LookupScratch, _ table: inout TableWriter, _ writer: inout ByteWriter
    ) {
        resize(&scratch.int32, scratch.rows.count, 0)
        // Status and validity lie in one cache line; asking each field for each row later took a
        // sixth of the whole look-up.
        var validEverywhere = UInt64.max
        for position in scratch.rows.indices {
            let row = scratch.rows[position]
            scratch.int32[position] = status(row)
            validEverywhere &= row == IDIndex.absent ? 0 : strip.validityWord(row: Int(row))
        }
        scratch.validEverywhere = validEverywhere
        table.add(WireColumn(.rowStatus, .int32(scratch.int32)), into: &writer)
    }

    private func write(
        _ field: LookupField, _ scratch: inout LookupScratch, _ table: inout TableWriter,
        _ writer: inout ByteWriter
    ) {
        let rows = scratch.rows
        let count = rows.count
        let values: WireValues
        switch field.type {
        case .int32:
            resize(&scratch.int32, count, 0)
            var lanes = scratch.int32.mutableSpan
            strip.copy(field: field.index, rows: rows.span, into: &lanes)
            values = .int32(scratch.int32)
        case .int64:
            resize(&scratch.int64, count, 0)
            var lanes = scratch.int64.mutableSpan
            strip.copy(field: field.index, rows: rows.span, into: &lanes)
            values = .int64(scratch.int64)
        case .float32:
            resize(&scratch.float32, count, 0)
            var lanes = scratch.float32.mutableSpan
            strip.copy(field: field.index, rows: rows.span, into: &lanes)
            values = .float32(scratch.float32)
        case .float64:
            resize(&scratch.float64, count, 0)
            var lanes = scratch.float64.mutableSpan
            strip.copy(field: field.index, rows: rows.span, into: &lanes)
            values = .float64(scratch.float64)
        case .text:
            values = .text(TextArray(repeatElement("", count: count)))
        }
        let isComplete = field.index < 64 && scratch.validEverywhere >> UInt64(field.index) & 1 == 1
        let validity = isComplete ? nil : validity(field, rows)
        table.add(WireColumn(field.id, values, validity: validity), into: &writer)
    }

    /// Nil where every row has a value.
    private func validity(_ field: LookupField, _ rows: [UInt32]) -> ValidityBitmap? {
        func isValid(_ row: UInt32) -> Bool {
            row != IDIndex.absent && strip.isValid(field: field.index, row: Int(row))
        }
        guard let firstMissing = rows.firstIndex(where: { !isValid($0) }) else { return nil }
        var bitmap = ValidityBitmap(missing: rows.count)
        for position in rows.indices where position < firstMissing || isValid(rows[position]) {
            bitmap.setValid(position)
        }
        return bitmap
    }
}
