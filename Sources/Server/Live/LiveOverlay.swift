import ByteCoding
import ColumnStore

/// The customers of one event loop whose rows are not those of the snapshot, because they have bought
/// since. Each loop has its own and changes it between requests, so that a look-up needs no lock: with
/// nothing live it costs one branch, else a bit a row.
struct LiveOverlay: Sendable {
    /// Nil as long as nobody has bought.
    private(set) var records: RowRecords?
    /// A bit a row of the snapshot: whether it has a record.
    private var marks: [UInt64] = []
    /// The record of a row of the snapshot.
    private var places: [UInt32: UInt32] = [:]
    /// Those of customers whom the snapshot does not have.
    private var newIntegers: [Int64: UInt32] = [:]
    private var newTexts: [String: UInt32] = [:]

    init() {}

    init(_ delta: LiveDelta) { apply(delta) }

    var isEmpty: Bool { records == nil }

    /// Takes over rows, in place of earlier ones of the same customers.
    mutating func apply(_ delta: LiveDelta) { apply(delta, delta.rows.indices) }

    /// Some of the rows of a delta: an event loop takes many over in pieces.
    mutating func apply(_ delta: LiveDelta, _ piece: Range<Int>) {
        if piece.isEmpty { return }
        // Held once: it grows in place.
        var records = self.records.take() ?? delta.emptyRecords
        defer { self.records = records }
        if marks.isEmpty {
            marks = [UInt64](repeating: 0, count: (delta.customerCount + 63) / 64)
        }
        for index in piece {
            let row = delta.rows[index]
            if let place = place(row, delta.ids, index) {
                records.replace(Int(place), byCopyOf: delta.records, index)
                continue
            }
            let place = UInt32(records.count)
            records.append(copyOf: index, of: delta.records)
            if row != IDIndex.absent {
                marks[Int(row >> 6)] |= 1 << UInt64(row & 63)
                places[row] = place
            } else {
                switch delta.ids {
                case .integers(let ids): newIntegers[ids[index]] = place
                case .texts(let ids): newTexts[ids[index]] = place
                }
            }
        }
    }

    private func place(_ row: UInt32, _ ids: IDColumn, _ index: Int) -> UInt32? {
        if row != IDIndex.absent { return place(ofRow: row) }
        return switch ids {
        case .integers(let ids): newIntegers[ids[index]]
        case .texts(let ids): newTexts[ids[index]]
        }
    }

    private func place(ofRow row: UInt32) -> UInt32? {
        guard marks[Int(row >> 6)] >> UInt64(row & 63) & 1 == 1 else { return nil }
        return places[row]
    }

    /// Puts records in the place of rows that were found, and of customers that were not.
    func redirect(_ rows: inout [UInt32], of ids: [Int64]) {
        redirect(&rows) { newIntegers.isEmpty ? nil : newIntegers[ids[$0]] }
    }

    func redirect(_ rows: inout [UInt32], of ids: TextArray) {
        redirect(&rows) { newTexts.isEmpty ? nil : newTexts[ids[$0]] }
    }

    private func redirect(_ rows: inout [UInt32], ofAbsent find: (Int) -> UInt32?) {
        if isEmpty { return }
        for index in rows.indices {
            let row = rows[index]
            let place = row == IDIndex.absent ? find(index) : place(ofRow: row)
            if let place { rows[index] = RowRecords.firstRow | place }
        }
    }
}
