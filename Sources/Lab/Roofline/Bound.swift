package import Numerical

/// What a computation needs at least.
package struct Demand: Sendable {
    /// Bytes that are read from wherever a working set of some size lies.
    package struct Traffic: Sendable {
        let byteCount: Double
        let workingByteCount: Double

        package init(byteCount: Double, workingByteCount: Double) {
            self.byteCount = byteCount
            self.workingByteCount = workingByteCount
        }
    }

    /// Single-precision multiplications and additions.
    let operations: Double
    let traffic: [Traffic]

    package init(operations: Double, traffic: [Traffic]) {
        self.operations = operations
        self.traffic = traffic
    }
}

extension Roofline {
    /// The limit that takes longest, and how long it takes.
    package struct Bound: Sendable, Equatable {
        package let limit: String
        package let seconds: Double
    }

    /// The limits that a demand is held against, sorted.
    package func limitNames(of demand: Demand, threadCount: Int, level: ISALevel) -> [String] {
        let reading = demand.traffic.map {
            readLimit(workingByteCount: $0.workingByteCount, threadCount: threadCount)
        }
        return Set(reading + ["fma_\(level.rawValue)"]).sorted()
    }

    /// - Returns: nil where one of `limitNames` was not measured.
    package func bound(of demand: Demand, threadCount: Int, level: ISALevel) -> Bound? {
        var seconds: [String: Double] = [:]
        let compute = "fma_\(level.rawValue)"
        guard let rate = value(compute, threadCount: threadCount) else { return nil }
        seconds[compute] = demand.operations / (rate * 1e9)
        for part in demand.traffic {
            let name = readLimit(workingByteCount: part.workingByteCount, threadCount: threadCount)
            guard let rate = value(name, threadCount: threadCount) else { return nil }
            seconds[name, default: 0] += part.byteCount / (rate * 1e9)
        }
        // Ties by name, so that the same limits always give the same answer.
        let longest = seconds.min { ($1.value, $0.key) < ($0.value, $1.key) }
        return longest.map { Bound(limit: $0.key, seconds: $0.value) }
    }

    /// A limit for a number of threads: as many times one thread's, up to that of all.
    private func value(_ name: String, threadCount: Int) -> Double? {
        guard let limit = limits[name] else { return nil }
        if threadCount == 1 { return limit.oneThread }
        let all = limit.allThreads ?? limit.oneThread
        return threadCount >= threads ? all : min(all, limit.oneThread * Double(threadCount))
    }

    private func readLimit(workingByteCount: Double, threadCount: Int) -> String {
        let threads = Double(threadCount)
        if workingByteCount <= Double(machine.l1Bytes) * threads { return "read_l1" }
        if workingByteCount <= Double(machine.l2Bytes) * threads { return "read_l2" }
        return workingByteCount <= Double(machine.l3Bytes) ? "read_l3" : "read_dram"
    }
}
