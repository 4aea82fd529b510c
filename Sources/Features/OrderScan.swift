import ByteCoding
import Units

/// One order of a customer while its lines are read.
struct OrderTally {
    /// Local day, hour 0…23 and weekday 0 Monday … 6 Sunday of the first purchase line.
    var day: Int
    var hour: Int
    var firstLine: Int
    /// Sums over the purchase lines, ten-thousandths.
    var amount: Int64 = 0
    var margin: Int64 = 0

    var weekday: Int { CalendarDay(daysSince1970: day).weekday }
}

/// Groups the purchase lines of one customer into orders, in order of their first line.
///
/// Lines come in time order, so the order of a line is nearly always the previous line's; orders
/// that interleave are found by a search of the last few, then by a table.
struct OrderScan {
    private(set) var orders: [OrderTally] = []
    private var keys: [Int64] = []
    private var orderOfKey: [Int64: Int] = [:]
    /// Orders searched one by one before the table is built.
    private static let linearLimit = 16

    mutating func reset() {
        orders.removeAll(keepingCapacity: true)
        keys.removeAll(keepingCapacity: true)
        if !orderOfKey.isEmpty { orderOfKey.removeAll(keepingCapacity: true) }
    }

    /// The index of the order that `line` belongs to, which it opens where it is the first.
    /// - Parameters:
    ///   - code: the line's order code; nil or `CodedText.missing` for its customer-day.
    ///   - localSeconds: the line's wall-clock reading, seconds since 1970-01-01T00:00 local.
    mutating func add(line: Int, code: UInt32?, day: Int, localSeconds: Int) -> Int {
        // Days and codes share one key space: days are shifted past the codes.
        let isDay = code == nil || code == CodedText.missing
        let key = isDay ? (Int64(day) << 33) | (1 << 32) : Int64(code ?? 0)
        if keys.last == key { return keys.count - 1 }
        if let known = find(key) { return known }
        keys.append(key)
        orders.append(
            OrderTally(day: day, hour: (localSeconds - day * 86_400) / 3_600, firstLine: line))
        if keys.count == Self.linearLimit + 1 {
            for (index, key) in keys.enumerated() { orderOfKey[key] = index }
        } else if keys.count > Self.linearLimit {
            orderOfKey[key] = keys.count - 1
        }
        return keys.count - 1
    }

    mutating func addMoney(amount: Int64, margin: Int64, toOrder index: Int) {
        orders[index].amount += amount
        orders[index].margin += margin
    }

    private func find(_ key: Int64) -> Int? {
        keys.count > Self.linearLimit ? orderOfKey[key] : keys.firstIndex(of: key)
    }
}

/// The local day of a wall-clock reading in seconds since 1970-01-01T00:00 local.
func localDay(ofSeconds seconds: Int) -> Int {
    (seconds >= 0 ? seconds : seconds - 86_399) / 86_400
}
