import NIOCore
import Synchronization
import Wire

/// One call of a pool: takes a connection, asks, and tries again by the rules of `Retries`, all by
/// callbacks, so that a joined look-up needs no task of its own. Completes exactly once.
final class Call: Sendable {
    struct Outcome: Sendable {
        let connection: PatronConnection
        /// Nil for a call that only wanted the connection.
        let reply: Reply?
    }

    /// What is asked; nil for a connection to open a stream on.
    struct Question: Sendable {
        let request: Request
        let meta: [MetaItem]
        let mayRepeat: Bool
        /// What changes something and was overtaken by another change is not carried out after it.
        var onlyReads = true
        /// Is told how far the server is, where it says so.
        var progress: (@Sendable (RequestProgress) -> Void)?
    }

    private enum Phase: Sendable {
        case taking(UInt64?)
        case asking(PatronConnection, UInt32)
        case pausing(Scheduled<Void>?)
        case done
    }

    private struct State: Sendable {
        var phase = Phase.taking(nil)
        /// Counts the takes, so that what comes of an earlier one is told apart.
        var round = 0
        var failed = 0
        /// Connections that went away before the request was sent.
        var moves = 0
        var avoided: Int?
        var complete: (@Sendable (Result<Outcome, PatronError>) -> Void)?
    }

    private let pool: ConnectionPool
    private let retries: Retries
    private let budget: RetryBudget
    private let question: Question?
    private let end: NIODeadline?
    private let state: Mutex<State>

    /// So many connections in a row may go away under one call.
    private static let mostMoves = 16
    /// How long a server is asked last that has no time for its return.
    private static let restTime = Duration.milliseconds(100)

    /// - Parameters:
    ///   - end: of the whole call, repetitions included; nil for ever.
    ///   - complete: called once, on any thread.
    init(
        _ question: Question?, pool: ConnectionPool, retries: Retries, budget: RetryBudget,
        end: NIODeadline?,
        complete: @escaping @Sendable (Result<Outcome, PatronError>) -> Void
    ) {
        self.question = question
        self.pool = pool
        self.retries = retries
        self.budget = budget
        self.end = end
        state = Mutex(State(complete: complete))
    }

    func start() {
        budget.earn()
        take()
    }

    /// Ends the call with `cancelled`, and the request at the server too.
    func cancel() {
        let (phase, complete) = state.withLock { state in
            let phase = state.phase
            state.phase = .done
            return (phase, state.complete.take())
        }
        switch phase {
        case .taking(let id): if let id { pool.forget(id) }
        case .asking(let connection, let id): connection.cancel(id)
        case .pausing(let timer): timer?.cancel()
        case .done: break
        }
        complete?(.failure(.cancelled))
    }

    private func finish(_ result: Result<Outcome, PatronError>) {
        let complete = state.withLock { state in
            state.phase = .done
            return state.complete.take()
        }
        complete?(result)
    }

    // MARK: A try

    private func take() {
        let next: (round: Int, avoided: Int?)? = state.withLock { state in
            if case .done = state.phase { return nil }
            state.phase = .taking(nil)
            state.round += 1
            return (state.round, state.avoided)
        }
        guard let (round, avoided) = next else { return }
        let id = pool.take(avoiding: avoided, end: end) { result in
            switch result {
            case .success(let lease): self.ask(lease.connection, lease.server)
            case .failure(let error): self.failed(error, wasSent: false, server: nil)
            }
        }
        guard let id else { return }
        let isForgotten = state.withLock { state in
            // It may have come already, even in vain.
            guard state.round == round else { return false }
            switch state.phase {
            case .taking: state.phase = .taking(id)
            case .done: return true
            case .asking, .pausing: break
            }
            return false
        }
        if isForgotten { pool.forget(id) }
    }

    private func ask(_ connection: PatronConnection, _ server: Int) {
        guard let question else {
            finish(.success(Outcome(connection: connection, reply: nil)))
            return
        }
        var left: TimeAmount?
        if let end {
            let time = end - .now()
            guard time > .zero else {
                finish(.failure(.deadlinePassed))
                return
            }
            left = time
        }
        let id = connection.newRequestID()
        let frame: ByteBuffer
        do throws(PatronError) {
            frame = try connection.encode(
                question.request, question.meta, id: id,
                deadline: left.map { .nanoseconds($0.nanoseconds) })
        } catch {
            finish(.failure(error))
            return
        }
        state.withLock { state in
            if case .done = state.phase { return }
            state.phase = .asking(connection, id)
            // Within the lock, so that a CANCEL cannot come first; it only hands over.
            connection.submit(
                frame, id: id, timeout: left, progress: question.progress
            ) { result in
                self.answered(result, connection, server)
            }
        }
    }

    private func answered(
        _ result: Result<Reply, Unanswered>, _ connection: PatronConnection, _ server: Int
    ) {
        switch result {
        case .success(let reply):
            guard !reply.frame.header.status.isOK else {
                finish(.success(Outcome(connection: connection, reply: reply)))
                return
            }
            do throws(PatronError) {
                _ = try PatronConnection.decode(reply)
                finish(.success(Outcome(connection: connection, reply: reply)))
            } catch {
                if case .malformedAnswer = error { connection.closeNow() }
                failed(error, wasSent: true, server: server)
            }
        case .failure(let failure):
            failed(failure.error, wasSent: failure.wasSent, server: server)
        }
    }

    // MARK: The next

    private func mayRepeat(after error: PatronError) -> Bool {
        guard let question else { return true }
        if case .refused(let refusal) = error, !question.onlyReads,
            refusal.status == Status.snapshotChanged.rawValue
        {
            return false
        }
        return question.mayRepeat
    }

    private func failed(_ error: PatronError, wasSent: Bool, server: Int?) {
        if case .refused(let refusal) = error, let server, error.isPassing, error.isOfServer {
            pool.rest(server, for: refusal.retryAfter ?? Self.restTime)
        }
        let pause: Duration? = state.withLock { state in
            if case .done = state.phase { return nil }
            if error.isOfServer, let server { state.avoided = server }
            if !wasSent, server != nil, state.moves < Self.mostMoves, error.leavesNothing {
                state.moves += 1
                state.phase = .pausing(nil)
                return .zero
            }
            state.failed += 1
            guard
                let pause = retries.pause(
                    after: error, failed: state.failed, wasSent: wasSent,
                    mayRepeat: mayRepeat(after: error), fraction: .random(in: 0...1)),
                end.map({ NIODeadline.now() + TimeAmount(pause) < $0 }) ?? true,
                !wasSent || budget.spend()
            else { return nil }
            state.phase = .pausing(nil)
            return pause
        }
        guard let pause else {
            finish(.failure(error))
            return
        }
        if pause == .zero {
            take()
            return
        }
        let timer = pool.eventLoop.scheduleTask(in: TimeAmount(pause)) { self.take() }
        let isCancelled = state.withLock { state in
            switch state.phase {
            case .pausing:
                state.phase = .pausing(timer)
                return false
            case .done: return true
            case .asking, .taking: return false
            }
        }
        if isCancelled { timer.cancel() }
    }
}

extension PatronError {
    /// Of a request that was not sent: whether it can go to another connection as if nothing had been.
    fileprivate var leavesNothing: Bool {
        switch self {
        case .cancelled, .clientClosed, .deadlinePassed: false
        default: true
        }
    }
}
