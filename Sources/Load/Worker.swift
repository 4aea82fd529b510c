import CPoll
import Numerical

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// One thread of the generator: its connections, its schedule, and what it saw.
///
/// In an open loop the schedule itself is the queue: a request is drawn only when its time has come
/// and a connection has room, and its intended time is the schedule's, however late that is.
struct Worker: ~Copyable {
    private let plan: LoadPlan
    private var connections: [Connection]
    private var poller: Poller
    private var requests: RequestWriter
    private var schedule: ArrivalSchedule?
    /// When the schedule's next request is due; `.max` where nothing is.
    private var nextDue = UInt64.max
    /// Connections with room for a request, each once, longest idle first.
    private var waiting: IndexQueue
    private var inFlight = 0
    private var live: Int
    private(set) var tally: WorkerTally

    private let start: UInt64
    private let windowStart: UInt64
    private let windowEnd: UInt64
    private let giveUp: UInt64
    /// The longest sleep: time passes even where nothing comes.
    private static let longestWait: UInt64 = 50_000_000

    /// - Parameters:
    ///   - index: this thread's number, 0 ..< plan.threads.
    ///   - start: when to begin, nanoseconds of the monotonic clock.
    init(
        _ plan: LoadPlan, index: Int, transports: [Transport], start: UInt64
    ) throws(LoadError) {
        self.plan = plan
        self.start = start
        windowStart = start + UInt64(plan.warmUpSeconds * 1e9)
        windowEnd = windowStart + UInt64(plan.seconds * 1e9)
        giveUp = windowEnd + UInt64(plan.drainSeconds * 1e9)
        connections = transports.map {
            Connection(
                $0, speaks: plan.speaks, pipeline: plan.pipeline, checkEvery: plan.checkEvery)
        }
        live = connections.count
        requests = RequestWriter(plan, stream: UInt64(index) * 2)
        waiting = IndexQueue(capacity: connections.count)
        tally = WorkerTally(operationCount: plan.mix.operations.count)
        if case .open(let rate, let arrivals) = plan.pace {
            schedule = ArrivalSchedule(
                arrivals, rate: rate / Double(plan.threads),
                phase: Double(index) / Double(plan.threads),
                random: SeededRandom(seed: plan.seed, stream: UInt64(index) * 2 + 1))
        }
        poller = Poller(usesEpoll: plan.usesEpoll)
        for (token, connection) in connections.enumerated() {
            try connection.socket.stopBlocking()
            try poller.add(connection.socket, token: token)
        }
    }

    deinit {
        var connections = connections
        for index in connections.indices { connections[index].free() }
    }

    /// Makes the load, and returns when all is answered or given up.
    mutating func run() throws(LoadError) {
        patron_precise_timers()
        ThreadPriority.preferShortTurns()
        while monotonicNanoseconds() < start {
            usleep(UInt32((start - min(start, monotonicNanoseconds())) / 1_000))
        }
        for index in connections.indices {
            if plan.pace == .closed {
                try refill(index, at: monotonicNanoseconds())
            } else {
                queue(index)
            }
        }
        advance()
        var processorAtStart: UInt64?
        var processorAtEnd: UInt64?
        while true {
            let now = monotonicNanoseconds()
            if now >= windowStart, processorAtStart == nil {
                processorAtStart = threadNanoseconds()
            }
            if now >= windowEnd, processorAtEnd == nil { processorAtEnd = threadNanoseconds() }
            if nextDue <= now { try sendDue(now) }
            if now >= giveUp || live == 0 { break }
            if now >= windowEnd, inFlight == 0, nextDue == .max { break }
            try poller.wait(nanoseconds: waitTime(now))
            for ready in poller.ready {
                if ready.writable { try flush(ready.token) }
                if ready.readable { try receive(ready.token) }
            }
        }
        if let processorAtStart {
            let end = processorAtEnd ?? threadNanoseconds()
            tally.processorSeconds = Double(end - processorAtStart) * 1e-9
        }
        countMissing(at: monotonicNanoseconds())
    }

    private func waitTime(_ now: UInt64) -> UInt64 {
        if plan.spins { return 0 }
        // What is due but has no connection waits for an answer, which wakes this thread.
        let end = now < windowEnd ? windowEnd : giveUp
        let due = waiting.isEmpty ? UInt64.max : nextDue
        let next = min(end, due)
        return next <= now ? 0 : min(next - now, Self.longestWait)
    }

    /// Moves to the schedule's next request.
    private mutating func advance() {
        guard let offset = schedule?.next() else { return }
        nextDue = start + offset
        if nextDue >= windowEnd { (nextDue, schedule) = (.max, nil) }
    }

    private mutating func queue(_ index: Int) {
        guard !connections[index].isQueued, connections[index].hasRoom else { return }
        connections[index].isQueued = true
        waiting.append(index)
    }

    // MARK: Sending

    /// Sends all requests whose time has come, as far as connections have room.
    private mutating func sendDue(_ now: UInt64) throws(LoadError) {
        while nextDue <= now, let index = waiting.popFirst() {
            connections[index].isQueued = false
            guard connections[index].hasRoom else { continue }
            begin(index, intended: nextDue)
            advance()
            queue(index)
            // Several for the same connection are sent together.
            if nextDue <= now, waiting.first == index { continue }
            try flush(index)
        }
    }

    private mutating func begin(_ index: Int, intended: UInt64?) {
        let operation = requests.drawOperation()
        let id = connections[index].begin(operation: operation, intended: intended)
        requests.write(
            operation: operation, requestID: id, into: &connections[index].output)
        inFlight += 1
    }

    /// Fills a connection of a closed loop.
    private mutating func refill(_ index: Int, at now: UInt64) throws(LoadError) {
        while now < windowEnd, connections[index].hasRoom { begin(index, intended: nil) }
        try flush(index)
    }

    private mutating func flush(_ index: Int) throws(LoadError) {
        guard !connections[index].isLost else { return }
        let code = connections[index].flush()
        guard code == 0 else {
            lose(index, systemText(code))
            return
        }
        let waits = connections[index].hasOutput
        if waits != connections[index].waitsToWrite {
            connections[index].waitsToWrite = waits
            try poller.setWriting(waits, connections[index].socket, token: index)
        }
    }

    // MARK: Receiving

    private mutating func receive(_ index: Int) throws(LoadError) {
        repeat {
            try receiveOnce(index)
        } while connections[index].hasInput && !connections[index].isLost
    }

    private mutating func receiveOnce(_ index: Int) throws(LoadError) {
        guard !connections[index].isLost else { return }
        let count: Int
        do {
            count = try connections[index].receive()
        } catch {
            lose(index, error.description)
            return
        }
        let now = monotonicNanoseconds()
        guard count > 0 else {
            if count == -Int(EAGAIN) || count == -Int(EWOULDBLOCK) { return }
            lose(index, count == 0 ? "the server closed the connection" : systemText(Int32(-count)))
            return
        }
        do {
            var byteCount = 0
            while let answer = try connections[index].nextAnswer(byteCount: &byteCount) {
                record(answer, index, now)
            }
            if now >= windowStart, now < windowEnd { tally.answerBytes += byteCount }
        } catch {
            lose(index, error.description)
            return
        }
        if plan.pace == .closed {
            try refill(index, at: now)
        } else {
            queue(index)
            if nextDue <= now { try sendDue(now) }
            // Credit for streams.
            if connections[index].hasOutput { try flush(index) }
        }
    }

    private mutating func record(_ answer: Answer, _ index: Int, _ now: UInt64) {
        if answer.isGoodbye {
            connections[index].accepts = false
            tally.firstLoss =
                tally.firstLoss ?? "the server said goodbye: \(answer.failure ?? "ok")"
            return
        }
        if answer.streamBytes > 0, !countChunk(answer, index, now) { return }
        guard let request = connections[index].finish(answer) else {
            tally.strayAnswers += 1
            return
        }
        inFlight -= 1
        if let failure = answer.failure {
            countError(failure, request)
            return
        }
        let operation = request.operation
        if now >= windowStart, now < windowEnd { tally.operations[operation].answeredInWindow += 1 }
        guard request.intended >= windowStart else { return }
        tally.operations[operation].latency.record(now &- request.intended)
        tally.operations[operation].service.record(now &- request.sent)
        if let found = answer.found, plan.mix.operations[operation] == .lookup {
            tally.operations[operation].keysChecked += plan.idsPerRequest
            tally.operations[operation].keysFound += found
        }
    }

    /// - Returns: whether it was the last of its stream, or of none.
    private mutating func countChunk(_ answer: Answer, _ index: Int, _ now: UInt64) -> Bool {
        guard let id = answer.requestID, let request = connections[index].request(id) else {
            return true
        }
        if now >= windowStart, now < windowEnd, answer.failure == nil {
            tally.operations[request.operation].chunks += 1
            tally.operations[request.operation].streamBytes += answer.streamBytes
        }
        if answer.hasMore {
            requests.write(
                credit: answer.streamBytes, requestID: id, into: &connections[index].output)
        }
        return !answer.hasMore
    }

    private mutating func countError(_ name: String, _ request: OpenRequest) {
        if request.intended >= windowStart {
            tally.operations[request.operation].errors[name, default: 0] += 1
        } else {
            tally.warmUpErrors += 1
        }
    }

    /// Gives a connection up; its requests under way have failed.
    private mutating func lose(_ index: Int, _ reason: String) {
        connections[index].isLost = true
        connections[index].accepts = false
        live -= 1
        poller.remove(connections[index].socket)
        tally.lostConnections += 1
        tally.firstLoss = tally.firstLoss ?? reason
        for request in connections[index].requests where request.isOpen {
            inFlight -= 1
            countError("connectionLost", request)
        }
    }

    /// Enters what was never answered with the time that it has waited so far: a bound from below is
    /// nearer to the truth than leaving it out.
    private mutating func countMissing(at now: UInt64) {
        for connection in connections where !connection.isLost {
            for request in connection.requests where request.isOpen {
                // What never left because the system took no more was still meant to be sent.
                let intended = request.intended == .max ? now : request.intended
                guard intended >= windowStart else { continue }
                tally.operations[request.operation].unanswered += 1
                tally.operations[request.operation].latency.record(now - intended)
            }
        }
        while nextDue != .max {
            if nextDue >= windowStart {
                let operation = requests.drawOperation()
                tally.operations[operation].unsent += 1
                // Where all connections were lost, requests are left whose time has not come.
                if nextDue <= now { tally.operations[operation].latency.record(now - nextDue) }
            }
            advance()
        }
    }
}

/// A queue of at most `capacity` numbers.
struct IndexQueue {
    private var places: [Int]
    private var head = 0
    private var count = 0

    init(capacity: Int) { places = [Int](repeating: 0, count: max(1, capacity)) }

    var isEmpty: Bool { count == 0 }
    var first: Int? { count == 0 ? nil : places[head] }

    /// - Precondition: there is room.
    mutating func append(_ index: Int) {
        precondition(count < places.count)
        var place = head + count
        if place >= places.count { place -= places.count }
        places[place] = index
        count += 1
    }

    mutating func popFirst() -> Int? {
        guard count > 0 else { return nil }
        let index = places[head]
        head = head + 1 == places.count ? 0 : head + 1
        count -= 1
        return index
    }
}
