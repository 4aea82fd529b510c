/// What a load came to, as `patron load --json` prints it.
package struct LoadReport: Codable, Sendable {
    /// Of a histogram, in microseconds; three digits are exact.
    package struct Latencies: Codable, Sendable {
        package var mean: Double
        package var p50: Double
        package var p90: Double
        package var p99: Double
        package var p999: Double
        package var maximum: Double

        init(_ histogram: LatencyHistogram) {
            let values = histogram.values(atShares: [0.5, 0.9, 0.99, 0.999])
            let microseconds = values.map { Double($0) / 1_000 }
            mean = histogram.mean / 1_000
            p50 = microseconds[0]
            p90 = microseconds[1]
            p99 = microseconds[2]
            p999 = microseconds[3]
            maximum = Double(histogram.maximum) / 1_000
        }
    }

    /// A point of a plot: `nines` is -log10(1 - share), so 2 is the 99th percentile.
    package struct Point: Codable, Sendable, Equatable {
        package var nines: Double
        package var microseconds: Double

        package init(nines: Double, microseconds: Double) {
            (self.nines, self.microseconds) = (nines, microseconds)
        }
    }

    package struct Operation: Codable, Sendable {
        package var name: String
        /// Requests in the latencies: those meant for the measured time that were answered right,
        /// and those below that were not answered, with the time that they had waited.
        package var count: Int
        /// Right answers a second of the measured time.
        package var rate: Double
        /// By status.
        package var errors: [String: Int]
        package var unanswered: Int
        package var unsent: Int
        /// From the intended time to the answer.
        package var latency: Latencies
        /// From sending to the answer.
        package var service: Latencies
        package var latencyCurve: [Point]
        package var serviceCurve: [Point]
        /// Of look-ups: keys in the answers that were read, and how many of them were there.
        package var keysChecked: Int
        package var keysFound: Int
        /// Of streams: frames, and bytes of frames a second of the measured time.
        package var chunks: Int?
        package var bytesPerSecond: Double?

        package var errorCount: Int { errors.values.reduce(0, +) }
    }

    /// Connections that did nothing.
    package struct Idle: Codable, Sendable {
        package var connections: Int
        /// Of them, how many answered a PING after the load.
        package var alive: Int
        /// Resident memory of the server's process, where its number was given: before they were
        /// opened, and after it, before the load.
        package var serverBytesBefore: Int?
        package var serverBytesAfter: Int?
        package var serverBytesEach: Double?
    }

    package var address: String
    package var speaks: LoadProtocol
    /// Nil in plain.
    package var tls: Bool?
    /// Of the generation that answered; nil for the current one.
    package var label: String?
    /// `open` or `closed`.
    package var loop: String
    package var arrivals: Arrivals?
    /// Requests a second that were to be made; nil in a closed loop.
    package var offeredRate: Double?
    /// Right answers a second, of all operations.
    package var achievedRate: Double
    /// Ids of the look-ups among them, a second.
    package var idsPerSecond: Double
    package var seconds: Double
    package var warmUpSeconds: Double
    package var connections: Int
    package var pipeline: Int
    package var threads: Int
    package var idsPerRequest: Int
    package var keys: String
    package var seed: UInt64
    /// Bytes of answers for each right one.
    package var bytesPerAnswer: Double
    /// Cores that the generator itself kept busy: near `threads` it was the limit, not the server.
    package var generatorCores: Double
    package var lostConnections: Int
    package var firstLoss: String?
    package var warmUpErrors: Int
    package var strayAnswers: Int
    package var operations: [Operation]
    /// Of all operations together.
    package var total: Operation
    /// Scans beside the load.
    package var background: Operation?
    package var idle: Idle?

    /// Requests a second that were meant for the measured time.
    package var meantRate: Double { Double(total.count + total.errorCount) / seconds }
    package var missingCount: Int { total.unanswered + total.unsent }

    /// - Parameter background: what the plan's background scans saw.
    init(
        _ plan: LoadPlan, _ target: LoadTarget, _ tally: WorkerTally,
        background: WorkerTally? = nil, idle: Idle? = nil
    ) {
        self.idle = idle
        self.background = background.map {
            Self.operation(
                "background-scan", $0.operations[0], seconds: plan.seconds, isStream: true)
        }
        address = target.address
        speaks = target.speaks
        tls = target.isSecured ? true : nil
        label = plan.label
        switch plan.pace {
        case .open(let rate, let arrivals):
            loop = "open"
            self.arrivals = arrivals
            offeredRate = rate
        case .closed: loop = "closed"
        }
        let operations = zip(plan.mix.operations, tally.operations).map { operation, tally in
            let isGet = plan.speaks != .patron
            let name = isGet ? (plan.idsPerRequest == 1 ? "get" : "multi-get") : operation.rawValue
            return Self.operation(
                name, tally, seconds: plan.seconds, isStream: operation.isStream)
        }
        self.operations = operations
        var sum = tally.operations[0]
        for other in tally.operations.dropFirst() { sum.add(other) }
        total = Self.operation("all", sum, seconds: plan.seconds)
        achievedRate = total.rate
        let lookups = plan.mix.operations.firstIndex(of: .lookup).map { operations[$0].rate } ?? 0
        idsPerSecond = lookups * Double(plan.idsPerRequest)
        seconds = plan.seconds
        warmUpSeconds = plan.warmUpSeconds
        connections = plan.connections
        pipeline = plan.pipeline
        threads = plan.threads
        idsPerRequest = plan.idsPerRequest
        keys = plan.keys.name
        seed = plan.seed
        bytesPerAnswer = Double(tally.answerBytes) / Double(max(1, sum.answeredInWindow))
        generatorCores = tally.processorSeconds / plan.seconds
        lostConnections = tally.lostConnections + (background?.lostConnections ?? 0)
        firstLoss = tally.firstLoss ?? background?.firstLoss
        warmUpErrors = tally.warmUpErrors
        strayAnswers = tally.strayAnswers
    }

    private static func operation(
        _ name: String, _ tally: OperationTally, seconds: Double, isStream: Bool = false
    ) -> Operation {
        Operation(
            name: name, count: tally.latency.count,
            rate: Double(tally.answeredInWindow) / seconds, errors: tally.errors,
            unanswered: tally.unanswered, unsent: tally.unsent,
            latency: Latencies(tally.latency), service: Latencies(tally.service),
            latencyCurve: curve(tally.latency), serviceCurve: curve(tally.service),
            keysChecked: tally.keysChecked, keysFound: tally.keysFound,
            chunks: isStream ? tally.chunks : nil,
            bytesPerSecond: isStream ? Double(tally.streamBytes) / seconds : nil)
    }

    /// Ten points a nine, as far as there are values above.
    private static func curve(_ histogram: LatencyHistogram) -> [Point] {
        let count = Double(histogram.count)
        let nines = (0...90).map { Double($0) / 10 }
            .filter { count > 0 && ($0 == 0 || tenToTheMinus($0) * count >= 1) }
        let values = histogram.values(atShares: nines.map { 1 - tenToTheMinus($0) })
        return zip(nines, values).map {
            Point(nines: $0, microseconds: Double($1) / 1_000)
        }
    }
}
