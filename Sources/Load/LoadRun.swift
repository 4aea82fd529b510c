import Dispatch
import Foundation
import Numerical
import Synchronization

func tenToTheMinus(_ power: Double) -> Double { pow(10, -power) }

package enum LoadRun {
    /// Opens the plan's connections, makes the load and says what came of it.
    ///
    /// A run ends early where the server has closed every connection; the report tells.
    package static func run(
        _ plan: LoadPlan, on target: LoadTarget
    ) throws(LoadError) -> LoadReport {
        try plan.validate()
        allowManySockets()
        let idle = IdleConnections(plan, target)
        try idle.open()
        defer { idle.stop() }
        let tallies = TallyBox(plan.threads)
        let scans = TallyBox(1)
        let threads = DispatchGroup()
        let gate = StartGate(plan.threads + (plan.backgroundScans > 0 ? 1 : 0))
        if plan.backgroundScans > 0 {
            threads.enter()
            Thread {
                // The load that is measured comes first.
                ThreadPriority.runWhenIdle()
                scans.work(plan.background, 0, target, gate)
                threads.leave()
            }.start()
        }
        for index in (0..<plan.threads).reversed() {
            if index == 0 {
                tallies.work(plan, index, target, gate)
            } else {
                threads.enter()
                // Threads of its own: those of a pool are as many as there are cores.
                Thread {
                    tallies.work(plan, index, target, gate)
                    threads.leave()
                }.start()
            }
        }
        threads.wait()
        // Where another thread could not begin, these have nothing to tell.
        let background = plan.backgroundScans == 0 ? nil : try scans.sum(1)
        return LoadReport(
            plan, target, try tallies.sum(plan.mix.operations.count),
            background: background,
            idle: plan.idleConnections == 0 ? nil : idle.report())
    }

    /// What the threads have seen, or why one could not.
    private final class TallyBox: Sendable {
        private let results: Mutex<[Result<WorkerTally, LoadError>?]>

        init(_ count: Int) {
            results = Mutex([Result<WorkerTally, LoadError>?](repeating: nil, count: count))
        }

        /// Opens this thread's connections and, when all threads have theirs, makes its load.
        func work(_ plan: LoadPlan, _ index: Int, _ target: LoadTarget, _ gate: StartGate) {
            let result: Result<WorkerTally, LoadError>?
            var transports: [Transport] = []
            do throws(LoadError) {
                let isOpen = gate.arrive { () throws(LoadError) in
                    for _ in stride(from: index, to: plan.connections, by: plan.threads) {
                        transports.append(try target.open())
                    }
                }
                if let start = try isOpen.get() {
                    var worker = try Worker(
                        plan, index: index, transports: transports, start: start)
                    try worker.run()
                    result = .success(worker.tally)
                } else {
                    for place in transports.indices { transports[place].close() }
                    result = nil
                }
            } catch {
                result = .failure(error)
            }
            results.withLock { $0[index] = result }
        }

        func sum(_ operationCount: Int) throws(LoadError) -> WorkerTally {
            var sum = WorkerTally(operationCount: operationCount)
            for result in results.withLock({ $0 }) {
                if let result { sum.add(try result.get()) }
            }
            return sum
        }
    }
}

/// Has threads begin together, once all of them have opened their connections.
private final class StartGate: Sendable {
    private struct State {
        var hasFailed = false
        var start: UInt64?
    }

    private let state = Mutex(State())
    private let opened = DispatchGroup()

    /// So long a thread needs at most to notice that all are there.
    private static let pause: UInt64 = 5_000_000

    init(_ count: Int) {
        for _ in 0..<count { opened.enter() }
    }

    /// Opens a thread's connections, and waits for those of the others.
    /// - Returns: when all begin, nanoseconds of the monotonic clock; nil where another one failed.
    func arrive(
        _ open: () throws(LoadError) -> Void
    ) -> Result<UInt64?, LoadError> {
        do throws(LoadError) {
            try open()
        } catch {
            state.withLock { $0.hasFailed = true }
            opened.leave()
            return .failure(error)
        }
        opened.leave()
        opened.wait()
        return .success(
            state.withLock { state in
                if state.hasFailed { return nil }
                let start = state.start ?? monotonicNanoseconds() + Self.pause
                state.start = start
                return start
            })
    }
}
