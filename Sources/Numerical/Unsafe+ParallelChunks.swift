/// Fills the rows of `output` in parallel, in chunks of uneven size, with memory that a thread
/// keeps from chunk to chunk (see `parallelFor(count:chunkSize:scratches:)`).
/// - Parameters:
///   - output: `[rowCount × rowWidth]`, row-major.
///   - bounds: `[chunkCount + 1]`, ascending from 0 to the row count; must not depend on the number
///     of scratches.
///   - body: gets the chunk's rows and the mutable slice of exactly those rows.
package func parallelFill<Scratch: Sendable>(
    _ output: inout AlignedFloats, rowWidth: Int, bounds: [Int], scratches: inout [Scratch],
    _ body:
        @Sendable (
            _ scratch: inout Scratch, _ rows: Range<Int>, _ slice: inout MutableSpan<Float>
        ) -> Void
) {
    precondition(rowWidth >= 0 && bounds.first == 0)
    for (lower, upper) in zip(bounds, bounds.dropFirst()) { precondition(lower <= upper) }
    precondition(bounds[bounds.count - 1] * rowWidth == output.count)
    output.withUnsafeMutableBufferPointer { buffer in
        // Chunks are disjoint slices of one buffer that outlives the loop: no two threads share an
        // element.
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
