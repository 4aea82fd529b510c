import NIOCore
import Synchronization
import Wire

/// The connections of a `PatronPool`. A state under a lock and callbacks of event loops: it has no
/// task of its own that could outlive it.
///
/// - A request goes to the connection with the fewest open ones.
/// - Connections are opened when requests come: the first when there is none, others while all are
///   busy, at the server that has the fewest and works.
/// - Where connecting fails, the server is left alone for a pause that grows.
/// - A connection that goes away gets no new requests and lives until its open ones are answered.
final class ConnectionPool: Sendable {
    typealias Delivery = @Sendable (Result<Lease, PatronError>) -> Void

    /// A connection to send a request on, and which of the servers is at its end.
    struct Lease: Sendable {
        let connection: PatronConnection
        let server: Int
    }

    private let options: PatronPoolOptions
    private let greeting: PatronConnection.Greeting
    private let group: any EventLoopGroup
    private let state: Mutex<PoolState>

    /// - Throws: `invalidOption`.
    init(_ options: PatronPoolOptions, group: any EventLoopGroup) throws(PatronError) {
        self.options = options
        self.group = group
        greeting = try PatronConnection.Greeting(
            tls: options.tls, token: options.token, clientName: options.clientName,
            compression: options.compression,
            timeout: options.connectTimeout, defaultDeadline: nil)
        state = Mutex(PoolState(options))
    }

    deinit {
        // Whoever forgot to close it leaves no sockets open.
        for connection in state.withLock({ $0.close().connections }) { connection.closeNow() }
    }

    /// Any of the event loops, for timers.
    var eventLoop: any EventLoop { group.next() }

    /// Connections that take requests now.
    var connectionCount: Int { state.withLock { $0.members.count } }

    /// The most ids that every one of them takes in a look-up; nil where there are none.
    var maximumLookupIDs: Int? {
        state.withLock { $0.members.map(\.connection.maximumLookupIDs).min() }
    }

    /// Gets a connection, now or as soon as there is one.
    /// - Parameters:
    ///   - server: to leave out where another one serves.
    ///   - end: until when to wait; nil for ever.
    /// - Returns: what to `forget`, where the delivery is still to come.
    func take(
        avoiding server: Int? = nil, end: NIODeadline?, _ deliver: @escaping Delivery
    ) -> UInt64? {
        let (actions, id) = state.withLock {
            $0.take(avoiding: server, now: .now(), deliver)
        }
        if let id, let end {
            let timer = eventLoop.scheduleTask(deadline: end) { [weak self] in
                guard let self, state.withLock({ $0.forget(id) }) else { return }
                deliver(.failure(.deadlinePassed))
            }
            let isWaiting = state.withLock { $0.keep(timer, for: id) }
            if !isWaiting { timer.cancel() }
        }
        perform(actions)
        return id
    }

    /// Nobody wants the connection any more; its delivery does not come.
    func forget(_ id: UInt64) {
        _ = state.withLock { $0.forget(id) }
    }

    /// A server has said that it serves nothing just now: for that time others are asked first.
    func rest(_ server: Int, for pause: Duration) {
        state.withLock { $0.rest(server, until: .now() + TimeAmount(pause)) }
    }

    /// Takes no more requests; returns when all connections are closed: those with open requests
    /// after the answers, or after `grace`.
    func close(grace: Duration) async {
        let (connections, actions) = state.withLock { $0.close() }
        perform(actions)
        await withTaskGroup(of: Void.self) { tasks in
            for connection in connections {
                tasks.addTask { await connection.finish(grace: grace) }
            }
        }
    }

    // MARK: Connecting

    private func perform(_ actions: [PoolState.Action]) {
        for action in actions {
            switch action {
            case .connect(let server): connect(server)
            case .deliver(let result, let deliver): deliver(result)
            case .wake(let time):
                eventLoop.scheduleTask(deadline: time) { [weak self] in
                    guard let self else { return }
                    perform(state.withLock { $0.wake(now: .now()) })
                }
            }
        }
    }

    private func connect(_ server: Int) {
        let opening = PatronConnection.open(options.servers[server], greeting, on: group.next())
        opening.whenComplete { [weak self] result in
            guard let self else {
                if case .success(let connection) = result { connection.closeNow() }
                return
            }
            switch result {
            case .success(let connection): opened(connection, server)
            case .failure(let error):
                let error =
                    (error as? PatronError) ?? .connectionClosed(reason: "\(error)")
                perform(
                    state.withLock {
                        $0.failed(
                            server, error, now: .now(), fraction: .random(in: 0.5...1))
                    })
            }
        }
    }

    private func opened(_ connection: PatronConnection, _ server: Int) {
        let (isKept, actions) = state.withLock { $0.opened(connection, server, now: .now()) }
        guard isKept else {
            connection.closeNow()
            return
        }
        if let interval = options.pingInterval {
            connection.keepAlive(every: interval, patience: options.connectTimeout)
        }
        connection.watch { [weak self, weak connection] event in
            guard let self, let connection else { return }
            state.withLock {
                $0.left(
                    connection, isClosed: event == .closed, now: .now(),
                    fraction: .random(in: 0.5...1))
            }
        }
        perform(actions)
    }
}
