import PatronClient
import Server
import Testing
import Wire

/// What is measured of requests.
@Suite struct MeasurementTests {
    /// Steele, Lea and Flood (2014).
    private struct SplitMix64: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    /// Durations over six orders of magnitude: no percentile is further than 1/64 from the exact one.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func percentilesAreWithinTheBound(seed: UInt64) {
        var generator = SplitMix64(state: seed)
        var durations: [UInt64] = []
        var histogram = LatencyHistogram()
        for _ in 0..<20_000 {
            let scale = UInt64(1) << UInt64.random(in: 6...36, using: &generator)
            let duration = UInt64.random(in: scale...2 * scale, using: &generator)
            durations.append(duration)
            histogram.record(duration)
        }
        durations.sort()
        var worst = 0.0
        for permille in 1...1_000 {
            let share = Double(permille) / 1_000
            let rank = Int((Double(durations.count) * share).rounded(.up))
            let exact = Double(durations[rank - 1])
            let told = histogram.quantile(share) ?? 0
            worst = max(worst, abs(told - exact) / exact)
        }
        #expect(worst <= 1.0 / 64, "seed \(seed)")
        #expect(histogram.count == 20_000)
        #expect(histogram.sumNanoseconds == durations.reduce(0, +))
    }

    @Test func smallAndHugeDurations() {
        for duration in 0..<64 as Range<UInt64> {
            var histogram = LatencyHistogram()
            histogram.record(duration)
            #expect(histogram.quantile(0.5) == Double(duration))
        }
        var histogram = LatencyHistogram()
        #expect(histogram.quantile(0.5) == nil)
        histogram.record(.max)
        histogram.record(1 << 40)
        #expect(histogram.buckets.last == 2)
        #expect(histogram.buckets.count == LatencyHistogram.bucketCount)
    }

    /// Exact at powers of two, which the bounds of the exposed histogram are.
    @Test func countsBelowPowersOfTwo() {
        var generator = SplitMix64(state: 9)
        var durations: [UInt64] = [1_023, 1_024, 1_025, 2_047, 2_048]
        for _ in 0..<5_000 { durations.append(UInt64.random(in: 0...1 << 36, using: &generator)) }
        var histogram = LatencyHistogram()
        for duration in durations { histogram.record(duration) }
        let counts = histogram.counts(below: 10...34)
        for (exponent, count) in zip(10...34, counts) {
            let exact = durations.count { $0 < 1 << UInt64(exponent) }
            #expect(count == UInt64(exact), "2^\(exponent)")
        }
    }

    @Test func histogramsAddAndSubtract() {
        var (early, late) = (LatencyHistogram(), LatencyHistogram())
        early.record(100, times: 3)
        late.record(5_000)
        var sum = early
        sum.add(late)
        #expect(sum.count == 4)
        #expect(sum.since(early) == late)
    }

    /// A scan that waits is measured from its request's arrival, on whatever thread it runs.
    @Test func eachAnswerIsCountedOnce() async throws {
        try await withServer { server in
            let connection = try await server.connect()
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for row in 0..<200 {
                    tasks.addTask {
                        _ = try await connection.lookup([.integer(id(row))])
                        if row % 4 == 0 {
                            _ = try await connection.topProducts(customer: .integer(id(row + 1)))
                        }
                    }
                }
                try await tasks.waitForAll()
            }
            var chunks = 0
            for try await _ in try connection.customers() { chunks += 1 }
            #expect(chunks >= 1)
            let metrics = await server.server.metrics()
            func operation(_ name: String) -> ServerMetrics.Operation? {
                metrics.operations.first { $0.name == name }
            }
            for (name, count) in [("LOOKUP", 200), ("TOP_PRODUCTS", 50), ("SCAN", 1)] {
                #expect(operation(name)?.okCount == UInt64(count), "\(name)")
                #expect(operation(name)?.latencies.count == UInt64(count), "\(name)")
                #expect((operation(name)?.latencies.quantile(0) ?? 0) > 0, "\(name)")
            }
            #expect(metrics.openRequests == 0)
            #expect(metrics.phase == .ready)
            await connection.close()
        }
    }

    @Test func oneAddressHasALimitOfConnections() async throws {
        try await withServer { server in
            var open: [RawConnection] = []
            for _ in 0..<256 { open.append(try RawConnection(port: server.port)) }
            // Taken, not only waiting in the kernel.
            for raw in open { try await raw.sayHello() }
            for _ in 256..<300 {
                let refused = try RawConnection(port: server.port)
                #expect(try await refused.receive()?.header.status == .tooManyConnections)
            }
            let metrics = await server.server.metrics()
            #expect(metrics.openConnections == 256)
            #expect(metrics.counters.refusedConnections == 44)
            open.removeLast(10)
            for _ in 0..<1_000 where await server.server.metrics().openConnections > 246 {
                try await Task.sleep(for: .milliseconds(5))
            }
            let next = try await server.connect()
            try await next.ping()
            await next.close()
        }
    }
}
