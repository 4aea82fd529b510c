import Foundation

/// The product-limit estimate of the share of customers who are still without the event.
/// Source: Kaplan & Meier, JASA 1958; with left truncation: Tsai, Jewell & Wang, Biometrika 1987.
package enum KaplanMeier {
    package static let name = "Kaplan-Meier"

    /// The curve of all rows. O(count) after one sort; deterministic.
    ///
    /// Weights are frequencies: a row of weight 3 is as good as three rows. Rows that are censored
    /// at the time of an event are at risk for it.
    package static func fit(_ times: SurvivalTimes) -> KaplanMeierCurve {
        let order = times.order()
        // By entry; those from the start are at risk at time 0 too.
        let late = (0..<UInt32(times.rowCount)).filter { (times.entries?[Int($0)] ?? 0) > 0 }
        let entering = stableOrder(of: late) { orderedBits(times.entries?[Int($0)] ?? 0) }
        var isLate = [Bool](repeating: false, count: times.rowCount)
        for row in entering { isLate[Int(row)] = true }
        var curve = KaplanMeierCurve(times)
        var risk = 0.0
        var riskRows = 0
        for row in 0..<times.rowCount where !isLate[row] {
            risk += times.weight(row)
            riskRows += 1
        }
        var next = 0
        var start = 0
        while start < order.count {
            let time = times.durations[Int(order[start])] + 0
            while next < entering.count, times.entries?[Int(entering[next])] ?? 0 < time {
                risk += times.weight(Int(entering[next]))
                riskRows += 1
                next += 1
            }
            var events = 0.0
            var censored = 0.0
            var end = start
            while end < order.count, times.durations[Int(order[end])] == time {
                let row = Int(order[end])
                if times.isEvent[row] {
                    events += times.weight(row)
                } else {
                    censored += times.weight(row)
                }
                end += 1
            }
            riskRows -= end - start
            // Sums of fractional weights may differ from their parts by rounding.
            curve.append(
                time: time, atRisk: max(risk, events + censored), events: events,
                censored: censored)
            risk = riskRows == 0 ? 0 : max(0, risk - events - censored)
            start = end
        }
        return curve
    }
}

/// A fitted survival curve: steps at the times at which rows leave.
package struct KaplanMeierCurve: Codable, Equatable, Sendable {
    /// Ascending, distinct: each time at which a row had the event or was censored.
    package private(set) var times: [Double] = []
    /// Weighted rows at risk at each time.
    package private(set) var numberAtRisk: [Double] = []
    /// Weighted events at each time.
    package private(set) var eventCounts: [Double] = []
    /// Weighted rows censored at each time.
    package private(set) var censoredCounts: [Double] = []
    /// S(t) from each time on, in 0...1, not ascending.
    package private(set) var survival: [Double] = []
    /// Greenwood's sum Σ d / (n (n − d)), which is the variance of ln S; where S is 0 it stays
    /// what it was before, since the sum is infinite there.
    package private(set) var greenwoodSums: [Double] = []
    package let rowCount: Int
    /// Weighted rows; equal to `rowCount` without weights.
    package let totalWeight: Double
    package let totalEvents: Double
    /// True where everyone at risk had the event although others came under watch later, which
    /// pins the curve to 0 for good. Left truncation with few early rows does that: begin the
    /// curve later.
    package private(set) var reachesZeroEarly = false

    fileprivate init(_ times: SurvivalTimes) {
        rowCount = times.rowCount
        var total = 0.0
        var events = 0.0
        for row in 0..<times.rowCount {
            total += times.weight(row)
            if times.isEvent[row] { events += times.weight(row) }
        }
        totalWeight = total
        totalEvents = events
    }

    fileprivate mutating func append(
        time: Double, atRisk: Double, events: Double, censored: Double
    ) {
        let before = survival.last ?? 1
        let sum = greenwoodSums.last ?? 0
        if before == 0 { reachesZeroEarly = true }
        times.append(time)
        numberAtRisk.append(atRisk)
        eventCounts.append(events)
        censoredCounts.append(censored)
        let left = atRisk - events
        // All at risk have the event, up to the rounding of weights.
        let isLast = left <= 1e-12 * atRisk
        survival.append(events == 0 ? before : isLast ? 0 : before * (left / atRisk))
        greenwoodSums.append(
            events == 0 || isLast || before == 0 ? sum : sum + events / (atRisk * left))
    }

    /// The last step at or before `time`; nil before the first.
    func step(at time: Double) -> Int? { lastStep(of: times, at: time) }

    /// The last time at which anybody was under watch.
    package var lastTime: Double { times.last ?? 0 }

    /// S(time), the share without the event up to and including `time`; beyond `lastTime` that of
    /// `lastTime`, which says nothing new.
    package func survival(at time: Double) -> Double { step(at: time).map { survival[$0] } ?? 1 }

    /// Greenwood's standard error of S(time); 0 where S is 1 or 0.
    package func standardError(at time: Double) -> Double {
        step(at: time).map { survival[$0] * greenwoodSums[$0].squareRoot() } ?? 0
    }

    /// Weighted rows at risk at the first step at or after `time`: without left truncation those
    /// at risk at `time` itself.
    package func numberAtRisk(at time: Double) -> Double {
        var index = step(at: time) ?? -1
        if index < 0 || times[index] < time { index += 1 }
        return index < times.count ? numberAtRisk[index] : 0
    }
}

/// The last of ascending `times` at or before `time`; nil before the first. O(log count).
func lastStep(of times: [Double], at time: Double) -> Int? {
    var low = 0
    var high = times.count
    while low < high {
        let middle = (low + high) / 2
        if times[middle] <= time { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? nil : low - 1
}
