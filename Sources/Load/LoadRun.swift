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
        let idle = try IdleConnections(plan, target)
        defer { idle.stop() }
        var sockets: [StreamSocket] = []
        for _ in 0..<plan.connections { sockets.append(try target.open()) }
        var background: [StreamSocket] = []
        for _ in 0..<plan.backgroundScans { background.append(try target.open()) }
        // Threads begin together, once all of them are there.
        let start = monotonicNanoseconds() + 5_000_000
        let tallies = TallyBox(plan.threads)
        let scans = TallyBox(1)
        let threads = DispatchGroup()
        if !background.isEmpty {
            threads.enter()
            Thread { [background] in
                // The load that is measured comes first.
                ThreadPriority.runWhenIdle()
                scans.work(plan.background, 0, background, start)
                threads.leave()
            }.start()
        }
        for index in (0..<plan.threads).reversed() {
            let own = stride(from: index, to: sockets.count, by: plan.threads).map { sockets[$0] }
            if index == 0 {
                tallies.work(plan, index, own, start)
            } else {
                threads.enter()
                // Threads of its own: those of a pool are as many as there are cores.
                Thread {
                    tallies.work(plan, index, own, start)
                    threads.leave()
                }.start()
            }
        }
        threads.wait()
        return LoadReport(
            plan, target, try tallies.sum(plan.mix.operations.count),
            background: background.isEmpty ? nil : try scans.sum(1),
            idle: plan.idleConnections == 0 ? nil : idle.report())
    }

    /// What the threads have seen, or why one could not.
    private final class TallyBox: Sendable {
        private let results: Mutex<[Result<WorkerTally, LoadError>?]>

        init(_ count: Int) {
            results = Mutex([Result<WorkerTally, LoadError>?](repeating: nil, count: count))
        }

        func work(_ plan: LoadPlan, _ index: Int, _ sockets: [StreamSocket], _ start: UInt64) {
            let result: Result<WorkerTally, LoadError>
            do throws(LoadError) {
                var worker = try Worker(plan, index: index, sockets: sockets, start: start)
                try worker.run()
                result = .success(worker.tally)
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
