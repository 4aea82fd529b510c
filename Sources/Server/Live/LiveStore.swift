import ByteCoding
import ColumnStore
import Dispatch
import Engine
import Ingest
import Logging
import NIOCore
import Synchronization
import Units
import Wire

/// Takes purchase lines while the server runs: checks them, makes them durable, scores their customers
/// anew and hands the rows to the event loops, and only then answers.
///
/// Three threads work one behind the other: one reads and checks lines, that of the log writes and
/// syncs them, and one scores. Each takes all that has come while it worked, so that many appends cost
/// one sync and one scoring. A generation is moved to on the last of them, between two scorings: no
/// line that was acknowledged is ever without effect.
final class LiveStore: Sendable {
    /// Bytes of requests that are under way at most; one alone always is let in.
    private static let underWayLimit = 64 << 20

    /// So many are scored sooner after the orders of the segments have been read than without.
    private static let manyCustomers = 2_000

    private let workspace: String
    let logger: Logger
    let log: Mutex<LiveLog?>
    let checking = DispatchQueue(label: "patron.live.checking")
    private let scoring = DispatchQueue(label: "patron.live.scoring")
    /// Reads what makes scoring faster and nobody waits for.
    private let reading = DispatchQueue(label: "patron.live.reading")
    private let underWay = Atomic<Int>(0)
    /// Touched before a batch is logged and after, never for long.
    private let amounts: Mutex<LiveAmounts>
    private let state: Mutex<State>
    /// Locked for as long as there is something to score; nobody else waits for it.
    private let scored: Mutex<Scored>
    let meters = LiveMeters()
    /// Who was erased, for all that is served of the workspace.
    let erasures: ErasureList

    private struct State {
        var plan: Plan
        var clock: LocalClock
        var served: ServedSnapshot
        /// The event loops, as soon as there are some.
        var shared: ServerShared?
        var waiting: [Durable] = []
        var isScoring = false
    }

    private struct Scored {
        var served: ServedSnapshot
        var scoring: LiveScoring
        var live: LiveCustomers
        /// Those whose rows could not be made when they bought.
        var unscored: Set<EntityID> = []
    }

    /// Lines or an erasure that are durable, and who waits for that.
    struct Durable: Sendable {
        enum Change: Sendable {
            /// No line was taken.
            case none
            case lines(PurchaseLines)
            /// Of customers as they were sent.
            case erasure(IDColumn)
        }

        let change: Change
        /// Nil where there is no change.
        let receipt: LiveReceipt?
        /// Called when look-ups show it, with what was found of each customer of an erasure.
        let answer: @Sendable (SnapshotStamp, [ErasureFound]) -> Void
    }

    /// Of a request.
    private struct Refused: Sendable {
        var lineCount = 0
        var table = AppendResponse.refusals([])
    }

    typealias Answer = @Sendable (Result<AppendResponse, Refusal>) -> Void

    /// A generation with what has been bought since.
    private struct Opened {
        let plan: Plan
        let served: ServedSnapshot
        let scoring: LiveScoring
        var live: LiveCustomers
        var delta: LiveDelta
    }

    /// The rows that event loops begin with.
    let firstDelta: LiveDelta

    /// Opens the log of a workspace and scores all customers whose purchases a snapshot does not know.
    /// - Throws: `.store(.locked)` where another server has the workspace.
    init(workspace: String, snapshot: ServingSnapshot, logger: Logger) throws(EngineError) {
        self.workspace = workspace
        self.logger = logger
        let log = try LiveLog(workspace: workspace)
        let erasures = ErasureList(log.knownErasures)
        let opened = try Self.open(workspace, snapshot, erasures, goingOnFrom: nil)
        self.erasures = erasures
        self.log = Mutex(log)
        amounts = Mutex(LiveAmounts(opened.live))
        firstDelta = opened.delta
        state = Mutex(
            State(plan: opened.plan, clock: opened.plan.clock, served: opened.served))
        scored = Mutex(
            Scored(served: opened.served, scoring: opened.scoring, live: opened.live))
        meters.set(rows: opened.delta.rows.count, lines: opened.live.lineCount)
        readOrders(opened.scoring)
    }

    /// Has the orders of new segments read; until they are, their customers are scored more slowly.
    private func readOrders(_ scoring: LiveScoring) {
        reading.async { [logger] in
            do throws(EngineError) {
                try scoring.readOrders()
            } catch {
                logger.error(
                    "the orders of the segments cannot be read: purchases are scored more slowly",
                    metadata: ["error": "\(error)"])
            }
        }
    }

    /// The generation that answers come from.
    var served: ServedSnapshot { state.withLock { $0.served } }

    /// Where rows go from now on.
    func attach(_ shared: ServerShared) { state.withLock { $0.shared = shared } }

    /// - Parameter earlier: what is in memory already; nil to read all of it.
    private static func open(
        _ workspace: String, _ snapshot: ServingSnapshot, _ erasures: ErasureList,
        goingOnFrom earlier: (live: LiveCustomers, scoring: LiveScoring)?
    ) throws(EngineError) -> Opened {
        let plan = try Workspace(folder: workspace, access: .reading).plan
        let scoring = try LiveScoring(
            folder: workspace, snapshot: snapshot, goingOnFrom: earlier?.scoring,
            threadCount: System.coreCount)
        var live: LiveCustomers
        if let earlier, earlier.live.firstSequence <= scoring.position.sequence {
            live = earlier.live
            live.forget(before: scoring.position)
        } else {
            live = try LiveCustomers(workspace: workspace, since: scoring.position)
        }
        let customers = live.customers
        if customers.count > manyCustomers { try scoring.readOrders() }
        let rows = try scoring.rows(
            of: customers, in: live, threadCount: threadCount(customers.count))
        let served = ServedSnapshot(snapshot, baskets: LiveBaskets(), erasures: erasures)
        served.baskets?.update(customers, from: live, served.foldingAffinity)
        return Opened(
            plan: plan, served: served, scoring: scoring, live: live,
            delta: LiveDelta(rows, snapshot, erased: live.erasedWithoutLines(from: 0)))
    }

    /// Few are scored sooner on one thread.
    private static func threadCount(_ customers: Int) -> Int {
        customers < 2_048 ? 1 : min(4, System.coreCount)
    }

    // MARK: Appending

    /// Lets a request of so many bytes in.
    /// - Returns: false where too many are under way.
    func admit(_ byteCount: Int) -> Bool {
        let before = underWay.wrappingAdd(byteCount, ordering: .relaxed).oldValue
        guard before == 0 || before + byteCount <= Self.underWayLimit else {
            underWay.wrappingSubtract(byteCount, ordering: .relaxed)
            return false
        }
        return true
    }

    /// A request of so many bytes is no longer under way.
    func leave(_ byteCount: Int) {
        underWay.wrappingSubtract(byteCount, ordering: .relaxed)
    }

    /// Takes the body of a request that was let in.
    /// - Parameters:
    ///   - deadline: until when the lines must be checked; after that they are on their way.
    ///   - answer: is called once, on some thread: when look-ups give the new rows, or with why the
    ///     lines are not there. Not at all where the ticket was cancelled before the lines were looked at.
    func append(
        _ body: RequestBody, key: LogKey, limits: WireLimits, deadline: NIODeadline,
        ticket: ScanTicket, then answer: @escaping Answer
    ) {
        let release: Answer = { [self] result in
            leave(body.byteCount)
            answer(result)
        }
        checking.async { [self] in
            guard !ticket.isCancelled else { return leave(body.byteCount) }
            do throws(Refusal) {
                guard NIODeadline.now() < deadline else {
                    throw Refusal(
                        .deadlinePassed, "the deadline passed before the lines were looked at")
                }
                try check(body, key, limits, release)
            } catch {
                release(.failure(error))
            }
        }
    }

    private func check(
        _ body: RequestBody, _ key: LogKey, _ limits: WireLimits, _ answer: @escaping Answer
    ) throws(Refusal) {
        let request = try body.read { (bytes) throws(Refusal) in
            do throws(WireError) {
                return try AppendRequest(decoding: bytes, limits: limits)
            } catch {
                throw Refusal(error)
            }
        }
        let (plan, clock) = state.withLock { ($0.plan, $0.clock) }
        guard request.currency == plan.currency else {
            throw Refusal(
                .otherCurrency,
                ErrorBody(
                    text: "amounts are in \(request.currency), the workspace's in \(plan.currency)",
                    hint: "convert them, or send them to the server of their own workspace",
                    field: WireField.currency.rawValue, byteOffset: 4))
        }
        var judged: ValidatedLines
        let sent = try SubmittedLines(request)
        do throws(EngineError) {
            judged = try plan.validated(sent, clock: clock)
        } catch .ingest(.unusableBatch(let reason)) {
            throw Refusal(
                .unusableLines, reason, hint: "send the columns that the plan maps")
        } catch {
            logger.error("purchase lines could not be checked", metadata: ["error": "\(error)"])
            throw Refusal(.internalError, "the lines could not be checked")
        }
        judged = amounts.withLock { [judged] in $0.judge(judged) }
        var refused = Refused()
        if !judged.rejections.isEmpty {
            refused.lineCount = request.lines.rowCount - judged.lines.count
            refused.table = AppendResponse.refusals(
                judged.rejections.map { ($0.row, $0.column(request.lines), $0.refusal) })
            meters.refused(refused.lineCount)
        }
        guard judged.lines.count > 0 else {
            // In its turn, so that it names the generation that look-ups are answered from.
            score(durable(.none, nil, refused, answer))
            return
        }
        guard let log = log.withLock({ $0 }) else {
            throw Refusal(.draining, "the server is stopping", hint: "connect again")
        }
        let (lines, refusedLines) = (judged.lines, refused)
        let start = NIODeadline.now()
        log.submit(LiveBatch(key: key, lines: lines)) { [self] result in
            let isNew = (try? result.get()).map { !$0.isRepeat } ?? false
            if !isNew { amounts.withLock { $0.takeBack(lines) } }
            switch result {
            case .success(let receipt):
                meters.durable(receipt, after: NIODeadline.now() - start)
                score(durable(.lines(lines), receipt, refusedLines, answer))
            case .failure(let error): answer(.failure(refusal(error, "purchases")))
            }
        }
    }

    private func durable(
        _ change: Durable.Change, _ receipt: LiveReceipt?, _ refused: Refused,
        _ answer: @escaping Answer
    ) -> Durable {
        Durable(change: change, receipt: receipt) { stamp, _ in
            answer(
                .success(
                    AppendResponse(
                        stamp: stamp, sequence: receipt.map { UInt64($0.sequence) },
                        acceptedLines: UInt32(receipt?.rowCount ?? 0),
                        refusedLines: UInt32(refused.lineCount),
                        isRepeat: receipt?.isRepeat ?? false, refusals: refused.table)))
        }
    }

    /// - Parameter what: could not be written.
    func refusal(_ error: EngineError, _ what: String) -> Refusal {
        if case .liveKeyReused = error {
            return Refusal(
                .invalidMeta,
                ErrorBody(
                    text: "the idempotency key is that of another request",
                    hint: "give each request 16 random bytes of its own as meta item 1",
                    field: WireField.meta.rawValue, byteOffset: 0))
        }
        meters.failed()
        if case .liveBusy = error {
            return Refusal(.logBusy, "too many purchases wait to be written", hint: "try later")
        }
        logger.error("\(what) could not be written", metadata: ["error": "\(error)"])
        return Refusal(
            .notDurable, "the \(what) could not be made durable",
            hint:
                "send them again with the same key when the operator has seen to the server's disk")
    }

    // MARK: Scoring

    /// Has it taken into account in its turn, then answered.
    func score(_ durable: Durable) {
        let begins = state.withLock { state in
            state.waiting.append(durable)
            defer { state.isScoring = true }
            return !state.isScoring
        }
        if begins { scoring.async { self.scoreWaiting() } }
    }

    private func scoreWaiting() {
        while true {
            let (group, shared) = state.withLock { state in
                let group = state.waiting
                state.waiting = []
                if group.isEmpty { state.isScoring = false }
                return (group, state.shared)
            }
            if group.isEmpty { return }
            let (stamp, found) = scored.withLock { scored in
                var customers: [EntityID] = []
                var found: [[ErasureFound]] = []
                for durable in group {
                    var flags: [ErasureFound] = []
                    switch (durable.change, durable.receipt) {
                    case (.lines(let lines), let receipt?) where !receipt.isRepeat:
                        scored.live.add(lines, sequence: receipt.sequence)
                        let ids = lines.customerIDs
                        // Lines of one order come together.
                        for row in 0..<ids.count where row == 0 || ids.differ(row - 1, row) {
                            customers.append(ids[row])
                        }
                    case (.erasure(let ids), let receipt?):
                        flags = Self.found(ids, receipt, scored.live, scored.served.snapshot)
                        if receipt.isRepeat { break }
                        scored.live.erase(ids, sequence: receipt.sequence)
                        for row in 0..<ids.count { customers.append(ids[row]) }
                        erasures.add([
                            RecordedErasure(
                                sequence: receipt.sequence, customerIDs: ids,
                                time: receipt.erasedAt ?? 0)
                        ])
                    default: break
                    }
                    found.append(flags)
                }
                if !customers.isEmpty { score(customers, &scored, shared) }
                return (scored.served.stamp, found)
            }
            for (durable, found) in zip(group, found) { durable.answer(stamp, found) }
        }
    }

    private func score(
        _ customers: [EntityID], _ scored: inout Scored, _ shared: ServerShared?
    ) {
        let start = NIODeadline.now()
        let erased = customers.filter { scored.live.isErasedWithoutLines($0) }
        if !erased.isEmpty {
            // Whatever becomes of the others' scores.
            shared?.apply(LiveDelta(.none, scored.served.snapshot, erased: erased))
            scored.served.baskets?.update(erased, from: scored.live, nil)
            scored.unscored.subtract(erased)
        }
        let wanted = scored.unscored.isEmpty ? customers : customers + scored.unscored
        do throws(EngineError) {
            let rows = try scored.scoring.rows(
                of: wanted, in: scored.live, threadCount: Self.threadCount(wanted.count))
            let delta = LiveDelta(rows, scored.served.snapshot)
            scored.served.baskets?.update(
                (0..<rows.count).map { rows.customerIDs[$0] }, from: scored.live,
                scored.served.foldingAffinity)
            shared?.apply(delta)
            scored.unscored = []
            meters.scored(rows.count, in: NIODeadline.now() - start)
        } catch {
            // The lines are durable all the same: they count as soon as they can be scored.
            scored.unscored.formUnion(customers)
            logger.error(
                "customers could not be scored anew, their rows stay as they were",
                metadata: ["customers": "\(scored.unscored.count)", "error": "\(error)"])
        }
        meters.set(rows: scored.live.customerCount, lines: scored.live.lineCount)
    }

    // MARK: Generations

    /// Moves all event loops to another generation, with the purchases that it does not know.
    /// - Throws: why customers could not be scored by it; the served one stays then.
    func move(to snapshot: ServingSnapshot) throws(EngineError) {
        // Most is done beside the appends, with the purchases of before.
        let earlier = scored.withLock { ($0.live, $0.scoring) }
        let prepared = try Self.open(workspace, snapshot, erasures, goingOnFrom: earlier)
        // On the queue's own thread: this one may have to wait long for a processor.
        let result = Mutex<Result<Void, EngineError>?>(nil)
        let isMoved = DispatchSemaphore(value: 0)
        scoring.async { [self] in
            let moved = Result { () throws(EngineError) in try finishMove(prepared) }
            result.withLock { $0 = moved }
            isMoved.signal()
        }
        isMoved.wait()
        try result.withLock { $0 }?.get()
        do throws(EngineError) {
            try log.withLock { $0 }?.forgetPruned()
        } catch {
            logger.warning("the log of purchases cannot be listed", metadata: ["error": "\(error)"])
        }
    }

    private func finishMove(_ prepared: Opened) throws(EngineError) {
        var opened = prepared
        try scored.withLock { (scored: inout Scored) throws(EngineError) in
            // What has been bought meanwhile.
            let first = opened.live.nextSequence
            let erased = scored.live.erasedWithoutLines(from: first)
            let late = scored.live.customers(from: first) + erased
            var deltas = [opened.delta]
            if !late.isEmpty {
                if scored.live.firstSequence <= opened.scoring.position.sequence {
                    opened.live = scored.live
                    opened.live.forget(before: opened.scoring.position)
                } else {
                    opened.live = try LiveCustomers(
                        workspace: workspace, since: opened.scoring.position)
                }
                let rows = try opened.scoring.rows(of: late, in: opened.live)
                deltas.append(LiveDelta(rows, opened.served.snapshot, erased: erased))
                opened.served.baskets?.update(
                    late, from: opened.live, opened.served.foldingAffinity)
            }
            let (plan, clock, served) = (opened.plan, opened.plan.clock, opened.served)
            let shared = state.withLock { state in
                (state.plan, state.clock) = (plan, clock)
                state.served = served
                return state.shared
            }
            scored = Scored(served: served, scoring: opened.scoring, live: opened.live)
            shared?.move(to: served, deltas)
            readOrders(opened.scoring)
            meters.set(rows: scored.live.customerCount, lines: scored.live.lineCount)
        }
    }

    // MARK: End

    /// Returns when everything that was taken is durable and answered, and lets go of the log. Takes
    /// nothing from then on.
    func stop() {
        checking.sync {}
        log.withLock { $0 }?.drain()
        scoring.sync {}
        log.withLock { $0 = nil }
        state.withLock { $0.shared = nil }
    }
}

extension IDColumn {
    fileprivate func differ(_ i: Int, _ j: Int) -> Bool {
        switch self {
        case .integers(let values): values[i] != values[j]
        case .texts(let texts): texts.utf8(i) != texts.utf8(j)
        }
    }
}
