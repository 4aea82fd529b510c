import ByteCoding
import ColumnStore
import Engine

/// Rows of customers that were scored anew together, as the records that answers are made of. Made
/// once and read by all event loops.
final class LiveDelta: Sendable {
    let ids: IDColumn
    /// Of the snapshot; `IDIndex.absent` for customers that it does not have.
    let rows: [UInt32]
    let records: RowRecords
    /// Customers who were erased and have not bought since, and their rows of the snapshot.
    let erasedIDs: IDColumn
    let erasedRows: [UInt32]
    let customerCount: Int
    /// Of the same layout, none yet.
    let emptyRecords: RowRecords

    /// - Parameters:
    ///   - rows: by `LiveScoring` of the same snapshot. What they do not have of a record is the
    ///     snapshot's, but for customers who are new ones after they were erased.
    ///   - erased: who has no row any more.
    init(_ rows: LiveRows, _ snapshot: ServingSnapshot, erased: [EntityID] = []) {
        erasedIDs = IDColumn(erased)
        erasedRows = Self.find(erasedIDs, in: snapshot)
        let strip = snapshot.strip
        ids = rows.customerIDs
        customerCount = snapshot.customerCount
        let found = Self.find(rows.customerIDs, in: snapshot)
        self.rows = found
        emptyRecords = RowRecords(like: strip)
        var records = emptyRecords
        for place in 0..<rows.count {
            let hasRow = found[place] != IDIndex.absent && !rows.isNew[place]
            records.append(copyOf: hasRow ? Int(found[place]) : nil, of: strip)
            records.setStatus(rows.status[place], place)
        }
        for column in rows.columns {
            guard let field = snapshot.columnIndex(id: column.id),
                strip.schema.fields[field].type == column.values.fieldType
            else { continue }
            for place in 0..<rows.count {
                records.set(column.bits(place), field: field, place)
            }
        }
        self.records = records
    }

    private static func find(_ ids: IDColumn, in snapshot: ServingSnapshot) -> [UInt32] {
        var found = [UInt32](repeating: IDIndex.absent, count: ids.count)
        var span = found.mutableSpan
        switch ids {
        case .integers(let integers) where !snapshot.customers.holdsTexts:
            snapshot.customers.find(integers: integers.span, rows: &span)
        case .texts(let texts) where snapshot.customers.holdsTexts:
            snapshot.customers.find(texts: texts, rows: &span)
        default: break
        }
        return found
    }
}

extension IDColumn {
    /// Ids of one kind; integers where there are none.
    fileprivate init(_ ids: [EntityID]) {
        var integers: [Int64] = []
        var texts = TextArray()
        for id in ids {
            switch id {
            case .integer(let value): integers.append(value)
            case .text(let value): texts.append(value)
            }
        }
        self = texts.count > 0 ? .texts(texts) : .integers(integers)
    }
}

extension ScoreColumn.Values {
    fileprivate var fieldType: RowStripSchema.FieldType {
        switch self {
        case .int32: .int32
        case .float32: .float32
        case .float64: .float64
        }
    }
}

extension ScoreColumn {
    /// As a strip has them; nil without a value.
    fileprivate func bits(_ row: Int) -> UInt64? {
        guard valid?[row] ?? true else { return nil }
        return switch values {
        case .int32(let values): UInt64(UInt32(bitPattern: values[row]))
        case .float32(let values): UInt64(values[row].bitPattern)
        case .float64(let values): values[row].bitPattern
        }
    }
}
