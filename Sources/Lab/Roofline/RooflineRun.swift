import Foundation
package import Numerical

/// Measures the limits of the machine.
package struct RooflineRun {
    /// How much memory each measurement works on; chosen for the machine, small in tests.
    package struct Sizes: Sendable {
        /// Bytes that one thread reads, from its first- and second-level cache.
        package var l1Bytes: Int
        package var l2Bytes: Int
        /// Bytes that one thread reads, from its share of the third-level cache.
        package var l3Bytes: Int
        package var dramBytes: Int
        /// Powers of two.
        package var latencyBytes: [Int]
        /// Column chunks of 64 KiB.
        package var chunkCount: Int

        /// Half of each cache, so that nothing else in it is in the way, and of the shared one each
        /// thread its part, but more than the second-level cache holds; memory four times the last
        /// cache, as the STREAM benchmark asks for.
        package init(_ machine: Machine, threadCount: Int) {
            l1Bytes = machine.l1Bytes / 2
            l2Bytes = machine.l2Bytes / 2
            l3Bytes = max(2 * machine.l2Bytes, machine.l3Bytes / 2 / threadCount)
            let most = max(64 << 20, machine.memoryBytes / 8)
            dramBytes = min(most, max(256 << 20, 4 * machine.l3Bytes))
            latencyBytes = stride(from: 14, through: 30, by: 2).map { 1 << $0 }
                .filter { $0 <= most }
            chunkCount = 256
        }

        package init(
            l1Bytes: Int, l2Bytes: Int, l3Bytes: Int, dramBytes: Int, latencyBytes: [Int],
            chunkCount: Int
        ) {
            self.l1Bytes = l1Bytes
            self.l2Bytes = l2Bytes
            self.l3Bytes = l3Bytes
            self.dramBytes = dramBytes
            self.latencyBytes = latencyBytes
            self.chunkCount = chunkCount
        }
    }

    /// Measures everything.
    /// - Parameters:
    ///   - threadCount: threads of the figures for all threads, at least 1.
    ///   - secondsPerTest: about what one figure takes, above 0.
    ///   - sizes: nil: those of this machine.
    ///   - progress: gets the name of each limit before it is measured.
    /// - Throws: `network` where the machine cannot connect to itself.
    package static func measure(
        threadCount: Int, secondsPerTest: Double, sizes: Sizes? = nil,
        kernels: KernelTable = .current, progress: (String) -> Void = { _ in }
    ) throws(LabError) -> Roofline {
        precondition(threadCount >= 1 && secondsPerTest > 0)
        let machine = Machine.current
        let clock = ContinuousClock()
        let start = clock.now
        var run = RooflineRun(
            threadCount: threadCount, gauge: Gauge(seconds: secondsPerTest),
            sizes: sizes ?? Sizes(machine, threadCount: threadCount), kernels: kernels)
        run.measureMultiplyAdds(progress)
        run.measureTile(progress)
        run.measureBandwidth(progress)
        run.measureLatency(progress)
        run.measureCodec(progress)
        try run.measureLoopback(progress)
        return Roofline(
            machine: machine, threads: threadCount, isa: kernels.level.rawValue,
            seconds: (clock.now - start) / .seconds(1), limits: run.limits)
    }

    private let threadCount: Int
    private let gauge: Gauge
    private let sizes: Sizes
    private let kernels: KernelTable
    private var limits: [String: Roofline.Limit] = [:]

    private init(threadCount: Int, gauge: Gauge, sizes: Sizes, kernels: KernelTable) {
        self.threadCount = threadCount
        self.gauge = gauge
        self.sizes = sizes
        self.kernels = kernels
    }

    // MARK: - One thread and all threads

    /// Work of one thread on memory of its own.
    private func rate<Scratch: Sendable>(
        units: Double, _ scratch: Scratch, _ work: @Sendable (inout Scratch, Int) -> Void
    ) -> Gauge.Rate {
        var scratch = scratch
        return gauge.rate(units: units) { work(&scratch, $0) }
    }

    /// The same work on all threads, four times a thread, so that a thread that starts late or is
    /// held up leaves its part to the others.
    private func rateOfAll<Scratch: Sendable>(
        units: Double, _ scratch: (Int) -> Scratch, _ work: @Sendable (inout Scratch, Int) -> Void
    ) -> Gauge.Rate? {
        if threadCount == 1 { return nil }
        var scratches = (0..<threadCount).map(scratch)
        let chunkCount = 4 * threadCount
        return gauge.rate(units: units * Double(chunkCount)) { rounds in
            parallelFor(count: chunkCount, chunkSize: 1, scratches: &scratches) { scratch, _, _ in
                work(&scratch, rounds)
            }
        }
    }

    /// Keeps a limit in units of `scale` a second; with one thread in all, that is all threads.
    private mutating func keep(
        _ name: String, _ unit: String, _ one: Gauge.Rate, _ all: Gauge.Rate?, scale: Double = 1e9
    ) {
        let all = all ?? one
        limits[name] = Roofline.Limit(
            unit: unit, oneThread: one.best / scale, oneThreadMedian: one.median / scale,
            allThreads: all.best / scale, allThreadsMedian: all.median / scale)
    }

    // MARK: - Computing

    private mutating func measureMultiplyAdds(_ progress: (String) -> Void) {
        for level in ISALevel.available.reversed() {
            let name = "fma_\(level.rawValue)"
            progress(name)
            let kernels = KernelTable(level)
            let iterations = 1_000
            let units = Double(iterations * kernels.multiplyAddChainOperations)
            let work: @Sendable (inout Float, Int) -> Void = { sum, rounds in
                // Values approach 1; the sum goes on into the next call, so that none is left out.
                for _ in 0..<rounds {
                    sum += kernels.multiplyAddChains(iterations, factor: 0.5, addend: 0.5)
                }
            }
            let one = rate(units: units, Float(0), work)
            keep(name, "GF/s", one, rateOfAll(units: units, { _ in Float(0) }, work))
        }
    }

    private mutating func measureTile(_ progress: (String) -> Void) {
        progress("tile")
        struct Output: Sendable {
            var labels: [Int32]
            var scores: [Float]
        }
        // 1024 rows of 64 features and 256 centroids: 320 KiB, in the second-level cache.
        let (n, d, k) = (1_024, 64, 256)
        var random = SeededRandom(seed: 1)
        let rows = (0..<n * d).map { _ in Float(random.uniform()) - 0.5 }
        let points = FeatureMatrix(rowMajor: rows, rowCount: n, featureCount: d)
        let vectors = VectorGroups(
            rowMajor: rows.span.extracting(0..<k * d), count: k, featureCount: d)
        let kernels = kernels
        let output = Output(
            labels: [Int32](repeating: 0, count: n), scores: [Float](repeating: 0, count: n))
        let units = 2 * Double(n) * Double(d) * Double(k)
        let work: @Sendable (inout Output, Int) -> Void = { output, rounds in
            // Moved out and back in, so that neither is copied.
            var (labels, scores) = (output.labels, output.scores)
            output = Output(labels: [], scores: [])
            var labelSpan = labels.mutableSpan
            var scoreSpan = scores.mutableSpan
            for _ in 0..<rounds {
                kernels.assign(
                    points, rows: 0..<n, to: vectors, labels: &labelSpan, scores: &scoreSpan)
            }
            output = Output(labels: labels, scores: scores)
        }
        keep(
            "tile", "GF/s", rate(units: units, output, work),
            rateOfAll(units: units, { _ in output }, work))
    }

    // MARK: - Memory

    private mutating func measureBandwidth(_ progress: (String) -> Void) {
        let kernels = kernels
        let chunkValues = (1 << 20) / 4
        let valueCount = max(
            sizes.dramBytes / 4, threadCount * max(sizes.l1Bytes, sizes.l2Bytes, sizes.l3Bytes) / 4)
        let chunkCount = (valueCount + chunkValues - 1) / chunkValues
        // Written before anything is timed: untouched pages would all be one page of zeros.
        var buffer = AlignedFloats(count: chunkCount * chunkValues)
        parallelFill(
            &buffer, rowWidth: chunkValues, chunkRows: 1, threadCount: threadCount
        ) { rows, slice in kernels.fill(&slice, with: Float(rows.lowerBound)) }
        for (name, byteCount) in [
            ("read_l1", sizes.l1Bytes), ("read_l2", sizes.l2Bytes), ("read_l3", sizes.l3Bytes),
        ] {
            progress(name)
            keepReading(name, buffer, byteCount: byteCount)
        }
        progress("read_dram")
        let bytes = Double(buffer.count * 4)
        let source = buffer
        func reading(_ threads: Int) -> Gauge.Rate {
            gauge.rate(units: bytes) { rounds in
                for _ in 0..<rounds {
                    parallelFor(count: chunkCount, chunkSize: 1, threadCount: threads) { _, rows in
                        let first = rows.lowerBound * chunkValues
                        _ = kernels.combineBits(
                            source.span.extracting(first..<first + chunkValues), passes: 1)
                    }
                }
            }
        }
        keep("read_dram", "GB/s", reading(1), threadCount > 1 ? reading(threadCount) : nil)
        var target = AlignedFloats(count: buffer.count)
        func writing(_ threads: Int, copies: Bool) -> Gauge.Rate {
            gauge.rate(units: copies ? 2 * bytes : bytes) { rounds in
                for round in 0..<rounds {
                    parallelFill(
                        &target, rowWidth: chunkValues, chunkRows: 1, threadCount: threads
                    ) { rows, slice in
                        let first = rows.lowerBound * chunkValues
                        if copies {
                            kernels.copy(
                                source.span.extracting(first..<first + chunkValues), to: &slice)
                        } else {
                            kernels.fill(&slice, with: Float(round))
                        }
                    }
                }
            }
        }
        for (name, copies) in [("write_dram", false), ("copy_dram", true)] {
            progress(name)
            // The first rounds, which bring the pages, only find the number of rounds.
            let one = writing(1, copies: copies)
            keep(
                name, "GB/s", one,
                threadCount > 1 ? writing(threadCount, copies: copies) : nil)
        }
    }

    /// Each thread reads a part of its own, again and again.
    private mutating func keepReading(
        _ name: String, _ buffer: AlignedFloats, byteCount: Int
    ) {
        let kernels = kernels
        let count = byteCount / 4
        let part = { (thread: Int) in thread * count..<(thread + 1) * count }
        let work: @Sendable (inout Range<Int>, Int) -> Void = { range, rounds in
            _ = kernels.combineBits(buffer.span.extracting(range), passes: rounds)
        }
        let units = Double(4 * count)
        keep(
            name, "GB/s", rate(units: units, part(0), work), rateOfAll(units: units, part, work))
    }

    private mutating func measureLatency(_ progress: (String) -> Void) {
        for byteCount in sizes.latencyBytes {
            let name = Roofline.latencyName(byteCount: byteCount)
            progress(name)
            let links = LinkCycle(byteCount: byteCount).links(threadCount: threadCount)
            // The walk goes on where the last one ended: the same lines again would be in a cache.
            var place: UInt32 = 0
            let steps = 1_000
            let rate = gauge.rate(units: Double(steps)) { rounds in
                place = KernelTable.follow(links, steps: steps * rounds, from: place)
            }
            limits[name] = Roofline.Limit(
                unit: "ns", oneThread: 1e9 / rate.best, oneThreadMedian: 1e9 / rate.median)
        }
    }

    // MARK: - Formats and connections

    private mutating func measureCodec(_ progress: (String) -> Void) {
        let sample = LZ4Sample(chunkCount: sizes.chunkCount)
        let units = Double(sample.byteCount)
        let chunk = [UInt8](repeating: 0, count: LZ4Sample.chunkByteCount)
        for (name, work) in [
            ("lz4_decode", { @Sendable in sample.decode(rounds: $1, into: &$0) }),
            ("memcpy", { @Sendable in sample.copy(rounds: $1, into: &$0) }),
        ] as [(String, @Sendable (inout [UInt8], Int) -> Void)] {
            progress(name)
            let one = rate(units: units, chunk, work)
            keep(name, "GB/s", one, rateOfAll(units: units, { _ in chunk }, work))
        }
    }

    private mutating func measureLoopback(_ progress: (String) -> Void) throws(LabError) {
        func keep(_ name: String, _ unit: String, _ value: Double) {
            limits[name] = Roofline.Limit(unit: unit, oneThread: value, oneThreadMedian: value)
        }
        progress("echo")
        let nanoseconds = try Loopback.echo(seconds: 2 * gauge.seconds, byteCount: 64).sorted()
        let total = nanoseconds.reduce(0) { $0 + Double($1) } / 1e9
        keep("echo", "1/s", Double(nanoseconds.count) / total)
        keep("echo_p50", "us", Double(nanoseconds[nanoseconds.count / 2]) / 1e3)
        keep("echo_p99", "us", Double(nanoseconds[nanoseconds.count * 99 / 100]) / 1e3)
        progress("loopback")
        keep("loopback", "GB/s", try Loopback.stream(seconds: gauge.seconds) / 1e9)
    }
}
