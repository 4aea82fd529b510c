import Foundation
import Load
import Testing

/// The generator against servers that misbehave in known ways.
struct EngineTests {
    private func plan(_ speaks: LoadProtocol = .redis, rate: Double = 1_000) -> LoadPlan {
        var plan = LoadPlan()
        plan.speaks = speaks
        plan.pace = .open(rate: rate, .constant)
        plan.warmUpSeconds = 0
        plan.seconds = 0.3
        plan.connections = 1
        plan.customers = .range(12...12)
        return plan
    }

    private func run(
        _ plan: LoadPlan, _ behaviour: FakeServer.Behaviour
    ) throws -> (report: LoadReport, received: String) {
        let server = try FakeServer(behaviour)
        defer { server.stop() }
        let target = LoadTarget(host: "127.0.0.1", port: server.port, speaks: plan.speaks)
        let report = try LoadRun.run(plan, on: target)
        return (report, String(decoding: server.firstBytes, as: UTF8.self))
    }

    /// A server that stalls for 200 ms at request 400 of 1,000 a second cannot answer request
    /// 400 + j before 200 - j ms after the time that it was meant for, on any machine. A generator
    /// that sent request 401 only after answer 400 and counted from there would see one slow request.
    @Test(arguments: [1, 4])
    func aStallIsChargedWithAllRequestsOfItsTime(pipeline: Int) throws {
        var plan = plan()
        plan.seconds = 1
        plan.pipeline = pipeline
        var behaviour = FakeServer.Behaviour.redis
        behaviour.stallsAt = 400
        let report = try run(plan, behaviour).report
        let latency = report.total.latency
        #expect(report.total.count == 1_000)
        #expect(report.total.errors.isEmpty)
        #expect(report.missingCount == 0)
        // Of 1,000 requests at least 101 took 100 ms or more, and 151 took 50 ms. Three digits are
        // exact, and request 400's time has fractions.
        #expect(latency.p90 >= 99_000, "p90 \(latency.p90)")
        #expect(latency.p99 >= 189_000, "p99 \(latency.p99)")
        #expect(latency.maximum >= 199_000, "max \(latency.maximum)")
        let slow = report.total.latencyCurve.first { $0.nines == 0.8 }
        #expect((slow?.microseconds ?? 0) >= 40_000, "\(String(describing: slow))")
        // From sending, no more requests were slow than the connection held at a time.
        #expect(report.total.service.p99 < latency.p99 / 2, "\(report.total.service)")
        #expect(report.total.service.maximum >= 199_000)
    }

    @Test(arguments: [true, false])
    func requestsAreAnsweredWithEpollAndWithPoll(usesEpoll: Bool) throws {
        var plan = plan(rate: 500)
        plan.usesEpoll = usesEpoll
        plan.connections = 5
        plan.threads = 2
        let (report, received) = try run(plan, .redis)
        #expect(report.total.count == 150)
        #expect(report.total.keysChecked == 150 && report.total.keysFound == 150)
        #expect(received.hasPrefix("*2\r\n$3\r\nGET\r\n$2\r\n12\r\n"))
    }

    @Test func aClosedLoopKeepsThePipelineFull() throws {
        var plan = plan()
        plan.pace = .closed
        plan.pipeline = 8
        plan.idsPerRequest = 2
        plan.keyPrefix = "k:"
        var behaviour = FakeServer.Behaviour.redis
        behaviour.requestLines = 7
        behaviour.answer = "*2\r\n$1\r\nx\r\n$-1\r\n"
        let (report, received) = try run(plan, behaviour)
        #expect(report.total.count > 8)
        #expect(report.total.errors.isEmpty && report.missingCount == 0)
        #expect(report.operations[0].name == "multi-get")
        #expect(report.total.keysFound * 2 == report.total.keysChecked)
        #expect(received.hasPrefix("*3\r\n$4\r\nMGET\r\n$4\r\nk:12\r\n$4\r\nk:12\r\n"))
    }

    @Test func memcachedIsAskedInItsWords() throws {
        var plan = plan(.memcached)
        plan.idsPerRequest = 3
        let (report, received) = try run(plan, .memcached)
        #expect(report.total.count == 300)
        #expect(report.total.keysFound == 300 && report.total.keysChecked == 900)
        #expect(received.hasPrefix("get 12 12 12\r\n"))
    }

    @Test func errorsAreCountedByTheirName() throws {
        var behaviour = FakeServer.Behaviour.redis
        behaviour.answer = "-OOM command not allowed\r\n"
        let report = try run(plan(), behaviour).report
        #expect(report.total.errors == ["OOM": 300])
        #expect(report.total.count == 0)
        #expect(report.achievedRate == 0)
    }

    /// Two requests fit on the connections, the others never leave the generator; all are told.
    @Test func whatIsNotAnsweredIsCounted() throws {
        var plan = plan(rate: 100)
        plan.connections = 2
        plan.drainSeconds = 0.1
        var behaviour = FakeServer.Behaviour.redis
        behaviour.answer = ""
        let report = try run(plan, behaviour).report
        #expect(report.total.unanswered == 2)
        #expect(report.total.unsent == 28)
        #expect(report.total.count == 30)
        #expect(report.total.latency.maximum >= 390_000)
    }

    @Test func lostConnectionsAreCounted() throws {
        var behaviour = FakeServer.Behaviour.redis
        behaviour.closesAt = 10
        let report = try run(plan(), behaviour).report
        #expect(report.lostConnections == 1)
        #expect(report.firstLoss == "the server closed the connection")
        let failed = report.total.errors["connectionLost"] ?? 0
        #expect(failed >= 1)
        #expect(report.total.unsent + failed == 290)
        // Ten answers, and what was due when the connection ended.
        #expect(report.total.count >= 10 && report.total.count <= 10 + report.total.unsent)
    }

    @Test func garbageEndsAConnection() throws {
        var behaviour = FakeServer.Behaviour.redis
        behaviour.answer = "hello\r\n"
        let report = try run(plan(), behaviour).report
        #expect(report.lostConnections == 1)
        #expect(report.firstLoss == "malformed answer: not RESP: hello")
    }

    @Test func whatElseListensIsNamed() throws {
        let cases: [(LoadProtocol, FakeServer.Behaviour, String)] = [
            (.patron, .web, "found HTTP"), (.redis, .web, "found HTTP"),
            (.memcached, .web, "found HTTP"), (.redis, .memcached, "RESP (Redis)"),
            (.patron, .silent, "no answer to a greeting within 3 s"),
        ]
        for (speaks, behaviour, words) in cases {
            let server = try FakeServer(behaviour)
            defer { server.stop() }
            let target = LoadTarget(host: "127.0.0.1", port: server.port, speaks: speaks)
            let error = #expect(throws: LoadError.self) { _ = try target.open() }
            let text = error?.description ?? ""
            #expect(text.contains(words), "\(speaks): \(text)")
        }
    }

    @Test func hostsAndPortsWithoutAServerAreTold() throws {
        let server = try FakeServer(.redis)
        server.stop()
        let refused = #expect(throws: LoadError.self) {
            _ = try LoadTarget(host: "127.0.0.1", port: server.port, speaks: .redis).open()
        }
        #expect(
            refused?.description.contains("cannot connect") == true,
            "\(String(describing: refused))")
        let unknown = #expect(throws: LoadError.self) {
            _ = try LoadTarget(host: "no.such.host.invalid", port: 1, speaks: .redis).open()
        }
        guard case .unknownHost("no.such.host.invalid", _)? = unknown else {
            Issue.record("\(String(describing: unknown))")
            return
        }
    }
}
