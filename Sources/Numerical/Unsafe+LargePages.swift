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
