import ByteCoding
import ColumnStore
import Features

/// Stays of customers in segments, in the order of their ids and, of one customer, of days. Every
/// customer is in one segment of a segmentation at a time, or in none.
///
/// As a segment file: `customer` (int64 or text), `segment`, `entered`, and of stays that have ended
/// `left` (int64; days since 1970-01-01).
struct SegmentStays: Equatable {
    var customers: IDColumn
    /// Ids of segments.
    var segments: [Int32]
    /// The as-of day on which the customer was first seen there.
    var entered: [Int32]
    /// The as-of day on which the customer was first seen elsewhere; nil where all stays go on.
    var left: [Int32]?

    var count: Int { segments.count }

    /// Of nobody.
    static func none(of kind: IDColumn, haveEnded: Bool) -> SegmentStays {
        SegmentStays(
            customers: kind.slice(0..<0), segments: [], entered: [], left: haveEnded ? [] : nil)
    }

    // MARK: From one day to the next

    /// The stays that go on after a day, and those that end on it.
    /// - Parameters:
    ///   - customers: ascending, none twice, of the kind of ids of these stays, which all go on.
    ///   - now: the segment of each on the day; below 0: in none.
    func moved(
        to customers: IDColumn, _ now: [Int32], on day: Int32
    ) -> (open: SegmentStays, ended: SegmentStays) {
        var entered = [Int32](repeating: day, count: now.count)
        var endedRows: [Int] = []
        var row = 0
        for place in now.indices {
            while row < count, self.customers.precedes(row, customers, place) {
                endedRows.append(row)
                row += 1
            }
            guard row < count, !customers.precedes(place, self.customers, row) else { continue }
            if segments[row] == now[place] {
                entered[place] = self.entered[row]
            } else {
                endedRows.append(row)
            }
            row += 1
        }
        endedRows += row..<count
        var ended = gather(endedRows)
        ended.left = [Int32](repeating: day, count: endedRows.count)
        let all = SegmentStays(customers: customers, segments: now, entered: entered, left: nil)
        guard now.contains(where: { $0 < 0 }) else { return (all, ended) }
        return (all.gather(now.indices.filter { now[$0] >= 0 }), ended)
    }

    /// The stays that went on before a day, of those that go on after it.
    /// - Parameters:
    ///   - ended: those that ended on the day.
    ///   - path: of their file, for errors.
    /// - Throws: what `merged` throws.
    func before(
        _ day: Int32, _ ended: SegmentStays, from path: String
    ) throws(StoreError) -> SegmentStays {
        var reopened = ended
        reopened.left = nil
        return try gather(entered.indices.filter { entered[$0] < day })
            .merged(with: reopened, from: path)
    }

    /// Both in one order; of one customer those of `later` come behind.
    /// - Parameter path: of the file of `later`, for errors.
    /// - Throws: `corrupt` where one has integers as ids and the other one texts.
    func merged(
        with later: SegmentStays, from path: String
    ) throws(StoreError) -> SegmentStays {
        if later.count == 0 { return self }
        if count == 0 { return later }
        var all = self
        guard all.customers.append(contentsOf: later.customers) else {
            throw .corrupt(
                path: path, byteOffset: 0,
                reason: "its customers have ids of another kind than those of the ledger's other "
                    + "files")
        }
        all.segments += later.segments
        all.entered += later.entered
        if let left, let others = later.left { all.left = left + others }
        var order: [Int] = []
        order.reserveCapacity(all.count)
        var row = 0
        for other in 0..<later.count {
            while row < count, !later.customers.precedes(other, customers, row) {
                order.append(row)
                row += 1
            }
            order.append(count + other)
        }
        order += row..<count
        return all.gather(order)
    }

    func gather(_ rows: [Int]) -> SegmentStays {
        SegmentStays(
            customers: customers.gather(rows), segments: rows.map { segments[$0] },
            entered: rows.map { entered[$0] }, left: left.map { left in rows.map { left[$0] } })
    }

    // MARK: Files

    /// Rows handed to the writer at a time: whole blocks.
    private static let batchRowCount = 4 * Limits.blockRowCount

    /// Writes a provisional segment file.
    func write(to path: String, threadCount: Int) throws(StoreError) -> SegmentSummary {
        let idType = customers.columnData.type
        var schema = [
            ColumnSchema(name: "customer", type: idType),
            ColumnSchema(name: "segment", type: .int64, unit: "segment"),
            ColumnSchema(name: "entered", type: .int64, unit: "day"),
        ]
        if left != nil { schema.append(ColumnSchema(name: "left", type: .int64, unit: "day")) }
        let writer = try SegmentWriter(path: path, schema: schema, threadCount: threadCount)
        for start in stride(from: 0, to: count, by: Self.batchRowCount) {
            let rows = start..<min(count, start + Self.batchRowCount)
            func column(_ name: String, _ values: [Int32]) -> Column {
                Column(name: name, data: .int64(values[rows].map(Int64.init)))
            }
            var columns = [
                Column(name: "customer", data: customers.slice(rows).columnData),
                column("segment", segments), column("entered", entered),
            ]
            if let left { columns.append(column("left", left)) }
            try writer.append(columns)
        }
        return try writer.finish(.provisional)
    }

    /// Reads consecutive blocks; all of a file where nil.
    /// - Throws: `missingPart`, `corrupt`.
    init(_ reader: SegmentReader, blocks: Range<Int>? = nil) throws(StoreError) {
        let blocks = blocks ?? 0..<reader.blockCount
        func numbers(_ name: String) throws(StoreError) -> [Int32] {
            guard let index = reader.columnIndex(named: name),
                case .int64(let values) = try reader.column(index, blocks: blocks).data
            else { throw .missingPart(path: reader.path, part: "int64 column \"\(name)\"") }
            var result: [Int32] = []
            result.reserveCapacity(values.count)
            for value in values {
                guard let number = Int32(exactly: value) else {
                    throw .corrupt(
                        path: reader.path, byteOffset: 0, reason: "\(name) \(value) is too large")
                }
                result.append(number)
            }
            return result
        }
        guard let index = reader.columnIndex(named: "customer") else {
            throw .missingPart(path: reader.path, part: "column \"customer\"")
        }
        switch try reader.column(index, blocks: blocks).data {
        case .int64(let values): customers = .integers(values)
        case .text(let values): customers = .texts(values)
        default: throw .missingPart(path: reader.path, part: "column \"customer\" of ids")
        }
        segments = try numbers("segment")
        entered = try numbers("entered")
        left = reader.columnIndex(named: "left") == nil ? nil : try numbers("left")
    }

    init(customers: IDColumn, segments: [Int32], entered: [Int32], left: [Int32]?) {
        self.customers = customers
        self.segments = segments
        self.entered = entered
        self.left = left
    }

    /// Whether a customer is in two segments at once, or a stay comes before an earlier one.
    var haveOverlaps: Bool {
        for row in 1..<max(1, count) where !customers.precedes(row - 1, row) {
            guard let left, left[row - 1] <= entered[row] else { return true }
        }
        return false
    }

    /// Why these are no stays of a ledger; nil where they are.
    /// - Parameter days: those of the ledger, ascending.
    func flaw(days: [Int32]) -> String? {
        let known = Set(days)
        for row in 0..<count {
            if segments[row] < 0 { return "row \(row) has no segment" }
            if !known.contains(entered[row]) {
                return "row \(row) was entered on a day that the ledger does not have"
            }
            if let left, !known.contains(left[row]) || left[row] <= entered[row] {
                return "row \(row) was left on a day that cannot be"
            }
            if row == 0 || customers.precedes(row - 1, row) { continue }
            // One customer once more, which is for stays that have ended.
            guard let left, !customers.precedes(row, row - 1), left[row - 1] <= entered[row] else {
                return "row \(row) is not in the order of customers and days"
            }
        }
        return nil
    }
}
