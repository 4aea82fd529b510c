import NIOCore
import NIOPosix
import Synchronization
import Wire

/// Where a server listens.
public struct PatronAddress: Sendable, Hashable {
    /// A name or an address; IPv6 without brackets.
    public var host: String
    public var port: Int

    public init(host: String, port: Int = 7070) {
        self.host = host
        self.port = port
    }
}

/// How a `PatronPool` connects and asks.
public struct PatronPoolOptions: Sendable {
    /// Servers of the same workspace: any of them may answer any request.
    public var servers: [PatronAddress]
    /// Nil connects in plain.
    public var tls: PatronTLS?
    /// What the servers gave out; goes in clear where `tls` is nil.
    public var token: String?
    /// Name and version of the calling software, for the servers' logs.
    public var clientName = "patron-swift"
    /// As of `PatronConnection.connect`.
    public var compression = false
    /// At most so many, 1 … 1,024; more than one are made while all are busy. A connection carries
    /// any number of requests.
    public var connectionsPerServer = 2
    /// For connecting, for the answer to HELLO, and for that to a PING.
    public var connectTimeout = Duration.seconds(5)
    /// Of calls that name none, repetitions included; nil waits for ever.
    public var deadline: Duration? = .seconds(30)
    public var retries = Retries()
    /// A server that cannot be reached is left alone for half to all of this, doubled with each
    /// failure up to `longestReconnectPause`.
    public var firstReconnectPause = Duration.milliseconds(50)
    public var longestReconnectPause = Duration.seconds(2)
    /// A connection that has brought nothing for so long is asked for a sign of life, and given up
    /// where none comes; nil never asks. Servers close connections that are silent for 10 minutes.
    public var pingInterval: Duration? = .seconds(30)
    /// Look-ups of one customer that go into one frame at most, 1 … 65,536; 1 joins none.
    public var joinedLookups = 1_024
    /// Frames of joined look-ups, of the same columns, that wait for answers at once, 1 … 1,024:
    /// what comes meanwhile waits to be joined. More give less waiting and smaller frames.
    public var joinedFrames = 2

    public init(servers: [PatronAddress]) { self.servers = servers }

    /// - Throws: `invalidOption`.
    func check() throws(PatronError) {
        func require(_ isRight: Bool, _ name: String, _ reason: String) throws(PatronError) {
            if !isRight { throw .invalidOption(name: name, reason: reason) }
        }
        try require(!servers.isEmpty, "servers", "has at least one")
        for server in servers {
            try require(
                (1...65_535).contains(server.port), "servers",
                "have ports from 1 to 65535, not \(server.port)")
        }
        try require(
            (1...1_024).contains(connectionsPerServer), "connectionsPerServer",
            "is 1 to 1024, not \(connectionsPerServer)")
        try require(connectTimeout > .zero, "connectTimeout", "is above 0")
        try require(deadline.map { $0 > .zero } ?? true, "deadline", "is above 0, or nil")
        try require(
            firstReconnectPause >= .zero && longestReconnectPause >= firstReconnectPause,
            "longestReconnectPause", "is at least firstReconnectPause, which is not negative")
        try require(
            pingInterval.map { $0 >= .milliseconds(1) } ?? true, "pingInterval",
            "is a millisecond or more, or nil")
        try require(
            (1...WireLimits.standard.lookupIDs).contains(joinedLookups), "joinedLookups",
            "is 1 to \(WireLimits.standard.lookupIDs), not \(joinedLookups)")
        try require(
            (1...1_024).contains(joinedFrames), "joinedFrames", "is 1 to 1024, not \(joinedFrames)")
        try retries.check()
    }
}

/// What a service uses: connections to one or several servers of a workspace, for any number of
/// tasks.
///
/// ```swift
/// let patron = try PatronPool(servers: [PatronAddress(host: "10.0.0.4"), PatronAddress(host: "10.0.0.5")])
/// let customer = try await patron.lookupOne(.integer(17850), columns: [10])
/// await patron.close()
/// ```
///
/// Connections are opened when they are needed, and again, after growing pauses, where they are lost.
/// A server that says it goes away (GOAWAY) gets no new requests; its open ones are waited for. What
/// may be repeated is, by the rules of `Retries`. Cancelling a task cancels its request at the
/// server.
///
/// Nothing runs on its own but callbacks of event loops: after `close` has returned, or where the
/// pool is simply dropped, no task and no socket is left. `run` is `close` for who has a task group
/// or `ServiceGroup`.
public final class PatronPool: PatronOperations, Sendable {
    private let options: PatronPoolOptions
    private let connections: ConnectionPool
    private let budget: RetryBudget
    private let joiner: LookupJoiner
    /// Of the snapshot that answers; nil for the current one.
    public let label: String?

    /// Connects to nothing yet.
    /// - Throws: `invalidOption`.
    public init(_ options: PatronPoolOptions) throws(PatronError) {
        try options.check()
        self.options = options
        let group = NIOSingletons.posixEventLoopGroup
        let connections = try ConnectionPool(options, group: group)
        let budget = RetryBudget(options.retries)
        let retries = options.retries
        self.connections = connections
        self.budget = budget
        label = nil
        joiner = LookupJoiner(
            framesUnderWay: options.joinedFrames, idsPerFrame: options.joinedLookups,
            eventLoop: group.next()
        ) { question, end, complete in
            Call(
                question, pool: connections, retries: retries, budget: budget, end: end,
                complete: complete)
        }
    }

    public convenience init(
        servers: [PatronAddress], tls: PatronTLS? = nil, token: String? = nil
    ) throws(PatronError) {
        var options = PatronPoolOptions(servers: servers)
        options.tls = tls
        options.token = token
        try self.init(options)
    }

    private init(_ pool: PatronPool, label: String) {
        options = pool.options
        connections = pool.connections
        budget = pool.budget
        joiner = pool.joiner
        self.label = label
    }

    /// The same connections, whose look-ups and reports are answered from the snapshot with a label,
    /// such as `canary`. Closing either closes both.
    /// - Throws: `invalidOption` for a label that none can be.
    public func labelled(_ label: String) throws(PatronError) -> PatronPool {
        try checkLabel(label)
        return PatronPool(self, label: label)
    }

    public var defaultDeadline: Duration? { options.deadline }

    /// The most ids one request for scores may have; before the first connection, the protocol's limit.
    public var maximumLookupIDs: Int {
        connections.maximumLookupIDs ?? WireLimits.standard.lookupIDs
    }

    /// Connections that take requests now.
    public var connectionCount: Int { connections.connectionCount }

    /// Calls of `lookupOne` that are in no frame yet.
    package var waitingLookups: Int { joiner.waitingCount }

    /// Ends the pool: new calls fail with `clientClosed`, as do those that wait for a connection.
    /// - Parameter grace: how long open requests, streams too, may take to be answered; then they
    ///   fail.
    public func close(grace: Duration = .zero) async {
        await connections.close(grace: grace)
    }

    /// Returns when the task is cancelled, and the pool is closed; a service group runs it beside the
    /// services that ask.
    public func run(grace: Duration = .seconds(5)) async {
        let (never, continuation) = AsyncStream.makeStream(of: Void.self)
        for await _ in never {}
        continuation.finish()
        await close(grace: grace)
    }

    // MARK: Asking

    /// Asks, by the rules of `Retries`, and reads the answer.
    public func perform<Answer: Sendable>(
        _ operation: PatronOperation<Answer>, deadline: Duration? = nil
    ) async throws(PatronError) -> Answer {
        guard options.servers.count == 1 || !operation.request.isOfOneServer else {
            throw .invalidOption(
                name: "\(operation.name) of a pool of \(options.servers.count) servers",
                reason: "would be of any of them: ask a pool or a connection of one")
        }
        let question = Call.Question(
            request: operation.request, meta: operation.meta(label: label),
            mayRepeat: operation.mayRepeat, onlyReads: operation.request.onlyReads,
            progress: operation.progress)
        let outcome = try await call(question, end: end(deadline))
        guard let reply = outcome.reply else { throw .connectionClosed(reason: "no answer came") }
        do throws(PatronError) {
            let response = try PatronConnection.decode(reply)
            guard let answer = try operation.read(response) else {
                throw .malformedAnswer(
                    reason: "\(operation.name) was answered with something else")
            }
            return answer
        } catch {
            if case .malformedAnswer = error { outcome.connection.closeNow() }
            throw error
        }
    }

    /// Scores of one customer. Calls of several tasks that ask for the same columns are joined: what
    /// gathers while frames of such look-ups are under way goes into the next one. Each gets its own
    /// row, and ends at its own deadline.
    /// - Parameter columns: as for `lookup`.
    public func lookupOne(
        _ id: PatronID, columns: [UInt16]? = nil, deadline: Duration? = nil
    ) async throws(PatronError) -> CustomerRow {
        guard !Task.isCancelled else { throw .cancelled }
        if case .text(let text) = id, text.utf8.count > WireLimits.idBytes {
            // It would fail the look-ups of others with it.
            throw .invalidOption(
                name: "the id",
                reason: "has at most \(WireLimits.idBytes) bytes, not \(text.utf8.count)")
        }
        let end = end(deadline)
        let joiner = joiner
        let number = Mutex<UInt64?>(nil)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation {
                (continuation: CheckedContinuation<Result<CustomerRow, PatronError>, Never>) in
                let own = joiner.add(id, columns: columns, label: label, end: end) {
                    continuation.resume(returning: $0)
                }
                number.withLock { $0 = own }
                // Cancelled before there was a number.
                if Task.isCancelled { joiner.cancel(own) }
            }
        } onCancel: {
            if let own = number.withLock({ $0 }) { joiner.cancel(own) }
        }
        return try result.get()
    }

    /// All customers, or those that a rule holds for, in the order of the snapshot, as
    /// `PatronConnection.customers` has them. Where the connection is lost, or the server has waited
    /// too long for the reader, the stream goes on by itself behind the last chunk: no customer comes
    /// twice or is missing. Where the snapshot was replaced meanwhile, that is refused as
    /// `snapshotChanged`.
    /// - Parameter deadline: for all of it, from now on; nil for none.
    public func customers(
        rule: String? = nil, columns: [UInt16]? = nil, after token: StreamToken? = nil,
        credit: Int = 1 << 20, deadline: Duration? = nil
    ) -> CustomerChunks {
        let end = deadline.map { NIODeadline.now() + TimeAmount($0) }
        let retries = options.retries
        let reopening = CustomerChunks.Reopening(
            open: { [self] token throws(PatronError) in
                var connection = try await call(nil, end: end).connection
                if let label { connection = try connection.labelled(label) }
                let request = StreamRequest(
                    rule: rule, columns: columns, after: token, credit: credit)
                return try connection.openStream(
                    request,
                    end.map { .nanoseconds(max(1, ($0 - .now()).nanoseconds)) })
            },
            pause: { [budget] error, failed, hasToken in
                Self.pause(retries, budget, error, failed, hasToken: hasToken, end)
            })
        return CustomerChunks(opened: nil, token: token, reopening: reopening)
    }

    private static func pause(
        _ retries: Retries, _ budget: RetryBudget, _ error: PatronError, _ failed: Int,
        hasToken: Bool, _ end: NIODeadline?
    ) -> Duration? {
        var passing = error
        if case .refused(let refusal) = error {
            // Another stream of the same token would be refused too.
            if hasToken, refusal.status == Status.snapshotChanged.rawValue { return nil }
            // The server does not wait for ever for a reader that takes its time.
            if hasToken, refusal.status == Status.deadlinePassed.rawValue {
                passing = .connectionClosed(reason: refusal.text)
            }
        }
        guard
            let pause = retries.pause(
                after: passing, failed: failed, wasSent: true, mayRepeat: true,
                fraction: .random(in: 0...1)),
            end.map({ NIODeadline.now() + TimeAmount(pause) < $0 }) ?? true, budget.spend()
        else { return nil }
        return pause
    }

    private func end(_ deadline: Duration?) -> NIODeadline? {
        (deadline ?? options.deadline).map { .now() + TimeAmount($0) }
    }

    private func call(
        _ question: Call.Question?, end: NIODeadline?
    ) async throws(PatronError) -> Call.Outcome {
        guard !Task.isCancelled else { throw .cancelled }
        let box = Mutex<Call?>(nil)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation {
                (continuation: CheckedContinuation<Result<Call.Outcome, PatronError>, Never>) in
                let call = Call(
                    question, pool: connections, retries: options.retries, budget: budget, end: end
                ) { continuation.resume(returning: $0) }
                box.withLock { $0 = call }
                call.start()
                // Cancelled before there was a call.
                if Task.isCancelled { call.cancel() }
            }
        } onCancel: {
            box.withLock { $0 }?.cancel()
        }
        return try result.get()
    }
}
