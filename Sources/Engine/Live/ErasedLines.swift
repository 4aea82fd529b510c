import ByteCoding
import ColumnStore

/// Who is erased, and up to when.
struct ErasedLines: Sendable {
    /// Ascending, none twice.
    let customerIDs: IDColumn
    /// Of each, the last record of the log that says so.
    private let records: [Int]
    /// Of each, the last time that goes, UTC seconds; nil where all do.
    private let times: [Int64]?

    private init(customerIDs: IDColumn, records: [Int], times: [Int64]?) {
        (self.customerIDs, self.records, self.times) = (customerIDs, records, times)
    }

    /// All lines of the customers of some erasures.
    /// - Parameters:
    ///   - erasures: in the order of the log, of ids of one kind.
    ///   - areTimed: keeps lines with a time after the customer's last erasure.
    init(_ erasures: [RecordedErasure], areTimed: Bool = false) {
        var last: [EntityID: (record: Int, time: Int64)] = [:]
        for erasure in erasures {
            for row in 0..<erasure.customerIDs.count {
                last[erasure.customerIDs[row]] = (erasure.sequence, erasure.time)
            }
        }
        var integers: [Int64] = []
        var texts = TextArray()
        var records: [Int] = []
        var times: [Int64] = []
        for (id, (record, time)) in last.sorted(by: { $0.key < $1.key }) {
            switch id {
            case .integer(let value): integers.append(value)
            case .text(let value): texts.append(value)
            }
            records.append(record)
            times.append(time)
        }
        self.init(
            customerIDs: texts.count > 0 ? .texts(texts) : .integers(integers), records: records,
            times: areTimed ? times : nil)
    }

    var isEmpty: Bool { customerIDs.count == 0 }
    var count: Int { customerIDs.count }

    /// Which of the erased a customer is; nil for none.
    func row(of ids: IDColumn, _ index: Int) -> Int? {
        guard ids.isOfKind(of: customerIDs) else { return nil }
        var (low, high) = (0, customerIDs.count)
        while low < high {
            let middle = (low + high) / 2
            if customerIDs.precedes(middle, ids, index) { low = middle + 1 } else { high = middle }
        }
        guard low < customerIDs.count, !ids.precedes(index, customerIDs, low) else { return nil }
        return low
    }

    /// Whether a line goes.
    /// - Parameter row: of the customer.
    func takes(_ row: Int, time: Int64) -> Bool { times.map { time <= $0[row] } ?? true }

    /// The lines of some customers that stay, ascending.
    /// - Parameters:
    ///   - customers: ascending, none twice.
    ///   - offsets: where the lines of each start, and their end.
    func keptLines(_ customers: IDColumn, _ offsets: [Int], _ times: [Int64]) -> [Int] {
        var kept: [Int] = []
        kept.reserveCapacity(times.count)
        for customer in 0..<customers.count {
            let lines = offsets[customer]..<offsets[customer + 1]
            if let row = row(of: customers, customer) {
                for line in lines where !takes(row, time: times[line]) { kept.append(line) }
            } else {
                kept += lines
            }
        }
        return kept
    }

    /// The lines of a record that no later record erases.
    func remaining(_ lines: LoggedLines, ofRecord sequence: Int) -> LoggedLines {
        if isEmpty { return lines }
        let kept = (0..<lines.count).filter { line in
            row(of: lines.customerIDs, line).map { records[$0] < sequence } ?? true
        }
        return kept.count == lines.count ? lines : lines.gather(kept)
    }
}

extension LoggedLines {
    /// Some of the lines, ascending.
    fileprivate func gather(_ rows: [Int]) -> LoggedLines {
        LoggedLines(
            customerIDs: customerIDs.gather(rows), times: rows.map { times[$0] },
            amounts: rows.map { amounts[$0] }, margins: margins.map { all in rows.map { all[$0] } },
            quantities: quantities.map { all in rows.map { all[$0] } },
            texts: texts.map { text in
                text.map { text in
                    CodedText(codes: rows.map { text.codes[$0] }, values: text.values)
                }
            })
    }
}

extension Column {
    /// Some of the rows, ascending.
    func gather(_ rows: [Int]) -> Column {
        let gathered: ColumnData =
            switch data {
            case .int64(let values): .int64(rows.map { values[$0] })
            case .float32(let values): .float32(rows.map { values[$0] })
            case .float64(let values): .float64(rows.map { values[$0] })
            case .text(let values): .text(values.gather(rows))
            case .coded(let text):
                .coded(CodedText(codes: rows.map { text.codes[$0] }, values: text.values))
            }
        return Column(
            name: name, data: gathered, validity: validity.map { all in rows.map { all[$0] } })
    }
}
