import ArgumentParser
import ByteCoding
import Foundation
import Load
import PatronClient
import Wire

struct LoadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Load a server with requests and measure its latency.",
        discussion: """
            With --rate, requests are sent at times that do not depend on the answers (open loop), and a \
            latency counts from the time that was intended: a server that stalls is charged with every \
            request that it kept waiting. What finds no room on a connection waits here. With --closed, \
            every connection keeps --pipeline requests under way. --saturate looks for the highest rate \
            that the server keeps up with: at least 99 % of it achieved, no error, p99 within \
            --p99-limit; what it tried is told.

            Redis and memcached are asked GET and get, or MGET and get of several keys, by the same \
            code. Keys are the ids behind --key-prefix.

            Streams (audience, scan) are read as fast as they come, with 1 MiB of credit; their latency \
            is that of the last chunk. --background-scan shows what look-ups suffer beside full scans. \
            With --tls the generator's own work for it is in the latencies, and takes its cores.

            Errors are counted by status. Requests without an answer are counted, and stand in the \
            latencies with the time that they had waited. A connection that the server ends is not \
            opened again; its open requests are errors. Times of options are such as 10s, 500ms, \
            300us, 2m; a bare number is seconds.
            """)

    enum OtherProtocol: String, ExpressibleByArgument, CaseIterable {
        case patron, redis, memcached
    }

    @Option(help: "The server, HOST:PORT.")
    var connect: String
    @Option(name: .customLong("protocol"), help: "What it speaks: patron, redis or memcached.")
    var speaks = OtherProtocol.patron
    @Option(help: "Requests a second of an open loop.")
    var rate: Double?
    @Flag(help: "Closed loop: as many requests as the server answers.")
    var closed = false
    @Flag(help: "Look for the highest rate that the server keeps up with.")
    var saturate = false
    @Option(help: "How requests of an open loop follow each other: poisson or constant.")
    var arrivals = "poisson"
    @Option(
        help: "How long is measured; of a search, each step. 10s by default.", transform: duration)
    var duration = 10.0
    @Option(help: "How long load is made before, unmeasured; 2s by default.", transform: duration)
    var warmUp = 2.0
    @Option(help: "Connections.")
    var connections = 50
    @Option(help: "Requests under way on a connection at most.")
    var pipeline = 1
    @Option(help: "Threads of the generator.")
    var threads = 1
    @Option(help: "Ids of a look-up.")
    var idsPerRequest = 1
    @Option(
        help: """
            Operations and their weights, such as lookup=95,top-products=5. There are \
            \(Operation.allCases.map(\.rawValue).joined(separator: ", ")).
            """)
    var mix: String?
    @Option(help: "What count and audience ask for, such as 'churn_probability > 0.8'.")
    var rule: String?
    @Option(
        help: """
            Connections that scan all customers over and over beside the load, on a thread of their \
            own.
            """)
    var backgroundScan = 0
    @Option(
        help: """
            Connections that are opened before the load and only kept alive. A server takes 256 of \
            one address where its limits say nothing else.
            """)
    var idleConnections = 0
    @Option(
        help: "The server's process id: its memory before and after the idle connections is told.")
    var serverPid: Int?
    @Option(
        parsing: .upToNextOption,
        help: "Names of the columns of look-ups and streams; all by default.")
    var columns: [String] = []
    @Option(help: "Results of top, similar and offer requests.")
    var results = 10
    @Option(help: "How often each id is asked for: uniform, or zipf:S with its exponent.")
    var keys = "uniform"
    @Option(help: "Customers: whole numbers FIRST-LAST.")
    var idRange: String?
    @Option(help: "Customers: a file of ids, one a line.")
    var ids: String?
    @Option(help: "Products: whole numbers FIRST-LAST.")
    var productRange: String?
    @Option(help: "Products: a file of ids, one a line.")
    var products: String?
    @Option(help: "Text in front of the ids, for Redis and memcached.")
    var keyPrefix = ""
    @Option(help: "Seed of times, operations and ids.")
    var seed: UInt64 = 1
    @Option(
        help: "The longest p99 at which a server keeps up; 10ms by default.", transform: duration)
    var p99Limit = 0.01
    @Option(help: "Steps of a search at most.")
    var steps = 12
    @Option(help: "Of Patron, one answer in so many is read to its last byte.")
    var checkEvery = 256
    @Flag(help: "Wait in a loop that takes a core instead of sleeping: more punctual.")
    var spin = false
    @Option(help: "Write a picture of the latencies by percentile to this SVG file.")
    var plot: String?
    @Option(
        parsing: .upToNextOption,
        help: "Draw earlier runs into it too: files that --json wrote, each perhaps as LABEL=FILE.")
    var compare: [String] = []
    @Option(
        help: "Have the generation with this label answer, such as canary; the current by default.")
    var label: String?
    @OptionGroup var security: SecurityOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard try Endpoint(parsing: connect).port > 0 else {
            throw ValidationError("--connect takes the port of a server, not 0")
        }
        guard [rate != nil, closed, saturate].count(where: { $0 }) == 1 else {
            throw ValidationError("give one of --rate R, --closed and --saturate")
        }
        guard compare.isEmpty || plot != nil else {
            throw ValidationError("--compare is for --plot FILE")
        }
        guard idRange == nil || ids == nil else {
            throw ValidationError("give --id-range or --ids, not both")
        }
        guard productRange == nil || products == nil else {
            throw ValidationError("give --product-range or --products, not both")
        }
        guard (1...100).contains(steps) else {
            throw ValidationError("--steps is 1 to 100, not \(steps)")
        }
        guard (1...1_000_000_000).contains(checkEvery) else {
            throw ValidationError("--check-every is 1 to 1000000000, not \(checkEvery)")
        }
        guard p99Limit > 0 else { throw ValidationError("--p99-limit is above 0") }
        guard serverPid == nil || idleConnections > 0 else {
            throw ValidationError("--server-pid is for --idle-connections N")
        }
        guard speaks == .patron || !security.isUsed else {
            throw ValidationError("--tls, --token and --token-file are for --protocol patron")
        }
    }

    /// Seconds of `10s`, `500ms`, `300us`, `2m` or a bare number.
    @Sendable static func duration(_ text: String) throws -> Double {
        let units = [("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0)]
        let unit = units.first { text.hasSuffix($0.0) }
        let digits = text.dropLast(unit?.0.count ?? 0)
        guard let number = Double(digits), number.isFinite, number >= 0 else {
            throw ValidationError("a time is such as 10s, 500ms or 300us, not '\(text)'")
        }
        return number * (unit?.1 ?? 1)
    }

    /// What a search prints as JSON.
    struct Search: Encodable {
        var closedLoopRate: Double
        var p99LimitMicroseconds: Double
        var steps: [SaturationSearch.Step]
        /// Nil where no rate was kept up with.
        var saturationRate: Double?
        /// The run at that rate.
        var report: LoadReport?
    }

    func run() throws {
        let endpoint = try Endpoint(parsing: connect)
        let target = LoadTarget(
            host: endpoint.host, port: endpoint.port,
            speaks: LoadProtocol(rawValue: speaks.rawValue) ?? .patron,
            token: speaks == .patron ? try credential() : nil,
            tls: try security.clientTLS.map { options in
                LoadTLS(context: try options.context(), failure: PatronTLS.failure)
            })
        // Earlier runs are read first: a wrong name should not cost a measurement.
        let earlier = try compare.map(EarlierRun.init)
        let plan = try makePlan(target)
        if saturate {
            try runSearch(plan, target, earlier)
        } else {
            let report = try LoadRun.run(plan, on: target)
            try draw(report, earlier)
            try output.print(report, text: \.text)
            try check(report)
        }
    }

    private func credential() throws -> String? {
        let token = try security.credential()
        guard token?.utf8.count ?? 0 <= WireLimits.credentialBytes else {
            throw usage("the token has more than \(WireLimits.credentialBytes) bytes")
        }
        return token
    }

    private func makePlan(_ target: LoadTarget) throws -> LoadPlan {
        var plan = LoadPlan()
        plan.speaks = target.speaks
        if let rate {
            guard let arrivals = Arrivals(rawValue: arrivals) else {
                throw CommandError(
                    text: "--arrivals is poisson or constant, not '\(arrivals)'", code: 64)
            }
            plan.pace = .open(rate: rate, arrivals)
        }
        if let mix { plan.mix = try OperationMix(parsing: mix) }
        plan.label = label
        plan.rule = rule
        plan.backgroundScans = backgroundScan
        plan.idleConnections = idleConnections
        plan.serverProcess = serverPid
        plan.keys = try KeyDistribution(parsing: keys)
        plan.warmUpSeconds = warmUp
        plan.seconds = duration
        plan.connections = connections
        plan.pipeline = pipeline
        plan.threads = threads
        plan.idsPerRequest = idsPerRequest
        plan.resultCount = results
        plan.keyPrefix = keyPrefix
        plan.seed = seed
        plan.checkEvery = checkEvery
        plan.spins = spin
        var (customerKind, productKind): (IDKind?, IDKind?) = (nil, nil)
        var described: DescribeResponse?
        if target.speaks == .patron {
            let (limits, facts) = try target.describe(label: label)
            described = facts
            (customerKind, productKind) = (facts.customerIDKind, facts.productIDKind)
            guard pipeline <= Int(limits.maximumInFlight) else {
                throw usage(
                    "--pipeline \(pipeline) is more than the server's \(limits.maximumInFlight)")
            }
            guard idsPerRequest <= Int(limits.maximumLookupIDs) else {
                throw usage(
                    "--ids-per-request \(idsPerRequest) is more than the server's "
                        + "\(limits.maximumLookupIDs)")
            }
        }
        if !columns.isEmpty {
            guard let described else {
                throw usage("--columns is for --protocol patron; other servers have values")
            }
            plan.columns = try columns.map { name in
                guard let column = described.columns.first(where: { $0.name == name }) else {
                    throw usage(
                        "there is no column \(name); there are "
                            + described.columns.map(\.name).joined(separator: ", "))
                }
                return column.id
            }
        }
        plan.customers = try requestIDs(
            idRange, "--id-range", ids, kind: customerKind, isPatron: target.speaks == .patron)
        plan.products = try requestIDs(
            productRange, "--product-range", products, kind: productKind,
            isPatron: target.speaks == .patron)
        try plan.validate()
        return plan
    }

    /// The ids of a range or a file; of the server's kind, or as they are where it has none.
    private func requestIDs(
        _ range: String?, _ option: String, _ file: String?, kind: IDKind?, isPatron: Bool
    ) throws -> RequestIDs? {
        if let range {
            guard kind != .text else {
                throw usage("ids are texts on this server: give a file of them, not \(option)")
            }
            return try RequestIDs(range: range, option: option)
        }
        // Keys of other servers are texts: 007 is not 7.
        return try file.map {
            try RequestIDs(file: $0, areIntegers: isPatron ? kind.map { $0 == .integer } : false)
        }
    }

    private func usage(_ text: String) -> CommandError { CommandError(text: text, code: 64) }

    private func runSearch(
        _ plan: LoadPlan, _ target: LoadTarget, _ earlier: [EarlierRun]
    ) throws {
        guard let arrivals = Arrivals(rawValue: arrivals) else {
            throw usage("--arrivals is poisson or constant, not '\(arrivals)'")
        }
        var estimating = plan
        estimating.pace = .closed
        Terminal.progress("closed loop")
        let estimate = try LoadRun.run(estimating, on: target)
        try check(estimate)
        var search = SaturationSearch(
            estimate: estimate.achievedRate, maximumSteps: steps, p99Limit: p99Limit * 1e6)
        var best: LoadReport?
        while let rate = search.nextRate {
            Terminal.progress("step \(search.steps.count + 1): \(Int(rate).grouped) requests/s")
            var step = plan
            step.pace = .open(rate: rate, arrivals)
            let report = try LoadRun.run(step, on: target)
            search.record(
                rate: rate, offered: report.meantRate, achieved: report.achievedRate,
                p99Microseconds: report.total.latency.p99,
                errors: report.total.errorCount + report.lostConnections)
            if search.highest == rate { best = report }
        }
        Terminal.endProgress()
        if let best { try draw(best, earlier) }
        let result = Search(
            closedLoopRate: estimate.achievedRate, p99LimitMicroseconds: p99Limit * 1e6,
            steps: search.steps, saturationRate: search.highest, report: best)
        try output.print(result, text: \.text)
        guard best != nil else {
            throw CommandError(
                text: "no rate was kept up with within --p99-limit "
                    + "\(Int(p99Limit * 1e6)) us; see the steps",
                code: 1)
        }
    }

    /// A run without a right answer has measured nothing.
    private func check(_ report: LoadReport) throws {
        let lost = report.firstLoss.map { "; \($0)" } ?? ""
        guard report.lostConnections < report.connections else {
            throw CommandError(
                text: "\(report.address): every connection was lost\(lost)", code: 69)
        }
        guard report.achievedRate > 0 else {
            let errors = report.total.errors.map { "\($0.value.grouped) \($0.key)" }.sorted()
            throw CommandError(
                text: "no request was answered right in the measured time: "
                    + (errors.isEmpty ? "no answers" : errors.joined(separator: ", ")) + lost,
                code: 1)
        }
    }

    private func draw(_ report: LoadReport, _ earlier: [EarlierRun]) throws {
        guard let plot else { return }
        // An operation has one colour in all runs; earlier ones are dashed.
        var names = report.operations.map(\.name)
        var curves = report.operations.enumerated().map { index, operation in
            LatencyPlot.Curve(
                label: operation.name, points: operation.latencyCurve, colour: index)
        }
        if names.count == 1, report.loop == "open", earlier.isEmpty {
            curves.append(
                LatencyPlot.Curve(
                    label: "from sending", points: report.operations[0].serviceCurve, colour: 1,
                    isDashed: true))
        }
        for run in earlier {
            let isOne = run.report.operations.count == 1
            for operation in run.report.operations {
                let name = isOne ? run.label : operation.name
                if !names.contains(name) { names.append(name) }
                curves.append(
                    LatencyPlot.Curve(
                        label: isOne ? run.label : "\(run.label) \(operation.name)",
                        points: operation.latencyCurve,
                        colour: names.firstIndex(of: name) ?? 0, isDashed: true))
            }
        }
        let picture = LatencyPlot(
            title: "Latency by percentile", subtitle: report.summary, curves: curves)
        do {
            try Data(picture.svg.utf8).write(to: URL(fileURLWithPath: plot), options: .atomic)
        } catch {
            throw CommandError(text: "\(plot): \(error.localizedDescription)", code: 74)
        }
    }
}

/// A run whose JSON was kept.
private struct EarlierRun {
    var label: String
    var report: LoadReport

    /// `FILE`, or `LABEL=FILE`.
    init(_ text: String) throws {
        let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
        let path = parts.count == 2 ? parts[1] : text
        label =
            parts.count == 2
            ? parts[0] : URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        let bytes: Data
        do {
            bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw CommandError(text: "\(path): \(error.localizedDescription)", code: 74)
        }
        do {
            report = try JSONDecoder().decode(LoadReport.self, from: bytes)
        } catch {
            throw CommandError(
                text: "\(path): is not what `patron load --json` prints of one run", code: 65)
        }
    }
}
