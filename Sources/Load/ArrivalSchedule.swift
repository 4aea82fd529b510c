import Foundation
package import Numerical

/// How requests follow each other in an open loop.
package enum Arrivals: String, Sendable, CaseIterable, Codable {
    /// At equal distances.
    case constant
    /// With independent exponential distances: many users who do not know of each other.
    case poisson
}

/// The times at which requests are meant to be sent, whatever the server does. Where the generator
/// falls behind, the times do not move: that is what keeps slow answers from hiding the requests
/// that would have met them (coordinated omission).
///
/// Source: G. Tene, "How NOT to Measure Latency", 2013.
package struct ArrivalSchedule: Sendable {
    private let arrivals: Arrivals
    private let gapNanoseconds: Double
    private let phase: Double
    private var random: SeededRandom
    private var index = 0.0
    private var time = 0.0

    /// - Parameters:
    ///   - rate: requests a second, positive.
    ///   - phase: 0 ..< 1, by which share of a gap constant arrivals begin later; schedules of
    ///     several threads interleave so.
    package init(_ arrivals: Arrivals, rate: Double, phase: Double = 0, random: SeededRandom) {
        precondition(rate > 0 && rate.isFinite && (0..<1).contains(phase))
        self.arrivals = arrivals
        gapNanoseconds = 1e9 / rate
        self.phase = phase
        self.random = random
    }

    /// Nanoseconds from the start to the next request; never smaller than the one before.
    package mutating func next() -> UInt64 {
        switch arrivals {
        case .constant:
            // By multiplication: sums of rounded gaps would drift.
            time = (index + phase) * gapNanoseconds
            index += 1
        case .poisson:
            time += -log1p(-random.uniform()) * gapNanoseconds
        }
        return UInt64(time)
    }
}
