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

/// `parallelFor` with memory that a thread keeps from chunk to chunk, so that a pass allocates
/// nothing: runs on `scratches.count` threads (at least 1), each with one element of its own.
///
/// Which chunks meet in which element depends on timing: a result may depend on the element's
/// memory, never on what an earlier chunk left there.
package func parallelFor<Scratch: Sendable>(
    count: Int, chunkSize: Int, scratches: inout [Scratch],
    _ body: @Sendable (inout Scratch, _ chunkIndex: Int, _ rows: Range<Int>) -> Void
) {
    precondition(count >= 0 && chunkSize >= 1 && !scratches.isEmpty)
    let chunkCount = (count + chunkSize - 1) / chunkSize
    let workers = min(scratches.count, chunkCount)
    let cursor = Atomic<Int>(0)
    scratches.withUnsafeMutableBufferPointer { buffer in
        // Worker i touches element i alone, and the buffer outlives the loop.
        nonisolated(unsafe) let base = buffer
        @Sendable func work(_ worker: Int) {
            while true {
                let chunk = cursor.wrappingAdd(1, ordering: .relaxed).oldValue
                if chunk >= chunkCount { return }
                let rows = chunk * chunkSize..<min(count, (chunk + 1) * chunkSize)
                body(&base[worker], chunk, rows)
            }
        }
        if workers > 1 {
            DispatchQueue.concurrentPerform(iterations: workers) { work($0) }
        } else if workers == 1 {
            work(0)
        }
    }
}

/// Runs `body` once for every element, which it may change, with memory that a thread keeps from
/// element to element: one that holds what a part of the data owns, another what a thread needs.
package func parallelFor<Element: Sendable, Scratch: Sendable>(
    _ elements: inout [Element], scratches: inout [Scratch],
    _ body: @Sendable (_ element: inout Element, inout Scratch) -> Void
) {
    elements.withUnsafeMutableBufferPointer { buffer in
        // Every index is handed out once, and the buffer outlives the loop.
        nonisolated(unsafe) let base = buffer
        parallelFor(count: base.count, chunkSize: 1, scratches: &scratches) { scratch, index, _ in
            body(&base[index], &scratch)
        }
    }
}

/// The same with other work beside it, which one of the threads does first.
/// - Parameter work: may not touch the elements.
package func parallelFor<Element: Sendable, Scratch: Sendable>(
    _ elements: inout [Element], scratches: inout [Scratch], beside work: () -> Void,
    _ body: @Sendable (_ element: inout Element, inout Scratch) -> Void
) {
    elements.withUnsafeMutableBufferPointer { buffer in
        withoutActuallyEscaping(work) { work in
            // Every index is handed out once, and the caller waits for all.
            nonisolated(unsafe) let (base, work) = (buffer, work)
            parallelFor(count: base.count + 1, chunkSize: 1, scratches: &scratches) {
                scratch, index, _ in
                if index == 0 { work() } else { body(&base[index - 1], &scratch) }
            }
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
    output.withUnsafeMutableBufferPointer { buffer in
        fill(
            buffer, rowWidth: rowWidth, chunkRows: chunkRows, threadCount: threadCount, body)
    }
}

/// `parallelFill` of aligned values.
package func parallelFill(
    _ output: inout AlignedFloats, rowWidth: Int = 1, chunkRows: Int, threadCount: Int,
    _ body: @Sendable (_ rows: Range<Int>, _ slice: inout MutableSpan<Float>) -> Void
) {
    output.withUnsafeMutableBufferPointer { buffer in
        fill(
            buffer, rowWidth: rowWidth, chunkRows: chunkRows, threadCount: threadCount, body)
    }
}

private func fill<Element: Sendable>(
    _ buffer: UnsafeMutableBufferPointer<Element>, rowWidth: Int, chunkRows: Int,
    threadCount: Int, _ body: @Sendable (Range<Int>, inout MutableSpan<Element>) -> Void
) {
    precondition(rowWidth >= 1 && buffer.count % rowWidth == 0)
    // Chunks are disjoint slices of one buffer that outlives the loop: no two threads share an
    // element.
    nonisolated(unsafe) let base = buffer
    parallelFor(
        count: buffer.count / rowWidth, chunkSize: chunkRows, threadCount: threadCount
    ) { _, rows in
        let part = UnsafeMutableBufferPointer(
            rebasing: base[rows.lowerBound * rowWidth..<rows.upperBound * rowWidth])
        var slice = part.mutableSpan
        body(rows, &slice)
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
