import NIOCore

/// What the pool knows; its methods say what is to be done outside of the lock.
struct PoolState: Sendable {
    enum Action: Sendable {
        case connect(Int)
        case deliver(Result<ConnectionPool.Lease, PatronError>, ConnectionPool.Delivery)
        case wake(NIODeadline)
    }

    struct Member: Sendable {
        let connection: PatronConnection
        let server: Int
        let since: NIODeadline
    }

    private struct Server: Sendable {
        var connecting = 0
        var connected = 0
        /// Connecting that failed, or connections that did not last, in a row.
        var failures = 0
        /// Connections that ended right after HELLO, in a row.
        var shortLives = 0
        var nextTry = NIODeadline.uptimeNanoseconds(0)
        var leftAt: NIODeadline?
        /// Until then it serves nothing, it says.
        var restsUntil = NIODeadline.uptimeNanoseconds(0)
    }

    private struct Waiter: Sendable {
        let id: UInt64
        /// The server that it would rather not have.
        let avoided: Int?
        let deliver: ConnectionPool.Delivery
        var timer: Scheduled<Void>?
    }

    private let options: PatronPoolOptions
    private var servers: [Server]
    private(set) var members: [Member] = []
    private var leaving: [PatronConnection] = []
    private var waiters: [Waiter] = []
    private var nextWaiter: UInt64 = 0
    private var rotation = 0
    private var wakeAt: NIODeadline?
    private var isClosed = false

    /// A connection that ends sooner was none.
    private static let shortLife = TimeAmount.seconds(1)
    /// So long others are preferred to a server that went away.
    private static let leavingTime = TimeAmount.seconds(10)
    /// How long a connection under way is waited for before another server is tried too.
    private static let patience = TimeAmount.milliseconds(250)
    /// More than a connection ever has.
    private static let restingLoad = 1 << 40

    init(_ options: PatronPoolOptions) {
        self.options = options
        servers = options.servers.map { _ in Server() }
    }

    private var connecting: Int { servers.reduce(0) { $0 + $1.connecting } }

    // MARK: Requests

    mutating func take(
        avoiding server: Int?, now: NIODeadline, _ deliver: @escaping ConnectionPool.Delivery
    ) -> ([Action], UInt64?) {
        if isClosed { return ([.deliver(.failure(.clientClosed), deliver)], nil) }
        let best = leastLoaded(now, avoiding: server)
        if let best, best.connection.load == 0, servers[best.server].restsUntil <= now {
            return ([Self.give(best, deliver)], nil)
        }
        var actions: [Action] = []
        if let next = serverToOpen(now, avoiding: server) {
            servers[next].connecting += 1
            actions.append(.connect(next))
        }
        if let best { return (actions + [Self.give(best, deliver)], nil) }
        if connecting == 0 {
            // No other server can be had: better the one that is avoided than none.
            if let last = leastLoaded(now, avoiding: nil) {
                return ([Self.give(last, deliver)], nil)
            }
        }
        nextWaiter += 1
        waiters.append(Waiter(id: nextWaiter, avoided: server, deliver: deliver))
        if connecting == 0 {
            actions += connectForWaiters(now)
        } else if servers.count > 1 {
            actions += planWake(at: now + Self.patience)
        }
        return (actions, nextWaiter)
    }

    /// - Returns: whether it waited.
    mutating func forget(_ id: UInt64) -> Bool {
        guard let index = waiters.firstIndex(where: { $0.id == id }) else { return false }
        waiters.remove(at: index).timer?.cancel()
        return true
    }

    /// - Returns: whether it still waits.
    mutating func keep(_ timer: Scheduled<Void>, for id: UInt64) -> Bool {
        guard let index = waiters.firstIndex(where: { $0.id == id }) else { return false }
        waiters[index].timer = timer
        return true
    }

    private static func give(_ member: Member, _ deliver: @escaping ConnectionPool.Delivery)
        -> Action
    {
        .deliver(
            .success(ConnectionPool.Lease(connection: member.connection, server: member.server)),
            deliver)
    }

    mutating func rest(_ server: Int, until time: NIODeadline) {
        servers[server].restsUntil = max(servers[server].restsUntil, time)
    }

    /// Those with equally few take turns; those of servers that rest come last.
    private mutating func leastLoaded(_ now: NIODeadline, avoiding server: Int?) -> Member? {
        rotation &+= 1
        var best: (member: Member, load: Int)?
        for offset in members.indices {
            let member = members[(rotation &+ offset) % members.count]
            guard member.server != server else { continue }
            let rests = servers[member.server].restsUntil > now
            let load = member.connection.load + (rests ? Self.restingLoad : 0)
            if best.map({ load < $0.load }) ?? true { best = (member, load) }
        }
        return best?.member
    }

    /// Where the next connection is made; nil where there are enough or none can be made now.
    private func serverToOpen(_ now: NIODeadline, avoiding avoided: Int?) -> Int? {
        func rank(_ server: Server) -> (Int, Int, Int) {
            let isLeaving = server.leftAt.map { now - $0 < Self.leavingTime } ?? false
            let rests = server.restsUntil > now
            return (
                server.failures + server.shortLives, isLeaving || rests ? 1 : 0,
                server.connecting + server.connected
            )
        }
        let candidates = servers.indices.filter {
            $0 != avoided && servers[$0].nextTry <= now
                && (members.isEmpty || servers[$0].restsUntil <= now)
                && servers[$0].connecting + servers[$0].connected < options.connectionsPerServer
        }
        return candidates.min { rank(servers[$0]) < rank(servers[$1]) }
    }

    private mutating func planWake(at time: NIODeadline) -> [Action] {
        guard wakeAt.map({ time < $0 }) ?? true else { return [] }
        wakeAt = time
        return [.wake(time)]
    }

    /// The pause of some server is over, or a server takes its time with a connection.
    mutating func wake(now: NIODeadline) -> [Action] {
        if let wakeAt, wakeAt <= now { self.wakeAt = nil }
        guard !waiters.isEmpty else { return [] }
        // Only to those that would rather have had another server.
        if !members.isEmpty { return giveToWaiters(now) }
        return connectForWaiters(now)
    }

    /// Connects where nothing is under way; a server that does not answer shall not keep those waiting
    /// that another one could answer.
    private mutating func connectForWaiters(_ now: NIODeadline) -> [Action] {
        if let next = serverToOpen(now, avoiding: nil), servers[next].connecting == 0 {
            servers[next].connecting += 1
            let connecting = [Action.connect(next)]
            return servers.count > 1
                ? connecting + planWake(at: now + Self.patience) : connecting
        }
        guard connecting == 0, let next = servers.map(\.nextTry).min() else { return [] }
        return planWake(at: max(next, now))
    }

    // MARK: Connections

    mutating func opened(
        _ connection: PatronConnection, _ server: Int, now: NIODeadline
    ) -> (isKept: Bool, [Action]) {
        servers[server].connecting -= 1
        guard !isClosed else { return (false, []) }
        servers[server].failures = 0
        servers[server].connected += 1
        members.append(Member(connection: connection, server: server, since: now))
        return (true, giveToWaiters(now))
    }

    mutating func failed(
        _ server: Int, _ error: PatronError, now: NIODeadline, fraction: Double
    ) -> [Action] {
        servers[server].connecting -= 1
        servers[server].failures += 1
        pauseServer(server, now, fraction)
        guard connecting == 0, !waiters.isEmpty else { return [] }
        if let next = serverToOpen(now, avoiding: nil) {
            servers[next].connecting += 1
            return [.connect(next)]
        }
        // All have failed since the first of these came.
        if !members.isEmpty { return giveToWaiters(now) }
        return dismissWaiters(error)
    }

    /// A connection takes no more requests, or is closed.
    mutating func left(
        _ connection: PatronConnection, isClosed: Bool, now: NIODeadline, fraction: Double
    ) {
        if isClosed { leaving.removeAll { $0 === connection } }
        guard let index = members.firstIndex(where: { $0.connection === connection }) else {
            return
        }
        let member = members.remove(at: index)
        servers[member.server].connected -= 1
        servers[member.server].leftAt = now
        if !isClosed { leaving.append(connection) }
        if now - member.since < Self.shortLife {
            servers[member.server].shortLives += 1
            // Once is nothing: a server that restarts closes what it has just accepted.
            if servers[member.server].shortLives > 1 {
                pauseServer(member.server, now, fraction)
            }
        } else {
            servers[member.server].shortLives = 0
        }
    }

    private mutating func pauseServer(_ index: Int, _ now: NIODeadline, _ fraction: Double) {
        let count = servers[index].failures + servers[index].shortLives
        var pause = options.firstReconnectPause
        for _ in 0..<max(0, count - 1) where pause < options.longestReconnectPause { pause *= 2 }
        pause = min(pause, options.longestReconnectPause)
        servers[index].nextTry = now + TimeAmount(pause * fraction)
    }

    private mutating func giveToWaiters(_ now: NIODeadline) -> [Action] {
        let waiting = waiters
        waiters = []
        return waiting.compactMap { waiter in
            waiter.timer?.cancel()
            let member =
                leastLoaded(now, avoiding: waiter.avoided) ?? leastLoaded(now, avoiding: nil)
            return member.map { Self.give($0, waiter.deliver) }
        }
    }

    private mutating func dismissWaiters(_ error: PatronError) -> [Action] {
        let waiting = waiters
        waiters = []
        return waiting.map { waiter in
            waiter.timer?.cancel()
            return .deliver(.failure(error), waiter.deliver)
        }
    }

    mutating func close() -> (connections: [PatronConnection], actions: [Action]) {
        isClosed = true
        let connections = members.map(\.connection) + leaving
        members = []
        leaving = []
        return (connections, dismissWaiters(.clientClosed))
    }
}
