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
    let customerCount: Int
    /// Of the same layout, none yet.
    let emptyRecords: RowRecords

    /// - Parameter rows: by `LiveScoring` of the same snapshot. What they do not have of a record is
    ///   the snapshot's.
    init(_ rows: LiveRows, _ snapshot: ServingSnapshot) {
        let strip = snapshot.strip
        ids = rows.customerIDs
        customerCount = snapshot.customerCount
        var found = [UInt32](repeating: IDIndex.absent, count: rows.count)
        var span = found.mutableSpan
        switch rows.customerIDs {
        case .integers(let integers) where !snapshot.customers.holdsTexts:
            snapshot.customers.find(integers: integers.span, rows: &span)
        case .texts(let texts) where snapshot.customers.holdsTexts:
            snapshot.customers.find(texts: texts, rows: &span)
        default: break
        }
        self.rows = found
        emptyRecords = RowRecords(like: strip)
        var records = emptyRecords
        for place in 0..<rows.count {
            records.append(
                copyOf: found[place] == IDIndex.absent ? nil : Int(found[place]), of: strip)
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
