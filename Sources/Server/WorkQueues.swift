/// The threads beside the event loops, by what they do.
struct WorkQueues: Sendable {
    /// Answers that look at all products or all customers.
    let scans: ScanQueue
    /// Streams: while one thread sends a chunk, another makes the next.
    let streams: ScanQueue
    /// Opening generations.
    let loading: ScanQueue
    /// Requests that may take seconds.
    let explanations: ScanQueue

    init(_ configuration: ServerConfiguration, _ limits: ServerLimits) {
        let threadCount = configuration.scanThreadCount
        scans = ScanQueue(threadCount: threadCount, capacity: limits.queuedScanCount)
        streams = ScanQueue(
            threadCount: max(2, threadCount), capacity: limits.queuedScanCount, share: .raisable)
        loading = ScanQueue(threadCount: 1, capacity: .max, share: .rest)
        explanations = ScanQueue(threadCount: 1, capacity: limits.queuedExplanationCount)
    }

    func shutdown() async {
        for queue in [scans, streams, loading, explanations] { await queue.shutdown() }
    }
}
