import Synchronization

/// Maps numbers `0 ..< count` in parallel and merges what comes out into one result, in their order
/// and as soon as it is their turn: only what waits for a slower one before it is kept beside the
/// result, where `parallelMap` keeps all.
/// - Parameters:
///   - count: pieces of work, handed out one by one; must not depend on the thread count.
///   - merge: runs on one thread at a time.
package func parallelReduce<Result: Sendable, Partial: Sendable>(
    into initial: Result, count: Int, threadCount: Int,
    map: @Sendable (_ index: Int) -> Partial,
    merge: @Sendable (_ result: inout Result, _ partial: Partial) -> Void
) -> Result {
    let state = Mutex(OrderedMerge<Result, Partial>(result: initial))
    parallelFor(count: count, chunkSize: 1, threadCount: threadCount) { index, _ in
        let partial = map(index)
        state.withLock { $0.take(partial, of: index, merge) }
    }
    return state.withLock { $0.result }
}

private struct OrderedMerge<Result: Sendable, Partial: Sendable>: Sendable {
    var result: Result
    private var next = 0
    private var waiting: [Int: Partial] = [:]

    init(result: Result) { self.result = result }

    mutating func take(
        _ partial: Partial, of index: Int, _ merge: (inout Result, Partial) -> Void
    ) {
        guard index == next else {
            waiting[index] = partial
            return
        }
        merge(&result, partial)
        next += 1
        while let partial = waiting.removeValue(forKey: next) {
            merge(&result, partial)
            next += 1
        }
    }
}
