import PatronClient
import Server
import Testing
import Wire

/// Labels and administration by way of a pool.
@Suite struct PoolOperationTests {
    private func options(_ server: ServedWorkspace) -> PatronPoolOptions {
        poolOptions([server.server.port])
    }

    // MARK: Labels

    @Test func labelledCallsAreAnsweredFromTheirGeneration() async throws {
        try await withWorkspace { _, server in
            try await withPool(options(server)) { pool in
                let models = try await pool.setLabel("canary", to: 2)
                #expect(models.map(\.label) == ["stable", "canary"])
                let canary = try pool.labelled("canary")
                #expect(canary.label == "canary" && pool.label == nil)
                let asked: [(PatronPool, Int)] = [(canary, 2), (pool, 1)]
                for (pool, generation) in asked {
                    let own = UInt64(generation)
                    let found = try await pool.lookup([.integer(id(4))], columns: [10])
                    #expect(found.snapshot.generation == own)
                    #expect(found.columns[0].number(0) == revenue(row: 4, generation: generation))
                    #expect(try await pool.describe().snapshot.generation == own)
                    #expect(try await pool.segments().snapshot.generation == own)
                    let top = try await pool.topProducts(customer: .integer(id(4)))
                    #expect(top.snapshot.generation == own)
                    let rule = "revenue >= 2"
                    #expect(try await pool.count(rule: rule) == (own == 2 ? 1_000 : 0))
                    var rows = 0
                    for try await chunk in pool.customers(columns: [10]) {
                        #expect(chunk.snapshot.generation == own)
                        rows += chunk.ids.count
                    }
                    #expect(rows == 1_000)
                    // PING takes none and gets none.
                    #expect(try await pool.ping() == 1)
                }
                // Views may be made of views; the last label counts.
                let stable = try canary.labelled("stable")
                #expect(try await stable.lookup([.integer(id(4))]).snapshot.generation == 1)
                let unknown = try pool.labelled("canari")
                let refused = try await refusal { try await unknown.lookup([.integer(id(4))]) }
                #expect(refused?.status == Status.unknownLabel.rawValue)
                for label in ["", String(repeating: "x", count: 65)] {
                    #expect(throws: PatronError.self) { try pool.labelled(label) }
                }
            }
        }
    }

    /// Joined look-ups of several labels go into frames of their own.
    @Test func joinedLookupsKeepTheirLabels() async throws {
        try await withWorkspace { _, server in
            try await withPool(options(server)) { pool in
                try await pool.setLabel("canary", to: 2)
                let canary = try pool.labelled("canary")
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for row in 0..<400 {
                        for (pool, generation) in [(pool, 1), (canary, 2)] {
                            tasks.addTask {
                                let found = try await pool.lookupOne(
                                    .integer(id(row)), columns: [10])
                                #expect(found.snapshot.generation == UInt64(generation))
                                #expect(
                                    found.number(10) == revenue(row: row, generation: generation))
                            }
                        }
                    }
                    try await tasks.waitForAll()
                }
            }
        }
    }

    @Test func everyFrameOfALabelledCallHasTheLabel() async throws {
        let server = try await ScriptedServer.start { asked in
            switch (asked.request, asked.index) {
            case (.lookup, 0): [.close]
            case (.lookup, _): [.answer(twice(asked.request))]
            case (.scan, _): [.answer(chunk([1, 2], hasMore: false))]
            default: []
            }
        }
        try await withPool(poolOptions([server.port])) { pool in
            let canary = try pool.labelled("canary")
            _ = try await canary.lookup([.integer(1)])
            _ = try await canary.lookupOne(.integer(1))
            for try await _ in canary.customers() {}
            _ = try await pool.lookup([.integer(1)])
        }
        #expect(server.asked(.lookup).map(\.label) == ["canary", "canary", "canary", nil])
        #expect(server.asked(.scan).map(\.label) == ["canary"])
        await server.stop()
    }

    // MARK: Administration

    @Test func aPoolOfOneServerAdministersIt() async throws {
        try await withWorkspace { workspace, server in
            try await withPool(options(server)) { pool in
                let found = try await pool.storedGenerations()
                #expect(
                    found.map(\.generation) == [1, 2] && found.map(\.isServed) == [true, false])
                let published = try await pool.publish()
                #expect(published.snapshot.generation == 2 && published.previousGeneration == 1)
                #expect(try workspace.manifest().currentGeneration == 2)
                #expect(try await pool.lookup([.integer(id(4))]).snapshot.generation == 2)
                let models = try await pool.servedModels()
                #expect(models.map(\.generation) == [2])
                try await pool.setLabel("before", to: 1)
                let shadow = try await pool.startShadow(
                    .label("before"), partsPerMillion: 1_000_000)
                #expect(shadow.state == .running && shadow.candidate.generation == 1)
                #expect(try await pool.shadowReport().state == .running)
                #expect(try await pool.stopShadow().state == .stopped)
                #expect(try await pool.removeLabel("before").map(\.label) == ["stable"])
                let stats = try await pool.stats()
                #expect(
                    stats.contains { $0.group == "PUBLISH" && $0.name == "ok" && $0.value == 1 })
                #expect(try await pool.drain() > .zero)
            }
        }
    }

    @Test func whatIsOfOneServerIsNotAskedOfSeveral() async throws {
        let server = try await ScriptedServer.start { _ in [] }
        try await withPool(poolOptions([server.port, server.port])) { pool in
            let asks: [@Sendable () async throws -> Void] = [
                { _ = try await pool.stats() }, { _ = try await pool.drain() },
                { _ = try await pool.shadowReport() },
                { _ = try await pool.startShadow(.generation(1), partsPerMillion: 1) },
            ]
            for ask in asks {
                let error = await #expect(throws: PatronError.self) { try await ask() }
                guard case .invalidOption(let name, _)? = error else {
                    Issue.record("\(String(describing: error))")
                    continue
                }
                #expect(name.hasSuffix("of a pool of 2 servers"))
            }
        }
        #expect(server.asked.isEmpty)
        await server.stop()
    }

    @Test func progressIsTold() async throws {
        let stamp = SnapshotStamp(generation: 5, asOfDay: 20_000, currency: "EUR", models: [])
        let answer = PublishResponse(
            stamp: stamp, previousGeneration: 4, verifiedByteCount: 300)
        let server = try await ScriptedServer.start { _ in
            (1...3).map {
                .answer(
                    .progress(ProgressMessage(done: UInt64($0) * 100, total: 300, unit: .bytes)))
            } + [.answer(.publish(answer))]
        }
        try await withPool(poolOptions([server.port])) { pool in
            let told = Shared<[RequestProgress]>([])
            let result = try await pool.publish { told.value.append($0) }
            #expect(result.snapshot.generation == 5 && result.verifiedByteCount == 300)
            #expect(told.value.map(\.done) == [100, 200, 300])
            #expect(told.value.allSatisfy { $0.total == 300 })
        }
        await server.stop()
    }

    /// Another operator's change is not undone by asking again.
    @Test func whatWasOvertakenIsNotRepeated() async throws {
        let server = try await ScriptedServer.start { asked in
            [.answer(refused(asked.request.opcode, .snapshotChanged))]
        }
        try await withPool(poolOptions([server.port])) { pool in
            let asks: [@Sendable () async throws -> Void] = [
                { _ = try await pool.publish(generation: 5) },
                { _ = try await pool.setLabel("canary", to: 5) },
            ]
            for ask in asks {
                let found = try await refusal { try await ask() }
                #expect(found?.name == "snapshotChanged")
            }
        }
        #expect(server.asked.map(\.request.opcode) == [.publish, .models])
        await server.stop()
    }

    /// Publishing what is published changes nothing; a label that is gone cannot be removed again.
    @Test func onlyWhatIsHarmlessIsRepeated() async throws {
        let stamp = SnapshotStamp(generation: 5, asOfDay: 20_000, currency: "EUR", models: [])
        let server = try await ScriptedServer.start { asked in
            if asked.index == 0 { return [.close] }
            switch asked.request {
            case .publish:
                return [
                    .answer(
                        .publish(
                            PublishResponse(
                                stamp: stamp, previousGeneration: 5, verifiedByteCount: 1)))
                ]
            default: return [.answer(.drain(DrainResponse(graceMilliseconds: 1)))]
            }
        }
        try await withPool(poolOptions([server.port])) { pool in
            let again = try await pool.publish(generation: 5)
            #expect(again.previousGeneration == 5)
            let asks: [@Sendable () async throws -> Void] = [
                { _ = try await pool.removeLabel("canary") }, { _ = try await pool.drain() },
                { _ = try await pool.startShadow(.generation(1), partsPerMillion: 1) },
            ]
            for ask in asks {
                let error = await #expect(throws: PatronError.self) { try await ask() }
                guard case .connectionClosed? = error else {
                    Issue.record("\(String(describing: error))")
                    continue
                }
            }
        }
        #expect(server.asked(.publish).count == 2)
        for opcode in [Opcode.models, .drain, .shadow] {
            #expect(server.asked(opcode).count == 1)
        }
        await server.stop()
    }
}
