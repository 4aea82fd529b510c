/// How long each row was watched and whether it ended in the event (churn, a purchase, …) or was
/// still without it when the watch ended (censored). A value that exists has been checked.
///
/// A row is at risk at time t where entry < t <= duration: somebody who joins the watch late must
/// have been without the event until then, and counts from then on only (left truncation).
package struct SurvivalTimes: Sendable {
    /// Any unit, one for all; finite, 0 and above.
    package let durations: [Double]
    package let isEvent: [Bool]
    /// Time at which a row came under watch; below its duration, or 0 for "from the start". Nil
    /// where all rows did.
    package let entries: [Double]?
    /// How many customers a row stands for; finite, above 0. Nil: one each.
    package let weights: [Double]?

    /// - Throws: `noRows`; `countMismatch`; `nonFiniteValue`; `impossibleHistory` for a negative
    ///   duration or entry and for an entry that is not before its duration; `outOfRange` for a
    ///   weight that is not above 0, or more than 2^31 − 1 rows.
    package init(
        durations: [Double], isEvent: [Bool], entries: [Double]? = nil, weights: [Double]? = nil
    ) throws(ModelError) {
        let count = durations.count
        guard count > 0 else { throw .noRows(model: "survival times") }
        guard count <= Int(Int32.max) else {
            throw .outOfRange(
                what: "survival rows", actual: Double(count), allowed: "up to \(Int32.max)")
        }
        try requireCount(isEvent.count, count, "event flags")
        if let entries { try requireCount(entries.count, count, "entry times") }
        if let weights { try requireCount(weights.count, count, "weights") }
        for row in 0..<count {
            let duration = durations[row]
            guard duration.isFinite else {
                throw .nonFiniteValue(what: "duration", row: row, column: 0)
            }
            guard duration >= 0 else {
                throw .impossibleHistory(row: row, reason: "the duration \(duration) is negative")
            }
            if let entry = entries?[row] {
                guard entry.isFinite else {
                    throw .nonFiniteValue(what: "entry time", row: row, column: 0)
                }
                guard entry >= 0, entry < duration || entry == 0 else {
                    throw .impossibleHistory(
                        row: row,
                        reason: "the entry time \(entry) is not in 0 ..< duration \(duration)")
                }
            }
            if let weight = weights?[row] {
                guard weight > 0, weight.isFinite else {
                    throw .outOfRange(
                        what: "weight of row \(row)", actual: weight,
                        allowed: "finite and above 0; leave out rows that do not count")
                }
            }
        }
        self.durations = durations
        self.isEvent = isEvent
        self.entries = entries
        self.weights = weights
    }

    package var rowCount: Int { durations.count }

    func weight(_ row: Int) -> Double { weights?[row] ?? 1 }

    /// Rows in ascending order of (stratum, duration), events before censored rows of the same
    /// time, then in row order.
    func order(strata: [Int32]? = nil) -> [UInt32] {
        let rows = 0..<UInt32(rowCount)
        let eventsFirst = rows.filter { isEvent[Int($0)] } + rows.filter { !isEvent[Int($0)] }
        let byTime = stableOrder(of: eventsFirst) { orderedBits(durations[Int($0)]) }
        guard let strata else { return byTime }
        return stableOrder(of: byTime) { orderedBits(Double(strata[Int($0)])) }
    }
}

/// Bits that ascend as finite doubles do; −0 is 0.
func orderedBits(_ value: Double) -> UInt64 {
    let bits = (value + 0).bitPattern
    return bits >> 63 == 1 ? ~bits : bits | 1 << 63
}

/// `items` in ascending order of their keys, those of equal keys in the order given.
///
/// Least significant digit first, eleven bits at a time; digits in which all keys agree are
/// skipped. O(count).
func stableOrder(of items: [UInt32], by key: (UInt32) -> UInt64) -> [UInt32] {
    var items = items
    var keys = items.map(key)
    var differing: UInt64 = 0
    var isAscending = true
    for index in keys.indices.dropFirst() {
        differing |= keys[index] ^ keys[0]
        if keys[index] < keys[index - 1] { isAscending = false }
    }
    if isAscending { return items }
    var movedItems = items
    var movedKeys = keys
    let digitBits = 11
    let mask: UInt64 = 1 << digitBits - 1
    for shift in stride(from: 0, to: 64, by: digitBits) where differing >> shift & mask != 0 {
        var places = [Int](repeating: 0, count: 1 << digitBits)
        for key in keys { places[Int(key >> shift & mask)] += 1 }
        var start = 0
        for digit in places.indices {
            let count = places[digit]
            places[digit] = start
            start += count
        }
        for index in keys.indices {
            let digit = Int(keys[index] >> shift & mask)
            let place = places[digit]
            places[digit] = place + 1
            movedKeys[place] = keys[index]
            movedItems[place] = items[index]
        }
        swap(&keys, &movedKeys)
        swap(&items, &movedItems)
    }
    return items
}
