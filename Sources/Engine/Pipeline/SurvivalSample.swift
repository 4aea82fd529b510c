package import ByteCoding
import Features
import Models
package import Units

/// What ends the time for which a customer stays. A silence is a span without any order.
package enum SurvivalEvent: String, Codable, CaseIterable, Sendable {
    /// The last order, where the silence up to the as-of day is long enough: who came back after a
    /// silence was not lost.
    case lost
    /// The order before the first silence that is long enough, whether or not the customer came
    /// back.
    case lapsed
}

/// How long customers stayed: days from the first order to the event, or to the day up to which
/// they were followed without one.
///
/// A silence of g days is known only g days after an order. So nobody can be seen lost whose last
/// order is within g days of the as-of day, and to follow customers up to the as-of day would count
/// these g days as if all had stayed: the curve would be too high everywhere, and most for recent
/// customers. So all are followed up to one day, g days before the as-of day: what happened up to
/// it is known of everybody, and how long somebody is followed depends on nothing but the first
/// order. Later orders only tell that a customer had not left. Whoever first ordered after that day
/// is left out.
package struct SurvivalSample: Sendable, Equatable {
    /// Those followed, ascending; the two below have a row for each.
    package private(set) var customerIDs: IDColumn?
    package private(set) var durationDays: [Int32] = []
    package private(set) var isLost: [Bool] = []
    /// Customers who first ordered after the day up to which others are followed.
    package private(set) var newCount = 0
    /// Customers with returns only.
    package private(set) var onlyReturnsCount = 0
    /// Customers with a silence that is long enough, and those of them who came back after it.
    package private(set) var silentCount = 0
    package private(set) var returnedCount = 0

    fileprivate init() {}

    /// - Parameter gapDays: at least 1.
    fileprivate init(
        _ chunk: PurchaseHistory, asOf: CalendarDay, clock: LocalClock, gapDays: Int,
        event: SurvivalEvent
    ) {
        let orders = DatedOrders(chunk, asOf: asOf, clock: clock)
        let lastDay = asOf.daysSince1970
        let end = lastDay - gapDays
        var kept: [Int] = []
        var start = 0
        while start < orders.count {
            let rows = orders.rows(from: start)
            start = rows.upperBound
            guard let span = Self.span(orders, rows, gapDays) else {
                onlyReturnsCount += 1
                continue
            }
            let isSilent = lastDay - span.last >= gapDays
            if isSilent || span.lapse != nil { silentCount += 1 }
            if span.lapse != nil { returnedCount += 1 }
            guard span.first <= end else {
                newCount += 1
                continue
            }
            var loss = isSilent ? span.last : nil
            if event == .lapsed { loss = span.lapse ?? loss }
            kept.append(Int(orders.customerRows[rows.lowerBound]))
            durationDays.append(Int32((loss ?? end) - span.first))
            isLost.append(loss != nil)
        }
        customerIDs = chunk.customerIDs.gather(kept)
    }

    /// Days of the first and the last order and of the one before the first long silence; nil
    /// without an order.
    private static func span(
        _ orders: DatedOrders, _ rows: Range<Int>, _ gapDays: Int
    ) -> (first: Int, last: Int, lapse: Int?)? {
        var found: (first: Int, last: Int, lapse: Int?)?
        for row in rows where orders.amounts[row] >= 0 {
            let day = Int(orders.days[row])
            guard let before = found else {
                found = (day, day, nil)
                continue
            }
            if before.lapse == nil, day - before.last >= gapDays { found?.lapse = before.last }
            found?.last = max(before.last, day)
        }
        return found
    }

    /// Adds the customers that follow.
    fileprivate mutating func append(_ next: SurvivalSample) {
        if let ids = next.customerIDs, ids.count > 0 {
            if customerIDs == nil {
                customerIDs = ids
            } else {
                let isOfOneKind = customerIDs?.append(contentsOf: ids) ?? false
                precondition(isOfOneKind, "the customers of one history have ids of one kind")
            }
        }
        durationDays += next.durationDays
        isLost += next.isLost
        newCount += next.newCount
        onlyReturnsCount += next.onlyReturnsCount
        silentCount += next.silentCount
        returnedCount += next.returnedCount
    }

    package var count: Int { isLost.count }

    /// - Parameter rows: all where nil.
    func times(_ rows: [Int]? = nil) throws(ModelError) -> SurvivalTimes {
        guard let rows else {
            return try SurvivalTimes(durations: durationDays.map(Double.init), isEvent: isLost)
        }
        return try SurvivalTimes(
            durations: rows.map { Double(durationDays[$0]) }, isEvent: rows.map { isLost[$0] })
    }
}

extension SegmentedHistory {
    /// How long the customers stayed, in one pass over the lines: the same for any chunks and
    /// threads.
    /// - Parameter gapDays: at least 1.
    package func survivalSample(
        asOf: CalendarDay, clock: LocalClock, gapDays: Int, event: SurvivalEvent, threadCount: Int
    ) throws(EngineError) -> SurvivalSample {
        precondition(gapDays >= 1)
        return try reduce(
            into: SurvivalSample(), .orders, LineTexts(), threadCount: threadCount
        ) { chunk in
            SurvivalSample(chunk, asOf: asOf, clock: clock, gapDays: gapDays, event: event)
        } merge: { sample, part in
            sample.append(part)
        }
    }
}
