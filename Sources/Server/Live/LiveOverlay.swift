import ByteCoding
import ColumnStore

/// The customers of one event loop whose rows are not those of the snapshot, because they have bought
/// since. Each loop has its own and changes it between requests, so that a look-up needs no lock: with
/// nothing live it costs one branch, else a bit a row. So do those who were erased since, of whom there is
/// no row at all.
struct LiveOverlay: Sendable {
    /// Nil as long as nobody has bought.
    private(set) var records: RowRecords?
    /// A bit a row of the snapshot: whether it is not the customer's any more.
    private var marks: [UInt64] = []
    /// The record of such a row; that of a customer who was erased has none.
    private var places: [UInt32: UInt32] = [:]
    /// Those of customers whom the snapshot does not have.
    private var newIntegers: [Int64: UInt32] = [:]
    private var newTexts: [EntityID: UInt32] = [:]

    init() {}

    init(_ delta: LiveDelta) { apply(delta) }

    /// Without records.
    init(hiding erased: ErasedRows) { marks = erased.marks }

    var isEmpty: Bool { records == nil && marks.isEmpty }

    /// Takes over rows, in place of earlier ones of the same customers.
    mutating func apply(_ delta: LiveDelta) {
        hide(delta, delta.erasedRows.indices)
        apply(delta, delta.rows.indices)
    }

    /// Some of the rows of a delta: an event loop takes many over in pieces.
    mutating func apply(_ delta: LiveDelta, _ piece: Range<Int>) {
        if piece.isEmpty { return }
        // Held once: it grows in place.
        var records = self.records.take() ?? delta.emptyRecords
        defer { self.records = records }
        makeMarks(delta)
        for index in piece {
            let row = delta.rows[index]
            if let place = place(row, delta.ids, index) {
                records.replace(Int(place), byCopyOf: delta.records, index)
                continue
            }
            let place = UInt32(records.count)
            records.append(copyOf: index, of: delta.records)
            if row != IDIndex.absent {
                mark(row)
                places[row] = place
            } else {
                switch delta.ids {
                case .integers(let ids): newIntegers[ids[index]] = place
                case .texts(let ids): newTexts[.text(ids[index])] = place
                }
            }
        }
    }

    /// Leaves customers without a row who were erased and have not bought since.
    /// - Parameter piece: which of the delta's.
    mutating func hide(_ delta: LiveDelta, _ piece: Range<Int>) {
        if piece.isEmpty { return }
        makeMarks(delta)
        for index in piece {
            let row = delta.erasedRows[index]
            if row != IDIndex.absent {
                mark(row)
                places[row] = nil
            }
            switch delta.erasedIDs {
            case .integers(let ids): newIntegers[ids[index]] = nil
            case .texts(let ids): newTexts[.text(ids[index])] = nil
            }
        }
    }

    private mutating func makeMarks(_ delta: LiveDelta) {
        guard marks.isEmpty else { return }
        marks = [UInt64](repeating: 0, count: (delta.customerCount + 63) / 64)
    }

    private mutating func mark(_ row: UInt32) { marks[Int(row >> 6)] |= 1 << UInt64(row & 63) }

    private func isMarked(_ row: UInt32) -> Bool {
        marks[Int(row >> 6)] >> UInt64(row & 63) & 1 == 1
    }

    private func place(_ row: UInt32, _ ids: IDColumn, _ index: Int) -> UInt32? {
        if row != IDIndex.absent { return place(ofRow: row) }
        return switch ids {
        case .integers(let ids): newIntegers[ids[index]]
        case .texts(let ids): newTexts[.text(ids[index])]
        }
    }

    private func place(ofRow row: UInt32) -> UInt32? {
        isMarked(row) ? places[row] : nil
    }

    /// Puts records in the place of rows that were found, and of customers that were not.
    func redirect(_ rows: inout [UInt32], of ids: [Int64]) {
        redirect(&rows) { newIntegers.isEmpty ? nil : newIntegers[ids[$0]] }
    }

    func redirect(_ rows: inout [UInt32], of ids: TextArray) {
        redirect(&rows) { newTexts.isEmpty ? nil : newTexts[.text(ids[$0])] }
    }

    private func redirect(_ rows: inout [UInt32], ofAbsent find: (Int) -> UInt32?) {
        if isEmpty { return }
        for index in rows.indices {
            let row = rows[index]
            if row == IDIndex.absent {
                if let place = find(index) { rows[index] = RowRecords.firstRow | place }
            } else if isMarked(row) {
                rows[index] = places[row].map { RowRecords.firstRow | $0 } ?? IDIndex.absent
            }
        }
    }
}
