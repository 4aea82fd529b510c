import Dispatch
import Engine
import Logging
import NIOCore
import NIOPosix
import Numerical
import Synchronization
import Units
import Wire

/// What all connections share: immutable, or atomic, or confined to an event loop.
final class ServerShared: Sendable {
    let limits: ServerLimits
    let logger: Logger
    /// What connections come to that anybody can make.
    let refusals: RefusalLog
    /// Nil where plain TCP is spoken.
    let certificates: ServedCertificates?
    private let tokens: Mutex<TokenTable?>
    let queues: WorkQueues
    /// Between two frames of PROGRESS of one request.
    let progressInterval: TimeAmount
    /// Bodies of requests that wait for the scan threads.
    let heldBytes: HeldBytes
    /// Nil where the server takes no purchases.
    let live: LiveStore?
    /// Who was erased since something that is served was scored.
    let erasures: ErasureList
    let administration: Administration
    /// What all loops have moved to, or are about to.
    private let latest: Mutex<ServedSnapshot>
    let models: ServedModels
    /// How long a client has after GOAWAY.
    let drainMilliseconds: Int64
    /// The generation of the snapshot that all loops have moved to.
    let generation: Atomic<Int>
    let generationsMoved = Atomic<Int>(0)
    let generationsRefused = Atomic<Int>(0)
    private let openConnections = Atomic<Int>(0)
    /// Open connections by address.
    private let addresses = Mutex<[String: Int]>([:])
    /// What was counted in all, once the loops have ended.
    private let lastCounters = Mutex<ServerCounters?>(nil)
    private let loops: [NIOLoopBound<LoopState>]
    private let loopIndices: [ObjectIdentifier: Int]

    init(
        configuration: ServerConfiguration, limits: ServerLimits, logger: Logger,
        queues: WorkQueues, group: any EventLoopGroup,
        served: ServedSnapshot, tokens: TokenTable?, certificates: ServedCertificates? = nil,
        live: LiveStore? = nil, erasures: ErasureList = ErasureList()
    ) async {
        self.limits = limits
        drainMilliseconds =
            TimeAmount(configuration.drainDelay + configuration.drainTimeout).nanoseconds
            / 1_000_000
        self.logger = logger
        refusals = RefusalLog(logger: logger, interval: configuration.refusalLogInterval)
        self.certificates = certificates
        self.tokens = Mutex(tokens)
        self.queues = queues
        progressInterval = TimeAmount(configuration.progressInterval)
        heldBytes = HeldBytes(limit: limits.heldRequestByteCount)
        self.live = live
        self.erasures = erasures
        administration = Administration(workspace: configuration.workspace)
        latest = Mutex(served)
        models = ServedModels(folder: configuration.workspace, logger: logger)
        generation = Atomic(served.snapshot.generation)
        let now = configuration.now
        let today: @Sendable () -> CalendarDay = { CalendarDay(secondsSince1970: now()) }
        var loops: [NIOLoopBound<LoopState>] = []
        for eventLoop in group.makeIterator() {
            let bound = try? await eventLoop.submit {
                ThreadPriority.preferShortTurns()
                return NIOLoopBound(
                    LoopState(
                        eventLoop: eventLoop, served: served, tokens: tokens,
                        overlay: live.map { LiveOverlay($0.firstDelta) } ?? served.overlay,
                        today: today),
                    eventLoop: eventLoop)
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

    /// Whether a connection may be.
    enum Admission {
        case admitted
        case tooMany
        case tooManyFromAddress
    }

    /// Counts a new connection, unless there are too many already.
    /// - Parameter address: of the client, without its port.
    func admitConnection(from address: String) -> Admission {
        let before = openConnections.wrappingAdd(1, ordering: .relaxed).oldValue
        guard before < limits.connectionCount else {
            openConnections.wrappingSubtract(1, ordering: .relaxed)
            return .tooMany
        }
        let limit = limits.connectionsPerAddress
        let isAdmitted = addresses.withLock { addresses in
            let count = addresses[address, default: 0]
            if count < limit { addresses[address] = count + 1 }
            return count < limit
        }
        if isAdmitted { return .admitted }
        openConnections.wrappingSubtract(1, ordering: .relaxed)
        return .tooManyFromAddress
    }

    func releaseConnection(from address: String) {
        openConnections.wrappingSubtract(1, ordering: .relaxed)
        addresses.withLock { addresses in
            let count = addresses[address, default: 1] - 1
            addresses[address] = count > 0 ? count : nil
        }
    }

    /// Judges HELLOs, and the connections that are open, by other tokens from now on.
    /// - Returns: false where they are those of before.
    func use(_ table: TokenTable) -> Bool {
        let isNew = tokens.withLock { tokens in
            defer { tokens = table }
            return tokens != table
        }
        guard isNew else { return false }
        onEveryLoop { [logger] in $0.use(table, logger) }
        return true
    }

    /// Adds what the event loops have measured, and what is served.
    func complete(_ metrics: inout ServerMetrics) async {
        metrics.openConnections = connectionCount()
        metrics.queuedScans = queues.scans.length + queues.streams.length
        metrics.generationsMoved = generationsMoved.load(ordering: .relaxed)
        metrics.generationsRefused = generationsRefused.load(ordering: .relaxed)
        metrics.live = live?.meters.metrics
        metrics.endings = refusals.counts.map { ("\($0.reason)", $0.count) }
        metrics.certificates = certificates?.metrics
        for loop in loops {
            let part = try? await loop.eventLoop.submit {
                (LoopMetrics(loop.value), loop.value.served)
            }.get()
            // A loop that has ended has closed its connections; the process is about to end.
            guard let (measured, served) = part else { continue }
            metrics.add(measured)
            let snapshot = served.snapshot
            metrics.generation = snapshot.generation
            metrics.asOf = snapshot.asOf
            metrics.currency = snapshot.currency
            metrics.customerCount = snapshot.customerCount
            metrics.productCount = snapshot.productCount
            metrics.models = snapshot.models.map { .init(name: $0.name, version: $0.version) }
        }
    }

    /// Whether every loop does a task of ours within a time.
    func loopsAnswer(within limit: Duration) async -> Bool {
        let answers = AnswerCount()
        onEveryLoop { _ in answers.number.wrappingAdd(1, ordering: .relaxed) }
        let clock = ContinuousClock()
        let deadline = clock.now + limit
        // A task that waited for a loop that is stuck would never end: it looks again instead.
        while answers.number.load(ordering: .relaxed) < loops.count {
            guard clock.now < deadline, !Task.isCancelled else { return false }
            try? await Task.sleep(for: .milliseconds(1))
        }
        return true
    }

    private final class AnswerCount: Sendable {
        let number = Atomic<Int>(0)
    }

    func onEveryLoop(_ body: @escaping @Sendable (LoopState) -> Void) {
        for loop in loops {
            loop.eventLoop.execute { body(loop.value) }
        }
    }

    /// Returns when every loop answers from the new snapshot.
    /// - Throws: why the purchases since cannot be scored by it; the served one stays then.
    func move(to snapshot: ServingSnapshot) async throws(EngineError) {
        if let live {
            let moved = await queues.loading.run {
                Result { () throws(EngineError) in try live.move(to: snapshot) }
            }
            try moved?.get()
        } else {
            let served =
                held(snapshot.generation) ?? ServedSnapshot(snapshot, erasures: erasures)
            administration.shadow.withLock { $0 }?.end(.overtaken)
            // One after the other: two loops may answer from two generations for a moment, but each
            // connection lives on one loop.
            for loop in loops {
                try? await loop.eventLoop.submit {
                    loop.value.move(to: served, served.overlay)
                }.get()
            }
            latest.withLock { $0 = served }
        }
        generation.store(snapshot.generation, ordering: .releasing)
        keepModels(administration.labels.withLock { $0.served })
    }

    /// Returns when every loop answers from a snapshot and with rows that stand in for its own. Not on
    /// an event loop.
    func move(to served: ServedSnapshot, _ deltas: [LiveDelta]) {
        let group = DispatchGroup()
        for loop in loops {
            // Made here, and for each loop one of its own, which it changes without a copy.
            var overlay = LiveOverlay()
            for delta in deltas { overlay.apply(delta) }
            let made = overlay
            overlay = LiveOverlay()
            group.enter()
            loop.eventLoop.execute {
                loop.value.move(to: served, made)
                group.leave()
            }
        }
        group.wait()
        administration.shadow.withLock { $0 }?.end(.overtaken)
        latest.withLock { $0 = served }
    }

    /// Rows that a loop takes over at a time: about 100 µs.
    private static let pieceRowCount = 512

    /// Returns when every loop answers with rows. Not on an event loop.
    func apply(_ delta: LiveDelta) {
        inPieces(delta.erasedRows.count) { loop, piece in loop.overlay.hide(delta, piece) }
        inPieces(delta.rows.count) { loop, piece in loop.overlay.apply(delta, piece) }
    }

    private func inPieces(
        _ count: Int, _ body: @escaping @Sendable (LoopState, Range<Int>) -> Void
    ) {
        for start in stride(from: 0, to: count, by: Self.pieceRowCount) {
            let piece = start..<min(count, start + Self.pieceRowCount)
            onEveryLoopNow { body($0, piece) }
        }
    }

    private func onEveryLoopNow(_ body: @escaping @Sendable (LoopState) -> Void) {
        let group = DispatchGroup()
        for loop in loops {
            group.enter()
            loop.eventLoop.execute {
                body(loop.value)
                group.leave()
            }
        }
        group.wait()
    }

    /// Returns when no loop of a server that takes no purchases shows who was erased.
    func hideErased() async {
        for loop in loops {
            try? await loop.eventLoop.submit {
                loop.value.overlay = loop.value.served.overlay
            }.get()
        }
    }

    /// What all loops have moved to.
    func current() -> ServedSnapshot { latest.withLock { $0 } }

    /// A snapshot that is served, as the current one or under a label.
    func held(_ generation: Int) -> ServedSnapshot? {
        let current = current()
        if current.generation == UInt64(generation) { return current }
        return administration.labels.withLock { labels in
            labels.served.values.first { $0.generation == UInt64(generation) }
        }
    }

    /// Returns when every loop answers from these under their labels.
    func serve(_ labelled: [String: ServedSnapshot]) async {
        for loop in loops {
            try? await loop.eventLoop.submit { loop.value.labelled = labelled }.get()
        }
        keepModels(labelled)
    }

    /// Forgets the models of generations that nobody can ask for any more.
    private func keepModels(_ labelled: [String: ServedSnapshot]) {
        let generations = labelled.values.map(\.generation) + [current().generation]
        models.keep(Set(generations.map { Int($0) }))
    }

    // MARK: Shadow

    /// Compares look-ups from now on, instead of what was compared before.
    func startShadow(_ run: ShadowRun) {
        let earlier = administration.shadow.withLock { shadow in
            defer { shadow = run }
            return shadow
        }
        earlier?.end(.stopped)
        onEveryLoop { loop in
            loop.shadow = loop.served === run.current ? ShadowSampler(run) : nil
        }
        // A move that came before the run was known has not ended it.
        if current() !== run.current { run.end(.overtaken) }
    }

    func stopShadow(_ state: ShadowReport.State) {
        gatherShadow()
        administration.shadow.withLock { $0 }?.end(state)
        onEveryLoop { $0.shadow = nil }
    }

    /// Returns when every loop has handed over what it noted. Not to be called on a loop.
    func gatherShadow() {
        for loop in loops {
            try? loop.eventLoop.submit { _ = loop.value.shadow?.handOver() }.wait()
        }
    }

    /// Has what was handed over compared on a scan thread.
    func compareShadow() {
        guard let run = administration.shadow.withLock({ $0 }), run.plan() else { return }
        compare(run, ScanTicket())
    }

    private func compare(_ run: ShadowRun, _ ticket: ScanTicket) {
        queues.scans.submit(ticket, isBegun: true) { [self] in
            // A piece at a time: streams have their turn in between.
            if run.work() { compare(run, ticket) }
        }
    }

    /// Counts for the last time: the loops are about to end.
    func close() async -> ServerCounters {
        administration.status.withLock { $0 = nil }
        administration.shadow.withLock { $0 = nil }
        let last = await counters()
        lastCounters.withLock { $0 = last }
        return last
    }

    func startTicks() {
        for loop in loops {
            loop.eventLoop.scheduleRepeatedTask(
                initialDelay: LoopState.tickInterval, delay: LoopState.tickInterval
            ) { [self] _ in
                loop.value.tick()
                loop.value.judgeIfDayIsOver(logger)
                refusals.catchUp()
                compareShadow()
            }
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
