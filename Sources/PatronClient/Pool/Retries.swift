import Synchronization
import Wire

/// What is tried again, and when, always within the deadline of the call.
///
/// What was never sent goes to another connection whatever it does. What was sent is repeated only if
/// that does no harm: what only reads, what comes to the same when it is carried out twice, or has an
/// idempotency key. And only where the error passes:
///
/// | | |
/// |---|---|
/// | class `retryNow`, and a lost connection | the first time at once |
/// | class `overloaded` | after the pause that the server asks for |
/// | class `unavailable`, but `notInSnapshot` | the same, on another server where there is one |
/// | no connection can be made | after a pause |
///
/// The pause before the n-th repetition is a random time up to `firstPause` x 2^(n - 1) and up to
/// `longestPause`, so that clients that failed together do not come back together; the server's own
/// `retryAfter` is added.
public struct Retries: Sendable, Equatable {
    /// Tries in all, 1 … 100; 1: nothing is repeated.
    public var attempts: Int
    public var firstPause: Duration
    public var longestPause: Duration
    /// Repetitions that a call earns for all, 0 … 1: what is sent a second time is at most this share
    /// of what is asked, in the long run, however much fails.
    public var budgetShare: Double
    /// Repetitions that a pool may make at once before calls have earned any.
    public var budgetReserve: Int

    public init(
        attempts: Int = 4, firstPause: Duration = .milliseconds(20),
        longestPause: Duration = .seconds(2), budgetShare: Double = 0.2, budgetReserve: Int = 100
    ) {
        self.attempts = attempts
        self.firstPause = firstPause
        self.longestPause = longestPause
        self.budgetShare = budgetShare
        self.budgetReserve = budgetReserve
    }

    /// Nothing that was sent is repeated.
    public static let none = Retries(attempts: 1)

    /// - Throws: `invalidOption`.
    func check() throws(PatronError) {
        guard (1...100).contains(attempts) else {
            throw .invalidOption(name: "retries.attempts", reason: "is 1 to 100, not \(attempts)")
        }
        guard firstPause >= .zero, longestPause >= firstPause else {
            throw .invalidOption(
                name: "retries.longestPause",
                reason: "is at least firstPause, which is not negative")
        }
        guard (0...1).contains(budgetShare), budgetReserve >= 0 else {
            throw .invalidOption(
                name: "retries.budgetShare",
                reason: "is 0 to 1, and budgetReserve not negative")
        }
    }

    /// Until the next try; nil where the error stands.
    /// - Parameters:
    ///   - failed: tries that have failed, the one of this error included; from 1.
    ///   - fraction: of the longest pause, 0 … 1, at random.
    func pause(
        after error: PatronError, failed: Int, wasSent: Bool, mayRepeat: Bool, fraction: Double
    ) -> Duration? {
        guard failed < attempts, mayRepeat || !wasSent, error.isPassing else { return nil }
        var retryAfter: Duration?
        var isFirst = failed == 1 && wasSent
        switch error {
        case .connectionClosed, .goingAway: break
        case .refused(let refusal):
            retryAfter = refusal.retryAfter
            isFirst = isFirst && refusal.statusClass == .retryNow
        default: isFirst = false
        }
        if isFirst, retryAfter == nil { return .zero }
        var longest = firstPause
        for _ in 1..<failed where longest < longestPause { longest *= 2 }
        return min(longest, longestPause) * fraction + (retryAfter ?? .zero)
    }
}

extension PatronError.Refusal {
    var statusClass: StatusClass { Status(rawValue: status).statusClass }
}

extension PatronError {
    /// Whether the same request may be answered later or elsewhere.
    var isPassing: Bool {
        switch self {
        case .cannotConnect, .connectionClosed, .goingAway: true
        case .refused(let refusal):
            switch refusal.statusClass {
            case .overloaded, .retryNow: true
            // Asking again finds the same snapshot.
            case .unavailable: refusal.status != Status.notInSnapshot.rawValue
            // The connection's fault, not the request's.
            case .protocolError: refusal.status == Status.idleTimeout.rawValue
            default: false
            }
        default: false
        }
    }

    /// Whether it is the server that does not serve just now, so that another one is asked.
    var isOfServer: Bool {
        switch self {
        case .cannotConnect, .connectionClosed, .goingAway: true
        // Whoever changes the workspace keeps all of its servers from it.
        case .refused(let refusal):
            refusal.statusClass == .unavailable
                && refusal.status != Status.workspaceLocked.rawValue
        default: false
        }
    }
}

/// Keeps repetitions from doubling the load of servers that fail because there is too much of it.
/// Source: token buckets as in Finagle's and gRPC's clients.
final class RetryBudget: Sendable {
    private let tokens: Mutex<Double>
    private let share: Double
    private let reserve: Double

    init(_ retries: Retries) {
        share = retries.budgetShare
        reserve = Double(retries.budgetReserve)
        tokens = Mutex(reserve)
    }

    /// A call is made for the first time.
    func earn() {
        // One more than the reserve, so that a share is worth something without one.
        tokens.withLock { $0 = min($0 + share, reserve + 1) }
    }

    /// Whether one may be repeated.
    func spend() -> Bool {
        tokens.withLock {
            // Sums of shares such as 0.2 are not exact.
            guard $0 >= 1 - 1e-9 else { return false }
            $0 -= 1
            return true
        }
    }
}
