import Foundation
import Lab
import Numerical
import TestSupport
import Testing

@Suite struct RooflineTests {
    static let tiny = RooflineRun.Sizes(
        l1Bytes: 4 << 10, l2Bytes: 16 << 10, l3Bytes: 64 << 10, dramBytes: 1 << 20,
        latencyBytes: [1 << 14, 1 << 16], chunkCount: 2)

    /// Every limit is there, finite and positive, and a register is not slower than memory.
    @Test(arguments: [1, 2])
    func aSmallRun(threadCount: Int) throws {
        let roofline = try RooflineRun.measure(
            threadCount: threadCount, secondsPerTest: 0.002, sizes: Self.tiny)
        let names = Set(Roofline.rows.map(\.name))
        for (name, limit) in roofline.limits {
            #expect(names.contains(name))
            let values = [
                limit.oneThread, limit.oneThreadMedian, limit.allThreads ?? 1,
                limit.allThreadsMedian ?? 1,
            ]
            #expect(values.allSatisfy { $0.isFinite && $0 > 0 }, "\(name): \(limit)")
            if limit.unit == "ns" {
                #expect(limit.oneThread <= limit.oneThreadMedian)
            } else {
                #expect(limit.oneThread >= limit.oneThreadMedian)
            }
        }
        let unmeasured = names.subtracting(roofline.limits.keys)
        let levels = Set(ISALevel.available.map { "fma_\($0.rawValue)" })
        #expect(unmeasured.allSatisfy { $0.hasPrefix("latency_") || $0.hasPrefix("fma_") })
        #expect(unmeasured.isDisjoint(with: levels))
        #expect(unmeasured.isDisjoint(with: ["latency_16kib", "latency_64kib"]))
        let echo = try #require(roofline.limits["echo_p50"]).oneThread
        #expect(echo <= (try #require(roofline.limits["echo_p99"])).oneThread)
        #expect(roofline.threads == threadCount)
        // What a SCAN over loopback is compared with.
        let stream = try #require(roofline.limits["loopback"])
        #expect(stream.unit == "GB/s" && stream.oneThread > 1e-3 && stream.allThreads == nil)

        // What is printed as JSON is what --roofline reads.
        try withTemporaryFolder { folder in
            let path = folder.sub("roofline.json")
            let json = try JSONEncoder().encode(roofline)
            let object = try JSONSerialization.jsonObject(with: json) as? [String: Any]
            let fields = (object?["limits"] as? [String: Any])?["loopback"] as? [String: Any]
            let written = try #require(fields?["one_thread"] as? Double)
            #expect(abs(written / stream.oneThread - 1) < 1e-12)
            try json.write(to: URL(fileURLWithPath: path))
            #expect(try Roofline(path: path) == roofline)
        }
    }

    @Test func filesThatAreNone() throws {
        try withTemporaryFolder { folder in
            let texts = [
                "", "{}", "not JSON",
                """
                {"isa":"avx2","limits":{"read_dram":{"one_thread":0,"one_thread_median":0,\
                "unit":"GB/s"}},"machine":{"cores":1,"l1_bytes":1,"l2_bytes":1,"l3_bytes":1,\
                "memory_bytes":1,"processor":"x"},"seconds":1,"threads":1}
                """,
            ]
            for text in texts {
                let path = try folder.write(Array(text.utf8), as: "roofline.json")
                let error = #expect(throws: LabError.self) { try Roofline(path: path) }
                #expect(error?.description.contains("patron roofline --json") ?? false)
            }
            let missing = #expect(throws: LabError.self) {
                try Roofline(path: folder.sub("none.json"))
            }
            guard case .store(.system(let error))? = missing, error.isMissingFile else {
                Issue.record("\(missing.map { "\($0)" } ?? "nothing")")
                return
            }
        }
    }

    /// No limit may make a share infinite.
    @Test(arguments: ["0", "-1", "1e-310", "5e-324", "1e300", "1e-9", "1e12"])
    func limitsThatNoMachineHas(value: String) throws {
        try withTemporaryFolder { folder in
            for key in ["\"one_thread\":100", "\"all_threads\":300", "\"one_thread_median\":90"] {
                let name = String(key.prefix { $0 != ":" })
                let changed = "\(name):\(value)"
                let text = Self.limits.replacing(key, with: changed)
                #expect(text != Self.limits)
                let path = try folder.write(Array(text.utf8), as: "roofline.json")
                let error = #expect(throws: LabError.self) { try Roofline(path: path) }
                #expect(error?.description.contains("no machine has") ?? false)
            }
        }
    }

    static let limits = """
        {"isa":"baseline","limits":{
        "fma_baseline":{"unit":"GF/s","one_thread":100,"one_thread_median":90,"all_threads":300,
        "all_threads_median":290},
        "read_l1":{"unit":"GB/s","one_thread":200,"one_thread_median":200},
        "read_l2":{"unit":"GB/s","one_thread":100,"one_thread_median":100},
        "read_l3":{"unit":"GB/s","one_thread":50,"one_thread_median":50,"all_threads":150,
        "all_threads_median":150},
        "read_dram":{"unit":"GB/s","one_thread":10,"one_thread_median":10,"all_threads":20,
        "all_threads_median":20}},
        "machine":{"cores":4,"l1_bytes":1000,"l2_bytes":10000,"l3_bytes":100000,
        "memory_bytes":1000000000,"processor":"x"},"seconds":1,"threads":4}
        """

    /// Worked by hand: operations / rate and bytes / rate, whichever takes longer.
    @Test func whatBinds() throws {
        try withTemporaryFolder { folder in
            let path = try folder.write(Array(Self.limits.utf8), as: "roofline.json")
            let roofline = try Roofline(path: path)
            func bound(_ operations: Double, _ bytes: Double, _ working: Double, _ threads: Int)
                -> Roofline.Bound?
            {
                roofline.bound(
                    of: Demand(
                        operations: operations,
                        traffic: [.init(byteCount: bytes, workingByteCount: working)]),
                    threadCount: threads, level: .baseline)
            }
            var found = try #require(bound(1e9, 1e6, 1e6, 1))
            #expect(found.limit == "fma_baseline" && abs(found.seconds - 0.01) < 1e-12)
            // Two threads: twice one thread's rate; four: all; three: no more than all.
            found = try #require(bound(1e9, 1e6, 1e6, 2))
            #expect(abs(found.seconds - 0.005) < 1e-12)
            found = try #require(bound(1e9, 1e6, 1e6, 4))
            #expect(abs(found.seconds - 1 / 300) < 1e-12)
            found = try #require(bound(1e6, 1e9, 1e6, 1))
            #expect(found.limit == "read_dram" && abs(found.seconds - 0.1) < 1e-12)
            found = try #require(bound(1e6, 1e9, 90_000, 1))
            #expect(found.limit == "read_l3" && abs(found.seconds - 0.02) < 1e-12)
            found = try #require(bound(1e6, 1e9, 9_000, 1))
            #expect(found.limit == "read_l2")
            found = try #require(bound(1e6, 1e9, 900, 1))
            #expect(found.limit == "read_l1")
            // A level that was not measured has no bound.
            let other = roofline.bound(
                of: Demand(operations: 1, traffic: []), threadCount: 1, level: .scalar)
            #expect(other == nil)
        }
    }

    /// One cycle through all lines: after as many steps as lines, and not before, it is back.
    @Test(arguments: [2, 4, 8, 64, 1 << 10, 1 << 15])
    func linksAreOneCycle(lineCount: Int) {
        let cycle = LinkCycle(byteCount: 64 * lineCount)
        #expect(cycle.lineCount == lineCount)
        var line: UInt32 = 0
        var steps = 0
        var seen = [Bool](repeating: false, count: lineCount)
        repeat {
            seen[Int(line)] = true
            line = cycle.next(line)
            steps += 1
        } while line != 0 && steps <= lineCount
        #expect(steps == lineCount && seen.allSatisfy { $0 })
        // The links in memory are the same walk.
        let links = cycle.links(threadCount: 2)
        let third = cycle.next(cycle.next(cycle.next(0)))
        let width = UInt32(LinkCycle.lineWidth)
        #expect(KernelTable.follow(links, steps: 3, from: 0) == third * width)
        #expect(KernelTable.follow(links, steps: lineCount, from: third * width) == third * width)
    }

    /// The strides of the walk do not repeat, or a prefetcher would see them.
    @Test func linksAreShuffled() {
        let cycle = LinkCycle(byteCount: 64 << 12)
        var strides: [Int: Int] = [:]
        var line: UInt32 = 0
        for _ in 0..<cycle.lineCount {
            let next = cycle.next(line)
            strides[Int(next) - Int(line), default: 0] += 1
            line = next
        }
        #expect(strides.values.max() ?? 0 < cycle.lineCount / 16)
        let near = strides.filter { abs($0.key) <= 16 }.values.reduce(0, +)
        #expect(near < cycle.lineCount / 16)
    }

    @Test func theMachineHasCaches() {
        let machine = Machine.current
        #expect(machine.cores >= 1 && machine.memoryBytes > 0)
        #expect(machine.l1Bytes >= 4 << 10 && machine.l1Bytes <= machine.l2Bytes)
        #expect(!machine.processor.isEmpty)
    }
}
