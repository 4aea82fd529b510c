package import ByteCoding
import Numerical

extension PurchaseHistory {
    /// The history of lines in any order: sorts them by (customer id, time, original order).
    ///
    /// Line `i` of every column belongs to the customer `lineCustomerIDs[i]`.
    /// - Parameter threadCount: at least 1; the result does not depend on it.
    /// - Throws: `.noLines` for no lines, and what `init` throws.
    /// - Complexity: O(lines) for integer ids (radix passes over the bits that differ); text ids
    ///   add a hash look-up a line and a sort of the distinct ids.
    package static func sorting(
        lineCustomerIDs: IDColumn, times: [Int64], amounts: [Int64], margins: [Int64]? = nil,
        quantities: [Float]? = nil, orderCodes: [UInt32]? = nil, products: CodedText? = nil,
        categories: CodedText? = nil, promotions: CodedText? = nil, channels: CodedText? = nil,
        threadCount: Int = 1
    ) throws(FeatureError) -> PurchaseHistory {
        let lineCount = lineCustomerIDs.count
        guard lineCount > 0 else { throw .noLines }
        let counts = [
            times.count, amounts.count, margins?.count, quantities?.count, orderCodes?.count,
            products?.count, categories?.count, promotions?.count, channels?.count,
        ]
        guard counts.allSatisfy({ $0 == nil || $0 == lineCount }) else {
            throw .inconsistentHistory("line columns differ in count")
        }
        guard
            let keys = LineKeys(
                customerIDs: lineCustomerIDs, times: times, threadCount: threadCount)
        else {
            throw .inconsistentHistory("the times span more than the years 1 to 9999")
        }
        var order = SortedOrder(sorting: keys.values, threadCount: threadCount)
        let (customerIDs, offsets) = keys.customers(
            of: order.keys, lineCustomerIDs, threadCount: threadCount)
        let sortedTimes = keys.times(of: order.keys, threadCount: threadCount)
        func coded(_ column: CodedText?) -> CodedText? {
            column.map { CodedText(codes: order.reorder($0.codes), values: $0.values) }
        }
        return try PurchaseHistory(
            customerIDs: customerIDs, lineOffsets: offsets, times: sortedTimes,
            amounts: order.reorder(amounts), margins: margins.map { order.reorder($0) },
            quantities: quantities.map { order.reorder($0) },
            orderCodes: orderCodes.map { order.reorder($0) }, products: coded(products),
            categories: coded(categories), promotions: coded(promotions),
            channels: coded(channels), threadCount: threadCount)
    }
}

/// One number a line that sorts by (customer id, time): the id's distance from the smallest one,
/// or its rank where ids are texts or lie too far apart, above the bits of the time.
private struct LineKeys {
    /// `[lineCount]`.
    let values: [UInt64]
    private let timeBits: UInt64
    private let firstTime: Int64
    /// What the high bits count from; nil where they are ranks.
    private let firstID: Int64?
    /// By rank: a line of the id.
    private let lineOfRank: [Int]

    /// Nil where the times leave too few bits for the customers: those of 2000 years leave 28, of
    /// 100 years 32.
    init?(customerIDs: IDColumn, times: [Int64], threadCount: Int) {
        let (first, last) = bounds(of: times, threadCount: threadCount)
        // Differences of any two times fit, taken without their sign.
        let bits = UInt64(
            64 - UInt64(bitPattern: last &- first).leadingZeroBitCount)
        (firstTime, timeBits) = (first, bits)
        if case .integers(let ids) = customerIDs {
            let (low, high) = bounds(of: ids, threadCount: threadCount)
            let spread = UInt64(bitPattern: high &- low)
            if 64 - spread.leadingZeroBitCount + Int(bits) <= 64 {
                firstID = low
                lineOfRank = []
                values = parallelArray(
                    count: ids.count, chunkRows: 1 << 16, threadCount: threadCount
                ) { rows, slice in
                    for row in rows {
                        slice[row - rows.lowerBound] =
                            UInt64(bitPattern: ids[row] &- low) << bits
                            | UInt64(bitPattern: times[row] &- first)
                    }
                }
                return
            }
        }
        firstID = nil
        let ranked = ranks(of: customerIDs)
        lineOfRank = ranked.firstRows
        let rankBits = 64 - UInt64(ranked.firstRows.count - 1).leadingZeroBitCount
        guard rankBits + Int(bits) <= 64 else { return nil }
        var keys = ranked.ranks
        parallelFill(&keys, chunkRows: 1 << 16, threadCount: threadCount) { rows, slice in
            for row in rows {
                slice[row - rows.lowerBound] =
                    slice[row - rows.lowerBound] << bits
                    | UInt64(bitPattern: times[row] &- first)
            }
        }
        values = keys
    }

    /// The customers of sorted keys, and where the lines of each start.
    func customers(
        of keys: [UInt64], _ lineIDs: IDColumn, threadCount: Int
    ) -> (ids: IDColumn, lineOffsets: [Int]) {
        let timeBits = timeBits
        let parts = parallelMap(
            count: keys.count, chunkSize: 1 << 18, threadCount: threadCount
        ) { _, rows in
            var heads: [UInt64] = []
            var offsets: [Int] = []
            for line in rows {
                let head = keys[line] >> timeBits
                if line == 0 || head != keys[line - 1] >> timeBits {
                    heads.append(head)
                    offsets.append(line)
                }
            }
            return (heads: heads, offsets: offsets)
        }
        let heads = parts.flatMap { $0.heads }
        var offsets = parts.flatMap { $0.offsets }
        offsets.append(keys.count)
        if let firstID {
            return (.integers(heads.map { firstID &+ Int64(bitPattern: $0) }), offsets)
        }
        return (lineIDs.gather(heads.map { lineOfRank[Int($0)] }), offsets)
    }

    func times(of keys: [UInt64], threadCount: Int) -> [Int64] {
        let mask = timeBits == 64 ? UInt64.max : (1 << timeBits) - 1
        let firstTime = firstTime
        return parallelArray(
            count: keys.count, chunkRows: 1 << 16, threadCount: threadCount
        ) { rows, slice in
            for row in rows {
                slice[row - rows.lowerBound] = firstTime &+ Int64(bitPattern: keys[row] & mask)
            }
        }
    }
}

private func bounds(of values: [Int64], threadCount: Int) -> (low: Int64, high: Int64) {
    parallelMap(count: values.count, chunkSize: 1 << 18, threadCount: threadCount) { _, rows in
        var (low, high) = (Int64.max, Int64.min)
        for row in rows {
            low = min(low, values[row])
            high = max(high, values[row])
        }
        return (low, high)
    }.reduce((Int64.max, Int64.min)) { (min($0.0, $1.0), max($0.1, $1.1)) }
}

/// The positions of `ids` in ascending order of the ids, equal ids in their original order.
package func sortedOrder(of ids: IDColumn) -> [Int] {
    let keys: [UInt64]
    if case .integers(let values) = ids {
        // Unsigned order is the signed order with the sign flipped.
        keys = values.map { UInt64(bitPattern: $0) ^ (1 << 63) }
    } else {
        keys = ranks(of: ids).ranks
    }
    var order = SortedOrder(sorting: keys, threadCount: 1)
    return order.reorder(keys.indices.map { Int64($0) }).map { Int($0) }
}

/// Numbers from 0 in the order of the ids, equal exactly for equal ids, and a row of each.
private func ranks(of ids: IDColumn) -> (ranks: [UInt64], firstRows: [Int]) {
    switch ids {
    case .integers(let values):
        var order = SortedOrder(
            sorting: values.map { UInt64(bitPattern: $0) ^ (1 << 63) }, threadCount: 1)
        let rows = order.reorder(values.indices.map { Int64($0) })
        var ranks = [UInt64](repeating: 0, count: values.count)
        var firstRows: [Int] = []
        for (place, row) in rows.enumerated() {
            if place == 0 || order.keys[place] != order.keys[place - 1] {
                firstRows.append(Int(row))
            }
            ranks[Int(row)] = UInt64(firstRows.count - 1)
        }
        return (ranks, firstRows)
    case .texts(let texts):
        let (codes, distinct) = distinctTexts(texts)
        let sorted = distinct.indices.sorted {
            texts.precedes(distinct[$0], texts, distinct[$1])
        }
        var rank = [UInt64](repeating: 0, count: distinct.count)
        for (position, code) in sorted.enumerated() { rank[code] = UInt64(position) }
        return (codes.map { rank[$0] }, sorted.map { distinct[$0] })
    }
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
