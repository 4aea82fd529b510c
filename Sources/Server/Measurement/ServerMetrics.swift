package import Units
import Wire

/// What a server is doing, and what it has done since its start, at one moment.
package struct ServerMetrics: Sendable {
    /// One operation of the protocol.
    package struct Operation: Sendable {
        package var name: String
        package var latencies = LatencyHistogram()
        package var okCount: UInt64 = 0
        /// By the name of the status.
        package var failures: [String: UInt64] = [:]
    }

    package struct Model: Sendable {
        package var name: String
        package var version: Int
    }

    package var phase: ServerPhase
    /// Seconds since 1970-01-01, UTC.
    package var startedAt: Double
    package var uptimeSeconds: Double
    package var generation = 0
    package var asOf: CalendarDay?
    package var currency = ""
    package var customerCount = 0
    package var productCount = 0
    package var models: [Model] = []
    package var openConnections = 0
    package var openStreams = 0
    package var openRequests = 0
    package var queuedScans = 0
    package var generationsMoved = 0
    package var generationsRefused = 0
    package var droppedLogLines = 0
    /// Connections that anybody can make, by what ended them; in a fixed order.
    package var endings: [(reason: String, count: Int)] = EndReason.allCases.map { ("\($0)", 0) }
    /// Nil without TLS.
    package var certificates: CertificateMetrics?
    /// Nil where the server takes no purchases.
    package var live: LiveMetrics?
    package var bytesRead = 0
    package var bytesWritten = 0
    package var counters = ServerCounters()
    /// All that the protocol has and one for unknown opcodes, in a fixed order.
    package var operations: [Operation] = (0..<OperationIndex.count).map {
        Operation(name: OperationIndex.name($0))
    }

    package init(phase: ServerPhase, startedAt: Double, uptimeSeconds: Double) {
        self.phase = phase
        self.startedAt = startedAt
        self.uptimeSeconds = uptimeSeconds
    }

    mutating func add(_ part: LoopMetrics) {
        counters = counters + part.counters
        openStreams += part.openStreams
        openRequests += part.openRequests
        bytesRead += part.bytesRead
        bytesWritten += part.bytesWritten
        for index in operations.indices {
            operations[index].latencies.add(part.histograms[index])
            operations[index].okCount += part.okCounts[index]
        }
        for (failure, count) in part.failures {
            operations[failure.operation].failures["\(failure.status)", default: 0] += count
        }
    }
}

/// How far a server's life has come.
package enum ServerPhase: Int, Sendable {
    /// The snapshot is being read, nobody is answered.
    case loading
    case ready
    /// Going away.
    case draining
}

/// A copy of what one event loop has measured.
struct LoopMetrics: Sendable {
    var counters: ServerCounters
    var openStreams: Int
    var openRequests: Int
    var bytesRead: Int
    var bytesWritten: Int
    var histograms: [LatencyHistogram]
    var okCounts: [UInt64]
    var failures: [LoopMeters.Failure: UInt64]

    init(_ loop: LoopState) {
        counters = loop.counters
        (openRequests, openStreams) = loop.openCounts()
        bytesRead = loop.meters.bytesRead
        bytesWritten = loop.meters.bytesWritten
        histograms = loop.meters.histograms.map { $0.copy() }
        okCounts = loop.meters.okCounts.map { $0 }
        failures = loop.meters.failures
    }
}
