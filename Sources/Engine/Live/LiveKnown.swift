import ByteCoding
import ColumnStore
import Features
import Ingest
import Units

/// Purchase lines that the segments have and a snapshot has not seen, because they are later than its
/// day: mostly returns after the last purchase.
struct LateLines: Sendable {
    private var linesOfCustomer: [EntityID: [LiveCustomers.Line]] = [:]
    /// Those with purchases that have order ids, which may be of earlier orders.
    private var unclear: Set<EntityID> = []

    /// More are not kept in memory.
    private static let limit = 1 << 20

    /// None.
    init() {}

    /// - Returns: nil where there are too many.
    init?(_ history: SegmentedHistory, after day: CalendarDay, clock: LocalClock)
        throws(EngineError)
    {
        var count = 0
        // In every time zone on Earth.
        let first = Int64(day.daysSince1970 - 1) * 86_400
        for segment in history.segments {
            for block in 0..<segment.reader.blockCount {
                if let bounds = segment.bounds(ofBlock: block), bounds.times.upperBound < first {
                    continue
                }
                let found = try segment.lines(ofBlock: block) { time in
                    time >= first && clock.day(atUTC: Int(time)) > day
                }
                count += found.lines.count
                guard count <= Self.limit else { return nil }
                for (row, line) in found.lines.enumerated() {
                    let customer = found.customerIDs[row]
                    linesOfCustomer[customer, default: []].append(line.line)
                    if line.hasOrder, line.line.amount >= 0 { unclear.insert(customer) }
                }
            }
        }
        // Segments come in the order of their ingests: lines of one time stay in it.
        for (customer, lines) in linesOfCustomer where lines.count > 1 {
            linesOfCustomer[customer] = lines.indices
                .sorted { (lines[$0].time, $0) < (lines[$1].time, $1) }.map { lines[$0] }
        }
    }

    /// By time; nil where they do not tell which orders they are of.
    func lines(of customer: EntityID) -> [LiveCustomers.Line]? {
        if linesOfCustomer.isEmpty { return [] }
        return unclear.contains(customer) ? nil : linesOfCustomer[customer] ?? []
    }

    /// Both by time; of one time the late ones first, which came before.
    static func merge(
        _ late: [LiveCustomers.Line], _ live: [LiveCustomers.Line]
    ) -> [LiveCustomers.Line] {
        if late.isEmpty { return live }
        var result: [LiveCustomers.Line] = []
        var next = 0
        for line in live {
            while next < late.count, late[next].time <= line.time {
                result.append(late[next])
                next += 1
            }
            result.append(line)
        }
        return result + late[next...]
    }
}

extension PurchaseSegment {
    /// Some lines of a block, and whose they are; without products.
    func lines(
        ofBlock block: Int, where isWanted: (Int64) -> Bool
    ) throws(EngineError) -> (
        customerIDs: IDColumn, lines: [(line: LiveCustomers.Line, hasOrder: Bool)]
    ) {
        let blocks = block..<block + 1
        defer { reader.forget(blocks: blocks) }
        do throws(StoreError) {
            let times = try times(blocks)
            let rows = times.indices.filter { isWanted(times[$0]) }
            if rows.isEmpty { return (.integers([]), []) }
            let ids = try customerIDs(blocks).gather(rows)
            let amounts = try amounts(blocks)
            let margins = try margins(blocks)
            let orders = try texts(.orders, blocks)
            return (
                ids,
                rows.map { row in
                    let order = orders?.codes[row] ?? CodedText.missing
                    return (
                        LiveCustomers.Line(
                            sequence: 0, time: times[row], amount: amounts[row],
                            margin: margins?[row], order: CodedText.missing,
                            product: CodedText.missing), order != CodedText.missing
                    )
                }
            )
        } catch {
            throw .store(error)
        }
    }
}

/// Which orders a segment may have: says no where it has not, and now and then yes where it has not
/// either.
///
/// A Bloom filter of (customer, order id) of which four bits of one word of 64 are set. Words are
/// at least a 16th of the lines: of orders that are not there 1 in 30 or fewer look as if they were.
final class KnownOrders: Sendable {
    private let words: [UInt64]
    /// Bits of a word's number.
    private let mask: UInt64

    private static let hash = KeyedHash(key: 0x6F72_6465_7273)

    init(_ segment: PurchaseSegment) throws(EngineError) {
        // As many as lines: an upper bound of the orders.
        var wordCount = 64
        while wordCount * 16 < segment.reader.rowCount { wordCount *= 2 }
        let mask = UInt64(wordCount - 1)
        var words = [UInt64](repeating: 0, count: wordCount)
        for block in 0..<segment.reader.blockCount {
            let blocks = block..<block + 1
            defer { segment.reader.forget(blocks: blocks) }
            do throws(StoreError) {
                guard let orders = try segment.texts(.orders, blocks) else { continue }
                let ids = try segment.customerIDs(blocks)
                let hashes = (0..<orders.values.count).map { Self.hash(of: orders.values, $0) }
                var last: UInt64 = 0
                for row in 0..<orders.count where orders.codes[row] != CodedText.missing {
                    let key = Self.key(
                        Self.hash(of: ids, row), hashes[Int(orders.codes[row])])
                    if key == last { continue }
                    last = key
                    words[Int(key & mask)] |= Self.bits(key)
                }
            } catch {
                throw .store(error)
            }
        }
        self.words = words
        self.mask = mask
    }

    func mayHave(_ key: UInt64) -> Bool {
        let bits = Self.bits(key)
        return words[Int(key & mask)] & bits == bits
    }

    static func key(_ customer: EntityID, _ order: [UInt8]) -> UInt64 {
        let id: UInt64 =
            switch customer {
            case .integer(let number): hash.hash(number)
            case .text(let text): hash.hash(Array(text.utf8).span.bytes)
            }
        return key(id, hash.hash(order.span.bytes))
    }

    private static func key(_ customer: UInt64, _ order: UInt64) -> UInt64 {
        StableHash.hash(Int64(bitPattern: customer ^ (order &* 3)))
    }

    /// From the upper half, which does not choose the word.
    private static func bits(_ key: UInt64) -> UInt64 {
        1 << (key >> 58) | 1 << (key >> 52 & 63) | 1 << (key >> 46 & 63) | 1 << (key >> 40 & 63)
    }

    private static func hash(of ids: IDColumn, _ row: Int) -> UInt64 {
        switch ids {
        case .integers(let values): hash.hash(values[row])
        case .texts(let texts): hash(of: texts, row)
        }
    }

    private static func hash(of texts: TextArray, _ row: Int) -> UInt64 {
        hash.hash(
            texts.bytes.span.bytes.extracting(texts.offsets[row]..<texts.offsets[row + 1]))
    }
}

/// The table of customers, in which some are found without going through all.
struct LiveAttributes: Sendable {
    private let table: CustomerAttributes?
    /// Rows by ascending id.
    private let order: [Int]

    init(_ table: CustomerAttributes?) {
        self.table = table
        order = table.map { sortedOrder(of: $0.ids) } ?? []
    }

    /// The attributes of some customers.
    /// - Parameter isUnknown: whether the table's row is not that customer's, who was erased since.
    func joined(
        _ customerIDs: IDColumn, isUnknown: (EntityID) -> Bool
    ) throws(FeatureError) -> JoinedAttributes {
        guard let table, table.ids.count > 0 else {
            return JoinedAttributes(
                table?.columns ?? [], rows: [Int](repeating: -1, count: customerIDs.count))
        }
        guard table.ids.isOfTexts == customerIDs.isOfTexts || customerIDs.count == 0 else {
            throw .idKindMismatch(table: "customers")
        }
        let rows = (0..<customerIDs.count).map { row in
            var (low, high) = (0, order.count)
            while low < high {
                let middle = (low + high) / 2
                if table.ids.precedes(order[middle], customerIDs, row) {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            guard low < order.count, !customerIDs.precedes(row, table.ids, order[low]) else {
                return -1
            }
            return isUnknown(customerIDs[row]) ? -1 : order[low]
        }
        return JoinedAttributes(table.columns, rows: rows)
    }
}
