import Engine
import NIOCore
import Synchronization

/// What appends have come to since the start; any thread counts, any thread reads.
final class LiveMeters: Sendable {
    private let counts = Mutex(LiveMetrics())

    func refused(_ lineCount: Int) { counts.withLock { $0.refusedLines += lineCount } }

    func erased(_ receipt: LiveReceipt) {
        counts.withLock { counts in
            if receipt.isRepeat {
                counts.repeatedErasures += 1
            } else {
                counts.erasures += 1
                counts.erasedCustomers += receipt.rowCount
            }
        }
    }

    func failed() { counts.withLock { $0.failedBatches += 1 } }

    /// - Parameter time: from when the log was given the lines.
    func durable(_ receipt: LiveReceipt, after time: TimeAmount) {
        counts.withLock { counts in
            if receipt.isRepeat {
                counts.repeatedBatches += 1
            } else {
                counts.batches += 1
                counts.lines += receipt.rowCount
            }
            counts.durable.record(UInt64(clamping: time.nanoseconds))
        }
    }

    func scored(_ customerCount: Int, in time: TimeAmount) {
        counts.withLock { counts in
            counts.scoredCustomers += customerCount
            counts.scoring.record(UInt64(clamping: time.nanoseconds))
        }
    }

    func set(rows: Int, lines: Int) {
        counts.withLock { ($0.rowCount, $0.lineCount) = (rows, lines) }
    }

    var metrics: LiveMetrics { counts.withLock { $0 } }
}

/// What a server that takes purchases has done.
package struct LiveMetrics: Sendable {
    package var batches = 0
    package var lines = 0
    package var repeatedBatches = 0
    package var refusedLines = 0
    package var failedBatches = 0
    package var erasures = 0
    /// Asked for, whether or not anything was known of them.
    package var erasedCustomers = 0
    package var repeatedErasures = 0
    /// Customers whose rows are not those of the snapshot, and their live purchase lines.
    package var rowCount = 0
    package var lineCount = 0
    package var scoredCustomers = 0
    /// From when the log was given a batch until it was durable.
    package var durable = LatencyHistogram()
    /// From the begin of a scoring until all event loops had its rows.
    package var scoring = LatencyHistogram()
}
