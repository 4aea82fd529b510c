import ByteCoding
import ColumnStore
import Features

/// The columns of purchase lines that a pass reads besides customers, times and amounts.
package struct LineColumns: OptionSet, Sendable {
    package let rawValue: Int

    package init(rawValue: Int) { self.rawValue = rawValue }

    package static let margins = LineColumns(rawValue: 1)
    package static let quantities = LineColumns(rawValue: 2)
    package static let orders = LineColumns(rawValue: 4)
    package static let products = LineColumns(rawValue: 8)
    package static let categories = LineColumns(rawValue: 16)
    package static let promotions = LineColumns(rawValue: 32)
    package static let channels = LineColumns(rawValue: 64)
    package static let all = LineColumns(rawValue: 127)
    /// What features are made of.
    static let features: LineColumns = [
        .margins, .quantities, .orders, .categories, .promotions, .channels,
    ]
}

/// A segment file of purchase lines, which finds the blocks of a range of customers.
struct PurchaseSegment: Sendable {
    let reader: SegmentReader
    /// The columns that it has.
    let columns: LineColumns
    /// The first customer of every block, ascending.
    let blockHeads: IDColumn
    private let customer: Int
    private let time: Int
    private let amount: Int
    private let positions: [Int: Int]

    private static let names: [(LineColumns, name: String, ColumnType)] = [
        (.margins, "margin", .int64), (.quantities, "quantity", .float32),
        (.orders, "order", .text), (.products, "product", .text),
        (.categories, "category", .text), (.promotions, "promotion", .text),
        (.channels, "channel", .text),
    ]

    init(path: String, threadCount: Int) throws(EngineError) {
        (reader, customer, time, amount, positions) = try mapErrors(EngineError.store) {
            () throws(StoreError) in
            let reader = try SegmentReader(path: path)
            func position(_ name: String, _ types: [ColumnType]) throws(StoreError) -> Int {
                guard let index = reader.columnIndex(named: name),
                    types.contains(reader.schema[index].type)
                else {
                    throw .missingPart(
                        path: path, part: "column \(name) of type \(types[0])")
                }
                return index
            }
            var positions: [Int: Int] = [:]
            for (column, name, type) in Self.names where reader.columnIndex(named: name) != nil {
                positions[column.rawValue] = try position(name, [type])
            }
            return (
                reader, try position("customer", [.int64, .text]), try position("time", [.int64]),
                try position("amount", [.int64]), positions
            )
        }
        columns = positions.keys.reduce(into: []) { $0.insert(LineColumns(rawValue: $1)) }
        blockHeads = try Self.heads(reader, customer, threadCount)
        for block in 0..<blockHeads.count
        where block > 0 && blockHeads.precedes(block, block - 1) {
            throw .features(
                .inconsistentHistory("\(path): customer ids are not ascending at block \(block)"))
        }
    }

    /// Integers from the zone maps; texts, of which a zone map knows but a prefix, from the blocks.
    private static func heads(
        _ reader: SegmentReader, _ customer: Int, _ threadCount: Int
    ) throws(EngineError) -> IDColumn {
        @Sendable func missing(_ block: Int) -> EngineError {
            .store(.missingPart(path: reader.path, part: "customer ids in block \(block)"))
        }
        if reader.schema[customer].type == .int64 {
            var heads: [Int64] = []
            for block in 0..<reader.blockCount {
                guard
                    case .int64(let least, _)? =
                        reader.zoneMap(column: customer, block: block).bounds
                else { throw missing(block) }
                heads.append(least)
            }
            return .integers(heads)
        }
        let heads = try parallelFold(
            into: TextArray(), count: reader.blockCount, threadCount: threadCount
        ) { (block) throws(EngineError) -> ArraySlice<UInt8> in
            let column = try mapErrors(EngineError.store) { () throws(StoreError) in
                try reader.block(block, column: customer, as: .coded)
            }
            guard case .coded(let ids) = column.data, let code = ids.codes.first,
                code != CodedText.missing
            else { throw missing(block) }
            return ids.values.utf8(Int(code))
        } merge: { heads, text in
            heads.append(utf8: text)
        }
        return .texts(heads)
    }

    // MARK: Blocks, whatever their customers

    func times(_ blocks: Range<Int>) throws(StoreError) -> [Int64] {
        try integers(time, blocks)
    }

    func amounts(_ blocks: Range<Int>) throws(StoreError) -> [Int64] {
        try integers(amount, blocks)
    }

    func customerIDs(_ blocks: Range<Int>) throws(StoreError) -> IDColumn {
        switch try reader.column(customer, blocks: blocks, as: .texts).data {
        case .int64(let ids): return .integers(ids)
        case .text(let ids): return .texts(ids)
        default: throw .missingPart(path: reader.path, part: "column customer")
        }
    }

    /// Nil where the segment has none.
    func margins(_ blocks: Range<Int>) throws(StoreError) -> [Int64]? {
        guard let position = positions[LineColumns.margins.rawValue] else { return nil }
        return try integers(position, blocks)
    }

    /// The times of a block and the amounts, as their zone maps know them; nil for a block with
    /// lines that lack one.
    func bounds(
        ofBlock block: Int
    ) -> (times: ClosedRange<Int64>, amounts: ClosedRange<Int64>)? {
        guard case .int64(let first, let last)? = reader.zoneMap(column: time, block: block).bounds,
            case .int64(let least, let most)? = reader.zoneMap(column: amount, block: block).bounds,
            reader.zoneMap(column: time, block: block).nullCount == 0,
            reader.zoneMap(column: amount, block: block).nullCount == 0
        else { return nil }
        return (first...last, least...most)
    }

    /// A text column of some blocks; nil where the segment has none.
    func texts(_ column: LineColumns, _ blocks: Range<Int>) throws(StoreError) -> CodedText? {
        guard let position = positions[column.rawValue] else { return nil }
        guard case .coded(let text) = try reader.column(position, blocks: blocks, as: .coded).data
        else { throw .missingPart(path: reader.path, part: "a column of texts") }
        return text
    }

    /// A column of lines.
    private func integers(
        _ position: Int, of lines: SegmentLines
    ) throws(StoreError) -> [Int64] {
        lines.areWhole
            ? try integers(position, lines.blocks)
            : try reader.integers(position, blocks: lines.blocks, rows: lines.rows)
    }

    private func integers(_ position: Int, _ blocks: Range<Int>) throws(StoreError) -> [Int64] {
        guard case .int64(let values) = try reader.column(position, blocks: blocks).data else {
            throw .missingPart(path: reader.path, part: "a column of integers")
        }
        return values
    }

    // MARK: Lines of a range of customers

    /// The lines of the customers from one id up to another, which is not among them; nil for none.
    /// - Parameters:
    ///   - lower: a row of `bounds`; nil for all from the first on. `upper` likewise.
    ///   - wanted: columns to decode, of those that the segment has.
    func lines(
        from lower: Int?, upTo upper: Int?, of bounds: IDColumn, _ wanted: LineColumns
    ) throws(EngineError) -> SegmentLines? {
        guard var lines = try customers(from: lower, upTo: upper, of: bounds) else { return nil }
        try decode(wanted, into: &lines)
        return lines
    }

    /// The same with their customers alone.
    func customers(
        from lower: Int?, upTo upper: Int?, of bounds: IDColumn
    ) throws(EngineError) -> SegmentLines? {
        let end = upper.map { bound in
            firstIndex(blockHeads.count) { !blockHeads.precedes($0, bounds, bound) }
        }
        var start =
            lower.map { bound in
                max(0, firstIndex(blockHeads.count) { !blockHeads.precedes($0, bounds, bound) } - 1)
            } ?? 0
        // The block before the first that starts with the customer may end before it.
        if let lower, start < blockHeads.count, ends(block: start, before: lower, of: bounds) {
            start += 1
        }
        let blocks = start..<max(start, end ?? blockHeads.count)
        guard !blocks.isEmpty else { return nil }
        return try mapErrors(EngineError.store) { () throws(StoreError) -> SegmentLines? in
            let ids = try reader.column(customer, blocks: blocks, as: .coded)
            var lines: SegmentLines
            switch ids.data {
            case .int64(let ids): lines = try SegmentLines(ids, lower, upper, bounds, reader.path)
            case .coded(let ids): lines = try SegmentLines(ids, lower, upper, bounds, reader.path)
            default: throw .missingPart(path: reader.path, part: "column customer")
            }
            lines.lie(in: blocks, rowCount: ids.count)
            return lines.count > 0 ? lines : nil
        }
    }

    /// The times of lines.
    func decodeTimes(of lines: inout SegmentLines) throws(EngineError) {
        let found = lines
        lines.times = try mapErrors(EngineError.store) { () throws(StoreError) in
            try integers(time, of: found)
        }
    }

    /// The columns of lines; their blocks are not read again.
    func decode(
        _ wanted: LineColumns, into lines: inout SegmentLines
    ) throws(EngineError) {
        defer { reader.forget(blocks: lines.blocks) }
        if lines.times.isEmpty { try decodeTimes(of: &lines) }
        do throws(StoreError) {
            try decodeColumns(wanted, into: &lines)
        } catch {
            throw .store(error)
        }
    }

    /// Gives the memory of lines that are not wanted after all back to the system.
    func forget(_ lines: SegmentLines) { reader.forget(blocks: lines.blocks) }

    private func ends(block: Int, before bound: Int, of bounds: IDColumn) -> Bool {
        switch (reader.zoneMap(column: customer, block: block).bounds, bounds) {
        case (.int64(_, let last)?, .integers(let ids)): last < ids[bound]
        case (.textPrefix(_, let last)?, .texts(let ids)): last < textPrefix(ids.utf8(bound))
        default: false
        }
    }

    private func decodeColumns(
        _ wanted: LineColumns, into lines: inout SegmentLines
    ) throws(StoreError) {
        let blocks = lines.blocks
        lines.amounts = try integers(amount, of: lines)
        if wanted.contains(.margins), let position = positions[LineColumns.margins.rawValue] {
            lines.margins = try integers(position, of: lines)
        }
        if wanted.contains(.quantities), let position = positions[LineColumns.quantities.rawValue] {
            lines.quantities =
                lines.areWhole
                ? try floats(position, blocks)
                : try reader.floats(position, blocks: blocks, rows: lines.rows)
        }
        if wanted.contains(.orders), let position = positions[LineColumns.orders.rawValue] {
            lines.takeOrders(try reader.codedBlocks(position, blocks))
        }
        for column in LineColumns.codedTexts where wanted.contains(column) {
            guard let position = positions[column.rawValue] else { continue }
            lines.takeTexts(try reader.codedBlocks(position, blocks), of: column)
        }
    }

    private func floats(_ position: Int, _ blocks: Range<Int>) throws(StoreError) -> [Float] {
        guard case .float32(let values) = try reader.column(position, blocks: blocks).data
        else { throw .missingPart(path: reader.path, part: "column quantity") }
        return values
    }
}

extension LineColumns {
    /// The columns of texts of which there are few; each has one code in all chunks.
    static let codedTexts: [LineColumns] = [.products, .categories, .promotions, .channels]
}

/// Lines of consecutive customers of one segment, in its order.
struct SegmentLines: Sendable {
    /// Unique and ascending, and where the lines of each start.
    private(set) var customerIDs: IDColumn
    private(set) var lineOffsets: [Int]
    /// Which rows of the blocks they are, ascending.
    private(set) var rows: [Range<Int>]
    /// The blocks of the segment that they are in, and how many rows these have.
    private(set) var blocks = 0..<0
    private var blockRowCount = 0
    /// Whether all their customers have changed.
    var isNew = false
    var times: [Int64] = []
    var amounts: [Int64] = []
    var margins: [Int64]?
    var quantities: [Float]?
    /// By the raw value of `LineColumns`; orders aside.
    var texts: [Int: CodedText] = [:]
    private(set) var orders: LineOrders?

    var count: Int { lineOffsets[lineOffsets.count - 1] }

    func lines(ofCustomer row: Int) -> Range<Int> { lineOffsets[row]..<lineOffsets[row + 1] }

    /// Whether they are all rows of their blocks.
    fileprivate var areWhole: Bool { rows.count == 1 && rows[0].count == blockRowCount }

    fileprivate mutating func lie(in blocks: Range<Int>, rowCount: Int) {
        (self.blocks, blockRowCount) = (blocks, rowCount)
    }

    init(
        _ ids: [Int64], _ lower: Int?, _ upper: Int?, _ bounds: IDColumn, _ path: String
    ) throws(StoreError) {
        guard case .integers(let bounds) = bounds else {
            throw .missingPart(path: path, part: "column customer of texts")
        }
        let start = lower.map { bound in firstIndex(ids.count) { ids[$0] >= bounds[bound] } } ?? 0
        let end =
            upper.map { bound in firstIndex(ids.count) { ids[$0] >= bounds[bound] } } ?? ids.count
        let rows = start..<max(start, end)
        self.rows = [rows]
        var customers: [Int64] = []
        var offsets: [Int] = []
        for row in rows where customers.last != ids[row] {
            guard customers.last.map({ $0 < ids[row] }) ?? true else {
                throw Self.unordered(path)
            }
            customers.append(ids[row])
            offsets.append(row - start)
        }
        customerIDs = .integers(customers)
        lineOffsets = offsets + [rows.count]
    }

    /// Sorted texts have ascending codes: those of their first appearance.
    init(
        _ ids: CodedText, _ lower: Int?, _ upper: Int?, _ bounds: IDColumn, _ path: String
    ) throws(StoreError) {
        guard case .texts(let bounds) = bounds else {
            throw .missingPart(path: path, part: "column customer of integers")
        }
        func row(of bound: Int) -> Int {
            let code = firstIndex(ids.values.count) { !ids.values.precedes($0, bounds, bound) }
            return firstIndex(ids.count) { Int(ids.codes[$0]) >= code }
        }
        let start = lower.map { row(of: $0) } ?? 0
        let rows = start..<max(start, upper.map { row(of: $0) } ?? ids.count)
        self.rows = [rows]
        var codes: [UInt32] = []
        var offsets: [Int] = []
        for row in rows where codes.last != ids.codes[row] {
            let code = ids.codes[row]
            guard code != CodedText.missing,
                codes.last.map({ ids.values.precedes(Int($0), ids.values, Int(code)) }) ?? true
            else { throw Self.unordered(path) }
            codes.append(code)
            offsets.append(row - start)
        }
        customerIDs = .texts(ids.values.gather(codes.map { Int($0) }))
        lineOffsets = offsets + [rows.count]
    }

    fileprivate mutating func takeOrders(_ blocks: [CodedText]) {
        var orders = LineOrders()
        var bases: [UInt32] = []
        for block in blocks {
            bases.append(UInt32(orders.codeCount))
            orders.append(block.values)
        }
        orders.codes.reserveCapacity(count)
        forEachRun { block, rows in
            let (base, codes) = (bases[block], blocks[block].codes)
            for row in rows {
                let code = codes[row]
                orders.codes.append(code == CodedText.missing ? code : base + code)
            }
        }
        self.orders = orders
    }

    /// Gives equal texts of several blocks one code: those of these lines alone.
    fileprivate mutating func takeTexts(_ blocks: [CodedText], of column: LineColumns) {
        var interner = TextInterner()
        var codes: [UInt32] = []
        codes.reserveCapacity(count)
        var numbers: [UInt32] = []
        var last: Int?
        forEachRun { block, rows in
            let text = blocks[block]
            if block != last {
                numbers = [UInt32](repeating: CodedText.missing, count: text.values.count)
                last = block
            }
            for row in rows {
                let code = text.codes[row]
                guard code != CodedText.missing else {
                    codes.append(code)
                    continue
                }
                if numbers[Int(code)] == CodedText.missing {
                    numbers[Int(code)] = interner.number(of: text.values, Int(code))
                }
                codes.append(numbers[Int(code)])
            }
        }
        texts[column.rawValue] = CodedText(codes: codes, values: interner.texts)
    }

    /// Calls `body` with the rows of the lines within one block after the other.
    private func forEachRun(_ body: (_ block: Int, _ rows: Range<Int>) -> Void) {
        for part in rows {
            var row = part.lowerBound
            while row < part.upperBound {
                // All blocks of a segment but its last have the same number of rows.
                let block = row / Limits.blockRowCount
                let first = block * Limits.blockRowCount
                let end = min(part.upperBound, first + Limits.blockRowCount)
                body(block, row - first..<end - first)
                row = end
            }
        }
    }

    /// Leaves the lines of some customers alone. Columns but times must not be decoded yet, times may.
    /// - Parameter kept: rows of `customerIDs`, ascending.
    mutating func keep(customers kept: [Int]) {
        precondition(rows.count == 1 && amounts.isEmpty, "lines as their customers were found")
        guard kept.count < customerIDs.count else { return }
        let base = rows[0].lowerBound
        var offsets = [0]
        var parts: [Range<Int>] = []
        var keptTimes: [Int64] = []
        for row in kept {
            let lines = lines(ofCustomer: row)
            if !times.isEmpty { keptTimes += times[lines] }
            offsets.append(offsets[offsets.count - 1] + lines.count)
            let start = base + lines.lowerBound
            if let last = parts.last, last.upperBound == start {
                parts[parts.count - 1] = last.lowerBound..<start + lines.count
            } else {
                parts.append(start..<start + lines.count)
            }
        }
        (times, rows, lineOffsets) = (keptTimes, parts, offsets)
        customerIDs = customerIDs.gather(kept)
    }

    private static func unordered(_ path: String) -> StoreError {
        .invalidInput(path: path, reason: "customer ids are not ascending")
    }
}

/// The first number of `0 ..< count` that fulfils what all after it fulfil too; `count` for none.
private func firstIndex(_ count: Int, where isAtOrAfter: (Int) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
        let middle = (low + high) / 2
        if isAtOrAfter(middle) { high = middle } else { low = middle + 1 }
    }
    return low
}
