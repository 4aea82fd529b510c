/// Fills `output` in parallel by chunks of uneven row counts, with memory that a thread keeps from
/// chunk to chunk: runs on `scratches.count` threads, each with one element of its own.
///
/// Which chunks meet in which element depends on timing: a result may depend on the element's
/// memory, never on what an earlier chunk left there.
/// - Parameters:
///   - output: `[rowCount × rowWidth]`, row-major.
///   - bounds: the chunks' first rows and, last, the row count: ascending from 0.
///   - body: gets the chunk's rows and the mutable slice of exactly those rows.
package func parallelSlices<Scratch: Sendable>(
    _ output: inout AlignedFloats, rowWidth: Int, bounds: [Int], scratches: inout [Scratch],
    _ body:
        @Sendable (inout Scratch, _ rows: Range<Int>, _ slice: inout MutableSpan<Float>) ->
        Void
) {
    precondition(rowWidth >= 1 && bounds.first == 0)
    precondition(bounds.last.map { $0 * rowWidth } == output.count)
    for (first, next) in zip(bounds, bounds.dropFirst()) { precondition(first <= next) }
    output.withUnsafeMutableBufferPointer { buffer in
        // Chunks are disjoint slices of one buffer that outlives the loop: no two threads share
        // an element.
        nonisolated(unsafe) let base = buffer
        parallelFor(count: bounds.count - 1, chunkSize: 1, scratches: &scratches) {
            scratch, chunk, _ in
            let rows = bounds[chunk]..<bounds[chunk + 1]
            let part = UnsafeMutableBufferPointer(
                rebasing: base[rows.lowerBound * rowWidth..<rows.upperBound * rowWidth])
            var slice = part.mutableSpan
            body(&scratch, rows, &slice)
        }
    }
}
