import ByteCoding
import ColumnStore
import Features

extension SegmentedHistory {
    /// Cuts ascending ids into runs of which each is read at once: neighbours are in one block of the
    /// largest segment or in two that follow one another.
    func neighbours(among ids: [EntityID]) -> [Range<Int>] {
        guard let largest = segments.max(by: { $0.reader.rowCount < $1.reader.rowCount }) else {
            return [0..<ids.count]
        }
        let heads = largest.blockHeads
        var runs: [Range<Int>] = []
        var last = 0
        for (index, id) in ids.enumerated() {
            var (low, high) = (0, heads.count)
            while low < high {
                let middle = (low + high) / 2
                if heads[middle] <= id { low = middle + 1 } else { high = middle }
            }
            if let run = runs.last, low - last <= 1, run.count < Self.largestRun {
                runs[runs.count - 1] = run.lowerBound..<index + 1
            } else {
                runs.append(index..<index + 1)
            }
            last = low
        }
        return runs
    }

    /// Customers that are read at once.
    private static let largestRun = 256

    /// The lines of some customers in all segments; nil for none.
    /// - Parameter ids: ascending, 1 and more.
    func mergedLines(
        of ids: IDColumn, _ wanted: LineColumns
    ) throws(EngineError) -> MergedLines? {
        guard ids.isOfTexts == splits.isOfTexts else { return nil }
        let bounds: IDColumn
        var upper: Int? = 1
        switch (ids[0], ids[ids.count - 1]) {
        case (.integer(let first), .integer(let last)):
            // Nothing comes after the last of all.
            bounds = .integers(last < .max ? [first, last + 1] : [first])
            if last == .max { upper = nil }
        case (let first, let last):
            // The least text after it, byte by byte.
            bounds = .texts(TextArray([first.description, last.description + "\u{0}"]))
        }
        var parts: [SegmentLines] = []
        for segment in segments {
            guard var lines = try segment.customers(from: 0, upTo: upper, of: bounds) else {
                continue
            }
            var rows: [Int] = []
            var wantedRow = 0
            for row in 0..<lines.customerIDs.count {
                while wantedRow < ids.count, ids.precedes(wantedRow, lines.customerIDs, row) {
                    wantedRow += 1
                }
                if wantedRow < ids.count, !lines.customerIDs.precedes(row, ids, wantedRow) {
                    rows.append(row)
                }
            }
            lines.keep(customers: rows)
            guard lines.count > 0 else {
                segment.forget(lines)
                continue
            }
            try segment.decode(wanted.intersection(segment.columns), into: &lines)
            parts.append(lines)
        }
        return parts.isEmpty ? nil : MergedLines(parts)
    }
}

/// What the segments have of some customers.
struct KnownLines {
    let customerIDs: IDColumn
    /// Where the lines of each customer start, and their end.
    let offsets: [Int]
    let times: [Int64]
    let amounts: [Int64]
    let margins: [Int64]?
    /// Order ids; equal ones have equal codes.
    let orders: CodedText?

    init(_ lines: MergedLines?, hasMargins: Bool, hasOrders: Bool, _ grossMarginRate: Double) {
        customerIDs = lines?.customerIDs ?? .integers([])
        offsets = lines?.lineOffsets ?? [0]
        times = lines?.joined { $0.times } ?? []
        amounts = lines?.joined { $0.amounts } ?? []
        margins = hasMargins ? lines?.margins(grossMarginRate) ?? [] : nil
        orders = hasOrders ? lines?.text(.orders) ?? CodedText() : nil
    }
}

/// The lines of customers in segments and live, as one ingest of the live ones after the others would
/// have them: by time, equal times in the order that they came.
struct GatheredLines {
    private(set) var offsets = [0]
    private(set) var times: [Int64] = []
    private(set) var amounts: [Int64] = []
    private(set) var margins: [Int64]?
    private(set) var orders: [UInt32]?

    init(hasMargins: Bool, hasOrders: Bool) {
        margins = hasMargins ? [] : nil
        orders = hasOrders ? [] : nil
    }

    /// Adds the next customer.
    /// - Parameters:
    ///   - lines: of `known`, the customer's, by time.
    ///   - fresh: the live ones, by time.
    mutating func append(
        _ known: KnownLines, _ lines: Range<Int>, _ live: LiveCustomers,
        _ fresh: [LiveCustomers.Line], _ grossMarginRate: Double
    ) {
        var (next, old) = (0, lines.lowerBound)
        while old < lines.upperBound || next < fresh.count {
            let isOld =
                old < lines.upperBound
                && (next == fresh.count || known.times[old] <= fresh[next].time)
            if isOld {
                times.append(known.times[old])
                amounts.append(known.amounts[old])
                margins?.append(known.margins?[old] ?? 0)
                orders?.append(known.orders?.codes[old] ?? CodedText.missing)
                old += 1
            } else {
                let line = fresh[next]
                times.append(line.time)
                amounts.append(line.amount)
                margins?.append(
                    line.margin
                        ?? Int64((Double(line.amount) * grossMarginRate).rounded()))
                orders?.append(Self.order(of: line, known, lines, live))
                next += 1
            }
        }
        offsets.append(times.count)
    }

    /// That of the customer's line with the same order id, else one of its own.
    private static func order(
        of line: LiveCustomers.Line, _ known: KnownLines, _ lines: Range<Int>,
        _ live: LiveCustomers
    ) -> UInt32 {
        guard line.order != CodedText.missing, let orders = known.orders else {
            return CodedText.missing
        }
        let text = live.orderID(line.order)
        for other in lines {
            let code = orders.codes[other]
            if code != CodedText.missing, orders.values.utf8(Int(code)).elementsEqual(text) {
                return code
            }
        }
        return UInt32(orders.values.count) + line.order
    }
}
