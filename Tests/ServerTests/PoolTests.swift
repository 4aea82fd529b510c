import Foundation
import NIOCore
import PatronClient
import Testing
import Wire

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

func poolOptions(
    _ ports: [Int], _ change: (inout PatronPoolOptions) -> Void = { _ in }
) -> PatronPoolOptions {
    var options = PatronPoolOptions(
        servers: ports.map { PatronAddress(host: "127.0.0.1", port: $0) })
    options.deadline = .seconds(20)
    change(&options)
    return options
}

/// A pool for tests; it is closed when `body` returns.
func withPool(
    _ options: PatronPoolOptions, _ body: (PatronPool) async throws -> Void
) async throws {
    let pool = try PatronPool(options)
    do {
        try await body(pool)
    } catch {
        await pool.close()
        throw error
    }
    await pool.close()
}

/// A port where nobody listens while this lives, not even another test. Who asks for this port by its
/// number, and says that addresses may be used again, gets it.
final class DeadPort {
    let number: Int
    private let descriptor: Int32

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.descriptor = descriptor
        var one: Int32 = 1
        setsockopt(
            descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                let isBound = bind(descriptor, $0, length) == 0
                return isBound ? getsockname(descriptor, $0, &length) : -1
            }
        }
        number = Int(UInt16(bigEndian: address.sin_port))
        guard result == 0 else { throw POSIXError(.EADDRNOTAVAIL) }
    }

    deinit { close(descriptor) }
}

/// What is asked by an operation that does not only read: nothing like it exists in this version, and
/// a scripted server takes anything.
private func write(key: [UInt8]? = nil) -> PatronOperation<Bool> {
    PatronOperation(.hello(HelloRequest(clientName: "write")), idempotencyKey: key) {
        (response) throws(PatronError) -> Bool? in
        if case .hello = response { true } else { nil }
    }
}

private let written = Response.hello(HelloResponse(serverName: "script"))

/// Connections of a pool: several servers, going away, repetition, signs of life, the end.
@Suite struct PoolTests {
    // MARK: Going away

    /// Two servers under load, one of which drains: every call is answered right.
    @Test func aDrainFailsNoCall() async throws {
        try await withServer(testConfiguration { $0.drainDelay = .milliseconds(300) }) { staying in
            try await withServer(testConfiguration { $0.drainDelay = .milliseconds(300) }) {
                going in
                try await withPool(poolOptions([going.port, staying.port])) { pool in
                    let isOver = Shared(false)
                    let answered = (0..<8).map { _ in Shared(0) }
                    func wait(_ more: Int) async throws {
                        let before = answered.map(\.value)
                        try await ServerTests.wait {
                            zip(answered, before).allSatisfy { $0.value >= $1 + more }
                        }
                    }
                    try await withThrowingTaskGroup(of: Void.self) { tasks in
                        for task in 0..<8 {
                            let own = answered[task]
                            tasks.addTask {
                                while !isOver.value {
                                    let row = (own.value * 31 + task) % 1_000
                                    let answer = try await pool.lookup(
                                        [.integer(id(row))], columns: [10])
                                    #expect(
                                        answer.columns[0].number(0)
                                            == revenue(row: row, generation: 1))
                                    let one = try await pool.lookupOne(
                                        .integer(id(row)), columns: [10])
                                    #expect(one.number(10) == revenue(row: row, generation: 1))
                                    own.value += 1
                                }
                            }
                        }
                        try await wait(10)
                        await going.shutDown()
                        // Longer than the drain takes.
                        try await Task.sleep(for: .milliseconds(700))
                        try await wait(10)
                        isOver.value = true
                        try await tasks.waitForAll()
                    }
                    #expect(answered.allSatisfy { $0.value >= 20 })
                    #expect(pool.connectionCount >= 1)
                }
            }
        }
    }

    @Test func goAwaySendsNewRequestsElsewhereAndWaitsForOpenOnes() async throws {
        let server = try await ScriptedServer.start { asked in
            switch (asked.connection, asked.index) {
            case (0, 0): [.held(twice(asked.request)), .goAway(.draining)]
            default: [.answer(twice(asked.request))]
            }
        }
        try await withPool(poolOptions([server.port]) { $0.connectionsPerServer = 1 }) { pool in
            async let first = pool.lookup([.integer(4)])
            try await server.waitFor(1, .lookup)
            // Not earlier than GOAWAY has come.
            try await wait { pool.connectionCount == 0 }
            for number in 0..<5 {
                let answer = try await pool.lookup([.integer(Int64(number))])
                #expect(answer.columns[0].number(0) == Double(number) * 2)
            }
            server.release()
            #expect(try await first.columns[0].number(0) == 8)
        }
        #expect(server.asked.map(\.connection) == [0, 1, 1, 1, 1, 1])
        await server.stop()
    }

    // MARK: Several servers

    @Test func oneOfTwoServersMayBeDown() async throws {
        let dead = try DeadPort()
        let server = try await ScriptedServer.start { [.answer(twice($0.request))] }
        try await withPool(poolOptions([dead.number, server.port]) { $0.retries = .none }) { pool in
            try await withThrowingTaskGroup(of: Double?.self) { tasks in
                for number in 0..<50 {
                    tasks.addTask {
                        try await pool.lookup([.integer(Int64(number))]).columns[0].number(0)
                    }
                }
                let values = try await tasks.reduce(into: []) { $0.append($1 ?? -1) }
                #expect(values.sorted() == (0..<50).map { Double($0) * 2 })
            }
        }
        await server.stop()
        withExtendedLifetime(dead) {}
    }

    /// One that takes connections and says nothing keeps nobody waiting for its time limit.
    @Test func oneOfTwoServersMaySayNothing() async throws {
        let mute = try await ScriptedServer.start(greets: false) { _ in [] }
        let server = try await ScriptedServer.start { [.answer(twice($0.request))] }
        let options = poolOptions([mute.port, server.port]) {
            $0.connectTimeout = .seconds(60)
            $0.deadline = .seconds(50)
        }
        try await withPool(options) { pool in
            for number in 0..<5 {
                let answer = try await pool.lookup([.integer(Int64(number))])
                #expect(answer.columns[0].number(0) == Double(number) * 2)
            }
        }
        #expect(mute.connectionCount == 1 && server.asked.count == 5)
        await mute.stop()
        await server.stop()
    }

    /// A server that is loading is not asked twice where there is another one.
    @Test func whoCannotServeNowIsLeftForAnother() async throws {
        let loading = try await ScriptedServer.start {
            [.answer(refused($0.request.opcode, .loading), meta: [.retryAfterMilliseconds(400)])]
        }
        let server = try await ScriptedServer.start { [.answer(twice($0.request))] }
        let start = ContinuousClock.now
        try await withPool(poolOptions([loading.port, server.port])) { pool in
            for number in 0..<10 {
                let answer = try await pool.lookup([.integer(Int64(number))])
                #expect(answer.columns[0].number(0) == Double(number) * 2)
            }
        }
        #expect(server.asked(.lookup).count == 10)
        // Once, and again only when its own pause was over.
        let most = 1 + Int((ContinuousClock.now - start) / .milliseconds(400))
        #expect(loading.asked.count <= most, "\(loading.asked.count) of \(most)")
        await loading.stop()
        await server.stop()
    }

    @Test func aServerThatComesBackIsFound() async throws {
        let dead = try DeadPort()
        let port = dead.number
        try await withPool(poolOptions([port]) { $0.retries.firstPause = .milliseconds(1) }) {
            pool in
            let error = await #expect(throws: PatronError.self) {
                try await pool.lookup([.integer(1)])
            }
            guard case .cannotConnect(_, port, "nobody listens there")? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            let server = try await ScriptedServer.start(port: port) { [.answer(twice($0.request))] }
            // The pause of the last failure is 2 s at most.
            let answer = try await pool.lookup([.integer(1)])
            #expect(answer.columns[0].number(0) == 2)
            await server.stop()
        }
        withExtendedLifetime(dead) {}
    }

    @Test func connectionsAreMadeWhileAllAreBusyAndNoMore() async throws {
        let server = try await ScriptedServer.start {
            [.later(.milliseconds(50), twice($0.request))]
        }
        try await withPool(poolOptions([server.port]) { $0.connectionsPerServer = 3 }) { pool in
            #expect(pool.connectionCount == 0)
            _ = try await pool.lookup([.integer(1)])
            _ = try await pool.lookup([.integer(1)])
            #expect(server.connectionCount == 1)
            for _ in 0..<3 {
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for _ in 0..<20 {
                        tasks.addTask { _ = try await pool.lookup([.integer(1)]) }
                    }
                    try await tasks.waitForAll()
                }
            }
            #expect(pool.connectionCount == 3)
        }
        #expect(server.connectionCount == 3)
        #expect(Set(server.asked.map(\.connection)).count == 3)
        await server.stop()
    }

    // MARK: Repetition

    /// Whether what is refused with a status is asked again, and after which pause.
    static let repeated: [(Status, Bool)] = [
        (.snapshotChanged, true), (.tooManyInFlight, true), (.outputFull, true),
        (.loading, true), (.draining, true), (.notInSnapshot, false), (.unknownColumn, false),
        (.unknownProduct, false), (.scopeMissing, false), (.deadlinePassed, false),
        (.unsupportedOperation, false), (.snapshotDamaged, false), (.internalError, false),
    ]

    @Test(arguments: repeated)
    func statusesAreRepeatedByTheirClass(status: Status, isRepeated: Bool) async throws {
        let isOverload = status.statusClass == .overloaded || status.statusClass == .unavailable
        let server = try await ScriptedServer.start { asked in
            let meta: [MetaItem] = isOverload ? [.retryAfterMilliseconds(60)] : []
            return asked.index < 2
                ? [.answer(refused(asked.request.opcode, status), meta: meta)]
                : [.answer(twice(asked.request))]
        }
        try await withPool(poolOptions([server.port])) { pool in
            let start = ContinuousClock.now
            do throws(PatronError) {
                let answer = try await pool.lookup([.integer(3)])
                #expect(isRepeated && answer.columns[0].number(0) == 6)
                if isOverload { #expect(ContinuousClock.now - start >= .milliseconds(120)) }
            } catch {
                guard case .refused(let refusal) = error else {
                    Issue.record("\(error)")
                    return
                }
                #expect(!isRepeated && refusal.status == status.rawValue)
            }
        }
        #expect(server.asked.count == (isRepeated ? 3 : 1))
        await server.stop()
    }

    @Test(arguments: [false, true])
    func whatChangesSomethingIsRepeatedOnlyWithAKey(hasKey: Bool) async throws {
        let key = hasKey ? [UInt8](repeating: 9, count: 16) : nil
        for isLost in [false, true] {
            let server = try await ScriptedServer.start { asked in
                if asked.index > 0 { return [.answer(written)] }
                return isLost ? [.close] : [.answer(refused(.hello, .loading))]
            }
            try await withPool(poolOptions([server.port])) { pool in
                do throws(PatronError) {
                    #expect(try await pool.perform(write(key: key)) && hasKey)
                } catch {
                    switch error {
                    case .connectionClosed: #expect(!hasKey && isLost)
                    case .refused: #expect(!hasKey && !isLost)
                    default: Issue.record("\(error)")
                    }
                }
            }
            #expect(server.asked.count == (hasKey ? 2 : 1))
            #expect(server.asked.allSatisfy { $0.hasIdempotencyKey == hasKey })
            await server.stop()
        }
    }

    @Test func aLostConnectionIsMadeAnewAndReadsAreRepeated() async throws {
        let server = try await ScriptedServer.start {
            $0.index == 0 ? [.close] : [.answer(twice($0.request))]
        }
        try await withPool(poolOptions([server.port])) { pool in
            let answer = try await pool.lookup([.integer(3)])
            #expect(answer.columns[0].number(0) == 6)
        }
        #expect(server.asked.map(\.connection) == [0, 1])
        await server.stop()
    }

    @Test func theBudgetBoundsRepetitions() async throws {
        let server = try await ScriptedServer.start {
            [
                .answer(
                    refused($0.request.opcode, .tooManyInFlight), meta: [.retryAfterMilliseconds(1)]
                )
            ]
        }
        var retries = Retries(attempts: 5, firstPause: .milliseconds(1))
        retries.budgetReserve = 7
        retries.budgetShare = 0.1
        try await withPool(poolOptions([server.port]) { $0.retries = retries }) { pool in
            for _ in 0..<100 {
                await #expect(throws: PatronError.self) { try await pool.lookup([.integer(3)]) }
            }
        }
        // 100 calls, seven repetitions for nothing, and one for every ten calls.
        let count = server.asked.count
        #expect((116...117).contains(count), "\(count)")
        await server.stop()
    }

    // MARK: Deadlines

    @Test func theDeadlineIsThatOfAllTries() async throws {
        let server = try await ScriptedServer.start {
            let pause: UInt32 = $0.index < 3 ? 100 : 60_000
            return [
                .answer(
                    refused($0.request.opcode, .loading), meta: [.retryAfterMilliseconds(pause)])
            ]
        }
        let retries = Retries(attempts: 100, firstPause: .milliseconds(1), budgetReserve: 1_000)
        try await withPool(poolOptions([server.port]) { $0.retries = retries }) { pool in
            let start = ContinuousClock.now
            let error = await #expect(throws: PatronError.self) {
                try await pool.lookup([.integer(3)], deadline: .seconds(30))
            }
            // No try is waited for that would be too late: the last refusal stands, at once.
            guard case .refused? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(ContinuousClock.now - start < .seconds(29))
        }
        let told = server.asked.map(\.deadlineMilliseconds)
        #expect(told.count == 4 && told.allSatisfy { (1...30_000).contains($0) }, "\(told)")
        for (earlier, later) in zip(told, told.dropFirst()) { #expect(later + 100 <= earlier) }
        await server.stop()
    }

    @Test func aSilentServerIsWaitedForUntilTheDeadline() async throws {
        let server = try await ScriptedServer.start {
            $0.index == 0 ? [.answer(twice($0.request))] : []
        }
        try await withPool(poolOptions([server.port])) { pool in
            _ = try await pool.lookup([.integer(3)])
            await #expect(throws: PatronError.deadlinePassed) {
                try await pool.lookup([.integer(3)], deadline: .milliseconds(200))
            }
            try await server.waitFor(1, .cancel)
        }
        #expect(server.asked.map(\.request.opcode) == [.lookup, .lookup, .cancel])
        await server.stop()
    }

    // MARK: Cancellation

    @Test(arguments: [false, true])
    func cancellingATaskCancelsItsRequest(usesPool: Bool) async throws {
        let server = try await ScriptedServer.start { _ in [] }
        try await withPool(poolOptions([server.port])) { pool in
            let connection = try await PatronConnection.connect(
                host: "127.0.0.1", port: server.port)
            let asking = Task {
                usesPool
                    ? try await pool.lookup([.integer(3)])
                    : try await connection.lookup([.integer(3)])
            }
            try await server.waitFor(1, .lookup)
            asking.cancel()
            await #expect(throws: PatronError.cancelled) { try await asking.value }
            try await server.waitFor(1, .cancel)
            #expect(server.asked(.cancel).count == 1)
            await connection.close()
        }
        await server.stop()
    }

    // MARK: Signs of life

    @Test func silentConnectionsAreAskedForASignOfLife() async throws {
        let isDeaf = Shared(false)
        let server = try await ScriptedServer.start { asked in
            if isDeaf.value { return [] }
            if case .ping(let ping) = asked.request {
                return [.answer(.ping(PingResponse(token: ping.token, generation: 3)))]
            }
            return [.answer(twice(asked.request))]
        }
        let change: (inout PatronPoolOptions) -> Void = {
            $0.pingInterval = .milliseconds(20)
            $0.connectTimeout = .seconds(2)
        }
        try await withPool(poolOptions([server.port], change)) { pool in
            _ = try await pool.lookup([.integer(3)])
            try await server.waitFor(3, .ping)
            #expect(pool.connectionCount == 1)
            isDeaf.value = true
            try await wait { pool.connectionCount == 0 }
            #expect(pool.connectionCount == 0)
            isDeaf.value = false
            let answer = try await pool.lookup([.integer(3)])
            #expect(answer.columns[0].number(0) == 6)
        }
        #expect(server.connectionCount == 2)
        await server.stop()
    }

    // MARK: The end

    @Test func aClosedPoolAnswersWhatIsOpenWithinTheGrace() async throws {
        let server = try await ScriptedServer.start {
            [.later(.milliseconds(100), twice($0.request))]
        }
        try await withPool(poolOptions([server.port])) { pool in
            async let open = pool.lookup([.integer(3)])
            try await server.waitFor(1, .lookup)
            await pool.close(grace: .seconds(10))
            #expect(try await open.columns[0].number(0) == 6)
            await #expect(throws: PatronError.clientClosed) {
                try await pool.lookup([.integer(3)])
            }
            await #expect(throws: PatronError.clientClosed) {
                try await pool.lookupOne(.integer(3))
            }
        }
        await server.stop()
    }

    @Test func runEndsWithItsTask() async throws {
        let server = try await ScriptedServer.start { [.answer(twice($0.request))] }
        let pool = try PatronPool(servers: [PatronAddress(host: "127.0.0.1", port: server.port)])
        let running = Task { await pool.run() }
        _ = try await pool.lookup([.integer(3)])
        running.cancel()
        await running.value
        await #expect(throws: PatronError.clientClosed) { try await pool.lookup([.integer(3)]) }
        #expect(pool.connectionCount == 0)
        await server.stop()
    }

    @Test func aPoolThatIsDroppedLeavesNoConnection() async throws {
        let server = try await ScriptedServer.start { [.answer(twice($0.request))] }
        func ask() async throws {
            let pool = try PatronPool(servers: [
                PatronAddress(host: "127.0.0.1", port: server.port)
            ])
            _ = try await pool.lookup([.integer(3)])
            _ = try await pool.lookupOne(.integer(3))
        }
        try await ask()
        try await wait { server.closedCount > 0 }
        #expect(server.connectionCount == 1 && server.closedCount == 1)
        await server.stop()
    }

    @Test func optionsThatCannotBeMeantAreNamed() throws {
        let cases: [(String, (inout PatronPoolOptions) -> Void)] = [
            ("servers", { $0.servers = [] }), ("servers", { $0.servers[0].port = 0 }),
            ("connectionsPerServer", { $0.connectionsPerServer = 0 }),
            ("connectTimeout", { $0.connectTimeout = .zero }),
            ("deadline", { $0.deadline = .zero }),
            ("longestReconnectPause", { $0.longestReconnectPause = .milliseconds(1) }),
            ("pingInterval", { $0.pingInterval = .zero }),
            ("joinedLookups", { $0.joinedLookups = 70_000 }),
            ("joinedFrames", { $0.joinedFrames = 0 }),
            ("retries.attempts", { $0.retries.attempts = 0 }),
            ("retries.budgetShare", { $0.retries.budgetShare = 2 }),
            ("the token", { $0.token = String(repeating: "x", count: 2_000) }),
        ]
        for (name, change) in cases {
            var options = PatronPoolOptions(servers: [PatronAddress(host: "a")])
            change(&options)
            let error = #expect(throws: PatronError.self) { _ = try PatronPool(options) }
            guard case .invalidOption(name, _)? = error else {
                Issue.record("\(name): \(String(describing: error))")
                continue
            }
        }
    }

    // MARK: Streams

    @Test func aStreamGoesOnBehindItsLastChunk() async throws {
        let server = try await ScriptedServer.start { asked in
            guard case .scan(let scan) = asked.request else { return [] }
            switch asked.index {
            case 0: return [.answer(chunk([1, 2], hasMore: true)), .close]
            case 1:
                #expect(scan.resumeToken?.words[1] == 2)
                return [.answer(chunk([3, 4], hasMore: true)), .goAway(.draining), .close]
            default:
                #expect(scan.resumeToken?.words[1] == 4)
                return [.answer(chunk([5], hasMore: false))]
            }
        }
        try await withPool(poolOptions([server.port])) { pool in
            var ids: [PatronID] = []
            for try await chunk in pool.customers() { ids += chunk.ids }
            #expect(ids == (1...5).map { .integer($0) })
        }
        #expect(server.asked(.scan).count == 3)
        await server.stop()
    }

    /// The end of a cancelled stream must not look like the end of the customers.
    @Test(arguments: [false, true])
    func aCancelledStreamDoesNotEndAsIfItWereWhole(usesPool: Bool) async throws {
        let server = try await ScriptedServer.start { _ in [.answer(chunk([1, 2], hasMore: true))] }
        try await withPool(poolOptions([server.port])) { pool in
            let connection = try await PatronConnection.connect(
                host: "127.0.0.1", port: server.port)
            let count = Shared(0)
            let reading = Task {
                let chunks = try usesPool ? pool.customers() : connection.customers()
                for try await chunk in chunks { count.value += chunk.ids.count }
            }
            try await wait { count.value > 0 }
            reading.cancel()
            await #expect(throws: PatronError.cancelled) { try await reading.value }
            try await server.waitFor(1, .cancel)
            #expect(count.value == 2 && server.asked(.cancel).count == 1)
            await connection.close()
        }
        await server.stop()
    }

    @Test func aStreamOfAReplacedSnapshotEnds() async throws {
        let server = try await ScriptedServer.start { asked in
            asked.request.opcode != .scan
                ? []
                : asked.index == 0
                    ? [.answer(chunk([1, 2], hasMore: true)), .close]
                    : [.answer(refused(.scan, .snapshotChanged))]
        }
        try await withPool(poolOptions([server.port])) { pool in
            var ids: [PatronID] = []
            let error = await #expect(throws: PatronError.self) {
                for try await chunk in pool.customers() { ids += chunk.ids }
            }
            guard case .refused(let refusal)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(refusal.name == "snapshotChanged" && ids == [.integer(1), .integer(2)])
        }
        #expect(server.asked(.scan).count == 2)
        await server.stop()
    }
}
