import ByteCoding
import NIOCore
import Units

/// What the connections of one event loop share. Touched on that loop only, so that a request is
/// answered without a lock or an atomic operation: a new generation arrives as a task of the loop.
final class LoopState {
    enum Phase {
        case serving
        /// GOAWAY is sent; requests that crossed it on the way are still answered.
        case goingAway
        /// New requests are refused, connections close when nothing is in flight.
        case refusing
    }

    let eventLoop: any EventLoop
    private(set) var served: ServedSnapshot
    /// Who has bought since it was scored.
    var overlay: LiveOverlay
    private(set) var phase = Phase.serving
    /// The time of the latest tick: timeouts need no clock reading a request.
    private(set) var now = NIODeadline.now()
    /// Where a look-up works and where answers are encoded; kept to save the allocations. Both
    /// are in use only within one call of a connection.
    var scratch = LookupScratch()
    var output = ByteWriter()
    var templates = LookupTemplates()
    /// Look-ups that this turn of the loop has read.
    private let lookups = LookupBatch()
    /// Answers them; made once, so that a turn allocates nothing for it.
    private var answersLookups: @Sendable () -> Void = {}
    var counters = ServerCounters()
    var meters = LoopMeters()
    /// Nil lets every client do everything.
    var tokens: TokenTable?
    /// What requests that name a label are answered from.
    var labelled: [String: ServedSnapshot] = [:]
    /// Where look-ups are compared with those of another generation; nil where they are not.
    var shadow: ShadowSampler? {
        didSet { oldValue?.handOver() }
    }
    private var connections: [ObjectIdentifier: FrameHandler] = [:]
    /// In UTC.
    let today: @Sendable () -> CalendarDay
    /// The day for which the open connections' tokens were judged.
    var judgedDay: CalendarDay

    static let tickInterval = TimeAmount.milliseconds(100)

    init(
        eventLoop: any EventLoop, served: ServedSnapshot, tokens: TokenTable?,
        overlay: LiveOverlay = LiveOverlay(), today: @escaping @Sendable () -> CalendarDay
    ) {
        self.eventLoop = eventLoop
        self.served = served
        self.overlay = overlay
        self.tokens = tokens
        self.today = today
        judgedDay = today()
        let loop = NIOLoopBound(self, eventLoop: eventLoop)
        answersLookups = { loop.value.answerLookups() }
    }

    /// Requests that the scan threads answer, and how many of them are streams.
    func openCounts() -> (requests: Int, streams: Int) {
        var counts = (requests: 0, streams: 0)
        for connection in connections.values {
            counts.requests += connection.open.count
            counts.streams += connection.open.values.count { $0.stream?.credit != nil }
        }
        return counts
    }

    /// Where a connection puts a look-up of one customer, to be answered at the end of this turn.
    func batch() -> LookupBatch {
        if lookups.isFull { answerLookups() }
        if lookups.isEmpty { eventLoop.execute(answersLookups) }
        return lookups
    }

    /// Answers the look-ups that wait. Called before whatever has to come after them.
    func answerLookups() { lookups.answer(from: served, into: self) }

    /// A copy: connections may end while it is gone through.
    var openConnections: [FrameHandler] { Array(connections.values) }

    func add(_ connection: FrameHandler) {
        connections[ObjectIdentifier(connection)] = connection
        counters.acceptedConnections += 1
    }

    func remove(_ connection: FrameHandler) {
        connections[ObjectIdentifier(connection)] = nil
    }

    func move(to served: ServedSnapshot, _ overlay: LiveOverlay) {
        // Their columns are those of the generation that they were read in.
        answerLookups()
        self.served = served
        self.overlay = overlay
        // Its rows are those of the generation before.
        shadow = nil
    }

    /// What answers a request with this label; nil where nothing has it.
    func served(labelled label: String) -> ServedSnapshot? { labelled[label] }

    func tick() {
        now = .now()
        shadow?.handOver()
        for connection in connections.values { connection.closeIfLate(now) }
    }

    /// Tells every client to send nothing new.
    func goAway() {
        phase = .goingAway
        for connection in connections.values { connection.sendGoAway() }
    }

    func refuseNewWork() {
        phase = .refusing
        for connection in connections.values { connection.closeIfDrained() }
    }

    func closeAll() {
        for connection in connections.values { connection.closeUnfinished() }
    }
}

/// What the event loops counted since the start.
package struct ServerCounters: Sendable, Equatable {
    package var acceptedConnections = 0
    package var refusedConnections = 0
    package var lookups = 0
    package var lookupIDs = 0
    package var otherRequests = 0
    /// Requests answered with another status than ok.
    package var failedRequests = 0
    package var protocolErrors = 0
    package var authenticationFailures = 0
    package var tlsFailures = 0
    /// Connections that ended because their token was taken back or expired.
    package var revokedConnections = 0
    /// Turns that streams had on the scan threads.
    package var streamTurns = 0

    static func + (a: ServerCounters, b: ServerCounters) -> ServerCounters {
        var sum = a
        sum.acceptedConnections += b.acceptedConnections
        sum.refusedConnections += b.refusedConnections
        sum.lookups += b.lookups
        sum.lookupIDs += b.lookupIDs
        sum.otherRequests += b.otherRequests
        sum.failedRequests += b.failedRequests
        sum.protocolErrors += b.protocolErrors
        sum.authenticationFailures += b.authenticationFailures
        sum.tlsFailures += b.tlsFailures
        sum.revokedConnections += b.revokedConnections
        sum.streamTurns += b.streamTurns
        return sum
    }
}
