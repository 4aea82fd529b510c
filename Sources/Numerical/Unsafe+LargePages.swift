// Why unsafe: memory is prepared before it holds values, and filled in parallel without being zeroed
// first. Chunks are disjoint slices of one buffer that outlives the loop; every element of a bitwise
// copyable type is written by `body` before the array is anybody's.

import CPlatform

/// Keeps memory that is freed for the next allocation: for programs that work and end, called once
/// at their start.
package func keepFreedMemory() { patron_keep_freed_memory() }

/// Asks for large pages below memory that is not touched yet: the first touch of a small page costs
/// more than the work on its 4 kB. A wish: nothing depends on it.
package func useLargePages(_ base: UnsafeMutableRawPointer?, byteCount: Int) {
    guard let base, byteCount >= largeByteCount else { return }
    patron_use_large_pages(base, byteCount)
}

/// Smaller blocks have few large pages or none within.
private let largeByteCount = 4 << 20

/// An array whose elements are computed in parallel, in chunks.
/// - Parameters:
///   - chunkRows: elements a chunk, independent of the thread count.
///   - body: must write every element of its slice, those of exactly the rows it gets.
package func parallelArray<Element: BitwiseCopyable & Sendable>(
    count: Int, chunkRows: Int, threadCount: Int,
    _ body: @Sendable (_ rows: Range<Int>, _ slice: inout MutableSpan<Element>) -> Void
) -> [Element] {
    [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
        useLargePages(buffer.baseAddress, byteCount: count * MemoryLayout<Element>.stride)
        nonisolated(unsafe) let base = buffer
        parallelFor(count: count, chunkSize: chunkRows, threadCount: threadCount) { _, rows in
            let part = UnsafeMutableBufferPointer(rebasing: base[rows])
            var slice = part.mutableSpan
            body(rows, &slice)
        }
        initialized = count
    }
}

/// Several arrays of one count whose elements are computed together, in parallel and in chunks: what
/// a row needs is read once.
/// - Parameters:
///   - count: of each array.
///   - chunkRows: rows a chunk, independent of the thread count; `columnCount` times as many elements
///     should fit into a cache.
///   - body: fills its block, `[columnCount × rows.count]`, column after column, which is all 0; gives
///     what is to be known of the chunk.
/// - Returns: the arrays, and what the chunks gave, in their order.
package func parallelColumns<Partial: Sendable>(
    count: Int, columnCount: Int, chunkRows: Int, threadCount: Int,
    _ body: @Sendable (_ rows: Range<Int>, _ block: inout MutableSpan<Double>) -> Partial
) -> (columns: [[Double]], partials: [Partial]) {
    precondition(columnCount >= 0)
    nonisolated(unsafe) var buffers: [UnsafeMutableBufferPointer<Double>] = []
    var partials: [Partial] = []
    func fill() {
        let targets = buffers
        nonisolated(unsafe) let bases = targets
        partials = parallelMap(count: count, chunkSize: chunkRows, threadCount: threadCount) {
            _, rows in
            var block = [Double](repeating: 0, count: columnCount * rows.count)
            var span = block.mutableSpan
            let partial = body(rows, &span)
            // Chunks are disjoint rows of buffers that outlive the loop.
            block.withUnsafeBufferPointer { block in
                for (column, base) in bases.enumerated() {
                    let part = UnsafeMutableBufferPointer(rebasing: base[rows])
                    let source = block[column * rows.count..<(column + 1) * rows.count]
                    _ = part.update(fromContentsOf: source)
                }
            }
            return partial
        }
    }
    /// Opens the remaining columns one within the other, so that all are open while they are filled.
    func columns(_ rest: Int) -> [[Double]] {
        guard rest > 0 else {
            fill()
            return []
        }
        var later: [[Double]] = []
        let own = [Double](unsafeUninitializedCapacity: count) { buffer, initialized in
            useLargePages(buffer.baseAddress, byteCount: count * MemoryLayout<Double>.stride)
            buffers.append(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
            later = columns(rest - 1)
            initialized = count
        }
        return [own] + later
    }
    return (columns(columnCount), partials)
}

extension Array where Element: BitwiseCopyable {
    /// `reserveCapacity` of an empty array in large pages, where they are many.
    package mutating func reserveLargePages(_ count: Int) {
        let old = capacity
        reserveCapacity(count)
        guard capacity > old else { return }
        let byteCount = capacity * MemoryLayout<Element>.stride
        withUnsafeMutableBytes { useLargePages($0.baseAddress, byteCount: byteCount) }
    }
}
