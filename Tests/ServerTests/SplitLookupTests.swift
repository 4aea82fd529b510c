import PatronClient
import Testing
import Wire

/// Look-ups of more ids than a request may have.
@Suite struct SplitLookupTests {
    private static func ids(_ asked: ScriptedServer.Asked) -> [Int64] {
        guard case .lookup(let lookup) = asked.request, case .integers(let ids) = lookup.ids else {
            return []
        }
        return ids
    }

    private func wanted(_ count: Int) -> [PatronID] { (0..<count).map { .integer(Int64($0)) } }

    /// A server that takes a hundred ids at once.
    private func start(_ script: @escaping ScriptedServer.Script) async throws -> ScriptedServer {
        try await ScriptedServer.start(lookupIDs: 100) { asked in
            if case .ping(let ping) = asked.request {
                return [.answer(.ping(PingResponse(token: ping.token, generation: 3)))]
            }
            return script(asked)
        }
    }

    private func check(_ found: LookupResult, _ count: Int) {
        #expect(found.status.count == count)
        let isRight = (0..<count).allSatisfy { found.columns[0].number($0) == Double($0) * 2 }
        #expect(isRight)
    }

    @Test(arguments: [false, true])
    func anyNumberOfIDsIsAnsweredAsByOneRequest(usesPool: Bool) async throws {
        try await withServer { server in
            let connection = try await server.connect()
            let pool = try PatronPool(poolOptions([server.port]))
            let asked: any PatronOperations = usesPool ? pool : connection
            // An id in a thousand is of nobody; the last part is a short one.
            let rows = (0..<150_001).map { $0 * 7 % 1_013 }
            let ids = rows.map { PatronID.integer($0 < 1_000 ? id($0) : 5) }
            let found = try await asked.lookup(ids, columns: [10, 2, 13])
            #expect(found.columns.map(\.id) == [10, 2, 13])
            #expect(found.snapshot.generation == 1 && found.status.count == ids.count)
            var wrong = 0
            for (place, row) in rows.enumerated() {
                let isKnown = row < 1_000
                let status: CustomerStatus =
                    isKnown ? (row % 10 == 9 ? .tooLittleHistory : .ok) : .unknownCustomer
                let revenue = isKnown ? revenue(row: row, generation: 1) : nil
                let alive = isKnown && row % 10 != 9 ? Double(row) / 1_024 : nil
                if found.status[place] != status || found.columns[0].number(place) != revenue
                    || found.columns[1].number(place) != alive
                {
                    wrong += 1
                }
            }
            #expect(wrong == 0)
            await pool.close()
            await connection.close()
        }
    }

    /// A server that takes fewer ids is never asked for more, once it has said so.
    @Test func whatTheServerTakesIsKnownAfterHello() async throws {
        let server = try await ScriptedServer.start(lookupIDs: 1_000) { asked in
            Self.ids(asked).count > 1_000
                ? [.answer(refused(.lookup, .tooManyItems))] : [.answer(twice(asked.request))]
        }
        try await withPool(poolOptions([server.port])) { pool in
            #expect(pool.maximumLookupIDs == 65_536)
            check(try await pool.lookup(wanted(2_500)), 2_500)
            #expect(pool.maximumLookupIDs == 1_000)
            let before = server.asked.count
            check(try await pool.lookup(wanted(2_500)), 2_500)
            let sizes = server.asked.dropFirst(before).map { Self.ids($0).count }
            #expect(sizes.sorted() == [500, 1_000, 1_000])
        }
        await server.stop()
    }

    @Test(arguments: [Status.tooManyItems, .answerTooLarge])
    func partsThatAreTooLargeAreHalved(status: Status) async throws {
        let server = try await ScriptedServer.start { asked in
            Self.ids(asked).count > 40
                ? [.answer(refused(.lookup, status))] : [.answer(twice(asked.request))]
        }
        try await withPool(poolOptions([server.port])) { pool in
            check(try await pool.lookup(wanted(777)), 777)
            // One id cannot be halved.
            #expect(try await pool.lookup([.integer(1)]).columns[0].number(0) == 2)
        }
        await server.stop()
        let strict = try await ScriptedServer.start { _ in [.answer(refused(.lookup, status))] }
        try await withPool(poolOptions([strict.port])) { pool in
            let error = await #expect(throws: PatronError.self) {
                try await pool.lookup(wanted(3))
            }
            guard case .refused(let refusal)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(refusal.status == status.rawValue)
        }
        await strict.stop()
    }

    /// The frame's limit is found before anything is sent.
    @Test func textsThatFillFramesAreAskedForInParts() async throws {
        let configuration = testConfiguration { $0.limits.wire.frameBytes = 1 << 16 }
        try await withServer(configuration, sampleContents(textIDs: true)) { server in
            let connection = try await server.connect()
            let ids = (0..<60_000).map { PatronID.text("C\(10_000 + $0 % 1_000)") }
            let found = try await connection.lookup(ids, columns: [10])
            #expect(found.status.count == 60_000)
            let isRight = (0..<60_000).allSatisfy {
                found.columns[0].number($0) == revenue(row: $0 % 1_000, generation: 1)
            }
            #expect(isRight)
            await connection.close()
        }
    }

    // MARK: One snapshot

    @Test func partsOfAnOlderGenerationAreAskedForAgain() async throws {
        let server = try await start { asked in
            [.answer(twice(asked.request, generation: asked.index < 2 ? 3 : 4))]
        }
        try await withPool(poolOptions([server.port])) { pool in
            try await pool.connect()
            let found = try await pool.lookup(wanted(400))
            #expect(found.snapshot.generation == 4)
            check(found, 400)
        }
        #expect(server.asked(.lookup).count == 6)
        await server.stop()
    }

    @Test func generationsThatNeverAgreeAreTold() async throws {
        let server = try await start { asked in
            [.answer(twice(asked.request, generation: UInt64(asked.index + 3)))]
        }
        try await withPool(poolOptions([server.port])) { pool in
            try await pool.connect()
            let error = await #expect(throws: PatronError.self) {
                try await pool.lookup(wanted(200))
            }
            guard case .refused(let refusal)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(refusal.name == "snapshotChanged" && refusal.hint == "ask again")
        }
        await server.stop()
    }

    // MARK: Failing as a whole

    @Test func oneFailureEndsAll() async throws {
        let server = try await start { asked in
            Self.ids(asked).contains(150)
                ? [.later(.milliseconds(100), refused(.lookup, .internalError))] : []
        }
        try await withPool(poolOptions([server.port])) { pool in
            try await pool.connect()
            let error = await #expect(throws: PatronError.self) {
                try await pool.lookup(wanted(1_000))
            }
            guard case .refused(let refusal)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(refusal.name == "internalError")
            // Those under way are ended at the server; the others are never sent.
            try await server.waitFor(3, .cancel)
            #expect(server.asked(.lookup).count == 4)
        }
        await server.stop()
    }

    @Test func allPartsHaveOneDeadline() async throws {
        let server = try await start { asked in
            asked.index < 8 ? [.later(.milliseconds(200), twice(asked.request))] : []
        }
        try await withPool(poolOptions([server.port])) { pool in
            try await pool.connect()
            let start = ContinuousClock.now
            await #expect(throws: PatronError.deadlinePassed) {
                try await pool.lookup(wanted(1_200), deadline: .seconds(5))
            }
            #expect(ContinuousClock.now - start >= .seconds(5))
        }
        let told = server.asked(.lookup).map(\.deadlineMilliseconds)
        // All twelve, unless the machine is very busy.
        try #require(told.count > 4)
        #expect(told.allSatisfy { $0 <= 5_000 }, "\(told)")
        // What is asked later, after an answer, has less time.
        #expect((told.min() ?? 0) + 150 <= told.max() ?? 0, "\(told)")
        await server.stop()
    }

    @Test func mixedIDsAreFoundInAnyPart() async throws {
        let server = try await start { [.answer(twice($0.request))] }
        try await withPool(poolOptions([server.port])) { pool in
            try await pool.connect()
            await #expect(throws: PatronError.mixedIDs) {
                try await pool.lookup(wanted(300) + [.text("a")])
            }
        }
        #expect(server.asked(.lookup).isEmpty)
        await server.stop()
    }

    @Test func anAnswerOfOtherRowsIsNoAnswer() async throws {
        let server = try await ScriptedServer.start { asked in
            guard case .lookup(var lookup) = asked.request else { return [] }
            lookup.ids = .integers([1])
            return [.answer(twice(.lookup(lookup)))]
        }
        try await withPool(poolOptions([server.port]) { $0.retries = .none }) { pool in
            let error = await #expect(throws: PatronError.self) {
                try await pool.lookup(wanted(2))
            }
            guard case .malformedAnswer? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
        await server.stop()
    }
}

extension PatronPool {
    /// Has a connection made, so that HELLO's limits are known.
    fileprivate func connect() async throws {
        try await ping()
        #expect(maximumLookupIDs == 100)
    }
}
