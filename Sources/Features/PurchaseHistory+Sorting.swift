package import ByteCoding

extension PurchaseHistory {
    /// The history of lines in any order: sorts them by (customer id, time, original order).
    ///
    /// Line `i` of every column belongs to the customer `lineCustomerIDs[i]`.
    /// - Throws: `.noLines` for no lines, and what `init` throws.
    /// - Complexity: O(lines) for integer ids (radix passes over the bytes that differ); text ids
    ///   add a hash look-up a line and a sort of the distinct ids.
    package static func sorting(
        lineCustomerIDs: IDColumn, times: [Int64], amounts: [Int64], margins: [Int64]? = nil,
        quantities: [Float]? = nil, orderCodes: [UInt32]? = nil, products: CodedText? = nil,
        categories: CodedText? = nil, promotions: CodedText? = nil, channels: CodedText? = nil
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

        let idKeys = sortKeys(of: lineCustomerIDs)
        var order = radixOrder(keys: idKeys)
        var firstLines: [Int] = []
        var offsets: [Int] = []
        for position in 0..<lineCount
        where position == 0 || idKeys[order[position]] != idKeys[order[position - 1]] {
            firstLines.append(order[position])
            offsets.append(position)
        }
        offsets.append(lineCount)
        // Files mostly come in time order, so most customers need no sort of their own; the rest
        // sort a few lines each, which beats radix passes over the times of all lines.
        for customer in firstLines.indices {
            sortByTime(&order, in: offsets[customer]..<offsets[customer + 1], times: times)
        }
        func gather<T>(_ column: [T]) -> [T] { order.map { column[$0] } }
        func gather(_ column: CodedText?) -> CodedText? {
            column.map { CodedText(codes: gather($0.codes), values: $0.values) }
        }
        return try PurchaseHistory(
            customerIDs: lineCustomerIDs.gather(firstLines), lineOffsets: offsets,
            times: gather(times), amounts: gather(amounts), margins: margins.map(gather),
            quantities: quantities.map(gather), orderCodes: orderCodes.map(gather),
            products: gather(products), categories: gather(categories),
            promotions: gather(promotions), channels: gather(channels))
    }
}

/// The positions of `ids` in ascending order of the ids, equal ids in their original order.
func sortedOrder(of ids: IDColumn) -> [Int] {
    radixOrder(keys: sortKeys(of: ids))
}

/// Sorts one customer's positions, which are ascending, by (time, position).
private func sortByTime(_ order: inout [Int], in range: Range<Int>, times: [Int64]) {
    let isSorted = range.dropFirst().allSatisfy { times[order[$0 - 1]] <= times[order[$0]] }
    if isSorted { return }
    order[range].sort { a, b in
        times[a] != times[b] ? times[a] < times[b] : a < b
    }
}

/// The integer's bits with the sign flipped: unsigned order is the signed order.
private func orderedBits(_ value: Int64) -> UInt64 {
    UInt64(bitPattern: value) ^ (1 << 63)
}

/// Numbers in the order of the ids, equal exactly for equal ids.
private func sortKeys(of ids: IDColumn) -> [UInt64] {
    switch ids {
    case .integers(let values):
        return values.map(orderedBits)
    case .texts(let texts):
        let (codes, distinct) = distinctTexts(texts)
        let sorted = distinct.indices.sorted {
            texts.precedes(distinct[$0], texts, distinct[$1])
        }
        var rank = [UInt64](repeating: 0, count: distinct.count)
        for (position, code) in sorted.enumerated() { rank[code] = UInt64(position) }
        return codes.map { rank[$0] }
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

/// The positions of `keys` in ascending order of the keys, equal keys in their original order:
/// least-significant-digit radix passes of 11 bits, only over the digits within the keys' range.
private func radixOrder(keys: [UInt64]) -> [Int] {
    var order = Array(keys.indices)
    guard let low = keys.min(), let high = keys.max(), low < high else { return order }
    if zip(keys, keys.dropFirst()).allSatisfy({ $0 <= $1 }) { return order }
    let digitBits = 11
    let bucketCount = 1 << digitBits
    let mask = UInt64(bucketCount - 1)
    // The keys travel with their positions: reading them in order, not through the positions,
    // halves the cache misses.
    var sourceKeys = keys.map { $0 - low }
    var targetKeys = [UInt64](repeating: 0, count: keys.count)
    var targetOrder = [Int](repeating: 0, count: keys.count)
    var shift: UInt64 = 0
    while shift < 64, (high - low) >> shift > 0 {
        var starts = [Int](repeating: 0, count: bucketCount + 1)
        for key in sourceKeys { starts[Int((key >> shift) & mask) + 1] += 1 }
        for bucket in 0..<bucketCount { starts[bucket + 1] += starts[bucket] }
        for position in order.indices {
            let digit = Int((sourceKeys[position] >> shift) & mask)
            let place = starts[digit]
            starts[digit] += 1
            targetKeys[place] = sourceKeys[position]
            targetOrder[place] = order[position]
        }
        swap(&sourceKeys, &targetKeys)
        swap(&order, &targetOrder)
        shift += UInt64(digitBits)
    }
    return order
}
