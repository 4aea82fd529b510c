import ByteCoding
import ColumnStore
import Engine
import Foundation
import PatronClient
import Server
import Synchronization
import TestSupport
import Testing
import Wire

/// SNAPSHOT, PUBLISH, MODELS, labels, STATS and DRAIN.
@Suite struct AdministrationTests {
    @Test func generationsOnDiskAreListed() async throws {
        try await withWorkspace { workspace, server in
            let connection = try await server.connect()
            try await connection.setLabel("canary", to: 2)
            let found = try await connection.storedGenerations()
            #expect(found.map(\.generation) == [1, 2])
            #expect(found.map(\.isCurrent) == [true, false])
            #expect(found.map(\.isServed) == [true, false])
            #expect(found.map(\.labels) == [[], ["canary"]])
            #expect(found.map(\.asOfDay) == [10_134, 10_134])
            #expect(found.map(\.customerCount) == [1_000, 1_000])
            #expect(found.map(\.models) == ["lifetime 2", "lifetime 2"])
            let size = try FileManager.default.contentsOfDirectory(
                atPath: workspace.path(1, "").path
            ).filter { $0 != "SNAPSHOT" }.reduce(0) { sum, name in
                let url = try workspace.path(1, name)
                return sum + (try Data(contentsOf: url).count)
            }
            #expect(found[0].byteCount == size)
            // One whose descriptor is damaged is still listed.
            try workspace.damage(2, "SNAPSHOT")
            let damaged = try await connection.storedGenerations()
            #expect(damaged.count == 2)
            #expect(damaged[1].customerCount == nil)
            #expect(damaged[1].problem?.contains("SNAPSHOT") ?? false)
            #expect(damaged[0].problem == nil)
            await connection.close()
        }
    }

    @Test func publishMovesTheServerAndTheWorkspace() async throws {
        let log = LogRecorder()
        try await withWorkspace(logger: log.logger) { workspace, server in
            let connection = try await server.connect()
            let result = try await connection.publish(generation: 2)
            #expect(result.snapshot.generation == 2)
            #expect(result.previousGeneration == 1)
            #expect(result.verifiedByteCount > 10_000)
            // All loops have moved when the answer comes: any connection sees it.
            let other = try await server.connect()
            for connection in [connection, other] {
                let answer = try await connection.lookup([.integer(id(4))], columns: [10])
                #expect(answer.snapshot.generation == 2)
                #expect(answer.columns[0].number(0) == revenue(row: 4, generation: 2))
            }
            #expect(try workspace.manifest().currentGeneration == 2)
            // Back again, and to the newest.
            #expect(try await connection.publish(generation: 1).snapshot.generation == 1)
            #expect(try workspace.manifest().currentGeneration == 1)
            #expect(try await connection.publish().snapshot.generation == 2)
            // What is current can be published again.
            let again = try await connection.publish(generation: 2)
            #expect(again.previousGeneration == 2)
            let line = try await log.line(with: "administration ended")
            #expect(line?.contains("operation=PUBLISH") ?? false)
            #expect(line?.contains("peer=127.0.0.1:") ?? false)
            await connection.close()
            await other.close()
        }
    }

    /// The verification says how far it is, in bytes, where the client wants to know.
    @Test func publishTellsItsProgress() async throws {
        let contents = [
            sampleContents(), sampleContents(generation: 2, customerCount: 150_000),
        ]
        let configuration = testConfiguration { $0.progressInterval = .zero }
        try await withWorkspace(contents, configuration) { workspace, server in
            let raw = try RawConnection(port: server.server.port)
            try await raw.sayHello(optionalFeatures: .progress)
            raw.send(frame(.publish(PublishRequest(generation: 2)), 5))
            var seen: [ProgressMessage] = []
            var last = try await raw.receive()
            while case .progress(let message)? = last?.response {
                #expect(last?.header.requestID == 5)
                #expect(message.unit == .bytes)
                seen.append(message)
                last = try await raw.receive()
            }
            guard case .publish(let answer)? = last?.response else {
                Issue.record("\(String(describing: last))")
                return
            }
            // Files of more than 4 MiB are read in pieces.
            #expect(seen.count > 2)
            #expect(seen.map(\.done) == seen.map(\.done).sorted())
            #expect(seen.allSatisfy { $0.total == answer.verifiedByteCount })
            #expect(seen.last?.done == answer.verifiedByteCount)
            #expect(try workspace.manifest().currentGeneration == 2)
            // Nobody is told who did not ask for it.
            let quiet = try RawConnection(port: server.server.port)
            try await quiet.sayHello(optionalFeatures: [])
            quiet.send(frame(.publish(PublishRequest(generation: 2)), 5))
            guard case .publish? = try await quiet.receive()?.response else {
                Issue.record("no answer to PUBLISH")
                return
            }
            // And through the client.
            let connection = try await server.connect()
            let told = Mutex<[RequestProgress]>([])
            _ = try await connection.publish(
                generation: 2, progress: { message in told.withLock { $0.append(message) } })
            #expect(told.withLock { $0.count } > 2)
            await connection.close()
        }
    }

    /// Two servers of a workspace are given labels at once: both are there in the end.
    @Test func labelsGivenAtOnceAreAllThere() async throws {
        try await withWorkspace { workspace, one in
            try await serving(workspace) { two in
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for (index, server) in [one, two, one, two].enumerated() {
                        tasks.addTask {
                            let connection = try await server.connect()
                            for round in 0..<8 {
                                try await connection.setLabel(
                                    "label-\(index)", to: 1 + (round + index) % 2)
                            }
                            await connection.close()
                        }
                    }
                    try await tasks.waitForAll()
                }
                let labels = try GenerationLabels.load(workspace.folder).generations
                #expect(
                    labels == ["label-0": 2, "label-1": 1, "label-2": 2, "label-3": 1])
            }
        }
    }

    @Test func unknownGenerationsAreRefused() async throws {
        try await withWorkspace { workspace, server in
            let connection = try await server.connect()
            let publish = try await refusal { try await connection.publish(generation: 7) }
            #expect(publish?.status == Status.unknownGeneration.rawValue)
            let label = try await refusal { try await connection.setLabel("canary", to: 7) }
            #expect(label?.status == Status.unknownGeneration.rawValue)
            let shadow = try await refusal {
                try await connection.startShadow(.generation(7), partsPerMillion: 5)
            }
            #expect(shadow?.status == Status.unknownGeneration.rawValue)
            #expect(try workspace.manifest().currentGeneration == 1)
            #expect(try await connection.ping() == 1)
            await connection.close()
        }
    }

    @Test(arguments: ["lookup.arr", "affinity.arr", "segments.json", "SNAPSHOT"])
    func damagedGenerationsAreRefusedByName(name: String) async throws {
        try await withWorkspace { workspace, server in
            try workspace.damage(2, name)
            let connection = try await server.connect()
            let publish = try await refusal { try await connection.publish(generation: 2) }
            #expect(publish?.status == Status.snapshotDamaged.rawValue)
            #expect(publish?.text.contains(name) ?? false)
            let label = try await refusal { try await connection.setLabel("canary", to: 2) }
            #expect(label?.status == Status.snapshotDamaged.rawValue)
            #expect(label?.text.contains(name) ?? false)
            // Nothing has changed, on disk or in the server.
            #expect(try workspace.manifest().currentGeneration == 1)
            #expect(try GenerationLabels.load(workspace.folder) == .none)
            let answer = try await connection.lookup([.integer(id(4))])
            #expect(answer.snapshot.generation == 1)
            await connection.close()
        }
    }

    @Test func publishWaitsForNoOtherCommand() async throws {
        try await withWorkspace { workspace, server in
            let connection = try await server.connect()
            let training = try Workspace(folder: workspace.folder, access: .writing)
            let refused = try await refusal { try await connection.publish(generation: 2) }
            #expect(refused?.status == Status.workspaceLocked.rawValue)
            // A label needs no lock: a training may hold it for long.
            try await connection.setLabel("canary", to: 2)
            withExtendedLifetime(consume training) {}
            #expect(try await connection.publish(generation: 2).snapshot.generation == 2)
            await connection.close()
        }
    }

    @Test func noLookupFailsOrWaitsForAPublish() async throws {
        let generations = (1...2).map { sampleContents(generation: $0, customerCount: 20_000) }
        try await withWorkspace(generations) { _, server in
            let stop = Task {
                let connection = try await server.connect()
                for round in 0..<6 {
                    try await connection.publish(generation: 2 - round % 2)
                }
                await connection.close()
            }
            let reader = Task {
                let connection = try await server.connect()
                var count = 0
                var seen: Set<UInt64> = []
                while seen.count < 2 || count < 2_000 {
                    let row = count % 20_000
                    let answer = try await connection.lookup([.integer(id(row))], columns: [10])
                    let generation = answer.snapshot.generation
                    #expect(
                        answer.columns[0].number(0)
                            == revenue(row: row, generation: Int(generation)))
                    seen.insert(generation)
                    count += 1
                }
                await connection.close()
                return count
            }
            try await stop.value
            #expect(try await reader.value >= 2_000)
        }
    }

    // MARK: Labels

    @Test func labelledRequestsAreAnsweredFromTheirGeneration() async throws {
        try await withWorkspace { _, server in
            let connection = try await server.connect()
            let models = try await connection.setLabel("canary", to: 2)
            #expect(models.map(\.label) == ["stable", "canary"])
            #expect(models.map(\.generation) == [1, 2])
            #expect(models.map(\.name) == ["lifetime", "lifetime"])
            #expect(models.map(\.version) == [2, 2])
            #expect(models.map(\.checksum) == [7, 7])
            let canary = try connection.labelled("canary")
            let one = try await canary.lookup([.integer(id(4))], columns: [10])
            #expect(one.snapshot.generation == 2)
            #expect(one.columns[0].number(0) == revenue(row: 4, generation: 2))
            let many = try await canary.lookup((0..<9).map { .integer(id($0)) })
            #expect(many.snapshot.generation == 2)
            #expect(many.columns[1].number(8) == revenue(row: 8, generation: 2))
            #expect(try await canary.describe().snapshot.generation == 2)
            #expect(try await canary.segments().snapshot.generation == 2)
            let top = try await canary.topProducts(customer: .integer(id(4)))
            #expect(top.snapshot.generation == 2)
            let similar = try await canary.similarCustomers(to: .integer(id(4)))
            #expect(similar.snapshot.generation == 2)
            let offers = try await canary.offerProducts(customer: .integer(id(4)))
            #expect(offers.snapshot.generation == 2)
            // Revenues of generation 2 begin with 2.
            #expect(try await canary.count(rule: "revenue >= 2") == 1_000)
            #expect(try await connection.count(rule: "revenue >= 2") == 0)
            var rows = 0
            for try await chunk in try canary.customers(columns: [10]) {
                #expect(chunk.snapshot.generation == 2)
                rows += chunk.ids.count
            }
            #expect(rows == 1_000)
            // Without the label nothing has changed, in any order of requests.
            let plain = try await connection.lookup([.integer(id(4))], columns: [10])
            #expect(plain.snapshot.generation == 1)
            let stable = try await connection.labelled("stable").lookup([.integer(id(4))])
            #expect(stable.snapshot.generation == 1)
            let unknown = try connection.labelled("canari")
            let refused = try await refusal { try await unknown.lookup([.integer(id(4))]) }
            #expect(refused?.status == Status.unknownLabel.rawValue)
            // PING takes none and gets none.
            #expect(try await unknown.ping() == 1)
            await connection.close()
        }
    }

    @Test func aLabelOnWhatTakesNoneIsRefused() async throws {
        try await withWorkspace { _, server in
            let raw = try RawConnection(port: server.server.port)
            try await raw.sayHello()
            var writer = ByteWriter()
            Request.ping(PingRequest(token: 1)).encodeFrame(
                requestID: 2, meta: [.modelLabel("canary")], into: &writer)
            raw.send(writer.bytes)
            #expect(try await raw.receive()?.header.status == .unsupportedTag)
            raw.send(frame(.ping(PingRequest(token: 1)), 3))
            #expect(try await raw.receive()?.header.status == .ok)
        }
    }

    @Test func labelledAndOtherLookupsOfOneReadKeepTheirOrder() async throws {
        try await withWorkspace { _, server in
            let connection = try await server.connect()
            try await connection.setLabel("canary", to: 2)
            let raw = try RawConnection(port: server.server.port)
            try await raw.sayHello()
            var writer = ByteWriter()
            for requestID: UInt32 in 2..<12 {
                Request.lookup(LookupRequest(ids: .integers([1_007]))).encodeFrame(
                    requestID: requestID,
                    meta: requestID % 2 == 0 ? [] : [.modelLabel("canary")], into: &writer)
            }
            raw.send(writer.bytes)
            for requestID: UInt32 in 2..<12 {
                let received = try #require(try await raw.receive())
                guard case .lookup(let answer) = received.response else {
                    Issue.record("\(received)")
                    return
                }
                #expect(received.header.requestID == requestID)
                #expect(answer.stamp.generation == (requestID % 2 == 0 ? 1 : 2))
            }
            await connection.close()
        }
    }

    @Test(arguments: ["stable", "a b", "", "ä", "x/y"])
    func namesThatAreNoLabels(label: String) async throws {
        try await withWorkspace { _, server in
            let connection = try await server.connect()
            let refused = try await refusal { try await connection.setLabel(label, to: 2) }
            #expect(refused?.status == Status.valueOutOfRange.rawValue)
            await connection.close()
        }
    }

    @Test func labelsSurviveARestartAndAPrune() async throws {
        try await inTemporaryFolder { folder in
            let workspace = try SampleWorkspace(
                folder.appendingPathComponent("shop"),
                generations: (1...3).map { sampleContents(generation: $0) })
            try await serving(workspace) { server in
                let connection = try await server.connect()
                try await connection.setLabel("canary", to: 2)
                try await connection.publish(generation: 3)
                await connection.close()
            }
            // Generation 1 goes, 2 has a label.
            let removed = try Workspace(folder: workspace.folder, access: .writing).prune()
            #expect(removed.removed.contains { $0.hasSuffix("000001") })
            #expect(!removed.removed.contains { $0.hasSuffix("000002") })
            try await serving(workspace) { server in
                let connection = try await server.connect()
                let canary = try connection.labelled("canary")
                #expect(try await canary.describe().snapshot.generation == 2)
                #expect(try await connection.describe().snapshot.generation == 3)
                try await connection.removeLabel("canary")
                let refused = try await refusal { try await canary.describe() }
                #expect(refused?.status == Status.unknownLabel.rawValue)
                let again = try await refusal { try await connection.removeLabel("canary") }
                #expect(again?.status == Status.unknownLabel.rawValue)
                await connection.close()
            }
        }
    }

    /// Two servers of one workspace, and a promotion of what has the label.
    @Test func allServersOfAWorkspaceFollow() async throws {
        try await withWorkspace { workspace, first in
            try await serving(workspace) { second in
                let one = try await first.connect()
                let two = try await second.connect()
                try await one.setLabel("canary", to: 2)
                for _ in 0..<2_000 where try await two.servedModels().count < 2 {
                    try await Task.sleep(for: .milliseconds(5))
                }
                let canary = try two.labelled("canary")
                #expect(try await canary.describe().snapshot.generation == 2)
                try await two.publish(generation: 2)
                for _ in 0..<2_000 where try await one.ping() != 2 {
                    try await Task.sleep(for: .milliseconds(5))
                }
                #expect(try await one.ping() == 2)
                #expect(try await canary.describe().snapshot.generation == 2)
                await one.close()
                await two.close()
            }
        }
    }

    @Test func aStreamOutlivesItsLabel() async throws {
        let generations = (1...2).map { sampleContents(generation: $0, customerCount: 50_000) }
        try await withWorkspace(generations) { _, server in
            let connection = try await server.connect()
            try await connection.setLabel("canary", to: 2)
            let canary = try connection.labelled("canary")
            var rows = 0
            for try await chunk in try canary.customers(columns: [10], credit: 256 << 10) {
                if rows == 0 {
                    try await connection.removeLabel("canary")
                    let refused = try await refusal { try await canary.describe() }
                    #expect(refused?.status == Status.unknownLabel.rawValue)
                }
                #expect(chunk.snapshot.generation == 2)
                rows += chunk.ids.count
            }
            #expect(rows == 50_000)
            await connection.close()
        }
    }

    @Test func aLabelWhoseGenerationIsDamagedIsNotServed() async throws {
        try await inTemporaryFolder { folder in
            let workspace = try SampleWorkspace(
                folder.appendingPathComponent("shop"),
                generations: [sampleContents(), sampleContents(generation: 2)])
            var labels = GenerationLabels.none
            labels.set("canary", to: 2)
            labels.set("gone", to: 9)
            try labels.save(workspace.folder)
            try workspace.damage(2, "lookup.arr")
            let log = LogRecorder()
            try await serving(workspace, logger: log.logger) { server in
                let connection = try await server.connect()
                let models = try await connection.servedModels()
                #expect(models.map(\.label) == ["stable", "canary", "gone"])
                #expect(models[0].problem == nil)
                #expect(models[1].problem?.contains("lookup.arr") ?? false)
                #expect(models[2].problem?.contains("not in the workspace") ?? false)
                let refused = try await refusal {
                    try await connection.labelled("canary").lookup([.integer(id(1))])
                }
                #expect(refused?.status == Status.unknownLabel.rawValue)
                #expect(try await connection.lookup([.integer(id(1))]).snapshot.generation == 1)
                await connection.close()
            }
            #expect(log.all.count { $0.hasPrefix("a label is not served") } == 2)
        }
    }

    // MARK: Scope, STATS, DRAIN

    @Test func onlyTheScopeAdminMay() async throws {
        try await inTemporaryFolder { folder in
            let path = folder.appendingPathComponent("tokens").path
            let reader = NewToken(name: "reader", scopes: [.read, .append, .score], expires: nil)
            let keeper = NewToken(name: "night-shift", scopes: [.admin, .read], expires: nil)
            try Data("\(reader.line)\n\(keeper.line)\n".utf8)
                .write(to: URL(fileURLWithPath: path))
            let log = LogRecorder()
            try await withWorkspace(
                [sampleContents(), sampleContents(generation: 2)],
                testConfiguration { $0.tokensPath = path }, logger: log.logger
            ) { _, server in
                let connection = try await server.connect(token: reader.token)
                let refusals = [
                    try await refusal { try await connection.servedModels() },
                    try await refusal { try await connection.setLabel("canary", to: 2) },
                    try await refusal { try await connection.storedGenerations() },
                    try await refusal { try await connection.publish(generation: 2) },
                    try await refusal { try await connection.stats() },
                    try await refusal { try await connection.drain() },
                    try await refusal { try await connection.shadowReport() },
                ]
                for refused in refusals {
                    #expect(refused?.status == Status.scopeMissing.rawValue)
                }
                let allowed = try await server.connect(token: keeper.token)
                try await allowed.setLabel("canary", to: 2)
                // Whoever may read may read it.
                let canary = try connection.labelled("canary")
                #expect(try await canary.describe().snapshot.generation == 2)
                await connection.close()
                await allowed.close()
            }
            let line = try #require(try await log.line(with: "administration ended"))
            #expect(line.contains("token=night-shift") && line.contains("label=canary"))
            #expect(line.contains("outcome=ok"))
        }
    }

    @Test func statsTellWhatWasDone() async throws {
        try await withWorkspace { _, server in
            let connection = try await server.connect()
            for row in 0..<25 { _ = try await connection.lookup([.integer(id(row))]) }
            _ = try await refusal {
                try await connection.topProducts(customer: .integer(1), count: 1)
            }
            try await connection.setLabel("canary", to: 2)
            let stats = try await connection.stats()
            func value(_ group: String, _ name: String) -> Double? {
                stats.first { $0.group == group && $0.name == name }?.value
            }
            #expect(value("LOOKUP", "ok") == 25)
            #expect(value("TOP_PRODUCTS", "unknownCustomer") == 1)
            #expect(value("server", "connections") == 1)
            #expect(value("server", "lookupIDs") == 25)
            #expect(value("snapshot", "generation") == 1)
            #expect(value("snapshot", "customers") == 1_000)
            #expect(value("label", "canary") == 2)
            let median = try #require(value("LOOKUP", "p50"))
            let tail = try #require(value("LOOKUP", "p99.9"))
            #expect(median > 0 && median <= tail && tail < 60)
            #expect(stats.first { $0.name == "p50" }?.unit == "s")
            await connection.close()
        }
    }

    @Test func drainIsAnsweredBeforeGoAway() async throws {
        try await inTemporaryFolder { folder in
            let workspace = try SampleWorkspace(
                folder.appendingPathComponent("shop"), generations: [sampleContents()])
            let server = try await ServedWorkspace(
                workspace, testConfiguration(), logger: silentLogger)
            let running = Task { try await server.run() }
            let raw = try RawConnection(port: server.server.port)
            try await raw.sayHello()
            raw.send(frame(.drain, 2))
            guard case .drain(let answer)? = try await raw.receive()?.response else {
                Issue.record("no answer to DRAIN")
                return
            }
            #expect(answer.graceMilliseconds > 0)
            guard case .goAway(let status, _)? = try await raw.receive()?.response else {
                Issue.record("no GOAWAY")
                return
            }
            #expect(status == .draining)
            #expect(try await raw.isEnded())
            // The server ends by itself, without an error.
            try await running.value
        }
    }
}
