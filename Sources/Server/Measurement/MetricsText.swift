/// The metrics in Prometheus' text format, version 0.0.4. Every name is in the table of
/// packaging/README.md.
struct MetricsText {
    /// Histograms have a bound at each power of two of nanoseconds from about 1 µs to about 17 s, where
    /// the counts are exact.
    private static let exponents = 10...34

    private(set) var text = ""

    init(_ metrics: ServerMetrics) {
        gauge(
            "patron_ready", "1 while requests are answered, 0 while loading or draining.",
            metrics.phase == .ready ? 1 : 0)
        gauge(
            "process_start_time_seconds",
            "When the server started, in seconds since 1970-01-01 UTC.",
            metrics.startedAt)
        if let bytes = residentMemoryBytes() {
            gauge("process_resident_memory_bytes", "Memory that the process holds.", bytes)
        }
        gauge("patron_uptime_seconds", "Since the start.", metrics.uptimeSeconds)
        gauge("patron_generation", "The generation that is served.", metrics.generation)
        if let asOf = metrics.asOf {
            gauge(
                "patron_as_of_timestamp_seconds",
                "Begin of the last day whose purchases count, in seconds since 1970-01-01.",
                asOf.daysSince1970 * 86_400)
        }
        gauge("patron_customers", "Customers in the generation.", metrics.customerCount)
        gauge("patron_products", "Products in the generation.", metrics.productCount)
        counter(
            "patron_generations_moved_total", "Moves to another generation.",
            metrics.generationsMoved)
        counter(
            "patron_generations_refused_total", "Damaged generations that were not served.",
            metrics.generationsRefused)
        gauge("patron_connections", "Open connections.", metrics.openConnections)
        let counters = metrics.counters
        counter(
            "patron_connections_accepted_total", "Connections taken, the refused ones too.",
            counters.acceptedConnections)
        counter(
            "patron_connections_refused_total", "Connections above a limit.",
            counters.refusedConnections)
        counter(
            "patron_protocol_errors_total", "Connections ended because the protocol was broken.",
            counters.protocolErrors)
        counter(
            "patron_authentication_failures_total", "HELLOs without a valid token.",
            counters.authenticationFailures)
        counter(
            "patron_tls_failures_total", "Connections whose TLS handshake failed.",
            counters.tlsFailures)
        counter(
            "patron_connections_revoked_total",
            "Connections ended because their token was taken back or expired.",
            counters.revokedConnections)
        head(
            "patron_connections_ended_total", "counter",
            "Connections refused or ended, by what was wrong with them.")
        for (reason, count) in metrics.endings {
            text += "patron_connections_ended_total{reason=\"\(reason)\"} \(count)\n"
        }
        // Without TLS, 0 would be a certificate of 1970.
        if let certificates = metrics.certificates {
            gauge(
                "patron_tls_certificate_expiry_timestamp_seconds",
                "When the certificate ends to be valid, in seconds since 1970-01-01 UTC.",
                certificates.validUntil)
            counter(
                "patron_tls_reloads_total", "Times that changed certificates were taken over.",
                certificates.reloads)
            counter(
                "patron_tls_reload_failures_total",
                "Times that changed certificates could not be used.", certificates.failures)
        }
        counter("patron_received_bytes_total", "Read from clients, before TLS.", metrics.bytesRead)
        counter("patron_sent_bytes_total", "Answers to clients, before TLS.", metrics.bytesWritten)
        counter(
            "patron_lookup_ids_total", "Ids that LOOKUPs were answered for.", counters.lookupIDs)
        counter(
            "patron_stream_turns_total", "Turns that streams had on their threads.",
            counters.streamTurns)
        gauge(
            "patron_scan_queue_length", "Requests that wait for a scan thread.", metrics.queuedScans
        )
        gauge(
            "patron_open_requests", "Requests that the scan threads answer.", metrics.openRequests)
        gauge("patron_open_streams", "SCAN and AUDIENCE answers under way.", metrics.openStreams)
        counter(
            "patron_log_dropped_lines_total", "Lines that the log's reader was too slow for.",
            metrics.droppedLogLines)
        // Zeros where no purchases are taken.
        addLive(metrics.live ?? LiveMetrics())
        addOperations(metrics.operations)
    }

    private mutating func addLive(_ live: LiveMetrics) {
        counter("patron_append_batches_total", "Batches of purchases made durable.", live.batches)
        counter("patron_append_lines_total", "Purchase lines made durable.", live.lines)
        counter(
            "patron_append_repeats_total", "Batches that were there already, by their keys.",
            live.repeatedBatches)
        counter("patron_append_refused_lines_total", "Lines not taken.", live.refusedLines)
        counter(
            "patron_append_failed_batches_total", "Batches that the log did not take.",
            live.failedBatches)
        counter("patron_erasures_total", "Erasures made durable.", live.erasures)
        counter(
            "patron_erased_customers_total", "Customers whom they are about.", live.erasedCustomers)
        counter(
            "patron_erasures_repeated_total", "Erasures whose key had come before.",
            live.repeatedErasures)
        gauge(
            "patron_live_customers", "Customers whose rows are newer than the generation.",
            live.rowCount)
        gauge(
            "patron_live_lines", "Purchase lines that the generation does not know.", live.lineCount
        )
        counter(
            "patron_live_scored_customers_total", "Customers scored anew.", live.scoredCustomers)
        let durable = "patron_append_durable_seconds"
        head(durable, "histogram", "From when the log was given a batch until it was durable.")
        histogram(durable, "", live.durable)
        let scoring = "patron_live_scoring_seconds"
        head(scoring, "histogram", "Of a scoring, until look-ups give its rows.")
        histogram(scoring, "", live.scoring)
    }

    private mutating func histogram(
        _ metric: String, _ label: String, _ latencies: LatencyHistogram
    ) {
        let counts = latencies.counts(below: Self.exponents)
        let comma = label.isEmpty ? "" : ","
        for (exponent, count) in zip(Self.exponents, counts) {
            let bound = Double(UInt64(1) << UInt64(exponent)) / 1e9
            text += "\(metric)_bucket{\(label)\(comma)le=\"\(bound)\"} \(count)\n"
        }
        text += "\(metric)_bucket{\(label)\(comma)le=\"+Inf\"} \(latencies.count)\n"
        let labels = label.isEmpty ? "" : "{\(label)}"
        text += "\(metric)_sum\(labels) \(Double(latencies.sumNanoseconds) / 1e9)\n"
        text += "\(metric)_count\(labels) \(latencies.count)\n"
    }

    private mutating func addOperations(_ operations: [ServerMetrics.Operation]) {
        head("patron_requests_total", "counter", "Requests answered, by operation and status.")
        for operation in operations {
            let name = operation.name
            text +=
                "patron_requests_total{operation=\"\(name)\",status=\"ok\"} \(operation.okCount)\n"
            for (status, count) in operation.failures.sorted(by: { $0.key < $1.key }) {
                text +=
                    "patron_requests_total{operation=\"\(name)\",status=\"\(status)\"} \(count)\n"
            }
        }
        let metric = "patron_request_duration_seconds"
        head(metric, "histogram", "From the read of a request until its answer is handed over.")
        // Operations that nobody has used take no room.
        for operation in operations where operation.latencies.count > 0 {
            histogram(metric, "operation=\"\(operation.name)\"", operation.latencies)
        }
    }

    private mutating func head(_ name: String, _ type: String, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    private mutating func gauge(_ name: String, _ help: String, _ value: some Numeric) {
        head(name, "gauge", help)
        text += "\(name) \(value)\n"
    }

    private mutating func counter(_ name: String, _ help: String, _ value: Int) {
        head(name, "counter", help)
        text += "\(name) \(value)\n"
    }
}
