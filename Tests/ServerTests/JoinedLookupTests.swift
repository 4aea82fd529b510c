import PatronClient
import Testing
import Wire

/// Look-ups of one customer that become frames of many.
@Suite struct JoinedLookupTests {
    private static func ids(_ asked: ScriptedServer.Asked) -> [Int64] {
        guard case .lookup(let lookup) = asked.request, case .integers(let ids) = lookup.ids else {
            return []
        }
        return ids
    }

    /// 2,000 calls that come while frames are under way share the next ones.
    @Test(arguments: [(1_024, 1), (1_024, 2), (100, 2)])
    func whatGathersSharesFrames(most: Int, frames: Int) async throws {
        let isFree = Shared(false)
        let server = try await ScriptedServer.start {
            isFree.value ? [.answer(twice($0.request))] : [.held(twice($0.request))]
        }
        let options = poolOptions([server.port]) {
            ($0.joinedLookups, $0.joinedFrames) = (most, frames)
        }
        var first: [Int] = []
        try await withPool(options) { pool in
            first = try await withThrowingTaskGroup(of: Void.self) { tasks in
                for number in Int64(0)..<2_000 {
                    tasks.addTask {
                        // Every seventh is unknown: its own row says so.
                        let id = number % 7 == 0 ? -number - 1 : number
                        let row = try await pool.lookupOne(.integer(id), columns: [10])
                        #expect(row.id == .integer(id) && row.columns == [10])
                        #expect(row.status == (id < 0 ? .unknownCustomer : .ok))
                        #expect(row.number(10) == (id < 0 ? nil : Double(id) * 2))
                        #expect(row.snapshot.generation == 3)
                    }
                }
                // All that are in no frame have gathered.
                try await wait {
                    pool.waitingLookups + server.asked.reduce(0) { $0 + Self.ids($1).count }
                        == 2_000
                }
                let first = server.asked.map { Self.ids($0).count }
                isFree.value = true
                server.release()
                try await tasks.waitForAll()
                return first
            }
        }
        #expect((1...frames).contains(first.count), "\(first)")
        let sizes = server.asked.map { Self.ids($0).count }
        #expect(sizes.reduce(0, +) == 2_000 && sizes.allSatisfy { $0 <= most }, "\(sizes)")
        let rest = 2_000 - first.reduce(0, +)
        #expect(sizes.count == first.count + (rest + most - 1) / most, "\(sizes)")
        #expect(Set(server.asked.flatMap(Self.ids)).count == 2_000)
        await server.stop()
    }

    @Test func aLoneCallWaitsForNothing() async throws {
        let server = try await ScriptedServer.start { [.answer(twice($0.request))] }
        try await withPool(poolOptions([server.port])) { pool in
            for number in Int64(1)...20 {
                let row = try await pool.lookupOne(.integer(number))
                #expect(row.number(10) == Double(number) * 2)
            }
        }
        #expect(server.asked.map { Self.ids($0) } == (1...20).map { [$0] })
        await server.stop()
    }

    @Test func onlyTheSameColumnsAndKindsAreJoined() async throws {
        let contents = sampleContents()
        try await withServer(testConfiguration(), contents) { server in
            try await withPool(poolOptions([server.port])) { pool in
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for row in 0..<300 {
                        tasks.addTask {
                            let columns: [UInt16] = row % 2 == 0 ? [10] : [13, 10]
                            let found = try await pool.lookupOne(
                                .integer(id(row)), columns: columns)
                            #expect(found.columns == columns)
                            #expect(found.number(10) == revenue(row: row, generation: 1))
                            #expect(found.status == (row % 10 == 9 ? .tooLittleHistory : .ok))
                        }
                        tasks.addTask {
                            // Ids of the other kind fail, and only they.
                            let error = await #expect(throws: PatronError.self) {
                                try await pool.lookupOne(.text("C\(row)"), columns: [10])
                            }
                            guard case .refused(let refusal)? = error else {
                                Issue.record("\(String(describing: error))")
                                return
                            }
                            #expect(refusal.name == "wrongIDKind")
                        }
                    }
                    try await tasks.waitForAll()
                }
            }
        }
    }

    @Test func idsThatWouldFailOthersAreRefusedHere() async throws {
        let server = try await ScriptedServer.start { [.answer(twice($0.request))] }
        try await withPool(poolOptions([server.port])) { pool in
            let error = await #expect(throws: PatronError.self) {
                try await pool.lookupOne(.text(String(repeating: "x", count: 1_025)))
            }
            guard case .invalidOption("the id", _)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
        #expect(server.asked.isEmpty)
        await server.stop()
    }

    /// A server that takes fewer ids than are joined is asked for them in parts.
    @Test func aFrameThatIsTooLargeIsHalved() async throws {
        let server = try await ScriptedServer.start { asked in
            Self.ids(asked).count > 10
                ? [.later(.milliseconds(20), refused(.lookup, .tooManyItems))]
                : [.later(.milliseconds(20), twice(asked.request))]
        }
        try await withPool(poolOptions([server.port])) { pool in
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for number in Int64(0)..<200 {
                    tasks.addTask {
                        let row = try await pool.lookupOne(.integer(number))
                        #expect(row.number(10) == Double(number) * 2)
                    }
                }
                try await tasks.waitForAll()
            }
        }
        await server.stop()
    }

    @Test func aFailureIsEverybodysAndRepeatedOnce() async throws {
        let server = try await ScriptedServer.start { asked in
            asked.index == 0
                ? [.later(.milliseconds(50), refused(.lookup, .snapshotChanged))]
                : asked.index == 1
                    ? [.answer(twice(asked.request))] : [.answer(refused(.lookup, .internalError))]
        }
        try await withPool(poolOptions([server.port]) { $0.joinedFrames = 1 }) { pool in
            let row = try await pool.lookupOne(.integer(1))
            #expect(row.number(10) == 2)
            await #expect(throws: PatronError.self) { try await pool.lookupOne(.integer(1)) }
        }
        #expect(server.asked.count == 3)
        await server.stop()
    }

    // MARK: Callers that leave

    @Test func aCancelledCallerLeavesTheOthersTheirRows() async throws {
        let server = try await ScriptedServer.start { [.held(twice($0.request))] }
        try await withPool(poolOptions([server.port]) { $0.joinedFrames = 1 }) { pool in
            // The first is alone on its way, the others wait for it together.
            let first = Task { try await pool.lookupOne(.integer(1)) }
            try await server.waitFor(1, .lookup)
            let others = (2...6).map { number in
                Task { try await pool.lookupOne(.integer(Int64(number))) }
            }
            try await wait { pool.waitingLookups == 5 }
            // One that waits, and then the one that is on its way.
            others[0].cancel()
            await #expect(throws: PatronError.cancelled) { try await others[0].value }
            first.cancel()
            await #expect(throws: PatronError.cancelled) { try await first.value }
            // Nobody waits for the first frame any more.
            try await server.waitFor(1, .cancel)
            try await server.waitFor(2, .lookup)
            server.release()
            for (place, other) in others.enumerated().dropFirst() {
                #expect(try await other.value.number(10) == Double(place + 2) * 2)
            }
            #expect(server.asked(.cancel).count == 1)
            #expect(server.asked(.lookup).map { Self.ids($0).sorted() } == [[1], [3, 4, 5, 6]])
        }
        await server.stop()
    }

    @Test func oneOfAFramesCallersMayLeave() async throws {
        let server = try await ScriptedServer.start { [.held(twice($0.request))] }
        try await withPool(poolOptions([server.port]) { $0.joinedFrames = 1 }) { pool in
            let first = Task { try await pool.lookupOne(.integer(1)) }
            try await server.waitFor(1, .lookup)
            let others = (2...6).map { number in
                Task { try await pool.lookupOne(.integer(Int64(number))) }
            }
            try await wait { pool.waitingLookups == 5 }
            server.release()
            try await server.waitFor(2, .lookup)
            others[0].cancel()
            await #expect(throws: PatronError.cancelled) { try await others[0].value }
            server.release()
            _ = try await first.value
            for (place, other) in others.enumerated().dropFirst() {
                #expect(try await other.value.number(10) == Double(place + 2) * 2)
            }
        }
        #expect(server.asked(.lookup).map { Self.ids($0).count } == [1, 5])
        #expect(server.asked(.cancel).isEmpty)
        await server.stop()
    }

    /// A frame has the latest deadline of its callers; each ends at its own.
    @Test func deadlinesOfOneFrameDiffer() async throws {
        let server = try await ScriptedServer.start { [.held(twice($0.request))] }
        try await withPool(poolOptions([server.port]) { $0.joinedFrames = 1 }) { pool in
            let first = Task { try await pool.lookupOne(.integer(1)) }
            try await server.waitFor(1, .lookup)
            let patient = Task { try await pool.lookupOne(.integer(3), deadline: .seconds(90)) }
            try await wait { pool.waitingLookups == 1 }
            let isGone = Shared(false)
            let hasty = Task {
                defer { isGone.value = true }
                return try await pool.lookupOne(.integer(2), deadline: .seconds(2))
            }
            try await wait { pool.waitingLookups == 2 || isGone.value }
            server.release()
            try await server.waitFor(2, .lookup)
            await #expect(throws: PatronError.deadlinePassed) { try await hasty.value }
            server.release()
            #expect(try await patient.value.number(10) == 6)
            _ = try await first.value
        }
        let second = try #require(server.asked(.lookup).dropFirst().first)
        // On a machine that is too busy, the hasty one was gone before the frame left.
        let ids = Self.ids(second).sorted()
        #expect(ids == [2, 3] || ids == [3])
        #expect((30_000...90_000).contains(second.deadlineMilliseconds))
        #expect(server.asked(.cancel).isEmpty)
        await server.stop()
    }
}
