import ByteCoding
import Wire

/// The answer to STATS: what the admin port tells, as names and values.
struct StatsTable {
    private var groups: [String] = []
    private var names: [String] = []
    private var values: [Double] = []
    private var units: [String] = []

    /// - Parameter labels: the generations that are served under labels.
    init(_ metrics: ServerMetrics, labels: [String: UInt64]) {
        let counters = metrics.counters
        add("server", "phase", metrics.phase.rawValue)
        add("server", "startedAt", metrics.startedAt, "s")
        add("server", "uptime", metrics.uptimeSeconds, "s")
        add("server", "connections", metrics.openConnections)
        add("server", "openRequests", metrics.openRequests)
        add("server", "openStreams", metrics.openStreams)
        add("server", "queuedScans", metrics.queuedScans)
        add("server", "acceptedConnections", counters.acceptedConnections)
        add("server", "refusedConnections", counters.refusedConnections)
        add("server", "protocolErrors", counters.protocolErrors)
        add("server", "authenticationFailures", counters.authenticationFailures)
        add("server", "tlsFailures", counters.tlsFailures)
        add("server", "revokedConnections", counters.revokedConnections)
        for (reason, count) in metrics.endings { add("server", "ended.\(reason)", count) }
        if let certificates = metrics.certificates {
            add("server", "certificateValidUntil", Double(certificates.validUntil), "s")
            add("server", "certificateReloads", certificates.reloads)
            add("server", "certificateReloadFailures", certificates.failures)
        }
        add("server", "receivedBytes", Double(metrics.bytesRead), "bytes")
        add("server", "sentBytes", Double(metrics.bytesWritten), "bytes")
        add("server", "lookups", counters.lookups)
        add("server", "lookupIDs", counters.lookupIDs)
        add("server", "otherRequests", counters.otherRequests)
        add("server", "streamTurns", counters.streamTurns)
        add("server", "failedRequests", counters.failedRequests)
        add("server", "droppedLogLines", metrics.droppedLogLines)
        add("snapshot", "generation", metrics.generation)
        add("snapshot", "asOfDay", Double(metrics.asOf?.daysSince1970 ?? 0), "days")
        add("snapshot", "customers", metrics.customerCount)
        add("snapshot", "products", metrics.productCount)
        add("snapshot", "generationsMoved", metrics.generationsMoved)
        add("snapshot", "generationsRefused", metrics.generationsRefused)
        for (label, generation) in labels.sorted(by: { $0.key < $1.key }) {
            add("label", label, Double(generation))
        }
        for operation in metrics.operations { add(operation) }
    }

    private mutating func add(_ operation: ServerMetrics.Operation) {
        let failed = operation.failures.values.reduce(0, +)
        guard operation.okCount + failed > 0 else { return }
        add(operation.name, "ok", Double(operation.okCount))
        for (status, count) in operation.failures.sorted(by: { $0.key < $1.key }) {
            add(operation.name, status, Double(count))
        }
        let latencies = operation.latencies
        guard latencies.count > 0 else { return }
        let mean = Double(latencies.sumNanoseconds) / Double(latencies.count)
        add(operation.name, "mean", mean / 1e9, "s")
        for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
            add(operation.name, name, (latencies.quantile(share) ?? 0) / 1e9, "s")
        }
    }

    private mutating func add(_ group: String, _ name: String, _ value: Int) {
        add(group, name, Double(value))
    }

    private mutating func add(_ group: String, _ name: String, _ value: Double, _ unit: String = "")
    {
        groups.append(group)
        names.append(name)
        values.append(value)
        units.append(unit)
    }

    var table: Table {
        Table(
            rowCount: values.count,
            columns: [
                WireColumn(.statGroup, .text(TextArray(groups))),
                WireColumn(.statName, .text(TextArray(names))),
                WireColumn(.statValue, .float64(values)),
                WireColumn(.statUnit, .text(TextArray(units))),
            ])
    }
}

extension ServerShared {
    /// The answer to STATS; nil where the server is about to end.
    func stats() async -> TableAnswer? {
        guard let status = administration.status.withLock({ $0 }) else { return nil }
        let labels = administration.labels.withLock { $0.served.mapValues(\.generation) }
        let metrics = await status.metrics()
        return TableAnswer(
            stamp: current().stamp, table: StatsTable(metrics, labels: labels).table)
    }
}
