import Numerical
import Synchronization

/// Maps numbers `0 ..< count` in parallel, merges what comes out in their order, and stops at an
/// error.
/// - Throws: the error of the lowest number that has one, for any thread count: all below one that
///   failed are tried.
func parallelFold<Result: Sendable, Partial: Sendable>(
    into initial: Result, count: Int, threadCount: Int,
    map: @Sendable (_ index: Int) throws(EngineError) -> Partial,
    merge: @Sendable (_ result: inout Result, _ partial: Partial) -> Void
) throws(EngineError) -> Result {
    let lowestFailed = Atomic<Int>(.max)
    let fold = parallelReduce(
        into: Fold(result: initial), count: count, threadCount: threadCount
    ) { index -> Swift.Result<Partial, EngineError>? in
        if lowestFailed.load(ordering: .relaxed) < index { return nil }
        do throws(EngineError) {
            return .success(try map(index))
        } catch {
            lowestFailed.min(index, ordering: .relaxed)
            return .failure(error)
        }
    } merge: { fold, outcome in
        guard fold.error == nil else { return }
        switch outcome {
        case .failure(let error): fold.error = error
        case .success(let partial): merge(&fold.result, partial)
        case nil: break
        }
    }
    if let error = fold.error { throw error }
    return fold.result
}

private struct Fold<Result: Sendable>: Sendable {
    var result: Result
    var error: EngineError?
}
