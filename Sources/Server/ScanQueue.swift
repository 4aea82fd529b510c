import NIOPosix
import Synchronization

#if canImport(Glibc)
import Glibc
#endif

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

    /// Runs `work` as soon as a thread is free, in order of submission, unless the ticket is
    /// cancelled by then.
    /// - Parameter isBegun: whether it goes on with what has been taken before.
    /// - Returns: false, without taking the work, where `capacity` others wait already and it is not
    ///   begun.
    @discardableResult
    func submit(
        _ ticket: ScanTicket, isBegun: Bool = false, _ work: @escaping @Sendable () -> Void
    ) -> Bool {
        if waitingCount.wrappingAdd(1, ordering: .relaxed).oldValue >= capacity, !isBegun {
            waitingCount.wrappingSubtract(1, ordering: .relaxed)
            return false
        }
        pool.submit { state in
            self.waitingCount.wrappingSubtract(1, ordering: .relaxed)
            Self.giveWay()
            // Cancelled only when the server has closed all connections: nobody waits any more.
            if case .active = state, !ticket.isCancelled { work() }
        }
        return true
    }

    /// Lets look-ups have the processor first: scans take what these leave.
    private static func giveWay() {
        #if os(Linux)
        // Of this thread alone. Where the system does not allow it, scans go on as they are.
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
        #endif
    }

    /// How many wait for a thread.
    var length: Int { waitingCount.load(ordering: .relaxed) }

    /// Whether what is not begun would be taken.
    var hasRoom: Bool { waitingCount.load(ordering: .relaxed) < capacity }

    func shutdown() async {
        try? await pool.shutdownGracefully()
    }
}

/// Tells a scan that nobody waits for it any more: its connection is closed, or it was cancelled.
/// Without this, a client that asks and leaves would keep the threads from everybody else.
final class ScanTicket: Sendable {
    private let cancelled = Atomic<Bool>(false)

    var isCancelled: Bool { cancelled.load(ordering: .relaxed) }

    func cancel() { cancelled.store(true, ordering: .relaxed) }
}
