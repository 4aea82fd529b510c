import NIOPosix
import Synchronization

/// The threads on which requests run that look at all products or all customers, so that the
/// event loops stay free for look-ups.
final class ScanQueue: Sendable {
    private let pool: NIOThreadPool
    private let capacity: Int
    private let waitingCount = Atomic<Int>(0)

    init(threadCount: Int, capacity: Int) {
        pool = NIOThreadPool(numberOfThreads: threadCount)
        self.capacity = capacity
        pool.start()
    }

    /// Runs `work` as soon as a thread is free, in order of submission.
    /// - Returns: false, without taking the work, where `capacity` others wait already.
    func submit(_ work: @escaping @Sendable () -> Void) -> Bool {
        if waitingCount.wrappingAdd(1, ordering: .relaxed).oldValue >= capacity {
            waitingCount.wrappingSubtract(1, ordering: .relaxed)
            return false
        }
        pool.submit { state in
            self.waitingCount.wrappingSubtract(1, ordering: .relaxed)
            // Cancelled only when the server has closed all connections: nobody waits any more.
            if case .active = state { work() }
        }
        return true
    }

    /// Runs blocking work for a task.
    func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value
    {
        try await pool.runIfActive(work)
    }

    func shutdown() async {
        try? await pool.shutdownGracefully()
    }
}
