import Dispatch
import Synchronization

/// Slices of an answer that one thread makes while another sends those before. The maker goes on for
/// as long as there is room, so that the two seldom wait for each other.
///
/// One thread takes, and at most one makes. The one that takes makes a slice itself where none is made
/// or being made.
final class SlicesAhead: Sendable {
    typealias Made = Result<MarkedSlice, Refusal>

    /// Slices that wait at most.
    private static let capacity = CustomerStream.keptFrameCount - 2

    private enum Maker: Equatable {
        case nobody
        /// Has not begun; whoever needs a slice before makes it.
        case asked(Int)
        /// Adds one more slice at least.
        case atWork
    }

    private struct State {
        var made: [Made] = []
        var maker = Maker.nobody
        var askedCount = 0
        /// Whether what is made is of no use any more.
        var isDropped = false
    }

    private let state = Mutex(State())
    /// Counts the slices that were added and not taken.
    private let added = DispatchSemaphore(value: 0)

    /// Asks for slices, for `limit` that wait at most.
    /// - Returns: what `make` is to be called with, in place of an earlier one that has not begun; nil
    ///   where somebody is at work, or there is no room.
    func ask(limit: Int) -> Int? {
        state.withLock { state in
            guard state.maker != .atWork, state.made.count < min(limit, Self.capacity) else {
                return nil
            }
            state.askedCount += 1
            state.maker = .asked(state.askedCount)
            return state.askedCount
        }
    }

    /// Makes slices until there is no more room.
    /// - Parameters:
    ///   - asked: of `ask`; of no use once somebody else was asked, or has taken without waiting.
    ///   - mustEnd: whether it is to end after a slice.
    ///   - limit: slices that may wait.
    func make(
        _ asked: Int, _ next: () throws(Refusal) -> MarkedSlice,
        mustEnd: () -> Bool, limit: () -> Int
    ) {
        let isWanted = state.withLock { state in
            guard state.maker == .asked(asked) else { return false }
            state.maker = .atWork
            return true
        }
        guard isWanted else { return }
        while true {
            let made: Made
            var isLast = false
            do throws(Refusal) {
                let slice = try next()
                if case .frame(_, true) = slice.slice { isLast = true }
                made = .success(slice)
            } catch {
                made = .failure(error)
                isLast = true
            }
            let hasEnded = isLast || mustEnd()
            let room = min(limit(), Self.capacity)
            let goesOn = state.withLock { state in
                state.made.append(made)
                let goesOn = !hasEnded && !state.isDropped && state.made.count < room
                if !goesOn { state.maker = .nobody }
                return goesOn
            }
            added.signal()
            if !goesOn { return }
        }
    }

    /// The next slice, if it was made or is being made.
    func take() -> Made? {
        let comes = state.withLock { state in
            if !state.made.isEmpty || state.maker == .atWork { return true }
            state.maker = .nobody
            return false
        }
        guard comes else { return nil }
        added.wait()
        return state.withLock { $0.made.removeFirst() }
    }

    /// Waits until nobody is at work, and forgets what was made.
    func drop() {
        state.withLock { $0.isDropped = true }
        while take() != nil {}
        state.withLock { $0.isDropped = false }
    }
}

struct MarkedSlice: Sendable {
    var slice: CustomerStream.Slice
    var mark = SliceMark()
}

/// From where on an answer is made again when customers of a slice were erased since it was made.
struct SliceMark: Sendable {
    /// The first row of the slice.
    var row = 0
    /// Nil for an answer that has nobody.
    var served: ServedSnapshot?
    /// How many were erased when it was made.
    var erasedCount = 0

    var isOutdated: Bool { served.map { $0.erased.count != erasedCount } ?? false }
}
