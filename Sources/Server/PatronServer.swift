import Engine
package import Logging
package import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// Answers look-ups over TCP from the current snapshot; moves to a new generation while serving.
///
/// `start` binds, `run` serves until its task is cancelled or a graceful shutdown begins, then
/// drains: no new connections, GOAWAY to the open ones, requests in flight finish, all close.
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
        let scans = ScanQueue(
            threadCount: configuration.scanThreadCount,
            capacity: configuration.limits.queuedScanCount)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.loopCount)
        do throws(ServerError) {
            let snapshot = try await firstSnapshot(source, scans)
            let shared = await ServerShared(
                configuration: configuration, logger: logger, scans: scans, group: group,
                snapshot: snapshot)
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
        try? await Task.sleep(for: configuration.drainDelay)
        shared.onEveryLoop { $0.refuseNewWork() }
        let clock = ContinuousClock()
        let deadline = clock.now + configuration.drainTimeout
        while shared.connectionCount() > 0, clock.now < deadline, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(5))
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

    private static func firstSnapshot(
        _ source: @escaping SnapshotSource, _ scans: ScanQueue
    ) async throws(ServerError) -> ServingSnapshot {
        let opened: Result<ServingSnapshot?, EngineError>?
        opened = try? await scans.run {
            Result { () throws(EngineError) -> ServingSnapshot? in
                guard let location = try source() else { return nil }
                return try ServingSnapshot(location)
            }
        }
        switch opened {
        case .success(let snapshot?): return snapshot
        case .success(nil), nil: throw .nothingPublished
        case .failure(let error): throw .snapshot(error)
        }
    }
}
