import Engine
package import Logging
package import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import UnixSignals

/// Answers look-ups over TCP from the current snapshot; moves to a new generation while serving.
///
/// `start` binds, `run` serves until its task is cancelled or a graceful shutdown begins, then
/// drains: no new connections, GOAWAY to the open ones, requests in flight finish, all close. A
/// SIGTERM or SIGINT that arrives while it drains ends it at once.
package final class PatronServer: Service {
    /// Where it listens, with the port that was chosen for port 0.
    package let address: SocketAddress
    private let configuration: ServerConfiguration
    private let shared: ServerShared
    private let watcher: SnapshotWatcher
    private let group: MultiThreadedEventLoopGroup
    private let listener: any Channel
    private let operation: Operation
    private var logger: Logger { shared.logger }

    private init(
        address: SocketAddress, configuration: ServerConfiguration, shared: ServerShared,
        watcher: SnapshotWatcher, group: MultiThreadedEventLoopGroup, listener: any Channel,
        operation: Operation
    ) {
        self.address = address
        self.configuration = configuration
        self.shared = shared
        self.watcher = watcher
        self.group = group
        self.listener = listener
        self.operation = operation
    }

    /// What operators see of the server and say to it.
    struct Operation: Sendable {
        let status: ServerStatus
        let site: AdminSite
        let admin: AdminServer?
        let manager: ServiceManager
        let tokenWatcher: TokenWatcher?
        let certificateWatcher: CertificateWatcher?
    }

    /// The address's port.
    package var port: Int { address.port ?? 0 }

    /// `127.0.0.1:7070` or `[::1]:7070`.
    package var endpoint: String { Self.name(of: address) }

    /// The generation that requests see now.
    package var generation: Int { shared.generation.load(ordering: .acquiring) }

    /// Where the admin port is, with the port that was chosen for port 0; nil where there is none.
    package var adminPort: Int? { operation.admin?.address.port }

    /// Opens the admin port, then the current snapshot, then listens.
    /// - Parameters:
    ///   - manager: told when the server is ready, alive and stopping.
    ///   - droppedLogLines: tells how many lines the log has dropped, for the metrics.
    /// - Throws: `ServerError`; nothing is left open then.
    package static func start(
        _ configuration: ServerConfiguration, source: @escaping SnapshotSource, logger: Logger,
        manager: ServiceManager = .none,
        droppedLogLines: @escaping @Sendable () -> Int = { 0 }
    ) async throws(ServerError) -> PatronServer {
        let plan = try Preparation(configuration)
        plan.warn(logger)
        let status = ServerStatus(droppedLogLines: droppedLogLines)
        let site = AdminSite(status)
        var admin: AdminServer?
        if let address = plan.adminAddress {
            let server = try await AdminServer.start(
                address, site, patience: configuration.adminPatience)
            logger.info("admin port", metadata: ["address": "\(name(of: server.address))"])
            admin = server
        }
        var limits = configuration.limits
        limits.connectionCount = makeRoom(forConnections: limits.connectionCount, logger)
        let queues = WorkQueues(configuration, limits)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.loopCount)
        do throws(ServerError) {
            let snapshot = try await firstSnapshot(source)
            let live = try await openLive(configuration.liveWorkspace, snapshot, logger)
            let erasures =
                live?.erasures ?? ErasureFollower.list(configuration.workspace, logger)
            let served = live?.served ?? ServedSnapshot(snapshot, erasures: erasures)
            if configuration.warmsUp { await warmUp(served, logger) }
            let certificates = plan.tls.map { ServedCertificates($0) }
            let shared = await ServerShared(
                configuration: configuration, limits: limits, logger: logger, queues: queues,
                group: group, served: served, tokens: plan.tokens, certificates: certificates,
                live: live, erasures: erasures)
            live?.attach(shared)
            shared.administration.status.withLock { $0 = status }
            // Before the first client asks for a label.
            await LabelFollower(shared: shared).follow()
            shared.startTicks()
            let listener = try await listen(
                plan.address, shared, group, certificates: certificates)
            status.attach(shared)
            status.enter(.ready)
            logger.info(
                "serving",
                metadata: [
                    "address": "\(name(of: listener.localAddress ?? plan.address))",
                    "generation": "\(snapshot.generation)", "tls": "\(plan.tls != nil)",
                    "tokens": "\(plan.tokens?.entries.count ?? 0)",
                ])
            return PatronServer(
                address: listener.localAddress ?? plan.address, configuration: configuration,
                shared: shared,
                watcher: SnapshotWatcher(
                    source: source, interval: configuration.snapshotPollInterval, shared: shared),
                group: group, listener: listener,
                operation: Operation(
                    status: status, site: site, admin: admin, manager: manager,
                    tokenWatcher: configuration.tokensPath.map {
                        TokenWatcher(
                            path: $0, interval: configuration.tokenPollInterval, shared: shared,
                            first: plan.tokensWatch)
                    },
                    certificateWatcher: certificates.flatMap { certificates in
                        configuration.tls.map {
                            CertificateWatcher(
                                files: $0, interval: configuration.certificatePollInterval,
                                certificates: certificates, logger: logger,
                                now: configuration.now,
                                checkedAt: plan.now, first: plan.tlsWatch)
                        }
                    }))
        } catch {
            await admin?.stop()
            await queues.shutdown()
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private static func warmUp(_ served: ServedSnapshot, _ logger: Logger) async {
        let clock = ContinuousClock()
        let start = clock.now
        let warmUp = try? await NIOThreadPool.singleton.runIfActive { WarmUp(served) }
        logger.info(
            "warmed up",
            metadata: [
                "lookups": "\(warmUp?.lookupCount ?? 0)",
                "milliseconds": "\(TimeAmount(clock.now - start).nanoseconds / 1_000_000)",
            ])
    }

    package func run() async throws {
        let manager = operation.manager
        manager.ready("serving generation \(generation) on \(endpoint)")
        // Watched until the end: a drain that gets stuck is to be ended too.
        let watched = Task { await self.reportLife() }
        defer { watched.cancel() }
        await withTaskGroup { tasks in
            tasks.addTask { await self.watcher.run() }
            if let tokens = operation.tokenWatcher { tasks.addTask { await tokens.run() } }
            if let files = operation.certificateWatcher { tasks.addTask { await files.run() } }
            if operation.admin != nil { tasks.addTask { await self.operation.site.keepHistory() } }
            await endIsAsked()
            tasks.cancelAll()
        }
        operation.status.enter(.draining)
        manager.stopping()
        await drain()
        await operation.admin?.stop()
    }

    /// Returns when a signal or a client asks the server to end.
    private func endIsAsked() async {
        await withTaskGroup(of: Void.self) { tasks in
            // Throws where the task is cancelled: then there is no time for a drain, and every
            // sleep of it returns at once.
            tasks.addTask { _ = try? await gracefulShutdown() }
            tasks.addTask { await self.shared.administration.drainIsAsked() }
            await tasks.next()
            tasks.cancelAll()
        }
    }

    /// Tells the service manager that the event loops answer, for as long as they do.
    private func reportLife() async {
        guard let interval = operation.manager.watchdogInterval else { return }
        while !Task.isCancelled {
            if await operation.status.loopsAnswer(within: interval / 2) {
                operation.manager.isAlive()
            } else {
                logger.error("the event loops do not answer: the service manager is not told")
            }
            try? await Task.sleep(for: interval)
        }
    }

    /// What the server is doing and has done.
    package func metrics() async -> ServerMetrics { await operation.status.metrics() }

    /// What the event loops counted since the start.
    package func counters() async -> ServerCounters {
        await shared.counters()
    }

    private func drain() async {
        logger.info("draining", metadata: ["connections": "\(shared.connectionCount())"])
        try? await listener.close()
        shared.onEveryLoop { $0.goAway() }
        await withTaskGroup { tasks in
            tasks.addTask { await self.finishWork() }
            let hastening = configuration.hasteningSignals
            if !hastening.isEmpty {
                tasks.addTask {
                    for await signal in await UnixSignalsSequence(trapping: hastening) {
                        self.logger.warning("stopping at once", metadata: ["signal": "\(signal)"])
                        break
                    }
                }
            }
            await tasks.next()
            tasks.cancelAll()
        }
        if shared.connectionCount() > 0 {
            // A cancelled task asked for no drain, so there is nothing to warn of.
            logger.log(
                level: Task.isCancelled ? .debug : .warning,
                "closing connections with requests in flight",
                metadata: ["connections": "\(shared.connectionCount())"])
            shared.onEveryLoop { $0.closeAll() }
        }
        if let live = shared.live {
            // What was taken is made durable, whether anybody still waits for the answer or not, and also
            // where this task is cancelled: NIO's pool does nothing then, and the log would stay locked.
            await shared.queues.scans.run { live.stop() }
        }
        let counters = await shared.close()
        await shared.administration.queue.shutdown()
        await shared.queues.shutdown()
        try? await group.shutdownGracefully()
        logger.info(
            "stopped",
            metadata: [
                "connections": "\(counters.acceptedConnections)",
                "lookups": "\(counters.lookups)", "lookupIDs": "\(counters.lookupIDs)",
                "otherRequests": "\(counters.otherRequests)",
                "failedRequests": "\(counters.failedRequests)",
                "protocolErrors": "\(counters.protocolErrors)",
            ])
    }

    /// Returns when no connection is open any more, the time is over, or its task is cancelled.
    private func finishWork() async {
        try? await Task.sleep(for: configuration.drainDelay)
        shared.onEveryLoop { $0.refuseNewWork() }
        let clock = ContinuousClock()
        let deadline = clock.now + configuration.drainTimeout
        while shared.connectionCount() > 0, clock.now < deadline, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Opens the log of live purchases, and scores their customers.
    private static func openLive(
        _ workspace: String?, _ snapshot: ServingSnapshot, _ logger: Logger
    ) async throws(ServerError) -> LiveStore? {
        guard let workspace else { return nil }
        let opened = try? await NIOThreadPool.singleton.runIfActive {
            Result { () throws(EngineError) in
                try LiveStore(workspace: workspace, snapshot: snapshot, logger: logger)
            }
        }
        switch opened {
        case .success(let live)?:
            let metrics = live.meters.metrics
            logger.info(
                "taking purchases",
                metadata: ["lines": "\(metrics.lineCount)", "customers": "\(metrics.rowCount)"])
            return live
        case .failure(let error)?: throw .live(error)
        // The pool runs as long as the process.
        case nil: return nil
        }
    }

    private static func firstSnapshot(
        _ source: @escaping SnapshotSource
    ) async throws(ServerError) -> ServingSnapshot {
        let opened: Result<ServingSnapshot?, EngineError>?
        opened = try? await NIOThreadPool.singleton.runIfActive {
            Result { () throws(EngineError) -> ServingSnapshot? in
                try ServingSnapshot.current(source)
            }
        }
        switch opened {
        case .success(let snapshot?): return snapshot
        case .success(nil), nil: throw .nothingPublished
        case .failure(let error): throw .snapshot(error)
        }
    }
}
