import ByteCoding
import ColumnStore
import Wire

/// A column of a look-up: which field of the strip it is and how the wire names it.
struct LookupField: Sendable {
    /// The position among the strip's fields.
    let index: Int
    let id: ColumnID
    let type: Wire.ColumnType
    /// Of a value.
    let byteCount: Int
    /// A value of the type.
    var zero: WireConstant {
        switch type {
        case .int32: .int32(0)
        case .int64: .int64(0)
        case .float32: .float32(0)
        case .float64: .float64(0)
        case .text: .missing(.text)
        }
    }

    init(_ index: Int, _ field: RowStripSchema.Field) {
        self.index = index
        id = ColumnID(rawValue: field.id)
        byteCount = field.type.byteCount
        type =
            switch field.type {
            case .float32: .float32
            case .float64: .float64
            case .int32: .int32
            case .int64: .int64
            }
    }
}

/// Memory that a look-up of many ids works in; an event loop keeps it between requests, so that a
/// look-up in steady state allocates nothing for it.
struct LookupScratch {
    var ids: [Int64] = []
    var rows: [UInt32] = []
    var statuses: [Int32] = []
    var gathered = GatheredFields()

    /// Row numbers of the ids, in `rows`; `IDIndex.absent` where unknown, `RowRecords.firstRow` and the
    /// place of a record where the overlay has one.
    mutating func find(
        _ layout: LookupLayout, _ body: RawSpan, in customers: IDIndex, _ overlay: LiveOverlay,
        limits: WireLimits
    ) throws(WireError) {
        resize(&rows, layout.idCount, IDIndex.absent)
        switch layout.idKind {
        case .integer:
            resize(&ids, layout.idCount, 0)
            layout.copyIntegerIDs(body, into: &ids)
            // A reference, no copy: two members cannot be lent at once.
            let wanted = ids
            var found = rows.mutableSpan
            customers.find(integers: wanted.span, rows: &found)
            if !overlay.isEmpty { overlay.redirect(&rows, of: wanted) }
        case .text:
            let wanted = try layout.texts(body, limits: limits)
            var found = rows.mutableSpan
            customers.find(texts: wanted, rows: &found)
            if !overlay.isEmpty { overlay.redirect(&rows, of: wanted) }
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
    /// What rows from `RowRecords.firstRow` on are.
    var records: RowRecords?
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

    /// - Parameters:
    ///   - scratch: with the rows found.
    ///   - ids: of the rows, for who did not ask by them.
    func write(
        _ scratch: inout LookupScratch, ids: IDColumn? = nil, bodyStart: Int,
        into writer: inout ByteWriter
    ) {
        let rows = scratch.rows
        let rowCount = rows.count
        var table = TableWriter(
            rowCount: rowCount, columnCount: fields.count + (ids == nil ? 1 : 2),
            bodyStart: bodyStart, into: &writer)
        if let ids { table.add(WireColumn(.entityID, ids: ids), into: &writer) }
        if rowCount == 1 {
            writeOne(rows[0], &table, &writer)
            return
        }
        if rowCount == 0 {
            let none: [UInt8] = []
            table.add(.rowStatus, .int32, lanes: none.span.bytes, validity: nil, into: &writer)
            for field in fields {
                table.add(
                    field.id, field.type, lanes: none.span.bytes, validity: nil, into: &writer)
            }
            return
        }
        // Fields in lots whose columns stay in a cache until they are copied into the answer. The
        // first one brings the records, which the status lies in too.
        let lot = max(1, Self.lotByteCount / (rowCount * GatheredFields.fieldByteCount))
        var first = 0
        repeat {
            let part = fields[first..<min(first + lot, fields.count)]
            scratch.gathered.gather(
                part.map(\.index), rows: rows.span, of: strip, records: records)
            if first == 0 { writeStatus(&scratch, &table, &writer) }
            for (position, field) in part.enumerated() {
                scratch.gathered.withLanes(position) { lanes in
                    scratch.gathered.withValidity(position) { validity in
                        table.add(
                            field.id, field.type, lanes: lanes, validity: validity, into: &writer)
                    }
                }
            }
            first += lot
        } while first < fields.count
    }

    /// Bytes of the fields that are gathered at once, at most.
    private static let lotByteCount = 1 << 20

    private func status(_ row: UInt32) -> Int32 {
        if row < RowRecords.firstRow { return Int32(strip.status(row: Int(row))) }
        guard let records, RowRecords.isRecord(row) else {
            return Int32(Wire.ScoreStatus.unknownCustomer.rawValue)
        }
        return Int32(records.status(RowRecords.place(row)))
    }

    /// The bits of a field; nil where the row, or the customer, has no value.
    private func bits(_ field: LookupField, _ row: UInt32) -> UInt64? {
        if row < RowRecords.firstRow {
            let row = Int(row)
            return strip.isValid(field: field.index, row: row)
                ? strip.bits(field: field.index, row: row) : nil
        }
        guard let records, RowRecords.isRecord(row) else { return nil }
        let place = RowRecords.place(row)
        return records.isValid(field: field.index, place)
            ? records.bits(field: field.index, place) : nil
    }

    /// One row: every column is a constant in its descriptor.
    private func writeOne(
        _ row: UInt32, _ table: inout TableWriter, _ writer: inout ByteWriter
    ) {
        table.addConstant(.rowStatus, .int32(status(row)), into: &writer)
        for field in fields {
            guard let bits = bits(field, row) else {
                table.addConstant(field.id, .missing(field.type), into: &writer)
                continue
            }
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
        // References, no copies: members cannot be lent while another changes.
        let (rows, gathered) = (scratch.rows, scratch.gathered)
        resize(&scratch.statuses, rows.count, 0)
        var statuses = scratch.statuses.mutableSpan
        gathered.withStatusWords { words in
            for position in rows.indices {
                let row = rows[position]
                statuses[position] =
                    row < RowRecords.firstRow
                    ? Int32(words.integer(at: position * 8, as: UInt8.self) ?? 0) : status(row)
            }
        }
        table.add(
            .rowStatus, .int32, lanes: scratch.statuses.span.bytes, validity: nil, into: &writer)
    }
}
