import Dispatch
import Synchronization

/// Runs `body` once for every chunk of `0 ..< count`, on at most `threadCount` threads.
///
/// Chunks are `chunkSize` rows (the last may be shorter) whatever the thread count, so a caller
/// that keeps one result a chunk and merges them in chunk order gets the same bytes on any machine.
/// - Parameters:
///   - chunkSize: rows a chunk, at least 1; not derived from the core count.
///   - threadCount: at least 1; 1 runs everything on the calling thread.
///   - body: gets the chunk's index and its rows; must only write what belongs to that chunk.
package func parallelFor(
    count: Int, chunkSize: Int, threadCount: Int,
    _ body: @Sendable (_ chunkIndex: Int, _ rows: Range<Int>) -> Void
) {
    precondition(count >= 0 && chunkSize >= 1 && threadCount >= 1)
    let chunkCount = (count + chunkSize - 1) / chunkSize
    @Sendable func run(_ chunk: Int) {
        body(chunk, chunk * chunkSize..<min(count, (chunk + 1) * chunkSize))
    }
    let workers = min(threadCount, chunkCount)
    guard workers > 1 else {
        for chunk in 0..<chunkCount { run(chunk) }
        return
    }
    // One iteration a thread and a shared cursor: uneven chunks balance themselves, and a pass
    // costs one wake-up a thread instead of one a chunk.
    let cursor = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: workers) { _ in
        while true {
            let chunk = cursor.wrappingAdd(1, ordering: .relaxed).oldValue
            if chunk >= chunkCount { return }
            run(chunk)
        }
    }
}

/// Fills `output` in parallel: each chunk gets its own slice of it to write.
/// - Parameters:
///   - output: `[rowCount × rowWidth]`, row-major; its count must be a multiple of `rowWidth`.
///   - chunkRows: rows a chunk, independent of the thread count.
///   - body: gets the chunk's rows and the mutable slice of exactly those rows.
package func parallelFill<Element: Sendable>(
    _ output: inout [Element], rowWidth: Int = 1, chunkRows: Int, threadCount: Int,
    _ body: @Sendable (_ rows: Range<Int>, _ slice: inout MutableSpan<Element>) -> Void
) {
    precondition(rowWidth >= 1 && output.count % rowWidth == 0)
    let rowCount = output.count / rowWidth
    output.withUnsafeMutableBufferPointer { buffer in
        // Chunks are disjoint slices of one buffer that outlives the loop: no two threads share
        // an element.
        nonisolated(unsafe) let base = buffer
        parallelFor(count: rowCount, chunkSize: chunkRows, threadCount: threadCount) { _, rows in
            let part = UnsafeMutableBufferPointer(
                rebasing: base[rows.lowerBound * rowWidth..<rows.upperBound * rowWidth])
            var slice = part.mutableSpan
            body(rows, &slice)
        }
    }
}

/// Maps every chunk to a partial result, in parallel, and returns them in chunk order: merging
/// them left to right gives the same bytes for any thread count.
package func parallelMap<Partial: Sendable>(
    count: Int, chunkSize: Int, threadCount: Int,
    _ body: @Sendable (_ chunkIndex: Int, _ rows: Range<Int>) -> Partial
) -> [Partial] {
    let chunkCount = (count + chunkSize - 1) / chunkSize
    var partials = [Partial?](repeating: nil, count: chunkCount)
    parallelFill(&partials, chunkRows: 1, threadCount: threadCount) { chunks, slice in
        let chunk = chunks.lowerBound
        slice[0] = body(chunk, chunk * chunkSize..<min(count, (chunk + 1) * chunkSize))
    }
    return partials.map { partial in
        guard let partial else { preconditionFailure("every chunk yields a partial result") }
        return partial
    }
}
