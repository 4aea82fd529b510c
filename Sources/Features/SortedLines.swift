package import ByteCoding
package import Numerical

/// Purchase lines of any order, by column; line `i` belongs to the customer `customerIDs[i]`.
package struct LineBatch: Sendable {
    package var customerIDs: IDColumn
    package var times: [Int64]
    package var amounts: [Int64]
    package var margins: [Int64]?
    package var quantities: [Float]?
    /// Columns of texts as codes; nil for one that there is not.
    package var codes: [[UInt32]?]

    package init(
        customerIDs: IDColumn, times: [Int64], amounts: [Int64], margins: [Int64]?,
        quantities: [Float]?, codes: [[UInt32]?]
    ) {
        self.customerIDs = customerIDs
        self.times = times
        self.amounts = amounts
        self.margins = margins
        self.quantities = quantities
        self.codes = codes
    }

    package var count: Int { customerIDs.count }

    fileprivate func check() throws(FeatureError) {
        let counts =
            [times.count, amounts.count, margins?.count, quantities?.count] + codes.map(\.?.count)
        guard counts.allSatisfy({ $0 == nil || $0 == count }) else {
            throw .inconsistentHistory("line columns differ in count")
        }
    }

    fileprivate var values: [RowValues] {
        var values = [RowValues.words(amounts)]
        if let margins { values.append(.words(margins)) }
        if let quantities { values.append(.floats(quantities)) }
        for case let codes? in codes { values.append(.halves(codes)) }
        return values
    }
}

/// Collects batches of purchase lines, to sort them by (customer id, time, original order).
package struct LineCollector: Sendable {
    private var rows: RowCollector
    private var fields = SortedLines.Fields()
    private var customerTexts: TextArray?
    /// All magnitudes of amounts, or-ed: as long as the longest. The same of margins.
    private var largestAmount: UInt64 = 0
    private var largestMargin: UInt64 = 0
    private let threadCount: Int

    /// - Parameters:
    ///   - batch: the first one, which is added. All others have the same columns.
    ///   - capacity: lines that there is room for besides it.
    ///   - threadCount: at least 1; what is sorted does not depend on it.
    /// - Throws: `.inconsistentHistory` where columns differ in count.
    package init(
        _ batch: LineBatch, capacity: Int, threadCount: Int
    ) throws(FeatureError) {
        try batch.check()
        self.threadCount = threadCount
        let values = batch.values
        let first: [Int64]
        switch batch.customerIDs {
        case .integers(let ids): first = ids
        case .texts(let texts):
            let ranked = ranks(of: texts)
            first = ranked.ranks
            customerTexts = texts.gather(ranked.firstRows)
        }
        rows = RowCollector(
            like: first, batch.times, values,
            capacity: min(batch.count + capacity, Int(UInt32.max) - 1), threadCount: threadCount)
        var number = 1
        func next() -> RowField {
            defer { number += 1 }
            return .value(number)
        }
        if batch.margins != nil { fields.margins = next() }
        if batch.quantities != nil { fields.quantities = next() }
        fields.codes = batch.codes.map { $0 == nil ? nil : next() }
        let isAdded = add(first, batch, values)
        precondition(isAdded, "there is room for the batch that the rows are like")
    }

    package var count: Int { rows.count }

    /// Adds a batch.
    /// - Returns: false, and nothing is added, where another collector must take it: ids that are
    ///   texts are sorted in one batch, and see `RowCollector`.
    package mutating func add(_ batch: LineBatch) throws(FeatureError) -> Bool {
        try batch.check()
        guard customerTexts == nil, case .integers(let ids) = batch.customerIDs else {
            return false
        }
        return add(ids, batch, batch.values)
    }

    private mutating func add(_ first: [Int64], _ batch: LineBatch, _ values: [RowValues]) -> Bool {
        guard rows.add(first, batch.times, values, threadCount: threadCount) else { return false }
        largestAmount |= largest(of: batch.amounts)
        if let margins = batch.margins { largestMargin |= largest(of: margins) }
        return true
    }

    private func largest(of values: [Int64]) -> UInt64 {
        parallelMap(count: values.count, chunkSize: 1 << 16, threadCount: threadCount) { _, part in
            values[part].reduce(0 as UInt64) { $0 | $1.magnitude }
        }.reduce(0, |)
    }

    /// - Throws: `.noLines` for no lines; `.inconsistentHistory` for a time outside the years 1 to
    ///   9999; `.amountsTooLarge` where a customer's sum of absolute values leaves 64 bits.
    /// - Complexity: O(lines) for integer ids; text ids add a hash look-up a line and a sort of the
    ///   distinct ids.
    package func sorted() throws(FeatureError) -> SortedLines {
        guard count > 0 else { throw .noLines }
        let lines = SortedLines(
            rows: rows.sorted(threadCount: threadCount), customerTexts: customerTexts,
            fields: fields)
        guard PurchaseHistory.timeRange.contains(lines.rows.secondBounds.lowerBound),
            PurchaseHistory.timeRange.contains(lines.rows.secondBounds.upperBound)
        else {
            throw .inconsistentHistory("a time lies outside the years 1 to 9999")
        }
        try lines.checkSums(lines.amounts, largest: largestAmount, named: "amounts", threadCount)
        if let margins = lines.margins {
            try lines.checkSums(margins, largest: largestMargin, named: "margins", threadCount)
        }
        return lines
    }
}

/// Purchase lines by (customer id, time, original order), whose columns are read where they are
/// wanted.
package struct SortedLines: Sendable {
    fileprivate struct Fields: Sendable {
        var margins: RowField?
        var quantities: RowField?
        var codes: [RowField?] = []
    }

    package let rows: SortedRows
    /// The distinct ids, ascending, which the numbers of `customers` stand for where ids are texts.
    package let customerTexts: TextArray?
    fileprivate let fields: Fields

    package var customers: RowField { .first }
    package var times: RowField { .second }
    package var amounts: RowField { .value(0) }
    package var margins: RowField? { fields.margins }
    package var quantities: RowField? { fields.quantities }
    /// Of each column of texts.
    package var codes: [RowField?] { fields.codes }

    /// - Parameter largest: no magnitude has more bits.
    /// - Throws: `.amountsTooLarge`.
    fileprivate func checkSums(
        _ field: RowField, largest: UInt64, named name: String, _ threadCount: Int
    ) throws(FeatureError) {
        // No sum of them all can be too large: nearly always.
        if 128 - largest.leadingZeroBitCount - rows.count.leadingZeroBitCount < 64 { return }
        let numbers = rows.words(customers, threadCount: threadCount)
        let values = rows.words(field, threadCount: threadCount)
        var sum: UInt64 = 0
        var row = 0
        for line in numbers.indices {
            if line > 0, numbers[line] != numbers[line - 1] { (sum, row) = (0, row + 1) }
            let (next, overflow) = sum.addingReportingOverflow(values[line].magnitude)
            guard !overflow, next <= UInt64(Int64.max) else {
                throw .amountsTooLarge(column: name, customerRow: row)
            }
            sum = next
        }
    }
}

extension PurchaseHistory {
    /// The history of lines in any order, for what memory holds twice: line `i` of every column
    /// belongs to the customer `lineCustomerIDs[i]`.
    /// - Throws: what `LineCollector` and `init` throw.
    package static func sorting(
        lineCustomerIDs: IDColumn, times: [Int64], amounts: [Int64], margins: [Int64]? = nil,
        quantities: [Float]? = nil, orderCodes: [UInt32]? = nil, products: CodedText? = nil,
        categories: CodedText? = nil, promotions: CodedText? = nil, channels: CodedText? = nil,
        threadCount: Int = 1
    ) throws(FeatureError) -> PurchaseHistory {
        let texts = [products, categories, promotions, channels]
        let lines = try LineCollector(
            LineBatch(
                customerIDs: lineCustomerIDs, times: times, amounts: amounts, margins: margins,
                quantities: quantities, codes: [orderCodes] + texts.map(\.?.codes)),
            capacity: 0, threadCount: threadCount
        ).sorted()
        func words(_ field: RowField) -> [Int64] {
            lines.rows.words(field, threadCount: threadCount)
        }
        func halves(_ field: RowField) -> [UInt32] {
            lines.rows.halves(field, threadCount: threadCount)
        }
        let numbers = words(lines.customers)
        let heads = numbers.indices.filter { $0 == 0 || numbers[$0] != numbers[$0 - 1] }
        let customerIDs: IDColumn
        if let texts = lines.customerTexts {
            customerIDs = .texts(texts)
        } else {
            customerIDs = .integers(heads.map { numbers[$0] })
        }
        let coded = texts.indices.map { index in
            lines.codes[index + 1].map {
                CodedText(codes: halves($0), values: texts[index]?.values ?? TextArray())
            }
        }
        return try PurchaseHistory(
            customerIDs: customerIDs, lineOffsets: heads + [numbers.count],
            times: words(lines.times), amounts: words(lines.amounts),
            margins: lines.margins.map(words),
            quantities: lines.quantities.map { halves($0).map { Float(bitPattern: $0) } },
            orderCodes: lines.codes[0].map(halves), products: coded[0], categories: coded[1],
            promotions: coded[2], channels: coded[3], threadCount: threadCount)
    }
}

/// The positions of `ids` in ascending order of the ids, equal ids in their original order.
package func sortedOrder(of ids: IDColumn) -> [Int] {
    let keys: [Int64] =
        switch ids {
        case .integers(let values): values
        case .texts(let texts): ranks(of: texts).ranks
        }
    let zeros = [Int64](repeating: 0, count: keys.count)
    let places: [RowValues] = [.halves(keys.indices.map { UInt32($0) })]
    var rows = RowCollector(like: keys, zeros, places, capacity: keys.count, threadCount: 1)
    let isAdded = rows.add(keys, zeros, places, threadCount: 1)
    precondition(isAdded, "there is room for the batch that the rows are like")
    return rows.sorted(threadCount: 1).halves(.value(0), threadCount: 1).map { Int($0) }
}

/// Numbers from 0 in the order of the texts, equal exactly for equal ones, and a row of each.
private func ranks(of texts: TextArray) -> (ranks: [Int64], firstRows: [Int]) {
    let (codes, distinct) = distinctTexts(texts)
    let sorted = distinct.indices.sorted {
        texts.precedes(distinct[$0], texts, distinct[$1])
    }
    var rank = [Int64](repeating: 0, count: distinct.count)
    for (position, code) in sorted.enumerated() { rank[code] = Int64(position) }
    return (codes.map { rank[$0] }, sorted.map { distinct[$0] })
}

/// Numbers equal texts alike, in order of first appearance.
///
/// An open-addressing table of positions over the bytes themselves: a dictionary keyed by slices
/// hashes and compares them through generic code, at several times the cost.
/// - Returns: the number of each text, and the first position of each number.
private func distinctTexts(_ texts: TextArray) -> (codes: [Int], firstRows: [Int]) {
    let bytes = texts.bytes
    let offsets = texts.offsets
    // FNV-1a; the table is private and short-lived, so the hash needs no fixed meaning.
    func hash(of row: Int) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in offsets[row]..<offsets[row + 1] {
            hash = (hash ^ UInt64(bytes[index])) &* 0x0000_0100_0000_01B3
        }
        return hash ^ (hash >> 32)
    }
    func areEqual(_ a: Int, _ b: Int) -> Bool {
        let count = offsets[a + 1] - offsets[a]
        guard offsets[b + 1] - offsets[b] == count else { return false }
        for index in 0..<count where bytes[offsets[a] + index] != bytes[offsets[b] + index] {
            return false
        }
        return true
    }
    var codes = [Int](repeating: 0, count: texts.count)
    var firstRows: [Int] = []
    var hashes: [UInt64] = []
    var slots = [Int](repeating: -1, count: 1_024)
    for row in 0..<texts.count {
        let hash = hash(of: row)
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] >= 0 {
            let code = slots[slot]
            if hashes[code] == hash, areEqual(firstRows[code], row) { break }
            slot = (slot + 1) & (slots.count - 1)
        }
        if slots[slot] < 0 {
            slots[slot] = firstRows.count
            firstRows.append(row)
            hashes.append(hash)
        }
        codes[row] = slots[slot]
        guard firstRows.count * 2 > slots.count else { continue }
        slots = [Int](repeating: -1, count: slots.count * 2)
        for (code, hash) in hashes.enumerated() {
            var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
            while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = code
        }
    }
    return (codes, firstRows)
}
