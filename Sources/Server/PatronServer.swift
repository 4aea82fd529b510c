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
    private var logger: Logger { shared.logger }

    private init(
        address: SocketAddress, configuration: ServerConfiguration, shared: ServerShared,
        watcher: SnapshotWatcher, group: MultiThreadedEventLoopGroup, listener: any Channel
    ) {
        self.address = address
        self.configuration = configuration
        self.shared = shared
        self.watcher = watcher
        self.group = group
        self.listener = listener
    }

    /// The address's port.
    package var port: Int { address.port ?? 0 }

    /// `127.0.0.1:7070` or `[::1]:7070`.
    package var endpoint: String { Self.name(of: address) }

    /// The generation that requests see now.
    package var generation: Int { shared.generation.load(ordering: .acquiring) }

    /// Opens the current snapshot, then listens.
    /// - Throws: `ServerError`; nothing is left open then.
    package static func start(
        _ configuration: ServerConfiguration, source: @escaping SnapshotSource, logger: Logger
    ) async throws(ServerError) -> PatronServer {
        let address = try await resolve(configuration)
        var limits = configuration.limits
        limits.connectionCount = makeRoom(forConnections: limits.connectionCount, logger)
        let scans = ScanQueue(
            threadCount: configuration.scanThreadCount,
            capacity: limits.queuedScanCount)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.loopCount)
        do throws(ServerError) {
            let snapshot = try await firstSnapshot(source)
            let shared = await ServerShared(
                configuration: configuration, limits: limits, logger: logger, scans: scans,
                group: group, snapshot: snapshot)
            shared.startTicks()
            let listener = try await listen(address, shared, group)
            logger.info(
                "serving",
                metadata: [
                    "address": "\(name(of: listener.localAddress ?? address))",
                    "generation": "\(snapshot.generation)",
                ])
            return PatronServer(
                address: listener.localAddress ?? address, configuration: configuration,
                shared: shared,
                watcher: SnapshotWatcher(
                    source: source, interval: configuration.snapshotPollInterval, shared: shared),
                group: group, listener: listener)
        } catch {
            await scans.shutdown()
            try? await group.shutdownGracefully()
            throw error
        }
    }

    package func run() async throws {
        await withTaskGroup { tasks in
            tasks.addTask { await self.watcher.run() }
            // Throws where the task is cancelled: then there is no time for a drain, and every
            // sleep below returns at once.
            try? await gracefulShutdown()
            tasks.cancelAll()
        }
        await drain()
    }

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
        let counters = await shared.close()
        await shared.scans.shutdown()
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
