import Histogram

/// Latencies with three significant digits up to an hour, in nanoseconds.
package struct LatencyHistogram: Sendable {
    private var histogram = Histogram<UInt64>(
        lowestDiscernibleValue: 1, highestTrackableValue: longest,
        numberOfSignificantValueDigits: .three)
    private static let longest: UInt64 = 3_600_000_000_000

    package init() {}

    package var count: Int { Int(histogram.totalCount) }
    package var maximum: UInt64 { histogram.maxRecorded }
    package var mean: Double { count == 0 ? 0 : histogram.mean }

    /// What is longer than an hour counts as an hour.
    @inline(__always) package mutating func record(_ nanoseconds: UInt64) {
        histogram.record(min(nanoseconds, Self.longest))
    }

    package mutating func add(_ other: LatencyHistogram) { histogram.add(other.histogram) }

    /// The least value that a share of all, 0 … 1, does not exceed; 0 where there is none.
    package func value(atShare share: Double) -> UInt64 {
        count == 0 ? 0 : histogram.valueAtPercentile(share * 100)
    }

    /// The same for many shares, in ascending order, by one pass over the histogram, whose own
    /// functions are not specialised for other modules.
    package func values(atShares shares: [Double]) -> [UInt64] {
        var values: [UInt64] = []
        for recorded in histogram.recordedValues() {
            while values.count < shares.count {
                // A millionth of a value: shares are not exact.
                let needed = (shares[values.count] * Double(count) - 1e-6).rounded(.up)
                guard Double(recorded.totalCountToThisValue) >= max(1, needed) else { break }
                values.append(min(recorded.value, maximum))
            }
            if values.count == shares.count { break }
        }
        return values + Array(repeating: maximum, count: shares.count - values.count)
    }

    /// How many values lie in a range, which is widened to what the histogram tells apart.
    package func count(in range: ClosedRange<UInt64>) -> Int {
        Int(histogram.count(within: range))
    }
}

/// What became of the requests of one operation that were meant for the measured time.
struct OperationTally: Sendable {
    /// From the intended time to the answer.
    var latency = LatencyHistogram()
    /// From sending to the answer.
    var service = LatencyHistogram()
    /// Right answers that came within the measured time, to whatever request.
    var answeredInWindow = 0
    /// By the protocol's word.
    var errors: [String: Int] = [:]
    /// Sent, and not answered when the generator gave up.
    var unanswered = 0
    /// Never sent: no connection had room.
    var unsent = 0
    /// Keys of the answers that were looked into, and how many were found.
    var keysChecked = 0
    var keysFound = 0
    /// Frames of streams that came within the measured time, and their bytes.
    var chunks = 0
    var streamBytes = 0

    mutating func add(_ other: OperationTally) {
        latency.add(other.latency)
        service.add(other.service)
        answeredInWindow += other.answeredInWindow
        errors.merge(other.errors, uniquingKeysWith: +)
        unanswered += other.unanswered
        unsent += other.unsent
        keysChecked += other.keysChecked
        keysFound += other.keysFound
        chunks += other.chunks
        streamBytes += other.streamBytes
    }
}

/// What one thread of the generator saw.
struct WorkerTally: Sendable {
    /// In the order of the mix.
    var operations: [OperationTally]
    /// Of requests that were not measured.
    var warmUpErrors = 0
    var lostConnections = 0
    /// Why the first of them was lost.
    var firstLoss: String?
    /// Of whole answers within the measured time.
    var answerBytes = 0
    /// Processor time within the measured time.
    var processorSeconds = 0.0
    /// Answers to requests that nobody made.
    var strayAnswers = 0

    init(operationCount: Int) {
        operations = (0..<operationCount).map { _ in OperationTally() }
    }

    mutating func add(_ other: WorkerTally) {
        for index in operations.indices { operations[index].add(other.operations[index]) }
        warmUpErrors += other.warmUpErrors
        lostConnections += other.lostConnections
        firstLoss = firstLoss ?? other.firstLoss
        answerBytes += other.answerBytes
        processorSeconds += other.processorSeconds
        strayAnswers += other.strayAnswers
    }
}
