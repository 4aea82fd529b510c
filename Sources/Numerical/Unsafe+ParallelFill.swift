/// `parallelFill` with memory that a thread keeps from chunk to chunk, so that a pass allocates
/// nothing: runs on `scratches.count` threads (at least 1), each with one element of its own.
///
/// Which chunks meet in which element depends on timing: what is filled in may depend on the
/// element's memory, never on what an earlier chunk left there.
package func parallelFill<Element: Sendable, Scratch: Sendable>(
    _ output: inout [Element], rowWidth: Int, chunkRows: Int, scratches: inout [Scratch],
    _ body:
        @Sendable (
            _ scratch: inout Scratch, _ rows: Range<Int>, _ slice: inout MutableSpan<Element>
        ) -> Void
) {
    precondition(rowWidth >= 1 && output.count % rowWidth == 0)
    output.withUnsafeMutableBufferPointer { buffer in
        // Chunks are disjoint slices of one buffer that outlives the loop: no two threads share
        // an element.
        nonisolated(unsafe) let base = buffer
        parallelFor(
            count: buffer.count / rowWidth, chunkSize: chunkRows, scratches: &scratches
        ) { scratch, _, rows in
            let part = UnsafeMutableBufferPointer(
                rebasing: base[rows.lowerBound * rowWidth..<rows.upperBound * rowWidth])
            var slice = part.mutableSpan
            body(&scratch, rows, &slice)
        }
    }
}
