import NIOPosix
import Numerical
import Synchronization

/// The threads on which requests run that look at all products or all customers, so that the
/// event loops stay free for look-ups.
final class ScanQueue: Sendable {
    /// What its threads take of the processors.
    enum Share: Sendable {
        /// Little, where look-ups want them too.
        case little
        /// What nobody else wants, until somebody waits for what the thread holds: for streams.
        case raisable
        /// What nobody else wants: for opening a generation, which may take its time.
        case rest

        /// Holds for the calling thread alone.
        fileprivate func take() {
            switch self {
            case .little: ThreadPriority.giveWay()
            case .raisable where ThreadPriority.canBeRaised: ThreadPriority.runWhenIdle()
            case .raisable: ThreadPriority.giveWay()
            case .rest: ThreadPriority.runWhenIdle()
            }
        }
    }

    private let share: Share
    private let pool: NIOThreadPool
    private let capacity: Int
    private let threadCount: Int
    private let waitingCount = Atomic<Int>(0)
    private let workingCount = Atomic<Int>(0)

    init(threadCount: Int, capacity: Int, share: Share = .little) {
        self.share = share
        pool = NIOThreadPool(numberOfThreads: threadCount)
        self.capacity = capacity
        self.threadCount = threadCount
        pool.start()
    }

    /// Runs `work` as soon as a thread is free, in order of submission, unless its ticket is cancelled
    /// by then.
    /// - Parameter isBegun: whether it goes on with what has been taken before.
    /// - Returns: false, without taking the work, where `capacity` others wait already and it is not
    ///   begun.
    @discardableResult
    func submit(
        _ ticket: ScanTicket? = nil, isBegun: Bool = false,
        _ work: @escaping @Sendable () -> Void
    ) -> Bool {
        if waitingCount.wrappingAdd(1, ordering: .relaxed).oldValue >= capacity, !isBegun {
            waitingCount.wrappingSubtract(1, ordering: .relaxed)
            return false
        }
        start(ticket, isCounted: true, work)
        return true
    }

    /// Runs `work` if a thread is idle and nobody waits for one.
    /// - Returns: whether it is.
    func submitIfIdle(_ work: @escaping @Sendable () -> Void) -> Bool {
        guard waitingCount.load(ordering: .relaxed) == 0,
            workingCount.load(ordering: .relaxed) < threadCount
        else { return false }
        // Not counted: nobody ends a turn for its sake.
        start(nil, isCounted: false, work)
        return true
    }

    private func start(
        _ ticket: ScanTicket?, isCounted: Bool, _ work: @escaping @Sendable () -> Void
    ) {
        pool.submit { [self] state in
            workingCount.wrappingAdd(1, ordering: .relaxed)
            if isCounted { waitingCount.wrappingSubtract(1, ordering: .relaxed) }
            defer { workingCount.wrappingSubtract(1, ordering: .relaxed) }
            // Not active only when the server has closed all connections: nobody waits any more. The
            // thread may be any then.
            guard case .active = state, !(ticket?.isCancelled ?? false) else { return }
            share.take()
            work()
        }
    }

    /// Runs `work` on one of the threads, however many wait, and returns its result; nil when the threads
    /// have ended.
    func run<Result: Sendable>(_ work: @escaping @Sendable () -> Result) async -> Result? {
        await withCheckedContinuation { continuation in
            pool.submit { [share] state in
                guard case .active = state else { return continuation.resume(returning: nil) }
                share.take()
                continuation.resume(returning: work())
            }
        }
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
