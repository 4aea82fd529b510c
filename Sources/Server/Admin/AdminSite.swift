import NIOCore
import Synchronization

/// The pages of the admin port.
final class AdminSite: Sendable {
    /// How long the event loops may take to answer before the server counts as stuck.
    private static let patience = Duration.seconds(2)
    private static let metricsType = "text/plain; version=0.0.4; charset=utf-8"

    private let status: ServerStatus
    /// Earlier metrics, so that the status page can tell what happened lately.
    private let history = Mutex<[ServerMetrics]>([])
    static let historyInterval = Duration.seconds(15)
    /// With the present, the last minute.
    private static let historyCount = 4

    init(_ status: ServerStatus) { self.status = status }

    func answer(_ path: String) async -> AdminAnswer {
        switch path {
        case "/": await page()
        case "/livez": await livez()
        case "/readyz": readyz()
        case "/metrics":
            AdminAnswer(
                .ok, MetricsText(await status.metrics()).text, contentType: Self.metricsType)
        default: AdminAnswer(.notFound, "here are /, /livez, /readyz and /metrics")
        }
    }

    /// Whether the process does its work: a loading or draining one does.
    private func livez() async -> AdminAnswer {
        await status.loopsAnswer(within: Self.patience)
            ? AdminAnswer(.ok, "ok")
            : AdminAnswer(.serviceUnavailable, "the event loops do not answer")
    }

    /// Whether requests are welcome.
    private func readyz() -> AdminAnswer {
        switch status.phase {
        case .ready: AdminAnswer(.ok, "ok")
        case .loading: AdminAnswer(.serviceUnavailable, "loading")
        case .draining: AdminAnswer(.serviceUnavailable, "draining")
        }
    }

    private func page() async -> AdminAnswer {
        let now = await status.metrics()
        let earlier = history.withLock { $0.first }
        return AdminAnswer(
            .ok, StatusPage(now, since: earlier).html, contentType: "text/html; charset=utf-8")
    }

    /// Remembers the metrics from time to time; returns when its task is cancelled.
    func keepHistory() async {
        while !Task.isCancelled {
            let now = await status.metrics()
            history.withLock { history in
                history.append(now)
                if history.count > Self.historyCount { history.removeFirst() }
            }
            do { try await Task.sleep(for: Self.historyInterval) } catch { return }
        }
    }
}

/// What the admin port and the service manager may know of a server, from before its snapshot is
/// loaded on.
final class ServerStatus: Sendable {
    private let number = Atomic<Int>(ServerPhase.loading.rawValue)
    private let shared = Mutex<ServerShared?>(nil)
    private let start = ContinuousClock().now
    private let startedAt = Double(LogTime.now.milliseconds) / 1_000
    private let droppedLogLines: @Sendable () -> Int

    /// - Parameter droppedLogLines: tells how many lines the log has dropped.
    init(droppedLogLines: @escaping @Sendable () -> Int) {
        self.droppedLogLines = droppedLogLines
    }

    var phase: ServerPhase { ServerPhase(rawValue: number.load(ordering: .acquiring)) ?? .loading }

    func enter(_ phase: ServerPhase) { number.store(phase.rawValue, ordering: .releasing) }

    /// The snapshot is loaded and the event loops run.
    func attach(_ shared: ServerShared) { self.shared.withLock { $0 = shared } }

    func metrics() async -> ServerMetrics {
        let uptime = ContinuousClock().now - start
        let (seconds, attoseconds) = uptime.components
        var metrics = ServerMetrics(
            phase: phase, startedAt: startedAt,
            uptimeSeconds: Double(seconds) + Double(attoseconds) / 1e18)
        metrics.droppedLogLines = droppedLogLines()
        if let shared = shared.withLock({ $0 }) { await shared.complete(&metrics) }
        return metrics
    }

    /// Whether every event loop does a task of ours soon.
    func loopsAnswer(within limit: Duration) async -> Bool {
        guard let shared = shared.withLock({ $0 }) else { return true }
        return await shared.loopsAnswer(within: limit)
    }
}
