import Engine
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// What all connections share: immutable, or atomic, or confined to an event loop.
final class ServerShared: Sendable {
    let limits: ServerLimits
    let logger: Logger
    let scans: ScanQueue
    /// How long a client has after GOAWAY.
    let drainMilliseconds: Int64
    /// The generation of the snapshot that all loops have moved to.
    let generation: Atomic<Int>
    private let openConnections = Atomic<Int>(0)
    /// What was counted in all, once the loops have ended.
    private let lastCounters = Mutex<ServerCounters?>(nil)
    private let loops: [NIOLoopBound<LoopState>]
    private let loopIndices: [ObjectIdentifier: Int]

    init(
        configuration: ServerConfiguration, limits: ServerLimits, logger: Logger,
        scans: ScanQueue, group: any EventLoopGroup, snapshot: ServingSnapshot
    ) async {
        self.limits = limits
        drainMilliseconds =
            TimeAmount(configuration.drainDelay + configuration.drainTimeout).nanoseconds
            / 1_000_000
        self.logger = logger
        self.scans = scans
        generation = Atomic(snapshot.generation)
        let served = ServedSnapshot(snapshot)
        var loops: [NIOLoopBound<LoopState>] = []
        for eventLoop in group.makeIterator() {
            let bound = try? await eventLoop.submit {
                NIOLoopBound(
                    LoopState(eventLoop: eventLoop, served: served), eventLoop: eventLoop)
            }.get()
            if let bound { loops.append(bound) }
        }
        self.loops = loops
        loopIndices = Dictionary(
            uniqueKeysWithValues: loops.enumerated().map {
                (ObjectIdentifier($1.eventLoop), $0)
            })
    }

    /// The state of the loop that the caller runs on.
    func loopState(of eventLoop: any EventLoop) -> LoopState? {
        loopIndices[ObjectIdentifier(eventLoop)].map { loops[$0].value }
    }

    func connectionCount() -> Int { openConnections.load(ordering: .relaxed) }

    /// Counts a new connection; false, without counting it, where there are too many already.
    func admitConnection() -> Bool {
        let before = openConnections.wrappingAdd(1, ordering: .relaxed).oldValue
        if before < limits.connectionCount { return true }
        releaseConnection()
        return false
    }

    func releaseConnection() {
        openConnections.wrappingSubtract(1, ordering: .relaxed)
    }

    func onEveryLoop(_ body: @escaping @Sendable (LoopState) -> Void) {
        for loop in loops {
            loop.eventLoop.execute { body(loop.value) }
        }
    }

    /// Returns when every loop answers from the new snapshot.
    func move(to snapshot: ServingSnapshot) async {
        let served = ServedSnapshot(snapshot)
        // One after the other: two loops may answer from two generations for a moment, but each
        // connection lives on one loop.
        for loop in loops {
            try? await loop.eventLoop.submit { loop.value.move(to: served) }.get()
        }
        generation.store(snapshot.generation, ordering: .releasing)
    }

    /// Counts for the last time: the loops are about to end.
    func close() async -> ServerCounters {
        let last = await counters()
        lastCounters.withLock { $0 = last }
        return last
    }

    func startTicks() {
        for loop in loops {
            loop.eventLoop.scheduleRepeatedTask(
                initialDelay: LoopState.tickInterval, delay: LoopState.tickInterval
            ) { _ in loop.value.tick() }
        }
    }

    func counters() async -> ServerCounters {
        if let last = lastCounters.withLock({ $0 }) { return last }
        var sum = ServerCounters()
        for loop in loops {
            let part = try? await loop.eventLoop.submit { loop.value.counters }.get()
            if let part { sum = sum + part }
        }
        return sum
    }
}
